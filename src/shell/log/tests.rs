//! The log from outside: what reaches the target, and that nobody waits.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;

use super::*;
use crate::policy::settings::Settings;

/// A directory of this test's own, gone with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("turnpike-log-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    fn settings(&self) -> settings::Log {
        settings::Log { file: Some(self.0.join("log")), time: false, ..Settings::default().log }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Lines without `[pid] `.
fn plain(text: &str) -> Vec<&str> {
    text.lines().map(|l| l.split_once("] ").unwrap().1).collect()
}

#[test]
fn lines_are_appended_and_debug_only_where_wanted() {
    let dir = Dir::new("append");
    for debug in [false, true] {
        let (log, thread) = Log::start(&settings::Log { debug, ..dir.settings() }).unwrap();
        assert_eq!((log.debug(), log.trace()), (debug, false));
        log.line(Level::Info, "one".into());
        log.line(Level::Debug, "two".into());
        log.clone().set_levels(false, true);
        log.line(Level::Debug, "three".into());
        log.line(Level::Trace, "four".into());
        flush(&log);
        drop(log);
        thread.join().unwrap();
    }
    assert_eq!(plain(&dir.read("log")), ["[INF] one", "[TRC] four", "[INF] one", "[DBG] two", "[TRC] four"]);
    let mode = fs::metadata(dir.0.join("log")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & !0o640, 0, "{mode:o}");
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_with_its_name() {
    let settings = settings::Log { file: Some("/nonexistent/dir/log".into()), ..Settings::default().log };
    let error = Log::start(&settings).unwrap_err().to_string();
    assert!(error.starts_with("error opening file: open /nonexistent/dir/log: "), "{error}");
}

#[test]
fn a_moved_file_is_begun_anew() {
    let dir = Dir::new("reopen");
    let (log, thread) = Log::start(&dir.settings()).unwrap();
    log.line(Level::Info, "before".into());
    flush(&log);
    fs::rename(dir.0.join("log"), dir.0.join("moved")).unwrap();
    log.reopen();
    flush(&log);
    log.line(Level::Info, "after".into());
    drop(log);
    thread.join().unwrap();
    assert_eq!(plain(&dir.read("moved")), ["[INF] before"]);
    assert_eq!(plain(&dir.read("log")), ["[INF] File log re-opened", "[INF] after"]);
}

#[test]
fn a_file_past_its_limit_is_rotated_and_the_oldest_backups_go() {
    let dir = Dir::new("rotate");
    fs::write(dir.0.join("log.old"), "not ours").unwrap();
    let (log, thread) = Log::start(&settings::Log { size_limit: 300, max_files: 3, ..dir.settings() }).unwrap();
    for i in 0..40 {
        log.line(Level::Info, format!("line {i} {}", "x".repeat(60)));
    }
    drop(log);
    thread.join().unwrap();
    let mut names: Vec<String> =
        fs::read_dir(&dir.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 4, "live, two backups and the stranger: {names:?}");
    assert!(names.contains(&"log.old".to_string()));
    let live = dir.read("log");
    let first = plain(&live)[0];
    assert!(first.starts_with("[INF] Rotated log, backup saved as \"") && first.contains("/log.20"), "{first}");
}

/// A target that takes nothing until the other end of `open` is dropped.
#[derive(Clone)]
struct Gate {
    open: Receiver<()>,
    written: Written,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Blocks while the gate's sender lives: a pipe nobody reads.
        let _ = self.open.recv();
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log is flushed some day; [`Log::flush`] itself does not wait as long as a busy machine may take.
fn flush(log: &Log) {
    assert!((0..60).any(|_| log.flush()), "the log was not flushed in a minute");
}

type Written = Arc<Mutex<Vec<u8>>>;

fn gated() -> (Sender<()>, Written, Log, JoinHandle<()>) {
    let (shut, open) = bounded(1);
    let written = Arc::new(Mutex::new(Vec::new()));
    let gate = Gate { open, written: Arc::clone(&written) };
    let settings = settings::Log { time: false, ..Settings::default().log };
    let (log, thread) = Log::start_on(&settings, Target::test(Box::new(gate))).unwrap();
    (shut, written, log, thread)
}

#[test]
fn a_blocked_pipe_drops_the_newest_and_says_how_many() {
    let (shut, written, log, thread) = gated();
    for i in 0..LOG_LINES_MAX + 100 {
        log.line(Level::Info, format!("{i}"));
    }
    // One may be in the thread's hands.
    assert!((99..=100).contains(&log.dropped()), "{}", log.dropped());
    assert!(!log.flush(), "a blocked pipe is not waited for");
    let dropped = log.dropped();
    drop(shut);
    flush(&log);
    drop(log);
    thread.join().unwrap();
    let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    let said = format!("[WRN] {dropped} log lines dropped (the log's queue was full), {dropped} since the start");
    assert_eq!(plain(&text).iter().filter(|l| **l == said).count(), 1);
    assert_eq!(plain(&text).len() as u64, (LOG_LINES_MAX + 100) as u64 - dropped + 1);
}

#[test]
fn long_lines_are_bounded_by_their_bytes() {
    let (shut, _written, log, thread) = gated();
    for _ in 0..40 {
        log.line(Level::Info, "x".repeat(1 << 20));
    }
    assert!(log.dropped() >= 23, "{}", log.dropped());
    drop(shut);
    flush(&log);
    let before = log.dropped();
    log.line(Level::Info, "x".repeat(1 << 20));
    assert_eq!(log.dropped(), before, "the bytes were given back");
    drop(log);
    thread.join().unwrap();
}

/// A disk with room for some bytes, refilled by the test.
struct Disk {
    room: Arc<AtomicUsize>,
    written: Written,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.room.load(Ordering::SeqCst));
        if n == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.room.fetch_sub(n, Ordering::SeqCst);
        self.written.lock().unwrap().extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let room = Arc::new(AtomicUsize::new(25));
    let written = Arc::new(Mutex::new(Vec::new()));
    let disk = Disk { room: Arc::clone(&room), written: Arc::clone(&written) };
    let settings = settings::Log { time: false, ..Settings::default().log };
    let (log, thread) = Log::start_on(&settings, Target::test(Box::new(disk))).unwrap();
    for _ in 0..5 {
        log.line(Level::Info, "0123456789".into());
    }
    flush(&log);
    assert!(log.dropped() >= 4, "{}", log.dropped());
    let dropped = log.dropped();
    room.store(1 << 20, Ordering::SeqCst);
    log.line(Level::Info, "room again".into());
    drop(log);
    thread.join().unwrap();
    let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    let said =
        format!("{dropped} log lines dropped (No space left on device (os error 28)), {dropped} since the start");
    assert!(text.contains(&said), "{text}");
    assert!(text.ends_with("[INF] room again\n"), "{text}");
    assert!(text.lines().skip(1).all(|l| l.starts_with('[')), "no line continues a torn one: {text}");
}

#[test]
fn a_device_that_is_always_full_is_counted() {
    let settings = settings::Log { file: Some("/dev/full".into()), ..Settings::default().log };
    let (log, thread) = Log::start(&settings).unwrap();
    log.line(Level::Error, "nowhere to go".into());
    flush(&log);
    assert_eq!(log.dropped(), 1);
    drop(log);
    thread.join().unwrap();
}
