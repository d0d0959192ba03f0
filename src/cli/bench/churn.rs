//! A client that changes its mind: it subscribes to many subjects and takes all back, each time confirmed by a PONG, while
//! messages flow beside. Driven by [`super::open`].

use super::{fault::Fault, link::Link, quantiles::histogram};
use hdrhistogram::Histogram;

/// The client.
pub struct Churn {
    link: usize,
    /// Subscriptions that are made or taken back at a time.
    many: usize,
    /// The lines that make them, and those that take them back, each with a PING behind.
    lines: [Vec<u8>; 2],
    /// The next lines are those that take back.
    back: bool,
    /// PONGs that confirm what is under way, and when it was sent.
    due: Option<(u64, u64)>,
    /// When measuring began.
    measured_from: Option<u64>,
    churned: Churned,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Churned {
    /// Subscriptions made or taken back and confirmed.
    pub changes: u64,
    /// How long that took, in nanoseconds.
    pub time: u64,
    /// From the first line of a lot until its PONG, in nanoseconds.
    pub confirmed: Histogram<u64>,
}

impl Churn {
    /// On the link of this number, so many at a time.
    pub fn new(link: usize, many: usize) -> Result<Churn, Fault> {
        let lines = |line: &dyn Fn(usize) -> String| {
            let lines: String = (0..many).map(line).collect();
            (lines + "PING\r\n").into_bytes()
        };
        let lines = [lines(&|i| format!("SUB bench.churn.{i} {i}\r\n")), lines(&|i| format!("UNSUB {i}\r\n"))];
        let churned = Churned { changes: 0, time: 0, confirmed: histogram()? };
        Ok(Churn { link, many, lines, back: false, due: None, measured_from: None, churned })
    }

    /// What is confirmed from now on counts.
    pub fn measure(&mut self, now: u64) {
        self.measured_from = Some(now);
    }

    /// Sends the next lot once the last is confirmed, unless it is `over`. The client ends with no subscription.
    pub fn go(&mut self, links: &mut [Link], now: u64, over: bool) -> Result<(), Fault> {
        let link = &mut links[self.link];
        if let Some((pongs, since)) = self.due {
            if link.scan.pongs < pongs {
                return Ok(());
            }
            self.due = None;
            if let Some(from) = self.measured_from.filter(|from| since >= *from) {
                self.churned.changes += self.many as u64;
                self.churned.time = now - from;
                self.churned.confirmed.saturating_record(now - since);
            }
        }
        if over && !self.back {
            return Ok(());
        }
        self.due = Some((link.scan.pongs + 1, now));
        link.owe(&self.lines[usize::from(self.back)])?;
        self.back = !self.back;
        Ok(())
    }

    /// Nothing is under way.
    pub fn rests(&self) -> bool {
        self.due.is_none() && !self.back
    }

    /// What was found.
    pub fn done(self) -> Churned {
        self.churned
    }
}
