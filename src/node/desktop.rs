//! What is known of a desktop node, which leaves to its user's key 8 what `telling` does for it.
//!
//! A desktop node makes a block of its own of the transactions that it hears (PROTOCOL.md section
//! 4), and its threads race (section 5). So what it has is what it said: a block proves itself and no
//! more, its whole chain proves how far that has the same content as ours.

use core::net::SocketAddr;

use super::Millis;
use crate::ledger::Hash;
use crate::limits;
use crate::wire::extension::BlockMark;

/// How a chain ended.
#[derive(Clone, Copy)]
pub struct End {
    /// The length of what links in it, and the hash of its last block.
    pub length: u64,
    pub hash: Hash,
    /// That block is not one of ours.
    pub forked: bool,
    /// What links has the content of ours, as far as that goes.
    pub same: bool,
    /// The blocks behind it that do not link.
    pub loose: u64,
}

impl End {
    /// Whether a chain that ends so is the same.
    pub fn is_as(&self, other: &End) -> bool {
        let tell = |end: &End| (end.length, end.hash, end.loose);
        tell(self) == tell(other)
    }
}

/// How the chain of a desktop node stands to ours, as far as it said and was told since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It has to say first.
    Unknown,
    /// This many blocks, with the content of ours.
    Same(u64),
    /// This many blocks, and another content.
    Apart(u64),
    /// This many blocks that do not link. Its monitor may cut them yet.
    Spoiled(u64, Millis),
}

/// What is remembered of desktop nodes, whichever of their connections are there.
#[derive(Default)]
pub struct Remembered {
    /// Blocks that were made of those of theirs: their heights, who made the first, and when.
    pub followed: heapless::HistoryBuf<(u64, SocketAddr, Millis), { limits::DESKTOP_BLOCKS }>,
    /// Those whose connection ended before they had answered the ping behind what they were told, and
    /// when.
    pub left: heapless::HistoryBuf<(SocketAddr, Millis), { limits::DESKTOP_BLOCKS }>,
    /// Blocks without a transaction that may still be made for them.
    pub allowance: Allowance,
}

impl Remembered {
    /// Whether something may still be under way to this one over a connection that has ended.
    pub fn has_left(&self, now: Millis, id: SocketAddr) -> bool {
        let lasts = |at: Millis| now.0 < at.0 + limits::DESKTOP_ANSWER_MAX_MS;
        let mut left = self.left.iter();
        left.any(|(there, at)| *there == id && lasts(*at))
    }
}

/// Whether what a desktop node was told before has been handled is not known.
#[derive(Clone, Copy, Default)]
pub struct Unsure {
    /// How many answers came since.
    answers: u8,
    /// The last of them.
    last: Option<End>,
}

impl Unsure {
    /// After another answer; `None` if it is known now.
    fn after(self, end: &End) -> Option<Unsure> {
        let same = self.last.is_some_and(|last| last.is_as(end));
        let answers = self.answers + 1;
        (!same && answers < limits::DESKTOP_UNSURE).then_some(Unsure {
            answers,
            last: Some(*end),
        })
    }
}

/// The blocks without a transaction that may be made on a desktop node's word.
pub struct Allowance {
    left: u64,
    /// When there was one more last.
    since: Millis,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance {
            left: limits::EMPTY_BLOCKS,
            since: Millis(0),
        }
    }
}

impl Allowance {
    /// When the next one may be made.
    pub fn due(&self, now: Millis) -> Millis {
        match self.left {
            0 => Millis(self.since.0 + limits::EMPTY_BLOCK_MS),
            _ => now,
        }
    }

    /// One is made, if that may be.
    pub fn take(&mut self, now: Millis) -> bool {
        let more = (now.0 - self.since.0) / limits::EMPTY_BLOCK_MS;
        self.since.0 += more * limits::EMPTY_BLOCK_MS;
        self.left = (self.left + more).min(limits::EMPTY_BLOCKS);
        let may = !limits::Full::EmptyBlocks.when(self.left == 0);
        self.left -= u64::from(may);
        may
    }
}

/// For as long as the connection lasts.
pub const FOR_GOOD: Millis = Millis(u64::MAX);

/// What is known of a desktop node.
pub struct Desktop {
    /// It has a chain: its first word was a node's, or it told one.
    is_node: bool,
    /// How its chain stands to ours.
    pub stand: Stand,
    /// The length of the chain that it told last, and when.
    pub said: Option<(u64, Millis)>,
    /// What it said last proves where it stands: it was told nothing since.
    pub proven: bool,
    /// When it was told something last.
    told: Option<Millis>,
    /// When it may be told the whole chain again.
    pub(super) chain_at: Millis,
    /// The number of the ping behind what it was told last, and when that was, until it is answered.
    pub(super) under_way: Option<(u64, Millis)>,
    /// It is asked for its chain then.
    pub(super) ask_at: Millis,
    /// Since when we speak to it, on this connection.
    pub(super) spoken_to: Option<Millis>,
    /// It waits for our chain.
    pub asks: bool,
    /// It is told nothing before that.
    pub(super) quiet: Millis,
    /// Something was under way to it when another connection ended: its next answers may have gone
    /// before that was handled.
    pub(super) unsure: Option<Unsure>,
    /// Since when its chain does not link, whatever it was told meanwhile.
    spoiled: Option<Millis>,
    /// How many of its next answers are asked for sooner than usual: somebody whom this node does
    /// not know of may have told it something too.
    wary: u8,
    /// When our chain is made longer than its own, which it would keep.
    pub(super) tie: Option<Millis>,
    /// What it told last of its chain, and when.
    pub(super) answer: Option<(End, Millis)>,
    /// How often in a row its chain differed from that of a connection which shows the same
    /// address.
    pub(super) apart: u8,
    /// Its chain was the same as that of a connection which shows the same address, and no one
    /// else's.
    pub(super) is_twin: bool,
    /// When it announced a block last.
    announced: Option<Millis>,
    /// Its last blocks.
    made: heapless::HistoryBuf<Hash, { limits::DESKTOP_BLOCKS }>,
    /// A block of it that another one of ours heard of from this address.
    shared: Option<(SocketAddr, BlockMark)>,
    /// Its address on another connection, which has brought its blocks too, and until when it goes by
    /// that.
    alias: Option<(SocketAddr, Millis)>,
    /// Whom it is connected to, as it says.
    pub friends: Vec<SocketAddr>,
    /// It has said that since it is ours to speak to.
    pub(super) is_met: bool,
    pub(super) announce_at: Millis,
    /// It has a block of its own that it did not send over this connection: if that does not come, it
    /// does not know the connection any more from then on.
    pub(super) deaf: Option<Millis>,
    /// While that is so, and there is no other connection, it is dialed at this time.
    pub(super) dial_at: Millis,
}

impl Desktop {
    /// One of which nothing is known but whether its first word was a node's.
    pub fn new(now: Millis, is_node: bool) -> Desktop {
        Desktop {
            is_node,
            stand: Stand::Unknown,
            said: None,
            proven: false,
            told: None,
            chain_at: now,
            under_way: None,
            ask_at: now,
            spoken_to: None,
            asks: false,
            quiet: now,
            unsure: None,
            spoiled: None,
            wary: 0,
            tie: None,
            answer: None,
            apart: 0,
            is_twin: false,
            announced: None,
            made: heapless::HistoryBuf::new(),
            shared: None,
            alias: None,
            friends: Vec::new(),
            is_met: false,
            announce_at: Millis(now.0 + limits::PEER_LIST_MS),
            deaf: None,
            dial_at: now,
        }
    }

    /// Whether it never said anything that only a node says: a device that sends signed lines, and
    /// hears of every block.
    pub fn is_device(&self) -> bool {
        !self.is_node
    }

    /// It said what only a node says.
    pub fn mark_node(&mut self) {
        self.is_node = true;
    }

    /// It is ours to speak to from now on. Nobody here knows what another one has told it, nor who else may
    /// speak to it; `unsure` says that something of that may still be under way.
    pub fn mark_spoken_to(&mut self, now: Millis, unsure: bool) {
        self.spoken_to = Some(now);
        if unsure {
            self.unsure = Some(Unsure::default());
        }
        if self.said.is_none_or(|(_, at)| at < now) {
            (self.stand, self.said) = (Stand::Unknown, None);
        }
        if core::mem::take(&mut self.is_met) {
            self.announce_at = now;
        }
        self.doubt(now);
    }

    /// It is told the whole chain, of this many blocks.
    pub fn tell_chain(&mut self, now: Millis, ping: u64, length: u64) {
        self.tell(now, ping, Stand::Unknown);
        self.chain_at = Millis(now.0 + poll_ms(length) / 3);
        self.ask_at = now;
    }

    /// Its answer to the question of this time for its chain has ended; `None` if that was not looked
    /// at. True if it had told one before.
    pub fn has_told(&mut self, now: Millis, asked: Option<Millis>, end: Option<End>) -> bool {
        let again = self.said.is_some();
        let Some(end) = end.filter(|end| end.length + end.loose > 0) else {
            self.doubt(now);
            return false;
        };
        self.answer = Some((end, now));
        let length = end.length + end.loose;
        let overtaken = self.told > asked && asked.is_some();
        self.stand = match (end.loose, end.same) {
            // What it was told since is behind that.
            (0, true) if overtaken => self.stand,
            (0, true) => Stand::Same(length),
            (0, false) => Stand::Apart(length),
            _ => Stand::Spoiled(length, *self.spoiled.get_or_insert(now)),
        };
        let spoiled = self.is_spoiled();
        self.spoiled = self.spoiled.filter(|_| spoiled);
        self.wary = match self.stand {
            Stand::Same(_) => self.wary.saturating_sub(1),
            _ => limits::DESKTOP_WARY,
        };
        let wait = match self.wary {
            _ if spoiled => limits::DESKTOP_MONITOR_MS / 2,
            0 => poll_ms(length),
            _ => poll_ms(length) / 3,
        };
        (self.said, self.proven, self.is_node) = (Some((length, now)), !overtaken, true);
        self.ask_at = Millis(now.0 + wait);
        if overtaken && self.stand == Stand::Unknown {
            self.doubt(now);
        }
        self.unsure = self.unsure.take().and_then(|unsure| unsure.after(&end));
        if self.unsure.is_some() {
            self.quiet = Millis(now.0 + limits::DESKTOP_QUIET_MS);
            (self.ask_at, self.stand, self.proven) = (self.quiet, Stand::Unknown, false);
        }
        again
    }

    /// A block of its own was next, behind what it is taken to have: that proves the block.
    pub fn note_added(&mut self, now: Millis, length: u64) {
        self.said = Some((length, now));
        (self.stand, self.proven) = (Stand::Same(length), false);
    }

    /// The time to ask it for its chain is near: what it has is in doubt.
    pub fn doubt(&mut self, now: Millis) {
        let rested = self
            .said
            .map_or(0, |(length, at)| at.0 + poll_ms(length) / 15);
        self.ask_at = self.ask_at.min(Millis(rested.max(now.0)));
        self.proven = false;
    }

    /// It is told something that can change its chain, behind which goes the ping of this number.
    pub fn tell(&mut self, now: Millis, ping: u64, stand: Stand) {
        self.told = Some(now);
        (self.under_way, self.stand, self.proven) = (Some((ping, now)), stand, false);
    }

    /// It has answered this many pings.
    pub fn ponged(&mut self, now: Millis, count: u64) {
        if let Some((ping, since)) = self.under_way
            && count >= ping
        {
            self.under_way = None;
            if now.0 >= since.0 + limits::DESKTOP_SLOW_MS {
                // Who knows what it heard meanwhile.
                self.doubt(now);
            }
        }
    }

    /// Whether it sent this block over this connection.
    pub fn has_made(&self, hash: &Hash) -> bool {
        self.made.as_slice().contains(hash)
    }

    /// The mark of the last block that it sent.
    pub fn mark(&self) -> Option<BlockMark> {
        self.made.recent().map(mark)
    }

    /// Until when a block that came from the address `from` too shows that this desktop node is the
    /// one at that address: for a while, and for good if another block showed it before. `None` if
    /// it does not show it.
    pub fn shares_mark(
        &mut self,
        now: Millis,
        from: SocketAddr,
        told: &BlockMark,
    ) -> Option<Millis> {
        let known = self.shared == Some((from, *told));
        if known || !self.made.as_slice().iter().any(|hash| mark(hash) == *told) {
            return None;
        }
        let before = self.shared.replace((from, *told));
        Some(match before.is_some_and(|(address, _)| address == from) {
            true => FOR_GOOD,
            false => Millis(now.0 + limits::DESKTOP_DEAF_MS),
        })
    }

    /// It is the one that listens at this address, until then.
    pub fn note_address(&mut self, address: SocketAddr, until: Millis) {
        self.alias = Some((address, until));
    }

    /// When it is another one again by itself.
    pub fn alias_ends(&self) -> Option<Millis> {
        let (_, until) = self.alias.filter(|(_, until)| *until != FOR_GOOD)?;
        Some(until)
    }

    /// The address by which it is known instead of its own.
    pub fn alias(&self, now: Millis) -> Option<SocketAddr> {
        let (address, until) = self.alias?;
        (now < until).then_some(address)
    }

    /// Whether it has sent a block that came from another one too.
    pub fn shares_with(&self, other: &Desktop) -> bool {
        self.made.as_slice().iter().any(|hash| other.has_made(hash))
    }

    /// It has made this block; false if that is known.
    pub fn makes(&mut self, now: Millis, hash: Hash) -> bool {
        self.announced = Some(now);
        let new = !self.has_made(&hash);
        if new {
            limits::Full::MadeForgotten.when(self.made.is_full());
            self.made.write(hash);
        }
        self.deaf = None;
        new
    }

    /// Whether it is another desktop node than that which shows the same address.
    pub fn is_apart(&self) -> bool {
        self.apart >= limits::DESKTOP_APART
    }

    /// Whether it was told nothing and announced nothing since then.
    pub fn is_unchanged(&self, since: Millis) -> bool {
        self.told.max(self.announced) < Some(since) && self.under_way.is_none()
    }

    /// Whether its chain is only a few blocks longer than ours.
    pub fn is_near(&self, ours: u64) -> bool {
        let most = ours.saturating_add(limits::BRING_UP_BLOCKS);
        self.said.is_some_and(|(length, _)| length <= most)
    }

    /// Whether its own words since the last change prove that it has what we have, this many
    /// blocks.
    pub fn has_all(&self, ours: u64) -> bool {
        self.stand == Stand::Same(ours) && self.proven
    }

    /// Whether its chain does not link.
    pub fn is_spoiled(&self) -> bool {
        matches!(self.stand, Stand::Spoiled(..))
    }

    /// What it needs beside our chain of this length.
    pub fn need(&self, ours: u64, now: Millis) -> Need {
        let chain = |theirs| match theirs < ours {
            true => Need::Chain,
            false => Need::Longer,
        };
        match self.stand {
            Stand::Same(theirs) if theirs >= ours => Need::Nothing,
            Stand::Same(theirs)
                if limits::Full::BringUp.when(ours - theirs > limits::BRING_UP_BLOCKS) =>
            {
                Need::Chain
            }
            Stand::Same(theirs) => Need::Block(theirs),
            Stand::Apart(theirs) => chain(theirs),
            Stand::Spoiled(theirs, since) => match now.0 >= since.0 + limits::DESKTOP_MONITOR_MS {
                true => chain(theirs),
                false => Need::Nothing,
            },
            Stand::Unknown => Need::Nothing,
        }
    }
}

fn mark(hash: &Hash) -> BlockMark {
    *hash
        .as_bytes()
        .first_chunk()
        .expect("32 bytes begin with 8")
}

/// How often it is asked for a chain of this length, which costs it and the wire as much: every so
/// many milliseconds.
fn poll_ms(length: u64) -> u64 {
    limits::DESKTOP_POLL_MS * length.max(1_000) / 1_000
}

/// What a desktop node needs to have what we have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    /// The block at this height.
    Block(u64),
    /// The whole chain.
    Chain,
    /// The whole chain, when that is longer: as it is, it would keep its own.
    Longer,
}
