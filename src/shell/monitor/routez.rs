//! `/routez`: the routes, and beside them what the mesh knows (operations.md §16.3). Pure, as `connz`. The fields of
//! nats-server stand where it has them; ours are in objects `turnpike`.

use super::facts::Facts;
use super::json::one_word;
use super::query::Subs;
use super::time::{rtt, stamp, uptime};
use super::wanted::{List, Wanted};
use crate::mesh::{Report, Standing};
use crate::policy::{Settings, SubjectRules};
use crate::shard::report::RouteRow;
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer.
#[derive(Debug, Serialize)]
pub struct Routez<'a> {
    server_id: &'a str,
    server_name: &'a str,
    now: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<Rules<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export: Option<Rules<'a>>,
    num_routes: usize,
    routes: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    turnpike: Option<Own<'a>>,
}

#[derive(Debug, Serialize)]
struct Rules<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allow: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    deny: &'a [String],
}

impl Rules<'_> {
    fn of(rules: &SubjectRules) -> Rules<'_> {
        Rules { allow: &rules.allow, deny: &rules.deny }
    }
}

/// One route.
#[derive(Debug, Serialize)]
struct Row {
    rid: u64,
    remote_id: String,
    remote_name: String,
    did_solicit: bool,
    is_configured: bool,
    ip: String,
    port: u16,
    start: String,
    last_activity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<String>,
    uptime: String,
    idle: String,
    pending_size: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subscriptions: u64,
    #[serde(flatten)]
    wanted: List,
    compression: &'static str,
    turnpike: RowOwn,
}

#[derive(Debug, Serialize)]
struct RowOwn {
    /// The shard that owns the route.
    shard: u8,
}

/// What the mesh knows: who is expected, and who is there.
#[derive(Debug, Serialize)]
struct Own<'a> {
    cluster: &'a str,
    /// The cluster's name was made up.
    dynamic: bool,
    expected: Vec<Target<'a>>,
    missing: Vec<Missing<'a>>,
    handshakes: usize,
    counters: BTreeMap<String, u64>,
    /// Dials and handshakes that came to nothing, by cause.
    failed: BTreeMap<String, u64>,
    /// Subscriptions that the lists above leave out.
    subscriptions_left_out: usize,
}

/// An address that is dialed.
#[derive(Debug, Serialize)]
struct Target<'a> {
    address: &'a str,
    name: &'a str,
    configured: bool,
    present: bool,
    state: &'static str,
    attempts: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    last_error: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    reached_by: &'a [String],
}

/// A member that others reach and this server does not.
#[derive(Debug, Serialize)]
struct Missing<'a> {
    name: &'a str,
    address: &'a str,
    seconds: u64,
    reached_by: &'a [String],
}

/// Collects what the shards say.
#[derive(Debug, Default)]
pub struct Gather {
    /// Routes of all shards.
    pub routes: Vec<RouteRow>,
    /// What the peers want.
    pub wanted: Wanted,
}

impl Gather {
    /// The page; `live` are the settings in force.
    pub fn page<'a>(
        mut self,
        (facts, live): (&'a Facts, &'a Settings),
        report: Option<&'a Report>,
        subs: Subs,
        now_ns: u64,
    ) -> Routez<'a> {
        self.routes.sort_by_key(|r| r.rid);
        let rules = live.cluster.as_ref().and_then(|c| c.permissions.as_ref());
        let rows = std::mem::take(&mut self.routes).into_iter();
        let routes: Vec<Row> = rows.map(|r| row(self.wanted.list(r.rid, subs), r, now_ns)).collect();
        Routez {
            server_id: &facts.server_id,
            server_name: &facts.server_name,
            now: stamp(now_ns),
            import: rules.map(|r| Rules::of(&r.import)),
            export: rules.map(|r| Rules::of(&r.export)),
            num_routes: routes.len(),
            routes,
            turnpike: report.map(|r| own(r, self.wanted.left_out())),
        }
    }
}

fn row(wanted: List, r: RouteRow, now_ns: u64) -> Row {
    Row {
        rid: r.rid,
        remote_id: r.remote_id,
        remote_name: r.remote_name,
        did_solicit: r.dialed,
        is_configured: r.configured,
        ip: r.ip,
        port: r.port,
        start: stamp(r.start_ns),
        last_activity: stamp(r.last_activity_ns),
        rtt: r.rtt_ns.map(rtt),
        uptime: uptime(now_ns.saturating_sub(r.start_ns)),
        idle: uptime(now_ns.saturating_sub(r.last_activity_ns)),
        pending_size: r.pending_bytes,
        in_msgs: r.counts.in_msgs,
        out_msgs: r.counts.out_msgs,
        in_bytes: r.counts.in_bytes,
        out_bytes: r.counts.out_bytes,
        subscriptions: r.interest,
        wanted,
        compression: "off",
        turnpike: RowOwn { shard: r.shard },
    }
}

fn own(report: &Report, left_out: usize) -> Own<'_> {
    let c = &report.counters;
    let counters = [
        ("dials", c.dials),
        ("accepted", c.accepted),
        ("registered", c.registered),
        ("parked", c.parked),
        ("promoted", c.promoted),
        ("missing", c.missing),
        ("overlooked", c.overlooked),
    ];
    Own {
        cluster: &report.cluster,
        dynamic: report.dynamic,
        expected: report.targets.iter().filter(|t| t.standing != Standing::Own).map(target).collect(),
        missing: report.missing.iter().map(missing).collect(),
        handshakes: report.handshakes,
        counters: counters.into_iter().map(|(name, n)| (name.to_owned(), n)).collect(),
        failed: c.failed.iter().map(|(cause, n)| (one_word(cause), *n)).collect(),
        subscriptions_left_out: left_out,
    }
}

fn target(t: &crate::mesh::Target) -> Target<'_> {
    Target {
        address: &t.address,
        name: &t.name,
        configured: t.configured,
        present: t.peer.is_some(),
        state: match t.standing {
            Standing::Waiting(_) => "waiting",
            Standing::Dialing(_) => "dialing",
            Standing::Greeting(_) => "greeting",
            Standing::Settled => "settled",
            Standing::Own => "own",
        },
        attempts: t.attempts,
        last_error: &t.last_error,
        reached_by: &t.reached_by,
    }
}

fn missing(g: &crate::mesh::Gap) -> Missing<'_> {
    Missing { name: &g.name, address: &g.address, seconds: g.seconds, reached_by: &g.reached_by }
}
