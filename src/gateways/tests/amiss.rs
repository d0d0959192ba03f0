//! What is amiss is named on both sides, again and again, while it lasts; and what is normal is not.

use super::world::{gateway, World};
use crate::base::{Level, Rng, ShardId};
use crate::conn::ORDERED_LINKS;
use crate::gateways::{Cause, Kind};
use crate::policy::Gateway;

fn pair(east: Gateway, west: Gateway) -> World {
    let mut world = World::new();
    world.start(0, "E", east);
    world.start(1, "W", west);
    world
}

fn kinds(world: &World, node: usize) -> Vec<Kind> {
    world.nodes[node].machine.report().troubles.iter().map(|t| t.kind).collect()
}

#[test]
fn a_missing_way_back_is_named_on_both_sides() {
    let mut world = pair(gateway("east", &[("west", 1)]), gateway("west", &[]));
    world.cut.push((1, 0));
    world.run(60, &mut Rng::new(1));
    assert_eq!((kinds(&world, 0), kinds(&world, 1)), (vec![Kind::NotReachedBack], vec![Kind::NoWayBack]));
    let theirs = "cluster \"west\" has no way back to this one, which it is told is at 10.0.0.1:7222";
    assert!(world.said(0, theirs) >= 3, "{:#?}", world.nodes[0].log);
    assert!(world.said(0, "connection refused") >= 1, "its reason too");
    let ours = "cluster \"east\" reaches this server, which has no way back to it: 10.0.0.1:7222: connection refused";
    assert!(world.said(1, ours) >= 3, "{:#?}", world.nodes[1].log);
    world.cut.clear();
    world.run(40, &mut Rng::new(2));
    world.assert_converged();
    assert_eq!(world.said(1, "over after"), 1);
    assert_eq!(world.said(0, "over after"), 1);
    world.assert_patient();
}

#[test]
fn a_cluster_that_is_not_reached_is_named_and_makes_unready_only_if_a_member_reaches_it() {
    let mut world = World::new();
    world.start(0, "E0", gateway("east", &[("west", 2)]));
    world.start(1, "E1", gateway("east", &[("west", 2)]));
    world.start(2, "W", gateway("west", &[]));
    world.cut.extend([(0, 2), (1, 2), (2, 0), (2, 1)]);
    world.run(60, &mut Rng::new(1));
    assert!(world.said(0, "cluster \"west\" is not reached: 10.0.0.3:7222: connection refused") >= 3);
    assert!(world.nodes[0].machine.unready().is_empty(), "it may be down for all");
    world.cut = vec![(0, 2)];
    world.run(60, &mut Rng::new(2));
    assert!(world.said(0, "though \"n1\" (E1) reaches it") >= 1, "{:#?}", world.nodes[0].log);
    assert_eq!(world.nodes[0].machine.unready().len(), 1);
    assert!(world.nodes[1].machine.unready().is_empty());
    let lines = world.said(0, "is not reached");
    assert!(lines < 12, "{lines} lines in two minutes");
}

#[test]
fn a_cluster_that_no_list_has_is_dialed_again_and_again_while_a_member_reaches_it() {
    for seed in 0..10 {
        let mut world = World::new();
        world.start(0, "A0", gateway("A", &[]));
        world.start(1, "A1", gateway("A", &[]));
        world.start(2, "B", gateway("B", &[("A", 0)]));
        let mut rng = Rng::new(seed);
        world.run(20, &mut rng);
        world.assert_converged();
        for (from, to) in [(1, 2), (2, 1)] {
            world.cut.push((from, to));
            let between: Vec<_> = world.links_to(from, to);
            between.into_iter().for_each(|link| world.break_link(from, link));
        }
        world.run(120, &mut rng);
        assert_eq!(kinds(&world, 1), [Kind::Unreached], "{:#?}", world.nodes[1].log);
        assert_eq!(world.nodes[1].machine.unready().len(), 1);
        world.cut.clear();
        world.run(35, &mut rng);
        world.assert_converged();
        world.assert_patient();
    }
}

#[test]
fn a_cluster_that_was_given_up_is_dialed_again_when_a_member_comes_to_reach_it() {
    for seed in 0..10 {
        let mut world = World::new();
        world.start(0, "A0", gateway("A", &[]));
        world.start(1, "A1", gateway("A", &[]));
        world.start(2, "B", gateway("B", &[("A", 0)]));
        let mut rng = Rng::new(seed);
        world.run(20, &mut rng);
        // All of A is torn from B, and gives it up; then B comes back to A0 alone, as its list has it.
        let pairs = [(0, 2), (1, 2), (2, 0), (2, 1)];
        for (from, to) in pairs {
            world.cut.push((from, to));
            let between: Vec<_> = world.links_to(from, to);
            between.into_iter().for_each(|link| world.break_link(from, link));
        }
        world.run(120, &mut rng);
        assert_eq!(world.nodes[1].machine.report().expected, 0, "given up");
        world.cut = vec![(1, 2), (2, 1)];
        world.run(60, &mut rng);
        assert_eq!(kinds(&world, 1), [Kind::Unreached], "{:#?}", world.nodes[1].log);
        world.cut.clear();
        world.run(35, &mut rng);
        world.assert_converged();
        world.assert_patient();
    }
}

#[test]
fn a_member_without_a_gateway_is_named() {
    let mut world = pair(gateway("east", &[]), gateway("west", &[("east", 0)]));
    world.start(2, "E2", gateway("east", &[]));
    world.nodes[2].bare = true;
    world.join(2);
    world.run(30, &mut Rng::new(1));
    assert_eq!(kinds(&world, 0), [Kind::MemberWithout]);
    assert!(world.said(0, "server \"n2\" (E2) of this cluster has no gateway") >= 2);
    world.kill(2, true);
    world.run(5, &mut Rng::new(1));
    world.assert_converged();
}

#[test]
fn a_member_that_takes_our_name_for_anothers_is_named() {
    let mut world = pair(gateway("east", &[]), gateway("east", &[]));
    world.join(1);
    let json = br#"{"server_id":"GWW","gateway":"east","gateway_urls":["10.0.0.9:7222"],"gateway_cmd":1}"#.to_vec();
    let peer = crate::base::PeerId(1);
    world.machine(0).route_news(crate::conn::RouteNews::Gossip { peer, json });
    world.run(10, &mut Rng::new(1));
    assert_eq!(kinds(&world, 0), [Kind::MemberMisnamed]);
    assert!(world.dialed.is_empty(), "and its addresses are not dialed");
}

#[test]
fn a_remote_that_is_not_the_cluster_it_was_dialed_as_is_told_so() {
    let mut world = pair(gateway("east", &[("north", 1)]), gateway("west", &[]));
    world.run(60, &mut Rng::new(1));
    assert!(world.said(0, "is not the cluster it was dialed as: it is cluster \"west\"") >= 1);
    assert!(world.said(1, "Connection from \"east\" rejected, wanted to connect to \"north\", this is \"west\"") >= 1);
    let report = world.nodes[0].machine.report();
    assert!(report.counters.failed[&Cause::OtherCluster] >= 2);
    assert!(report.remotes[0].addresses[0].last_error.contains("not the cluster"));
    assert_eq!(kinds(&world, 0), [Kind::Unreached]);
    world.assert_patient();
}

#[test]
fn an_unknown_cluster_is_refused_on_both_sides_logs_and_not_dialed_back() {
    let guarded = Gateway { reject_unknown: true, ..gateway("west", &[("north", 9)]) };
    let mut world = pair(gateway("east", &[("west", 1)]), guarded);
    world.run(60, &mut Rng::new(1));
    assert!(world.said(0, "refused us: Connection to gateway \"west\" rejected") >= 1, "{:#?}", world.nodes[0].log);
    assert!(world.said(1, "of cluster \"east\" is refused: it is not in the list of gateways") >= 1);
    assert!(!world.dialed.keys().any(|(node, host)| *node == 1 && host == "10.0.0.1"));
    let report = world.nodes[0].machine.report();
    assert!(report.links.is_empty() && report.counters.outbound == 0, "never counted as up");
    world.assert_patient();
}

#[test]
fn two_clusters_of_one_name_are_found_out() {
    let mut world = World::new();
    world.start(0, "E", gateway("east", &[("west", 1)]));
    world.start(1, "W", gateway("west", &[("east", 0)]));
    // Another west, which knows nothing of the first.
    world.start(2, "X", gateway("west", &[("east", 0)]));
    world.nodes[2].cluster = "another west".into();
    world.nodes[1].cluster = "one west".into();
    // The mesh of this world joined them at their start; they are no members of each other.
    for (of, about) in [(1, 2), (2, 1)] {
        world.machine(of).route_news(crate::conn::RouteNews::Gone { peer: crate::base::PeerId(about) });
    }
    world.run(120, &mut Rng::new(4));
    assert!(kinds(&world, 0).contains(&Kind::Twins), "{:#?}", world.nodes[0].log);
    assert!(world.said(0, "two clusters call themselves \"west\"") >= 2);
}

#[test]
fn two_entries_of_one_name_are_said_again_and_again_and_oneself_never() {
    let mut east = gateway("east", &[("west", 1), ("east", 0)]);
    east.remotes[0].entries = 2;
    let mut world = pair(east, gateway("west", &[]));
    world.run(60, &mut Rng::new(1));
    assert_eq!(kinds(&world, 0), [Kind::DoubleEntry]);
    assert!(world.said(0, "2 entries of gateways are named \"west\"") >= 3);
    assert_eq!(world.said(0, "\"east\""), 0, "{:#?}", world.nodes[0].log);
}

#[test]
fn a_cluster_that_is_gone_for_good_costs_little() {
    let mut world = pair(gateway("east", &[("west", 1)]), gateway("west", &[]));
    world.kill(1, true);
    world.run(3600, &mut Rng::new(1));
    let dials = world.dialed.values().map(Vec::len).sum::<usize>();
    assert!((100..200).contains(&dials), "{dials} dials in an hour");
    let lines = world.nodes[0].log.iter().filter(|(l, _)| *l != Level::Debug).count();
    assert!(lines < 150, "{lines} lines in an hour");
}

#[test]
fn who_was_only_heard_of_is_given_up_and_reported_no_more() {
    let mut world = pair(gateway("east", &[]), gateway("west", &[("east", 0)]));
    world.run(20, &mut Rng::new(1));
    world.assert_converged();
    world.kill(1, true);
    world.run(60, &mut Rng::new(2));
    let report = world.nodes[0].machine.report();
    assert_eq!((report.expected, report.troubles.len()), (0, 0));
    assert!(world.dialed.iter().filter(|((n, _), _)| *n == 0).all(|(_, t)| t.len() <= 3));
}

#[test]
fn a_cluster_taken_off_the_list_is_not_dialed_again_where_only_those_of_the_list_are_linked_to() {
    let guarded = Gateway { reject_unknown: true, ..gateway("west", &[("east", 0)]) };
    let listed = guarded.remotes.clone();
    let mut world = pair(gateway("east", &[("west", 1)]), guarded);
    // Also in the midst of a handshake, and while it is dialed.
    for steps in [60, 1, 2, 3] {
        world.machine(1).reload(&listed);
        world.run(steps, &mut Rng::new(steps));
        world.machine(1).reload(&[]);
        world.run(60, &mut Rng::new(steps));
        let report = world.nodes[1].machine.report();
        assert!(report.links.is_empty(), "{:?}", report.links);
        assert_eq!((report.expected, kinds(&world, 1), kinds(&world, 0)), (0, vec![], vec![Kind::Unreached]));
    }
    world.machine(1).reload(&listed);
    world.run(60, &mut Rng::new(9));
    world.assert_converged();
    world.assert_patient();
}

#[test]
fn outbound_links_go_to_the_shard_of_a_nats_server_s_route_when_it_joins() {
    let mut world = World::new();
    let lists = [("b", 1), ("c", 2), ("d", 3)];
    world.start(0, "A", gateway("a", &lists));
    for (node, name) in ["b", "c", "d"].into_iter().enumerate() {
        world.start(node + 1, name, gateway(name, &[]));
    }
    world.run(60, &mut Rng::new(1));
    world.assert_converged();
    let shards = |w: &World| -> Vec<ShardId> { w.nodes[0].machine.report().links.iter().map(|l| l.shard).collect() };
    assert!(shards(&world).iter().any(|s| *s != ORDERED_LINKS), "spread at first");
    world.start_nats(4, "N", "a", true, &lists);
    world.run(60, &mut Rng::new(2));
    world.assert_converged();
    assert_ne!(world.said(0, "it moves to the shard of the route to a nats-server"), 0);
    world.assert_patient();
}
