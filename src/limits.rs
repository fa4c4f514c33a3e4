//! Every capacity and every time: what it means, its unit, and what it costs in memory.

/// A line of a peer, without its chain's blocks: bytes of text. Each connection has one buffer of
/// this size, of which the system only backs the part that was ever used.
pub const MESSAGE_TEXT_MAX: usize = 1 << 20;

/// A block as a desktop node would write it: bytes of text. What a `new_block` message adds must
/// still fit into [`MESSAGE_TEXT_MAX`], or the block could not be passed on.
pub const BLOCK_TEXT_MAX: usize = MESSAGE_TEXT_MAX - 256;

/// The unpacked keys that the signature check remembers: 98 bytes each.
pub const VERIFIER_KEYS: usize = 256;

/// An item's name as a user may type it: bytes of UTF-8. Peers are only bound by the block's limit.
pub const ITEM_BYTES_MAX: usize = 1024;

/// What is read from a connection at once: bytes. Of a connection's buffer about this much is in
/// use while messages are short or a chain passes through.
pub const READ_BYTES_MAX: usize = 16 << 10;

/// A `chain_response` without its blocks: bytes of text, held beside the buffer of each connection.
pub const ENVELOPE_TEXT_MAX: usize = 4096;

/// Addresses kept of one `peer_list`; a desktop node has at most as many peers (PROTOCOL.md
/// section 4). With [`PEER_TEXT_MAX`] at most 16 KiB, until the list is looked at.
pub const PEER_LIST_MAX: usize = 64;

/// An address in a `peer_list`: bytes. The longest DNS name, a colon and a port: 253 + 1 + 5.
pub const PEER_TEXT_MAX: usize = 259;

/// A block in a file that `blx verify` reads: bytes of text, held one block at a time. More than
/// [`MESSAGE_TEXT_MAX`], since a person may have indented the file.
pub const DOCUMENT_BLOCK_TEXT_MAX: usize = 4 * MESSAGE_TEXT_MAX;

const _: () = assert!(READ_BYTES_MAX < MESSAGE_TEXT_MAX && ENVELOPE_TEXT_MAX < MESSAGE_TEXT_MAX);
