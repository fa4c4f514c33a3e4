//! A rest for a socket that cannot accept: a caller who cannot be accepted, for want of descriptors,
//! would wake the loop for ever.

use crate::limits::ACCEPT_PAUSE_MS;
use crate::node::Millis;

/// Whether nobody is accepted now, and until when.
#[derive(Debug, Default)]
pub struct Pause(Option<Millis>);

impl Pause {
    /// Nobody is accepted for some time.
    pub fn begin(&mut self, now: Millis) {
        self.0 = Some(Millis(now.0 + ACCEPT_PAUSE_MS));
    }

    /// Ends a pause whose time is over.
    pub fn resume(&mut self, now: Millis) {
        self.0 = self.0.filter(|until| *until > now);
    }

    /// When [`resume`](Pause::resume) has work; nothing while there is no pause.
    pub fn deadline(&self) -> Option<Millis> {
        self.0
    }
}
