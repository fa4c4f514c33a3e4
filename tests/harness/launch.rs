//! How a node is started, and where it keeps its files.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::node::Node;
use super::run;
use super::runner::{self, free_port};

/// A user's home directory. One of its own is removed with the last node and launch that has it.
#[derive(Clone)]
pub struct Home {
    path: PathBuf,
    _own: Option<Arc<TempDir>>,
}

impl From<&Path> for Home {
    fn from(path: &Path) -> Home {
        Home {
            path: path.to_owned(),
            _own: None,
        }
    }
}

impl Home {
    pub fn new() -> Home {
        Home::within(&env::temp_dir())
    }

    pub fn within(folder: &Path) -> Home {
        let own = tempfile::tempdir_in(folder).expect("a directory");
        Home {
            path: own.path().to_owned(),
            _own: Some(Arc::new(own)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
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
        Launch::at(self.clone())
    }
}

/// How a node is started.
#[derive(Clone)]
pub struct Launch {
    name: String,
    /// The program and its first arguments.
    words: Vec<OsString>,
    home: Home,
    port: Option<u16>,
    bind: &'static str,
    arguments: Vec<OsString>,
    variables: Vec<(String, String)>,
    shell: Option<String>,
}

impl Launch {
    fn at(home: Home) -> Launch {
        let mut launch = Launch {
            name: "blx".into(),
            words: Vec::new(),
            home,
            port: None,
            bind: "127.0.0.1",
            arguments: Vec::new(),
            variables: Vec::new(),
            shell: None,
        };
        launch.words = words(&runner::blx());
        if let Some((name, value)) = runner::environment() {
            launch = launch.env(name, &value);
        }
        launch.env("LC_ALL", "C.UTF-8")
    }

    /// A node in a home of its own.
    pub fn new() -> Launch {
        Launch::at(Home::new())
    }

    /// A node with this data directory.
    pub fn on(directory: impl Into<Home>) -> Launch {
        let home = directory.into();
        Launch::at(home.clone()).arg("--data-dir").arg(home.path())
    }

    /// Its name in what a failing test prints.
    pub fn name(mut self, name: &str) -> Launch {
        self.name = name.into();
        self
    }

    /// By another program than the one that was built for this test, with its first arguments.
    pub fn program(mut self, words: &[impl AsRef<OsStr>]) -> Launch {
        self.words = words.iter().map(OsString::from).collect();
        self.variables.retain(|(name, _)| name != runner::RUNNER);
        self
    }

    pub fn port(mut self, port: u16) -> Launch {
        self.port = Some(port);
        self
    }

    pub fn bind(mut self, address: &'static str) -> Launch {
        self.bind = address;
        self
    }

    pub fn arg(mut self, argument: impl Into<OsString>) -> Launch {
        self.arguments.push(argument.into());
        self
    }

    pub fn args(mut self, arguments: &[&str]) -> Launch {
        self.arguments.extend(arguments.iter().map(OsString::from));
        self
    }

    pub fn connect(self, port: u16) -> Launch {
        self.arg(format!("--connect=127.0.0.1:{port}"))
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

    /// Where no file may grow beyond a number of blocks of 512 bytes.
    pub fn full_disk(self, blocks: usize) -> Launch {
        self.shell(&run::full_disk(blocks))
    }

    /// Starts it and waits for its prompt.
    pub fn start(&self) -> Node {
        self.spawn(Stdio::piped()).at_prompt()
    }

    /// Starts it with `input` and waits for nothing.
    pub fn spawn(&self, input: Stdio) -> Node {
        let port = self.port.unwrap_or_else(free_port);
        Node::spawn(&self.name, self.command(port), input, port, &self.home)
    }

    /// Starts it with these on a terminal, whose other side is `master`.
    pub fn spawn_on(&self, terminal: File, master: File) -> Node {
        let port = self.port.unwrap_or_else(free_port);
        let command = self.command(port);
        Node::spawn_on(&self.name, command, (terminal, master), port, &self.home)
    }

    /// Starts it on this port.
    pub fn command(&self, port: u16) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command.args(["--bind", self.bind]).args(&self.arguments);
        command.arg(port.to_string());
        command.env_clear().env("HOME", self.home.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        match &self.shell {
            None => command,
            Some(words) => run::behind(words, &command),
        }
    }
}

/// A program and its arguments.
fn words(command: &Command) -> Vec<OsString> {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    words.map(OsString::from).collect()
}
