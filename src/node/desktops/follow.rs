//! What a desktop node says that is not ours: followed, or read for what ours lacks.
//!
//! A desktop node makes a block of its own of each block that it hears, so beside it equal content
//! with different hashes is the normal state. We do the same: its block that comes next becomes a
//! block of ours at once. Whatever else it says is a person's act all the same, and is made again
//! where that is possible (PROTOCOL.md sections 4 and 5).

use super::Desktops;
use crate::ledger::{Block, Changes, Transaction, Work};
use crate::limits;
use crate::node::desktop::Stand;
use crate::node::effects::{Cx, Fault};
use crate::node::event::Millis;
use crate::node::mempool::{Due, Making, Mempool};
use crate::node::peer::BlockOrigin;
use crate::node::peers::Peers;
use crate::node::twins::Announced;
use crate::store::disk::Disk;
use crate::wire::text;

impl Desktops {
    /// A desktop node has made a block.
    pub fn block<D: Disk>(
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        block: Box<Block>,
    ) -> Result<(), Fault> {
        let now = cx.now.mono;
        // Before its hash counts for anything: whoever claims the hash of another's block must not be
        // taken for its maker.
        if let Err(error) = block.check_alone(cx.chain.difficulty()) {
            return Err(Fault::block(block.index, error));
        }
        let length = cx.chain.tip().length;
        if block.index < length && cx.chain.hash(block.index) == Ok(block.hash) {
            // It was made here: what its user did is behind it.
            peers.doubt(now, conn);
            return Ok(());
        }
        match peers.note_maker(now, conn, block.hash) {
            Announced::First => {}
            Announced::Twice => return Ok(()),
            Announced::Elsewhere => {
                peers.doubt(now, conn);
                return Ok(());
            }
        }
        let ours = match block.index < length {
            true => cx.chain.read(block.index).ok(),
            false => None,
        };
        if ours.is_some_and(|ours| ours.block.has_content_of(&block)) {
            // In place of what its user did it has announced what came in between.
            peers.doubt(now, conn);
        } else if let Some(peer) = peers.get_mut(conn) {
            peer.hold(block, BlockOrigin::Desktop, 0);
        }
        Ok(())
    }

    /// A desktop node's block whose signatures are good: a block of ours of the same content, if it
    /// comes next. Of several of ours beside it one makes that; the others wait for it.
    pub fn follow<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
        conn: usize,
        block: &Block,
    ) {
        let (tip, now) = (cx.chain.tip(), cx.now.mono);
        let (voice, mine) = (peers.voice_of(now, conn), self.makes_for(now, peers, conn));
        let possible = block.index == tip.length
            && !block.transactions.is_empty()
            && cx.may_append()
            && Changes::default()
                .check(cx.chain.items(), &block.transactions)
                .is_ok();
        let own = possible.then(|| {
            let mut own = Block::behind(&tip, cx.block_time());
            own.transactions.clone_from(&block.transactions);
            own
        });
        let long = |own: &Block| text::block_bytes(own) > limits::TEMPLATE_TEXT_MAX;
        let own = own.filter(|own| !limits::Full::FollowedLong.when(long(own)));
        if own.is_none() || !mine {
            self.salvage_all(cx, peers, mempool, conn, &block.transactions);
        }
        let Some(own) = own else {
            return peers.doubt(now, conn);
        };
        if mine {
            self.drop_making(cx, peers, mempool);
            mempool.making = Some(Making {
                work: Work::new(own, cx.chain.difficulty()),
                from: Some(voice),
                ended: false,
            });
            cx.effects.busy = true;
        } else if let Some(id) = peers.desktop_id(now, conn) {
            let made = (block.index, id, now);
            limits::Full::FollowedForgotten.when(self.remembered.followed.is_full());
            self.remembered.followed.write(made);
        }
    }

    /// The block that was being made will not be: what a desktop node said in it is not lost.
    pub fn drop_making<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
    ) {
        let Some(Making { work, from, ended }) = mempool.making.take() else {
            return;
        };
        if let Some(conn) = from {
            let transactions = work.into_block().transactions;
            self.salvage_all(cx, peers, mempool, conn, &transactions);
            if !ended {
                peers.doubt(cx.now.mono, conn);
            }
        }
    }

    /// A block that was made of a desktop node's is in the chain.
    pub fn followed(&mut self, now: Millis, peers: &mut Peers, conn: usize, height: u64) {
        if let Some(id) = peers.desktop_id(now, conn) {
            limits::Full::FollowedForgotten.when(self.remembered.followed.is_full());
            self.remembered.followed.write((height, id, now));
        }
        let Some(desktop) = peers.desktop_of(conn) else {
            return;
        };
        match desktop.stand {
            Stand::Same(length) if length == height => desktop.note_added(now, height + 1),
            _ => desktop.doubt(now),
        }
    }

    fn salvage_all<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
        conn: usize,
        transactions: &[Transaction],
    ) {
        let due = self.salvage_due(cx.now.mono, peers, conn);
        for transaction in transactions {
            mempool.salvage(cx, due, transaction, None);
        }
    }

    /// When a block is made of what the desktop node of a connection said and no block of ours has.
    /// That can wait as long as it has not told its chain, which may bring the same.
    pub fn salvage_due(&self, now: Millis, peers: &Peers, conn: usize) -> Due {
        let known = peers.desktop_at(conn).is_some_and(|it| it.said.is_some());
        match known && self.makes_for(now, peers, conn) {
            true => Due::Now,
            false => Due::Later,
        }
    }
}
