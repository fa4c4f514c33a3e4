//! One table, as wide as its cells ask for.

use std::time::Duration;

use crate::usage::Memory;

/// A figure and what it is compared with.
#[derive(Default)]
pub struct Row {
    /// What is measured.
    pub figure: String,
    /// The length of the chain.
    pub blocks: u64,
    /// One for each column that is compared.
    pub cells: Vec<String>,
    /// What is wanted, and whether it is there.
    pub goal: Option<(&'static str, bool)>,
}

/// Prints the rows below a head that names what is compared.
pub fn print(columns: &[&str], rows: &[Row]) {
    let mut lines = vec![line("", "blocks", columns.iter().copied(), "goal", "")];
    lines.extend(rows.iter().map(|row| {
        let (goal, met) = row.goal.unwrap_or_default();
        let verdict = match row.goal {
            None => "",
            Some(_) if met => "met",
            Some(_) => "NOT met",
        };
        let cells = row.cells.iter().map(String::as_str);
        line(&row.figure, &grouped(row.blocks), cells, goal, verdict)
    }));
    let count = lines[0].len();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..count).filter_map(width).collect();
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect();
    lines.insert(1, rule);
    for line in lines {
        let numbers = 1..count - 2;
        let cells = line.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match numbers.contains(&column) {
            true => format!("{cell:>width$}"),
            false => format!("{cell:width$}"),
        });
        println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
    }
}

fn line<'a>(
    figure: &'a str,
    blocks: &'a str,
    cells: impl Iterator<Item = &'a str>,
    goal: &'a str,
    verdict: &'a str,
) -> Vec<String> {
    let cells = [figure, blocks].into_iter().chain(cells);
    cells.chain([goal, verdict]).map(String::from).collect()
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
