//! Taking another chain: `candidate` compares it with ours while it streams in, `reorg` puts it in
//! place when it wins, and `salvage` reads it for what ours lacks when it does not. `asking` says who
//! is asked for one, and `single` what becomes of a block that comes alone. `turns`,
//! `pace` and `belief` bound what others can do by being slow, by being fast, and by words alone.
//!
//! A desktop node tells all of its chain in one message. One of ours tells what is missing, in
//! answers of a bounded size: each that goes on where our chain ends is taken at once, as its
//! blocks would be if they came one by one; what leaves our chain further back is staged until it
//! is complete.

mod asking;
mod belief;
mod candidate;
mod ending;
mod pace;
mod progress;
mod reorg;
mod salvage;
mod single;
mod turns;

use super::desktop::End;
use super::effects::Cx;
use super::event::Millis;
use super::mempool::{Due, Mempool};
use super::peers::Peers;
use crate::ledger::Hash;
use crate::limits;
use crate::store::branch::DisconnectedBlocks;
use crate::store::disk::Disk;
pub use asking::tell_chain;
use belief::Belief;
use candidate::Candidate;
use pace::Pace;
use progress::TransferProgress;
use reorg::Reorg;
pub use reorg::Reorged;
use salvage::Salvage;
use turns::Turns;

/// What is going on. There is one candidate at a time; other chains are skipped and asked for again.
enum State {
    /// Nothing.
    Free,
    /// A peer's chain streams in.
    Candidate(Candidate),
    /// It won. Until it is in place nothing else may touch the chain.
    Reorg(Reorg),
    /// It lost, and is read for what ours lacks.
    Salvage(Salvage),
}

/// The other chain, if there is one.
pub struct ChainSync {
    state: State,
    /// When the user was told last that a chain is not followed.
    unfollowed: Option<Millis>,
    /// How far it has come in.
    pub progress: TransferProgress,
    turns: Turns,
    /// How fast our chain changes by what others say.
    pub pace: Pace,
    belief: Belief,
}

impl ChainSync {
    /// Goes on where a reorg was cut off by the end of the process.
    pub fn resume(last_reorg: Option<DisconnectedBlocks>) -> ChainSync {
        let reorg = last_reorg.map(Reorg::resume);
        ChainSync {
            state: reorg.map_or(State::Free, State::Reorg),
            unfollowed: None,
            progress: TransferProgress::default(),
            turns: Turns::default(),
            pace: Pace::default(),
            belief: Belief::default(),
        }
    }

    /// Whether a new candidate may begin.
    pub fn is_free(&self) -> bool {
        matches!(self.state, State::Free)
    }

    /// Whether nothing else may touch the chain.
    pub fn is_reorg(&self) -> bool {
        matches!(self.state, State::Reorg(_))
    }

    /// Whether a chain that lost is being read.
    pub fn is_salvage(&self) -> bool {
        matches!(self.state, State::Salvage(_))
    }

    /// The candidate has come further by `count` blocks, signatures or [`limits::PROGRESS_TEXT`]s.
    pub fn comes_on(&mut self, count: usize) {
        if let State::Candidate(candidate) = &mut self.state {
            candidate.progress += count;
        }
    }

    /// This many signatures of the candidate were checked.
    pub fn checked(&mut self, count: usize) {
        self.comes_on(count);
        if let State::Candidate(candidate) = &mut self.state {
            candidate.checked += count;
        }
    }

    /// Whether a peer's chain has cost signature checks by now.
    pub fn has_checked(&self, conn: usize) -> bool {
        matches!(&self.state, State::Candidate(candidate) if candidate.conn == conn && candidate.checked > 0)
    }

    /// A transaction was taken of a block of the candidate that does not link.
    pub fn salvaged(&mut self) {
        if let State::Candidate(candidate) = &mut self.state {
            candidate.salvaged += 1;
        }
    }

    /// Whether more transactions are taken of such blocks.
    pub fn may_salvage(&self) -> bool {
        match &self.state {
            State::Candidate(candidate) => {
                !limits::Full::SalvagedAll.when(candidate.salvaged >= limits::SALVAGED_MAX)
            }
            State::Free | State::Reorg(_) | State::Salvage(_) => true,
        }
    }

    /// When it has to be looked at again.
    pub fn due(&self) -> Option<Millis> {
        self.stall().into_iter().chain(self.turns.due()).min()
    }

    /// When it is looked whether the candidate comes on.
    fn stall(&self) -> Option<Millis> {
        match &self.state {
            State::Candidate(candidate) => Some(Millis(candidate.since.0 + limits::STALL_MS)),
            State::Free | State::Reorg(_) | State::Salvage(_) => None,
        }
    }

    /// Whether a chain that lost is read on now. Each may take as long as a call should: while a block
    /// is to be made too, they take turns.
    pub fn salvages(&mut self, makes: bool) -> bool {
        let State::Salvage(salvage) = &mut self.state else {
            return false;
        };
        salvage.rests = makes && !salvage.rests;
        !salvage.rests
    }

    /// Whether a desktop node's chain that lost is read on when blocks have made room for it.
    pub fn waits_for_room(&self, mempool: &Mempool) -> bool {
        let full = self.salvages_of().is_some() && mempool.is_half_full_of_all();
        limits::Full::SalvageWaits.when(full)
    }

    /// The connection of the desktop node whose losing chain is being read.
    pub fn salvages_of(&self) -> Option<usize> {
        match &self.state {
            State::Salvage(salvage) => salvage.conn,
            State::Free | State::Candidate(_) | State::Reorg(_) => None,
        }
    }

    /// The length and last hash of what a peer has told of its chain, if it is to go on there.
    pub fn continues(&self, conn: usize) -> Option<(u64, Hash)> {
        match &self.state {
            State::Candidate(candidate) if candidate.conn == conn && candidate.continued => {
                Some((candidate.next, candidate.prev_hash))
            }
            State::Reorg(reorg) if reorg.source == Some(conn) => reorg.goes_on,
            _ => None,
        }
    }

    /// The connection whose chain is being looked at.
    pub fn conn(&self) -> Option<usize> {
        match &self.state {
            State::Candidate(candidate) => Some(candidate.conn),
            State::Free | State::Reorg(_) | State::Salvage(_) => None,
        }
    }

    /// Where what has come of a peer's chain ends, if it is looked at.
    pub fn end_of(&self, conn: usize) -> Option<End> {
        match &self.state {
            State::Candidate(candidate) if candidate.conn == conn => Some(candidate.end()),
            _ => None,
        }
    }

    /// Looks after the time: asks for a chain that was skipped; returns the connection of a
    /// candidate that trickles.
    pub fn tend<D: Disk>(&mut self, cx: &Cx<D>, peers: &mut Peers) -> Option<usize> {
        let now = cx.now.mono;
        for (_, peer) in peers.iter_mut() {
            peer.unfollowed = peer.unfollowed.filter(|until| now < *until);
        }
        match &mut self.state {
            State::Reorg(_) => peers.excuse(now, u64::from(u32::MAX)),
            State::Candidate(candidate) if now.0 >= candidate.since.0 + limits::STALL_MS => {
                let enough = candidate.progress >= limits::PROGRESS_MIN;
                (candidate.progress, candidate.since) = (0, now);
                return Some(candidate.conn).filter(|_| !enough);
            }
            State::Candidate(_) | State::Salvage(_) => {}
            State::Free => {
                let due = peers.iter_mut().filter_map(|(_, peer)| {
                    let at = peer.deferred.filter(|at| *at <= now)?;
                    Some(((at, peer.waits), peer))
                });
                if let Some((_, peer)) = due.min_by_key(|(order, _)| *order) {
                    peer.deferred = None;
                    peer.ask(now);
                }
            }
        }
        None
    }

    /// This many milliseconds that went by were ours.
    pub fn excuse(&mut self, now: Millis, ms: u64) {
        self.turns.excuse(now, ms);
    }

    /// At the end of a call, when all that has come was looked at: whose turn it is, and what others
    /// are believed.
    pub fn tend_waiting<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers) {
        self.tend_belief(cx, peers);
        let now = cx.now.mono;
        let turns = &self.turns;
        let awaited = match &self.state {
            State::Candidate(candidate) => peers
                .get(candidate.conn)
                .is_some_and(|peer| !peer.is_unread()),
            State::Free => peers
                .iter()
                .any(|(conn, peer)| peer.asked.is_some() && turns.is_holder(conn, peer)),
            State::Reorg(_) | State::Salvage(_) => false,
        };
        let others = peers.iter().any(|(conn, peer)| {
            peer.waits_since(now).is_some()
                && !turns.is_holder(conn, peer)
                && turns.waits(now, conn, peer).is_none()
        });
        if self.turns.tend(now, awaited, others)
            && let Some(conn) = self.conn()
        {
            self.lose_turn(cx, peers, conn);
            cx.effects.busy = true;
        }
    }

    /// Goes on with a reorg, or with a chain that lost, which is salvaged at `due` if a desktop node
    /// told it. `Some` when a reorg is over: the chain has a new end.
    pub fn step<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
        due: Option<Due>,
    ) -> Option<Reorged> {
        match core::mem::replace(&mut self.state, State::Free) {
            State::Reorg(reorg) => match reorg.step(cx, peers, mempool) {
                Ok(reorg) => self.state = State::Reorg(reorg),
                Err(reorged) => {
                    peers.freed(cx.now.mono);
                    return Some(reorged);
                }
            },
            State::Salvage(salvage) => match salvage.step(cx, mempool, due) {
                Some(salvage) => self.state = State::Salvage(salvage),
                None => {
                    cx.chain.abandon();
                    peers.freed(cx.now.mono);
                }
            },
            other => self.state = other,
        }
        None
    }

    /// The staged branch takes the place of ours.
    fn adopt<D: Disk>(&mut self, cx: &Cx<D>, reorg: Reorg) {
        let (tip, fork) = (cx.chain.branch_tip(), cx.chain.branch_fork());
        let blocks = tip.zip(fork).map_or(0, |(tip, fork)| tip.length - fork);
        self.pace.spend(cx.now.mono, blocks);
        if reorg.equal {
            self.pace.spend_rival(cx.now.mono);
        }
        self.state = State::Reorg(reorg);
    }

    /// A chain that lost is read for what ours lacks.
    fn read_on(&mut self, salvage: Salvage) {
        self.state = State::Salvage(salvage);
    }

    /// A chain begins to come in.
    fn look_at(&mut self, candidate: Candidate) {
        self.state = State::Candidate(candidate);
    }

    /// Gives the candidate up.
    fn abandon<D: Disk>(&mut self, cx: &mut Cx<D>) {
        cx.chain.abandon();
        self.state = State::Free;
    }

    /// Forgets the candidate of a connection, if it has one: another one may begin.
    fn forget<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize) {
        if self.conn() == Some(conn) {
            self.abandon(cx);
            peers.freed(cx.now.mono);
        }
    }
}

#[cfg(test)]
mod candidate_tests;
#[cfg(test)]
mod reorg_tests;
#[cfg(test)]
mod tests;
