//! How it becomes known who a peer is. One of ours says it in its greeting and proves it in a sign of
//! life: until then it is nobody in particular, whom no other connection gives way to.

use super::Node;
use super::desktop::Desktop;
use super::links::{Links, Met};
use super::peer::Kind;
use crate::ledger::{Claim, End, Signature};
use crate::store::disk::Disk;
use crate::wire::extension::{Greeting, Life};
use crate::wire::write::Outgoing;

impl<D: Disk> Node<D> {
    /// The other end says who it is.
    pub(super) fn greeted(&mut self, conn: usize, greeting: Greeting) {
        self.meet(conn, greeting.from, true);
        let now = self.cx.now.mono;
        let Some(peer) = self.peers.get_mut(conn) else {
            return;
        };
        if peer.is_ours() {
            peer.announce();
            for number in self.mempool.queue.lacking(&greeting.mempool) {
                peer.push(Outgoing::Transaction(number));
            }
        }
        Links::list(now, peer);
        self.hear_life(
            conn,
            Life {
                tip: greeting.tip,
                voices: greeting.voices,
                proof: None,
            },
        );
    }

    /// One of ours says where its chain ends, and which desktop nodes it and others speak to.
    pub(super) fn hear_life(&mut self, conn: usize, life: Life) {
        if let Some(proof) = life.proof
            && !self.hear_proof(conn, &proof)
        {
            return;
        }
        let (now, peers) = (self.cx.now.mono, &mut self.peers);
        self.desktops.hear_voices(now, peers, conn, life.voices);
        self.sync.hear_tip(&self.cx, peers, conn, life.tip);
    }

    /// The other end has spoken: from its first word it is known whether it is one of ours, or else
    /// whether it is a node at all. One of ours may have had something else to say before it knew of
    /// us; then it is known from its greeting.
    pub(super) fn meet(&mut self, conn: usize, from: Option<End>, is_node: bool) {
        let now = self.cx.now.mono;
        let Some(peer) = self.peers.get_mut(conn) else {
            return;
        };
        if peer.is_known(from.is_some()) {
            return;
        }
        if from.is_some() {
            let kept = core::mem::take(&mut peer.missed) || peer.desktop().is_some();
            (peer.kind, peer.claim) = (Kind::Ours(None), from);
            if kept && peer.announced {
                // Blocks were kept from it: it hears how far we are.
                peer.ping(now);
            }
            if peer.outbound {
                self.prove(conn);
            }
            return;
        }
        peer.announce();
        let is_node = is_node || peer.outbound;
        peer.kind = Kind::Desktop(Box::new(Desktop::new(now, is_node)));
        peer.ask(now);
        let (links, cx) = (&mut self.links, &mut self.cx);
        links.reached(cx, &mut self.peers, conn);
    }

    /// Proves to one of ours who we are. Whoever dialed does so first: what a caller has us sign and
    /// check would else cost it nothing.
    fn prove(&mut self, conn: usize) {
        let (own, now) = (self.links.own, self.cx.now.mono);
        let Some(peer) = self.peers.get_mut(conn) else {
            return;
        };
        let Some(other) = peer.claim else { return };
        let claim = Claim {
            signer: peer.our_end(own),
            dialed: peer.outbound,
            other,
        };
        peer.proof = Some(self.identity.prove(&claim));
        self.cx.checked += 1;
        match peer.pinged {
            Some(_) => peer.push(Outgoing::Ping),
            None => peer.ping(now),
        }
    }

    /// One of ours proves who it is, once. False if its connection has ended by that.
    fn hear_proof(&mut self, conn: usize, proof: &Signature) -> bool {
        let own = self.links.own;
        let Some(peer) = self.peers.get_mut(conn) else {
            return false;
        };
        let (Kind::Ours(None), Some(signer)) = (&peer.kind, peer.claim) else {
            return true;
        };
        let claim = Claim {
            signer,
            dialed: !peer.outbound,
            other: peer.our_end(own),
        };
        self.cx.checked += 1;
        if !self.cx.verifier.proves(&claim, proof) {
            self.misbehaved(conn, "it is not who it says it is");
            return self.peers.get(conn).is_some();
        }
        peer.kind = Kind::Ours(Some(signer.who));
        if !peer.outbound {
            self.prove(conn);
        }
        let (links, cx) = (&mut self.links, &mut self.cx);
        match links.meet(cx, &mut self.peers, conn, signer.who) {
            Met::Itself => false,
            Met::Alone | Met::Theirs => true,
            Met::Twice { closed, kept } => {
                self.retire(closed, kept);
                closed != conn
            }
        }
    }
}
