//! Nodes that die, freeze and come back under load. An auditor watches the paths no fault touches: every message there
//! comes once, whole and in the order it was sent.

use crate::cluster;
use crate::support::cluster::{Client, Cluster};
use crate::support::process::{descriptors, until};
use crate::support::raw::PATIENCE;
use crate::support::server::Server;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two messages of one publisher.
const PAUSE: Duration = Duration::from_millis(1);

/// Shows that a message's bytes are those that were sent.
fn checksum(publisher: usize, seq: u64) -> u64 {
    (seq + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(publisher as u32 + 7)
}

/// A publisher and a subscriber at each of some servers, at work until [`Audit::finish`].
struct Audit {
    stop: Arc<AtomicBool>,
    /// All publishers have ended: what they have sent is all.
    done: Arc<AtomicBool>,
    sent: Arc<Vec<AtomicU64>>,
    publishers: Vec<JoinHandle<()>>,
    subscribers: Vec<JoinHandle<()>>,
}

impl Audit {
    fn start(servers: &[&Server]) -> Audit {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let sent: Arc<Vec<AtomicU64>> = Arc::new(servers.iter().map(|_| AtomicU64::new(0)).collect());
        let mut audit = Audit { stop, done, sent, publishers: Vec::new(), subscribers: Vec::new() };
        for (n, server) in servers.iter().enumerate() {
            let mut client = Client::of(server);
            client.say("SUB audit.* 1\r\n");
            let others: Vec<&Server> = (0..servers.len()).filter(|o| *o != n).map(|o| servers[o]).collect();
            client.known_at(&others);
            let (sent, done) = (audit.sent.clone(), audit.done.clone());
            audit.subscribers.push(thread::spawn(move || listen(client, &sent, &done)));
        }
        for (id, server) in servers.iter().enumerate() {
            let client = Client::of(server);
            let (sent, stop) = (audit.sent.clone(), audit.stop.clone());
            audit.publishers.push(thread::spawn(move || publish(client, id, &sent[id], &stop)));
        }
        audit
    }

    /// Stops, and waits for all that was sent. Panics when a message was lost, came twice, late or out of order.
    fn finish(self) {
        self.stop.store(true, Ordering::Release);
        self.publishers.into_iter().for_each(|p| p.join().expect("a publisher was harmed"));
        self.done.store(true, Ordering::Release);
        self.subscribers.into_iter().for_each(|s| s.join().expect("a subscriber was harmed"));
    }
}

fn publish(mut client: Client, id: usize, sent: &AtomicU64, stop: &AtomicBool) {
    for seq in 0.. {
        let text = format!("{seq} {:x}", checksum(id, seq));
        client.say(&format!("PUB audit.{id} {}\r\n{text}\r\n", text.len()));
        sent.store(seq + 1, Ordering::Release);
        if stop.load(Ordering::Acquire) {
            return;
        }
        thread::sleep(PAUSE);
    }
}

fn listen(mut client: Client, sent: &[AtomicU64], done: &AtomicBool) {
    let mut next = vec![0; sent.len()];
    let mut waited = Duration::ZERO;
    loop {
        let all = done.load(Ordering::Acquire);
        if all && sent.iter().zip(&next).all(|(sent, next)| sent.load(Ordering::Acquire) == *next) {
            assert_eq!(client.say(""), Vec::<String>::new(), "came twice");
            return;
        }
        let step = Duration::from_millis(50);
        match client.try_next(step) {
            Some(text) => {
                let words: Vec<&str> = text.split_ascii_whitespace().collect();
                let id: usize = words[1].strip_prefix("audit.").and_then(|n| n.parse().ok()).expect("a publisher");
                assert_eq!(words[4].parse(), Ok(next[id]), "lost, twice or out of order: publisher {id}");
                assert_eq!(words[5], format!("{:x}", checksum(id, next[id])));
                next[id] += 1;
                waited = Duration::ZERO;
            }
            None => waited += step,
        }
        assert!(waited < PATIENCE, "nothing comes any more: {next:?} of {sent:?}");
    }
}

/// A member of the cluster whose only service is asked for from the first node.
fn service(c: &Cluster, at: usize) -> Client {
    let mut client = Client::of(&c.nodes[at]);
    client.say("SUB service 1\r\n");
    client.known_at(&[&c.nodes[0]]);
    client
}

/// How long it takes until the first node says that nobody serves.
fn until_nobody(c: &Cluster) -> Duration {
    let begun = Instant::now();
    let mut asking = Client::of(&c.nodes[0]);
    asking.say("SUB inbox 1\r\n");
    until("a dead peer's interest is gone", PATIENCE, || {
        asking.say("PUB service inbox 0\r\n\r\n").iter().any(|m| m.contains(" 503")).then_some(())
    });
    begun.elapsed()
}

#[test]
fn a_node_is_killed_and_comes_back() {
    for (nodes, shards) in [(3, 1), (5, 2)] {
        let mut c = cluster(nodes, shards);
        let last = nodes - 1;
        let before = descriptors(c.nodes[0].pid());
        let audit = Audit::start(&c.nodes[..last].iter().collect::<Vec<_>>());
        for _ in 0..3 {
            let held = service(&c, last);
            c.nodes[last].kill();
            until_nobody(&c);
            drop(held);
            c.nodes[last].start_again();
            c.await_whole();
        }
        audit.finish();
        until("descriptors come back", PATIENCE, || (descriptors(c.nodes[0].pid()) <= before + 1).then_some(()));
    }
}

/// Each node in turn, asked to stop; the others go on.
#[test]
fn all_nodes_are_restarted_in_turn() {
    let mut c = cluster(3, 2);
    for at in 0..3 {
        let stay: Vec<&Server> = c.nodes.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, s)| s).collect();
        let audit = Audit::start(&stay);
        c.nodes[at].terminate();
        c.nodes[at].start_again();
        c.await_whole();
        audit.finish();
    }
}

#[test]
fn a_short_freeze_costs_no_route() {
    let c = cluster(3, 2);
    let audit = Audit::start(&[&c.nodes[0], &c.nodes[1]]);
    c.nodes[2].signal("STOP");
    thread::sleep(Duration::from_secs(2));
    c.nodes[2].signal("CONT");
    c.await_whole();
    audit.finish();
    for node in &c.nodes {
        assert!(!node.output().contains(" ended: "), "{}", node.output());
    }
}

#[test]
fn a_frozen_node_is_out_of_the_routing_and_back_at_once() {
    let c = cluster(3, 2);
    let held = service(&c, 2);
    let audit = Audit::start(&[&c.nodes[0], &c.nodes[1]]);
    c.nodes[2].signal("STOP");
    let took = until_nobody(&c);
    // Six seconds, and one for a machine that has much else to do.
    assert!(took < Duration::from_secs(7), "out of the routing after {took:?}");
    assert!(c.nodes[0].output().contains("silent for "), "{}", c.nodes[0].output());
    thread::sleep(Duration::from_secs(8).saturating_sub(took));
    c.nodes[2].signal("CONT");
    let begun = Instant::now();
    c.await_whole();
    assert!(begun.elapsed() < Duration::from_secs(5), "back after {:?}", begun.elapsed());
    audit.finish();
    drop(held);
}
