//! A raw connection: bytes out, frames in, every wait with a deadline.

use super::frames::{frame_len, info, Frame};
use super::kernel;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a test waits for bytes that must come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a read came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole frame.
    Frame(Frame),
    /// The server closed; bytes of a frame that never became whole, if any.
    Closed(Vec<u8>),
    /// Nothing whole came in time; what did come.
    Silence(Vec<u8>),
}

/// One connection to a server.
pub struct Raw {
    stream: TcpStream,
    got: Vec<u8>,
    closed: bool,
    greeting: serde_json::Value,
    answers_pings: bool,
}

impl Raw {
    /// Connects and reads the greeting, which must be one line of INFO with valid JSON.
    pub fn connect(to: SocketAddr) -> Raw {
        let stream = TcpStream::connect(to).unwrap_or_else(|e| panic!("cannot connect to {to}: {e}"));
        stream.set_nodelay(true).expect("nodelay");
        let mut raw =
            Raw { stream, got: Vec::new(), closed: false, greeting: serde_json::Value::Null, answers_pings: true };
        raw.greeting = match raw.next(PATIENCE) {
            Next::Frame(frame) => {
                let text = String::from_utf8_lossy(&frame).into_owned();
                info(&frame).unwrap_or_else(|| panic!("the first line is not an INFO: {text:?}"))
            }
            other => panic!("no INFO from {to}: {other:?}"),
        };
        raw
    }

    /// Shows the server's PINGs as frames instead of answering them. They come when the machine is slow, too.
    pub fn verbatim(mut self) -> Raw {
        self.answers_pings = false;
        self
    }

    /// The JSON of the first INFO.
    pub fn greeting(&self) -> &serde_json::Value {
        &self.greeting
    }

    /// Whether the server has closed and that was read.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes all of `bytes`. A connection the server has closed swallows them: what it said before can be read.
    pub fn write(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Ok(()) => {}
            Err(e) if gone(&e) => {}
            Err(e) => panic!("write: {e}"),
        }
    }

    /// Waits until the server has read everything written so far.
    pub fn await_read(&self) {
        kernel::await_read(&self.stream);
    }

    /// Makes the end of this connection a reset, so that thousands of them leave nothing behind in the kernel.
    pub fn reset_at_end(&self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("linger");
    }

    /// Ends our direction; the server sees the end of the stream after the bytes sent before.
    pub fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).ok();
    }

    /// The next frame, or what became of the connection.
    pub fn next(&mut self, patience: Duration) -> Next {
        let end = Instant::now() + patience;
        let mut chunk = [0; 65536];
        loop {
            if let Some(n) = frame_len(&self.got) {
                let frame: Frame = self.got.drain(..n).collect();
                if self.answers_pings && frame == b"PING\r\n" {
                    self.write(b"PONG\r\n");
                    continue;
                }
                return Next::Frame(frame);
            }
            if self.closed {
                return Next::Closed(std::mem::take(&mut self.got));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Silence(self.got.clone());
            }
            self.stream.set_read_timeout(Some(left)).expect("read timeout");
            match self.stream.read(&mut chunk) {
                Ok(0) => self.closed = true,
                Ok(n) => self.got.extend_from_slice(&chunk[..n]),
                Err(e) if gone(&e) => self.closed = true,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => panic!("read: {e}"),
            }
        }
    }

    /// Reads frames until `pongs` PONGs came or the server closed. The second value tells whether it closed.
    ///
    /// Panics when neither happens in time, with all that came.
    pub fn until_pongs(&mut self, pongs: usize) -> (Vec<Frame>, bool) {
        match self.try_until_pongs(pongs, PATIENCE) {
            Ok(answer) => answer,
            Err(got) => panic!("neither {pongs} PONG nor the end came; got {}", super::frames::show_all(&got)),
        }
    }

    /// As [`Raw::until_pongs`], but a silence longer than `patience` gives back what came.
    pub fn try_until_pongs(&mut self, pongs: usize, patience: Duration) -> Result<(Vec<Frame>, bool), Vec<Frame>> {
        let mut frames = Vec::new();
        let mut seen = 0;
        while seen < pongs {
            match self.next(patience) {
                Next::Frame(frame) => {
                    seen += usize::from(frame == b"PONG\r\n");
                    frames.push(frame);
                }
                Next::Closed(rest) => {
                    frames.extend((!rest.is_empty()).then_some(rest));
                    return Ok((frames, true));
                }
                Next::Silence(rest) => {
                    frames.extend((!rest.is_empty()).then_some(rest));
                    return Err(frames);
                }
            }
        }
        Ok((frames, false))
    }

    /// Sends PING and reads to its PONG: all earlier commands of this connection are done (client-protocol.md §23).
    pub fn barrier(&mut self) -> Vec<Frame> {
        self.write(b"PING\r\n");
        let (frames, closed) = self.until_pongs(1);
        assert!(!closed, "closed at a barrier after {}", super::frames::show_all(&frames));
        frames
    }
}

fn gone(e: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}
