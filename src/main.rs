//! The program: sets up diagnostics, then hands over to [`blx::cli`].
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let quiet = env_logger::Env::default().default_filter_or("warn");
    env_logger::Builder::from_env(quiet)
        .target(env_logger::Target::Stderr)
        .format(|line, record| {
            let level = record.level().as_str().to_ascii_lowercase();
            writeln!(line, "blx: {level}: {}", record.args())
        })
        .init();
    blx::cli::main(std::env::args_os().skip(1), std::env::var_os("HOME"))
}
