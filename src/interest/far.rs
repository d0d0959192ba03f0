//! What other clusters want of one account, as they told it over our links to them (cluster-protocol.md §§4.6, 4.7). Every
//! shard holds one such table per account; all take in the same statements in the same order, and so know the same.
//!
//! One trie holds what all clusters asked for, so that a message costs one match however many clusters there are. A cluster
//! whose link has ended is masked by whoever asks, and taken out in slices.

use super::trie::Cursor;
use super::Trie;
use crate::base::{FarId, FarSet, Map, Seeded};
use crate::wire::subject;

/// How one cluster wants an account's plain messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It said nothing: all of them.
    #[default]
    Unknown,
    /// None (`A-`).
    Refused,
    /// All but what it refused.
    Optimistic,
    /// Still so, while it tells what it wants.
    Transitioning,
    /// Only what it asked for.
    InterestOnly,
}

/// One thing that a cluster says about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FarSaid<'a> {
    /// `RS+`, with a queue group or (empty) without.
    Wants(&'a [u8], &'a [u8]),
    /// `RS-`.
    WantsNot(&'a [u8], &'a [u8]),
    /// `A+`, or `A-` (false).
    Account(bool),
    /// What is wanted follows (`gateway_cmd` 2).
    Begins,
    /// That was all (`gateway_cmd` 3).
    Complete,
}

/// What of earlier answers a statement makes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched<'a> {
    /// Nothing.
    Nothing,
    /// Those about subjects that match this pattern.
    Pattern(&'a [u8]),
    /// All of this account.
    All,
}

/// How much one cluster has told about one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How it wants messages.
    pub mode: Mode,
    /// Plain patterns that it wants.
    pub plain: u64,
    /// Patterns with queue groups that it wants.
    pub queues: u64,
    /// Subjects that it refused.
    pub refused: u64,
}

/// Queue groups, and which clusters have members of each.
type Groups = Vec<(Box<[u8]>, FarSet)>;

/// Which clusters want one pattern.
#[derive(Debug, Default)]
struct FarWant {
    plain: FarSet,
    #[allow(clippy::box_collection, reason = "hardly any pattern has one, so they cost the others a pointer only")]
    queues: Option<Box<Groups>>,
}

impl FarWant {
    fn groups(&self) -> &[(Box<[u8]>, FarSet)] {
        self.queues.as_deref().map_or(&[], Vec::as_slice)
    }

    /// The cluster wants this, or no longer; true: that is news.
    fn set(&mut self, far: FarId, queue: &[u8], wanted: bool) -> bool {
        let set = match queue {
            [] => &mut self.plain,
            name => {
                let all = self.queues.get_or_insert_with(Box::default);
                let at = all.iter().position(|(n, _)| **n == *name).unwrap_or_else(|| {
                    all.push((name.into(), FarSet::EMPTY));
                    all.len() - 1
                });
                &mut all[at].1
            }
        };
        let had = set.contains(far);
        match wanted {
            true => set.insert(far),
            false => set.remove(far),
        }
        self.tidy();
        had != wanted
    }

    fn tidy(&mut self) {
        if let Some(all) = &mut self.queues {
            all.retain(|(_, set)| !set.is_empty());
            if all.is_empty() {
                self.queues = None;
            }
        }
    }

    /// How many plain patterns (0 or 1) and queue groups the cluster wants of it.
    fn held(&self, far: FarId) -> (u64, u64) {
        let groups = self.groups().iter().filter(|(_, set)| set.contains(far)).count();
        (u64::from(self.plain.contains(far)), groups as u64)
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_none()
    }
}

/// See the file's head.
pub struct Fars {
    wanted: Trie<FarWant>,
    refused: Map<Box<[u8]>, FarSet>,
    /// By cluster; as long as the highest number that said anything.
    held: Vec<Held>,
    /// Those to which nothing is sent that they did not ask for.
    asked_only: FarSet,
}

impl Fars {
    /// Nobody has said anything.
    pub fn new(seed: u64) -> Fars {
        let refused = Map::with_hasher(Seeded(seed ^ 1));
        Fars { wanted: Trie::new(seed), refused, held: Vec::new(), asked_only: FarSet::EMPTY }
    }

    /// What a cluster has told.
    pub fn held(&self, far: FarId) -> Held {
        self.held.get(far.index()).copied().unwrap_or_default()
    }

    fn held_mut(&mut self, far: FarId) -> &mut Held {
        if self.held.len() <= far.index() {
            self.held.resize(far.index() + 1, Held::default());
        }
        &mut self.held[far.index()]
    }

    fn set_mode(&mut self, far: FarId, mode: Mode) {
        self.held_mut(far).mode = mode;
        match mode {
            Mode::Refused | Mode::InterestOnly => self.asked_only.insert(far),
            _ => self.asked_only.remove(far),
        }
    }

    /// Takes in what a cluster says. Patterns have to be valid for a subscription.
    pub fn said<'a>(&mut self, far: FarId, said: FarSaid<'a>) -> Touched<'a> {
        let mode = self.held(far).mode;
        match said {
            FarSaid::Wants(pattern, []) => match mode {
                // Whoever has not begun to tell what he wants takes back what he refused, and no more.
                Mode::Unknown | Mode::Refused => Touched::Nothing,
                Mode::Optimistic => self.allow(far, pattern),
                Mode::Transitioning | Mode::InterestOnly => self.want(far, pattern, b"", true),
            },
            FarSaid::Wants(pattern, queue) => {
                let touched = self.want(far, pattern, queue, true);
                // What began with a refusal of all begins anew with a queue group.
                if matches!(mode, Mode::Unknown | Mode::Refused) {
                    self.set_mode(far, Mode::Optimistic);
                    return if mode == Mode::Refused { Touched::All } else { touched };
                }
                touched
            }
            FarSaid::WantsNot(subject, []) => match mode {
                Mode::Unknown | Mode::Optimistic => self.refuse(far, subject),
                Mode::Refused => Touched::Nothing,
                Mode::Transitioning | Mode::InterestOnly => self.want(far, subject, b"", false),
            },
            FarSaid::WantsNot(pattern, queue) => self.want(far, pattern, queue, false),
            FarSaid::Account(wanted) => self.account(far, wanted),
            FarSaid::Begins => {
                if matches!(mode, Mode::Transitioning | Mode::InterestOnly) {
                    return Touched::Nothing;
                }
                self.set_mode(far, Mode::Transitioning);
                if mode == Mode::Refused {
                    Touched::All
                } else {
                    Touched::Nothing
                }
            }
            FarSaid::Complete => {
                if mode == Mode::InterestOnly {
                    return Touched::Nothing;
                }
                self.allow_all(far);
                self.set_mode(far, Mode::InterestOnly);
                Touched::All
            }
        }
    }

    fn want<'a>(&mut self, far: FarId, pattern: &'a [u8], queue: &[u8], wanted: bool) -> Touched<'a> {
        if !wanted && self.wanted.get(pattern).is_none() {
            return Touched::Nothing;
        }
        let want = self.wanted.entry(pattern);
        let news = want.set(far, queue, wanted);
        if want.is_empty() {
            self.wanted.remove(pattern);
        }
        if !news {
            return Touched::Nothing;
        }
        let held = self.held_mut(far);
        let n = if queue.is_empty() { &mut held.plain } else { &mut held.queues };
        *n = if wanted { *n + 1 } else { n.saturating_sub(1) };
        Touched::Pattern(pattern)
    }

    fn refuse<'a>(&mut self, far: FarId, subject: &'a [u8]) -> Touched<'a> {
        if self.held(far).mode == Mode::Unknown {
            self.set_mode(far, Mode::Optimistic);
        }
        let set = self.refused.entry(subject.into()).or_insert(FarSet::EMPTY);
        if set.contains(far) {
            return Touched::Nothing;
        }
        set.insert(far);
        self.held_mut(far).refused += 1;
        Touched::Pattern(subject)
    }

    /// Takes back the refusals of all subjects that `pattern` covers.
    fn allow<'a>(&mut self, far: FarId, pattern: &'a [u8]) -> Touched<'a> {
        let mut taken = 0;
        if subject::is_literal(pattern) {
            if let Some(set) = self.refused.get_mut(pattern).filter(|s| s.contains(far)) {
                set.remove(far);
                taken = 1;
                if set.is_empty() {
                    self.refused.remove(pattern);
                }
            }
        } else {
            self.refused.retain(|subject, set| {
                if set.contains(far) && subject::covers(pattern, subject) {
                    set.remove(far);
                    taken += 1;
                }
                !set.is_empty()
            });
        }
        let held = self.held_mut(far);
        held.refused = held.refused.saturating_sub(taken);
        if taken > 0 {
            Touched::Pattern(pattern)
        } else {
            Touched::Nothing
        }
    }

    fn allow_all(&mut self, far: FarId) {
        if std::mem::take(&mut self.held_mut(far).refused) > 0 {
            self.refused.retain(|_, set| {
                set.remove(far);
                !set.is_empty()
            });
        }
    }

    fn account<'a>(&mut self, far: FarId, wanted: bool) -> Touched<'a> {
        let Held { mode, plain, queues, .. } = self.held(far);
        match (wanted, mode) {
            (true, Mode::Refused) => {
                self.set_mode(far, Mode::Unknown);
                Touched::All
            }
            (true, _) | (false, Mode::Refused) => Touched::Nothing,
            // Its queue groups are still wanted: only what was refused is taken back.
            (false, _) if queues > 0 => {
                self.allow_all(far);
                Touched::All
            }
            (false, _) => {
                self.allow_all(far);
                if plain > 0 {
                    while self.forget_wanted(far, Cursor::default(), usize::MAX).is_some() {}
                }
                self.set_mode(far, Mode::Refused);
                Touched::All
            }
        }
    }

    /// Forgets what a cluster said, in slices of `max` patterns. Returns where to go on; None: all is forgotten.
    pub fn forget(&mut self, far: FarId, from: Cursor, max: usize) -> Option<Cursor> {
        self.allow_all(far);
        let Held { plain, queues, .. } = self.held(far);
        let next = if plain + queues == 0 { None } else { self.forget_wanted(far, from, max) };
        if next.is_none() {
            self.set_mode(far, Mode::Unknown);
        }
        next
    }

    fn forget_wanted(&mut self, far: FarId, from: Cursor, max: usize) -> Option<Cursor> {
        let mut theirs: Vec<Box<[u8]>> = Vec::new();
        let next = self.wanted.walk(from, max, |pattern, want| {
            if want.held(far) != (0, 0) {
                theirs.push(pattern.into());
            }
        });
        for pattern in theirs {
            let Some(want) = self.wanted.get_mut(&pattern) else { continue };
            let (plain, queues) = want.held(far);
            want.plain.remove(far);
            want.queues.iter_mut().flat_map(|all| all.iter_mut()).for_each(|(_, set)| set.remove(far));
            want.tidy();
            if want.is_empty() {
                self.wanted.remove(&pattern);
            }
            let held = self.held_mut(far);
            (held.plain, held.queues) = (held.plain.saturating_sub(plain), held.queues.saturating_sub(queues));
        }
        next
    }

    /// Visits what these clusters asked for, each with pattern and queue group (empty: plain). In slices of `max` patterns;
    /// returns where to go on, None at the end.
    pub fn walk(
        &self,
        fars: FarSet,
        from: Cursor,
        max: usize,
        mut visit: impl FnMut(FarId, &[u8], &[u8]),
    ) -> Option<Cursor> {
        let asked = |set: &FarSet| FarSet(set.0 & fars.0);
        self.wanted.walk(from, max, |pattern, want| {
            asked(&want.plain).iter().for_each(|far| visit(far, pattern, b""));
            for (name, set) in want.groups() {
                asked(set).iter().for_each(|far| visit(far, pattern, name));
            }
        })
    }

    /// Which of the clusters `live` are sent plain messages to `subject`; those of `promised` (`gateway_iom`) nothing that
    /// they did not ask for. `group` is called with each queue group that some of them have, and which; one group may
    /// come several times.
    pub fn matches(
        &self,
        subject: &[u8],
        live: FarSet,
        promised: FarSet,
        mut group: impl FnMut(&[u8], FarSet),
    ) -> FarSet {
        let mut unasked = live.0 & !promised.0 & !self.asked_only.0;
        if unasked != 0 {
            unasked &= !self.refused.get(subject).map_or(0, |set| set.0);
        }
        let mut plain = unasked;
        self.wanted.matches(subject, |want| {
            plain |= want.plain.0 & live.0;
            for (name, set) in want.groups() {
                let set = FarSet(set.0 & live.0);
                if !set.is_empty() {
                    group(name, set);
                }
            }
        });
        FarSet(plain)
    }
}

#[cfg(test)]
mod tests;
