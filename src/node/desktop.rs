//! What a desktop node leaves to its user's key 8: it is told our chain when it lacks something,
//! and asked for its own now and then.
//!
//! A desktop node makes a block of its own of the transactions that it hears (PROTOCOL.md section
//! 4). So beside the length of its chain it matters whether it is in step: has the same
//! transactions in the same blocks as we do. Only then a block of ours is of use to it; otherwise
//! it has to be told the whole chain, which it takes if that is longer.
//!
//! Several of ours may be connected to the same desktop node, and each knows only what it told it
//! itself. While they have the same chain that does no harm. Once there was another branch, blocks
//! of both may be in the desktop node's chain: then it is told nothing until all of ours can know,
//! and after that only a chain which is longer than all that anybody can have told it.

use core::ops::Range;

use super::lines::{Kind, Peer, Slot};
use super::orphans::is_remade;
use super::{Millis, Node};
use crate::ledger::{Block, Hash, Tip};
use crate::limits;
use crate::store::disk::Disk;
use crate::wire::write::Intent;

/// What is known of a desktop node.
pub struct Desktop {
    /// Its first word was a node's, so it has a chain.
    is_node: bool,
    /// The length of its chain, as it told or as follows from what it was told.
    pub length: Option<u64>,
    /// The length that its chain may have by now: it may have taken blocks of ours on top of what
    /// it told.
    most: u64,
    /// The length that its chain has if it took all the blocks that were sent to it since it was
    /// last asked for its chain.
    sent: u64,
    /// Its blocks have the same transactions as ours, as far as they go.
    pub in_step: bool,
    /// When it was last told the whole chain unasked.
    told: Option<Millis>,
    /// When it was last asked for its chain.
    pub polled: Millis,
    /// When our chain is made longer than its own, which may be as long and is not in step.
    tie: Option<Millis>,
}

impl Desktop {
    /// One of which nothing is known but whether its first word was a node's.
    pub fn new(now: Millis, is_node: bool) -> Desktop {
        Desktop {
            is_node,
            length: None,
            most: 0,
            sent: 0,
            in_step: false,
            told: None,
            polled: now,
            tie: None,
        }
    }

    /// It has a chain of this length.
    pub fn has(&mut self, length: u64, in_step: bool) {
        (self.length, self.in_step) = (Some(length), in_step);
        self.most = match in_step {
            true => length,
            false => length.max(self.sent),
        };
    }

    /// It is asked for its chain: the answer tells of everything that was sent before.
    pub fn asked(&mut self) {
        self.sent = 0;
    }

    /// Whether a block of ours at this height is the next one for it, as far as is known; then it
    /// takes it. While its chain is on its way (`asked`) that will tell; to who has none, such as
    /// a device that only sends signed lines, every block is sent.
    pub fn takes(&mut self, height: u64, asked: bool) -> bool {
        let takes = match self.length {
            None => !(self.is_node && asked),
            Some(length) if self.in_step && length == height => {
                (self.length, self.most) = (Some(height + 1), height + 1);
                true
            }
            Some(_) => false,
        };
        if takes {
            self.sent = self.sent.max(height + 1);
        }
        takes
    }

    /// Others may have told it another branch, up to this length: whatever it has is no longer than
    /// that, and perhaps no shorter.
    fn doubt(&mut self, length: u64) {
        (self.in_step, self.tie) = (false, None);
        self.most = self.most.max(length);
    }

    /// It was told our whole chain, and takes it if it is longer than its own.
    pub fn heard_chain(&mut self, length: u64) {
        if self.most < length {
            self.has(length, true);
        } else if self.length.is_none_or(|theirs| theirs < length) {
            self.length = Some(length);
        }
    }

    fn poll_at(&self) -> Millis {
        Millis(self.polled.0 + limits::DESKTOP_POLL_MS)
    }

    fn bring_up_at(&self) -> Millis {
        Millis(self.told.map_or(0, |told| told.0 + limits::BRING_UP_MS))
    }

    /// What it needs, beside our chain of this length.
    fn need(&self, ours: u64) -> Need {
        match self.length {
            Some(theirs) if self.in_step && theirs < ours => {
                match ours - theirs <= limits::BRING_UP_BLOCKS {
                    true => Need::Blocks,
                    false => Need::Chain,
                }
            }
            Some(theirs) if !self.in_step && theirs <= ours => match self.most < ours {
                true => Need::Chain,
                false => Need::Longer,
            },
            _ => Need::Nothing,
        }
    }

    /// When it has to be looked at again.
    fn deadline(&self, ours: u64) -> Millis {
        let poll = self.poll_at();
        match self.need(ours) {
            Need::Nothing => poll,
            Need::Blocks => Millis(0),
            Need::Chain => poll.min(self.bring_up_at()),
            Need::Longer => self.tie.map_or(poll, |tie| poll.min(tie)),
        }
    }
}

/// Branches besides our chain that others of ours have, or had.
#[derive(Default)]
pub struct Branches {
    /// From when the first of these was heard of until others do not tell them to desktop nodes
    /// any more.
    silence: Option<Range<Millis>>,
    /// Where they ended that were heard of last, and blocks that have the same content as ours.
    ends: heapless::Deque<Hash, { limits::BRANCHES }>,
}

impl Branches {
    /// Remembers the end of one; whether it was not known.
    pub fn know(&mut self, end: Hash) -> bool {
        let before = self.ends.len();
        self.ends.retain(|known| *known != end);
        let new = self.ends.len() == before;
        if self.ends.is_full() {
            self.ends.pop_front();
        }
        let room = self.ends.push_back(end);
        room.is_ok() && new
    }

    /// There is one now.
    fn begin(&mut self, now: Millis) {
        let silence = self.silence.get_or_insert(now..now);
        let latest = Millis(silence.start.0 + limits::BRANCH_MAX_MS);
        silence.end = Millis(now.0 + limits::BRANCH_MS).min(latest);
    }
}

/// What a desktop node needs to have what we have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    /// The blocks that it lacks.
    Blocks,
    /// The whole chain.
    Chain,
    /// The whole chain, when that is longer: as it is, it would keep its own.
    Longer,
}

impl<D: Disk> Node<D> {
    /// When a desktop node has to be looked at again.
    pub(super) fn desktop_deadline(&self) -> Option<Millis> {
        if self.ending.is_some() || self.sync.is_settling() {
            return None;
        }
        if let Some(silence) = &self.branches.silence {
            return Some(silence.end);
        }
        let length = self.log.tip().length;
        let deadlines = self.slots.iter().filter_map(|slot| match slot {
            // Who is told a chain is looked at again when that has left.
            Slot::Open(peer) if !peer.writer.is_telling() => match &peer.kind {
                Kind::Desktop(desktop) => Some(desktop.deadline(length)),
                _ => None,
            },
            _ => None,
        });
        deadlines.min()
    }

    /// Tells the desktop nodes what they lack, and asks those for their chain that were not asked
    /// for long.
    pub(super) fn tend_desktops(&mut self) {
        if self.ending.is_some() || self.sync.is_settling() || self.may_branch() {
            return;
        }
        let (now, tip) = (self.now.mono, self.log.tip());
        let calm = self.is_calm();
        let later = self.delayed();
        let mut longer = false;
        for peer in self.slots.iter_mut().filter_map(Slot::peer) {
            peer.note_told();
            let telling = peer.writer.is_telling();
            let Some(desktop) = peer.desktop() else {
                continue;
            };
            let ask = desktop.poll_at() <= now;
            if ask {
                desktop.polled = now;
            }
            let mut need = desktop.need(tip.length);
            if need == Need::Blocks {
                // One with something void is taken by nobody but as part of a chain.
                let mut lacking = desktop.length.unwrap_or(0)..tip.length;
                let void = |height| self.log.read(height).is_ok_and(|read| read.has_void());
                if lacking.any(void) {
                    need = Need::Chain;
                }
            }
            match need {
                Need::Longer if calm => {
                    let tie = *desktop.tie.get_or_insert(later);
                    if tie <= now {
                        desktop.tie = None;
                        longer = true;
                    }
                }
                _ => desktop.tie = None,
            }
            if !telling {
                Self::bring_up(peer, need, tip.length, now);
            }
            if ask {
                peer.ask(now);
            }
        }
        if longer {
            self.pool.lengthen();
            self.busy = true;
        }
    }

    /// Whether others may still tell desktop nodes another branch. Once they do not, whatever is
    /// known of any of them is in doubt.
    fn may_branch(&mut self) -> bool {
        match &self.branches.silence {
            None => return false,
            Some(silence) if self.now.mono < silence.end => return true,
            Some(_) => self.branches.silence = None,
        }
        let length = self.log.tip().length;
        let peers = self.slots.iter_mut().filter_map(Slot::peer);
        for desktop in peers.filter_map(Peer::desktop) {
            desktop.doubt(length);
        }
        false
    }

    fn bring_up(peer: &mut Peer, need: Need, ours: u64, now: Millis) {
        let Some(desktop) = peer.desktop() else {
            return;
        };
        match need {
            Need::Blocks => {
                let theirs = desktop.length.unwrap_or(ours);
                desktop.has(ours, true);
                desktop.sent = desktop.sent.max(ours);
                for height in theirs..ours {
                    peer.push(Intent::Block(height));
                }
            }
            Need::Chain if desktop.bring_up_at() <= now => {
                desktop.told = Some(now);
                peer.push(Intent::Chain);
            }
            Need::Chain | Need::Longer | Need::Nothing => {}
        }
    }

    /// One of ours has told where its chain ends, and that does not win.
    pub(super) fn hear_end(&mut self, end: Tip) {
        // A first block has no content.
        let differs = end.length > 1 && end != self.log.tip() && {
            let ours = self.log.hash(end.length - 1);
            ours.is_ok_and(|ours| ours != end.hash)
        };
        if differs && self.branches.know(end.hash) {
            self.branch(None);
        }
    }

    /// One of ours has made a block that loses against ours. A desktop node beside both of us may
    /// have taken that one and passed over ours, which it does not say.
    pub(super) fn note_rival(&mut self, block: &Block) {
        if block.index >= self.log.tip().length {
            return;
        }
        let Ok(ours) = self.log.read(block.index) else {
            return;
        };
        let new = self.branches.know(block.hash);
        if new && !is_remade(&ours.block, block) {
            self.branch(None);
        }
    }

    /// Notes what a block tells of a desktop node; false if we have that very block.
    pub(super) fn desktop_block(&mut self, line: usize, block: &Block) -> bool {
        let length = self.log.tip().length;
        let ours = match block.index < length {
            true => self.log.read(block.index).ok(),
            false => None,
        };
        if ours
            .as_ref()
            .is_some_and(|ours| ours.block.hash == block.hash)
        {
            return false;
        }
        let same = match &ours {
            Some(ours) => is_remade(&ours.block, block),
            None => block.index == length,
        };
        if let Some(desktop) = self.slots[line].peer().and_then(|peer| peer.desktop()) {
            let before = desktop.in_step && desktop.length == Some(block.index);
            desktop.has(block.index.saturating_add(1), before && same);
        }
        true
    }

    /// There is a branch with another content than our chain, or was until now: no desktop node is
    /// in step but the one that has told ours.
    pub(super) fn branch(&mut self, source: Option<usize>) {
        let ours = |slot: &Slot| matches!(slot, Slot::Open(peer) if peer.is_ours());
        if self.slots.iter().any(ours) {
            self.branches.begin(self.now.mono);
        }
        self.out_of_step(source);
    }

    /// No desktop node is in step but that on this line: single blocks are of no use to the others.
    pub(super) fn out_of_step(&mut self, source: Option<usize>) {
        for (line, slot) in self.slots.iter_mut().enumerate() {
            if Some(line) != source
                && let Some(desktop) = slot.peer().and_then(Peer::desktop)
            {
                desktop.in_step = false;
            }
        }
    }

    /// Our chain can be made longer, and nothing is on its way that could do that by itself.
    fn is_calm(&self) -> bool {
        let free = self.sync.is_free() && self.log.fault().is_none();
        let waits = !self.pool.is_empty() || !self.inquiries.is_empty();
        free && !waits && self.disconnected.is_empty()
    }
}
