//! Every capacity and every time: what it limits, its unit, and what it costs in memory.

mod desktop;
mod full;

pub use desktop::*;
pub use full::Full;

/// The first, or with the feature `tiny-limits` the second: there every limit is soon reached, and
/// [`Full`] counts what runs then.
const fn either<T: Copy>(usual: T, tiny: T) -> T {
    if cfg!(feature = "tiny-limits") {
        tiny
    } else {
        usual
    }
}

/// The longest line of a peer, not counting its chain's blocks: bytes of text. Each connection has
/// one buffer of this size, of which the system backs only the part that was ever used.
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

/// Connections, in both directions, including dials: one more is refused. Each costs a megabyte of
/// address space, of which about 40 KiB are in use while messages are short.
pub const PEERS: usize = either(32, 4);

/// Milliseconds until a peer is dialed again, after each failure in a row; the last one is used
/// from then on.
pub const REDIAL_MS: [u64; 7] = [1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000];

/// Milliseconds until a connection counts as healthy: when it ends after that, [`REDIAL_MS`] begins
/// anew.
pub const HEALTHY_MS: u64 = 60_000;

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

/// Broken rules until a peer is disconnected and banned.
pub const MISBEHAVIOURS_MAX: u8 = 3;

/// Milliseconds until a ban ends. Until then the peer is not dialed, nor listened to when it dials.
pub const BAN_MS: u64 = 600_000;

/// The most peers that are banned at a time.
pub const BANS: usize = either(64, 2);

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

/// Blocks of the chain file read or copied in one call, at most.
pub const BLOCKS_PER_TURN: usize = either(256, 2);

/// Bytes of the chain file read or copied in one call, after which no further block is begun.
pub const BYTES_PER_TURN: u64 = either(256 << 10, 1 << 10);

/// Bytes of text read in one call, after which no further frame is begun.
pub const TEXT_PER_TURN: usize = either(256 << 10, 3_200);

/// Transactions in a block that this node makes, and items in one request.
pub const TRANSACTIONS_PER_BLOCK: usize = either(200, 6);

// What a user asks for at once fits into one block: a name's byte becomes at most three of text (two
// bytes of UTF-8 an escape of six), and the rest of a transaction takes less than 400.
const _: () = assert!(TRANSACTIONS_PER_BLOCK * (3 * ITEM_BYTES_MAX + 400) < TEMPLATE_TEXT_MAX);

/// Milliseconds until the menu takes the next question although the last request has no outcome
/// yet. The outcome is shown whenever it comes.
pub const ANSWER_MS: u64 = 1_000;

/// Milliseconds that a node which is ending waits until its output is taken.
pub const FAREWELL_MS: u64 = 2_000;

/// Milliseconds that an ending node still waits after [`FAREWELL_MS`], so that those whose requests
/// are not done can be told.
pub const LAST_WORDS_MS: u64 = 200;

/// The longest line that a user types: bytes. One buffer for each console.
pub const INPUT_BYTES: usize = either(64 << 10, 256);

/// Output that a console has not taken yet: bytes. Events beyond it are counted, not kept.
pub const OUTPUT_BYTES: usize = either(64 << 10, 4 << 10);

/// The longest line typed on a serial console, and the buffer of input that is not read yet: bytes
/// each.
pub const SERIAL_LINE_BYTES: usize = either(256, 64);

/// Output that a serial console has not taken yet: bytes of answers, and as many of events. At 9600
/// baud that is eight seconds' worth; beyond it the oldest lines are left out.
pub const SERIAL_OUTPUT_BYTES: usize = either(8 << 10, 512);

/// Consoles, including connections to a control socket: each costs 64 KiB of address space, of
/// which the system backs only what was used.
pub const CONSOLES: usize = either(16, 3);

/// The most consoles that the command line can name; they are a part of [`CONSOLES`].
pub const CONSOLES_NAMED: usize = either(8, 2);

/// Items written to a console in one call.
pub const ITEMS_PER_TURN: usize = either(32, 2);

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

/// Transactions of one losing chain that are salvaged at once. The others are taken when that chain
/// comes again, and so are those for which the mempool has no room.
pub const SALVAGED_FROM_CHAIN_MAX: usize = either(4_096, 6);

/// Blocks read in one call to find out whether a transaction is in the chain already.
pub const HISTORY_PER_TURN: usize = either(16, 2);

/// A reorg that loses or changes a transaction at least this many blocks behind the old tip is
/// shown as a warning.
pub const ALARM_DEPTH: u64 = 6;

/// Milliseconds until a transfer or a check shows how far it is.
pub const PROGRESS_QUIET_MS: u64 = 2_000;

/// Milliseconds from one line of progress to the next, where each line stays.
pub const PROGRESS_APART_MS: u64 = 5_000;

/// Milliseconds from one line of progress to the next, where each one replaces the one before.
pub const PROGRESS_APART_TERMINAL_MS: u64 = 500;
/// Learned addresses are dialed only while there are fewer connections than this.
pub const LEARNED_PEERS: usize = either(8, 2);

/// Milliseconds from one dial of a learned address to the next, at least.
pub const LEARNED_APART_MS: u64 = 1_000;

/// Milliseconds until a new connection can become an eviction candidate.
pub const NEWCOMER_MS: u64 = 10_000;

/// So many connections keep it for longer since they answer fastest, and as many since they brought the last
/// blocks.
pub const PLACES_KEPT: usize = either(2, 1);
const _: () = assert!(2 * PLACES_KEPT < PEERS);

/// Milliseconds until a dial gives up one address of the host and tries the next. A host on a LAN
/// answers within one; a second lost packet still fits.
pub const DIAL_MS_MAX: u64 = 5_000;

/// Milliseconds until looking up a name counts as failed.
pub const RESOLVE_MS_MAX: u64 = 10_000;

/// The most addresses of one name that a dial tries; the rest is ignored.
pub const DIAL_ADDRESSES_MAX: usize = 8;

/// Milliseconds until connections are accepted again after accepting one failed. Without it, a
/// process that ran out of descriptors would be woken by the waiting connection for ever.
pub const ACCEPT_PAUSE_MS: u64 = 1_000;

/// Nodes of this project, including this one, of which it is known which desktop nodes they are
/// connected to.
pub const VOICES: usize = either(28, 3);

/// Desktop nodes that are known of each of the [`VOICES`]: 72 bytes each.
pub const VOICE_DESKTOPS: usize = either(PEERS, 2);

// What is told of everybody and of what waits goes into a message, and something of a chain into a
// response.
const _: () = assert!(
    VOICES * ((52 + 17) * VOICE_DESKTOPS + 120) + 36 * MEMPOOL_IDS + 300 < MESSAGE_TEXT_MAX
        && 55 * PEERS + 300 < MESSAGE_TEXT_MAX
        && 68 * LOCATOR + 300 < MESSAGE_TEXT_MAX
        && ENVELOPE_TEXT_MAX < PARTIAL_RESPONSE_TEXT_MAX
);

// The longest address takes 52 bytes of text with its quotes and comma, a block behind it 17, and what
// is beside them less than 120 for each node.
const _: () = assert!(VOICES * ((52 + 17) * VOICE_DESKTOPS + 120) < TEXT_PER_TURN / 4);

/// Milliseconds until a node that was not heard of, not even through others, counts as gone. Pings
/// tell of everybody every [`IDLE_MS`], on each part of the way.
pub const VOICE_MAX_MS: u64 = 45_000;

/// Milliseconds until a node that counts as gone is forgotten, so that what still goes round about
/// it does not count as new.
pub const VOICE_FORGET_MS: u64 = VOICE_MAX_MS;

/// Milliseconds until this node says again that it is there.
pub const VOICE_BEAT_MS: u64 = 5_000;

/// Milliseconds until a node of this project that was told nothing is pinged, although it speaks
/// all the time so that no ping is due.
pub const VOICE_TELL_MS: u64 = 15_000;

/// Milliseconds from one message with news of the voices to the next, for each peer.
pub const VOICE_APART_MS: u64 = 250;

/// Milliseconds that a node waits when it is its turn to speak, so that whoever spoke before knows.
pub const VOICE_SETTLE_MS: u64 = 2_000;

/// Milliseconds until a node that is catching up gives its turn away.
pub const VOICE_PATIENCE_MS: u64 = 3_000;

/// Milliseconds of being stopped, for instance by a debugger or a sleeping machine, after which
/// another node may have taken this one's turn.
pub const VOICE_STALL_MS: u64 = 10_000;

/// After a stop of [`VOICE_STALL_MS`], milliseconds until this node speaks again although it has
/// not heard from the others.
pub const VOICE_SILENCE_MS: u64 = 12_000;

/// Bytes written at once to an output that cannot be made nonblocking. Linux calls a pipe, a
/// terminal or a socket writable only while at least this much fits.
pub const BLOCKING_WRITE_MAX: usize = 512;
/// Bytes read from a connection at once. About this much of its buffer is in use while messages are
/// short or a chain passes through.
pub const READ_BYTES_MAX: usize = either(16 << 10, 64);

/// A `chain_response` without its blocks: bytes of text, held beside the buffer of each connection.
pub const ENVELOPE_TEXT_MAX: usize = either(4096, 512);

/// Addresses kept of one `peer_list`; a desktop node has at most as many peers (PROTOCOL.md section
/// 4). With [`PEER_TEXT_MAX`] at most 16 KiB, until the list is looked at.
pub const PEER_LIST_MAX: usize = either(64, 2);

/// Milliseconds until a peer is told again whom we know, and until its next list is read.
pub const PEER_LIST_MS: u64 = 60_000;

/// An address in a `peer_list`: bytes. The longest DNS name, a colon and a port: 253 + 1 + 5.
pub const PEER_TEXT_MAX: usize = 259;

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

/// A start that would read more of the chain file than this many bytes gets a checkpoint to start
/// from: a small Pi reads about as much in a second.
pub const CHECKPOINT_BYTES: u64 = either(8 << 20, 4 << 10);

/// The smallest chain file that a node compacts by itself: bytes.
pub const COMPACT_BYTES_MIN: u64 = either(64 << 10, 2 << 10);

/// Bytes copied into another file from one sync to the next.
pub const COPY_SYNC_BYTES: u64 = either(1 << 20, 1 << 10);

/// The most leading hexadecimal zeros that can be asked for: no machine finds 16, and a number
/// typed by mistake should not make a node look dead.
pub const DIFFICULTY_MAX: u8 = 16;

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

/// Addresses in the address book: about 200 bytes each.
pub const ADDRESS_BOOK: usize = either(1_024, 4);

/// One source can fill this part of the address book: one in so many of its addresses.
pub const ADDRESS_BOOK_SHARE: usize = either(8, 2);

/// Addresses that turned out to be this node's own and are remembered as such: the last ones.
pub const ADDRESS_BOOK_OURS: usize = 16;

/// Milliseconds until an address of the address book is dialed again after a failed dial. Each
/// further failure doubles them.
pub const ADDRESS_BOOK_BACKOFF_MS: u64 = 60_000;

/// How often [`ADDRESS_BOOK_BACKOFF_MS`] is doubled at most: up to 64 minutes.
pub const ADDRESS_BOOK_DOUBLINGS_MAX: u32 = 6;

/// Failed dials after which an address that never answered is forgotten.
pub const ADDRESS_BOOK_FAILURES_MAX: u32 = 3;

/// Milliseconds until the address book is written after it has changed.
pub const ADDRESS_BOOK_SETTLE_MS: u64 = 60_000;

/// Milliseconds from one write of the address book to the next, at least.
pub const ADDRESS_BOOK_WRITE_MS: u64 = 900_000;

/// Milliseconds until a serial device that is not there is tried again. Each further failure
/// doubles them, up to [`SERIAL_RETRY_MS_MAX`].
pub const SERIAL_RETRY_MS: u64 = 1_000;

/// The most milliseconds until a serial device that is not there is tried again.
pub const SERIAL_RETRY_MS_MAX: u64 = 30_000;

/// Milliseconds from one message about the height or the number of peers to a service manager to
/// the next, at least.
pub const STATUS_SPACING_MS: u64 = 1_000;

/// Milliseconds until a message for which the service manager's queue had no room is sent again, at
/// the latest.
pub const NOTIFY_RETRY_MS: u64 = 100;

/// The event log on disk: bytes.
pub const EVENTS_BYTES: usize = either(64 << 10, 512);

/// A line in the event log: bytes. The longest line that is not cut names two hashes of 64 digits.
pub const EVENT_BYTES_MAX: usize = either(512, 128);

/// Events kept of one hour of a run: this many about faults and damage of the disk, and as many
/// about everything else. Further ones are counted. A card that is written too often wears out, and
/// what matters would be pushed out of the log.
pub const EVENTS_PER_HOUR: u32 = either(10, 3);

/// An hour: milliseconds.
pub const EVENTS_HOUR_MS: u64 = 3_600_000;

/// Milliseconds until an event log that could not be written is tried again.
pub const EVENTS_RETRY_MS: u64 = EVENTS_HOUR_MS;

/// Events that the menu lists: the last ones.
pub const EVENTS_LISTED: usize = either(20, 3);

/// A wall clock that is at least this many seconds behind the last block counts as not set.
pub const CLOCK_BEHIND_S: f64 = 300.0;

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
