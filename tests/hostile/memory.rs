//! Memory that runs short: the server sheds, nobody kills it, and it recovers (scenarios.md §3.1 and 81).

use crate::bystander::Bystander;
use crate::floods::first_line;
use crate::server;
use crate::support::process::{monitoring, until};
use crate::support::raw::{Raw, PATIENCE};
use crate::support::server::{shard_args, Server, Under, Which};
use std::fs;
use std::path::{Path, PathBuf};

const QUIET: &str = "CONNECT {\"verbose\":false}\r\n";
const FULL: &[u8] = b"-ERR 'maximum subscriptions exceeded'\r\n";
/// Most blocks of subscriptions that any of these servers has room for, some hundred kilobytes each.
const BLOCKS_MAX: usize = 10_000;

/// `/varz` → `turnpike.memory`.
fn memory(server: &Server) -> serde_json::Value {
    monitoring(server.monitor(), "/varz")["turnpike"]["memory"].clone()
}

/// Subscribes on connections of its own, until there is no room for more.
fn subscribe_until_refused(server: &Server) -> Vec<Raw> {
    let mut bombs: Vec<Raw> = (0..4).map(|_| Raw::connect(server.clients())).collect();
    for raw in &mut bombs {
        raw.write(QUIET.as_bytes());
    }
    for block in 0..BLOCKS_MAX {
        let sub = |i| format!("SUB bomb.{}.{block}.{i} {block}.{i}\r\n", "x".repeat(200));
        let (bomb, subs) = (block % 4, (0..500).map(sub).collect::<String>());
        bombs[bomb].write(subs.as_bytes());
        let said = bombs[bomb].barrier();
        if said.len() > 1 {
            assert!(said[..said.len() - 1].iter().all(|f| f == FULL), "{:?}", crate::texts(&said));
            return bombs;
        }
    }
    panic!("{BLOCKS_MAX} blocks of subscriptions, and none was refused: {}", memory(server));
}

/// Subscribers that read nothing, and megabytes for each of them until one of them is cut.
fn let_wait_until_cut(server: &Server) -> Vec<Raw> {
    let stuck = |n| {
        let mut raw = Raw::connect(server.clients());
        raw.write(format!("{QUIET}SUB stuck.{n} 1\r\n").as_bytes());
        raw.barrier();
        raw
    };
    let stuck: Vec<Raw> = (0..4).map(stuck).collect();
    let mut from = Raw::connect(server.clients());
    from.write(QUIET.as_bytes());
    let body = "x".repeat(100_000);
    for n in 0..BLOCKS_MAX {
        from.write(format!("PUB stuck.{} {}\r\n{body}\r\n", n % 4, body.len()).as_bytes());
        if n % 50 == 49 {
            from.barrier();
            if memory(server)["clients_cut"].as_u64() > Some(0) {
                return stuck;
            }
        }
    }
    panic!("nobody was cut: {}", memory(server));
}

/// Everybody is let in again and subscribes.
fn recovers(server: &Server) {
    until("memory is no longer scarce", PATIENCE, || (memory(server)["scarce"] == false).then_some(()));
    let mut new = Raw::connect(server.clients());
    new.write(format!("{QUIET}SUB new 1\r\n").as_bytes());
    assert_eq!(new.barrier(), [b"PONG\r\n".to_vec()]);
    // The log is written by a thread of its own.
    let said = || server.output().contains("Memory is no longer scarce").then_some(());
    until("the end of it is said", PATIENCE, said);
}

#[test]
fn short_of_memory_no_subscription_is_taken_and_nobody_let_in() {
    for shards in [1, 4] {
        let server = server(shards, "memory_limit: 128MB");
        let bystander = Bystander::start(&server, QUIET);
        bystander.await_more(10);
        let bombs = subscribe_until_refused(&server);
        let now = memory(&server);
        assert_eq!((&now["scarce"], &now["limit"]), (&true.into(), &(128 << 20).into()), "{now}");
        assert!(now["subscriptions_refused"].as_u64() > Some(0), "{now}");
        let (_, line) = first_line(&server);
        assert_eq!(line, "-ERR 'maximum connections exceeded'\r\n");
        assert_eq!(memory(&server)["clients_refused"], 1);
        for said in ["Memory is scarce: ", "raise memory_limit", "clients are refused: memory is scarce"] {
            until(said, PATIENCE, || server.output().contains(said).then_some(()));
        }
        bystander.await_more(100);
        drop(bombs);
        recovers(&server);
        bystander.finish();
    }
}

#[test]
fn short_of_memory_those_go_for_whom_the_most_waits() {
    for shards in [1, 4] {
        // Each may have more waiting than the whole server may hold.
        let server = server(shards, "memory_limit: 128MB\nmax_pending: 1GB");
        let bystander = Bystander::start(&server, QUIET);
        bystander.await_more(10);
        let stuck = let_wait_until_cut(&server);
        recovers(&server);
        drop(stuck);
        let said = || server.output().contains("bytes wait, and memory is scarce").then_some(());
        until("who is cut is said", PATIENCE, said);
        bystander.finish();
    }
}

/// A control group of this test's own; none where this machine has none to give.
struct Group(PathBuf);

impl Group {
    fn with_limit(bytes: usize) -> Option<Group> {
        let (v1, v2) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let (root, limit) = if v1.is_dir() { (v1, "memory.limit_in_bytes") } else { (v2, "memory.max") };
        let group = Group(root.join(format!("turnpike-test-{}", std::process::id())));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(limit), bytes.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

#[test]
fn a_control_group_does_not_kill_a_server_that_is_asked_for_more_than_it_has() {
    const LIMIT: usize = 256 << 20;
    let Some(group) = Group::with_limit(LIMIT) else {
        eprintln!("skipped: no control group with a limit of memory can be made here (root, cgroup memory controller)");
        return;
    };
    let which = Which::under_test();
    let under = Under { group: Some(group.0.clone()), ..Under::default() };
    let mut server =
        Server::start_under(&which, &under, "max_pending: 1GB\nmax_pending_total: 1GB", &shard_args(&which, 2));
    assert_eq!(memory(&server)["limit"], LIMIT / 10 * 9, "{}", server.output());
    let bystander = Bystander::start(&server, QUIET);
    for _ in 0..2 {
        let stuck = let_wait_until_cut(&server);
        drop(stuck);
        recovers(&server);
        let bombs = subscribe_until_refused(&server);
        bystander.await_more(100);
        drop(bombs);
        recovers(&server);
    }
    bystander.finish();
    assert_eq!(server.terminate(), Some(0), "it was killed\n{}", server.output());
    drop(group);
}
