//! TCP: a listener that never waits, and dials that go on while everything else does.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::pause::Pause;
use super::resolve::Resolver;
use super::tuning;
use super::{Fault, reason};
use crate::limits::{DIAL_MS_MAX, RESOLVE_MS_MAX};
use crate::node::Millis;

/// Where others connect.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    pause: Pause,
}

impl Listener {
    /// Begins to listen.
    pub fn bind(address: SocketAddr) -> Result<Listener, Fault> {
        TcpListener::bind(address)
            .and_then(|socket| {
                socket.set_nonblocking(true)?;
                Ok(Listener {
                    socket,
                    pause: Pause::default(),
                })
            })
            .map_err(|error| bind_fault(address, &error))
    }

    /// Where it listens: the port is the system's choice if 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What to poll for input: nothing during a pause.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pause.deadline().is_none().then(|| self.socket.as_fd())
    }

    /// When [`resume`](Listener::resume) has work.
    pub fn deadline(&self) -> Option<Millis> {
        self.pause.deadline()
    }

    /// Ends a pause that is over.
    pub fn resume(&mut self, now: Millis) {
        self.pause.resume(now);
    }

    /// Takes one waiting connection, and whose it is. A failure is logged and begins a pause.
    pub fn accept(&mut self, now: Millis) -> Option<(TcpStream, SocketAddr)> {
        let accepted = self.socket.accept().and_then(|(stream, from)| {
            stream.set_nonblocking(true)?;
            tuning::begin(&stream);
            Ok((stream, plain(from)))
        });
        match accepted {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                let kind = error.kind();
                if kind != ErrorKind::WouldBlock && kind != ErrorKind::Interrupted {
                    log::warn!("cannot accept a connection: {}", reason(&error));
                    self.pause.begin(now);
                }
                None
            }
        }
    }
}

fn bind_fault(address: SocketAddr, error: &io::Error) -> Fault {
    let (ip, port) = (address.ip(), address.port());
    Fault(match error.kind() {
        ErrorKind::AddrInUse => {
            let other = if port < u16::MAX { port + 1 } else { 6000 };
            format!(
                "port {port} is in use on {ip}: stop the other program or choose another port \
                 (blx {other})"
            )
        }
        ErrorKind::AddrNotAvailable => {
            format!("this machine has no address {ip}: choose one of its own with --bind")
        }
        ErrorKind::PermissionDenied => {
            format!("port {port} may not be used by this user: choose one from 1024 on (blx 6000)")
        }
        _ => format!(
            "cannot listen on {address}: {}: choose another address with --bind",
            reason(error)
        ),
    })
}

/// An IPv4 peer of a listener on IPv6 is shown as what it is.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// How far a dial is.
#[derive(Debug)]
pub enum DialPoll {
    /// Not done yet.
    Waiting,
    /// Done.
    Connected {
        /// The connection, nonblocking.
        stream: TcpStream,
        /// Our end.
        local: SocketAddr,
        /// Their end.
        remote: SocketAddr,
    },
    /// No address answered: why the first one did not, as a clause.
    Failed(String),
}

/// A dial that is going on: every address of the host one after another. Dropping it gives it up.
#[derive(Debug)]
pub struct Dial {
    phase: DialPhase,
    deadline: Millis,
    /// What is left to try, the next one last.
    addresses: Vec<SocketAddr>,
    failure: Option<String>,
}

#[derive(Debug)]
enum DialPhase {
    Resolving(Resolver),
    Connecting(TcpStream),
    /// Between two addresses, and after the last.
    Idle,
}

impl Dial {
    /// Begins to connect to a name or an IP address. Failures too are told by
    /// [`advance`](Dial::advance), so that a dial never answers from within the call that asked
    /// for it.
    pub fn start(host: &str, port: u16, now: Millis) -> Dial {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Dial::of(vec![SocketAddr::new(address, port)], now);
        }
        match Resolver::start(host, port) {
            Ok(resolver) => Dial::resolving(resolver, now),
            // The system refuses to make a child of a name with a zero byte in it.
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                Dial::over("no such host".to_owned(), now)
            }
            Err(error) => Dial::over(
                format!("the name cannot be looked up: {}", reason(&error)),
                now,
            ),
        }
    }

    fn of(addresses: Vec<SocketAddr>, now: Millis) -> Dial {
        let mut dial = Dial {
            phase: DialPhase::Idle,
            deadline: now,
            addresses,
            failure: None,
        };
        dial.try_next(now);
        dial
    }

    fn resolving(resolver: Resolver, now: Millis) -> Dial {
        Dial {
            phase: DialPhase::Resolving(resolver),
            deadline: Millis(now.0 + RESOLVE_MS_MAX),
            addresses: Vec::new(),
            failure: None,
        }
    }

    fn over(failure: String, now: Millis) -> Dial {
        Dial {
            phase: DialPhase::Idle,
            deadline: now,
            addresses: Vec::new(),
            failure: Some(failure),
        }
    }

    /// What to poll, and for what.
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.phase {
            DialPhase::Resolving(resolver) => Some((resolver.descriptor(), PollFlags::IN)),
            DialPhase::Connecting(stream) => Some((stream.as_fd(), PollFlags::OUT)),
            DialPhase::Idle => None,
        }
    }

    /// When to call [`advance`](Dial::advance) at the latest.
    pub fn deadline(&self) -> Millis {
        self.deadline
    }

    /// Goes on as far as possible without waiting. To be called when the descriptor is ready or the
    /// deadline has come; a call too many does no harm. After anything but `Waiting` the dial is
    /// over.
    pub fn advance(&mut self, now: Millis) -> DialPoll {
        match std::mem::replace(&mut self.phase, DialPhase::Idle) {
            DialPhase::Resolving(mut resolver) => match resolver.read() {
                Some(addresses) if addresses.is_empty() => self.note("no such host".to_owned()),
                Some(mut addresses) => {
                    addresses.reverse();
                    self.addresses = addresses;
                }
                None if now < self.deadline => {
                    self.phase = DialPhase::Resolving(resolver);
                    return DialPoll::Waiting;
                }
                None => self.note("the name could not be looked up in time".to_owned()),
            },
            DialPhase::Connecting(stream) => match outcome(&stream) {
                Ok(Some((local, remote))) => {
                    tuning::begin(&stream);
                    return DialPoll::Connected {
                        stream,
                        local,
                        remote,
                    };
                }
                Ok(None) if now < self.deadline => {
                    self.phase = DialPhase::Connecting(stream);
                    return DialPoll::Waiting;
                }
                Ok(None) => self.note("no answer".to_owned()),
                Err(error) => self.note(dial_reason(&error)),
            },
            DialPhase::Idle => {}
        }
        self.try_next(now);
        match self.phase {
            DialPhase::Idle => {
                let failure = self.failure.take();
                DialPoll::Failed(failure.unwrap_or_else(|| "no such host".to_owned()))
            }
            _ => DialPoll::Waiting,
        }
    }

    fn try_next(&mut self, now: Millis) {
        while let Some(address) = self.addresses.pop() {
            match begin(address) {
                Ok(stream) => {
                    self.phase = DialPhase::Connecting(stream);
                    self.deadline = Millis(now.0 + DIAL_MS_MAX);
                    return;
                }
                Err(error) => self.note(dial_reason(&error)),
            }
        }
        self.deadline = now;
    }

    /// The first failure is the one to tell: it is of the address that was most likely meant.
    fn note(&mut self, failure: String) {
        self.failure.get_or_insert(failure);
    }
}

fn begin(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Both ends of a connection that stands, `None` while it does not.
fn outcome(stream: &TcpStream) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    let remote = match stream.peer_addr() {
        Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(None),
        result => result?,
    };
    let local = stream.local_addr()?;
    // TCP connects a socket to itself when the system gives it the very port that it dials.
    if local == remote {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    Ok(Some((plain(local), plain(remote))))
}

fn dial_reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::TimedOut => "no answer".to_owned(),
        _ => reason(error),
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, poll};

    use super::super::resolve::tests::scripted;
    use super::*;

    const START: Millis = Millis(1000);

    fn any_port() -> Listener {
        Listener::bind(([127, 0, 0, 1], 0).into()).expect("a free port")
    }

    fn port(listener: &Listener) -> u16 {
        listener.address().expect("an address").port()
    }

    /// A port that refuses for as long as the socket lives: taken, but nobody listens.
    fn refusing() -> (TcpListener, SocketAddr) {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
            .expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        rustix::net::bind(&socket, &any).expect("a free port");
        let held = TcpListener::from(socket);
        let address = held.local_addr().expect("an address");
        (held, address)
    }

    /// Waits for the descriptor, never for the clock.
    fn finish(mut dial: Dial) -> DialPoll {
        loop {
            if let Some((descriptor, flags)) = dial.interest() {
                poll(&mut [PollFd::new(&descriptor, flags)], None).expect("polls");
            }
            match dial.advance(START) {
                DialPoll::Waiting => {}
                done => return done,
            }
        }
    }

    fn failure(progress: DialPoll) -> String {
        match progress {
            DialPoll::Failed(reason) => reason,
            other => panic!("expected a failure, not {other:?}"),
        }
    }

    #[test]
    fn a_dial_connects_and_knows_both_ends() {
        let mut listener = any_port();
        let progress = finish(Dial::start("127.0.0.1", port(&listener), START));
        let DialPoll::Connected { local, remote, .. } = progress else {
            panic!("expected a connection, not {progress:?}");
        };
        assert_eq!(remote, listener.address().expect("an address"));
        let (_stream, from) = listener.accept(START).expect("a connection waits");
        assert_eq!(from, local);
        assert!(listener.accept(START).is_none());
        assert_eq!(listener.deadline(), None);
    }

    #[test]
    fn ipv6_connects_too() {
        let Ok(listener) = Listener::bind("[::1]:0".parse().expect("an address")) else {
            return; // This machine has no IPv6.
        };
        let progress = finish(Dial::start("::1", port(&listener), START));
        assert!(
            matches!(progress, DialPoll::Connected { .. }),
            "{progress:?}"
        );
    }

    #[test]
    fn a_closed_port_refuses() {
        let (_held, address) = refusing();
        let dial = Dial::start("127.0.0.1", address.port(), START);
        assert_eq!(failure(finish(dial)), "connection refused");
    }

    #[test]
    fn a_name_tries_all_its_addresses() {
        let listener = any_port();
        let (_held, closed) = refusing();
        let script = format!("echo {closed}; echo 127.0.0.1:{}", port(&listener));
        let dial = Dial::resolving(scripted(&script), START);
        let progress = finish(dial);
        assert!(
            matches!(progress, DialPoll::Connected { .. }),
            "{progress:?}"
        );

        let script = format!("echo {closed}; echo [::1]:{}", closed.port());
        let dial = Dial::resolving(scripted(&script), START);
        assert_eq!(failure(finish(dial)), "connection refused");
    }

    #[test]
    fn a_name_that_means_nothing_is_no_host() {
        let dial = Dial::resolving(scripted("exit 1"), START);
        assert_eq!(failure(finish(dial)), "no such host");
        let mut dial = Dial::start("a\0b", 6000, START);
        assert_eq!(dial.deadline(), START);
        assert_eq!(failure(dial.advance(START)), "no such host");
    }

    #[test]
    fn a_lookup_ends_at_its_deadline() {
        let mut dial = Dial::resolving(scripted("exec sleep 1000"), START);
        assert!(matches!(dial.advance(START), DialPoll::Waiting));
        let deadline = dial.deadline();
        assert_eq!(deadline, Millis(START.0 + RESOLVE_MS_MAX));
        assert_eq!(
            failure(dial.advance(deadline)),
            "the name could not be looked up in time"
        );
    }

    #[test]
    fn silence_leads_to_the_next_address_and_then_to_no_answer() {
        // Sockets that never began to connect are as silent as a host that is switched off.
        let silent = |address: SocketAddr| {
            let dial = Dial::of(vec![address], START);
            assert!(dial.interest().is_some());
            dial
        };
        let listener = any_port();
        let mut dial = silent(listener.address().expect("an address"));
        let family = AddressFamily::INET;
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .expect("a socket");
        dial.phase = DialPhase::Connecting(TcpStream::from(socket));
        dial.addresses.push(listener.address().expect("an address"));
        assert!(matches!(dial.advance(START), DialPoll::Waiting));
        assert!(matches!(dial.advance(dial.deadline()), DialPoll::Waiting));
        assert_eq!(dial.deadline(), Millis(START.0 + 2 * DIAL_MS_MAX));
        assert!(matches!(finish(dial), DialPoll::Connected { .. }));
    }

    #[test]
    fn a_port_in_use_is_a_sentence_with_a_way_out() {
        let listener = any_port();
        let address = listener.address().expect("an address");
        let fault = Listener::bind(address).expect_err("is taken").to_string();
        let port = address.port();
        assert!(
            fault.starts_with(&format!("port {port} is in use on 127.0.0.1: stop ")),
            "{fault}"
        );
        let elsewhere = Listener::bind("192.0.2.1:6000".parse().expect("an address"));
        let fault = elsewhere.expect_err("is not ours").to_string();
        assert!(
            fault.starts_with("this machine has no address 192.0.2.1"),
            "{fault}"
        );
    }

    #[test]
    fn a_pause_takes_the_listener_out_until_it_is_over() {
        let mut listener = any_port();
        listener.pause.begin(Millis(1000));
        listener.resume(Millis(1999));
        assert!(listener.descriptor().is_none());
        assert_eq!(listener.deadline(), Some(Millis(2000)));
        listener.resume(Millis(2000));
        assert!(listener.descriptor().is_some());
    }
}
