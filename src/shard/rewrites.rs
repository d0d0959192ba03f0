//! Subjects that become others as an account's clients publish them (`mappings`, docs/accounts.md). What one may become stands
//! in the verdict on it, and a client never remembers such a verdict: so whoever's account has none, and every subject that
//! stays as it is, pays nothing. What comes from other servers was mapped where it entered. Called by `publish`, `services`.

use super::core::Shard;
use super::ledger::Drop;
use super::table::To;
use super::traced::What;
use crate::base::{ConnId, Slot};
use crate::conn::{Memo, Publisher};
use crate::wire::Message;
use std::borrow::Cow;

impl Shard {
    /// What a subject becomes this time; None: nothing.
    pub(super) fn rewrite<'a>(&mut self, account: u16, subject: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if self.settings.auth.accounts[usize::from(account)].rewrites.is_empty() {
            return Some(Cow::Borrowed(subject));
        }
        let key = self.verdict(account, subject);
        let Some(choices) = self.verdicts.get(key).and_then(|v| v.rewritten.as_deref()) else {
            return Some(Cow::Borrowed(subject));
        };
        let drawn = match choices {
            [all] if all.below == 100 => 0,
            _ => self.rng.below(100),
        };
        let rng = &mut self.rng;
        choices.iter().find(|c| drawn < u64::from(c.below)).map(|c| match &c.to {
            To::Subject(subject) => Cow::Owned(subject.to_vec()),
            To::Drawn(transform) => Cow::Owned(transform.apply(subject, |n| rng.below(n))),
        })
    }

    /// Publishes a client's message under what its subject becomes. False: it stays as it is.
    #[cold]
    #[inline(never)]
    pub(super) fn publish_mapped(&mut self, id: ConnId, from: Publisher, m: &Message<'_>) -> bool {
        match self.rewrite(from.account, m.subject) {
            Some(Cow::Borrowed(_)) => return false,
            Some(Cow::Owned(subject)) => {
                self.note(|| What::Mapped { to: subject.as_slice().into() });
                let m = Message { subject: &subject, ..*m };
                let from = Publisher { found: Slot::NONE, ..from };
                if let Some(verdict) = self.is_let_through(id, from, &m) {
                    let from = Publisher { verdict, ..from };
                    match self.outbox.tracing.is_some() {
                        true => self.set_out_traced(id, from, &m),
                        false => self.set_out(id, from, &m),
                    }
                }
            }
            None => {
                self.ok(id);
                self.outbox.ledger.dropped(Drop::MappedNowhere, 1);
                self.note(|| What::Kept { why: Drop::MappedNowhere.name(), whom: m.subject.into(), receivers: 0 });
                if !m.reply.is_empty() {
                    self.no_responders(id, from.account, m);
                }
            }
        }
        // What it became may become something else again where it is published by that name.
        if let Some(client) = self.outbox.conns.get_mut(id) {
            client.memo = Memo::NOTHING;
        }
        true
    }

    /// What a client's subjects become may be something else now.
    pub(super) fn follow_rewrites(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        let maps = !self.settings.auth.accounts[usize::from(client.account)].rewrites.is_empty();
        if std::mem::replace(&mut client.maps, maps) || maps {
            client.memo = Memo::NOTHING;
        }
    }
}
