//! The decoder and the rules against what desktop nodes said, against what the product's own reader
//! finds in the same files, and against files in which something is wrong.

use std::collections::BTreeSet;
use std::path::Path;

use blx::ledger::Timestamp;
use blx::store::disk::{Disk, File};
use blx::store::log::Log;
use blx::store::recover::Ending;

use super::file::{ChainFile, End};
use super::json::{self, Json};
use super::rules::{Ledger, is_signed};
use super::{Block, hex, text};
use crate::disk::SimDisk;
use crate::numbers;
use crate::peer::{call_ours, chain_of, chain_response, grow, longer, sign};
use crate::records;
use crate::world::World;

fn vector(name: &str) -> Json {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let text = std::fs::read_to_string(root.join(name)).expect("a vector");
    json::read(&text).expect("JSON")
}

fn field<'a>(case: &'a Json, name: &str) -> &'a Json {
    case.get(name).expect("a field")
}

fn word<'a>(case: &'a Json, name: &str) -> &'a str {
    field(case, name).text().expect("a string")
}

#[test]
fn numbers_and_strings_are_spelled_as_python_spells_them() {
    for case in vector("numbers.json").list().expect("a list") {
        let number = json::read(word(case, "json")).and_then(|number| number.time());
        let time = number.expect("a number");
        assert_eq!(time.text(), word(case, "canonical"));
    }
    for case in vector("strings.json").list().expect("a list") {
        let canonical = word(case, "canonical");
        let Ok(Json::Text(name)) = json::read(canonical) else {
            panic!("{canonical}");
        };
        assert_eq!(hex(&name), word(case, "value_utf8_hex"));
        assert_eq!(text::string(&name), canonical);
    }
}

#[test]
fn the_chain_of_desktop_nodes_is_valid_and_ends_as_they_show_it() {
    let mut blocks = Vec::new();
    for case in vector("blocks.json").list().expect("a list") {
        let block = json::read(word(case, "wire")).and_then(|wire| wire.block());
        let block = block.expect("a block");
        assert_eq!(block.text(), word(case, "canonical"));
        assert_eq!(hex(&block.hash), word(case, "hash"));
        let signed = field(case, "transactions").list().expect("a list");
        for (transaction, case) in block.transactions.iter().zip(signed) {
            assert_eq!(transaction.text(), word(case, "signed_text"));
        }
        blocks.push(block);
    }
    let line = vector("chain_response.line");
    let told = field(field(&line, "payload"), "chain").list();
    let told: Result<Vec<Block>, String> = told.expect("a list").iter().map(Json::block).collect();
    assert_eq!(told.as_ref(), Ok(&blocks));
    let ledger = Ledger::of(2, blocks).expect("valid");
    let state = vector("chain_state.json");
    assert_eq!(Ok(ledger.length()), field(&state, "length").whole());
    assert_eq!(hex(&ledger.tip()), word(&state, "tip"));
    for (reserved, name) in [(true, "reserved"), (false, "available")] {
        let items = field(&state, name).list().expect("a list").iter();
        let items: BTreeSet<String> = items
            .map(|item| item.text().expect("a name").to_owned())
            .collect();
        assert_eq!(ledger.names(reserved), items);
    }
}

#[test]
fn altered_chains_are_refused_as_listed() {
    let cases = vector("verdicts.json");
    for case in cases.list().expect("a list") {
        let chain = field(case, "chain").list().expect("a list").iter();
        let blocks: Result<Vec<Block>, String> = chain.map(Json::block).collect();
        let verdict = blocks.and_then(|blocks| Ledger::of(2, blocks));
        let Json::Word(expected) = field(case, "this_node_accepts") else {
            panic!("neither true nor false");
        };
        let fine = verdict.is_ok().to_string();
        assert_eq!(&fine, expected, "{}: {verdict:?}", word(case, "name"));
    }
}

#[test]
fn a_signature_binds_all_that_is_signed() {
    let signed = super::Transaction::from(&sign(blx::ledger::Kind::Request, "drill", 1.5));
    assert!(is_signed(&signed));
    for at in 0..64 {
        let mut other = signed.clone();
        other.signature[at] ^= 1;
        assert!(!is_signed(&other));
    }
    for at in 0..33 {
        let mut other = signed.clone();
        other.key[at] ^= 1;
        assert!(!is_signed(&other));
    }
    let mut other = signed.clone();
    other.release = true;
    assert!(!is_signed(&other));
    let mut other = signed.clone();
    other.name.push(b'x');
    assert!(!is_signed(&other));
    let mut other = signed;
    other.time = super::Time::Integer(2);
    assert!(!is_signed(&other));
}

/// What a node of ours wrote: its user's blocks, numbers at their edges, two reorgs with stale blocks
/// behind them and keys that only those named, void transactions.
fn written() -> Vec<u8> {
    let mut world = World::new(1);
    world.difficulty = 0;
    world.capacity = 1 << 20;
    world.add(&[]);
    world.start(0);
    for item in ["a", "b", "\u{e9} \u{1f600}"] {
        let words = format!("5\n{item},drill-{item}\n2\ndrill-{item}\n");
        world.says(0, &words, 300);
    }
    let call = call_ours(&mut world, 0);
    let mut ours = chain_of(&mut world, 0);
    for edge in numbers::edges().into_iter().step_by(7) {
        let last = ours.last().expect("a first block");
        let block = numbers::edge_block(last, &format!("{edge:?}"), edge);
        ours.push(block);
    }
    for (fork, length) in [(2, 0), (4, 1)] {
        let mut chain = ours[..fork].to_vec();
        for _ in 0..2 {
            // The second one is void.
            grow(&world, &mut chain, Some("saw"));
        }
        let longest = chain_of(&mut world, 0).len().max(ours.len());
        let chain = longer(&world, chain, longest + length + 1);
        world.say(call, &chain_response(&chain));
        world.run(5_000);
        assert!(chain_of(&mut world, 0).starts_with(&chain));
        ours = chain_of(&mut world, 0);
        world.says(0, "1\nlast\n2\nlast\n", 300);
    }
    world.hosts[0].disk.live(File::Chain)
}

fn disk_with(file: &[u8]) -> SimDisk {
    let mut disk = SimDisk::default();
    disk.replace(File::Chain, file).expect("it is written");
    disk
}

/// What the product's reader makes of a file: the chain, and how it ends.
fn as_the_product_reads(file: &[u8]) -> (Vec<Block>, Ending) {
    let (mut log, ending) = Log::examine(disk_with(file)).expect("a chain file");
    let heights = 0..log.tip().length;
    let blocks = heights.map(|at| log.read(at).expect("sound").block);
    (blocks.map(|block| Block::from(&block)).collect(), ending)
}

/// Both readers find the same in a file.
fn compare(file: &[u8]) -> Ending {
    let (theirs, ending) = as_the_product_reads(file);
    let (ledger, end) = ChainFile::of(file).expect("it was written by ours");
    let same = ledger.blocks.iter().map(|block| &**block).eq(&theirs);
    assert!(same, "{ending:?}, {end:?}, {}", ledger.length());
    let same = match ending {
        Ending::Clean => End::Clean,
        Ending::Torn | Ending::OpenBranch => End::Unfinished,
        Ending::Damaged | Ending::NoHeader => End::Damaged,
        Ending::Hole => End::Hole,
    };
    assert_eq!(end, same, "{ending:?}");
    ending
}

#[test]
fn what_the_product_wrote_is_read_alike_wherever_it_ends() {
    let file = written();
    let bodies = records::bodies(&file);
    assert!(bodies.iter().filter(|body| body[0] == 2).count() >= 2);
    assert_eq!(compare(&file), Ending::Clean);
    let endings: Vec<Ending> = (16..file.len()).map(|end| compare(&file[..end])).collect();
    for ending in [Ending::Clean, Ending::Torn, Ending::OpenBranch] {
        assert!(endings.contains(&ending), "{ending:?}");
    }
}

#[test]
fn what_the_product_wrote_is_read_alike_with_every_byte_damaged() {
    let file = written();
    let mut endings = Vec::new();
    let mut passed = 0;
    for at in 16..file.len() {
        let mut file = file.clone();
        file[at] ^= 0x10;
        endings.push(compare(&file));
        let mut reader = ChainFile::default();
        reader.read(&file).expect("damage is no error");
        passed += usize::from(reader.passed > 0);
    }
    assert!(endings.contains(&Ending::Hole) && endings.contains(&Ending::Damaged));
    assert!(passed > 100, "damage among stale blocks: {passed}");
}

#[test]
fn a_file_that_is_compacted_is_read_anew() {
    let file = written();
    let mut reader = ChainFile::default();
    reader.read(&file[..file.len() / 2]).expect("sound");
    reader.read(&file).expect("sound");
    let disk = disk_with(&file);
    let (mut log, _) = Log::open(disk.copy(), None, Timestamp::Integer(0)).expect("it opens");
    while !log.compact(usize::MAX).expect("it writes") {}
    let small = log.disk().live(File::Chain);
    assert!(small.len() < file.len() && compare(&small) == Ending::Clean);
    let before = reader.ledger().blocks.clone();
    assert_eq!(reader.read(&small), Ok(End::Clean));
    assert_eq!(reader.ledger().blocks, before);
}

#[test]
fn every_byte_of_a_record_counts_though_all_checks_are_right() {
    let file = written();
    let bodies = records::bodies(&file);
    let (header, _) = file.split_at(16);
    assert_eq!(records::sealed(header, &bodies), file);
    for (place, body) in bodies.iter().enumerate() {
        for at in 0..body.len() {
            let mut altered = bodies.clone();
            altered[place][at] ^= 1;
            let file = records::sealed(header, &altered);
            let read = ChainFile::of(&file);
            assert!(read.is_err(), "record {place}, byte {at} of {body:02x?}");
        }
        let mut without = bodies.clone();
        without.remove(place);
        let read = ChainFile::of(&records::sealed(header, &without));
        let is_whole = matches!(read, Ok((_, End::Clean)));
        // Nothing follows from the last block of what a branch took the place of.
        let is_last = bodies.get(place + 1).is_none_or(|next| next[0] == 1);
        assert_eq!(is_whole, is_last, "without record {place}");
    }
    // Blocks of this chain have no work.
    let mut harder = header.to_vec();
    harder[10] = 3;
    let read = ChainFile::of(&records::sealed(&harder, &bodies));
    assert_eq!(read.map(|_| ()), Err("block 1: its work".into()));
    for at in 0..16 {
        let mut file = file.clone();
        file[at] ^= 1;
        assert!(ChainFile::of(&file).is_err(), "byte {at} of the header");
    }
}
