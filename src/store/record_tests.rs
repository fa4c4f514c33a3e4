//! Records, to bytes and back.

use super::*;
use crate::ledger::{Identity, Timestamp};

fn sample() -> Block {
    let identity = Identity::from_secret(&[7; 32]).expect("a key");
    let mut block = Block::genesis(Timestamp::Float(1_795_396_521.41));
    block.index = 1_000_000;
    block.nonce = 300;
    let time = Timestamp::Float(1_795_396_521.412_817_7);
    block
        .transactions
        .push(identity.sign(Kind::Request, "laptop-001".into(), time));
    block
}

#[test]
fn a_block_with_one_transaction_takes_150_bytes_at_most() {
    let block = sample();
    let mut keys = KeyTable::default();
    keys.add(block.transactions[0].requester);
    let mut out = Vec::new();
    let body = Body::Block(BlockBody::new(&block, &[Undo::at(999_998)], &mut keys));
    body.write(0, &mut out).expect("short");
    assert!(out.len() <= 150, "{} bytes", out.len());
}

#[test]
fn what_is_written_is_read_back() {
    let mut block = sample();
    block.timestamp = Timestamp::Integer(-5);
    let (mut writing, mut reading) = (KeyTable::default(), KeyTable::default());
    for before in [Undo::NEW, Undo::at(2), Undo::VOID] {
        let mut out = Vec::new();
        let body = Body::Block(BlockBody::new(&block, &[before], &mut writing));
        let check = body.write(9, &mut out).expect("short");
        let prefix = out.first_chunk().expect("long enough");
        assert_eq!(
            body_length(prefix),
            Some(out.len() - PREFIX_BYTES - CHECK_BYTES)
        );
        let (body, read_check) = open(&out, 9).expect("sound");
        assert_eq!(read_check, check);
        let Some(Body::Block(body)) = Body::read(body) else {
            panic!("a block")
        };
        let stored = body
            .into_block(block.prev_hash, &mut reading)
            .expect("known keys");
        assert_eq!(
            stored,
            StoredBlock {
                block: block.clone(),
                undo_data: vec![before]
            }
        );
    }
}

#[test]
fn values_that_no_text_can_spell_are_no_block() {
    let alterations: [fn(&mut Block, &mut Undo); 6] = [
        |block, _| block.timestamp = Timestamp::Float(f64::NAN),
        |block, _| block.timestamp = Timestamp::Float(f64::INFINITY),
        |block, _| block.transactions[0].timestamp = Timestamp::Float(f64::NEG_INFINITY),
        |block, _| block.transactions[0].uid = Uid::from_wtf8(vec![0xff]),
        |block, before| *before = Undo::at(block.index + 1),
        |_, before| *before = Undo::at(u64::MAX - 2),
    ];
    for (number, alter) in alterations.iter().enumerate() {
        let (mut block, mut before) = (sample(), Undo::at(1_000_000));
        for sound in [true, false] {
            let (mut writing, mut reading) = (KeyTable::default(), KeyTable::default());
            let body = BlockBody::new(&block, &[before], &mut writing);
            let read = body.into_block(block.prev_hash, &mut reading);
            assert_eq!(read.is_some(), sound, "alteration {number}");
            alter(&mut block, &mut before);
        }
    }
}

#[test]
fn a_file_has_numbers_for_so_many_keys_and_reads_all() {
    let (mut writing, mut reading) = (KeyTable::default(), KeyTable::default());
    for number in 0..limits::KEYS_MAX + 3 {
        // Whether a point lies on the curve is not asked before its first signature.
        let mut x = [0; 32];
        x[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let mut block = sample();
        block.transactions[0].requester = PublicKey::from_parts(2, x).expect("a key");
        for _ in 0..2 {
            let mut out = Vec::new();
            let body = Body::Block(BlockBody::new(&block, &[Undo::at(2)], &mut writing));
            body.write(9, &mut out).expect("short");
            let (body, _) = open(&out, 9).expect("sound");
            let Some(Body::Block(body)) = Body::read(body) else {
                panic!("a block")
            };
            let stored = body.into_block(block.prev_hash, &mut reading);
            assert_eq!(stored.expect("its key").block, block, "{number}");
        }
        let count = (number + 1).min(limits::KEYS_MAX);
        assert_eq!((writing.count(), reading.count()), (count, count));
    }
}

#[test]
fn a_body_that_is_too_long_is_refused_and_nothing_is_written() {
    let identity = Identity::from_secret(&[7; 32]).expect("a key");
    let mut block = sample();
    let long = Uid::from("x".repeat(limits::RECORD_BODY_MAX).as_str());
    block.transactions[0] = identity.sign(Kind::Request, long, Timestamp::Integer(1));
    let mut out = vec![1, 2, 3];
    let body = Body::Block(BlockBody::new(
        &block,
        &[Undo::NEW],
        &mut KeyTable::default(),
    ));
    assert_eq!(body.write(0, &mut out), Err(RuleError::TooLong));
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn every_flipped_bit_and_every_other_place_is_noticed() {
    let mut out = Vec::new();
    let written = Body::Branch { fork: 77 }.write(1, &mut out);
    written.expect("short");
    assert!(open(&out, 1).is_some());
    assert!(open(&out, 2).is_none());
    for bit in 0..out.len() * 8 {
        let mut broken = out.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&broken, 1).is_none(), "bit {bit}");
        let prefix = broken.first_chunk().expect("long enough");
        assert_eq!(
            body_length(prefix).is_some(),
            bit >= PREFIX_BYTES * 8,
            "bit {bit}"
        );
    }
}

#[test]
fn headers_say_what_they_are() {
    let ours = header(3);
    assert!(matches!(
        read_header(&ours),
        Header::Ours { difficulty: 3, .. }
    ));
    let first = header_of(VERSION_FIRST, 4);
    assert!(matches!(
        read_header(&first),
        Header::Ours { difficulty: 4, .. }
    ));
    assert_eq!(read_header(b"{\"index\": 0}"), Header::Foreign);
    assert_eq!(read_header(&ours[..12]), Header::Damaged);
    let mut newer = ours;
    newer[VERSION_AT] = 9;
    assert_eq!(read_header(&newer), Header::Damaged);
    let check = crc32fast::hash(&newer[..HEADER_CHECK_AT]);
    newer[HEADER_CHECK_AT..].copy_from_slice(&check.to_le_bytes());
    assert_eq!(read_header(&newer), Header::Newer(9));
}
