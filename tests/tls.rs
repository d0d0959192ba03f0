//! TLS for clients: who speaks first, who has to show what, what is refused, what a reload changes.
//!
//! `TURNPIKE_TEST_SERVER=/path/to/nats-server` asks the reference instead: what is not turnpike's own holds for both.

#[path = "tls/classes.rs"]
mod classes;
#[path = "tls/servers.rs"]
mod servers;
mod support;

use rcgen::DnType;
use serde_json::{json, Value};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};
use support::process::{monitoring, until};
use support::raw::{Next, Raw, PATIENCE};
use support::server::{shard_args, Server, Start, Which};
use support::tls::{mail, uri, Authority, Issued, Private};

const QUIET: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1,\"echo\":true}\r\n";

fn server(conf: &str) -> Server {
    let which = Which::under_test();
    Server::start(&which, conf, &shard_args(&which, 2))
}

/// Waits until the log says this.
fn await_text(log: impl Fn() -> String, text: &str) {
    until(text, PATIENCE, || log().contains(text).then_some(()));
}

/// The answer to CONNECT with `more` in it and PING: PONG, or the error.
fn outcome(client: &mut Private, more: Value) -> String {
    let mut said = json!({"verbose": false, "pedantic": false, "protocol": 1});
    said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    if write!(client.tls, "CONNECT {said}\r\nPING\r\n").and_then(|()| client.tls.flush()).is_err() {
        return "closed".into();
    }
    loop {
        let Ok(frame) = client.next() else { return "closed".into() };
        let line = String::from_utf8_lossy(&frame).trim_end().to_owned();
        if let Some(user) = support::frames::info(&frame).map(|i| i["remote_account"].clone()) {
            return format!("in {}", user.as_str().unwrap_or_default());
        }
        if line != "PONG" {
            return line;
        }
    }
}

/// Does the handshake fail, or the first words after it? Under TLS 1.3 the client learns only then.
fn refused(it: std::io::Result<Private>) -> bool {
    let Ok(mut it) = it else { return true };
    let said = it.tls.write_all(b"PING\r\n").and_then(|()| it.tls.flush());
    said.is_err() || it.next().is_err()
}

#[test]
fn messages_of_every_size_cross_between_private_connections_of_all_shards() {
    let ca = Authority::new();
    let server = server(&format!("tls {{ {} }}", ca.server()));
    let config = ca.client(None);
    let mut all: Vec<Private> = (0..4).map(|_| Private::connect(server.clients(), &config).unwrap()).collect();
    assert_eq!(all[0].greeting["tls_required"], true);
    assert_eq!((&all[0].greeting["tls_verify"], &all[0].greeting["tls_available"]), (&Value::Null, &Value::Null));
    for client in &mut all {
        client.write(format!("{QUIET}SUB x 1\r\n").as_bytes());
        client.barrier();
    }
    for size in [0, 1, 100, 16_000, 16_384, 16_385, 70_000, 1 << 20] {
        let payload: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let line = [format!("PUB x {size}\r\n").as_bytes(), &payload, b"\r\n"].concat();
        all[0].write(&line);
        let expected = [format!("MSG x 1 {size}\r\n").as_bytes(), &payload, b"\r\n"].concat();
        for client in &mut all {
            let frame = loop {
                let frame = client.next().unwrap();
                if frame.starts_with(b"MSG") {
                    break frame;
                }
            };
            assert!(frame == expected, "{size}");
        }
    }
}

#[test]
fn what_comes_in_single_bytes_is_put_together() {
    let ca = Authority::new();
    let server = server(&format!("tls {{ {} }}", ca.server()));
    let mut client = Private::connect(server.clients(), &ca.client(None)).unwrap();
    client.tls.conn.writer().write_all(format!("{QUIET}SUB x 1\r\nPUB x 5\r\nhello\r\nPING\r\n").as_bytes()).unwrap();
    let mut records = Vec::new();
    while client.tls.conn.wants_write() {
        client.tls.conn.write_tls(&mut records).unwrap();
    }
    for byte in records {
        client.tls.sock.write_all(&[byte]).unwrap();
    }
    let mut frames = Vec::new();
    while frames.last().is_none_or(|f| f != b"PONG\r\n") {
        frames.push(client.next().unwrap());
    }
    assert!(frames.contains(&b"MSG x 1 5\r\nhello\r\n".to_vec()));
}

#[test]
fn a_reader_that_stops_and_goes_on_gets_everything_in_order() {
    const MESSAGES: usize = 3000;
    let ca = Authority::new();
    let server = server(&format!("tls {{ {} }}", ca.server()));
    let config = ca.client(None);
    let mut reader = Private::connect(server.clients(), &config).unwrap();
    reader.write(format!("{QUIET}SUB x 1\r\n").as_bytes());
    reader.barrier();
    let mut writer = Private::connect(server.clients(), &config).unwrap();
    writer.write(QUIET.as_bytes());
    let body = |n: usize| format!("{n:08}").repeat(1024);
    for n in 0..MESSAGES {
        writer.tls.write_all(format!("PUB x 8192\r\n{}\r\n", body(n)).as_bytes()).unwrap();
    }
    // More than all buffers of the kernel hold waits for the reader by now.
    writer.tls.flush().unwrap();
    for n in 0..MESSAGES {
        let mut frame = reader.next().unwrap();
        while !frame.starts_with(b"MSG") {
            frame = reader.next().unwrap();
        }
        assert!(frame == format!("MSG x 1 8192\r\n{}\r\n", body(n)).as_bytes(), "message {n}");
    }
}

#[test]
fn who_speaks_no_tls_is_not_answered_and_the_log_says_so() {
    let ca = Authority::new();
    let server = server(&format!("tls {{ {} }}", ca.server()));
    let mut raw = Raw::connect(server.clients());
    raw.write(format!("{QUIET}PING\r\n").as_bytes());
    assert_eq!(raw.next(PATIENCE), Next::Closed(Vec::new()));
    await_text(|| server.output(), "TLS handshake error");
    await_text(|| server.output(), "first record does not look like a TLS handshake");
}

#[test]
fn who_is_silent_is_given_up_after_the_timeout() {
    let ca = Authority::new();
    let server = server(&format!("tls {{ {}, timeout: 0.2 }}", ca.server()));
    let mut raw = Raw::connect(server.clients());
    assert!(matches!(raw.next(PATIENCE), Next::Closed(_)));
    await_text(|| server.output(), "TLS handshake error");
}

#[test]
fn a_certificate_is_asked_for_and_has_to_be_the_authoritys() {
    let (ca, other) = (Authority::new(), Authority::new());
    let server = server(&format!("tls {{ {}, ca_file: \"{}\", verify: true }}", ca.server(), ca.file()));
    let good = Private::connect(server.clients(), &ca.client(Some(&ca.issue("alice", &[])))).unwrap();
    assert_eq!(good.greeting["tls_verify"], true);
    let mut good = good;
    assert_eq!(outcome(&mut good, json!({})), "in $G");
    assert!(refused(Private::connect(server.clients(), &ca.client(None))), "without a certificate");
    let foreign = other.issue("mallory", &[]);
    assert!(refused(Private::connect(server.clients(), &ca.client(Some(&foreign)))), "with another authority's");
}

#[test]
fn only_pinned_keys_are_let_in() {
    let ca = Authority::new();
    let (alice, bob) = (ca.issue("alice", &[]), ca.issue("bob", &[]));
    let conf = format!(
        "tls {{ {}, ca_file: \"{}\", verify: true, pinned_certs: [\"{}\"] }}",
        ca.server(),
        ca.file(),
        alice.pin
    );
    let server = server(&conf);
    let mut in_there = Private::connect(server.clients(), &ca.client(Some(&alice))).unwrap();
    assert_eq!(outcome(&mut in_there, json!({})), "in $G");
    assert!(refused(Private::connect(server.clients(), &ca.client(Some(&bob)))));
    await_text(|| server.output(), "ertificate not pinned");
}

#[test]
fn tls_comes_first_where_that_is_configured() {
    let ca = Authority::new();
    let server = server(&format!("tls {{ {}, handshake_first: true }}", ca.server()));
    let mut client = Private::first(server.clients(), &ca.client(None)).unwrap();
    assert_eq!(client.greeting["tls_required"], true);
    assert_eq!(outcome(&mut client, json!({})), "in $G");
    // Nothing is said to who waits for INFO.
    let mut silent = TcpStream::connect(server.clients()).unwrap();
    silent.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let read = silent.read(&mut [0; 1]);
    assert!(matches!(&read, Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{read:?}");
}

#[test]
fn with_auto_both_who_speaks_and_who_waits_come_in() {
    let ca = Authority::new();
    for first in ["auto", "\"150ms\""] {
        let server = server(&format!("tls {{ {}, handshake_first: {first} }}", ca.server()));
        let mut client = Private::first(server.clients(), &ca.client(None)).unwrap();
        assert_eq!(outcome(&mut client, json!({})), "in $G");
        let begun = Instant::now();
        let mut client = Private::connect(server.clients(), &ca.client(None)).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(50), "INFO came at once");
        assert_eq!(client.greeting["tls_required"], true);
        assert_eq!(outcome(&mut client, json!({})), "in $G");
    }
}

#[test]
fn who_may_stay_in_the_clear_does() {
    let ca = Authority::new();
    let server = server(&format!("allow_non_tls: true\ntls {{ {} }}", ca.server()));
    let mut raw = Raw::connect(server.clients());
    assert_eq!((&raw.greeting()["tls_required"], &raw.greeting()["tls_available"]), (&Value::Null, &json!(true)));
    raw.write(QUIET.as_bytes());
    raw.barrier();
    let mut client = Private::connect(server.clients(), &ca.client(None)).unwrap();
    assert_eq!(outcome(&mut client, json!({})), "in $G");
}

#[test]
fn versions_and_suites_are_those_configured() {
    let ca = Authority::new();
    let old = ca.client_of(&[&rustls::version::TLS12], None);
    let new = server(&format!("tls {{ {}, min_version: \"1.3\" }}", ca.server()));
    assert!(refused(Private::connect(new.clients(), &old)));
    assert!(!refused(Private::connect(new.clients(), &ca.client(None))));
    let suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    let one =
        server(&format!("tls {{ {}, cipher_suites: [\"{suite}\"], curve_preferences: [CurveP384] }}", ca.server()));
    let mut client = Private::connect(one.clients(), &old).unwrap();
    assert_eq!(outcome(&mut client, json!({})), "in $G");
    let negotiated = client.tls.conn.negotiated_cipher_suite().unwrap();
    assert_eq!(negotiated.suite().as_str(), Some(suite));
    assert_eq!(client.tls.conn.negotiated_key_exchange_group().unwrap().name(), rustls::NamedGroup::secp384r1);
    let connz = monitoring(one.monitor(), "/connz");
    assert_eq!(connz["connections"][0]["tls_version"], "1.2");
    assert_eq!(connz["connections"][0]["tls_cipher_suite"], suite);
    assert_eq!(monitoring(one.monitor(), "/varz")["tls_required"], true);
}

#[test]
fn more_handshakes_than_may_be_are_told_so() {
    let ca = Authority::new();
    let server = server(&format!("tls {{ {}, connection_rate_limit: 2 }}", ca.server()));
    let throttled = (0..20).any(|_| {
        let mut raw = Raw::connect(server.clients());
        raw.next(Duration::from_millis(50))
            == Next::Frame(b"-ERR 'Connection throttled is active. Please try again later.'\r\n".to_vec())
    });
    assert!(throttled);
}

/// Certificates, and the users that they are.
#[test]
fn the_certificate_says_who_it_is() {
    let ca = Authority::new();
    let named = |name: &str, parts: &[(DnType, &str)], sans: Vec<rcgen::SanType>| -> Issued {
        ca.issue_with(name, &[], |params| {
            parts.iter().for_each(|(kind, value)| params.distinguished_name.push(kind.clone(), *value));
            params.subject_alt_names = sans;
        })
    };
    let (cn, ou, o) = (DnType::CommonName, DnType::OrganizationalUnitName, DnType::OrganizationName);
    let rows = [
        (named("mail", &[(cn.clone(), "x")], vec![mail("derek@nats.io")]), json!({}), "in MAIL"),
        (
            named("host", &[(cn.clone(), "x")], vec![rcgen::SanType::DnsName("app.nats.dev".try_into().unwrap())]),
            json!({}),
            "in HOST",
        ),
        (named("uri", &[(cn.clone(), "x")], vec![uri("spiffe://localhost/user1")]), json!({}), "in URI"),
        (named("dn", &[(o.clone(), "NATS"), (ou.clone(), "dev"), (cn.clone(), "bob")], vec![]), json!({}), "in DN"),
        (named("order", &[(cn.clone(), "carol"), (o.clone(), "NATS")], vec![]), json!({}), "in ORDER"),
        (named("pass", &[(cn.clone(), "paul")], vec![]), json!({"pass": "secret"}), "in PASS"),
        (named("pass2", &[(cn.clone(), "paul")], vec![]), json!({"pass": "wrong"}), "-ERR 'Authorization Violation'"),
        (
            named("claim", &[(cn.clone(), "eve")], vec![]),
            json!({"user": "CN=bob,OU=dev,O=NATS", "pass": ""}),
            "-ERR 'Authorization Violation'",
        ),
        (named("both", &[(cn, "bob"), (ou, "dev"), (o, "NATS")], vec![mail("derek@nats.io")]), json!({}), "in MAIL"),
    ];
    let conf = format!(
        "tls {{ {}, ca_file: \"{}\", verify_and_map: true }}
         accounts {{
           MAIL {{ users: [{{user: \"derek@nats.io\"}}] }}
           HOST {{ users: [{{user: \"app.nats.dev\"}}] }}
           URI {{ users: [{{user: \"spiffe://localhost/user1\"}}] }}
           DN {{ users: [{{user: \"CN=bob,OU=dev,O=NATS\"}}] }}
           ORDER {{ users: [{{user: \"O=NATS, CN=carol\"}}] }}
           PASS {{ users: [{{user: \"CN=paul\", password: secret}}] }}
         }}",
        ca.server(),
        ca.file()
    );
    let server = server(&conf);
    for (shown, said, expected) in rows {
        let mut client = Private::connect(server.clients(), &ca.client(Some(&shown))).unwrap();
        let found = outcome(&mut client, said.clone());
        assert_eq!(found, expected, "{} {said}", shown.cert.display());
    }
}

#[test]
fn a_reload_shows_another_certificate_and_drops_nobody() {
    let (ca, other) = (Authority::new(), Authority::new());
    let shown = ca.issue("server", &["localhost"]);
    let server = server(&format!("tls {{ {} }}", shown.conf()));
    let mut stays = Private::connect(server.clients(), &ca.client(None)).unwrap();
    stays.write(format!("{QUIET}SUB x 1\r\n").as_bytes());
    stays.barrier();
    let next = other.issue("server", &["localhost"]);
    std::fs::copy(&next.cert, &shown.cert).unwrap();
    // The key is still the old one's: nothing is taken over.
    server.signal("HUP");
    await_text(|| server.output(), "Failed to reload server configuration");
    assert!(!refused(Private::connect(server.clients(), &ca.client(None))));
    std::fs::copy(&next.key, &shown.key).unwrap();
    server.signal("HUP");
    await_text(|| server.output(), "Reloaded: tls");
    let mut new = Private::connect(server.clients(), &other.client(None)).unwrap();
    assert!(refused(Private::connect(server.clients(), &ca.client(None))));
    new.write(format!("{QUIET}PUB x 2\r\nhi\r\n").as_bytes());
    let frames = std::iter::from_fn(|| Some(stays.next().unwrap()));
    assert!(frames.take(5).any(|f| f == b"MSG x 1 2\r\nhi\r\n"));
}

/// As nats-server does: whoever is there stays as he is.
#[test]
fn tls_comes_and_goes_with_a_reload() {
    let ca = Authority::new();
    let server = server("");
    let mut clear = Raw::connect(server.clients());
    clear.barrier();
    let conf = format!("tls {{ {} }}\n", ca.issue("s", &["localhost"]).conf());
    let reload = |conf: &str, n| {
        std::fs::write(server.folder().join("server.conf"), conf).expect("cannot write");
        classes::reload(&server, n);
    };
    reload(&conf, 1);
    assert_eq!(Raw::connect(server.clients()).greeting()["tls_required"], true);
    let mut private = Private::connect(server.clients(), &ca.client(None)).unwrap();
    assert_eq!(outcome(&mut private, json!({})), "in $G");
    clear.write(b"SUB x 1\r\n");
    clear.barrier();
    reload("", 2);
    let mut late = Raw::connect(server.clients());
    assert!(late.greeting().get("tls_required").is_none());
    late.barrier();
    private.write(b"PUB x 2\r\nhi\r\n");
    private.barrier();
    assert!(matches!(clear.next(PATIENCE), Next::Frame(f) if f == b"MSG x 1 2\r\nhi\r\n"));
}

#[test]
fn a_ticket_opens_the_listener_that_gave_it_and_no_other() {
    let ca = Authority::new();
    let conf = format!("tls {{ {} }}", ca.server());
    let (one, two) = (server(&conf), server(&conf));
    let config = ca.client(None);
    let resumed = |server: &Server| {
        let mut client = Private::connect(server.clients(), &config).unwrap();
        assert_eq!(outcome(&mut client, json!({})), "in $G");
        client.tls.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    };
    assert!(!resumed(&one) && resumed(&one));
    assert!(!resumed(&two), "a ticket of one opened the other");
}

/// Turnpike's own words.
#[test]
fn files_that_are_missing_or_wrong_are_named_at_the_start_and_by_the_check() {
    let which = Which::under_test();
    if !which.is_turnpike() {
        return;
    }
    let ca = Authority::new();
    let good = ca.issue("server", &["localhost"]);
    let other = ca.issue("other", &["localhost"]);
    let folder = good.cert.parent().unwrap().to_owned();
    let rows = [
        ("cert_file: \"/nowhere.pem\", key_file: \"/nowhere.key\"".to_owned(), "open /nowhere.pem"),
        (
            format!("cert_file: \"{}\", key_file: \"{}\"", good.cert.display(), other.key.display()),
            "do not fit together",
        ),
        (
            format!("cert_file: \"{}\", key_file: \"{}\"", good.key.display(), good.key.display()),
            "there is no certificate in",
        ),
        (format!("cert_file: \"{}\", key_file: \"{}\"", good.cert.display(), good.cert.display()), "no private key"),
        (
            format!("{}, verify: true, ca_file: \"{}\"", good.conf(), good.key.display()),
            "failed to parse root ca certificate",
        ),
    ];
    for (block, expected) in rows {
        let file = folder.join("wrong.conf");
        std::fs::write(&file, format!("port: -1\ntls {{ {block} }}\n")).unwrap();
        for more in [vec!["-t"], vec![]] {
            let output = Command::new(which.path()).args(more).arg("-c").arg(&file).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && text.contains(expected), "{block}: {text}");
            assert!(text.contains("wrong.conf:2") && !text.contains("PRIVATE KEY-----"), "{text}");
        }
    }
}

#[test]
fn the_command_line_may_say_it_all() {
    let ca = Authority::new();
    let shown = ca.issue("server", &["localhost"]);
    let which = Which::under_test();
    let path = |p: &std::path::Path| p.display().to_string();
    let mut args = shard_args(&which, 1);
    args.extend(["--tls", "--tlsverify", "--tlscert"].map(String::from));
    args.extend([path(&shown.cert), "--tlskey".into(), path(&shown.key), "--tlscacert".into(), ca.file()]);
    let server = Server::from(Start::new(&which, "", &args));
    let mut client = Private::connect(server.clients(), &ca.client(Some(&ca.issue("alice", &[])))).unwrap();
    assert_eq!(outcome(&mut client, json!({})), "in $G");
    assert!(refused(Private::connect(server.clients(), &ca.client(None))));
}
