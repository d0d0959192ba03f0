//! How clusters find each other, and how many connections that takes.

use crate::support::cluster::{connections, WHOLE};
use crate::support::process::until;
use crate::support::server::{Server, Which};
use crate::support::supercluster::{inbound, linked, SuperCluster, Wish};
use std::process::Command;

/// One address of another cluster finds all; each server has one outbound link to each other cluster, and as many come in
/// as the formula says: not one connection more.
#[test]
fn one_address_finds_all_and_counts_match_the_plan() {
    for sizes in [&[2, 3][..], &[3, 1, 2]] {
        let s = Wish::sizes(sizes).start();
        counts_match(&s);
    }
}

/// Everybody lists everybody, himself too.
#[test]
fn clusters_that_all_list_each_other_have_no_link_more() {
    let s = Wish::sizes(&[1, 2, 1]).lists(&[&[0, 1, 2], &[0, 1, 2], &[0, 1, 2]]).start();
    counts_match(&s);
}

/// A chain of lists, each cluster listing the next.
#[test]
fn a_chain_of_lists_is_enough() {
    let s = Wish::sizes(&[1, 1, 1]).lists(&[&[1], &[2], &[]]).start();
    counts_match(&s);
}

/// The links there are, by `/gatewayz` and by the kernel, against the formula and against `turnpike plan`.
pub fn counts_match(s: &SuperCluster) {
    let sizes: Vec<usize> = s.clusters.iter().map(Vec::len).collect();
    let (clusters, servers) = (sizes.len(), sizes.iter().sum::<usize>());
    let gateways = servers * (clusters - 1);
    let routes: usize = sizes.iter().map(|n| n * (n - 1) / 2).sum();
    assert_eq!(sizes.iter().map(|n| servers - n).sum::<usize>(), gateways);
    assert_eq!(planned(&sizes), (routes + gateways, gateways, gateways));
    until("as many links as the formula says", WHOLE, || {
        let out: usize = s.all().iter().map(|server| linked(server).len()).sum();
        let by_cluster: Vec<usize> = s.clusters.iter().map(|c| c.iter().map(inbound).sum()).collect();
        let expected: Vec<usize> = sizes.iter().map(|n| servers - n).collect();
        (out == gateways && by_cluster == expected).then_some(())
    });
    // A nats-server has several routes to each peer.
    if s.all().iter().all(|server| server.which().is_turnpike() || sizes.iter().all(|n| *n == 1)) {
        let pids: Vec<u32> = s.all().iter().map(|server| server.pid()).collect();
        until("not one connection more", WHOLE, || (connections(&pids) == routes + gateways).then_some(()));
    }
    for server in s.all() {
        neither_clients_nor_varz_are_told(server);
    }
}

/// Nothing of gateways reaches clients.
fn neither_clients_nor_varz_are_told(server: &Server) {
    let raw = crate::support::raw::Raw::connect(server.clients());
    let keys = raw.greeting().as_object().expect("an object");
    assert!(keys.keys().all(|k| !k.starts_with("gateway")), "{keys:?}");
}

/// Connections, outbound and inbound links of clusters of these sizes, as `turnpike plan` prints them.
fn planned(sizes: &[usize]) -> (usize, usize, usize) {
    let binary = match Which::under_test() {
        Which::Turnpike(path) => path,
        Which::Peer(_) => env!("CARGO_BIN_EXE_turnpike").into(),
    };
    let out = Command::new(binary).arg("plan").args(sizes.iter().map(usize::to_string)).output().expect("plan");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = |begin: &str| -> Vec<usize> {
        let line = text.lines().find(|l| l.trim_start().starts_with(begin)).unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().filter_map(|w| w.parse().ok()).collect()
    };
    let all = line("all");
    (line("connections with gateways")[0], all[2], all[3])
}
