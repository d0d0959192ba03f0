//! What the mesh does for the gateways: their addresses in our INFO and from peers', gossip both ways, and a member that
//! has none.

use super::world::{cluster, World};
use crate::base::{PeerId, Rng};
use crate::conn::{RouteNews, ORDERED_LINKS};

fn pair(a: &str, b: &str) -> World {
    let mut world = World::new();
    for (node, url) in [a, b].into_iter().enumerate() {
        world.start(node, &format!("N{node}"), cluster(Some("east"), &[1 - node]));
        world.act(node, |m| m.gateway_url(url.into()));
    }
    world.run(20, &mut Rng::new(1));
    world.assert_full_mesh();
    world
}

fn member(world: &World, node: usize) -> (String, Vec<String>) {
    let news = world.nodes[node].news.iter().rev().find_map(|n| match n {
        RouteNews::Member { gateway_url, reaches, .. } => Some((gateway_url.clone(), reaches.clone())),
        _ => None,
    });
    news.expect("a member")
}

#[test]
fn addresses_and_reached_clusters_of_members_are_told_and_so_is_their_end() {
    let mut world = pair("10.0.0.1:7222", "10.0.0.2:7222");
    assert_eq!(member(&world, 0), ("10.0.0.2:7222".into(), vec![]));
    assert_eq!(member(&world, 1).0, "10.0.0.1:7222");
    world.act(1, |m| m.reaches_clusters(vec!["west".into()]));
    world.run(1, &mut Rng::new(2));
    assert_eq!(member(&world, 0).1, ["west"]);
    world.kill(1, true);
    world.run(1, &mut Rng::new(2));
    assert!(
        matches!(world.nodes[0].news.last(), Some(RouteNews::Gone { peer: PeerId(0) })),
        "{:?}",
        world.nodes[0].news
    );
}

#[test]
fn the_digest_of_a_members_rules_is_told_and_so_is_its_end() {
    let mut world = pair("10.0.0.1:7222", "10.0.0.2:7222");
    let said = |world: &World| {
        let news = world.nodes[0].news.iter().rev().find_map(|n| match n {
            RouteNews::Member { borders, border, .. } => Some((*borders, border.clone())),
            _ => None,
        });
        news.expect("a member")
    };
    assert_eq!(said(&world), (true, String::new()));
    for digest in ["0123456789abcdef0123456789abcdef", ""] {
        world.act(1, |m| m.border(digest.into()));
        world.run(1, &mut Rng::new(2));
        assert_eq!(said(&world), (true, digest.into()));
    }
    // A member whose rules cannot be understood is left; it may come again.
    world.act(0, |m| m.end_for_border(PeerId(0), "no", "no"));
    world.run(1, &mut Rng::new(3));
    let gone = world.nodes[0].news.iter().any(|n| matches!(n, RouteNews::Gone { peer: PeerId(0) }));
    assert!(gone, "{:?}", world.nodes[0].news);
    let mut world = pair("10.0.0.1:7222", "");
    assert_eq!(said(&world), (false, String::new()), "nor can one without a gateway hold a border");
    world.act(1, |m| m.gateway_url("10.0.0.2:7222".into()));
    world.run(1, &mut Rng::new(2));
    assert!(said(&world).0);
}

/// How often the gateways of the first were told of a member.
fn told(world: &World) -> usize {
    world.nodes[0].news.iter().filter(|n| matches!(n, RouteNews::Member { .. })).count()
}

/// A member says all of itself each time that anything changes; the gateways hear of it when it concerns them.
#[test]
fn what_does_not_concern_the_gateways_is_no_news_to_them() {
    let mut world = pair("10.0.0.1:7222", "10.0.0.2:7222");
    let before = told(&world);
    world.act(1, |m| m.urls(vec!["10.0.0.2:9999".into()]));
    world.run(1, &mut Rng::new(2));
    assert_eq!(told(&world), before);
    assert!(world.nodes[0].urls.0.contains(&"10.0.0.2:9999".into()), "it was said, to clients");
    world.act(1, |m| m.gateway_url("10.0.0.9:7222".into()));
    world.run(1, &mut Rng::new(2));
    assert_eq!((told(&world), member(&world, 0).0), (before + 1, "10.0.0.9:7222".into()));
}

/// Each account of whom we reach names all members: a server that links to twenty clusters does not give it twenty times.
#[test]
fn clusters_reached_at_about_the_same_time_are_told_of_together() {
    let mut world = pair("10.0.0.1:7222", "10.0.0.2:7222");
    let before = told(&world);
    let mut reached = Vec::new();
    for n in 0..19 {
        reached.push(format!("c{n:02}"));
        world.act(1, |m| m.reaches_clusters(reached.clone()));
    }
    world.run(1, &mut Rng::new(2));
    assert_eq!((told(&world) - before, member(&world, 0).1), (1, reached));
}

#[test]
fn gossip_about_gateways_is_handed_on_and_taken_for_no_member() {
    let mut world = pair("10.0.0.1:7222", "10.0.0.2:7222");
    let json = br#"{"server_id":"GWN0","server_name":"n0","gateway":"west","gateway_urls":["h:1"],"gateway_cmd":1}"#;
    let line = [b"INFO ".as_slice(), json, b"\r\n"].concat();
    for to in [None, Some(PeerId(0)), Some(PeerId(9))] {
        world.act(0, |m| m.say_about_gateways(to, &line));
    }
    world.run(5, &mut Rng::new(3));
    let heard = world.nodes[1].news.iter().filter(|n| matches!(n, RouteNews::Gossip { json: j, .. } if j == json));
    assert_eq!(heard.count(), 2, "{:?}", world.nodes[1].news);
    world.assert_full_mesh();
}

#[test]
fn a_server_without_a_gateway_among_members_that_have_one_says_so_while_it_lasts() {
    let mut world = pair("10.0.0.1:7222", "");
    assert_eq!((world.said(0, "has no gateway"), world.said(1, "this server has no gateway, though \"n0\"")), (0, 2));
    world.run(60, &mut Rng::new(4));
    assert_eq!(world.said(1, "this server has no gateway"), 3);
    world.act(1, |m| m.gateway_url("10.0.0.2:7222".into()));
    world.run(120, &mut Rng::new(4));
    assert!(world.said(1, "this server has no gateway") <= 4);
    assert_eq!(member(&world, 0).0, "10.0.0.2:7222");
    let world = pair("", "");
    assert_eq!(world.said(0, "gateway") + world.said(1, "gateway"), 0);
}

#[test]
fn routes_to_nats_servers_that_pool_are_on_one_shard_where_there_are_gateways() {
    for gateways in [true, false] {
        let mut world = World::new();
        world.start(0, "N0", cluster(Some("c"), &[1, 2, 3]));
        if gateways {
            world.act(0, |m| m.gateway_url("10.0.0.1:7222".into()));
        }
        (1..4).for_each(|n| world.start_nats(n, &format!("N{n}"), &[]));
        world.run(20, &mut Rng::new(1));
        let pools = world.nodes[0].news.iter().filter(|n| matches!(n, RouteNews::Member { pools: true, .. })).count();
        assert!(pools >= 3, "{:?}", world.nodes[0].news);
        let routes = world.nodes[0].mesh.report().routes;
        assert_eq!(routes.len(), 3);
        assert_eq!(routes.iter().all(|r| r.shard == ORDERED_LINKS), gateways);
    }
}
