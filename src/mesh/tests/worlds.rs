//! Worlds of several meshes.

use super::world::{cluster, ip, World};
use crate::base::{Rng, Time, SECOND};

/// Letters in another order than the nodes', so that ids and numbers do not agree by chance.
fn id(node: usize) -> String {
    format!("{:02}-{node}", (node * 37 + 11) % 50)
}

fn world(nodes: usize, routes: impl Fn(usize) -> Vec<usize>) -> World {
    let mut world = World::new();
    for n in 0..nodes {
        world.start(n, &id(n), cluster(Some("c"), &routes(n)));
    }
    world
}

/// Plays every order in which what is under way can happen, time standing still; returns how many there are.
fn all_orders(mut make: impl FnMut() -> World, check: impl Fn(&mut World)) -> usize {
    let mut script: Vec<usize> = Vec::new();
    let mut played = 0;
    loop {
        let mut world = make();
        let (mut widths, mut at) = (Vec::new(), 0);
        loop {
            let events = world.events();
            if events.is_empty() {
                break;
            }
            let choice = script.get(at).copied().unwrap_or(0);
            widths.push(events.len());
            world.happen(events[choice]);
            at += 1;
        }
        script.resize(widths.len(), 0);
        check(&mut world);
        played += 1;
        // The next script: the last choice that can grow, grows.
        let Some(grow) = (0..widths.len()).rev().find(|i| script[*i] + 1 < widths[*i]) else { return played };
        script[grow] += 1;
        script.truncate(grow + 1);
    }
}

/// scenarios.md §5.2, 22
#[test]
fn two_that_dial_each_other_keep_one_connection_in_every_order() {
    for (a, b) in [("A", "B"), ("B", "A")] {
        let make = || {
            let mut world = World::new();
            world.start(0, a, cluster(Some("c"), &[1]));
            world.start(1, b, cluster(Some("c"), &[0]));
            world.dialed.clear();
            world
        };
        let orders = all_orders(make, |world| {
            let routes = (world.routes(0).len(), world.routes(1).len());
            assert_eq!(routes, (1, 1));
            world.run(60, &mut Rng::new(1));
            world.assert_full_mesh();
            assert!(world.dialed[&(0, 1)] <= 2, "{:?}", world.dialed);
            for node in 0..2 {
                assert_eq!(world.nodes[node].mesh.report().counters.registered, 1);
            }
        });
        assert!(orders > 1000, "{orders}");
    }
}

#[test]
fn a_chain_of_lists_becomes_a_full_mesh() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let nodes = 2 + rng.below(4) as usize;
        let mut w = world(nodes, |n| if n == 0 { vec![] } else { vec![n - 1] });
        w.run(20, &mut rng);
        w.assert_full_mesh();
    }
}

#[test]
fn everybody_lists_everybody_and_themselves() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut w = world(4, |_| vec![0, 1, 2, 3]);
        w.run(20, &mut rng);
        w.assert_full_mesh();
        for n in 0..4 {
            assert_eq!(w.said(n, "itself"), 1, "said once, at debug");
        }
        let own = |w: &World, n: usize| {
            let targets = w.nodes[n].mesh.report().targets;
            targets.into_iter().find(|t| t.address.starts_with(&ip(n))).unwrap()
        };
        let before: Vec<_> = (0..4).map(|n| own(&w, n)).collect();
        assert!(before.iter().all(|t| t.standing == crate::mesh::Standing::Own));
        w.run(300, &mut rng);
        assert_eq!(before, (0..4).map(|n| own(&w, n)).collect::<Vec<_>>(), "never dialed again");
    }
}

/// scenarios.md §5.2, 33
#[test]
fn fifty_learn_of_each_other_at_once() {
    let mut w = world(50, |n| if n == 0 { vec![] } else { vec![0] });
    w.run(20, &mut Rng::new(5));
    w.assert_full_mesh();
    let most = w.dialed.values().max().unwrap();
    assert!(*most <= 2, "{most} dials for one pair");
    let all: u64 = w.dialed.values().sum();
    assert!(all < 50 * 49 / 2 * 11 / 10, "{all} dials");
}

/// scenarios.md §5.2, 23 and 48
#[test]
fn a_restarted_server_is_let_in_at_once_though_its_old_route_looks_alive() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut w = world(3, |n| if n == 0 { vec![] } else { vec![0] });
        w.run(20, &mut rng);
        w.kill(1, false);
        w.start(1, "reborn", cluster(Some("c"), &[0]));
        w.run(1, &mut rng);
        assert!(w.routes(0).contains(&"reborn".to_string()));
        w.run(40, &mut rng);
        w.assert_full_mesh();
    }
}

#[test]
fn kills_and_restarts_end_in_a_full_mesh() {
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let nodes = 2 + rng.below(4) as usize;
        let lists = rng.below(2) == 0;
        let list = move |n: usize| {
            if n == 0 {
                vec![]
            } else if lists {
                (0..n).collect()
            } else {
                vec![0]
            }
        };
        let mut w = world(nodes, list);
        for round in 0..6 {
            w.run(rng.below(8), &mut rng);
            let at = rng.below(nodes as u64) as usize;
            w.kill(at, rng.below(2) == 0);
            w.run(rng.below(3), &mut rng);
            w.start(at, &format!("{}-{round}", id(at)), cluster(Some("c"), &list(at)));
        }
        w.run(200, &mut rng);
        w.assert_full_mesh();
    }
}

/// scenarios.md §5.2, 28
#[test]
fn a_gap_is_named_at_both_ends_and_so_is_its_end() {
    let mut rng = Rng::new(3);
    let mut w = world(3, |n| if n == 0 { vec![] } else { vec![0] });
    w.run(20, &mut rng);
    assert!(w.nodes[1].mesh.unready().is_empty());
    w.sever(1, 2);
    w.run(5, &mut rng);
    for (node, other) in [(1, 2), (2, 1)] {
        assert_eq!(w.said(node, "no route to"), 1, "{:#?}", w.nodes[node].log);
        let line = w.nodes[node].log.iter().find(|(_, t)| t.contains("no route to")).unwrap().1.clone();
        let named = [format!("\"n{other}\" ({}:6222)", ip(other)), "\"n0\" (10.0.0.1:6222)".into(), "closed".into()];
        assert!(named.iter().all(|part| line.contains(part) || line.contains("timed out")), "{line}");
        assert_eq!(w.nodes[node].mesh.unready().len(), 1);
    }
    assert!(w.nodes[0].mesh.unready().is_empty());
    let before = w.dialed[&(1, 2)];
    w.run(120, &mut rng);
    assert!(w.said(1, "no route to") >= 3 && w.said(1, "no route to") <= 6);
    // Nothing answers: a dial a second from each.
    assert!(w.dialed[&(1, 2)] - before <= 2 * 160, "{}", w.dialed[&(1, 2)] - before);
    w.cut.clear();
    w.run(40, &mut rng);
    w.assert_full_mesh();
    assert_eq!((w.said(1, "is there, after"), w.said(2, "is there, after")), (1, 1));
    assert!(w.nodes[1].mesh.unready().is_empty());
}

#[test]
fn a_server_gone_for_all_is_no_gap_and_is_forgotten_unless_configured() {
    let mut rng = Rng::new(3);
    let mut w = world(3, |n| if n == 0 { vec![] } else { vec![0] });
    w.run(20, &mut rng);
    w.kill(2, true);
    w.run(60, &mut rng);
    for n in 0..2 {
        assert_eq!(w.said(n, "no route to"), 0);
        assert!(w.nodes[n].mesh.unready().is_empty());
        assert!(w.nodes[n].mesh.report().targets.iter().all(|t| t.id != id(2)), "{:?}", w.nodes[n].mesh.report());
    }
    w.kill(0, true);
    w.run(1, &mut rng); // chance may keep the news of it to the end of a run
    w.run(60, &mut rng);
    let target = &w.nodes[1].mesh.report().targets[0];
    assert!(target.configured && target.attempts > 3 && target.last_error.contains("refused"));
}

#[test]
fn made_up_cluster_names_converge_and_a_configured_one_wins() {
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let nodes = 2 + rng.below(4) as usize;
        let configured = rng.below(nodes as u64 + 1) as usize;
        let mut w = World::new();
        for n in 0..nodes {
            let routes: Vec<usize> = if n == 0 { vec![] } else { vec![rng.below(n as u64) as usize] };
            w.start(n, &id(n), cluster((n == configured).then_some("-anchor"), &routes));
        }
        w.run(60, &mut rng);
        w.assert_full_mesh();
        let names: Vec<_> = w.nodes.iter().map(|n| n.mesh.report()).map(|r| (r.cluster, r.dynamic)).collect();
        assert!(names.iter().all(|n| *n == names[0]), "{names:?}");
        assert_eq!(names[0].1, configured == nodes);
        assert!(configured == nodes || names[0].0 == "-anchor");
    }
}

#[test]
fn clients_are_told_where_else_they_can_go() {
    let mut rng = Rng::new(9);
    let mut w = world(3, |n| if n == 0 { vec![] } else { vec![0] });
    let url = |n: usize| format!("{}:4222", ip(n));
    assert!(w.nodes[0].urls.0.is_empty());
    w.run(20, &mut rng);
    for n in 0..3 {
        assert_eq!(w.nodes[n].urls.0[0], url(n), "own first");
        assert_eq!(w.nodes[n].urls.0.len(), 3);
    }
    w.act(2, |m| m.lame_duck());
    w.run(1, &mut rng);
    assert_eq!(w.nodes[0].urls, (vec![url(0), url(1)], false));
    assert!(w.nodes[2].urls.1 && !w.nodes[2].urls.0.contains(&url(2)) && w.nodes[2].urls.0.len() == 2);
    w.kill(2, true);
    w.run(30, &mut rng);
    assert_eq!(w.said(0, "cannot reach"), 0, "who said that it goes is not looked for");
    w.kill(1, true);
    w.run(1, &mut rng);
    assert_eq!(w.nodes[0].urls.0, [url(0)], "clients forget the last of the others too");
}

#[test]
fn lists_of_one_side_only_work_and_both_sides_say_so_once() {
    let mut rng = Rng::new(9);
    let mut w = world(2, |n| if n == 0 { vec![] } else { vec![0] });
    w.run(120, &mut rng);
    assert_eq!(w.said(0, "has this server in its routes"), 1, "{:#?}", w.nodes[0].log);
    assert_eq!(w.said(1, "does not have this one"), 1, "{:#?}", w.nodes[1].log);
}

#[test]
fn two_servers_with_one_name_refuse_each_other_in_words_and_harm_nobody() {
    let mut rng = Rng::new(9);
    let mut w = world(3, |n| if n == 0 { vec![] } else { vec![0] });
    w.start(3, "twin", cluster(Some("c"), &[0, 1]));
    w.act(3, |m| m.identity.server_name = "n1".into());
    w.run(40, &mut rng);
    assert!(w.said(3, "another server with our name \"n1\"") > 0, "{:#?}", w.nodes[3].log);
    assert!(w.said(1, "is used by server") + w.said(1, "another server with our name") > 0, "{:#?}", w.nodes[1].log);
    assert!(w.said(0, "two servers go by one name") > 0, "{:#?}", w.nodes[0].log);
    assert_eq!(w.routes(0).len(), 3);
    assert_eq!(w.routes(2).len(), 3);
}

#[test]
fn a_reload_dials_what_is_new() {
    let mut rng = Rng::new(9);
    let mut w = world(2, |_| vec![]);
    w.run(20, &mut rng);
    assert!(w.routes(0).is_empty());
    w.act(0, |m| m.reload(cluster(Some("c"), &[1])));
    w.run(5, &mut rng);
    w.assert_full_mesh();
    w.act(0, |m| m.reload(cluster(Some("c"), &[])));
    w.kill(1, true);
    w.run(60, &mut rng);
    assert!(w.nodes[0].mesh.report().targets.is_empty());
}

#[test]
fn nothing_is_due_in_a_mesh_at_rest() {
    let mut rng = Rng::new(9);
    let mut w = world(3, |n| if n == 0 { vec![] } else { vec![0] });
    w.run(600, &mut rng);
    assert!(w.nodes.iter().all(|n| n.mesh.next_at().is_none_or(|at| at > Time(w.now.0 + SECOND))));
}

/// scenarios.md §6, G23, and G10 of who does not come back
#[test]
fn an_island_is_part_of_the_mesh_within_three_seconds_of_its_end_and_dialed_less_often_after_a_while() {
    for apart in [8, 40, 500] {
        let mut rng = Rng::new(apart);
        let mut w = world(3, |n| if n == 0 { vec![] } else { vec![0] });
        w.run(20, &mut rng);
        w.sever(2, 0);
        w.sever(2, 1);
        w.run(apart, &mut rng);
        w.cut.clear();
        w.run(3, &mut rng);
        w.assert_full_mesh();
    }
    let mut rng = Rng::new(1);
    let mut w = world(2, |_| vec![0]);
    w.run(20, &mut rng);
    w.sever(0, 1);
    w.run(700, &mut rng);
    let before = w.nodes[1].dials;
    w.run(600, &mut rng);
    assert!(w.nodes[1].dials - before <= 600 * 4 / 90, "{}", w.nodes[1].dials - before);
}

/// scenarios.md §5.2, 28–30
#[test]
fn whatever_is_cut_and_healed_ends_in_a_full_mesh() {
    for seed in 100..130 {
        let mut rng = Rng::new(seed);
        let nodes = 3 + rng.below(3) as usize;
        let mut w = world(nodes, |n| if n == 0 { vec![] } else { vec![0] });
        w.run(10, &mut rng);
        for _ in 0..4 {
            for _ in 0..1 + rng.below(4) {
                let (a, b) = (rng.below(nodes as u64) as usize, rng.below(nodes as u64) as usize);
                if a != b {
                    w.sever(a, b);
                }
            }
            w.run(rng.below(40), &mut rng);
            w.cut.clear();
            w.run(rng.below(10), &mut rng);
        }
        w.run(80, &mut rng);
        w.assert_full_mesh();
        for n in 0..nodes {
            assert_eq!(w.said(n, "no route to") > 0, w.said(n, "no route to") > 0 && w.said(n, ", after ") > 0);
        }
    }
}

#[test]
fn a_made_up_name_that_somebody_configured_is_made_up_no_longer() {
    let mut rng = Rng::new(4);
    let mut w = World::new();
    w.start(0, "A", cluster(None, &[]));
    w.start(1, "B", cluster(None, &[0]));
    w.run(10, &mut rng);
    let name = w.nodes[0].mesh.report().cluster;
    w.start(2, "C", cluster(Some(&name), &[0]));
    w.run(10, &mut rng);
    w.assert_full_mesh();
    for n in 0..2 {
        assert!(!w.nodes[n].mesh.report().dynamic);
        assert_eq!(w.nodes[n].mesh.report().counters.registered, 2, "nobody had to begin anew");
    }
}

/// All list one that starts last. The others cannot know of each other before.
#[test]
fn a_listed_one_that_starts_late_makes_the_mesh_whole_soon() {
    for late in [1, 5, 15, 40] {
        let mut rng = Rng::new(late);
        let mut w = world(4, |_| vec![4]);
        w.run(late, &mut rng);
        w.start(4, &id(4), cluster(Some("c"), &[4]));
        w.run(2 + late / 8, &mut rng);
        w.assert_full_mesh();
    }
}

/// Who starts alone waits for nobody; who starts among others, until it has been told all by each of them.
#[test]
fn what_is_awaited_at_a_start_ends() {
    let mut rng = Rng::new(3);
    let mut w = world(1, |_| vec![]);
    assert_eq!(w.nodes[0].mesh.awaited(), Vec::<String>::new());
    w.run(1, &mut rng);
    for n in 1..3 {
        // The third learns of the second, and waits for it too; the fourth is not there.
        w.start(n, &id(n), cluster(Some("c"), &[0, n, 4]));
        assert_eq!(w.nodes[n].mesh.awaited().len(), 3);
        let mut most = 0;
        while !w.nodes[n].mesh.awaited().is_empty() {
            most = most.max(w.nodes[n].mesh.awaited().len());
            match w.events().first() {
                Some(event) => w.happen(*event),
                None => assert!(w.advance(Time(w.now.0 + SECOND)), "{:?}", w.nodes[n].mesh.awaited()),
            }
        }
        assert!(most >= 3);
        assert_eq!(w.routes(n).len(), n, "all that are there");
    }
}

/// scenarios.md §2.5, I20
#[test]
fn a_dead_address_is_dialed_less_and_less_often() {
    let mut rng = Rng::new(4);
    let mut w = world(1, |_| vec![1]);
    w.run(60, &mut rng);
    let minute = w.nodes[0].dials;
    assert!((15..=30).contains(&minute), "8 s of one a second, then an eighth of the time: {minute}");
    w.run(300, &mut rng);
    let minute = w.nodes[0].dials;
    w.run(600, &mut rng);
    assert!(w.nodes[0].dials - minute <= 600 * 4 / 90, "{}", w.nodes[0].dials - minute);
    assert!(w.said(0, "cannot reach") <= 17, "one line a minute: {}", w.said(0, "cannot reach"));
}

/// Starts a turnpike or a nats-server, as chance has it.
fn start_either(w: &mut World, at: usize, id: &str, lists: &[usize], rng: &mut Rng) {
    match rng.below(2) {
        0 => w.start(at, id, cluster(Some("c"), lists)),
        _ => w.start_nats(at, id, lists),
    }
}

#[test]
fn nats_servers_among_us_end_in_a_full_mesh_too() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let nodes = 2 + rng.below(4) as usize;
        let mut w = World::new();
        let everybody = rng.below(2) == 0;
        let lists = |n: usize| match (everybody, n) {
            (true, _) => (0..nodes).filter(|o| *o != n).collect(),
            (false, 0) => vec![],
            (false, _) => vec![0],
        };
        for n in 0..nodes {
            start_either(&mut w, n, &id(n), &lists(n), &mut rng);
        }
        w.run(60, &mut rng);
        w.assert_full_mesh();
        // The one that all the others list stays: a nats-server alone with its list finds nobody else.
        let at = 1 + rng.below(nodes as u64 - 1) as usize;
        w.kill(at, true);
        w.run(rng.below(20), &mut rng);
        start_either(&mut w, at, "reborn", &lists(at), &mut rng);
        w.run(100, &mut rng);
        w.assert_full_mesh();
    }
}
