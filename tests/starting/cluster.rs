//! Two servers that are a cluster: what monitoring shows of it beside nats-server's keys (recorded from 2.15.2 in
//! `tests/monitor`), what a reload changes, what readiness says (operations.md §§15, 16).

use crate::support::process::{monitoring, until};
use crate::support::raw::Raw;
use crate::support::server::Server;
use crate::{server, AT_ONCE};
use serde_json::Value;
use std::fs;

const PERMISSIONS: &str = "permissions: {import: {allow: [\"foo.>\", \"bar\"], deny: \"foo.b\"}, export: [\">\"]}";

/// A member with these routes.
fn member(routes: &str) -> Server {
    server(&conf(routes), &[])
}

fn conf(routes: &str) -> String {
    format!("cluster {{name: c, listen: \"127.0.0.1:-1\", routes: [{routes}], {PERMISSIONS}}}\n")
}

/// The URL of its route listener, as its ports file tells.
pub fn route(server: &Server) -> String {
    let file = server.folder().join(format!("turnpike_{}.ports", server.pid()));
    let ports: Value = serde_json::from_str(&fs::read_to_string(file).expect("the ports file")).expect("JSON");
    ports["cluster"][0].as_str().expect("a cluster array").to_owned()
}

/// Waits until the server has so many routes.
fn await_routes(server: &Server, n: u64) {
    let routes = || monitoring(server.monitor(), "/varz")["routes"].as_u64();
    until("routes", AT_ONCE, || (routes() == Some(n)).then_some(()));
}

fn recorded(name: &str) -> Value {
    let file = format!("{}/tests/monitor/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(file).expect("a recording")).expect("JSON")
}

/// Panics unless `ours` has every key of `theirs`, with its type.
fn has_all(at: &str, theirs: &Value, ours: &Value) {
    match theirs {
        Value::Object(members) => members.iter().for_each(|(key, v)| has_all(&format!("{at}.{key}"), v, &ours[key])),
        Value::Array(items) => items.iter().for_each(|v| has_all(&format!("{at}[]"), v, &ours[0])),
        kind => {
            let is = match ours {
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                _ => "something else",
            };
            assert_eq!(kind, is, "{at}: {ours}");
        }
    }
}

#[test]
fn monitoring_shows_the_cluster_as_nats_server_does() {
    let a = member("");
    let b = member(&format!("\"{}\"", route(&a)));
    let mut client = Raw::connect(b.clients());
    client.write(b"CONNECT {\"verbose\":false}\r\nSUB foo.x q 1\r\n");
    client.barrier();
    await_routes(&a, 1);
    let told = || monitoring(a.monitor(), "/routez?subs=1")["routes"][0]["subscriptions"] == 1;
    until("interest", AT_ONCE, || told().then_some(()));
    let rtt = || monitoring(a.monitor(), "/routez")["routes"][0]["rtt"].is_string();
    until("a round trip", AT_ONCE, || rtt().then_some(()));
    let routez = monitoring(a.monitor(), "/routez?subs=1");
    has_all("routez", &recorded("routez_subs"), &routez);
    assert_eq!(routez["routes"][0]["subscriptions_list"][0], "foo.x");
    let detail = monitoring(a.monitor(), "/routez?subs=detail");
    has_all("routez", &recorded("routez_detail"), &detail);
    assert_eq!(detail["routes"][0]["subscriptions_list_detail"][0]["sid"], "R $G foo.x q");
    let (varz, theirs) = (monitoring(b.monitor(), "/varz"), recorded("varz_cluster"));
    has_all("varz", &theirs, &varz);
    assert_eq!((&varz["cluster"]["name"], &varz["remotes"], &varz["connections"]), (&"c".into(), &1.into(), &1.into()));
    assert_eq!(monitoring(a.monitor(), "/connz")["total"], 0);
    let ours = monitoring(b.monitor(), "/routez");
    assert_eq!(
        (&ours["turnpike"]["expected"][0]["present"], &ours["turnpike"]["counters"]["dials"]),
        (&true.into(), &1.into())
    );
}

#[test]
fn a_reload_takes_over_the_list_of_routes() {
    let (a, b) = (member(""), member(""));
    fs::write(b.folder().join("server.conf"), conf(&format!("\"{}\"", route(&a)))).expect("cannot write");
    b.signal("HUP");
    await_routes(&a, 1);
    b.says("[INF] Reloaded: cluster routes");
    b.says("[INF] Reloaded server configuration (sha256:");
}

#[test]
fn a_peer_that_is_down_for_all_makes_nobody_unready() {
    let mut gone = member("");
    let b = member(&format!("\"{}\"", route(&gone)));
    await_routes(&b, 1);
    gone.kill();
    await_routes(&b, 0);
    for path in ["/healthz", "/healthz?js-server-only=true", "/healthz?js-enabled-only=true"] {
        assert_eq!(monitoring(b.monitor(), path)["status"], "ok", "{path}");
    }
    let routez = monitoring(b.monitor(), "/routez");
    assert_eq!(routez["turnpike"]["expected"][0]["present"], false);
}

#[test]
fn the_clients_of_a_lame_duck_are_told_of_the_others() {
    let mut a = member("");
    let b = member(&format!("\"{}\"", route(&a)));
    await_routes(&a, 1);
    await_routes(&b, 1);
    let mut client = Raw::connect(a.clients());
    client.write(b"CONNECT {\"verbose\":false,\"protocol\":1}\r\n");
    client.barrier();
    a.signal("USR2");
    let urls = |ldm: &Value| ldm["connect_urls"].as_array().cloned().unwrap_or_default();
    let told = until("INFO", AT_ONCE, || match client.next(AT_ONCE) {
        crate::support::raw::Next::Frame(f) if f.starts_with(b"INFO ") => {
            let info: Value = serde_json::from_slice(&f[5..]).expect("JSON");
            (info["ldm"] == true).then_some(info)
        }
        _ => None,
    });
    assert_eq!(urls(&told), [Value::from(b.clients().to_string())]);
    drop(client);
    assert_eq!(a.ended(), Some(0));
}
