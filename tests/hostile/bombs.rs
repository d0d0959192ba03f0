//! Subscriptions made to hurt.

use crate::bystander::Bystander;
use crate::server;
use crate::support::process::{monitoring, resident, until};
use crate::support::raw::{Next, Raw, PATIENCE};
use std::time::Duration;

const QUIET: &str = "CONNECT {\"verbose\":false}\r\n";
const FULL: &[u8] = b"-ERR 'maximum subscriptions exceeded'\r\n";

/// A subject of so many tokens that begins with `first`.
fn long(first: &str, tokens: usize) -> String {
    first.to_string() + &".a".repeat(tokens - 1)
}

#[test]
fn subjects_of_two_thousand_tokens_meet_the_ceiling_of_their_connection() {
    for shards in [1, 4] {
        let server = server(shards, "max_control_line: 8KB\nmax_subscription_bytes: 4MB");
        let bystander = Bystander::start(&server, QUIET);
        bystander.await_more(50);
        let before = resident(server.pid());
        let mut bomb = Raw::connect(server.clients());
        bomb.write(QUIET.as_bytes());
        // All end in the same tokens and begin with another: nothing to share.
        for i in 0..2000 {
            bomb.write(format!("SUB {} {i}\r\n", long(&format!("b{i}"), 2001)).as_bytes());
        }
        let said = bomb.barrier();
        let refused = said.iter().filter(|f| *f == FULL).count();
        let accepted = 2000 - refused;
        assert_eq!(said.len(), refused + 1, "something else was said");
        // 2 × 4,000 bytes of subject and 256 besides: about 500 of them in 4 MiB.
        assert!((400..=520).contains(&accepted), "{accepted} subscriptions were accepted");
        let grown = resident(server.pid()).saturating_sub(before);
        eprintln!(
            "{accepted} subjects of 2,001 tokens on {shards} shards: {} KiB resident each",
            (grown / accepted as u64) >> 10
        );
        // The others are not harmed, and what was accepted works.
        let mut from = Raw::connect(server.clients());
        from.write(QUIET.as_bytes());
        let subject = long("b7", 2001);
        from.write(format!("PUB {subject} 2\r\nhi\r\n").as_bytes());
        assert_eq!(bomb.next(PATIENCE), Next::Frame(format!("MSG {subject} 7 2\r\nhi\r\n").into_bytes()));
        from.write(b"SUB other 1\r\n");
        assert_eq!(from.barrier(), [b"PONG\r\n".to_vec()]);
        // Room again after UNSUB.
        bomb.write(format!("UNSUB 7\r\nSUB {} 7\r\n", long("again", 2001)).as_bytes());
        assert_eq!(bomb.barrier(), [b"PONG\r\n".to_vec()]);
        drop(bomb);
        until("the subscriptions are gone", PATIENCE, || {
            (monitoring(server.monitor(), "/varz")["subscriptions"] == 2).then_some(())
        });
        let most = before * 13 / 10 + (32 << 20);
        until("the memory comes back", Duration::from_secs(30), || (resident(server.pid()) <= most).then_some(()));
        bystander.finish();
    }
}

#[test]
fn too_many_tokens_are_refused_one_by_one() {
    let server = server(1, "max_sub_tokens: 16");
    let mut raw = Raw::connect(server.clients());
    raw.write(format!("{QUIET}SUB {} 1\r\nSUB {} 2\r\n", long("a", 17), long("a", 16)).as_bytes());
    let said = raw.barrier();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with(b"-ERR 'Permissions Violation for Subscription to \"a.a."), "{said:?}");
}

#[test]
fn all_patterns_of_fourteen_tokens_keep_nobody_waiting() {
    const TOKENS: u32 = 14;
    for shards in [1, 4] {
        let server = server(shards, "");
        let bystander = Bystander::start(&server, QUIET);
        let mut bomb = Raw::connect(server.clients());
        bomb.write(QUIET.as_bytes());
        let mut subs = String::new();
        for i in 0..1u32 << TOKENS {
            let tokens: Vec<&str> = (0..TOKENS).map(|b| if i >> b & 1 == 0 { "a" } else { "*" }).collect();
            subs.push_str(&format!("SUB {} {i}\r\n", tokens.join(".")));
        }
        bomb.write(subs.as_bytes());
        assert_eq!(bomb.barrier(), [b"PONG\r\n".to_vec()]);
        // Each of these matches its own number of patterns: the first all of them, the second one only.
        let mut from = Raw::connect(server.clients());
        from.write(QUIET.as_bytes());
        let (all, one) = (vec!["a"; TOKENS as usize].join("."), vec!["x"; TOKENS as usize].join("."));
        for _ in 0..5 {
            from.write(format!("PUB {all} 1\r\n.\r\nPUB {one} 1\r\n.\r\n").as_bytes());
            let mut sids = vec![false; 1 << TOKENS];
            let mut last = 0;
            for _ in 0..=1 << TOKENS {
                let Next::Frame(frame) = bomb.next(PATIENCE) else { panic!("copies are missing") };
                let text = String::from_utf8_lossy(&frame).into_owned();
                let mut words = text.split_ascii_whitespace();
                let subject = words.nth(1).expect("a subject");
                let sid: usize = words.next().and_then(|s| s.parse().ok()).expect("a sid");
                match subject == all {
                    true => assert!(!std::mem::replace(&mut sids[sid], true), "{sid} twice"),
                    false => last = sid,
                }
            }
            assert_eq!(last, (1 << TOKENS) - 1, "the pattern of stars alone");
            assert!(sids.iter().all(|s| *s), "copies are missing");
        }
        bystander.finish();
    }
}

#[test]
fn ever_new_subjects_that_match_thousands_keep_flowing() {
    for shards in [1, 4] {
        let server = server(shards, "");
        let mut bomb = Raw::connect(server.clients());
        bomb.write(QUIET.as_bytes());
        for i in 0..1 << 11 {
            let tokens: Vec<&str> = (0..11).map(|b| if i >> b & 1 == 0 { "a" } else { "*" }).collect();
            bomb.write(format!("SUB {}.* {i}\r\n", tokens.join(".")).as_bytes());
        }
        assert_eq!(bomb.barrier(), [b"PONG\r\n".to_vec()]);
        let mut from = Raw::connect(server.clients());
        from.write(QUIET.as_bytes());
        let subject = ["a"; 11].join(".");
        let pubs: String = (0..2000).map(|i| format!("PUB {subject}.n{i} 1\r\n.\r\n")).collect();
        from.write(pubs.as_bytes());
        for n in 0..20 << 11 {
            assert!(matches!(bomb.next(PATIENCE), Next::Frame(_)), "copy {n} is missing");
        }
    }
}
