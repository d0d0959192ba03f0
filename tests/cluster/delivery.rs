//! Three servers are one to their clients: who gets a message, how often, and what a requester is told.

use crate::cluster;
use crate::support::cluster::{connections, shown, Client, Cluster};
use crate::support::process::until;
use crate::support::raw::PATIENCE;
use crate::support::server::Server;
use std::time::Duration;

/// Each behaviour as two tests: one shard and four on each of three servers.
macro_rules! on_one_and_four_shards {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[test]
            fn one_shard() {
                super::$name(&crate::cluster(3, 1));
            }

            #[test]
            fn four_shards() {
                super::$name(&crate::cluster(3, 4));
            }
        })*
    };
}

on_one_and_four_shards!(
    one_connection_between_any_two,
    plain_and_headers_reach_everybody_once,
    queue_groups_are_served_once_and_by_weight,
    requests_replies_and_nobody_there,
    unsubscribe_after_some,
    no_echo,
);

fn others(c: &Cluster, but: usize) -> Vec<&Server> {
    c.nodes.iter().enumerate().filter(|(n, _)| *n != but).map(|(_, s)| s).collect()
}

/// A subscriber at each server, each known at the others.
fn everywhere(c: &Cluster, lines: &str) -> Vec<Client> {
    let subscribed = c.nodes.iter().enumerate().map(|(n, server)| {
        let mut client = Client::of(server);
        client.say(lines);
        client.known_at(&others(c, n));
        client
    });
    subscribed.collect()
}

fn one_connection_between_any_two(c: &Cluster) {
    let pids: Vec<u32> = c.nodes.iter().map(Server::pid).collect();
    // A second connection that came while the first was made is closed within seconds.
    until("three servers have three connections", PATIENCE, || (connections(&pids) == 3).then_some(()));
    for server in &c.nodes {
        assert_eq!(server.output().matches(" registered (rid:").count(), 2, "{}", server.output());
    }
}

fn plain_and_headers_reach_everybody_once(c: &Cluster) {
    let mut all = everywhere(c, "SUB a.* 1\r\nSUB a.b 2\r\n");
    for (n, server) in c.nodes.iter().enumerate() {
        let mut publisher = Client::of(server);
        let reply = format!("r.{n}");
        publisher.say(&format!(
            "PUB a.b {reply} 1\r\n{n}\r\nHPUB a.b 18 19\r\nNATS/1.0\r\nK: v\r\n\r\n{n}\r\nPUB a.c 0\r\n\r\n"
        ));
        for client in &mut all {
            let mut came: Vec<String> = (0..5).map(|_| client.next()).collect();
            let order: Vec<String> = came.iter().filter(|m| m.contains(" 1 ")).cloned().collect();
            let expected = [
                format!("MSG a.b 1 {reply} 1\r\n{n}\r\n"),
                format!("HMSG a.b 1 18 19\r\nNATS/1.0\r\nK: v\r\n\r\n{n}\r\n"),
                "MSG a.c 1 0\r\n\r\n".to_string(),
            ];
            assert_eq!(order, expected, "order of one publisher at one subscription");
            came.retain(|m| !order.contains(m));
            assert_eq!(came.len(), 2, "{}", shown(&came));
        }
    }
    for client in &mut all {
        assert_eq!(client.say(""), Vec::<String>::new(), "nothing comes twice");
    }
}

/// One member at the first server, three at the second, a plain subscriber at the third.
fn queue_groups_are_served_once_and_by_weight(c: &Cluster) {
    const SENT: usize = 1000;
    let mut members: Vec<Client> = [0, 1, 1, 1]
        .map(|at: usize| {
            let mut client = Client::of(&c.nodes[at]);
            client.say("SUB work workers 1\r\n");
            client.known_at(&others(c, at));
            client
        })
        .into();
    let mut plain = Client::of(&c.nodes[2]);
    plain.say("SUB work 9\r\n");
    plain.known_at(&others(c, 2));
    for publisher in &c.nodes {
        let mut publisher = Client::of(publisher);
        for n in 0..SENT {
            publisher.raw.write(format!("PUB work 4\r\n{n:4}\r\n").as_bytes());
        }
        publisher.say("");
        for n in 0..SENT {
            assert_eq!(plain.next(), format!("MSG work 9 4\r\n{n:4}\r\n"));
        }
        // Everything sent is under way or there: each message to one member.
        let mut got = vec![Vec::new(); members.len()];
        until("each message at one member", PATIENCE, || {
            for (member, got) in members.iter_mut().zip(&mut got) {
                while let Some(text) = member.try_next(Duration::from_millis(1)) {
                    got.push(text);
                }
            }
            (got.iter().map(Vec::len).sum::<usize>() >= SENT).then_some(())
        });
        let mut all: Vec<&String> = got.iter().flatten().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), SENT, "each message once");
        for got in &got {
            assert!(got.is_sorted(), "out of order: {}", shown(got));
            // An even share is a quarter; a fair draw leaves 17..33 % once in a thousand million runs.
            assert!((170..=330).contains(&got.len()), "shares: {:?}", all.len());
        }
    }
}

/// What a requester is told when nobody is there (client-protocol.md §10), at its subscription 1.
fn nobody(inbox: &str, subject: &str) -> String {
    let headers = format!("NATS/1.0 503\r\nNats-Subject: {subject}\r\n\r\n");
    let n = headers.len();
    format!("HMSG {inbox} 1 {n} {n}\r\n{headers}\r\n")
}

fn requests_replies_and_nobody_there(c: &Cluster) {
    let mut asking = Client::of(&c.nodes[0]);
    asking.say("SUB inbox.* 1\r\n");
    asking.known_at(&others(c, 0));
    assert_eq!(asking.say("PUB service inbox.0 2\r\nhi\r\n"), [nobody("inbox.0", "service")]);
    let mut answering = Client::of(&c.nodes[2]);
    answering.say("SUB service 7\r\n");
    answering.known_at(&others(c, 2));
    asking.say("PUB service inbox.1 2\r\nhi\r\n");
    assert_eq!(answering.next(), "MSG service 7 inbox.1 2\r\nhi\r\n");
    answering.say("PUB inbox.1 3\r\nyes\r\n");
    assert_eq!(asking.next(), "MSG inbox.1 1 3\r\nyes\r\n");
    // A queue member elsewhere answers too; when it has gone nobody is there any more.
    answering.say("UNSUB 7\r\nSUB service q 8\r\n");
    answering.known_at(&others(c, 2));
    asking.say("PUB service inbox.2 2\r\nhi\r\n");
    assert_eq!(answering.next(), "MSG service 8 inbox.2 2\r\nhi\r\n");
    answering.say("UNSUB 8\r\n");
    answering.known_at(&others(c, 2));
    assert_eq!(asking.say("PUB service inbox.3 2\r\nhi\r\n"), [nobody("inbox.3", "service")]);
}

fn unsubscribe_after_some(c: &Cluster) {
    let mut client = Client::of(&c.nodes[1]);
    client.say("SUB few 1\r\nUNSUB 1 5\r\n");
    client.known_at(&others(c, 1));
    let mut publishers = [Client::of(&c.nodes[0]), Client::of(&c.nodes[2])];
    for n in 0..10 {
        publishers[n % 2].say(&format!("PUB few 1\r\n{n}\r\n"));
    }
    let came: Vec<String> = (0..5).map(|_| client.next()).collect();
    assert!(came.iter().all(|m| m.starts_with("MSG few 1 1\r\n")), "{}", shown(&came));
    // Once it is known that nobody wants it any more, a request is told so.
    client.known_at(&others(c, 1));
    publishers[0].say("SUB inbox 1\r\n");
    assert_eq!(publishers[0].say("PUB few inbox 0\r\n\r\n"), [nobody("inbox", "few")]);
    assert_eq!(client.say(""), Vec::<String>::new(), "no more than asked for");
}

fn no_echo(c: &Cluster) {
    let mut quiet = Client::greet(c.nodes[0].clients(), "\"echo\":false,");
    quiet.say("SUB e 1\r\n");
    quiet.known_at(&others(c, 0));
    let mut far = Client::of(&c.nodes[1]);
    far.say("SUB e 2\r\n");
    far.known_at(&others(c, 1));
    assert_eq!(quiet.say("PUB e 1\r\nx\r\n"), Vec::<String>::new());
    assert_eq!(far.next(), "MSG e 2 1\r\nx\r\n");
    assert_eq!(far.say("PUB e 1\r\ny\r\n"), ["MSG e 2 1\r\ny\r\n"]);
    assert_eq!(quiet.next(), "MSG e 1 1\r\ny\r\n");
}

/// The flags people use: `--cluster` and `--routes`, without a file's help, and five servers that all know only the first.
#[test]
fn five_servers_that_know_one() {
    let c = cluster(5, 2);
    let pids: Vec<u32> = c.nodes.iter().map(Server::pid).collect();
    until("five servers have ten connections", PATIENCE, || (connections(&pids) == 10).then_some(()));
}
