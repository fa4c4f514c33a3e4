//! `blx events`: what is kept of a node's past, read without a node and beside one.

use super::*;

/// What stands behind the time of each line; the version is V.
pub fn told(text: &str) -> Vec<String> {
    let version = env!("CARGO_PKG_VERSION");
    let event = |line: &str| {
        line.split_once("Z ")
            .expect("a time")
            .1
            .replace(version, "V")
    };
    text.lines().map(event).collect()
}

#[test]
fn starts_and_stops_are_told_in_their_order() {
    let directory = used();
    let path = directory.path();
    let lines = done(&["events"], path, b"");
    let expected = ["start blx V, block count 1", "stop, block count 4"];
    assert_eq!(told(&lines), expected);
    let file = fs::read_to_string(path.join("events.blx")).expect("text");
    assert_eq!(file, lines, "the file can be read without blx");
    assert_eq!(mode(&path.join("events.blx")), 0o600);
    node(path).finish();
    assert_eq!(told(&done(&["events"], path, b"")).len(), 4);
}

#[test]
fn what_is_no_event_is_passed_over() {
    let directory = used();
    let path = directory.path();
    let lines = done(&["events"], path, b"");
    let file = path.join("events.blx");
    for garbage in [
        &b"torn"[..],
        b"\0\0\0\n",
        b"\xff\n",
        b"2026-11-25T11:52:03Z \x1b[2J\n",
    ] {
        let damaged = [lines.as_bytes(), garbage].concat();
        fs::write(&file, damaged).expect("writes");
        assert_eq!(done(&["events"], path, b""), lines);
        // Nor does a node go on behind it.
        node(path).finish();
        let text = fs::read_to_string(&file).expect("text");
        let own = text
            .strip_prefix(&lines)
            .expect("the lines that were there");
        assert_eq!(
            told(own),
            ["start blx V, block count 4", "stop, block count 4"]
        );
    }
}

#[test]
fn a_recovery_is_told() {
    let directory = used();
    let path = directory.path();
    let chain = path.join("chain.blx");
    let whole = fs::read(&chain).expect("reads");
    fs::write(&chain, &whole[..whole.len() - 5]).expect("writes");
    node(path).finish();
    let lines = done(&["events"], path, b"");
    let told = told(&lines);
    assert_eq!(told[2], "start blx V, block count 3");
    let recovery = "store: the chain file ended in an unfinished record: ";
    assert!(told[3].starts_with(recovery), "{lines}");
    assert!(
        told[3].ends_with("nothing that was confirmed is lost."),
        "{lines}"
    );
}

#[test]
fn where_nothing_was_kept_that_is_said() {
    let directory = folder();
    let fault = refused(&["events"], directory.path(), b"");
    assert!(fault.contains("there is no events.blx in "), "{fault}");
    fs::write(directory.path().join("events.blx"), "").expect("writes");
    assert_eq!(done(&["events"], directory.path(), b""), "");
}
