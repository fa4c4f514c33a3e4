//! Chain files that somebody made: each checksum is right, around any body.

use blx::store::log::Log;
use blx::store::recover::OpenError;
use blx::wire::text;

use super::damage::{good, survivors};
use super::disk::SimDisk;
use super::history::{NOW, goes_on, own_table, table};
use super::records::{bodies, sealed};
use super::script::Script;

/// Alters the bodies of a file's records.
fn alter(bodies: &mut Vec<Vec<u8>>, script: &mut Script<'_>) {
    for _ in 0..16 {
        if script.is_over() || bodies.is_empty() {
            return;
        }
        let at = script.place(bodies.len() - 1);
        match script.below(7) {
            0 => drop(bodies.remove(at)),
            1 => {
                let again = bodies[at].clone();
                let place = script.place(bodies.len());
                bodies.insert(place, again);
            }
            2 => {
                let length = script.byte();
                bodies.insert(at, script.take(length.into()).to_vec());
            }
            3 => {
                let place = script.place(bodies[at].len());
                bodies[at].truncate(place);
            }
            4 => bodies.truncate(at),
            _ => {
                let from = script.place(bodies[at].len());
                let to = (from + script.below(12)).min(bodies[at].len());
                let length = script.below(24);
                let other = script.take(length).to_vec();
                bodies[at].splice(from..to, other);
            }
        }
    }
}

/// No value is trusted for its checksum: the file opens, all that is left can be told, and it goes on.
pub fn checksums(data: &[u8]) {
    let good = good();
    let mut script = Script::new(data);
    let mut header = good.chain.clone();
    if script.byte() == 1 {
        // A format and a difficulty.
        (header[8], header[10]) = (script.byte(), script.byte());
    }
    let mut altered = bodies(&good.chain);
    alter(&mut altered, &mut script);
    let disk = SimDisk::with(&sealed(&header, &altered), &[]);
    let mut log = match Log::open(disk, None, NOW) {
        Ok((log, recovery)) => {
            let _ = recovery.notice();
            log
        }
        Err(OpenError::Newer(_)) => return,
        Err(error) => panic!("open: {error}"),
    };
    for block in survivors(&mut log) {
        text::block(&mut Vec::new(), &block);
    }
    log.begin_chain(NOW).expect("the disk is sound");
    let blocks = survivors(&mut log);
    assert_eq!(own_table(&log), table(&blocks));
    // Blocks of much work are not made here.
    if log.difficulty() == 0 {
        goes_on(log).unwrap_or_else(|why| panic!("{} blocks: {why}", blocks.len()));
    }
}
