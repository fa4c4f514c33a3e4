//! Where a user sits: each console is one stream of bytes that never blocks the loop.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

mod conflict;
pub mod serial;
pub mod socket;
pub mod standard;

use serial::Serial;
use standard::Standard;

/// A console that the user chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleSpec {
    /// Standard input and output.
    Standard,
    /// A serial device, and its speed in bits a second.
    Serial(PathBuf, u32),
    /// A socket on which others ask and get the menu.
    Socket(PathBuf),
}

/// What a read or write that does not wait came to.
#[derive(Debug)]
pub enum Transfer {
    /// This many bytes, at least one.
    Moved(usize),
    /// Nothing now.
    Later,
    /// The end of the input.
    End,
    /// The system's reason; this direction is closed.
    Broken(io::Error),
}

/// An open console.
#[derive(Debug)]
pub enum Stream {
    /// Standard input and output.
    Standard(Standard),
    /// A serial line.
    Serial(Serial),
    /// A connection to a control socket; `false` when its input has ended.
    Socket(UnixStream, bool),
}

impl Stream {
    /// What to poll for input: nothing after its end.
    pub fn input(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Stream::Standard(standard) => standard.input(),
            Stream::Serial(serial) => Some(serial.descriptor()),
            Stream::Socket(socket, open) => open.then(|| socket.as_fd()),
        }
    }

    /// What to poll for output: nothing after it failed.
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Stream::Standard(standard) => standard.output(),
            Stream::Serial(serial) => Some(serial.descriptor()),
            Stream::Socket(socket, _) => Some(socket.as_fd()),
        }
    }

    /// What to poll to learn that the other end has left, after its input ended while it may still
    /// read.
    pub fn half_closed(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Stream::Socket(socket, open) => (!open).then(|| socket.as_fd()),
            Stream::Standard(_) | Stream::Serial(_) => None,
        }
    }

    /// Reads once, after poll(2) said that this does not wait.
    pub fn read(&mut self, space: &mut [u8]) -> Transfer {
        match self {
            Stream::Standard(standard) => standard.read(space),
            Stream::Serial(serial) => serial.read(space),
            Stream::Socket(socket, open) => {
                let came = taken(socket.read(space));
                *open &= !matches!(came, Transfer::End);
                came
            }
        }
    }

    /// Writes once, after poll(2) said that this does not wait.
    pub fn write(&mut self, bytes: &[u8]) -> Transfer {
        match self {
            Stream::Standard(standard) => standard.write(bytes),
            Stream::Serial(serial) => serial.write(bytes),
            Stream::Socket(socket, _) => transfer(socket.write(bytes)),
        }
    }
}

/// What a read came to.
fn taken(result: io::Result<usize>) -> Transfer {
    match result {
        Ok(0) => Transfer::End,
        result => transfer(result),
    }
}

/// What a write came to.
fn transfer(result: io::Result<usize>) -> Transfer {
    match result {
        Ok(count) => Transfer::Moved(count),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Transfer::Later,
            _ => Transfer::Broken(error),
        },
    }
}
