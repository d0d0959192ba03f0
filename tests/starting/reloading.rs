//! A reload: all of the new configuration, or nothing (operations.md §15).

use crate::support::process::until;
use crate::support::raw::{Next, Raw};
use crate::{server, AT_ONCE};
use std::fs;

/// Writes `conf` where the server was started from, and signals it; returns once it has said `line`.
fn reload(server: &crate::Server, conf: &str, line: &str) {
    fs::write(server.folder().join("server.conf"), conf).expect("cannot write");
    server.signal("HUP");
    until(line, AT_ONCE, || server.output().contains(line).then_some(()));
}

#[test]
fn what_cannot_be_taken_over_is_named_and_changes_nothing() {
    let server = server("ping_interval: \"20s\"\n", &[]);
    let failed = "[ERR] Failed to reload server configuration: ";
    reload(&server, "ping_interval: \"20s\"\n", "[INF] Reloaded server configuration (sha256:");
    for key in ["server_name", "max_payload"] {
        let line = format!("{failed}config reload not supported for {key}: restart the server");
        reload(&server, "server_name: other\nmax_payload: 1KB\nping_interval: \"20s\"\n", &line);
    }
    let line = format!("{failed}{}:2:1: ", server.folder().join("server.conf").display());
    reload(&server, "ping_interval: \"20s\"\nbogus: 1\n", &line);
    Raw::connect(server.clients()).barrier();
}

#[test]
fn what_users_may_do_changes_live() {
    let conf =
        |may: &str| format!("authorization {{users: [{{user: u, password: p{may}}}, {{user: all, password: p}}]}}\n");
    let server = server(&conf(", permissions: {subscribe: [foo, \"bar.>\"]}"), &[]);
    let enter = |user: &str| {
        let mut raw = Raw::connect(server.clients());
        raw.write(
            format!("CONNECT {{\"verbose\":false,\"pedantic\":false,\"user\":\"{user}\",\"pass\":\"p\"}}\r\n")
                .as_bytes(),
        );
        raw.barrier();
        raw
    };
    let next = |raw: &mut Raw| match raw.next(AT_ONCE) {
        Next::Frame(frame) => String::from_utf8_lossy(&frame).into_owned(),
        _ => panic!("no frame"),
    };
    let (mut u, mut all) = (enter("u"), enter("all"));
    u.write(b"SUB foo 1\r\nSUB bar.* q 2\r\nSUB bar.> 3\r\n");
    all.write(b"SUB > 1\r\n");
    u.barrier();
    all.barrier();
    reload(
        &server,
        &conf(", permissions: {subscribe: {allow: [\"bar.>\"], deny: bar.x}, publish: {deny: x}}"),
        "[INF] Reloaded: authorization users",
    );
    let violation = "-ERR 'Permissions Violation for Subscription to \"foo\" (sid \"1\")'\r\n";
    assert_eq!(next(&mut u), violation);
    let line = "Removed sub \"foo\" (sid \"1\") for User \"u\" - not authorized";
    until(line, AT_ONCE, || server.output().contains(line).then_some(()));
    u.write(b"PUB x 1\r\n1\r\n");
    assert_eq!(next(&mut u), "-ERR 'Permissions Violation for Publish to \"x\"'\r\n");
    all.write(b"PUB bar.x 1\r\n1\r\nPUB bar.y 1\r\n2\r\n");
    let mut got = [next(&mut u), next(&mut u)];
    got.sort();
    assert_eq!(got, ["MSG bar.y 2 1\r\n2\r\n", "MSG bar.y 3 1\r\n2\r\n"]);
    // Who has another password now is told so, who is no user any more is not; an account is a matter for a restart.
    let failed = "[ERR] Failed to reload server configuration: config reload not supported for accounts";
    reload(&server, "accounts {A {users: [{user: all, password: other}]}}\n", failed);
    u.barrier();
    reload(&server, "authorization {users: [{user: all, password: other}]}\n", "[INF] Reloaded: authorization users");
    let last = std::iter::repeat_with(|| next(&mut all)).find(|line| !line.starts_with("MSG"));
    assert_eq!(last.as_deref(), Some("-ERR 'Authorization Violation'\r\n"));
    assert!(matches!(u.next(AT_ONCE), Next::Closed(_)));
}

#[test]
fn without_a_file_there_is_nothing_to_reload() {
    let folder = crate::Folder::new();
    let log = folder.path("log");
    let args = ["-a", "127.0.0.1", "-p", "-1", "--shards", "1", "-l", &log];
    let running = crate::Running(crate::turnpike(&args).spawn().expect("cannot start it"));
    let said = |line: &str| {
        until(line, AT_ONCE, || fs::read_to_string(&log).ok().filter(|text| text.contains(line)));
    };
    said("Server is ready");
    let pid = running.0.id().to_string();
    assert_eq!(crate::run(&mut crate::turnpike(&["--signal", &format!("reload={pid}")])).code, Some(0));
    said("can only reload config when a file is provided using -c or --config");
}
