//! Connections that have not said who they are, where they have to: so that they take the place of nobody who has, there
//! are only so many of them, in all and from one address (scenarios.md §3.1). And how long somebody who presented a
//! wrong password waits for his refusal. One per shard.

use crate::base::limits::{FAILED_SOURCES_MAX, STRANGERS_MAX, STRANGERS_SOURCE_MAX};
use crate::base::{Cid, ConnId, Time, MILLISECOND, SECOND};
use std::collections::BTreeMap;

/// A shard takes so many in any case: they are not dealt out evenly.
const ALL_LEAST: usize = 64;
/// The same, from one address.
const SOURCE_LEAST: usize = 16;
/// From a wrong password to the refusal.
const PAUSE_NS: u64 = 250 * MILLISECOND;
/// The same, for an address from which many came of late.
const LONG_PAUSE_NS: u64 = SECOND;
/// A failure is forgotten after so long …
const FORGIVEN_NS: u64 = 100 * MILLISECOND;
/// … and so much of it, a hundred failures, makes the pauses long.
const PATIENCE_NS: u64 = 100 * FORGIVEN_NS;
/// The same for all addresses together: what 500 a second take of a core, some fortieth, is no harm …
const ALL_FORGIVEN_NS: u64 = 2 * MILLISECOND;
/// … and two seconds of it are not yet an attack.
const ALL_PATIENCE_NS: u64 = 1000 * ALL_FORGIVEN_NS;

/// Who has to go because too many are there, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany {
    /// The oldest of them.
    pub conn: ConnId,
    /// So many may there be.
    pub max: usize,
    /// From one address, and not in all.
    pub of_source: bool,
}

/// What comes of a wrong password.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// So long until it is said, nanoseconds.
    pub pause_ns: u64,
    /// Too many came of late, from there or in all.
    pub many: bool,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Strangers {
    /// By age.
    all: BTreeMap<Cid, ConnId>,
    sources: BTreeMap<Box<str>, BTreeMap<Cid, ConnId>>,
    all_max: usize,
    source_max: usize,
    /// When the failures of an address are forgotten.
    failed: BTreeMap<Box<str>, Time>,
    /// The same for all of them together.
    failed_all: Time,
}

impl Strangers {
    /// Nobody, on one of so many shards.
    pub(super) fn new(shards: usize) -> Strangers {
        let shards = shards.max(1);
        Strangers {
            all: BTreeMap::new(),
            sources: BTreeMap::new(),
            all_max: STRANGERS_MAX.div_ceil(shards).max(ALL_LEAST),
            source_max: STRANGERS_SOURCE_MAX.div_ceil(shards).max(SOURCE_LEAST),
            failed: BTreeMap::new(),
            failed_all: Time(0),
        }
    }

    /// One more is here; who is to go for it, if there are too many now.
    pub(super) fn came(&mut self, conn: ConnId, cid: Cid, ip: &str) -> Option<TooMany> {
        self.all.insert(cid, conn);
        if !self.sources.contains_key(ip) {
            self.sources.insert(ip.into(), BTreeMap::new());
        }
        let source = self.sources.get_mut(ip)?;
        source.insert(cid, conn);
        let (crowd, max, of_source) = match source.len() > self.source_max {
            true => (&*source, self.source_max, true),
            false if self.all.len() > self.all_max => (&self.all, self.all_max, false),
            false => return None,
        };
        crowd.first_key_value().map(|(_, conn)| TooMany { conn: *conn, max, of_source })
    }

    /// One has said who it is, or is gone.
    pub(super) fn left(&mut self, cid: Cid, ip: &str) {
        self.all.remove(&cid);
        if let Some(source) = self.sources.get_mut(ip) {
            source.remove(&cid);
            if source.is_empty() {
                self.sources.remove(ip);
            }
        }
    }

    /// A wrong password came from this address. Right ones never wait.
    pub(super) fn failed(&mut self, ip: &str, now: Time) -> Failed {
        let own = match self.failed.get_mut(ip) {
            Some(until) => owe(until, FORGIVEN_NS, PATIENCE_NS, now),
            None => {
                if self.failed.len() >= FAILED_SOURCES_MAX {
                    self.failed.retain(|_, until| *until > now);
                }
                // Of more addresses than are remembered all together tell enough.
                if self.failed.len() < FAILED_SOURCES_MAX {
                    self.failed.insert(ip.into(), now.plus_ns(FORGIVEN_NS));
                }
                false
            }
        };
        let all = owe(&mut self.failed_all, ALL_FORGIVEN_NS, ALL_PATIENCE_NS, now);
        Failed { pause_ns: if own { LONG_PAUSE_NS } else { PAUSE_NS }, many: own || all }
    }
}

/// One failure more, where each is forgotten after `each`: are `most` used up?
fn owe(until: &mut Time, each: u64, most: u64, now: Time) -> bool {
    let before = until.0.saturating_sub(now.0);
    *until = now.plus_ns((before + each).min(most));
    before >= most - each
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Slots;

    const SOME: Failed = Failed { pause_ns: PAUSE_NS, many: false };
    const MANY: Failed = Failed { pause_ns: LONG_PAUSE_NS, many: true };

    fn ids(n: usize) -> Vec<ConnId> {
        let mut slots = Slots::default();
        (0..n).map(|_| slots.insert(())).collect()
    }

    #[test]
    fn the_oldest_of_an_address_goes_first_and_then_the_oldest_of_all() {
        let mut s = Strangers::new(1);
        let ids = ids(STRANGERS_MAX + 10);
        for (n, id) in ids.iter().enumerate().take(STRANGERS_SOURCE_MAX) {
            assert_eq!(s.came(*id, Cid(n as u64), "a"), None);
        }
        let n = STRANGERS_SOURCE_MAX;
        let too_many = |conn, max, of_source| Some(TooMany { conn, max, of_source });
        assert_eq!(s.came(ids[n], Cid(n as u64), "a"), too_many(ids[0], STRANGERS_SOURCE_MAX, true));
        s.left(Cid(0), "a");
        for (n, id) in ids.iter().enumerate().take(STRANGERS_MAX + 1).skip(n + 1) {
            assert_eq!(s.came(*id, Cid(n as u64), &format!("b{}", n % 100)), None);
        }
        let n = STRANGERS_MAX + 1;
        assert_eq!(s.came(ids[n], Cid(n as u64), "c"), too_many(ids[1], STRANGERS_MAX, false));
        (0..=n).for_each(|n| ["a", "c", &format!("b{}", n % 100)].iter().for_each(|ip| s.left(Cid(n as u64), ip)));
        assert!(s.all.is_empty() && s.sources.is_empty());
    }

    #[test]
    fn who_fails_again_and_again_waits_longer_and_is_forgiven() {
        let mut s = Strangers::new(1);
        let at = |ns| Time(1_000 * SECOND + ns);
        for _ in 0..99 {
            assert_eq!(s.failed("a", at(0)), SOME);
        }
        for _ in 0..100 {
            assert_eq!(s.failed("a", at(0)), MANY);
        }
        assert_eq!(s.failed("b", at(0)), SOME, "another address");
        assert_eq!(s.failed("a", at(FORGIVEN_NS)), MANY);
        assert_eq!(s.failed("a", at(PATIENCE_NS)), SOME);
    }

    #[test]
    fn where_many_fail_at_a_time_nobody_has_failed_alone() {
        let mut s = Strangers::new(1);
        let fail = |s: &mut Strangers, n: usize, ms: u64| s.failed(&n.to_string(), Time(SECOND + ms * MILLISECOND));
        assert!((0..2000).all(|n| fail(&mut s, n, n as u64 * 2) == SOME), "500 a second");
        assert!((0..990).all(|n| fail(&mut s, n, 4000) == SOME), "and some at once");
        for n in 0..10 {
            fail(&mut s, n, 4000);
        }
        assert_eq!(fail(&mut s, 7777, 4000), Failed { pause_ns: PAUSE_NS, many: true });
        assert_eq!(fail(&mut s, 7778, 8000), SOME);
    }

    #[test]
    fn many_addresses_take_bounded_memory() {
        let mut s = Strangers::new(1);
        for n in 0..10 * FAILED_SOURCES_MAX {
            s.failed(&n.to_string(), Time(0));
        }
        assert!(s.failed.len() <= FAILED_SOURCES_MAX);
        s.failed("a", Time(3600 * SECOND));
        assert_eq!(s.failed.len(), 1);
    }
}
