//! What is told and asked beside desktop nodes.

use super::{VOICE_SETTLE_MS, either};

/// A desktop node that lacks no more than so many blocks, and has all before them, is told these
/// and not the chain.
pub const BRING_UP_BLOCKS: u64 = either(16, 2);

/// A desktop node is asked for its chain every so many milliseconds, one of more than 1,000 blocks
/// as many times less often as it is longer.
pub const DESKTOP_POLL_MS: u64 = 15_000;

/// So many answers of a desktop node that was not in step are asked for in a third of that time.
pub const DESKTOP_WARY: u8 = 4;

/// A desktop node whose chain does not link gets so many milliseconds to cut it by itself: its
/// monitor looks every 5 s, that of a window every 10 s (PROTOCOL.md section 5).
pub const DESKTOP_MONITOR_MS: u64 = 12_000;

/// What a desktop node takes longer for than so many milliseconds was slow: it may have slept.
pub const DESKTOP_SLOW_MS: u64 = 5_000;

/// Milliseconds without an answer after which a desktop node is given up.
pub const DESKTOP_ANSWER_MAX_MS: u64 = 120_000;

/// A desktop node that asks is told our chain so many milliseconds after its speaker began at the
/// latest, whether or not it has told its own.
pub const DESKTOP_WORDS_MS: u64 = QUESTION_MS - VOICE_SETTLE_MS;

/// Blocks without a transaction that are made at once so that desktop nodes take our chain,
pub const EMPTY_BLOCKS: u64 = either(1_000, 1);

/// and milliseconds for each after that: on a desktop node's word alone a chain must not grow
/// without end.
pub const EMPTY_BLOCK_MS: u64 = either(60_000, 5_000);

/// Answers of a desktop node that are waited for until two in a row are the same, where something
/// was under way to it over a connection that is lost. Those of one whose user is busy never are.
pub const DESKTOP_UNSURE: u8 = 4;

/// Two connections that show the same address lead to two desktop nodes if they have told different
/// chains so often in a row, although nothing was said in between.
pub const DESKTOP_APART: u8 = 3;

/// Two desktop nodes with the same port may be one under two addresses: what one was told is
/// waited for so many milliseconds before the other is told anything.
pub const DESKTOP_TURN_MS: u64 = 2_000;

/// What one desktop node made goes to another one that is connected to it after so many
/// milliseconds: by then it has come there by itself.
pub const DESKTOP_FRIEND_MS: u64 = 2_000;

/// What was told over a connection that is closed counts as handled after so many milliseconds.
pub const DESKTOP_QUIET_MS: u64 = 5_000;

/// A desktop node that forgot the connection to us is dialed again after so many milliseconds.
pub const DESKTOP_DEAF_MS: u64 = 60_000;

/// Hashes of a desktop node's last blocks that are remembered, and blocks that were made of those of
/// desktop nodes.
pub const DESKTOP_BLOCKS: usize = either(16, 2);

/// Transactions that are taken of what a desktop node says in one answer and cannot link.
pub const SALVAGED_MAX: usize = either(200, 2);

/// One with credits, whose chain is not followed, is asked for it again after so many
/// milliseconds: it may have taken another one.
pub const NEWER_POLL_MS: u64 = 600_000;

/// A peer that asks for our chain and has not told its own waits so many milliseconds at most.
pub const QUESTION_MS: u64 = 5_000;
