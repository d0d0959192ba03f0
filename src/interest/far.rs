//! What other clusters want of one account, as they told it over our links to them (cluster-protocol.md §§4.6, 4.7). Every
//! shard holds one such table per account; all take in the same statements in the same order, and so know the same.
//!
//! One trie holds what all clusters asked for, so that a message costs one match however many clusters there are. What a
//! cluster takes back all at once, or has said over a link that ended, means nothing from that moment on, and is taken out in
//! slices afterwards ([`Fars::sweep`]).

use self::columns::Columns;
use super::trie::Cursor;
use super::Trie;
use crate::base::limits::FARS_MAX;
use crate::base::{FarId, FarSet, Seeded, Set};
use crate::wire::subject;
use std::collections::VecDeque;

mod columns;

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

/// Which clusters want one pattern; in all sets columns stand for them.
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

    /// The cluster of this column wants this, or no longer; true: that is news.
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

    /// In how many sets this column stands.
    fn count(&self, column: FarId) -> u64 {
        self.sets().filter(|set| set.contains(column)).count() as u64
    }

    fn sets(&self) -> impl Iterator<Item = FarSet> + '_ {
        std::iter::once(self.plain).chain(self.groups().iter().map(|(_, set)| *set))
    }

    /// Takes these columns out.
    fn clear(&mut self, columns: FarSet) {
        self.plain.0 &= !columns.0;
        self.queues.iter_mut().flat_map(|all| all.iter_mut()).for_each(|(_, set)| set.0 &= !columns.0);
        self.tidy();
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_none()
    }
}

/// See the file's head.
pub struct Fars {
    seed: u64,
    wanted: Trie<FarWant>,
    /// Who stands for which bit of the sets in `wanted`.
    columns: Columns,
    /// By cluster, as `held`.
    refused: Vec<Set<Box<[u8]>>>,
    /// Those that refuse anything.
    refusing: FarSet,
    /// By cluster; as long as the highest number that said anything.
    held: Vec<Held>,
    /// Those to which nothing is sent that they did not ask for.
    asked_only: FarSet,
    /// Refusals that were taken back, and whose.
    outdated: VecDeque<(FarId, hashbrown::hash_set::IntoIter<Box<[u8]>>)>,
    /// The columns that are being taken out of `wanted`, and how far.
    sweeping: (FarSet, Cursor),
    /// How much has been taken out since that was last asked.
    swept: Vec<(FarId, u64)>,
}

impl Fars {
    /// Nobody has said anything.
    pub fn new(seed: u64) -> Fars {
        Fars {
            seed,
            wanted: Trie::new(seed),
            columns: Columns::default(),
            refused: Vec::new(),
            refusing: FarSet::EMPTY,
            held: Vec::new(),
            asked_only: FarSet::EMPTY,
            outdated: VecDeque::new(),
            sweeping: (FarSet::EMPTY, Cursor::default()),
            swept: Vec::new(),
        }
    }

    /// What a cluster has told.
    pub fn held(&self, far: FarId) -> Held {
        self.held.get(far.index()).copied().unwrap_or_default()
    }

    /// The subjects that a cluster has refused.
    pub fn refused(&self, far: FarId) -> impl Iterator<Item = &[u8]> {
        self.refused.get(far.index()).into_iter().flatten().map(|subject| &**subject)
    }

    fn held_mut(&mut self, far: FarId) -> &mut Held {
        if self.held.len() <= far.index() {
            self.held.resize(far.index() + 1, Held::default());
            let nothing = || Set::with_hasher(Seeded(self.seed ^ 1));
            self.refused.resize_with(self.held.len(), nothing);
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
        let column = match wanted {
            true => Some(self.column(far)),
            false => self.columns.get(far).filter(|_| self.wanted.get(pattern).is_some()),
        };
        let Some(column) = column else { return Touched::Nothing };
        let want = self.wanted.entry(pattern);
        let news = want.set(column, queue, wanted);
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

    /// The column of a cluster that wants something.
    fn column(&mut self, far: FarId) -> FarId {
        loop {
            if let Some(column) = self.columns.take(far) {
                return column;
            }
            // As many as there can be of clusters and of what they took back: the latter has to go now, all of it.
            self.sweep(usize::MAX);
        }
    }

    fn refuse<'a>(&mut self, far: FarId, subject: &'a [u8]) -> Touched<'a> {
        if self.held(far).mode == Mode::Unknown {
            self.set_mode(far, Mode::Optimistic);
        }
        self.held_mut(far);
        if self.refused[far.index()].contains(subject) {
            return Touched::Nothing;
        }
        self.refused[far.index()].insert(subject.into());
        self.refusals_changed(far);
        Touched::Pattern(subject)
    }

    fn refusals_changed(&mut self, far: FarId) {
        let n = self.refused[far.index()].len() as u64;
        self.held_mut(far).refused = n;
        match n {
            0 => self.refusing.remove(far),
            _ => self.refusing.insert(far),
        }
    }

    /// Takes back the refusals of all subjects that `pattern` covers.
    fn allow<'a>(&mut self, far: FarId, pattern: &'a [u8]) -> Touched<'a> {
        let Some(refused) = self.refused.get_mut(far.index()) else { return Touched::Nothing };
        let before = refused.len();
        match subject::is_literal(pattern) {
            true => drop(refused.remove(pattern)),
            false => refused.retain(|subject| !subject::covers(pattern, subject)),
        }
        if refused.len() == before {
            return Touched::Nothing;
        }
        self.refusals_changed(far);
        Touched::Pattern(pattern)
    }

    fn allow_all(&mut self, far: FarId) {
        if !self.refusing.contains(far) {
            return;
        }
        let nothing = Set::with_hasher(Seeded(self.seed ^ 1));
        let all = std::mem::replace(&mut self.refused[far.index()], nothing);
        self.outdated.push_back((far, all.into_iter()));
        self.refusals_changed(far);
    }

    /// Nothing that the cluster wanted counts any more.
    fn want_nothing(&mut self, far: FarId) {
        let Held { plain, queues, .. } = self.held(far);
        self.columns.leave(far, plain + queues);
        if plain + queues > 0 {
            let held = self.held_mut(far);
            (held.plain, held.queues) = (0, 0);
        }
    }

    fn account<'a>(&mut self, far: FarId, wanted: bool) -> Touched<'a> {
        let Held { mode, queues, .. } = self.held(far);
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
                self.want_nothing(far);
                self.set_mode(far, Mode::Refused);
                Touched::All
            }
        }
    }

    /// Forgets what a cluster said.
    pub fn forget(&mut self, far: FarId) {
        self.allow_all(far);
        self.want_nothing(far);
        if self.held(far).mode != Mode::Unknown {
            self.set_mode(far, Mode::Unknown);
        }
    }

    /// Does anything stand in the tables that does not count any more? Then [`Fars::sweep`] has to be called.
    pub fn is_outdated(&self) -> bool {
        !self.outdated.is_empty() || !self.columns.stale().is_empty()
    }

    /// How much of a cluster stands in the tables and does not count any more.
    pub fn outdated(&self, far: FarId) -> u64 {
        let refusals = self.outdated.iter().filter(|(f, _)| *f == far).map(|(_, all)| all.len() as u64);
        self.columns.left(far) + refusals.sum::<u64>()
    }

    /// Takes out what does not count any more, looking at `max` things at most (a few more where hashes collide). True:
    /// there is more.
    pub fn sweep(&mut self, max: usize) -> bool {
        match self.outdated.front_mut() {
            Some((far, all)) => {
                let (far, n) = (*far, all.by_ref().take(max).count() as u64);
                if all.len() == 0 {
                    self.outdated.pop_front();
                }
                self.note_swept(far, n);
            }
            None => self.sweep_wanted(max),
        }
        self.is_outdated()
    }

    /// What was taken out by [`Fars::sweep`] since this was last called, and whose it was.
    pub fn take_swept(&mut self) -> Vec<(FarId, u64)> {
        std::mem::take(&mut self.swept)
    }

    fn note_swept(&mut self, far: FarId, n: u64) {
        match self.swept.iter_mut().find(|(f, _)| *f == far) {
            Some((_, sum)) => *sum += n,
            None => self.swept.push((far, n)),
        }
    }

    fn sweep_wanted(&mut self, max: usize) {
        if self.sweeping.0.is_empty() {
            self.sweeping = (self.columns.stale(), Cursor::default());
        }
        let (columns, from) = self.sweeping;
        let mut theirs: Vec<Box<[u8]>> = Vec::new();
        let next = self.wanted.walk(from, max, |pattern, want| {
            if want.sets().any(|set| set.0 & columns.0 != 0) {
                theirs.push(pattern.into());
            }
        });
        let mut out = [0; FARS_MAX];
        for pattern in theirs {
            let Some(want) = self.wanted.get_mut(&pattern) else { continue };
            let all = want.sets().fold(0, |all, set| all | set.0);
            FarSet(all & columns.0).iter().for_each(|column| out[column.index()] += want.count(column));
            want.clear(columns);
            if want.is_empty() {
                self.wanted.remove(&pattern);
            }
        }
        for column in columns.iter() {
            if let Some(far) = self.columns.taken_out(column, out[column.index()]) {
                self.note_swept(far, out[column.index()]);
            }
        }
        match next {
            Some(cursor) => self.sweeping.1 = cursor,
            None => {
                self.columns.free(columns);
                self.sweeping.0 = FarSet::EMPTY;
            }
        }
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
        let asked = |set: &FarSet| self.columns.fars(*set, fars);
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
        let mut plain = FarSet(live.0 & !promised.0 & !self.asked_only.0);
        for far in FarSet(plain.0 & self.refusing.0).iter() {
            if self.refused[far.index()].contains(subject) {
                plain.remove(far);
            }
        }
        let (columns, mut asked) = (self.columns.of(live), FarSet::EMPTY);
        self.wanted.matches(subject, |want| {
            asked.0 |= want.plain.0 & columns.0;
            for (name, set) in want.groups() {
                let set = FarSet(set.0 & columns.0);
                if !set.is_empty() {
                    group(name, self.columns.fars(set, live));
                }
            }
        });
        FarSet(plain.0 | self.columns.fars(asked, live).0)
    }
}

#[cfg(test)]
mod tests;
