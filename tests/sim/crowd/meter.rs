//! Counts the lines that shards write to other servers, by what they say. Reads for itself, so that it shares no mistake
//! with the parser.

use super::wires::Use;
use std::ops::{Index, Sub};

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Interest begins, without or with a queue group; or what was refused is wanted.
    Wants,
    /// Interest ends, or a subject or an account is refused.
    WantsNot,
    /// The two commands around the whole interest of an account.
    Command,
    /// A message.
    Message,
    /// Who is where: any other INFO.
    Info,
    /// PING, PONG.
    Pulse,
}

/// How many kinds there are.
const LINES: usize = 6;

/// Lines by kind, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    lines: [u64; LINES],
    /// Of all of them, payloads too.
    pub bytes: u64,
}

impl Index<Line> for Counts {
    type Output = u64;
    fn index(&self, line: Line) -> &u64 {
        &self.lines[line as usize]
    }
}

impl Sub for Counts {
    type Output = Counts;
    fn sub(self, before: Counts) -> Counts {
        let mut lines = self.lines;
        lines.iter_mut().zip(before.lines).for_each(|(n, b)| *n -= b);
        Counts { lines, bytes: self.bytes - before.bytes }
    }
}

impl Counts {
    /// Lines about interest.
    pub fn interest(&self) -> u64 {
        self[Line::Wants] + self[Line::WantsNot] + self[Line::Command]
    }
}

/// See the file's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Between servers of one cluster.
    pub routes: Counts,
    /// Between clusters, both ways.
    pub gateways: Counts,
    /// Lines of a kind that somebody waits for: interest and messages.
    pub spoken: u64,
}

impl Sub for Meter {
    type Output = Meter;
    fn sub(self, before: Meter) -> Meter {
        Meter {
            routes: self.routes - before.routes,
            gateways: self.gateways - before.gateways,
            spoken: self.spoken - before.spoken,
        }
    }
}

impl Meter {
    /// A server writes these bytes, which are whole lines with what belongs to them.
    pub fn count(&mut self, what: Use, bytes: &[u8]) -> Result<(), String> {
        let counts = match what {
            Use::Route => &mut self.routes,
            Use::Gateway => &mut self.gateways,
            Use::Client => return Ok(()),
        };
        counts.bytes += bytes.len() as u64;
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let shown = || String::from_utf8_lossy(&rest[..rest.len().min(80)]).into_owned();
            let end = memchr::memchr(b'\n', rest).ok_or_else(|| format!("half a line is written: {:?}", shown()))?;
            let (line, body) = kind(what, &rest[..end]).ok_or_else(|| format!("an unknown line: {:?}", shown()))?;
            counts.lines[line as usize] += 1;
            self.spoken += u64::from(!matches!(line, Line::Info | Line::Pulse));
            at += end + 1 + body;
        }
        match at == bytes.len() {
            true => Ok(()),
            false => Err("half a message is written".into()),
        }
    }
}

/// What a line says, and how many bytes follow that belong to it.
fn kind(what: Use, line: &[u8]) -> Option<(Line, usize)> {
    let words = || line.trim_ascii_end().split(|b| *b == b' ');
    Some(match words().next()? {
        b"RS+" | b"A+" => (Line::Wants, 0),
        b"RS-" | b"A-" => (Line::WantsNot, 0),
        b"RMSG" | b"HMSG" => {
            let size: usize = std::str::from_utf8(words().next_back()?).ok()?.parse().ok()?;
            (Line::Message, size + 2)
        }
        b"PING" | b"PONG" => (Line::Pulse, 0),
        b"INFO" => {
            let commands: [&[u8]; 2] = [b"\"gateway_cmd\":2", b"\"gateway_cmd\":3"];
            let command = |c: &&[u8]| memchr::memmem::find(line, c).is_some();
            (if what == Use::Gateway && commands.iter().any(command) { Line::Command } else { Line::Info }, 0)
        }
        b"CONNECT" => (Line::Info, 0),
        _ => return None,
    })
}
