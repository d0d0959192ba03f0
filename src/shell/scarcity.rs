//! Memory that runs short: when it is looked at, when shedding begins and ends (scenarios.md §3.1). The boot
//! thread looks when it is due, and does what was found.

use super::memory::{self, Ceiling};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks while there is plenty of room …
const CALM: Duration = Duration::from_millis(250);
/// … while there is not, and while memory is scarce.
const TENSE: Duration = Duration::from_millis(25);
/// Plenty: less than so many hundredths of the ceiling are taken.
const PLENTY: u64 = 60;
/// Scarcity ends below so many hundredths of it.
const ENOUGH: u64 = 95;
/// How often it is said while it lasts.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What everybody may know of it.
#[derive(Debug, Default)]
pub struct Pressure {
    /// Bytes from which on memory is scarce; 0: there is no such limit.
    pub limit: AtomicU64,
    /// Bytes taken at the last look.
    pub used: AtomicU64,
    /// Memory is scarce: nobody is let in.
    pub scarce: AtomicBool,
    /// Clients refused for it.
    pub refused: AtomicU64,
}

/// See the file's head.
#[derive(Debug)]
pub struct Scarcity {
    ceiling: Option<Ceiling>,
    pressure: Arc<Pressure>,
    next: Instant,
    since: Option<Instant>,
    said: Instant,
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing to be done.
    Calm,
    /// Memory is scarce: the shards are told, each time. With it a line for the log, at times.
    Scarce(Option<String>),
    /// No longer. The shards are told, and the log.
    Over(String),
}

impl Scarcity {
    /// Watches what `memory_limit` says (`Limits::memory_limit`).
    pub fn new(memory_limit: Option<usize>, pressure: Arc<Pressure>, now: Instant) -> Scarcity {
        let ceiling = Ceiling::find(memory_limit);
        pressure.limit.store(ceiling.as_ref().map_or(0, |c| c.bytes), Ordering::Relaxed);
        Scarcity { ceiling, pressure, next: now, since: None, said: now }
    }

    /// When the next look is due; None: never.
    pub fn next(&self) -> Option<Instant> {
        self.ceiling.as_ref().map(|_| self.next)
    }

    /// Looks, if it is time.
    pub fn look(&mut self, now: Instant) -> Found {
        let Some(ceiling) = self.ceiling.clone().filter(|_| self.next <= now) else { return Found::Calm };
        let measure = || ceiling.used().unwrap_or(0);
        let mut used = measure();
        if used >= ceiling.bytes || self.since.is_some() {
            // What the allocator keeps for later is nobody's fault.
            memory::give_back();
            used = measure();
        }
        self.judge(&ceiling, used, now)
    }

    fn judge(&mut self, ceiling: &Ceiling, used: u64, now: Instant) -> Found {
        let plenty = used < ceiling.bytes / 100 * PLENTY;
        self.next = now + if plenty && self.since.is_none() { CALM } else { TENSE };
        self.pressure.used.store(used, Ordering::Relaxed);
        let full = ceiling.bytes;
        match self.since {
            None if used < full => Found::Calm,
            Some(since) if used < full / 100 * ENOUGH => {
                self.since = None;
                self.pressure.scarce.store(false, Ordering::Relaxed);
                let (lasted, refused) = (now.duration_since(since), self.pressure.refused.load(Ordering::Relaxed));
                Found::Over(format!(
                    "Memory is no longer scarce: {used} of {full} bytes are taken, after {:.1} s; {refused} clients \
                     have been refused for it since the start",
                    lasted.as_secs_f64()
                ))
            }
            since => {
                let say = since.is_none() || now.duration_since(self.said) >= SAY_EVERY;
                self.since = since.or(Some(now));
                self.pressure.scarce.store(true, Ordering::Relaxed);
                Found::Scarce(say.then(|| {
                    self.said = now;
                    format!(
                        "Memory is scarce: {used} bytes are taken, {full} may be; no clients are let in, no \
                         subscriptions taken, those for whom the most waits are cut — {}",
                        ceiling.remedy()
                    )
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_at_the_ceiling_ends_well_below_and_is_said_again() {
        let ceiling = Ceiling::find(Some(1000)).unwrap();
        let (pressure, start) = (Arc::new(Pressure::default()), Instant::now());
        let mut s = Scarcity::new(Some(1000), pressure.clone(), start);
        assert_eq!((s.next(), pressure.limit.load(Ordering::Relaxed)), (Some(start), 1000));
        let at = |ms| start + Duration::from_millis(ms);
        let mut look = |used, ms| {
            let found = s.judge(&ceiling, used, at(ms));
            (found, s.next.duration_since(at(ms)), pressure.scarce.load(Ordering::Relaxed))
        };
        assert_eq!(look(500, 0), (Found::Calm, CALM, false));
        assert_eq!(look(999, 250), (Found::Calm, TENSE, false));
        let (found, next, scarce) = look(1000, 275);
        let Found::Scarce(Some(line)) = found else { panic!("{found:?}") };
        assert!(line.contains("1000 bytes are taken, 1000 may be") && line.contains("memory_limit"), "{line}");
        assert_eq!((next, scarce), (TENSE, true));
        assert_eq!(look(960, 300), (Found::Scarce(None), TENSE, true), "neither at an end nor said again");
        assert!(matches!(look(951, 60_275), (Found::Scarce(Some(_)), _, true)));
        let (found, _, scarce) = look(940, 60_300);
        assert!(matches!(&found, Found::Over(line) if line.contains("after 60.0 s")), "{found:?}");
        assert!(!scarce);
        assert_eq!(look(990, 60_400).0, Found::Calm);
    }

    #[test]
    fn without_a_ceiling_nobody_looks() {
        let mut s = Scarcity::new(Some(0), Arc::default(), Instant::now());
        assert_eq!((s.next(), s.look(Instant::now())), (None, Found::Calm));
    }
}
