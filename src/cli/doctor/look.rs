//! What the doctor reads of this machine. What a kernel does not tell is missing, and nothing is said about it.

use crate::policy::Settings;
use crate::shell::cores::{plan, Machine};
use crate::shell::probe::probe;
use nix::sys::resource::{getrlimit, Resource};
use std::collections::BTreeMap;
use std::path::Path;

/// What one core is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Core {
    /// What governs its frequency.
    pub governor: Option<String>,
    /// The deepest sleep state that it may enter: its name, and how long it takes to wake from it, microseconds.
    pub deepest: Option<(String, u64)>,
    /// Threads of the same core, itself among them.
    pub siblings: Vec<u16>,
    /// Its NUMA node.
    pub node: Option<u16>,
    /// Interrupts of devices that it has served: the device with most, and how many.
    pub busiest: Option<(String, String, u64)>,
}

/// All that is judged.
#[derive(Clone, Debug)]
pub struct Look {
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Why io_uring does not work: what, and the remedy; None: it does.
    pub io_uring: Option<(String, String)>,
    /// Cores, limits; None: the kernel does not even tell those.
    pub machine: Option<Machine>,
    /// The cores of the shards, or why there are none: what, and the remedy.
    pub pins: Result<Vec<Option<u16>>, (String, String)>,
    /// What the plan warns of.
    pub warning: Option<String>,
    /// The cores of the pins.
    pub cores: BTreeMap<u16, Core>,
    /// Cores that the scheduler keeps free.
    pub isolated: Option<String>,
    /// Open files that this process may have.
    pub nofile: Option<u64>,
    /// `never`, `madvise` or `always`.
    pub huge_pages: Option<String>,
    /// Swap that is in use, bytes.
    pub swapped: Option<u64>,
    /// Longest queue of connections that wait to be accepted.
    pub somaxconn: Option<u64>,
    /// Most bytes of a socket's send buffer.
    pub wmem_max: Option<u64>,
}

impl Look {
    /// Of the machine whose files lie below `root`, for a server with these settings.
    pub fn at(settings: &Settings, root: &Path) -> Look {
        let word = |path: &str| std::fs::read_to_string(root.join(path)).ok().map(|t| t.trim().to_owned());
        let number = |path: &str| word(path)?.split_whitespace().next()?.parse().ok();
        let machine = Machine::read().ok();
        let refused = |r: crate::shell::Refusal| (r.what, r.remedy);
        let planned = match &machine {
            Some(machine) => plan(&settings.cores, machine).map_err(refused),
            None => Err(("the kernel does not tell on which cores this process may run".into(), String::new())),
        };
        let (pins, warning) = match planned {
            Ok(plan) => (Ok(plan.cpus), plan.warning),
            Err(why) => (Err(why), None),
        };
        let mut of: Vec<u16> = pins.iter().flatten().flatten().copied().collect();
        of.sort_unstable();
        of.dedup();
        let interrupts = interrupts(&word("proc/interrupts").unwrap_or_default());
        let cores = of.iter().map(|cpu| (*cpu, core(*cpu, root, &interrupts))).collect();
        Look {
            kernel: word("proc/sys/kernel/osrelease"),
            io_uring: probe(settings.cores.io_memory).err().map(refused),
            machine,
            pins,
            warning,
            cores,
            isolated: word("sys/devices/system/cpu/isolated").filter(|t| !t.is_empty()),
            nofile: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(_, hard)| hard),
            huge_pages: word("sys/kernel/mm/transparent_hugepage/enabled").and_then(|t| chosen(&t)),
            swapped: swapped(&word("proc/self/status").unwrap_or_default()),
            somaxconn: number("proc/sys/net/core/somaxconn"),
            wmem_max: word("proc/sys/net/ipv4/tcp_wmem").and_then(|t| t.split_whitespace().last()?.parse().ok()),
        }
    }
}

/// The word in brackets of `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    text.split_whitespace().find_map(|w| Some(w.strip_prefix('[')?.strip_suffix(']')?.to_owned()))
}

fn swapped(status: &str) -> Option<u64> {
    let kib: u64 = status.lines().find_map(|l| l.strip_prefix("VmSwap:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

fn core(cpu: u16, root: &Path, interrupts: &BTreeMap<u16, (String, String, u64)>) -> Core {
    let folder = root.join(format!("sys/devices/system/cpu/cpu{cpu}"));
    let word = |path: &str| std::fs::read_to_string(folder.join(path)).ok().map(|t| t.trim().to_owned());
    let states = (0..16).map_while(|n| {
        let name = word(&format!("cpuidle/state{n}/name"))?;
        let latency: u64 = word(&format!("cpuidle/state{n}/latency"))?.parse().ok()?;
        let off = word(&format!("cpuidle/state{n}/disable")).is_some_and(|t| t != "0");
        Some((name, latency, off))
    });
    let deepest = states.filter(|(_, _, off)| !off).max_by_key(|(_, latency, _)| *latency);
    let node = (0..64).find(|n| folder.join(format!("node{n}")).exists());
    Core {
        governor: word("cpufreq/scaling_governor"),
        deepest: deepest.map(|(name, latency, _)| (name, latency)),
        siblings: word("topology/thread_siblings_list").map(|t| ranges(&t)).unwrap_or_default(),
        node,
        busiest: interrupts.get(&cpu).cloned(),
    }
}

/// `0-3,8` as a list.
pub(super) fn ranges(text: &str) -> Vec<u16> {
    let one = |part: &str| -> Option<Vec<u16>> {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some((from.trim().parse().ok()?..=to.trim().parse().ok()?).collect())
    };
    text.split(',').filter_map(one).flatten().collect()
}

/// Of `/proc/interrupts`: for each core the device whose interrupts it has served most: number, name, how many.
pub(super) fn interrupts(text: &str) -> BTreeMap<u16, (String, String, u64)> {
    let mut lines = text.lines();
    let cpus: Vec<u16> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|w| w.strip_prefix("CPU")?.parse().ok())
        .collect();
    let mut most: BTreeMap<u16, (String, String, u64)> = BTreeMap::new();
    for line in lines {
        let Some((irq, rest)) = line.trim().split_once(':') else { continue };
        // Those with names are the kernel's own, and on every core.
        if irq.parse::<u32>().is_err() {
            continue;
        }
        let words: Vec<&str> = rest.split_whitespace().collect();
        let name = words.last().copied().unwrap_or_default();
        for (cpu, count) in cpus.iter().zip(&words) {
            let Ok(count) = count.parse::<u64>() else { break };
            let known = most.get(cpu).map_or(0, |(_, _, n)| *n);
            if count > known {
                most.insert(*cpu, (irq.into(), name.into(), count));
            }
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        assert_eq!(chosen("always [madvise] never").as_deref(), Some("madvise"));
        assert_eq!(ranges("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(swapped("VmRSS: 3 kB\nVmSwap:\t 2 kB\n"), Some(2048));
        let text = "      CPU0  CPU1\n  1:  5  0  IO-APIC  timer\n 24:  9  700  PCI-MSI  eth0-rx\nLOC: 99 99 Local\n";
        let busiest = interrupts(text);
        assert_eq!(busiest[&0], ("24".into(), "eth0-rx".into(), 9));
        assert_eq!(busiest[&1], ("24".into(), "eth0-rx".into(), 700));
    }
}
