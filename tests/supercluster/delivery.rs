//! Clusters that are joined are one to their clients: who gets a message, how often, who serves a queue group, and what a
//! requester is told.

use crate::support::audit::Audit;
use crate::support::cluster::{shown, Client};
use crate::support::process::until;
use crate::support::raw::PATIENCE;
use crate::support::server::Server;
use crate::support::supercluster::{SuperCluster, Wish};
use std::time::Duration;

#[test]
fn two_servers_without_a_cluster() {
    all_of_it(&Wish::sizes(&[1, 1]).shards(1).start());
}

#[test]
fn two_clusters_with_several_shards() {
    all_of_it(&Wish::sizes(&[2, 2]).shards(3).start());
}

#[test]
fn three_clusters() {
    all_of_it(&Wish::sizes(&[2, 1, 3]).start());
}

/// All that clients of a healthy super-cluster see.
pub fn all_of_it(s: &SuperCluster) {
    everybody_gets_each_message_once(s);
    requests_are_answered_from_the_first_on(s);
    the_own_cluster_serves_its_queue_groups(s);
    one_other_cluster_serves_where_the_own_one_has_no_member(s);
    a_plain_subscriber_and_a_queue_group_in_one_remote_cluster(s);
    loops_and_doubles_are_looked_for(s);
}

/// Everybody publishes for a while, everybody listens.
fn loops_and_doubles_are_looked_for(s: &SuperCluster) {
    let audit = Audit::start(&s.all());
    let most = |audit: &Audit| audit.sent().into_iter().min().unwrap_or(0);
    until("some messages of each", PATIENCE, || (most(&audit) > 200).then_some(()));
    assert_eq!(audit.finish().1, 0);
}

/// A subscriber at each server, each known at all others.
fn everywhere(s: &SuperCluster, lines: &str) -> Vec<Client> {
    let mut all = Vec::new();
    for (c, nodes) in s.clusters.iter().enumerate() {
        for (n, server) in nodes.iter().enumerate() {
            let mut client = Client::of(server);
            client.say(lines);
            client.known_at(&s.others(c, n));
            all.push(client);
        }
    }
    all
}

/// Plain messages, with a reply, with headers, empty, of a size that is shared between shards.
fn everybody_gets_each_message_once(s: &SuperCluster) {
    let mut all = everywhere(s, "SUB a.* 1\r\n");
    let big = "x".repeat(40_000);
    for (n, server) in s.all().into_iter().enumerate() {
        let mut publisher = Client::of(server);
        publisher.say(&format!(
            "PUB a.b r.{n} 1\r\n{n}\r\nHPUB a.b 18 19\r\nNATS/1.0\r\nK: v\r\n\r\n{n}\r\nPUB a.c 0\r\n\r\nPUB a.big 40000\r\n{big}\r\n"
        ));
        for client in &mut all {
            assert_eq!(client.next(), format!("MSG a.b 1 r.{n} 1\r\n{n}\r\n"));
            assert_eq!(client.next(), format!("HMSG a.b 1 18 19\r\nNATS/1.0\r\nK: v\r\n\r\n{n}\r\n"));
            assert_eq!(client.next(), "MSG a.c 1 0\r\n\r\n");
            assert_eq!(client.next(), format!("MSG a.big 1 40000\r\n{big}\r\n"));
        }
    }
    for client in &mut all {
        assert_eq!(client.say(""), Vec::<String>::new(), "nothing comes twice");
    }
}

/// An inbox of that very moment, a responder behind every server, a reply from there: no retries, and nobody sees how the
/// reply is addressed on its way. Then the same inbox when it is known everywhere; and nobody to answer.
fn requests_are_answered_from_the_first_on(s: &SuperCluster) {
    let servers = s.all();
    let mut responders: Vec<Client> = Vec::new();
    let mut at = 0;
    for (c, nodes) in s.clusters.iter().enumerate() {
        for (n, server) in nodes.iter().enumerate() {
            let mut client = Client::of(server);
            client.say(&format!("SUB service.{at} 3\r\n"));
            client.known_at(&s.others(c, n));
            responders.push(client);
            at += 1;
        }
    }
    for (from, server) in servers.iter().enumerate() {
        for (to, responder) in responders.iter_mut().enumerate() {
            let mut asking = Client::of(server);
            for round in 0..3 {
                let inbox = format!("_INBOX.{from}.{to}.{round}");
                asking.raw.write(format!("SUB {inbox} {round}\r\nPUB service.{to} {inbox} 1\r\n?\r\n").as_bytes());
                assert_eq!(responder.next(), format!("MSG service.{to} 3 {inbox} 1\r\n?\r\n"));
                responder.raw.write(
                    format!("PUB {inbox} 1\r\n!\r\nHPUB {inbox} 18 19\r\nNATS/1.0\r\nK: v\r\n\r\n!\r\n").as_bytes(),
                );
                assert_eq!(asking.next(), format!("MSG {inbox} {round} 1\r\n!\r\n"));
                assert_eq!(asking.next(), format!("HMSG {inbox} {round} 18 19\r\nNATS/1.0\r\nK: v\r\n\r\n!\r\n"));
            }
        }
        // Where a remote cluster is not known to have no responder, the question is sent there first.
        let mut asking = Client::of(server);
        asking.say(&format!("SUB _INBOX.{from}.nobody 4\r\n"));
        let nobody = until("nobody answers", PATIENCE, || {
            let said = asking.say(&format!("PUB nobody _INBOX.{from}.nobody 1\r\n?\r\n"));
            (!said.is_empty()).then_some(said)
        });
        assert!(nobody.len() == 1 && nobody[0].contains("NATS/1.0 503\r\n"), "{}", shown(&nobody));
    }
}

/// Publishes at a server; which of these clients got how many, together exactly what was sent.
fn shared_out(server: &Server, subject: &str, sent: usize, members: &mut [Client]) -> Vec<usize> {
    let mut publisher = Client::of(server);
    for n in 0..sent {
        publisher.raw.write(format!("PUB {subject} 4\r\n{n:4}\r\n").as_bytes());
    }
    publisher.say("");
    let mut got: Vec<Vec<String>> = vec![Vec::new(); members.len()];
    let collect = |members: &mut [Client], got: &mut Vec<Vec<String>>, wait: u64| {
        for (client, got) in members.iter_mut().zip(got) {
            while let Some(text) = client.try_next(Duration::from_millis(wait)) {
                got.push(text);
            }
        }
    };
    until("each message at one member", PATIENCE, || {
        collect(members, &mut got, 1);
        (got.iter().map(Vec::len).sum::<usize>() >= sent).then_some(())
    });
    // A second copy would have come by a link that is as quick as the first.
    collect(members, &mut got, 20);
    let mut seen: Vec<&String> = got.iter().flatten().collect();
    assert_eq!(
        seen.len(),
        sent,
        "messages to a queue group come twice: {:?}",
        got.iter().map(Vec::len).collect::<Vec<_>>()
    );
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), sent);
    got.iter().map(Vec::len).collect()
}

/// To which cluster each server belongs, in the order of [`SuperCluster::all`].
fn clusters_of(s: &SuperCluster) -> Vec<usize> {
    s.clusters.iter().enumerate().flat_map(|(c, nodes)| nodes.iter().map(move |_| c)).collect()
}

fn the_own_cluster_serves_its_queue_groups(s: &SuperCluster) {
    let mut members = everywhere(s, "SUB work workers 1\r\n");
    let of = clusters_of(s);
    for (at, server) in s.all().into_iter().enumerate() {
        let got = shared_out(server, "work", 200, &mut members);
        let (own, others): (Vec<_>, Vec<_>) = got.iter().zip(&of).partition(|(_, c)| **c == of[at]);
        let sum = |of: &[(&usize, &usize)]| of.iter().map(|(n, _)| **n).sum::<usize>();
        assert_eq!((sum(&own), sum(&others)), (200, 0), "{got:?} from server {at}");
        // A third is a fair share; an eighth is missed once in a million of runs.
        assert!(own.iter().all(|(n, _)| **n > 25), "{got:?}");
    }
}

/// Members everywhere but in the publisher's cluster.
fn one_other_cluster_serves_where_the_own_one_has_no_member(s: &SuperCluster) {
    for own in 0..s.clusters.len() {
        let subject = format!("far.{own}");
        let mut members = Vec::new();
        for (c, nodes) in s.clusters.iter().enumerate().filter(|(c, _)| *c != own) {
            for (n, server) in nodes.iter().enumerate() {
                let mut client = Client::of(server);
                client.say(&format!("SUB {subject} workers 1\r\n"));
                client.known_at(&s.others(c, n));
                members.push(client);
            }
        }
        for server in &s.clusters[own] {
            shared_out(server, &subject, 200, &mut members);
        }
        // A member at home takes all; when it has gone the others do again.
        let mut home = Client::of(&s.clusters[own][0]);
        home.say(&format!("SUB {subject} workers 1\r\n"));
        home.known_at(&s.others(own, 0));
        members.push(home);
        for server in &s.clusters[own] {
            let got = shared_out(server, &subject, 50, &mut members);
            assert_eq!(*got.last().expect("home"), 50, "{got:?}");
        }
        let mut home = members.pop().expect("home");
        home.say("UNSUB 1\r\n");
        for server in &s.clusters[own] {
            let mut probe = Client::of(server);
            until("the others serve again", PATIENCE, || {
                probe.say(&format!("PUB {subject} 5\r\nprobe\r\n"));
                members.iter_mut().find_map(|m| m.try_next(Duration::from_millis(20)))
            });
        }
        for member in &mut members {
            while member.try_next(Duration::from_millis(20)).is_some() {}
        }
        for server in &s.clusters[own] {
            shared_out(server, &subject, 50, &mut members);
        }
    }
}

/// One copy crosses, the subscriber and one member each get it.
fn a_plain_subscriber_and_a_queue_group_in_one_remote_cluster(s: &SuperCluster) {
    let remote = s.clusters.len() - 1;
    let last = s.clusters[remote].len() - 1;
    let mut plain = Client::of(&s.clusters[remote][last]);
    plain.say("SUB both 1\r\n");
    plain.known_at(&s.others(remote, last));
    let mut member = Client::of(&s.clusters[remote][0]);
    member.say("SUB both q 2\r\n");
    member.known_at(&s.others(remote, 0));
    let mut publisher = Client::of(&s.clusters[0][0]);
    for n in 0..50 {
        publisher.raw.write(format!("PUB both 2\r\n{n:2}\r\n").as_bytes());
    }
    publisher.say("");
    for n in 0..50 {
        assert_eq!(plain.next(), format!("MSG both 1 2\r\n{n:2}\r\n"));
        assert_eq!(member.next(), format!("MSG both 2 2\r\n{n:2}\r\n"));
    }
    assert_eq!((plain.say(""), member.say("")), (Vec::new(), Vec::new()));
}
