//! Reads blocks as they travel. Numbers keep their spelling, since 1 and 1.0 are hashed differently,
//! and strings may have surrogates that are no pair.

use super::{Block, Time, Transaction};

pub enum Json {
    Text(Vec<u8>),
    Number(String),
    List(Vec<Json>),
    Object(Vec<(Vec<u8>, Json)>),
    Word(String),
}

type Result<T> = std::result::Result<T, String>;

/// Reads a whole text.
pub fn read(text: &str) -> Result<Json> {
    let mut reader = Reader {
        rest: text.as_bytes(),
    };
    let json = reader.value()?;
    reader.blank();
    match reader.rest {
        [] => Ok(json),
        _ => Err("something behind the text".into()),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// Whether this comes next; then it is passed over.
    fn takes(&mut self, byte: u8) -> bool {
        self.blank();
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        match self.takes(byte) {
            true => Ok(()),
            false => Err(format!("no {:?}", char::from(byte))),
        }
    }

    fn value(&mut self) -> Result<Json> {
        self.blank();
        if self.takes(b'[') {
            let mut list = Vec::new();
            while !self.takes(b']') {
                if !list.is_empty() {
                    self.expect(b',')?;
                }
                list.push(self.value()?);
            }
            return Ok(Json::List(list));
        }
        if self.takes(b'{') {
            let mut fields = Vec::new();
            while !self.takes(b'}') {
                if !fields.is_empty() {
                    self.expect(b',')?;
                }
                let name = self.string()?;
                self.expect(b':')?;
                fields.push((name, self.value()?));
            }
            return Ok(Json::Object(fields));
        }
        if self.rest.starts_with(b"\"") {
            return self.string().map(Json::Text);
        }
        let end = self.rest.iter().position(|byte| b",]} \n".contains(byte));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let word = String::from_utf8_lossy(word).into_owned();
        match word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            true => Ok(Json::Number(word)),
            false => Ok(Json::Word(word)),
        }
    }

    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or("it ends")?;
        self.rest = rest;
        Ok(*first)
    }

    fn unit(&mut self) -> Result<u32> {
        let digits = self.rest.split_off(..4).ok_or("it ends")?;
        let digits = str::from_utf8(digits).map_err(|_| "no digits")?;
        u32::from_str_radix(digits, 16).map_err(|_| format!("no digits: {digits}"))
    }

    fn string(&mut self) -> Result<Vec<u8>> {
        self.expect(b'"')?;
        let mut text = Vec::new();
        loop {
            match self.byte()? {
                b'"' => return Ok(text),
                b'\\' => match self.byte()? {
                    b'n' => text.push(b'\n'),
                    b'r' => text.push(b'\r'),
                    b't' => text.push(b'\t'),
                    b'b' => text.push(8),
                    b'f' => text.push(12),
                    b'u' => {
                        let mut code = self.unit()?;
                        let mut other = Reader { rest: self.rest };
                        if (0xd800..0xdc00).contains(&code)
                            && other.rest.starts_with(b"\\u")
                            && other.rest.split_off(..2).is_some()
                            && let Ok(low @ 0xdc00..0xe000) = other.unit()
                        {
                            code = 0x1_0000 + (code - 0xd800) * 0x400 + (low - 0xdc00);
                            self.rest = other.rest;
                        }
                        put(&mut text, code);
                    }
                    plain => text.push(plain),
                },
                plain => text.push(plain),
            }
        }
    }
}

/// Adds a character, or a surrogate as if it were one.
fn put(text: &mut Vec<u8>, code: u32) {
    match char::from_u32(code) {
        Some(character) => text.extend(character.to_string().into_bytes()),
        None => text.extend([
            0xe0 | (code >> 12) as u8,
            0x80 | (code >> 6 & 0x3f) as u8,
            0x80 | (code & 0x3f) as u8,
        ]),
    }
}

impl Json {
    /// A field; of two with the same name the later one.
    pub fn get(&self, name: &str) -> Result<&Json> {
        let fields = match self {
            Json::Object(fields) => fields,
            _ => return Err("no object".into()),
        };
        let mut those = fields.iter().rev();
        let found = those.find(|(found, _)| found == name.as_bytes());
        found.map(|(_, json)| json).ok_or(format!("no {name}"))
    }

    pub fn list(&self) -> Result<&[Json]> {
        match self {
            Json::List(list) => Ok(list),
            _ => Err("no list".into()),
        }
    }

    pub fn text(&self) -> Result<&str> {
        match self {
            Json::Text(text) => str::from_utf8(text).map_err(|_| "no UTF-8".into()),
            _ => Err("no string".into()),
        }
    }

    pub fn whole(&self) -> Result<u64> {
        match self {
            Json::Number(digits) => digits.parse().map_err(|_| format!("{digits} is not whole")),
            _ => Err("no number".into()),
        }
    }

    pub fn time(&self) -> Result<Time> {
        let Json::Number(spelled) = self else {
            return Err("no number".into());
        };
        let float = |_| spelled.parse().map(Time::Float);
        let time = match spelled.contains(['.', 'e', 'E']) {
            false => spelled.parse().map(Time::Integer).map_err(|_| ()),
            true => float(()).map_err(|_| ()),
        };
        let finite = time.ok().filter(|time| match time {
            Time::Float(value) => value.is_finite(),
            Time::Integer(_) => true,
        });
        finite.ok_or(format!("{spelled} is no time"))
    }

    fn hash(&self) -> Result<[u8; 32]> {
        let text = self.text()?;
        match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Err("a hash in upper case".into()),
            false => Ok(bytes(text)?.try_into().map_err(|_| "a hash")?),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        bytes(self.text()?)
    }

    pub fn block(&self) -> Result<Block> {
        let transactions = self.get("transactions")?.list()?.iter();
        Ok(Block {
            index: self.get("index")?.whole()?,
            prev_hash: self.get("prev_hash")?.hash()?,
            transactions: transactions.map(Json::transaction).collect::<Result<_>>()?,
            nonce: self.get("nonce")?.whole()?,
            time: self.get("timestamp")?.time()?,
            hash: self.get("hash")?.hash()?,
        })
    }

    fn transaction(&self) -> Result<Transaction> {
        let Json::Text(name) = self.get("uid")? else {
            return Err("a name".into());
        };
        Ok(Transaction {
            key: point(&self.get("requester")?.bytes()?)?,
            release: match self.get("type")?.whole()? {
                1 => false,
                2 => true,
                other => return Err(format!("a type {other}")),
            },
            name: name.clone(),
            time: self.get("timestamp")?.time()?,
            signature: halves(&self.get("signature")?.bytes()?).ok_or("a signature")?,
        })
    }
}

fn bytes(digits: &str) -> Result<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
            let byte = digit(0).zip(digit(1)).map(|(a, b)| (a * 16 + b) as u8);
            byte.ok_or(format!("no hexadecimal digits: {digits}"))
        })
        .collect()
}

/// A point in its short form; whether it is one shows when a signature of it is checked.
fn point(bytes: &[u8]) -> Result<[u8; 33]> {
    let short = match bytes {
        [2 | 3, ..] => bytes.to_vec(),
        [4, both @ ..] if both.len() == 64 => {
            let mut short = vec![2 + both[63] % 2];
            short.extend(&both[..32]);
            short
        }
        _ => return Err("a key".into()),
    };
    short.try_into().map_err(|_| "a key".into())
}

/// r and s of a signature in DER: a sequence of two integers, each as short as it can be.
fn halves(der: &[u8]) -> Option<[u8; 64]> {
    let (&[0x30, length], mut rest) = der.split_first_chunk()? else {
        return None;
    };
    let mut both = [0; 64];
    if rest.len() != usize::from(length) {
        return None;
    }
    for half in both.chunks_mut(32) {
        let &[2, length] = rest.split_off(..2)? else {
            return None;
        };
        let mut digits = rest.split_off(..usize::from(length))?;
        match digits {
            [0, second, ..] if *second < 0x80 => return None,
            [0, _, ..] => digits = &digits[1..],
            [0x80..=0xff, ..] | [] => return None,
            _ => {}
        }
        let from = 32usize.checked_sub(digits.len())?;
        half[from..].copy_from_slice(digits);
    }
    rest.is_empty().then_some(both)
}
