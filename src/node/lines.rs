//! The connections: their buffers, what is known of the other end, and when one is given up.

use core::net::SocketAddr;

use super::Millis;
use crate::ledger::Block;
use crate::limits;
use crate::wire::frame::Reader;
use crate::wire::message::MessageKind;
use crate::wire::write::{Intent, Writer};

/// A block whose signatures are being checked, before its peer's next frame is read.
pub struct Held {
    /// The block.
    pub block: Box<Block>,
    /// What it came in.
    pub origin: Origin,
    /// The next transaction whose signature is checked.
    pub next: usize,
}

/// What a block came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A message of its own.
    NewBlock,
    /// A chain.
    Chain,
    /// A chain, where ours has a hole.
    Hole,
}

/// An open connection.
pub struct Peer {
    /// Their end.
    pub remote: SocketAddr,
    /// Whether we dialed.
    pub outbound: bool,
    /// The receiving half.
    pub reader: Reader,
    /// The sending half.
    pub writer: Writer,
    /// When it was made.
    pub opened: Millis,
    /// When bytes last came.
    pub heard: Millis,
    /// When a frame last came, or could not be read because we were busy.
    pub framed: Millis,
    /// When bytes last left, or there were none to send.
    pub flowed: Millis,
    /// Whether a ping was sent since bytes last came.
    pub pinged: bool,
    /// Whether the other end has spoken: only then it is asked for its chain.
    pub greeted: bool,
    /// The port on which it listens, as it says.
    pub port: Option<u16>,
    /// A block that is being checked.
    pub held: Option<Held>,
    /// It was asked for its chain and has not answered yet.
    pub asked: bool,
    /// Our user asked, and wants to hear the outcome.
    pub user_asked: bool,
    /// The greatest index of a block that came while its chain was on its way.
    pub seen: u64,
    /// Its chain came while another one was being looked at, and was skipped: it is asked for
    /// again when there is time for it, at this time at the latest.
    pub deferred: Option<Millis>,
    /// Its chain does not have what is missing in ours.
    pub no_help: bool,
    /// Broken rules.
    pub strikes: u8,
    /// Blocks that came.
    pub blocks_in: u64,
    /// Messages that came.
    pub messages_in: u64,
}

impl Peer {
    /// A connection made just now.
    pub fn new(now: Millis, remote: SocketAddr, outbound: bool) -> Peer {
        Peer {
            remote,
            outbound,
            reader: Reader::default(),
            writer: Writer::default(),
            opened: now,
            heard: now,
            framed: now,
            flowed: now,
            pinged: false,
            greeted: false,
            port: None,
            held: None,
            asked: false,
            user_asked: false,
            seen: 0,
            deferred: None,
            no_help: false,
            strikes: 0,
            blocks_in: 0,
            messages_in: 0,
        }
    }

    /// Queues something to send. A peer so slow that the queue is full is told the whole chain
    /// later, in which the blocks of the queue are.
    pub fn push(&mut self, intent: Intent) {
        if self.writer.push(intent).is_ok() {
            return;
        }
        let told = matches!(intent, Intent::Block(_) | Intent::OwnBlock(_));
        if self.writer.drop_blocks() || told {
            // What was dropped made room for it. It must not be left out: who has asked for a
            // chain does not ask again before it has come.
            let _ = self.writer.push(Intent::Chain);
        }
        if !told && self.writer.push(intent).is_err() {
            log::info!(
                "{}: too many questions at once, one is not answered",
                self.remote
            );
        }
    }

    /// Asks for its chain, unless the answer is on its way already.
    pub fn ask(&mut self) {
        if !self.asked {
            self.asked = true;
            self.seen = 0;
            self.push(Intent::Plain(MessageKind::RequestChain));
        }
    }

    /// The address on which it can be dialed, as far as that is known.
    pub fn listening(&self) -> Option<SocketAddr> {
        if self.outbound {
            return Some(self.remote);
        }
        self.port
            .map(|port| SocketAddr::new(self.remote.ip(), port))
    }

    /// When it has to be looked at again.
    pub fn deadline(&self) -> Millis {
        let quiet = if self.pinged {
            limits::SILENT_MS
        } else {
            limits::IDLE_MS
        };
        let mut deadline = self.heard.0 + quiet;
        if self.reader.mid_line() {
            deadline = deadline.min(self.framed.0 + limits::STALL_MS);
        }
        if !self.writer.pending().is_empty() {
            deadline = deadline.min(self.flowed.0 + limits::STALL_MS);
        }
        Millis(deadline)
    }

    /// The time that went by was ours, not the peer's.
    pub fn excuse(&mut self, now: Millis) {
        (self.framed, self.heard, self.flowed) = (now, now, now);
    }

    /// Looks after the time: pings a quiet peer, and says why a dead one is to be given up.
    pub fn tend(&mut self, now: Millis) -> Option<&'static str> {
        if self.held.is_some() {
            self.excuse(now);
        }
        if now.0 >= self.heard.0 + limits::SILENT_MS {
            return Some("it does not answer");
        }
        if self.reader.mid_line() && now.0 >= self.framed.0 + limits::STALL_MS {
            return Some("it stopped in the middle of a message");
        }
        if !self.writer.pending().is_empty() && now.0 >= self.flowed.0 + limits::STALL_MS {
            return Some("it does not take what is sent");
        }
        if !self.pinged && now.0 >= self.heard.0 + limits::IDLE_MS {
            self.pinged = true;
            self.push(Intent::Plain(MessageKind::Ping));
        }
        None
    }
}

/// A line's place in the table.
pub enum Slot {
    /// Nobody.
    Free,
    /// Somebody who is being dialed.
    Dialing,
    /// Somebody.
    Open(Box<Peer>),
}

impl Slot {
    /// The connection, if there is one.
    pub fn peer(&mut self) -> Option<&mut Peer> {
        match self {
            Slot::Open(peer) => Some(peer),
            Slot::Free | Slot::Dialing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_does_not_forget_that_a_chain_is_owed() {
        let remote = SocketAddr::from(([10, 0, 0, 1], 6000));
        for first in [Intent::Chain, Intent::Block(1)] {
            for last in [Intent::Block(9), Intent::Plain(MessageKind::Pong)] {
                let mut peer = Peer::new(Millis(0), remote, true);
                peer.push(first);
                while peer.writer.push(Intent::PeerList).is_ok() {}
                peer.push(last);
                // It is queued exactly when another one is taken although nothing else fits.
                while peer.writer.push(Intent::PeerList).is_ok() {}
                assert_eq!(
                    peer.writer.push(Intent::Chain),
                    Ok(()),
                    "{first:?} {last:?}"
                );
            }
        }
    }
}
