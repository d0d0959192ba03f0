//! Who somebody is, and what follows from that alone.

use crate::support::process::page;
use crate::support::raw::Raw;
use crate::support::server::Server;
use crate::{server, texts};
use std::io::{Read, Write};
use std::net::TcpStream;

/// A client with this CONNECT.
fn client(server: &Server, connect: &str) -> Raw {
    let mut raw = Raw::connect(server.clients());
    raw.write(format!("CONNECT {{\"verbose\":false,\"headers\":true{connect}}}\r\n").as_bytes());
    raw
}

const ACCOUNTS: &str = "accounts {
    A { users: [ { user: a, password: p } ] }
    B { users: [ { user: b, password: p } ] }
    SYS { users: [ { user: s, password: p } ] }
}
system_account: SYS
";

/// No field of a CONNECT but the credentials moves anybody into another account.
#[test]
fn the_account_follows_from_the_credentials_alone() {
    let fields = [
        "\"account\":\"SYS\"",
        "\"account\":\"B\"",
        "\"acc\":\"SYS\"",
        "\"Account\":\"SYS\"",
        "\"remote_account\":\"SYS\"",
        "\"issuer_account\":\"SYS\"",
        "\"account\":\"SYS\",\"new_account\":true",
        "\"account\":\"NEW\",\"new_account\":true",
        "\"new_account\":true",
        "\"user_info\":{\"acc\":\"SYS\"}",
        "\"jwt\":\"eyJ0eXAiOiJKV1QifQ.eyJuYW1lIjoiU1lTIn0.x\"",
        "\"nkey\":\"UXXX\",\"sig\":\"x\"",
        "\"auth_token\":\"s\"",
        "\"lang\":\"SYS\",\"name\":\"SYS\"",
        "\"client_info\":\"SYS\",\"tags\":[\"SYS\"]",
    ];
    let server = server(2, ACCOUNTS);
    for field in fields {
        let mut raw = client(&server, &format!(",\"protocol\":1,\"user\":\"a\",\"pass\":\"p\",{field}"));
        raw.write(b"PING\r\n");
        let (frames, closed) = raw.until_pongs(1);
        let said = texts(&frames);
        // Refused, or in its own account: which one the INFO behind the first PONG says.
        if closed {
            assert_eq!(said, ["-ERR 'Authorization Violation'\r\n"], "{field}");
            continue;
        }
        let told: Vec<String> =
            texts(&raw.barrier()).into_iter().chain(said).filter(|f| f.starts_with("INFO")).collect();
        assert!(told.iter().any(|i| i.contains("\"remote_account\":\"A\"")), "{field}: {told:?}");
    }
    // Without credentials there is no account at all.
    for field in fields {
        let mut raw = client(&server, &format!(",{field}"));
        raw.write(b"PING\r\n");
        let (frames, closed) = raw.until_pongs(1);
        assert!(closed && texts(&frames) == ["-ERR 'Authorization Violation'\r\n"], "{field}: {frames:?}");
    }
}

/// Whatever is written that lets somebody in keeps everybody else out.
#[test]
fn where_anything_is_guarded_the_anonymous_stay_out() {
    let user = "users: [ { user: u, password: p } ]";
    let guarded = [
        "authorization { user: u, password: p }".to_string(),
        "authorization { token: t }".to_string(),
        format!("authorization {{ {user} }}"),
        "authorization { users: [ { user: u, password: p, permissions: { publish: a } } ] }".to_string(),
        format!("accounts {{ A {{ {user} }} }}"),
        format!("accounts {{ A {{ {user} }}, B {{ }} }}"),
        format!("accounts {{ A {{ {user} }}, SYS {{ users: [ {{ user: s, password: p }} ] }} }}\nsystem_account: SYS"),
        format!("accounts {{ SYS {{ users: [ {{ user: s, password: p }} ] }} }}\nsystem_account: SYS\nauthorization {{ {user} }}"),
    ];
    for conf in guarded {
        let server = server(1, &conf);
        for said in [
            "PING\r\n",
            "SUB > 1\r\nPING\r\n",
            "CONNECT {}\r\nPING\r\n",
            "CONNECT {\"user\":\"\",\"pass\":\"\"}\r\nPING\r\n",
        ] {
            let mut raw = Raw::connect(server.clients());
            raw.write(said.as_bytes());
            let (frames, closed) = raw.until_pongs(1);
            assert!(closed && texts(&frames) == ["-ERR 'Authorization Violation'\r\n"], "{conf} {said:?}: {frames:?}");
        }
    }
}

/// No subject is above what a user may do because the server uses its like for itself.
#[test]
fn permissions_apply_to_subjects_of_the_server_too() {
    let server = server(
        2,
        "authorization { users: [
            { user: u, password: p, permissions: { publish: \"own.>\", subscribe: \"own.>\" } },
            { user: wide, password: p, permissions: { subscribe: { deny: [\"$SYS.>\", \"_GR_.>\", \"_R_.>\", \"$JS.>\", \"$GNR.>\", \"$NRG.>\", \"_INBOX.>\"] } } },
            { user: all, password: p } ] }",
    );
    let user = |name: &str| client(&server, &format!(",\"user\":\"{name}\",\"pass\":\"p\""));
    let (mut u, mut wide, mut all) = (user("u"), user("wide"), user("all"));
    wide.write(b"SUB > 1\r\n");
    assert_eq!(texts(&wide.barrier()), ["PONG\r\n"]);
    for subject in [
        "$SYS.REQ.USER.INFO",
        "$SYS.REQ.SERVER.PING",
        "$SYS.ACCOUNT.A.CONNECT",
        "_GR_.abcdef.abcdef.x",
        "_R_.abcdef.x",
        "$GNR.a.b",
        "$JS.API.INFO",
        "$JS.ACK.a.b.1.2.3.4.5",
        "$NRG.V.a",
        "_INBOX.x",
        "$KV.a.b",
    ] {
        u.write(format!("PUB {subject} 1\r\nx\r\n").as_bytes());
        let said = texts(&u.barrier());
        assert_eq!(said[0], format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n"), "{said:?}");
        u.write(format!("SUB {subject} 1\r\n").as_bytes());
        let said = texts(&u.barrier());
        assert_eq!(said[0], format!("-ERR 'Permissions Violation for Subscription to \"{subject}\"'\r\n"), "{said:?}");
        // Overlapping a denial, not inside it.
        all.write(format!("PUB {subject} 1\r\nx\r\n").as_bytes());
        all.barrier();
        let got = texts(&wide.barrier());
        let denied = !subject.starts_with("$KV");
        assert_eq!(got.iter().any(|f| f.starts_with("MSG")), !denied, "{subject}: {got:?}");
    }
}

/// A publication is allowed by the subject that its receivers see, whatever stands in its headers, reply and payload.
#[test]
fn what_is_judged_is_what_is_delivered() {
    let server = server(
        2,
        "authorization { users: [ { user: u, password: p, permissions: { publish: ok } }, { user: all, password: p } ] }",
    );
    let mut all = client(&server, ",\"user\":\"all\",\"pass\":\"p\"");
    all.write(b"SUB > 1\r\n");
    all.barrier();
    let mut u = client(&server, ",\"user\":\"u\",\"pass\":\"p\"");
    let names = ["Nats-Subject", "Nats-Msg-Subject", "Nats-Request-Info", "Nats-Expected-Stream", "Reply-To"];
    let inner = "PUB other 1\r\nx\r\nHPUB other 12 12\r\nNATS/1.0\r\n\r\n\r\n";
    let mut sent = Vec::new();
    for (i, name) in names.into_iter().enumerate() {
        let head = format!("NATS/1.0\r\n{name}: other\r\n\r\n");
        let body = format!("{i} {inner}");
        let size = head.len() + body.len();
        u.write(format!("HPUB ok other.reply {} {size}\r\n{head}{body}\r\n", head.len()).as_bytes());
        sent.push(format!("HMSG ok 1 other.reply {} {size}\r\n{head}{body}\r\n", head.len()));
        let refused = format!("HPUB other ok {} {size}\r\n{head}{body}\r\n", head.len());
        u.write(refused.as_bytes());
    }
    let errors = texts(&u.barrier());
    assert_eq!(errors.iter().filter(|e| e.contains("Publish to \"other\"")).count(), names.len(), "{errors:?}");
    let mut heard = texts(&all.barrier());
    heard.retain(|f| f != "PONG\r\n");
    assert_eq!(heard, sent);
}

/// What nats-server has and this server has not is refused as such, at every door, and nothing else happens.
#[test]
fn what_is_not_offered_is_answered_as_such() {
    let server = server(2, "");
    let mut asks = client(&server, ",\"no_responders\":true");
    asks.write(b"SUB in.* 1\r\n");
    for subject in [
        "$JS.API.INFO",
        "$JS.API.STREAM.CREATE.x",
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.USER.AUTH",
        "$MQTT.sess.x",
        "$O.x.y",
    ] {
        asks.write(format!("PUB {subject} in.1 2\r\n{{}}\r\n").as_bytes());
        let said = texts(&asks.barrier());
        assert!(said[0].contains("NATS/1.0 503"), "{subject}: {said:?}");
    }
    for line in ["LS+ a\r\n", "LMSG a 1\r\nx\r\n", "A+ $G\r\n", "RS+ $G a\r\n", "STREAM\r\n"] {
        let mut raw = client(&server, "");
        raw.write(line.as_bytes());
        let (frames, closed) = raw.until_pongs(1);
        assert!(closed && texts(&frames) == ["-ERR 'Unknown Protocol Operation'\r\n"], "{line:?}: {frames:?}");
    }
    // A WebSocket's beginning, and an MQTT one's.
    let upgrade =
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n";
    let mqtt = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00";
    for bytes in [&upgrade[..], mqtt] {
        let mut raw = Raw::connect(server.clients());
        raw.write(bytes);
        let (frames, closed) = raw.until_pongs(1);
        assert!(closed && texts(&frames) == ["-ERR 'Unknown Protocol Operation'\r\n"], "{frames:?}");
        let mut http = TcpStream::connect(server.monitor()).expect("connect");
        http.write_all(bytes).expect("write");
        http.shutdown(std::net::Shutdown::Write).expect("shutdown");
        let mut answer = Vec::new();
        let _ = http.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 101"), "{}", answer.escape_ascii());
    }
    for path in ["/leafz", "/jsz"] {
        assert!(page(server.monitor(), path).is_ok_and(|text| text.starts_with('{')), "{path}");
    }
    for path in ["/raftz", "/ipqueuesz", "/stacksz", "/debug/vars", "/debug/pprof/", "/expvarz", "/nothing"] {
        let error = page(server.monitor(), path).expect_err(path).to_string();
        assert!(error.starts_with("HTTP/1.0 404") || error.starts_with("HTTP/1.1 404"), "{path}: {error}");
    }
    assert!(page(server.monitor(), "/healthz").is_ok());
}
