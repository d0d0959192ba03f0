//! Accounts that come and go by a reload: whoever is in one that goes is cut, one that comes serves at once, and nobody else
//! notices, on all shards and over routes and gateways, beside nats-server.

use super::{client, heard, says, server};
use crate::support::cluster::{Cluster, WHOLE};
use crate::support::differences::named;
use crate::support::process::{monitoring, until};
use crate::support::raw::{Next, Raw, PATIENCE};
use crate::support::server::{Server, Which};
use crate::support::supercluster::Wish;

const A: &str = r#"A: {users: [{user: a, password: p}], exports: [{stream: "s.>"}, {service: q}]}"#;
const B: &str = r#"B: {users: [{user: b, password: p}], imports: [{stream: {account: A, subject: "s.>"}}, {service: {account: A, subject: q}}]}"#;
const C: &str = "C: {users: [{user: c, password: p}]}";

fn conf(accounts: &[&str]) -> String {
    format!("accounts: {{ {} }}\n", accounts.join(", "))
}

fn reload(server: &Server, conf: &str) {
    server.reload(conf);
    assert!(server.output().contains("Reloaded: accounts"), "{}", server.output());
}

/// Whether a user is let in.
fn enters(server: &Server, user: &str) -> bool {
    let mut raw = Raw::connect(server.clients());
    raw.write(format!("CONNECT {{\"verbose\":false,\"user\":\"{user}\",\"pass\":\"p\"}}\r\nPING\r\n").as_bytes());
    match raw.next(PATIENCE) {
        Next::Frame(f) => f == b"PONG\r\n",
        _ => false,
    }
}

/// All that is said before the end.
fn last_words(raw: &mut Raw) -> Vec<String> {
    let mut words = Vec::new();
    loop {
        match raw.next(PATIENCE) {
            Next::Frame(f) if f == b"PING\r\n" => {}
            Next::Frame(f) => words.push(String::from_utf8_lossy(&f).trim_end().to_owned()),
            _ => return words,
        }
    }
}

/// Says something, and what comes of it.
fn does(raw: &mut Raw, lines: &str) -> Vec<String> {
    raw.write(lines.replace('\n', "\r\n").as_bytes());
    heard(raw)
}

/// Publishes until somebody in the same account hears it.
fn until_heard(by: &mut Raw, to: &mut Raw, subject: &str) {
    until("a message that is heard", WHOLE, || {
        says(by, &format!("PUB {subject} 1\nx\n"));
        heard(to).iter().any(|line| line.contains(&format!("MSG {subject} "))).then_some(())
    });
}

#[test]
fn accounts_come_and_go_and_nobody_else_notices() {
    for shards in [1, 3] {
        let server = server(&conf(&[C, A]), shards);
        let mut stays: Vec<Raw> = (0..3).map(|_| client(&server, "a")).collect();
        stays.iter_mut().for_each(|a| says(a, "SUB s.x 1\nSUB q 2\n"));
        let (mut by_a, mut first) = (client(&server, "a"), client(&server, "c"));
        says(&mut first, "SUB > 1\n");
        // One goes, another comes before the one that stays.
        reload(&server, &conf(&[B, A]));
        assert_eq!(last_words(&mut first), [""; 0], "closed without a word");
        assert!(!enters(&server, "c"));
        let mut news: Vec<Raw> = (0..3).map(|_| client(&server, "b")).collect();
        news.iter_mut().for_each(|b| says(b, "SUB s.> 1\nSUB own 2\n"));
        says(&mut by_a, "PUB s.x 2\nhi\n");
        says(&mut client(&server, "b"), "PUB own 3\nour\n");
        for b in &mut news {
            let mut got = heard(b);
            got.sort();
            assert_eq!(got, ["MSG own 2 3 our", "MSG s.x 1 2 hi"], "{shards}");
        }
        for a in &mut stays {
            assert_eq!(heard(a), ["MSG s.x 1 2 hi"]);
        }
        // A service is asked there, and the account that goes with its question takes that along. At nats-server nobody is
        // asked by what an account imports that has come by a reload.
        let asks = if server.which().is_turnpike() { &mut news[1] } else { &mut by_a };
        says(asks, "SUB answer 3\nPUB q answer 1\n?\n");
        let asked: Vec<String> = stays.iter_mut().flat_map(heard).collect();
        assert_eq!(asked.len(), 3, "{asked:?}");
        let reply = asked[0].split(' ').nth(3).unwrap().to_owned();
        reload(&server, &conf(&[A, C]));
        news.iter_mut().for_each(|b| assert_eq!(last_words(b), [""; 0]));
        assert!(!enters(&server, "b"));
        says(&mut by_a, &format!("PUB {reply} 1\n!\nPUB s.x 2\nho\n"));
        stays.iter_mut().for_each(|a| assert!(heard(a).contains(&"MSG s.x 1 2 ho".to_owned())));
        // What comes back begins anew: nothing is left of what was wanted there.
        let mut again = client(&server, "c");
        assert_eq!(does(&mut again, "SUB own.x 1\nPUB other 1\nx\nPUB own.x 1\nx\n"), ["MSG own.x 1 1 x"]);
        reload(&server, &conf(&[A, B, C]));
        let mut back = client(&server, "b");
        says(&mut back, "SUB s.x 7\n");
        says(&mut by_a, "PUB s.x 2\nhi\n");
        assert_eq!(heard(&mut back), ["MSG s.x 7 2 hi"]);
        assert_eq!(does(&mut again, "PUB own.x 1\ny\n"), ["MSG own.x 1 1 y"]);
        if server.which().is_turnpike() {
            let listed = monitoring(server.monitor(), "/accountz");
            let mut listed: Vec<&str> =
                listed["accounts"].as_array().unwrap().iter().filter_map(|a| a.as_str()).collect();
            listed.sort_unstable();
            assert_eq!(listed, ["$G", "$SYS", "A", "B", "C"]);
        }
    }
}

#[test]
fn a_service_is_there_for_an_account_that_comes() {
    let server = server(&conf(&[A]), 2);
    let mut service = client(&server, "a");
    says(&mut service, "SUB q 1\n");
    reload(&server, &conf(&[A, B]));
    let mut asks = client(&server, "b");
    let mut answered = does(&mut asks, "SUB in 1\nPUB q in 2\nhi\n");
    let found = until("the request or the answer", PATIENCE, || {
        answered.extend(heard(&mut asks));
        let served = heard(&mut service).iter().any(|line| line.contains("MSG q 1 "));
        let refused = answered.iter().any(|line| line.contains(" 503"));
        (served || refused).then_some(if served { "served" } else { "503" })
    });
    let listed = named("import-comes");
    assert_eq!(found, if server.which().is_turnpike() { listed.turnpike } else { listed.peer }, "{answered:?}");
}

/// A configuration of a member or a cluster with other accounts than it has.
fn with(server: &Server, accounts: &[&str]) -> String {
    let written = std::fs::read_to_string(server.folder().join("server.conf")).unwrap();
    let rest = written.lines().filter(|line| !line.starts_with("accounts:"));
    format!("{}{}\n", conf(accounts), rest.collect::<Vec<_>>().join("\n"))
}

/// What the first was told of an account before it came counts once it is there: nobody tells it twice.
fn one_after_the_other(here: &Server, there: &Server) {
    let both = [with(here, &[C]), with(there, &[C])];
    reload(there, &with(there, &[B_ALONE, C]));
    let mut far = client(there, "b");
    says(&mut far, "SUB late.> 1\nSUB jobs q 2\n");
    // It is told, and knows nothing of that account: what is said later in one that both have is there.
    let (mut by, mut to) = (client(here, "c"), client(there, "c"));
    says(&mut to, "SUB told 1\n");
    until_heard(&mut by, &mut to, "told");
    reload(here, &with(here, &[C, B_ALONE]));
    let mut near = client(here, "b");
    until_heard(&mut near, &mut far, "late.x");
    until_heard(&mut near, &mut far, "jobs");
    says(&mut near, "SUB back 1\n");
    until_heard(&mut far, &mut near, "back");
    // It goes where it is wanted from, comes back, and is known there as before.
    reload(here, &both[0]);
    assert_eq!(last_words(&mut near).iter().filter(|w| w.starts_with("-ERR")).count(), 0);
    says(&mut far, "SUB more 3\nPUB back 1\nx\n");
    heard(&mut far);
    reload(here, &with(here, &[B_ALONE, C]));
    let mut near = client(here, "b");
    says(&mut near, "SUB back 1\n");
    for subject in ["late.y", "jobs", "more"] {
        until_heard(&mut near, &mut far, subject);
    }
    until_heard(&mut far, &mut near, "back");
    // And where its clients are.
    reload(there, &both[1]);
    last_words(&mut far);
    says(&mut near, "PUB late.y 1\nx\n");
}

const B_ALONE: &str = "B: {users: [{user: b, password: p}]}";

fn over_routes(of: [Which; 2]) {
    let cluster = Cluster::with(&of, 3, "", &format!("{}no_auth_user: c\n", conf(&[C])));
    one_after_the_other(&cluster.nodes[0], &cluster.nodes[1]);
    // The route has stayed, and carries what it did.
    cluster.await_whole();
}

fn over_gateways([here, there]: [Which; 2]) {
    let beside = format!("{}no_auth_user: c\n", conf(&[C]));
    let world = Wish { beside, ..Wish::of(vec![vec![here], vec![there]]) }.start();
    one_after_the_other(&world.clusters[0][0], &world.clusters[1][0]);
    world.await_whole();
}

#[test]
fn accounts_come_to_one_member_after_the_other() {
    over_routes([Which::under_test(), Which::under_test()]);
}

#[test]
fn accounts_come_to_one_cluster_after_the_other() {
    over_gateways([Which::under_test(), Which::under_test()]);
}

#[test]
#[ignore = "needs nats-server: TURNPIKE_PEERS names them, separated by commas"]
fn accounts_come_to_us_and_to_nats_servers() {
    let peers = std::env::var("TURNPIKE_PEERS").expect("TURNPIKE_PEERS");
    for peer in peers.split(',').map(|p| Which::at(p.into())) {
        // A nats-server forgets what it is told over a route of accounts that it does not know.
        over_routes([Which::under_test(), peer.clone()]);
        over_gateways([Which::under_test(), peer.clone()]);
        over_gateways([peer, Which::under_test()]);
    }
}
