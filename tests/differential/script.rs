//! A script: what several connections send, step by step; and how it is played to one server.

use crate::support::frames::{show, Frame};
use crate::support::raw::{Raw, PATIENCE};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Silence after which a step is over without its PONG; only a server that went wrong makes a test wait for it.
const SILENCE: Duration = Duration::from_secs(5);

/// One step; after it every open connection is at a barrier.
#[derive(Clone, Debug)]
pub enum Step {
    /// These connections write at the same time. `pings` is how many PINGs the bytes hold.
    Write(Vec<Turn>),
    /// The connection writes this and ends its side; what it still gets is read to the end.
    Last(usize, Vec<u8>),
}

/// What one connection writes in one step.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The connection's number.
    pub conn: usize,
    /// Its bytes: whole commands.
    pub bytes: Vec<u8>,
    /// How many of them are PINGs.
    pub pings: usize,
}

/// Connections and steps.
#[derive(Clone, Debug)]
pub struct Script {
    /// What each connection sends first.
    pub preludes: Vec<Vec<u8>>,
    /// What follows.
    pub steps: Vec<Step>,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (conn, prelude) in self.preludes.iter().enumerate() {
            writeln!(f, "    open  {conn}> {}", show(prelude))?;
        }
        for (i, step) in self.steps.iter().enumerate() {
            match step {
                Step::Write(turns) => {
                    for (t, turn) in turns.iter().enumerate() {
                        let mark = if t == 0 { format!("{i:>3}") } else { "   ".into() };
                        writeln!(f, "    {mark}   {}> {}", turn.conn, show(&turn.bytes))?;
                    }
                }
                Step::Last(conn, bytes) => writeln!(f, "    {i:>3}   {conn}> {} and the end", show(bytes))?,
            }
        }
        Ok(())
    }
}

/// What one connection got in one step, as it came.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its frames.
    pub frames: Vec<Frame>,
    /// The server closed it in this step.
    pub closed: bool,
    /// The PONG awaited did not come.
    pub silent: bool,
}

/// What all connections got: by step (the first is the opening), then by connection.
pub type Record = Vec<Vec<Seen>>;

/// Plays the script to the server at `to` and leaves no subscription behind.
pub fn play(script: &Script, to: SocketAddr) -> Record {
    let mut lines: Vec<Line> = script.preludes.iter().map(|_| Line::open(to)).collect();
    let mut record = Vec::new();
    let opening: Vec<Turn> = script.preludes.iter().enumerate().map(|(conn, p)| Turn::quiet(conn, p)).collect();
    let mut seen: Vec<Seen> = lines.iter().map(|l| Seen { frames: vec![l.greeting()], ..Seen::default() }).collect();
    step(&mut lines, &opening, &mut seen);
    record.push(seen);
    for what in &script.steps {
        let mut seen = vec![Seen::default(); lines.len()];
        match what {
            Step::Write(turns) => step(&mut lines, turns, &mut seen),
            Step::Last(conn, bytes) => {
                lines[*conn].end(bytes, &mut seen[*conn]);
                step(&mut lines, &[], &mut seen);
            }
        }
        record.push(seen);
    }
    // A second CONNECT drops the subscriptions (client-protocol.md §2), before the next script begins.
    let clear = b"CONNECT {\"verbose\":false,\"protocol\":0}\r\n";
    let clear: Vec<Turn> = (0..lines.len()).map(|conn| Turn::quiet(conn, clear)).collect();
    step(&mut lines, &clear, &mut vec![Seen::default(); script.preludes.len()]);
    record
}

impl Turn {
    fn quiet(conn: usize, bytes: &[u8]) -> Turn {
        Turn { conn, bytes: bytes.to_vec(), pings: 0 }
    }
}

/// Writers write and see their own PONG; then everybody makes a round trip, and so has what the writers caused
/// (client-protocol.md §23.3).
fn step(lines: &mut [Line], turns: &[Turn], seen: &mut [Seen]) {
    for turn in turns {
        lines[turn.conn].write(&[turn.bytes.as_slice(), b"PING\r\n"].concat());
    }
    for turn in turns {
        lines[turn.conn].read(turn.pings + 1, &mut seen[turn.conn]);
    }
    for line in lines.iter_mut() {
        line.write(b"PING\r\n");
    }
    for (line, seen) in lines.iter_mut().zip(seen) {
        line.read(1, seen);
    }
}

struct Line {
    raw: Raw,
    over: bool,
}

impl Line {
    fn open(to: SocketAddr) -> Line {
        let raw = Raw::connect(to).verbatim();
        raw.reset_at_end();
        Line { raw, over: false }
    }

    fn greeting(&self) -> Frame {
        format!("INFO {}\r\n", self.raw.greeting()).into_bytes()
    }

    fn write(&mut self, bytes: &[u8]) {
        if !self.over {
            self.raw.write(bytes);
        }
    }

    fn read(&mut self, pongs: usize, seen: &mut Seen) {
        if !self.over {
            let answer = self.raw.try_until_pongs(pongs, SILENCE);
            seen.silent |= answer.is_err();
            self.note(answer, seen);
        }
    }

    fn end(&mut self, bytes: &[u8], seen: &mut Seen) {
        if !self.over {
            self.raw.write(bytes);
            self.raw.finish();
            let answer = self.raw.try_until_pongs(usize::MAX, PATIENCE);
            self.note(answer, seen);
        }
    }

    fn note(&mut self, answer: Result<(Vec<Frame>, bool), Vec<Frame>>, seen: &mut Seen) {
        let (frames, closed) = answer.unwrap_or_else(|frames| (frames, false));
        // The server's own PINGs come by the clock (client-protocol.md §12).
        seen.frames.extend(frames.into_iter().filter(|f| f != b"PING\r\n"));
        seen.closed |= closed;
        self.over |= closed || seen.silent;
    }
}
