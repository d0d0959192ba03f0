//! What is looked at beside the oracle: counters, tables, memory, and that everything ends. Each check runs once the
//! world is quiet; names (I6 …) are those of scenarios.md §2.5.

use super::case::{Actor, Case, Step};
use super::client::Client;
use super::oracle::matches;
use super::pipes::{Read, Way};
use super::world::World;
use std::collections::{BTreeMap, BTreeSet};
use turnpike::base::SECOND;
use turnpike::shard::report::{ConnRow, SubRow, Tally};
use turnpike::shard::{Answer, Ask};

/// Rows that one question of monitoring asks for; small, so that cursors are used.
const ROWS: u32 = 5;
/// Virtual time after which a node without clients has forgotten everybody: three pings of 20 s, the write deadline,
/// the time for last words, and some.
const FORGET_NS: u64 = 100 * SECOND;
/// From the order to drain until nothing is left: the grace time of the default settings, half a second for the last
/// words to be read, and some slack for the world's own delays.
const GRACE_NS: u64 = 6_000_000_000;

/// Lines of the trace that are shown of the time after the clients' steps: its end.
const LATER_LINES: usize = 60;

/// How a run came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was wrong, if anything.
    pub wrong: Option<String>,
    /// Of everything the server wrote.
    pub hash: u64,
    /// Events.
    pub events: u64,
    /// Rare things met.
    pub labels: BTreeMap<&'static str, u64>,
    /// The end of the trace, if it was wanted.
    pub trace: Vec<String>,
}

/// Runs a case from beginning to end.
pub fn run(case: &Case, seed: u64, traced: bool) -> Outcome {
    let mut world = World::new(case, seed, traced);
    // A panic is a finding like any other (I18).
    let whole = std::panic::AssertUnwindSafe(|| story(&mut world));
    if let Err(panic) = std::panic::catch_unwind(whole) {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
        world.wrong = Some(format!("I18: panic: {text}"));
    }
    let (mut trace, later) = (std::mem::take(&mut world.story), world.trace.take().unwrap_or_default());
    let hidden = later.len().saturating_sub(LATER_LINES);
    trace.push(format!("here the clients have done their steps; {hidden} lines later:"));
    trace.extend(later.into_iter().skip(hidden));
    Outcome { wrong: world.wrong, hash: world.hash, events: world.events, labels: world.oracle.labels, trace }
}

fn story(w: &mut World) {
    w.found();
    w.run_until("the clients' steps", |w| w.clients.iter().flatten().all(Client::finished));
    pings(w);
    w.end_of_story();
    super::cluster::checks::heal(w);
    if w.draining.is_some() {
        w.run_until("the end of the drain", |w| w.nodes.iter().flatten().all(|n| n.said.drained));
        check_drained(w);
    } else {
        settle(w);
        probe(w);
        if w.case.plan.cluster.is_none() {
            counters(w);
        } else {
            super::cluster::checks::mesh(w);
        }
        tables(w);
        slow_consumers(w);
    }
    if w.wrong.is_none() {
        if let Err(why) = w.oracle.judge() {
            w.fail(why);
        }
    }
    if w.wrong.is_none() && w.case.plan.traced {
        if let Err(why) = w.oracle.judge_traces(&w.traces) {
            w.fail(why);
        }
    }
    if w.wrong.is_none() && w.case.plan.even {
        if let Err(why) = w.oracle.judge_spread() {
            w.fail(why);
        }
    }
    batches(w);
    if w.draining.is_none() {
        empty(w);
    }
}

/// The server pings each connection as often as it should (client-protocol.md §12).
fn pings(w: &mut World) {
    let all: Result<(), String> = w.clients.iter().flatten().try_for_each(Client::check_pings);
    if let Err(why) = all {
        w.fail(why);
    }
}

/// Everybody who is well asks for a last PONG: from then on nothing may be missing.
fn settle(w: &mut World) {
    for link in &mut w.links {
        link.down.stalled = false;
    }
    for client in w.clients.iter_mut().flatten().filter(|c| c.decent()) {
        client.also(Step::Sync);
    }
    w.run_until("the last PONG of everybody", |w| w.clients.iter().flatten().all(Client::finished));
    for client in w.clients.iter_mut().flatten().filter(|c| c.decent()) {
        // Twice: what others published between the first PING and its PONG is heard before the second.
        client.also(Step::Sync);
    }
    w.run_until("the very last PONG of everybody", |w| w.clients.iter().flatten().all(Client::finished));
}

/// Subjects that anybody in the case speaks of, as literal ones.
fn subjects(case: &Case) -> BTreeSet<String> {
    let steps = case.actors.iter().flat_map(|a| &a.steps);
    steps
        .filter_map(|s| match s {
            Step::Sub { pattern, .. } => Some(pattern.replace('*', "any").replace('>', "more.still")),
            Step::Pub { subject, .. } | Step::Request(subject) => Some(subject.clone()),
            _ => None,
        })
        .collect()
}

/// I6: every shard's table is right. A new client on each shard publishes to every subject and asks for an answer: the
/// oracle knows for each who must get it, and where nobody is there it must hear the 503.
fn probe(w: &mut World) {
    w.stage = " (found by the clients that ask about every subject at the end; the plan does not name them)";
    let subjects = subjects(&w.case);
    let up = (0..w.case.plan.shards).filter(|s| w.server_of(*s).up);
    for shard in up.collect::<Vec<_>>() {
        for account in 0..w.case.plan.accounts.max(1) {
            let requests = subjects.iter().cloned().map(Step::Request);
            let probe = Actor { account, ..Actor::on(shard) };
            w.join(probe.does(Step::Sync).does_all(requests).does(Step::Sync));
        }
    }
    w.run_until("the probes", |w| w.clients.iter().flatten().all(Client::finished));
    settle(w);
}

fn tallies(w: &mut World) -> Vec<Tally> {
    let answers = w.ask(&Ask::TALLY);
    answers.into_iter().filter_map(|a| if let Answer::Tally(t) = a { Some(*t) } else { None }).collect()
}

/// I23: the counters are the oracle's.
fn counters(w: &mut World) {
    let tallies = tallies(w);
    let sum = |f: fn(&Tally) -> u64| tallies.iter().map(f).sum::<u64>();
    let on: Vec<usize> = w.clients.iter().flatten().filter(|c| c.on()).map(|c| c.conn).collect();
    let mut pairs = Vec::new();
    if w.case.plan.exact {
        let held: u64 = on.iter().map(|c| w.oracle.held(*c)).sum();
        pairs.push(("connections", sum(|t| t.connections), on.len() as u64));
        pairs.push(("subscriptions", sum(|t| t.subscriptions), held));
        pairs.push(("in_msgs", sum(|t| t.in_msgs), w.oracle.msgs.len() as u64));
        pairs.push(("in_bytes", sum(|t| t.in_bytes), w.oracle.bytes_sent()));
        pairs.push(("out_msgs", sum(|t| t.out_msgs), w.oracle.copies()));
        pairs.push(("inserts - removes", sum(|t| t.inserts) - sum(|t| t.removes), held));
    }
    pairs.push(("clients who have a place", placed(w), sum(|t| t.connections)));
    if tallies.iter().flat_map(|t| &t.drops).any(|(why, n)| *why == "slow_consumer_skipped" && *n > 0) {
        w.oracle.label("slow consumer passed over");
        if !w.case.plan.skips {
            w.fail("a slow consumer was passed over where it is to be waited for".into());
        }
    }
    let accounts = tallies.iter().flat_map(|t| &t.accounts);
    let by_account = accounts.fold([0; 4], |mut s, a| {
        for (at, n) in [a.connections, a.subscriptions, a.in_msgs, a.out_msgs].into_iter().enumerate() {
            s[at] += n;
        }
        s
    });
    if w.case.plan.accounts == 0 {
        // Where authentication is required, somebody who has not presented anything yet is in no account.
        pairs.push(("connections of accounts", by_account[0], sum(|t| t.connections)));
    }
    pairs.push(("subscriptions of accounts", by_account[1], sum(|t| t.subscriptions)));
    pairs.push(("in_msgs of accounts", by_account[2], sum(|t| t.in_msgs)));
    pairs.push(("out_msgs of accounts", by_account[3], sum(|t| t.out_msgs)));
    for (name, is, should) in pairs {
        if is != should && w.wrong.is_none() {
            w.fail(format!("I23: {name} is {is}, should be {should}"));
        }
    }
}

/// All rows of a kind, asked for slice by slice.
fn rows<T>(w: &mut World, ask: impl Fn(u32) -> Ask, take: impl Fn(Answer) -> Option<(Vec<T>, Option<u32>)>) -> Vec<T> {
    let mut all = Vec::new();
    let up = (0..w.case.plan.shards).filter(|s| w.server_of(*s).up && w.nodes[*s].is_some()).count();
    for shard in 0..up {
        let mut from = Some(0);
        while let Some(f) = from {
            if w.wrong.is_some() {
                return all;
            }
            let answer = w.ask(&ask(f)).into_iter().nth(shard);
            let Some((rows, next)) = answer.and_then(&take) else {
                w.fail("an answer of another kind than the question".into());
                return all;
            };
            if rows.len() > ROWS as usize || next.is_some_and(|n| n <= f) {
                w.fail(format!("a slice of {} rows from {f} on, next {next:?}", rows.len()));
            }
            all.extend(rows);
            from = next;
        }
    }
    all
}

fn connections(w: &mut World) -> Vec<ConnRow> {
    rows(
        w,
        |from| Ask::Connections { from, max: ROWS, subs: true },
        |a| if let Answer::Connections { rows, next } = a { Some((rows, next)) } else { None },
    )
}

fn closed(w: &mut World) -> Vec<ConnRow> {
    rows(
        w,
        |from| Ask::Closed { from, max: ROWS },
        |a| if let Answer::Closed { rows, next } = a { Some((rows, next)) } else { None },
    )
}

fn subscriptions(w: &mut World, test: Option<&str>) -> Vec<SubRow> {
    let test = test.map(|t| t.as_bytes().to_vec());
    rows(
        w,
        |from| Ask::Subscriptions { from, max: ROWS, account: None, test: test.clone() },
        |a| if let Answer::Subscriptions { rows, next } = a { Some((rows, next)) } else { None },
    )
}

/// I6, I9: connections and subscriptions as monitoring shows them, and what waits for each.
fn tables(w: &mut World) {
    if w.wrong.is_some() || w.oracle.subscriptions() > 400 {
        return;
    }
    let shown = connections(w);
    // One message more than the limit may have been queued before the cut.
    let most = (w.case.plan.max_pending + w.case.plan.max_payload + 8192) as u64;
    if let Some(row) = shown.iter().find(|r| r.pending_bytes > most) {
        w.fail(format!("I9: {} bytes wait for cid {}", row.pending_bytes, row.cid));
    }
    let decent = w.clients.iter().flatten().filter(|c| c.decent() && w.nodes[c.shard()].is_some());
    let expected: Vec<(u64, u64)> = decent.map(|c| (c.link() as u64 + 1, w.oracle.held(c.conn))).collect();
    for (cid, subs) in expected {
        let rows = shown.iter().filter(|r| r.cid == cid);
        let seen: Vec<(u64, usize)> = rows.map(|r| (r.subscriptions, r.subs.len())).collect();
        if seen != [(subs, subs as usize)] {
            w.fail(format!("I6: connection {cid} is shown with subscriptions {seen:?}, has {subs}"));
        }
    }
    let all = subscriptions(w, None);
    let of_rows: u64 = shown.iter().map(|r| r.subscriptions).sum();
    if all.len() as u64 != of_rows {
        w.fail(format!("I6: {} subscriptions, {of_rows} by connections", all.len()));
    }
    if let Some(subject) = subjects(&w.case).into_iter().next() {
        let reached = subscriptions(w, Some(&subject)).len();
        let should = all.iter().filter(|r| matches(&r.subject, &subject)).count();
        if reached != should {
            w.fail(format!("I6: a test with {subject:?} shows {reached} subscriptions, {should} match"));
        }
    }
}

/// A cut slow consumer: what was queued for it either left or is counted as lost.
fn slow_consumers(w: &mut World) {
    if w.wrong.is_some() || !w.case.plan.cuts {
        return;
    }
    let rows = closed(w);
    for row in rows.iter().filter(|r| r.reason.is_some_and(|why| why.starts_with("Slow Consumer"))) {
        w.oracle.label("slow consumer in monitoring");
        let reader = w.clients.iter().flatten().find(|c| c.link() as u64 + 1 == row.cid && c.cut);
        let Some(received) = reader.map(|c| c.received) else { continue };
        if received + row.lost_msgs != row.out_msgs && !w.links[row.cid as usize - 1].reset {
            let (cid, lost, out) = (row.cid, row.lost_msgs, row.out_msgs);
            w.fail(format!("I23: cid {cid} was cut: {out} queued, {received} received, {lost} lost"));
        }
    }
}

/// I25: what a turn tells another shard is bounded, whatever its clients throw at it: the shard stops parsing once a
/// batch is large (a 64th of `max_pending` over all shards, within bounds), so only the last operation may come on top.
fn batches(w: &mut World) {
    let plan = &w.case.plan;
    let most = (plan.max_pending / 64 / plan.shards).clamp(2 << 10, 256 << 10) + plan.max_payload + (16 << 10);
    if w.batch_bytes_max > 12 << 10 {
        w.oracle.label("large batch");
    }
    if w.batch_bytes_max > most {
        w.fail(format!("I25: a batch of {} bytes, at most {most}", w.batch_bytes_max));
    }
}

/// How many clients count against `max_connections`, as the listener hears it.
fn placed(w: &World) -> u64 {
    w.nodes.iter().flatten().map(|n| n.said.placed as u64).sum()
}

fn check_drained(w: &mut World) {
    let Some((since, _)) = w.draining else { return };
    w.oracle.label("drained");
    if w.now - since > GRACE_NS {
        w.fail(format!("scenario 19: the drain took {} ms", (w.now - since) / 1_000_000));
    }
    let open: usize = w.nodes.iter().flatten().map(|n| n.sockets()).sum();
    if open > 0 {
        w.fail(format!("I16: {open} sockets are open after the drain"));
    }
    if placed(w) > 0 {
        w.fail(format!("{} clients who went have not given their places back", placed(w)));
    }
    w.come_late();
    w.run_for(SECOND);
    for link in std::mem::take(&mut w.late) {
        let mut read = Vec::new();
        let (first, then) =
            (w.links[link].read(Way::Down, usize::MAX, &mut read), w.links[link].read(Way::Down, 1, &mut Vec::new()));
        let lines = read.iter().filter(|b| **b == b'\n').count();
        if !matches!(first, Read::Some(_))
            || !read.starts_with(b"INFO ")
            || lines != 1
            || !matches!(then, Read::End | Read::Reset)
        {
            let text = String::from_utf8_lossy(&read);
            w.fail(format!("scenario 19: who comes after the order to drain hears {text:?}, not INFO and the end"));
        }
    }
}

/// I16: everybody leaves, and nothing remains; the silent are found out by time.
fn empty(w: &mut World) {
    for at in 0..w.clients.len() {
        if let Some(mut client) = w.clients[at].take() {
            client.leave(w);
            w.clients[at] = Some(client);
        }
    }
    w.run_for(FORGET_NS);
    if w.wrong.is_some() {
        return;
    }
    let open: usize = w.nodes.iter().flatten().map(|n| n.sockets()).sum();
    let tallies = tallies(w);
    let left: u64 = tallies.iter().map(|t| t.connections + t.subscriptions).sum();
    if open > 0 || left > 0 {
        w.fail(format!("I16: {open} sockets and {left} connections or subscriptions remain"));
    }
    let known = w.oracle.msgs.len();
    // Nobody is there any more: each probe is refused on every shard, so no shard holds interest that has ended.
    probe(w);
    if w.wrong.is_none() {
        if let Err(why) = w.oracle.judge() {
            w.fail(format!("{why} (after everybody had left, from message {known} on)"));
        }
    }
}
