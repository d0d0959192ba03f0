//! Classes of advisories that are about TLS (tests/advisories.txt): tickets that outlive what they rest on, and names in
//! certificates that pass for others; and which authorities are believed.

use super::{outcome, refused, server, support};
use rcgen::{DnType, SanType};
use serde_json::json;
use std::fs;
use std::path::Path;
use support::process::{monitoring, until};
use support::raw::PATIENCE;
use support::server::{shard_args, Server, Under, Which};
use support::tls::{mail, uri, Authority, Issued, Private};

/// Has a server read its configuration again, the `n`th time.
pub fn reload(server: &Server, n: usize) {
    server.signal("HUP");
    let read = || server.output().matches("Reloaded server configuration").count();
    until("it has read its configuration", PATIENCE, || (read() >= n).then_some(()));
}

/// Class of CVE-2025-68121: what a ticket rests on is looked at anew after a reload.
#[test]
fn a_ticket_is_worth_nothing_once_another_authority_is_believed() {
    let (ca, other) = (Authority::new(), Authority::new());
    let (shown, alice) = (ca.issue("server", &["localhost"]), ca.issue("alice", &[]));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let believed = Path::new(&ca.file()).with_file_name("believed.pem");
        fs::copy(ca.file(), &believed).unwrap();
        let server = server(&format!("tls {{ {}, verify: true, ca_file: \"{}\" }}", shown.conf(), believed.display()));
        let config = ca.client_of(&[version], Some(&alice));
        let resumed = || {
            let mut client = Private::connect(server.clients(), &config).unwrap();
            assert_eq!(outcome(&mut client, json!({})), "in $G");
            client.tls.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
        };
        assert!(!resumed() && resumed(), "{version:?}: there is no ticket to try");
        fs::copy(other.file(), &believed).unwrap();
        reload(&server, 1);
        assert!(refused(Private::connect(server.clients(), &config)), "{version:?}");
    }
}

/// Class of CVE-2026-33248: whoever has a certificate of the authority is nobody but who it says.
#[test]
fn no_name_in_a_certificate_passes_for_another() {
    let (cn, ou, o) = (DnType::CommonName, DnType::OrganizationalUnitName, DnType::OrganizationName);
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let of = |parts: &[(&DnType, &str)], sans: Vec<SanType>| {
        (parts.iter().map(|(kind, value)| ((*kind).clone(), value.to_string())).collect::<Vec<_>>(), sans)
    };
    let strangers = [
        // All in one value, as it would be written.
        of(&[(&cn, "bob,OU=dev,O=NATS")], vec![]),
        of(&[(&o, "NATS"), (&cn, "bob,OU=dev")], vec![]),
        of(&[(&o, "NATS,OU=dev"), (&cn, "bob")], vec![]),
        of(&[(&cn, "bob+OU=dev+O=NATS")], vec![]),
        // Too little, too much, nearly.
        of(&[(&cn, "bob")], vec![]),
        of(&[(&o, "NATS"), (&cn, "bob")], vec![]),
        of(&[(&o, "NATS"), (&ou, "dev"), (&DnType::LocalityName, "x"), (&cn, "bob")], vec![]),
        of(&[(&o, "NATS"), (&ou, "dev"), (&cn, "Bob")], vec![]),
        of(&[(&o, "NATS"), (&ou, "dev"), (&cn, "bob ")], vec![]),
        of(&[(&o, "NATS"), (&ou, "dev"), (&cn, "bob\\")], vec![]),
        of(&[(&o, "dev"), (&ou, "NATS"), (&cn, "bob")], vec![]),
        of(&[], vec![]),
        // Names of one kind as another.
        of(&[(&cn, "derek@nats.io")], vec![]),
        of(&[(&cn, "app.nats.dev")], vec![]),
        of(&[(&cn, "x")], vec![dns("*.nats.dev")]),
        of(&[(&cn, "x")], vec![dns("app.nats.dev.evil.example")]),
        of(&[(&cn, "x")], vec![mail("derek@nats.io.evil.example")]),
        of(&[(&cn, "x")], vec![uri("spiffe://localhost/user1/x")]),
    ];
    let ca = Authority::new();
    let server = server(&format!(
        "tls {{ {}, ca_file: \"{}\", verify_and_map: true }}
         authorization {{ users: [
           {{user: \"CN=bob,OU=dev,O=NATS\"}}, {{user: \"derek@nats.io\"}}, {{user: \"app.nats.dev\"}}
           {{user: \"spiffe://localhost/user1\"}}
         ] }}",
        ca.server(),
        ca.file()
    ));
    let enters = |n: usize, (parts, sans): (Vec<(DnType, String)>, Vec<SanType>)| {
        let shown: Issued = ca.issue_with(&format!("c{n}"), &[], |params| {
            parts.into_iter().for_each(|(kind, value)| params.distinguished_name.push(kind, value));
            params.subject_alt_names = sans;
        });
        let Ok(mut client) = Private::connect(server.clients(), &ca.client(Some(&shown))) else {
            return "closed".to_owned();
        };
        outcome(&mut client, json!({}))
    };
    assert_eq!(enters(0, of(&[(&o, "NATS"), (&ou, "dev"), (&cn, "bob")], vec![])), "in $G");
    for (n, stranger) in strangers.into_iter().enumerate() {
        let shown = format!("{stranger:?}");
        let came = enters(n + 1, stranger);
        assert!(came == "closed" || came.contains("Authorization Violation"), "{shown}: {came}");
    }
}

/// Without `ca_file` those of the system are believed, here of one that has a single one.
#[test]
fn without_an_authority_of_its_own_those_of_the_system_are_believed() {
    let (ca, other) = (Authority::new(), Authority::new());
    let which = Which::under_test();
    let under = Under { env: vec![("SSL_CERT_FILE", ca.file())], ..Under::default() };
    let conf = format!("tls {{ {}, verify: true }}", ca.server());
    let server = Server::start_under(&which, &under, &conf, &shard_args(&which, 1));
    let mut client = Private::connect(server.clients(), &ca.client(Some(&ca.issue("alice", &[])))).unwrap();
    assert_eq!(outcome(&mut client, json!({})), "in $G");
    assert!(refused(Private::connect(server.clients(), &ca.client(Some(&other.issue("eve", &[]))))));
}

#[test]
fn monitoring_shows_the_tls_in_force() {
    let ca = Authority::new();
    let conf =
        |more: &str| format!("tls {{ {}, ca_file: \"{}\" {more} }}", ca.issue("s", &["localhost"]).conf(), ca.file());
    let server = server(&conf(", verify: true"));
    let shown = || {
        let varz = monitoring(server.monitor(), "/varz");
        (varz["tls_verify"].as_bool(), varz["tls_timeout"].as_f64())
    };
    assert_eq!(shown(), (Some(true), Some(2.0)));
    fs::write(server.folder().join("server.conf"), conf(", timeout: 5")).unwrap();
    reload(&server, 1);
    let now = shown();
    assert!(matches!(now, (None | Some(false), Some(5.0))), "{now:?}");
}
