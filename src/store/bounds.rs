//! What a node takes of the chains that others send.

/// What this node holds of chains at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Items in a chain.
    pub items: usize,
    /// Bytes of a chain that is compared with ours.
    pub staging: u64,
}

impl Bounds {
    /// Whatever comes is held: for what a user brings himself.
    pub const NONE: Bounds = Bounds {
        items: usize::MAX,
        staging: u64::MAX,
    };
}
