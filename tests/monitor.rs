//! Monitoring over HTTP, with shards played by threads that answer from fixed rows: the shape of every endpoint beside
//! nats-server's (recorded from 2.15.2 in `tests/monitor/*.json`: key → JSON type), parameters, paths, a silent shard.
#![cfg(feature = "shell")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{mpsc, Arc};
use std::time::Duration;
use turnpike::base::ShardId;
use turnpike::conn::{Counts, Telling};
use turnpike::policy::{Account, Gateway, Listen, RemoteGateway, RouteUrl, Secret, Settings};
use turnpike::shard::report::Explanation;
use turnpike::shard::report::{
    AccountTally, ConnRow, GatewayAccountRow, GatewayReport, GatewayRow, InterestMode, SubRow, Tally,
};
use turnpike::shard::{Answer, Ask};
use turnpike::shell::monitor::{replies, start, Facts, Loads, Monitor, Rate, Replies, ShardDoor, CONNECTIONS_MAX};

/// What nats-server shows and a turnpike cannot, each with its reason.
const ABSENT: &[(&str, &str, &str)] = &[
    ("varz", "feature_flags", "switches of JetStream, which is not offered"),
    ("accountz_acc", "account_detail.imports", "the automatic imports of $SYS services, which are not offered yet"),
];

/// Rows of one shard; shard `s` of `n` has connections s+1, s+1+n, … up to `per_shard` of them.
struct Shard {
    id: ShardId,
    connections: Vec<ConnRow>,
    closed: Vec<ConnRow>,
}

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

fn subscription(cid: u64) -> SubRow {
    let queue = Some("q".to_owned());
    let (account, subject, sid) = ("A".into(), format!("foo.{cid}"), "1".into());
    SubRow { account, subject, queue, sid, msgs: 3, max: Some(10), cid }
}

fn connection(cid: u64) -> ConnRow {
    ConnRow {
        cid,
        ip: "127.0.0.1".into(),
        port: 1000,
        start_ns: START,
        last_activity_ns: START + SECOND,
        rtt_ns: Some(278_500),
        in_msgs: cid,
        name: "one".into(),
        lang: "rust".into(),
        version: "1.2".into(),
        user: Some("a".into()),
        account: "A".into(),
        subscriptions: 1,
        ..ConnRow::default()
    }
}

impl Shard {
    fn new(id: usize, shards: usize, per_shard: usize) -> Shard {
        let cids = (0..per_shard).map(|n| (n * shards + id + 1) as u64);
        let closed = ConnRow {
            cid: 1_000_000 + id as u64,
            stop_ns: Some(START + 2 * SECOND),
            reason: Some("Client Closed"),
            subs: Vec::new(),
            ..connection(0)
        };
        Shard { id: ShardId(id as u8), connections: cids.map(connection).collect(), closed: vec![closed] }
    }

    fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Tally { .. } => Answer::Tally(Box::new(self.tally())),
            Ask::Routes => Answer::Routes(Vec::new()),
            Ask::Part { .. } => Answer::Parted(false),
            Ask::Explain(q) => Answer::Explained(Box::new(Explanation {
                subject: q.subject.clone(),
                account: q.account.clone(),
                from: if q.enters { q.cluster.clone() } else { "here".into() },
                to: if q.enters { "here".into() } else { q.cluster.clone() },
                crosses: true,
                mode: None,
                grounds: Vec::new(),
                words: "it would".into(),
            })),
            Ask::Gateways { .. } => Answer::Gateways(Box::new(self.gateways())),
            Ask::PeerInterest { .. } => Answer::Wanted { rows: Vec::new(), next: None },
            Ask::FarInterest { from, max, account } => self.wanted(*from, *max, account.as_ref()),
            Ask::Connections { from, max, subs } => {
                assert!(!subs, "one connection may have a million: that would be one slice");
                let (rows, next) = slice(&self.connections, *from, *max);
                Answer::Connections { rows, next }
            }
            Ask::Closed { from, max } => {
                let (rows, next) = slice(&self.closed, *from, *max);
                Answer::Closed { rows, next }
            }
            Ask::Subscriptions { from, max, account, test } => {
                let all: Vec<_> = self.connections.iter().map(|c| subscription(c.cid)).collect();
                let wanted = |s: &SubRow| {
                    account.as_ref().is_none_or(|a| *a == s.account)
                        && test.as_ref().is_none_or(|t| t == s.subject.as_bytes())
                };
                let (rows, next) = slice(&all, *from, *max);
                Answer::Subscriptions { rows: rows.into_iter().filter(wanted).collect(), next }
            }
        }
    }

    /// The first shard owns the link that the other cluster wants something over, told one at a time.
    fn wanted(&self, from: Telling, max: u32, only: Option<&String>) -> Answer {
        assert!((1..=256).contains(&max), "a slice of {max} rows holds a shard too long");
        let row = |account: &str, subject: &str, queue: Option<&str>| SubRow {
            account: account.into(),
            subject: subject.into(),
            queue: queue.map(Into::into),
            cid: 6,
            ..SubRow::default()
        };
        let all = [row("A", "a.*", None), row("B", "hidden", None), row("A", "jobs", Some("q"))];
        let here: &[SubRow] = if self.id == ShardId(0) { &all } else { &[] };
        let rows = here.iter().skip(usize::from(from.account)).take(1).cloned();
        let next = usize::from(from.account) + 1 < here.len();
        let next = next.then_some(Telling { account: from.account + 1, cursor: from.cursor });
        Answer::Wanted { rows: rows.filter(|r| only.is_none_or(|a| *a == r.account)).collect(), next }
    }

    /// The first shard owns the links: one each way.
    fn gateways(&self) -> GatewayReport {
        let account = GatewayAccountRow {
            account: "A".into(),
            mode: InterestMode::InterestOnly,
            since_ns: START,
            why: "promised",
            plain: 1,
            queues: 1,
            sent: 3,
            ..GatewayAccountRow::default()
        };
        let link = |link, outbound| GatewayRow {
            link,
            outbound,
            cluster: "B".into(),
            ip: "127.0.0.1".into(),
            rtt_ns: Some(367_000),
            accounts: vec![account.clone()],
            ..GatewayRow::default()
        };
        let links = if self.id == ShardId(0) { vec![link(7, false), link(6, true)] } else { Vec::new() };
        GatewayReport { links, ..GatewayReport::default() }
    }

    fn tally(&self) -> Tally {
        let n = self.connections.len() as u64;
        let account = AccountTally {
            account: "A".into(),
            connections: n,
            total_connections: 9 * n,
            subscriptions: n,
            ..Default::default()
        };
        Tally {
            connections: n,
            subscriptions: n,
            in_msgs: 10,
            out_msgs: 20,
            routed: Counts { in_msgs: 1, out_msgs: 2, ..Counts::default() },
            crossed: Counts { in_msgs: 3, out_msgs: 5, ..Counts::default() },
            stale_connections: 7,
            stale_routes: 2,
            stale_gateways: 1,
            slow_consumers_pending: 1,
            slow_consumers_deadline: 2,
            malformed_headers: 5,
            drops: vec![("no interest", 4)],
            accounts: vec![account],
            ..Tally::default()
        }
    }
}

/// Never more than was asked for: a scrape that asks for all at once would be seen here.
fn slice<T: Clone>(rows: &[T], from: u32, max: u32) -> (Vec<T>, Option<u32>) {
    assert!((1..=256).contains(&max), "a slice of {max} rows holds a shard too long");
    let end = rows.len().min((from + max) as usize);
    let part = rows.get(from as usize..end).unwrap_or_default().to_vec();
    (part, (end < rows.len()).then_some(end as u32))
}

struct World {
    monitor: Monitor,
    facts: Arc<Facts>,
}

impl World {
    fn new(shards: usize, per_shard: usize) -> World {
        World::with(shards, per_shard, |_| {}, None)
    }

    /// `silent`: this shard takes questions and never answers.
    fn with(shards: usize, per_shard: usize, change: impl Fn(&mut Settings), silent: Option<usize>) -> World {
        let mut settings = Settings::default();
        settings.auth.accounts.push(Account::named("A"));
        settings.auth.token = Some(Secret::Plain("t".into()));
        settings.server_tags = vec!["x:y".into()];
        settings.server_metadata = vec![("a".into(), "b".into())];
        settings.limits.max_subscriptions = 100;
        settings.listen.host = "127.0.0.1".into();
        settings.warnings = vec!["jetstream is not offered".into()];
        change(&mut settings);
        let facts = Arc::new(Facts {
            settings: Arc::new(settings),
            server_id: "NID".into(),
            server_name: "NAME".into(),
            port: 4222,
            start_ns: START,
            cores: 2,
            pins: (0..shards).map(|s| Some(s as u16)).collect(),
            free_cpus: Vec::new(),
            accepted: AtomicU64::new(7),
            guessers_refused: AtomicU64::new(0),
            accepts: Rate::default(),
            listening: AtomicBool::new(true),
            pressure: Arc::default(),
            mesh: None,
            cluster_port: 0,
            gateway_port: 7222,
            events_lost: Arc::default(),
            meters: Vec::new(),
            loads: Loads::default(),
        });
        let (replies, inbox) = replies(shards);
        let doors = (0..shards).map(|id| {
            let shard = Shard::new(id, shards, per_shard);
            door(shard, replies.clone(), silent == Some(id))
        });
        let listen = Listen { host: "127.0.0.1".into(), port: None };
        let monitor = start(Some(&listen), CONNECTIONS_MAX, facts.clone(), doors.collect(), inbox, None, None).unwrap();
        World { monitor, facts }
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        http(self.monitor.addr().unwrap(), "GET", path)
    }

    fn json(&self, path: &str) -> Value {
        let (status, head, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        assert!(head.contains("access-control-allow-origin: *"), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        serde_json::from_str(&body).unwrap()
    }
}

fn door(shard: Shard, replies: Replies, silent: bool) -> ShardDoor {
    let (sender, questions) = mpsc::channel::<(u64, Ask)>();
    std::thread::spawn(move || {
        for (ticket, ask) in questions {
            if !silent {
                replies.give(shard.id, ticket, shard.answer(&ask));
            }
        }
    });
    ShardDoor { send: Box::new(move |ticket, ask| sender.send((ticket, ask)).is_ok()) }
}

/// Status, head in lower case, body.
fn http(addr: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(socket, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

/// Keys of `theirs` that `ours` lacks or has with another type.
fn differences(at: &str, theirs: &Value, ours: &Value, out: &mut BTreeSet<String>) {
    match theirs {
        Value::Object(members) => {
            for (key, theirs) in members {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                match ours.get(key) {
                    Some(ours) => differences(&at, theirs, ours, out),
                    None => drop(out.insert(at)),
                }
            }
            if !ours.is_object() {
                out.insert(at.to_owned());
            }
        }
        Value::Array(items) => match (items.first(), ours.as_array().map(|a| a.first())) {
            (_, None) | (Some(_), Some(None)) => drop(out.insert(at.to_owned())),
            (Some(theirs), Some(Some(ours))) => differences(at, theirs, ours, out),
            (None, Some(_)) => {}
        },
        theirs => {
            let kind = match ours {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            if theirs != kind {
                out.insert(at.to_owned());
            }
        }
    }
}

#[test]
fn every_key_of_nats_server_is_here_with_its_type() {
    let world = World::new(2, 3);
    for (name, path) in [
        ("varz", "/varz"),
        ("connz", "/connz?subs=detail&auth=1"),
        ("connz_subs", "/connz?subs=1&auth=1"),
        ("connz_closed", "/connz?state=closed&auth=1"),
        ("subsz", "/subsz?subs=1"),
        ("routez", "/routez"),
        ("gatewayz", "/gatewayz"),
        ("leafz", "/leafz"),
        ("accountz", "/accountz"),
        ("accountz_acc", "/accountz?acc=A"),
        ("accstatz", "/accstatz?unused=1"),
        ("jsz", "/jsz"),
        ("healthz", "/healthz"),
    ] {
        let file = format!("{}/tests/monitor/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let theirs: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut found = BTreeSet::new();
        differences("", &theirs, &world.json(path), &mut found);
        let allowed = ABSENT.iter().filter(|(n, _, _)| *n == name).map(|(_, key, _)| key.to_string()).collect();
        assert_eq!(found, allowed, "{path}");
    }
    world.monitor.stop();
}

/// A super-cluster's server, beside nats-server's pages recorded from one.
#[test]
fn gateways_are_shown_as_nats_server_shows_them() {
    let gateway = || {
        let url = RouteUrl { host: "127.0.0.1".into(), port: 7223, login: None };
        Gateway {
            name: "A".into(),
            advertise: Some("a:7222".into()),
            connect_retries: 3,
            remotes: vec![RemoteGateway { name: "B".into(), urls: vec![url], entries: 1, tls: None }],
            ..Gateway::default()
        }
    };
    let world = World::with(2, 1, |s| s.gateway = Some(gateway()), None);
    for (name, path) in [("gatewayz_links", "/gatewayz?accs=1"), ("varz_gateway", "/varz")] {
        let file = format!("{}/tests/monitor/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let theirs: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut found = BTreeSet::new();
        differences("", &theirs, &world.json(path), &mut found);
        assert_eq!(found, BTreeSet::new(), "{path}");
    }
    let page = world.json("/gatewayz?acc_name=A");
    let (out, inbound) = (&page["outbound_gateways"]["B"], &page["inbound_gateways"]["B"][0]);
    assert_eq!((&out["connection"]["cid"], &inbound["connection"]["cid"]), (&6.into(), &7.into()));
    assert_eq!((&out["connection"]["subscriptions"], &out["accounts"][0]["num_subs"]), (&2.into(), &2.into()));
    assert_eq!((&out["accounts"][0]["interest_mode"], &page["port"]), (&"Interest-Only".into(), &7222.into()));
    let own =
        serde_json::json!({"mode": "interest-only", "since": "2023-11-14T22:13:20Z", "why": "promised", "sent": 3});
    assert_eq!(out["accounts"][0]["turnpike"], own);
    let list = |path: &str| world.json(path)["outbound_gateways"]["B"]["accounts"][0].clone();
    assert_eq!(list("/gatewayz?accs=1&subs=1")["subscriptions_list"], serde_json::json!(["a.*", "jobs"]));
    assert_eq!(
        list("/gatewayz?acc_name=A&subs=detail")["subscriptions_list_detail"],
        serde_json::json!([
            {"subject": "a.*", "sid": "", "msgs": 0, "cid": 6},
            {"subject": "jobs", "qgroup": "q", "sid": "", "msgs": 0, "cid": 6},
        ])
    );
    assert!(list("/gatewayz?accs=1").get("subscriptions_list").is_none());
    assert!(world.json("/gatewayz?gw_name=B")["outbound_gateways"]["B"].get("accounts").is_none());
    assert!(world.json("/gatewayz?acc_name=none")["outbound_gateways"]["B"].get("accounts").is_none());
    // nats-server says null of clusters it has no link to, and {} of inbound ones: an accident that no reader is prepared for.
    assert_eq!(world.json("/gatewayz?gw_name=C")["outbound_gateways"], serde_json::json!({}));
    assert_eq!(world.get("/gatewayz?accs=x").0, 400);
    world.monitor.stop();
}

#[test]
fn exporters_find_numbers_at_the_top_of_varz_only_under_known_names() {
    let world = World::new(1, 1);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/monitor/varz.json");
    let theirs: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    for (key, value) in world.json("/varz").as_object().unwrap() {
        assert!(theirs.get(key).is_some() || (key == "turnpike" && value.is_object()), "{key} is ours alone");
    }
    world.monitor.stop();
}

#[test]
fn varz_adds_up_the_shards() {
    let world = World::new(3, 2);
    world.json("/connz");
    world.json("/subscriptionsz");
    let accounts = world.json("/accstatz");
    let only = accounts["account_statz"].as_array().unwrap();
    assert_eq!((only.len(), &only[0]["acc"], &only[0]["total_conns"]), (1, &"A".into(), &6.into()));
    let varz = world.json("/varz");
    for (key, value) in [
        ("connections", 6),
        ("total_connections", 7),
        ("in_msgs", 30),
        ("in_client_msgs", 18),
        ("out_msgs", 60),
        ("out_client_msgs", 39),
        ("subscriptions", 6),
        ("slow_consumers", 9),
        ("gomaxprocs", 3),
        ("ping_interval", 120_000_000_000_u64),
        ("auth_timeout", 2),
    ] {
        assert_eq!(varz[key], value, "{key}");
    }
    assert_eq!(varz["slow_consumer_stats"]["clients"], 9);
    let stale = serde_json::json!({"clients": 12, "routes": 6, "gateways": 3, "leafs": 0});
    assert_eq!((&varz["stale_connections"], &varz["stale_connection_stats"]), (&21.into(), &stale));
    assert_eq!(varz["http_req_stats"], serde_json::json!({"/accstatz": 1, "/connz": 1, "/subsz": 1, "/varz": 1}));
    assert_eq!(varz["http_port"], world.monitor.addr().unwrap().port());
    assert_eq!(varz["start"], "2023-11-14T22:13:20Z");
    assert!(varz["mem"].as_u64().unwrap() > 0);
    let own = &varz["turnpike"];
    assert_eq!(own["shards"].as_array().unwrap().len(), 3);
    assert_eq!((&own["shards"][2]["cpu"], &own["shards"][2]["connections"]), (&Value::from(2), &Value::from(2)));
    assert_eq!(own["drops"]["no interest"], 12);
    assert_eq!((&own["malformed_headers"], &own["accepts_per_second"]), (&15.into(), &0.into()));
    assert_eq!(own["warnings"][0], "jetstream is not offered");
    let again = world.json("/varz");
    assert_eq!(again["http_req_stats"]["/varz"], 2);
    world.monitor.stop();
}

#[test]
fn listings_are_merged_sorted_and_paged() {
    let world = World::new(3, 600);
    let page = world.json("/connz?sort=msgs_from&offset=1&limit=3");
    assert_eq!((&page["total"], &page["num_connections"]), (&Value::from(1800), &Value::from(3)));
    let cids: Vec<_> = page["connections"].as_array().unwrap().iter().map(|c| c["cid"].as_u64().unwrap()).collect();
    assert_eq!(cids, [1799, 1798, 1797]);
    let all = world.json("/connz?state=all&limit=5000");
    assert_eq!((&all["num_connections"], &all["limit"]), (&Value::from(1803), &Value::from(5000)));
    let closed = world.json("/connz?state=closed&sort=stop&limit=1");
    assert_eq!((&closed["total"], &closed["connections"][0]["cid"]), (&Value::from(3), &Value::from(1_000_000)));
    assert_eq!(closed["connections"][0]["uptime"], "2s");
    assert_eq!(closed["connections"][0]["rtt"], "278µs");
    let with_subs = world.json("/connz?subs=1&offset=1500&limit=2");
    assert_eq!(with_subs["connections"][1]["subscriptions_list"], serde_json::json!(["foo.1502"]));
    let nowhere = world.json("/connz?acc=NOPE");
    assert_eq!((&nowhere["server_id"], &nowhere["connections"]), (&Value::from(""), &Value::Null));
    let subs = world.json("/subsz?subs=1&limit=2");
    assert_eq!((&subs["total"], &subs["subscriptions_list"][1]["subject"]), (&1800.into(), &"foo.10".into()));
    let tested = world.json("/subsz?subs=1&test=foo.700");
    assert_eq!((&tested["total"], &tested["subscriptions_list"][0]["cid"]), (&1.into(), &700.into()));
    let silent = world.json("/subsz?test=foo.700");
    assert_eq!((&silent["total"], silent.get("subscriptions_list")), (&0.into(), None));
    world.monitor.stop();
}

#[test]
fn bad_requests_are_told_why() {
    let world = World::new(1, 1);
    for (path, text) in [
        ("/connz?sort=stop", "sort by stop only valid on closed connections"),
        ("/connz?limit=x", "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax"),
        ("/subsz?subs=1&test=foo.*", "invalid test subject, must be valid publish subject: foo.*"),
        ("/accountz?acc=NOPE", "Account NOPE does not exist"),
        ("/routez?subs=zz", "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"zz\": invalid syntax"),
        (
            "/leafz?subs=detail",
            "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"detail\": invalid syntax",
        ),
        ("/gatewayz?accs=zz", "Error decoding boolean for 'accs': strconv.ParseBool: parsing \"zz\": invalid syntax"),
        (
            "/jsz?accounts=zz",
            "Error decoding boolean for 'accounts': strconv.ParseBool: parsing \"zz\": invalid syntax",
        ),
    ] {
        let (status, _, body) = world.get(path);
        assert_eq!((status, body.as_str()), (400, text), "{path}");
    }
    for path in ["/nope", "/varz/", "/VARZ", "/stacksz", "/debug/vars", "/favicon.ico"] {
        let (status, head, body) = world.get(path);
        assert_eq!((status, body.as_str()), (404, "404 page not found\n"), "{path}");
        assert!(head.contains("x-content-type-options: nosniff"));
    }
    assert_eq!(world.get("/raftz").2, "No Raft nodes registered");
    let (status, head, _) = world.get("//varz?x=1");
    assert!(status == 307 && head.contains("location: /varz?x=1"), "{head}");
    assert_eq!(world.get("/%76arz").0, 200);
    for method in ["POST", "OPTIONS", "FOO"] {
        assert_eq!(http(world.monitor.addr().unwrap(), method, "/varz").0, 200);
    }
    let (status, head, body) = http(world.monitor.addr().unwrap(), "HEAD", "/healthz");
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length: 15"), "{head}");
    world.monitor.stop();
}

#[test]
fn a_base_path_moves_everything() {
    let world = World::with(1, 1, |s| s.http_base_path = "/mon".into(), None);
    assert!(world.get("/mon").2.contains("href=\"/mon/varz\""));
    assert_eq!(world.json("/mon/varz")["http_base_path"], "/mon");
    for path in ["/", "/mon/", "/varz", "/mon/mon/varz", "/monvarz"] {
        assert_eq!(world.get(path).0, 404, "{path}");
    }
    let (status, head, _) = world.get("/mon//varz");
    assert!(status == 307 && head.contains("location: /mon/varz"), "{head}");
    world.monitor.stop();
}

#[test]
fn health_follows_the_listener() {
    let world = World::new(1, 1);
    assert_eq!(world.get("/healthz").2, r#"{"status":"ok"}"#);
    world.facts.listening.store(false, Relaxed);
    let (status, head, body) = world.get("/healthz");
    let text = r#"{"status":"error","error":"failed to be ready for connections after 1ms: server"}"#;
    assert_eq!((status, body.as_str()), (500, text));
    assert!(head.contains("application/json"));
    world.monitor.stop();
}

#[test]
fn a_silent_shard_is_named_and_hides_nothing_else() {
    let world = World::with(3, 1, |_| {}, Some(1));
    let (status, _, body) = world.get("/varz");
    assert_eq!((status, body.as_str()), (503, "shard 1 does not answer"));
    assert_eq!(world.get("/healthz").0, 200);
    // Once it owes too much it is not asked any more, and the refusal comes at once.
    let addr = world.monitor.addr().unwrap();
    let waves = (0..2).map(|_| {
        let scrapes: Vec<_> =
            (0..CONNECTIONS_MAX).map(|_| std::thread::spawn(move || http(addr, "GET", "/connz").0)).collect();
        scrapes.into_iter().map(|s| s.join().unwrap()).all(|status| status == 503)
    });
    assert!(waves.into_iter().all(|refused| refused));
    let before = std::time::Instant::now();
    assert_eq!(world.get("/varz").0, 503);
    assert!(before.elapsed() < Duration::from_secs(2), "it was asked again");
    world.monitor.stop();
}

#[test]
fn bad_bytes_and_long_heads_end_in_an_error_for_that_connection_only() {
    let world = World::new(1, 1);
    let long = format!("GET /varz?{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET /varz HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1000));
    for bytes in [b"junk\r\n\r\n".to_vec(), vec![0x16, 3, 1, 2, 0, 1, 0xff, 0xfe], long.into(), many.into()] {
        let mut socket = TcpStream::connect(world.monitor.addr().unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The other side may close before it has taken everything.
        let _ = socket.write_all(&bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(world.get("/varz").0, 200);
    world.monitor.stop();
}

#[test]
fn more_connections_than_are_served_wait_their_turn() {
    let world = World::new(1, 1);
    let idle: Vec<_> =
        (0..CONNECTIONS_MAX).map(|_| TcpStream::connect(world.monitor.addr().unwrap()).unwrap()).collect();
    let addr = world.monitor.addr().unwrap();
    let late = std::thread::spawn(move || http(addr, "GET", "/varz").0);
    drop(idle);
    assert_eq!(late.join().unwrap(), 200);
    world.monitor.stop();
}

#[test]
fn stopping_closes_the_listener_and_a_taken_port_is_an_error() {
    let world = World::new(1, 1);
    let addr = world.monitor.addr().unwrap();
    let (_replies, inbox) = replies(0);
    let taken = Listen { host: "127.0.0.1".into(), port: Some(addr.port()) };
    let refused = start(Some(&taken), CONNECTIONS_MAX, world.facts.clone(), Vec::new(), inbox, None, None).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse);
    world.monitor.stop();
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}
