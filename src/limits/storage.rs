//! The files of a data directory.

use super::{MESSAGE_TEXT_MAX, either};

/// A record's body in the chain file: bytes. A stored block is always smaller than its text.
pub const RECORD_BODY_MAX: usize = MESSAGE_TEXT_MAX;

/// How much of a file is read at once: bytes. Kept in memory once for each file that is read.
pub const FILE_READ_BYTES: usize = either(32 << 10, 512);

/// Blocks from one mark of the height index to the next, at most. A mark costs 48 bytes; reading a
/// block out of order reads half as many others.
pub const MARK_SPACING: u64 = either(64, 4);

/// Bytes of blocks from one mark of the height index to the next: with large blocks, marks are
/// closer than [`MARK_SPACING`]. One block may be larger than this.
pub const MARK_BYTES: u64 = either(16 << 10, 1 << 10);

/// Keys that a chain file calls by number. Later keys stand in full in each of their transactions,
/// which takes 33 bytes more. About 100 bytes each, in one table for the chain and one for each
/// file that is read or written beside it.
pub const KEYS_MAX: usize = either(4_096, 3);

/// Blocks of the chain file read or copied in one call, at most.
pub const BLOCKS_PER_TURN: usize = either(256, 2);

/// Bytes of the chain file read or copied in one call, after which no further block is begun.
pub const BYTES_PER_TURN: u64 = either(256 << 10, 1 << 10);

/// Blocks read in one call to find out whether a transaction is in the chain already.
pub const HISTORY_PER_TURN: usize = either(16, 2);

/// A start that would read more of the chain file than this many bytes gets a checkpoint to start
/// from: a small Pi reads about as much in a second.
pub const CHECKPOINT_BYTES: u64 = either(8 << 20, 4 << 10);

/// The smallest chain file that a node compacts by itself: bytes.
pub const COMPACT_BYTES_MIN: u64 = either(64 << 10, 2 << 10);

/// Bytes copied into another file from one sync to the next.
pub const COPY_SYNC_BYTES: u64 = either(1 << 20, 1 << 10);

/// Milliseconds until the chain file is checked for the first time after the start.
pub const SCRUB_FIRST_MS: u64 = 600_000;

/// Milliseconds that a slice of the check of the chain file should take at most.
pub const SCRUB_SLICE_MS: u64 = 5;

/// How many times as long as a slice of the check of the chain file took, the check rests after it:
/// it takes at most 1 % of a core.
pub const SCRUB_REST: u64 = 99;

/// Signatures and blocks in a slice of the check of the chain file, at most.
pub const SCRUB_SLICE_MAX: usize = 64;

/// Milliseconds that a pending request waits for a peer that can fill a hole in the chain.
pub const HOLE_WAIT_MS: u64 = 60_000;
