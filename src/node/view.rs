//! Where the content of what is sent comes from.

use core::net::SocketAddr;

use super::pool::Pool;
use crate::ledger::{Block, Hash, Tip, Transaction};
use crate::store::disk::Disk;
use crate::store::log::Log;
use crate::wire::extension::{Greeting, Locator};
use crate::wire::write::Source;

/// What the sending half of a line sees of the node.
pub struct View<'a, D> {
    pub log: &'a mut Log<D>,
    pub pool: &'a Pool,
    pub id: u64,
    /// The length and last hash of what the peer has told of its chain, if the rest is wanted.
    pub candidate: Option<(u64, Hash)>,
    pub known: &'a [SocketAddr],
    pub asking: SocketAddr,
    pub sender: &'a str,
}

impl<D: Disk> Source for View<'_, D> {
    fn tip(&self) -> Tip {
        self.log.tip()
    }

    fn block(&mut self, height: u64) -> Option<Block> {
        if height >= self.log.tip().length {
            return None;
        }
        match self.log.read(height) {
            Ok(stored) => Some(stored.block),
            Err(error) => {
                log::error!("{error}");
                None
            }
        }
    }

    fn transaction(&self, number: u64) -> Option<Transaction> {
        self.pool.transaction(number).cloned()
    }

    fn greeting(&self) -> Greeting {
        Greeting {
            id: Some(self.id),
            tip: Some(self.log.tip()),
            pool: self.pool.ids(),
        }
    }

    /// A hash that cannot be read ends the list: what is behind it is told once more.
    fn locator(&mut self) -> Locator {
        if let Some((length, hash)) = self.candidate {
            let hashes = vec![hash];
            return Locator { length, hashes };
        }
        let length = self.log.tip().length;
        let heights = Locator::heights(length);
        let hashes = heights.map_while(|height| self.log.hash(height).ok());
        Locator {
            length,
            hashes: hashes.collect(),
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
