//! Peers and programs that wear a node out, over real sockets: what each costs the node is printed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::mem;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use blx::limits;
use blx::wire::MessageKind;
use serde_json::Value;

use super::consoles::{ctl, launch_with_socket, with_socket};
use super::harness::usage::{memory, processor_time};
use super::harness::{Home, LIMIT, Launch, Node, Signal, until};
use super::peer::{Peer, Person, after, block_message, message, transaction_message};
use super::terminal::on_terminal;

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

/// Those who may call at the same time.
const CALLERS: usize = limits::PEERS - limits::PLACES_FOR_DIALS;

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
fn a_console_is_served_beside_busy_lines() {
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
    let mut others: Vec<Peer> = (1..CALLERS).map(|_| Peer::dial(node.port)).collect();
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
        "{CALLERS} busy lines, {message:.1?} a message: a status takes {time:.1?} of the processor, \
         {waited:.1?} in all"
    );
    // Read in one turn, written in the next; in each a message may have begun before the time was over.
    let turn = Duration::from_millis(limits::TURN_MS) + 2 * message;
    assert!(time <= 2 * turn, "{time:?}, a turn {turn:?}");
}

/// They come in waves that fill all places, each with most of a long line, and go. What the node keeps of
/// the blocks that come meanwhile lies behind their buffers in memory.
#[test]
fn what_600_connections_took_is_given_back() {
    const WAVES: usize = 20;
    let mut node = Launch::new().start();
    let (mut peer, mut chain) = Peer::join(node.port);
    let person = Person::new(9);
    let resident = |node: &Node| memory(node.id()).resident >> 10;
    let line = message(
        MessageKind::Ping,
        &format!(r#"{{"x": "{}"}}"#, "x".repeat(1_000_000)),
    );
    let before = resident(&node);
    for wave in 0..WAVES {
        let mut others: Vec<Peer> = (1..CALLERS).map(|_| Peer::dial(node.port)).collect();
        for (number, other) in others.iter_mut().enumerate() {
            assert!(other.try_bytes(line.as_bytes()));
            if number % 8 == 0 {
                let items = (0..50).map(|item| person.requests(&format!("{wave}-{number}-{item}")));
                let block = after(&chain[chain.len() - 1], items.collect());
                peer.say_until_taken(&node, &block);
                chain.push(block);
            }
        }
        all_is_read(&node);
        drop(others);
        node.wait_for_peers(1);
    }
    peer.settle();
    let (after, peak) = (resident(&node), memory(node.id()).peak >> 10);
    let connections = WAVES * (CALLERS - 1);
    eprintln!(
        "{connections} connections with long lines: {before} KiB resident before, {peak} at most, \
         {after} after"
    );
    assert!(after < before + (4 << 10), "{after} KiB after {before}");
}

/// Each has begun a message of a megabyte, and does not read the block of a megabyte that it asked for, which
/// is another one for each.
#[test]
fn what_many_hold_at_once_is_bounded_and_little_for_one_address() {
    let mut node = Launch::new().arg("--difficulty=0").start();
    let (mut peer, mut chain) = Peer::join(node.port);
    for number in 0..CALLERS {
        let name = format!("{number:02}{}", "x".repeat(1_000_000));
        let block = after(&chain[number], vec![Person::new(9).requests(&name)]);
        peer.say_until_taken(&node, &block);
        chain.push(block);
    }
    drop(peer);
    let resident = |node: &Node| memory(node.id()).resident >> 10;
    let before = resident(&node);
    let half = format!(
        r#"{{"type": "ping", "payload": {{"x": "{}"#,
        "x".repeat(1_000_000)
    );
    for count in [limits::PEERS_PER_ADDRESS, CALLERS] {
        node.wait_for_peers(0);
        let mut others: Vec<Peer> = (0..count).map(|_| Peer::dial(node.port)).collect();
        for (other, block) in others.iter_mut().zip(&chain) {
            other.greet();
            let length = block.index + 1;
            let locator = format!(r#"{{"length": {length}, "locator": ["{}"]}}"#, block.hash);
            other.say(&message(MessageKind::RequestChain, &locator));
            assert!(other.try_bytes(half.as_bytes()));
        }
        all_is_read(&node);
        node.wait_for_peers(count);
        let held = resident(&node) - before;
        eprintln!(
            "{count} connections with half a message and an unread block: {before} KiB and {held} more"
        );
        assert!(held < count as u64 * (5 << 9), "{held} KiB");
    }
}

/// A chain that is longer than what any connection holds by itself, asked for and not read.
#[test]
fn little_is_held_for_readers_that_do_not_read_and_nothing_when_they_have_left() {
    const READERS: usize = 20;
    let mut node = Launch::new().arg("--difficulty=0").logging().start();
    let (mut peer, mut chain) = Peer::join(node.port);
    for number in 0..6 {
        let name = format!("{number}{}", "x".repeat(1_000_000));
        let block = after(&chain[number], vec![Person::new(9).requests(&name)]);
        peer.say(&block_message(&block));
        node.expect(&format!("received and added block #{}\n", number + 1));
        chain.push(block);
    }
    let locator = format!(r#"{{"length": 1, "locator": ["{}"]}}"#, chain[0].hash);
    let ask = message(MessageKind::RequestChain, &locator);
    let mut readers: Vec<Peer> = (0..READERS).map(|_| Peer::dial(node.port)).collect();
    for reader in &mut readers {
        reader.greet();
        (0..6).for_each(|_| reader.say(&ask));
    }
    all_is_read(&node);
    // They have more to read than they take: when nothing more leaves, that is as much as is held.
    let full = (READERS * limits::SEND_BUFFER_BYTES) as u64;
    let mut held = 0;
    until(|| {
        drop(node.status());
        let before = mem::replace(&mut held, in_the_kernel(node.port)[0]);
        match held >= full && held == before {
            true => Ok(()),
            false => Err(format!("{before} and {held} bytes are held, not {full}")),
        }
    });
    readers.iter_mut().for_each(Peer::ends);
    node.wait_for_peers(1);
    until(|| match in_the_kernel(node.port)[0] {
        0 => Ok(()),
        left => Err(format!("{left} bytes are held")),
    });
    let reset = readers.into_iter().map(Peer::ends_in_reset);
    let reset = reset.filter(|reset| *reset).count();
    eprintln!("{READERS} readers that do not read: {held} bytes in the kernel, {reset} are reset");
    // Linux takes twice as much memory, and what was begun before that is full.
    assert!(held <= 3 * full, "{held}");
    // The system's count of what is full is not that of the bytes.
    assert!(reset > READERS / 2, "{reset}");
}

/// Half a question on each console that there is beside standard input.
#[test]
fn half_a_question_holds_no_console() {
    let (mut node, socket) = with_socket();
    let calls = (1..limits::CONSOLES).map(|_| UnixStream::connect(&socket).expect("connects"));
    let mut calls: Vec<UnixStream> = calls.collect();
    let begun = Instant::now();
    for call in &mut calls {
        call.write_all(br#"{"ask": "status""#).expect("writes");
        call.set_read_timeout(Some(LIMIT)).expect("a time limit");
    }
    for call in &mut calls {
        let count = call.read_to_end(&mut Vec::new());
        assert_eq!(count.expect("the node hangs up"), 0);
    }
    let waited = begun.elapsed();
    let (told, code) = ctl(&socket, &["status"]);
    assert_eq!(code, 0, "{told}");
    eprintln!("half a question: hung up on after {waited:.1?}");
    assert!(waited >= Duration::from_millis(limits::CONTROL_LINE_MS) - Duration::from_millis(100));
    node.request("saw");
}

/// Names that hide something, and names that are spelled like what is shown of those, on a terminal.
#[test]
fn names_that_hide_are_spelled_out_on_a_terminal_and_can_be_typed() {
    const HIDDEN: [char; 7] = [
        '\u{61c}',
        '\u{200b}',
        '\u{202e}',
        '\u{2066}',
        '\u{e0041}',
        '\u{fe0f}',
        '\u{1b}',
    ];
    let (launch, socket) = launch_with_socket(&Home::new());
    let mut node = on_terminal(launch);
    let (mut peer, chain) = Peer::join(node.port);
    let named = |hidden: &char| {
        let escape: String = hidden.encode_utf16(&mut [0; 2]).iter().map(unit).collect();
        [format!("a{hidden}b"), format!("a{escape}b")]
    };
    let names: Vec<String> = HIDDEN.iter().flat_map(named).collect();
    let requests = names.iter().map(|name| Person::new(9).requests(name));
    peer.say(&block_message(&after(&chain[0], requests.collect())));
    node.expect("received and added block #1");
    // To programs they are what they are.
    let (told, code) = ctl(&socket, &["--json", "reserved"]);
    let items = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let items: BTreeSet<String> = items
        .map(|item: Value| item["item"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!((code, items), (0, names.iter().cloned().collect()));

    let shown = node.reserved();
    let different: BTreeSet<&String> = shown.iter().collect();
    assert_eq!(different.len(), names.len(), "{shown:?}");
    for name in &shown {
        node.ask(&["2", name], &format!("✅ released {name}\r\n"));
    }
    assert_eq!(node.status().ledger().1, 0);
    let list = node.told(&["4"]);
    assert!(!list.contains(HIDDEN), "{list:?}");
    eprintln!("{} names that hide something: {shown:?}", names.len());
}

/// A unit of UTF-16 as JSON spells it.
fn unit(unit: &u16) -> String {
    format!("\\u{unit:04x}")
}

#[test]
fn long_names_make_no_long_lists_and_fast_events_are_counted() {
    const NAMES: usize = 14;
    const EVENTS: usize = 300;
    let mut node = Launch::new().arg("--difficulty=0").start();
    let (mut peer, mut chain) = Peer::join(node.port);
    let mut add = |node: &mut Node, peer: &mut Peer, name: &str| {
        let last = &chain[chain.len() - 1];
        let block = after(last, vec![Person::new(9).requests(name)]);
        peer.say(&block_message(&block));
        chain.push(block);
        node.expect(&format!("received and added block #{}\n", chain.len() - 1));
    };
    for number in 0..NAMES {
        add(
            &mut node,
            &mut peer,
            &format!("{number}-{}", "x".repeat(1_000_000)),
        );
    }
    let list = node.told(&["3"]);
    assert_eq!(list.matches("-more]").count(), NAMES, "{list}");
    assert!(list.len() < NAMES * 400, "{} bytes", list.len());

    let (begun, from) = (Instant::now(), node.said().len());
    for number in 0..EVENTS {
        let request = Person::new(8).requests(&format!("{number}-{}", "y".repeat(1_000)));
        peer.say(&transaction_message(&request));
    }
    peer.settle();
    node.expect(" more like that, the last: [network 📨] request of ");
    let seconds = begun.elapsed().as_secs() as usize + 2;
    let shown = node.said()[from..].to_owned();
    let told = shown.matches("\n[network 📨] request of ").count();
    eprintln!(
        "{NAMES} names of a megabyte: a list of {} bytes; {EVENTS} events: {told} and {} bytes shown in \
         {seconds} s",
        list.len(),
        shown.len()
    );
    let most = limits::EVENTS_PER_SECOND as usize * seconds;
    assert!(told <= most, "{told} events in {seconds} s");
    assert!(
        shown.len() < 400 * (3 * most + 2 * seconds),
        "{} bytes",
        shown.len()
    );
}
