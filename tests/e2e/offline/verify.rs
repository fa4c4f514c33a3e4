//! `blx verify`: the verdicts that PROTOCOL.md's section 3 asks for, from the real binary.

use serde_json::Value;

use super::*;

#[test]
fn every_altered_chain_gets_its_verdict() {
    for (case, chain) in cases() {
        let name = case["name"].as_str().expect("a name");
        let (code, out, err) = verify(&["-"], chain.as_bytes());
        let accepts = case["this_node_accepts"].as_bool().expect("a verdict");
        assert_eq!(code, i32::from(!accepts), "{name}: {out}{err}");
        if accepts {
            assert!(out.starts_with("valid: 30 blocks, tip 00"), "{name}: {out}");
            let void = name == "same transaction twice in a block, re-mined";
            let says = out.ends_with(", 1 transaction is void\n");
            assert_eq!(says, void, "{name}: {out}");
        } else {
            let block = match name {
                "first block missing" | "genesis altered" => 0,
                _ => 5,
            };
            assert!(
                out.starts_with(&format!("invalid at block {block}: ")),
                "{name}: {out}"
            );
        }
    }
}

#[test]
fn a_chain_response_and_an_array_are_both_chains() {
    let state: Value =
        serde_json::from_slice(&fs::read(vectors("chain_state.json")).expect("reads"))
            .expect("JSON");
    let expected = format!(
        "valid: {} blocks, tip {}, reserved {}, available {}\n",
        state["length"],
        state["tip"].as_str().expect("a hash"),
        state["reserved"].as_array().expect("a list").len(),
        state["available"].as_array().expect("a list").len()
    );
    let file = vectors("chain_response.line");
    assert_eq!(
        verify(&[file.to_str().expect("UTF-8")], b""),
        (0, expected.clone(), String::new())
    );
    let chain = desktop_chain();
    let spread = chain.replace("}, {\"index\"", "},\n\n  {\"index\"");
    assert_eq!(
        verify(&["-"], spread.as_bytes()),
        (0, expected, String::new())
    );
    let (code, out, _) = verify(&["--difficulty", "3", "-"], chain.as_bytes());
    assert_eq!(code, 1);
    assert!(out.starts_with("invalid at block 1: "), "{out}");
}

#[test]
fn a_chain_file_is_checked_to_its_last_byte() {
    let dir = used();
    let path = dir.path().join("chain.blx");
    let name = path.to_str().expect("UTF-8");
    let (code, out, err) = verify(&[name], b"");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.starts_with("valid: 4 blocks, tip 00") && out.ends_with("reserved 3, available 0\n")
    );
    let whole = fs::read(&path).expect("reads");
    assert_eq!(verify(&["-"], &whole), (code, out.clone(), err));

    let mut torn = whole.clone();
    torn.truncate(whole.len() - 1);
    let (code, out, err) = verify(&["-"], &torn);
    assert_eq!(code, 0);
    assert!(
        out.starts_with("valid: 3 blocks") && err.contains("unfinished"),
        "{out}{err}"
    );

    for at in [12, 40, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        let (code, out, _) = verify(&["-"], &damaged);
        assert_eq!(code, 1, "byte {at}: {out}");
        assert!(
            out.starts_with("invalid at block ") && out.contains("damaged"),
            "byte {at}: {out}"
        );
    }
    assert_eq!(
        fs::read(&path).expect("reads"),
        whole,
        "nothing was written"
    );
}

#[test]
fn what_is_no_chain_is_said_in_one_sentence() {
    for (arguments, input) in [
        (&["-"][..], &b"hello"[..]),
        (&["-"], b"{\"type\": \"ping\", \"payload\": {}}"),
        (&["-"], b""),
        (&["/no/such/file"], b""),
        (&["/"], b""),
    ] {
        let (code, out, err) = verify(arguments, input);
        assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}");
        assert!(
            err.starts_with("blx: ") && err.lines().count() == 1,
            "{err}"
        );
    }
    let (code, out, _) = verify(&["-"], b"[]");
    assert_eq!(code, 1);
    assert!(out.starts_with("invalid at block 0: "), "{out}");
    assert_eq!(verify(&[], b"").0, 2);
}

#[test]
fn a_chain_with_credits_is_told_from_an_invalid_one() {
    let chain = desktop_chain();
    let grant = "{\"requester\": \"\", \"uid\": \"credits\", \"type\": 0, \"timestamp\": 1.5, \
                 \"amount\": 100, \"signature\": \"GENESIS\"}";
    let granted = chain.replacen("[]", &format!("[{grant}]"), 1);
    // Taken in a window of release 0.0.3, on top of a chain that it adopted.
    let taken = chain.replacen("\"type\": 1", "\"amount\": 10, \"type\": 1", 1);
    for (text, block) in [(granted, 0), (taken, 1)] {
        let expected = format!(
            "not followed: block {block} shows that it is of desktop release 0.0.2 or newer, \
             whose credits this node and release 0.0.1 cannot follow\n"
        );
        let verdict = verify(&["-"], text.as_bytes());
        assert_eq!(verdict, (1, expected.clone(), String::new()));
        let directory = tempfile::tempdir().expect("a folder");
        let file = directory.path().join("chain");
        fs::write(&file, &text).expect("writes");
        let data = directory.path().join("data");
        let imported = blx(&["import", name(&file)], &data, b"");
        assert_eq!((imported.0, imported.1), (1, expected));
        assert!(!data.join("chain.blx").exists());
    }
}
