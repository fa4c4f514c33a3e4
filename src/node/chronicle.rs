//! What is kept of this run in the ring of events (`store::events`): its start and stop, and what
//! the user is alerted to.
//!
//! What goes on without end, such as a disk that fails again and again, is kept so many times an
//! hour and then counted. Not even the first failure to write the ring concerns the node.

use core::fmt;

use serde::Serialize;

use super::wall::stamp;
use super::{Clock, Millis, Node};
use crate::limits;
use crate::store::disk::Disk;
use crate::store::events;

/// An event that was kept.
#[derive(Serialize)]
struct Kept<'a> {
    event: &'a str,
}

impl fmt::Display for Kept<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.event)
    }
}

/// What is to be kept.
pub struct Chronicle {
    /// Lines that are written at the end of this turn.
    lines: Vec<String>,
    /// The hour of which `kept` events are kept began then.
    hour: Millis,
    kept: u32,
    /// Events that were not kept, since the last one that was.
    missed: u64,
    /// The ring could not be written: it is let be for the rest of the run.
    silent: bool,
}

impl Chronicle {
    /// One that begins with the start of a node with so many blocks.
    pub fn new(now: Clock, blocks: u64, unclean_stop: bool) -> Chronicle {
        let mut chronicle = Chronicle {
            lines: Vec::new(),
            hour: now.mono,
            kept: 0,
            missed: 0,
            silent: false,
        };
        let after = match unclean_stop {
            true => ", after an unclean stop",
            false => "",
        };
        let version = env!("CARGO_PKG_VERSION");
        chronicle.put(
            now,
            &format!("start blx {version}, block count {blocks}{after}"),
        );
        chronicle
    }

    /// Keeps an event, if this hour had not too many.
    fn keep(&mut self, now: Clock, event: &str) {
        if now.mono.0 >= self.hour.0 + limits::EVENTS_HOUR_MS {
            (self.hour, self.kept) = (now.mono, 0);
        }
        if self.kept == limits::EVENTS_PER_HOUR {
            self.missed += 1;
        } else {
            self.kept += 1;
            self.put(now, event);
        }
    }

    fn put(&mut self, now: Clock, event: &str) {
        let time = stamp(now.wall);
        if self.missed > 0 {
            let missed = core::mem::take(&mut self.missed);
            let text = format!("{missed} events before were too many to be kept");
            self.lines.push(events::line(&time, &text));
        }
        self.lines.push(events::line(&time, event));
    }
}

impl<D: Disk> Node<D> {
    /// Shows an event that the user should know of even if nobody is looking.
    pub(super) fn alert(&mut self, event: &str) {
        self.keep_event(event);
        self.notify(event);
    }

    /// Keeps an event in the ring, with the first word of its tag, as a file of plain lines has it.
    pub(super) fn keep_event(&mut self, event: &str) {
        let tagged = event.strip_prefix('[');
        let plain = match tagged.and_then(|rest| rest.split_once("] ")) {
            Some((tag, text)) => &format!("{}: {text}", tag.split(' ').next().unwrap_or(tag)),
            None => event,
        };
        self.chronicle.keep(self.now, plain);
    }

    /// The node is about to end as it should.
    pub(super) fn keep_stop(&mut self) {
        let text = format!("stop, block count {}", self.log.tip().length);
        self.chronicle.put(self.now, &text);
    }

    /// Writes what came in this turn.
    pub(super) fn write_events(&mut self) {
        let lines = core::mem::take(&mut self.chronicle.lines);
        if lines.is_empty() || self.chronicle.silent {
            return;
        }
        if let Err(error) = events::add(self.log.disk(), &lines) {
            self.chronicle.silent = true;
            log::warn!("{error}: no events are kept from here on in this run");
        }
    }

    /// The last events of the ring, the oldest first, as `blx events` prints them.
    fn recent_events(&mut self) -> Vec<String> {
        let bytes = match events::read(self.log.disk()) {
            Ok(bytes) => bytes,
            Err(error) => return vec![format!("{error}.")],
        };
        let newest = events::lines(&bytes).rev().take(limits::EVENTS_LISTED);
        let mut newest: Vec<String> = newest.map(str::to_owned).collect();
        newest.reverse();
        newest
    }

    /// Key 11: what happened lately, also to earlier runs.
    pub(super) fn list_events(&mut self, at: usize) {
        let events = self.recent_events();
        let Some(seat) = self.seats.at_mut(at) else {
            return;
        };
        if events.is_empty() && !seat.wants_json() {
            seat.say(&"no events are kept.");
        }
        for event in &events {
            seat.say(&Kept { event });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many milliseconds after the start, on a wall clock that was never set.
    fn at(ms: u64) -> Clock {
        let (mono, wall) = (Millis(7 + ms), ms * 1_000);
        Clock { mono, wall }
    }

    fn told(chronicle: &mut Chronicle) -> Vec<String> {
        let lines = core::mem::take(&mut chronicle.lines);
        let event = |line: &String| line.split_once("Z ").expect("a time").1.to_owned();
        lines.iter().map(event).collect()
    }

    #[test]
    fn what_goes_on_without_end_is_kept_some_times_an_hour_and_counted() {
        let mut chronicle = Chronicle::new(at(0), 3, false);
        assert_eq!(told(&mut chronicle).len(), 1, "the start");
        let most = limits::EVENTS_PER_HOUR as usize;
        for second in 0..3_600 {
            chronicle.keep(at(second * 1_000), "again");
        }
        assert_eq!(told(&mut chronicle), vec!["again"; most]);
        chronicle.keep(at(limits::EVENTS_HOUR_MS), "again");
        let missed = format!("{} events before were too many to be kept", 3_600 - most);
        assert_eq!(told(&mut chronicle), [&missed, "again"]);
        // A stop is always kept, and so is the count.
        for _ in 0..most + 5 {
            chronicle.keep(at(limits::EVENTS_HOUR_MS + 1), "again");
        }
        chronicle.put(at(limits::EVENTS_HOUR_MS + 2), "stop, block count 3");
        let last = told(&mut chronicle).split_off(most - 1);
        let missed = "6 events before were too many to be kept";
        assert_eq!(last, [missed, "stop, block count 3"]);
    }
}
