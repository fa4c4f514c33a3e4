//! A program that asks on a control socket, without a node.

use super::tests::{World, conn};
use super::*;
use crate::limits;
use crate::node::answer::Answer;
use crate::node::event::{ConsoleKind, Millis};
use crate::wire::control::{self, Ask, CtlCommand};

fn ask(ask: CtlCommand) -> String {
    let (json, utf8) = (false, true);
    Ask { ask, json, utf8 }.to_line()
}

/// The lines of an answer and its exit code, if it has ended.
fn answer(world: &mut World) -> (Vec<String>, Option<u8>) {
    let (now, owes) = (world.now, world.owes);
    world.at(0).is_ready(now, owes);
    let (mut lines, mut code) = (Vec::new(), None);
    for text in world.shown(0).lines() {
        match serde_json::from_str(text).expect("an object") {
            control::Reply::Out(value) if code.is_none() => lines.push(value.get().to_owned()),
            control::Reply::Exit(exit) if code.is_none() => code = Some(exit),
            _ => panic!("behind the end: {text}"),
        }
    }
    (lines, code)
}

fn asks(question: CtlCommand) -> (World, Vec<UserCommand>) {
    let mut world = World::new(ConsoleKind::Socket);
    let commands = world.types(0, &ask(question));
    (world, commands)
}

#[test]
fn each_question_of_a_program_is_a_command() {
    let uids = |names: [&str; 2]| names.map(Uid::from).to_vec();
    let names = || vec!["a".to_owned(), "b".to_owned()];
    let list = |reserved| UserCommand::List { reserved };
    for (question, command) in [
        (
            CtlCommand::Request(names()),
            UserCommand::Change(Kind::Request, uids(["a", "b"])),
        ),
        (
            CtlCommand::Release(names()),
            UserCommand::Change(Kind::Release, uids(["a", "b"])),
        ),
        (CtlCommand::Reserved, list(true)),
        (CtlCommand::Available, list(false)),
        (CtlCommand::Peers, UserCommand::Peers),
        (
            CtlCommand::Connect("::1".into(), 6001),
            UserCommand::Connect("::1".into(), 6001),
        ),
        (CtlCommand::SyncChain, UserCommand::SyncChain),
        (CtlCommand::Status, UserCommand::Status),
        (CtlCommand::Events, UserCommand::Events),
    ] {
        let (mut world, commands) = asks(question);
        assert_eq!(commands, [command]);
        assert!(world.at(0).is_control());
    }
}

#[test]
fn what_is_told_ends_with_done_and_the_next_question_may_follow() {
    let mut world = World::new(ConsoleKind::Socket);
    for number in 0..3 {
        let text = ask(CtlCommand::Peers);
        let typing = &mut world.at(0).console.typing;
        typing.space()[..text.len()].copy_from_slice(text.as_bytes());
        typing.received(text.len());
        let (now, owes) = (world.now, world.owes);
        assert!(world.at(0).is_ready(now, owes));
        let command = world.at(0).next_command(6000);
        assert_eq!(command, Some(Some(UserCommand::Peers)));
        world.at(0).say(&format!("peer\n{number}"));
        let expected = ["\"peer\"".to_owned(), format!("\"{number}\"")];
        assert_eq!(answer(&mut world), (expected.to_vec(), Some(control::DONE)));
    }
}

#[test]
fn json_is_one_object_for_each_thing() {
    let mut world = World::new(ConsoleKind::Socket);
    let (ask, json, utf8) = (CtlCommand::Peers, true, false);
    let text = Ask { ask, json, utf8 }.to_line();
    assert_eq!(world.types(0, &text), [UserCommand::Peers]);
    assert!(world.at(0).wants_json());
    world.shown(0);
    // A name is what JSON says, not what a screen shows of it.
    let name = format!("é\n\"\u{1b}\\u001b{}", "x".repeat(limits::NAME_SHOWN));
    world.at(0).say(&Answer::Requested(name.as_str().into()));
    let told = answer(&mut world).0;
    assert!(told[0].starts_with(r#"{"requested":"é\u000a\"\u001b\\u001bxxx"#));
    let told: serde_json::Value = serde_json::from_str(&told[0]).expect("JSON");
    assert_eq!(told["requested"], name);
}

#[test]
fn what_is_impossible_is_refused_with_its_reason() {
    let many = (0..=limits::TRANSACTIONS_PER_BLOCK).map(|number| number.to_string());
    for (question, why) in [
        (
            CtlCommand::Request(vec![" ".into()]),
            "the item ID is empty.",
        ),
        (
            CtlCommand::Request(vec![]),
            "there is no item ID in that list.",
        ),
        (
            CtlCommand::Release(vec!["a".into(), "a".into()]),
            "item a is in the list twice: nothing was released.",
        ),
        (
            CtlCommand::Request(many.collect()),
            "201 items are too many, 200 are allowed at once.",
        ),
        (
            CtlCommand::Connect("pc-2".into(), 0),
            "that is no host with a port.",
        ),
        (
            CtlCommand::Connect("a b".into(), 1),
            "that is no host with a port.",
        ),
    ] {
        let (mut world, commands) = asks(question);
        assert_eq!(commands, []);
        let expected = vec![format!("\"❌ {why}\"")];
        assert_eq!(answer(&mut world), (expected, Some(control::REFUSED)));
    }
}

#[test]
fn a_line_that_is_no_question_is_refused_and_the_next_one_is_heard() {
    let mut world = World::new(ConsoleKind::Socket);
    assert_eq!(world.types(0, "{\"ask\":\"dance\"}\n"), []);
    let (lines, code) = answer(&mut world);
    assert!(lines[0].contains("that is no question to a node"));
    assert_eq!((lines.len(), code), (1, Some(control::REFUSED)));
    assert_eq!(world.types(0, "7\n"), [], "a program has no menu");
    assert_eq!(answer(&mut world).1, Some(control::REFUSED));
    assert_eq!(
        world.types(0, &ask(CtlCommand::SyncChain)),
        [UserCommand::SyncChain]
    );
    assert_eq!(answer(&mut world), (vec![], Some(control::DONE)));
}

#[test]
fn a_node_that_is_not_well_is_an_answer_of_its_own() {
    let (mut world, _) = asks(CtlCommand::Status);
    world.shown(0);
    for (refused, code) in [(false, control::NOT_OK), (true, control::REFUSED)] {
        if let Mode::Control(asked) = &mut world.at(0).menu.mode {
            (asked.open, asked.not_ok, asked.refused) = (true, true, refused);
        }
        assert_eq!(answer(&mut world).1, Some(code));
    }
}

/// Takes an item, and waits for the outcome.
fn waits() -> World {
    let mut world = World::new(ConsoleKind::Socket);
    world.owes = true;
    let text = ask(CtlCommand::Request(vec!["a".into(), "b".into()]));
    let typing = &mut world.at(0).console.typing;
    typing.space()[..text.len()].copy_from_slice(text.as_bytes());
    typing.received(text.len());
    let command = world.at(0).next_command(6000);
    assert!(command.is_some_and(|command| command.is_some()));
    let now = world.now;
    world.at(0).menu.wait(now);
    world
}

#[test]
fn an_answer_ends_when_all_of_it_is_told_however_long_that_takes() {
    let mut world = waits();
    let id = Some(world.at(0).id);
    assert_eq!(world.sessions.due(), None);
    world.now = Millis(1_000_000);
    assert_eq!(answer(&mut world), (vec![], None));
    world.sessions.answer(id, &Answer::Requested("a".into()));
    let told = vec!["\"✅ requested a\"".to_owned()];
    assert_eq!(answer(&mut world), (told, None));
    world
        .sessions
        .answer_program(id, &Answer::Requested("b".into()));
    world.owes = false;
    let told = vec!["\"✅ requested b\"".to_owned()];
    assert_eq!(answer(&mut world), (told, Some(control::DONE)));
    assert_eq!(answer(&mut world), (vec![], None), "it ends once");
}

#[test]
fn an_answer_that_comes_to_nothing_is_none() {
    let mut world = waits();
    world.owes = false;
    let told = vec!["\"❌ it came to nothing.\"".to_owned()];
    assert_eq!(answer(&mut world), (told, Some(control::REFUSED)));
    let mut world = waits();
    let id = Some(world.at(0).id);
    world.sessions.answer(id, &Answer::Refused("no.".into()));
    world.owes = false;
    let told = vec!["\"❌ no.\"".to_owned()];
    assert_eq!(answer(&mut world), (told, Some(control::REFUSED)));
}

#[test]
fn what_is_waited_for_until_a_time_is_refused_behind_that() {
    let mut world = waits();
    let until = Millis(world.now.0 + 60_000);
    world.at(0).menu.wait_until(Some(until));
    assert_eq!(world.sessions.due(), Some(until));
    world.now = Millis(until.0 - 1);
    assert_eq!(answer(&mut world), (vec![], None));
    world.now = until;
    let told = vec!["\"❌ not every peer has answered.\"".to_owned()];
    assert_eq!(answer(&mut world), (told, Some(control::REFUSED)));
}

#[test]
fn the_first_line_on_a_socket_says_who_is_there() {
    let mut world = World::new(ConsoleKind::Socket);
    assert_eq!(world.shown(0), "", "nothing is said before that");
    world.sessions.tell_all(log::Level::Info, "an event");
    assert_eq!(world.types(0, "1\n"), []);
    assert!(world.at(0).is_menu());
    assert_eq!(world.shown(0), "item ID: ");
    assert_eq!(
        world.types(0, "{\"ask\":\"peers\"}\n").len(),
        1,
        "a strange item"
    );

    let mut world = World::new(ConsoleKind::Socket);
    assert_eq!(world.types(0, &ask(CtlCommand::Menu(true))), []);
    assert!(world.at(0).is_menu() && world.at(0).console.is_terminal());
    let shown = world.shown(0);
    assert!(shown.starts_with("=== Blockchain Node (Port 6000) ===\n"));
    assert!(shown.ends_with("\n\nselect > "), "{shown}");
    world
        .sessions
        .tell_all(log::Level::Info, "[network 📦] one");
    assert_eq!(world.shown(0), "\n[network 📦] one\nselect > ");
}

#[test]
fn a_first_line_that_is_unusable_is_answered_as_to_a_program() {
    let mut world = World::new(ConsoleKind::Socket);
    world.at(0).console.typing.space()[..2].copy_from_slice(b"\xff\n");
    world.at(0).console.typing.received(2);
    assert_eq!(world.turn(0), Some(None));
    let (lines, code) = answer(&mut world);
    assert!(lines[0].contains("not UTF-8"), "{lines:?}");
    assert_eq!(code, Some(control::REFUSED));
}

#[test]
fn a_program_hears_of_nothing_that_it_did_not_ask_for() {
    let mut world = waits();
    world.sessions.tell_all(log::Level::Info, "an event");
    world.sessions.answer(None, &Answer::Requested("x".into()));
    assert_eq!(world.sessions.show_progress("10 of 20", true), [false; 2]);
    assert_eq!(answer(&mut world), (vec![], None));
}

#[test]
fn a_program_that_has_left_is_let_go_behind_its_answer() {
    let mut world = waits();
    world.sessions.closed(0, None);
    assert_eq!(world.sessions.let_go(world.now), []);
    let id = Some(world.at(0).id);
    for name in ["a", "b"] {
        world.sessions.answer(id, &Answer::Requested(name.into()));
    }
    world.owes = false;
    let now = world.now;
    world.at(0).is_ready(now, false);
    assert_eq!(world.sessions.let_go(world.now), [], "it was not read");
    assert_eq!(answer(&mut world).1, Some(control::DONE));
    assert_eq!(world.sessions.let_go(world.now), [conn(0)]);
}

#[test]
fn a_program_that_asks_as_fast_as_it_can_and_reads_nothing_is_not_heard() {
    let mut world = World::new(ConsoleKind::Socket);
    let mut taken = 0;
    for _ in 0..2_000 {
        world.types(0, "{\"ask\":\"dance\"}\n");
        taken += usize::from(!world.at(0).console.typing.is_waiting(false));
        if world.at(0).console.typing.is_waiting(false) {
            break;
        }
    }
    assert!(taken > 10 && taken < 1_000);
    assert!(world.at(0).console.pending().len() < limits::OUTPUT_BYTES / 4 + 1_000);
    world.shown(0);
    assert_eq!(world.turn(0), Some(None));
}

#[test]
fn half_a_question_is_waited_for_a_while_and_a_person_for_ever() {
    let mut world = World::new(ConsoleKind::Socket);
    let late = Millis(world.now.0 + limits::CONTROL_LINE_MS);
    assert!(world.sessions.let_go(world.now).is_empty());
    assert_eq!(world.sessions.due(), Some(late));
    world.types(0, "{");
    // Another byte wins no time.
    assert!(world.sessions.let_go(Millis(late.0 - 1)).is_empty());
    assert_eq!(world.sessions.due(), Some(late));
    assert_eq!(world.sessions.let_go(late), [conn(0)]);

    // Each question has time of its own, and who asks none any.
    world.opens(0, ConsoleKind::Socket);
    world.sessions.let_go(world.now);
    let text = ask(CtlCommand::Peers);
    let commands = world.types(0, &format!("{text}{{"));
    assert_eq!(commands, [UserCommand::Peers]);
    world.now = Millis(world.now.0 + 500);
    assert!(world.sessions.let_go(world.now).is_empty());
    let late = Millis(world.now.0 + limits::CONTROL_LINE_MS);
    assert_eq!(world.sessions.due(), Some(late));
    world.types(0, &text[1..]);
    assert!(world.sessions.let_go(Millis(late.0 * 9)).is_empty());
    assert_eq!(world.sessions.due(), None);

    world.opens(0, ConsoleKind::Socket);
    world.types(0, "1\nsa");
    assert!(world.sessions.let_go(world.now).is_empty());
    assert!(world.sessions.let_go(Millis(late.0 * 9)).is_empty());
    assert_eq!(world.sessions.due(), None);
}
