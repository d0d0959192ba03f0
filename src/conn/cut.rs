//! How this cluster's interest is cut at its border for one inbound link (docs/borders.md): what the other end is told is
//! what is wanted and may come from there. Lives in the link; called by whoever tells it.
//!
//! After a change of the rules everything is told anew, and then what only the former rules announced is taken back, in
//! slices: for a moment too much is announced, never too little, and messages are judged by the new rules at once.

use crate::interest::border::{Announced, Class, Wall};
use crate::interest::{Cursor, Replica};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Parts that were announced, by account.
type Parts = Vec<Option<Box<Announced>>>;

/// What was announced by former rules, as far as it has not been taken back.
struct Former {
    wall: Arc<Wall>,
    class: Class,
    parts: Parts,
    /// How far it has been gone through: the account, whether its parts, where.
    account: usize,
    in_parts: bool,
    cursor: Cursor,
}

/// Is, or was, this announced as a part of something?
fn hold(parts: &Parts, account: usize, pattern: &[u8], queue: &[u8]) -> bool {
    parts.get(account).and_then(Option::as_deref).is_some_and(|p| p.holds(pattern, queue))
}

impl Former {
    /// Will this be taken back where these rules are gone through?
    fn announced(&self, account: usize, pattern: &[u8], queue: &[u8], interest: &Replica) -> bool {
        hold(&self.parts, account, pattern, queue)
            || (interest.is_wide(pattern, queue) && self.wall.is_whole(account, self.class, pattern))
    }
}

/// See the file's head.
pub struct Cut {
    wall: Arc<Wall>,
    class: Class,
    parts: Parts,
    former: VecDeque<Former>,
    seed: u64,
}

impl Cut {
    /// For a link from this cluster, on a server with so many accounts; `seed` keys hashes.
    pub fn new(wall: Arc<Wall>, cluster: &str, accounts: usize, seed: u64) -> Cut {
        let class = wall.class(cluster);
        Cut { wall, class, parts: (0..accounts).map(|_| None).collect(), former: VecDeque::new(), seed }
    }

    /// There are so many accounts now.
    pub fn grow(&mut self, accounts: usize) {
        self.parts.resize_with(accounts, || None);
    }

    /// What the rules know the cluster as.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Other rules hold. Everything that is wanted has to begin anew, and then [`Cut::take_back`] be called until it is done.
    pub fn renew(&mut self, wall: Arc<Wall>, cluster: &str) {
        let fresh = Cut::new(wall, cluster, self.parts.len(), self.seed);
        let Cut { wall, class, parts, former, .. } = std::mem::replace(self, fresh);
        self.former = former;
        self.former.push_back(Former { wall, class, parts, account: 0, in_parts: false, cursor: Cursor::default() });
    }

    /// Is there something that only former rules announced, perhaps?
    pub fn is_renewed(&self) -> bool {
        !self.former.is_empty()
    }

    /// May anything of this account be announced in parts?
    pub fn cuts(&self, account: u16) -> bool {
        !self.wall.is_whole(usize::from(account), self.class, b">")
    }

    /// Is any part of this announced?
    pub fn admits(&self, account: u16, pattern: &[u8]) -> bool {
        self.wall.admits_some(usize::from(account), self.class, pattern)
    }

    /// Visits what is announced of it.
    pub fn each_part(&self, account: u16, pattern: &[u8], visit: impl FnMut(&[u8])) {
        self.wall.announce(usize::from(account), self.class, pattern, visit);
    }

    /// A pattern begins to be wanted, as far as the other end is told: calls `say` with what begins to be announced. `told`
    /// says of another pattern whether it is wanted and has begun here.
    pub fn began(
        &mut self,
        (account, pattern, queue): (u16, &[u8], &[u8]),
        told: impl Fn(&[u8], &[u8]) -> bool,
        mut say: impl FnMut(&[u8]),
    ) {
        let at = usize::from(account);
        let Some(parts) = self.parts.get_mut(at) else { return };
        if parts.is_none() && self.wall.is_whole(at, self.class, pattern) {
            return say(pattern);
        }
        let parts = parts.get_or_insert_with(|| Box::new(Announced::new(at, self.class, self.seed)));
        parts.began(&self.wall, pattern, queue, told, |part, _, _| say(part));
    }

    /// It is no longer wanted, and had begun: what ceases to be announced.
    pub fn ended(
        &mut self,
        (account, pattern, queue): (u16, &[u8], &[u8]),
        told: impl Fn(&[u8], &[u8]) -> bool,
        mut say: impl FnMut(&[u8]),
    ) {
        let at = usize::from(account);
        match self.parts.get_mut(at) {
            Some(Some(parts)) => parts.ended(&self.wall, pattern, queue, told, |part, _, _| say(part)),
            Some(None) if self.wall.is_whole(at, self.class, pattern) => say(pattern),
            _ => {}
        }
    }

    /// A pattern that is no longer wanted was announced whole by former rules, perhaps, and is not a part of anything now.
    pub fn was_whole(&self, account: u16, pattern: &[u8], queue: &[u8]) -> bool {
        self.former.iter().any(|f| f.wall.is_whole(usize::from(account), f.class, pattern))
            && !self.holds(account, pattern, queue)
    }

    fn holds(&self, account: u16, pattern: &[u8], queue: &[u8]) -> bool {
        hold(&self.parts, usize::from(account), pattern, queue)
    }

    /// Takes back a slice of `max` patterns of what only former rules announced; `interest` is that of an account, `whole`
    /// says whether its plain interest is told. Calls `say` with account, pattern and queue group.
    pub fn take_back<'r>(
        &mut self,
        max: usize,
        interest: impl Fn(usize) -> &'r Replica,
        whole: impl Fn(usize) -> bool,
        mut say: impl FnMut(usize, &[u8], &[u8]),
    ) {
        let Some(mut f) = self.former.pop_front() else { return };
        let (at, replica, told) = (f.account, interest(f.account), whole(f.account));
        let now_whole = |pattern: &[u8]| self.wall.is_whole(at, self.class, pattern);
        let held = |pattern: &[u8], queue: &[u8]| self.holds(at as u16, pattern, queue);
        // Rules that came between may have announced it, too: what all of them announced is taken back with the last.
        let later = |pattern: &[u8], queue: &[u8]| self.former.iter().any(|f| f.announced(at, pattern, queue, replica));
        let counts = |queue: &[u8]| told || !queue.is_empty();
        let next = if f.in_parts {
            let stands = |p: &[u8], q: &[u8]| held(p, q) || (now_whole(p) && replica.is_wide(p, q));
            let parts = f.parts.get(at).and_then(Option::as_deref);
            parts.and_then(|parts| {
                parts.walk(f.cursor, max, |p, q| {
                    if counts(q) && !stands(p, q) && !later(p, q) {
                        say(at, p, q);
                    }
                })
            })
        } else {
            let was = |pattern: &[u8]| f.wall.is_whole(at, f.class, pattern);
            replica.walk_wide(f.cursor, max, |p, q| {
                let once = !hold(&f.parts, at, p, q) && !later(p, q);
                if counts(q) && was(p) && !now_whole(p) && !held(p, q) && once {
                    say(at, p, q);
                }
            })
        };
        f.cursor = next.unwrap_or_default();
        if next.is_none() {
            f.account += usize::from(f.in_parts);
            f.in_parts = !f.in_parts;
        }
        if f.account < self.parts.len() {
            self.former.push_front(f);
        }
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cut").field("class", &self.class).field("former", &self.former.len()).finish_non_exhaustive()
    }
}
