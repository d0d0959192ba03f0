//! Where those come from who were refused for their login just now. One per mesh, small and forgetful; `greet` asks it
//! before it says the first word.
//!
//! A nats-server (2.10 to 2.15) whose route to a server without pools ends calls back at once, without any login, again
//! and again, a thousand times a second; and from our INFO on, until it reads that it was refused, it holds such a call
//! for the route, and closes our own good one as its duplicate. So whoever comes from there waits a while for the INFO.

use crate::base::limits::REFUSED_PLACES_MAX;
use crate::base::{Time, MILLISECOND, SECOND};
use std::collections::BTreeMap;

/// So long it waits. A turnpike that dials gives up after two seconds without INFO.
pub(super) const HELD_NS: u64 = 500 * MILLISECOND;
/// And so long after a refusal the next one waits. Whoever dials with a wrong password does so about once a second.
const LATELY_NS: u64 = 2 * SECOND;

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// When somebody was refused last, by address.
    places: BTreeMap<String, Time>,
}

impl Refused {
    /// Somebody from there was refused.
    pub(super) fn note(&mut self, ip: &str, now: Time) {
        self.places.retain(|_, at| now.since(*at) < LATELY_NS);
        if self.places.len() < REFUSED_PLACES_MAX || self.places.contains_key(ip) {
            self.places.insert(ip.into(), now);
        }
    }

    /// Was somebody from there refused just now?
    pub(super) fn lately(&self, ip: &str, now: Time) -> bool {
        self.places.get(ip).is_some_and(|at| now.since(*at) < LATELY_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_remembered_for_two_seconds_and_a_few_at_a_time() {
        let mut refused = Refused::default();
        refused.note("a", Time(0));
        assert!(refused.lately("a", Time(LATELY_NS - 1)) && !refused.lately("a", Time(LATELY_NS)));
        for n in 0..2 * REFUSED_PLACES_MAX {
            refused.note(&n.to_string(), Time(LATELY_NS));
        }
        assert!(!refused.lately("a", Time(LATELY_NS)) && refused.places.len() == REFUSED_PLACES_MAX);
        refused.note("0", Time(LATELY_NS + 5));
        assert!(refused.lately("0", Time(2 * LATELY_NS + 4)));
    }
}
