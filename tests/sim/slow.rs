//! Scenarios of those who read slowly or not at all, and of memory that becomes scarce.

use super::case::{Actor, Case, Fault, Reads, Step};
use super::scenarios::{client, pick, plan, within};
use turnpike::base::Rng;

/// A lone slow subscriber sets the pace of its publisher and loses nothing.
pub fn lone_slow(rng: &mut Rng) -> Case {
    let mut plan = plan(rng, 1);
    plan.read_max = 512;
    plan.max_payload = 1100;
    // Once a publisher is told to wait, what lies in the rings still comes: that must fit above three quarters.
    plan.shards = plan.shards.min(4);
    plan.lazy = vec![1; plan.shards];
    plan.ring = plan.ring.min(8);
    plan.max_pending = plan.shards * (128 << 10);
    let mut slow = Actor::on(rng.below(8) as usize);
    slow.window = within(rng, 1000, 8000) as usize;
    slow.reads = Reads::Slow { most: within(rng, 300, 1500) as usize, one_in: within(rng, 2, 5) };
    let slow = slow.does(Step::sub("a.b")).does(Step::Sync);
    let mut actors = vec![slow];
    let publishers = within(rng, 1, 3);
    for _ in 0..publishers {
        let n = within(rng, 400, 1000) / publishers;
        let publisher = Actor::on(rng.below(8) as usize).does(Step::Await { actor: 0, syncs: 1 });
        actors.push(publisher.does_all((0..n).map(|_| Step::publish("a.b", 1000))).does(Step::Sync));
    }
    Case { plan, actors }
}

/// `no_fast_producer_stall`: a lone slow subscriber misses messages, its publisher is never paused, and a neighbour who
/// reads in time misses nothing.
pub fn passed_over(rng: &mut Rng) -> Case {
    let mut case = lone_slow(rng);
    case.plan.skips = true;
    case.plan.max_pending = within(rng, 16, 64) as usize * 1024;
    case.actors[0].passed_over = true;
    if rng.one_in(2) {
        let neighbour = Actor::on(rng.below(8) as usize);
        case.actors.push(neighbour.does(Step::sub("a.*")).does(Step::Sync));
    }
    case
}

/// A stuck subscriber is cut, with exact counts of what it lost, and its neighbours are served meanwhile.
pub fn stuck(rng: &mut Rng) -> Case {
    let mut plan = plan(rng, 1);
    plan.cuts = true;
    plan.max_payload = 512;
    plan.max_pending = within(rng, 8, 24) as usize * 1024;
    let mut actors = Vec::new();
    let shard = rng.below(8) as usize;
    let neighbours = within(rng, 1, 3) as usize;
    for _ in 0..neighbours {
        let at = if rng.one_in(2) { shard } else { rng.below(8) as usize };
        let a = Actor { spared: true, ..Actor::on(at) };
        actors.push(a.does(Step::sub("a.*")).does(Step::Sync));
    }
    let mut a = Actor::on(shard);
    a.window = within(rng, 64, 4096) as usize;
    a = a.does(Step::sub("a.*")).does(Step::sub("d")).does(Step::Sync).does(Step::Stall).does(Step::Sleep(6000));
    actors.push(a);
    for _ in 0..within(rng, 1, 3) {
        let at = if rng.one_in(2) { shard } else { rng.below(8) as usize };
        let mut a = Actor { spared: true, ..Actor::on(at) };
        a = a.does_all((0..=neighbours).map(|actor| Step::Await { actor, syncs: 1 }));
        for _ in 0..within(rng, 1, 40) {
            // Only the stuck one hears "d"; neighbours get too little ever to be cut.
            let subject = if rng.one_in(12) { "a.b" } else { "d" };
            a = a.does(Step::publish(subject, 400));
        }
        actors.push(a.does(Step::Sync));
    }
    Case { plan, actors }
}

/// 81 (without the kernel): memory becomes scarce and is told to be, now and again, then there is enough of it. Those go
/// for whom much waits, subscriptions are refused, nobody else is harmed, and afterwards all is as before.
pub fn scarce(rng: &mut Rng) -> Case {
    let mut plan = plan(rng, 1);
    plan.cuts = true;
    plan.read_max = plan.read_max.max(512);
    plan.max_pending = 1 << 20;
    let mut stuck = Actor::on(rng.below(8) as usize);
    stuck.window = within(rng, 64, 4096) as usize;
    let stuck = stuck.does(Step::sub("d")).does(Step::Sync).does(Step::Stall).does(Step::Sleep(6000));
    let publisher = Actor { spared: true, ..Actor::on(rng.below(8) as usize) }.does(Step::Await { actor: 0, syncs: 1 });
    // Sometimes too little waits to be worth a cut.
    let publishes = (0..within(rng, 40, 200)).map(|_| Step::publish("d", 1000));
    let publisher = publisher.does_all(publishes).does(Step::Sync);
    let mut operator =
        Actor { spared: true, ..Actor::on(rng.below(8) as usize) }.does(Step::Await { actor: 1, syncs: 1 });
    for _ in 0..within(rng, 1, 3) {
        operator = operator.does_all((0..within(rng, 1, 4)).map(|_| Step::Fault(Fault::Scarce(true))));
        operator = operator.does(Step::Sleep(within(rng, 1, 50))).does(Step::Fault(Fault::Scarce(false)));
        operator = operator.does(Step::Sleep(within(rng, 1, 50)));
    }
    let mut actors = vec![stuck, publisher, operator.does(Step::Sync)];
    // Nothing waits for them: they hear little.
    for _ in 0..within(rng, 1, 4) {
        let mut a = Actor { spared: true, ..client(rng, rng.clone().below(8) as usize) };
        for _ in 0..within(rng, 2, 12) {
            a = a
                .does(Step::sub(pick(rng, &["a.b", "a.*", "a.>", "*.c"])))
                .does(Step::Sync)
                .does(Step::publish("a.b", 40));
            a = if rng.one_in(2) { a.does(Step::Sleep(within(rng, 1, 40))) } else { a };
            a = if rng.one_in(4) { a.does(Step::Unsub(0)) } else { a };
        }
        // Once there is enough again, all are taken.
        actors.push(a.does(Step::Await { actor: 2, syncs: 1 }).does(Step::sub("b.c")).does(Step::Sync));
    }
    Case { plan, actors }
}
