//! What the system is told of a peer's connection, so that the other end cannot make it hold much for
//! long. A system that refuses any of this still sends every byte.

use std::net::TcpStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{
    set_socket_linger, set_socket_send_buffer_size, set_tcp_nodelay, set_tcp_user_timeout,
};

use crate::limits::{CLOSED_MS, SEND_BUFFER_BYTES};

/// For a connection that was made just now. Messages are small and somebody waits for them.
pub fn begin(stream: &TcpStream) {
    let set = set_tcp_nodelay(stream, true)
        .and_then(|()| set_socket_send_buffer_size(stream, SEND_BUFFER_BYTES));
    if let Err(error) = set {
        log::debug!("a connection is as the system makes it: {error}");
    }
}

/// Closes a connection: with a reset if the other end has left so much that no more can be sent. Else
/// what was sent last still gets there, as long as the other end takes it.
pub fn end(stream: TcpStream) {
    let mut polled = [PollFd::new(&stream, PollFlags::OUT)];
    let full = poll(&mut polled, Some(&Timespec::default())) == Ok(0);
    let set = match full {
        true => set_socket_linger(&stream, Some(Duration::ZERO)),
        false => set_tcp_user_timeout(&stream, CLOSED_MS),
    };
    if let Err(error) = set {
        log::debug!("a connection ends as the system ends it: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Our end and the other one.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let theirs = TcpStream::connect(address).expect("connects");
        let (ours, _) = listener.accept().expect("it has come");
        begin(&ours);
        (ours, theirs)
    }

    #[test]
    fn who_reads_nothing_is_reset_and_little_is_held_for_them() {
        let (mut ours, mut theirs) = pair();
        ours.set_nonblocking(true).expect("an option");
        let fills = |ours: &mut TcpStream| -> usize {
            let writes = core::iter::from_fn(|| ours.write(&[7; 4096]).ok());
            writes.sum()
        };
        let sent = fills(&mut ours);
        assert!(sent > SEND_BUFFER_BYTES, "{sent}");
        let buffer = rustix::net::sockopt::socket_send_buffer_size(&ours).expect("is known");
        assert_eq!(buffer, 2 * SEND_BUFFER_BYTES);
        end(ours);
        let read = theirs.read_to_end(&mut Vec::new());
        let error = read.expect_err("a reset").kind();
        assert_eq!(error, ErrorKind::ConnectionReset);
    }

    #[test]
    fn last_words_get_there() {
        let (mut ours, mut theirs) = pair();
        ours.write_all(b"bye").expect("writes");
        end(ours);
        let mut heard = String::new();
        theirs.read_to_string(&mut heard).expect("an orderly end");
        assert_eq!(heard, "bye");
    }
}
