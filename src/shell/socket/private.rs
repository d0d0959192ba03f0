//! Sockets that speak TLS: what comes is opened before the shard sees it, what it says is sealed before it leaves, in one
//! write. Nothing is kept for a connection but a record that came in part, or that the socket did not take.

use super::{Read, Ready, Sockets};
use crate::base::ConnId;
use crate::shell::tls::{Sealed, Session};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::net::TcpStream;

/// Plain bytes sealed at a time: what is not taken of them is kept.
const SEAL_BYTES: usize = 256 << 10;
/// The longest record, and a little more.
const RECORD_BYTES: usize = 17 << 10;
const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// What a shard's private sockets share.
#[derive(Default)]
pub(super) struct Private {
    plain: Vec<u8>,
    sealed: Sealed,
    /// Those with something that was read and not opened yet, of which the kernel says nothing.
    fresh: Vec<ConnId>,
}

impl Sockets {
    /// This socket is private from now on.
    pub fn secure(&mut self, conn: ConnId, session: Box<Session>) {
        if session.fresh {
            self.private.fresh.push(conn);
        }
        let waits = !session.unsent.is_empty();
        if let Some(s) = self.get(conn) {
            s.tls = Some(session);
        }
        if waits {
            self.watch(conn, |s| s.writing = true);
        }
    }

    /// Is there anything to be read that the kernel does not know of?
    pub(super) fn has_fresh(&self) -> bool {
        !self.private.fresh.is_empty()
    }

    /// Says that it is ready.
    pub(super) fn say_fresh(&mut self) {
        let mut fresh = std::mem::take(&mut self.private.fresh);
        fresh.retain(|&conn| {
            let found = self.get(conn).map(|s| (s.reading, s.tls.as_ref().is_some_and(|t| t.fresh)));
            if found == Some((true, true)) {
                self.ready.push_back(Ready { conn, read: true, write: false });
            }
            found.is_some_and(|(_, fresh)| fresh)
        });
        self.private.fresh = fresh;
    }

    /// Reads what is there, once, and opens it; `most` bytes of that are said now.
    pub(super) fn read_private(&mut self, conn: ConnId, most: usize) -> Read<'_> {
        let Sockets { sockets, buffer, private, read_left, passed, read_bytes, .. } = self;
        let Private { plain, sealed, fresh } = private;
        let found = sockets.get_mut(conn.place() as usize).and_then(Option::as_mut);
        let Some((stream, session)) = found.and_then(|s| Some((&s.stream, s.tls.as_mut()?))) else {
            return Read::Nothing;
        };
        plain.clear();
        if !session.early.is_empty() {
            let n = most.min(session.early.len());
            plain.extend(session.early.drain(..n));
            return Read::Bytes(plain);
        }
        if session.closed {
            session.fresh = false;
            return Read::Eof;
        }
        let kept = session.rest.len();
        buffer[..kept].copy_from_slice(&session.rest);
        // Of who may say only little not more than a record.
        let end = kept.saturating_add(most.max(RECORD_BYTES)).min(*read_bytes);
        let n = match rustix::net::recv(stream, &mut buffer[kept..end], RecvFlags::DONTWAIT) {
            Ok((0, _)) if !session.fresh => return Read::Eof,
            Ok((n, _)) => n,
            Err(Errno::AGAIN | Errno::INTR) if session.fresh => 0,
            Err(Errno::AGAIN | Errno::INTR) => return Read::Nothing,
            Err(e) => return Read::Failed(format!("read: {}", std::io::Error::from(e))),
        };
        *read_left = read_left.saturating_sub(n);
        passed.0 += n;
        let filled = kept + n;
        session.early = Vec::new();
        session.fresh = false;
        sealed.clear();
        let opened = session.open(&mut buffer[..filled], plain, sealed);
        answer(stream, session, sealed.bytes());
        match opened {
            Ok(used) => {
                // Nothing is owned while nothing waits.
                session.rest = buffer[used..filled].to_vec();
                if plain.len() > most {
                    session.early = plain.split_off(most);
                }
                if session.closed || !session.early.is_empty() {
                    session.fresh = true;
                    if !fresh.contains(&conn) {
                        fresh.push(conn);
                    }
                }
                if plain.is_empty() {
                    Read::Nothing
                } else {
                    Read::Bytes(plain)
                }
            }
            Err(e) => Read::Failed(format!("read: tls: {e}")),
        }
    }

    /// Seals and writes: how many plain bytes are written with all that they became, 0 if the socket takes none now.
    pub(super) fn write_private<'b>(
        &mut self,
        conn: ConnId,
        bytes: &'b [u8],
        behind: impl Iterator<Item = &'b [u8]>,
    ) -> Result<usize, String> {
        let Sockets { sockets, private, passed, .. } = self;
        let found = sockets.get_mut(conn.place() as usize).and_then(Option::as_mut);
        let Some((stream, session)) = found.and_then(|s| Some((&s.stream, s.tls.as_mut()?))) else { return Ok(0) };
        // What is under way goes first; it may be only an answer of TLS's own.
        while !session.unsent.is_empty() {
            let Some(n) = send(stream, &session.unsent)? else {
                self.watch(conn, |s| s.writing = true);
                return Ok(0);
            };
            passed.1 += n;
            let written = session.took(n);
            if written > 0 {
                return Ok(written);
            }
        }
        let sealed = &mut private.sealed;
        sealed.clear();
        let mut length = 0;
        for part in [bytes].into_iter().chain(behind) {
            let part = &part[..part.len().min(SEAL_BYTES - length)];
            session.seal(part, sealed).map_err(|e| format!("write: tls: {e}"))?;
            length += part.len();
            if length == SEAL_BYTES {
                break;
            }
        }
        let all = sealed.bytes();
        let n = send(stream, all)?.unwrap_or(0);
        passed.1 += n;
        if n == all.len() {
            return Ok(length);
        }
        (session.promised, session.whole, session.told) = (length, all.len(), 0);
        session.unsent = all.to_vec();
        let written = session.took(n);
        if written == 0 {
            self.watch(conn, |s| s.writing = true);
        }
        Ok(written)
    }

    /// Writes what TLS has to say by itself. True: nothing of it is left.
    pub(super) fn write_answers(&mut self, conn: ConnId) -> bool {
        let Some(s) = self.get(conn) else { return true };
        let Some(session) = s.tls.as_mut().filter(|t| t.promised == 0) else { return true };
        while !session.unsent.is_empty() {
            match send(&s.stream, &session.unsent) {
                Ok(Some(n)) => drop(session.took(n)),
                Ok(None) => return false,
                // The next read finds it.
                Err(_) => return true,
            }
        }
        true
    }

    /// The last record.
    pub(super) fn say_goodbye(&mut self, conn: ConnId) {
        let Sockets { sockets, private, .. } = self;
        let found = sockets.get_mut(conn.place() as usize).and_then(Option::as_mut);
        if let Some((stream, session)) = found.and_then(|s| Some((&s.stream, s.tls.as_mut()?))) {
            private.sealed.clear();
            session.say_goodbye(&mut private.sealed);
            answer(stream, session, private.sealed.bytes());
        }
    }
}

/// None: the socket takes nothing now.
fn send(stream: &TcpStream, bytes: &[u8]) -> Result<Option<usize>, String> {
    match rustix::net::send(stream, bytes, FLAGS) {
        Ok(n) => Ok(Some(n)),
        Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Ok(None),
        Err(e) => Err(format!("write: {}", std::io::Error::from(e))),
    }
}

/// What TLS says by itself goes behind what is under way; what is not taken waits for the next write.
fn answer(stream: &TcpStream, session: &mut Session, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let sent = match session.unsent.is_empty() {
        true => send(stream, bytes).ok().flatten().unwrap_or(0),
        false => 0,
    };
    if sent < bytes.len() {
        session.unsent.extend_from_slice(&bytes[sent..]);
        session.whole += bytes.len() - sent;
    }
}
