//! Shards that are driven without sockets and threads, each turn to its end (`tests/allocations.rs`, `benches/shard.rs`).

use std::collections::VecDeque;
use std::sync::Arc;
use turnpike::base::{Cid, ConnId, Now, ShardId, Time};
use turnpike::policy::Settings;
use turnpike::shard::{Act, Answer, Batch, Identity, Opening, Rings, Setup, Shard, Sockets, Turn};

/// What a connection of a shard was sent.
pub type Heard = (usize, ConnId, Vec<u8>);

/// All shards of one server, and a clock that stands still but for a nanosecond a turn.
pub struct Driven {
    shards: Vec<Shard>,
    ns: u64,
    /// Bytes written to sockets so far.
    pub written: usize,
    /// What was written, by shard and connection, if somebody wants to know.
    pub heard: Option<Vec<Heard>>,
    /// What questions of monitoring were answered.
    pub answers: Vec<Answer>,
    /// What is in the rings, and to whom.
    rings: VecDeque<(usize, Told)>,
}

enum Told {
    Batch(ShardId, Batch),
    /// An own batch comes back.
    Spent(Batch),
}

impl Driven {
    pub fn new(shards: u8, settings: Settings) -> Driven {
        let (settings, identity) = (Arc::new(settings), Arc::new(Identity::default()));
        let shard = |i| {
            let (settings, identity) = (settings.clone(), identity.clone());
            let id = ShardId(i);
            // Each draws its own words, as in a server.
            let seed = 1 + u64::from(i);
            Shard::new(Setup { id, shards: shards.into(), seed, ..Setup::single(settings, identity) })
        };
        Driven {
            shards: (0..shards).map(shard).collect(),
            ns: 1,
            written: 0,
            heard: None,
            answers: Vec::new(),
            rings: VecDeque::new(),
        }
    }

    /// A client of a shard, connected, that has said this.
    pub fn client(&mut self, shard: usize, says: &str) -> ConnId {
        self.entrant(shard, "", says)
    }

    /// The same with these fields of CONNECT, each behind a comma.
    pub fn entrant(&mut self, shard: usize, fields: &str, says: &str) -> ConnId {
        let opening = Opening {
            cid: Cid(self.ns),
            ip: "127.0.0.1".into(),
            port: 1,
            over_limit: false,
            privacy: Default::default(),
            nonce: [0; 11],
        };
        let conn = self.with(shard, |turn| turn.open(opening));
        let connect = format!("CONNECT {{\"verbose\":false,\"pedantic\":false{fields}}}\r\nPING\r\n");
        self.say(shard, conn, connect.as_bytes());
        self.say(shard, conn, says.as_bytes());
        conn
    }

    /// A turn in which this happens, and all turns that follow from it.
    pub fn with<T>(&mut self, shard: usize, happens: impl FnOnce(&mut Turn<'_, Sockets>) -> T) -> T {
        let shards = self.shards.len();
        let mut turn = begin(&mut self.shards[shard], &mut self.ns).sockets();
        turn.time();
        let what = happens(&mut turn);
        end(turn, shard, shards, &mut self.rings, (&mut self.written, &mut self.heard, &mut self.answers));
        while let Some((to, told)) = self.rings.pop_front() {
            let mut turn = begin(&mut self.shards[to], &mut self.ns);
            match told {
                Told::Batch(from, batch) => turn.batch(from, batch),
                Told::Spent(batch) => turn.spent(batch),
            }
            end(turn.sockets(), to, shards, &mut self.rings, (&mut self.written, &mut self.heard, &mut self.answers));
        }
        what
    }

    /// `data` arrives on a connection; then shards have turns until nothing is left to tell.
    pub fn say(&mut self, shard: usize, conn: ConnId, data: &[u8]) {
        self.with(shard, |turn| turn.bytes(conn, data));
    }
}

fn begin<'a>(shard: &'a mut Shard, ns: &mut u64) -> Turn<'a, Rings> {
    *ns += 1;
    shard.begin(Now { mono: Time(*ns), wall_ns: *ns })
}

/// Rings first, as the shell does it; every socket takes all there is.
fn end(
    turn: Turn<'_, Sockets>,
    shard: usize,
    shards: usize,
    rings: &mut VecDeque<(usize, Told)>,
    (written, heard, answers): (&mut usize, &mut Option<Vec<Heard>>, &mut Vec<Answer>),
) {
    let mut flush = turn.end();
    let me = ShardId(shard as u8);
    for to in (0..shards).filter(|to| *to != shard) {
        rings.extend(flush.batch(ShardId(to as u8)).map(|batch| (to, Told::Batch(me, batch))));
    }
    while let Some((home, batch)) = flush.heard() {
        rings.push_back((home.index(), Told::Spent(batch)));
    }
    let mut flush = flush.sockets().unwrap_or_else(|_| panic!("no ring is full"));
    while let Some(conn) = flush.dirty() {
        loop {
            let n = flush.pending(conn).len();
            if n == 0 {
                break;
            }
            if let Some(heard) = heard {
                heard.push((shard, conn, flush.pending(conn).to_vec()));
            }
            flush.wrote(conn, n);
            *written += n;
        }
    }
    while let Some(act) = flush.act() {
        if let Act::Answer { answer, .. } = act {
            answers.push(answer);
        }
    }
}
