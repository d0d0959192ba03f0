//! What an operator is reminded of every hour, because it was true at the start and only a restart can change it.

use std::time::{Duration, Instant};

/// Between two times that it is said.
const EVERY: Duration = Duration::from_secs(3600);

/// See the file's head.
#[derive(Debug)]
pub struct Reminders {
    lines: Vec<String>,
    next: Instant,
}

impl Reminders {
    /// `lines` have just been said.
    pub fn new(lines: Vec<String>, now: Instant) -> Reminders {
        Reminders { lines, next: now + EVERY }
    }

    /// When they are due again; None: there is nothing to be reminded of.
    pub fn next(&self) -> Option<Instant> {
        (!self.lines.is_empty()).then_some(self.next)
    }

    /// What is to be said now.
    pub fn due(&mut self, now: Instant) -> &[String] {
        if now < self.next {
            return &[];
        }
        self.next = now + EVERY;
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hour_and_not_before() {
        let start = Instant::now();
        let mut r = Reminders::new(vec!["open".into()], start);
        assert_eq!(r.next(), Some(start + EVERY));
        assert!(r.due(start + EVERY / 2).is_empty());
        assert_eq!(r.due(start + EVERY), ["open"]);
        assert!(r.due(start + EVERY).is_empty());
        assert_eq!(r.due(start + 2 * EVERY), ["open"]);
        assert_eq!(Reminders::new(Vec::new(), start).next(), None);
    }
}
