//! The program under test, started by itself or through the emulator that `BLX_RUNNER` names, and
//! ports for it.

use std::env;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

pub use blx::shell::resolve::RUNNER;
use blx::shell::resolve::starting;

/// The program as it was built for this test.
pub fn blx() -> Command {
    starting(Path::new(env!("CARGO_BIN_EXE_blx")))
}

/// What it said on standard error, but for how far a check was: on a slow machine a short one says
/// so too.
pub fn remarks(errors: &str) -> String {
    let lines = errors.split_inclusive('\n');
    lines
        .filter(|line| !line.starts_with("blx: ") || !line.ends_with(" blocks checked\n"))
        .collect()
}

/// What a program that is started in an empty environment still needs.
pub fn environment() -> Option<(&'static str, String)> {
    Some((RUNNER, env::var(RUNNER).ok()?))
}

/// Those that were given out, claimed for as long as this process lives.
static CLAIMS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on and no other test gets, in this process or another one: its
/// claim is the UDP port of the same number, which nothing here uses and which ends with the
/// process. All are below the ports that the system gives to connections, so that a node that is
/// started again finds its own free.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    // Runs of the tests at the same time begin at different places.
    let start = std::process::id().wrapping_mul(997);
    loop {
        let step = u32::from(NEXT_PORT.fetch_add(1, Ordering::Relaxed));
        let port = (FIRST + start.wrapping_add(step) % COUNT) as u16;
        let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else {
            continue;
        };
        // Not by listening: a process that is just being started would have a copy of that.
        let hosts: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        if hosts
            .iter()
            .all(|host| TcpStream::connect((*host, port)).is_err())
        {
            let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
            claims.push(claim);
            return port;
        }
    }
}
