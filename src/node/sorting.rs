//! What a switch took out of the chain is sorted: found where the chains differ, gathered, compared with
//! the new chain, and handed to the mempool.

use super::Node;
use super::mempool::{Batch, Disconnected, Gathered, Lost};
use super::settle::Stage;
use crate::limits;
use crate::store::branch::Fallen;
use crate::store::disk::Disk;
use crate::store::fallen::Saving;

/// What a switch took out, while it is sorted.
pub struct Sorting {
    fallen: Fallen,
    from: u64,
    gathered: Gathered,
    lost: Lost,
    /// What waited in the pool when the switch came.
    waited: Vec<Batch>,
    /// What the pool has no room for.
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

impl<D: Disk> Node<D> {
    /// Goes on looking for the first block that has not the same transactions in both chains:
    /// beside desktop nodes there is mostly none, since they make blocks of their own of what they
    /// hear.
    pub(super) fn find_difference(
        &mut self,
        fallen: Fallen,
        next: u64,
        source: Option<usize>,
    ) -> Stage {
        let (end, budget) = (
            fallen.to.min(next + limits::BLOCKS_PER_TURN as u64),
            self.cx.chain.budget(),
        );
        for height in next..end {
            if self.cx.chain.is_over(budget) {
                return Stage::Differing {
                    fallen,
                    next: height,
                };
            }
            let ours = self.cx.chain.read_fallen(&fallen, height);
            match (ours, self.cx.chain.read(height)) {
                (Ok(ours), Ok(theirs)) if ours.block.has_content_of(&theirs.block) => {}
                _ => {
                    self.peers.doubt_all(self.cx.now.mono, source);
                    return self.begin_sorting(fallen, height);
                }
            }
        }
        if end < fallen.to {
            return Stage::Differing { fallen, next: end };
        }
        self.begin_sorting(fallen, end)
    }

    /// From `from` on the chains differ.
    fn begin_sorting(&mut self, fallen: Fallen, from: u64) -> Stage {
        let mut sorting = Sorting::new(fallen, from);
        sorting.waited = self.mempool.queue.take_others();
        Stage::Collecting(Box::new(sorting))
    }

    /// Gathers the transactions of the next blocks that fell out; behind the last one, what waited
    /// in the pool.
    pub(super) fn collect(&mut self, mut sorting: Box<Sorting>) -> Stage {
        let Sorting {
            fallen,
            gathered,
            lost,
            ..
        } = &mut *sorting;
        if !self.mempool.gather(&mut self.cx, fallen, gathered, lost) {
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
    pub(super) fn compare(&mut self, mut sorting: Box<Sorting>, mut next: u64) -> Option<Stage> {
        let deep = sorting.deep();
        let lost = &mut sorting.lost;
        if !self.mempool.strike_off(&mut self.cx, &mut next, lost, deep) {
            return Some(Stage::Comparing { sorting, next });
        }
        sorting.alarming |= lost.is_alarming(deep);
        let lost = core::mem::take(lost);
        let from = (&sorting.fallen, sorting.from);
        self.mempool
            .make_again(&mut self.cx, lost, from, &mut sorting.rest);
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
            self.mempool.keep_outside(rest);
        }
        alarming.then(|| {
            let saving = Saving::default();
            Stage::Saving { fallen, saving }
        })
    }

    /// Keeps the branch that a switch took out, of which something deep is lost, and warns.
    pub(super) fn save_fallen(&mut self, fallen: Fallen, mut saving: Saving) -> Option<Stage> {
        let blocks = limits::BLOCKS_PER_TURN;
        match self.cx.chain.save_fallen(&fallen, &mut saving, blocks) {
            Ok(false) => return Some(Stage::Saving { fallen, saving }),
            Ok(true) => {}
            Err(error) => self.cx.effects.alert(format!(
                "[store ❌] the branch that was left cannot be kept: {error}."
            )),
        }
        let old = fallen.to - 1;
        let old_tip = match self.cx.chain.read_fallen(&fallen, old) {
            Ok(stored) => stored.block.hash.to_string(),
            Err(error) => error.to_string(),
        };
        let tip = self.cx.chain.tip();
        let (fork, new) = (fallen.from, tip.length - 1);
        self.cx.effects.alert(format!(
            "[consensus ⚠️] this switch loses or changes what stood more than {} blocks deep: from \
             block {fork} on, tip {old_tip} (block {old}) gave way to tip {} (block {new}); what was \
             there is read back with blx export --branch",
            limits::ALARM_DEPTH,
            tip.hash,
        ));
        None
    }
}
