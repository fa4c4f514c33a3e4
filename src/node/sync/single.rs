//! A block that comes on its own: behind our chain, in the place of our last block, or of a chain that
//! is asked for.

use super::ChainSync;
use super::reorg::Reorg;
use crate::ledger::{Block, Changes, RuleError, Tip};
use crate::node::desktops::Desktops;
use crate::node::effects::{Cx, Fault};
use crate::node::mempool::Mempool;
use crate::node::peer::BlockOrigin;
use crate::node::peers::Peers;
use crate::store::disk::Disk;
use crate::store::state::AppendError;
use crate::wire::write::Outgoing;

impl ChainSync {
    /// A block on its own (PROTOCOL.md section 4). Cheapest test first.
    pub fn new_block<D: Disk>(
        &self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        block: Box<Block>,
    ) -> Result<(), Fault> {
        let tip = cx.chain.tip();
        let whole = cx.chain.hole().is_none();
        let links = block.index == tip.length && block.prev_hash == tip.hash && whole;
        // What its chain would be: only one that would win is worth a look.
        let claim = Tip {
            length: block.index.saturating_add(1),
            hash: block.hash,
        };
        if cx.chain.fault().is_some() {
            return Ok(());
        }
        let Some(peer) = peers.get_mut(conn) else {
            return Ok(());
        };
        if !peer.is_ours() {
            return Desktops::block(cx, peers, conn, block);
        }
        if !peer.is_ahead_of(&claim) {
            peer.tip = Some(claim);
        }
        if !claim.beats(&tip) {
            return Ok(());
        }
        let mut verdict = block.check_alone(cx.chain.difficulty());
        if links && verdict.is_ok() {
            let all = &block.transactions;
            verdict = Changes::default().check(cx.chain.items(), all);
        }
        if let Err(error) = verdict {
            return self.refuse_block(cx, peers, conn, &block, error);
        }
        let now = cx.now.mono;
        let (origin, at) = match links {
            true => (BlockOrigin::NewBlock, self.pace.next()),
            false if whole && self.is_rival(cx, &block) => (BlockOrigin::Rival, self.pace.rival()),
            false => {
                self.ask_for_block(now, peers, conn, &block);
                return Ok(());
            }
        };
        if let Some(peer) = peers.get_mut(conn) {
            match at <= now {
                true => peer.hold(block, origin, 0),
                // With what follows it until then.
                false => peer.put_off(now, at),
            }
        }
        Ok(())
    }

    /// Takes a checked block, if it still extends the chain; true if it does.
    pub fn take_block<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
        conn: usize,
        block: Box<Block>,
    ) -> Result<bool, Fault> {
        let tip = cx.chain.tip();
        let hole = cx.chain.hole().is_some();
        if hole || block.index != tip.length || block.prev_hash != tip.hash {
            return self.new_block(cx, peers, conn, block).map(|()| false);
        }
        match cx.chain.append(&block) {
            Ok(()) => {
                cx.effects.notify(format!(
                    "[network 📦] received and added block #{}",
                    block.index
                ));
                if let Some(peer) = peers.get_mut(conn) {
                    peer.bring(cx.now.mono);
                }
                self.pace.spend(cx.now.mono, 1);
                mempool.confirmed(cx, &block);
                peers.relay(Outgoing::Block(block.index), Some(conn));
                Ok(true)
            }
            Err(AppendError::Rule(error)) => self
                .refuse_block(cx, peers, conn, &block, error)
                .map(|()| false),
            Err(AppendError::Disk(error)) => {
                cx.disk_failed(&error);
                Ok(false)
            }
        }
    }

    /// A block breaks a rule, or is beyond what this node follows. One with something void may stand
    /// in a chain that would win.
    fn refuse_block<D>(
        &self,
        cx: &Cx<D>,
        peers: &mut Peers,
        conn: usize,
        block: &Block,
        error: RuleError,
    ) -> Result<(), Fault> {
        if error.is_void() {
            self.ask_for_block(cx.now.mono, peers, conn, block);
            return Ok(());
        }
        Err(match error.is_limit() {
            true => Fault::Limit(error),
            false => Fault::block(block.index, error),
        })
    }

    /// Whether a block could stand in the place of our last one, now.
    fn is_rival<D: Disk>(&self, cx: &mut Cx<D>, block: &Block) -> bool {
        let tip = cx.chain.tip();
        let before = tip.length.checked_sub(2);
        block.index.checked_add(1) == Some(tip.length)
            && self.is_free()
            && cx.may_append()
            && before.is_some_and(|at| cx.chain.hash(at) == Ok(block.prev_hash))
    }

    /// Puts a checked block in the place of our last one. If it cannot stand there any more, its chain
    /// is asked for.
    pub fn take_rival<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        block: &Block,
    ) -> Result<(), Fault> {
        let tip = cx.chain.tip();
        if !self.is_rival(cx, block) || block.hash >= tip.hash || cx.chain.fault().is_some() {
            self.ask_for_block(cx.now.mono, peers, conn, block);
            return Ok(());
        }
        let begun = cx.chain.begin(block.index).and_then(|()| {
            while !cx.chain.unwind(1)? {}
            Ok(())
        });
        let staged = begun.map_err(AppendError::Disk);
        match staged.and_then(|()| cx.chain.stage(block)) {
            Ok(()) => self.adopt(cx, Reorg::new(Some(conn), true, None)),
            Err(AppendError::Rule(error)) => {
                cx.chain.abandon();
                return self.refuse_block(cx, peers, conn, block, error);
            }
            Err(AppendError::Disk(error)) => {
                cx.chain.abandon();
                cx.effects
                    .alert(format!("[store ❌] a peer's block was not taken: {error}."));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "single_tests.rs"]
mod tests;
