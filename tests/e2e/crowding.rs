//! What somebody can do who has many connections, or many addresses, and means to have a node to
//! himself; and when those are served meanwhile who keep the rules. All of it on a network of its own, as
//! those on this machine are trusted.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use blx::limits;
use blx::wire::MessageKind;

use super::harness::netns::{Cable, FAR, NODE, OTHERS, other};
use super::harness::{Node, until};
use super::needs;
use super::peer::{Ours, PING, Peer, Person, message, plain, transaction_message};

/// Who keeps the rules, and has his own address.
const HONEST: u8 = OTHERS - 1;

/// A network, if there can be one here.
fn cable() -> Option<Cable> {
    Cable::new().map_err(|why| needs::no_netns(&why)).ok()
}

/// How long it takes until somebody from this address is answered, who calls again when hung up on.
fn served_after(cable: &Cable, from: Ipv4Addr, node: &Node) -> Duration {
    let begun = Instant::now();
    until(|| {
        let mut peer = cable
            .try_dial(from, node.port)
            .map_err(|error| error.to_string())?;
        peer.try_send(PING.as_bytes());
        while let Some(line) = peer.line() {
            if line.starts_with(r#"{"type": "pong""#) {
                return Ok(());
            }
        }
        // As others do, who do not call again at once.
        thread::sleep(Duration::from_millis(200));
        Err("nobody is served".to_owned())
    });
    begun.elapsed()
}

#[test]
fn whoever_breaks_a_rule_and_calls_again_is_left_alone_after_the_third() {
    let Some(cable) = cable() else { return };
    let mut node = cable.node().logging().start();
    let mut forged = Person::new(1).requests("saw");
    forged.uid = "axe".into();
    for count in 1..=3 {
        let mut peer = cable.dial(other(0), node.port);
        peer.greet();
        assert!(peer.try_send(transaction_message(&forged).as_bytes()));
        node.expect_log("dropped: a transaction: its signature does not verify");
        if count < 3 {
            peer.settle();
        } else {
            peer.expect_close();
            node.expect_log("connection closed: it broke the rules three times");
        }
    }
    // It is not listened to, whatever node it says that it is, nor dialed.
    let listener = cable.listen(6_001);
    let mut again = cable.dial(other(0), node.port);
    assert_eq!(again.expect_close(), "");
    node.expect_log("is refused: it broke the rules and is left alone for a while");
    let mut honest = cable.dial(other(HONEST), node.port);
    let told = [(0, 6_001), (1, 6_001)].map(|(host, port)| format!("\"{}:{port}\"", other(host)));
    honest.say(&list(&told));
    let called = Peer::accept(&listener);
    assert!(
        called.name.starts_with(&other(1).to_string()),
        "{}",
        called.name
    );
    let served = served_after(&cable, other(HONEST - 1), &node);
    println!("three broken rules, then: others are served after {served:?}");
    assert!(served < Duration::from_secs(5), "{served:?}");
}

/// Says nothing that means anything on all of these, until `done`.
fn babble(peers: &mut Vec<Peer>, mut done: impl FnMut(&[Peer]) -> bool) {
    let lines: [&[u8]; 3] = [b"", b"what?", b"\r"];
    let mut round = 0;
    let end = Instant::now() + Duration::from_secs(120);
    while !done(peers) {
        assert!(Instant::now() < end, "{} have a place", peers.len());
        round += 1;
        peers.retain_mut(|peer| peer.try_send(lines[round % lines.len()]));
        thread::sleep(Duration::from_millis(250));
    }
}

#[test]
fn who_says_nothing_that_means_anything_has_his_places_for_half_a_minute() {
    let Some(cable) = cable() else { return };
    let node = cable.node().logging().start();
    let begun = Instant::now();
    let mut idlers: Vec<Peer> = (0..32)
        .map(|host| cable.dial(other(host), node.port))
        .collect();
    let full = node.err.await_text(0, "all 24 places of callers are taken");
    assert!(full.is_some(), "some are refused");
    let served = thread::scope(|scope| {
        let honest = scope.spawn(|| served_after(&cable, other(HONEST), &node));
        babble(&mut idlers, |_| honest.is_finished());
        honest.join().expect("it is served")
    });
    // The places of the others are free when their time is over.
    babble(&mut idlers, |idlers| idlers.is_empty());
    let gone = begun.elapsed();
    println!(
        "32 idle connections: somebody else is served after {served:?}, they are gone after {gone:?}"
    );
    assert!(served < Duration::from_secs(20), "{served:?}");
    assert!(gone < Duration::from_secs(45), "{gone:?}");
}

#[test]
fn who_floods_from_one_address_leaves_room_for_others() {
    let Some(cable) = cable() else { return };
    let node = cable.node().start();
    let served = thread::scope(|scope| {
        let flood = scope.spawn(|| cable.flood(other(0), node.port, 4_000, 64));
        let mut served = Vec::new();
        while !flood.is_finished() {
            served.push(served_after(&cable, other(HONEST), &node));
            // One caller in the middle of many others, and no flood of its own.
            thread::sleep(Duration::from_millis(50));
        }
        served
    });
    let longest = served.iter().max().expect("it was tried");
    println!(
        "4,000 connections from one address: {} others are served, each within {longest:?}",
        served.len()
    );
    assert!(*longest < Duration::from_secs(5), "{longest:?}");
}

#[test]
fn who_is_named_is_dialed_although_all_places_are_taken() {
    let Some(cable) = cable() else { return };
    let mut node = cable.node().start();
    let mut callers: Vec<Peer> = (0..32)
        .map(|host| cable.dial(other(host), node.port))
        .collect();
    callers.retain_mut(|peer| peer.try_send(PING.as_bytes()) && peer.line().is_some());
    assert_eq!(callers.len(), 24);
    let listener = cable.listen(6_001);
    let mut longest = Duration::ZERO;
    let mut named = Vec::new();
    for host in 40..50 {
        let begun = Instant::now();
        let (ip, port) = (other(host).to_string(), "6001");
        node.ask(&["6", &ip, port], &format!("✅ connected to {ip}:{port}\n"));
        longest = longest.max(begun.elapsed());
        named.push(Peer::accept(&listener));
    }
    println!("32 callers: each of ten that are named is connected within {longest:?}");
    assert_eq!(node.status().peers, 32);
}

#[test]
fn who_says_that_he_is_a_node_that_was_dialed_does_not_get_its_place() {
    let Some(cable) = cable() else { return };
    let mut node = cable.node().logging().start();
    let listener = cable.listen(6_001);
    let (ip, port) = (other(40).to_string(), "6001");
    node.ask(&["6", &ip, port], &format!("✅ connected to {ip}:{port}\n"));
    // Its number is the lower one: of two connections to it the one that the node dialed is closed.
    let (named, mut line) = (Ours::new(0), Peer::accept(&listener));
    let heard = line.expect("peer_announce");
    line.say(&says_line(&named));
    let proven = line.expect("ping");
    assert!(proven.contains(r#""proof": ""#), "{proven}");
    let proof = named.proves(false, &heard);
    line.say(&message(MessageKind::Ping, &proof));
    line.settle();
    let begun = Instant::now();
    let mut liars: Vec<Peer> = (0..20)
        .map(|host| {
            let mut liar = cable.dial(other(host), node.port);
            liar.say(&says_line(&named));
            // What that one has proven before, to this node and, as one that dialed, to the liar.
            let called = says_line(&Ours::new(9));
            for proof in [proof.clone(), named.proves(true, &called)] {
                liar.say(&message(MessageKind::Ping, &proof));
            }
            liar
        })
        .collect();
    let served = served_after(&cable, other(HONEST), &node);
    for liar in &mut liars {
        let said = liar.settle();
        assert!(!said.contains(r#""proof": ""#), "{said}");
    }
    let took = begun.elapsed();
    println!(
        "20 callers with the number of one that was dialed: somebody else is served after {served:?}, and that one is there after {took:?}"
    );
    line.settle();
    node.ask(&["7"], &format!("{ip}:{port} (we dialed), blx, "));
    assert!(served < Duration::from_secs(5), "{served:?}");
    // With its own key it is the same one: the tie is broken as it always is.
    let mut again = cable.dial(other(40), node.port);
    again.say(&says_line(&named));
    let heard = again.expect("peer_announce");
    again.say(&message(MessageKind::Ping, &named.proves(true, &heard)));
    line.expect_close();
    again.settle();
}

/// How one of ours greets.
fn says_line(who: &Ours) -> String {
    message(MessageKind::PeerAnnounce, &format!("{{{}}}", who.says()))
}

fn list(told: &[String]) -> String {
    let told = told.join(", ");
    message(MessageKind::PeerList, &format!(r#"{{"peers": [{told}]}}"#))
}

/// Who has called by now: the addresses that were dialed.
fn called(listener: &TcpListener) -> Vec<IpAddr> {
    listener.set_nonblocking(true).expect("an option");
    let mut dialed = Vec::new();
    while let Ok((stream, from)) = listener.accept() {
        assert_eq!(from.ip(), IpAddr::V4(NODE));
        dialed.push(stream.local_addr().expect("an address").ip());
    }
    dialed
}

#[test]
fn who_tells_of_others_has_few_of_them_dialed_and_does_not_see_who_is_there() {
    let Some(cable) = cable() else { return };
    let node = cable.node().start();
    let ports = [6_001, 6_002, 6_003, 1_023];
    let listeners = ports.map(|port| cable.listen(port));
    let begun = Instant::now();
    // Lists are heard once a minute of a connection, and have at most 64 addresses.
    let mut liars: Vec<Peer> = (0..4).map(|_| cable.dial(other(0), node.port)).collect();
    for (at, liar) in liars.iter_mut().enumerate() {
        let hosts = 1 + 20 * at as u8..1 + 20 * (at as u8 + 1);
        let mut told = vec![format!("\"{FAR}:6001\"")];
        for host in hosts {
            let ports = [1_023, 6_001, 6_002, 6_003][..3].iter();
            told.extend(ports.map(|port| format!("\"{}:{port}\"", other(host))));
        }
        liar.say(&list(&told));
        liar.settle();
    }
    let mut dialed: Vec<IpAddr> = Vec::new();
    until(|| {
        for listener in &listeners {
            dialed.extend(called(listener));
        }
        match dialed.len() >= limits::DIALS_PER_SOURCE {
            true => Ok(()),
            false => Err(format!("{} dials", dialed.len())),
        }
    });
    let took = begun.elapsed();
    // What somebody else tells then comes at once, although the others were told before.
    let mut honest = cable.dial(other(HONEST), node.port);
    honest.say(&list(&[format!("\"{}:6004\"", other(100))]));
    let mut met = Peer::accept(&cable.listen(6_004));
    met.expect("peer_announce");
    for listener in &listeners {
        dialed.extend(called(listener));
    }
    println!(
        "4 lists of 61 addresses: {} dials in {took:?}, then none of them",
        dialed.len()
    );
    assert_eq!(dialed.len(), limits::DIALS_PER_SOURCE);
    assert!(!dialed.contains(&IpAddr::V4(FAR)), "it is in no subnet");
    // It listens, and has said nothing: nobody is told of it until it has.
    let told = |from: u8| {
        let mut asks = cable.dial(other(from), node.port);
        asks.say(&plain("peer_announce"));
        asks.expect("peer_list")
    };
    let there = format!("\"{}:6004\"", other(100));
    let before = told(HONEST - 1);
    assert!(!before.contains(&there), "{before}");
    met.settle();
    let after = told(HONEST - 2);
    assert!(after.contains(&there), "{after}");
}
