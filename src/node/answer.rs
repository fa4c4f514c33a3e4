//! How something ended that a user asked for, as people and programs are told.

use core::fmt;

use serde::{Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;

use crate::ledger::{Kind, Transaction, Uid};

/// Names a session at a console, among all that ever were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(pub u64);

/// How something ended that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The item is taken.
    Requested(#[serde(serialize_with = "spell")] Uid),
    /// The item is given back.
    Released(#[serde(serialize_with = "spell")] Uid),
    /// The peer of this name is connected now.
    Connected(String),
    /// The peer of this name was connected already.
    #[serde(rename = "connected")]
    ConnectedAlready(String),
    /// These peers were asked for their chains.
    Asked(Vec<String>),
    /// How that ended.
    Outcome {
        /// Whose chain it is.
        peer: String,
        /// A clause.
        outcome: String,
    },
    /// It is impossible: a sentence.
    Refused(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Requested(item) => write!(f, "✅ requested {item}"),
            Answer::Released(item) => write!(f, "✅ released {item}"),
            Answer::Connected(name) => write!(f, "✅ connected to {name}"),
            Answer::ConnectedAlready(name) => write!(f, "✅ connected to {name} already"),
            Answer::Asked(names) => {
                let names = names.join(", ");
                write!(f, "[consensus 📡] asked for their chains: {names}")
            }
            Answer::Outcome { peer, outcome } => write!(f, "[consensus ℹ️] {peer}: {outcome}"),
            Answer::Refused(why) => write!(f, "❌ {why}"),
        }
    }
}

/// Writes a name into JSON as what it is, whatever a screen shows of it.
pub fn spell<S: Serializer>(name: &Uid, serializer: S) -> Result<S::Ok, S::Error> {
    let text = RawValue::from_string(name.to_json()).map_err(S::Error::custom)?;
    text.serialize(serializer)
}

/// What a transaction does, as a word.
pub fn verb(transaction: &Transaction) -> &'static str {
    match transaction.kind {
        Kind::Request => "request",
        Kind::Release => "release",
    }
}

/// What is done to an item, as a participle.
pub fn done(kind: Kind) -> &'static str {
    match kind {
        Kind::Request => "requested",
        Kind::Release => "released",
    }
}

/// A key as people tell it apart: its first digits.
pub fn menu_name(key: &str) -> String {
    key.chars().take(12).collect()
}
