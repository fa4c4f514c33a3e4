//! The README as the tests read it: its lines, commands, tables and names.

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the repository, in Markdown.
pub struct Page(String);

/// A command as it stands there.
#[derive(Debug, PartialEq)]
pub struct Command {
    /// Its words, without the prompt in front of it.
    pub words: Vec<String>,
    /// What is said behind it.
    pub comment: String,
}

/// A path of the repository.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

impl Page {
    pub fn read() -> Page {
        Page(fs::read_to_string(path("README.md")).expect("it is there"))
    }

    pub fn lines(&self) -> Vec<&str> {
        self.0.lines().collect()
    }

    /// The lines below a heading, up to the next one.
    pub fn section(&self, title: &str) -> Vec<&str> {
        let heading = format!("## {title}");
        let mut lines = self.0.lines().skip_while(|line| *line != heading);
        assert!(lines.next().is_some(), "there is no {heading}");
        lines.take_while(|line| !line.starts_with("## ")).collect()
    }

    /// What a link to each heading ends in.
    pub fn anchors(&self) -> Vec<String> {
        let headings = self.0.lines().filter_map(|line| line.strip_prefix("## "));
        let kept = |letter: &char| letter.is_alphanumeric() || *letter == '-';
        headings
            .map(|title| {
                title
                    .to_lowercase()
                    .replace(' ', "-")
                    .chars()
                    .filter(kept)
                    .collect()
            })
            .collect()
    }

    /// Where the links and the pictures lead.
    pub fn links(&self) -> Vec<&str> {
        let behind = self.0.split("](").skip(1);
        behind
            .map(|rest| rest.split(')').next().expect("some text"))
            .collect()
    }

    /// The block between the lines of three back quotes.
    pub fn session(&self) -> Vec<&str> {
        let lines = self.0.lines().skip_while(|line| !line.starts_with("```"));
        lines
            .skip(1)
            .take_while(|line| !line.starts_with("```"))
            .collect()
    }

    /// What stands between back quotes in the text and in the tables.
    pub fn spans(&self) -> Vec<&str> {
        let mut quoted = false;
        let text = self.0.lines().filter(|line| {
            quoted ^= line.starts_with("```");
            !quoted && !line.starts_with("```") && !line.starts_with("    ")
        });
        text.flat_map(spans).collect()
    }
}

/// The commands among these lines, which are those that are set in by four spaces.
pub fn commands(lines: &[&str]) -> Vec<Command> {
    let lines = lines.iter().filter_map(|line| line.strip_prefix("    "));
    lines.map(command).collect()
}

/// A command with its prompt in front of it and a comment behind it.
pub fn command(line: &str) -> Command {
    let (line, comment) = line.split_once("  # ").unwrap_or((line, ""));
    let words = line.split_whitespace().map(str::to_owned);
    Command {
        words: words.filter(|word| !word.ends_with('$')).collect(),
        comment: comment.to_owned(),
    }
}

/// What stands between back quotes in a line.
pub fn spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// The tables among these lines: the cells of each row, without the headings.
pub fn tables<'a>(lines: &[&'a str]) -> Vec<Vec<Vec<&'a str>>> {
    let parts = lines.split(|line| !line.starts_with('|'));
    let tables = parts.filter(|part| part.len() > 2);
    let cells = |line: &&'a str| line.trim_matches('|').split('|').map(str::trim).collect();
    tables
        .map(|table| table[2..].iter().map(cells).collect())
        .collect()
}

/// The text with other numbers for those of its ports that `here` knows.
pub fn with_ports(text: &str, here: impl Fn(&str) -> Option<u16>) -> String {
    let pieces = text.split_inclusive(|letter: char| !letter.is_ascii_digit());
    let piece = |piece: &str| {
        let number = piece.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        match here(number) {
            Some(port) => format!("{port}{}", &piece[number.len()..]),
            None => piece.to_owned(),
        }
    };
    pieces.map(piece).collect()
}
