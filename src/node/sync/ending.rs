//! How a candidate ends: it wins, it loses, or it was no valid chain.

use super::reorg::Reorg;
use super::salvage::Salvage;
use super::{ChainSync, State};
use crate::ledger::{Hash, RuleError, Tip};
use crate::limits;
use crate::node::desktop::Stand;
use crate::node::desktops::Desktops;
use crate::node::effects::{Cx, Fault};
use crate::node::event::Millis;
use crate::node::peers::Peers;
use crate::store::disk::{Disk, DiskError};

/// A chain that was complete and won.
pub struct Winner {
    /// It is as long as ours.
    equal: bool,
    /// There is more of it behind this.
    more: Option<Tip>,
    /// What its desktop node never said, if that shows.
    unsaid: Option<Hash>,
}

impl ChainSync {
    /// A peer's chain, or a partial response, is complete. In that case `told` is the length that
    /// the peer says its chain has. A chain that won is to be put in place.
    pub fn chain_end<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        told: Option<u64>,
        drops: bool,
    ) -> Option<Winner> {
        let (now, ours) = (cx.now.mono, cx.chain.tip());
        let end = self.end_of(conn);
        let length = end.map(|end| end.length);
        let peer = peers.get_mut(conn)?;
        let asked = peer.asked.take();
        let is_desktop = peer.desktop().is_some();
        let told_before = peer
            .desktop()
            .is_some_and(|desktop| desktop.has_told(now, asked, end));
        Desktops::compare_twin(cx, peers, conn);
        let branch = length.and_then(|_| cx.chain.branch_tip());
        // While there is a hole, what is behind it counts too.
        let whole = cx.chain.hole().unwrap_or(0);
        // Equally long, a desktop node's chain made again would win by chance, and so would ours in
        // the next turn.
        let beats = |tip: &Tip| match is_desktop {
            true => tip.length > ours.length || (tip.beats(&ours) && ours.length == 1),
            false => tip.beats(&ours),
        };
        let wins = branch.is_some_and(|tip| beats(&tip) && tip.length > whole);
        let extends = cx.chain.branch_fork() == Some(ours.length);
        if let (Some(length), Some(told)) = (length, told)
            && length < told
            && told >= ours.length
            && !(wins && extends)
        {
            self.go_on(cx, peers, conn);
            return None;
        }
        let equal = branch.is_some_and(|tip| tip.length == ours.length);
        let rival = self.pace.rival();
        if wins && equal && now < rival {
            self.drop(cx, peers, conn, None);
            if let Some(peer) = peers.get_mut(conn) {
                peer.put_off(now, rival);
            }
            return None;
        }
        if wins {
            let more = told.is_some_and(|told| length.is_some_and(|length| length < told));
            let unsaid = told_before && (extends || ours.length == 1);
            return Some(Winner {
                equal,
                more: branch.filter(|_| more),
                unsaid: end.filter(|_| unsaid).map(|end| end.hash),
            });
        }
        self.lose(cx, peers, conn, told, drops);
        None
    }

    /// A chain that won is put in place.
    pub fn win<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize, winner: Winner) {
        let Winner {
            equal,
            more,
            unsaid,
        } = winner;
        let goes_on = more.map(|tip| (tip.length, tip.hash));
        self.adopt(cx, Reorg::new(Some(conn), equal, goes_on));
        step_in(cx, peers, conn);
        if more.is_some()
            && let Some(peer) = peers.get_mut(conn)
        {
            // It can send while we write.
            let (now, at) = (cx.now.mono, self.pace.next());
            match at <= now {
                true => peer.ask(now),
                false => peer.put_off(now, at),
            }
        }
        if let Some(hash) = unsaid {
            peers.note_unsaid(cx.now.mono, conn, &hash);
        }
    }

    /// A chain, or a partial response, is complete and does not win.
    pub fn lose<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        told: Option<u64>,
        drops: bool,
    ) {
        let (now, ours, end) = (cx.now.mono, cx.chain.tip(), self.end_of(conn));
        let Some(peer) = peers.get_mut(conn) else {
            return;
        };
        if let Some(told) = told
            && end.is_none()
            && told <= ours.length
        {
            // It has nothing for us, whatever it said before.
            peer.tip = peer.tip.filter(|tip| !tip.beats(&ours));
        }
        let ask_again = peer.seen >= ours.length && peer.desktop().is_none();
        self.kept(cx, peers, conn, end.map(|end| end.length), told);
        let differs = end.is_some_and(|end| end.forked && !end.same);
        self.leave(cx, peers, conn, differs && !drops);
        if let Some(peer) = peers.get_mut(conn).filter(|_| ask_again) {
            peer.ask(now);
        }
    }

    /// The rest of a chain is asked for.
    fn go_on<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize) {
        if let State::Candidate(candidate) = &mut self.state {
            candidate.continued = true;
        }
        if let Some(peer) = peers.get_mut(conn) {
            peer.ask(cx.now.mono);
        }
    }

    /// Deals with a chain that does not win: if its content differs from ours, it is read for what
    /// ours lacks.
    fn leave<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize, salvages: bool) {
        if salvages && cx.chain.hole().is_none() {
            let salvage = peers.desktop_at(conn).map(|_| conn);
            self.read_on(Salvage::new(cx.chain.staged(), salvage));
            cx.effects.busy = true;
        } else {
            self.forget(cx, peers, conn);
        }
    }

    /// Tells the user who asked that our chain stays.
    fn kept<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        length: Option<u64>,
        told: Option<u64>,
    ) {
        let (ours, length) = (cx.chain.tip(), told.or(length).unwrap_or(0));
        let shared = !matches!(&self.state, State::Candidate(candidate) if candidate.forked);
        let Some(peer) = peers.get_mut(conn) else {
            return;
        };
        peer.from = None;
        if peer.asked_by.is_empty() {
            return;
        }
        cx.effects.notify(format!(
            "[consensus 📡] received chain (length {length}) vs ours (length {})",
            ours.length
        ));
        cx.effects
            .notify("[consensus ℹ️] kept current chain (already longest)");
        let outcome = match shared && length == ours.length {
            true => "it has the same chain".into(),
            false => format!("ours is kept, its chain has {length} blocks"),
        };
        peers.tell_outcome(&mut cx.effects, conn, &outcome);
    }

    /// Forgets the candidate of a connection, if it has one. `why` is told to a user who asked for it.
    pub fn drop<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        why: Option<&str>,
    ) {
        self.forget(cx, peers, conn);
        if let Some(peer) = peers.get_mut(conn) {
            (peer.asked, peer.from) = (None, None);
        }
        if let Some(why) = why {
            peers.tell_outcome(&mut cx.effects, conn, why);
        }
    }

    /// Another chain waits, and this one has kept it waiting for long enough. What has come of it is
    /// kept where it would win by itself.
    pub fn lose_turn<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize) {
        let (now, ours) = (cx.now.mono, cx.chain.tip());
        let branch = cx.chain.branch_tip();
        let keeps = branch.is_some_and(|tip| tip.length > ours.length)
            && cx.chain.hole().is_none()
            && cx.chain.fault().is_none();
        if keeps {
            self.adopt(cx, Reorg::new(None, false, None));
        } else {
            self.forget(cx, peers, conn);
        }
        if let Some(peer) = peers.get_mut(conn) {
            peer.skip();
            peer.from = None;
            if let Some(until) = self.turns.waits(now, conn, peer) {
                peer.put_off(now, until);
            }
            log::info!("{}: its chain comes slowly, and others wait", peer.remote);
        }
        peers.tell_outcome(
            &mut cx.effects,
            conn,
            "its chain comes slowly, and others wait",
        );
    }

    /// The same, and what is still to come of its chain is passed over.
    fn drop_rest<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize, why: &str) {
        self.drop(cx, peers, conn, Some(why));
        if let Some(peer) = peers.get_mut(conn) {
            peer.skip();
        }
    }

    /// A chain, or a block, is beyond what this node follows, through no fault of the peer.
    fn not_followed<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        limit: &RuleError,
    ) {
        let now = cx.now.mono;
        let whole = self.conn() == Some(conn);
        self.drop(
            cx,
            peers,
            conn,
            Some(&format!("its chain is not followed: {limit}")),
        );
        let until = Some(Millis(now.0 + limits::UNFOLLOWED_MS));
        if let Some(peer) = peers.get_mut(conn) {
            if whole {
                peer.skip();
            }
            (peer.deferred, peer.unfollowed) = (None, until);
        }
        if self.unfollowed.is_none_or(|told| now >= told) {
            self.unfollowed = until;
            let way = match limit {
                RuleError::TooManyItems(_) => cx.ways.items_max,
                _ => cx.ways.staging_max,
            };
            cx.effects.alert(format!(
                "[consensus ⚠️] a peer's chain is not followed: {limit} ({way})."
            ));
        }
    }

    /// A chain could not be looked at, through no fault of the peer.
    fn failed<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        error: &DiskError,
    ) {
        self.drop_rest(cx, peers, conn, "its chain was not looked at");
        cx.effects.alert(format!(
            "[store ❌] a peer's chain was not looked at: {error}."
        ));
    }

    /// What a peer said comes to nothing. The rule that it broke, if that is why.
    pub fn fails<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        fault: Fault,
    ) -> Option<String> {
        match fault {
            Fault::Rule(reason) => return Some(reason),
            Fault::ChainRule(reason) => {
                self.invalid(cx, peers, conn, &reason);
                return Some(reason);
            }
            Fault::Limit(limit) => self.not_followed(cx, peers, conn, &limit),
            Fault::Disk(error) => self.failed(cx, peers, conn, &error),
        }
        None
    }

    /// A chain breaks a rule.
    fn invalid<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize, reason: &str) {
        self.drop_rest(cx, peers, conn, &format!("its chain is invalid, {reason}"));
        if let Some(peer) = peers.get_mut(conn) {
            // What it says of its chain is not worth asking for.
            peer.tip = None;
        }
        cx.effects.notify(format!(
            "[consensus ❌] peer chain failed validation: {reason}"
        ));
    }
}

/// A desktop node whose chain we take has the same blocks as we do. If it has more that do not link,
/// its monitor has to cut these first, which only its next chain proves.
fn step_in<D: Disk>(cx: &Cx<D>, peers: &mut Peers, conn: usize) {
    let length = cx.chain.branch_tip().map(|tip| tip.length);
    if let Some(length) = length
        && let Some(desktop) = peers.desktop_of(conn)
    {
        desktop.proven &= !matches!(desktop.stand, Stand::Spoiled(..));
        desktop.stand = Stand::Same(length);
    }
}
