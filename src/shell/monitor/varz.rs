//! `/varz`: everything about the server in one object (operations.md §16.1). Pure: facts and tallies in, struct out. The
//! order of the fields is nats-server's; exporters make a metric of every number at the top, so what is ours alone
//! stands in the object `turnpike`.

use super::facts::{ByKind, Facts, UNUSED};
use super::gatewayz;
use super::json::{Float, Nothing};
use super::time::{stamp, uptime};
use crate::mesh::{Report, Standing};
use crate::shard::report::Tally;
use crate::{NATS_VERSION, TURNPIKE_VERSION};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What one look at the process gives.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Now, nanoseconds since 1970.
    pub now_ns: u64,
    /// Resident memory.
    pub mem_bytes: u64,
    /// CPU in percent of one core.
    pub cpu_percent: f64,
    /// The port that answers.
    pub http_port: u16,
    /// Client connections accepted per second lately.
    pub accepts_per_second: f64,
    /// What the mesh knows; None: there is no cluster.
    pub mesh: Option<Report>,
    /// What the gateways' machine knows; None: there is none.
    pub gateways: Option<crate::gateways::Report>,
    /// Requests by endpoint.
    pub requests: BTreeMap<&'static str, u64>,
}

impl Look {
    /// Routes, each to another server.
    fn routes(&self) -> u64 {
        self.mesh.as_ref().map_or(0, |m| m.routes.len() as u64)
    }
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Varz<'a> {
    server_id: &'a str,
    server_name: &'a str,
    version: &'a str,
    proto: u64,
    /// The toolchain; of nats-server Go's version.
    go: &'a str,
    host: String,
    port: u16,
    #[serde(skip_serializing_if = "super::json::is_false")]
    auth_required: bool,
    #[serde(skip_serializing_if = "super::json::is_false")]
    tls_required: bool,
    #[serde(skip_serializing_if = "super::json::is_false")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    connect_urls: &'a [String],
    max_connections: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_subscriptions: Option<usize>,
    ping_interval: u64,
    ping_max: u32,
    http_host: &'a str,
    http_port: u16,
    http_base_path: &'a str,
    https_port: u16,
    auth_timeout: Float,
    max_control_line: usize,
    max_payload: usize,
    max_pending: usize,
    cluster: Cluster<'a>,
    gateway: gatewayz::Section<'a>,
    leaf: Nothing,
    mqtt: Nothing,
    websocket: Nothing,
    jetstream: Nothing,
    tls_timeout: Float,
    write_deadline: u64,
    start: String,
    now: String,
    uptime: String,
    mem: u64,
    cores: usize,
    gomaxprocs: usize,
    cpu: Float,
    connections: u64,
    total_connections: u64,
    routes: u64,
    remotes: u64,
    leafnodes: u64,
    in_msgs: u64,
    in_bytes: u64,
    in_client_msgs: u64,
    in_client_bytes: u64,
    out_msgs: u64,
    out_bytes: u64,
    out_client_msgs: u64,
    out_client_bytes: u64,
    slow_consumers: u64,
    stale_connections: u64,
    stalled_clients: u64,
    subscriptions: u64,
    http_req_stats: &'a BTreeMap<&'static str, u64>,
    config_load_time: String,
    config_digest: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_account: Option<&'a str>,
    slow_consumer_stats: ByKind,
    stale_connection_stats: ByKind,
    disk_io_wait_stats: DiskWaits,
    turnpike: Own<'a>,
}

/// The cluster; all absent: there is none.
#[derive(Debug, Default, Serialize)]
struct Cluster<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_timeout: Option<Float>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_timeout: Option<Float>,
    #[serde(skip_serializing_if = "super::json::is_false")]
    tls_required: bool,
    #[serde(skip_serializing_if = "super::json::is_false")]
    tls_verify: bool,
    /// One connection per peer, which is what nats-server calls so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool_size: Option<i32>,
}

/// Waits for a disk: nothing here touches one.
#[derive(Debug, Default, Serialize)]
struct DiskWaits {
    waiters: u64,
    waits: u64,
    wait_time: u64,
    max_wait_time: u64,
}

/// What nats-server has no field for.
#[derive(Debug, Serialize)]
struct Own<'a> {
    version: &'a str,
    shards: Vec<ShardRow>,
    /// Messages not delivered, by reason.
    drops: BTreeMap<&'static str, u64>,
    /// Client connections accepted per second, the mean of the last ten seconds.
    accepts_per_second: Float,
    memory: Memory,
    /// Messages of clients with malformed headers, delivered or (`strict_headers`) refused.
    malformed_headers: u64,
    /// Interest of peers that `cluster.permissions.export` kept out.
    interest_refused: u64,
    subscriptions_denied: u64,
    responses_forgotten: u64,
    /// Messages that were traced, and such that were not because too many were.
    traced: u64,
    traces_refused: u64,
    /// Wrong credentials presented by clients.
    failed_logins: u64,
    /// Connections that made room for others because they had not said who they are.
    strangers_dropped: u64,
    /// Connections refused because too many wrong passwords came from their address.
    guessers_refused: u64,
    /// What was to be told in the system account, or asked of it, and found no room.
    system_events_lost: u64,
    /// Links to other clusters.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateways: Option<Links>,
    warnings: &'a [String],
}

/// How short of memory the server is (`memory_limit`).
#[derive(Debug, Serialize)]
struct Memory {
    /// Bytes from which on it sheds; 0: never.
    limit: u64,
    /// Bytes that count towards it, as of the last look.
    used: u64,
    /// It sheds now.
    scarce: bool,
    /// Clients not let in for it.
    clients_refused: u64,
    /// Clients cut for it.
    clients_cut: u64,
    /// Subscriptions refused for it.
    subscriptions_refused: u64,
}

/// Links to other clusters, in numbers.
#[derive(Debug, Serialize)]
struct Links {
    /// Outbound ones there should be: one for each other cluster.
    expected: usize,
    outbound: usize,
    inbound: usize,
    /// What is amiss for longer than a moment.
    troubles: usize,
}

impl Links {
    fn of(report: &crate::gateways::Report) -> Links {
        let outbound = report.links.iter().filter(|l| l.far.is_some()).count();
        let inbound = report.links.len() - outbound;
        Links { expected: report.expected, outbound, inbound, troubles: report.troubles.len() }
    }
}

/// One shard.
#[derive(Debug, Serialize)]
struct ShardRow {
    /// The core it is pinned to.
    cpu: Option<u16>,
    connections: u64,
    subscriptions: u64,
    in_msgs: u64,
    in_bytes: u64,
    out_msgs: u64,
    out_bytes: u64,
    slow_consumers: u64,
    stalled_clients: u64,
}

/// Builds the answer; `tallies` are in order of shards.
pub fn varz<'a>(facts: &'a Facts, look: &'a Look, tallies: &[Tally]) -> Varz<'a> {
    let (settings, live) = (&facts.settings, facts.loads.in_force(&facts.settings));
    let (timers, limits, slow) = (&live.timers, &live.limits, sum(tallies, slow_consumers));
    let ([in_msgs, in_bytes, out_msgs, out_bytes], (host, port)) = (passed(tallies), facts.told());
    Varz {
        server_id: &facts.server_id,
        server_name: &facts.server_name,
        version: NATS_VERSION,
        proto: 1,
        go: "rust",
        host,
        port,
        // INFO may keep silent about it (`no_auth_user`); monitoring does not.
        auth_required: live.auth.is_guarded(),
        tls_required: live.tls.as_ref().is_some_and(|t| !t.optional),
        tls_verify: live.tls.as_ref().is_some_and(|t| t.verify),
        connect_urls: look.mesh.as_ref().map_or(&[], |m| &m.connect_urls),
        max_connections: limits.max_connections,
        max_subscriptions: Some(limits.max_subscriptions).filter(|n| *n > 0),
        ping_interval: nanoseconds(timers.ping_interval),
        ping_max: timers.ping_max,
        http_host: settings.monitor.as_ref().map_or("", |m| &m.host),
        http_port: if settings.https { 0 } else { look.http_port },
        http_base_path: if settings.http_base_path == "/" { "" } else { &settings.http_base_path },
        https_port: if settings.https { look.http_port } else { 0 },
        auth_timeout: Float(timers.auth_timeout.as_secs_f64()),
        max_control_line: limits.max_control_line,
        max_payload: limits.max_payload,
        max_pending: limits.max_pending,
        cluster: look.mesh.as_ref().map(|m| cluster(facts, m)).unwrap_or_default(),
        gateway: gatewayz::section(facts, look.gateways.as_ref()),
        leaf: UNUSED,
        mqtt: UNUSED,
        websocket: UNUSED,
        jetstream: UNUSED,
        // Shown without TLS too, as nats-server does.
        tls_timeout: Float(live.tls.as_ref().map_or(2.0, |t| t.timeout.as_secs_f64())),
        write_deadline: nanoseconds(timers.write_deadline),
        start: stamp(facts.start_ns),
        now: stamp(look.now_ns),
        uptime: uptime(look.now_ns.saturating_sub(facts.start_ns)),
        mem: look.mem_bytes,
        cores: facts.cores,
        gomaxprocs: facts.pins.len(),
        cpu: Float(look.cpu_percent),
        connections: sum(tallies, |t| t.connections),
        total_connections: facts.accepted.load(Relaxed),
        routes: look.routes(),
        remotes: look.routes(),
        leafnodes: 0,
        in_msgs,
        in_bytes,
        in_client_msgs: in_msgs - sum(tallies, |t| t.routed.in_msgs + t.crossed.in_msgs),
        in_client_bytes: in_bytes - sum(tallies, |t| t.routed.in_bytes + t.crossed.in_bytes),
        out_msgs,
        out_bytes,
        out_client_msgs: out_msgs - sum(tallies, |t| t.routed.out_msgs + t.crossed.out_msgs),
        out_client_bytes: out_bytes - sum(tallies, |t| t.routed.out_bytes + t.crossed.out_bytes),
        slow_consumers: slow,
        stale_connections: sum(tallies, |t| t.stale_connections),
        stalled_clients: sum(tallies, |t| t.stalled_clients),
        subscriptions: sum(tallies, |t| t.subscriptions),
        http_req_stats: &look.requests,
        config_load_time: stamp(facts.loads.since(facts.start_ns)),
        config_digest: live.digest.clone(),
        tags: live.server_tags.clone(),
        metadata: live.server_metadata.iter().cloned().collect(),
        system_account: facts.system_account(),
        slow_consumer_stats: ByKind { clients: slow, ..ByKind::default() },
        stale_connection_stats: stale_by_kind(tallies),
        disk_io_wait_stats: DiskWaits::default(),
        turnpike: own(facts, look, tallies),
    }
}

/// Of all shards together.
fn sum(tallies: &[Tally], field: fn(&Tally) -> u64) -> u64 {
    tallies.iter().map(field).sum()
}

/// Messages and bytes that came in, and those that went out.
fn passed(tallies: &[Tally]) -> [u64; 4] {
    [
        sum(tallies, |t| t.in_msgs),
        sum(tallies, |t| t.in_bytes),
        sum(tallies, |t| t.out_msgs),
        sum(tallies, |t| t.out_bytes),
    ]
}

fn stale_by_kind(tallies: &[Tally]) -> ByKind {
    let (all, routes, gateways) =
        (sum(tallies, |t| t.stale_connections), sum(tallies, |t| t.stale_routes), sum(tallies, |t| t.stale_gateways));
    ByKind { clients: all - routes - gateways, routes, gateways, ..ByKind::default() }
}

fn cluster<'a>(facts: &'a Facts, mesh: &'a Report) -> Cluster<'a> {
    let (Some(c), live) = (&facts.settings.cluster, facts.loads.in_force(&facts.settings)) else {
        return Cluster::default();
    };
    let now = live.cluster.as_ref().unwrap_or(c);
    let tls = now.tls.as_ref();
    let configured = mesh.targets.iter().filter(|t| t.configured && t.standing != Standing::Own);
    Cluster {
        name: Some(&mesh.cluster),
        addr: Some(&c.listen.as_ref().unwrap_or(&facts.settings.listen).host),
        cluster_port: Some(facts.cluster_port),
        auth_timeout: Some(Float(now.auth_timeout.as_secs_f64())),
        urls: configured.map(|t| t.address.as_str()).collect(),
        tls_timeout: Some(Float(tls.map_or(2.0, |t| t.timeout.as_secs_f64()))),
        tls_required: tls.is_some(),
        tls_verify: tls.is_some(),
        pool_size: Some(-1),
    }
}

fn own<'a>(facts: &'a Facts, look: &Look, tallies: &[Tally]) -> Own<'a> {
    let mut drops = BTreeMap::new();
    for (reason, count) in tallies.iter().flat_map(|t| &t.drops) {
        *drops.entry(*reason).or_default() += count;
    }
    let pins = facts.pins.iter().copied().chain(std::iter::repeat(None));
    let shards = tallies.iter().zip(pins).map(|(t, cpu)| ShardRow {
        cpu,
        connections: t.connections,
        subscriptions: t.subscriptions,
        in_msgs: t.in_msgs,
        in_bytes: t.in_bytes,
        out_msgs: t.out_msgs,
        out_bytes: t.out_bytes,
        slow_consumers: slow_consumers(t),
        stalled_clients: t.stalled_clients,
    });
    let sum = |field: fn(&Tally) -> u64| tallies.iter().map(field).sum();
    let warnings = &facts.settings.warnings;
    Own {
        version: TURNPIKE_VERSION,
        shards: shards.collect(),
        drops,
        accepts_per_second: Float(look.accepts_per_second),
        memory: Memory {
            limit: facts.pressure.limit.load(Relaxed),
            used: facts.pressure.used.load(Relaxed),
            // Over only when every shard has heard of it: until then one may still refuse a subscription.
            scarce: facts.pressure.scarce.load(Relaxed) || tallies.iter().any(|t| t.scarce),
            clients_refused: facts.pressure.refused.load(Relaxed),
            clients_cut: sum(|t| t.scarce_cut),
            subscriptions_refused: sum(|t| t.scarce_refused),
        },
        malformed_headers: sum(|t| t.malformed_headers),
        interest_refused: sum(|t| t.interest_refused),
        subscriptions_denied: sum(|t| t.subscriptions_denied),
        responses_forgotten: sum(|t| t.responses_forgotten),
        traced: sum(|t| t.traced),
        traces_refused: sum(|t| t.traces_refused),
        failed_logins: sum(|t| t.failed_logins),
        strangers_dropped: sum(|t| t.strangers_dropped),
        guessers_refused: facts.guessers_refused.load(Relaxed),
        system_events_lost: facts.events_lost.load(Relaxed),
        gateways: look.gateways.as_ref().map(Links::of),
        warnings,
    }
}

fn slow_consumers(t: &Tally) -> u64 {
    t.slow_consumers_pending + t.slow_consumers_deadline
}

fn nanoseconds(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
