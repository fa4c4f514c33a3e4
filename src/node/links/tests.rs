//! Who comes, goes and is dialed, without a node around it.

use super::*;
use crate::node::effects::Notice;
use crate::node::effects::testing::who;
use crate::node::peer::Kind;
use crate::store::address_book::{self, Entry};
use crate::store::disk::memory::MemoryDisk;

/// The number that this node drew.
const OWN_ID: u64 = 50;
pub(super) const ASKER: SessionId = SessionId(7);
const LAN: &str = "10.0.0.9:6000";

/// The links, and as much of a node as drives them.
pub(super) struct World {
    pub cx: Cx<MemoryDisk>,
    pub peers: Peers,
    pub links: Links,
}

pub(super) fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn split(name: &str) -> (String, u16) {
    let (host, port) = name.rsplit_once(':').expect("a port");
    (host.into(), port.parse().expect("a number"))
}

impl World {
    /// Of a node that keeps these.
    pub fn new(connect: &[&str]) -> World {
        World::with_book(connect, &[])
    }

    /// The same, and its address book has these.
    pub fn with_book(connect: &[&str], known: &[&str]) -> World {
        let mut cx = Cx::on(MemoryDisk::default(), 0);
        let entries = known.iter().map(|text| Entry {
            address: at(text),
            source: at(text).ip(),
            proven: true,
        });
        address_book::write(cx.chain.disk(), &entries.collect::<Vec<_>>()).expect("written");
        let (now, of) = (cx.now.mono, (at("0.0.0.0:6000"), who(OWN_ID)));
        let connect = connect.iter().copied().map(split).collect();
        let mut notices = Vec::new();
        let mut links = Links::open(cx.chain.disk(), now, of, connect, &mut notices);
        links.move_to(&[Network {
            address: at("10.0.0.1:1").ip(),
            prefix: 16,
        }]);
        assert!(notices.is_empty(), "{notices:?}");
        World {
            cx,
            peers: Peers::default(),
            links,
        }
    }

    pub fn now(&self) -> Millis {
        self.cx.now.mono
    }

    pub fn due(&self) -> Option<Millis> {
        self.links.due(&self.cx, &self.peers)
    }

    pub fn actions(&mut self) -> Vec<Action> {
        core::iter::from_fn(|| self.cx.effects.next_action()).collect()
    }

    /// One call of a node: what it was time for is done, and what is left lies in the future.
    pub fn tend(&mut self) -> Vec<Action> {
        self.links.tend(&mut self.cx, &mut self.peers);
        let (now, due) = (self.now(), self.due());
        assert!(due.is_none_or(|due| due > now), "{due:?} at {now:?}");
        self.actions()
    }

    /// Lets time go by until something is dialed; returns how long that took, and what is done.
    pub fn sleep(&mut self) -> (u64, Vec<Action>) {
        let begin = self.now();
        for _ in 0..10 {
            let due = self.due().expect("something is due");
            self.cx.pass(due.0.saturating_sub(self.now().0));
            let done = self.tend();
            if !done.is_empty() {
                return (self.now().0 - begin.0, done);
            }
        }
        panic!("nothing comes of it");
    }

    /// A dial with this id ends here.
    pub fn reaches(&mut self, conn: usize, remote: &str) {
        let (conn, ends) = (ConnId::of_peer(conn), [at("10.0.0.1:40000"), at(remote)]);
        self.links
            .connected(&mut self.cx, &mut self.peers, conn, ends);
    }

    pub fn fails(&mut self, conn: usize) {
        let (conn, why) = (ConnId::of_peer(conn), "connection refused");
        self.links
            .dial_failed(&mut self.cx, &mut self.peers, conn, why);
    }

    /// A connection ends, and what is to be said of it is.
    pub fn loses(&mut self, conn: usize) -> Vec<Notice> {
        let peer = self.peers.free(conn).expect("a connection");
        let (links, cx) = (&mut self.links, &mut self.cx);
        links.lost(cx, &self.peers, (conn, &peer), "it went");
        self.cx.words()
    }

    /// Somebody dials us; returns the id of the connection.
    pub fn comes(&mut self, from: &str) -> usize {
        let conn = self.peers.free_conn().expect("a place");
        self.links.incoming(&mut self.cx, &mut self.peers, at(from));
        assert_eq!(self.actions(), [Action::Accept { conn }]);
        usize::from(conn.0)
    }

    pub fn peer(&mut self, conn: usize) -> &mut Peer {
        self.peers.get_mut(conn).expect("a connection")
    }

    /// A peer proves its number, and tells that it listens on port 6000.
    pub fn tells(&mut self, conn: usize, id: u64) -> Met {
        let peer = self.peer(conn);
        (peer.kind, peer.port) = (Kind::Ours(Some(who(id))), Some(6000));
        self.links
            .meet(&mut self.cx, &mut self.peers, conn, who(id))
    }

    fn asks(&mut self, name: &str) {
        let (host, port) = split(name);
        self.links.dial(&mut self.cx, ASKER, host, port);
    }

    fn bans(&mut self, name: &str, ms: u64) {
        let peer = Peer::new(self.now(), at(name), true);
        self.links.ban(self.now(), &peer, ms);
    }

    fn contact(&self, name: &str) -> Option<Contact> {
        let mut targets = self.links.targets.iter();
        targets
            .find(|t| t.name() == name)
            .map(|target| target.contact)
    }
}

pub(super) fn dial(conn: usize, name: &str) -> Action {
    let (conn, (host, port)) = (ConnId::of_peer(conn), split(name));
    Action::Dial { conn, host, port }
}

fn hangup(conn: usize) -> Action {
    let conn = ConnId::of_peer(conn);
    Action::Hangup { conn }
}

fn open(conn: usize, since: Millis) -> Option<Contact> {
    Some(Contact::Open(ConnId::of_peer(conn), since))
}

fn event(text: &str) -> Notice {
    Notice::Event(text.into())
}

fn refused(text: &str) -> Notice {
    Notice::Answer(Some(ASKER), Answer::Refused(text.into()))
}

#[test]
fn whom_the_command_line_names_is_dialed_at_once_and_greeted_when_reached() {
    let mut world = World::new(&["pi.local:6000", LAN]);
    assert_eq!(world.due(), Some(world.now()));
    assert_eq!(world.tend(), [dial(0, "pi.local:6000"), dial(1, LAN)]);
    world.reaches(0, "10.0.0.8:6000");
    let peer = world.peer(0);
    assert!(peer.outbound && peer.announced);
    assert_eq!(world.contact("pi.local:6000"), open(0, world.now()));
    assert_eq!(world.links.targets[0].led, Some(at("10.0.0.8:6000")));
    assert!(world.actions().is_empty() && world.cx.words().is_empty());
    assert_eq!(world.due(), None, "the other one is still being dialed");
}

#[test]
fn a_dial_that_reaches_this_node_itself_is_closed_and_never_tried_again() {
    for (ends, itself) in [
        (["10.0.0.1:40000", "10.0.0.1:6000"], true),
        // A port that is dialed from itself answers itself.
        (["10.0.0.1:7000", "10.0.0.1:7000"], true),
        (["10.0.0.1:40000", "10.0.0.1:7000"], false),
        (["10.0.0.1:40000", "10.0.0.2:6000"], false),
    ] {
        let mut world = World::with_book(&["pi.local:6000"], &["10.0.0.1:6000"]);
        world.tend();
        let conn = ConnId::of_peer(0);
        world
            .links
            .connected(&mut world.cx, &mut world.peers, conn, ends.map(at));
        assert_eq!(world.peers.get(0).is_none(), itself, "{ends:?}");
        assert_eq!(world.contact("pi.local:6000").is_none(), itself, "{ends:?}");
        if itself {
            assert_eq!(world.actions(), [hangup(0)]);
            let text = "❌ cannot connect to pi.local:6000: that is this node itself.";
            assert_eq!(world.cx.words(), [event(text)]);
        }
    }
    let mut world = World::with_book(&[], &["10.0.0.1:6000"]);
    world.tend();
    world.reaches(0, "10.0.0.1:6000");
    let mut told = Peer::new(world.now(), at(LAN), false);
    world
        .links
        .learn(world.now(), &mut told, &["10.0.0.1:6000".into()]);
    assert!(world.links.book.entries(world.now()).is_empty());
}

#[test]
fn of_two_names_that_lead_to_one_address_the_second_is_given_up_and_whoever_asked_hears_it() {
    let mut world = World::new(&["pi.local:6000"]);
    world.tend();
    world.reaches(0, LAN);
    world.asks("raspberry:6000");
    assert!(world.links.owes(ASKER) && !world.links.owes(SessionId(8)));
    assert_eq!(world.tend(), [dial(1, "raspberry:6000")]);
    world.reaches(1, LAN);
    assert_eq!(world.actions(), [hangup(1)]);
    assert!(world.peers.get(0).is_some() && world.peers.used() == 1);
    assert_eq!(world.contact("raspberry:6000"), None);
    let answer = Answer::ConnectedAlready("raspberry:6000".into());
    assert_eq!(world.cx.words(), [Notice::Answer(Some(ASKER), answer)]);
    assert!(!world.links.owes(ASKER));
}

#[test]
fn whom_we_reach_and_who_dialed_us_keeps_the_connection_that_is_there() {
    let mut world = World::new(&["pi.local:6000"]);
    let conn = world.comes("10.0.0.9:50000");
    assert_eq!(world.tells(conn, 9), Met::Alone);
    assert_eq!(world.tend(), [dial(1, "pi.local:6000")]);
    world.reaches(1, LAN);
    assert_eq!(world.actions(), [hangup(1)]);
    assert_eq!(world.contact("pi.local:6000"), open(0, world.now()));
    // One named by an address is not dialed at all.
    world.asks(LAN);
    assert!(world.tend().is_empty());
    let answer = Answer::ConnectedAlready(LAN.into());
    assert_eq!(world.cx.words(), [Notice::Answer(Some(ASKER), answer)]);
}

#[test]
fn who_waits_to_be_dialed_and_comes_by_himself_is_dialed_no_more() {
    let mut world = World::new(&[LAN]);
    world.tend();
    world.fails(0);
    let conn = world.comes("10.0.0.9:50000");
    assert_eq!(world.tells(conn, 9), Met::Alone);
    assert_eq!(world.contact(LAN), open(conn, world.now()));
    let text = format!("[network 🔗] connected to {LAN} again");
    assert_eq!(world.cx.words(), [event(&text)]);
    assert_eq!(world.due().map(|due| due > world.now()), Some(true));
}

#[test]
fn a_dial_that_fails_is_of_no_matter_if_its_node_came_by_itself_and_is_of_use() {
    for (gone, silent) in [(false, false), (true, false), (false, true)] {
        let mut world = World::new(&[LAN]);
        world.tend();
        let conn = world.comes("10.0.0.9:50000");
        world.tells(conn, 9);
        world.peer(conn).gone = gone.then(|| "closed".into());
        world.peer(conn).pinged = silent.then_some(world.now());
        world.cx.pass(limits::SILENT_MS);
        world.fails(0);
        let there = open(conn, world.now());
        let is_of_use = !gone && !silent;
        assert_eq!(world.contact(LAN) == there, is_of_use, "{gone} {silent}");
        assert!(world.cx.words().is_empty());
    }
}

#[test]
fn one_of_ours_is_known_again_by_its_number_wherever_it_dials_from() {
    let mut world = World::new(&["pi.local:6000"]);
    world.tend();
    world.reaches(0, LAN);
    world.tells(0, 9);
    world.loses(0);
    for (id, known) in [(8, false), (9, true)] {
        let conn = world.comes("10.0.0.77:50000");
        assert_eq!(world.tells(conn, id), Met::Alone);
        let there = open(conn, world.now());
        assert_eq!(world.contact("pi.local:6000") == there, known, "{id}");
    }
}

#[test]
fn who_is_banned_is_let_be_until_that_ends_unless_a_user_asks_for_it() {
    let mut world = World::new(&["pi.local:6000", "10.0.0.7:6000"]);
    world.bans(LAN, 600_000);
    world.bans("10.0.0.7:6000", 600_000);
    let until = Millis(world.now().0 + 600_000);
    assert_eq!(world.tend(), [dial(0, "pi.local:6000")]);
    world.reaches(0, LAN);
    assert_eq!(world.actions(), [hangup(0)]);
    assert!(world.peers.used() == 0 && world.cx.words().is_empty());
    let rests = Some(Contact::Waiting(until));
    assert_eq!(world.contact("pi.local:6000"), rests);
    assert_eq!(world.contact("10.0.0.7:6000"), rests);
    assert_eq!(world.due(), Some(until));
    world.asks("pi.local:6000");
    assert_eq!(world.tend(), [dial(0, "pi.local:6000")]);
    world.reaches(0, LAN);
    assert!(world.actions().is_empty() && world.peers.count() == 1);
    let peer = Peer::new(world.now(), at(LAN), true);
    assert!(!world.links.is_banned(world.now(), &peer));
    world.peers.free(0);
    let (_, dialed) = world.sleep();
    assert_eq!(dialed, [dial(0, "10.0.0.7:6000")]);
    assert_eq!(world.now(), until);
}

#[test]
fn whoever_waits_for_a_dial_hears_its_end_and_nobody_else() {
    let mut world = World::new(&[LAN]);
    world.asks("pi.local:6000");
    world.asks("pi.local:6000");
    world.asks(LAN);
    world.tend();
    world.fails(0);
    world.fails(1);
    let kept = format!("cannot connect to {LAN}: connection refused; it is dialed again.");
    let other = "cannot connect to pi.local:6000: connection refused.";
    assert_eq!(world.cx.words(), [refused(&kept), refused(other)]);
    // Once it was not reached, what was only asked for is nobody's concern.
    assert_eq!(world.contact("pi.local:6000"), None);
    let (_, dialed) = world.sleep();
    assert_eq!(dialed, [dial(0, LAN)]);
    world.fails(0);
    assert!(world.cx.words().is_empty());
    world.sleep();
    world.asks(LAN);
    world.reaches(0, LAN);
    let answer = Notice::Answer(Some(ASKER), Answer::Connected(LAN.into()));
    assert_eq!(world.cx.words(), [answer]);
    world.asks(LAN);
    let answer = Notice::Answer(Some(ASKER), Answer::ConnectedAlready(LAN.into()));
    assert_eq!(world.cx.words(), [answer]);
}

#[test]
fn so_many_are_dialed_and_one_more_is_refused() {
    let names: Vec<String> = (1..=limits::PEERS)
        .map(|host| format!("10.0.1.{host}:6000"))
        .collect();
    let mut world = World::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    world.asks(LAN);
    assert_eq!(world.cx.words(), [refused("32 peers are enough.")]);
    let mut world = World::new(&[]);
    for conn in 0..limits::PEERS {
        let peer = Peer::new(world.now(), at("10.0.0.7:6000"), true);
        world.peers.open(ConnId::of_peer(conn), peer);
    }
    world.asks("10.0.0.8:6000");
    assert!(world.tend().is_empty());
    let text = "cannot connect to 10.0.0.8:6000: all 32 places are taken.";
    assert_eq!(world.cx.words(), [refused(text)]);
}

#[test]
fn tries_are_further_and_further_apart_until_a_connection_was_healthy() {
    let mut world = World::new(&[LAN]);
    world.tend();
    for delay in limits::REDIAL_MS.into_iter().chain([60_000]) {
        world.fails(0);
        let (slept, dialed) = world.sleep();
        assert_eq!(dialed, [dial(0, LAN)]);
        assert!(slept >= delay * 9 / 10 && slept <= delay * 11 / 10);
    }
    for (lasts, least) in [
        (limits::HEALTHY_MS - 1, 54_000),
        (limits::HEALTHY_MS, 900),
        (0, 1_800),
    ] {
        world.reaches(0, LAN);
        let again = format!("[network 🔗] connected to {LAN} again");
        assert_eq!(world.cx.words(), [event(&again)]);
        world.peer(0).kind = Kind::Ours(Some(who(9)));
        world.cx.pass(lasts);
        let lost = format!("[network 🔗] lost {LAN}: it went; dialing again");
        assert_eq!(world.loses(0), [event(&lost)]);
        let (slept, dialed) = world.sleep();
        assert_eq!(dialed, [dial(0, LAN)]);
        assert!((least..=least * 11 / 9).contains(&slept), "{slept}");
    }
}

#[test]
fn who_is_lost_for_a_broken_rule_is_dialed_when_the_ban_ends() {
    let mut world = World::new(&[LAN]);
    world.tend();
    world.reaches(0, LAN);
    world.bans(LAN, 90_000);
    let text = format!("[network 🔗] lost {LAN}: it went; not dialed for 2 minutes");
    assert_eq!(world.loses(0), [event(&text)]);
    assert_eq!(world.sleep(), (90_000, vec![dial(0, LAN)]));
    // Nobody who only came is dialed, or spoken of, when lost.
    let conn = world.comes("10.0.0.5:50000");
    assert!(world.loses(conn).is_empty());
}

#[test]
fn who_is_lost_on_one_of_two_connections_is_not_dialed() {
    let mut world = World::new(&[LAN]);
    world.tend();
    world.reaches(0, LAN);
    assert_eq!(world.tells(0, 90), Met::Alone);
    let conn = world.comes("10.0.0.9:50000");
    assert_eq!(world.tells(conn, 90), Met::Theirs);
    world.cx.pass(5);
    assert!(world.loses(0).is_empty());
    assert_eq!(world.contact(LAN), open(conn, world.now()));
    assert_eq!(world.loses(conn).len(), 1);
    assert!(matches!(world.contact(LAN), Some(Contact::Waiting(_))));
}

#[test]
fn one_of_ours_with_this_nodes_number_is_this_node() {
    let mut world = World::new(&["pi.local:6000"]);
    world.tend();
    world.reaches(0, LAN);
    assert_eq!(world.tells(0, OWN_ID), Met::Itself);
    assert_eq!(world.actions(), [hangup(0)]);
    assert!(world.peers.used() == 0 && world.links.targets.is_empty());
    let conn = world.comes("10.0.0.9:50000");
    assert_eq!(world.tells(conn, OWN_ID), Met::Itself);
    assert_eq!(world.actions(), [hangup(0)]);
    let mut told = Peer::new(world.now(), at("10.0.0.5:6000"), false);
    world.links.learn(world.now(), &mut told, &[LAN.into()]);
    assert_eq!(world.due(), None, "that was not learned");
}

#[test]
fn of_two_connections_both_ends_close_the_one_that_the_greater_number_dialed() {
    let (less, greater) = (OWN_ID - 1, OWN_ID + 1);
    let twice = |closed, kept| Met::Twice { closed, kept };
    for (directions, id, met) in [
        // The first is connection 0, the one that tells its number now is connection 1.
        ([true, true], less, twice(1, 0)),
        ([true, true], greater, twice(1, 0)),
        ([false, false], less, Met::Theirs),
        ([false, false], greater, Met::Theirs),
        ([false, true], less, twice(1, 0)),
        ([false, true], greater, Met::Theirs),
        ([true, false], less, twice(0, 1)),
        ([true, false], greater, Met::Theirs),
    ] {
        let mut world = World::new(&[]);
        for (conn, outbound) in directions.into_iter().enumerate() {
            let peer = Peer::new(world.now(), at(LAN), outbound);
            world.peers.open(ConnId::of_peer(conn), peer);
        }
        assert_eq!(world.tells(0, id), Met::Alone);
        assert_eq!(world.tells(1, id), met, "{directions:?} {id}");
        world.peer(0).pinged = Some(world.now());
        world.cx.pass(limits::SILENT_MS);
        // Whichever it would be, the dead one goes.
        assert_eq!(world.tells(1, id), twice(0, 1), "{directions:?} {id}");
        world.peer(0).gone = Some("closed".into());
        assert_eq!(world.tells(1, id), Met::Alone);
    }
}

#[test]
fn a_connection_is_closed_in_favour_of_another_one_to_the_same_node() {
    let mut world = World::new(&["pi.local:6000"]);
    world.tend();
    world.reaches(0, LAN);
    let conn = world.comes("10.0.0.9:50000");
    world.cx.pass(5);
    let (cx, peers) = (&mut world.cx, &mut world.peers);
    world.links.retire(cx, peers, (0, conn));
    assert_eq!(world.actions(), [hangup(0)]);
    assert!(world.peers.get(0).is_none() && world.cx.words().is_empty());
    assert_eq!(world.contact("pi.local:6000"), open(conn, world.now()));
    let (cx, peers) = (&mut world.cx, &mut world.peers);
    world.links.retire(cx, peers, (0, conn));
    assert!(world.actions().is_empty(), "it is closed already");
}
