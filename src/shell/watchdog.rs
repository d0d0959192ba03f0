//! systemd's watchdog (`WatchdogSec=`): it is told that the server lives only while every shard takes turns. So a shard that
//! hangs ends the process, and the unit starts it again. Driven by the boot thread.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A question to one shard that any turn answers.
#[derive(Clone, Debug)]
pub struct Beat {
    shards: Arc<[AtomicBool]>,
    shard: usize,
}

impl Beat {
    /// The shard has taken a turn.
    pub fn answer(&self) {
        if let Some(answered) = self.shards.get(self.shard) {
            answered.store(true, Relaxed);
        }
    }
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Watchdog {
    every: Duration,
    next: Instant,
    asked: Arc<[AtomicBool]>,
    /// Shards that are late have been named.
    said: bool,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// All shards turn: say so, and ask them again.
    Alive(Vec<Beat>),
    /// These do not; said once.
    Late(Vec<usize>),
}

impl Watchdog {
    /// Watches so many shards for a manager that ends the process after `patience` without a word.
    pub fn new(patience: Option<Duration>, shards: usize, now: Instant) -> Option<Watchdog> {
        // A word that is late by two beats is early enough.
        let every = patience.filter(|p| !p.is_zero())? / 3;
        // Before the first beat nobody has been asked.
        let asked = (0..shards).map(|_| AtomicBool::new(true)).collect();
        Some(Watchdog { every, next: now, asked, said: false })
    }

    /// When it is due again.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Looks whether all have answered, if it is time.
    pub fn due(&mut self, now: Instant) -> Due {
        if now < self.next {
            return Due::Nothing;
        }
        self.next = now + self.every;
        let late: Vec<usize> = (0..).zip(&*self.asked).filter(|(_, a)| !a.load(Relaxed)).map(|(i, _)| i).collect();
        if late.is_empty() {
            self.said = false;
            self.asked = self.asked.iter().map(|_| AtomicBool::new(false)).collect();
            return Due::Alive((0..self.asked.len()).map(|shard| Beat { shards: self.asked.clone(), shard }).collect());
        }
        match std::mem::replace(&mut self.said, true) {
            true => Due::Nothing,
            false => Due::Late(late),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn life_is_told_only_while_all_shards_turn() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut dog = Watchdog::new(Some(3 * second), 2, now).unwrap();
        let Due::Alive(beats) = dog.due(now) else { panic!("the first word") };
        assert!(matches!(dog.due(now), Due::Nothing));
        beats[1].answer();
        assert!(matches!(dog.due(now + second), Due::Late(late) if late == [0]));
        assert!(matches!(dog.due(now + 2 * second), Due::Nothing));
        beats[0].answer();
        assert!(matches!(dog.due(now + 3 * second), Due::Alive(beats) if beats.len() == 2));
        assert_eq!(dog.next(), now + 4 * second);
        assert!(Watchdog::new(None, 2, now).is_none() && Watchdog::new(Some(Duration::ZERO), 2, now).is_none());
    }
}
