//! Who is asked for a chain, and who is told what.

use super::ChainSync;
use crate::ledger::{Block, Tip};
use crate::limits;
use crate::node::effects::Cx;
use crate::node::event::Millis;
use crate::node::peers::Peers;
use crate::store::disk::Disk;
use crate::wire::extension::Locator;
use crate::wire::write::Outgoing;

impl ChainSync {
    /// One of ours says where its chain ends: if it would win, it is asked for what we lack.
    pub fn hear_tip<D: Disk>(&self, cx: &Cx<D>, peers: &mut Peers, conn: usize, tip: Option<Tip>) {
        let ours = cx.chain.tip();
        let Some(peer) = peers.get_mut(conn) else {
            return;
        };
        if let Some(end) = tip
            && peer.is_ours()
            && peer.unfollowed.is_none()
        {
            peer.tip = Some(end);
            if peer.is_ahead_of(&ours) {
                self.ask(cx.now.mono, peers, conn);
            }
        }
    }

    /// Asks a peer for its chain. One of ours is not asked while another chain is being looked at, since
    /// its answer would only be thrown away, nor while our chain changes too fast.
    pub fn ask(&self, now: Millis, peers: &mut Peers, conn: usize) {
        let busy = self.conn().is_some_and(|other| other != conn);
        let Some(peer) = peers.get_mut(conn) else {
            return;
        };
        let next = self.pace.next();
        if !peer.is_ours() || (!busy && next <= now) {
            peer.ask(now);
        } else if peer.deferred.is_none() {
            match busy {
                true => peer.defer(now, Millis(now.0 + limits::DEFERRED_MS)),
                false => peer.put_off(now, next),
            }
        }
    }

    /// A peer that was asked for its chain and does not answer is taken as having none for us.
    pub fn tend_question<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize) {
        let Some(peer) = peers.get_mut(conn) else {
            return;
        };
        if peer.tend_question(cx.now.mono) {
            peer.tip = None;
            self.drop(cx, peers, conn, Some("it does not answer"));
        }
    }

    /// Asks for the chain of a block that would win.
    pub fn ask_for_block(&self, now: Millis, peers: &mut Peers, conn: usize, block: &Block) {
        self.ask(now, peers, conn);
        if let Some(peer) = peers.get_mut(conn) {
            peer.seen = peer.seen.max(block.index);
        }
    }
}

/// Tells what somebody lacks who says where their chain is, or the whole chain: to a desktop node
/// when that is its turn.
pub fn tell_chain<D: Disk>(
    cx: &mut Cx<D>,
    peers: &mut Peers,
    conn: usize,
    locator: Option<Locator>,
) {
    let fork = locator.map(|locator| fork_of(cx, &locator));
    let Some(peer) = peers.get_mut(conn) else {
        return;
    };
    match (fork, peer.desktop()) {
        (Some(fork), _) => peer.push(Outgoing::PartialResponse(fork)),
        (None, Some(desktop)) => desktop.asks = true,
        (None, None) => peer.push(Outgoing::Chain),
    }
}

/// The height of the first block that somebody lacks.
fn fork_of<D: Disk>(cx: &mut Cx<D>, locator: &Locator) -> u64 {
    let length = cx.chain.tip().length;
    let heights = Locator::heights(locator.length).zip(&locator.hashes);
    for (height, hash) in heights.filter(|(height, _)| *height < length) {
        match cx.chain.hash(height) {
            Ok(ours) if ours == *hash => return height + 1,
            Ok(_) => {}
            Err(error) => log::warn!("{error}"),
        }
    }
    0
}
