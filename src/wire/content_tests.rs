use super::*;
use crate::ledger::{Identity, Timestamp};
use crate::wire::Message;
use crate::wire::message::tests::{line, said};

pub(in crate::wire) fn transaction_text() -> String {
    let identity = Identity::from_secret(&[1; 32]).expect("a key");
    let transaction = identity.sign(Kind::Request, "cam".into(), Timestamp::Float(1.5));
    let mut out = Vec::new();
    text::transaction(&mut out, &transaction);
    String::from_utf8(out).expect("ASCII")
}

pub(in crate::wire) fn block_text() -> String {
    format!(
        "{{\"index\": 1, \"prev_hash\": \"{0}\", \"transactions\": [{1}], \"nonce\": 2, \
         \"timestamp\": 3.5, \"hash\": \"{0}\"}}",
        "ab".repeat(32),
        transaction_text()
    )
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
    assert!(read_block(block_text().as_bytes()).is_ok());
    for key in KEYS {
        for value in [None, Some("null"), Some("true"), Some("{}"), Some("[[]]")] {
            let text = with(key, value);
            let Err(BlockError::Shape(reason)) = read_block(text.as_bytes()) else {
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
            read_block(with(number, Some("\"1\"")).as_bytes()),
            Err(BlockError::Shape(_))
        ));
    }
    for string in ["prev_hash", "hash", "requester", "uid", "signature"] {
        assert!(matches!(
            read_block(with(string, Some("1")).as_bytes()),
            Err(BlockError::Shape(_))
        ));
    }
    for text in ["5", "[]", "\"x\"", "null"] {
        assert!(
            matches!(read_block(text.as_bytes()), Err(BlockError::Shape(_))),
            "{text}"
        );
    }
    for text in ["", "{", "{\"index\" 1}", "[{]}", "1:2"] {
        assert_eq!(
            read_block(text.as_bytes()),
            Err(BlockError::NotJson),
            "{text}"
        );
    }
    assert!(matches!(read_block(b"\"\xc3\""), Err(BlockError::Shape(_))));
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
        let Err(BlockError::Rule(invalid)) = read_block(text.as_bytes()) else {
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
    let newer = |text: &str| match read_block(text.as_bytes()) {
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
        assert_eq!(
            read_block(text.as_bytes()),
            read_block(block_text().as_bytes())
        );
        // Only in a transaction does it mean anything.
        let text = with("index", Some(&format!("1, \"{key}\": 10")));
        assert_eq!(
            read_block(text.as_bytes()),
            read_block(block_text().as_bytes())
        );
    }
    for other in ["5", "0.0", "\"0\"", "null"] {
        assert!(!newer(&with("type", Some(other))), "{other}");
    }
    assert!(!newer(&with("signature", Some("\"coinbase\""))));
}

#[test]
fn credits_are_found_whatever_else_is_wrong() {
    let newer = |text: &str| match read_block(text.as_bytes()) {
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
    let request = "{\"type\": 1, \"uid\": \"cam\", \"amount\": 10}";
    assert_eq!(
        said(&line("new_transaction", request)),
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
        read_block(with("transactions", Some(&list)).as_bytes()),
        Err(BlockError::Shape(
            "of a block, transactions[1].requester is missing".into()
        ))
    );
}

#[test]
fn a_wrong_type_outweighs_an_impossible_value() {
    let text = with("index", Some("-1")).replace("\"nonce\": 2", "\"nonce\": null");
    assert!(matches!(
        read_block(text.as_bytes()),
        Err(BlockError::Shape(_))
    ));
}

#[test]
fn whole_numbers_are_read_as_desktop_nodes_read_them() {
    let index = |value| read_block(with("index", Some(value)).as_bytes()).map(|block| block.index);
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
    assert!(read_block(fits.as_bytes()).is_ok());
    let too_long = with("uid", Some(&format!("\"{wide}{narrow}x\"")));
    let Err(BlockError::Rule(invalid)) = read_block(too_long.as_bytes()) else {
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
