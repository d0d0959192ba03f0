//! The rules of one handshake, line by line, on both sides.

use super::world::{cluster, identity, ip};
use crate::base::{Cid, Level, Now, PeerId, ShardId, Time, SECOND};
use crate::conn::{Instruction, Introduction, Tidings};
use crate::mesh::{Act, Cause, Dial, Mesh, Setup};
use crate::policy::{Cluster, Proof, RouteLogin};

const PEER: Cid = Cid(9);

/// One mesh and what came out of it.
pub(super) struct Bench {
    mesh: Mesh,
    now: Time,
    pub(super) written: String,
    pub(super) closed: bool,
    pub(super) given: Vec<Introduction>,
    told: Vec<Instruction>,
    dials: Vec<Dial>,
    verify: Vec<String>,
    pub(super) log: Vec<(Level, String)>,
}

impl Bench {
    fn new(cluster: Cluster) -> Bench {
        let now = Time(SECOND);
        let setup = Setup { shards: 2, seed: 1, cluster, identity: identity("ME", 0) };
        let mesh = Mesh::new(setup, Now { mono: now, wall_ns: 0 });
        let mut bench = Bench {
            mesh,
            now,
            written: String::new(),
            closed: false,
            given: Vec::new(),
            told: Vec::new(),
            dials: Vec::new(),
            verify: Vec::new(),
            log: Vec::new(),
        };
        bench.after(0);
        bench
    }

    /// Called by a peer.
    pub(super) fn acceptor(cluster: Cluster) -> Bench {
        let mut bench = Bench::new(cluster);
        bench.accept(PEER);
        assert!(bench.written.starts_with("INFO {") && bench.written.ends_with(" \r\n"), "said at once");
        bench.written.clear();
        bench
    }

    /// Has called the server at node 1.
    pub(super) fn dialer(cluster: Cluster) -> Bench {
        let mut bench = Bench::new(cluster);
        bench.connect(PEER);
        bench
    }

    pub(super) fn accept(&mut self, link: Cid) {
        self.mesh.accepted(link, &ip(1), 5000);
        self.drain();
    }

    fn connect(&mut self, link: Cid) {
        let dial = self.dials.pop().expect("a dial");
        self.mesh.dialed(dial, Ok((link, ip(1), 6222)));
        self.drain();
    }

    pub(super) fn hear(&mut self, text: &str) -> &mut Bench {
        self.hear_on(PEER, text)
    }

    pub(super) fn hear_on(&mut self, link: Cid, text: &str) -> &mut Bench {
        self.mesh.bytes(link, text.as_bytes());
        self.drain();
        self
    }

    /// The password of the peer has been compared.
    pub(super) fn compared(&mut self, fits: bool) {
        self.mesh.verified(PEER, fits);
        self.drain();
    }

    /// Time passes, in milliseconds.
    pub(super) fn after(&mut self, ms: u64) {
        let until = self.now.plus_ns(ms * 1_000_000);
        while let Some(at) = self.mesh.next_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.mesh.time(Now { mono: self.now, wall_ns: 0 });
            self.drain();
        }
        self.now = until;
        self.mesh.time(Now { mono: self.now, wall_ns: 0 });
        self.drain();
    }

    fn tidings(&mut self, tidings: Tidings) {
        self.mesh.tidings(ShardId(0), tidings);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(act) = self.mesh.poll() {
            match act {
                Act::Write { bytes, .. } => self.written.push_str(&String::from_utf8(bytes).unwrap()),
                Act::Close { link } => self.closed |= link == PEER,
                Act::Give { route, .. } => self.given.push(*route),
                Act::Tell { instruction, .. } => self.told.push(instruction),
                Act::Dial { dial, .. } => self.dials.push(dial),
                Act::Verify { proof: Proof::Password { password, .. }, .. } => self.verify.push(password),
                Act::Verify { .. } => panic!("servers show no tokens"),
                Act::Log { level, text } => self.log.push((level, text)),
                Act::ClientUrls { .. } | Act::ClusterName(_) | Act::News(_) => {}
            }
        }
    }

    fn said(&self, part: &str) -> bool {
        self.log.iter().any(|(_, text)| text.contains(part))
    }

    pub(super) fn failed(&self, cause: Cause) -> u64 {
        self.mesh.report().counters.failed.get(&cause).copied().unwrap_or(0)
    }
}

pub(super) fn info(id: &str, more: &str) -> String {
    let name = id.to_lowercase();
    format!(
        "INFO {{\"server_id\":\"{id}\",\"server_name\":\"{name}\",\"host\":\"10.0.0.2\",\"port\":6222,\"headers\":true{more}}} \r\n"
    )
}

pub(super) fn open() -> Cluster {
    cluster(Some("c1"), &[])
}

/// Peers have to present user `u` and this password.
pub(super) fn guarded(password: &str) -> Cluster {
    Cluster { login: Some(RouteLogin { user: "u".into(), password: password.into() }), ..open() }
}

pub(super) fn dialing() -> Cluster {
    cluster(Some("c1"), &[1])
}

pub(super) const CONNECT: &str = "CONNECT {\"echo\":true,\"name\":\"PEER\",\"cluster\":\"c1\"}\r\n";

#[test]
fn an_accepted_peer_says_connect_and_info_and_is_a_route() {
    let mut bench = Bench::acceptor(open());
    bench.hear(CONNECT).hear(&(info("PEER", "") + "RS+ $G foo\r\nRS+"));
    let [route] = &bench.given[..] else { panic!("{:?}", bench.log) };
    assert_eq!((&*route.server_id, &*route.server_name, route.peer, route.rid), ("PEER", "peer", PeerId(0), PEER));
    assert!(!route.dialed && !route.configured && route.headers);
    assert_eq!(route.rest, b"RS+ $G foo\r\nRS+");
    assert!(bench.written.is_empty() && !bench.closed);
}

#[test]
fn a_dialed_peer_is_a_route_once_it_answered_behind_our_info() {
    for welcome in ["PONG\r\n", "RS+ $G foo\r\n", "INFO {\"server_id\":\"OTHER\"}\r\n"] {
        let mut bench = Bench::dialer(dialing());
        assert!(bench.written.is_empty(), "INFO is waited for");
        bench.hear(&info("PEER", ",\"cluster\":\"c1\""));
        let lines: Vec<&str> = bench.written.split("\r\n").collect();
        assert!(lines[0].starts_with("CONNECT {") && lines[0].contains("\"name\":\"ME\""), "{lines:?}");
        assert!(
            lines[1].starts_with("INFO {") && lines[1].contains("\"proto\":3") && lines[1].contains("\"turnpike\"")
        );
        assert_eq!(lines[2], "PING");
        for word in ["pool", "compression", "lnoc", "pass", "ip\""] {
            assert!(!bench.written.contains(word), "{word}");
        }
        assert!(bench.given.is_empty());
        bench.hear(welcome);
        let [route] = &bench.given[..] else { panic!("{:?}", bench.log) };
        assert!(route.dialed && route.configured);
        assert_eq!(route.rest, if welcome == "PONG\r\n" { b"" } else { welcome.as_bytes() });
    }
}

#[test]
fn who_may_not_come_in_is_told_why_in_the_words_nats_server_uses() {
    let guarded = || Cluster { login: Some(RouteLogin { user: "u".into(), password: "p".into() }), ..open() };
    let own_name = info("PEER", "").replace("\"peer\"", "\"n0\"");
    let cases = [
        (open(), "CONNECT {\"lang\":\"go\"}\r\n".into(), "attempted to connect to route port", Cause::Client),
        (
            open(),
            "CONNECT {\"gateway\":\"x\"}\r\n".into(),
            "Rejecting connection from gateway \"x\" on the Route port",
            Cause::Gateway,
        ),
        (guarded(), CONNECT.into(), "Authorization Violation", Cause::Credentials),
        (
            guarded(),
            CONNECT.replace("\"name\"", "\"user\":\"u\",\"pass\":\"q\",\"name\""),
            "Authorization Violation",
            Cause::Credentials,
        ),
        (
            open(),
            CONNECT.replace("c1", "zzz"),
            "Rejecting connection, cluster name \"zzz\" does not match \"c1\"",
            Cause::ClusterName,
        ),
        (
            open(),
            "CONNECT {}\r\n".into(),
            "Rejecting connection, cluster name \"\" does not match \"c1\"",
            Cause::ClusterName,
        ),
        (open(), info("PEER", ""), "Authorization Violation", Cause::Protocol),
        (open(), "RS+ $G foo\r\n".into(), "Authorization Violation", Cause::Protocol),
        (open(), "GET / HTTP/1.1\r\n".into(), "Unknown Protocol Operation", Cause::Protocol),
        (open(), "CONNECT {\r\n".into(), "Parser Error", Cause::Protocol),
        (open(), format!("{CONNECT}{CONNECT}"), "Parser Error", Cause::Protocol),
        (
            open(),
            format!("{CONNECT}{own_name}"),
            "Rejecting connection, server name \"n0\" is used by server ME too",
            Cause::ServerName,
        ),
        (open(), "CONNECT ".repeat(9000), "maximum control line exceeded", Cause::Protocol),
        (
            open(),
            CONNECT.replace("c1", "a'\\r\\nPING"),
            "Rejecting connection, cluster name \"a'\\r\\nPING\" does not match \"c1\"",
            Cause::ClusterName,
        ),
    ];
    for (cluster, bytes, says, cause) in cases {
        let mut bench = Bench::acceptor(cluster);
        bench.hear(&bytes);
        assert_eq!(bench.written, format!("-ERR '{says}'\r\n"));
        assert!(bench.closed && bench.given.is_empty());
        assert_eq!((bench.failed(cause), bench.log.len()), (1, 1), "{:?}", bench.log);
    }
}

#[test]
fn credentials_in_the_clear_and_hashed_let_in() {
    let connect = CONNECT.replace("\"name\"", "\"user\":\"u\",\"pass\":\"p\",\"name\"");
    let login = |password: &str| Some(RouteLogin { user: "u".into(), password: password.into() });
    let mut plain = Bench::acceptor(Cluster { login: login("p"), ..open() });
    plain.hear(&connect).hear(&info("PEER", ""));
    assert_eq!(plain.given.len(), 1);
    for (matches, user) in [(true, "u"), (false, "u"), (true, "v")] {
        let mut bench = Bench::acceptor(Cluster { login: login("$2b$04$abc"), ..open() });
        bench.hear(&(connect.replace("\"u\"", &format!("\"{user}\"")) + &info("PEER", "")));
        assert_eq!(bench.verify, ["p"], "compared for unknown users too");
        assert!(bench.given.is_empty(), "nothing is read meanwhile");
        bench.compared(matches);
        assert_eq!(bench.given.len(), usize::from(matches && user == "u"));
        assert_eq!(bench.written.contains("Authorization Violation"), !matches || user != "u");
    }
}

#[test]
fn what_is_presented_comes_from_the_url_or_is_ours_if_asked_for() {
    let ours = || Some(RouteLogin { user: "cu".into(), password: "cp".into() });
    for (asks, in_url, expected) in
        [("", false, None), (",\"auth_required\":true", false, Some("cp")), ("", true, Some("up"))]
    {
        let mut cluster = Cluster { login: ours(), ..dialing() };
        cluster.routes[0].login = in_url.then(|| RouteLogin { user: "uu".into(), password: "up".into() });
        let mut bench = Bench::dialer(cluster);
        bench.hear(&info("PEER", asks));
        let passed = expected.map(|p| format!("\"pass\":\"{p}\""));
        assert_eq!(bench.written.contains("\"pass\""), passed.is_some());
        assert!(passed.is_none_or(|p| bench.written.contains(&p)));
        assert!(bench.written.contains("\"auth_required\":true"));
    }
}

#[test]
fn too_slow_is_told_so_whatever_it_sends_meanwhile() {
    let mut bench = Bench::acceptor(open());
    for _ in 0..19 {
        bench.after(100);
        bench.hear("PING\r\n");
    }
    assert!(!bench.closed);
    bench.after(101);
    assert!(bench.closed && bench.written.ends_with("-ERR 'Authentication Timeout'\r\n"));
    let mut admitted = Bench::acceptor(open());
    admitted.hear(CONNECT);
    admitted.after(2001);
    assert!(admitted.closed);
}

#[test]
fn wrong_dials_say_what_was_reached() {
    let cases = [
        (info("PEER", ",\"client_id\":5"), "is a client port"),
        (info("PEER", ",\"gateway\":\"x\""), "is a gateway port"),
        ("SSH-2.0-OpenSSH\r\n".into(), "speaks another protocol (SSH-2.0-OpenSSH\\r\\n)"),
        ("\x15\x03".into(), "speaks another protocol (\\x15\\x03)"),
        ("INFO hello\r\n".into(), "speaks another protocol (INFO hello)"),
        ("INFO {}\r\n".into(), "is no NATS server"),
        ("-ERR 'nope'\r\n".into(), "refused us: nope"),
        (info("PEER", ",\"cluster\":\"c2\""), "cluster name \"c2\" does not match \"c1\""),
    ];
    for (answer, words) in cases {
        let mut bench = Bench::dialer(dialing());
        bench.hear(&answer);
        assert!(bench.closed && bench.said(words), "{words}: {:?}", bench.log);
        assert!(bench.said("10.0.0.2:6222"));
        assert!(bench.mesh.report().targets[0].last_error.contains(words));
        bench.after(1001);
        assert_eq!(bench.dials.len(), 1, "dialed again");
    }
    let mut silent = Bench::dialer(dialing());
    silent.after(2001);
    assert!(silent.closed && silent.said("said no INFO within 2 s"));
}

#[test]
fn a_client_port_that_takes_routes_is_asked_for_one() {
    let mut bench = Bench::dialer(dialing());
    bench.hear(&info("PEER", ",\"client_id\":5,\"takes_routes\":true"));
    assert!(bench.written.contains("\"route\":true") && bench.written.contains("INFO {"));
    bench.hear("PONG\r\n");
    assert!(bench.given.is_empty());
    bench.hear(&info("PEER", ",\"cluster\":\"c1\"")).hear("PONG\r\n");
    assert_eq!(bench.given.len(), 1, "{:?}", bench.log);

    let mut taker = Bench::new(open());
    taker.mesh.handed_over(PEER, &ip(1), 5000, format!("{CONNECT}{}PING\r\n", info("PEER", "")).into_bytes());
    taker.drain();
    assert!(taker.written.starts_with("INFO {") && taker.given.len() == 1);
    assert_eq!(taker.given[0].rest, b"PING\r\n");
}

/// Registers the peer on its first connection and lets a second one come.
fn second() -> Bench {
    let mut bench = Bench::new(open());
    for link in [Cid(1), PEER] {
        bench.accept(link);
        bench.hear_on(link, CONNECT).hear_on(link, &(info("PEER", "") + "RS+ $G late\r\n"));
    }
    assert_eq!(bench.given.len(), 1);
    assert_eq!(bench.told, [Instruction::Probe { peer: PeerId(0) }]);
    bench.written.clear();
    bench
}

#[test]
fn a_second_connection_waits_and_goes_when_the_first_is_alive() {
    let mut bench = second();
    bench.tidings(Tidings::Alive { peer: PeerId(0) });
    bench.after(1900);
    assert!(!bench.closed);
    bench.after(101);
    assert!(bench.closed && bench.written.is_empty() && bench.given.len() == 1);
}

#[test]
fn a_second_connection_takes_over_when_the_first_is_dead_or_ends() {
    let mut bench = second();
    bench.after(999);
    assert_eq!(bench.told.len(), 1);
    bench.after(2);
    assert!(matches!(bench.told[1], Instruction::End { peer: PeerId(0), .. }));
    bench.after(5000);
    assert!(!bench.closed, "the end is waited for");
    bench.tidings(Tidings::Ended { peer: PeerId(0), why: "x".into() });
    assert_eq!((bench.given.len(), bench.given[1].peer, bench.given[1].rid), (2, PeerId(1), PEER));
    assert_eq!(bench.given[1].rest, b"RS+ $G late\r\n");

    let mut ended = second();
    ended.tidings(Tidings::Ended { peer: PeerId(0), why: "x".into() });
    assert_eq!(ended.given.len(), 2);
    assert!(ended.dials.is_empty());
}

#[test]
fn of_two_connections_with_a_nats_server_the_one_it_answers_is_kept() {
    for answers_ours in [true, false] {
        let mut bench = Bench::dialer(dialing());
        bench.hear(&info("PEER", ""));
        bench.accept(Cid(20));
        bench.hear_on(Cid(20), CONNECT).hear_on(Cid(20), &info("PEER", ""));
        assert!(bench.given.is_empty(), "parked while ours is open");
        if answers_ours {
            bench.hear("RS+ $G foo\r\n");
            bench.mesh.lost(Cid(20), "closed");
        } else {
            bench.mesh.lost(PEER, "closed");
        }
        bench.drain();
        assert_eq!(bench.given.len(), 1);
        assert_eq!(bench.given[0].rid, if answers_ours { PEER } else { Cid(20) });
        bench.after(20_000);
        assert!(bench.dials.is_empty(), "nothing more is dialed");
    }
}

#[test]
fn too_many_at_the_door_the_oldest_goes() {
    let mut bench = Bench::new(open());
    for n in 1..=300 {
        bench.accept(Cid(n));
    }
    assert_eq!(bench.mesh.report().handshakes, 256);
    assert_eq!(bench.failed(Cause::Crowded), 44);
    assert_eq!(bench.log.len(), 1, "said once");
}

#[test]
fn a_number_is_used_again_only_when_every_shard_has_forgotten_it() {
    let mut bench = Bench::new(open());
    for n in 0..130u64 {
        bench.accept(Cid(n));
        bench.hear_on(Cid(n), CONNECT).hear_on(Cid(n), &info(&format!("P{n}"), ""));
    }
    assert_eq!(bench.given.len(), 128);
    assert!(bench.written.contains("-ERR 'maximum routes exceeded'"));
    let again = |bench: &mut Bench, n: u64| {
        bench.accept(Cid(n));
        bench.hear_on(Cid(n), CONNECT).hear_on(Cid(n), &info(&format!("P{n}"), ""));
        bench.given.last().unwrap().peer
    };
    bench.mesh.tidings(ShardId(1), Tidings::Forgotten { peer: PeerId(5) });
    bench.tidings(Tidings::Ended { peer: PeerId(5), why: "x".into() });
    assert_eq!(again(&mut bench, 200), PeerId(127), "no room yet");
    bench.tidings(Tidings::Forgotten { peer: PeerId(5) });
    assert_eq!(again(&mut bench, 201), PeerId(5));
}

#[test]
fn a_newcomer_is_handed_on_to_nats_servers_and_dialed_when_named() {
    let mut bench = Bench::new(open());
    for (n, id) in [(1, "P1"), (2, "P2")] {
        bench.accept(Cid(n));
        bench.hear_on(Cid(n), CONNECT).hear_on(Cid(n), &info(id, ",\"nonce\":\"x\""));
    }
    let [Instruction::Say { peer: PeerId(0), line }] = &bench.told[..] else { panic!("{:?}", bench.told) };
    let line = String::from_utf8(line.clone()).unwrap();
    assert!(
        line.contains("\"P2\"") && line.contains("nats-route://10.0.0.2:6222/") && !line.contains("nonce"),
        "{line}"
    );
    let named = |id: &str, ip: &str| Tidings::Info {
        peer: PeerId(0),
        json: format!("{{\"server_id\":\"{id}\",\"ip\":\"nats-route://{ip}/\",\"gossip_mode\":1}}").into_bytes(),
    };
    for (id, ip) in [("P2", "10.9.9.9:1"), ("ME", "10.9.9.9:2"), ("P3", "10.0.0.1:6222"), ("P4", "10.9.9.9:4")] {
        bench.tidings(named(id, ip));
    }
    bench.after(100);
    assert_eq!(bench.dials.len(), 1, "not the known one, not ourselves, not our own address");
    bench.connect(Cid(50));
    bench.written.clear();
    bench.hear_on(Cid(50), &info("P4", ""));
    assert!(bench.written.contains("\"gossip_mode\":1"));
}

#[test]
fn a_peer_that_names_a_million_servers_is_remembered_in_part_and_spoken_of_once() {
    let mut bench = Bench::new(open());
    bench.accept(PEER);
    bench.hear(CONNECT).hear(&info("P1", ""));
    for n in 0..5000 {
        let json = format!("{{\"server_id\":\"X{n}\",\"ip\":\"nats-route://10.1.{}.{}:1/\"}}", n / 250, n % 250);
        bench.tidings(Tidings::Info { peer: PeerId(0), json: json.into_bytes() });
    }
    let report = bench.mesh.report();
    assert!(report.targets.len() <= 256 && report.counters.overlooked > 4000);
    assert_eq!(bench.log.iter().filter(|(_, t)| t.contains("names more than")).count(), 1);
    bench.after(10);
    assert!(bench.dials.len() <= 64, "dials at a time");
}

/// Members that do not exist are gaps too; they are spoken of in few lines, of which one names the many, and so is their
/// end.
#[test]
fn hundreds_of_gaps_are_few_lines() {
    let mut bench = Bench::new(open());
    bench.accept(PEER);
    bench.hear(CONNECT).hear(&info("P1", ""));
    for n in 0..200 {
        let json =
            format!("{{\"server_id\":\"X{n:03}\",\"server_name\":\"x{n}\",\"ip\":\"nats-route://10.1.0.{n}:1/\"}}");
        bench.tidings(Tidings::Info { peer: PeerId(0), json: json.into_bytes() });
    }
    bench.after(5000);
    assert_eq!(bench.log.iter().filter(|(_, t)| t.starts_with("no route to")).count(), 16);
    let all: Vec<&String> = bench.log.iter().map(|(_, t)| t).filter(|t| t.starts_with("no route, ")).collect();
    let [line] = &all[..] else { panic!("{all:?}") };
    assert!(line.contains("to 184 further members: \"x16\", ") && line.ends_with("\"x143\" and 56 more"), "{line}");
    bench.tidings(Tidings::Ended { peer: PeerId(0), why: "x".into() });
    bench.after(1000);
    assert_eq!(bench.log.iter().filter(|(_, t)| t.contains("missed no longer")).count(), 16);
    assert!(bench.said("the gap is over for 184 further members: \"x16\""));
}

/// A thousand wrong connections a second are one line a minute.
#[test]
fn wrong_connections_are_logged_at_a_bounded_rate() {
    let mut bench = Bench::new(open());
    for n in 0..3000 {
        bench.accept(Cid(n));
        bench.hear_on(Cid(n), "CONNECT {\"lang\":\"go\"}\r\n");
    }
    assert_eq!(bench.log.len(), 1);
    bench.after(60_001);
    assert_eq!(bench.log.len(), 2);
    assert!(bench.said("2999 more times in 60 s"));
}

#[test]
fn a_second_address_of_a_server_that_was_restarted_is_dialed_again() {
    let mut cluster = dialing();
    cluster.routes.push(crate::policy::RouteUrl { host: "10.0.0.9".into(), port: 6222, login: None });
    let mut bench = Bench::new(cluster);
    for link in [Cid(1), PEER] {
        bench.connect(link);
        bench.hear_on(link, &info("PEER", "")).hear_on(link, "PONG\r\n");
    }
    assert_eq!(bench.given.len(), 1);
    bench.after(20_000);
    bench.tidings(Tidings::Ended { peer: PeerId(0), why: "x".into() });
    bench.after(50);
    assert_eq!(bench.dials.len(), 1, "one address is enough");
    bench.connect(Cid(3));
    bench.hear_on(Cid(3), &info("REBORN", "")).hear_on(Cid(3), "PONG\r\n");
    bench.after(200);
    assert_eq!(bench.dials.len(), 1, "who is at the other one?");
}

#[test]
fn who_comes_and_goes_without_a_word_is_no_news() {
    let mut bench = Bench::acceptor(open());
    bench.mesh.lost(PEER, "end of stream");
    bench.drain();
    assert_eq!((bench.failed(Cause::Left), bench.log[0].0), (1, Level::Debug));
}

/// A member that took our cluster's name after its INFO is handed on under that name (cluster-protocol.md T19).
#[test]
fn no_foreign_cluster_is_handed_on() {
    let mut bench = Bench::new(dialing());
    bench.accept(Cid(1));
    bench.hear_on(Cid(1), CONNECT).hear_on(Cid(1), &info("NATS", ""));
    bench.connect(PEER);
    bench.hear(&info("PEER", ",\"cluster\":\"0abc\",\"cluster_dynamic\":true")).hear("PONG\r\n");
    let [Instruction::Say { peer: PeerId(0), line }] = &bench.told[..] else { panic!("{:?}", bench.told) };
    let line = String::from_utf8(line.clone()).unwrap();
    assert!(line.contains("\"cluster\":\"c1\"") && !line.contains("cluster_dynamic"), "{line}");
}

#[test]
fn a_peer_that_goes_by_another_name_ends_or_is_followed() {
    for (name, follows) in [(Some("c1"), false), (None, true)] {
        let mut bench = Bench::new(cluster(name, &[]));
        let ours = bench.mesh.report().cluster;
        bench.accept(PEER);
        let made_up = format!("\"cluster_dynamic\":{follows},\"cluster\":\"{ours}\"");
        bench.hear(&CONNECT.replace("\"cluster\":\"c1\"", &made_up)).hear(&info("PEER", ""));
        assert_eq!(bench.given.len(), 1, "{:?}", bench.log);
        let json = b"{\"server_id\":\"PEER\",\"cluster\":\"c2\"}".to_vec();
        bench.tidings(Tidings::Info { peer: PeerId(0), json });
        let [Instruction::End { says, .. }] = &bench.told[..] else { panic!("{:?}", bench.told) };
        assert_eq!(says.is_empty(), follows);
        assert_eq!(bench.mesh.report().cluster, if follows { "c2".to_string() } else { ours });
    }
}

/// A server that listens everywhere is dialed where it spoke from; one that names no port is not dialed at all.
#[test]
fn a_member_that_called_us_is_called_back_at_its_listener() {
    for (host, port, expected) in [("0.0.0.0", 7000, Some("10.0.0.2:7000")), ("x", 0, None)] {
        let mut bench = Bench::acceptor(open());
        let said = info("PEER", "").replace("10.0.0.2", host).replace("6222", &port.to_string());
        bench.hear(CONNECT).hear(&said);
        bench.after(11_000);
        bench.tidings(Tidings::Ended { peer: PeerId(0), why: "x".into() });
        let targets = bench.mesh.report().targets;
        assert_eq!(targets.first().map(|t| t.address.as_str()), expected);
        bench.after(1000);
        assert_eq!(bench.dials.len(), usize::from(expected.is_some()));
    }
}
