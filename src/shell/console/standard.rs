//! Standard input and output as one line.
//!
//! Both are shared with the program that started this one, so none of their flags is changed: a
//! terminal left nonblocking would break the user's shell after us. Of a terminal's settings one is
//! changed, and put back at the end: a tab ends a line as well, since that is what some barcode
//! scanners send behind what they read.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios};
use rustix::{process, termios};

use super::{Transfer, taken, transfer};
use crate::limits::BLOCKING_WRITE_MAX;

/// The user's end.
#[derive(Debug)]
pub struct Standard {
    input: Option<File>,
    output: Option<Output>,
    /// Of the terminal that is the input, to be put back.
    settings: Option<Termios>,
}

#[derive(Debug)]
struct Output {
    file: File,
    /// Bytes that one write may carry without waiting.
    write_max: usize,
}

/// Whether somebody may be there: not where standard input is `/dev/null`, as a service manager has
/// it. The runtime opens that in the place of a closed one.
pub fn is_there() -> bool {
    let there = |input: File| -> io::Result<bool> {
        let (this, null) = (input.metadata()?, std::fs::metadata("/dev/null")?);
        Ok(!(this.file_type().is_char_device() && this.rdev() == null.rdev()))
    };
    let input = io::stdin().as_fd().try_clone_to_owned();
    input.is_ok_and(|input| there(File::from(input)).unwrap_or(true))
}

impl Standard {
    /// Opens this process's standard input and output.
    pub fn open() -> io::Result<Standard> {
        // Not `std::io::stdin`: its buffer would hold bytes back that poll(2) knows nothing of.
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        let output = io::stdout().as_fd().try_clone_to_owned()?;
        let mut console = Standard::of(File::from(input), File::from(output), "/proc/self/fd/1")?;
        console.let_tabs_end_lines();
        Ok(console)
    }

    /// `path` names what `output` has open.
    pub(in crate::shell) fn of(input: File, output: File, path: &str) -> io::Result<Standard> {
        Ok(Standard {
            input: Some(input),
            output: Some(Output::of(output, path)?),
            settings: None,
        })
    }

    /// Does nothing where this is not possible: then a scanner has to end its items in another way.
    fn let_tabs_end_lines(&mut self) {
        let Some(input) = self.input.as_ref().filter(|input| input.is_terminal()) else {
            return;
        };
        // A terminal stops a job in the background that changes its settings.
        let foreground = termios::tcgetpgrp(input).is_ok_and(|group| group == process::getpgrp());
        let Ok(before) = termios::tcgetattr(input) else {
            return;
        };
        let mut after = before.clone();
        after.special_codes[SpecialCodeIndex::VEOL] = b'\t';
        if foreground && termios::tcsetattr(input, OptionalActions::Now, &after).is_ok() {
            self.settings = Some(before);
        }
    }

    /// Whether what is typed is shown by the other end: by a terminal, not by a pipe.
    pub fn echoes(&self) -> bool {
        self.input.as_ref().is_some_and(File::is_terminal)
    }

    /// What to poll for input: nothing after its end.
    pub fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(File::as_fd)
    }

    /// What to poll for output: nothing after it failed.
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(|output| output.file.as_fd())
    }

    /// Reads once, after poll(2) said that this does not wait. The end and a failure close the
    /// input.
    pub fn read(&mut self, space: &mut [u8]) -> Transfer {
        let Some(input) = &mut self.input else {
            return Transfer::Later;
        };
        let transfer = taken(input.read(space));
        if matches!(transfer, Transfer::End | Transfer::Broken(_)) {
            self.close_input();
        }
        transfer
    }

    fn close_input(&mut self) {
        if let (Some(input), Some(settings)) = (self.input.take(), self.settings.take()) {
            // A terminal that is gone needs no settings.
            let _ = termios::tcsetattr(&input, OptionalActions::Now, &settings);
        }
    }

    /// Writes once, after poll(2) said that this does not wait. A failure closes both directions.
    pub fn write(&mut self, bytes: &[u8]) -> Transfer {
        let Some(output) = &mut self.output else {
            return Transfer::Later;
        };
        let count = bytes.len().min(output.write_max);
        let transfer = match output.file.write(&bytes[..count]) {
            Ok(0) => Transfer::Broken(ErrorKind::WriteZero.into()),
            result => transfer(result),
        };
        if matches!(transfer, Transfer::Broken(_)) {
            self.close_input();
            self.output = None;
        }
        transfer
    }
}

impl Drop for Standard {
    fn drop(&mut self) {
        self.close_input();
    }
}

impl Output {
    fn of(file: File, path: &str) -> io::Result<Output> {
        // A regular file never makes anybody wait, and opened anew it would be written from its
        // start.
        if file.metadata()?.is_file() {
            return Ok(Output {
                file,
                write_max: usize::MAX,
            });
        }
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(own) => Output {
                file: File::from(own),
                write_max: usize::MAX,
            },
            // A socket cannot be opened by a path, and the terminal of another user may not.
            Err(_) => Output {
                file,
                write_max: BLOCKING_WRITE_MAX,
            },
        })
    }
}

/// Whether the user's locale shows UTF-8. `variable` looks into the environment.
pub fn shows_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty());
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};
    use std::net::Shutdown;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn path(descriptor: &impl AsRawFd) -> String {
        format!("/proc/self/fd/{}", descriptor.as_raw_fd())
    }

    fn null() -> File {
        File::open("/dev/null").expect("opens")
    }

    fn moved(transfer: Transfer) -> usize {
        match transfer {
            Transfer::Moved(count) => count,
            other => panic!("expected bytes to move, not {other:?}"),
        }
    }

    #[test]
    fn a_full_pipe_does_not_block_and_its_other_holders_keep_their_flags() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let writer = File::from(OwnedFd::from(writer));
        let shared = writer.try_clone().expect("a second descriptor");
        let path = path(&writer);
        let mut console = Standard::of(null(), writer, &path).expect("opens");
        while let Transfer::Moved(_) = console.write(&[b'x'; 4096]) {}
        assert!(matches!(console.write(b"x"), Transfer::Later));
        let flags = rustix::fs::fcntl_getfl(&shared).expect("flags");
        assert!(!flags.contains(OFlags::NONBLOCK));
        drop(reader);
    }

    #[test]
    fn a_broken_output_closes_both_directions() {
        let (other, output) = UnixStream::pair().expect("a pair");
        let output = File::from(OwnedFd::from(output));
        let mut console = Standard::of(null(), output, "").expect("opens");
        // Not a drop: a child that another test is just making would keep a copy open.
        other.shutdown(Shutdown::Both).expect("shuts down");
        assert!(matches!(console.write(b"x"), Transfer::Broken(_)));
        assert!(console.output().is_none());
        assert!(console.input().is_none());
    }

    #[test]
    fn a_regular_file_is_appended_to() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"before ").expect("writes");
        let output = file.try_clone().expect("a second descriptor");
        let path = path(&output);
        let mut console = Standard::of(null(), output, &path).expect("opens");
        assert_eq!(moved(console.write(b"after")), 5);
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).expect("rewinds");
        file.read_to_string(&mut text).expect("reads");
        assert_eq!(text, "before after");
    }

    #[test]
    fn a_socket_is_written_in_small_pieces() {
        let (_other, output) = UnixStream::pair().expect("a pair");
        let path = path(&output);
        let output = File::from(OwnedFd::from(output));
        let mut console = Standard::of(null(), output, &path).expect("opens");
        assert_eq!(moved(console.write(&[b'x'; 4096])), BLOCKING_WRITE_MAX);
    }

    #[test]
    fn output_goes_on_after_the_end_of_input() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let input = File::from(OwnedFd::from(reader));
        let output = tempfile::tempfile().expect("a file");
        let path = path(&output);
        let mut console = Standard::of(input, output, &path).expect("opens");
        (&writer).write_all(b"9\n").expect("writes");
        drop(writer);
        let mut space = [0; 8];
        assert_eq!(moved(console.read(&mut space)), 2);
        assert!(matches!(console.read(&mut space), Transfer::End));
        assert!(console.input().is_none());
        assert_eq!(moved(console.write(b"bye")), 3);
    }

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let with = |values: [&str; 3]| {
            shows_utf8(|name| {
                let names = ["LC_ALL", "LC_CTYPE", "LANG"];
                let at = names.iter().position(|known| *known == name)?;
                Some(values[at].to_owned())
            })
        };
        assert!(with(["", "", "en_US.UTF-8"]));
        assert!(with(["C.utf8", "C", "C"]));
        assert!(with(["", "de_DE.Utf-8", "C"]));
        assert!(!with(["C", "en_US.UTF-8", "en_US.UTF-8"]));
        assert!(!with(["", "", "en_US.ISO-8859-1"]));
        assert!(!with(["", "", ""]));
        assert!(!shows_utf8(|_| None));
    }
}
