//! The program: sets up diagnostics, then hands over to [`blx::cli`].
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use blx::shell::journal;

fn main() -> ExitCode {
    // The journal is read when something went wrong, often long after it was written: there, who
    // came and went has to be found without starting again.
    let is_journal = journal::is_there();
    let level = if is_journal { "info" } else { "warn" };
    let level = env_logger::Env::default().default_filter_or(level);
    env_logger::Builder::from_env(level)
        .target(env_logger::Target::Stderr)
        .format(move |line, record| {
            if is_journal {
                let text = journal::marked(record.level(), &record.args().to_string());
                return line.write_all(text.as_bytes());
            }
            let level = record.level().as_str().to_ascii_lowercase();
            writeln!(line, "blx: {level}: {}", record.args())
        })
        .init();
    blx::cli::main(std::env::args_os().skip(1), std::env::var_os("HOME"))
}
