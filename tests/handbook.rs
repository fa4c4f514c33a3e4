//! The man page and the completions know what `blx --help` knows.

#[path = "runner.rs"]
mod runner;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The files, and what each puts before the name of an option and before a short one.
const FILES: [(&str, &str, &str); 4] = [
    ("blx.1", "Fl -", "Fl "),
    ("completions/blx.bash", "--", "-"),
    ("completions/_blx", "--", "-"),
    ("completions/blx.fish", "-l ", "-s "),
];

fn help() -> String {
    let output = runner::blx().arg("--help").output();
    String::from_utf8(output.expect("it starts").stdout).expect("UTF-8")
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
