//! Messages that are traced: what every server that they pass tells of them, field by field beside nats-server, and in a
//! cluster and a super-cluster of both.

use crate::support::cluster::{Client, Cluster};
use crate::support::process::until;
use crate::support::server::{shard_args, Server, Which};
use crate::support::supercluster::Wish;
use crate::{body, both};
use serde_json::{json, Value};
use std::time::Duration;

const CONF: &str = r#"
accounts {
  A {
    users: [ {user: a, password: p}, {user: few, password: p, permissions: {publish: {deny: ["no.>", "tr.no"]}}},
      {user: guarded, password: p, permissions: {subscribe: {deny: "g.x"}}} ]
    mappings: { "m.1": "x.2" }
    exports: [ {stream: "st.>"}, {service: "sv.>"}, {service: "open.>", allow_trace: true} ]
  }
  B {
    users: [ {user: b, password: p} ]
    imports: [ {stream: {account: A, subject: "st.>"}, prefix: pre}, {service: {account: A, subject: "sv.>"}},
      {service: {account: A, subject: "open.1"}, to: "my.open"} ]
  }
  C { users: [ {user: c, password: p} ], imports: [ {stream: {account: A, subject: "st.>"}, allow_trace: true} ] }
  T { users: [ {user: t, password: p} ], msg_trace: {dest: "tr.account", sampling: "100%"} }
  SYS { users: [ {user: s, password: p} ] }
}
system_account: SYS
"#;

const DEST: &str = "Nats-Trace-Dest: tr.1\r\n";

fn user(server: &Server, name: &str, called: &str) -> Client {
    Client::greet(server.clients(), &format!("\"user\":\"{name}\",\"pass\":\"p\",\"name\":\"{called}\","))
}

fn hpub(client: &mut Client, subject: &str, reply: &str, lines: &str) {
    let block = format!("NATS/1.0\r\n{lines}\r\n");
    let (header, size) = (block.len(), block.len() + 2);
    client.raw.write(format!("HPUB {subject} {reply} {header} {size}\r\n{block}hi\r\n").as_bytes());
}

/// The next event, without what differs from run to run; receivers in a fixed order, for nobody says in which they come.
fn event(watch: &mut Client) -> Value {
    let frame = watch.next();
    assert!(frame.starts_with("MSG tr."), "{frame}");
    let mut told = body(&frame);
    let server = told["server"].take();
    assert!(server["id"].is_string() && server["time"].is_string() && server["ver"].is_string(), "{frame}");
    told["server"] = server["name"].clone();
    // Ours alone.
    told.as_object_mut().expect("an object").remove("not_delivered");
    let events = told["events"].as_array_mut().expect("events");
    for e in events.iter_mut() {
        assert!(e["ts"].take().is_string(), "{frame}");
        if e["cid"].is_number() {
            assert!(e["cid"].take().as_u64() > Some(0), "{frame}");
        }
        if e["from"].as_str().is_some_and(|s| s.starts_with("_R_.")) {
            e["from"] = json!("_R_");
        }
        if e["subj"].as_str().is_some_and(|s| s.starts_with("_R_.")) {
            e["subj"] = json!("_R_");
        }
    }
    events[1..].sort_by_key(|e| {
        (e["type"] == "eg" && e["acc"].is_null(), e["acc"].to_string(), e["name"].to_string(), e.to_string())
    });
    told
}

/// Who publishes, where, with which headers; and whether anything is told of it.
const SCRIPT: &[(&str, &str, &str, bool)] = &[
    ("pub", "nobody", DEST, true),
    ("pub", "x.1", DEST, true),
    ("pub", "x.1", "Nats-Trace-Dest: tr.1\r\nNats-Trace-Only: true\r\nB: 1\r\nA: 2\r\nB: 3\r\nempty: \r\n", true),
    ("pub", "x.1", "Nats-Trace-Dest: tr.1\r\nNats-Trace-Hop: 7.7\r\n", true),
    ("pub", "x.1", "nats-trace-dest: tr.1\r\n", false),
    ("pub", "x.1", "Nats-Trace-Dest: tr.*\r\n", false),
    ("pub", "x.1", "Nats-Trace-Dest: trace disabled\r\n", false),
    // Nobody but a server says whose account is told.
    ("pub", "x.1", "Nats-Trace-Dest: tr.1\r\nNats-Trace-Origin-Account: B\r\n", false),
    ("pub", "m.1", DEST, true),
    ("pub", "g.x", DEST, true),
    ("pub", "st.1", DEST, true),
    ("quiet", "x.1", DEST, true),
    ("few", "no.x", DEST, true),
    // The destination is looked at first: nobody may have something said where he may say nothing (CVE-2026-33249).
    ("few", "x.1", "Nats-Trace-Dest: tr.no\r\n", false),
    ("few", "no.x", "Nats-Trace-Dest: tr.no\r\n", false),
    ("b", "sv.1", DEST, true),
    ("b", "my.open", DEST, true),
    ("b", "my.open", "Nats-Trace-Dest: tr.1\r\nNats-Trace-Only: 1\r\n", true),
    ("t", "x", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n", true),
    ("t", "x", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n", false),
    (
        "t",
        "x",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nNats-Trace-Dest: tr.2\r\n",
        true,
    ),
];

/// What one server tells of the script, and what its receivers are given meanwhile.
fn told_by(which: &Which) -> (Vec<Value>, Vec<String>) {
    let server = Server::start(which, &format!("server_name: s\n{CONF}"), &shard_args(which, 2));
    let mut others: Vec<(&str, Client)> = [("a", "pub"), ("few", "few"), ("b", "b"), ("t", "t")]
        .map(|(name, called)| (called, user(&server, name, called)))
        .into();
    let mut quiet = Client::greet(server.clients(), r#""user":"a","pass":"p","name":"quiet","echo":false,"#);
    quiet.say("SUB x.1 1\r\n");
    others.push(("quiet", quiet));
    let mut all: Vec<Client> = [
        ("a", "one", "SUB x.* 1\r\nSUB x.1 q 2\r\n"),
        ("a", "two", "SUB x.> 1\r\n"),
        ("guarded", "guarded", "SUB g.* 1\r\n"),
        ("a", "serves", "SUB sv.> 1\r\nSUB open.> 2\r\n"),
        ("c", "c", "SUB st.> 1\r\n"),
        ("b", "imports", "SUB pre.> 1\r\n"),
        ("t", "told", "SUB x 1\r\n"),
    ]
    .into_iter()
    .map(|(name, called, subs)| {
        let mut client = user(&server, name, called);
        client.say(subs);
        client
    })
    .collect();
    let mut watches = ["a", "b", "t"].map(|name| {
        let mut watch = user(&server, name, "watch");
        watch.say("SUB tr.> 9\r\n");
        watch
    });
    let mut told = Vec::new();
    for (n, (who, subject, lines, is_told)) in SCRIPT.iter().enumerate() {
        let client = &mut others.iter_mut().find(|(called, _)| called == who).expect("a client").1;
        hpub(client, subject, "", lines);
        let errors: Vec<_> = client.say("").into_iter().filter(|f| f.starts_with("-ERR")).collect();
        let watch = &mut watches[match *who {
            "b" => 1,
            "t" => 2,
            _ => 0,
        }];
        if !is_told {
            // What is told of the next is the first that comes.
            hpub(client, "mark", "", &format!("Nats-Trace-Dest: tr.mark{n}\r\n"));
            let frame = watch.next();
            assert!(frame.starts_with(&format!("MSG tr.mark{n} ")), "{n}: {frame}");
        }
        told.push(json!({"case": n, "errors": errors, "event": if *is_told { event(watch) } else { Value::Null }}));
    }
    // A forged account leaves a trace of it at nats-server, and none here.
    let given = all.iter_mut().flat_map(|c| c.say("")).filter(|f| !f.contains("trace disabled"));
    let given = given.map(|f| normal(&f)).collect();
    (told, given)
}

/// A message without what differs from run to run.
fn normal(frame: &str) -> String {
    let words = frame.split_inclusive([' ', '\r']).map(|w| match w {
        w if w.starts_with("_R_.") => "_R_ ",
        w => w,
    });
    let text: String = words.collect();
    match text.find("Nats-Request-Info") {
        // How long the round trip took, and so how long the headers are.
        Some(_) => {
            text.split(' ').next().unwrap_or_default().to_owned() + &text.split("\r\n").skip(3).collect::<String>()
        }
        None => text,
    }
}

#[test]
fn what_is_traced_is_told_as_nats_server_tells_it() {
    let mut all: Vec<_> = both().iter().map(told_by).collect();
    let (theirs, ours) = (all.pop().expect("a server"), all.pop());
    let (told, given) = theirs;
    assert_eq!(told.len(), SCRIPT.len());
    if let Some((ours, ours_given)) = ours {
        for (ours, theirs) in ours.iter().zip(&told) {
            assert_eq!(ours, theirs);
        }
        let (mut a, mut b) = (ours_given, given);
        a.sort();
        b.sort();
        assert_eq!(a, b);
    }
}

/// Why a message is not delivered where nats-server says nothing.
#[test]
fn why_a_message_does_not_arrive_is_told() {
    let server = Server::start(&Which::under_test(), CONF, &shard_args(&Which::under_test(), 2));
    let [mut watch, mut a, mut guarded] = ["a", "a", "guarded"].map(|name| user(&server, name, name));
    watch.say("SUB tr.> 1\r\n");
    guarded.say("SUB g.* 1\r\n");
    for (subject, reasons) in [
        ("nobody", json!([{"reason": "no_interest"}])),
        ("g.x", json!([{"reason": "delivery_denied", "receivers": 1}])),
        ("g.y", Value::Null),
    ] {
        hpub(&mut a, subject, "", DEST);
        assert_eq!(body(&watch.next())["not_delivered"], reasons, "{subject}");
    }
}

/// Every server of a cluster that a message passes tells of it, each with the hop that the one before names.
#[test]
fn every_server_of_a_cluster_tells_of_what_it_passes() {
    let (turnpike, other) = (Which::under_test(), both().pop().expect("a server"));
    let cluster = Cluster::with(&[turnpike.clone(), other, turnpike], 2, "", &format!("{CONF}no_auth_user: a\n"));
    let nodes: Vec<&Server> = cluster.nodes.iter().collect();
    let mut watch = user(nodes[0], "a", "watch");
    watch.say("SUB tr.> 1\r\n");
    watch.known_at(&nodes[1..]);
    let mut ears: Vec<Client> = nodes.iter().map(|n| user(n, "a", "ear")).collect();
    for (n, ear) in ears.iter_mut().enumerate() {
        ear.say("SUB far.x 1\r\n");
        let others: Vec<&Server> = (0..3).filter(|o| *o != n).map(|o| nodes[o]).collect();
        ear.known_at(&others);
    }
    for (from, only) in [(0, false), (1, false), (0, true), (1, true)] {
        let mut publisher = user(nodes[from], "a", "pub");
        let lines = if only { "Nats-Trace-Dest: tr.1\r\nNats-Trace-Only: on\r\n" } else { DEST };
        hpub(&mut publisher, "far.x", "", lines);
        let events: Vec<Value> = (0..3).map(|_| event(&mut watch)).collect();
        let of = |n: usize| {
            events.iter().find(|e| e["server"] == format!("n{n}")).unwrap_or_else(|| panic!("{n}: {events:?}"))
        };
        let entry = of(from);
        assert_eq!(entry["hops"], 2, "{entry}");
        for n in (0..3).filter(|n| *n != from) {
            let sent = entry["events"].as_array().unwrap().iter().find(|e| e["name"] == format!("n{n}"));
            let sent = sent.unwrap_or_else(|| panic!("no way to n{n}: {entry}"));
            assert!(sent["kind"] == 1 && sent["type"] == "eg" && sent["error"].is_null(), "{entry}");
            let came = of(n);
            assert_eq!(came["request"]["header"]["Nats-Trace-Hop"][0], sent["hop"], "{came} {entry}");
            assert_eq!(came["events"][0]["name"], format!("n{from}"), "{came}");
            assert!(came["events"][1]["name"] == "ear" && came["events"][0]["kind"] == 1, "{came}");
        }
        // Behind it whoever was to be given it was.
        let mut after = user(nodes[from], "a", "after");
        after.say("PUB far.x 3\r\nend\r\n");
        for ear in &mut ears {
            let first = ear.next();
            assert_eq!(first.ends_with("\r\nhi\r\n"), !only, "{first}");
            if !only {
                ear.next();
            }
        }
    }
}

/// The same between clusters: the server that a message reaches tells of it, and passes it on to its own cluster.
#[test]
fn what_crosses_to_another_cluster_is_told_by_both() {
    let (turnpike, other) = (Which::under_test(), both().pop().expect("a server"));
    let world = Wish::of(vec![vec![turnpike.clone()], vec![other, turnpike]]).shards(2).start();
    let (here, there) = (&world.clusters[0][0], &world.clusters[1]);
    for (from, to, hops) in [(here, &there[0], 1), (&there[0], here, 2), (&there[1], here, 2)] {
        let mut ear = Client::of(to);
        ear.say("SUB far.y 1\r\nSUB tr.> 2\r\n");
        let mut publisher = Client::of(from);
        let mut told = Vec::new();
        until("word of both", Duration::from_secs(20), || {
            hpub(&mut publisher, "far.y", "", DEST);
            told = std::iter::from_fn(|| ear.try_next(Duration::from_millis(300)))
                .filter(|f| f.starts_with("MSG tr."))
                .map(|f| body(&f))
                .collect();
            (told.len() >= 2).then_some(())
        });
        let entry = told.iter().find(|e| e["events"][0]["kind"] == 0).expect("of where it was published");
        let sent = entry["events"].as_array().unwrap().iter().find(|e| e["kind"] == 2).expect("a way out");
        assert!(entry["hops"].as_u64() <= Some(hops), "{entry}");
        let came = told.iter().find(|e| e["events"][0]["kind"] == 2).expect("of where it came in");
        assert_eq!(came["request"]["header"]["Nats-Trace-Hop"][0], sent["hop"], "{came} {entry}");
        assert_eq!(sent["name"], came["server"]["name"], "{came} {entry}");
    }
}
