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

/// A line's bytes that are ready to be sent. One buffer for each connection.
pub const WRITE_BYTES: usize = 16 << 10;

/// Things that wait to be sent on a line: 16 bytes each. A peer that lets more pile up is told
/// the whole chain instead.
pub const INTENTS: usize = 64;

/// Connections, in both directions, dials included: the one after is refused. Each costs a
/// megabyte of address space, of which about 40 KiB are in use while messages are short.
pub const PEERS: usize = 32;

/// How long to wait before a peer is dialed again: milliseconds, the last one for ever.
pub const REDIAL_MS: [u64; 7] = [1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000];

/// A connection of this many milliseconds was healthy: after it the first delay counts again.
pub const HEALTHY_MS: u64 = 60_000;

/// A dial is given up after this many milliseconds.
pub const DIAL_MS: u64 = 20_000;

/// A peer from which nothing came for this many milliseconds is sent a ping.
pub const IDLE_MS: u64 = 30_000;

/// A peer from which nothing came for this many milliseconds is given up.
pub const SILENT_MS: u64 = 60_000;

/// A message that stops in the middle for this many milliseconds ends the connection, in either
/// direction.
pub const STALL_MS: u64 = 30_000;

/// A peer that broke a rule this often is given up.
pub const STRIKES: u8 = 3;

/// It is not dialed for this many milliseconds.
pub const BANISHED_MS: u64 = 600_000;

/// Signatures checked in one call: about a millisecond on a desktop, twenty on a small Pi.
pub const SIGNATURES_PER_TURN: usize = 16;

/// Nonces tried in one call.
pub const NONCES_PER_TURN: u32 = 2_048;

/// Blocks of the chain file read or copied in one call.
pub const BLOCKS_PER_TURN: usize = 256;

/// Transactions in a block that this node makes, and items in one request.
pub const TRANSACTIONS_PER_BLOCK: usize = 200;

/// How long the menu waits for the outcome of what its user asked before it takes the next
/// question: milliseconds. The outcome is shown whenever it comes.
pub const ANSWER_MS: u64 = 1_000;

/// How long an ending node waits until what it has to say is taken: milliseconds.
pub const FAREWELL_MS: u64 = 2_000;

/// A line that the user types: bytes. One buffer for each console.
pub const INPUT_BYTES: usize = 64 << 10;

/// What a console did not take yet: bytes. Events beyond it are counted, not kept.
pub const OUTPUT_BYTES: usize = 64 << 10;

/// Items written to a console in one call.
pub const ITEMS_PER_TURN: usize = 32;
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

/// A file beside the chain in a backup: bytes, held whole while it is restored.
pub const BACKUP_SMALL_BYTES_MAX: u64 = 1 << 20;

const _: () = assert!(READ_BYTES_MAX < MESSAGE_TEXT_MAX && ENVELOPE_TEXT_MAX < MESSAGE_TEXT_MAX);

/// Transactions that the user was told to be lost and may hear of again.
pub const LOST_REMEMBERED: usize = 64;

/// A chain that was skipped, because another one was being looked at, is asked for again after this
/// many milliseconds at the latest.
pub const DEFERRED_MS: u64 = 10_000;

/// A chain that comes to fewer blocks and signatures than this in [`STALL_MS`] is given up.
pub const PROGRESS_MIN: usize = 32;

/// A turn that comes this many milliseconds too late is no fault of the peers.
pub const OWN_STALL_MS: u64 = 5_000;

/// A start that would read more of the chain file than this many bytes gets a checkpoint to start
/// from: a small Pi reads about as much in a second.
pub const CHECKPOINT_BYTES: u64 = 8 << 20;

/// A chain file smaller than this many bytes is not compacted by itself.
pub const COMPACT_BYTES_MIN: u64 = 64 << 10;

/// Bytes copied into another file between two syncs.
pub const COPY_SYNC_BYTES: u64 = 1 << 20;

/// The most leading hexadecimal zeros that can be asked for: no machine finds 16, and a number that
/// was typed by mistake should not make a node look dead.
pub const DIFFICULTY_MAX: u8 = 16;

/// The chain file is read through and checked once in this many milliseconds.
pub const SCRUB_EVERY_MS: u64 = 24 * 3_600_000;

/// The first time is this many milliseconds after the start.
pub const SCRUB_FIRST_MS: u64 = 600_000;

/// A slice of that work should take at most this many milliseconds.
pub const SCRUB_SLICE_MS: u64 = 5;

/// After a slice the scrubber rests so many times as long as it took: at most 1 % of a core.
pub const SCRUB_REST: u64 = 99;

/// Signatures and blocks in a slice at most.
pub const SCRUB_SLICE_MAX: usize = 64;

/// How long a user's wish waits for a peer that can fill a hole in the chain: milliseconds.
pub const HOLE_WAIT_MS: u64 = 60_000;

/// Addresses in the peer book: about 200 bytes each.
pub const BOOK: usize = 1_024;

/// Of which one source can fill a part in this many.
pub const BOOK_SHARE: usize = 8;

/// The addresses that the book knows to be this node's own: the last ones that turned out so.
pub const BOOK_OURS: usize = 16;

/// An address of the book is dialed again this many milliseconds after a dial failed; after each
/// further one twice as many.
pub const BOOK_RETRY_MS: u64 = 60_000;

/// They are doubled so often at most: 64 minutes.
pub const BOOK_DOUBLINGS_MAX: u32 = 6;

/// An address that never answered is forgotten after so many dials.
pub const BOOK_MISSES_MAX: u32 = 3;

/// The book is written this many milliseconds after it has changed,
pub const BOOK_SETTLE_MS: u64 = 60_000;

/// but not before this many have gone by since it was written last.
pub const BOOK_WRITE_MS: u64 = 900_000;
