//! The rows that measure what a server keeps in memory: for an idle connection, for a subscription.
//!
//! Resident memory is read at three counts: none, half, all. The slope between the last two leaves out what the server
//! allocates once; both figures are reported. Memory of the kernel (socket buffers) is not counted.

use super::{
    fault::Fault,
    link::{Dialled, Info, Server},
    process::Process,
};
use std::fs;

/// Lines are sent in pieces of about this size.
const PIECE: usize = 64 << 10;
/// Descriptors of the generator that are not connections.
const SPARE: u64 = 32;

/// What was found.
pub struct Weighed {
    /// Connections or subscriptions.
    pub count: usize,
    /// Resident bytes with none, half and all of them.
    pub resident: [u64; 3],
    /// What the server said of itself.
    pub info: Info,
}

impl Weighed {
    /// Bytes each, between half and all of them.
    pub fn slope(&self) -> f64 {
        (self.resident[2] as f64 - self.resident[1] as f64) / (self.count - self.count / 2) as f64
    }

    /// Bytes each, from none to all: holds what was allocated once, too.
    pub fn average(&self) -> f64 {
        (self.resident[2] as f64 - self.resident[0] as f64) / self.count as f64
    }
}

/// Opens `count` connections that have signed in and then say nothing.
pub fn idle(server: &Server, process: Process, count: usize) -> Result<Weighed, Fault> {
    if let Some(limit) = open_files().filter(|limit| *limit < count as u64 + SPARE) {
        return Err(Fault::Asked(format!(
            "{count} connections need {} open files, the limit is {limit}: `ulimit -n {0}` first",
            count as u64 + SPARE
        )));
    }
    let first = Dialled::new(server)?;
    let info = first.info.clone();
    let mut resident = [process.settled()?, 0, 0];
    let mut open = Vec::with_capacity(count);
    for (i, target) in [count / 2, count].into_iter().enumerate() {
        while open.len() < target {
            open.push(Dialled::new(server)?);
        }
        resident[i + 1] = process.settled()?;
    }
    Ok(Weighed { count, resident, info })
}

/// Makes `count` subscriptions on one connection, each on a subject of its own.
pub fn subscriptions(server: &Server, process: Process, count: usize) -> Result<Weighed, Fault> {
    let mut link = Dialled::new(server)?;
    let info = link.info.clone();
    let mut resident = [process.settled()?, 0, 0];
    let (mut lines, mut made) = (String::new(), 0);
    for (i, target) in [count / 2, count].into_iter().enumerate() {
        while made < target {
            made += 1;
            lines += &format!("SUB bench.{made:09} {made}\r\n");
            if lines.len() > PIECE || made == target {
                link.send(lines.as_bytes())?;
                lines.clear();
            }
        }
        link.barrier()?;
        resident[i + 1] = process.settled()?;
    }
    Ok(Weighed { count, resident, info })
}

/// How many files this process may open; none if that cannot be told.
fn open_files() -> Option<u64> {
    soft_limit(&fs::read_to_string("/proc/self/limits").ok()?)
}

fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|l| l.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slope_leaves_out_what_is_allocated_once() {
        let weighed = Weighed { count: 1000, resident: [1_000_000, 3_000_000, 5_000_000], info: Info::default() };
        assert_eq!((weighed.slope(), weighed.average()), (4000.0, 4000.0));
        let weighed = Weighed { count: 1000, resident: [0, 3_000_000, 5_000_000], info: Info::default() };
        assert_eq!((weighed.slope(), weighed.average()), (4000.0, 5000.0));
    }

    #[test]
    fn reads_the_limit_of_open_files() {
        let limits = "Max processes   100  100  processes\nMax open files            1024       4096   files\n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(soft_limit("Max open files  unlimited unlimited files"), None);
    }
}
