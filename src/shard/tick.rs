//! What time brings: pings, time limits, looks at jams.

use super::core::{Act, Shard};
use super::due::Due;
use super::ledger::Drop;
use crate::base::{ConnId, Level, SECOND};
use crate::conn::{Beat, Close, Health, Stage};
use crate::wire::Fault;

/// A turn that comes so much after its time was not waited for: the process was frozen, or its machine.
const FROZEN_NS: u64 = SECOND / 2;
/// Timers that a connection may have at a time, all kinds together.
const TIMERS_PER_CONNECTION: usize = 7;
/// Timers of ended connections that may be there besides, until a ping interval is over: some kilobytes.
const TIMERS_SPARE: usize = 1024;

impl Shard {
    /// Does what is due. Who was frozen himself does not judge others before he has read what they said meanwhile: what is
    /// due waits for the next turn, once.
    pub(super) fn tick(&mut self) {
        let late = self.wheel.next_at().is_some_and(|at| self.now.mono.since(at) >= FROZEN_NS);
        self.thawing = late && !self.thawing;
        if self.thawing {
            return self.measure_routes();
        }
        let mut due = Vec::new();
        let conns = &self.outbox.conns;
        let crowded = self.wheel.len() > TIMERS_PER_CONNECTION * conns.len() + TIMERS_SPARE;
        // Looking up every connection costs; only a flood of short ones makes it pay.
        let keep = |d: &Due| !crowded || d.conn().is_none_or(|c| conns.get(c).is_some());
        self.wheel.due(self.now.mono, &mut due, keep);
        for d in due {
            match d {
                Due::Auth(id) => {
                    let waits = |s: &Stage| matches!(s, Stage::Greeted | Stage::Verifying(_));
                    if self.outbox.conns.get(id).is_some_and(|c| waits(&c.stage)) {
                        self.close(id, Close::Fault(Fault::AuthTimeout));
                    }
                }
                Due::Ping(id, connected) => {
                    if self.outbox.conns.get(id).is_some_and(|c| c.connected == connected) {
                        self.beat(id);
                    }
                }
                Due::Refused(id) => {
                    if self.outbox.conns.get(id).is_some_and(|c| matches!(c.stage, Stage::Refused)) {
                        self.acts.push_back(Act::Resume(id));
                        self.close(id, Close::Fault(Fault::Authorization));
                    }
                }
                Due::Repeats => {
                    for line in self.repeats.sum_up(self.now.mono) {
                        self.outbox.diary.line(Level::Error, || line);
                    }
                    self.watch_repeats();
                }
                Due::Progress(id) => self.check_progress(id),
                Due::LastWords(id) => {
                    if self.outbox.conns.get(id).is_some_and(|c| matches!(c.stage, Stage::Closing(_))) {
                        self.remove(id, Drop::ConnectionEnded);
                    }
                }
                Due::Linger(id) => {
                    if self.outbox.conns.get(id).is_some_and(|c| matches!(c.stage, Stage::Lingering(_))) {
                        self.remove(id, Drop::ConnectionEnded);
                    }
                }
                Due::Server(id) => self.beat_server(id),
                Due::Jams => self.look_at_jams(),
                Due::Assurance(round) => self.assurance_late(round),
                Due::Farewell => self.send_next_away(),
                Due::Answers(id) => self.forget_answers(id),
                Due::Grants => self.forget_grants(),
                Due::Expiry => self.expiry_due(),
                Due::Services => self.forget_requests(),
                Due::Recent(account) => self.forget_recent(account),
            }
        }
    }

    /// What peers have acknowledged was last asked before the frost.
    fn measure_routes(&mut self) {
        let routes = self.outbox.conns.iter().filter(|(_, c)| !c.is_client());
        self.acts.extend(routes.map(|(id, _)| Act::Measure(id)));
    }

    /// Arms the first ping of a connection: early after CONNECT, a whole interval after an accept without one
    /// (client-protocol.md §12).
    pub(super) fn arm_ping(&mut self, id: ConnId, connected: bool) {
        let interval = self.ping_interval_ns();
        let jitter = self.rng.next_u64();
        let after = if connected { Health::first_ping_ns(interval, jitter) } else { interval };
        self.wheel.add(self.now.mono.plus_ns(after), Due::Ping(id, connected));
    }

    fn ping_interval_ns(&self) -> u64 {
        u64::try_from(self.settings.timers.ping_interval.as_nanos()).unwrap_or(u64::MAX)
    }

    fn beat(&mut self, id: ConnId) {
        let (now, interval, max) = (self.now.mono, self.ping_interval_ns(), self.settings.timers.ping_max);
        let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.lives()) else { return };
        let connected = client.connected;
        // Nothing may come between CONNECT and the first PONG; a client that never sent its PING is given time.
        let greeting = client.connected && !client.informed && now.since(client.since) < 2 * SECOND;
        self.outbox.diary.about(client, Level::Debug, || "Client Ping Timer".into());
        let beat = if greeting { Beat::Skip } else { client.health.beat(now, interval, max) };
        match beat {
            Beat::Stale => {
                self.outbox.ledger.stale_connections += 1;
                return self.close(id, Close::Fault(Fault::Stale));
            }
            Beat::Ping => self.outbox.say(id, |out| out.extend_from_slice(b"PING\r\n")),
            Beat::Skip => {}
        }
        self.wheel.add(now.plus_ns(interval), Due::Ping(id, connected));
    }

    /// Bytes wait for a socket that takes none at the moment: from now on it is watched.
    pub(super) fn watch_progress(&mut self, id: ConnId) {
        let deadline = self.settings.timers.write_deadline;
        // Whether the peer of a route is there is found out in another way (`conn::Pulse`).
        let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.is_client()) else { return };
        if !client.deadline_set {
            client.deadline_set = true;
            client.progress_at = self.now.mono;
            self.wheel.add(self.now.mono.plus(deadline), Due::Progress(id));
        }
    }

    fn check_progress(&mut self, id: ConnId) {
        let deadline = u64::try_from(self.settings.timers.write_deadline.as_nanos()).unwrap_or(u64::MAX);
        let now = self.now.mono;
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.deadline_set = false;
        if client.out.pending() == 0 || !client.blocked || !client.lives() {
            return;
        }
        let quiet = now.since(client.progress_at);
        if quiet >= deadline {
            return self.close(id, Close::WriteDeadline);
        }
        client.deadline_set = true;
        self.wheel.add(now.plus_ns(deadline - quiet), Due::Progress(id));
    }
}
