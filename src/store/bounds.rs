//! How much of other chains a node holds.

/// The most that this node holds of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Items in a chain.
    pub items: usize,
    /// Bytes of a chain that is compared with ours.
    pub staging: u64,
}

impl Bounds {
    /// No bounds: for a chain that the user brings.
    pub const NONE: Bounds = Bounds {
        items: usize::MAX,
        staging: u64::MAX,
    };
}
