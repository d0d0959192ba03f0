//! Routes: how other servers' interest and messages come in, and how a route begins and ends on the shard that owns it
//! (cluster-protocol.md §3). Who the peers are and which connection to one counts is decided before, by the mesh.

use super::asked::is_answer;
use super::batch::{Address, Origin};
use super::core::{Act, Shard};
use super::due::Due;
use super::ends::Key;
use super::ledger::Drop;
use super::outbox::{weight, Fate};
use super::peers::At;
use super::relay::{give, Given};
use super::replies::way_back;
use super::tracing::may_be_traced;
use crate::base::limits::{ROUTE_LINE_BYTES_MAX, TURN_FORGOTTEN_MAX};
use crate::base::{ConnId, Level, PeerId, ShardId, ShardSet, Slot, Time};
use crate::conn::{
    Bearer, Client, Close, ForeignWants, Instruction, Introduction, Memo, Pulse, Route, Telling, Tidings,
};
use crate::interest::Cursor;
use crate::wire::gateway::{is_mapped, name_hash, Hash6};
use crate::wire::route::{RouteOp, RouteParser, RouteRules, Routed};
use crate::wire::{subject, Fault, Message, Rules, Step};

/// So many times the time limit a gateway's other end has to take something in while it is heard: it may wait for a route
/// of its own (`shard::pace`), which is given up after the time limit.
const GATEWAY_PATIENCE: u64 = 2;

impl Shard {
    /// A route was registered for this shard: it is told everything, and listened to.
    pub(super) fn introduce(&mut self, intro: Introduction) -> ConnId {
        let now = self.now;
        let rules =
            Rules { max_control_line: ROUTE_LINE_BYTES_MAX, max_payload: 0, headers: true, connect_first: false };
        let mut client = Client::new(intro.rid, &intro.ip, intro.port, rules, now);
        client.start_ns = intro.start_ns;
        client.headers = intro.headers;
        client.stage = crate::conn::Stage::Open;
        let (peer, rest, server_id) = (intro.peer, intro.rest.clone(), intro.server_id.clone());
        client.route = Some(Box::new(Route {
            parser: RouteParser::default(),
            telling: Some(Telling::default()),
            pongs_due: 0,
            told: false,
            interest: 0,
            pulse: Pulse::new(now.mono, u64::from(intro.pong_due)),
            probed: false,
            strangers_told: false,
            foreign: ForeignWants::default(),
            bearer: (intro.pools && self.settings.gateway.is_some()).then(Bearer::default),
            intro: Introduction { rest: Vec::new(), ..intro },
        }));
        // What has ended is told to those who were told of it, before somebody comes who was not.
        self.tell_ends(true);
        let id = self.outbox.conns.insert(client);
        self.servers_here += 1;
        let hash = name_hash(&server_id);
        self.peers.set(peer, Some((At::Here(id), hash)));
        self.verdicts.forget_all();
        for batch in self.peer_batches() {
            batch.route(peer, Some(hash));
        }
        self.untold.push(id);
        self.peer_work = true;
        self.beat_server(id);
        if !rest.is_empty() {
            self.bytes(id, &rest);
        }
        id
    }

    /// Another shard says that the route to a peer is there (Some), or has ended.
    pub(super) fn route_elsewhere(&mut self, peer: PeerId, at: Option<(ShardId, Hash6)>) {
        self.peers.set(peer, at.map(|(shard, hash)| (At::There(shard), hash)));
        self.verdicts.forget_all();
        if at.is_none() {
            self.forgetting.push_back((peer, 0, Cursor::default()));
            self.peer_work = true;
        }
    }

    /// The route `id` is over: nothing goes to its peer any more, and what the peer wanted is void everywhere.
    pub(super) fn route_ended(&mut self, id: ConnId, why: &Close) {
        let Some(route) = self.outbox.conns.get(id).and_then(|c| c.route.as_deref()) else { return };
        let peer = route.intro.peer;
        self.peers.set(peer, None);
        self.release_known();
        self.verdicts.forget_all();
        self.forgetting.push_back((peer, 0, Cursor::default()));
        self.peer_work = true;
        for batch in self.peer_batches() {
            batch.route(peer, None);
        }
        self.acts.push_back(Act::Tidings(Tidings::Ended { peer, why: why.detail() }));
    }

    /// Goes on forgetting peers that have gone, a slice. True: there is more to forget at once.
    pub(super) fn forget_peers(&mut self) -> bool {
        let Some((peer, account, cursor)) = self.forgetting.pop_front() else { return false };
        let Some(world) = self.worlds.get_mut(usize::from(account)) else {
            self.acts.push_back(Act::Tidings(Tidings::Forgotten { peer }));
            return !self.forgetting.is_empty();
        };
        let mut ended: Vec<Key> = Vec::new();
        let next = world.replica.forget_peer(peer, cursor, TURN_FORGOTTEN_MAX, |pattern, queue| {
            ended.push(Key::new(account, pattern, queue));
        });
        ended.iter().for_each(|k| self.wide_edge(account, &k.pattern, &k.queue, true, false));
        match next {
            Some(cursor) => self.forgetting.push_front((peer, account, cursor)),
            None => self.forgetting.push_front((peer, account + 1, Cursor::default())),
        }
        true
    }

    /// What of telling new peers and forgetting lost ones fits into this turn. Where nothing was left over this looks at
    /// nobody: it is done in every turn.
    pub(super) fn go_on_with_peers(&mut self) {
        let telling = self.tell_untold();
        let forgetting = self.forget_peers();
        let sweeping = self.sweep_fars();
        self.peer_work = telling || forgetting || sweeping;
        self.inform_clients();
    }

    /// The mesh says what is to be done with a route.
    pub(super) fn instructed(&mut self, instruction: Instruction) {
        let here = |s: &Shard, peer| match s.peers.place(peer) {
            Some(At::Here(conn)) => Some(conn),
            _ => None,
        };
        match instruction {
            Instruction::Say { peer, line } => {
                if let Some(conn) = here(self, peer) {
                    self.outbox.say(conn, |out| out.extend_from_slice(&line));
                }
            }
            Instruction::Probe { peer } => {
                let Some(conn) = here(self, peer) else { return };
                if let Some(route) = self.outbox.conns.get_mut(conn).and_then(|c| c.route.as_deref_mut()) {
                    route.probed = true;
                    route.pulse.ask();
                }
                self.outbox.say(conn, |out| out.extend_from_slice(b"PING\r\n"));
            }
            Instruction::End { peer, says, why } => {
                if let Some(conn) = here(self, peer) {
                    self.close(conn, Close::Route { says, why });
                }
            }
        }
    }

    /// Carries out what a peer says; how many bytes are done with.
    pub(super) fn parse_route(&mut self, id: ConnId, data: &[u8]) -> usize {
        let rules = RouteRules {
            max_control_line: ROUTE_LINE_BYTES_MAX,
            max_payload: self.route_payload_max(),
            connect_first: false,
        };
        let now = self.now.mono;
        let (mut at, mut alike) = (0, true);
        loop {
            let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.lives()) else { return data.len() };
            if self.budget == 0 || self.crammed {
                self.wait(id);
                return at;
            }
            if std::mem::take(&mut alike) {
                at += self.repeat(id, &data[at..]);
                continue;
            }
            let Some(route) = client.route.as_deref_mut() else { return data.len() };
            match route.parser.next(&data[at..], &rules) {
                Ok(Step::Op(op, used)) => {
                    at += used;
                    alike = matches!(op, RouteOp::Message(_));
                    self.carry_out_for_peer(id, op, now);
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

    /// nats-server takes payloads beyond its limit from a peer (cluster-protocol.md §1.1): whoever let the message in has
    /// checked its size. Eight times our limit is more than any reasonable cluster mixes.
    pub(super) fn route_payload_max(&self) -> usize {
        self.settings.limits.max_payload.saturating_mul(8).max(64 << 20)
    }

    fn carry_out_for_peer(&mut self, id: ConnId, op: RouteOp<'_>, now: Time) {
        match op {
            RouteOp::Message(m) if may_be_traced(&m) => self.receive_traced(id, &m, Origin::Route),
            RouteOp::Message(m) => self.receive_routed(id, &m),
            RouteOp::Interest { account, subject, queue, weight } => {
                self.peer_wants(id, account, subject, queue, weight);
            }
            RouteOp::NoInterest { account, subject, queue } => self.peer_wants(id, account, subject, queue, 0),
            RouteOp::Ping => self.answer_peer(id),
            RouteOp::Pong => {
                if let Some(route) = self.outbox.conns.get_mut(id).and_then(|c| c.route.as_deref_mut()) {
                    route.pulse.pong(now);
                    if !std::mem::replace(&mut route.told, true) {
                        let peer = route.intro.peer;
                        self.acts.push_back(Act::Tidings(Tidings::Told { peer }));
                    }
                    if route.bearer.is_some() {
                        self.bearer_answered(id);
                    }
                }
            }
            RouteOp::Info(json) => {
                let Some(peer) = self.peer_of(id) else { return };
                self.acts.push_back(Act::Tidings(Tidings::Info { peer, json: json.to_vec() }));
            }
            RouteOp::PeerError(text) => {
                let says = String::from_utf8_lossy(text).into_owned();
                self.log_about(id, Level::Error, || format!("the peer says {says}, and is left"));
                self.close(id, Close::Fault(Fault::PeerError));
            }
            // A second CONNECT changes nothing that it may change; the others mean nothing on a route.
            RouteOp::Connect(_) | RouteOp::Ok | RouteOp::Ignored => {}
        }
    }

    /// PING. The answer comes behind what our clients want, as a nats-server's does: who has it knows all of that.
    fn answer_peer(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        match client.route.as_deref_mut() {
            Some(route) if route.telling.is_some() && route.pongs_due < u8::MAX => route.pongs_due += 1,
            _ => self.outbox.say(id, |out| out.extend_from_slice(b"PONG\r\n")),
        }
    }

    fn peer_of(&self, id: ConnId) -> Option<PeerId> {
        self.outbox.conns.get(id).and_then(|c| c.route.as_deref()).map(|r| r.intro.peer)
    }

    pub(super) fn log_about(&mut self, id: ConnId, level: Level, text: impl FnOnce() -> String) {
        if let Some(client) = self.outbox.conns.get(id) {
            self.outbox.diary.about(client, level, text);
        }
    }

    /// Which account a peer means; None, and said once for each route: none that exists here (its interest is ignored,
    /// its messages are counted).
    fn account_of(&mut self, id: ConnId, name: &[u8]) -> Option<u16> {
        let found = self.known_account(id, name);
        let client = self.outbox.conns.get_mut(id)?;
        match (found, client.route.as_deref_mut()) {
            (None, Some(route)) if !route.strangers_told => {
                route.strangers_told = true;
                let name = String::from_utf8_lossy(name).into_owned();
                self.log_about(id, Level::Warn, || {
                    format!("the peer has an account {name:?} that is not configured here: nothing of it crosses")
                });
            }
            _ => {}
        }
        found
    }

    /// The account of this name, if it exists here. Most often it is the one it was before.
    pub(super) fn known_account(&mut self, id: ConnId, name: &[u8]) -> Option<u16> {
        let accounts = &self.settings.auth.accounts;
        let last = self.outbox.conns.get(id).map_or(0, |c| c.account);
        if accounts.get(usize::from(last)).is_some_and(|a| a.name.as_bytes() == name) {
            return Some(last);
        }
        let account = accounts.iter().position(|a| a.name.as_bytes() == name)? as u16;
        let client = self.outbox.conns.get_mut(id)?;
        (client.account, client.memo) = (account, Memo::NOTHING);
        Some(account)
    }

    /// `RS+` and `RS-` (weight 0).
    pub(super) fn peer_wants(&mut self, id: ConnId, name: &[u8], pattern: &[u8], queue: &[u8], n: u32) {
        let account = self.account_of(id, name);
        let Some(peer) = self.peer_of(id) else { return };
        if account.is_some() && !subject::valid_subscription(pattern) {
            self.outbox.say(id, |out| out.extend_from_slice(b"-ERR 'Invalid Subscription'\r\n"));
            return self.close(id, Close::Fault(Fault::Malformed));
        }
        let Some(account) = account else {
            // A reload may bring it.
            let route = self.outbox.conns.get_mut(id).and_then(|c| c.route.as_deref_mut());
            return route.into_iter().for_each(|r| r.foreign.told(name, pattern, queue, n));
        };
        let rules = self.settings.cluster.as_ref().and_then(|c| c.permissions.as_ref());
        if n > 0 && rules.is_some_and(|p| !p.export.allows(pattern)) {
            self.outbox.ledger.interest_refused += 1;
            return;
        }
        let replica = &mut self.worlds[usize::from(account)].replica;
        let Some(news) = replica.peer_stated(peer, pattern, queue, n) else { return };
        self.verdicts.changed(account, pattern);
        self.wide_edge(account, pattern, queue, news.wide_before, news.wide_after);
        for batch in self.peer_batches() {
            batch.peer_interest(account, peer, pattern, queue, n);
        }
        let Some(route) = self.outbox.conns.get_mut(id).and_then(|c| c.route.as_deref_mut()) else { return };
        route.interest = (route.interest + u64::from(news.had == 0)).saturating_sub(u64::from(n == 0));
        let most = self.settings.limits.max_peer_interest;
        if route.interest > most {
            let why = format!("it wants more than {most} subjects");
            self.close(id, Close::Route { says: "maximum subscriptions exceeded".into(), why });
        }
    }

    /// A message that came over a route: for this server's clients only (cluster-protocol.md §3.14).
    pub(super) fn receive_routed(&mut self, id: ConnId, r: &Routed<'_>) {
        let Some(account) = self.account_of(id, r.account) else {
            self.outbox.ledger.dropped(Drop::UnknownAccount, 1);
            return;
        };
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.counts.in_msgs += 1;
        client.counts.in_bytes += r.payload.len() as u64;
        if is_mapped(r.subject) {
            return self.answer_came(id, account, r, Origin::Route);
        }
        let key = self.key_of(id, account, r);
        self.receive_from_server(id, account, r, Origin::Route, key);
    }

    /// The key of the verdict on a message that came from another server.
    pub(super) fn key_of(&mut self, id: ConnId, account: u16, r: &Routed<'_>) -> Slot {
        let Some(client) = self.outbox.conns.get_mut(id) else { return Slot::NONE };
        let mut key = client.memo.verdict;
        if !crate::base::same(client.memo.subject(), r.subject) || self.verdicts.get(key).is_none() {
            key = self.verdict(account, r.subject);
            if let Some(client) = self.outbox.conns.get_mut(id) {
                client.memo.remember(&[b"RMSG ", r.account, b" "], r.subject, key);
            }
        }
        key
    }

    /// A message that came from another server, with its verdict: for whom it may be for from where it came.
    pub(super) fn receive_from_server(&mut self, id: ConnId, account: u16, r: &Routed<'_>, origin: Origin, key: Slot) {
        let mut body = std::mem::take(&mut self.body);
        let m = r.message(&mut body);
        self.outbox.next_message();
        // Of what comes by a gateway the link is the publisher that waits.
        let publisher = if origin == Origin::Gateway { id } else { ConnId::NONE };
        let to = Address { origin, ..self.published(account, publisher) };
        self.count_denied(key);
        let mut queued = self.deliver_plain(key, &m, origin);
        self.away.clear();
        for name in r.queues.iter() {
            match self.named_group(key, name, origin, &m) {
                Given::Taken => queued += 1,
                Given::Elsewhere(_) => {}
                Given::Nobody => {
                    let why = if self.keeps_back(key) { Drop::DeliveryDenied } else { Drop::QueueMemberLeft };
                    self.dropped_on_entry(id, account, why, 1);
                }
            }
        }
        if self.outbox.tracing.is_some() {
            self.note_kept(key, origin);
        }
        let (links, shards) = self.relay(key, to, &m);
        if is_answer(m.subject) {
            queued += self.hear_if_answer(key, account, &m);
        }
        if queued + links == 0 && shards == ShardSet::EMPTY && !self.keeps_back(key) {
            // Another cluster may send unasked; a route only what was asked for.
            let why = if origin == Origin::Route { Drop::ReceiverLeft } else { Drop::NoInterest };
            self.dropped_on_entry(id, account, why, 1);
        }
        self.pace_entry(id, origin);
        self.budget = self.budget.saturating_sub(1 + (queued + links) * weight(&m));
        self.body = body;
    }

    /// One member of a queue group that another server has named: here, or noted in `self.away`. What came over a route is
    /// for this server's clients.
    fn named_group(&mut self, key: Slot, name: &[u8], origin: Origin, m: &Message<'_>) -> Given {
        let Some(v) = self.verdicts.get(key) else { return Given::Nobody };
        let here_only = origin == Origin::Route;
        let (way, seen) = way_back(origin, m);
        self.outbox.answering = way;
        let given = v.groups.iter().position(|g| *g.name == *name).map(|at| {
            let g = &v.groups[at];
            let pick = g.pick(&mut self.rng, here_only);
            let given = pick.map(|p| give(&mut self.outbox, &mut self.rng, v, g, p, &seen, None, here_only));
            (at as u32, given.unwrap_or(Given::Nobody))
        });
        self.outbox.answering = None;
        let Some((at, given)) = given else { return Given::Nobody };
        if let Given::Elsewhere(place) = given {
            self.away.push((place, at));
        }
        given
    }

    /// Gives a message to the plain receivers here. What comes from another server may be meant for another subject, or have
    /// a reply that finds its way back.
    pub(super) fn deliver_plain(&mut self, key: Slot, m: &Message<'_>, origin: Origin) -> u64 {
        let Some(v) = self.verdicts.get(key) else { return 0 };
        let mut queued = 0;
        let mapped = if origin == Origin::Client { None } else { subject::acknowledged(m.reply) };
        let (way, seen) = way_back(origin, m);
        let traced = self.outbox.tracing.is_some();
        let all = v.plain.iter().map(|t| (t, false)).chain(v.answering.iter().map(|t| (t, true)));
        for (t, answers) in all {
            let fate = match mapped {
                None if traced => self.outbox.deliver_traced(v.account, t, v.head(t), &seen, None),
                None => self.outbox.deliver(t, v.head(t), &seen, None),
                // It is that subject which he has to have the right to.
                Some((_, subject)) if !self.outbox.may_have(t, subject) => continue,
                Some((reply, subject)) => {
                    let (head, m) = (v.head_for(t, subject), Message { subject, reply, ..*m });
                    match traced {
                        true => self.outbox.deliver_traced(v.account, t, &head, &m, None),
                        false => self.outbox.deliver(t, &head, &m, None),
                    }
                }
            };
            queued += u64::from(fate == Fate::Queued);
            if answers && fate == Fate::Queued {
                self.outbox.may_answer(t.conn, mapped.map_or(seen.reply, |(reply, _)| reply));
            }
            if let (Some(way), Fate::Queued) = (way, fate) {
                self.outbox.remember(t.conn, seen.reply, way);
            }
        }
        queued
    }

    /// The timer of another server's link: is it there?
    pub(super) fn beat_server(&mut self, id: ConnId) {
        let now = self.now.mono;
        let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.lives()) else { return };
        let (cluster, gateway) = (self.settings.cluster.as_ref(), self.settings.gateway.as_ref());
        let (routed, pending, unread) = (client.route.is_some(), client.out.pending(), client.paused);
        let of_route = cluster.filter(|_| routed).map(|c| (c.ping_interval, c.peer_timeout));
        let times = of_route.or_else(|| gateway.map(|g| (g.ping_interval, g.peer_timeout)));
        let patience = if routed { 1 } else { GATEWAY_PATIENCE };
        let (Some((interval, timeout)), Some(pulse)) = (times, client.pulse()) else { return };
        if unread {
            pulse.unread(now);
        }
        let timeout_ns = timeout.as_nanos() as u64;
        if let Some(how) = pulse.lost(now, timeout_ns, patience * timeout_ns) {
            let seconds = pulse.silence(now) as f64 / 1e9;
            let why = format!("{how} for {seconds:.1} s, {pending} bytes waited for it");
            self.outbox.ledger.stale_connections += 1;
            self.outbox.ledger.stale_routes += u64::from(routed);
            self.outbox.ledger.stale_gateways += u64::from(!routed);
            return self.close(id, Close::Route { says: "Stale Connection".into(), why });
        }
        let silent = pulse.silence(now) > interval.as_nanos() as u64;
        let ping = pulse.ping(now, pending);
        if ping {
            self.outbox.say(id, |out| out.extend_from_slice(b"PING\r\n"));
        }
        self.acts.push_back(Act::Measure(id));
        // Looked at more often once it is silent: the time limit is kept to a fraction of a ping.
        let pause = if silent { interval / 4 } else { interval };
        self.wheel.add(now.plus(pause), Due::Server(id));
    }

    /// The system says how many bytes a peer has not acknowledged.
    pub(super) fn unacked(&mut self, id: ConnId, bytes: u64) {
        if let Some(pulse) = self.outbox.conns.get_mut(id).and_then(|c| c.pulse()) {
            pulse.unacked(self.now.mono, bytes);
        }
    }

    /// Bytes came from another server.
    pub(super) fn heard_from_server(&mut self, id: ConnId) {
        let now = self.now.mono;
        if let Some(gateway) = self.outbox.conns.get_mut(id).and_then(|c| c.gateway.as_deref_mut()) {
            return gateway.pulse.heard(now);
        }
        let Some(route) = self.outbox.conns.get_mut(id).and_then(|c| c.route.as_deref_mut()) else { return };
        route.pulse.heard(now);
        if std::mem::take(&mut route.probed) {
            let peer = route.intro.peer;
            self.acts.push_back(Act::Tidings(Tidings::Alive { peer }));
        }
    }
}

#[cfg(test)]
mod tests;
