//! A connection: its buffers, what is known of the other end, and when it is given up.

use core::net::SocketAddr;

use super::Millis;
use super::addresses::Place;
use super::answer::SessionId;
use super::desktop::Desktop;
use crate::ledger::{Block, End, Nonce, Signature, Tip, Who};
use crate::limits;
use crate::wire::frame::Reader;
use crate::wire::write::{Outgoing, Writer};

/// A block whose signatures are being checked, before its peer's next frame is read.
pub struct Held {
    /// The block.
    pub block: Box<Block>,
    /// What it came in.
    pub origin: BlockOrigin,
    /// The next transaction whose signature is checked.
    pub next: usize,
}

/// What a block came in, and what it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockOrigin {
    /// A message of its own: it extends our chain.
    NewBlock,
    /// A message of its own: it takes the place of our last block.
    Rival,
    /// A message of its own, of a desktop node.
    Desktop,
    /// Of a desktop node, in a place where it is of no use: only its transactions are.
    Salvage,
    /// A chain.
    Chain,
    /// A chain, where ours has a hole.
    Hole,
}

/// What is known of the other end.
pub enum Kind {
    /// It has not spoken yet.
    Unknown,
    /// A node of this project: which one, when it has proven that. Before that it is one of them as far
    /// as chains go, for anybody may have a key and say so.
    Ours(Option<Who>),
    /// A desktop node.
    Desktop(Box<Desktop>),
    /// A desktop node whose ledger has credits, which is asked for its chain at this time.
    Newer(Millis),
}

/// Whether a peer's ledger is known, and what waits until it is.
#[derive(Default)]
pub struct Ledger {
    /// It has told its chain, or was waited for long enough: its questions are answered at once.
    pub known: bool,
    /// It has asked for our chain, and hears it at this time at the latest.
    pub question: Option<Millis>,
    /// A block came before that, and is looked at by this time.
    pub early: Option<(Box<Block>, Millis)>,
    /// The user was told that it has credits.
    pub told: bool,
}

/// What one of ours was told of the voices last.
#[derive(Clone, Copy, Default)]
pub struct Told {
    /// The news that were in it, by their number.
    pub news: u64,
    /// When.
    pub at: Option<Millis>,
}

impl Told {
    /// When more is to be told.
    fn due(&self, news: u64) -> Millis {
        let wait = match self.news < news {
            true => limits::VOICE_APART_MS,
            false => limits::VOICE_TELL_MS,
        };
        Millis(self.at.map_or(0, |at| at.0 + wait))
    }
}

/// An open connection.
pub struct Peer {
    /// Their end.
    pub remote: SocketAddr,
    /// Whether we dialed.
    pub outbound: bool,
    /// The receiving half.
    pub reader: Reader,
    /// The sending half.
    pub writer: Writer,
    /// When it was made.
    pub opened: Millis,
    /// Since when its first message is awaited.
    pub awaited: Millis,
    /// When bytes last came.
    pub heard: Millis,
    /// When a frame last came, or could not be read because we were busy.
    pub framed: Millis,
    /// When bytes last left, or there were none to send.
    pub flowed: Millis,
    /// Since when a sign of life is awaited, if it was asked for one: any byte ends that.
    pub pinged: Option<Millis>,
    /// The number of pings that were sent, and of those that were answered.
    pub probes: [u64; 2],
    /// The number of the ping whose answer is timed, and when it left; none when it is answered.
    pub timed: Option<(u64, Millis)>,
    /// How long the last answer to such a ping took, in milliseconds; none before the first.
    pub ping_ms: Option<u64>,
    /// Who it is.
    pub kind: Kind,
    /// Who one of ours says that it is.
    pub claim: Option<End>,
    /// What we drew for this connection.
    pub nonce: Nonce,
    /// That we are who we say we are: it leaves with the next sign of life.
    pub proof: Option<Signature>,
    /// Whether it is known what its ledger is.
    pub ledger: Ledger,
    /// We have told it who we are.
    pub announced: bool,
    /// There was a block for it before it was known who it is.
    pub missed: bool,
    /// The end of its chain, as far as one of ours told it.
    pub tip: Option<Tip>,
    /// The port on which it listens, as it says.
    pub port: Option<u16>,
    /// What it was told last of who is connected to which desktop nodes.
    pub told: Told,
    /// When it was last told whom we know, and when it last told us.
    pub listed: [Option<Millis>; 2],
    /// A block that is being checked.
    pub held: Option<Held>,
    /// The block that is being checked waits until then.
    pub rests: Option<Millis>,
    /// When it was asked for its chain; it has not answered yet.
    pub asked: Option<Millis>,
    /// The number of pings that were sent before that.
    asked_behind: u64,
    /// It is to be asked when the line that is being skipped has ended.
    pub again: bool,
    /// They asked for its chain, and want to hear the outcome.
    pub asked_by: Vec<SessionId>,
    /// The length that our chain had when it began to tell us more than goes into one answer.
    pub from: Option<u64>,
    /// The greatest index of a block that came while its chain was on its way.
    pub seen: u64,
    /// Its chain came while another one was being looked at, and was skipped: it is asked for
    /// again when there is time for it, at this time at the latest.
    pub deferred: Option<Millis>,
    /// Since when its chain waits to be looked at.
    pub waits: Option<Millis>,
    /// Not before then.
    off: Option<Millis>,
    /// Until when it is believed that its chain goes on as it said; none if it was not tried.
    believed: Option<Millis>,
    /// What it said then.
    pub claimed: Option<Tip>,
    /// Its chain is beyond what this node follows: until then it is left alone with it.
    pub unfollowed: Option<Millis>,
    /// Its chain does not have what is missing in ours.
    pub no_help: bool,
    /// It has hung up, for this reason; what it said before is still looked at.
    pub gone: Option<String>,
    /// Broken rules.
    pub misbehaviours: u8,
    /// When it last brought a block that we did not have.
    pub brought: Option<Millis>,
    /// Blocks that came.
    pub blocks_in: u64,
    /// Messages that came.
    pub messages_in: u64,
}

impl Peer {
    /// A connection made just now.
    pub fn new(now: Millis, remote: SocketAddr, outbound: bool) -> Peer {
        Peer {
            remote,
            outbound,
            reader: Reader::default(),
            writer: Writer::default(),
            opened: now,
            awaited: now,
            heard: now,
            framed: now,
            flowed: now,
            pinged: None,
            probes: [0; 2],
            timed: None,
            ping_ms: None,
            kind: Kind::Unknown,
            claim: None,
            nonce: Nonce::default(),
            proof: None,
            ledger: Ledger::default(),
            announced: false,
            missed: false,
            tip: None,
            port: None,
            told: Told::default(),
            listed: [None; 2],
            held: None,
            asked: None,
            asked_behind: 0,
            again: false,
            asked_by: Vec::new(),
            from: None,
            seen: 0,
            deferred: None,
            waits: None,
            off: None,
            believed: None,
            claimed: None,
            rests: None,
            unfollowed: None,
            no_help: false,
            gone: None,
            misbehaviours: 0,
            brought: None,
            blocks_in: 0,
            messages_in: 0,
        }
    }

    /// When one of ours is to hear of the voices again, unless that is on its way.
    pub fn voices_due(&self, news: u64) -> Option<Millis> {
        let may = self.is_ours() && self.gone.is_none() && !self.writer.will_tell();
        may.then(|| self.told.due(news))
    }

    /// Whether it has said anything.
    pub fn has_spoken(&self) -> bool {
        !matches!(self.kind, Kind::Unknown)
    }

    /// Whether it is a node of this project.
    pub fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Ours(_))
    }

    /// Who it is, if it is a node of this project and has proven that.
    pub fn who(&self) -> Option<Who> {
        match self.kind {
            Kind::Ours(who) => who,
            Kind::Unknown | Kind::Desktop(_) | Kind::Newer(_) => None,
        }
    }

    /// What is known of it as a desktop node, if it is one.
    pub fn desktop(&mut self) -> Option<&mut Desktop> {
        match &mut self.kind {
            Kind::Desktop(desktop) => Some(desktop),
            Kind::Unknown | Kind::Ours(_) | Kind::Newer(_) => None,
        }
    }

    /// Whether a chain of it would win against one that ends in `tip`, as far as it has told, and
    /// is followed if it does.
    pub fn is_ahead_of(&self, tip: &Tip) -> bool {
        self.unfollowed.is_none() && self.tip.is_some_and(|theirs| theirs.beats(tip))
    }

    /// Until when it is worth waiting for the chain that it said it has, for which it was asked.
    pub fn believed_until(&self) -> Option<Millis> {
        let asked = self.asked?;
        let until = Millis(asked.0 + limits::LOOK_AHEAD_MS);
        Some(self.believed.unwrap_or(until))
    }

    /// From now on that time is spent.
    pub fn believe(&mut self) {
        if let Some(until) = self.believed_until()
            && self.believed.is_none()
        {
            (self.believed, self.claimed) = (Some(until), self.tip);
        }
    }

    /// What it said is true, or it had something that we lacked: it is believed again.
    pub fn prove(&mut self) {
        (self.believed, self.claimed) = (None, None);
    }

    /// It has brought a block that we did not have.
    pub fn bring(&mut self, now: Millis) {
        self.brought = Some(now);
        self.prove();
    }

    /// Its chain waits until another one was looked at, to be asked for at this time at the latest.
    pub fn defer(&mut self, now: Millis, at: Millis) {
        self.deferred = Some(at);
        self.waits.get_or_insert(now);
    }

    /// Its chain waits until this time, whatever becomes of others.
    pub fn put_off(&mut self, now: Millis, until: Millis) {
        self.defer(now, until);
        self.off = Some(until);
    }

    /// Since when its chain waits, if it could be looked at now.
    pub fn waits_since(&self, now: Millis) -> Option<Millis> {
        let off = self.off.is_some_and(|until| now < until);
        self.waits.filter(|_| self.deferred.is_some() && !off)
    }

    /// The length of its chain, as far as it is known.
    pub fn goal(&self) -> Option<u64> {
        match &self.kind {
            Kind::Ours(_) => self.tip.map(|tip| tip.length),
            Kind::Desktop(desktop) => desktop.said.map(|(length, _)| length),
            Kind::Unknown | Kind::Newer(_) => None,
        }
    }

    /// Tells it who we are, once.
    pub fn announce(&mut self) {
        if !core::mem::replace(&mut self.announced, true) {
            self.push(Outgoing::Announce);
        }
    }

    /// Queues something to send. Who is so slow that the queue is full is not told the blocks and
    /// transactions in it: one of ours asks for what it lacks, a desktop node is asked what it has, and
    /// a device is told the whole chain later, in which they are.
    pub fn push(&mut self, message: Outgoing) {
        if matches!(self.kind, Kind::Unknown) {
            // One of ours would take us for a desktop node if it heard anything else first.
            self.announce();
        }
        if self.queue(message) {
            return;
        }
        let told = matches!(
            message,
            Outgoing::Block(_) | Outgoing::OwnBlock(_) | Outgoing::Transaction(_)
        );
        let dropped = self.writer.drop_blocks();
        let now = self.heard;
        limits::Full::QueueOurs.when(self.is_ours() && (dropped || told));
        match self.desktop() {
            Some(desktop) if !desktop.is_device() => {
                limits::Full::QueueDesktop.ran();
                desktop.doubt(now);
            }
            Some(_) if dropped || told => {
                limits::Full::QueueDevice.ran();
                // What was dropped made room for it. It must not be left out: who has asked for a
                // chain does not ask again before it has come.
                self.queue(Outgoing::Chain);
            }
            _ => {}
        }
        if !told && limits::Full::QueueQuestion.when(!self.queue(message)) {
            log::info!(
                "{}: too many questions at once, one is not answered",
                self.remote
            );
        }
    }

    /// Queues something if there is room. A ping that never leaves is not counted.
    fn queue(&mut self, message: Outgoing) -> bool {
        let queued = self.writer.push(message).is_ok();
        let [pings, _] = &mut self.probes;
        *pings += u64::from(queued && message == Outgoing::Ping);
        queued
    }

    /// Whether a question for its chain would leave now.
    pub fn may_ask(&self) -> bool {
        self.unfollowed.is_none() && self.asked.is_none() && !self.again
    }

    /// Asks for its chain, unless the answer is on its way already or is not followed. Whoever is still sending an
    /// answer that is not wanted any more would not hear another question.
    pub fn ask(&mut self, now: Millis) {
        if self.unfollowed.is_some() || self.is_newer() {
            return;
        }
        if self.reader.is_skipping() {
            self.again = true;
        } else if self.asked.is_none() {
            self.seen = 0;
            self.question(now);
        }
    }

    /// Sends the question for its chain.
    pub fn question(&mut self, now: Millis) {
        (self.asked, self.asked_behind) = (Some(now), self.probes[0]);
        self.push(Outgoing::Request);
    }

    /// Whether its question was passed over, for all that it has answered since. A desktop node may
    /// be a notebook that sleeps: another question would only bring the same chain twice.
    fn passed_over(&self) -> bool {
        let [_, answered] = self.probes;
        !matches!(self.kind, Kind::Desktop(_)) || answered > self.asked_behind
    }

    /// When something is done about a question that has no answer.
    pub fn question_deadline(&self) -> Option<Millis> {
        let since = self.asked.filter(|_| !self.reader.mid_line())?;
        let [sent, _] = self.probes;
        let may_probe = sent == self.asked_behind && self.writer.has_room();
        let acts = self.passed_over() || may_probe;
        acts.then_some(Millis(since.0 + limits::ANSWER_MAX_MS))
    }

    /// Whether a question was passed over; if that is not known yet, asks for a sign that shows it.
    pub fn tend_question(&mut self, now: Millis) -> bool {
        let over = self.question_deadline().is_some_and(|at| at <= now);
        let passed = over && self.held.is_none() && self.passed_over();
        if over && !self.passed_over() {
            self.probe();
        }
        passed
    }

    /// What came last of it is not wanted any more.
    pub fn skip(&mut self) {
        self.reader.skip_line();
        self.asked = None;
    }

    /// The address on which it can be dialed, as far as that is known.
    pub fn listening(&self) -> Option<SocketAddr> {
        if self.outbound {
            return Some(self.remote);
        }
        self.port
            .map(|port| SocketAddr::new(self.remote.ip(), port))
    }

    /// Where it is, as those are told apart who are left alone.
    pub fn place(&self) -> Place {
        let port = self.listening().map(|address| address.port());
        (self.remote.ip(), port)
    }

    /// Our end of its connection: this node is `own`.
    pub fn our_end(&self, own: Who) -> End {
        let nonce = self.nonce;
        End { who: own, nonce }
    }

    /// Whether its kind is known, even if it now says that it is one of ours.
    pub fn is_known(&self, ours: bool) -> bool {
        match self.kind {
            Kind::Unknown => false,
            Kind::Desktop(_) => !ours,
            Kind::Ours(_) | Kind::Newer(_) => true,
        }
    }

    /// Whether something that it said is still to be looked at.
    pub fn is_unread(&self) -> bool {
        self.reader.waiting() || self.held.is_some()
    }

    /// Whether the block that is being checked still waits.
    pub fn still_rests(&mut self, now: Millis) -> bool {
        self.rests = self.rests.filter(|at| now < *at);
        self.rests.is_some()
    }

    /// Whether everything for it was sent, or there is nobody to send it to.
    pub fn is_told(&self) -> bool {
        self.gone.is_some() || self.writer.is_idle()
    }

    /// Keeps a block until its signatures are checked, from the one of its transactions at `next`.
    pub fn hold(&mut self, block: Box<Block>, origin: BlockOrigin, next: usize) {
        self.held = Some(Held {
            block,
            origin,
            next,
        });
    }
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
