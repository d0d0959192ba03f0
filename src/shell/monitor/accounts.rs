//! `/accountz` and `/accstatz`: accounts and their counters (operations.md §16.7, §16.8). Pure.

use super::facts::Facts;
use super::subsz::Table;
use super::time::stamp;
use crate::policy::Auth;
use crate::shard::report::{AccountTally, Tally};
use serde::Serialize;

/// The answer of `/accountz`: the names, or one account.
#[derive(Debug, Serialize)]
pub struct Accountz<'a> {
    server_id: &'a str,
    now: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_account: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_detail: Option<Detail<'a>>,
}

#[derive(Debug, Serialize)]
struct Detail<'a> {
    account_name: &'a str,
    update_time: String,
    #[serde(skip_serializing_if = "super::json::is_false")]
    is_system: bool,
    expired: bool,
    complete: bool,
    jetstream_enabled: bool,
    leafnode_connections: u64,
    client_connections: u64,
    subscriptions: u64,
    name_tag: &'a str,
    sublist_stats: Table,
}

/// Builds `/accountz` of the accounts in force; `account` empty: the list.
///
/// # Errors
/// The text of the 400 for an account that does not exist.
pub fn accountz<'a>(
    (facts, auth): (&'a Facts, &'a Auth),
    now_ns: u64,
    account: &str,
    tallies: &[Tally],
) -> Result<Accountz<'a>, String> {
    let system_account = facts.system_account();
    let mut known = auth.present().map(|(_, a)| a);
    let (mut accounts, mut account_detail) = (Vec::new(), None);
    if account.is_empty() {
        accounts = known.map(|a| a.name.as_str()).collect();
    } else {
        let found = known.find(|a| a.name == account);
        let name = found.ok_or_else(|| format!("Account {account} does not exist"))?.name.as_str();
        let sums = summed(tallies, name);
        account_detail = Some(Detail {
            account_name: name,
            update_time: stamp(facts.start_ns),
            is_system: system_account == Some(name),
            expired: false,
            complete: true,
            jetstream_enabled: false,
            leafnode_connections: 0,
            client_connections: sums.connections,
            subscriptions: sums.subscriptions,
            name_tag: name,
            sublist_stats: Table::of_account(tallies, name),
        });
    }
    Ok(Accountz { server_id: &facts.server_id, now: stamp(now_ns), system_account, accounts, account_detail })
}

/// The answer of `/accstatz`.
#[derive(Debug, Serialize)]
pub struct Accstatz<'a> {
    server_id: &'a str,
    now: String,
    account_statz: Vec<Stat<'a>>,
}

#[derive(Debug, Serialize)]
struct Stat<'a> {
    acc: &'a str,
    name: &'a str,
    conns: u64,
    leafnodes: u64,
    total_conns: u64,
    num_subscriptions: u64,
    sent: Traffic,
    received: Traffic,
    slow_consumers: u64,
}

#[derive(Debug, Default, Serialize)]
struct Traffic {
    #[serde(flatten)]
    all: Volume,
    gateways: Volume,
    routes: Volume,
    leafs: Volume,
}

#[derive(Debug, Default, Serialize)]
struct Volume {
    msgs: u64,
    bytes: u64,
}

impl Traffic {
    fn of_clients(msgs: u64, bytes: u64) -> Traffic {
        Traffic { all: Volume { msgs, bytes }, ..Traffic::default() }
    }
}

/// Builds `/accstatz`: accounts with connections, with `unused` all of them.
pub fn accstatz<'a>(
    (facts, auth): (&'a Facts, &'a Auth),
    now_ns: u64,
    unused: bool,
    tallies: &[Tally],
) -> Accstatz<'a> {
    let rows = auth.present().map(|(_, a)| (a.name.as_str(), summed(tallies, &a.name)));
    let stats = rows.filter(|(_, t)| unused || t.connections > 0).map(|(name, t)| Stat {
        acc: name,
        name,
        conns: t.connections,
        leafnodes: 0,
        // "Total" is over the cluster, not over time: a lone server's own.
        total_conns: t.connections,
        num_subscriptions: t.subscriptions,
        sent: Traffic::of_clients(t.out_msgs, t.out_bytes),
        received: Traffic::of_clients(t.in_msgs, t.in_bytes),
        slow_consumers: t.slow_consumers,
    });
    Accstatz { server_id: &facts.server_id, now: stamp(now_ns), account_statz: stats.collect() }
}

/// One account over all shards.
fn summed(tallies: &[Tally], account: &str) -> AccountTally {
    let rows = tallies.iter().flat_map(|t| &t.accounts).filter(|a| a.account == account);
    rows.fold(AccountTally::default(), |sum, row| AccountTally {
        account: String::new(),
        connections: sum.connections + row.connections,
        total_connections: sum.total_connections + row.total_connections,
        subscriptions: sum.subscriptions + row.subscriptions,
        in_msgs: sum.in_msgs + row.in_msgs,
        in_bytes: sum.in_bytes + row.in_bytes,
        out_msgs: sum.out_msgs + row.out_msgs,
        out_bytes: sum.out_bytes + row.out_bytes,
        slow_consumers: sum.slow_consumers + row.slow_consumers,
    })
}
