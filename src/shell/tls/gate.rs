//! How clients are made private: what holds now, how many may begin in a second, and what is said of those that fail
//! before a shard knows them. Shared by the listener, the shards' shells and the reload; asked once per connection.

use super::{Acceptor, How, Job, Secured, Threads, Wait};
use crate::base::limits::TLS_FAILURES_SECOND_MAX;
use crate::base::Level;
use crate::shell::log::Log;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// See the file's head.
pub struct Gate {
    handshakes: Threads,
    now: Mutex<Now>,
    complaints: Complaints,
}

struct Now {
    /// None: clients come in the clear.
    acceptor: Option<Arc<Acceptor>>,
    second: Instant,
    /// Handshakes begun in it.
    begun: u32,
}

/// How a client comes in.
pub enum Way {
    /// In the clear.
    Clear,
    /// Made private.
    Private(Arc<Acceptor>),
    /// Not at all: there are too many in this second.
    Throttled,
}

const SECOND: Duration = Duration::from_secs(1);

impl Gate {
    /// A gate that stands open.
    pub fn new(handshakes: Threads, log: Log) -> Gate {
        let now = Now { acceptor: None, second: Instant::now(), begun: 0 };
        Gate { handshakes, now: Mutex::new(now), complaints: Complaints::new(log) }
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Clients will be made private.
    ///
    /// # Errors
    /// No threads or descriptors are left.
    pub(super) fn need(&self) -> std::io::Result<()> {
        self.handshakes.need()
    }

    /// From now on this holds.
    pub(super) fn change(&self, acceptor: Option<Acceptor>) {
        self.now().acceptor = acceptor.map(Arc::new);
    }

    /// One more wants to begin: how?
    pub fn enter(&self) -> Way {
        let mut now = self.now();
        let Some(acceptor) = now.acceptor.clone() else { return Way::Clear };
        if now.second.elapsed() >= SECOND {
            (now.second, now.begun) = (Instant::now(), 0);
        }
        now.begun = now.begun.saturating_add(1);
        match acceptor.tls.rate.is_none_or(|max| now.begun <= max) {
            true => Way::Private(acceptor),
            false => Way::Throttled,
        }
    }

    /// INFO is said: the handshake begins, unless the client need not and does not want to.
    pub fn upgrade(&self, stream: TcpStream, done: Box<dyn FnOnce(Result<Secured, String>) + Send>) {
        let Some(acceptor) = self.now().acceptor.clone() else { return done(Ok(Secured { stream, tls: None })) };
        let wait = if acceptor.tls.optional { Wait::Other } else { Wait::Never };
        self.begin(acceptor, stream, wait, false, done);
    }

    /// The handshake comes before INFO; who says nothing `for` so long comes back in the clear, to be sent INFO.
    pub fn first(
        &self,
        acceptor: Arc<Acceptor>,
        stream: TcpStream,
        wait: Option<Duration>,
        done: Box<dyn FnOnce(Result<Secured, String>) + Send>,
    ) {
        let wait = wait.map_or(Wait::Never, |d| Wait::Silence(Instant::now() + d));
        self.begin(acceptor, stream, wait, true, done);
    }

    fn begin(
        &self,
        acceptor: Arc<Acceptor>,
        stream: TcpStream,
        wait: Wait,
        first: bool,
        done: Box<dyn FnOnce(Result<Secured, String>) + Send>,
    ) {
        let until = Instant::now() + acceptor.tls.timeout;
        self.handshakes.begin(Job { stream, how: How::Accept(acceptor, wait), until, first, done });
    }

    /// A handshake before INFO has failed, which no shard will say.
    pub fn failed(&self, whom: &str, why: &str) {
        self.complaints.say(&format!("{whom} - TLS handshake error: {why}"));
    }
}

/// Lines that strangers can cause by the thousand: a few in a second are said, the rest is counted.
pub(super) struct Complaints {
    log: Log,
    count: Mutex<Count>,
}

struct Count {
    second: Instant,
    said: u32,
    unsaid: u64,
}

impl Complaints {
    pub(super) fn new(log: Log) -> Complaints {
        Complaints { log, count: Mutex::new(Count { second: Instant::now(), said: 0, unsaid: 0 }) }
    }

    pub(super) fn say(&self, line: &str) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if count.second.elapsed() >= SECOND {
            (count.second, count.said) = (Instant::now(), 0);
        }
        if count.said >= TLS_FAILURES_SECOND_MAX {
            count.unsaid += 1;
            return;
        }
        count.said += 1;
        let more = std::mem::take(&mut count.unsaid);
        let more = if more > 0 { format!(" ({more} more since)") } else { String::new() };
        self.log.line(Level::Error, format!("{line}{more}"));
    }
}
