//! What an account is given of others' subjects, as the shards hold it. Made by `agreements`, immutable.

use crate::wire::mapping::Mapping;
use std::time::Duration;

/// What an account is given of others' subjects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Messages that are published there and heard here.
    pub streams: Vec<StreamImport>,
    /// Requests that are published here and heard there.
    pub services: Vec<ServiceImport>,
    /// What begins or ends at some time, whether or not it holds now. Where it does, it stands above, too.
    pub timed: Timed,
}

/// Imports that begin or end at some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timed {
    /// Streams.
    pub streams: Vec<StreamImport>,
    /// Services.
    pub services: Vec<ServiceImport>,
}

impl Timed {
    /// None?
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.services.is_empty()
    }

    fn terms(&self) -> impl Iterator<Item = Term> + '_ {
        self.streams.iter().map(|s| s.term).chain(self.services.iter().map(|s| s.term))
    }
}

/// From when to when something holds, seconds since 1970; 0: it always did, or does for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// From this second on.
    pub from: i64,
    /// Up to this second.
    pub until: i64,
}

impl Term {
    /// At all times?
    pub fn is_open(self) -> bool {
        self == Term::default()
    }

    /// At this second?
    pub fn holds(self, now_s: i64) -> bool {
        self.from <= now_s && (self.until == 0 || now_s < self.until)
    }

    /// While both hold.
    pub fn within(self, other: Term) -> Term {
        let ends = [self.until, other.until].into_iter().filter(|s| *s != 0);
        Term { from: self.from.max(other.from), until: ends.min().unwrap_or(0) }
    }
}

impl Shares {
    /// What of it holds at this second; None: what stands here.
    pub fn at(&self, now_s: i64) -> Option<Shares> {
        if self.timed.is_empty() {
            return None;
        }
        let streams = self.streams.iter().filter(|s| s.term.is_open());
        let services = self.services.iter().filter(|s| s.term.is_open());
        let now = Shares {
            streams: streams.chain(self.timed.streams.iter().filter(|s| s.term.holds(now_s))).cloned().collect(),
            services: services.chain(self.timed.services.iter().filter(|s| s.term.holds(now_s))).cloned().collect(),
            timed: self.timed.clone(),
        };
        (now != *self).then_some(now)
    }

    /// The next second after this one at which something begins or ends.
    pub fn changes_after(&self, now_s: i64) -> Option<i64> {
        self.timed.terms().flat_map(|t| [t.from, t.until]).filter(|s| *s > now_s).min()
    }
}

/// A stream of another account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamImport {
    /// Index of the account that exports it.
    pub from: u16,
    /// What its subjects are called here.
    pub names: Mapping,
    /// Whoever traces a message there is told who is given it here.
    pub allow_trace: bool,
    /// When.
    pub term: Term,
}

/// A service of another account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceImport {
    /// Index of the account that exports it.
    pub to: u16,
    /// What its subjects are called here.
    pub names: Mapping,
    /// Is the service told who asks?
    pub share: bool,
    /// How many answers a request has.
    pub answers: Answers,
    /// How long a request waits for its answer, or the next one.
    pub patience: Duration,
    /// Whoever traces a request is told who is given it there.
    pub allow_trace: bool,
    /// When.
    pub term: Term,
}

/// How many answers a request has (`response_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// One.
    #[default]
    One,
    /// Any number, until there is an empty one or none comes in time.
    Many,
    /// The same.
    Chunks,
}
