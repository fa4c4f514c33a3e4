//! A reorg on its way, in bounded steps: the branch is put in place, and what fell out of the chain by
//! that is found, compared with the new chain, and handed to the mempool.

use crate::ledger::Hash;
use crate::limits;
use crate::node::effects::Cx;
use crate::node::mempool::{Batch, Disconnected, Gathered, Lost, Mempool};
use crate::node::peers::Peers;
use crate::store::branch::Fallen;
use crate::store::disk::Disk;
use crate::store::fallen::Saving;
use crate::wire::write::Intent;

/// A reorg.
pub struct Reorg {
    /// The line it came from; none if that was before a restart.
    pub source: Option<usize>,
    /// The chain is as long as ours was.
    equal: bool,
    /// The length and last hash of what is being put in place, if the rest was asked for already.
    pub goes_on: Option<(u64, Hash)>,
    /// What is being done.
    stage: Stage,
}

/// What is being done about a switch.
enum Stage {
    /// The branch is being copied into the chain file.
    Adopting,
    /// The two chains are compared block by block, up to where their transactions differ.
    Differing { fallen: Fallen, next: u64 },
    /// What fell out from there on is being read.
    Collecting(Box<Sorting>),
    /// What the new chain has too is being struck off.
    Comparing { sorting: Box<Sorting>, next: u64 },
    /// The branch that fell out is being kept for `blx export --branch`.
    Saving { fallen: Fallen, saving: Saving },
}

/// What a switch took out, while it is sorted.
pub struct Sorting {
    fallen: Fallen,
    from: u64,
    gathered: Gathered,
    lost: Lost,
    /// What waited in the mempool when the reorg came.
    waited: Vec<Batch>,
    /// What the mempool has no room for.
    rest: Option<Disconnected>,
    alarming: bool,
}

impl Sorting {
    /// What fell out from the height `from` on, where the chains begin to differ.
    fn new(fallen: Fallen, from: u64) -> Sorting {
        Sorting {
            fallen,
            from,
            gathered: Gathered::to(from),
            lost: Lost::default(),
            waited: Vec::new(),
            rest: None,
            alarming: false,
        }
    }

    /// A transaction or block below this height is deep in the chain that fell out.
    fn deep(&self) -> u64 {
        self.fallen.to.saturating_sub(limits::ALARM_DEPTH)
    }
}

impl Reorg {
    /// The staged branch takes its place.
    pub fn new(source: usize, equal: bool, goes_on: Option<(u64, Hash)>) -> Reorg {
        Reorg {
            source: Some(source),
            equal,
            goes_on,
            stage: Stage::Adopting,
        }
    }

    /// One that was cut off by the end of the process: the chain is in place, and what fell out is still
    /// to be seen to.
    pub fn resume(fallen: Fallen) -> Reorg {
        let next = fallen.from;
        Reorg {
            source: None,
            equal: false,
            goes_on: None,
            stage: Stage::Differing { fallen, next },
        }
    }

    /// Goes on; `Err` with the line that it came from when it is over.
    pub fn step<D: Disk>(
        mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
    ) -> Result<Reorg, Option<usize>> {
        let stage = match core::mem::replace(&mut self.stage, Stage::Adopting) {
            Stage::Adopting => self.adopt(cx, peers, mempool),
            Stage::Differing { fallen, next } => {
                Some(self.find_difference(cx, peers, mempool, (fallen, next)))
            }
            Stage::Collecting(sorting) => Some(collect(cx, mempool, sorting)),
            Stage::Comparing { sorting, next } => compare(cx, mempool, sorting, next),
            Stage::Saving { fallen, saving } => save(cx, fallen, saving),
        };
        match stage {
            Some(stage) => Ok(Reorg { stage, ..self }),
            None => Err(self.source),
        }
    }

    fn adopt<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
    ) -> Option<Stage> {
        match cx.chain.adopt(limits::BLOCKS_PER_TURN) {
            Ok(None) => Some(Stage::Adopting),
            Ok(Some(fallen)) => {
                mempool.switched(fallen.from);
                self.adopted(cx, peers, &fallen);
                let next = fallen.from;
                Some(Stage::Differing { fallen, next })
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

    fn adopted<D: Disk>(&self, cx: &mut Cx<D>, peers: &mut Peers, fallen: &Fallen) {
        for (_, peer) in peers.iter_mut() {
            peer.writer.switched(fallen.from);
        }
        let tip = cx.chain.tip();
        let length = tip.length;
        let mut ours = fallen.to;
        if let Some(peer) = self.source.and_then(|line| peers.get_mut(line)) {
            peer.brought = Some(cx.now.mono);
            if peer.is_ahead_of(&tip) && peer.is_ours() {
                // More comes; one word at the end is enough.
                peer.from.get_or_insert(fallen.to);
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
        if let Some(line) = self.source {
            peers.tell_outcome(&mut cx.effects, line, "its chain is ours now");
        }
    }

    /// Goes on looking for the first block that has not the same transactions in both chains:
    /// beside desktop nodes there is mostly none, since they make blocks of their own of what they
    /// hear.
    fn find_difference<D: Disk>(
        &self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
        (fallen, next): (Fallen, u64),
    ) -> Stage {
        let (end, budget) = (
            fallen.to.min(next + limits::BLOCKS_PER_TURN as u64),
            cx.chain.budget(),
        );
        for height in next..end {
            if cx.chain.is_over(budget) {
                return Stage::Differing {
                    fallen,
                    next: height,
                };
            }
            let ours = cx.chain.read_fallen(&fallen, height);
            match (ours, cx.chain.read(height)) {
                (Ok(ours), Ok(theirs)) if ours.block.has_content_of(&theirs.block) => {}
                _ => {
                    peers.doubt_all(cx.now.mono, self.source);
                    return begin_sorting(mempool, fallen, height);
                }
            }
        }
        if end < fallen.to {
            return Stage::Differing { fallen, next: end };
        }
        begin_sorting(mempool, fallen, end)
    }
}

fn not_taken<D>(cx: &mut Cx<D>, peers: &mut Peers, source: Option<usize>) {
    if let Some(line) = source {
        peers.tell_outcome(&mut cx.effects, line, "its chain was not taken");
    }
}

/// From `from` on the chains differ.
fn begin_sorting(mempool: &mut Mempool, fallen: Fallen, from: u64) -> Stage {
    let mut sorting = Sorting::new(fallen, from);
    sorting.waited = mempool.queue.take_others();
    Stage::Collecting(Box::new(sorting))
}

/// Gathers the transactions of the next blocks that fell out; behind the last one, what waited
/// in the mempool.
fn collect<D: Disk>(cx: &mut Cx<D>, mempool: &mut Mempool, mut sorting: Box<Sorting>) -> Stage {
    let Sorting {
        fallen,
        gathered,
        lost,
        ..
    } = &mut *sorting;
    if !mempool.gather(cx, fallen, gathered, lost) {
        return Stage::Collecting(sorting);
    }
    if gathered.next() == fallen.to {
        for batch in core::mem::take(&mut sorting.waited) {
            sorting.lost.add(sorting.fallen.to, batch);
        }
    }
    let next = sorting.from;
    Stage::Comparing { sorting, next }
}

/// Goes on striking off what the new chain has too.
fn compare<D: Disk>(
    cx: &mut Cx<D>,
    mempool: &mut Mempool,
    mut sorting: Box<Sorting>,
    mut next: u64,
) -> Option<Stage> {
    let deep = sorting.deep();
    let lost = &mut sorting.lost;
    if !mempool.strike_off(cx, &mut next, lost, deep) {
        return Some(Stage::Comparing { sorting, next });
    }
    sorting.alarming |= lost.is_alarming(deep);
    let lost = core::mem::take(lost);
    let from = (&sorting.fallen, sorting.from);
    mempool.make_again(cx, lost, from, &mut sorting.rest);
    if sorting.gathered.next() < sorting.fallen.to {
        return Some(Stage::Collecting(sorting));
    }
    let Sorting {
        fallen,
        rest,
        alarming,
        ..
    } = *sorting;
    if let Some(rest) = rest {
        mempool.keep_outside(rest);
    }
    alarming.then(|| {
        let saving = Saving::default();
        Stage::Saving { fallen, saving }
    })
}

/// Keeps the branch that a switch took out, of which something deep is lost, and warns.
fn save<D: Disk>(cx: &mut Cx<D>, fallen: Fallen, mut saving: Saving) -> Option<Stage> {
    let blocks = limits::BLOCKS_PER_TURN;
    match cx.chain.save_fallen(&fallen, &mut saving, blocks) {
        Ok(false) => return Some(Stage::Saving { fallen, saving }),
        Ok(true) => {}
        Err(error) => cx.effects.alert(format!(
            "[store ❌] the branch that was left cannot be kept: {error}."
        )),
    }
    let old = fallen.to - 1;
    let old_tip = match cx.chain.read_fallen(&fallen, old) {
        Ok(stored) => stored.block.hash.to_string(),
        Err(error) => error.to_string(),
    };
    let tip = cx.chain.tip();
    let (fork, new) = (fallen.from, tip.length - 1);
    cx.effects.alert(format!(
        "[consensus ⚠️] this switch loses or changes what stood more than {} blocks deep: from \
         block {fork} on, tip {old_tip} (block {old}) gave way to tip {} (block {new}); what was \
         there is read back with blx export --branch",
        limits::ALARM_DEPTH,
        tip.hash,
    ));
    None
}

/// What a reorg has put in place is told to the others, unless more of it comes.
pub fn announce<D: Disk>(cx: &mut Cx<D>, peers: &mut Peers, source: Option<usize>) {
    let (tip, now) = (cx.chain.tip(), cx.now.mono);
    let peer = source.and_then(|line| peers.get_mut(line));
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
            true => Intent::Ping,
            false => Intent::Block(last),
        };
        peers.relay(word, source);
    }
}
