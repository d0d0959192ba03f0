//! Cold starts: five servers at once, of which only one is listed, and that one last.

use crate::support::cluster::{await_log, connections, free_port, routes, Client, Cluster};
use crate::support::process::{monitoring, until, Stopwatch};
use crate::support::proxy::{Faults, Proxies};
use crate::support::raw::PATIENCE;
use crate::support::server::{shard_args, Server, Start, Which};
use std::net::TcpListener;
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

/// A node comes back behind routes on which every word takes its time: who asks it at once for what another node's client
/// answers is served, and not told that nobody is there.
#[test]
fn a_node_that_starts_knows_its_peers_before_its_clients_come() {
    let which = Which::under_test();
    let ports: Vec<u16> = (0..2).map(|_| free_port()).collect();
    let proxies = Proxies::before(&[("n0".into(), ports[0]), ("n1".into(), ports[1])], 1);
    let start = |n: usize| {
        let conf = format!(
            "server_name: n{n}\ncluster {{ name: c, listen: \"127.0.0.1:{}\", advertise: \"127.0.0.1:{}\", \
             routes: [\"nats://127.0.0.1:{}\"] }}\n",
            ports[n],
            proxies.ports()[n],
            proxies.ports()[0],
        );
        Server::from(Start::new(&which, &conf, &shard_args(&which, 2)))
    };
    let mut c = Cluster { nodes: (0..2).map(start).collect(), ports: ports.clone() };
    c.await_whole();
    let mut service = Client::of(&c.nodes[0]);
    service.say("SUB service 1\r\n");
    proxies.everywhere(Faults { delay: Duration::from_millis(100), ..Faults::default() });
    for n in 0..3 {
        c.nodes[1].kill();
        c.nodes[1].start_again();
        let mut client = Client::of(&c.nodes[1]);
        let heard = client.say(&format!("SUB inbox 1\r\nPUB service inbox 1\r\n{n}\r\n"));
        assert_eq!(heard, Vec::<String>::new(), "{}", c.nodes[1].output());
        assert!(service.next().contains("inbox"));
        // Else the other one's dial may be the first of the next time.
        c.await_whole();
    }
}

/// A peer that takes the connection and says nothing keeps nobody out for long, and is named.
#[test]
fn a_silent_peer_holds_up_a_start_for_a_moment_and_a_dead_one_not_at_all() {
    let which = Which::under_test();
    let start = |port: u16| {
        let conf = format!("cluster {{ listen: \"127.0.0.1:-1\", routes: [\"nats://127.0.0.1:{port}\"] }}\n");
        Server::from(Start::new(&which, &conf, &shard_args(&which, 1)))
    };
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let server = start(port);
    await_log(&server, &format!("clients are let in before all routes are up: waited 1.5s for 127.0.0.1:{port}"));
    Client::of(&server);
    let server = start(free_port());
    Client::of(&server);
    assert!(!server.output().contains("clients are let in before"), "{}", server.output());
    await_log(&server, "cannot reach route");
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
        // An eighth of the time that it was late, two seconds at least, and as much again as above.
        let (_, took) = cold_start(Duration::from_secs(late));
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
}
