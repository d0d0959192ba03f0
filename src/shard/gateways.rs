//! Links to other clusters: how they begin and end on the shard that owns them, what the other end says, and how its
//! messages come in (cluster-protocol.md §4). Which links there are is decided before, by the gateways' machine.

use super::batch::Origin;
use super::core::{Act, Shard, World};
use super::ledger::Drop;
use super::peers::At;
use super::report::Counted;
use super::traced::What;
use super::tracing::may_be_traced;
use crate::base::limits::{FOREIGN_ACCOUNTS_MAX, ROUTE_LINE_BYTES_MAX, TURN_FORGOTTEN_MAX};
use crate::base::{Cid, ConnId, FarId, Level, ShardId};
use crate::conn::{
    Client, Close, Cut, GatewayInstruction, GatewayIntroduction, GatewayLink, GatewayTidings, Stage, Standing,
    TheirRules, Told, Way,
};
use crate::interest::border::Digest;
use crate::interest::far::{FarSaid, Fars, Mode, Touched};
use crate::policy::GatewayInterest;
use crate::wire::gateway::{is_mapped, write_account, Command, GatewayInfo, GatewayOp, GatewayRules, Routed};
use crate::wire::{subject, Fault, Rules, Step};

impl Shard {
    /// A link was registered for this shard.
    pub(super) fn introduce_gateway(&mut self, mut intro: GatewayIntroduction) -> ConnId {
        let (now, rest) = (self.now, std::mem::take(&mut intro.rest));
        let (first, theirs) = (std::mem::take(&mut intro.first), std::mem::take(&mut intro.theirs));
        let rules =
            Rules { max_control_line: ROUTE_LINE_BYTES_MAX, max_payload: 0, headers: true, connect_first: false };
        let mut client = Client::new(intro.link, &intro.ip, intro.port, rules, now);
        (client.start_ns, client.headers, client.stage) = (intro.start_ns, intro.headers, Stage::Open);
        let (way, cid, promised, cluster) = (intro.way, intro.link, intro.interest_only, intro.cluster.clone());
        let cut = Cut::new(self.walls.imports.clone(), &cluster, self.worlds.len(), self.sids.0);
        client.gateway = Some(Box::new(GatewayLink::new(intro, cut, self.worlds.len(), now.mono, self.sids)));
        // What has ended is told to those who were told of it, before somebody comes who was not.
        self.tell_wide_ends(true);
        let id = self.outbox.conns.insert(client);
        self.servers_here += 1;
        self.gateway_links.insert(cid, id);
        if !first.is_empty() {
            self.outbox.say(id, |out| out.extend_from_slice(&first));
        }
        match way {
            Way::Out(far) => {
                self.gate_began(far, At::Here(id), promised, &cluster);
                for batch in self.peer_batches() {
                    batch.gate(far, Some(promised), cluster.as_bytes());
                }
                self.state_their_rules(far, theirs.digest, theirs);
            }
            Way::In => {
                let links =
                    || self.gateway_links.values().filter_map(|c| self.outbox.conns.get(*c)?.gateway.as_deref());
                self.outbox.crossings.entries.begin(&cluster, |name| links().any(|l| *l.intro.cluster == *name));
                self.plan_to_tell(id, promised);
                self.untold.push(id);
            }
        }
        self.peer_work = true;
        self.beat_server(id);
        if !rest.is_empty() {
            self.bytes(id, &rest);
        }
        id
    }

    /// Which accounts an inbound link is told the whole interest of, from the start.
    fn plan_to_tell(&mut self, id: ConnId, promised: bool) {
        let Some(link) = self.outbox.conns.get_mut(id).and_then(|c| c.gateway.as_deref_mut()) else { return };
        let Some(gateway) = self.settings.gateway.as_ref() else { return };
        let since_ns = self.now.wall_ns;
        for (at, account) in self.settings.auth.accounts.iter().enumerate() {
            let asked = gateway.interest_of(&account.name) != GatewayInterest::Optimistic;
            if promised || asked {
                link.told[at] = Told::Due;
                link.due.push_back(at as u16);
                let why = if promised { "promised for all accounts" } else { "configured for this account" };
                link.standing[at] = Standing { since_ns, why };
            }
        }
    }

    fn gate_began(&mut self, far: FarId, at: At, promised: bool, cluster: &str) {
        self.gates.begin(far, at, promised, cluster, &self.walls);
        self.verdicts.forget_all();
        self.book(Counted::NONE, u32::MAX);
        let published = self.published_by_account();
        self.outbox.crossings.begin(far, cluster, &published);
    }

    fn gate_over(&mut self, far: FarId) {
        self.gates.end(far);
        self.outbox.crossings.barriers.left(far);
        self.verdicts.forget_all();
        self.book(Counted::NONE, u32::MAX);
        let published = self.published_by_account();
        self.outbox.crossings.end(far, &published);
        for account in 0..self.worlds.len() as u16 {
            self.change_fars(account, |fars| fars.forget(far));
        }
        self.forgetting_fars.push_back((far, 0));
        self.peer_work = true;
    }

    /// Another shard says that a link on which messages are sent is there, or has ended (`up` None).
    pub(super) fn gate_elsewhere(&mut self, far: FarId, on: ShardId, up: Option<bool>, cluster: &[u8]) {
        match up {
            Some(promised) => self.gate_began(far, At::There(on), promised, &String::from_utf8_lossy(cluster)),
            None => self.gate_over(far),
        }
    }

    /// The link `id` is over.
    pub(super) fn gateway_ended(&mut self, id: ConnId, why: &Close) {
        let Some(link) = self.outbox.conns.get(id).and_then(|c| c.gateway.as_deref()) else { return };
        let (cid, far) = (link.intro.link, link.far());
        self.gateway_links.remove(&cid);
        if let Some(far) = far {
            self.gate_over(far);
            for batch in self.peer_batches() {
                batch.gate(far, None, b"");
            }
        }
        self.acts.push_back(Act::GatewayTidings(GatewayTidings::Ended { link: cid, why: why.detail() }));
    }

    /// Goes on taking out what clusters have taken back and what lost ones said, a slice. True: there is more at once.
    pub(super) fn sweep_fars(&mut self) -> bool {
        if let Some(account) = self.outdated_fars.pop_front() {
            let fars = &mut self.worlds[usize::from(account)].fars;
            if fars.sweep(TURN_FORGOTTEN_MAX) {
                self.outdated_fars.push_back(account);
            }
            for (far, n) in fars.take_swept() {
                let Some(At::Here(conn)) = self.gates.place(far) else { continue };
                if let Some(link) = self.outbox.conns.get_mut(conn).and_then(|c| c.gateway.as_deref_mut()) {
                    link.interest = link.interest.saturating_sub(n);
                }
            }
        }
        while let Some((far, account)) = self.forgetting_fars.front_mut() {
            match self.worlds.get(usize::from(*account)) {
                Some(world) if world.fars.outdated(*far) > 0 => break,
                Some(_) => *account += 1,
                None => {
                    self.acts.push_back(Act::GatewayTidings(GatewayTidings::Forgotten { far: *far }));
                    self.forgetting_fars.pop_front();
                }
            }
        }
        !self.outdated_fars.is_empty()
    }

    /// Changes what other clusters want of an account; what does not count any more is taken out from the next turn on.
    fn change_fars<T>(&mut self, account: u16, change: impl FnOnce(&mut Fars) -> T) -> T {
        let fars = &mut self.worlds[usize::from(account)].fars;
        let before = fars.is_outdated();
        let result = change(fars);
        if !before && fars.is_outdated() {
            self.outdated_fars.push_back(account);
            self.peer_work = true;
        }
        result
    }

    /// The gateways' machine says what is to be done with a link.
    pub(super) fn gateway_instructed(&mut self, instruction: GatewayInstruction) {
        match instruction {
            GatewayInstruction::Say { link, line } => {
                if let Some(conn) = self.gateway_links.get(&link).copied() {
                    self.outbox.say(conn, |out| out.extend_from_slice(&line));
                }
            }
            GatewayInstruction::End { link, says, why } => {
                if let Some(conn) = self.gateway_links.get(&link).copied() {
                    self.close(conn, Close::Route { says, why });
                }
            }
            GatewayInstruction::TheirRules { link, theirs } => self.their_rules_are_ready(link, theirs),
            GatewayInstruction::OurRules { walls, lines } => self.rebuild_walls(walls, &lines),
        }
    }

    /// Carries out what the other end says; how many bytes are done with.
    pub(super) fn parse_gateway(&mut self, id: ConnId, data: &[u8]) -> usize {
        let max_payload = self.route_payload_max();
        let (mut at, mut alike) = (0, true);
        loop {
            let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.lives()) else { return data.len() };
            if client.held() {
                return at;
            }
            if self.budget == 0 || self.crammed {
                self.wait(id);
                return at;
            }
            if std::mem::take(&mut alike) {
                at += self.repeat(id, &data[at..]);
                continue;
            }
            let Some(link) = client.gateway.as_deref_mut() else { return data.len() };
            let rules = GatewayRules { max_control_line: ROUTE_LINE_BYTES_MAX, max_payload, hears: link.hears() };
            match link.parser.next(&data[at..], &rules) {
                Ok(Step::Op(op, used)) => {
                    at += used;
                    alike = matches!(op, GatewayOp::Message(_));
                    self.carry_out_for_cluster(id, op);
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

    fn carry_out_for_cluster(&mut self, id: ConnId, op: GatewayOp<'_>) {
        match op {
            GatewayOp::Message(m) if may_be_traced(&m) => self.receive_traced(id, &m, Origin::Gateway),
            GatewayOp::Message(m) => self.receive_crossed(id, &m),
            GatewayOp::Interest { account, subject: pattern, queue } => {
                if !subject::valid_subscription(pattern) {
                    self.outbox.say(id, |out| out.extend_from_slice(b"-ERR 'Invalid Subscription'\r\n"));
                    return self.close(id, Close::Fault(Fault::Malformed));
                }
                self.told_by_cluster(id, account, FarSaid::Wants(pattern, queue), "");
            }
            GatewayOp::NoInterest { account, subject, queue } => {
                self.told_by_cluster(id, account, FarSaid::WantsNot(subject, queue), "a subject was refused");
            }
            GatewayOp::Account { account, wanted } => {
                let why = if wanted { "somebody wants something of it" } else { "nobody wants anything of it" };
                self.told_by_cluster(id, account, FarSaid::Account(wanted), why);
            }
            GatewayOp::Info(json) => self.informed_by_cluster(id, json),
            GatewayOp::Ping => self.outbox.say(id, |out| out.extend_from_slice(b"PONG\r\n")),
            GatewayOp::Pong => self.ponged_by_cluster(id),
            GatewayOp::PeerError(text) => {
                let says = String::from_utf8_lossy(text).into_owned();
                self.log_about(id, Level::Error, || format!("the other end says {says}, and is left"));
                self.close(id, Close::Fault(Fault::PeerError));
            }
            GatewayOp::Connect(_) | GatewayOp::Ok => {}
        }
    }

    /// An INFO: commands about accounts are for us, everything else for the machine.
    fn informed_by_cluster(&mut self, id: ConnId, json: &[u8]) {
        let Some(link) = self.outbox.conns.get(id).and_then(|c| c.gateway.as_deref()) else { return };
        let (cid, outbound) = (link.intro.link, link.far().is_some());
        let Ok(info) = GatewayInfo::parse(json) else { return self.close(id, Close::Fault(Fault::Malformed)) };
        let (said, why) = match info.command() {
            Some(Command::AllSubsStart) => (FarSaid::Begins, "it tells what it wants"),
            Some(Command::AllSubsComplete) => (FarSaid::Complete, "it has told what it wants"),
            command => {
                if let Some(far) = link.far().filter(|_| speaks_of_rules(&info, command, &link.intro.cluster)) {
                    let digest = info.border_rules.as_ref().map_or(&info.border, |part| &part.digest);
                    let digest = digest.parse().ok();
                    self.their_digest(far, digest);
                }
                let json = json.to_vec();
                return self.acts.push_back(Act::GatewayTidings(GatewayTidings::Info { link: cid, json }));
            }
        };
        match info.account() {
            Some(account) if outbound => self.told_by_cluster(id, &account, said, why),
            Some(_) => {} // only the accepting side has interest to tell
            None => {
                let why = "a command about an account names none".to_owned();
                self.close(id, Close::Route { says: "Invalid account in gateway command".into(), why });
            }
        }
    }

    /// The other end of the outbound link says, by digest, which rules it has: what is known of others does not count until the
    /// machine has made these ready, here and on every other shard.
    fn their_digest(&mut self, far: FarId, said: Option<Digest>) {
        let (before, rules) = self.gates.their_rules(far);
        if before != said {
            self.state_their_rules(far, said, rules);
        }
    }

    /// The machine has made the rules of another cluster ready.
    fn their_rules_are_ready(&mut self, link: Cid, theirs: TheirRules) {
        let Some(conn) = self.gateway_links.get(&link).and_then(|conn| self.outbox.conns.get(*conn)) else { return };
        if let Some(far) = conn.gateway.as_deref().and_then(GatewayLink::far) {
            let (said, _) = self.gates.their_rules(far);
            self.state_their_rules(far, said, theirs);
        }
    }

    fn state_their_rules(&mut self, far: FarId, said: Option<Digest>, rules: TheirRules) {
        for batch in self.peer_batches() {
            batch.rules(far, said, &rules);
        }
        self.note_their_rules(far, said, rules);
    }

    /// The cluster whose rules these are says that it has those of this digest: on every shard.
    pub(super) fn note_their_rules(&mut self, far: FarId, said: Option<Digest>, rules: TheirRules) {
        let changed = self.gates.set_their_rules(far, said, rules, &self.walls.us);
        if let Some(cluster) = self.gates.name(far) {
            self.outbox.crossings.barriers.theirs(far, cluster, self.gates.their_entries(far));
        }
        self.know_ways_back();
        if changed {
            self.verdicts.forget_all();
        }
    }

    /// The other end of an outbound link says something about an account: every shard is told.
    pub(super) fn told_by_cluster(&mut self, id: ConnId, name: &[u8], said: FarSaid<'_>, why: &'static str) {
        let Some(account) = self.known_account(id, name) else {
            let seed = self.sids.0;
            if let Some(link) = self.outbox.conns.get_mut(id).and_then(|c| c.gateway.as_deref_mut()) {
                link.far().into_iter().for_each(|far| link.foreign.told(name, far, said, seed));
            }
            return self.note_stranger(id, name);
        };
        let Some(far) = self.outbox.conns.get(id).and_then(|c| c.gateway.as_deref()).and_then(GatewayLink::far) else {
            return;
        };
        let before = self.kept(account, far);
        let changed = self.far_said(account, far, said);
        for batch in self.peer_batches() {
            batch.far(account, far, said);
        }
        let kept = self.kept(account, far);
        let since_ns = self.now.wall_ns;
        let Some(link) = self.outbox.conns.get_mut(id).and_then(|c| c.gateway.as_deref_mut()) else { return };
        if changed {
            let why = if why.is_empty() { "it has a queue group" } else { why };
            link.standing[usize::from(account)] = Standing { since_ns, why };
        }
        link.interest = (link.interest + kept).saturating_sub(before);
        let most = self.settings.limits.max_peer_interest;
        if link.interest > most {
            let why = format!("it wants, or refuses, more than {most} subjects");
            self.close(id, Close::Route { says: "maximum subscriptions exceeded".into(), why });
        }
    }

    /// How much of a cluster stands in an account's tables, whether it still counts or not.
    fn kept(&self, account: u16, far: FarId) -> u64 {
        let fars = &self.worlds[usize::from(account)].fars;
        let held = fars.held(far);
        held.plain + held.queues + held.refused + fars.outdated(far)
    }

    /// Takes in what a cluster says. True: how it wants messages has changed.
    pub(super) fn far_said(&mut self, account: u16, far: FarId, said: FarSaid<'_>) -> bool {
        let (before, touched, after): (Mode, _, Mode) = self.change_fars(account, |fars| {
            let before = fars.held(far).mode;
            (before, fars.said(far, said), fars.held(far).mode)
        });
        match touched {
            Touched::Nothing => {}
            Touched::Pattern(pattern) => self.verdicts.changed(account, pattern),
            Touched::All => self.verdicts.forget_all(),
        }
        before != after
    }

    fn ponged_by_cluster(&mut self, id: ConnId) {
        let now = self.now.mono;
        let Some(link) = self.outbox.conns.get_mut(id).and_then(|c| c.gateway.as_deref_mut()) else { return };
        link.pulse.pong(now);
        let (Some(far), Some(rtt_ns)) = (link.far(), link.pulse.rtt_ns) else { return };
        // All shards are told, but not of every tremor.
        let known = self.gates.rtt_ns(far);
        if known == 0 || known.abs_diff(rtt_ns) > known / 8 {
            self.far_measured(far, rtt_ns);
            for batch in self.peer_batches() {
                batch.measured(far, rtt_ns);
            }
        }
    }

    /// The round trip to a cluster takes so long.
    pub(super) fn far_measured(&mut self, far: FarId, rtt_ns: u64) {
        if self.gates.measured(far, rtt_ns) {
            self.verdicts.forget_all();
        }
    }

    /// An account of the other end that does not exist here: said once for each, to us, and to whoever sends its messages.
    fn note_stranger(&mut self, id: ConnId, name: &[u8]) {
        let Some(link) = self.outbox.conns.get_mut(id).and_then(|c| c.gateway.as_deref_mut()) else { return };
        if link.strangers.len() >= FOREIGN_ACCOUNTS_MAX || !link.strangers.insert(name.into()) {
            return;
        }
        let (first, inbound) = (link.strangers.len() == 1, link.intro.way == Way::In);
        if inbound {
            self.outbox.say(id, |out| {
                let _ = write_account(out, name, false);
            });
        }
        if first {
            let name = String::from_utf8_lossy(name).into_owned();
            self.log_about(id, Level::Warn, || {
                format!("the other cluster has an account {name:?} that is not configured here: nothing of it crosses")
            });
        }
    }

    /// A message of another cluster: for this one's clients and servers (cluster-protocol.md §4.8).
    pub(super) fn receive_crossed(&mut self, id: ConnId, r: &Routed<'_>) {
        let account = self.known_account(id, r.account);
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.counts.in_msgs += 1;
        client.counts.in_bytes += r.payload.len() as u64;
        let Some(account) = account else {
            self.outbox.ledger.dropped(Drop::UnknownAccount, 1);
            if let Some(link) = self.outbox.conns.get(id).and_then(|c| c.gateway.as_deref()) {
                self.outbox.crossings.entries.stranger(&link.intro.cluster, r.account);
            }
            return self.note_stranger(id, r.account);
        };
        if is_mapped(r.subject) {
            return self.answer_came(id, account, r, Origin::Gateway);
        }
        let key = self.key_of(id, account, r);
        if !self.walls.imports.is_open() && !self.may_enter(id, account, key) {
            return self.refuse_subject(id, account, r.subject);
        }
        let reply = self.reply_within(id, account, r.reply);
        let r = &Routed { reply: reply.as_deref().unwrap_or(r.reply), ..*r };
        self.receive_from_server(id, account, r, Origin::Gateway, key);
        if self.verdicts.get(key).is_some_and(|v| v.is_unwanted_here()) {
            self.refuse_subject(id, account, r.subject);
        }
    }

    /// `n` messages that came over link `id`, another cluster's or a member's, were dropped.
    #[cold]
    pub(super) fn dropped_on_entry(&mut self, id: ConnId, account: u16, why: Drop, n: u64) {
        self.outbox.ledger.dropped(why, n);
        self.note(|| What::Kept { why: why.name(), whom: Box::default(), receivers: 0 });
        if let Some(link) = self.outbox.conns.get(id).and_then(|c| c.gateway.as_deref()) {
            self.outbox.crossings.entries.dropped(&link.intro.cluster, account, why, n);
        }
    }

    /// Messages that this shard's clients have published, and answers of other clusters that went on from here, by account;
    /// as far as it is booked.
    pub(super) fn published_by_account(&self) -> Vec<u64> {
        let booked = |w: &World| w.ledger.passed.in_msgs + w.ledger.answers - w.ledger.denied;
        self.worlds.iter().map(booked).collect()
    }
}

/// Does an INFO of the other end say something of its rules? As the gateways' machine understands it.
fn speaks_of_rules(info: &GatewayInfo, command: Option<Command>, cluster: &str) -> bool {
    match command {
        Some(Command::Border) => true,
        None => info.gateway == *cluster,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests;
