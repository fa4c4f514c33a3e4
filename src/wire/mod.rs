//! The peers' text: one JSON object a line (PROTOCOL.md section 1), streamed both ways.
//!
//! - Reading: `frame` cuts bytes into lines, and a `chain_response` into its blocks while it
//!   arrives. `incoming` understands each piece: with `message` a line of some `kind`, with `content`
//!   a block or a transaction. `extension` is what only nodes of this project say. `json` and `shape`
//!   read the fields of all of them.
//! - Writing: `write` queues outgoing messages and makes their text, in parts of a `chunk`, while
//!   there is room; `text` is what desktop nodes would write.
//! - `document` reads a chain from a file of JSON, `address` a `HOST:PORT`.
//! - `control` is no peer's: it is what `blx ctl` and a node say to each other.
//!
//! No chain is ever held as text.
//!
//! What is new to say goes into keys of the messages that exist, since whoever does not know a
//! `type` hangs up (PROTOCOL.md section 1): its reading and writing in `extension`, its place in
//! `message`, `chunk` and `write` (there `drop_blocks` says whether it may be left out for a slow
//! peer), what the node does about it in `node::gossip`, and a row in PROTOCOL.md section 4.

pub mod address;
mod chunk;
mod content;
pub mod control;
pub mod document;
pub mod extension;
pub mod frame;
mod incoming;
mod json;
mod kind;
pub mod message;
mod shape;
pub mod text;
pub mod write;

pub use content::{BlockError, InvalidBlock, read_block};
pub use frame::{Frame, FrameError, Reader};
pub use incoming::Incoming;
pub use kind::MessageKind;
pub use message::{Envelope, LineError, Message};
