//! Worlds of clusters: everybody is found from one address, what breaks is repaired, and nobody dials without pause.

use super::world::{address, gateway, World};
use crate::base::{Rng, SECOND};
use crate::conn::Way;

/// `sizes[c]` nodes of cluster `c{c}`, numbered one after the other; `lists` says what a cluster's nodes list.
fn clusters(sizes: &[usize], lists: impl Fn(usize) -> Vec<(String, usize)>) -> World {
    let mut world = World::new();
    let mut node = 0;
    for (c, size) in sizes.iter().enumerate() {
        let listed = lists(c);
        let listed: Vec<(&str, usize)> = listed.iter().map(|(n, i)| (n.as_str(), *i)).collect();
        for _ in 0..*size {
            world.start(node, &format!("N{node}"), gateway(&format!("c{c}"), &listed));
            node += 1;
        }
    }
    world
}

#[test]
fn two_servers_that_list_each_other_are_linked_both_ways() {
    for seed in 0..20 {
        let mut world = clusters(&[1, 1], |_| vec![("c0".into(), 0), ("c1".into(), 1)]);
        world.run(10, &mut Rng::new(seed));
        world.assert_converged();
        assert_eq!(world.dialed.len(), 2, "nobody dials itself");
    }
}

#[test]
fn one_address_of_one_cluster_is_enough_to_find_all() {
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let sizes: Vec<usize> = (0..2 + rng.below(4)).map(|_| 1 + rng.below(5) as usize).collect();
        // Each lists the first node of the one before it; the first lists nobody.
        let first = |c: usize| sizes[..c].iter().sum::<usize>();
        let lists = |c: usize| if c == 0 { vec![] } else { vec![(format!("c{}", c - 1), first(c - 1))] };
        let mut world = clusters(&sizes, lists);
        world.run(40, &mut rng);
        world.assert_converged();
        world.assert_patient();
    }
}

/// However many tell of it, and of however many servers.
#[test]
fn a_newly_known_cluster_is_one_line_of_the_log() {
    let sizes = [3, 3, 3];
    let mut world = clusters(&sizes, |c| if c == 0 { vec![] } else { vec![(format!("c{}", c - 1), 3 * (c - 1))] });
    world.run(40, &mut Rng::new(5));
    world.assert_converged();
    for node in 0..9 {
        for c in (0..3).filter(|c| *c != node / 3) {
            let (lines, listed) = (world.said(node, &format!("tells of cluster \"c{c}\"")), c + 1 == node / 3);
            assert_eq!(lines, usize::from(!listed), "node {node}, c{c}: {:#?}", world.nodes[node].log);
        }
    }
}

#[test]
fn all_addresses_of_a_cluster_are_learned_from_one_of_its_servers() {
    let mut world = clusters(&[3, 1], |c| if c == 1 { vec![("c0".into(), 0)] } else { vec![] });
    world.run(10, &mut Rng::new(1));
    world.assert_converged();
    let report = world.nodes[3].machine.report();
    let known: Vec<&str> = report.remotes[0].addresses.iter().map(|a| a.address.as_str()).collect();
    assert_eq!(known, [address(0), address(1), address(2)]);
    // A fourth joins later.
    world.start(4, "N4", gateway("c0", &[]));
    world.run(10, &mut Rng::new(2));
    world.assert_converged();
    assert_eq!(world.nodes[3].machine.report().remotes[0].addresses.len(), 4);
}

#[test]
fn when_a_server_dies_the_next_one_of_its_cluster_is_reached_within_three_seconds() {
    for seed in 0..20 {
        let mut world = clusters(&[3, 2], |c| vec![(format!("c{}", 1 - c), if c == 0 { 3 } else { 0 })]);
        let mut rng = Rng::new(seed);
        world.run(30, &mut rng);
        world.assert_converged();
        world.kill(rng.below(3) as usize, true);
        world.run(3, &mut rng);
        world.assert_converged();
        world.assert_patient();
    }
}

#[test]
fn whole_clusters_restart_under_new_ids() {
    for seed in 0..10 {
        let mut rng = Rng::new(seed);
        let mut world = clusters(&[2, 2], |c| vec![(format!("c{}", 1 - c), if c == 0 { 2 } else { 0 })]);
        world.run(20, &mut rng);
        for node in 0..2 {
            world.kill(node, rng.one_in(2));
        }
        world.run(15, &mut rng);
        assert!(!world.nodes[2].machine.report().troubles.is_empty());
        for node in 0..2 {
            world.start(node, &format!("M{node}"), gateway("c0", &[("c1", 2)]));
        }
        world.run(40, &mut rng);
        world.assert_converged();
        world.assert_patient();
    }
}

#[test]
fn random_faults_and_then_peace() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let sizes: Vec<usize> = (0..3).map(|_| 1 + rng.below(3) as usize).collect();
        let first: Vec<usize> = (0..3).map(|c| sizes[..c].iter().sum()).collect();
        let all: Vec<(String, usize)> = (0..3).map(|c| (format!("c{c}"), first[c])).collect();
        let mut world = clusters(&sizes, |_| all.clone());
        let nodes: usize = sizes.iter().sum();
        let list: Vec<(&str, usize)> = all.iter().map(|(n, i)| (n.as_str(), *i)).collect();
        for _ in 0..20 {
            let node = rng.below(nodes as u64) as usize;
            match rng.below(4) {
                0 if world.nodes[node].up => world.kill(node, rng.one_in(2)),
                0 | 1 if !world.nodes[node].up => {
                    let name = world.nodes[node].cluster.clone();
                    world.start(node, &format!("R{}", rng.next_u64()), gateway(&name, &list));
                }
                2 => {
                    let other = rng.below(nodes as u64) as usize;
                    world.cut.push((node, other));
                }
                _ => {
                    let links: Vec<_> = world.nodes[node].links.keys().copied().collect();
                    if !links.is_empty() {
                        world.break_link(node, links[rng.below(links.len() as u64) as usize]);
                    }
                }
            }
            world.run(rng.below(6), &mut rng);
        }
        world.cut.clear();
        for node in 0..nodes {
            if !world.nodes[node].up {
                let name = world.nodes[node].cluster.clone();
                world.start(node, &format!("R{}", rng.next_u64()), gateway(&name, &list));
            }
        }
        world.run(90, &mut rng);
        world.assert_converged();
        world.assert_patient();
    }
}

#[test]
fn nats_servers_of_both_kinds_in_every_dialing_direction() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut world = World::new();
        // East, west, north: at random ours or theirs, two servers each; who lists whom is chance, but all hang together.
        let names = ["east", "west", "north"];
        for node in 0..6 {
            let own = node / 2;
            let mut lists: Vec<(&str, usize)> = Vec::new();
            if own > 0 {
                lists.push((names[own - 1], (own - 1) * 2));
            }
            if rng.one_in(2) {
                let other = (own + 1) % 3;
                lists.push((names[other], other * 2 + rng.below(2) as usize));
            }
            match rng.one_in(2) {
                true => world.start(node, &format!("N{node}"), gateway(names[own], &lists)),
                false => world.start_nats(node, &format!("N{node}"), names[own], rng.one_in(2), &lists),
            }
        }
        world.run(60, &mut rng);
        world.assert_converged();
        world.assert_patient();
        for node in 0..6 {
            if let Some(nats) = &world.nodes[node].nats {
                assert_eq!(nats.errors, [""; 0]);
            }
            for (intro, _) in world.nodes[node].links.values().filter(|(i, _)| i.way != Way::In) {
                assert!(intro.new_replies && intro.headers);
            }
        }
    }
}

#[test]
fn ten_clusters_of_five_meet_the_formula() {
    let mut world = clusters(&[5; 10], |c| if c == 0 { vec![] } else { vec![("c0".into(), 0)] });
    world.run(20, &mut Rng::new(5));
    world.assert_converged();
    // Each dials each cluster little more than once.
    let dials: usize = world.dialed.values().map(Vec::len).sum();
    assert!(dials <= 2 * 50 * 9, "{dials} dials");
    assert!(world.now.0 < 30 * SECOND);
}
