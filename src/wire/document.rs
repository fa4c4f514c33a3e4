//! A chain in a file of JSON, for `blx verify`: a `chain_response` as a peer would send it, or a
//! bare array of blocks, in any white space. One block is held at a time, never the chain.

use core::cell::Cell;
use core::fmt;
use core::ops::ControlFlow;
use std::io::{self, BufReader, Read};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::content::{self, BlockError, InvalidBlock};
use super::json::KeyIs;
use crate::ledger::{Block, RuleError};
use crate::limits::DOCUMENT_BLOCK_TEXT_MAX;

const TOO_LONG: BlockError = BlockError::Rule(InvalidBlock {
    index: None,
    error: RuleError::TooLong,
});

/// Why a document holds no chain.
#[derive(Debug)]
pub enum DocumentError {
    /// It could not be read.
    Io(io::Error),
    /// It is not JSON, or something stands behind it. Blocks before the place may have been
    /// handed over.
    NotJson(serde_json::Error),
    /// It is JSON, and neither of the two forms.
    NoChain,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DocumentError::Io(error) => write!(f, "it cannot be read: {error}"),
            DocumentError::NotJson(error) => write!(f, "it is not JSON: {error}"),
            DocumentError::NoChain => {
                f.write_str("it is neither a chain_response nor an array of blocks")
            }
        }
    }
}

impl core::error::Error for DocumentError {}

/// What takes the blocks in order, and may break off.
type Each<'a> = &'a mut dyn FnMut(Result<Block, BlockError>) -> ControlFlow<()>;

/// Reads a chain and hands over its blocks in order, until `each` breaks off or the end. A block
/// of more than [`DOCUMENT_BLOCK_TEXT_MAX`] bytes of text is handed over as too long, and is the
/// last.
pub fn read(reader: &mut dyn Read, each: Each<'_>) -> Result<(), DocumentError> {
    let left = Cell::new(usize::MAX);
    let gauge = Gauge {
        inner: BufReader::new(reader),
        left: &left,
    };
    let mut json = serde_json::Deserializer::from_reader(gauge);
    let mut chain = Chain {
        each,
        left: &left,
        found: false,
        broken_off: false,
    };
    let result = json
        .deserialize_any(Document(&mut chain))
        .and_then(|()| json.end());
    match result {
        _ if chain.broken_off => Ok(()),
        Ok(()) if chain.found => Ok(()),
        Ok(()) => Err(DocumentError::NoChain),
        Err(error) if error.is_data() => Err(DocumentError::NoChain),
        Err(error) if error.is_io() => Err(DocumentError::Io(error.into())),
        Err(error) => Err(DocumentError::NotJson(error)),
    }
}

/// Ends the input where a block gets too long to be held.
struct Gauge<'a> {
    inner: BufReader<&'a mut dyn Read>,
    left: &'a Cell<usize>,
}

impl Read for Gauge<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.left.get());
        let count = self.inner.read(&mut buffer[..room])?;
        if self.left.get() != usize::MAX {
            self.left.set(self.left.get() - count);
        }
        Ok(count)
    }
}

/// The array of blocks.
struct Chain<'a> {
    each: Each<'a>,
    left: &'a Cell<usize>,
    found: bool,
    broken_off: bool,
}

impl<'de> Visitor<'de> for &mut Chain<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of blocks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.found {
            return Err(A::Error::custom("a second chain"));
        }
        self.found = true;
        loop {
            self.left.set(DOCUMENT_BLOCK_TEXT_MAX);
            let element = seq.next_element::<Box<RawValue>>();
            let left = self.left.replace(usize::MAX);
            let (block, last) = match element {
                Ok(None) => return Ok(()),
                Ok(Some(text)) => (content::read_block(text.get().as_bytes()), false),
                Err(_) if left == 0 => (Err(TOO_LONG), true),
                Err(error) => return Err(error),
            };
            if (self.each)(block).is_break() || last {
                self.broken_off = true;
                return Err(A::Error::custom("broken off"));
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Chain<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

/// The whole document.
struct Document<'a, 'b>(&'a mut Chain<'b>);

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a chain_response or an array of blocks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.0.visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(payload) = map.next_key_seed(KeyIs("payload"))? {
            if payload {
                map.next_value_seed(Payload(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The object in `payload`.
struct Payload<'a, 'b>(&'a mut Chain<'b>);

impl<'de> DeserializeSeed<'de> for Payload<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Payload<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a chain")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(chain) = map.next_key_seed(KeyIs("chain"))? {
            if chain {
                map.next_value_seed(&mut *self.0)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Timestamp;
    use crate::wire::text;

    /// Reads bytes in small pieces, so that nothing depends on how they arrive.
    struct Crumbs<'a>(&'a [u8]);

    impl Read for Crumbs<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let room = buffer.len().min(7);
            self.0.read(&mut buffer[..room])
        }
    }

    fn outcome(document: &str) -> (Vec<Result<Block, BlockError>>, Result<(), DocumentError>) {
        let mut blocks = Vec::new();
        let result = read(&mut Crumbs(document.as_bytes()), &mut |block| {
            blocks.push(block);
            ControlFlow::Continue(())
        });
        (blocks, result)
    }

    fn genesis() -> (Block, String) {
        let block = Block::genesis(Timestamp::Integer(1));
        let mut out = Vec::new();
        text::block(&mut out, &block);
        (block, String::from_utf8(out).expect("ASCII"))
    }

    #[test]
    fn both_forms_in_any_white_space_and_key_order() {
        let (block, text) = genesis();
        let loose = text.replace(' ', "\n\t ");
        for document in [
            format!("[{text}, {text}]"),
            format!("\r\n[ {loose}\n,\n{loose} ]\n\n"),
            format!(
                "{{\"sender\": 1, \"payload\": {{\"length\": 2, \"x\": {{\"chain\": [0]}}, \
                 \"chain\": [{text}, {text}]}}, \"type\": \"chain_response\", \"\\ud800\": []}}\n"
            ),
        ] {
            let (blocks, result) = outcome(&document);
            assert!(result.is_ok(), "{document}: {result:?}");
            assert_eq!(blocks, [Ok(block.clone()), Ok(block.clone())], "{document}");
        }
        let (blocks, result) = outcome("[]");
        assert!(blocks.is_empty() && result.is_ok());
    }

    #[test]
    fn what_is_no_chain_is_told_apart_from_what_is_no_json() {
        for document in [
            "5",
            "\"x\"",
            "null",
            "{}",
            "{\"chain\": []}",
            "{\"payload\": []}",
            "{\"payload\": {\"chain\": {}}}",
            "{\"payload\": {\"chain\": [], \"chain\": []}}",
        ] {
            let (_, result) = outcome(document);
            assert!(
                matches!(result, Err(DocumentError::NoChain)),
                "{document}: {result:?}"
            );
        }
        for document in [
            "",
            "[",
            "[1,",
            "[] []",
            "[]x",
            "{\"payload\": {\"chain\": [",
            "[1 2]",
        ] {
            let (_, result) = outcome(document);
            assert!(
                matches!(result, Err(DocumentError::NotJson(_))),
                "{document}: {result:?}"
            );
        }
    }

    #[test]
    fn a_bad_element_is_handed_over_in_its_place() {
        let (block, text) = genesis();
        let (blocks, result) = outcome(&format!("[{text}, 7, {text}]"));
        assert!(result.is_ok());
        assert_eq!(blocks.len(), 3);
        assert_eq!(blocks[2], Ok(block));
        assert!(matches!(&blocks[1], Err(BlockError::Shape(_))));
    }

    #[test]
    fn breaking_off_ends_the_reading() {
        let mut count = 0;
        let result = read(&mut "[1, 2, 3 broken".as_bytes(), &mut |_| {
            count += 1;
            if count == 2 {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        assert!(result.is_ok());
        assert_eq!(count, 2);
    }

    #[test]
    fn an_element_without_end_is_not_held() {
        let mut endless = b"[\"".chain(io::repeat(b'x'));
        let mut blocks = Vec::new();
        let result = read(&mut endless, &mut |block| {
            blocks.push(block);
            ControlFlow::Continue(())
        });
        assert!(result.is_ok());
        assert_eq!(blocks, [Err(TOO_LONG)]);
    }

    #[test]
    fn a_failing_reader_is_named() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let error = read(&mut Failing, &mut |_| ControlFlow::Continue(())).expect_err("no bytes");
        assert!(matches!(error, DocumentError::Io(_)));
        assert!(error.to_string().contains("the disk is gone"), "{error}");
    }
}
