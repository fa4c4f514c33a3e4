//! The machine: it is told what happened and when, and answers with bytes to send and a few
//! actions. It reads no clock, no random source and no socket of its own.
//!
//! Four files see all of it: this one has the law of driving, `gossip` what peers say and how they
//! come and go, `meeting` how it becomes known who they are, `command` what users ask for. Every other
//! one is an organ: it owns its state, gets what else it needs as arguments, and leaves what it wants
//! done in `effects`. The lowest stands first; each may know those that stand before it, their fields
//! too (`tests/house.rs`):
//!
//! | organ | is |
//! | --- | --- |
//! | `event` | the words between the machine and whoever drives it |
//! | `answer` | how something ended that a user asked for |
//! | `addresses` | how others spell addresses |
//! | `effects` | the machine as its organs see it, and what they want done |
//! | `clock`, `event_log` | the time of day; what happened, over restarts |
//! | `desktop`, `peer`, `liveness` | what is known of a desktop node; one connection; whether it is alive |
//! | `peers`, `twins`, `newer` | all connections: which lead to one desktop node, which to one with credits |
//! | `mempool` | what is in no block yet, and the blocks that are made of it |
//! | `links` | whom to dial, who has a place, who is left alone |
//! | `desktops` | which of ours speaks to a desktop node, and what it is told |
//! | `sync` | another chain: a candidate, a reorg, what is salvaged of one that lost |
//! | `monitor` | damage in the chain file, its repair and upkeep |
//! | `console` | sessions: what is typed, understood and shown |
//! | `outbox` | what is sent |

mod addresses;
mod answer;
mod clock;
mod command;
mod console;
mod desktop;
mod desktops;
mod effects;
mod event;
mod event_log;
mod gossip;
mod links;
mod liveness;
mod meeting;
mod mempool;
mod monitor;
mod newer;
mod outbox;
mod peer;
mod peers;
mod sync;
mod twins;

use core::net::SocketAddr;

use crate::ledger::{Identity, Nonces, Tally, Timestamp, Verifier, Who, tally};
use crate::limits;
use crate::store::bounds::Bounds;
use crate::store::disk::Disk;
use crate::store::keys;
use crate::store::log::Log;
use crate::wire::write::Outgoing;
use clock::WallClock;
use console::Sessions;
use desktops::Desktops;
use effects::{Cx, Effects, Jitter};
pub use event::{
    Action, CONSOLE, Clock, Config, ConnId, ConsoleKind, Event, Millis, Network, OpenError,
    Summary, Ways,
};
use event_log::EventLog;
use links::Links;
use mempool::Mempool;
use monitor::{Monitor, Surroundings};
use outbox::Outbox;
use peers::Peers;
use sync::ChainSync;

/// The node.
pub struct Node<D> {
    cx: Cx<D>,
    identity: Identity,
    listen: SocketAddr,

    peers: Peers,
    links: Links,
    sync: ChainSync,
    desktops: Desktops,
    mempool: Mempool,
    sessions: Sessions,

    /// Events from before the first console, until all are open that open at the start.
    early: Vec<String>,
    /// The connection that is read next.
    turn: usize,
    outbox: Outbox,
    /// Bytes of text that were understood in this call.
    read_bytes: usize,
    /// It ends although something is not done.
    gave_up: bool,
    monitor: Monitor,
    unclean_stops: u32,
    events: EventLog,
    wall: WallClock,
    /// What the last call of `handle` did.
    tally: Tally,
}

impl<D: Disk> Node<D> {
    /// Opens the data directory's files, or makes them.
    pub fn open(mut disk: D, clock: Clock, config: Config) -> Result<Node<D>, OpenError> {
        let identity = keys::identity(&mut disk, &config.secret).map_err(OpenError::Key)?;
        let own = Who::new(identity.public(), config.id);
        let time = Timestamp::from_micros(clock.wall);
        let (mut log, recovery) =
            Log::open(disk, config.difficulty, time).map_err(OpenError::Chain)?;
        let mut early: Vec<String> = recovery.notice().into_iter().collect();
        let (items, staging) = (config.items_max, config.staging_max);
        log.set_bounds(Bounds { items, staging });
        if log.items().count() > items {
            let count = log.items().count();
            early.push(format!(
                "the chain has {count} items, more than {items} ({}): they stay, and no new ones are taken.",
                config.ways.items_max
            ));
        }
        let of = (config.listen, own);
        let links = Links::open(log.disk(), clock.mono, of, config.connect, &mut early);
        let of = (identity.public(), config.drop_disconnected);
        let mempool = Mempool::open(log.disk(), clock.mono, of, &mut early);
        let monitor = Monitor::new(clock.mono, config.scrub_every);
        let events = EventLog::new(clock, log.tip().length, config.unclean_stop);
        let sync = ChainSync::resume(log.take_last_reorg());
        let mut effects = Effects::default();
        effects.busy = true;
        Ok(Node {
            cx: Cx {
                now: clock,
                chain: log,
                verifier: Verifier::default(),
                jitter: Jitter::new(config.seed),
                nonces: Nonces::new(config.nonces),
                effects,
                checked: 0,
                ending: None,
                ways: config.ways,
            },
            identity,
            listen: config.listen,
            peers: Peers::default(),
            links,
            sync,
            desktops: Desktops::new(own.id),
            mempool,
            sessions: Sessions::default(),
            early,
            turn: 0,
            outbox: Outbox::new(own, config.listen),
            read_bytes: 0,
            gave_up: false,
            monitor,
            unclean_stops: config.unclean_stops,
            events,
            wall: WallClock::new(config.built),
            tally: Tally::default(),
        })
    }

    /// Tells what happened. Does a bounded piece of work: one event, one frame of one connection, some
    /// signatures, some nonces. Bad input never panics.
    pub fn handle(&mut self, clock: Clock, event: Event<'_>) {
        let before = tally::total();
        self.take_in(clock, event);
        self.tally = tally::total() - before;
    }

    /// What the last call of [`Node::handle`] did. However long a peer's frames are, none of it
    /// grows beyond what a small machine does in a fraction of a second.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn take_in(&mut self, clock: Clock, event: Event<'_>) {
        assert!(clock.mono >= self.cx.now.mono, "mono never goes back");
        // Our disk, or the system, kept us from looking after the time.
        let due = self.deadline().unwrap_or(clock.mono);
        let late = clock.mono.0.saturating_sub(due.0.max(self.cx.now.mono.0));
        self.cx.now = clock;
        if late >= limits::OWN_STALL_MS {
            self.peers.excuse(clock.mono, late);
            self.sync.excuse(clock.mono, late);
            self.desktops.note_stall(clock.mono, late);
        }
        if !matches!(event, Event::ConsoleOpened { .. }) {
            self.log_early();
        }
        let (links, cx, peers) = (&mut self.links, &mut self.cx, &mut self.peers);
        match event {
            Event::Tick => {}
            Event::Incoming { from } => self.incoming(from),
            Event::Connected {
                conn,
                local,
                remote,
            } => links.connected(cx, peers, conn, [local, remote]),
            Event::DialFailed { conn, reason } => links.dial_failed(cx, peers, conn, reason),
            Event::Networks { networks } => links.move_to(networks),
            Event::ConsoleOpened { conn, kind } => self.open_console(conn, kind),
            Event::Received { conn, count } => self.received(conn, count),
            Event::Sent { conn, count } => self.sent(conn, count),
            Event::Closed { conn, reason } => self.closed(conn, reason),
            Event::Stop => self.stop(),
        }
        self.tend();
        self.work();
        self.tend_desktops();
        self.deliver();
        self.tend_progress();
        self.sync.tend_waiting(&mut self.cx, &mut self.peers);
        self.mempool.save(&mut self.cx);
        self.deliver();
        let seen = (&self.mempool, &self.desktops.voices, &self.sync);
        self.outbox.fill(&mut self.cx, &mut self.peers, seen);
        self.fill_consoles();
        self.let_go();
        self.end();
        self.deliver();
        if let Err(error) = self.events.write(self.cx.chain.disk(), clock.mono) {
            log::warn!("{error}: no events are kept for an hour");
        }
    }

    /// Where the connection's next bytes go. Empty: do not read it now.
    pub fn rx_space(&mut self, conn: ConnId) -> &mut [u8] {
        if let Some(at) = conn.console() {
            let session = self.sessions.at_mut(at);
            return session.map_or(&mut [], |session| session.console.typing.space());
        }
        match self.peers.get_mut(usize::from(conn.0)) {
            Some(peer) if peer.held.is_none() && peer.gone.is_none() => peer.reader.space(),
            _ => &mut [],
        }
    }

    /// The bytes to send. Empty: nothing to send now.
    pub fn tx_pending(&self, conn: ConnId) -> &[u8] {
        if let Some(at) = conn.console() {
            let session = self.sessions.at(at);
            return session.map_or(&[], |session| session.console.pending());
        }
        match self.peers.get(usize::from(conn.0)) {
            Some(peer) if peer.gone.is_none() => peer.writer.pending(),
            _ => &[],
        }
    }

    /// The next thing to do; called until `None` after each event.
    pub fn poll(&mut self) -> Option<Action> {
        self.cx.effects.next_action()
    }

    /// When to call `handle` with `Tick` at the latest; now or past: work is waiting.
    pub fn deadline(&self) -> Option<Millis> {
        if self.cx.effects.busy {
            return Some(self.cx.now.mono);
        }
        let conns = self.peers.iter().map(|(_, peer)| peer.deadline());
        let free = self.sync.is_free();
        let reorg = self.sync.is_reorg();
        let chains = self.peers.iter();
        let chains = chains.filter_map(|(_, peer)| peer.deferred.filter(|_| free));
        conns
            .chain(chains)
            .chain(self.sync.due())
            .chain(
                self.desktops
                    .due(&self.cx, &self.peers, &self.mempool, free, reorg),
            )
            .chain(self.mempool.due(&self.cx, self.catching_up()))
            .chain(self.links.due(&self.cx, &self.peers))
            .chain(self.sync.progress.due())
            .chain(self.monitor.due(&self.cx, self.mempool.has_own()))
            .chain(self.sessions.due())
            .chain(self.cx.ending)
            .min()
    }

    fn received(&mut self, conn: ConnId, count: usize) {
        if let Some(at) = conn.console() {
            if let Some(session) = self.sessions.at_mut(at) {
                session.console.typing.received(count);
            }
        } else if let Some(peer) = self.peers.get_mut(usize::from(conn.0)) {
            if !peer.reader.mid_line() {
                peer.framed = self.cx.now.mono;
            }
            peer.reader.received(count);
            peer.hear(self.cx.now.mono);
        }
    }

    fn sent(&mut self, conn: ConnId, count: usize) {
        if let Some(at) = conn.console() {
            if let Some(session) = self.sessions.at_mut(at) {
                session.console.advance(count);
            }
        } else if let Some(peer) = self.peers.get_mut(usize::from(conn.0)) {
            peer.writer.advance(count);
            peer.flowed = self.cx.now.mono;
        }
    }

    /// One turn of everything that can be waiting.
    fn work(&mut self) {
        self.cx.effects.busy = false;
        if self.sync.is_reorg() {
            self.peers.excuse_unread(self.cx.now.mono);
            self.step();
            self.cx.effects.busy = true;
        } else {
            let assembles = self.wants_block(self.catching_up());
            let salvages = self.may_salvage() && self.sync.salvages(assembles);
            if salvages {
                self.step();
            }
            self.cx.effects.busy |= self.may_salvage() || salvages;
            self.mempool.look_up_some(&mut self.cx, &mut self.peers);
            self.cx.effects.busy |= self.mempool.restore_some(&mut self.cx);
            self.cx.effects.busy |= self.read_some();
            if !self.sync.is_reorg() && !salvages {
                self.make_block();
            }
        }
        self.drop_gone();
        self.cx.effects.busy |= self.take_input();
        // The line just taken may have asked for something.
        self.cx.effects.busy |= self.wants_block(self.catching_up());
        // A block may have made room for more of it.
        self.cx.effects.busy |= self.may_salvage();
        if !self.cx.effects.busy && self.cx.ending.is_none() {
            let outside = self.mempool.waits_outside();
            self.cx.effects.busy = self.monitor.upkeep(&mut self.cx, outside);
        }
    }

    /// Whether a chain that lost is being read, and there is room for what is in it.
    fn may_salvage(&self) -> bool {
        self.sync.is_salvage() && !self.sync.waits_for_room(&self.mempool)
    }

    /// Until when a longer chain of one of ours comes in, if one does.
    fn catching_up(&self) -> Option<Millis> {
        self.sync.catching_up(&self.cx, &self.peers)
    }

    fn wants_block(&self, ahead: Option<Millis>) -> bool {
        self.cx.may_append() && self.mempool.wants_block(&self.cx, ahead)
    }

    /// Goes on making a block of what waits, if that is wanted.
    fn make_block(&mut self) {
        let ahead = self.catching_up();
        if !self.wants_block(ahead) {
            return;
        }
        if self.cx.chain.fault().is_some() {
            self.mempool.give_up(&mut self.cx);
            return self.drop_making();
        }
        if self.mempool.is_stale(&self.cx) {
            self.drop_making();
        }
        let Some(made) = self.mempool.make(&mut self.cx, ahead) else {
            return;
        };
        let message = match made.awaited {
            true => Outgoing::OwnBlock,
            false => Outgoing::Block,
        };
        if made.awaited {
            self.desktops.made_own(made.height);
        }
        self.peers.relay(message(made.height), made.from);
        self.tip_changed();
        if let Some(conn) = made.from {
            self.sync.pace.spend(self.cx.now.mono, 1);
            let (desktops, now) = (&mut self.desktops, self.cx.now.mono);
            desktops.followed(now, &mut self.peers, conn, made.height);
        }
    }

    /// Reads a frame of each connection in turn, until as much was done as goes into one call; true if
    /// there may be more.
    fn read_some(&mut self) -> bool {
        (self.cx.checked, self.read_bytes) = (0, 0);
        let budget = self.cx.chain.budget();
        for _ in 0..limits::FRAMES_PER_TURN {
            let first = self.turn;
            let mut conns = (0..limits::PEERS).map(|step| (first + step) % limits::PEERS);
            let Some(conn) = conns.find(|conn| self.read(*conn)) else {
                return false;
            };
            self.turn = conn + 1;
            self.cx.checked += self.mempool.queue.take_applied() / limits::APPLIED_PER_SIGNATURE;
            let checked = self.cx.checked >= limits::SIGNATURES_PER_TURN;
            if limits::Full::TurnSignatures.when(checked)
                || limits::Full::TurnText.when(self.read_bytes >= limits::TEXT_PER_TURN)
                || limits::Full::TurnRecords.when(self.cx.chain.is_over(budget))
                || self.sync.is_reorg()
            {
                return true;
            }
        }
        limits::Full::TurnFrames.ran();
        true
    }

    /// The chain has a new end: what was being made on the old one is begun again, what is looked
    /// for may be in it, and it is longer already.
    fn tip_changed(&mut self) {
        self.drop_making();
        self.mempool.tip_changed(&mut self.cx);
        self.wall.tip_changed(&mut self.cx);
    }

    /// Looks after everything that waits for a time.
    pub(super) fn tend(&mut self) {
        let now = self.cx.now.mono;
        for conn in self.peers.conns() {
            let verdict = self.peers.get_mut(conn).and_then(|peer| peer.tend(now));
            if let Some(reason) = verdict {
                self.hang_up(conn, reason, None);
            }
            self.sync.tend_question(&mut self.cx, &mut self.peers, conn);
        }
        for conn in self.peers.conns() {
            if let Some(block) = self.peers.take_late(now, conn) {
                self.desktop_block(conn, block);
            }
            self.peers.tend_newer(now, conn);
        }
        self.peers.tend_quiet(now);
        if let Some(conn) = self.sync.tend(&self.cx, &mut self.peers) {
            self.hang_up(conn, "its chain comes too slowly", None);
        }
        if self.mempool.making.is_none() {
            self.mempool.queue.expire(now);
        }
        let beside = Surroundings {
            waits: self.mempool.has_own(),
            free: self.sync.is_free(),
            calls: !self.links.targets.is_empty(),
        };
        if self.monitor.tend(&mut self.cx, &mut self.peers, beside) {
            self.tip_changed();
        }
        self.tend_links();
    }

    /// The block that was being made will not be.
    pub(super) fn drop_making(&mut self) {
        let (desktops, cx) = (&mut self.desktops, &mut self.cx);
        desktops.drop_making(cx, &mut self.peers, &mut self.mempool);
    }

    /// Speaks to desktop nodes, and to the others of ours about them.
    pub(super) fn tend_desktops(&mut self) {
        let settled = self.sync.is_free() || self.sync.is_salvage();
        self.desktops
            .tend_voices(&mut self.cx, &mut self.peers, settled);
        if self.cx.ending.is_some() || self.sync.is_reorg() {
            return;
        }
        let now = self.cx.now.mono;
        if self.cx.chain.fault().is_none() {
            let mut from = 0;
            while let Some([conn, voice]) = self.peers.next_twin(now, from) {
                let busy = self.peers.is_busy(conn);
                self.retire(conn, voice);
                if let Some(desktop) = self.peers.desktop_of(voice).filter(|_| busy) {
                    desktop.quiet = Millis(now.0 + limits::DESKTOP_QUIET_MS);
                }
                from = conn + 1;
            }
            Desktops::dial_deaf(now, &mut self.peers, &mut self.links);
        }
        let (desktops, cx, free) = (&mut self.desktops, &mut self.cx, self.sync.is_free());
        desktops.tell(cx, &mut self.peers, &mut self.mempool, free);
    }

    /// Goes on with a reorg, or with a chain that lost.
    pub(super) fn step(&mut self) {
        let (now, of) = (self.cx.now.mono, self.sync.salvages_of());
        let due = of.map(|conn| self.desktops.salvage_due(now, &self.peers, conn));
        let (cx, peers) = (&mut self.cx, &mut self.peers);
        if let Some(reorged) = self.sync.step(cx, peers, &mut self.mempool, due) {
            self.tip_changed();
            reorged.announce(&mut self.cx, &mut self.peers);
        }
    }
}

#[cfg(test)]
mod jitter_tests;
