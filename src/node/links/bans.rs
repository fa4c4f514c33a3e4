//! Who broke the rules, and is left alone for a while whichever side dials.
//!
//! What a ban names is an address: the port on which a node listens is what it says, and whoever means
//! harm says another one each time. Nodes behind one NAT cannot be told apart by that, and are banned
//! together. The id that one of ours tells is not looked at: whoever breaks the rules in the name of
//! another node would get that one banned.
//!
//! On this machine the address is that of everybody, so the port that a node says is looked at: it is
//! let in, and sent away with its first message.

use core::net::SocketAddr;

use crate::limits;
use crate::node::addresses::Place;
use crate::node::event::Millis;

/// The places that are left alone, each until a time.
#[derive(Default)]
pub struct Bans(Vec<(Place, Millis)>);

impl Bans {
    /// Leaves a place alone until then. If there are too many, that one is forgotten which would
    /// end first.
    pub fn add(&mut self, place: Place, now: Millis, until: Millis) {
        let place = plain(place);
        self.0.retain(|(at, end)| *at != place && now < *end);
        if limits::Full::Bans.when(self.0.len() == limits::BANS) {
            let ends = self.0.iter().enumerate();
            let first = ends.min_by_key(|(_, (_, end))| *end);
            first.map(|(first, _)| first).map(|at| self.0.remove(at));
        }
        self.0.push((place, until));
    }

    /// Until when a place is left alone.
    pub fn until(&self, place: Place, now: Millis) -> Option<Millis> {
        let place = plain(place);
        let mut bans = self.0.iter();
        let ban = bans.find(|(at, end)| *at == place && now < *end);
        ban.map(|(_, until)| *until)
    }

    /// The same of an address that is dialed.
    pub fn until_dialed(&self, address: SocketAddr, now: Millis) -> Option<Millis> {
        self.until((address.ip(), Some(address.port())), now)
    }

    /// Its user wants this address dialed.
    pub fn lift(&mut self, address: SocketAddr) {
        let place = plain((address.ip(), Some(address.port())));
        self.0.retain(|(at, _)| *at != place);
    }
}

/// A place as it is compared: an IPv4 address is one however it was spelled, and the port tells
/// nodes apart on this machine alone.
fn plain((ip, port): Place) -> Place {
    let ip = ip.to_canonical();
    (ip, port.filter(|_| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;

    fn place(host: u8, port: Option<u16>) -> Place {
        (IpAddr::from([10, 0, 0, host]), port)
    }

    fn own(port: Option<u16>) -> Place {
        (IpAddr::from([127, 0, 0, 1]), port)
    }

    fn end(bans: &Bans, place: Place, now: u64) -> Option<u64> {
        bans.until(place, Millis(now)).map(|until| until.0)
    }

    #[test]
    fn a_ban_is_of_an_address_whatever_port_it_says_and_ends() {
        let mut bans = Bans::default();
        bans.add(place(1, Some(6000)), Millis(5), Millis(100));
        bans.add(place(2, None), Millis(5), Millis(200));
        let mapped = "::ffff:10.0.0.1".parse().expect("an address");
        for same in [(mapped, Some(6000)), place(1, Some(6001)), place(1, None)] {
            assert_eq!(end(&bans, same, 99), Some(100));
            assert_eq!(end(&bans, same, 100), None);
        }
        assert_eq!(end(&bans, place(2, Some(1)), 199), Some(200));
        assert_eq!(end(&bans, place(3, None), 5), None);
        bans.lift(SocketAddr::from(([10, 0, 0, 1], 6001)));
        assert_eq!(end(&bans, place(1, Some(6000)), 5), None);
    }

    #[test]
    fn on_this_machine_it_is_of_a_port() {
        let mut bans = Bans::default();
        bans.add(own(Some(6000)), Millis(5), Millis(100));
        assert_eq!(end(&bans, own(Some(6000)), 99), Some(100));
        for other in [own(Some(6001)), own(None)] {
            assert_eq!(end(&bans, other, 5), None);
        }
    }

    #[test]
    fn of_too_many_bans_the_one_goes_that_ends_first() {
        let mut bans = Bans::default();
        let most = u16::try_from(limits::BANS).expect("few");
        for port in 0..most {
            bans.add(own(Some(port)), Millis(0), Millis(900));
        }
        // Banned anew it ends later, and takes no second place.
        bans.add(own(Some(0)), Millis(0), Millis(1_000));
        bans.add(own(Some(most)), Millis(0), Millis(1_000));
        let kept = (0..=most).filter(|port| end(&bans, own(Some(*port)), 1).is_some());
        assert_eq!(kept.count(), limits::BANS);
        assert_eq!(end(&bans, own(Some(0)), 1), Some(1_000));
        assert_eq!(end(&bans, own(Some(1)), 1), None);
    }
}
