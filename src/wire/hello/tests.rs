//! Tests of INFO and CONNECT. `corpus.json` holds inputs with what Go 1.26's `encoding/json` makes of them when it
//! decodes into nats-server's structure: `set` lists the fields that differ from the defaults and is absent where Go
//! reports an error; `object` marks valid JSON that is an object or null.

use crate::base::limits::JSON_DEPTH_MAX;
use base64::Engine;
use proptest::prelude::*;
use serde_json::{json, Value};

use super::*;

fn decoded(json: &[u8]) -> Result<Connect, Malformed> {
    let mut connect = Connect::default();
    connect.update(json).map(|()| connect)
}

fn fields(c: &Connect) -> Value {
    json!({
        "verbose": c.verbose, "pedantic": c.pedantic, "echo": c.echo, "headers": c.headers,
        "no_responders": c.no_responders, "tls_required": c.tls_required, "new_account": c.new_account,
        "protocol": c.protocol, "user": c.user, "pass": c.pass, "auth_token": c.auth_token, "nkey": c.nkey,
        "sig": c.sig, "jwt": c.jwt, "name": c.name, "lang": c.lang, "version": c.version, "account": c.account,
        "route": c.route,
    })
}

#[test]
fn decodes_as_go_does() {
    let corpus: Vec<Value> = serde_json::from_slice(include_bytes!("corpus.json")).unwrap();
    assert!(corpus.len() >= 300);
    let mut accepted = 0;
    for case in &corpus {
        let input = match case["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => base64::engine::general_purpose::STANDARD.decode(case["base64"].as_str().unwrap()).unwrap(),
        };
        let shown = String::from_utf8_lossy(&input);
        let expected = case.get("set").map(|set| {
            let mut all = fields(&Connect::default());
            for (key, value) in set.as_object().unwrap() {
                all[key] = value.clone();
            }
            all
        });
        accepted += usize::from(expected.is_some());
        assert_eq!(decoded(&input).ok().as_ref().map(fields), expected, "CONNECT {shown:?}");
        assert_eq!(json_ok(&input), case.get("object").is_some(), "INFO {shown:?}");
    }
    assert!(accepted >= 100 && corpus.len() - accepted >= 100, "the corpus has both kinds");
}

#[test]
fn a_second_connect_keeps_what_it_does_not_mention() {
    let mut c = decoded(br#"{"verbose":false,"user":"u","pass":"p","protocol":1}"#).unwrap();
    c.update(br#"{"pass":"q","user":null}"#).unwrap();
    c.update(b"null").unwrap();
    assert_eq!((c.verbose, c.user.as_str(), c.pass.as_str(), c.protocol), (false, "u", "q", 1));
}

#[test]
fn nesting_ends_at_its_limit() {
    let nested = |n: usize| format!("{{\"x\":{}{}}}", "[".repeat(n), "]".repeat(n)).into_bytes();
    assert!(decoded(&nested(JSON_DEPTH_MAX - 1)).is_ok());
    let refused = decoded(&nested(JSON_DEPTH_MAX)).unwrap_err();
    assert_eq!(refused, Malformed { at: 5 + JSON_DEPTH_MAX - 1, why: Flaw::Depth });
    assert_eq!(refused.to_string(), "JSON nested deeper than 128 at byte 132");
    assert!(!json_ok(&nested(1_000_000)), "and costs no stack");
}

#[test]
fn says_what_is_wrong_and_where() {
    let flaw = |json: &[u8]| decoded(json).unwrap_err();
    assert_eq!(flaw(br#"{"user":5}"#), Malformed { at: 8, why: Flaw::Type });
    assert_eq!(flaw(br#"{"protocol":1.0}"#), Malformed { at: 12, why: Flaw::Integer });
    assert_eq!(flaw(b"[]"), Malformed { at: 0, why: Flaw::Type });
    assert_eq!(flaw(b"{} x"), Malformed { at: 3, why: Flaw::Syntax });
}

#[test]
fn debug_tells_no_secret() {
    let c = decoded(br#"{"user":"u","pass":"s1","auth_token":"s2","sig":"s3","jwt":"s4","nkey":"UK"}"#).unwrap();
    let shown = format!("{c:?}");
    assert!(shown.contains("UK") && shown.contains("[REDACTED]"));
    assert!(["s1", "s2", "s3", "s4"].iter().all(|secret| !shown.contains(secret)), "{shown}");
}

fn server() -> ServerInfo<'static> {
    ServerInfo {
        server_id: "NID",
        server_name: "a \"name\"",
        version: "2.15.2",
        turnpike: "0.1.0",
        git_commit: None,
        go: "",
        host: "0.0.0.0",
        port: 4222,
        headers: true,
        tls_required: false,
        tls_verify: false,
        tls_available: false,
        cluster: None,
        takes_routes: false,
    }
}

fn written(info: &Info<'_>) -> Value {
    let mut out = b"+OK\r\n".to_vec();
    info.write(&mut out);
    let json = out.strip_prefix(b"+OK\r\nINFO ").unwrap().strip_suffix(b" \r\n").unwrap();
    assert!(!json.contains(&b'\n') && json.ends_with(b"}"));
    serde_json::from_slice(json).unwrap()
}

#[test]
fn info_says_only_what_holds() {
    let prepared = PreparedInfo::new(&server());
    let first = Info {
        server: &prepared,
        max_payload: 1 << 20,
        client_id: 7,
        client_ip: Some("127.0.0.1"),
        nonce: None,
        connect_urls: &[],
        auth_required: false,
        ldm: false,
        connect_info: false,
        remote_account: None,
        acc_is_sys: false,
    };
    let plain = json!({
        "server_id": "NID", "server_name": "a \"name\"", "version": "2.15.2", "turnpike": "0.1.0", "proto": 1,
        "go": "", "host": "0.0.0.0", "port": 4222, "headers": true, "max_payload": 1048576, "client_id": 7,
        "client_ip": "127.0.0.1",
    });
    assert_eq!(written(&first), plain);

    let prepared = PreparedInfo::new(&ServerInfo {
        git_commit: Some("abc"),
        headers: false,
        tls_required: false,
        tls_verify: false,
        tls_available: false,
        cluster: Some("east"),
        takes_routes: true,
        ..server()
    });
    let urls = ["a:1".to_string(), "b:2".to_string()];
    let full = Info {
        server: &prepared,
        nonce: Some("n0nce"),
        connect_urls: &urls,
        auth_required: true,
        ldm: true,
        connect_info: true,
        remote_account: Some("$SYS"),
        acc_is_sys: true,
        ..first
    };
    let mut all = plain;
    for (key, value) in json!({
        "git_commit": "abc", "auth_required": true, "headers": false, "cluster": "east", "takes_routes": true, "nonce": "n0nce",
        "connect_urls": ["a:1", "b:2"], "ldm": true, "connect_info": true, "remote_account": "$SYS", "acc_is_sys": true,
    })
    .as_object()
    .unwrap()
    {
        all[key] = value.clone();
    }
    assert_eq!(written(&full), all);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let accepted = decoded(&bytes).is_ok();
        prop_assert!(!accepted || json_ok(&bytes), "what CONNECT takes is an object or null");
    }

    #[test]
    fn any_text_comes_back(user in any::<String>(), protocol in any::<i64>()) {
        let c = decoded(json!({"user": user, "protocol": protocol}).to_string().as_bytes()).unwrap();
        prop_assert_eq!((c.user, c.protocol), (user, protocol));
    }
}
