//! Memory that runs short: when it is looked at, when shedding begins and ends (scenarios.md §3.1). The boot
//! thread looks when it is due, and does what was found. Between two of its looks a core takes in hundreds of megabytes:
//! so each shard has a [`Gauge`] besides, and looks itself whenever it has taken its share of a twentieth.

use super::memory::Ceiling;
use crate::base::limits::{DELIVERY_BYTES, TURN_DELIVERIES_MAX};
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
/// A shard looks when it has taken its share of so many hundredths of the ceiling …
const STEP: u64 = 5;
/// … but of no less than so many bytes.
const STEP_BYTES_MIN: u64 = 256 << 10;
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
    pub fn new(memory_limit: Option<usize>, now: Instant) -> Scarcity {
        let (ceiling, pressure) = (Ceiling::find(memory_limit), Arc::<Pressure>::default());
        pressure.limit.store(ceiling.as_ref().map_or(0, |c| c.bytes), Ordering::Relaxed);
        Scarcity { ceiling, pressure, next: now, since: None, said: now }
    }

    /// What it tells everybody.
    pub fn pressure(&self) -> &Arc<Pressure> {
        &self.pressure
    }

    /// When the next look is due; None: never.
    pub fn next(&self) -> Option<Instant> {
        self.ceiling.as_ref().map(|_| self.next)
    }

    /// For one of so many shards; None: there is no ceiling.
    pub fn gauge(&self, shards: usize) -> Option<Gauge> {
        Some(Gauge { step: self.step(shards)?, ceiling: self.ceiling.clone()?, lowest: 0 })
    }

    /// What one of so many shards may take between two of its looks, bytes.
    fn step(&self, shards: usize) -> Option<u64> {
        let share = |c: &Ceiling| c.bytes / 100 * STEP / shards.max(1) as u64;
        self.ceiling.as_ref().map(|c| share(c).max(STEP_BYTES_MIN))
    }

    /// What one of so many shards may deliver in one turn: it looks between turns, so a turn takes no more than what is
    /// between two looks.
    pub fn turn_deliveries_max(&self, shards: usize) -> u64 {
        self.step(shards).map_or(TURN_DELIVERIES_MAX, |step| (step / DELIVERY_BYTES as u64).min(TURN_DELIVERIES_MAX))
    }

    /// Looks, if it is time.
    pub fn look(&mut self, now: Instant) -> Found {
        let Some(ceiling) = self.ceiling.clone().filter(|_| self.next <= now) else { return Found::Calm };
        let used = ceiling.used_trimmed(self.since.is_some());
        self.judge(&ceiling, used, now)
    }

    /// A shard has found so many bytes taken, too many, and begun to shed.
    pub fn told(&mut self, used: u64, now: Instant) -> Found {
        match self.ceiling.clone() {
            Some(ceiling) => self.judge(&ceiling, used.max(ceiling.bytes), now),
            None => Found::Calm,
        }
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

/// What one shard watches; see the file's head.
#[derive(Debug)]
pub struct Gauge {
    ceiling: Ceiling,
    /// Bytes that it may take from one look to the next.
    step: u64,
    /// The least that was taken since the last look (`Shard::taken_bytes`).
    lowest: u64,
}

impl Gauge {
    /// The shard has taken so many bytes by now. Some: it looked, and so many are in use, too many.
    #[inline]
    pub fn overrun(&mut self, taken: u64) -> Option<u64> {
        self.due(taken).then(|| self.ceiling.used_trimmed(false)).filter(|used| *used >= self.ceiling.bytes)
    }

    fn due(&mut self, taken: u64) -> bool {
        let due = taken.saturating_sub(self.lowest) >= self.step;
        self.lowest = if due { taken } else { self.lowest.min(taken) };
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_at_the_ceiling_ends_well_below_and_is_said_again() {
        let ceiling = Ceiling::find(Some(1000)).unwrap();
        let start = Instant::now();
        let mut s = Scarcity::new(Some(1000), start);
        let pressure = s.pressure().clone();
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
    fn a_shard_looks_when_it_has_taken_its_share_since_it_had_least() {
        let watch = |bytes| Scarcity::new(Some(bytes), Instant::now());
        let mut gauge = watch(400 << 20).gauge(4).unwrap();
        assert_eq!(gauge.step, 5 << 20);
        let most = |bytes, shards| watch(bytes).turn_deliveries_max(shards);
        assert_eq!(
            (most(400 << 20, 4), most(400 << 30, 4), most(0, 1)),
            (5 << 10, TURN_DELIVERIES_MAX, TURN_DELIVERIES_MAX)
        );
        let megabytes = [1, 4, 5, 9, 10, 3, 7, 8, 20];
        assert_eq!(
            megabytes.map(|mb| gauge.due(mb << 20)),
            [false, false, true, false, true, false, false, true, true]
        );
        assert_eq!(watch(1).gauge(200).unwrap().step, STEP_BYTES_MIN);
        let mut gauge = watch(1 << 20).gauge(1).unwrap();
        assert_eq!(gauge.overrun(STEP_BYTES_MIN - 1), None, "not looked at");
        assert!(gauge.overrun(STEP_BYTES_MIN) > Some(1 << 20), "this process has more than that");
        let mut gauge = watch(1 << 50).gauge(1).unwrap();
        assert_eq!(gauge.overrun(1 << 50), None, "there is room");
    }

    #[test]
    fn what_a_shard_found_counts_though_it_has_shed_by_now() {
        let start = Instant::now();
        let mut s = Scarcity::new(Some(1000), start);
        let pressure = s.pressure().clone();
        assert!(matches!(s.told(7, start), Found::Scarce(Some(_))));
        assert!(pressure.scarce.load(Ordering::Relaxed), "until the next look: the shard must be told of its end");
        assert_eq!(Scarcity::new(Some(0), start).told(7, start), Found::Calm);
    }

    #[test]
    fn without_a_ceiling_nobody_looks() {
        let mut s = Scarcity::new(Some(0), Instant::now());
        assert_eq!((s.next(), s.look(Instant::now())), (None, Found::Calm));
        assert!(s.gauge(1).is_none());
    }
}
