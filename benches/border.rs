//! What a border costs where a message's verdict is made: `cargo bench -p turnpike-benches --bench border` prints
//! nanoseconds for each number of rules. A verdict is remembered, so that this is paid once for a subject and not once for a message.

use std::hint::black_box;
use std::time::Instant;
use turnpike::interest::border::{Class, Rule, RulePlace, Wall};

const ROUNDS: u32 = 200_000;

fn rule(i: u32) -> Rule {
    let subject = match i % 4 {
        0 => format!("orders.r{i}.>"),
        1 => format!("orders.r{i}.*.new"),
        2 => format!("metrics.*.r{i}"),
        _ => format!("public.r{i}.state"),
    };
    let cluster = i.is_multiple_of(8).then(|| format!("c{}", i % 64).into());
    let place = RulePlace { file: 0, line: i };
    Rule { subject: subject.into_bytes().into(), cluster, account: None, deny: i.is_multiple_of(16), place }
}

fn main() {
    println!("{:>8} {:>10} {:>10} {:>10} {:>12}", "rules", "built ms", "judge ns", "miss ns", "announce ns");
    for n in [0, 1, 1000, 100_000] {
        let rules: Vec<Rule> = (0..n).map(|i| rule(i + 1)).collect();
        let begun = Instant::now();
        let wall = Wall::new((n > 0).then_some(&rules[..]), &["$G", "$SYS"], Some(1), 7);
        let built = begun.elapsed().as_millis();
        let one = |i: u32| i.wrapping_mul(2_654_435_761) % n.max(1) + 1;
        let subject = |i: u32| match i % 4 {
            0 => format!("orders.r{i}.eu.new"),
            1 => format!("orders.r{i}.eu.new"),
            2 => format!("metrics.cpu.r{i}"),
            _ => format!("public.r{i}.state"),
        };
        let hits: Vec<String> = (0..1024).map(|i| subject(one(i))).collect();
        let misses: Vec<String> = (0..1024).map(|i| format!("private.r{i}.eu.new")).collect();
        let timed = |subjects: &[String], each: &dyn Fn(&[u8])| {
            let begun = Instant::now();
            for i in 0..ROUNDS {
                each(subjects[i as usize % subjects.len()].as_bytes());
            }
            begun.elapsed().as_nanos() / u128::from(ROUNDS)
        };
        let judge = |s: &[u8]| {
            black_box(wall.judge(0, s).of(Class::OTHERS));
        };
        let announce = |s: &[u8]| {
            wall.announce(0, Class::OTHERS, s, |part| {
                black_box(part.len());
            });
        };
        let (hit, miss) = (timed(&hits, &judge), timed(&misses, &judge));
        println!("{n:>8} {built:>10} {hit:>10} {miss:>10} {:>12}", timed(&hits, &announce));
    }
}
