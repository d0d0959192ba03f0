//! Passwords that are wrong, many at a time, where comparing one is slow on purpose.

use crate::bystander::Bystander;
use crate::server;
use crate::support::process::{monitoring, until};
use crate::support::raw::{Raw, PATIENCE};
use crate::texts;

#[test]
fn two_hundred_wrong_passwords_hold_nobody_up() {
    let slow = bcrypt::hash("right", 6).expect("a hash");
    let conf = format!(
        "authorization {{ timeout: 20, users: [ {{ user: quick, password: q }}, {{ user: slow, password: \"{slow}\" }} ] }}"
    );
    for shards in [1, 4] {
        let server = server(shards, &conf);
        let bystander = Bystander::start(&server, "CONNECT {\"verbose\":false,\"user\":\"quick\",\"pass\":\"q\"}\r\n");
        bystander.await_more(20);
        let mut guessing: Vec<Raw> = (0..200).map(|_| Raw::connect(server.clients())).collect();
        for (i, raw) in guessing.iter_mut().enumerate() {
            // What follows a refused CONNECT is not carried out.
            let line = format!("CONNECT {{\"verbose\":false,\"user\":\"slow\",\"pass\":\"guess {i}\"}}\r\n");
            raw.write(format!("{line}PUB bystander.x 5\r\nwrong\r\nPING\r\n").as_bytes());
        }
        bystander.await_more(20);
        for mut raw in guessing {
            let (said, closed) = raw.until_pongs(1);
            assert!(closed && texts(&said) == ["-ERR 'Authorization Violation'\r\n"], "{said:?}");
        }
        let mut right = Raw::connect(server.clients());
        right.write(b"CONNECT {\"verbose\":false,\"user\":\"slow\",\"pass\":\"right\"}\r\n");
        assert_eq!(right.barrier(), [b"PONG\r\n".to_vec()]);
        drop(right);
        until("all are gone", PATIENCE, || (monitoring(server.monitor(), "/varz")["connections"] == 2).then_some(()));
        assert_eq!(server.output().matches("guess").count(), 0, "a password is in the log");
        bystander.finish();
    }
}

#[test]
fn a_client_that_leaves_while_its_password_is_checked_is_forgotten() {
    let slow = bcrypt::hash("right", 6).expect("a hash");
    let server = server(1, &format!("authorization {{ user: slow, password: \"{slow}\" }}"));
    for _ in 0..50 {
        let mut raw = Raw::connect(server.clients());
        raw.reset_at_end();
        raw.write(b"CONNECT {\"verbose\":false,\"user\":\"slow\",\"pass\":\"right\"}\r\nSUB a 1\r\n");
    }
    until("all are gone", PATIENCE, || {
        let varz = monitoring(server.monitor(), "/varz");
        (varz["connections"] == 0 && varz["subscriptions"] == 0).then_some(())
    });
}
