//! What each shard counts.

use super::{seconds, Gathered, Labels, Sheet};
use crate::shard::report::Tally;
use crate::shell::meter::{Hop, Meter};

/// Who is at the other end of what passes.
const ENDS: [&str; 3] = ["client", "route", "gateway"];

/// Writes them.
pub(super) fn write(g: &Gathered<'_>, sheet: &mut Sheet) {
    let each = |f: fn(&Tally) -> u64| numbered(g.tallies).map(move |(labels, t)| (labels, f(t))).collect::<Vec<_>>();
    let gauge =
        |f: fn(&Tally) -> u64| numbered(g.tallies).map(move |(labels, t)| (labels, f(t) as f64)).collect::<Vec<_>>();
    sheet.gauge("connections", "Clients connected", gauge(|t| t.connections));
    sheet.gauge("subscriptions", "Subscriptions of clients", gauge(|t| t.subscriptions));
    passed(g, sheet);
    times(g, sheet);
    let drops = numbered(g.tallies)
        .flat_map(|(labels, t)| t.drops.iter().map(move |(reason, n)| (with(&labels, "reason", reason), *n)));
    sheet.counter("dropped_messages", "Messages, or copies of them, that were not delivered, by reason", drops);
    let slow = numbered(g.tallies).flat_map(|(labels, t)| {
        [("pending", t.slow_consumers_pending), ("deadline", t.slow_consumers_deadline)]
            .map(|(why, n)| (with(&labels, "reason", why), n))
    });
    sheet.counter(
        "slow_consumers",
        "Connections cut as slow: too much waited for them, or they took no byte in time",
        slow,
    );
    let stale = numbered(g.tallies).flat_map(|(labels, t)| {
        let clients = t.stale_connections - t.stale_routes - t.stale_gateways;
        let counts = [clients, t.stale_routes, t.stale_gateways];
        ENDS.into_iter().zip(counts).map(move |(end, n)| (with(&labels, "kind", end), n))
    });
    sheet.counter("stale_connections", "Connections cut because pings were not answered", stale);
    sheet.counter("stalled_publishers", "Times a publisher waited for slow receivers", each(|t| t.stalled_clients));
    sheet.counter("failed_logins", "Wrong credentials presented by clients", each(|t| t.failed_logins));
    sheet.counter(
        "strangers_dropped",
        "Connections that made room for others because they had not said who they are",
        each(|t| t.strangers_dropped),
    );
    sheet.counter(
        "malformed_headers",
        "Messages of clients with malformed headers, delivered or refused",
        each(|t| t.malformed_headers),
    );
    sheet.counter(
        "refused_interest",
        "Interest of peers that cluster.permissions.export kept out",
        each(|t| t.interest_refused),
    );
    sheet.counter(
        "memory_cut_clients",
        "Clients cut because memory was scarce and much waited for them",
        each(|t| t.scarce_cut),
    );
    sheet.counter(
        "memory_refused_subscriptions",
        "Subscriptions refused because memory was scarce",
        each(|t| t.scarce_refused),
    );
    sheet.counter("traced_messages", "Messages of which is told where they go", each(|t| t.traced));
    sheet.counter(
        "traces_refused",
        "Messages of which was to be told so, and too many were",
        each(|t| t.traces_refused),
    );
    sheet.counter("subscribed", "Subscriptions added", each(|t| t.inserts));
    sheet.counter("unsubscribed", "Subscriptions removed", each(|t| t.removes));
    sheet.counter("subject_matches", "Verdicts on a subject that were reached by a match", each(|t| t.matches));
    sheet.counter("subject_cache_hits", "Verdicts on a subject that were found ready", each(|t| t.cache_hits));
    sheet.gauge("subject_cache_entries", "Verdicts on subjects that are held ready", gauge(|t| t.cached));
}

/// What the threads of the shards do with their time.
fn times(g: &Gathered<'_>, sheet: &mut Sheet) {
    let meters = || g.facts.meters.iter().enumerate().map(|(n, meter)| (vec![("shard", n.to_string())], meter));
    let work = |f: fn(&Meter) -> u64| meters().map(move |(labels, m)| (labels, seconds(f(m)))).collect::<Vec<_>>();
    sheet.seconds("busy_seconds", "Time in which the shard's thread did not sleep", work(|m| m.work_ns().0));
    let useful = work(|m| m.work_ns().1);
    sheet.seconds("useful_seconds", "Time of that in which there was something to do", useful);
    let hops = meters().flat_map(|(labels, m)| {
        Hop::ALL.into_iter().map(move |(hop, name)| (with(&labels, "hop", name), m.spread(hop)))
    });
    sheet.histogram("hop_seconds", "How long what is read in a turn takes on its way, in one turn of 64", hops);
}

/// Messages and bytes, in and out, by who is at the other end.
fn passed(g: &Gathered<'_>, sheet: &mut Sheet) {
    // Of all, over routes, over links to other clusters.
    let each = |f: fn(&Tally) -> [u64; 3]| {
        let by_end = numbered(g.tallies).flat_map(|(labels, t)| {
            let [all, routed, crossed] = f(t);
            let counts = [all - routed - crossed, routed, crossed];
            ENDS.into_iter().zip(counts).map(move |(end, n)| (with(&labels, "kind", end), n))
        });
        by_end.collect::<Vec<_>>()
    };
    let received = each(|t| [t.in_msgs, t.routed.in_msgs, t.crossed.in_msgs]);
    sheet.counter("received_messages", "Messages received", received);
    let received = each(|t| [t.in_bytes, t.routed.in_bytes, t.crossed.in_bytes]);
    sheet.counter("received_bytes", "Headers and payloads received", received);
    let sent = each(|t| [t.out_msgs, t.routed.out_msgs, t.crossed.out_msgs]);
    sheet.counter("sent_messages", "Messages queued for whoever is to get them", sent);
    let sent = each(|t| [t.out_bytes, t.routed.out_bytes, t.crossed.out_bytes]);
    sheet.counter("sent_bytes", "Headers and payloads queued for whoever is to get them", sent);
}

/// Each with its number as a label.
fn numbered(tallies: &[Tally]) -> impl Iterator<Item = (Labels, &Tally)> {
    tallies.iter().enumerate().map(|(n, t)| (vec![("shard", n.to_string())], t))
}

fn with(labels: &Labels, key: &'static str, value: &str) -> Labels {
    let mut labels = labels.clone();
    labels.push((key, value.to_owned()));
    labels
}
