//! A reload changes what a cluster is held to while it runs (operations.md §15): beside another turnpike, and beside
//! nats-server.

use crate::mixed::peers;
use crate::support::cluster::{await_connected, await_log, free_port, routes, Client};
use crate::support::process::{monitoring, until};
use crate::support::raw::{Next, Raw, PATIENCE};
use crate::support::server::{shard_args, Server, Start, Which};
use serde_json::Value;
use std::time::Instant;

/// Two members; the second calls the first.
struct Pair {
    nodes: [Server; 2],
    ports: [u16; 2],
}

fn conf(n: usize, ports: [u16; 2], inside: &str, beside: &str) -> String {
    // A nats-server presents to those it lists only what their URL says.
    let login = inside.split_once("password: ").map(|(_, rest)| format!("//u:{}@", rest.trim_end_matches('}')));
    let dials = if n == 0 { String::new() } else { format!("routes: {}", routes(&ports[..1])) };
    let dials = dials.replace("//", login.as_deref().unwrap_or("//"));
    format!(
        "server_name: n{n}\n{beside}\ncluster {{ name: c, listen: \"127.0.0.1:{}\", {dials}\n{inside} }}\n",
        ports[n]
    )
}

impl Pair {
    fn of(all: [Which; 2], inside: &str) -> Pair {
        let ports = [free_port(), free_port()];
        let mut n = 0;
        let nodes = all.map(|which| {
            let text = conf(n, ports, inside, "");
            n += 1;
            Server::from(Start::new(&which, &text, &shard_args(&which, 2)))
        });
        let pair = Pair { nodes, ports };
        pair.whole();
        pair
    }

    fn ours(inside: &str) -> Pair {
        Pair::of([Which::under_test(), Which::under_test()], inside)
    }

    /// The `n`th reads this, and says that it has.
    fn reload(&self, n: usize, inside: &str, beside: &str) {
        self.nodes[n].reload(&conf(n, self.ports, inside, beside));
    }

    fn whole(&self) {
        await_connected(&[&self.nodes[0], &self.nodes[1]]);
    }

    /// The numbers of the routes of the `n`th.
    fn rids(&self, n: usize) -> Vec<u64> {
        let routez = monitoring(self.nodes[n].monitor(), "/routez");
        routez["routes"].as_array().into_iter().flatten().filter_map(|r| r["rid"].as_u64()).collect()
    }
}

/// The next INFO a client is told.
fn info(raw: &mut Raw) -> Value {
    loop {
        match raw.next(PATIENCE) {
            Next::Frame(f) if f.starts_with(b"INFO ") => return serde_json::from_slice(&f[5..]).expect("JSON"),
            Next::Frame(_) => {}
            other => panic!("instead of INFO: {other:?}"),
        }
    }
}

/// Who is connected is told at once, at every member; nats-server tells only those who come.
#[test]
fn where_clients_find_a_server_is_told_everywhere() {
    let pair = Pair::ours("");
    let mut told: Vec<Client> = pair.nodes.iter().map(Client::of).collect();
    pair.reload(0, "", "client_advertise: \"example.org:4333\"");
    await_log(&pair.nodes[0], "[INF] Reloaded: client_advertise");
    for client in &mut told {
        until("the new address", PATIENCE, || {
            info(&mut client.raw)["connect_urls"].to_string().contains("example.org:4333").then_some(())
        });
    }
    let greeting = Raw::connect(pair.nodes[0].clients()).greeting().clone();
    assert_eq!((&greeting["host"], &greeting["port"]), (&"example.org".into(), &4333.into()));
    assert_eq!(monitoring(pair.nodes[0].monitor(), "/varz")["host"], "example.org");
    pair.reload(0, "no_advertise: true", "");
    await_log(&pair.nodes[0], "[INF] Reloaded: cluster.no_advertise");
    let there = pair.nodes[1].clients().to_string();
    until("nothing of the other", PATIENCE, || {
        (info(&mut told[1].raw)["connect_urls"] == serde_json::json!([there])).then_some(())
    });
}

/// Subscriptions that are told no more are taken back, those that are told now arrive.
fn permissions_change(all: [Which; 2], at: usize) {
    let pair = Pair::of(all, "");
    let (mut here, mut there) = (Client::of(&pair.nodes[at]), Client::of(&pair.nodes[1 - at]));
    here.say("SUB in 1\r\nSUB no 2\r\n");
    there.say("SUB out 1\r\nSUB no 2\r\n");
    pair.reload(at, "permissions: {import: in, export: out}", "");
    let wants = |n: usize| {
        let routez = monitoring(pair.nodes[n].monitor(), "/routez?subs=1");
        // A nats-server has several.
        let all = routez["routes"].as_array().into_iter().flatten();
        let all = all.flat_map(|r| r["subscriptions_list"].as_array().into_iter().flatten());
        let mut all: Vec<String> = all.filter_map(|s| Some(s.as_str()?.to_owned())).collect();
        all.retain(|s| ["in", "out", "no"].contains(&s.as_str()));
        all.sort();
        all
    };
    until("what may come in", PATIENCE, || (wants(1 - at) == ["in"]).then_some(()));
    until("what may go out", PATIENCE, || (wants(at) == ["out"]).then_some(()));
    pair.reload(at, "", "");
    until("all of it", PATIENCE, || (wants(1 - at) == ["in", "no"] && wants(at) == ["no", "out"]).then_some(()));
    pair.whole();
}

#[test]
fn what_crosses_routes_changes() {
    permissions_change([Which::under_test(), Which::under_test()], 0);
}

#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn mixed_what_crosses_routes_changes() {
    for peer in peers() {
        permissions_change([Which::under_test(), peer.clone()], 0);
        permissions_change([peer, Which::under_test()], 1);
    }
}

const OLD: &str = "authorization {user: u, password: old}";
const NEW: &str = "authorization {user: u, password: new}";

/// Whoever calls with a login that is not asked for is refused a few times a second, though a nats-server would call without
/// a pause.
fn no_storm(pair: &Pair, begun: Instant) {
    for ours in pair.nodes.iter().filter(|n| n.which().is_turnpike()) {
        let routez = monitoring(ours.monitor(), "/routez");
        let refused = routez["turnpike"]["failed"]["credentials"].as_u64().unwrap_or(0);
        let most = 20 + 10 * begun.elapsed().as_secs();
        assert!(refused <= most, "{refused} refused in {:?}", begun.elapsed());
    }
}

/// Who was called stays, who calls has to present what is asked for now.
fn login_changes(all: [Which; 2]) {
    let pair = Pair::of(all, OLD);
    let (before, begun) = (pair.rids(1), Instant::now());
    pair.reload(1, NEW, "");
    // It has called, and has no reason to end that. A nats-server ends what it no longer lists in the same words.
    if pair.nodes[1].which().is_turnpike() {
        assert_eq!(pair.rids(1), before);
    }
    pair.reload(0, NEW, "");
    // Whoever was refused meanwhile waits before he calls again, up to half a minute.
    until("another route", PATIENCE, || {
        let now = pair.rids(1);
        (!now.is_empty() && now != before).then_some(())
    });
    pair.whole();
    assert_ne!(pair.rids(1), before);
    no_storm(&pair, begun);
    // With a nats-server there may be several, and either side may have called.
    if !pair.nodes.iter().all(|n| n.which().is_turnpike()) {
        return;
    }
    // Now the one that was called is first: they are apart until the other knows it too.
    let calls = monitoring(pair.nodes[0].monitor(), "/routez")["routes"][0]["did_solicit"] == true;
    let called = usize::from(calls);
    pair.reload(called, OLD, "");
    until("the end of the route", PATIENCE, || pair.rids(called).is_empty().then_some(()));
    pair.reload(1 - called, OLD, "");
    pair.whole();
}

#[test]
fn another_login_is_asked_for() {
    login_changes([Which::under_test(), Which::under_test()]);
}

#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn mixed_another_login_is_asked_for() {
    for peer in peers() {
        login_changes([Which::under_test(), peer.clone()]);
        login_changes([peer, Which::under_test()]);
    }
}

#[test]
fn the_rest_is_taken_over_and_ends_no_route() {
    let pair = Pair::ours("");
    let before = pair.rids(0);
    let inside = "connect_retries: 3, ping_interval: \"900ms\", peer_timeout: \"3s\", mesh_readiness: warn, authorization {timeout: 9}, \
                  advertise: \"localhost\"";
    pair.reload(0, inside, "");
    for key in
        ["connect_retries", "ping_interval", "peer_timeout", "mesh_readiness", "authorization.timeout", "advertise"]
    {
        await_log(&pair.nodes[0], &format!("[INF] Reloaded: cluster.{key}"));
    }
    await_log(&pair.nodes[1], &format!("is dialed at localhost:{} from now on", pair.ports[0]));
    assert_eq!(monitoring(pair.nodes[0].monitor(), "/varz")["cluster"]["auth_timeout"].as_f64(), Some(9.0));
    pair.whole();
    assert_eq!(pair.rids(0), before);
}
