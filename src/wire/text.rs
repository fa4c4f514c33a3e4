//! What desktop nodes would write, byte for byte: keys in their order, `", "` and `": "` between
//! them, ASCII only (PROTOCOL.md sections 1 and 2).

use super::kind::MessageKind;
use crate::ledger::canonical::{Length, Sink, escaped, hex, number, string};
use crate::ledger::{Block, Transaction};

/// Puts a transaction: at least 250 bytes of text.
pub fn transaction(sink: &mut impl Sink, transaction: &Transaction) {
    transaction_open(sink, transaction);
    escaped(sink, transaction.uid.as_wtf8());
    transaction_close(sink, transaction);
}

/// Puts what stands before the characters of a transaction's name.
pub(super) fn transaction_open(sink: &mut impl Sink, transaction: &Transaction) {
    sink.put(b"{\"requester\": \"");
    hex(sink, transaction.requester.as_bytes());
    sink.put(b"\", \"uid\": \"");
}

/// Puts what stands behind them.
pub(super) fn transaction_close(sink: &mut impl Sink, transaction: &Transaction) {
    sink.put(b"\", \"type\": ");
    number(sink, u64::from(transaction.kind.code()));
    sink.put(b", \"timestamp\": ");
    sink.put(transaction.timestamp.text().as_bytes());
    sink.put(b", \"signature\": \"");
    hex(sink, &transaction.signature.to_der());
    sink.put(b"\"}");
}

/// Puts a block: at most `BLOCK_TEXT_MAX` bytes of text, if the block was read from a peer.
pub fn block(sink: &mut impl Sink, block: &Block) {
    block_open(sink, block);
    for (position, transaction) in block.transactions.iter().enumerate() {
        if position > 0 {
            sink.put(b", ");
        }
        self::transaction(sink, transaction);
    }
    block_close(sink, block);
}

/// Puts what stands before a block's transactions.
pub(super) fn block_open(sink: &mut impl Sink, block: &Block) {
    sink.put(b"{\"index\": ");
    number(sink, block.index);
    sink.put(b", \"prev_hash\": \"");
    hex(sink, block.prev_hash.as_bytes());
    sink.put(b"\", \"transactions\": [");
}

/// Puts what stands behind them.
pub(super) fn block_close(sink: &mut impl Sink, block: &Block) {
    sink.put(b"], \"nonce\": ");
    number(sink, block.nonce);
    sink.put(b", \"timestamp\": ");
    sink.put(block.timestamp.text().as_bytes());
    sink.put(b", \"hash\": \"");
    hex(sink, block.hash.as_bytes());
    sink.put(b"\"}");
}

/// The bytes of a transaction's text.
pub fn transaction_bytes(transaction: &Transaction) -> usize {
    let mut length = Length::default();
    self::transaction(&mut length, transaction);
    length.0
}

/// The bytes of a block's text.
pub fn block_bytes(block: &Block) -> usize {
    let mut length = Length::default();
    self::block(&mut length, block);
    length.0
}

/// Puts what stands before a message's payload.
pub fn open(sink: &mut impl Sink, kind: MessageKind) {
    sink.put(b"{\"type\": \"");
    sink.put(kind.name().as_bytes());
    sink.put(b"\", \"payload\": ");
}

/// Puts what stands behind a message's payload, and ends the line. `sender` is `HOST:PORT`.
pub fn close(sink: &mut impl Sink, sender: &str) {
    sink.put(b", \"sender\": ");
    string(sink, sender.as_bytes());
    sink.put(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{BLOCK_TEXT_MAX, MESSAGE_TEXT_MAX};

    #[test]
    fn the_longest_block_fits_into_a_message() {
        let mut length = Length(BLOCK_TEXT_MAX);
        open(&mut length, MessageKind::NewBlock);
        close(
            &mut length,
            "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535",
        );
        assert!(length.0 <= MESSAGE_TEXT_MAX, "{}", length.0);
    }

    #[test]
    fn an_envelope_is_a_desktop_nodes() {
        let mut line = Vec::new();
        open(&mut line, MessageKind::Ping);
        line.extend_from_slice(b"{}");
        close(&mut line, "0.0.0.0:6000");
        let expected = "{\"type\": \"ping\", \"payload\": {}, \"sender\": \"0.0.0.0:6000\"}\n";
        assert_eq!(String::from_utf8(line).expect("ASCII"), expected);
    }
}
