//! Where the content of what is sent comes from.

use core::net::SocketAddr;

use crate::ledger::Block;
use crate::store::disk::Disk;
use crate::store::log::Log;
use crate::wire::write::Source;

/// What the sending half of a line sees of the node.
pub struct View<'a, D> {
    pub log: &'a mut Log<D>,
    pub known: &'a [SocketAddr],
    pub asking: SocketAddr,
    pub sender: &'a str,
}

impl<D: Disk> Source for View<'_, D> {
    fn length(&self) -> u64 {
        self.log.tip().length
    }

    fn block(&mut self, height: u64) -> Option<Block> {
        match self.log.read(height) {
            Ok(stored) => Some(stored.block),
            Err(error) => {
                log::error!("{error}");
                None
            }
        }
    }

    /// What can be dialed by the one who asks: not itself, and loopback only on this machine.
    fn peers(&self) -> Vec<SocketAddr> {
        let local = self.asking.ip().is_loopback();
        let others = self.known.iter().filter(|address| **address != self.asking);
        let useful = others.filter(|address| local || !address.ip().is_loopback());
        useful.copied().collect()
    }

    fn sender(&self) -> &str {
        self.sender
    }
}
