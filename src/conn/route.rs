//! What the mesh and the shards tell each other about routes. The mesh (one per server) makes a route: it dials, greets,
//! checks and registers; then one shard owns its socket until it ends. Both directions go by mail and are never on the
//! path of a message.

use super::ForeignWants;
use crate::base::{Cid, PeerId, Time, SECOND};
use crate::interest::Cursor;
use crate::wire::route::RouteParser;

/// A registered route on its way to the shard that will own it.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// What the peer is called while this route lasts.
    pub peer: PeerId,
    /// Its server id (cluster-protocol.md §2).
    pub server_id: Box<str>,
    /// Its server name.
    pub server_name: Box<str>,
    /// The other end of the socket.
    pub ip: Box<str>,
    /// The other end's port.
    pub port: u16,
    /// The connection's public number.
    pub rid: Cid,
    /// We dialed it.
    pub dialed: bool,
    /// It is in our list of routes.
    pub configured: bool,
    /// It understands headers; otherwise they are taken off before sending (cluster-protocol.md §3.4).
    pub headers: bool,
    /// Wall-clock time of the connection's beginning, nanoseconds since 1970.
    pub start_ns: u64,
    /// The peer pools connections where both do (cluster-protocol.md §3.8).
    pub pools: bool,
    /// It traces messages that ask for it.
    pub traces: bool,
    /// It is one of us.
    pub turnpike: bool,
    /// The answer to the PING of the handshake is still to come.
    pub pong_due: bool,
    /// What has been read behind the INFO that registered it.
    pub rest: Vec<u8>,
}

/// What a shard tells the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tidings {
    /// The route ended. Lost: the mesh would never repair it.
    Ended {
        /// The peer.
        peer: PeerId,
        /// Why, for people.
        why: String,
    },
    /// An INFO came. Lost: gossip would.
    Info {
        /// From whom.
        peer: PeerId,
        /// The JSON of it.
        json: Vec<u8>,
    },
    /// The peer answered a PING, or is seen to take in what we send; said only after [`Instruction::Probe`].
    Alive {
        /// The peer.
        peer: PeerId,
    },
    /// The peer has said what all of its clients want: its first PONG on this route has come, which is asked for behind our
    /// INFO. Lost: a server that starts would let clients in a little later.
    Told {
        /// The peer.
        peer: PeerId,
    },
    /// This shard holds nothing of a peer whose route has ended any more; each shard says so once. Lost: its number
    /// would never be used again.
    Forgotten {
        /// The peer.
        peer: PeerId,
    },
}

/// What the mesh tells the shard that owns a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Write a protocol line (an INFO), CR LF included.
    Say {
        /// To whom.
        peer: PeerId,
        /// The line.
        line: Vec<u8>,
    },
    /// Find out whether the peer is there: [`Tidings::Alive`] if it is; silence if it is not.
    Probe {
        /// The peer.
        peer: PeerId,
    },
    /// End the route; [`Tidings::Ended`] follows.
    End {
        /// The peer.
        peer: PeerId,
        /// What the peer is told in an `-ERR`; empty: nothing.
        says: String,
        /// Why, for the log and monitoring.
        why: String,
    },
}

/// A connection that is a route: what it has beside what every connection has. Lives on the shard that owns it.
#[derive(Debug)]
pub struct Route {
    /// Who is at the other end.
    pub intro: Introduction,
    /// The place in the stream.
    pub parser: RouteParser,
    /// How far the peer has been told what this server's clients want; None: it knows all.
    pub telling: Option<Telling>,
    /// PINGs that are answered when it knows all.
    pub pongs_due: u8,
    /// The peer has said what all of its clients want.
    pub told: bool,
    /// What the peer's clients want: patterns with queue groups.
    pub interest: u64,
    /// Is the peer there?
    pub pulse: Pulse,
    /// The mesh wants to know that it is.
    pub probed: bool,
    /// Has it been said that the peer has accounts that do not exist here?
    pub strangers_told: bool,
    /// What it has told of them.
    pub foreign: ForeignWants,
    /// On a server with gateways, of a peer that pools; see [`Bearer`].
    pub bearer: Option<Bearer>,
}

/// A peer that passes an answer of another cluster on to us only if it knows already that we want it. nats-server does
/// so since 2.10 with a peer that does not pool: it looks for the route under the place in a pool, and finds none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bearer {
    /// It was told of interest since it was asked last.
    pub fresh: bool,
    /// The PING whose answer shows that it knows what it had been told before.
    pub asked: u64,
    /// It did not answer in time, and is not waited for until it does.
    pub late: bool,
}

/// Where the telling stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Telling {
    /// Index of the account that is being told.
    pub account: u16,
    /// Where in its interest.
    pub cursor: Cursor,
}

/// A PING is said so often though an earlier one is unanswered: its answer may lie behind a long queue of the peer's, and
/// to the peer our PING is the sign that we are there.
const AGAIN_NS: u64 = SECOND;
/// How long a PING that has arrived may go unanswered by a peer that was silent before.
const ANSWER_NS: u64 = 2 * SECOND;

/// Is a peer there? Told apart from one that is only slow: bytes that arrive are a sign of life. That its kernel
/// acknowledges is none (a frozen program has a kernel too), except while our PING still waits in a long queue: nobody can
/// answer what has not arrived.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulse {
    /// When bytes last came.
    heard_at: Time,
    /// Which PING's answer is waited for, and when it was sent.
    awaited: Option<(u64, Time)>,
    /// When a PING was sent last.
    said_at: Time,
    /// PINGs said, and those of them that were answered.
    asked: u64,
    answered: u64,
    /// Bytes given to the socket.
    sent: u64,
    /// The same up to that PING: what waited before it in our own queue is counted too.
    sent_before_ping: u64,
    /// Of them, acknowledged by the peer's system.
    acked: u64,
    /// When that last grew, or all was acknowledged.
    acked_at: Time,
    /// When the peer's system was first seen to have that PING.
    delivered_at: Option<Time>,
    /// The last round trip, nanoseconds.
    pub rtt_ns: Option<u64>,
}

impl Pulse {
    /// Begins now, with so many PINGs said before whose answers are still to come.
    pub fn new(now: Time, asked: u64) -> Pulse {
        Pulse { heard_at: now, acked_at: now, asked, ..Pulse::default() }
    }

    /// A PING is said for another reason than [`Pulse::ping`]. Its number, to be compared with [`Pulse::answered`].
    pub fn ask(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// The number of the last PING that was answered.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Bytes came.
    pub fn heard(&mut self, now: Time) {
        self.heard_at = now;
    }

    /// A PONG came. They come in the order of the PINGs.
    pub fn pong(&mut self, now: Time) {
        self.answered = (self.answered + 1).min(self.asked);
        if let Some((_, at)) = self.awaited.take_if(|(n, _)| *n <= self.answered) {
            self.delivered_at = None;
            self.rtt_ns = Some(now.since(at).max(1));
            // What was sent before the PING has arrived before it.
            self.acked = self.acked.max(self.sent_before_ping);
            self.acked_at = now;
        }
    }

    /// The socket took bytes.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// So many of the bytes sent are not acknowledged.
    pub fn unacked(&mut self, now: Time, bytes: u64) {
        let acked = self.sent.saturating_sub(bytes);
        if acked > self.acked || bytes == 0 {
            self.acked = acked;
            self.acked_at = now;
        }
        if self.awaited.is_some() && self.acked > self.sent_before_ping {
            self.delivered_at.get_or_insert(now);
        }
    }

    /// Is a PING due? `pending` bytes wait for the socket before it.
    pub fn ping(&mut self, now: Time, pending: usize) -> bool {
        if self.awaited.is_some() && now.since(self.said_at) < AGAIN_NS {
            return false;
        }
        let number = self.ask();
        if self.awaited.is_none() {
            self.awaited = Some((number, now));
            self.sent_before_ping = self.sent + pending as u64;
        }
        self.said_at = now;
        true
    }

    /// We do not read what comes: that it says nothing says nothing.
    pub fn unread(&mut self, now: Time) {
        self.heard_at = now;
    }

    /// Why the peer is to be given up, if it is: silent for `timeout_ns`, or taking nothing in for `stuck_ns`.
    pub fn lost(&self, now: Time, timeout_ns: u64, stuck_ns: u64) -> Option<&'static str> {
        // What its system takes is no sign of the program that should read it, which may be frozen: only while a PING lies
        // behind a long queue that moves, and a little longer, is silence no answer.
        let answering = self.delivered_at.is_none_or(|at| now.since(at) < timeout_ns.min(ANSWER_NS));
        let draining = answering && now.since(self.acked_at) < timeout_ns;
        if now.since(self.heard_at) >= timeout_ns && !draining {
            return Some("silent");
        }
        (self.acked < self.sent && now.since(self.acked_at) >= stuck_ns).then_some("takes nothing in")
    }

    /// How long nothing has been heard, nanoseconds.
    pub fn silence(&self, now: Time) -> u64 {
        now.since(self.heard_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: u64 = 5 * SECOND;

    fn at(seconds: u64) -> Time {
        Time(seconds * SECOND)
    }

    #[test]
    fn a_frozen_program_behind_a_willing_system_is_silent() {
        let mut p = Pulse::new(at(0), 0);
        for s in 1..5 {
            p.ping(at(s), 0);
            p.sent(100);
            // Always a little on its way, and always moving.
            p.unacked(at(s), 10);
            assert_eq!(p.lost(at(s), TIMEOUT, TIMEOUT), None);
        }
        assert_eq!(p.lost(at(5), TIMEOUT, TIMEOUT), Some("silent"));
    }

    #[test]
    fn a_slow_link_that_moves_is_no_silence() {
        let mut p = Pulse::new(at(0), 0);
        p.sent(100);
        p.ping(at(0), 0);
        p.sent(6);
        for s in 1..50 {
            p.unacked(at(s), 106 - s);
            assert_eq!(p.lost(at(s), TIMEOUT, TIMEOUT), None);
        }
        assert_eq!(p.lost(at(54), TIMEOUT, TIMEOUT), Some("silent"), "it moves no more");
        p.unacked(at(55), 0);
        assert_eq!(p.lost(at(56), TIMEOUT, TIMEOUT), None, "the PING has only just arrived");
        assert_eq!(p.lost(at(57), TIMEOUT, TIMEOUT), Some("silent"));
    }

    #[test]
    fn a_ping_that_waits_in_our_own_queue_has_not_arrived() {
        let mut p = Pulse::new(at(0), 0);
        p.ping(at(0), 1000);
        for s in 1..20 {
            p.sent(50);
            p.unacked(at(s), 0);
            assert_eq!(p.lost(at(s), TIMEOUT, TIMEOUT), None, "after {s} s");
        }
        p.sent(56);
        p.unacked(at(20), 0);
        assert_eq!(p.lost(at(21), TIMEOUT, TIMEOUT), None, "the PING has only just arrived");
        assert_eq!(p.lost(at(22), TIMEOUT, TIMEOUT), Some("silent"));
    }

    #[test]
    fn pings_go_on_while_an_answer_waits_and_answers_are_taken_in_their_order() {
        let mut p = Pulse::new(at(0), 0);
        assert!(p.ping(at(1), 0));
        assert!(!p.ping(Time(at(1).0 + AGAIN_NS / 2), 0));
        assert!(p.ping(at(2), 0) && p.ping(at(3), 0));
        p.pong(at(4));
        assert_eq!(p.rtt_ns, Some(3 * SECOND), "the answer to the first");
        assert!(p.ping(at(5), 0));
        p.pong(at(6));
        p.pong(at(6));
        assert_eq!(p.rtt_ns, Some(3 * SECOND), "answers to those nobody waits for");
        p.pong(at(7));
        assert_eq!(p.rtt_ns, Some(2 * SECOND));
    }

    #[test]
    fn a_peer_that_speaks_but_takes_nothing_in_is_lost() {
        let mut p = Pulse::new(at(0), 0);
        p.sent(100);
        for s in 1..5 {
            p.heard(at(s));
            p.unacked(at(s), 100);
            assert_eq!(p.lost(at(s), TIMEOUT, TIMEOUT), None);
        }
        p.heard(at(5));
        assert_eq!(p.lost(at(5), TIMEOUT, 2 * TIMEOUT), None);
        assert_eq!(p.lost(at(5), TIMEOUT, TIMEOUT), Some("takes nothing in"));
        p.unread(at(9));
        assert_eq!(p.lost(at(10), TIMEOUT, 2 * TIMEOUT), Some("takes nothing in"), "whether it is read or not");
    }
}
