//! The rules of the house, which the crate's documentation gives: who may import whom, what a room
//! may not name, and how long files and functions may get.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;
const TEST_FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// The rooms, and what each may import of the others.
const ROOMS: [(&str, &[&str]); 9] = [
    ("limits", &[]),
    ("ledger", &["limits"]),
    ("wire", &["limits", "ledger"]),
    ("store", &["limits", "ledger"]),
    ("node", &["limits", "ledger", "wire", "store"]),
    ("shell", &["limits", "node", "store"]),
    ("offline", &["limits", "ledger", "wire", "store", "shell"]),
    (
        "cli",
        &["limits", "ledger", "wire", "store", "shell", "offline"],
    ),
    ("lib", &[]),
];

/// The organs of the node, from the ground up: each may import those before it.
const ORGANS: [&str; 19] = [
    "event",
    "answer",
    "addresses",
    "effects",
    "clock",
    "event_log",
    "desktop",
    "peer",
    "liveness",
    "peers",
    "twins",
    "newer",
    "mempool",
    "links",
    "desktops",
    "sync",
    "monitor",
    "console",
    "outbox",
];

/// The files that see the whole node: the law of driving, what peers say, who they are, what users ask for.
const NODE_SEEN: [&str; 4] = ["mod", "gossip", "meeting", "command"];

/// What only the shell, and the commands around it, may name.
const SYSTEM: [&str; 9] = [
    "std::net",
    "std::fs",
    "std::time",
    "std::env",
    "std::thread",
    "std::process",
    "rustix",
    "signal_hook",
    "SystemRandom",
];

/// What nobody may name outside tests.
const BANNED: [&str; 8] = [
    "std::thread",
    ".unwrap()",
    "println!",
    "eprintln!",
    "dbg!",
    "todo!",
    "unimplemented!",
    "async fn",
];

struct Source {
    path: PathBuf,
    room: String,
    /// Without what is only compiled for tests.
    code: String,
    text: String,
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
        &mut found,
    );
    found.sort();
    assert!(!found.is_empty());
    found
}

fn is_test_file(path: &Path) -> bool {
    let name = path
        .file_stem()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name == "tests" || name.ends_with("_tests")
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let paths = rust_files("src")
        .into_iter()
        .filter(|path| !is_test_file(path));
    let source = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("UTF-8");
        let inside = path.strip_prefix(&root).expect("in src");
        let first = inside.components().next().expect("a name");
        let room = Path::new(first.as_os_str()).with_extension("");
        let code = text
            .split("#[cfg(test)]")
            .next()
            .unwrap_or_default()
            .to_owned();
        Source {
            room: room.to_string_lossy().into_owned(),
            path,
            code,
            text,
        }
    };
    paths.map(source).collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// The rooms that a file names: `crate::room`, and `super::room` in a room's root.
fn imports(source: &Source) -> BTreeSet<String> {
    named(source, "crate::")
}

/// The words that stand behind `prefix` in a file, one at a time.
fn named(source: &Source, prefix: &str) -> BTreeSet<String> {
    let list = format!("{prefix}{{");
    let mut lines = source.code.lines().filter(|line| !is_comment(line));
    assert!(
        !lines.any(|line| line.contains(&list)),
        "{}: one room or file a line",
        source.path.display()
    );
    words_behind(source, prefix)
}

/// The words that stand behind `prefix` in a file, those of a list in braces too.
fn words_behind(source: &Source, prefix: &str) -> BTreeSet<String> {
    let lines = source.code.lines().filter(|line| !is_comment(line));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut words = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            words.insert(first_word(rest));
            continue;
        };
        let (mut depth, mut item) = (0, String::new());
        for c in list.chars() {
            match c {
                '}' if depth == 0 => break,
                ',' if depth == 0 => {
                    words.insert(first_word(&item));
                    item.clear();
                    continue;
                }
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            item.push(c);
        }
        words.insert(first_word(&item));
    }
    words
}

fn first_word(text: &str) -> String {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

#[test]
fn rooms_import_only_what_they_may() {
    let mut seen = 0;
    for source in sources().iter().filter(|source| source.room != "main") {
        let allowed = ROOMS.iter().find(|(room, _)| *room == source.room);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{} is no room", source.room));
        for import in imports(source) {
            seen += 1;
            let fine = import == source.room || allowed.contains(&import.as_str());
            assert!(fine, "{} imports {import}", source.path.display());
        }
    }
    assert!(seen > 40, "imports are found at all");
}

/// The files that stand in a circle, or name one that does; each of `imports` is a file and what it
/// names.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut free: BTreeSet<&String> = BTreeSet::new();
    // Whatever names only files without a circle has none.
    while let Some((file, _)) = imports
        .iter()
        .find(|(file, names)| !free.contains(file) && names.iter().all(|name| free.contains(name)))
    {
        free.insert(file);
    }
    let tied = imports.iter().filter(|(file, _)| !free.contains(file));
    let tied: Vec<String> = tied.map(|(file, _)| file.clone()).collect();
    (!tied.is_empty()).then_some(tied)
}

fn stem(source: &Source) -> String {
    let stem = source.path.file_stem().expect("a name");
    stem.to_string_lossy().into_owned()
}

/// None of these files, which lie in `folder`, stands in a circle; each names what `names` says.
fn hold_no_circle(
    folder: &str,
    sources: &[&Source],
    names: impl Fn(&Source, &str) -> BTreeSet<String>,
) {
    let sources = sources.iter().filter(|source| stem(source) != "mod");
    let files: BTreeSet<String> = sources.clone().map(|source| stem(source)).collect();
    let neighbours = |source: &&&Source| {
        let mut found = names(source, "super::");
        found.extend(names(source, &format!("crate::{folder}::")));
        found.retain(|name| files.contains(name));
        (stem(source), found)
    };
    let imports: BTreeMap<String, BTreeSet<String>> =
        sources.map(|source| neighbours(&source)).collect();
    assert!(imports.len() > 2, "of {folder}: {files:?}");
    assert_eq!(circle(&imports), None, "of {folder}: {imports:#?}");
}

#[test]
fn no_file_of_these_rooms_stands_in_a_circle() {
    let sources = sources();
    for room in ["ledger", "wire", "store"] {
        let files: Vec<&Source> = sources.iter().filter(|it| it.room == room).collect();
        assert!(files.len() > 9, "{room}");
        hold_no_circle(room, &files, named);
    }
}

/// The organs that a file of the node names, and whether it names the node itself.
fn organs(source: &Source, is_top: bool) -> (BTreeSet<String>, bool) {
    let mut words = words_behind(source, "crate::node::");
    if is_top {
        words.extend(words_behind(source, "super::"));
    }
    let node = words.contains("Node") || source.code.contains("Node<");
    words.retain(|word| ORGANS.contains(&word.as_str()) || NODE_SEEN.contains(&word.as_str()));
    (words, node)
}

/// The organ, or file, of the node that a file belongs to, and whether it is all of it.
fn organ_of(source: &Source) -> (String, bool) {
    let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node");
    let inside = source.path.strip_prefix(node).expect("in the node");
    let first = inside.components().next().expect("a name");
    let name = Path::new(first.as_os_str()).with_extension("");
    (
        name.to_string_lossy().into_owned(),
        inside.components().count() == 1,
    )
}

#[test]
fn organs_see_no_node_and_only_what_lies_below() {
    let place = |name: &str| ORGANS.iter().position(|organ| *organ == name);
    let mut seen = BTreeSet::new();
    for source in sources().iter().filter(|source| source.room == "node") {
        let (name, is_top) = organ_of(source);
        if NODE_SEEN.contains(&name.as_str()) {
            continue;
        }
        let path = source.path.display();
        let own = place(&name).unwrap_or_else(|| panic!("{path} is of no organ"));
        let (names, node) = organs(source, is_top);
        assert!(!node, "{path} names the node");
        for import in names.iter().filter(|import| **import != name) {
            let below = place(import).is_some_and(|import| import < own);
            assert!(below, "{path} imports {import}");
        }
        seen.extend(names);
    }
    assert!(seen.len() > ORGANS.len() / 2, "imports are found at all");
}

#[test]
fn no_file_of_an_organ_stands_in_a_circle() {
    let sources = sources();
    let mut organs: BTreeMap<String, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.room == "node") {
        let (organ, is_top) = organ_of(source);
        if !is_top {
            organs.entry(organ).or_default().push(source);
        }
    }
    assert!(organs.len() >= 5, "{:?}", organs.keys());
    for (organ, files) in organs {
        hold_no_circle(&format!("node::{organ}"), &files, words_behind);
    }
}

#[test]
fn a_circle_is_found() {
    let names = |list: &[&str]| -> BTreeSet<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    };
    let mut imports = BTreeMap::from([
        ("a".to_owned(), names(&["b"])),
        ("b".to_owned(), names(&["c"])),
        ("c".to_owned(), names(&[])),
        ("d".to_owned(), names(&["a"])),
    ]);
    assert_eq!(circle(&imports), None);
    imports.insert("c".to_owned(), names(&["a"]));
    let tied = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    assert_eq!(circle(&imports), Some(tied));
}

#[test]
fn only_the_shell_and_the_commands_name_options() {
    let inside = ["limits", "ledger", "wire", "store", "node"];
    for source in sources() {
        if !inside.contains(&source.room.as_str()) {
            continue;
        }
        for line in source.code.lines().filter(|line| !is_comment(line)) {
            let options = line.match_indices("--");
            let mut named = options.map(|(at, _)| line[at + 2..].chars().next());
            let named = named.any(|next| next.is_some_and(|c| c.is_ascii_lowercase()));
            assert!(!named, "{}: {line}", source.path.display());
        }
    }
}

#[test]
fn only_the_shell_names_the_system() {
    for source in sources() {
        let outside = ["shell", "cli", "offline", "main"].contains(&source.room.as_str());
        let banned = SYSTEM.iter().filter(|_| !outside).chain(&BANNED);
        for name in banned {
            let lines = source.code.lines().enumerate();
            for (number, line) in lines.filter(|(_, line)| !is_comment(line)) {
                let found = line.contains(name);
                assert!(!found, "{}:{}: {name}", source.path.display(), number + 1);
            }
        }
    }
}

#[test]
fn the_shell_does_not_look_inside_what_it_carries() {
    for source in sources().iter().filter(|source| source.room == "shell") {
        for name in [
            "serde_json",
            "store::record",
            "store::log",
            "wire::",
            "ledger::",
        ] {
            assert!(
                !source.code.contains(name),
                "{}: {name}",
                source.path.display()
            );
        }
    }
}

#[test]
fn files_and_functions_stay_short() {
    for (folder, limit) in [("src", FILE_LINES_MAX), ("tests", TEST_FILE_LINES_MAX)] {
        for path in rust_files(folder) {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let lines = text.lines().count();
            assert!(lines <= limit, "{} has {lines} lines", path.display());
            let long = long_functions(&text);
            assert!(long.is_empty(), "{}: {long:?} are too long", path.display());
        }
    }
}

/// The functions of a formatted file that are too long: from `fn` to the brace in its column.
fn long_functions(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let words: Vec<&str> = code
            .split_whitespace()
            .take_while(|word| *word != "fn")
            .collect();
        let qualifiers = [
            "pub",
            "pub(super)",
            "pub(crate)",
            "const",
            "unsafe",
            "extern",
        ];
        let declares = code.split_whitespace().any(|word| word == "fn")
            && words.iter().all(|word| qualifiers.contains(word));
        if !declares || line.ends_with(';') {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let close = format!("{indent}}}");
        let length = lines[start..].iter().position(|line| **line == close);
        if length.is_some_and(|length| length + 1 > FUNCTION_LINES_MAX) {
            long.push(code.to_owned());
        }
    }
    long
}

#[test]
fn the_measure_of_functions_measures() {
    let body = "        let x = 1;\n".repeat(FUNCTION_LINES_MAX);
    let long =
        format!("impl X {{\n    pub fn long() {{\n{body}    }}\n    fn short() {{\n    }}\n}}\n");
    assert_eq!(long_functions(&long), ["pub fn long() {"]);
}

#[test]
fn no_unsafe_code() {
    for root in ["src/lib.rs", "src/main.rs"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
        let text = fs::read_to_string(path).expect("UTF-8");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root}");
    }
    let offender = sources().into_iter().find(|source| {
        source
            .text
            .lines()
            .any(|line| !is_comment(line) && line.contains("unsafe {"))
    });
    assert!(offender.is_none());
}

/// The pictures in a text: with the brackets around it where it is a tag such as `[store ❌]`.
fn pictures(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| !c.is_ascii()) {
        let picture = &rest[at..];
        let end = picture
            .find(|c: char| c.is_ascii())
            .unwrap_or(picture.len());
        let room = rest[..at].rfind('[').map(|open| &rest[open..at]);
        let room = room.filter(|room| {
            let name = room[1..].strip_suffix(' ').unwrap_or_default();
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase())
        });
        found.insert(match room.filter(|_| picture[end..].starts_with(']')) {
            Some(room) => format!("{room}{}]", &picture[..end]),
            None => picture[..end].to_owned(),
        });
        rest = &picture[end..];
    }
    found
}

#[test]
fn every_picture_has_a_tag_for_a_console_without_utf8() {
    let sources = sources();
    let console = sources
        .iter()
        .find(|it| it.path.ends_with("console/stream.rs"));
    let (_, tags) = console
        .and_then(|source| source.code.split_once("const TAGS"))
        .expect("the table");
    let mut seen = BTreeSet::new();
    for source in &sources {
        for line in source.code.lines().filter(|line| !is_comment(line)) {
            for picture in pictures(line) {
                let known = |space| tags.contains(&format!("(\"{space}{picture}\", "));
                assert!(
                    known("") || known(" "),
                    "{}: {picture} has none",
                    source.path.display()
                );
                seen.insert(picture);
            }
        }
    }
    let found = |picture: &str| seen.contains(picture);
    assert!(found("[store ❌]") && found("✅"), "{seen:?}");
}

#[test]
fn a_picture_is_found_with_its_tag() {
    let found = |text| pictures(text).into_iter().collect::<Vec<_>>();
    assert_eq!(found("a [store ❌] b [status] ✅ c"), ["[store ❌]", "✅"]);
    assert_eq!(found("[ ❌] [x ❌ y]"), ["❌"]);
}
