//! Where questions to the shards leave and answers come back. One per monitor, on the admin thread; the shards' threads
//! touch only [`ShardDoor`] and [`Replies`].
//!
//! A shard never waits for monitoring and monitoring never holds a shard: a long listing is asked for in slices, each
//! of which is one order in one turn. How much can be under way is bounded: a shard that owes `OWED_MAX` answers is
//! asked nothing more.

use crate::base::ShardId;
use crate::shard::report::Counted;
use crate::shard::{Answer, Ask};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A shard that has not answered after this long is reported as silent.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Most answers one shard may owe. Requests are fewer at a time; the rest are those that were given up.
pub const OWED_MAX: usize = 128;

/// How a question reaches one shard. The boot makes them.
pub struct ShardDoor {
    /// Puts the question, with its ticket, on the shard's desk and rings its bell. False: there is no room, it was not
    /// put. It must not wait: meanwhile nothing else is answered.
    pub send: Box<dyn Fn(u64, Ask) -> bool + Send + Sync>,
}

/// Where shards give their answers. Cheap to clone, usable from any thread, never blocks.
#[derive(Clone, Debug)]
pub struct Replies {
    sender: mpsc::Sender<Reply>,
}

type Reply = (ShardId, u64, Answer);

/// The other end of [`Replies`]; goes to [`start`](super::start).
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::Receiver<Reply>,
}

/// The way back for the answers of that many shards.
pub fn replies(shards: usize) -> (Replies, Inbox) {
    let (sender, receiver) = mpsc::channel(OWED_MAX * shards.max(1));
    (Replies { sender }, Inbox { receiver })
}

impl Replies {
    /// Gives the answer to the question with this ticket. It is dropped when nobody waits any more; there is always
    /// room, because no shard is asked more than `OWED_MAX` questions ahead.
    pub fn give(&self, from: ShardId, ticket: u64, answer: Answer) {
        let _ = self.sender.try_send((from, ticket, answer));
    }
}

/// A shard did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent(pub ShardId);

impl std::fmt::Display for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "shard {} does not answer", self.0 .0)
    }
}

/// See the file's head.
pub struct Desk {
    doors: Vec<ShardDoor>,
    owed: Vec<AtomicUsize>,
    next_ticket: AtomicU64,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Answer>>>,
}

/// A question under way.
struct Asked {
    shard: usize,
    ticket: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Desk {
    /// A desk in front of these doors, in order of shards.
    pub fn new(doors: Vec<ShardDoor>) -> Desk {
        let owed = doors.iter().map(|_| AtomicUsize::new(0)).collect();
        Desk { doors, owed, next_ticket: AtomicU64::new(1), waiting: Mutex::default() }
    }

    /// Hands answers to who waits for them, until the last shard is gone.
    pub async fn sort_in(&self, mut inbox: Inbox) {
        while let Some((from, ticket, answer)) = inbox.receiver.recv().await {
            self.owes_less(from.index());
            let waits = self.waiting().remove(&ticket);
            if let Some(waits) = waits {
                // The request may have been given up in the meantime.
                let _ = waits.send(answer);
            }
        }
    }

    /// Asks every shard one question.
    ///
    /// # Errors
    /// A shard that did not answer in time.
    pub async fn ask_all(&self, ask: &Ask) -> Result<Vec<Answer>, Silent> {
        let asked: Result<Vec<_>, _> = (0..self.doors.len()).map(|shard| self.put(shard, ask.clone())).collect();
        let mut answers = Vec::with_capacity(self.doors.len());
        for asked in asked? {
            answers.push(self.wait(asked).await?);
        }
        Ok(answers)
    }

    /// Asks all shards in slices: `ask(cursor)` is the question, `take` uses an answer and says where that shard's next
    /// slice begins. In each round every shard with more to tell is asked once.
    ///
    /// # Errors
    /// A shard that did not answer in time.
    pub async fn ask_slices<C: Copy + Default + PartialOrd>(
        &self,
        ask: impl Fn(C) -> Ask,
        mut take: impl FnMut(Answer) -> Option<C>,
    ) -> Result<(), Silent> {
        self.ask_rounds(ask, |_, answer| take(answer)).await
    }

    /// Asks all shards a question before which they count their connections, in slices. The answers in order of shards.
    ///
    /// # Errors
    /// A shard that did not answer in time.
    pub async fn ask_counting(&self, ask: impl Fn(Counted) -> Ask) -> Result<Vec<Answer>, Silent> {
        let mut answers: Vec<Option<Answer>> = self.doors.iter().map(|_| None).collect();
        let take = |shard: usize, answer| match answer {
            Answer::Counted(counted) => Some(counted),
            answer => {
                answers[shard] = Some(answer);
                None
            }
        };
        self.ask_rounds(ask, take).await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// As [`Desk::ask_slices`]; `take` is told whose answer it is.
    async fn ask_rounds<C: Copy + Default + PartialOrd>(
        &self,
        ask: impl Fn(C) -> Ask,
        mut take: impl FnMut(usize, Answer) -> Option<C>,
    ) -> Result<(), Silent> {
        let mut round: Vec<(usize, C)> = (0..self.doors.len()).map(|shard| (shard, C::default())).collect();
        while !round.is_empty() {
            let asked: Result<Vec<_>, _> = round.iter().map(|(shard, from)| self.put(*shard, ask(*from))).collect();
            let mut more = Vec::new();
            for (asked, (shard, from)) in asked?.into_iter().zip(&round) {
                let next = take(*shard, self.wait(asked).await?);
                // A cursor that does not move would go round for ever.
                more.extend(next.filter(|next| next > from).map(|next| (*shard, next)));
            }
            round = more;
        }
        Ok(())
    }

    fn put(&self, shard: usize, ask: Ask) -> Result<Asked, Silent> {
        let room = |n: usize| (n < OWED_MAX).then_some(n + 1);
        if self.owed[shard].fetch_update(Relaxed, Relaxed, room).is_err() {
            return Err(Silent(ShardId(shard as u8)));
        }
        let ticket = self.next_ticket.fetch_add(1, Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting().insert(ticket, sender);
        if !(self.doors[shard].send)(ticket, ask) {
            self.waiting().remove(&ticket);
            self.owes_less(shard);
            return Err(Silent(ShardId(shard as u8)));
        }
        Ok(Asked { shard, ticket, answer })
    }

    /// This shard owes one answer less.
    fn owes_less(&self, shard: usize) {
        if let Some(owed) = self.owed.get(shard) {
            // An answer nobody asked for must not make room for more questions than there is space for answers.
            let _ = owed.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
        }
    }

    async fn wait(&self, asked: Asked) -> Result<Answer, Silent> {
        let answered = tokio::time::timeout(PATIENCE, asked.answer).await;
        answered.ok().and_then(Result::ok).ok_or_else(|| {
            self.waiting().remove(&asked.ticket);
            Silent(ShardId(asked.shard as u8))
        })
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_question_that_finds_no_room_is_owed_nothing() {
        let room = Arc::new(AtomicBool::new(false));
        let (replies, inbox) = replies(1);
        let has_room = room.clone();
        let send = move |ticket, _| {
            let taken = has_room.load(Relaxed);
            if taken {
                replies.give(ShardId(0), ticket, Answer::Tally(Box::default()));
            }
            taken
        };
        let desk = Arc::new(Desk::new(vec![ShardDoor { send: Box::new(send) }]));
        let sorting = desk.clone();
        tokio::spawn(async move { sorting.sort_in(inbox).await });
        for _ in 0..2 * OWED_MAX {
            assert_eq!(desk.ask_all(&Ask::TALLY).await.unwrap_err(), Silent(ShardId(0)));
        }
        assert!(desk.waiting().is_empty());
        room.store(true, Relaxed);
        for _ in 0..2 * OWED_MAX {
            assert_eq!(desk.ask_all(&Ask::TALLY).await.unwrap().len(), 1);
        }
    }
}
