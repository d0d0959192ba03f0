//! One private connection after its handshake, and during it: bytes from the peer become plain ones, plain ones become
//! records. It owns no buffers while nothing is under way; what is opened and sealed goes through its shard's.

use crate::base::limits::TLS_REST_BYTES_MAX;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{CommonState, Error};

/// What a record may add to 16 KiB of plain text, bytes; generous.
const OVERHEAD: usize = 64;
/// Plain text of one record.
const RECORD: usize = 16 << 10;

/// Records to be sent: a buffer that is filled in place and kept.
#[derive(Debug, Default)]
pub struct Sealed {
    bytes: Vec<u8>,
    length: usize,
}

impl Sealed {
    /// What is to be sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Nothing, any more.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    fn room(&mut self, n: usize) -> &mut [u8] {
        let end = self.length + n;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.length..end]
    }
}

/// Which end of it is ours.
enum End {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// See the file's head.
pub struct Session {
    end: End,
    /// Came from the peer, and is no whole record yet.
    pub rest: Vec<u8>,
    /// Plain text that came with the end of the handshake.
    pub early: Vec<u8>,
    /// There may be something in these two without a word from the socket.
    pub fresh: bool,
    /// The peer says no more.
    pub closed: bool,
    /// Records that the socket did not take, and what is known of them.
    pub unsent: Vec<u8>,
    /// Bytes of plain text in all records under way.
    pub promised: usize,
    /// Bytes of these records.
    pub whole: usize,
    /// Plain text of it that was said to be written.
    pub told: usize,
    /// The peer broke the rules: rustls is not asked again.
    failed: bool,
}

/// One step of rustls, whichever end is ours.
trait Machine {
    type Data;
    fn step<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Machine for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn step<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, ServerConnectionData> {
        self.process_tls_records(incoming)
    }
}

impl Machine for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn step<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, ClientConnectionData> {
        self.process_tls_records(incoming)
    }
}

impl From<UnbufferedServerConnection> for Session {
    fn from(end: UnbufferedServerConnection) -> Session {
        Session::of(End::Server(end))
    }
}

impl From<UnbufferedClientConnection> for Session {
    fn from(end: UnbufferedClientConnection) -> Session {
        Session::of(End::Client(end))
    }
}

impl Session {
    fn of(end: End) -> Session {
        let (rest, early, unsent) = (Vec::new(), Vec::new(), Vec::new());
        Session { end, rest, early, fresh: false, closed: false, unsent, promised: 0, whole: 0, told: 0, failed: false }
    }

    /// What rustls knows of it.
    pub fn state(&self) -> &CommonState {
        match &self.end {
            End::Server(c) => c,
            End::Client(c) => c,
        }
    }

    /// Opens what came, which begins with `rest`: plain text goes behind `plain`, what is to be answered behind `out`. Says
    /// how many bytes of `incoming` are done with; the others are no whole record, or part of a message of TLS's own, and
    /// are to be `rest` before anything is sealed.
    ///
    /// # Errors
    /// The peer broke the rules; `out` holds what it is to be told.
    pub fn open(&mut self, incoming: &mut [u8], plain: &mut Vec<u8>, out: &mut Sealed) -> Result<usize, Error> {
        if self.failed {
            return Err(Error::HandshakeNotComplete);
        }
        let opened = match &mut self.end {
            End::Server(c) => open(c, incoming, plain, out),
            End::Client(c) => open(c, incoming, plain, out),
        };
        self.failed = opened.is_err();
        let (used, closed) = opened?;
        self.closed |= closed;
        if incoming.len() - used > TLS_REST_BYTES_MAX && !self.state().is_handshaking() {
            self.failed = true;
            return Err(Error::General("a message of TLS's own is too long".into()));
        }
        Ok(used)
    }

    /// Seals `plain` behind `out`.
    ///
    /// # Errors
    /// The keys are worn out, or the connection has failed before.
    pub fn seal(&mut self, plain: &[u8], out: &mut Sealed) -> Result<(), String> {
        self.seal_or_end(Some(plain), out)
    }

    /// The last record: nothing more will come.
    pub fn say_goodbye(&mut self, out: &mut Sealed) {
        // Who cannot be told any more is not.
        let _ = self.seal_or_end(None, out);
    }

    fn seal_or_end(&mut self, plain: Option<&[u8]>, out: &mut Sealed) -> Result<(), String> {
        if self.failed {
            return Err("it has failed".into());
        }
        let Session { end, rest, early, .. } = self;
        let sealed = match end {
            End::Server(c) => seal(c, rest, early, plain, out),
            End::Client(c) => seal(c, rest, early, plain, out),
        };
        self.failed = sealed.is_err();
        self.closed |= sealed?;
        // What was read by the way is said at the next look.
        self.fresh |= self.closed || !self.early.is_empty();
        Ok(())
    }

    /// So many bytes of `unsent` were taken: the plain text that is written with them.
    pub fn took(&mut self, n: usize) -> usize {
        if n == self.unsent.len() {
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..n);
        }
        let gone = self.whole - self.unsent.len();
        let share = (self.promised as u128 * gone as u128 / self.whole.max(1) as u128) as usize;
        let written = share - self.told;
        self.told = share;
        if self.unsent.is_empty() {
            (self.promised, self.whole, self.told) = (0, 0, 0);
        }
        written
    }
}

fn open<M: Machine>(
    machine: &mut M,
    incoming: &mut [u8],
    plain: &mut Vec<u8>,
    out: &mut Sealed,
) -> Result<(usize, bool), Error> {
    let (mut at, mut closed) = (0, false);
    loop {
        let UnbufferedStatus { mut discard, state } = machine.step(&mut incoming[at..]);
        let done = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    plain.extend_from_slice(record.payload);
                    discard += record.discard;
                }
                false
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(|room| data.encode(room), out);
                false
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                false
            }
            Ok(ConnectionState::PeerClosed) => {
                closed = true;
                false
            }
            Ok(ConnectionState::Closed) => {
                closed = true;
                true
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => true,
            // Early data is never offered.
            Ok(_) => true,
            Err(why) => {
                at += discard;
                answer(machine, &mut incoming[at..], out);
                return Err(why);
            }
        };
        at += discard;
        if done {
            return Ok((at, closed));
        }
    }
}

fn encode(mut data: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>, out: &mut Sealed) {
    let mut need = 0;
    loop {
        match data(out.room(need)) {
            Ok(n) => {
                out.length += n;
                return;
            }
            Err(EncodeError::InsufficientSize(e)) if e.required_size > need => need = e.required_size,
            Err(_) => return,
        }
    }
}

/// What the peer is to be told of its mistake. rustls remembers places in what came: it is always shown the same bytes.
fn answer<M: Machine>(machine: &mut M, incoming: &mut [u8], out: &mut Sealed) {
    let mut at = 0;
    loop {
        let UnbufferedStatus { discard, state } = machine.step(&mut incoming[at..]);
        match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => encode(|room| data.encode(room), out),
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            _ => return,
        }
        at += discard;
    }
}

/// `plain` None: goodbye. Steps over `rest`, which may hold whole records only before anything was opened. True: the peer
/// says no more.
fn seal<M: Machine>(
    machine: &mut M,
    rest: &mut Vec<u8>,
    early: &mut Vec<u8>,
    plain: Option<&[u8]>,
    out: &mut Sealed,
) -> Result<bool, String> {
    let mut closed = false;
    loop {
        let UnbufferedStatus { mut discard, state } = machine.step(rest);
        let done = match state.map_err(|e| e.to_string())? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(|e| e.to_string())?;
                    early.extend_from_slice(record.payload);
                    discard += record.discard;
                }
                false
            }
            ConnectionState::EncodeTlsData(mut data) => {
                encode(|room| data.encode(room), out);
                false
            }
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                false
            }
            ConnectionState::PeerClosed => {
                closed = true;
                false
            }
            ConnectionState::WriteTraffic(traffic) => {
                encrypt(traffic, plain, out)?;
                true
            }
            _ => return Err("it is closed".into()),
        };
        rest.drain(..discard);
        if done {
            return Ok(closed);
        }
    }
}

fn encrypt<D>(mut traffic: WriteTraffic<'_, D>, plain: Option<&[u8]>, out: &mut Sealed) -> Result<(), String> {
    let length = plain.map_or(0, <[u8]>::len);
    let mut need = length + (length / RECORD + 1) * OVERHEAD;
    loop {
        let room = out.room(need);
        let sealed = match plain {
            Some(plain) => traffic.encrypt(plain, room),
            None => traffic.queue_close_notify(room),
        };
        match sealed {
            Ok(n) => {
                out.length += n;
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(e)) if e.required_size > need => need = e.required_size,
            Err(e) => return Err(e.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
