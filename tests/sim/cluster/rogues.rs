//! Scenarios with somebody who keeps no rule: he speaks to the route ports, or is dialed as a route. Nobody else is harmed
//! (I13), what he says is bounded (I9, I19, I20), and when he is gone nothing of it remains (I6, I16).

use super::super::case::{Case, Step};
use super::super::garbage::garbage;
use super::super::scenarios::within;
use super::plan::{Cluster, Fault, Kind, Member};
use super::rogue::{Mischief, Talk};
use super::scenarios::{cluster, director, load, servers};
use turnpike::base::Rng;

/// Patterns that one peer may want in these worlds.
pub const INTEREST_MAX: u64 = 2000;

/// A cluster of two or three with clients, and a rogue behind them; now and then it is in somebody's list.
fn with_rogue(rng: &mut Rng, mut mischief: Mischief) -> Case {
    let n = within(rng, 2, 3);
    let mut case = cluster(rng, n);
    let rogue = n as usize;
    mischief.dials = (0..rogue).filter(|at| *at == 0 || rng.one_in(2)).collect();
    let listed = rng.one_in(2);
    let cluster = servers(&mut case);
    if listed {
        cluster.members[0].routes.push(rogue);
    }
    cluster.members.push(Member { kind: Kind::Rogue(mischief), ..Member::default() });
    case.plan.peer_interest_max = INTEREST_MAX;
    // The rogue wants nothing that honest people say.
    for member in 0..rogue {
        let first: usize = servers(&mut case).members[..member].iter().map(|m| m.shards).sum();
        let a = super::super::case::Actor::on(first).does(Step::Meshed);
        case.actors.push(a.does_all((0..3).map(|_| Step::publish("r.0.1", 3))).does(Step::Sync));
    }
    case
}

fn finish(rng: &mut Rng, mut case: Case) -> Case {
    let members = servers(&mut case).members.len();
    let rogue = servers(&mut case).members.pop();
    load(rng, &mut case, 5);
    servers(&mut case).members.extend(rogue);
    debug_assert_eq!(servers(&mut case).members.len(), members);
    let late = servers(&mut case).members[members - 1].late;
    let comes = late.then_some(Step::Fault(Fault::Start(members - 1)));
    let director = director(rng, &case, comes.into_iter().chain([Step::Sleep(3000)]));
    case.actors.push(director);
    case
}

fn greet() -> Talk {
    Talk::Greet("ROGUE-{}", "rogue-{}")
}

/// 60: floods of interest, of accounts that nobody has, ends that never come, sizes that lie.
pub fn rogue_floods(rng: &mut Rng) -> Case {
    let (talk, ends) = match rng.below(5) {
        0 => (vec![Talk::Wants("$G", INTEREST_MAX + 1 + rng.below(3000))], Some("it wants more than")),
        1 => (vec![Talk::Accounts(within(rng, 1000, 10_000)), Talk::Say("RMSG NOBODY x 1\r\nx\r\n".into())], None),
        2 => (vec![Talk::Say("RMSG $G r.x 999999999\r\nabc".into())], Some("Maximum Message Payload Exceeded")),
        3 => (vec![Talk::Say(format!("RMSG $G r.x {}\r\nabc", 1 << 20))], Some("for ")),
        _ => (vec![Talk::Say("RMSG $G r.x 3\r\nabcdef\r\n".into())], Some("Protocol Violation")),
    };
    let says = vec![[vec![greet()], talk].concat()];
    let times = within(rng, 1, 5);
    let pause_ms = within(rng, 1, 2000);
    let case =
        with_rogue(rng, Mischief { times, pause_ms, says, answers: ends != Some("for "), ends, ..Mischief::default() });
    finish(rng, case)
}

/// 61: it goes by our own name or id, or by a member's, and names masses of servers that do not exist.
pub fn rogue_names(rng: &mut Rng) -> Case {
    let (mut says, mut ends) = (Vec::new(), None);
    let kind = rng.below(5);
    match kind {
        // The id of whoever it speaks to first, and of a member.
        0 => {
            says.extend([vec![Talk::Greet("HONEST0", "x")], vec![Talk::Greet("HONEST1", "x")]]);
            ends = Some("");
        }
        1 => says.extend([vec![Talk::Greet("ROGUE-{}", "n0")], vec![Talk::Greet("ROGUE-{}", "n1")]]),
        2 => says.push(vec![greet(), Talk::Names(within(rng, 260, 400))]),
        3 => says.push(vec![
            Talk::Say("CONNECT {\"name\":\"GHOST-0\",\"cluster\":\"c1\"}\r\n".into()),
            Talk::Reaches(within(rng, 260, 400)),
        ]),
        _ => {
            let says_other = "INFO {\"server_id\":\"X\",\"cluster\":\"other\"}\r\n".to_string();
            says.push(vec![greet(), Talk::Say(says_other), Talk::Say("INFO {\r\n".into())]);
            ends = Some("it sent a malformed INFO");
        }
    }
    let (times, pause_ms) = (within(rng, 1, 3), within(rng, 1, 3000));
    let mut case = with_rogue(rng, Mischief { times, pause_ms, says, answers: true, ends, ..Mischief::default() });
    if kind == 0 {
        // Of two under one id the first is believed: it comes when all the honest have met.
        servers(&mut case).members.iter_mut().for_each(|m| m.late = matches!(m.kind, Kind::Rogue(_)));
        servers(&mut case).members[0].id = Some("HONEST0".into());
        servers(&mut case).members[1].id = Some("HONEST1".into());
    }
    finish(rng, case)
}

/// 62: messages and interest for the system account, for accounts of others, and answers with forged hashes.
pub fn rogue_forger(rng: &mut Rng) -> Case {
    let mut talk = vec![greet(), Talk::Wait(within(rng, 500, 3000))];
    for _ in 0..within(rng, 5, 40) {
        talk.push(Talk::Say(match rng.below(8) {
            0 => "RMSG $SYS $SYS.REQ.SERVER.PING 2\r\nhi\r\n".into(),
            1 => "RMSG ACC9 a.b 2\r\nhi\r\n".into(),
            2 => "RMSG ACC1 a.b r.x 2\r\nhi\r\n".into(),
            3 => "RMSG $G a.b 2\r\nhi\r\n".into(),
            4 => "RMSG ACC0 _GR_.aaaaaa.bbbbbb.a.b 2\r\nhi\r\n".into(),
            5 => "RMSG ACC0 _GR_.aaaaaa.bbbbbb._INBOX.1.1 2\r\nhi\r\n".into(),
            6 => "RS+ $SYS >\r\nRS+ ACC1 >\r\n".into(),
            _ => "RMSG ACC1 a.b | q 2\r\nhi\r\nHMSG ACC1 a.b 12 14\r\nNATS/1.0\r\n\r\nhi\r\n".into(),
        }));
    }
    let mischief = Mischief { times: 2, pause_ms: 500, says: vec![talk], answers: true, ..Mischief::default() };
    let mut case = with_rogue(rng, mischief);
    case = finish(rng, case);
    all_in_the_first_account(&mut case);
    case
}

/// Everybody honest is in the first of two accounts: whatever the rogue says in the second must not be heard.
pub fn all_in_the_first_account(case: &mut Case) {
    case.plan.accounts = 2;
    for a in &mut case.actors {
        a.account = 0;
        for step in &mut a.steps {
            if let Step::Sub { pattern, .. } = step {
                // What a server says under a subject of the account is the account's: nobody listens to all.
                if pattern == ">" {
                    *pattern = "a.>".into();
                }
            }
        }
    }
}

/// 63: the lines of a handshake in any order, torn anywhere, to the route port and from it.
pub fn rogue_orders(rng: &mut Rng) -> Case {
    let connect = "CONNECT {\"name\":\"ROGUE\",\"cluster\":\"c1\",\"echo\":true}\r\n";
    let info = "INFO {\"server_id\":\"ROGUE\",\"server_name\":\"rogue\",\"host\":\"10.0.9.9\",\"port\":6222}\r\n";
    let alphabet = [
        connect.to_string(),
        connect.replace("c1", "c2"),
        connect.replace("\"echo\"", "\"lang\":\"go\",\"echo\""),
        connect.replace("\"echo\"", "\"gateway\":\"g\",\"echo\""),
        "CONNECT {\r\n".into(),
        info.to_string(),
        info.replace("\"port\"", "\"route_account\":\"$SYS\",\"port\""),
        info.replace("\"port\"", "\"client_id\":7,\"port\""),
        info.replace("\"port\"", "\"client_id\":7,\"turnpike\":\"1\",\"takes_routes\":true,\"port\""),
        info.replace("\"port\"", "\"gateway\":\"g\",\"port\""),
        info.replace("\"port\"", "\"cluster\":\"c2\",\"port\""),
        info.replace("\"port\"", "\"compression\":\"s2_fast\",\"route_pool_size\":3,\"port\""),
        "INFO {}\r\n".into(),
        "INFO [\r\n".into(),
        "PING\r\n".into(),
        "PONG\r\n".into(),
        "RS+ $G r.0.1\r\n".into(),
        "RMSG $G r.0.1 2\r\nhi\r\n".into(),
        "-ERR 'x'\r\n".into(),
        "+OK\r\n".into(),
    ];
    let mut says = Vec::new();
    for _ in 0..within(rng, 4, 12) {
        let mut talk = Vec::new();
        for _ in 0..within(rng, 1, 4) {
            talk.push(match rng.below(6) {
                0 => Talk::Raw(garbage(rng)),
                _ => Talk::Say(alphabet[rng.below(alphabet.len() as u64) as usize].clone()),
            });
            if rng.one_in(4) {
                talk.push(Talk::Wait(within(rng, 1, 400)));
            }
        }
        says.push(talk);
    }
    let mischief = Mischief { times: says.len() as u64, pause_ms: within(rng, 1, 500), says, ..Mischief::default() };
    let mut case = with_rogue(rng, mischief);
    if rng.one_in(2) {
        guard(servers(&mut case));
    }
    finish(rng, case)
}

/// Routes need a password, which the rogue does not have, and nobody dials it.
fn guard(cluster: &mut Cluster) {
    let rogue = cluster.members.len() - 1;
    for member in &mut cluster.members {
        member.routes.retain(|to| *to != rogue);
        member.login = Some(("route".into(), "secret-right".into()));
        if let Kind::Rogue(mischief) = &mut member.kind {
            mischief.shut_out = true;
        }
    }
}
