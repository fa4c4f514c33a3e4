//! Whose turn it is: there is one candidate at a time, and nobody keeps the others waiting for ever by
//! telling a chain slowly.

use core::net::IpAddr;

use crate::limits;
use crate::node::event::Millis;
use crate::node::peer::Peer;

/// Who takes turns: an address, so that another connection is no other turn. On this machine several
/// nodes share one, and each of their connections counts by itself.
type Who = (IpAddr, Option<usize>);

/// That of a connection.
fn who(conn: usize, peer: &Peer) -> Who {
    let ip = peer.remote.ip().to_canonical();
    (ip, ip.is_loopback().then_some(conn))
}

/// The turn that goes on, and those that were lost.
#[derive(Default)]
pub struct Turns {
    /// Whose chain was looked at last.
    holder: Option<Who>,
    /// Milliseconds for which its next words were awaited while somebody else's chain waited.
    awaited: u64,
    /// They are awaited since then, and somebody else waits.
    since: Option<Millis>,
    /// Who lost a turn, and until when they wait. A turn takes as long as that wait, so no more
    /// than two wait at a time.
    lost: heapless::HistoryBuf<(Who, Millis), 2>,
}

impl Turns {
    /// A candidate begins.
    pub fn begin(&mut self, conn: usize, peer: &Peer) {
        let who = who(conn, peer);
        if self.holder != Some(who) {
            (self.holder, self.awaited, self.since) = (Some(who), 0, None);
        }
    }

    /// Whether it is this one's turn that goes on.
    pub fn is_holder(&self, conn: usize, peer: &Peer) -> bool {
        self.holder == Some(who(conn, peer))
    }

    /// Until when a peer waits that has lost its turn.
    pub fn waits(&self, now: Millis, conn: usize, peer: &Peer) -> Option<Millis> {
        let who = who(conn, peer);
        let mut lost = self.lost.oldest_ordered();
        let until = lost.find(|(loser, until)| *loser == who && now < *until);
        until.map(|(_, until)| *until)
    }

    /// Looks after the time: `awaited` says whether the holder's next words are, `others` whether
    /// somebody else's chain waits. True if the turn is over.
    pub fn tend(&mut self, now: Millis, awaited: bool, others: bool) -> bool {
        if let Some(since) = self.since.take() {
            self.awaited += now.0.saturating_sub(since.0);
        }
        if !others {
            self.awaited = 0;
        } else if awaited {
            self.since = Some(now);
        }
        if self.awaited < limits::CANDIDATE_TURN_MS {
            return false;
        }
        if let Some(who) = self.holder.take() {
            let until = Millis(now.0 + limits::CANDIDATE_REST_MS);
            self.lost.write((who, until));
        }
        (self.awaited, self.since) = (0, None);
        true
    }

    /// When the turn is over, if nothing comes until then.
    pub fn due(&self) -> Option<Millis> {
        let left = limits::CANDIDATE_TURN_MS.saturating_sub(self.awaited);
        self.since.map(|since| Millis(since.0 + left))
    }

    /// This many milliseconds that went by were ours.
    pub fn excuse(&mut self, now: Millis, ms: u64) {
        self.since = self.since.map(|since| Millis((since.0 + ms).min(now.0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::new(Millis(0), ([10, 0, 0, last], 6000).into(), false)
    }

    #[test]
    fn a_turn_is_over_when_its_words_were_awaited_for_long_enough_while_others_waited() {
        let mut turns = Turns::default();
        turns.begin(0, &peer(1));
        // Nobody else waits.
        assert!(!turns.tend(Millis(0), true, false));
        assert!(!turns.tend(Millis(10 * limits::CANDIDATE_TURN_MS), true, false));
        assert_eq!(turns.due(), None);
        // Somebody does, and half of the time it is we who are slow.
        let mut now = Millis(20 * limits::CANDIDATE_TURN_MS);
        let mut awaited = true;
        let slice = limits::CANDIDATE_TURN_MS / 10;
        for step in 0..19 {
            assert!(!turns.tend(now, awaited, true), "{step}");
            awaited = !awaited;
            now.0 += slice;
        }
        assert!(turns.tend(now, true, true));
        let waits = |turns: &Turns, now, last: u8| turns.waits(now, 0, &peer(last));
        let until = Millis(now.0 + limits::CANDIDATE_REST_MS);
        assert_eq!(waits(&turns, now, 1), Some(until));
        assert_eq!(waits(&turns, now, 2), None);
        assert_eq!(waits(&turns, until, 1), None);
    }

    #[test]
    fn another_connection_of_the_same_address_goes_on_with_its_turn() {
        let mut turns = Turns::default();
        turns.begin(0, &peer(1));
        turns.tend(Millis(0), true, true);
        assert!(!turns.tend(Millis(limits::CANDIDATE_TURN_MS - 1), true, true));
        turns.begin(5, &peer(1));
        assert_eq!(turns.due(), Some(Millis(limits::CANDIDATE_TURN_MS)));
        assert!(turns.tend(Millis(limits::CANDIDATE_TURN_MS), true, true));
        // Somebody else begins anew.
        turns.begin(0, &peer(2));
        turns.tend(Millis(limits::CANDIDATE_TURN_MS), true, true);
        assert!(!turns.tend(Millis(2 * limits::CANDIDATE_TURN_MS - 1), true, true));
        turns.begin(1, &peer(3));
        assert!(!turns.tend(Millis(2 * limits::CANDIDATE_TURN_MS), true, true));
    }

    #[test]
    fn on_this_machine_each_connection_has_a_turn_of_its_own() {
        let local = Peer::new(Millis(0), ([127, 0, 0, 1], 6000).into(), false);
        let mut turns = Turns::default();
        turns.begin(0, &local);
        turns.tend(Millis(0), true, true);
        assert!(turns.tend(Millis(limits::CANDIDATE_TURN_MS), true, true));
        let now = Millis(limits::CANDIDATE_TURN_MS);
        assert!(turns.waits(now, 0, &local).is_some());
        assert!(turns.waits(now, 1, &local).is_none());
    }

    #[test]
    fn what_we_slept_through_is_not_held_against_the_holder() {
        let mut turns = Turns::default();
        turns.begin(0, &peer(1));
        turns.tend(Millis(0), true, true);
        let now = Millis(2 * limits::CANDIDATE_TURN_MS);
        turns.excuse(now, 2 * limits::CANDIDATE_TURN_MS);
        assert!(!turns.tend(now, true, true));
    }
}
