//! A control socket: others connect to it to ask something, or to get the menu.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::node::Millis;
use crate::shell::pause::Pause;
use crate::shell::{Fault, reason};

/// Who owns the socket and who is in its group may use it.
const MODE: u32 = 0o660;

/// A socket that others can connect to.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// What the path names, as long as it is ours.
    inode: (u64, u64),
    pause: Pause,
    /// The last caller could not be accepted, which was said.
    failing: bool,
}

impl ControlSocket {
    /// Makes the socket. One that a node left behind is replaced; one at which somebody answers is
    /// a fault, as is anything else of that name.
    pub fn bind(path: &Path) -> Result<ControlSocket, Fault> {
        let shown = path.display();
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(Fault(format!(
                    "{shown} is there and is no socket: choose another path with --console unix:PATH"
                )));
            }
            Ok(_) if somebody_answers(path) => {
                return Err(Fault(format!(
                    "the control socket {shown} is in use by another program: stop that one or \
                     choose another path with --console unix:PATH"
                )));
            }
            _ => {}
        }
        let made = make(path).and_then(|listener| {
            let found = fs::symlink_metadata(path)?;
            Ok((listener, (found.dev(), found.ino())))
        });
        let (listener, inode) = made.map_err(|error| {
            Fault(format!(
                "cannot make the control socket {shown}: {}: choose another path with --console \
                 unix:PATH",
                reason(&error)
            ))
        })?;
        Ok(ControlSocket {
            listener,
            path: path.to_owned(),
            inode,
            pause: Pause::default(),
            failing: false,
        })
    }

    /// What to poll: nothing during a pause.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pause
            .deadline()
            .is_none()
            .then(|| self.listener.as_fd())
    }

    /// When a pause ends.
    pub fn deadline(&self) -> Option<Millis> {
        self.pause.deadline()
    }

    /// Ends a pause whose time is over.
    pub fn resume(&mut self, now: Millis) {
        self.pause.resume(now);
    }

    /// Somebody who connected. A failure begins a pause.
    pub fn accept(&mut self, now: Millis) -> Option<UnixStream> {
        let accepted = self.listener.accept().and_then(|(stream, _)| {
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        match accepted {
            Ok(stream) => {
                self.failing = false;
                Some(stream)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    let shown = self.path.display();
                    log::warn!("nobody can use {shown}: {}", reason(&error));
                }
                self.pause.begin(now);
                None
            }
        }
    }
}

/// Whether a socket that is there is somebody's, as far as can be told. This does not wait for one
/// who has stopped.
fn somebody_answers(path: &Path) -> bool {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let called = SocketAddrUnix::new(path).and_then(|address| {
        let caller = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        net::connect(&caller, &address)
    });
    called != Err(Errno::CONNREFUSED)
}

/// Under another name first: in its place it has its mode from the beginning, and whoever connects
/// finds either the old socket or the new one.
fn make(path: &Path) -> io::Result<UnixListener> {
    let beside = path.with_file_name(format!(".blx-{}", std::process::id()));
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&beside)?;
    let placed = fs::set_permissions(&beside, fs::Permissions::from_mode(MODE))
        .and_then(|()| listener.set_nonblocking(true))
        .and_then(|()| fs::rename(&beside, path));
    if placed.is_err() {
        // The reason is told; a name that is left does no harm.
        let _ = fs::remove_file(&beside);
    }
    placed.map(|()| listener)
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.inode) {
            // One that is left is replaced by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_respected() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("blx.sock");
        drop(UnixListener::bind(&path).expect("binds"));
        let mut socket = ControlSocket::bind(&path).expect("nobody answers there");
        let mode = fs::metadata(&path).expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o777, MODE);
        let fault = ControlSocket::bind(&path).expect_err("somebody answers");
        assert!(fault.0.contains("in use"), "{fault}");
        let _caller = UnixStream::connect(&path).expect("connects");
        // The question above whether somebody answers was a caller as well.
        let mut accept = || socket.accept(Millis(0));
        assert!(accept().is_some() && accept().is_some());
        assert!(accept().is_none());
        assert!(
            socket.descriptor().is_some(),
            "nobody to accept is no fault"
        );
        drop(socket);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(home.path()).expect("lists").count(), 0);
        // Somebody else's of the same name stays.
        let socket = ControlSocket::bind(&path).expect("binds");
        fs::remove_file(&path).expect("removes");
        let _other = UnixListener::bind(&path).expect("binds");
        drop(socket);
        assert!(path.exists());
    }

    #[test]
    fn what_is_no_socket_stays() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let fault = ControlSocket::bind(file.path()).expect_err("a file");
        assert!(fault.0.contains("is no socket"), "{fault}");
        assert!(file.path().exists());
    }
}
