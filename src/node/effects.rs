//! The machine as its organs see it, and what they want done: none of them talks to users, or acts,
//! by itself. What they leave in [`Effects`] is carried out by the node, in its order.

use std::collections::VecDeque;

use super::answer::{Answer, SessionId};
use super::event::{Action, Clock, Millis, Ways};
use crate::ledger::{Nonces, RuleError, Verifier};
use crate::limits;
use crate::store::disk::{Disk, DiskError};
use crate::store::log::Log;
use crate::wire::InvalidBlock;

/// What every organ may see and use.
pub struct Cx<D> {
    /// The time of this call.
    pub now: Clock,
    /// The chain, and the items that follow from it.
    pub chain: Log<D>,
    /// Checks signatures, and remembers the good ones.
    pub verifier: Verifier,
    /// Numbers by chance.
    pub jitter: Jitter,
    /// What is drawn for each connection.
    pub nonces: Nonces,
    /// What is to be done about all this.
    pub effects: Effects,
    /// Signatures that were checked in this call.
    pub checked: usize,
    /// The node ends, at this time at the latest.
    pub ending: Option<Millis>,
    /// What users can do.
    pub ways: Ways,
}

impl<D: Disk> Cx<D> {
    /// Whether a block may be added: not while a hole waits for a peer who can fill it.
    pub fn may_append(&self) -> bool {
        self.chain.hole().is_none()
    }

    /// The disk did not do as it should: from here on nothing is written.
    pub fn disk_failed(&mut self, error: &DiskError) {
        self.effects.alert(format!(
            "[store ❌] {error}: no new blocks are taken until blx is started again, \
             the chain can still be read."
        ));
    }
}

impl<D> Cx<D> {
    /// See [`Jitter::delayed`].
    pub fn delayed(&mut self) -> Millis {
        self.jitter.delayed(self.now.mono)
    }
}

/// Why something that a peer said comes to nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It broke a rule, which is counted: a clause.
    Rule(String),
    /// Its chain breaks a rule: a clause.
    ChainRule(String),
    /// Its chain is beyond what this node follows, through no fault of its own.
    Limit(RuleError),
    /// Its chain could not be looked at, through no fault of its own.
    Disk(DiskError),
}

impl Fault {
    /// A block on its own breaks a rule.
    pub fn block(index: u64, error: RuleError) -> Fault {
        Fault::Rule(invalid(index, error))
    }

    /// A block of a chain does.
    pub fn chain(index: u64, error: RuleError) -> Fault {
        Fault::ChainRule(invalid(index, error))
    }
}

impl From<DiskError> for Fault {
    fn from(error: DiskError) -> Fault {
        Fault::Disk(error)
    }
}

fn invalid(index: u64, error: RuleError) -> String {
    let index = Some(index);
    InvalidBlock { index, error }.to_string()
}

/// A generator of numbers for jitter, xorshift64. Whoever sees enough of them can tell the others: no
/// secret is made of them, and they are made of none.
pub struct Jitter {
    state: u64,
    /// When the next block is made of transactions of others that came lately.
    later: Millis,
}

impl Jitter {
    /// One that follows from this number alone.
    pub fn new(seed: u64) -> Jitter {
        Jitter {
            // An xorshift generator must not begin with zero.
            state: seed | 1,
            later: Millis(0),
        }
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// Until when a transaction of others waits, if no block comes before. All that came together,
    /// or soon after, goes into the same block.
    pub fn delayed(&mut self, now: Millis) -> Millis {
        let soonest = Millis(now.0 + limits::DELAY_MS);
        if self.later < soonest {
            let spread = self.number() % (limits::DELAY_SPREAD_MS + 1);
            self.later = Millis(soonest.0 + spread);
        }
        self.later
    }
}

/// Words to users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// What happened, for whoever looks.
    Event(String),
    /// What a user should know of even if nobody is looking: it is kept in the event log, and logged as a
    /// warning.
    Alert(String),
    /// How something ended: for whoever asked for it, or for everybody if they are gone.
    Answer(Option<SessionId>, Answer),
    /// The same where a person in the menu has seen it as an event.
    AnswerProgram(Option<SessionId>, Answer),
}

/// What the organs want done.
#[derive(Default)]
pub struct Effects {
    /// Work is waiting: the deadline is now. What was set before this call's work is forgotten by that.
    pub busy: bool,
    notices: VecDeque<Notice>,
    actions: VecDeque<Action>,
}

impl Effects {
    /// Tells everybody who looks what happened.
    pub fn notify(&mut self, event: impl Into<String>) {
        self.notices.push_back(Notice::Event(event.into()));
    }

    /// Tells what a user should know of even if nobody is looking.
    pub fn alert(&mut self, event: impl Into<String>) {
        self.notices.push_back(Notice::Alert(event.into()));
    }

    /// Says how something ended to whoever asked for it; everybody hears it if they are gone.
    pub fn answer(&mut self, session: Option<SessionId>, answer: Answer) {
        self.notices.push_back(Notice::Answer(session, answer));
    }

    /// The same where a person in the menu has seen it as an event.
    pub fn answer_program(&mut self, session: Option<SessionId>, answer: Answer) {
        self.notices
            .push_back(Notice::AnswerProgram(session, answer));
    }

    /// The next words to users.
    pub fn next_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Has the driver of the node do something.
    pub fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// The next thing for them to do.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}

#[cfg(test)]
pub mod testing {
    //! What an organ sees, without a node around it.
    #![allow(missing_docs)]

    use super::*;
    use crate::ledger::{Block, Identity, Kind, PublicKey, Timestamp, Transaction, Who, Work};
    use crate::store::branch::DisconnectedBlocks;
    use crate::store::disk::memory::MemoryDisk;

    /// What users can do.
    pub const WAYS: Ways = Ways {
        items_max: "more items",
        staging_max: "more room",
        drop_disconnected: "that is dropped",
        disconnected: "to be read",
        scrub_every: "not asked for",
    };

    /// When the clock begins: milliseconds, of the wall's clock as well.
    const START_MS: u64 = 1_000_000;

    pub fn identity(author: u8) -> Identity {
        Identity::from_secret(&[author; 32]).expect("a key")
    }

    /// One of ours that has drawn this number.
    pub fn who(id: u64) -> Who {
        Who { id, key: key(8) }
    }

    pub fn key(author: u8) -> PublicKey {
        identity(author).public()
    }

    pub fn sign(author: u8, kind: Kind, name: &str, seconds: i128) -> Transaction {
        identity(author).sign(kind, name.into(), Timestamp::Integer(seconds))
    }

    impl Cx<MemoryDisk> {
        /// On what this disk has; a new chain asks for this many zeros.
        pub fn on(disk: MemoryDisk, difficulty: u8) -> Cx<MemoryDisk> {
            let now = Clock {
                mono: Millis(START_MS),
                wall: START_MS * 1_000,
            };
            let time = Timestamp::from_micros(now.wall);
            let (chain, _) = Log::open(disk, Some(difficulty), time).expect("opens");
            Cx {
                now,
                chain,
                verifier: Verifier::default(),
                jitter: Jitter::new(1),
                nonces: Nonces::new([1; 32]),
                effects: Effects::default(),
                checked: 0,
                ending: None,
                ways: WAYS,
            }
        }

        pub fn pass(&mut self, millis: u64) {
            self.now.mono.0 += millis;
            self.now.wall += millis * 1_000;
        }

        /// The words to users since this was asked last.
        pub fn words(&mut self) -> Vec<Notice> {
            core::iter::from_fn(|| self.effects.next_notice()).collect()
        }

        /// Somebody's block comes to the end of the chain.
        pub fn append(&mut self, transactions: Vec<Transaction>) -> Block {
            let mut block = Block::behind(&self.chain.tip(), self.block_time());
            block.transactions = transactions;
            let block = found(block, self.chain.difficulty());
            self.chain.append(&block).expect("appended");
            block
        }

        /// From this height on the chain consists of other blocks.
        pub fn reorg(&mut self, fork: u64, blocks: Vec<Vec<Transaction>>) -> DisconnectedBlocks {
            self.chain.begin(fork).expect("begins");
            while !self.chain.unwind(64).expect("unwinds") {}
            for transactions in blocks {
                let tip = self.chain.branch_tip().expect("open");
                // Later than any block of the same content that it takes the place of.
                let time = Timestamp::from_micros(self.now.wall + 1);
                let mut block = Block::behind(&tip, time);
                block.transactions = transactions;
                let block = found(block, self.chain.difficulty());
                self.chain.stage(&block).expect("stages");
            }
            loop {
                if let Some(disconnected) = self.chain.adopt(64).expect("adopts") {
                    return disconnected;
                }
            }
        }
    }

    fn found(block: Block, difficulty: u8) -> Block {
        let mut work = Work::new(block, difficulty);
        while !work.turn() {}
        work.into_block()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_has_no_zero_and_what_came_together_waits_together() {
        let mut jitter = Jitter::new(0);
        assert_ne!(jitter.number(), 0);
        let first = jitter.delayed(Millis(1_000));
        assert!(first.0 >= 1_000 + limits::DELAY_MS);
        assert!(first.0 <= 1_000 + limits::DELAY_MS + limits::DELAY_SPREAD_MS);
        let last = Millis(first.0 - limits::DELAY_MS);
        assert_eq!(jitter.delayed(last), first);
        assert!(jitter.delayed(Millis(last.0 + 1)) > first);
    }

    #[test]
    fn what_is_wanted_is_done_in_its_order() {
        let mut effects = Effects::default();
        effects.notify("one");
        effects.answer(None, Answer::Requested("two".into()));
        effects.alert("three");
        let words = core::iter::from_fn(|| effects.next_notice()).collect::<Vec<_>>();
        let expected = [
            Notice::Event("one".into()),
            Notice::Answer(None, Answer::Requested("two".into())),
            Notice::Alert("three".into()),
        ];
        assert_eq!(words, expected);
    }
}
