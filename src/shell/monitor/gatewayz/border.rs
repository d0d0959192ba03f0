//! The border: how many rules there are, what each has held back, and, if asked for, all of them.

use crate::interest::border::Rule;
use crate::policy::walls::Walls;
use crate::shard::report::BarrierTally;
use serde::Serialize;
use std::collections::BTreeMap;

/// See the file's head.
#[derive(Debug, Serialize)]
pub struct Border {
    exports: Block,
    imports: Block,
    /// Milliseconds in which answers may cross back.
    reply_window_ms: u64,
    /// How many of them; 0: any number.
    reply_max: u32,
    /// Requests to other clusters that may be answered now.
    replies_awaited: u64,
    /// Those forgotten before their time because there were too many.
    replies_crowded_out: u64,
    /// Messages held back, by what holds them back.
    held_back: Vec<HeldBack>,
}

#[derive(Debug, Serialize)]
struct Block {
    /// There is such a block; without it everything crosses.
    present: bool,
    entries: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<Written>>,
}

/// A rule as it is written.
#[derive(Debug, Serialize)]
struct Written {
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deny: bool,
    line: u32,
}

#[derive(Debug, Serialize)]
struct HeldBack {
    by: String,
    messages: u64,
}

/// Builds it from what all shards say.
pub fn border(walls: &Walls, tallies: &[BarrierTally], (awaited, crowded_out): (u64, u64), with_rules: bool) -> Border {
    let mut held = BTreeMap::<&str, u64>::new();
    tallies.iter().for_each(|t| *held.entry(&t.by).or_default() += t.n);
    let b = &walls.borders;
    Border {
        exports: block(b.exports.as_deref(), with_rules),
        imports: block(b.imports.as_deref(), with_rules),
        reply_window_ms: u64::try_from(b.reply_window.as_millis()).unwrap_or(u64::MAX),
        reply_max: b.reply_max.unwrap_or(0),
        replies_awaited: awaited,
        replies_crowded_out: crowded_out,
        held_back: held.into_iter().map(|(by, messages)| HeldBack { by: by.into(), messages }).collect(),
    }
}

fn block(rules: Option<&[Rule]>, listed: bool) -> Block {
    let written = |r: &Rule| Written {
        subject: String::from_utf8_lossy(&r.subject).into_owned(),
        cluster: r.cluster.as_deref().map(String::from),
        account: r.account.as_deref().map(String::from),
        deny: r.deny,
        line: r.place.line,
    };
    Block {
        present: rules.is_some(),
        entries: rules.map_or(0, <[Rule]>::len),
        rules: rules.filter(|_| listed).map(|rules| rules.iter().map(written).collect()),
    }
}
