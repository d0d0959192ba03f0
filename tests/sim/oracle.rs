//! What must, may and must not arrive (scenarios.md §2.4, for one node). The clients tell it what they ask for and
//! what they hear; it knows nothing of the server. Each thing told gets a tick, and ticks are the order in which
//! things really happened, so a promise is judged by comparing ticks:
//!
//! - a subscription is *live* from the tick at which its client heard a PONG for a PING sent after the SUB, on every
//!   shard (client-protocol.md §23.3); *dead* likewise after an UNSUB;
//! - a message is *accepted* at the latest at the tick at which its publisher heard such a PONG;
//! - a subscriber has heard everything up to its *horizon*, the tick at which it sent the last PING that was answered.

use super::case::Plan;
use super::cluster::paths::{Paths, State};
use super::cluster::server::Server;
use super::rights::User;
use super::shared::Shared;
use std::collections::{BTreeMap, VecDeque};

mod across;
mod borders;
mod far;
mod judge;
mod rights;
mod shared;

pub use across::Crossed;

/// Order of events.
pub type Tick = u64;

/// A connection as its client knows it.
#[derive(Debug)]
pub struct Conn {
    /// The shard it lives on.
    pub shard: usize,
    account: usize,
    /// The server that the shard belongs to.
    server: usize,
    /// When that server died.
    died: Option<Tick>,
    /// Ended by its client without UNSUB.
    gone: bool,
    echo: bool,
    headers: bool,
    /// What it misses is nobody's fault.
    passed_over: bool,
    /// See the file's head.
    pub horizon: Tick,
    /// Told, and waiting for a PONG.
    unsure: VecDeque<(Tick, Told)>,
    /// PINGs sent and not answered.
    pings: VecDeque<Tick>,
    /// Which of the users it is that may not do everything.
    right: Option<usize>,
    /// What it must be told.
    denials: VecDeque<rights::Denial>,
}

#[derive(Clone, Copy, Debug)]
enum Told {
    Sub(usize),
    Max(usize),
    Unsub(usize),
    Publish(usize),
}

/// A subscription.
#[derive(Debug)]
pub struct Sub {
    conn: usize,
    sid: u64,
    pattern: String,
    queue: Option<String>,
    max: Option<u64>,
    asked: Tick,
    live: Option<Tick>,
    /// Since when its maximum is known to the server.
    max_live: Option<Tick>,
    end_asked: Option<Tick>,
    dead: Option<Tick>,
    /// Messages received, in order.
    got: Vec<usize>,
    has: BTreeMap<usize, ()>,
    /// The last message of each publisher.
    last: BTreeMap<usize, usize>,
    /// Its user may not have it.
    refused: bool,
}

/// A message.
#[derive(Debug)]
pub struct Msg {
    conn: usize,
    subject: String,
    reply: String,
    headed: bool,
    size: usize,
    sent: Tick,
    accepted: Option<Tick>,
    /// The publisher's inbox subscription, if the server owes a 503 when nobody listens.
    inbox: Option<usize>,
    /// The message that it answers.
    because: Option<usize>,
    /// It answers, and later or more often than may be: it must not come back to another cluster.
    excess: bool,
    refused: u32,
    copies: u64,
    /// Its publisher may not publish it.
    denied: bool,
}

/// How a subscription stands towards a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Must,
    May,
    /// May, and the connection's fate is not known.
    Doubtful,
    MustNot,
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct Oracle {
    tick: Tick,
    /// Everybody leaves by order of the server, members of queue groups too.
    draining: bool,
    /// All connections ever.
    pub conns: Vec<Conn>,
    subs: Vec<Sub>,
    by_sid: BTreeMap<(usize, u64), usize>,
    /// All messages ever.
    pub msgs: Vec<Msg>,
    /// Rare things met.
    pub labels: BTreeMap<&'static str, u64>,
    /// Between servers.
    pub paths: Paths,
    /// The server of each shard; empty: there is one.
    server_of: Vec<usize>,
    accounts: bool,
    /// What is known of other clusters.
    clusters: across::Clusters,
    /// What may cross between them.
    borders: borders::Borders,
    /// What accounts share.
    shared: Shared,
    /// Users who may not do everything.
    rights: Vec<User>,
}

/// Does a pattern match a subject? The plain definition of client-protocol.md §7.
pub fn matches(pattern: &str, subject: &str) -> bool {
    let (mut p, mut s) = (pattern.split('.'), subject.split('.'));
    loop {
        match (p.next(), s.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

/// The payload of message `m`: its number, then bytes of every value.
pub fn payload(m: usize, size: usize) -> Vec<u8> {
    let mut p = format!("{m};").into_bytes();
    let from = p.len();
    p.extend((from..size).map(|i| ((m * 31 + i * 7) % 256) as u8));
    p
}

/// The header block of message `m`.
pub fn header(m: usize) -> Vec<u8> {
    format!("NATS/1.0\r\nN: {m}\r\n\r\n").into_bytes()
}

impl Oracle {
    fn now(&mut self) -> Tick {
        self.tick += 1;
        self.tick
    }

    /// For clients of several servers.
    pub fn over(servers: &[Server], plan: &Plan) -> Oracle {
        let server_of = servers.iter().enumerate().flat_map(|(at, s)| (0..s.shards).map(move |_| at));
        let clusters = across::Clusters::new(plan, servers.len());
        let paths = Paths::new(servers.len(), clusters.are_several());
        let (accounts, server_of) = (plan.accounts > 0, server_of.collect());
        let borders = borders::Borders::new(plan);
        let (rights, shared) = (plan.rights.clone(), plan.shared.clone().unwrap_or_default());
        Oracle { accounts, server_of, paths, clusters, borders, rights, shared, ..Oracle::default() }
    }

    /// The world is at rest. `obeyed`: every server has taken in what it was ordered.
    pub fn rest(&mut self, obeyed: bool, state: impl Fn(usize, usize) -> State) {
        let now = self.now();
        self.note_rest(now, obeyed);
        self.paths.rest(now, state);
    }

    /// A server died, and all connections with it.
    pub fn died(&mut self, server: usize) {
        let now = self.now();
        for conn in self.conns.iter_mut().filter(|c| c.server == server && c.died.is_none()) {
            (conn.died, conn.gone) = (Some(now), true);
        }
    }

    /// The server that a message was published to, and the name of its account.
    pub fn home(&self, m: usize) -> Option<(usize, String)> {
        let conn = &self.conns[self.msgs.get(m)?.conn];
        Some((conn.server, if self.accounts { format!("ACC{}", conn.account) } else { "$G".into() }))
    }

    /// The present.
    pub fn mark(&mut self) -> Tick {
        self.now()
    }

    /// Counts something rare.
    pub fn label(&mut self, name: &'static str) {
        *self.labels.entry(name).or_default() += 1;
    }

    /// A client opens a connection.
    pub fn open(&mut self, shard: usize, account: usize, echo: bool, headers: bool) -> usize {
        let (unsure, pings) = (VecDeque::new(), VecDeque::new());
        let server = self.server_of.get(shard).copied().unwrap_or_default();
        self.conns.push(Conn {
            shard,
            server,
            died: None,
            account,
            gone: false,
            echo,
            headers,
            passed_over: false,
            horizon: 0,
            unsure,
            pings,
            right: None,
            denials: VecDeque::new(),
        });
        self.conns.len() - 1
    }

    /// This connection may miss messages because it is slow.
    pub fn may_be_passed_over(&mut self, conn: usize) {
        self.conns[conn].passed_over = true;
    }

    /// A client sends SUB, and UNSUB with `max` right after it where there is one.
    pub fn sub(&mut self, conn: usize, sid: u64, pattern: &str, queue: Option<&str>, max: Option<u64>) -> usize {
        let asked = self.now();
        let s = self.subs.len();
        self.subs.push(Sub {
            conn,
            sid,
            pattern: pattern.into(),
            queue: queue.map(Into::into),
            max,
            asked,
            live: None,
            max_live: None,
            end_asked: None,
            dead: None,
            got: Vec::new(),
            has: BTreeMap::new(),
            last: BTreeMap::new(),
            refused: false,
        });
        self.by_sid.insert((conn, sid), s);
        self.conns[conn].unsure.push_back((asked, Told::Sub(s)));
        if max.is_some() {
            self.conns[conn].unsure.push_back((asked, Told::Max(s)));
        }
        self.judge_sub(s);
        s
    }

    /// May a client give the sid of a subscription to another one? Its end must be confirmed, and it must still be
    /// this subscription's.
    pub fn may_reuse(&self, conn: usize, number: usize, sid: u64) -> bool {
        self.names(conn, sid, number) && self.subs[number].dead.is_some()
    }

    /// Does this sid name this subscription?
    pub fn names(&self, conn: usize, sid: u64, number: usize) -> bool {
        self.by_sid.get(&(conn, sid)) == Some(&number)
    }

    /// Pattern and group of a subscription that its client has not ended, inboxes and those with a maximum aside.
    pub fn lasting(&self, number: usize) -> Option<(String, Option<String>)> {
        let sub = &self.subs[number];
        let lasts = sub.end_asked.is_none() && sub.max.is_none() && !sub.pattern.starts_with("_INBOX");
        lasts.then(|| (sub.pattern.clone(), sub.queue.clone()))
    }

    /// Do a subscription's pattern and account fit a message?
    fn fits(&self, s: &Sub, m: &Msg) -> bool {
        self.fits_any(s, m) && self.is_allowed(s, m)
    }

    /// The same, whatever their users may do.
    fn fits_any(&self, s: &Sub, m: &Msg) -> bool {
        self.called(m, self.conns[s.conn].account).is_some_and(|name| matches(&s.pattern, &name))
    }

    /// A client sends UNSUB.
    pub fn unsub(&mut self, s: usize) {
        let now = self.now();
        self.subs[s].end_asked.get_or_insert(now);
        let conn = self.subs[s].conn;
        self.conns[conn].unsure.push_back((now, Told::Unsub(s)));
    }

    /// A client publishes; says the message's number. `inbox`: where a 503 would arrive.
    pub fn publish(&mut self, conn: usize, subject: &str, reply: &str, size: usize, inbox: Option<usize>) -> usize {
        let sent = self.now();
        let m = self.msgs.len();
        let headed = self.conns[conn].headers && m.is_multiple_of(3);
        let size = payload(m, size).len();
        let (subject, reply) = (subject.to_string(), reply.to_string());
        let m_new = Msg {
            conn,
            subject,
            reply,
            headed,
            size,
            sent,
            accepted: None,
            inbox,
            because: None,
            excess: false,
            refused: 0,
            copies: 0,
            denied: false,
        };
        self.msgs.push(m_new);
        self.conns[conn].unsure.push_back((sent, Told::Publish(m)));
        self.judge_publication(m);
        m
    }

    /// Message `m` answers message `to`.
    pub fn answers(&mut self, m: usize, to: usize) {
        self.msgs[m].because = Some(to);
    }

    /// Does message `m` come later than an answer may, or is it one too many?
    pub fn is_too_much(&mut self, m: usize, excess: bool) {
        self.msgs[m].excess = excess;
    }

    /// The bytes that publish message `m`.
    pub fn spell(&self, m: usize) -> Vec<u8> {
        let msg = &self.msgs[m];
        let reply = if msg.reply.is_empty() { String::new() } else { format!("{} ", msg.reply) };
        let body = payload(m, msg.size);
        let head = if msg.headed { header(m) } else { Vec::new() };
        let mut line = match msg.headed {
            true => format!("HPUB {} {reply}{} {}\r\n", msg.subject, head.len(), head.len() + body.len()),
            false => format!("PUB {} {reply}{}\r\n", msg.subject, body.len()),
        }
        .into_bytes();
        line.extend(head);
        line.extend(body);
        line.extend(b"\r\n");
        line
    }

    /// A client sends PING.
    pub fn ping(&mut self, conn: usize) {
        let now = self.now();
        self.conns[conn].pings.push_back(now);
    }

    /// A client hears PONG.
    pub fn pong(&mut self, conn: usize) -> Result<(), String> {
        let now = self.now();
        let asked = self.conns[conn].pings.pop_front().ok_or("a PONG that nobody asked for")?;
        self.all_told(conn, asked)?;
        self.conns[conn].horizon = asked;
        while self.conns[conn].unsure.front().is_some_and(|(t, _)| *t < asked) {
            match self.conns[conn].unsure.pop_front().map(|u| u.1) {
                Some(Told::Sub(s)) => self.subs[s].live = Some(now),
                Some(Told::Max(s)) => self.subs[s].max_live = Some(now),
                Some(Told::Unsub(s)) => self.subs[s].dead = self.subs[s].dead.or(Some(now)),
                Some(Told::Publish(m)) => self.msgs[m].accepted = Some(now),
                None => {}
            }
        }
        Ok(())
    }

    /// A connection has ended.
    pub fn ended(&mut self, conn: usize) {
        self.conns[conn].gone = true;
    }

    /// PINGs of a connection that were not answered.
    pub fn unanswered(&self, conn: usize) -> usize {
        self.conns[conn].pings.len()
    }

    /// The server ended the connection in order after it was told to drain at `drained`: it owes all it had taken.
    pub fn drained(&mut self, conn: usize, at: Tick) {
        self.conns[conn].horizon = self.conns[conn].horizon.max(at);
    }

    /// The server is told to drain; the present, for [`Oracle::drained`].
    pub fn drain(&mut self) -> Tick {
        self.draining = true;
        self.now()
    }

    /// A client hears a message. Says its number, or None for a 503.
    pub fn heard(
        &mut self,
        conn: usize,
        sid: u64,
        subject: &str,
        reply: &str,
        head: &[u8],
        body: &[u8],
    ) -> Result<Option<usize>, String> {
        let s = *self.by_sid.get(&(conn, sid)).ok_or(format!("a message for an unknown sid {sid}"))?;
        if head.starts_with(b"NATS/1.0 503") {
            return self.refused(s, subject, head, body).map(|()| None);
        }
        let id: String = body.iter().take_while(|b| b.is_ascii_digit()).map(|b| *b as char).collect();
        let m: usize = id.parse().map_err(|_| format!("I12: a payload nobody sent, for sid {sid}"))?;
        let msg = self.msgs.get(m).ok_or(format!("I12: a payload nobody sent, for sid {sid}"))?;
        let sub = &self.subs[s];
        let what = || format!("message {m} {msg:?} at subscription {s} {}", sub.brief());
        if body != payload(m, msg.size) {
            return Err(format!("I12: altered: {}", what()));
        }
        if !self.fits(sub, msg) {
            return Err(format!("I4, I24: wrong subject or account, or denied: {}", what()));
        }
        if sub.dead.is_some() {
            return Err(format!("I4: after UNSUB and PONG: {}", what()));
        }
        if sub.has.contains_key(&m) {
            return Err(format!("I1: twice: {}", what()));
        }
        self.is_as_sent(m, s, (subject, reply, head))?;
        let wanders = self.wanders(m, s);
        if !wanders && sub.last.get(&msg.conn).is_some_and(|l| *l > m) {
            // A queue message that is re-aimed by way of a third shard may be overtaken by its successors.
            if !self.re_aimed(s, m) {
                return Err(format!("I2: overtaken by {:?}: {}", sub.last.get(&msg.conn), what()));
            }
            self.label("queue message overtaken after re-aim");
        }
        self.note_way(m, s);
        let publisher = self.msgs[m].conn;
        if self.subs[s].queue.is_some() && self.foreign(self.conns[publisher].server, self.conns[conn].server) {
            self.label("another cluster served a group");
        }
        self.msgs[m].copies += 1;
        let sub = &mut self.subs[s];
        sub.got.push(m);
        sub.has.insert(m, ());
        if !wanders {
            let last = sub.last.entry(publisher).or_insert(m);
            *last = m.max(*last);
        }
        Ok(Some(m))
    }

    /// Could queue message `m` have been meant for a member that was leaving?
    fn re_aimed(&self, s: usize, m: usize) -> bool {
        let mine = &self.subs[s];
        mine.queue.is_some() && (self.draining || self.others_leave(mine, m))
    }

    fn others_leave(&self, mine: &Sub, m: usize) -> bool {
        self.subs.iter().any(|o| {
            o.queue == mine.queue
                && self.fits(o, &self.msgs[m])
                && (self.far(o, &self.msgs[m]).is_some_and(|(a, b)| self.paths.disturbed(a, b, self.msgs[m].sent))
                    || o.end_asked.is_some()
                    || o.max.is_some()
                    || self.conns[o.conn].gone
                    || self.conns[o.conn].horizon == 0)
        })
    }

    fn refused(&mut self, s: usize, reply: &str, head: &[u8], body: &[u8]) -> Result<(), String> {
        let found = self.msgs.iter_mut().find(|m| m.reply == reply && m.inbox.is_some());
        let m = found.ok_or(format!("I10: a 503 for {reply:?}, where nobody asked"))?;
        m.refused += 1;
        let asked = self.shared.renamed(self.conns[m.conn].account, &m.subject);
        let want = format!("NATS/1.0 503\r\nNats-Subject: {asked}\r\n\r\n");
        // Any plain subscription of the publisher that matches the reply may be named (client-protocol.md §10).
        let sub = &self.subs[s];
        let its_own = sub.conn == m.conn && sub.queue.is_none() && matches(&sub.pattern, reply);
        if head != want.as_bytes() || !body.is_empty() || !its_own {
            return Err(format!("I10: a 503 of the wrong form for {m:?}"));
        }
        if m.refused > 1 || m.copies > 0 {
            return Err(format!("I10: a second 503, or one beside a delivery, for {m:?}"));
        }
        self.label("503");
        Ok(())
    }

    fn stand(&self, s: &Sub, m: &Msg) -> Stand {
        self.through_borders(s, m, self.stand_without_borders(s, m))
    }

    fn stand_without_borders(&self, s: &Sub, m: &Msg) -> Stand {
        if self.strays(s, m) {
            return if s.dead.is_some_and(|d| d < m.sent) { Stand::MustNot } else { Stand::May };
        }
        if let Some((from, to)) = self.far(s, m) {
            return self.stand_far(s, m, from, to);
        }
        if self.conns[s.conn].died.is_some_and(|d| d < m.sent) {
            return Stand::MustNot;
        }
        let silenced = s.conn == m.conn && !self.conns[s.conn].echo;
        let before = m.accepted.is_some_and(|a| a < s.asked);
        // On one connection everything happens in the order in which it was said.
        let own = s.conn == m.conn;
        let over = s.dead.is_some_and(|d| d < m.sent) || (own && s.end_asked.is_some_and(|e| e < m.sent));
        if silenced || before || over || (own && m.sent < s.asked) {
            return Stand::MustNot;
        }
        let Some(accepted) = m.accepted else { return Stand::May };
        if accepted > self.conns[s.conn].horizon {
            return Stand::Doubtful;
        }
        let live = own || s.live.is_some_and(|l| l < m.sent);
        let stays = s.end_asked.is_none_or(|e| accepted < e);
        if live && stays && s.max.is_none() && !self.conns[s.conn].passed_over {
            Stand::Must
        } else {
            Stand::May
        }
    }

    /// Was a message published before a subscription was asked for, and is that all that stands between them?
    fn only_too_early(&self, m: &Msg, s: &Sub) -> bool {
        let early = m.accepted.is_some_and(|a| a < s.asked) || (m.conn == s.conn && m.sent < s.asked);
        let wanted = m.conn != s.conn || self.conns[s.conn].echo;
        early && wanted && s.dead.is_none_or(|d| m.sent < d)
    }

    /// Subscriptions ever.
    pub fn subscriptions(&self) -> usize {
        self.subs.len()
    }

    /// Copies of messages that clients received, in all.
    pub fn copies(&self) -> u64 {
        self.msgs.iter().map(|m| m.copies).sum()
    }

    /// Bytes (header and payload) that clients sent.
    pub fn bytes_sent(&self) -> u64 {
        self.msgs.iter().enumerate().map(|(i, m)| self.weight(i, m.headed)).sum()
    }

    fn weight(&self, m: usize, headed: bool) -> u64 {
        (self.msgs[m].size + if headed { header(m).len() } else { 0 }) as u64
    }

    /// Subscriptions of a connection that the server should still hold.
    pub fn held(&self, conn: usize) -> u64 {
        let holds =
            |s: &&Sub| s.conn == conn && s.end_asked.is_none() && s.max.is_none_or(|max| (s.got.len() as u64) < max);
        self.subs.iter().filter(holds).count() as u64
    }
}

impl Sub {
    fn brief(&self) -> String {
        format!(
            "(conn {} sid {} {:?} queue {:?} asked {} live {:?} end {:?} dead {:?} max {:?})",
            self.conn, self.sid, self.pattern, self.queue, self.asked, self.live, self.end_asked, self.dead, self.max
        )
    }
}

#[cfg(test)]
mod tests;
