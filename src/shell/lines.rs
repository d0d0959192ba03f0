//! Who is next where many wait, and who has to wait longer: those of one kind stand in one line, the lines take turns, and
//! those that are in doubt, because something wrong came from there lately, stand behind all others, as slowly as whoever
//! serves them says. So whoever guesses keeps nobody else waiting. Pure: it is told the time.

use crate::base::Time;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Who is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<K, T> {
    /// This one.
    Serve(K, T),
    /// Nobody before this time, unless somebody comes.
    At(Time),
    /// Nobody waits.
    Nobody,
}

#[derive(Debug)]
struct Line<T> {
    /// Never empty.
    waiting: VecDeque<T>,
    /// When it was served last, or begun: turns, counted.
    served: u64,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Lines<K, T> {
    lines: HashMap<K, Line<T>>,
    waiting: usize,
    waiting_max: usize,
    turns: u64,
    /// Until when.
    doubts: HashMap<K, Time>,
    doubts_max: usize,
    /// Nobody in doubt before this time.
    rest: Time,
}

impl<K: Clone + Eq + Hash, T> Lines<K, T> {
    /// Nobody waits; at most so many will, and at most so many kinds are remembered for what came from there.
    pub(super) fn new(waiting_max: usize, doubts_max: usize) -> Lines<K, T> {
        let (lines, doubts) = (HashMap::new(), HashMap::new());
        Lines { lines, waiting: 0, waiting_max, turns: 0, doubts, doubts_max, rest: Time(0) }
    }

    /// One more waits. Where too many do, the last of the longest line is given back: it is to be refused.
    pub(super) fn push(&mut self, of: K, what: T) -> Option<T> {
        let mut refused = None;
        if self.waiting >= self.waiting_max {
            let mine = self.lines.get(&of).map_or(0, |line| line.waiting.len());
            let longest = self.lines.iter_mut().max_by_key(|(_, line)| line.waiting.len());
            let Some((whose, line)) = longest.filter(|(_, line)| line.waiting.len() > mine) else { return Some(what) };
            refused = line.waiting.pop_back();
            if line.waiting.is_empty() {
                let whose = whose.clone();
                self.lines.remove(&whose);
            }
            self.waiting -= 1;
        }
        let begun = Line { waiting: VecDeque::new(), served: self.turns };
        self.lines.entry(of).or_insert(begun).waiting.push_back(what);
        self.waiting += 1;
        refused
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// What waits of these.
    pub(super) fn waiting_of(&mut self, whose: &K) -> impl Iterator<Item = &mut T> {
        self.lines.get_mut(whose).into_iter().flat_map(|line| &mut line.waiting)
    }

    /// Who is next.
    pub(super) fn next(&mut self, now: Time) -> Next<K, T> {
        let next = self.lines.iter().map(|(of, line)| (self.doubts(of, now), line.served, of));
        let next = next.min_by_key(|(doubted, served, _)| (*doubted, *served));
        let Some((doubted, _, of)) = next else { return Next::Nobody };
        if doubted && self.rest > now {
            return Next::At(self.rest);
        }
        let of = of.clone();
        self.turns += 1;
        let Some(line) = self.lines.get_mut(&of) else { return Next::Nobody };
        line.served = self.turns;
        let Some(what) = line.waiting.pop_front() else { return Next::Nobody };
        if line.waiting.is_empty() {
            self.lines.remove(&of);
        }
        self.waiting -= 1;
        Next::Serve(of, what)
    }

    /// Is something held against these?
    pub(super) fn doubts(&self, of: &K, now: Time) -> bool {
        self.doubts.get(of).is_some_and(|until| *until > now)
    }

    /// Something is held against these until then. Where too many are doubted already, those who are no longer are
    /// forgotten, or all: it costs them little to be doubted anew.
    pub(super) fn doubt(&mut self, of: K, until: Time, now: Time) {
        if self.doubts.len() >= self.doubts_max && !self.doubts.contains_key(&of) {
            self.doubts.retain(|_, until| *until > now);
            if self.doubts.len() >= self.doubts_max {
                self.doubts.clear();
            }
        }
        self.doubts.insert(of, until);
    }

    /// Nothing is held against these any more.
    pub(super) fn trust(&mut self, of: &K) {
        self.doubts.remove(of);
    }

    /// Nobody in doubt is served before then.
    pub(super) fn rest(&mut self, until: Time) {
        self.rest = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines<&'static str, u32>, now: u64) -> Vec<(&'static str, u32)> {
        std::iter::from_fn(|| if let Next::Serve(of, what) = lines.next(Time(now)) { Some((of, what)) } else { None })
            .collect()
    }

    #[test]
    fn where_too_many_wait_whoever_has_most_loses_his_last() {
        let mut lines = Lines::new(3, 1);
        assert_eq!([lines.push("a", 1), lines.push("a", 2), lines.push("b", 3)], [None; 3]);
        assert_eq!(lines.push("c", 4), Some(2));
        assert_eq!(lines.push("a", 5), Some(5), "nobody has more");
        let refused = lines.push("d", 6).expect("one of those who have one");
        let mut left: Vec<u32> = all(&mut lines, 1).into_iter().map(|(_, what)| what).collect();
        left.push(refused);
        left.sort_unstable();
        assert_eq!(left, [1, 3, 4, 6]);
        assert_eq!(lines.next(Time(1)), Next::Nobody);
    }

    #[test]
    fn who_is_doubted_comes_last_and_not_before_the_rest_is_over() {
        let mut lines = Lines::new(9, 9);
        lines.doubt("a", Time(100), Time(1));
        lines.rest(Time(50));
        [1, 2].into_iter().for_each(|n| assert_eq!(lines.push("a", n), None));
        assert_eq!(lines.push("b", 3), None);
        assert_eq!(all(&mut lines, 1), [("b", 3)]);
        assert_eq!(lines.next(Time(49)), Next::At(Time(50)));
        assert_eq!(lines.next(Time(50)), Next::Serve("a", 1));
        lines.rest(Time(200));
        assert_eq!(lines.next(Time(99)), Next::At(Time(200)));
        assert_eq!(lines.next(Time(100)), Next::Serve("a", 2), "it is doubted no longer");
    }

    #[test]
    fn doubts_are_not_remembered_without_end() {
        let mut lines = Lines::<u32, ()>::new(1, 10);
        for n in 0..1000 {
            lines.doubt(n, Time(100), Time(1));
            assert!(lines.doubts(&n, Time(99)) && !lines.doubts(&n, Time(100)) && lines.doubts.len() <= 10);
        }
        lines.doubt(2000, Time(300), Time(200));
        assert_eq!(lines.doubts.len(), 1, "what is over goes first");
        lines.trust(&2000);
        assert!(!lines.doubts(&2000, Time(201)));
    }
}
