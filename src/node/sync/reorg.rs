//! A reorg in bounded steps: the branch is put in place, and the transactions of the blocks that
//! this disconnects are found, compared with the new chain, and handed to the mempool.

use crate::ledger::Hash;
use crate::limits;
use crate::node::effects::Cx;
use crate::node::mempool::{Batch, Disconnected, DisconnectedTransactions, Gathered, Mempool};
use crate::node::peers::Peers;
use crate::store::branch::DisconnectedBlocks;
use crate::store::disconnected::Saving;
use crate::store::disk::Disk;
use crate::wire::write::Outgoing;

/// A reorg.
pub struct Reorg {
    /// The connection it came from; none if that was before a restart, or there is more of it that is
    /// not wanted now.
    pub source: Option<usize>,
    /// The chain is as long as ours was.
    pub equal: bool,
    /// The length and last hash of what is being put in place, if the rest was asked for already.
    pub goes_on: Option<(u64, Hash)>,
    /// What is being done.
    phase: ReorgPhase,
}

/// A reorg that is over: the chain has a new end.
pub struct Reorged {
    /// As in [`Reorg`].
    source: Option<usize>,
}

/// The phases of a reorg.
enum ReorgPhase {
    /// The branch is being copied into the chain file.
    Adopting,
    /// The two chains are compared block by block, up to where their transactions differ.
    Differing {
        disconnected: DisconnectedBlocks,
        next: u64,
    },
    /// The transactions of the disconnected blocks are being read.
    Collecting(Box<Sorting>),
    /// They are being compared with the new chain.
    Comparing { sorting: Box<Sorting>, next: u64 },
    /// The disconnected blocks are being saved for `blx export --branch`.
    Saving {
        disconnected: DisconnectedBlocks,
        saving: Saving,
    },
}

/// The transactions of the disconnected blocks, while they are sorted.
pub struct Sorting {
    disconnected: DisconnectedBlocks,
    from: u64,
    gathered: Gathered,
    unconfirmed: DisconnectedTransactions,
    /// What waited in the mempool when the reorg came.
    waited: Vec<Batch>,
    /// What the mempool has no room for.
    rest: Option<Disconnected>,
    alarming: bool,
}

impl Sorting {
    /// The disconnected blocks from the height `from` on, where the chains begin to differ.
    fn new(disconnected: DisconnectedBlocks, from: u64) -> Sorting {
        Sorting {
            disconnected,
            from,
            gathered: Gathered::to(from),
            unconfirmed: DisconnectedTransactions::default(),
            waited: Vec::new(),
            rest: None,
            alarming: false,
        }
    }

    /// A transaction or block below this height is deep in the old chain.
    fn deep(&self) -> u64 {
        self.disconnected.to.saturating_sub(limits::ALARM_DEPTH)
    }
}

impl Reorg {
    /// The staged branch takes its place.
    pub fn new(source: Option<usize>, equal: bool, goes_on: Option<(u64, Hash)>) -> Reorg {
        Reorg {
            source,
            equal,
            goes_on,
            phase: ReorgPhase::Adopting,
        }
    }

    /// A reorg that was cut off by the end of the process: the chain is in place, and the
    /// transactions of the disconnected blocks are still to be dealt with.
    pub fn resume(disconnected: DisconnectedBlocks) -> Reorg {
        let next = disconnected.from;
        Reorg {
            source: None,
            equal: false,
            goes_on: None,
            phase: ReorgPhase::Differing { disconnected, next },
        }
    }

    /// Goes on; `Err` when it is over.
    pub fn step<D: Disk>(
        mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
    ) -> Result<Reorg, Reorged> {
        let phase = match core::mem::replace(&mut self.phase, ReorgPhase::Adopting) {
            ReorgPhase::Adopting => self.adopt(cx, peers, mempool),
            ReorgPhase::Differing { disconnected, next } => {
                Some(self.find_difference(cx, peers, mempool, (disconnected, next)))
            }
            ReorgPhase::Collecting(sorting) => Some(collect(cx, mempool, sorting)),
            ReorgPhase::Comparing { sorting, next } => compare(cx, mempool, sorting, next),
            ReorgPhase::Saving {
                disconnected,
                saving,
            } => save(cx, disconnected, saving),
        };
        match phase {
            Some(phase) => Ok(Reorg { phase, ..self }),
            None => Err(Reorged {
                source: self.source,
            }),
        }
    }

    fn adopt<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
    ) -> Option<ReorgPhase> {
        match cx.chain.adopt(limits::BLOCKS_PER_TURN) {
            Ok(None) => Some(ReorgPhase::Adopting),
            Ok(Some(disconnected)) => {
                mempool.reorged(disconnected.from);
                self.adopted(cx, peers, &disconnected);
                let next = disconnected.from;
                Some(ReorgPhase::Differing { disconnected, next })
            }
            Err(error) if cx.chain.fault().is_none() => {
                cx.effects
                    .alert(format!("[store ❌] a peer's chain was not taken: {error}."));
                // Asked again at once, it could fail like this for ever.
                not_taken(cx, peers, self.source.take());
                None
            }
            Err(error) => {
                cx.chain.abandon();
                cx.disk_failed(&error);
                not_taken(cx, peers, self.source);
                None
            }
        }
    }

    fn adopted<D: Disk>(
        &self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        disconnected: &DisconnectedBlocks,
    ) {
        for (_, peer) in peers.iter_mut() {
            peer.writer.reorged(disconnected.from);
        }
        let tip = cx.chain.tip();
        let length = tip.length;
        let mut ours = disconnected.to;
        if let Some(peer) = self.source.and_then(|conn| peers.get_mut(conn)) {
            peer.bring(cx.now.mono);
            if peer.is_ahead_of(&tip) && peer.is_ours() {
                // More comes; one word at the end is enough.
                peer.from.get_or_insert(disconnected.to);
                return;
            }
            ours = peer.from.take().unwrap_or(ours);
        }
        cx.effects.notify(format!(
            "[consensus 📡] received chain (length {length}) vs ours (length {ours})"
        ));
        cx.effects.notify(if self.equal {
            format!("[consensus ✅] adopted equally long chain, its last hash is lower ({length} blocks)")
        } else {
            format!("[consensus ✅] adopted longer chain ({length} blocks)")
        });
        if let Some(conn) = self.source {
            peers.tell_outcome(&mut cx.effects, conn, "its chain is ours now");
        }
    }

    /// Continues to look for the first block that has not the same transactions in both chains.
    /// Beside desktop nodes there is mostly none, since they make blocks of their own of what they
    /// hear.
    fn find_difference<D: Disk>(
        &self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
        (disconnected, next): (DisconnectedBlocks, u64),
    ) -> ReorgPhase {
        let (end, budget) = (
            disconnected.to.min(next + limits::BLOCKS_PER_TURN as u64),
            cx.chain.budget(),
        );
        for height in next..end {
            if cx.chain.is_over(budget) {
                return ReorgPhase::Differing {
                    disconnected,
                    next: height,
                };
            }
            let ours = cx.chain.read_disconnected(&disconnected, height);
            match (ours, cx.chain.read(height)) {
                (Ok(ours), Ok(theirs)) if ours.block.has_content_of(&theirs.block) => {}
                _ => {
                    peers.doubt_all(cx.now.mono, self.source);
                    return begin_sorting(mempool, disconnected, height);
                }
            }
        }
        if end < disconnected.to {
            return ReorgPhase::Differing {
                disconnected,
                next: end,
            };
        }
        begin_sorting(mempool, disconnected, end)
    }
}

fn not_taken<D>(cx: &mut Cx<D>, peers: &mut Peers, source: Option<usize>) {
    if let Some(conn) = source {
        peers.tell_outcome(&mut cx.effects, conn, "its chain was not taken");
    }
}

/// From `from` on the chains differ.
fn begin_sorting(mempool: &mut Mempool, disconnected: DisconnectedBlocks, from: u64) -> ReorgPhase {
    let mut sorting = Sorting::new(disconnected, from);
    sorting.waited = mempool.queue.take_others();
    ReorgPhase::Collecting(Box::new(sorting))
}

/// Gathers the transactions of the next disconnected blocks; behind the last one, those that waited
/// in the mempool. If that comes to nothing, the new chain is not read to compare it.
fn collect<D: Disk>(
    cx: &mut Cx<D>,
    mempool: &mut Mempool,
    mut sorting: Box<Sorting>,
) -> ReorgPhase {
    let Sorting {
        disconnected,
        gathered,
        unconfirmed,
        ..
    } = &mut *sorting;
    if !mempool.gather(cx, disconnected, gathered, unconfirmed) {
        return ReorgPhase::Collecting(sorting);
    }
    if gathered.next() == disconnected.to {
        for batch in core::mem::take(&mut sorting.waited) {
            sorting.unconfirmed.add(sorting.disconnected.to, batch);
        }
    }
    let nothing = sorting.unconfirmed.is_empty() && mempool.queue.lost.is_empty();
    let next = match nothing {
        true => cx.chain.tip().length,
        false => sorting.from,
    };
    ReorgPhase::Comparing { sorting, next }
}

/// Continues to compare with the new chain.
fn compare<D: Disk>(
    cx: &mut Cx<D>,
    mempool: &mut Mempool,
    mut sorting: Box<Sorting>,
    mut next: u64,
) -> Option<ReorgPhase> {
    let deep = sorting.deep();
    let unconfirmed = &mut sorting.unconfirmed;
    if !mempool.confirm_known(cx, &mut next, unconfirmed, deep) {
        return Some(ReorgPhase::Comparing { sorting, next });
    }
    sorting.alarming |= unconfirmed.is_alarming(deep);
    let unconfirmed = core::mem::take(unconfirmed);
    let from = (&sorting.disconnected, sorting.from);
    mempool.make_again(cx, unconfirmed, from, &mut sorting.rest);
    if sorting.gathered.next() < sorting.disconnected.to {
        return Some(ReorgPhase::Collecting(sorting));
    }
    let Sorting {
        disconnected,
        rest,
        alarming,
        ..
    } = *sorting;
    if let Some(rest) = rest {
        mempool.keep_outside(rest);
    }
    alarming.then(|| {
        let saving = Saving::default();
        ReorgPhase::Saving {
            disconnected,
            saving,
        }
    })
}

/// Saves the disconnected blocks of a reorg that loses something deep, and warns.
fn save<D: Disk>(
    cx: &mut Cx<D>,
    disconnected: DisconnectedBlocks,
    mut saving: Saving,
) -> Option<ReorgPhase> {
    let blocks = limits::BLOCKS_PER_TURN;
    match cx
        .chain
        .save_disconnected(&disconnected, &mut saving, blocks)
    {
        Ok(false) => {
            return Some(ReorgPhase::Saving {
                disconnected,
                saving,
            });
        }
        Ok(true) => {}
        Err(error) => cx.effects.alert(format!(
            "[store ❌] the branch that was left cannot be kept: {error}."
        )),
    }
    let old = disconnected.to - 1;
    let old_tip = match cx.chain.read_disconnected(&disconnected, old) {
        Ok(stored) => stored.block.hash.to_string(),
        Err(error) => error.to_string(),
    };
    let tip = cx.chain.tip();
    let (fork, new) = (disconnected.from, tip.length - 1);
    cx.effects.alert(format!(
        "[consensus ⚠️] this reorg loses or changes what stood more than {} blocks deep: from \
         block {fork} on, tip {old_tip} (block {old}) gave way to tip {} (block {new}); the blocks \
         that were there are kept ({})",
        limits::ALARM_DEPTH,
        tip.hash,
        cx.ways.disconnected,
    ));
    None
}

impl Reorged {
    /// Tells the others what was put in place, unless more of it comes.
    pub fn announce<D: Disk>(self, cx: &mut Cx<D>, peers: &mut Peers) {
        let (tip, now) = (cx.chain.tip(), cx.now.mono);
        let peer = self.source.and_then(|conn| peers.get_mut(conn));
        let mut more = false;
        if let Some(peer) = peer
            && (peer.seen >= tip.length || peer.is_ahead_of(&tip))
        {
            more = peer.is_ahead_of(&tip);
            peer.ask(now);
        }
        if !more {
            let last = tip.length - 1;
            let void = cx.chain.read(last).is_ok_and(|read| read.has_void());
            // Such a block is told to nobody alone, and no desktop node must count as having it.
            let word = match void {
                true => Outgoing::Ping,
                false => Outgoing::Block(last),
            };
            peers.relay(word, self.source);
        }
    }
}
