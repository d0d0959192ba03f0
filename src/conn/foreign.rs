//! What the other end of a link has told of accounts that do not exist here: a reload may bring them, and nobody tells
//! twice what he wants. Lives in routes and in outbound links to other clusters; asked by the shard when accounts come.
//!
//! Only so much is kept. Where there was more, the link has to begin anew when accounts come, so that all is told again.

use crate::base::limits::{FOREIGN_ACCOUNTS_MAX, FOREIGN_BYTES_MAX};
use crate::base::{FarId, FarSet};
use crate::interest::far::{FarSaid, Fars, Mode};
use crate::interest::Cursor;
use std::collections::BTreeMap;
use std::fmt;

/// What each pattern and queue group costs beside its words.
const ENTRY_BYTES: usize = 64;

type Key = (Box<[u8]>, Box<[u8]>);

/// Of a peer: how many it has of each pattern and queue group.
#[derive(Debug, Default)]
pub struct ForeignWants {
    accounts: BTreeMap<Box<[u8]>, BTreeMap<Key, u32>>,
    bytes: usize,
    lost: bool,
}

impl ForeignWants {
    /// A peer wants this; `n` is 0: no more.
    pub fn told(&mut self, account: &[u8], pattern: &[u8], queue: &[u8], n: u32) {
        if self.lost {
            return;
        }
        let (key, cost) = ((pattern.into(), queue.into()), ENTRY_BYTES + pattern.len() + queue.len());
        let wants = match self.accounts.get_mut(account) {
            Some(wants) => wants,
            None if n == 0 => return,
            None => self.accounts.entry(account.into()).or_default(),
        };
        let had = match n {
            0 => wants.remove(&key),
            n => wants.insert(key, n),
        };
        match (had, n) {
            (None, 1..) => self.bytes += cost,
            (Some(_), 0) => self.bytes -= cost,
            _ => {}
        }
        if wants.is_empty() {
            self.accounts.remove(account);
        }
        if self.bytes > FOREIGN_BYTES_MAX || self.accounts.len() > FOREIGN_ACCOUNTS_MAX {
            *self = ForeignWants { lost: true, ..ForeignWants::default() };
        }
    }

    /// Was there more than is kept?
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// What it wants of an account that exists from now on.
    pub fn take(&mut self, account: &[u8]) -> BTreeMap<Key, u32> {
        let wants = self.accounts.remove(account).unwrap_or_default();
        self.bytes -= wants.keys().map(|(pattern, queue)| ENTRY_BYTES + pattern.len() + queue.len()).sum::<usize>();
        wants
    }
}

/// Of another cluster: what it has said, as far as it still counts.
#[derive(Default)]
pub struct ForeignFars {
    accounts: BTreeMap<Box<[u8]>, Fars>,
    /// Of all that was said.
    bytes: usize,
    lost: bool,
}

impl ForeignFars {
    /// The cluster says this; `seed` keys hashes.
    pub fn told(&mut self, account: &[u8], far: FarId, said: FarSaid<'_>, seed: u64) {
        if self.lost {
            return;
        }
        if !self.accounts.contains_key(account) {
            self.accounts.insert(account.into(), Fars::new(seed));
        }
        if let Some(fars) = self.accounts.get_mut(account) {
            fars.said(far, said);
            if fars.is_outdated() {
                fars.sweep(usize::MAX);
                fars.take_swept();
            }
        }
        if let FarSaid::Wants(pattern, queue) | FarSaid::WantsNot(pattern, queue) = said {
            self.bytes += ENTRY_BYTES + pattern.len() + queue.len();
        }
        if self.bytes > FOREIGN_BYTES_MAX || self.accounts.len() > FOREIGN_ACCOUNTS_MAX {
            *self = ForeignFars { lost: true, ..ForeignFars::default() };
        }
    }

    /// Was there more than is kept?
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// What it has said of an account that exists from now on.
    pub fn take(&mut self, account: &[u8]) -> Option<ForeignFar> {
        self.accounts.remove(account).map(ForeignFar)
    }
}

/// What another cluster has said of one account.
pub struct ForeignFar(Fars);

impl ForeignFar {
    /// Says what the cluster would say now.
    pub fn say(&self, far: FarId, mut say: impl FnMut(FarSaid<'_>)) {
        let fars = &self.0;
        let mode = fars.held(far).mode;
        fars.refused(far).for_each(|subject| say(FarSaid::WantsNot(subject, b"")));
        match mode {
            Mode::Refused => say(FarSaid::Account(false)),
            Mode::Transitioning | Mode::InterestOnly => say(FarSaid::Begins),
            Mode::Unknown | Mode::Optimistic => {}
        }
        let mut one = FarSet::EMPTY;
        one.insert(far);
        fars.walk(one, Cursor::default(), usize::MAX, |_, pattern, queue| say(FarSaid::Wants(pattern, queue)));
        if mode == Mode::InterestOnly {
            say(FarSaid::Complete);
        }
    }
}

impl fmt::Debug for ForeignFars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignFars").field("accounts", &self.accounts.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_wants_is_kept_as_it_stands() {
        let mut f = ForeignWants::default();
        for (pattern, queue, n) in [("a", "", 1), ("b", "", 1), ("c", "q", 2), ("b", "", 0), ("c", "q", 5)] {
            f.told(b"X", pattern.as_bytes(), queue.as_bytes(), n);
        }
        f.told(b"Y", b"a", b"", 0);
        let got = f.take(b"X");
        let got: Vec<_> = got.iter().map(|((p, q), n)| (&**p, &**q, *n)).collect();
        assert_eq!(got, [(&b"a"[..], &b""[..], 1), (b"c", b"q", 5)]);
        assert_eq!((f.bytes, f.accounts.len(), f.is_lost()), (0, 0, false));
        assert!(f.take(b"X").is_empty());
    }

    #[test]
    fn too_much_is_not_kept_and_that_is_known() {
        let mut f = ForeignWants::default();
        (0..=FOREIGN_BYTES_MAX / ENTRY_BYTES).for_each(|n| f.told(b"X", n.to_string().as_bytes(), b"", 1));
        assert!(f.is_lost() && f.accounts.is_empty());
        let (mut f, far) = (ForeignFars::default(), FarId(3));
        let name = |n: usize| n.to_string().into_bytes();
        (0..=FOREIGN_ACCOUNTS_MAX).for_each(|n| f.told(&name(n), far, FarSaid::Account(false), 1));
        assert!(f.is_lost() && f.accounts.is_empty());
    }

    /// All that a cluster can say, in many orders: whoever hears it late knows the same.
    #[test]
    fn what_a_cluster_said_means_the_same_when_it_is_heard_late() {
        let far = FarId(3);
        let all = [
            FarSaid::Wants(b"a.*", b""),
            FarSaid::Wants(b"b", b"q"),
            FarSaid::WantsNot(b"a.b", b""),
            FarSaid::WantsNot(b"c", b""),
            FarSaid::WantsNot(b"b", b"q"),
            FarSaid::Account(false),
            FarSaid::Account(true),
            FarSaid::Begins,
            FarSaid::Complete,
        ];
        let mut rng = crate::base::Rng::new(1);
        for _ in 0..2000 {
            let (mut at_once, mut late, mut foreign) = (Fars::new(1), Fars::new(1), ForeignFars::default());
            for _ in 0..rng.below(12) {
                let said = all[rng.below(all.len() as u64) as usize];
                at_once.said(far, said);
                foreign.told(b"X", far, said, 1);
            }
            if let Some(kept) = foreign.take(b"X") {
                kept.say(far, |said| {
                    late.said(far, said);
                });
            }
            let mut live = FarSet::EMPTY;
            live.insert(far);
            for subject in [&b"a.b"[..], b"a.c", b"b", b"c", b"d"] {
                let matches = |fars: &Fars| {
                    let mut groups = 0;
                    let plain = fars.matches(subject, live, FarSet::EMPTY, |_, set| groups |= set.0);
                    (plain.0, groups)
                };
                assert_eq!(matches(&late), matches(&at_once), "{subject:?}");
            }
            let counts = |f: &Fars| {
                let h = f.held(far);
                (h.plain, h.queues, h.refused)
            };
            assert_eq!(counts(&late), counts(&at_once));
        }
    }
}
