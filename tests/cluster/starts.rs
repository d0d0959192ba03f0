//! Cold starts: five servers at once, of which only one is listed, and that one last.

use crate::support::cluster::{connections, free_port, routes, Cluster};
use crate::support::process::{monitoring, until, Stopwatch};
use crate::support::raw::PATIENCE;
use crate::support::server::{shard_args, Server, Start, Which};
use std::thread;
use std::time::Duration;

const NODES: usize = 5;

/// How long five servers need to be one once all run. The first starts so much later than the others.
fn cold_start(late: Duration) -> (Cluster, Duration) {
    let which = Which::under_test();
    let ports: Vec<u16> = (0..NODES).map(|_| free_port()).collect();
    let start = |n: usize| {
        let conf = format!(
            "server_name: n{n}\ncluster {{ name: c, listen: \"127.0.0.1:{}\", routes: {} }}\n",
            ports[n],
            routes(&ports[..1])
        );
        Start::new(&which, &conf, &shard_args(&which, 1))
    };
    let begun = Stopwatch::start();
    let starting: Vec<_> = (0..NODES)
        .map(|n| {
            let start = start(n);
            thread::spawn(move || {
                thread::sleep(if n == 0 { late } else { Duration::ZERO });
                Server::from(start)
            })
        })
        .collect();
    let nodes: Vec<Server> = starting.into_iter().map(|s| s.join().expect("a server starts")).collect();
    let mut left: Vec<&Server> = nodes.iter().collect();
    until("everybody has a route to everybody", PATIENCE, || {
        left.retain(|n| monitoring(n.monitor(), "/routez")["num_routes"] != NODES - 1);
        left.is_empty().then_some(())
    });
    let took = begun.passed().saturating_sub(late);
    let cluster = Cluster { nodes, ports };
    cluster.await_whole();
    let pids: Vec<u32> = cluster.nodes.iter().map(Server::pid).collect();
    until("ten connections", PATIENCE, || (connections(&pids) == NODES * (NODES - 1) / 2).then_some(()));
    println!("the listed one {late:?} late: whole {took:.2?} after the last start");
    (cluster, took)
}

#[test]
fn five_at_once() {
    let (_, took) = cold_start(Duration::ZERO);
    // Three seconds, and as much again for a machine that has much else to do.
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn five_of_which_the_listed_one_is_last() {
    let (_, took) = cold_start(Duration::from_millis(700));
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
#[ignore = "long: scripts/faults"]
fn five_of_which_the_listed_one_is_very_late() {
    for late in [2, 5, 15] {
        // No pause between two dials is longer.
        let (_, took) = cold_start(Duration::from_secs(late));
        assert!(took < Duration::from_secs(35), "{took:?}");
    }
}
