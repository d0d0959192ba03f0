//! The addresses this server dials: configured ones for ever, those of members learned by gossip for as long as there is
//! hope. One per mesh. It says when an address is due; the mesh dials.
//!
//! ```text
//!            due              connected              registered, or found registered
//! Waiting ────────▶ Dialing ────────────▶ Greeting ─────────────────────────────────▶ Settled
//!    ▲                 │ failed               │ failed                                   │ the route ended
//!    └─────────────────┴──────────────────────┴──────────────────────────────────────────┘
//! Own: it is this server itself; never dialed again.
//! ```

use crate::base::limits::KNOWN_ADDRESSES_MAX;
use crate::base::{Cid, Rng, Time, MILLISECOND, SECOND};
use crate::policy::{RouteLogin, RouteUrl};
use crate::wire::address::{join_address, split_address};
use std::collections::BTreeMap;

/// The first pause after a failure, and the longest (scenarios.md §3.1).
const PAUSE_NS: u64 = SECOND;
const PAUSE_MAX_NS: u64 = 30 * SECOND;
/// Where the operator sends us and nobody listens (yet), pauses are this part of the time that it has lasted, so that
/// whoever starts late is found after that much more, and the longest pause is reached after four minutes. What others
/// name may be anybody's address, and is left alone sooner.
const PAUSE_SHARE: u64 = 8;
/// Whom we had a route to so lately is dialed at the first pause again and again while nothing answers: the network is
/// cut, or the machine is off, and when it is back the mesh is to be whole within seconds (scenarios.md G23).
const LATELY_NS: u64 = 600 * SECOND;
/// Whom we had a route to so lately is dialed on though no list has it: a server that is started anew is told of nobody,
/// and if the member it dials tells nobody of it, only we can bring the two together.
const RESTART_NS: u64 = 30 * SECOND;
/// A route that lasted so long was a success; a shorter one counts as one more failure.
pub(super) const STABLE_NS: u64 = 10 * SECOND;

/// Names one attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dial(pub u64);

/// A dial that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Why, for people.
    pub why: String,
    /// Nothing answered, be it with a refusal: the address is out of reach, not merely closed.
    pub silent: bool,
}

/// A refusal.
impl From<&str> for Unreached {
    fn from(why: &str) -> Unreached {
        Unreached { why: why.into(), silent: false }
    }
}

/// How an attempt failed, which decides when the next one is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing answered.
    Silent,
    /// Somebody is there, but nobody listens.
    Refused,
    /// There was a connection, and no route came of it, or none that lasted: the peer has work with each attempt.
    Broken,
}

/// Where an address stands; see the file's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// To be dialed then.
    Waiting(Time),
    /// A connection is being made.
    Dialing(Dial),
    /// Connected; hands are being shaken.
    Greeting(Cid),
    /// There is a route to who lives there, or another attempt is under way.
    Settled,
    /// This server itself.
    Own,
}

/// One address.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub host: String,
    pub port: u16,
    /// It is in the list of routes.
    pub configured: bool,
    pub login: Option<RouteLogin>,
    /// The server met there last, or said to live there.
    pub id: String,
    pub name: String,
    pub standing: Standing,
    /// In a row.
    pub failures: u32,
    /// Those of them that were [`Failure::Broken`].
    broken: u32,
    /// Those of them that make the pause grow where the address was learned.
    counted: u32,
    /// When the first attempt failed since there was last a route to who lives there.
    failing_since: Option<Time>,
    /// Ever.
    pub attempts: u64,
    pub last_error: String,
    /// `gossip_mode` of the INFO that named it (cluster-protocol.md §3.10).
    pub mode: i64,
    /// When it was last dialed.
    dialed_at: Option<Time>,
    /// When there was last a route to who lives there.
    met_at: Option<Time>,
}

/// See the file's head. Keys are `host:port`.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: BTreeMap<String, Entry>,
    dials: BTreeMap<Dial, String>,
    last_dial: u64,
    /// When addresses that are in the book no longer were dialed, if that was just now: they may be named again.
    recent: BTreeMap<String, Time>,
    /// More addresses were named than fit.
    pub full: bool,
}

impl Book {
    /// Takes the configured list; what was configured before and is no longer counts as learned. New ones are due now.
    pub(super) fn configure(&mut self, routes: &[RouteUrl], now: Time) {
        for entry in self.entries.values_mut() {
            (entry.configured, entry.login) = (false, None);
        }
        for route in routes {
            let address = join_address(&route.host, route.port);
            let entry = self.entries.entry(address).or_insert_with(|| Entry::new(&route.host, route.port, now));
            (entry.configured, entry.login) = (true, route.login.clone());
        }
    }

    /// A member is said to live at `address`; it is dialed after `delay` unless the address is in the book already.
    pub(super) fn learn(&mut self, address: &str, id: &str, name: &str, mode: i64, now: Time, delay_ns: u64) {
        let Some((host, port)) = split_address(address) else { return };
        let at = now.plus_ns(delay_ns);
        if let Some(entry) = self.entries.get_mut(address) {
            if entry.id != id {
                entry.supersede(id, name, now, at);
            }
            return;
        }
        if self.entries.len() >= KNOWN_ADDRESSES_MAX {
            self.full = true;
            return;
        }
        let dialed_at = self.recent.remove(address);
        let entry = Entry { id: id.into(), name: name.into(), mode, dialed_at, ..Entry::new(host, port, at) };
        let standing = Standing::Waiting(entry.soonest(now).max(at));
        self.entries.insert(address.into(), Entry { standing, ..entry });
    }

    pub(super) fn get(&self, address: &str) -> Option<&Entry> {
        self.entries.get(address)
    }

    pub(super) fn get_mut(&mut self, address: &str) -> Option<&mut Entry> {
        self.entries.get_mut(address)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter()
    }

    /// Dials under way.
    pub(super) fn dialing(&self) -> usize {
        self.dials.len()
    }

    /// Addresses due now, at most `room`.
    pub(super) fn due(&self, now: Time, room: usize) -> Vec<String> {
        let due = self.entries.iter().filter(|(_, e)| matches!(e.standing, Standing::Waiting(at) if at <= now));
        due.take(room).map(|(address, _)| address.clone()).collect()
    }

    /// The next moment an address is due.
    pub(super) fn next_at(&self) -> Option<Time> {
        let waiting = self.entries.values().filter_map(|e| match e.standing {
            Standing::Waiting(at) => Some(at),
            _ => None,
        });
        waiting.min()
    }

    /// Begins a dial.
    pub(super) fn dial(&mut self, address: &str, now: Time) -> Option<(Dial, String, u16)> {
        let entry = self.entries.get_mut(address)?;
        self.last_dial += 1;
        let dial = Dial(self.last_dial);
        (entry.standing, entry.dialed_at) = (Standing::Dialing(dial), Some(now));
        entry.attempts += 1;
        self.dials.insert(dial, address.into());
        Some((dial, entry.host.clone(), entry.port))
    }

    /// A dial came to an end: the address it was for. `None`: nobody waits for it.
    pub(super) fn answered(&mut self, dial: Dial) -> Option<String> {
        self.dials.remove(&dial)
    }

    /// An attempt failed: the next one comes after a pause that grows. A learned address with no hope left
    /// (`retries` used up, not `wanted`, and no route to who lives there for a while) is forgotten.
    pub(super) fn failed(&mut self, address: &str, how: Failure, why: &str, now: Time, rng: &mut Rng, hope: Hope) {
        let Some(entry) = self.entries.get_mut(address) else { return };
        entry.failures = entry.failures.saturating_add(1);
        why.clone_into(&mut entry.last_error);
        if !entry.configured && !hope.wanted && entry.failures > hope.retries && !entry.met_within(RESTART_NS, now) {
            self.remove(address, now);
            return;
        }
        let pause = entry.pause(how, now);
        entry.standing = Standing::Waiting(now.plus_ns(jittered(pause, rng)));
    }

    /// A route to who lives there ended just now.
    pub(super) fn parted(&mut self, address: &str, now: Time) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.met_at = Some(now);
        }
    }

    /// Nothing is to be done about the address: there is a route to who lives there.
    pub(super) fn settle(&mut self, address: &str, id: &str, name: &str) {
        if let Some(entry) = self.entries.get_mut(address) {
            (entry.standing, entry.failing_since) = (Standing::Settled, None);
            (entry.id, entry.name) = (id.into(), name.into());
        }
    }

    /// The route to `id` was there for long enough: its addresses start anew.
    pub(super) fn proved(&mut self, id: &str) {
        for entry in self.entries.values_mut().filter(|e| e.id == id) {
            (entry.failures, entry.broken, entry.counted, entry.failing_since) = (0, 0, 0, None);
            entry.last_error.clear();
        }
    }

    /// The addresses that no attempt has been decided for yet.
    pub(super) fn untried(&self) -> impl Iterator<Item = &String> {
        let tried = |e: &Entry| matches!(e.standing, Standing::Settled | Standing::Own) || e.failures > 0;
        self.entries.iter().filter(move |(_, e)| !tried(e)).map(|(address, _)| address)
    }

    /// Is `id` at one of these addresses?
    pub(super) fn of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = (&'a String, &'a Entry)> + 'a {
        self.entries.iter().filter(move |(_, e)| e.id == id)
    }

    /// The settled addresses of `id`: its route or the attempt that settled them has ended.
    pub(super) fn settled(&self, id: &str) -> Vec<String> {
        self.of(id).filter(|(_, e)| e.standing == Standing::Settled).map(|(a, _)| a.clone()).collect()
    }

    /// To be dialed after `delay`.
    pub(super) fn wake(&mut self, address: &str, now: Time, delay_ns: u64) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.standing = Standing::Waiting(now.plus_ns(delay_ns));
        }
    }

    /// To be dialed as soon as that is no more than a dial a second: whoever lives there may make us look again and again.
    pub(super) fn wake_soon(&mut self, address: &str, now: Time) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.standing = Standing::Waiting(entry.soonest(now));
        }
    }

    /// All that wait are dialed as soon as that is no more than a dial a second, and what failed before counts no more: what
    /// kept us out may be over, or will be when the other end has read its new file too.
    pub(super) fn wake_all(&mut self, now: Time) {
        for entry in self.entries.values_mut() {
            if let Standing::Waiting(at) = entry.standing {
                entry.standing = Standing::Waiting(entry.soonest(now).min(at));
                (entry.broken, entry.counted, entry.failing_since) = (0, 0, None);
            }
        }
    }

    /// Drops an address that was learned; a configured one stays.
    pub(super) fn forget(&mut self, address: &str, now: Time) {
        if self.entries.get(address).is_some_and(|e| !e.configured) {
            self.remove(address, now);
        }
    }

    fn remove(&mut self, address: &str, now: Time) {
        self.recent.retain(|_, dialed| now.since(*dialed) < PAUSE_NS);
        let dialed = self.entries.remove(address).and_then(|e| e.dialed_at);
        self.recent.extend(dialed.map(|at| (address.to_string(), at)));
    }
}

/// Whether a learned address is worth another attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hope {
    /// `connect_retries`
    pub retries: u32,
    /// A live member reaches who lives there.
    pub wanted: bool,
}

impl Entry {
    fn new(host: &str, port: u16, due: Time) -> Entry {
        Entry {
            host: host.into(),
            port,
            configured: false,
            login: None,
            id: String::new(),
            name: String::new(),
            standing: Standing::Waiting(due),
            failures: 0,
            broken: 0,
            counted: 0,
            failing_since: None,
            attempts: 0,
            last_error: String::new(),
            mode: 0,
            dialed_at: None,
            met_at: None,
        }
    }

    /// Takes note of a failure; the pause after it, nanoseconds. Each kind counts for itself: after a partition, in which
    /// nothing answered for long, one handshake that fails is the first.
    fn pause(&mut self, how: Failure, now: Time) -> u64 {
        let lasts = now.since(*self.failing_since.get_or_insert(now));
        let lately = self.met_within(LATELY_NS, now);
        self.broken = self.broken.saturating_add(u32::from(how == Failure::Broken));
        if how == Failure::Silent && lately {
            return PAUSE_NS;
        }
        self.counted = self.counted.saturating_add(1);
        match how {
            Failure::Broken => doubling(self.broken),
            Failure::Silent | Failure::Refused if self.configured => {
                (lasts / PAUSE_SHARE).clamp(PAUSE_NS, PAUSE_MAX_NS).max(doubling(self.broken))
            }
            Failure::Silent | Failure::Refused => doubling(self.counted),
        }
    }

    /// Did a route to who lives there end so lately?
    fn met_within(&self, ns: u64, now: Time) -> bool {
        self.met_at.is_some_and(|at| now.since(at) < ns)
    }

    /// A second after the last dial, or now.
    fn soonest(&self, now: Time) -> Time {
        self.dialed_at.map_or(now, |t| t.plus_ns(PAUSE_NS)).max(now)
    }

    /// Somebody new lives here: no need to wait out a pause that the former inhabitant's absence made long, but never
    /// more than a dial a second.
    fn supersede(&mut self, id: &str, name: &str, now: Time, at: Time) {
        let soonest = self.soonest(now).max(at);
        match self.standing {
            Standing::Waiting(due) => self.standing = Standing::Waiting(due.min(soonest)),
            Standing::Settled => self.standing = Standing::Waiting(soonest),
            Standing::Dialing(_) | Standing::Greeting(_) | Standing::Own => return,
        }
        (self.id, self.name) = (id.into(), name.into());
    }
}

/// The pause after so many broken attempts: doubling, capped.
fn doubling(broken: u32) -> u64 {
    PAUSE_NS.saturating_mul(1 << broken.saturating_sub(1).min(5)).min(PAUSE_MAX_NS)
}

/// Up to a quarter shorter by chance, so that many servers do not dial in step.
fn jittered(pause: u64, rng: &mut Rng) -> u64 {
    pause - rng.below(pause / 4)
}

/// The delay before dialing a member that may be dialing us at the same time: the greater id lets the other go first.
pub(super) fn courtesy(own: &str, theirs: &str, rng: &mut Rng) -> u64 {
    if own > theirs {
        (300 + rng.below(300)) * MILLISECOND
    } else {
        rng.below(50) * MILLISECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOPELESS: Hope = Hope { retries: 0, wanted: false };

    fn configured() -> Book {
        let mut book = Book::default();
        book.configure(&[RouteUrl { host: "a".into(), port: 1, login: None }], Time(0));
        book
    }

    #[test]
    fn pauses_double_from_a_second_to_thirty_and_are_never_shorter_than_three_quarters() {
        let mut rng = Rng::new(1);
        for (broken, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30), (u32::MAX, 30)] {
            for _ in 0..100 {
                let p = jittered(doubling(broken), &mut rng);
                assert!(p <= seconds * SECOND && p > seconds * SECOND * 3 / 4, "{broken}: {p}");
            }
        }
    }

    /// Dials `a:1` from `from` on until `to`, and fails each time; the pauses.
    fn fail_until(book: &mut Book, how: Failure, from: Time, to: Time, rng: &mut Rng) -> Vec<u64> {
        let (mut now, mut pauses) = (from, Vec::new());
        while now < to {
            book.dial("a:1", now);
            book.failed("a:1", how, "it failed", now, rng, HOPELESS);
            let next = book.next_at().expect("it is due again");
            pauses.push(next.since(now));
            now = next;
        }
        pauses
    }

    #[test]
    fn who_starts_late_is_found_after_an_eighth_more() {
        let mut rng = Rng::new(1);
        for late in [1, 5, 15, 60, 200, 1000] {
            let pauses = fail_until(&mut configured(), Failure::Refused, Time(0), Time(late * SECOND), &mut rng);
            let last = *pauses.last().expect("a pause");
            assert!(last <= (late * SECOND / 8).clamp(SECOND, 30 * SECOND), "{late}: {last}");
            assert!(pauses.iter().all(|p| *p > SECOND * 3 / 4), "{late}: {pauses:?}");
            assert!(pauses.is_sorted_by(|a, b| *b > a * 3 / 4), "{late}: {pauses:?}");
        }
        let day = fail_until(&mut configured(), Failure::Refused, Time(0), Time(86_400 * SECOND), &mut rng);
        assert!(day.last() > Some(&(22 * SECOND)) && day.len() < 4000, "{}", day.len());
    }

    #[test]
    fn an_address_that_others_name_is_left_alone_sooner() {
        let (mut book, mut rng) = (Book::default(), Rng::new(1));
        book.learn("a:1", "A", "a", 0, Time(0), 0);
        let hope = Hope { retries: 0, wanted: true };
        let mut now = Time(0);
        for n in 0..9 {
            book.dial("a:1", now);
            book.failed("a:1", Failure::Refused, "refused", now, &mut rng, hope);
            let next = book.next_at().expect("it is due again");
            assert!(next.since(now) > SECOND.saturating_mul(3 << n).min(90 * SECOND) / 4, "{n}");
            now = next;
        }
    }

    /// A partition heals, and the first handshake after it fails: that is the first one, not the fortieth failure.
    #[test]
    fn what_was_silent_for_long_is_not_held_against_the_first_handshake_after_it() {
        let (mut book, mut rng) = (configured(), Rng::new(1));
        book.settle("a:1", "A", "a");
        book.parted("a:1", Time(0));
        let pauses = fail_until(&mut book, Failure::Silent, Time(0), Time(40 * SECOND), &mut rng);
        assert!(pauses.iter().all(|p| *p <= SECOND) && pauses.len() >= 40, "{pauses:?}");
        let pauses = fail_until(&mut book, Failure::Broken, Time(41 * SECOND), Time(42 * SECOND), &mut rng);
        assert!(pauses[0] <= SECOND, "{pauses:?}");
        // Whoever goes on failing gives the peer work, and is slow about it.
        let pauses = fail_until(&mut book, Failure::Broken, Time(43 * SECOND), Time(200 * SECOND), &mut rng);
        assert!(pauses.last() > Some(&(22 * SECOND)), "{pauses:?}");
    }

    /// Who is forgotten and named again at once is dialed no more than once a second.
    #[test]
    fn an_address_that_was_just_dialed_waits_though_it_was_forgotten() {
        let mut book = Book::default();
        let mut rng = Rng::new(1);
        for n in 0..5 {
            let now = Time(n * 300 * MILLISECOND);
            book.learn("b:2", "B", "b", 0, now, 0);
            for address in book.due(now, 9) {
                assert!(n == 0 || n == 4, "{n}");
                book.dial(&address, now).expect("a dial");
                book.failed(&address, Failure::Refused, "refused", now, &mut rng, HOPELESS);
                assert!(book.get("b:2").is_none());
            }
        }
    }

    #[test]
    fn a_configured_address_is_kept_for_ever_and_a_learned_one_while_there_is_hope() {
        let mut book = configured();
        book.learn("b:2", "B", "b", 0, Time(0), 0);
        let mut rng = Rng::new(1);
        for n in 0..20 {
            book.failed("a:1", Failure::Refused, "refused", Time(n), &mut rng, HOPELESS);
        }
        assert_eq!(book.get("a:1").unwrap().failures, 20);
        book.failed("b:2", Failure::Refused, "refused", Time(0), &mut rng, Hope { retries: 1, ..HOPELESS });
        book.failed("b:2", Failure::Refused, "refused", Time(0), &mut rng, Hope { retries: 1, wanted: true });
        assert!(book.get("b:2").is_some());
        book.failed("b:2", Failure::Refused, "refused", Time(0), &mut rng, Hope { retries: 1, ..HOPELESS });
        assert!(book.get("b:2").is_none());
    }

    #[test]
    fn who_was_here_lately_may_be_starting_anew() {
        let (mut book, mut rng) = (Book::default(), Rng::new(1));
        book.learn("a:1", "A", "a", 0, Time(0), 0);
        book.parted("a:1", Time(0));
        let pauses = fail_until(&mut book, Failure::Refused, Time(0), Time(20 * SECOND), &mut rng);
        let soon = pauses.iter().scan(0, |at, p| (*at += p, Some(*at)).1).filter(|at| *at < 5 * SECOND).count();
        assert!(soon >= 2, "{pauses:?}");
        book.failed("a:1", Failure::Refused, "refused", Time(30 * SECOND), &mut rng, HOPELESS);
        assert!(book.get("a:1").is_none());
    }

    #[test]
    fn somebody_new_at_an_address_is_not_kept_waiting_but_dialed_once_a_second_at_most() {
        let mut book = configured();
        let mut rng = Rng::new(1);
        for _ in 0..10 {
            book.failed("a:1", Failure::Refused, "refused", Time(0), &mut rng, HOPELESS);
        }
        book.dial("a:1", Time(100 * SECOND));
        book.failed("a:1", Failure::Refused, "refused", Time(100 * SECOND), &mut rng, HOPELESS);
        book.learn("a:1", "NEW", "n", 0, Time(100 * SECOND), 0);
        assert_eq!(book.next_at(), Some(Time(101 * SECOND)));
        book.learn("a:1", "NEWER", "n", 0, Time(100 * SECOND), 0);
        assert_eq!(book.next_at(), Some(Time(101 * SECOND)));
    }

    #[test]
    fn a_million_addresses_are_not_remembered() {
        let mut book = configured();
        for n in 0..KNOWN_ADDRESSES_MAX + 10 {
            book.learn(&format!("h{n}:1"), "x", "x", 0, Time(0), 0);
        }
        assert_eq!(book.iter().count(), KNOWN_ADDRESSES_MAX);
        assert!(book.full);
    }
}
