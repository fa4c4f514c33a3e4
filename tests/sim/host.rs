//! A machine on the LAN, and what is on it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use blx::ledger::Identity;
use blx::node::Network;

use crate::desktop::{Manner, Saved};
use crate::disk::SimDisk;
use crate::machine::Machine;
use crate::plain::file::ChainFile;
use crate::world::CONNS;

/// What a connection of a host is used for.
#[derive(Clone, Copy)]
pub enum Use {
    Free,
    Dialing(u64, SocketAddr),
    /// A connection and the side of it that is here.
    Open(usize, usize),
}

/// What the user types and reads.
#[derive(Default)]
pub struct Screen {
    pub typed: VecDeque<u8>,
    pub bytes: Vec<u8>,
    /// A run has ended while enough was not shown yet that more may have waited behind it.
    pub unseen: bool,
    /// Nobody reads before this time.
    pub asleep: u64,
}

/// A machine on the LAN.
pub struct Host {
    pub node: Option<Machine>,
    pub disk: SimDisk,
    /// What the oracle has read of its chain file.
    pub judged: RefCell<ChainFile>,
    /// What a desktop node keeps instead of a disk; it connects to nobody by itself.
    pub desktop: Option<Rc<RefCell<Saved>>>,
    pub manner: Manner,
    /// Its process stands still since then.
    pub paused: Option<u64>,
    pub screen: Screen,
    pub secret: [u8; 32],
    pub connect: Vec<SocketAddr>,
    pub drop_disconnected: bool,
    pub starts: u32,
    /// What the next start is told to follow at most.
    pub items_max: usize,
    pub staging_max: u64,
    /// Its last run has not ended by itself.
    pub unclean: bool,
    pub conns: [Use; CONNS],
    /// What its wall clock shows at the beginning of the run: microseconds.
    pub wall: u64,
    /// What a turn of its work takes: milliseconds.
    pub turn: u64,
    /// It works until then.
    pub works: u64,
}

impl Host {
    pub fn is_ours(&self) -> bool {
        self.desktop.is_none()
    }

    /// The key that its user signs with.
    pub fn key(&self) -> String {
        let identity = Identity::from_secret(&self.secret).expect("a key");
        identity.public().to_string()
    }
}

/// The subnet that all hosts are in, by both of their addresses.
pub const LAN: Network = Network {
    address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)),
    prefix: 23,
};

pub fn address(host: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host as u8 + 1], 6000))
}

/// Another address that leads to the same host, which does not know it.
pub fn alias(host: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, host as u8 + 1], 6000))
}

/// The host that one of its addresses names.
pub fn host_at(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else {
        panic!("hosts have no other addresses");
    };
    usize::from(address.ip().octets()[3]) - 1
}
