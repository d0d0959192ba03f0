//! How much an account may have: connections, subscriptions of each, bytes of a message.

use super::{client, heard, says, server};
use crate::support::raw::{Next, Raw, PATIENCE};
use crate::support::server::Server;
use std::time::{Duration, Instant};

const FULL: &str = "-ERR 'maximum account active connections exceeded'";

fn conf(limits: &str) -> String {
    format!(
        "accounts {{ A {{ users: [{{user: a, password: p}}], limits {{{limits}}} }}\n B {{ users: [{{user: b, password: p}}] }} }}\n"
    )
}

/// Who comes in, and is not sent away at once.
fn comes(server: &Server, user: &str) -> Raw {
    client(server, user)
}

fn refused(server: &Server) -> String {
    let mut raw = Raw::connect(server.clients());
    raw.write(b"CONNECT {\"verbose\":false,\"user\":\"a\",\"pass\":\"p\"}\r\nPING\r\n");
    match raw.next(PATIENCE) {
        Next::Frame(frame) => String::from_utf8_lossy(&frame).trim_end().to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn an_account_has_no_more_than_it_may() {
    let server = server(&conf("max_conn: 3, max_subs: 2, max_payload: 5"), 3);
    let mut all: Vec<Raw> = (0..3).map(|_| comes(&server, "a")).collect();
    assert_eq!(refused(&server), FULL);
    says(&mut comes(&server, "b"), "SUB x 1\nSUB y 2\nSUB z 3\nPUB q 6\nhello!\n");
    all[0].write(b"SUB x 1\r\nSUB y 2\r\nSUB z 3\r\nPUB x 5\r\nhello\r\n");
    assert_eq!(heard(&mut all[0]), ["-ERR 'maximum subscriptions exceeded'", "MSG x 1 5 hello"]);
    all[1].write(b"PUB q 6\r\nhello!\r\n");
    assert!(matches!(all[1].next(PATIENCE), Next::Frame(f) if f == b"-ERR 'Maximum Payload Violation'\r\n"));
    // Where somebody has gone there is room.
    let end = Instant::now() + PATIENCE;
    while refused(&server) == FULL {
        assert!(Instant::now() < end, "nobody is let in");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What is said to each at last: nothing, or why it has to go.
fn fates(all: &mut [Raw]) -> Vec<bool> {
    all.iter_mut()
        .map(|raw| {
            raw.write(b"PING\r\n");
            loop {
                match raw.next(PATIENCE) {
                    Next::Frame(f) if f == b"PONG\r\n" => return true,
                    Next::Frame(f) if f.starts_with(b"-ERR") => {
                        assert_eq!(String::from_utf8_lossy(&f).trim_end(), FULL);
                        return false;
                    }
                    Next::Frame(_) => {}
                    _ => return false,
                }
            }
        })
        .collect()
}

#[test]
fn a_reload_that_allows_fewer_sends_the_newest_away_whichever_shard_they_are_on() {
    for shards in [1, 3] {
        let server = server(&conf(""), shards);
        let mut all: Vec<Raw> = (0..12).map(|_| comes(&server, "a")).collect();
        let mut others: Vec<Raw> = (0..3).map(|_| comes(&server, "b")).collect();
        std::fs::write(server.folder().join("server.conf"), conf("max_conn: 5")).unwrap();
        server.signal("HUP");
        let end = Instant::now() + PATIENCE;
        let mut stay = fates(&mut all);
        while stay.iter().filter(|s| **s).count() > 5 {
            assert!(Instant::now() < end, "{stay:?}");
            std::thread::sleep(Duration::from_millis(10));
            stay = fates(&mut all);
        }
        // nats-server takes any.
        if server.which().is_turnpike() {
            assert_eq!(stay, [vec![true; 5], vec![false; 7]].concat(), "{shards}");
        }
        assert_eq!(fates(&mut others), [true; 3]);
        assert_eq!(refused(&server), FULL);
        // And no more than that.
        assert_eq!(fates(&mut all).iter().filter(|s| **s).count(), 5);
    }
}
