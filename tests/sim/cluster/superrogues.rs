//! Scenarios of clusters with somebody who speaks to gateways, or is dialed as one, and keeps no rule. Nobody else is harmed
//! (I13), what he says is bounded (I9, I19, I20), and when he is gone the clusters are as they were (I8, I16).

use super::super::case::{Actor, Case, Step};
use super::super::garbage::garbage;
use super::super::scenarios::within;
use super::plan::{Fault, Kind, Member};
use super::rogue::{Mischief, Talk};
use super::rogues::{all_in_the_first_account, INTEREST_MAX};
use super::scenarios::{director, load, servers};
use super::supers::{clusters, Lists};
use turnpike::base::Rng;
use turnpike::wire::gateway::name_hash;

/// Two or three clusters with clients, and a rogue who dials some of their servers; now and then he is in somebody's list
/// as a cluster of his own.
fn with_rogue(rng: &mut Rng, mut mischief: Mischief, late: bool) -> Case {
    let sizes: Vec<usize> = (0..within(rng, 2, 3)).map(|_| within(rng, 1, 2) as usize).collect();
    let mut case = clusters(rng, &sizes, Lists::All);
    let rogue: usize = sizes.iter().sum();
    mischief.dials = (0..rogue).filter(|at| *at == 0 || rng.one_in(2)).collect();
    let listed = !mischief.replies.is_empty() && rng.one_in(2);
    let gate = servers(&mut case).members[0].gate.as_mut();
    gate.into_iter().filter(|_| listed).for_each(|g| g.lists.push(("cx".into(), rogue)));
    case.plan.peer_interest_max = INTEREST_MAX;
    // The rogue wants nothing that honest people say; this is what he wants.
    for member in 0..rogue {
        let first: usize = servers(&mut case).members[..member].iter().map(|m| m.shards).sum();
        let a = Actor::on(first).does(Step::Meshed);
        case.actors.push(a.does_all((0..3).map(|_| Step::publish("r.1", 3))).does(Step::Sync));
    }
    load(rng, &mut case, 5);
    servers(&mut case).members.push(Member { kind: Kind::Rogue(mischief), late, ..Member::default() });
    let lasts = if late { 40_000 } else { 3000 };
    let comes = late.then_some(Step::Fault(Fault::Start(rogue)));
    let boss = director(rng, &case, comes.into_iter().chain([Step::Sleep(lasts), Step::Sync]));
    case.actors.push(boss);
    case
}

/// Of a cluster of its own, says this over each connection that it makes, and that over those made to it.
fn mischief(rng: &mut Rng, says: Vec<Talk>, replies: Vec<Talk>) -> Mischief {
    let (says, replies) = (vec![says], if replies.is_empty() { Vec::new() } else { vec![replies] });
    let (times, pause_ms) = (within(rng, 1, 4), within(rng, 1, 2000));
    Mischief { times, pause_ms, says, replies, answers: true, gateway: Some("cx"), ..Mischief::default() }
}

fn line(text: &str) -> Talk {
    Talk::Say(format!("{text}\r\n"))
}

const LINK: Talk = Talk::Link("cx", 0);
/// "$G" is told of.
const BEGINS: &str = "INFO {\"gateway\":\"cx\",\"gateway_cmd\":2,\"gateway_cmd_payload\":\"JEc=\"}";

/// 60: floods of interest, of refusals and of accounts that nobody has, from whoever was dialed; interest from who dialed;
/// sizes that lie.
pub fn super_rogue_floods(rng: &mut Rng) -> Case {
    let many = INTEREST_MAX + 1 + rng.below(3000);
    let (most, none) = (Some("more than 2000 subjects"), Vec::new());
    let (says, replies, ends) = match rng.below(8) {
        // All its interest, all it refuses, and none of it ever taken back.
        0 => (vec![LINK], vec![LINK, line(BEGINS), Talk::Many("RS+ $G r.{}", many)], most),
        1 => (vec![LINK], vec![LINK, Talk::Many("RS- $G r.{}", many)], most),
        2 => (vec![LINK], vec![LINK, Talk::Many("RS+ $G r.{} q 1", many)], most),
        3 => {
            let accounts = within(rng, 1000, 8000);
            let floods = vec![Talk::Many("RS+ NOBODY{} r.x", accounts), Talk::Many("A- NOBODY{}", accounts)];
            let says = vec![LINK, Talk::Many("RMSG NOBODY{} r.x 1\r\nx", accounts)];
            (says, [vec![LINK], floods].concat(), None)
        }
        4 => (vec![LINK, Talk::Many("RS+ $G r.{}", 10)], none, Some("")),
        5 => (vec![LINK], vec![LINK, line("RMSG $G r.x 1\r\nx")], Some("")),
        6 => (vec![LINK, Talk::Say("RMSG $G r.x 999999999\r\nabc".into())], none, Some("")),
        _ => (vec![LINK, line("RMSG $G r.x 3\r\nabcdef")], none, Some("")),
    };
    let mut mischief = mischief(rng, says, replies);
    if let Some(words) = ends {
        // Where its answers are what ends it, it is dialed back and dials not itself.
        (mischief.ends, mischief.times) = (Some(words), 2);
    }
    with_rogue(rng, mischief, false)
}

/// 61: it calls itself what another cluster, or the one it speaks to, is called; names masses of addresses and of clusters
/// that do not exist; is another cluster than it was dialed as.
pub fn super_rogue_names(rng: &mut Rng) -> Case {
    let ghosts = within(rng, 260, 600);
    let gossip = "INFO {\"gateway\":\"ghost{}\",\"gateway_urls\":[\"10.96.0.{}:7222\"],\"gateway_cmd\":1}";
    let (kind, clusters) = (rng.below(6), within(rng, 130, 250));
    let mut m = match kind {
        // Another's name: it comes when all the honest have met.
        0 => mischief(rng, vec![Talk::Link("c1", 0), Talk::Wait(60_000)], vec![Talk::Link("c1", 0)]),
        // The name of whoever it speaks to first, and perhaps of others.
        1 => mischief(rng, vec![Talk::Link("c0", 0), Talk::Wait(60_000)], Vec::new()),
        2 => mischief(rng, vec![Talk::Link("cx", ghosts)], vec![Talk::Link("cx", ghosts)]),
        3 => mischief(rng, vec![LINK], vec![LINK, Talk::Many(gossip, clusters)]),
        4 => mischief(rng, vec![LINK], vec![Talk::Link("cy", 0)]),
        _ => mischief(rng, vec![LINK], vec![LINK, line("INFO {\"gateway\":\"cz\"}"), line("INFO {")]),
    };
    match kind {
        0 => m.named = Some("two clusters call themselves \"c1\""),
        1 => m.named = Some("calls itself this cluster"),
        4 => m.named = Some("is not the cluster it was dialed as"),
        5 => m.named = Some("calls its cluster \"cz\" now"),
        _ => {}
    }
    if kind == 0 {
        (m.times, m.pause_ms) = (1, 1000);
    }
    with_rogue(rng, m, kind == 0)
}

/// 62: messages for the system account and for accounts of others, answers to requests that nobody made, with hashes of
/// anybody and of these servers.
pub fn super_rogue_forger(rng: &mut Rng) -> Case {
    let hash = |name: &str| String::from_utf8_lossy(&name_hash::<6>(name)).into_owned();
    let (own, server) = (hash("c0"), hash(&super::member::server_id(&super::plan::Cluster::star(&[1]), 0, 1)));
    let mut talk = vec![LINK, Talk::Wait(within(rng, 500, 3000))];
    for _ in 0..within(rng, 5, 40) {
        talk.push(line(&match rng.below(9) {
            0 => "RMSG $SYS $SYS.REQ.SERVER.PING 2\r\nhi".to_string(),
            1 => "RMSG ACC9 a.b 2\r\nhi".into(),
            2 => "RMSG ACC1 a.b r.x 2\r\nhi".into(),
            3 => "RMSG $G a.b 2\r\nhi".into(),
            4 => "RMSG ACC0 _GR_.aaaaaa.bbbbbb.a.b 2\r\nhi".into(),
            5 => format!("RMSG ACC1 _GR_.{own}.{server}.a.b 2\r\nhi"),
            6 => format!("RMSG ACC1 _GR_.{own}.cccccc._INBOX.1.1 2\r\nhi"),
            7 => "RMSG ACC0 $GR.aaaa.a.b 2\r\nhi\r\nRMSG ACC0 _GR_. 2\r\nhi\r\nRMSG ACC0 _GR_.x 2\r\nhi".into(),
            _ => "RMSG ACC1 a.b | q 2\r\nhi\r\nHMSG ACC1 a.b 12 14\r\nNATS/1.0\r\n\r\nhi".into(),
        }));
    }
    let replies = vec![LINK, line("RS+ $SYS >\r\nRS+ ACC1 > q 1\r\nA- ACC1\r\nA+ $SYS"), line(BEGINS)];
    let mischief = mischief(rng, talk, replies);
    let mut case = with_rogue(rng, mischief, false);
    all_in_the_first_account(&mut case);
    case
}

/// 63: the lines of a handshake in any order, torn anywhere, from who dials and from who is dialed.
pub fn super_rogue_orders(rng: &mut Rng) -> Case {
    let connect = "CONNECT {\"name\":\"ROGUE\",\"gateway\":\"cx\"}";
    let info = "INFO {\"server_id\":\"ROGUE\",\"server_name\":\"rogue\",\"gateway\":\"cx\",\"gateway_nrp\":true}";
    let alphabet = [
        connect.to_string(),
        connect.replace("cx", "c0"),
        connect.replace("\"name\"", "\"lang\":\"go\",\"name\""),
        "CONNECT {\"name\":\"ROGUE\",\"cluster\":\"c0\"}".into(),
        "CONNECT {".into(),
        info.to_string(),
        info.replace("cx", "c0"),
        info.replace("rogue", "n0"),
        info.replace("\"gateway\":\"cx\"", "\"cluster\":\"c0\",\"client_id\":7"),
        info.replace("\"gateway_nrp\"", "\"gateway_cmd\":2,\"gateway_nrp\""),
        "INFO {}".into(),
        "INFO [".into(),
        "PING".into(),
        "PONG".into(),
        "RS+ $G r.1".into(),
        "RS- $G r.1".into(),
        "A- $G".into(),
        "RMSG NOBODY r.1 | q 2\r\nhi".into(),
        "-ERR 'x'".into(),
        "+OK".into(),
    ];
    let talks = |rng: &mut Rng| {
        let mut all = Vec::new();
        for _ in 0..within(rng, 4, 12) {
            let mut talk = Vec::new();
            for _ in 0..within(rng, 1, 4) {
                talk.push(match rng.below(6) {
                    0 => Talk::Raw(garbage(rng)),
                    _ => line(&alphabet[rng.below(alphabet.len() as u64) as usize]),
                });
                if rng.one_in(4) {
                    talk.push(Talk::Wait(within(rng, 1, 400)));
                }
            }
            all.push(talk);
        }
        all
    };
    let (says, replies) = (talks(rng), talks(rng));
    let (times, pause_ms) = (says.len() as u64, within(rng, 1, 500));
    let m = Mischief { times, pause_ms, says, replies, gateway: Some("cx"), ..Mischief::default() };
    with_rogue(rng, m, false)
}
