//! Connections: whom to dial, who has a place, whom to leave alone.

use super::{PEERS, either};

/// Milliseconds until a peer is dialed again, after each failure in a row; the last one is used
/// from then on.
pub const REDIAL_MS: [u64; 7] = [1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000];

/// Milliseconds until a connection counts as healthy: when it ends after that, [`REDIAL_MS`] begins
/// anew.
pub const HEALTHY_MS: u64 = 60_000;

/// Broken rules until a peer is disconnected and banned.
pub const MISBEHAVIOURS_MAX: u8 = 3;

/// Milliseconds until a ban ends. Until then the peer is not dialed, nor listened to when it dials.
pub const BAN_MS: u64 = 600_000;

/// The most peers that are banned at a time.
pub const BANS: usize = either(64, 2);

/// Learned addresses are dialed only while there are fewer connections than this.
pub const LEARNED_PEERS: usize = either(8, 2);

/// Milliseconds from one dial of a learned address to the next, at least.
pub const LEARNED_APART_MS: u64 = 1_000;

/// Milliseconds until a new connection can become an eviction candidate.
pub const NEWCOMER_MS: u64 = 10_000;

/// Connections that keep their place for longer since they answer fastest, and as many since they
/// brought the last blocks.
pub const PLACES_KEPT: usize = either(2, 1);
const _: () = assert!(2 * PLACES_KEPT < PEERS);

/// Milliseconds until a dial gives up one address of the host and tries the next. A host on a LAN
/// answers within one; a second lost packet still fits.
pub const DIAL_MS_MAX: u64 = 5_000;

/// Milliseconds until looking up a name counts as failed.
pub const RESOLVE_MS_MAX: u64 = 10_000;

/// The most addresses of one name that a dial tries; the rest is ignored.
pub const DIAL_ADDRESSES_MAX: usize = 8;

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
