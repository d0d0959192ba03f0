//! Routes to the other servers of the cluster.

use super::{alone, seconds, Gathered, Labels, Sheet};
use crate::shard::report::RouteRow;
use crate::shell::monitor::json::one_word;

/// Writes them.
pub(super) fn write(g: &Gathered<'_>, sheet: &mut Sheet) {
    let Some(mesh) = &g.look.mesh else { return };
    sheet.gauge("routes", "Routes there are, each to another server", alone(mesh.routes.len() as f64));
    sheet.gauge(
        "routes_missing",
        "Servers of the cluster that others reach and this one does not",
        alone(mesh.missing.len() as f64),
    );
    sheet.gauge("route_handshakes", "Connections that may become routes", alone(mesh.handshakes as f64));
    let c = &mesh.counters;
    sheet.counter("route_dials", "Dials of other servers", alone(c.dials));
    sheet.counter("routes_registered", "Routes made", alone(c.registered));
    let failed = c.failed.iter().map(|(cause, n)| (vec![("cause", one_word(cause))], *n));
    sheet.counter("route_failures", "Dials and handshakes that came to nothing", failed);

    let each = |f: fn(&RouteRow) -> u64| g.routes.iter().map(move |r| (labels(r), f(r))).collect::<Vec<_>>();
    let gauge = |f: fn(&RouteRow) -> Option<f64>| {
        g.routes.iter().filter_map(move |r| Some((labels(r), f(r)?))).collect::<Vec<_>>()
    };
    sheet.gauge("route_pending_bytes", "Bytes that wait for the route", gauge(|r| Some(r.pending_bytes as f64)));
    sheet.gauge("route_round_trip_seconds", "The last round trip", gauge(|r| r.rtt_ns.map(seconds)));
    sheet.gauge(
        "route_interest",
        "Patterns, with queue groups, that clients of the other server want",
        gauge(|r| Some(r.interest as f64)),
    );
    sheet.counter("route_received_messages", "Messages from the other server", each(|r| r.counts.in_msgs));
    sheet.counter("route_received_bytes", "Headers and payloads from the other server", each(|r| r.counts.in_bytes));
    sheet.counter("route_sent_messages", "Messages queued for the other server", each(|r| r.counts.out_msgs));
    sheet.counter("route_sent_bytes", "Headers and payloads queued for the other server", each(|r| r.counts.out_bytes));
}

fn labels(r: &RouteRow) -> Labels {
    vec![("peer_id", r.remote_id.clone()), ("peer", r.remote_name.clone())]
}
