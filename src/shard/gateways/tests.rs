//! One server of one or two shards with links to other clusters, byte for byte.

use crate::base::{Cid, ConnId, FarId, Now, PeerId, ShardId, Time, SECOND};
use crate::conn::{GatewayInstruction, GatewayIntroduction, GatewayTidings, Introduction, TheirRules, Way};
use crate::policy::{Gateway, GatewayInterest, Settings};
use crate::shard::{Act, Answer, Ask, Batch, Identity, Lost, Opening, Order, Setup, Shard, Sockets, Turn};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod accounts;
mod assurance;
mod borders;
mod rights;
mod slices;

/// A server of cluster "east" whose sockets are buffers.
struct Node {
    shards: Vec<Shard>,
    now: Now,
    out: BTreeMap<(usize, ConnId), Vec<u8>>,
    tidings: Vec<GatewayTidings>,
    numbers: u64,
    answers: Vec<Answer>,
    /// Whose sockets take nothing.
    stuck: BTreeSet<(usize, ConnId)>,
    /// No socket takes anything.
    frozen: bool,
    /// Who is not read.
    paused: BTreeSet<(usize, ConnId)>,
    /// What the cluster at the other end of a new link has said that it lets in.
    theirs: TheirRules,
}

fn settings(interest: GatewayInterest) -> Settings {
    let gateway = Gateway { name: "east".into(), interest, no_interest_max: 3, ..Gateway::default() };
    Settings { gateway: Some(gateway), ..Settings::default() }
}

impl Node {
    fn new(shards: usize, interest: GatewayInterest) -> Node {
        Node::with(shards, interest, |_| ())
    }

    fn with(shards: usize, interest: GatewayInterest, change: impl Fn(&mut Settings)) -> Node {
        let mut settings = settings(interest);
        change(&mut settings);
        let settings = Arc::new(settings);
        let identity = Arc::new(Identity { server_id: "N".into(), server_name: "n".into(), ..Identity::default() });
        let shard = |i| {
            let (settings, identity) = (settings.clone(), identity.clone());
            let (id, seed) = (ShardId(i as u8), 7 + i as u64);
            Shard::new(Setup { id, shards, seed, ..Setup::single(settings, identity) })
        };
        let now = Now { mono: Time(SECOND), wall_ns: SECOND };
        let shards = (0..shards).map(shard).collect();
        let (out, tidings, answers) = (BTreeMap::new(), Vec::new(), Vec::new());
        Node {
            shards,
            now,
            out,
            tidings,
            numbers: 1,
            answers,
            stuck: BTreeSet::new(),
            frozen: false,
            paused: BTreeSet::new(),
            theirs: TheirRules::default(),
        }
    }

    /// Runs turns of all shards until none has anything to say; the first of shard `i` begins with `input`.
    fn turn<T>(&mut self, i: usize, input: impl FnOnce(&mut Turn<'_, Sockets>) -> T) -> T {
        let (mut input, mut result, count) = (Some(input), None, self.shards.len());
        let mut mail: Vec<(ShardId, usize, Batch)> = Vec::new();
        for round in 0..40 {
            let mut busy = false;
            for s in 0..self.shards.len() {
                let mut turn = self.shards[s].begin(self.now);
                let mine: Vec<_> = mail.extract_if(.., |(_, to, _)| *to == s).collect();
                busy |= !mine.is_empty();
                mine.into_iter().for_each(|(from, _, batch)| turn.batch(from, batch));
                let mut turn = turn.sockets();
                turn.time();
                if let Some(input) = input.take_if(|_| s == i) {
                    result = Some(input(&mut turn));
                }
                let mut flush = turn.end();
                for to in 0..count {
                    if let Some(batch) = flush.batch(ShardId(to as u8)) {
                        mail.push((ShardId(s as u8), to, batch));
                    }
                }
                let Ok(mut flush) = flush.sockets() else { panic!("nothing is full here") };
                while let Some(conn) = flush.dirty() {
                    if self.frozen || self.stuck.contains(&(s, conn)) {
                        flush.blocked(conn);
                        continue;
                    }
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
                        Act::GatewayTidings(t) => self.tidings.push(t),
                        Act::Answer { answer, .. } => self.answers.push(answer),
                        Act::Pause(conn) => drop(self.paused.insert((s, conn))),
                        Act::Resume(conn) => drop(self.paused.remove(&(s, conn))),
                        _ => {}
                    }
                }
            }
            if !busy && mail.is_empty() && round > 6 {
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

    fn link(&mut self, shard: usize, way: Way, cluster: &str, promised: bool) -> ConnId {
        self.numbers += 1;
        let intro = GatewayIntroduction {
            link: Cid(self.numbers),
            way,
            cluster: cluster.into(),
            server_id: "W".into(),
            server_name: "w".into(),
            ip: "::2".into(),
            port: 7222,
            configured: true,
            headers: true,
            interest_only: promised,
            new_replies: true,
            traces: true,
            turnpike: false,
            theirs: self.theirs.clone(),
            start_ns: 0,
            first: Vec::new(),
            rest: Vec::new(),
        };
        self.turn(shard, |t| t.introduce_gateway(intro))
    }

    fn out(&mut self, shard: usize, far: u8, cluster: &str, promised: bool) -> ConnId {
        let conn = self.link(shard, Way::Out(FarId(far)), cluster, promised);
        assert_eq!(self.heard(shard, conn), "PING\r\n");
        conn
    }

    fn route(&mut self, shard: usize, peer: u8, id: &str) -> ConnId {
        self.route_that(shard, peer, id, false)
    }

    fn route_that(&mut self, shard: usize, peer: u8, id: &str, pools: bool) -> ConnId {
        let intro = Introduction {
            peer: PeerId(peer),
            server_id: id.into(),
            server_name: "b".into(),
            ip: "::2".into(),
            port: 6222,
            rid: Cid(900),
            dialed: true,
            configured: true,
            headers: true,
            start_ns: 0,
            pools,
            traces: true,
            turnpike: !pools,
            pong_due: true,
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
        self.now.wall_ns += ns;
    }
}

/// Commands about the default account, as they stand in what a link hears, made short.
fn short(text: &str) -> Vec<String> {
    let line = |l: &str| match l.strip_prefix("INFO ") {
        Some(info) if info.contains("\"gateway_cmd\":2") => "begins".to_owned(),
        Some(info) if info.contains("\"gateway_cmd\":3") => "complete".to_owned(),
        _ => l.to_owned(),
    };
    text.split("\r\n").filter(|l| !l.is_empty() && *l != "PING" && !l.contains("$SYS")).map(line).collect()
}

const BEGINS: &str = "INFO {\"gateway\":\"west\",\"gateway_cmd\":2,\"gateway_cmd_payload\":\"JEc=\"}\r\n";
const COMPLETE: &str = "INFO {\"gateway\":\"west\",\"gateway_cmd\":3,\"gateway_cmd_payload\":\"JEc=\"}\r\n";

#[test]
fn an_inbound_link_is_told_queue_groups_first_then_each_account_whole_and_what_changes() {
    let mut n = Node::new(2, GatewayInterest::Auto);
    let (a, b) = (n.client(0), n.client(1));
    n.says(0, a, "SUB foo 1\r\n");
    n.says(1, b, "SUB jobs q 2\r\n");
    let r = n.route(0, 0, "PEER");
    n.says(0, r, "RS+ $G far\r\n");
    let i = n.link(1, Way::In, "west", true);
    let told = short(&n.heard(1, i));
    assert_eq!((told[0].as_str(), told[1].as_str(), told[4].as_str()), ("RS+ $G jobs q 1", "begins", "complete"));
    let mut plain = told[2..4].to_vec();
    plain.sort();
    assert_eq!(plain, ["RS+ $G far", "RS+ $G foo"], "the cluster's, not this server's alone");
    // Only what begins and ends for the whole cluster is told.
    n.says(1, b, "SUB foo 3\r\nSUB far 4\r\nSUB jobs q 5\r\nSUB new 6\r\n");
    assert_eq!(short(&n.heard(1, i)), ["RS+ $G new"]);
    n.says(1, b, "UNSUB 3\r\nUNSUB 2\r\nUNSUB 5\r\nUNSUB 6\r\n");
    n.says(0, r, "RS- $G far\r\n");
    assert_eq!(short(&n.heard(1, i)), ["RS- $G jobs q", "RS- $G new"]);
    n.says(0, r, "RS+ $G beyond\r\n");
    assert_eq!(short(&n.heard(1, i)), ["RS+ $G beyond"]);
    n.turn(0, |t| t.lost(r, crate::shard::Lost::Eof));
    assert_eq!(short(&n.heard(1, i)), ["RS- $G beyond"], "what a lost peer wanted");
}

#[test]
fn what_nobody_wants_is_refused_until_it_is_too_much() {
    let mut n = Node::new(1, GatewayInterest::Optimistic);
    let i = n.link(0, Way::In, "west", false);
    assert_eq!(short(&n.heard(0, i)), [""; 0]);
    n.says(0, i, "RMSG $G a 1\r\nx\r\nRMSG $G a 1\r\nx\r\nRMSG none a 1\r\nx\r\nRMSG none a 1\r\nx\r\n");
    assert_eq!(short(&n.heard(0, i)), ["A- $G", "A- none"]);
    let c = n.client(0);
    n.says(0, c, "SUB b.* 1\r\n");
    assert_eq!(short(&n.heard(0, i)), ["A+ $G"]);
    n.says(0, i, "RMSG $G a 1\r\nx\r\nRMSG $G a 1\r\nx\r\nRMSG $G b.1 1\r\nx\r\nRMSG $G c.1 1\r\nx\r\n");
    assert_eq!(short(&n.heard(0, i)), ["RS- $G a", "RS- $G c.1"]);
    assert_eq!(n.heard(0, c), "MSG b.1 1 1\r\nx\r\n");
    // Taken back and ended in one go: the refusal has to be taken back all the same.
    n.says(0, c, "SUB c.> 2\r\n");
    assert_eq!(short(&n.heard(0, i)), ["RS+ $G c.>"]);
    n.says(0, c, "UNSUB 2\r\n");
    assert_eq!(short(&n.heard(0, i)), [""; 0]);
    n.says(0, i, "RMSG $G c.1 1\r\nx\r\nRMSG $G d 1\r\nx\r\nRMSG $G e 1\r\nx\r\n");
    assert_eq!(short(&n.heard(0, i)), ["RS- $G c.1", "RS- $G d", "begins", "RS+ $G b.*", "complete"]);
    n.says(0, i, "RMSG $G f 1\r\nx\r\n");
    n.says(0, c, "SUB f 3\r\n");
    assert_eq!(short(&n.heard(0, i)), ["RS+ $G f"]);
}

#[test]
fn messages_go_where_they_are_wanted_from_every_shard_and_never_on() {
    let mut n = Node::new(2, GatewayInterest::Auto);
    let (a, b) = (n.client(0), n.client(1));
    let (west, north) = (n.out(1, 3, "west", true), n.out(0, 4, "north", false));
    n.says(0, a, "PUB foo 1\r\nx\r\n");
    assert_eq!((n.heard(1, west), n.heard(0, north)), (String::new(), "RMSG $G foo 1\r\nx\r\n".into()));
    n.says(1, west, &format!("{BEGINS}RS+ $G foo\r\n{COMPLETE}"));
    n.says(0, north, "RS- $G foo\r\n");
    n.says(0, a, "PUB foo 1\r\na\r\nPUB foo 1\r\nb\r\nHPUB foo 12 13\r\nNATS/1.0\r\n\r\nc\r\n");
    n.says(1, b, "PUB foo 1\r\nd\r\nPUB foo 1\r\ne\r\n");
    let all = "RMSG $G foo 1\r\na\r\nRMSG $G foo 1\r\nb\r\nHMSG $G foo 12 13\r\nNATS/1.0\r\n\r\nc\r\n\
               RMSG $G foo 1\r\nd\r\nRMSG $G foo 1\r\ne\r\n";
    assert_eq!((n.heard(1, west), n.heard(0, north)), (all.into(), String::new()));
    // From another cluster to clients and routes, from a route to clients only.
    let (i, r) = (n.link(0, Way::In, "south", true), n.route(1, 0, "PEER"));
    n.says(1, r, "RS+ $G foo\r\n");
    n.heard(1, r);
    n.says(0, i, "RMSG $G foo 1\r\ni\r\nRMSG $G foo 1\r\nj\r\n");
    assert_eq!((n.heard(1, r), n.heard(1, west)), ("RMSG $G foo 1\r\ni\r\nRMSG $G foo 1\r\nj\r\n".into(), "".into()));
    n.says(1, r, "RMSG $G foo 1\r\nr\r\n");
    assert_eq!((n.heard(1, west), n.heard(0, north)), (String::new(), String::new()));
    // The report: 6 published here since then, 5 of them wanted.
    for shard in 0..2 {
        n.turn(shard, |t| t.order(Order::Report { ticket: 0, ask: Ask::GATEWAYS }));
    }
    let (mut published, mut sent) = (0, 0);
    for answer in std::mem::take(&mut n.answers) {
        let Answer::Gateways(report) = answer else { panic!("another answer") };
        let west = report.tallies.iter().filter(|t| t.cluster == "west" && t.account == "$G");
        west.for_each(|t| (published, sent) = (published + t.published, sent + t.sent));
    }
    assert_eq!((published, sent), (6, 5));
}

#[test]
fn a_requester_learns_at_once_that_nobody_is_there() {
    let mut n = Node::new(1, GatewayInterest::Auto);
    let a = n.client(0);
    let west = n.out(0, 3, "west", true);
    n.says(0, west, &format!("{BEGINS}RS+ $G svc\r\n{COMPLETE}"));
    n.says(0, a, "SUB in 1\r\nPUB none in 0\r\n\r\n");
    assert!(n.heard(0, a).contains("NATS/1.0 503"));
    n.says(0, a, "PUB svc in 0\r\n\r\n");
    assert_eq!(n.heard(0, a), "");
}

#[test]
fn a_queue_group_is_served_here_first_and_then_where_it_is_nearest() {
    let mut n = Node::new(2, GatewayInterest::Auto);
    let a = n.client(0);
    let (west, north) = (n.out(1, 3, "west", true), n.out(0, 4, "north", true));
    // The answers to the PINGs of the handshakes, which say nothing of the ways as they are.
    n.says(0, north, "PONG\r\n");
    n.later(10);
    n.says(1, west, "PONG\r\n");
    n.later(40);
    n.says(1, west, "PONG\r\nRS+ $G jobs q 1\r\n");
    n.later(50);
    n.says(0, north, "PONG\r\nRS+ $G jobs q 1\r\nRS+ $G jobs p 1\r\n");
    n.says(0, a, "PUB jobs 1\r\nx\r\n");
    let heard = (n.heard(1, west), n.heard(0, north));
    assert_eq!(heard, ("RMSG $G jobs | q 1\r\nx\r\n".into(), "RMSG $G jobs | p 1\r\nx\r\n".into()));
    n.says(0, a, "SUB jobs q 7\r\n");
    n.says(0, a, "PUB jobs 1\r\ny\r\n");
    assert_eq!((n.heard(0, a), n.heard(1, west)), ("MSG jobs 7 1\r\ny\r\n".into(), String::new()));
    assert_eq!(n.heard(0, north), "RMSG $G jobs | p 1\r\ny\r\n");
    // The nearer one goes: the other serves both, in one message.
    n.says(0, a, "UNSUB 7\r\n");
    n.turn(1, |t| {
        t.order(Order::InstructGateway(GatewayInstruction::End { link: Cid(2), says: "".into(), why: "".into() }))
    });
    n.says(0, a, "PUB jobs 1\r\nz\r\n");
    let north = n.heard(0, north);
    assert!(north == "RMSG $G jobs | q p 1\r\nz\r\n" || north == "RMSG $G jobs | p q 1\r\nz\r\n", "{north}");
    // Named groups of what comes in are served by somebody of the cluster, others not at all.
    let (i, b) = (n.link(0, Way::In, "south", true), n.client(1));
    n.says(1, b, "SUB jobs q 8\r\nSUB jobs other 9\r\n");
    n.says(0, i, "RMSG $G jobs | q 1\r\ni\r\nRMSG $G jobs 1\r\nj\r\n");
    assert_eq!(n.heard(1, b), "MSG jobs 8 1\r\ni\r\n");
}

#[test]
fn answers_find_their_way_from_the_first_request_on() {
    let mut n = Node::new(2, GatewayInterest::Auto);
    let (a, b) = (n.client(0), n.client(1));
    let west = n.out(1, 3, "west", true);
    n.says(1, west, &format!("{BEGINS}RS+ $G svc\r\n{COMPLETE}"));
    n.says(0, a, "SUB in.* 1\r\nPUB svc in.1 1\r\nx\r\n");
    let prefix = crate::wire::gateway::ReplyPrefix::new("east", "N");
    let prefix = std::str::from_utf8(prefix.bytes(true)).unwrap();
    assert_eq!(n.heard(1, west), format!("RMSG $G svc {prefix}in.1 1\r\nx\r\n"));
    n.later(2 * SECOND);
    n.says(0, a, "PUB svc in.1 1\r\ny\r\n");
    let heard = n.heard(1, west);
    assert!(heard.contains("RMSG $G svc in.1 1\r\ny\r\n"), "by now it is known there: {heard}");
    // The answer comes back, to us or to another server of the cluster.
    let (i, r) = (n.link(1, Way::In, "west", true), n.route(0, 5, "OTHER"));
    n.heard(0, r);
    n.says(1, i, &format!("RMSG $G {prefix}in.1 2\r\nok\r\nRMSG $G _GR_.NUmM6c.UDWqd3.in.1 2\r\nno\r\n"));
    assert_eq!(n.heard(0, a), "MSG in.1 1 2\r\nok\r\n");
    let other = crate::wire::gateway::ReplyPrefix::new("east", "OTHER");
    let other = std::str::from_utf8(other.bytes(true)).unwrap();
    n.says(1, i, &format!("RMSG $G {other}in.2 2\r\nok\r\n"));
    assert_eq!((n.heard(0, r), n.heard(0, a)), (format!("RMSG $G {other}in.2 2\r\nok\r\n"), String::new()));
    // The other side: the client sees the plain reply, and its answer goes straight back.
    let back = crate::wire::gateway::ReplyPrefix::new("west", "W");
    let back = std::str::from_utf8(back.bytes(true)).unwrap();
    n.says(1, b, "SUB ask 4\r\n");
    n.says(0, a, "SUB ask q 5\r\n");
    n.says(1, i, &format!("RMSG $G ask + {back}_I.7 q 1\r\nx\r\n"));
    assert_eq!(
        (n.heard(1, b), n.heard(0, a)),
        ("MSG ask 4 _I.7 1\r\nx\r\n".into(), "MSG ask 5 _I.7 1\r\nx\r\n".into())
    );
    n.heard(1, west);
    n.says(0, a, "PUB _I.7 2\r\nhi\r\n");
    n.says(1, b, "PUB _I.7 2\r\nho\r\nPUB other 1\r\nx\r\n");
    let both = format!("RMSG $G {back}_I.7 2\r\nhi\r\nRMSG $G {back}_I.7 2\r\nho\r\n");
    assert_eq!(n.heard(1, west), both);
    n.later(2 * SECOND);
    n.says(1, b, "PUB _I.7 2\r\nha\r\n");
    assert!(!n.heard(1, west).contains("RMSG"), "the way back is forgotten, and nobody asked for it");
}

#[test]
fn no_client_is_given_an_answer_under_a_mapped_subject() {
    let mut n = Node::new(1, GatewayInterest::Auto);
    let (a, i) = (n.client(0), n.link(0, Way::In, "west", true));
    n.says(0, a, "SUB > 1\r\n");
    let prefix = crate::wire::gateway::ReplyPrefix::new("east", "N");
    let prefix = std::str::from_utf8(prefix.bytes(true)).unwrap();
    let (own, foreign) = (format!("{prefix}{prefix}in.1"), format!("{prefix}$GR.76a7.in.1"));
    n.says(0, i, &format!("RMSG $G {own} 1\r\nx\r\nRMSG $G {foreign} 1\r\ny\r\nRMSG $G {prefix}in.1 1\r\nz\r\n"));
    assert_eq!(n.heard(0, a), "MSG in.1 1 1\r\nz\r\n");
    assert!(
        dropped(&mut n, 0).iter().any(|d| d.contains("foreign_reply") && d.contains('2')),
        "{:?}",
        dropped(&mut n, 0)
    );
}

#[test]
fn an_answer_for_a_member_whose_route_has_just_ended_comes_too_late() {
    let mut n = Node::new(2, GatewayInterest::Auto);
    let (i, r) = (n.link(0, Way::In, "west", true), n.route(1, 5, "OTHER"));
    // The shard of the link does not know it yet.
    let mut turn = n.shards[1].begin(n.now).sockets();
    turn.lost(r, Lost::Eof);
    let _ = turn.end();
    let other = crate::wire::gateway::ReplyPrefix::new("east", "OTHER");
    let other = std::str::from_utf8(other.bytes(true)).unwrap();
    n.says(0, i, &format!("RMSG $G {other}in.2 2\r\nok\r\n"));
    assert_eq!(drops(&mut n), [("reply_expired", 1)]);
}

/// What came from other clusters and was dropped, in short words.
fn dropped(n: &mut Node, shard: usize) -> Vec<String> {
    n.turn(shard, |t| t.order(Order::Report { ticket: 1, ask: Ask::GATEWAYS }));
    let Some(Answer::Gateways(report)) = n.answers.pop() else { panic!("no answer") };
    let row = |t: crate::shard::report::EntryTally| format!("{} {} {} {}", t.cluster, t.account, t.reason, t.n);
    report.entries.into_iter().map(row).collect()
}

#[test]
fn what_comes_from_a_cluster_and_is_dropped_is_counted_by_cluster_account_and_reason() {
    let mut n = Node::new(2, GatewayInterest::Optimistic);
    let (i, j) = (n.link(1, Way::In, "west", false), n.link(1, Way::In, "north", false));
    let r = n.route(1, 5, "OTHER");
    assert_eq!(dropped(&mut n, 1), [""; 0]);
    let ours = prefix();
    // The first two in one go, as a stream.
    let same = "RMSG $G a 1\r\nx\r\nRMSG $G a 1\r\nx\r\n";
    n.says(1, i, &format!("{same}RMSG theirs b 1\r\nx\r\nRMSG $G {ours}in.1 2\r\nok\r\n"));
    n.says(1, j, "RMSG $G _GR_.NUmM6c.UDWqd3.in.1 2\r\nno\r\nRMSG $G jobs | gone 1\r\nx\r\n");
    // From a member, it is nobody's.
    n.says(1, r, &format!("RMSG $G {ours}in.1 2\r\nok\r\nRMSG $G a 1\r\nx\r\n"));
    let wanted = [
        "west $G no_interest 2",
        "west $G reply_expired 1",
        "west theirs unknown_account 1",
        "north $G no_interest 1",
        "north $G queue_member_left 1",
        "north $G foreign_reply 1",
    ];
    assert_eq!(dropped(&mut n, 1), wanted);
    assert_eq!(dropped(&mut n, 0), [""; 0], "its links are elsewhere");
    // It outlives the link.
    n.turn(1, |t| t.lost(i, Lost::Eof));
    assert_eq!(dropped(&mut n, 1), wanted);
}

/// The reasons for which messages were dropped, on any shard.
fn drops(n: &mut Node) -> Vec<(&'static str, u64)> {
    let mut all = Vec::new();
    for shard in 0..n.shards.len() {
        n.turn(shard, |t| t.order(Order::Report { ticket: 0, ask: Ask::TALLY }));
        let Some(Answer::Tally(tally)) = n.answers.pop() else { panic!("no answer") };
        assert_eq!(tally.stalled_clients, 0, "gateways are no clients");
        all.extend(tally.drops.into_iter().filter(|(_, n)| *n > 0));
    }
    all
}

#[test]
fn a_silent_link_is_left_and_counted_as_a_gateway() {
    let mut n = Node::new(1, GatewayInterest::Auto);
    n.out(0, 3, "west", true);
    for _ in 0..20 {
        n.later(SECOND / 2);
        n.turn(0, |_| ());
    }
    assert!(n.tidings.iter().any(|t| matches!(t, GatewayTidings::Ended { why, .. } if why.contains("silent"))));
    n.turn(0, |t| t.order(Order::Report { ticket: 0, ask: Ask::TALLY }));
    let Some(Answer::Tally(tally)) = n.answers.pop() else { panic!("no answer") };
    assert_eq!((tally.stale_connections, tally.stale_gateways, tally.stale_routes), (1, 1, 0));
}

/// A link that feeds slow routes is not read until they have room: nothing is dropped, and it is not taken for dead.
#[test]
fn a_link_from_a_cluster_waits_for_a_slow_route_that_it_feeds() {
    let body = "x".repeat(1000);
    // On the link's shard and on another, one route or two.
    for routes in [&[0][..], &[1], &[0, 0], &[0, 1]] {
        for plain in [true, false] {
            let mut n = Node::with(2, GatewayInterest::Auto, |s| s.limits.max_pending = 256 << 10);
            let (i, a) = (n.link(0, Way::In, "west", true), n.client(1));
            n.says(1, a, "SUB foo 1\r\n");
            let mut peers = Vec::new();
            for (at, shard) in routes.iter().enumerate() {
                let r = n.route(*shard, at as u8, &format!("PEER{at}"));
                n.says(*shard, r, "RS+ $G foo\r\nRS+ $G foo q 1\r\nPONG\r\nPONG\r\n");
                n.heard(*shard, r);
                n.stuck.insert((*shard, r));
                peers.push((*shard, r));
            }
            // A stream, or messages each of which also names a queue group.
            let queues = if plain { "" } else { "| q " };
            let message = |k: usize| format!("RMSG $G foo {queues}1004\r\n{k:04}{body}\r\n");
            let mut sent = 0;
            while !n.paused.contains(&(0, i)) {
                n.says(0, i, &(sent..sent + 8).map(message).collect::<String>());
                sent += 8;
                assert!(sent < 1000, "{routes:?}: never paused");
            }
            // What was under way is kept, and much more is not taken.
            n.says(0, i, &(sent..sent + 100).map(message).collect::<String>());
            sent += 100;
            for _ in 0..40 {
                n.later(SECOND / 2);
                for (shard, r) in peers.clone() {
                    n.says(shard, r, "PING\r\n");
                    n.turn(shard, |t| t.unacked(r, 0));
                }
                n.turn(0, |t| t.unacked(i, 0));
            }
            assert!(n.tidings.is_empty() && n.paused.contains(&(0, i)), "{routes:?}: {:?}", n.tidings);
            // They move again, one after the other.
            for (shard, r) in peers.clone() {
                n.stuck.remove(&(shard, r));
                n.turn(shard, |t| t.writable(r));
            }
            for _ in 0..200 {
                n.later(SECOND / 100);
                n.turn(0, |_| ());
            }
            assert!(n.paused.is_empty(), "{routes:?}: {:?}", n.paused);
            let got = |text: String| -> Vec<usize> {
                let numbers = text.split("1004\r\n").skip(1).map(|t| t[..4].parse().expect("a number"));
                numbers.collect()
            };
            let all: Vec<usize> = (0..sent).collect();
            assert_eq!(got(n.heard(1, a)), all, "{routes:?}");
            let heard: Vec<Vec<usize>> = peers.iter().map(|(shard, r)| got(n.heard(*shard, *r))).collect();
            assert!(heard.iter().all(|h| *h == all), "{routes:?}: {:?}", heard.iter().map(Vec::len));
            assert_eq!(drops(&mut n), []);
        }
    }
}

#[test]
fn a_link_that_ends_is_forgotten_on_every_shard() {
    let mut n = Node::new(2, GatewayInterest::Auto);
    let a = n.client(0);
    let west = n.out(1, 3, "west", true);
    n.says(1, west, &format!("{BEGINS}RS+ $G foo\r\n{COMPLETE}RS+ $G jobs q 1\r\n"));
    n.turn(1, |t| t.lost(west, crate::shard::Lost::Eof));
    let ended = GatewayTidings::Ended { link: Cid(2), why: "the peer closed it".into() };
    let forgotten = GatewayTidings::Forgotten { far: FarId(3) };
    assert_eq!(n.tidings, [ended, forgotten.clone(), forgotten]);
    n.says(0, a, "SUB in 1\r\nPUB foo in 1\r\nx\r\nPUB jobs in 1\r\nx\r\n");
    assert_eq!(n.heard(0, a).matches("503").count(), 2);
    // The number is used again: nothing of before holds.
    let again = n.out(0, 3, "west", true);
    n.says(0, a, "PUB foo 1\r\nx\r\n");
    assert_eq!(n.heard(0, again), "");
}

#[test]
fn commands_without_an_account_and_interest_from_a_dialer_end_the_link() {
    let mut n = Node::new(1, GatewayInterest::Auto);
    let (west, i) = (n.out(0, 3, "west", true), n.link(0, Way::In, "west", true));
    n.heard(0, i);
    n.says(0, west, "INFO {\"gateway\":\"west\",\"gateway_cmd\":2}\r\n");
    assert!(n.heard(0, west).starts_with("-ERR"));
    n.says(0, i, "RS+ $G foo\r\n");
    assert!(n.heard(0, i).contains("-ERR"));
    assert_eq!(n.tidings.iter().filter(|t| matches!(t, GatewayTidings::Ended { .. })).count(), 2);
}

/// How a server of `Node` begins the replies of its questions.
fn prefix() -> String {
    let mut n = Node::new(1, GatewayInterest::Auto);
    let west = n.out(0, 1, "west", true);
    n.says(0, west, &format!("{BEGINS}RS+ $G service\r\n{COMPLETE}"));
    let a = n.client(0);
    n.says(0, a, "SUB in 1\r\nPUB service in 0\r\n\r\n");
    let heard = n.heard(0, west);
    heard.strip_prefix("RMSG $G service ").and_then(|t| t.strip_suffix("in 0\r\n\r\n")).expect("mapped").into()
}
