//! The three ways in which a cluster is told what another one wants (cluster-protocol.md §4.7): clients see no difference.
//! The receiving side decides.

use crate::delivery::all_of_it;
use crate::support::cluster::Client;
use crate::support::process::until;
use crate::support::raw::PATIENCE;
use crate::support::server::Server;
use crate::support::supercluster::{gatewayz, name, SuperCluster, Wish};
use crate::turnpike_is_tested;
use serde_json::Value;

/// How the account `$G` stands on a server's link to a cluster.
fn account(server: &Server, to: usize) -> Value {
    let page = gatewayz(server);
    let accounts = page["outbound_gateways"][name(to)]["accounts"].as_array().cloned().unwrap_or_default();
    accounts.into_iter().find(|a| a["name"] == "$G").unwrap_or_default()
}

fn await_mode(server: &Server, to: usize, mode: &str) {
    until(mode, PATIENCE, || (account(server, to)["interest_mode"] == mode).then_some(()));
}

/// Messages sent on a server's link to a cluster.
fn sent(server: &Server, to: usize) -> u64 {
    let page = gatewayz(server);
    page["outbound_gateways"][name(to)]["connection"]["out_msgs"].as_u64().expect("a link")
}

/// Messages that nobody wants.
const UNWANTED: u64 = 50;

/// One message, and of a nats-server what it says of itself in its system account now and then.
fn one_more_was_sent(server: &Server, to: usize, before: u64) {
    let own = if server.which().is_turnpike() { 0 } else { UNWANTED / 2 };
    let more = sent(server, to) - before;
    assert!((1..=1 + own).contains(&more), "{more} messages were sent");
}

/// Two clusters that change roles.
const BOTH: [(usize, usize); 2] = [(0, 1), (1, 0)];

#[test]
fn auto_and_interest_only_tell_from_the_start_what_is_wanted() {
    for mode in ["auto", "interest-only"] {
        let s = Wish::sizes(&[1, 2]).ours(&format!("interest: {mode}")).start();
        for (from, to) in BOTH {
            await_mode(&s.clusters[from][0], to, "Interest-Only");
            what_nobody_wants_is_not_sent(&s, from, to);
        }
    }
}

fn what_nobody_wants_is_not_sent(s: &SuperCluster, from: usize, to: usize) {
    let server = &s.clusters[from][0];
    let mut wanted = Client::of(&s.clusters[to][0]);
    wanted.say("SUB wanted 1\r\n");
    wanted.known_at(&[server]);
    let before = sent(server, to);
    let mut publisher = Client::of(server);
    for _ in 0..UNWANTED {
        publisher.say("PUB nobody.wants 2\r\nhi\r\n");
    }
    publisher.say("PUB wanted 2\r\nhi\r\n");
    assert_eq!(wanted.next(), "MSG wanted 1 2\r\nhi\r\n");
    one_more_was_sent(server, to, before);
}

#[test]
fn optimistic_clusters_deliver_as_others_do() {
    if turnpike_is_tested() {
        all_of_it(&Wish::sizes(&[1, 2]).ours("interest: optimistic").start());
    }
}

#[test]
fn optimistic_clusters_refuse_what_nobody_wants() {
    if turnpike_is_tested() {
        let s = Wish::sizes(&[1, 1]).ours("interest: optimistic").start();
        what_nobody_wants_is_sent_once(&s);
    }
}

/// One message crosses, comes back as a refusal, and no other follows until somebody wants it. Only towards turnpikes:
/// nats-server promises interest-only.
pub fn what_nobody_wants_is_sent_once(s: &SuperCluster) {
    for (from, to) in BOTH.into_iter().filter(|(_, to)| s.clusters[*to][0].which().is_turnpike()) {
        let server = &s.clusters[from][0];
        // Without any subscription the whole account would be refused.
        let mut other = Client::of(&s.clusters[to][0]);
        other.say(&format!("SUB other.{from} 1\r\n"));
        other.known_at(&[server]);
        assert_ne!(account(server, to)["interest_mode"], "Interest-Only");
        let mut publisher = Client::of(server);
        let subject = format!("unwanted.{from}");
        let refused = || account(server, to)["no_interest_count"].as_u64().unwrap_or(0);
        let before = refused();
        until("a refusal", PATIENCE, || {
            publisher.say(&format!("PUB {subject} 2\r\nhi\r\n"));
            (refused() > before).then_some(())
        });
        let count = sent(server, to);
        for _ in 0..UNWANTED {
            publisher.say(&format!("PUB {subject} 2\r\nhi\r\n"));
        }
        publisher.say(&format!("PUB other.{from} 2\r\nhi\r\n"));
        assert_eq!(other.next(), format!("MSG other.{from} 1 2\r\nhi\r\n"));
        one_more_was_sent(server, to, count);
        // Somebody wants it: the refusal is taken back.
        other.say(&format!("SUB {subject} 2\r\n"));
        other.known_at(&[server]);
        publisher.say(&format!("PUB {subject} 2\r\nhi\r\n"));
        assert_eq!(other.next(), format!("MSG {subject} 2 2\r\nhi\r\n"));
    }
}

#[test]
fn accounts_change_over_without_loss() {
    if turnpike_is_tested() {
        let s = Wish::sizes(&[1, 1]).ours("interest: optimistic, no_interest_max: 20").start();
        a_list_of_refusals_that_is_full_changes_nothing_for_clients(&s);
    }
}

/// Among messages that nobody wants, more of them than refusals are kept, all that somebody wants arrive.
pub fn a_list_of_refusals_that_is_full_changes_nothing_for_clients(s: &SuperCluster) {
    for (from, to) in BOTH.into_iter().filter(|(_, to)| s.clusters[*to][0].which().is_turnpike()) {
        let server = &s.clusters[from][0];
        let mut wanted = Client::of(&s.clusters[to][0]);
        wanted.say(&format!("SUB kept.{from}.* 1\r\n"));
        wanted.known_at(&[server]);
        assert_ne!(account(server, to)["interest_mode"], "Interest-Only");
        let mut publisher = Client::of(server);
        let mut count = 0;
        until("the account has changed over", PATIENCE, || {
            for _ in 0..10 {
                publisher.say(&format!("PUB lost.{from}.{count} 0\r\n\r\nPUB kept.{from}.{count} 0\r\n\r\n"));
                count += 1;
            }
            (account(server, to)["interest_mode"] == "Interest-Only").then_some(())
        });
        for n in 0..count {
            assert_eq!(wanted.next(), format!("MSG kept.{from}.{n} 1 0\r\n\r\n"));
        }
        // What is wanted from now on is told.
        wanted.say(&format!("SUB later.{from} 2\r\n"));
        wanted.known_at(&[server]);
        publisher.say(&format!("PUB later.{from} 0\r\n\r\n"));
        assert_eq!(wanted.next(), format!("MSG later.{from} 2 0\r\n\r\n"));
    }
}
