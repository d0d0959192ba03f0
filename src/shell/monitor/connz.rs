//! `/connz`: connections, open and ended (operations.md §16.2). Pure: rows go in as the shards deliver them, at most a
//! page's worth is kept.

use super::facts::Facts;
use super::query::{Query, Subs};
use super::subsz::SubDetail;
use super::time::{rtt, stamp, uptime};
use crate::shard::report::{ConnRow, SubRow};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Entries of a page that names no limit.
pub const LIMIT: usize = 1024;

/// How a listing is sorted. Ties go by `cid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Cid,
    Subs,
    Pending,
    OutMsgs,
    InMsgs,
    OutBytes,
    InBytes,
    Last,
    Idle,
    Uptime,
    Rtt,
    Stop,
    Reason,
}

/// What is asked for.
#[derive(Debug)]
pub struct Request {
    sort: Sort,
    auth: bool,
    subs: Subs,
    offset: usize,
    limit: usize,
    /// 0: all.
    cid: u64,
    open: bool,
    closed: bool,
    user: String,
    account: String,
    /// An MQTT client was asked for: there is none.
    mqtt: bool,
}

impl Request {
    /// Reads the parameters.
    ///
    /// # Errors
    /// The text of the 400.
    pub fn read(q: &Query) -> Result<Request, String> {
        let auth = q.boolean("auth")?;
        let subs = q.subs()?;
        let (offset, limit) = q.page(LIMIT)?;
        let cid = q.uint("cid")?;
        let (open, closed) = match q.text("state").to_lowercase().as_str() {
            "" | "open" => (true, false),
            "closed" => (false, true),
            "any" | "all" => (true, true),
            _ => return Err(format!("Error decoding state for {}", q.text("state"))),
        };
        let sort = sort(q.text("sort"))?;
        if open && matches!(sort, Sort::Stop | Sort::Reason) {
            return Err(format!("sort by {} only valid on closed connections", q.text("sort")));
        }
        Ok(Request {
            sort,
            auth,
            subs,
            offset,
            limit: if cid > 0 { 1 } else { limit },
            cid,
            open,
            closed,
            user: q.text("user").into(),
            account: q.text("acc").into(),
            mqtt: !q.text("mqtt_client").is_empty(),
        })
    }

    /// Are open connections wanted?
    pub fn wants_open(&self) -> bool {
        self.open
    }

    /// Are ended connections wanted?
    pub fn wants_closed(&self) -> bool {
        self.closed
    }

    /// The only account that is wanted.
    pub fn account(&self) -> Option<&str> {
        Some(self.account.as_str()).filter(|a| !a.is_empty())
    }

    /// Does it name an account that does not exist?
    pub fn lost(&self, facts: &Facts) -> bool {
        !self.account.is_empty() && !facts.has_account(&self.account)
    }
}

fn sort(name: &str) -> Result<Sort, String> {
    Ok(match name {
        // Connections are numbered as they come.
        "" | "cid" | "start" => Sort::Cid,
        "subs" => Sort::Subs,
        "pending" => Sort::Pending,
        "msgs_to" => Sort::OutMsgs,
        "msgs_from" => Sort::InMsgs,
        "bytes_to" => Sort::OutBytes,
        "bytes_from" => Sort::InBytes,
        "last" => Sort::Last,
        "idle" => Sort::Idle,
        "uptime" => Sort::Uptime,
        "rtt" => Sort::Rtt,
        "stop" => Sort::Stop,
        "reason" => Sort::Reason,
        other => return Err(format!("invalid sorting option: {other}")),
    })
}

/// Collects the rows of all shards: first [`take`](Gather::take) them all, then [`settle`](Gather::settle) what is on the
/// page, then [`take_sub`](Gather::take_sub) its subscriptions.
#[derive(Debug)]
pub struct Gather {
    request: Request,
    now_ns: u64,
    total: u64,
    kept: Vec<ConnRow>,
    /// Where in `kept` an open connection stands that has subscriptions to be told.
    places: BTreeMap<u64, usize>,
    subs_missing: u64,
}

impl Gather {
    /// Nothing yet.
    pub fn new(request: Request, now_ns: u64) -> Gather {
        Gather { request, now_ns, total: 0, kept: Vec::new(), places: BTreeMap::new(), subs_missing: 0 }
    }

    /// A shard's row. `total` counts before the filters by user and cid; the tools page by it (operations.md §24).
    pub fn take(&mut self, row: ConnRow) {
        let r = &self.request;
        if !r.account.is_empty() && row.account != r.account {
            return;
        }
        self.total += 1;
        let by_cid = r.cid == 0 || row.cid == r.cid;
        let by_user = r.user.is_empty() || row.user.as_deref() == Some(&r.user);
        if r.mqtt || !by_cid || !by_user {
            return;
        }
        self.kept.push(row);
        // Only what may still be on the page stays, so that a listing costs no more memory than twice its page.
        let room = r.offset.saturating_add(r.limit);
        if self.kept.len() >= room.saturating_mul(2).max(LIMIT) {
            self.sort();
            self.kept.truncate(room);
        }
    }

    fn sort(&mut self) {
        let (sort, now) = (self.request.sort, self.now_ns);
        self.kept.sort_by(|a, b| order(sort, now, a, b).then(a.cid.cmp(&b.cid)).then(b.stop_ns.cmp(&a.stop_ns)));
    }

    /// All rows have been told: keeps those of the page.
    pub fn settle(&mut self) {
        // A connection that ended between two questions was told twice, as open and as ended; the end is the news.
        if self.request.open && self.request.closed {
            self.kept.sort_by(|a, b| a.cid.cmp(&b.cid).then(b.stop_ns.cmp(&a.stop_ns)));
            let before = self.kept.len();
            self.kept.dedup_by_key(|row| row.cid);
            self.total -= (before - self.kept.len()) as u64;
        }
        self.sort();
        self.kept.drain(..self.request.offset.min(self.kept.len()));
        self.kept.truncate(self.request.limit);
        if self.request.subs != Subs::No {
            let told = self.kept.iter().enumerate().filter(|(_, row)| row.stop_ns.is_none() && row.subscriptions > 0);
            self.places = told.map(|(place, row)| (row.cid, place)).collect();
            self.subs_missing = self.places.values().map(|place| self.kept[*place].subscriptions).sum();
        }
    }

    /// Are there subscriptions to be told?
    pub fn wants_subs(&self) -> bool {
        self.subs_missing > 0
    }

    /// A subscription of whatever connection.
    pub fn take_sub(&mut self, sub: SubRow) {
        if let Some(place) = self.places.get(&sub.cid) {
            self.kept[*place].subs.push(sub);
            self.subs_missing = self.subs_missing.saturating_sub(1);
        }
    }

    /// The page.
    pub fn page(self, facts: &Facts) -> Connz {
        let Gather { request, now_ns, total, kept, .. } = self;
        let connections: Vec<Connection> = kept.into_iter().map(|row| connection(row, &request, now_ns)).collect();
        Connz {
            server_id: facts.server_id.clone(),
            now: stamp(now_ns),
            num_connections: connections.len(),
            total,
            offset: request.offset,
            limit: request.limit,
            connections: Some(connections),
        }
    }

    /// The answer for an account that does not exist: nameless and without a list, as nats-server's.
    pub fn nowhere(self) -> Connz {
        Connz {
            server_id: String::new(),
            now: stamp(self.now_ns),
            num_connections: 0,
            total: 0,
            offset: self.request.offset,
            limit: self.request.limit,
            connections: None,
        }
    }
}

fn order(sort: Sort, now_ns: u64, a: &ConnRow, b: &ConnRow) -> Ordering {
    let most = |field: fn(&ConnRow) -> u64| field(b).cmp(&field(a));
    let lived = |row: &ConnRow| row.stop_ns.unwrap_or(now_ns).saturating_sub(row.start_ns);
    match sort {
        Sort::Cid => Ordering::Equal,
        Sort::Subs => most(|r| r.subscriptions),
        Sort::Pending => most(|r| r.pending_bytes),
        Sort::OutMsgs => most(|r| r.out_msgs),
        Sort::InMsgs => most(|r| r.in_msgs),
        Sort::OutBytes => most(|r| r.out_bytes),
        Sort::InBytes => most(|r| r.in_bytes),
        Sort::Last => most(|r| r.last_activity_ns),
        Sort::Idle => a.last_activity_ns.cmp(&b.last_activity_ns),
        // The youngest first: nats-server does not turn this one round.
        Sort::Uptime => lived(a).cmp(&lived(b)),
        Sort::Rtt => most(|r| r.rtt_ns.unwrap_or(0)),
        Sort::Stop => most(|r| r.stop_ns.unwrap_or(0)),
        Sort::Reason => a.reason.cmp(&b.reason),
    }
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Connz {
    server_id: String,
    now: String,
    num_connections: usize,
    total: u64,
    offset: usize,
    limit: usize,
    connections: Option<Vec<Connection>>,
}

#[derive(Debug, Serialize)]
struct Connection {
    cid: u64,
    kind: &'static str,
    #[serde(rename = "type")]
    wire: &'static str,
    ip: String,
    port: u16,
    start: String,
    last_activity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    rtt: String,
    uptime: String,
    idle: String,
    pending_bytes: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    #[serde(skip_serializing_if = "super::json::is_zero")]
    stalls: u64,
    subscriptions: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cipher_suite: Option<&'static str>,
    #[serde(skip_serializing_if = "super::json::is_false")]
    tls_first: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorized_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list_detail: Vec<SubDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_tag: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    /// Ours alone: what waited for a connection when it was cut as a slow consumer.
    #[serde(skip_serializing_if = "super::json::is_zero")]
    lost_msgs: u64,
}

fn connection(row: ConnRow, request: &Request, now_ns: u64) -> Connection {
    let until = row.stop_ns.unwrap_or(now_ns);
    let named = request.auth && !row.account.is_empty();
    let issued = row.issued.filter(|_| request.auth).map(|issued| *issued);
    let called = issued.as_ref().map(|i| i.account_name.clone()).filter(|name| !name.is_empty());
    let (mut subjects, mut details) = (Vec::new(), Vec::new());
    match request.subs {
        Subs::No => {}
        Subs::Subjects => subjects = row.subs.into_iter().map(|s| s.subject).collect(),
        Subs::Detail => details = row.subs.into_iter().map(|s| SubDetail::new(s, false)).collect(),
    }
    Connection {
        cid: row.cid,
        kind: "Client",
        wire: "nats",
        ip: row.ip,
        port: row.port,
        start: stamp(row.start_ns),
        last_activity: stamp(row.last_activity_ns),
        stop: row.stop_ns.map(stamp),
        reason: row.reason,
        rtt: rtt(row.rtt_ns.unwrap_or(0)),
        uptime: uptime(until.saturating_sub(row.start_ns)),
        idle: uptime(until.saturating_sub(row.last_activity_ns)),
        pending_bytes: row.pending_bytes,
        in_msgs: row.in_msgs,
        out_msgs: row.out_msgs,
        in_bytes: row.in_bytes,
        out_bytes: row.out_bytes,
        stalls: row.stalls,
        subscriptions: row.subscriptions,
        name: row.name,
        lang: row.lang,
        version: row.version,
        tls_version: row.tls.map(|t| t.0),
        tls_cipher_suite: row.tls.map(|t| t.1),
        tls_first: row.tls.is_some_and(|t| t.2),
        authorized_user: row.user.filter(|_| request.auth),
        // The global account goes without saying (operations.md §22, 8).
        account: (named && row.account != "$G").then(|| row.account.clone()),
        subscriptions_list: subjects,
        subscriptions_list_detail: details,
        jwt: issued.as_ref().and_then(|i| i.token.clone()),
        issuer_key: issued.as_ref().map(|i| i.issuer.clone()),
        name_tag: named.then(|| called.unwrap_or(row.account)),
        tags: issued.map(|i| i.tags).unwrap_or_default(),
        lost_msgs: row.lost_msgs,
    }
}

#[cfg(test)]
mod tests;
