//! What a service manager is told, by the protocol of sd_notify(3): datagrams of `NAME=VALUE` lines
//! to the socket that `NOTIFY_SOCKET` names. Without one nothing is said, and nothing depends on
//! whether anybody listens.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::io::Errno;

use super::reason;
use crate::limits::{NOTIFY_RETRY_MS, STATUS_SPACING_MS};
use crate::node::{Millis, Summary};

/// The way to the service manager; without a socket it leads nowhere.
#[derive(Debug, Default)]
pub struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    complained: Cell<bool>,
}

impl Manager {
    /// `address` is `NOTIFY_SOCKET`: a path, or `@` and a name without a file. Other kinds are for
    /// virtual machines as a whole.
    pub fn at(address: &OsStr) -> Manager {
        let opened = || {
            let address = match address.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
                [b'/', ..] => SocketAddr::from_pathname(address)?,
                _ => return Err(io::ErrorKind::Unsupported.into()),
            };
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok((socket, address))
        };
        let manager = Manager::default();
        match opened() {
            Ok(socket) => Manager {
                socket: Some(socket),
                ..manager
            },
            Err(error) => {
                manager.complain(&error);
                manager
            }
        }
    }

    /// Whether that is all that can be done: the message was taken, or nobody is there to take it.
    /// False if there was no room for it, as there may be later.
    fn send(&self, message: &str) -> bool {
        let Some((socket, address)) = &self.socket else {
            return true;
        };
        if message.is_empty() {
            return true;
        }
        let Err(error) = socket.send_to_addr(message.as_bytes(), address) else {
            return true;
        };
        if let Some(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) = Errno::from_io_error(&error) {
            return false;
        }
        self.complain(&error);
        true
    }

    /// Once: it would fail the same way each time, and the node does not need it.
    fn complain(&self, error: &io::Error) {
        if !self.complained.replace(true) {
            log::debug!("the service manager is not told: {}", reason(error));
        }
    }
}

/// Tells the manager how a running node is.
#[derive(Debug, Default)]
pub struct Service {
    manager: Manager,
    schedule: Schedule,
    /// There was no room for what is due: when to try again.
    retry: Option<Millis>,
}

impl Service {
    /// `watchdog` is what [`watchdog`] made of the environment.
    pub fn new(manager: Manager, watchdog: Option<u64>) -> Service {
        let schedule = Schedule {
            every: watchdog,
            ..Schedule::default()
        };
        Service {
            manager,
            schedule,
            retry: None,
        }
    }

    /// The node is ready, and every time after the first: it has completed a turn of the loop.
    /// What the manager has no room for stays due.
    pub fn turned(&mut self, now: Millis, summary: Summary) {
        if self.manager.socket.is_none() {
            return;
        }
        let mut told = self.schedule.clone();
        let message = told.message(now, summary);
        if self.manager.send(&message) {
            (self.schedule, self.retry) = (told, None);
        } else {
            self.retry = Some(Millis(now.0.saturating_add(NOTIFY_RETRY_MS)));
        }
    }

    /// The loop has ended.
    pub fn ended(&mut self) {
        self.manager.send(self.schedule.stopping());
    }

    /// When to complete a turn at the latest. An idle node is woken for the watchdog only, and for
    /// what the manager had no room for.
    pub fn deadline(&self) -> Option<Millis> {
        self.manager.socket.as_ref()?;
        self.retry.or_else(|| self.schedule.deadline())
    }
}

/// How often the watchdog is told that all is well, in milliseconds: twice in its time, as
/// sd_watchdog_enabled(3) advises. `None` if there is none, or if it watches another process.
pub fn watchdog(micros: Option<&str>, process: Option<&str>, own: u32) -> Option<u64> {
    let micros: u64 = micros?.parse().ok()?;
    let ours = process.is_none_or(|process| process.parse() == Ok(own));
    (micros > 0 && ours).then_some((micros / 2_000).max(1))
}

/// What is due when.
#[derive(Clone, Debug, Default)]
struct Schedule {
    /// The watchdog's milliseconds.
    every: Option<u64>,
    /// When it has to hear next.
    fed_by: Option<Millis>,
    /// The last summary that was seen.
    seen: Summary,
    /// The last that was told, and when the next may be.
    told: Option<(Summary, Millis)>,
    stopping: bool,
}

impl Schedule {
    /// What is to be told after a turn; empty if nothing is.
    fn message(&mut self, now: Millis, summary: Summary) -> String {
        let mut lines: Vec<String> = Vec::new();
        let after = |ms| Millis(now.0.saturating_add(ms));
        self.seen = summary;
        if self.told.is_none() {
            lines.push("READY=1".to_owned());
            self.fed_by = self.every.map(after);
        }
        if self.status_due().is_some_and(|due| due <= now) {
            self.told = Some((summary, after(STATUS_SPACING_MS)));
            let Summary { height, peers, .. } = summary;
            let but = if summary.ok {
                ""
            } else {
                ", NOT OK: ask blx ctl status"
            };
            lines.push(format!("STATUS=height {height}, {peers} peers{but}"));
        }
        if self.fed_by.is_some_and(|due| due <= now) {
            self.fed_by = self.every.map(after);
            lines.push("WATCHDOG=1".to_owned());
        }
        if summary.ending {
            let stopping = self.stopping();
            lines.extend((!stopping.is_empty()).then(|| stopping.to_owned()));
        }
        lines.join("\n")
    }

    /// When the status has to be told, if it differs from what was.
    fn status_due(&self) -> Option<Millis> {
        match self.told {
            None => Some(Millis(0)),
            Some((told, next)) => {
                let same = Summary {
                    ending: told.ending,
                    ..self.seen
                } == told;
                (!same).then_some(next)
            }
        }
    }

    fn stopping(&mut self) -> &'static str {
        match std::mem::replace(&mut self.stopping, true) {
            false => "STOPPING=1",
            true => "",
        }
    }

    fn deadline(&self) -> Option<Millis> {
        self.fed_by.into_iter().chain(self.status_due()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(height: u64, peers: usize) -> Summary {
        Summary {
            height,
            peers,
            ending: false,
            ok: true,
        }
    }

    #[test]
    fn ready_comes_once_and_the_status_when_it_changes() {
        let mut schedule = Schedule::default();
        let mut at = |now, summary| schedule.message(Millis(now), summary);
        assert_eq!(at(5, summary(0, 0)), "READY=1\nSTATUS=height 0, 0 peers");
        assert_eq!(at(5_000, summary(0, 0)), "");
        assert_eq!(at(5_001, summary(1, 0)), "STATUS=height 1, 0 peers");
        assert_eq!(at(5_002, summary(2, 0)), "");
        assert_eq!(at(6_000, summary(3, 1)), "");
        assert_eq!(at(6_001, summary(3, 1)), "STATUS=height 3, 1 peers");
        assert_eq!(at(6_002, summary(4, 1)), "");
        assert_eq!(at(9_000, summary(3, 1)), "", "as it was told");
        let ok = false;
        let ill = Summary {
            ok,
            ..summary(3, 1)
        };
        let told = "STATUS=height 3, 1 peers, NOT OK: ask blx ctl status";
        assert_eq!(at(9_001, ill), told);
    }

    #[test]
    fn an_unchanged_status_wakes_nobody() {
        let mut schedule = Schedule::default();
        schedule.message(Millis(0), summary(0, 0));
        assert_eq!(schedule.deadline(), None);
        schedule.message(Millis(500), summary(1, 0));
        assert_eq!(schedule.deadline(), Some(Millis(1_000)));
        schedule.message(Millis(1_000), summary(1, 0));
        assert_eq!(schedule.deadline(), None);
    }

    #[test]
    fn the_watchdog_is_fed_in_time_and_not_by_every_turn() {
        let mut schedule = Schedule {
            every: Some(100),
            ..Schedule::default()
        };
        schedule.message(Millis(0), summary(0, 0));
        assert_eq!(schedule.deadline(), Some(Millis(100)));
        assert_eq!(schedule.message(Millis(99), summary(0, 0)), "");
        assert_eq!(schedule.message(Millis(130), summary(0, 0)), "WATCHDOG=1");
        assert_eq!(schedule.deadline(), Some(Millis(230)));
    }

    #[test]
    fn the_end_is_told_once() {
        let mut schedule = Schedule::default();
        schedule.message(Millis(0), summary(0, 0));
        let ending = Summary {
            ending: true,
            ..summary(0, 0)
        };
        assert_eq!(schedule.message(Millis(1), ending), "STOPPING=1");
        assert_eq!(schedule.message(Millis(2), ending), "");
        assert_eq!(schedule.stopping(), "");
    }

    #[test]
    fn the_watchdog_may_be_somebody_elses() {
        assert_eq!(watchdog(Some("3000000"), None, 7), Some(1_500));
        assert_eq!(watchdog(Some("3000000"), Some("7"), 7), Some(1_500));
        assert_eq!(watchdog(Some("3000000"), Some("8"), 7), None);
        assert_eq!(watchdog(Some("1"), None, 7), Some(1));
        for nothing in [None, Some("0"), Some(""), Some("soon")] {
            assert_eq!(watchdog(nothing, None, 7), None);
        }
    }

    #[test]
    fn a_name_without_a_file_is_an_address_too() {
        let name = format!("blx-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let listening = UnixDatagram::bind_addr(&address).expect("binds");
        Manager::at(OsStr::new(&format!("@{name}"))).send("READY=1");
        let mut bytes = [0; 64];
        let count = listening.recv(&mut bytes).expect("receives");
        assert_eq!(&bytes[..count], b"READY=1");
    }

    #[test]
    fn nobody_there_is_no_fault() {
        for address in ["/no/such/socket", "", "vsock:2:1234", "relative"] {
            let mut service = Service::new(Manager::at(OsStr::new(address)), None);
            service.turned(Millis(0), summary(0, 0));
            assert!(service.manager.complained.get(), "{address}");
            assert_eq!(service.deadline(), None, "{address}");
        }
    }

    #[test]
    fn what_finds_the_queue_full_stays_due() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let listening = UnixDatagram::bind(&path).expect("binds");
        listening.set_nonblocking(true).expect("nonblocking");
        let fill = || {
            let other = UnixDatagram::unbound().expect("a socket");
            other.set_nonblocking(true).expect("nonblocking");
            while other.send_to(b"x", &path).is_ok() {}
        };
        // The last of what is there.
        let drained = || {
            let mut bytes = [0; 64];
            let messages = std::iter::from_fn(|| {
                let count = listening.recv(&mut bytes).ok()?;
                Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
            });
            messages.last().unwrap_or_default()
        };
        let mut service = Service::new(Manager::at(path.as_os_str()), Some(5_000));
        fill();
        service.turned(Millis(0), summary(0, 0));
        assert_eq!(service.deadline(), Some(Millis(100)));
        service.turned(Millis(40), summary(1, 0));
        assert_eq!(service.deadline(), Some(Millis(140)));
        assert_eq!(drained(), "x");
        service.turned(Millis(140), summary(1, 0));
        assert_eq!(drained(), "READY=1\nSTATUS=height 1, 0 peers");
        assert_eq!(service.deadline(), Some(Millis(5_140)));
        fill();
        service.turned(Millis(5_140), summary(1, 0));
        assert_eq!(service.deadline(), Some(Millis(5_240)));
        assert_eq!(drained(), "x");
        service.turned(Millis(5_240), summary(1, 0));
        assert_eq!(drained(), "WATCHDOG=1");
        fill();
        let ending = Summary {
            ending: true,
            ..summary(1, 0)
        };
        service.turned(Millis(5_300), ending);
        assert_eq!(drained(), "x");
        service.ended();
        assert_eq!(drained(), "STOPPING=1");
        assert!(!service.manager.complained.get());
    }
}
