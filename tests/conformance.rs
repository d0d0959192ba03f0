//! The conformance table (client-protocol.md §25) against a running server: each row whole, cut in two at every byte,
//! and byte by byte, on one shard and on four.
//!
//! `TURNPIKE_TEST_SERVER=/path/to/nats-server` plays it to the reference instead, whose answers the table holds.

#[path = "conformance/player.rs"]
mod player;
mod support;
#[path = "conformance/table.rs"]
mod table;

use player::{run, Cut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use support::raw::Raw;
use support::server::{shard_args, Server, Which};
use table::{table, Play, Row, Table};

/// Servers of one configuration that run at the same time, each with its share of the plays: rows use the same
/// subjects, so two may not be played on one server at once.
const SERVERS: usize = 4;

/// Failures told before the rest is only counted.
const TOLD: usize = 25;

/// Rows of things this server does not do yet, and two that stand elsewhere, as nothing can be signed beforehand. Whoever
/// builds one of them takes its number from here and writes the row in the table.
const LATER: [u32; 5] = [126, 127, 129, 133, 134];

/// One play with one cut.
struct Job<'a> {
    row: &'a Row,
    play: &'a Play,
    cut: Cut,
}

#[test]
fn every_row_stands_in_the_table() {
    let table = table();
    let mut numbers: Vec<u32> = table.rows.iter().map(Row::number).collect();
    let mut ids: Vec<&str> = table.rows.iter().map(|r| r.id.as_str()).collect();
    numbers.dedup();
    ids.sort_unstable();
    assert_eq!(numbers, (1..=136).collect::<Vec<u32>>());
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "an id stands twice: {ids:?}");
    let later: Vec<u32> = table.rows.iter().filter(|r| r.later.is_some()).map(Row::number).collect();
    assert_eq!(later, LATER);
}

#[test]
fn each_difference_has_a_reason() {
    let all = support::differences::all();
    let names: Vec<&str> = all.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "malformed",
            "pedantic-once",
            "pedantic-unfinished",
            "info-keys",
            "info-identity",
            "stray-cr",
            "newline-argument",
            "allow-whole",
            "late-connect",
            "import-cycle",
            "import-own",
            "import-chain",
            "mapping-zero",
            "mapping-negative",
            "mapping-separator",
            "mapping-nothing",
            "mapping-order",
            "export-invalid",
            "activation-wider",
            "activation-part",
            "activation-begins",
            "tls-url",
            "bearer-told",
            "import-comes"
        ]
    );
    assert!(all.iter().all(|d| d.reason.len() > 40));
}

#[test]
fn rows_whole() {
    play_table(1, |_| vec![Cut::Whole]);
}

#[test]
fn rows_whole_on_four_shards() {
    play_table(4, |_| vec![Cut::Whole]);
}

#[test]
fn rows_cut_in_two_at_every_byte() {
    play_table(1, Cut::every);
}

#[test]
fn rows_cut_in_two_at_every_byte_on_four_shards() {
    play_table(4, Cut::every);
}

#[test]
fn rows_byte_by_byte() {
    play_table(1, |_| vec![Cut::EveryByte]);
}

#[test]
fn rows_byte_by_byte_on_four_shards() {
    play_table(4, |_| vec![Cut::EveryByte]);
}

/// Plays every row. Those that wait for timers or need a server alone are played whole only.
fn play_table(shards: usize, cuts: impl Fn(&Play) -> Vec<Cut>) {
    let which = Which::under_test();
    let table = table();
    let whole = cuts(&Play::default()) == [Cut::Whole];
    let mut failures = Vec::new();
    for (name, conf) in &table.configs {
        let (alone, shared): (Vec<Job>, Vec<Job>) =
            jobs(&table, name, &cuts, whole).into_iter().partition(|j| j.row.alone);
        let next = AtomicUsize::new(0);
        let serve = |jobs: &[Job]| {
            let server = Server::start(&which, conf, &shard_args(&which, shards));
            let failures = play_all(jobs, &next, &server);
            (name == "plain").then(|| Raw::connect(server.clients()).verbatim().barrier());
            failures
        };
        let servers = SERVERS.min(shared.len());
        thread::scope(|scope| {
            let running: Vec<_> = (0..servers).map(|_| scope.spawn(|| serve(&shared))).collect();
            for one in running {
                failures.extend(one.join().expect("the player panicked; its words stand above"));
            }
        });
        for job in alone {
            next.store(0, Ordering::Relaxed);
            failures.extend(serve(&[job]));
        }
    }
    let told: Vec<&str> = failures.iter().take(TOLD).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} plays failed:\n{}", failures.len(), told.join("\n"));
}

/// What to play on servers of one configuration.
fn jobs<'a>(table: &'a Table, config: &str, cuts: &impl Fn(&Play) -> Vec<Cut>, whole: bool) -> Vec<Job<'a>> {
    let rows = table.rows.iter().filter(|r| r.config == config && (whole || !(r.alone || r.slow)));
    let plays = rows.flat_map(|row| row.plays.iter().map(move |play| (row, play)));
    plays.flat_map(|(row, play)| cuts(play).into_iter().map(move |cut| Job { row, play, cut })).collect()
}

/// Plays jobs until none is left, beside other servers that take from the same list; returns what failed.
fn play_all(jobs: &[Job], next: &AtomicUsize, server: &Server) -> Vec<String> {
    let mut failures = Vec::new();
    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
        if let Err(why) = run(server.clients(), server.which().is_turnpike(), job.play, job.cut) {
            let (row, variant) = (job.row, &job.play.variant);
            failures.push(format!("row {} ({}) {variant:?} {:?}: {why}", row.id, row.title, job.cut));
            if failures.len() == TOLD {
                break; // each may have cost a long wait
            }
        }
    }
    failures
}
