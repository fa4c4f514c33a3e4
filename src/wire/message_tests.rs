use super::*;
use crate::ledger::transaction::Kind;
use crate::ledger::{Identity, Timestamp};
use crate::limits;
use crate::wire::text;

fn line(kind: &str, payload: &str) -> String {
    format!("{{\"type\": \"{kind}\", \"payload\": {payload}, \"sender\": \"0.0.0.0:6001\"}}")
}

fn said(text: &str) -> Message {
    let envelope = read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    envelope.message
}

fn refusal(text: &[u8]) -> String {
    match read(text) {
        Err(LineError::Shape(reason)) => reason,
        other => panic!("{}: {other:?}", text.escape_ascii()),
    }
}

fn transaction_text() -> String {
    let identity = Identity::from_secret(&[1; 32]).expect("a key");
    let transaction = identity.sign(Kind::Request, "cam".into(), Timestamp::Float(1.5));
    let mut out = Vec::new();
    text::transaction(&mut out, &transaction);
    String::from_utf8(out).expect("ASCII")
}

fn block_text() -> String {
    format!(
        "{{\"index\": 1, \"prev_hash\": \"{0}\", \"transactions\": [{1}], \"nonce\": 2, \
         \"timestamp\": 3.5, \"hash\": \"{0}\"}}",
        "ab".repeat(32),
        transaction_text()
    )
}

#[test]
fn each_kind_is_read_with_its_payload() {
    assert_eq!(
        said(&line("peer_announce", "{}")),
        Message::PeerAnnounce(Greeting::default())
    );
    assert_eq!(
        said(&line("request_chain", "{\"chain\": 1}")),
        Message::RequestChain(None)
    );
    assert_eq!(
        said(&line("ping", "{\"x\": [{}]}")),
        Message::Ping(None, Vec::new())
    );
    assert_eq!(
        said(&line("pong", "{\"peers\": 5}")),
        Message::Pong(None, Vec::new())
    );
    for (payload, length, start) in [
        ("{\"chain\": [], \"length\": 3}", Some(3), None),
        ("{\"length\": -1, \"chain\": [ ]}", None, None),
        (
            "{\"start\": 7, \"chain\": [], \"length\": 7}",
            Some(7),
            Some(7),
        ),
        ("{\"start\": \"7\", \"chain\": []}", None, None),
    ] {
        let expected = Message::ChainEnd { length, start };
        assert_eq!(said(&line("chain_response", payload)), expected);
    }
    let Message::NewBlock(Ok(block)) = said(&line("new_block", &block_text())) else {
        panic!("a block")
    };
    assert_eq!(
        (block.index, block.nonce, block.transactions.len()),
        (1, 2, 1)
    );
    let Message::NewTransaction(Ok(transaction)) =
        said(&line("new_transaction", &transaction_text()))
    else {
        panic!("a transaction")
    };
    assert_eq!(transaction, block.transactions[0]);
}

#[test]
fn keys_may_stand_in_any_order_with_others_and_no_sender() {
    let text = " {\"x\": null, \"payload\":{}, \"\\ud800\": 1, \"ty\\u0070e\" : \"p\\u0069ng\"}\t";
    let envelope = read(text.as_bytes()).expect("a ping");
    assert_eq!(
        (envelope.message, envelope.sender),
        (Message::Ping(None, Vec::new()), None)
    );
}

#[test]
fn the_sender_tells_its_port_or_nothing() {
    for (sender, port) in [
        ("0.0.0.0:6001", Some(6001)),
        ("[::]:6000", Some(6000)),
        ("host:65535", Some(65535)),
        ("host:0", None),
        ("host:65536", None),
        ("host:+80", None),
        ("host:", None),
        ("6000", None),
        ("", None),
        ("\\ud800:80", None),
        ("h\\u00e9:80", Some(80)),
    ] {
        let text = format!("{{\"type\": \"pong\", \"payload\": {{}}, \"sender\": \"{sender}\"}}");
        assert_eq!(
            read(text.as_bytes()).expect(sender).sender,
            port,
            "{sender}"
        );
    }
}

#[test]
fn a_peer_list_is_bounded() {
    let mut peers: Vec<String> = (0..200).map(|n| format!("\"10.0.0.{n}:6000\"")).collect();
    peers.insert(0, format!("\"{}\"", "x".repeat(limits::PEER_TEXT_MAX + 1)));
    peers.insert(1, "\"\\ud800\"".into());
    peers.insert(2, "\"a b\\u001b[2J:1\"".into());
    let Message::PeerList { peers } = said(&line(
        "peer_list",
        &format!("{{\"peers\": [{}]}}", peers.join(",")),
    )) else {
        panic!("a list")
    };
    assert_eq!(peers.len(), limits::PEER_LIST_MAX);
    assert_eq!(peers[0], "10.0.0.0:6000");
}

#[test]
fn what_is_no_json_is_told_apart_from_the_wrong_shape() {
    for text in [
        "",
        "hello",
        "{\"type\": \"ping\", \"payload\": {}",
        "{\"type\": \"nonsense\", \"payload\": {}},",
        "{\"type\": 'ping', \"payload\": {}}",
        "{\"type\": \"ping\", \"payload\": {\"x\": 01}}",
        "{\"type\": \"ping\", \"payload\": {\"x\": NaN}}",
        "{\"type\": \"ping\", \"payload\": {\"x\": \"\t\"}}",
        "[1 2]",
        "\u{feff}{}",
    ] {
        assert_eq!(read(text.as_bytes()), Err(LineError::NotJson), "{text}");
    }
}

#[test]
fn the_wrong_shape_names_its_field() {
    for (text, field) in [
        ("[]".into(), "the line"),
        ("5".into(), "the line"),
        ("{}".into(), "type"),
        ("{\"type\": 1, \"payload\": {}}".into(), "type"),
        (line("hello", "{}"), "type is hello"),
        (
            line("\\u001b[2J\\ud800", "{}"),
            "type is \\x1b[2J\\xed\\xa0\\x80,",
        ),
        ("{\"type\": \"ping\"}".into(), "payload is missing"),
        (line("ping", "null"), "payload"),
        (line("ping", "[]"), "payload"),
        (
            "{\"type\": \"ping\", \"payload\": {}, \"sender\": 5}".into(),
            "sender",
        ),
        (
            "{\"type\": \"ping\", \"payload\": {}, \"sender\": null}".into(),
            "sender",
        ),
        (line("peer_list", "{}"), "payload.peers is missing"),
        (line("peer_list", "{\"peers\": {}}"), "payload.peers"),
        (
            line("peer_list", "{\"peers\": [\"a:1\", 5]}"),
            "payload.peers",
        ),
        (line("chain_response", "{}"), "payload.chain is missing"),
        (line("chain_response", "{\"chain\": {}}"), "payload.chain"),
        (line("chain_response", "{\"chain\": [1]}"), "payload.chain"),
        (
            line("chain_response", "{\"chain\": [], \"length\": \"1\"}"),
            "payload.length",
        ),
        (line("new_block", "{}"), "payload.index is missing"),
        (
            line("new_transaction", "{}"),
            "payload.requester is missing",
        ),
    ] {
        let reason = refusal(text.as_bytes());
        assert!(reason.contains(field), "{text}: {reason}");
    }
    assert!(refusal(b"{\"type\": \"ping\", \"payload\": {\"x\": \"\xff\"}}").contains("UTF-8"));
    assert!(refusal(b"neither JSON \xf0\x9f").contains("UTF-8"));
}

/// Replaces the first `key: value` of a block's text, or takes it away.
fn with(key: &str, value: Option<&str>) -> String {
    let text = block_text();
    let start = text
        .find(&format!("\"{key}\": "))
        .expect("the key is there");
    let behind = match key {
        "transactions" => ", \"nonce\"",
        "signature" => "}]",
        "hash" => "}",
        _ => ", \"",
    };
    let length = text[start..]
        .find(behind)
        .expect("something stands behind it");
    let end = start + length;
    let field = match value {
        Some(value) => format!("\"{key}\": {value}"),
        None => "\"gone\": 1".into(),
    };
    format!("{}{field}{}", &text[..start], &text[end..])
}

const KEYS: [&str; 10] = [
    "index",
    "prev_hash",
    "transactions",
    "nonce",
    "hash",
    "requester",
    "uid",
    "type",
    "timestamp",
    "signature",
];

#[test]
fn every_field_of_a_block_must_be_there_with_its_type() {
    assert!(block(block_text().as_bytes()).is_ok());
    for key in KEYS {
        for value in [None, Some("null"), Some("true"), Some("{}"), Some("[[]]")] {
            let text = with(key, value);
            let Err(BlockError::Shape(reason)) = block(text.as_bytes()) else {
                panic!("{text}")
            };
            let expected = if key == "transactions" && value == Some("[[]]") {
                "transactions[0]."
            } else {
                key
            };
            assert!(reason.contains(expected), "{text}: {reason}");
        }
    }
    for number in ["index", "nonce", "type", "timestamp"] {
        assert!(matches!(
            block(with(number, Some("\"1\"")).as_bytes()),
            Err(BlockError::Shape(_))
        ));
    }
    for string in ["prev_hash", "hash", "requester", "uid", "signature"] {
        assert!(matches!(
            block(with(string, Some("1")).as_bytes()),
            Err(BlockError::Shape(_))
        ));
    }
    for text in ["5", "[]", "\"x\"", "null"] {
        assert!(
            matches!(block(text.as_bytes()), Err(BlockError::Shape(_))),
            "{text}"
        );
    }
    for text in ["", "{", "{\"index\" 1}", "[{]}", "1:2"] {
        assert_eq!(block(text.as_bytes()), Err(BlockError::NotJson), "{text}");
    }
    assert!(matches!(block(b"\"\xc3\""), Err(BlockError::Shape(_))));
}

#[test]
fn impossible_values_make_an_invalid_block() {
    let quoted = |text: &str| format!("\"{text}\"");
    for (key, value) in [
        ("index", "-1".to_owned()),
        ("index", "18446744073709551616".into()),
        ("index", "1.0".into()),
        ("index", "1e0".into()),
        ("nonce", "-1".into()),
        ("type", "5".into()),
        ("type", "-2".into()),
        ("type", "1.0".into()),
        ("timestamp", "1e400".into()),
        (
            "timestamp",
            "170141183460469231731687303715884105728".into(),
        ),
        ("prev_hash", quoted(&"AB".repeat(32))),
        ("prev_hash", quoted(&"ab".repeat(31))),
        ("hash", quoted(&"ab".repeat(33))),
        ("hash", quoted(&"g".repeat(64))),
        ("hash", quoted("")),
        ("hash", quoted(&"\u{e9}".repeat(32))),
        ("requester", quoted("")),
        ("requester", quoted(&"05".repeat(33))),
        ("requester", quoted(&"04".repeat(65))),
        ("signature", quoted("")),
        ("signature", quoted("3006020100020100")),
        ("signature", quoted(&"30".repeat(2000))),
        ("signature", quoted("3")),
    ] {
        let text = with(key, Some(&value));
        let Err(BlockError::Rule(invalid)) = block(text.as_bytes()) else {
            panic!("{text}")
        };
        let RuleError::BadField(reason) = invalid.error else {
            panic!("{text}: {invalid}")
        };
        assert!(reason.contains(key), "{text}: {reason}");
        let index = (key != "index").then_some(1);
        assert_eq!(invalid.index, index, "{text}");
    }
}

/// What makes a transaction one of a ledger with credits, and what only looks like it.
#[test]
fn a_block_with_credits_is_told_from_an_invalid_one() {
    let newer = |text: &str| match block(text.as_bytes()) {
        Err(BlockError::Rule(invalid)) => invalid.error == RuleError::Newer,
        _ => false,
    };
    for kind in ["0", "3", "4"] {
        assert!(newer(&with("type", Some(kind))), "{kind}");
    }
    for word in [
        "COINBASE",
        "GENESIS",
        "BUYOUT_PAYMENT",
        "ESCROW_DISTRIBUTION",
    ] {
        let text = with("signature", Some(&format!("\"{word}\"")));
        assert!(newer(&text), "{text}");
    }
    for key in ["amount", "recipient", "accepted_offer"] {
        for value in ["10", "0", "\"\"", "false", "{}"] {
            let more = format!("1, \"{key}\": {value}");
            assert!(newer(&with("type", Some(&more))), "{more}");
        }
        // Without a value it is an unknown key, and dropped.
        let text = with("type", Some(&format!("1, \"{key}\": null")));
        assert_eq!(block(text.as_bytes()), block(block_text().as_bytes()));
        // Only in a transaction does it mean anything.
        let text = with("index", Some(&format!("1, \"{key}\": 10")));
        assert_eq!(block(text.as_bytes()), block(block_text().as_bytes()));
    }
    for other in ["5", "0.0", "\"0\"", "null"] {
        assert!(!newer(&with("type", Some(other))), "{other}");
    }
    assert!(!newer(&with("signature", Some("\"coinbase\""))));
}

#[test]
fn credits_are_found_whatever_else_is_wrong() {
    let newer = |text: &str| match block(text.as_bytes()) {
        Err(BlockError::Rule(invalid)) if invalid.error == RuleError::Newer => Some(invalid.index),
        _ => None,
    };
    for list in [
        "[{\"type\": 0}]".to_owned(),
        format!("[{}, {{}}, 5, {{\"amount\": 10}}]", transaction_text()),
        format!("[{{\"signature\": \"GENESIS\"}}, {}]", transaction_text()),
    ] {
        let text = with("transactions", Some(&list));
        assert_eq!(newer(&text), Some(Some(1)), "{text}");
        for key in ["index", "prev_hash", "nonce", "hash"] {
            let text = text.replace(
                &format!("\"{key}\": "),
                &format!("\"{key}\": null, \"was\": "),
            );
            let index = (key != "index").then_some(1);
            assert_eq!(newer(&text), Some(index), "{text}");
        }
    }
    let wish = "{\"type\": 1, \"uid\": \"cam\", \"amount\": 10}";
    assert_eq!(
        said(&line("new_transaction", wish)),
        Message::NewTransaction(Err(RuleError::Newer))
    );
    let Message::NewBlock(Err(invalid)) = said(&line("new_block", &with("type", Some("4")))) else {
        panic!("a block with credits")
    };
    assert_eq!((invalid.index, invalid.error), (Some(1), RuleError::Newer));
}

#[test]
fn the_first_wrong_transaction_is_named_by_its_position() {
    let list = format!("[{}, {{}}, 5]", transaction_text());
    assert_eq!(
        block(with("transactions", Some(&list)).as_bytes()),
        Err(BlockError::Shape(
            "of a block, transactions[1].requester is missing".into()
        ))
    );
}

#[test]
fn a_wrong_type_outweighs_an_impossible_value() {
    let text = with("index", Some("-1")).replace("\"nonce\": 2", "\"nonce\": null");
    assert!(matches!(block(text.as_bytes()), Err(BlockError::Shape(_))));
}

#[test]
fn whole_numbers_are_read_as_desktop_nodes_read_them() {
    let index = |value| block(with("index", Some(value)).as_bytes()).map(|block| block.index);
    assert_eq!(index("-0"), Ok(0));
    assert_eq!(index("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(
        index("170141183460469231731687303715884105728").map_err(|error| error.to_string()),
        Err("a block: index is no whole number of 64 bits".into())
    );
}

#[test]
fn a_block_that_could_not_be_passed_on_is_too_long() {
    // Each of these characters takes two bytes here and six where it is passed on.
    let room = limits::BLOCK_TEXT_MAX - block_text().len() + "cam".len();
    let (wide, narrow) = ("\u{e9}".repeat(room / 6), "x".repeat(room % 6));
    let fits = with("uid", Some(&format!("\"{wide}{narrow}\"")));
    assert!(block(fits.as_bytes()).is_ok());
    let too_long = with("uid", Some(&format!("\"{wide}{narrow}x\"")));
    let Err(BlockError::Rule(invalid)) = block(too_long.as_bytes()) else {
        panic!("too long")
    };
    assert_eq!(
        (invalid.index, invalid.error),
        (Some(1), RuleError::TooLong)
    );
    let transaction = transaction_text().replace("cam", &"\u{e9}".repeat(room / 6 + 1000));
    let said = said(&line("new_transaction", &transaction));
    assert_eq!(said, Message::NewTransaction(Err(RuleError::TooLong)));
}

#[test]
fn what_ours_add_is_read_and_what_is_malformed_there_is_as_if_it_were_missing() {
    let hash = "ab".repeat(32);
    let tip = Some(Tip {
        length: 5,
        hash: Hash::new([0xab; 32]),
    });
    let ping = format!("{{\"length\": 5, \"tip\": \"{hash}\"}}");
    assert_eq!(said(&line("ping", &ping)), Message::Ping(tip, Vec::new()));
    let announce = format!(
        "{{\"id\": \"00000000000000ff\", \"length\": 5, \"tip\": \"{hash}\", \"pool\": [\"{}\", 5, \"ab\"]}}",
        "01".repeat(16)
    );
    let expected = Greeting {
        id: Some(255),
        tip,
        pool: vec![crate::ledger::TransactionId::new([1; 16])],
        voices: Vec::new(),
    };
    assert_eq!(
        said(&line("peer_announce", &announce)),
        Message::PeerAnnounce(expected)
    );
    let request = format!("{{\"length\": 2, \"locator\": [\"{hash}\", \"{hash}\"]}}");
    let locator = Locator {
        length: 2,
        hashes: vec![Hash::new([0xab; 32]); 2],
    };
    assert_eq!(
        said(&line("request_chain", &request)),
        Message::RequestChain(Some(locator))
    );
    for (kind, payload, expected) in [
        (
            "ping",
            "{\"length\": 5, \"tip\": 7}",
            Message::Ping(None, Vec::new()),
        ),
        (
            "pong",
            "{\"length\": [], \"tip\": \"\"}",
            Message::Pong(None, Vec::new()),
        ),
        (
            "request_chain",
            "{\"length\": 2, \"locator\": [\"x\"]}",
            Message::RequestChain(None),
        ),
        (
            "peer_announce",
            "{\"id\": \"x\", \"pool\": {}}",
            Message::PeerAnnounce(Greeting::default()),
        ),
    ] {
        assert_eq!(said(&line(kind, payload)), expected, "{kind} {payload}");
    }
}
