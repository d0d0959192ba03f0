//! Services of other accounts (client-protocol.md §16, docs/accounts.md): a request is published in the exporting account as
//! well, once, on the shard of whoever asks, with a reply that this shard has made up and remembers. All such replies of an
//! account begin alike, and a subscription of the shard itself wants them: so an answer finds its way here as any other
//! message does, from every shard, server and cluster, and goes on from here in the account of whoever asked. Called by
//! `publish`, `hear`, `routes` and `replies`.

use super::asked::{reply, word, Request, Word, REPLY};
use super::core::Shard;
use super::due::Due;
use super::ledger::Drop;
use super::origin::Origin;
use super::outbox::weight;
use super::table::ANSWERS;
use super::traced::What;
use crate::base::limits::IMPORT_DEPTH_MAX;
use crate::base::{ConnId, ShardSet, Slot, SECOND};
use crate::policy::shares::{Answers, ServiceImport};
use crate::wire::request_info::{RequestInfo, Sharer};
use crate::wire::traced::{disable, DEST};
use crate::wire::{headers, tail, Message};
use std::time::Duration;

/// The header that says who asks.
const INFO: &[u8] = b"Nats-Request-Info";
/// How often is looked for requests that wait no more.
const SWEEP_NS: u64 = SECOND;

/// Who has published what goes on to other accounts.
#[derive(Clone, Copy)]
pub(super) struct From {
    /// His connection, if it is one of this shard.
    pub client: ConnId,
    /// From how many accounts to the next it may still go.
    pub steps: usize,
}

impl From {
    /// A client of this shard.
    pub fn client(id: ConnId) -> From {
        From { client: id, steps: IMPORT_DEPTH_MAX }
    }

    /// Somebody elsewhere, who answers.
    pub const ELSEWHERE: From = From { client: ConnId::NONE, steps: IMPORT_DEPTH_MAX };
}

impl Shard {
    /// What other accounts have to do with a message that was published here: as a request to their services, or as an answer
    /// to a request of theirs. Says how many copies were queued here, and which other shards were reached.
    #[inline(never)]
    #[cold]
    pub(super) fn go_beyond(&mut self, verdict: Slot, from: From, m: &Message<'_>) -> (u64, ShardSet) {
        let Some(v) = self.verdicts.get(verdict) else { return (0, ShardSet::EMPTY) };
        let (account, answers, services) = (v.account, v.answers, v.services.clone());
        let Some(steps) = from.steps.checked_sub(1) else {
            self.outbox.ledger.dropped(Drop::NoInterest, 1);
            return (0, ShardSet::EMPTY);
        };
        let from = From { steps, ..from };
        let (mut queued, mut shards) = (0, ShardSet::EMPTY);
        if answers {
            let (here, others) = self.hear_answer(account, from, m);
            (queued, shards) = (queued + here, ShardSet(shards.0 | others.0));
        }
        let shares = self.settings.auth.accounts[usize::from(account)].shares.clone();
        for import in services.iter().filter_map(|i| shares.services.get(usize::from(*i))) {
            let (here, others) = self.ask(account, import, from, m);
            (queued, shards) = (queued + here, ShardSet(shards.0 | others.0));
        }
        (queued, shards)
    }

    /// A request goes to the account whose service it is for.
    fn ask(&mut self, account: u16, import: &ServiceImport, from: From, m: &Message<'_>) -> (u64, ShardSet) {
        let Some(subject) = import.names.theirs(m.subject) else { return (0, ShardSet::EMPTY) };
        let reply = self.await_answers(import.to, account, m.reply, (import.answers, import.patience));
        let mut block = Vec::new();
        let payload = m.payload();
        headers::set(&payload[..m.header], INFO, &self.who_asks(account, import, from), &mut block);
        if self.outbox.tracing.is_some() {
            self.note(|| What::Imported { account: import.to, from: m.subject.into(), to: subject.as_slice().into() });
            block = self.told_beyond(account, import, &block);
        }
        let (header, size) = (block.len(), block.len() + payload.len() - m.header);
        let tail = tail(&block, &payload[m.header..]);
        let asks = Message { subject: &subject, reply: &reply, header, size, tail: &tail };
        match import.allow_trace {
            true => self.publish_in(import.to, from, &asks),
            false => self.publish_untraced(import.to, from, &asks),
        }
    }

    /// The headers of a traced request as another account is to see them: who is told there is told by way of this shard, if
    /// the export allows it.
    #[cold]
    fn told_beyond(&mut self, account: u16, import: &ServiceImport, block: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let dest = self.outbox.tracing.as_deref().map(|t| t.mark.dest.clone()).unwrap_or_default();
        match import.allow_trace {
            false => disable(block, &mut out),
            true => {
                let told = self.await_answers(import.to, account, &dest, (Answers::Many, import.patience));
                headers::set(block, DEST, &told, &mut out);
            }
        }
        out
    }

    /// [`Shard::publish_in`] of what nobody is told of from here on, if it is delivered at all.
    fn publish_untraced(&mut self, account: u16, from: From, m: &Message<'_>) -> (u64, ShardSet) {
        let tracing = self.outbox.tracing.take();
        let reached = match tracing.as_deref().is_some_and(|t| t.mark.only) {
            true => (1, ShardSet::EMPTY),
            false => self.publish_in(account, from, m),
        };
        self.outbox.tracing = tracing;
        reached
    }

    /// Makes up a reply under which `of` may answer, and remembers for whom; of nothing nothing.
    fn await_answers(&mut self, of: u16, asker: u16, wanted: &[u8], how: (Answers, Duration)) -> Vec<u8> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let first = match self.services.heard[usize::from(of)] {
            Some(first) => first,
            None => self.begin_to_hear(of),
        };
        if !self.services.watched {
            self.services.watched = true;
            self.wheel.add(self.now.mono.plus_ns(SWEEP_NS), Due::Services);
        }
        let (answers, patience) = how;
        let ends_at = self.now.mono.plus(patience);
        let request = Request { of, asker, reply: wanted.into(), answers, patience, ends_at };
        let (name, forgotten) = self.services.add(request, &mut self.rng);
        self.outbox.ledger.dropped(Drop::RequestForgotten, forgotten);
        reply(first, name)
    }

    /// From now on this shard is told of answers in an account.
    fn begin_to_hear(&mut self, account: u16) -> Word {
        let first = word(&mut self.rng);
        self.services.heard[usize::from(account)] = Some(first);
        let pattern = [REPLY, &first, b".>"].concat();
        let news = self.worlds[usize::from(account)].replica.add(&pattern, b"", None, ANSWERS);
        self.interest_changed(account, &pattern, b"", None, news);
        first
    }

    /// Requests that wait no more are forgotten, whether or not anybody asks.
    pub(super) fn forget_requests(&mut self) {
        self.services.sweep(self.now.mono);
        self.services.watched = !self.services.waiting.is_empty();
        if self.services.watched {
            self.wheel.add(self.now.mono.plus_ns(SWEEP_NS), Due::Services);
        }
    }

    /// A message that came from elsewhere: hears it if it is an answer to a request of this shard.
    #[cold]
    pub(super) fn hear_if_answer(&mut self, verdict: Slot, account: u16, m: &Message<'_>) -> u64 {
        match self.verdicts.get(verdict).is_some_and(|v| v.answers) {
            true => self.hear_answer(account, From::ELSEWHERE, m).0,
            false => 0,
        }
    }

    /// What was published in an account under the reply of a request goes to whoever asked.
    #[cold]
    pub(super) fn hear_answer(&mut self, account: u16, from: From, m: &Message<'_>) -> (u64, ShardSet) {
        let Some((asker, subject, answers, patience)) = self.services.answered(account, m, self.now.mono) else {
            // That it was heard is told to nobody: whoever answers is not one who asks.
            self.outbox.ledger.dropped(Drop::ReplyExpired, 1);
            return (1, ShardSet::EMPTY);
        };
        let answer = m.subject;
        // An answer may ask in its turn.
        let reply = self.await_answers(asker, account, m.reply, (answers, patience));
        let from = From { client: ConnId::NONE, ..from };
        let m = Message { subject: &subject, reply: &reply, ..*m };
        if self.outbox.tracing.is_none() {
            let (here, shards) = self.publish_in(asker, from, &m);
            return (1 + here, shards);
        }
        self.note(|| What::Imported { account: asker, from: answer.into(), to: m.subject.into() });
        let (payload, mut block) = (m.payload(), Vec::new());
        disable(&payload[..m.header], &mut block);
        let tail = tail(&block, &payload[m.header..]);
        let (header, size) = (block.len(), block.len() + m.size - m.header);
        let (here, shards) = self.publish_untraced(asker, from, &Message { header, size, tail: &tail, ..m });
        (1 + here, shards)
    }

    /// Publishes something in another account than it came from.
    fn publish_in(&mut self, account: u16, from: From, m: &Message<'_>) -> (u64, ShardSet) {
        let Some(subject) = self.rewrite(account, m.subject) else {
            self.outbox.ledger.dropped(Drop::MappedNowhere, 1);
            self.note(|| What::Kept { why: Drop::MappedNowhere.name(), whom: m.subject.into(), receivers: 0 });
            return (0, ShardSet::EMPTY);
        };
        if self.outbox.tracing.is_some() && *subject != *m.subject {
            self.note(|| What::Mapped { to: subject.as_ref().into() });
        }
        let m = &Message { subject: &subject, ..*m };
        let key = self.verdict(account, m.subject);
        self.count_denied(key);
        let mut queued = self.deliver_plain(key, m, Origin::Client);
        let mut shards = ShardSet::EMPTY;
        if self.verdicts.get(key).is_some_and(|v| v.leaves()) {
            let to = self.published(account, from.client);
            let (here, others) = self.spread_further(key, to, m);
            (queued, shards) = (queued + here, others);
        }
        self.budget = self.budget.saturating_sub(1 + queued * weight(m));
        if self.verdicts.get(key).is_some_and(|v| v.goes_beyond()) {
            let (here, others) = self.go_beyond(key, from, m);
            (queued, shards) = (queued + here, ShardSet(shards.0 | others.0));
        }
        (queued, shards)
    }

    /// What a service is told of whoever asks: his account and how far he is away, and all the rest if the import says so.
    fn who_asks(&self, account: u16, import: &ServiceImport, from: From) -> Vec<u8> {
        let accounts = &self.settings.auth.accounts;
        let client = self.outbox.conns.get(from.client);
        let home = client.map_or(account, |c| c.account);
        let svc = (home != account).then(|| accounts[usize::from(account)].name.as_str());
        let row = client.filter(|_| import.share).map(|c| self.row(c, false));
        let sharer = row.as_ref().map(|row| Sharer {
            start_ns: row.start_ns,
            host: &row.ip,
            id: row.cid,
            user: row.user.as_deref().unwrap_or_default(),
            name: &row.name,
            lang: &row.lang,
            version: &row.version,
            server: &self.identity.server_name,
            cluster: self.cluster_name.as_deref().unwrap_or_default(),
            others: self.gates.names().collect(),
        });
        let rtt_ns = client.and_then(|c| c.health.rtt_ns);
        RequestInfo { account: &accounts[usize::from(home)].name, service: svc, rtt_ns, sharer }.to_json()
    }
}
