//! Routes over bad links: late, in pieces, slow, stuck one way, reset, with a bit flipped. Every route leads through a
//! proxy of ours (`support::proxy`).

use crate::support::audit::Audit;
use crate::support::cluster::{free_port, routes, Client, Cluster};
use crate::support::process::{monitoring, until, Stopwatch};
use crate::support::proxy::{Faults, Proxies};
use crate::support::raw::PATIENCE;
use crate::support::server::{shard_args, Server, Start, Which};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Servers whose routes lead through proxies; `beside` is added to the configuration.
fn cluster(nodes: usize, shards: usize, seed: u64, beside: &str) -> (Cluster, Proxies) {
    let which = Which::under_test();
    let ports: Vec<u16> = (0..nodes).map(|_| free_port()).collect();
    let names: Vec<(String, u16)> = ports.iter().enumerate().map(|(n, p)| (format!("n{n}"), *p)).collect();
    let proxies = Proxies::before(&names, seed);
    let start = |n: usize| {
        let conf = format!(
            "server_name: n{n}\n{beside}\ncluster {{ name: c, listen: \"127.0.0.1:{}\", advertise: \"127.0.0.1:{}\", \
             routes: {} }}\n",
            ports[n],
            proxies.ports()[n],
            routes(&proxies.ports()[..1]),
        );
        Server::from(Start::new(&which, &conf, &shard_args(&which, shards)))
    };
    let cluster = Cluster { nodes: (0..nodes).map(start).collect(), ports };
    cluster.await_whole();
    (cluster, proxies)
}

/// The route of `at` to the server called `name`, as monitoring shows it.
fn route(at: &Server, name: &str) -> Option<serde_json::Value> {
    let routez = monitoring(at.monitor(), "/routez");
    routez["routes"].as_array().expect("routes").iter().find(|r| r["remote_name"] == name).cloned()
}

/// Scenario 72: pieces of a byte, late by chance, and resets of all routes; order is kept, nothing comes twice, all that
/// comes is whole.
fn in_pieces_late_and_reset(jitter: Duration, between: Duration, lasting: Duration) {
    let (c, proxies) = cluster(3, 2, 72, "");
    proxies.everywhere(Faults { slice: 1, jitter, ..Faults::default() });
    let audit = Audit::through_faults(&c.nodes.iter().collect::<Vec<_>>(), Duration::from_millis(5));
    let (begun, mut resets) = (Instant::now(), 0u64);
    while begun.elapsed() < lasting {
        thread::sleep(between);
        resets += u64::from(proxies.reset(resets * 7).is_some());
    }
    proxies.everywhere(Faults::default());
    c.await_whole();
    let (sent, lost) = audit.finish();
    println!("{sent} messages, {lost} lost with {resets} resets in {lasting:?}, jitter up to {jitter:?}");
    assert!(resets > 0 && lost < sent);
}

#[test]
fn pieces_of_a_byte_late_and_reset() {
    in_pieces_late_and_reset(Duration::from_millis(20), Duration::from_millis(400), Duration::from_secs(5));
}

/// So long, or what `TURNPIKE_FAULT_MINUTES` says.
fn minutes(usual: u64) -> Duration {
    let said = std::env::var("TURNPIKE_FAULT_MINUTES").ok();
    let minutes = said.map_or(usual, |n| n.parse().expect("TURNPIKE_FAULT_MINUTES is not a number"));
    Duration::from_secs(60 * minutes)
}

#[test]
#[ignore = "long: scripts/faults"]
fn pieces_of_a_byte_later_and_reset_for_long() {
    in_pieces_late_and_reset(Duration::from_millis(200), Duration::from_millis(900), minutes(1));
}

/// Late and in pieces alone costs nothing: no message, no route.
#[test]
fn late_and_in_pieces_is_no_loss() {
    let (c, proxies) = cluster(3, 2, 71, "");
    let audit = Audit::start(&c.nodes.iter().collect::<Vec<_>>());
    let (delay, jitter) = (Duration::from_millis(5), Duration::from_millis(30));
    proxies.everywhere(Faults { slice: 1, delay, jitter, ..Faults::default() });
    thread::sleep(Duration::from_secs(3));
    proxies.everywhere(Faults::default());
    audit.finish();
    for node in &c.nodes {
        assert!(!node.output().contains(" ended: "), "{}", node.output());
    }
}

/// Publishes as fast as it is let, until told to stop.
fn feed(mut client: Client, sent: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Client {
    const BODY: usize = 4096;
    while !stop.load(Ordering::Acquire) {
        let seq = sent.load(Ordering::Relaxed);
        let mut message = format!("PUB bulk {BODY}\r\n{seq:08}").into_bytes();
        message.resize(message.len() - 8 + BODY, b'.');
        message.extend_from_slice(b"\r\n");
        client.raw.write(&message);
        sent.fetch_add(1, Ordering::Release);
    }
    client
}

/// Takes the bulk, which comes whole and in order, up to the `all`th.
fn take(mut client: Client, all: &AtomicU64) {
    let mut waited = Duration::ZERO;
    for seq in 0.. {
        while seq < all.load(Ordering::Acquire) {
            if let Some(message) = client.try_next(Duration::from_millis(200)) {
                assert!(message.starts_with(&format!("MSG bulk 1 4096\r\n{seq:08}..")), "{seq}: {}", &message[..40]);
                waited = Duration::ZERO;
                break;
            }
            waited += Duration::from_millis(200);
            assert!(waited < PATIENCE, "{seq} does not come");
        }
        if seq == all.load(Ordering::Acquire) {
            return;
        }
    }
}

/// Scenario 71: a publisher without measure, and a route of a megabit per second to the only one who wants it. What waits
/// is bounded, others are not harmed, the publisher is slowed, the route stays, and all arrives in the end.
fn over_a_slow_route(max_pending: u64, beside: &str, lasting: Duration) {
    const RATE: u64 = 125_000;
    let (c, proxies) = cluster(3, 2, 70, beside);
    let mut bulk = Client::of(&c.nodes[1]);
    bulk.say("SUB bulk 1\r\n");
    bulk.known_at(&[&c.nodes[0]]);
    let audit = Audit::start(&[&c.nodes[0], &c.nodes[2]]);
    proxies.way("n0", "n1", Faults { rate: RATE, ..Faults::default() });
    let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let all = Arc::new(AtomicU64::new(u64::MAX));
    let reader = {
        let all = all.clone();
        thread::spawn(move || take(bulk, &all))
    };
    let feeder = {
        let (client, sent, stop) = (Client::of(&c.nodes[0]), sent.clone(), stop.clone());
        thread::spawn(move || feed(client, sent, stop))
    };
    let (begun, mut most, mut full) = (Instant::now(), 0, None);
    let mut audited = audit.sent();
    while begun.elapsed() < lasting {
        thread::sleep(Duration::from_millis(200));
        let pending =
            route(&c.nodes[0], "n1").expect("the slow route was cut")["pending_size"].as_u64().expect("bytes");
        most = pending.max(most);
        assert!(pending <= max_pending, "{pending} bytes wait");
        if pending >= max_pending / 2 && full.is_none() {
            full = Some((begun.elapsed(), sent.load(Ordering::Acquire)));
        }
        let now = audit.sent();
        assert!(now.iter().zip(&audited).all(|(now, before)| now > before), "others stand still: {now:?}");
        audited = now;
    }
    let (full_at, then) = full.expect("it was never full: the publisher is too slow for this test");
    let bytes = (sent.load(Ordering::Acquire) - then) * 4096;
    let since = begun.elapsed() - full_at;
    // What the link passed, what could still pile up, and what lies in the buffers of three sockets.
    let allowed = RATE * since.as_secs().max(1) * 2 + max_pending + (16 << 20);
    assert!(bytes < allowed, "the publisher was not slowed: {bytes} bytes in {since:?}, {allowed} at most");
    stop.store(true, Ordering::Release);
    // Fast, but not faster than this test reads: what comes over a route waits for no slow reader, which would be cut.
    proxies.way("n0", "n1", Faults { rate: 10 << 20, ..Faults::default() });
    let mut feeder = feeder.join().expect("the publisher was harmed");
    feeder.say("");
    all.store(sent.load(Ordering::Acquire), Ordering::Release);
    reader.join().expect("the bulk was harmed");
    audit.finish();
    let log = c.nodes[0].output();
    assert!(!log.contains(" ended: "), "{log}");
    println!("{most} bytes waited at most (limit {max_pending}); {bytes} bytes taken from the publisher in {since:.1?} since");
}

#[test]
fn a_slow_route_slows_its_publisher_and_nobody_else() {
    let limit = 2 << 20;
    over_a_slow_route(limit, &format!("max_pending: {limit}"), Duration::from_secs(8));
}

#[test]
#[ignore = "long: scripts/faults"]
fn a_slow_route_with_the_limit_everybody_has() {
    over_a_slow_route(64 << 20, "", Duration::from_secs(30));
}

/// What one of two sends is stuck: both are out of each other's routing, and back when it moves again.
#[test]
fn a_route_that_is_stuck_one_way() {
    let (c, proxies) = cluster(3, 2, 69, "");
    let audit = Audit::start(&[&c.nodes[0], &c.nodes[2]]);
    proxies.way("n0", "n1", Faults { stall: true, ..Faults::default() });
    let begun = Stopwatch::start();
    until("both are out", PATIENCE, || {
        (route(&c.nodes[0], "n1").is_none() && route(&c.nodes[1], "n0").is_none()).then_some(())
    });
    let out = begun.passed();
    // Six seconds, and one for a machine that has much else to do.
    assert!(out < Duration::from_secs(7), "out after {out:?}");
    proxies.way("n0", "n1", Faults::default());
    let healed = Instant::now();
    until("both are back", PATIENCE, || {
        (route(&c.nodes[0], "n1").is_some() && route(&c.nodes[1], "n0").is_some()).then_some(())
    });
    let back = healed.elapsed();
    c.await_whole();
    audit.finish();
    println!("stuck one way: out after {out:.1?}, back {back:.1?} after healing");
}

/// What is published while bits flip: it shows by itself whether it is whole.
fn marked(seq: u64) -> String {
    format!("{seq:08}~{:08}", 99_999_999 - seq)
}

/// Scenario 73: one bit flips in what a server sends a peer, each time at another place: in a message, or, with `anew`, in
/// the handshake of a new connection. Either the connection is closed, or what it says is changed; no client and no other
/// route is harmed, and all servers live.
fn bits_flip(rounds: u64, anew: bool) {
    const PEERS: usize = 3;
    let (mut damaged, mut heard, mut ended) = (0, 0, 0);
    for round in 0..rounds {
        let (c, proxies) = cluster(1 + PEERS, 2, 73 + round, "");
        let others: Vec<&Server> = c.nodes[1..].iter().collect();
        let audit = match anew {
            false => Audit::start(&others),
            true => Audit::through_faults(&others, Duration::from_millis(1)),
        };
        let mut hears: Vec<Client> = c.nodes[1..].iter().map(Client::of).collect();
        for client in &mut hears {
            client.say("SUB flip.> 1\r\n");
            client.known_at(&[&c.nodes[0]]);
        }
        for n in 1..=PEERS {
            let at = (round * 3 + n as u64) * 41 % if anew { 700 } else { 300 };
            proxies.way("n0", &format!("n{n}"), Faults { flip: Some(at), ..Faults::default() });
        }
        if anew {
            while proxies.reset(0).is_some() {}
        }
        let (mut says, mut seq) = (Client::of(&c.nodes[0]), 0);
        let end = Instant::now() + PATIENCE;
        // A length that grew swallows what follows, until there is enough of it; so there is more behind the last flip.
        let mut behind = 0;
        while behind < 300 {
            says.say(&format!("PUB flip.x 17\r\n{}\r\n", marked(seq)));
            seq += 1;
            let left = (1..=PEERS).any(|n| proxies.flips("n0", &format!("n{n}")));
            behind += u64::from(!left);
            assert!(Instant::now() < end, "nothing passes");
        }
        c.await_whole();
        for client in &mut hears {
            let mut next = 0;
            while let Some(message) = client.try_next(Duration::from_millis(20)) {
                heard += 1;
                let body = message.split("\r\n").nth(1).unwrap_or_default();
                let number = body.get(..8).and_then(|n| n.parse::<u64>().ok());
                match number.filter(|n| *n < seq && message == format!("MSG flip.x 1 17\r\n{}\r\n", marked(*n))) {
                    Some(n) => {
                        assert!(n >= next, "twice or out of order: {n} after {next}");
                        next = n + 1;
                    }
                    None => damaged += 1,
                }
            }
        }
        audit.finish();
        ended += c.nodes[0].output().matches(" ended: ").count();
        assert!(c.nodes.iter().all(|n| !n.output().contains("panicked")));
    }
    println!("{} flips: {damaged} of {heard} messages changed, {ended} routes ended", rounds * PEERS as u64);
    assert!(damaged <= rounds * PEERS as u64 && heard > 0);
}

#[test]
fn bits_flip_in_messages() {
    bits_flip(3, false);
}

#[test]
#[ignore = "long: scripts/faults"]
fn bits_flip_in_many_messages() {
    bits_flip(15, false);
}

#[test]
#[ignore = "long: scripts/faults"]
fn bits_flip_in_handshakes() {
    bits_flip(10, true);
}
