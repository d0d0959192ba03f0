//! Whose password is compared next. A comparison is tens of milliseconds of a core, so whoever guesses may neither keep others
//! waiting nor keep a core busy. Passwords of one address that are compared with the same hash wait in one line; those in
//! which a password was wrong lately get a tenth of a core together.

use crate::base::limits::{GUESSERS_MAX, PASSWORDS_MAX};
use crate::base::{Time, SECOND};
use crate::shell::lines;

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

/// Passwords that wait.
pub(super) type Lines<T> = lines::Lines<Whose, T>;

/// None waits.
pub(super) fn new<T>() -> Lines<T> {
    Lines::new(PASSWORDS_MAX, GUESSERS_MAX)
}

/// Whoever was next was compared from `began` to `now`, and the password was right or not.
pub(super) fn compared<T>(lines: &mut Lines<T>, whose: Whose, right: bool, began: Time, now: Time) {
    if lines.doubts(&whose, began) {
        let took = now.0.saturating_sub(began.0);
        lines.rest(now.plus_ns(took.saturating_mul(DOUBT_SHARE - 1)));
    }
    match right {
        true => lines.trust(&whose),
        false => lines.doubt(whose, now.plus_ns(DOUBT_NS), now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MILLISECOND;
    use crate::shell::lines::Next;

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
            World { lines: new(), now: Time(SECOND) }
        }

        fn comes(&mut self, ip: &str, what: u32) -> Option<u32> {
            self.lines.push(whose(ip), what)
        }

        /// Compares what is next, waiting until it may be; says from where it was.
        fn compares(&mut self, right: bool) -> Option<String> {
            loop {
                match self.lines.next(self.now) {
                    Next::Serve(whose, _) => {
                        let began = self.now;
                        self.now = began.plus_ns(TAKES);
                        compared(&mut self.lines, whose.clone(), right, began, self.now);
                        return Some(whose.ip);
                    }
                    Next::At(then) => {
                        assert!(then > self.now);
                        self.now = then;
                    }
                    Next::Nobody => return None,
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
}
