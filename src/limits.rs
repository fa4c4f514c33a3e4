//! Every capacity and every time: what it limits, its unit, and what it costs in memory.

mod console;
mod desktop;
mod full;
mod links;
mod storage;

pub use console::*;
pub use desktop::*;
pub use full::Full;
pub use links::*;
pub use storage::*;

/// The first, or with the feature `tiny-limits` the second: there every limit is soon reached, and
/// [`Full`] counts what runs then.
const fn either<T: Copy>(usual: T, tiny: T) -> T {
    if cfg!(feature = "tiny-limits") {
        tiny
    } else {
        usual
    }
}

/// The longest line of a peer, not counting its chain's blocks: bytes of text. A connection's buffer has
/// this size while such a line comes in, and is small before and after.
pub const MESSAGE_TEXT_MAX: usize = either(1 << 20, 4 << 10);

/// A block as a desktop node would write it: bytes of text. What a `new_block` message adds must
/// still fit into [`MESSAGE_TEXT_MAX`], or the block could not be passed on.
pub const BLOCK_TEXT_MAX: usize = MESSAGE_TEXT_MAX - 256;

/// The unpacked keys that the signature check remembers: 98 bytes each.
pub const VERIFIER_KEYS: usize = either(256, 2);

/// The transactions whose signature is remembered as good: 32 bytes each. In an answer whose chain
/// does not link, a desktop node repeats some 200 of them.
pub const VERIFIER_GOOD: usize = either(1_024, 4);

/// The longest text of a transaction that is remembered as good: bytes. Longer ones are checked each
/// time; with the usual limits no menu takes one.
pub const VERIFIER_TEXT_MAX: usize = either(4 << 10, 128);
const _: () =
    assert!(cfg!(feature = "tiny-limits") || 3 * ITEM_BYTES_MAX + 400 < VERIFIER_TEXT_MAX);

/// An item's name as a user may type it, and in a transaction on its own: bytes of UTF-8. In blocks of
/// others only the block's limit binds it.
pub const ITEM_BYTES_MAX: usize = either(1024, 32);

/// The most items in a chain that this node follows, by default: at most 64 bytes each, once for our
/// chain and once for another one while it is compared with ours.
pub const ITEMS_MAX: usize = either(200_000, 8);

/// The most space that another chain takes on disk until it is complete, by default: MiB. As much
/// again is appended to the chain file when it wins.
pub const STAGING_MIB: u64 = 256;

/// A peer's chain that is beyond [`ITEMS_MAX`] or [`STAGING_MIB`] is not followed: milliseconds
/// until the peer is asked for it again, and until the user is told of such a chain again.
pub const UNFOLLOWED_MS: u64 = 3_600_000;

/// Leading hexadecimal zeros of a block's hash, by default (PROTOCOL.md section 3). Each one more
/// makes a block 16 times as much work.
pub const DIFFICULTY_DEFAULT: u8 = 2;

/// Bytes that are ready to be sent on a connection. One buffer for each connection.
pub const WRITE_BYTES: usize = either(16 << 10, 64);

/// Bytes of a long name whose text is made at once: at most six times as many. A transaction with a
/// shorter one is made in one go.
pub const NAME_BYTES_PER_PART: usize = either(512, 16);

/// What is made at once of a message about transactions: bytes of text. Without its name a transaction
/// takes less than 400.
pub const PART_TEXT_MAX: usize = 6 * NAME_BYTES_PER_PART + 400;

/// Messages that wait to be sent on a connection: 16 bytes each. A desktop node that lets more pile
/// up is asked what it has; a node of this project sees in the next ping that it lacks something.
pub const OUTGOING_MESSAGES: usize = either(64, 4);

/// A partial response, which answers a node of this project that asks for what it lacks: bytes of
/// text, unless its first block alone is longer.
pub const PARTIAL_RESPONSE_TEXT_MAX: usize = either(256 << 10, 2 << 10);

/// The most hashes that are read of a locator: enough for every chain length of 64 bits. 32 bytes
/// each.
pub const LOCATOR: usize = either(65, 4);

/// Transactions of peers that wait for a block, or are looked up in the chain before: bytes of
/// memory. One with a short name takes some 600.
pub const MEMPOOL_BYTES: usize = either(1 << 20, 4 << 10);

/// The part of [`MEMPOOL_BYTES`] that transactions from one address may take.
pub const MEMPOOL_BYTES_PER_PEER: usize = MEMPOOL_BYTES / either(4, 2);

/// Transactions of others that were in a disconnected block, or in a chain or block that lost:
/// bytes of memory. The rest of them is read from disk when these have gone into blocks.
pub const RESTORED_BYTES: usize = either(1 << 20, 4 << 10);

/// What a waiting transaction costs besides itself, in the tables that find it: bytes.
pub const MEMPOOL_ENTRY_BYTES: usize = 128;

/// Ids of waiting transactions that a greeting tells, at most: 16 bytes each.
pub const MEMPOOL_IDS: usize = either(256, 4);

/// Connections, in both directions, including dials: one more is refused. Each costs some 60 KiB, and a
/// megabyte while a message is that long.
pub const PEERS: usize = either(32, 4);

/// Milliseconds of silence until a peer is sent a ping.
pub const IDLE_MS: u64 = 10_000;

/// A ping that is due within this many milliseconds is sent together with one that is due now, so
/// that a sleeping node wakes once for all of them.
pub const PINGS_TOGETHER_MS: u64 = 4_000;

/// Milliseconds until a peer that does not answer a ping is given up. One that does not answer in
/// this time when asked for its chain is taken to have none.
pub const ANSWER_MAX_MS: u64 = 30_000;

/// Milliseconds until a peer that has not answered a ping may be replaced by another connection to
/// the same node.
pub const SILENT_MS: u64 = 2_000;

/// Milliseconds until a message that has stopped in the middle ends the connection, in either
/// direction.
pub const STALL_MS: u64 = 30_000;

/// Milliseconds of a turn of the loop after which no further peer is served before the consoles, and
/// whoever comes, had their next turn. A call that has begun is not broken off.
pub const TURN_MS: u64 = 20;

/// Signatures checked in one call: about a millisecond on a desktop, twenty milliseconds on a small
/// Pi.
pub const SIGNATURES_PER_TURN: usize = either(16, 2);

/// Transactions tried on the items that take as long as checking one signature.
pub const APPLIED_PER_SIGNATURE: usize = either(64, 4);

/// Frames read in one call, unless their signatures are more than [`SIGNATURES_PER_TURN`].
pub const FRAMES_PER_TURN: usize = either(32, 4);

/// Bytes that the search for a nonce hashes in one call. A block of one transaction has some 500,
/// all of which are hashed for each nonce.
pub const WORK_BYTES_PER_TURN: usize = either(512 << 10, 16 << 10);

/// The text of a block template of this node: bytes. Less than [`BLOCK_TEXT_MAX`], since the nonce
/// grows while the block is made.
pub const TEMPLATE_TEXT_MAX: usize = BLOCK_TEXT_MAX - 256;

/// Bytes of text read in one call, after which no further frame is begun.
pub const TEXT_PER_TURN: usize = either(256 << 10, 3_200);

/// Transactions in a block that this node makes, and items in one request.
pub const TRANSACTIONS_PER_BLOCK: usize = either(200, 6);

// What a user asks for at once fits into one block: a name's byte becomes at most three of text (two
// bytes of UTF-8 an escape of six), and the rest of a transaction takes less than 400.
const _: () = assert!(TRANSACTIONS_PER_BLOCK * (3 * ITEM_BYTES_MAX + 400) < TEMPLATE_TEXT_MAX);

/// Milliseconds until a transaction of a peer that is in no block yet is dropped.
pub const MEMPOOL_MS: u64 = 600_000;

/// Milliseconds until a transaction of others goes into a block of ours, at least.
/// [`DELAY_SPREAD_MS`] is added by chance.
pub const DELAY_MS: u64 = 2_000;

/// The most milliseconds that chance adds to [`DELAY_MS`], so that nodes do not all make the same
/// block at once.
pub const DELAY_SPREAD_MS: u64 = 3_000;

/// Milliseconds until a transaction that has to stay out of a block, or that waits for more, is
/// looked at again.
pub const LOOK_AGAIN_MS: u64 = 100;

/// Milliseconds to wait for a node of this project that says it is ahead, after it was asked for
/// its chain, before blocks are made of what is not urgent.
pub const LOOK_AHEAD_MS: u64 = 2_000;

/// Milliseconds that a candidate's next words are awaited while somebody else's chain waits; then that one
/// is looked at.
pub const CANDIDATE_TURN_MS: u64 = 60_000;

/// Milliseconds until a chain is looked at again that has lost its turn.
pub const CANDIDATE_REST_MS: u64 = 60_000;

/// Milliseconds that no blocks are made of what is not urgent because others say that they are ahead, as
/// far as nothing comes of it.
pub const BELIEF_MAX_MS: u64 = 10_000;

/// Changes of the chain by what others say that are made one right after the other.
pub const PACE_BURST: u64 = 10;

/// Beyond [`PACE_BURST`] of them, milliseconds from one such change to the next, each of which has what
/// came meanwhile: each takes a sync of the disk.
pub const PACE_MS: u64 = 100;

/// A change of at least this many blocks is not counted in that.
pub const PACE_BLOCKS: u64 = 32;

/// Milliseconds from one block that takes the place of our last one to the next, at least.
pub const RIVAL_MS: u64 = 1_000;

/// Transactions of one losing chain that are salvaged at once. The others are taken when that chain
/// comes again, and so are those for which the mempool has no room.
pub const SALVAGED_FROM_CHAIN_MAX: usize = either(4_096, 6);

/// A reorg that loses or changes a transaction at least this many blocks behind the old tip is
/// shown as a warning.
pub const ALARM_DEPTH: u64 = 6;

/// Bytes read from a connection at once. Its buffer holds twice as much while messages are short or a
/// chain of short blocks passes through.
pub const READ_BYTES_MAX: usize = either(16 << 10, 64);

/// A `chain_response` without its blocks: bytes of text, held beside the buffer of each connection.
pub const ENVELOPE_TEXT_MAX: usize = either(4096, 512);

/// A block in a file that `blx verify` reads: bytes of text, held one block at a time. More than
/// [`MESSAGE_TEXT_MAX`], since a person may have indented the file.
pub const DOCUMENT_BLOCK_TEXT_MAX: usize = 4 * MESSAGE_TEXT_MAX;

const _: () = assert!(READ_BYTES_MAX < MESSAGE_TEXT_MAX && ENVELOPE_TEXT_MAX < MESSAGE_TEXT_MAX);

/// Transactions that the user was told are lost, remembered because there may be more to say about
/// them.
pub const LOST_REMEMBERED: usize = either(64, 2);

/// Milliseconds until a chain that was skipped, because another one was being looked at, is asked
/// for again at the latest.
pub const DEFERRED_MS: u64 = 10_000;

/// A chain that brings fewer blocks, signatures and times [`PROGRESS_TEXT`] than this in [`STALL_MS`] is
/// given up.
pub const PROGRESS_MIN: usize = 32;

/// Bytes of a chain's text that count as much as a block: a slow machine, or a slow link, may take
/// seconds for one block of [`MESSAGE_TEXT_MAX`].
pub const PROGRESS_TEXT: usize = 32 << 10;

/// When a call comes this many milliseconds late or more, that time is not counted against the
/// peers.
pub const OWN_STALL_MS: u64 = 200;

/// The most leading hexadecimal zeros that can be asked for: no machine finds 16, and a number
/// typed by mistake should not make a node look dead.
pub const DIFFICULTY_MAX: u8 = 16;

/// A wall clock that is at least this many seconds behind the last block counts as not set.
pub const CLOCK_BEHIND_S: f64 = 300.0;

/// A last block that is more than this many seconds ahead of a wall clock which was set is what is wrong of
/// the two.
pub const TIP_AHEAD_S: f64 = 7_200.0;

/// Up to this many seconds since 1970, in the year 2242, a double tells microseconds apart.
pub const CLOCK_EXACT_S: f64 = 8_589_934_592.0;

/// When this program was built: seconds since 1970. A wall clock that shows an earlier time counts
/// as not set. It is the day of the version, or the time of the build where `SOURCE_DATE_EPOCH`
/// names it, as reproducible builds do; reading the clock would make every build different.
pub const BUILT_S: u64 = match option_env!("SOURCE_DATE_EPOCH") {
    None => 1_795_564_800,
    Some(text) => match u64::from_str_radix(text, 10) {
        Ok(seconds) => seconds,
        Err(_) => panic!("SOURCE_DATE_EPOCH is no number of seconds"),
    },
};

// What is told of everybody and of what waits goes into a message, and something of a chain into a
// response.
const _: () = assert!(
    VOICES * ((52 + 17) * VOICE_DESKTOPS + 120) + 36 * MEMPOOL_IDS + 300 < MESSAGE_TEXT_MAX
        && 55 * PEERS + 300 < MESSAGE_TEXT_MAX
        && 68 * LOCATOR + 300 < MESSAGE_TEXT_MAX
        && ENVELOPE_TEXT_MAX < PARTIAL_RESPONSE_TEXT_MAX
);
