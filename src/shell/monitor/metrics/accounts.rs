//! What each account's clients do, over all shards.

use super::{Gathered, Labels, Sheet};
use crate::shard::report::AccountTally;
use std::collections::BTreeMap;

/// Writes them.
pub(super) fn write(g: &Gathered<'_>, sheet: &mut Sheet) {
    let mut by_name = BTreeMap::<&str, Vec<&AccountTally>>::new();
    for row in g.tallies.iter().flat_map(|t| &t.accounts) {
        by_name.entry(&row.account).or_default().push(row);
    }
    let each = |f: fn(&AccountTally) -> u64| {
        let sums = by_name.iter().map(|(name, rows)| -> (Labels, u64) {
            (vec![("account", (*name).to_owned())], rows.iter().map(|row| f(row)).sum())
        });
        sums.collect::<Vec<_>>()
    };
    let gauge = |f| each(f).into_iter().map(|(labels, n)| (labels, n as f64));
    sheet.gauge("account_connections", "Clients connected", gauge(|a| a.connections));
    sheet.gauge("account_subscriptions", "Subscriptions of its clients", gauge(|a| a.subscriptions));
    sheet.counter("account_accepted_connections", "Clients that signed in", each(|a| a.total_connections));
    sheet.counter("account_received_messages", "Messages from its clients", each(|a| a.in_msgs));
    sheet.counter("account_received_bytes", "Headers and payloads from its clients", each(|a| a.in_bytes));
    sheet.counter("account_sent_messages", "Messages queued for its clients", each(|a| a.out_msgs));
    sheet.counter("account_sent_bytes", "Headers and payloads queued for its clients", each(|a| a.out_bytes));
    sheet.counter("account_slow_consumers", "Its clients cut as slow", each(|a| a.slow_consumers));
}
