//! The only room that touches the system: sockets, files, the clock, signals, the terminal, the
//! service manager and its journal.
//!
//! [`run`] opens them, then drives the machine by the law that the crate's documentation gives: wait, tell it
//! one event, do what it asks until it asks for nothing more, tell the next event. Everything waits
//! in one call of poll(2), so an idle node makes no system call until its next deadline. What the
//! bytes mean is not known here.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use ring::rand::{SecureRandom, SystemRandom};

use crate::limits::BUILT_S;
use crate::node::{Clock, Config, ConnId, Event, Millis, Node, Summary};
use crate::store::disk::Disk;

pub mod console;
mod consoles;
pub mod disk;
mod drive;
pub mod journal;
mod lock;
pub mod net;
pub mod networks;
pub mod notify;
mod pause;
pub mod remedy;
pub mod resolve;
pub mod signal;
mod tuning;

#[cfg(test)]
mod tests;

use console::standard;
use consoles::Consoles;
use disk::SystemDisk;
use drive::{Driver, Machine};
use net::Listener;
use notify::{Manager, Service};
use signal::Signals;

/// What the user chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the files lie.
    pub data_dir: PathBuf,
    /// Leading hexadecimal zeros of a block's hash; the data directory's own if not given.
    pub difficulty: Option<u8>,
    /// Peers to dial for ever: name or address, and port.
    pub connect: Vec<(String, u16)>,
    /// Hours from one pass over the chain file to the next; never, if there is none.
    pub scrub_hours: Option<u32>,
    /// The consoles. If none was named: standard input and output, unless standard input is closed
    /// or `/dev/null`.
    pub consoles: Option<Vec<console::ConsoleSpec>>,
    /// Transactions of disconnected blocks are not made again.
    pub drop_disconnected: bool,
    /// Items in a chain that is followed.
    pub items_max: usize,
    /// MiB of a chain that waits on disk until it is complete.
    pub staging_mib: u64,
}

/// Why a node cannot start or go on: one sentence with the cause and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// Runs a node until it is told to end.
///
/// The data directory is locked first and the port taken second, so that a start that fails at
/// either has changed no file of a node.
pub fn run(settings: Settings) -> Result<(), Fault> {
    let mut disk = SystemDisk::open(&settings.data_dir)?;
    disk.check_key()?;
    let listener = Listener::bind(settings.listen)?;
    let signals = Signals::catch().map_err(|error| lacking("catch signals", &error))?;
    let specs = settings
        .consoles
        .unwrap_or_else(|| match standard::is_there() {
            true => vec![console::ConsoleSpec::Standard],
            false => Vec::new(),
        });
    let utf8 = standard::shows_utf8(|name| std::env::var(name).ok());
    let consoles = Consoles::open(specs, utf8)?;
    let source = SystemRandom::new();
    let drawn = Drawn::of(|bytes| source.fill(bytes)).map_err(|_| {
        Fault(
            "the system gives no random numbers, without which no key can be made: start again \
             when its random source is there"
                .to_owned(),
        )
    })?;
    let config = Config {
        listen: settings.listen,
        difficulty: settings.difficulty,
        connect: settings.connect,
        scrub_every: settings
            .scrub_hours
            .map(|hours| Millis(u64::from(hours) * 3_600_000)),
        unclean_stops: disk.unclean_stops(),
        unclean_stop: disk.unclean_stop(),
        built: BUILT_S * 1_000_000,
        id: drawn.id,
        drop_disconnected: settings.drop_disconnected,
        items_max: settings.items_max,
        staging_max: settings.staging_mib << 20,
        ways: remedy::WAYS,
        secret: drawn.secret,
        nonces: drawn.nonces,
        seed: drawn.seed,
    };
    let mut driver = Driver::new(listener, signals, consoles);
    let mut node =
        Node::open(disk, driver.clock(), config).map_err(|error| Fault(remedy::of_node(&error)))?;
    driver.serve_under(service());
    driver.drive(&mut node)
}

/// What a start takes of the system's random source. Others see what comes of the id and the seed,
/// so that these have no byte in common with the secret.
struct Drawn {
    /// A new identity's, if there is none yet.
    secret: [u8; 32],
    /// Of what is drawn for each connection.
    nonces: [u8; 32],
    id: u64,
    /// Of the jitter.
    seed: u64,
}

impl Drawn {
    fn of<E>(mut fill: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<Drawn, E> {
        let (mut secret, mut nonces, mut id, mut seed) = ([0; 32], [0; 32], [0; 8], [0; 8]);
        fill(&mut secret)?;
        fill(&mut nonces)?;
        fill(&mut id)?;
        fill(&mut seed)?;
        Ok(Drawn {
            secret,
            nonces,
            id: u64::from_le_bytes(id),
            seed: u64::from_le_bytes(seed),
        })
    }
}

/// Whoever supervises this process, by its environment.
fn service() -> Service {
    let socket = std::env::var_os("NOTIFY_SOCKET");
    let manager = socket.map_or_else(Manager::default, |name| Manager::at(&name));
    let variable = |name| std::env::var(name).ok();
    let (micros, process) = (variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
    let watchdog = notify::watchdog(micros.as_deref(), process.as_deref(), std::process::id());
    Service::new(manager, watchdog)
}

fn lacking(what: &str, error: &io::Error) -> Fault {
    Fault(format!(
        "cannot {what}: {}: free some of the system's resources and start again",
        reason(error)
    ))
}

/// The system's words as a clause: without its number, and not like the start of a sentence.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let word = text.split(' ').next().unwrap_or_default();
    match letters.next() {
        // An abbreviation stays as it is: "RFS specific error", "I/O error".
        Some(first) if !word.chars().skip(1).any(char::is_uppercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

impl<D: Disk> Machine for Node<D> {
    fn handle(&mut self, clock: Clock, event: Event<'_>) {
        self.handle(clock, event);
    }
    fn rx_space(&mut self, conn: ConnId) -> &mut [u8] {
        self.rx_space(conn)
    }
    fn tx_pending(&self, conn: ConnId) -> &[u8] {
        self.tx_pending(conn)
    }
    fn poll(&mut self) -> Option<crate::node::Action> {
        self.poll()
    }
    fn deadline(&self) -> Option<Millis> {
        self.deadline()
    }
    fn summary(&self) -> Summary {
        self.summary()
    }
}
