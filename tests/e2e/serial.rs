//! The menu on a serial line: a pseudo-terminal, at whose other end the test sits with no more than
//! what a plain terminal has.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use blx::limits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{Action, InputModes, LocalModes, Termios, tcflow, tcgetattr};

use super::harness::{Home, LIMIT, Launch, Node, PROMPT, until};
use super::peer::{Peer, Person, transaction_message};
use super::pty;

/// A byte at 1,200 bits a second: start and stop bit make it ten.
const BYTE_AT_1200: Duration = Duration::from_micros(1_000_000 * 10 / 1_200);

/// One end of a line, and the name of the other.
struct Wire {
    end: File,
    name: PathBuf,
    shown: String,
    read: usize,
}

impl Wire {
    fn new() -> Wire {
        let (end, name) = pty::terminal();
        Wire {
            end,
            name,
            shown: String::new(),
            read: 0,
        }
    }

    /// A byte after the other, as they come over a slow line.
    fn type_slowly(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.type_at_once(&[*byte]);
            thread::sleep(BYTE_AT_1200);
        }
    }

    fn type_at_once(&mut self, bytes: &[u8]) {
        self.end.write_all(bytes).expect("the line takes it");
    }

    /// Reads until `text` is shown behind what was expected before.
    fn expect(&mut self, text: &str) {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.shown[self.read..].find(text) {
                self.read += at + text.len();
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).expect("a minute at most");
            let mut ready = [PollFd::new(&self.end, PollFlags::IN)];
            let count = poll(&mut ready, Some(&left)).expect("waits");
            assert!(count > 0, "no {text:?} in {:?}", self.shown);
            self.read_once();
        }
    }

    fn read_once(&mut self) {
        let mut bytes = [0; 1024];
        match self.end.read(&mut bytes) {
            Ok(count) => {
                let text = str::from_utf8(&bytes[..count]).expect("ASCII");
                assert!(text.is_ascii(), "{text}");
                self.shown += text;
            }
            // EIO: nobody has the other end open yet, or any more.
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(5), "{error}");
                thread::yield_now();
            }
        }
    }

    fn settings(&self) -> Termios {
        tcgetattr(&self.end).expect("settings")
    }

    /// The other end, opened so that the line keeps its settings when a node closes it.
    fn other_end(&self) -> File {
        pty::other_side(&self.name)
    }
}

fn on(device: &Path) -> Launch {
    let launch = Launch::new().arg("--console");
    launch.arg(format!("{}:1200", device.display()))
}

/// A node with its menu on this line.
fn start(wire: &mut Wire) -> Node {
    let node = on(&wire.name).spawn(Stdio::null());
    wire.expect(PROMPT);
    node
}

#[test]
fn a_person_takes_an_item_at_1200_baud() {
    let mut wire = Wire::new();
    let mut node = start(&mut wire);
    assert!(
        wire.shown.starts_with("=== Blockchain Node"),
        "{}",
        wire.shown
    );
    // Noise, a key that sends an escape sequence, a mistake, and a line that is dropped.
    wire.type_slowly(b"\x00\xff1\x1b\r");
    wire.expect("item ID: ");
    wire.type_slowly(b"drill\x03");
    wire.expect("drill^C\r\nselect > ");
    wire.type_slowly(b"1\r");
    wire.expect("item ID: ");
    wire.type_slowly(b"wrong\x15lapp\x7ftop-001\r\n");
    wire.expect("[ok] requested laptop-001\r\n");
    wire.expect(PROMPT);
    let answered = wire.shown.len();
    wire.type_slowly(b"3\r");
    wire.expect("  laptop-001  taken ");
    wire.expect(PROMPT);
    // Only the prompt came back, and the menu when it was asked for.
    assert!(!wire.shown[answered..].contains("==="));
    wire.type_slowly(b"\r");
    wire.expect("=== Blockchain Node");
    wire.expect("10. exit\r\n");
    wire.expect(PROMPT);
    wire.type_slowly(b"10\r");
    assert_eq!(node.code(), 0);
    assert_eq!(node.err.text(), "");
}

#[test]
fn whatever_a_scanner_sends_behind_an_item_ends_it() {
    let mut wire = Wire::new();
    let _node = start(&mut wire);
    for end in ["\r", "\n", "\r\n", "\t"] {
        let item = format!("item{}", end.len() + usize::from(end.as_bytes()[0]));
        wire.type_at_once(b"1\r");
        wire.expect("item ID: ");
        wire.type_at_once(format!("{item}{end}").as_bytes());
        wire.expect(&format!("[ok] requested {item}\r\n"));
        wire.expect(PROMPT);
    }
    wire.type_at_once(b"5\r");
    wire.expect("item IDs: ");
    wire.type_at_once(b"one,two\r");
    wire.expect("[ok] requested two\r\n");
    wire.expect(PROMPT);
    wire.type_at_once(&[b'x'; 300]);
    wire.type_at_once(b"\r");
    wire.expect("[failed] that line is too long.\r\n");
    wire.expect(PROMPT);
    wire.type_at_once(b"9\r");
    wire.expect("reserved items: 6\r\n");
}

#[test]
fn an_adapter_that_is_pulled_in_the_middle_of_a_line_comes_back() {
    let home = Home::new();
    let device = home.path().join("ttyUSB0");
    let mut wire = Wire::new();
    symlink(&wire.name, &device).expect("a link");
    let mut node = on(&device).spawn(Stdio::null());
    wire.expect(PROMPT);
    wire.type_slowly(b"1\r");
    wire.expect("item ID: ");
    wire.type_slowly(b"half");
    wire.expect("half");
    fs::remove_file(&device).expect("it is there");
    drop(wire);
    let name = device.display();
    node.expect_log(&format!("blx: warn: {name}: "));
    node.expect_log("it is tried again\n");
    let mut wire = Wire::new();
    symlink(&wire.name, &device).expect("a link");
    wire.expect("=== Blockchain Node");
    wire.expect(PROMPT);
    // Neither the half item nor the question that it was to answer is left.
    wire.type_slowly(b"9\r");
    wire.expect("reserved items: 0\r\n");
    wire.expect(PROMPT);
    node.expect_log(&format!("blx: warn: {name}: it is there\n"));
    node.stop();
}

#[test]
fn a_line_that_nobody_reads_holds_nothing_up_and_is_told_what_came_last() {
    const REQUESTS: usize = 200;
    // So many a second are shown, of so many characters: more than the line and the console hold.
    let apart = Duration::from_millis(60);
    let mut wire = Wire::new();
    let node = start(&mut wire);
    let other_end = wire.other_end();
    tcflow(&other_end, Action::OOff).expect("the line takes nothing");
    let person = Person::new(1);
    let (mut peer, _) = Peer::join(node.port);
    for number in 0..REQUESTS {
        let name = format!("{number}-{}", "x".repeat(limits::NAME_SHOWN - 4));
        peer.say(&transaction_message(&person.requests(&name)));
        peer.settle();
        thread::sleep(apart);
    }
    peer.say(&transaction_message(&person.requests("the-last")));
    // All of it is taken, although its events have nowhere to go.
    until(|| {
        let chain = peer.chain();
        let made: usize = chain.iter().map(|block| block.transactions.len()).sum();
        match made == REQUESTS + 1 {
            true => Ok(()),
            false => Err(format!("{made} requests are in blocks")),
        }
    });
    tcflow(&other_end, Action::OOn).expect("the line takes all again");
    wire.expect("request of the-last by ");
    let told = wire.shown.matches("request of").count();
    assert!(
        told < REQUESTS / 4,
        "{told} of {REQUESTS} fit into the line"
    );
    wire.expect(PROMPT);
    wire.type_at_once(b"9\r");
    wire.expect(&format!("reserved items: {}\r\n", REQUESTS + 1));
}

#[test]
fn a_line_is_for_one_program_and_gets_its_settings_back() {
    let mut wire = Wire::new();
    let _other = wire.other_end();
    let before = wire.settings();
    assert!(
        before
            .local_modes
            .contains(LocalModes::ICANON | LocalModes::ECHO)
    );
    let mut node = start(&mut wire);
    let raw = wire.settings();
    assert!(
        !raw.local_modes
            .intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    );
    assert!(
        !raw.input_modes
            .intersects(InputModes::ICRNL | InputModes::IXON)
    );
    assert_eq!(raw.input_speed(), 1_200);
    let mut second = on(&wire.name).spawn(Stdio::null());
    second.expect_log(": another program is using it; it is tried again\n");
    node.stop();
    // The second one takes over, and ends in its turn.
    wire.expect("=== Blockchain Node");
    wire.expect(PROMPT);
    second.stop();
    let after = wire.settings();
    assert_eq!(after.local_modes, before.local_modes);
    assert_eq!(after.input_modes, before.input_modes);
    assert_eq!(after.output_modes, before.output_modes);
    assert_eq!(after.input_speed(), before.input_speed());
}

/// A program that has a line as its terminal, as what `serial-getty@.service` starts has.
fn session(wire: &Wire, program: &str) -> Child {
    let home = Home::new();
    let path = home.path().join(program);
    symlink("/bin/sleep", &path).expect("a link");
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(path).arg("1000");
    let child = command.stdin(wire.other_end()).spawn();
    let child = child.expect("setsid is there");
    // It has the terminal before it becomes that program.
    let stat = format!("/proc/{}/stat", child.id());
    let name = format!(" ({program}) ");
    until(|| {
        let begun = fs::read_to_string(&stat).expect("it runs").contains(&name);
        begun.then_some(()).ok_or("it does not begin")
    });
    child
}

#[test]
fn whoever_has_the_line_as_a_terminal_is_named_and_followed() {
    for program in ["agetty", "bash"] {
        let mut wire = Wire::new();
        let mut other = session(&wire, program);
        let mut node = on(&wire.name).spawn(Stdio::null());
        let unit = format!(
            "serial-getty@{}",
            wire.name.file_name().expect("a name").display()
        );
        let who = match program {
            "agetty" => {
                format!("{unit} is using it: sudo systemctl mask --now {unit}.service")
            }
            _ => format!("{program} (process {}) is using it", other.id()),
        };
        let line = wire.name.display();
        node.expect_log(&format!("{line}: {who}; it is tried again\n"));
        other.kill().expect("it runs");
        other.wait().expect("it ends");
        node.expect_log(&format!("{line}: it is there\n"));
        wire.expect(PROMPT);
    }
}

#[test]
fn a_device_that_is_not_there_is_named_once_and_the_node_runs() {
    let launch = on(Path::new("/dev/no-such-line")).arg("--console=stdio");
    let mut node = launch.start();
    node.expect_log("blx: warn: /dev/no-such-line: no such file or directory; it is tried again\n");
    node.request("saw");
    node.exit();
    assert_eq!(node.err.text().lines().count(), 1);
}
