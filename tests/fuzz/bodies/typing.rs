//! What is typed on a console.

use blx::node::ConsoleKind;

use super::lan::{Heard, Lan, check_shown};
use super::random::Random;
use super::script::Script;

const KINDS: [ConsoleKind; 4] = [
    ConsoleKind::Standard {
        utf8: false,
        echoes: false,
    },
    ConsoleKind::Standard {
        utf8: true,
        echoes: true,
    },
    ConsoleKind::Serial,
    ConsoleKind::Socket,
];

/// All that is shown when these bytes are typed.
fn shown(kind: ConsoleKind, typed: &[u8], mut chop: impl FnMut() -> usize) -> Vec<u8> {
    let mut lan = Lan::new();
    let Some(conn) = lan.open_console(kind) else {
        return Vec::new();
    };
    lan.settle(30);
    let mut rest = typed;
    let mut text = Vec::new();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(chop().min(rest.len()));
        rest = behind;
        lan.say(conn, piece, usize::MAX);
        keep(&lan, conn.0, &mut text);
    }
    lan.pass(3_000, 100);
    keep(&lan, conn.0, &mut text);
    text
}

/// A console that is let go is gone with what was heard there.
fn keep(lan: &Lan, conn: u8, text: &mut Vec<u8>) {
    if let Some(Heard::Console(_, heard)) = lan.lines.get(&conn) {
        text.clone_from(heard);
    }
}

/// Nothing that is typed ends the node but its key, and nothing is shown that a screen obeys.
pub fn typing(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = KINDS[script.below(KINDS.len())];
    let mut random = Random::new(script.byte().into());
    let typed = script.rest();
    for text in [
        shown(kind, typed, || usize::MAX),
        shown(kind, typed, || random.bite(40)),
    ] {
        check_shown(kind, &text);
    }
}
