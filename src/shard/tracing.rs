//! Messages that are traced (docs/monitoring.md): they go the way of all others, by the same decisions, and what is decided
//! is noted. Begun where a message with such a header enters a server (`publish`, `routes`, `gateways`), or comes from the
//! shard where it did (`hear`); handed to the shell as [`Act::Traced`], one part from each shard that it reached.

use super::batch::{Address, Origin};
use super::core::{Act, Shard};
use super::ledger::Drop;
use super::outbox::{Fate, Outbox};
use super::publish::Reached;
use super::reserved::reserved_subject;
use super::traced::{Egress, Entry, Kind, Mark, Party, Tracing, What};
use super::verdict::{Group, Target, Verdict};
use crate::base::{ConnId, ShardSet, Slot};
use crate::conn::{Client, Publisher};
use crate::policy::Settings;
use crate::wire::fault::{write_complaint, Complaint};
use crate::wire::route::Routed;
use crate::wire::traced::{asked, disable, may_ask, origin, Asked, HOP};
use crate::wire::{headers, tail, Message};
use std::sync::Arc;

/// The receiver is the publisher and wants none of its own.
const NO_ECHO: &str = "Not delivered because of no echo";
/// The receiver's permissions deny the subject.
const DENIED: &str = "Not delivered because subscription denies this subject";
/// The subscription has ended.
const SUB_CLOSED: &str = "Not delivered because subscription is closed";
/// The connection has.
const CLOSED: &str = "Not delivered because client is closed";
/// It has had as many as it asked for.
const EXCEEDED: &str = "Not delivered because auto-unsubscribe exceeded";
/// The receiver is congested, and nobody waits for it.
const SLOW: &str = "Not delivered because fast producer not stalled and consumer is slow";
/// The link is congested, or cannot carry it. Our own words.
const UNSENT: &str = "Not delivered because the link is congested or cannot carry it";
/// The other server cannot trace, and would deliver what is not to be delivered.
const ONLY_UNSUPPORTED: &str = "Not delivered because remote does not support message tracing";
/// The other server cannot trace.
const UNSUPPORTED: &str =
    "Message delivered but remote does not support message tracing so no trace event generated from there";

/// How a message goes on that says something of tracing.
pub(super) enum Begun {
    /// As any other.
    Plain,
    /// It is traced from here on.
    Traced,
    /// It was to be traced and nothing else, which cannot be.
    Nothing,
}

impl Shard {
    /// A client's message says something of tracing: how it goes on from here; None: it does not, or has gone.
    #[cold]
    #[inline(never)]
    pub(super) fn begin_trace(&mut self, id: ConnId, from: Publisher, m: &Message<'_>) -> Option<Publisher> {
        let block = &m.payload()[..m.header];
        let client = self.outbox.conns.get(id)?;
        if client.service {
            return Some(from);
        }
        let party = party(client);
        if origin(block).is_some() {
            // Another server would tell that account.
            let mut safe = Vec::new();
            disable(block, &mut safe);
            let (header, size) = (safe.len(), safe.len() + m.size - m.header);
            let tail = tail(&safe, &m.payload()[m.header..]);
            self.publish_as(id, from, &Message { header, size, tail: &tail, ..*m });
            return None;
        }
        let settings = self.settings.clone();
        let rule = settings.auth.accounts[usize::from(from.account)].tracing.as_ref();
        let Some(asked) = asked(block, rule.map(|r| r.dest.as_bytes())) else { return Some(from) };
        if asked.external && rule.is_none_or(|r| self.rng.below(100) >= u64::from(r.sampling)) {
            return Some(from);
        }
        if !asked.external && !self.may_be_told(id, asked.dest) {
            self.deny_publication(id, from.account, asked.dest);
            return None;
        }
        match self.open_trace(party, (from.account, from.account), &asked, m.subject, (block, m.size)) {
            Begun::Plain => Some(from),
            Begun::Traced => Some(Publisher { talks: true, ..from }),
            Begun::Nothing => None,
        }
    }

    /// Is an account told of messages that others trace?
    #[inline]
    pub(super) fn traces_of(&self, account: u16) -> bool {
        self.settings.auth.accounts[usize::from(account)].tracing.is_some()
    }

    /// May a client have something published there? As if it published it itself.
    fn may_be_told(&mut self, id: ConnId, dest: &[u8]) -> bool {
        let now = self.now.mono;
        let Some(client) = self.outbox.conns.get_mut(id) else { return false };
        let Some(rights) = client.rights.as_deref_mut() else { return !reserved_subject(dest) };
        let may = self.outbox.permits.get(rights.permit).is_some_and(|p| p.publish(dest));
        !reserved_subject(dest) && (may || rights.replies.as_mut().is_some_and(|r| r.take(dest, now)))
    }

    /// `accounts`: the message's, and the one that is told.
    fn open_trace(
        &mut self,
        from: Party,
        accounts: (u16, u16),
        asked: &Asked<'_>,
        subject: &[u8],
        (block, size): (&[u8], usize),
    ) -> Begun {
        // Without a system account there is nobody to tell.
        let told = self.settings.auth.system.is_some();
        let Some(n) = self.outbox.traces.admit(self.now.mono).filter(|_| told) else {
            return if asked.only { Begun::Nothing } else { Begun::Plain };
        };
        let (account, told) = accounts;
        let id = (self.id.index() as u64) << 48 | n;
        let hop = if from.kind == Kind::Client { b"" } else { asked.hop };
        let mark = Arc::new(Mark { id, only: asked.only, account, hop: hop.into(), dest: asked.dest.into() });
        let mut tracing = self.tracing(mark);
        tracing.part.entry = Some(Entry {
            at_ns: self.now.wall_ns,
            from,
            account,
            subject: subject.into(),
            header: block.into(),
            size,
            told,
            dest: asked.dest.into(),
            error: None,
        });
        self.outbox.tracing = Some(tracing);
        Begun::Traced
    }

    fn tracing(&self, mark: Arc<Mark>) -> Box<Tracing> {
        let shards = self.batches.len();
        Box::new(Tracing::new(mark, self.id, shards, self.settings.clone(), self.now.wall_ns))
    }

    /// What is noted goes to the shell.
    #[cold]
    pub(super) fn end_trace(&mut self) {
        if let Some(tracing) = self.outbox.tracing.take() {
            self.acts.push_back(Act::Traced(Box::new(tracing.part)));
        }
    }

    /// Something happened to the current message, if it is traced.
    #[cold]
    pub(super) fn note(&mut self, what: impl FnOnce() -> What) {
        if let Some(tracing) = self.outbox.tracing.as_deref_mut() {
            tracing.note(what());
        }
    }

    /// The current message is refused in these words.
    #[cold]
    pub(super) fn note_complaint(&mut self, complaint: Complaint<'_>) {
        let Some(entry) = self.outbox.tracing.as_deref_mut().and_then(|t| t.part.entry.as_mut()) else { return };
        let mut line = Vec::new();
        write_complaint(&mut line, complaint);
        let text = String::from_utf8_lossy(&line);
        entry.error = Some(text.trim_start_matches("-ERR '").trim_end().trim_end_matches('\'').into());
    }

    /// A traced message of a client that it may publish, under the subject that it has by now.
    #[cold]
    pub(super) fn set_out_traced(&mut self, id: ConnId, from: Publisher, m: &Message<'_>) {
        let verdict = match self.verdicts.get(from.verdict) {
            Some(_) => from.verdict,
            None => self.verdict(from.account, m.subject),
        };
        let deniers = self.note_denied(from.account, m.subject);
        let reached = self.spread_traced(id, from.account, verdict, m);
        self.tell_deniers(deniers, from.account, m);
        self.pace(id, reached.shards(self.id));
    }

    fn spread_traced(&mut self, id: ConnId, account: u16, verdict: Slot, m: &Message<'_>) -> Reached {
        self.outbox.next_message();
        let Some(v) = self.verdicts.get(verdict) else { return Reached::default() };
        let mut queued = 0;
        for t in &v.plain {
            let fate = self.outbox.deliver_traced(v.account, t, v.head(t), m, Some(id));
            queued += u64::from(fate == Fate::Queued);
        }
        let way = (v.leaves(), v.is_guarded(), v.goes_beyond());
        self.spread_on(id, account, (verdict, way), queued, m)
    }

    /// Notes from which plain receivers of this shard it is kept back by their permissions. Says which other shards have some.
    fn note_denied(&mut self, account: u16, subject: &[u8]) -> ShardSet {
        let mut others = ShardSet::EMPTY;
        let Some(tracing) = self.outbox.tracing.as_deref_mut() else { return others };
        let (conns, subs) = (&self.outbox.conns, &self.outbox.subs);
        self.worlds[usize::from(account)].replica.matches(subject, |want| {
            for guarded in want.guarded().iter().filter(|g| !g.permit.deliver(subject, b"")) {
                guarded.remote.iter().for_each(|(shard, _)| others.insert(*shard));
                for sub in guarded.local.iter().filter_map(|s| subs.get(*s)).filter(|s| s.account == account) {
                    let Some(client) = conns.get(sub.conn) else { continue };
                    tracing.note(What::Egress(Egress {
                        to: party(client),
                        hop: String::new(),
                        account: None,
                        pattern: sub.pattern.clone(),
                        queue: sub.queue.clone(),
                        error: Some(DENIED),
                    }));
                }
            }
        });
        others
    }

    /// Shards that have nobody but those from whom it is kept back are to say so.
    fn tell_deniers(&mut self, deniers: ShardSet, account: u16, m: &Message<'_>) {
        let Some(reached) = self.outbox.tracing.as_deref().map(|t| t.reached) else { return };
        self.groups.clear();
        for shard in deniers.iter().filter(|s| !reached.contains(*s)) {
            let to = Address { plain: false, ..self.published(account, ConnId::NONE) };
            self.put(shard, to, m, &mut None);
        }
    }

    /// A message of another server says something of tracing.
    #[cold]
    #[inline(never)]
    pub(super) fn receive_traced(&mut self, id: ConnId, r: &Routed<'_>, origin: Origin) {
        let (account, settings) = (self.known_account(id, r.account), self.settings.clone());
        let block = &r.payload[..r.header];
        let (told, asked) = account.map_or((0, None), |account| self.asked_by_server(&settings, account, block));
        let begun = match (asked, account, self.outbox.conns.get(id)) {
            (Some(asked), Some(account), Some(client)) => {
                self.open_trace(party(client), (account, told), &asked, r.subject, (block, r.payload.len()))
            }
            _ => Begun::Plain,
        };
        if let Begun::Nothing = begun {
            return;
        }
        let deniers = account.map_or(ShardSet::EMPTY, |account| self.note_denied(account, r.subject));
        match origin {
            Origin::Gateway => self.receive_crossed(id, r),
            _ => self.receive_routed(id, r),
        }
        if let (Some(account), Begun::Traced) = (account, begun) {
            let tail = tail(block, &r.payload[r.header..]);
            let m = Message { subject: r.subject, reply: b"", header: r.header, size: r.payload.len(), tail: &tail };
            self.tell_deniers(deniers, account, &m);
        }
        self.end_trace();
    }

    /// What a message of another server asks for, and the account that is told.
    fn asked_by_server<'a>(&self, settings: &'a Settings, account: u16, block: &'a [u8]) -> (u16, Option<Asked<'a>>) {
        let accounts = &settings.auth.accounts;
        let origin = origin(block).and_then(|name| accounts.iter().position(|a| a.name.as_bytes() == name));
        let told = origin.map_or(account, |told| told as u16);
        let rule = accounts[usize::from(told)].tracing.as_ref();
        // Which of those that others trace are told is decided where they enter.
        let asked = asked(block, rule.map(|r| r.dest.as_bytes())).filter(|a| !a.external || !a.hop.is_empty());
        (told, asked)
    }

    /// A traced message comes from the shard where it entered.
    #[cold]
    pub(super) fn go_on_tracing(&mut self, mark: &Arc<Mark>, account: u16, subject: &[u8]) {
        self.outbox.tracing = Some(self.tracing(mark.clone()));
        self.note_denied(account, subject);
    }

    /// What of a traced message's way out of this shard nobody else notes: what holds it back from other clusters, and groups
    /// whose members may not have it.
    #[cold]
    pub(super) fn note_kept(&mut self, verdict: Slot, origin: Origin) {
        let Some(v) = self.verdicts.get(verdict) else { return };
        let Some(tracing) = self.outbox.tracing.as_deref_mut() else { return };
        if v.denied > 0 {
            tracing.keep(Drop::DeliveryDenied.name(), b"", u64::from(v.denied));
        }
        for g in v.groups.iter().filter(|g| g.denied > 0) {
            tracing.keep(Drop::DeliveryDenied.name(), &g.name, u64::from(g.denied));
        }
        if origin == Origin::Client {
            for (far, _) in &v.held {
                tracing.keep(Drop::Border.name(), self.gates.name(*far).unwrap_or_default().as_bytes(), 0);
            }
        }
    }
}

/// Who is at the other end of a connection.
fn party(client: &Client) -> Party {
    let cid = client.cid.0;
    match (client.route.as_deref(), client.gateway.as_deref()) {
        (Some(route), _) => Party { kind: Kind::Route, cid, name: route.intro.server_name.to_string() },
        (_, Some(link)) => Party { kind: Kind::Gateway, cid, name: link.intro.server_name.to_string() },
        (None, None) => {
            Party { kind: Kind::Client, cid, name: client.said.as_deref().map_or(String::new(), |s| s.name.clone()) }
        }
    }
}

/// Does what another server sends say anything of tracing?
#[inline]
pub(super) fn may_be_traced(r: &Routed<'_>) -> bool {
    r.header > 0 && may_ask(&r.payload[..r.header])
}

impl Outbox {
    /// [`Outbox::deliver`] of a message that is traced; `account`: in which it was matched.
    #[cold]
    pub(super) fn deliver_traced(
        &mut self,
        account: u16,
        t: &Target,
        head: &[u8],
        m: &Message<'_>,
        publisher: Option<ConnId>,
    ) -> Fate {
        let Some(mut tracing) = self.tracing.take() else { return self.deliver(t, head, m, publisher) };
        let fate = match tracing.mark.only {
            true => self.would_deliver(t, publisher),
            false => self.deliver(t, head, m, publisher),
        };
        self.note_receiver(&mut tracing, account, (t, head), fate);
        self.tracing = Some(tracing);
        fate
    }

    /// What [`Outbox::deliver`] would say.
    fn would_deliver(&self, t: &Target, publisher: Option<ConnId>) -> Fate {
        let (Some(client), Some(sub)) = (self.conns.get(t.conn), self.subs.get(t.sub)) else { return Fate::Gone };
        match client.lives() && (sub.max == 0 || sub.delivered < sub.max) {
            _ if !client.echo && publisher == Some(t.conn) => Fate::Echo,
            true => Fate::Queued,
            false => Fate::Gone,
        }
    }

    fn note_receiver(&self, tracing: &mut Tracing, account: u16, (t, head): (&Target, &[u8]), fate: Fate) {
        let (client, sub) = (self.conns.get(t.conn), self.subs.get(t.sub));
        let (Some(client), Some(sub)) = (client.filter(|c| !c.service), sub) else { return };
        if sub.account != account {
            let shown = head.strip_prefix(b"MSG ").unwrap_or(head).split(|c| *c == b' ').next().unwrap_or_default();
            tracing.note(What::Exported { account: sub.account, to: shown.into() });
            let streams = &tracing.settings.auth.accounts[usize::from(sub.account)].shares.streams;
            if !streams.iter().any(|s| s.from == account && s.allow_trace && s.names.theirs(shown).is_some()) {
                return;
            }
        }
        let error = match fate {
            Fate::Queued => None,
            Fate::Echo => Some(NO_ECHO),
            Fate::Skipped => Some(SLOW),
            Fate::Gone if !client.lives() => Some(CLOSED),
            Fate::Gone if sub.max > 0 && sub.delivered >= sub.max => Some(EXCEEDED),
            Fate::Gone => Some(SUB_CLOSED),
        };
        tracing.note(What::Egress(Egress {
            to: party(client),
            hop: String::new(),
            account: (sub.account != tracing.mark.account).then_some(sub.account),
            pattern: sub.pattern.clone(),
            queue: sub.queue.clone(),
            error,
        }));
    }

    /// [`Outbox::deliver_to_one`] of a message that is traced.
    #[cold]
    pub(super) fn deliver_to_one_traced(
        &mut self,
        v: &Verdict,
        group: &Group,
        first: usize,
        m: &Message<'_>,
        publisher: Option<ConnId>,
    ) -> bool {
        let (before, from) = group.local.split_at(first.min(group.local.len()));
        let mut members = from.iter().chain(before);
        let taken = members.find(|t| self.deliver_traced(v.account, t, v.head(t), m, publisher) == Fate::Queued);
        if let Some(t) = taken.filter(|_| self.tracing.as_deref().is_some_and(|t| !t.mark.only)) {
            self.answers_may_come(t, group.answering, m);
        }
        taken.is_some()
    }

    /// [`Outbox::deliver_over_link`] of a message that is traced: the next server is told what this way is called.
    #[cold]
    pub(super) fn send_traced<'n>(
        &mut self,
        conn: ConnId,
        names: &[u8],
        m: &Message<'_>,
        plain: bool,
        queues: impl Iterator<Item = &'n [u8]>,
    ) -> Fate {
        let Some(mut tracing) = self.tracing.take() else { return Fate::Gone };
        let found = self.conns.get(conn).map(|c| {
            let of_route = c.route.as_deref().map(|r| r.intro.traces);
            let traces = of_route.or(c.gateway.as_deref().map(|g| g.intro.traces)).unwrap_or(false);
            (party(c), traces && c.headers)
        });
        let fate = match found {
            None => Fate::Gone,
            Some((to, traces)) => {
                let hop = tracing.next_hop();
                let (fate, error) = match tracing.mark.only && !traces {
                    // It is where it was to go, so far as others are concerned.
                    true => (Fate::Queued, Some(ONLY_UNSUPPORTED)),
                    false => {
                        let payload = m.payload();
                        let mut block = Vec::new();
                        headers::set(&payload[..m.header], HOP, hop.as_bytes(), &mut block);
                        let tail = tail(&block, &payload[m.header..]);
                        let (header, size) = (block.len(), block.len() + m.size - m.header);
                        let m = Message { header, size, tail: &tail, ..*m };
                        let fate = self.deliver_over_link(conn, names, &m, plain, queues);
                        let error = match fate {
                            Fate::Queued => (!traces).then_some(UNSUPPORTED),
                            Fate::Gone | Fate::Echo => Some(CLOSED),
                            Fate::Skipped => Some(UNSENT),
                        };
                        (fate, error)
                    }
                };
                let (pattern, queue) = (Box::default(), Box::default());
                tracing.note(What::Egress(Egress { to, hop, account: None, pattern, queue, error }));
                fate
            }
        };
        self.tracing = Some(tracing);
        fate
    }
}
