//! Processor time and memory of a process, as `/proc` tells them (proc(5)). Used by every row that is given `--pid`,
//! and for the generator itself.

use super::fault::Fault;
use std::{fs, io, thread, time::Duration};

/// Linux counts in these ticks towards user space on every architecture that Turnpike runs on (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;
/// Memory counts as settled when it was the same so many times in a row…
const CALM: u32 = 5;
/// …at this distance, …
const GLANCE: Duration = Duration::from_millis(100);
/// …and is taken as it is after so many looks: a garbage collector may never rest.
const LOOKS: u32 = 40;

/// Processes on this machine that are weighed together: a server, or several of one cluster.
#[derive(Clone, Debug)]
pub struct Process {
    pids: Vec<u32>,
}

impl Process {
    /// These processes, which must exist; none: nothing is to be observed.
    pub fn new(pids: &[u32]) -> Result<Option<Process>, Fault> {
        let process = Process { pids: pids.to_vec() };
        process.cpu().map(|_| Some(process).filter(|p| !p.pids.is_empty()))
    }

    /// This process.
    pub fn own() -> Process {
        Process { pids: vec![std::process::id()] }
    }

    /// Processor time of all threads since the start, user and system.
    pub fn cpu(&self) -> Result<Duration, Fault> {
        let ticks = self.sum("stat", ticks)?;
        Ok(Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND)))
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> Result<u64, Fault> {
        self.sum("status", resident)
    }

    /// Resident memory in bytes, once it has stopped moving.
    pub fn settled(&self) -> Result<u64, Fault> {
        let (mut last, mut calm) = (self.resident()?, 0);
        for _ in 0..LOOKS {
            thread::sleep(GLANCE);
            let now = self.resident()?;
            calm = if now == last { calm + 1 } else { 0 };
            last = now;
            if calm == CALM {
                break;
            }
        }
        Ok(last)
    }

    fn sum(&self, file: &str, read: impl Fn(&str) -> Option<u64>) -> Result<u64, Fault> {
        self.pids.iter().try_fold(0, |sum, pid| {
            let fault = |source| Fault::Process { pid: *pid, source };
            let text = fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(fault)?;
            let unclear = || io::Error::new(io::ErrorKind::InvalidData, format!("{file} is not as proc(5) says"));
            Ok(sum + read(&text).ok_or_else(|| fault(unclear()))?)
        })
    }
}

/// Fields 14 and 15 of `stat`. The second field, the name, may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_time_behind_a_name_with_parentheses() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 31 0 0 20 0 1 0 100 1000 10";
        assert_eq!(ticks(stat), Some(281));
        assert_eq!(ticks("7 (x"), None);
        assert_eq!(ticks("7 (x) S 1"), None);
    }

    #[test]
    fn reads_resident_memory() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\nThreads: 1\n"), Some(2048 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
    }

    #[test]
    fn sees_itself_and_misses_nobody() {
        assert!(Process::own().resident().unwrap() > 0);
        assert!(Process::new(&[]).unwrap().is_none());
        assert!(matches!(Process::new(&[u32::MAX]), Err(Fault::Process { .. })));
    }
}
