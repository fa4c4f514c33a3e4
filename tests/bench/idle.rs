//! What a node costs while nothing happens: memory, wake-ups, processor, disk, and its start.
//!
//! `cargo bench --bench idle`, with `-- --quick` for windows of 10 s instead of a minute. BLX_EMULATED
//! names the same program for another processor, with its emulator in front:
//! `BLX_EMULATED="qemu-arm-static -L /usr/arm-linux-gnueabihf target/.../blx"`. All are measured at
//! the same time, since all they do is wait. A goal that is missed is said and fails nothing.

#[allow(dead_code)]
mod disk;
#[allow(dead_code)]
mod generate;
#[path = "../harness/mod.rs"]
mod harness;
#[allow(dead_code)]
mod process;
#[allow(dead_code)]
mod table;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use harness::{Launch, free_port, run, until, usage};
use process::Process;
use rustix::process::{Pid, Signal, kill_process};
use table::{Row, grouped};

/// Peers of a busy little LAN.
const PEERS: usize = 8;

const LONG: u64 = 10_000;
const SHORT: u64 = 1_000;

/// Where `guest_memory` finds what an emulated program has: a place that nothing else uses.
const GUEST_BASE: u64 = 0x10_0000_0000;

/// The program and what is in front of it.
#[derive(Clone)]
struct Program {
    words: Vec<String>,
    emulated: bool,
}

impl Program {
    fn all() -> Vec<Program> {
        let mut all = vec![Program {
            words: vec![env!("CARGO_BIN_EXE_blx").to_owned()],
            emulated: false,
        }];
        if let Ok(words) = env::var("BLX_EMULATED") {
            let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            words.insert(1, format!("{GUEST_BASE:#x}"));
            words.insert(1, "-B".to_owned());
            all.push(Program {
                words,
                emulated: true,
            });
        }
        all
    }

    fn file(&self) -> &str {
        self.words.last().expect("a program")
    }

    fn launch(&self, directory: &Path) -> Launch {
        Launch::on(directory).program(&self.words)
    }
}

/// A node without a menu.
struct Node {
    process: Process,
    socket: PathBuf,
    emulated: bool,
}

impl Node {
    /// In a directory of its own, with a chain of [`SHORT`] blocks.
    fn start(program: &Program, directory: &Path, chain: &Path, connect: &[u16]) -> Node {
        generate::begin(chain, SHORT, directory);
        let socket = directory.join("blx.sock");
        let place = format!("--console=unix:{}", socket.display());
        let launch = program.launch(directory).arg(place);
        let launch = connect.iter().fold(launch, |to, port| to.connect(*port));
        Node {
            process: Process(launch.spawn(Stdio::null())),
            socket,
            emulated: program.emulated,
        }
    }

    /// Waits until `count` peers agree with it.
    fn await_peers(&self, count: usize) {
        until(|| {
            let mut ctl = run::command(&["ctl", "--json", "--socket"]);
            let (code, text, _) = run::run(ctl.arg(&self.socket).arg("peers"), b"");
            let agree = text.matches("\"agrees\":true").count();
            let all = code == 0 && agree == count;
            all.then_some(()).ok_or(format!("{count} peers: {text}"))
        });
    }

    /// A number behind a name in a file of /proc.
    fn number(&self, file: &str, name: &str) -> u64 {
        usage::number(self.process.id(), file, name)
    }

    /// Nanoseconds on a processor, of all threads: an emulator has several.
    fn processor(&self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.id()));
        let threads = threads.expect("it runs").flatten();
        let nanos = threads.map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).expect("it runs");
            let first: Option<u64> = text.split(' ').next().and_then(|word| word.parse().ok());
            first.expect("a number")
        });
        nanos.sum()
    }

    /// Resident bytes; of an emulated program without its emulator.
    fn resident(&self) -> u64 {
        if !self.emulated {
            return self.process.memory().resident;
        }
        let text = fs::read_to_string(format!("/proc/{}/smaps", self.process.id()));
        let mut inside = false;
        let mut kib = 0;
        for line in text.expect("it runs").lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            if let Some((start, _)) = first.split_once('-') {
                let start = u64::from_str_radix(start, 16).unwrap_or_default();
                inside = (GUEST_BASE..GUEST_BASE + (1 << 32)).contains(&start);
            } else if inside && first == "Rss:" {
                let size: Option<u64> = words.next().and_then(|word| word.parse().ok());
                kib += size.expect("a number");
            }
        }
        assert!(kib > 0, "nothing is mapped where the emulator was told to");
        kib * 1024
    }
}

/// What a node did in a window of time.
struct Sample {
    resident: u64,
    wakes: f64,
    processor: Duration,
    written: u64,
    /// All system calls, and those that wait, if strace could count them.
    calls: Option<(u64, u64)>,
}

fn watch(node: &Node, time: Duration) -> Sample {
    let marks = || {
        (
            node.number("status", "voluntary_ctxt_switches:"),
            node.processor(),
            node.number("io", "write_bytes:"),
        )
    };
    let before = marks();
    thread::sleep(time);
    let after = marks();
    Sample {
        resident: node.resident(),
        wakes: (after.0 - before.0) as f64 / time.as_secs_f64(),
        processor: Duration::from_nanos(after.1 - before.1),
        written: after.2 - before.2,
        calls: count_calls(node, time),
    }
}

/// In a window of its own: who is traced is woken more often.
fn count_calls(node: &Node, time: Duration) -> Option<(u64, u64)> {
    let table = node.socket.with_extension("calls");
    let mut strace = Command::new("strace");
    strace
        .args(["-c", "-f", "-U", "name,calls", "-o"])
        .arg(&table);
    strace.args(["-p", &node.process.id().to_string()]);
    let mut strace = strace.stderr(Stdio::null()).spawn().ok()?;
    thread::sleep(time);
    kill_process(Pid::from_child(&strace), Signal::INT).ok()?;
    strace.wait().ok()?;
    let text = fs::read_to_string(table).ok()?;
    let count = |wanted: &dyn Fn(&str) -> bool| -> u64 {
        let lines = text.lines().filter_map(|line| line.trim().split_once(' '));
        let counts = lines.filter(|(name, _)| wanted(name));
        counts
            .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
            .sum()
    };
    let total = count(&|name| name == "total");
    Some((total, count(&|name| name.ends_with("poll"))))
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // `cargo test --all-targets` runs this too, without the word that `cargo bench` adds.
    if !arguments.iter().any(|word| word == "--bench") {
        println!("run it with: cargo bench --bench idle");
        return;
    }
    let quick = arguments.iter().any(|word| word == "--quick");
    let time = window(quick);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&folder).expect("a folder for the chains");
    let chain = generate::chain(&folder, LONG);
    let work = tempfile::tempdir_in(&folder).expect("a folder");
    let programs = Program::all();

    let starts: Vec<Duration> = programs
        .iter()
        .map(|program| start_time(program, &chain, &work.path().join("start")))
        .collect();
    let (alone, busy) = measured(&programs, &chain, work.path(), quick);

    let rows = [
        rows("no peers", 4.0, 0.2, time, &alone),
        rows("8 peers", 6.0, 1.0, time, &busy),
        vec![
            row(
                "from exec to menu",
                LONG,
                starts.iter().map(|t| table::time(*t)),
            ),
            row(
                "size of the program",
                0,
                programs.iter().map(|program| {
                    let size = fs::metadata(program.file()).expect("it is there").len();
                    format!("{} bytes", grouped(size))
                }),
            ),
        ],
    ];
    let columns: Vec<&str> = ["native", "emulated"][..programs.len()].to_vec();
    println!();
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    table::print(&columns, &rows);
    println!(
        "\nOver {time:?} each; the system calls in a further window, by strace. Of an emulated \
         program the memory is its own, processor and calls are its emulator's."
    );
}

/// Every program without peers, and with them.
fn measured(
    programs: &[Program],
    chain: &Path,
    work: &Path,
    quick: bool,
) -> (Vec<Sample>, Vec<Sample>) {
    let native = &programs[0];
    let mut alone = Vec::new();
    let mut busy = Vec::new();
    let mut peers = Vec::new();
    for (number, program) in programs.iter().enumerate() {
        let at = |name: String| work.join(format!("{number}-{name}"));
        alone.push(Node::start(program, &at("alone".into()), chain, &[]));
        let node = Node::start(program, &at("busy".into()), chain, &[]);
        peers.extend((0..PEERS).map(|peer| {
            let directory = at(format!("peer-{peer}"));
            Node::start(native, &directory, chain, &[node.process.port])
        }));
        busy.push(node);
    }
    alone.iter().for_each(|node| node.await_peers(0));
    busy.iter().for_each(|node| node.await_peers(PEERS));
    // The book of addresses is written some time after it has changed.
    let settle = Duration::from_secs(if quick { 2 } else { 90 });
    thread::sleep(settle);
    let windows = |nodes: &[Node]| -> Vec<Sample> {
        thread::scope(|scope| {
            let watched: Vec<_> = nodes
                .iter()
                .map(|node| scope.spawn(move || watch(node, window(quick))))
                .collect();
            let windows = watched.into_iter().map(|watch| watch.join());
            windows.collect::<Result<_, _>>().expect("it watched")
        })
    };
    thread::scope(|scope| {
        let alone = scope.spawn(|| windows(&alone));
        let busy = windows(&busy);
        (alone.join().expect("it watched"), busy)
    })
}

/// How long is watched.
fn window(quick: bool) -> Duration {
    Duration::from_secs(if quick { 10 } else { 60 })
}

/// The median of some starts.
fn start_time(program: &Program, chain: &Path, directory: &Path) -> Duration {
    if !directory.exists() {
        generate::begin(chain, LONG, directory);
    }
    let mut times: Vec<Duration> = (0..11)
        .map(|_| process::prompt(program.launch(directory).command(free_port())).1)
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn row(figure: &str, blocks: u64, cells: impl Iterator<Item = String>) -> Row {
    Row {
        figure: figure.to_owned(),
        blocks,
        cells: cells.collect(),
        goal: None,
    }
}

fn rows(who: &str, mib_max: f64, wakes_max: f64, time: Duration, windows: &[Sample]) -> Vec<Row> {
    let mib = |window: &Sample| window.resident as f64 / f64::from(1 << 20);
    let goal =
        |name: &'static str, met: &dyn Fn(&Sample) -> bool| Some((name, windows.iter().all(met)));
    let figure = |what: &str, cell: &dyn Fn(&Sample) -> String| {
        row(&format!("{what}, {who}"), SHORT, windows.iter().map(cell))
    };
    let (memory_goal, wakes_goal) = match who {
        "no peers" => ("at most 4 MiB", "under 0.2"),
        _ => ("at most 6 MiB", "under 1"),
    };
    vec![
        Row {
            goal: goal(memory_goal, &|window| mib(window) <= mib_max),
            ..figure("resident memory", &|window| {
                format!("{:.1} MiB", mib(window))
            })
        },
        Row {
            goal: goal(wakes_goal, &|window| window.wakes < wakes_max),
            ..figure("wake-ups a second", &|window| {
                format!("{:.2}", window.wakes)
            })
        },
        figure("system calls a second (that wait)", &|window| {
            let each = |calls: u64| calls as f64 / time.as_secs_f64();
            match window.calls {
                Some((all, waits)) => format!("{:.2} ({:.2})", each(all), each(waits)),
                None => "strace is not there".into(),
            }
        }),
        figure("processor", &|window| table::time(window.processor)),
        Row {
            goal: goal("0", &|window| window.written == 0),
            ..figure("written to disk", &|window| {
                format!("{} bytes", grouped(window.written))
            })
        },
    ]
}
