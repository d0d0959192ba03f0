//! The rows that measure throughput: publishers send as fast as the server takes it, and a bounded number of messages
//! is under way at any time, so that no server has a reason to cut a subscriber.
//!
//! Each publisher's messages are encoded once, all of one length, and sent round and round in large pieces; the price
//! of a message in the generator is its copy into the kernel and back.

use super::{
    fault::Fault,
    link::Server,
    links::{Links, Seat},
    listening::{Book, Ear, Listening},
    meter::{Extent, Measured, Meter},
    progress::Progress,
    stamp::{Stamp, STAMP},
};
use std::{
    ops::Range,
    time::{Duration, Instant},
};

/// Bytes per write.
const BATCH: usize = 64 << 10;
/// Prepared messages of one publisher may take so many bytes; more subjects than fit are sent in one order only.
const PREPARED: usize = 32 << 20;
/// The wait when nothing can be done; only bounds how late the end of a run is seen.
const NAP: Duration = Duration::from_millis(20);

/// What is sent and who listens.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Flows beside each other, each with a subject of its own.
    pub flows: usize,
    /// Subscribers of each flow.
    pub subscribers: usize,
    /// They are one queue group: each message goes to one of them.
    pub queue: bool,
    /// Subjects that each publisher takes in changing order; above one the subscriber listens on a wildcard.
    pub subjects: usize,
    /// Payload in bytes.
    pub size: usize,
    /// Bytes under way at most, over all flows, counted where they are received.
    pub in_flight: usize,
    /// Every message carries its number, and what comes is checked for duplicates and disorder.
    pub check: bool,
}

/// One publisher and its subscribers.
struct Flow {
    /// Number of the publisher's link.
    link: usize,
    /// Numbers of the subscribers' links.
    heard_by: Range<usize>,
    /// They share the messages.
    queue: bool,
    /// Whole messages, all equally long, back to back.
    prepared: Vec<u8>,
    /// Length of one message as it is sent.
    frame: usize,
    /// Bytes sent so far.
    sent: u64,
    /// Messages to send in all, as far as is known.
    goal: u64,
    /// Messages under way at most.
    window: u64,
    /// PONGs that the publisher has when all that it sent is done, once it has asked.
    answer: Option<u64>,
    /// Messages that have got their number, where they are to be checked.
    numbered: Option<u64>,
    /// Payload in bytes.
    size: usize,
}

/// A run over one plan.
pub struct Stream {
    links: Links,
    flows: Vec<Flow>,
    /// What has come, where it is checked.
    book: Option<Book>,
}

/// Subject number `i` of flow `flow`: of equal length for all numbers below `of`.
fn subject(flow: usize, i: usize, of: usize) -> String {
    match of {
        1 => format!("bench.{flow}"),
        _ => format!("bench.{flow}.{i:0width$}", width = (of - 1).to_string().len()),
    }
}

/// Encodes what a publisher sends: every subject equally often, in an order that changes from pass to pass.
fn prepare(flow: usize, plan: &Plan) -> (Vec<u8>, usize) {
    let payload = "x".repeat(plan.size);
    let encode = |i| format!("PUB {} {}\r\n{payload}\r\n", subject(flow, i, plan.subjects), plan.size);
    let frame = encode(0).len();
    if plan.subjects == 1 {
        return (encode(0).into_bytes().repeat((BATCH / frame).max(1)), frame);
    }
    let passes = (PREPARED / (frame * plan.subjects)).clamp(1, 8);
    let mut order: Vec<usize> = (0..plan.subjects).collect();
    let mut bytes = Vec::with_capacity(passes * plan.subjects * frame);
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..passes {
        for i in (1..order.len()).rev() {
            // xorshift64: the same order in every run
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            order.swap(i, (dice % (i as u64 + 1)) as usize);
        }
        order.iter().for_each(|i| bytes.extend_from_slice(encode(*i).as_bytes()));
    }
    (bytes, frame)
}

impl Flow {
    fn new(index: usize, plan: &Plan) -> Flow {
        let (prepared, frame) = prepare(index, plan);
        let first = plan.flows + index * plan.subscribers;
        let receivers = plan.flows * if plan.queue { 1 } else { plan.subscribers.max(1) };
        // a delivery is about as long as what was sent; two batches keep the sender busy whatever the bound says
        let window = (plan.in_flight / receivers / frame).max(2) as u64;
        let heard_by = first..first + plan.subscribers;
        let numbered = plan.check.then_some(0);
        let Plan { queue, size, .. } = *plan;
        Flow { link: index, heard_by, queue, prepared, frame, sent: 0, goal: 0, window, answer: None, numbered, size }
    }

    /// Receptions that one message makes.
    fn copies(&self) -> u64 {
        if self.queue {
            1
        } else {
            self.heard_by.len() as u64
        }
    }

    /// Whole messages sent.
    fn messages(&self) -> u64 {
        self.sent / self.frame as u64
    }

    /// True between two messages.
    fn whole(&self) -> bool {
        self.sent.is_multiple_of(self.frame as u64)
    }

    /// Bytes that may be sent now. Small pieces wait until a batch is worth its system call.
    fn room(&self, links: &Links) -> usize {
        let frame = self.frame as u64;
        let goal = self.goal * frame;
        let heard = links.all[self.heard_by.clone()].iter().map(|l| l.scan.messages);
        let slowest = if self.queue { Some(heard.sum()) } else { heard.min() };
        let limit = slowest.map_or(goal, |heard| goal.min((heard + self.window) * frame));
        let room = limit.saturating_sub(self.sent).min(BATCH as u64);
        let worth = (BATCH as u64).min(self.window * frame / 2).min(goal - self.sent);
        if self.whole() && room < worth {
            return 0;
        }
        room as usize
    }

    /// Sends a piece; true if another may go at once.
    fn push(&mut self, links: &mut Links) -> Result<bool, Fault> {
        let room = self.room(links);
        let link = &mut links.all[self.link];
        if !link.writable() || (self.whole() && !link.paid()?) {
            return Ok(false);
        }
        if room > 0 {
            let at = (self.sent % self.prepared.len() as u64) as usize;
            let end = self.prepared.len().min(at + room);
            self.number(self.sent + (end - at) as u64);
            self.sent += link.push(&self.prepared[at..end])? as u64;
        } else if self.heard_by.is_empty() && self.sent == self.goal * self.frame as u64 && self.answer.is_none() {
            self.answer = Some(link.scan.pongs + 1);
            link.owe(b"PING\r\n")?;
        }
        if self.whole() {
            links.all[self.link].answer_pings()?;
        }
        Ok(links.all[self.link].writable() && self.room(links) > 0)
    }

    /// Gives every message that begins before `end` (in bytes since the start) its number, once.
    fn number(&mut self, end: u64) {
        let Some(numbered) = &mut self.numbered else { return };
        while *numbered * (self.frame as u64) < end {
            let stamp = Stamp { intended: 0, late: 0, sender: self.link as u16, sequence: *numbered as u32 };
            let at = (*numbered * self.frame as u64 % self.prepared.len() as u64) as usize + self.frame - 2 - self.size;
            self.prepared[at..at + STAMP].copy_from_slice(&stamp.bytes());
            *numbered += 1;
        }
    }

    /// Receptions of the first `messages` messages that are still to come.
    fn short_of(&self, messages: u64, links: &Links) -> u64 {
        let heard = links.all[self.heard_by.clone()].iter().map(|l| l.scan.messages);
        match self.queue {
            true => messages.saturating_sub(heard.sum()),
            false => heard.map(|n| messages.saturating_sub(n)).sum(),
        }
    }

    /// Messages that were sent and have not come, over all subscribers; without any, until the server answers.
    fn missing(&self, links: &Links) -> u64 {
        if self.heard_by.is_empty() {
            let answered = self.answer.is_some_and(|due| links.all[self.link].scan.pongs >= due);
            return u64::from(!answered);
        }
        self.short_of(self.goal, links)
    }
}

/// What each link hears.
fn ears(flows: &[Flow]) -> Vec<Ear> {
    let mut ears = vec![Ear::Deaf; flows.len()];
    let mut tracks = 0;
    for flow in flows {
        for i in flow.heard_by.clone() {
            ears.push(Ear::Listens { track: tracks, sender: flow.link as u16, member: flow.queue, last: None });
            tracks += usize::from(!flow.queue || i + 1 == flow.heard_by.end);
        }
    }
    ears
}

impl Stream {
    /// Connects all publishers and subscribers of `plan`.
    pub fn new(server: &Server, plan: &Plan) -> Result<Stream, Fault> {
        if plan.check && plan.size < STAMP {
            return Err(Fault::Asked(format!("--check numbers every payload: it needs --size {STAMP} or more")));
        }
        let publishers = (0..plan.flows).map(|_| Seat::publisher());
        let listen = |flow| match plan.subjects {
            1 => subject(flow, 0, 1),
            _ => format!("bench.{flow}.*"),
        };
        let subscribers = (0..plan.flows).flat_map(|f| {
            (0..plan.subscribers).map(move |_| Seat { member: plan.queue, ..Seat::subscriber(listen(f)) })
        });
        let seats: Vec<_> = publishers.chain(subscribers).collect();
        let links = Links::new(server, &seats)?;
        links.carries(plan.size)?;
        let flows: Vec<_> = (0..plan.flows).map(|i| Flow::new(i, plan)).collect();
        let book = plan.check.then(|| Book::new(ears(&flows))).transpose()?;
        Ok(Stream { links, flows, book })
    }

    /// Warms up, measures; both end when the last message has come or none comes any more.
    pub fn run(mut self, meter: &Meter, progress: &mut Progress) -> Result<Measured, Fault> {
        progress.tick(0, || 0);
        let (_, _, lost) = self.phase(Extent::Time(meter.warm_up), meter.patience, None)?;
        if lost > 0 {
            return Err(Fault::LostInWarmUp(lost));
        }
        let lap = meter.lap()?;
        let (seconds, messages, lost) = self.phase(meter.extent, meter.patience, Some(progress))?;
        let mut measured = lap.done(seconds, messages, lost, self.links.info, None)?;
        if let Some(book) = self.book {
            measured.disorder = Some(book.disorder());
            // a count of messages cannot tell a loss that a duplicate makes good
            let due: u64 = self.flows.iter().map(|f| f.messages() * f.copies()).sum();
            measured.lost = due.saturating_sub(book.received);
        }
        Ok(measured)
    }

    /// Messages where they count: received, or sent where nobody listens.
    fn counted(&self) -> u64 {
        let heard: u64 = self.links.all.iter().map(|l| l.scan.messages).sum();
        heard + self.flows.iter().filter(|f| f.heard_by.is_empty()).map(Flow::messages).sum::<u64>()
    }

    /// Sends for `extent` and waits for the rest; gives the time until the last arrival, the messages, the losses.
    fn phase(
        &mut self,
        extent: Extent,
        patience: Duration,
        mut progress: Option<&mut Progress>,
    ) -> Result<(Duration, u64, u64), Fault> {
        let before = self.counted();
        let start = Instant::now();
        let mut last = start;
        self.aim(extent);
        let mut sending = true;
        loop {
            let so_far = start.elapsed();
            if let Some(progress) = &mut progress {
                progress.tick(so_far.as_nanos() as u64, || self.counted() - before);
            }
            if sending && extent.over(so_far) {
                sending = false;
                self.flows.iter_mut().for_each(|f| f.goal = f.goal.min(f.sent.div_ceil(f.frame as u64)));
            }
            let mut busy = false;
            for flow in &mut self.flows {
                let sent = flow.sent;
                busy |= flow.push(&mut self.links)?;
                if sent != flow.sent {
                    last = Instant::now();
                }
            }
            let came = self.pull()?;
            if came {
                last = Instant::now();
            }
            let all_sent = self.flows.iter().all(|f| f.sent == f.goal * f.frame as u64);
            let missing: u64 = self.flows.iter().map(|f| f.missing(&self.links)).sum();
            if all_sent && missing == 0 {
                return Ok((last - start, self.counted() - before, 0));
            }
            if last.elapsed() > patience {
                return self.stuck(last - start, before, patience);
            }
            // what came may have made room for a publisher
            busy |= came || self.links.all.iter().any(|l| l.readable());
            self.links.wait(if busy { Duration::ZERO } else { NAP })?;
        }
    }

    /// Sets what each publisher is to send: a share of a count, or without end until the time is over.
    fn aim(&mut self, extent: Extent) {
        let flows = self.flows.len() as u64;
        for (i, flow) in self.flows.iter_mut().enumerate() {
            flow.answer = None;
            flow.goal = match extent {
                Extent::Time(_) => u64::MAX / flow.frame as u64,
                Extent::Count(n) => flow.messages() + n / flows + u64::from((i as u64) < n % flows),
            };
        }
    }

    /// Reads from every link that has something; true if anything came.
    fn pull(&mut self) -> Result<bool, Fault> {
        let Links { all, buffer, .. } = &mut self.links;
        let mut came = false;
        for (i, link) in all.iter_mut().enumerate().filter(|(_, l)| l.readable()) {
            let whole = self.flows.get(i).is_none_or(Flow::whole);
            came |= match &mut self.book {
                None => link.pull(buffer, whole, &mut ())?,
                Some(book) => {
                    let n = link.pull(buffer, whole, &mut Listening { book, link: i })?;
                    // what comes again makes nothing good: the run waits for what has not come at all
                    link.scan.messages -= std::mem::take(&mut book.repeated);
                    n
                }
            } > 0;
        }
        Ok(came)
    }

    /// Nothing has moved for `patience`: what was sent and has not come is lost.
    fn stuck(&self, time: Duration, before: u64, patience: Duration) -> Result<(Duration, u64, u64), Fault> {
        if self.flows.iter().any(|f| f.heard_by.is_empty()) {
            return Err(Fault::Silent(patience));
        }
        let lost = self.flows.iter().map(|f| f.short_of(f.messages(), &self.links)).sum();
        Ok((time, self.counted() - before, lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan =
        Plan { flows: 1, subscribers: 1, queue: false, subjects: 1, size: 16, in_flight: 8 << 20, check: false };

    #[test]
    fn messages_of_a_publisher_are_equally_long() {
        for subjects in [1, 2, 10, 11, 1000] {
            let (bytes, frame) = prepare(0, &Plan { subjects, ..PLAN });
            assert_eq!(bytes.len() % frame, 0);
            assert!(bytes.chunks(frame).all(|m| m.starts_with(b"PUB bench.0") && m.ends_with(b"x\r\n")), "{subjects}");
        }
    }

    #[test]
    fn every_subject_comes_once_per_pass_in_changing_order() {
        let (bytes, frame) = prepare(0, &Plan { subjects: 10, ..PLAN });
        let passes: Vec<Vec<&[u8]>> = bytes.chunks(frame * 10).map(|p| p.chunks(frame).collect()).collect();
        assert_eq!(passes.len(), 8);
        for pass in &passes {
            let mut sorted = pass.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), 10);
        }
        assert_ne!(passes[0], passes[1]);
    }

    #[test]
    fn the_bytes_under_way_are_shared_by_all_receivers() {
        let one = Flow::new(0, &PLAN);
        let pairs = Flow::new(1, &Plan { flows: 4, ..PLAN });
        let fan = Flow::new(0, &Plan { subscribers: 4, ..PLAN });
        assert_eq!(one.window / 4, pairs.window);
        assert_eq!(pairs.window, fan.window);
        assert_eq!((pairs.link, pairs.heard_by, fan.heard_by), (1, 5..6, 1..5));
    }
}
