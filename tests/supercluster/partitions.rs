//! Links over bad paths: partitions, and ways that lose what is sent in one direction alone, in network namespaces; late,
//! slow, torn, stuck and reset ones through a proxy. Nothing comes twice, what is amiss is named at both ends, what heals
//! is whole again.

use crate::support::audit::Audit;
use crate::support::cluster::{await_log, free_port, Client};
use crate::support::netns::Net;
use crate::support::process::{monitoring, try_monitoring, until, Stopwatch};
use crate::support::proxy::{Faults, Proxies};
use crate::support::raw::PATIENCE;
use crate::support::server::{shard_args, Server, Start, Which};
use crate::support::supercluster::{entries, linked, name};
use crate::turnpike_is_tested;
use std::thread;
use std::time::Duration;

/// A silent remote is out within 10 s; one more for a machine that has much else to do.
const OUT: Duration = Duration::from_secs(11);
/// Pause between two messages of a publisher where links fail.
const PAUSE: Duration = Duration::from_millis(5);

/// A cluster of one server in each namespace; each lists all, for what is not in the list is given up in time.
fn clusters(net: &Net, count: usize) -> Vec<Server> {
    let which = Which::under_test();
    let port = free_port();
    let entry = |n: usize| format!("{{name: {}, url: \"nats://{}:{port}\"}}", name(n), net.routes_at(n));
    let list = (0..count).map(entry).collect::<Vec<_>>().join(", ");
    let start = |n: usize| {
        let (called, at) = (name(n), net.routes_at(n));
        let conf = format!(
            "server_name: {called}0\ngateway {{ name: {called}, listen: \"{at}:{port}\"\ngateways: [{list}] }}\n"
        );
        let host = net.clients_at(n).into();
        Server::from(Start::new(&which, &conf, &shard_args(&which, 2)).inside(net.namespace(n), host))
    };
    let servers: Vec<Server> = (0..count).map(start).collect();
    await_all(&servers);
    servers
}

fn await_all(servers: &[Server]) {
    let wanted = servers.len() - 1;
    for server in servers {
        until("a link to each other cluster", PATIENCE, || (linked(server).len() == wanted).then_some(()));
    }
    crate::support::cluster::await_connected(&servers.iter().collect::<Vec<_>>());
}

fn reaches(at: &Server, cluster: usize) -> bool {
    linked(at).iter().any(|l| l.0 == name(cluster))
}

/// Cuts what is between B and C, and heals it. Both go on with A.
fn a_pair(what: &str, cut: impl FnOnce(&Net), heal: impl FnOnce(&Net), net: &Net) {
    let s = clusters(net, 3);
    let audits = [Audit::start(&[&s[0], &s[1]]), Audit::start(&[&s[0], &s[2]])];
    cut(net);
    let begun = Stopwatch::start();
    until("neither reaches the other", PATIENCE, || (!reaches(&s[1], 2) && !reaches(&s[2], 1)).then_some(()));
    let out = begun.passed();
    assert!(out < OUT, "{what}: out after {out:?}");
    // A gossips of both; each names the other. What is sent meanwhile stays away, also by way of A.
    for (at, other) in [(1, 2), (2, 1)] {
        until("the other one is named in the log", PATIENCE, || {
            let said = s[at].output();
            let words = ["not reached", "no way back to it", "has no way back", "nothing comes from there"];
            said.lines()
                .any(|l| l.contains(&format!("cluster \"{}\"", name(other))) && words.iter().any(|w| l.contains(w)))
                .then_some(())
        });
    }
    heal(net);
    let healed = Stopwatch::start();
    await_all(&s);
    let back = healed.passed();
    audits.into_iter().for_each(|audit| assert_eq!(audit.finish().1, 0));
    println!("{what}: out after {out:.1?}, back {back:.1?} after healing");
}

/// Three kinds of failure, in three nets at a time: most of it is waiting.
#[test]
#[ignore = "long: scripts/faults"]
fn a_torn_path_is_named_at_both_ends_and_heals() {
    if !turnpike_is_tested() {
        return;
    }
    const BOTH: [(usize, usize); 2] = [(1, 2), (2, 1)];
    let silent = thread::spawn(|| {
        let cut = |net: &Net| BOTH.iter().for_each(|(a, b)| net.lose(*a, *b));
        let heal = |net: &Net| BOTH.iter().for_each(|(a, b)| net.find(*a, *b));
        Net::with(3, move |net| a_pair("lost both ways", cut, heal, net));
    });
    let one_way = thread::spawn(|| {
        Net::with(3, |net| a_pair("lost one way", |net| net.lose(1, 2), |net| net.find(1, 2), net));
    });
    Net::with(3, |net| a_pair("unplugged", |net| net.unplug(1, 2), |net| net.plug(1, 2), net));
    for other in [silent, one_way] {
        other.join().expect("another kind of failure");
    }
}

/// Two clusters of one server, each reached through a proxy alone.
fn through_proxies(seed: u64) -> (Vec<Server>, Proxies) {
    let which = Which::under_test();
    let ports = [free_port(), free_port()];
    let names: Vec<(String, u16)> = ports.iter().enumerate().map(|(n, p)| (format!("{}0", name(n)), *p)).collect();
    let proxies = Proxies::before(&names, seed);
    let start = |n: usize| {
        let other = 1 - n;
        let conf = format!(
            "server_name: {0}0\ngateway {{ name: {0}, listen: \"127.0.0.1:{1}\", advertise: \"127.0.0.1:{2}\"\ngateways: {3} }}\n",
            name(n),
            ports[n],
            proxies.ports()[n],
            entries(&[(&name(other), &proxies.ports()[other..=other])]),
        );
        Server::from(Start::new(&which, &conf, &shard_args(&which, 2)))
    };
    let servers: Vec<Server> = (0..2).map(start).collect();
    await_all(&servers);
    (servers, proxies)
}

/// Late and in pieces: all comes, whole, once and in order.
#[test]
fn links_that_are_late_and_torn_lose_nothing() {
    let (s, proxies) = through_proxies(1);
    let ms = Duration::from_millis;
    proxies.everywhere(Faults { delay: ms(3), jitter: ms(10), slice: 7, ..Faults::default() });
    let audit = Audit::start(&[&s[0], &s[1]]);
    until("some messages of each", PATIENCE, || audit.sent().iter().all(|n| *n > 300).then_some(()));
    assert_eq!(audit.finish().1, 0);
}

/// Reset again and again: what comes is whole, once and in order, and the last ones come.
#[test]
fn links_that_are_reset_come_back() {
    let (s, proxies) = through_proxies(2);
    let audit = Audit::through_faults(&[&s[0], &s[1]], PAUSE);
    for n in 0..3 {
        until("a link to reset", PATIENCE, || proxies.reset(n));
        await_all(&s);
    }
    audit.finish();
}

/// One way of the path takes nothing more: both know within the time, and come back.
#[test]
#[ignore = "long: scripts/faults"]
fn a_way_that_is_stuck_is_left_and_taken_again() {
    if !turnpike_is_tested() {
        return;
    }
    let (s, proxies) = through_proxies(3);
    let audit = Audit::through_faults(&[&s[0], &s[1]], PAUSE);
    proxies.way("A0", "B0", Faults { stall: true, ..Faults::default() });
    let begun = Stopwatch::start();
    until("A knows", PATIENCE, || (!reaches(&s[0], 1)).then_some(()));
    let out = begun.passed();
    assert!(out < OUT, "out after {out:?}");
    await_log(&s[0], "cluster \"B\"");
    proxies.way("A0", "B0", Faults::default());
    await_all(&s);
    audit.finish();
}

/// A slow link slows those that feed it, and is not closed while it goes on.
#[test]
#[ignore = "long: scripts/faults"]
fn a_slow_link_slows_its_feeders_and_stays() {
    if !turnpike_is_tested() {
        return;
    }
    let (s, proxies) = through_proxies(4);
    let mut subscriber = Client::of(&s[1]);
    subscriber.say("SUB slow 1\r\n");
    subscriber.known_at(&[&s[0]]);
    let before = linked(&s[0]);
    proxies.way("A0", "B0", Faults { rate: 2 << 20, ..Faults::default() });
    a_stream_arrives(&s[0], &mut subscriber);
    assert_eq!(linked(&s[0]), before, "the link stays");
}

/// 400 messages of 64 KiB from a server to a subscriber of `slow`, all of them and in their order.
fn a_stream_arrives(from: &Server, subscriber: &mut Client) {
    const SENT: usize = 400;
    const SIZE: usize = 64 << 10;
    let address = from.clients();
    let publisher = thread::spawn(move || {
        let mut client = Client::at(address);
        let payload = "x".repeat(SIZE - 6);
        for n in 0..SENT {
            client.raw.write(format!("PUB slow {SIZE}\r\n{n:06}{payload}\r\n").as_bytes());
        }
        client.say("");
    });
    for n in 0..SENT {
        let message = subscriber.next();
        assert!(message.starts_with(&format!("MSG slow 1 {SIZE}\r\n{n:06}")), "{}", &message[..40]);
    }
    publisher.join().expect("the publisher");
}

/// A slow route behind a gateway slows the gateway, and those that feed that: nothing is dropped, and nothing is closed.
#[test]
#[ignore = "long: scripts/faults"]
fn a_slow_route_behind_a_link_slows_the_feeders_of_the_link() {
    if !turnpike_is_tested() {
        return;
    }
    let which = Which::under_test();
    let (gates, routes) = ([free_port(), free_port(), free_port()], [free_port(), free_port()]);
    let members: Vec<(String, u16)> = vec![("B0".into(), routes[0]), ("B1".into(), routes[1])];
    let proxies = Proxies::before(&members, 5);
    let start = |called: &str, n: usize| {
        let gate = gates[if called == "A" { 2 } else { n }];
        let cluster = match called {
            "A" => String::new(),
            _ => format!(
                "cluster {{ name: B, listen: \"127.0.0.1:{}\", advertise: \"127.0.0.1:{}\", routes: \
                 [\"nats://127.0.0.1:{}\"] }}\n",
                routes[n],
                proxies.ports()[n],
                proxies.ports()[0]
            ),
        };
        let conf = format!(
            "server_name: {called}{n}\nmax_pending: 1MB\nmax_payload: 64KB\n{cluster}gateway {{ name: {called}, listen: \
             \"127.0.0.1:{gate}\"\ngateways: {} }}\n",
            entries(&[("B", &gates[..1])])
        );
        Server::from(Start::new(&which, &conf, &shard_args(&which, 2)))
    };
    let s = [start("A", 0), start("B", 0), start("B", 1)];
    crate::support::cluster::await_connected(&s.iter().collect::<Vec<_>>());
    // The subscriber is where the link does not lead.
    let led = linked(&s[0]).remove(0).1;
    let behind = if s[1].id() == led { 2 } else { 1 };
    let mut subscriber = Client::of(&s[behind]);
    subscriber.say("SUB slow 1\r\n");
    subscriber.known_at(&[&s[0]]);
    let before = linked(&s[0]);
    let (from, to) = if behind == 2 { ("B0", "B1") } else { ("B1", "B0") };
    proxies.way(from, to, Faults { rate: 2 << 20, ..Faults::default() });
    a_stream_arrives(&s[0], &mut subscriber);
    assert_eq!(linked(&s[0]), before, "the link stays");
    for server in &s {
        let varz = monitoring(server.monitor(), "/varz");
        let drops = &varz["turnpike"]["drops"];
        assert_eq!((&drops["route_full"], &drops["gateway_full"]), (&0.into(), &0.into()), "{drops}");
    }
}

/// A member that does not reach a cluster which another member reaches is not sent clients until it does.
#[test]
#[ignore = "long: scripts/faults"]
fn a_member_that_lacks_a_cluster_is_not_ready() {
    if !turnpike_is_tested() {
        return;
    }
    Net::with(3, |net| {
        let which = Which::under_test();
        let (gate, route) = (free_port(), free_port());
        // Two servers of A, and B.
        let start = |n: usize| {
            let (called, at, first) = (["A", "A", "B"][n], net.routes_at(n), net.routes_at(0));
            let cluster = match called {
                "A" => {
                    format!("cluster {{ name: A, listen: \"{at}:{route}\", routes: [\"nats://{first}:{route}\"] }}\n")
                }
                _ => String::new(),
            };
            let conf = format!(
                "server_name: s{n}\n{cluster}gateway {{ name: {called}, listen: \"{at}:{gate}\"\ngateways: [{{name: A, url: \
                 \"nats://{first}:{gate}\"}}] }}\n"
            );
            let host = net.clients_at(n).into();
            Server::from(Start::new(&which, &conf, &shard_args(&which, 2)).inside(net.namespace(n), host))
        };
        let s: Vec<Server> = (0..3).map(start).collect();
        let ready = |at: &Server| try_monitoring(at.monitor(), "/healthz").is_ok_and(|a| a["status"] == "ok");
        let whole = || {
            until("all reach what there is", PATIENCE, || s.iter().all(|s| linked(s).len() == 1).then_some(()));
            until("all are ready", PATIENCE, || s.iter().all(ready).then_some(()));
        };
        whole();
        for (from, to) in [(1, 2), (2, 1)] {
            net.lose(from, to);
        }
        until("the one that is cut off is not ready", PATIENCE, || (!ready(&s[1])).then_some(()));
        s[1].says("cluster \"B\"");
        assert!(ready(&s[0]), "who reaches all is ready");
        for (from, to) in [(1, 2), (2, 1)] {
            net.find(from, to);
        }
        whole();
    });
}
