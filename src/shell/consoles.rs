//! The consoles of a node: those that the user chose, and those who came by a control socket.

use std::io::Write;
use std::os::fd::BorrowedFd;

use super::Fault;
use super::console::serial::Device;
use super::console::socket::ControlSocket;
use super::console::standard::Standard;
use super::console::{ConsoleSpec, Stream, Transfer};
use super::lacking;
use crate::limits::CONSOLES;
use crate::node::{ConsoleKind, Millis};

/// An open console, and which device it is.
#[derive(Debug)]
struct OpenConsole {
    stream: Stream,
    device: Option<usize>,
}

/// All consoles. Each is named by its index here.
#[derive(Debug)]
pub struct Consoles {
    open: [Option<OpenConsole>; CONSOLES],
    devices: Vec<Device>,
    sockets: Vec<ControlSocket>,
    /// Whether standard output shows UTF-8.
    utf8: bool,
}

impl Consoles {
    /// Opens the consoles that were chosen; serial devices are opened later, by `tend`.
    pub fn open(specs: Vec<ConsoleSpec>, utf8: bool) -> Result<Consoles, Fault> {
        let mut consoles = Consoles {
            open: [const { None }; CONSOLES],
            devices: Vec::new(),
            sockets: Vec::new(),
            utf8,
        };
        for spec in specs {
            match spec {
                ConsoleSpec::Standard => {
                    let standard = Standard::open();
                    let standard = standard.map_err(|error| lacking("open the console", &error))?;
                    consoles.attach(Stream::Standard(standard), None);
                }
                ConsoleSpec::Serial(path, speed) => consoles.devices.push(Device::new(path, speed)),
                ConsoleSpec::Socket(path) => consoles.sockets.push(ControlSocket::bind(&path)?),
            }
        }
        Ok(consoles)
    }

    /// One console that is open, or none.
    #[cfg(test)]
    pub fn of(standard: Option<Standard>, utf8: bool) -> Consoles {
        let mut consoles = Consoles::open(Vec::new(), utf8).expect("nothing is opened");
        if let Some(standard) = standard {
            consoles.attach(Stream::Standard(standard), None);
        }
        consoles
    }

    /// Puts a stream into a free slot.
    fn attach(&mut self, stream: Stream, device: Option<usize>) -> Option<usize> {
        let at = self.open.iter().position(Option::is_none)?;
        self.open[at] = Some(OpenConsole { stream, device });
        Some(at)
    }

    /// Those that are open.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Stream)> {
        let open = self.open.iter().enumerate();
        open.filter_map(|(at, console)| Some((at, &console.as_ref()?.stream)))
    }

    /// What a console is.
    pub fn kind(&self, at: usize) -> Option<ConsoleKind> {
        Some(match &self.open[at].as_ref()?.stream {
            Stream::Standard(standard) => ConsoleKind::Standard {
                utf8: self.utf8,
                echoes: standard.echoes(),
            },
            Stream::Serial(_) => ConsoleKind::Serial,
            Stream::Socket(..) => ConsoleKind::Socket,
        })
    }

    /// The control sockets to poll.
    pub fn sockets(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let sockets = self.sockets.iter().enumerate();
        sockets.filter_map(|(at, socket)| Some((at, socket.descriptor()?)))
    }

    /// Accepts a connection to a control socket; its index. Slots for the serial devices are kept
    /// free.
    pub fn accept(&mut self, socket: usize, now: Millis) -> Option<usize> {
        let mut caller = self.sockets[socket].accept(now)?;
        let free = self.open.iter().filter(|console| console.is_none()).count();
        let closed = self.devices.iter().filter(|device| !device.is_open());
        if free <= closed.count() {
            // If they do not read the reason, they see the end.
            let _ = caller.write(b"all places are taken: try again later\n");
            return None;
        }
        self.attach(Stream::Socket(caller, true), None)
    }

    /// Tries a device that is due; its index, if it is open now.
    pub fn tend(&mut self, now: Millis) -> Option<usize> {
        for socket in &mut self.sockets {
            socket.resume(now);
        }
        for device in 0..self.devices.len() {
            let Some(serial) = self.devices[device].tend(now) else {
                continue;
            };
            return self.attach(Stream::Serial(serial), Some(device));
        }
        None
    }

    /// When a device is tried next, or somebody accepted again.
    pub fn deadline(&self) -> Option<Millis> {
        let devices = self.devices.iter().filter_map(Device::deadline);
        let sockets = self.sockets.iter().filter_map(ControlSocket::deadline);
        devices.chain(sockets).min()
    }

    /// Reads once, after poll(2) said that this does not wait.
    pub fn read(&mut self, at: usize, space: &mut [u8]) -> Transfer {
        match &mut self.open[at] {
            Some(console) => console.stream.read(space),
            None => Transfer::Later,
        }
    }

    /// Writes once, after poll(2) said that this does not wait.
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> Transfer {
        match &mut self.open[at] {
            Some(console) => console.stream.write(bytes),
            None => Transfer::Later,
        }
    }

    /// A stream ended, or broke for this reason: its slot is free, unless it can still be written.
    pub fn ended(&mut self, at: usize, now: Millis, reason: Option<&str>) {
        let Some(console) = &self.open[at] else {
            return;
        };
        if let Some(device) = console.device {
            self.devices[device].failed(now, reason.unwrap_or("it hung up"));
            self.open[at] = None;
        } else if reason.is_some() && !matches!(console.stream, Stream::Standard(_)) {
            self.open[at] = None;
        }
    }

    /// The node is done with it.
    pub fn close(&mut self, at: usize) {
        self.open[at] = None;
    }
}
