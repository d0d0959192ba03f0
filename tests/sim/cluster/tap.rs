//! Looks at what a server writes to a route: a message is told to each peer once, by the server it was published to and
//! by no other (I7), and under its own account (I24). Reads for itself, so that it shares no mistake with the parser.

use super::super::oracle::Oracle;
use std::collections::BTreeSet;
use turnpike::base::PeerId;
use turnpike::conn::Introduction;

/// See the file's head. One per end of a route.
pub struct Tap {
    server: usize,
    link: usize,
    /// The peer, for people.
    peer: String,
    bytes: Vec<u8>,
    /// Messages, with the group that was named, or none.
    seen: BTreeSet<(usize, String)>,
    /// What the server calls the peer.
    pub number: PeerId,
    /// The route is over; only last words are written.
    pub over: bool,
}

impl Tap {
    /// For the end of `link` at `server`.
    pub fn new(server: usize, link: usize, route: &Introduction) -> Tap {
        let (peer, number) = (route.server_id.to_string(), route.peer);
        Tap { server, link, peer, bytes: Vec::new(), seen: BTreeSet::new(), number, over: false }
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
        // Groups that do not fit into one line are named in several.
        let sizes = if header > 0 { 2 } else { 1 };
        let groups = match words[3] {
            "|" => words[4..words.len() - sizes].to_vec(),
            "+" => words[5..words.len() - sizes].to_vec(),
            _ => vec![""],
        };
        if !groups.into_iter().all(|g| self.seen.insert((m, g.into()))) {
            return Err(format!("I7: sent twice: {}", what()));
        }
        Ok(Some(end + 2 + size + 2))
    }
}
