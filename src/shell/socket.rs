//! How sockets are driven: readiness by epoll, non-blocking reads into one buffer per shard, plain sends. The whole
//! room has one interface, so that another way can move in when it measures better.
//!
//! One per shard, which sleeps here too.

mod private;

use super::kernel::{bound_queue_if_near, unacknowledged};
use super::tls::Session;
use crate::base::{ConnId, MILLISECOND};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use rustix::time::Timespec;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::TcpStream;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Bytes read from one socket at a time. Large on purpose: with 64 KiB a stream costs a third more.
const READ_BYTES: usize = 512 << 10;
/// The least that is read at a time where much more is written than read.
const READ_BYTES_MIN: usize = 64 << 10;
/// Events taken from the kernel at a time.
const EVENTS_MAX: usize = 256;
/// Bytes read in one turn; further readable sockets wait for the next, so that what they cause is bounded.
const TURN_READ_BYTES: usize = 1 << 20;

/// Chunks of an out-buffer that one write takes. Where a turn's output leaves in two writes instead of one, its receiver
/// is woken twice, and a stream of 1 KiB messages costs a quarter more.
const PARTS_MAX: usize = 8;
/// Whoever is sent so much at once is sent a stream: then it is worth a system call to know how far it is.
const STREAM_BYTES: usize = 64 << 10;

/// In place of a connection: the bell.
const WAKE: u64 = u64::MAX;

/// What a socket is ready for.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Which.
    pub conn: ConnId,
    /// There is something to read, or it has ended.
    pub read: bool,
    /// It takes bytes again.
    pub write: bool,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Sockets that are ready: [`Sockets::next`].
    pub sockets: bool,
    /// The bell was rung: it goes on ringing until it is read.
    pub bell: bool,
}

/// What came of a read.
pub enum Read<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// Nothing yet.
    Nothing,
    /// The peer says no more.
    Eof,
    /// It failed.
    Failed(String),
}

struct Socket {
    stream: TcpStream,
    conn: ConnId,
    reading: bool,
    writing: bool,
    /// It was sent a stream before.
    streams: bool,
    /// It speaks TLS.
    tls: Option<Box<Session>>,
}

/// See the file's head.
pub struct Sockets {
    epoll: OwnedFd,
    /// By place of the connection.
    sockets: Vec<Option<Socket>>,
    buffer: Vec<u8>,
    events: Vec<epoll::Event>,
    ready: VecDeque<Ready>,
    read_left: usize,
    /// Bytes read at a time in this turn.
    read_bytes: usize,
    /// What this turn has read and written.
    passed: (usize, usize),
    private: private::Private,
}

/// How much is read at a time after a turn that read and wrote so much. Of what goes to many, less: else its receivers have
/// nothing to do while a turn makes a great deal for them, fall asleep, and each costs a wake-up, which is dear.
fn read_bytes((read, written): (usize, usize)) -> usize {
    match written / read.max(1) {
        0 | 1 => READ_BYTES,
        copies => (READ_BYTES / copies).max(READ_BYTES_MIN),
    }
}

impl Sockets {
    /// No sockets; `wake` is polled beside them.
    ///
    /// # Errors
    /// When the system has no more file descriptors.
    pub fn new(wake: BorrowedFd<'_>) -> std::io::Result<Sockets> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let buffer = vec![0; READ_BYTES];
        let (sockets, events, ready) = (Vec::new(), Vec::with_capacity(EVENTS_MAX), VecDeque::new());
        Ok(Sockets {
            epoll,
            sockets,
            buffer,
            events,
            ready,
            read_left: 0,
            read_bytes: READ_BYTES,
            passed: (0, 0),
            private: Default::default(),
        })
    }

    /// Takes what has happened since the last look; if nothing has, waits for it so long at most (None: as long as it
    /// takes). What it says is where it was found.
    pub fn look(&mut self, patience_ns: Option<u64>) -> Look {
        self.read_left = TURN_READ_BYTES;
        self.read_bytes = read_bytes(std::mem::take(&mut self.passed));
        let mut look = Look { sockets: !self.ready.is_empty(), bell: false };
        if look.sockets {
            return look;
        }
        let patience_ns = if self.has_fresh() { Some(0) } else { patience_ns };
        self.events.clear();
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        // Whole milliseconds: with others it would be another system call, which not every sandbox knows.
        let millis = patience_ns.map(|ns| ns.div_ceil(MILLISECOND));
        let patience = millis.map(|ms| Timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as _ });
        if epoll::wait(&self.epoll, spare, patience.as_ref()).is_err() {
            return look;
        }
        for e in &self.events {
            let data = e.data.u64();
            if data == WAKE {
                look.bell = true;
                continue;
            }
            let f = e.flags;
            let end = f.intersects(EventFlags::HUP | EventFlags::ERR);
            let read = end || f.intersects(EventFlags::IN | EventFlags::RDHUP);
            let write = end || f.contains(EventFlags::OUT);
            self.ready.push_back(Ready { conn: ConnId::from_bits(data), read, write });
        }
        if self.has_fresh() {
            self.say_fresh();
        }
        look.sockets = !self.ready.is_empty();
        look
    }

    /// The next socket that is ready; None: none, or this turn has read enough.
    pub fn next(&mut self) -> Option<Ready> {
        if self.read_left == 0 {
            return None;
        }
        self.ready.pop_front()
    }

    /// Forgets what was ready: it will be said again.
    pub fn skip(&mut self) {
        self.ready.clear();
    }

    /// Takes a socket in.
    ///
    /// # Errors
    /// When the kernel will not poll it.
    pub fn add(&mut self, conn: ConnId, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nonblocking(true)?;
        // The server's own connection is no TCP, and never waits to be sent.
        if let Err(e) = stream.set_nodelay(true).map_err(|e| (e.raw_os_error(), e)) {
            if e.0 != Some(libc::EOPNOTSUPP) {
                return Err(e.1);
            }
        }
        epoll::add(&self.epoll, &stream, EventData::new_u64(conn.to_bits()), EventFlags::IN)?;
        let place = conn.place() as usize;
        if self.sockets.len() <= place {
            self.sockets.resize_with(place + 1, || None);
        }
        self.sockets[place] = Some(Socket { stream, conn, reading: true, writing: false, streams: false, tls: None });
        Ok(())
    }

    fn get(&mut self, conn: ConnId) -> Option<&mut Socket> {
        self.sockets.get_mut(conn.place() as usize)?.as_mut().filter(|s| s.conn == conn)
    }

    fn watch(&mut self, conn: ConnId, change: impl FnOnce(&mut Socket)) {
        let Some(s) = self.get(conn) else { return };
        let before = (s.reading, s.writing);
        change(s);
        if before == (s.reading, s.writing) {
            return;
        }
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, s.reading);
        flags.set(EventFlags::OUT, s.writing);
        let place = conn.place() as usize;
        if let Some(Some(s)) = self.sockets.get(place) {
            // It fails only for a descriptor that is not there, and this one is.
            let _ = epoll::modify(&self.epoll, &s.stream, EventData::new_u64(conn.to_bits()), flags);
        }
    }

    /// Reads a socket again, or no longer.
    pub fn read_on(&mut self, conn: ConnId, on: bool) {
        self.watch(conn, |s| s.reading = on);
    }

    /// Reads what is there, once, and `most` bytes of it.
    pub fn read(&mut self, conn: ConnId, most: usize) -> Read<'_> {
        let Some(Some(s)) =
            self.sockets.get(conn.place() as usize).filter(|s| s.as_ref().is_some_and(|s| s.conn == conn))
        else {
            return Read::Nothing;
        };
        if s.tls.is_some() {
            return self.read_private(conn, most);
        }
        let most = most.min(self.read_bytes);
        match rustix::net::recv(&s.stream, &mut self.buffer[..most], RecvFlags::DONTWAIT) {
            Ok((0, _)) => Read::Eof,
            Ok((n, _)) => {
                self.read_left = self.read_left.saturating_sub(n);
                self.passed.0 += n;
                Read::Bytes(&self.buffer[..n])
            }
            Err(Errno::AGAIN | Errno::INTR) => Read::Nothing,
            Err(e) => Read::Failed(format!("read: {}", std::io::Error::from(e))),
        }
    }

    /// Writes `bytes` and what is `behind` them: how many bytes were taken, 0 if the socket takes none now.
    ///
    /// # Errors
    /// What the system says.
    pub fn write<'b>(
        &mut self,
        conn: ConnId,
        bytes: &'b [u8],
        behind: impl Iterator<Item = &'b [u8]>,
    ) -> Result<usize, String> {
        const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
        let Some(s) = self.get(conn) else { return Ok(0) };
        if s.tls.is_some() {
            return self.write_private(conn, bytes, behind);
        }
        let mut parts = [IoSlice::new(&[]); PARTS_MAX];
        let mut n = 0;
        for part in [bytes].into_iter().chain(behind).take(PARTS_MAX) {
            parts[n] = IoSlice::new(part);
            n += 1;
        }
        let sent = match &parts[..n] {
            [only] => rustix::net::send(&s.stream, only, FLAGS),
            parts => rustix::net::sendmsg(&s.stream, parts, &mut SendAncillaryBuffer::default(), FLAGS),
        };
        match sent {
            Ok(n) => {
                if n >= STREAM_BYTES && !s.streams {
                    s.streams = true;
                    bound_queue_if_near(&s.stream);
                }
                self.passed.1 += n;
                Ok(n)
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => {
                self.watch(conn, |s| s.writing = true);
                Ok(0)
            }
            Err(e) => Err(format!("write: {}", std::io::Error::from(e))),
        }
    }

    /// The socket took bytes again: no longer watched for that.
    pub fn written_again(&mut self, conn: ConnId) {
        if self.write_answers(conn) {
            self.watch(conn, |s| s.writing = false);
        }
    }

    /// Shuts the sending side.
    pub fn finish(&mut self, conn: ConnId) {
        self.say_goodbye(conn);
        if let Some(s) = self.get(conn) {
            let _ = rustix::net::shutdown(&s.stream, Shutdown::Write);
        }
    }

    /// Bytes written that the peer's system has not acknowledged; None where it cannot be known.
    pub fn unacked(&mut self, conn: ConnId) -> Option<u64> {
        let s = self.get(conn)?;
        unacknowledged(&s.stream).ok()
    }

    /// Gives a socket away; what makes it private is forgotten.
    pub fn take(&mut self, conn: ConnId) -> Option<TcpStream> {
        self.get(conn)?;
        let Socket { stream, .. } = self.sockets[conn.place() as usize].take()?;
        // It fails only for a descriptor that is not in the set, and this one is.
        let _ = epoll::delete(&self.epoll, &stream);
        Some(stream)
    }

    /// Closes a socket. False: there was none.
    pub fn close(&mut self, conn: ConnId) -> bool {
        let known = self.get(conn).is_some();
        if known {
            // Closing takes it out of epoll; nobody else holds the descriptor.
            self.sockets[conn.place() as usize] = None;
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_many_is_read_in_smaller_pieces() {
        for (passed, bytes) in [
            ((0, 0), READ_BYTES),
            ((1000, 0), READ_BYTES),
            ((1000, 1900), READ_BYTES),
            ((1000, 2000), READ_BYTES / 2),
            ((1000, 5000), READ_BYTES / 5),
            ((1000, 1_000_000), READ_BYTES_MIN),
            ((0, 1_000_000), READ_BYTES_MIN),
        ] {
            assert_eq!(read_bytes(passed), bytes, "{passed:?}");
        }
    }
}
