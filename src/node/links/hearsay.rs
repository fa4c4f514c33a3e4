//! What others tell of third ones: what of it is believed, and how often it is acted upon. Without this
//! a peer could have this node look for it which hosts there are, and which of their ports are open.

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

use crate::limits;
use crate::node::event::{Millis, Network};
use crate::store::address_book::Entry;

/// Whether an address that `source` told may be one of a node here: it is in a subnet of ours, or that
/// of `source` itself, and no port of the system's. This machine may know others by any port.
pub fn is_plausible(networks: &[Network], address: SocketAddr, source: IpAddr) -> bool {
    let (ip, source) = (address.ip().to_canonical(), source.to_canonical());
    let near = ip == source || networks.iter().any(|network| network.contains(ip));
    ip.is_loopback() || (near && address.port() >= limits::LEARNED_PORT_MIN)
}

/// How often addresses were dialed of which nothing is known but what somebody told: by who that was,
/// whoever was dialed last last.
#[derive(Default)]
pub struct Dials(Vec<(IpAddr, VecDeque<Millis>)>);

impl Dials {
    /// An address is dialed. Of too many sources that one is forgotten of whose addresses none was
    /// dialed for longest.
    pub fn add(&mut self, entry: Entry, now: Millis) {
        let Some(source) = suspect(entry) else {
            return;
        };
        let at = self.0.iter().position(|(by, _)| *by == source);
        let mut times = at.map(|at| self.0.remove(at).1).unwrap_or_default();
        if times.len() >= limits::DIALS_PER_SOURCE {
            times.pop_front();
        }
        times.push_back(now);
        if limits::Full::DialsForgotten.when(self.0.len() >= limits::DIAL_SOURCES) {
            self.0.remove(0);
        }
        self.0.push((source, times));
    }

    /// Until when an address is not dialed, since too many of its source were.
    pub fn until(&self, entry: Entry) -> Option<Millis> {
        let source = suspect(entry)?;
        let (_, times) = self.0.iter().find(|(by, _)| *by == source)?;
        let spent = times.len() >= limits::DIALS_PER_SOURCE;
        let first = times.front().filter(|_| spent)?;
        Some(Millis(first.0 + limits::DIALS_MS))
    }
}

/// Who told an address that is not proven. Those on this machine can dial for themselves.
fn suspect(entry: Entry) -> Option<IpAddr> {
    let source = entry.source.to_canonical();
    (!entry.proven && !source.is_loopback()).then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn entry(source: usize, proven: bool) -> Entry {
        Entry {
            address: at("10.0.0.1:6000"),
            source: IpAddr::from([10, 1, (source / 250) as u8, (source % 250) as u8]),
            proven,
        }
    }

    #[test]
    fn what_is_told_is_believed_of_our_subnets_and_no_port_of_the_systems() {
        let networks = [("10.0.0.7", 24), ("fd00::7", 64)].map(|(ip, prefix)| Network {
            address: ip.parse().expect("an address"),
            prefix,
        });
        let source = at("10.3.0.9:1").ip();
        for (address, plausible) in [
            ("10.0.0.1:1024", true),
            ("10.0.0.255:65535", true),
            ("[::ffff:10.0.0.1]:6000", true),
            ("[fd00::1]:6000", true),
            // The one who tells.
            ("10.3.0.9:6000", true),
            ("10.3.0.9:1023", false),
            ("10.0.0.1:1023", false),
            ("10.0.0.1:22", false),
            ("10.0.1.1:6000", false),
            ("192.0.2.1:6000", false),
            ("[fd00:0:0:1::1]:6000", false),
            // Whoever may tell of this machine may tell of any port.
            ("127.0.0.1:1", true),
        ] {
            let believed = is_plausible(&networks, at(address), source);
            assert_eq!(believed, plausible, "{address}");
            let own = at(address).ip() == source || at(address).ip().is_loopback();
            assert!(
                own || !is_plausible(&[], at(address), source),
                "{address} without a subnet"
            );
        }
    }

    #[test]
    fn so_many_a_source_are_dialed_in_an_hour_and_more_as_time_goes_by() {
        let mut dials = Dials::default();
        let most = limits::DIALS_PER_SOURCE as u64;
        for dial in 0..most {
            assert_eq!(dials.until(entry(1, false)), None, "{dial}");
            dials.add(entry(1, false), Millis(dial * 1_000));
        }
        let until = |dials: &Dials| dials.until(entry(1, false)).map(|until| until.0);
        assert_eq!(until(&dials), Some(limits::DIALS_MS));
        // Those of others, and who has spoken, are dialed.
        assert_eq!(dials.until(entry(2, false)), None);
        assert_eq!(dials.until(entry(1, true)), None);
        dials.add(entry(1, true), Millis(limits::DIALS_MS));
        assert_eq!(until(&dials), Some(limits::DIALS_MS));
        dials.add(entry(1, false), Millis(limits::DIALS_MS));
        assert_eq!(until(&dials), Some(limits::DIALS_MS + 1_000));
    }

    #[test]
    fn of_too_many_sources_that_one_is_forgotten_that_was_dialed_for_longest_ago() {
        let mut dials = Dials::default();
        for source in 0..limits::DIAL_SOURCES {
            for _ in 0..limits::DIALS_PER_SOURCE {
                dials.add(entry(source, false), Millis(0));
            }
        }
        dials.add(entry(0, false), Millis(1));
        dials.add(entry(limits::DIAL_SOURCES, false), Millis(1));
        assert_eq!(dials.0.len(), limits::DIAL_SOURCES);
        assert!(dials.until(entry(0, false)).is_some());
        assert_eq!(dials.until(entry(1, false)), None);
    }
}
