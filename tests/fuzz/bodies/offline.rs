//! What needs no running node: the command line, and chains that come as text.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use blx::ledger::{Block, Hash};
use blx::offline::progress::ProgressLine;
use blx::offline::verify::{self, Checker, Verdict};
use blx::store::disk::{Disk, File};
use blx::store::log::Log;
use blx::store::record;
use blx::wire::document;

use super::blocks::array_text;
use super::disk::SimDisk;
use super::history::read_all;
use super::script::Script;

/// Arguments, with a zero between them as the system has them.
pub fn command_line(data: &[u8]) {
    let words = data.split(|byte| *byte == 0);
    let words: Vec<OsString> = words
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
    for home in [Some(OsString::from("/home/u")), None] {
        if let Err(usage) = blx::cli::parse(words.clone(), home) {
            assert!(!usage.is_empty());
        }
    }
}

/// What `blx import` makes of a document: the verdict, and the blocks of the chain file then.
fn imported(text: &[u8]) -> Option<(Verdict, Vec<Block>)> {
    let mut disk = SimDisk::default();
    disk.write(File::Chain, 0, &record::header(0))
        .expect("it writes");
    let (mut log, _) = Log::examine(disk).expect("a new file");
    let mut progress = ProgressLine::begin();
    let keep = &mut |block: &Block| log.append(block).map_err(|error| format!("{error:?}"));
    let verdict = verify::document(&mut &*text, Checker::new(0), &mut progress, keep).ok()?;
    let blocks = read_all(&mut log).expect("it was just written");
    Some((verdict, blocks))
}

/// The blocks of a document, with links and hashes that are right.
fn mended(text: &[u8]) -> Vec<Block> {
    let (mut blocks, mut before) = (Vec::new(), Hash::ZERO);
    let _ = document::read(&mut &*text, &mut |read| {
        if let Ok(mut block) = read {
            (block.index, block.prev_hash) = (blocks.len() as u64, before);
            block.hash = block.content_hash();
            before = block.hash;
            blocks.push(block);
        }
        std::ops::ControlFlow::Continue(())
    });
    blocks
}

/// A document: as it is, or with all hashes right. What is taken can be told, and is taken again.
pub fn import(data: &[u8]) {
    let mut script = Script::new(data);
    let mends = script.byte() % 2 == 1;
    let mut text = script.rest().to_vec();
    if mends {
        text = array_text(&mended(&text)).into_bytes();
    }
    let Some((verdict, blocks)) = imported(&text) else {
        return;
    };
    assert!(!verdict.to_string().is_empty());
    if let Verdict::Valid {
        blocks: count, tip, ..
    } = verdict
    {
        let last = blocks.last().map(|block| block.hash);
        assert_eq!((count, Some(tip)), (blocks.len() as u64, last));
        let again = imported(array_text(&blocks).as_bytes());
        assert_eq!(again, Some((verdict, blocks)));
    }
}
