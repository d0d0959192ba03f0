//! Two servers of one or two shards each, joined by a route, byte for byte. The wider world is in `tests/sim`.

use crate::base::{Cid, ConnId, Now, PeerId, ShardId, Time, SECOND};
use crate::conn::{Instruction, Introduction, Tidings};
use crate::policy::{Cluster, Settings};
use crate::shard::{Act, Identity, Opening, Order, Setup, Shard};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn cluster() -> Cluster {
    Cluster {
        tls: None,
        name: Some("c1".into()),
        listen: None,
        advertise: None,
        no_advertise: false,
        login: None,
        auth_timeout: Duration::from_secs(2),
        stranger_bytes_max: 4096,
        routes: Vec::new(),
        connect_retries: 0,
        ping_interval: Duration::from_secs(1),
        peer_timeout: Duration::from_secs(5),
        permissions: None,
        unready_without_mesh: true,
    }
}

/// A server whose sockets are buffers.
struct Node {
    shards: Vec<Shard>,
    now: Now,
    out: BTreeMap<(usize, ConnId), Vec<u8>>,
    tidings: Vec<Tidings>,
    /// Whose acknowledgements were asked for; all is acknowledged.
    measured: Vec<(usize, ConnId)>,
}

impl Node {
    fn new(shards: usize) -> Node {
        let settings = Arc::new(Settings { cluster: Some(cluster()), ..Settings::default() });
        let identity = Arc::new(Identity { server_id: "N".into(), server_name: "n".into(), ..Identity::default() });
        let shard = |i| {
            let (settings, identity) = (settings.clone(), identity.clone());
            let (id, seed) = (ShardId(i as u8), 7 + i as u64);
            Shard::new(Setup { id, shards, seed, ..Setup::single(settings, identity) })
        };
        let now = Now { mono: Time(SECOND), wall_ns: SECOND };
        Node {
            shards: (0..shards).map(shard).collect(),
            now,
            out: BTreeMap::new(),
            tidings: Vec::new(),
            measured: Vec::new(),
        }
    }

    /// Runs turns of all shards until none has anything to say; the first of shard `i` begins with `input`.
    fn turn<T>(&mut self, i: usize, input: impl FnOnce(&mut crate::shard::Turn<'_, crate::shard::Sockets>) -> T) -> T {
        let (mut input, mut result) = (Some(input), None);
        let shards = self.shards.len();
        let mut mail: Vec<(ShardId, usize, crate::shard::Batch)> = Vec::new();
        for round in 0..40 {
            let mut busy = false;
            for s in 0..self.shards.len() {
                let mut turn = self.shards[s].begin(self.now);
                let mine: Vec<_> = mail.extract_if(.., |(_, to, _)| *to == s).collect();
                busy |= !mine.is_empty();
                mine.into_iter().for_each(|(from, _, batch)| turn.batch(from, batch));
                let mut turn = turn.sockets();
                self.measured.extract_if(.., |(at, _)| *at == s).for_each(|(_, conn)| turn.unacked(conn, 0));
                turn.time();
                if s == i {
                    if let Some(input) = input.take() {
                        result = Some(input(&mut turn));
                    }
                }
                let mut flush = turn.end();
                for to in 0..shards {
                    if let Some(batch) = flush.batch(ShardId(to as u8)) {
                        mail.push((ShardId(s as u8), to, batch));
                    }
                }
                let Ok(mut flush) = flush.sockets() else { panic!("nothing is full here") };
                while let Some(conn) = flush.dirty() {
                    loop {
                        let bytes = flush.pending(conn).to_vec();
                        if bytes.is_empty() {
                            break;
                        }
                        flush.wrote(conn, bytes.len());
                        self.out.entry((s, conn)).or_default().extend(bytes);
                    }
                }
                while let Some(act) = flush.act() {
                    match act {
                        Act::Tidings(t) => self.tidings.push(t),
                        Act::Measure(conn) => self.measured.push((s, conn)),
                        _ => {}
                    }
                }
            }
            if !busy && mail.is_empty() && round > 4 {
                break;
            }
        }
        result.expect("the shard exists")
    }

    fn client(&mut self, shard: usize) -> ConnId {
        let opening = Opening {
            cid: Cid(1),
            ip: "::1".into(),
            port: 9,
            over_limit: false,
            privacy: Default::default(),
            nonce: [0; 11],
        };
        let conn = self.turn(shard, |t| t.open(opening));
        self.says(shard, conn, "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nPING\r\n");
        self.heard(shard, conn);
        conn
    }

    fn route(&mut self, shard: usize, peer: u8) -> ConnId {
        let intro = Introduction {
            peer: PeerId(peer),
            server_id: "NB".into(),
            server_name: "b".into(),
            ip: "::2".into(),
            port: 6222,
            rid: Cid(2),
            dialed: true,
            configured: true,
            headers: true,
            start_ns: 0,
            pools: false,
            traces: true,
            turnpike: true,
            pong_due: false,
            rest: Vec::new(),
        };
        self.turn(shard, |t| t.introduce(intro))
    }

    fn says(&mut self, shard: usize, conn: ConnId, text: &str) {
        self.turn(shard, |t| t.bytes(conn, text.as_bytes()));
    }

    /// What a connection was told since it was asked last.
    fn heard(&mut self, shard: usize, conn: ConnId) -> String {
        String::from_utf8(self.out.remove(&(shard, conn)).unwrap_or_default()).expect("text")
    }

    fn later(&mut self, ns: u64) {
        self.now.mono = self.now.mono.plus_ns(ns);
    }
}

#[test]
fn a_peer_hears_what_is_wanted_before_and_after_it_came_on_every_shard() {
    let mut n = Node::new(2);
    let (a, b) = (n.client(0), n.client(1));
    n.says(0, a, "SUB foo 1\r\nSUB jobs q 2\r\n");
    n.says(1, b, "SUB foo 1\r\nSUB jobs q 2\r\nSUB bar.* 3\r\n");
    let r = n.route(1, 0);
    let mut told: Vec<String> = n.heard(1, r).lines().map(str::to_owned).collect();
    told.sort();
    assert_eq!(told, ["PING", "RS+ $G bar.*", "RS+ $G foo", "RS+ $G jobs q 2"]);
    n.says(0, a, "SUB new 4\r\nSUB foo 5\r\nSUB jobs q 6\r\n");
    assert_eq!(n.heard(1, r), "RS+ $G new\r\nRS+ $G jobs q 3\r\n");
    n.says(0, a, "UNSUB 1\r\nUNSUB 5\r\nUNSUB 4\r\nUNSUB 2\r\nUNSUB 6\r\n");
    assert_eq!(n.heard(1, r), "RS+ $G jobs q 2\r\nRS+ $G jobs q 1\r\nRS- $G new\r\n");
    n.says(1, b, "UNSUB 1\r\nUNSUB 2\r\n");
    assert_eq!(n.heard(1, r), "RS- $G foo\r\nRS- $G jobs q\r\n");
}

#[test]
fn interest_that_moves_between_shards_shows_no_gap() {
    let mut n = Node::new(2);
    let (a, b) = (n.client(0), n.client(1));
    n.says(0, a, "SUB foo 1\r\n");
    let r = n.route(0, 0);
    n.heard(0, r);
    n.says(1, b, "SUB foo 1\r\n");
    n.says(0, a, "UNSUB 1\r\n");
    assert_eq!(n.heard(0, r), "");
}

#[test]
fn messages_go_to_peers_once_and_come_from_them_to_clients_only() {
    let mut n = Node::new(2);
    let (a, b) = (n.client(0), n.client(1));
    let (r, s) = (n.route(1, 0), n.route(1, 1));
    n.says(1, r, "RS+ $G foo\r\nRS+ $G foo.>\r\nRS+ $G *\r\nRS+ $G foo q 3\r\n");
    n.heard(1, r);
    n.says(0, a, "PUB foo re 2\r\nhi\r\nHPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    assert_eq!(n.heard(1, r), "RMSG $G foo + re q 2\r\nhi\r\nHMSG $G foo | q 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    n.says(1, b, "SUB foo 1\r\nSUB foo q 2\r\n");
    n.says(0, a, "SUB foo 7\r\n");
    n.heard(1, b);
    n.heard(0, a);
    n.heard(1, s);
    n.says(1, r, "RMSG $G foo 2\r\nyo\r\n");
    assert_eq!(n.heard(1, b), "MSG foo 1 2\r\nyo\r\n", "no group was named");
    assert_eq!(n.heard(0, a), "MSG foo 7 2\r\nyo\r\n");
    n.says(1, r, "RMSG $G foo | q 2\r\nyo\r\n");
    assert_eq!(n.heard(1, b), "MSG foo 1 2\r\nyo\r\nMSG foo 2 2\r\nyo\r\n");
    n.says(1, s, "RS+ $G foo\r\n");
    n.heard(1, s);
    n.says(1, r, "RMSG $G foo 2\r\nyo\r\n");
    assert_eq!(n.heard(1, s), "", "never from route to route");
}

#[test]
fn an_acknowledgement_comes_under_the_subject_it_names() {
    let mut n = Node::new(1);
    let a = n.client(0);
    n.says(0, a, "SUB deliver.in 1\r\n");
    let r = n.route(0, 0);
    n.heard(0, a);
    n.says(0, r, "RMSG $G deliver.in $JS.ACK.S.C.1.2.3.4.5@orig.subj 2\r\nhi\r\n");
    assert_eq!(n.heard(0, a), "MSG orig.subj 1 $JS.ACK.S.C.1.2.3.4.5 2\r\nhi\r\n");
}

#[test]
fn a_route_that_ends_takes_its_interest_with_it_everywhere() {
    let mut n = Node::new(2);
    let a = n.client(0);
    let r = n.route(1, 5);
    n.says(1, r, "RS+ $G foo\r\n");
    n.turn(1, |t| t.order(Order::Instruct(Instruction::End { peer: PeerId(5), says: String::new(), why: "w".into() })));
    assert_eq!(n.tidings[0], Tidings::Ended { peer: PeerId(5), why: "w".into() });
    assert_eq!(n.tidings[1..], [Tidings::Forgotten { peer: PeerId(5) }, Tidings::Forgotten { peer: PeerId(5) }]);
    n.heard(0, a);
    n.says(0, a, "SUB _in 9\r\nPUB foo _in 0\r\n\r\n");
    assert!(n.heard(0, a).contains("503"), "nobody is there any more");
}

#[test]
fn a_silent_peer_is_left_after_its_time_and_not_before() {
    let mut n = Node::new(1);
    let r = n.route(0, 0);
    for _ in 0..20 {
        n.later(SECOND);
        n.says(0, r, "PONG\r\n");
    }
    assert_eq!(n.tidings, [Tidings::Told { peer: PeerId(0) }]);
    for _ in 0..4 {
        n.later(SECOND);
        n.turn(0, |_| ());
    }
    assert_eq!(n.tidings, [Tidings::Told { peer: PeerId(0) }]);
    n.later(2 * SECOND);
    n.turn(0, |_| ());
    assert!(matches!(&n.tidings[1], Tidings::Ended { why, .. } if why.contains("silent")), "{:?}", n.tidings);
}

/// scenarios.md §5.2, 32: whoever was frozen finds all others silent, and what they said meanwhile in its sockets.
#[test]
fn who_stood_still_hears_before_it_judges() {
    let mut n = Node::new(1);
    let (r, silent) = (n.route(0, 0), n.route(0, 1));
    n.turn(0, |_| ());
    n.later(60 * SECOND);
    n.says(0, r, "PING\r\n");
    assert!(n.heard(0, r).contains("PONG"));
    let ended = |peer| n.tidings.iter().any(|t| matches!(t, Tidings::Ended { peer: p, .. } if *p == PeerId(peer)));
    assert!(ended(1) && !ended(0), "{:?}", n.tidings);
    assert!(n.heard(0, silent).contains("Stale Connection"));
}

#[test]
fn a_probe_is_answered_by_any_byte() {
    let mut n = Node::new(1);
    let r = n.route(0, 0);
    n.turn(0, |t| t.order(Order::Instruct(Instruction::Probe { peer: PeerId(0) })));
    assert_eq!(n.tidings, []);
    n.says(0, r, "PONG\r\n");
    assert_eq!(n.tidings, [Tidings::Alive { peer: PeerId(0) }, Tidings::Told { peer: PeerId(0) }]);
}

/// However much there is to tell: whoever has our PONG knows what our clients wanted when the route began.
#[test]
fn a_pong_comes_behind_all_that_is_wanted() {
    let mut n = Node::new(1);
    let client = n.client(0);
    let many = 3 * crate::base::limits::TURN_TOLD_MAX;
    let lines: String = (0..many).map(|i| format!("SUB many.{i} {i}\r\n")).collect();
    n.says(0, client, &lines);
    let r = n.route(0, 0);
    n.says(0, r, "PING\r\n");
    let mut heard = String::new();
    for _ in 0..9 {
        heard += &n.heard(0, r);
        n.turn(0, |_| ());
    }
    let told = heard.split("PONG").next().expect("a first part").matches("RS+").count();
    assert!(heard.contains("PONG") && told == many, "{told} of {many}");
    n.says(0, r, "PING\r\n");
    assert_eq!(n.heard(0, r), "PONG\r\n");
}
