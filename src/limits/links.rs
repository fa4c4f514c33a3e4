//! Connections: whom to dial, who has a place, whom to leave alone.

use super::{PEERS, either};

/// Milliseconds until a peer is dialed again, after each failure in a row; the last one is used
/// from then on.
pub const REDIAL_MS: [u64; 7] = [1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000];

/// Milliseconds until a connection counts as healthy: when it ends after that, [`REDIAL_MS`] begins
/// anew.
pub const HEALTHY_MS: u64 = 60_000;

/// Broken rules until a peer is disconnected and banned: on one connection, or from one address in
/// [`MISBEHAVIOUR_MS`].
pub const MISBEHAVIOURS_MAX: u8 = 3;

/// Milliseconds for which an address is remembered for a broken rule.
pub const MISBEHAVIOUR_MS: u64 = 600_000;

/// The most addresses that are remembered for broken rules: about 64 bytes each.
pub const MISBEHAVED: usize = either(128, 2);

/// Milliseconds until a ban ends. Until then the address is neither dialed nor accepted.
pub const BAN_MS: u64 = 600_000;

/// The most peers that are banned at a time.
pub const BANS: usize = either(64, 2);

/// Learned addresses are dialed only while there are fewer connections than this.
pub const LEARNED_PEERS: usize = either(8, 2);

/// Milliseconds from one dial of a learned address to the next, at least.
pub const LEARNED_APART_MS: u64 = 1_000;

/// Milliseconds until a new connection can become an eviction candidate.
pub const NEWCOMER_MS: u64 = 10_000;

/// Milliseconds from the connection until its other end has to have said a message.
pub const FIRST_MESSAGE_MS: u64 = 30_000;

/// Of the [`PEERS`] so many places are for dials: callers do not get them.
pub const PLACES_FOR_DIALS: usize = either(8, 1);

/// Connections that one address may have made, unless it is that of this machine or of a peer that was
/// named.
pub const PEERS_PER_ADDRESS: usize = either(4, 2);

/// Connections that are accepted in a turn of the loop: honest callers wait behind a flood of others.
pub const ACCEPTS_PER_TURN: usize = 8;

/// Connections that keep their place for longer since they answer fastest, and as many since they
/// brought the last blocks.
pub const PLACES_KEPT: usize = either(2, 1);
const _: () = assert!(2 * PLACES_KEPT < PEERS - PLACES_FOR_DIALS);

/// Milliseconds until a dial gives up one address of the host and tries the next. A host on a LAN
/// answers within one; a second lost packet still fits.
pub const DIAL_MS_MAX: u64 = 5_000;

/// Milliseconds until looking up a name counts as failed.
pub const RESOLVE_MS_MAX: u64 = 10_000;

/// The most addresses of one name that a dial tries; the rest is ignored.
pub const DIAL_ADDRESSES_MAX: usize = 8;

/// What the system may hold of what a connection has sent and the other end has not taken: bytes. Linux
/// takes twice as much memory for it.
pub const SEND_BUFFER_BYTES: usize = 64 << 10;

/// Milliseconds until the system drops what a closed connection has sent, if the other end takes none of
/// it.
pub const CLOSED_MS: u32 = 5_000;

/// Milliseconds until connections are accepted again after accepting one failed. Without it, a
/// process that ran out of descriptors would be woken by the waiting connection for ever.
pub const ACCEPT_PAUSE_MS: u64 = 1_000;

/// Addresses kept of one `peer_list`; a desktop node has at most as many peers (PROTOCOL.md section
/// 4). With [`PEER_TEXT_MAX`] at most 16 KiB, until the list is looked at.
pub const PEER_LIST_MAX: usize = either(64, 2);

/// Milliseconds until a peer is told again whom we know, and until its next list is read.
pub const PEER_LIST_MS: u64 = 60_000;

/// An address in a `peer_list`: bytes. The longest DNS name, a colon and a port: 253 + 1 + 5.
pub const PEER_TEXT_MAX: usize = 259;

/// Addresses in the address book: about 200 bytes each.
pub const ADDRESS_BOOK: usize = either(1_024, 4);

/// Into how many parts the address book is divided: one source can fill one of them.
pub const ADDRESS_BOOK_SHARE: usize = either(8, 2);

/// The lowest port of an address that is learned: below it a LAN has other things than nodes.
pub const LEARNED_PORT_MIN: u16 = 1_024;

/// Ports of one host in the address book, of this machine's excepted, that are not proven to be nodes'.
pub const UNPROVEN_PORTS: usize = either(2, 1);

/// Dials in [`DIALS_MS`] to addresses that one source told and that are not proven; those of this machine
/// are not counted.
pub const DIALS_PER_SOURCE: usize = either(32, 2);

/// The time for which [`DIALS_PER_SOURCE`] holds: milliseconds.
pub const DIALS_MS: u64 = 3_600_000;

/// Sources whose dials are counted: at most about 300 bytes each.
pub const DIAL_SOURCES: usize = either(64, 2);

/// The most subnets of this machine: 18 bytes each, of which the node has a copy.
pub const NETWORKS_MAX: usize = 64;

/// Milliseconds for which what is known of this machine's subnets is good.
pub const NETWORKS_MS: u64 = 10_000;

/// Addresses that turned out to be this node's own and are remembered as such: the last ones.
pub const ADDRESS_BOOK_OURS: usize = 16;

/// Milliseconds until an address of the address book is dialed again after a failed dial. Each
/// further failure doubles them.
pub const ADDRESS_BOOK_BACKOFF_MS: u64 = 60_000;

/// How often [`ADDRESS_BOOK_BACKOFF_MS`] is doubled at most: up to 64 minutes.
pub const ADDRESS_BOOK_DOUBLINGS_MAX: u32 = 6;

/// Failed dials after which an address that never answered is forgotten.
pub const ADDRESS_BOOK_FAILURES_MAX: u32 = 3;

/// Milliseconds until the address book is written after it has changed.
pub const ADDRESS_BOOK_SETTLE_MS: u64 = 60_000;

/// Milliseconds from one write of the address book to the next, at least.
pub const ADDRESS_BOOK_WRITE_MS: u64 = 900_000;
