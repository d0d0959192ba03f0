//! What a shard notes of a message that is traced: what it came as, where it went, and why it did not go where it might have
//! gone. Parts of all shards that it reached are put together by the shell, which tells of them (`shell/system/traces`).

use crate::base::limits::{TRACES_SECOND_MAX, TRACE_STEPS_MAX};
use crate::base::{ShardId, ShardSet, Time, SECOND};
use crate::policy::Settings;
use std::sync::Arc;

/// Of one traced message, what every shard of this server knows.
#[derive(Debug)]
pub struct Mark {
    /// A number that no other message of this server has.
    pub id: u64,
    /// It is not delivered.
    pub only: bool,
    /// Index of the account it came in.
    pub account: u16,
    /// What stands before the hops from here on; empty where it was published here.
    pub hop: Box<[u8]>,
    /// Where it is told.
    pub dest: Box<[u8]>,
}

/// What one shard noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of which message: [`Mark::id`].
    pub id: u64,
    /// Of the shard where it came in.
    pub entry: Option<Entry>,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// So much that happened is not listed.
    pub left_out: u64,
    /// From so many other shards a part is to come, because it was sent there from here.
    pub elsewhere: u32,
}

/// How a message came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When: wall clock, nanoseconds since 1970.
    pub at_ns: u64,
    /// From whom.
    pub from: Party,
    /// Index of its account.
    pub account: u16,
    /// Its subject.
    pub subject: Box<[u8]>,
    /// Its header block.
    pub header: Box<[u8]>,
    /// Bytes of header and payload.
    pub size: usize,
    /// Index of the account that is told.
    pub told: u16,
    /// Where it is told.
    pub dest: Box<[u8]>,
    /// Why it was refused.
    pub error: Option<String>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Whose.
    pub kind: Kind,
    /// Its public number.
    pub cid: u64,
    /// What its other end is called.
    pub name: String,
}

/// Whose connection it is; numbered as nats-server numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client's.
    Client = 0,
    /// A route.
    Route = 1,
    /// A link of another cluster.
    Gateway = 2,
}

/// Something that happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When: wall clock, nanoseconds since 1970.
    pub at_ns: u64,
    /// What.
    pub what: What,
}

/// See [`Step`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A mapping made it this.
    Mapped {
        /// Its subject from here on.
        to: Box<[u8]>,
    },
    /// It is a stream that another account imports.
    Exported {
        /// Index of that account.
        account: u16,
        /// What that account calls it.
        to: Box<[u8]>,
    },
    /// It is a request to a service of another account, or an answer to one.
    Imported {
        /// Index of that account.
        account: u16,
        /// Its subject so far.
        from: Box<[u8]>,
        /// What that account calls it.
        to: Box<[u8]>,
    },
    /// It went to a connection, or was to.
    Egress(Egress),
    /// It did not go to somebody, and nats-server says nothing of that.
    Kept {
        /// A word for the reason.
        why: &'static str,
        /// The cluster, queue group or subject that it concerns.
        whom: Box<[u8]>,
        /// How many receivers; 0: it is not known.
        receivers: u64,
    },
}

/// A connection that a message went to, or was to go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// The connection.
    pub to: Party,
    /// What the next server is told that its way is called; empty of clients.
    pub hop: String,
    /// Index of the receiver's account, if that is another.
    pub account: Option<u16>,
    /// The pattern of the subscription.
    pub pattern: Box<[u8]>,
    /// Its queue group.
    pub queue: Box<[u8]>,
    /// Why it was not given the message.
    pub error: Option<&'static str>,
}

/// A traced message that is on its way through this shard.
#[derive(Debug)]
pub struct Tracing {
    /// What all shards know of it.
    pub mark: Arc<Mark>,
    /// What is noted so far.
    pub part: Part,
    /// This shard, and how many there are: hops of all of them are to be different.
    shard: (u64, u64),
    /// Servers that it was sent to from here.
    links: u64,
    /// Shards that it was sent to from here.
    pub reached: ShardSet,
    /// What accounts share.
    pub settings: Arc<Settings>,
    now_ns: u64,
}

impl Tracing {
    /// Begins with nothing but the mark.
    pub fn new(mark: Arc<Mark>, shard: ShardId, shards: usize, settings: Arc<Settings>, now_ns: u64) -> Tracing {
        let part = Part { id: mark.id, entry: None, steps: Vec::new(), left_out: 0, elsewhere: 0 };
        Tracing {
            mark,
            part,
            shard: (shard.index() as u64, shards as u64),
            links: 0,
            reached: ShardSet::EMPTY,
            settings,
            now_ns,
        }
    }

    /// Something happened.
    pub fn note(&mut self, what: What) {
        match self.part.steps.len() < TRACE_STEPS_MAX {
            true => self.part.steps.push(Step { at_ns: self.now_ns, what }),
            false => self.part.left_out += 1,
        }
    }

    /// It is not given to somebody of whom nats-server says nothing.
    pub fn keep(&mut self, why: &'static str, whom: &[u8], receivers: u64) {
        self.note(What::Kept { why, whom: whom.into(), receivers });
    }

    /// It goes to another shard, which is to know that it is traced.
    pub fn sent_to_shard(&mut self, shard: ShardId) -> &Arc<Mark> {
        self.reached.insert(shard);
        self.part.elsewhere += 1;
        &self.mark
    }

    /// What the way to the next server is called. With one shard the first is 1, the second 2, as at nats-server; else no two
    /// shards call two ways the same.
    pub fn next_hop(&mut self) -> String {
        let (shard, shards) = self.shard;
        let n = self.links * shards + shard + 1;
        self.links += 1;
        match self.mark.hop.is_empty() {
            true => n.to_string(),
            false => format!("{}.{n}", String::from_utf8_lossy(&self.mark.hop)),
        }
    }
}

/// How many messages a shard traces.
#[derive(Debug, Default)]
pub struct Rate {
    second: Time,
    begun: u64,
    /// Messages that were traced.
    pub traced: u64,
    /// Messages that were not, because so many had been in this second.
    pub refused: u64,
}

impl Rate {
    /// Another is to be traced: its number, if it may be.
    pub fn admit(&mut self, now: Time) -> Option<u64> {
        if now.since(self.second) >= SECOND {
            (self.second, self.begun) = (now, 0);
        }
        if self.begun >= TRACES_SECOND_MAX {
            self.refused += 1;
            return None;
        }
        self.begun += 1;
        self.traced += 1;
        Some(self.traced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracing(hop: &[u8], shard: u8, shards: usize) -> Tracing {
        let mark = Mark { id: 1, only: false, account: 0, hop: hop.into(), dest: Box::default() };
        Tracing::new(Arc::new(mark), ShardId(shard), shards, Arc::default(), 0)
    }

    #[test]
    fn hops_of_all_shards_are_different() {
        let hops = |hop: &[u8], shard, shards| {
            let mut t = tracing(hop, shard, shards);
            [t.next_hop(), t.next_hop()]
        };
        assert_eq!(hops(b"", 0, 1), ["1", "2"]);
        assert_eq!(hops(b"", 0, 2), ["1", "3"]);
        assert_eq!(hops(b"1.2", 1, 2), ["1.2.2", "1.2.4"]);
    }

    #[test]
    fn what_is_noted_of_one_message_is_bounded() {
        let mut t = tracing(b"", 0, 1);
        (0..TRACE_STEPS_MAX + 3).for_each(|_| t.keep("border", b"c", 0));
        assert_eq!((t.part.steps.len(), t.part.left_out), (TRACE_STEPS_MAX, 3));
    }

    #[test]
    fn a_second_has_so_many_traces() {
        let mut rate = Rate::default();
        let at = Time(SECOND);
        assert_eq!((0..TRACES_SECOND_MAX + 2).filter(|_| rate.admit(at).is_some()).count() as u64, TRACES_SECOND_MAX);
        assert_eq!(rate.refused, 2);
        assert_eq!(rate.admit(at.plus_ns(SECOND)), Some(TRACES_SECOND_MAX + 1));
    }
}
