//! A control socket: others connect to it to ask something, or to get the menu.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::shell::{Fault, reason};

/// Who owns the socket and who is in its group may use it.
const MODE: u32 = 0o660;

/// A socket that others can connect to.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
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
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(Fault(format!(
                    "the control socket {shown} is in use by another program: stop that one or \
                     choose another path with --console unix:PATH"
                )));
            }
            _ => {}
        }
        let listener = make(path).map_err(|error| {
            Fault(format!(
                "cannot make the control socket {shown}: {}: choose another path with --console \
                 unix:PATH",
                reason(&error)
            ))
        })?;
        Ok(ControlSocket {
            listener,
            path: path.to_owned(),
        })
    }

    /// What to poll.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Somebody who connected.
    pub fn accept(&self) -> Option<UnixStream> {
        let (stream, _) = self.listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(stream)
    }
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
        // One that is left is replaced by the next start.
        let _ = fs::remove_file(&self.path);
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
        let socket = ControlSocket::bind(&path).expect("nobody answers there");
        let mode = fs::metadata(&path).expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o777, MODE);
        let fault = ControlSocket::bind(&path).expect_err("somebody answers");
        assert!(fault.0.contains("in use"), "{fault}");
        let _caller = UnixStream::connect(&path).expect("connects");
        // The question above whether somebody answers was a caller as well.
        assert!(socket.accept().is_some() && socket.accept().is_some());
        assert!(socket.accept().is_none());
        drop(socket);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(home.path()).expect("lists").count(), 0);
    }

    #[test]
    fn what_is_no_socket_stays() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let fault = ControlSocket::bind(file.path()).expect_err("a file");
        assert!(fault.0.contains("is no socket"), "{fault}");
        assert!(file.path().exists());
    }
}
