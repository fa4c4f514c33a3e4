//! The file of the address book: whom this node may dial, kept over a restart.

use core::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskError, File};
use super::sealed::Seal;

const SEAL: Seal = Seal {
    file: File::Peers,
    magic: *b"\x89BLXPRS\x01",
};

/// An address in the address book: at most 38 bytes in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where the peer listens. Of an IPv6 address the scope and the flow are not kept.
    pub address: SocketAddr,
    /// Who told it.
    pub source: IpAddr,
    /// A connection to it was made, and it spoke.
    pub proven: bool,
}

/// Reads the address book, best first; empty if there is none. A damaged one is copied into a file
/// beside it and emptied; the name of the copy is returned.
pub fn read(disk: &mut impl Disk) -> Result<(Vec<Entry>, Option<String>), DiskError> {
    let (entries, aside) =
        SEAL.read_or_set_aside(disk, |body| postcard::from_bytes::<Vec<Entry>>(body).ok())?;
    Ok((entries.unwrap_or_default(), aside))
}

/// Writes the address book, best first, durably and at once.
pub fn write(disk: &mut impl Disk, entries: &[Entry]) -> Result<(), DiskError> {
    SEAL.write(disk, &entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::memory::MemoryDisk;

    fn entries() -> Vec<Entry> {
        let entry = |address: &str, source: &str, proven| Entry {
            address: address.parse().expect("an address"),
            source: source.parse().expect("an address"),
            proven,
        };
        vec![
            entry("192.168.1.7:6000", "192.168.1.9", true),
            entry("[2001:db8::1]:65535", "::1", false),
        ]
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut disk = MemoryDisk::default();
        assert_eq!(read(&mut disk), Ok((vec![], None)));
        for book in [entries(), entries()[1..].to_vec(), vec![]] {
            write(&mut disk, &book).expect("writes");
            assert_eq!(read(&mut disk), Ok((book.clone(), None)));
            let mut cut = disk.after_power_cut(0);
            assert_eq!(read(&mut cut), Ok((book, None)));
        }
    }

    #[test]
    fn a_damaged_book_is_set_aside_and_not_met_again() {
        let mut whole = MemoryDisk::default();
        write(&mut whole, &entries()).expect("writes");
        let size = whole.live(File::Peers).len();
        let mut damaged = Vec::new();
        for at in 0..size {
            let mut disk = whole.clone();
            disk.live(File::Peers)[at] ^= 0x40;
            damaged.push(disk);
        }
        for cut in 1..size {
            let mut disk = whole.clone();
            disk.live(File::Peers).truncate(cut);
            damaged.push(disk);
        }
        for mut disk in damaged {
            let bytes = disk.live(File::Peers).clone();
            let name = Some("peers.blx.damaged-1".to_owned());
            assert_eq!(read(&mut disk), Ok((vec![], name)));
            assert_eq!(disk.aside, [bytes]);
            assert_eq!(read(&mut disk.after_power_cut(0)), Ok((vec![], None)));
        }
    }
}
