//! A wire between two nodes that counts what it carries, and can be cut, reconnected and held back.
//!
//! Each has an address of loopback of its own, for both of its ends, and may serve one caller only:
//! what nodes learn of each other through it leads nowhere, so that nobody comes around a cut.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::harness::free_port;

/// The wire. Dropping it cuts it for good.
pub struct Relay {
    address: SocketAddrV4,
    line: Arc<Line>,
}

struct Line {
    /// The only port whose node is served, if not everybody is.
    caller: Option<u16>,
    target: u16,
    state: Mutex<State>,
    turn: Condvar,
    /// Bytes from who dialed, and to it.
    carried: [AtomicU64; 2],
}

#[derive(Default)]
struct State {
    cut: bool,
    held: bool,
    ended: bool,
    streams: Vec<TcpStream>,
}

impl Relay {
    /// A wire that leads to a port of 127.0.0.1.
    pub fn to(target: u16) -> Relay {
        Relay::new(None, target)
    }

    /// The same, but only for the node that listens on port `caller`.
    pub fn between(caller: u16, target: u16) -> Relay {
        Relay::new(Some(caller), target)
    }

    fn new(caller: Option<u16>, target: u16) -> Relay {
        static LAST: AtomicU8 = AtomicU8::new(0);
        let host = Ipv4Addr::new(127, 1, 0, LAST.fetch_add(1, Ordering::Relaxed) % 250 + 1);
        let listener = TcpListener::bind((host, free_port())).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let line = Arc::new(Line {
            caller,
            target,
            state: Mutex::default(),
            turn: Condvar::new(),
            carried: [AtomicU64::new(0), AtomicU64::new(0)],
        });
        let accepting = Arc::clone(&line);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.lock().ended {
                    return;
                }
                let line = Arc::clone(&accepting);
                // Without the other end it is closed, as a cut wire would be noticed.
                thread::spawn(move || stream.and_then(|near| line.join(host, near)));
            }
        });
        Relay {
            address: SocketAddrV4::new(host, port),
            line,
        }
    }

    /// Where to dial it.
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Bytes from who dialed, and to it, in all connections so far.
    pub fn carried(&self) -> [u64; 2] {
        [0, 1].map(|way| self.line.carried[way].load(Ordering::Relaxed))
    }

    /// Ends all connections, and those to come.
    pub fn cut(&self) {
        let mut state = self.line.lock();
        state.cut = true;
        for stream in state.streams.drain(..) {
            // An error means that it was closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.line.turn.notify_all();
    }

    /// The opposite of [`Relay::cut`], for connections to come.
    pub fn reconnect(&self) {
        self.line.lock().cut = false;
    }

    /// Delivers nothing from now on, or all of it.
    pub fn hold(&self, held: bool) {
        self.line.lock().held = held;
        self.line.turn.notify_all();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.line.lock().ended = true;
        // One more call, so that the listener looks up.
        let _ = TcpStream::connect(self.address);
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Line>, host: Ipv4Addr, mut near: TcpStream) -> io::Result<()> {
        // Who dialed speaks first, and says where it listens.
        let mut word = [0; 1 << 16];
        let count = near.read(&mut word)?;
        let word = &word[..count];
        let mut state = self.lock();
        if state.cut || !self.serves(word) {
            return Ok(());
        }
        let far = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&far, &SocketAddrV4::new(host, 0))?;
        connect(&far, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.target))?;
        let mut far = TcpStream::from(far);
        far.write_all(word)?;
        self.carried[0].fetch_add(count as u64, Ordering::Relaxed);
        for (way, from, to) in [(0, &near, &far), (1, &far, &near)] {
            from.set_nodelay(true)?;
            let (line, from, to) = (Arc::clone(self), from.try_clone()?, to.try_clone()?);
            thread::spawn(move || {
                // Either end may go at any time.
                let _ = line.carry(way, &from, &to);
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
        }
        state.streams.extend([near, far]);
        Ok(())
    }

    fn serves(&self, word: &[u8]) -> bool {
        let word = String::from_utf8_lossy(word);
        let sender = |port: String| {
            word.lines()
                .next()
                .is_some_and(|line| line.ends_with(port.as_str()))
        };
        self.caller
            .is_none_or(|port| sender(format!(":{port}\"}}")))
    }

    fn carry(&self, way: usize, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut buffer = [0; 1 << 16];
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            let held = self.lock();
            let waited = self.turn.wait_while(held, |state| state.held && !state.cut);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            to.write_all(&buffer[..count])?;
            self.carried[way].fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}
