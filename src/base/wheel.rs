//! Timers: a hashed wheel of coarse ticks. One per shard; the shell arms one timer of the machine for
//! [`Wheel::next_at`].

use super::{Time, MILLISECOND};

/// Length of a tick. Nothing in the protocol needs finer than a publisher's 2 ms pause.
const TICK_NS: u64 = MILLISECOND;
/// Ticks in one turn of the wheel; what lies further ahead waits in its slot for more turns.
const SLOTS: usize = 1024;

/// A set of `(when, what)` that yields what is due. Timers are not cancelled: whoever gets one checks whether it
/// still means something, which is cheaper than finding and removing it. Where many no longer do, [`Wheel::due`] can
/// be told to forget them on its way.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: Vec<Vec<(u64, T)>>,
    /// Bit n of word w: slot 64 w + n has timers. Most have none, and an idle shard looks at nothing else.
    occupied: [u64; SLOTS / 64],
    /// Every timer of this tick and earlier has been yielded.
    done: u64,
    len: usize,
    /// No timer lies before this tick.
    soonest: u64,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Wheel { slots, occupied: [0; SLOTS / 64], done: 0, len: 0, soonest: u64::MAX }
    }
}

impl<T> Wheel<T> {
    /// Yields `what` at the first [`Wheel::due`] with a time of `at` or later, never before.
    pub fn add(&mut self, at: Time, what: T) {
        let tick = at.0.div_ceil(TICK_NS).max(self.done + 1);
        let slot = tick as usize % SLOTS;
        self.slots[slot].push((tick, what));
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.len += 1;
        self.soonest = self.soonest.min(tick);
    }

    /// How many timers there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Moves everything due at `now` into `into`, in order of ticks. Of the others in the slots that the wheel passes,
    /// which are all of them within one turn, only those that `keep` wants stay.
    pub fn due(&mut self, now: Time, into: &mut Vec<T>, mut keep: impl FnMut(&T) -> bool) {
        let tick = now.0 / TICK_NS;
        if self.len == 0 || tick < self.soonest {
            return;
        }
        let from = self.done + 1;
        let full_turn = tick - from >= SLOTS as u64;
        let last = if full_turn { from + SLOTS as u64 - 1 } else { tick };
        let first = into.len();
        let mut ticks = Vec::new();
        let mut at = from;
        while let Some(passed) = self.occupied_from(at, last) {
            at = passed + 1;
            let n = passed as usize % SLOTS;
            let slot = &mut self.slots[n];
            for (t, what) in std::mem::take(slot) {
                if t <= tick {
                    ticks.push(t);
                    into.push(what);
                } else if keep(&what) {
                    slot.push((t, what));
                } else {
                    self.len -= 1;
                }
            }
            if slot.is_empty() {
                self.occupied[n / 64] &= !(1 << (n % 64));
            }
        }
        self.len -= into.len() - first;
        if full_turn {
            let mut order: Vec<(u64, T)> = ticks.into_iter().zip(into.drain(first..)).collect();
            order.sort_by_key(|(t, _)| *t);
            into.extend(order.into_iter().map(|(_, w)| w));
        }
        self.done = tick;
        self.soonest = self.find();
    }

    /// When [`Wheel::due`] is to be called next; None when there is no timer.
    pub fn next_at(&self) -> Option<Time> {
        (self.len > 0).then(|| Time(self.soonest.saturating_mul(TICK_NS)))
    }

    fn find(&self) -> u64 {
        if self.len == 0 {
            return u64::MAX;
        }
        // The first slot with a timer of this turn of the wheel; else the next turn begins another search.
        let last = self.done + SLOTS as u64;
        let mut at = self.done + 1;
        while let Some(tick) = self.occupied_from(at, last) {
            if self.slots[tick as usize % SLOTS].iter().any(|(t, _)| *t == tick) {
                return tick;
            }
            at = tick + 1;
        }
        last
    }

    /// The first tick from `at` to `last` whose slot has timers.
    fn occupied_from(&self, mut at: u64, last: u64) -> Option<u64> {
        while at <= last {
            let slot = at as usize % SLOTS;
            match self.occupied[slot / 64] >> (slot % 64) {
                // None in the rest of this word.
                0 => at += (64 - slot % 64) as u64,
                rest => return Some(at + u64::from(rest.trailing_zeros())).filter(|tick| *tick <= last),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Time {
        Time(n * MILLISECOND)
    }

    #[test]
    fn timers_come_in_order_and_never_early() {
        let mut w = Wheel::default();
        for at in [5000u64, 3, 70, 1, 2048, 4, 1_000_000] {
            w.add(ms(at), at);
        }
        let mut got = Vec::new();
        w.due(ms(2), &mut got, |_| true);
        assert_eq!(got, [1]);
        assert_eq!(w.next_at(), Some(ms(3)));
        got.clear();
        w.due(ms(6000), &mut got, |_| true);
        assert_eq!(got, [3, 4, 70, 2048, 5000]);
        got.clear();
        // the search may stop early, but never past the timer
        while w.next_at().is_some_and(|t| t < ms(1_000_000)) {
            let t = w.next_at().unwrap();
            w.due(t, &mut got, |_| true);
        }
        assert!(got.is_empty());
        w.due(ms(1_000_000), &mut got, |_| true);
        assert_eq!(got, [1_000_000]);
        assert_eq!(w.next_at(), None);
    }

    #[test]
    fn a_timer_between_two_ticks_waits_for_the_second() {
        let mut w = Wheel::default();
        w.add(Time(MILLISECOND + 1), ());
        let mut got = Vec::new();
        w.due(Time(MILLISECOND + 1), &mut got, |_| true);
        assert!(got.is_empty());
        w.due(ms(2), &mut got, |_| true);
        assert_eq!(got.len(), 1);
    }

    #[test]
    fn a_timer_set_in_the_past_comes_next() {
        let mut w = Wheel::default();
        w.due(ms(500), &mut Vec::new(), |_| true);
        w.add(ms(20), ());
        let mut got = Vec::new();
        w.due(w.next_at().unwrap(), &mut got, |_| true);
        assert_eq!(got.len(), 1);
    }

    #[test]
    fn what_nobody_wants_is_gone_within_one_turn_of_the_wheel() {
        let mut w = Wheel::default();
        let (wanted, unwanted) = (1u64, 2);
        for i in 0..100u64 {
            w.add(ms(200_000 + 7 * i), unwanted);
            w.add(ms(200_000 + 7 * i), wanted);
        }
        w.add(ms(SLOTS as u64), wanted);
        let mut got = Vec::new();
        w.due(ms(SLOTS as u64), &mut got, |what| *what == wanted);
        assert_eq!((got.len(), w.len()), (1, 100));
        w.due(ms(300_000), &mut got, |_| true);
        assert_eq!(got, [wanted; 101]);
        assert!(w.is_empty());
    }

    #[test]
    fn any_timers_come_as_they_would_from_a_sorted_list() {
        for seed in 0..300 {
            let mut rng = crate::base::Rng::new(seed);
            let (mut w, mut list, mut now, mut got) = (Wheel::default(), Vec::new(), 0, Vec::new());
            for n in 0..200u64 {
                if rng.one_in(2) {
                    let ahead = 1 << rng.below(18);
                    let at = now + 1 + rng.below(ahead);
                    w.add(ms(at), n);
                    list.push((at, n));
                } else {
                    let most = 1 << rng.below(14);
                    now += rng.below(most);
                    w.due(ms(now), &mut got, |_| true);
                    list.sort();
                    let due = list.iter().take_while(|(at, _)| *at <= now).count();
                    let want: Vec<u64> = list.drain(..due).map(|(_, n)| n).collect();
                    assert_eq!(std::mem::take(&mut got), want, "seed {seed}, at {now} ms");
                }
                assert_eq!(w.len(), list.len());
                let soonest = list.iter().map(|(at, _)| ms(*at)).min();
                assert!(w.next_at() <= soonest || soonest.is_none(), "seed {seed}: too late");
                assert_eq!(w.next_at().is_none(), soonest.is_none());
            }
        }
    }
}
