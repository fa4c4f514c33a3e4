//! The jitter's generator has nothing of the key: everybody sees its numbers, in when this node
//! speaks.

use super::*;
use crate::store::disk::memory::MemoryDisk;

/// Opens a node on this disk, and draws its first numbers.
fn opened(disk: &MemoryDisk, secret: u8, seed: u64) -> (Node<MemoryDisk>, [u64; 3]) {
    let clock = Clock {
        mono: Millis(0),
        wall: 1_795_000_000_000_000,
    };
    let config = Config {
        listen: ([127, 0, 0, 1], 6000).into(),
        difficulty: Some(0),
        connect: Vec::new(),
        scrub_every: None,
        unclean_stops: 0,
        unclean_stop: false,
        built: 0,
        id: 7,
        drop_disconnected: false,
        ways: Ways::default(),
        items_max: crate::limits::ITEMS_MAX,
        staging_max: u64::MAX,
        secret: [secret; 32],
        nonces: [3; 32],
        seed,
    };
    let mut node = Node::open(disk.clone(), clock, config).expect("it opens");
    let numbers = [(); 3].map(|()| node.cx.jitter.number());
    (node, numbers)
}

#[test]
fn the_jitter_follows_from_its_seed_alone() {
    let empty = MemoryDisk::default();
    let (first, numbers) = opened(&empty, 5, 1 << 40);
    let mut jitter = Jitter::new(1 << 40);
    assert_eq!(numbers, [(); 3].map(|()| jitter.number()));
    // Another key, made now or read from its file: not a bit of the jitter is another one.
    let mut written = empty.clone();
    let other = keys::identity(&mut written, &[6; 32]).expect("a key");
    assert_ne!(first.identity.public(), other.public());
    for (disk, secret) in [(&empty, 6), (&written, 5), (&written, 9)] {
        let (node, same) = opened(disk, secret, 1 << 40);
        assert_eq!(node.identity.public(), other.public());
        assert_eq!(same, numbers);
    }
    // The same key, and all of the jitter is another.
    let (again, others) = opened(&empty, 5, 2 << 40);
    assert_eq!(again.identity.public(), first.identity.public());
    assert!(numbers.iter().zip(others).all(|(one, other)| *one != other));
}
