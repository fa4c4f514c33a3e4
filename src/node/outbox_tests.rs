use super::*;
use crate::ledger::Kind::Request;
use crate::node::desktop::Desktop;
use crate::node::effects::testing::{key, sign, who};
use crate::node::event::ConnId;
use crate::node::peer::{Kind, Peer};
use crate::store::disk::memory::MemoryDisk;
use crate::wire::message::{Envelope, Message, read};
use crate::wire::write::Outgoing;

const ID: u64 = 50;
const LOCAL: &str = "127.0.0.1:6001";
const LAN: &str = "10.0.0.2:6000";

/// This node, with a number that it can have.
fn own() -> Who {
    Who::new(key(8), ID)
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// What is sent, and as much of a node as it is taken from.
struct World {
    cx: Cx<MemoryDisk>,
    peers: Peers,
    mempool: Mempool,
    voices: Voices,
    sync: ChainSync,
    outbox: Outbox,
}

impl World {
    fn new() -> World {
        let mut cx = Cx::on(MemoryDisk::default(), 0);
        let (now, of) = (cx.now.mono, (key(1), false));
        let mempool = Mempool::open(cx.chain.disk(), now, of, &mut Vec::new());
        World {
            cx,
            peers: Peers::default(),
            mempool,
            voices: Voices::new(ID),
            sync: ChainSync::resume(None),
            outbox: Outbox::new(own(), at("0.0.0.0:6000")),
        }
    }

    /// One that dialed us and listens there.
    fn opens(&mut self, conn: usize, listens: &str, kind: Kind) -> &mut Peer {
        let mut remote = at(listens);
        remote.set_port(50_000);
        let mut peer = Peer::new(self.cx.now.mono, remote, false);
        (peer.port, peer.kind) = (Some(at(listens).port()), kind);
        self.peers.open(ConnId::of_peer(conn), peer);
        self.peer(conn)
    }

    fn peer(&mut self, conn: usize) -> &mut Peer {
        self.peers.get_mut(conn).expect("a connection")
    }

    /// One call; true if more is waiting.
    fn fill(&mut self) -> bool {
        self.cx.effects.busy = false;
        let seen = (&self.mempool, &self.voices, &self.sync);
        self.outbox.fill(&mut self.cx, &mut self.peers, seen);
        self.cx.effects.busy
    }

    /// What is told over a connection, all of which leaves.
    fn told(&mut self, conn: usize, message: Outgoing) -> Vec<Envelope> {
        self.peer(conn).push(message);
        self.fill();
        let peer = self.peer(conn);
        let text = peer.writer.pending().to_vec();
        peer.writer.advance(text.len());
        let lines = text.split(|byte| *byte == b'\n');
        let lines = lines.filter(|conn| !conn.is_empty());
        lines.map(|conn| read(conn).expect("a message")).collect()
    }

    fn peer_list(&mut self, conn: usize) -> Vec<String> {
        let told = self.told(conn, Outgoing::PeerList);
        let [Envelope { message, .. }] = &told[..] else {
            panic!("one message")
        };
        match message {
            Message::PeerList { peers } => peers.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn greeting(&mut self, conn: usize) -> Greeting {
        let told = self.told(conn, Outgoing::Announce);
        let [Envelope { message, sender }] = &told[..] else {
            panic!("one message")
        };
        assert_eq!(*sender, Some(6000));
        match message {
            Message::PeerAnnounce(greeting) => greeting.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn desktop() -> Kind {
    Kind::Desktop(Box::new(Desktop::new(Millis(0), true)))
}

fn is_filled(world: &World) -> Vec<bool> {
    let peers = world.peers.iter();
    peers
        .map(|(_, peer)| !peer.writer.pending().is_empty())
        .collect()
}

/// Everybody is to hear a block that is longer than what goes to a connection at once.
fn everybody_hears() -> World {
    let mut world = World::new();
    let name = |number| format!("{number:0900}");
    let requests = (0..30).map(|number| sign(1, Request, &name(number), 1));
    world.cx.append(requests.collect());
    for conn in 0..limits::PEERS {
        world
            .opens(conn, LAN, Kind::Ours(Some(who(1))))
            .push(Outgoing::Block(1));
    }
    world
}

#[test]
fn lines_are_filled_in_turn_and_in_one_call_no_more_than_so_much_text_is_made() {
    let mut world = everybody_hears();
    assert!(world.fill(), "more is waiting");
    let first = is_filled(&world);
    let count = first.iter().filter(|filled| **filled).count();
    assert!(count > 1 && count < limits::PEERS, "{count}");
    assert!(first[..count].iter().all(|filled| *filled));
    let mut calls = 1;
    while world.fill() {
        calls += 1;
        assert!(calls < limits::PEERS);
    }
    assert!(is_filled(&world).iter().all(|filled| *filled));
    assert!(calls > 1, "each had its turn");
}

#[test]
fn whoever_takes_all_at_once_does_not_keep_the_others_from_their_turn() {
    let mut world = everybody_hears();
    for _ in 0..limits::PEERS {
        world.fill();
        // The first connections want more again and again.
        for conn in 0..8 {
            let peer = world.peer(conn);
            let count = peer.writer.pending().len();
            peer.writer.advance(count);
            peer.push(Outgoing::Block(1));
        }
    }
    assert!(is_filled(&world)[8..].iter().all(|filled| *filled));
}

#[test]
fn whoever_hung_up_is_told_nothing_and_the_others_are() {
    let mut world = World::new();
    for conn in [0, 1] {
        world
            .opens(conn, LAN, Kind::Ours(Some(who(1))))
            .push(Outgoing::Ping);
    }
    world.peer(0).gone = Some("closed".into());
    assert!(!world.fill());
    assert_eq!(is_filled(&world), [false, true]);
    assert!(!world.peer(0).writer.queued().is_empty());
}

#[test]
fn a_greeting_says_who_this_is_what_it_has_and_who_speaks_to_which_desktop_nodes() {
    let mut world = World::new();
    let desktops = vec![at("10.0.0.2:6005"), at("127.0.0.1:6006")];
    let now = world.cx.now.mono;
    world.voices.set_own(now, desktops.clone(), true);
    world.opens(0, LAN, Kind::Unknown).announced = true;
    world.opens(1, LOCAL, Kind::Unknown).announced = true;
    for conn in 0..2 {
        world.peer(conn).nonce = [9; 16];
    }
    let (lan, local) = (world.greeting(0), world.greeting(1));
    let end = End {
        who: own(),
        nonce: [9; 16],
    };
    for greeting in [&lan, &local] {
        assert_eq!(greeting.from, Some(end));
        assert_eq!(greeting.tip, Some(world.cx.chain.tip()));
        assert!(greeting.mempool.is_empty() && greeting.voices.len() == 1);
        assert_eq!(greeting.voices[0].id, ID);
    }
    assert_eq!(local.voices[0].desktops, desktops);
    // What is on the machine of whoever hears it is told by the name that it has there, too.
    let there = [&desktops[..], &[at("0.0.0.0:6005")]].concat();
    assert_eq!(lan.voices[0].desktops, there);
}

#[test]
fn a_list_of_peers_has_what_can_be_dialed_by_whoever_hears_it() {
    let mut world = World::new();
    world.opens(0, LAN, Kind::Ours(Some(who(1))));
    world.opens(1, LOCAL, Kind::Ours(Some(who(2))));
    world.opens(2, "10.0.0.3:6000", desktop());
    world.opens(3, "127.0.0.1:6002", desktop());
    // It has not said where it listens.
    world.opens(4, "10.0.0.4:6000", Kind::Unknown).port = None;
    world.peer(4).announced = true;
    assert_eq!(world.peer_list(0), ["10.0.0.3:6000"]);
    let near = [LAN, "10.0.0.3:6000", "127.0.0.1:6002"];
    assert_eq!(world.peer_list(1), near);
    assert_eq!(world.peer_list(4), [LAN, "10.0.0.3:6000"]);
}

#[test]
fn a_sign_of_life_tells_ours_who_speaks_to_whom_and_nobody_else() {
    let mut world = World::new();
    world.opens(0, LAN, Kind::Ours(Some(who(1))));
    world.opens(1, LAN, desktop());
    let now = world.cx.now.mono;
    world.voices.set_own(now, vec![at("10.0.0.7:6000")], true);
    let news = world.voices.news();
    for (conn, count) in [(0, 1), (1, 0)] {
        let told = world.told(conn, Outgoing::Pong);
        let [Envelope { message, .. }] = &told[..] else {
            panic!("one message")
        };
        let Message::Pong(Life { tip, voices, .. }) = message else {
            panic!("{message:?}")
        };
        assert_eq!(*tip, Some(world.cx.chain.tip()));
        assert_eq!(voices.len(), count, "on line {conn}");
    }
    let told = world.peer(0).told;
    assert_eq!((told.news, told.at), (news, Some(now)));
    assert_eq!(world.peer(1).told.at, None);
}

#[test]
fn a_line_that_has_nothing_to_send_is_not_taken_for_one_that_takes_nothing() {
    let mut world = World::new();
    let begin = world.cx.now.mono;
    world.opens(0, LAN, Kind::Ours(Some(who(1))));
    world.cx.pass(5_000);
    world.fill();
    assert_eq!(world.peer(0).flowed, Millis(begin.0 + 5_000));
    world.peer(0).push(Outgoing::Ping);
    world.fill();
    world.cx.pass(5_000);
    world.fill();
    assert_eq!(world.peer(0).flowed, Millis(begin.0 + 5_000));
}

#[test]
fn a_request_tells_where_our_chain_stands() {
    let mut world = World::new();
    world.cx.append(vec![sign(1, Request, "a", 1)]);
    world.opens(0, LAN, Kind::Ours(Some(who(1))));
    let told = world.told(0, Outgoing::Request);
    let tip = world.cx.chain.tip();
    let hashes = Locator::heights(tip.length).map(|height| world.cx.chain.hash(height));
    let hashes = hashes.collect::<Result<_, _>>().expect("read");
    let length = tip.length;
    let expected = Message::RequestChain(Some(Locator { length, hashes }));
    assert!(told.len() == 1 && told[0].message == expected);
}
