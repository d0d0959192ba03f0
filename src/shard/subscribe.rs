//! The second journey: interest that begins or ends, from one client to every shard (client-protocol.md §8).

use super::core::Shard;
use super::repeats::Repeat;
use super::verdict::Sub;
use crate::base::limits::TURN_ABANDONED_MAX;
use crate::base::{ConnId, Level, Slot, Slots};
use crate::interest::permit::Permit;
use crate::interest::News;
use crate::wire::fault::{write_complaint, Complaint};
use crate::wire::subject;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Bytes a subscription takes beside its own words: its places in the tables of the connection, the shard and the
/// replica.
const SUB_OVERHEAD: usize = 256;

/// The queue group that only the server itself uses.
const SYSTEM_QUEUE: &[u8] = b"_sys_";

impl Shard {
    /// `SUB`.
    pub(super) fn subscribe(&mut self, id: ConnId, pattern: &[u8], queue: &[u8], sid: &[u8]) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.health.active_at = self.now.mono;
        // In nats-server's order: rights, tokens, number, then whether the sid is taken and the subject is one.
        if client.rights.is_some() && !self.may_subscribe(id, pattern, queue, sid) {
            return;
        }
        if queue == SYSTEM_QUEUE {
            return self.deny_subscription(id, pattern, queue, sid);
        }
        let limits = &self.settings.limits;
        let Some(client) = self.outbox.conns.get(id) else { return };
        let guard = self.guard(client, pattern);
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        if limits.max_sub_tokens > 0 && subject::token_count(pattern) > limits.max_sub_tokens {
            self.outbox.say(id, |out| write_complaint(out, Complaint::Tokens(pattern)));
            return;
        }
        let full = client.max_subs.is_some_and(|max| client.subs.len() >= max);
        let cost = SUB_OVERHEAD + 2 * pattern.len() + queue.len() + sid.len();
        if full || client.sub_bytes + cost > limits.max_subscription_bytes {
            self.outbox.say(id, |out| write_complaint(out, Complaint::Subscriptions));
            return;
        }
        let hasher = self.sids;
        let hash = hasher.hash_one(sid);
        let subs = &self.outbox.subs;
        if client.subs.find(hash, |s| has_sid(subs, *s, sid)).is_some() {
            return self.ok(id);
        }
        if !subject::valid_subscription(pattern) {
            self.outbox.say(id, |out| write_complaint(out, Complaint::InvalidSubject));
            return;
        }
        if self.scarce {
            return self.refuse_scarce(id);
        }
        let account = client.account;
        client.sub_bytes += cost;
        self.outbox.ledger.subscription_bytes += cost as u64;
        let sub = Sub {
            conn: id,
            account,
            guard,
            pattern: pattern.into(),
            queue: queue.into(),
            sid: sid.into(),
            delivered: 0,
            max: 0,
        };
        let key = self.outbox.subs.insert(sub);
        let subs = &self.outbox.subs;
        client.subs.insert_unique(hash, key, |s| subs.get(*s).map_or(0, |s| hasher.hash_one(&*s.sid)));
        let world = &mut self.worlds[usize::from(account)];
        world.ledger.subscriptions += 1;
        self.outbox.ledger.inserts += 1;
        let guard = self.outbox.permits.guard(guard, pattern).cloned();
        let news = world.replica.add(pattern, queue, guard.as_ref(), key);
        self.interest_changed(account, pattern, queue, guard.as_ref(), news);
        self.shadow(key, (account, pattern, queue), true);
        self.ok(id);
    }

    /// There is no memory for a subscription.
    #[cold]
    fn refuse_scarce(&mut self, id: ConnId) {
        self.outbox.ledger.scarce_refused += 1;
        if self.may_say(Repeat::Scarce) {
            let Some(client) = self.outbox.conns.get(id) else { return };
            self.outbox.diary.about(client, Level::Error, || "subscription refused: memory is scarce".into());
        }
        self.outbox.say(id, |out| write_complaint(out, Complaint::Subscriptions));
    }

    /// `UNSUB`.
    pub(super) fn unsubscribe(&mut self, id: ConnId, sid: &[u8], max: u64) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.health.active_at = self.now.mono;
        let subs = &mut self.outbox.subs;
        let found = client.subs.find(self.sids.hash_one(sid), |s| has_sid(subs, *s, sid)).copied();
        if let Some(sub) = found.and_then(|k| subs.get_mut(k)) {
            // Counted from the beginning of the subscription; 0 is "now".
            sub.max = max;
            if max <= sub.delivered {
                self.end_subscription(found.unwrap_or(Slot::NONE));
            }
        }
        self.ok(id);
    }

    /// Ends a subscription, if it is still there.
    pub(super) fn end_subscription(&mut self, key: Slot) {
        let Some(sub) = self.outbox.subs.get(key) else { return };
        let guard = self.outbox.permits.guard(sub.guard, &sub.pattern).cloned();
        self.end_guarded(key, guard);
    }

    /// The same, of one that stands in the replicas under this permit.
    fn end_guarded(&mut self, key: Slot, guard: Option<Arc<Permit>>) {
        let Some(sub) = self.outbox.subs.get(key) else { return };
        if let Some(client) = self.outbox.conns.get_mut(sub.conn) {
            if let Ok(found) = client.subs.find_entry(self.sids.hash_one(&*sub.sid), |s| *s == key) {
                found.remove();
            }
            let cost = SUB_OVERHEAD + 2 * sub.pattern.len() + sub.queue.len() + sub.sid.len();
            client.sub_bytes = client.sub_bytes.saturating_sub(cost);
            if self.outbox.diary.traces() {
                self.outbox.diary.ended(client, &sub.sid);
            }
            if client.subs.is_empty() {
                client.subs = hashbrown::HashTable::new();
            }
        }
        let Some(Sub { account, pattern, queue, .. }) = self.outbox.subs.remove(key) else { return };
        let world = &mut self.worlds[usize::from(account)];
        world.ledger.subscriptions -= 1;
        self.outbox.ledger.removes += 1;
        let news = world.replica.remove(&pattern, &queue, guard.as_ref(), key);
        self.interest_changed(account, &pattern, &queue, guard.as_ref(), news);
        self.shadow(key, (account, &pattern, &queue), false);
    }

    /// Ends all subscriptions of a connection.
    pub(super) fn end_subscriptions(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        let mut keys: Vec<Slot> = client.subs.iter().copied().collect();
        // In the order of their places, not of a hash table.
        keys.sort_unstable();
        for k in keys {
            self.end_subscription(k);
        }
    }

    /// Ends the subscriptions of a connection that has just ended: at once if they are few, else in this turn and the
    /// next ones.
    pub(super) fn abandon_subscriptions(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        if client.subs.len() <= TURN_ABANDONED_MAX {
            return self.end_subscriptions(id);
        }
        let permit = client.rights.as_deref().and_then(|r| self.outbox.permits.shared(r.permit)).cloned();
        self.abandoned.push_back((std::mem::take(&mut client.subs).into_iter(), permit));
    }

    /// Goes on ending them, a slice.
    pub(super) fn go_on_with_abandoned(&mut self) {
        for _ in 0..TURN_ABANDONED_MAX {
            let Some((subs, permit)) = self.abandoned.front_mut() else { return };
            let Some(key) = subs.next() else {
                self.abandoned.pop_front();
                continue;
            };
            let sub = self.outbox.subs.get(key);
            let guard = sub.and_then(|sub| permit.clone().filter(|p| p.guards(&sub.pattern)));
            self.end_guarded(key, guard);
        }
    }

    /// Interest of this shard's clients has changed: verdicts that rest on it fall, and every other shard and every peer
    /// is told if it is news to it.
    pub(super) fn interest_changed(
        &mut self,
        account: u16,
        pattern: &[u8],
        queue: &[u8],
        guard: Option<&Arc<Permit>>,
        news: News,
    ) {
        self.verdicts.changed(account, pattern);
        if let Some(n) = news.own {
            for batch in self.peer_batches() {
                batch.interest(account, pattern, queue, guard, n);
            }
        }
        if news.after > news.before {
            self.note_recent(account, pattern);
        }
        self.edge(account, pattern, queue, news);
    }
}

fn has_sid(subs: &Slots<Sub>, key: Slot, sid: &[u8]) -> bool {
    subs.get(key).is_some_and(|s| *s.sid == *sid)
}
