//! The rules of this cluster's border as the shards of a server hold them (docs/borders.md): both walls. Each
//! shard makes its own at the start; after a reload all are given the same by the gateways' machine.

use super::{Borders, Settings};
use crate::base::FarId;
use crate::interest::border::{Judgement, Rule, Wall};
use std::fmt;
use std::sync::Arc;

/// Which block holds something back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Our exports.
    Exports,
    /// Our imports.
    Imports,
    /// The imports of another cluster, as it tells them.
    Theirs(FarId),
}

/// What holds a message back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Barrier {
    /// The block.
    pub side: Side,
    /// The rule that denies it, by its place in the block; None: no rule admits it.
    pub rule: Option<u32>,
}

impl Barrier {
    /// What a judgement holds back with; None: it lets it cross.
    pub fn of(side: Side, judgement: Judgement) -> Option<Barrier> {
        (!judgement.crosses()).then_some(Barrier { side, rule: judgement.rule() })
    }
}

/// An entry of a block in words: `exports line 12: "public.>" to "west"`; others' blocks as `imports of "west"`.
pub fn rule_words(block: &str, rule: &Rule) -> String {
    let mut words = format!("{block} line {}: ", rule.place.line);
    if rule.deny {
        words.push_str("deny ");
    }
    words.push_str(&format!("{:?}", String::from_utf8_lossy(&rule.subject)));
    if let Some(cluster) = &rule.cluster {
        let way = if block.starts_with("exports") { "to" } else { "from" };
        words.push_str(&format!(" {way} {cluster:?}"));
    }
    if let Some(account) = &rule.account {
        words.push_str(&format!(" of account {account:?}"));
    }
    words
}

/// That no entry of a block admits something, in words.
pub fn no_entry(block: &str) -> String {
    format!("no entry of {block} admits it")
}

/// The imports of another cluster, in words.
pub fn imports_of(cluster: &str) -> String {
    format!("imports of {cluster:?}")
}

/// See the file's head.
#[derive(PartialEq, Eq)]
pub struct Walls {
    /// What may leave.
    pub exports: Wall,
    /// What may enter.
    pub imports: Arc<Wall>,
    /// What other clusters call this one.
    pub us: Box<str>,
    /// How both are written, and for how long how many answers come back through them.
    pub borders: Borders,
}

impl Walls {
    /// The walls of a configuration. `seed` keys hashes.
    pub fn of(settings: &Settings, seed: u64) -> Walls {
        let borders = settings.gateway.as_ref().map(|g| g.borders.clone()).unwrap_or_default();
        let us = settings.gateway.as_ref().map_or("", |g| g.name.as_str()).into();
        let names: Vec<&str> = settings.auth.accounts.iter().map(|a| a.name.as_str()).collect();
        Walls::new(us, borders, (&names, settings.auth.system), seed)
    }

    /// The walls of a cluster of this name. `accounts` are the names of the server's accounts, and which of them is the
    /// system account.
    pub fn new(us: Box<str>, borders: Borders, (names, system): (&[&str], Option<usize>), seed: u64) -> Walls {
        let wall = |rules: &Option<Vec<_>>| Wall::new(rules.as_deref(), names, system, seed);
        Walls { exports: wall(&borders.exports), imports: Arc::new(wall(&borders.imports)), us, borders }
    }

    /// A rule by its place in a block, in words; None: there is no such rule of ours.
    pub fn rule(&self, side: Side, place: Option<u32>) -> Option<String> {
        let (block, rules) = match side {
            Side::Exports => ("exports", &self.borders.exports),
            Side::Imports => ("imports", &self.borders.imports),
            Side::Theirs(_) => return None,
        };
        Some(rule_words(block, rules.as_ref()?.get(place? as usize)?))
    }

    /// Are there rules of ours at all?
    pub fn stand(&self) -> bool {
        !self.exports.is_open() || !self.imports.is_open()
    }

    /// How long after a request its answers may come back, nanoseconds.
    pub fn window_ns(&self) -> u64 {
        u64::try_from(self.borders.reply_window.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Walls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walls").field("borders", &self.borders).finish_non_exhaustive()
    }
}
