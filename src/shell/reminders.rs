//! What an operator is reminded of every hour: the doors that stand open, as the configuration in force has it.

use crate::policy::{doors, Settings};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Between two times that it is said.
const EVERY: Duration = Duration::from_secs(3600);

/// Which doors stand open where clients come in at `bound`.
pub fn open_doors(settings: &Settings, bound: SocketAddr) -> Vec<String> {
    let mut really = settings.clone();
    really.listen.port = Some(bound.port());
    if bound.ip().to_canonical().is_loopback() {
        really.listen.host = bound.ip().to_string();
    }
    doors::open(&really)
}

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

    /// These hold from now on; those that are new, to be said.
    pub fn change(&mut self, lines: Vec<String>, now: Instant) -> Vec<String> {
        if self.lines.is_empty() {
            self.next = now + EVERY;
        }
        let had = std::mem::replace(&mut self.lines, lines);
        self.lines.iter().filter(|l| !had.contains(l)).cloned().collect()
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
        let mut none = Reminders::new(Vec::new(), start);
        assert_eq!(none.next(), None);
        assert_eq!(none.change(vec!["open".into()], start + 3 * EVERY), ["open"]);
        assert_eq!(none.next(), Some(start + 4 * EVERY));
        assert!(none.change(vec!["open".into()], start + 3 * EVERY).is_empty());
    }
}
