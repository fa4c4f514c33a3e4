//! The threads of a desktop node: one for each connection, its user's and its monitor's. What they
//! do takes its time, and none waits for another.

use blx::ledger::{Kind, Timestamp, Transaction};
use blx::node::Millis;
use serde_json::Value;

use super::chain::{Base, Spoil, Who};
use super::{Desktop, Manner};

/// Mining a block: milliseconds at least.
const MINING_MS: u64 = 3;
/// The most milliseconds that chance adds to [`MINING_MS`].
const MINING_SPREAD_MS: u64 = 47;
/// Checking a chain: microseconds a block.
const CHECK_US: u64 = 173;
/// Looking for damage: microseconds a block.
const LOOK_US: u64 = 130;
/// Writing the file: microseconds a block, added to [`DUMP_MS`].
const DUMP_US: u64 = 4;
/// Writing the file: milliseconds, however short the chain is.
const DUMP_MS: u64 = 1;

/// What a thread is at.
pub enum Deed {
    Block(Vec<Transaction>),
    Chain(Vec<Value>),
    Act(Kind, Vec<Transaction>),
}

/// A change of the chain that is on its way.
pub struct Job {
    /// The connection whose thread does it, unless it is closed or it is the user's.
    pub conn: Option<usize>,
    who: Who,
    deed: Deed,
    base: Base,
    /// When the chain is changed, and when the thread has time for something else.
    changes: Millis,
    ends: Millis,
    is_made: bool,
    is_crowded: bool,
}

impl Job {
    fn due(&self) -> Millis {
        match self.is_made {
            true => self.ends,
            false => self.changes,
        }
    }
}

/// What goes on in a desktop node, and when it does something by itself.
pub struct Threads {
    pub jobs: Vec<Job>,
    /// When the monitor looks next, whether its last look found nothing, and until when it looks.
    look: Millis,
    was_clean: bool,
    looks: Millis,
    /// When the window asks for chains.
    asks: Option<Millis>,
}

impl Threads {
    pub fn new(now: Millis, manner: Manner) -> Threads {
        let asks = (manner == Manner::Window).then_some(Millis(now.0 + 10_000));
        Threads {
            jobs: Vec::new(),
            look: Millis(now.0 + manner.look_ms()),
            was_clean: true,
            looks: now,
            asks,
        }
    }

    pub fn is_busy(&self, conn: usize) -> bool {
        self.jobs.iter().any(|job| job.conn == Some(conn))
    }

    pub fn user_acts(&self) -> bool {
        self.jobs.iter().any(|job| job.who == Who::User)
    }

    /// The connection is gone; what its thread is at it brings to an end.
    pub fn detach(&mut self, conn: usize) {
        for job in &mut self.jobs {
            if job.conn == Some(conn) {
                job.conn = None;
            }
        }
    }

    pub fn deadline(&self) -> Millis {
        let jobs = self.jobs.iter().map(Job::due);
        let timers = [Some(self.look), self.asks].into_iter().flatten();
        jobs.chain(timers).min().expect("the monitor looks")
    }

    /// The process stood still for `millis` milliseconds, its timers did not.
    pub fn stood_still(&mut self, millis: u64) {
        for job in &mut self.jobs {
            job.changes.0 += millis;
            job.ends.0 += millis;
        }
        self.looks.0 += millis;
    }
}

impl Desktop {
    /// A thread begins with something that will change the chain.
    pub(super) fn begin(&mut self, conn: Option<usize>, who: Who, deed: Deed) {
        let now = self.now.mono;
        let length = self.saved().chain().len() as u64;
        let (base, crowded) = (self.saved().base(), !self.threads.jobs.is_empty());
        let mut millis = match &deed {
            Deed::Chain(blocks) => (blocks.len() as u64 * CHECK_US).div_ceil(1000),
            _ => MINING_MS + self.random.below(MINING_SPREAD_MS + 1),
        };
        let mut dump = DUMP_MS + length * DUMP_US / 1000;
        if now < self.threads.looks {
            (millis, dump) = (2 * millis, 2 * dump);
        }
        for job in &mut self.threads.jobs {
            job.is_crowded = true;
        }
        let changes = Millis(now.0 + millis);
        self.threads.jobs.push(Job {
            conn,
            who,
            deed,
            base,
            changes,
            ends: Millis(changes.0 + dump),
            is_made: false,
            is_crowded: crowded,
        });
    }

    /// Everything whose time has come, in its order.
    pub(super) fn pass(&mut self) {
        let now = self.now.mono;
        loop {
            let jobs = self.threads.jobs.iter().enumerate();
            let next = jobs.map(|(at, job)| (job.due(), at)).min();
            match next {
                Some((due, at)) if due <= now => self.step(at),
                _ => break,
            }
        }
        if self.threads.look <= now {
            self.look();
        }
        if let Some(asks) = &mut self.threads.asks
            && *asks <= now
        {
            *asks = Millis(now.0 + 30_000);
            self.ask_all();
        }
    }

    fn step(&mut self, at: usize) {
        if !self.threads.jobs[at].is_made {
            self.threads.jobs[at].is_made = true;
            return self.change(at);
        }
        let job = self.threads.jobs.remove(at);
        if let Deed::Act(kind, signed) = job.deed {
            self.acted(kind, signed, job.is_crowded);
        }
        if let Some(conn) = job.conn {
            self.go_on(conn);
        }
    }

    fn change(&mut self, at: usize) {
        let (who, base) = (self.threads.jobs[at].who, self.threads.jobs[at].base);
        let before = self.saved().since(base).to_vec();
        let how = match &mut self.threads.jobs[at].deed {
            Deed::Chain(blocks) => {
                let blocks = std::mem::take(blocks);
                self.put_chain(who, &blocks, !before.is_empty())
            }
            Deed::Block(transactions) | Deed::Act(_, transactions) => {
                let transactions = transactions.clone();
                self.append(who, transactions, base, !before.is_empty())
            }
        };
        if let Some(how) = how {
            let (at, by) = (self.now.mono, who);
            let spoil = Spoil {
                at,
                before,
                by,
                how,
            };
            self.saved.borrow_mut().spoils.push(spoil);
        }
    }

    fn append(
        &mut self,
        who: Who,
        transactions: Vec<Transaction>,
        base: Base,
        late: bool,
    ) -> Option<&'static str> {
        let links = !late || self.random.one_in(2);
        let how = (self.time(), self.difficulty);
        let mut saved = self.saved.borrow_mut();
        let block = saved.append(transactions, base, links, how);
        saved.changed(who);
        drop(saved);
        if let Who::Peer(_) = who {
            self.say(&format!(
                "[network 📦] received and added block #{}",
                block.index
            ));
        }
        late.then_some(match links {
            true => "a block more",
            false => "a block that does not link",
        })
    }

    /// It was longer when the check began; what the chain is now does not matter.
    fn put_chain(&mut self, who: Who, blocks: &[Value], late: bool) -> Option<&'static str> {
        let mut saved = self.saved.borrow_mut();
        let Some(chain) = saved.check(blocks) else {
            drop(saved);
            self.say("[consensus ❌] peer chain failed validation");
            return None;
        };
        let tip = |chain: &[std::rc::Rc<blx::ledger::Block>]| chain.last().map(|last| last.hash);
        let (length, before) = (chain.len(), saved.chain().len());
        let loses = length <= before && tip(&chain) != tip(saved.chain());
        saved.put(chain);
        saved.changed(who);
        drop(saved);
        self.say(&format!(
            "[consensus ✅] adopted longer chain ({length} blocks)"
        ));
        (late && loses).then_some("a chain that is not longer any more")
    }

    /// Damage is repaired only by a look that comes after one that found none.
    fn look(&mut self) {
        let now = self.now.mono;
        let length = self.saved().chain().len() as u64;
        self.threads.look = Millis(now.0 + self.manner.look_ms());
        self.threads.looks = Millis(now.0 + (length * LOOK_US).div_ceil(1000));
        let damage = self.saved().damage();
        if let (Some(at), true) = (damage, self.threads.was_clean) {
            self.saved.borrow_mut().cut(at);
            self.say("[monitor ⚠️] corruption detected");
        }
        self.threads.was_clean = damage.is_none();
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.now.wall)
    }
}
