//! Tests of the INFO and CONNECT of routes, of gossip, and of the words of refusal.

use serde_json::{json, Value};

use super::*;

fn line<'j>(out: &'j [u8], start: &[u8], end: &[u8]) -> &'j [u8] {
    let json = out.strip_prefix(start).and_then(|l| l.strip_suffix(end));
    json.unwrap_or_else(|| panic!("{}", out.escape_ascii()))
}

#[test]
fn info_is_read_and_written() {
    let all = json!({
        "server_id": "NA", "server_name": "A", "version": "2.15.2", "proto": 2, "host": "127.0.0.1", "port": 21102,
        "ip": "nats-route://127.0.0.1:21102/", "headers": true, "auth_required": true, "max_payload": 1048576,
        "nonce": "n", "cluster": "c1", "cluster_dynamic": true, "connect_urls": ["127.0.0.1:21002", "[::1]:4222"],
        "ldm": true, "lnoc": true, "route_pool_size": 3, "route_pool_idx": 1, "route_account": "$SYS",
        "route_acc_add_reqid": "x", "gossip_mode": 2, "gateway": "east", "gateway_cmd": 1, "gateway_url": "h:7222",
        "compression": "s2_fast", "import": {"allow": ["a.>", "b"], "deny": ["c"]}, "export": {"deny": ["d"]},
        "client_id": 7, "turnpike": "0.1.0", "takes_routes": true,
        "reaches": [{"id": "NB", "name": "B", "url": "nats-route://b:6222/"}, {"id": "NC", "name": "", "url": ""}],
    });
    let info = RouteInfo::parse(all.to_string().as_bytes()).unwrap();
    assert_eq!(info.port, 21102);
    assert_eq!(info.connect_urls, ["127.0.0.1:21002", "[::1]:4222"]);
    assert_eq!(info.import.as_ref().unwrap().allow, ["a.>", "b"]);
    assert_eq!(info.reaches[0].url, "nats-route://b:6222/");
    let mut out = Vec::new();
    info.write(&mut out);
    let written = line(&out, b"INFO ", b" \r\n");
    assert_eq!(serde_json::from_slice::<Value>(written).unwrap(), all, "every field is read and written");
    assert_eq!(RouteInfo::parse(written).unwrap(), info);

    let mut out = Vec::new();
    RouteInfo { server_id: "N".into(), ..RouteInfo::default() }.write(&mut out);
    let least = json!({
        "server_id": "N", "server_name": "", "version": "", "proto": 0, "host": "", "port": 0, "headers": false,
        "max_payload": 0,
    });
    assert_eq!(serde_json::from_slice::<Value>(line(&out, b"INFO ", b" \r\n")).unwrap(), least);
}

#[test]
fn connect_is_read_and_written_and_tells_no_password() {
    let all = json!({
        "echo": true, "verbose": true, "pedantic": true, "tls_required": true, "headers": true, "name": "NB",
        "cluster": "c1", "cluster_dynamic": true, "user": "u", "pass": "s3cret", "lang": "go", "gateway": "east",
        "route": true,
    });
    let connect = RouteConnect::parse(all.to_string().as_bytes()).unwrap();
    let mut out = Vec::new();
    connect.write(&mut out);
    assert_eq!(serde_json::from_slice::<Value>(line(&out, b"CONNECT ", b"\r\n")).unwrap(), all);
    let shown = format!("{connect:?}");
    assert!(shown.contains("[REDACTED]") && !shown.contains("s3cret"), "{shown}");

    // C6: the least that is accepted. cluster-protocol.md §3.3: what is not said is false.
    let least = RouteConnect::parse(br#"{"name":"ME","cluster":"c1","lnoc":true,"x":[{}]}"#).unwrap();
    assert_eq!(least, RouteConnect { name: "ME".into(), cluster: "c1".into(), ..RouteConnect::default() });
    let mut out = Vec::new();
    least.write(&mut out);
    let want = r#"CONNECT {"echo":false,"verbose":false,"pedantic":false,"tls_required":false,"headers":false,"name":"ME","cluster":"c1"}"#;
    assert_eq!(out, format!("{want}\r\n").as_bytes());
}

#[test]
fn greetings_are_read_as_leniently_as_those_of_clients() {
    let info = |json: &str| RouteInfo::parse(json.as_bytes());
    let lenient = r#" {"SERVER_ID":"a","server_id":"b","Port":1,"port":null,"connect_urls":["a",null],"import":null,
        "export":{"allow":[],"deny":null},"reaches":[{"ID":"x","more":1},null],"tls_verify":7,"go":{"deep":[[]]},"cluster":"\ud800"} "#;
    let said = info(lenient).unwrap();
    assert_eq!((said.server_id.as_str(), said.port, said.cluster.as_str()), ("b", 1, "\u{fffd}"));
    assert_eq!((said.connect_urls, said.import, said.export), (vec!["a".into(), String::new()], None, None));
    assert_eq!(said.reaches, [Reached { id: "x".into(), ..Reached::default() }, Reached::default()]);
    assert_eq!(info("null"), Ok(RouteInfo::default()));
    for bad in [
        "",
        "[]",
        "{",
        "{}x",
        r#"{"server_id":5}"#,
        r#"{"port":"1"}"#,
        r#"{"port":65536}"#,
        r#"{"port":-1}"#,
        r#"{"port":1.5}"#,
        r#"{"connect_urls":"a"}"#,
        r#"{"connect_urls":[1]}"#,
        r#"{"import":[]}"#,
        r#"{"import":{"allow":"a"}}"#,
        r#"{"reaches":{}}"#,
        r#"{"reaches":[1]}"#,
        r#"{"reaches":[{"id":1}]}"#,
        r#"{"gossip_mode":"1"}"#,
        r#"{"ldm":1}"#,
    ] {
        assert!(info(bad).is_err(), "{bad}");
    }
    assert!(RouteConnect::parse(br#"{"cluster":1}"#).is_err());
    let deep = |n: usize| format!("{{\"reaches\":[{{\"x\":{}{}}}]}}", "[".repeat(n), "]".repeat(n));
    assert!(info(&deep(125)).is_ok());
    assert!(info(&deep(126)).is_err());
    assert!(info(&deep(20_000)).is_err(), "and costs no stack");
}

#[test]
fn gossip_keeps_what_it_does_not_know() {
    let said = br#"{"server_id":"NC","nonce":"x","NONCE":"y","ip":"old","big":123456789012345678901234567890,
        "unknown":{"a":[1, 2.50,"\ud800 \u00e9"]},"gossip_mode":1,"reaches":[{}],"border":"ab","borders":true,"jetstream":true,"key \n\"":null}"#;
    let with_mode = gossip(said, "nats-route://h:1/", 2).unwrap();
    let json = line(&with_mode, b"INFO ", b"\r\n");
    assert!(json.ends_with(b"}"), "no space");
    let want = "{\"ip\":\"nats-route://h:1/\",\"gossip_mode\":2,\"server_id\":\"NC\",\
         \"big\":123456789012345678901234567890,\"unknown\":{\"a\":[1, 2.50,\"\\ud800 \\u00e9\"]},\
         \"jetstream\":true,\"key \\n\\\"\":null}";
    assert_eq!(std::str::from_utf8(json).unwrap(), want);
    let read = RouteInfo::parse(json).unwrap();
    assert_eq!((read.ip.as_str(), read.nonce.as_str(), read.gossip_mode), ("nats-route://h:1/", "", 2));
    let without = gossip(said, "nats-route://h:1/", 0).unwrap();
    assert_eq!(RouteInfo::parse(line(&without, b"INFO ", b"\r\n")).unwrap().gossip_mode, 0);
    assert_eq!(gossip(b"[]", "x", 0), None);
    assert_eq!(gossip(b"{\"a\":}", "x", 0), None);
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(LINE_MAX - 8));
    assert!(long.len() <= LINE_MAX);
    assert_eq!(gossip(long.as_bytes(), "nats-route://h:1/", 0), None, "no line is longer than a peer allows");
}

#[test]
fn refusals_have_the_words_of_nats_server() {
    // cluster-protocol.md §3.5
    let cluster = Refusal::Cluster { theirs: "zzz", ours: "c1" };
    assert_eq!(cluster.to_string(), r#"Rejecting connection, cluster name "zzz" does not match "c1""#);
    assert_eq!(Refusal::Gateway("x").to_string(), r#"Rejecting connection from gateway "x" on the Route port"#);
    assert_eq!(Refusal::Client.to_string(), "attempted to connect to route port");
    let hostile = Refusal::Cluster { theirs: "a\r\nRS+ $G >\r\n\0", ours: "c1" }.to_string();
    assert!(hostile.bytes().all(|b| b >= b' '), "{hostile}");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let whole = RouteInfo::parse(&bytes).is_ok() || RouteConnect::parse(&bytes).is_ok();
        prop_assert!(!whole || gossip(&bytes, "x", 0).is_some());
    }

    #[test]
    fn any_text_comes_back(name in any::<String>(), urls in prop::collection::vec(any::<String>(), 0..3)) {
        let info = RouteInfo { server_name: name.clone(), connect_urls: urls, ..RouteInfo::default() };
        let mut out = Vec::new();
        info.write(&mut out);
        prop_assert_eq!(RouteInfo::parse(line(&out, b"INFO ", b" \r\n")).unwrap(), info);
        let passed_on = gossip(line(&out, b"INFO ", b" \r\n"), &name, 1).unwrap();
        let read = RouteInfo::parse(line(&passed_on, b"INFO ", b"\r\n")).unwrap();
        prop_assert_eq!((read.ip, read.server_name), (name.clone(), name));
    }
}
