//! What goes wrong a thousand times a second is logged at once, and then summed up once a minute. One per machine that
//! meets strangers: the mesh, the gateways. `C` is its list of causes.

use super::limits::MESH_NOTICES_MAX;
use super::time::{Time, SECOND};
use std::collections::BTreeMap;

/// Between two lines about the same thing.
pub const QUIET_NS: u64 = 60 * SECOND;

/// See the file's head.
#[derive(Debug)]
pub struct Notices<C> {
    said: BTreeMap<(C, String), Said>,
}

impl<C> Default for Notices<C> {
    fn default() -> Notices<C> {
        Notices { said: BTreeMap::new() }
    }
}

#[derive(Debug)]
struct Said {
    /// When it was last spoken of.
    at: Time,
    /// How often it happened since.
    since: u64,
    /// The last time's words.
    text: String,
}

impl<C: Copy + Ord> Notices<C> {
    /// Something happened: what to log now, if anything.
    pub fn happened(&mut self, now: Time, cause: C, who: &str, text: String) -> Option<String> {
        let key = (cause, who.to_string());
        let key = if self.said.len() >= MESH_NOTICES_MAX && !self.said.contains_key(&key) {
            (cause, String::new())
        } else {
            key
        };
        match self.said.get_mut(&key) {
            Some(said) => {
                said.since += 1;
                said.text = text;
                None
            }
            None => {
                self.said.insert(key, Said { at: now, since: 0, text: text.clone() });
                Some(text)
            }
        }
    }

    /// Was this spoken of so lately that more of it is only counted?
    pub fn hushed(&self, cause: C, who: &str) -> bool {
        self.said.contains_key(&(cause, who.to_string()))
    }

    /// The summaries due; what has not happened again is forgotten.
    pub fn summaries(&mut self, now: Time) -> Vec<(C, String)> {
        let mut out = Vec::new();
        self.said.retain(|(cause, _), said| {
            if now.since(said.at) < QUIET_NS {
                return true;
            }
            if said.since == 0 {
                return false;
            }
            out.push((
                *cause,
                format!("{} more times in {} s: {}", said.since, now.since(said.at) / SECOND, said.text),
            ));
            (said.at, said.since) = (now, 0);
            true
        });
        out
    }

    /// When [`Notices::summaries`] has something to do.
    pub fn next_at(&self) -> Option<Time> {
        self.said.values().map(|said| said.at.plus_ns(QUIET_NS)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Cause {
        Client,
        Foreign,
    }

    #[test]
    fn first_at_once_then_once_a_minute_with_a_count_then_forgotten() {
        let mut notices = Notices::default();
        let at = |s: u64| Time(s * SECOND);
        let say = |n: &mut Notices<Cause>, s| n.happened(at(s), Cause::Client, "1.2.3.4", "a client".into());
        assert_eq!(say(&mut notices, 0).as_deref(), Some("a client"));
        for _ in 0..5000 {
            assert_eq!(say(&mut notices, 1), None);
        }
        assert!(notices.summaries(at(59)).is_empty());
        assert_eq!(notices.next_at(), Some(at(60)));
        assert_eq!(notices.summaries(at(60)), [(Cause::Client, "5000 more times in 60 s: a client".into())]);
        assert!(notices.summaries(at(120)).is_empty());
        assert_eq!(notices.next_at(), None);
        assert!(say(&mut notices, 121).is_some());
    }

    #[test]
    fn many_addresses_cost_no_more_than_a_line_each_up_to_a_bound() {
        let mut notices = Notices::default();
        let said =
            (0..10_000).filter_map(|n: u32| notices.happened(Time(0), Cause::Foreign, &n.to_string(), "x".into()));
        assert_eq!(said.count(), MESH_NOTICES_MAX + 1);
        assert_eq!(notices.summaries(Time(QUIET_NS)).len(), 1);
    }
}
