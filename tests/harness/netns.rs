//! Two machines and the cable between them, in network namespaces of their own: nothing outside of these
//! can be reached from there, so any address may be used.

use std::fs::{self, File};
use std::io::{self, Error};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::launch::Launch;
use super::peer::Peer;
use super::runner;

/// Where the node is. Its subnet has 24 bits.
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// The addresses of the other machine that are in the node's subnet.
pub const OTHERS: u8 = 120;

/// One more of the other machine, which the node reaches by a route only.
pub const FAR: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 1);

/// An address of the other machine, the first is 0.
pub fn other(number: u8) -> Ipv4Addr {
    assert!(number < OTHERS);
    Ipv4Addr::new(10, 0, 0, 2 + number)
}

/// The node's machine and another one. Both are gone when this is dropped, before which all that runs
/// there has to be.
pub struct Cable {
    /// The names of the namespaces: the node's, the other's.
    names: [String; 2],
}

impl Cable {
    /// Lays one; an error says why that cannot be done here.
    pub fn new() -> Result<Cable, String> {
        static DRAWN: AtomicU32 = AtomicU32::new(0);
        let number = DRAWN.fetch_add(1, Ordering::Relaxed);
        let name = |of: &str| format!("blx-{}-{number}-{of}", process::id());
        let cable = Cable {
            names: [name("node"), name("others")],
        };
        let [node, others] = &cable.names;
        for name in &cable.names {
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        let ends = ["name", "wire", "type", "veth", "peer", "name", "wire"];
        let link = [&["-n", node, "link", "add"][..], &ends, &["netns", others]];
        ip(&link.concat())?;
        for name in &cable.names {
            ip(&["-n", name, "link", "set", "wire", "up"])?;
        }
        ip(&[
            "-n",
            node,
            "addr",
            "add",
            &format!("{NODE}/24"),
            "dev",
            "wire",
        ])?;
        let mut batch = format!("addr add {FAR}/24 dev wire\n");
        for number in 0..OTHERS {
            batch += &format!("addr add {}/24 dev wire\n", other(number));
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), batch).expect("written");
        let path = file.path().to_str().expect("UTF-8");
        ip(&["-n", others, "-batch", path])?;
        let (subnet, gateway) = (format!("{FAR}/32"), other(0).to_string());
        ip(&["-n", node, "route", "add", &subnet, "via", &gateway])?;
        Ok(cable)
    }

    /// A node at [`NODE`] that is reached by all.
    pub fn node(&self) -> Launch {
        let [node, _] = &self.names;
        let blx = runner::blx();
        let mut words = vec![tool().expect("it was there").into_os_string()];
        words.extend(["netns", "exec", node].map(Into::into));
        words.push(blx.get_program().to_owned());
        words.extend(blx.get_args().map(ToOwned::to_owned));
        Launch::new().program(&words).bind("0.0.0.0")
    }

    /// What the other machine does; sockets that are made there stay there.
    fn there<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let [_, others] = &self.names;
        let space = File::open(Path::new("/run/netns").join(others)).expect("a namespace");
        let kind = Some(LinkNameSpaceType::Network);
        thread::scope(|scope| {
            // A thread is in the namespace, and ends there.
            let thread = scope.spawn(|| {
                move_into_link_name_space(space.as_fd(), kind).expect("it may be entered");
                act()
            });
            thread.join().expect("it does not panic")
        })
    }

    /// A connection to the node from an address of the other machine.
    pub fn dial(&self, from: Ipv4Addr, port: u16) -> Peer {
        self.try_dial(from, port).expect("the node listens")
    }

    /// The same; an error is the system's.
    pub fn try_dial(&self, from: Ipv4Addr, port: u16) -> io::Result<Peer> {
        let made = self.there(|| {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
            bind(&socket, &SocketAddr::from((from, 0)))?;
            connect(&socket, &SocketAddr::from((NODE, port)))?;
            let stream = TcpStream::from(socket);
            let name = stream.local_addr()?;
            Ok::<_, Error>((stream, name))
        });
        made.map(|(stream, name)| Peer::of(stream, name.to_string()))
    }

    /// So many connections, one after the other as fast as they can be made, and closed as soon as
    /// there are as many as that open.
    pub fn flood(&self, from: Ipv4Addr, port: u16, count: usize, open: usize) {
        self.there(|| {
            let mut held = std::collections::VecDeque::new();
            for _ in 0..count {
                let socket = socket(AddressFamily::INET, SocketType::STREAM, None);
                let socket = socket.expect("a socket");
                bind(&socket, &SocketAddr::from((from, 0))).expect("an address");
                if connect(&socket, &SocketAddr::from((NODE, port))).is_ok() {
                    held.push_back(socket);
                }
                if held.len() > open {
                    held.pop_front();
                }
            }
        });
    }

    /// Listens on a port of all addresses of the other machine.
    pub fn listen(&self, port: u16) -> TcpListener {
        let bound = self.there(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
        bound.expect("a free port")
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            // Where it could not be made there is none.
            let _ = ip(&["netns", "del", name]);
        }
    }
}

/// The program, which many a user does not have in the path.
fn tool() -> Option<PathBuf> {
    let places = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"];
    places
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
}

fn ip(words: &[&str]) -> Result<(), String> {
    let Some(tool) = tool() else {
        return Err("ip is not there: sudo apt install iproute2".to_owned());
    };
    let output = Command::new(tool).args(words).stdin(Stdio::null()).output();
    match output {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(Output { stderr, .. }) => {
            let said = String::from_utf8_lossy(&stderr);
            let said = said.trim().lines().next_back().unwrap_or_default();
            Err(format!("ip {}: {said}", words.join(" ")))
        }
        Err(error) => Err(error.to_string()),
    }
}
