//! The subnets that this machine is in, as the kernel tells them without being asked for more than a
//! file: there is no other way to them without unsafe code.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::NETWORKS_MAX;
use crate::node::Network;

/// Routes of IPv4. Below `self`, since a service may see nothing else of /proc.
const ROUTES: &str = "/proc/self/net/route";

/// Addresses of IPv6.
const ADDRESSES: &str = "/proc/self/net/if_inet6";

/// Routes that are as wide lead through a tunnel, and say of no host that it is near.
const NARROW_MIN: u8 = 8;

/// Of addresses whose use is confined to one interface: the kernel's number for it.
const LINK_SCOPE: &str = "20";

/// The subnets of this machine's interfaces but loopback, the first [`NETWORKS_MAX`] of them; none where
/// the kernel does not tell them.
pub fn read() -> Vec<Network> {
    let [routes, addresses] = [ROUTES, ADDRESSES].map(|path| {
        fs::read_to_string(path).unwrap_or_else(|error| {
            log::debug!("{path}: {}", super::reason(&error));
            String::new()
        })
    });
    let routes = routes.lines().filter_map(of_route);
    let all = routes.chain(addresses.lines().filter_map(of_address));
    all.filter(|network| network.prefix >= NARROW_MIN && !network.address.is_loopback())
        .take(NETWORKS_MAX)
        .collect()
}

/// A line of [`ROUTES`]: where no gateway stands, hosts are on the link. Each address is a number as the
/// machine keeps it whose bytes are in the network's order.
fn of_route(line: &str) -> Option<Network> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let mut address = || {
        let number = u32::from_str_radix(words.next()?, 16).ok()?;
        Some(Ipv4Addr::from(number.to_ne_bytes()))
    };
    let (destination, gateway) = (address()?, address()?);
    let mask = line.split_ascii_whitespace().nth(7)?;
    let mask = u32::from_str_radix(mask, 16).ok()?.count_ones();
    let near = gateway.is_unspecified();
    near.then_some(Network {
        address: IpAddr::V4(destination),
        prefix: u8::try_from(mask).ok()?,
    })
}

/// A line of [`ADDRESSES`].
fn of_address(line: &str) -> Option<Network> {
    let mut words = line.split_ascii_whitespace();
    let number = u128::from_str_radix(words.next()?, 16).ok()?;
    let (prefix, scope) = (words.nth(1)?, words.next()?);
    (scope != LINK_SCOPE).then_some(Network {
        address: IpAddr::V6(Ipv6Addr::from(number)),
        prefix: u8::from_str_radix(prefix, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(network: Option<Network>) -> Option<String> {
        network.map(|network| format!("{}/{}", network.address, network.prefix))
    }

    /// As the kernel of this machine writes a route.
    fn route(destination: [u8; 4], gateway: [u8; 4], mask: [u8; 4]) -> String {
        let [destination, gateway, mask] = [destination, gateway, mask].map(u32::from_ne_bytes);
        format!("eth0\t{destination:08X}\t{gateway:08X}\t0001\t0\t0\t0\t{mask:08X}\t0\t0\t0   ")
    }

    #[test]
    fn a_route_without_a_gateway_is_a_subnet() {
        let (none, gateway) = ([0; 4], [192, 168, 1, 1]);
        let lan = route([192, 168, 1, 0], none, [255, 255, 254, 0]);
        assert_eq!(shown(of_route(&lan)).as_deref(), Some("192.168.1.0/23"));
        let far = route([10, 0, 0, 0], gateway, [255, 0, 0, 0]);
        assert_eq!(of_route(&far), None);
        for odd in ["Iface\tDestination\tGateway", "", "eth0\t0001A8C0", "x y z"] {
            assert_eq!(of_route(odd), None, "{odd}");
        }
    }

    #[test]
    fn an_address_has_its_subnet_beside_it_unless_it_is_of_one_link() {
        let line = "fd000000000000000000000000000002 04 40 00 82     eth0";
        assert_eq!(shown(of_address(line)).as_deref(), Some("fd00::2/64"));
        let link = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0";
        assert_eq!(of_address(link), None);
        assert_eq!(of_address("fd00 04"), None);
    }

    #[test]
    fn what_the_kernel_says_is_read_and_loopback_is_no_subnet() {
        for network in read() {
            assert!(!network.address.is_loopback(), "{network:?}");
            assert!(network.contains(network.address), "{network:?}");
        }
    }
}
