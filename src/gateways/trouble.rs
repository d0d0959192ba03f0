//! What is amiss with this cluster's links for longer than a moment: kept while it lasts, said soon, and again and again;
//! and so is its end. One table per machine; `watch` finds out what is amiss.

use crate::base::{Time, SECOND};
use std::collections::BTreeMap;

/// What ends by itself within this time is not worth a word.
pub(super) const PATIENCE_NS: u64 = 3 * SECOND;
/// Pauses between the lines about one trouble; the last one repeats.
const AGAIN_NS: [u64; 3] = [10 * SECOND, 30 * SECOND, 60 * SECOND];

/// What can be amiss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A cluster that is in the list, or that reaches a member of this cluster, is not reached.
    Unreached,
    /// A cluster reaches us, and we do not reach it.
    NoWayBack,
    /// We reach a cluster, and it does not reach us.
    NotReachedBack,
    /// A member of this cluster has no gateway.
    MemberWithout,
    /// A member of this cluster takes this cluster's name for another's: its gateway bears another name.
    MemberMisnamed,
    /// Two entries of the list bear one name.
    DoubleEntry,
    /// Two clusters call themselves the same.
    Twins,
    /// An export of ours that another cluster does not import.
    ExportUnheard,
    /// An import of ours that another cluster does not export.
    ImportUnmet,
    /// An export of another cluster that we do not import.
    TheirExportUnheard,
    /// An import of another cluster that we do not export.
    TheirImportUnmet,
    /// A rule of ours names a cluster that nobody knows.
    RuleAstray,
    /// A member of this cluster has other rules.
    MemberUnlike,
    /// A member of this cluster cannot enforce any, and we have some.
    MemberLax,
    /// Two servers of another cluster have different rules.
    ServersUnlike,
}

/// By kind and what it is about: since when, and what is to be said.
pub(super) type Found = BTreeMap<(Kind, String), (Time, String)>;

impl Kind {
    /// Is it about rules that do not fit, while everything is linked as it should be?
    pub fn is_about_rules(self) -> bool {
        use Kind::{ExportUnheard, ImportUnmet, MemberLax, MemberUnlike, RuleAstray, ServersUnlike};
        use Kind::{TheirExportUnheard, TheirImportUnmet};
        matches!(self, ExportUnheard | ImportUnmet | TheirExportUnheard | TheirImportUnmet | RuleAstray)
            || matches!(self, MemberUnlike | MemberLax | ServersUnlike)
    }

    /// As monitoring names it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Unreached => "unreached",
            Kind::NoWayBack => "no_way_back",
            Kind::NotReachedBack => "not_reached_back",
            Kind::MemberWithout => "member_without_gateway",
            Kind::MemberMisnamed => "member_of_another_name",
            Kind::DoubleEntry => "double_entry",
            Kind::Twins => "two_clusters_of_one_name",
            Kind::ExportUnheard => "export_not_imported",
            Kind::ImportUnmet => "import_not_exported",
            Kind::TheirExportUnheard => "export_not_imported_here",
            Kind::TheirImportUnmet => "import_not_exported_here",
            Kind::RuleAstray => "rule_of_unknown_cluster",
            Kind::MemberUnlike => "member_with_other_rules",
            Kind::MemberLax => "member_without_border",
            Kind::ServersUnlike => "servers_with_different_rules",
        }
    }
}

/// A trouble as it is remembered.
#[derive(Clone, Debug)]
pub(super) struct Lasting {
    pub text: String,
    pub since: Time,
    say_at: Time,
    /// How often it was said.
    pub said: usize,
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It lasts; the first time of each is to be counted.
    Lasts(Kind, String, bool),
    Over(String),
}

/// See the file's head. Keys are the kind and what it is about.
#[derive(Debug, Default)]
pub(super) struct Troubles(BTreeMap<(Kind, String), Lasting>);

impl Troubles {
    /// These there are now, each with when it began and what is to be said of it; all others are over. The lines due.
    pub(super) fn review(&mut self, found: Found, now: Time) -> Vec<Line> {
        let mut lines = Vec::new();
        self.0.retain(|(kind, about), t| {
            let lasts = found.contains_key(&(*kind, about.clone()));
            if !lasts && t.said > 0 {
                let seconds = now.since(t.since) / SECOND;
                lines.push(Line::Over(format!("over after {seconds} s: {}", t.text)));
            }
            lasts
        });
        for (key, (since, text)) in found {
            let kind = key.0;
            let blank = || Lasting { text: String::new(), since, say_at: since.plus_ns(PATIENCE_NS).max(now), said: 0 };
            let trouble = self.0.entry(key).or_insert_with(blank);
            trouble.text = text;
            if trouble.say_at <= now {
                let seconds = now.since(trouble.since) / SECOND;
                lines.push(Line::Lasts(kind, format!("{} (for {seconds} s)", trouble.text), trouble.said == 0));
                trouble.say_at = now.plus_ns(AGAIN_NS[trouble.said.min(AGAIN_NS.len() - 1)]);
                trouble.said += 1;
            }
        }
        lines
    }

    /// When [`Troubles::review`] has something to say.
    pub(super) fn next_at(&self) -> Option<Time> {
        self.0.values().map(|t| t.say_at).min()
    }

    /// Those that have been said.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Kind, &str, &Lasting)> {
        self.0.iter().filter(|(_, t)| t.said > 0).map(|((kind, about), t)| (*kind, about.as_str(), t))
    }

    /// Has this lasted long enough to be said?
    pub(super) fn lasts(&self, kind: Kind, about: &str) -> Option<&Lasting> {
        self.0.get(&(kind, about.to_string())).filter(|t| t.said > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn said_after_a_while_then_ever_more_rarely_and_its_end_once() {
        let mut troubles = Troubles::default();
        let at = |s: u64| Time(s * SECOND);
        let found = || BTreeMap::from([((Kind::Unreached, "w".to_string()), (at(0), "no w".to_string()))]);
        let mut said = Vec::new();
        for s in 0..200 {
            if troubles.next_at().is_none_or(|t| t <= at(s)) && !troubles.review(found(), at(s)).is_empty() {
                said.push(s);
            }
        }
        assert_eq!(said, [3, 13, 43, 103, 163]);
        assert_eq!(troubles.iter().count(), 1);
        assert_eq!(troubles.review(BTreeMap::new(), at(200)), [Line::Over("over after 200 s: no w".into())]);
        assert_eq!(troubles.next_at(), None);
        troubles.review(found(), at(201));
        assert!(troubles.review(BTreeMap::new(), at(201)).len() <= 1);
    }

    #[test]
    fn what_ends_soon_is_never_said() {
        let mut troubles = Troubles::default();
        let found = BTreeMap::from([((Kind::Twins, "w".to_string()), (Time(0), "x".to_string()))]);
        assert!(troubles.review(found, Time(0)).is_empty());
        assert!(troubles.review(BTreeMap::new(), Time(SECOND)).is_empty());
    }
}
