//! Whom this node is connected to, and whom it dials again, as it tells its user.

use core::fmt;

use serde::Serialize;

use super::Node;
use super::desktop::Stand;
use super::links::{Contact, Target};
use super::peer::{Kind, Peer};
use super::report::duration;
use crate::store::disk::Disk;

/// What is told of a desktop node whose ledger has credits.
const CREDITS: &str =
    "of release 0.0.2 or newer, has credits: what is taken there is not seen here";

/// A connection. Of several to the same desktop node the one is told on which it is spoken to.
#[derive(Serialize)]
struct PeerReport {
    address: String,
    /// Whether we dialed.
    outbound: bool,
    /// On which port it listens, if it dialed us and says so.
    listens_on: Option<u16>,
    /// `blx` or `desktop`; nothing before it has spoken.
    node: Option<&'static str>,
    /// It is a desktop node whose ledger has credits.
    credits: bool,
    /// The length of its chain, as far as it is known,
    blocks: Option<u64>,
    /// and, of a desktop node, how long ago it said that.
    said_s: Option<u64>,
    /// What it said proves that its chain is the same as ours, or another one.
    agrees: Option<bool>,
    ping_ms: Option<u64>,
    connected_s: u64,
    blocks_in: u64,
    blocks_out: u64,
    messages_in: u64,
    messages_out: u64,
    /// Of a desktop node: whether we speak to it, or listen only, since another one of ours speaks,
    speaks: Option<bool>,
    /// and how many connections lead to it.
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
struct TargetReport {
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

impl<D: Disk> Node<D> {
    /// Key 7.
    pub(super) fn list_peers(&mut self, at: usize) {
        let mut peers = Vec::new();
        for line in self.peers.lines() {
            let agrees = self.agrees(line);
            if let Some(peer) = self.peers.get(line)
                && (self.peers.desktop_at(line).is_none()
                    || self.peers.voice_of(self.cx.now.mono, line) == line)
            {
                peers.push(self.describe_peer(line, peer, agrees));
            }
        }
        let targets = self.links.targets.iter();
        let targets: Vec<TargetReport> = targets.filter_map(|t| self.describe_target(t)).collect();
        let Some(seat) = self.seats.at_mut(at) else {
            return;
        };
        if peers.is_empty() && targets.is_empty() && !seat.wants_json() {
            seat.say(&"no peers are connected.");
        }
        peers.iter().for_each(|peer| seat.say(peer));
        targets.iter().for_each(|target| seat.say(target));
    }

    fn describe_target(&self, target: &Target) -> Option<TargetReport> {
        let dialing_in_s = match target.contact {
            Contact::Open(..) => return None,
            Contact::Dialing(_) => None,
            Contact::Waiting(until) => {
                Some(until.0.saturating_sub(self.cx.now.mono.0).div_ceil(1000))
            }
        };
        Some(TargetReport {
            address: target.name(),
            dialing_in_s,
            last_error: target.error.clone(),
        })
    }

    /// Whether a peer's chain is ours, as far as its words prove that or the contrary. One
    /// that is behind has not heard of the rest yet, or not said so.
    fn agrees(&mut self, line: usize) -> Option<bool> {
        let tip = self.cx.chain.tip();
        let peer = self.peers.get(line)?;
        match &peer.kind {
            Kind::Ours(_) => {
                let theirs = peer.tip?;
                if theirs.length > tip.length {
                    return None;
                }
                let ours = self.cx.chain.hash(theirs.length.checked_sub(1)?).ok()?;
                (ours != theirs.hash || theirs == tip).then_some(theirs == tip)
            }
            Kind::Desktop(desktop) if desktop.proven => match desktop.stand {
                Stand::Same(length) if length < tip.length => None,
                stand => Some(stand == Stand::Same(tip.length)),
            },
            Kind::Unknown | Kind::Desktop(_) | Kind::Newer(_) => None,
        }
    }

    fn describe_peer(&self, line: usize, peer: &Peer, agrees: Option<bool>) -> PeerReport {
        let (now, sent) = (self.cx.now.mono, peer.writer.sent());
        let said = match &peer.kind {
            Kind::Desktop(desktop) => desktop.said,
            _ => None,
        };
        let blocks = match &peer.kind {
            Kind::Ours(_) => peer.tip.map(|tip| tip.length),
            _ => said.map(|(length, _)| length),
        };
        let id = self.peers.desktop_id(self.cx.now.mono, line);
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
            speaks: id.map(|_| self.desktops.speaks_to(now, &self.peers, line)),
            connections: id.map_or(1, |id| self.peers.lines_to(self.cx.now.mono, id).count()),
        }
    }
}
