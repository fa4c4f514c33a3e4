//! What runs on a host: a node of ours or a desktop node, driven by the same law.

use blx::ledger::Tally;
use blx::node::{Action, Clock, ConnId, Event, Millis, Node};

use crate::desktop::Desktop;
use crate::disk::SimDisk;

pub enum Machine {
    Ours(Box<Node<SimDisk>>),
    Desktop(Box<Desktop>),
}

impl Machine {
    pub fn handle(&mut self, clock: Clock, event: Event<'_>) {
        match self {
            Machine::Ours(node) => node.handle(clock, event),
            Machine::Desktop(node) => node.handle(clock, event),
        }
    }

    pub fn rx_space(&mut self, conn: ConnId) -> &mut [u8] {
        match self {
            Machine::Ours(node) => node.rx_space(conn),
            Machine::Desktop(node) => node.rx_space(conn),
        }
    }

    pub fn tx_pending(&self, conn: ConnId) -> &[u8] {
        match self {
            Machine::Ours(node) => node.tx_pending(conn),
            Machine::Desktop(node) => node.tx_pending(conn),
        }
    }

    /// What the last call of a node of ours did.
    pub fn tally(&self) -> Tally {
        match self {
            Machine::Ours(node) => node.tally(),
            Machine::Desktop(_) => Tally::default(),
        }
    }

    pub fn poll(&mut self) -> Option<Action> {
        match self {
            Machine::Ours(node) => node.poll(),
            Machine::Desktop(node) => node.poll(),
        }
    }

    pub fn deadline(&self) -> Option<Millis> {
        match self {
            Machine::Ours(node) => node.deadline(),
            Machine::Desktop(node) => node.deadline(),
        }
    }
}
