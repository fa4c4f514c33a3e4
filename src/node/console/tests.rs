//! A person at the menu, without a node.

use super::*;
use crate::limits;
use crate::node::answer::{Answer, SessionId};
use crate::node::event::{CONSOLE, ConnId, ConsoleKind, Millis};

pub(super) const PORT: u16 = 6000;
const TERMINAL: ConsoleKind = ConsoleKind::Standard {
    utf8: true,
    echoes: true,
};
const MENU: &str = "=== Blockchain Node (Port 6000) ===\n1. request (single)\n2. release (single)\n\
    3. list reserved items\n4. list available items\n5. request (multiple)\n6. connect to peer\n\
    7. list connected peers\n8. sync chain from network (consensus)\n\
    9. report blockchain status\n10. exit\n11. list recent events\n\n";

/// The consoles, and as much of a node as drives them.
pub(super) struct World {
    pub sessions: Sessions,
    pub now: Millis,
    /// What was asked for last is not done yet.
    pub owes: bool,
}

impl World {
    pub fn new(kind: ConsoleKind) -> World {
        let mut world = World {
            sessions: Sessions::default(),
            now: Millis(1_000),
            owes: false,
        };
        world.opens(0, kind);
        world
    }

    /// At the menu, which was read.
    fn menu() -> World {
        let mut world = World::new(TERMINAL);
        assert_eq!(world.shown(0), format!("{MENU}select > "));
        world
    }

    pub fn opens(&mut self, at: usize, kind: ConsoleKind) -> Option<SessionId> {
        self.sessions.open(conn(at), kind, PORT, &[]);
        Some(self.at(at).id)
    }

    pub fn at(&mut self, at: usize) -> &mut Session {
        self.sessions.at_mut(at).expect("somebody is there")
    }

    /// Somebody types, and as many lines are taken as may be; what they ask for.
    pub fn types(&mut self, at: usize, text: &str) -> Vec<UserCommand> {
        let typing = &mut self.at(at).console.typing;
        typing.space()[..text.len()].copy_from_slice(text.as_bytes());
        typing.received(text.len());
        core::iter::from_fn(|| self.turn(at)).flatten().collect()
    }

    /// `None`: no line was taken.
    pub fn turn(&mut self, at: usize) -> Option<Option<UserCommand>> {
        let (now, owes) = (self.now, self.owes);
        let session = self.at(at);
        if !session.is_ready(now, owes) || session.console.typing.is_at_end() {
            return None;
        }
        let command = session.next_command(PORT)?;
        session.is_ready(now, owes);
        Some(command)
    }

    /// What is to be read.
    pub fn shown(&mut self, at: usize) -> String {
        let session = self.at(at);
        session.fill(false);
        let text = session.console.pending().to_vec();
        session.console.advance(text.len());
        String::from_utf8(text).expect("UTF-8")
    }
}

pub(super) fn conn(at: usize) -> ConnId {
    ConnId(CONSOLE.0 + at as u8)
}

fn change(kind: Kind, items: &[&str]) -> UserCommand {
    UserCommand::Change(kind, items.iter().map(|item| Uid::from(*item)).collect())
}

#[test]
fn each_number_of_the_menu_asks_for_what_stands_beside_it() {
    let list = |reserved| UserCommand::List { reserved };
    let walk = [
        ("1\nlap\n", change(Kind::Request, &["lap"])),
        ("2\n lap \n", change(Kind::Release, &["lap"])),
        ("3\n", list(true)),
        (" 4 \n", list(false)),
        ("5\na, b\n", change(Kind::Request, &["a", "b"])),
        ("6\npc-2\n6001\n", UserCommand::Connect("pc-2".into(), 6001)),
        ("7\n", UserCommand::Peers),
        ("8\n", UserCommand::SyncChain),
        ("9\n", UserCommand::Status),
        ("10\n", UserCommand::Exit),
        ("11\n", UserCommand::Events),
    ];
    for kind in [TERMINAL, ConsoleKind::Serial, ConsoleKind::Socket] {
        let mut world = World::new(kind);
        for (typed, command) in &walk {
            if kind == ConsoleKind::Socket && *command == UserCommand::Exit {
                continue;
            }
            let asked = world.types(0, typed);
            assert_eq!(asked, core::slice::from_ref(command), "{kind:?}");
            world.shown(0);
        }
    }
}

#[test]
fn a_question_in_two_steps_is_asked_step_by_step() {
    let mut world = World::menu();
    for (typed, question) in [
        ("6\n", "peer host: "),
        ("10.0.0.1\n", "peer port: "),
        ("6001\n", "select > "),
        ("1\n", "item ID: "),
        ("lap\n", "select > "),
        ("5\n", "item IDs: "),
        ("lap\n", "select > "),
    ] {
        world.types(0, typed);
        assert_eq!(world.shown(0), question, "{typed}");
    }
}

#[test]
fn an_answer_that_cannot_be_ends_its_question() {
    for (typed, why) in [
        ("1\n \n", "the item ID is empty."),
        ("5\n, ,\n", "there is no item ID in that list."),
        ("6\na b\n", "that is neither a host name nor an address."),
    ] {
        let mut world = World::menu();
        assert_eq!(world.types(0, typed), []);
        let shown = world.shown(0);
        assert!(shown.ends_with(&format!("❌ {why}\nselect > ")), "{shown}");
        assert_eq!(world.types(0, "7\n"), [UserCommand::Peers]);
    }
    let mut world = World::menu();
    assert_eq!(world.types(0, "6\npc-2\n0\n"), []);
    assert!(world.shown(0).ends_with(".\nselect > "));
}

#[test]
fn an_empty_line_shows_the_menu_and_a_number_that_it_has_not_is_told() {
    let mut world = World::menu();
    assert_eq!(world.types(0, "\n"), []);
    assert_eq!(world.shown(0), format!("{MENU}select > "));
    for typed in ["0\n", "12\n", "-1\n", "01\n", "exit\n"] {
        assert_eq!(world.types(0, typed), []);
        assert_eq!(world.shown(0), "invalid option.\nselect > ", "{typed}");
    }
}

#[test]
fn on_a_serial_line_a_question_can_be_cancelled() {
    let mut world = World::new(ConsoleKind::Serial);
    world.shown(0);
    assert_eq!(world.types(0, "6\rpc-2\r60\x03"), []);
    assert!(world.shown(0).ends_with("60^C\nselect > "));
    assert_eq!(world.types(0, "7\r"), [UserCommand::Peers]);
}

#[test]
fn what_is_no_text_ends_its_question_too() {
    let mut world = World::menu();
    world.types(0, "1\n");
    world.at(0).console.typing.space()[..2].copy_from_slice(b"\xff\n");
    world.at(0).console.typing.received(2);
    assert_eq!(world.turn(0), Some(None));
    let shown = world.shown(0);
    assert!(
        shown.ends_with("❌ that line is not UTF-8 text.\nselect > "),
        "{shown}"
    );
    assert_eq!(world.types(0, "9\n"), [UserCommand::Status]);
}

#[test]
fn exit_on_a_socket_ends_only_the_session_behind_its_last_words() {
    let mut world = World::new(ConsoleKind::Socket);
    assert_eq!(world.types(0, "10\n9\n"), []);
    assert_eq!(world.sessions.let_go(world.now), [], "it was not read");
    assert!(world.shown(0).ends_with("good bye; the node goes on.\n"));
    assert_eq!(world.sessions.let_go(world.now), [conn(0)]);
    assert!(world.sessions.at(0).is_none() && world.sessions.let_go(world.now).is_empty());
}

#[test]
fn whoever_sits_at_the_node_ends_it_by_exit() {
    for kind in [TERMINAL, ConsoleKind::Serial] {
        let mut world = World::new(kind);
        assert_eq!(world.types(0, "10\n"), [UserCommand::Exit]);
    }
}

#[test]
fn the_next_line_is_taken_when_the_last_one_is_done_or_after_a_while() {
    for done in [true, false] {
        let mut world = World::menu();
        assert_eq!(world.types(0, "6\npc-2\n6001\n").len(), 1);
        let now = world.now;
        world.at(0).menu.wait(now);
        world.owes = true;
        world.shown(0);
        let due = Millis(now.0 + limits::ANSWER_MS);
        assert_eq!(world.sessions.due(), Some(due));
        assert_eq!(world.types(0, "7\n"), []);
        assert_eq!(world.shown(0), "", "there is no question yet");
        let (id, answer) = (Some(world.at(0).id), Answer::Connected("pc-2".into()));
        if done {
            world.owes = false;
            world.sessions.answer(id, &answer);
            assert_eq!(world.types(0, ""), [UserCommand::Peers]);
            let expected = "✅ connected to pc-2\nselect > select > ";
            assert_eq!(world.shown(0), expected);
            continue;
        }
        world.now = due;
        assert_eq!(world.types(0, ""), [UserCommand::Peers]);
        let shown = world.shown(0);
        let text = "that takes a while; the outcome will be shown here.\n";
        assert!(shown.starts_with(text), "{shown}");
        // It comes as an event, on a line of its own.
        world.sessions.answer(id, &answer);
        assert_eq!(world.shown(0), "\n✅ connected to pc-2\nselect > ");
        assert_eq!(world.sessions.due(), None);
    }
}

#[test]
fn events_wait_behind_a_list_that_is_being_written() {
    let mut world = World::menu();
    world.types(0, "3\n");
    let last = None;
    let reserved = true;
    world.at(0).menu.listing = Some(Listing { reserved, last });
    world
        .sessions
        .tell_all(log::Level::Info, "[network 📦] one");
    world.at(0).say(&"reserved items: 0");
    assert_eq!(world.types(0, "7\n"), []);
    assert_eq!(world.shown(0), "reserved items: 0\n");
    world.at(0).menu.listing = None;
    let shown = world.shown(0);
    assert_eq!(shown, "[network 📦] one\nselect > ");
    assert_eq!(world.types(0, ""), [UserCommand::Peers]);
}

#[test]
fn whoever_does_not_read_is_not_asked_for_more() {
    let mut world = World::menu();
    let long = "x".repeat(limits::OUTPUT_BYTES / 4);
    world.at(0).say(&long);
    assert_eq!(world.types(0, "7\n"), []);
    assert!(!world.at(0).has_input());
    assert_eq!(world.shown(0), format!("{long}\n"));
    assert!(world.at(0).has_input());
    assert_eq!(world.types(0, ""), [UserCommand::Peers]);
}

#[test]
fn what_there_was_to_say_before_is_told_where_a_menu_opens() {
    let mut world = World::new(TERMINAL);
    let early = ["a record was damaged.".to_owned()];
    world.sessions.open(conn(1), TERMINAL, PORT, &early);
    let text = "[store ⚠️] a record was damaged.\nselect > ";
    assert_eq!(world.shown(1), format!("{MENU}{text}"));
    world
        .sessions
        .open(conn(2), ConsoleKind::Socket, PORT, &early);
    assert_eq!(world.shown(2), "");
}

#[test]
fn an_answer_goes_to_whoever_asked_and_to_everybody_if_he_is_gone() {
    let mut world = World::menu();
    let gone = world.opens(1, ConsoleKind::Socket);
    world.types(1, "7\n");
    world.shown(1);
    let answer = Answer::Requested("a".into());
    world.sessions.answer(gone, &answer);
    assert_eq!(world.shown(0), "");
    assert!(world.shown(1).contains("[ok] requested a\n"));
    world.sessions.closed(1, Some("reset"));
    assert!(world.sessions.at(1).is_none());
    // Whoever has the same slot now is somebody else.
    let next = world.opens(1, ConsoleKind::Serial);
    assert_ne!(next, gone);
    world.shown(1);
    world.sessions.answer(gone, &answer);
    assert_eq!(world.shown(0), "\n✅ requested a\nselect > ");
    assert_eq!(world.shown(1), "\n[ok] requested a\nselect > ");
    // What a person has seen as an event is told to no menu again.
    for id in [gone, next, None] {
        world.sessions.answer_program(id, &answer);
    }
    assert_eq!(world.shown(0) + &world.shown(1), "");
}

#[test]
fn the_end_of_its_input_takes_a_serial_line_away_and_lets_others_be_told_the_rest() {
    let mut world = World::menu();
    world.opens(1, ConsoleKind::Serial);
    world.opens(2, ConsoleKind::Socket);
    world.types(2, "7\n");
    for at in 0..3 {
        world.sessions.closed(at, None);
        world.sessions.closed(at + 5, None);
    }
    assert!(world.sessions.at(1).is_none());
    world.at(2).menu.wait(Millis(0));
    world.shown(2);
    assert_eq!(world.sessions.let_go(world.now), [], "it is not told all");
    world.at(2).menu.waiting = false;
    assert_eq!(world.sessions.let_go(world.now), [conn(2)]);
    assert_eq!(world.shown(0), "", "there is no question for nobody");
    world.sessions.tell_all(log::Level::Info, "an event");
    assert_eq!(world.shown(0), "\nan event\n");
    world.sessions.closed(0, Some("broken pipe"));
    world.sessions.tell_all(log::Level::Info, "an event");
    assert_eq!(world.shown(0), "");
    assert!(world.sessions.are_idle());
}
