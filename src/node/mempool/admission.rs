//! Admission: transactions that came without a block, or in a block or chain that lost, are taken
//! into the mempool if they are possible and not in the chain already.

use core::net::IpAddr;

use super::Mempool;
use super::batch::{Batch, BatchOrigin, may_stand_alone};
use super::lookup::{Found, LookUp};
use crate::ledger::Transaction;
use crate::limits;
use crate::node::answer::{menu_name, verb};
use crate::node::effects::{Cx, Fault};
use crate::node::event::Millis;
use crate::node::peers::Peers;
use crate::store::disk::Disk;
use crate::wire::write::Outgoing;

/// When a block is made of a transaction of a desktop node's user that is in no block of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At once: it is this node's to make.
    Now,
    /// A while later: another node may make it, or the desktop node's own chain brings it.
    Later,
}

/// What became of a transaction that a peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is being looked up, is known already, or is not taken.
    Fine,
    /// The items do not allow it.
    Impossible,
}

/// What has become of a batch that a peer sent over the connection `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It waits under this number, and the other peers are to hear of it.
    Waits { number: u64, from: usize },
    /// The items do not allow it.
    Impossible { from: usize },
}

impl Mempool {
    /// A peer at `from` sent a transaction on its own, over `conn`. Checks its signature.
    pub fn receive<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        (from, conn): (IpAddr, usize),
        transaction: Transaction,
    ) -> Result<Received, Fault> {
        if !may_stand_alone(&transaction) {
            let most = limits::ITEM_BYTES_MAX;
            log::info!(
                "{from}: a transaction is refused, its item's name has more than {most} bytes"
            );
            return Ok(Received::Fine);
        }
        let mut batch = Batch::new(vec![transaction], BatchOrigin::Peer(from), cx.now.mono);
        if self.is_waiting(&batch) {
            return Ok(Received::Fine);
        }
        cx.checked += 1;
        let [transaction] = &batch.transactions[..] else {
            return Ok(Received::Fine);
        };
        if !cx.verifier.verify(transaction) {
            let why = "a transaction: its signature does not verify";
            return Err(Fault::Rule(why.into()));
        }
        let (verb, uid) = (verb(transaction), &transaction.uid);
        let who = menu_name(&transaction.requester.to_string());
        cx.effects
            .notify(format!("[network 📨] {verb} of {uid} by {who}"));
        batch.due = cx.delayed();
        batch.expires = Some(Millis(cx.now.mono.0 + limits::MEMPOOL_MS));
        if !self.has_room_for(&batch) {
            log::info!("{from}: too many transactions wait, one is dropped");
            return Ok(Received::Fine);
        }
        if !self.allows(cx, &batch) {
            return Ok(Received::Impossible);
        }
        self.look_for(cx, batch, Some(conn));
        Ok(Received::Fine)
    }

    fn is_waiting(&self, batch: &Batch) -> bool {
        let waits = |id| self.queue.knows(id) || self.lookups.knows(id);
        batch.ids.iter().any(waits)
    }

    /// Whether there is memory for a batch.
    pub fn has_room_for(&self, batch: &Batch) -> bool {
        let (waiting, asked) = (self.queue.usage(), self.lookups.usage());
        waiting.has_room_beside(asked, batch)
    }

    /// Whether the items may allow a batch when its turn comes: behind everything that came before
    /// it, or if none of what is being looked up comes to anything.
    fn allows<D: Disk>(&mut self, cx: &Cx<D>, batch: &Batch) -> bool {
        let (items, tip) = (cx.chain.items(), cx.chain.tip());
        let changes = self.lookups.changes(&mut self.queue, items, tip);
        let behind_all = changes.check(items, &batch.transactions).is_ok();
        behind_all || self.check(cx, &batch.transactions).is_ok()
    }

    /// Looks a batch up in the chain; if it is not there, takes it into the mempool.
    fn look_for<D: Disk>(&mut self, cx: &mut Cx<D>, batch: Batch, relay: Option<usize>) {
        self.lookups.push(LookUp {
            relay,
            ..LookUp::new(batch)
        });
        cx.effects.busy = true;
    }

    /// Takes a transaction of a desktop node that is in no block of ours; its signature has been
    /// checked. What has become of it shows when it is looked up. True if it is taken.
    pub fn salvage<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        due: Due,
        transaction: &Transaction,
        ended: Option<&Transaction>,
    ) -> bool {
        let due = match due {
            Due::Now => cx.now.mono,
            Due::Later => cx.delayed(),
        };
        let mut batch = Batch::new(vec![transaction.clone()], BatchOrigin::Other, due);
        batch.ended = ended.cloned();
        if self.drops
            || self.is_waiting(&batch)
            || limits::Full::Salvaged.when(!self.has_room_for(&batch))
        {
            // It may be waiting already, for another node to make it again; nobody does that for
            // the one who made it.
            self.queue.hasten(&batch.ids, due);
            self.lookups.hasten(&batch.ids, due);
            return false;
        }
        self.lookups.push(LookUp {
            salvaged: true,
            ..LookUp::new(batch)
        });
        cx.effects.busy = true;
        true
    }

    /// Salvages a transaction of a chain or block that lost, if it is still possible and there is
    /// room; its signature has been checked. A release counts only for the reservation that it was
    /// made for, `ended`. If that is not known, it counts for one that is not younger than the
    /// release, which shows when it is looked up. True if it is taken.
    pub fn salvage_from_chain<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        transaction: &Transaction,
        ended: Option<&Transaction>,
    ) -> bool {
        let mut batch = Batch::new(vec![transaction.clone()], BatchOrigin::Other, cx.delayed());
        batch.ended = ended.cloned();
        let waits = self.is_waiting(&batch);
        let taken = !waits
            && !limits::Full::Gleaned.when(!self.has_room_for(&batch))
            && self.allows(cx, &batch);
        if taken {
            self.look_for(cx, batch, None);
        }
        taken
    }

    /// Goes on looking for what came, if anything did: what may wait is told to the others.
    pub fn look_up_some<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers) {
        if !self.looks_up() {
            return;
        }
        cx.effects.busy = true;
        match self.look_up(cx) {
            Some(Admitted::Waits { number, from }) => {
                peers.relay(Outgoing::Transaction(number), Some(from));
            }
            // What a desktop node takes and we do not is behind something that we lack.
            Some(Admitted::Impossible { from }) => peers.doubt(cx.now.mono, from),
            None => {}
        }
    }

    /// Continues the look-ups; returns what has become of something that a peer sent, if that is
    /// known now.
    pub fn look_up<D: Disk>(&mut self, cx: &mut Cx<D>) -> Option<Admitted> {
        match self.lookups.look_back(&mut cx.chain) {
            Found::Unknown(next) => self.lookups.goes_on(next),
            Found::Nothing => return self.admit(cx),
            Found::There(height) => {
                if let Some(lookup) = self.lookups.take() {
                    self.tell_there(cx, &lookup.batch, height);
                }
            }
            Found::Useless => {
                self.lookups.take();
            }
            Found::Late => {
                if let Some(lookup) = self.lookups.take()
                    && lookup.salvaged
                {
                    self.tell_late(cx, &lookup.batch);
                }
            }
        }
        None
    }

    /// The batch that was looked up is in the chain. If it is our own, of the last run, the user is
    /// told.
    fn tell_there<D: Disk>(&mut self, cx: &mut Cx<D>, batch: &Batch, height: u64) {
        self.queue.ended(core::slice::from_ref(batch));
        for transaction in batch.transactions.iter().filter(|_| batch.is_own()) {
            let (verb, uid) = (verb(transaction), &transaction.uid);
            cx.effects.notify(format!(
                "[consensus ✅] your {verb} of {uid} is in the chain, block #{height}"
            ));
        }
    }

    /// The first batch that is looked up is not in the chain, and goes into the mempool if it is
    /// possible.
    fn admit<D: Disk>(&mut self, cx: &mut Cx<D>) -> Option<Admitted> {
        let LookUp {
            batch,
            relay,
            salvaged,
            ..
        } = self.lookups.pop()?;
        if !batch.is_own() && self.check(cx, &batch.transactions).is_err() {
            self.lookups.forget_changes();
            if salvaged {
                self.tell_late(cx, &batch);
            }
            return relay.map(|from| Admitted::Impossible { from });
        }
        let version = self.queue.version();
        let Some(number) = self.queue.add(batch) else {
            self.lookups.forget_changes();
            return None;
        };
        self.lookups.admitted(version, &self.queue);
        relay.map(|from| Admitted::Waits { number, from })
    }

    /// Tells that a request of a desktop node's user came late: somebody else was first.
    fn tell_late<D: Disk>(&mut self, cx: &mut Cx<D>, batch: &Batch) {
        let [transaction] = &batch.transactions[..] else {
            return;
        };
        let held = cx.chain.items().get(&transaction.uid);
        let Some(held) = held.filter(|state| state.reserved) else {
            return;
        };
        let id = transaction.id();
        if self.late.as_slice().contains(&id) {
            return;
        }
        limits::Full::LateForgotten.when(self.late.is_full());
        self.late.write(id);
        let who = menu_name(&transaction.requester.to_string());
        let (verb, uid) = (verb(transaction), &transaction.uid);
        cx.effects.alert(format!(
            "[consensus] {who}'s {verb} of {uid} came late: it was taken at block {}",
            held.since
        ));
    }
}
