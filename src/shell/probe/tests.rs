//! The probe under real refusals. Each runs in a child: this very test binary, told by the environment to take a
//! limit upon itself and then to ask. The child prints the refusal, or nothing.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{setrlimit, Resource};
use nix::unistd::{setgid, setgroups, setuid, Gid, Uid};

use super::*;
use crate::policy::settings::Settings;

const MARK: &str = "refusal: ";
const ROLE: &str = "TURNPIKE_PROBE_ROLE";

/// Not a test of its own: what the children run.
#[test]
#[ignore = "the child's part of the tests below"]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut words = role.split(' ');
    match words.next() {
        Some("memlock") => limit_memlock(words.next().unwrap().parse().unwrap()),
        Some("beyond") => {
            limit_memlock(words.next().unwrap().parse().unwrap());
            let said = start_all(words.next().unwrap().parse().unwrap(), 512 << 10).unwrap_err();
            return println!("{MARK}{said}");
        }
        Some("seccomp") => deny_io_uring(words.next().unwrap().parse().unwrap()),
        _ => panic!("unknown role {role}"),
    }
    let mut cores = Settings::default().cores;
    cores.shards = words.next().map(|n| n.parse().unwrap());
    let start = Instant::now();
    let machine = cores::Machine::read().unwrap();
    let planned = cores::plan(&cores, &machine).and_then(|plan| probe(cores.io_memory).map(|()| plan));
    assert!(start.elapsed() < Duration::from_secs(1), "the answer took {:?}", start.elapsed());
    let said = planned.and_then(|plan| start_all(plan.cpus.len(), cores.io_memory)).err();
    println!("{MARK}{}", said.map_or(String::new(), |r| r.to_string()));
}

/// What a plan promises: so many executors, all there at a time.
fn start_all(n: usize, io_memory: usize) -> Result<(), Refusal> {
    let all_there = std::sync::Arc::new(std::sync::Barrier::new(n));
    let threads: Vec<_> = (0..n)
        .map(|_| {
            let all_there = std::sync::Arc::clone(&all_there);
            std::thread::spawn(move || {
                let builder =
                    LocalExecutorBuilder::new(Placement::Unbound).io_memory(io_memory).ring_depth(cores::RING_DEPTH);
                let executor = builder.make();
                all_there.wait();
                executor.map(|executor| executor.run(async {})).map_err(|e| explain(&e))
            })
        })
        .collect();
    threads.into_iter().try_for_each(|t| t.join().unwrap())
}

/// Becomes a user of its own, without privileges, whose locked memory is limited to `bytes`.
fn limit_memlock(bytes: u64) {
    if Uid::effective().is_root() {
        let id = 200_000 + std::process::id();
        setgroups(&[]).unwrap();
        setgid(Gid::from_raw(id)).unwrap();
        setuid(Uid::from_raw(id)).unwrap();
    }
    setrlimit(Resource::RLIMIT_MEMLOCK, bytes, bytes).unwrap();
}

/// Installs a seccomp filter that answers io_uring_setup with `errno`.
#[allow(unsafe_code, reason = "prctl has no safe wrapper for a filter")]
fn deny_io_uring(errno: u32) {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0), // the number of the system call
        libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 0,
            jf: 1,
            k: libc::SYS_io_uring_setup as u32,
        },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: both calls read their arguments only while they run, and `program` outlives them.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) != 0
    };
    assert!(!refused, "no filter: {}", io::Error::last_os_error());
}

/// What a child in this role says; empty when it would have started.
fn said_as(role: &str) -> String {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["shell::probe::tests::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = text.lines().find_map(|l| l.split_once(MARK)).map(|(_, said)| said.to_string());
    line.unwrap_or_else(|| panic!("{role}: {text}{}", String::from_utf8_lossy(&out.stderr)))
}

#[test]
fn works_here() {
    assert_eq!(probe(512 << 10), Ok(()));
}

#[test]
fn a_seccomp_filter_is_named() {
    let said = said_as(&format!("seccomp {}", libc::EPERM));
    assert!(said.starts_with("cannot start io_uring: EPERM from io_uring_setup — blocked by seccomp"), "{said}");
    assert!(said.contains("allow io_uring_setup, io_uring_enter and io_uring_register"), "{said}");
    let said = said_as(&format!("seccomp {}", libc::ENOSYS));
    assert!(said.contains("ENOSYS from io_uring_setup although Linux"), "{said}");
}

#[test]
fn no_locked_memory_is_refused_with_the_line_that_fixes_it() {
    for limit in [0, 64 << 10] {
        let said = said_as(&format!("memlock {limit} 1"));
        let found = if limit == 0 { "RLIMIT_MEMLOCK is 0 (0 per shard)" } else { "RLIMIT_MEMLOCK is 64 KiB" };
        assert!(said.contains(found), "{said}");
        assert!(said.contains("set LimitMEMLOCK=2M in the systemd unit, or `ulimit -l 2048`"), "{said}");
    }
}

#[test]
fn eight_mebibytes_carry_five_shards_and_not_six() {
    let limit = 8 << 20;
    for n in [1, 5] {
        assert_eq!(said_as(&format!("memlock {limit} {n}")), "", "{n} shards");
    }
    let said = said_as(&format!("memlock {limit} 6"));
    assert!(said.contains("too little locked memory for 6 shards: 10 MiB needed"), "{said}");
    assert!(said.contains("LimitMEMLOCK=10M") && said.contains("--shards 5"), "{said}");
}

#[test]
fn where_nothing_is_left_the_executor_says_so() {
    // Past any plan: the rings of 24 alone, 48 KiB each, are more than there is.
    let said = said_as(&format!("beyond {} 24", 1 << 20));
    assert!(said.starts_with("cannot start io_uring: ENOMEM from an executor — locked memory is used up"), "{said}");
    assert!(said.contains("RLIMIT_MEMLOCK 1024 KiB") && said.contains("LimitMEMLOCK="), "{said}");
}

#[test]
fn sysctls_and_old_kernels_are_named() {
    let facts = |disabled, kernel: &str| Facts { disabled, kernel: kernel.into(), memlock: Some(8 << 20) };
    let refusal = |f: Facts, errno| f.refusal("io_uring_setup", &io::Error::from_raw_os_error(errno)).to_string();
    let two = refusal(facts(Some(2), "6.8.0"), libc::EPERM);
    assert!(two.contains("kernel.io_uring_disabled = 2") && two.contains("sysctl -w kernel.io_uring_disabled=0"));
    let one = refusal(facts(Some(1), "6.8.0"), libc::EPERM);
    assert!(one.contains("kernel.io_uring_group"), "{one}");
    let hidden = refusal(facts(None, "6.8.0"), libc::EPERM);
    assert!(hidden.contains("seccomp") && hidden.contains("sysctl -w"), "{hidden}");
    let old = refusal(facts(None, "4.19.0-27-amd64"), libc::ENOSYS);
    assert!(old.contains("Linux 4.19.0-27-amd64 is too old") && old.contains("5.8 is the minimum"), "{old}");
    let full = refusal(facts(Some(0), "6.8.0"), libc::ENOMEM);
    assert!(full.contains("RLIMIT_MEMLOCK 8192 KiB"), "{full}");
}

#[test]
fn the_number_is_found_in_glommios_texts() {
    let error = errno_of(&"IO error occurred: failed to create an io_uring: Cannot allocate memory (os error 12)");
    assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
    assert_eq!(errno_of(&"something else").raw_os_error(), None);
}
