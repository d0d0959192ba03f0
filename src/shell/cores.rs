//! Which cores the shards run on, and how many shards there are. [`Machine::read`] looks at what this process was
//! given, [`plan`] decides; the decision is pure. Called once by the boot, before anything is started.

use std::path::Path;

use nix::sched::{sched_getaffinity, sched_setaffinity, CpuSet};
use nix::sys::resource::{getrlimit, setrlimit, Resource, RLIM_INFINITY};
use nix::unistd::{sysconf, Pid, SysconfVar};

use super::{cgroup, Refusal};
use crate::base::limits::SHARDS_MAX;
use crate::policy::settings::Cores;

/// Entries of each io_uring that a shard's executor makes. glommio's own default: sockets are tried without the ring
/// first, so a ring carries readiness and timers only, and a deeper one would only take locked memory.
pub const RING_DEPTH: usize = 128;
/// Rings of one glommio executor: main, latency and poll. Each registers the executor's I/O memory once more.
const RINGS_PER_EXECUTOR: u64 = 3;
/// glommio starts no executor below this `RLIMIT_MEMLOCK`, not even for a process that no limit binds; bytes.
pub const MEMLOCK_FLOOR: u64 = 512 << 10;
/// Smallest I/O memory glommio uses, whatever was asked for; bytes.
const IO_MEMORY_MIN: u64 = 64 << 10;
/// Locked memory left out of the count, bytes: the kernel gives the rings of the probe back some milliseconds after
/// they are closed, and the first shards start in that time.
const MEMLOCK_RESERVE: u64 = 256 << 10;

/// What the machine and whoever started us allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Cores this process was started on (its affinity), ascending.
    pub affinity: Vec<u16>,
    /// Cores that exist and are online, ascending.
    pub existing: Vec<u16>,
    /// Cores a thread of ours may pin itself to; fewer than `existing` inside a cpuset.
    pub pinnable: Vec<u16>,
    /// The share of processor time that the control groups allow, in cores; the tightest up the hierarchy.
    pub cgroup_cpus: Option<f64>,
    /// How much memory may be locked.
    pub memlock: Memlock,
    /// Size of a page, bytes.
    pub page_bytes: u64,
}

/// How much memory this process may lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memlock {
    /// `RLIMIT_MEMLOCK` in bytes; `None`: unlimited.
    pub limit: Option<u64>,
    /// Does the kernel not count what we lock (CAP_IPC_LOCK in the first user namespace)?
    pub exempt: bool,
}

/// How many shards, where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// One entry per shard: the core it is pinned to, or `None` to leave it to the kernel.
    pub cpus: Vec<Option<u16>>,
    /// One sentence for the log: what was chosen and which bound was active.
    pub why: String,
    /// What the operator may not have meant.
    pub warning: Option<String>,
}

/// Locked memory that one shard's executor takes: its rings and, once per ring, its registered I/O memory; bytes.
/// Measured on Linux 6.18 for depths 128 to 1024 and `io_memory` 64 KiB to 10 MiB: exact.
pub fn locked_bytes_per_shard(io_memory: usize, page_bytes: u64) -> u64 {
    let depth = RING_DEPTH as u64;
    let pages = |bytes: u64| bytes.div_ceil(page_bytes) * page_bytes;
    // 64 bytes per submission; 16 per completion, of which there are twice as many; 4 per index; the ring's head.
    let ring = pages(depth * 64) + pages(512 + depth * 2 * 16 + depth * 4);
    let registered = pages((io_memory as u64).max(IO_MEMORY_MIN));
    RINGS_PER_EXECUTOR * (ring + registered)
}

/// Decides how many shards there are and where each runs.
///
/// Automatic: one per core of the affinity (or of `cpus`), at most the control groups' share rounded up, at most what
/// locked memory carries. A given number is taken as it is, more than there are cores too, unless locked memory
/// cannot carry it.
///
/// # Errors
/// Cores that do not exist or that a cpuset withholds, and too little locked memory; each with the line that fixes it.
pub fn plan(cores: &Cores, machine: &Machine) -> Result<Plan, Refusal> {
    check_cpus(cores, machine)?;
    let carried = carried_shards(cores, machine)?;
    let list = cores.cpus.as_ref().unwrap_or(&machine.affinity);
    let plan = match cores.shards {
        Some(0) => return Err(Refusal::new("0 shards cannot serve anybody", "give --shards 1 or more, or auto")),
        Some(n) if usize::from(n) > SHARDS_MAX => {
            return Err(Refusal::new(
                format!("{n} shards are more than the {SHARDS_MAX} there can be"),
                format!("give --shards {SHARDS_MAX} or fewer"),
            ))
        }
        Some(n) => given(usize::from(n), list, cores.cpus.is_some()),
        None => automatic(list, cores.cpus.is_some(), machine, carried),
    };
    match carried {
        Some(most) if plan.cpus.len() > most => Err(too_little_memlock(plan.cpus.len(), most, cores, machine)),
        _ => Ok(plan),
    }
}

/// A number of shards as the operator wrote it.
fn given(n: usize, list: &[u16], by_name: bool) -> Plan {
    let over = n > list.len();
    let cpus: Vec<Option<u16>> = match (over, by_name) {
        (true, false) => vec![None; n],
        _ => (0..n).map(|i| list.get(i % list.len().max(1)).copied()).collect(),
    };
    let warning = over.then(|| {
        let how = if by_name { "several share a core" } else { "none is pinned" };
        format!("{n} shards on {}: {how}, and they take turns", count(list.len(), "core"))
    });
    let why = match cpus.iter().flatten().next() {
        Some(_) => format!("{} on {}, as configured", count(n, "shard"), named(&cpus)),
        None => format!("{}, not pinned, as configured", count(n, "shard")),
    };
    Plan { cpus, why, warning }
}

/// As many shards as cores, control groups and locked memory allow, whichever is least.
fn automatic(list: &[u16], by_name: bool, machine: &Machine, carried: Option<usize>) -> Plan {
    let mut n = list.len().max(1);
    let mut bound = match by_name {
        true => format!("one for each of the {} named", count(n, "core")),
        false => format!("one for each of the {} of the process's affinity", count(n, "core")),
    };
    if n > SHARDS_MAX {
        n = SHARDS_MAX;
        bound = format!("the most there can be, of {}", count(list.len(), "core"));
    }
    if let Some(share) = machine.cgroup_cpus {
        let most = (share.ceil() as usize).max(1);
        if most < n {
            n = most;
            bound = format!("the control group's share is {share:.2} of {} cores", list.len());
        }
    }
    let mut warning = None;
    if let Some(most) = carried.filter(|&most| most < n) {
        n = most;
        let limit = machine.memlock.limit.unwrap_or(u64::MAX);
        bound = format!("locked memory (RLIMIT_MEMLOCK {}) carries no more", bytes(limit));
        warning = Some(format!(
            "only {n} of {} are used: {bound}; raise it with LimitMEMLOCK= (systemd) or ulimit -l",
            count(list.len(), "core")
        ));
    }
    let cpus: Vec<Option<u16>> = (0..n).map(|i| list.get(i).copied()).collect();
    Plan { why: format!("{} on {}: {bound}", count(n, "shard"), named(&cpus)), cpus, warning }
}

/// Refuses cores that no thread could be pinned to.
fn check_cpus(cores: &Cores, machine: &Machine) -> Result<(), Refusal> {
    let Some(wanted) = &cores.cpus else { return Ok(()) };
    if wanted.is_empty() {
        return Err(Refusal::new("the list of cpus is empty", "name cores, or leave `cpus` out"));
    }
    let missing: Vec<u16> = wanted.iter().copied().filter(|c| !machine.existing.contains(c)).collect();
    if !missing.is_empty() {
        let what = format!(
            "cpus: {} {}; this machine has {}",
            ranges(&missing),
            if missing.len() == 1 { "does not exist" } else { "do not exist" },
            ranges(&machine.existing)
        );
        return Err(Refusal::new(what, format!("give cpus = \"{}\" or part of it", ranges(&machine.existing))));
    }
    let withheld: Vec<u16> = wanted.iter().copied().filter(|c| !machine.pinnable.contains(c)).collect();
    if !withheld.is_empty() {
        let what = format!(
            "cpus: {} may not be used: the cpuset of this process (container or slice) allows {}",
            ranges(&withheld),
            ranges(&machine.pinnable)
        );
        return Err(Refusal::new(
            what,
            format!(
                "give cpus = \"{}\" or part of it, or widen the cpuset (AllowedCPUs=, --cpuset-cpus)",
                ranges(&machine.pinnable)
            ),
        ));
    }
    Ok(())
}

/// The most shards that locked memory carries; `None`: any number.
fn carried_shards(cores: &Cores, machine: &Machine) -> Result<Option<usize>, Refusal> {
    let Some(limit) = machine.memlock.limit else { return Ok(None) };
    let need = locked_bytes_per_shard(cores.io_memory, machine.page_bytes);
    let most =
        if machine.memlock.exempt { None } else { Some((limit.saturating_sub(MEMLOCK_RESERVE) / need) as usize) };
    if limit < MEMLOCK_FLOOR || most == Some(0) {
        return Err(too_little_memlock(usize::from(cores.shards.unwrap_or(1)).max(1), 0, cores, machine));
    }
    Ok(most)
}

/// The refusal for `n` shards where `most` fit.
fn too_little_memlock(n: usize, most: usize, cores: &Cores, machine: &Machine) -> Refusal {
    let per_shard = locked_bytes_per_shard(cores.io_memory, machine.page_bytes);
    let need = (per_shard * n as u64 + MEMLOCK_RESERVE).max(MEMLOCK_FLOOR).next_multiple_of(1 << 20);
    let limit = machine.memlock.limit.unwrap_or(u64::MAX);
    let what = format!(
        "too little locked memory for {}: {} needed ({} per shard at io_memory {}), RLIMIT_MEMLOCK is {} ({} per shard)",
        count(n, "shard"),
        bytes(need),
        bytes(per_shard),
        bytes(cores.io_memory as u64),
        bytes(limit),
        bytes(limit / n as u64)
    );
    let mut remedy = format!(
        "set LimitMEMLOCK={}M in the systemd unit, or `ulimit -l {}` in the shell that starts turnpike",
        need >> 20,
        need >> 10
    );
    if most > 0 {
        remedy.push_str(&format!(", or start with --shards {most}"));
    }
    Refusal::new(what, remedy)
}

impl Machine {
    /// Looks at this machine and at what this process was given. Raises the soft limit of locked memory to the hard
    /// one, which needs no privilege; where that is forbidden the soft one stays.
    ///
    /// # Errors
    /// None of the files of `/proc` and `/sys` is needed: what cannot be read is taken as "no bound". Only a kernel
    /// that will not tell our own affinity is an error.
    pub fn read() -> Result<Machine, Refusal> {
        let affinity = cpus_of(&sched_getaffinity(Pid::from_raw(0)).map_err(|e| {
            Refusal::new(format!("the kernel does not tell this process's CPU affinity: {e}"), String::new())
        })?);
        let existing = std::fs::read_to_string("/sys/devices/system/cpu/online")
            .ok()
            .and_then(|s| parse_ranges(s.trim()))
            .unwrap_or_else(|| affinity.clone());
        let pinnable = pinnable(&existing).unwrap_or_else(|| affinity.clone());
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        let cgroup_cpus = match (read(Path::new("/proc/self/cgroup")), read(Path::new("/proc/self/mountinfo"))) {
            (Some(groups), Some(mounts)) => cgroup_share(&groups, &mounts, &read),
            _ => None,
        };
        let page_bytes = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|n| u64::try_from(n).ok());
        let page_bytes = page_bytes.unwrap_or(4096);
        Ok(Machine { affinity, existing, pinnable, cgroup_cpus, memlock: Memlock::read(), page_bytes })
    }
}

impl Memlock {
    fn read() -> Memlock {
        let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK) else {
            return Memlock { limit: None, exempt: false };
        };
        let limit = if soft < hard && setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard).is_ok() { hard } else { soft };
        let limit = (limit != RLIM_INFINITY).then_some(limit);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let uid_map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        Memlock { limit, exempt: exempt(&status, &uid_map) }
    }
}

/// Is CAP_IPC_LOCK among the effective capabilities, and are they those of the first user namespace? Inside another
/// one (rootless containers, `PrivateUsers=`) the kernel counts locked memory however privileged we look.
fn exempt(status: &str, uid_map: &str) -> bool {
    const CAP_IPC_LOCK: u64 = 1 << 14;
    let effective = status
        .lines()
        .find_map(|l| l.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let first_namespace = uid_map.split_whitespace().eq(["0", "0", "4294967295"]);
    effective & CAP_IPC_LOCK != 0 && first_namespace
}

/// The cores out of `existing` that a thread of ours may move to: a throw-away thread asks for all of them, and the
/// kernel leaves those that our cpuset allows.
fn pinnable(existing: &[u16]) -> Option<Vec<u16>> {
    let mut all = CpuSet::new();
    for &cpu in existing {
        all.set(usize::from(cpu)).ok()?;
    }
    let asked = std::thread::Builder::new().name("turnpike-cpus".into()).spawn(move || {
        sched_setaffinity(Pid::from_raw(0), &all).ok()?;
        sched_getaffinity(Pid::from_raw(0)).ok()
    });
    asked.ok()?.join().ok()?.map(|set| cpus_of(&set))
}

fn cpus_of(set: &CpuSet) -> Vec<u16> {
    (0..CpuSet::count()).filter(|&c| set.is_set(c).unwrap_or(false)).filter_map(|c| u16::try_from(c).ok()).collect()
}

/// The tightest share of processor time, in cores, from our control group up to its root; version 2 (`cpu.max`) and
/// version 1 (`cpu.cfs_quota_us`). `groups` is `/proc/self/cgroup`, `mounts` is `/proc/self/mountinfo`.
fn cgroup_share(groups: &str, mounts: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<f64> {
    let folders = cgroup::folders(groups, mounts, "cpu");
    folders.iter().filter_map(|(dir, v2)| quota(dir, *v2, read)).min_by(f64::total_cmp)
}

/// The quota written in one control group, in cores.
fn quota(dir: &Path, v2: bool, read: &dyn Fn(&Path) -> Option<String>) -> Option<f64> {
    let (quota, period) = if v2 {
        let text = read(&dir.join("cpu.max"))?;
        let mut fields = text.split_whitespace();
        (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?)
    } else {
        let number = |name: &str| read(&dir.join(name))?.trim().parse::<f64>().ok();
        (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
    };
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// "0-3,8" as the kernel writes lists of cores.
fn parse_ranges(text: &str) -> Option<Vec<u16>> {
    let mut cpus = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?);
    }
    (!cpus.is_empty()).then_some(cpus)
}

/// The inverse of [`parse_ranges`].
fn ranges(cpus: &[u16]) -> String {
    let mut sorted = cpus.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut parts: Vec<(u16, u16)> = Vec::new();
    for cpu in sorted {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => parts.push((cpu, cpu)),
        }
    }
    let text = |&(a, b): &(u16, u16)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    parts.iter().map(text).collect::<Vec<_>>().join(",")
}

/// "cores 0-3", or the order itself where it is not ascending: shard 0 runs on the first.
fn named(cpus: &[Option<u16>]) -> String {
    let list: Vec<u16> = cpus.iter().flatten().copied().collect();
    let text = match list.windows(2).all(|w| w[0] < w[1]) {
        true => ranges(&list),
        false => list.iter().map(u16::to_string).collect::<Vec<_>>().join(","),
    };
    format!("{} {text}", if list.len() == 1 { "core" } else { "cores" })
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Bytes for people: the largest unit that keeps it whole, down to bytes.
fn bytes(n: u64) -> String {
    match n {
        0 => "0".to_string(),
        n if n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n % (1 << 10) == 0 => format!("{} KiB", n >> 10),
        n => format!("{n} bytes"),
    }
}

#[cfg(test)]
mod tests;
