//! The configuration of a cluster that runs changes.

use super::world::{cluster, ip, World};
use crate::base::{Cid, Rng};
use crate::policy::{Cluster, RouteLogin, RoutePermissions};

/// Three, of which the others call the first; all ask for this password.
fn guarded(password: &str, n: usize) -> Cluster {
    let login = RouteLogin { user: "u".into(), password: password.into() };
    Cluster { login: Some(login), ..cluster(Some("c"), if n == 0 { &[] } else { &[0] }) }
}

fn world(of: impl Fn(usize) -> Cluster) -> (World, Rng) {
    let (mut w, mut rng) = (World::new(), Rng::new(9));
    for n in 0..3 {
        w.start(n, &format!("N{n}"), of(n));
    }
    w.run(20, &mut rng);
    w.assert_full_mesh();
    (w, rng)
}

/// The connections of a node's routes.
fn rids(w: &World, node: usize) -> Vec<Cid> {
    w.nodes[node].mesh.report().routes.iter().map(|r| r.rid).collect()
}

#[test]
fn who_called_with_another_login_is_ended_and_whom_we_called_is_not() {
    let (mut w, mut rng) = world(|n| guarded("old", n));
    let before = rids(&w, 1);
    let called = w.nodes[1].mesh.report().routes.iter().filter(|r| r.dialed).count();
    // Nobody has presented anything else.
    w.act(0, |m| m.reload(Cluster { connect_retries: 3, ..guarded("old", 0) }));
    w.run(1, &mut rng);
    assert_eq!(rids(&w, 1), before);
    w.act(1, |m| m.reload(guarded("new", 1)));
    w.run(1, &mut rng);
    assert_eq!(w.routes(1).len(), called, "those it called");
    w.act(0, |m| m.reload(guarded("new", 0)));
    w.act(2, |m| m.reload(guarded("new", 2)));
    w.run(20, &mut rng);
    w.assert_full_mesh();
    for n in 0..3 {
        assert_eq!(w.said(n, "two servers go by one name"), 0);
    }
}

#[test]
fn a_password_that_only_its_hash_is_known_of_is_presented_again() {
    let (mut w, mut rng) = world(|n| guarded("pass", n));
    let before = rids(&w, 0);
    w.act(0, |m| m.reload(guarded("$2b$04$pass", 0)));
    w.run(3, &mut rng);
    w.assert_full_mesh();
    assert!(rids(&w, 0).iter().all(|rid| !before.contains(rid)));
    assert_eq!(w.said(0, "wrong user"), 0);
}

/// The servers of a cluster read their files one after the other.
#[test]
fn who_was_refused_for_long_calls_soon_and_often_when_it_reads_another_login() {
    let (mut w, mut rng) = (World::new(), Rng::new(9));
    w.start(0, "N0", guarded("old", 0));
    w.start(1, "N1", guarded("wrong", 1));
    w.run(100, &mut rng);
    w.act(1, |m| m.reload(guarded("new", 1)));
    w.run(3, &mut rng);
    assert!(w.routes(1).is_empty());
    w.act(0, |m| m.reload(guarded("new", 0)));
    w.run(4, &mut rng);
    w.assert_full_mesh();
}

#[test]
fn a_login_that_is_asked_for_no_more_ends_nobody() {
    let (mut w, mut rng) = world(|n| guarded("old", n));
    let before = rids(&w, 0);
    w.act(0, |m| m.reload(cluster(Some("c"), &[])));
    w.run(5, &mut rng);
    assert_eq!(rids(&w, 0), before);
}

#[test]
fn other_permissions_have_every_route_made_anew_at_once() {
    let (mut w, mut rng) = world(|n| cluster(Some("c"), if n == 0 { &[] } else { &[0] }));
    let before = [rids(&w, 0), rids(&w, 1)];
    let with = |n: usize| {
        let permissions = Some(RoutePermissions::default());
        Cluster { permissions, ..cluster(Some("c"), if n == 0 { &[] } else { &[0] }) }
    };
    w.act(0, |m| m.reload(with(0)));
    w.run(1, &mut rng);
    w.assert_full_mesh();
    assert!(rids(&w, 0).iter().all(|rid| !before[0].contains(rid)));
    assert_eq!(rids(&w, 1).iter().filter(|rid| before[1].contains(rid)).count(), 1, "the others are not concerned");
    assert_eq!(w.said(0, "2 routes are made anew"), 1);
    w.act(0, |m| m.reload(with(0)));
    w.run(1, &mut rng);
    assert_eq!(w.said(0, "made anew"), 1, "nothing has changed");
}

#[test]
fn where_a_member_is_dialed_and_what_clients_are_told_follows_its_word() {
    let plain = |n: usize| cluster(Some("c"), if n == 0 { &[] } else { &[0] });
    let (mut w, mut rng) = world(plain);
    let url = |n: usize| format!("{}:4222", ip(n));
    // Where node 7 would be.
    w.act(2, |m| m.reload(Cluster { advertise: Some(ip(7)), no_advertise: true, ..plain(2) }));
    w.run(5, &mut rng);
    w.assert_full_mesh();
    for n in 0..2 {
        let report = w.nodes[n].mesh.report();
        assert!(report.routes.iter().any(|r| r.id == "N2" && r.address == format!("{}:6222", ip(7))));
        assert_eq!(report.targets.iter().filter(|t| t.id == "N2" && !t.configured).count(), 1);
        assert_eq!(w.nodes[n].urls.0, [url(n), url(1 - n)]);
        assert_eq!(w.said(n, "is dialed at"), 1);
    }
    assert!(w.nodes[2].urls.0.is_empty());
    w.act(2, |m| m.urls(vec!["h:1".into()]));
    w.act(2, |m| m.reload(plain(2)));
    w.run(5, &mut rng);
    assert_eq!(w.nodes[2].urls.0[0], "h:1");
    assert!(w.nodes[0].urls.0.contains(&"h:1".to_string()));
}
