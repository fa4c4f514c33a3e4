//! Who comes and who goes: connections are accepted, dialed, given up, and dialed again.

use core::net::SocketAddr;

use super::lines::{Peer, Slot};
use super::peers::{Contact, Target};
use super::{Action, Line, Millis, Node};
use crate::limits;
use crate::store::disk::Disk;
use crate::wire::message::MessageKind;
use crate::wire::write::Intent;

impl<D: Disk> Node<D> {
    pub(super) fn incoming(&mut self, from: SocketAddr) {
        let Some(line) = self.free_line() else {
            log::info!("{from} is refused: all {} places are taken", limits::PEERS);
            return self.actions.push_back(Action::Refuse);
        };
        let peer = Peer::new(self.now.mono, from, false);
        self.slots[usize::from(line.0)] = Slot::Open(Box::new(peer));
        self.actions.push_back(Action::Accept { line });
        log::info!("{from} connected");
    }

    fn free_line(&self) -> Option<Line> {
        let free = self
            .slots
            .iter()
            .position(|slot| matches!(slot, Slot::Free))?;
        u8::try_from(free).ok().map(Line)
    }

    fn target_at(&self, line: Line) -> Option<usize> {
        let mut targets = self.targets.iter();
        targets.position(|target| target.line() == Some(line))
    }

    fn target_on(&mut self, line: Line) -> Option<&mut Target> {
        let at = self.target_at(line)?;
        Some(&mut self.targets[at])
    }

    pub(super) fn connected(&mut self, line: Line, local: SocketAddr, remote: SocketAddr) {
        let now = self.now.mono;
        let itself = local.ip() == remote.ip()
            && remote.port() == self.listen.port()
            && (self.listen.ip().is_unspecified() || self.listen.ip() == remote.ip());
        let twice = self.slots.iter_mut().any(|slot| {
            slot.peer()
                .is_some_and(|peer| peer.outbound && peer.remote == remote)
        });
        if itself || twice || local == remote {
            let reason = if twice {
                "it is connected already"
            } else {
                "that is this node itself"
            };
            self.actions.push_back(Action::Hangup { line });
            return self.forget_target(line, reason);
        }
        let mut peer = Peer::new(now, remote, true);
        peer.push(Intent::Plain(MessageKind::PeerAnnounce));
        peer.ask();
        self.slots[usize::from(line.0)] = Slot::Open(Box::new(peer));
        log::info!("connected to {remote}");
        let Some(target) = self.target_on(line) else {
            return;
        };
        target.contact = Contact::Open(line, now);
        target.kept = true;
        let again = target.error.take().is_some();
        let name = target.name();
        if core::mem::take(&mut target.asked) {
            self.answer(&format!("✅ connected to {name}"));
        } else if again {
            self.notify(&format!("[network 🔗] connected to {name} again"));
        }
    }

    pub(super) fn dial_failed(&mut self, line: Line, reason: &str) {
        self.slots[usize::from(line.0)] = Slot::Free;
        if let Some(at) = self.target_at(line) {
            self.missed(at, reason);
        }
    }

    /// A connection that was made is of no use, now or later.
    fn forget_target(&mut self, line: Line, reason: &str) {
        self.slots[usize::from(line.0)] = Slot::Free;
        if let Some(at) = self.target_at(line) {
            self.targets[at].kept = false;
            self.missed(at, reason);
        }
    }

    /// A dial came to nothing: tried again, if its target is kept.
    fn missed(&mut self, at: usize, reason: &str) {
        let chance = self.random();
        let target = &mut self.targets[at];
        let (name, asked, kept) = (target.name(), target.asked, target.kept);
        let then = if kept { "; it is dialed again" } else { "" };
        let text = format!("❌ cannot connect to {name}: {reason}{then}.");
        if kept {
            target.asked = false;
            target.retry(self.now.mono, reason.to_owned(), chance);
        } else {
            self.targets.remove(at);
        }
        if asked {
            self.answer(&text);
        } else if !kept {
            self.notify(&text);
        }
    }

    pub(super) fn closed(&mut self, line: Line, reason: Option<&str>) {
        if line == super::CONSOLE {
            if let Some(console) = &mut self.console {
                match reason {
                    None => console.end_input(),
                    Some(_) => {
                        console.break_output();
                        self.menu.stop_listing();
                    }
                }
            }
            return;
        }
        self.drop_line(
            usize::from(line.0),
            reason.unwrap_or("the other end closed"),
            None,
        );
    }

    /// Ends a connection that deserves it.
    pub(super) fn hang_up(&mut self, line: usize, reason: &str, rest: Option<u64>) {
        let number = u8::try_from(line).expect("a slot's number");
        self.actions
            .push_back(Action::Hangup { line: Line(number) });
        self.drop_line(line, reason, rest);
    }

    fn drop_line(&mut self, line: usize, reason: &str, rest: Option<u64>) {
        let Slot::Open(peer) = core::mem::replace(&mut self.slots[line], Slot::Free) else {
            return;
        };
        log::info!("{}: connection closed: {reason}", peer.remote);
        self.drop_candidate(line);
        let chance = self.random();
        let now = self.now.mono;
        let number = u8::try_from(line).expect("a slot's number");
        let Some(target) = self.target_on(Line(number)) else {
            return;
        };
        match rest {
            None => target.retry(now, reason.to_owned(), chance),
            Some(ms) => target.rest(now, ms, reason.to_owned()),
        }
        let name = target.name();
        let then = match rest {
            None => "dialing again".into(),
            Some(ms) => format!("not dialed for {} minutes", ms / 60_000),
        };
        self.notify(&format!("[network 🔗] lost {name}: {reason}; {then}"));
    }

    /// Looks after everything that waits for a time.
    pub(super) fn tend(&mut self) {
        let now = self.now.mono;
        for line in 0..self.slots.len() {
            let verdict = self.slots[line].peer().and_then(|peer| peer.tend(now));
            if let Some(reason) = verdict {
                self.hang_up(line, reason, None);
            }
        }
        self.tend_sync();
        self.tend_damage();
        if self.ending.is_some() {
            return;
        }
        for at in 0..self.targets.len() {
            if !matches!(self.targets[at].contact, Contact::Waiting(until) if until <= now) {
                continue;
            }
            let Some(line) = self.free_line() else {
                let reason = format!("all {} places are taken", limits::PEERS);
                self.missed(at, &reason);
                // The others have moved up; they are looked at in the next turn.
                return;
            };
            self.slots[usize::from(line.0)] = Slot::Dialing;
            let target = &mut self.targets[at];
            target.contact = Contact::Dialing(line);
            let (host, port) = (target.host.clone(), target.port);
            self.actions.push_back(Action::Dial { line, host, port });
        }
    }

    /// The user wants a connection; the outcome is told when it is known.
    pub(super) fn dial(&mut self, host: String, port: u16) {
        let known = self
            .targets
            .iter()
            .position(|t| t.host == host && t.port == port);
        if let Some(at) = known {
            let target = &mut self.targets[at];
            match target.contact {
                Contact::Open(..) => {
                    let name = target.name();
                    return self.answer(&format!("✅ connected to {name} already"));
                }
                Contact::Waiting(_) => target.contact = Contact::Waiting(self.now.mono),
                Contact::Dialing(_) => {}
            }
            self.targets[at].asked = true;
        } else if self.targets.len() >= limits::PEERS {
            return self.answer(&format!("❌ {} peers are enough.", limits::PEERS));
        } else {
            let mut target = Target::new(host, port, self.now.mono);
            target.asked = true;
            self.targets.push(target);
        }
        self.wait_for_answer();
    }

    /// The time left until a target is dialed again.
    pub(super) fn seconds_until(&self, until: Millis) -> u64 {
        until.0.saturating_sub(self.now.mono.0).div_ceil(1000)
    }
}
