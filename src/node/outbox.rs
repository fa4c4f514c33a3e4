//! What is sent: to whom it is told, and where its content comes from.

use core::cell::Cell;
use core::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::addresses::told_to;
use super::desktops::Voices;
use super::effects::Cx;
use super::event::Millis;
use super::mempool::Mempool;
use super::peer::Told;
use super::peers::Peers;
use super::sync::ChainSync;
use crate::ledger::{Block, End, Hash, Signature, Tip, Transaction, Who};
use crate::limits;
use crate::store::disk::Disk;
use crate::store::log::Log;
use crate::wire::extension::{Greeting, Life, Locator, Voice};
use crate::wire::write::Source;

/// What this node sends, and for whom it is made next.
pub struct Outbox {
    own: Who,
    /// What it says of itself in each message: where it listens.
    sender: String,
    /// The connection for which bytes are made first.
    next: usize,
    /// The block that was sent last, and whether something in it is void.
    recent: Option<(Rc<Block>, bool)>,
}

impl Outbox {
    /// That of this node, which listens here.
    pub fn new(own: Who, listen: SocketAddr) -> Outbox {
        Outbox {
            own,
            sender: listen.to_string(),
            next: 0,
            recent: None,
        }
    }

    /// Makes bytes for every connection that has room.
    pub fn fill<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        (mempool, voices, sync): (&Mempool, &Voices, &ChainSync),
    ) {
        // Whoever told of an address must not see by this that somebody listens there.
        let known = peers.iter().filter(|(_, peer)| peer.has_spoken());
        let known: Vec<SocketAddr> = known.filter_map(|(_, peer)| peer.listening()).collect();
        let (mut made, budget) = (0, cx.chain.budget());
        for step in 0..limits::PEERS {
            let conn = (self.next + step) % limits::PEERS;
            let Some(peer) = peers.get_mut(conn) else {
                continue;
            };
            let over = made >= limits::TEXT_PER_TURN || cx.chain.is_over(budget);
            if limits::Full::TurnSent.when(over) {
                // The others have their turn in the next call.
                (self.next, cx.effects.busy) = (conn, true);
                break;
            }
            if peer.writer.pending().is_empty() {
                peer.flowed = cx.now.mono;
            }
            if peer.gone.is_some() {
                continue;
            }
            let asking = peer.listening().unwrap_or(peer.remote);
            let told = Cell::new(peer.told);
            let (proof, own) = (Cell::new(peer.proof), peer.our_end(self.own));
            made += peer.writer.fill(&mut View {
                log: &mut cx.chain,
                recent: &mut self.recent,
                mempool,
                own,
                candidate: sync.continues(conn),
                known: &known,
                asking,
                sender: &self.sender,
                now: cx.now.mono,
                voices,
                ours: peer.is_ours().then(|| peer.remote.ip()),
                told: &told,
                proof: &proof,
            });
            (peer.told, peer.proof) = (told.get(), proof.get());
        }
    }
}

/// What the sending half of a connection sees of the node.
struct View<'a, D> {
    log: &'a mut Log<D>,
    /// The block that was sent last, and whether something in it is void: it mostly goes to
    /// everybody.
    recent: &'a mut Option<(Rc<Block>, bool)>,
    mempool: &'a Mempool,
    /// Our end of its connection.
    own: End,
    /// The length and last hash of what the peer has told of its chain, if the rest is wanted.
    candidate: Option<(u64, Hash)>,
    known: &'a [SocketAddr],
    asking: SocketAddr,
    sender: &'a str,
    now: Millis,
    voices: &'a Voices,
    /// Where the peer is, if it is one of ours.
    ours: Option<IpAddr>,
    /// What it was told of the voices.
    told: &'a Cell<Told>,
    /// That we are who we say, as long as it was not told that.
    proof: &'a Cell<Option<Signature>>,
}

impl<D: Disk> View<'_, D> {
    fn tell_voices(&self, remote: IpAddr) -> Vec<Voice> {
        self.told.set(Told {
            news: self.voices.news(),
            at: Some(self.now),
        });
        let mut told = self.voices.told(self.now);
        told_to(remote, &mut told);
        told
    }

    /// The block at a height, and whether something in it is void.
    fn read(&mut self, height: u64) -> Option<(Rc<Block>, bool)> {
        let tip = self.log.tip();
        if height >= tip.length {
            return None;
        }
        let is_tip = height + 1 == tip.length;
        if let Some(recent) = self.recent
            && is_tip
            && recent.0.hash == tip.hash
        {
            return Some(recent.clone());
        }
        match self.log.read(height) {
            Ok(stored) => {
                let has_void = stored.has_void();
                let read = (Rc::new(stored.block), has_void);
                if is_tip {
                    *self.recent = Some(read.clone());
                }
                Some(read)
            }
            Err(error) => {
                log::error!("{error}");
                None
            }
        }
    }
}

impl<D: Disk> Source for View<'_, D> {
    fn tip(&self) -> Tip {
        self.log.tip()
    }

    fn block(&mut self, height: u64) -> Option<Rc<Block>> {
        self.read(height).map(|(block, _)| block)
    }

    fn single(&mut self, height: u64) -> Option<Rc<Block>> {
        let (block, has_void) = self.read(height)?;
        (!has_void).then_some(block)
    }

    fn transaction(&self, number: u64) -> Option<Transaction> {
        self.mempool.queue.transaction(number).cloned()
    }

    fn greeting(&self) -> Greeting {
        Greeting {
            from: Some(self.own),
            tip: Some(self.log.tip()),
            mempool: self.mempool.queue.ids(),
            voices: self.tell_voices(self.asking.ip()),
        }
    }

    fn life(&self) -> Life {
        Life {
            tip: Some(self.log.tip()),
            voices: self.ours.map_or(Vec::new(), |ip| self.tell_voices(ip)),
            proof: self.proof.take(),
        }
    }

    /// A hash that cannot be read ends the list: what is behind it is told once more.
    fn locator(&mut self) -> Locator {
        if let Some((length, hash)) = self.candidate {
            let hashes = vec![hash];
            return Locator { length, hashes };
        }
        let length = self.log.tip().length;
        let heights = Locator::heights(length);
        let hashes = heights.map_while(|height| self.log.hash(height).ok());
        Locator {
            length,
            hashes: hashes.collect(),
        }
    }

    /// What can be dialed by the one who asks: not itself, and loopback only on this machine.
    fn peers(&self) -> Vec<SocketAddr> {
        let local = self.asking.ip().is_loopback();
        let others = self.known.iter().filter(|address| **address != self.asking);
        let useful = others.filter(|address| local || !address.ip().is_loopback());
        useful.copied().collect()
    }

    fn sender(&self) -> &str {
        self.sender
    }
}

#[cfg(test)]
pub mod testing {
    //! What is sent, as tests of the organs look at it.
    #![allow(missing_docs)]

    use super::*;
    use serde_json::Value;

    impl Outbox {
        /// Sends all that waits: over which connection, and what, in a word or two.
        pub fn send<D: Disk>(
            &mut self,
            cx: &mut Cx<D>,
            peers: &mut Peers,
            seen: (&Mempool, &Voices, &ChainSync),
        ) -> Vec<(usize, String)> {
            let mut texts = vec![String::new(); peers.conns().end];
            loop {
                self.fill(cx, peers, seen);
                let mut any = false;
                for (conn, peer) in peers.iter_mut() {
                    let count = peer.writer.pending().len();
                    texts[conn] += str::from_utf8(peer.writer.pending()).expect("ASCII");
                    peer.writer.advance(count);
                    any |= count > 0;
                }
                if !any {
                    break;
                }
            }
            let texts = texts.iter().enumerate();
            let lines = texts.flat_map(|(conn, text)| text.lines().map(move |text| (conn, text)));
            lines.map(|(conn, text)| (conn, word(text))).collect()
        }
    }

    fn word(text: &str) -> String {
        let Ok(line) = serde_json::from_str::<Value>(text) else {
            return "broken".into();
        };
        let (kind, payload) = (line["type"].as_str().expect("a word"), &line["payload"]);
        match kind {
            "new_block" => format!("block {}", payload["index"]),
            "chain_response" => {
                let blocks = payload["chain"].as_array().expect("blocks");
                format!("chain {} of {}", blocks.len(), payload["length"])
            }
            _ => kind.to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
