use super::*;
use crate::ledger::Hash;
use crate::node::desktop::End;
use crate::node::effects::testing::who;

const REMOTE: ([u8; 4], u16) = ([10, 0, 0, 1], 6000);

/// A desktop node, or a device, whose queue is full behind `first`.
fn full(is_node: bool, first: Outgoing) -> Peer {
    let mut peer = Peer::new(Millis(0), REMOTE.into(), true);
    peer.kind = Kind::Desktop(Box::new(Desktop::new(Millis(0), is_node)));
    peer.push(first);
    while peer.writer.push(Outgoing::PeerList).is_ok() {}
    peer
}

#[test]
fn a_full_queue_does_not_forget_that_a_chain_is_owed() {
    for first in [Outgoing::Chain, Outgoing::Block(1)] {
        for last in [Outgoing::Block(9), Outgoing::Pong] {
            let mut peer = full(false, first);
            peer.push(last);
            // It is queued exactly when another one is taken although nothing else fits.
            while peer.writer.push(Outgoing::PeerList).is_ok() {}
            assert_eq!(
                peer.writer.push(Outgoing::Chain),
                Ok(()),
                "{first:?} {last:?}"
            );
        }
    }
}

#[test]
fn a_desktop_node_whose_queue_is_full_is_asked_what_it_has() {
    for first in [Outgoing::Chain, Outgoing::Block(1)] {
        for last in [Outgoing::Block(9), Outgoing::Pong] {
            let (what, mut peer) = ((first, last), full(true, first));
            let desktop = peer.desktop().expect("it is one");
            let whole = End {
                length: 1,
                hash: Hash::ZERO,
                forked: false,
                same: true,
                loose: 0,
            };
            desktop.has_told(Millis(0), None, Some(whole));
            let before = desktop.ask_at;
            peer.hear(Millis(2_000));
            peer.push(last);
            let desktop = peer.desktop().expect("it is one");
            assert!(!desktop.proven, "{what:?}");
            assert!(before > Millis(2_000), "it was not due");
            assert_eq!(desktop.ask_at, Millis(2_000), "{what:?}");
            // What was dropped is not told in another way before it has said what it has.
            while peer.writer.push(Outgoing::PeerList).is_ok() {}
            assert!(peer.writer.push(Outgoing::Chain).is_err(), "{what:?}");
        }
    }
}

#[test]
fn an_answer_is_waited_for_only_by_a_ping_that_leaves() {
    let mut peer = full(true, Outgoing::PeerList);
    assert_eq!(peer.probe(), 0, "there is no room for it");
    let mut peer = Peer::new(Millis(0), REMOTE.into(), true);
    assert_eq!(peer.probe(), 1);
    for _ in 0..3 {
        peer.ponged(Millis(0));
    }
    let [pings, answered] = peer.probes;
    assert_eq!((pings, answered), (1, 1), "said unasked");
}

#[test]
fn how_long_an_answer_took_is_told_of_the_ping_that_it_answers() {
    let mut peer = Peer::new(Millis(0), REMOTE.into(), true);
    peer.probe();
    peer.ping(Millis(100));
    peer.ponged(Millis(150));
    assert_eq!(peer.ping_ms, None, "it answers what was asked before");
    peer.ponged(Millis(170));
    assert_eq!(peer.ping_ms, Some(70));
    // Said unasked, it answers nothing that comes later.
    peer.ponged(Millis(200));
    peer.ping(Millis(300));
    peer.ponged(Millis(340));
    assert_eq!(peer.ping_ms, Some(40));
    // We were away meanwhile.
    peer.ping(Millis(400));
    peer.excuse(Millis(9_000), 8_000);
    peer.ponged(Millis(9_000));
    assert_eq!(peer.ping_ms, Some(40));
    // It never leaves.
    let mut peer = full(true, Outgoing::PeerList);
    peer.ping(Millis(0));
    assert_eq!(peer.timed, None);
}

#[test]
fn a_question_that_is_not_answered_is_not_looked_after_all_the_time_while_there_is_no_room() {
    let mut peer = full(false, Outgoing::PeerList);
    peer.ask(Millis(0));
    let now = Millis(limits::ANSWER_MAX_MS);
    peer.hear(now);
    assert!(!peer.tend_question(now));
    assert!(peer.deadline() > now, "it would be now for ever");
    // Where there is room a ping shows whether it was passed over.
    let mut peer = Peer::new(Millis(0), REMOTE.into(), true);
    peer.kind = Kind::Desktop(Box::new(Desktop::new(Millis(0), false)));
    peer.ask(Millis(0));
    peer.hear(now);
    assert_eq!(peer.deadline(), now);
    assert!(!peer.tend_question(now) && peer.probes == [1, 0]);
    assert!(peer.deadline() > now);
}

#[test]
fn a_first_message_is_waited_for_and_what_is_none_does_not_count() {
    let new = || {
        let mut peer = Peer::new(Millis(0), REMOTE.into(), false);
        // Something comes all the time.
        peer.hear(Millis(limits::FIRST_MESSAGE_MS - 1));
        peer
    };
    let late = Millis(limits::FIRST_MESSAGE_MS);
    let verdict = Some("it has said nothing that is a message");
    assert_eq!(new().deadline(), late);
    assert_eq!(new().tend(Millis(late.0 - 1)), None);
    assert_eq!(new().tend(late), verdict);
    let mut spoken = new();
    spoken.kind = Kind::Ours(Some(who(1)));
    assert_eq!(spoken.tend(late), None);
    // A chain may take longer than that, and is one message.
    let mut chain = new();
    chain.blocks_in = 1;
    assert_eq!(chain.tend(late), None);
    let mut excused = new();
    excused.excuse(Millis(late.0 - 1), 5);
    assert_eq!(excused.tend(Millis(late.0 + 4)), None);
    assert_eq!(excused.tend(Millis(late.0 + 5)), verdict);
}
