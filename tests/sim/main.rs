//! The deterministic simulator: whole nodes of shards, pipes, clients and time in one thread, driven by one seed.
//!
//! `cargo test --test sim` sweeps a few hundred seeds; `scripts/sim` as many as one likes. A failure prints the line
//! that repeats it. What is checked stands in `oracle` and `checks`, what happens in `scenarios`.

mod case;
mod checks;
mod client;
mod cluster;
mod crowd;
mod garbage;
mod identities;
mod node;
mod oracle;
mod pipes;
mod rights;
mod run;
mod scenarios;
mod shared;
mod slow;
mod speech;
mod traced;
mod world;

use case::Broken;
use std::collections::BTreeMap;

/// Rare things that the sweep must have met, or it does not test what it claims to.
const MUST_BE_MET: &[&str] = &[
    "503",
    "a client went on elsewhere",
    "a cluster was read anew",
    "a dial for $SYS was answered",
    "a gap was named",
    "a service's answer came back",
    "a service was asked",
    "a stream was heard in another account",
    "a subject became another",
    "a lame duck has gone",
    "a message went to another cluster",
    "a missing way back was named",
    "a refused account was wanted again",
    "a lame duck sent a client away",
    "a nats-server closed a second connection",
    "a nats-server heard of a lame duck",
    "a nats-server heard of a third cluster",
    "a nats-server passed an answer on",
    "a nats-server was told of a cluster by a member",
    "a nats-server was told of a member",
    "a ring was full",
    "a rogue's connection was ended",
    "a subscription refused for want of memory",
    "an account was refused",
    "answers that were too late or too many were held back",
    "an answer went straight back",
    "another cluster served a group",
    "a message was held back by what another cluster lets in",
    "a message was held back on receipt",
    "bcrypt password checked",
    "interest behind a border was announced",
    "rules changed",
    "what a border held back was counted",
    "drained",
    "hostile client cut",
    "large batch",
    "-ERR for a hostile client",
    "publisher paused",
    "publisher resumed",
    "refusals gave way to the whole interest",
    "server's PING answered",
    "a publication denied",
    "a subscription denied",
    "slow consumer cut",
    "slow consumer in monitoring",
    "slow consumer passed over",
    "a message was traced",
    "a message was traced and kept",
    "a traced message went on to another server",
    "users were read anew",
];

#[test]
fn sweep() {
    // The numbers are weights; half of them are what the twenty minutes of CI have room for.
    let work: Vec<(&str, u64)> = scenarios::ALL.iter().map(|(name, _, n)| (*name, n.div_ceil(2))).collect();
    let sum = run::sweep(&work, 1);
    assert!(sum.wrong.is_empty(), "{}", sum.wrong.join("\n"));
    assert!(sum.seeds >= 500, "{} seeds", sum.seeds);
    println!("{} seeds, {} events, {:?}", sum.seeds, sum.events, sum.labels);
    for label in MUST_BE_MET {
        assert!(sum.labels.contains_key(label), "never met: {label}; met: {:?}", sum.labels);
    }
}

/// Seeds that once found something: `scenario seed`, and behind `#` what it was.
#[test]
fn old_culprits() {
    for line in include_str!("seeds.txt").lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some((name, seed)) = line.split_once(' ') {
            let seed = seed.trim().parse().expect("a seed is a number");
            if let Err(report) = run::check(name, seed) {
                panic!("{report}");
            }
        }
    }
}

/// Each rule of the contract between shell and shard, and of what servers do to each other, broken on purpose: the
/// simulator must notice.
#[test]
fn broken_rules_are_caught() {
    for (broken, name) in [
        (Broken::WritesFirst, "promise"),
        (Broken::ParsesFirst, "promise"),
        (Broken::RingUnordered, "crossing"),
        (Broken::RingLoses, "tight_rings"),
        (Broken::NeverWritable, "bulk"),
        (Broken::NoTime, "lone_slow"),
        (Broken::NeverWaits, "lone_slow"),
        (Broken::NeverResumes, "lone_slow"),
        (Broken::InterestLate, "routed"),
        (Broken::Relays, "routed"),
        (Broken::Bounces, "routed"),
        (Broken::EndsUnheard, "lost_member"),
        (Broken::ClosesSecond, "restarts"),
        (Broken::TellsTwice, "mixed"),
        (Broken::SaysNothing, "mixed"),
        (Broken::MixesAccounts, "rogue_forger"),
        (Broken::NoLimit, "rogue_floods"),
        (Broken::NoPermissions, "rights"),
        (Broken::NoShares, "shared"),
        (Broken::NoRewrites, "shared"),
        (Broken::LosesParts, "traced"),
        (Broken::NoPermissions, "routed_rights"),
        (Broken::KeepsRules, "routed_reloads"),
        (Broken::LeavesAtOnce, "lame_duck"),
    ] {
        must_be_caught(broken, name);
    }
}

/// The same of what clusters do to each other.
#[test]
fn broken_rules_between_clusters_are_caught() {
    for (broken, name) in [
        (Broken::Relays, "super_forward"),
        (Broken::Circles, "super_routed"),
        (Broken::ForgetsEnds, "super_groups"),
        (Broken::PlainReplies, "super_requests"),
        (Broken::MixesAccounts, "super_refused_account"),
        (Broken::TellsTwice, "super_nats_routed"),
        (Broken::PlainReplies, "super_nats_requests"),
        (Broken::PlainReplies, "super_nats_pairs"),
        (Broken::ForgetsEnds, "super_nats_optimistic"),
        (Broken::Circles, "super_nats_third"),
        (Broken::ForgetsEnds, "super_nats_groups"),
        (Broken::ForgetsBeginnings, "super_nats_thousand"),
        (Broken::ForgetsBeginnings, "super_nats_account"),
        (Broken::Unmeasured, "super_nearest"),
        (Broken::Unmeasured, "super_nats_nearest"),
        (Broken::Circles, "super_nats_mixed"),
        (Broken::EndsUnheard, "super_nats_faults"),
        (Broken::NoLimit, "super_rogue_floods"),
        (Broken::MixesAccounts, "super_rogue_forger"),
        (Broken::NoExports, "border_traffic"),
        (Broken::NoExports, "border_counted"),
        (Broken::NoImports, "border_traffic"),
        (Broken::TakesAll, "border_rogue"),
        (Broken::KeepsRules, "border_traffic"),
        (Broken::NoReplyMax, "border_reply_within"),
        (Broken::NoReplyWindow, "border_reply_within"),
        (Broken::NoExports, "border_nats"),
        (Broken::NoImports, "border_nats"),
        (Broken::PlainReplies, "border_nats"),
        (Broken::DeafToRules, "border_groups"),
        (Broken::DeafToRules, "border_counted"),
        (Broken::PlainReplies, "border_requests"),
    ] {
        must_be_caught(broken, name);
    }
}

fn must_be_caught(broken: Broken, name: &str) {
    let caught = run::caught_after(name, broken, 60);
    let (seeds, why) = caught.unwrap_or_else(|| panic!("{broken:?} was not noticed in scenario {name}"));
    println!("{broken:?}: caught after {seeds} seeds of {name}: {why}");
}

/// Shrinking keeps the failure and leaves less.
#[test]
fn shrinking_leaves_a_smaller_failure() {
    let (seeds, why) = run::caught_after("promise", Broken::ParsesFirst, 60).expect("caught");
    let mut case = run::case(run::named("promise"), seeds - 1);
    case.plan.broken = Broken::ParsesFirst;
    let (small, seed) = run::shrink(&case, seeds - 1, &why);
    let steps = |c: &case::Case| c.actors.iter().map(|a| a.steps.len()).sum::<usize>();
    assert!(steps(&small) < steps(&case));
    assert!(run::run(&small, seed, false).wrong.is_some());
}

/// What `scripts/sim` runs; it sets the variables.
#[test]
#[ignore = "run by scripts/sim"]
fn many() {
    let var = |name: &str| std::env::var(name).ok();
    let number = |name: &str| var(name).map(|v| v.parse::<u64>().expect("a number"));
    let only = var("SIM_SCENARIO");
    let first = number("SIM_SEED").unwrap_or_else(|| number("SIM_FIRST").unwrap_or(1));
    let seeds = if var("SIM_SEED").is_some() { 1 } else { number("SIM_SEEDS").unwrap_or(10_000) };
    let chosen: Vec<_> = scenarios::ALL.iter().filter(|(n, _, _)| only.as_deref().is_none_or(|o| o == *n)).collect();
    assert!(!chosen.is_empty(), "no such scenario");
    let weight: u64 = chosen.iter().map(|(_, _, n)| n).sum();
    let (begun, mut labels, mut done, mut wrong) = (std::time::Instant::now(), BTreeMap::new(), 0, Vec::new());
    for (name, _, n) in chosen {
        let since = std::time::Instant::now();
        let sum = run::sweep(&[(name, (seeds * n).div_ceil(weight))], first);
        let took = since.elapsed().as_secs_f64();
        println!("{name}: {} seeds, {} events, {took:.1} s, {} wrong", sum.seeds, sum.events, sum.wrong.len());
        done += sum.seeds;
        wrong.extend(sum.wrong);
        for (label, n) in sum.labels {
            *labels.entry(label).or_insert(0) += n;
        }
    }
    let took = begun.elapsed().as_secs_f64();
    println!("{done} seeds in {took:.1} s, {:.0} seeds per second; {labels:?}", done as f64 / took);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Small crowds: connections as planned, everybody reached, and costs as the table of docs/gateways.md has them.
#[test]
fn a_small_super_cluster_has_the_planned_connections_and_the_costs_of_the_table() {
    use crowd::{Lists, Modes, Shape};
    let (all, chain) = (Lists::All, Lists::Chain);
    let shapes = [(4, 5, chain, Modes::ByAccount), (3, 4, all, Modes::ByAccount), (5, 4, chain, Modes::Auto)];
    for (seed, (clusters, servers, lists, modes)) in (1..).zip(shapes) {
        let shape = Shape { clusters, servers, lists, modes };
        let report = crowd::report(shape, seed).unwrap_or_else(|why| panic!("{shape:?}: {why}"));
        println!("{report}");
    }
}

/// The super-cluster of a thousand; `scripts/sim --big` says how large it is to be.
#[test]
#[ignore = "run by scripts/sim --big"]
fn big() {
    let number = |name: &str| std::env::var(name).ok().map(|v| v.parse::<usize>().expect("a number"));
    let (clusters, servers) = (number("SIM_CLUSTERS").unwrap_or(20), number("SIM_SERVERS").unwrap_or(50));
    let seed = number("SIM_SEED").unwrap_or(1) as u64;
    let begun = std::time::Instant::now();
    let (lists, modes) = (crowd::Lists::Chain, crowd::Modes::ByAccount);
    let shape = crowd::Shape { clusters, servers, lists, modes };
    let report = crowd::report(shape, seed).unwrap_or_else(|why| panic!("{shape:?}: {why}"));
    let (virtual_ns, events) = report.ran;
    println!("{report}");
    println!("{:.1} s of virtual time, {events} events", virtual_ns as f64 / 1e9);
    println!("{:.1} s", begun.elapsed().as_secs_f64());
}
