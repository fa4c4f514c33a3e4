//! The two kinds of node beside each other, with the one menu that both have.

use std::env;
use std::path::Path;
use std::process::Command;

pub use crate::harness::Node;
use crate::harness::{Home, Launch, Status, free_port};
pub use crate::needs::python;
use crate::relay::Relay;

const HOST: &str = "127.0.0.1";

/// A script of `tests/desktop`. It leaves no compiled files in the source tree.
pub fn script(python: &str, name: &str) -> Command {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/desktop");
    let mut command = Command::new(python);
    command.arg("-B").arg(directory.join(name));
    command
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
    desktop_at(python, name, free_port(), &arguments)
}

/// The same on a port of its own, with more arguments.
pub fn desktop_at(python: &str, name: &str, port: u16, arguments: &[&str]) -> Node {
    let mut command = script(python, "node.py");
    command.args(["--bind", HOST]).args(arguments);
    command.arg(port.to_string());
    Node::start(name, command, port)
}

/// A data directory and a port, where a node of ours can be started again.
pub struct Place {
    home: Home,
    launch: Launch,
}

impl Place {
    pub fn new() -> Place {
        Place::within(&env::temp_dir())
    }

    /// One below a folder.
    pub fn within(folder: &Path) -> Place {
        let home = Home::within(folder);
        let launch = Launch::on(home.clone()).port(free_port()).logging();
        Place { home, launch }
    }

    /// Its data directory.
    pub fn directory(&self) -> &Path {
        self.home.path()
    }

    /// How a node is started there.
    pub fn launch(&self) -> Launch {
        self.launch.clone()
    }

    pub fn start(&self, arguments: &[&str]) -> Node {
        self.launch().args(arguments).start()
    }

    /// Under a name of its own in what a failing test prints.
    pub fn start_as(&self, name: &str) -> Node {
        self.launch().name(name).start()
    }
}

impl Node {
    pub fn address(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    /// Dials the other one; both know of the connection when this returns.
    pub fn connect(&mut self, other: &mut Node) {
        let before = [&mut *self, &mut *other].map(|node| node.status().peers);
        let connected = format!("✅ connected to {}", other.address());
        self.ask(&["6", HOST, &other.port.to_string()], &connected);
        for (node, before) in [self, other].into_iter().zip(before) {
            node.wait_for_peers(before + 1);
        }
    }

    /// Dials whoever is behind a wire, and waits for nothing.
    pub fn dial(&mut self, relay: &Relay) {
        let address = relay.address();
        self.enter(&["6", &address.ip().to_string(), &address.port().to_string()]);
    }

    /// Dials a port of 127.0.0.1 by a wire that can be cut; returns when it is connected.
    pub fn dial_by_wire(&mut self, port: u16) -> Relay {
        let wire = Relay::between(self.port, port);
        self.dial(&wire);
        self.wait_for(&format!("✅ connected to {}", wire.address()));
        wire
    }

    /// Dials a port of 127.0.0.1, and waits for nothing.
    pub fn dial_port(&mut self, port: u16) {
        self.enter(&["6", HOST, &port.to_string()]);
    }

    /// The first digits of its key, as users are told.
    pub fn short_key(&mut self) -> String {
        self.status().key[..12].to_owned()
    }

    /// Whether its user, who asked for an item, got it then.
    pub fn was_taken(&self, item: &str) -> bool {
        let got = format!("✅ requested {item}\n");
        let refused = format!("❌ item {item} is not available.\n");
        // In these words if its block took so long that the request was kept for the next start.
        let lost = format!("[consensus] your request of {item} lost to ");
        self.wait_for_any(&[&got, &refused, &lost]) == 0
    }

    pub fn request_all(&mut self, items: &[&str]) {
        let last = items.last().expect("an item");
        let last = format!("✅ requested {last}\n");
        let told = self.ask(&["5", &items.join(",")], &last);
        for item in items {
            assert!(told.contains(&format!("✅ requested {item}\n")), "{told}");
        }
    }

    pub fn assert_request_refused(&mut self, item: &str) {
        self.ask(&["1", item], &format!("❌ item {item} is not available.\n"));
    }

    /// The user asks for the chains of others.
    pub fn sync(&mut self) {
        self.enter(&["8"]);
    }

    pub fn assert_reserved(&mut self, items: &[&str]) {
        self.assert_listed("3", items);
    }

    pub fn assert_available(&mut self, items: &[&str]) {
        self.assert_listed("4", items);
    }

    fn assert_listed(&mut self, option: &str, items: &[&str]) {
        let mut listed = self.items(option);
        listed.sort_unstable();
        let mut items = items.to_vec();
        items.sort_unstable();
        assert_eq!(listed, items);
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
        node.wait_for_status(&wanted, |status| {
            (status.blocks, status.reserved, status.available) == counts
        })
    };
    nodes.iter_mut().map(wait).collect()
}
