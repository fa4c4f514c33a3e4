//! Nodes of both kinds whose users take items, things that happen to them, and what must hold when
//! it is quiet: each item that a user saw taken is taken everywhere, and nobody was struck for what
//! a desktop node does by itself.

use std::collections::BTreeSet;
use std::io::{Write, stderr};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, prlimit};

use crate::harness::{Launch, Signal, Status, free_port};
use crate::nodes::{Node, Place, desktop_at};
use crate::relay::Relay;

/// From the last fault to the time when all are in step.
const MEND: Duration = Duration::from_secs(30);
/// How long it has to stay so: a monitor that cuts looks every 5 or 10 seconds.
const STEADY: Duration = Duration::from_secs(12);
/// From one look at everything to the next.
const PAUSE: Duration = Duration::from_millis(500);
/// What one of ours says or logs when it strikes a peer, or calls a chain invalid for what is void
/// in it.
const BLAME: [&str; 4] = [
    ": dropped: ",
    "it broke the rules",
    ", which is reserved",
    ", which is not reserved",
];

pub struct Street {
    python: String,
    members: Vec<Member>,
    wires: Vec<Relay>,
}

struct Member {
    node: Node,
    place: Option<Place>,
    name: String,
    arguments: Vec<String>,
    runs: bool,
    /// What its user asked for in this life.
    asked: Vec<String>,
    /// What users of earlier lives saw as done, and what was told to nobody of that.
    taken: BTreeSet<String>,
    untold: BTreeSet<String>,
}

/// How one of them stands.
struct Look {
    status: Status,
    held: BTreeSet<String>,
    /// What it says of itself: a whole chain, and in which ways it was spoiled.
    remarks: String,
}

impl Street {
    pub fn new(python: &str) -> Street {
        Street {
            python: python.to_owned(),
            members: Vec::new(),
            wires: Vec::new(),
        }
    }

    /// One of ours.
    pub fn blx(&mut self, arguments: &[&str]) -> usize {
        let name = format!("blx {}", self.members.len());
        let place = Place::new();
        let node = where_disks_fill(&place, &name).args(arguments).start();
        self.join(name, node, Some(place), arguments)
    }

    pub fn desktop(&mut self, arguments: &[&str]) -> usize {
        let name = format!("desktop {}", self.members.len());
        let node = desktop_at(&self.python, &name, free_port(), arguments);
        self.join(name, node, None, arguments)
    }

    fn join(
        &mut self,
        name: String,
        node: Node,
        place: Option<Place>,
        arguments: &[&str],
    ) -> usize {
        self.members.push(Member {
            node,
            place,
            name,
            arguments: arguments.iter().map(|each| (*each).to_owned()).collect(),
            runs: true,
            asked: Vec::new(),
            taken: BTreeSet::new(),
            untold: BTreeSet::new(),
        });
        self.members.len() - 1
    }

    pub fn node(&mut self, who: usize) -> &mut Node {
        &mut self.members[who].node
    }

    pub fn address(&self, who: usize) -> String {
        self.members[who].node.address()
    }

    /// The user of `from` presses 6.
    pub fn dial(&mut self, from: usize, to: usize) {
        let port = self.members[to].node.port;
        let node = &mut self.members[from].node;
        let said = format!("✅ connected to 127.0.0.1:{port}");
        let before = node.said().matches(&said).count();
        node.dial_port(port);
        node.wait_for_count(&said, before + 1);
    }

    /// The same by a wire that can be cut; which one it is.
    pub fn wire(&mut self, from: usize, to: usize) -> usize {
        let port = self.members[to].node.port;
        let wire = self.members[from].node.dial_by_wire(port);
        self.wires.push(wire);
        self.wires.len() - 1
    }

    pub fn cut(&self, wire: usize) {
        self.wires[wire].cut();
    }

    pub fn reconnect(&self, wire: usize) {
        self.wires[wire].reconnect();
    }

    /// Waits until each of these members has its number of peers; ours may find more by themselves.
    pub fn wait_for_peers(&mut self, counts: &[(usize, usize)]) {
        for (who, count) in counts {
            let node = &mut self.members[*who].node;
            node.wait_for_status(&format!("connected to {count} peers"), |status| {
                status.peers >= *count
            });
        }
    }

    /// The user asks for an item, and waits for nothing.
    pub fn take(&mut self, who: usize, item: &str) {
        let member = &mut self.members[who];
        member.asked.push(item.to_owned());
        member.node.enter(&["1", item]);
    }

    /// The users of these take items in turn, one in each space of time.
    pub fn take_in_turn(&mut self, who: &[usize], name: &str, count: usize, every: Duration) {
        let start = Instant::now();
        for number in 0..count {
            let due = every * u32::try_from(number).expect("a few");
            thread::sleep(due.saturating_sub(start.elapsed()));
            self.take(who[number % who.len()], &format!("{name}-{number}"));
        }
    }

    /// Waits until whoever runs has answered its user: each item is asked for once, so the user
    /// gets it.
    pub fn answered(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.runs) {
            for item in &member.asked {
                let taken = member.node.was_taken(item);
                assert!(taken, "{}: {item} was not taken", member.name);
            }
        }
    }

    /// One of these, which are ours, that speaks to a desktop node; waits until one does.
    pub fn speaker(&mut self, ours: &[usize]) -> usize {
        let limit = Instant::now() + MEND;
        loop {
            for who in ours {
                let list = self.members[*who].node.told(&["7"]);
                if list.contains(", we speak") {
                    return *who;
                }
            }
            assert!(Instant::now() < limit, "nobody speaks");
            thread::sleep(PAUSE);
        }
    }

    /// This was in somebody's chain from the beginning.
    pub fn owe(&mut self, item: &str) {
        self.members[0].taken.insert(item.to_owned());
    }

    /// Stops one as a notebook sleeps, or lets it go on.
    pub fn stop(&mut self, who: usize, stopped: bool) {
        let member = &mut self.members[who];
        let signal = if stopped { Signal::STOP } else { Signal::CONT };
        member.node.signal(signal);
        member.runs = !stopped;
    }

    /// From now on one of ours can write nothing any more. Its user is not asked for what it has.
    pub fn fill_disk(&mut self, who: usize) {
        let member = &mut self.members[who];
        let nothing = Rlimit {
            current: Some(0),
            maximum: None,
        };
        prlimit(Some(member.node.pid()), Resource::Fsize, nothing).expect("it is ours");
        member.runs = false;
    }

    /// Ends one at once.
    pub fn kill(&mut self, who: usize) {
        let member = &mut self.members[who];
        member.node.kill();
        member.runs = false;
        (member.taken, member.untold) = member.seen();
        member.asked.clear();
    }

    /// Starts one that was killed where it was, ours with what they have on disk.
    pub fn restart(&mut self, who: usize, more: &[&str]) {
        let member = &mut self.members[who];
        let arguments = member.arguments.iter().map(String::as_str);
        let arguments: Vec<&str> = arguments.chain(more.iter().copied()).collect();
        let name = format!("{} again", member.name);
        member.node = match &member.place {
            Some(place) => where_disks_fill(place, &name).args(&arguments).start(),
            None => desktop_at(&self.python, &name, member.node.port, &arguments),
        };
        member.runs = true;
    }

    /// Waits until all that run hold what was seen as taken, and stay so; and looks at what ours
    /// said of their peers. Call it after the last fault.
    pub fn settle(&mut self) {
        let start = Instant::now();
        self.answered();
        let mut steady: Option<Instant> = None;
        let why = loop {
            match self.verdict() {
                Ok(()) if steady.is_some_and(|since| since.elapsed() > STEADY) => break None,
                Ok(()) => _ = steady.get_or_insert_with(Instant::now),
                Err(why) if start.elapsed() > MEND => break Some(why),
                Err(_) => steady = None,
            }
            thread::sleep(PAUSE);
        };
        let report = self.report();
        // Not eprintln: of a test that passes, the harness would show nothing.
        let _ = write!(stderr(), "{report}");
        let blame = self.blame();
        assert!(
            why.is_none() && blame.is_empty(),
            "{}{blame}",
            why.unwrap_or_default()
        );
    }

    /// What users saw as taken, but for what a desktop's own race ate before it told anybody.
    fn owed(&self) -> BTreeSet<String> {
        let seen = self.members.iter().map(Member::seen);
        seen.flat_map(|(taken, untold)| &taken - &untold).collect()
    }

    fn verdict(&mut self) -> Result<(), String> {
        let owed = self.owed();
        let mut wrong = self.lonely();
        let untold: usize = self.members.iter().map(|it| it.seen().1.len()).sum();
        if untold * 10 > owed.len() {
            // One in a hundred of what is done beside a message, and that is not all of these.
            wrong += &format!("{untold} beside {} were told to nobody\n", owed.len());
        }
        let mut first: Option<BTreeSet<String>> = None;
        for member in self.members.iter_mut().filter(|member| member.runs) {
            let look = member.look();
            let missing: Vec<&String> = owed.difference(&look.held).collect();
            if !missing.is_empty() {
                wrong += &format!("{} lacks {} {missing:?}\n", member.name, missing.len());
            }
            let first = &*first.get_or_insert_with(|| look.held.clone());
            if missing.is_empty() && look.held != *first {
                let differ: Vec<_> = look.held.symmetric_difference(first).collect();
                wrong += &format!("{} and the first differ in {differ:?}\n", member.name);
            }
            if look.remarks.contains("CORRUPTED") {
                wrong += &format!("{} has a chain that is none\n", member.name);
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// The desktop nodes that none of ours is connected to.
    fn lonely(&mut self) -> String {
        let mut known = String::new();
        for member in &mut self.members {
            if member.runs && member.place.is_some() {
                known += &member.node.told(&["7"]);
            }
        }
        let mut lonely = String::new();
        for member in self.members.iter().filter(|member| member.place.is_none()) {
            let port = member.node.port;
            let ways = [
                format!(", listens on {port})"),
                format!(":{port} (we dialed)"),
            ];
            if member.runs && !ways.iter().any(|way| known.contains(way)) {
                lonely += &format!("{} has no connection to one of ours\n", member.name);
            }
        }
        lonely
    }

    /// The figures of a run.
    fn report(&mut self) -> String {
        let owed = self.owed();
        let test = thread::current().name().unwrap_or_default().to_owned();
        let mut report = format!("---- {test}: {} items owed\n", owed.len());
        for member in self.members.iter_mut().filter(|member| member.runs) {
            let look = member.look();
            let (missing, untold) = (owed.difference(&look.held).count(), member.seen().1.len());
            let Status { blocks, peers, .. } = look.status;
            report += &format!(
                "{}: lacks {missing}, told nobody of {untold}; {blocks} blocks, {peers} peers; {}\n",
                member.name, look.remarks
            );
            if member.place.is_some() {
                let answer = member.node.told(&["7"]);
                for line in answer.lines().filter(|line| line.contains("desktop")) {
                    report += &format!("    {line}\n");
                }
            }
        }
        report
    }

    /// What ours held against a peer: here nobody does anything that is not a desktop node's way.
    fn blame(&self) -> String {
        let ours = self.members.iter().filter(|member| member.place.is_some());
        let mut blame = String::new();
        for member in ours {
            let heard = member.node.said() + &member.node.err.text();
            let lines = heard.lines();
            for line in lines.filter(|line| BLAME.iter().any(|word| line.contains(word))) {
                blame += &format!("{}: {line}\n", member.name);
            }
        }
        blame
    }
}

impl Member {
    /// What its users saw as done, and what of that was told to nobody.
    fn seen(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let said = self.node.said();
        let after = |start: &str| {
            let items = said.lines().filter_map(|line| line.strip_prefix(start));
            items.map(str::to_owned).collect::<BTreeSet<String>>()
        };
        let taken = &after("✅ requested ") | &self.taken;
        (taken, &after("[aid] told to nobody: ") | &self.untold)
    }

    fn look(&mut self) -> Look {
        let status = self.node.status();
        let held = self.node.items("3").into_iter().collect();
        let own = ["blockchain is ", "spoiled: "];
        let remarks = status
            .lines
            .iter()
            .filter_map(|line| own.iter().find_map(|start| line.strip_prefix(start)));
        let remarks = remarks.collect::<Vec<_>>().join("; ");
        Look {
            status,
            held,
            remarks,
        }
    }
}

/// One of ours that is not ended by what ends a process whose file gets too long.
fn where_disks_fill(place: &Place, name: &str) -> Launch {
    place.launch().name(name).shell("trap '' XFSZ")
}
