//! Bytes of one connection → operations → whoever handles them.

use super::core::{Shard, Work};
use crate::base::limits::{JOINED_BYTES_MIN, SHORT_REST_MAX};
use crate::base::{ConnId, Level, Slot};
use crate::conn::{give_back, Close, Stage};
use crate::wire::{Fault, Op, Step};

impl Shard {
    /// Bytes arrived on a connection.
    pub(super) fn bytes(&mut self, id: ConnId, data: &[u8]) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        match client.rules.connect_first {
            false => self.take_in(id, data),
            true => {
                client.sent_early += data.len();
                self.take_in(id, data);
                self.measure_stranger(id);
            }
        }
    }

    /// Who has to say who he is may send only so much before he does (client-protocol.md §2.3). Of what waits for a later
    /// turn it is not known yet what it says.
    fn measure_stranger(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get(id).filter(|c| c.is_stranger() && !self.waits(c)) else { return };
        if client.sent_early > self.settings.limits.stranger_bytes_max() {
            self.close(id, Close::Fault(Fault::ControlLine));
        }
    }

    fn take_in(&mut self, id: ConnId, data: &[u8]) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        if !client.lives() || matches!(client.stage, Stage::Refused) {
            return; // thrown away: see Stage::Lingering
        }
        if !client.is_client() {
            self.heard_from_server(id);
        }
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        let must_wait = self.held > 0 || client.waiting;
        if client.held() || must_wait {
            client.keep_behind(data, &mut self.outbox.spares);
            // Somebody else's turn ends its waiting; with too little for an operation there is nothing to wait with.
            if must_wait && !client.held() && client.tail.len() >= client.need() {
                self.wait(id);
            }
            return;
        }
        let at = if client.tail.is_empty() { 0 } else { self.join(id, data) };
        let used = self.parse(id, &data[at..]);
        self.keep(id, &data[at + used..]);
    }

    /// Makes whole what a connection has left over, with as little of `data` as that takes: the rest is parsed where it
    /// lies. Says how many bytes of `data` are done with or kept.
    fn join(&mut self, id: ConnId, data: &[u8]) -> usize {
        let mut at = 0;
        while at < data.len() {
            let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.lives()) else { return data.len() };
            if client.held() || client.waiting {
                client.keep_behind(&data[at..], &mut self.outbox.spares);
                return data.len();
            }
            let had = client.tail.len();
            let lacking = match client.need() {
                0 => had,
                need => need.saturating_sub(had),
            };
            let more = lacking.max(JOINED_BYTES_MIN).min(data.len() - at);
            client.keep_behind(&data[at..at + more], &mut self.outbox.spares);
            at += more;
            if client.tail.len() < client.need() || self.parse_tail(id) < had {
                continue;
            }
            if let Some(client) = self.outbox.conns.get_mut(id) {
                at -= client.tail.len();
                give_back(std::mem::take(&mut client.tail), &mut self.outbox.spares);
            }
            break;
        }
        at
    }

    /// Goes on with what a connection has left over; says how many bytes of it are done with.
    pub(super) fn parse_tail(&mut self, id: ConnId) -> usize {
        let Some(client) = self.outbox.conns.get_mut(id) else { return 0 };
        let mut tail = std::mem::take(&mut client.tail);
        let used = self.parse(id, &tail);
        let left = tail.len() - used;
        if left > SHORT_REST_MAX {
            if let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.lives()) {
                tail.drain(..used);
                client.tail = tail;
                return used;
            }
        }
        self.keep(id, &tail[used..]);
        give_back(tail, &mut self.outbox.spares);
        used
    }

    fn keep(&mut self, id: ConnId, rest: &[u8]) {
        if rest.is_empty() {
            return;
        }
        let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.lives()) else { return };
        if !matches!(client.stage, Stage::Refused) {
            client.keep_behind(rest, &mut self.outbox.spares);
        }
    }

    /// Carries out the operations of `data` and says how many bytes are done with.
    fn parse(&mut self, id: ConnId, data: &[u8]) -> usize {
        match self.outbox.conns.get(id) {
            Some(c) if c.route.is_some() => return self.parse_route(id, data),
            Some(c) if c.gateway.is_some() => return self.parse_gateway(id, data),
            _ => {}
        }
        let traces = self.outbox.diary.traces();
        let (mut at, mut alike) = (0, !traces);
        loop {
            let Some(client) = self.outbox.conns.get_mut(id) else { return data.len() };
            if !client.ready() {
                return if client.lives() { at } else { data.len() };
            }
            if self.budget == 0 || self.crammed {
                self.wait(id);
                return at;
            }
            if std::mem::take(&mut alike) {
                at += self.repeat(id, &data[at..]);
                continue;
            }
            // Nearly all there is to parse; by itself, so that it need not be wrapped and unwrapped.
            let usual = if traces { None } else { client.parser.publication(&data[at..], &client.rules) };
            if let Some((m, used)) = usual {
                at += used;
                let from = client.publishes(&m, self.now.mono);
                alike = from.verdict != Slot::NONE;
                self.publish(id, from, &m);
                if self.outbox.unsettled() {
                    self.settle();
                }
                continue;
            }
            match client.parser.next(&data[at..], &client.rules) {
                Ok(Step::Op(op, used)) => {
                    at += used;
                    if self.outbox.diary.traces() {
                        self.outbox.diary.heard(client, &op);
                    }
                    self.carry_out(id, op);
                    if self.outbox.unsettled() {
                        self.settle();
                    }
                }
                Ok(Step::More(used)) => return at + used,
                Err(fault) => {
                    self.close(id, Close::Fault(fault));
                    return data.len();
                }
            }
        }
    }

    /// Has the rest of a connection's bytes wait for the next turn.
    pub(super) fn wait(&mut self, id: ConnId) {
        if let Some(client) = self.outbox.conns.get_mut(id) {
            if !client.waiting {
                client.waiting = true;
                self.waiting.push_back(Work::Bytes(id));
            }
        }
    }

    /// Goes on with what did not fit into the last turn.
    pub(super) fn go_on(&mut self) {
        for _ in 0..self.waiting.len() {
            if self.budget == 0 {
                return;
            }
            match self.waiting.pop_front() {
                Some(Work::Batch(from, batch, at)) => {
                    self.held -= 1;
                    self.listen(from, batch, at);
                }
                // Only what is heard goes on while the rings are crammed: that is what empties them.
                Some(work) if self.crammed => self.waiting.push_back(work),
                Some(Work::Bytes(id)) => self.go_on_with(id),
                None => return,
            }
        }
    }

    fn go_on_with(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.waiting = false;
        if client.held() || !client.lives() {
            return;
        }
        if !client.tail.is_empty() {
            self.parse_tail(id);
            self.measure_stranger(id);
        }
        self.end_of_input(id);
    }

    fn carry_out(&mut self, id: ConnId, op: Op<'_>) {
        match op {
            Op::Publish(p) => self.publish_rewritten(id, &p),
            Op::Subscribe { subject, queue, sid } => self.subscribe(id, subject, queue, sid),
            Op::Unsubscribe { sid, max } => self.unsubscribe(id, sid, max),
            Op::Ping => self.ping(id),
            Op::Pong => {
                if let Some(client) = self.outbox.conns.get_mut(id) {
                    client.health.pong(self.now.mono);
                }
            }
            Op::Ok => {}
            Op::Connect(json) => self.connect(id, json),
            Op::Info(json) => {
                if !crate::wire::hello::json_ok(json) {
                    self.close(id, Close::Fault(Fault::Malformed));
                }
            }
            Op::PeerError(text) => {
                if let Some(client) = self.outbox.conns.get(id) {
                    let text = || format!("Client Error {}", String::from_utf8_lossy(text));
                    self.outbox.diary.about(client, Level::Error, text);
                }
                self.close(id, Close::Fault(Fault::PeerError));
            }
        }
    }

    /// What an operation left behind: subscriptions that had their last message, connections over their limit.
    #[cold]
    pub(super) fn settle(&mut self) {
        while let Some(key) = self.outbox.spent.pop() {
            if let Some(sub) = self.outbox.subs.get(key) {
                if let Some(client) = self.outbox.conns.get(sub.conn) {
                    let (max, sid) = (sub.max, String::from_utf8_lossy(&sub.sid));
                    let text = || format!("Auto-unsubscribe limit of {max} reached for sid '{sid}'");
                    self.outbox.diary.about(client, Level::Debug, text);
                }
            }
            self.end_subscription(key);
        }
        while let Some(id) = self.outbox.over.pop() {
            self.close(id, Close::PendingBytes);
        }
    }

    /// `+OK`, for those who want it.
    pub(super) fn ok(&mut self, id: ConnId) {
        if self.outbox.conns.get(id).is_some_and(|c| c.verbose) {
            self.outbox.say(id, |out| out.extend_from_slice(b"+OK\r\n"));
        }
    }
}
