//! Shards driven as the shell drives them, with plain vectors for sockets and rings. For the checks beside this file.

use std::collections::VecDeque;
use std::sync::Arc;
use turnpike::base::{Cid, ConnId, Now, ShardId, Time, MILLISECOND};
use turnpike::policy::Settings;
use turnpike::shard::{Act, Answer, Batch, Flush, Identity, Lost, Opening, Order, Setup, Shard, Sockets};

/// Turns after which everything that was begun must be done.
const TURNS_MAX: usize = 10_000;

/// What happens to a shard in one turn.
pub enum Event<'a> {
    /// A client connects.
    Open,
    /// A client speaks.
    Bytes(usize, &'a [u8]),
    /// A client's socket ends.
    Lost(usize, Lost),
    /// A client's socket takes bytes again.
    Writable(usize),
    /// An order.
    Order(Order),
}

/// A client as the server's side of its socket sees it.
pub struct Socket {
    /// The shard it was given to.
    pub shard: usize,
    /// Its name there; None once it was closed.
    pub conn: Option<ConnId>,
    /// All that was written to it.
    pub read: Vec<u8>,
    /// How many bytes one write takes; 0: it is stuck.
    pub takes: usize,
    /// The server reads it.
    pub heeded: bool,
}

/// See the file's head.
pub struct House {
    shards: Vec<Shard>,
    /// By receiver: what it has not heard.
    rings: Vec<VecDeque<(ShardId, Batch)>>,
    /// By sender: what came back.
    spent: Vec<Vec<Batch>>,
    /// Batches that a shard may have told and not got back; then its rings are full.
    ring: usize,
    out: Vec<usize>,
    /// Everybody ever.
    pub clients: Vec<Socket>,
    /// Answers to orders, in order.
    pub answers: Vec<Answer>,
    /// Password checks asked for.
    pub verifying: Vec<(usize, ConnId, u32)>,
    /// Virtual time, nanoseconds.
    pub ns: u64,
}

impl House {
    /// `shards` of them without clients; each may have `ring` batches on the way.
    pub fn new(shards: usize, ring: usize, turn_deliveries_max: u64, settings: Settings) -> House {
        let (settings, identity) = (Arc::new(settings), Arc::new(Identity::default()));
        let shard = |i| {
            let usual = Setup::single(settings.clone(), identity.clone());
            Shard::new(Setup { id: ShardId(i as u8), shards, seed: 7, turn_deliveries_max, ..usual })
        };
        House {
            shards: (0..shards).map(shard).collect(),
            rings: (0..shards).map(|_| VecDeque::new()).collect(),
            spent: (0..shards).map(|_| Vec::new()).collect(),
            ring,
            out: vec![0; shards],
            clients: Vec::new(),
            answers: Vec::new(),
            verifying: Vec::new(),
            ns: MILLISECOND,
        }
    }

    /// A client connects to a shard; its number.
    pub fn open(&mut self, shard: usize) -> usize {
        self.turn(shard, Some(Event::Open));
        self.clients.len() - 1
    }

    /// A client speaks, if anybody listens to it.
    pub fn say(&mut self, client: usize, data: &[u8]) {
        self.turn(self.clients[client].shard, Some(Event::Bytes(client, data)));
    }

    /// Lets every shard have turns until nothing is left to do at this time.
    pub fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let busy = |s: usize| {
                !self.rings[s].is_empty()
                    || !self.spent[s].is_empty()
                    || self.shards[s].next_at().is_some_and(|t| t.0 <= self.ns)
            };
            let all: Vec<usize> = (0..self.shards.len()).filter(|s| busy(*s)).collect();
            if all.is_empty() {
                return;
            }
            all.into_iter().for_each(|s| self.turn(s, None));
        }
        panic!("no rest after {TURNS_MAX} turns");
    }

    /// When the next shard wants a turn.
    pub fn next_at(&self) -> Option<Time> {
        self.shards.iter().filter_map(Shard::next_at).min()
    }

    /// One turn of a shard.
    pub fn turn(&mut self, shard: usize, event: Option<Event<'_>>) {
        let mut turn = self.shards[shard].begin(Now { mono: Time(self.ns), wall_ns: self.ns });
        self.rings[shard].drain(..).for_each(|(from, batch)| turn.batch(from, batch));
        self.spent[shard].drain(..).for_each(|batch| turn.spent(batch));
        let mut turn = turn.sockets();
        turn.time();
        let live = |c: usize| self.clients[c].conn.filter(|_| self.clients[c].shard == shard);
        match event {
            None => {}
            Some(Event::Open) => {
                let cid = Cid(self.clients.len() as u64 + 1);
                let conn = turn.open(Opening {
                    cid,
                    ip: "127.0.0.1".into(),
                    port: 1,
                    over_limit: false,
                    privacy: Default::default(),
                    nonce: [0; 11],
                });
                let (read, conn) = (Vec::new(), Some(conn));
                self.clients.push(Socket { shard, conn, read, takes: usize::MAX, heeded: true });
            }
            Some(Event::Bytes(c, data)) => {
                if let Some(conn) = live(c).filter(|_| self.clients[c].heeded) {
                    turn.bytes(conn, data);
                }
            }
            Some(Event::Lost(c, why)) => live(c).into_iter().for_each(|conn| turn.lost(conn, why.clone())),
            Some(Event::Writable(c)) => live(c).into_iter().for_each(|conn| turn.writable(conn)),
            Some(Event::Order(order)) => turn.order(order),
        }
        let mut flush = turn.end();
        for to in (0..self.rings.len()).filter(|to| *to != shard) {
            let Some(batch) = flush.batch(ShardId(to as u8)) else { continue };
            if self.out[shard] >= self.ring {
                flush.full(ShardId(to as u8), batch);
            } else {
                self.out[shard] += 1;
                self.rings[to].push_back((ShardId(shard as u8), batch));
            }
        }
        while let Some((home, batch)) = flush.heard() {
            self.out[home.index()] -= 1;
            self.spent[home.index()].push(batch);
        }
        let Ok(mut flush) = flush.sockets() else { return };
        while let Some(conn) = flush.dirty() {
            write(&mut flush, conn, socket(&mut self.clients, shard, conn));
        }
        while let Some(act) = flush.act() {
            match act {
                Act::Pause(conn) => socket(&mut self.clients, shard, conn).heeded = false,
                Act::Resume(conn) => socket(&mut self.clients, shard, conn).heeded = true,
                Act::Close(conn) => socket(&mut self.clients, shard, conn).conn = None,
                Act::Finish(conn) => assert!(socket(&mut self.clients, shard, conn).conn.is_some()),
                Act::Verify { conn, look, .. } => self.verifying.push((shard, conn, look)),
                Act::Answer { answer, .. } => self.answers.push(answer),
                Act::Log { .. } | Act::Drained | Act::Vacant | Act::Left => {}
                Act::Asked(_) | Act::Happened(_) | Act::Traced(_) | Act::Guesses { .. } => {}
                Act::CloseServer(_)
                | Act::GatewayTidings(_)
                | Act::HandOver { .. }
                | Act::Tidings(_)
                | Act::Measure(_)
                | Act::Upgrade(_) => {
                    panic!("a house without a cluster and without TLS: {act:?}")
                }
            }
        }
    }
}

/// The socket of a connection; a shard that names one has it.
fn socket(clients: &mut [Socket], shard: usize, conn: ConnId) -> &mut Socket {
    clients.iter_mut().find(|c| c.shard == shard && c.conn == Some(conn)).expect("a socket")
}

fn write(flush: &mut Flush<'_, Sockets>, conn: ConnId, client: &mut Socket) {
    loop {
        let bytes = flush.pending(conn);
        let n = bytes.len().min(client.takes);
        client.read.extend_from_slice(&bytes[..n]);
        match (bytes.is_empty(), n) {
            (true, _) => return,
            (_, 0) => return flush.blocked(conn),
            _ => flush.wrote(conn, n),
        }
    }
}
