//! Handshakes, on threads of their own: a signature takes a core tens to hundreds of microseconds, which no shard that moves
//! messages has. A thread keeps many of them under way at once, so that nobody waits for a slow peer, each for its time
//! at most. Sockets come from the listener, the shards and the mesh, and go back to whoever gave them.

use super::files::Dialer;
use super::names::{fingerprint, peer};
use super::session::{Sealed, Session};
use super::Acceptor;
use crate::base::limits::{HANDSHAKES_MAX, TLS_HANDSHAKES_MAX, TLS_HANDSHAKE_BYTES_MAX, TLS_THREADS};
use crate::policy::Peer;
use crossbeam_channel::{unbounded, Receiver, Sender};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{eventfd, EventfdFlags};
use rustix::net::{RecvFlags, SendFlags};
use rustix::time::Timespec;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Less than the shards, where a core is shared.
const NICE: i32 = 10;
/// In place of a job: the bell.
const WAKE: u64 = u64::MAX;
/// Every handshake begins so.
const HANDSHAKE_RECORD: u8 = 0x16;

/// A socket to be made private.
pub struct Job {
    /// The socket.
    pub stream: TcpStream,
    /// Which end of it is ours.
    pub how: How,
    /// The end of its time.
    pub until: Instant,
    /// TLS comes before INFO.
    pub first: bool,
    /// Told what came of it, on the handshakes' thread.
    pub done: Box<dyn FnOnce(Result<Secured, String>) + Send>,
}

/// Which end is ours.
pub enum How {
    /// The peer has dialed.
    Accept(Arc<Acceptor>, Wait),
    /// We have, a server of this name.
    Dial(Arc<Dialer>, ServerName<'static>),
}

/// What if the peer does not begin with TLS?
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    /// Then it has failed.
    Never,
    /// It says something else, and stays in the clear.
    Other,
    /// It says nothing by then, and is given back in the clear.
    Silence(Instant),
}

/// What came of a handshake.
pub struct Secured {
    /// The socket.
    pub stream: TcpStream,
    /// How it goes on, and who is there; None: in the clear.
    pub tls: Option<(Box<Session>, Box<Peer>)>,
}

/// A way to the threads. They end once every one is gone.
struct Handshakes {
    desks: Arc<[Desk]>,
    /// Peers that have dialed and shake hands on one thread; more are refused.
    most: usize,
    next: Arc<AtomicUsize>,
}

struct Desk {
    jobs: Option<Sender<Job>>,
    under_way: Arc<AtomicUsize>,
    bell: Arc<OwnedFd>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.jobs = None;
        ring(&self.bell);
    }
}

fn ring(bell: &OwnedFd) {
    // Fails only when the counter is full, and then it rings already.
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

impl Handshakes {
    /// Starts the threads for clients.
    ///
    /// # Errors
    /// No threads or descriptors are left.
    fn of_clients() -> io::Result<Handshakes> {
        Handshakes::start("turnpike-tls-", TLS_THREADS, TLS_HANDSHAKES_MAX)
    }

    /// Starts the thread for servers: of its own, that clients by the thousand do not keep them apart.
    ///
    /// # Errors
    /// No threads or descriptors are left.
    fn of_servers() -> io::Result<Handshakes> {
        Handshakes::start("turnpike-tls-s", 1, HANDSHAKES_MAX)
    }

    fn start(name: &str, threads: usize, most: usize) -> io::Result<Handshakes> {
        let desk = |n: usize| {
            let (jobs, given) = unbounded();
            let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            epoll::add(&epoll, &*bell, EventData::new_u64(WAKE), EventFlags::IN)?;
            let under_way = Arc::new(AtomicUsize::new(0));
            let (heard, count) = (bell.clone(), under_way.clone());
            let work = move || Worker::new(given, heard, epoll, count).run();
            std::thread::Builder::new().name(format!("{name}{n}")).spawn(work)?;
            Ok::<_, io::Error>(Desk { jobs: Some(jobs), under_way, bell })
        };
        let desks = (0..threads).map(desk).collect::<Result<Vec<_>, _>>()?;
        Ok(Handshakes { desks: desks.into(), most, next: Arc::default() })
    }

    fn begin(&self, job: Job) {
        let desk = &self.desks[self.next.fetch_add(1, Ordering::Relaxed) % self.desks.len()];
        let under_way = desk.under_way.fetch_add(1, Ordering::Relaxed);
        // Those who are dialed are few, and ours.
        if under_way >= self.most && matches!(job.how, How::Accept(..)) {
            desk.under_way.fetch_sub(1, Ordering::Relaxed);
            return (job.done)(Err("too many handshakes are under way".into()));
        }
        // The threads live as long as there is somebody to call this.
        if let Some(jobs) = &desk.jobs {
            let _ = jobs.send(job);
        }
        ring(&desk.bell);
    }
}

/// The threads, once they are needed: TLS may come with a reload.
pub struct Threads {
    start: fn() -> io::Result<Handshakes>,
    running: OnceLock<Handshakes>,
}

impl Threads {
    /// For clients.
    pub fn of_clients() -> Threads {
        Threads { start: Handshakes::of_clients, running: OnceLock::new() }
    }

    /// For servers.
    pub(super) fn of_servers() -> Threads {
        Threads { start: Handshakes::of_servers, running: OnceLock::new() }
    }

    /// They are needed from now on. Called by the boot's thread only.
    ///
    /// # Errors
    /// No threads or descriptors are left.
    pub(super) fn need(&self) -> io::Result<()> {
        if self.running.get().is_none() {
            let _ = self.running.set((self.start)()?);
        }
        Ok(())
    }

    /// Begins a handshake; never waits.
    pub(super) fn begin(&self, job: Job) {
        match self.running.get() {
            Some(handshakes) => handshakes.begin(job),
            None => (job.done)(Err("TLS is not configured".into())),
        }
    }
}

/// One handshake under way.
struct Work {
    job: Job,
    session: Option<Box<Session>>,
    incoming: Vec<u8>,
    /// What the socket did not take.
    out: Vec<u8>,
    /// When it is looked at without a word from the socket.
    due: Instant,
    writing: bool,
}

/// What became of a handshake: none where the peer wanted none, else why it failed.
type Outcome = Result<Option<(Box<Session>, Box<Peer>)>, String>;

enum Came {
    Nothing,
    Done(Outcome),
}

struct Worker {
    given: Receiver<Job>,
    bell: Arc<OwnedFd>,
    epoll: OwnedFd,
    under_way: Arc<AtomicUsize>,
    works: BTreeMap<u64, Work>,
    due: BTreeSet<(Instant, u64)>,
    numbers: u64,
    buffer: Vec<u8>,
    sealed: Sealed,
}

impl Worker {
    fn new(given: Receiver<Job>, bell: Arc<OwnedFd>, epoll: OwnedFd, under_way: Arc<AtomicUsize>) -> Worker {
        let (works, due, sealed) = (BTreeMap::new(), BTreeSet::new(), Sealed::default());
        Worker { given, bell, epoll, under_way, works, due, numbers: 0, buffer: vec![0; 32 << 10], sealed }
    }

    fn run(mut self) {
        // Where that is not allowed it is as it was.
        let _ = rustix::process::nice(NICE);
        let mut events = Vec::with_capacity(256);
        loop {
            events.clear();
            let patience = self.due.first().map(|(at, _)| at.saturating_duration_since(Instant::now()));
            let patience = patience.map(|d| {
                // Rounded up: else it would be too early each time.
                let ms = d.as_millis() as i64 + 1;
                Timespec { tv_sec: ms / 1000, tv_nsec: (ms % 1000 * 1_000_000) as _ }
            });
            let spare = rustix::buffer::spare_capacity(&mut events);
            let _ = epoll::wait(&self.epoll, spare, patience.as_ref());
            for event in &events {
                match event.data.u64() {
                    WAKE => drop(rustix::io::read(&*self.bell, &mut [0u8; 8])),
                    id => self.look(id),
                }
            }
            loop {
                match self.given.try_recv() {
                    Ok(job) => self.take(job),
                    Err(crossbeam_channel::TryRecvError::Empty) => break,
                    Err(crossbeam_channel::TryRecvError::Disconnected) => return,
                }
            }
            let now = Instant::now();
            while let Some((_, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
                self.late(id);
            }
        }
    }

    fn take(&mut self, job: Job) {
        let id = self.numbers;
        self.numbers += 1;
        let ready = job.stream.set_nonblocking(true).and_then(|()| {
            let _ = job.stream.set_nodelay(true);
            Ok(epoll::add(&self.epoll, &job.stream, EventData::new_u64(id), EventFlags::IN)?)
        });
        let due = match job.how {
            How::Accept(_, Wait::Silence(at)) => at.min(job.until),
            How::Accept(..) | How::Dial(..) => job.until,
        };
        self.due.insert((due, id));
        self.works.insert(id, Work { job, session: None, incoming: Vec::new(), out: Vec::new(), due, writing: false });
        match ready {
            Ok(()) => self.look(id),
            Err(e) => self.end(id, Err(e.to_string())),
        }
    }

    /// Its socket is ready.
    fn look(&mut self, id: u64) {
        let Some(work) = self.works.get_mut(&id) else { return };
        match work.go_on(&mut self.buffer, &mut self.sealed) {
            Came::Done(found) => self.end(id, found),
            Came::Nothing => {
                let writing = !work.out.is_empty();
                if work.writing != writing {
                    work.writing = writing;
                    let flags = if writing { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
                    let _ = epoll::modify(&self.epoll, &work.job.stream, EventData::new_u64(id), flags);
                }
                // Once it has begun it has all its time.
                if work.session.is_some() && work.due != work.job.until {
                    self.due.remove(&(work.due, id));
                    work.due = work.job.until;
                    self.due.insert((work.due, id));
                }
            }
        }
    }

    /// Its time is over.
    fn late(&mut self, id: u64) {
        let Some(work) = self.works.get(&id) else {
            self.due.retain(|(_, other)| *other != id);
            return;
        };
        let silent = work.session.is_none() && matches!(work.job.how, How::Accept(_, Wait::Silence(_) | Wait::Other));
        self.end(id, if silent { Ok(None) } else { Err("it took too long (timeout of tls)".into()) });
    }

    fn end(&mut self, id: u64, found: Outcome) {
        let Some(work) = self.works.remove(&id) else { return };
        self.due.remove(&(work.due, id));
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let _ = epoll::delete(&self.epoll, &work.job.stream);
        let Job { stream, done, .. } = work.job;
        done(found.map(|tls| Secured { stream, tls }));
    }
}

impl Work {
    fn go_on(&mut self, buffer: &mut [u8], sealed: &mut Sealed) -> Came {
        if !self.write() {
            return Came::Nothing;
        }
        if self.session.is_none() {
            match self.begin() {
                // Who has dialed speaks first.
                Ok(true) if matches!(self.job.how, How::Dial(..)) => {
                    if let Some(came) = self.advance(sealed) {
                        return came;
                    }
                }
                Ok(true) => {}
                Ok(false) => return Came::Nothing,
                Err(came) => return came,
            }
        }
        loop {
            match rustix::net::recv(&self.job.stream, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Came::Done(Err("EOF: the peer has gone".into())),
                Ok((n, _)) => self.incoming.extend_from_slice(&buffer[..n]),
                Err(e) if e == rustix::io::Errno::AGAIN || e == rustix::io::Errno::INTR => return Came::Nothing,
                Err(e) => return Came::Done(Err(io::Error::from(e).to_string())),
            }
            if let Some(came) = self.advance(sealed) {
                return came;
            }
        }
    }

    /// Has the peer begun, and how? False: not yet.
    fn begin(&mut self) -> Result<bool, Came> {
        let (acceptor, wait) = match &self.job.how {
            How::Accept(acceptor, wait) => (acceptor, wait),
            How::Dial(dialer, name) => {
                return match UnbufferedClientConnection::new(dialer.config.clone(), name.clone()) {
                    Ok(connection) => {
                        self.session = Some(Box::new(connection.into()));
                        Ok(true)
                    }
                    Err(e) => Err(Came::Done(Err(e.to_string()))),
                }
            }
        };
        let mut byte = [0; 1];
        match self.job.stream.peek(&mut byte) {
            Ok(0) => return Err(Came::Done(Err("EOF: the peer has gone".into()))),
            Ok(_) if byte[0] == HANDSHAKE_RECORD => {}
            Ok(_) if matches!(wait, Wait::Other) => return Err(Came::Done(Ok(None))),
            Ok(_) => return Err(Came::Done(Err("first record does not look like a TLS handshake".into()))),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(false),
            Err(e) => return Err(Came::Done(Err(e.to_string()))),
        }
        match UnbufferedServerConnection::new(acceptor.config.clone()) {
            Ok(connection) => self.session = Some(Box::new(connection.into())),
            Err(e) => return Err(Came::Done(Err(e.to_string()))),
        }
        Ok(true)
    }

    /// Goes on with what has come.
    fn advance(&mut self, sealed: &mut Sealed) -> Option<Came> {
        let session = self.session.as_mut()?;
        sealed.clear();
        let mut early = std::mem::take(&mut session.early);
        let found = session.open(&mut self.incoming, &mut early, sealed);
        session.early = early;
        self.out.extend_from_slice(sealed.bytes());
        let written = self.write();
        let session = self.session.as_mut()?;
        match found {
            Err(e) => return Some(Came::Done(Err(e.to_string()))),
            Ok(used) => drop(self.incoming.drain(..used)),
        }
        if self.incoming.len() > TLS_HANDSHAKE_BYTES_MAX {
            return Some(Came::Done(Err("the handshake is too large".into())));
        }
        if session.state().is_handshaking() {
            return (!written).then_some(Came::Nothing);
        }
        if let Some(why) = self.unfit() {
            return Some(Came::Done(Err(why)));
        }
        let mut session = self.session.take()?;
        session.rest = std::mem::take(&mut self.incoming);
        session.unsent = std::mem::take(&mut self.out);
        session.whole = session.unsent.len();
        session.fresh = !session.rest.is_empty() || !session.early.is_empty() || session.closed;
        let peer = Box::new(peer(session.state(), self.job.first));
        Some(Came::Done(Ok(Some((session, peer)))))
    }

    /// Is the key, or the name, none of those that are let in? Then why.
    fn unfit(&self) -> Option<String> {
        let pinned = match &self.job.how {
            How::Accept(acceptor, _) => &acceptor.tls.pinned,
            How::Dial(dialer, _) => &dialer.pinned,
        };
        let shown = self.session.as_ref()?.state().peer_certificates().and_then(|c| c.first());
        let fits = |cert| fingerprint(cert).is_some_and(|key| pinned.contains(&key));
        if !pinned.is_empty() && !shown.is_some_and(fits) {
            return Some("certificate not pinned: its key is not in pinned_certs".into());
        }
        match &self.job.how {
            How::Accept(acceptor, _) => acceptor.known.as_ref().and_then(|known| known.unfit(shown)),
            How::Dial(..) => None,
        }
    }

    /// Writes what waits. True: all is written.
    fn write(&mut self) -> bool {
        while !self.out.is_empty() {
            match rustix::net::send(&self.job.stream, &self.out, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(n) => drop(self.out.drain(..n)),
                // An error is found by the next read.
                Err(_) => return false,
            }
        }
        true
    }
}
