//! How much memory there is for us: the machine's, or less where a control group says so.

use super::cgroup;
use std::path::Path;

/// One of so many bytes may wait for clients, where the operator says nothing (scenarios.md §3.1).
const WAITING_SHARE: u64 = 4;

/// Bytes that may wait for all clients together; None: the system does not say how much memory there is.
pub fn for_waiting() -> Option<usize> {
    let bytes = available(&|path| std::fs::read_to_string(path).ok())? / WAITING_SHARE;
    Some(usize::try_from(bytes).unwrap_or(usize::MAX))
}

fn available(read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let info = read(Path::new("/proc/meminfo")).unwrap_or_default();
    let machine = info.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    let machine = machine.and_then(|l| l.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).map(|k| k << 10);
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let mounts = read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    let limits = cgroup::folders(&groups, &mounts, "memory").into_iter().filter_map(|(dir, v2)| {
        // Version 2 says "max", version 1 a number beyond all memory, where there is no limit.
        read(&dir.join(if v2 { "memory.max" } else { "memory.limit_in_bytes" }))?.trim().parse().ok()
    });
    limits.chain(machine).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_counts() {
        let read = |files: &[(&str, &str)], path: &Path| {
            files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
        };
        let machine = ("/proc/meminfo", "MemTotal:        8000000 kB\nMemFree: 1 kB\n");
        let available = |files: &[(&str, &str)]| available(&|path| read(files, path));
        assert_eq!(available(&[]), None);
        assert_eq!(available(&[machine]), Some(8_192_000_000));
        let v2 = [
            machine,
            ("/proc/self/cgroup", "0::/a/b\n"),
            ("/proc/self/mountinfo", "1 2 3:4 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/memory.max", "1000000\n"),
        ];
        assert_eq!(available(&v2), Some(1_000_000));
        let v1 = [
            machine,
            ("/proc/self/cgroup", "5:cpu:/x\n4:memory:/a\n"),
            ("/proc/self/mountinfo", "1 2 3:4 / /cg/memory rw - cgroup cgroup rw,memory\n"),
            ("/cg/memory/a/memory.limit_in_bytes", "2000000\n"),
            ("/cg/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(available(&v1), Some(2_000_000));
    }
}
