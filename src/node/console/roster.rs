//! Whom this node is connected to, and whom it dials again, as it tells its user.

use core::fmt;

use serde::Serialize;

use super::report::duration;
use crate::node::desktop::Stand;
use crate::node::desktops::Desktops;
use crate::node::effects::Cx;
use crate::node::event::Millis;
use crate::node::links::{Contact, Target};
use crate::node::peer::{Kind, Peer};
use crate::node::peers::Peers;
use crate::store::disk::Disk;

/// What is told of a desktop node whose ledger has credits.
const CREDITS: &str =
    "of release 0.0.2 or newer, has credits: what is taken there is not seen here";

/// A connection. Of several to the same desktop node the one is told on which it is spoken to.
#[derive(Serialize)]
pub struct PeerReport {
    address: String,
    /// Whether we dialed.
    outbound: bool,
    /// On which port it listens, if it dialed us and says so.
    listens_on: Option<u16>,
    /// `blx` or `desktop`; nothing before it has spoken.
    node: Option<&'static str>,
    /// It is a desktop node whose ledger has credits.
    credits: bool,
    /// The length of its chain, as far as it is known.
    blocks: Option<u64>,
    /// Of a desktop node: how many seconds ago it said that length.
    said_s: Option<u64>,
    /// What it said proves that its chain is the same as ours, or another one.
    agrees: Option<bool>,
    ping_ms: Option<u64>,
    connected_s: u64,
    blocks_in: u64,
    blocks_out: u64,
    messages_in: u64,
    messages_out: u64,
    /// Of a desktop node: whether we speak to it, or only listen since another node of this project
    /// speaks.
    speaks: Option<bool>,
    /// Of a desktop node: how many connections lead to it.
    connections: usize,
}

impl fmt::Display for PeerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.address)?;
        match self.listens_on {
            _ if self.outbound => write!(f, "(we dialed), ")?,
            Some(port) => write!(f, "(dialed us, listens on {port}), ")?,
            None => write!(f, "(dialed us), ")?,
        }
        let node = self.node.unwrap_or("has not spoken yet");
        match self.credits {
            true => write!(f, "{node} {CREDITS}, ")?,
            false => write!(f, "{node}, ")?,
        }
        match self.blocks {
            Some(blocks) => write!(f, "{blocks} blocks, ")?,
            None if self.speaks.is_some() => write!(f, "length not known yet, ")?,
            None => {}
        }
        if let Some(seconds) = self.said_s {
            write!(f, "{} ago, ", duration(seconds))?;
        }
        match self.agrees {
            Some(true) => write!(f, "agrees with us, ")?,
            Some(false) => write!(f, "differs from us, ")?,
            None => {}
        }
        match self.ping_ms {
            Some(ms) => write!(f, "ping {ms} ms, ")?,
            None => write!(f, "not pinged yet, ")?,
        }
        write!(
            f,
            "connected {}, blocks {} in {} out, messages {} in {} out",
            duration(self.connected_s),
            self.blocks_in,
            self.blocks_out,
            self.messages_in,
            self.messages_out,
        )?;
        match self.speaks {
            Some(true) => write!(f, ", we speak")?,
            Some(false) => write!(f, ", listening")?,
            None => {}
        }
        match self.connections {
            0 | 1 => Ok(()),
            count => write!(f, ", {count} connections"),
        }
    }
}

/// A peer that is to be dialed.
#[derive(Serialize)]
pub struct TargetReport {
    address: String,
    /// Nothing while it is being dialed.
    dialing_in_s: Option<u64>,
    last_error: Option<String>,
}

impl fmt::Display for TargetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (not connected), ", self.address)?;
        match self.dialing_in_s {
            None => write!(f, "dialing now")?,
            Some(seconds) => write!(f, "dialing in {seconds} s")?,
        }
        let error = self.last_error.as_deref().unwrap_or("not tried yet");
        write!(f, ", last error: {error}")
    }
}

impl TargetReport {
    /// What is told of a target; nothing while it is connected.
    pub fn of(now: Millis, target: &Target) -> Option<TargetReport> {
        let dialing_in_s = match target.contact {
            Contact::Open(..) => return None,
            Contact::Dialing(_) => None,
            Contact::Waiting(until) => Some(until.0.saturating_sub(now.0).div_ceil(1000)),
        };
        Some(TargetReport {
            address: target.name(),
            dialing_in_s,
            last_error: target.error.clone(),
        })
    }
}

impl PeerReport {
    /// What is told of a connection.
    pub fn of<D: Disk>(
        cx: &mut Cx<D>,
        peers: &Peers,
        desktops: &Desktops,
        (conn, peer): (usize, &Peer),
    ) -> PeerReport {
        let (now, sent, agrees) = (cx.now.mono, peer.writer.sent(), agrees(cx, peer));
        let said = match &peer.kind {
            Kind::Desktop(desktop) => desktop.said,
            _ => None,
        };
        let blocks = match &peer.kind {
            Kind::Ours(_) => peer.tip.map(|tip| tip.length),
            _ => said.map(|(length, _)| length),
        };
        let id = peers.desktop_id(now, conn);
        PeerReport {
            credits: peer.is_newer(),
            address: peer.remote.to_string(),
            outbound: peer.outbound,
            listens_on: peer.port.filter(|_| !peer.outbound),
            node: match peer.kind {
                Kind::Unknown => None,
                Kind::Ours(_) => Some("blx"),
                Kind::Desktop(_) | Kind::Newer(_) => Some("desktop"),
            },
            blocks,
            said_s: said.map(|(_, at)| now.0.saturating_sub(at.0) / 1000),
            agrees,
            ping_ms: peer.ping_ms,
            connected_s: (now.0 - peer.opened.0) / 1000,
            blocks_in: peer.blocks_in,
            blocks_out: sent.blocks,
            messages_in: peer.messages_in,
            messages_out: sent.messages,
            speaks: id.map(|_| desktops.speaks_to(now, peers, conn)),
            connections: id.map_or(1, |id| peers.lines_to(now, id).count()),
        }
    }
}

/// Whether a peer's chain is ours, as far as its words prove that or the contrary. One
/// that is behind has not heard of the rest yet, or not said so.
fn agrees<D: Disk>(cx: &mut Cx<D>, peer: &Peer) -> Option<bool> {
    let tip = cx.chain.tip();
    match &peer.kind {
        Kind::Ours(_) => {
            let theirs = peer.tip?;
            if theirs.length > tip.length {
                return None;
            }
            let ours = cx.chain.hash(theirs.length.checked_sub(1)?).ok()?;
            (ours != theirs.hash || theirs == tip).then_some(theirs == tip)
        }
        Kind::Desktop(desktop) if desktop.proven => match desktop.stand {
            Stand::Same(length) if length < tip.length => None,
            stand => Some(stand == Stand::Same(tip.length)),
        },
        Kind::Unknown | Kind::Desktop(_) | Kind::Newer(_) => None,
    }
}
