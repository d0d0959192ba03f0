//! Services that one account exports and another imports.

use super::{client, crosses_when, heard, says, server, verdict};
use crate::support::cluster::{Cluster, WHOLE};
use crate::support::raw::{Next, Raw};
use crate::support::server::{Server, Which};
use crate::support::supercluster::Wish;
use std::time::Duration;

/// A answers, B asks it, C asks B, and so A; nobody else has anything of theirs.
const SERVICES: &str = r#"accounts: {
  A: {users: [{user: a, password: p}], exports: [{service: "add.*"}, {service: "st.>", response: stream}, {service: "ch", response: chunked}, {service: "late", threshold: "20ms"}]},
  B: {users: [{user: b, password: p}, {user: bg, password: p, permissions: {publish: "my.add.1", subscribe: "inbox.>"}}],
      imports: [{service: {account: A, subject: "add.*"}, to: "my.add.*"}, {service: {account: A, subject: "st.>"}}, {service: {account: A, subject: "ch"}, share: true}, {service: {account: A, subject: "late"}}],
      exports: [{service: "my.add.*"}]},
  C: {users: [{user: c, password: p}], imports: [{service: {account: B, subject: "my.add.*"}, to: "c.*"}]},
  E: {users: [{user: e, password: p}]}
}"#;

/// What a message says.
struct Asked {
    subject: String,
    reply: String,
    info: serde_json::Value,
    text: String,
}

/// The one request that a client was sent.
fn asked(raw: &mut Raw) -> Asked {
    let all = heard(raw);
    assert_eq!(all.len(), 1, "{all:?}");
    read(&all[0])
}

fn read(line: &str) -> Asked {
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[0], "HMSG", "{line}");
    let reply = words[3].to_owned();
    let (_, info) = line.split_once("Nats-Request-Info: ").unwrap_or_else(|| panic!("{line}"));
    let (info, text) = info.split_once("  ").unwrap();
    Asked { subject: words[1].into(), reply, info: serde_json::from_str(info).unwrap(), text: text.into() }
}

#[test]
fn a_request_reaches_the_service_and_its_answer_whoever_asked() {
    for shards in [1, 3] {
        let server = server(SERVICES, shards);
        let mut askers: Vec<Raw> = (0..4).map(|_| client(&server, "b")).collect();
        let (mut a, mut other) = (client(&server, "a"), client(&server, "e"));
        says(&mut a, "SUB add.* 1\n");
        says(&mut other, "SUB > 1\n");
        for b in &mut askers {
            says(b, "SUB inbox.* 1\nPUB my.add.7 inbox.1 2\nhi\n");
            let Asked { subject, reply, info, text } = asked(&mut a);
            assert_eq!((&*subject, &*text, &info["acc"]), ("add.7", "hi", &"B".into()));
            assert!(info.get("user").is_none() && info.get("svc").is_none(), "{info}");
            let words: Vec<&str> = reply.split('.').collect();
            assert!(words[0] == "_R_" && words[1].len() == 6 && words[2].len() == 6 && words.len() == 3, "{reply}");
            // One answer is all there is.
            says(&mut a, &format!("PUB {reply} 3\nyes\nPUB {reply} 2\nno\n"));
            assert_eq!(next(b), "MSG inbox.1 1 3 yes");
            says(&mut a, &format!("PUB {reply} 2\nno\n"));
            assert!(heard(b).is_empty());
        }
        assert!(heard(&mut other).is_empty());
    }
}

/// The next message, as soon as it comes.
fn next(raw: &mut Raw) -> String {
    loop {
        match raw.next(WHOLE) {
            Next::Frame(f) if f.starts_with(b"MSG") || f.starts_with(b"HMSG") => {
                return String::from_utf8_lossy(&f).trim_end().replace("\r\n", " ")
            }
            Next::Frame(_) => {}
            _ => panic!("nothing comes"),
        }
    }
}

#[test]
fn who_answers_often_ends_with_nothing() {
    let server = server(SERVICES, 2);
    let (mut a, mut b) = (client(&server, "a"), client(&server, "b"));
    says(&mut a, "SUB st.> 1\nSUB ch 2\n");
    for ask in ["SUB inbox.* 1\nPUB st.x.y inbox.1 2\nhi\n", "PUB ch inbox.1 2\nhi\n"] {
        says(&mut b, ask);
        let reply = asked(&mut a).reply;
        says(&mut a, &format!("PUB {reply} 1\n1\nPUB {reply} 1\n2\nPUB {reply} 0\n\nPUB {reply} 1\n3\n"));
        assert_eq!(
            [next(&mut b), next(&mut b), next(&mut b)],
            ["MSG inbox.1 1 1 1", "MSG inbox.1 1 1 2", "MSG inbox.1 1 0"]
        );
        says(&mut a, &format!("PUB {reply} 1\n3\n"));
        assert!(heard(&mut b).is_empty());
    }
}

#[test]
fn services_of_services_are_asked_in_turn() {
    let server = server(SERVICES, 3);
    let (mut a, mut b, mut c) = (client(&server, "a"), client(&server, "b"), client(&server, "c"));
    says(&mut a, "SUB add.* 1\n");
    says(&mut b, "SUB my.> 1\n");
    says(&mut c, "SUB inbox.* 1\nPUB c.5 inbox.9 2\nhi\n");
    let (at_a, at_b) = (asked(&mut a), asked(&mut b));
    assert_eq!((&*at_a.subject, &at_a.info["acc"], &at_a.info["svc"]), ("add.5", &"C".into(), &"B".into()));
    assert_eq!((&*at_b.subject, &at_b.info["acc"], at_b.info.get("svc")), ("my.add.5", &"C".into(), None));
    assert_ne!(at_a.reply, at_b.reply);
    says(&mut a, &format!("PUB {} 3\nyes\n", at_a.reply));
    assert_eq!(next(&mut c), "MSG inbox.9 1 3 yes");
    // Who asked B has his answer.
    says(&mut b, &format!("PUB {} 2\nno\n", at_b.reply));
    assert!(heard(&mut c).is_empty());
}

#[test]
fn who_asks_nobody_is_told_so() {
    let server = server(SERVICES, 2);
    let (mut b, mut c) = (client(&server, "b"), client(&server, "c"));
    let absent = |subject: &str| {
        let n = 32 + subject.len();
        format!("HMSG inbox.1 1 {n} {n} NATS/1.0 503 Nats-Subject: {subject}")
    };
    b.write(b"SUB inbox.* 1\r\nPUB my.add.1 2\r\nhi\r\nPUB my.add.1 inbox.1 2\r\nhi\r\n");
    assert_eq!(heard(&mut b), [absent("my.add.1")]);
    c.write(b"SUB inbox.* 1\r\nPUB c.1 inbox.1 2\r\nhi\r\n");
    assert_eq!(heard(&mut c), [absent("c.1")]);
}

#[test]
fn an_answer_may_ask_in_its_turn_and_is_given_its_headers() {
    let server = server(SERVICES, 2);
    let (mut a, mut b) = (client(&server, "a"), client(&server, "b"));
    says(&mut a, "SUB add.* 1\nSUB mine 2\n");
    says(&mut b, "SUB inbox.* 1\nHPUB my.add.1 inbox.1 20 22\nNATS/1.0\nFoo: 1\n\nhi\n");
    let line = heard(&mut a).remove(0);
    assert!(line.contains("NATS/1.0 Foo: 1 Nats-Request-Info: {\"acc\":\"B\""), "{line}");
    let reply = read(&line).reply;
    says(&mut a, &format!("HPUB {reply} mine 20 22\nNATS/1.0\nFoo: 2\n\nho\n"));
    let answer = next(&mut b);
    let words: Vec<&str> = answer.split(' ').collect();
    assert!(words[3].starts_with("_R_.") && answer.ends_with("20 22 NATS/1.0 Foo: 2  ho"), "{answer}");
    says(&mut b, &format!("PUB {} 2\nok\n", words[3]));
    assert_eq!(next(&mut a), "MSG mine 2 2 ok");
}

#[test]
fn who_may_be_known_is_made_known_and_nobody_else_says_so() {
    let server = server(SERVICES, 2);
    let (mut a, mut b) = (client(&server, "a"), client(&server, "b"));
    says(&mut a, "SUB ch 2\n");
    says(&mut b, "HPUB ch inbox.1 44 46\nNATS/1.0\nNats-Request-Info: {\"acc\":\"X\"}\n\nhi\n");
    let line = heard(&mut a).remove(0);
    assert!(!line.contains("\"X\""), "{line}");
    let info = read(&line).info;
    let keys: Vec<&str> = info.as_object().unwrap().keys().map(String::as_str).collect();
    for key in ["start", "host", "id", "acc", "user", "server", "kind", "client_type"] {
        assert!(keys.contains(&key), "{info}");
    }
    assert_eq!((&info["user"], &info["host"], &info["kind"]), (&"b".into(), &"127.0.0.1".into(), &"Client".into()));
}

#[test]
fn nobody_else_answers_or_asks() {
    let server = server(SERVICES, 3);
    let mut a = client(&server, "a");
    let (mut b, mut guarded) = (client(&server, "b"), client(&server, "bg"));
    let mut others: Vec<Raw> = ["c", "e"].iter().map(|user| client(&server, user)).collect();
    says(&mut a, "SUB > 1\n");
    guarded.write(b"SUB inbox.> 1\r\nPUB my.add.2 inbox.1 2\r\nhi\r\n");
    assert!(heard(&mut guarded).iter().any(|l| l.contains("Permissions Violation")));
    for o in &mut others {
        says(o, "PUB my.add.1 2\nhi\nPUB add.1 2\nhi\n");
    }
    says(&mut b, "PUB add.1 2\nhi\nPUB my.sub.1 2\nhi\n");
    assert!(heard(&mut a).is_empty());
    says(&mut guarded, "PUB my.add.1 inbox.1 2\nhi\n");
    let reply = asked(&mut a).reply;
    for o in others.iter_mut().chain([&mut b]) {
        says(o, &format!("PUB {reply} 2\nno\n"));
    }
    assert!(heard(&mut guarded).is_empty());
    says(&mut a, &format!("PUB {reply} 3\nyes\n"));
    assert_eq!(next(&mut guarded), "MSG inbox.1 1 3 yes");
}

#[test]
fn a_queue_group_of_the_service_answers_once() {
    let server = server(SERVICES, 3);
    let mut workers: Vec<Raw> = (0..4).map(|_| client(&server, "a")).collect();
    workers.iter_mut().for_each(|w| says(w, "SUB add.* workers 1\n"));
    let mut b = client(&server, "b");
    says(&mut b, "SUB inbox.* 1\n");
    for _ in 0..20 {
        says(&mut b, "PUB my.add.1 inbox.1 1\nx\n");
    }
    let got: Vec<usize> = workers.iter_mut().map(|w| heard(w).len()).collect();
    assert_eq!(got.iter().sum::<usize>(), 20, "{got:?}");
    assert!(got.iter().filter(|n| **n > 0).count() > 1, "{got:?}");
}

#[test]
fn who_is_too_late_is_not_heard() {
    let server = server(SERVICES, 2);
    let (mut a, mut b) = (client(&server, "a"), client(&server, "b"));
    says(&mut a, "SUB late 1\n");
    says(&mut b, "SUB inbox.* 1\nPUB late inbox.1 2\nhi\n");
    let reply = asked(&mut a).reply;
    std::thread::sleep(Duration::from_millis(60));
    says(&mut a, &format!("PUB {reply} 3\nyes\n"));
    assert!(heard(&mut b).is_empty());
}

/// Asks at one server what is answered at the other.
fn is_served(from: &Server, to: &Server) {
    let (mut a, mut c) = (client(to, "a"), client(from, "c"));
    says(&mut a, "SUB add.* 1\nSUB add.job q 2\n");
    let first = crosses_when(|| says(&mut c, "PUB c.first 5\nfirst\n"), &mut a);
    assert!(first.starts_with("HMSG add.first 1 "), "{first}");
    // As soon as the wish for them is there, so that the way back is not known by then.
    says(&mut c, "SUB inbox.* 1\nPUB c.1 inbox.1 2\nhi\n");
    let request = loop {
        let request = next(&mut a);
        if !request.starts_with("HMSG add.first") {
            break read(&request);
        }
    };
    assert_eq!((&*request.subject, &request.info["acc"], &request.info["svc"]), ("add.1", &"C".into(), &"B".into()));
    says(&mut a, &format!("PUB {} 3\nyes\n", request.reply));
    assert_eq!(next(&mut c), "MSG inbox.1 1 3 yes");
    for _ in 0..5 {
        says(&mut c, "PUB c.job inbox.2 1\nx\n");
        // The one who wants it plain, and one of the group.
        let jobs = [next(&mut a), next(&mut a)].map(|line| read(&line));
        assert!(jobs.iter().all(|j| j.subject == "add.job" && j.reply == jobs[0].reply));
        says(&mut a, &format!("PUB {} 4\ndone\n", jobs[0].reply));
        assert_eq!(next(&mut c), "MSG inbox.2 1 4 done");
    }
}

fn open_services() -> String {
    format!("{SERVICES}\nno_auth_user: e\n")
}

#[test]
fn services_cross_routes() {
    let which = Which::under_test();
    let cluster = Cluster::with(&[which.clone(), which], 2, "", &open_services());
    is_served(&cluster.nodes[0], &cluster.nodes[1]);
}

#[test]
fn services_cross_gateways() {
    let world = Wish { beside: open_services(), ..Wish::sizes(&[1, 2]) }.start();
    is_served(&world.clusters[0][0], &world.clusters[1][1]);
    is_served(&world.clusters[1][1], &world.clusters[0][0]);
}

#[test]
#[ignore = "needs nats-server: TURNPIKE_PEERS names them, separated by commas"]
fn services_cross_to_nats_servers_and_back() {
    let peers = std::env::var("TURNPIKE_PEERS").expect("TURNPIKE_PEERS");
    for peer in peers.split(',').map(|p| Which::at(p.into())) {
        let cluster = Cluster::with(&[Which::under_test(), peer.clone()], 2, "", &open_services());
        is_served(&cluster.nodes[0], &cluster.nodes[1]);
        is_served(&cluster.nodes[1], &cluster.nodes[0]);
        let world = Wish { beside: open_services(), ..Wish::of(vec![vec![Which::under_test()], vec![peer]]) }.start();
        is_served(&world.clusters[0][0], &world.clusters[1][0]);
        is_served(&world.clusters[1][0], &world.clusters[0][0]);
    }
}

/// Exports of A, imports of B, imports of A, exports of B; are they accepted?
const VERDICTS: [(&str, &str, &str, &str, bool); 25] = [
    (r#"{service: "foo.*"}"#, r#"{service: {account: A, subject: "foo.*"}}"#, "", "", true),
    (r#"{service: "foo.*"}"#, r#"{service: {account: A, subject: "foo.a"}, to: "bar"}"#, "", "", true),
    (r#"{service: "foo.*"}"#, r#"{service: {account: A, subject: "foo.a"}, to: "bar.*"}"#, "", "", true),
    (r#"{service: "foo.*"}"#, r#"{service: {account: A, subject: "foo.*"}, to: "bar.$1"}"#, "", "", true),
    (r#"{service: "foo.*.*"}"#, r#"{service: {account: A, subject: "foo.*.*"}, to: "bar.$2.$1"}"#, "", "", true),
    (r#"{service: "foo.*.*"}"#, r#"{service: {account: A, subject: "foo.*.*"}, to: "bar.$1"}"#, "", "", false),
    (r#"{service: "foo.*"}"#, r#"{service: {account: A, subject: "foo.*"}, to: "bar"}"#, "", "", false),
    (r#"{service: "foo.>"}"#, r#"{service: {account: A, subject: "foo.>"}, to: "bar.>"}"#, "", "", true),
    (r#"{service: "foo.*"}"#, r#"{service: {account: A, subject: "foo.*"}, to: "x.>"}"#, "", "", false),
    (
        r#"{service: "foo.*"}"#,
        r#"{service: {account: A, subject: "foo.*"}, to: "x.{{partition(3,1)}}"}"#,
        "",
        "",
        false,
    ),
    (r#"{service: "foo"}"#, r#"{service: {account: A, subject: "foo"}, to: "x y"}"#, "", "", false),
    (
        r#"{service: "foo"}, {service: "baz"}"#,
        r#"{service: {account: A, subject: "foo"}, to: "x"}, {service: {account: A, subject: "baz"}, to: "x"}"#,
        "",
        "",
        false,
    ),
    (
        r#"{service: "foo"}"#,
        r#"{service: {account: A, subject: "foo"}, to: "x"}, {service: {account: A, subject: "foo"}, to: "y"}"#,
        "",
        "",
        true,
    ),
    (
        r#"{service: "foo"}"#,
        r#"{service: {account: A, subject: "foo"}}"#,
        r#"{service: {account: B, subject: "foo"}}"#,
        r#"{service: "foo"}"#,
        false,
    ),
    (
        r#"{service: "foo.>"}"#,
        r#"{service: {account: A, subject: "foo.>"}, to: "x.>"}"#,
        r#"{service: {account: B, subject: "x.a"}, to: "foo.a"}"#,
        r#"{service: "x.>"}"#,
        false,
    ),
    (r#"{service: "foo", accounts: [C]}"#, r#"{service: {account: A, subject: "foo"}}"#, "", "", false),
    (r#"{service: "foo", accounts: [B]}"#, r#"{service: {account: A, subject: "foo"}}"#, "", "", true),
    (r#"{service: "foo.*", account_token_position: 2}"#, r#"{service: {account: A, subject: "foo.B"}}"#, "", "", true),
    (r#"{service: "foo.*", account_token_position: 2}"#, r#"{service: {account: A, subject: "foo.*"}}"#, "", "", false),
    (r#"{service: "foo", response: "x"}"#, "", "", "", false),
    (r#"{service: "foo", threshold: "xx"}"#, "", "", "", false),
    (
        r#"{service: "foo", response: stream, threshold: "1s"}"#,
        r#"{service: {account: A, subject: "foo"}}"#,
        "",
        "",
        true,
    ),
    (r#"{stream: "foo"}"#, r#"{service: {account: A, subject: "foo"}}"#, "", "", false),
    (r#"{service: "foo"}"#, r#"{stream: {account: A, subject: "foo"}}"#, "", "", false),
    (r#"{service: "foo"}"#, "", r#"{service: {account: A, subject: "foo"}, to: "x"}"#, "", true),
];

#[test]
fn agreements_on_services_are_accepted_as_nats_server_accepts_them() {
    for (exports, imports, back, theirs, accepted) in VERDICTS {
        let conf = format!(
            "accounts: {{\n A: {{exports: [{exports}],\n imports: [{back}]}},\n B: {{exports: [{theirs}],\n \
             imports: [{imports}]}},\n C: {{}}\n}}\n"
        );
        let (accepts, said) = verdict(&conf);
        assert_eq!(accepts, accepted, "{conf}\n{said}");
        assert!(accepted || said.contains("shares.conf:"), "{said}");
    }
}
