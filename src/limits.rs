//! Every capacity and every time: what it means, its unit, and what it costs in memory.

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

/// A line of a peer, without its chain's blocks: bytes of text. Each connection has one buffer of
/// this size, of which the system only backs the part that was ever used.
pub const MESSAGE_TEXT_MAX: usize = either(1 << 20, 4 << 10);

/// A block as a desktop node would write it: bytes of text. What a `new_block` message adds must
/// still fit into [`MESSAGE_TEXT_MAX`], or the block could not be passed on.
pub const BLOCK_TEXT_MAX: usize = MESSAGE_TEXT_MAX - 256;

/// The unpacked keys that the signature check remembers: 98 bytes each.
pub const VERIFIER_KEYS: usize = either(256, 2);

/// The transactions whose signature it remembers to be good: 32 bytes each. A desktop node says
/// some 200 again in an answer whose chain does not link.
pub const VERIFIER_GOOD: usize = either(1_024, 4);

/// No longer text of a transaction is remembered as good: bytes.
pub const VERIFIER_TEXT_MAX: usize = 4 * ITEM_BYTES_MAX;

/// An item's name as a user may type it: bytes of UTF-8. Peers are only bound by the block's limit.
pub const ITEM_BYTES_MAX: usize = either(1024, 32);

/// A record's body in the chain file: bytes. A stored block is always smaller than its text.
pub const RECORD_BODY_MAX: usize = MESSAGE_TEXT_MAX;

/// How much of a file is read at once: bytes, kept in memory once for each file that is read.
pub const FILE_READ_BYTES: usize = either(32 << 10, 512);

/// Blocks from one mark of the height index to the next. A mark costs 48 bytes; reading a block
/// out of order reads half as many others,
pub const MARK_SPACING: u64 = either(64, 4);

/// but of large ones no more than so many bytes, and one block.
pub const MARK_BYTES: u64 = either(16 << 10, 1 << 10);

/// Keys that a chain file calls by number; whoever comes later has his key in each of his
/// transactions, which takes 33 bytes more. About 100 bytes each, in one table for the chain and one
/// for each file that is read or written beside it.
pub const KEYS_MAX: usize = either(4_096, 3);

/// Items in a chain that this node follows, where nothing else is asked for: at most 64 bytes each,
/// once for our chain and once for another one while it is compared with ours.
pub const ITEMS_MAX: usize = either(200_000, 8);

/// Another chain that waits on disk until it is complete, where nothing else is asked for: MiB. As
/// much again is appended to the chain file when it wins.
pub const STAGING_MIB: u64 = 256;

/// A peer whose chain is not followed, since it is beyond one of these two, is not asked for it
/// again for so many milliseconds, and the user hears of none for as long.
pub const UNFOLLOWED_MS: u64 = 3_600_000;

/// Leading hexadecimal zeros of a block's hash where nothing else is asked for (PROTOCOL.md
/// section 3). Each one more makes a block 16 times as much work.
pub const DIFFICULTY_DEFAULT: u8 = 2;

/// A line's bytes that are ready to be sent. One buffer for each connection.
pub const WRITE_BYTES: usize = either(16 << 10, 64);

/// Things that wait to be sent on a line: 16 bytes each. A desktop node that lets more pile up is
/// asked what it has; one of ours sees in the next ping that it lacks something.
pub const OUTGOING_MESSAGES: usize = either(64, 4);

/// An answer to one of ours that asks for what it lacks: bytes of text, where more than one block
/// is in it.
pub const PARTIAL_RESPONSE_TEXT_MAX: usize = either(256 << 10, 2 << 10);

/// Hashes that are read of a locator: enough for every length of 64 bits. 32 bytes each.
pub const LOCATOR: usize = either(65, 4);

/// Transactions of peers that wait for a block, or are looked for in the chain before: bytes of
/// memory. One with a short name takes some 600.
pub const MEMPOOL_BYTES: usize = either(1 << 20, 4 << 10);

/// Of these, those that came from one address.
pub const MEMPOOL_BYTES_PER_PEER: usize = MEMPOOL_BYTES / either(4, 2);

/// Transactions of others that fell out of the chain, or were found in a chain or block that lost:
/// bytes of memory. What else fell out is read from disk when these have gone into blocks.
pub const RESTORED_BYTES: usize = either(1 << 20, 4 << 10);

/// What a waiting transaction costs besides itself, in the tables that find it: bytes.
pub const MEMPOOL_ENTRY_BYTES: usize = 128;

/// Ids of waiting transactions that are told in a greeting: 16 bytes each.
pub const MEMPOOL_IDS: usize = either(256, 4);

/// Connections, in both directions, dials included: the one after is refused. Each costs a
/// megabyte of address space, of which about 40 KiB are in use while messages are short.
pub const PEERS: usize = either(32, 4);

/// How long to wait before a peer is dialed again: milliseconds, the last one for ever.
pub const REDIAL_MS: [u64; 7] = [1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000];

/// A connection of this many milliseconds was healthy: after it the first delay counts again.
pub const HEALTHY_MS: u64 = 60_000;

/// A peer from which nothing came for this many milliseconds is sent a ping.
pub const IDLE_MS: u64 = 10_000;

/// Whoever is to be pinged within this many milliseconds is pinged with the first: one that
/// sleeps is woken once for all of them.
pub const PINGS_TOGETHER_MS: u64 = 4_000;

/// A peer that does not answer a ping in this many milliseconds is given up; one that does not
/// answer when asked for its chain is taken as having none.
pub const ANSWER_MAX_MS: u64 = 30_000;

/// A peer that has not answered a ping for this many milliseconds makes way for another connection
/// to the same node.
pub const SILENT_MS: u64 = 2_000;

/// A message that stops in the middle for this many milliseconds ends the connection, in either
/// direction.
pub const STALL_MS: u64 = 30_000;

/// A peer that broke a rule this often is given up.
pub const MISBEHAVIOURS_MAX: u8 = 3;

/// For this many milliseconds it is not dialed, nor listened to when it dials.
pub const BAN_MS: u64 = 600_000;

/// So many are left alone at a time.
pub const BANS: usize = either(64, 2);

/// Signatures checked in one call: about a millisecond on a desktop, twenty on a small Pi.
pub const SIGNATURES_PER_TURN: usize = either(16, 2);

/// Transactions tried on the items that take as long as the check of one signature.
pub const APPLIED_PER_SIGNATURE: usize = either(64, 4);

/// Frames read in one call, if their signatures are not more than [`SIGNATURES_PER_TURN`].
pub const FRAMES_PER_TURN: usize = either(32, 4);

/// What the search for a nonce hashes in one call: bytes. A block of one transaction has some 500,
/// all of which are hashed for each nonce.
pub const WORK_BYTES_PER_TURN: usize = either(512 << 10, 16 << 10);

/// The text of a block that this node makes: bytes. Less than [`BLOCK_TEXT_MAX`], since its nonce
/// grows while it is made.
pub const TEMPLATE_TEXT_MAX: usize = BLOCK_TEXT_MAX - 256;

/// Blocks of the chain file read or copied in one call,
pub const BLOCKS_PER_TURN: usize = either(256, 2);

/// and their bytes, after which no further one is begun.
pub const BYTES_PER_TURN: u64 = either(256 << 10, 1 << 10);

/// Bytes of text that are read in one call, after which no further frame is begun.
pub const TEXT_PER_TURN: usize = either(256 << 10, 3_200);

/// Transactions in a block that this node makes, and items in one request.
pub const TRANSACTIONS_PER_BLOCK: usize = either(200, 6);

// What a user asks for at once fits into one block: a name's byte becomes at most three of text (two
// bytes of UTF-8 an escape of six), and the rest of a transaction takes less than 400.
const _: () = assert!(TRANSACTIONS_PER_BLOCK * (3 * ITEM_BYTES_MAX + 400) < TEMPLATE_TEXT_MAX);

/// How long the menu waits for the outcome of what its user asked before it takes the next
/// question: milliseconds. The outcome is shown whenever it comes.
pub const ANSWER_MS: u64 = 1_000;

/// How long an ending node waits until what it has to say is taken: milliseconds.
pub const FAREWELL_MS: u64 = 2_000;

/// How long it waits then until those hear of it whose wishes are not done: milliseconds.
pub const LAST_WORDS_MS: u64 = 200;

/// A line that the user types: bytes. One buffer for each console.
pub const INPUT_BYTES: usize = either(64 << 10, 256);

/// What a console did not take yet: bytes. Events beyond it are counted, not kept.
pub const OUTPUT_BYTES: usize = either(64 << 10, 4 << 10);

/// A line typed on a serial console, and the buffer of what is not looked at yet: bytes each.
pub const SERIAL_LINE_BYTES: usize = either(256, 64);

/// What a serial console did not take yet: bytes of output, and as many of events. At 9600 baud
/// that is what eight seconds can carry; beyond it the oldest lines are left out.
pub const SERIAL_OUTPUT_BYTES: usize = either(8 << 10, 512);

/// Consoles, those who use a control socket included: each costs 64 KiB of address space, of which
/// the system only backs what was used.
pub const CONSOLES: usize = either(16, 3);

/// Of these, those that the command line can name.
pub const CONSOLES_NAMED: usize = either(8, 2);

/// Items written to a console in one call.
pub const ITEMS_PER_TURN: usize = either(32, 2);

/// How long such a transaction waits for a block at most: milliseconds.
pub const MEMPOOL_MS: u64 = 600_000;

/// What is not our own wish is put into a block of ours after so many milliseconds, and up to so
/// many more, by chance, so that nodes do not all do it at once.
pub const DELAY_MS: u64 = 2_000;
/// See [`DELAY_MS`].
pub const DELAY_SPREAD_MS: u64 = 3_000;

/// What has to stay out of a block, or waits for more, is looked at again after so many milliseconds.
pub const LOOK_AGAIN_MS: u64 = 100;

/// One of ours that says that it is ahead is waited for so many milliseconds after it was asked,
/// before blocks are made of what is not urgent.
pub const LOOK_AHEAD_MS: u64 = 2_000;

/// Transactions of a losing chain of one of ours that are taken at once; the rest, and what the mempool has
/// no room for, when it comes again.
pub const SALVAGED_FROM_CHAIN_MAX: usize = either(4_096, 6);

/// Blocks read in one call to find out whether a transaction is in the chain already.
pub const HISTORY_PER_TURN: usize = either(16, 2);

/// A switch that loses or changes a transaction this many blocks behind the old tip, or more, is
/// shown as a warning.
pub const ALARM_DEPTH: u64 = 6;

/// A transfer or a check that takes longer than this many milliseconds shows how far it is.
pub const PROGRESS_QUIET_MS: u64 = 2_000;
/// From one such line to the next, where each stays.
pub const PROGRESS_APART_MS: u64 = 5_000;
/// The same where each takes the place of the one before.
pub const PROGRESS_APART_TERMINAL_MS: u64 = 500;
/// Addresses that were learned are dialed while there are fewer connections than this,
pub const LEARNED_PEERS: usize = either(8, 2);

/// one at a time, and one in this many milliseconds at most.
pub const LEARNED_APART_MS: u64 = 1_000;

/// A connection keeps its place for this many milliseconds, whoever wants it.
pub const NEWCOMER_MS: u64 = 10_000;

/// So many connections keep it for longer since they answer fastest, and as many since they brought the last
/// blocks.
pub const PLACES_KEPT: usize = either(2, 1);

const _: () = assert!(2 * PLACES_KEPT < PEERS);

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

/// Nodes of this project, this one included, of which it is known which desktop nodes they are
/// connected to,
pub const VOICES: usize = either(28, 3);

/// and of each so many desktop nodes: 72 bytes each.
pub const VOICE_DESKTOPS: usize = either(PEERS, 2);

// The longest address takes 52 bytes of text with its quotes and comma, a block behind it 17, and what
// is beside them less than 120 for each node.
const _: () = assert!(VOICES * ((52 + 17) * VOICE_DESKTOPS + 120) < TEXT_PER_TURN / 4);

// What is told of everybody and of what waits goes into a line, and something of a chain into an answer.
const _: () = assert!(
    VOICES * ((52 + 17) * VOICE_DESKTOPS + 120) + 36 * MEMPOOL_IDS + 300 < MESSAGE_TEXT_MAX
        && 55 * PEERS + 300 < MESSAGE_TEXT_MAX
        && 68 * LOCATOR + 300 < MESSAGE_TEXT_MAX
        && ENVELOPE_TEXT_MAX < PARTIAL_RESPONSE_TEXT_MAX
);

/// Nobody is believed to be there who was not heard of, by others neither, for this many
/// milliseconds. Pings tell of everybody every [`IDLE_MS`], on each part of the way.
pub const VOICE_MAX_MS: u64 = 45_000;

/// He is not forgotten for so much longer, so that what goes round of him does not count as new.
pub const VOICE_FORGET_MS: u64 = VOICE_MAX_MS;

/// After this many milliseconds it is told again that this node is there.
pub const VOICE_BEAT_MS: u64 = 5_000;

/// One of ours that was told nothing for this many milliseconds, since it speaks all the time and
/// no ping is due, is pinged.
pub const VOICE_TELL_MS: u64 = 15_000;

/// News are told to each at most once in this many milliseconds.
pub const VOICE_APART_MS: u64 = 250;

/// A node whose turn it is to speak waits for this many milliseconds first, so that whoever spoke
/// before knows.
pub const VOICE_SETTLE_MS: u64 = 2_000;

/// A node that is catching up gives its turn away after this many milliseconds.
pub const VOICE_PATIENCE_MS: u64 = 3_000;

/// A node that was stopped for this many milliseconds may have been replaced,
pub const VOICE_STALL_MS: u64 = 10_000;

/// and is silent until it has heard the others, or for this many.
pub const VOICE_SILENCE_MS: u64 = 12_000;

/// Bytes written at once to an output that cannot be made nonblocking. Linux calls a pipe, a
/// terminal or a socket writable only while at least this much fits.
pub const BLOCKING_WRITE_MAX: usize = 512;
/// What is read from a connection at once: bytes. Of a connection's buffer about this much is in
/// use while messages are short or a chain passes through.
pub const READ_BYTES_MAX: usize = either(16 << 10, 64);

/// A `chain_response` without its blocks: bytes of text, held beside the buffer of each connection.
pub const ENVELOPE_TEXT_MAX: usize = either(4096, 512);

/// Addresses kept of one `peer_list`; a desktop node has at most as many peers (PROTOCOL.md
/// section 4). With [`PEER_TEXT_MAX`] at most 16 KiB, until the list is looked at.
pub const PEER_LIST_MAX: usize = either(64, 2);

/// A peer is told whom we know, and may tell us, once in this many milliseconds.
pub const PEER_LIST_MS: u64 = 60_000;

/// An address in a `peer_list`: bytes. The longest DNS name, a colon and a port: 253 + 1 + 5.
pub const PEER_TEXT_MAX: usize = 259;

/// A block in a file that `blx verify` reads: bytes of text, held one block at a time. More than
/// [`MESSAGE_TEXT_MAX`], since a person may have indented the file.
pub const DOCUMENT_BLOCK_TEXT_MAX: usize = 4 * MESSAGE_TEXT_MAX;

const _: () = assert!(READ_BYTES_MAX < MESSAGE_TEXT_MAX && ENVELOPE_TEXT_MAX < MESSAGE_TEXT_MAX);

/// Transactions that the user was told to be lost and may hear of again.
pub const LOST_REMEMBERED: usize = either(64, 2);

/// A chain that was skipped, because another one was being looked at, is asked for again after this
/// many milliseconds at the latest.
pub const DEFERRED_MS: u64 = 10_000;

/// A chain that comes to fewer blocks, signatures and times [`PROGRESS_TEXT`] than this in
/// [`STALL_MS`] is given up.
pub const PROGRESS_MIN: usize = 32;

/// So many bytes of a chain's text count as much as a block: a slow machine, or a slow link, may take
/// seconds for one block of [`MESSAGE_TEXT_MAX`].
pub const PROGRESS_TEXT: usize = 32 << 10;

/// Where a turn comes this many milliseconds too late or more, the time is not counted against
/// the peers.
pub const OWN_STALL_MS: u64 = 200;

/// A start that would read more of the chain file than this many bytes gets a checkpoint to start
/// from: a small Pi reads about as much in a second.
pub const CHECKPOINT_BYTES: u64 = either(8 << 20, 4 << 10);

/// A chain file smaller than this many bytes is not compacted by itself.
pub const COMPACT_BYTES_MIN: u64 = either(64 << 10, 2 << 10);

/// Bytes copied into another file between two syncs.
pub const COPY_SYNC_BYTES: u64 = either(1 << 20, 1 << 10);

/// The most leading hexadecimal zeros that can be asked for: no machine finds 16, and a number that
/// was typed by mistake should not make a node look dead.
pub const DIFFICULTY_MAX: u8 = 16;

/// The chain file is checked for the first time so many milliseconds after the start.
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
pub const ADDRESS_BOOK: usize = either(1_024, 4);

/// Of which one source can fill a part in this many.
pub const ADDRESS_BOOK_SHARE: usize = either(8, 2);

/// The addresses that the book knows to be this node's own: the last ones that turned out so.
pub const ADDRESS_BOOK_OURS: usize = 16;

/// An address of the book is dialed again this many milliseconds after a dial failed; after each
/// further one twice as many.
pub const ADDRESS_BOOK_BACKOFF_MS: u64 = 60_000;

/// They are doubled so often at most: 64 minutes.
pub const ADDRESS_BOOK_DOUBLINGS_MAX: u32 = 6;

/// An address that never answered is forgotten after so many dials.
pub const ADDRESS_BOOK_FAILURES_MAX: u32 = 3;

/// The book is written this many milliseconds after it has changed,
pub const ADDRESS_BOOK_SETTLE_MS: u64 = 60_000;

/// but not before this many have gone by since it was written last.
pub const ADDRESS_BOOK_WRITE_MS: u64 = 900_000;

/// A serial device that is not there is tried again after so many milliseconds, after each further
/// failure twice as many,
pub const SERIAL_RETRY_MS: u64 = 1_000;

/// but never more than these.
pub const SERIAL_RETRY_MS_MAX: u64 = 30_000;

/// A service manager hears of a new height or number of peers at most once in this many
/// milliseconds.
pub const STATUS_SPACING_MS: u64 = 1_000;

/// What its queue had no room for is sent again after this many milliseconds at the latest.
pub const NOTIFY_RETRY_MS: u64 = 100;

/// The ring of events on disk: bytes.
pub const EVENTS_BYTES: usize = either(64 << 10, 512);

/// A line in it: bytes. The longest that is not cut names two hashes of 64 digits.
pub const EVENT_BYTES_MAX: usize = either(512, 128);

/// Events that are kept of one hour of a run, of the disk's faults and damage and again of all
/// else; the others are counted. A card that is written too often wears out, and what matters would
/// be pushed out of the ring.
pub const EVENTS_PER_HOUR: u32 = either(10, 3);

/// An hour: milliseconds.
pub const EVENTS_HOUR_MS: u64 = 3_600_000;

/// A ring that could not be written is let be for this many milliseconds.
pub const EVENTS_RETRY_MS: u64 = EVENTS_HOUR_MS;

/// Events that the menu lists: the last ones.
pub const EVENTS_LISTED: usize = either(20, 3);

/// A wall clock that is so many seconds behind the last block, or more, is not set.
pub const CLOCK_BEHIND_S: f64 = 300.0;

/// A double of seconds tells microseconds apart up to this one, in the year 2242.
pub const CLOCK_EXACT_S: f64 = 8_589_934_592.0;

/// A time before which this program was not there, so that a wall clock which shows one is not
/// set: seconds since 1970. It is the day of the version, or the time of the build where that is
/// named in `SOURCE_DATE_EPOCH`, as reproducible builds have it; a build that looks at the clock
/// would be another one each time.
pub const BUILT_S: u64 = match option_env!("SOURCE_DATE_EPOCH") {
    None => 1_795_564_800,
    Some(text) => match u64::from_str_radix(text, 10) {
        Ok(seconds) => seconds,
        Err(_) => panic!("SOURCE_DATE_EPOCH is no number of seconds"),
    },
};
