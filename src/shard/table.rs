//! What a verdict rests on: subscriptions, and the tables of a shard that are asked about a subject. Lent to
//! [`Verdict`](super::verdict::Verdict) for as long as it is reached.

use super::gates::Gates;
use super::peers::Peers;
use crate::base::{ConnId, Slot, Slots};
use crate::interest::far::Fars;
use crate::interest::Replica;
use crate::policy::rewrites::Choice;
use crate::policy::settings::Account;
use crate::policy::walls::Walls;
use crate::policy::{PermitId, Permits};
use crate::wire::subject::covers;
use crate::wire::transform::Transform;
use std::sync::Arc;

/// A subscription of one of this shard's clients.
#[derive(Debug)]
pub struct Sub {
    /// Its connection.
    pub conn: ConnId,
    /// Index of its account.
    pub account: u16,
    /// By this permit its client is given only a part of it (then it stands in the replicas under that permit), or may answer
    /// what he is given; None: neither.
    pub guard: Option<PermitId>,
    /// What it wants.
    pub pattern: Box<[u8]>,
    /// Its queue group; empty: plain.
    pub queue: Box<[u8]>,
    /// The client's name for it.
    pub sid: Box<[u8]>,
    /// Messages delivered to it.
    pub delivered: u64,
    /// It ends after so many; 0: never.
    pub max: u64,
}

impl Sub {
    /// Whoever is given a message may publish to its reply.
    pub(super) fn may_answer(&self, permits: &Permits) -> bool {
        self.guard.and_then(|g| permits.get(g)).is_some_and(|p| p.responses().is_some())
    }
}

/// What a verdict rests on.
pub struct Table<'a> {
    /// What this cluster wants of the account.
    pub replica: &'a Replica,
    /// What other clusters want of it.
    pub fars: &'a Fars,
    /// This shard's subscriptions.
    pub subs: &'a Slots<Sub>,
    /// The routes.
    pub peers: &'a Peers,
    /// The links to other clusters.
    pub gates: &'a Gates,
    /// The border.
    pub walls: &'a Walls,
    /// What users may do.
    pub permits: &'a Permits,
    /// What accounts share, and what their subjects become.
    pub accounts: &'a [Account],
    /// The name of this cluster.
    pub cluster: &'a str,
}

/// In the replicas: the subscription of the shard itself, to answers of services.
pub(super) const ANSWERS: Slot = Slot::NONE;

/// The imported services that a message which is published to `subject` of `account` is a request to.
pub(super) fn services(account: u16, subject: &[u8], table: &Table<'_>) -> Vec<u16> {
    let services = &table.accounts[usize::from(account)].shares.services;
    (0..).zip(services).filter(|(_, s)| s.names.theirs(subject).is_some()).map(|(i, _)| i).collect()
}

/// Under which subjects a subscription is given a message that is published to `subject` of `account`, its own
/// account or one that it imports from: as many as the times that it stands in that account's replica for it.
pub(super) fn shown(who: &Sub, account: u16, subject: &[u8], table: &Table<'_>) -> Vec<Vec<u8>> {
    let streams = &table.accounts[usize::from(who.account)].shares.streams;
    let names = streams.iter().filter(|s| s.from == account).filter_map(|s| s.names.ours(subject));
    let own = (who.account == account).then(|| subject.to_vec());
    own.into_iter().chain(names).filter(|shown| covers(&who.pattern, shown)).collect()
}

/// May it be given that, by its client's permissions? What its client may have of its own account stands in the replica;
/// what others call by other names is looked at here.
pub(super) fn may_have(who: &Sub, shown: &[u8], queue: &[u8], table: &Table<'_>) -> bool {
    who.guard.and_then(|g| table.permits.get(g)).is_none_or(|p| p.deliver(shown, queue))
}

/// Is it a subscription of the account itself, that can have but one name for the subject?
pub(super) fn is_own(who: &Sub, account: u16, table: &Table<'_>) -> bool {
    who.account == account && table.accounts[usize::from(account)].shares.streams.is_empty()
}

/// One of the subjects that another may become.
#[derive(Debug)]
pub struct Chosen {
    /// As [`Choice::below`].
    pub(super) below: u8,
    pub(super) to: To,
}

/// What it becomes then.
#[derive(Debug)]
pub(super) enum To {
    /// Always this.
    Subject(Box<[u8]>),
    /// It is another one each time.
    Drawn(Arc<Transform>),
}

/// What a subject of an account may become.
pub(super) fn rewritten(account: u16, subject: &[u8], table: &Table<'_>) -> Option<Box<[Chosen]>> {
    let choices = table.accounts[usize::from(account)].rewrites.of(subject, table.cluster)?;
    let to = |c: &Choice| match c.to.draws() {
        true => To::Drawn(Arc::clone(&c.to)),
        false => To::Subject(c.to.apply(subject, |_| 0).into()),
    };
    Some(choices.iter().map(|c| Chosen { below: c.below, to: to(c) }).collect())
}
