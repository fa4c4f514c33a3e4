//! How long no blocks are made because others say that they are ahead. What would be put on top of our
//! chain would be disconnected again if that is so; if it is not, words alone must not keep anything waiting.

use super::ChainSync;
use crate::limits;
use crate::node::effects::Cx;
use crate::node::event::Millis;
use crate::node::peers::Peers;
use crate::store::disk::Disk;

/// How long nothing came of what others say of their chains.
#[derive(Default)]
pub struct Belief {
    /// Milliseconds, without the time since then.
    awaited: u64,
    since: Option<Millis>,
}

impl Belief {
    /// Until when they are believed; none if they are not any more.
    pub fn until(&self, now: Millis) -> Option<Millis> {
        let left = limits::BELIEF_MAX_MS.saturating_sub(self.awaited);
        let until = Millis(self.since.unwrap_or(now).0 + left);
        (now < until).then_some(until)
    }

    /// Looks after the time: whether anybody says that they are ahead, and whether their words are
    /// awaited.
    pub fn tend(&mut self, now: Millis, claimed: bool, awaited: bool) {
        if let Some(since) = self.since.take() {
            self.awaited += now.0.saturating_sub(since.0);
        }
        if !claimed {
            self.awaited = 0;
        } else if awaited {
            self.since = Some(now);
        }
    }
}

impl ChainSync {
    /// Whether a longer chain of one of ours is coming in, or was just asked for: what would be
    /// put on top of our chain now would be disconnected again at once. If so, until when at most, or
    /// when that chain is looked at again.
    pub fn catching_up<D: Disk>(&self, cx: &Cx<D>, peers: &Peers) -> Option<Millis> {
        let until = self.belief.until(cx.now.mono)?;
        self.claimed(cx, peers).map(|claimed| claimed.min(until))
    }

    /// The same, as far as the others are to be believed.
    fn claimed<D: Disk>(&self, cx: &Cx<D>, peers: &Peers) -> Option<Millis> {
        let (tip, now) = (cx.chain.tip(), cx.now.mono);
        let candidate = self.conn();
        let ahead = peers.iter().filter_map(|(conn, peer)| {
            if candidate == Some(conn) {
                return self.stall().filter(|_| peer.is_ahead_of(&tip));
            }
            let until = peer.believed_until()?;
            (now < until && peer.is_ahead_of(&tip)).then_some(until)
        });
        ahead.max()
    }

    /// What somebody says is believed once, until they have brought something.
    pub(super) fn tend_belief<D: Disk>(&mut self, cx: &Cx<D>, peers: &mut Peers) {
        let (tip, now, candidate) = (cx.chain.tip(), cx.now.mono, self.conn());
        for (conn, peer) in peers.iter_mut() {
            if candidate != Some(conn) && peer.is_ahead_of(&tip) {
                peer.believe();
            } else if peer.claimed == Some(tip) {
                peer.prove();
            }
        }
        let awaited = match candidate.and_then(|conn| peers.get(conn)) {
            Some(peer) => !peer.is_unread(),
            None => true,
        };
        let claimed = self.claimed(cx, peers).is_some();
        self.belief.tend(now, claimed, awaited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_believed_for_a_while() {
        let mut belief = Belief::default();
        let end = limits::BELIEF_MAX_MS;
        assert_eq!(belief.until(Millis(5)), Some(Millis(5 + end)));
        belief.tend(Millis(5), true, true);
        assert_eq!(belief.until(Millis(4 + end)), Some(Millis(5 + end)));
        assert_eq!(belief.until(Millis(5 + end)), None);
        // While it comes on, that is our time.
        belief.tend(Millis(1_005), true, false);
        belief.tend(Millis(90_000), true, true);
        assert_eq!(
            belief.until(Millis(90_000)),
            Some(Millis(90_000 + end - 1_000))
        );
        belief.tend(Millis(90_000 + end), true, true);
        assert_eq!(belief.until(Millis(90_000 + end)), None);
        // Nobody says so any more.
        belief.tend(Millis(90_000 + end), false, true);
        assert!(belief.until(Millis(90_000 + end)).is_some());
    }
}
