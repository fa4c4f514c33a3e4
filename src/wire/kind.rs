//! What a line may be.

/// The values of `type` (PROTOCOL.md section 1); a desktop node hangs up on any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// The dialer's first word.
    PeerAnnounce,
    /// Its answer: whom the other knows.
    PeerList,
    /// Asks for the whole chain.
    RequestChain,
    /// The whole chain, asked for or not.
    ChainResponse,
    /// A block.
    NewBlock,
    /// A transaction, before a block holds it.
    NewTransaction,
    /// Asks for a `pong`.
    Ping,
    /// Answers a `ping`.
    Pong,
}

impl MessageKind {
    /// All of them.
    pub const ALL: [MessageKind; 8] = [
        MessageKind::PeerAnnounce,
        MessageKind::PeerList,
        MessageKind::RequestChain,
        MessageKind::ChainResponse,
        MessageKind::NewBlock,
        MessageKind::NewTransaction,
        MessageKind::Ping,
        MessageKind::Pong,
    ];

    /// What stands in `type`.
    pub fn name(self) -> &'static str {
        match self {
            MessageKind::PeerAnnounce => "peer_announce",
            MessageKind::PeerList => "peer_list",
            MessageKind::RequestChain => "request_chain",
            MessageKind::ChainResponse => "chain_response",
            MessageKind::NewBlock => "new_block",
            MessageKind::NewTransaction => "new_transaction",
            MessageKind::Ping => "ping",
            MessageKind::Pong => "pong",
        }
    }

    pub(super) fn from_name(name: &[u8]) -> Option<MessageKind> {
        let mut all = MessageKind::ALL.into_iter();
        all.find(|kind| kind.name().as_bytes() == name)
    }
}
