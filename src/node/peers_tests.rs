use super::*;
use crate::ledger::Hash;
use crate::node::answer::SessionId;
use crate::node::desktop::Desktop;
use crate::node::effects::Notice;
use crate::node::effects::testing::who;
use crate::node::peer::Kind;

const NOW: Millis = Millis(1_000_000);

fn peer(host: usize) -> Peer {
    let there = format!("10.0.0.{}:6000", host + 1);
    Peer::new(NOW, there.parse().expect("an address"), true)
}

fn desktop(is_node: bool) -> Kind {
    Kind::Desktop(Box::new(Desktop::new(NOW, is_node)))
}

/// Somebody of each kind.
fn all() -> Peers {
    let kinds = [
        Kind::Unknown,
        Kind::Ours(Some(who(1))),
        desktop(true),
        desktop(false),
        Kind::Newer(NOW),
        Kind::Ours(Some(who(2))),
    ];
    let mut peers = Peers::default();
    for (conn, kind) in kinds.into_iter().enumerate() {
        let mut peer = peer(conn);
        peer.kind = kind;
        peers.open(ConnId::of_peer(conn), peer);
    }
    peers
}

fn queued(peers: &Peers) -> Vec<Vec<Outgoing>> {
    let mut queues = peers.iter().map(|(_, peer)| peer.writer.queued());
    queues.by_ref().collect()
}

#[test]
fn a_line_is_taken_from_its_dial_until_it_is_free() {
    let mut peers = Peers::default();
    for conn in 0..limits::PEERS {
        let free = ConnId::of_peer(conn);
        assert_eq!(peers.free_conn(), Some(free));
        assert_eq!((peers.used(), peers.count()), (conn, conn));
        peers.dial(free);
        assert_eq!((peers.used(), peers.count()), (conn + 1, conn));
        assert!(peers.get(conn).is_none() && peers.get_mut(conn).is_none());
        peers.open(free, peer(conn));
        assert!(peers.get(conn).is_some() && peers.get_mut(conn).is_some());
    }
    assert_eq!(peers.free_conn(), None);
    let ended = peers.free(7).expect("a connection");
    assert_eq!(ended.remote, peer(7).remote);
    assert_eq!(peers.free_conn(), Some(ConnId(7)));
    peers.dial(ConnId(7));
    assert_eq!(peers.free_conn(), None);
    assert!(peers.free(7).is_none(), "nobody was there yet");
    assert_eq!(peers.free_conn(), Some(ConnId(7)));
    let conns: Vec<usize> = peers.iter_mut().map(|(conn, _)| conn).collect();
    assert_eq!(conns.len(), limits::PEERS - 1);
    assert!(!conns.contains(&7) && peers.conns().len() == limits::PEERS);
}

#[test]
fn a_block_goes_to_ours_and_to_devices_and_whoever_has_not_spoken_missed_it() {
    let mut peers = all();
    peers.relay(Outgoing::Block(3), Some(5));
    let block = vec![Outgoing::Block(3)];
    let none = Vec::new;
    let heard = [none(), block.clone(), none(), block, none(), none()];
    assert_eq!(queued(&peers), heard);
    let missed: Vec<usize> = peers
        .iter()
        .filter(|(_, p)| p.missed)
        .map(|p| p.0)
        .collect();
    assert_eq!(missed, [0]);
}

#[test]
fn of_a_block_with_our_users_wish_a_device_hears_the_transactions_before_and_ours_need_not() {
    let mut peers = all();
    peers.relay(Outgoing::OwnBlock(3), None);
    let ours = vec![Outgoing::Block(3)];
    let none = Vec::new;
    let device = vec![Outgoing::OwnBlock(3)];
    let heard = [none(), ours.clone(), none(), device, none(), ours];
    assert_eq!(queued(&peers), heard);
    assert!(peers.get(0).is_some_and(|peer| peer.missed));
}

#[test]
fn a_transaction_goes_to_everybody_but_those_with_credits_and_whoever_told_it() {
    let mut peers = all();
    peers.relay(Outgoing::Transaction(4), Some(1));
    let told = vec![Outgoing::Transaction(4)];
    // Who has not spoken hears first who we are.
    let unknown = vec![Outgoing::Announce, Outgoing::Transaction(4)];
    let none = Vec::new;
    let heard = [unknown, none(), told.clone(), told.clone(), none(), told];
    assert_eq!(queued(&peers), heard);
    assert!(!peers.get(0).is_some_and(|peer| peer.missed));
}

#[test]
fn whoever_is_quiet_is_pinged_and_with_him_who_will_be_soon() {
    let mut peers = Peers::default();
    let soon = limits::PINGS_TOGETHER_MS;
    for (conn, later) in [0, soon, soon + 1].into_iter().enumerate() {
        let mut peer = peer(conn);
        peer.kind = Kind::Ours(Some(who(1)));
        peer.heard = Millis(NOW.0 + later);
        peers.open(ConnId::of_peer(conn), peer);
    }
    peers.tend_quiet(Millis(NOW.0 + limits::IDLE_MS - 1));
    assert_eq!(queued(&peers).concat(), []);
    let idle = Millis(NOW.0 + limits::IDLE_MS);
    peers.tend_quiet(idle);
    let ping = vec![Outgoing::Ping];
    assert_eq!(queued(&peers), [ping.clone(), ping, vec![]]);
    // Asked before its time it may take as much longer to answer.
    let pinged = |conn| peers.get(conn).and_then(|peer: &Peer| peer.pinged);
    let due = Millis(idle.0 + soon);
    assert_eq!([pinged(0), pinged(1)], [Some(idle), Some(due)]);
    peers.tend_quiet(due);
    assert_eq!(queued(&peers).concat().len(), 2, "not while one is open");
}

#[test]
fn whoever_asked_for_a_chain_hears_its_outcome_once() {
    let mut peers = all();
    let mut effects = Effects::default();
    let asker = peers.get_mut(1).expect("a connection");
    asker.asked_by = vec![SessionId(4), SessionId(5)];
    for conn in [1, 1, 2, 9] {
        peers.tell_outcome(&mut effects, conn, "its chain is the same");
    }
    let answer = Answer::Outcome {
        peer: "10.0.0.2:6000".into(),
        outcome: "its chain is the same".into(),
    };
    let told = [4, 5].map(|session| Notice::Answer(Some(SessionId(session)), answer.clone()));
    let words: Vec<Notice> = core::iter::from_fn(|| effects.next_notice()).collect();
    assert_eq!(words, told);
}

#[test]
fn of_the_chains_that_were_skipped_the_first_is_asked_for_when_there_is_time() {
    let mut peers = all();
    let latest = Millis(NOW.0 + limits::DEFERRED_MS);
    for conn in [2, 3] {
        let peer = peers.get_mut(conn).expect("a connection");
        peer.defer(NOW, latest);
    }
    peers.freed(NOW);
    let deferred: Vec<_> = peers.iter().map(|(_, peer)| peer.deferred).collect();
    let expected = [None, None, Some(NOW), Some(latest), None, None];
    assert_eq!(deferred, expected);
}

#[test]
fn time_that_was_ours_is_held_against_nobody() {
    let mut peers = all();
    let now = Millis(NOW.0 + 9_000);
    peers.excuse(now, 5_000);
    let heard = |peer: &Peer| peer.heard.0 - NOW.0;
    assert!(peers.iter().all(|(_, peer)| heard(peer) == 5_000));
    peers.excuse(now, 5_000);
    assert!(peers.iter().all(|(_, peer)| heard(peer) == 9_000));
}

mod twins {
    use super::*;
    use crate::node::desktop::{FOR_GOOD, Stand};
    use crate::node::twins::Announced;
    use core::net::SocketAddr;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn hash(byte: u8) -> Hash {
        Hash::new([byte; 32])
    }

    /// Desktop nodes at these addresses; those dialed us that have a port of their own before `/`.
    fn nodes(addresses: &[&str]) -> Peers {
        let mut peers = Peers::default();
        for (conn, text) in addresses.iter().enumerate() {
            let (listens, from) = match text.split_once('/') {
                Some((listens, from)) => (at(listens), Some(from)),
                None => (at(text), None),
            };
            let mut remote = listens;
            if let Some(from) = from {
                remote.set_port(from.parse().expect("a port"));
            }
            let mut peer = Peer::new(NOW, remote, from.is_none());
            peer.port = from.map(|_| listens.port());
            peer.kind = desktop(true);
            peers.open(ConnId::of_peer(conn), peer);
        }
        peers
    }

    fn id(peers: &Peers, conn: usize) -> String {
        let id = peers.desktop_id(NOW, conn);
        id.map_or("nobody".into(), |id| id.to_string())
    }

    fn known(peers: &mut Peers, conn: usize) -> &mut Desktop {
        peers.desktop_of(conn).expect("a desktop node")
    }

    #[test]
    fn a_desktop_node_is_known_by_where_it_listens_however_it_is_reached() {
        let mut peers = nodes(&["10.0.0.5:6000", "[::ffff:10.0.0.5]:6000/50000"]);
        assert_eq!(id(&peers, 0), "10.0.0.5:6000");
        assert_eq!(id(&peers, 1), "10.0.0.5:6000");
        let conns: Vec<usize> = peers.lines_to(NOW, at("10.0.0.5:6000")).collect();
        assert_eq!(conns, [0, 1]);
        // Another one that shows the same address is known by its connection,
        known(&mut peers, 1).apart = limits::DESKTOP_APART;
        assert_eq!(id(&peers, 1), "10.0.0.5:50000");
        // and by another address of it before all that, as long as that lasts.
        let until = Millis(NOW.0 + 5);
        known(&mut peers, 1).note_address(at("10.0.0.4:6000"), until);
        assert_eq!(id(&peers, 1), "10.0.0.4:6000");
        assert_eq!(peers.desktop_id(until, 1), Some(at("10.0.0.5:50000")));
        let gone = peers.get_mut(0).expect("a connection");
        gone.gone = Some("closed".into());
        assert_eq!(id(&peers, 0), "nobody");
        assert!(peers.desktop_at(0).is_none() && peers.desktop_of(0).is_some());
    }

    #[test]
    fn of_several_connections_that_one_is_spoken_on_that_is_known_was_dialed_by_it_and_is_oldest() {
        let both = [
            "10.0.0.5:6000",
            "10.0.0.5:6000/50000",
            "10.0.0.5:6000/50001",
        ];
        let mut peers = nodes(&both);
        peers.get_mut(1).expect("a connection").opened = Millis(NOW.0 + 1);
        let voice = |peers: &Peers| [0, 1, 2].map(|conn| peers.voice_of(NOW, conn));
        assert_eq!(voice(&peers), [2, 2, 2]);
        peers.get_mut(1).expect("a connection").opened = NOW;
        assert_eq!(voice(&peers), [1, 1, 1]);
        known(&mut peers, 1).deaf = Some(NOW);
        assert_eq!(voice(&peers), [2, 2, 2]);
        known(&mut peers, 2).deaf = Some(NOW);
        assert_eq!(voice(&peers), [0, 0, 0]);
        known(&mut peers, 0).deaf = Some(NOW);
        assert_eq!(voice(&peers), [1, 1, 1]);
        assert_eq!(peers.voice_of(NOW, 9), 9, "nobody is there");
    }

    #[test]
    fn who_announces_two_blocks_that_another_connection_brought_is_the_same_node() {
        let mut peers = nodes(&["10.0.0.5:6000", "10.0.0.6:6000"]);
        let mut hear = |conn, byte| peers.note_maker(NOW, conn, hash(byte));
        assert!(hear(0, 1) == Announced::First);
        assert!(hear(0, 1) == Announced::Elsewhere, "said again");
        assert!(hear(1, 1) == Announced::Elsewhere, "its threads race");
        assert!(hear(0, 2) == Announced::First);
        assert!(hear(1, 2) == Announced::Twice);
        assert_eq!(id(&peers, 1), "10.0.0.5:6000");
        let mut hear = |conn, byte| peers.note_maker(NOW, conn, hash(byte));
        assert!(hear(1, 3) == Announced::First && hear(0, 3) == Announced::Twice);
        assert!(hear(9, 3) == Announced::Twice, "nobody is there");
        let alias = known(&mut peers, 1).alias(Millis(FOR_GOOD.0 - 1));
        assert_eq!(alias, Some(at("10.0.0.5:6000")));
    }

    #[test]
    fn who_was_taken_for_another_one_at_the_same_address_has_to_show_it_anew() {
        let mut peers = nodes(&["10.0.0.5:6000", "10.0.0.5:6000/50000"]);
        known(&mut peers, 1).apart = limits::DESKTOP_APART;
        for byte in [1, 2] {
            peers.note_maker(NOW, 0, hash(byte));
            peers.note_maker(NOW, 1, hash(byte));
        }
        assert!(!known(&mut peers, 1).is_apart());
        assert_eq!(id(&peers, 1), "10.0.0.5:6000");
        assert_eq!(known(&mut peers, 1).alias(NOW), None);
    }

    #[test]
    fn one_block_that_came_elsewhere_from_a_lower_address_counts_a_while_and_two_for_good() {
        let there = at("10.0.0.4:6000");
        let mut peers = nodes(&["10.0.0.5:6000", "10.0.0.5:6000/50000", "10.0.0.3:6000"]);
        for (conn, byte) in [(0, 1), (0, 2), (2, 3)] {
            peers.note_maker(NOW, conn, hash(byte));
        }
        peers.note_mark(NOW, there, &[9; 8]);
        assert_eq!(id(&peers, 0), "10.0.0.5:6000");
        for _ in 0..2 {
            peers.note_mark(NOW, there, &[1; 8]);
            // All its connections go by that.
            assert_eq!([id(&peers, 0), id(&peers, 1)], ["10.0.0.4:6000"; 2]);
            let until = Millis(NOW.0 + limits::DESKTOP_DEAF_MS);
            assert_eq!(known(&mut peers, 1).alias_ends(), Some(until));
        }
        peers.note_mark(NOW, there, &[2; 8]);
        assert_eq!(known(&mut peers, 0).alias_ends(), None);
        assert_eq!(known(&mut peers, 1).alias(FOR_GOOD), None);
        assert_eq!(id(&peers, 0), "10.0.0.4:6000");
        peers.note_mark(NOW, there, &[3; 8]);
        assert_eq!(id(&peers, 2), "10.0.0.3:6000", "that is lower");
        let marks = peers.marks(NOW);
        assert_eq!(marks, [(there, [2; 8]), (at("10.0.0.3:6000"), [3; 8])]);
    }

    #[test]
    fn a_node_that_is_another_one_at_its_address_is_not_known_by_that_again() {
        let mut peers = nodes(&["10.0.0.5:6000/50000"]);
        known(&mut peers, 0).apart = limits::DESKTOP_APART;
        peers.note_maker(NOW, 0, hash(1));
        peers.note_mark(NOW, at("10.0.0.5:6000"), &[1; 8]);
        assert_eq!(id(&peers, 0), "10.0.0.5:50000");
    }

    #[test]
    fn a_connection_over_which_a_block_did_not_come_is_deaf_until_one_comes() {
        let mut peers = nodes(&["10.0.0.5:6000/50000", "10.0.0.6:6000"]);
        let last = hash(1);
        let later = Millis(NOW.0 + limits::DESKTOP_QUIET_MS);
        peers.note_unsaid(NOW, 0, &last);
        peers.note_unsaid(Millis(NOW.0 + 5), 0, &last);
        peers.note_unsaid(NOW, 1, &last);
        assert!(!peers.is_deaf(Millis(later.0 - 1), 0) && peers.is_deaf(later, 0));
        assert!(
            !peers.is_deaf(later, 1),
            "our own name for it is no other's"
        );
        peers.note_maker(later, 0, last);
        assert!(!peers.is_deaf(later, 0));
        peers.note_unsaid(NOW, 0, &last);
        assert!(!peers.is_deaf(later, 0), "that one came over it");
    }

    #[test]
    fn where_our_content_changed_all_are_asked_again_but_the_one_that_told_it() {
        let mut peers = nodes(&["10.0.0.5:6000", "10.0.0.6:6000", "10.0.0.7:6000"]);
        let later = Millis(NOW.0 + 60_000);
        for conn in 0..3 {
            let desktop = known(&mut peers, conn);
            desktop.note_added(NOW, 4);
            desktop.ask_at = Millis(u64::MAX);
        }
        peers.doubt_all(later, Some(1));
        let stands = [0, 1, 2].map(|conn| known(&mut peers, conn).stand);
        assert_eq!(stands, [Stand::Unknown, Stand::Same(4), Stand::Unknown]);
        let asks = [0, 1, 2].map(|conn| known(&mut peers, conn).ask_at);
        assert_eq!(asks, [later, Millis(u64::MAX), later]);
    }

    #[test]
    fn a_desktop_node_in_doubt_is_asked_on_the_line_on_which_it_is_spoken_to() {
        let mut peers = nodes(&["10.0.0.5:6000", "10.0.0.5:6000/50000"]);
        for conn in [0, 1] {
            known(&mut peers, conn).ask_at = Millis(u64::MAX);
        }
        peers.doubt(NOW, 0);
        let asks = [0, 1].map(|conn| known(&mut peers, conn).ask_at);
        assert_eq!(asks, [Millis(u64::MAX), NOW]);
        assert!(!peers.is_busy(1));
        known(&mut peers, 1).under_way = Some((1, NOW));
        assert!(peers.is_busy(1) && !peers.is_busy(0));
    }
}

#[test]
fn buffers_go_from_one_connection_of_a_place_to_the_next() {
    let mut peers = Peers::default();
    let conn = peers.free_conn().expect("a place");
    let at = usize::from(conn.0);
    let own = peers.buffers[at][0].as_ptr();
    for _ in 0..2 {
        peers.open(conn, peer(1));
        assert_eq!(peers.buffers[at][0].capacity(), 0);
        let reader = &mut peers.get_mut(at).expect("it is there").reader;
        let space = reader.space();
        assert_eq!(space.as_ptr(), own);
        space[0] = b'{';
        reader.received(1);
        assert!(reader.next().is_none() && reader.mid_line());
        peers.free(at).expect("it was there");
        assert_eq!(peers.buffers[at][0].as_ptr(), own);
    }
}

#[test]
fn whose_first_message_waits_to_be_read_has_said_it_in_time() {
    let mut peers = all();
    for (conn, bytes) in [(0, &b"x"[..]), (1, b"")] {
        let peer = peers.get_mut(conn).expect("a connection");
        peer.reader.space()[..bytes.len()].copy_from_slice(bytes);
        peer.reader.received(bytes.len());
    }
    let late = Millis(NOW.0 + 60_000);
    peers.excuse_unread(late);
    let awaited = |conn| peers.get(conn).map(|peer| peer.awaited);
    assert_eq!([awaited(0), awaited(1)], [Some(late), Some(NOW)]);
}
