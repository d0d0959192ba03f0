//! Looks at what a server writes to a route: a message is told to each peer once, by the server it was published to and
//! by no other (I7), and under its own account (I24). Reads for itself, so that it shares no mistake with the parser.

use super::super::oracle::Oracle;
use std::collections::BTreeSet;

/// See the file's head. One per end of a route.
pub struct Tap {
    server: usize,
    link: usize,
    /// The peer, for people.
    peer: String,
    bytes: Vec<u8>,
    seen: BTreeSet<usize>,
}

impl Tap {
    /// For the end of `link` at `server`.
    pub fn new(server: usize, link: usize, peer: &str) -> Tap {
        Tap { server, link, peer: peer.into(), bytes: Vec::new(), seen: BTreeSet::new() }
    }

    /// More was written.
    pub fn hear(&mut self, bytes: &[u8], oracle: &Oracle) -> Result<(), String> {
        self.bytes.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(used) = self.line(at, oracle)? {
            at += used;
        }
        self.bytes.drain(..at);
        Ok(())
    }

    fn line(&mut self, at: usize, oracle: &Oracle) -> Result<Option<usize>, String> {
        let rest = &self.bytes[at..];
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let words: Vec<&str> = line.split(' ').collect();
        let header = match words[0] {
            "RMSG" => 0,
            "HMSG" => words[words.len() - 2].parse::<usize>().map_err(|_| format!("a header's size in {line:?}"))?,
            _ => return Ok(Some(end + 2)),
        };
        let size: usize = words[words.len() - 1].parse().map_err(|_| format!("a size in {line:?}"))?;
        let Some(body) = rest.get(end + 2..end + 2 + size + 2) else { return Ok(None) };
        let number: String = body[header..].iter().take_while(|b| b.is_ascii_digit()).map(|b| *b as char).collect();
        let (server, link, peer) = (self.server, self.link, &self.peer);
        let what = || format!("{line:?} of server {server} to {peer} (link {link})");
        let known = number.parse::<usize>().ok().and_then(|m| Some((m, oracle.home(m)?)));
        let Some((m, (home, account))) = known else {
            return Err(format!("I7: what no client published is sent over a route: {}", what()));
        };
        if home != self.server {
            return Err(format!("I7: what was published at server {home} is sent on: {}", what()));
        }
        if words[1] != account {
            return Err(format!("I24: published in {account}: {}", what()));
        }
        if !self.seen.insert(m) {
            return Err(format!("I7: sent twice: {}", what()));
        }
        Ok(Some(end + 2 + size + 2))
    }
}
