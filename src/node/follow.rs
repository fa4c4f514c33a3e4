//! What a desktop node says that is not ours: followed, or read for what ours lacks.
//!
//! A desktop node makes a block of its own of each block that it hears, so beside it equal content
//! with different hashes is the normal state. We do the same: its block that comes next becomes a
//! block of ours at once. Whatever else it says is a person's act all the same, and is made again
//! where that is possible (PROTOCOL.md sections 4 and 5).

use super::desktop::Stand;
use super::mempool::{Due, Making};
use super::peer::Origin;
use super::twins::Heard;
use super::{Node, gossip};
use crate::ledger::{Block, Changes, Transaction, Work};
use crate::limits;
use crate::store::disk::Disk;
use crate::wire::text;

impl<D: Disk> Node<D> {
    /// A desktop node has made a block.
    pub(super) fn desktop_block(&mut self, line: usize, block: Box<Block>) {
        // Before its hash counts for anything: who claims another one's must not be taken for its maker.
        if let Err(error) = block.check_alone(self.cx.chain.difficulty()) {
            return self.strike(line, &gossip::invalid(&block, error));
        }
        if block.index < self.cx.chain.tip().length
            && self.cx.chain.hash(block.index) == Ok(block.hash)
        {
            // It was made here: what its user did is behind it.
            return self.peers.doubt(self.cx.now.mono, line);
        }
        match self.peers.note_maker(self.cx.now.mono, line, block.hash) {
            Heard::First => {}
            Heard::Twice => return,
            Heard::Elsewhere => return self.peers.doubt(self.cx.now.mono, line),
        }
        let ours = match block.index < self.cx.chain.tip().length {
            true => self.cx.chain.read(block.index).ok(),
            false => None,
        };
        if ours.is_some_and(|ours| ours.block.has_content_of(&block)) {
            // In place of what its user did it has announced what came in between.
            return self.peers.doubt(self.cx.now.mono, line);
        }
        if let Some(peer) = self.peers.get_mut(line) {
            peer.hold(block, Origin::Desktop, 0);
        }
    }

    /// A desktop node's block whose signatures are good: a block of ours of the same content, if it
    /// comes next. Of several of ours beside it one makes that; the others wait for it.
    pub(super) fn follow(&mut self, line: usize, block: &Block) {
        let tip = self.cx.chain.tip();
        let (voice, mine) = (
            self.peers.voice_of(self.cx.now.mono, line),
            self.makes_for(line),
        );
        let possible = block.index == tip.length
            && !block.transactions.is_empty()
            && self.cx.chain.gap().is_none()
            && self.cx.may_append()
            && Changes::default()
                .check(self.cx.chain.items(), &block.transactions)
                .is_ok();
        let own = possible.then(|| {
            let mut own = Block::behind(&tip, self.cx.block_time());
            own.transactions.clone_from(&block.transactions);
            own
        });
        let own = own.filter(|own| text::block_bytes(own) <= limits::TEMPLATE_TEXT_MAX);
        if own.is_none() || !mine {
            self.salvage_all(line, &block.transactions);
        }
        let Some(own) = own else {
            return self.peers.doubt(self.cx.now.mono, line);
        };
        if mine {
            self.drop_making();
            self.mempool.making = Some(Making {
                work: Work::new(own, self.cx.chain.difficulty()),
                from: Some(voice),
                ended: false,
            });
            self.cx.effects.busy = true;
        } else if let Some(id) = self.peers.desktop_id(self.cx.now.mono, line) {
            let made = (block.index, id, self.cx.now.mono);
            self.remembered.followed.write(made);
        }
    }

    /// The block that was being made will not be: what a desktop node said in it is not lost.
    pub(super) fn drop_making(&mut self) {
        let Some(Making { work, from, ended }) = self.mempool.making.take() else {
            return;
        };
        if let Some(line) = from {
            let transactions = work.into_block().transactions;
            self.salvage_all(line, &transactions);
            if !ended {
                self.peers.doubt(self.cx.now.mono, line);
            }
        }
    }

    /// A line ends.
    pub(super) fn ends_making_of(&mut self, line: usize) {
        if let Some(making) = &mut self.mempool.making {
            making.ended |= making.from == Some(line);
        }
    }

    /// A block that was made of a desktop node's is in the chain.
    pub(super) fn followed(&mut self, line: usize, height: u64) {
        let now = self.cx.now.mono;
        if let Some(id) = self.peers.desktop_id(self.cx.now.mono, line) {
            self.remembered.followed.write((height, id, now));
        }
        let Some(desktop) = self.peers.desktop_of(line) else {
            return;
        };
        match desktop.stand {
            Stand::Same(length) if length == height => desktop.has_added(now, height + 1),
            _ => desktop.doubt(now),
        }
    }

    fn salvage_all(&mut self, line: usize, transactions: &[Transaction]) {
        let due = self.salvage_due(line);
        for transaction in transactions {
            self.mempool.salvage(&mut self.cx, due, transaction, None);
        }
    }

    /// When a block is made of what the desktop node of a line said and no block of ours has. Before it
    /// has told its chain, that may come with this in it.
    pub(super) fn salvage_due(&self, line: usize) -> Due {
        let known = self
            .peers
            .desktop_at(line)
            .is_some_and(|it| it.said.is_some());
        match known && self.makes_for(line) {
            true => Due::Now,
            false => Due::Later,
        }
    }
}
