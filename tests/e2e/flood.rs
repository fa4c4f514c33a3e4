//! What one peer can do with a few megabytes: no more than to be refused.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use blx::limits;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::harness::{Launch, Node, shown, until};
use super::peer::{Peer, Person, ROLES, Role, after, block_message, transaction_message};

/// A peer whose address is 127.0.0.`host`: each address has a share of its own in what may wait.
fn dial_from(host: u8, port: u16) -> Peer {
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
    let node = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &own).expect("an address of this machine");
    connect(&socket, &node).expect("the node listens");
    Peer::of(TcpStream::from(socket), own.to_string())
}

/// A name of `bytes` bytes: a number, and control characters, each of which takes six bytes of text.
fn name(number: usize, bytes: usize) -> String {
    format!("{number:04}{}", "\u{1}".repeat(bytes - 4))
}

/// Waits until both have the same chain, with `reserved` items reserved.
fn agree(one: &mut Node, other: &mut Node, reserved: usize) {
    until(|| {
        let (here, there) = (one.status(), other.status());
        match here.tip == there.tip && here.reserved == reserved {
            true => Ok(()),
            false => Err(format!("{:?} {:?}", here.lines, there.lines)),
        }
    });
}

#[test]
fn names_longer_than_any_menu_takes_are_refused_and_end_no_node() {
    let mut first = Launch::new().logging().start();
    let mut second = Launch::new().connect(first.port).start();
    let person = Person::new(9);
    let mut peer = dial_from(2, first.port);
    for number in 0..9 {
        // One that passes as a message and fits into no block, and several that fit one by one.
        let long = match number {
            0 => name(number, (limits::BLOCK_TEXT_MAX - 400) / 6),
            _ => format!("{number}{}", "x".repeat(250_000)),
        };
        peer.say(&transaction_message(&person.requests(&long)));
        first.expect_log("its item's name has more than 1024 bytes");
    }
    let longest = "x".repeat(limits::ITEM_BYTES_MAX);
    for item in [&longest, &format!("{longest}x")] {
        peer.say(&transaction_message(&person.requests(item)));
    }
    peer.settle();
    agree(&mut first, &mut second, 1);
    for node in [&mut first, &mut second] {
        assert_eq!(node.reserved(), [shown(&longest)]);
    }
}

#[test]
fn whatever_waits_is_made_into_blocks_that_every_node_takes() {
    let mut first = Launch::new().start();
    let mut second = Launch::new().connect(first.port).start();
    let person = Person::new(9);
    let mut text = 0;
    for host in 2..6 {
        let mut peer = dial_from(host, first.port);
        for number in 0..120 {
            let name = name(usize::from(host) * 1_000 + number, limits::ITEM_BYTES_MAX);
            let line = transaction_message(&person.requests(&name));
            text += line.len();
            peer.say(&line);
        }
        peer.settle();
    }
    assert!(
        text > 2 * limits::BLOCK_TEXT_MAX,
        "{text} bytes fill no two blocks"
    );
    agree(&mut first, &mut second, 4 * 120);
    let mut late = Launch::new().connect(second.port).start();
    agree(&mut first, &mut late, 4 * 120);
}

#[test]
fn a_block_counts_whose_sender_hangs_up_while_it_is_checked() {
    for role in ROLES {
        let mut node = Launch::new().start();
        let (_, chain) = Peer::join_as(role, node.port);
        let person = Person::new(9);
        let items = (0..2_000).map(|number| person.requests(&format!("item-{number}")));
        let block = after(&chain[0], items.collect());
        // Whoever is silent for as long as that takes on a slow machine is hung up on.
        let (mut peer, _) = Peer::join_as(role, node.port);
        peer.say(&block_message(&block));
        peer.hang_up();
        node.expect("received and added block #1");
        let status = node.status();
        assert_eq!((status.blocks, status.reserved), (2, 2_000));
    }
}

#[test]
fn a_desktop_nodes_block_that_does_not_fit_becomes_few_blocks() {
    let mut node = Launch::new().start();
    let (mut peer, chain) = Peer::join_as(Role::Desktop, node.port);
    let person = Person::new(9);
    let count = limits::TRANSACTIONS_PER_BLOCK;
    let items = (0..count).map(|number| person.requests(&format!("item-{number}")));
    let between = after(&chain[0], Vec::new());
    peer.say(&block_message(&after(&between, items.collect())));
    let blocks = until(|| {
        peer.settle();
        let status = node.status();
        match status.reserved == count {
            true => Ok(status.blocks),
            false => Err(format!("{:?}", status.lines)),
        }
    });
    // Made as they come they would be as many blocks as there are items.
    assert!(blocks < count / 4, "{blocks} blocks");
}
