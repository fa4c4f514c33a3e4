//! The program run to its end: its exit code, what it says, and what it complains of.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::runner;

/// An exit code, standard output and standard error.
pub type Outcome = (i32, String, String);

/// The program with these words, and nothing else from where the tests are run.
pub fn command(words: &[&str]) -> Command {
    let mut command = runner::blx();
    command.args(words).env_clear().envs(runner::environment());
    command.env("HOME", "/nonexistent").env("LC_ALL", "C.UTF-8");
    command
}

/// A sub-command on a data directory.
pub fn on(words: &[&str], directory: &Path) -> Command {
    let (name, rest) = words.split_first().expect("a sub-command");
    let mut command = command(&[name, "--data-dir"]);
    command.arg(directory).args(rest);
    command
}

/// The same behind a shell's words.
pub fn behind(words: &str, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{words}; exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    let variables = command.get_envs();
    shell.env_clear();
    shell.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    shell
}

/// A shell's words before a program whose files may not grow beyond a number of blocks of 512 bytes:
/// to it that is a full disk. A program that did nothing about it would be ended by a signal.
pub fn full_disk(blocks: usize) -> String {
    format!("trap '' XFSZ; ulimit -f {blocks}")
}

/// Starts it with pipes.
pub fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().expect("it starts")
}

/// Waits for its end.
pub fn ended(child: Child) -> Outcome {
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("no signal killed it");
    (code, text(output.stdout), text(output.stderr))
}

/// Runs it with this input; its standard error without what depends on the time that it took.
pub fn run(command: &mut Command, input: &[u8]) -> Outcome {
    let mut child = start(command);
    // The last word may be out before everything is read.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    let (code, out, err) = ended(child);
    (code, out, runner::remarks(&err))
}

/// Runs one that goes well and has nothing to remark; its standard output.
pub fn done(command: &mut Command, input: &[u8]) -> String {
    let (code, out, err) = run(command, input);
    assert_eq!((code, err.as_str()), (0, ""), "{command:?}: {out}");
    out
}

/// Runs one that is refused with one sentence.
pub fn refused(command: &mut Command, input: &[u8]) -> String {
    let (code, out, err) = run(command, input);
    assert_eq!((code, out.as_str()), (1, ""), "{command:?}: {err}");
    let is_one = err.starts_with("blx: ") && err.lines().count() == 1;
    assert!(is_one, "{err}");
    err
}
