//! The words between the machine and whoever drives it.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use crate::limits;
use crate::store::keys::IdentityError;
use crate::store::recover;

/// Milliseconds on a clock that never goes back and starts anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

/// The time, in two parts.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// For timers: never goes back.
    pub mono: Millis,
    /// For the times in blocks: microseconds since 1970. It may jump in any direction.
    pub wall: u64,
}

/// A stream of bytes in both directions: a peer or a console. Its id is its slot, which
/// is free again after `Hangup` or `Closed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnId(pub u8);

/// A subnet that this machine is in, without those of its loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// An address in it.
    pub address: IpAddr,
    /// So many of its first bits are those of all addresses in it.
    pub prefix: u8,
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let same = |bits: u32, differ: u32| differ >= u32::from(self.prefix).min(bits);
        match (self.address, ip) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(32, (own.to_bits() ^ other.to_bits()).leading_zeros())
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                same(128, (own.to_bits() ^ other.to_bits()).leading_zeros())
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Nothing but time went by.
    Tick,
    /// Somebody connected. The node answers with `Action::Accept` or `Action::Refuse`.
    Incoming {
        /// Their address and ephemeral port.
        from: SocketAddr,
    },
    /// A dial succeeded.
    Connected {
        /// The connection of `Action::Dial`.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
        /// Their end.
        remote: SocketAddr,
    },
    /// A dial failed; its id is free.
    DialFailed {
        /// The connection of `Action::Dial`.
        conn: ConnId,
        /// Why, as a clause: "connection refused".
        reason: &'a str,
    },
    /// This machine is in these subnets, and no others. Before the first one it is in none.
    Networks {
        /// All of them.
        networks: &'a [Network],
    },
    /// A console opened.
    ConsoleOpened {
        /// Its id, from [`CONSOLE`] on.
        conn: ConnId,
        /// What it is.
        kind: ConsoleKind,
    },
    /// Bytes were put at the start of `rx_space`.
    Received {
        /// Where.
        conn: ConnId,
        /// How many, at least one.
        count: usize,
    },
    /// Bytes were taken from the start of `tx_pending`.
    Sent {
        /// Where.
        conn: ConnId,
        /// How many, at least one.
        count: usize,
    },
    /// The other end closed or failed; its id is free. Where a console's input ends in an orderly
    /// way, its output may go on: the id of a serial line is free then as well, those of others are
    /// until `Hangup`.
    Closed {
        /// Which.
        conn: ConnId,
        /// The system's reason where it was not an orderly end.
        reason: Option<&'a str>,
    },
    /// The system asks the node to end.
    Stop,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect; answered by `Connected` or `DialFailed`.
    Dial {
        /// The id to use.
        conn: ConnId,
        /// A name or an IP address.
        host: String,
        /// The port.
        port: u16,
    },
    /// Attach the connection of the last `Incoming` to this id.
    Accept {
        /// The id to use.
        conn: ConnId,
    },
    /// Close the connection of the last `Incoming`.
    Refuse,
    /// Close the connection, or give up its dial; no event follows, its id is free.
    Hangup {
        /// Which.
        conn: ConnId,
    },
    /// End the process with exit code 0.
    Exit,
}

/// How a node is, in short: for whoever supervises it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The index of the last block.
    pub height: u64,
    /// Peers that are connected.
    pub peers: usize,
    /// It has begun to end.
    pub ending: bool,
    /// Blocks are written, and all of them can be read.
    pub ok: bool,
}

/// The id of the first console; those of the others follow.
pub const CONSOLE: ConnId = ConnId(limits::PEERS as u8);

impl ConnId {
    /// Which console it is, if it is none of a peer.
    pub fn console(self) -> Option<usize> {
        usize::from(self.0).checked_sub(limits::PEERS)
    }

    /// The id of a peer.
    pub fn of_peer(at: usize) -> ConnId {
        ConnId(u8::try_from(at).expect("peers are less than 256"))
    }

    /// The id of a console.
    pub fn of_console(at: usize) -> ConnId {
        ConnId(u8::try_from(limits::PEERS + at).expect("peers and consoles are less than 256"))
    }
}

/// What a console is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleKind {
    /// Standard input and output: its end is the node's end.
    Standard {
        /// Whether it shows UTF-8.
        utf8: bool,
        /// Whether it shows what is typed: a terminal does, a pipe does not.
        echoes: bool,
    },
    /// A serial line: what is typed is edited and shown by us.
    Serial,
    /// A connection to a control socket. It may want the menu, or something of
    /// [`crate::wire::control`]; nothing is said before it has said which.
    Socket,
}

/// What a node is told at its start.
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Leading hexadecimal zeros of a block's hash; the data directory's own if not given.
    pub difficulty: Option<u8>,
    /// Peers to dial for ever.
    pub connect: Vec<(String, u16)>,
    /// The chain file is read through once in this time; never, if there is none.
    pub scrub_every: Option<Millis>,
    /// Starts so far that followed a kill or a power cut.
    pub unclean_stops: u32,
    /// This start is one of them.
    pub unclean_stop: bool,
    /// When this program was built: microseconds since 1970. An earlier wall clock is not set.
    pub built: u64,
    /// A random number: with the node's key it makes the one by which this run of it is known to
    /// others of its kind.
    pub id: u64,
    /// Transactions of disconnected blocks are not made again, as desktop nodes have it.
    pub drop_disconnected: bool,
    /// Items in a chain that this node follows.
    pub items_max: usize,
    /// Bytes of a chain that waits on disk until it is complete.
    pub staging_max: u64,
    /// What a user can do about what this node is told to do.
    pub ways: Ways,
    /// 32 random bytes: the identity's secret, if there is none yet. Nothing else comes of them.
    pub secret: [u8; 32],
    /// 32 random bytes of which others learn nothing by what is drawn of them for each connection.
    pub nonces: [u8; 32],
    /// A random number that has nothing to do with `secret` or `id`: the seed of the jitter, whose
    /// numbers show in when this node speaks.
    pub seed: u64,
}

/// What a user can do where this node keeps to its [`Config`], in the words of whoever drives it: it knows
/// no command line. Each stands in parentheses behind what it says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ways {
    /// A chain has more than [`Config::items_max`].
    pub items_max: &'static str,
    /// One has more than [`Config::staging_max`].
    pub staging_max: &'static str,
    /// Nothing is made again, see [`Config::drop_disconnected`].
    pub drop_disconnected: &'static str,
    /// A reorg has lost or changed something deep in the chain, and its blocks are kept.
    pub disconnected: &'static str,
    /// There is no [`Config::scrub_every`].
    pub scrub_every: &'static str,
}

/// Why a node cannot start.
#[derive(Debug)]
pub enum OpenError {
    /// Its chain file cannot be opened.
    Chain(recover::OpenError),
    /// There is no key for it.
    Key(IdentityError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Chain(error) => error.fmt(f),
            OpenError::Key(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_known_by_its_first_bits() {
        for (own, prefix, other, near) in [
            ("10.0.0.7", 24, "10.0.0.255", true),
            ("10.0.0.7", 24, "10.0.1.7", false),
            ("10.0.0.7", 32, "10.0.0.7", true),
            ("10.0.0.7", 32, "10.0.0.6", false),
            ("10.0.0.7", 0, "192.0.2.1", true),
            ("10.0.0.7", 200, "10.0.0.7", true),
            ("fd00::7", 64, "fd00::1:1", true),
            ("fd00::7", 64, "fd00:0:0:1::7", false),
            ("fd00::7", 0, "10.0.0.7", false),
        ] {
            let [address, other] = [own, other].map(|ip| ip.parse().expect("an address"));
            let network = Network { address, prefix };
            assert_eq!(network.contains(other), near, "{own}/{prefix} {other}");
        }
    }
}
