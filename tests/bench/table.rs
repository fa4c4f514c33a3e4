//! One table, as wide as its cells ask for.

use std::time::Duration;

use crate::process::Memory;

/// A figure and what it is compared with.
#[derive(Default)]
pub struct Row {
    /// What is measured.
    pub figure: String,
    /// In a chain of so many blocks.
    pub blocks: u64,
    /// This node's.
    pub ours: String,
    /// That of the file that is written whole.
    pub rewrite: String,
    /// What is wanted, and whether it is there.
    pub goal: Option<(&'static str, bool)>,
}

/// Prints the rows below a head.
pub fn print(rows: &[Row]) {
    let mut lines = vec![["", "blocks", "blx", "rewrite", "goal", ""].map(String::from)];
    lines.extend(rows.iter().map(|row| {
        let (goal, met) = row.goal.unwrap_or_default();
        let verdict = match row.goal {
            None => "",
            Some(_) if met => "met",
            Some(_) => "NOT met",
        };
        [
            row.figure.clone(),
            grouped(row.blocks),
            row.ours.clone(),
            row.rewrite.clone(),
            goal.into(),
            verdict.into(),
        ]
    }));
    let widths: [usize; 6] = core::array::from_fn(|column| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    });
    let rule = widths.map(|width| "-".repeat(width));
    lines.insert(1, rule);
    for line in lines {
        let [figure, blocks, ours, rewrite, goal, verdict] = &line;
        let [a, b, c, d, e, f] = widths;
        println!(
            "| {figure:a$} | {blocks:>b$} | {ours:>c$} | {rewrite:>d$} | {goal:e$} | {verdict:f$} |"
        );
    }
}

/// A number with commas.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits and a unit.
pub fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    let (value, unit) = match micros {
        ..1e3 => (micros, "us"),
        ..1e6 => (micros / 1e3, "ms"),
        _ => (micros / 1e6, "s"),
    };
    let places = match value {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.places$} {unit}")
}

/// What is resident, and the most that was.
pub fn memory(memory: Memory) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (now, peak) = (mib(memory.resident), mib(memory.peak));
    format!("{now:.1} MiB, peak {peak:.1}")
}
