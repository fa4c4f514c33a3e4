//! Whether a peer is there: when it has to be looked at again, what it is asked, and when it is given up.

use super::event::Millis;
use super::peer::{Kind, Peer};
use crate::limits;
use crate::wire::write::Outgoing;

impl Peer {
    /// Whether it takes so long to answer a ping that another connection is better than this one.
    pub fn is_silent(&self, now: Millis) -> bool {
        let silent = |since: Millis| now.0 >= since.0 + limits::SILENT_MS;
        self.pinged.is_some_and(silent)
    }

    /// When it has to be looked at again.
    pub fn deadline(&self) -> Millis {
        let alive = match self.pinged {
            Some(since) => since.0 + self.patience(),
            None => self.heard.0 + limits::IDLE_MS,
        };
        let stalls = |since: Millis| Some(Millis(since.0 + limits::STALL_MS));
        let read = stalls(self.framed).filter(|_| self.reader.mid_line());
        let sent = stalls(self.flowed).filter(|_| !self.writer.pending().is_empty());
        let first = self.first_deadline();
        let others = [
            self.newer_deadline(),
            self.question_deadline(),
            first,
            self.rests,
            read,
            sent,
        ];
        others
            .into_iter()
            .flatten()
            .fold(Millis(alive), Millis::min)
    }

    /// When it has to have said something that is a message, or a block of a chain; not once it has.
    fn first_deadline(&self) -> Option<Millis> {
        let mute = !self.has_spoken() && self.blocks_in == 0;
        mute.then_some(Millis(self.awaited.0 + limits::FIRST_MESSAGE_MS))
    }

    /// This many milliseconds that went by were ours, not the peer's.
    pub fn excuse(&mut self, now: Millis, ms: u64) {
        let times = [
            &mut self.awaited,
            &mut self.heard,
            &mut self.framed,
            &mut self.flowed,
        ];
        let asked = self.asked.iter_mut().chain(&mut self.pinged);
        for time in times.into_iter().chain(asked) {
            *time = Millis((time.0 + ms).min(now.0));
        }
        // What it took to answer cannot be told any more.
        self.timed = None;
    }

    /// Whether nothing was heard of it for this many milliseconds, nor is an answer awaited.
    pub fn is_quiet(&self, now: Millis, ms: u64) -> bool {
        self.pinged.is_none() && self.held.is_none() && now.0 >= self.heard.0 + ms
    }

    /// Looks after the time: says why a dead peer is to be given up.
    pub fn tend(&mut self, now: Millis) -> Option<&'static str> {
        if self.held.is_some() {
            self.excuse(now, u64::from(u32::MAX));
        }
        if self.first_deadline().is_some_and(|at| at <= now) {
            return Some("it has said nothing that is a message");
        }
        let over = |since: Option<Millis>, limit| since.is_some_and(|at| now.0 >= at.0 + limit);
        if over(self.pinged, self.patience()) {
            return Some("it does not answer");
        }
        if self.reader.mid_line() && over(Some(self.framed), limits::STALL_MS) {
            return Some("it stopped in the middle of a message");
        }
        if !self.writer.pending().is_empty() && over(Some(self.flowed), limits::STALL_MS) {
            return Some("it does not take what is sent");
        }
        None
    }

    /// Asks whether it is there. Asked before its time, it may take as much longer to answer.
    pub fn ping(&mut self, now: Millis) {
        let due = Millis(self.heard.0 + limits::IDLE_MS);
        self.pinged = Some(due.max(now));
        let [before, _] = self.probes;
        let number = self.probe();
        self.timed = (number > before).then_some((number, now));
    }

    /// Asks for a sign that everything before was handled; the number of the ping. It is neither timed nor
    /// waited for as a sign of life: one of [`Peer::ping`] is.
    pub fn probe(&mut self) -> u64 {
        self.push(Outgoing::Ping);
        let [pings, _] = self.probes;
        pings
    }

    /// How long it may take to answer: a desktop node may be a notebook that sleeps, and must not
    /// be left behind for that.
    fn patience(&self) -> u64 {
        match self.kind {
            Kind::Desktop(_) => limits::DESKTOP_ANSWER_MAX_MS,
            Kind::Unknown | Kind::Ours(_) | Kind::Newer(_) => limits::ANSWER_MAX_MS,
        }
    }

    /// Bytes came: it is there.
    pub fn hear(&mut self, now: Millis) {
        (self.heard, self.pinged) = (now, None);
    }

    /// It has answered a ping.
    pub fn ponged(&mut self, now: Millis) {
        let [pings, answered] = &mut self.probes;
        // Somebody may say it unasked, and the next ping must not count as answered by that.
        *answered = (*answered + 1).min(*pings);
        let count = *answered;
        if let Some((_, sent)) = self.timed.take_if(|(number, _)| *number <= count) {
            self.ping_ms = Some(now.0 - sent.0);
        }
        if let Some(desktop) = self.desktop() {
            desktop.ponged(now, count);
        }
    }
}
