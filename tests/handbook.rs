//! The man page and the completions know what `blx --help` knows, and the pages name only what there is.

#[path = "harness/mod.rs"]
mod harness;
// The tests of the real binary use the rest of it.
#[allow(dead_code)]
#[path = "readme.rs"]
mod page;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use blx::store::disk::File;
use harness::run;
use page::Page;

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
