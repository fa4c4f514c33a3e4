//! What some tests take beside Rust, and the note of those that went without it.
//!
//! A test asks for what it takes and passes itself over where that is not to be had. The first that
//! does so in a program says why, at once, and with the command that brings what is missing; all of
//! them are counted, and `tests/without.rs`, which runs last, says how many there were. Where a
//! variable says that a thing has to be there, to go without it is a failure.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The packages of Python that desktop nodes take.
const REQUIREMENTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/desktop/requirements.txt"
);

/// Where what these tests leave behind is kept.
const FOLDER: &str = env!("CARGO_TARGET_TMPDIR");

/// A kind of thing that may be missing.
struct Need {
    /// The tests that take it.
    tests: &'static str,
    /// The variable that is 1 where it has to be there.
    required: &'static str,
    said: AtomicBool,
}

static DESKTOP: Need = Need::new("beside desktop nodes", "BLX_REQUIRE_DESKTOP");
static STRACE: Need = Need::new("of what is synced before it is told", "BLX_REQUIRE_STRACE");
static NETNS: Need = Need::new("on a network of their own", "BLX_REQUIRE_NETNS");
static NATIVE: Need = Need::new("of nodes on two kinds of processor", "BLX_REQUIRE_NATIVE");

impl Need {
    const fn new(tests: &'static str, required: &'static str) -> Need {
        Need {
            tests,
            required,
            said: AtomicBool::new(false),
        }
    }

    fn pass_over(&self, why: &str) {
        let Need {
            tests, required, ..
        } = self;
        let is_required = env::var(required).is_ok_and(|value| value == "1");
        assert!(!is_required, "{required}=1, but {why}");
        if !self.said.swap(true, Ordering::Relaxed) {
            say(&format!("passed over: the tests {tests}: {why}"));
        }
        let note = format!("{tests}: {why}\n");
        let mut notes = OpenOptions::new();
        let notes = notes.create(true).append(true).open(notes_file());
        notes
            .and_then(|mut notes| notes.write_all(note.as_bytes()))
            .expect("the target folder can be written");
    }
}

/// Not by eprintln: of a test that passes, the harness shows nothing.
fn say(line: &str) {
    // Whoever has closed it does not want to read it.
    let _ = writeln!(io::stderr(), "{line}");
}

/// The notes of all programs that one `cargo test` runs: they have the same parent.
fn notes_file() -> PathBuf {
    let parent = parent_id();
    let stat = fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
    // The number may be that of another process later; with the time of its start it is its own.
    let started = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.split(' ').nth(19));
    let folder = Path::new(FOLDER).join("passed-over");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    folder.join(format!("{parent}-{}", started.unwrap_or("0")))
}

/// What was passed over in this run: why, and how many tests. The notes are gone then.
pub fn passed_over() -> BTreeMap<String, usize> {
    let file = notes_file();
    let mut counts = BTreeMap::new();
    // There is no file where nothing was passed over.
    for note in fs::read_to_string(&file).unwrap_or_default().lines() {
        *counts.entry(note.to_owned()).or_default() += 1;
    }
    // Those of runs that were broken off go with it.
    for old in fs::read_dir(file.parent().expect("a folder"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = old.file_name();
        let parent = name.to_str().and_then(|name| name.split('-').next());
        let runs = parent.is_some_and(|id| Path::new("/proc").join(id).exists());
        if old.path() == file || !runs {
            fs::remove_file(old.path()).expect("the target folder can be written");
        }
    }
    counts
}

/// Whether calls of the system can be seen.
pub fn strace() -> bool {
    let output = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    let why = match output {
        Ok(output) if output.status.success() => return true,
        Ok(output) => format!("strace may not trace here: {}", last_line(&output)),
        Err(_) => "strace is not there: sudo apt install strace".to_owned(),
    };
    STRACE.pass_over(&why);
    false
}

/// There can be no network of its own here, for this reason.
pub fn no_netns(why: &str) {
    NETNS.pass_over(why);
}

/// The program for the processor of this machine, where the tests are built for another one.
pub fn native() -> Option<PathBuf> {
    let path = env::var_os("BLX_NATIVE");
    if path.is_none() {
        NATIVE.pass_over("there is a program for one kind only: cross/test.sh TARGET runs them");
    }
    path.map(PathBuf::from)
}

/// The interpreter for desktop nodes: the one that `BLX_PYTHON` names, or one in an environment below
/// `target`, made when it is asked for, or where that fails the `python3` in the path.
pub fn python() -> Option<String> {
    static FOUND: OnceLock<Result<String, String>> = OnceLock::new();
    match FOUND.get_or_init(find_python) {
        Ok(python) => Some(python.clone()),
        Err(why) => {
            DESKTOP.pass_over(why);
            None
        }
    }
}

fn find_python() -> Result<String, String> {
    if let Ok(python) = env::var("BLX_PYTHON") {
        return match has(&python, "cryptography") {
            true => Ok(python),
            false => Err(format!("BLX_PYTHON={python} cannot import cryptography")),
        };
    }
    let python = "python3";
    if !has(python, "json") {
        return Err("python3 is not there: sudo apt install python3 python3-venv".to_owned());
    }
    let recent = output_of(
        python,
        &["-c", "import sys; sys.exit(sys.version_info < (3, 10))"],
    );
    if !recent.status.success() {
        return Err("python3 is older than 3.10: name a newer one with BLX_PYTHON".to_owned());
    }
    match environment(python) {
        Err(_) if has(python, "cryptography") => Ok(python.to_owned()),
        made => made,
    }
}

/// An environment of Python that has what desktop nodes take.
fn environment(python: &str) -> Result<String, String> {
    let folder = Path::new(FOLDER).join("python");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let own = text(&folder.join("bin/python"));
    let lock =
        File::create(folder.with_extension("lock")).expect("the target folder can be written");
    // The tests of another run may be at it.
    lock.lock().expect("a lock");
    if has(&own, "cryptography") {
        return Ok(own);
    }
    say(&format!(
        "for the tests beside desktop nodes a Python environment is made in {}",
        folder.display()
    ));
    let made = output_of(python, &["-m", "venv", "--clear", &text(&folder)]);
    if !made.status.success() {
        return Err("python3 cannot make an environment: sudo apt install python3-venv".to_owned());
    }
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ];
    let installed = output_of(&own, &[&install[..], &[REQUIREMENTS]].concat());
    match installed.status.success() && has(&own, "cryptography") {
        true => Ok(own),
        false => Err(format!(
            "pip does not bring cryptography ({}): sudo apt install python3-cryptography",
            last_line(&installed)
        )),
    }
}

/// Whether this interpreter starts and can import that.
fn has(python: &str, module: &str) -> bool {
    let tried = Command::new(python)
        .args(["-c", &format!("import {module}")])
        .stdin(Stdio::null())
        .output();
    tried.is_ok_and(|output| output.status.success())
}

fn output_of(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    output.unwrap_or_else(|error| panic!("{program} does not start: {error}"))
}

/// The last that a program complained.
fn last_line(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    errors
        .trim_end()
        .lines()
        .last()
        .unwrap_or("it does not say why")
        .to_owned()
}
