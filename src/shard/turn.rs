//! The one order in which a shard may be driven: rings before sockets, both ways.
//!
//! On the way in every ring is heard *after* socket bytes have arrived and *before* they are parsed; on the way out every
//! batch is pushed *before* any socket is written. So when a client reads the PONG after its SUB, that fact already
//! lies in every other shard's ring, and whatever anybody sends because of it is parsed only after that ring was heard.
//! The promise "PONG means my subscription is live on this server" (client-protocol.md §23.3) holds without an
//! acknowledgement.
//!
//! ```text
//! Shard::begin ─▶ Turn<Rings> ── sockets ─▶ Turn<Sockets> ── end ─▶ Flush<Rings> ── sockets ─▶ Flush<Sockets>
//!                  batch, spent ◀── rings ──  open bytes lost …      batch, full       │         dirty … act
//!                                                                                     └─▶ Stuck: a ring was full
//! ```

use super::batch::Batch;
use super::core::{Act, Lost, Opening, Shard};
use super::report::Order;
use crate::base::{Cid, ConnId, Now, ShardId};
use crate::conn::{Client, GatewayIntroduction, Introduction};
use crate::policy::Peer;
use std::marker::PhantomData;

/// The step of hearing, or telling, the other shards.
pub struct Rings;
/// The step of reading, or writing, sockets.
pub struct Sockets;

/// The first half of a turn: what has happened.
pub struct Turn<'a, Step> {
    shard: &'a mut Shard,
    step: PhantomData<Step>,
}

/// The second half: what follows from it.
pub struct Flush<'a, Step> {
    shard: &'a mut Shard,
    next: usize,
    step: PhantomData<Step>,
}

/// A ring had no room: no socket may be written in this turn, and none read until a turn got through; rings are heard
/// all the same, so that two full shards cannot wait for each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Stuck;

impl Shard {
    /// Begins a turn.
    pub fn begin(&mut self, now: Now) -> Turn<'_, Rings> {
        self.now = now;
        self.outbox.now = now;
        self.take_breath();
        for id in std::mem::take(&mut self.unfinished) {
            self.writable(id);
        }
        Turn { shard: self, step: PhantomData }
    }
}

impl<'a> Turn<'a, Rings> {
    /// Hears what another shard says; its messages are delivered when every ring is heard. [`Flush::heard`] gives the batch
    /// back when it is done with.
    pub fn batch(&mut self, from: ShardId, batch: Batch) {
        self.shard.hear(from, batch);
    }

    /// An own batch came back to be filled again.
    pub fn spent(&mut self, mut batch: Batch) {
        batch.clear();
        self.shard.empty_batches.push(batch);
    }

    /// All rings are heard.
    pub fn sockets(self) -> Turn<'a, Sockets> {
        self.shard.deliver_heard();
        Turn { shard: self.shard, step: PhantomData }
    }
}

impl<'a> Turn<'a, Sockets> {
    /// Back to the rings, before bytes are parsed that arrived since they were heard.
    pub fn rings(self) -> Turn<'a, Rings> {
        Turn { shard: self.shard, step: PhantomData }
    }

    /// Does what is due, and goes on with what was left over.
    pub fn time(&mut self) {
        if self.shard.outbox.waiting() > self.shard.outbox.waiting_max {
            self.shard.shed();
        }
        self.shard.tick();
        self.shard.go_on();
        self.shard.go_on_with_peers();
        self.shard.go_on_with_abandoned();
        self.shard.begin_draining();
    }

    /// A connection was accepted for this shard.
    pub fn open(&mut self, opening: Opening) -> ConnId {
        self.shard.enter(opening)
    }

    /// The socket of [`Act::Upgrade`] is back, private; None: it stays in the clear, as it may.
    pub fn upgraded(&mut self, conn: ConnId, peer: Option<Box<Peer>>) {
        self.shard.upgraded(conn, peer);
    }

    /// The server's own connection for what it answers in the system account; nobody is told of it.
    pub fn open_service(&mut self, cid: Cid) -> ConnId {
        self.shard.enter_service(cid)
    }

    /// A registered route is this shard's from now on.
    pub fn introduce(&mut self, intro: Introduction) -> ConnId {
        self.shard.introduce(intro)
    }

    /// A registered link to another cluster is this shard's from now on.
    pub fn introduce_gateway(&mut self, intro: GatewayIntroduction) -> ConnId {
        self.shard.introduce_gateway(intro)
    }

    /// The answer to [`Act::Measure`]: so many bytes of what was written are not acknowledged by the peer's system.
    pub fn unacked(&mut self, conn: ConnId, bytes: u64) {
        self.shard.unacked(conn, bytes);
    }

    /// See [`Shard::reads`].
    pub fn reads(&self, conn: ConnId) -> usize {
        self.shard.reads(conn)
    }

    /// Bytes arrived. All are taken: what cannot be done yet is kept.
    pub fn bytes(&mut self, conn: ConnId, data: &[u8]) {
        self.shard.bytes(conn, data);
    }

    /// A socket that was [`Flush::blocked`] takes bytes again.
    pub fn writable(&mut self, conn: ConnId) {
        self.shard.writable(conn);
    }

    /// A socket ended.
    pub fn lost(&mut self, conn: ConnId, why: Lost) {
        self.shard.lost(conn, why);
    }

    /// An order came.
    pub fn order(&mut self, order: Order) {
        self.shard.obey(order);
    }

    /// Nothing more has happened.
    pub fn end(self) -> Flush<'a, Rings> {
        self.shard.tell_ends(false);
        self.shard.tell_wide_ends(false);
        self.shard.hand_over();
        self.shard.plan_to_forget();
        self.shard.stuck = false;
        Flush { shard: self.shard, next: 0, step: PhantomData }
    }
}

impl<'a> Flush<'a, Rings> {
    /// What is to be told to another shard, if anything.
    pub fn batch(&mut self, to: ShardId) -> Option<Batch> {
        let pending = &mut self.shard.batches[to.index()];
        if pending.is_empty() {
            return None;
        }
        Some(std::mem::replace(pending, self.shard.empty_batches.pop().unwrap_or_default()))
    }

    /// The ring to that shard had no room; the batch is kept for the next turn.
    pub fn full(&mut self, to: ShardId, batch: Batch) {
        let empty = std::mem::replace(&mut self.shard.batches[to.index()], batch);
        self.shard.empty_batches.push(empty);
        self.shard.stuck = true;
    }

    /// A batch of another shard that is done with, emptied: it goes back there. A shard that holds batches back bounds
    /// what others can send it.
    pub fn heard(&mut self) -> Option<(ShardId, Batch)> {
        let (from, mut batch) = self.shard.heard.pop_front()?;
        batch.clear();
        Some((from, batch))
    }

    /// All rings are told.
    ///
    /// # Errors
    /// [`Stuck`] if one of them was full.
    pub fn sockets(self) -> Result<Flush<'a, Sockets>, Stuck> {
        if self.shard.stuck {
            return Err(Stuck);
        }
        Ok(Flush { shard: self.shard, next: 0, step: PhantomData })
    }
}

impl Flush<'_, Sockets> {
    /// The next connection with something to write; each comes once.
    pub fn dirty(&mut self) -> Option<ConnId> {
        while let Some(&id) = self.shard.outbox.dirty.get(self.next) {
            self.next += 1;
            if self.shard.take_dirty(id) {
                return Some(id);
            }
        }
        self.shard.outbox.dirty.clear();
        self.next = 0;
        None
    }

    /// The next bytes to write to a connection, contiguous; empty: nothing waits that may be written.
    pub fn pending(&self, conn: ConnId) -> &[u8] {
        self.shard.outbox.conns.get(conn).map_or(&[], Client::writable)
    }

    /// What may be written behind [`Flush::pending`], in order: one write takes it all more cheaply than several.
    pub fn behind(&self, conn: ConnId) -> impl Iterator<Item = &[u8]> {
        self.shard.outbox.conns.get(conn).into_iter().flat_map(Client::writable_behind)
    }

    /// The socket took so many of them.
    pub fn wrote(&mut self, conn: ConnId, n: usize) {
        self.shard.wrote(conn, n);
    }

    /// The socket takes no more; [`Turn::writable`] says when it does.
    pub fn blocked(&mut self, conn: ConnId) {
        self.shard.blocked(conn);
    }

    /// The socket would take more, but others are to have their turn: gone on with in the next.
    pub fn later(&mut self, conn: ConnId) {
        self.shard.unfinished.push(conn);
    }

    /// Writing failed.
    pub fn lost(&mut self, conn: ConnId, why: Lost) {
        self.shard.lost(conn, why);
    }

    /// The next thing to do.
    pub fn act(&mut self) -> Option<Act> {
        let log = |(level, text)| Act::Log { level, text };
        let said = self.shard.acts.pop_front().or_else(|| self.shard.outbox.diary.next().map(log));
        said.or_else(|| self.shard.vacancy())
    }
}
