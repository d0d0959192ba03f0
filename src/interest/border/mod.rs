//! Borders: what of an account may leave for other clusters and what may enter (docs/borders.md). Lives on the interest
//! floor; configuration writes the rules, shards judge by them.
//!
//! A [`Rule`] is one entry as written. A [`Wall`] is one block of them, exports or imports, made ready to be asked about
//! the accounts of one server: about messages ([`Wall::judge`]) and about interest ([`Wall::announce`]). It never changes;
//! other rules are another wall. [`Announced`] remembers what one cluster was told of one account's interest.

mod announced;
mod digest;
mod findings;
mod flaws;
mod overlap;
#[cfg(test)]
mod tests;
mod tree;
mod wall;

pub use announced::Announced;
pub use digest::{digest, Digest};
pub use findings::{differing, strangers, unanswered};
pub use flaws::{flaws, Flaw, FlawKind};
pub use overlap::{intersection, overlaps};
pub use wall::{Class, Judged, Judgement, Wall};

/// One entry of `exports` or `imports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The pattern it is about; valid for a subscription ([`crate::wire::subject::valid_subscription`]).
    pub subject: Box<[u8]>,
    /// The one cluster it is about: `to` of an export, `from` of an import. None: all.
    pub cluster: Option<Box<str>>,
    /// The one account it is about. None: all but the system account.
    pub account: Option<Box<str>>,
    /// It holds back what it names, and does not admit it.
    pub deny: bool,
    /// Where it is written.
    pub place: RulePlace,
}

/// Where a rule is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RulePlace {
    /// Number of the file in the configuration's list of files.
    pub file: u16,
    /// Line, from 1. 0: it is not from a file.
    pub line: u32,
}

impl Rule {
    /// What it says, wherever it is written.
    pub fn said(&self) -> (&[u8], Option<&str>, Option<&str>, bool) {
        (&self.subject, self.cluster.as_deref(), self.account.as_deref(), self.deny)
    }
}
