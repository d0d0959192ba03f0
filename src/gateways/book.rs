//! The other clusters, and where their servers take gateways: those in the list for ever, those heard of for as long as
//! there is hope. One per machine. It says which address is due; the machine dials.
//!
//! ```text
//!            due              connected            registered
//! Waiting ────────▶ Dialing ────────────▶ Greeting ───────────▶ Linked
//!    ▲                 │ failed               │ failed             │ the link ended
//!    └─────────────────┴──────────────────────┴────────────────────┘
//! Given up: not in the list, not reached in so many rounds, and there is no sign of life: it has no link to us, and no
//! member of this cluster reaches it. Dialed again when it is heard of again.
//! ```
//! A round tries each address once, in an order that chance picks, a little apart; an address is never dialed more often
//! than once a second. After a round without success there is a pause that grows.

use super::address::Place;
use crate::base::limits::{CLUSTERS_MAX, CLUSTER_URLS_MAX};
use crate::base::{Cid, Rng, Time, MILLISECOND, SECOND};
use crate::policy::RemoteGateway;
use crate::wire::address::{join_address, split_address};
use std::collections::{BTreeMap, VecDeque};

/// The first pause after a round that failed, and the longest.
const PAUSE_NS: u64 = SECOND;
const PAUSE_MAX_NS: u64 = 30 * SECOND;
/// From when a cluster is first heard of to its first dial.
const GATHER_NS: u64 = 100 * MILLISECOND;
/// Between two addresses of one round.
const GAP_NS: u64 = 50 * MILLISECOND;
/// A link that lasted so long was a success; a shorter one counts as one more failure.
pub(super) const STABLE_NS: u64 = 10 * SECOND;

/// Names one attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dial(pub u64);

/// Where a cluster stands; see the file's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// To be dialed then.
    Waiting(Time),
    /// A connection is being made.
    Dialing(Dial),
    /// Connected; hands are being shaken.
    Greeting(Cid),
    /// There is a link.
    Linked(Cid),
    /// Nobody dials it.
    GivenUp,
}

/// One other cluster.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// It is in the list.
    pub configured: bool,
    /// How many entries of the list bear its name.
    pub entries: u32,
    pub standing: Standing,
    /// By `host:port`.
    pub places: BTreeMap<String, Place>,
    /// Still to be tried in this round.
    round: VecDeque<String>,
    /// When any of its addresses was last dialed.
    dialed_at: Option<Time>,
    /// The address tried now, or linked to.
    pub at: String,
    /// Rounds in a row that failed.
    pub failures: u32,
    /// What went wrong last, with the address; empty: nothing since it was last well.
    pub last_error: String,
    /// Since when there is no link; at first, since it is known.
    pub without_since: Time,
}

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: BTreeMap<String, Entry>,
    dials: BTreeMap<Dial, String>,
    last_dial: u64,
    /// Addresses dialed within the last second, under whatever name.
    lately: BTreeMap<String, Time>,
}

/// What came of naming a cluster and its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Learned {
    /// Something was new.
    pub news: bool,
    /// The cluster itself was.
    pub stranger: bool,
    /// Clusters or addresses that found no room.
    pub overlooked: u64,
}

impl Book {
    /// Takes the configured list; clusters that are no longer in it count as heard of. New ones are due at `due`.
    pub(super) fn configure(&mut self, own: &str, remotes: &[RemoteGateway], now: Time, due: Time) {
        for entry in self.entries.values_mut() {
            (entry.configured, entry.entries) = (false, 0);
            entry.places.values_mut().for_each(|p| (p.configured, p.login) = (false, None));
        }
        for remote in remotes.iter().filter(|r| r.name != own) {
            self.room(now);
            let entry = self.entries.entry(remote.name.clone()).or_insert_with(|| Entry::new(now, due));
            (entry.configured, entry.entries) = (true, remote.entries);
            for url in &remote.urls {
                let address = join_address(&url.host, url.port);
                let place = entry.places.entry(address).or_insert_with(|| Place::new(&url.host, url.port));
                (place.configured, place.login) = (true, url.login.clone());
            }
            if entry.standing == Standing::GivenUp {
                entry.standing = Standing::Waiting(due);
            }
        }
    }

    /// A cluster is said to have servers at these addresses; it is dialed in a moment if it is new, when more of them are
    /// known: who hears of it last would else be sent where everybody is.
    pub(super) fn learn(&mut self, name: &str, urls: &[String], now: Time) -> Learned {
        let mut learned = Learned { news: false, stranger: false, overlooked: 0 };
        if !self.entries.contains_key(name) {
            self.room(now);
            if self.entries.len() >= CLUSTERS_MAX {
                return Learned { overlooked: 1, ..learned };
            }
            self.entries.insert(name.into(), Entry::new(now, now.plus_ns(GATHER_NS)));
            (learned.news, learned.stranger) = (true, true);
        }
        let Some(entry) = self.entries.get_mut(name) else { return learned };
        for url in urls {
            // As most are told, again and again by every member and every cluster.
            if entry.places.contains_key(url) {
                continue;
            }
            let Some((host, port)) = split_address(url) else { continue };
            let address = join_address(host, port);
            if entry.places.contains_key(&address) {
                continue;
            }
            if entry.places.len() >= CLUSTER_URLS_MAX {
                learned.overlooked += 1;
                continue;
            }
            learned.news = true;
            entry.places.insert(address.clone(), Place::new(host, port));
            entry.round.push_back(address);
            if let Standing::Waiting(at) = entry.standing {
                // A new place to try is not kept waiting, but a cluster is not dialed again within a second for it.
                let soonest = entry.dialed_at.map_or(at, |at| at.plus_ns(PAUSE_NS)).max(now);
                entry.standing = Standing::Waiting(at.min(soonest));
            }
        }
        entry.revive(now);
        learned
    }

    /// Somebody reaches a cluster: if it was given up it is dialed again.
    pub(super) fn revive(&mut self, name: &str, now: Time) {
        self.entries.entry(name.into()).and_modify(|e| e.revive(now));
    }

    /// The cluster's own word on where its servers are: what was learned before goes.
    pub(super) fn replace(&mut self, name: &str, urls: &[String], now: Time) -> Learned {
        let mut before = Vec::new();
        if let Some(entry) = self.entries.get_mut(name) {
            let named: Vec<String> =
                urls.iter().filter_map(|u| split_address(u)).map(|(h, p)| join_address(h, p)).collect();
            let at = entry.at.clone();
            before = entry.places.keys().cloned().collect();
            entry.places.retain(|address, p| p.configured || *address == at || named.contains(address));
        }
        let mut learned = self.learn(name, urls, now);
        let after = self.entries.get(name).map(|e| e.places.len()).unwrap_or_default();
        learned.news |= before.len() != after;
        learned
    }

    /// Drops a cluster that nobody dials, if the book is full. Not one that was dialed lately: named again it would be
    /// dialed anew, and whoever names one after the other could have us dial without pause.
    fn room(&mut self, now: Time) {
        if self.entries.len() < CLUSTERS_MAX {
            return;
        }
        let rested = |e: &Entry| e.dialed_at.is_none_or(|at| now.since(at) >= PAUSE_MAX_NS);
        let idle = self.entries.iter().find(|(_, e)| e.standing == Standing::GivenUp && !e.configured && rested(e));
        if let Some(name) = idle.map(|(name, _)| name.clone()) {
            self.entries.remove(&name);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.get_mut(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter()
    }

    /// Dials under way.
    pub(super) fn dialing(&self) -> usize {
        self.dials.len()
    }

    /// Clusters due now, at most `room`.
    pub(super) fn due(&self, now: Time, room: usize) -> Vec<String> {
        let due = self.entries.iter().filter(|(_, e)| matches!(e.standing, Standing::Waiting(at) if at <= now));
        due.take(room).map(|(name, _)| name.clone()).collect()
    }

    /// Nobody dials this cluster any more.
    pub(super) fn give_up(&mut self, name: &str) {
        self.entries.entry(name.into()).and_modify(|e| e.standing = Standing::GivenUp);
    }

    /// The next moment a cluster is due.
    pub(super) fn next_at(&self) -> Option<Time> {
        let waiting = self.entries.values().filter_map(|e| match e.standing {
            Standing::Waiting(at) => Some(at),
            _ => None,
        });
        waiting.min()
    }

    /// Begins a dial of the next address of this round, or of a new round. `None`: it was dialed too lately, or has no
    /// address; it is due later.
    pub(super) fn dial(&mut self, name: &str, now: Time, rng: &mut Rng) -> Option<(Dial, String, u16)> {
        let entry = self.entries.get_mut(name)?;
        // The first addresses were heard of in the same order everywhere.
        if entry.round.is_empty() || entry.dialed_at.is_none() {
            entry.new_round(rng);
        }
        let Some(address) = entry.round.front().cloned() else {
            entry.standing = Standing::Waiting(now.plus_ns(PAUSE_MAX_NS));
            return None;
        };
        let place = entry.places.get_mut(&address);
        // Several clusters may be said to be at one address.
        self.lately.retain(|_, at| now.since(*at) < PAUSE_NS);
        if let Some(at) = self.lately.get(&address).map(|at| at.plus_ns(PAUSE_NS)) {
            entry.standing = Standing::Waiting(at);
            return None;
        }
        entry.round.pop_front();
        let Some(place) = place else {
            // It was replaced since the round began.
            entry.standing = Standing::Waiting(now);
            return None;
        };
        place.attempts += 1;
        entry.dialed_at = Some(now);
        self.lately.insert(address.clone(), now);
        self.last_dial += 1;
        let dial = Dial(self.last_dial);
        let (host, port) = (place.host.clone(), place.port);
        (entry.standing, entry.at) = (Standing::Dialing(dial), address);
        self.dials.insert(dial, name.into());
        Some((dial, host, port))
    }

    /// A dial came to an end: the cluster it was for. `None`: nobody waits for it.
    pub(super) fn answered(&mut self, dial: Dial) -> Option<String> {
        let name = self.dials.remove(&dial)?;
        self.entries.get(&name).is_some_and(|e| e.standing == Standing::Dialing(dial)).then_some(name)
    }

    /// An attempt failed. The next address of the round has its turn; after the last one, a pause that grows. A cluster
    /// that is not in the list is given up after `retries` further rounds, unless it is `wanted`: it reaches us, or a member
    /// reaches it.
    pub(super) fn failed(&mut self, name: &str, why: &str, now: Time, rng: &mut Rng, retries: u32, wanted: bool) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let at = entry.at.clone();
        entry.last_error = format!("{at}: {why}");
        if let Some(place) = entry.places.get_mut(&at) {
            why.clone_into(&mut place.last_error);
        }
        if !entry.round.is_empty() {
            entry.standing = Standing::Waiting(now.plus_ns(GAP_NS + rng.below(GAP_NS)));
            return;
        }
        entry.failures = entry.failures.saturating_add(1);
        if !entry.configured && !wanted && entry.failures > retries {
            entry.standing = Standing::GivenUp;
            return;
        }
        entry.standing = Standing::Waiting(now.plus_ns(pause(entry.failures, rng)));
    }

    /// There is a link.
    pub(super) fn linked(&mut self, name: &str, link: Cid) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.standing = Standing::Linked(link);
            entry.round.clear();
        }
    }

    /// The link has lasted: what was before is past.
    pub(super) fn proved(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.failures = 0;
            entry.last_error.clear();
            let at = entry.at.clone();
            entry.places.get_mut(&at).into_iter().for_each(|p| p.last_error.clear());
        }
    }

    /// The link ended after `lasted` nanoseconds. If that was long enough a round begins at once, and the address it led
    /// to comes last.
    pub(super) fn unlinked(&mut self, name: &str, why: &str, lasted: u64, now: Time, rng: &mut Rng) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let at = entry.at.clone();
        entry.without_since = now;
        entry.last_error = format!("{at}: {why}");
        if let Some(place) = entry.places.get_mut(&at) {
            why.clone_into(&mut place.last_error);
        }
        entry.new_round(rng);
        if lasted < STABLE_NS {
            entry.failures = entry.failures.saturating_add(1);
            entry.standing = Standing::Waiting(now.plus_ns(pause(entry.failures, rng)));
            return;
        }
        entry.failures = 0;
        entry.standing = Standing::Waiting(now.plus_ns(rng.below(100) * MILLISECOND));
    }
}

impl Entry {
    fn new(now: Time, due: Time) -> Entry {
        Entry {
            configured: false,
            entries: 0,
            standing: Standing::Waiting(due),
            places: BTreeMap::new(),
            round: VecDeque::new(),
            dialed_at: None,
            at: String::new(),
            failures: 0,
            last_error: String::new(),
            without_since: now,
        }
    }

    /// Heard of again: dialed, but no sooner than the pause would have ended.
    fn revive(&mut self, now: Time) {
        if self.standing == Standing::GivenUp {
            let paused = self.dialed_at.map_or(now, |at| at.plus_ns(pause_max(self.failures)));
            self.standing = Standing::Waiting(paused.max(now));
        }
    }

    /// All addresses in an order that chance picks, the one that was tried last behind the others.
    fn new_round(&mut self, rng: &mut Rng) {
        let mut all: Vec<String> = self.places.keys().filter(|a| **a != self.at).cloned().collect();
        for i in (1..all.len()).rev() {
            all.swap(i, rng.below(i as u64 + 1) as usize);
        }
        all.extend(self.places.contains_key(&self.at).then(|| self.at.clone()));
        self.round = all.into();
    }

    /// The cluster's addresses, as others are told.
    pub(super) fn urls(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }
}

/// The longest pause after so many failures in a row.
fn pause_max(failures: u32) -> u64 {
    PAUSE_NS.saturating_mul(1 << failures.saturating_sub(1).min(5)).min(PAUSE_MAX_NS)
}

/// The pause after so many rounds in a row that failed: doubling, capped, up to a quarter shorter by chance so that many
/// servers do not dial in step, but never less than a second.
fn pause(failures: u32, rng: &mut Rng) -> u64 {
    let full = pause_max(failures);
    (full - rng.below(full / 4)).max(PAUSE_NS + rng.below(PAUSE_NS / 4)).min(PAUSE_MAX_NS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RouteUrl;

    fn remote(name: &str, hosts: &[&str]) -> RemoteGateway {
        let url = |h: &&str| RouteUrl { host: (*h).into(), port: 1, login: None };
        RemoteGateway { name: name.into(), urls: hosts.iter().map(url).collect(), entries: 1, tls: None }
    }

    fn dialed(book: &mut Book, now: Time, rng: &mut Rng) -> Vec<String> {
        let due = book.due(now, 10);
        due.iter().filter_map(|n| book.dial(n, now, rng)).map(|(_, host, _)| host).collect()
    }

    #[test]
    fn a_round_tries_each_address_once_and_pauses_grow_to_thirty_seconds() {
        let (mut book, mut rng) = (Book::default(), Rng::new(1));
        book.configure("own", &[remote("own", &["x"]), remote("w", &["a", "b", "c"])], Time(0), Time(0));
        let (mut now, mut last, mut rounds) = (Time(0), BTreeMap::<String, Time>::new(), Vec::new());
        while rounds.len() < 10 {
            let mut round = Vec::new();
            let begun = now;
            while round.len() < 3 {
                now = now.max(book.next_at().unwrap());
                for host in dialed(&mut book, now, &mut rng) {
                    let before = last.insert(host.clone(), now);
                    assert!(before.is_none_or(|at| now.since(at) >= SECOND), "{host} twice within a second");
                    round.push(host);
                    book.failed("w", "refused", now, &mut rng, 0, false);
                }
            }
            round.sort();
            assert_eq!(round, ["a", "b", "c"]);
            rounds.push(now.since(begun) / SECOND);
        }
        assert!(rounds.iter().all(|s| *s <= 31), "{rounds:?}");
        assert!(rounds[8] >= 22, "{rounds:?}");
        assert_eq!(book.get("w").unwrap().failures, 10);
    }

    #[test]
    fn who_is_not_in_the_list_is_given_up_unless_it_reaches_us_and_comes_back_when_heard_of() {
        let (mut book, mut rng) = (Book::default(), Rng::new(1));
        assert!(book.learn("n", &["h:1".into(), "no address".into()], Time(0)).news);
        for wanted in [true, true, false] {
            let now = book.next_at().unwrap();
            assert_eq!(dialed(&mut book, now, &mut rng), ["h"]);
            book.failed("n", "refused", now, &mut rng, 1, wanted);
        }
        assert_eq!((book.get("n").unwrap().standing, book.next_at()), (Standing::GivenUp, None));
        // Somebody who tells of it all the time does not make us dial all the time.
        let mut dials = 0;
        for s in 10..40 {
            book.learn("n", &["h:1".into()], Time(s * SECOND));
            let n = dialed(&mut book, Time(s * SECOND), &mut rng).len();
            dials += n;
            if n > 0 {
                book.failed("n", "refused", Time(s * SECOND), &mut rng, 1, false);
            }
        }
        assert!((1..=4).contains(&dials), "{dials}");
        // It is dialed again, in its time, when a member reaches it.
        let now = book.next_at().unwrap();
        assert_eq!(dialed(&mut book, now, &mut rng).len(), 1);
        book.failed("n", "refused", now, &mut rng, 1, false);
        assert_eq!((book.get("n").unwrap().standing, book.next_at()), (Standing::GivenUp, None));
        book.revive("n", now);
        assert_eq!(book.next_at(), Some(now.plus_ns(PAUSE_MAX_NS)));
    }

    #[test]
    fn after_a_lasting_link_the_other_addresses_come_first_and_at_once() {
        let (mut book, mut rng) = (Book::default(), Rng::new(3));
        book.configure("own", &[remote("w", &["a", "b"])], Time(0), Time(0));
        let first = dialed(&mut book, Time(0), &mut rng).remove(0);
        book.linked("w", Cid(1));
        let now = Time(20 * SECOND);
        book.unlinked("w", "gone", STABLE_NS, now, &mut rng);
        let at = book.next_at().unwrap();
        assert!(at.since(now) < SECOND / 5);
        let second = dialed(&mut book, at, &mut rng).remove(0);
        assert_ne!(first, second);
        book.linked("w", Cid(2));
        book.unlinked("w", "gone", STABLE_NS - 1, at, &mut rng);
        assert!(book.next_at().unwrap().since(at) >= SECOND);
    }

    #[test]
    fn a_clusters_own_word_replaces_what_was_learned_but_not_what_is_configured() {
        let mut book = Book::default();
        book.configure("own", &[remote("w", &["a"])], Time(0), Time(0));
        book.learn("w", &["old:1".into(), "kept:1".into()], Time(0));
        assert!(book.replace("w", &["kept:1".into(), "new:1".into()], Time(0)).news);
        assert_eq!(book.get("w").unwrap().urls(), ["a:1", "kept:1", "new:1"]);
        assert!(!book.replace("w", &["new:1".into(), "kept:1".into()], Time(0)).news);
    }

    #[test]
    fn a_cluster_just_heard_of_is_dialed_in_a_moment_at_any_of_its_addresses() {
        let mut first = BTreeMap::<String, u32>::new();
        for seed in 0..400 {
            let (mut book, mut rng) = (Book::default(), Rng::new(seed));
            for (ms, urls) in [(0, vec!["h1:1"]), (40, vec!["h1:1", "h2:1"]), (90, vec!["h3:1", "h4:1"])] {
                let urls: Vec<String> = urls.into_iter().map(str::to_owned).collect();
                book.learn("w", &urls, Time(ms * MILLISECOND));
                assert_eq!(dialed(&mut book, Time(ms * MILLISECOND), &mut rng), [""; 0]);
            }
            let at = book.next_at().unwrap();
            assert_eq!(at, Time(GATHER_NS));
            first.entry(dialed(&mut book, at, &mut rng).concat()).and_modify(|n| *n += 1).or_insert(1);
        }
        assert!(first.len() == 4 && first.values().all(|n| (60..140).contains(n)), "{first:?}");
    }

    #[test]
    fn an_address_is_dialed_once_a_second_under_whatever_names() {
        let (mut book, mut rng) = (Book::default(), Rng::new(1));
        let mut dials = 0;
        // Named in turns, more of them than are remembered, and each given up as soon as it was dialed.
        for ms in 0..5000 {
            let now = Time(ms * MILLISECOND);
            book.learn(&format!("c{}", ms % (2 * CLUSTERS_MAX as u64)), &["h:1".into()], now);
            for name in book.due(now, 10) {
                if book.dial(&name, now, &mut rng).is_some() {
                    dials += 1;
                    book.failed(&name, "refused", now, &mut rng, 0, false);
                }
            }
        }
        assert!((4..=5).contains(&dials), "{dials}");
    }

    #[test]
    fn who_was_dialed_lately_is_not_forgotten_for_others() {
        let (mut book, mut rng) = (Book::default(), Rng::new(1));
        let mut dials = 0;
        for n in 0..1000_u64 {
            let now = Time(n * MILLISECOND);
            book.learn(&format!("c{n}"), &[format!("h{n}:1")], now);
            for host in dialed(&mut book, now, &mut rng) {
                dials += 1;
                book.failed(&host.replace('h', "c"), "refused", now, &mut rng, 0, false);
            }
        }
        assert_eq!(dials, CLUSTERS_MAX);
        let later = Time(PAUSE_MAX_NS + SECOND);
        assert_eq!(
            book.learn("late", &["late:1".into()], later),
            Learned { news: true, stranger: true, overlooked: 0 }
        );
    }

    #[test]
    fn a_million_clusters_and_addresses_are_not_remembered() {
        let mut book = Book::default();
        let urls: Vec<String> = (0..100_000).map(|n| format!("h{n}:1")).collect();
        assert!(book.learn("w", &urls, Time(0)).overlooked > 0);
        assert_eq!(book.get("w").unwrap().places.len(), CLUSTER_URLS_MAX);
        let lost: u64 = (0..1000).map(|n| book.learn(&format!("c{n}"), &[], Time(0)).overlooked).sum();
        assert!(lost > 0 && book.iter().count() == CLUSTERS_MAX);
    }
}
