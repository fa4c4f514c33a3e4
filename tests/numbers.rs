//! Numbers at the edges of what 64 bits, a double and JSON hold, in every place where a peer can
//! say one. Shared by the tests of the simulator and of the real program.

use blx::ledger::{Block, Identity, Kind, Timestamp, Transaction};
use blx::wire::MessageKind;

use crate::blocks::{self, Ours, block_text, mined, transaction_text};

/// As JSON spells them.
const NUMBERS: [&str; 20] = [
    "18446744073709551615",
    "18446744073709551614",
    "18446744073709551616",
    "9223372036854775808",
    "9223372036854775807",
    "9007199254740993",
    "4294967296",
    "4294967295",
    "65536",
    "65535",
    "0",
    "-0",
    "-1",
    "-9223372036854775808",
    "170141183460469231731687303715884105727",
    "-170141183460469231731687303715884105728",
    "1e308",
    "-1e308",
    "1e-320",
    "1e999",
];

/// Whole numbers that a block can be made with.
const WHOLE: [u64; 6] = [
    u64::MAX,
    u64::MAX - 1,
    1 << 63,
    i64::MAX as u64,
    (1 << 53) + 1,
    1 << 32,
];

/// Times that a block or a transaction can be made with.
pub fn times() -> Vec<Timestamp> {
    let mut times: Vec<Timestamp> = [
        1e308, -1e308, 1e-320, -0.0, -1.0, 1.8e19, 9.3e18, 8.6e9, 8.5e9,
    ]
    .map(Timestamp::Float)
    .into();
    times.extend([i128::MAX, i128::MIN, -1].map(Timestamp::Integer));
    times.extend(WHOLE.map(|whole| Timestamp::Integer(whole.into())));
    times
}

/// A key that is no node's.
pub fn stranger() -> Identity {
    Identity::from_secret(&[9; 32]).expect("a key")
}

fn line(kind: MessageKind, payload: &str) -> String {
    blocks::line(kind, payload, "0.0.0.0:65535")
}

/// The line that tells of a block.
pub fn block_line(block: &Block) -> String {
    line(MessageKind::NewBlock, &block_text(block))
}

/// The line that tells of a transaction.
pub fn transaction_line(transaction: &Transaction) -> String {
    line(MessageKind::NewTransaction, &transaction_text(transaction))
}

/// The first word of one of ours, which says that its chain ends here.
pub fn greeting(length: &str, tip: &Block) -> String {
    let tip = tip.hash;
    let payload = format!(
        r#"{{{}, "length": {length}, "tip": "{tip}", "pool": []}}"#,
        Ours::new(255).says()
    );
    line(MessageKind::PeerAnnounce, &payload)
}

/// A block behind `tip` in which a stranger takes an item.
pub fn behind(tip: &Block, item: &str) -> Block {
    let request = stranger().sign(Kind::Request, item.into(), Timestamp::Integer(5));
    Block {
        index: tip.index + 1,
        prev_hash: tip.hash,
        transactions: vec![request],
        nonce: 0,
        timestamp: Timestamp::Integer(5),
        hash: tip.hash,
    }
}

/// Every number in every numeric field of every message, as text: most of these lines are no valid
/// message, and none of them is of a valid block.
pub fn lines(tip: &Block) -> Vec<String> {
    let hash = tip.hash;
    // As many as a locator can have: the last stand at distances that 64 bits do not hold.
    let locator = vec![format!("\"{hash}\""); 70].join(", ");
    let request = &behind(tip, "item");
    let (block, transaction) = (
        block_text(request),
        transaction_text(&request.transactions[0]),
    );
    let number = |field: &str, text: &str, with: &str| {
        let (before, rest) = text.split_once(&format!("\"{field}\": ")).expect("a field");
        let end = rest.find([',', '}']).expect("its end");
        format!("{before}\"{field}\": {with}{}", &rest[end..])
    };
    let mut lines = Vec::new();
    for n in NUMBERS {
        let end = format!(r#"{{"length": {n}, "tip": "{hash}"}}"#);
        let payloads = [
            (MessageKind::Ping, end.clone()),
            (MessageKind::Pong, end),
            (
                MessageKind::RequestChain,
                format!(r#"{{"length": {n}, "locator": [{locator}]}}"#),
            ),
            (
                MessageKind::PeerList,
                format!(r#"{{"peers": ["127.0.0.1:{n}", "[::1]:{n}", "{n}:{n}", "{n}"]}}"#),
            ),
            (MessageKind::NewTransaction, number("type", &transaction, n)),
            (
                MessageKind::NewTransaction,
                number("timestamp", &transaction, n),
            ),
        ];
        lines.extend(payloads.map(|(kind, payload)| line(kind, &payload)));
        lines.push(greeting(n, tip));
        let ping = line(MessageKind::Ping, "{}");
        lines.push(ping.replace(":65535", &format!(":{n}")));
        for blocks in ["", &block, &format!("{}, {block}", block_text(tip))] {
            for start in ["", &format!(", \"start\": {n}"), ", \"start\": 1"] {
                let payload = format!(r#"{{"chain": [{blocks}], "length": {n}{start}}}"#);
                lines.push(line(MessageKind::ChainResponse, &payload));
            }
        }
        for field in ["index", "nonce", "timestamp"] {
            let block = number(field, &block, n);
            lines.push(line(MessageKind::NewBlock, &block));
            let payload = format!(r#"{{"chain": [{block}], "length": 2, "start": {n}}}"#);
            lines.push(line(MessageKind::ChainResponse, &payload));
        }
    }
    lines
}

/// Blocks that are valid alone and stand at no height of a chain that ends in `tip`, each on its own
/// and as a chain.
pub fn far_blocks(tip: &Block, difficulty: u8) -> Vec<String> {
    let mut lines = Vec::new();
    for index in WHOLE {
        for prev_hash in [tip.hash, tip.prev_hash] {
            let block = Block {
                index,
                prev_hash,
                ..behind(tip, "far")
            };
            let block = mined(block, difficulty);
            let text = block_text(&block);
            lines.push(block_line(&block));
            for start in ["", ", \"start\": 1", &format!(", \"start\": {index}")] {
                let payload = format!(r#"{{"chain": [{text}], "length": {index}{start}}}"#);
                lines.push(line(MessageKind::ChainResponse, &payload));
            }
        }
    }
    lines
}

/// A number at the edge in a block that can be taken.
#[derive(Clone, Copy, Debug)]
pub enum Edge {
    /// The block's nonce.
    Nonce(u64),
    /// The block's time.
    Made(Timestamp),
    /// The time of the transaction in it.
    Signed(Timestamp),
}

/// All of them.
pub fn edges() -> Vec<Edge> {
    let mut edges: Vec<Edge> = WHOLE.map(Edge::Nonce).into();
    for time in times() {
        edges.extend([Edge::Made(time), Edge::Signed(time)]);
    }
    edges
}

/// A block behind `tip` with an edge and no work, in which a stranger takes an item.
pub fn edge_block(tip: &Block, item: &str, edge: Edge) -> Block {
    let mut block = behind(tip, item);
    match edge {
        Edge::Nonce(nonce) => block.nonce = nonce,
        Edge::Made(time) => block.timestamp = time,
        Edge::Signed(time) => {
            block.transactions = vec![stranger().sign(Kind::Request, item.into(), time)];
        }
    }
    block.hash = block.content_hash();
    block
}
