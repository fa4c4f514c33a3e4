//! What the user of a desktop node does.

use blx::ledger::{Kind, Transaction};
use blx::node::{Action, ConnId};
use blx::wire::{MessageKind, text};

use super::Desktop;
use super::chain::Who;
use super::threads::Deed;

/// What the next line of the user answers.
pub enum Question {
    Menu,
    Request,
    Release,
    Many,
    Host,
    Port(String),
}

impl Desktop {
    pub(super) fn say(&mut self, line: &str) {
        self.shown.extend_from_slice(line.as_bytes());
        self.shown.push(b'\n');
    }

    /// Where the next line of the user ends. They are not heard while the menu dials, or does what they
    /// asked for.
    pub(super) fn typed_line(&self) -> Option<usize> {
        let end = self.typed.iter().position(|byte| *byte == b'\n');
        end.filter(|_| !self.is_away())
    }

    pub(super) fn is_away(&self) -> bool {
        self.dialing.is_some() || self.threads.user_acts()
    }

    /// One line for each event, so that no two transactions are signed at the same time.
    pub(super) fn obey_user(&mut self) {
        if let Some(end) = self.typed_line() {
            let line: Vec<u8> = self.typed.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            self.answered(&line);
        }
    }

    fn answered(&mut self, line: &str) {
        self.question = match std::mem::replace(&mut self.question, Question::Menu) {
            Question::Menu => match line {
                "1" => Question::Request,
                "2" => Question::Release,
                "5" => Question::Many,
                "6" => Question::Host,
                "8" => {
                    self.ask_all();
                    Question::Menu
                }
                "10" => {
                    self.actions.push_back(Action::Exit);
                    Question::Menu
                }
                _ => Question::Menu,
            },
            Question::Request => self.submit(Kind::Request, &[line]),
            Question::Release => self.submit(Kind::Release, &[line]),
            Question::Many => {
                let mut names: Vec<&str> = Vec::new();
                for name in line.split(',').map(str::trim) {
                    if !name.is_empty() && !names.contains(&name) {
                        names.push(name);
                    }
                }
                self.submit(Kind::Request, &names)
            }
            Question::Host => Question::Port(line.to_owned()),
            Question::Port(host) => {
                if let (Some(conn), Ok(port)) = (self.free_conn(), line.parse()) {
                    self.dialing = Some((conn, format!("{host}:{port}")));
                    let conn = ConnId(conn as u8);
                    self.actions.push_back(Action::Dial { conn, host, port });
                }
                Question::Menu
            }
        };
    }

    /// One block of the items that may be requested or released, and a word on every item.
    fn submit(&mut self, kind: Kind, names: &[&str]) -> Question {
        let time = self.time();
        let mut signed = Vec::new();
        for name in names {
            let request = self.identity.sign(kind, (*name).into(), time);
            if self.saved().allows(&request) {
                signed.push(request);
            } else {
                self.say(&format!("❌ {name}"));
            }
        }
        if !signed.is_empty() {
            self.begin(None, Who::User, Deed::Act(kind, signed));
        }
        Question::Menu
    }

    /// The act is over: what is told is the last block of the chain, whoever made it.
    pub(super) fn acted(&mut self, kind: Kind, signed: Vec<Transaction>, crowded: bool) {
        for request in &signed {
            let done = match kind {
                Kind::Request => "requested",
                Kind::Release => "released",
            };
            self.say(&format!("✅ {done} {}", request.uid));
        }
        let mut payload = Vec::new();
        let mut saved = self.saved.borrow_mut();
        saved.acts += 1;
        saved.crowded += usize::from(crowded);
        let last = saved.chain().last().expect("a first block").clone();
        if last.transactions != signed {
            saved.raced.extend(signed.iter().map(Transaction::id));
        }
        saved.done.extend(signed);
        text::block(&mut payload, &last);
        drop(saved);
        self.broadcast(MessageKind::NewBlock, &payload);
    }
}
