//! The rules: what a transaction and a block are, what makes a chain valid, which of two wins.
//!
//! Nothing here reads JSON, a file or a clock. `canonical` has the pieces of the text that everybody
//! hashes and signs; `wire`, which writes the same strings and numbers, shares them.

pub mod block;
pub mod canonical;
pub mod changes;
pub mod fork_choice;
pub mod hash;
pub mod items;
pub mod proof;
mod shown;
pub mod table;
pub mod tally;
pub mod timestamp;
pub mod transaction;
pub mod verifier;
pub mod work;

pub use block::{Block, RuleError};
pub use changes::Changes;
pub use fork_choice::Tip;
pub use hash::Hash;
pub use items::Items;
pub use proof::{Claim, End, Nonce, Nonces, Who};
pub use table::{ItemKey, ItemState};
pub use tally::Tally;
pub use timestamp::Timestamp;
pub use transaction::{Identity, Kind, PublicKey, Signature, Transaction, TransactionId, Uid};
pub use verifier::Verifier;
pub use work::Work;
