//! What the server tells the system account of itself (operations.md §18), as JSON. Pure.

use crate::shard::report::{ConnRow, Tally};
use crate::shard::{Happened, Happening};
use crate::shell::monitor::stamp;
use serde_json::{json, Value};

const TYPE: &str = "io.nats.server.advisory.v1.";

/// Counters of one account over all shards, as events have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Clients now.
    pub conns: u64,
    subscriptions: u64,
    received: (u64, u64),
    sent: (u64, u64),
    slow: u64,
}

impl Account {
    /// Of the account with this name.
    pub fn of(tallies: &[Tally], name: &str) -> Account {
        let rows = tallies.iter().flat_map(|t| &t.accounts).filter(|a| a.account == name);
        rows.fold(Account::default(), |sum, row| Account {
            conns: sum.conns + row.connections,
            subscriptions: sum.subscriptions + row.subscriptions,
            received: (sum.received.0 + row.in_msgs, sum.received.1 + row.in_bytes),
            sent: (sum.sent.0 + row.out_msgs, sum.sent.1 + row.out_bytes),
            slow: sum.slow + row.slow_consumers,
        })
    }
}

fn traffic((msgs, bytes): (u64, u64)) -> Value {
    json!({"msgs": msgs, "bytes": bytes})
}

/// Where a happening is told, and what is said.
pub fn happening(h: &Happening, server: &Value, id: &str, now_ns: u64) -> (String, Value) {
    let server_id = server["id"].as_str().unwrap_or_default();
    let account = &h.row.account;
    let (subject, kind) = match h.what {
        Happened::Connect => (format!("$SYS.ACCOUNT.{account}.CONNECT"), "client_connect"),
        Happened::AuthError => (format!("$SYS.SERVER.{server_id}.CLIENT.AUTH.ERR"), "client_disconnect"),
        Happened::Disconnect | Happened::Number => (format!("$SYS.ACCOUNT.{account}.DISCONNECT"), "client_disconnect"),
    };
    let mut body = json!({
        "type": format!("{TYPE}{kind}"),
        "id": id,
        "timestamp": stamp(now_ns),
        "server": server,
        "client": client(&h.row),
    });
    if h.what != Happened::Connect {
        // From the client's side: what it sent, what it was sent.
        body["sent"] = traffic((h.row.in_msgs, h.row.in_bytes));
        body["received"] = traffic((h.row.out_msgs, h.row.out_bytes));
        body["reason"] = json!(h.row.reason.unwrap_or_default());
    }
    (subject, body)
}

fn client(row: &ConnRow) -> Value {
    let mut client = json!({
        "start": stamp(row.start_ns),
        "host": row.ip,
        "id": row.cid,
        "acc": row.account,
        "name_tag": row.account,
        "kind": "Client",
        "client_type": "nats",
    });
    let texts = [
        ("user", row.user.as_deref().unwrap_or_default()),
        ("name", &row.name),
        ("lang", &row.lang),
        ("ver", &row.version),
    ];
    for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        client[key] = json!(text);
    }
    if let Some(issued) = &row.issued {
        client["issuer_key"] = json!(issued.issuer);
        if !issued.account_name.is_empty() {
            client["name_tag"] = json!(issued.account_name);
        }
        if let Some(token) = &issued.token {
            client["jwt"] = json!(token);
        }
        if !issued.tags.is_empty() {
            client["tags"] = json!(issued.tags);
        }
    }
    if let Some(ns) = row.rtt_ns {
        client["rtt"] = json!(ns);
    }
    if let Some(ns) = row.stop_ns {
        client["stop"] = json!(stamp(ns));
    }
    client
}

/// What is said of an account whose connections are counted.
pub fn account(name: &str, a: &Account, server: &Value, id: &str, now_ns: u64) -> Value {
    json!({
        "type": format!("{TYPE}account_connections"),
        "id": id,
        "timestamp": stamp(now_ns),
        "server": server,
        "acc": name,
        "name": name,
        "conns": a.conns,
        "leafnodes": 0,
        "total_conns": a.conns,
        "num_subscriptions": a.subscriptions,
        "sent": traffic(a.sent),
        "received": traffic(a.received),
        "slow_consumers": a.slow,
    })
}
