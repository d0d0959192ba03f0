//! The sockets of connections that are no routes yet. They say little: a `Vec` each for what waits to be written.

use crate::base::Cid;
use crate::shell::rings::Link;
use crate::shell::tls::{Sealed, Session};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// The bell and the listeners, where else the number of a connection stands; those are counted up from 1.
const BELL: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;
const GATEWAY_LISTENER: u64 = u64::MAX - 2;
/// Read from one connection at a time: greetings are a few hundred bytes.
const READ_BYTES: usize = 16 << 10;

/// Taken from the system at a time.
const EVENTS: usize = 64;

/// What happened.
pub(super) enum Happened {
    /// Somebody knocks at the route listener.
    Incoming,
    /// Somebody knocks at the gateway listener.
    IncomingGateway,
    /// Bytes came.
    Bytes(Cid, Vec<u8>),
    /// The connection ended, and why.
    Lost(Cid, String),
}

/// What is read from an ended connection, and thrown away, so that its peer reads our last words and not a reset.
const LINGER: Duration = Duration::from_millis(500);

/// What becomes of a connection once everything is written.
enum Then {
    Stay,
    Close,
    /// It was shut then; what still comes is thrown away.
    Linger(Instant),
    Give(Box<dyn FnOnce(Link) + Send>),
}

struct Socket {
    stream: TcpStream,
    out: Vec<u8>,
    then: Then,
    /// What makes it private.
    tls: Option<Box<Session>>,
}

/// See the file's head.
pub(super) struct Sockets {
    epoll: OwnedFd,
    bell: OwnedFd,
    all: BTreeMap<Cid, Socket>,
    buffer: Vec<u8>,
    sealed: Sealed,
}

impl Sockets {
    /// None yet; `bell` and the listeners of routes and of gateways are watched beside them.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub(super) fn new(
        bell: &OwnedFd,
        routes: Option<&TcpListener>,
        gateways: Option<&TcpListener>,
    ) -> std::io::Result<Sockets> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, bell, EventData::new_u64(BELL), EventFlags::IN)?;
        for (listener, number) in [(routes, LISTENER), (gateways, GATEWAY_LISTENER)] {
            let Some(listener) = listener else { continue };
            listener.set_nonblocking(true)?;
            epoll::add(&epoll, listener, EventData::new_u64(number), EventFlags::IN)?;
        }
        let buffer = vec![0; READ_BYTES];
        Ok(Sockets { epoll, bell: bell.try_clone()?, all: BTreeMap::new(), buffer, sealed: Sealed::default() })
    }

    /// Takes a connection in. If it is private, [`Sockets::early`] may follow.
    ///
    /// # Errors
    /// When the system will not watch it.
    pub(super) fn add(&mut self, link: Cid, stream: TcpStream, tls: Option<Box<Session>>) -> std::io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        epoll::add(&self.epoll, &stream, EventData::new_u64(link.0), EventFlags::IN)?;
        let mut socket = Socket { stream, out: Vec::new(), then: Then::Stay, tls };
        if let Some(session) = &mut socket.tls {
            socket.out = std::mem::take(&mut session.unsent);
            session.whole = 0;
        }
        self.all.insert(link, socket);
        self.flush(link);
        Ok(())
    }

    /// What came with the end of the handshake.
    pub(super) fn early(&mut self, link: Cid) -> Option<Happened> {
        let fresh = self.all.get(&link)?.tls.as_ref()?.fresh;
        fresh.then(|| self.open(link, 0)).flatten()
    }

    /// Opens what was read into the buffer behind the rest of what came before.
    fn open(&mut self, link: Cid, read: usize) -> Option<Happened> {
        let socket = self.all.get_mut(&link)?;
        let session = socket.tls.as_mut()?;
        let mut incoming = std::mem::take(&mut session.rest);
        incoming.extend_from_slice(&self.buffer[..read]);
        let mut plain = std::mem::take(&mut session.early);
        self.sealed.clear();
        session.fresh = false;
        let opened = session.open(&mut incoming, &mut plain, &mut self.sealed);
        socket.out.extend_from_slice(self.sealed.bytes());
        let leaving = !matches!(socket.then, Then::Stay);
        match opened {
            Ok(used) => session.rest = incoming.split_off(used),
            Err(e) => {
                self.flush(link);
                self.all.remove(&link);
                return (!leaving).then(|| Happened::Lost(link, format!("tls: {e}")));
            }
        }
        let closed = session.closed;
        self.flush(link);
        if plain.is_empty() && closed {
            self.all.remove(&link);
            return (!leaving).then(|| Happened::Lost(link, "the peer closed it".to_owned()));
        }
        (!leaving && !plain.is_empty()).then_some(Happened::Bytes(link, plain))
    }

    /// Waits until something happens, or for so many nanoseconds.
    pub(super) fn wait(&mut self, patience_ns: Option<u64>) -> Vec<Happened> {
        let lingers = self.all.values().any(|s| matches!(s.then, Then::Linger(_)));
        self.all.retain(|_, s| !matches!(s.then, Then::Linger(since) if since.elapsed() > LINGER));
        let patience_ns =
            if lingers { Some(patience_ns.unwrap_or(u64::MAX).min(LINGER.as_nanos() as u64)) } else { patience_ns };
        let patience = patience_ns.map(|ns| Timespec {
            tv_sec: (ns / 1_000_000_000) as i64,
            // Rounded up to a millisecond, or the last one would be spent turning round.
            tv_nsec: ((ns % 1_000_000_000).max(1_000_000)) as _,
        });
        let mut events = Vec::with_capacity(EVENTS);
        let spare = rustix::buffer::spare_capacity(&mut events);
        if epoll::wait(&self.epoll, spare, patience.as_ref()).is_err() {
            return Vec::new();
        }
        events.iter().filter_map(|e: &epoll::Event| self.look(e.data.u64(), e.flags)).collect()
    }

    fn look(&mut self, who: u64, flags: EventFlags) -> Option<Happened> {
        match who {
            BELL => {
                let _ = rustix::io::read(&self.bell, &mut [0u8; 8]);
                None
            }
            LISTENER => Some(Happened::Incoming),
            GATEWAY_LISTENER => Some(Happened::IncomingGateway),
            number => {
                let link = Cid(number);
                if let Some(Socket { then: Then::Give(_), out, .. }) = self.all.get_mut(&link) {
                    if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
                        out.clear(); // its new owner will see that it has ended
                    }
                    self.flush(link);
                    return None;
                }
                if flags.contains(EventFlags::OUT) {
                    self.flush(link);
                }
                match flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    true => self.read(link),
                    false => None,
                }
            }
        }
    }

    fn read(&mut self, link: Cid) -> Option<Happened> {
        let socket = self.all.get_mut(&link)?;
        let read = rustix::net::recv(&socket.stream, &mut self.buffer[..], RecvFlags::DONTWAIT);
        let leaving = !matches!(socket.then, Then::Stay);
        match read {
            Ok((n, _)) if n > 0 && socket.tls.is_some() => self.open(link, n),
            Ok((n, _)) if n > 0 => (!leaving).then(|| Happened::Bytes(link, self.buffer[..n].to_vec())),
            Err(Errno::AGAIN | Errno::INTR) => None,
            end => {
                self.all.remove(&link);
                let why = match end {
                    Ok(_) => "the peer closed it".to_owned(),
                    Err(e) => std::io::Error::from(e).to_string(),
                };
                (!leaving).then_some(Happened::Lost(link, why))
            }
        }
    }

    /// Writes, now or as soon as the socket takes bytes.
    pub(super) fn write(&mut self, link: Cid, bytes: &[u8]) {
        if let Some(socket) = self.all.get_mut(&link) {
            match &mut socket.tls {
                None => socket.out.extend_from_slice(bytes),
                Some(session) => {
                    self.sealed.clear();
                    // What cannot be sealed is lost with the connection, which the next read finds at its end.
                    if session.seal(bytes, &mut self.sealed).is_err() {
                        let _ = socket.stream.shutdown(Shutdown::Both);
                    }
                    socket.out.extend_from_slice(self.sealed.bytes());
                }
            }
            self.flush(link);
        }
    }

    /// Closes a connection when all is written.
    pub(super) fn close(&mut self, link: Cid) {
        self.then(link, Then::Close);
    }

    /// Gives a connection away when all is written.
    pub(super) fn give(&mut self, link: Cid, to: impl FnOnce(Link) + Send + 'static) {
        self.then(link, Then::Give(Box::new(to)));
    }

    fn then(&mut self, link: Cid, then: Then) {
        if let Some(socket) = self.all.get_mut(&link) {
            socket.then = then;
            self.flush(link);
        }
    }

    fn flush(&mut self, link: Cid) {
        let Some(socket) = self.all.get_mut(&link) else { return };
        while !socket.out.is_empty() {
            match rustix::net::send(&socket.stream, &socket.out, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(n) => drop(socket.out.drain(..n)),
                Err(Errno::AGAIN | Errno::INTR) => break,
                // Reading says why.
                Err(_) => socket.out.clear(),
            }
        }
        let done = socket.out.is_empty();
        if done && matches!(socket.then, Then::Give(_)) {
            let Some(Socket { stream, then: Then::Give(to), mut tls, .. }) = self.all.remove(&link) else { return };
            let _ = epoll::delete(&self.epoll, &stream);
            tls.iter_mut().for_each(|t| t.fresh = !t.rest.is_empty() || t.closed);
            return to((stream, tls));
        }
        if done && matches!(socket.then, Then::Close) {
            let _ = socket.stream.shutdown(Shutdown::Write);
            socket.then = Then::Linger(Instant::now());
        }
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, matches!(socket.then, Then::Stay | Then::Linger(_)));
        flags.set(EventFlags::OUT, !done);
        let _ = epoll::modify(&self.epoll, socket.stream.as_fd(), EventData::new_u64(link.0), flags);
    }
}
