//! What the kernel says about this process: memory and CPU time, from /proc/self. One per monitor.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Clock ticks per second in /proc/<pid>/stat: fixed at 100 on Linux, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Two looks closer together than this would make a percentage of rounding errors.
const LOOKS_APART: Duration = Duration::from_millis(500);

/// Watches this process.
#[derive(Debug)]
pub struct Process {
    last: Mutex<Look>,
}

#[derive(Debug)]
struct Look {
    at: Instant,
    ticks: u64,
    percent: f64,
}

impl Process {
    /// Begins to watch.
    pub fn new() -> Process {
        Process { last: Mutex::new(Look { at: Instant::now(), ticks: ticks().unwrap_or(0), percent: 0.0 }) }
    }

    /// CPU time in percent of one core since the last look, to a tenth.
    pub fn cpu_percent(&self) -> f64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (elapsed, ticks) = (last.at.elapsed(), ticks());
        if let (true, Some(ticks)) = (elapsed >= LOOKS_APART, ticks) {
            let seconds = ticks.saturating_sub(last.ticks) as f64 / TICKS_PER_SECOND;
            let percent = (seconds / elapsed.as_secs_f64() * 1000.0).round() / 10.0;
            *last = Look { at: Instant::now(), ticks, percent };
        }
        last.percent
    }

    /// Resident memory in bytes; 0 when the kernel does not tell.
    pub fn resident_bytes(&self) -> u64 {
        let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        resident(&text).unwrap_or(0)
    }
}

impl Default for Process {
    fn default() -> Self {
        Process::new()
    }
}

fn ticks() -> Option<u64> {
    cpu_ticks(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// User and system time of a stat line. The program's name, in parentheses, may itself hold blanks and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The line `VmRSS:  1234 kB`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_writes() {
        let stat = "25086 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0";
        assert_eq!(cpu_ticks(stat), Some(175));
        assert_eq!(cpu_ticks("25086 (short) S 1"), None);
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t   1612 kB\n"), Some(1612 << 10));
        assert_eq!(resident("nothing"), None);
    }

    #[test]
    fn this_process_has_memory_and_a_cpu() {
        let process = Process::new();
        assert!(process.resident_bytes() > 100 << 10);
        assert!(process.cpu_percent() >= 0.0);
    }
}
