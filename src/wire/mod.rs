//! The peers' text: one JSON object a line (PROTOCOL.md section 1), streamed both ways.
//!
//! `frame` cuts bytes into lines, and a `chain_response` into its blocks while it arrives;
//! `message` gives a line of some `kind` its meaning, `content` a block or a transaction, `extension`
//! what only nodes of this project say, by what `json` and `shape` tell of its fields; `text` is what desktop nodes would write, and `write` turns what a
//! line is to send into it while there is `room`; `document` reads a chain from a file of JSON,
//! `address` a `HOST:PORT`. No chain is ever held as text. `control` is no peer's: it is what
//! `blx ctl` and a node say to each other.

pub mod address;
mod content;
pub mod control;
pub mod document;
pub mod extension;
pub mod frame;
mod json;
mod kind;
pub mod message;
mod room;
mod shape;
pub mod text;
pub mod write;

pub use content::{BlockError, InvalidBlock, read_block};
pub use frame::{Frame, FrameError, Reader};
pub use kind::MessageKind;
pub use message::{Envelope, LineError, Message};
