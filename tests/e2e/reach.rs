//! Who can be reached, how many, and when a node calls again.

use std::net::{IpAddr, Ipv6Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use blx::wire::MessageKind;

use super::harness::usage::{processor_time, switches};
use super::harness::{Home, LIMIT, Launch, Node, PROMPT, free_port, until, wait_for};
use super::peer::{
    Ours, PING, Peer, Person, Role, after, block_message, chain_message, listen, message, mine,
    says,
};

#[test]
fn the_twenty_fifth_caller_is_refused_with_a_reason_and_gets_the_place_of_one_that_leaves() {
    let mut node = Launch::new().logging().start();
    let mut peers: Vec<Peer> = (0..24).map(|_| Peer::dial(node.port)).collect();
    // At once: later the place of one that says nothing would be given to it.
    let mut late = Peer::dial(node.port);
    assert_eq!(late.expect_close(), "");
    node.expect_log(&format!(
        "{} is refused: all 24 places of callers are taken\n",
        late.name
    ));
    assert_eq!(node.status().peers, 24);
    for peer in &mut peers {
        peer.settle();
    }

    let left = peers.pop().expect("24 peers");
    let name = left.name.clone();
    drop(left);
    node.expect_log(&format!("{name}: connection closed: "));
    Peer::dial(node.port).settle();
}

#[test]
fn nodes_meet_over_ipv6() {
    let mut node = Launch::new().bind("::1").start();
    let address = format!("[::1]:{}", node.port);
    let mut dialer = Launch::new()
        .bind("::1")
        .arg("--connect")
        .arg(&address)
        .start();
    Peer::dial_at(IpAddr::V6(Ipv6Addr::LOCALHOST), node.port).settle();
    // The menu takes the address with and without brackets.
    let port = node.port.to_string();
    let mut third = Launch::new().start();
    third.ask(
        &["6", "[::1]", &port],
        &format!("✅ connected to {address}\n"),
    );
    third.ask(
        &["6", "::1", &port],
        &format!("✅ connected to {address} already\n"),
    );
    third.ask(&["7"], &format!("{address} (we dialed), "));
    node.request("kayak");
    for other in [&mut dialer, &mut third] {
        // As a block on top of the same first one, or with the chain it stands in.
        let came = [
            "received and added block #1\n",
            "adopted longer chain (2 blocks)\n",
        ];
        let got = wait_for(LIMIT, || {
            let shown = other.out.text();
            came.iter().any(|text| shown.contains(text)).then_some(())
        });
        assert!(got.is_some(), "the block does not arrive");
        assert_eq!(other.reserved(), ["kayak"]);
    }
}

#[test]
fn a_peer_that_is_not_there_yet_is_dialed_until_it_is_and_again_when_it_left() {
    let port = free_port();
    let mut node = Launch::new().connect(port).start();
    let name = format!("127.0.0.1:{port}");
    let list = node.ask(&["7"], "(not connected)");
    assert!(list.contains(&name), "{list}");

    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let mut peer = Peer::accept(&listener);
    peer.expect("peer_announce");
    node.expect(&format!("[network 🔗] connected to {name} again\n"));

    let left = Instant::now();
    drop(peer);
    node.expect(&format!("[network 🔗] lost {name}: "));
    let mut peer = Peer::accept(&listener);
    peer.expect("peer_announce");
    node.expect(&format!("[network 🔗] connected to {name} again\n"));
    println!("called again after {:?}", left.elapsed());
    let list = node.ask(
        &["7"],
        &format!("{name} (we dialed), has not spoken yet, not pinged yet, connected "),
    );
    let since = list.rsplit("connected ").next().unwrap_or_default();
    let (seconds, counts) = since.split_once(" s, ").expect("for how long");
    let seconds: u64 = seconds.parse().expect("a number");
    assert!(seconds <= left.elapsed().as_secs(), "{list}");
    assert!(counts.starts_with("blocks 0 in"), "{list}");
    assert!(!list.contains("last error"), "{list}");
}

#[test]
fn a_node_that_is_told_to_connect_to_itself_says_so_once_and_goes_on() {
    let home = Home::new();
    let port = free_port();
    let mut node = home.node().port(port).connect(port).start();
    node.expect(&format!(
        "❌ cannot connect to 127.0.0.1:{port}: that is this node itself.\n"
    ));
    node.expect(PROMPT);
    node.ask(&["7"], "no peers are connected.\n");
    node.request("saw");
}

#[test]
fn a_peer_of_the_menu_is_dialed_again_too() {
    let (listener, port) = listen();
    let mut node = Launch::new().start();
    let answer = format!("✅ connected to localhost:{port}\n");
    node.ask(&["6", "localhost", &port.to_string()], &answer);
    drop(Peer::accept(&listener));
    node.expect(&format!("[network 🔗] lost localhost:{port}: "));
    Peer::accept(&listener).expect("peer_announce");
    node.expect(&format!(
        "[network 🔗] connected to localhost:{port} again\n"
    ));
}

#[test]
fn two_that_name_each_other_keep_one_connection_by_whatever_name() {
    let home = Home::new();
    // Which of the two connections stays is chance.
    for _ in 0..3 {
        let ports = [free_port(), free_port()];
        let start = |at: usize| {
            let other = format!("localhost:{}", ports[1 - at]);
            let node = home.node().port(ports[at]).arg("--connect").arg(other);
            node.start()
        };
        let mut nodes = [start(0), start(1)];
        let once = |node: &mut Node| {
            let list = node.ask(&["7"], "\n");
            let connected = list.matches("blx, 1 blocks, agrees with us, ").count();
            connected == 1 && list.matches('(').count() == 1
        };
        for node in &mut nodes {
            // What the other has is heard of with a ping, after 10 s.
            until(|| once(node).then_some(()).ok_or("not connected once"));
        }
        // The first dials again would follow after 1 and 2 seconds.
        thread::sleep(Duration::from_secs(4));
        for node in &mut nodes {
            assert!(once(node), "{}: no longer connected once", node.port);
            let shown = node.out.text_from(0);
            assert!(!shown.contains("] lost "), "{shown}");
            // The first one dialed before the other was there.
            assert!(shown.matches(" again\n").count() <= 1, "{shown}");
        }
    }
}

#[test]
fn one_of_ours_that_we_dial_is_known_although_a_block_comes_first() {
    let (listener, port) = listen();
    let mut node = Launch::new().connect(port).start();
    let mut peer = Peer::accept(&listener);
    peer.expect("peer_announce");
    // So does a release that had something to tell before it heard who called.
    let chain = Person::new(1).chain(&["saw"]);
    peer.say(&block_message(&chain[1]));
    peer.expect("request_chain");
    let tip = chain[1].hash;
    let says = Ours::new(7).says();
    let greeting = format!(r#"{{{says}, "length": 2, "tip": "{tip}", "pool": []}}"#);
    peer.say(&message(MessageKind::PeerAnnounce, &greeting));
    let ping = peer.expect("ping");
    assert!(ping.contains(r#""length": 1, "tip": ""#), "{ping}");
    peer.say(&chain_message(&chain));
    node.expect("[consensus ✅] adopted longer chain (2 blocks)");
    node.ask(
        &["7"],
        " (we dialed), blx, 2 blocks, agrees with us, not pinged yet, ",
    );
}

#[test]
fn who_was_banned_is_sent_away_when_it_dials_and_others_of_its_host_are_not() {
    let mut node = Launch::new().logging().start();
    let (listener, port) = listen();
    let mut bad = Person::new(2).chain(&["a"]);
    bad[1].nonce += 1;
    let mut peer = Peer::dial(node.port);
    for _ in 0..3 {
        assert!(peer.try_send(says(&block_message(&bad[1]), port).as_bytes()));
    }
    peer.expect_close();

    let mut again = Peer::dial(node.port);
    assert!(again.try_send(says(PING, port).as_bytes()));
    assert_eq!(again.expect_close(), "");
    node.expect_log("connection closed: it broke the rules and is left alone");
    let mut other = Peer::dial(node.port);
    other.settle();
    other.say(&message(
        MessageKind::PeerList,
        &format!(r#"{{"peers": ["127.0.0.1:{port}"]}}"#),
    ));
    other.settle();
    // Somebody who was learned is dialed within a second.
    thread::sleep(Duration::from_secs(2));
    listener.set_nonblocking(true).expect("an option");
    assert!(listener.accept().is_err(), "it was dialed");
    listener.set_nonblocking(false).expect("an option");

    let answer = format!("✅ connected to localhost:{port}\n");
    node.ask(&["6", "localhost", &port.to_string()], &answer);
    let mut wanted = Peer::accept(&listener);
    wanted.say(&says(PING, port));
    wanted.expect("pong");
}

#[test]
fn the_list_of_peers_counts_blocks_and_messages() {
    let mut node = Launch::new().start();
    let (mut peer, chain) = Peer::join(node.port);
    let block = after(&chain[0], vec![Person::new(1).requests("saw")]);
    peer.say(&block_message(&block));
    peer.settle();
    let list = node.ask(
        &["7"],
        &format!(
            "{} (dialed us, listens on 1), blx, 2 blocks, agrees with us, not pinged yet, ",
            peer.name
        ),
    );
    // In: its greeting, request_chain, three pings, a block. Out: greeting, peers, chain, pongs.
    let counts = "blocks 1 in 1 out, messages 6 in 6 out\n";
    assert!(list.contains(counts), "{list}");
}

#[test]
fn a_desktop_node_agrees_with_us_while_its_chain_proves_it() {
    let mut node = Launch::new().start();
    let (mut peer, mut chain) = Peer::join_as(Role::Desktop, node.port);
    let start = format!("{} (dialed us, listens on 1), desktop, ", peer.name);
    let list = |node: &mut Node| {
        let list = node.ask(&["7"], &start);
        let (_, rest) = list.rsplit_once(&start).expect("it is there");
        rest.to_owned()
    };
    let told = list(&mut node);
    assert!(told.starts_with("1 blocks, "), "{told}");
    assert!(
        told.contains(" s ago, agrees with us, not pinged yet, "),
        "{told}"
    );

    let block = after(&chain[0], vec![Person::new(1).requests("saw")]);
    peer.say(&block_message(&block));
    chain.push(block);
    peer.settle();
    let told = list(&mut node);
    assert!(told.starts_with("2 blocks, "), "{told}");
    assert!(
        told.contains(" s ago, not pinged yet, "),
        "only a block: {told}"
    );
    // In: its greeting, request_chain, the answer, two pings, a block.
    assert!(told.contains("blocks 2 in 1 out, messages 6 in "), "{told}");
    assert!(
        told.ends_with(&format!(" out, we speak\n{PROMPT}")),
        "{told}"
    );

    peer.tells = Some(chain);
    node.enter(&["8"]);
    peer.expect("request_chain");
    peer.tell();
    node.expect("[consensus ℹ️] kept current chain (already longest)\n");
    node.expect(PROMPT);
    let told = list(&mut node);
    assert!(told.starts_with("2 blocks, "), "{told}");
    assert!(
        told.contains(" s ago, agrees with us, not pinged yet, "),
        "{told}"
    );

    node.request("axe");
    peer.expect("new_block");
    let told = list(&mut node);
    assert!(told.starts_with("2 blocks, "), "{told}");
    assert!(
        told.contains(" s ago, not pinged yet, "),
        "told since: {told}"
    );
}

#[test]
fn a_desktop_node_with_a_block_that_does_not_link_is_not_called_one_of_our_mind() {
    let mut node = Launch::new().start();
    let (mut peer, mut chain) = Peer::join_as(Role::Desktop, node.port);
    let request = Person::new(1).requests("saw");
    chain.push(after(&chain[0], vec![request.clone()]));
    // Its threads raced: the same request once more.
    let mut unlinked = after(&chain[1], vec![request]);
    unlinked.prev_hash = chain[0].hash;
    chain.push(mine(unlinked));
    peer.tells = Some(chain);
    peer.tell();
    node.expect("[consensus ✅] adopted longer chain (2 blocks)\n");
    node.expect(PROMPT);
    let list = node.ask(&["7"], " (dialed us, listens on 1), desktop, 3 blocks, ");
    // We took the others, but its own chain is not what we have.
    assert!(list.contains(" s ago, not pinged yet, "), "{list}");
    assert_eq!(node.reserved(), ["saw"]);
}

#[test]
fn an_idle_node_sleeps_until_it_has_to_ask_whether_its_peer_is_there() {
    let mut node = Launch::new().start();
    let (mut peer, _) = Peer::join(node.port);
    node.status();
    let start = Instant::now();
    peer.settle();
    let busy = || processor_time(&node.id().to_string());
    let (before, worked) = (switches(node.id()), busy());
    let ping = peer.line().unwrap_or_default();
    let tells = r#"{"type": "ping", "payload": {"length": 1, "tip": ""#;
    assert!(ping.starts_with(tells), "{ping}");
    let (woken, quiet) = (switches(node.id()) - before, start.elapsed());
    assert!(quiet.as_secs() >= 8, "asked after {quiet:?}");
    let worked = busy() - worked;
    assert!(worked < Duration::from_secs(1), "busy for {worked:?}");
    // It may still have been on its way to bed, and the ping takes two; a busy machine adds some.
    assert!(woken <= 12, "woken {woken} times in {quiet:?}");
}
