//! The handshake of gateways, on either side, and gossip behind it: whatever is said in whatever pieces, the machine is
//! total and bounded; nothing is registered before CONNECT and INFO were right, nothing is said after the end, and every
//! link ends or registers in time.

use turnpike::base::limits::{CLUSTERS_MAX, CLUSTER_URLS_MAX};
use turnpike::base::{Cid, Now, PeerId, ShardId, Time, SECOND};
use turnpike::conn::{GatewayTidings, RouteNews};
use turnpike::gateways::{Act, Dial, Gateways, Identity, Setup};
use turnpike::interest::border::{digest, Rule, RulePlace};
use turnpike::policy::{Borders, Gateway, RemoteGateway, RouteLogin, RouteUrl};

/// The link under test.
const LINK: Cid = Cid(1);

/// The first byte picks the side (and whether a password is asked for, only the list let in, and whether there are rules and a
/// member that has others), the second the length of
/// the pieces; the rest is what the other end says. Once the link is registered, its lines are INFOs of the link and of a
/// member.
pub fn check(data: &[u8]) {
    let [side, piece, said @ ..] = data else { return };
    let (dialer, guarded) = (side & 1 == 1, side & 2 == 2);
    let mut machine = Gateways::new(setup(guarded, side & 4 == 4), now(1));
    if side & 8 == 8 {
        machine.set_borders(&Borders { exports: Some(vec![rule("public.>")]), ..Borders::default() });
        machine.route_news(member());
    }
    machine.time(now(3));
    let dials = acts(&mut machine).dials;
    match dials.first() {
        Some(dial) if dialer => machine.dialed(*dial, Ok((LINK, "10.0.0.2".into(), 7222))),
        _ => machine.accepted(LINK, "10.0.0.2", 5000),
    }
    let (mut ended, mut given) = (false, false);
    for piece in said.chunks(usize::from(*piece).max(1)) {
        machine.bytes(LINK, piece);
        let did = acts(&mut machine);
        assert!(
            !(ended || given) || (!did.closed && !did.gave && !did.wrote),
            "something happened to a link that is none any more"
        );
        assert!(!(did.closed && did.gave), "closed and given at a time");
        (ended, given) = (ended || did.closed, given || did.gave);
    }
    if given {
        let text = String::from_utf8_lossy(said).to_lowercase();
        assert!(text.contains("info") && text.contains("gateway"), "registered without an INFO");
        assert!(dialer || text.contains("connect"), "registered without a CONNECT");
        assert!(dialer || !guarded || text.contains("secret"), "registered without the password");
    }
    for line in said.split(|b| *b == b'\n') {
        let json = line.strip_prefix(b"INFO ").unwrap_or(line).to_vec();
        machine.tidings(ShardId(0), GatewayTidings::Info { link: LINK, json: json.clone() });
        machine.route_news(RouteNews::Gossip { peer: PeerId(3), json });
        acts(&mut machine);
    }
    // No link is left in handshake after the longest wait there is, and nobody is dialed without pause.
    let mut dials = 0;
    for second in 4..100 {
        machine.time(now(second));
        let did = acts(&mut machine);
        for dial in &did.dials {
            machine.dialed(*dial, Err("refused".into()));
        }
        dials += did.dials.len();
        ended |= did.closed;
    }
    assert!(ended || given, "a link neither ended nor was registered");
    let report = machine.report();
    assert!(
        report.remotes.len() <= CLUSTERS_MAX && report.remotes.iter().all(|r| r.addresses.len() <= CLUSTER_URLS_MAX)
    );
    let places: usize = report.remotes.iter().map(|r| r.addresses.len()).sum();
    assert!(dials <= 100 * places.max(1), "{dials} dials of {places} places");
}

fn rule(subject: &str) -> Rule {
    let place = RulePlace { file: 0, line: 1 };
    Rule { subject: subject.as_bytes().into(), cluster: Some("west".into()), account: None, deny: false, place }
}

/// One of us, whose rules are to be told.
fn member() -> RouteNews {
    RouteNews::Member {
        peer: PeerId(3),
        server_id: "M".into(),
        server_name: "m".into(),
        gateway_url: "10.0.0.3:7222".into(),
        reaches: Vec::new(),
        pools: false,
        borders: true,
        border: digest(None, Some(&[rule("a")])).to_string(),
    }
}

fn now(second: u64) -> Now {
    Now { mono: Time(second * SECOND), wall_ns: second * SECOND }
}

#[derive(Default)]
struct Did {
    dials: Vec<Dial>,
    closed: bool,
    gave: bool,
    wrote: bool,
}

/// Takes all outputs.
fn acts(machine: &mut Gateways) -> Did {
    let mut did = Did::default();
    while let Some(act) = machine.poll() {
        match act {
            Act::Dial { dial, .. } => did.dials.push(dial),
            Act::Close { link: LINK } => did.closed = true,
            Act::Give { link: LINK, .. } => did.gave = true,
            Act::Write { link: LINK, bytes } => {
                assert!(bytes.ends_with(b"\r\n"), "half a line");
                did.wrote = true;
            }
            Act::Members { line, .. } => assert!(line.ends_with(b"\r\n")),
            Act::Log { text, .. } => {
                assert!(text.len() < 8192 && !text.contains(|c: char| c.is_control()), "{text:?} in the log");
            }
            _ => {}
        }
    }
    did
}

fn setup(guarded: bool, reject_unknown: bool) -> Setup {
    let login = RouteLogin { user: "u".into(), password: "secret".into() };
    let urls = vec![RouteUrl { host: "10.0.0.2".into(), port: 7222, login: None }];
    let gateway = Gateway {
        name: "east".into(),
        login: guarded.then_some(login),
        remotes: vec![RemoteGateway { name: "west".into(), urls, entries: 1, tls: None }],
        reject_unknown,
        ..Gateway::default()
    };
    let identity = Identity {
        server_id: "ME".into(),
        server_name: "me".into(),
        host: "10.0.0.1".into(),
        port: 7222,
        max_payload: 1 << 20,
        headers: true,
    };
    let accounts = vec!["$G".into(), "$SYS".into()];
    Setup { shards: 1, seed: 1, gateway, identity, accounts, system: Some(1) }
}
