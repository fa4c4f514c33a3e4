//! How fast events come: those of a kind that a person could not read are counted.

use crate::limits;
use crate::node::event::Millis;

/// Events of a kind in a second.
struct Second {
    /// What they begin with.
    kind: String,
    until: Millis,
    shown: u32,
    /// How many were not shown, and the last of them.
    rest: Option<(u64, String)>,
}

/// What was shown in this second.
#[derive(Default)]
pub struct Pace(Vec<Second>);

impl Pace {
    /// Whether an event is shown; else it is counted.
    pub fn shows(&mut self, now: Millis, event: &str) -> bool {
        let kind = kind(event);
        let Some(second) = self.0.iter_mut().find(|second| second.kind == kind) else {
            self.0.push(Second {
                kind: kind.to_owned(),
                until: Millis(now.0 + limits::EVENTS_SECOND_MS),
                shown: 1,
                rest: None,
            });
            return true;
        };
        if limits::Full::EventsCounted.when(second.shown == limits::EVENTS_PER_SECOND) {
            let (count, _) = second.rest.take().unwrap_or_default();
            second.rest = Some((count + 1, event.to_owned()));
            return false;
        }
        second.shown += 1;
        true
    }

    /// What is to be said of the seconds that are over, or of `all`.
    pub fn over(&mut self, now: Millis, all: bool) -> Vec<String> {
        let mut told = Vec::new();
        self.0.retain_mut(|second| {
            let over = all || second.until <= now;
            if let Some((count, last)) = second.rest.take_if(|_| over) {
                told.push(match count {
                    1 => last,
                    _ => format!("[console] {count} more like that, the last: {last}"),
                });
            }
            !over
        });
        told
    }

    /// When there will be something to say.
    pub fn due(&self) -> Option<Millis> {
        let counted = self.0.iter().filter(|second| second.rest.is_some());
        counted.map(|second| second.until).min()
    }
}

/// The words with which every event of its kind begins: its tag with its picture, and the first one.
fn kind(event: &str) -> &str {
    let mut ends = event.match_indices(' ').map(|(at, _)| at);
    &event[..ends.nth(2).unwrap_or(event.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_a_second_of_each_kind_are_shown_and_the_rest_counted() {
        let most = limits::EVENTS_PER_SECOND;
        let mut pace = Pace::default();
        let block = |number: u32| format!("[network 📦] received and added block #{number}");
        for number in 0..100 {
            assert_eq!(pace.shows(Millis(7), &block(number)), number < most);
        }
        assert!(pace.shows(Millis(8), "[network 📨] request of saw by 04d5"));
        let due = Millis(7 + limits::EVENTS_SECOND_MS);
        assert_eq!(pace.due(), Some(due));
        assert!(pace.over(Millis(due.0 - 1), false).is_empty());
        let count = 100 - most;
        let told = format!("[console] {count} more like that, the last: {}", block(99));
        assert_eq!(pace.over(due, false), [told]);
        assert_eq!(pace.due(), None);
        // One is as short as its count, and who ends says it before that.
        for number in 0..=most {
            pace.shows(due, &block(number));
        }
        assert_eq!(pace.over(due, true), [block(most)]);
        assert!(pace.0.is_empty());
    }
}
