//! `tls { … }` as operators write it.

use super::{conf, settings, wrong};
use std::time::Duration;
use turnpike::policy::tls::First;

const PAIR: &str = "cert_file: a.pem, key_file: a.key";

#[test]
fn what_is_missing_or_unknown_is_said() {
    let rows = [
        ("", "a tls block needs a certificate"),
        ("cert_file: a", "missing 'key_file' in TLS configuration"),
        ("key_file: a", "missing 'cert_file' in TLS configuration"),
        ("cert_file: a, key_file: b, certs: [{cert_file: a, key_file: b}]", "cannot combine 'cert_file'"),
        ("certs: [{cert_file: a}]", "both 'cert_file' and 'key_file' are required"),
        (&format!("{PAIR}, cipher_suites: []"), "'cipher_suites' cannot be empty"),
        (&format!("{PAIR}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]"), "is unknown, or too weak"),
        (&format!("{PAIR}, curve_preferences: [CurveP521]"), "is not offered"),
        (&format!("{PAIR}, min_version: \"1.1\""), "is not offered"),
        (&format!("{PAIR}, pinned_certs: [abc]"), "does not look like hex encoded sha256"),
        (&format!("{PAIR}, pinned_certs: [{}]", "ab".repeat(32)), "add verify: true"),
        (&format!("{PAIR}, handshake_first: later"), "must be a boolean"),
        (&format!("{PAIR}, ocsp_peer: true"), "OCSP is not offered"),
        (&format!("{PAIR}, cert_match: x"), "name files"),
        (&format!("{PAIR}, verify_cert_and_check_known_urls: true, ca_file: c"), "is for cluster and gateway"),
        (&format!("{PAIR}, cert_fil: x"), "did you mean \"cert_file\""),
    ];
    for (block, text) in rows {
        let found = wrong(&format!("tls {{ {block} }}"));
        assert!(found.len() == 1 && found[0].contains(text) && found[0].starts_with("f.conf:1:"), "{block}: {found:?}");
    }
}

#[test]
fn who_speaks_first_is_a_switch_a_word_or_a_time() {
    for (said, first) in [
        ("true", First::Tls),
        ("on", First::Tls),
        ("off", First::Info),
        ("auto", First::Wait(Duration::from_millis(50))),
        ("\"300ms\"", First::Wait(Duration::from_millis(300))),
    ] {
        let text = format!("tls {{ {PAIR}, handshake_first: {said} }}");
        assert_eq!(settings("f.conf", &text).tls.unwrap().first, first, "{said}");
    }
}

#[test]
fn the_time_to_say_who_one_is_follows_that_for_the_handshake() {
    let timeout = |text: &str| settings("f.conf", text).timers.auth_timeout.as_secs_f64();
    assert_eq!(timeout(&format!("tls {{ {PAIR}, timeout: 4 }}")), 5.0);
    assert_eq!(timeout(&format!("tls {{ {PAIR} }}\nauthorization {{ token: t, timeout: 9 }}")), 9.0);
}

#[test]
fn what_contradicts_tls_is_refused() {
    let both = format!("allow_non_tls: true\ntls {{ {PAIR}, handshake_first: true }}");
    assert_eq!(wrong(&both).len(), 1);
    assert!(conf("allow_non_tls: true").is_ok(), "without tls it is so anyway");
    assert_eq!(wrong(&format!("tls {{ {PAIR} }}\nroutes: [nats://127.0.0.1:1]")).len(), 1, "routes on the client port");
}

#[test]
fn servers_look_at_each_others_certificates_and_say_who_they_are_by_them() {
    let cluster =
        |tls: &str, more: &str| format!("cluster {{ listen: \"127.0.0.1:-1\", {more}\ntls {{ {PAIR}, {tls} }} }}");
    let cluster_of = |text: &str| settings("f.conf", text).cluster.unwrap();
    let plain = cluster_of(&cluster("ca_file: c, timeout: 4", "authorization { user: a, password: b }"));
    assert!(plain.tls.as_ref().unwrap().verify && plain.asks().is_some());
    assert_eq!(plain.auth_timeout.as_secs(), 5);
    let mapped = cluster_of(&cluster("ca_file: c, verify_and_map: true", "authorization { user: a, password: b }"));
    assert!(mapped.login.is_some() && mapped.asks().is_none(), "the certificate says it");
    assert!(wrong(&cluster("ca_file: c, verify_and_map: true", ""))[0].contains("the user in its authorization"));
    assert!(wrong(&cluster("handshake_first: true", ""))[0].contains("TLS always comes first"));
    assert!(wrong(&format!("routes: [nats://127.0.0.1:1]\ncluster {{ tls {{ {PAIR} }} }}"))[0]
        .contains("give cluster a port"));
    let insecure = settings("f.conf", &cluster("ca_file: c, insecure: true", "")).warnings;
    assert!(insecure.iter().any(|w| w.contains("for trials only")), "{insecure:?}");
}

#[test]
fn who_is_dialed_may_be_shown_another_certificate_or_none() {
    let remote = |tls: &str| {
        format!("gateway {{ name: a, port: -1, gateways: [{{ name: b, url: \"tls://b:1\", tls {{ {tls} }} }}] }}")
    };
    for tls in ["ca_file: c", "cert_file: a, key_file: b"] {
        let gateway = settings("f.conf", &remote(tls)).gateway.unwrap();
        assert!(gateway.tls.is_none() && gateway.remotes[0].tls.is_some(), "{tls}");
    }
}

#[test]
fn monitoring_over_tls_needs_a_certificate_and_is_the_only_one() {
    let both = format!("https: 8443\ntls {{ {PAIR} }}");
    let s = settings("f.conf", &both);
    assert!(s.https && s.monitor.unwrap().port == Some(8443));
    assert!(wrong("https_port: 8443")[0].contains("TLS cert and key required for HTTPS"));
    assert!(wrong(&format!("http_port: 8222\n{both}"))[0].contains("can't specify both HTTP and HTTPS"));
}
