//! Links to other clusters, what became of messages to and from them, and the border.

use super::{alone, seconds, Gathered, Labels, Sheet};
use crate::shard::report::{GatewayReport, GatewayRow};
use crate::shell::monitor::json::one_word;
use std::collections::BTreeMap;

/// Writes them.
pub(super) fn write(g: &Gathered<'_>, sheet: &mut Sheet) {
    let Some(machine) = &g.look.gateways else { return };
    let outbound = machine.links.iter().filter(|l| l.far.is_some()).count();
    sheet.gauge(
        "gateways_expected",
        "Outbound links there should be: one for each other cluster",
        alone(machine.expected as f64),
    );
    sheet.gauge("gateways_outbound", "Outbound links there are", alone(outbound as f64));
    sheet.gauge("gateways_inbound", "Inbound links there are", alone((machine.links.len() - outbound) as f64));
    let troubles = machine
        .troubles
        .iter()
        .map(|t| (vec![("kind", t.kind.name().to_owned()), ("about", t.about.clone())], t.seconds as f64));
    sheet.gauge("gateway_trouble_seconds", "What is amiss between clusters, rules that do not fit among it, and for how long; the log and /gatewayz have it in words", troubles);
    let c = &machine.counters;
    let ever = c.troubles.iter().map(|(kind, n)| (vec![("kind", kind.name().to_owned())], *n));
    sheet.counter("gateway_troubles", "What was amiss long enough to be said", ever);
    sheet.counter("gateway_dials", "Dials of other clusters", alone(c.dials));
    let failed = c.failed.iter().map(|(cause, n)| (vec![("cause", one_word(cause))], *n));
    sheet.counter("gateway_failures", "Dials and handshakes that came to nothing", failed);
    links(g.gateways, sheet);
    messages(g.gateways, sheet);
    border(g.gateways, sheet);
}

fn links(reports: &[GatewayReport], sheet: &mut Sheet) {
    let rows = || reports.iter().flat_map(|r| &r.links);
    let each = |f: fn(&GatewayRow) -> u64| rows().map(move |r| (labels(r), f(r))).collect::<Vec<_>>();
    let gauge =
        |f: fn(&GatewayRow) -> Option<f64>| rows().filter_map(move |r| Some((labels(r), f(r)?))).collect::<Vec<_>>();
    sheet.gauge("gateway_pending_bytes", "Bytes that wait for the link", gauge(|r| Some(r.pending_bytes as f64)));
    sheet.gauge("gateway_round_trip_seconds", "The last round trip", gauge(|r| r.rtt_ns.map(seconds)));
    sheet.counter("gateway_received_messages", "Messages that came on the link", each(|r| r.counts.in_msgs));
    sheet.counter("gateway_received_bytes", "Headers and payloads that came on the link", each(|r| r.counts.in_bytes));
    sheet.counter("gateway_sent_messages", "Messages queued for the link", each(|r| r.counts.out_msgs));
    sheet.counter("gateway_sent_bytes", "Headers and payloads queued for the link", each(|r| r.counts.out_bytes));
    let modes = rows().flat_map(|r| {
        r.accounts.iter().map(|a| {
            let mut labels = labels(r);
            labels.extend([("account", a.account.clone()), ("mode", a.mode.name().to_owned())]);
            (labels, 1.0)
        })
    });
    sheet.gauge("gateway_interest_mode", "How messages of an account are sent over the link; always 1", modes);
}

/// Of all shards together, by cluster and account.
fn messages(reports: &[GatewayReport], sheet: &mut Sheet) {
    let (mut sent, mut unsent, mut entry) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for t in reports.iter().flat_map(|r| &r.tallies) {
        *sent.entry((&t.cluster, &t.account)).or_default() += t.sent;
        for (reason, n) in &t.drops {
            *unsent.entry((&t.cluster, &t.account, *reason)).or_default() += n;
        }
    }
    for t in reports.iter().flat_map(|r| &r.entries) {
        *entry.entry((&t.cluster, &t.account, t.reason)).or_default() += t.n;
    }
    let two = |(cluster, account): (&String, &String)| vec![("cluster", cluster.clone()), ("account", account.clone())];
    let three = |((cluster, account, reason), n): ((&String, &String, &'static str), u64)| {
        let mut labels = two((cluster, account));
        labels.push(("reason", reason.to_owned()));
        (labels, n)
    };
    sheet.counter(
        "cluster_sent_messages",
        "Messages of this server's clients sent to another cluster",
        sent.into_iter().map(|(key, n)| (two(key), n)),
    );
    sheet.counter(
        "cluster_unsent_messages",
        "Messages that another cluster may have wanted and was not sent, by reason",
        unsent.into_iter().map(three),
    );
    sheet.counter(
        "cluster_refused_messages",
        "Messages that came from another cluster and reached nobody, by reason",
        entry.into_iter().map(three),
    );
}

fn border(reports: &[GatewayReport], sheet: &mut Sheet) {
    let Some(walls) = reports.iter().find_map(|r| r.walls.as_ref()) else { return };
    let blocks = [("exports", &walls.borders.exports), ("imports", &walls.borders.imports)];
    let rules = blocks
        .into_iter()
        .filter_map(|(name, block)| Some((vec![("block", name.to_owned())], block.as_ref()?.len() as f64)));
    sheet.gauge("border_rules", "Entries of a block of the border; none: there is no such block", rules);
    let mut held = BTreeMap::<&str, u64>::new();
    for t in reports.iter().flat_map(|r| &r.barriers) {
        *held.entry(&t.by).or_default() += t.n;
    }
    let held = held.into_iter().map(|(by, n)| (vec![("by", by.to_owned())], n));
    sheet.counter(
        "border_held_messages",
        "Messages that the border held back, by the rule that did, or the block in which none admits them",
        held,
    );
    let sum = |f: fn(&GatewayReport) -> u64| reports.iter().map(f).sum::<u64>();
    sheet.gauge(
        "border_awaited_replies",
        "Requests to other clusters that may be answered now",
        alone(sum(|r| r.awaited) as f64),
    );
    sheet.counter(
        "border_crowded_out_replies",
        "Requests forgotten before their time because there were too many",
        alone(sum(|r| r.crowded_out)),
    );
}

fn labels(r: &GatewayRow) -> Labels {
    let direction = if r.outbound { "out" } else { "in" };
    vec![
        ("cluster", r.cluster.clone()),
        ("direction", direction.to_owned()),
        ("peer_id", r.remote_id.clone()),
        ("peer", r.remote_name.clone()),
    ]
}
