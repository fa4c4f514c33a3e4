//! What a desktop node leaves to its user's key 8: it is told our chain when it lacks something,
//! and asked for its own now and then.
//!
//! A desktop node makes a block of its own of the transactions that it hears (PROTOCOL.md section
//! 4). So beside the length of its chain it matters whether it is in step: has the same
//! transactions in the same blocks as we do. Only then a block of ours is of use to it; otherwise
//! it has to be told the whole chain, which it takes if that is longer.

use super::lines::{Peer, Slot};
use super::{Millis, Node};
use crate::limits;
use crate::store::disk::Disk;
use crate::wire::write::Intent;

/// What is known of a desktop node.
pub struct Desktop {
    /// The length of its chain, as it told or as follows from what it was told.
    pub length: Option<u64>,
    /// Its blocks have the same transactions as ours, as far as they go.
    pub in_step: bool,
    /// When it was last told the whole chain unasked.
    told: Option<Millis>,
    /// When it was last asked for its chain.
    pub polled: Millis,
    /// When our chain is made longer than its own, which is as long and not in step.
    tie: Option<Millis>,
    /// The length at which that was done last.
    tie_broken: u64,
}

impl Desktop {
    /// A desktop node of which nothing is known.
    pub fn new(now: Millis) -> Desktop {
        Desktop {
            length: None,
            in_step: false,
            told: None,
            polled: now,
            tie: None,
            tie_broken: 0,
        }
    }

    /// It has a chain of this length.
    pub fn has(&mut self, length: u64, in_step: bool) {
        (self.length, self.in_step) = (Some(length), in_step);
    }

    /// Whether a block of ours at this height is the next one for it, as far as is known; then it
    /// takes it.
    pub fn takes(&mut self, height: u64) -> bool {
        match self.length {
            None => true,
            Some(length) if self.in_step && length == height => {
                self.length = Some(height + 1);
                true
            }
            Some(_) => false,
        }
    }

    /// It was told our whole chain, and takes a longer one.
    fn heard_chain(&mut self, length: u64) {
        if self.length.is_none_or(|theirs| theirs < length) {
            self.has(length, true);
        }
    }

    fn poll_at(&self) -> Millis {
        Millis(self.polled.0 + limits::DESKTOP_POLL_MS)
    }

    fn bring_up_at(&self) -> Millis {
        Millis(self.told.map_or(0, |told| told.0 + limits::BRING_UP_MS))
    }

    /// When it has to be looked at again, beside our chain of this length.
    fn deadline(&self, length: u64) -> Millis {
        let poll = self.poll_at();
        match self.length {
            Some(theirs) if theirs < length => poll.min(self.bring_up_at()),
            _ => self.tie.map_or(poll, |tie| poll.min(tie)),
        }
    }
}

impl<D: Disk> Node<D> {
    /// When a desktop node has to be looked at again.
    pub(super) fn desktop_deadline(&self) -> Option<Millis> {
        if self.ending.is_some() || self.sync.is_settling() {
            return None;
        }
        let length = self.log.tip().length;
        let deadlines = self.slots.iter().filter_map(|slot| match slot {
            // Who is told a chain is looked at again when that has left.
            Slot::Open(peer) if !peer.writer.is_telling() => match &peer.kind {
                super::lines::Kind::Desktop(desktop) => Some(desktop.deadline(length)),
                _ => None,
            },
            _ => None,
        });
        deadlines.min()
    }

    /// Tells the desktop nodes what they lack, and asks those for their chain that were not asked
    /// for long.
    pub(super) fn tend_desktops(&mut self) {
        if self.ending.is_some() || self.sync.is_settling() {
            return;
        }
        let (now, tip) = (self.now.mono, self.log.tip());
        let calm = self.is_calm();
        let delay = limits::DELAY_MS + self.random() % limits::DELAY_SPREAD_MS;
        let mut longer = false;
        for peer in self.slots.iter_mut().filter_map(Slot::peer) {
            let told = peer.writer.take_told();
            let telling = peer.writer.is_telling();
            let Some(desktop) = peer.desktop() else {
                continue;
            };
            if let Some(length) = told {
                desktop.heard_chain(length);
            }
            let ask = desktop.poll_at() <= now;
            if ask {
                desktop.polled = now;
            }
            match desktop.length {
                Some(theirs) if theirs < tip.length && !telling => {
                    desktop.tie = None;
                    Self::bring_up(peer, theirs, tip.length, now);
                }
                Some(theirs) if theirs == tip.length && !desktop.in_step && calm => {
                    let tie = *desktop.tie.get_or_insert(Millis(now.0 + delay));
                    if desktop.tie_broken == theirs {
                        desktop.tie = None;
                    } else if tie <= now {
                        (desktop.tie, desktop.tie_broken) = (None, theirs);
                        longer = true;
                    }
                }
                _ => desktop.tie = None,
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

    fn bring_up(peer: &mut Peer, theirs: u64, ours: u64, now: Millis) {
        let Some(desktop) = peer.desktop() else {
            return;
        };
        if desktop.in_step && ours - theirs <= limits::BRING_UP_BLOCKS {
            desktop.length = Some(ours);
            for height in theirs..ours {
                peer.push(Intent::Block(height));
            }
        } else if desktop.bring_up_at() <= now {
            desktop.told = Some(now);
            peer.push(Intent::Chain);
        }
    }

    /// Our chain has another content than before from some height on: nobody is in step but who
    /// has told it.
    pub(super) fn out_of_step(&mut self, source: Option<usize>) {
        for (line, slot) in self.slots.iter_mut().enumerate() {
            if Some(line) != source
                && let Some(desktop) = slot.peer().and_then(Peer::desktop)
            {
                desktop.in_step = false;
            }
        }
    }

    /// Nothing is on its way that could make our chain longer by itself.
    fn is_calm(&self) -> bool {
        self.sync.is_free() && self.pool.is_empty() && self.inquiries.is_empty()
    }
}
