//! The auditor: a publisher and a subscriber at each of some servers. Every message carries who sent it, its number and a
//! checksum; subscribers see to it that nothing comes twice, out of order or changed, and, on paths that no fault touches,
//! that all comes.

use super::cluster::Client;
use super::raw::PATIENCE;
use super::server::Server;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between two messages of one publisher, unless told otherwise.
const PAUSE: Duration = Duration::from_millis(1);

/// How long nothing may come while something should; on a link that is slow on purpose much waits in line.
const SILENCE: Duration = PATIENCE;

/// Shows that a message's bytes are those that were sent.
fn checksum(publisher: usize, seq: u64) -> u64 {
    (seq + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(publisher as u32 + 7)
}

/// What is demanded of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    /// No fault touches the paths: all come.
    All,
    /// Routes fail: some are lost; what comes is whole, comes once and in order; and the last ones come.
    Ends,
}

/// A publisher and a subscriber at each of some servers, at work until [`Audit::finish`].
pub struct Audit {
    shared: Arc<Shared>,
    publishers: Vec<JoinHandle<()>>,
    subscribers: Vec<JoinHandle<u64>>,
}

struct Shared {
    /// What all its subjects begin with.
    name: String,
    stop: AtomicBool,
    /// All publishers have ended: what they have sent is all.
    done: AtomicBool,
    sent: Vec<AtomicU64>,
    demand: Demand,
    pause: Duration,
}

impl Audit {
    /// Of paths that no fault will touch.
    pub fn start(servers: &[&Server]) -> Audit {
        Audit::begin(servers, Demand::All, PAUSE)
    }

    /// Of paths that fail. `pause` is left between two messages of one publisher.
    pub fn through_faults(servers: &[&Server], pause: Duration) -> Audit {
        Audit::begin(servers, Demand::Ends, pause)
    }

    fn begin(servers: &[&Server], demand: Demand, pause: Duration) -> Audit {
        let sent = servers.iter().map(|_| AtomicU64::new(0)).collect();
        let (stop, done) = (AtomicBool::new(false), AtomicBool::new(false));
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("audit.{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let shared = Arc::new(Shared { name, stop, done, sent, demand, pause });
        let mut audit = Audit { shared, publishers: Vec::new(), subscribers: Vec::new() };
        for (n, server) in servers.iter().enumerate() {
            let mut client = Client::of(server);
            client.say(&format!("SUB {}.* 1\r\n", audit.shared.name));
            let others: Vec<&Server> = (0..servers.len()).filter(|o| *o != n).map(|o| servers[o]).collect();
            client.known_at(&others);
            let shared = audit.shared.clone();
            audit.subscribers.push(thread::spawn(move || listen(client, &shared)));
        }
        for (id, server) in servers.iter().enumerate() {
            let client = Client::of(server);
            let shared = audit.shared.clone();
            audit.publishers.push(thread::spawn(move || publish(client, id, &shared)));
        }
        audit
    }

    /// Stops, and waits for what must come: all, or the last message of each publisher where routes failed (they are whole
    /// again by now). How many messages were sent to subscribers, and how many of them were lost. Panics when a message
    /// came twice, changed or out of order, or was lost on a path without faults.
    pub fn finish(self) -> (u64, u64) {
        self.shared.stop.store(true, Ordering::Release);
        self.publishers.into_iter().for_each(|p| p.join().expect("a publisher was harmed"));
        self.shared.done.store(true, Ordering::Release);
        let subscribers = self.subscribers.len() as u64;
        let lost = self.subscribers.into_iter().map(|s| s.join().expect("a subscriber was harmed")).sum();
        (subscribers * self.shared.sent.iter().map(|n| n.load(Ordering::Acquire)).sum::<u64>(), lost)
    }

    /// How many messages each publisher has sent by now.
    pub fn sent(&self) -> Vec<u64> {
        self.shared.sent.iter().map(|n| n.load(Ordering::Acquire)).collect()
    }
}

fn publish(mut client: Client, id: usize, shared: &Shared) {
    for seq in 0.. {
        let text = format!("{seq} {:x}", checksum(id, seq));
        client.say(&format!("PUB {}.{id} {}\r\n{text}\r\n", shared.name, text.len()));
        shared.sent[id].store(seq + 1, Ordering::Release);
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        thread::sleep(shared.pause);
    }
}

/// How many messages were lost.
fn listen(mut client: Client, shared: &Shared) -> u64 {
    let mut next = vec![0; shared.sent.len()];
    let (mut lost, mut waited) = (0, Duration::ZERO);
    loop {
        let all = shared.done.load(Ordering::Acquire);
        if all && shared.sent.iter().zip(&next).all(|(sent, next)| sent.load(Ordering::Acquire) == *next) {
            assert_eq!(client.say(""), Vec::<String>::new(), "came twice");
            return lost;
        }
        let step = Duration::from_millis(50);
        match client.try_next(step) {
            Some(text) => {
                let words: Vec<&str> = text.split_ascii_whitespace().collect();
                let id: usize = words[1].rsplit('.').next().and_then(|n| n.parse().ok()).expect("a publisher");
                let seq: u64 = words[4].parse().expect("a number");
                let fine = match shared.demand {
                    Demand::All => seq == next[id],
                    Demand::Ends => seq >= next[id],
                };
                assert!(fine, "lost, twice or out of order: {seq} of publisher {id}, not {}", next[id]);
                assert_eq!(words[5], format!("{:x}", checksum(id, seq)), "changed on its way");
                lost += seq - next[id];
                next[id] = seq + 1;
                waited = Duration::ZERO;
            }
            None => waited += step,
        }
        assert!(waited < SILENCE, "nothing comes any more: {next:?} of {:?}", shared.sent);
    }
}
