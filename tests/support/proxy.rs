//! A proxy with faults: it stands before the route address of every server of a cluster, which advertises it, so that
//! every route leads through it. It knows which two servers a connection is between (both say so in their INFO), and does
//! to what each sends the other what [`Faults`] of that direction say: delay, jitter, slices, a rate, a stall, a flipped
//! bit. All chances come from one seed per proxy.

use super::cluster::{free_port, local};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How often a pump that may not go on looks whether it may.
const LOOK: Duration = Duration::from_millis(2);
/// The most that is taken in at a time.
const CHUNK: usize = 16 << 10;
/// Bytes of a stream's beginning in which the name of who speaks is looked for.
const GREETING: usize = 64 << 10;
/// How long a connection may take until the proxy gives it up: it was refused behind it.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What happens to bytes in one direction between two servers. Nothing by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Each piece waits so long.
    pub delay: Duration,
    /// And up to so much longer.
    pub jitter: Duration,
    /// Pieces are at most so long; 0: as they come.
    pub slice: usize,
    /// Bytes per second; 0: as they come.
    pub rate: u64,
    /// Nothing passes, and nothing is taken in.
    pub stall: bool,
    /// The next byte but so many that passes has a bit flipped, once.
    pub flip: Option<u64>,
}

/// Who sends to whom, by server name.
type Way = (String, String);

#[derive(Default)]
struct State {
    everywhere: Faults,
    ways: BTreeMap<Way, Faults>,
    links: BTreeMap<u64, Link>,
}

/// A connection that stands.
struct Link {
    ends: [TcpStream; 2],
    /// Who dialed, as soon as it has said so; who is dialed.
    names: [String; 2],
}

/// Proxies before some servers.
pub struct Proxies {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    ports: Vec<u16>,
}

impl Proxies {
    /// Before these: the name of a server, and where it takes routes.
    pub fn before(servers: &[(String, u16)], seed: u64) -> Proxies {
        let (state, stop) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let links = Arc::new(AtomicU64::new(seed << 16));
        let mut ports = Vec::new();
        for (name, port) in servers {
            let (own, target, name) = (free_port(), local(*port), name.clone());
            let listener = TcpListener::bind(local(own)).expect("a port for the proxy");
            ports.push(own);
            let (state, stop, links) = (state.clone(), stop.clone(), links.clone());
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    let id = links.fetch_add(1, Ordering::Relaxed);
                    carry(stream, target, &name, id, &state);
                }
            });
        }
        Proxies { state, stop, ports }
    }

    /// Where each server is dialed.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// What happens to all that no way of its own has.
    pub fn everywhere(&self, faults: Faults) {
        self.state.lock().expect("the proxy").everywhere = faults;
    }

    /// What happens to what one server sends another.
    pub fn way(&self, from: &str, to: &str, faults: Faults) {
        self.state.lock().expect("the proxy").ways.insert((from.into(), to.into()), faults);
    }

    /// Is a bit still to be flipped between these?
    pub fn flips(&self, from: &str, to: &str) -> bool {
        let state = self.state.lock().expect("the proxy");
        state.ways.get(&(from.into(), to.into())).is_some_and(|f| f.flip.is_some())
    }

    /// Resets the connection that is the `n`th at the moment, modulo their number; None when there is none.
    pub fn reset(&self, n: u64) -> Option<()> {
        let mut state = self.state.lock().expect("the proxy");
        let count = state.links.len() as u64;
        let id = *state.links.keys().nth(n.checked_rem(count)? as usize)?;
        let link = state.links.remove(&id)?;
        for end in &link.ends {
            // Closed with time zero: the other side reads a reset.
            socket2::SockRef::from(end).set_linger(Some(Duration::ZERO)).ok();
            end.shutdown(Shutdown::Both).ok();
        }
        Some(())
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.ports.iter().for_each(|p| drop(TcpStream::connect(local(*p))));
        let mut state = self.state.lock().expect("the proxy");
        state.links.values().flat_map(|l| &l.ends).for_each(|end| drop(end.shutdown(Shutdown::Both)));
        state.links.clear();
    }
}

/// Joins a connection that came in with one to the server.
fn carry(dialer: TcpStream, to: SocketAddr, name: &str, id: u64, state: &Arc<Mutex<State>>) {
    let Ok(target) = TcpStream::connect_timeout(&to, CONNECT_LIMIT) else { return };
    for stream in [&dialer, &target] {
        stream.set_nodelay(true).ok();
        // A slow way is to be felt at its beginning, not to fill what is in between. But less room than some segments
        // (64 KiB on loopback), and the sender waits for a timer before each.
        socket2::SockRef::from(stream).set_recv_buffer_size(4 * CHUNK).ok();
        socket2::SockRef::from(stream).set_send_buffer_size(CHUNK).ok();
    }
    let copies = || io::Result::Ok([dialer.try_clone()?, target.try_clone()?]);
    let (Ok(ends), Ok(back)) = (copies(), copies()) else { return };
    let link = Link { ends, names: [String::new(), name.into()] };
    state.lock().expect("the proxy").links.insert(id, link);
    let [dialer_back, target_back] = back;
    for (side, from, to) in [(0, dialer, target), (1, target_back, dialer_back)] {
        let state = state.clone();
        let pump = Pump { state, id, side, rng: id.wrapping_mul(2) + side as u64 + 1, heard: Some(Vec::new()) };
        thread::spawn(move || pump.run(from, to));
    }
}

/// One direction of a connection.
struct Pump {
    state: Arc<Mutex<State>>,
    id: u64,
    /// 0: what the dialer says.
    side: usize,
    rng: u64,
    /// The beginning of what the dialer said, until it has told its name.
    heard: Option<Vec<u8>>,
}

impl Pump {
    fn run(mut self, mut from: TcpStream, mut to: TcpStream) {
        let mut chunk = vec![0; CHUNK];
        // Its own end and a failure are one: both ends are closed.
        let _ = self.pass(&mut from, &mut to, &mut chunk);
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
        self.state.lock().expect("the proxy").links.remove(&self.id);
    }

    fn pass(&mut self, from: &mut TcpStream, to: &mut TcpStream, chunk: &mut [u8]) -> io::Result<()> {
        let mut free_at = Instant::now();
        loop {
            let faults = self.faults()?;
            if faults.stall {
                thread::sleep(LOOK);
                continue;
            }
            // At a slow rate little is taken in at a time, so that no byte waits here for long.
            let most = if faults.rate > 0 { (faults.rate / 100).clamp(1, CHUNK as u64) as usize } else { CHUNK };
            let n = from.read(&mut chunk[..most])?;
            if n == 0 {
                return Ok(());
            }
            self.learn(&chunk[..n]);
            let wait = faults.delay + self.up_to(faults.jitter);
            if !wait.is_zero() {
                thread::sleep(wait);
            }
            // What was stalled while this was read waits too.
            while self.faults()?.stall {
                thread::sleep(LOOK);
            }
            self.flip(&mut chunk[..n]);
            for piece in chunk[..n].chunks(if faults.slice > 0 { faults.slice } else { n }) {
                to.write_all(piece)?;
            }
            if let Some(ns) = (n as u64 * 1_000_000_000).checked_div(faults.rate) {
                free_at = free_at.max(Instant::now()) + Duration::from_nanos(ns);
                thread::sleep(free_at.saturating_duration_since(Instant::now()));
            }
        }
    }

    /// What this direction suffers now; an error when the connection was reset.
    fn faults(&self) -> io::Result<Faults> {
        let state = self.state.lock().expect("the proxy");
        let link = state.links.get(&self.id).ok_or(io::ErrorKind::ConnectionReset)?;
        let (from, to) = (&link.names[self.side], &link.names[1 - self.side]);
        Ok(state.ways.get(&(from.clone(), to.clone())).copied().unwrap_or(state.everywhere))
    }

    /// Looks for the dialer's name.
    fn learn(&mut self, bytes: &[u8]) {
        if self.side != 0 {
            return;
        }
        let Some(heard) = &mut self.heard else { return };
        heard.extend_from_slice(bytes);
        let text = String::from_utf8_lossy(heard);
        let name =
            text.split_once("\"server_name\":\"").and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_string()));
        if let Some(name) = &name {
            if let Some(link) = self.state.lock().expect("the proxy").links.get_mut(&self.id) {
                link.names[0].clone_from(name);
            }
        }
        if name.is_some() || heard.len() > GREETING {
            self.heard = None;
        }
    }

    /// Flips a bit if this piece has the byte that is meant; never twice.
    fn flip(&mut self, piece: &mut [u8]) {
        let chance = self.next() as usize;
        let mut state = self.state.lock().expect("the proxy");
        let Some(link) = state.links.get(&self.id) else { return };
        let way = (link.names[self.side].clone(), link.names[1 - self.side].clone());
        let Some(at) = state.ways.get_mut(&way).and_then(|f| f.flip.as_mut()) else { return };
        if *at >= piece.len() as u64 {
            *at -= piece.len() as u64;
            return;
        }
        piece[*at as usize] ^= 1 << (chance % 8);
        state.ways.entry(way).and_modify(|f| f.flip = None);
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        let ns = most.as_nanos() as u64;
        Duration::from_nanos(if ns == 0 { 0 } else { self.next() % ns })
    }

    fn next(&mut self) -> u64 {
        // xorshift64* (Vigna): good enough to draw pauses.
        self.rng ^= self.rng >> 12;
        self.rng ^= self.rng << 25;
        self.rng ^= self.rng >> 27;
        self.rng.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
