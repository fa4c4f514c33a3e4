//! Whom this node dials: the peers it was told to keep, and when it tries again.

use core::net::SocketAddr;

use super::seats::Asker;
use super::{Line, Millis, places};
use crate::limits;

/// Where a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Dialed again at this time.
    Waiting(Millis),
    /// Being dialed on this line.
    Dialing(Line),
    /// Connected on this line since then.
    Open(Line, Millis),
}

/// A peer that was named by the command line or the user, or is dialed because it was learned.
pub struct Target {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Kept for ever: named on the command line, or reached once.
    pub kept: bool,
    /// The book named it: it is no target any more when the dial has come to its end.
    pub learned: bool,
    /// They wait for the outcome of this dial.
    pub asked: Vec<Asker>,
    /// Where it stands.
    pub contact: Contact,
    /// Why the last attempt or connection ended.
    pub error: Option<String>,
    /// Attempts since the last healthy connection.
    attempts: usize,
}

impl Target {
    /// A target to be dialed at once.
    pub fn new(host: String, port: u16, now: Millis) -> Target {
        Target {
            host,
            port,
            kept: false,
            learned: false,
            asked: Vec::new(),
            contact: Contact::Waiting(now),
            error: None,
            attempts: 0,
        }
    }

    /// `HOST:PORT`, an IPv6 address in brackets.
    pub fn name(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Its address, if it is not named by a name.
    pub fn address(&self) -> Option<SocketAddr> {
        places::address(&self.host, self.port)
    }

    /// The connection or the dial ended: tries again later. `chance` is any number.
    pub fn retry(&mut self, now: Millis, error: String, chance: u64) {
        if let Contact::Open(_, since) = self.contact
            && now.0 - since.0 >= limits::HEALTHY_MS
        {
            self.attempts = 0;
        }
        let last = limits::REDIAL_MS.len() - 1;
        let delay = limits::REDIAL_MS[self.attempts.min(last)];
        self.attempts += 1;
        // Up to a tenth less or more, so that peers of a node that restarts do not all call at once.
        let jittered = delay * 9 / 10 + chance % (delay / 5 + 1);
        self.contact = Contact::Waiting(Millis(now.0 + jittered));
        self.error = Some(error);
    }

    /// Not dialed again before `ms` have gone by.
    pub fn rest(&mut self, now: Millis, ms: u64, error: String) {
        self.contact = Contact::Waiting(Millis(now.0 + ms));
        self.error = Some(error);
    }

    /// The line it is dialed or connected on.
    pub fn line(&self) -> Option<Line> {
        match self.contact {
            Contact::Waiting(_) => None,
            Contact::Dialing(line) | Contact::Open(line, _) => Some(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(target: &mut Target, now: u64, chance: u64) -> u64 {
        target.retry(Millis(now), "gone".into(), chance);
        match target.contact {
            Contact::Waiting(until) => until.0 - now,
            _ => panic!("waiting"),
        }
    }

    #[test]
    fn delays_grow_to_a_minute_and_stay_there() {
        let mut target = Target::new("host".into(), 6000, Millis(0));
        for expected in [1, 2, 5, 10, 20, 40, 60, 60, 60] {
            let least = delay(&mut target, 5, 0);
            assert_eq!(least, expected * 900);
        }
        for chance in 0..20_000 {
            let delay = delay(&mut target, 5, chance * 977);
            assert!((54_000..=66_000).contains(&delay), "{delay}");
        }
    }

    #[test]
    fn only_a_minute_of_health_begins_anew() {
        let mut target = Target::new("host".into(), 6000, Millis(0));
        for _ in 0..4 {
            delay(&mut target, 0, 0);
        }
        target.contact = Contact::Open(Line(0), Millis(1_000));
        assert_eq!(delay(&mut target, 60_999, 0), 18_000);
        target.contact = Contact::Open(Line(0), Millis(1_000));
        assert_eq!(delay(&mut target, 61_000, 0), 900);
    }

    #[test]
    fn addresses_are_written_as_they_are_dialed() {
        assert_eq!(Target::new("::1".into(), 7, Millis(0)).name(), "[::1]:7");
        assert_eq!(
            Target::new("pi.local".into(), 7, Millis(0)).name(),
            "pi.local:7"
        );
    }
}
