//! What accounts share by their tokens begins and ends by the clock, and by a reload: who is concerned notices, nobody else.

use super::agreed::{enter, outcome, subjects, Pair};
use super::support::differences::named;
use super::support::raw::PATIENCE;
use super::support::server::Which;
use super::tokens::{account, conf, now};
use super::{server, Caller};
use serde_json::{json, Value};
use std::time::{Duration, Instant};

fn guarded(more: &Value) -> Value {
    let mut export = json!({"type": "stream", "subject": "s.>", "token_req": true});
    export.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([export])
}

/// What a subscriber is given of what is published again and again, from when it is what is expected.
fn in_the_end(by: &mut Caller, to: &mut Caller, expected: &[&str]) {
    let end = Instant::now() + PATIENCE;
    let mut said = || {
        by.raw.write(b"PUB s.x 1\r\nx\r\n");
        by.raw.barrier();
        subjects(to)
    };
    while said() != expected {
        assert!(Instant::now() < end, "{expected:?} is not to be");
        std::thread::sleep(Duration::from_millis(5));
    }
    // And so it stays.
    assert_eq!(said(), expected);
}

#[test]
fn imports_end_at_the_second_that_their_token_names_and_begin_so() {
    let (whole, part, later) = (Pair(100), Pair(102), Pair(104));
    let (start, turnpike) = (now(), Which::under_test().is_turnpike());
    let by = |p: &Pair, more: Value| p.activation("stream", "s.>", &account(p.0), &more);
    let until = json!({"exp": start + 3});
    let imports = [
        (&whole, whole.with(by(&whole, until.clone()))),
        (&part, part.import("stream", "s.x", &json!({"token": by(&part, until)}))),
        (&later, later.with(by(&later, json!({"nbf": start + 3})))),
    ];
    let all: Vec<_> = imports.into_iter().flat_map(|(p, import)| p.tokens((guarded(&json!({})), import))).collect();
    let server = server(&conf(&all));
    let mut sides = [whole, part, later].map(|p| (enter(&server, p.0), enter(&server, p.0 + 1)));
    sides.iter_mut().for_each(|(_, to)| {
        to.raw.write(b"SUB > 1\r\n");
        to.raw.barrier();
    });
    let mut heard = || {
        sides.each_mut().map(|(from, to)| {
            from.raw.write(b"PUB s.x 1\r\nx\r\n");
            from.raw.barrier();
            subjects(to).len()
        })
    };
    let mut before = [1, 1, 0];
    while now() < start + 3 {
        before = heard();
        if now() < start + 3 {
            assert_eq!(before, [1, 1, 0]);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(before[2], 0);
    if !turnpike {
        // Its timer counts whole seconds from whenever the account was read.
        std::thread::sleep(Duration::from_millis(1200));
    }
    let here = |name: &str| {
        let row = named(name);
        if turnpike {
            row.turnpike
        } else {
            row.peer
        }
    };
    let end = Instant::now() + Duration::from_millis(900);
    let expected =
        [0, usize::from(here("activation-part") == "goes on"), usize::from(here("activation-begins") == "begins")];
    let mut last = heard();
    // All shards have looked at the clock.
    while last != expected && Instant::now() < end {
        last = heard();
    }
    assert_eq!(last, expected);
}

#[test]
fn a_token_opens_no_more_than_it_names() {
    let pair = Pair(100);
    let wider = pair.with(pair.activation("stream", "s.*", &account(pair.0), &json!({})));
    let server = server(&conf(&pair.tokens((guarded(&json!({})), wider))));
    let row = named("activation-wider");
    let expected = if server.which().is_turnpike() { row.turnpike } else { row.peer };
    assert_eq!(outcome(&server, &pair), expected);
}

#[test]
fn a_reload_changes_what_is_shared_and_nobody_else_notices() {
    let (pair, other) = (Pair(100), Pair(102));
    let public = json!([{"type": "stream", "subject": "s.>"}]);
    let with = |exports: Value, imports: Value| {
        let mut all = pair.tokens((exports, imports)).to_vec();
        all.extend(other.tokens((public.clone(), other.import("stream", "s.>", &json!({})))));
        conf(&all)
    };
    let token = json!({"token": pair.activation("stream", "s.>", &account(pair.0), &json!({}))});
    let by_token = || pair.import("stream", "s.>", &token);
    let server = server(&with(guarded(&json!({})), by_token()));
    let [mut from, mut to, mut from2, mut to2] = [100, 101, 102, 103].map(|n| enter(&server, n));
    for caller in [&mut to, &mut to2] {
        caller.raw.write(b"SUB > 1\r\nSUB l.> q 2\r\n");
        caller.raw.barrier();
    }
    in_the_end(&mut from, &mut to, &["s.x"]);
    let mut step = |exports: Value, imports: Value, expected: &[&str]| {
        server.reload(&with(exports, imports));
        in_the_end(&mut from, &mut to, expected);
        in_the_end(&mut from2, &mut to2, &["s.x"]);
    };
    step(guarded(&json!({"revocations": {"*": now()}})), by_token(), &[]);
    step(guarded(&json!({})), pair.import("stream", "s.>", &json!({})), &[]);
    step(public.clone(), pair.import("stream", "s.>", &json!({})), &["s.x"]);
    step(public.clone(), pair.import("stream", "s.>", &json!({"local_subject": "l.>"})), &["l.x", "l.x"]);
    step(public.clone(), json!([]), &[]);
    step(public.clone(), pair.import("stream", "s.x", &json!({})), &["s.x"]);
    step(json!([]), pair.import("stream", "s.x", &json!({})), &[]);
    // Services too, and who asked hears nothing more once it is none any more.
    let service = || json!([{"type": "service", "subject": "svc", "response_type": "Stream"}]);
    server.reload(&with(service(), pair.import("service", "svc", &json!({"local_subject": "my.svc"}))));
    from.raw.write(b"SUB svc 1\r\n");
    from.raw.barrier();
    let end = Instant::now() + PATIENCE;
    let mut asked = Vec::new();
    while !asked.iter().any(|f: &Vec<u8>| f.starts_with(b"MSG svc")) {
        assert!(Instant::now() < end, "nobody is asked");
        to.raw.write(b"PUB my.svc inbox 1\r\nx\r\n");
        to.raw.barrier();
        asked = from.raw.barrier();
    }
    let frame = asked.iter().rfind(|f| f.starts_with(b"MSG svc")).unwrap();
    let reply = String::from_utf8_lossy(frame).split(' ').nth(3).unwrap().to_owned();
    let mut answer = || {
        from.raw.write(format!("PUB {reply} 2\r\nok\r\n").as_bytes());
        from.raw.barrier();
        subjects(&mut to).contains(&"inbox".to_owned())
    };
    assert!(answer());
    server.reload(&with(json!([]), json!([])));
    while answer() {
        assert!(Instant::now() < end, "answers go on");
    }
}

#[test]
fn tokens_that_do_not_fit_stop_nobody_else_and_the_log_says_which() {
    let (cycle, missing) = (Pair(100), Pair(102));
    let measured = json!([{"type": "service", "subject": "x", "latency": {"sampling": 50, "results": "l"}}]);
    let back = json!({"exports": [{"type": "stream", "subject": "s.>"}],
        "imports": [{"type": "stream", "subject": "s.>", "account": cycle.to()}]});
    let forth = json!({"exports": [{"type": "stream", "subject": "s.>"}], "imports": cycle.import("stream", "s.>", &json!({}))});
    let mut all = cycle.tokens((back, forth)).to_vec();
    all.extend(missing.tokens((guarded(&json!({})), missing.import("stream", "s.>", &json!({})))));
    all.extend(Pair(104).tokens((measured, json!([]))));
    let server = server(&conf(&all));
    let log = server.output();
    if server.which().is_turnpike() {
        let row = named("import-cycle").turnpike;
        let (why, _) = row.split_once(": ").unwrap();
        let way = format!("{why}: {0} -> {1} -> {0}", cycle.from(), cycle.to());
        for said in [
            way.as_str(),
            &format!("Account [{}], from [{}]: Error adding stream import \"s.>\": stream import not authorized, the export requires an activation token", missing.to(), missing.from()),
            &format!("Account [{}]: latency of the service export \"x\" is not measured", account(104).public()),
        ] {
            assert!(log.contains(said), "{said}\n{log}");
        }
    }
    // Everybody is let in.
    for n in [100, 101, 102, 103, 104] {
        assert_eq!(enter(&server, n).outcome, super::tokens::inside(n));
    }
}

#[test]
fn a_reload_that_allows_fewer_connections_sends_the_newest_away() {
    let pair = Pair(100);
    let with = |conn: i64| conf(&pair.tokens((json!({"limits": {"conn": conn}}), json!([]))));
    let server = server(&with(-1));
    let mut all: Vec<Caller> = (0..6).map(|_| enter(&server, pair.0)).collect();
    server.reload(&with(2));
    let full = "-ERR 'maximum account active connections exceeded'";
    for late in &mut all[2..] {
        assert_eq!(late.hears(PATIENCE), full);
        assert_eq!(late.hears(PATIENCE), "closed");
    }
    for early in &mut all[..2] {
        early.raw.write(b"PING\r\n");
        assert_eq!(early.hears(PATIENCE), "PONG");
    }
    assert_eq!(enter(&server, pair.0).outcome, full);
}

#[test]
fn accounts_of_tokens_come_and_go() {
    let (stays, goes) = (Pair(100), Pair(102));
    let public = json!([{"type": "stream", "subject": "s.>"}]);
    let of = |pairs: &[&Pair]| {
        let tokens = pairs.iter().flat_map(|p| p.tokens((public.clone(), p.import("stream", "s.>", &json!({})))));
        conf(&tokens.collect::<Vec<_>>())
    };
    let server = server(&of(&[&stays]));
    let (mut from, mut to) = (enter(&server, stays.0), enter(&server, stays.0 + 1));
    to.raw.write(b"SUB > 1\r\n");
    to.raw.barrier();
    assert_eq!(enter(&server, goes.0).outcome, "-ERR 'Authorization Violation'");
    server.reload(&of(&[&goes, &stays]));
    let (mut from2, mut to2) = (enter(&server, goes.0), enter(&server, goes.0 + 1));
    to2.raw.write(b"SUB > 1\r\n");
    to2.raw.barrier();
    in_the_end(&mut from2, &mut to2, &["s.x"]);
    in_the_end(&mut from, &mut to, &["s.x"]);
    server.reload(&of(&[&stays]));
    for gone in [&mut from2, &mut to2] {
        assert_eq!(gone.hears(PATIENCE), "-ERR 'Authorization Violation'");
        assert_eq!(gone.hears(PATIENCE), "closed");
    }
    assert_eq!(enter(&server, goes.0).outcome, "-ERR 'Authorization Violation'");
    in_the_end(&mut from, &mut to, &["s.x"]);
    server.reload(&of(&[&goes, &stays]));
    let (mut from2, mut to2) = (enter(&server, goes.0), enter(&server, goes.0 + 1));
    to2.raw.write(b"SUB s.x 1\r\n");
    to2.raw.barrier();
    in_the_end(&mut from2, &mut to2, &["s.x"]);
}

#[test]
fn a_service_of_a_token_waits_as_long_as_its_export_says() {
    let (brief, usual) = (Pair(100), Pair(102));
    let of = |p: &Pair, more: Value| {
        let mut export = json!({"type": "service", "subject": "svc"});
        export.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        p.tokens((json!([export]), p.import("service", "svc", &json!({}))))
    };
    let tokens = [of(&brief, json!({"response_threshold": 20_000_000})), of(&usual, json!({}))];
    let server = server(&conf(&tokens.concat()));
    let mut sides = [brief, usual].map(|p| (enter(&server, p.0), enter(&server, p.0 + 1)));
    let mut replies = sides.each_mut().map(|(answers, asks)| {
        answers.raw.write(b"SUB svc 1\r\n");
        answers.raw.barrier();
        asks.raw.write(b"SUB inbox 1\r\nPUB svc inbox 1\r\n?\r\n");
        asks.raw.barrier();
        let asked = answers.raw.barrier();
        let asked = asked.iter().find(|f| f.windows(4).any(|w| w == b"svc ")).expect("a request");
        String::from_utf8_lossy(asked).split(' ').nth(3).unwrap().to_owned()
    });
    std::thread::sleep(Duration::from_millis(60));
    let heard = sides.each_mut().map(|(answers, asks)| {
        let reply = std::mem::take(if replies[0].is_empty() { &mut replies[1] } else { &mut replies[0] });
        answers.raw.write(format!("PUB {reply} 1\r\n!\r\n").as_bytes());
        answers.raw.barrier();
        subjects(asks).len()
    });
    assert_eq!(heard, [0, 1]);
}
