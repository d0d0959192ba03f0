//! What clients may do, on this shard (client-protocol.md §16): publications and subscriptions that are not allowed, and
//! other permissions after a reload. The decision itself is [`Permit`](crate::interest::permit::Permit)'s; what of a
//! subscription may not be delivered stands in the verdicts.

use super::core::Shard;
use super::ledger::Drop;
use super::repeats::Repeat;
use crate::base::{ConnId, Level, Slot};
use crate::conn::{Client, Memo, Replies, Rights};
use crate::policy::{PermitId, Permits};
use crate::wire::fault::{write_complaint, Complaint};
use crate::wire::quote;

/// May a client publish to a subject?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It may, as long as its permissions are the same; the verdict is remembered.
    Given(Slot),
    /// This once, or a few times more, because it was asked.
    Once,
    /// It may not.
    Denied,
}

impl Shard {
    /// May this client publish to this subject? That costs others nothing if not: the interest in what is denied is looked
    /// up for nobody. `found` is the verdict on the subject where that was looked for already.
    pub(super) fn may_publish(&mut self, id: ConnId, account: u16, subject: &[u8], found: Slot) -> Leave {
        let Some(client) = self.outbox.conns.get_mut(id) else { return Leave::Denied };
        let Some(rights) = client.rights.as_deref_mut() else { return Leave::Given(Slot::NONE) };
        let own = rights.permit;
        // Most often the same was asked before.
        let ahead = found != Slot::NONE;
        let known = if ahead { Some(found) } else { self.verdicts.find(account, subject) };
        if let Some(verdict) = known.filter(|known| self.verdicts.allows(*known, own)) {
            // One of many will not be the next one's.
            if !ahead {
                client.memo.remember(&[b"PUB "], subject, verdict);
            }
            self.outbox.ledger.cache_hits += 1;
            return Leave::Given(verdict);
        }
        if self.outbox.permits.get(own).is_some_and(|p| p.publish(subject)) {
            let verdict = self.judge(id, account, subject);
            self.verdicts.allow(verdict, own);
            return Leave::Given(verdict);
        }
        match rights.replies.as_mut().is_some_and(|r| r.take(subject, self.now.mono)) {
            true => Leave::Once,
            false => Leave::Denied,
        }
    }

    /// A client may not publish to this: it is told, and counted, and the operator hears of it.
    #[cold]
    pub(super) fn deny_publication(&mut self, id: ConnId, account: u16, subject: &[u8]) {
        self.outbox.ledger.dropped(Drop::PublishDenied, 1);
        self.worlds[usize::from(account)].ledger.denied += 1;
        if self.may_say(Repeat::Denied) {
            let text = || format!("Publish Violation - Subject {}", quoted(subject));
            self.log_about(id, Level::Error, text);
        }
        self.note_complaint(Complaint::Publish(subject));
        self.outbox.say(id, |out| write_complaint(out, Complaint::Publish(subject)));
    }

    /// May this client subscribe to this? If not, it is told so.
    pub(super) fn may_subscribe(&mut self, id: ConnId, pattern: &[u8], queue: &[u8], sid: &[u8]) -> bool {
        let permit = self.outbox.conns.get(id).and_then(|c| c.rights.as_deref()).map(|r| r.permit);
        let Some(permit) = permit else { return true };
        if self.outbox.permits.get(permit).is_some_and(|p| p.subscribe(pattern, queue)) {
            return true;
        }
        self.deny_subscription(id, pattern, queue, sid);
        false
    }

    #[cold]
    pub(super) fn deny_subscription(&mut self, id: ConnId, pattern: &[u8], queue: &[u8], sid: &[u8]) {
        self.outbox.ledger.subscriptions_denied += 1;
        if self.may_say(Repeat::Denied) {
            let group = if queue.is_empty() { String::new() } else { format!("Queue: {}, ", quoted(queue)) };
            let sid = String::from_utf8_lossy(sid);
            let text = || format!("Subscription Violation - Subject {}, {group}SID {sid}", quoted(pattern));
            self.log_about(id, Level::Error, text);
        }
        self.outbox.say(id, |out| write_complaint(out, Complaint::Subscribe(pattern, queue)));
    }

    /// Has to be looked at what a subscription to this pattern is given? Then by this permit.
    pub(super) fn guard(&self, client: &Client, pattern: &[u8]) -> Option<PermitId> {
        let id = client.rights.as_deref()?.permit;
        let permit = self.outbox.permits.get(id)?;
        (permit.guards(pattern) || permit.responses().is_some()).then_some(id)
    }

    /// By which permit a client's rights are judged: its user's, or what its token gave; None: it may do everything.
    pub(super) fn permit_of(&mut self, id: ConnId) -> Option<PermitId> {
        let client = self.outbox.conns.get(id)?;
        let Some(pass) = client.pass.as_deref() else { return self.outbox.permits.of_user(client.user) };
        let written = pass.permissions.as_ref()?;
        // Numbers never run out where each is asked for by a signature; if they did, nothing would be allowed.
        let permit = self.outbox.permits.issue(written);
        if self.outbox.permits.is_crowded() {
            let rights = self.outbox.conns.iter().filter_map(|(_, c)| c.rights.as_deref());
            let used = rights.map(|r| r.permit).chain(permit).collect();
            self.outbox.permits.keep(&used);
        }
        Some(permit.unwrap_or(PermitId::NOTHING))
    }

    /// What a client may do by this permit.
    pub(super) fn rights_by(&self, permit: Option<PermitId>) -> Option<Box<Rights>> {
        let permit = permit?;
        let rule = self.outbox.permits.get(permit).and_then(|p| p.responses());
        Some(Box::new(Rights { permit, replies: rule.map(|rule| Replies::new(rule, self.sids)) }))
    }

    /// Its permissions may be others now. If it has lost the right to a subscription it loses it, and is told.
    pub(super) fn change_rights(&mut self, id: ConnId, before: &Permits) {
        let permit = self.permit_of(id);
        let Some(client) = self.outbox.conns.get(id) else { return };
        let had = client.rights.as_deref().and_then(|r| before.get(r.permit));
        let has = permit.and_then(|p| self.outbox.permits.get(p));
        if had.is_none() && has.is_none() {
            return;
        }
        let changed = had != has;
        let rights = if changed { self.rights_by(permit) } else { None };
        let mut subs: Vec<Slot> = client.subs.iter().copied().collect();
        // In the order of their places, not of a hash table.
        subs.sort_unstable();
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        match (changed, permit, client.rights.as_deref_mut()) {
            // The same as before, in another place of the list.
            (false, Some(permit), Some(rights)) => rights.permit = permit,
            _ => {
                client.rights = rights;
                client.memo = Memo::NOTHING;
            }
        }
        subs.into_iter().for_each(|key| self.review(id, key, changed, before));
    }

    /// A subscription's client may have another permit now: every shard is told what it is given.
    fn regard(&mut self, id: ConnId, key: Slot, before: &Permits) {
        let Some(client) = self.outbox.conns.get(id) else { return };
        let Some(sub) = self.outbox.subs.get(key) else { return };
        let guard = self.guard(client, &sub.pattern);
        let has = self.outbox.permits.guard(guard, &sub.pattern).cloned();
        let Some(sub) = self.outbox.subs.get_mut(key) else { return };
        let had = before.guard(std::mem::replace(&mut sub.guard, guard), &sub.pattern);
        let has = has.as_ref();
        if had == has {
            return;
        }
        let (account, pattern, queue) = (sub.account, sub.pattern.clone(), sub.queue.clone());
        self.reconsider_shadows(account, &pattern);
        let replica = &mut self.worlds[usize::from(account)].replica;
        let (n, left) = replica.regard(&pattern, &queue, (had, has), key);
        for batch in self.peer_batches() {
            // What begins before what ends: nobody sees a gap that never was.
            batch.interest(account, &pattern, &queue, has, n);
            batch.interest(account, &pattern, &queue, had, left);
        }
    }

    /// A subscription of a client whose permissions may be others now.
    fn review(&mut self, id: ConnId, key: Slot, changed: bool, before: &Permits) {
        self.regard(id, key, before);
        let Some(client) = self.outbox.conns.get(id) else { return };
        let Some(sub) = self.outbox.subs.get(key) else { return };
        let permit = client.rights.as_deref().and_then(|r| self.outbox.permits.get(r.permit));
        if !changed || permit.is_none_or(|p| p.subscribe(&sub.pattern, &sub.queue)) {
            return;
        }
        let (pattern, queue, sid) = (sub.pattern.clone(), sub.queue.clone(), sub.sid.clone());
        let user = client.user.and_then(|u| self.settings.auth.users.get(u as usize));
        let name = user.map(|u| u.name.as_str()).or(client.pass.as_deref().map(|p| p.user.as_str()));
        let user = name.map_or(String::new(), |name| quoted(name.as_bytes()));
        if self.may_say(Repeat::Denied) {
            let group = if queue.is_empty() { String::new() } else { format!(" using queue {}", quoted(&queue)) };
            let text = format!(
                "Removed sub {}{group} (sid {}) for User {} - not authorized",
                quoted(&pattern),
                quoted(&sid),
                user
            );
            self.log_about(id, Level::Info, || text);
        }
        self.outbox.ledger.subscriptions_denied += 1;
        self.end_subscription(key);
        self.outbox.say(id, |out| write_complaint(out, Complaint::Revoked(&pattern, &queue, &sid)));
    }
}

/// In Go's quotes.
fn quoted(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}
