//! Subjects that become others as they are published (`mappings`).

use super::{client, crosses_when, heard, says, server, verdict};
use crate::support::cluster::Cluster;
use crate::support::raw::Raw;
use crate::support::server::{Server, Which};
use std::collections::BTreeMap;

/// A client who is nobody in particular.
fn anybody(server: &Server) -> Raw {
    let mut raw = Raw::connect(server.clients());
    raw.write(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n");
    raw.barrier();
    raw
}

/// The subjects of what it has been sent, with how often each came.
fn subjects(raw: &mut Raw) -> BTreeMap<String, u32> {
    let mut out = BTreeMap::new();
    for line in heard(raw) {
        *out.entry(line.split(' ').nth(1).unwrap().to_owned()).or_default() += 1;
    }
    out
}

#[test]
fn a_subject_becomes_another_on_every_shard() {
    let conf = r#"mappings {"old.*": "new.$1", "two.*.*": "to.{{wildcard(2)}}.{{splitfromleft(1,2)}}", "rest.*.>": "r.>",
        "part.*": "p.{{partition(10,1)}}.$1", one: two, two: three}"#;
    for shards in [1, 3] {
        let server = server(conf, shards);
        let mut all: Vec<Raw> = (0..4).map(|_| anybody(&server)).collect();
        all.iter_mut().for_each(|c| says(c, "SUB > 1\n"));
        let mut who = anybody(&server);
        says(&mut who, "PUB old.a 1\nx\nPUB old.a 1\ny\nPUB old.a 1\nz\nPUB two.abc.d 0\n\nPUB rest.a.b.c 0\n\n");
        says(&mut who, "HPUB old.h 12 13\nNATS/1.0\n\nx\nPUB part.k 0\n\nPUB one 0\n\nPUB old 0\n\nPUB new.a 1\nn\n");
        for c in &mut all {
            let expected = [
                "MSG new.a 1 1 x",
                "MSG new.a 1 1 y",
                "MSG new.a 1 1 z",
                "MSG to.d.ab.c 1 0 ",
                "MSG r.b.c 1 0 ",
                "HMSG new.h 1 12 13 NATS/1.0  x",
                "MSG p.0.k 1 0 ",
                "MSG two 1 0 ",
                "MSG old 1 0 ",
                "MSG new.a 1 1 n",
            ];
            let expected: Vec<&str> = expected.iter().map(|l| l.trim_end()).collect();
            assert_eq!(heard(c), expected, "{shards}");
        }
    }
}

/// What a subject became is a subject like others, that may become something else where it is published by its name.
#[test]
fn what_became_of_one_is_not_what_becomes_of_another() {
    let server = server("mappings {a: b, b: c}", 1);
    let mut who = anybody(&server);
    let to = |s: &str| format!("PUB {s} 0\r\n\r\n");
    who.write(format!("SUB > 1\r\n{}", ["a", "a", "b", "b", "c", "a"].map(to).concat()).as_bytes());
    let shown: Vec<String> = heard(&mut who).iter().map(|l| l.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(shown, ["b", "b", "c", "c", "c", "b"]);
}

#[test]
fn weights_are_kept_and_the_rest_stays_or_is_lost() {
    let conf = r#"mappings {a: [{destination: b, weight: 60}, {dest: c, weight: "20%"}], k: [{dest: k, weight: 30}],
        d: [{dest: "d.{{random(3)}}", weight: 100}], x: [{dest: here, weight: 100}, {dest: there, weight: 100, cluster: WEST}]}"#;
    let server = server(conf, 2);
    let mut who = anybody(&server);
    says(&mut who, "SUB > 1\n");
    for (subject, expected) in [
        ("a", &[("a", 200), ("b", 600), ("c", 200)][..]),
        ("k", &[("k", 300)]),
        ("d", &[("d.0", 333), ("d.1", 333), ("d.2", 333)]),
        ("x", &[("here", 1000)]),
    ] {
        who.write(format!("PUB {subject} 0\r\n\r\n").repeat(1000).as_bytes());
        let got = subjects(&mut who);
        assert_eq!(
            got.keys().map(String::as_str).collect::<Vec<_>>(),
            expected.iter().map(|e| e.0).collect::<Vec<_>>()
        );
        for (name, n) in expected {
            // Seven deviations.
            assert!(got[*name].abs_diff(*n) < 110, "{got:?}");
        }
    }
}

/// Permissions, and what nobody hears, are about what a subject became.
#[test]
fn rights_are_looked_at_afterwards() {
    let conf = r#"accounts {A {users: [{user: a, password: p, permissions: {publish: {allow: "new.>"}}}, {user: b, password: p}],
        mappings {"old.*": "new.$1", ok2: nope, gone: "$GR.x"}}, E {users: [{user: e, password: p}]}}"#;
    let server = server(conf, 1);
    let (mut a, mut b, mut e) = (client(&server, "a"), client(&server, "b"), client(&server, "e"));
    says(&mut b, "SUB > 1\n");
    e.write(b"SUB > 1\r\nPUB old.e 0\r\n\r\n");
    says(&mut a, "PUB old.x 0\n\nPUB old.x 0\n\n");
    assert_eq!(subjects(&mut b), BTreeMap::from([("new.x".into(), 2)]));
    assert_eq!(heard(&mut e), ["MSG old.e 1 0"]);
    a.write(b"PUB ok2 0\r\n\r\n");
    assert_eq!(heard(&mut a), ["-ERR 'Permissions Violation for Publish to \"nope\"'"]);
    b.write(b"PUB gone 0\r\n\r\n");
    assert_eq!(heard(&mut b), ["-ERR 'Permissions Violation for Publish to \"$GR.x\"'"]);
    says(&mut b, "UNSUB 1\nSUB r 2\n");
    b.write(b"PUB old.x r 0\r\n\r\n");
    assert_eq!(heard(&mut b), ["HMSG r 2 37 37 NATS/1.0 503 Nats-Subject: new.x"]);
}

/// A request to a service becomes what its own account makes of it, and then what the service's does; the answer too.
#[test]
fn requests_and_answers_of_services_are_mapped_on_both_sides() {
    let conf = r#"accounts {S {users: [{user: s, password: p}], exports: [{service: q}], mappings {q: qq}},
        C {users: [{user: c, password: p}], imports: [{service: {account: S, subject: q}, to: "own.q"}], mappings {ask: "own.q", back: back2}}}"#;
    let server = server(conf, 2);
    let (mut s, mut c) = (client(&server, "s"), client(&server, "c"));
    says(&mut s, "SUB > 1\n");
    says(&mut c, "SUB back2 1\n");
    for subject in ["own.q", "ask"] {
        says(&mut c, &format!("PUB {subject} back 1\nx\n"));
        let asked = heard(&mut s);
        let words: Vec<&str> = asked[0].split(' ').collect();
        assert_eq!((asked.len(), words[1]), (1, "qq"), "{asked:?}");
        says(&mut s, &format!("PUB {} 1\nA\nUNSUB 1\nSUB > 1\n", words[3]));
        heard(&mut s);
        assert_eq!(heard(&mut c), ["MSG back2 1 1 A"]);
    }
}

/// What comes from another server was mapped where it was published.
#[test]
fn a_subject_becomes_another_once_in_a_cluster() {
    let accounts =
        r#"accounts {A {users: [{user: a, password: p}], mappings {a: b, b: c}}, E {users: [{user: e, password: p}]}}"#;
    let which = Which::under_test();
    let cluster = Cluster::with(&[which.clone(), which], 2, "", &format!("{accounts}\nno_auth_user: e\n"));
    let (mut from, mut to) = (client(&cluster.nodes[0], "a"), client(&cluster.nodes[1], "a"));
    says(&mut to, "SUB > 1\n");
    assert_eq!(crosses_when(|| says(&mut from, "PUB a 1\nx\n"), &mut to), "MSG b 1 1\r\nx\r\n");
}

#[test]
fn of_several_mappings_the_narrowest_decides() {
    let server = server(r#"mappings {">": "all.>", "a.*": "x.$1"}"#, 2);
    let mut who = anybody(&server);
    who.write(b"SUB > 1\r\nPUB a.b 0\r\n\r\n");
    let expected = crate::support::differences::named("mapping-order").turnpike;
    let got = subjects(&mut who);
    let any = ["all.a.b".to_owned(), expected.clone()];
    let ours = server.which().is_turnpike();
    assert!(got.contains_key(&expected) || !ours && any.iter().any(|s| got.contains_key(s)), "{got:?}");
}

#[test]
fn what_is_no_mapping_is_refused() {
    for (wrong, text) in [
        (r#""a.*": "b.*""#, "invalid subject"),
        (r#""a.*": "b.$2""#, "wildcard index out of range in $2: [2]"),
        (r#"a: {dest: b}"#, "Missing weight for mapping destination"),
        (r#"a: [{dest: b, weight: 60}, {dest: c, weight: 60}]"#, "total weight needs to be <= 100"),
        (r#"a: [{dest: b, weight: 50}, {dest: b, weight: 10}]"#, "duplicate entry for \"b\""),
        (r#"a: [{dest: b, weight: 101}]"#, "Invalid weight 101 for mapping destination"),
        (r#"a: 7"#, "Expected an entry for the mapping destination"),
        (r#""a b": c"#, "is not a valid subject"),
        (r#""a.*": "b.{{nothing(1)}}""#, "unknown function in {{nothing(1)}}"),
    ] {
        let (accepted, said) = verdict(&format!("mappings {{\n{wrong}\n}}"));
        assert!(!accepted && said.contains(text), "{wrong}: {said}");
    }
}
