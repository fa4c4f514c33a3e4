//! The two kinds of node, with the one menu that both have.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Process, Status};
pub use crate::needs::python;
use crate::relay::Relay;
use crate::runner;

const HOST: &str = "127.0.0.1";

/// A script of `tests/desktop`. It leaves no compiled files in the source tree.
pub fn script(python: &str, name: &str) -> Command {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/desktop");
    let mut command = Command::new(python);
    command.arg("-B").arg(directory.join(name));
    command
}

/// A running node of either kind.
pub struct Node {
    pub process: Process,
    pub port: u16,
}

/// A stand-in for a desktop node.
pub fn desktop(python: &str, name: &str) -> Node {
    desktop_from(python, name, None)
}

/// The same, with the chain of a file that `blx export` wrote.
pub fn desktop_from(python: &str, name: &str, chain: Option<&Path>) -> Node {
    let chain = chain.map(|chain| chain.to_str().expect("UTF-8"));
    let arguments: Vec<&str> = chain
        .into_iter()
        .flat_map(|path| ["--chain", path])
        .collect();
    desktop_at(python, name, runner::free_port(), &arguments)
}

/// The same on a port of its own, with more arguments.
pub fn desktop_at(python: &str, name: &str, port: u16, arguments: &[&str]) -> Node {
    let mut command = script(python, "node.py");
    command.args(["--bind", HOST]).args(arguments);
    let process = Process::start(name, command.arg(port.to_string()));
    process.wait_for("select > ");
    Node { process, port }
}

/// A node of ours with a place of its own, where it can be started again.
pub struct Place {
    directory: TempDir,
    port: u16,
    locale: &'static str,
}

impl Place {
    pub fn new() -> Place {
        Place::with_locale("C.UTF-8")
    }

    pub fn with_locale(locale: &'static str) -> Place {
        Place {
            directory: tempfile::tempdir().expect("a directory"),
            port: runner::free_port(),
            locale,
        }
    }

    /// One below a folder, for the benchmark.
    #[allow(dead_code)]
    pub fn within(folder: &Path) -> Place {
        Place {
            directory: tempfile::tempdir_in(folder).expect("a directory"),
            ..Place::new()
        }
    }

    /// Its data directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn start(&self, arguments: &[&str]) -> Node {
        self.start_as("blx", arguments)
    }

    /// Under a name of its own in what a failing test prints.
    pub fn start_as(&self, name: &str, arguments: &[&str]) -> Node {
        self.start_by(runner::blx(), name, arguments)
    }

    /// By a program of its own choice.
    pub fn start_by(&self, mut command: Command, name: &str, arguments: &[&str]) -> Node {
        command.args(["--bind", HOST, "--data-dir"]);
        command.arg(self.directory.path()).args(arguments);
        command.arg(self.port.to_string());
        command.env("LC_ALL", self.locale).env("RUST_LOG", "info");
        let process = Process::start(name, &mut command);
        process.wait_for("select > ");
        Node {
            process,
            port: self.port,
        }
    }
}

impl Node {
    pub fn address(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    /// Dials the other one; both know of the connection when this returns.
    pub fn connect(&mut self, other: &mut Node) {
        let before = [&mut *self, &mut *other].map(|node| node.process.status().peers);
        self.choose(&["6", HOST, &other.port.to_string()]);
        self.process
            .wait_for(&format!("✅ connected to {}", other.address()));
        for (node, before) in [self, other].into_iter().zip(before) {
            node.wait_for_peers(before + 1);
        }
    }

    /// Dials whoever is behind a wire, and waits for nothing.
    pub fn dial(&mut self, relay: &Relay) {
        let address = relay.address();
        self.choose(&["6", &address.ip().to_string(), &address.port().to_string()]);
    }

    /// Dials a port of 127.0.0.1 by a wire that can be cut; returns when it is connected.
    pub fn dial_by_wire(&mut self, port: u16) -> Relay {
        let wire = Relay::between(self.port, port);
        self.dial(&wire);
        self.process
            .wait_for(&format!("✅ connected to {}", wire.address()));
        wire
    }

    /// Dials a port of 127.0.0.1, and waits for nothing.
    pub fn dial_port(&mut self, port: u16) {
        self.choose(&["6", HOST, &port.to_string()]);
    }

    pub fn wait_for_peers(&mut self, count: usize) {
        self.process
            .wait_for_status(&format!("connected to {count} peers"), |status| {
                status.peers == count
            });
    }

    /// The first digits of its key, as users are told.
    pub fn short_key(&mut self) -> String {
        self.process.status().key[..12].to_owned()
    }

    pub fn request(&mut self, item: &str) {
        self.choose(&["1", item]);
        self.process.wait_for(&format!("✅ requested {item}\n"));
    }

    /// Whether its user, who asked for an item, got it then.
    pub fn was_taken(&self, item: &str) -> bool {
        let got = format!("✅ requested {item}\n");
        let refused = format!("❌ item {item} is not available.\n");
        // In these words if its block took so long that the wish was kept for the next start.
        let lost = format!("[consensus] your request of {item} lost to ");
        self.process.wait_for_any(&[&got, &refused, &lost]) == 0
    }

    pub fn request_all(&mut self, items: &[&str]) {
        self.choose(&["5", &items.join(",")]);
        for item in items {
            self.process.wait_for(&format!("✅ requested {item}\n"));
        }
    }

    pub fn release(&mut self, item: &str) {
        self.choose(&["2", item]);
        self.process.wait_for(&format!("✅ released {item}\n"));
    }

    pub fn assert_request_refused(&mut self, item: &str) {
        self.choose(&["1", item]);
        self.process
            .wait_for(&format!("❌ item {item} is not available.\n"));
    }

    /// The user's wish for the chains of others.
    pub fn sync(&mut self) {
        self.choose(&["8"]);
    }

    pub fn assert_reserved(&mut self, items: &[&str]) {
        self.assert_listed("3", items);
    }

    pub fn assert_available(&mut self, items: &[&str]) {
        self.assert_listed("4", items);
    }

    fn assert_listed(&mut self, option: &str, items: &[&str]) {
        let mut listed = self.listed(option);
        listed.sort_unstable();
        let mut items = items.to_vec();
        items.sort_unstable();
        assert_eq!(listed, items);
    }

    /// The items of menu 3 or 4. Desktop nodes write `  - item`, ours `  item  taken ... by ...`.
    pub fn listed(&mut self, option: &str) -> Vec<String> {
        let answer = self.process.ask(&[option]);
        let entries = answer.lines().filter_map(|line| line.strip_prefix("  "));
        entries
            .map(|entry| entry.strip_prefix("- ").unwrap_or(entry))
            .filter_map(|entry| entry.split("  ").next())
            .map(str::to_owned)
            .collect()
    }

    pub fn assert_never_said(&self, texts: &[&str]) {
        let said = self.process.said();
        for text in texts {
            assert!(!said.contains(text), "{text:?} was said");
        }
    }

    fn choose(&mut self, lines: &[&str]) {
        for line in lines {
            self.process.type_line(line);
        }
    }
}

/// Waits until all of them have this many blocks, reserved and available items; their states.
pub fn wait_in_step(
    nodes: &mut [&mut Node],
    blocks: usize,
    reserved: usize,
    available: usize,
) -> Vec<Status> {
    let wanted = format!("{blocks} blocks, {reserved} reserved, {available} available");
    let counts = (blocks, reserved, available);
    let wait = |node: &mut &mut Node| {
        node.process.wait_for_status(&wanted, |status| {
            (status.blocks, status.reserved, status.available) == counts
        })
    };
    nodes.iter_mut().map(wait).collect()
}
