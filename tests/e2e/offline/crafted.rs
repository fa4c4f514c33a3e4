//! A chain file that somebody made: the checksums are right, and some value is one that no node
//! writes. Every sub-command says so in a sentence, and a node that starts there goes on.

use serde::{Deserialize, Serialize};

use super::super::records::{bodies, sealed};
use super::*;

/// A record's body, as `src/store/record.rs` has it.
#[derive(Clone, Serialize, Deserialize)]
enum Body {
    Block(Record),
    Branch { fork: u64 },
    Close { length: u64, tip: [u8; 32] },
}

#[derive(Clone, Serialize, Deserialize)]
struct Record {
    index: u64,
    hash: [u8; 32],
    nonce: u64,
    timestamp: Time,
    transactions: Vec<Change>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Change {
    author: Author,
    release: bool,
    uid: Vec<u8>,
    before: u64,
    timestamp: Time,
    r: [u8; 32],
    s: [u8; 32],
}

#[derive(Clone, Serialize, Deserialize)]
enum Time {
    Float(f64),
    Integer(i128),
}

#[derive(Clone, Serialize, Deserialize)]
enum Author {
    Known(u32),
    New { number: u32, sign: u8, x: [u8; 32] },
}

fn bytes(body: &Body) -> Vec<u8> {
    postcard::to_stdvec(body).expect("memory")
}

/// A name, and what it does to a record of one transaction.
type Case = (&'static str, fn(&mut Record));

const CASES: [Case; 17] = [
    ("a time that is no number", |b| {
        b.timestamp = Time::Float(f64::NAN)
    }),
    ("an endless time", |b| {
        b.timestamp = Time::Float(f64::INFINITY)
    }),
    ("a transaction's time", |b| {
        b.transactions[0].timestamp = Time::Float(f64::NEG_INFINITY);
    }),
    ("another time", |b| b.timestamp = Time::Integer(i128::MIN)),
    ("the last index of all", |b| b.index = u64::MAX),
    ("the next index", |b| b.index += 1),
    ("another nonce", |b| b.nonce = u64::MAX),
    ("another hash", |b| b.hash[31] ^= 1),
    ("an unknown key", |b| {
        b.transactions[0].author = Author::Known(u32::MAX)
    }),
    ("a key's number", |b| {
        let (number, sign, x) = (u32::MAX, 2, [1; 32]);
        b.transactions[0].author = Author::New { number, sign, x };
    }),
    ("no key at all", |b| {
        let (number, sign, x) = (1, 9, [1; 32]);
        b.transactions[0].author = Author::New { number, sign, x };
    }),
    ("a name that is no text", |b| {
        b.transactions[0].uid = vec![0xff; 3]
    }),
    ("a pair of surrogates", |b| {
        b.transactions[0].uid = b"\xed\xa0\xbd\xed\xb8\x80".to_vec();
    }),
    ("a change before", |b| b.transactions[0].before = u64::MAX),
    ("another signature", |b| b.transactions[0].r = [0xff; 32]),
    ("no signature", |b| b.transactions[0].s = [0; 32]),
    ("a change twice", |b| {
        b.transactions.push(b.transactions[0].clone())
    }),
];

/// The sub-commands and a node on a directory with this chain file.
fn live_with(chain: &[u8], what: &str, blocks: std::ops::RangeInclusive<usize>) {
    let directory = folder();
    let path = directory.path();
    let file = path.join("chain.blx");
    fs::write(&file, chain).expect("writes");
    let (code, out, err) = verify(&[name(&file)], b"");
    assert_eq!((code, err.as_str()), (1, ""), "{what}: {out}");
    let found = blocks
        .clone()
        .any(|at| out.starts_with(&format!("invalid at block {at}: ")));
    assert!(found, "{what}: {out}");
    for command in [&["export"][..], &["backup", name(&path.join("saved"))]] {
        let (code, out, err) = blx(command, path, b"");
        // A wrong signature is found by those who check signatures.
        assert!(code == 0 || err.starts_with("blx: "), "{what}: {out}{err}");
        assert_eq!(
            err.lines().count(),
            usize::from(code != 0) + usize::from(code == 0 && !err.is_empty()),
            "{what}: {err}"
        );
    }
    let mut node = node(path);
    node.enter(&["1", "zebra", "9"]);
    let said = node.finish();
    assert!(said.contains("✅ requested zebra"), "{what}: {said}");
    let (code, out, _) = verify(&[name(&file)], b"");
    let signed = !what.contains("signature");
    assert_eq!(
        code == 0,
        signed,
        "{what}, when the node has gone on: {out}"
    );
}

#[test]
fn a_value_that_no_node_writes_is_damage_whatever_its_checksum() {
    let directory = used();
    let whole = fs::read(directory.path().join("chain.blx")).expect("reads");
    let sound = bodies(&whole);
    assert_eq!(sealed(&whole, &sound), whole);
    assert_eq!(sound.len(), 4);
    for (what, alter) in CASES {
        for at in [2, 3] {
            let mut altered = sound.clone();
            let body: Body = postcard::from_bytes(&altered[at]).expect("a body");
            let Body::Block(mut block) = body else {
                panic!("a block")
            };
            alter(&mut block);
            altered[at] = bytes(&Body::Block(block));
            assert!(altered[at] != sound[at], "{what}");
            live_with(&sealed(&whole, &altered), what, at..=at);
        }
    }
}

#[test]
fn records_where_none_can_stand_are_damage() {
    let directory = used();
    let whole = fs::read(directory.path().join("chain.blx")).expect("reads");
    let sound = bodies(&whole);
    let (length, tip) = (u64::MAX, [0xff; 32]);
    let fork = u64::MAX;
    let strangers = [
        ("a branch behind everything", bytes(&Body::Branch { fork })),
        ("an end of no branch", bytes(&Body::Close { length, tip })),
        ("no record", vec![7, 7]),
        ("nothing", vec![]),
        (
            "more blocks than bytes",
            [&sound[1][..40], &[0xff; 9], &[1]].concat(),
        ),
    ];
    for (what, stranger) in strangers {
        for at in 1..=4 {
            let mut altered = sound.clone();
            altered.insert(at, stranger.clone());
            live_with(&sealed(&whole, &altered), what, at..=at);
        }
    }
}

#[test]
fn a_difficulty_that_no_node_takes_is_a_damaged_header() {
    let directory = used();
    let path = directory.path();
    let file = path.join("chain.blx");
    let whole = fs::read(&file).expect("reads");
    for difficulty in [17, 64, 255] {
        let mut header = whole.clone();
        header[10] = difficulty;
        fs::write(&file, sealed(&header, &bodies(&whole))).expect("writes");
        let (code, out, _) = verify(&[name(&file)], b"");
        assert_eq!(code, 1);
        assert_eq!(out, "invalid at block 0: the file's header is damaged\n");
        let fault = refused(&["export"], path, b"");
        assert!(
            fault.contains("the header of chain.blx is damaged"),
            "{fault}"
        );
    }
}
