//! STATSZ: how a server is, in the few numbers that all others and the tools go by (operations.md §17). Pure.

use crate::gateways::Report;
use crate::shard::report::{GatewayReport, RouteRow, Tally};
use crate::shell::monitor::{stamp, varz, Facts};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

/// What STATSZ is made of.
pub struct Gathered<'a> {
    /// Who the server is.
    pub facts: &'a Facts,
    /// One look at it.
    pub look: &'a varz::Look,
    /// Of all shards.
    pub tallies: &'a [Tally],
    /// All routes.
    pub routes: &'a [RouteRow],
    /// Links to other clusters, of all shards.
    pub gateways: &'a [GatewayReport],
    /// Servers that answer, this one among them.
    pub active: usize,
}

/// The object.
pub fn statsz(g: &Gathered<'_>) -> Value {
    let sum = |field: fn(&Tally) -> u64| g.tallies.iter().map(field).sum::<u64>();
    let volume = |msgs: u64, bytes: u64| json!({"msgs": msgs, "bytes": bytes});
    let [in_msgs, in_bytes] = [sum(|t| t.in_msgs), sum(|t| t.in_bytes)];
    let [out_msgs, out_bytes] = [sum(|t| t.out_msgs), sum(|t| t.out_bytes)];
    let slow = sum(|t| t.slow_consumers_pending + t.slow_consumers_deadline);
    let live = g.facts.live();
    let active_accounts = live.auth.present().filter(|(_, a)| {
        let rows = g.tallies.iter().flat_map(|t| &t.accounts);
        rows.filter(|row| row.account == a.name).any(|row| row.connections > 0)
    });
    let mut out = json!({
        "start": stamp(g.facts.start_ns),
        "mem": g.look.mem_bytes,
        "cores": g.facts.cores,
        "cpu": g.look.cpu_percent,
        "connections": sum(|t| t.connections),
        "total_connections": g.facts.accepted.load(Relaxed),
        "active_accounts": active_accounts.count(),
        "subscriptions": sum(|t| t.subscriptions),
        "sent": volume(out_msgs, out_bytes),
        "received": volume(in_msgs, in_bytes),
        "sent_to_clients": volume(
            out_msgs - sum(|t| t.routed.out_msgs + t.crossed.out_msgs),
            out_bytes - sum(|t| t.routed.out_bytes + t.crossed.out_bytes),
        ),
        "received_from_clients": volume(
            in_msgs - sum(|t| t.routed.in_msgs + t.crossed.in_msgs),
            in_bytes - sum(|t| t.routed.in_bytes + t.crossed.in_bytes),
        ),
        "slow_consumers": slow,
        "slow_consumer_stats": {"clients": slow, "routes": 0, "gateways": 0, "leafs": 0},
        "stale_connections": sum(|t| t.stale_connections),
        "stalled_clients": sum(|t| t.stalled_clients),
        "active_servers": g.active,
        "gomaxprocs": g.facts.pins.len(),
    });
    if !g.routes.is_empty() {
        out["routes"] = g.routes.iter().map(route).collect();
    }
    let gateways = gateways(g.look.gateways.as_ref(), g.gateways);
    if !gateways.is_empty() {
        out["gateways"] = Value::Array(gateways);
    }
    out
}

fn route(row: &RouteRow) -> Value {
    json!({
        "rid": row.rid,
        "name": row.remote_name,
        "sent": {"msgs": row.counts.out_msgs, "bytes": row.counts.out_bytes},
        "received": {"msgs": row.counts.in_msgs, "bytes": row.counts.in_bytes},
        "pending": row.pending_bytes,
    })
}

/// One entry for each cluster that an outbound link leads to.
fn gateways(machine: Option<&Report>, reports: &[GatewayReport]) -> Vec<Value> {
    let rows: Vec<_> = reports.iter().flat_map(|r| &r.links).collect();
    let mut inbound: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows.iter().filter(|r| !r.outbound) {
        *inbound.entry(row.cluster.as_str()).or_default() += 1;
    }
    let out = rows.iter().filter(|r| r.outbound).map(|row| {
        json!({
            "gwid": row.link,
            "name": row.cluster,
            "sent": {"msgs": row.counts.out_msgs, "bytes": row.counts.out_bytes},
            "received": {"msgs": row.counts.in_msgs, "bytes": row.counts.in_bytes},
            "inbound_connections": inbound.get(row.cluster.as_str()).copied().unwrap_or(0),
        })
    });
    machine.map(|_| out.collect()).unwrap_or_default()
}
