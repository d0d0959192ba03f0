//! What this cluster wants, told to other clusters over the inbound links that this shard owns (cluster-protocol.md §4.7).
//! It is the interest of all servers of the cluster together. Queue groups are told always and first; plain interest of an
//! account whole, or only as far as it takes back what was refused.
//!
//! As with routes, ends wait for one turn in which nothing was heard about that key.

use super::core::Shard;
use super::edges::Slice;
use super::ends::Key;
use crate::base::limits::{TOLD_SUBJECT_BYTES_MAX, TURN_TOLD_MAX};
use crate::base::ConnId;
use crate::conn::{Client, GatewayLink, Standing, Telling, Told, Way};
use crate::interest::{Cursor, Replica};
use crate::wire::gateway::{write_account, write_command, write_interest, write_no_interest, Command};
use crate::wire::subject;

impl Shard {
    /// The inbound links of this shard.
    fn inbounds(&self) -> impl Iterator<Item = ConnId> + '_ {
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
        let nobody = self.worlds[usize::from(account)].replica.is_empty();
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
            Told::Refused | Told::Due | Told::Telling(_) | Told::Whole => return,
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
        match link.queues {
            Some(at) => link.queues = tell_queues(at, name, replica, self.worlds.len(), &mut lines),
            None => {
                let gateway = self.settings.gateway.as_ref().map_or("", |g| g.name.as_str());
                tell_whole(link, account, (gateway, name), replica, &mut lines);
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

/// A slice of the queue groups of all accounts; where to go on.
fn tell_queues(at: Telling, name: &[u8], replica: &Replica, accounts: usize, lines: &mut Vec<u8>) -> Option<Telling> {
    let rest = replica.walk_wide(at.cursor, TURN_TOLD_MAX, |pattern, queue| {
        if !queue.is_empty() && pattern.len() <= TOLD_SUBJECT_BYTES_MAX {
            let _ = write_interest(lines, name, pattern, queue);
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

/// A slice of all plain interest of one account, between the two commands.
fn tell_whole(link: &mut GatewayLink, account: u16, names: (&str, &[u8]), replica: &Replica, lines: &mut Vec<u8>) {
    let (gateway, name) = names;
    let Some(told) = link.told.get_mut(usize::from(account)) else { return };
    let from = match told {
        Told::Telling(cursor) => *cursor,
        _ => {
            let _ = write_command(lines, gateway, Command::AllSubsStart, name);
            Cursor::default()
        }
    };
    let rest = replica.walk_wide(from, TURN_TOLD_MAX, |pattern, queue| {
        if queue.is_empty() && pattern.len() <= TOLD_SUBJECT_BYTES_MAX {
            let _ = write_interest(lines, name, pattern, b"");
        }
    });
    *told = match rest {
        Some(cursor) => Told::Telling(cursor),
        None => {
            let _ = write_command(lines, gateway, Command::AllSubsComplete, name);
            link.due.pop_front();
            Told::Whole
        }
    };
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
        let Change { account, pattern, queue, wanted, known, .. } = *self;
        let standing = Standing { since_ns: self.now_ns, why: "somebody wants something of it" };
        let Some(told) = link.told.get_mut(usize::from(account)) else { return };
        if !queue.is_empty() {
            // Coming first of all, a queue group takes the refusal of its account with it.
            if wanted && matches!(told, Told::Refused) {
                (*told, link.standing[usize::from(account)]) = (Told::Nothing, standing);
            }
            let passed = link
                .queues
                .is_none_or(|at| account < at.account || (account == at.account && replica.passed(at.cursor, pattern)));
            if passed && !known {
                self.say(lines);
            }
            return;
        }
        match told {
            Told::Refused if wanted => {
                let _ = write_account(lines, self.name, true);
                (*told, link.standing[usize::from(account)]) = (Told::Nothing, standing);
            }
            Told::Subjects(subjects) if wanted => {
                let before = subjects.len();
                match subject::is_literal(pattern) {
                    true => drop(subjects.remove(pattern)),
                    false => subjects.retain(|s| !subject::covers(pattern, s)),
                }
                if subjects.len() < before {
                    self.say(lines);
                }
            }
            Told::Telling(cursor) if !known && replica.passed(*cursor, pattern) => self.say(lines),
            Told::Whole if !known => self.say(lines),
            _ => {}
        }
    }

    fn say(&self, lines: &mut Vec<u8>) {
        // What cannot stand in a line was never told.
        let _ = match self.wanted {
            true => write_interest(lines, self.name, self.pattern, self.queue),
            false => write_no_interest(lines, self.name, self.pattern, self.queue),
        };
    }
}
