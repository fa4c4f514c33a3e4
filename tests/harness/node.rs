//! A running program with the menu, ours or a desktop node's, driven as its user drives it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use super::launch::Home;
use super::stream::{LIMIT, Stream, until, wait_for};

/// What the menu asks at rest.
pub const PROMPT: &str = "select > ";

/// What a failing test shows of a long output: lines.
const SHOWN_MAX: usize = 300;

/// Dropping it kills it; dropping it in a panic shows all that is known of it.
pub struct Node {
    name: String,
    child: Child,
    input: Option<Box<dyn Write + Send + Sync>>,
    pub out: Stream,
    pub err: Stream,
    pub port: u16,
    home: Home,
    command: String,
    /// What was typed, and how much was shown by then.
    typed: Vec<(usize, String)>,
    /// What was expected so far ends here.
    read: usize,
    logged: usize,
}

/// A name as the node's screens show it.
pub fn shown(name: &str) -> String {
    blx::ledger::Uid::from(name).to_string()
}

/// What key 9 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub blocks: usize,
    pub reserved: usize,
    pub available: usize,
    pub peers: usize,
    pub tip: String,
    /// Of the chain file; a desktop node does not say it.
    pub bytes: u64,
    pub key: String,
    /// Every line, without `[status] `.
    pub lines: Vec<String>,
}

impl Status {
    fn read(text: &str) -> Status {
        let lines = text.lines().filter_map(|l| l.strip_prefix("[status] "));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        let find = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name));
        let field = |name: &str| find(name).unwrap_or_else(|| panic!("no {name} in {text}"));
        let first = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        let number = |name: &str| first(field(name)).parse().expect("a number");
        let bytes = find("data file: ").map_or(0, |text| first(text).parse().expect("a number"));
        Status {
            blocks: number("block count: "),
            reserved: number("reserved items: "),
            available: number("available items: "),
            peers: number("connected peers: "),
            tip: field("tip: ").to_owned(),
            bytes,
            key: field("node key: ").to_owned(),
            lines: lines.clone(),
        }
    }

    /// The chain and the items.
    pub fn ledger(&self) -> (usize, usize, usize, &str) {
        (self.blocks, self.reserved, self.available, &self.tip)
    }
}

impl Node {
    /// Starts a program with the menu, and waits for its prompt.
    pub fn start(name: &str, command: Command, port: u16) -> Node {
        let nowhere = Path::new("").into();
        Node::spawn(name, command, Stdio::piped(), port, &nowhere).at_prompt()
    }

    /// Starts it with `input` and waits for nothing. Its files are below `home`.
    pub fn spawn(name: &str, mut command: Command, input: Stdio, port: u16, home: &Home) -> Node {
        command.stdin(input).stdout(Stdio::piped());
        let mut node = Node::run(name, command, port, home);
        let output = node.child.stdout.take().expect("its output is a pipe");
        node.out = Stream::of(output);
        node.input = node.child.stdin.take().map(|input| Box::new(input) as _);
        node
    }

    /// Starts it with one side of a terminal, at whose other side the test sits.
    pub fn spawn_on(
        name: &str,
        mut command: Command,
        (terminal, master): (File, File),
        port: u16,
        home: &Home,
    ) -> Node {
        let output = terminal.try_clone().expect("a second descriptor");
        command.stdin(terminal).stdout(output);
        let mut node = Node::run(name, command, port, home);
        node.out = Stream::of(master.try_clone().expect("a second descriptor"));
        node.input = Some(Box::new(master));
        node
    }

    fn run(name: &str, mut command: Command, port: u16, home: &Home) -> Node {
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let errors = child.stderr.take().expect("its errors are a pipe");
        Node {
            name: format!("{name} on port {port}"),
            child,
            input: None,
            out: Stream::default(),
            err: Stream::of(errors),
            port,
            home: home.clone(),
            command: format!("{command:?}"),
            typed: Vec::new(),
            read: 0,
            logged: 0,
        }
    }

    /// The same at its first prompt.
    pub fn at_prompt(mut self) -> Node {
        self.expect(PROMPT);
        self
    }

    /// Types these lines at once.
    pub fn enter(&mut self, lines: &[&str]) {
        let mut text = lines.join("\n");
        text.push('\n');
        self.enter_bytes(text.as_bytes());
    }

    pub fn enter_bytes(&mut self, bytes: &[u8]) {
        let typed = String::from_utf8_lossy(bytes).into_owned();
        self.typed.push((self.out.len(), typed));
        let input = self.input.as_mut().expect("its input is open");
        let written = input.write_all(bytes);
        written.unwrap_or_else(|error| panic!("{} does not read: {error}", self.name));
    }

    /// Ends its input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Waits until it shows `text` behind what was expected before, and returns all up to there.
    pub fn expect(&mut self, text: &str) -> String {
        let from = self.read;
        let found = self.out.await_text(from, text);
        self.read = found.unwrap_or_else(|| panic!("{}: no {text:?} is shown", self.name));
        self.out.text_between(from, self.read)
    }

    /// The same for what it logs.
    pub fn expect_log(&mut self, text: &str) {
        let found = self.err.await_text(self.logged, text);
        self.logged = found.unwrap_or_else(|| panic!("{}: no {text:?} is logged", self.name));
    }

    /// What is logged behind that, up to the end of the line.
    pub fn rest_of_log_line(&mut self) -> String {
        let from = self.logged;
        self.expect_log("\n");
        let rest = self.err.text_from(from);
        rest.lines().next().unwrap_or_default().to_owned()
    }

    /// Everything it has shown so far.
    pub fn said(&self) -> String {
        self.out.text()
    }

    /// Waits until it has said `text`, at whatever time.
    pub fn wait_for(&self, text: &str) {
        self.wait_for_count(text, 1);
    }

    /// Waits until it has said `text` `count` times.
    pub fn wait_for_count(&self, text: &str, count: usize) {
        let said = self.out.await_count(LIMIT, text, count);
        assert!(said, "{} did not say {text:?} {count} times", self.name);
    }

    /// Waits until it has said one of these, and says which.
    pub fn wait_for_any(&self, texts: &[&str]) -> usize {
        let found = wait_for(LIMIT, || {
            let ended = self.out.ended();
            let said = self.said();
            let found = texts.iter().position(|text| said.contains(text));
            (ended || found.is_some()).then_some(found)
        });
        let found = found.flatten();
        found.unwrap_or_else(|| panic!("{} did not say one of {texts:?}", self.name))
    }

    pub fn assert_never_said(&self, texts: &[&str]) {
        let said = self.said();
        for text in texts {
            assert!(!said.contains(text), "{}: {text:?} was said", self.name);
        }
    }

    /// Types these lines, and waits for `answer` and for the prompt behind it.
    pub fn ask(&mut self, lines: &[&str], answer: &str) -> String {
        self.read = self.out.len();
        self.enter(lines);
        let mut text = self.expect(answer);
        text += &self.expect(PROMPT);
        text
    }

    /// All that it says of these lines, with a status, which shows where that ends.
    pub fn told(&mut self, lines: &[&str]) -> String {
        self.ask(&[lines, &["9"]].concat(), "[status] node key: ")
    }

    /// What key 9 says now.
    pub fn status(&mut self) -> Status {
        Status::read(&self.told(&[]))
    }

    /// Asks for the status until it `holds`.
    pub fn wait_for_status(&mut self, wanted: &str, holds: impl Fn(&Status) -> bool) -> Status {
        until(|| {
            let status = self.status();
            match holds(&status) {
                true => Ok(status),
                false => Err(format!("{}: not {wanted}: {status:?}", self.name)),
            }
        })
    }

    pub fn wait_for_peers(&mut self, count: usize) {
        let wanted = format!("connected to {count} peers");
        self.wait_for_status(&wanted, |status| status.peers == count);
    }

    pub fn request(&mut self, item: &str) {
        self.ask(&["1", item], &format!("✅ requested {}\n", shown(item)));
    }

    pub fn release(&mut self, item: &str) {
        self.ask(&["2", item], &format!("✅ released {item}\n"));
    }

    /// The items of key 3 or 4. Desktop nodes write `  - item`, ours `  item  taken ... by ...`.
    pub fn items(&mut self, option: &str) -> Vec<String> {
        let text = self.told(&[option]);
        let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
        let entries = lines.map(|line| line.strip_prefix("- ").unwrap_or(line));
        let names = entries.filter_map(|entry| entry.split("  ").next());
        names.map(str::to_owned).collect()
    }

    pub fn reserved(&mut self) -> Vec<String> {
        self.items("3")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The system's name for it.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process is there");
    }

    /// Waits for its end, and until all it wrote is read.
    pub fn ended(&mut self) -> ExitStatus {
        let over = wait_for(LIMIT, || {
            (self.out.ended() && self.err.ended()).then_some(())
        });
        assert!(over.is_some(), "{}: it does not end", self.name);
        self.child.wait().expect("it was started")
    }

    /// Its exit code, after its end.
    pub fn code(&mut self) -> i32 {
        self.ended().code().expect("no signal killed it")
    }

    /// Ends it by its menu.
    pub fn exit(&mut self) {
        self.enter(&["10"]);
        assert_eq!(self.code(), 0, "{}", self.name);
    }

    /// Ends it as a service manager does.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.code(), 0, "{}", self.name);
    }

    /// Ends it with the end of its input; all it has said.
    pub fn finish(&mut self) -> String {
        self.end_input();
        assert_eq!(self.code(), 0, "{}", self.name);
        self.said()
    }

    /// Ends it without a word, whatever it is doing.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        self.ended();
    }

    fn report(&self) -> String {
        let mut text = format!("==== {}: {}\n", self.name, self.command);
        list(self.home.path(), &mut text);
        let (mut transcript, mut at) = (String::new(), 0);
        for (shown, typed) in &self.typed {
            transcript += &self.out.text_between(at, *shown);
            // What is looked at all the time tells nothing.
            if !["3\n9\n", "4\n9\n", "7\n9\n", "9\n"].contains(&typed.as_str()) {
                let _ = write!(transcript, "\u{ab}{}\u{bb}", typed.trim_end());
            }
            at = *shown;
        }
        transcript += &self.out.text_from(at);
        let (said, errors) = (self.said(), self.err.text());
        let parts: [(&str, Vec<&str>); 3] = [
            (
                "output",
                transcript.lines().filter(|line| tells(line)).collect(),
            ),
            ("errors", errors.lines().collect()),
            // Whoever waited for a word of an answer to a look has it here.
            ("output with everything in it", said.lines().collect()),
        ];
        for (name, lines) in parts {
            // The end of it tells most.
            let end = &lines[lines.len().saturating_sub(SHOWN_MAX)..];
            let _ = write!(text, "---- its {name}\n{}\n", end.join("\n"));
        }
        text
    }
}

/// Whether a line is neither the menu nor of an answer that is looked at all the time.
fn tells(line: &str) -> bool {
    let menu = line.contains(". ") && line.starts_with(|first: char| first.is_ascii_digit());
    let noise = [
        "[status] ",
        "  ",
        "=== ",
        "reserved items: ",
        "available items: ",
    ];
    let peer = line.contains(" (we dialed), ") || line.contains(" (dialed us");
    let noisy = noise.iter().any(|start| line.starts_with(start));
    !menu && !peer && !noisy && !["", PROMPT].contains(&line)
}

fn list(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(&path, text);
        } else {
            let size = entry.metadata().map_or(0, |data| data.len());
            let _ = writeln!(text, "{} {size} bytes", path.display());
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.report());
        }
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
