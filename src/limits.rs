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
