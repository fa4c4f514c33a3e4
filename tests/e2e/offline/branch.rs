//! `blx export --branch`: what a reorg disconnected, as text.

use blx::store::disconnected::Saving;

use super::*;

/// A directory in which a reorg disconnected ten blocks that were saved; they, as text, and the last
/// one's hash.
fn reorged() -> (tempfile::TempDir, String, String) {
    let directory = folder();
    let (mut log, disconnected) = compact::reorg(directory.path(), 10, 11);
    let read = |height| {
        log.read_disconnected(&disconnected, height)
            .expect("reads")
            .block
    };
    let blocks: Vec<Block> = (disconnected.from..disconnected.to).map(read).collect();
    let last = blocks[blocks.len() - 1].hash.to_string();
    let text = array_text(&blocks) + "\n";
    let mut saving = Saving::default();
    while !log
        .save_disconnected(&disconnected, &mut saving, 3)
        .expect("saves")
    {}
    (directory, text, last)
}

#[test]
fn a_branch_that_was_taken_out_can_be_read() {
    let (directory, expected, tip) = reorged();
    let path = directory.path();
    assert!(expected.contains("old-1\"") && expected.contains("old-10\""));
    assert_eq!(mode(&path.join("fallen.blx")), 0o600);
    assert_eq!(done(&["export", "--branch"], path, b""), expected);
    let file = path.join("branch.json");
    let said = done(&["export", "--branch", name(&file)], path, b"");
    assert_eq!(
        said,
        format!("written to {}: blocks 1 to 10, tip {tip}\n", file.display())
    );
    assert_eq!(fs::read_to_string(&file).expect("reads"), expected);
    refused(&["export", "--branch", name(&file)], path, b"");

    // Whatever becomes of the chain.
    done(&["compact"], path, b"");
    assert_eq!(done(&["export", "--branch"], path, b""), expected);
    assert!(!done(&["export"], path, b"").contains("old-1\""));
    fs::write(path.join("chain.blx"), "rubbish").expect("writes");
    assert_eq!(done(&["export", "--branch"], path, b""), expected);
}

#[test]
fn where_nothing_was_taken_out_that_is_said() {
    let directory = folder();
    let path = directory.path();
    drop(compact::reorg(path, 10, 11));
    for there in [path, &path.join("none")] {
        let fault = refused(&["export", "--branch"], there, b"");
        assert!(fault.contains("there is no branch in "), "{fault}");
    }
    fs::write(path.join("fallen.blx"), "").expect("writes");
    let fault = refused(&["export", "--branch"], path, b"");
    assert!(fault.contains("there is no branch in "), "{fault}");
}

#[test]
fn half_a_branch_is_not_written() {
    let (directory, ..) = reorged();
    let path = directory.path();
    let saved = path.join("fallen.blx");
    let whole = fs::read(&saved).expect("reads");
    for size in [1, 16, 60, whole.len() / 2, whole.len() - 1] {
        fs::write(&saved, &whole[..size]).expect("writes");
        let fault = refused(&["export", "--branch"], path, b"");
        assert!(fault.contains("was not finished at byte "), "{fault}");
        let file = path.join("branch.json");
        refused(&["export", "--branch", name(&file)], path, b"");
        assert!(!file.exists());
    }
}
