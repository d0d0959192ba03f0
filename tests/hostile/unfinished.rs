//! Things begun and never finished: half-open connections by the thousand, lines without an end, bytes that trickle.

use crate::bystander::Bystander;
use crate::support::process::{descriptors, monitoring, resident, until};
use crate::support::raw::{Next, Raw, PATIENCE};
use crate::support::server::Server;
use crate::{server, texts};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const QUIET: &str = "CONNECT {\"verbose\":false}\r\n";
/// Memory that may stay beside three tenths of what there was: buffers kept in spare, pages of the allocator.
const MEMORY_SLACK: u64 = 16 << 20;
/// How long what was taken may take to come back, on the slowest of machines.
const BACK_MAX: Duration = Duration::from_secs(120);

/// What a server takes, to be compared later.
struct Baseline {
    memory: u64,
    files: usize,
}

impl Baseline {
    fn of(server: &Server) -> Baseline {
        Baseline { memory: resident(server.pid()), files: descriptors(server.pid()) }
    }

    /// Waits until the server takes no more than before.
    fn await_again(&self, server: &Server) {
        let most = self.memory * 13 / 10 + MEMORY_SLACK;
        until("the memory comes back", BACK_MAX, || (resident(server.pid()) <= most).then_some(()));
        until("the descriptors come back", BACK_MAX, || (descriptors(server.pid()) <= self.files).then_some(()));
    }
}

/// As many connections as this process and the server may have, at most `wanted`.
fn connections_possible(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("the soft limit up to the hard one");
    // Other tests of this process need some too.
    let possible = limit.maximum.map_or(wanted, |m| m.saturating_sub(3000)).min(wanted);
    if possible < wanted {
        eprintln!("only {possible} connections of {wanted}: the hard limit of open files is {:?}", limit.maximum);
    }
    possible
}

/// Twice ten thousand connections are more than one process may have.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn half_open(shards: usize) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let n = connections_possible(10_000);
    let server = server(shards, "");
    let bystander = Bystander::start(&server, QUIET);
    bystander.await_more(50);
    let before = Baseline::of(&server);
    let lines: [&[u8]; 6] = [
        b"CONNECT {\"verbose\":false,\"name\":\"",
        b"P",
        b"PUB some.subject.or.other 1000\r\nhalf a payload",
        b"SUB some.subj",
        b"HPUB a 12",
        b"PING",
    ];
    let mut open: Vec<TcpStream> = Vec::new();
    for i in 0..n {
        let mut stream = TcpStream::connect(server.clients()).expect("connect");
        stream.write_all(lines[i as usize % lines.len()]).expect("write");
        open.push(stream);
    }
    until("all are accepted", PATIENCE, || {
        let varz = monitoring(server.monitor(), "/varz");
        (varz["connections"] == n + 2).then_some(())
    });
    bystander.await_more(50);
    eprintln!(
        "{n} half-open connections on {shards} shards: {} KiB each",
        (resident(server.pid()).saturating_sub(before.memory) / n) >> 10
    );
    for (i, stream) in open.iter().enumerate() {
        // Some say goodbye. A reset for the others, so that nothing is left behind in the kernel.
        match i % 10 {
            0 => stream.shutdown(Shutdown::Write).expect("shutdown"),
            _ => socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("linger"),
        }
    }
    drop(open);
    before.await_again(&server);
    bystander.finish();
}

#[test]
fn ten_thousand_half_open_connections_leave_nothing_behind() {
    half_open(1);
}

#[test]
fn ten_thousand_half_open_connections_leave_nothing_behind_on_four_shards() {
    half_open(4);
}

/// Writes `total` bytes of `chunk`; a connection that has ended swallows them.
fn pour(raw: &mut Raw, chunk: &[u8], total: usize) {
    for _ in 0..total / chunk.len() {
        raw.write(chunk);
    }
}

#[test]
fn lines_without_an_end_take_no_memory() {
    const TOTAL: usize = 64 << 20;
    let server = server(1, "");
    let bystander = Bystander::start(&server, QUIET);
    bystander.await_more(50);
    let before = Baseline::of(&server);
    // Blanks before an argument and whatever follows PING are thrown away as they come.
    for (begin, chunk, end, answer) in [
        ("SUB", " ", "a 1\r\nPING\r\n", "PONG\r\n"),
        ("PING", "x", "\r\n", "PONG\r\n"),
        ("PUB a ", "1", "", "-ERR 'maximum control line exceeded'\r\n"),
        ("UNSUB\t", "9", "", "-ERR 'maximum control line exceeded'\r\n"),
        ("CONNECT ", "{", "", "-ERR 'maximum control line exceeded'\r\n"),
        ("SUB ", "a.", "", "-ERR 'maximum control line exceeded'\r\n"),
    ] {
        let mut raw = Raw::connect(server.clients());
        raw.write(QUIET.as_bytes());
        raw.write(begin.as_bytes());
        pour(&mut raw, chunk.repeat(65536).as_bytes(), TOTAL);
        let grown = resident(server.pid()).saturating_sub(before.memory);
        assert!(grown < MEMORY_SLACK, "{begin:?} and many {chunk:?} took {grown} bytes");
        raw.write(end.as_bytes());
        let frames = texts(&raw.until_pongs(1).0);
        assert_eq!(frames, [answer], "{begin:?} and many {chunk:?}");
        raw.reset_at_end();
    }
    before.await_again(&server);
    bystander.finish();
}

/// Sends `bytes` one by one, in no hurry, until the server has had enough. What it said, and whether it closed.
fn trickle(raw: &mut Raw, bytes: impl Iterator<Item = u8>, pace: Duration) -> (Vec<String>, bool) {
    let mut frames = Vec::new();
    for byte in bytes {
        raw.write(&[byte]);
        match raw.next(pace) {
            Next::Frame(f) => frames.push(f),
            Next::Closed(_) => return (texts(&frames), true),
            Next::Silence(_) => {}
        }
    }
    (texts(&frames), false)
}

#[test]
fn a_connect_that_never_ends_runs_out_of_time_and_of_space() {
    let server = server(1, "authorization { user: u, password: p, timeout: 1 }");
    let connect = "CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"p\"}\r\n";
    let bystander = Bystander::start(&server, connect);
    let timeout = ["-ERR 'Authentication Timeout'\r\n".to_string()];
    // Slowly: each byte is a sign of life, and none prolongs the time.
    let mut slow = Raw::connect(server.clients());
    let endless = b"CONNECT {\"name\":\"".iter().copied().chain(std::iter::repeat(b'a'));
    let (said, closed) = trickle(&mut slow, endless, Duration::from_millis(20));
    assert!(closed && said == timeout, "{said:?}");
    // Not at all.
    let mut silent = Raw::connect(server.clients());
    let (said, closed) = silent.until_pongs(1);
    assert!(closed && texts(&said) == timeout, "{said:?}");
    // Fast.
    let mut fast = Raw::connect(server.clients());
    fast.write(b"CONNECT {\"name\":\"");
    pour(&mut fast, &[b'a'; 1000], 1 << 20);
    let (said, closed) = fast.until_pongs(1);
    assert!(closed && texts(&said) == ["-ERR 'maximum control line exceeded'\r\n"], "{said:?}");
    // Anything else.
    for bytes in ["PUB a 5\r\nhello\r\n", "PING\r\n", "SUB a 1\r\n", "{", "\x16\x03\x01"] {
        let mut raw = Raw::connect(server.clients());
        raw.write(bytes.as_bytes());
        let (said, closed) = raw.until_pongs(1);
        assert!(closed && texts(&said) == ["-ERR 'Authorization Violation'\r\n"], "{bytes:?}: {said:?}");
    }
    bystander.finish();
}

#[test]
fn a_message_that_trickles_arrives_whole() {
    for shards in [1, 4] {
        let server = server(shards, "");
        let bystander = Bystander::start(&server, QUIET);
        let (mut from, mut to) = (Raw::connect(server.clients()), Raw::connect(server.clients()));
        to.write([QUIET, "SUB trickle 1\r\n"].concat().as_bytes());
        to.barrier();
        from.write(QUIET.as_bytes());
        from.barrier();
        let payload: String = (0..3000).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
        for byte in format!("PUB trickle 3000\r\n{payload}\r\n").bytes() {
            from.write(&[byte]);
            from.await_read();
        }
        assert_eq!(to.next(PATIENCE), Next::Frame(format!("MSG trickle 1 3000\r\n{payload}\r\n").into_bytes()));
        bystander.finish();
    }
}

#[test]
fn a_thousand_connections_reset_at_any_moment_leave_nothing_behind() {
    for shards in [1, 4] {
        let server = server(shards, "max_pending: 1MB");
        let bystander = Bystander::start(&server, QUIET);
        bystander.await_more(50);
        let before = Baseline::of(&server);
        let big = "x".repeat(50_000);
        for i in 0..1000 {
            let stream = TcpStream::connect(server.clients()).expect("connect");
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger");
            let bytes = match i % 5 {
                0 => String::new(),
                1 => format!("{QUIET}SUB storm.> {i}\r\nPIN"),
                2 => format!("{QUIET}PUB storm.a 1000000\r\n{big}"),
                // In the middle of what it is told.
                3 => format!("{QUIET}SUB storm.> 1\r\nPUB storm.{i} 50000\r\n{big}\r\n"),
                _ => "nonsense\r\n".to_string(),
            };
            match (&stream).write_all(bytes.as_bytes()) {
                Ok(()) => {}
                Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
                Err(e) => panic!("write: {e}"),
            }
        }
        until("all are gone", PATIENCE, || {
            let varz = monitoring(server.monitor(), "/varz");
            (varz["connections"] == 2 && varz["subscriptions"] == 1).then_some(())
        });
        before.await_again(&server);
        bystander.finish();
    }
}
