//! How much memory there is for us and how much is taken: the machine's, or a control group's where that has a limit.

use super::cgroup;
use std::path::{Path, PathBuf};

/// One of so many bytes may wait for clients, where the operator says nothing (scenarios.md §3.1).
const WAITING_SHARE: u64 = 4;

/// Bytes that may wait for all clients together; None: the system does not say how much memory there is.
pub fn for_waiting() -> Option<usize> {
    let bytes = Memory::read(&file).least()? / WAITING_SHARE;
    Some(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// From how many bytes on the server sheds, and whose bytes count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// The bytes.
    pub bytes: u64,
    whose: Whose,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    /// This process's.
    Process,
    /// Those of all that is in the control group: it ends when they reach its limit.
    Group(Group),
}

impl Ceiling {
    /// As `memory_limit` says (`Limits::memory_limit`); None: never.
    pub fn find(memory_limit: Option<usize>) -> Option<Ceiling> {
        Ceiling::find_in(memory_limit, &file)
    }

    fn find_in(memory_limit: Option<usize>, read: Read<'_>) -> Option<Ceiling> {
        match memory_limit {
            Some(0) => None,
            Some(bytes) => Some(Ceiling { bytes: bytes as u64, whose: Whose::Process }),
            None => {
                let memory = Memory::read(read);
                let (group, limit) = memory.tightest.filter(|(_, limit)| memory.machine.is_none_or(|m| *limit < m))?;
                Some(Ceiling { bytes: limit / 10 * 9, whose: Whose::Group(group) })
            }
        }
    }

    /// Bytes taken that count towards it; None: the kernel does not say.
    pub fn used(&self) -> Option<u64> {
        self.used_in(&file)
    }

    /// As [`Ceiling::used`], 0 where the kernel does not say. If that is too much, or `always`, what the allocator
    /// keeps for later is given back first: it is nobody's fault.
    pub fn used_trimmed(&self, always: bool) -> u64 {
        let used = self.used().unwrap_or(0);
        if used < self.bytes && !always {
            return used;
        }
        give_back();
        self.used().unwrap_or(0)
    }

    fn used_in(&self, read: Read<'_>) -> Option<u64> {
        match &self.whose {
            Whose::Process => {
                let pages: u64 = read(Path::new("/proc/self/statm"))?.split_ascii_whitespace().nth(1)?.parse().ok()?;
                Some(pages * rustix::param::page_size() as u64)
            }
            Whose::Group(group) => group.used(read),
        }
    }

    /// Whose limit it is and how to raise it, for people.
    pub fn remedy(&self) -> &'static str {
        match self.whose {
            Whose::Process => "raise memory_limit, or lower max_pending and max_pending_total",
            Whose::Group(_) => {
                "raise the limit of the control group (MemoryMax=), or lower max_pending and max_pending_total"
            }
        }
    }
}

/// Reads a file.
type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

fn file(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// A control group that says something about memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    dir: PathBuf,
    v2: bool,
}

impl Group {
    /// Its limit, if it has one: version 2 says "max" where there is none, version 1 a number beyond all memory.
    fn limit(&self, read: Read<'_>) -> Option<u64> {
        self.number(if self.v2 { "memory.max" } else { "memory.limit_in_bytes" }, read)
    }

    /// What it holds, but for pages of files, which the kernel takes back before it kills anybody.
    fn used(&self, read: Read<'_>) -> Option<u64> {
        let all = self.number(if self.v2 { "memory.current" } else { "memory.usage_in_bytes" }, read)?;
        let stat = read(&self.dir.join("memory.stat"))?;
        let names =
            if self.v2 { ["inactive_file", "active_file"] } else { ["total_inactive_file", "total_active_file"] };
        let files = stat.lines().filter_map(|l| l.split_once(' ')).filter(|(name, _)| names.contains(name));
        let files: u64 = files.filter_map(|(_, n)| n.trim().parse::<u64>().ok()).sum();
        Some(all.saturating_sub(files))
    }

    fn number(&self, name: &str, read: Read<'_>) -> Option<u64> {
        read(&self.dir.join(name))?.trim().parse().ok()
    }
}

/// The memory there is.
struct Memory {
    /// The machine's, bytes.
    machine: Option<u64>,
    /// Of the control groups we are in the one with the lowest limit, and that limit in bytes.
    tightest: Option<(Group, u64)>,
}

impl Memory {
    fn read(read: Read<'_>) -> Memory {
        let info = read(Path::new("/proc/meminfo")).unwrap_or_default();
        let machine = info.lines().find_map(|l| l.strip_prefix("MemTotal:"));
        let machine = machine.and_then(|l| l.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).map(|k| k << 10);
        let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
        let mounts = read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
        let folders = cgroup::folders(&groups, &mounts, "memory").into_iter();
        let limits = folders.map(|(dir, v2)| Group { dir, v2 }).filter_map(|g| g.limit(read).map(|limit| (g, limit)));
        Memory { machine, tightest: limits.min_by_key(|(_, limit)| *limit) }
    }

    fn least(&self) -> Option<u64> {
        self.machine.into_iter().chain(self.tightest.as_ref().map(|(_, limit)| *limit)).min()
    }
}

/// Sets the allocator up for flat tails, before threads begin. What is freed is joined with its neighbours at once and not,
/// a hundred milliseconds of it in one go, whenever something large is freed.
pub fn prepare() {
    #[cfg(target_env = "gnu")]
    #[allow(unsafe_code, reason = "mallopt(3) has no safe wrapper")]
    // SAFETY: it takes two numbers and may be called at any time.
    unsafe {
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// Gives memory back to the system that the allocator keeps for later. Its arenas are locked meanwhile, one after the
/// other, which may cost milliseconds: for a server that would otherwise be killed.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    #[allow(unsafe_code, reason = "malloc_trim(3) has no safe wrapper")]
    // SAFETY: it takes a number and may be called by any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Files<'a> = &'a [(&'a str, &'a str)];

    fn files<'a>(files: Files<'a>) -> impl Fn(&Path) -> Option<String> + 'a {
        |path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
    }

    const MACHINE: (&str, &str) = ("/proc/meminfo", "MemTotal:        8000000 kB\nMemFree: 1 kB\n");
    const V2: Files<'static> = &[
        MACHINE,
        ("/proc/self/cgroup", "0::/a/b\n"),
        ("/proc/self/mountinfo", "1 2 3:4 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
        ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
        ("/sys/fs/cgroup/a/memory.max", "1000000\n"),
        ("/sys/fs/cgroup/a/memory.current", "800000\n"),
        ("/sys/fs/cgroup/a/memory.stat", "anon 1\nfile 60000\ninactive_file 20000\nactive_file 30000\nsock 5\n"),
    ];
    const V1: Files<'static> = &[
        MACHINE,
        ("/proc/self/cgroup", "5:cpu:/x\n4:memory:/a\n"),
        ("/proc/self/mountinfo", "1 2 3:4 / /cg/memory rw - cgroup cgroup rw,memory\n"),
        ("/cg/memory/a/memory.limit_in_bytes", "2000000\n"),
        ("/cg/memory/a/memory.usage_in_bytes", "1500000\n"),
        ("/cg/memory/a/memory.stat", "inactive_file 7\ntotal_inactive_file 200000\ntotal_active_file 300000\n"),
        ("/cg/memory/memory.limit_in_bytes", "9223372036854771712\n"),
    ];

    #[test]
    fn the_tightest_limit_counts() {
        let least = |f: Files<'_>| Memory::read(&files(f)).least();
        assert_eq!((least(&[]), least(&[MACHINE])), (None, Some(8_192_000_000)));
        assert_eq!((least(V2), least(V1)), (Some(1_000_000), Some(2_000_000)));
    }

    #[test]
    fn the_ceiling_is_the_operators_or_nine_tenths_of_the_groups() {
        let find = |limit, f: Files<'_>| Ceiling::find_in(limit, &files(f)).map(|c| (c.bytes, c.used_in(&files(f))));
        assert_eq!(find(None, &[MACHINE]), None, "nobody kills us before the machine has no memory left");
        assert_eq!(find(None, V2), Some((900_000, Some(750_000))));
        assert_eq!(find(None, V1), Some((1_800_000, Some(1_000_000))));
        assert_eq!(find(Some(0), V2), None);
        let statm = [MACHINE, ("/proc/self/statm", "5000 10 3 1 0 2 0\n")];
        assert_eq!(find(Some(7), &statm), Some((7, Some(10 * rustix::param::page_size() as u64))));
        let whole = [MACHINE, V1[1], V1[2], V1[6]];
        assert_eq!(find(None, &whole), None, "a limit beyond all memory is none");
    }
}
