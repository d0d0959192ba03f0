//! Servers that die, freeze and come back. An auditor watches the paths no fault touches: every message there comes once,
//! whole and in the order it was sent.

use crate::support::audit::Audit;
use crate::support::cluster::{await_log, Client};
use crate::support::process::{until, Stopwatch};
use crate::support::raw::PATIENCE;
use crate::support::server::Server;
use crate::support::supercluster::{linked, name, SuperCluster, Wish};
use crate::turnpike_is_tested;
use std::thread;
use std::time::Duration;

/// After the end of a link another server of the remote cluster takes its place within this time.
const FAILOVER: Duration = Duration::from_secs(3);
/// A remote that says nothing is out within this time, and one second for a machine that has much else to do.
const SILENT: Duration = Duration::from_secs(11);
/// Pause between two messages of a publisher where links fail.
const PAUSE: Duration = Duration::from_millis(5);

/// A subscriber in cluster 1 behind a server that is not hit, and how long it takes until messages of A0 come to it again.
fn until_reached(s: &SuperCluster, subscriber: &mut Client) -> Duration {
    let begun = Stopwatch::start();
    let mut publisher = Client::of(&s.clusters[0][0]);
    until("messages reach the remote cluster again", PATIENCE, || {
        publisher.say("PUB over 2\r\nhi\r\n");
        subscriber.try_next(Duration::from_millis(20))
    });
    begun.passed()
}

fn a_gateway_node_dies(mut s: SuperCluster) {
    for round in 0..2 {
        let hit = s.reached(&s.clusters[0][0], 1).expect("a link to B");
        let stays = usize::from(hit == 0);
        let mut subscriber = Client::of(&s.clusters[1][stays]);
        subscriber.say("SUB over 1\r\n");
        subscriber.known_at(&[&s.clusters[0][0]]);
        // Within the remote cluster, and within ours, no path is hit.
        let ours: Vec<&Server> = s.clusters[0].iter().collect();
        let audit = Audit::start(&ours);
        s.clusters[1][hit].kill();
        let took = until_reached(&s, &mut subscriber);
        if s.clusters[0][0].which().is_turnpike() {
            assert!(took <= FAILOVER, "round {round}: reached again after {took:?}");
        }
        s.clusters[1][hit].start_again();
        s.await_whole();
        assert_eq!(audit.finish().1, 0);
    }
}

#[test]
fn another_node_takes_over_from_one_that_is_killed() {
    a_gateway_node_dies(Wish::sizes(&[2, 2]).start());
}

/// Messages between all, while each server in turn is killed and comes back: some are lost, none comes twice, and the last
/// ones come.
pub fn each_dies_in_turn(mut s: SuperCluster) {
    let places: Vec<(usize, usize)> =
        s.clusters.iter().enumerate().flat_map(|(c, nodes)| (0..nodes.len()).map(move |n| (c, n))).collect();
    for (c, n) in places {
        let stay = s.others(c, n);
        let audit = Audit::through_faults(&stay, PAUSE);
        s.clusters[c][n].kill();
        thread::sleep(Duration::from_millis(300));
        s.clusters[c][n].start_again();
        s.await_whole();
        audit.finish();
    }
}

#[test]
fn each_server_is_killed_and_comes_back() {
    each_dies_in_turn(Wish::sizes(&[2, 1]).start());
}

/// A whole cluster goes and comes back with other ids.
#[test]
fn a_whole_cluster_is_restarted() {
    let mut s = Wish::sizes(&[1, 2]).start();
    let audit = Audit::start(&[&s.clusters[0][0]]);
    for server in &mut s.clusters[1] {
        server.kill();
    }
    until("A0 has no link to B", PATIENCE, || linked(&s.clusters[0][0]).is_empty().then_some(()));
    // Nobody there: the requester hears so, for no other cluster is asked.
    let mut asking = Client::of(&s.clusters[0][0]);
    asking.say("SUB inbox 1\r\n");
    until("nobody answers", PATIENCE, || {
        asking.say("PUB service inbox 0\r\n\r\n").iter().any(|m| m.contains(" 503")).then_some(())
    });
    for server in &mut s.clusters[1] {
        server.start_again();
    }
    s.await_whole();
    crate::links::counts_match(&s);
    assert_eq!(audit.finish().1, 0);
}

#[test]
fn a_short_freeze_costs_no_link() {
    let s = Wish::sizes(&[1, 2]).start();
    let before: Vec<_> = s.all().into_iter().map(linked).collect();
    s.clusters[0][0].signal("STOP");
    thread::sleep(Duration::from_secs(2));
    s.clusters[0][0].signal("CONT");
    s.await_whole();
    assert_eq!(before, s.all().into_iter().map(linked).collect::<Vec<_>>());
}

#[test]
#[ignore = "long: scripts/faults"]
fn a_frozen_remote_is_out_and_another_node_takes_over() {
    if !turnpike_is_tested() {
        return;
    }
    let s = Wish::sizes(&[1, 2]).start();
    let hit = s.reached(&s.clusters[0][0], 1).expect("a link to B");
    let mut subscriber = Client::of(&s.clusters[1][1 - hit]);
    subscriber.say("SUB over 1\r\n");
    subscriber.known_at(&[&s.clusters[0][0]]);
    // Who is frozen cannot be asked for his id.
    let other = (name(1), s.clusters[1][1 - hit].id());
    s.clusters[1][hit].signal("STOP");
    let begun = Stopwatch::start();
    until("A0 sends to the other one", PATIENCE, || linked(&s.clusters[0][0]).contains(&other).then_some(()));
    let took = begun.passed();
    assert!(took < SILENT, "out after {took:?}");
    until_reached(&s, &mut subscriber);
    s.clusters[0][0].says("silent for ");
    s.clusters[1][hit].signal("CONT");
    s.await_whole();
}

/// While a cluster is away: it is named, again and again, until it is back; and that is said.
#[test]
fn a_cluster_that_is_away_is_named_until_it_is_back() {
    if !turnpike_is_tested() {
        return;
    }
    let mut s = Wish::sizes(&[1, 1]).lists(&[&[1], &[0]]).start();
    s.clusters[1][0].kill();
    await_log(&s.clusters[0][0], &format!("cluster \"{}\" is not reached", name(1)));
    s.clusters[1][0].start_again();
    s.await_whole();
    await_log(&s.clusters[0][0], "over after ");
}
