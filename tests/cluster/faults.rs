//! Nodes that die, freeze and come back under load. An auditor watches the paths no fault touches: every message there
//! comes once, whole and in the order it was sent.

use crate::cluster;
use crate::support::audit::Audit;
use crate::support::cluster::{await_log, Client, Cluster};
use crate::support::process::{descriptors, until, Stopwatch};
use crate::support::raw::PATIENCE;
use crate::support::server::Server;
use std::thread;
use std::time::Duration;

/// A member of the cluster whose only service is asked for from the first node.
fn service(c: &Cluster, at: usize) -> Client {
    let mut client = Client::of(&c.nodes[at]);
    client.say("SUB service 1\r\n");
    client.known_at(&[&c.nodes[0]]);
    client
}

/// How long it takes until the first node says that nobody serves.
fn until_nobody(c: &Cluster) -> Duration {
    let begun = Stopwatch::start();
    let mut asking = Client::of(&c.nodes[0]);
    asking.say("SUB inbox 1\r\n");
    until("a dead peer's interest is gone", PATIENCE, || {
        asking.say("PUB service inbox 0\r\n\r\n").iter().any(|m| m.contains(" 503")).then_some(())
    });
    begun.passed()
}

#[test]
fn a_node_is_killed_and_comes_back() {
    for (nodes, shards) in [(3, 1), (5, 2)] {
        let mut c = cluster(nodes, shards);
        let last = nodes - 1;
        let before = descriptors(c.nodes[0].pid());
        let audit = Audit::start(&c.nodes[..last].iter().collect::<Vec<_>>());
        for _ in 0..3 {
            let held = service(&c, last);
            c.nodes[last].kill();
            until_nobody(&c);
            drop(held);
            c.nodes[last].start_again();
            c.await_whole();
        }
        audit.finish();
        until("descriptors come back", PATIENCE, || (descriptors(c.nodes[0].pid()) <= before + 1).then_some(()));
    }
}

/// Each node in turn, asked to stop; the others go on.
#[test]
fn all_nodes_are_restarted_in_turn() {
    let mut c = cluster(3, 2);
    for at in 0..3 {
        let stay: Vec<&Server> = c.nodes.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, s)| s).collect();
        let audit = Audit::start(&stay);
        c.nodes[at].terminate();
        c.nodes[at].start_again();
        c.await_whole();
        audit.finish();
    }
}

#[test]
fn a_short_freeze_costs_no_route() {
    let c = cluster(3, 2);
    let audit = Audit::start(&[&c.nodes[0], &c.nodes[1]]);
    c.nodes[2].signal("STOP");
    thread::sleep(Duration::from_secs(2));
    c.nodes[2].signal("CONT");
    c.await_whole();
    audit.finish();
    for node in &c.nodes {
        assert!(!node.output().contains(" ended: "), "{}", node.output());
    }
}

#[test]
fn a_frozen_node_is_out_of_the_routing_and_back_at_once() {
    let c = cluster(3, 2);
    let held = service(&c, 2);
    let audit = Audit::start(&[&c.nodes[0], &c.nodes[1]]);
    c.nodes[2].signal("STOP");
    let took = until_nobody(&c);
    // Six seconds, and one for a machine that has much else to do.
    assert!(took < Duration::from_secs(7), "out of the routing after {took:?}");
    // The log is written by a thread of its own.
    await_log(&c.nodes[0], "silent for ");
    thread::sleep(Duration::from_secs(8).saturating_sub(took));
    c.nodes[2].signal("CONT");
    let begun = Stopwatch::start();
    c.await_whole();
    let back = begun.passed();
    assert!(back < Duration::from_secs(5), "back after {back:?}");
    audit.finish();
    drop(held);
}
