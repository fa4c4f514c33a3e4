//! The records of a chain file, and the small files beside it.

use blx::ledger::Hash;
use blx::store::disk::{Disk, File};
use blx::store::extract::Extract;
use blx::store::keys::{self, KeyTable};
use blx::store::record::{self, BlockBody, Body, StoredBlock};
use blx::store::{address_book, events, waiting};
use blx::wire::text;

use super::disk::SimDisk;
use super::records::sealed;
use super::script::Script;

/// The files, and what each begins with.
const FILES: [(File, &[u8]); 6] = [
    (File::Peers, b"\x89BLXPRS\x01"),
    (File::Waiting, b"\x89BLXWTG\x01"),
    (File::Identity, b"\x89BLXKEY\x01"),
    (File::Events, b""),
    (File::Disconnected, b""),
    (File::Behind, b""),
];

/// A record's body, or a file: as it is, or with a beginning and a checksum that are right.
pub fn files(data: &[u8]) {
    let mut script = Script::new(data);
    let which = script.below(FILES.len() + 1);
    let Some((file, magic)) = FILES.get(which) else {
        return self::body(script.rest());
    };
    let bytes = match (script.byte() % 2, file) {
        (0, _) => script.rest().to_vec(),
        (_, File::Disconnected | File::Behind) => {
            let mut bodies = Vec::new();
            while !script.is_over() && bodies.len() < 16 {
                let length = script.byte();
                bodies.push(script.take(length.into()).to_vec());
            }
            sealed(&record::header(0), &bodies)
        }
        _ => {
            let mut bytes = [magic, script.rest()].concat();
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
            bytes
        }
    };
    let mut disk = SimDisk::default();
    disk.write(*file, 0, &bytes).expect("it writes");
    match file {
        File::Peers => book(disk),
        File::Waiting => waits(disk),
        File::Identity => {
            let _ = keys::identity(&mut disk, &[7; 32]);
        }
        File::Events => {
            let read = events::read(&mut disk).expect("it reads");
            events::lines(&read).for_each(drop);
            let line = events::line("2026-11-25T11:52:03Z", "something");
            events::add(&mut disk, std::slice::from_ref(&line)).expect("it writes");
            let read = events::read(&mut disk).expect("it reads");
            assert_eq!(events::lines(&read).next_back(), Some(line.as_str()));
        }
        _ => saved(disk),
    }
}

/// What is read of an address book is written so that it is read again.
fn book(mut disk: SimDisk) {
    let (entries, aside) = address_book::read(&mut disk).expect("it reads");
    assert!(aside.is_none() || entries.is_empty());
    address_book::write(&mut disk, &entries).expect("it writes");
    let again = address_book::read(&mut disk).expect("it reads");
    assert_eq!(again, (entries, None));
}

fn waits(mut disk: SimDisk) {
    let (list, aside) = waiting::read(&mut disk).expect("it reads");
    assert!(aside.is_none() || list.is_empty());
    for waits in &list {
        for transaction in waits.transactions.iter().chain(&waits.ended) {
            text::transaction(&mut Vec::new(), transaction);
            let _ = (transaction.id(), transaction.uid.to_string());
        }
    }
    waiting::write(&mut disk, &list).expect("it writes");
    assert_eq!(waiting::read(&mut disk).expect("it reads"), (list, None));
}

/// Blocks that are kept beside the chain.
fn saved(mut disk: SimDisk) {
    for open in [Extract::disconnected, Extract::behind] {
        if let Ok(Some(mut saved)) = open(&mut disk) {
            while let Ok(Some(stored)) = saved.next(&mut disk) {
                text::block(&mut Vec::new(), &stored.block);
            }
        }
    }
}

fn block_of(body: Body<'_>) -> Option<StoredBlock> {
    match body {
        Body::Block(block) => block.into_block(Hash::ZERO, &mut KeyTable::default()),
        _ => None,
    }
}

/// What a body is read as is written so that it is read again.
fn body(bytes: &[u8]) {
    let _ = record::read_header(bytes);
    if let Some(prefix) = bytes.first_chunk() {
        let _ = record::body_length(prefix);
    }
    let _ = record::open(bytes, 0);
    let Some(read) = Body::read(bytes) else {
        return;
    };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let check = read.write(5, &mut first).expect("it is short");
    let (inner, own) = record::open(&first, 5).expect("its check is right");
    assert_eq!(own, check);
    let again = Body::read(inner).expect("it was written so");
    again.write(5, &mut second).expect("it is short");
    assert_eq!(first, second);
    let Some(stored) = block_of(again) else {
        return;
    };
    text::block(&mut Vec::new(), &stored.block);
    let _ = (stored.has_void(), stored.effective().count());
    let mut keys = KeyTable::default();
    let anew = BlockBody::new(&stored.block, &stored.undo_data, &mut keys);
    let mut third = Vec::new();
    Body::Block(anew).write(5, &mut third).expect("it is short");
    let (inner, _) = record::open(&third, 5).expect("its check is right");
    assert_eq!(Body::read(inner).and_then(block_of), Some(stored));
}
