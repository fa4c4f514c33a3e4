//! The man page and the completions know what `blx --help` knows, and the pages name only what there is.

#[path = "harness/mod.rs"]
mod harness;
// The tests of the real binary use the rest of it.
#[allow(dead_code)]
#[path = "readme.rs"]
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use blx::store::disk::File;
use harness::{Home, Launch, free_port, run};
use page::Page;
use serde_json::{Map, Value};

/// The files, and what each puts before the name of an option and before a short one.
const FILES: [(&str, &str, &str); 4] = [
    ("blx.1", "Fl -", "Fl "),
    ("completions/blx.bash", "--", "-"),
    ("completions/_blx", "--", "-"),
    ("completions/blx.fish", "-l ", "-s "),
];

fn help() -> String {
    run::done(&mut run::command(&["--help"]), b"")
}

/// The words of a text: what is between anything that no name has in it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-')
}

/// Long names, without their dashes.
fn long_options(help: &str) -> BTreeSet<&str> {
    words(help)
        .filter_map(|word| word.strip_prefix("--"))
        .filter(|name| !name.is_empty())
        .collect()
}

fn short_options(help: &str) -> BTreeSet<&str> {
    words(help)
        .filter_map(|word| word.strip_prefix('-'))
        .filter(|name| name.len() == 1 && *name != "-")
        .collect()
}

/// What comes behind `blx` in the lines of usage.
fn commands(help: &str) -> BTreeSet<&str> {
    help.lines()
        .filter_map(|line| {
            line.trim_start_matches("Usage:")
                .trim()
                .strip_prefix("blx ")
        })
        .filter_map(|usage| usage.split(' ').next())
        .filter(|word| word.chars().all(|letter| letter.is_ascii_lowercase()))
        .collect()
}

/// Whether `name` stands there whole behind `prefix`, and not as a part of a longer one.
fn names(text: &str, prefix: &str, name: &str) -> bool {
    let whole = format!("{prefix}{name}");
    let part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    text.match_indices(&whole).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + whole.len()..]);
        !before.ends_with(part) && !after.starts_with(part)
    })
}

#[test]
fn every_option_and_command_of_the_help_is_in_the_man_page_and_the_completions() {
    let help = help();
    let (long, short, commands) = (long_options(&help), short_options(&help), commands(&help));
    assert!(
        long.contains("data-dir") && long.contains("branch"),
        "{long:?}"
    );
    assert_eq!(short, BTreeSet::from(["V", "h"]));
    assert!(
        commands.contains("verify") && commands.contains("compact"),
        "{commands:?}"
    );
    for (file, long_prefix, short_prefix) in FILES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("cross")
            .join(file);
        let text = fs::read_to_string(path).expect("UTF-8");
        for name in &long {
            assert!(names(&text, long_prefix, name), "{file} lacks --{name}");
        }
        for name in &short {
            assert!(names(&text, short_prefix, name), "{file} lacks -{name}");
        }
        for name in &commands {
            assert!(names(&text, "", name), "{file} lacks {name}");
        }
    }
}

#[test]
fn a_name_is_found_whole_only() {
    assert!(names("x --port PORT", "--", "port"));
    assert!(!names("x --ports", "--", "port"));
    assert!(!names("x --port-name ---port", "--", "port"));
}

/// Short enough to be read to its end.
#[test]
fn the_readme_is_short() {
    let page = Page::read();
    let lines = page.lines();
    assert!(lines.len() < 150, "{} lines", lines.len());
    for line in lines {
        assert!(line.chars().count() <= 400, "a line too long: {line}");
    }
}

#[test]
fn every_link_and_picture_of_the_readme_leads_somewhere() {
    let page = Page::read();
    let anchors = page.anchors();
    let links = page.links();
    assert!(
        links.len() > 10 && links.contains(&"src/lan.svg"),
        "{links:?}"
    );
    for link in links {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(anchors.iter().any(|known| known == anchor), "#{anchor}"),
            None => assert!(page::path(link).exists(), "there is no {link}"),
        }
    }
    let source = fs::read_to_string(page::path("src/lib.rs")).expect("it is there");
    assert!(
        source.contains("include_str!(\"lan.svg\")"),
        "the crate's page lacks the picture"
    );
}

#[test]
fn every_option_and_file_that_the_readme_names_is_there() {
    let page = Page::read();
    let help = help();
    let known = long_options(&help);
    let commands = page::commands(&page.lines());
    let commands = commands.iter().map(|command| command.words.join(" "));
    let spans = page.spans();
    let session = page.session()[0].trim_start_matches("$ ").to_owned();
    let mut options = 0;
    let mut files = 0;
    for text in commands
        .chain(spans.into_iter().map(str::to_owned))
        .chain([session])
    {
        let text = text.trim_start_matches("sudo ");
        if text.starts_with("blx ") || text.starts_with("--") {
            for option in long_options(text) {
                assert!(known.contains(option), "there is no --{option}: {text}");
                options += 1;
            }
        }
        let first = text.split(' ').next().expect("a word");
        let ours = ["cross/", "src/", "tests/", ".ci/"];
        if ours.iter().any(|folder| first.starts_with(folder)) {
            assert!(page::path(first).exists(), "there is no {first}");
            files += 1;
        }
    }
    assert!(
        options >= 3 && files >= 3,
        "{options} options, {files} files"
    );
}

#[test]
fn the_man_page_describes_every_key_of_the_menu() {
    let text = fs::read_to_string(page::path("cross/blx.1")).expect("it is there");
    let menu = text
        .split(".Sh MENU")
        .nth(1)
        .and_then(|rest| rest.split(".Sh ").next());
    let menu = menu.expect("a section");
    let page = Page::read();
    let tables = page::tables(&page.section("Menu"));
    for row in &tables[0] {
        let item = format!(".It {}\n{}", row[0], row[1]);
        assert!(menu.contains(&item), "{item}");
    }
}

#[test]
fn every_file_of_a_data_directory_is_in_the_man_page_and_in_the_crate_documentation() {
    for page in ["cross/blx.1", "src/FILES.md"] {
        let text = fs::read_to_string(page::path(page)).expect("it is there");
        // A draft is one of those whose names end in `.new`.
        let files = File::ALL.into_iter().filter(|file| *file != File::Draft);
        for name in files.map(File::name).chain(["lock", ".new", ".damaged-"]) {
            assert!(text.contains(name), "{page} lacks {name}");
        }
    }
}

/// A table of keys in the man page: of each its type.
fn keys(heading: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(page::path("cross/blx.1")).expect("it is there");
    let section = text.split(&format!(".Ss {heading}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("there is no {heading}"));
    let table = section.split(".El").next().expect("some text");
    let rows = table.lines().filter_map(|line| line.strip_prefix(".It "));
    let mut cells = rows.map(|row| row.split(" Ta ").collect::<Vec<_>>());
    assert_eq!(
        cells.next(),
        Some(vec!["key", "type", "unit", "meaning"]),
        "{heading}"
    );
    let types = cells.map(|row| (row[0].to_owned(), row[1].to_owned()));
    types.collect()
}

/// Whether a value is of a type as the man page has it.
fn is_of(kind: &str, value: &Value) -> bool {
    match (kind.trim_end_matches('?'), value) {
        (_, Value::Null) => kind.ends_with('?'),
        ("string", Value::String(_))
        | ("boolean", Value::Bool(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => true,
        ("integer", number) => number.is_u64(),
        ("number", number) => number.is_number(),
        _ => false,
    }
}

/// The objects that `blx ctl --json` prints.
fn objects(socket: &Path, words: &[&str]) -> Vec<Map<String, Value>> {
    let mut command = run::command(&["ctl", "--json", "--socket"]);
    let (_, out, err) = run::run(command.arg(socket).args(words), b"");
    let objects = out.lines().map(serde_json::from_str);
    let objects = objects.collect::<Result<Vec<_>, _>>().expect("objects");
    assert!(!objects.is_empty(), "{words:?}: {err}");
    objects
}

/// The table is of these objects: it has each key of theirs and no other, and each value's type.
fn describes(heading: &str, objects: &[Map<String, Value>]) {
    let table = keys(heading);
    assert!(!objects.is_empty(), "{heading}");
    for object in objects {
        let (told, known) = (object.keys(), table.keys());
        assert!(told.eq(known), "{heading}: {object:?}, {table:?}");
        for (key, value) in object {
            assert!(is_of(&table[key], value), "{heading}: {key} is {value}");
        }
    }
}

#[test]
fn the_man_page_has_every_key_that_a_program_is_told() {
    let other = Launch::new().start();
    let home = Home::new();
    let socket = home.path().join("blx.sock");
    let place = format!("--console=unix:{}", socket.display());
    let node = home.node().arg("--console=stdio").arg(place);
    let _node = node.connect(free_port()).start();
    let peer = format!("127.0.0.1:{}", other.port);
    let ended = [
        &["request", "saw"][..],
        &["request", "axe"],
        &["release", "axe"],
        &["request", "saw"],
        &["connect", &peer],
        &["sync"],
    ];
    let ended = ended.iter().flat_map(|words| objects(&socket, words));
    let ended: Vec<_> = ended.collect();
    let merged: Map<String, Value> = ended.into_iter().flatten().collect();
    describes(
        "Of each thing that was asked for, with its ending",
        &[merged],
    );
    for words in ["reserved", "available"] {
        describes("Of each item", &objects(&socket, &[words]));
    }
    let peers = objects(&socket, &["peers"]);
    let (connected, dialed): (Vec<_>, Vec<_>) = peers
        .into_iter()
        .partition(|peer| peer.contains_key("outbound"));
    describes("Of each peer that is connected", &connected);
    describes("Of each peer that is dialed again", &dialed);
    describes("Of the node", &objects(&socket, &["status"]));
    describes("Of each event", &objects(&socket, &["events"]));
}

#[test]
fn a_value_of_another_type_than_in_the_man_page_is_found() {
    assert!(is_of("integer?", &Value::Null) && is_of("integer?", &Value::from(1)));
    assert!(!is_of("integer", &Value::Null) && !is_of("integer", &Value::from(1.5)));
    assert!(is_of("number", &Value::from(1.5)) && !is_of("string", &Value::from(1)));
}
