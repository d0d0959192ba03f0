//! Readers that are slow and readers that are stuck.

use crate::bystander::Bystander;
use crate::server;
use crate::support::process::{monitoring, until};
use crate::support::raw::{Next, Raw, PATIENCE};
use crate::support::server::Server;
use serde_json::Value;
use std::thread;
use std::time::Duration;

const QUIET: &str = "CONNECT {\"verbose\":false}\r\n";

/// Connects until the connection lies on shard `wanted`, which the server does not say: it deals them out evenly, each
/// to the shard that has the fewest, the first of them if several have. `taken` counts those dealt so far.
struct Dealer<'a> {
    server: &'a Server,
    shards: usize,
    taken: Vec<Raw>,
}

impl Dealer<'_> {
    fn new(server: &Server, shards: usize) -> Dealer<'_> {
        Dealer { server, shards, taken: Vec::new() }
    }

    /// A connection on this shard; those that fall on others meanwhile are kept, so that the dealing goes on.
    fn on(&mut self, wanted: usize, held: &mut usize) -> Raw {
        loop {
            let raw = Raw::connect(self.server.clients());
            let shard = *held % self.shards;
            *held += 1;
            if shard == wanted {
                return raw;
            }
            self.taken.push(raw);
        }
    }
}

/// The rows of `/connz` that are closed.
fn closed(server: &Server) -> Vec<Value> {
    let all = monitoring(server.monitor(), "/connz?state=closed&limit=100");
    all["connections"].as_array().expect("connections").clone()
}

/// The number in a message that [`message`] made.
fn number(frame: &[u8]) -> usize {
    let text = String::from_utf8_lossy(frame);
    let body = text.split("\r\n").nth(1).expect("a payload");
    body.trim_start_matches('.').parse().unwrap_or_else(|_| panic!("no number: {body:?}"))
}

/// Message `n` of `size` bytes.
fn message(n: usize, size: usize) -> String {
    format!("PUB flow {size}\r\n{n:.>size$}\r\n")
}

fn stuck(shards: usize) {
    const COUNT: usize = 12_000;
    const SIZE: usize = 2000;
    let server = server(shards, "max_pending: 2MB");
    let bystander = Bystander::start(&server, QUIET);
    let (mut stuck, mut fast) = (Raw::connect(server.clients()), Raw::connect(server.clients()));
    for raw in [&mut stuck, &mut fast] {
        raw.write([QUIET, "SUB flow 1\r\n"].concat().as_bytes());
        raw.barrier();
    }
    let mut from = Raw::connect(server.clients());
    from.write(QUIET.as_bytes());
    from.barrier();
    let reader = thread::spawn(move || {
        for n in 0..COUNT {
            let Next::Frame(frame) = fast.next(PATIENCE) else { panic!("message {n} is missing") };
            assert_eq!(number(&frame), n);
        }
    });
    for n in 0..COUNT {
        from.write(message(n, SIZE).as_bytes());
    }
    reader.join().expect("the fast reader was harmed");
    let row = until("the stuck reader is cut", PATIENCE, || closed(&server).into_iter().next());
    assert_eq!(row["reason"], "Slow Consumer (Pending Bytes)");
    let (queued, lost) = (row["out_msgs"].as_u64().expect("out_msgs"), row["lost_msgs"].as_u64().expect("lost_msgs"));
    // What the kernel had taken can still be read: every message up to a point, and then part of one at most.
    let mut received = 0;
    loop {
        match stuck.next(PATIENCE) {
            Next::Frame(frame) => {
                assert_eq!(number(&frame), received);
                received += 1;
            }
            Next::Closed(_) => break,
            Next::Silence(_) => panic!("the stuck reader was not cut off"),
        }
    }
    assert!(lost > 0 && queued < COUNT as u64, "{row}");
    assert_eq!(received as u64 + lost, queued, "{row}");
    let varz = monitoring(server.monitor(), "/varz");
    assert_eq!(varz["turnpike"]["drops"]["slow_consumer_pending"], lost, "{}", varz["turnpike"]);
    assert_eq!(varz["slow_consumers"], 1);
    server.says("Slow Consumer Detected: MaxPending of 2097152 Exceeded");
    server.says(&format!("{lost} messages that waited for this slow consumer are lost"));
    bystander.finish();
}

#[test]
fn a_stuck_reader_is_cut_and_its_loss_counted_while_a_fast_one_gets_everything() {
    stuck(1);
}

#[test]
fn a_stuck_reader_is_cut_and_its_loss_counted_on_four_shards() {
    stuck(4);
}

#[test]
fn a_reader_that_takes_nothing_within_the_write_deadline_is_cut() {
    let server = server(1, "write_deadline: \"500ms\"");
    let mut stuck = Raw::connect(server.clients());
    stuck.write([QUIET, "SUB flow 1\r\n"].concat().as_bytes());
    stuck.barrier();
    let mut from = Raw::connect(server.clients());
    from.write(QUIET.as_bytes());
    for n in 0..12_000 {
        from.write(message(n, 2000).as_bytes());
    }
    from.barrier();
    let row = until("the stuck reader is cut", PATIENCE, || closed(&server).into_iter().next());
    assert_eq!(row["reason"], "Slow Consumer (Write Deadline)");
    let lost = row["lost_msgs"].as_u64().expect("lost_msgs");
    let mut received = 0;
    while let Next::Frame(frame) = stuck.next(PATIENCE) {
        assert_eq!(number(&frame), received);
        received += 1;
    }
    // A slow machine has not published all by then.
    assert_eq!(received as u64 + lost, row["out_msgs"].as_u64().expect("out_msgs"), "{row}");
    let varz = monitoring(server.monitor(), "/varz");
    assert_eq!(varz["turnpike"]["drops"]["slow_consumer_deadline"], lost, "{}", varz["turnpike"]);
}

/// A lone reader, slower than its publisher: the publisher is held back and nothing is lost.
fn lone(shards: usize, publisher: usize, reader: usize) {
    const COUNT: usize = 10_000;
    const SIZE: usize = 2000;
    let server = server(shards, "max_pending: 1MB");
    let (mut dealer, mut held) = (Dealer::new(&server, shards), 0);
    let mut from = dealer.on(publisher, &mut held);
    let mut to = dealer.on(reader, &mut held);
    to.write([QUIET, "SUB flow 1\r\n"].concat().as_bytes());
    to.barrier();
    from.write(QUIET.as_bytes());
    from.barrier();
    let writer = thread::spawn(move || {
        for n in 0..COUNT {
            from.write(message(n, SIZE).as_bytes());
        }
        from.barrier();
        from
    });
    let mut held_back = false;
    for n in 0..COUNT {
        let Next::Frame(frame) = to.next(PATIENCE) else { panic!("message {n} is missing\n{}", server.output()) };
        assert_eq!(number(&frame), n);
        if n % 50 == 0 {
            // This is what makes the reader slow; nothing waits for it to be over. Until the publisher has been held back
            // it is slower still, so that a slow machine's publisher is the faster one too.
            held_back = held_back || monitoring(server.monitor(), "/varz")["stalled_clients"].as_u64() > Some(0);
            thread::sleep(Duration::from_millis(if held_back { 4 } else { 100 }));
        }
    }
    drop(writer.join().expect("the publisher was harmed"));
    let varz = monitoring(server.monitor(), "/varz");
    assert_eq!(varz["slow_consumers"], 0, "{varz}");
    assert_eq!(varz["turnpike"]["drops"]["slow_consumer_pending"], 0, "{}", varz["turnpike"]);
    assert!(varz["stalled_clients"].as_u64() > Some(0), "nobody was held back: {}", varz["turnpike"]);
}

#[test]
fn a_lone_slow_reader_sets_the_pace() {
    lone(1, 0, 0);
}

#[test]
fn a_lone_slow_reader_sets_the_pace_on_the_same_of_four_shards() {
    lone(4, 1, 1);
}

#[test]
fn a_lone_slow_reader_sets_the_pace_on_another_shard() {
    lone(4, 0, 3);
}
