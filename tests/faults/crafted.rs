//! Files that somebody made: every checksum is right, and the values are what no node writes. They
//! are refused, or set aside, or read for what they are; nothing panics.

use blx::store::address_book;
use blx::store::disk::{Disk, File};
use blx::store::extract::Extract;
use blx::store::record::CHECK_BYTES;
use blx::store::waiting;
use blx::wire::text;

use super::disk::SimDisk;
use super::full;
use super::history::{History, Step, check_one_of, goes_on, open, own_table, read_all};
use super::random::Random;
use super::records::{bodies, sealed};

/// Alters some bytes: to any value, to a limit, or by one more or less of them.
fn alter(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.place(bytes.len().max(1));
        match random.below(7) {
            _ if bytes.is_empty() => bytes.push(random.next() as u8),
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.place(5)],
            2 => bytes[at] ^= 1 << random.below(8),
            3 => {
                bytes.remove(at);
            }
            4 => {
                bytes.splice(at..at, [0xff; 9].into_iter().chain([1]));
            }
            // A float that is no number, or none that is finite.
            5 => {
                let float = [f64::NAN, f64::INFINITY, -f64::NAN][random.place(3)].to_le_bytes();
                let end = (at + 8).min(bytes.len());
                bytes[at..end].copy_from_slice(&float[..end - at]);
            }
            _ => bytes.truncate(at),
        }
    }
}

fn history() -> (History, SimDisk) {
    let mut random = Random::new(3);
    let mut history = History::new(0, usize::MAX);
    while history.chain().len() < 24 {
        match history.chain().len() {
            9 | 18 => history.branch(&mut random, false, true),
            _ => history.append(&mut random, 2),
        }
        if history.chain().len() == 16 {
            history.take(Step::Checkpoint);
        }
    }
    let disk = SimDisk::default();
    assert!(history.run(&disk).is_ok(), "a sound disk takes it all");
    (history, disk)
}

/// A start, everything that reads the file, and what a node does if nobody helps.
fn live_with(disk: &SimDisk) -> Result<(), String> {
    let (mut log, recovery) = match open(disk) {
        Ok(opened) => opened,
        Err(error) if error.contains("update blx") || error.contains("not a chain") => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let _ = recovery.notice();
    assert!(log.hole().is_none_or(|length| length > log.tip().length));
    for again in [false, true] {
        match read_all(&mut log) {
            Ok(blocks) => {
                for block in &blocks {
                    let mut bytes = Vec::new();
                    text::block(&mut bytes, block);
                    assert!(!format!("{:?}", block.timestamp.text()).contains("NaN"));
                }
                break;
            }
            Err(error) if again => return Err(error.to_string()),
            Err(_) => {
                log.reopen().map_err(|error| error.to_string())?;
            }
        }
    }
    log.give_up().map_err(|error| error.to_string())?;
    log.begin_chain(super::history::NOW)
        .map_err(|error| error.to_string())?;
    let chain = read_all(&mut log).map_err(|error| error.to_string())?;
    check_one_of(&mut log, &[chain])?;
    own_table(&log);
    goes_on(log)
}

#[test]
fn no_value_in_a_chain_file_is_trusted_for_its_checksum() {
    let (_, disk) = history();
    let whole = disk.live(File::Chain);
    let sound = bodies(&whole);
    assert_eq!(sealed(&whole, &sound), whole);
    let mut random = Random::new(5);
    for round in 0..if full() { 200_000 } else { 2_000 } {
        let mut altered = sound.clone();
        let at = random.place(altered.len());
        match random.below(12) {
            0 => altered.swap(at, (at + 1) % sound.len()),
            1 => drop(altered.remove(at)),
            2 => altered.insert(at, sound[random.place(sound.len())].clone()),
            // A branch record, and one that closes a branch.
            3 => altered.insert(at, vec![1, random.below(24) as u8]),
            4 => altered.insert(at, [&[1][..], &[0xff; 9], &[1]].concat()),
            _ => alter(&mut altered[at], &mut random),
        }
        let mut file = sealed(&whole, &altered);
        if random.below(20) == 0 {
            file[10] = random.next() as u8;
            file = sealed(&file, &altered);
        }
        let told = live_with(&SimDisk::with(&file, &[]));
        told.unwrap_or_else(|why| panic!("round {round}, record {at}: {why}"));
    }
}

#[test]
fn no_value_in_a_checkpoint_is_trusted_for_its_checksum() {
    let (history, disk) = history();
    let (chain, checkpoint) = (disk.live(File::Chain), disk.live(File::Checkpoint));
    let body = &checkpoint[8..checkpoint.len() - CHECK_BYTES];
    let mut random = Random::new(6);
    for round in 0..if full() { 100_000 } else { 2_000 } {
        let mut altered = body.to_vec();
        alter(&mut altered, &mut random);
        let mut file = [&checkpoint[..8], &altered].concat();
        file.extend_from_slice(&crc32fast::hash(&file).to_le_bytes());
        let disk = SimDisk::with(&chain, &file);
        let told = live_with(&disk);
        // What it says of the past may be a lie that nothing contradicts before the file is read.
        if let Err(why) = told
            && why != "the item table is wrong"
            && !why.contains("next start")
        {
            panic!("round {round}: {why}");
        }
    }
    let (mut log, _) = open(&disk).expect("the sound one");
    check_one_of(&mut log, &[history.chain().clone()]).expect("the chain");
}

#[test]
fn no_value_in_the_files_beside_is_trusted_for_its_checksum() {
    let small = [File::Peers, File::Waiting, File::Disconnected];
    let mut random = Random::new(8);
    let mut disk = SimDisk::default();
    let (history, _) = history();
    let own = history.chain()[2].transactions.clone();
    let waits = [waiting::Waiting {
        ended: Some(own[0].clone()),
        transactions: own,
        fresh: true,
    }];
    waiting::write(&mut disk, &waits).expect("writes");
    let entry = address_book::Entry {
        address: "[::1]:6000".parse().expect("an address"),
        source: "10.0.0.1".parse().expect("an address"),
        proven: true,
    };
    address_book::write(&mut disk, &[entry; 3]).expect("writes");
    let chain = history.run(&SimDisk::default());
    let chain = chain.ok().expect("runs").disk().live(File::Chain);
    // Its form is that of a chain file without branches.
    let close = |length: u8| [&[2, length][..], &[0; 32]].concat();
    let mut disconnected = vec![close(0)];
    disconnected.extend(bodies(&chain).into_iter().take(8));
    disconnected.push(close(8));
    for _ in 0..if full() { 50_000 } else { 1_000 } {
        for file in small {
            let bytes = match file {
                File::Disconnected => {
                    let mut altered = disconnected.clone();
                    let at = random.place(altered.len());
                    alter(&mut altered[at], &mut random);
                    sealed(&chain, &altered)
                }
                _ => {
                    let whole = disk.live(file);
                    let mut body = whole[8..whole.len() - CHECK_BYTES].to_vec();
                    alter(&mut body, &mut random);
                    let mut bytes = [&whole[..8], &body].concat();
                    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
                    bytes
                }
            };
            let mut copy = SimDisk::default();
            copy.write(file, 0, &bytes).expect("writes");
            let _ = address_book::read(&mut copy).expect("reads");
            for waits in waiting::read(&mut copy).expect("reads").0 {
                for transaction in waits.transactions.iter().chain(&waits.ended) {
                    let mut out = Vec::new();
                    text::transaction(&mut out, transaction);
                    let _ = (transaction.id(), transaction.uid.to_string());
                }
            }
            if let Ok(Some(mut saved)) = Extract::disconnected(&mut copy) {
                while let Ok(Some(stored)) = saved.next(&mut copy) {
                    text::block(&mut Vec::new(), &stored.block);
                }
            }
        }
    }
}
