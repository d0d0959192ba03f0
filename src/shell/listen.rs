//! Accepts clients and deals them out to the shards, on a thread of its own.
//!
//! One thread and not one listener per shard: the kernel spreads few connections badly, we give each to the shard that
//! has the fewest.

use super::identity;
use super::log::Log;
use super::monitor::Facts;
use super::rings::{Door, Mail};
use super::tls::{Acceptor, Gate, Secured, Way};
use crate::base::{Cid, Level};
use crate::policy::settings::Limits;
use crate::policy::tls::First;
use crate::shard::{Opening, Privacy};
use crossbeam_channel::{bounded, Receiver, Sender};
use guessing::{Came, Guessing};
use rustix::event::{eventfd, poll, EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

mod guessing;

/// Clients accepted between two looks at the bell.
const ACCEPTS: usize = 64;
/// How long until a look again, when there is nothing to wait for but that a shard reads its mail or a connection ends.
const AGAIN: Duration = Duration::from_millis(10);

/// News of guessers that the listener has not heard yet.
const GUESSES_TOLD_MAX: usize = 1024;

/// How many clients a shard has.
#[derive(Debug, Default)]
struct Clients {
    /// Sockets that are open: of those who were refused and those who are going, too.
    open: AtomicU64,
    /// Those who may stay. Each has one of the places that `max_connections` limits.
    placed: AtomicU64,
}

/// How many clients there are, and who guesses passwords. Shared by the listener and the shards' shells.
#[derive(Debug)]
pub struct Load {
    shards: Vec<Clients>,
    /// How many there may be (`max_connections`).
    max: AtomicU64,
    guesses: Sender<IpAddr>,
    told: Receiver<IpAddr>,
}

impl Load {
    /// No clients on any of `n` shards.
    pub fn new(n: usize, limits: &Limits) -> Load {
        let max = AtomicU64::new(limits.max_connections as u64);
        let (guesses, told) = bounded(GUESSES_TOLD_MAX);
        Load { shards: (0..n).map(|_| Clients::default()).collect(), max, guesses, told }
    }

    /// So many there may be from now on. Says how many are more than that, on each shard.
    pub fn limit(&self, max: usize) -> Vec<usize> {
        self.max.store(max as u64, Ordering::Relaxed);
        let mut left: Vec<u64> = self.shards.iter().map(|s| s.placed.load(Ordering::Relaxed)).collect();
        let mut surplus = vec![0; left.len()];
        for _ in max as u64..left.iter().sum() {
            let (heaviest, n) = left.iter_mut().enumerate().max_by_key(|(_, n)| **n).expect("there are shards");
            *n -= 1;
            surplus[heaviest] += 1;
        }
        surplus
    }

    /// How many there are.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The socket of a client of this shard is closed.
    pub fn gone(&self, shard: usize) {
        self.shards[shard].open.fetch_sub(1, Ordering::Relaxed);
    }

    /// A client of this shard is going, or was none: whoever comes now may have its place.
    pub fn left(&self, shard: usize) {
        self.shards[shard].placed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Wrong passwords come from this address, too many. Where more is told than is heard it will be told again.
    pub fn guesses(&self, ip: &str) {
        if let Ok(ip) = ip.parse() {
            let _ = self.guesses.try_send(ip);
        }
    }

    /// One more socket on this shard. May it stay?
    fn came(&self, shard: usize) -> bool {
        let has_place = self.shards.iter().map(|s| s.placed.load(Ordering::Relaxed)).sum::<u64>()
            < self.max.load(Ordering::Relaxed);
        self.shards[shard].open.fetch_add(1, Ordering::Relaxed);
        self.shards[shard].placed.fetch_add(u64::from(has_place), Ordering::Relaxed);
        has_place
    }

    fn open(&self) -> u64 {
        self.shards.iter().map(|s| s.open.load(Ordering::Relaxed)).sum()
    }

    fn lightest(&self) -> usize {
        let loads = self.shards.iter().map(|s| s.open.load(Ordering::Relaxed)).enumerate();
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
    tls: Arc<Gate>,
    files: u64,
    numbers: Arc<AtomicU64>,
    guessing: Guessing,
    said: Option<Instant>,
    unsaid: u64,
}

/// What the listener needs of the server.
pub struct Inside {
    /// The shards.
    pub doors: Vec<Door>,
    /// Who has how many clients.
    pub load: Arc<Load>,
    /// The last number given to a connection.
    pub numbers: Arc<AtomicU64>,
    /// What monitoring knows.
    pub facts: Arc<Facts>,
    /// Where clients are made private, if they are.
    pub tls: Arc<Gate>,
    /// Where failures are told.
    pub log: Log,
}

/// Begins to accept on `socket`, at most `files` clients.
///
/// # Errors
/// When the system has no more threads or descriptors.
pub fn start(socket: TcpListener, files: u64, inside: Inside) -> std::io::Result<Listening> {
    let Inside { doors, load, numbers, facts, tls, log } = inside;
    let guessing = Guessing::new(load.told.clone());
    socket.set_nonblocking(true)?;
    let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    facts.listening.store(true, Ordering::SeqCst);
    let listener = Listener {
        socket,
        stop: stop.clone(),
        doors,
        load,
        facts,
        log,
        tls,
        files,
        numbers,
        guessing,
        said: None,
        unsaid: 0,
    };
    let thread = std::thread::Builder::new().name("turnpike-accept".into()).spawn(move || listener.run())?;
    Ok(Listening { stop, thread })
}

impl Listener {
    fn run(mut self) {
        loop {
            let wait = self.let_guessers_in();
            let (socket, stop) = (PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&*self.stop, PollFlags::IN));
            let mut fds = [socket, stop];
            match poll(&mut fds, wait.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return self.complain(&format!("cannot poll the client listener: {e}")),
            }
            if fds[1].revents().contains(PollFlags::IN) {
                self.facts.listening.store(false, Ordering::SeqCst);
                return;
            }
            // Then a look at the bell again: a flood must not keep the server from stopping.
            for _ in 0..ACCEPTS {
                let shard = self.load.lightest();
                if !self.doors[shard].has_room() {
                    // Clients wait in the kernel's queue: to be late is better than to be refused.
                    self.complain(&format!("clients wait: shard {shard} is behind with those it has been given"));
                    std::thread::sleep(AGAIN);
                    break;
                }
                match self.socket.accept() {
                    Ok((stream, peer)) => self.came(shard, stream, peer),
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(e)
                        if matches!(
                            e.raw_os_error().map(Errno::from_raw_os_error),
                            Some(Errno::MFILE | Errno::NFILE)
                        ) =>
                    {
                        self.complain(&format!("cannot accept clients: {e}; raise LimitNOFILE (ulimit -n)"));
                        std::thread::sleep(AGAIN);
                        break;
                    }
                    // The peer gave up in between, or the like.
                    Err(_) => {}
                }
            }
        }
    }

    fn came(&mut self, shard: usize, stream: TcpStream, peer: SocketAddr) {
        self.facts.accepts.happened();
        if self.load.open() + self.guessing.waiting() >= self.files {
            self.complain("maximum connections exceeded: no file descriptors left; raise LimitNOFILE (ulimit -n)");
            return refuse(stream);
        }
        match self.guessing.came(stream, peer) {
            Came::Enters(stream) => self.accepted(shard, stream, peer),
            Came::Waits => {}
            Came::TooMany { stream, peer, told } => {
                self.facts.guessers_refused.fetch_add(1, Ordering::Relaxed);
                self.complain(&format!("clients are refused: too many wrong passwords come from {}", peer.ip()));
                match told {
                    true => refuse(stream),
                    // A reset: nothing of it stays in the kernel.
                    false => reset(&stream),
                }
            }
        }
    }

    /// Those whose turn it is of those who have to wait. Says when the next may come in.
    fn let_guessers_in(&mut self) -> Option<Timespec> {
        loop {
            let shard = self.load.lightest();
            if !self.doors[shard].has_room() {
                return Timespec::try_from(AGAIN).ok();
            }
            match self.guessing.next() {
                Ok((stream, peer)) => self.accepted(shard, stream, peer),
                Err(wait) => return wait.and_then(|wait| Timespec::try_from(wait).ok()),
            }
        }
    }

    fn accepted(&mut self, shard: usize, stream: TcpStream, peer: SocketAddr) {
        if self.facts.pressure.scarce.load(Ordering::Relaxed) {
            self.facts.pressure.refused.fetch_add(1, Ordering::Relaxed);
            self.complain("clients are refused: memory is scarce");
            return refuse(stream);
        }
        let cid = Cid(self.numbers.fetch_add(1, Ordering::Relaxed));
        self.facts.accepted.fetch_add(1, Ordering::Relaxed);
        let Ok(nonce) = identity::random() else {
            return self.complain("a client is refused: the system has no random bytes");
        };
        let over_limit = !self.load.came(shard);
        if over_limit {
            self.complain("maximum connections exceeded");
        }
        let ip = peer.ip().to_canonical().to_string();
        let mut opening = Opening { cid, ip, port: peer.port(), over_limit, nonce, privacy: Privacy::Plain };
        match if over_limit { Way::Clear } else { self.tls.enter() } {
            Way::Clear => {}
            Way::Throttled => opening.privacy = Privacy::Throttled,
            Way::Private(acceptor) => match acceptor.tls.first {
                First::Info => opening.privacy = Privacy::Upgrade,
                First::Tls => return self.tls_first(acceptor, None, shard, stream, opening),
                First::Wait(d) => return self.tls_first(acceptor, Some(d), shard, stream, opening),
            },
        }
        self.doors[shard].send(Mail::Accepted(stream, opening));
    }

    /// TLS comes first: a shard hears of the client when he is there, or has waited in vain to be spoken to.
    fn tls_first(
        &self,
        acceptor: Arc<Acceptor>,
        wait: Option<Duration>,
        shard: usize,
        stream: TcpStream,
        mut opening: Opening,
    ) {
        let (door, load, says) = (self.doors[shard].clone(), self.load.clone(), self.tls.clone());
        let done = move |found: Result<Secured, String>| match found {
            Ok(Secured { stream, tls: Some((session, peer)) }) => {
                opening.privacy = Privacy::Secured(peer);
                door.send(Mail::Secured(stream, session, opening));
            }
            Ok(Secured { stream, tls: None }) => {
                opening.privacy = Privacy::Upgrade;
                door.send(Mail::Accepted(stream, opening));
            }
            Err(why) => {
                load.left(shard);
                load.gone(shard);
                says.failed(&format!("{}:{} - cid:{}", opening.ip, opening.port, opening.cid.0), &why);
            }
        };
        self.tls.first(acceptor, stream, wait, Box::new(done));
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

/// Tells a client for whom there is no descriptor or memory left why it has to go.
fn refuse(mut stream: TcpStream) {
    let _ = stream.set_nonblocking(true);
    let _ = stream.write_all(b"-ERR 'maximum connections exceeded'\r\n");
}

/// Makes the end of a connection a reset.
fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Settings;
    use crate::shard::Order;
    use crate::shell::monitor::Loads;
    use crate::shell::monitor::Rate;
    use crate::shell::rings::{connect, Post};
    use crate::shell::tls::Threads;
    use std::sync::atomic::AtomicBool;

    fn facts() -> Arc<Facts> {
        Arc::new(Facts {
            settings: Arc::new(Settings::default()),
            server_id: "ID".into(),
            server_name: "NAME".into(),
            port: 0,
            start_ns: 0,
            cores: 1,
            pins: vec![None],
            free_cpus: Vec::new(),
            accepted: AtomicU64::new(0),
            guessers_refused: AtomicU64::new(0),
            accepts: Rate::default(),
            listening: AtomicBool::new(false),
            pressure: Arc::default(),
            mesh: None,
            cluster_port: 0,
            gateway_port: 0,
            events_lost: Arc::default(),
            meters: Vec::new(),
            loads: Loads::default(),
        })
    }

    /// A listener in front of one shard whose mail is full, and one client who has connected.
    fn before_a_full_shard() -> (Listening, Post, TcpStream) {
        let (mut posts, doors) = connect(1).unwrap();
        while doors[0].has_room() {
            doors[0].send(Mail::Order(Order::Drain));
        }
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let (log, _) = Log::start(&Settings::default().log).unwrap();
        let (load, numbers) = (Arc::new(Load::new(1, &Settings::default().limits)), Arc::new(AtomicU64::new(1)));
        let inside = Inside {
            doors,
            load,
            numbers,
            facts: facts(),
            tls: Arc::new(Gate::new(Threads::of_clients(), log.clone())),
            log,
        };
        let listening = start(socket, 10, inside).unwrap();
        (listening, posts.remove(0), client)
    }

    #[test]
    fn a_client_waits_for_a_shard_that_is_behind_and_is_not_lost() {
        let (listening, post, _client) = before_a_full_shard();
        let accepted = loop {
            match post.mail() {
                Some(Mail::Accepted(_, opening)) => break opening,
                Some(_) => {}
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(accepted.cid, Cid(1));
        listening.stop();
    }

    #[test]
    fn a_shard_that_reads_no_mail_keeps_nobody_from_stopping() {
        let (listening, post, _client) = before_a_full_shard();
        listening.stop();
        while let Some(mail) = post.mail() {
            assert!(!matches!(mail, Mail::Accepted(..)));
        }
    }
    #[test]
    fn who_is_refused_takes_nobodys_place() {
        let mut limits = Settings::default().limits;
        limits.max_connections = 2;
        let load = Load::new(2, &limits);
        assert_eq!([0, 1, 0, 1].map(|shard| load.came(shard)), [true, true, false, false]);
        load.left(0);
        assert!(load.came(0), "the sockets of three others are open, one has a place");
        assert_eq!((load.open(), load.limit(1)), (5, vec![0, 1]));
        [0, 0, 0, 1, 1].into_iter().for_each(|shard| load.gone(shard));
        assert_eq!((load.open(), load.came(0)), (0, false));
    }
}
