//! How connections end.

use super::core::{Act, Lost, Shard};
use super::due::Due;
use super::ledger::Drop;
use super::repeats::Repeat;
use crate::base::{ConnId, Level, MILLISECOND, SECOND};
use crate::conn::{give_back, Client, Close, Memo, Spares, Stage};
use crate::wire::hello::Connect;
use crate::wire::{fault, Fault};

/// How long an ending connection has to take its last bytes. nats-server gives at least 100 ms.
const LAST_WORDS_NS: u64 = 2 * SECOND;
/// How long an ended one is kept so that its peer reads our last words instead of a reset.
const LINGER_NS: u64 = 500 * MILLISECOND;
/// Where less than that waits for a client, cutting it would give back too little memory to be worth the harm, bytes.
const SCARCE_LEAST: usize = 64 << 10;

/// What the log is told of wrong credentials, in nats-server's words; `signs`: there are users with keys.
fn login_failed(said: Option<&Connect>, signs: bool) -> String {
    match said {
        Some(said) if !said.nkey.is_empty() && signs => {
            format!("authentication error - Nkey \"{}\"", said.nkey.escape_debug())
        }
        Some(said) if !said.user.is_empty() => format!("authentication error - User \"{}\"", said.user),
        Some(said) if !said.auth_token.is_empty() => "authentication error - Token \"[REDACTED]\"".into(),
        _ => "authentication error".into(),
    }
}

impl Shard {
    /// Ends a connection: its subscriptions go at once; what waits for it is still written, where that makes sense,
    /// with the reason behind it.
    pub(super) fn close(&mut self, id: ConnId, why: Close) {
        if !self.outbox.conns.get(id).is_some_and(|c| c.lives()) {
            return;
        }
        self.tell_of_end(id, &why);
        self.abandon_subscriptions(id);
        self.leave_account(id);
        self.route_ended(id, &why);
        self.gateway_ended(id, &why);
        let away = self.outbox.conns.get(id).is_some_and(|c| matches!(c.stage, Stage::Upgrading { away: true }));
        let flushes = why.flushes() && !away;
        let text = why.text();
        if flushes && !text.is_empty() {
            self.outbox.say(id, |out| fault::write_fatal(out, text));
        }
        self.note_end(id, &why);
        let lost = match why {
            Close::PendingBytes | Close::PendingTotal | Close::Scarce => Drop::SlowConsumerPending,
            Close::WriteDeadline => Drop::SlowConsumerDeadline,
            _ => Drop::ConnectionEnded,
        };
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        if client.rules.connect_first {
            self.strangers.left(client.cid, &client.ip);
        }
        if std::mem::take(&mut client.placed) {
            self.acts.push_back(Act::Left);
        }
        client.stage = Stage::Closing(why);
        client.memo = Memo::NOTHING;
        let tail = std::mem::take(&mut client.tail);
        let was_held = std::mem::take(&mut client.paused);
        let last_words_ns = match client.stage {
            Stage::Closing(Close::Shutdown) => {
                u64::try_from(self.settings.timers.shutdown_grace.as_nanos()).unwrap_or(u64::MAX)
            }
            _ => LAST_WORDS_NS,
        };
        let empty = client.out.pending() == 0;
        give_back(tail, &mut self.outbox.spares);
        if was_held {
            self.acts.push_back(Act::Resume(id));
        }
        if !flushes {
            self.remove(id, lost);
        } else if empty {
            self.all_said(id);
        } else {
            self.wheel.add(self.now.mono.plus_ns(last_words_ns), Due::LastWords(id));
        }
    }

    /// Counts and logs an end.
    fn note_end(&mut self, id: ConnId, why: &Close) {
        let is_server = self.outbox.conns.get(id).is_some_and(|c| !c.is_client());
        // They may come a thousand times a second.
        let kind = match why {
            Close::Route { .. } => Some(Repeat::WrongDial),
            Close::Handshake(_) => Some(Repeat::Handshake),
            Close::Fault(Fault::Authorization) => Some(Repeat::Login),
            Close::Fault(f) if !matches!(f, Fault::AuthTimeout | Fault::Stale | Fault::PeerError) => {
                Some(Repeat::Fault)
            }
            _ => None,
        };
        let said = kind.filter(|_| !is_server).is_none_or(|k| self.may_say(k));
        let Some(client) = self.outbox.conns.get(id) else { return };
        let account = &mut self.worlds[usize::from(client.account)].ledger;
        let (ledger, diary) = (&mut self.outbox.ledger, &mut self.outbox.diary);
        let behind = matches!(why, Close::PendingBytes | Close::PendingTotal | Close::Scarce);
        let stuck = matches!(why, Close::WriteDeadline);
        ledger.slow_consumers_pending += u64::from(behind);
        ledger.slow_consumers_deadline += u64::from(stuck);
        account.slow_consumers += u64::from(behind || stuck);
        match why {
            Close::PendingBytes => {
                let limit = self.settings.limits.max_pending;
                let text = || format!("Slow Consumer Detected: MaxPending of {limit} Exceeded");
                diary.about(client, Level::Info, text);
            }
            Close::PendingTotal => {
                let (bytes, max) = (client.out.pending(), self.outbox.waiting_max);
                let text = || {
                    format!(
                        "Slow Consumer Detected: {bytes} bytes wait, the most of all, and all together exceed {max}"
                    )
                };
                diary.about(client, Level::Info, text);
            }
            Close::Scarce => {
                ledger.scarce_cut += 1;
                let bytes = client.out.pending();
                let text = || format!("Slow Consumer Detected: {bytes} bytes wait, and memory is scarce");
                diary.about(client, Level::Info, text);
            }
            Close::WriteDeadline => {
                let (deadline, bytes) = (self.settings.timers.write_deadline, client.out.pending());
                let text = || {
                    format!("Slow Consumer Detected: WriteDeadline of {deadline:?} exceeded with {bytes} total bytes.")
                };
                diary.about(client, Level::Info, text);
            }
            _ if !said => {}
            Close::Handshake(why) => diary.about(client, Level::Error, || format!("TLS handshake error: {why}")),
            Close::Fault(Fault::Authorization) => {
                let signs = self.directory.asks_for_signatures();
                diary.about(client, Level::Error, || login_failed(client.said.as_deref(), signs));
            }
            Close::Fault(
                f @ (Fault::AuthTimeout | Fault::Stale | Fault::Expired | Fault::AccountExpired | Fault::Revoked),
            ) => {
                diary.about(client, Level::Debug, || f.text().into());
            }
            Close::Route { why, .. } if !is_server => diary.about(client, Level::Error, || why.clone()),
            Close::Fault(f) if *f != Fault::PeerError => diary.about(client, Level::Error, || f.text().into()),
            _ => {}
        }
        match (&client.route, &client.gateway) {
            (Some(_), _) => diary.about(client, Level::Info, || format!("Router connection closed: {}", why.detail())),
            (None, Some(_)) => {
                diary.about(client, Level::Info, || format!("Gateway connection closed: {}", why.detail()));
            }
            (None, None) => diary.about(client, Level::Debug, || format!("Client connection closed: {}", why.reason())),
        }
    }

    /// Something happened that strangers can cause by the thousand: is it said?
    pub(super) fn may_say(&mut self, what: Repeat) -> bool {
        let say = self.repeats.happened(what, self.now.mono);
        if !say {
            self.watch_repeats();
        }
        say
    }

    /// What was not said is summed up soon.
    pub(super) fn watch_repeats(&mut self) {
        if let Some(at) = self.repeats.watch() {
            self.wheel.add(at, Due::Repeats);
        }
    }

    /// Everything for an ending connection is written.
    fn all_said(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        let Stage::Closing(why) = &client.stage else { return };
        if client.eof {
            return self.remove(id, Drop::ConnectionEnded);
        }
        client.stage = Stage::Lingering(why.clone());
        self.acts.push_back(Act::Finish(id));
        self.wheel.add(self.now.mono.plus_ns(LINGER_NS), Due::Linger(id));
    }

    /// A connection is over: forgotten here, closed by the shell, remembered for monitoring.
    pub(super) fn remove(&mut self, id: ConnId, lost_as: Drop) {
        let Some(mut client) = self.outbox.conns.remove(id) else { return };
        self.outbox.forget_waiting(client.waiting_bytes);
        let lost = client.out.lose(&mut self.outbox.spares);
        self.outbox.ledger.dropped(lost_as, lost);
        if lost > 0 && matches!(lost_as, Drop::SlowConsumerPending | Drop::SlowConsumerDeadline) {
            let text = || format!("{lost} messages that waited for this slow consumer are lost");
            self.outbox.diary.about(&client, Level::Info, text);
        }
        if client.service {
            self.servers_here -= 1;
            self.acts.push_back(Act::CloseServer(id));
            return self.drained_if_empty();
        }
        if !client.is_client() {
            self.servers_here -= 1;
            let ledger = &mut self.outbox.ledger;
            let passed = if client.route.is_some() { &mut ledger.routed } else { &mut ledger.crossed };
            passed.add(&client.counts.since(&client.booked));
            self.acts.push_back(Act::CloseServer(id));
            return self.drained_if_empty();
        }
        let mut row = self.row(&client, false);
        if let Stage::Closing(why) | Stage::Lingering(why) = &client.stage {
            row.reason = Some(why.reason());
        }
        row.stop_ns = Some(self.now.wall_ns);
        row.lost_msgs = lost;
        // Of thousands that ended the tokens would be megabytes.
        row.issued = None;
        self.past.push(row);
        self.acts.push_back(Act::Close(id));
        if self.draining && !self.drain_due && self.outbox.conns.len() == self.servers_here {
            self.go_on_draining();
        }
    }

    /// A socket ended.
    pub(super) fn lost(&mut self, id: ConnId, why: Lost) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        match (why, client.lives()) {
            (Lost::Eof, true) => {
                client.eof = true;
                if self.held > 0 {
                    self.wait(id);
                }
                self.end_of_input(id);
            }
            // It has read our last words, or never will.
            (Lost::Eof, false) => match client.stage {
                Stage::Lingering(_) => self.remove(id, Drop::ConnectionEnded),
                _ => client.eof = true,
            },
            (Lost::Failed(what), true) => self.close(id, Close::Io(what)),
            (Lost::Handshake(what), true) => self.close(id, Close::Handshake(what)),
            (Lost::Failed(_) | Lost::Handshake(_), false) => self.remove(id, Drop::ConnectionEnded),
        }
    }

    /// Ends a connection whose peer has said all it will, once that is done with (client-protocol.md §2.10).
    pub(super) fn end_of_input(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get(id) else { return };
        if client.eof && !client.held() && !client.waiting {
            self.close(id, Close::Client);
        }
    }

    /// Takes a connection from the list of those with something to write; false if it cannot be written now.
    pub(super) fn take_dirty(&mut self, id: ConnId) -> bool {
        let Some(client) = self.outbox.conns.get_mut(id) else { return false };
        client.dirty = false;
        self.outbox.recount(id);
        let Some(client) = self.outbox.conns.get_mut(id) else { return false };
        if client.blocked {
            self.watch_progress(id);
            return false;
        }
        !client.writable().is_empty()
    }

    /// The socket took bytes.
    pub(super) fn wrote(&mut self, id: ConnId, n: usize) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.out.wrote(n, &mut self.outbox.spares);
        if let Some(pulse) = client.pulse() {
            pulse.sent(n);
        }
        if let Some(hold) = client.gateway.as_deref_mut().and_then(|g| g.hold.as_mut()) {
            hold.room = hold.room.saturating_sub(n);
        }
        if n > 0 {
            client.progress_at = self.now.mono;
        }
        let all_said = client.out.pending() == 0 && client.has_plans();
        self.outbox.recount(id);
        if all_said && !self.give_to_handshake(id) {
            self.all_said(id);
        }
    }

    /// More waits for all than there is room for: those for whom the most waits are cut.
    #[cold]
    pub(super) fn shed(&mut self) {
        self.cut_largest(1, self.outbox.waiting_max, &Close::PendingTotal);
    }

    /// Memory is scarce, or no longer. Each time it is said to be, some of what waits is given back.
    pub(super) fn scarce(&mut self, scarce: bool) {
        self.scarce = scarce;
        if scarce {
            self.outbox.spares = Spares::default();
            self.cut_largest(SCARCE_LEAST, self.outbox.waiting() / 4 * 3, &Close::Scarce);
        }
    }

    /// Cuts clients, those for whom the most waits first and none for whom less than `least` does, until no more than
    /// `until` bytes wait for all.
    fn cut_largest(&mut self, least: usize, until: usize, why: &Close) {
        let clients = self.outbox.conns.iter().filter(|(_, c)| c.lives() && c.is_client() && c.waiting_bytes >= least);
        let mut largest: Vec<_> = clients.map(|(id, c)| (c.waiting_bytes, id)).collect();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id) in largest {
            if self.outbox.waiting() <= until {
                return;
            }
            self.close(id, why.clone());
        }
    }

    /// The socket takes no more.
    pub(super) fn blocked(&mut self, id: ConnId) {
        if let Some(client) = self.outbox.conns.get_mut(id) {
            client.blocked = true;
            self.watch_progress(id);
        }
    }

    /// The socket takes bytes again.
    pub(super) fn writable(&mut self, id: ConnId) {
        if let Some(client) = self.outbox.conns.get_mut(id) {
            client.blocked = false;
            if client.out.pending() > 0 {
                self.outbox.touch(id);
            }
        }
    }

    /// Ends all connections, each after what waits for it is written.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        self.drain_due = true;
        self.begin_draining();
    }

    /// Ends them, once what other shards said for them is delivered.
    pub(super) fn begin_draining(&mut self) {
        if self.drain_due && self.held == 0 {
            self.drain_due = false;
            self.go_on_draining();
        }
    }

    /// Clients first; then the routes, over which their last messages went.
    fn go_on_draining(&mut self) {
        let servers_only = self.outbox.conns.len() == self.servers_here;
        let due = |c: &Client| c.lives() && ((c.is_client() && !c.service) || servers_only);
        let ids: Vec<ConnId> = self.outbox.conns.iter().filter(|(_, c)| due(c)).map(|(id, _)| id).collect();
        for id in ids {
            self.close(id, Close::Shutdown);
        }
        self.drained_if_empty();
    }

    fn drained_if_empty(&mut self) {
        if self.draining && !self.drained && self.outbox.conns.is_empty() {
            self.drained = true;
            self.acts.push_back(Act::Drained);
        }
    }
}

#[cfg(test)]
mod tests;
