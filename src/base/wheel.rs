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
    /// Every timer of this tick and earlier has been yielded.
    done: u64,
    len: usize,
    /// No timer lies before this tick.
    soonest: u64,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Wheel { slots: (0..SLOTS).map(|_| Vec::new()).collect(), done: 0, len: 0, soonest: u64::MAX }
    }
}

impl<T> Wheel<T> {
    /// Yields `what` at the first [`Wheel::due`] with a time of `at` or later, never before.
    pub fn add(&mut self, at: Time, what: T) {
        let tick = at.0.div_ceil(TICK_NS).max(self.done + 1);
        self.slots[tick as usize % SLOTS].push((tick, what));
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
        let slots = if full_turn { SLOTS as u64 } else { tick - from + 1 };
        let first = into.len();
        let mut ticks = Vec::new();
        for i in 0..slots {
            let slot = &mut self.slots[(from + i) as usize % SLOTS];
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
        for i in 1..=SLOTS as u64 {
            let tick = self.done + i;
            if self.slots[tick as usize % SLOTS].iter().any(|(t, _)| *t == tick) {
                return tick;
            }
        }
        self.done + SLOTS as u64
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
}
