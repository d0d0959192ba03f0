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
        Some("seccomp") => deny_io_uring(words.next().unwrap().parse().unwrap()),
        _ => panic!("unknown role {role}"),
    }
    let mut cores = Settings::default().cores;
    cores.shards = words.next().map(|n| n.parse().unwrap());
    let start = Instant::now();
    let machine = cores::Machine::read().unwrap();
    let said = cores::plan(&cores, &machine).and_then(|_| probe(cores.io_memory)).err();
    assert!(start.elapsed() < Duration::from_secs(1), "a refusal took {:?}", start.elapsed());
    println!("{MARK}{}", said.map_or(String::new(), |r| r.to_string()));
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
fn enough_for_the_plan_by_the_sum_is_enough_for_the_kernel() {
    // The sum says that `MEMLOCK_FLOOR` is too little for one shard of 512 KiB; the kernel still starts the probe.
    let said = said_as(&format!("memlock {} 1", 4 << 20));
    assert_eq!(said, "");
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
