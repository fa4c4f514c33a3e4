//! What the corpora begin with, made of `tests/vectors` and of chance.

use std::collections::BTreeMap;

use super::blocks::Ours;
use super::random::Random;

fn vector(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    std::fs::read_to_string(format!("{path}/{name}")).expect("a vector")
}

/// The lines that two desktop nodes said.
fn session() -> Vec<String> {
    let said = vector("session.jsonl");
    let lines = said.lines().map(|said| {
        let said: serde_json::Value = serde_json::from_str(said).expect("JSON");
        said["line"].as_str().expect("a line").to_owned()
    });
    lines.collect()
}

/// The first blocks of the chain that was told, as an array.
fn chain(blocks: usize) -> String {
    let told = vector("blocks.json");
    let told: Vec<serde_json::Value> = serde_json::from_str(&told).expect("JSON");
    let texts = told.iter().take(blocks);
    let texts: Vec<&str> = texts
        .map(|block| block["wire"].as_str().expect("a text"))
        .collect();
    format!("[{}]", texts.join(", "))
}

fn noise(random: &mut Random, length: usize) -> Vec<u8> {
    (0..length).map(|_| random.next() as u8).collect()
}

/// Each with the bytes in front that the body takes first.
fn behind(first: &[u8], texts: &[&str]) -> Vec<Vec<u8>> {
    texts
        .iter()
        .map(|text| [first, text.as_bytes()].concat())
        .collect()
}

/// A sign of life with a signature of the least numbers that one has.
const PROOF: &str = concat!(
    r#"{"length": 7, "tip": "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "proof": ""#,
    "3006020101020101",
    r#""}"#
);

const TIP: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn wire() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let (lines, chain) = (session(), chain(3));
    let told =
        format!(r#"{{"type": "chain_response", "payload": {{"chain": {chain}, "length": 3}}}}"#);
    let mut frames = vec![[b"\x05\x00", lines.join("\n").as_bytes(), b"\r\n\n"].concat()];
    frames.push(format!("\x07\x01{told}\n{}\n{told}\n", lines[0]).into_bytes());
    frames.push(
        b"\x09\x00{\"payload\": {\"chain\": [1, [2], \"]\", {}], \"x\"]\n\n[]\r\n{\n".to_vec(),
    );
    let mut message: Vec<Vec<u8>> = lines.iter().map(|line| line.clone().into_bytes()).collect();
    message.sort_by_key(Vec::len);
    message.dedup_by_key(|line| line.len());
    message.truncate(16);
    let voices = r#"[{"id": "00000000000000ff", "age": 3, "count": 4, "healthy": true, "desktops": ["10.0.0.9:6000/0102030405060708", "[::1]:7"]}]"#;
    let who = Ours::new(255).says();
    let greeting = format!(
        r#"{{{who}, "length": 7, "tip": "{TIP}", "pool": ["{}"], "voices": {voices}}}"#,
        &TIP[..32]
    );
    let locator = format!(r#"{{"length": 9, "locator": ["{TIP}", "{TIP}"]}}"#);
    let mut extension = Vec::new();
    for kind in 0..8 {
        extension.extend(behind(
            &[kind],
            &[
                &greeting,
                PROOF,
                &locator,
                "{}",
                r#"{"peers": ["10.0.0.9:6000", "[::1]:1"]}"#,
            ],
        ));
    }
    BTreeMap::from([
        ("frames", frames),
        ("message", message),
        ("extension", extension),
    ])
}

fn texts() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let control = [
        r#"{"ask": {"menu": true}, "utf8": true}"#,
        r#"{"ask": {"request": ["a", "b\u0000"]}, "json": true}"#,
        r#"{"ask": {"release": []}}"#,
        r#"{"ask": "reserved"}"#,
        r#"{"ask": {"connect": ["pi", 6000]}}"#,
        r#"{"ask": "status", "json": true}"#,
        r#"{"out": {"a": 1}}"#,
        r#"{"exit": 3}"#,
    ];
    let address = [
        "6000",
        "pi:6000",
        "[fe80::1%eth0]:1",
        "10.0.0.1:65535",
        "::1",
        "[::1]",
        "0",
        " x:1",
    ];
    let words = [
        "6000 --connect pi:6000 --headless",
        "--data-dir=/x --console unix:/run/x --difficulty 4",
        "verify - --difficulty 2",
        "import --port 6001 file",
        "backup x",
        "ctl --json request laptop-001",
        "ctl connect pi 6000",
        "resolve-host pi 6000",
        "--help",
        "--orphans=drop --console /dev/ttyS0:9600",
    ];
    let words = words.map(|words| words.replace(' ', "\0"));
    let words = words.each_ref().map(String::as_str);
    let chain = chain(4);
    let response = format!(r#"{{"payload": {{"length": 4, "chain": {chain}}}}}"#);
    let mut import = behind(&[0], &[&chain, &response, "[]", "{}"]);
    import.extend(behind(&[1], &[&chain, &response]));
    let typed = [
        "1\nlaptop\n3\n2\nlaptop\n4\n9\n",
        "5\na,b, c\r\n3\r11\n7\n\n",
        "6\n10.0.0.3\n6000\n8\n10\n",
        "1\n\u{61c}\u{1b}[2J\\u0041\n3\n\x03\x15x\x7f\x08\t",
        "{\"ask\": {\"request\": [\"a\"]}, \"json\": true}\n",
        "{\"ask\": \"status\"}\n",
        "{\"ask\": {\"menu\": true}}\n1\nx\n",
    ];
    let mut typing = Vec::new();
    for kind in 0..4 {
        typing.extend(behind(&[kind, 3], &typed));
    }
    BTreeMap::from([
        ("control", behind(&[], &control)),
        ("address", behind(&[], &address)),
        ("command_line", behind(&[], &words)),
        ("import", import),
        ("typing", typing),
    ])
}

/// Scripts by chance, and files as they are written.
fn scripts() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let mut random = Random::new(15);
    let mut some = |count: usize, length: usize| -> Vec<Vec<u8>> {
        (0..count)
            .map(|at| noise(&mut random, length * (at + 1) / count))
            .collect()
    };
    let (damage, checksums, mut node) = (some(12, 60), some(12, 200), some(24, 900));
    let mut files = some(7, 120);
    for (which, file) in files.iter_mut().enumerate() {
        file[0] = which as u8;
    }
    for (at, body) in super::records::bodies(&super::damage::good().chain)
        .into_iter()
        .enumerate()
    {
        if at % 5 == 0 {
            files.push([&[6][..], &body].concat());
        }
    }
    // Two callers greet, one tells its chain again and again while it grows.
    let mut story = vec![2, 3, 2, 4, 12, 0, 1, 9, 0, 0, 12, 1, 1, 8, 0, 0];
    for item in 0..12 {
        story.extend([
            12, 0, 12, 1, item, item, 0, 0, 0, 100, 12, 0, 5, 0, 0, 1, 40, 5, 2, 6, 0, 2, b'3',
            b'\n', 0,
        ]);
    }
    node.push(story);
    BTreeMap::from([
        ("damage", damage),
        ("checksums", checksums),
        ("node", node),
        ("files", files),
    ])
}

/// The corpus that each body begins with.
pub fn corpora() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let mut all = wire();
    all.extend(texts());
    all.extend(scripts());
    all
}
