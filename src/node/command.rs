//! What users ask for, in the menu or by a program, and what they are told.

use super::answer::Answer;
use super::console::{
    ItemReport, Kept, Listing, Mode, PeerReport, Session, Status, TargetReport, UserCommand, micros,
};
use super::effects::Notice;
use super::event::{Action, ConnId, ConsoleKind, Millis, Summary};
use super::{Node, event_log, newer};
use crate::ledger::{ItemKey, Kind, Uid};
use crate::limits;
use crate::store::disk::Disk;

impl<D: Disk> Node<D> {
    /// Somebody can sit down.
    pub(super) fn open_console(&mut self, conn: ConnId, kind: ConsoleKind) {
        let port = self.listen.port();
        self.sessions.open(conn, kind, port, &self.early);
    }

    /// What there was to say before the first console opened is for the log and the ring as well.
    pub(super) fn log_early(&mut self) {
        for notice in core::mem::take(&mut self.early) {
            let event = format!("[store ⚠️] {notice}");
            self.events.keep_event(self.cx.now, &event);
            self.sessions.log(log::Level::Warn, &event);
        }
    }

    /// Carries out what the organs have to say, in its order.
    pub(super) fn deliver(&mut self) {
        let (now, ending) = (self.cx.now.mono, self.cx.ending.is_some());
        self.sessions.tell_counts(now, ending);
        while let Some(notice) = self.cx.effects.next_notice() {
            match notice {
                Notice::Event(event) => self.sessions.tell_event(self.cx.now.mono, &event),
                Notice::Alert(event) => {
                    self.events.keep_event(self.cx.now, &event);
                    self.sessions.tell_all(log::Level::Warn, &event);
                }
                Notice::Answer(session, answer) => self.sessions.answer(session, &answer),
                Notice::AnswerProgram(session, answer) => {
                    self.sessions.answer_program(session, &answer);
                }
            }
        }
    }

    /// Takes at most one line of input of each console; true if there are others.
    pub(super) fn take_input(&mut self) -> bool {
        let mut more = false;
        for at in 0..limits::CONSOLES {
            more |= self.take_input_of(at);
        }
        more
    }

    fn take_input_of(&mut self, at: usize) -> bool {
        self.deliver();
        if !self.is_ready(at) {
            return false;
        }
        let Some(session) = self.sessions.at_mut(at) else {
            return false;
        };
        if session.console.typing.is_at_end() {
            let standard = matches!(session.kind, ConsoleKind::Standard { .. });
            if standard && self.sessions.at(at).is_some_and(|it| !self.owes(it)) {
                self.begin_end();
            }
            return false;
        }
        let Some(command) = session.next_command(self.listen.port()) else {
            return false;
        };
        if let Some(command) = command {
            self.execute(at, command);
        }
        let control = self.sessions.at(at).is_some_and(Session::is_control);
        self.cx.effects.busy |= control;
        self.deliver();
        // Behind an answer that is complete the next line can be taken, and its end be told.
        self.is_ready(at) && self.sessions.at(at).is_some_and(Session::has_input)
    }

    /// Whether the next line may be taken; ends an answer that is complete.
    fn is_ready(&mut self, at: usize) -> bool {
        let Some(session) = self.sessions.at(at) else {
            return false;
        };
        let (now, owes) = (self.cx.now.mono, self.owes(session));
        let ending = self.cx.ending.is_some();
        let session = self.sessions.at_mut(at);
        session.is_some_and(|session| session.is_ready(now, owes)) && !ending
    }

    /// Whether something that was asked for at this console is not done yet. A menu's user need not
    /// wait for the chains of the peers.
    fn owes(&self, session: &Session) -> bool {
        let mut peers = self.peers.iter();
        self.mempool.queue.owes(session.id)
            || self.links.owes(session.id)
            || (session.is_control() && peers.any(|(_, peer)| peer.asked_by.contains(&session.id)))
    }

    /// Does what somebody wants.
    fn execute(&mut self, at: usize, command: UserCommand) {
        match command {
            UserCommand::Change(kind, items) => self.change(at, kind, items),
            UserCommand::List { reserved } => self.list(at, reserved),
            UserCommand::Connect(host, port) => self.connect(at, host, port),
            UserCommand::Peers => self.list_peers(at),
            UserCommand::SyncChain => self.ask_all(at),
            UserCommand::Status => self.report(at),
            UserCommand::Events => self.list_events(at),
            UserCommand::Exit => self.begin_end(),
        }
    }

    fn connect(&mut self, at: usize, host: String, port: u16) {
        let now = self.cx.now.mono;
        if let Some(session) = self.sessions.at_mut(at) {
            session.menu.wait(now);
            self.links.dial(&mut self.cx, session.id, host, port);
        }
    }

    /// Makes what the user asks for a block, if the items allow it.
    fn change(&mut self, at: usize, kind: Kind, items: Vec<Uid>) {
        let waiting = self.mempool.queue.iter();
        let waiting = waiting.flat_map(|batch| &batch.transactions);
        let times = self.wall.times(&mut self.cx, kind, &items, waiting);
        let sign = |(item, time)| self.identity.sign(kind, item, time);
        let request: Vec<_> = items.into_iter().zip(times).map(sign).collect();
        let now = self.cx.now.mono;
        let Some(session) = self.sessions.at_mut(at) else {
            return;
        };
        session.menu.wait(now);
        let id = Some(session.id);
        if let Some(fault) = self.cx.chain.fault() {
            let text = format!("nothing was changed: {fault}; start blx again once that is fixed.");
            self.cx.effects.answer(id, Answer::Refused(text));
        } else if let Err(error) = self.mempool.check(&self.cx, &request) {
            self.mempool.refuse(&mut self.cx, id, &error, &request);
        } else {
            self.mempool.add_request(now, id, request);
        }
    }

    /// Every peer is asked, whatever it has told; how that ends is said of each.
    fn ask_all(&mut self, at: usize) {
        let now = self.cx.now.mono;
        let Some(session) = self.sessions.at_mut(at) else {
            return;
        };
        let (mut names, mut newer) = (Vec::new(), Vec::new());
        for (conn, peer) in self.peers.iter_mut() {
            peer.unfollowed = None;
            if !peer.asked_by.contains(&session.id) {
                peer.asked_by.push(session.id);
            }
            match peer.is_newer() {
                true => newer.push(conn),
                false => names.push(peer.remote.to_string()),
            }
            peer.ask(now);
        }
        if names.is_empty() && newer.is_empty() {
            return session.refuse("no peers are connected.");
        }
        if !names.is_empty() {
            session.say(&Answer::Asked(names));
        }
        if session.is_control() {
            let until = Millis(now.0 + 2 * limits::ANSWER_MAX_MS);
            session.menu.wait_until(Some(until));
        }
        for conn in newer {
            // What it would tell is known.
            let (effects, outcome) = (&mut self.cx.effects, format!("it {}", newer::WHAT));
            self.peers.tell_outcome(effects, conn, &outcome);
        }
    }

    /// How the node is, in short.
    pub fn summary(&self) -> Summary {
        Summary {
            height: self.cx.chain.tip().length.saturating_sub(1),
            peers: self.peers.count(),
            ending: self.cx.ending.is_some(),
            ok: self.is_ok(),
        }
    }

    /// Whether blocks are written, and all of them can be read.
    fn is_ok(&self) -> bool {
        self.cx.chain.fault().is_none() && self.monitor.damage(&self.cx).is_none()
    }

    fn report(&mut self, at: usize) {
        let chain = &self.cx.chain;
        let (tip, items, syncs) = (chain.tip(), chain.items(), chain.syncs());
        let status = Status {
            ok: self.is_ok(),
            writing_stopped: chain.fault().map(ToString::to_string),
            damage: self.monitor.damage(&self.cx),
            blocks: tip.length,
            reserved: items.reserved(),
            available: items.available(),
            peers: self.peers.count(),
            tip: tip.hash.to_string(),
            file_bytes: chain.bytes(),
            garbage_bytes: chain.stale_bytes(),
            last_sync_us: micros(syncs.last),
            slowest_sync_us: micros(syncs.slowest),
            verified: self.monitor.scrub_report(&self.cx),
            clock_not_set: self.wall.doubt(&self.cx),
            unclean_stops: self.unclean_stops,
            key: self.identity.public().to_string(),
        };
        if let Some(session) = self.sessions.at_mut(at) {
            session.say(&status);
            if let Mode::Control(asked) = &mut session.menu.mode {
                asked.not_ok = !status.ok;
            }
        }
    }

    fn list(&mut self, at: usize, reserved: bool) {
        let items = self.cx.chain.items();
        let (count, what) = match reserved {
            true => (items.reserved(), "reserved"),
            false => (items.available(), "available"),
        };
        let Some(session) = self.sessions.at_mut(at) else {
            return;
        };
        if !session.wants_json() {
            session.say(&format!("{what} items: {count}"));
        }
        let last = None;
        session.menu.listing = Some(Listing { reserved, last });
    }

    /// Writes the next items of a list.
    fn go_on_listing(&mut self, at: usize, listing: Listing, budget: u64) {
        let Listing { reserved, mut last } = listing;
        let before = last;
        let mut found = Vec::new();
        let items = self.cx.chain.items().after(before.as_ref());
        for (key, state) in items.take(limits::BLOCKS_PER_TURN) {
            last = Some(*key);
            if state.reserved == reserved {
                found.push((*key, state.since));
            }
            if found.len() == limits::ITEMS_PER_TURN {
                break;
            }
        }
        let mut found = found.into_iter().peekable();
        while let Some((key, since)) = found.next() {
            let item = self.describe(&key, reserved, since);
            let Some(session) = self.sessions.at_mut(at) else {
                return;
            };
            session.say(&item);
            // A name can be as long as a block, and so is what is read to tell of it: the others wait
            // until this one is written, or for the next call.
            let waits = limits::Full::ListWaits.when(!session.console.has_room());
            let waits = waits || self.cx.chain.is_over(budget);
            if waits && found.peek().is_some() {
                last = Some(key);
                break;
            }
        }
        if let Some(session) = self.sessions.at_mut(at).filter(|_| last != before) {
            session.menu.listing = Some(Listing { reserved, last });
        }
    }

    /// A long name is read from the block that changed the item last.
    fn describe(&mut self, key: &ItemKey, reserved: bool, since: u64) -> ItemReport {
        let ours = self.identity.public();
        let last = self.cx.chain.read(since).map(|stored| {
            let last = stored.last_change(|uid| ItemKey::of(uid) == *key);
            last.cloned()
        });
        ItemReport::of(key, (reserved, since), last, ours)
    }

    fn list_peers(&mut self, at: usize) {
        let now = self.cx.now.mono;
        let peers: Vec<PeerReport> = self
            .peers
            .iter()
            .filter(|(conn, _)| {
                let desktop = self.peers.desktop_at(*conn).is_some();
                !desktop || self.peers.voice_of(now, *conn) == *conn
            })
            .map(|peer| PeerReport::of(&mut self.cx, &self.peers, &self.desktops, peer))
            .collect();
        let targets = self.links.targets.iter();
        let targets = targets.filter_map(|target| TargetReport::of(now, target));
        let targets: Vec<TargetReport> = targets.collect();
        let Some(session) = self.sessions.at_mut(at) else {
            return;
        };
        if peers.is_empty() && targets.is_empty() && !session.wants_json() {
            session.say(&"no peers are connected.");
        }
        peers.iter().for_each(|peer| session.say(peer));
        targets.iter().for_each(|target| session.say(target));
    }

    /// What happened lately, also to earlier runs.
    fn list_events(&mut self, at: usize) {
        let events = event_log::recent(self.cx.chain.disk());
        let Some(session) = self.sessions.at_mut(at) else {
            return;
        };
        if events.is_empty() && !session.wants_json() {
            session.say(&"no events are kept.");
        }
        for event in &events {
            session.say(&Kept { event });
        }
    }

    /// Shows how far a long transfer is, and forgets one that has ended.
    pub(super) fn tend_progress(&mut self) {
        let (now, tip) = (self.cx.now.mono, self.cx.chain.tip());
        let Some(conn) = self.sync.progress.conn() else {
            return;
        };
        let peer = self.peers.get(conn);
        let more = peer.is_some_and(|peer| peer.asked.is_some() && peer.is_ahead_of(&tip));
        let here = self.sync.conn() == Some(conn) || self.sync.is_reorg();
        if !more && !here {
            self.sync.progress.end();
            return self.sessions.end_progress();
        }
        if let Some((text, lines)) = self.sync.progress.text(now) {
            let [shown, terminal] = self.sessions.show_progress(&text, lines);
            self.sync.progress.shown(now, lines, terminal);
            if lines && !shown {
                log::info!("{text}");
            }
        }
    }

    /// Writes what waits for each console: an answer, else events, and the question behind them.
    pub(super) fn fill_consoles(&mut self) {
        let budget = self.cx.chain.budget();
        for at in 0..limits::CONSOLES {
            while let Some(session) = self.sessions.at_mut(at)
                && session.console.has_room()
                && !self.cx.chain.is_over(budget)
                && let Some(listing) = session.menu.listing.take()
            {
                self.go_on_listing(at, listing, budget);
                // Behind the list's end the next line can be taken.
                let session = self.sessions.at(at);
                self.cx.effects.busy |= session.is_some_and(|it| it.menu.listing.is_none());
            }
            let goes_on = |it: &Session| it.menu.listing.is_some() && it.console.has_room();
            let over = self.sessions.at(at).is_some_and(goes_on);
            self.cx.effects.busy |= limits::Full::TurnListed.when(over);
            let ending = self.cx.ending.is_some();
            if let Some(session) = self.sessions.at_mut(at) {
                session.fill(ending);
            }
        }
    }

    /// Closes the sockets of those who have left and were told everything, or hold one for nothing.
    pub(super) fn let_go(&mut self) {
        for conn in self.sessions.let_go(self.cx.now.mono) {
            self.cx.effects.act(Action::Hangup { conn });
        }
    }

    pub(super) fn stop(&mut self) {
        match self.cx.ending {
            None => self.begin_end(),
            // Whoever asks twice does not want to wait.
            Some(_) => self.cx.ending = Some(self.cx.now.mono),
        }
    }

    /// Ends the node when everything that was promised is done and told.
    fn begin_end(&mut self) {
        if self.cx.ending.is_none() {
            self.cx.ending = Some(Millis(self.cx.now.mono.0 + limits::FAREWELL_MS));
        }
    }

    pub(super) fn end(&mut self) {
        let Some(latest) = self.cx.ending else { return };
        let told = self.sessions.are_idle() && self.peers.iter().all(|(_, peer)| peer.is_told());
        let done = !self.mempool.has_own() && !self.sync.is_reorg();
        let over = self.cx.now.mono >= latest;
        if over && !done && !core::mem::replace(&mut self.gave_up, true) {
            self.mempool.save_undone(&mut self.cx);
            self.mempool.report_unfinished(&mut self.cx);
            // Those who wait for it are to hear that.
            self.cx.ending = Some(Millis(self.cx.now.mono.0 + limits::LAST_WORDS_MS));
            self.cx.effects.busy = true;
        } else if over || ((done || self.gave_up) && told) {
            self.mempool.save(&mut self.cx);
            self.links.save_book(&mut self.cx);
            let blocks = self.cx.chain.tip().length;
            self.events.keep_stop(self.cx.now, blocks);
            self.cx.effects.act(Action::Exit);
        }
    }
}
