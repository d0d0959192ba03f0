//! The protocol in the log (operations.md §12), on the real binary. Like the conformance table, it holds for
//! nats-server as well: `TURNPIKE_TEST_SERVER`.

mod support;

use support::process::until;
use support::raw::{Raw, PATIENCE};
use support::server::{shard_args, Server, Which};

/// The log's lines about connections that were named `who`, without time and address.
fn told(server: &Server, who: &str) -> Vec<String> {
    let output = server.output();
    let lines = output.lines().filter(|l| l.contains(" - cid:") && l.contains(who));
    lines
        .map(|l| {
            let level = &l[l.find(" [").expect("a level") + 1..][..5];
            format!("{level} {}", &l[l.find(who).expect("a name") + who.len()..])
        })
        .collect()
}

#[test]
fn what_passes_is_in_the_log() {
    let which = Which::under_test();
    let conf = "max_traced_msg_len: 10\nauthorization { user: al, password: hunter2 }";
    let args = [shard_args(&which, 2), vec!["-DV".into()]].concat();
    let server = Server::start(&which, conf, &args);
    let mut raw = Raw::connect(server.clients()).verbatim();
    raw.write(b"CONNECT {\"verbose\":true,\"user\":\"al\",\"pass\":\"hunter2\",\"name\":\"n\",\"headers\":true}\r\n");
    raw.write(b"PING\r\n");
    raw.until_pongs(1);
    for says in
        ["SUB foo 1", "SUB foo..bar 2", "UNSUB 1 2", "PUB foo 5\r\nhe\"\0o", "HPUB foo r 12 13\r\nNATS/1.0\r\n\r\nx"]
    {
        raw.write(format!("{says}\r\nPING\r\n").as_bytes());
        raw.until_pongs(1);
    }
    drop(raw);
    let who = r#" - "n" - "$G/user:al" - "#;
    let closed = "[DBG] Client connection closed: Client Closed";
    let got = until("all is logged", PATIENCE, || Some(told(&server, who)).filter(|t| t.iter().any(|l| l == closed)));
    let got: Vec<&str> = got.iter().map(|l| l.strip_prefix("[TRC] ").unwrap_or(l)).collect();
    let want = [
        "->> [OK]",
        "<<- [PING]",
        "->> [PONG]",
        "<<- [SUB foo 1]",
        "->> [OK]",
        "<<- [PING]",
        "->> [PONG]",
        "<<- [SUB foo..bar 2]",
        "->> [-ERR Invalid Subject]",
        "<<- [PING]",
        "->> [PONG]",
        "<<- [UNSUB 1 2]",
        "->> [OK]",
        "<<- [PING]",
        "->> [PONG]",
        "<<- [PUB foo 5]",
        r#"<<- MSG_PAYLOAD: ["he\"\x00o"]"#,
        "->> [OK]",
        "->> [MSG foo 1 5]",
        r#"->> MSG_PAYLOAD: ["he\"\x00o"]"#,
        "<<- [PING]",
        "->> [PONG]",
        "<<- [HPUB foo r 12 13]",
        r#"<<- MSG_PAYLOAD: ["NATS/1.0\r\n..."]"#,
        "->> [OK]",
        "->> [HMSG foo 1 r 12 13]",
        r#"->> MSG_PAYLOAD: ["NATS/1.0\r\n..."]"#,
        "<-> [DELSUB 1]",
        "<<- [PING]",
        "->> [PONG]",
        closed,
    ];
    // nats-server says this before the message, turnpike after it.
    let got: Vec<&str> = got.into_iter().filter(|l| !l.contains("Auto-unsubscribe limit of 2")).collect();
    assert_eq!(got, want);
    let output = server.output();
    let connect = r#"<<- [CONNECT {"verbose":true,"user":"al","pass":"[REDACTED]","name":"n","headers":true}]"#;
    assert!(output.contains(connect) && !output.contains("hunter2"), "{output}");
}
