//! What a service manager hears, and what its journal gets.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use super::harness::{Home, LIMIT, Launch, Node};
use super::page;

/// The manager's end of the notify protocol.
struct Manager {
    home: Home,
    socket: UnixDatagram,
    address: String,
    /// Lines that were not asked for yet.
    heard: Vec<String>,
}

impl Manager {
    fn new() -> Manager {
        let home = Home::new();
        let address = home.path().join("notify");
        let socket = UnixDatagram::bind(&address).expect("binds");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        Manager {
            home,
            socket,
            address: address.display().to_string(),
            heard: Vec::new(),
        }
    }

    /// A node without a console that knows of it.
    fn launch(&self) -> Launch {
        self.told_by(self.home.node().arg("--headless"))
    }

    /// The same of another node.
    fn told_by(&self, launch: Launch) -> Launch {
        launch.env("NOTIFY_SOCKET", &self.address)
    }

    /// Waits for this line, and returns those before it.
    fn expect(&mut self, line: &str) -> Vec<String> {
        loop {
            if let Some(at) = self.heard.iter().position(|heard| heard == line) {
                let mut before: Vec<String> = self.heard.drain(..=at).collect();
                before.pop();
                return before;
            }
            let mut bytes = [0; 500];
            let count = self.socket.recv(&mut bytes).unwrap_or_else(|error| {
                panic!("{error}: no {line:?}, but {:?}", self.heard);
            });
            let text = str::from_utf8(&bytes[..count]).expect("UTF-8");
            self.heard.extend(text.lines().map(str::to_owned));
        }
    }
}

fn spawn(launch: &Launch) -> Node {
    launch.spawn(Stdio::null())
}

#[test]
fn a_manager_hears_of_start_changes_and_end() {
    let mut manager = Manager::new();
    let mut node = spawn(&manager.launch());
    manager.expect("READY=1");
    manager.expect("STATUS=height 0, 0 peers");
    let peer = TcpStream::connect(("127.0.0.1", node.port)).expect("it listens when it is ready");
    manager.expect("STATUS=height 0, 1 peers");
    drop(peer);
    manager.expect("STATUS=height 0, 0 peers");
    node.stop();
    let before = manager.expect("STOPPING=1");
    assert_eq!(before, [""; 0], "without a watchdog");
}

#[test]
fn a_watchdog_is_fed_until_the_end() {
    let mut manager = Manager::new();
    let launch = manager.launch().env("WATCHDOG_USEC", "400000");
    let mut node = spawn(&launch);
    manager.expect("READY=1");
    for _ in 0..5 {
        manager.expect("WATCHDOG=1");
    }
    node.stop();
    manager.expect("STOPPING=1");
    // Of another process, it is none of ours.
    let mut node = spawn(&launch.env("WATCHDOG_PID", "1"));
    manager.expect("READY=1");
    let peer = TcpStream::connect(("127.0.0.1", node.port)).expect("connects");
    manager.expect("STATUS=height 0, 1 peers");
    drop(peer);
    node.stop();
    let before = manager.expect("STOPPING=1");
    assert!(!before.contains(&"WATCHDOG=1".to_owned()), "{before:?}");
}

#[test]
fn a_manager_that_is_away_is_missed_in_one_line() {
    let mut manager = Manager::new();
    let launch = manager.launch().env("WATCHDOG_USEC", "1000");
    let mut node = spawn(&launch.env("RUST_LOG", "debug"));
    manager.expect("READY=1");
    fs::remove_file(&manager.address).expect("is there");
    let missing = "the service manager is not told: no such file or directory";
    node.expect_log(missing);
    let _guests = guests(&node, 1);
    node.expect_log(" connected\n");
    node.stop();
    assert_eq!(node.err.text().matches(missing).count(), 1);
}

#[test]
fn a_manager_whose_queue_is_full_hears_of_the_start_later() {
    let mut manager = Manager::new();
    let others = UnixDatagram::unbound().expect("a socket");
    others.set_nonblocking(true).expect("nonblocking");
    while others.send_to(b"OTHERS=1", &manager.address).is_ok() {}
    let launch = manager.told_by(Launch::new());
    let mut node = launch.logging().start();
    // It has completed a turn when it tells of a guest, and then has nothing to do.
    let _guests = guests(&node, 1);
    node.expect_log(" connected\n");
    let before = manager.expect("READY=1");
    assert!(
        before.iter().all(|line| line == "OTHERS=1"),
        "there was no room: {before:?}"
    );
    manager.expect("STATUS=height 0, 1 peers");
    node.stop();
    manager.expect("STOPPING=1");
}

/// With standard error as the journal's stream, as far as a process can see.
fn journaled() -> Launch {
    let launch = Launch::new().arg("--headless");
    launch
        .shell("JOURNAL_STREAM=$(/usr/bin/stat -L -c %d:%i /proc/self/fd/2); export JOURNAL_STREAM")
}

/// Peers that come and say nothing.
fn guests(node: &Node, count: usize) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect(("127.0.0.1", node.port)).expect("connects");
    (0..count).map(connect).collect()
}

#[test]
fn the_journal_gets_every_line_with_its_priority() {
    let mut manager = Manager::new();
    let launch = manager.told_by(journaled());
    let mut node = spawn(&launch);
    manager.expect("READY=1");
    drop(guests(&node, 5));
    for _ in 0..5 {
        node.expect_log(": connection closed");
    }
    node.stop();
    let all = node.err.text();
    let came = all.lines().filter(|line| line.ends_with(" connected"));
    assert_eq!(came.count(), 5, "{all}");
    for line in all.lines() {
        let text = line.strip_prefix("<6>").expect("its priority is info");
        assert!(!text.contains("blx:") && !text.contains("info:"), "{line}");
    }
}

/// The node counts no lines itself, and asks for no time while it reads its chain.
#[test]
fn the_unit_bounds_the_journal_and_gives_a_start_its_time() {
    let unit = fs::read_to_string(page::path("cross/blx.service")).expect("it is there");
    for option in [
        "LogRateLimitIntervalSec=10s",
        "LogRateLimitBurst=30",
        "TimeoutStartSec=infinity",
    ] {
        assert!(unit.lines().any(|line| line == option), "{option}");
    }
}

#[test]
fn a_fault_is_an_error_in_the_journal_too() {
    let mut node = spawn(&journaled().bind("192.0.2.1"));
    assert_eq!(node.code(), 1);
    let said = node.err.text();
    assert!(
        said.starts_with("<3>this machine has no address 192.0.2.1"),
        "{said}"
    );
}

#[test]
fn another_stream_than_the_journals_stays_as_it_is() {
    let mut manager = Manager::new();
    let launch = manager.launch().logging();
    let mut node = spawn(&launch.env("JOURNAL_STREAM", "8:12345"));
    manager.expect("READY=1");
    let _guests = guests(&node, 3);
    for _ in 0..3 {
        node.expect_log("blx: info: 127.0.0.1:");
    }
    node.stop();
}
