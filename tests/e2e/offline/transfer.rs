//! A chain as text, out of a data directory and into one.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use blx::ledger::{Kind, Timestamp, Uid};
use blx::offline::output;
use blx::shell::disk::SystemDisk;
use serde_json::Value;

use super::super::harness::runner;
use super::*;

#[test]
fn a_desktops_chain_comes_out_as_it_went_in() {
    let chain = desktop_chain();
    let line = name(&vectors("chain_response.line")).to_owned();
    let (first, second) = (folder(), folder());
    let said = done(&["import", &line], first.path(), b"");
    assert!(said.contains(": 200 blocks, tip 00e73a3d"), "{said}");
    assert_eq!(names(first.path()), ["chain.blx", "lock"]);
    assert_eq!(mode(&first.path().join("chain.blx")), 0o600);

    let exported = done(&["export"], first.path(), b"");
    assert_eq!(exported, format!("{chain}\n"));
    assert_eq!(done(&["export", "-"], first.path(), b""), exported);
    let file = first.path().join("chain.json");
    done(&["export", name(&file)], first.path(), b"");
    assert_eq!(fs::read_to_string(&file).expect("reads"), exported);

    done(&["import", "-"], second.path(), exported.as_bytes());
    let stored = |directory: &Path| fs::read(directory.join("chain.blx")).expect("reads");
    assert_eq!(stored(first.path()), stored(second.path()));
    assert_eq!(node(first.path()).status().blocks, 200);
}

#[test]
fn odd_names_and_times_come_out_as_they_went_in() {
    let lone = Uid::from_wtf8(vec![0xed, 0xa0, 0x80, b'x', 0xed, 0xbf, 0xbf]);
    let uids = [
        lone,
        "größe 📷 \u{10ffff}".into(),
        "\"\\/\n\t\u{0}\u{7f}\u{2028}".into(),
        "".into(),
    ];
    let times = [
        Timestamp::Integer(i128::MAX),
        Timestamp::Integer(-1),
        Timestamp::Float(1e300),
        Timestamp::Float(-0.0),
    ];
    let steps = uids.into_iter().zip(times);
    let all: Vec<_> = steps
        .map(|(uid, time)| (Kind::Request, uid, time))
        .collect();
    let release: Vec<_> = all
        .iter()
        .map(|(_, uid, time)| (Kind::Release, uid.clone(), *time))
        .collect();
    let chain = chain_of([all, vec![], release]);
    assert!(
        chain.contains(r"\ud800x\udfff") && chain.contains("e+300"),
        "{chain}"
    );
    let directory = folder();
    let import = ["import", "--difficulty", "1", "-"];
    done(&import, directory.path(), chain.as_bytes());
    assert_eq!(
        done(&["export"], directory.path(), b""),
        format!("{chain}\n")
    );
    // The difficulty is the directory's own from now on.
    let file = directory.path().join("chain.blx");
    assert_eq!(verify(&[name(&file)], b"").0, 0);
}

#[test]
fn an_invalid_chain_gets_verifys_sentence_and_leaves_nothing() {
    let mut invalid = 0;
    for (case, chain) in cases() {
        let case_name = &case["name"];
        let directory = folder();
        let file = directory.path().join("in.json");
        fs::write(&file, chain).expect("writes");
        let verdict = verify(&[name(&file)], b"").1;
        let data = directory.path().join("data");
        let (code, out, err) = blx(&["import", name(&file)], &data, b"");
        if case["this_node_accepts"] == true {
            assert_eq!((code, err.as_str()), (0, ""), "{case_name}");
            let exported = done(&["export"], &data, b"");
            let again = directory.path().join("again");
            done(&["import", "-"], &again, exported.as_bytes());
            assert_eq!(done(&["export"], &again, b""), exported, "{case_name}");
        } else {
            invalid += 1;
            assert_eq!((code, out, err.as_str()), (1, verdict, ""), "{case_name}");
            assert_eq!(names(&data), ["lock"], "{case_name}");
        }
    }
    assert_eq!(invalid, 15);
    let directory = folder();
    for text in ["hello", "[", &desktop_chain()[..9_000]] {
        let fault = refused(&["import", "-"], directory.path(), text.as_bytes());
        assert!(fault.contains("this is no chain"), "{fault}");
        assert_eq!(names(directory.path()), ["lock"]);
    }
    let (code, out, _) = blx(&["import", "-"], directory.path(), b"[]");
    assert!(
        code == 1 && out.starts_with("invalid at block 0: "),
        "{out}"
    );
    assert_eq!(names(directory.path()), ["lock"]);
}

#[test]
fn a_file_that_appears_in_the_meantime_is_kept() {
    let directory = folder();
    let path = directory.path().join("file");
    let mut file = output::Output::create(&path, 0o600).expect("begins");
    file.write_all(b"ours").expect("writes");
    fs::write(&path, "theirs").expect("writes");
    let fault = file.commit().expect_err("is there");
    assert!(fault.contains("is there already"), "{fault}");
    assert_eq!(fs::read(&path).expect("reads"), b"theirs");
    assert_eq!(names(directory.path()), ["file"]);
}

#[test]
fn what_cannot_be_done_is_said_in_one_sentence() {
    let directory = folder();
    let path = directory.path();
    for arguments in [&["export"][..], &["backup", "/tmp/never"]] {
        let fault = refused(arguments, &path.join("none"), b"");
        assert!(
            fault.contains("no chain.blx in ") && fault.contains("--data-dir"),
            "{fault}"
        );
        assert!(!path.join("none").exists());
    }
    refused(&["import", "/no/such/file"], path, b"");
    refused(&["restore", "/no/such/file"], path, b"");
    let fault = refused(&["restore", name(&vectors("blocks.json"))], path, b"");
    assert!(fault.contains("is no backup"), "{fault}");
    assert!(names(path).is_empty(), "not even a lock");
    let held = SystemDisk::open(path).expect("locks");
    let fault = refused(&["import", "-"], path, desktop_chain().as_bytes());
    assert!(fault.contains("in use by another blx"), "{fault}");
    drop(held);
    let used = used();
    refused(&["export", "/no/such/folder/file"], used.path(), b"");
    refused(&["backup", "/no/such/folder/file"], used.path(), b"");
    let chain = used.path().join("chain.blx");
    let mut damaged = fs::read(&chain).expect("reads");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&chain, &damaged).expect("writes");
    let fault = refused(&["export"], used.path(), b"");
    assert!(fault.contains("is damaged behind block 1"), "{fault}");
    let file = used.path().join("backup");
    let (code, out, err) = blx(&["backup", name(&file)], used.path(), b"");
    assert!(code == 0 && out.contains(": 2 blocks"), "{out}");
    assert!(
        err.starts_with("blx: note: ") && err.contains("behind block 1"),
        "{err}"
    );
    done(&["restore", name(&file)], &path.join("new"), b"");
}

/// Where a file may have 4 KiB and no more.
#[test]
fn a_full_disk_leaves_nothing_half() {
    let (source, target) = (folder(), folder());
    let path = source.path();
    let json = name(&vectors("chain_response.line")).to_owned();
    done(&["import", &json], path, b"");
    let saved = path.join("saved");
    done(&["backup", name(&saved)], path, b"");
    let out = target.path().join("out");
    let data = target.path().join("data");
    for (command, directory, file) in [
        ("export", path, name(&out)),
        ("backup", path, name(&out)),
        ("import", &data, &json),
        ("restore", &data, name(&saved)),
    ] {
        let blx = run::on(&[command, file], directory);
        let (code, _, fault) = run::run(&mut run::behind(&run::full_disk(8), &blx), b"");
        assert_eq!(code, 1, "{command}: {fault}");
        assert!(fault.contains("make room"), "{command}: {fault}");
        let left = names(target.path());
        assert!(left.is_empty() || left == ["data"], "{command}: {left:?}");
        if left == ["data"] {
            assert_eq!(names(&data), ["lock"], "{command}");
        }
    }
}

#[test]
fn a_killed_import_leaves_no_chain() {
    let chain = long_chain(600);
    let directory = folder();
    let path = directory.path();
    let import = ["import", "--difficulty", "1", "-"];
    let mut child = run::start(&mut run::on(&import, path));
    let mut stdin = child.stdin.take().expect("piped");
    stdin
        .write_all(&chain.as_bytes()[..chain.len() - 9])
        .expect("reads");
    let staged = path.join("candidate.blx");
    until(|| {
        let size = fs::metadata(&staged).map_or(0, |file| file.len());
        (size >= 60_000).then_some(()).ok_or("it never grew")
    });
    child.kill().expect("runs");
    child.wait().expect("ends");
    drop(stdin);
    assert_eq!(names(path), ["candidate.blx", "lock"]);
    let fault = refused(&["export"], path, b"");
    assert!(fault.contains("no chain.blx"), "{fault}");
    let other = folder();
    for entry in names(path) {
        fs::copy(path.join(&entry), other.path().join(&entry)).expect("copies");
    }
    node(other.path()).finish();
    let own: Value = serde_json::from_str(&done(&["export"], other.path(), b"")).expect("JSON");
    assert_eq!(own.as_array().expect("a chain").len(), 1);
    done(&import, path, chain.as_bytes());
    assert_eq!(done(&["export"], path, b""), format!("{chain}\n"));
    assert_eq!(names(path), ["chain.blx", "lock"]);
}

#[test]
fn a_long_check_says_how_far_it_is() {
    let chain = desktop_chain();
    let directory = folder();
    for mut command in [
        run::command(&["verify", "-"]),
        run::on(&["import", "-"], directory.path()),
    ] {
        let mut child = run::start(&mut command);
        let begun = Instant::now();
        let mut stdin = child.stdin.take().expect("piped");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (send, said) = mpsc::channel();
        let reader = thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                send.send(line).expect("somebody listens");
            }
        });
        // So slowly that it takes half a minute, until the first line is there.
        let mut pieces = chain.as_bytes().chunks(chain.len() / 3_000);
        let mut err = String::new();
        while err.is_empty()
            && let Some(piece) = pieces.next()
        {
            stdin.write_all(piece).expect("reads");
            if let Ok(line) = said.recv_timeout(Duration::from_millis(10)) {
                err = line + "\n";
            }
        }
        for piece in pieces {
            stdin.write_all(piece).expect("reads");
        }
        drop(stdin);
        let (code, _, _) = run::ended(child);
        assert_eq!(code, 0);
        reader.join().expect("it reads to the end");
        err.extend(said.iter().map(|line| line + "\n"));
        // One after a second, and another one every five seconds.
        let most = 1 + begun.elapsed().as_secs() as usize / 5;
        assert!(
            !err.is_empty() && runner::remarks(&err).is_empty() && err.lines().count() <= most,
            "{err}"
        );
    }
}
