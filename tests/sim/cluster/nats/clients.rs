//! The clients of a scripted nats-server: enough of the protocol for the simulator's clients, each operation carried out
//! whole as it comes.

use super::super::super::pipes::Way;
use super::super::super::world::World;
use super::super::foreign::{Line, Said};
use super::replies::{split, ANSWER_NS};
use super::traffic::Letter;
use super::Nats;
use serde_json::Value;
use std::collections::BTreeMap;

/// A client's subscription.
pub(super) struct Sub {
    pub pattern: String,
    /// Empty: plain.
    pub queue: String,
    max: Option<u64>,
    got: u64,
}

/// A client's connection.
pub(super) struct Session {
    pub line: Line,
    pub account: String,
    pub subs: BTreeMap<u64, Sub>,
    echo: bool,
    headers: bool,
    no_responders: bool,
    verbose: bool,
    /// Replies of requests of other clusters that it was given: how they came, and until when that is known.
    pub answers: BTreeMap<String, (String, u64)>,
}

impl Session {
    /// Does it hear what client `from` publishes in this account?
    pub(super) fn hears(&self, own: usize, from: Option<usize>, account: &str) -> bool {
        self.account == account && (from != Some(own) || self.echo)
    }

    /// Gives a message to a subscription. None: it is not there; true: it was its last.
    pub(super) fn give(&mut self, sid: u64, m: &Letter<'_>, now: u64) -> Option<bool> {
        let sub = self.subs.get_mut(&sid)?;
        sub.got += 1;
        let over = sub.max.is_some_and(|max| sub.got >= max);
        let plain = split(m.reply).map_or(m.reply, |mapped| mapped.reply);
        if plain.len() < m.reply.len() {
            self.answers.insert(plain.into(), (m.reply.into(), now + ANSWER_NS));
        }
        let reply = if plain.is_empty() { String::new() } else { format!("{plain} ") };
        let line = match m.head.len() {
            n if n > 0 && self.headers => {
                format!("HMSG {} {sid} {reply}{n} {}\r\n", m.subject, n + m.body.len())
            }
            _ => format!("MSG {} {sid} {reply}{}\r\n", m.subject, m.body.len()),
        };
        self.line.say(line.as_bytes());
        if self.headers {
            self.line.say(m.head);
        }
        self.line.say(m.body);
        self.line.say(b"\r\n");
        Some(over)
    }

    fn ok(&mut self) {
        if self.verbose {
            self.line.say(b"+OK\r\n");
        }
    }
}

impl Nats {
    /// A client has connected.
    pub fn accept_client(&mut self, link: usize) {
        let mut line = Line::new(link, Way::Down);
        line.say(
            format!("INFO {{\"server_id\":\"{}\",\"headers\":true,\"max_payload\":1048576}} \r\n", self.id).as_bytes(),
        );
        let (subs, account) = (BTreeMap::new(), "$G".to_string());
        let (echo, headers, no_responders, verbose, answers) = (true, false, false, false, BTreeMap::new());
        let session = Session { line, account, subs, echo, headers, no_responders, verbose, answers };
        self.sessions.insert(link, session);
    }

    /// Hears all clients and writes to them.
    pub(super) fn serve(&mut self, w: &mut World) {
        let links: Vec<usize> = self.sessions.keys().copied().collect();
        for link in links {
            let Some(session) = self.sessions.get_mut(&link) else { continue };
            let end = session.line.read(w);
            while let Some(said) = self.sessions.get_mut(&link).and_then(|s| s.line.next()) {
                self.obey(link, &said);
            }
            let Some(session) = self.sessions.get_mut(&link) else { continue };
            if end.is_some() {
                session.line.closing = true;
                let before = self.wanted();
                if let Some(session) = self.sessions.get_mut(&link) {
                    session.subs.clear();
                }
                self.tell(&before);
            }
        }
        let mut over = Vec::new();
        for (link, session) in &mut self.sessions {
            let gone = w.links[*link].reset;
            if gone && session.line.closing || session.line.write(w) {
                over.push(*link);
            }
        }
        over.into_iter().for_each(|link| drop(self.sessions.remove(&link)));
    }

    fn obey(&mut self, link: usize, said: &Said) {
        let words = said.words();
        let before = self.wanted();
        let accounts = self.accounts;
        let Some(session) = self.sessions.get_mut(&link) else { return };
        match words[0] {
            "CONNECT" => {
                let asked: Value = serde_json::from_str(&said.line[8..]).unwrap_or_default();
                let is = |key: &str| asked[key] == Value::Bool(true);
                (session.echo, session.headers) = (is("echo"), is("headers"));
                (session.verbose, session.no_responders) = (is("verbose"), is("no_responders"));
                if accounts > 0 {
                    session.account = asked["user"].as_str().unwrap_or_default().replace("user", "ACC");
                }
                session.subs.clear();
                session.ok();
                self.tell(&before);
            }
            "PING" => session.line.say(b"PONG\r\n"),
            "PONG" => {}
            "SUB" => {
                let queue = if words.len() == 4 { words[2] } else { "" };
                let sid = words[words.len() - 1].parse().unwrap_or(0);
                let sub = Sub { pattern: words[1].into(), queue: queue.into(), max: None, got: 0 };
                session.subs.entry(sid).or_insert(sub);
                session.ok();
                let account = session.account.clone();
                self.note_recent(account, words[1]);
                self.tell(&before);
            }
            "UNSUB" => {
                let sid: u64 = words[1].parse().unwrap_or(0);
                let max: Option<u64> = words.get(2).and_then(|n| n.parse().ok());
                let over = match session.subs.get_mut(&sid) {
                    Some(sub) => {
                        sub.max = max;
                        max.is_none_or(|max| sub.got >= max)
                    }
                    None => false,
                };
                if over {
                    session.subs.remove(&sid);
                }
                session.ok();
                self.tell(&before);
            }
            "PUB" | "HPUB" => self.published(link, said, &words),
            _ => {}
        }
    }

    fn published(&mut self, link: usize, said: &Said, words: &[&str]) {
        let sizes = if words[0] == "HPUB" { 2 } else { 1 };
        let head = if sizes == 2 { words[words.len() - 2].parse().unwrap_or(0) } else { 0 };
        let reply = if words.len() == 3 + sizes { words[2] } else { "" };
        let (head, body) = said.body.split_at(head);
        let Some(account) = self.sessions.get(&link).map(|s| s.account.clone()) else { return };
        let letter = Letter { account: &account, subject: words[1], reply, head, body };
        let reached = self.answers_across(link, &letter) || self.publish(link, &letter);
        let Some(session) = self.sessions.get_mut(&link) else { return };
        session.ok();
        if !reached && !reply.is_empty() && session.no_responders && session.headers {
            let head = format!("NATS/1.0 503\r\nNats-Subject: {}\r\n\r\n", words[1]);
            let inbox = session
                .subs
                .iter()
                .find(|(_, s)| s.queue.is_empty() && super::super::super::oracle::matches(&s.pattern, reply));
            if let Some((sid, _)) = inbox {
                let n = head.len();
                let line = format!("HMSG {reply} {sid} {n} {n}\r\n{head}\r\n");
                session.line.say(line.as_bytes());
            }
        }
    }
}
