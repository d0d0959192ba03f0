//! What the doctor makes of what he has seen. Pure.

use super::look::{Core, Look};
use crate::policy::Settings;
use crate::shell::cores::locked_bytes_per_shard;
use std::collections::{BTreeMap, BTreeSet};

/// A core that takes longer to wake than this, microseconds, is felt by whoever waits for one message.
const WAKE_MAX_US: u64 = 50;
/// Interrupts since the machine started, from which on a core serves a device rather than has served it once.
const BUSY_INTERRUPTS: u64 = 100_000;
/// Connections that wait to be accepted when many come at once.
const SOMAXCONN: u64 = 4096;
/// A send buffer of this size keeps a link of 10 Gbit/s and 3 ms busy.
const WMEM: u64 = 4 << 20;
/// Descriptors beside those of clients.
const NOFILE_SPARE: u64 = 1024;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// The server does not start.
    Fatal,
    /// It costs.
    Costs,
    /// All is well.
    Fine,
}

impl Grade {
    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Grade::Fatal => "fatal",
            Grade::Costs => "improve",
            Grade::Fine => "ok",
        }
    }
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// How bad it is.
    pub grade: Grade,
    /// What was seen.
    pub found: String,
    /// What it costs; empty: nothing.
    pub cost: String,
    /// The line that fixes it.
    pub fix: String,
}

struct Chart(Vec<Finding>);

impl Chart {
    fn fine(&mut self, subject: &'static str, found: impl Into<String>) {
        let (cost, fix) = (String::new(), String::new());
        self.0.push(Finding { subject, grade: Grade::Fine, found: found.into(), cost, fix });
    }

    fn amiss(&mut self, subject: &'static str, grade: Grade, [found, cost, fix]: [String; 3]) {
        self.0.push(Finding { subject, grade, found, cost, fix });
    }

    fn costs(&mut self, subject: &'static str, found: String, cost: &str, fix: String) {
        self.amiss(subject, Grade::Costs, [found, cost.into(), fix]);
    }
}

/// What there is to say, the worst first.
pub fn findings(settings: &Settings, look: &Look) -> Vec<Finding> {
    let mut chart = Chart(Vec::new());
    kernel(look, &mut chart);
    shards(settings, look, &mut chart);
    descriptors(settings, look, &mut chart);
    pinned(look, &mut chart);
    topology(look, &mut chart);
    memory(look, &mut chart);
    sockets(look, &mut chart);
    chart.0.sort_by_key(|f| f.grade);
    chart.0
}

fn kernel(look: &Look, chart: &mut Chart) {
    if let Some(release) = &look.kernel {
        chart.fine("kernel", release.clone());
    }
    match &look.io_uring {
        None => chart.fine("io_uring", "all three system calls work"),
        Some((what, remedy)) => {
            chart.amiss("io_uring", Grade::Fatal, [what.clone(), "the server does not start".into(), remedy.clone()]);
        }
    }
}

fn shards(settings: &Settings, look: &Look, chart: &mut Chart) {
    let pins = match &look.pins {
        Ok(pins) => pins,
        Err((what, remedy)) => {
            let told = [what.clone(), "the server does not start".into(), remedy.clone()];
            return chart.amiss("shards", Grade::Fatal, told);
        }
    };
    let list: Vec<String> = pins.iter().flatten().map(u16::to_string).collect();
    let on = if list.is_empty() { "not pinned".into() } else { format!("on cores {}", list.join(",")) };
    match &look.warning {
        None => chart.fine("shards", format!("{} {on}", pins.len())),
        Some(warning) => chart.costs(
            "shards",
            warning.clone(),
            "cores that stay idle, or shards that take turns",
            "name as many cores as shards: shards = \"auto\", CPUAffinity= in the unit, LimitMEMLOCK=".into(),
        ),
    }
    let Some(machine) = &look.machine else { return };
    let needed = locked_bytes_per_shard(settings.cores.io_memory, machine.page_bytes) * pins.len() as u64;
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    match machine.memlock.limit {
        Some(limit) if !machine.memlock.exempt && limit < 2 * needed => chart.costs(
            "memlock",
            format!("{} MiB may be locked, {} MiB are needed", mib(limit), mib(needed)),
            "a restart that finds the old server's memory still locked is refused",
            format!("LimitMEMLOCK={}M in the unit, or ulimit -l {}", mib(2 * needed), (2 * needed) >> 10),
        ),
        _ => chart.fine("memlock", format!("{} MiB of locked memory are needed and allowed", mib(needed))),
    }
    match machine.cgroup_cpus {
        Some(share) if share < pins.len() as f64 => chart.costs(
            "cgroup",
            format!("the control group gives {share:.2} cores to {} shards", pins.len()),
            "shards stand still for up to 100 ms at a time when the share is used up",
            format!("CPUQuota={}% in the unit, or fewer shards", 100 * pins.len()),
        ),
        Some(share) => chart.fine("cgroup", format!("a share of {share:.2} cores")),
        None => chart.fine("cgroup", "no bound on processor time"),
    }
    affinity(settings, &machine.affinity, chart);
}

/// Cores that are named and that whoever started us keeps from us.
fn affinity(settings: &Settings, given: &[u16], chart: &mut Chart) {
    let Some(cpus) = &settings.cores.cpus else { return };
    let kept: Vec<String> = cpus.iter().filter(|c| !given.contains(c)).map(u16::to_string).collect();
    if kept.is_empty() {
        return chart.fine("affinity", "every core of `cpus` is among the process's own");
    }
    let list: Vec<String> = cpus.iter().map(u16::to_string).collect();
    chart.costs(
        "affinity",
        format!("cores {} of `cpus` are not in this process's affinity", kept.join(",")),
        "shards pin themselves where the unit did not mean them to be, or are refused",
        format!("CPUAffinity={0} and AllowedCPUs={0} in the unit", list.join(",")),
    );
}

fn descriptors(settings: &Settings, look: &Look, chart: &mut Chart) {
    let Some(limit) = look.nofile else { return };
    let needed = settings.limits.max_connections as u64 + NOFILE_SPARE;
    if limit >= needed {
        return chart
            .fine("descriptors", format!("{limit} open files for {} connections", settings.limits.max_connections));
    }
    chart.costs(
        "descriptors",
        format!("{limit} open files for max_connections {}", settings.limits.max_connections),
        "clients are refused before max_connections is reached",
        format!("LimitNOFILE={needed} in the unit, or ulimit -n {needed}"),
    );
}

/// Cores that are alike in something: `0,1,2`.
fn listed(cores: &BTreeMap<u16, Core>, which: impl Fn(&Core) -> bool) -> String {
    cores.iter().filter(|(_, c)| which(c)).map(|(n, _)| n.to_string()).collect::<Vec<_>>().join(",")
}

fn pinned(look: &Look, chart: &mut Chart) {
    let cores = &look.cores;
    if cores.values().any(|c| c.governor.is_some()) {
        let slow = listed(cores, |c| c.governor.as_deref().is_some_and(|g| g != "performance"));
        match slow.is_empty() {
            true => chart.fine("governor", "performance on every core of a shard"),
            false => chart.costs(
                "governor",
                format!("cores {slow} are not governed for performance"),
                "a core that was idle begins slowly: up to twice the latency at low load",
                format!("cpupower -c {slow} frequency-set -g performance"),
            ),
        }
    }
    if cores.values().any(|c| c.deepest.is_some()) {
        let deep = listed(cores, |c| c.deepest.as_ref().is_some_and(|(_, us)| *us > WAKE_MAX_US));
        let worst = cores.values().filter_map(|c| c.deepest.clone()).max_by_key(|(_, us)| *us).unwrap_or_default();
        match deep.is_empty() {
            true => chart.fine("C-states", format!("waking takes {} µs at most", worst.1)),
            false => chart.costs(
                "C-states",
                format!("cores {deep} may sleep as deep as {}, from which waking takes {} µs", worst.0, worst.1),
                "that much more latency for the first message after a pause",
                format!("cpupower -c {deep} idle-set -D {WAKE_MAX_US}"),
            ),
        }
    }
    let busy: Vec<_> = cores.iter().filter_map(|(n, c)| Some((*n, c.busiest.clone()?))).collect();
    match busy.iter().filter(|(_, (_, _, count))| *count >= BUSY_INTERRUPTS).max_by_key(|(_, (_, _, count))| *count) {
        Some((core, (irq, name, count))) => {
            let others: Vec<String> = look
                .machine
                .iter()
                .flat_map(|m| &m.existing)
                .filter(|c| !cores.contains_key(c))
                .map(u16::to_string)
                .collect();
            let to = if others.is_empty() { "CORE".to_owned() } else { others.join(",") };
            chart.costs(
                "interrupts",
                format!("core {core} of a shard serves {name} (interrupt {irq}, {count} so far)"),
                "each of them interrupts the shard for some microseconds",
                format!("echo {to} > /proc/irq/{irq}/smp_affinity_list (leave a core to interrupts; stop irqbalance)"),
            );
        }
        None if !busy.is_empty() => chart.fine("interrupts", "no device keeps a shard's core busy"),
        None => {}
    }
}

fn topology(look: &Look, chart: &mut Chart) {
    let cores = &look.cores;
    if cores.len() > 1 {
        let shared: Vec<String> = cores
            .iter()
            .filter_map(|(n, c)| {
                let twin = c.siblings.iter().find(|s| **s > *n && cores.contains_key(s))?;
                Some(format!("{n}+{twin}"))
            })
            .collect();
        match shared.is_empty() {
            true => chart.fine("siblings", "no two shards share a core's threads"),
            false => chart.costs(
                "siblings",
                format!("shards share physical cores: {}", shared.join(" ")),
                "two threads of one core do about as much as 1.3 cores, and each is slower",
                format!(
                    "cpus = \"{}\"",
                    listed(cores, |c| c
                        .siblings
                        .first()
                        .is_none_or(|first| cores.contains_key(first) && c.siblings.iter().min() == Some(first)))
                ),
            ),
        }
        let nodes: BTreeSet<u16> = cores.values().filter_map(|c| c.node).collect();
        match nodes.len() {
            0 => {}
            1 => chart.fine("NUMA", "all shards are on one node"),
            n => chart.costs(
                "NUMA",
                format!("the shards are on {n} nodes"),
                "messages between shards of two nodes cost about twice as much",
                format!(
                    "cpus = \"{}\", or one server for each node",
                    listed(cores, |c| c.node == nodes.first().copied())
                ),
            ),
        }
    }
    let on = look.isolated.as_deref().map(super::look::ranges).unwrap_or_default();
    match cores.keys().all(|c| on.contains(c)) && !cores.is_empty() {
        true => chart.fine("isolation", "the scheduler keeps the shards' cores free"),
        false => {
            chart.fine("isolation", "the shards' cores are not isolated (isolcpus=); other processes may run there")
        }
    }
}

fn memory(look: &Look, chart: &mut Chart) {
    match look.huge_pages.as_deref() {
        Some("always") => chart.costs(
            "huge pages",
            "transparent huge pages are made for everybody".into(),
            "memory that grows by 2 MiB at a time, and pauses while pages are put together",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled".into(),
        ),
        Some(word) => chart.fine("huge pages", word),
        None => {}
    }
    match look.swapped {
        Some(bytes) if bytes > 0 => chart.costs(
            "swap",
            format!("{} KiB of this process are swapped out", bytes >> 10),
            "a page that is fetched from disk stops a shard for milliseconds",
            "swapoff -a, or MemorySwapMax=0 in the unit".into(),
        ),
        Some(_) => chart.fine("swap", "nothing is swapped out"),
        None => {}
    }
}

fn sockets(look: &Look, chart: &mut Chart) {
    match look.somaxconn {
        Some(n) if n < SOMAXCONN => chart.costs(
            "accepts",
            format!("{n} connections may wait to be accepted"),
            "clients that all come back at once wait a second for their next attempt",
            format!("sysctl -w net.core.somaxconn={SOMAXCONN}"),
        ),
        Some(n) => chart.fine("accepts", format!("{n} connections may wait to be accepted")),
        None => {}
    }
    match look.wmem_max {
        Some(n) if n < WMEM => chart.costs(
            "sockets",
            format!("a send buffer grows to {n} bytes at most"),
            "links with long round trips carry less than they could",
            format!("sysctl -w net.ipv4.tcp_wmem=\"4096 16384 {WMEM}\""),
        ),
        Some(n) => chart.fine("sockets", format!("send buffers grow to {n} bytes")),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::cores::{Machine, Memlock};

    fn look() -> Look {
        let core = |n: u16| Core {
            governor: Some("performance".into()),
            deepest: Some(("C1".into(), 2)),
            siblings: vec![n],
            node: Some(0),
            busiest: Some(("24".into(), "eth0".into(), 7)),
        };
        Look {
            kernel: Some("6.12".into()),
            io_uring: None,
            machine: Some(Machine {
                affinity: vec![0, 1, 2, 3],
                existing: vec![0, 1, 2, 3],
                pinnable: vec![0, 1, 2, 3],
                cgroup_cpus: None,
                memlock: Memlock { limit: None, exempt: false },
                page_bytes: 4096,
            }),
            pins: Ok(vec![Some(1), Some(2)]),
            warning: None,
            cores: [(1, core(1)), (2, core(2))].into(),
            isolated: None,
            nofile: Some(1 << 20),
            huge_pages: Some("madvise".into()),
            swapped: Some(0),
            somaxconn: Some(4096),
            wmem_max: Some(4 << 20),
        }
    }

    fn amiss(change: impl FnOnce(&mut Look)) -> Vec<(&'static str, Grade, String)> {
        let mut look = look();
        change(&mut look);
        let all = findings(&Settings::default(), &look);
        all.into_iter().filter(|f| f.grade != Grade::Fine).map(|f| (f.subject, f.grade, f.fix)).collect()
    }

    #[test]
    fn a_machine_that_is_well_has_nothing_to_improve() {
        assert_eq!(amiss(|_| {}), []);
    }

    #[test]
    fn each_ailment_is_found_with_the_line_that_cures_it() {
        type Change = fn(&mut Look);
        let rows: [(Change, &str, &str); 11] = [
            (
                |l| l.cores.get_mut(&1).unwrap().governor = Some("powersave".into()),
                "governor",
                "cpupower -c 1 frequency-set -g performance",
            ),
            (
                |l| l.cores.get_mut(&2).unwrap().deepest = Some(("C6".into(), 133)),
                "C-states",
                "cpupower -c 2 idle-set -D 50",
            ),
            (
                |l| l.cores.get_mut(&2).unwrap().busiest.as_mut().unwrap().2 = 1_000_000,
                "interrupts",
                "echo 0,3 > /proc/irq/24/smp_affinity_list",
            ),
            (|l| l.cores.get_mut(&1).unwrap().siblings = vec![1, 2], "siblings", "cpus = "),
            (|l| l.cores.get_mut(&2).unwrap().node = Some(1), "NUMA", "cpus = \"1\""),
            (|l| l.huge_pages = Some("always".into()), "huge pages", "echo madvise"),
            (|l| l.swapped = Some(4096), "swap", "MemorySwapMax=0"),
            (|l| l.somaxconn = Some(128), "accepts", "net.core.somaxconn=4096"),
            (|l| l.wmem_max = Some(65536), "sockets", "tcp_wmem"),
            (|l| l.nofile = Some(1024), "descriptors", "LimitNOFILE=66560"),
            (|l| l.machine.as_mut().unwrap().cgroup_cpus = Some(1.5), "cgroup", "CPUQuota=200%"),
        ];
        for (change, subject, fix) in rows {
            let found = amiss(change);
            assert!(
                matches!(&found[..], [(s, Grade::Costs, f)] if *s == subject && f.contains(fix)),
                "{subject}: {found:?}"
            );
        }
    }

    #[test]
    fn what_keeps_it_from_starting_comes_first() {
        let found = amiss(|l| {
            l.somaxconn = Some(1);
            l.io_uring = Some(("refused".into(), "SystemCallFilter=@aio".into()));
        });
        assert_eq!(found[0], ("io_uring", Grade::Fatal, "SystemCallFilter=@aio".into()));
    }
}
