//! The loop's part of the consoles: they open, are read and written, and close.

use super::{Driver, Flow, Machine};
use crate::node::{ConnId, Event};
use crate::shell::console::Transfer;
use crate::shell::reason;

impl Driver {
    /// Tells of a console that opened.
    pub(super) fn console_opened<M: Machine>(&mut self, node: &mut M, at: usize) -> Flow {
        let Some(kind) = self.consoles.kind(at) else {
            return Flow::Continue(());
        };
        let conn = ConnId::of_console(at);
        self.tell(node, Event::ConsoleOpened { conn, kind })
    }

    /// Opens serial devices whose time has come.
    pub(super) fn tend_consoles<M: Machine>(&mut self, node: &mut M) -> Flow {
        while let Some(at) = self.consoles.tend(self.now()) {
            self.console_opened(node, at)?;
        }
        Flow::Continue(())
    }

    /// Somebody came by a control socket.
    pub(super) fn admit<M: Machine>(&mut self, node: &mut M, socket: usize) -> Flow {
        match self.consoles.accept(socket, self.now()) {
            Some(at) => self.console_opened(node, at),
            None => Flow::Continue(()),
        }
    }

    pub(super) fn read_console<M: Machine>(&mut self, node: &mut M, at: usize) -> Flow {
        let space = node.rx_space(ConnId::of_console(at));
        if space.is_empty() {
            return Flow::Continue(());
        }
        let transfer = self.consoles.read(at, space);
        self.tell_console(node, at, transfer, |conn, count| Event::Received {
            conn,
            count,
        })
    }

    pub(super) fn write_console<M: Machine>(&mut self, node: &mut M, at: usize) -> Flow {
        let bytes = node.tx_pending(ConnId::of_console(at));
        if bytes.is_empty() {
            return Flow::Continue(());
        }
        let transfer = self.consoles.write(at, bytes);
        self.tell_console(node, at, transfer, |conn, count| Event::Sent {
            conn,
            count,
        })
    }

    fn tell_console<M: Machine>(
        &mut self,
        node: &mut M,
        at: usize,
        transfer: Transfer,
        moved: fn(ConnId, usize) -> Event<'static>,
    ) -> Flow {
        let why = match transfer {
            Transfer::Moved(count) => {
                return self.tell(node, moved(ConnId::of_console(at), count));
            }
            Transfer::Later => return Flow::Continue(()),
            Transfer::End => None,
            Transfer::Broken(error) => Some(reason(&error)),
        };
        self.close_console(node, at, why.as_deref())
    }

    /// A console whose input has ended and that does not read any more either.
    pub(super) fn left_console<M: Machine>(&mut self, node: &mut M, at: usize) -> Flow {
        let left = self
            .consoles
            .iter()
            .any(|(console, stream)| console == at && stream.half_closed().is_some());
        match left {
            true => self.close_console(node, at, Some("it hung up")),
            false => Flow::Continue(()),
        }
    }

    fn close_console<M: Machine>(&mut self, node: &mut M, at: usize, reason: Option<&str>) -> Flow {
        self.consoles.ended(at, self.now(), reason);
        let conn = ConnId::of_console(at);
        self.tell(node, Event::Closed { conn, reason })
    }
}
