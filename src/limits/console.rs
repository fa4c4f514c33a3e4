//! What users type and are shown, and the event log.

use super::either;

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

/// Milliseconds until somebody on a control socket who has not said what they want, or has begun a
/// question and not ended it, is hung up on.
pub const CONTROL_LINE_MS: u64 = 10_000;

/// Characters of an item's name that a screen shows. A longer one is shown without its middle.
pub const NAME_SHOWN: usize = either(200, 40);

/// Events of a kind that are shown in [`EVENTS_SECOND_MS`]; the others are counted.
pub const EVENTS_PER_SECOND: u32 = either(5, 2);

/// The second in which [`EVENTS_PER_SECOND`] are shown: milliseconds.
pub const EVENTS_SECOND_MS: u64 = 1_000;

/// Items written to a console in one call.
pub const ITEMS_PER_TURN: usize = either(32, 2);

/// Milliseconds until a transfer or a check shows how far it is.
pub const PROGRESS_QUIET_MS: u64 = 2_000;

/// Milliseconds from one line of progress to the next, where each line stays.
pub const PROGRESS_APART_MS: u64 = 5_000;

/// Milliseconds from one line of progress to the next, where each one replaces the one before.
pub const PROGRESS_APART_TERMINAL_MS: u64 = 500;

/// Bytes written at once to an output that cannot be made nonblocking. Linux calls a pipe, a
/// terminal or a socket writable only while at least this much fits.
pub const BLOCKING_WRITE_MAX: usize = 512;

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
