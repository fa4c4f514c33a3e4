//! Chain files that are taken to pieces and put together again with every checksum right.

use blx::store::record::{CHECK_BYTES, HEADER_BYTES, PREFIX_BYTES};

/// The bodies of a file's records.
pub fn bodies(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &file[HEADER_BYTES..];
    let mut bodies = Vec::new();
    while let Some(length) = rest.first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (record, behind) = rest.split_at(PREFIX_BYTES + length + CHECK_BYTES);
        bodies.push(record[PREFIX_BYTES..PREFIX_BYTES + length].to_vec());
        rest = behind;
    }
    bodies
}

/// A file with this header, but for its check, and records with these bodies.
pub fn sealed(header: &[u8], bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut file = header[..HEADER_BYTES - CHECK_BYTES].to_vec();
    file.extend_from_slice(&crc32fast::hash(&file).to_le_bytes());
    for body in bodies {
        let before = file.len() - CHECK_BYTES;
        let length = u32::try_from(body.len()).expect("short").to_le_bytes();
        file.extend_from_slice(&length);
        file.extend_from_slice(&crc32fast::hash(&length).to_le_bytes()[..2]);
        file.extend_from_slice(body);
        let check = crc32fast::hash(&file[before..]);
        file.extend_from_slice(&check.to_le_bytes());
    }
    file
}
