//! What accounts share by agreement (docs/accounts.md): streams that one exports and another imports.
//!
//! `TURNPIKE_TEST_SERVER=/path/to/nats-server` asks the reference instead: every row holds for both.

#[path = "accounts/comings.rs"]
mod comings;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "support/driven.rs"]
mod driven;
#[path = "accounts/limits.rs"]
mod limits;
#[path = "accounts/mappings.rs"]
mod mappings;
#[path = "accounts/services.rs"]
mod services;
mod support;
#[path = "accounts/world_services.rs"]
mod world_services;
#[path = "accounts/worlds.rs"]
mod worlds;

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::cluster::{Cluster, WHOLE};
use support::raw::{Next, Raw};
use support::server::{shard_args, Server, Which};
use support::supercluster::Wish;

/// A exports, B, C and D import; nobody else has anything of theirs.
const STREAMS: &str = r#"accounts: {
  A: {users: [{user: a, password: p}], exports: [{stream: "s.>"}, {stream: "p.*.*", accounts: [C]}, {stream: "for.*", account_token_position: 2}]},
  B: {users: [{user: b, password: p}], imports: [{stream: {account: A, subject: "s.>"}, prefix: "fromA"}, {stream: {account: A, subject: "for.B"}}], exports: [{stream: "fromA.>"}]},
  C: {users: [{user: c, password: p}, {user: cd, password: p, permissions: {subscribe: {allow: ["x.>"], deny: ["x.secret.*"]}}}],
      imports: [{stream: {account: A, subject: "p.*.*"}, to: "x.$2.$1"}, {stream: {account: B, subject: "fromA.>"}}]},
  D: {users: [{user: d, password: p}], exports: [{stream: "t.*"}], imports: [{stream: {account: D, subject: "t.*"}, to: "u.*"}]},
  E: {users: [{user: e, password: p}]}
}"#;

fn server(conf: &str, shards: usize) -> Server {
    let which = Which::under_test();
    Server::start(&which, conf, &shard_args(&which, shards))
}

fn client(server: &Server, user: &str) -> Raw {
    let mut raw = Raw::connect(server.clients());
    let connect = r#"{"verbose":false,"headers":true,"no_responders":true,"pass":"p","user":""#;
    raw.write(format!("CONNECT {connect}{user}\"}}\r\n").as_bytes());
    raw.barrier();
    raw
}

/// What it has been sent so far, PONG and PING left out, one line for each.
fn heard(raw: &mut Raw) -> Vec<String> {
    let frames = raw.barrier();
    frames
        .iter()
        .filter(|f| !f.starts_with(b"PONG") && !f.starts_with(b"INFO"))
        .map(|f| String::from_utf8_lossy(f).trim_end().replace("\r\n", " "))
        .collect()
}

fn says(raw: &mut Raw, lines: &str) {
    raw.write(lines.replace('\n', "\r\n").as_bytes());
    raw.barrier();
}

#[test]
fn a_stream_is_heard_under_the_importers_name_on_every_shard() {
    for shards in [1, 3] {
        let server = server(STREAMS, shards);
        // As many as there are shards, and more.
        let mut all: Vec<Raw> = (0..6).map(|_| client(&server, "b")).collect();
        all.iter_mut().for_each(|b| says(b, "SUB fromA.s.x 1\nSUB *.s.> 2\nSUB s.x 3\nSUB for.B 4\n"));
        let mut a = client(&server, "a");
        says(&mut a, "PUB s.x 2\nhi\nPUB for.B 1\nb\nPUB for.C 1\nc\nPUB p.1.2 1\np\n");
        for b in &mut all {
            let mut got = heard(b);
            got.sort();
            assert_eq!(got, ["MSG for.B 4 1 b", "MSG fromA.s.x 1 2 hi", "MSG fromA.s.x 2 2 hi"], "{shards}");
        }
    }
}

#[test]
fn tokens_change_places_and_permissions_hold_for_the_importers_names() {
    let server = server(STREAMS, 2);
    let (mut c, mut guarded) = (client(&server, "c"), client(&server, "cd"));
    says(&mut c, "SUB > 1\nSUB x.*.1 2\nSUB p.> 3\n");
    says(&mut guarded, "SUB x.> 1\nSUB x.> q 2\n");
    let mut a = client(&server, "a");
    says(&mut a, "PUB p.1.2 2\nhi\nPUB p.1.secret 1\ns\n");
    let mut got = heard(&mut c);
    got.sort();
    assert_eq!(got, ["MSG x.2.1 1 2 hi", "MSG x.2.1 2 2 hi", "MSG x.secret.1 1 1 s", "MSG x.secret.1 2 1 s"]);
    let mut got = heard(&mut guarded);
    got.sort();
    assert_eq!(got, ["MSG x.2.1 1 2 hi", "MSG x.2.1 2 2 hi"]);
}

#[test]
fn a_queue_group_of_the_importer_is_given_one_copy() {
    let server = server(STREAMS, 2);
    let mut members: Vec<Raw> = (0..4).map(|_| client(&server, "b")).collect();
    members.iter_mut().for_each(|b| says(b, "SUB fromA.s.> workers 1\n"));
    let mut a = client(&server, "a");
    for _ in 0..40 {
        says(&mut a, "PUB s.job 1\nx\n");
    }
    let got: Vec<usize> = members.iter_mut().map(|b| heard(b).len()).collect();
    assert_eq!(got.iter().sum::<usize>(), 40, "{got:?}");
    assert!(got.iter().filter(|n| **n > 0).count() > 1, "{got:?}");
}

#[test]
fn an_end_is_an_end_there_too() {
    let server = server(STREAMS, 2);
    let (mut a, mut b) = (client(&server, "a"), client(&server, "b"));
    says(&mut b, "SUB fromA.s.x 1\nUNSUB 1 2\nSUB fromA.s.y 2\n");
    says(&mut a, "PUB s.x 1\n1\nPUB s.x 1\n2\nPUB s.x 1\n3\nPUB s.y 1\ny\n");
    assert_eq!(heard(&mut b), ["MSG fromA.s.x 1 1 1", "MSG fromA.s.x 1 1 2", "MSG fromA.s.y 2 1 y"]);
    says(&mut b, "UNSUB 2\n");
    says(&mut a, "SUB inbox 9\nPUB s.y inbox 1\ny\n");
    heard(&mut a);
    assert!(heard(&mut b).is_empty());
}

#[test]
fn an_account_can_rename_its_own() {
    let server = server(STREAMS, 2);
    let mut d = client(&server, "d");
    says(&mut d, "SUB u.> 1\nSUB > 2\n");
    d.write(b"PUB t.1 1\r\nx\r\n");
    let mut got = heard(&mut d);
    got.sort();
    assert_eq!(got, ["MSG t.1 2 1 x", "MSG u.1 1 1 x", "MSG u.1 2 1 x"]);
}

#[test]
fn nothing_crosses_without_an_export_and_an_import() {
    let server = server(STREAMS, 3);
    let mut a = client(&server, "a");
    let mut others: Vec<Raw> = ["b", "c", "d", "e"].iter().map(|user| client(&server, user)).collect();
    others.iter_mut().for_each(|o| says(o, "SUB > 1\n"));
    // What is imported from the importer is not handed on, as with nats-server.
    says(&mut a, "PUB other 1\nx\nPUB for.E 1\nx\nPUB p.a 1\nx\n");
    for o in &mut others {
        assert!(heard(o).is_empty());
    }
    let mut b = client(&server, "b");
    says(&mut b, "PUB s.x 1\nx\nPUB for.C 1\nx\n");
    assert!(heard(&mut a).is_empty());
    assert!(others[1..].iter_mut().all(|o| heard(o).is_empty()));
}

/// Says something again and again until somebody has heard it: interest is on its way.
fn crosses_when(mut said: impl FnMut(), by: &mut Raw) -> String {
    let end = Instant::now() + WHOLE;
    loop {
        said();
        match by.next(Duration::from_millis(100)) {
            Next::Frame(frame) if frame.windows(4).any(|w| w == b"MSG ") => {
                return String::from_utf8_lossy(&frame).into_owned()
            }
            _ => assert!(Instant::now() < end, "nothing crosses"),
        }
    }
}

/// Publishes at one server until the importer at the other has heard it: interest is on its way.
fn crosses(from: &Server, to: &Server) {
    let (mut a, mut b) = (client(from, "a"), client(to, "b"));
    let mut workers: Vec<Raw> = (0..2).map(|_| client(to, "b")).collect();
    says(&mut b, "SUB fromA.s.> 1\n");
    let first = crosses_when(|| says(&mut a, "PUB s.first 5\nfirst\n"), &mut b);
    let end = Instant::now() + WHOLE;
    assert_eq!(first, "MSG fromA.s.first 1 5\r\nfirst\r\n");
    workers.iter_mut().for_each(|w| says(w, "SUB fromA.s.job q 1\n"));
    // What was told of them comes before what is told of this.
    let mut last = client(to, "b");
    says(&mut last, "SUB fromA.s.last 1\n");
    while !matches!(last.next(Duration::from_millis(100)), Next::Frame(_)) {
        assert!(Instant::now() < end, "nothing crosses any more");
        says(&mut a, "PUB s.last 1\nx\nPUB other 1\nx\n");
    }
    for _ in 0..10 {
        says(&mut a, "PUB s.job 1\nx\n");
    }
    says(&mut a, "PUB s.end 1\nx\n");
    while !matches!(b.next(WHOLE), Next::Frame(f) if f.starts_with(b"MSG fromA.s.end")) {}
    let mut jobs = || workers.iter_mut().map(|w| heard(w).len()).sum::<usize>();
    assert_eq!(jobs(), 10, "one copy for the group");
}

/// A's and B's users, and anonymous ones elsewhere.
fn open_streams() -> String {
    format!("{STREAMS}\nno_auth_user: e\n")
}

#[test]
fn streams_cross_routes() {
    let which = Which::under_test();
    let cluster = Cluster::with(&[which.clone(), which], 2, "", &open_streams());
    crosses(&cluster.nodes[0], &cluster.nodes[1]);
}

#[test]
fn streams_cross_gateways() {
    let world = Wish { beside: open_streams(), ..Wish::sizes(&[1, 2]) }.start();
    crosses(&world.clusters[0][0], &world.clusters[1][1]);
    crosses(&world.clusters[1][1], &world.clusters[0][0]);
}

#[test]
#[ignore = "needs nats-server: TURNPIKE_PEERS names them, separated by commas"]
fn streams_cross_to_nats_servers_and_back() {
    let peers = std::env::var("TURNPIKE_PEERS").expect("TURNPIKE_PEERS");
    for peer in peers.split(',').map(|p| Which::at(p.into())) {
        let cluster = Cluster::with(&[Which::under_test(), peer.clone()], 2, "", &open_streams());
        crosses(&cluster.nodes[0], &cluster.nodes[1]);
        crosses(&cluster.nodes[1], &cluster.nodes[0]);
        let world = Wish { beside: open_streams(), ..Wish::of(vec![vec![Which::under_test()], vec![peer]]) }.start();
        crosses(&world.clusters[0][0], &world.clusters[1][0]);
        crosses(&world.clusters[1][0], &world.clusters[0][0]);
    }
}

/// Configurations, and whether they are accepted.
const VERDICTS: [(&str, &str, &str, bool); 23] = [
    // exports of A, imports of B, imports of A (B exports everything)
    (r#"{stream: "foo.>"}"#, r#"{stream: {account: A, subject: "foo.>"}, prefix: imp}"#, "", true),
    (r#"{stream: "foo.>"}"#, r#"{stream: {account: A, subject: "bar.>"}}"#, "", false),
    (r#"{stream: "foo.*"}"#, r#"{stream: {account: A, subject: "foo.>"}}"#, "", false),
    (r#"{stream: "foo.*", accounts: [C]}"#, r#"{stream: {account: A, subject: "foo.*"}}"#, "", false),
    (r#"{stream: "foo.*", accounts: [B]}"#, r#"{stream: {account: A, subject: "foo.*"}}"#, "", true),
    (r#"{stream: "foo.*", accounts: [X]}"#, "", "", false),
    (r#"{stream: "foo.*", accounts: []}"#, r#"{stream: {account: A, subject: "foo.*"}}"#, "", true),
    (
        r#"{stream: "foo.*"}"#,
        r#"{stream: {account: A, subject: "foo.*"}, to: "x.*"}, {stream: {account: A, subject: "foo.*"}, to: "y.*"}"#,
        "",
        false,
    ),
    (
        r#"{stream: "foo.*"}, {stream: "foo.*", accounts: [C]}"#,
        r#"{stream: {account: A, subject: "foo.*"}}"#,
        "",
        false,
    ),
    (
        r#"{stream: "foo.*", accounts: [C]}, {stream: "foo.*", accounts: [B]}"#,
        r#"{stream: {account: A, subject: "foo.*"}}"#,
        "",
        true,
    ),
    (r#"{stream: "foo.*.*"}"#, r#"{stream: {account: A, subject: "foo.*.*"}, to: "x.$2.$1"}"#, "", true),
    (r#"{stream: "foo.*.*"}"#, r#"{stream: {account: A, subject: "foo.*.*"}, to: "x.$1"}"#, "", false),
    (r#"{stream: "foo.*.*"}"#, r#"{stream: {account: A, subject: "foo.*.*"}, to: "x.$1.$2.$1"}"#, "", true),
    (r#"{stream: "foo.>"}"#, r#"{stream: {account: A, subject: "foo.>"}, to: "x"}"#, "", false),
    (r#"{stream: "foo.*"}"#, r#"{stream: {account: A, subject: "foo.*"}, to: "x.{{split(1,-)}}"}"#, "", false),
    (r#"{stream: "foo.*"}"#, r#"{stream: {account: A, subject: "foo.*"}, prefix: "p.*"}"#, "", false),
    (
        r#"{stream: "foo.*"}"#,
        r#"{stream: {account: A, subject: "foo.*"}}"#,
        r#"{stream: {account: B, subject: "foo.*"}}"#,
        false,
    ),
    (r#"{stream: "foo.*"}"#, r#"{stream: {account: X, subject: "foo.*"}}"#, "", false),
    (r#"{stream: "foo.*", account_token_position: 2}"#, r#"{stream: {account: A, subject: "foo.B"}}"#, "", true),
    (r#"{stream: "foo.*", account_token_position: 2}"#, r#"{stream: {account: A, subject: "foo.*"}}"#, "", false),
    (r#"{stream: "foo.*", account_token_position: 1}"#, "", "", false),
    (r#"{stream: "foo.*", response: stream}"#, "", "", false),
    (r#"{stream: "foo.*", service: "foo"}"#, "", "", false),
];

/// What a server says of a configuration (`-t`), and whether it accepts it.
fn verdict(conf: &str) -> (bool, String) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("turnpike-shares-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("shares.conf");
    std::fs::write(&file, conf).unwrap();
    let (Which::Turnpike(binary) | Which::Peer(binary)) = Which::under_test();
    let output = Command::new(&binary).args(["-t", "-c"]).arg(&file).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn agreements_are_accepted_as_nats_server_accepts_them() {
    for (exports, imports, back, accepted) in VERDICTS {
        let conf = format!(
            "accounts: {{\n A: {{exports: [{exports}],\n imports: [{back}]}},\n B: {{exports: [{{stream: \">\"}}],\n \
             imports: [{imports}]}},\n C: {{}}\n}}\n"
        );
        let (accepts, said) = verdict(&conf);
        assert_eq!(accepts, accepted, "{conf}\n{said}");
        assert!(accepted || said.contains("shares.conf:"), "{said}");
    }
}

/// Rows of docs/differences.md, and what each is about.
const STRICTER: [(&str, &str); 8] = [
    (
        "import-cycle",
        r#"A: {exports: [{stream: "foo.*"}], imports: [{stream: {account: B, subject: "x.foo.*"}, prefix: y}]},
           B: {exports: [{stream: "x.foo.*"}], imports: [{stream: {account: A, subject: "foo.*"}, prefix: x}]}"#,
    ),
    (
        "import-cycle",
        r#"A: {exports: [{service: "foo"}], imports: [{service: {account: B, subject: "x"}, to: "y"}]},
           B: {exports: [{service: "x"}], imports: [{service: {account: A, subject: "foo"}, to: "x"}]}"#,
    ),
    ("import-own", r#"A: {exports: [{stream: "foo.*"}], imports: [{stream: {account: A, subject: "foo.*"}}]}"#),
    ("export-invalid", r#"A: {exports: [{stream: "foo..bar"}]}"#),
    ("mapping-zero", r#"A: {mappings: {"a.*": "b.$0"}}"#),
    ("mapping-negative", r#"A: {mappings: {"a.*": "b.{{partition(-1,1)}}"}}"#),
    ("mapping-separator", r#"A: {mappings: {"a.*": "b.{{split(1,)}}"}}"#),
    ("mapping-nothing", r#"A: {mappings: {"a": ""}}"#),
];

#[test]
fn what_only_we_refuse_is_listed() {
    let next = |n| {
        format!("A{n}: {{exports: [{{service: q}}], imports: [{{service: {{account: A{}, subject: q}}}}]}}\n", n + 1)
    };
    let chain = format!("{} A17: {{exports: [{{service: q}}]}}", (0..17).map(next).collect::<String>());
    for (name, accounts) in STRICTER.into_iter().chain([("import-chain", chain.as_str())]) {
        let difference = support::differences::named(name);
        let (accepts, said) = verdict(&format!("accounts: {{ {accounts} }}\n"));
        match Which::under_test() {
            Which::Turnpike(_) => assert!(!accepts && said.contains(&difference.turnpike), "{name}: {said}"),
            // Of the cycle it says now this, now that.
            Which::Peer(_) => assert!(accepts || name == "import-cycle", "{name}: {said}"),
        }
    }
}
