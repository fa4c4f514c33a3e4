//! The event log: what happened to a node, kept beside the chain because a Pi keeps its journal in
//! memory only. It is text, so that a person with nothing but `cat` can read it.
//!
//! ```text
//! 2026-11-25T11:52:03Z start blx 0.1.0, block count 123
//! ```
//!
//! Lines are added with one write and one sync. When they would not fit any more, the newest half
//! is put in the file's place with them. Whatever else is in the file, such as what a power cut
//! left of a line, is passed over by who reads, and is gone when the next line is added.

use super::disk::{Disk, DiskError, File};
use crate::limits;

/// The form of a line's time; a `0` stands for any digit.
const TIME: &[u8] = b"0000-00-00T00:00:00Z ";

/// A line for the file: `time` as in `2026-11-25T11:52:03Z`, and what happened. Control characters
/// are replaced, and what does not fit into [`limits::EVENT_BYTES_MAX`] is cut.
pub fn line(time: &str, event: &str) -> String {
    const CUT: &str = "...";
    let mut line = format!("{time} ");
    for letter in event.chars() {
        if line.len() + letter.len_utf8() + CUT.len() > limits::EVENT_BYTES_MAX {
            limits::Full::EventCut.ran();
            line.push_str(CUT);
            break;
        }
        line.push(if letter.is_control() { '?' } else { letter });
    }
    line
}

/// The lines in a file's bytes, the oldest first.
pub fn lines(bytes: &[u8]) -> impl DoubleEndedIterator<Item = &str> {
    let whole = bytes.split_inclusive(|byte| *byte == b'\n');
    let text = whole.filter_map(|line| str::from_utf8(line.strip_suffix(b"\n")?).ok());
    text.filter(|line| is_line(line))
}

fn is_line(text: &str) -> bool {
    let timed = TIME.iter().zip(text.as_bytes()).all(|(form, byte)| {
        let digit = *form == b'0' && byte.is_ascii_digit();
        digit || form == byte && *form != b'0'
    });
    timed
        && (TIME.len()..=limits::EVENT_BYTES_MAX).contains(&text.len())
        && !text.contains(char::is_control)
}

/// Reads the file's bytes; of a file that is larger than it can be, the last ones.
pub fn read(disk: &mut impl Disk) -> Result<Vec<u8>, DiskError> {
    let size = disk.len(File::Events)?;
    let count =
        usize::try_from(size).map_or(limits::EVENTS_BYTES, |size| size.min(limits::EVENTS_BYTES));
    let mut bytes = vec![0; count];
    let read = disk.read(File::Events, size - count as u64, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Adds lines, durably. After an error the lines that were there are there still.
pub fn add(disk: &mut impl Disk, new: &[String]) -> Result<(), DiskError> {
    let before = read(disk)?;
    let added: usize = new.iter().map(|line| line.len() + 1).sum();
    let sound: usize = lines(&before).map(|line| line.len() + 1).sum();
    let fits = sound + added <= limits::EVENTS_BYTES;
    let end = before.len() as u64;
    if fits && sound == before.len() && disk.len(File::Events)? == end {
        disk.write(File::Events, end, text(new).as_bytes())?;
        return disk.sync(File::Events).map(|_| ());
    }
    let mut room = match fits {
        true => sound,
        false => {
            limits::Full::RingFull.ran();
            (limits::EVENTS_BYTES / 2).saturating_sub(added)
        }
    };
    let newest = lines(&before).rev().take_while(|line| {
        let left = room.checked_sub(line.len() + 1);
        room = left.unwrap_or(0);
        left.is_some()
    });
    let mut kept: Vec<&str> = newest.collect();
    kept.reverse();
    let kept = text(&kept) + &text(new);
    disk.replace(File::Events, kept.as_bytes())
}

fn text(lines: &[impl AsRef<str>]) -> String {
    let ended = lines.iter().flat_map(|line| [line.as_ref(), "\n"]);
    ended.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::memory::MemoryDisk;

    const NOW: &str = "2026-11-25T11:52:03Z";

    fn event(number: usize) -> String {
        line(NOW, &format!("event {number} {}", "x".repeat(number % 90)))
    }

    fn read_back(disk: &mut MemoryDisk) -> Vec<String> {
        let bytes = read(disk).expect("reads");
        lines(&bytes).map(str::to_owned).collect()
    }

    /// The numbers of the events in a file, which follow on each other.
    fn numbers(disk: &mut MemoryDisk) -> Vec<usize> {
        let number = |line: &String| line.split(' ').nth(2).and_then(|word| word.parse().ok());
        let lines = read_back(disk);
        let numbers: Option<Vec<usize>> = lines.iter().map(number).collect();
        let numbers = numbers.expect("events alone");
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        numbers
    }

    #[test]
    fn a_line_is_one_line_of_bounded_length() {
        assert_eq!(
            line(NOW, "stop, block count 3"),
            format!("{NOW} stop, block count 3")
        );
        let odd = line(NOW, "item a\nb\u{7}\u{9b}2J");
        assert_eq!(odd, format!("{NOW} item a?b??2J"));
        for letter in ["x", "é", "😁"] {
            let long = line(NOW, &letter.repeat(1_000));
            assert!(long.len() <= limits::EVENT_BYTES_MAX && long.ends_with("..."));
            assert!(is_line(&long));
        }
    }

    #[test]
    fn what_is_added_is_read_back_and_the_oldest_goes() {
        let mut disk = MemoryDisk::default();
        let mut smallest = usize::MAX;
        for number in 0..3_000 {
            add(&mut disk, &[event(number)]).expect("added");
            assert_eq!(disk.syncs, number + 1, "one sync each");
            let size = disk.live(File::Events).len();
            assert!(size <= limits::EVENTS_BYTES);
            let there = numbers(&mut disk);
            assert_eq!(there.last(), Some(&number));
            if there[0] > 0 {
                smallest = smallest.min(size);
            }
        }
        assert!(smallest > limits::EVENTS_BYTES / 2 - 200, "{smallest}");
        assert!(smallest <= limits::EVENTS_BYTES / 2, "it was halved");
    }

    #[test]
    fn a_power_cut_at_any_byte_leaves_all_lines_that_were_there() {
        let mut before = MemoryDisk::default();
        add(&mut before, &[event(0), event(1)]).expect("added");
        before.sync_fails = true;
        let two = [event(2), event(3)];
        add(&mut before, &two).expect_err("the power is cut before the sync");
        let whole = two[0].len() + two[1].len() + 2;
        for kept in 0..=whole {
            let mut disk = before.after_power_cut(kept);
            let there = numbers(&mut disk).len();
            assert!((2..=4).contains(&there), "{kept}: {there}");
            add(&mut disk, &[event(there)]).expect("added");
            assert_eq!(numbers(&mut disk).len(), there + 1, "{kept}");
            let text = disk.live(File::Events).clone();
            assert!(text.ends_with(b"\n") && !text.contains(&0));
        }
    }

    #[test]
    fn garbage_is_passed_over_and_goes() {
        let line = event(0);
        let garbage: [&[u8]; 7] = [
            b"\0\0\0\0\n",
            b"\xff\xfe\n",
            b"\n",
            b"no time\n",
            b"2026-11-25T11:52:03Z bell \x07\n",
            b"2026-11-25 11:52:03Z start\n",
            &[b'x'; 200_000],
        ];
        for odd in garbage {
            let mut disk = MemoryDisk::default();
            let torn = b"2026-11-25T11:52:03Z torn";
            *disk.live(File::Events) = [odd, b"\n", line.as_bytes(), b"\n", odd, torn].concat();
            let there = read_back(&mut disk);
            assert_eq!(there.len(), usize::from(odd.len() < 100_000));
            add(&mut disk, &[event(1)]).expect("added");
            let size: usize = read_back(&mut disk).iter().map(|line| line.len() + 1).sum();
            assert_eq!(size, disk.live(File::Events).len());
        }
    }

    #[test]
    fn a_full_disk_does_not_cost_the_old_lines() {
        let mut disk = MemoryDisk::default();
        for number in 0..5 {
            add(&mut disk, &[event(number)]).expect("added");
        }
        disk.room = Some(10);
        add(&mut disk, &[event(5)]).expect_err("is full");
        assert_eq!(numbers(&mut disk), [0, 1, 2, 3, 4]);
        disk.room = None;
        add(&mut disk, &[event(5)]).expect("added");
        assert_eq!(numbers(&mut disk), [0, 1, 2, 3, 4, 5]);
    }
}
