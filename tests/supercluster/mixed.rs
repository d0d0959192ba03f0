//! Super-clusters of turnpikes and nats-servers, in every arrangement: clients of all see one, whoever dials, whoever is
//! killed and comes back; and the peers find nothing to complain about. `scripts/mixed` runs this, with `TURNPIKE_PEERS`
//! naming the binaries of nats-server, separated by commas.

use crate::borders::beside_peers;
use crate::delivery::all_of_it;
use crate::faults::each_dies_in_turn;
use crate::links::counts_match;
use crate::modes::{a_list_of_refusals_that_is_full_changes_nothing_for_clients, what_nobody_wants_is_sent_once};
use crate::support::audit::Audit;
use crate::support::server::Which;
use crate::support::supercluster::{SuperCluster, Wish};
use std::path::PathBuf;
use std::time::Duration;

/// What a nats-server says where all is well: its extra dial for the system account (cluster-protocol.md §3.9), and that
/// a server which is just starting takes no gateways yet.
const EXPECTED: [&str; 4] = [
    "Not possible to have a dedicated route for account \"$SYS\"",
    "Error connecting to implicit gateway",
    "Error connecting to explicit gateway",
    "Error connecting to gateway",
];

/// Between two messages of one publisher where links fail.
const PAUSE: Duration = Duration::from_millis(5);

fn peers() -> Vec<Which> {
    let paths = std::env::var("TURNPIKE_PEERS").expect("TURNPIKE_PEERS names no nats-server: see scripts/mixed");
    paths.split(',').map(|p| Which::at(PathBuf::from(p))).inspect(|w| assert!(!w.is_turnpike())).collect()
}

/// Which of the peers an arrangement is made with; `scripts/mixed --all` makes each with all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    All,
    First,
    Last,
}

/// An arrangement with these peers.
fn each(with: With, arrange: impl Fn(Which, Which) -> Vec<Vec<Which>>, shards: &[usize], live: impl Fn(SuperCluster)) {
    let peers = peers();
    let all = with == With::All || std::env::var_os("TURNPIKE_MIXED_ALL").is_some();
    let last = peers.len() - 1;
    let wanted = |n: usize| all || n == if with == With::First { 0 } else { last };
    for (_, peer) in peers.into_iter().enumerate().filter(|(n, _)| wanted(*n)) {
        let who = arrange(Which::under_test(), peer.clone());
        for shards in shards {
            let names: Vec<Vec<_>> = who
                .iter()
                .map(|c| c.iter().map(|w| if w.is_turnpike() { "turnpike" } else { "peer" }).collect())
                .collect();
            println!("{names:?} with {shards} shards, peer {}", peer.path().display());
            live(Wish::of(who.clone()).shards(*shards).start());
        }
    }
}

fn live_in(s: SuperCluster) {
    counts_match(&s);
    all_of_it(&s);
    complaints(&s);
    each_dies_in_turn(s);
}

/// What the peers say of it.
fn complaints(s: &SuperCluster) {
    for server in s.all().into_iter().filter(|s| !s.which().is_turnpike()) {
        let output = server.output();
        let bad = |l: &&str| l.contains("[ERR]") || l.contains("[WRN]") || l.contains("[FTL]");
        let known = |l: &&str| EXPECTED.iter().any(|e| l.contains(e));
        let complaints: Vec<&str> = output.lines().filter(bad).filter(|l| !known(l)).collect();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}

/// What is demanded is what nats-servers do among themselves.
#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn peers_alone() {
    each(With::First, |_, peer| vec![vec![peer.clone(), peer.clone()], vec![peer.clone()], vec![peer]], &[1], live_in);
}

#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn a_turnpike_is_listed_by_a_peer() {
    each(With::All, |ours, peer| vec![vec![ours], vec![peer]], &[2], live_in);
}

#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn a_turnpike_lists_a_peer() {
    each(With::All, |ours, peer| vec![vec![peer], vec![ours]], &[2], live_in);
}

#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn a_cluster_of_turnpikes_and_one_of_peers() {
    each(With::First, |ours, peer| vec![vec![ours.clone(), ours], vec![peer.clone(), peer]], &[2], live_in);
}

#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn a_cluster_of_peers_and_one_of_turnpikes() {
    each(With::Last, |ours, peer| vec![vec![peer.clone(), peer], vec![ours.clone(), ours]], &[2], live_in);
}

/// A turnpike beside a nats-server within one cluster.
#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn a_mixed_cluster_and_one_of_peers() {
    each(With::Last, |ours, peer| vec![vec![ours, peer.clone()], vec![peer.clone(), peer]], &[2], live_in);
}

#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn a_mixed_cluster_lists_one_of_peers() {
    each(With::First, |ours, peer| vec![vec![peer.clone()], vec![peer, ours]], &[2], live_in);
}

#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn two_mixed_clusters_and_a_turnpike() {
    each(
        With::First,
        |ours, peer| vec![vec![ours.clone(), peer.clone()], vec![peer, ours.clone()], vec![ours]],
        &[2],
        live_in,
    );
}

/// Both versions and ours, a cluster each.
#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn all_versions() {
    let mut who: Vec<Vec<Which>> = peers().into_iter().map(|p| vec![p]).collect();
    who.push(vec![Which::under_test()]);
    live_in(Wish::of(who).start());
}

/// A turnpike that says no where nobody wants a message, and a nats-server that heeds it; and the other way round.
#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn modes_of_a_turnpike_among_peers() {
    for peer in peers() {
        for who in
            [vec![vec![Which::under_test()], vec![peer.clone()]], vec![vec![peer.clone()], vec![Which::under_test()]]]
        {
            println!("{who:?}");
            let s = Wish::of(who.clone()).ours("interest: optimistic").start();
            what_nobody_wants_is_sent_once(&s);
            all_of_it(&s);
            complaints(&s);
            let s = Wish::of(who).ours("interest: optimistic, no_interest_max: 20").start();
            a_list_of_refusals_that_is_full_changes_nothing_for_clients(&s);
            complaints(&s);
        }
    }
}

/// docs/migrating.md: two clusters of nats-servers become turnpikes node by node, while all the others' clients go on.
#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn a_super_cluster_moves_node_by_node() {
    let peer = peers().swap_remove(0);
    let mut s = Wish::of(vec![vec![peer.clone(); 2]; 2]).start();
    for (c, n) in [(1, 0), (1, 1), (0, 0), (0, 1)] {
        let stay = s.others(c, n);
        let audit = Audit::through_faults(&stay, PAUSE);
        s.clusters[c][n].signal("USR2");
        s.clusters[c][n].ended();
        s.clusters[c][n].start_again_as(&Which::under_test(), 2);
        s.await_whole();
        audit.finish();
        counts_match(&s);
        all_of_it(&s);
    }
}

/// Our side's rules are enforced alone.
#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn a_border_beside_peers() {
    peers().iter().for_each(beside_peers);
}
