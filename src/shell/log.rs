//! The log: one thread that formats nothing and waits for nobody else, fed by a bounded queue. A shard that logs hands
//! over one line and goes on; where the queue is full the line is dropped and counted, and the count is a line of its
//! own once there is room. A full disk or a blocked pipe therefore never stops a shard. One [`Log`] per process,
//! cloned to all shards; started by the boot.

mod line;
mod target;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{bounded, select, Receiver, Sender};

pub use line::Level;

use line::Style;
use target::Target;

use crate::policy::settings;

/// Most lines waiting for the log's thread; past it the newest is dropped. A burst of one line per connection of a
/// flood fits.
pub const LOG_LINES_MAX: usize = 8192;
/// Most bytes of text waiting for the log's thread: traced payloads must not fill memory while a pipe is blocked.
pub const LOG_BYTES_MAX: usize = 16 << 20;
/// Longest wait of [`Log::flush`]: a blocked pipe must not keep the server from ending.
pub const LOG_FLUSH_MAX: Duration = Duration::from_secs(1);

/// A way to the log; cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    lines: Sender<Entry>,
    orders: Sender<Order>,
    shared: Arc<Shared>,
}

/// A log that is ready to be written, see [`Log::prepare`].
pub struct Prepared {
    target: Box<Target>,
    style: Style,
    levels: (bool, bool),
}

/// What all ends of one log look at.
#[derive(Debug, Default)]
struct Shared {
    /// Lines never written: queue full, or the target refused them.
    dropped: AtomicU64,
    /// Bytes of text in the queue.
    waiting_bytes: AtomicUsize,
    /// Are debug lines wanted?
    debug: AtomicBool,
    /// Are trace lines wanted?
    trace: AtomicBool,
}

/// One line on its way.
struct Entry {
    when: SystemTime,
    level: Level,
    text: String,
}

/// What the log's thread is asked besides lines.
enum Order {
    /// Write all that waits, then answer.
    Flush(Sender<()>),
    /// Open the file anew (SIGUSR1).
    Reopen,
    /// Write there, and so, from now on; then answer.
    Become(Box<Target>, Style, Sender<()>),
}

impl Log {
    /// Opens the target and starts the log's thread, which ends once every `Log` is gone.
    ///
    /// # Errors
    /// The log file cannot be opened (its path stands in the text: `error opening file: open …`, operations.md §1), or
    /// no thread can be started.
    pub fn start(settings: &settings::Log) -> io::Result<(Log, JoinHandle<()>)> {
        Log::start_on(settings, Target::open(settings)?)
    }

    fn start_on(settings: &settings::Log, target: Target) -> io::Result<(Log, JoinHandle<()>)> {
        let (lines, queue) = bounded(LOG_LINES_MAX);
        let (orders, asked) = bounded(16);
        let shared = Arc::new(Shared::default());
        let style = Style::new(settings, target.is_terminal());
        let writer = Writer { target, style, shared: Arc::clone(&shared), reported: 0 };
        let thread = std::thread::Builder::new().name("turnpike-log".into());
        let thread = thread.spawn(move || writer.run(&queue, &asked))?;
        let log = Log { lines, orders, shared };
        log.set_levels(settings.debug, settings.trace);
        Ok((log, thread))
    }

    /// One line. Never waits: where there is no room it is dropped and counted. Debug and trace lines that are not
    /// wanted are not written; ask [`Log::debug`] and [`Log::trace`] before making their text.
    pub fn line(&self, level: Level, text: String) {
        if !self.wants(level) {
            return;
        }
        let size = text.len();
        let waiting = self.shared.waiting_bytes.fetch_add(size, Ordering::Relaxed);
        let entry = Entry { when: SystemTime::now(), level, text };
        if waiting.saturating_add(size) > LOG_BYTES_MAX || self.lines.try_send(entry).is_err() {
            self.shared.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What other settings of the log need, opened.
    ///
    /// # Errors
    /// As [`Log::start`].
    pub fn prepare(settings: &settings::Log) -> io::Result<Prepared> {
        let target = Target::open(settings)?;
        let style = Style::new(settings, target.is_terminal());
        Ok(Prepared { target: Box::new(target), style, levels: (settings.debug, settings.trace) })
    }

    /// Other settings hold from now on: lines given after this are written there. Waits for what waits, as
    /// [`Log::flush`] does.
    pub fn change(&self, to: Prepared) {
        self.set_levels(to.levels.0, to.levels.1);
        let (done, changed) = bounded(1);
        if self.orders.send_timeout(Order::Become(to.target, to.style, done), LOG_FLUSH_MAX).is_ok() {
            let _ = changed.recv_timeout(LOG_FLUSH_MAX);
        }
    }

    /// Are debug lines wanted?
    pub fn debug(&self) -> bool {
        self.shared.debug.load(Ordering::Relaxed)
    }

    /// Are trace lines wanted?
    pub fn trace(&self) -> bool {
        self.shared.trace.load(Ordering::Relaxed)
    }

    /// From now on, are debug and trace lines wanted? Heard by all clones.
    pub fn set_levels(&self, debug: bool, trace: bool) {
        self.shared.debug.store(debug, Ordering::Relaxed);
        self.shared.trace.store(trace, Ordering::Relaxed);
    }

    /// Lines dropped so far, for monitoring.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all lines given before are written, at most [`LOG_FLUSH_MAX`]; true if they are. For the end of the
    /// process and for fatal lines; never for a shard.
    pub fn flush(&self) -> bool {
        let (done, written) = bounded(1);
        self.orders.send_timeout(Order::Flush(done), LOG_FLUSH_MAX).is_ok()
            && written.recv_timeout(LOG_FLUSH_MAX).is_ok()
    }

    /// Opens the log file anew, after it was moved away (SIGUSR1). What came of it is a line in the log.
    pub fn reopen(&self) {
        // With 16 orders waiting, the file is about to be reopened anyway.
        let _ = self.orders.try_send(Order::Reopen);
    }

    fn wants(&self, level: Level) -> bool {
        match level {
            Level::Debug => self.debug(),
            Level::Trace => self.trace(),
            _ => true,
        }
    }
}

/// The log's thread.
struct Writer {
    target: Target,
    style: Style,
    shared: Arc<Shared>,
    /// Dropped lines that a line has told of.
    reported: u64,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Entry>, asked: &Receiver<Order>) {
        loop {
            select! {
                recv(queue) -> entry => match entry {
                    Ok(entry) => self.write(&entry),
                    Err(_) => break,
                },
                recv(asked) -> order => match order {
                    Ok(order) => {
                        // Orders overtake lines; those given before must not come after.
                        for entry in queue.try_iter().take(LOG_LINES_MAX) {
                            self.write(&entry);
                        }
                        self.obey(order);
                    }
                    Err(_) => break,
                },
            }
        }
        for entry in queue.try_iter() {
            self.write(&entry);
        }
        self.report_dropped();
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Flush(done) => {
                self.report_dropped();
                // The one who asked may have stopped waiting.
                let _ = done.send(());
            }
            Order::Become(target, style, done) => {
                self.report_dropped();
                (self.target, self.style) = (*target, style);
                // The one who asked may have stopped waiting.
                let _ = done.send(());
            }
            Order::Reopen => match self.target.reopen() {
                Ok(true) => self.say(Level::Info, "File log re-opened"),
                Ok(false) => self.say(Level::Info, "File log re-open ignored, not a file logger"),
                Err(e) => self.say(Level::Error, &format!("File log not re-opened, the old one goes on: {e}")),
            },
        }
    }

    fn write(&mut self, entry: &Entry) {
        self.shared.waiting_bytes.fetch_sub(entry.text.len(), Ordering::Relaxed);
        self.report_dropped();
        self.put(entry.when, entry.level, &entry.text);
    }

    /// A line of the log's own.
    fn say(&mut self, level: Level, text: &str) {
        self.put(SystemTime::now(), level, text);
    }

    fn put(&mut self, when: SystemTime, level: Level, text: &str) {
        let line = self.style.line(when, level, text);
        if self.target.write(line.as_bytes()).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Some(rotated) = self.target.rotate_if_due() {
            let (level, text) = match rotated {
                Ok(backup) => (Level::Info, format!("Rotated log, backup saved as {:?}", backup.display().to_string())),
                Err(e) => (Level::Error, format!("Log not rotated, tried again after the next log_size_limit: {e}")),
            };
            let line = self.style.line(SystemTime::now(), level, &text);
            if self.target.write(line.as_bytes()).is_err() {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Says how many lines are missing since it was last said, once that can be written.
    fn report_dropped(&mut self) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        if dropped == self.reported {
            return;
        }
        let why = self.target.failure().map_or("the log's queue was full".to_string(), |e| e.to_string());
        let text = format!("{} log lines dropped ({why}), {dropped} since the start", dropped - self.reported);
        let line = self.style.line(SystemTime::now(), Level::Warn, &text);
        if self.target.write(line.as_bytes()).is_ok() {
            self.reported = dropped;
            self.target.forget_failure();
        }
    }
}

#[cfg(test)]
mod tests;
