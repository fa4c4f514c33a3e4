//! The straightforward way to keep a chain, to compare with: all of it in memory, and the whole
//! file written anew after each block, as desktop nodes do, but compact and durable.
//!
//! It is spared what desktop nodes do on top: nothing is verified again when it is opened.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use blx::ledger::{
    Block, Changes, Hash, Items, Kind, PublicKey, Signature, Timestamp, Transaction, Uid,
};

/// The chain, and the file that is written whole.
pub struct Rewrite {
    path: PathBuf,
    blocks: Vec<Block>,
    items: Items,
}

impl Rewrite {
    /// A chain that is not in a file yet.
    pub fn new(path: &Path, blocks: Vec<Block>) -> Rewrite {
        let mut chain = Rewrite {
            path: path.to_owned(),
            blocks: Vec::new(),
            items: Items::default(),
        };
        for block in &blocks {
            chain.take(block);
        }
        chain.blocks = blocks;
        chain
    }

    /// Reads the file.
    pub fn open(path: &Path) -> io::Result<Rewrite> {
        let bytes = fs::read(path)?;
        let mut rest = &bytes[..];
        let mut blocks = Vec::new();
        while !rest.is_empty() {
            let block = read_block(&mut rest);
            blocks.push(block.ok_or(io::ErrorKind::InvalidData)?);
        }
        Ok(Rewrite::new(path, blocks))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    fn take(&mut self, block: &Block) {
        let mut changes = Changes::default();
        changes
            .apply_block(&self.items, block)
            .expect("a valid block");
        self.items.commit(changes);
    }

    /// Adds a block; it is durable when this returns. Says how many bytes were written.
    pub fn append(&mut self, block: Block) -> io::Result<u64> {
        self.take(&block);
        self.blocks.push(block);
        self.save()
    }

    /// Writes the whole file.
    pub fn save(&self) -> io::Result<u64> {
        let beside = self.path.with_extension("new");
        let mut out = BufWriter::with_capacity(1 << 16, File::create(&beside)?);
        let (mut record, mut written) = (Vec::new(), 0);
        for block in &self.blocks {
            record.clear();
            write_block(&mut record, block);
            out.write_all(&record)?;
            written += record.len() as u64;
        }
        out.into_inner()?.sync_data()?;
        fs::rename(&beside, &self.path)?;
        Ok(written)
    }
}

/// The bytes of one block.
pub fn write_block(out: &mut Vec<u8>, block: &Block) {
    out.extend(block.index.to_le_bytes());
    out.extend(block.prev_hash.as_bytes());
    out.extend(block.hash.as_bytes());
    out.extend(block.nonce.to_le_bytes());
    write_time(out, block.timestamp);
    write_length(out, block.transactions.len());
    for transaction in &block.transactions {
        let (r, s) = transaction.signature.halves();
        out.extend(transaction.requester.as_bytes());
        out.push(transaction.kind.code());
        write_length(out, transaction.uid.as_wtf8().len());
        out.extend(transaction.uid.as_wtf8());
        write_time(out, transaction.timestamp);
        out.extend(r);
        out.extend(s);
    }
}

fn write_length(out: &mut Vec<u8>, length: usize) {
    out.extend(u32::try_from(length).expect("short").to_le_bytes());
}

fn write_time(out: &mut Vec<u8>, time: Timestamp) {
    match time {
        Timestamp::Float(value) => {
            out.push(0);
            out.extend(value.to_le_bytes());
        }
        Timestamp::Integer(value) => {
            out.push(1);
            out.extend(value.to_le_bytes());
        }
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*taken)
}

fn read_length(from: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(take(from)?)).ok()
}

fn read_time(from: &mut &[u8]) -> Option<Timestamp> {
    match take(from)? {
        [0] => Some(Timestamp::Float(f64::from_le_bytes(take(from)?))),
        [1] => Some(Timestamp::Integer(i128::from_le_bytes(take(from)?))),
        _ => None,
    }
}

fn read_transaction(from: &mut &[u8]) -> Option<Transaction> {
    let requester = PublicKey::from_sec1(&take::<33>(from)?)?;
    let [code] = take(from)?;
    let length = read_length(from)?;
    let (name, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(Transaction {
        requester,
        uid: Uid::from_wtf8(name.to_vec()),
        kind: Kind::from_code(code.into())?,
        timestamp: read_time(from)?,
        signature: Signature::from_halves(take(from)?, take(from)?),
    })
}

fn read_block(from: &mut &[u8]) -> Option<Block> {
    let index = u64::from_le_bytes(take(from)?);
    let prev_hash = Hash::new(take(from)?);
    let hash = Hash::new(take(from)?);
    let nonce = u64::from_le_bytes(take(from)?);
    let timestamp = read_time(from)?;
    let count = read_length(from)?;
    // Exactly as much memory as they need, which growing would not give.
    let mut transactions = Vec::with_capacity(count.min(from.len()));
    for _ in 0..count {
        transactions.push(read_transaction(from)?);
    }
    Some(Block {
        index,
        prev_hash,
        transactions,
        nonce,
        timestamp,
        hash,
    })
}
