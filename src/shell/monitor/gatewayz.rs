//! `/gatewayz`: the links to other clusters, what each account is told and sent on them, and beside that what the
//! gateways' machine knows (operations.md §16.4). Pure, as `routez`. The fields of nats-server stand where it has them;
//! ours are in objects `turnpike`.

mod border;
mod machine;
mod section;

pub use self::section::{section, Section};

use self::machine::{Own, Tallies};
use super::facts::Facts;
use super::query::{Query, Subs};
use super::time::{rtt, stamp, uptime};
use super::wanted::{List, Wanted};
use crate::gateways::Report;
use crate::policy::walls::Walls;
use crate::shard::report::{
    BarrierTally, EntryTally, FarTally, GatewayAccountRow, GatewayReport, GatewayRow, InterestMode,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Only of this cluster; empty: of all.
    cluster: String,
    /// With accounts.
    accounts: bool,
    /// Only this account; empty: all.
    account: String,
    /// With what the other clusters want.
    subs: Subs,
    /// With the rules of the border.
    rules: bool,
}

impl Request {
    /// Reads the parameters: `gw_name`, `accs`, `acc_name`, `subs`, and ours, `rules`. A name of an account asks for accounts, and so does
    /// `subs`, which is listed by account.
    ///
    /// # Errors
    /// The text of the 400.
    pub fn read(q: &Query) -> Result<Request, String> {
        let (subs, accounts) = (q.subs()?, q.boolean("accs")?);
        let account = q.text("acc_name").to_owned();
        let accounts = accounts || !account.is_empty() || subs != Subs::No;
        let rules = q.boolean("rules")?;
        Ok(Request { cluster: q.text("gw_name").to_owned(), accounts, account, subs, rules })
    }

    /// Is what the other clusters want asked for?
    pub fn wants_subs(&self) -> bool {
        self.subs != Subs::No
    }

    /// The one account that is asked for; None: all are.
    pub fn account(&self) -> Option<String> {
        Some(self.account.clone()).filter(|name| !name.is_empty())
    }

    fn wants_cluster(&self, name: &str) -> bool {
        self.cluster.is_empty() || self.cluster == name
    }

    fn wants_account(&self, name: &str) -> bool {
        self.accounts && (self.account.is_empty() || self.account == name)
    }
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Gatewayz<'a> {
    server_id: &'a str,
    now: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    outbound_gateways: BTreeMap<String, Link>,
    inbound_gateways: BTreeMap<String, Vec<Link>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    turnpike: Option<Own<'a>>,
}

/// One link.
#[derive(Debug, Serialize)]
struct Link {
    configured: bool,
    connection: Connection,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<Account>,
    turnpike: LinkOwn,
}

#[derive(Debug, Serialize)]
struct Connection {
    cid: u64,
    kind: &'static str,
    ip: String,
    port: u16,
    start: String,
    last_activity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<String>,
    uptime: String,
    idle: String,
    pending_bytes: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subscriptions: u64,
    /// The id of the server at the other end.
    name: String,
}

#[derive(Debug, Serialize)]
struct LinkOwn {
    /// The shard that owns it.
    shard: u8,
    server_name: String,
    /// The other end is one of us.
    turnpike: bool,
    /// Whoever accepted the link promised interest-only for all accounts.
    interest_only_promised: bool,
    /// How often it was not read for a while because a route that it feeds was congested.
    #[serde(skip_serializing_if = "super::json::is_zero")]
    stalls: u64,
}

/// One account on one link.
#[derive(Debug, Serialize)]
struct Account {
    name: String,
    interest_mode: &'static str,
    #[serde(skip_serializing_if = "super::json::is_zero")]
    no_interest_count: u64,
    interest_only_threshold: usize,
    #[serde(skip_serializing_if = "super::json::is_zero")]
    num_subs: u64,
    #[serde(skip_serializing_if = "super::json::is_zero")]
    num_queue_subs: u64,
    #[serde(flatten)]
    wanted: List,
    turnpike: AccountOwn,
}

#[derive(Debug, Serialize)]
struct AccountOwn {
    /// How messages of it are sent, in finer words than nats-server has.
    mode: &'static str,
    since: String,
    why: &'static str,
    /// Messages sent over this link; none where we receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
}

/// Collects what the shards say.
#[derive(Debug, Default)]
pub struct Gather {
    links: Vec<GatewayRow>,
    tallies: Vec<FarTally>,
    entries: Vec<EntryTally>,
    barriers: Vec<BarrierTally>,
    walls: Option<Arc<Walls>>,
    /// Requests that may be answered through the border, and those that may not because there were too many.
    replies: (u64, u64),
    /// What the other clusters want.
    pub wanted: Wanted,
}

impl Gather {
    /// What one shard says.
    pub fn take(&mut self, report: GatewayReport) {
        self.links.extend(report.links);
        self.tallies.extend(report.tallies);
        self.entries.extend(report.entries);
        self.barriers.extend(report.barriers);
        self.replies = (self.replies.0 + report.awaited, self.replies.1 + report.crowded_out);
        self.walls = report.walls.or(self.walls.take());
    }

    /// The page.
    pub fn page<'a>(
        mut self,
        facts: &'a Facts,
        report: Option<&'a Report>,
        request: &Request,
        now_ns: u64,
    ) -> Gatewayz<'a> {
        let gateway = facts.settings.gateway.as_ref();
        let threshold = gateway.map_or(0, |g| g.no_interest_max);
        let (mut outbound, mut inbound) = (BTreeMap::new(), BTreeMap::<String, Vec<Link>>::new());
        self.links.sort_by_key(|l| l.link);
        for row in std::mem::take(&mut self.links).into_iter().filter(|l| request.wants_cluster(&l.cluster)) {
            let (out, cluster) = (row.outbound, row.cluster.clone());
            let link = self.link(row, request, threshold, now_ns);
            match out {
                true => drop(outbound.insert(cluster, link)),
                false => inbound.entry(cluster).or_default().push(link),
            }
        }
        let own = report.zip(gateway).map(|(r, g)| {
            let crossing = self.walls.as_ref().map(|w| border::border(w, &self.barriers, self.replies, request.rules));
            let tallies = Tallies { sent: &self.tallies, dropped: &self.entries, crossing };
            machine::own(r, g, tallies, self.wanted.left_out())
        });
        Gatewayz {
            server_id: &facts.server_id,
            now: stamp(now_ns),
            name: gateway.map(|g| g.name.as_str()),
            host: gateway.map(|g| g.listen.host.as_str()),
            port: gateway.map(|_| facts.gateway_port),
            outbound_gateways: outbound,
            inbound_gateways: inbound,
            turnpike: own,
        }
    }

    fn link(&self, row: GatewayRow, request: &Request, threshold: usize, now_ns: u64) -> Link {
        let wanted = |a: &&GatewayAccountRow| request.wants_account(&a.account);
        let list = |a: &GatewayAccountRow| self.wanted.list_of(row.link, &a.account, request.subs);
        let accounts = row.accounts.iter().filter(wanted).map(|a| account(a, list(a), row.outbound, threshold));
        let accounts = accounts.collect();
        Link {
            configured: row.configured,
            accounts,
            turnpike: LinkOwn {
                shard: row.shard,
                server_name: row.remote_name,
                turnpike: row.turnpike,
                interest_only_promised: row.promised,
                stalls: row.counts.stalls,
            },
            connection: Connection {
                cid: row.link,
                kind: "Gateway",
                ip: row.ip,
                port: row.port,
                start: stamp(row.start_ns),
                last_activity: stamp(row.last_activity_ns),
                rtt: row.rtt_ns.map(rtt),
                uptime: uptime(now_ns.saturating_sub(row.start_ns)),
                idle: uptime(now_ns.saturating_sub(row.last_activity_ns)),
                pending_bytes: row.pending_bytes,
                in_msgs: row.counts.in_msgs,
                out_msgs: row.counts.out_msgs,
                in_bytes: row.counts.in_bytes,
                out_bytes: row.counts.out_bytes,
                subscriptions: row.accounts.iter().map(|a| a.plain + a.queues).sum(),
                name: row.remote_id,
            },
        }
    }
}

fn account(a: &GatewayAccountRow, wanted: List, outbound: bool, threshold: usize) -> Account {
    Account {
        name: a.account.clone(),
        interest_mode: match a.mode {
            InterestMode::Unknown | InterestMode::Refused | InterestMode::Optimistic => "Optimistic",
            InterestMode::Transitioning => "Transitioning",
            InterestMode::InterestOnly => "Interest-Only",
        },
        no_interest_count: a.refused,
        interest_only_threshold: threshold,
        num_subs: a.plain + a.queues,
        num_queue_subs: a.queues,
        wanted,
        turnpike: AccountOwn {
            mode: a.mode.name(),
            since: stamp(a.since_ns),
            why: a.why,
            sent: outbound.then_some(a.sent),
        },
    }
}
