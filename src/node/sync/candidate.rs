//! A chain that streams in, block by block: passed over where it is ours, checked and staged from
//! where it differs.
//!
//! That of a desktop node is passed over as far as its blocks have the content of ours, and staged as
//! blocks of our own of the same content, so that it costs what is new in it. Where it stops to link,
//! its node's threads have raced (PROTOCOL.md section 5): what is behind that is read for its
//! transactions.

use super::{ChainSync, State};
use crate::ledger::{Block, Hash, RuleError, Timestamp, Work};
use crate::limits;
use crate::node::desktop::End;
use crate::node::effects::{Cx, Fault};
use crate::node::event::Millis;
use crate::node::peer::{BlockOrigin, Peer};
use crate::node::peers::Peers;
use crate::store::disk::{Disk, DiskError};
use crate::store::log::Log;
use crate::store::repair::Filled;
use crate::store::state::AppendError;
use crate::wire::text;

/// A chain that is being looked at.
pub struct Candidate {
    pub conn: usize,
    /// The height and the previous hash that its next block must have.
    pub next: u64,
    pub prev_hash: Hash,
    /// Its last block is not one of ours.
    pub forked: bool,
    /// Its blocks have the same transactions as ours, as far as ours go.
    pub same: bool,
    /// It is a desktop node's.
    desktop: bool,
    /// Its blocks behind the first one that does not link, and the transactions taken of these.
    pub loose: u64,
    pub salvaged: usize,
    /// Signatures that it has cost.
    pub checked: usize,
    /// The block of ours that is being made of its last one.
    making: Option<Work>,
    /// It was asked to go on where its last answer ended.
    pub continued: bool,
    /// Blocks, signatures and [`limits::PROGRESS_TEXT`]s that came since then: a chain that trickles must not
    /// keep the others waiting.
    pub progress: usize,
    pub since: Millis,
}

impl Candidate {
    /// How it ended.
    pub fn end(&self) -> End {
        End {
            length: self.next,
            hash: self.prev_hash,
            forked: self.forked,
            same: self.same,
            loose: self.loose,
        }
    }

    /// That of the peer with this id, of which the block at this height behind this hash comes next.
    fn new(now: Millis, conn: usize, desktop: bool, (next, prev_hash): (u64, Hash)) -> Candidate {
        Candidate {
            conn,
            next,
            prev_hash,
            forked: false,
            same: true,
            desktop,
            loose: 0,
            salvaged: 0,
            checked: 0,
            making: None,
            continued: false,
            progress: 0,
            since: now,
        }
    }

    /// Passes over a block that our chain has too; false if it does not.
    fn share<D: Disk>(&mut self, log: &mut Log<D>, block: &Block) -> Result<bool, DiskError> {
        if block.index >= log.tip().length || log.hash(block.index)? != block.hash {
            return Ok(false);
        }
        self.advance(block);
        Ok(true)
    }

    /// Compares a block that is not ours with the one of ours at its height.
    fn measure<D: Disk>(&mut self, log: &mut Log<D>, block: &Block) -> Result<(), DiskError> {
        if self.same && block.index < log.tip().length {
            self.same = log.read(block.index)?.block.has_content_of(block);
        }
        Ok(())
    }

    /// Whether a desktop node's block is passed over because one of ours has the same content. A
    /// chain that has nothing but its first block takes the other one as it is.
    fn has_content<D: Disk>(&self, log: &mut Log<D>, block: &Block) -> Result<bool, DiskError> {
        let length = log.tip().length;
        if !self.desktop || self.forked || length == 1 || block.index >= length {
            return Ok(false);
        }
        Ok(log.read(block.index)?.block.has_content_of(block))
    }

    /// A block of it has been dealt with.
    fn advance(&mut self, block: &Block) {
        self.next += 1;
        self.prev_hash = block.hash;
        self.progress += 1;
    }
}

impl ChainSync {
    /// The next block of the chain that a peer sends.
    pub fn chain_block<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        block: Box<Block>,
    ) -> Result<(), Fault> {
        match self.begin_candidate(cx, peers, conn, &block)? {
            true => self.candidate_block(cx, peers, conn, block),
            false => Ok(()),
        }
    }

    /// Whether a block belongs to the candidate, which begins with it if there is none. If it does
    /// not, the rest of its line is passed over.
    fn begin_candidate<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        block: &Block,
    ) -> Result<bool, Fault> {
        let now = cx.now.mono;
        if let State::Candidate(candidate) = &mut self.state
            && candidate.conn == conn
        {
            let again = core::mem::take(&mut candidate.continued);
            let goes_on = (candidate.next, candidate.prev_hash) == (block.index, block.prev_hash);
            if goes_on || !again {
                return Ok(true);
            }
            // Its chain is another one than when its last answer began.
            self.abandon(cx);
        }
        let busy = !self.is_free();
        let Some(peer) = peers.get_mut(conn) else {
            return Ok(false);
        };
        if peer.unfollowed.is_some() {
            peer.skip();
            return Ok(false);
        }
        let unasked = peer.asked.is_none();
        let off = self.turns.waits(now, conn, peer);
        let off = off.or(Some(self.pace.next()).filter(|at| unasked && now < *at));
        if off.is_some() || limits::Full::Deferred.when(busy) {
            // It is not kept waiting: while it is not read it cannot answer, nor be answered.
            peer.skip();
            match off {
                Some(until) => peer.put_off(now, until),
                None => peer.defer(now, Millis(now.0 + limits::DEFERRED_MS)),
            }
            return Ok(false);
        }
        if cx.chain.fault().is_some() {
            peer.skip();
            return Ok(false);
        }
        let ours = peer.is_ours();
        let before = match cx.chain.tip().length {
            length if (1..=length).contains(&block.index) => cx.chain.hash(block.index - 1)?,
            _ => Hash::ZERO,
        };
        let links = before == block.prev_hash && (block.index > 0) == (before != Hash::ZERO);
        if !links && ours {
            // A partial response to a chain that is no longer the same, there or here.
            if let Some(peer) = peers.get_mut(conn) {
                peer.skip();
                peer.defer(now, Millis(now.0 + limits::LOOK_AGAIN_MS));
            }
            return Ok(false);
        }
        let (next, prev_hash) = match links {
            true => (block.index, block.prev_hash),
            false => (0, Hash::ZERO),
        };
        peer.waits = None;
        self.turns.begin(conn, peer);
        self.look_at(Candidate::new(now, conn, !ours, (next, prev_hash)));
        cx.chain.begin_filling();
        Ok(true)
    }

    fn candidate_block<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        block: Box<Block>,
    ) -> Result<(), Fault> {
        let goal = peers.get_mut(conn).and_then(|peer| peer.goal());
        let State::Candidate(candidate) = &mut self.state else {
            return Ok(());
        };
        self.progress.at(cx.now.mono, conn, candidate.next, goal);
        if !candidate.forked
            && block.index == candidate.next
            && candidate.share(&mut cx.chain, &block)?
        {
            return Ok(());
        }
        let link = block.check_link(candidate.next, &candidate.prev_hash);
        if candidate.desktop && (candidate.loose > 0 || link.is_err()) {
            candidate.loose += 1;
            self.salvage_block(cx, peers, conn, block);
            return Ok(());
        }
        if candidate.has_content(&mut cx.chain, &block)? && link.is_ok() {
            candidate.advance(&block);
            return Ok(());
        }
        let alone = link.and_then(|()| block.check_alone(cx.chain.difficulty()));
        if let Err(error) = alone {
            return Err(Fault::chain(candidate.next, error));
        }
        candidate.measure(&mut cx.chain, &block)?;
        let Some(peer) = peers.get_mut(conn) else {
            return Ok(());
        };
        let place = Some((candidate.next, candidate.prev_hash));
        let helps = !candidate.forked && !peer.no_help && cx.chain.filling_tip() == place;
        if !helps && !candidate.forked {
            candidate.forked = true;
            cx.chain.begin(block.index)?;
        }
        let origin = if helps {
            BlockOrigin::Hole
        } else {
            BlockOrigin::Chain
        };
        peer.hold(block, origin, 0);
        Ok(())
    }

    /// A block of a desktop node's chain that does not link: its transactions are a person's acts all
    /// the same, where ours does not have them at about the same height.
    fn salvage_block<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        block: Box<Block>,
    ) {
        let State::Candidate(candidate) = &mut self.state else {
            return;
        };
        candidate.progress += 1;
        // Behind one too many or one too few it is off by one.
        let near = block.index.saturating_sub(1)..=block.index.saturating_add(1);
        let length = cx.chain.tip().length;
        let mut ours = near.filter(|height| *height < length);
        let has = ours.any(|height| {
            let stored = cx.chain.read(height);
            stored.is_ok_and(|ours| ours.block.has_content_of(&block))
        });
        if has || !self.may_salvage() {
            return;
        }
        if let Some(peer) = peers.get_mut(conn) {
            peer.hold(block, BlockOrigin::Salvage, 0);
        }
    }

    /// A desktop node's block as it is staged: as it is, if it links; else a block of ours of the same
    /// content, which takes some calls. `None` while it is being made.
    fn remake<D: Disk>(&mut self, cx: &mut Cx<D>, block: &Block) -> Option<Block> {
        let branch = cx.chain.branch_tip()?;
        let now = Timestamp::from_micros(cx.now.wall);
        let time = now.max(cx.chain.branch_time());
        let State::Candidate(candidate) = &mut self.state else {
            return Some(block.clone());
        };
        if !candidate.desktop || branch.hash == block.prev_hash || branch.length == 0 {
            return Some(block.clone());
        }
        let difficulty = cx.chain.difficulty();
        let making = candidate.making.get_or_insert_with(|| {
            let mut own = Block::behind(&branch, time);
            own.transactions.clone_from(&block.transactions);
            Work::new(own, difficulty)
        });
        let found = making.turn();
        candidate.progress += 1;
        match found {
            true => candidate.making.take().map(Work::into_block),
            false => None,
        }
    }

    /// A block of the candidate whose signatures are good.
    pub fn stage<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        block: Box<Block>,
    ) -> Result<(), Fault> {
        let staged = match cx.chain.unwind(limits::BLOCKS_PER_TURN) {
            Ok(false) => {
                self.comes_on(limits::BLOCKS_PER_TURN);
                None
            }
            Ok(true) => self.remake(cx, &block).map(|own| {
                let long = text::block_bytes(&own) > limits::BLOCK_TEXT_MAX;
                if limits::Full::StagedLong.when(long) {
                    return Err(AppendError::Rule(RuleError::TooLong));
                }
                cx.chain.stage(&own)
            }),
            Err(error) => Some(Err(AppendError::Disk(error))),
        };
        let Some(staged) = staged else {
            // There is more to do before.
            let next = block.transactions.len();
            if let Some(peer) = peers.get_mut(conn) {
                peer.hold(block, BlockOrigin::Chain, next);
            }
            return Ok(());
        };
        match (staged, &mut self.state) {
            (Ok(()), State::Candidate(candidate)) => {
                candidate.advance(&block);
                if let Some(peer) = peers.get_mut(conn) {
                    peer.prove();
                }
                Ok(())
            }
            (Ok(()), _) => unreachable!("a staged block belongs to a candidate"),
            (Err(AppendError::Rule(error)), _) if error.is_limit() => Err(Fault::Limit(error)),
            (Err(AppendError::Rule(error)), _) => Err(Fault::chain(block.index, error)),
            (Err(AppendError::Disk(error)), _) => Err(Fault::Disk(error)),
        }
    }

    /// A hole is filled: what one of ours still sends is there, unless there is another hole. What
    /// it has besides is asked for.
    fn leave_mended<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize) {
        let ours = peers.get(conn).is_some_and(Peer::is_ours);
        if ours && cx.chain.hole().is_none() {
            self.drop(cx, peers, conn, None);
            if let Some(peer) = peers.get_mut(conn) {
                peer.skip();
                peer.ask(cx.now.mono);
            }
        }
    }

    /// A block of the candidate that may fill the hole in our chain, and whose signatures are good.
    /// True if the hole is filled.
    pub fn fill_hole<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        block: &Block,
    ) -> Result<bool, Fault> {
        let filled = cx.chain.fill_hole(block);
        if let (Ok(Filled::More | Filled::Done), State::Candidate(candidate)) =
            (&filled, &mut self.state)
        {
            candidate.advance(block);
        }
        match filled {
            Ok(Filled::More) => {}
            Ok(Filled::Done) => {
                self.leave_mended(cx, peers, conn);
                return Ok(true);
            }
            Ok(Filled::Unfit) => {
                self.drop(cx, peers, conn, None);
                if let Some(peer) = peers.get_mut(conn) {
                    // It is told anew, and then looked at like any other chain.
                    peer.no_help = true;
                    peer.skip();
                    peer.ask(cx.now.mono);
                }
            }
            Err(AppendError::Rule(error)) => return Err(Fault::chain(block.index, error)),
            Err(AppendError::Disk(error)) => {
                self.drop(cx, peers, conn, Some("its chain was not looked at"));
                cx.disk_failed(&error);
            }
        }
        Ok(false)
    }
}
