//! What the gateways' machine knows: which clusters there are, what is being done about each, what is amiss; and what
//! became of messages towards each of them.

use super::border::Border as Crossing;
use crate::gateways::{Address, Border, Report, Standing};
use crate::policy::settings::{Gateway, GatewayInterest};
use crate::shard::report::{EntryTally, FarTally};
use crate::shell::monitor::json::one_word;
use serde::Serialize;
use std::collections::BTreeMap;

/// See the file's head.
#[derive(Debug, Serialize)]
pub struct Own<'a> {
    /// How this cluster wants to be sent messages.
    interest: &'static str,
    /// The same for accounts by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    account_interest: BTreeMap<&'a str, &'static str>,
    /// Where this cluster takes gateways, this server's own address first.
    urls: &'a [String],
    /// How many outbound links there should be.
    expected: usize,
    /// Our rules of what crosses.
    #[serde(skip_serializing_if = "Option::is_none")]
    border: Option<Rules<'a>>,
    remotes: Vec<Remote<'a>>,
    /// What crosses by them, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    crossing: Option<Crossing>,
    troubles: Vec<Trouble<'a>>,
    handshakes: usize,
    counters: BTreeMap<&'static str, u64>,
    /// Dials and handshakes that came to nothing, by cause.
    failed: BTreeMap<String, u64>,
    /// Troubles since the start, by kind.
    troubles_ever: BTreeMap<&'static str, u64>,
    /// Subscriptions that the lists above leave out.
    subscriptions_left_out: usize,
}

#[derive(Debug, Serialize)]
struct Remote<'a> {
    name: &'a str,
    configured: bool,
    state: &'static str,
    /// Rounds of dials in a row that failed.
    failures: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    last_error: &'a str,
    addresses: Vec<Place<'a>>,
    /// Servers of it that reach this one.
    inbound: usize,
    /// Members of this cluster that reach it, as far as they say.
    #[serde(skip_serializing_if = "str::is_empty")]
    reached_by: &'a str,
    /// Does the server that we send to enforce rules, if it has any?
    #[serde(skip_serializing_if = "Option::is_none")]
    enforces_borders: Option<bool>,
    /// Its rules, as it tells them.
    #[serde(skip_serializing_if = "Option::is_none")]
    border: Option<Rules<'a>>,
    /// What became of messages of this server's clients, by account.
    messages: Vec<Messages>,
    /// What became of messages that came from there and did not reach anybody here, by account.
    dropped_on_entry: Vec<Dropped>,
}

/// A server's rules of what crosses.
#[derive(Debug, Serialize)]
struct Rules<'a> {
    digest: &'a str,
    /// How many; none: there is no such block.
    #[serde(skip_serializing_if = "Option::is_none")]
    exports: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    imports: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Place<'a> {
    address: &'a str,
    configured: bool,
    attempts: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    last_error: &'a str,
}

#[derive(Debug, Default, Serialize)]
struct Messages {
    account: String,
    /// By this server's clients, since the first link to the cluster.
    published: u64,
    sent: u64,
    /// Not sent because nobody there wants them.
    suppressed: u64,
    /// Not sent, though they may be wanted, by reason.
    drops: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default, Serialize)]
struct Dropped {
    /// Of one that does not exist here, as the other cluster calls it.
    account: String,
    /// By reason, as in `/varz`.
    drops: BTreeMap<&'static str, u64>,
}

/// What the shards count.
#[derive(Debug)]
pub struct Tallies<'a> {
    /// Of messages to other clusters.
    pub sent: &'a [FarTally],
    /// Of messages from other clusters.
    pub dropped: &'a [EntryTally],
    /// At the border.
    pub crossing: Option<Crossing>,
}

#[derive(Debug, Serialize)]
struct Trouble<'a> {
    kind: &'static str,
    about: &'a str,
    text: &'a str,
    /// For how long.
    seconds: u64,
}

/// Builds it; `tallies` are those of all shards, `left_out` is how much the lists of what is wanted leave out.
pub fn own<'a>(report: &'a Report, gateway: &'a Gateway, tallies: Tallies<'_>, left_out: usize) -> Own<'a> {
    let c = &report.counters;
    let (mut messages, mut dropped) = (messages(tallies.sent), dropped(tallies.dropped));
    let remotes = report.remotes.iter().map(|r| Remote {
        name: &r.name,
        configured: r.configured,
        state: match r.standing {
            Standing::Waiting(_) => "waiting",
            Standing::Dialing(_) => "dialing",
            Standing::Greeting(_) => "greeting",
            Standing::Linked(_) => "linked",
            Standing::GivenUp => "given_up",
        },
        failures: r.failures,
        last_error: &r.last_error,
        addresses: r.addresses.iter().map(place).collect(),
        inbound: r.inbound,
        reached_by: &r.reached_by,
        enforces_borders: r.enforces,
        border: r.border.as_ref().map(rules),
        messages: messages.remove(&r.name).unwrap_or_default().into_values().collect(),
        dropped_on_entry: dropped.remove(&r.name).unwrap_or_default().into_values().collect(),
    });
    let troubles = report.troubles.iter().map(|t| Trouble {
        kind: t.kind.name(),
        about: &t.about,
        text: &t.text,
        seconds: t.seconds,
    });
    Own {
        interest: word(gateway.interest),
        account_interest: gateway.account_interest.iter().map(|(a, i)| (a.as_str(), word(*i))).collect(),
        urls: &report.urls,
        expected: report.expected,
        border: report.border.as_ref().map(rules),
        remotes: remotes.collect(),
        crossing: tallies.crossing,
        troubles: troubles.collect(),
        handshakes: report.handshakes,
        counters: BTreeMap::from([
            ("dials", c.dials),
            ("accepted", c.accepted),
            ("outbound", c.outbound),
            ("inbound", c.inbound),
            ("overlooked", c.overlooked),
        ]),
        failed: c.failed.iter().map(|(cause, n)| (one_word(cause), *n)).collect(),
        troubles_ever: c.troubles.iter().map(|(kind, n)| (kind.name(), *n)).collect(),
        subscriptions_left_out: left_out,
    }
}

/// By cluster and account, over all shards.
fn messages(tallies: &[FarTally]) -> BTreeMap<String, BTreeMap<String, Messages>> {
    let mut all = BTreeMap::<String, BTreeMap<String, Messages>>::new();
    for t in tallies {
        let sum = all.entry(t.cluster.clone()).or_default().entry(t.account.clone()).or_default();
        sum.account.clone_from(&t.account);
        sum.published += t.published;
        sum.sent += t.sent;
        for (reason, n) in &t.drops {
            *sum.drops.entry(reason).or_default() += n;
        }
    }
    for sum in all.values_mut().flat_map(BTreeMap::values_mut) {
        // Shards are asked one after the other: what one of them was asked about later may be ahead.
        sum.suppressed = sum.published.saturating_sub(sum.sent + sum.drops.values().sum::<u64>());
    }
    all
}

/// The same of what came from there and was dropped.
fn dropped(tallies: &[EntryTally]) -> BTreeMap<String, BTreeMap<String, Dropped>> {
    let mut all = BTreeMap::<String, BTreeMap<String, Dropped>>::new();
    for t in tallies {
        let sum = all.entry(t.cluster.clone()).or_default().entry(t.account.clone()).or_default();
        sum.account.clone_from(&t.account);
        *sum.drops.entry(t.reason).or_default() += t.n;
    }
    all
}

fn rules(b: &Border) -> Rules<'_> {
    Rules { digest: &b.digest, exports: b.exports, imports: b.imports }
}

fn place(a: &Address) -> Place<'_> {
    Place { address: &a.address, configured: a.configured, attempts: a.attempts, last_error: &a.last_error }
}

fn word(interest: GatewayInterest) -> &'static str {
    match interest {
        GatewayInterest::Auto => "auto",
        GatewayInterest::Optimistic => "optimistic",
        GatewayInterest::InterestOnly => "interest-only",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_neither_sent_nor_dropped_was_suppressed() {
        let tally = |published, sent, down| FarTally {
            cluster: "B".into(),
            account: "A".into(),
            published,
            sent,
            drops: vec![("gateway_down", down)],
        };
        // The second shard owns the link, and sends for the first as well.
        let sums = messages(&[tally(100, 0, 5), tally(10, 70, 0)]);
        let sum = &sums["B"]["A"];
        assert_eq!((sum.published, sum.sent, sum.suppressed, sum.drops["gateway_down"]), (110, 70, 35, 5));
        assert_eq!(messages(&[tally(1, 2, 0)])["B"]["A"].suppressed, 0);
    }

    #[test]
    fn what_came_and_was_dropped_is_added_up_by_cluster_account_and_reason() {
        let tally = |cluster: &str, account: &str, reason, n| EntryTally {
            cluster: cluster.into(),
            account: account.into(),
            reason,
            n,
        };
        let sums = dropped(&[
            tally("B", "A", "no_interest", 1),
            tally("B", "A", "reply_expired", 2),
            tally("B", "theirs", "unknown_account", 4),
            tally("C", "A", "no_interest", 8),
            tally("B", "A", "no_interest", 16),
        ]);
        assert_eq!(sums["B"]["A"].drops, BTreeMap::from([("no_interest", 17), ("reply_expired", 2)]));
        assert_eq!(sums["B"]["theirs"].drops, BTreeMap::from([("unknown_account", 4)]));
        assert_eq!(sums["C"]["A"].drops, BTreeMap::from([("no_interest", 8)]));
    }
}
