//! Events into a node: peers that keep to the rules and such that don't, users, failures, time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;

use blx::ledger::{Block, Identity, Kind, Timestamp, Tip, Transaction, Uid};
use blx::node::{ConnId, ConsoleKind, Event, Network};
use blx::offline::verify::{Checker, Verdict, document};
use blx::store::log::Log;
use blx::wire::MessageKind;

use super::blocks::{Ours, array_text, block_text, chain_text, line, mined, transaction_text};
use super::history::{NOW, read_all};
use super::lan::{Heard, Lan, check_shown, open};
use super::script::Script;

/// Names, the long ones among them: longer than may be made, than is shown, than a buffer to send with. Of
/// longer ones there would be only a few runs a second.
fn name(which: usize) -> Uid {
    match which {
        0..=3 => Uid::from(["laptop", "cam-1", "tripod", "drill"][which]),
        4 => Uid::from("n".repeat(200).as_str()),
        5 => Uid::from("\u{e9}".repeat(512).as_str()),
        6 => Uid::from("m".repeat(1_025).as_str()),
        7 => Uid::from("\u{061c}\u{1b}[2J\\u0041".repeat(400).as_str()),
        8 => Uid::from("\u{1f600}".repeat(3_000).as_str()),
        9 => Uid::from("l".repeat(60_000).as_str()),
        10 => Uid::from_wtf8(b"lone \xed\xa0\xbd".to_vec()),
        _ => Uid::from(""),
    }
}

const NAMES: usize = 12;

thread_local! {
    /// What was signed before: signing takes the most time of all.
    static SIGNED: RefCell<HashMap<(u8, bool, usize), Transaction>> = RefCell::default();
}

fn signed(author: u8, release: bool, item: usize) -> Transaction {
    SIGNED.with_borrow_mut(|signed| {
        let make = || {
            let identity = Identity::from_secret(&[author + 1; 32]).expect("a key");
            let kind = if release {
                Kind::Release
            } else {
                Kind::Request
            };
            identity.sign(kind, name(item), Timestamp::Float(1_800_000_000.5))
        };
        signed
            .entry((author, release, item))
            .or_insert_with(make)
            .clone()
    })
}

fn transaction(script: &mut Script<'_>) -> Transaction {
    let (who, item) = (script.byte(), script.below(NAMES));
    signed(who / 2 % 4, who % 2 == 1, item)
}

/// The chain of those around the node.
struct Around {
    chain: Vec<Block>,
}

impl Around {
    fn grow(&mut self, script: &mut Script<'_>) {
        let last = self.chain.last().expect("a first block");
        let tip = Tip {
            length: self.chain.len() as u64,
            hash: last.hash,
        };
        let mut block = Block::behind(&tip, Timestamp::Float(1_800_000_000.75));
        for _ in 0..script.below(4) {
            block.transactions.push(transaction(script));
        }
        self.chain.push(mined(block, 0));
        // What is told of it is made of text each time.
        self.chain.truncate(24);
    }
}

/// What a peer says: the kind, and the payload.
fn said(around: &mut Around, script: &mut Script<'_>) -> (MessageKind, String) {
    let last = around.chain.last().expect("a first block").clone();
    let end = format!(
        r#""length": {}, "tip": "{}""#,
        around.chain.len(),
        last.hash
    );
    match script.below(13) {
        0 => (MessageKind::PeerAnnounce, "{}".to_owned()),
        1 => {
            let who = Ours::new(script.byte().into()).says();
            let greeting = format!(r#"{{{who}, {end}, "pool": []}}"#);
            (MessageKind::PeerAnnounce, greeting)
        }
        2 => {
            let peers = r#"{"peers": ["10.0.0.3:6000", "10.0.0.9:6000", "x:1", "[::1]:6000"]}"#;
            (MessageKind::PeerList, peers.to_owned())
        }
        3 => (MessageKind::RequestChain, "{}".to_owned()),
        4 => {
            let locator = format!(
                r#"{{"length": {}, "locator": ["{}"]}}"#,
                script.byte(),
                last.hash
            );
            (MessageKind::RequestChain, locator)
        }
        5 => (MessageKind::ChainResponse, chain_text(&around.chain)),
        6 => {
            let start = script.place(around.chain.len());
            let blocks = array_text(&around.chain[start..]);
            let length = around.chain.len();
            let part = format!(r#"{{"start": {start}, "chain": {blocks}, "length": {length}}}"#);
            (MessageKind::ChainResponse, part)
        }
        7 => {
            let at = script.place(around.chain.len() - 1);
            (MessageKind::NewBlock, block_text(&around.chain[at]))
        }
        8 => (
            MessageKind::NewTransaction,
            transaction_text(&transaction(script)),
        ),
        9 => (MessageKind::Ping, format!("{{{end}}}")),
        10 => (MessageKind::Pong, "{}".to_owned()),
        11 => {
            let voices = r#"[{"id": "0000000000000007", "count": 4, "healthy": true, "desktops": ["10.0.0.2:6000"]}]"#;
            (
                MessageKind::Ping,
                format!(r#"{{{end}, "voices": {voices}}}"#),
            )
        }
        _ => {
            around.grow(script);
            let last = around.chain.last().expect("it grew");
            (MessageKind::NewBlock, block_text(last))
        }
    }
}

/// A line of a peer, good but for what is done to it.
fn told(around: &mut Around, script: &mut Script<'_>) -> Vec<u8> {
    let (kind, payload) = said(around, script);
    let mut text = line(kind, &payload, "0.0.0.0:6000").into_bytes();
    text.push(b'\n');
    // One in four is damaged.
    let harm = script.byte();
    if harm >= 192 {
        let at = script.long() * 7 % text.len();
        match harm % 3 {
            0 => text.truncate(at),
            1 => drop(text.remove(at)),
            _ => text[at] ^= script.byte(),
        }
    }
    text
}

fn some_line(lan: &Lan, script: &mut Script<'_>, console: bool) -> Option<ConnId> {
    let lines = lan.lines.iter();
    let of_kind = lines.filter(|(_, heard)| matches!(heard, Heard::Console(..)) == console);
    let open: Vec<u8> = of_kind.map(|(conn, _)| *conn).collect();
    let at = script.below(open.len().max(1));
    open.get(at).map(|conn| ConnId(*conn))
}

const CHOPS: [usize; 4] = [usize::MAX, 7, 100, 4_000];

/// A dial ends.
fn dialed(lan: &mut Lan, script: &mut Script<'_>) {
    let conn = lan.dials.remove(0);
    match script.byte() % 4 {
        0 => lan.tell(Event::DialFailed {
            conn,
            reason: "connection refused",
        }),
        end => {
            lan.open_line(conn);
            lan.tell(Event::Connected {
                conn,
                local: SocketAddr::from(([10, 0, 0, 1], 50_000)),
                remote: SocketAddr::from(([10, 0, 0, end], 6000)),
            });
        }
    }
}

fn console(lan: &mut Lan, script: &mut Script<'_>) {
    let kind = match script.byte() % 4 {
        0 => ConsoleKind::Serial,
        1 => ConsoleKind::Standard {
            utf8: true,
            echoes: false,
        },
        _ => ConsoleKind::Socket,
    };
    lan.open_console(kind);
}

fn step(lan: &mut Lan, around: &mut Around, script: &mut Script<'_>) {
    match script.below(16) {
        0 => lan.pass(script.below(100) as u64, 40),
        1 => lan.pass(script.below(256) as u64 * 250, 40),
        2 => {
            let from = SocketAddr::from(([10, 0, 0, script.byte()], 40_000));
            lan.tell(Event::Incoming { from });
        }
        3 if !lan.dials.is_empty() => dialed(lan, script),
        4 => {
            let console = script.byte().is_multiple_of(4);
            if let Some(conn) = some_line(lan, script, console) {
                let reason = script
                    .byte()
                    .is_multiple_of(2)
                    .then_some("connection reset");
                lan.close(conn, reason);
            }
        }
        5 => console(lan, script),
        6 | 7 => {
            if let Some(conn) = some_line(lan, script, true) {
                let length = script.below(64);
                let typed = script.take(length);
                lan.say(conn, typed, CHOPS[script.below(4)]);
            }
        }
        8 => {
            if let Some(conn) = some_line(lan, script, false) {
                let length = script.byte();
                lan.say(conn, script.take(length.into()), CHOPS[script.below(4)]);
            }
        }
        9 => {
            // Another branch.
            let fork = 1 + script.place(around.chain.len() - 1);
            around.chain.truncate(fork);
            for _ in 0..script.below(6) {
                around.grow(script);
            }
        }
        10 => lan.wall = lan.wall.wrapping_add(script.long() as u64 * 3_600_000_000) % (1 << 53),
        11 => {
            let networks = [Network {
                address: [10, 0, 0, 1].into(),
                prefix: script.byte(),
            }];
            lan.tell(Event::Networks {
                networks: &networks,
            });
        }
        _ => {
            if let Some(conn) = some_line(lan, script, false) {
                let text = told(around, script);
                lan.say(conn, &text, CHOPS[script.below(4)]);
            }
        }
    }
}

/// Whatever happens, a node keeps the law of driving, says only what is a message, shows only what is
/// text, and has a valid chain on its disk.
pub fn node(data: &[u8]) {
    let mut script = Script::new(data);
    let mut lan = Lan::new();
    let mut around = Around {
        chain: vec![Block::genesis(Timestamp::Integer(1_800_000_000))],
    };
    for _ in 0..120 {
        if script.is_over() || lan.exited {
            break;
        }
        step(&mut lan, &mut around, &mut script);
        lan.settle(12);
    }
    lan.pass(5_000, 60);
    for heard in lan.lines.values() {
        if let Heard::Console(kind, text) = heard {
            check_shown(*kind, text);
        }
    }
    let height = lan.node.summary().height;
    let disk = lan.disk.after_kill();
    check_chain(&disk, height);
    assert_eq!(
        open(&disk, 0).summary().height,
        height,
        "it starts where it was"
    );
}

/// The chain on the disk is as long as the node says, and valid.
fn check_chain(disk: &super::disk::SimDisk, height: u64) {
    let (mut log, _) = Log::open(disk.clone(), None, NOW).expect("it opens");
    let blocks = read_all(&mut log).expect("it reads");
    assert_eq!(blocks.len() as u64, height + 1);
    let text = array_text(&blocks);
    let mut progress = blx::offline::progress::ProgressLine::begin();
    let checker = Checker::new(0);
    let verdict = document(
        &mut text.as_bytes(),
        checker,
        &mut progress,
        &mut |_| Ok(()),
    );
    assert!(matches!(verdict, Ok(Verdict::Valid { .. })), "{verdict:?}");
}
