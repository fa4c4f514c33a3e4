//! What is kept of this run in the event log (`store::events`): its start and stop, and what the user
//! is alerted to.
//!
//! What happens again and again, such as a disk that fails, is kept a few times an hour and then
//! counted. Faults of the disk and damage are counted apart from all else, which so
//! cannot push them out. Not even the first failure to write the ring concerns the node.

use super::clock::stamp;
use super::event::{Clock, Millis};
use crate::limits;
use crate::store::disk::{Disk, DiskError};
use crate::store::events;

/// What is to be kept.
pub struct EventLog {
    /// Lines that are written at the end of this turn.
    lines: Vec<String>,
    /// How many events they tell of, those that they only count included.
    told: u64,
    /// When the hour began whose events are counted.
    hour: Millis,
    /// Of all else, and of the disk's faults and damage.
    kept: [u32; 2],
    /// Events that were not kept, since the last one that was.
    missed: u64,
    /// The ring could not be written: it is let be until then.
    silent_until: Millis,
}

impl EventLog {
    /// A log that begins with the start of a node with this many blocks.
    pub fn new(now: Clock, blocks: u64, unclean_stop: bool) -> EventLog {
        let mut log = EventLog {
            lines: Vec::new(),
            told: 0,
            hour: now.mono,
            kept: [0; 2],
            missed: 0,
            silent_until: now.mono,
        };
        let after = match unclean_stop {
            true => ", after an unclean stop",
            false => "",
        };
        let version = env!("CARGO_PKG_VERSION");
        log.put(
            now,
            &format!("start blx {version}, block count {blocks}{after}"),
        );
        log
    }

    /// Keeps an event, with the first word of its tag, as a file of plain lines has it.
    pub fn keep_event(&mut self, now: Clock, event: &str) {
        let tagged = event.strip_prefix('[');
        let plain = match tagged.and_then(|rest| rest.split_once("] ")) {
            Some((tag, text)) => &format!("{}: {text}", tag.split(' ').next().unwrap_or(tag)),
            None => event,
        };
        self.keep(now, is_fault(event), plain);
    }

    /// The node is about to end as it should.
    pub fn keep_stop(&mut self, now: Clock, blocks: u64) {
        self.put(now, &format!("stop, block count {blocks}"));
    }

    /// Keeps an event, if this hour had not too many.
    fn keep(&mut self, now: Clock, is_fault: bool, event: &str) {
        if now.mono.0 >= self.hour.0 + limits::EVENTS_HOUR_MS {
            (self.hour, self.kept) = (now.mono, [0; 2]);
        }
        let kept = &mut self.kept[usize::from(is_fault)];
        let many = limits::Full::EventsHour.when(*kept == limits::EVENTS_PER_HOUR);
        if many || now.mono < self.silent_until {
            self.missed += 1;
        } else {
            *kept += 1;
            self.put(now, event);
        }
    }

    fn put(&mut self, now: Clock, event: &str) {
        let time = stamp(now.wall);
        self.told += self.missed + 1;
        if self.missed > 0 {
            let missed = core::mem::take(&mut self.missed);
            let text = format!("{missed} events before could not be kept");
            self.lines.push(events::line(&time, &text));
        }
        self.lines.push(events::line(&time, event));
    }

    /// Writes what came in this turn. After an error, what comes is counted for a while: a disk
    /// that fails is not to be worn out by it, nor the journal filled.
    pub fn write(&mut self, disk: &mut impl Disk, now: Millis) -> Result<(), DiskError> {
        let lines = core::mem::take(&mut self.lines);
        let told = core::mem::take(&mut self.told);
        if lines.is_empty() || now < self.silent_until {
            return Ok(());
        }
        events::add(disk, &lines).inspect_err(|_| {
            self.missed += told;
            self.silent_until = Millis(now.0 + limits::EVENTS_RETRY_MS);
        })
    }
}

/// The last events of the ring, the oldest first, as `blx events` prints them.
pub fn recent(disk: &mut impl Disk) -> Vec<String> {
    let bytes = match events::read(disk) {
        Ok(bytes) => bytes,
        Err(error) => return vec![format!("{error}.")],
    };
    let newest = events::lines(&bytes).rev().take(limits::EVENTS_LISTED);
    let mut newest: Vec<String> = newest.map(str::to_owned).collect();
    limits::Full::RingListed.when(events::lines(&bytes).count() > newest.len());
    newest.reverse();
    newest
}

/// Whether an event is a fault of the disk or damage, by its tag.
fn is_fault(event: &str) -> bool {
    let tags = ["[store", "[monitor"];
    tags.iter().any(|tag| event.starts_with(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::memory::MemoryDisk;

    /// So many milliseconds after the start, on a wall clock that was never set.
    fn at(ms: u64) -> Clock {
        let (mono, wall) = (Millis(7 + ms), ms * 1_000);
        Clock { mono, wall }
    }

    fn told(log: &mut EventLog) -> Vec<String> {
        let lines = core::mem::take(&mut log.lines);
        let event = |line: &String| line.split_once("Z ").expect("a time").1.to_owned();
        lines.iter().map(event).collect()
    }

    #[test]
    fn what_goes_on_without_end_is_kept_some_times_an_hour_and_counted() {
        for is_fault in [false, true] {
            let mut log = EventLog::new(at(0), 3, false);
            assert_eq!(told(&mut log).len(), 1, "the start");
            let most = limits::EVENTS_PER_HOUR as usize;
            for second in 0..3_600 {
                log.keep(at(second * 1_000), is_fault, "again");
            }
            assert_eq!(told(&mut log), vec!["again"; most]);
            log.keep(at(limits::EVENTS_HOUR_MS), is_fault, "again");
            let missed = format!("{} events before could not be kept", 3_600 - most);
            assert_eq!(told(&mut log), [&missed, "again"]);
            // A stop is always kept, and so is the count.
            for _ in 0..most + 5 {
                log.keep(at(limits::EVENTS_HOUR_MS + 1), is_fault, "again");
            }
            log.put(at(limits::EVENTS_HOUR_MS + 2), "stop, block count 3");
            let last = told(&mut log).split_off(most - 1);
            let missed = "6 events before could not be kept";
            assert_eq!(last, [missed, "stop, block count 3"]);
        }
    }

    #[test]
    fn what_matters_less_does_not_push_out_a_fault_of_the_disk() {
        let mut log = EventLog::new(at(0), 3, false);
        let most = limits::EVENTS_PER_HOUR as usize;
        let lost = "[consensus] your request of drill lost to 04d5 at block 7";
        for _ in 0..most + 2 {
            log.keep(at(1), is_fault(lost), lost);
        }
        assert_eq!(told(&mut log).len(), 1 + most);
        for fault in ["[store ❌] full", "[monitor ⚠️] corruption"] {
            log.keep(at(2), is_fault(fault), fault);
        }
        let kept = [
            "2 events before could not be kept",
            "[store ❌] full",
            "[monitor ⚠️] corruption",
        ];
        assert_eq!(told(&mut log), kept);
        // Nor the other way round.
        let mut log = EventLog::new(at(0), 3, false);
        for _ in 0..most + 2 {
            log.keep(at(1), true, "store: again");
        }
        log.keep(at(2), false, lost);
        assert_eq!(told(&mut log).last().map(String::as_str), Some(lost));
    }

    #[test]
    fn a_ring_that_could_not_be_written_is_tried_again_after_an_hour() {
        let mut disk = MemoryDisk::default();
        let mut log = EventLog::new(at(0), 3, false);
        let write = |log: &mut EventLog, disk: &mut MemoryDisk, ms| {
            let failed = log.write(disk, at(ms).mono).is_err();
            let bytes = events::read(disk).expect("reads");
            let event = |line: &str| line.split_once("Z ").expect("a time").1.to_owned();
            let kept: Vec<String> = events::lines(&bytes).skip(1).map(event).collect();
            (failed, kept)
        };
        assert_eq!(write(&mut log, &mut disk, 0), (false, vec![]));
        disk.room = Some(0);
        let hour = limits::EVENTS_RETRY_MS;
        for _ in 0..2 {
            log.keep(at(1_000), false, "one");
        }
        assert!(write(&mut log, &mut disk, 1_000).0);
        // Meanwhile it is let be, even if all is well again.
        for second in 2..1_000 {
            log.keep(at(second * 1_000), true, "two");
            let written = write(&mut log, &mut disk, second * 1_000);
            assert_eq!(written, (false, vec![]));
        }
        log.keep(at(1_000 + hour), true, "three");
        assert!(write(&mut log, &mut disk, 1_000 + hour).0, "again");
        disk.room = None;
        log.keep(at(1_000 + 2 * hour), true, "four");
        let kept = vec![
            "1001 events before could not be kept".to_owned(),
            "four".to_owned(),
        ];
        let written = write(&mut log, &mut disk, 1_000 + 2 * hour);
        assert_eq!(written, (false, kept));
    }
}
