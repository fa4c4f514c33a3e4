//! A serial line: an adapter or the pins of the board itself, with a terminal at its other end.
//!
//! The device is opened raw; its lines are edited and shown by the node. It is held for us alone,
//! and gets its settings back at the end. One that is not there, or is unplugged, is tried again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{
    self, ControlModes, InputModes, OptionalActions, OutputModes, QueueSelector, Termios,
};

use super::conflict::{self, System};
use super::{Transfer, taken, transfer};
use crate::limits::{SERIAL_RETRY_MS, SERIAL_RETRY_MS_MAX};
use crate::node::Millis;
use crate::shell::reason;

/// The speed without another one, as the console of a Raspberry Pi has it: bits a second.
pub const SPEED_DEFAULT: u32 = 115_200;

/// An open line.
#[derive(Debug)]
pub struct Serial {
    file: File,
    settings: Termios,
}

impl Serial {
    /// Opens a device for us alone, with eight data bits, no parity and one stop bit. The error is
    /// a clause that names who is in the way, where that can be seen.
    pub fn open(path: &Path, speed: u32) -> Result<Serial, String> {
        let system = System::default();
        if let Some(conflict) = conflict::on(&system, path) {
            return Err(conflict);
        }
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(path)
            .map_err(|error| conflict::refused(&system, path, &error))?;
        // Programs that share no terminal go by the one or by the other.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err("another program is using it".into()),
            Err(TryLockError::Error(error)) => return Err(reason(&error)),
        }
        // Not before: those of another program would be taken for what was found.
        let settings = termios::tcgetattr(&file).map_err(|errno| match errno {
            Errno::NOTTY => "it is no serial line".to_owned(),
            other => reason(&other.into()),
        })?;
        termios::ioctl_tiocexcl(&file).map_err(|errno| reason(&errno.into()))?;
        let serial = Serial { file, settings };
        serial.set_up(speed)?;
        Ok(serial)
    }

    fn set_up(&self, speed: u32) -> Result<(), String> {
        let mut raw = self.settings.clone();
        raw.make_raw();
        // What is cut by noise is no input; the other end of three wires gives no signals.
        raw.input_modes |= InputModes::IGNBRK | InputModes::IGNPAR;
        raw.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        raw.control_modes -= ControlModes::CSTOPB | ControlModes::CRTSCTS;
        // A line feed alone would leave the cursor in its column.
        raw.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        raw.set_speed(speed)
            .and_then(|()| termios::tcsetattr(&self.file, OptionalActions::Now, &raw))
            .map_err(|errno| {
                let why = reason(&errno.into());
                format!("it cannot be set to {speed} bits a second: {why}")
            })?;
        // What came before we listened was for somebody else.
        termios::tcflush(&self.file, QueueSelector::IFlush).map_err(|errno| reason(&errno.into()))
    }

    /// What to poll.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Reads once, after poll(2) said that this does not wait.
    pub fn read(&mut self, space: &mut [u8]) -> Transfer {
        taken(self.file.read(space))
    }

    /// Writes once, after poll(2) said that this does not wait.
    pub fn write(&mut self, bytes: &[u8]) -> Transfer {
        transfer(self.file.write(bytes))
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        // A device that was unplugged has no settings any more.
        let _ = termios::tcsetattr(&self.file, OptionalActions::Now, &self.settings);
        let _ = termios::ioctl_tiocnxcl(&self.file);
        let _ = self.file.unlock();
    }
}

/// A device that the user named, open or not.
#[derive(Debug)]
pub struct Device {
    path: PathBuf,
    speed: u32,
    /// When it is tried next; never, while it is open.
    next: Option<Millis>,
    /// When it was opened last.
    opened: Millis,
    /// How long to wait after the next failure: milliseconds.
    pause: u64,
    /// What was said of it last.
    told: Option<String>,
}

impl Device {
    /// A device to be opened at once.
    pub fn new(path: PathBuf, speed: u32) -> Device {
        Device {
            path,
            speed,
            next: Some(Millis(0)),
            opened: Millis(0),
            pause: SERIAL_RETRY_MS,
            told: None,
        }
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.next.is_none()
    }

    /// When it is tried next.
    pub fn deadline(&self) -> Option<Millis> {
        self.next
    }

    /// Tries to open it, if it is time. Why that is impossible is said once.
    pub fn tend(&mut self, now: Millis) -> Option<Serial> {
        if self.next.is_none_or(|next| next > now) {
            return None;
        }
        match Serial::open(&self.path, self.speed) {
            Ok(serial) => {
                if self.told.take().is_some() {
                    log::warn!("{}: it is there", self.path.display());
                }
                (self.next, self.opened) = (None, now);
                Some(serial)
            }
            Err(why) => {
                self.failed(now, &why);
                None
            }
        }
    }

    /// It was closed, or could not be opened.
    pub fn failed(&mut self, now: Millis, why: &str) {
        if self.told.as_deref() != Some(why) {
            log::warn!("{}: {why}; it is tried again", self.path.display());
            self.told = Some(why.to_owned());
        }
        if self.is_open() && now.0 >= self.opened.0 + SERIAL_RETRY_MS_MAX {
            self.pause = SERIAL_RETRY_MS;
        }
        self.next = Some(Millis(now.0 + self.pause));
        self.pause = (self.pause * 2).min(SERIAL_RETRY_MS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_tried_again_after_one_to_thirty_seconds() {
        let mut device = Device::new("/dev/no-such-device".into(), SPEED_DEFAULT);
        let mut now = Millis(5_000);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert!(device.tend(now).is_none());
            let next = device.deadline().expect("it is tried again");
            assert_eq!(next.0 - now.0, seconds * 1_000);
            assert!(device.tend(Millis(next.0 - 1)).is_none());
            assert_eq!(device.deadline(), Some(next), "not before its time");
            now = next;
        }
    }

    #[test]
    fn what_is_no_serial_line_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let why = Serial::open(file.path(), SPEED_DEFAULT).expect_err("no line");
        assert_eq!(why, "it is no serial line");
    }
}
