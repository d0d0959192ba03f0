//! What other clusters are asked leaves when the members that may bring the answer know who wants it.
//!
//! A member that is a [`Bearer`] drops an answer of another cluster for which it has not been told of interest. It is told
//! before the question leaves, but a question that goes by another server may be quicker. So where interest was told
//! since the last time, the bearers are asked (`PING`), and what goes to other clusters from that question on waits for
//! their answers: one round trip within the cluster, once for all that comes meanwhile. The routes to bearers and the
//! links to other clusters are on one shard for this ([`crate::conn::ORDERED_LINKS`]).

use super::core::Shard;
use super::due::Due;
use super::repeats::Repeat;
use crate::base::{ConnId, Level, MILLISECOND};
use crate::conn::{Bearer, Hold, Pulse};

/// A bearer that takes longer is not waited for until it answers.
const WAIT_NS: u64 = 100 * MILLISECOND;

impl Shard {
    /// A peer is told of new interest.
    pub(super) fn bearer_told(&mut self, route: ConnId) {
        if let Some((bearer, _)) = self.bearer(route) {
            bearer.fresh = true;
        }
    }

    fn bearer(&mut self, route: ConnId) -> Option<(&mut Bearer, &mut Pulse)> {
        let route = self.outbox.conns.get_mut(route)?.route.as_deref_mut()?;
        Some((route.bearer.as_mut()?, &mut route.pulse))
    }

    /// Bearers that have this about them.
    fn bearers(&self, have: impl Fn(&Bearer, &Pulse) -> bool) -> Vec<ConnId> {
        let route = |conn| self.outbox.conns.get(conn).and_then(|c| c.route.as_deref());
        let has = |conn: &ConnId| route(*conn).is_some_and(|r| r.bearer.as_ref().is_some_and(|l| have(l, &r.pulse)));
        self.peers.here().map(|(_, conn)| conn).filter(has).collect()
    }

    /// The next bytes for this link are a question whose answer bearers may bring.
    pub(super) fn hold_until_known(&mut self, link: ConnId) {
        let fresh = !self.bearers(|r, _| r.fresh && !r.late).is_empty();
        let open = self.rounds.open;
        if !fresh && !open {
            return;
        }
        let Some(client) = self.outbox.conns.get_mut(link) else { return };
        let pending = client.out.pending();
        let Some(gateway) = client.gateway.as_deref_mut() else { return };
        match &mut gateway.hold {
            None => {
                gateway.hold = Some(Hold { room: pending, next: (open && fresh).then_some(0) });
                self.rounds.held.push(link);
            }
            Some(hold) if fresh => drop(hold.next.get_or_insert(pending.saturating_sub(hold.room))),
            Some(_) => {}
        }
        if !open {
            self.ask_bearers();
        }
    }

    /// Asks those who were told of interest since they were asked last. False: there are none.
    fn ask_bearers(&mut self) -> bool {
        let fresh = self.bearers(|r, _| r.fresh && !r.late);
        for conn in &fresh {
            if let Some((bearer, pulse)) = self.bearer(*conn) {
                bearer.fresh = false;
                bearer.asked = pulse.ask();
            }
            self.outbox.say(*conn, |out| out.extend_from_slice(b"PING\r\n"));
        }
        self.rounds.open = !fresh.is_empty();
        if self.rounds.open {
            self.rounds.round += 1;
            self.wheel.add(self.now.mono.plus_ns(WAIT_NS), Due::Assurance(self.rounds.round));
        }
        self.rounds.open
    }

    /// A bearer answered a PING.
    pub(super) fn bearer_answered(&mut self, route: ConnId) {
        if let Some((bearer, pulse)) = self.bearer(route) {
            bearer.late &= pulse.answered() < bearer.asked;
        }
        self.release_known();
    }

    /// Ends the round if nobody is waited for any more.
    pub(super) fn release_known(&mut self) {
        if self.rounds.open && self.bearers(|r, p| !r.late && p.answered() < r.asked).is_empty() {
            self.release();
        }
    }

    /// Some have not answered in time.
    pub(super) fn assurance_late(&mut self, round: u64) {
        if !self.rounds.open || self.rounds.round != round {
            return;
        }
        for conn in self.bearers(|r, p| !r.late && p.answered() < r.asked) {
            if let Some((bearer, _)) = self.bearer(conn) {
                bearer.late = true;
            }
            if self.may_say(Repeat::Late) {
                let text = "has not answered for 100 ms: until it does, it may lose answers of other clusters to what \
                            clients here have only just subscribed to";
                self.log_about(conn, Level::Warn, || text.into());
            }
        }
        self.release();
    }

    /// What waited for this round may go; what came since bearers were asked waits for the next.
    fn release(&mut self) {
        let held = std::mem::take(&mut self.rounds.held);
        let hold = |s: &Shard, id| s.outbox.conns.get(id).and_then(|c| c.gateway.as_deref()).and_then(|g| g.hold);
        let more = held.iter().any(|id| hold(self, *id).is_some_and(|h| h.next.is_some()));
        self.rounds.open = false;
        let again = more && self.ask_bearers();
        for id in held {
            let Some(link) = self.outbox.conns.get_mut(id).and_then(|c| c.gateway.as_deref_mut()) else { continue };
            let next = link.hold.filter(|_| again).and_then(|h| Some(Hold { room: h.room + h.next?, next: None }));
            link.hold = next;
            if next.is_some() {
                self.rounds.held.push(id);
            }
            self.outbox.touch(id);
        }
    }
}
