//! The rows that measure conversations: every client has one message under way, and sends the next when the answer
//! has come.

use super::{
    fault::Fault,
    link::Server,
    links::{Links, Seat},
    meter::{Disorder, Extent, Measured, Meter},
    progress::Progress,
    quantiles::histogram,
};
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// The wait when nothing happens.
const NAP: Duration = Duration::from_millis(20);

/// Who talks to whom.
#[derive(Clone, Copy, Debug)]
pub enum Topic {
    /// One client asks, another answers at the reply subject.
    Request,
    /// So many clients, each of which sends to itself.
    Echo(usize),
}

/// A link's part in the conversation.
struct Speaker {
    /// What it sends, each time.
    line: Vec<u8>,
    /// When it last asked; none for the one that only answers, and while nothing is under way.
    asked: Option<Instant>,
    /// It begins, rather than waits for somebody else's message.
    asks: bool,
}

/// A run of one topic.
pub struct Talk {
    links: Links,
    speakers: Vec<Speaker>,
    round_trips: Histogram<u64>,
    /// Messages that links had counted when they were last looked at.
    seen: Vec<u64>,
    /// Answers that nobody waited for.
    unasked: u64,
    spin: bool,
}

impl Talk {
    /// Connects everybody. With `spin` the generator never sleeps while it waits for an answer.
    pub fn new(server: &Server, topic: Topic, size: usize, spin: bool) -> Result<Talk, Fault> {
        let line = |to: String| format!("PUB {to} {size}\r\n{}\r\n", "x".repeat(size)).into_bytes();
        let (seats, speakers): (Vec<_>, Vec<_>) = match topic {
            Topic::Request => {
                let ask = Speaker { line: line("bench.ask bench.reply".into()), asked: None, asks: true };
                let answer = Speaker { line: line("bench.reply".into()), asked: None, asks: false };
                let asks = Seat { far: false, ..Seat::subscriber("bench.reply".into()) };
                (vec![asks, Seat::subscriber("bench.ask".into())], vec![ask, answer])
            }
            Topic::Echo(clients) => {
                let names = (0..clients).map(|i| format!("bench.{i}"));
                names.map(|n| (Seat::subscriber(n.clone()), Speaker { line: line(n), asked: None, asks: true })).unzip()
            }
        };
        let links = Links::new(server, &seats)?;
        links.carries(size)?;
        let round_trips = histogram()?;
        let seen = vec![0; speakers.len()];
        Ok(Talk { links, speakers, round_trips, seen, unasked: 0, spin })
    }

    /// Warms up, measures; both end when every answer has come or none comes any more.
    pub fn run(mut self, meter: &Meter, progress: &mut Progress) -> Result<Measured, Fault> {
        progress.tick(0, || 0);
        let (_, lost) = self.phase(Extent::Time(meter.warm_up), meter.patience, None)?;
        if lost > 0 {
            return Err(Fault::LostInWarmUp(lost));
        }
        self.round_trips.reset();
        let lap = meter.lap()?;
        let (time, lost) = self.phase(meter.extent, meter.patience, Some(progress))?;
        let mut measured = lap.done(time, self.round_trips.len(), lost, self.links.info, Some(self.round_trips))?;
        // with one message under way there is no order to lose
        measured.disorder = Some(Disorder { duplicates: self.unasked, reordered: 0 });
        Ok(measured)
    }

    /// Talks for `extent`; gives the time until the last answer, and how many are missing.
    fn phase(
        &mut self,
        extent: Extent,
        patience: Duration,
        mut progress: Option<&mut Progress>,
    ) -> Result<(Duration, u64), Fault> {
        let start = Instant::now();
        let mut last = start;
        let mut left = match extent {
            Extent::Time(_) => u64::MAX,
            Extent::Count(n) => n,
        };
        let mut under_way = 0;
        for i in 0..self.speakers.len() {
            under_way += u64::from(self.speakers[i].asks && self.ask(i, &mut left, Instant::now())?);
        }
        while under_way > 0 && last.elapsed() <= patience {
            if let Some(progress) = &mut progress {
                progress.tick((last - start).as_nanos() as u64, || self.round_trips.len());
            }
            self.links.wait(if self.spin { Duration::ZERO } else { NAP })?;
            for i in 0..self.speakers.len() {
                let link = &mut self.links.all[i];
                if link.writable() {
                    link.paid()?;
                }
                if !link.readable() {
                    continue;
                }
                link.pull(&mut self.links.buffer, true, &mut ())?;
                let came = link.scan.messages - std::mem::replace(&mut self.seen[i], link.scan.messages);
                let mut answered = false;
                for _ in 0..came {
                    last = Instant::now();
                    if !self.speakers[i].asks {
                        link.owe(&self.speakers[i].line)?;
                    } else if let Some(asked) = self.speakers[i].asked.take() {
                        self.round_trips.saturating_record((last - asked).as_nanos() as u64);
                        under_way -= 1;
                        answered = true;
                    } else {
                        self.unasked += 1;
                    }
                }
                if answered && !extent.over(last - start) {
                    under_way += u64::from(self.ask(i, &mut left, last)?);
                }
            }
        }
        Ok((last - start, under_way))
    }

    /// Sends the next question of link `i` unless none is left.
    fn ask(&mut self, i: usize, left: &mut u64, now: Instant) -> Result<bool, Fault> {
        if *left == 0 {
            return Ok(false);
        }
        *left -= 1;
        self.speakers[i].asked = Some(now);
        self.links.all[i].owe(&self.speakers[i].line)?;
        Ok(true)
    }
}
