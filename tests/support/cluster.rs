//! Clusters of real processes: ports that are known before the servers run, connections between processes, and clients
//! that know when a subscription is in force everywhere.

use super::frames::show;
use super::process::until;
use super::raw::{Next, Raw, PATIENCE};
use super::server::{shard_args, Server, Start, Which};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a cluster may take to be whole; on a quiet machine it takes a tenth of a second.
pub const WHOLE: Duration = Duration::from_secs(30);

/// Below the ports that the system hands out by itself, so that nobody else's connection takes one meanwhile.
const PORTS: std::ops::Range<u64> = 12_000..32_000;

/// A port nobody listens on, each time another.
pub fn free_port() -> u16 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let count = PORTS.end - PORTS.start;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock").subsec_nanos();
    let first = u64::from(std::process::id()).wrapping_mul(0x9e37_79b9).wrapping_add(u64::from(now)) % count;
    let _ = NEXT.compare_exchange(0, first + 1, Ordering::Relaxed, Ordering::Relaxed);
    for _ in 0..count {
        let port = (PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % count) as u16;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// The loopback address with this port.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// `routes` of a configuration.
pub fn routes(ports: &[u16]) -> String {
    let urls: Vec<_> = ports.iter().map(|p| format!("\"nats://127.0.0.1:{p}\"")).collect();
    format!("[{}]", urls.join(", "))
}

/// Servers of one cluster. Each lists the first of them, as people do, and learns of the others.
pub struct Cluster {
    /// The servers.
    pub nodes: Vec<Server>,
    /// Where each takes routes.
    pub ports: Vec<u16>,
}

impl Cluster {
    /// Starts these servers with so many shards each, and waits until they know each other.
    pub fn start(of: &[Which], shards: usize) -> Cluster {
        Cluster::with(of, shards, "", "")
    }

    /// As [`Cluster::start`]; `inside` is added to everybody's cluster block, `beside` to the configuration.
    pub fn with(of: &[Which], shards: usize, inside: &str, beside: &str) -> Cluster {
        let ports: Vec<u16> = of.iter().map(|_| free_port()).collect();
        let nodes = of.iter().enumerate().map(|(n, which)| {
            let conf = format!(
                "server_name: n{n}\n{beside}\ncluster {{ name: c, listen: \"127.0.0.1:{}\", routes: {}\n{inside} }}\n",
                ports[n],
                routes(&ports[..1]),
            );
            Server::from(Start::new(which, &conf, &shard_args(which, shards)))
        });
        let cluster = Cluster { nodes: nodes.collect(), ports };
        cluster.await_whole();
        cluster
    }

    /// Waits until messages pass between any two running servers, in both directions.
    pub fn await_whole(&self) {
        await_connected(&self.nodes.iter().collect::<Vec<_>>());
    }
}

/// Waits until messages pass between any two of these servers, in both directions.
pub fn await_connected(nodes: &[&Server]) {
    let mut ears: Vec<Client> = nodes.iter().map(|n| Client::of(n)).collect();
    #[allow(clippy::needless_range_loop, reason = "two lists are gone through together")]
    for at in 0..nodes.len() {
        let others: Vec<_> = (0..nodes.len()).filter(|o| *o != at).map(|o| nodes[o]).collect();
        ears[at].known_at(&others);
    }
}

/// A connection that has greeted and understands what every client of today does.
pub struct Client {
    /// Beneath it.
    pub raw: Raw,
}

impl Client {
    /// Connects to a server.
    pub fn of(server: &Server) -> Client {
        Client::at(server.clients())
    }

    /// Connects to an address.
    pub fn at(address: SocketAddr) -> Client {
        Client::greet(address, "")
    }

    /// With further fields of CONNECT, each ending with a comma.
    pub fn greet(address: SocketAddr, more: &str) -> Client {
        let mut raw = Raw::connect(address);
        let common = "\"verbose\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1,\"lang\":\"test\"";
        raw.write(format!("CONNECT {{{more}{common}}}\r\n").as_bytes());
        raw.barrier();
        Client { raw }
    }

    /// Writes lines, and waits until the server has carried them out. What came meanwhile, without PONG, PING, INFO.
    pub fn say(&mut self, lines: &str) -> Vec<String> {
        self.raw.write(lines.as_bytes());
        let frames = self.raw.barrier();
        let texts = frames.iter().map(|f| String::from_utf8_lossy(f).into_owned());
        texts.filter(|t| !is_upkeep(t)).collect()
    }

    /// The next message or error. Panics when none comes.
    #[track_caller]
    pub fn next(&mut self) -> String {
        let Some(text) = self.try_next(PATIENCE) else { panic!("nothing came within {PATIENCE:?}") };
        text
    }

    /// The next message or error that comes in time.
    pub fn try_next(&mut self, patience: Duration) -> Option<String> {
        let end = Instant::now() + patience;
        loop {
            match self.raw.next(end.saturating_duration_since(Instant::now())) {
                Next::Frame(f) if f == b"PING\r\n" => self.raw.write(b"PONG\r\n"),
                Next::Frame(f) => {
                    let text = String::from_utf8_lossy(&f).into_owned();
                    if !is_upkeep(&text) {
                        return Some(text);
                    }
                }
                // The beginning of a message is kept.
                Next::Silence(_) => return None,
                other => panic!("instead of a message: {other:?}"),
            }
        }
    }

    /// Waits until what this client has subscribed to is known at these servers: interest travels in order, so a later
    /// subscription of the same connection that is known proves it.
    pub fn known_at(&mut self, servers: &[&Server]) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let subject = format!("known.{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.say(&format!("SUB {subject}.* known\r\n"));
        for (n, server) in servers.iter().enumerate() {
            let mut other = Client::of(server);
            let mark = format!("MSG {subject}.{n} known 0\r\n\r\n");
            let mut aside: Vec<String> = Vec::new();
            until("a subscription known at another server", WHOLE, || {
                other.raw.write(format!("PUB {subject}.{n} 0\r\n\r\n").as_bytes());
                let came = self.try_next(Duration::from_millis(100));
                (came.as_ref() == Some(&mark)).then_some(()).or_else(|| {
                    aside.extend(came.filter(|c| !c.starts_with(&format!("MSG {subject}."))));
                    None
                })
            });
            assert!(aside.is_empty(), "came while interest spread: {aside:?}");
            other.say("");
        }
        // More of the marks may be under way: the last of each server is behind all of them.
        for (n, server) in servers.iter().enumerate() {
            Client::of(server).say(&format!("PUB {subject}.last{n} 0\r\n\r\n"));
            let last = format!("MSG {subject}.last{n} known 0\r\n\r\n");
            while self.next() != last {}
        }
        self.say("UNSUB known\r\n");
    }
}

fn is_upkeep(frame: &str) -> bool {
    frame.starts_with("INFO ") || frame == "PING\r\n" || frame == "PONG\r\n" || frame == "+OK\r\n"
}

/// Shows messages in a failure.
pub fn shown(texts: &[String]) -> String {
    texts.iter().map(|t| show(t.as_bytes())).collect::<Vec<_>>().join(" ")
}

/// The established TCP connections between any two of these processes.
pub fn connections(pids: &[u32]) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").expect("no /proc/net/tcp");
    let mut owners = BTreeMap::new();
    for &pid in pids {
        for inode in sockets(pid) {
            owners.insert(inode, pid);
        }
    }
    let mut ends = BTreeMap::new();
    for line in table.lines().skip(1) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let established = words[3] == "01";
        if let Some(pid) = owners.get(words[9]).filter(|_| established) {
            ends.insert((words[1], words[2]), *pid);
        }
    }
    let both = |(&(here, there), pid): (&(&str, &str), &u32)| ends.get(&(there, here)).is_some_and(|o| o != pid);
    ends.iter().filter(|end| both((end.0, end.1))).count() / 2
}

fn sockets(pid: u32) -> BTreeSet<String> {
    let Ok(all) = fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeSet::new() };
    let names = all.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    let inode =
        |name: std::path::PathBuf| Some(name.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_string());
    names.filter_map(inode).collect()
}

/// Waits until a server has said this in its log.
pub fn await_log(server: &Server, what: &str) {
    let limit = PATIENCE;
    let end = Instant::now() + limit;
    while !server.output().contains(what) {
        assert!(Instant::now() < end, "not logged within {limit:?}: {what:?}\n{}", server.output());
        std::thread::sleep(Duration::from_millis(5));
    }
}
