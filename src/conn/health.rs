//! Is the peer still there? Pings as nats-server sends them (client-protocol.md §12).

use crate::base::{Time, SECOND};

/// A round trip older than this is measured again even on a busy connection.
const RTT_OLD_NS: u64 = 3600 * SECOND;
/// The first ping of a connection comes this early, to measure the round trip.
const FIRST_PING_NS: u64 = 2 * SECOND;

/// What is known of one peer's health.
#[derive(Clone, Debug, Default)]
pub struct Health {
    outstanding: u32,
    pinged_at: Option<Time>,
    measured_at: Option<Time>,
    /// The last round trip, nanoseconds.
    pub rtt_ns: Option<u64>,
    /// When the peer last said something that counts as activity: a message, SUB, UNSUB.
    pub active_at: Time,
    /// When its last PING came: a sign of life, and no activity.
    pub pinging_at: Time,
    /// When it last got a message, or its CONNECT was accepted: activity, and no sign of life.
    pub served_at: Time,
}

/// What is to be done when the ping timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing: the peer was active.
    Skip,
    /// Send `PING`.
    Ping,
    /// The peer did not answer the last ones.
    Stale,
}

impl Health {
    /// When the first ping is due, in nanoseconds after `CONNECT`: early, and spread by `jitter` (any number).
    pub fn first_ping_ns(interval_ns: u64, jitter: u64) -> u64 {
        let base = interval_ns.min(FIRST_PING_NS);
        base + jitter % (base / 5).max(1)
    }

    /// The ping timer fired.
    pub fn beat(&mut self, now: Time, interval_ns: u64, ping_max: u32) -> Beat {
        let heard_at = self.active_at.max(self.pinging_at);
        let active = heard_at.0 > 0 && now.since(heard_at) < interval_ns;
        if active && self.measured_at.is_some_and(|t| now.since(t) < RTT_OLD_NS) {
            return Beat::Skip;
        }
        if self.outstanding + 1 > ping_max {
            return Beat::Stale;
        }
        self.ping(now);
        Beat::Ping
    }

    /// CONNECT was accepted, on a connection accepted at `since`: the first guess at the round trip, as nats-server
    /// makes it. The first ping measures it all the same.
    pub fn connected(&mut self, now: Time, since: Time) {
        self.served_at = now;
        self.rtt_ns = Some(now.since(since).max(1));
    }

    /// The last activity, as monitoring shows it: no PING or PONG of either side counts, as in nats-server.
    pub fn last_activity(&self) -> Time {
        self.active_at.max(self.served_at)
    }

    /// A `PING` is sent now.
    pub fn ping(&mut self, now: Time) {
        self.outstanding += 1;
        self.pinged_at = Some(now);
    }

    /// A `PONG` came; any one settles all that was outstanding.
    pub fn pong(&mut self, now: Time) {
        self.outstanding = 0;
        if let Some(at) = self.pinged_at.take() {
            self.rtt_ns = Some(now.since(at).max(1));
            self.measured_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_gets_ping_max_pings_and_is_stale_then() {
        let mut h = Health::default();
        let at = |s: u64| Time(s * SECOND);
        assert_eq!(h.beat(at(1), SECOND, 2), Beat::Ping);
        assert_eq!(h.beat(at(2), SECOND, 2), Beat::Ping);
        assert_eq!(h.beat(at(3), SECOND, 2), Beat::Stale);
        h.pong(at(3));
        assert_eq!(h.rtt_ns, Some(SECOND));
        assert_eq!(h.beat(at(4), SECOND, 2), Beat::Ping);
    }

    #[test]
    fn an_active_peer_with_a_known_round_trip_is_left_alone() {
        let mut h = Health { active_at: Time(SECOND), ..Health::default() };
        assert_eq!(h.beat(Time(SECOND + 1), 2 * SECOND, 2), Beat::Ping, "the round trip is not known yet");
        h.pong(Time(SECOND + 2));
        h.active_at = Time(SECOND + 3);
        assert_eq!(h.beat(Time(2 * SECOND), 2 * SECOND, 2), Beat::Skip);
        assert_eq!(h.beat(Time(9 * SECOND), 2 * SECOND, 2), Beat::Ping);
    }

    #[test]
    fn connect_is_a_guess_at_the_round_trip_and_the_first_ping_measures_it() {
        let mut h = Health::default();
        h.connected(Time(5 * SECOND), Time(3 * SECOND));
        assert_eq!((h.rtt_ns, h.last_activity()), (Some(2 * SECOND), Time(5 * SECOND)));
        assert_eq!(h.beat(Time(6 * SECOND), 120 * SECOND, 2), Beat::Ping);
        h.pong(Time(7 * SECOND));
        assert_eq!((h.rtt_ns, h.last_activity()), (Some(SECOND), Time(5 * SECOND)));
    }

    #[test]
    fn a_ping_is_a_sign_of_life_and_no_activity_a_delivery_the_reverse() {
        let known = || Health { measured_at: Some(Time(SECOND)), ..Health::default() };
        let mut h = Health { pinging_at: Time(2 * SECOND), ..known() };
        assert_eq!((h.beat(Time(3 * SECOND), 2 * SECOND, 2), h.last_activity()), (Beat::Skip, Time(0)));
        let mut h = Health { served_at: Time(2 * SECOND), ..known() };
        assert_eq!((h.beat(Time(3 * SECOND), 2 * SECOND, 2), h.last_activity()), (Beat::Ping, Time(2 * SECOND)));
    }

    #[test]
    fn the_first_ping_is_early_and_spread() {
        for jitter in [0, 1, 12345, u64::MAX] {
            let t = Health::first_ping_ns(120 * SECOND, jitter);
            assert!((2 * SECOND..2 * SECOND + 2 * SECOND / 5).contains(&t));
        }
    }
}
