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
    for key in ["server_name", "max_pending"] {
        let line = format!("{failed}config reload not supported for {key}: restart the server");
        reload(&server, "server_name: other\nmax_pending: 2MB\nping_interval: \"20s\"\n", &line);
    }
    let line = format!("{failed}{}:2:1: ", server.folder().join("server.conf").display());
    reload(&server, "ping_interval: \"20s\"\nbogus: 1\n", &line);
    Raw::connect(server.clients()).barrier();
}

/// What clients are held to, how the log is written and where others find the process.
#[test]
fn limits_times_and_files_change_live() {
    let server = server("max_payload: 100\n", &[]);
    let folder = server.folder().to_owned();
    let mut clients: Vec<Raw> = (0..3)
        .map(|_| {
            let mut raw = Raw::connect(server.clients()).verbatim();
            raw.barrier();
            raw
        })
        .collect();
    let file = |name: &str| folder.join(name);
    let conf = format!(
        "max_payload: 5\nmax_connections: 2\nping_interval: 1\nwrite_deadline: \"3s\"\nserver_tags: [\"a:b\"]\n\
         no_fast_producer_stall: true\ndebug: true\nlog_file: {:?}\npid_file: {:?}\nports_file_dir: {:?}\n",
        file("new.log"),
        file("new.pid"),
        folder
    );
    fs::write(file("server.conf"), conf).expect("cannot write");
    server.signal("HUP");
    let log = || fs::read_to_string(file("new.log")).unwrap_or_default();
    until("the new log", AT_ONCE, || log().contains("[INF] Reloaded server configuration (").then_some(()));
    for key in ["max_payload", "max_connections", "ping_interval", "server_tags", "log_file", "debug", "pid_file"] {
        assert!(log().contains(&format!("[INF] Reloaded: {key}\n")), "{key}: {}", log());
    }
    assert_eq!(fs::read_to_string(file("new.pid")).unwrap(), server.pid().to_string());
    let ports = fs::read_dir(&folder).unwrap().filter_map(|e| e.ok()?.file_name().into_string().ok());
    assert_eq!(ports.filter(|name| name.ends_with(".ports")).count(), 1);
    let said = |raw: &mut Raw, wanted: &str| {
        until(wanted, AT_ONCE, || match raw.next(AT_ONCE) {
            Next::Frame(frame) => String::from_utf8_lossy(&frame).starts_with(wanted).then_some(()),
            other => panic!("{other:?}, no {wanted}"),
        });
    };
    // The newest is the one too many; those who stay are held to what holds now. Their next ping was due before it.
    said(&mut clients[2], "-ERR 'maximum connections exceeded'");
    clients[0].write(b"PUB a 6\r\n123456\r\n");
    said(&mut clients[0], "-ERR 'Maximum Payload Violation'");
    until("its line", AT_ONCE, || log().contains("[DBG] ").then_some(()));
    let mut new = until("a place", AT_ONCE, || {
        let mut new = Raw::connect(server.clients()).verbatim();
        new.write(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n");
        matches!(new.next(AT_ONCE), Next::Frame(frame) if frame == b"PONG\r\n").then_some(new)
    });
    assert_eq!(new.greeting()["max_payload"], 5);
    said(&mut new, "PING");
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
    // Who has another password now is told so, who is no user any more is not; the system account is a matter for a restart.
    let failed = "[ERR] Failed to reload server configuration: config reload not supported for system_account";
    reload(&server, "accounts {S {users: [{user: all, password: other}]}}\nsystem_account: S\n", failed);
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
