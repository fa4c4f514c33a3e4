//! The loop, driven with a stand-in for the node over real sockets. Time passes only in the test of
//! the deadline.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};

use super::console::standard::Standard;
use super::drive::{Driver, Machine};
use super::notify::{Manager, Service};
use super::*;
use crate::limits;
use crate::node::{Action, CONSOLE, ConsoleKind};

const LINES: usize = CONSOLE.0 as usize + limits::CONSOLES;
const SPACE: usize = 64;

type Answer<'a> = Box<dyn FnMut(&mut Parts, &str) + 'a>;

/// A node whose answers are a test's closure.
struct Stand<'a> {
    answer: Answer<'a>,
    parts: Parts,
}

struct Parts {
    /// What was told, in a word or two each.
    told: Vec<String>,
    actions: VecDeque<Action>,
    space: [[u8; SPACE]; LINES],
    /// Lines that are not to be read.
    full: [bool; LINES],
    pending: [Vec<u8>; LINES],
    deadline: Option<Millis>,
    now: Millis,
    /// How often the loop asked for the deadline: at least once a turn.
    asked: Cell<usize>,
    summary: Summary,
}

impl<'a> Stand<'a> {
    fn new(answer: impl FnMut(&mut Parts, &str) + 'a) -> Stand<'a> {
        Stand {
            answer: Box::new(answer),
            parts: Parts {
                told: Vec::new(),
                actions: VecDeque::new(),
                space: [[0; SPACE]; LINES],
                full: [false; LINES],
                pending: [const { Vec::new() }; LINES],
                deadline: None,
                now: Millis(0),
                asked: Cell::new(0),
                summary: Summary {
                    ok: true,
                    ..Summary::default()
                },
            },
        }
    }
}

impl Machine for Stand<'_> {
    fn handle(&mut self, clock: Clock, event: Event<'_>) {
        let parts = &mut self.parts;
        assert!(clock.mono >= parts.now);
        assert!(
            parts.actions.is_empty(),
            "an event before the last was done"
        );
        parts.now = clock.mono;
        if let Event::Networks { .. } = event {
            // Another one on each machine.
            return;
        }
        let word = match event {
            Event::Tick => "tick".to_owned(),
            Event::Incoming { from } => format!("incoming {}", from.ip()),
            Event::Connected { conn, remote, .. } => format!("connected {} {remote}", conn.0),
            Event::DialFailed { conn, reason } => format!("failed {} {reason}", conn.0),
            Event::ConsoleOpened { conn, kind } => {
                let ConsoleKind::Standard { utf8, .. } = kind else {
                    panic!("there is no other one");
                };
                format!("console {} {utf8}", conn.0)
            }
            Event::Received { conn, count } => {
                let bytes = &parts.space[usize::from(conn.0)][..count];
                format!("received {} {}", conn.0, String::from_utf8_lossy(bytes))
            }
            Event::Sent { conn, count } => {
                parts.pending[usize::from(conn.0)].drain(..count);
                format!("sent {} {count}", conn.0)
            }
            Event::Closed { conn, reason } => {
                format!("closed {} {}", conn.0, reason.unwrap_or("orderly"))
            }
            Event::Stop => "stop".to_owned(),
            Event::Networks { .. } => unreachable!("it was passed over"),
        };
        parts.told.push(word.clone());
        (self.answer)(parts, &word);
    }
    fn rx_space(&mut self, conn: ConnId) -> &mut [u8] {
        match self.parts.full[usize::from(conn.0)] {
            true => &mut [],
            false => &mut self.parts.space[usize::from(conn.0)],
        }
    }
    fn tx_pending(&self, conn: ConnId) -> &[u8] {
        &self.parts.pending[usize::from(conn.0)]
    }
    fn poll(&mut self) -> Option<Action> {
        self.parts.actions.pop_front()
    }
    fn deadline(&self) -> Option<Millis> {
        self.parts.asked.set(self.parts.asked.get() + 1);
        self.parts.deadline
    }
    fn summary(&self) -> Summary {
        self.parts.summary
    }
}

impl Parts {
    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}

/// A listening driver, where it listens, and what raises its signals.
fn listening(console: Option<Standard>, utf8: bool) -> (Driver, SocketAddr, UnixStream) {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = listener.address().expect("an address");
    let (signals, raise) = signal::tests::pretended();
    (
        Driver::new(listener, signals, Consoles::of(console, utf8)),
        address,
        raise,
    )
}

fn dial(conn: u8, address: SocketAddr) -> Action {
    Action::Dial {
        conn: ConnId(conn),
        host: address.ip().to_string(),
        port: address.port(),
    }
}

#[test]
fn a_peer_comes_is_answered_and_goes() {
    let (mut driver, address, _raise) = listening(None, true);
    let mut peer = TcpStream::connect(address).expect("connects");
    peer.write_all(b"hello").expect("writes");
    let mut other_end = peer.try_clone().expect("a second handle");
    let mut node = Stand::new(|parts, word| match word {
        "incoming 127.0.0.1" => parts.act(Action::Accept { conn: ConnId(5) }),
        "received 5 hello" => parts.pending[5].extend(b"world"),
        "sent 5 5" => {
            let mut bytes = [0; 5];
            other_end.read_exact(&mut bytes).expect("reads");
            assert_eq!(&bytes, b"world");
            other_end.shutdown(Shutdown::Both).expect("shuts down");
        }
        "closed 5 orderly" => parts.act(Action::Exit),
        _ => panic!("unexpected: {word}"),
    });
    assert_eq!(driver.drive(&mut node), Ok(()));
    assert_eq!(node.parts.told.len(), 4);
}

#[test]
fn several_callers_are_taken_in_a_turn_and_then_others_have_theirs() {
    let (mut driver, address, _raise) = listening(None, true);
    let callers: Vec<TcpStream> = (0..9)
        .map(|_| TcpStream::connect(address).expect("connects"))
        .collect();
    let mut came = 0;
    let mut node = Stand::new(|parts, word| {
        if word == "incoming 127.0.0.1" {
            came += 1;
            parts.act(Action::Refuse);
        }
        if came == callers.len() {
            parts.act(Action::Exit);
        }
    });
    // It has something to do in each turn.
    node.parts.deadline = Some(Millis(0));
    assert_eq!(driver.drive(&mut node), Ok(()));
    let told = node.parts.told.iter().map(String::as_str);
    let turns: Vec<usize> = told
        .collect::<Vec<_>>()
        .split(|word| *word == "tick")
        .map(<[&str]>::len)
        .collect();
    assert_eq!(turns, [8, 1]);
}

#[test]
fn a_refused_peer_sees_the_end() {
    let (mut driver, address, mut raise) = listening(None, true);
    let mut peer = TcpStream::connect(address).expect("connects");
    let mut node = Stand::new(|parts, word| match word {
        "incoming 127.0.0.1" => {
            parts.act(Action::Refuse);
            raise.write_all(b"x").expect("a signal");
        }
        "stop" => parts.act(Action::Exit),
        _ => panic!("unexpected: {word}"),
    });
    assert_eq!(driver.drive(&mut node), Ok(()));
    assert_eq!(peer.read(&mut [0; 1]).expect("reads"), 0);
}

#[test]
fn a_node_dials_itself_and_a_hung_up_line_tells_nothing_more() {
    let (mut driver, address, _raise) = listening(None, true);
    let mut node = Stand::new(|parts, word| {
        if word == "tick" {
            parts.deadline = None;
            parts.act(dial(0, address));
        } else if word.starts_with("incoming") {
            parts.act(Action::Accept { conn: ConnId(1) });
        }
        let connected = format!("connected 0 {address}");
        if parts.told.contains(&connected) && parts.told.iter().any(|told| told.starts_with("inc"))
        {
            if word == "closed 1 orderly" {
                parts.act(Action::Exit);
            } else {
                parts.act(Action::Hangup { conn: ConnId(0) });
            }
        }
    });
    node.parts.deadline = Some(Millis(0));
    assert_eq!(driver.drive(&mut node), Ok(()));
    assert_eq!(node.parts.told.len(), 4, "{:?}", node.parts.told);
}

#[test]
fn a_failed_dial_frees_its_line_for_the_next() {
    let (mut driver, address, _raise) = listening(None, true);
    let mut node = Stand::new(|parts, word| match word {
        "tick" => {
            parts.deadline = None;
            parts.act(Action::Dial {
                conn: ConnId(0),
                host: "a\0b".to_owned(),
                port: 6000,
            });
        }
        "failed 0 no such host" => parts.act(dial(0, address)),
        _ if word.starts_with("connected 0") => parts.act(Action::Exit),
        _ => parts.act(Action::Refuse),
    });
    node.parts.deadline = Some(Millis(0));
    assert_eq!(driver.drive(&mut node), Ok(()));
}

#[test]
fn a_line_without_interest_keeps_nobody_awake() {
    let (mut driver, address, _raise) = listening(None, true);
    let peer = TcpStream::connect(address).expect("connects");
    let mut node = Stand::new(|parts, word| match word {
        "incoming 127.0.0.1" => {
            parts.act(Action::Accept { conn: ConnId(0) });
            parts.full[0] = true;
            peer.shutdown(Shutdown::Both).expect("shuts down");
            parts.deadline = Some(Millis(parts.now.0 + 50));
        }
        "tick" => {
            assert!(Some(parts.now) >= parts.deadline, "too early");
            parts.act(Action::Exit);
        }
        _ => panic!("unexpected: {word}"),
    });
    assert_eq!(driver.drive(&mut node), Ok(()));
    // Twice a turn: the turn of the connection, the turn of the deadline, and one more at most.
    assert!(node.parts.asked.get() <= 6, "{}", node.parts.asked.get());
}

#[test]
fn the_console_reads_writes_and_outlives_its_input() {
    let (reader, mut input) = std::io::pipe().expect("a pipe");
    let (mut output, writer) = std::io::pipe().expect("a pipe");
    let reader = File::from(OwnedFd::from(reader));
    let writer = File::from(OwnedFd::from(writer));
    let console = Standard::of(reader, writer, "").expect("opens");
    let (mut driver, _address, _raise) = listening(Some(console), false);
    input.write_all(b"9").expect("writes");
    let mut input = Some(input);
    let mut node = Stand::new(|parts, word| match word {
        "console 32 false" => parts.pending[32].extend(b"menu"),
        "sent 32 4" => {}
        "received 32 9" => drop(input.take()),
        "closed 32 orderly" => parts.pending[32].extend(b"bye"),
        "sent 32 3" => parts.act(Action::Exit),
        _ => panic!("unexpected: {word}"),
    });
    assert_eq!(driver.drive(&mut node), Ok(()));
    drop(node);
    drop(driver);
    let mut text = String::new();
    output.read_to_string(&mut text).expect("reads");
    assert_eq!(text, "menubye");
}

#[test]
fn a_console_that_nobody_reads_is_closed_with_a_reason() {
    let (reader, input) = std::io::pipe().expect("a pipe");
    let (output, writer) = UnixStream::pair().expect("a pair");
    output.shutdown(Shutdown::Both).expect("shuts down");
    let reader = File::from(OwnedFd::from(reader));
    let writer = File::from(OwnedFd::from(writer));
    let console = Standard::of(reader, writer, "").expect("opens");
    let (mut driver, _address, _raise) = listening(Some(console), true);
    let mut node = Stand::new(|parts, word| match word {
        "console 32 true" => parts.pending[32].extend(b"menu"),
        "closed 32 broken pipe" => parts.act(Action::Exit),
        _ => panic!("unexpected: {word}"),
    });
    assert_eq!(driver.drive(&mut node), Ok(()));
    drop(input);
}

#[test]
fn the_systems_words_become_a_clause() {
    let clause = |number| reason(&io::Error::from_raw_os_error(number));
    assert_eq!(clause(28), "no space left on device");
    // The words are those of the C library.
    let expected = match cfg!(target_env = "musl") {
        true => "I/O error",
        false => "input/output error",
    };
    assert_eq!(clause(5), expected);
}

#[test]
fn the_watchdog_hears_of_turns_that_were_completed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("binds");
    manager.set_nonblocking(true).expect("nonblocking");
    let heard = || {
        let mut bytes = [0; 200];
        let count = manager.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
    };
    let (mut driver, _address, _raise) = listening(None, true);
    driver.serve_under(Service::new(Manager::at(path.as_os_str()), Some(1)));
    let (mut ticks, mut fed) = (0, 0);
    let mut node = Stand::new(|parts, _| {
        ticks += 1;
        parts.deadline = Some(Millis(parts.now.0 + 20));
        if ticks == 1 {
            let ready = "READY=1\nSTATUS=height 0, 0 peers";
            assert_eq!(heard().as_deref(), Some(ready));
        }
        // None is due if the turn before took less than a millisecond and the wait for this one was late.
        while let Some(message) = heard() {
            assert_eq!(message, "WATCHDOG=1");
            fed += 1;
        }
        assert!(ticks < 1_000, "the watchdog was fed {fed} times");
        if fed >= 3 {
            parts.act(Action::Exit);
        }
    });
    node.parts.deadline = Some(Millis(0));
    assert_eq!(driver.drive(&mut node), Ok(()));
    drop(node);
    assert_eq!(heard().as_deref(), Some("STOPPING=1"));
    assert_eq!(heard(), None);
}

/// A random source whose every byte is another one.
fn counting() -> impl FnMut(&mut [u8]) -> Result<(), ()> {
    let mut next = 0;
    move |bytes| {
        for byte in bytes {
            *byte = next;
            next += 1;
        }
        Ok(())
    }
}

#[test]
fn what_others_see_has_no_byte_of_the_secret() {
    let drawn = Drawn::of(counting()).expect("random bytes");
    let (id, seed) = (drawn.id.to_le_bytes(), drawn.seed.to_le_bytes());
    let mut all = [&drawn.secret[..], &drawn.nonces, &id, &seed].concat();
    all.sort_unstable();
    let each_once: Vec<u8> = (0..80).collect();
    assert_eq!(all, each_once);
    assert!(Drawn::of(|_| Err(())).is_err());
}

/// What takes longer than a turn may: a node that is busy with what a peer said.
fn work_long() {
    let begun = std::time::Instant::now();
    while begun.elapsed().as_millis() <= u128::from(limits::TURN_MS) {
        std::hint::spin_loop();
    }
}

#[test]
fn a_console_is_served_before_the_next_busy_peer_and_each_peer_in_turn() {
    let (reader, mut input) = std::io::pipe().expect("a pipe");
    let (_output, writer) = std::io::pipe().expect("a pipe");
    let reader = File::from(OwnedFd::from(reader));
    let writer = File::from(OwnedFd::from(writer));
    let console = Standard::of(reader, writer, "").expect("opens");
    let (mut driver, address, _raise) = listening(Some(console), true);
    let mut peers = [0, 1].map(|_| TcpStream::connect(address).expect("connects"));
    let mut come = 0;
    let mut node = Stand::new(|parts, word| match word {
        "incoming 127.0.0.1" => {
            parts.full[come] = true;
            let conn = ConnId(come as u8);
            parts.act(Action::Accept { conn });
            come += 1;
            if come == peers.len() {
                let all = peers.iter_mut();
                all.for_each(|peer| peer.write_all(b"a").expect("writes"));
                input.write_all(b"go").expect("writes");
            }
        }
        "received 32 go" => parts.full.fill(false),
        "received 0 a" => {
            peers[0].write_all(b"b").expect("writes");
            input.write_all(b"9").expect("writes");
            work_long();
        }
        "received 0 b" => parts.act(Action::Exit),
        _ => {}
    });
    assert_eq!(driver.drive(&mut node), Ok(()));
    let told = node.parts.told.iter().map(String::as_str);
    let told: Vec<&str> = told.filter(|word| word.starts_with("received")).collect();
    let expected = ["32 go", "0 a", "32 9", "1 a", "0 b"].map(|word| format!("received {word}"));
    assert_eq!(told, expected);
}
