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

/// A dial, for each address of the host: milliseconds until the next address is tried. A host on a
/// LAN answers within one; a second lost packet still fits.
pub const DIAL_MS_MAX: u64 = 5_000;

/// Looking up a name: milliseconds until the lookup counts as failed.
pub const RESOLVE_MS_MAX: u64 = 10_000;

/// The addresses of one name that a dial tries; the rest is ignored.
pub const DIAL_ADDRESSES_MAX: usize = 8;

/// No connection is accepted for so many milliseconds after accepting one failed: without it, a
/// process that ran out of descriptors would be woken by the waiting connection for ever.
pub const ACCEPT_PAUSE_MS: u64 = 1_000;

/// Bytes written at once to an output that cannot be made nonblocking. Linux calls a pipe, a
/// terminal or a socket writable only while at least this much fits.
pub const BLOCKING_WRITE_MAX: usize = 512;
