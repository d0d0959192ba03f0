//! Addresses from which wrong passwords come faster than they are forgotten. A shard that judges one pays for the whole
//! connection, so these come in at a measured pace, all of them together, one address after the other; some wait here, and what
//! is more than that is refused before a shard hears of it. Whoever else comes notices nothing (scenarios.md §3.1).

use crate::base::limits::{GUESSERS_SECOND_MAX, GUESSERS_WAITING_MAX, GUESSING_SOURCES_MAX};
use crate::base::{Time, SECOND};
use crate::shell::lines::{Lines, Next};
use crossbeam_channel::Receiver;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long many wrong passwords are held against an address: as long as it takes to let all of some ten thousand in.
const DOUBT_NS: u64 = 60 * SECOND;
/// So many are let in at a time: a shard wakes up for all of them once.
const GROUP: u64 = 10;
/// From one group that is let in to the next.
const PACE_NS: u64 = GROUP * SECOND / GUESSERS_SECOND_MAX;
/// So many are told in a second that they are refused. To tell more costs more than to refuse them.
const TOLD_SECOND_MAX: u32 = 100;

/// What becomes of a connection.
#[derive(Debug)]
pub(super) enum Came {
    /// It comes in.
    Enters(TcpStream),
    /// It waits for its turn.
    Waits,
    /// Too many wait: this one, or another of whoever has most of them, is refused.
    TooMany {
        stream: TcpStream,
        peer: SocketAddr,
        /// It is told so, and not just gone.
        told: bool,
    },
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Guessing {
    told: Receiver<IpAddr>,
    waiting: Lines<IpAddr, (TcpStream, SocketAddr)>,
    /// Of the group that is let in, so many are to come.
    left: u64,
    /// How many were told that they are refused, in the second that began then.
    told_refused: (Time, u32),
    start: Instant,
}

impl Guessing {
    /// Nobody guesses. Shards will tell of those who do.
    pub(super) fn new(told: Receiver<IpAddr>) -> Guessing {
        let waiting = Lines::new(GUESSERS_WAITING_MAX, GUESSING_SOURCES_MAX);
        Guessing { told, waiting, left: GROUP, told_refused: (Time(0), 0), start: Instant::now() }
    }

    /// Somebody came.
    pub(super) fn came(&mut self, stream: TcpStream, peer: SocketAddr) -> Came {
        let now = self.now();
        self.told.try_iter().for_each(|ip| self.waiting.doubt(ip, now.plus_ns(DOUBT_NS), now));
        let ip = peer.ip().to_canonical();
        if !self.waiting.doubts(&ip, now) {
            return Came::Enters(stream);
        }
        let Some((stream, peer)) = self.waiting.push(ip, (stream, peer)) else { return Came::Waits };
        let (since, n) = &mut self.told_refused;
        if now.since(*since) >= SECOND {
            (*since, *n) = (now, 0);
        }
        *n += 1;
        Came::TooMany { stream, peer, told: *n <= TOLD_SECOND_MAX }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.waiting() as u64
    }

    /// Who comes in now.
    ///
    /// # Errors
    /// Nobody does, before so much time has passed or somebody has come.
    pub(super) fn next(&mut self) -> Result<(TcpStream, SocketAddr), Option<Duration>> {
        let now = self.now();
        match self.waiting.next(now) {
            Next::Serve(_, next) => {
                self.left -= 1;
                if self.left == 0 {
                    self.left = GROUP;
                    self.waiting.rest(now.plus_ns(PACE_NS));
                }
                Ok(next)
            }
            Next::At(then) => Err(Some(Duration::from_nanos(then.0.saturating_sub(now.0)))),
            Next::Nobody => Err(None),
        }
    }

    fn now(&self) -> Time {
        Time(self.start.elapsed().as_nanos() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::unbounded;
    use std::net::TcpListener;

    #[test]
    fn who_guesses_comes_in_ten_at_a_time_and_of_a_flood_a_hundred_are_told() {
        let (tell, told) = unbounded();
        let mut guessing = Guessing::new(told);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer: SocketAddr = "10.0.0.1:1".parse().unwrap();
        // No connection of its own for each: they are never read.
        let stream = || near.try_clone().unwrap();
        assert!(matches!(guessing.came(stream(), peer), Came::Enters(_)));
        tell.send(peer.ip()).unwrap();
        let waits = (0..GUESSERS_WAITING_MAX).filter(|_| matches!(guessing.came(stream(), peer), Came::Waits)).count();
        assert_eq!((waits, guessing.waiting()), (GUESSERS_WAITING_MAX, GUESSERS_WAITING_MAX as u64));
        assert!(matches!(guessing.came(stream(), "10.0.0.2:1".parse().unwrap()), Came::Enters(_)), "somebody else");
        let begun = Instant::now();
        let refused: Vec<bool> = (0..300)
            .map(|_| match guessing.came(stream(), peer) {
                Came::TooMany { told, .. } => told,
                other => panic!("{other:?}"),
            })
            .collect();
        let heard = refused.iter().filter(|told| **told).count();
        let seconds = 1 + begun.elapsed().as_secs() as usize;
        assert!(refused[..TOLD_SECOND_MAX as usize].iter().all(|told| *told));
        assert!(heard <= (1 + seconds) * TOLD_SECOND_MAX as usize, "{heard} of 300 in {seconds} s");
        let begun = Instant::now();
        let mut came = 0;
        let wait = loop {
            match guessing.next() {
                Ok(_) => came += 1,
                Err(wait) => break wait.expect("some wait"),
            }
        };
        // However slow the machine is, there is a pause after each group.
        let groups = 1 + begun.elapsed().as_nanos() as u64 / PACE_NS;
        assert!(came % GROUP == 0 && (GROUP..=groups * GROUP).contains(&came), "{came} in {:?}", begun.elapsed());
        assert!(wait <= Duration::from_nanos(PACE_NS), "{wait:?}");
    }
}
