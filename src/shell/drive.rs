//! Drives one shard: the loop of turns, as the one task of the core's glommio executor, asleep where its sockets are
//! polled when there is nothing to do. Rings before sockets: see `shard::turn`, whose types leave no other order.

use super::clock::Clock;
use super::meter::{Meter, Stopwatch};
use super::rings::{Mail, Post};
use super::scarcity::Gauge;
use super::socket::{Read, Sockets};
use super::tls::Secured;
use crate::base::{Cid, ConnId, Level, ShardId};
use crate::conn::{GatewayTidings, Tidings};
use crate::policy::{Idle, Proof};
use crate::shard::traced::Part;
use crate::shard::{Act, Answer, Flush, Happening, Lost, Order, Rings, Shard, SystemQuestion, Turn};
use std::collections::HashSet;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Written to one connection in one turn; the rest comes in the next, so that one fast reader of a long queue keeps
/// nobody waiting.
const TURN_WRITE_BYTES: usize = 4 << 20;

/// Has something looked at: for which connection, and the how-manieth time; from where it comes; what it is.
pub type Verify = Box<dyn Fn((ConnId, u32), String, Proof) + Send>;

/// What a shard's cold outputs go to. The boot code makes one per shard.
pub struct Outlets {
    /// A log line.
    pub log: Box<dyn Fn(Level, String) + Send>,
    /// A client has given its place back.
    pub left: Box<dyn Fn() + Send>,
    /// Many wrong passwords come from this address.
    pub guesses: Box<dyn Fn(&str) + Send>,
    /// A client's socket is closed.
    pub closed: Box<dyn Fn() + Send>,
    /// Something presented is to be looked at, for whom.
    pub verify: Verify,
    /// A client's socket is to be made private; [`Mail::Upgraded`] brings it back.
    pub upgrade: Box<dyn Fn(ConnId, TcpStream) + Send>,
    /// News of a route, for the mesh.
    pub tidings: Box<dyn Fn(ShardId, Tidings) + Send>,
    /// News of a link to another cluster, for the machine that made it.
    pub gateway_tidings: Box<dyn Fn(ShardId, GatewayTidings) + Send>,
    /// A client's socket that is a route after all, with all it has said, for the mesh.
    pub hand_over: Box<dyn Fn(TcpStream, Cid, Vec<u8>) + Send>,
    /// An answer for monitoring.
    pub answer: Box<dyn Fn(ShardId, u64, Answer) + Send>,
    /// A client of an ordinary account asks the system account.
    pub asked: Box<dyn Fn(Box<SystemQuestion>) + Send>,
    /// Something that the system account wants to know of.
    pub happened: Box<dyn Fn(Box<Happening>) + Send>,
    /// What this shard knows of a traced message.
    pub traced: Box<dyn Fn(Box<Part>) + Send>,
    /// Every connection has ended.
    pub drained: Box<dyn Fn() + Send>,
    /// The server is a lame duck and this shard's last client has gone.
    pub vacant: Box<dyn Fn() + Send>,
    /// The shard has found that so many bytes are taken, too many, and sheds.
    pub scarce: Box<dyn Fn(ShardId, u64) + Send>,
    /// What the shard does with its time.
    pub meter: Arc<Meter>,
    /// The shard never began: the system gave no descriptors.
    pub failed: Box<dyn Fn(std::io::Error) + Send>,
}

/// One shard and its surroundings.
pub struct Driver {
    shard: Shard,
    shards: usize,
    post: Post,
    clock: Clock,
    outlets: Outlets,
    stop: bool,
    /// The last turn could not push its batches.
    stuck: bool,
    /// Watches what the shard takes; None: there is no limit.
    gauge: Option<Gauge>,
    /// More is taken than may be: the next turn sheds.
    overrun: bool,
    /// What peers have not acknowledged, for the next turn.
    measured: Vec<(ConnId, u64)>,
    /// Connections whose sockets are being made private.
    away: Away,
    /// What becomes of its time.
    watch: Stopwatch,
    /// Was there something to do in the last turn?
    worked: bool,
}

type Away = HashSet<ConnId>;

impl Driver {
    /// A driver for `shard`, one of `shards`, that watches what it takes with `gauge`.
    pub fn new(
        shard: Shard,
        shards: usize,
        post: Post,
        clock: Clock,
        outlets: Outlets,
        gauge: Option<Gauge>,
    ) -> Driver {
        let watch = Stopwatch::new(outlets.meter.clone());
        let (stop, stuck, overrun, measured, away) = (false, false, false, Vec::new(), Away::new());
        Driver {
            shard,
            shards,
            post,
            clock,
            outlets,
            stop,
            stuck,
            gauge,
            overrun,
            measured,
            away,
            watch,
            worked: false,
        }
    }

    /// Runs until [`Mail::Stop`]. Nothing else runs on its executor: it sleeps where its sockets are polled, which costs one
    /// system call where the executor's own way costs three.
    pub fn run(mut self, idle: Idle) {
        // Made here and not by the boot: the buffer belongs on this core's memory.
        let mut sockets = match Sockets::new(self.post.wake_fd()) {
            Ok(sockets) => sockets,
            Err(e) => return (self.outlets.failed)(e),
        };
        let patience = match idle {
            Idle::Park => Duration::ZERO,
            Idle::Spin(d) => d,
            Idle::Poll => Duration::MAX,
        };
        let mut busy_at = Instant::now();
        while !self.stop {
            let spins = !patience.is_zero() && busy_at.elapsed() < patience;
            let happened = match self.stuck || spins {
                true => self.look(&mut sockets, Some(0)),
                false => self.sleep(&mut sockets),
            };
            let worked = self.turn(&mut sockets) || happened;
            self.worked = worked;
            if worked && !patience.is_zero() {
                busy_at = Instant::now();
            }
            if self.stuck {
                // The other shard may share this core (only in tests): let it run.
                rustix::thread::sched_yield();
            }
        }
    }

    fn look(&self, sockets: &mut Sockets, patience_ns: Option<u64>) -> bool {
        let look = sockets.look(patience_ns);
        if look.bell {
            self.post.stop_ringing();
        }
        look.sockets
    }

    /// Waits until something happens or is due. True: sockets are ready.
    fn sleep(&mut self, sockets: &mut Sockets) -> bool {
        let now = self.clock.now().mono;
        let next = self.shard.next_at();
        let due = self.overrun || !self.measured.is_empty() || next.is_some_and(|t| t <= now);
        if due || !self.post.fall_asleep() {
            return self.look(sockets, Some(0));
        }
        self.watch.sleeps(now);
        let happened = self.look(sockets, next.map(|t| t.since(now)));
        self.post.wake_up();
        happened
    }

    /// One turn. True if there was anything to do besides sockets.
    fn turn(&mut self, sockets: &mut Sockets) -> bool {
        let now = self.clock.now();
        let sampled = self.watch.begins(now.mono, self.worked);
        let due = self.shard.next_at().is_some_and(|t| t <= now.mono);
        let mut turn = self.shard.begin(now);
        for to in (0..self.shards).map(|i| ShardId(i as u8)) {
            while let Some(batch) = self.post.spent(to) {
                turn.spent(batch);
            }
        }
        let mut worked = due | hear(&self.post, &mut turn);
        let (mut turn, mut read) = (turn.sockets(), false);
        for (conn, bytes) in self.measured.drain(..) {
            turn.unacked(conn, bytes);
        }
        turn.time();
        if std::mem::take(&mut self.overrun) {
            turn.order(Order::Scarce(true));
        }
        let (mailed, stop) = take_mail(&self.post, &mut turn, sockets, &mut self.away);
        (worked, self.stop) = (worked | mailed, self.stop | stop);
        if self.stuck {
            sockets.skip();
        }
        while let Some(ready) = sockets.next() {
            let conn = ready.conn;
            if ready.write {
                sockets.written_again(conn);
                turn.writable(conn);
            }
            // What is not read is ready again at the next look.
            let most = if ready.read { turn.reads(conn) } else { 0 };
            if most == 0 {
                continue;
            }
            match sockets.read(conn, most) {
                Read::Bytes(data) => {
                    read = true;
                    let mut rings = turn.rings();
                    hear(&self.post, &mut rings);
                    turn = rings.sockets();
                    turn.bytes(conn, data);
                }
                Read::Nothing => {}
                Read::Eof => {
                    sockets.read_on(conn, false);
                    turn.lost(conn, Lost::Eof);
                }
                Read::Failed(what) => {
                    sockets.read_on(conn, false);
                    turn.lost(conn, Lost::Failed(what));
                }
            }
        }
        // A turn that read nothing has no message to be timed.
        let matched = (sampled && read).then(|| self.clock.now().mono);
        let told = self.outlets.tell_rings(turn.end(), self.shards, &self.post);
        self.stuck = told.is_none();
        if let Some(flush) = told {
            let queued = matched.map(|_| self.clock.now().mono);
            self.outlets.write(flush, &self.post, sockets, &mut self.measured, &mut self.away);
            if let (Some(matched), Some(queued)) = (matched, queued) {
                self.watch.watched([now.mono, matched, queued, self.clock.now().mono]);
            }
        }
        self.watch_memory();
        worked
    }

    fn watch_memory(&mut self) {
        let Some(gauge) = &mut self.gauge else { return };
        if let Some(used) = gauge.overrun(self.shard.taken_bytes()) {
            self.overrun = true;
            (self.outlets.scarce)(self.post.id(), used);
        }
    }
}

/// Gives the shard its mail, but of the questions only one a turn: each costs a slice, and many may be asked at once. Says
/// whether there was any, and whether that all has been said.
fn take_mail(
    post: &Post,
    turn: &mut Turn<'_, crate::shard::Sockets>,
    sockets: &mut Sockets,
    away: &mut Away,
) -> (bool, bool) {
    let (mut any, mut stop, mut asked) = (false, false, false);
    while let Some(mail) = if asked { None } else { post.mail() } {
        (any, asked) = (true, matches!(mail, Mail::Order(Order::Report { .. })));
        stop |= take_in(mail, turn, sockets, away);
    }
    (any, stop)
}

/// Gives the shard what came from a thread that is no shard. True: that all has been said.
fn take_in(mail: Mail, turn: &mut Turn<'_, crate::shard::Sockets>, sockets: &mut Sockets, away: &mut Away) -> bool {
    let mut session = None;
    let (conn, stream) = match mail {
        Mail::Order(order) => {
            turn.order(order);
            return false;
        }
        Mail::Instruct(instruction) => {
            turn.order(Order::InstructGateway(instruction));
            return false;
        }
        Mail::Beat(beat) => {
            beat.answer();
            return false;
        }
        Mail::Stop => return true,
        Mail::Route((stream, secured), introduction) => {
            session = secured;
            (turn.introduce(introduction), stream)
        }
        Mail::Gateway((stream, secured), introduction) => {
            session = secured;
            (turn.introduce_gateway(introduction), stream)
        }
        Mail::Service(stream, cid) => (turn.open_service(cid), stream),
        Mail::Accepted(stream, opening) => (turn.open(opening), stream),
        Mail::Secured(stream, secured, opening) => {
            session = Some(secured);
            (turn.open(opening), stream)
        }
        // It has ended meanwhile: so does its socket.
        Mail::Upgraded(conn, _) if !away.contains(&conn) => return false,
        Mail::Upgraded(conn, Ok(Secured { stream, tls })) => {
            away.remove(&conn);
            let (secured, peer) = tls.unzip();
            session = secured;
            turn.upgraded(conn, peer);
            (conn, stream)
        }
        // That it was away is forgotten when it is closed.
        Mail::Upgraded(conn, Err(why)) => {
            turn.lost(conn, Lost::Handshake(why));
            return false;
        }
    };
    if let Err(e) = sockets.add(conn, stream) {
        turn.lost(conn, Lost::Failed(format!("read: {e}")));
    } else if let Some(session) = session {
        sockets.secure(conn, session);
    }
    false
}

fn hear(post: &Post, turn: &mut Turn<'_, Rings>) -> bool {
    let mut heard = false;
    post.hear(|from, batch| {
        heard = true;
        turn.batch(from, batch);
    });
    heard
}

impl Outlets {
    /// Tells the rings. None: one was full, and nothing may be written.
    fn tell_rings<'a>(
        &self,
        mut flush: Flush<'a, Rings>,
        shards: usize,
        post: &Post,
    ) -> Option<Flush<'a, crate::shard::Sockets>> {
        for to in (0..shards).map(|i| ShardId(i as u8)) {
            if let Some(batch) = flush.batch(to) {
                if let Err(batch) = post.send(to, batch) {
                    flush.full(to, batch);
                }
            }
        }
        while let Some((from, batch)) = flush.heard() {
            post.give_back(from, batch);
        }
        flush.sockets().ok()
    }

    /// Then writes the sockets.
    fn write(
        &self,
        mut flush: Flush<'_, crate::shard::Sockets>,
        post: &Post,
        sockets: &mut Sockets,
        measured: &mut Vec<(ConnId, u64)>,
        away: &mut Away,
    ) {
        let mut failed = Vec::new();
        while let Some(conn) = flush.dirty() {
            let mut left = TURN_WRITE_BYTES;
            loop {
                let bytes = flush.pending(conn);
                if bytes.is_empty() {
                    break;
                }
                match sockets.write(conn, bytes, flush.behind(conn)) {
                    Ok(0) => {
                        flush.blocked(conn);
                        break;
                    }
                    Ok(n) => {
                        flush.wrote(conn, n);
                        left = left.saturating_sub(n);
                        if left == 0 {
                            flush.later(conn);
                            break;
                        }
                    }
                    Err(what) => {
                        failed.push((conn, what));
                        break;
                    }
                }
            }
        }
        for (conn, what) in failed {
            flush.lost(conn, Lost::Failed(what));
        }
        while let Some(act) = flush.act() {
            match act {
                Act::Measure(conn) => measured.extend(sockets.unacked(conn).map(|n| (conn, n))),
                Act::Upgrade(conn) => {
                    if let Some(stream) = sockets.take(conn) {
                        away.insert(conn);
                        (self.upgrade)(conn, stream);
                    }
                }
                act => self.act(act, post.id(), sockets, away),
            }
        }
    }

    fn act(&self, act: Act, shard: ShardId, sockets: &mut Sockets, away: &mut Away) {
        match act {
            Act::Pause(conn) => sockets.read_on(conn, false),
            Act::Resume(conn) => sockets.read_on(conn, true),
            Act::Finish(conn) => sockets.finish(conn),
            Act::Left => (self.left)(),
            Act::Guesses { ip } => (self.guesses)(&ip),
            Act::Close(conn) => {
                if sockets.close(conn) || away.remove(&conn) {
                    (self.closed)();
                }
            }
            Act::CloseServer(conn) => drop(sockets.take(conn)),
            Act::HandOver { conn, cid, said } => {
                if let Some(stream) = sockets.take(conn) {
                    (self.closed)();
                    (self.hand_over)(stream, cid, said);
                }
            }
            Act::Measure(_) | Act::Upgrade(_) => {} // done where there is what it takes
            Act::Tidings(tidings) => (self.tidings)(shard, tidings),
            Act::GatewayTidings(tidings) => (self.gateway_tidings)(shard, tidings),
            Act::Verify { conn, look, ip, proof } => (self.verify)((conn, look), ip, proof),
            Act::Answer { ticket, answer } => (self.answer)(shard, ticket, answer),
            Act::Log { level, text } => (self.log)(level, text),
            Act::Asked(question) => (self.asked)(question),
            Act::Happened(happening) => (self.happened)(happening),
            Act::Traced(part) => (self.traced)(part),
            Act::Drained => (self.drained)(),
            Act::Vacant => (self.vacant)(),
        }
    }
}
