//! Lines of the log that a stranger can cause by the thousand. The first few of a kind in a second are said; the others
//! are counted, and the count is a line of its own when the second is over. While they come by the hundred the count is all
//! that is said. One per shard.

use crate::base::limits::{REPEATS_FLOOD, REPEATS_SECOND_MAX};
use crate::base::{Time, SECOND};

/// A kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// A route came to the client port.
    WrongDial,
    /// A handshake failed.
    Handshake,
    /// Credentials were wrong or missing.
    Login,
    /// A client broke a rule of the protocol.
    Fault,
    /// A connection that had not said who it is made room for others.
    Stranger,
    /// A client's first message with malformed headers.
    Headers,
    /// Permissions did not allow a publication or a subscription.
    Denied,
    /// A subscription was refused because memory is scarce.
    Scarce,
    /// A member did not answer in time (`shard::assurance`).
    Late,
}

impl Repeat {
    const ALL: [(Repeat, &'static str); 9] = [
        (Repeat::WrongDial, "routes that came to the client port"),
        (Repeat::Handshake, "TLS handshakes failed"),
        (Repeat::Login, "authentication errors"),
        (Repeat::Fault, "clients that broke a rule of the protocol"),
        (Repeat::Stranger, "connections that had not said who they are were dropped"),
        (Repeat::Headers, "clients that sent malformed headers"),
        (Repeat::Denied, "publications and subscriptions were denied"),
        (Repeat::Scarce, "subscriptions were refused: memory is scarce"),
        (Repeat::Late, "members were late to answer while other clusters were asked"),
    ];
}

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    counts: [Count; Repeat::ALL.len()],
    /// A look is due.
    watched: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    since: Option<Time>,
    said: u32,
    unsaid: u64,
}

impl Repeats {
    /// It happened: is it said?
    pub(super) fn happened(&mut self, what: Repeat, now: Time) -> bool {
        let count = &mut self.counts[what as usize];
        if count.unsaid == 0 && count.since.is_none_or(|t| now.since(t) >= SECOND) {
            *count = Count { since: Some(now), said: 0, unsaid: 0 };
        }
        let say = count.said < REPEATS_SECOND_MAX;
        match say {
            true => count.said += 1,
            false => count.unsaid += 1,
        }
        say
    }

    /// When [`Repeats::sum_up`] is to be called for what was not said, if nobody was told so yet.
    pub(super) fn watch(&mut self) -> Option<Time> {
        let due = self.counts.iter().filter(|c| c.unsaid > 0).filter_map(|c| c.since).min()?;
        (!std::mem::replace(&mut self.watched, true)).then(|| due.plus_ns(SECOND))
    }

    /// The lines about what was not said, in seconds that are over.
    pub(super) fn sum_up(&mut self, now: Time) -> Vec<String> {
        self.watched = false;
        let mut lines = Vec::new();
        for (what, words) in Repeat::ALL {
            let count = &mut self.counts[what as usize];
            if count.unsaid > 0 && count.since.is_some_and(|t| now.since(t) >= SECOND) {
                lines.push(format!("{} more {words} within a second", count.unsaid));
                let said = if count.unsaid > REPEATS_FLOOD { REPEATS_SECOND_MAX } else { 0 };
                *count = Count { since: Some(now), said, unsaid: 0 };
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_said_and_the_others_summed_up_each_second() {
        let mut r = Repeats::default();
        let at = |ms: u64| Time(SECOND + ms * SECOND / 1000);
        let said = |r: &mut Repeats, n, ms| (0..n).filter(|_| r.happened(Repeat::Login, at(ms))).count();
        assert_eq!(said(&mut r, 3, 0), 3);
        assert_eq!(r.watch(), None, "all was said");
        assert_eq!(said(&mut r, 1000, 500), REPEATS_SECOND_MAX as usize - 3);
        assert!(r.happened(Repeat::Fault, at(500)), "kinds are counted apart");
        assert_eq!(r.watch(), Some(at(1000)));
        assert_eq!(r.watch(), None, "once is enough");
        let n = 1003 - REPEATS_SECOND_MAX;
        assert_eq!(r.sum_up(at(1000)), [format!("{n} more authentication errors within a second")]);
        assert_eq!(said(&mut r, 200, 1500), 0, "while so many come their number is all that is said");
        assert_eq!(r.sum_up(at(2000)), ["200 more authentication errors within a second"]);
        assert_eq!(said(&mut r, 50, 2500), 0);
        assert_eq!(r.sum_up(at(3000)), ["50 more authentication errors within a second"]);
        assert_eq!(said(&mut r, 50, 3500), REPEATS_SECOND_MAX as usize, "it is over");
        assert_eq!(r.sum_up(at(4500)).len(), 1);
        assert!(r.sum_up(at(5500)).is_empty());
        assert_eq!(said(&mut r, 1, 6000), 1);
    }
}
