//! Names to addresses, without waiting.
//!
//! The system's resolver (`getaddrinfo`) knows `/etc/hosts`, mDNS and whatever else a LAN uses for
//! names, but it blocks, for seconds if the name server is away. The node has one thread, which
//! must not wait, and a resolver of our own would know only some of these sources. So a name is
//! looked up by a child: this same program with [`COMMAND`] as its first argument. It prints one
//! address a line, and its output is one more descriptor to poll.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::limits::DIAL_ADDRESSES_MAX;

/// The first argument of the child.
pub const COMMAND: &str = "resolve-host";

/// The environment's name for the words that start a program made for another kind of processor:
/// an emulator and its options, with spaces between them. Not set where the system starts it by
/// itself.
pub const RUNNER: &str = "BLX_RUNNER";

/// What is read of the child's output: 80 addresses of the longest kind, so that a host's IPv4
/// addresses are seen even where the system sorts them last.
const OUTPUT_BYTES_MAX: usize = 4096;

/// A lookup that is going on. The child ends with it.
#[derive(Debug)]
pub struct Resolver {
    child: Child,
    output: ChildStdout,
    text: Vec<u8>,
}

impl Resolver {
    /// Starts looking up `host`.
    pub fn start(host: &str, port: u16) -> io::Result<Resolver> {
        let mut command = this_program()?;
        command.args([COMMAND, host]).arg(port.to_string());
        Resolver::spawn(command)
    }

    pub(super) fn spawn(mut command: Command) -> io::Result<Resolver> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().expect("its output was made a pipe");
        let resolver = Resolver {
            child,
            output,
            text: Vec::new(),
        };
        rustix::io::ioctl_fionbio(&resolver.output, true)?;
        Ok(resolver)
    }

    /// What to poll for input.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// Takes what the child printed. `None`: there is more to come. An empty list: no such host.
    pub fn read(&mut self) -> Option<Vec<SocketAddr>> {
        let mut buffer = [0; OUTPUT_BYTES_MAX];
        match self.output.read(&mut buffer[self.text.len()..]) {
            Ok(count) => {
                let end = self.text.len() + count;
                let text = &buffer[self.text.len()..end];
                self.text.extend_from_slice(text);
                (count == 0 || end == OUTPUT_BYTES_MAX).then(|| addresses(&self.text))
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => None,
                _ => Some(Vec::new()),
            },
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        // After a kill the wait is short, and without it the child would stay as a zombie. Both
        // fail only if there is no such child.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn this_program() -> io::Result<Command> {
    if env::var_os(RUNNER).is_some() {
        // What /proc/self/exe names is the emulator.
        return Ok(starting(&env::current_exe()?));
    }
    // This path still names the running program after its file was replaced by an upgrade.
    Ok(Command::new("/proc/self/exe"))
}

/// A command that starts `program`, through the words of [`RUNNER`] if there are any.
pub fn starting(program: &Path) -> Command {
    let words = env::var(RUNNER).unwrap_or_default();
    let mut words = words.split_whitespace();
    let Some(emulator) = words.next() else {
        return Command::new(program);
    };
    let mut command = Command::new(emulator);
    command.args(words).arg(program);
    command
}

/// IPv4 first: desktop nodes listen there only. A line without its end may lack half a port, so it
/// does not count.
fn addresses(text: &[u8]) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = Vec::new();
    let text = String::from_utf8_lossy(text);
    let lines = text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'));
    for address in lines.filter_map(|line| line.parse().ok()) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    let (found, rest): (Vec<_>, Vec<_>) = found.iter().partition(|address| address.is_ipv4());
    found
        .into_iter()
        .chain(rest)
        .take(DIAL_ADDRESSES_MAX)
        .collect()
}

/// What the child does: prints the addresses of `host`. Whether it found any.
pub fn child(host: &str, port: u16) -> bool {
    let Ok(found) = look_up(host, port) else {
        return false;
    };
    let mut output = io::stdout().lock();
    for address in found {
        // The parent has given up: nobody is left to tell.
        if writeln!(output, "{address}").is_err() {
            return false;
        }
    }
    output.flush().is_ok()
}

/// Asks the system's resolver, but for the name of this machine: a system without `/etc/hosts` does
/// not know that, and whoever it asks is not to be believed (RFC 6761, section 6.3).
fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.eq_ignore_ascii_case("localhost") {
        let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return Ok(both.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    Ok((host, port).to_socket_addrs()?.collect())
}

#[cfg(test)]
pub(super) mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    /// A lookup whose answer is the output of a shell command.
    pub fn scripted(script: &str) -> Resolver {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Resolver::spawn(command).expect("a shell")
    }

    fn answer(mut resolver: Resolver) -> Vec<SocketAddr> {
        loop {
            let descriptor = resolver.descriptor();
            poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], None).expect("polls");
            if let Some(found) = resolver.read() {
                return found;
            }
        }
    }

    #[test]
    fn addresses_come_ipv4_first_and_once() {
        let found = answer(scripted(
            "echo [::1]:7; echo 127.0.0.1:7; echo [::1]:7; echo junk; printf 127.0.0.1:70",
        ));
        let expected = ["127.0.0.1:7", "[::1]:7"].map(|text| text.parse().expect("an address"));
        assert_eq!(found, expected);
    }

    #[test]
    fn this_machine_has_its_name_whatever_the_system_knows() {
        let expected = ["127.0.0.1:7", "[::1]:7"].map(|text| text.parse().expect("an address"));
        for name in ["localhost", "LocalHost", "localhost."] {
            assert_eq!(look_up(name, 7).expect("found"), expected);
        }
    }

    #[test]
    fn a_silent_or_missing_child_is_no_host() {
        assert_eq!(answer(scripted("exit 1")), []);
        let missing = Resolver::spawn(Command::new("/no/such/program"));
        if env::var_os(RUNNER).is_none() {
            missing.expect_err("cannot start");
        } else if let Ok(resolver) = missing {
            // In an emulator it is the child that finds out.
            assert_eq!(answer(resolver), []);
        }
    }

    #[test]
    fn a_child_that_never_ends_its_output_is_cut_off() {
        let found = answer(scripted("while :; do echo 127.0.0.1:7; done"));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn nothing_is_waited_for_and_a_drop_ends_the_child() {
        let mut resolver = scripted("exec sleep 1000");
        assert_eq!(resolver.read(), None);
        let process = format!("/proc/{}", resolver.child.id());
        drop(resolver);
        assert!(!std::path::Path::new(&process).exists());
    }
}
