//! Messages that ask to be traced, as the oracle sees them: which they are, how they are spelled, and what shards must have
//! noted of each (docs/monitoring.md).

use super::Oracle;
use std::borrow::Cow;
use std::collections::BTreeMap;
use turnpike::shard::traced::{Kind, Part, What};

/// What the next server is told.
const HOP: &str = "Nats-Trace-Hop: ";

/// What a message asks of those who trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    Nothing,
    /// That its way is told.
    Told,
    /// That its way is told, and nobody is given it.
    Only,
}

/// What was noted of a message, on all servers.
#[derive(Debug, Default)]
struct Way {
    /// It came from a client.
    begun: u64,
    /// It came from another server.
    came: u64,
    /// It went to another server.
    went: u64,
    /// It went to a client.
    given: u64,
}

impl Oracle {
    /// What message `m` asks, if it has headers.
    pub(super) fn wish(&self, m: usize) -> Wish {
        match (self.traced, m % 27) {
            (true, 0 | 9 | 18) => Wish::Told,
            (true, 3) => Wish::Only,
            _ => Wish::Nothing,
        }
    }

    /// The header block of message `m`.
    pub(super) fn header(&self, m: usize) -> Vec<u8> {
        let asks = match self.wish(m) {
            Wish::Nothing => "",
            Wish::Told => "Nats-Trace-Dest: told\r\n",
            Wish::Only => "Nats-Trace-Dest: told\r\nNats-Trace-Only: true\r\n",
        };
        format!("NATS/1.0\r\nN: {m}\r\n{asks}\r\n").into_bytes()
    }

    /// A header block as it was before other servers than its first named its way.
    pub(super) fn without_hop<'a>(&self, m: usize, server: usize, head: &'a [u8]) -> Cow<'a, [u8]> {
        if self.wish(m) != Wish::Told || !self.comes_over_a_link(m, server) {
            return Cow::Borrowed(head);
        }
        let text = String::from_utf8_lossy(head).into_owned();
        let lines = text.split_inclusive("\r\n").filter(|l| !l.starts_with(HOP));
        Cow::Owned(lines.collect::<String>().into_bytes())
    }

    /// May a server be sent this message by another? Its own only where it answers a request of another cluster, from which it
    /// comes back to all who want it by its name.
    fn comes_over_a_link(&self, m: usize, server: usize) -> bool {
        let msg = &self.msgs[m];
        self.conns[msg.conn].server != server || msg.because.is_some()
    }

    /// Judges what shards noted, each with its server, where no server and no link between two was lost.
    pub fn judge_traces(&mut self, noted: &[(usize, Part)]) -> Result<(), String> {
        let mut whole: BTreeMap<(usize, u64), Vec<&Part>> = BTreeMap::new();
        noted.iter().for_each(|(server, part)| whole.entry((*server, part.id)).or_default().push(part));
        let mut ways: BTreeMap<usize, Way> = BTreeMap::new();
        for ((server, _), parts) in whole {
            let (m, way) = self.gather(server, &parts)?;
            let all = ways.entry(m).or_default();
            (all.begun, all.came) = (all.begun + way.begun, all.came + way.came);
            (all.went, all.given) = (all.went + way.went, all.given + way.given);
        }
        let nobody_left = self.conns.iter().all(|c| !c.gone);
        for m in 0..self.msgs.len() {
            if !self.msgs[m].headed || self.wish(m) == Wish::Nothing {
                continue;
            }
            let (msg, way) = (&self.msgs[m], ways.remove(&m).unwrap_or_default());
            let wrong = |why: &str| Err(format!("traces: {why}: {way:?} of message {m} {msg:?}"));
            if way.begun > 1 || way.begun == 0 && msg.accepted.is_some() {
                return wrong("not told once by the server that it came to");
            }
            if way.came != way.went {
                return wrong("not told by each server that it went to");
            }
            if !msg.kept && (way.given < msg.copies || nobody_left && way.given > msg.copies) {
                return wrong("not told of whom it was given to");
            }
            let (kept, went) = (msg.kept, way.went > 0);
            self.label(if kept { "a message was traced and kept" } else { "a message was traced" });
            if went {
                self.label("a traced message went on to another server");
            }
        }
        Ok(())
    }

    /// All that a server noted of one message: which it was, and what became of it there.
    fn gather(&self, server: usize, parts: &[&Part]) -> Result<(usize, Way), String> {
        let wrong = |why: &str| Err(format!("traces: server {server}: {why}: {parts:?}"));
        let mut entries = parts.iter().filter_map(|p| p.entry.as_ref());
        let (Some(entry), None) = (entries.next(), entries.next()) else { return wrong("it came in not once") };
        let elsewhere: usize = parts.iter().map(|p| p.elsewhere as usize).sum();
        if parts.len() != 1 + elsewhere || parts.iter().any(|p| p.left_out > 0) || entry.error.is_some() {
            return wrong("not all is noted");
        }
        let text = String::from_utf8_lossy(&entry.header);
        let number = text.lines().find_map(|l| l.strip_prefix("N: ")).and_then(|n| n.parse::<usize>().ok());
        let Some(m) = number.filter(|m| *m < self.msgs.len() && self.wish(*m) != Wish::Nothing) else {
            return wrong("nobody asked for it");
        };
        let from_client = entry.from.kind == Kind::Client;
        let may = match from_client {
            true => self.conns[self.msgs[m].conn].server == server,
            false => self.comes_over_a_link(m, server),
        };
        if !may {
            return wrong("it came from somewhere else");
        }
        let steps = parts.iter().flat_map(|p| &p.steps);
        let sent = steps.filter_map(|s| match &s.what {
            What::Egress(e) if e.error.is_none() => Some(e.to.kind == Kind::Client),
            _ => None,
        });
        let (given, went): (Vec<bool>, Vec<bool>) = sent.partition(|to_client| *to_client);
        let (given, went) = (given.len() as u64, went.len() as u64);
        Ok((m, Way { begun: u64::from(from_client), came: u64::from(!from_client), went, given }))
    }
}
