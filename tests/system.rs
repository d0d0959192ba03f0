//! The system account on the real binary: requests that are answered, events that are told (operations.md §§17, 18), field
//! by field beside nats-server, and across a cluster of both. `TURNPIKE_PEER=/path/to/nats-server` brings the reference in
//! (`scripts/differential` does); without it turnpike is looked at alone.

mod support;

#[path = "system/roles.rs"]
mod roles;
#[path = "system/tracing.rs"]
mod tracing;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use support::cluster::{Client, Cluster};
use support::process::until;
use support::raw::PATIENCE;
use support::server::{shard_args, Server, Which};

const CONF: &str = "server_tags: [\"zone:a\"]\naccounts {\n A { users: [ {user: a, password: p}, {user: few, password: p, \
                    permissions: {publish: {allow: [\"x\", \"$SYS.REQ.>\"], deny: \"y\"}, allow_responses: true}} ] }\n \
                    SYS { users: [ {user: s, password: p} ] }\n}\nsystem_account: SYS\n";

/// Turnpike, and the nats-server that is the reference, if it is named.
fn both() -> Vec<Which> {
    let peer = std::env::var_os("TURNPIKE_PEER").map(|path| Which::at(PathBuf::from(path)));
    std::iter::once(Which::under_test()).chain(peer).collect()
}

fn server(which: &Which) -> Server {
    Server::start(which, CONF, &shard_args(which, 2))
}

fn user(server: &Server, name: &str) -> Client {
    Client::greet(server.clients(), &format!("\"user\":\"{name}\",\"pass\":\"p\",\"name\":\"{name}\","))
}

/// The payload of a `MSG` or `HMSG` as JSON.
fn body(frame: &str) -> Value {
    let (_, rest) = frame.split_once("\r\n").expect("a line");
    serde_json::from_str(rest.trim_end()).unwrap_or_else(|e| panic!("{e}: {frame}"))
}

/// Asks, and takes the first answer.
fn ask(client: &mut Client, subject: &str, payload: &str) -> Value {
    client.raw.write(format!("PUB {subject} in.1 {}\r\n{payload}\r\n", payload.len()).as_bytes());
    let frame = client.next();
    assert!(frame.starts_with("MSG in.1 "), "{subject}: {frame}");
    body(&frame)
}

fn asker(server: &Server, name: &str) -> Client {
    let mut client = user(server, name);
    client.say("SUB in.* 1\r\n");
    client
}

/// Every path of a value, and its type; of a list the first entry.
fn shape(value: &Value, at: &str, out: &mut BTreeMap<String, &'static str>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(all) => {
            all.first().into_iter().for_each(|v| shape(v, &format!("{at}[]"), out));
            "array"
        }
        Value::Object(map) => {
            map.iter().for_each(|(k, v)| shape(v, &format!("{at}.{k}"), out));
            "object"
        }
    };
    out.insert(at.into(), kind);
}

/// What nats-server says and a turnpike does not, each with its reason.
const ABSENT: &[(&str, &str)] = &[
    ("feature_flags", "switches of JetStream"),
    ("imports", "the automatic imports of $SYS services are no configuration here"),
    (".server.time", "a shard that says who somebody is reads no clock for it"),
    ("git_commit", "of nats-server's build"),
    ("gomemlimit", "of Go"),
    (".gateways", "traffic by kind of connection: only where there is some"),
    (".routes", "the same"),
    (".leafs", "the same"),
];

/// Fields of theirs that are not in ours, or of another type.
fn lacking(what: &str, ours: &Value, theirs: &Value) -> Option<String> {
    let (mut a, mut b) = (BTreeMap::new(), BTreeMap::new());
    shape(ours, "", &mut a);
    shape(theirs, "", &mut b);
    let lacking: Vec<_> = b.iter().filter(|(path, kind)| a.get(*path) != Some(kind)).collect();
    let lacking: Vec<_> =
        lacking.into_iter().filter(|(path, _)| !ABSENT.iter().any(|(name, _)| path.contains(name))).collect();
    (!lacking.is_empty()).then(|| format!("{what}: {lacking:?}"))
}

/// What a server says to every request there is.
fn told_by(which: &Which) -> BTreeMap<String, Value> {
    let server = server(which);
    let mut a = user(&server, "a");
    a.say("SUB a.b 1\r\n");
    let mut s = asker(&server, "s");
    let id = ask(&mut s, "$SYS.REQ.SERVER.PING.IDZ", "")["id"].as_str().expect("an id").to_owned();
    let mut told = BTreeMap::new();
    for (what, options) in [
        ("STATSZ", ""),
        ("IDZ", ""),
        ("VARZ", ""),
        ("CONNZ", r#"{"auth":true,"subscriptions_detail":true,"user":"a"}"#),
        ("CONNZ", r#"{"state":1,"limit":2}"#),
        ("CONNZ", r#"{"acc":"A","filter_subject":"a.*","sort":"cid"}"#),
        ("SUBSZ", r#"{"subscriptions":true,"account":"A"}"#),
        ("ROUTEZ", "{}"),
        ("GATEWAYZ", ""),
        ("LEAFZ", ""),
        ("ACCOUNTZ", ""),
        ("ACCOUNTZ", r#"{"account":"A"}"#),
        ("ACCOUNTZ", r#"{"account":"none"}"#),
        ("JSZ", ""),
        ("HEALTHZ", r#"{"details":true}"#),
        ("VARZ", "{"),
    ] {
        told.insert(format!("PING.{what} {options}"), ask(&mut s, &format!("$SYS.REQ.SERVER.PING.{what}"), options));
        told.insert(format!("ID.{what} {options}"), ask(&mut s, &format!("$SYS.REQ.SERVER.{id}.{what}"), options));
    }
    told.insert("PING".into(), ask(&mut s, "$SYS.REQ.SERVER.PING", ""));
    for what in ["CONNZ", "SUBSZ", "LEAFZ", "INFO", "JSZ", "CONNS"] {
        told.insert(format!("ACCOUNT.{what}"), ask(&mut s, &format!("$SYS.REQ.ACCOUNT.A.{what}"), ""));
    }
    told.insert("STATZ".into(), ask(&mut s, "$SYS.REQ.ACCOUNT.PING.STATZ", r#"{"accounts":["A"]}"#));
    told.insert("KICK nobody".into(), ask(&mut s, &format!("$SYS.REQ.SERVER.{id}.KICK"), r#"{"cid":99999}"#));
    told.insert("SYS USER.INFO".into(), ask(&mut s, "$SYS.REQ.USER.INFO", ""));
    for name in ["a", "few"] {
        let mut other = asker(&server, name);
        told.insert(format!("{name} USER.INFO"), ask(&mut other, "$SYS.REQ.USER.INFO", ""));
    }
    let mut a = asker(&server, "a");
    for subject in ["SERVER.PING.CONNZ", "ACCOUNT.PING.CONNZ", "ACCOUNT.PING.STATZ"] {
        told.insert(format!("a {subject}"), ask(&mut a, &format!("$SYS.REQ.{subject}"), ""));
    }
    told
}

#[test]
fn every_request_is_answered_as_nats_server_answers_it() {
    let mut answers: Vec<BTreeMap<String, Value>> = both().iter().map(told_by).collect();
    // Alone, turnpike is its own reference.
    let theirs = answers.last().expect("a server").clone();
    let ours = answers.swap_remove(0);
    let lacking: Vec<_> = theirs.iter().filter_map(|(what, theirs)| lacking(what, &ours[what], theirs)).collect();
    assert!(lacking.is_empty(), "{lacking:#?}");
    // What is of the account alone is of no other.
    for subject in ["a SERVER.PING.CONNZ", "a ACCOUNT.PING.CONNZ"] {
        let rows = ours[subject]["data"]["connections"].as_array().expect("connections").clone();
        assert!(!rows.is_empty() && rows.iter().all(|r| r["name"] != "s"), "{subject}: {rows:?}");
    }
    assert_eq!(ours["PING"]["statsz"]["active_servers"], 1);
    for told in [&ours, &theirs] {
        let rows = &told[r#"PING.CONNZ {"acc":"A","filter_subject":"a.*","sort":"cid"}"#]["data"]["num_connections"];
        assert_eq!(rows, 1);
        assert_eq!(told["few USER.INFO"]["data"]["user"], "few");
        assert_eq!(told["few USER.INFO"]["data"]["permissions"]["publish"]["deny"][0], "y");
    }
    // nats-server tells them in no order.
    let permissions = |told: &BTreeMap<String, Value>| {
        let mut all = told["few USER.INFO"]["data"]["permissions"].clone();
        all["publish"]["allow"].as_array_mut().expect("a list").sort_by_key(Value::to_string);
        all
    };
    assert_eq!(permissions(&ours), permissions(&theirs));
    let error = |told: &BTreeMap<String, Value>, what: &str| told[what]["error"].clone();
    for what in ["KICK nobody", r#"PING.ACCOUNTZ {"account":"none"}"#] {
        assert_eq!(error(&ours, what), error(&theirs, what), "{what}");
    }
    assert_eq!(error(&ours, "PING.VARZ {")["code"], error(&theirs, "PING.VARZ {")["code"]);
}

/// A server that a filter does not mean says nothing, which the next answer proves.
#[test]
fn who_is_not_meant_is_silent() {
    for which in both() {
        let server = server(&which);
        let mut s = asker(&server, "s");
        for filter in [r#"{"server_name":"nobody"}"#, r#"{"tags":["zone:b"]}"#, r#"{"domain":"d"}"#] {
            s.raw.write(format!("PUB $SYS.REQ.SERVER.PING in.no {}\r\n{filter}\r\n", filter.len()).as_bytes());
        }
        let meant = r#"{"tags":["zone:a"],"limit":1}"#;
        s.raw.write(format!("PUB $SYS.REQ.SERVER.PING.VARZ in.yes {}\r\n{meant}\r\n", meant.len()).as_bytes());
        let frame = s.next();
        assert!(frame.starts_with("MSG in.yes "), "{frame}");
    }
}

/// Events of one client's life, wrong credentials, and a kick.
#[test]
fn connections_are_told_of() {
    let mut all: Vec<Vec<(String, Value)>> = Vec::new();
    for which in both() {
        let server = server(&which);
        let mut s = asker(&server, "s");
        let id = ask(&mut s, "$SYS.REQ.SERVER.PING.IDZ", "")["id"].as_str().expect("an id").to_owned();
        s.say("SUB $SYS.ACCOUNT.A.CONNECT 2\r\nSUB $SYS.ACCOUNT.*.DISCONNECT 3\r\nSUB $SYS.SERVER.*.CLIENT.AUTH.ERR 4\r\n");
        let mut told = Vec::new();
        let mut a = user(&server, "a");
        let mut expect = |s: &mut Client, subject: String| {
            let frame = s.next();
            assert!(frame.starts_with(&format!("MSG {subject} ")), "{subject}: {frame}");
            told.push((subject, body(&frame)));
        };
        expect(&mut s, "$SYS.ACCOUNT.A.CONNECT".into());
        a.say("PUB x 3\r\nabc\r\n");
        drop(a);
        expect(&mut s, "$SYS.ACCOUNT.A.DISCONNECT".into());
        let mut wrong = support::raw::Raw::connect(server.clients());
        wrong.write(b"CONNECT {\"user\":\"a\",\"pass\":\"wrong\"}\r\n");
        expect(&mut s, format!("$SYS.SERVER.{id}.CLIENT.AUTH.ERR"));
        expect(&mut s, "$SYS.ACCOUNT.$G.DISCONNECT".into());
        let mut kicked = user(&server, "a");
        expect(&mut s, "$SYS.ACCOUNT.A.CONNECT".into());
        let cid = told_cid(&kicked);
        let order = format!("{{\"cid\":{cid}}}");
        s.raw.write(format!("PUB $SYS.REQ.SERVER.{id}.KICK in.2 {}\r\n{order}\r\n", order.len()).as_bytes());
        // The answer and the event, in either order.
        let ended =
            [s.next(), s.next()].iter().find(|f| f.starts_with("MSG $SYS.ACCOUNT.A.DISCONNECT ")).map(|f| body(f));
        let ended = ended.expect("the end of who was kicked");
        assert_eq!(ended["reason"], "Kicked");
        assert!(kicked.raw.until_pongs(1).1, "who is kicked is closed");
        all.push(told);
    }
    let (theirs, ours) = (all.last().expect("a server").clone(), all.swap_remove(0));
    for ((what, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        assert_eq!(lacking(what, ours, theirs), None);
        for field in ["type", "reason", "sent", "received"] {
            let (a, b) = (&ours[field], &theirs[field]);
            assert_eq!(a["msgs"], b["msgs"], "{what}: {field}");
            assert!(a == b || a.is_object(), "{what}: {field}: {a} {b}");
        }
    }
}

fn told_cid(client: &Client) -> u64 {
    client.raw.greeting()["client_id"].as_u64().expect("client_id")
}

/// Every server of a cluster answers, knows how many there are, and says that it goes.
#[test]
fn a_cluster_answers_as_one() {
    let (turnpike, other) = (Which::under_test(), both().pop().expect("a server"));
    let conf = format!("{CONF}no_auth_user: a\n");
    let mut cluster = Cluster::with(&[turnpike.clone(), other, turnpike], 2, "", &conf);
    let mut s = asker(&cluster.nodes[0], "s");
    until("three servers that know of each other", Duration::from_secs(20), || {
        s.raw.write(b"PUB $SYS.REQ.SERVER.PING in.1 0\r\n\r\n");
        let answers: Vec<Value> =
            std::iter::from_fn(|| s.try_next(Duration::from_millis(500))).map(|f| body(&f)).collect();
        let active = answers.iter().all(|a| a["statsz"]["active_servers"] == 3);
        (answers.len() == 3 && active).then_some(())
    });
    let mut a = asker(&cluster.nodes[2], "a");
    let _other = user(&cluster.nodes[1], "a");
    until("an account's connections at all servers", PATIENCE, || {
        a.raw.write(b"PUB $SYS.REQ.SERVER.PING.CONNZ in.1 0\r\n\r\n");
        let answers: Vec<Value> =
            std::iter::from_fn(|| a.try_next(Duration::from_millis(500))).map(|f| body(&f)).collect();
        let rows = answers.iter().filter_map(|x| x["data"]["num_connections"].as_u64());
        (answers.len() == 3 && rows.sum::<u64>() == 2).then_some(())
    });
    s.say("SUB $SYS.SERVER.*.SHUTDOWN 9\r\n");
    s.known_at(&[]);
    let going = cluster.nodes[2].id();
    cluster.nodes[2].terminate();
    let frame = s.next();
    assert!(frame.starts_with(&format!("MSG $SYS.SERVER.{going}.SHUTDOWN 9 ")), "{frame}");
}

/// The configuration is read again when that is asked for, and refused with the reason.
#[test]
fn a_reload_is_asked_for() {
    let server = server(&Which::under_test());
    let mut s = asker(&server, "s");
    let id = server.id();
    let answer = ask(&mut s, &format!("$SYS.REQ.SERVER.{id}.RELOAD"), "");
    assert!(answer["error"].is_null() && answer["server"]["id"] == id.as_str(), "{answer}");
    let file = server.folder().join("server.conf");
    let conf = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{conf}\nmax_payload: nonsense\n")).unwrap();
    let answer = ask(&mut s, &format!("$SYS.REQ.SERVER.{id}.RELOAD"), "");
    let text = answer["error"]["description"].as_str().expect("an error");
    assert!(text.contains("max_payload") && answer["error"]["code"] == 500, "{answer}");
    assert!(support::server::Server::output(&server).contains("A reload is asked for in the system account"));
}
