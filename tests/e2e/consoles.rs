//! Several places to sit at: the control socket with `blx ctl`, and none at all.

use std::fs;
use std::io::Write;
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::harness::usage::{processor_time, switches};
use super::harness::{
    Home, LIMIT, Launch, Node, PROMPT, Signal, Stream, run, shown, until, wait_for,
};
use super::peer::{Peer, Person, after, block_message, listen};

/// A node with a control socket beside its standard input, and the socket's path.
pub fn with_socket() -> (Node, PathBuf) {
    let (launch, socket) = launch_with_socket(&Home::new());
    (launch.start(), socket)
}

/// How it is started.
pub fn launch_with_socket(home: &Home) -> (Launch, PathBuf) {
    let socket = home.path().join("blx.sock");
    let launch = home.node().arg("--console=stdio");
    let place = format!("--console=unix:{}", socket.display());
    (launch.arg(place), socket)
}

fn command(socket: &Path, words: &[&str]) -> Command {
    let mut command = run::command(&["ctl", "--socket"]);
    command.arg(socket).args(words);
    command
}

/// What `blx ctl` prints, errors included, and with which code it ends.
pub fn ctl(socket: &Path, words: &[&str]) -> (String, i32) {
    let (code, out, err) = run::run(&mut command(socket, words), b"");
    (out + &err, code)
}

/// The objects that it prints, a line each.
fn objects(socket: &Path, words: &[&str]) -> Vec<Value> {
    let (text, code) = ctl(socket, words);
    assert_eq!(code, 0, "{text}");
    let objects = text.lines().map(serde_json::from_str);
    objects.collect::<Result<_, _>>().expect("JSON")
}

/// A person's `blx ctl`.
fn session(socket: &Path) -> Node {
    Node::start("blx ctl", command(socket, &[]), 0)
}

#[test]
fn a_script_takes_and_returns_items_and_learns_what_is_refused() {
    let (mut node, socket) = with_socket();
    let done = |text: &str| (format!("{text}\n"), 0);
    let refused = |text: &str| (format!("{text}\n"), 1);
    assert_eq!(ctl(&socket, &["request", "saw"]), done("✅ requested saw"));
    assert_eq!(
        ctl(&socket, &["request", "saw"]),
        refused("❌ item saw is not available.")
    );
    assert_eq!(
        ctl(&socket, &["request", "axe", "saw"]),
        refused("❌ item saw is not available. nothing was requested.")
    );
    assert_eq!(
        ctl(&socket, &["request", "axe", "rope"]),
        done("✅ requested axe\n✅ requested rope")
    );
    assert_eq!(
        ctl(&socket, &["release", "saw", "saw"]),
        refused("❌ item saw is in the list twice: nothing was released.")
    );
    assert_eq!(ctl(&socket, &["release", "saw"]), done("✅ released saw"));
    assert_eq!(
        ctl(&socket, &["release", "saw"]),
        refused("❌ item saw is ready for request.")
    );
    let (reserved, code) = ctl(&socket, &["reserved"]);
    let lines: Vec<&str> = reserved.lines().collect();
    assert_eq!((lines.len(), lines[0], code), (3, "reserved items: 2", 0));
    assert!(lines[1].starts_with("  axe  taken "), "{reserved}");
    let (available, _) = ctl(&socket, &["available"]);
    assert!(available.contains("  saw  returned "), "{available}");
    // The other console has its own place in the menu, and knows the same.
    assert_eq!(node.reserved(), ["axe", "rope"]);
    let (status, code) = ctl(&socket, &["status"]);
    assert!(status.contains("[status] block count: 4\n"), "{status}");
    assert_eq!(code, 0);
    assert_eq!(ctl(&socket, &["peers"]), done("no peers are connected."));
    assert_eq!(
        ctl(&socket, &["sync"]),
        refused("❌ no peers are connected.")
    );
    let mut plain = command(&socket, &["request", "é"]);
    let plain = run::done(plain.env("LC_ALL", "C"), b"");
    assert_eq!(plain, "[ok] requested \\u{e9}\n");
}

#[test]
fn a_program_gets_an_object_for_each_thing() {
    let (_node, socket) = with_socket();
    let text = |value: &Value| value.to_string();
    let requested = objects(&socket, &["--json", "request", "saw", "a \"b\""]);
    let requested: Vec<String> = requested.iter().map(text).collect();
    assert_eq!(
        requested,
        [r#"{"requested":"saw"}"#, r#"{"requested":"a \"b\""}"#]
    );
    let (refused, code) = ctl(&socket, &["request", "--json", "saw"]);
    let expected = "{\"refused\":\"item saw is not available.\"}\n";
    assert_eq!((refused.as_str(), code), (expected, 1));
    objects(&socket, &["--json", "release", "saw"]);
    let reserved = objects(&socket, &["--json", "reserved"]);
    assert_eq!(reserved.len(), 1);
    assert_eq!(reserved[0]["item"], "a \"b\"");
    assert_eq!(
        (&reserved[0]["reserved"], &reserved[0]["this_node"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
    assert_eq!(objects(&socket, &["--json", "available"])[0]["block"], 2);
    let status = objects(&socket, &["--json", "status"]);
    assert_eq!((status.len(), &status[0]["blocks"]), (1, &Value::from(3)));
    assert_eq!(status[0]["damage"], Value::Null);
    assert!(objects(&socket, &["--json", "peers"]).is_empty());
}

#[test]
fn a_script_connects_lists_and_syncs() {
    let (_node, socket) = with_socket();
    let mut other = Launch::new().start();
    other.request("saw");
    let name = format!("127.0.0.1:{}", other.port);
    let connected = format!("✅ connected to {name}\n");
    assert_eq!(ctl(&socket, &["connect", &name]), (connected, 0));
    let already = format!("✅ connected to {name} already\n");
    assert_eq!(ctl(&socket, &["connect", &name]), (already, 0));
    // It ends when every peer has answered, so from here on the chain is here.
    let synced = objects(&socket, &["--json", "sync"]);
    assert_eq!(synced[0]["asked"][0], *name);
    assert_eq!(synced[1]["outcome"]["peer"], *name);
    assert_eq!(objects(&socket, &["--json", "status"])[0]["blocks"], 2);
    let peers = objects(&socket, &["--json", "peers"]);
    assert_eq!(
        (&peers[0]["address"], &peers[0]["node"]),
        (&name.into(), &"blx".into())
    );
    assert!(ctl(&socket, &["peers"]).0.contains(", blx, 2 blocks, "));
    let (listener, port) = listen();
    drop(listener);
    let nobody = format!("127.0.0.1:{port}");
    let (text, code) = ctl(&socket, &["connect", &nobody]);
    assert!(
        text.starts_with(&format!("❌ cannot connect to {nobody}: ")),
        "{text}"
    );
    assert_eq!(code, 1);
}

#[test]
fn everybody_has_a_menu_of_his_own_and_sees_every_event() {
    let (mut node, socket) = with_socket();
    let mut first = session(&socket);
    let mut second = session(&socket);
    first.enter(&["1"]);
    first.expect("item ID: ");
    second.enter(&["2"]);
    second.expect("item ID: ");
    node.request("rope");
    first.enter(&["saw"]);
    first.expect("✅ requested saw\n");
    second.enter(&["saw"]);
    second.expect("✅ released saw\n");
    let (mut peer, chain) = Peer::join(node.port);
    let block = after(&chain[3], vec![Person::new(1).requests("axe")]);
    peer.say(&block_message(&block));
    node.expect("[network 📦] received and added block #4\n");
    for session in [&mut first, &mut second] {
        session.expect("[network 📦] received and added block #4\n");
        session.expect(PROMPT);
        session.enter(&["9"]);
        session.expect("[status] block count: 5\n");
    }
    // Leaving one is not the node's end.
    first.enter(&["10"]);
    first.expect("good bye; the node goes on.\n");
    assert_eq!(first.code(), 0);
    second.finish();
    assert_eq!(node.status().blocks, 5);
    // Nor does anybody keep it from ending.
    let mut third = session(&socket);
    node.exit();
    assert_eq!(third.code(), 0);
    assert!(!socket.exists(), "it takes its socket away");
}

#[test]
fn a_person_without_blx_gets_the_menu_with_enter() {
    let (mut node, socket) = with_socket();
    let mut line = UnixStream::connect(&socket).expect("connects");
    let said = Stream::of(line.try_clone().expect("a second handle"));
    line.write_all(b"\n1\nsaw\n").expect("writes");
    let shown = said.await_text(0, "[ok] requested saw\n");
    assert!(shown.is_some(), "{}", said.text());
    assert!(said.text().starts_with("=== Blockchain Node"));
    drop(line);
    assert_eq!(node.reserved(), ["saw"]);
}

#[test]
fn an_old_socket_is_replaced_and_a_live_one_respected() {
    let home = Home::new();
    let socket = home.path().join("blx.sock");
    drop(UnixListener::bind(&socket).expect("binds"));
    let (launch, socket) = launch_with_socket(&home);
    let mut node = launch.start();
    let mode = fs::metadata(&socket).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o660);
    let place = format!("unix:{}", socket.display());
    let other = home.node().arg("--console").arg(&place);
    let mut other = other.spawn(Stdio::null());
    assert_eq!(other.code(), 1);
    let text = other.err.text();
    assert!(text.contains("is in use by another program"), "{text}");
    assert_eq!(
        ctl(&socket, &["status"]).1,
        0,
        "the first one is still there"
    );
    node.kill();
    let (text, code) = ctl(&socket, &["status"]);
    assert_eq!(code, 1);
    assert!(text.starts_with("blx: no node answers at "), "{text}");
    let _node = launch.start();
    assert_eq!(ctl(&socket, &["status"]).1, 0);
    fs::remove_file(&socket).expect("removes");
    fs::write(&socket, "mine").expect("writes");
    let mut third = home.node().arg("--console").arg(place).spawn(Stdio::null());
    assert_eq!(third.code(), 1);
    assert_eq!(fs::read_to_string(&socket).expect("reads"), "mine");
}

#[test]
fn whoever_does_not_speak_the_language_is_told_so() {
    let (mut node, socket) = with_socket();
    for wrong in [
        "{\"ask\":\"dance\"}\n",
        "{\n",
        "{\"ask\":{\"connect\":[\"a b\",1]}}\n",
    ] {
        let mut line = UnixStream::connect(&socket).expect("connects");
        let said = Stream::of(line.try_clone().expect("a second handle"));
        line.write_all(wrong.as_bytes()).expect("writes");
        assert!(said.await_text(0, "{\"exit\":1}\n").is_some(), "{wrong}");
        assert!(said.text().starts_with("{\"out\":\""), "{}", said.text());
    }
    // More than there are places: those who come too late hear it, and the node goes on.
    let lines: Vec<UnixStream> = (0..20)
        .map(|_| UnixStream::connect(&socket).expect("connects"))
        .collect();
    let (text, code) = ctl(&socket, &["status"]);
    assert_eq!(
        (text.as_str(), code),
        ("blx: all places are taken: try again later\n", 1)
    );
    assert_eq!(node.status().blocks, 1);
    drop(lines);
    let again = wait_for_status(&socket);
    assert!(again, "the places are free again");
}

/// The node sees one closed place after the other.
fn wait_for_status(socket: &Path) -> bool {
    (0..100).any(|_| ctl(socket, &["status"]).1 == 0)
}

#[test]
fn without_an_input_nothing_is_read_said_or_spent() {
    for (shell, signal) in [(None, Signal::TERM), (Some("exec 0<&-"), Signal::INT)] {
        let (listener, port) = listen();
        let mut launch = Launch::new().connect(port).logging();
        if let Some(words) = shell {
            launch = launch.shell(words);
        }
        let mut node = launch.spawn(Stdio::null());
        // Its call says that it runs; nobody is left when the clock starts.
        let mut peer = Peer::accept(&listener);
        peer.expect("peer_announce");
        peer.settle();
        node.signal(signal);
        assert_eq!(node.code(), 0);
        assert_eq!(node.said(), "");
    }
    let mut node = Launch::new().spawn(Stdio::null());
    until(|| TcpStream::connect(("127.0.0.1", node.port)));
    // It listens before it has a chain, and answers when it has. This one does not say where it
    // listens, so nobody calls it back.
    let mut caller = Peer::dial(node.port);
    caller.say(r#"{"type": "ping", "payload": {}}"#);
    caller.expect("pong");
    drop(caller);
    // That caller was work, and in an emulator so was the start.
    let work = || (switches(node.id()), processor_time(&node.id().to_string()));
    let mut before = work();
    until(|| {
        thread::sleep(Duration::from_secs(1));
        let then = mem::replace(&mut before, work());
        (then == before)
            .then_some(())
            .ok_or("it does not come to rest")
    });
    // This is no wait for something: the time itself is what is measured. That nothing is due later
    // is seen in the simulated world.
    thread::sleep(Duration::from_secs(5));
    assert_eq!(work(), before, "woken, and time of a processor");
    node.stop();
    assert_eq!(node.said() + &node.err.text(), "");
}

/// Several turns of work for a block, so that others can be first meanwhile.
const SLOW: &str = "--difficulty=4";

#[test]
fn whoever_loses_an_item_to_a_faster_one_is_told_and_never_that_it_is_done() {
    let [(first, one), (second, other)] = [(); 2].map(|()| launch_with_socket(&Home::new()));
    let sockets = [one, other];
    let first = first.arg(SLOW).start();
    let mut second = second.arg(SLOW).connect(first.port).start();
    second.ask(&["6", "127.0.0.1", &first.port.to_string()], "connected to");
    for round in 0..8 {
        let item = format!("item-{round}");
        let request = |socket| run::start(&mut command(socket, &["request", &item]));
        for child in sockets.each_ref().map(|socket| request(socket)) {
            match run::ended(child) {
                (0, text, _) => assert_eq!(text, format!("✅ requested {item}\n")),
                (1, text, _) => assert!(text.starts_with("❌ "), "{text:?}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn what_a_full_disk_keeps_from_being_done_is_not_called_nothing_if_it_will_be() {
    let launch = Launch::new().arg(SLOW);
    let full = launch.clone().full_disk(16);
    let mut node = full.start();
    let port = node.port;
    let mut asked = Vec::new();
    let refused = loop {
        let item = format!("{:x<700}", asked.len());
        node.enter(&["1", &item]);
        asked.push(item);
        let mut answer = node.expect("\n") + &node.expect(PROMPT);
        // One at a time: of several it is not said which is refused.
        while !answer.contains("❌ ") && !answer.contains("✅ ") {
            answer += &node.expect(PROMPT);
        }
        if let Some((_, why)) = answer.split_once("❌ ") {
            break why.to_owned();
        }
        assert!(asked.len() < 100, "the disk is never full");
    };
    node.kill();
    let mut node = launch.port(port).spawn(Stdio::piped());
    let last = shown(&asked.pop().expect("one at least"));
    let later = refused.contains("tried again at the next start");
    assert_ne!(later, refused.contains("nothing was changed"), "{refused}");
    if later {
        // It may be there before the first prompt.
        node.expect(&format!("requested {last}"));
    }
    node.expect(PROMPT);
    assert_eq!(node.reserved().contains(&last), later, "{refused}");
}

#[test]
fn whoever_types_and_does_not_read_is_not_listened_to() {
    let (_node, socket) = with_socket();
    let mut line = UnixStream::connect(&socket).expect("connects");
    let limit = Some(Duration::from_secs(2));
    line.set_write_timeout(limit).expect("a time limit");
    let enters = [b'\n'; 64 << 10];
    let taken = (0..128).position(|_| line.write_all(&enters).is_err());
    assert!(taken.is_some(), "it takes all there is");
    // Others are served meanwhile, and so is this one when it reads.
    assert_eq!(ctl(&socket, &["status"]).1, 0);
    let said = Stream::of(line.try_clone().expect("a second handle"));
    assert!(wait_for(LIMIT, || (said.len() > 4_000_000).then_some(())).is_some());
    let menus = said.text().matches("=== Blockchain Node").count();
    assert!(menus > 10_000, "{menus}");
}

#[test]
fn a_program_that_was_killed_leaves_its_place() {
    let (launch, socket) = launch_with_socket(&Home::new());
    let _node = launch.arg("--difficulty=12").start();
    for number in 0..20 {
        let mut line = UnixStream::connect(&socket).expect("connects");
        let ask = format!("{{\"ask\":{{\"request\":[\"item-{number}\"]}}}}\n");
        line.write_all(ask.as_bytes()).expect("writes");
        // Not a word more comes from it, as `blx ctl request ITEM <&-` has it.
        line.shutdown(Shutdown::Write).expect("shuts down");
    }
    assert!(wait_for_status(&socket), "their places are free");
}

#[test]
fn a_peer_that_is_connected_by_another_name_is_connected() {
    let (_node, socket) = with_socket();
    let other = Launch::new().start();
    let by = |host: &str| ctl(&socket, &["connect", &format!("{host}:{}", other.port)]);
    assert_eq!(by("127.0.0.1").1, 0);
    let already = format!("✅ connected to localhost:{} already\n", other.port);
    assert_eq!(by("localhost"), (already, 0));
    assert_eq!(objects(&socket, &["--json", "peers"]).len(), 1);
}
