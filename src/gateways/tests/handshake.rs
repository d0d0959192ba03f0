//! The rules of one handshake, line by line, on both sides.

use super::world::{gateway, identity, ip};
use crate::base::{Cid, Level, Now, ShardId, Time, SECOND};
use crate::conn::{GatewayInstruction, GatewayIntroduction, GatewayTidings, Way};
use crate::gateways::{Act, Cause, Dial, Gateways, Setup};
use crate::policy::{Gateway, GatewayInterest, Proof, RouteLogin};

const PEER: Cid = Cid(9);

/// One machine and what came out of it.
pub(super) struct Bench {
    machine: Gateways,
    now: Time,
    pub(super) written: String,
    pub(super) closed: bool,
    pub(super) given: Vec<GatewayIntroduction>,
    told: Vec<GatewayInstruction>,
    dials: Vec<Dial>,
    verify: Vec<String>,
    pub(super) log: Vec<(Level, String)>,
}

impl Bench {
    fn new(gateway: Gateway) -> Bench {
        let now = Time(SECOND);
        let accounts = vec!["$G".into(), "$SYS".into()];
        let identity = identity("ME", 0);
        let setup = Setup { shards: 2, seed: 1, gateway, identity, accounts, system: Some(1) };
        let mut bench = Bench {
            machine: Gateways::new(setup, Now { mono: now, wall_ns: 0 }),
            now,
            written: String::new(),
            closed: false,
            given: Vec::new(),
            told: Vec::new(),
            dials: Vec::new(),
            verify: Vec::new(),
            log: Vec::new(),
        };
        bench.after(1500);
        bench
    }

    /// Called by a server of another cluster.
    pub(super) fn acceptor(gateway: Gateway) -> Bench {
        let mut bench = Bench::new(gateway);
        bench.machine.accepted(PEER, &ip(1), 5000);
        bench.drain();
        assert!(bench.written.starts_with("INFO {") && bench.written.ends_with("}\r\n"), "said at once");
        bench.written.clear();
        bench
    }

    /// Has called the server at node 1.
    pub(super) fn dialer(gateway: Gateway) -> Bench {
        let mut bench = Bench::new(gateway);
        let dial = bench.dials.pop().expect("a dial");
        bench.machine.dialed(dial, Ok((PEER, ip(1), 7222)));
        bench.drain();
        assert_eq!(bench.written, "", "nothing before INFO");
        bench
    }

    pub(super) fn hear(&mut self, text: &str) -> &mut Bench {
        self.machine.bytes(PEER, text.as_bytes());
        self.drain();
        self
    }

    fn after(&mut self, ms: u64) {
        let until = self.now.plus_ns(ms * 1_000_000);
        while let Some(at) = self.machine.next_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.machine.time(Now { mono: self.now, wall_ns: 0 });
            self.drain();
        }
        self.now = until;
        self.machine.time(Now { mono: self.now, wall_ns: 0 });
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(act) = self.machine.poll() {
            match act {
                Act::Write { bytes, .. } => self.written.push_str(&String::from_utf8(bytes).unwrap()),
                Act::Close { link } => self.closed |= link == PEER,
                Act::Give { intro, .. } => {
                    self.written.push_str(&String::from_utf8(intro.first.clone()).unwrap());
                    self.given.push(*intro);
                }
                Act::Tell { instruction: GatewayInstruction::TheirRules { .. }, .. } => {}
                Act::Tell { instruction, .. } => self.told.push(instruction),
                Act::Dial { dial, .. } => self.dials.push(dial),
                Act::Verify { proof: Proof::Password { password, .. }, .. } => self.verify.push(password),
                Act::Verify { .. } => panic!("servers show no tokens"),
                Act::Log { level, text } => self.log.push((level, text)),
                Act::Members { .. } | Act::Reaches(_) | Act::Border(_) | Act::EndMember { .. } => {}
            }
        }
    }

    fn said(&self, part: &str) -> bool {
        self.log.iter().any(|(_, text)| text.contains(part))
    }

    fn failed(&self, cause: Cause) -> u64 {
        self.machine.report().counters.failed.get(&cause).copied().unwrap_or(0)
    }

    /// An INFO comes over the link, which is registered.
    pub(super) fn informed(&mut self, json: &[u8]) {
        self.machine.tidings(ShardId(0), GatewayTidings::Info { link: PEER, json: json.into() });
        self.drain();
    }

    /// What the other end of the registered link is told at its end; None: it is not ended.
    pub(super) fn end(&self) -> Option<String> {
        let end = self.told.iter().find_map(|i| match i {
            GatewayInstruction::End { says, .. } => Some(says.clone()),
            _ => None,
        });
        end
    }

    /// Ended with these words.
    pub(super) fn refused(&mut self, says: &str, cause: Cause) {
        assert!(self.closed && self.given.is_empty(), "{:?}", self.log);
        let want = if says.is_empty() { String::new() } else { format!("-ERR '{says}'\r\n") };
        assert!(
            self.written.ends_with(&want) && (!says.is_empty() || !self.written.contains("-ERR")),
            "{}",
            self.written
        );
        assert_eq!(self.failed(cause), 1, "{:?}", self.machine.report().counters);
    }
}

pub(super) const CONNECT: &str = "CONNECT {\"gateway\":\"west\",\"name\":\"PEER\"}\r\n";

pub(super) fn info(id: &str, name: &str, cluster: &str) -> String {
    format!(
        "INFO {{\"server_id\":\"{id}\",\"server_name\":\"{name}\",\"gateway\":\"{cluster}\",\
         \"gateway_urls\":[\"10.0.0.2:7222\"],\"headers\":true,\"gateway_nrp\":true,\"gateway_iom\":true}}\r\n"
    )
}

pub(super) fn east() -> Gateway {
    gateway("east", &[("west", 1)])
}

pub(super) fn guarded(password: &str) -> Gateway {
    Gateway { login: Some(RouteLogin { user: "u".into(), password: password.into() }), ..east() }
}

#[test]
fn an_accepted_link_is_registered_by_connect_and_info_at_its_minimum() {
    let mut bench = Bench::acceptor(east());
    bench.hear(CONNECT);
    assert_eq!((bench.written.as_str(), bench.given.len()), ("", 0));
    bench.hear(&info("PEER", "peer", "west")).hear("more");
    let intro = bench.given.remove(0);
    assert_eq!((intro.way, &*intro.cluster, &*intro.server_id, intro.link), (Way::In, "west", "PEER", PEER));
    assert!(intro.interest_only && intro.headers && intro.new_replies && intro.configured && !intro.turnpike);
    let mut bench = Bench::acceptor(east());
    bench.hear(&format!("{CONNECT}{}RMSG A b 0\r\n\r\n", info("PEER", "peer", "west")));
    assert_eq!(bench.given[0].rest, b"RMSG A b 0\r\n\r\n");
}

#[test]
fn a_dialer_waits_for_info_and_counts_the_link_only_when_it_was_answered() {
    let mut bench = Bench::dialer(east());
    bench.hear(&info("PEER", "peer", "west"));
    let said = bench.written.clone();
    assert!(
        said.starts_with("CONNECT {\"echo\":false,")
            && said.contains("\"gateway\":\"east\"")
            && said.ends_with("PING\r\n")
    );
    assert!(
        said.contains("INFO {\"server_id\":\"ME\"") && said.contains("\"gateway_urls\":[\"10.0.0.1:7222\"]"),
        "{said}"
    );
    assert_eq!((bench.given.len(), bench.machine.report().counters.outbound), (0, 0));
    bench.hear("RS+ A foo\r\nPONG\r\n");
    let intro = bench.given.remove(0);
    assert_eq!((&*intro.cluster, intro.rest.as_slice()), ("west", &b"RS+ A foo\r\nPONG\r\n"[..]));
    assert!(matches!(intro.way, Way::Out(_)) && intro.interest_only);
    assert_eq!(bench.machine.report().counters.outbound, 1);
}

#[test]
fn a_pong_alone_is_an_answer_and_stays_behind() {
    let mut bench = Bench::dialer(east());
    bench.hear(&info("PEER", "peer", "west").replace(",\"gateway_iom\":true", "")).hear("PONG\r\nA- X\r\n");
    let intro = bench.given.remove(0);
    assert_eq!((intro.rest.as_slice(), intro.interest_only), (&b"A- X\r\n"[..], false), "{intro:?}");
}

#[test]
fn who_has_no_business_at_the_gateway_port_is_told_so() {
    for text in [
        "CONNECT {}\r\n",
        "CONNECT {\"lang\":\"go\",\"verbose\":true}\r\n",
        "CONNECT {\"cluster\":\"c\",\"name\":\"N\"}\r\n",
    ] {
        let mut bench = Bench::acceptor(guarded("p"));
        bench.hear(text).refused("attempted to connect to gateway port", Cause::NoGateway);
        assert!(bench.said("this is the gateway port"), "{:?}", bench.log);
    }
    for text in ["PING2 \r\n", "GET / HTTP/1.1\r\n", "\u{1}\u{2}\r\n"] {
        Bench::acceptor(east()).hear(text).refused("Unknown Protocol Operation", Cause::Protocol);
    }
    for text in ["INFO {}\r\n", "RS+ A b\r\n", "RMSG A b 0\r\n", "SUB a 1\r\n", "A+ A\r\n"] {
        Bench::acceptor(east()).hear(text).refused("Authorization Violation", Cause::Protocol);
    }
    Bench::acceptor(east()).hear("CONNECT {x\r\n").refused("Parser Error", Cause::Protocol);
}

#[test]
fn what_a_dialer_may_not_say_before_its_info() {
    for text in ["RS+ A b\r\n", "RS- A b\r\n", "A+ A\r\n", "A- A\r\n"] {
        let says = "the dialing side of a gateway sends no RS+, RS-, A+ or A-";
        Bench::acceptor(east()).hear(CONNECT).hear(text).refused(says, Cause::Protocol);
    }
    Bench::acceptor(east()).hear(CONNECT).hear(CONNECT).refused("Parser Error", Cause::Protocol);
    for json in ["{x", "{\"gateway\":\"west\"}", "{\"server_id\":\"P\",\"gateway\":\"west\",\"gateway_cmd\":1}"] {
        Bench::acceptor(east())
            .hear(CONNECT)
            .hear(&format!("INFO {json}\r\n"))
            .refused("Parser Error", Cause::Protocol);
    }
}

#[test]
fn credentials() {
    let with = |user: &str, pass: &str| {
        format!("CONNECT {{\"gateway\":\"west\",\"user\":\"{user}\",\"pass\":\"{pass}\"}}\r\n")
    };
    for (user, pass) in [("u", "x"), ("x", "p"), ("", "")] {
        let mut bench = Bench::acceptor(guarded("p"));
        bench.hear(&with(user, pass)).refused("Authorization Violation", Cause::Credentials);
        assert!(bench.said("of cluster \"west\" presented a wrong user"), "{:?}", bench.log);
    }
    let mut bench = Bench::acceptor(guarded("p"));
    bench.hear(&with("u", "p")).hear(&info("PEER", "peer", "west"));
    assert_eq!(bench.given.len(), 1);
    for (user, matches) in [("u", true), ("u", false), ("x", true)] {
        let mut bench = Bench::acceptor(guarded("$2a$11$hash"));
        bench.hear(&with(user, "p")).hear(&info("PEER", "peer", "west"));
        assert_eq!((bench.verify.as_slice(), bench.given.len()), ([String::from("p")].as_slice(), 0));
        bench.machine.verified(PEER, matches);
        bench.drain();
        assert_eq!(bench.given.len(), usize::from(user == "u" && matches));
    }
    // As a dialer: the URL's before ours, and never a hash.
    let mut url = guarded("p");
    url.remotes[0].urls[0].login = Some(RouteLogin { user: "v".into(), password: "q".into() });
    for (gateway, user, shown) in [
        (guarded("p"), "\"user\":\"u\",\"pass\":\"p\"", true),
        (url, "\"user\":\"v\",\"pass\":\"q\"", true),
        (guarded("$2a$11$hash"), "user", false),
    ] {
        let mut bench = Bench::dialer(gateway);
        bench.hear(&info("PEER", "peer", "west"));
        assert_eq!(bench.written.contains(user), shown, "{}", bench.written);
    }
    let mut bench = Bench::dialer(east());
    bench.hear(&info("PEER", "peer", "west")).hear("-ERR 'Authorization Violation'\r\n").refused("", Cause::Refused);
    assert!(bench.said("refused us: Authorization Violation"));
}

/// Where others have to say who they are, one line is all that they may say before, however it comes.
#[test]
fn who_has_to_say_who_he_is_may_say_little_else() {
    let connect = |length: usize| {
        let line = CONNECT.replace("\"name\"", "\"user\":\"u\",\"pass\":\"p\",\"x\":\"\",\"name\"");
        line.replace("\"x\":\"\"", &format!("\"x\":\"{}\"", "y".repeat(length - line.len())))
    };
    let too_long = "-ERR 'maximum control line exceeded'\r\n";
    for piece in [1, 100, 5000] {
        for (length, passes) in [(4096, true), (4097, false)] {
            let mut bench = Bench::acceptor(guarded("p"));
            for part in connect(length).as_bytes().chunks(piece) {
                bench.hear(std::str::from_utf8(part).unwrap());
            }
            assert_eq!(
                (bench.closed, bench.written.as_str()),
                (!passes, if passes { "" } else { too_long }),
                "{piece}"
            );
        }
    }
    // What follows is not known to be anybody's while the hash is compared.
    for (more, passes) in [(info("PEER", "peer", "west"), true), ("x".repeat(4000), false)] {
        let mut bench = Bench::acceptor(guarded("$2b$04$abc"));
        bench.hear(&(connect(200) + &more));
        assert_eq!(bench.closed, !passes, "{:?}", bench.log);
    }
    let mut unasked = Bench::acceptor(east());
    unasked.hear(&connect(9000));
    assert!(!unasked.closed);
}

#[test]
fn names_that_must_not_be() {
    let reject = Gateway { reject_unknown: true, ..east() };
    let north = CONNECT.replace("west", "north");
    let mut bench = Bench::acceptor(reject.clone());
    bench.hear(&north).refused("Connection to gateway \"east\" rejected", Cause::Unknown);
    let mut bench = Bench::acceptor(reject);
    bench.hear(CONNECT).hear(&info("PEER", "peer", "west"));
    assert_eq!(bench.given.len(), 1, "those in the list come in");
    let mut bench = Bench::acceptor(east());
    bench.hear(&CONNECT.replace("west", "east")).refused(
        "Rejecting gateway connection, this is cluster \"east\" too: members of one cluster connect by routes",
        Cause::OwnCluster,
    );
    let says = "Rejecting gateway connection, server name \"n0\" is used in this cluster too";
    Bench::acceptor(east()).hear(CONNECT).hear(&info("PEER", "n0", "west")).refused(says, Cause::ServerName);
    Bench::dialer(east()).hear(&info("PEER", "n0", "west")).refused(says, Cause::ServerName);
    Bench::acceptor(east()).hear(CONNECT).hear(&info("ME", "peer", "west")).refused("", Cause::Itself);
    let says = "Connection from \"east\" rejected, wanted to connect to \"west\", this is \"north\"";
    Bench::acceptor(east()).hear(CONNECT).hear(&info("PEER", "peer", "north")).refused(says, Cause::OtherCluster);
    Bench::dialer(east()).hear(&info("PEER", "peer", "north")).refused(says, Cause::OtherCluster);
    Bench::acceptor(east()).hear(&CONNECT.replace("west", "we st")).refused("Parser Error", Cause::Protocol);
}

#[test]
fn a_wrong_port_is_named() {
    let says = "Attempt to connect to gateway \"west\" using wrong port";
    for (json, port) in [
        ("{\"server_id\":\"P\",\"client_id\":7}", "is a client port"),
        ("{\"server_id\":\"P\",\"cluster\":\"west\"}", "is a route port"),
        ("{\"server_id\":\"P\"}", "is no gateway port"),
    ] {
        let mut bench = Bench::dialer(east());
        bench.hear(&format!("INFO {json}\r\n")).refused(says, Cause::Foreign);
        assert!(bench.said(port), "{:?}", bench.log);
    }
    Bench::dialer(east()).hear("HTTP/1.1 400 Bad Request\r\n").refused("", Cause::Foreign);
    Bench::dialer(east()).hear("INFO {\"gateway\":\"west\"}\r\n").refused("", Cause::Foreign);
    // The other side of it: an error before any CONNECT is logged.
    let mut bench = Bench::acceptor(east());
    bench.hear("-ERR 'Attempt to connect to gateway \"x\" using wrong port'\r\n").refused("", Cause::Refused);
    assert!(bench.said("refused us: Attempt to connect to gateway \"x\" using wrong port"));
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    let mut bench = Bench::acceptor(east());
    bench.after(2100);
    bench.refused("Authentication Timeout", Cause::Timeout);
    let mut bench = Bench::acceptor(east());
    bench.hear(CONNECT).after(2100);
    bench.refused("Authentication Timeout", Cause::Timeout);
    let mut bench = Bench::dialer(east());
    bench.after(2100);
    bench.refused("", Cause::Timeout);
    let mut bench = Bench::dialer(east());
    bench.hear(&info("PEER", "peer", "west")).after(5100);
    bench.refused("", Cause::Timeout);
    assert_eq!(bench.machine.report().counters.outbound, 0);
    let mut bench = Bench::acceptor(east());
    bench.machine.lost(PEER, "gone");
    assert_eq!(bench.failed(Cause::Left), 1, "a health check is no trouble");
}

#[test]
fn what_we_promise_is_what_the_operator_wants() {
    for (interest, account, promise) in [
        (GatewayInterest::Auto, None, true),
        (GatewayInterest::InterestOnly, None, true),
        (GatewayInterest::Optimistic, None, false),
        (GatewayInterest::Auto, Some(GatewayInterest::Optimistic), false),
        (GatewayInterest::Optimistic, Some(GatewayInterest::InterestOnly), false),
    ] {
        let account_interest = account.map(|mode| ("A".into(), mode)).into_iter().collect();
        let mut bench = Bench::new(Gateway { interest, account_interest, ..east() });
        bench.machine.accepted(PEER, &ip(1), 1);
        bench.drain();
        assert_eq!(bench.written.contains("\"gateway_iom\":true"), promise, "{}", bench.written);
        bench.hear(CONNECT).hear(&info("PEER", "peer", "west"));
        assert_eq!(bench.given[0].interest_only, promise);
    }
}

#[test]
fn a_link_that_calls_itself_otherwise_is_ended_and_a_new_address_is_learned() {
    let mut bench = Bench::dialer(east());
    bench.hear(&info("PEER", "peer", "west")).hear("PONG\r\n");
    let tell = |bench: &mut Bench, line: String| {
        let json = line.strip_prefix("INFO ").unwrap().trim_end().as_bytes().to_vec();
        bench.machine.tidings(crate::base::ShardId(0), GatewayTidings::Info { link: PEER, json });
        bench.drain();
    };
    tell(&mut bench, info("PEER", "peer", "west").replace("10.0.0.2:7222", "10.0.0.7:7222"));
    let report = bench.machine.report();
    assert_eq!(report.remotes[0].addresses.len(), 2, "what is configured stays");
    tell(
        &mut bench,
        "INFO {\"server_id\":\"P\",\"gateway\":\"north\",\"gateway_urls\":[\"10.0.0.8:7222\"],\"gateway_cmd\":1}\r\n"
            .into(),
    );
    bench.after(99);
    assert_eq!(bench.dials.len(), 0, "more addresses may be heard of");
    bench.after(1);
    assert_eq!(bench.dials.len(), 1, "gossip is acted upon");
    tell(&mut bench, info("PEER", "peer", "north"));
    let Some(GatewayInstruction::End { link: PEER, says, .. }) = bench.told.pop() else { panic!("{:?}", bench.told) };
    assert!(says.contains("wanted to connect to \"west\", this is \"north\""), "{says}");
}

#[test]
fn long_names_and_long_lines_are_refused() {
    let long = "x".repeat(300);
    Bench::acceptor(east()).hear(CONNECT).hear(&info(&long, "peer", "west")).refused("Parser Error", Cause::Protocol);
    Bench::acceptor(east()).hear(&CONNECT.replace("west", &long)).refused("Parser Error", Cause::Protocol);
    let mut bench = Bench::acceptor(east());
    bench.hear(&format!("CONNECT {{\"x\":\"{}", "y".repeat(70_000)));
    bench.refused("maximum control line exceeded", Cause::Protocol);
}

/// A nats-server dials again without pause.
#[test]
fn links_that_end_at_once_fill_no_log() {
    let mut bench = Bench::new(east());
    for n in 0..1000 {
        let link = Cid(100 + n);
        bench.machine.accepted(link, &ip(1), 1);
        bench.machine.bytes(link, format!("{CONNECT}{}", info("PEER", "peer", "west")).as_bytes());
        let why = "closed".into();
        bench.machine.tidings(crate::base::ShardId(0), GatewayTidings::Ended { link, why });
        bench.after(70);
    }
    let loud: Vec<_> = bench.log.iter().filter(|(level, _)| *level != Level::Debug).collect();
    assert!(bench.said("more times in 60 s: inbound gateway to \"peer\""), "{loud:#?}");
    assert!(loud.len() < 30, "{loud:#?}");
    assert_eq!((bench.failed(Cause::ShortLived), bench.given.len()), (1000, 1000));
}

#[test]
fn a_flood_of_connections_is_bounded() {
    let mut bench = Bench::new(east());
    for n in 0..2000 {
        bench.machine.accepted(Cid(100 + n), &ip(1), 1);
        bench.drain();
    }
    assert!(bench.machine.report().handshakes <= 256);
    assert!(bench.log.len() < 10, "{}", bench.log.len());
}
