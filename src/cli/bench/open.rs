//! The open loop: messages leave when a schedule says so, not when the server is ready for them, and their latency counts
//! from the time they were due. A server that stalls is charged with everything that it should have carried meanwhile.
//!
//! Every message carries a [`Stamp`]. Two delays are told apart. The generator may come late to its own schedule: that
//! is [`Opened::behind`], the generator's fault, and spoils the run if there is too much of it. And the socket may not
//! take the message at once: that is the server's doing and part of the latency, as is everything after.

use super::{
    arrivals::Schedule,
    churn::Churn,
    fault::Fault,
    link::Server,
    links::{Links, Seat},
    listening::{Book, Ear, Listening},
    meter::{Extent, Lap, Measured, Meter},
    opened::{Load, Opened},
    progress::Progress,
    quantiles::histogram,
    stamp::{Stamp, STAMP},
};
use hdrhistogram::Histogram;
use std::{collections::VecDeque, time::Duration};

/// Bytes per write.
const BATCH: usize = 64 << 10;
/// Messages taken from the schedule in one go: between two of these the sockets are looked at.
const DUE_MAX: usize = 4096;
/// The longest sleep; only bounds how late the end of a run is seen.
const NAP: Duration = Duration::from_millis(20);

/// Who sends and who listens.
#[derive(Clone, Copy, Debug)]
pub enum Cast {
    /// So many publishers, each with so many subscribers of its own.
    Stream {
        /// Publishers.
        flows: usize,
        /// Subscribers of each.
        subscribers: usize,
        /// They are one queue group.
        queue: bool,
    },
    /// One client asks, another answers; the way there and back is measured.
    Request,
    /// So many clients, each of which sends to itself.
    Echo(usize),
}

/// A sender.
struct Voice {
    link: usize,
    /// Its line and a payload whose first bytes are the stamp's.
    message: Vec<u8>,
    /// Where the stamp goes.
    stamp_at: usize,
    sent: u64,
    /// When the messages that are due and have not left were due.
    waiting: VecDeque<u64>,
    /// How many of these the socket has refused.
    held: usize,
}

/// A run.
pub struct Open {
    links: Links,
    load: Load,
    voices: Vec<Voice>,
    /// What one sender's message makes: receptions.
    copies: u64,
    book: Book,
    schedule: Schedule,
    /// Messages taken from the schedule so far.
    taken: u64,
    /// Voices that have something waiting.
    active: Vec<usize>,
    /// Links that may have something to read.
    ready: Vec<usize>,
    /// The message of an answer, with its stamp's place.
    answer: (Vec<u8>, usize),
    churn: Option<Churn>,
    behind: Histogram<u64>,
    unheard: Histogram<u64>,
    held_back: u64,
    batch: Vec<u8>,
}

/// A message to `to`, with the place of its stamp.
fn message(to: &str, size: usize) -> (Vec<u8>, usize) {
    let line = format!("PUB {to} {size}\r\n");
    let at = line.len();
    (format!("{line}{}\r\n", "x".repeat(size)).into_bytes(), at)
}

/// The seats of a cast, what each hears, and what each sender says, by link.
fn seats(cast: Cast) -> (Vec<Seat>, Vec<Ear>, Vec<String>) {
    let listens = |track, sender, member| Ear::Listens { track, sender: sender as u16, member, last: None };
    match cast {
        Cast::Stream { flows, subscribers, queue } => {
            let mut seats = vec![Seat::publisher(); flows];
            let mut ears = vec![Ear::Deaf; flows];
            for flow in 0..flows {
                for i in 0..subscribers {
                    seats.push(Seat { member: queue, ..Seat::subscriber(format!("bench.{flow}")) });
                    ears.push(listens(if queue { flow } else { flow * subscribers + i }, flow, queue));
                }
            }
            (seats, ears, (0..flows).map(|f| format!("bench.{f}")).collect())
        }
        Cast::Request => {
            let asks = Seat { far: false, ..Seat::subscriber("bench.reply".into()) };
            let seats = vec![asks, Seat::subscriber("bench.ask".into())];
            (seats, vec![listens(0, 0, false), Ear::Answers], vec!["bench.ask bench.reply".into()])
        }
        Cast::Echo(clients) => {
            let names: Vec<String> = (0..clients).map(|i| format!("bench.{i}")).collect();
            let ears = (0..clients).map(|i| listens(i, i, false)).collect();
            (names.iter().cloned().map(Seat::subscriber).collect(), ears, names)
        }
    }
}

impl Open {
    /// Connects everybody.
    pub fn new(server: &Server, cast: Cast, load: Load) -> Result<Open, Fault> {
        if load.size < STAMP {
            return Err(Fault::Asked(format!(
                "--rate and --check stamp every payload: they need --size {STAMP} or more"
            )));
        }
        let (mut seats, mut ears, names) = seats(cast);
        if names.len() > usize::from(u16::MAX) {
            return Err(Fault::Asked(format!("an open loop has {} senders at most", u16::MAX)));
        }
        let churn = load.churn.map(|many| Churn::new(seats.len(), many)).transpose()?;
        if churn.is_some() {
            seats.push(Seat { far: true, ..Seat::publisher() });
            ears.push(Ear::Deaf);
        }
        let links = Links::new(server, &seats)?;
        links.carries(load.size)?;
        let copies = match cast {
            Cast::Stream { subscribers, queue: false, .. } => subscribers as u64,
            _ => 1,
        };
        let voice = |(link, name): (usize, &String)| {
            let (message, stamp_at) = message(name, load.size);
            Voice { link, message, stamp_at, sent: 0, waiting: VecDeque::new(), held: 0 }
        };
        Ok(Open {
            voices: names.iter().enumerate().map(voice).collect(),
            copies,
            book: Book::new(ears)?,
            schedule: Schedule::new(load.rate, load.arrivals),
            taken: 0,
            active: Vec::new(),
            ready: (0..seats.len()).collect(),
            answer: message("bench.reply", load.size),
            churn,
            behind: histogram()?,
            unheard: histogram()?,
            held_back: 0,
            batch: Vec::with_capacity(2 * BATCH),
            load,
            links,
        })
    }

    /// Warms up and measures without a break between; ends when every message has come or none comes any more.
    pub fn run(mut self, meter: &Meter, progress: &mut Progress) -> Result<Measured, Fault> {
        let warm = meter.warm_up.as_nanos() as u64;
        let (end, mut left) = match meter.extent {
            Extent::Time(time) => (warm + time.as_nanos() as u64, u64::MAX),
            Extent::Count(n) => (u64::MAX, n),
        };
        self.book.begin(warm);
        let (mut lap, mut idle, mut was_idle, mut before) = (None, 0, false, 0);
        // When it last looked and left nothing unread.
        let mut emptied = 0;
        let mut last_sent = 0;
        loop {
            let now = self.book.elapsed();
            if was_idle && before >= warm {
                idle += now - before;
            }
            // What comes while it sleeps wakes it.
            let since_look = if was_idle && self.load.sleep { 0 } else { now - emptied };
            before = now;
            if lap.is_none() && now >= warm {
                lap = Some(meter.lap()?);
                self.churn.iter_mut().for_each(|c| c.measure(now));
            }
            progress.tick(now.saturating_sub(warm), || self.book.measured);
            let over = self.schedule.due() >= end || left == 0;
            let due = if over { 0 } else { self.take_due(now, warm, end, &mut left) };
            let sent = self.send()?;
            if sent {
                last_sent = self.book.elapsed();
            }
            if let Some(churn) = &mut self.churn {
                churn.go(&mut self.links.all, self.book.elapsed(), over)?;
            }
            let heard = self.book.received;
            let came = self.hear()?;
            if now >= warm {
                self.unheard.saturating_record_n(since_look, self.book.received - heard);
            }
            if self.ready.is_empty() {
                emptied = now;
            }
            let due_in_all = self.voices.iter().map(|v| v.sent).sum::<u64>() * self.copies;
            if over {
                let quiet = self.book.elapsed().saturating_sub(self.book.last.max(last_sent));
                let patience_ends = quiet > meter.patience.as_nanos() as u64;
                if patience_ends && !self.active.is_empty() {
                    return Err(Fault::Silent(meter.patience));
                }
                let churned = self.churn.as_ref().is_none_or(Churn::rests);
                let all = self.active.is_empty() && self.book.received >= due_in_all && churned;
                if all || patience_ends {
                    break;
                }
            }
            was_idle = due == 0 && !sent && !came;
            self.wait(was_idle)?;
        }
        let lap = lap.map_or_else(|| meter.lap(), Ok)?;
        let time = self.book.last.saturating_sub(warm).max(1);
        self.done(lap, Duration::from_nanos(time), 1.0 - idle as f64 / (before.saturating_sub(warm)).max(1) as f64)
    }

    fn done(self, lap: Lap, time: Duration, busy: f64) -> Result<Measured, Fault> {
        let sent: u64 = self.voices.iter().map(|v| v.sent).sum();
        let lost = (sent * self.copies).saturating_sub(self.book.received);
        let mut measured = lap.done(time, self.book.measured, lost, self.links.info, None)?;
        measured.disorder = Some(self.book.disorder());
        measured.opened = Some(Box::new(Opened {
            load: self.load,
            latency: self.book.latency,
            from_sent: self.book.from_sent,
            behind: self.behind,
            unheard: self.unheard,
            held_back: self.held_back,
            foreign: self.book.foreign,
            busy: busy.clamp(0.0, 1.0),
            churned: self.churn.map(Churn::done),
        }));
        Ok(measured)
    }

    /// Takes what is due from the schedule, gives it to the senders in turn; says how many.
    fn take_due(&mut self, now: u64, warm: u64, end: u64, left: &mut u64) -> usize {
        let mut taken = 0;
        while taken < DUE_MAX && *left > 0 {
            let due = self.schedule.due();
            if due > now || due >= end {
                break;
            }
            self.schedule.advance();
            if due >= warm {
                *left -= 1;
                self.behind.saturating_record(now - due);
            }
            let voice = (self.taken % self.voices.len() as u64) as usize;
            self.taken += 1;
            if self.voices[voice].waiting.is_empty() {
                self.active.push(voice);
            }
            self.voices[voice].waiting.push_back(due);
            taken += 1;
        }
        taken
    }

    /// Sends what waits as far as sockets take it; true if anything left.
    fn send(&mut self) -> Result<bool, Fault> {
        let mut any = false;
        let Open { voices, active, links, book, batch, held_back, .. } = self;
        let mut i = 0;
        while let Some(number) = active.get(i).copied() {
            let voice = &mut voices[number];
            let link = &mut links.all[voice.link];
            let mut held = false;
            while !voice.waiting.is_empty() {
                if !link.writable() || !link.paid()? {
                    held = true;
                    break;
                }
                let now = book.elapsed();
                while batch.len() < BATCH {
                    let Some(intended) = voice.waiting.pop_front() else { break };
                    let stamp = Stamp {
                        intended,
                        late: now.saturating_sub(intended),
                        sender: number as u16,
                        sequence: voice.sent as u32,
                    };
                    let at = batch.len() + voice.stamp_at;
                    batch.extend_from_slice(&voice.message);
                    batch[at..at + STAMP].copy_from_slice(&stamp.bytes());
                    voice.sent += 1;
                    if voice.held > 0 {
                        voice.held -= 1;
                        *held_back += u64::from(intended >= book.warm);
                    }
                }
                link.owe(batch)?;
                batch.clear();
                any = true;
            }
            if held {
                voice.held = voice.waiting.len();
                i += 1;
            } else {
                active.swap_remove(i);
            }
        }
        Ok(any)
    }

    /// Reads from the links that have something, answers what asks; true if anything came.
    fn hear(&mut self) -> Result<bool, Fault> {
        let mut came = false;
        let mut i = 0;
        while let Some(number) = self.ready.get(i).copied() {
            let link = &mut self.links.all[number];
            if link.readable() {
                let mut listening = Listening { book: &mut self.book, link: number };
                came |= link.pull(&mut self.links.buffer, true, &mut listening)? > 0;
            }
            for stamp in self.book.answers.drain(..) {
                let (message, at) = &mut self.answer;
                message[*at..*at + STAMP].copy_from_slice(&stamp);
                self.batch.extend_from_slice(message);
            }
            if !self.batch.is_empty() {
                link.owe(&self.batch)?;
                self.batch.clear();
            }
            if link.readable() {
                i += 1;
            } else {
                self.ready.swap_remove(i);
            }
        }
        Ok(came)
    }

    /// Looks at the sockets; sleeps until the next message is due where that is wanted and nothing is to be done.
    fn wait(&mut self, idle: bool) -> Result<(), Fault> {
        let woken = if self.load.sleep && idle && self.ready.is_empty() {
            let next = Duration::from_nanos(self.schedule.due().saturating_sub(self.book.elapsed()));
            self.links.wait_finely(next.min(NAP))?
        } else {
            self.links.wait(Duration::ZERO)?
        };
        self.ready.extend_from_slice(woken);
        // what is owed beside the messages (answers, PONGs) leaves as soon as the socket takes it
        for number in self.ready.iter() {
            let link = &mut self.links.all[*number];
            if link.writable() {
                link.paid()?;
            }
        }
        Ok(())
    }
}
