//! `tls { … }` of clients, as operators write it.

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
        (&format!("{PAIR}, verify: true"), "give ca_file"),
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
