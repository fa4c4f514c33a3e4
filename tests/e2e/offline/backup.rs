//! A data directory in one file, and back.

use std::fs;

use blx::offline::backup;

use super::*;

#[test]
fn nothing_is_overwritten() {
    let directory = used();
    let path = directory.path();
    let (chain, key) = (path.join("chain.blx"), path.join("identity.blx"));
    let before = (
        fs::read(&chain).expect("reads"),
        fs::read(&key).expect("reads"),
    );
    let taken = path.join("taken");
    fs::write(&taken, "precious").expect("writes");
    for command in ["export", "backup"] {
        let fault = refused(&[command, name(&taken)], path, b"");
        assert!(fault.contains("taken is there already") && fault.contains("another name"));
    }
    std::os::unix::fs::symlink("nowhere", path.join("link")).expect("a link");
    refused(&["backup", name(&path.join("link"))], path, b"");
    assert_eq!(fs::read(&taken).expect("reads"), b"precious");
    let fault = refused(&["import", "-"], path, desktop_chain().as_bytes());
    assert!(fault.contains("already holds chain.blx,") && fault.contains("--data-dir"));

    let file = path.join("backup");
    done(&["backup", name(&file)], path, b"");
    let other = used();
    for (target, held) in [
        (path, "chain.blx"),
        (other.path(), "chain.blx and identity.blx"),
    ] {
        let fault = refused(&["restore", name(&file)], target, b"");
        assert!(fault.contains(&format!("already holds {held},")), "{fault}");
    }
    fs::remove_file(other.path().join("chain.blx")).expect("was there");
    let fault = refused(&["restore", name(&file)], other.path(), b"");
    assert!(fault.contains("already holds identity.blx,"), "{fault}");
    let after = (
        fs::read(&chain).expect("reads"),
        fs::read(&key).expect("reads"),
    );
    assert_eq!(before, after);
    // Its own key is what an interrupted restore leaves.
    fs::remove_file(&chain).expect("was there");
    done(&["restore", name(&file)], path, b"");
    assert_eq!(fs::read(&chain).expect("reads"), before.0);
}

#[test]
fn a_running_node_is_exported_and_saved() {
    let directory = folder();
    let path = directory.path();
    let mut node = node(path);
    let mut saved = Vec::new();
    for step in 0..120 {
        node.enter(&["1", &format!("item-{step}")]);
        if step == 0 {
            node.expect("requested");
        }
        if step % 8 == 0 {
            let file = path.join(format!("backup-{step}"));
            let said = done(&["backup", name(&file)], path, b"");
            assert_eq!(mode(&file), 0o600);
            saved.push((file, said, done(&["export"], path, b"")));
        }
    }
    node.finish();
    let whole = done(&["export"], path, b"");
    let prefix = |part: &str, of: &str| of.starts_with(part.trim_end_matches("]\n"));
    let key = fs::read(path.join("identity.blx")).expect("reads");
    let mut lengths = Vec::new();
    for (file, said, exported) in saved {
        assert!(prefix(&exported, &whole));
        let restored = folder();
        let back = done(&["restore", name(&file)], restored.path(), b"");
        let facts = |text: &str| text.split_once(": ").expect("facts").1.to_owned();
        assert_eq!(facts(&back), facts(&said));
        let chain = done(&["export"], restored.path(), b"");
        assert!(prefix(&chain, &exported), "the export came later");
        lengths.push(chain.len());
        for kept in ["chain.blx", "identity.blx"] {
            assert_eq!(mode(&restored.path().join(kept)), 0o600);
        }
        assert_eq!(
            fs::read(restored.path().join("identity.blx")).expect("reads"),
            key
        );
    }
    lengths.dedup();
    assert!(lengths.len() > 2, "it grew meanwhile: {lengths:?}");
    assert!(whole.len() > *lengths.last().expect("some"));
}

#[test]
fn a_restored_node_is_the_same_node() {
    let old = used();
    let new = folder();
    let file = new.path().join("backup");
    let said = done(&["backup", name(&file)], old.path(), b"");
    let target = new.path().join("card");
    done(&["restore", name(&file)], &target, b"");
    assert_eq!(names(&target), ["chain.blx", "identity.blx", "lock"]);
    let report = |directory: &Path| {
        let status = node(directory).status();
        (status.key, status.tip)
    };
    assert_eq!(report(&target), report(old.path()));
    let key = said.trim_end().rsplit(' ').next().expect("a key");
    assert!(report(&target).0.ends_with(key));
    // A chain that no node has run on has no key, and is saved all the same.
    let line = name(&vectors("chain_response.line")).to_owned();
    let (imported, keyless) = (new.path().join("imported"), new.path().join("keyless"));
    done(&["import", &line], &imported, b"");
    let said = done(&["backup", name(&keyless)], &imported, b"");
    assert!(said.ends_with(", no key\n"), "{said}");
    let target = new.path().join("second");
    done(&["restore", name(&keyless)], &target, b"");
    assert_eq!(names(&target), ["chain.blx", "lock"]);
}

#[test]
fn a_damaged_backup_is_refused_wherever_the_damage_is() {
    let directory = used();
    let file = directory.path().join("backup");
    done(&["backup", name(&file)], directory.path(), b"");
    let whole = fs::read(&file).expect("reads");
    let target = directory.path().join("card");
    let damaged = directory.path().join("damaged");
    let refuses = |bytes: &[u8], what: &str| {
        fs::write(&damaged, bytes).expect("writes");
        let fault = backup::restore(&target, &damaged).expect_err(what);
        assert!(
            fault.contains(": use another backup") || fault.contains(": give "),
            "{fault}"
        );
        assert!(!target.exists(), "{what}");
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        refuses(&bytes, &format!("byte {at} flipped"));
        refuses(&whole[..at], &format!("cut at byte {at}"));
    }
    refuses(&[&whole[..], b"\n"].concat(), "something behind it");
    fs::write(&damaged, &whole[1..]).expect("writes");
    refused(&["restore", name(&damaged)], &target, b"");
    done(&["restore", name(&file)], &target, b"");
}

/// Changed by somebody who made the check fit: sizes are not followed, and both files check
/// themselves.
#[test]
fn a_backup_that_only_seems_sound_puts_nothing_in_place() {
    let directory = used();
    let file = directory.path().join("backup");
    done(&["backup", name(&file)], directory.path(), b"");
    let whole = fs::read(&file).expect("reads");
    let forged = directory.path().join("forged");
    let restored = |at: usize, bits: u8| {
        let mut bytes = whole.clone();
        bytes[at] ^= bits;
        let end = bytes.len() - 4;
        let check = crc32fast::hash(&bytes[..end]);
        bytes[end..].copy_from_slice(&check.to_le_bytes());
        fs::write(&forged, bytes).expect("writes");
        let target = folder();
        let fault = backup::restore(target.path(), &forged).expect_err("is refused");
        let left = names(target.path());
        assert!(left.is_empty() || left == ["lock"], "byte {at}: {left:?}");
        fault
    };
    for at in 0..whole.len() - 4 {
        let fault = restored(at, 1);
        let told = match at {
            0..8 => "is no backup",
            8..10 => "made by a newer blx: update blx",
            10..20 => "is damaged or cut off: use another backup",
            _ => "is damaged inside what it saved: use another backup",
        };
        assert!(fault.contains(told), "byte {at}: {fault}");
    }
    let older = restored(8, 2 ^ 1);
    assert!(older.contains("older blx") && older.contains("make another"));
}

#[test]
fn a_key_that_others_may_read_is_neither_saved_nor_taken_for_restored() {
    let directory = used();
    let path = directory.path();
    let (chain, key) = (path.join("chain.blx"), path.join("identity.blx"));
    let file = path.join("backup");
    let open = |path: &Path| {
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(path, mode).expect("its owner may");
    };
    let mends = |path: &Path| format!("others may read it: chmod 600 {}\n", name(path));
    let before = done(&["export"], path, b"");
    done(&["backup", name(&file)], path, b"");
    open(&key);
    let fault = refused(&["backup", name(&path.join("other"))], path, b"");
    assert!(fault.ends_with(&mends(&key)), "{fault}");
    assert!(!path.join("other").exists());
    // Whoever only reads the chain has nothing to do with it.
    assert_eq!(done(&["export"], path, b""), before);
    fs::remove_file(&chain).expect("was there");
    let fault = refused(&["restore", name(&file)], path, b"");
    assert!(fault.ends_with(&mends(&key)), "{fault}");
    assert!(!chain.exists());

    // A backup has the key too. Where it lies its mode may not be its owner's to choose.
    open(&file);
    let target = path.join("card");
    let (code, _, remark) = blx(&["restore", name(&file)], &target, b"");
    assert_eq!(code, 0);
    assert!(remark.ends_with(&mends(&file)), "{remark}");
    assert_eq!(mode(&target), 0o700);
    for restored in ["chain.blx", "identity.blx"] {
        assert_eq!(mode(&target.join(restored)), 0o600);
    }
}
