//! Two clients that mind their own business: one publishes, the other receives, again and again, on a thread of their
//! own, while a test does its worst to the same server. They must not notice.

use crate::support::raw::{Next, Raw, PATIENCE};
use crate::support::server::Server;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A round trip takes some tens of microseconds; this is for machines that have much else to do. What it must catch
/// is a shard that stands still for seconds.
const SLOWEST: Duration = Duration::from_secs(10);
/// Nine round trips of ten are faster than this.
const USUAL: Duration = Duration::from_millis(300);

/// The two clients, at work until [`Bystander::finish`].
pub struct Bystander {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Bystander {
    /// Connects the two, with this CONNECT, and begins.
    pub fn start(server: &Server, connect: &str) -> Bystander {
        let (mut from, mut to) = (Raw::connect(server.clients()), Raw::connect(server.clients()));
        for raw in [&mut from, &mut to] {
            raw.write(connect.as_bytes());
            raw.barrier();
        }
        to.write(b"SUB bystander.* 1\r\n");
        to.barrier();
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (asked, counted) = (stop.clone(), done.clone());
        let thread = thread::spawn(move || {
            let mut took = Vec::new();
            while !asked.load(Ordering::Relaxed) {
                took.push(round_trip(&mut from, &mut to, took.len()));
                counted.fetch_add(1, Ordering::Relaxed);
            }
            took
        });
        Bystander { stop, done, thread }
    }

    /// Waits until `n` further messages have made it.
    pub fn await_more(&self, n: usize) {
        let goal = self.done.load(Ordering::Relaxed) + n;
        while self.done.load(Ordering::Relaxed) < goal {
            assert!(!self.thread.is_finished(), "the bystanders gave up");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends the exchange. Panics if a message was lost or late.
    pub fn finish(self) {
        self.await_more(10);
        self.stop.store(true, Ordering::Relaxed);
        let mut took = self.thread.join().expect("a bystander was harmed");
        took.sort_unstable();
        let (usual, slowest) = (took[took.len() * 9 / 10], took[took.len() - 1]);
        assert!(usual < USUAL && slowest < SLOWEST, "round trips: nine of ten below {usual:?}, slowest {slowest:?}");
    }
}

fn round_trip(from: &mut Raw, to: &mut Raw, n: usize) -> Duration {
    let begun = Instant::now();
    let (text, subject) = (n.to_string(), n % 10);
    from.write(format!("PUB bystander.{subject} {}\r\n{text}\r\n", text.len()).as_bytes());
    let expected = format!("MSG bystander.{subject} 1 {}\r\n{text}\r\n", text.len());
    match to.next(PATIENCE) {
        Next::Frame(f) if f == expected.as_bytes() => begun.elapsed(),
        other => panic!("instead of message {n}: {other:?}"),
    }
}
