//! Whose password is compared next, and who has to wait. A comparison is tens of milliseconds of a core, so whoever guesses
//! may neither keep others waiting nor keep a core busy. Passwords of one address that are compared with the same hash wait
//! in one line; the lines take turns. Those in which a password was wrong lately stand behind all others, and get a tenth of
//! a core together. Pure: it is told the time.

use crate::base::limits::{GUESSERS_MAX, PASSWORDS_MAX};
use crate::base::{Time, SECOND};
use std::collections::{HashMap, VecDeque};

/// How long a wrong password is held against its line.
const DOUBT_NS: u64 = 30 * SECOND;
/// Of a core, what comparisons in doubt may take: one part in so many.
const DOUBT_SHARE: u64 = 10;

/// Where a password comes from, and the hash that it is to fit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Whose {
    /// The address, without its port.
    pub(super) ip: String,
    /// The hash.
    pub(super) hash: String,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// Compare this; [`Lines::compared`] is to be told.
    Compare(Whose, T),
    /// Nothing before this time, unless something comes.
    At(Time),
    /// Nothing waits.
    Nothing,
}

#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<T>,
    /// When it was served last: turns, counted.
    served: u64,
    /// In doubt until then.
    doubt: Time,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Lines<T> {
    lines: HashMap<Whose, Line<T>>,
    waiting: usize,
    turns: u64,
    /// No comparison in doubt before this time.
    rest: Time,
}

impl<T> Lines<T> {
    /// Nobody waits.
    pub(super) fn new() -> Lines<T> {
        Lines { lines: HashMap::new(), waiting: 0, turns: 0, rest: Time(0) }
    }

    /// One more waits. Where too many do, the last of the longest line is given back: it is to be refused.
    pub(super) fn push(&mut self, whose: Whose, what: T, now: Time) -> Option<T> {
        let mut refused = None;
        if self.waiting >= PASSWORDS_MAX {
            let mine = self.lines.get(&whose).map_or(0, |line| line.waiting.len());
            let longest = self.lines.values_mut().max_by_key(|line| line.waiting.len());
            match longest.filter(|line| line.waiting.len() > mine) {
                Some(line) => refused = line.waiting.pop_back(),
                None => return Some(what),
            }
            self.waiting -= 1;
        }
        self.forget(now);
        let fresh = Line { waiting: VecDeque::new(), served: 0, doubt: Time(0) };
        self.lines.entry(whose).or_insert(fresh).waiting.push_back(what);
        self.waiting += 1;
        refused
    }

    /// What waits of these.
    pub(super) fn waiting_of(&mut self, whose: &Whose) -> impl Iterator<Item = &mut T> {
        self.lines.get_mut(whose).into_iter().flat_map(|line| &mut line.waiting)
    }

    /// Who is next.
    pub(super) fn next(&mut self, now: Time) -> Next<T> {
        let waits = self.lines.iter_mut().filter(|(_, line)| !line.waiting.is_empty());
        let Some((whose, line)) = waits.min_by_key(|(_, line)| (line.doubt > now, line.served)) else {
            return Next::Nothing;
        };
        if line.doubt > now && self.rest > now {
            return Next::At(self.rest);
        }
        self.turns += 1;
        line.served = self.turns;
        let Some(what) = line.waiting.pop_front() else { return Next::Nothing };
        self.waiting -= 1;
        Next::Compare(whose.clone(), what)
    }

    /// What [`Next::Compare`] said was compared from `began` to `now`, and the password was right or not.
    pub(super) fn compared(&mut self, whose: &Whose, right: bool, began: Time, now: Time) {
        let Some(line) = self.lines.get_mut(whose) else { return };
        if line.doubt > began {
            let took = now.0.saturating_sub(began.0);
            self.rest = now.plus_ns(took.saturating_mul(DOUBT_SHARE - 1));
        }
        line.doubt = if right { Time(0) } else { now.plus_ns(DOUBT_NS) };
    }

    /// Lines in which nobody waits are kept while they are in doubt, so many of them; of more, those that end first go.
    fn forget(&mut self, now: Time) {
        if self.lines.len() < GUESSERS_MAX {
            return;
        }
        self.lines.retain(|_, line| !line.waiting.is_empty() || line.doubt > now);
        if self.lines.len() >= GUESSERS_MAX {
            let idle = self.lines.iter().filter(|(_, line)| line.waiting.is_empty());
            if let Some(first) = idle.min_by_key(|(_, line)| line.doubt).map(|(whose, _)| whose.clone()) {
                self.lines.remove(&first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MILLISECOND;

    /// What a comparison takes here.
    const TAKES: u64 = 50 * MILLISECOND;

    fn whose(ip: &str) -> Whose {
        Whose { ip: ip.into(), hash: "h".into() }
    }

    /// Lines, and a clock that comparing moves on.
    struct World {
        lines: Lines<u32>,
        now: Time,
    }

    impl World {
        fn new() -> World {
            World { lines: Lines::new(), now: Time(SECOND) }
        }

        fn comes(&mut self, ip: &str, what: u32) -> Option<u32> {
            self.lines.push(whose(ip), what, self.now)
        }

        /// Compares what is next, waiting until it may be; says from where it was.
        fn compares(&mut self, right: bool) -> Option<String> {
            loop {
                match self.lines.next(self.now) {
                    Next::Compare(whose, _) => {
                        let began = self.now;
                        self.now = began.plus_ns(TAKES);
                        self.lines.compared(&whose, right, began, self.now);
                        return Some(whose.ip);
                    }
                    Next::At(then) => {
                        assert!(then > self.now);
                        self.now = then;
                    }
                    Next::Nothing => return None,
                }
            }
        }
    }

    #[test]
    fn addresses_take_turns() {
        let mut w = World::new();
        for n in 0..3 {
            w.comes("a", n);
        }
        w.comes("b", 0);
        let order: Vec<_> = std::iter::from_fn(|| w.compares(true)).collect();
        assert_eq!(order.iter().filter(|ip| *ip == "b").count(), 1);
        assert!(order[..2].contains(&"b".to_string()), "{order:?}");
    }

    #[test]
    fn who_guesses_stands_behind_who_does_not() {
        let mut w = World::new();
        for n in 0..10 {
            w.comes("guesser", n);
        }
        assert_eq!(w.compares(false).unwrap(), "guesser");
        for n in 0..3 {
            w.comes(&format!("other {n}"), n);
        }
        assert!((0..3).all(|_| w.compares(true).unwrap().starts_with("other")));
        assert_eq!(w.compares(false).unwrap(), "guesser");
    }

    #[test]
    fn guesses_take_a_tenth_of_a_core_and_nobody_waits_for_the_rest_to_end() {
        let mut w = World::new();
        for n in 0..41 {
            w.comes("guesser", n);
        }
        w.compares(false);
        let began = w.now;
        for _ in 0..20 {
            w.compares(false);
        }
        let took = w.now.0 - began.0;
        assert!((20 * TAKES * 9..=20 * TAKES * 10).contains(&took), "{took}");
        let now = w.now;
        w.comes("other", 1);
        assert_eq!(w.compares(true).unwrap(), "other");
        assert_eq!(w.now.0 - now.0, TAKES);
    }

    #[test]
    fn doubt_ends_with_a_right_password_and_with_time() {
        let mut w = World::new();
        for n in 0..4 {
            w.comes("typist", n);
        }
        w.compares(false);
        w.compares(true);
        let now = w.now;
        w.compares(false);
        assert_eq!(w.now.0 - now.0, TAKES);
        w.now = w.now.plus_ns(DOUBT_NS);
        let now = w.now;
        w.compares(true);
        assert_eq!(w.now.0 - now.0, TAKES);
    }

    #[test]
    fn where_too_many_wait_the_longest_line_loses_its_last() {
        let mut w = World::new();
        for n in 0..PASSWORDS_MAX as u32 {
            assert_eq!(w.comes("many", n), None);
        }
        assert_eq!(w.comes("many", 7777), Some(7777));
        assert_eq!(w.comes("one", 1), Some(PASSWORDS_MAX as u32 - 1));
        assert_eq!(std::iter::from_fn(|| w.compares(true)).count(), PASSWORDS_MAX);
    }

    #[test]
    fn lines_are_not_remembered_without_end() {
        let mut w = World::new();
        for n in 0..3 * GUESSERS_MAX {
            w.comes(&n.to_string(), 0);
            w.compares(false);
            assert!(w.lines.lines.len() <= GUESSERS_MAX);
        }
        // The last to guess is still known.
        w.comes(&(3 * GUESSERS_MAX - 1).to_string(), 0);
        w.comes("new", 0);
        assert_eq!(w.compares(true).unwrap(), "new");
    }
}
