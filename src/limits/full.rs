//! What runs when something is full, path by path: with the feature `tiny-limits` each is counted, so
//! that the simulated world can tell that all of them ran. Without it nothing is.

#[cfg(feature = "tiny-limits")]
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! paths {
    ($($name:ident $what:literal)*) => {
        /// A path that runs when something is full.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Full {
            $(#[doc = $what] $name,)*
        }

        impl Full {
            /// All of them, each with what happens.
            pub const ALL: &[(Full, &str)] = &[$((Full::$name, $what),)*];
        }
    };
}

paths! {
    // Connections.
    PlaceGiven "a newcomer gets the place of another connection"
    PlaceNamed "a peer that was named gets the place of another connection"
    PlaceRefused "a newcomer is refused, as callers have their places and nobody gives one up"
    PlaceFull "a newcomer is refused, as dials have more than their places and nobody gives one up"
    PlaceAddress "a newcomer is refused, as its address has too many connections"
    PlaceDialed "a dial has no place"
    Targets "a user names one peer too many"
    Learned "there are enough connections to dial nobody who was learned"
    Bans "the ban that ends first gives way to another one"
    Misbehaviours "an address that broke a rule is forgotten for another one"
    BookSource "whoever tells of an address has filled their part of the book"
    BookFull "the book is full"
    BookRefused "an address is not taken into the book, as no other one may go"
    BookPorts "a host has as many ports in the book as are not proven"
    BookDials "an address is not dialed, as too many of its source were"
    DialsForgotten "whose addresses were dialed is forgotten for another source"
    // What is read.
    Unread "nothing more is read of a peer before what came is looked at"
    LineLong "a peer's line is too long"
    ElementLong "a block in a peer's chain is too long for a line"
    LineShrinks "the buffer of a long line shrinks when the line was read"
    EnvelopeLong "the text around a peer's chain is too long"
    BlockLong "a peer's block is longer than a block may be"
    TransactionLong "a peer's transaction is longer than a block may be"
    PeerList "a peer tells more addresses than are kept"
    PeerLong "a peer tells an address that is too long for one"
    ToldPool "a peer greets with more transactions than are kept"
    ToldDesktops "one of ours tells of more desktop nodes than are kept"
    ToldVoices "one of ours tells of more of ours than are kept"
    ToldLocator "a peer tells more hashes of its chain than are kept"
    TurnFrames "as many frames were read as go into a turn"
    TurnSignatures "as many signatures were checked as go into a turn"
    TurnText "as much text was read as goes into a turn"
    TurnRecords "as much of the chain file was read, for peers, as goes into a turn"
    // What is sent.
    QueueOurs "one of ours does not take what is sent: blocks are left out"
    QueueDesktop "a desktop node does not take what is sent: it is asked what it has"
    QueueDevice "a device does not take what is sent: it is told the chain instead"
    QueueQuestion "a question is not answered, as too many wait"
    QueueAnew "a chain that is told anew takes the place of what waited last"
    WriteFull "a message does not fit into what is ready to be sent"
    PartFull "a part of the chain ends where no more goes into an answer"
    TurnSent "as much was made to be sent as goes into a turn"
    GreetingPool "more waits than a greeting tells"
    GreetingLacks "one of ours lacks more than it is told at once"
    // The mempool.
    PoolPeer "an address has filled its share of the mempool"
    PoolAll "peers have filled the mempool"
    PoolRestored "what fell out or lost has filled its share"
    NameLong "a transaction on its own has a name that is too long"
    Salvaged "a desktop node's transaction waits for the next answer, as there is no room"
    Gleaned "a losing chain's transaction is left, as there is no room"
    HalfFull "a losing chain is read on when there is room"
    Gathered "what fell out is looked at in parts"
    Outside "what fell out waits outside"
    OutsideWaits "what fell out goes on waiting outside"
    OwnOutside "what is ours of it is kept beside"
    LookedBack "an item's history is longer than is read in a turn"
    BlockCount "no more transactions go into a block"
    BlockText "no more text goes into a block"
    BlockNever "a transaction fits into no block of ours"
    Refused "so much is impossible that the rest waits for the next block"
    DraftRecords "so much was read for a block that the rest waits for the next one"
    WorkTurn "no nonce is found in a turn"
    LostForgotten "a loss that was told is forgotten for another one"
    LateForgotten "what was told to be late is forgotten for another one"
    // Other chains.
    Deferred "a chain is passed over while another one is looked at"
    Enough "a losing chain has given as much as is taken"
    NotesFull "no more open requests of a losing chain are noted"
    SalvageWaits "a desktop node's losing chain is read on when blocks have made room"
    SalvagedAll "an answer that does not link has given as much as is taken"
    TooManyItems "an item too many"
    StagingFull "a chain is too long to be staged"
    StagedLong "a desktop node's block is too long when made again"
    FollowedLong "a desktop node's block is too long to be made ours"
    TurnUnwound "as much was taken back as goes into a turn"
    Rebuilt "so much is taken back that the items are made anew"
    TurnAdopted "as much was put in place as goes into a turn"
    TurnSaved "as much of what fell out was kept as goes into a turn"
    // Desktop nodes.
    VoiceGone "one of ours gives way to another one in what is known of all"
    VoiceRefused "one of ours is not noted, as there are too many"
    VoiceDesktops "one of ours has more desktop nodes than are kept"
    EmptyBlocks "no further empty block may be made now"
    BringUp "a desktop node lacks so much that it is told the chain"
    FollowedForgotten "which desktop node made a block is forgotten for another block"
    LeftForgotten "that a desktop node left is forgotten for another one"
    MadeForgotten "a block that a desktop node made is forgotten for another one"
    // The disk.
    KeyTable "a key has no number, as the table is full"
    GoodForgotten "a good signature is forgotten for another one"
    KeyForgotten "an unpacked key is forgotten for another one"
    LongUnchecked "a transaction is too long to be remembered as good"
    TurnCompacted "as much was copied as goes into a turn"
    EventsHour "an event is only counted, as its hour had too many"
    EventCut "an event is cut"
    RingFull "the older half of the events goes"
    RingListed "there are more events than are listed"
    // Consoles.
    TypedLong "a typed line is too long"
    TypedLongSerial "a line typed on a serial line is too long"
    NameTyped "a typed name is too long"
    NamesTyped "a user asks for too many items at once"
    NameShown "a name is shown without its middle"
    EventsCounted "events of a kind are counted, as they come faster than anybody reads"
    EventsLost "events are left out, as they come too fast for a console"
    EventsWait "events wait until a console has shown the others"
    LinesCut "lines are left out, as they come too fast for a serial line"
    InputWaits "a line waits, as what was said before was not shown yet"
    TurnListed "as much of the chain file was read for a list as goes into a turn"
    ListWaits "a list goes on when its beginning was shown"
}

#[cfg(feature = "tiny-limits")]
static RAN: [AtomicU64; Full::ALL.len()] = [const { AtomicU64::new(0) }; Full::ALL.len()];

impl Full {
    /// The same; where it is true, this path runs.
    #[inline]
    pub fn when(self, full: bool) -> bool {
        #[cfg(feature = "tiny-limits")]
        RAN[self as usize].fetch_add(u64::from(full), Relaxed);
        full
    }

    /// This path runs.
    #[inline]
    pub fn ran(self) {
        self.when(true);
    }

    /// How often it ran in this process.
    #[cfg(feature = "tiny-limits")]
    pub fn count(self) -> u64 {
        RAN[self as usize].load(Relaxed)
    }
}
