use super::*;
use crate::ledger::{End, Hash, Identity, Kind, Timestamp, Tip, Who};
use crate::limits;
use crate::wire::content::tests::{block_text, transaction_text};

pub(in crate::wire) fn line(kind: &str, payload: &str) -> String {
    format!("{{\"type\": \"{kind}\", \"payload\": {payload}, \"sender\": \"0.0.0.0:6001\"}}")
}

pub(in crate::wire) fn said(text: &str) -> Message {
    let envelope = read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    envelope.message
}

fn identity(number: u8) -> Identity {
    Identity::from_secret(&[number; 32]).expect("a key")
}

fn refusal(text: &[u8]) -> String {
    match read(text) {
        Err(LineError::Shape(reason)) => reason,
        other => panic!("{}: {other:?}", text.escape_ascii()),
    }
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
        Message::Ping(Life::default())
    );
    assert_eq!(
        said(&line("pong", "{\"peers\": 5}")),
        Message::Pong(Life::default())
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
        (Message::Ping(Life::default()), None)
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

#[test]
fn what_ours_add_is_read_and_what_is_malformed_there_is_as_if_it_were_missing() {
    let hash = "ab".repeat(32);
    let tip = Some(Tip {
        length: 5,
        hash: Hash::new([0xab; 32]),
    });
    let life = Life {
        tip,
        ..Life::default()
    };
    let ping = format!("{{\"length\": 5, \"tip\": \"{hash}\"}}");
    assert_eq!(said(&line("ping", &ping)), Message::Ping(life));
    let who = Who::new(identity(7).public(), 255);
    let announce = format!(
        "{{\"id\": \"{:016x}\", \"key\": \"{}\", \"nonce\": \"{}\", \"length\": 5, \"tip\": \"{hash}\", \"pool\": [\"{}\", 5, \"ab\"]}}",
        who.id,
        who.key,
        "02".repeat(16),
        "01".repeat(16)
    );
    let expected = Greeting {
        from: Some(End {
            who,
            nonce: [2; 16],
        }),
        tip,
        mempool: vec![crate::ledger::TransactionId::new([1; 16])],
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
            Message::Ping(Life::default()),
        ),
        (
            "pong",
            "{\"length\": [], \"tip\": \"\", \"proof\": \"3006\"}",
            Message::Pong(Life::default()),
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

#[test]
fn a_greeting_is_from_somebody_only_if_it_has_a_number_its_key_and_a_nonce() {
    let who = Who::new(identity(7).public(), 0xffff_fffe);
    let end = End {
        who,
        nonce: [0xfe; 16],
    };
    let from = |payload: &str| match said(&line("peer_announce", payload)) {
        Message::PeerAnnounce(greeting) => greeting.from,
        other => panic!("{other:?}"),
    };
    let [id, key, nonce] = [
        format!("\"id\": \"{:016x}\"", who.id),
        format!("\"key\": \"{}\"", who.key),
        format!("\"nonce\": \"{}\"", "fe".repeat(16)),
    ];
    let all = format!("{{{id}, {key}, {nonce}}}");
    assert_eq!(from(&all), Some(end));
    assert_eq!(from(&format!("{{{nonce}, {key}, {id}}}")), Some(end));
    let other = identity(8).public().to_string();
    for (part, wrong) in [
        (&id, String::new()),
        (&key, String::new()),
        (&nonce, String::new()),
        (&id, "\"id\": 7".into()),
        // The second half is of another key.
        (&id, format!("\"id\": \"{:016x}\"", who.id + 1)),
        (&key, format!("\"key\": \"{other}\"")),
        (&key, format!("\"key\": \"{}\"", &other[2..])),
        (&nonce, format!("\"nonce\": \"{}\"", "fe".repeat(15))),
        (&nonce, format!("\"nonce\": \"{}\"", "fe".repeat(17))),
    ] {
        let parts = [&id, &key, &nonce].map(|it| if it == part { &wrong } else { it });
        let there = parts.into_iter().filter(|part| !part.is_empty());
        let there: Vec<&str> = there.map(String::as_str).collect();
        assert_eq!(from(&format!("{{{}}}", there.join(", "))), None, "{wrong}");
    }
}

#[test]
fn a_proof_is_read_as_it_is_written_and_left_out_if_it_is_no_signature() {
    let signed = identity(7).sign(Kind::Request, "a".into(), Timestamp::Integer(1));
    let life = Life {
        tip: Some(Tip {
            length: 5,
            hash: Hash::new([0xab; 32]),
        }),
        voices: Vec::new(),
        proof: Some(signed.signature),
    };
    let mut payload = Vec::new();
    life.write(&mut payload);
    let payload = String::from_utf8(payload).expect("ASCII");
    assert_eq!(said(&line("ping", &payload)), Message::Ping(life.clone()));
    assert_eq!(said(&line("pong", &payload)), Message::Pong(life.clone()));
    let without = Life {
        proof: None,
        ..life
    };
    for wrong in [
        payload.replace("\"proof\": \"", "\"proof\": \"00"),
        payload.replace("\"proof\": \"", "\"proof\": 5, \"x\": \""),
    ] {
        assert_eq!(said(&line("ping", &wrong)), Message::Ping(without.clone()));
    }
}
