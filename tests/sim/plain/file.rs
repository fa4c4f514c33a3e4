//! Reads a chain file, and the file of what waits for a block, as FILES.md has them.

use std::collections::BTreeMap;

use blx::limits::KEYS_MAX;

use super::rules::{Before, Ledger};
use super::{Block, Time, Transaction};

const HEADER: usize = 16;
/// What a record has in front of its body, and behind it.
const PREFIX: usize = 6;
const CHECK: usize = 4;

/// CRC-32, as Ethernet has it.
pub fn crc(bytes: &[u8]) -> u32 {
    static TABLE: [u32; 256] = table();
    let step = |crc: u32, byte: &u8| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)];
    !bytes.iter().fold(!0, step)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut crc, mut bit) = (at as u32, 0);
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
}

/// How what counts in a file ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// With the file.
    Clean,
    /// With a record or a longer chain behind it that were not written to their end.
    Unfinished,
    /// With damage, and nothing sound is behind that.
    Damaged,
    /// With damage, and there are sound records behind that.
    Hole,
}

/// What stands at a place of a file.
enum Found<'a> {
    Nothing,
    Record {
        body: &'a [u8],
        next: usize,
    },
    /// A record that goes on behind the end.
    Beginning,
    Garbage,
}

fn find(file: &[u8], at: usize) -> Found<'_> {
    let (before, rest) = (&file[at - CHECK..at], &file[at..]);
    if rest.is_empty() {
        return Found::Nothing;
    }
    let Some((prefix, behind)) = rest.split_first_chunk::<PREFIX>() else {
        return Found::Beginning;
    };
    if crc(&prefix[..4]).to_le_bytes()[..2] != prefix[4..] {
        return Found::Garbage;
    }
    let length = u32::from_le_bytes(prefix[..4].try_into().expect("four")) as usize;
    // Where a size has 32 bits, damage can make a length that is beyond what it holds.
    let end = length.checked_add(CHECK);
    let Some(check) = end.and_then(|end| behind.get(length..end)) else {
        return Found::Beginning;
    };
    let covered = [before, &rest[..PREFIX + length]].concat();
    if crc(&covered).to_le_bytes() != check {
        return Found::Garbage;
    }
    Found::Record {
        body: &behind[..length],
        next: at + PREFIX + length + CHECK,
    }
}

/// The sound records from a place on, each with its body and end. Where a record begins need
/// not be known.
fn sound(file: &[u8], from: usize) -> impl Iterator<Item = (&[u8], usize)> {
    let mut at = from;
    std::iter::from_fn(move || {
        while at < file.len() {
            if let Found::Record { body, next } = find(file, at) {
                at = next;
                return Some((body, next));
            }
            at += 1;
        }
        None
    })
}

/// What postcard wrote.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let count = usize::try_from(count).map_err(|_| "a length")?;
        self.0.split_off(..count).ok_or("it ends early".into())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N as u64)?.try_into().expect("so many"))
    }

    /// Seven bits a byte, the lowest first.
    fn long(&mut self) -> Result<u128, String> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let [byte] = self.bytes()?;
            let bits = u128::from(byte & 0x7f);
            if shift > 126 || bits << shift >> shift != bits || byte == 0 && shift > 0 {
                return Err("a number".into());
            }
            value |= bits << shift;
            shift += 7;
            if byte < 0x80 {
                return Ok(value);
            }
        }
    }

    fn number(&mut self) -> Result<u64, String> {
        self.long()?.try_into().map_err(|_| "a number".into())
    }

    fn flag(&mut self) -> Result<bool, String> {
        match self.bytes()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err("neither yes nor no".into()),
        }
    }

    fn time(&mut self) -> Result<Time, String> {
        match self.number()? {
            0 => {
                let value = f64::from_le_bytes(self.bytes()?);
                match value.is_finite() {
                    true => Ok(Time::Float(value)),
                    false => Err("no time".into()),
                }
            }
            1 => {
                // The sign is the last bit.
                let value = self.long()?;
                let half = (value >> 1) as i128;
                Ok(Time::Integer(if value & 1 == 1 { !half } else { half }))
            }
            _ => Err("no time".into()),
        }
    }

    /// A compressed point: its first byte, then x.
    fn key(&mut self) -> Result<[u8; 33], String> {
        let key: [u8; 33] = self.bytes()?;
        match key[0] {
            2 | 3 => Ok(key),
            _ => Err("no key".into()),
        }
    }

    /// The kind, the name, the time and the signature; `between` stands in front of the time.
    fn rest<T>(
        &mut self,
        key: [u8; 33],
        between: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<(Transaction, T), String> {
        let release = self.flag()?;
        let length = self.number()?;
        let name = self.take(length)?.to_vec();
        if !is_name(&name) {
            return Err("no name".into());
        }
        let between = between(self)?;
        let (time, signature) = (self.time()?, self.bytes()?);
        let transaction = Transaction {
            key,
            release,
            name,
            time,
            signature,
        };
        Ok((transaction, between))
    }
}

/// Whether it is UTF-8 but for surrogates that are no pair.
fn is_name(name: &[u8]) -> bool {
    // Read as if each were another character, and the text would not change with it.
    let mut text = Vec::new();
    let mut high = false;
    let mut rest = name;
    while let Some(first) = rest.first() {
        if let [0xed, second @ 0xa0..=0xbf, 0x80..=0xbf, ..] = rest {
            if high && *second >= 0xb0 {
                return false;
            }
            high = *second < 0xb0;
            text.extend(b"...");
            rest = &rest[3..];
        } else {
            high = false;
            text.push(*first);
            rest = &rest[1..];
        }
    }
    str::from_utf8(&text).is_ok()
}

/// The keys that have a number.
type Keys = BTreeMap<u64, [u8; 33]>;

/// The key of a transaction, by its number or in full.
fn author(fields: &mut Fields<'_>, keys: &mut Keys) -> Result<[u8; 33], String> {
    let count = keys.len() as u64;
    match fields.number()? {
        0 => {
            let number = fields.number()?;
            keys.get(&number).copied().ok_or("an unknown key".into())
        }
        1 => {
            let (number, key) = (fields.number()?, fields.key()?);
            let known = keys.values().any(|known| *known == key);
            let again = keys.get(&number) == Some(&key);
            if !again && (known || number != count || count >= KEYS_MAX as u64) {
                return Err("a key's number".into());
            }
            keys.insert(number, key);
            Ok(key)
        }
        2 => {
            let key = fields.key()?;
            match count < KEYS_MAX as u64 || keys.values().any(|known| *known == key) {
                true => Err("a key without its number".into()),
                false => Ok(key),
            }
        }
        _ => Err("no key".into()),
    }
}

/// A record's meaning.
enum Body {
    Block(Block, Vec<Before>),
    Branch(u64),
    Close(u64, [u8; 32]),
}

fn body(bytes: &[u8], keys: &mut Keys) -> Result<Body, String> {
    let mut fields = Fields(bytes);
    let body = match fields.number()? {
        0 => block(&mut fields, keys)?,
        1 => Body::Branch(fields.number()?),
        2 => Body::Close(fields.number()?, fields.bytes()?),
        _ => return Err("a record of no kind".into()),
    };
    match fields.0 {
        [] => Ok(body),
        _ => Err("a record that is too long".into()),
    }
}

/// The hash of the block before is that of the record before.
fn block(fields: &mut Fields<'_>, keys: &mut Keys) -> Result<Body, String> {
    let mut block = Block {
        index: fields.number()?,
        prev_hash: [0; 32],
        hash: fields.bytes()?,
        nonce: fields.number()?,
        time: fields.time()?,
        transactions: Vec::new(),
    };
    let mut found = Vec::new();
    for _ in 0..fields.number()? {
        let key = author(fields, keys)?;
        let (transaction, before) = fields.rest(key, |fields| match fields.number()? {
            0 => Ok(Before::New),
            u64::MAX => Ok(Before::Void),
            more => Ok(Before::At(more - 1)),
        })?;
        block.transactions.push(transaction);
        found.push(before);
    }
    Ok(Body::Block(block, found))
}

/// What was read up to some record.
#[derive(Clone, Default)]
struct State {
    /// Where the next one begins; 0 before the header.
    at: usize,
    keys: Keys,
    ledger: Ledger,
}

impl State {
    fn push(&mut self, mut block: Block, stored: &[Before]) -> Result<(), String> {
        block.prev_hash = self.ledger.tip();
        let height = block.index;
        match self.ledger.push(block)? == stored {
            true => Ok(()),
            false => Err(format!("block {height}: where its items were changed")),
        }
    }

    /// Reads the records of a branch; true if it was closed.
    fn branch(&mut self, file: &[u8], fork: u64) -> Result<bool, String> {
        if fork > self.ledger.length() {
            return Err("a branch that leaves the chain behind its end".into());
        }
        let before = self.ledger.length();
        self.ledger.back_to(fork);
        while let Found::Record { body: bytes, next } = find(file, self.at) {
            match body(bytes, &mut self.keys)? {
                Body::Block(block, found) => self.push(block, &found)?,
                Body::Branch(_) => return Err("a branch in a branch".into()),
                Body::Close(length, tip) => {
                    let here = (self.ledger.length(), self.ledger.tip());
                    if (length, tip) != here || length == fork || length < before {
                        return Err("a branch that is closed as another one".into());
                    }
                    self.at = next;
                    return Ok(true);
                }
            }
            self.at = next;
        }
        Ok(false)
    }

    /// What goes on behind damage: a closed branch that leaves the chain in front of it.
    fn behind(&self, file: &[u8]) -> Option<State> {
        let mut keys = self.keys.clone();
        for (bytes, next) in sound(file, self.at + 1) {
            let mut more = keys.clone();
            let Ok(body) = body(bytes, &mut more) else {
                continue;
            };
            keys = more;
            if let Body::Branch(fork) = body {
                let mut state = self.clone();
                (state.at, state.keys) = (next, keys.clone());
                if state.branch(file, fork) == Ok(true) {
                    return Some(state);
                }
            }
        }
        None
    }
}

/// A chain file, read once and then as far as it grows.
#[derive(Default)]
pub struct ChainFile {
    state: State,
    /// What was read up to there.
    seen: Vec<u8>,
    /// Where damage was passed over, among blocks that are stale.
    pub passed: usize,
    /// A branch that counts as far as it can be read.
    part: Option<State>,
}

impl ChainFile {
    /// The chain in a file; what no program of ours writes is an error, damage is not.
    pub fn of(file: &[u8]) -> Result<(Ledger, End), String> {
        let mut chain = ChainFile::default();
        let end = chain.read(file)?;
        Ok((chain.ledger().clone(), end))
    }

    pub fn ledger(&self) -> &Ledger {
        &self.part.as_ref().unwrap_or(&self.state).ledger
    }

    pub fn read(&mut self, file: &[u8]) -> Result<End, String> {
        if !file.starts_with(&self.seen) {
            *self = ChainFile::default();
        }
        self.part = None;
        if file.is_empty() {
            return Ok(End::Clean);
        }
        if self.state.at == 0 {
            self.state.ledger = Ledger::new(difficulty(file)?);
            self.state.at = HEADER;
        }
        let end = self.go_on(file);
        let at = self.state.at;
        self.seen.extend_from_slice(&file[self.seen.len()..at]);
        end
    }

    fn go_on(&mut self, file: &[u8]) -> Result<End, String> {
        loop {
            match find(file, self.state.at) {
                Found::Nothing => return Ok(End::Clean),
                Found::Record { body: bytes, next } => {
                    match body(bytes, &mut self.state.keys)? {
                        Body::Block(block, found) => self.state.push(block, &found)?,
                        Body::Close(..) => return Err("the end of no branch".into()),
                        Body::Branch(fork) => {
                            let mut state = self.state.clone();
                            state.at = next;
                            if state.branch(file, fork)? {
                                self.state = state;
                            } else if let Some(end) = self.unfinished(file, state) {
                                return Ok(end);
                            }
                            continue;
                        }
                    }
                    self.state.at = next;
                }
                found => {
                    if let Some(state) = self.state.behind(file) {
                        self.passed = self.state.at;
                        self.state = state;
                        continue;
                    }
                    let behind = sound(file, self.state.at + 1).next().is_some();
                    return Ok(match found {
                        _ if behind => End::Hole,
                        Found::Beginning => End::Unfinished,
                        _ => End::Damaged,
                    });
                }
            }
        }
    }

    /// A branch stops before it is closed: how the file ends with it, unless something goes on behind
    /// that. If its end was written behind damage, it counted.
    fn unfinished(&mut self, file: &[u8], part: State) -> Option<End> {
        let is_close = |bytes| matches!(body(bytes, &mut Keys::new()), Ok(Body::Close(..)));
        let counts = sound(file, part.at + 1).any(|(bytes, _)| is_close(bytes));
        let is_damaged = match find(file, part.at) {
            Found::Nothing => false,
            Found::Beginning => sound(file, part.at + 1).next().is_some(),
            _ => true,
        };
        match (is_damaged, counts) {
            (false, _) => Some(End::Unfinished),
            (true, false) => Some(End::Damaged),
            (true, true) => {
                if let Some(state) = part.behind(file) {
                    self.passed = part.at;
                    self.state = state;
                    return None;
                }
                self.part = Some(part);
                Some(End::Hole)
            }
        }
    }
}

/// What a header says.
fn difficulty(file: &[u8]) -> Result<u8, String> {
    let header: &[u8; HEADER] = file.first_chunk().ok_or("no header")?;
    let [.., low, high, difficulty, zero, _, _, _, _] = *header;
    let fine = header.starts_with(b"\x89BLX\r\n\x1a\n")
        && matches!([low, high], [1 | 2, 0])
        && zero == 0
        && crc(&header[..12]).to_le_bytes() == header[12..];
    fine.then_some(difficulty).ok_or("a header".into())
}

/// Transactions of a host's own user that wait together.
pub struct Waits {
    pub transactions: Vec<Transaction>,
    /// Nobody was told an outcome.
    pub fresh: bool,
}

/// The file of what waits for a block.
pub fn waiting(file: &[u8]) -> Result<Vec<Waits>, String> {
    if file.is_empty() {
        return Ok(Vec::new());
    }
    let (covered, check) = file.split_last_chunk::<CHECK>().ok_or("too short")?;
    if crc(covered).to_le_bytes() != *check {
        return Err("its check".into());
    }
    let body = covered.strip_prefix(b"\x89BLXWTG\x01").ok_or("its kind")?;
    let mut fields = Fields(body);
    let one = |fields: &mut Fields<'_>| {
        let key = fields.key()?;
        fields.rest(key, |_| Ok(())).map(|(it, ())| it)
    };
    let mut all = Vec::new();
    for _ in 0..fields.number()? {
        let mut transactions = Vec::new();
        for _ in 0..fields.number()? {
            transactions.push(one(&mut fields)?);
        }
        let fresh = fields.flag()?;
        if fields.flag()? {
            // The request that the release ended.
            one(&mut fields)?;
        }
        all.push(Waits {
            transactions,
            fresh,
        });
    }
    match fields.0 {
        [] => Ok(all),
        _ => Err("something behind it".into()),
    }
}
