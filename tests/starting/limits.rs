//! What a process may not have: io_uring, locked memory, file descriptors.

use crate::support::process::{monitoring, until};
use crate::support::raw::Raw;
use crate::support::server::{Server, Under, Which};
use crate::{run, turnpike, Ended, Folder, AT_ONCE};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};

/// Users of our own, so that nobody else's locked memory counts.
fn somebody() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    200_000 + std::process::id() % 10_000 * 10 + COUNT.fetch_add(1, Ordering::Relaxed)
}

/// A process without privileges under these limits; `None`, and a word why, where we cannot make one.
fn unprivileged(limits: &[&str]) -> Option<Under> {
    let under = Under { user: Some(somebody()), ..Under::limits(limits) };
    let able = under.command(Which::under_test().path()).arg("-v").output().is_ok_and(|o| o.status.success());
    if !able {
        eprintln!("left out: only root can become another user, who must be able to run the binary");
    }
    able.then_some(under)
}

fn start(under: &Under, shards: &str) -> Ended {
    let mut command = under.command(Which::under_test().path());
    run(command.args(["-a", "127.0.0.1", "-p", "-1", "--shards", shards]))
}

#[test]
fn too_little_locked_memory() {
    let Some(under) = unprivileged(&["--memlock=65536:65536"]) else { return };
    start(&under, "1").refused_with(&[
        "[FTL] too little locked memory for 1 shard: ",
        "RLIMIT_MEMLOCK is 64 KiB",
        "set LimitMEMLOCK=2M in the systemd unit, or `ulimit -l 2048`",
    ]);
    let Some(under) = unprivileged(&["--memlock=4194304:4194304"]) else { return };
    start(&under, "4").refused_with(&["for 4 shards: 7 MiB needed", "LimitMEMLOCK=7M", "or start with --shards 2"]);
}

#[test]
fn the_usual_locked_memory_is_enough_for_one_and_for_four() {
    for shards in ["1", "4"] {
        let Some(under) = unprivileged(&["--memlock=8388608:8388608"]) else { return };
        let which = Which::under_test();
        let mut server = Server::start_under(&which, &under, "", &["--shards".into(), shards.into()]);
        let mut clients: Vec<Raw> = (0..8).map(|_| Raw::connect(server.clients())).collect();
        clients.iter_mut().for_each(|c| drop(c.barrier()));
        drop(clients);
        assert_eq!(server.terminate(), Some(0));
    }
}

/// Makes a system call answer `errno` to this thread and to what it starts, as the seccomp profiles of containers do.
#[allow(unsafe_code, reason = "prctl has no safe wrapper for a filter")]
fn deny(call: libc::c_long, errno: libc::c_int) {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let is_it =
        libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: 0, jf: 1, k: call as u32 };
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0), // the number of the system call
        is_it,
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: both calls read their arguments only while they run, and `program` outlives them.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) != 0
    };
    assert!(!refused, "no filter: {}", std::io::Error::last_os_error());
}

#[test]
fn io_uring_forbidden_by_seccomp() {
    let cases = [(libc::EPERM, "EPERM from io_uring_setup — blocked by seccomp"), (libc::ENOSYS, "seccomp profile")];
    for (errno, cause) in cases {
        // A filter binds the thread that sets it, and its children.
        let ended = std::thread::spawn(move || {
            deny(libc::SYS_io_uring_setup, errno);
            run(&mut turnpike(&["-a", "127.0.0.1", "-p", "-1", "--shards", "1"]))
        });
        let remedy = "allow io_uring_setup, io_uring_enter and io_uring_register";
        ended.join().expect("the thread").refused_with(&["[FTL] cannot start io_uring: ", cause, remedy]);
    }
}

/// What a server with this configuration says when the system gives it no event queue.
fn without_epoll(conf: &str) -> Ended {
    let folder = Folder::new();
    let file = folder.write("server.conf", conf);
    let ended = std::thread::spawn(move || {
        deny(libc::SYS_epoll_create1, libc::ENFILE);
        run(&mut turnpike(&["-a", "127.0.0.1", "-p", "-1", "--shards", "2", "-c", &file]))
    });
    ended.join().expect("the thread")
}

#[test]
fn a_shard_that_cannot_begin_is_the_end() {
    let ended = without_epoll("no_system_account: true\n");
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let refusal = "[FTL] a shard cannot begin: Too many open files in system (os error 23) — epoll needs";
    assert!(ended.err.contains(refusal), "{}", ended.err);
    assert!(!ended.err.contains("still had data"), "{}", ended.err);
}

#[test]
fn a_system_account_that_cannot_be_served_is_the_end() {
    let ended = without_epoll("debug: false\n");
    ended.refused_with(&["[FTL] cannot serve the system account: Too many open files in system", "SystemCallFilter="]);
}

#[test]
fn too_few_file_descriptors() {
    let under = Under::limits(&["--nofile=40:40"]);
    start(&under, "4").refused_with(&["[FTL] too few file descriptors: ", "RLIMIT_NOFILE is 40", "set LimitNOFILE="]);
}

#[test]
fn a_soft_limit_of_files_is_raised_to_the_hard_one() {
    let which = Which::under_test();
    let under = Under::limits(&["--nofile=64:256"]);
    let server = Server::start_under(&which, &under, "", &["--shards".into(), "1".into()]);
    let clients: Vec<Raw> = (0..100).map(|_| Raw::connect(server.clients())).collect();
    assert_eq!(monitoring(server.monitor(), "/varz")["connections"], clients.len());
}

/// Every descriptor that clients and monitoring may have is taken, and the server still opens its own.
#[test]
fn a_full_house_leaves_the_server_its_own() {
    let which = Which::under_test();
    let under = Under::limits(&["--nofile=128:128"]);
    let log = crate::Folder::new();
    let path = log.path("log");
    let args = ["--shards", "4", "-l", &path].map(String::from);
    let mut server = Server::start_under(&which, &under, "", &args);
    // One of eight places (128 / 16) is left for the question below.
    let idle: Vec<TcpStream> = (0..7).map(|_| TcpStream::connect(server.monitor()).expect("connect")).collect();
    let mut clients = Vec::new();
    let full = |clients: &mut Vec<TcpStream>| {
        use std::io::Read;
        let mut client = TcpStream::connect(server.clients()).expect("connect");
        client.set_read_timeout(Some(AT_ONCE)).expect("read timeout");
        let mut word = [0; 4];
        client.read_exact(&mut word).expect("a word");
        clients.push(client);
        &word == b"-ERR"
    };
    until("the last client", AT_ONCE, || full(&mut clients).then_some(()));
    assert_eq!(monitoring(server.monitor(), "/varz")["connections"], clients.len() - 1);
    server.signal("USR1");
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    until("the log opened anew", AT_ONCE, || read().contains("File log re-opened").then_some(()));
    assert!(!read().contains("Too many open files"), "{}", read());
    drop(idle);
    assert_eq!(server.terminate(), Some(0));
}
