//! How addresses are spelled: the same machine has several, and some mean another one elsewhere.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::limits;
use crate::wire::extension::Voice;

/// Where a node is: without a port, if it has not said one.
pub type Place = (IpAddr, Option<u16>);

/// An address as it is kept: an IPv4 address is one however it was spelled, and what an IPv6
/// address says beside its host and port is nobody else's matter.
pub fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// An address as all spell it that reach it in the same way: an IPv4 address as such, without the
/// interface, and this machine by one address.
pub fn common(address: SocketAddr) -> SocketAddr {
    seen_as(address, IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// An address of somebody whose own machine is known by another one.
fn seen_as(address: SocketAddr, own: IpAddr) -> SocketAddr {
    match plain(address) {
        it if it.ip().is_loopback() => SocketAddr::new(own, it.port()),
        it => it,
    }
}

/// Brings what one at `remote` told into our own words: its loopback is that machine, and what it
/// tells as unspecified is on ours.
pub fn heard_from(remote: IpAddr, told: &mut [Voice]) {
    let remote = remote.to_canonical();
    let all = told.iter_mut().flat_map(|voice| {
        let made = voice.made.iter_mut().map(|(by, _)| by);
        voice.desktops.iter_mut().chain(made)
    });
    for desktop in all {
        *desktop = plain(*desktop);
        if desktop.ip().is_loopback() && !remote.is_loopback() {
            desktop.set_ip(remote);
        } else if desktop.ip().is_unspecified() {
            desktop.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
    }
}

/// Adds what one at `remote` may know by its loopback.
pub fn told_to(remote: IpAddr, told: &mut [Voice]) {
    let remote = remote.to_canonical();
    if remote.is_loopback() {
        return;
    }
    let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    for desktops in told.iter_mut().map(|voice| &mut voice.desktops) {
        let there = desktops.iter().filter(|desktop| desktop.ip() == remote);
        let there = there.map(|desktop| SocketAddr::new(unspecified, desktop.port()));
        let there: Vec<_> = there.collect();
        desktops.extend(there);
        limits::Full::VoiceDesktops.when(desktops.len() > limits::VOICE_DESKTOPS);
        desktops.truncate(limits::VOICE_DESKTOPS);
    }
}

/// Whom somebody at this address means: it names itself as this machine.
pub fn friend(text: &str, there: IpAddr) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    let address = match host {
        "localhost" => SocketAddr::new(there, port.parse().ok()?),
        _ => text.parse().ok()?,
    };
    Some(seen_as(address, there))
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "10.0.0.9:6000";

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn voice(desktops: &[&str]) -> Voice {
        Voice {
            id: 1,
            age: 0,
            count: 0,
            healthy: true,
            desktops: desktops.iter().map(|text| at(text)).collect(),
            made: Vec::new(),
        }
    }

    #[test]
    fn this_machine_has_another_name_elsewhere() {
        let (here, there) = (at("10.0.0.1:1").ip(), at("10.0.0.2:1").ip());
        let local = at("127.0.0.1:1").ip();
        // What is on the machine of whoever tells it.
        let mut told = [voice(&["127.0.0.1:6001", "[::1]:6002", D])];
        heard_from(there, &mut told);
        let expected = voice(&["10.0.0.2:6001", "10.0.0.2:6002", D]);
        assert_eq!(told, [expected]);
        // What is on the machine of whoever hears it, by both of its names.
        let mut told = [voice(&["10.0.0.1:6001", D])];
        told_to(here, &mut told);
        heard_from(there, &mut told);
        let expected = voice(&["10.0.0.1:6001", D, "127.0.0.1:6001"]);
        assert_eq!(told, [expected]);
        // On the same machine all is as it is.
        let mut told = [voice(&["127.0.0.1:6001", D])];
        told_to(local, &mut told);
        heard_from(local, &mut told);
        assert_eq!(told, [voice(&["127.0.0.1:6001", D])]);
        assert_eq!(common(at("[::ffff:10.0.0.9%3]:6000")), at(D));
    }

    #[test]
    fn whom_a_desktop_node_means_is_on_its_own_machine_where_it_says_so() {
        let there = IpAddr::from([10, 0, 0, 9]);
        let means = |text| friend(text, there).map(|address| address.to_string());
        for own in ["localhost:6001", "127.0.0.1:6001", "[::1]:6001"] {
            assert_eq!(means(own).as_deref(), Some("10.0.0.9:6001"), "{own}");
        }
        assert_eq!(means("10.0.0.7:1").as_deref(), Some("10.0.0.7:1"));
        for unknown in ["pc-2:6000", "localhost", "localhost:x", ""] {
            assert_eq!(means(unknown), None, "{unknown}");
        }
    }
}
