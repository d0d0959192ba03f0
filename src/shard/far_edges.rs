//! What this cluster wants, told to other clusters over the inbound links that this shard owns (cluster-protocol.md §4.7).
//! It is the interest of all servers of the cluster together. Queue groups are told always and first; plain interest of an
//! account whole, or only as far as it takes back what was refused.
//!
//! Where there is a border, all this is said of the parts that may come from that cluster ([`Cut`](crate::conn::Cut)).
//!
//! As with routes, ends wait for one turn in which nothing was heard about that key.

use super::core::Shard;
use super::edges::Slice;
use super::ends::Key;
use crate::base::limits::{TOLD_SUBJECT_BYTES_MAX, TURN_TOLD_MAX};
use crate::base::{ConnId, Set};
use crate::conn::{Client, Cut, GatewayLink, Standing, Telling, Told, Way};
use crate::interest::{Cursor, Replica};
use crate::wire::gateway::{write_account, write_command, write_interest, write_no_interest, Command};
use crate::wire::subject;

impl Shard {
    /// The inbound links of this shard.
    pub(super) fn inbounds(&self) -> impl Iterator<Item = ConnId> + '_ {
        let link = |conn: &ConnId| self.outbox.conns.get(*conn).and_then(|c| c.gateway.as_deref());
        self.gateway_links.values().copied().filter(move |c| link(c).is_some_and(|l| l.intro.way == Way::In))
    }

    /// What this cluster wants of one pattern has begun, or ended.
    pub(super) fn wide_edge(&mut self, account: u16, pattern: &[u8], queue: &[u8], before: bool, after: bool) {
        if before == after || self.gateway_links.is_empty() || self.inbounds().next().is_none() {
            return;
        }
        if !after {
            self.wide_ends.add(Key::new(account, pattern, queue));
            if self.clusters_being_told() {
                self.tell_wide_ends(true);
            }
            return;
        }
        let known = self.wide_ends.wait() && self.wide_ends.take_back(&Key::new(account, pattern, queue));
        self.tell_wide(account, pattern, queue, true, known);
    }

    fn clusters_being_told(&self) -> bool {
        let telling = |c: &Client| c.lives() && c.gateway.as_deref().is_some_and(GatewayLink::is_being_told);
        self.untold.iter().any(|conn| self.outbox.conns.get(*conn).is_some_and(telling))
    }

    /// Tells the ends that nothing was heard about in this turn; `all`: the others too.
    pub(super) fn tell_wide_ends(&mut self, all: bool) {
        for key in self.wide_ends.due(all) {
            self.tell_wide(key.account, &key.pattern, &key.queue, false, false);
        }
    }

    /// `known`: whoever is told everything has not been told of its end, and knows it.
    fn tell_wide(&mut self, account: u16, pattern: &[u8], queue: &[u8], wanted: bool, known: bool) {
        if pattern.len() > TOLD_SUBJECT_BYTES_MAX {
            return;
        }
        let inbounds: Vec<ConnId> = self.inbounds().collect();
        let name = self.settings.auth.accounts[usize::from(account)].name.as_bytes();
        let replica = &self.worlds[usize::from(account)].replica;
        let now_ns = self.now.wall_ns;
        for conn in inbounds {
            let mut lines = std::mem::take(&mut self.lines);
            lines.clear();
            if let Some(link) = self.outbox.conns.get_mut(conn).and_then(|c| c.gateway.as_deref_mut()) {
                let change = Change { account, name, pattern, queue, wanted, known, now_ns };
                change.write(link, replica, &mut lines);
            }
            if !lines.is_empty() {
                self.outbox.say(conn, |out| out.extend_from_slice(&lines));
            }
            self.lines = lines;
        }
    }

    /// A message came over an inbound link to a subject that nobody in this cluster wants plain: whoever sends unasked is
    /// told so, once for each subject; after too many of them the whole interest of the account follows instead.
    pub(super) fn refuse_subject(&mut self, id: ConnId, account: u16, refused: &[u8]) {
        let most = self.settings.gateway.as_ref().map_or(0, |g| g.no_interest_max);
        let shut_out = |c: &Client| c.gateway.as_deref().is_some_and(|l| !l.cut.admits(account, b">"));
        let nobody =
            self.worlds[usize::from(account)].replica.is_empty() || self.outbox.conns.get(id).is_some_and(shut_out);
        let name = self.settings.auth.accounts[usize::from(account)].name.clone();
        let (now_ns, seed) = (self.now.wall_ns, self.sids);
        let Some(link) = self.outbox.conns.get_mut(id).and_then(|c| c.gateway.as_deref_mut()) else { return };
        let Some(told) = link.told.get_mut(usize::from(account)) else { return };
        if refused.starts_with(b"_R_.") {
            return;
        }
        let mut line = Vec::new();
        let why = match told {
            Told::Nothing if nobody => {
                let _ = write_account(&mut line, name.as_bytes(), false);
                *told = Told::Refused;
                "nobody wants anything of it"
            }
            Told::Nothing => {
                let mut subjects = crate::base::Set::with_hasher(seed);
                let _ = write_no_interest(&mut line, name.as_bytes(), refused, b"");
                subjects.insert(refused.into());
                *told = Told::Subjects(subjects);
                "a message nobody wanted"
            }
            Told::Subjects(subjects) if subjects.contains(refused) => return,
            Told::Subjects(subjects) if subjects.len() < most => {
                // What cannot be said is remembered all the same: it is not to be tried for each message.
                let _ = write_no_interest(&mut line, name.as_bytes(), refused, b"");
                subjects.insert(refused.into());
                ""
            }
            Told::Subjects(_) => {
                *told = Told::Due;
                if !link.is_being_told() {
                    self.untold.push(id);
                }
                link.due.push_back(account);
                self.peer_work = true;
                "too many subjects were refused"
            }
            Told::Refused | Told::Due | Told::Telling(_) | Told::Retelling(_) | Told::Whole => return,
        };
        if !why.is_empty() {
            link.standing[usize::from(account)] = Standing { since_ns: now_ns, why };
        }
        self.outbox.say(id, |out| out.extend_from_slice(&line));
    }

    /// Goes on telling another cluster what this one wants.
    pub(super) fn tell_far_slice(&mut self, conn: ConnId) -> Slice {
        let link = self.outbox.conns.get_mut(conn).and_then(|c| c.gateway.as_deref_mut());
        let Some(link) = link.filter(|l| l.is_being_told()) else { return Slice::Done };
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let account = link.queues.map_or_else(|| link.due.front().copied().unwrap_or(0), |q| q.account);
        let name = self.settings.auth.accounts[usize::from(account)].name.as_bytes();
        let replica = &self.worlds[usize::from(account)].replica;
        let gateway = self.settings.gateway.as_ref().map_or("", |g| g.name.as_str());
        match (link.queues, link.due.is_empty()) {
            (Some(at), _) => link.queues = tell_queues(link, at, name, replica, self.worlds.len(), &mut lines),
            (None, false) => tell_whole(link, account, (gateway, name), replica, &mut lines),
            (None, true) => {
                let accounts = &self.settings.auth.accounts;
                let interest = |at: usize| &self.worlds[at].replica;
                let whole = |at: usize| matches!(link.told[at], Told::Whole);
                link.cut.take_back(TURN_TOLD_MAX, interest, whole, |at, pattern, queue| {
                    let _ = write_no_interest(&mut lines, accounts[at].name.as_bytes(), pattern, queue);
                });
            }
        }
        let more = link.is_being_told();
        if !lines.is_empty() {
            self.outbox.say(conn, |out| out.extend_from_slice(&lines));
        }
        self.lines = lines;
        Slice::of(more)
    }
}

/// What a slice has come past, where it matters: parts of other patterns may be patterns themselves that were told just now.
struct Visited(Option<Set<Box<[u8]>>>);

impl Visited {
    fn new(cut: &Cut, account: u16) -> Visited {
        Visited(cut.cuts(account).then(Set::default))
    }

    fn add(&mut self, pattern: &[u8], queue: &[u8]) {
        if let Some(keys) = &mut self.0 {
            keys.insert(key(pattern, queue));
        }
    }

    fn has(&self, pattern: &[u8], queue: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|keys| keys.contains(&key(pattern, queue)))
    }
}

/// No pattern has a blank.
fn key(pattern: &[u8], queue: &[u8]) -> Box<[u8]> {
    [pattern, b" ", queue].concat().into()
}

/// A slice of the queue groups of all accounts; where to go on.
fn tell_queues(
    link: &mut GatewayLink,
    at: Telling,
    name: &[u8],
    replica: &Replica,
    accounts: usize,
    lines: &mut Vec<u8>,
) -> Option<Telling> {
    let mut slice = Visited::new(&link.cut, at.account);
    let rest = replica.walk_wide(at.cursor, TURN_TOLD_MAX, |pattern, queue| {
        if !queue.is_empty() && pattern.len() <= TOLD_SUBJECT_BYTES_MAX {
            let told = |p: &[u8], q: &[u8]| slice.has(p, q) || (replica.passed(at.cursor, p) && replica.is_wide(p, q));
            link.cut.began((at.account, pattern, queue), told, |part| {
                let _ = write_interest(lines, name, part, queue);
            });
            slice.add(pattern, queue);
        }
    });
    match rest {
        Some(cursor) => Some(Telling { cursor, ..at }),
        None if usize::from(at.account) + 1 < accounts => {
            Some(Telling { account: at.account + 1, cursor: Cursor::default() })
        }
        None => None,
    }
}

/// A slice of all plain interest of one account, between the two commands where it had not been told before.
fn tell_whole(link: &mut GatewayLink, account: u16, names: (&str, &[u8]), replica: &Replica, lines: &mut Vec<u8>) {
    let (gateway, name) = names;
    let Some(told) = link.told.get_mut(usize::from(account)) else { return };
    let (from, again) = match told {
        Told::Telling(cursor) => (*cursor, false),
        Told::Retelling(cursor) => (*cursor, true),
        _ => {
            let _ = write_command(lines, gateway, Command::AllSubsStart, name);
            (Cursor::default(), false)
        }
    };
    let mut slice = Visited::new(&link.cut, account);
    let rest = replica.walk_wide(from, TURN_TOLD_MAX, |pattern, queue| {
        if queue.is_empty() && pattern.len() <= TOLD_SUBJECT_BYTES_MAX {
            let before = |p: &[u8], q: &[u8]| slice.has(p, q) || (replica.passed(from, p) && replica.is_wide(p, q));
            link.cut.began((account, pattern, b""), before, |part| {
                let _ = write_interest(lines, name, part, b"");
            });
            slice.add(pattern, b"");
        }
    });
    *told = match (rest, again) {
        (Some(cursor), false) => Told::Telling(cursor),
        (Some(cursor), true) => Told::Retelling(cursor),
        (None, _) => Told::Whole,
    };
    if rest.is_none() {
        link.due.pop_front();
        if !again {
            let _ = write_command(lines, gateway, Command::AllSubsComplete, name);
        }
    }
}

/// Interest of this cluster that began or ended.
struct Change<'a> {
    account: u16,
    name: &'a [u8],
    pattern: &'a [u8],
    queue: &'a [u8],
    wanted: bool,
    known: bool,
    now_ns: u64,
}

impl Change<'_> {
    /// What one link is told of it.
    fn write(&self, link: &mut GatewayLink, replica: &Replica, lines: &mut Vec<u8>) {
        let Change { account, pattern, queue, wanted, .. } = *self;
        let standing = Standing { since_ns: self.now_ns, why: "somebody wants something of it" };
        let GatewayLink { told, queues, cut, standing: standings, .. } = link;
        let Some(told) = told.get_mut(usize::from(account)) else { return };
        if !queue.is_empty() {
            // Coming first of all, a queue group takes the refusal of its account with it.
            if wanted && matches!(told, Told::Refused) && cut.admits(account, pattern) {
                (*told, standings[usize::from(account)]) = (Told::Nothing, standing);
            }
            let walk = *queues;
            let passed = |p: &[u8]| {
                walk.is_none_or(|at| account < at.account || (account == at.account && replica.passed(at.cursor, p)))
            };
            return self.write_parts(cut, replica, passed, lines);
        }
        match told {
            Told::Refused if wanted && cut.admits(account, pattern) => {
                let _ = write_account(lines, self.name, true);
                (*told, standings[usize::from(account)]) = (Told::Nothing, standing);
            }
            Told::Subjects(subjects) if wanted => cut.each_part(account, pattern, |part| {
                let before = subjects.len();
                match subject::is_literal(part) {
                    true => drop(subjects.remove(part)),
                    false => subjects.retain(|s| !subject::covers(part, s)),
                }
                if subjects.len() < before {
                    self.say(part, lines);
                }
            }),
            Told::Telling(cursor) | Told::Retelling(cursor) => {
                let cursor = *cursor;
                self.write_parts(cut, replica, |p| replica.passed(cursor, p), lines);
            }
            Told::Whole => self.write_parts(cut, replica, |_| true, lines),
            _ => {}
        }
    }

    /// What of it begins or ceases to be announced, to whoever is told everything of those patterns that are `passed`.
    fn write_parts(&self, cut: &mut Cut, replica: &Replica, passed: impl Fn(&[u8]) -> bool, lines: &mut Vec<u8>) {
        let Change { account, pattern, queue, wanted, known, .. } = *self;
        let what = (account, pattern, queue);
        let told = |p: &[u8], q: &[u8]| passed(p) && replica.is_wide(p, q);
        let mut said = false;
        if passed(pattern) && !known {
            let say = |part: &[u8]| {
                said |= *part == *pattern;
                self.say(part, lines);
            };
            match wanted {
                true => cut.began(what, told, say),
                false => cut.ended(what, told, say),
            }
        }
        if !wanted && !said && cut.was_whole(account, pattern, queue) {
            self.say(pattern, lines);
        }
    }

    fn say(&self, part: &[u8], lines: &mut Vec<u8>) {
        // What cannot stand in a line was never told.
        let _ = match self.wanted {
            true => write_interest(lines, self.name, part, self.queue),
            false => write_no_interest(lines, self.name, part, self.queue),
        };
    }
}
