//! Nodes as processes: started in a home directory of their own, spoken to, waited for, killed.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use super::runner;
pub use super::runner::free_port;
pub use super::stream::{LIMIT, Stream, wait_for};

/// What the menu asks at rest.
pub const PROMPT: &str = "select > ";

/// Time of a process on a processor since it started: nanoseconds.
pub fn cpu(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/schedstat")).expect("it runs");
    let first = text.split(' ').next().expect("a word");
    first.parse().expect("a number")
}

/// How often a process has gone to sleep by itself.
pub fn switches(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux tells");
    let counts = text.lines().filter_map(|line| {
        let (name, count) = line.split_once(':')?;
        (name == "voluntary_ctxt_switches").then(|| count.trim().parse::<u64>().expect("a number"))
    });
    counts.sum()
}

/// A user's home directory, removed at the end.
pub struct Home(tempfile::TempDir);

impl Home {
    pub fn new() -> Home {
        Home(tempfile::tempdir().expect("a directory"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the node on `port` keeps its files when nothing else is said.
    pub fn data(&self, port: u16) -> PathBuf {
        self.path().join(".databox/material").join(port.to_string())
    }

    pub fn chain_file(&self, port: u16) -> PathBuf {
        self.data(port).join("chain.blx")
    }

    /// A node to start in it.
    pub fn node(&self) -> Launch {
        Launch {
            home: self.path().to_owned(),
            port: None,
            bind: "127.0.0.1",
            arguments: Vec::new(),
            variables: vec![("LC_ALL".into(), "C.UTF-8".into())],
            shell: None,
        }
    }
}

/// How a node is started.
#[derive(Clone)]
pub struct Launch {
    home: PathBuf,
    port: Option<u16>,
    bind: &'static str,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    shell: Option<String>,
}

impl Launch {
    pub fn port(mut self, port: u16) -> Launch {
        self.port = Some(port);
        self
    }

    pub fn bind(mut self, address: &'static str) -> Launch {
        self.bind = address;
        self
    }

    pub fn arg(mut self, argument: impl ToString) -> Launch {
        self.arguments.push(argument.to_string());
        self
    }

    pub fn connect(self, port: u16) -> Launch {
        self.arg("--connect").arg(format!("127.0.0.1:{port}"))
    }

    pub fn env(mut self, name: &str, value: &str) -> Launch {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.into(), value.into()));
        self
    }

    /// With everything it logs.
    pub fn logging(self) -> Launch {
        self.env("RUST_LOG", "info")
    }

    /// A shell's words before it becomes the node.
    pub fn shell(mut self, words: &str) -> Launch {
        self.shell = Some(words.into());
        self
    }

    /// Starts it and waits for its prompt.
    pub fn start(&self) -> Node {
        let mut node = self.spawn(Stdio::piped());
        let asks = node.await_out(PROMPT);
        assert!(asks, "the node ended before it asked anything");
        node
    }

    /// Starts it with `input` and waits for nothing.
    pub fn spawn(&self, input: Stdio) -> Node {
        let port = self.port.unwrap_or_else(free_port);
        let mut command = self.command(port);
        command.stdin(input).stdout(Stdio::piped());
        let mut node = self.run(command, port);
        let output = node.child.stdout.take().expect("its output is a pipe");
        node.out = Stream::of(output);
        node.input = node.child.stdin.take().map(|input| Box::new(input) as _);
        node
    }

    /// Starts it with these on a terminal, whose other side is `master`.
    pub fn spawn_on(&self, terminal: File, master: File) -> Node {
        let port = self.port.unwrap_or_else(free_port);
        let mut command = self.command(port);
        let output = terminal.try_clone().expect("a second descriptor");
        command.stdin(terminal).stdout(output);
        let mut node = self.run(command, port);
        node.out = Stream::of(master.try_clone().expect("a second descriptor"));
        node.input = Some(Box::new(master));
        node
    }

    fn command(&self, port: u16) -> Command {
        let blx = runner::blx();
        let mut command = match &self.shell {
            None => blx,
            Some(words) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("{words}; exec \"$0\" \"$@\"")]);
                shell.arg(blx.get_program()).args(blx.get_args());
                shell
            }
        };
        command.args(["--bind", self.bind]).args(&self.arguments);
        command.arg(port.to_string());
        command.env_clear().envs(runner::environment());
        command.env("HOME", &self.home);
        command.envs(self.variables.iter().cloned());
        command
    }

    fn run(&self, mut command: Command, port: u16) -> Node {
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the program starts");
        let errors = child.stderr.take().expect("its errors are a pipe");
        Node {
            child,
            input: None,
            out: Stream::default(),
            err: Stream::of(errors),
            port,
            home: self.home.clone(),
            command: format!("{command:?}"),
            read: 0,
            logged: 0,
        }
    }
}

/// A running node. Dropping it kills it; dropping it in a panic shows all that is known of it.
pub struct Node {
    child: Child,
    input: Option<Box<dyn Write + Send>>,
    pub out: Stream,
    pub err: Stream,
    pub port: u16,
    home: PathBuf,
    command: String,
    /// What was expected so far ends here.
    read: usize,
    logged: usize,
}

/// What menu 9 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub blocks: u64,
    pub reserved: u64,
    pub available: u64,
    pub peers: u64,
    pub tip: String,
    pub bytes: u64,
    pub key: String,
    /// Every line, without `[status] `.
    pub lines: Vec<String>,
}

impl Status {
    fn read(text: &str) -> Status {
        let lines = text.lines().filter_map(|l| l.strip_prefix("[status] "));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        let field = |name: &str| {
            let mut found = lines.iter().filter_map(|line| line.strip_prefix(name));
            found
                .next()
                .unwrap_or_else(|| panic!("no {name} in {text}"))
        };
        let number = |name: &str| {
            let word = field(name).split(' ').next().unwrap_or_default();
            word.parse().expect("a number")
        };
        Status {
            blocks: number("block count: "),
            reserved: number("reserved items: "),
            available: number("available items: "),
            peers: number("connected peers: "),
            tip: field("tip: ").to_owned(),
            bytes: number("data file: "),
            key: field("node key: ").to_owned(),
            lines: lines.clone(),
        }
    }

    /// The chain and the items.
    pub fn ledger(&self) -> (u64, u64, u64, &str) {
        (self.blocks, self.reserved, self.available, &self.tip)
    }
}

impl Node {
    /// Types these lines at once.
    pub fn enter(&mut self, lines: &[&str]) {
        let mut text = lines.join("\n");
        text.push('\n');
        self.enter_bytes(text.as_bytes());
    }

    pub fn enter_bytes(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("its input is open");
        input.write_all(bytes).expect("it reads what is typed");
    }

    /// Ends its input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    fn await_out(&mut self, text: &str) -> bool {
        let found = self.out.await_text(self.read, text);
        self.read = found.unwrap_or(self.read);
        found.is_some()
    }

    /// Waits until it shows `text` behind what was expected before, and returns all up to there.
    pub fn expect(&mut self, text: &str) -> String {
        let from = self.read;
        assert!(self.await_out(text), "{}: no {text:?} is shown", self.port);
        let mut shown = self.out.text_from(from).into_bytes();
        shown.truncate(self.read - from);
        String::from_utf8(shown).expect("a node shows UTF-8")
    }

    /// The same for what it logs.
    pub fn expect_log(&mut self, text: &str) {
        let found = self.err.await_text(self.logged, text);
        self.logged = found.unwrap_or_else(|| panic!("{}: no {text:?} is logged", self.port));
    }

    /// What is logged behind that, up to the end of the line.
    pub fn rest_of_log_line(&mut self) -> String {
        let from = self.logged;
        self.expect_log("\n");
        let rest = self.err.text_from(from);
        rest.lines().next().unwrap_or_default().to_owned()
    }

    /// Types these lines, and waits for `answer` and for the prompt behind it.
    pub fn ask(&mut self, lines: &[&str], answer: &str) -> String {
        self.enter(lines);
        let mut text = self.expect(answer);
        text += &self.expect(PROMPT);
        text
    }

    pub fn request(&mut self, item: &str) {
        self.ask(&["1", item], &format!("✅ requested {item}\n"));
    }

    pub fn release(&mut self, item: &str) {
        self.ask(&["2", item], &format!("✅ released {item}\n"));
    }

    /// What menu 9 says now.
    pub fn status(&mut self) -> Status {
        Status::read(&self.ask(&["9"], "[status] node key: "))
    }

    /// The names that menu 3 or 4 lists.
    pub fn items(&mut self, option: &str) -> Vec<String> {
        let text = self.ask(&[option], " items: ");
        let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
        let names = lines.filter_map(|line| line.split("  ").next());
        names.map(str::to_owned).collect()
    }

    pub fn reserved(&mut self) -> Vec<String> {
        self.items("3")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let process = Pid::from_child(&self.child);
        kill_process(process, signal).expect("the process is there");
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let over = wait_for(LIMIT, || {
            (self.out.ended() && self.err.ended()).then_some(())
        });
        assert!(over.is_some(), "{}: it does not end", self.port);
        self.child.wait().expect("it was started")
    }

    /// Its exit code, after its end.
    pub fn code(&mut self) -> i32 {
        self.ended().code().expect("no signal killed it")
    }

    /// Ends it without a word, and waits until all it wrote is read.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended();
    }

    fn report(&self) -> String {
        let mut text = format!("--- {}\n", self.command);
        list(&self.home, &mut text);
        for (name, stream) in [("stdout", &self.out), ("stderr", &self.err)] {
            // The end of it tells most.
            let from = stream.len().saturating_sub(10_000);
            let _ = write!(text, "--- {name}\n{}\n", stream.text_from(from));
        }
        text
    }
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
