//! The event loop.

mod users;

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::consoles::Consoles;
use super::net::{Dial, DialPoll, Listener};
use super::networks;
use super::notify::Service;
use super::signal::Signals;
use super::{Fault, reason, tuning};
use crate::limits::{ACCEPTS_PER_TURN, CONSOLES, CONSOLES_NAMED, NETWORKS_MS, TURN_MS};
use crate::node::{Action, CONSOLE, Clock, ConnId, Event, Millis, Network, Summary};

/// Connections of peers: their numbers are below those of the consoles.
const PEERS_MAX: usize = CONSOLE.0 as usize;

/// Descriptors of one wait: the peers, the listener, the signals, two of each console, and the
/// control sockets.
const DESCRIPTORS_MAX: usize = PEERS_MAX + 2 + 2 * CONSOLES + CONSOLES_NAMED;

/// What is driven: the node, or a test's stand-in for it. `Node` says what the calls mean.
pub trait Machine {
    /// Tells what happened.
    fn handle(&mut self, clock: Clock, event: Event<'_>);
    /// Where the connection's next bytes go.
    fn rx_space(&mut self, conn: ConnId) -> &mut [u8];
    /// The bytes to send.
    fn tx_pending(&self, conn: ConnId) -> &[u8];
    /// The next thing to do.
    fn poll(&mut self) -> Option<Action>;
    /// When to call `handle` at the latest.
    fn deadline(&self) -> Option<Millis>;
    /// How it is, in short.
    fn summary(&self) -> Summary;
}

/// Who is ready.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Input(usize),
    Output(usize),
    Left(usize),
    Socket(usize),
    Peer(usize),
}

type Ready = heapless::Vec<(Source, PollFlags), DESCRIPTORS_MAX>;

/// A slot for a peer's connection.
enum SocketSlot {
    Free,
    Dialing(Dial),
    Open(TcpStream),
}

/// Everything that can be waited for.
pub struct Driver {
    origin: Instant,
    listener: Listener,
    signals: Signals,
    consoles: Consoles,
    slots: [SocketSlot; PEERS_MAX],
    /// The slot that is served first in the next turn.
    first: usize,
    /// The connection of the last `Incoming`, until the node decides.
    incoming: Option<TcpStream>,
    /// The subnets that the node knows of, and when they were looked up.
    networks: Vec<Network>,
    looked: Option<Millis>,
    service: Service,
}

/// `Break` ends the loop.
type Flow = ControlFlow<()>;

impl Driver {
    /// Starts the clock.
    pub fn new(listener: Listener, signals: Signals, consoles: Consoles) -> Driver {
        Driver {
            origin: Instant::now(),
            listener,
            signals,
            consoles,
            slots: [const { SocketSlot::Free }; PEERS_MAX],
            first: 0,
            incoming: None,
            networks: Vec::new(),
            looked: None,
            service: Service::default(),
        }
    }

    /// Who is told how the node is; nobody without this.
    pub fn serve_under(&mut self, service: Service) {
        self.service = service;
    }

    /// The time. A wall clock before 1970 is 1970.
    pub fn clock(&self) -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Clock {
            mono: self.now(),
            wall: wall.map_or(0, |time| saturated(time.as_micros())),
        }
    }

    fn now(&self) -> Millis {
        Millis(saturated(self.origin.elapsed().as_millis()))
    }

    /// Until the node asks for the exit.
    pub fn drive<M: Machine>(&mut self, node: &mut M) -> Result<(), Fault> {
        let mut flow = self.begin(node);
        while flow.is_continue() {
            self.service.turned(self.now(), node.summary());
            let ready = self.wait(node).map_err(|error| {
                Fault(format!(
                    "cannot wait for events: {}: start the node again",
                    reason(&error.into())
                ))
            })?;
            flow = self.turn(node, &ready);
        }
        self.slots.iter_mut().for_each(SocketSlot::free);
        self.service.ended();
        Ok(())
    }

    fn begin<M: Machine>(&mut self, node: &mut M) -> Flow {
        let open: Vec<usize> = self.consoles.iter().map(|(at, _)| at).collect();
        for at in open {
            self.console_opened(node, at)?;
        }
        self.tend_consoles(node)?;
        self.obey(node)
    }

    /// Sleeps until a descriptor is ready that somebody cares for, or a deadline comes. One that
    /// nobody cares for must not be in the set: poll(2) reports a hang-up unasked.
    fn wait<M: Machine>(&self, node: &mut M) -> Result<Ready, Errno> {
        let mut polled = heapless::Vec::<PollFd<'_>, DESCRIPTORS_MAX>::new();
        let mut ready = Ready::new();
        let mut add = |source, descriptor, flags: PollFlags| {
            let fits = polled
                .push(PollFd::from_borrowed_fd(descriptor, flags))
                .is_ok()
                && ready.push((source, flags)).is_ok();
            assert!(fits, "every source has its place in the set");
        };
        add(Source::Signals, self.signals.descriptor(), PollFlags::IN);
        for (at, stream) in self.consoles.iter() {
            let conn = ConnId::of_console(at);
            if let Some(input) = stream.input()
                && !node.rx_space(conn).is_empty()
            {
                add(Source::Input(at), input, PollFlags::IN);
            }
            if let Some(output) = stream.output()
                && !node.tx_pending(conn).is_empty()
            {
                add(Source::Output(at), output, PollFlags::OUT);
            } else if let Some(half) = stream.half_closed() {
                add(Source::Left(at), half, PollFlags::HUP);
            }
        }
        for (socket, descriptor) in self.consoles.sockets() {
            add(Source::Socket(socket), descriptor, PollFlags::IN);
        }
        if let Some(descriptor) = self.listener.descriptor() {
            add(Source::Listener, descriptor, PollFlags::IN);
        }
        for (index, slot) in self.slots.iter().enumerate() {
            if let Some((descriptor, flags)) = slot.interest(node, conn(index)) {
                add(Source::Peer(index), descriptor, flags);
            }
        }
        let timeout = self.deadline(node).map(|until| self.timeout(until));
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::new()),
            Err(error) => return Err(error),
        }
        for (entry, descriptor) in ready.iter_mut().zip(&polled) {
            let came = descriptor.revents();
            // A hang-up or an error is learned by reading or writing, whatever was asked for.
            if came.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
                continue;
            }
            entry.1 = came;
        }
        ready.retain(|(_, flags)| !flags.is_empty());
        Ok(ready)
    }

    fn deadline<M: Machine>(&self, node: &M) -> Option<Millis> {
        let dials = self.slots.iter().filter_map(SocketSlot::deadline);
        dials
            .chain(node.deadline())
            .chain(self.listener.deadline())
            .chain(self.consoles.deadline())
            .chain(self.service.deadline())
            .min()
    }

    /// The clock is cut to milliseconds, so this never ends before the deadline.
    fn timeout(&self, until: Millis) -> Timespec {
        let millis = until.0.saturating_sub(self.now().0);
        Timespec {
            // Beyond any clock that the system has.
            tv_sec: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
            tv_nsec: (millis % 1000 * 1_000_000) as _,
        }
    }

    /// Consoles and whoever comes have their turn before any peer.
    fn turn<M: Machine>(&mut self, node: &mut M, ready: &Ready) -> Flow {
        let begun = self.now();
        for (source, _) in ready {
            match source {
                Source::Signals if self.signals.take() => self.tell(node, Event::Stop)?,
                Source::Listener => self.accept(node)?,
                Source::Input(at) => self.read_console(node, *at)?,
                Source::Output(at) => self.write_console(node, *at)?,
                Source::Left(at) => self.left_console(node, *at)?,
                Source::Socket(socket) => self.admit(node, *socket)?,
                Source::Signals | Source::Peer(_) => {}
            }
        }
        self.tend_consoles(node)?;
        self.serve_all(node, ready, Millis(begun.0 + TURN_MS))?;
        let now = self.now();
        self.listener.resume(now);
        for index in 0..PEERS_MAX {
            if self.slots[index]
                .deadline()
                .is_some_and(|until| until <= now)
            {
                self.advance(node, index)?;
            }
        }
        if node.deadline().is_some_and(|until| until <= self.now()) {
            self.tell(node, Event::Tick)?;
        }
        Flow::Continue(())
    }

    /// Serves the peers in turn, at least one of them. When the time is over the others wait for the next
    /// turn, which begins with them: they are as ready then.
    fn serve_all<M: Machine>(&mut self, node: &mut M, ready: &Ready, until: Millis) -> Flow {
        let peers = ready.iter().filter_map(|(source, flags)| match source {
            Source::Peer(index) => Some((*index, *flags)),
            _ => None,
        });
        let first = self.first;
        let late = peers.clone().filter(|(index, _)| *index >= first);
        let early = peers.filter(|(index, _)| *index < first);
        for (index, flags) in late.chain(early) {
            self.serve(node, index, flags)?;
            self.first = index + 1;
            if self.now() >= until {
                break;
            }
        }
        Flow::Continue(())
    }

    fn tell<M: Machine>(&mut self, node: &mut M, event: Event<'_>) -> Flow {
        node.handle(self.clock(), event);
        self.obey(node)
    }

    fn obey<M: Machine>(&mut self, node: &mut M) -> Flow {
        while let Some(action) = node.poll() {
            match action {
                Action::Dial { conn, host, port } => {
                    let dial = Dial::start(&host, port, self.now());
                    *self.slot(conn) = SocketSlot::Dialing(dial);
                }
                Action::Accept { conn } => {
                    let stream = self.incoming.take();
                    let stream = stream.expect("Accept answers an Incoming");
                    *self.slot(conn) = SocketSlot::Open(stream);
                }
                Action::Refuse => self.incoming = None,
                Action::Hangup { conn } => match conn.console() {
                    Some(at) => self.consoles.close(at),
                    None => self.slot(conn).free(),
                },
                Action::Exit => return Flow::Break(()),
            }
        }
        Flow::Continue(())
    }

    fn slot(&mut self, conn: ConnId) -> &mut SocketSlot {
        let slot = self.slots.get_mut(usize::from(conn.0));
        slot.expect("the node names only lines of peers")
    }

    /// Some connections a turn, one after the other, so that the node's answer is always about the last
    /// one.
    fn accept<M: Machine>(&mut self, node: &mut M) -> Flow {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some((stream, from)) = self.listener.accept(self.now()) else {
                break;
            };
            self.look_around(node)?;
            self.incoming = Some(stream);
            self.tell(node, Event::Incoming { from })?;
            self.incoming = None;
        }
        Flow::Continue(())
    }

    /// Tells the node in which subnets this machine is, where it has not looked lately and that is
    /// something new. Only when somebody has come, or was reached: until then nobody tells of others.
    fn look_around<M: Machine>(&mut self, node: &mut M) -> Flow {
        let now = self.now();
        let lately = |at: Millis| now.0 < at.0 + NETWORKS_MS;
        if self.looked.is_some_and(lately) {
            return Flow::Continue(());
        }
        self.looked = Some(now);
        let networks = networks::read();
        if networks == self.networks {
            return Flow::Continue(());
        }
        self.networks = networks.clone();
        let networks = &networks[..];
        self.tell(node, Event::Networks { networks })
    }

    /// Goes by the present state of the connection: an earlier event of this turn may have changed
    /// it, and then a descriptor that is not ready just says so.
    fn serve<M: Machine>(&mut self, node: &mut M, index: usize, flags: PollFlags) -> Flow {
        if let SocketSlot::Dialing(_) = self.slots[index] {
            return self.advance(node, index);
        }
        if flags.contains(PollFlags::IN) {
            self.read_peer(node, index)?;
        }
        if flags.contains(PollFlags::OUT) {
            self.write_peer(node, index)?;
        }
        Flow::Continue(())
    }

    fn advance<M: Machine>(&mut self, node: &mut M, index: usize) -> Flow {
        let now = self.now();
        let conn = conn(index);
        let SocketSlot::Dialing(dial) = &mut self.slots[index] else {
            return Flow::Continue(());
        };
        match dial.advance(now) {
            DialPoll::Waiting => Flow::Continue(()),
            DialPoll::Connected {
                stream,
                local,
                remote,
            } => {
                self.slots[index] = SocketSlot::Open(stream);
                self.look_around(node)?;
                let event = Event::Connected {
                    conn,
                    local,
                    remote,
                };
                self.tell(node, event)
            }
            DialPoll::Failed(reason) => {
                self.slots[index] = SocketSlot::Free;
                let reason = &reason;
                self.tell(node, Event::DialFailed { conn, reason })
            }
        }
    }

    fn read_peer<M: Machine>(&mut self, node: &mut M, index: usize) -> Flow {
        let conn = conn(index);
        let SocketSlot::Open(stream) = &mut self.slots[index] else {
            return Flow::Continue(());
        };
        let space = node.rx_space(conn);
        // Reading into nothing would look like the other end's close.
        if space.is_empty() {
            return Flow::Continue(());
        }
        match stream.read(space) {
            Ok(0) => self.close(node, index, None),
            Ok(count) => self.tell(node, Event::Received { conn, count }),
            Err(error) => self.failed(node, index, &error),
        }
    }

    fn write_peer<M: Machine>(&mut self, node: &mut M, index: usize) -> Flow {
        let conn = conn(index);
        let SocketSlot::Open(stream) = &mut self.slots[index] else {
            return Flow::Continue(());
        };
        let bytes = node.tx_pending(conn);
        if bytes.is_empty() {
            return Flow::Continue(());
        }
        match stream.write(bytes) {
            Ok(0) => self.close(node, index, None),
            Ok(count) => self.tell(node, Event::Sent { conn, count }),
            Err(error) => self.failed(node, index, &error),
        }
    }

    fn failed<M: Machine>(&mut self, node: &mut M, index: usize, error: &io::Error) -> Flow {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Flow::Continue(()),
            _ => self.close(node, index, Some(&reason(error))),
        }
    }

    fn close<M: Machine>(&mut self, node: &mut M, index: usize, reason: Option<&str>) -> Flow {
        self.slots[index].free();
        let conn = conn(index);
        self.tell(node, Event::Closed { conn, reason })
    }
}

impl SocketSlot {
    fn free(&mut self) {
        if let SocketSlot::Open(stream) = std::mem::replace(self, SocketSlot::Free) {
            tuning::end(stream);
        }
    }

    fn interest<'a, M: Machine>(
        &'a self,
        node: &mut M,
        conn: ConnId,
    ) -> Option<(BorrowedFd<'a>, PollFlags)> {
        match self {
            SocketSlot::Free => None,
            SocketSlot::Dialing(dial) => dial.interest(),
            SocketSlot::Open(stream) => {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, !node.rx_space(conn).is_empty());
                flags.set(PollFlags::OUT, !node.tx_pending(conn).is_empty());
                (!flags.is_empty()).then(|| (stream.as_fd(), flags))
            }
        }
    }

    fn deadline(&self) -> Option<Millis> {
        match self {
            SocketSlot::Dialing(dial) => Some(dial.deadline()),
            SocketSlot::Free | SocketSlot::Open(_) => None,
        }
    }
}

fn conn(index: usize) -> ConnId {
    ConnId(u8::try_from(index).expect("the console's line is a u8 above all peers"))
}

fn saturated(time: u128) -> u64 {
    u64::try_from(time).unwrap_or(u64::MAX)
}
