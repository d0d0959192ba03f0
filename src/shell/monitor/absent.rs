//! The endpoints of services that a server does not have: leaf nodes, JetStream. Exporters poll
//! them all the same, so each answers what nats-server answers with the service off (operations.md §16.5, §16.10).
//! Pure.

use super::facts::Facts;
use super::json::{pretty, Nothing};
use super::query::Query;
use super::time::stamp;
use serde::Serialize;

#[derive(Serialize)]
struct Leafz<'a> {
    server_id: &'a str,
    now: String,
    leafnodes: u64,
    leafs: [Nothing; 0],
}

/// `/leafz`.
///
/// # Errors
/// The text of the 400.
pub fn leafz(facts: &Facts, now_ns: u64, q: &Query) -> Result<Vec<u8>, String> {
    q.boolean("subs")?;
    Ok(pretty(&Leafz { server_id: &facts.server_id, now: stamp(now_ns), leafnodes: 0, leafs: [] }))
}

#[derive(Serialize)]
struct Jsz<'a> {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    accounts: u64,
    ha_assets: u64,
    api: Api,
    server_id: &'a str,
    now: String,
    disabled: bool,
    config: Storage,
    streams: u64,
    consumers: u64,
    messages: u64,
    bytes: u64,
    total: u64,
}

#[derive(Default, Serialize)]
struct Api {
    level: u64,
    total: u64,
    errors: u64,
}

#[derive(Default, Serialize)]
struct Storage {
    max_memory: u64,
    max_storage: u64,
}

/// `/jsz`.
///
/// # Errors
/// The text of the 400.
pub fn jsz(facts: &Facts, now_ns: u64, q: &Query) -> Result<Vec<u8>, String> {
    for name in ["accounts", "streams", "consumers", "config", "leader-only", "raft", "stream-leader-only"] {
        q.boolean(name)?;
    }
    q.page(1)?;
    Ok(pretty(&Jsz {
        memory: 0,
        storage: 0,
        reserved_memory: 0,
        reserved_storage: 0,
        accounts: 0,
        ha_assets: 0,
        api: Api::default(),
        server_id: &facts.server_id,
        now: stamp(now_ns),
        disabled: true,
        config: Storage::default(),
        streams: 0,
        consumers: 0,
        messages: 0,
        bytes: 0,
        total: 0,
    }))
}
