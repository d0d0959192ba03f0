//! One connection to the server under test: dialled blocking, then driven without blocking by the generator's loop.
//! Used by every row.

use super::{
    fault::Fault,
    scan::{Heed, Scan},
    wire::Wire,
};
use mio::{Interest, Registry, Token};
use rustls::ClientConfig;
use serde::Deserialize;
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a server may take to answer a greeting or a PING.
const ANSWER: Duration = Duration::from_secs(30);

/// How long interest may take from one server to another.
const SPREAD: Duration = Duration::from_secs(120);

/// Where the server is and how to sign in.
#[derive(Clone, Debug)]
pub struct Server {
    /// `host:port`.
    pub address: String,
    /// Where subscribers connect instead: another server of its cluster.
    pub to: Option<String>,
    /// User name, for a server that asks for one.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// Token, for a server that asks for one.
    pub token: Option<String>,
    /// How TLS is spoken, if it is.
    pub tls: Option<Arc<ClientConfig>>,
}

/// What the bench wants to know of INFO (client-protocol.md, "INFO").
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Info {
    /// The NATS version that the server says it is.
    pub version: String,
    /// The server's own version, if it is a Turnpike.
    pub turnpike: Option<String>,
    /// What the server calls itself.
    pub server_name: Option<String>,
    /// The largest payload in bytes.
    pub max_payload: Option<u64>,
}

/// A connection that has been greeted and is still blocking.
pub struct Dialled {
    stream: Wire<TcpStream>,
    scan: Scan,
    /// What the server said of itself.
    pub info: Info,
}

impl Server {
    /// Where clients connect.
    pub fn addresses(&self) -> Vec<String> {
        std::iter::once(&self.address).chain(&self.to).cloned().collect()
    }

    /// The server that subscribers connect to.
    pub fn of_subscribers(&self) -> Server {
        Server { address: self.to.clone().unwrap_or_else(|| self.address.clone()), to: None, ..self.clone() }
    }
}

impl Dialled {
    /// Connects, signs in and waits for the PONG that says that the server has taken it.
    pub fn new(server: &Server) -> Result<Dialled, Fault> {
        let lost = |source| Fault::Unreachable { address: server.address.clone(), source };
        let mut stream = TcpStream::connect(&server.address).map_err(lost)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        let (info, rest) = greeting(&mut stream)?;
        let mut stream = Wire::plain(stream);
        if let Some(config) = &server.tls {
            stream.secure(config, &server.address)?;
        }
        let mut dialled = Dialled { stream, scan: Scan::default(), info };
        dialled.scan.feed(&rest, &mut ())?;
        dialled.send(connect(server).as_bytes())?;
        dialled.barrier()?;
        Ok(dialled)
    }

    /// Sends all of `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.stream.write_all(bytes).map_err(|e| {
            // the reason, if the server gave one, is still to be read
            let _ = self.read();
            self.scan.error.take().map_or(Fault::Io(e), |said| Fault::Closed(Some(said)))
        })
    }

    /// Sends PING and waits for its PONG: the server has done all that was sent before.
    pub fn barrier(&mut self) -> Result<(), Fault> {
        let due = self.scan.pongs + 1;
        self.send(b"PING\r\n")?;
        while self.scan.pongs < due {
            self.read()?;
        }
        Ok(())
    }

    /// Waits until `other`, a connection to another server, reaches what this one has subscribed to: a subject of its
    /// own, which is told after all before it, is published to there until a message comes.
    pub fn known_at(&mut self, other: &mut Dialled) -> Result<(), Fault> {
        let subject = format!("bench.known.{}", self.stream.socket.local_addr()?.port());
        self.send(format!("SUB {subject} known\r\n").as_bytes())?;
        self.barrier()?;
        let (before, begun) = (self.scan.messages, Instant::now());
        while self.scan.messages == before {
            if begun.elapsed() > SPREAD {
                return Err(Fault::Asked(format!("the other server does not know of a subscription after {SPREAD:?}")));
            }
            other.send(format!("PUB {subject} 0\r\n\r\n").as_bytes())?;
            other.barrier()?;
            self.barrier()?;
        }
        self.send(b"UNSUB known\r\n")?;
        self.barrier()?;
        self.scan.messages = 0;
        Ok(())
    }

    fn read(&mut self) -> Result<(), Fault> {
        let mut part = [0; 4096];
        let n = match self.stream.read(&mut part) {
            Ok(0) => return Err(Fault::Closed(self.scan.error.take())),
            Ok(n) => n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(Fault::Silent(ANSWER))
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return Err(Fault::Closed(self.scan.error.take())),
            Err(e) => return Err(e.into()),
        };
        self.scan.feed(&part[..n], &mut ())?;
        for _ in 0..std::mem::take(&mut self.scan.pings) {
            self.send(b"PONG\r\n")?;
        }
        Ok(())
    }

    /// Hands the connection to the loop behind `registry`, which knows it as number `index`.
    pub fn watched(self, registry: &Registry, index: usize) -> Result<Link, Fault> {
        self.stream.socket.set_nonblocking(true)?;
        let mut stream = self.stream.moved(mio::net::TcpStream::from_std);
        registry.register(&mut stream.socket, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Link { stream, scan: self.scan, owed: Vec::new(), readable: true, writable: true })
    }
}

/// Reads the INFO line; what came behind it is returned too.
fn greeting(stream: &mut TcpStream) -> Result<(Info, Vec<u8>), Fault> {
    let (mut got, mut part) = (Vec::new(), [0; 4096]);
    let end = loop {
        if let Some(end) = memchr::memchr(b'\n', &got) {
            break end + 1;
        }
        match stream.read(&mut part) {
            Ok(0) if got.starts_with(b"-ERR ") => {
                return Err(Fault::Closed(Some(String::from_utf8_lossy(&got[5..]).into())))
            }
            Ok(0) => return Err(Fault::Closed(None)),
            Ok(n) => got.extend_from_slice(&part[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(Fault::Silent(ANSWER))
            }
            Err(e) => return Err(e.into()),
        }
        if got.len() > 1 << 20 {
            return Err(Fault::garbled(&got));
        }
    };
    if let Some(said) = got[..end].strip_prefix(b"-ERR") {
        return Err(Fault::Closed(Some(String::from_utf8_lossy(said.trim_ascii()).into())));
    }
    let json = got[..end].strip_prefix(b"INFO ").ok_or_else(|| Fault::garbled(&got))?;
    let info = serde_json::from_slice(json).map_err(|_| Fault::garbled(&got))?;
    Ok((info, got[end..].to_vec()))
}

fn connect(server: &Server) -> String {
    let mut options = serde_json::json!({
        "verbose": false, "pedantic": false, "lang": "turnpike-bench", "version": crate::TURNPIKE_VERSION,
        "protocol": 1, "echo": true, "headers": true,
    });
    for (key, value) in [("user", &server.user), ("pass", &server.password), ("auth_token", &server.token)] {
        if let Some(value) = value {
            options[key] = value.clone().into();
        }
    }
    format!("CONNECT {options}\r\n")
}

/// A connection of the loop. Readiness is told once per change, so the link remembers it until a call would block.
pub struct Link {
    stream: Wire<mio::net::TcpStream>,
    /// What has come in.
    pub scan: Scan,
    /// Control lines and small messages that are due; they go before anything else.
    owed: Vec<u8>,
    readable: bool,
    writable: bool,
}

impl Link {
    /// Something has happened on the socket.
    pub fn wake(&mut self, event: &mio::event::Event) {
        self.readable |= event.is_readable() || event.is_error() || event.is_read_closed();
        self.writable |= event.is_writable();
        // What is amiss is found by the next read.
        let _ = self.stream.settle();
    }

    /// True while a read may find something.
    pub fn readable(&self) -> bool {
        self.readable
    }

    /// True while a write may take something.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// Reads once, counts what came and shows it to `heed`, answers PINGs when `whole` (nothing of the link's own is half
    /// sent). Says how many bytes came.
    pub fn pull<H: Heed>(&mut self, buffer: &mut [u8], whole: bool, heed: &mut H) -> Result<usize, Fault> {
        let n = match self.stream.read(buffer) {
            Ok(0) => return Err(Fault::Closed(self.scan.error.take())),
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(0),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return Err(Fault::Closed(self.scan.error.take())),
            Err(e) => return Err(e.into()),
        };
        self.readable = if self.stream.tells() { n == buffer.len() } else { n > 0 };
        heed.arrived();
        self.scan.feed(&buffer[..n], heed)?;
        if whole {
            self.answer_pings()?;
        }
        Ok(n)
    }

    /// Answers the PINGs that have come; only between two messages of this link.
    pub fn answer_pings(&mut self) -> Result<(), Fault> {
        for _ in 0..std::mem::take(&mut self.scan.pings) {
            self.owe(b"PONG\r\n")?;
        }
        Ok(())
    }

    /// Sends a small thing whole, now or as soon as the socket takes it; only between two messages of this link.
    pub fn owe(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.owed.extend_from_slice(bytes);
        self.settle()
    }

    /// Sends what is owed as far as the socket takes it; true if nothing is left.
    pub fn paid(&mut self) -> Result<bool, Fault> {
        self.settle()?;
        Ok(self.owed.is_empty())
    }

    fn settle(&mut self) -> Result<(), Fault> {
        while self.writable && !self.owed.is_empty() {
            let n = Link::write(&mut self.stream, &mut self.writable, &mut self.scan, &self.owed)?;
            self.owed.drain(..n);
        }
        Ok(())
    }

    /// Sends as much of `bytes` as the socket takes, and says how much. Nothing may be owed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        debug_assert!(self.owed.is_empty());
        Link::write(&mut self.stream, &mut self.writable, &mut self.scan, bytes)
    }

    fn write(
        to: &mut Wire<mio::net::TcpStream>,
        writable: &mut bool,
        scan: &mut Scan,
        bytes: &[u8],
    ) -> Result<usize, Fault> {
        match to.write(bytes) {
            Ok(n) => {
                *writable = !to.tells() || n == bytes.len();
                Ok(n)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                *writable = false;
                Ok(0)
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(0),
            Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                // the reason, if the server gave one, is still to be read
                let mut last = [0; 4096];
                if let Ok(n) = to.read(&mut last) {
                    scan.feed(&last[..n], &mut ())?;
                }
                Err(Fault::Closed(scan.error.take()))
            }
            Err(e) => Err(e.into()),
        }
    }
}
