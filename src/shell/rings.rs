//! Rings between shards and the bell that wakes a sleeping one. One [`Post`] per shard.
//!
//! A ring is a bounded channel of batches from one shard to one other; a second one brings spent batches back. Whoever
//! puts something in marks itself in the receiver's [`Bell`]; the receiver looks at one word instead of at every ring,
//! and only a sleeping one costs a system call.

use super::tls::{Secured, Session};
use super::watchdog::Beat;
use crate::base::{Cid, ConnId, ShardId, ShardSet};
use crate::conn::{GatewayInstruction, GatewayIntroduction, Introduction};
use crate::shard::{Batch, Opening, Order};
use crossbeam_channel::{bounded, unbounded, Receiver, Sender, TryRecvError, TrySendError};
use rustix::event::{eventfd, EventfdFlags};
use std::cell::Cell;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

/// Batches in flight from one shard to another. With a batch's size (a 64th of `max_pending`, shared by all shards) this
/// bounds what a slow receiver can still get after its publisher was told to wait: an eighth of its limit.
const RING_BATCHES: usize = 8;
/// New connections and questions waiting for one shard; while so many wait, no more of them are put in. A shard empties
/// its mail once a turn: one that is this far behind has other worries.
const MAIL_MAX: usize = 4096;

/// Another server's socket, and what makes it private.
pub type Link = (TcpStream, Option<Box<Session>>);

/// What comes to a shard from threads that are no shards.
pub enum Mail {
    /// A connection for this shard.
    Accepted(TcpStream, Opening),
    /// The same, private already.
    Secured(TcpStream, Box<Session>, Opening),
    /// What became of the handshake of a connection of this shard.
    Upgraded(ConnId, Result<Secured, String>),
    /// The server's own connection for what it answers in the system account.
    Service(TcpStream, Cid),
    /// Answered by any turn.
    Beat(Beat),
    /// A registered route for this shard.
    Route(Link, Introduction),
    /// A registered link to another cluster for this shard.
    Gateway(Link, GatewayIntroduction),
    /// Word about such a link; never before it itself.
    Instruct(GatewayInstruction),
    /// An order.
    Order(Order),
    /// All has been said: the executor ends.
    Stop,
}

/// Wakes one shard.
#[derive(Debug)]
pub struct Bell {
    /// Shards with something in their ring to this one, 64 to a word.
    rung: [AtomicU64; 2],
    mail: AtomicBool,
    asleep: AtomicBool,
    wake: OwnedFd,
}

impl Bell {
    fn new() -> std::io::Result<Bell> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Bell { rung: Default::default(), mail: AtomicBool::new(false), asleep: AtomicBool::new(false), wake })
    }

    fn ring(&self, from: ShardId) {
        let (word, bit) = (from.index() / 64, from.index() % 64);
        self.rung[word].fetch_or(1 << bit, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            // Fails only when the counter is full, and then the shard is being woken already.
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    fn take(&self) -> ShardSet {
        let word = |w: &AtomicU64| match w.load(Ordering::SeqCst) {
            0 => 0,
            _ => u128::from(w.swap(0, Ordering::SeqCst)),
        };
        ShardSet(word(&self.rung[0]) | word(&self.rung[1]) << 64)
    }

    fn silent(&self) -> bool {
        self.rung.iter().all(|w| w.load(Ordering::SeqCst) == 0) && !self.mail.load(Ordering::SeqCst)
    }
}

/// How other threads reach a shard.
#[derive(Clone)]
pub struct Door {
    mail: Sender<Mail>,
    bell: Arc<Bell>,
}

impl Door {
    /// Puts something into the shard's mail: always, and without waiting. For what must not be lost and is bounded by
    /// itself: the end of the server, and one verdict for each connection that waits for its password to be checked.
    pub fn send(&self, mail: Mail) {
        // A shard that has ended reads nothing any more.
        if self.mail.send(mail).is_ok() {
            self.bell.mail.store(true, Ordering::SeqCst);
            self.bell.wake();
        }
    }

    /// Is there room for what can be kept back or refused: a connection, a question? Ask before [`Door::send`]. Each of
    /// the few threads that do so may find the last place free: the bound is theirs plus [`MAIL_MAX`].
    pub fn has_room(&self) -> bool {
        self.mail.len() < MAIL_MAX
    }
}

/// One pair of rings.
struct Ring {
    to: Sender<Batch>,
    spent: Receiver<Batch>,
    /// Batches sent that have not come back: a receiver that cannot keep up holds them, and so bounds its sender.
    out: Cell<usize>,
}

/// The receiving side of one pair.
struct Inbox {
    from: Receiver<Batch>,
    spent: Sender<Batch>,
}

/// Everything one shard needs to hear the others and be heard.
pub struct Post {
    id: ShardId,
    rings: Vec<Option<Ring>>,
    inboxes: Vec<Option<Inbox>>,
    bells: Vec<Arc<Bell>>,
    mail: Receiver<Mail>,
}

/// Makes the posts of `n` shards and the doors to them.
///
/// # Errors
/// When the system has no more file descriptors.
pub fn connect(n: usize) -> std::io::Result<(Vec<Post>, Vec<Door>)> {
    let bells: Vec<Arc<Bell>> = (0..n).map(|_| Bell::new().map(Arc::new)).collect::<Result<_, _>>()?;
    let mut posts = Vec::new();
    let mut doors = Vec::new();
    for (i, bell) in bells.iter().enumerate() {
        // Bounded by who sends: see `Door`.
        let (send, mail) = unbounded();
        doors.push(Door { mail: send, bell: bell.clone() });
        let none = |_| None;
        let (rings, inboxes) = ((0..n).map(none).collect(), (0..n).map(|_| None).collect());
        posts.push(Post { id: ShardId(i as u8), rings, inboxes, bells: bells.clone(), mail });
    }
    for from in 0..n {
        for to in (0..n).filter(|to| *to != from) {
            let (send, receive) = bounded(RING_BATCHES);
            // Room for all that can be under way, so that giving back never waits.
            let (give_back, spent) = bounded(RING_BATCHES + 2);
            posts[from].rings[to] = Some(Ring { to: send, spent, out: Cell::new(0) });
            posts[to].inboxes[from] = Some(Inbox { from: receive, spent: give_back });
        }
    }
    Ok((posts, doors))
}

impl Post {
    /// Which shard's post this is.
    pub fn id(&self) -> ShardId {
        self.id
    }

    fn bell(&self) -> &Bell {
        &self.bells[self.id.index()]
    }

    /// To be polled while asleep.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.bell().wake.as_fd()
    }

    /// Everything in all rings, in order, to `hear`.
    pub fn hear(&self, mut hear: impl FnMut(ShardId, Batch)) {
        for from in self.bell().take().iter() {
            let Some(inbox) = &self.inboxes[from.index()] else { continue };
            while let Ok(batch) = inbox.from.try_recv() {
                hear(from, batch);
            }
        }
    }

    /// Gives a batch that was heard back to its sender, who may send another for it. No bell: a sender that waits for
    /// room does not sleep.
    pub fn give_back(&self, from: ShardId, batch: Batch) {
        if let Some(inbox) = &self.inboxes[from.index()] {
            // There is room for all that can be under way; a shard that has ended needs none back.
            let _ = inbox.spent.try_send(batch);
        }
    }

    /// A batch of ours that came back from `to`.
    pub fn spent(&self, to: ShardId) -> Option<Batch> {
        let ring = self.rings[to.index()].as_ref()?;
        let batch = ring.spent.try_recv().ok()?;
        ring.out.set(ring.out.get() - 1);
        Some(batch)
    }

    /// Sends a batch.
    ///
    /// # Errors
    /// The batch, if the ring is full.
    #[allow(clippy::result_large_err, reason = "the batch itself comes back")]
    pub fn send(&self, to: ShardId, batch: Batch) -> Result<(), Batch> {
        let Some(ring) = &self.rings[to.index()] else { return Ok(()) };
        if ring.out.get() >= RING_BATCHES {
            return Err(batch);
        }
        match ring.to.try_send(batch) {
            Ok(()) => {
                ring.out.set(ring.out.get() + 1);
                self.bells[to.index()].ring(self.id);
                Ok(())
            }
            Err(TrySendError::Full(batch)) => Err(batch),
            // That shard has ended: the server is stopping.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// The next piece of mail.
    pub fn mail(&self) -> Option<Mail> {
        if !self.bell().mail.load(Ordering::SeqCst) {
            return None;
        }
        match self.mail.try_recv() {
            Ok(mail) => Some(mail),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                self.bell().mail.store(false, Ordering::SeqCst);
                // Somebody may have put something in between the look and the store.
                self.mail.try_recv().ok().inspect(|_| self.bell().mail.store(true, Ordering::SeqCst))
            }
        }
    }

    /// Says that this shard is about to sleep. False: something has come, it must not.
    pub fn fall_asleep(&self) -> bool {
        self.bell().asleep.store(true, Ordering::SeqCst);
        if self.bell().silent() {
            return true;
        }
        self.wake_up();
        false
    }

    /// Awake again.
    pub fn wake_up(&self) {
        self.bell().asleep.store(false, Ordering::SeqCst);
    }

    /// The descriptor was found ringing.
    pub fn stop_ringing(&self) {
        let _ = rustix::io::read(&self.bell().wake, &mut [0u8; 8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_mail_has_no_room_but_takes_what_must_not_be_lost() {
        let (posts, doors) = connect(1).unwrap();
        let (post, door) = (&posts[0], &doors[0]);
        for _ in 0..MAIL_MAX {
            assert!(door.has_room());
            door.send(Mail::Order(Order::Drain));
        }
        assert!(!door.has_room());
        door.send(Mail::Stop);
        assert!(!post.fall_asleep(), "there is mail");
        for _ in 0..MAIL_MAX {
            assert!(matches!(post.mail(), Some(Mail::Order(Order::Drain))));
        }
        assert!(door.has_room());
        assert!(matches!(post.mail(), Some(Mail::Stop)));
        assert!(post.mail().is_none());
        assert!(post.fall_asleep());
    }

    #[test]
    fn a_shard_that_has_ended_takes_mail_and_reads_none() {
        let (posts, doors) = connect(1).unwrap();
        drop(posts);
        doors[0].send(Mail::Stop);
        assert!(doors[0].has_room());
    }
}
