//! The shortest way to a cluster, as people write it: each server's client port, and the other's in a list.

use crate::support::cluster::{await_connected, connections, free_port, Client};
use crate::support::process::until;
use crate::support::raw::PATIENCE;
use crate::support::server::{shard_args, Server, Start, Which};

fn server(conf: &str, args: &[&str]) -> Start {
    let which = Which::under_test();
    let mut all = shard_args(&which, 2);
    all.extend(args.iter().map(|a| a.to_string()));
    Start::new(&which, conf, &all).verbatim()
}

/// They are one cluster: everything passes, over one connection.
fn are_one(a: &Server, b: &Server) {
    await_connected(&[a, b]);
    until("one connection between the two", PATIENCE, || (connections(&[a.pid(), b.pid()]) == 1).then_some(()));
    let mut here = Client::of(a);
    here.say("SUB x 1\r\n");
    here.known_at(&[b]);
    Client::of(b).say("PUB x 2\r\nhi\r\n");
    assert_eq!(here.next(), "MSG x 1 2\r\nhi\r\n");
}

#[test]
fn two_lines_each() {
    let (one, two) = (free_port(), free_port());
    let conf = |own, other| format!("listen: {own}\nroutes:\n  - nats://127.0.0.1:{other} # the other one\n");
    let mut a = Server::from(server(&conf(one, two), &[]));
    let mut b = Server::from(server(&conf(two, one), &[]));
    are_one(&a, &b);
    for killed in 0..2 {
        let server = if killed == 0 { &mut a } else { &mut b };
        server.kill();
        server.start_again();
        are_one(&a, &b);
    }
}

#[test]
fn two_lines_each_in_toml() {
    let (one, two) = (free_port(), free_port());
    let conf = |own, other| format!("listen = {own}\nroutes = [\n  \"nats://127.0.0.1:{other}\", # the other one\n]\n");
    let a = Server::from(server(&conf(one, two), &[]).toml());
    let b = Server::from(server(&conf(two, one), &[]).toml());
    are_one(&a, &b);
}

#[test]
fn flags_alone() {
    let ports = [free_port(), free_port(), free_port()];
    let routes = ports.map(|p| format!("nats://127.0.0.1:{p}")).join(",");
    let nodes = ports.map(|p| {
        let listen = format!("nats://127.0.0.1:{p}");
        let client = free_port().to_string();
        Server::from(server("", &["-a", "127.0.0.1", "-p", &client, "--cluster", &listen, "--routes", &routes]))
    });
    let pids: Vec<u32> = nodes.iter().map(Server::pid).collect();
    await_connected(&nodes.iter().collect::<Vec<_>>());
    until("three connections", PATIENCE, || (connections(&pids) == 3).then_some(()));
    for node in &nodes {
        // Each lists itself too, which is no fault, and no reason to try again or to speak of it twice.
        let log = node.output();
        assert!(!log.contains("[ERR]") && log.matches("this server itself").count() <= 1, "{log}");
    }
}
