//! Peers and programs that wear a node out, over real sockets: what each costs the node is printed.

use std::fs;
use std::time::{Duration, Instant};

use blx::limits;
use blx::wire::MessageKind;

use super::harness::usage::processor_time;
use super::harness::{Launch, Node, Signal, until};
use super::peer::{Peer, Person, after, block_message, message};

/// The processor time that a node takes for something.
fn cost(node: &Node, done: impl FnOnce()) -> Duration {
    let id = node.id().to_string();
    let before = processor_time(&id);
    done();
    processor_time(&id).saturating_sub(before)
}

/// What the kernel has of all connections to a port: bytes to send from there, and bytes to read there.
fn in_the_kernel(port: u16) -> [u64; 2] {
    const LISTENS: &str = "0A";
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let (port, mut sum) = (format!(":{port:04X}"), [0; 2]);
    for line in table.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[1].ends_with(&port) && words[3] != LISTENS {
            let (to_send, to_read) = words[4].split_once(':').expect("two numbers");
            for (sum, digits) in sum.iter_mut().zip([to_send, to_read]) {
                *sum += u64::from_str_radix(digits, 16).expect("a number");
            }
        } else if words[2].ends_with(&port) {
            // What the other end has sent and nobody has taken yet.
            let (sent, _) = words[4].split_once(':').expect("two numbers");
            sum[1] += u64::from_str_radix(sent, 16).expect("a number");
        }
    }
    sum
}

/// Waits until the node has read all that was sent to it.
fn all_is_read(node: &Node) {
    until(|| match in_the_kernel(node.port)[1] {
        0 => Ok(()),
        left => Err(format!("{left} bytes are not read")),
    });
}

/// Milliseconds for each megabyte.
fn for_a_megabyte(time: Duration, bytes: usize) -> f64 {
    time.as_secs_f64() * 1e9 / bytes as f64
}

/// A name of so many control characters, each of which takes six bytes of text.
fn long_name(number: usize, characters: usize) -> String {
    format!("{number:04}{}", "\u{1}".repeat(characters))
}

/// To send a block takes no longer than to take it, in which its text is read, hashed and each of its
/// signatures checked: on a slow machine both take longer.
#[test]
fn a_block_of_many_long_names_costs_less_to_send_than_to_take() {
    const TIMES: usize = 20;
    let mut node = Launch::new().start();
    let (mut peer, chain) = Peer::join(node.port);
    let person = Person::new(9);
    let requests = (0..160).map(|number| person.requests(&long_name(number, 1_000)));
    let line = block_message(&after(&chain[0], requests.collect()));
    let id = node.id().to_string();
    let before = processor_time(&id);
    peer.say(&line);
    node.expect("received and added block #1\n");
    let taken = for_a_megabyte(processor_time(&id).saturating_sub(before), line.len());
    let locator = format!(r#"{{"length": 1, "locator": ["{}"]}}"#, chain[0].hash);
    let ask = message(MessageKind::RequestChain, &locator);
    let mut bytes = 0;
    let time = cost(&node, || {
        for _ in 0..TIMES {
            peer.say(&ask);
            bytes += peer.expect("chain_response").len();
        }
    });
    assert!(bytes > TIMES * line.len() * 9 / 10, "{bytes} bytes");
    let sent = for_a_megabyte(time, bytes);
    eprintln!("many long names: {taken:.1} ms of processor time a MB to take, {sent:.1} to send");
    assert!(sent < taken, "{sent} ms, {taken} ms");
}

/// All other lines have said a long message but for its end; while the node stands still, all of them say
/// that and a user asks. The node's processor is all that is counted, and held against what one such message
/// takes there: neither a slow machine nor what else it does changes that.
#[test]
fn a_console_is_served_beside_31_busy_lines() {
    const TIMES: u32 = 5;
    let mut node = Launch::new().start();
    let (mut peer, chain) = Peer::join(node.port);
    let person = Person::new(9);
    let requests = (0..160).map(|number| person.requests(&long_name(number, 1_000)));
    let line = block_message(&after(&chain[0], requests.collect()));
    peer.say(&line);
    node.expect("received and added block #1\n");
    peer.settle();
    let message = cost(&node, || {
        for _ in 0..TIMES {
            peer.say(&line);
        }
        peer.settle();
    }) / TIMES;
    let mut others: Vec<Peer> = (2..limits::PEERS).map(|_| Peer::dial(node.port)).collect();
    others.push(peer);
    let mut measured: Vec<[Duration; 2]> = Vec::new();
    for _ in 0..TIMES {
        for peer in &mut others {
            assert!(peer.try_bytes(line.as_bytes()));
        }
        all_is_read(&node);
        node.signal(Signal::STOP);
        for peer in &mut others {
            assert!(peer.try_bytes(b"\n"));
        }
        node.enter(&["9"]);
        let (begun, id) = (Instant::now(), node.id().to_string());
        let before = processor_time(&id);
        node.signal(Signal::CONT);
        node.expect("[status] node key: ");
        let time = processor_time(&id).saturating_sub(before);
        measured.push([time, begun.elapsed()]);
        others.iter_mut().for_each(|peer| drop(peer.settle()));
    }
    measured.sort();
    let [time, waited] = measured[measured.len() / 2];
    eprintln!(
        "31 busy lines, {message:.1?} a message: a status takes {time:.1?} of the processor, \
         {waited:.1?} in all"
    );
    // Read in one turn, written in the next; in each a message may have begun before the time was over.
    let turn = Duration::from_millis(limits::TURN_MS) + 2 * message;
    assert!(time <= 2 * turn, "{time:?}, a turn {turn:?}");
}
