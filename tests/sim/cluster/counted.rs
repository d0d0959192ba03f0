//! What servers remember and count of messages between clusters, once nothing disturbs them any more: ways back are
//! forgotten when their time is over (I9), and what became of each account's messages towards each other cluster is what
//! the oracle says (I23).

use super::super::case::{Actor, Case, Step};
use super::super::oracle::Crossed;
use super::super::scenarios::{client, pick, publishes, within, PATTERNS, SUBJECTS};
use super::super::world::World;
use super::scenarios::{at, one, servers};
use super::supers::{clusters, Lists};
use std::collections::BTreeMap;
use turnpike::base::Rng;
use turnpike::shard::{Answer, Ask};

/// No shard remembers the way of an answer, or what was wanted lately, seconds after the last request.
pub fn forgotten(w: &mut World) {
    if !w.is_super() {
        return;
    }
    for answer in w.ask(&Ask::TALLY) {
        let Answer::Tally(t) = answer else { continue };
        if t.ways_back + t.recent + t.grants > 0 {
            let (ways, new, open) = (t.ways_back, t.recent, t.grants);
            w.fail(format!("I9: {ways} ways back, {new} new patterns, {open} open requests are remembered for ever"));
        }
    }
}

/// What became of messages to other clusters, as each server counts it.
pub fn crossings(w: &mut World) {
    let Some(cluster) = w.case.plan.cluster.clone().filter(|_| w.is_super() && w.case.plan.exact) else { return };
    let numbers = cluster.numbers();
    let name = |at: usize| cluster.members[at].cluster.clone().unwrap_or_default();
    let number: BTreeMap<String, usize> = (0..numbers.len()).map(|at| (name(at), numbers[at])).collect();
    let shards = 0..w.nodes.len();
    let places: Vec<usize> = shards.filter(|s| w.nodes[*s].is_some() && w.server_of(*s).up).collect();
    let answers = w.ask(&Ask::GATEWAYS);
    let (mut barriers, mut entries) = (0, BTreeMap::new());
    let mut sums: BTreeMap<(usize, usize, String), (Crossed, u64)> = BTreeMap::new();
    for (shard, answer) in places.into_iter().zip(answers) {
        let Answer::Gateways(report) = answer else { continue };
        barriers += report.barriers.iter().map(|t| t.n).sum::<u64>();
        for e in report.entries.iter().filter(|e| e.reason == "border") {
            let from = number.get(&e.cluster).copied().unwrap_or(usize::MAX);
            *entries.entry((from, numbers[w.server_at(shard)])).or_insert(0) += e.n;
        }
        for t in report.tallies {
            let dropped = |why: &str| t.drops.iter().filter(|(name, _)| *name == why).map(|(_, n)| n).sum::<u64>();
            let key = (w.server_at(shard), number.get(&t.cluster).copied().unwrap_or(usize::MAX), t.account.clone());
            let (sum, nearer) = sums.entry(key).or_default();
            sum.published += t.published;
            sum.sent += t.sent;
            sum.straight += dropped("answered_straight");
            *nearer += dropped("served_nearer");
            sum.held += dropped("border");
            sum.held_there += dropped("their_border");
            let all: u64 = t.drops.iter().map(|(_, n)| n).sum();
            let known = ["answered_straight", "served_nearer", "border", "their_border"].map(dropped);
            if all > known.iter().sum() {
                w.fail(format!("I23: something was dropped, and nothing has gone wrong: {t:?}"));
            }
        }
    }
    let held: u64 = sums.values().map(|(s, _)| s.held + s.held_there).chain(entries.values().copied()).sum();
    if barriers != held {
        w.fail(format!("I23: {held} messages were held back by borders, {barriers} by their rules"));
    }
    let many = numbers.iter().max().map_or(0, |n| n + 1);
    for (from, to) in (0..many).flat_map(|a| (0..many).map(move |b| (a, b))).filter(|(a, b)| a != b) {
        let (is, should) = (entries.get(&(from, to)).copied().unwrap_or(0), w.oracle.kept_out(from, to));
        if is != should {
            w.fail(format!("I23: cluster {to} counts {is} messages of {from} held back, should be {should}"));
        }
    }
    if held > 0 {
        w.oracle.label("what a border held back was counted");
    }
    for ((server, cluster, account), (mut is, nearer)) in sums {
        is.suppressed = is.published.wrapping_sub(is.sent + is.straight + is.held + is.held_there + nearer);
        let should = w.oracle.crossed(server, cluster, &account);
        if is != should {
            w.fail(format!(
                "I23: server {server} counts for cluster {cluster} and {account} {is:?}, should {should:?}"
            ));
        }
        if should.held_there > 0 {
            w.oracle.label("a message was held back by what another cluster lets in");
        }
        if should.suppressed > 0 && nearer > 0 {
            w.oracle.label("what was suppressed and what was served nearer was counted");
        }
    }
}

/// I23: all that is wanted is known before anybody publishes; then it is published, asked and answered.
pub fn super_counted(rng: &mut Rng) -> Case {
    let sizes: Vec<usize> = (0..within(rng, 2, 3)).map(|_| within(rng, 1, 2) as usize).collect();
    let lists = if rng.one_in(2) { Lists::All } else { Lists::Chain };
    let mut case = clusters(rng, &sizes, lists);
    case.plan.exact = true;
    let n = servers(&mut case).members.len() as u64;
    let subscribers = within(rng, 1, 5) as usize;
    for _ in 0..subscribers {
        let server = one(rng, 0..n);
        let shard = at(rng, &case, server);
        let mut a = Actor { responds: rng.one_in(2), ..client(rng, shard) };
        for _ in 0..within(rng, 1, 3) {
            a = a.does(match rng.below(3) {
                0 => Step::sub(pick(rng, PATTERNS)),
                _ => Step::queue(pick(rng, &["a.b", "a.*", "d"]), pick(rng, &["q", "r"])),
            });
        }
        case.actors.push(a.does(Step::Sync));
    }
    for _ in 0..within(rng, 2, 5) {
        let server = one(rng, 0..n);
        let shard = at(rng, &case, server);
        let mut a = client(rng, shard).does(Step::Meshed);
        a = a.does_all((0..subscribers).map(|actor| Step::Await { actor, syncs: 1 })).does(Step::Sleep(1500));
        let many = within(rng, 1, 20);
        a = a.does_all(publishes(rng, many, SUBJECTS));
        for _ in 0..rng.below(6) {
            a = a.does(Step::Request(pick(rng, SUBJECTS).into()));
        }
        case.actors.push(a.does(Step::Sync));
    }
    case.plan.accounts = rng.below(3) as usize;
    for a in &mut case.actors {
        a.account = rng.below(case.plan.accounts.max(1) as u64) as usize;
    }
    case
}
