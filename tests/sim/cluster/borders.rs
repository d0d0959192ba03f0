//! The scenarios of clusters with borders (docs/borders.md), how their rules change, and what they must have announced once
//! nothing disturbs them any more. What crosses is judged by `oracle::borders`.

use super::super::case::{Actor, Broken, Case, Step};
use super::super::node;
use super::super::scenarios::{client, pick, within, PATTERNS, SUBJECTS};
use super::super::world::World;
use super::plan::{Fault, Kind, Member};
use super::rogue::{Mischief, Talk};
use super::scenarios::{at, director, load, one, servers};
use super::supernats;
use super::supers::{self, clusters, Lists};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use turnpike::base::Rng;
use turnpike::conn::GatewayInstruction;
use turnpike::interest::border::Rule;
use turnpike::policy::walls::Walls;
use turnpike::policy::{Borders, GatewayInterest};
use turnpike::shard::{Answer, Ask, Order};
use turnpike::wire::gateway::{name_hash, old_hash};

/// What rules are about besides what clients say.
const WIDE: &[&str] = &[">", "*.b", "*.*", "a.*.>", "*.*.c", "a.>"];

impl World {
    /// All servers are given the other rules, as at a reload: each says them to its shards and to others when it comes to it.
    pub(super) fn reload(&mut self) {
        let Some(cluster) = self.case.plan.cluster.as_mut().filter(|c| !c.reloaded) else { return };
        cluster.reloaded = true;
        self.oracle.rules_change();
        self.oracle.label("rules changed");
        if self.case.plan.broken == Broken::KeepsRules {
            return;
        }
        let now = self.now;
        for server in 0..self.servers.len() {
            let gateway = node::settings(&self.case.plan, server).gateway;
            match (self.servers[server].mesh.as_mut(), gateway) {
                (Some(member), Some(gateway)) => member.set_borders(now, &gateway.borders),
                _ => self.read_anew(server),
            }
        }
    }
}

impl World {
    /// A server that is down begins with the rules as they are then.
    fn read_anew(&mut self, server: usize) {
        let walls = Arc::new(Walls::of(&node::settings(&self.case.plan, server), 1));
        let places: Vec<usize> = self.servers[server].places(server).map(|p| p.0).collect();
        for place in places {
            if let Some(node) = self.nodes[place].as_mut() {
                let rules = GatewayInstruction::OurRules { walls: walls.clone(), lines: Vec::new() };
                node.order(Order::InstructGateway(rules));
            }
        }
    }
}

/// What was announced over each link is what is wanted and may enter, in the words of the rules: no more and no less.
pub(super) fn announced(w: &mut World) {
    let Some(cluster) = w.case.plan.cluster.as_ref().filter(|c| !c.rules.is_empty()) else { return };
    let accounts: Vec<String> = match w.case.plan.accounts {
        0 => vec!["$G".into()],
        n => (0..n).map(|i| format!("ACC{i}")).collect(),
    };
    let (mut wrong, mut cut) = (None, false);
    for (shard, node) in w.nodes.iter().enumerate() {
        let (server, Some(node)) = (w.server_at(shard), node) else { continue };
        for (link, tap) in node.taps().filter(|(_, t)| !t.is_route() && !t.sends()) {
            for account in &accounts {
                let told = tap.told.get(account).cloned().unwrap_or_default();
                let counts = |(_, q): &&(String, String)| told.whole || !q.is_empty();
                let is: BTreeSet<_> = told.wants.iter().filter(counts).cloned().collect();
                let all = w.oracle.announced(server, &tap.cluster, account);
                let should: BTreeSet<_> = all.iter().filter(counts).cloned().collect();
                cut |= told.whole && cluster.borders(server).imports.is_some() && !should.is_empty();
                if is != should {
                    let (more, less): (Vec<_>, Vec<_>) =
                        (is.difference(&should).collect(), should.difference(&is).collect());
                    let what = format!("too much {more:?}, too little {less:?}");
                    let to = &tap.cluster;
                    wrong = Some(format!("I6: server {server} has announced to {to} (link {link}) {account} {what}"));
                }
            }
        }
    }
    let only_answers = cluster.only_answers;
    kept_out(w, only_answers);
    if cut {
        w.oracle.label("interest behind a border was announced");
    }
    wrong.into_iter().for_each(|why| w.fail(why));
}

/// What came from other clusters and was held back was counted.
fn kept_out(w: &mut World, only_answers: bool) {
    let (mut entries, mut unnamed) = (0, 0);
    for answer in w.ask(&Ask::GATEWAYS) {
        let Answer::Gateways(report) = answer else { continue };
        entries += report.entries.iter().filter(|e| e.reason == "border").map(|e| e.n).sum::<u64>();
        let of = report.barriers.iter().filter(|t| t.by == "no entry of imports admits it");
        unnamed += of.map(|t| t.n).sum::<u64>();
    }
    if entries > 0 {
        w.oracle.label("a message was held back on receipt");
    }
    let should = w.oracle.too_much();
    if only_answers && unnamed != should {
        w.fail(format!("I23: {unnamed} answers were held back, should be {should}"));
    }
    if only_answers && should > 0 {
        w.oracle.label("answers that were too late or too many were held back");
    }
}

/// A block of rules; now and then none.
fn block(rng: &mut Rng, own: usize, many: usize, accounts: usize) -> Option<Vec<Rule>> {
    if rng.one_in(4) {
        return None;
    }
    let only_denials = rng.one_in(5);
    let rules = (0..if rng.one_in(12) { 0 } else { within(rng, 1, 5) }).map(|_| {
        let cluster = rng.one_in(3).then(|| (own + 1 + rng.below(many as u64) as usize) % (many + 1));
        let cluster = cluster.filter(|c| *c != own).map(|c| format!("c{c}").into());
        let account = rng.one_in(4).then(|| match accounts {
            0 => "$G".into(),
            n => format!("ACC{}", rng.below(n as u64)).into(),
        });
        let subject = match rng.below(4) {
            0 => pick(rng, WIDE),
            1 => pick(rng, SUBJECTS),
            _ => pick(rng, PATTERNS),
        };
        let deny = only_denials || rng.one_in(4);
        Rule { subject: subject.as_bytes().into(), cluster, account, deny, place: Default::default() }
    });
    Some(rules.collect())
}

/// Rules for every cluster of a case, and others that come later.
fn fence(rng: &mut Rng, case: &mut Case) {
    let accounts = case.plan.accounts;
    let many = servers(case).numbers().iter().max().map_or(1, |n| n + 1);
    // Longer than anybody waits here, and over before the end.
    let reply_window = Duration::from_secs(within(rng, 5, 12));
    servers(case).rules = (0..many)
        .map(|own| {
            if rng.one_in(4) {
                // It knows the way back to those with rules for as long.
                let none = Borders { reply_window, ..Borders::default() };
                return [none.clone(), none];
            }
            [0, 1].map(|_| Borders {
                exports: block(rng, own, many, accounts),
                imports: block(rng, own, many, accounts),
                reply_window,
                ..Borders::default()
            })
        })
        .collect();
}

/// Now and then the rules change in the middle, and then somebody speaks again whom nobody can misunderstand.
fn change(rng: &mut Rng, case: &mut Case) {
    if rng.one_in(2) {
        return;
    }
    let boss = case.actors.len();
    let steps = [Step::Sleep(within(rng, 1, 6000)), Step::Fault(Fault::Reload), Step::Sync];
    let director = director(rng, case, steps);
    case.actors.push(director);
    let n = servers(case).members.len() as u64;
    for _ in 0..within(rng, 1, 3) {
        let server = one(rng, 0..n);
        let shard = at(rng, case, server);
        let mut a = client(rng, shard);
        a.account = rng.below(case.plan.accounts.max(1) as u64) as usize;
        a = a.does(Step::sub(pick(rng, PATTERNS))).does(Step::Await { actor: boss, syncs: 1 });
        a = a.does(Step::Sleep(2000)).does(Step::Meshed);
        a = a.does_all(SUBJECTS.iter().map(|s| Step::publish(s, 3)));
        a = a.does_all(SUBJECTS.iter().map(|s| Step::Request(s.to_string())));
        case.actors.push(a.does(Step::Sync));
    }
}

fn modes(rng: &mut Rng, case: &mut Case) {
    for member in &mut servers(case).members {
        if let Some(gate) = &mut member.gate {
            gate.interest = match rng.below(3) {
                0 => GatewayInterest::Auto,
                1 => GatewayInterest::Optimistic,
                _ => GatewayInterest::InterestOnly,
            };
            gate.refused_max = if rng.one_in(2) { within(rng, 0, 4) as usize } else { 1000 };
        }
    }
}

fn divide(rng: &mut Rng, case: &mut Case) {
    case.plan.accounts = rng.below(3) as usize;
    for a in &mut case.actors {
        a.account = rng.below(case.plan.accounts.max(1) as u64) as usize;
    }
}

/// Plain messages, queue groups, requests and their answers through borders of any kind; in any mode, with several accounts.
pub fn border_traffic(rng: &mut Rng) -> Case {
    let mut case = match rng.below(4) {
        0 => supers::super_optimistic(rng),
        1 => supers::super_forward(rng),
        _ => supers::super_routed(rng),
    };
    modes(rng, &mut case);
    divide(rng, &mut case);
    fence(rng, &mut case);
    change(rng, &mut case);
    case
}

/// One group in three clusters, whose messages may enter some of them.
pub fn border_groups(rng: &mut Rng) -> Case {
    let mut case = match rng.below(3) {
        0 => supers::super_nearest(rng),
        _ => supers::super_groups(rng),
    };
    fence(rng, &mut case);
    change(rng, &mut case);
    case
}

/// Answers come back although nobody exports or imports them, whatever server they come out of.
pub fn border_requests(rng: &mut Rng) -> Case {
    let mut case = supers::super_requests(rng);
    // Those whose inbox everybody knows for long.
    let n = servers(&mut case).members.len() as u64;
    for _ in 0..within(rng, 1, 3) {
        let server = one(rng, 0..n);
        let shard = at(rng, &case, server);
        let a = client(rng, shard).does(Step::Meshed).does(Step::Sync).does(Step::Sleep(within(rng, 3000, 5000)));
        let a = Actor { headers: true, ..a };
        case.actors.push(a.does_all(["a.b", "a.c"].map(|s| Step::Request(s.into()))).does(Step::Sync));
    }
    fence(rng, &mut case);
    change(rng, &mut case);
    case
}

/// Answers come late, and more of them than may: what is within the window and the number arrives, the rest is dropped where
/// it was asked and counted, whatever member it comes out of.
pub fn border_reply_within(rng: &mut Rng) -> Case {
    let sizes: Vec<usize> = (0..within(rng, 2, 3)).map(|_| within(rng, 1, 3) as usize).collect();
    let mut case = clusters(rng, &sizes, Lists::All);
    modes(rng, &mut case);
    let (askers, n) = (sizes[0] as u64, sizes.iter().sum::<usize>() as u64);
    let most = within(rng, 1, 4);
    let subjects = ["a.b", "a.c"];
    let shards: Vec<usize> = subjects.map(|_| one(rng, askers..n)).map(|server| at(rng, &case, server)).into();
    let many = within(rng, 1, 3) as usize;
    for (subject, shard) in subjects.iter().zip(shards) {
        let a = Actor::on(shard).does(Step::sub(subject)).does(Step::Sync).does(Step::Meshed);
        // When all have asked. One of the answers is one too many, or all come in time.
        let a = a.does_all((0..many).map(|n| Step::Await { actor: subjects.len() + n, syncs: 1 }));
        let a = a.does(Step::Sleep(300)).does(Step::Answer { times: within(rng, 1, 5), most, late: false });
        let a = a.does(Step::Sync).does(Step::Sleep(300)).does(Step::Answer { times: 1, most, late: false });
        let a = a.does(Step::Sync).does(Step::Sleep(7000)).does(Step::Answer { times: 1, most, late: true });
        case.actors.push(a.does(Step::Sync));
    }
    for _ in 0..many {
        let server = one(rng, 0..askers);
        let shard = at(rng, &case, server);
        let a = Actor { headers: true, ..Actor::on(shard) }.does(Step::Meshed);
        let a = a.does_all((0..subjects.len()).map(|actor| Step::Await { actor, syncs: 1 })).does(Step::Sleep(1500));
        let asks = (0..within(rng, 1, 4)).map(|_| Step::Request(pick(rng, &subjects).into()));
        case.actors.push(a.does_all(asks.collect::<Vec<_>>()).does(Step::Sync));
    }
    // Nothing but the questions enters as any message; the way back is known for longer than it is open.
    let entry = Rule {
        subject: b"a.*".as_slice().into(),
        cluster: None,
        account: None,
        deny: false,
        place: Default::default(),
    };
    let borders = |seconds: u64, reply_max: Option<u32>| {
        let imports = Some(vec![entry.clone()]);
        let borders = Borders { imports, reply_window: Duration::from_secs(seconds), reply_max, ..Borders::default() };
        [borders.clone(), borders]
    };
    let mine = borders(5, Some(most as u32));
    servers(&mut case).rules = std::iter::once(mine).chain(sizes[1..].iter().map(|_| borders(14, None))).collect();
    servers(&mut case).only_answers = true;
    case
}

/// Clusters with borders beside clusters of nats-servers, which know of none: our side's rules hold, and nothing else does.
pub fn border_nats(rng: &mut Rng) -> Case {
    let mut case = match rng.below(4) {
        0 => supernats::super_nats_requests(rng),
        1 => supernats::super_nats_groups(rng),
        2 => supernats::super_nats_optimistic(rng),
        _ => supernats::super_nats_routed(rng),
    };
    fence(rng, &mut case);
    let numbers = servers(&mut case).numbers();
    let plan = servers(&mut case);
    for (at, member) in plan.members.iter().enumerate() {
        if member.kind != Kind::Turnpike {
            plan.rules[numbers[at]] = [Borders::default(), Borders::default()];
        }
    }
    change(rng, &mut case);
    case
}

/// Everything that can happen to several clusters, with borders.
pub fn border_storm(rng: &mut Rng) -> Case {
    let mut case = match rng.below(3) {
        0 => supers::super_restart(rng),
        1 => supers::super_group_count(rng),
        _ => supers::super_storm(rng),
    };
    fence(rng, &mut case);
    change(rng, &mut case);
    case
}

/// Rules change, and what others say of that is made ready late: interest that was told behind it is served all the same.
pub fn border_slow(rng: &mut Rng) -> Case {
    let mut case = if rng.one_in(2) { border_traffic(rng) } else { border_requests(rng) };
    servers(&mut case).slow_rules = true;
    case
}

/// What is held back is counted, by cluster and by rule, on the way out and on receipt.
pub fn border_counted(rng: &mut Rng) -> Case {
    let mut case = super::counted::super_counted(rng);
    fence(rng, &mut case);
    case
}

/// Somebody of a cluster that nobody exports to or imports from sends what he was not allowed to, answers requests that
/// others were sent, by way of whatever server, and wants everything.
pub fn border_rogue(rng: &mut Rng) -> Case {
    let sizes: Vec<usize> = (0..within(rng, 2, 3)).map(|_| within(rng, 1, 2) as usize).collect();
    let mut case = clusters(rng, &sizes, Lists::All);
    let rogue: usize = sizes.iter().sum();
    modes(rng, &mut case);
    load(rng, &mut case, 6);
    // Those who ask are answered by those who were asked.
    for server in 0..rogue {
        let shard = at(rng, &case, server);
        let a = Actor { responds: true, ..Actor::on(shard) };
        case.actors.push(a.does(Step::sub("a.b")).does(Step::Sync));
        let shard = at(rng, &case, server);
        let a = Actor::on(shard).does(Step::Meshed).does(Step::Sleep(within(rng, 1, 1500)));
        case.actors.push(a.does_all((0..3).map(|_| Step::Request("a.b".into()))).does(Step::Sync));
    }
    let hash = |name: &str| String::from_utf8_lossy(&name_hash::<6>(name)).into_owned();
    let plan = servers(&mut case).clone();
    let mut talk = vec![Talk::Link("cx", 0), Talk::Wait(within(rng, 500, 2000))];
    for _ in 0..within(rng, 20, 120) {
        let server = one(rng, 0..rogue as u64);
        let (cluster, id) =
            (plan.members[server].cluster.clone().unwrap_or_default(), super::member::server_id(&plan, server, 1));
        let inbox = format!("_INBOX.{}.{}", rng.below(12), within(rng, 1, 4));
        let old = String::from_utf8_lossy(&old_hash(&cluster)).into_owned();
        let (cluster, id) = (hash(&cluster), hash(&id));
        talk.push(Talk::Say(match rng.below(8) {
            0 => format!("RMSG $G {} 2\r\nhi\r\n", pick(rng, SUBJECTS)),
            1 => format!("RMSG $G {} {inbox} 2\r\nhi\r\n", pick(rng, SUBJECTS)),
            2 => format!("RMSG $G {} | q r 2\r\nhi\r\n", pick(rng, SUBJECTS)),
            3 => format!("RMSG $G {inbox} 2\r\nhi\r\n"),
            4 => format!("RMSG $G _GR_.{cluster}.{id}.{} 2\r\nhi\r\n", pick(rng, SUBJECTS)),
            5 => (0..54).map(|n| format!("RMSG $G $GR.{old}._INBOX.{}.{} 2\r\nhi\r\n", n / 3, n % 3 + 1)).collect(),
            6 => format!("RMSG $G _GR_.{cluster}.{id}.{inbox} 2\r\nhi\r\n"),
            // To whatever was asked by now.
            _ => (0..54)
                .map(|n| format!("RMSG $G _GR_.{cluster}.{id}._INBOX.{}.{} 2\r\nhi\r\n", n / 3, n % 3 + 1))
                .collect(),
        }));
        if rng.one_in(4) {
            talk.push(Talk::Wait(within(rng, 1, 300)));
        }
    }
    let replies = vec![Talk::Link("cx", 0), Talk::Say("RS+ $G >\r\nRS+ $G > q 1\r\nRS+ $G a.b q 1\r\n".into())];
    let mischief = Mischief {
        dials: (0..rogue).filter(|at| *at == 0 || rng.one_in(2)).collect(),
        times: within(rng, 1, 4),
        pause_ms: within(rng, 1, 2000),
        says: vec![talk],
        replies: vec![replies],
        answers: true,
        gateway: Some("cx"),
        ..Mischief::default()
    };
    servers(&mut case).rules = without_rogue(rng, sizes.len());
    servers(&mut case).members.push(Member { kind: Kind::Rogue(mischief), ..Member::default() });
    let boss: Actor = director(rng, &case, [Step::Sleep(3000), Step::Sync]);
    case.actors.push(boss);
    case
}

/// Rules of so many clusters that name each other, or shut out the rogue's.
fn without_rogue(rng: &mut Rng, many: usize) -> Vec<[Borders; 2]> {
    let one = |cluster: &str, deny: bool, subject: &str| Rule {
        subject: subject.as_bytes().into(),
        cluster: Some(cluster.into()),
        account: None,
        deny,
        place: Default::default(),
    };
    let every = |rng: &mut Rng| match rng.one_in(3) {
        true => vec![one("cx", true, ">")],
        false => (0..many).map(|c| one(&format!("c{c}"), false, pick(rng, &[">", "a.>", "*.*"]))).collect(),
    };
    let reply_window = Duration::from_secs(within(rng, 5, 12));
    let mut both =
        || Borders { exports: Some(every(rng)), imports: Some(every(rng)), reply_window, ..Borders::default() };
    (0..many).map(|_| [both(), both()]).collect()
}
