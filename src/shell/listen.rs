//! Accepts clients and deals them out to the shards, on a thread of its own.
//!
//! One thread and not one listener per shard: the kernel spreads few connections badly, we give each to the shard that
//! has the fewest.

use super::log::Log;
use super::monitor::Facts;
use super::rings::{Door, Mail};
use crate::base::{Cid, Level};
use crate::shard::Opening;
use rustix::event::{eventfd, poll, EventfdFlags, PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{getrlimit, Resource};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Descriptors kept free for monitoring, logs and peers, so that a flood of clients does not blind the server.
const RESERVED_FILES: u64 = 16;
/// Descriptors a shard holds besides its connections: rings, epoll, timers, events.
const FILES_PER_SHARD: u64 = 12;

/// How many clients there are. Shared by the listener and the shards' shells.
#[derive(Debug)]
pub struct Load {
    shards: Vec<AtomicU64>,
}

impl Load {
    /// No clients on any of `n` shards.
    pub fn new(n: usize) -> Load {
        Load { shards: (0..n).map(|_| AtomicU64::new(0)).collect() }
    }

    /// A client of this shard has gone.
    pub fn gone(&self, shard: usize) {
        self.shards[shard].fetch_sub(1, Ordering::Relaxed);
    }

    fn total(&self) -> u64 {
        self.shards.iter().map(|s| s.load(Ordering::Relaxed)).sum()
    }

    fn lightest(&self) -> usize {
        let loads = self.shards.iter().map(|s| s.load(Ordering::Relaxed)).enumerate();
        loads.min_by_key(|(_, n)| *n).map_or(0, |(i, _)| i)
    }
}

/// The running listener.
pub struct Listening {
    stop: Arc<OwnedFd>,
    thread: JoinHandle<()>,
}

impl Listening {
    /// Closes the listener.
    pub fn stop(self) {
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        let _ = self.thread.join();
    }
}

struct Listener {
    socket: TcpListener,
    stop: Arc<OwnedFd>,
    doors: Vec<Door>,
    load: Arc<Load>,
    facts: Arc<Facts>,
    log: Log,
    max: u64,
    files: u64,
    next_cid: u64,
    said: Option<Instant>,
    unsaid: u64,
}

/// Begins to accept on `socket`.
///
/// # Errors
/// When the system has no more threads or descriptors.
pub fn start(
    socket: TcpListener,
    doors: Vec<Door>,
    load: Arc<Load>,
    facts: Arc<Facts>,
    log: Log,
) -> std::io::Result<Listening> {
    socket.set_nonblocking(true)?;
    let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let files = limit.saturating_sub(RESERVED_FILES + FILES_PER_SHARD * doors.len() as u64 + 16);
    facts.listening.store(true, Ordering::SeqCst);
    let listener = Listener {
        socket,
        stop: stop.clone(),
        doors,
        load,
        max: facts.settings.limits.max_connections as u64,
        facts,
        log,
        files,
        next_cid: 1,
        said: None,
        unsaid: 0,
    };
    let thread = std::thread::Builder::new().name("turnpike-accept".into()).spawn(move || listener.run())?;
    Ok(Listening { stop, thread })
}

impl Listener {
    fn run(mut self) {
        loop {
            let (socket, stop) = (PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&*self.stop, PollFlags::IN));
            let mut fds = [socket, stop];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return self.complain(&format!("cannot poll the client listener: {e}")),
            }
            if fds[1].revents().contains(PollFlags::IN) {
                self.facts.listening.store(false, Ordering::SeqCst);
                return;
            }
            loop {
                match self.socket.accept() {
                    Ok((stream, peer)) => self.accepted(stream, peer),
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(e)
                        if matches!(
                            e.raw_os_error().map(Errno::from_raw_os_error),
                            Some(Errno::MFILE | Errno::NFILE)
                        ) =>
                    {
                        self.complain(&format!("cannot accept clients: {e}; raise LimitNOFILE (ulimit -n)"));
                        // Nothing to wait for but a connection that ends.
                        std::thread::sleep(Duration::from_millis(10));
                        break;
                    }
                    // The peer gave up in between, or the like.
                    Err(_) => {}
                }
            }
        }
    }

    fn accepted(&mut self, stream: TcpStream, peer: SocketAddr) {
        let total = self.load.total();
        if total >= self.files {
            let text = "maximum connections exceeded: no file descriptors left; raise LimitNOFILE (ulimit -n)";
            self.complain(text);
            return refuse(stream);
        }
        let cid = Cid(self.next_cid);
        self.next_cid += 1;
        self.facts.accepted.fetch_add(1, Ordering::Relaxed);
        let shard = self.load.lightest();
        self.load.shards[shard].fetch_add(1, Ordering::Relaxed);
        let over_limit = total >= self.max;
        if over_limit {
            self.complain("maximum connections exceeded");
        }
        let ip = peer.ip().to_canonical().to_string();
        self.doors[shard].send(Mail::Accepted(stream, Opening { cid, ip, port: peer.port(), over_limit }));
    }

    /// At most one line a second, with the number of those that were kept back.
    fn complain(&mut self, text: &str) {
        if self.said.is_some_and(|t| t.elapsed() < Duration::from_secs(1)) {
            self.unsaid += 1;
            return;
        }
        self.said = Some(Instant::now());
        let more = std::mem::take(&mut self.unsaid);
        let more = if more > 0 { format!(" ({more} more since)") } else { String::new() };
        self.log.line(Level::Error, format!("{text}{more}"));
    }
}

/// Tells a client for whom there is no descriptor left why it has to go.
fn refuse(mut stream: TcpStream) {
    let _ = stream.set_nonblocking(true);
    let _ = stream.write_all(b"-ERR 'maximum connections exceeded'\r\n");
}
