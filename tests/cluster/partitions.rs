//! Partitions: three nodes in network namespaces, and cables between them that are cut or lose what is sent. A missing
//! edge is named at both its ends, a silent peer is out in time, and what is healed is whole again.

use crate::support::audit::Audit;
use crate::support::cluster::{free_port, Client, Cluster};
use crate::support::netns::Net;
use crate::support::process::{monitoring, try_monitoring, until, Stopwatch};
use crate::support::raw::PATIENCE;
use crate::support::server::{shard_args, Server, Start, Which};
use std::thread;
use std::time::Duration;

/// A silent peer is out within 6 s (scenarios.md G6); one more for a machine that has much else to do.
const OUT: Duration = Duration::from_secs(7);
/// A missing edge is named within 5 s; one more as above.
const NAMED: Duration = Duration::from_secs(6);

/// A server in each namespace; each lists the first.
fn cluster(net: &Net, nodes: usize, shards: usize) -> Cluster {
    let which = Which::under_test();
    let ports: Vec<u16> = (0..nodes).map(|_| free_port()).collect();
    let start = |n: usize| {
        let conf = format!(
            "server_name: n{n}\ncluster {{ name: c, listen: \"{}:{}\", routes: [\"nats://{}:{}\"] }}\n",
            net.routes_at(n),
            ports[n],
            net.routes_at(0),
            ports[0],
        );
        let host = net.clients_at(n).into();
        Server::from(Start::new(&which, &conf, &shard_args(&which, shards)).inside(net.namespace(n), host))
    };
    let cluster = Cluster { nodes: (0..nodes).map(start).collect(), ports };
    cluster.await_whole();
    cluster
}

/// Has `at` a route to the server called `name`?
fn reaches(at: &Server, name: &str) -> bool {
    let routez = monitoring(at.monitor(), "/routez");
    routez["routes"].as_array().expect("routes").iter().any(|r| r["remote_name"] == name)
}

/// Which member `at` misses, as monitoring has it.
fn misses(at: &Server) -> Vec<String> {
    let routez = monitoring(at.monitor(), "/routez");
    let missing = routez["turnpike"]["missing"].as_array().expect("missing").clone();
    missing.iter().map(|m| m["name"].as_str().expect("a name").to_string()).collect()
}

fn ready(at: &Server) -> bool {
    try_monitoring(at.monitor(), "/healthz").is_ok_and(|a| a["status"] == "ok")
}

/// Cuts the edge between the second and the third node, and heals it; all that must be seen of it.
fn an_edge(what: &str, cut: impl FnOnce(&Net), heal: impl FnOnce(&Net), net: &Net) {
    let c = cluster(net, 3, 2);
    let (b, d) = (&c.nodes[1], &c.nodes[2]);
    let audits = [Audit::start(&[&c.nodes[0], b]), Audit::start(&[&c.nodes[0], d])];
    for audit in &audits {
        let sent = audit.sent()[0];
        until("the audit runs", PATIENCE, || (audit.sent()[0] > sent).then_some(()));
    }
    cut(net);
    let begun = Stopwatch::start();
    until("both are out of each other's routing", PATIENCE, || (!reaches(b, "n2") && !reaches(d, "n1")).then_some(()));
    let out = begun.passed();
    assert!(out < OUT, "{what}: out after {out:?}");
    until("the missing edge is in both logs and both /routez, and neither is ready", PATIENCE, || {
        let named = |s: &Server, other: &str| {
            s.output().contains(&format!("no route to \"{other}\"")) && misses(s) == [other] && !ready(s)
        };
        (named(b, "n2") && named(d, "n1")).then_some(())
    });
    let named = begun.passed().saturating_sub(out);
    assert!(named < NAMED, "{what}: named {named:?} after it was missing");
    assert!(ready(&c.nodes[0]), "who reaches all is ready");
    assert_eq!(monitoring(b.monitor(), "/healthz?js-enabled-only=true")["status"], "ok", "it lives");
    heal(net);
    let healed = Stopwatch::start();
    until("the edge is back", PATIENCE, || (reaches(b, "n2") && reaches(d, "n1")).then_some(()));
    let back = healed.passed();
    c.await_whole();
    until("nothing is missed and all are ready", PATIENCE, || {
        c.nodes.iter().all(|s| misses(s).is_empty() && ready(s)).then_some(())
    });
    audits.into_iter().for_each(|audit| assert_eq!(audit.finish().1, 0));
    println!("{what}: out after {out:.1?}, named {named:.1?} later, back {back:.1?} after healing");
}

/// Three kinds of failure, in three nets at a time: most of it is waiting.
#[test]
fn a_missing_edge_is_named_at_both_ends() {
    const BOTH: [(usize, usize); 2] = [(1, 2), (2, 1)];
    let silent = thread::spawn(|| {
        let cut = |net: &Net| BOTH.iter().for_each(|(a, b)| net.lose(*a, *b));
        let heal = |net: &Net| BOTH.iter().for_each(|(a, b)| net.find(*a, *b));
        Net::with(3, move |net| an_edge("lost both ways", cut, heal, net));
    });
    let one_way = thread::spawn(|| {
        Net::with(3, |net| an_edge("lost one way", |net| net.lose(1, 2), |net| net.find(1, 2), net));
    });
    Net::with(3, |net| an_edge("unplugged", |net| net.unplug(1, 2), |net| net.plug(1, 2), net));
    for other in [silent, one_way] {
        other.join().expect("another kind of failure");
    }
}

/// One node is cut off from both others, with many subscriptions at it; then it is healed.
fn an_island(subscriptions: u64, apart: Duration, limit: Duration) {
    Net::with(3, move |net| {
        let c = cluster(net, 3, 2);
        let mut many = Client::of(&c.nodes[2]);
        for chunk in 0..subscriptions / 1000 {
            let lines: String = (0..1000).map(|n| format!("SUB many.{chunk}.{n} {chunk}{n:03}\r\n")).collect();
            many.say(&lines);
        }
        let known = |s: &Server| {
            // A shard that takes in so much may owe monitoring an answer.
            let routez = try_monitoring(s.monitor(), "/routez").unwrap_or_default();
            let routes = routez["routes"].as_array().cloned().unwrap_or_default();
            routes.iter().any(|r| r["remote_name"] == "n2" && r["subscriptions"].as_u64() >= Some(subscriptions))
        };
        let all_know = || (known(&c.nodes[0]) && known(&c.nodes[1])).then_some(());
        until("all know", PATIENCE, all_know);
        for other in 0..2 {
            net.lose(2, other);
            net.lose(other, 2);
        }
        let cut = Stopwatch::start();
        until("it is alone", PATIENCE, || {
            (!reaches(&c.nodes[0], "n2") && !reaches(&c.nodes[1], "n2") && !reaches(&c.nodes[2], "n0")).then_some(())
        });
        let out = cut.passed();
        assert!(out < OUT, "out after {out:?}");
        // Nobody else reaches it: nobody is unready for its sake.
        assert!(ready(&c.nodes[0]) && ready(&c.nodes[1]));
        thread::sleep(apart.saturating_sub(out));
        for other in 0..2 {
            net.find(2, other);
            net.find(other, 2);
        }
        let healed = Stopwatch::start();
        until("all know again", PATIENCE, all_know);
        let took = healed.passed();
        println!("{subscriptions} subscriptions, apart for {apart:?}: known again after {took:.1?}");
        assert!(took < limit, "known again after {took:?}");
        c.await_whole();
    });
}

#[test]
fn an_island_is_found_again() {
    an_island(10_000, Duration::from_secs(8), Duration::from_secs(10));
}

#[test]
#[ignore = "long: scripts/faults"]
fn an_island_with_100_000_subscriptions() {
    for apart in [8, 40] {
        an_island(100_000, Duration::from_secs(apart), Duration::from_secs(60));
    }
}
