//! A server seen from outside: its monitoring, its memory, its descriptors; and waiting for something to come true.

use serde_json::Value;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long monitoring may take for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Looks again and again until `look` finds something. Panics after `limit`.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A clock that stands still while the machine is too busy to run what is due: time limits of the product are held to
/// it, so that a test says nothing about the machine.
pub struct Stopwatch {
    begun: Instant,
    /// How much later than they should short sleeps have ended, nanoseconds.
    late: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Stopwatch {
    /// Begins now.
    pub fn start() -> Stopwatch {
        const NAP: Duration = Duration::from_millis(5);
        let (late, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (l, s) = (late.clone(), stop.clone());
        thread::spawn(move || {
            while !s.load(Ordering::Relaxed) {
                let nap = Instant::now();
                thread::sleep(NAP);
                l.fetch_add(nap.elapsed().saturating_sub(NAP).as_nanos() as u64, Ordering::Relaxed);
            }
        });
        Stopwatch { begun: Instant::now(), late, stop }
    }

    /// What has passed, without what the machine was late.
    pub fn passed(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_nanos(self.late.load(Ordering::Relaxed)))
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The JSON at `path` of a monitoring port.
pub fn monitoring(at: SocketAddr, path: &str) -> Value {
    try_monitoring(at, path).unwrap_or_else(|e| panic!("{at}{path}: {e}"))
}

/// As [`monitoring`], for servers that may not answer.
pub fn try_monitoring(at: SocketAddr, path: &str) -> io::Result<Value> {
    serde_json::from_str(&page(at, path)?).map_err(io::Error::other)
}

/// What is at `path` of a monitoring port.
pub fn page(at: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    // 1.0: an answer of 1.1 may come in chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.starts_with("HTTP/1.0 200") {
        return Err(io::Error::other(head.to_string()));
    }
    Ok(body.to_owned())
}

/// Resident memory of a process, bytes.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process has gone");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("no VmRSS");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("VmRSS is a number of kB");
    kib << 10
}

/// Open descriptors of a process.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process has gone").count()
}
