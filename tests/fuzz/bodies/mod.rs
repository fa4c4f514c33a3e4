//! What the fuzzer runs, and `cargo test` over the corpora: each takes any bytes, and panics where
//! something does not hold.

#[path = "../../blocks.rs"]
#[allow(dead_code)]
mod blocks;
mod checksums;
mod damage;
// The tests of damage use the rest of these four.
#[path = "../../faults/disk.rs"]
#[allow(dead_code)]
mod disk;
mod files;
#[path = "../../frames.rs"]
mod frames;
#[path = "../../faults/history.rs"]
#[allow(dead_code)]
mod history;
mod lan;
mod node;
mod offline;
#[path = "../../random.rs"]
#[allow(dead_code)]
pub mod random;
#[path = "../../records.rs"]
mod records;
mod script;
#[cfg(test)]
pub mod seeds;
mod typing;
mod wire;

/// Takes any bytes.
pub type Body = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const ALL: [(&str, Body); 12] = [
    ("frames", wire::frames),
    ("message", wire::message),
    ("extension", wire::extension),
    ("control", wire::control),
    ("address", wire::address),
    ("command_line", offline::command_line),
    ("import", offline::import),
    ("files", files::files),
    ("damage", damage::damage),
    ("checksums", checksums::checksums),
    ("typing", typing::typing),
    ("node", node::node),
];

/// The one of this name.
pub fn named(name: &str) -> Option<Body> {
    let found = ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, body)| *body)
}
