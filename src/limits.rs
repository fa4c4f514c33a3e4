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

/// A record's body in the chain file: bytes. A stored block is always smaller than its text.
pub const RECORD_BODY_MAX: usize = MESSAGE_TEXT_MAX;

/// How much of a file is read at once: bytes, kept in memory once for each file that is read.
pub const WINDOW_BYTES: usize = 32 << 10;

/// Blocks from one mark of the height index to the next. A mark costs 48 bytes; reading a block
/// out of order reads half as many others.
pub const MARK_SPACING: u64 = 64;

/// Leading hexadecimal zeros of a block's hash where nothing else is asked for (PROTOCOL.md
/// section 3). Each one more makes a block 16 times as much work.
pub const DIFFICULTY_DEFAULT: u8 = 2;
