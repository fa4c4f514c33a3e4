//! The ring of events on a disk that loses power or calls.

use blx::limits;
use blx::store::disk::File;
use blx::store::events::{add, line, lines, read};

use super::disk::{Failure, Moment, SimDisk};

/// Lines of every length, so that they end anywhere in a sector.
fn event(number: usize) -> String {
    let text = format!("event {number} {}", "x".repeat(number * 37 % 450));
    line("2026-11-25T11:52:03Z", &text)
}

/// Events in the ring when a story begins; a few more, and it is halved.
const BEGIN: usize = 250;

fn almost_full() -> SimDisk {
    let disk = SimDisk::default();
    for number in 0..BEGIN {
        add(&mut disk.clone(), &[event(number)]).expect("added");
    }
    let size = disk.live(File::Events).len();
    assert!(size > limits::EVENTS_BYTES - 3_000 && size < limits::EVENTS_BYTES);
    disk
}

/// The numbers of the events that are there, in their order, if they are what was added.
fn numbers(disk: &SimDisk) -> Result<Vec<usize>, String> {
    let bytes = read(&mut disk.clone()).map_err(|error| error.to_string())?;
    let mut numbers = Vec::new();
    for line in lines(&bytes) {
        let number = line.split(' ').nth(2).and_then(|word| word.parse().ok());
        let number = number.filter(|number| line == event(*number));
        numbers.push(number.ok_or_else(|| format!("nobody added {line:?}"))?);
    }
    match numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
        true => Ok(numbers),
        false => Err(format!("some are missing: {numbers:?}")),
    }
}

/// Everything up to `last` that a ring holds at least is there, and the next one can be added.
fn is_whole(disk: &SimDisk, last: usize) -> Result<(), String> {
    let there = numbers(disk)?;
    let newest = *there.last().ok_or("it is empty")?;
    if !(last..=last + 1).contains(&newest) || there[0] + 100 > newest {
        return Err(format!("{} to {newest}", there[0]));
    }
    add(&mut disk.clone(), &[event(newest + 1)]).map_err(|error| error.to_string())?;
    match numbers(disk)?.last() {
        Some(added) if *added == newest + 1 => Ok(()),
        other => Err(format!("{other:?} instead of {}", newest + 1)),
    }
}

#[test]
fn a_power_cut_at_any_moment_costs_no_event_that_was_there() {
    let disk = almost_full();
    disk.record();
    disk.acknowledge(BEGIN);
    for number in BEGIN..BEGIN + 20 {
        add(&mut disk.clone(), &[event(number)]).expect("added");
        disk.acknowledge(number + 1);
    }
    let moments = disk.moments();
    let sizes: Vec<usize> = moments.iter().map(size).collect();
    assert!(
        sizes.windows(2).any(|pair| pair[1] < pair[0]),
        "it was halved"
    );
    let mut torn = 0;
    for (at, moment) in moments.iter().enumerate() {
        for choice in 0..1 << moment.loose_of(File::Events) {
            let kept = |thing: usize| choice >> thing & 1 == 1;
            let disk = moment.after_power_cut_in(File::Events, kept);
            torn += usize::from(!disk.live(File::Events).ends_with(b"\n"));
            is_whole(&disk, moment.acknowledged - 1)
                .unwrap_or_else(|why| panic!("moment {at}, choice {choice:b}: {why}"));
        }
    }
    assert!(torn > 10, "{torn}");
}

fn size(moment: &Moment) -> usize {
    let disk = moment.after_power_cut_in(File::Events, |_| true);
    disk.live(File::Events).len()
}

#[test]
fn whatever_call_fails_the_old_events_are_there() {
    let whole = almost_full();
    for failure in [Failure::Refused, Failure::Short, Failure::Late] {
        for call in 1.. {
            let disk = whole.after_kill();
            disk.fail(call, failure, true);
            let mut number = BEGIN;
            let failed = |number| add(&mut disk.clone(), &[event(number)]).is_err();
            while number < BEGIN + 20 && !failed(number) {
                number += 1;
            }
            let done = disk.hit().is_none();
            disk.repair();
            is_whole(&disk.after_kill(), number - 1)
                .unwrap_or_else(|why| panic!("call {call}, {failure:?}: {why}"));
            if done {
                break;
            }
        }
    }
}
