//! Who has broken rules lately, by address: whoever hangs up and calls again goes on where he was.

use core::net::IpAddr;

use crate::limits;
use crate::node::event::Millis;

/// When somebody at an address has broken rules, the latest last.
struct Record {
    ip: IpAddr,
    times: Vec<Millis>,
}

/// The addresses at which rules were broken lately.
#[derive(Default)]
pub struct Misbehaviours(Vec<Record>);

impl Misbehaviours {
    /// Somebody at this address has broken a rule; whether that is the last that is suffered. Then it
    /// is forgotten: what follows is a ban. If there are too many addresses, that one is forgotten at which
    /// nothing happened for longest. All that are on this machine share one address, and are counted by
    /// their connections alone.
    pub fn add(&mut self, ip: IpAddr, now: Millis) -> bool {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return false;
        }
        let at = self.0.iter().position(|record| record.ip == ip);
        let before = at.map(|at| self.0.remove(at).times);
        let mut times = before.unwrap_or_default();
        times.retain(|time| now.0 < time.0 + limits::MISBEHAVIOUR_MS);
        times.push(now);
        if times.len() >= usize::from(limits::MISBEHAVIOURS_MAX) {
            return true;
        }
        if limits::Full::Misbehaviours.when(self.0.len() >= limits::MISBEHAVED) {
            self.0.remove(0);
        }
        self.0.push(Record { ip, times });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: usize) -> IpAddr {
        IpAddr::from([10, 0, (number / 250) as u8, (number % 250) as u8])
    }

    #[test]
    fn the_third_in_ten_minutes_is_one_too_many_and_then_it_begins_anew() {
        let mut all = Misbehaviours::default();
        let mapped = "::ffff:10.0.0.1".parse().expect("an address");
        let last = limits::MISBEHAVIOUR_MS;
        for (ip, now, often) in [
            (host(1), 0, false),
            (mapped, 1, false),
            (host(2), 1, false),
            // The first one counts no more.
            (host(1), last, false),
            (host(1), last, true),
            (host(1), last, false),
        ] {
            assert_eq!(all.add(ip, Millis(now)), often, "{ip} {now}");
        }
    }

    #[test]
    fn those_on_this_machine_are_not_told_apart_by_their_address() {
        let mut all = Misbehaviours::default();
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let own = own.parse().expect("an address");
            for _ in 0..9 {
                assert!(!all.add(own, Millis(0)));
            }
        }
        assert!(all.0.is_empty());
    }

    #[test]
    fn the_address_is_forgotten_at_which_nothing_happened_for_longest() {
        let mut all = Misbehaviours::default();
        for number in 0..limits::MISBEHAVED {
            all.add(host(number), Millis(0));
        }
        all.add(host(0), Millis(1));
        all.add(host(limits::MISBEHAVED), Millis(2));
        assert_eq!(all.0.len(), limits::MISBEHAVED);
        assert!(all.add(host(0), Millis(3)));
        all.add(host(1), Millis(3));
        assert!(!all.add(host(1), Millis(3)), "its first was forgotten");
    }
}
