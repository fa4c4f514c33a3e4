//! Which of ours speaks to a desktop node. A desktop node spoils its chain when two connections say
//! something at the same time, so of those who are connected to it only one speaks.
//!
//! Each tells in its pings and greetings which desktop nodes it is connected to and whether it is
//! healthy, and passes on what it heard of the others. Of those who are connected to a desktop node
//! the healthy one with the lowest id speaks, or the one with the lowest id if none is healthy. Who
//! has told something later is known by its count: its own goes up by two, so that the one between
//! is left for whoever sees its connection end and says that it is gone, or for itself, when it has
//! started again and hears of who it was. What is told has its age, so that nobody is believed to be
//! there for long only because some tell others of it.

use core::net::SocketAddr;

use crate::limits;
use crate::node::addresses::common;
use crate::node::event::Millis;
use crate::wire::extension::Voice;

/// What is known of another one.
struct Other {
    voice: Voice,
    /// It has told that itself, and not gone since.
    near: bool,
    /// It is believed to be there until then, unless something new is heard of it.
    ends: Millis,
}

impl Other {
    fn is_fresh(&self, now: Millis) -> bool {
        now < self.ends
    }

    /// It is gone, as far as anybody can tell who does not hear it directly.
    fn is_gone(&mut self, now: Millis) {
        self.near = false;
        self.voice.count = self.voice.count.saturating_add(1);
        self.voice.healthy = false;
        self.voice.desktops.clear();
        self.voice.made.clear();
        self.ends = Millis(now.0 + limits::VOICE_MAX_MS);
    }

    /// It, as it is told.
    fn told(&self, now: Millis) -> Voice {
        let since = limits::VOICE_MAX_MS.saturating_sub(self.ends.0.saturating_sub(now.0));
        Voice {
            age: since.div_ceil(1_000),
            ..self.voice.clone()
        }
    }
}

/// Whether these are numbers of the same node, of one start or two.
fn is_kin(one: u64, other: u64) -> bool {
    one as u32 == other as u32
}

/// This node was stopped for a while.
struct Stall {
    /// When it speaks again, whoever has not answered by then.
    until: Millis,
    /// The count of what it told first after that: whoever tells its voice with this count, or a greater
    /// one, has heard it.
    count: u64,
    /// The ids of those that have not heard it yet.
    unheard: Vec<u64>,
}

/// Who is connected to which desktop nodes.
pub struct Voices {
    pub own: Voice,
    /// When our own count went up.
    beat: Millis,
    /// Since when this node has not been healthy.
    busy: Option<Millis>,
    stall: Option<Stall>,
    others: Vec<Other>,
    /// The desktop nodes that are ours to speak to, and from when on.
    turns: Vec<(SocketAddr, Millis)>,
    /// How often something changed that the others are to hear at once.
    news: u64,
}

impl Voices {
    /// Of a node that drew this number.
    pub fn new(id: u64) -> Voices {
        Voices {
            own: Voice {
                id,
                age: 0,
                count: 0,
                healthy: true,
                desktops: Vec::new(),
                made: Vec::new(),
            },
            beat: Millis(0),
            busy: None,
            stall: None,
            others: Vec::new(),
            turns: Vec::new(),
            news: 0,
        }
    }

    /// How often something changed that the others are to hear at once.
    pub fn news(&self) -> u64 {
        self.news
    }

    /// What this node is connected to, in order, and whether it is healthy; true if that is news.
    pub fn set_own(&mut self, now: Millis, desktops: Vec<SocketAddr>, healthy: bool) -> bool {
        self.others
            .retain(|other| now.0 < other.ends.0 + limits::VOICE_FORGET_MS);
        self.stall.take_if(|stall| stall.until <= now);
        self.busy = match healthy {
            true => None,
            false => self.busy.or(Some(now)),
        };
        let patient = |since: Millis| now.0 < since.0 + limits::VOICE_PATIENCE_MS;
        let healthy = self.busy.is_none_or(patient) && self.stall.is_none();
        let news = self.say(now, desktops, healthy);
        if now.0 >= self.beat.0 + limits::VOICE_BEAT_MS {
            self.beat(now);
        }
        self.take_turns(now);
        news
    }

    /// What one of ours told, itself first; true if something of it is news for the others.
    pub fn hear(&mut self, now: Millis, from: u64, told: &[Voice]) -> bool {
        let before = self.news;
        for voice in told.iter().take(limits::VOICES) {
            match voice.id == self.own.id {
                true => self.hear_own(now, from, voice.count),
                false => self.note(now, voice, voice.id == from),
            }
        }
        self.take_turns(now);
        self.news > before
    }

    /// The connection to one of ours has ended: it counts as gone until it is heard of again. True
    /// if that is news.
    pub fn lost(&mut self, now: Millis, id: u64) -> bool {
        let Some(other) = self.others.iter_mut().find(|other| other.voice.id == id) else {
            return false;
        };
        other.near = false;
        if let Some(stall) = &mut self.stall {
            stall.unheard.retain(|unheard| *unheard != id);
        }
        if other.voice.desktops.is_empty() {
            return false;
        }
        let news = other.is_fresh(now);
        other.is_gone(now);
        self.news += u64::from(news);
        self.take_turns(now);
        news
    }

    /// What to tell: of this node first, then of the others that are there.
    pub fn told(&self, now: Millis) -> Vec<Voice> {
        let fresh = self.others.iter().filter(|other| other.is_fresh(now));
        let others = fresh.map(|other| other.told(now));
        core::iter::once(self.own.clone()).chain(others).collect()
    }

    /// Whether this node is the one that speaks to this desktop node.
    pub fn speaks(&self, now: Millis, desktop: SocketAddr) -> bool {
        let desktop = common(desktop);
        let mut turns = self.turns.iter();
        turns.any(|(to, from)| *to == desktop && *from <= now) && self.leads(now, &desktop)
    }

    /// This node was stopped for so long that it may have been replaced. It speaks to nobody before
    /// all that it is connected to have heard it and told what they know, or some time has passed.
    pub fn stalled(&mut self, now: Millis) {
        self.turns.clear();
        let desktops = self.own.desktops.clone();
        self.say(now, desktops, false);
        self.beat(now);
        let near = self.others.iter().filter(|other| other.near);
        self.stall = Some(Stall {
            until: Millis(now.0 + limits::VOICE_SILENCE_MS),
            count: self.own.count,
            unheard: near.map(|other| other.voice.id).collect(),
        });
    }

    /// When something changes by itself.
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        let connected = |other: &&Other| other.is_fresh(now) && !other.voice.desktops.is_empty();
        let ends = self.others.iter().filter(connected).map(|other| other.ends);
        let turns = self.turns.iter().map(|(_, from)| *from);
        let busy = self.busy.filter(|_| self.own.healthy);
        let busy = busy.map(|since| Millis(since.0 + limits::VOICE_PATIENCE_MS));
        let silence = self.stall.as_ref().map(|stall| stall.until);
        ends.chain(turns.filter(|from| *from > now))
            .chain(busy)
            .chain(silence)
            .min()
    }

    fn beat(&mut self, now: Millis) {
        self.own.count = self.own.count.saturating_add(2);
        self.beat = now;
    }

    fn say(&mut self, now: Millis, desktops: Vec<SocketAddr>, healthy: bool) -> bool {
        let moved = desktops != self.own.desktops;
        let turned = healthy != self.own.healthy;
        let news = moved || (turned && !desktops.is_empty());
        (self.own.desktops, self.own.healthy) = (desktops, healthy);
        if moved || turned {
            self.beat(now);
        }
        self.news += u64::from(news);
        news
    }

    /// Others tell of this node. Whoever says that it is gone, with a count one above its own, is answered
    /// at once; a greater count can come from nobody.
    fn hear_own(&mut self, now: Millis, from: u64, count: u64) {
        if count == self.own.count.saturating_add(1) {
            self.beat(now);
            self.news += 1;
        }
        self.stall.take_if(|stall| {
            if count >= stall.count {
                stall.unheard.retain(|unheard| *unheard != from);
            }
            count >= stall.count && stall.unheard.is_empty()
        });
    }

    fn note(&mut self, now: Millis, told: &Voice, near: bool) {
        let mut voice = told.clone();
        voice.desktops = in_order(voice.desktops);
        let age = voice.age.saturating_mul(1_000).min(limits::VOICE_MAX_MS);
        let ends = Millis(now.0 + limits::VOICE_MAX_MS - age);
        let at = self.others.iter().position(|o| o.voice.id == voice.id);
        let news = match at {
            Some(at) => {
                let other = &mut self.others[at];
                other.near |= near;
                if voice.count <= other.voice.count {
                    return;
                }
                let before: &[SocketAddr] = match other.is_fresh(now) {
                    true => &other.voice.desktops,
                    false => &[],
                };
                let turned = voice.healthy != other.voice.healthy && !voice.desktops.is_empty();
                let news = turned || *before != *voice.desktops;
                (other.voice, other.ends) = (voice, ends);
                news
            }
            None if ends > now && self.make_room(now, near) => {
                let news = !voice.desktops.is_empty();
                // Should there be two with one key, the other one will say that it lives.
                let before = is_kin(voice.id, self.own.id) && !near;
                let mut other = Other { voice, near, ends };
                if before {
                    other.is_gone(now);
                }
                self.others.push(other);
                news
            }
            None => false,
        };
        self.news += u64::from(news);
    }

    /// Nodes that told of themselves come before those that were only told of.
    fn make_room(&mut self, now: Millis, near: bool) -> bool {
        if self.others.len() + 1 < limits::VOICES {
            return true;
        }
        let others = self.others.iter().enumerate();
        let may_go = others.filter(|(_, o)| !o.is_fresh(now) || (near && !o.near));
        let oldest = may_go.min_by_key(|(_, other)| other.ends);
        limits::Full::VoiceGone.when(oldest.is_some());
        limits::Full::VoiceRefused.when(oldest.is_none());
        oldest
            .map(|(at, _)| at)
            .map(|at| self.others.swap_remove(at))
            .is_some()
    }

    /// Whether no other one of ours is connected to this desktop node, as far as this one knows.
    pub fn is_alone_beside(&self, now: Millis, desktop: SocketAddr) -> bool {
        self.beside(now, &common(desktop)).next().is_none()
    }

    fn beside(&self, now: Millis, desktop: &SocketAddr) -> impl Iterator<Item = &Voice> {
        let fresh = self.others.iter().filter(move |other| other.is_fresh(now));
        let voices = fresh.map(|other| &other.voice);
        voices.filter(|voice| voice.desktops.contains(desktop))
    }

    /// Whether it is this node's turn to speak, as far as it knows.
    fn leads(&self, now: Millis, desktop: &SocketAddr) -> bool {
        let rank = |voice: &Voice| (!voice.healthy, voice.id);
        let mut beside = self.beside(now, desktop);
        beside.all(|voice| rank(voice) > rank(&self.own))
    }

    /// Notes which desktop nodes have become ours to speak to. Where there are others it takes a
    /// while before all know.
    fn take_turns(&mut self, now: Millis) {
        let alone = !self.others.iter().any(|other| other.is_fresh(now));
        let wait = if alone { 0 } else { limits::VOICE_SETTLE_MS };
        let mut turns = Vec::new();
        for desktop in &self.own.desktops {
            if self.stall.is_none() && self.leads(now, desktop) {
                let mut before = self.turns.iter();
                let before = before.find(|(to, _)| to == desktop);
                let from = before.map_or(Millis(now.0 + wait), |(_, from)| *from);
                turns.push((*desktop, from));
            }
        }
        self.turns = turns;
    }
}

pub fn in_order(desktops: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut desktops: Vec<_> = desktops.into_iter().map(common).collect();
    desktops.sort_unstable();
    desktops.dedup();
    limits::Full::VoiceDesktops.when(desktops.len() > limits::VOICE_DESKTOPS);
    desktops.truncate(limits::VOICE_DESKTOPS);
    desktops
}

#[cfg(test)]
#[path = "voices_tests.rs"]
pub(super) mod tests;
