//! Interest and messages: between its own clients, and to and from peers (cluster-protocol.md §§3.12–3.14).

use super::super::super::world::World;
use super::super::foreign::Said;
use super::replies::split;
use super::{Key, Nats};
use std::collections::{BTreeMap, BTreeSet};

/// A message on its way through.
#[derive(Clone, Copy)]
pub(super) struct Letter<'a> {
    pub account: &'a str,
    pub subject: &'a str,
    pub reply: &'a str,
    pub head: &'a [u8],
    pub body: &'a [u8],
}

/// Somebody whom a queue group's message can go to.
enum Taker {
    /// A subscription of a client here.
    Here(usize, u64),
    /// A peer.
    There(String),
}

use super::super::super::oracle::matches;

impl Nats {
    /// What its clients want, with the number of members for queue groups.
    pub(super) fn wanted(&self) -> BTreeMap<Key, u64> {
        let mut all = BTreeMap::new();
        for session in self.sessions.values() {
            for sub in session.subs.values() {
                *all.entry((session.account.clone(), sub.pattern.clone(), sub.queue.clone())).or_insert(0) += 1;
            }
        }
        all
    }

    /// Tells all peers what has changed of what its clients want.
    pub(super) fn tell(&mut self, before: &BTreeMap<Key, u64>) {
        let after = self.wanted();
        let keys: BTreeSet<&Key> = before.keys().chain(after.keys()).collect();
        let mut lines = String::new();
        for key @ (account, pattern, queue) in keys {
            let (was, is) = (before.get(key).copied().unwrap_or(0), after.get(key).copied().unwrap_or(0));
            lines += &match (was, is, queue.as_str()) {
                (0, 0, _) => continue,
                (_, 0, "") => format!("RS- {account} {pattern}\r\n"),
                (_, 0, queue) => format!("RS- {account} {pattern} {queue}\r\n"),
                (0, _, "") => format!("RS+ {account} {pattern}\r\n"),
                (_, _, "") => continue,
                (was, is, _) if was == is => continue,
                (_, n, queue) => format!("RS+ {account} {pattern} {queue} {n}\r\n"),
            };
        }
        let links: Vec<usize> = self.remotes.values().map(|r| r.link).collect();
        links.into_iter().for_each(|link| self.say(link, &lines));
        self.tell_clusters();
    }

    /// `RS+` and `RS-` of a registered peer.
    pub(super) fn interest(&mut self, link: usize, words: &[&str]) {
        let id = self.conns.get(&link).and_then(|c| c.remote.clone()).unwrap_or_default();
        let key = |queue: &str| (words[1].to_string(), words[2].to_string(), queue.to_string());
        let (key, weight) = match (words[0], words.len()) {
            ("RS+", 3) | ("RS-", 3) => (key(""), 1),
            ("RS+", 5) => (key(words[3]), words[4].parse::<u64>().unwrap_or(0)),
            ("RS-", 4) => (key(words[3]), 1),
            _ => return self.complain(format!("interest in another form: {words:?}")),
        };
        if weight == 0 {
            return self.complain(format!("a weight that is none: {words:?}"));
        }
        let Some(remote) = self.remotes.get_mut(&id) else { return };
        let known = match words[0] {
            "RS+" => remote.interest.insert(key.clone(), weight),
            _ => remote.interest.remove(&key),
        };
        // A second plain RS+ leaks in a real 2.15 (T9).
        if words[0] == "RS+" && key.2.is_empty() && known.is_some() {
            self.complain(format!("plain interest is told twice: {words:?}"));
        } else if words[0] == "RS+" && !key.2.is_empty() && known == Some(weight) {
            self.complain(format!("the same number of members is told twice: {words:?}"));
        } else if words[0] == "RS-" && known.is_none() {
            self.complain(format!("an end of what was never told: {words:?}"));
        }
        self.tell_clusters();
    }

    /// A message of a client: to its own clients, to peers, to other clusters. True: somebody gets it.
    pub(super) fn publish(&mut self, from: usize, letter: &Letter<'_>) -> bool {
        let (reached, served) = self.spread(Some(from), letter, None);
        self.cross(letter, served) || reached
    }

    /// A message goes to its own clients and to peers; of queue groups only to those `named`, if they are. Says whether
    /// somebody gets it, and which groups are served.
    pub(super) fn spread(
        &mut self,
        from: Option<usize>,
        letter: &Letter<'_>,
        named: Option<&[&str]>,
    ) -> (bool, BTreeSet<String>) {
        let is_named = |queue: &String| named.is_none_or(|all| all.contains(&queue.as_str()));
        let mut reached = self.deliver_plain(from, letter);
        let mut groups: BTreeMap<String, Vec<Taker>> = BTreeMap::new();
        let mut peers: BTreeMap<String, (bool, Vec<String>)> = BTreeMap::new();
        for (link, sid, queue) in self.members(from, letter).into_iter().filter(|m| is_named(&m.2)) {
            groups.entry(queue).or_default().push(Taker::Here(link, sid));
        }
        for (id, remote) in &self.remotes {
            for ((account, pattern, queue), weight) in &remote.interest {
                if account != letter.account || !matches(pattern, letter.subject) {
                    continue;
                }
                if queue.is_empty() {
                    peers.entry(id.clone()).or_default().0 = true;
                } else if is_named(queue) {
                    let takers = groups.entry(queue.clone()).or_default();
                    takers.extend((0..*weight).map(|_| Taker::There(id.clone())));
                }
            }
        }
        let served = groups.keys().cloned().collect();
        for (queue, takers) in groups {
            match &takers[self.rng.below(takers.len() as u64) as usize] {
                Taker::Here(link, sid) => reached |= self.deliver(*link, *sid, letter),
                Taker::There(id) => peers.entry(id.clone()).or_default().1.push(queue),
            }
        }
        reached |= !peers.is_empty();
        for (id, (_, queues)) in peers {
            let bytes = over_route(letter, &queues);
            if let Some(link) = self.remotes.get(&id).map(|r| r.link) {
                if let Some(conn) = self.conns.get_mut(&link) {
                    conn.line.say(&bytes);
                }
            }
        }
        (reached, served)
    }

    /// Plain subscriptions here that match; who published with `echo:false` is passed over.
    fn deliver_plain(&mut self, from: Option<usize>, letter: &Letter<'_>) -> bool {
        let mut fits = Vec::new();
        for (link, session) in self.sessions.iter().filter(|(l, s)| s.hears(**l, from, letter.account)) {
            let subs = session.subs.iter().filter(|(_, s)| s.queue.is_empty() && matches(&s.pattern, letter.subject));
            fits.extend(subs.map(|(sid, _)| (*link, *sid)));
        }
        let mut reached = false;
        for (link, sid) in fits {
            reached |= self.deliver(link, sid, letter);
        }
        reached
    }

    /// Members of queue groups here that match.
    fn members(&self, from: Option<usize>, letter: &Letter<'_>) -> Vec<(usize, u64, String)> {
        let mut all = Vec::new();
        for (link, session) in self.sessions.iter().filter(|(l, s)| s.hears(**l, from, letter.account)) {
            let subs = session.subs.iter().filter(|(_, s)| !s.queue.is_empty() && matches(&s.pattern, letter.subject));
            all.extend(subs.map(|(sid, s)| (*link, *sid, s.queue.clone())));
        }
        all
    }

    fn deliver(&mut self, link: usize, sid: u64, letter: &Letter<'_>) -> bool {
        let Some(session) = self.sessions.get_mut(&link) else { return false };
        let Some(over) = session.give(sid, letter, self.now) else { return false };
        if over {
            let before = self.wanted();
            if let Some(session) = self.sessions.get_mut(&link) {
                session.subs.remove(&sid);
            }
            self.tell(&before);
        }
        true
    }

    /// `RMSG` and `HMSG`: for its own clients only.
    pub(super) fn routed(&mut self, w: &mut World, said: &Said) {
        let (letter, queues) = match Letter::read(said) {
            Ok(read) => read,
            Err(why) => return self.complain(format!("{why}: {:?}", said.line)),
        };
        if self.gates.is_some() && split(letter.subject).is_some() {
            return self.answer_came(w, &letter, false);
        }
        self.deliver_plain(None, &letter);
        for queue in queues {
            let members: Vec<_> = self.members(None, &letter).into_iter().filter(|m| m.2 == *queue).collect();
            match members.len() as u64 {
                0 => w.oracle.label("a queue message found no member at a nats-server"),
                n => {
                    let (link, sid, _) = &members[self.rng.below(n) as usize];
                    self.deliver(*link, *sid, &letter);
                }
            }
        }
    }
}

impl<'a> Letter<'a> {
    /// A message of a peer or of another cluster, and the groups that it names; or what is wrong with it.
    pub(super) fn read(said: &'a Said) -> Result<(Letter<'a>, Vec<&'a str>), &'static str> {
        let words = said.words();
        let sizes = if words[0] == "HMSG" { 2 } else { 1 };
        if words.len() < 3 + sizes {
            return Err("a message in another form");
        }
        let (middle, numbers) = words[3..].split_at(words.len() - 3 - sizes);
        let (reply, queues) = match middle {
            [] => ("", &[][..]),
            ["|", queues @ ..] => ("", queues),
            ["+", reply, queues @ ..] => (*reply, queues),
            [reply] => (*reply, &[][..]),
            _ => return Err("a message in another form"),
        };
        if middle.first().is_some_and(|m| ["|", "+"].contains(m)) && queues.is_empty() {
            return Err("no group is named");
        }
        let head = if sizes == 2 { numbers[0].parse().unwrap_or(usize::MAX) } else { 0 };
        if head > said.body.len() {
            return Err("a header longer than its message");
        }
        let (head, body) = said.body.split_at(head);
        Ok((Letter { account: words[1], subject: words[2], reply, head, body }, queues.to_vec()))
    }
}

/// A message as it is said to a peer.
pub(super) fn over_route(letter: &Letter<'_>, queues: &[String]) -> Vec<u8> {
    let verb = if letter.head.is_empty() { "RMSG" } else { "HMSG" };
    let mut line = format!("{verb} {} {}", letter.account, letter.subject);
    if !queues.is_empty() {
        line += if letter.reply.is_empty() { " |" } else { " +" };
    }
    if !letter.reply.is_empty() {
        line += &format!(" {}", letter.reply);
    }
    queues.iter().for_each(|q| line += &format!(" {q}"));
    if !letter.head.is_empty() {
        line += &format!(" {}", letter.head.len());
    }
    line += &format!(" {}\r\n", letter.head.len() + letter.body.len());
    [line.as_bytes(), letter.head, letter.body, b"\r\n"].concat()
}
