//! What is told and asked beside desktop nodes.

use super::{PEERS, TEXT_PER_TURN, either};

/// A desktop node that lacks at most this many blocks, and has all before them, is told these and
/// not the whole chain.
pub const BRING_UP_BLOCKS: u64 = either(16, 2);

/// Milliseconds until a desktop node is asked for its chain again. With more than 1,000 blocks it
/// is asked less often, in proportion to its length.
pub const DESKTOP_POLL_MS: u64 = 15_000;

/// After a desktop node was not in step, this many of its answers are asked for in a third of
/// [`DESKTOP_POLL_MS`].
pub const DESKTOP_WARY: u8 = 4;

/// Milliseconds that a desktop node whose chain does not link has to cut it by itself: its monitor
/// looks every 5 s, that of a window every 10 s (PROTOCOL.md section 5).
pub const DESKTOP_MONITOR_MS: u64 = 12_000;

/// A desktop node that takes longer for something than this many milliseconds was slow: it may have
/// slept.
pub const DESKTOP_SLOW_MS: u64 = 5_000;

/// Milliseconds until a desktop node that does not answer is given up.
pub const DESKTOP_ANSWER_MAX_MS: u64 = 120_000;

/// Milliseconds until a desktop node that asks is told our chain, at the latest, counted from when
/// its speaker began. It need not have told its own by then.
pub const DESKTOP_WORDS_MS: u64 = QUESTION_MS - VOICE_SETTLE_MS;

/// Blocks without a transaction that are made at once so that desktop nodes take our chain, at
/// most.
pub const EMPTY_BLOCKS: u64 = either(1_000, 1);

/// After [`EMPTY_BLOCKS`] of them, milliseconds until each further block without a transaction: a
/// chain must not grow without end on a desktop node's word alone.
pub const EMPTY_BLOCK_MS: u64 = either(60_000, 5_000);

/// The most answers of a desktop node to wait for until two in a row are the same, where something
/// was under way to it over a connection that is lost. The answers of one whose user is busy never
/// are the same.
pub const DESKTOP_UNSURE: u8 = 4;

/// Two connections that show the same address lead to two desktop nodes if they have told different
/// chains this often in a row, although nothing was said in between.
pub const DESKTOP_APART: u8 = 3;

/// Two desktop nodes with the same port may be one under two addresses: milliseconds from what one
/// was told until the other is told anything.
pub const DESKTOP_TURN_MS: u64 = 2_000;

/// Milliseconds until what one desktop node made goes to another one that is connected to it: by
/// then it has come there by itself.
pub const DESKTOP_FRIEND_MS: u64 = 2_000;

/// Milliseconds until what was told over a connection that is closed counts as handled.
pub const DESKTOP_QUIET_MS: u64 = 5_000;

/// Milliseconds until a desktop node that forgot the connection to us is dialed again.
pub const DESKTOP_DEAF_MS: u64 = 60_000;

/// Hashes of a desktop node's last blocks that are remembered. As many are remembered of the blocks
/// that were made from those of desktop nodes.
pub const DESKTOP_BLOCKS: usize = either(16, 2);

/// Transactions taken from one answer of a desktop node that cannot link, at most.
pub const SALVAGED_MAX: usize = either(200, 2);

/// Milliseconds until a desktop node with credits, whose chain is not followed, is asked for it
/// again: it may have taken another one.
pub const NEWER_POLL_MS: u64 = 600_000;

/// Milliseconds that a peer which asks for our chain waits, at most, if it has not told its own.
pub const QUESTION_MS: u64 = 5_000;

/// Nodes of this project, including this one, of which it is known which desktop nodes they are
/// connected to.
pub const VOICES: usize = either(28, 3);

/// Desktop nodes that are known of each of the [`VOICES`]: 72 bytes each.
pub const VOICE_DESKTOPS: usize = either(PEERS, 2);

// The longest address takes 52 bytes of text with its quotes and comma, a block behind it 17, and what
// is beside them less than 120 for each node.
const _: () = assert!(VOICES * ((52 + 17) * VOICE_DESKTOPS + 120) < TEXT_PER_TURN / 4);

/// Milliseconds until a node that was not heard of, not even through others, counts as gone. Pings
/// tell of everybody every [`IDLE_MS`](super::IDLE_MS), on each part of the way.
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
