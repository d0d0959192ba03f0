//! What comes in an open loop, as it comes: latencies, losses, duplicates, disorder. Used by [`super::open`].

use super::{
    fault::Fault,
    meter::Disorder,
    quantiles::histogram,
    scan::Heed,
    stamp::{Stamp, Track, STAMP},
};
use hdrhistogram::Histogram;
use std::time::Instant;

/// What a link is there to hear.
#[derive(Clone, Debug)]
pub enum Ear {
    /// Nothing.
    Deaf,
    /// The messages of one sender.
    Listens {
        /// Where they are kept track of; members of a queue group share one.
        track: usize,
        /// The sender's number.
        sender: u16,
        /// It shares them with the other members of a queue group.
        member: bool,
        /// The highest number that this member has had.
        last: Option<u64>,
    },
    /// Questions, which it answers.
    Answers,
}

/// What all links of a run have heard.
pub struct Book {
    /// When the run began.
    pub epoch: Instant,
    /// What was due before this is not measured; nanoseconds since the beginning.
    pub warm: u64,
    /// When a message last came.
    pub last: u64,
    /// From due to come, of what is measured.
    pub latency: Histogram<u64>,
    /// From sent to come.
    pub from_sent: Histogram<u64>,
    /// Messages in `latency`.
    pub measured: u64,
    /// Different messages that have come, measured or not.
    pub received: u64,
    /// Messages that had come before, since somebody last asked and took them from here.
    pub repeated: u64,
    /// Messages that are none of this run.
    pub foreign: u64,
    /// Stamps of questions that are to be answered.
    pub answers: Vec<[u8; STAMP]>,
    ears: Vec<Ear>,
    tracks: Vec<Track>,
    /// Messages that a member of a queue group had behind a later one.
    overtaken: u64,
    /// The time of the read whose messages follow.
    now: u64,
}

impl Book {
    /// For these links.
    pub fn new(ears: Vec<Ear>) -> Result<Book, Fault> {
        let tracks = ears.iter().map(|e| if let Ear::Listens { track, .. } = e { track + 1 } else { 0 }).max();
        Ok(Book {
            epoch: Instant::now(),
            warm: 0,
            last: 0,
            latency: histogram()?,
            from_sent: histogram()?,
            measured: 0,
            received: 0,
            repeated: 0,
            foreign: 0,
            answers: Vec::new(),
            ears,
            tracks: std::iter::repeat_with(Track::default).take(tracks.unwrap_or(0)).collect(),
            overtaken: 0,
            now: 0,
        })
    }

    /// The run begins now; what is due before `warm` nanoseconds have passed is not measured.
    pub fn begin(&mut self, warm: u64) {
        self.warm = warm;
        self.epoch = Instant::now();
    }

    /// Nanoseconds since the beginning.
    pub fn elapsed(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// What came twice or behind a later one. Among the members of a queue group only each one's own order counts.
    pub fn disorder(&self) -> Disorder {
        let shared = self.ears.iter().any(|e| matches!(e, Ear::Listens { member: true, .. }));
        let behind: u64 = self.tracks.iter().map(|t| t.reordered).sum();
        Disorder {
            duplicates: self.tracks.iter().map(|t| t.duplicates).sum(),
            reordered: if shared { self.overtaken } else { behind },
        }
    }
}

/// A book that one link writes to.
pub struct Listening<'a> {
    /// The book.
    pub book: &'a mut Book,
    /// The link's number.
    pub link: usize,
}

impl Heed for Listening<'_> {
    const HEAD: usize = STAMP;

    fn arrived(&mut self) {
        self.book.now = self.book.elapsed();
    }

    fn message(&mut self, head: &[u8]) {
        let book = &mut *self.book;
        book.last = book.now;
        let stamp = Stamp::read(head);
        match (&mut book.ears[self.link], stamp) {
            (Ear::Answers, Some(stamp)) => book.answers.push(stamp.bytes()),
            (Ear::Listens { track, sender, member, last }, Some(stamp)) if stamp.sender == *sender => {
                let track = &mut book.tracks[*track];
                let before = track.received;
                let number = track.take(stamp.sequence);
                if *member && track.received > before {
                    book.overtaken += u64::from(last.is_some_and(|l| number < l));
                    *last = Some(last.map_or(number, |l| l.max(number)));
                }
                if track.received == before {
                    book.repeated += 1;
                    return;
                }
                book.received += 1;
                if stamp.intended >= book.warm {
                    book.measured += 1;
                    let since = book.now.saturating_sub(stamp.intended);
                    book.latency.saturating_record(since);
                    book.from_sent.saturating_record(since.saturating_sub(stamp.late));
                }
            }
            _ => book.foreign += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(book: &mut Book, link: usize, sequence: u32) {
        let stamp = Stamp { intended: 5, late: 0, sender: 0, sequence };
        Listening { book, link }.message(&stamp.bytes());
    }

    #[test]
    fn members_of_a_group_have_one_account_and_each_its_own_order() {
        let member = || Ear::Listens { track: 0, sender: 0, member: true, last: None };
        let mut book = Book::new(vec![member(), member()]).unwrap();
        for (link, sequence) in [(0, 1), (1, 0), (1, 3), (1, 2), (0, 3), (0, 4)] {
            hear(&mut book, link, sequence);
        }
        let disorder = book.disorder();
        assert_eq!((book.received, disorder.duplicates, disorder.reordered), (5, 1, 1));
    }

    #[test]
    fn what_others_send_is_not_measured() {
        let mut book =
            Book::new(vec![Ear::Listens { track: 0, sender: 1, member: false, last: None }, Ear::Deaf]).unwrap();
        hear(&mut book, 0, 0);
        hear(&mut book, 1, 0);
        Listening { book: &mut book, link: 0 }.message(b"short");
        assert_eq!((book.foreign, book.received, book.measured), (3, 0, 0));
    }
}
