//! One block of rules, ready to be asked. Meaning: docs/borders.md.

use std::fmt;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::overlap::intersection;
use super::tree::{Entry, Set, Tree, Walk};
use super::Rule;
use crate::base::Seeded;

/// What a cluster's name means to one wall. All that no rule names are one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(u32);

impl Class {
    /// That of every cluster that no rule names.
    pub const OTHERS: Class = Class(0);
}

/// The verdict on a message for one cluster. Rules are named by their place in the block, the first that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It may cross; no rule had to say so.
    Open,
    /// It may cross, by this rule.
    Admitted(u32),
    /// It may not, by this rule.
    Denied(u32),
    /// It may not: no rule admits it.
    Unnamed,
}

impl Judgement {
    /// May it cross?
    pub fn crosses(self) -> bool {
        matches!(self, Judgement::Open | Judgement::Admitted(_))
    }

    /// The rule that decided.
    pub fn rule(self) -> Option<u32> {
        match self {
            Judgement::Admitted(rule) | Judgement::Denied(rule) => Some(rule),
            Judgement::Open | Judgement::Unnamed => None,
        }
    }
}

/// The verdict on a message for all clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    closed: bool,
    /// The first rules for all clusters: that admits, that denies.
    all: [Option<u32>; 2],
    /// Those for one cluster, in order; one for each class and kind.
    own: Vec<Entry>,
}

impl Judged {
    /// For the clusters of one class.
    pub fn of(&self, class: Class) -> Judgement {
        let first = |deny: bool| {
            let own = self.own.binary_search_by_key(&(class.0, deny), |e| (e.class, e.deny)).ok();
            own.map(|at| self.own[at].rule).into_iter().chain(self.all[usize::from(deny)]).min()
        };
        if let Some(rule) = first(true) {
            return Judgement::Denied(rule);
        }
        match (first(false), self.closed) {
            (Some(rule), true) => Judgement::Admitted(rule),
            (None, true) => Judgement::Unnamed,
            (_, false) => Judgement::Open,
        }
    }

    /// For all clusters alike, if it is.
    pub fn uniform(&self) -> Option<Judgement> {
        self.own.is_empty().then(|| self.of(Class::OTHERS))
    }
}

/// See the file's head.
pub struct Wall {
    hashing: Seeded,
    /// There is a block.
    present: bool,
    /// Only what a rule admits may cross, in all accounts but the system account.
    closed: bool,
    /// The same in the system account.
    system_closed: bool,
    system: Option<usize>,
    /// Clusters that rules name; the class is the place, from 1.
    clusters: Vec<Box<str>>,
    by_name: HashTable<u32>,
    /// Rules without account.
    common: Tree,
    /// Rules of one account, by account.
    named: Vec<Option<Box<Tree>>>,
}

/// Of a wall there is only so much to show: it may have 100,000 rules.
impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wall").field("present", &self.present).finish_non_exhaustive()
    }
}

/// Two walls are the same only if they are one: none ever changes.
impl PartialEq for Wall {
    fn eq(&self, other: &Wall) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Wall {}

/// What holds in one account.
struct Room<'w> {
    trees: [Option<&'w Tree>; 2],
    closed: bool,
}

impl Room<'_> {
    fn walk<'a>(&'a self, walk: Walk, asked: &[u8], mut visit: impl FnMut(&'a Set) -> bool) -> bool {
        self.trees.iter().flatten().any(|tree| tree.walk(walk, asked, &mut visit))
    }

    /// Does one rule that denies (or admits) cover all of the pattern?
    fn covered(&self, class: Class, deny: bool, pattern: &[u8]) -> bool {
        self.walk(Walk::Covering, pattern, |set| set.says(class.0, deny))
    }
}

impl Wall {
    /// The wall of a block, None: there is none. `accounts` are the names of the server's accounts, `system` which of them is
    /// the system account; rules for other accounts concern nobody here. `seed` keys all hashes.
    ///
    /// Whether a block has only denials is decided over the block as written, for the system account over the entries that
    /// name it: no rule for one cluster or account opens what is closed for another.
    pub fn new(rules: Option<&[Rule]>, accounts: &[&str], system: Option<usize>, seed: u64) -> Wall {
        let block = rules.unwrap_or_default();
        let hashing = Seeded(seed);
        let system_name = system.and_then(|s| accounts.get(s)).copied();
        let for_system = |r: &&Rule| system_name.is_some() && r.account.as_deref() == system_name;
        let mut wall = Wall {
            hashing,
            present: rules.is_some(),
            closed: rules.is_some() && (block.is_empty() || block.iter().any(|r| !r.deny)),
            system_closed: block.iter().filter(for_system).any(|r| !r.deny),
            system,
            clusters: Vec::new(),
            by_name: HashTable::new(),
            common: Tree::new(seed),
            named: Vec::new(),
        };
        let mut numbers = HashTable::with_capacity(accounts.len());
        for (i, name) in accounts.iter().enumerate() {
            numbers.insert_unique(hashing.hash_one(name), i, |i| hashing.hash_one(accounts[*i]));
        }
        wall.named.resize_with(accounts.len(), || None);
        for (i, rule) in block.iter().enumerate() {
            let class = rule.cluster.as_deref().map_or(0, |name| wall.intern(name));
            let entry = Entry { class, deny: rule.deny, rule: i as u32 };
            let tree = match rule.account.as_deref() {
                None => &mut wall.common,
                Some(name) => match numbers.find(hashing.hash_one(name), |i| accounts[*i] == name) {
                    Some(account) => wall.named[*account].get_or_insert_with(|| Box::new(Tree::new(seed))),
                    None => continue,
                },
            };
            tree.add(&rule.subject, entry);
        }
        wall.common.finish();
        wall.named.iter_mut().flatten().for_each(|tree| tree.finish());
        wall
    }

    /// Is there no block, so that everything crosses?
    pub fn is_open(&self) -> bool {
        !self.present
    }

    /// What the wall knows a cluster as. Other walls know it as something else.
    pub fn class(&self, cluster: &str) -> Class {
        let is = |i: &u32| *self.clusters[*i as usize - 1] == *cluster;
        Class(self.by_name.find(self.hashing.hash_one(cluster), is).copied().unwrap_or(0))
    }

    /// How many classes there are, [`Class::OTHERS`] among them.
    pub fn classes(&self) -> usize {
        self.clusters.len() + 1
    }

    /// May messages of this account with this subject cross? For all clusters at once.
    pub fn judge(&self, account: usize, subject: &[u8]) -> Judged {
        let room = self.room(account);
        let mut judged = Judged { closed: room.closed, all: [None; 2], own: Vec::new() };
        room.walk(Walk::Matching, subject, |set| {
            for entry in set.entries() {
                if entry.class == 0 {
                    let first = &mut judged.all[usize::from(entry.deny)];
                    *first = Some(first.map_or(entry.rule, |rule| rule.min(entry.rule)));
                } else {
                    judged.own.push(*entry);
                }
            }
            false
        });
        judged.own.sort_unstable();
        judged.own.dedup_by_key(|e| (e.class, e.deny));
        judged
    }

    /// Visits the patterns under which interest in `pattern` is announced to clusters of `class`, in order: together what
    /// `pattern` and the rules that admit have in common; none twice, none within another, none that one denial covers. Holes
    /// that denials cut remain: they are found by [`Wall::judge`].
    pub fn announce(&self, account: usize, class: Class, pattern: &[u8], mut visit: impl FnMut(&[u8])) {
        let room = self.room(account);
        if room.covered(class, true, pattern) {
            return;
        }
        if !room.closed || room.covered(class, false, pattern) {
            return visit(pattern);
        }
        let mut parts = Vec::new();
        room.walk(Walk::Overlapping, pattern, |set| {
            if set.says(class.0, false) {
                parts.extend(intersection(pattern, &set.subject));
            }
            false
        });
        parts.sort_unstable();
        parts.dedup();
        for part in &parts {
            // Another rule that covers this part has more in common with the pattern, if it is not the same.
            let within = room.walk(Walk::Covering, part, |set| {
                set.says(class.0, false) && intersection(pattern, &set.subject).is_some_and(|other| other != *part)
            });
            if !within && !room.covered(class, true, part) {
                visit(part);
            }
        }
    }

    /// Is interest in `pattern` announced as it is?
    pub fn is_whole(&self, account: usize, class: Class, pattern: &[u8]) -> bool {
        let room = self.room(account);
        (!room.closed || room.covered(class, false, pattern)) && !room.covered(class, true, pattern)
    }

    /// Is anything of `pattern` announced?
    pub fn admits_some(&self, account: usize, class: Class, pattern: &[u8]) -> bool {
        let room = self.room(account);
        if room.covered(class, true, pattern) {
            return false;
        }
        let part_open = |set: &Set| {
            let part = set.says(class.0, false).then(|| intersection(pattern, &set.subject)).flatten();
            part.is_some_and(|part| !room.covered(class, true, &part))
        };
        !room.closed || room.walk(Walk::Overlapping, pattern, part_open)
    }

    /// The first rule other than `but` that admits (or denies) all of `pattern`, of those that are about at least the
    /// account (None: all) and class.
    pub(super) fn coverer(
        &self,
        account: Option<usize>,
        class: Class,
        deny: bool,
        pattern: &[u8],
        but: u32,
    ) -> Option<u32> {
        let mut found = None::<u32>;
        let trees = account.map_or([Some(&self.common), None], |a| self.room(a).trees);
        Room { trees, closed: true }.walk(Walk::Covering, pattern, |set| {
            let rules = [0, class.0].into_iter().filter_map(|c| set.exactly(c, deny)).filter(|rule| *rule != but);
            found = found.into_iter().chain(rules).min();
            false
        });
        found
    }

    /// The first rule that says just what `rule` says.
    pub(super) fn same(&self, account: Option<usize>, rule: &Rule) -> Option<u32> {
        let tree = match account {
            None => &self.common,
            Some(account) => self.named.get(account)?.as_deref()?,
        };
        let class = rule.cluster.as_deref().map_or(0, |name| self.class(name).0);
        tree.exactly(&rule.subject)?.exactly(class, rule.deny)
    }

    fn room(&self, account: usize) -> Room<'_> {
        let named = self.named.get(account).and_then(Option::as_deref);
        if self.system == Some(account) {
            return Room { trees: [named, None], closed: self.system_closed };
        }
        Room { trees: [Some(&self.common), named], closed: self.closed }
    }

    fn intern(&mut self, cluster: &str) -> u32 {
        let known = self.class(cluster).0;
        if known != 0 {
            return known;
        }
        self.clusters.push(cluster.into());
        let class = self.clusters.len() as u32;
        let (hashing, clusters) = (self.hashing, &self.clusters);
        let rehash = |i: &u32| hashing.hash_one(&*clusters[*i as usize - 1]);
        self.by_name.insert_unique(hashing.hash_one(cluster), class, rehash);
        class
    }
}
