//! What a user may do (client-protocol.md §16): the one place that decides on it, for publications, subscriptions and
//! deliveries alike. Lives on the interest floor; configuration writes [`Permissions`], shards ask the [`Permit`] made of
//! them. A permit never changes and is shared by all users and shards; it knows no connection.

use super::trie::Trie;
use crate::base::Seeded;
use crate::wire::subject;
use std::fmt;
use std::hash::BuildHasher;

/// What a user may do, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permissions {
    /// Subjects to publish to.
    pub publish: Lists,
    /// Subjects to subscribe to.
    pub subscribe: Lists,
    /// May replies be published to that are not allowed otherwise? None: no.
    pub responses: Option<Responses>,
}

/// What is allowed, and what of that is not after all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lists {
    /// None: everything is allowed. An empty list allows nothing.
    pub allow: Option<Vec<Entry>>,
    /// Goes before `allow`.
    pub deny: Vec<Entry>,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// A pattern that is valid for a subscription.
    pub subject: Box<[u8]>,
    /// It is about queue groups of this name, which may be a pattern; empty: about everybody.
    pub queue: Box<[u8]>,
}

/// `allow_responses`: when a message is delivered whose reply may not be published to, it may be, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Responses {
    /// So many messages to each; None: any number.
    pub max: Option<u32>,
    /// So long after the delivery, nanoseconds; None: for ever.
    pub within_ns: Option<u64>,
}

impl Responses {
    /// One message within two minutes: what `allow_responses: true` means.
    pub const DEFAULT: Responses = Responses { max: Some(1), within_ns: Some(120_000_000_000) };
}

/// [`Permissions`], ready to be asked.
pub struct Permit {
    written: Permissions,
    /// Of what is written: most different ones are told apart by it.
    digest: u64,
    publish: Sides,
    subscribe: Sides,
}

struct Sides {
    /// None: everything is allowed.
    allow: Option<Trie<Rule>>,
    deny: Trie<Rule>,
}

/// All entries with one pattern.
#[derive(Default)]
struct Rule {
    pattern: Box<[u8]>,
    /// There is one about everybody.
    plain: bool,
    queues: Vec<Box<[u8]>>,
}

impl Rule {
    /// Is there an entry about this queue group?
    fn names(&self, queue: &[u8]) -> bool {
        self.queues.iter().any(|name| subject::contains(name, queue))
    }
}

impl Permit {
    /// Of what was written. The subjects have to be valid for a subscription.
    pub fn new(written: Permissions) -> Permit {
        let (publish, subscribe) = (Sides::of(&written.publish), Sides::of(&written.subscribe));
        let digest = Seeded(0).hash_one(&written);
        Permit { written, digest, publish, subscribe }
    }

    /// As written.
    pub fn written(&self) -> &Permissions {
        &self.written
    }

    /// May a message be published to this subject? The dynamic right to answer is another question, and asked by whoever
    /// knows what was delivered.
    pub fn publish(&self, subject: &[u8]) -> bool {
        let any = |list: &Trie<Rule>| {
            let mut found = false;
            list.matches(subject, |_| found = true);
            found
        };
        self.publish.allow.as_ref().is_none_or(any) && !any(&self.publish.deny)
    }

    /// May this be subscribed to, as a member of a queue group or (empty) without one? An entry that allows has to contain
    /// the whole pattern; an entry that denies only has to match it with its wildcards taken as they stand, as in
    /// nats-server. What a pattern merely has in common with denied ones is kept back on delivery ([`Permit::guards`]).
    pub fn subscribe(&self, pattern: &[u8], queue: &[u8]) -> bool {
        self.subscribe.allow.as_ref().is_none_or(|list| allows(list, pattern, queue)) && self.deliver(pattern, queue)
    }

    /// May a message with this subject be delivered to a subscription of a queue group or (empty) of none?
    pub fn deliver(&self, subject: &[u8], queue: &[u8]) -> bool {
        let mut denied = false;
        let about = |rule: &Rule| rule.plain || (!queue.is_empty() && rule.names(queue));
        self.subscribe.deny.matches(subject, |rule| denied |= about(rule));
        !denied
    }

    /// Has [`Permit::deliver`] to be asked about what a subscription is given that was allowed?
    pub fn guards(&self, pattern: &[u8]) -> bool {
        !self.subscribe.deny.is_empty() && !subject::is_literal(pattern)
    }

    /// May replies be published to that are not allowed otherwise?
    pub fn responses(&self) -> Option<Responses> {
        self.written.responses
    }
}

/// Does a list of what is allowed admit this subscription? Where entries name queue groups, a group has to be one of them;
/// where none does, any may be. For that, entries count that match with the pattern's wildcards taken as they stand; to
/// admit it, they have to contain it.
fn allows(list: &Trie<Rule>, pattern: &[u8], queue: &[u8]) -> bool {
    let (mut plain, mut restricted, mut named) = (false, false, false);
    // What is no pattern is refused for that, later.
    let valid = subject::valid_subscription(pattern);
    list.matches(pattern, |rule| {
        let contains = !valid || subject::contains(&rule.pattern, pattern);
        plain |= rule.plain && contains;
        if !queue.is_empty() {
            restricted |= !rule.queues.is_empty();
            named |= contains && rule.names(queue);
        }
    });
    if restricted {
        named
    } else {
        plain
    }
}

impl Sides {
    fn of(lists: &Lists) -> Sides {
        Sides { allow: lists.allow.as_deref().map(list), deny: list(&lists.deny) }
    }
}

fn list(entries: &[Entry]) -> Trie<Rule> {
    // Only the operator's words stand in it: nobody can make it slow.
    let mut out: Trie<Rule> = Trie::new(entries.len() as u64);
    for Entry { subject, queue } in entries {
        let rule = out.entry(subject);
        rule.pattern.clone_from(subject);
        if queue.is_empty() {
            rule.plain = true;
        } else if !rule.queues.contains(queue) {
            rule.queues.push(queue.clone());
        }
    }
    out
}

impl PartialEq for Permit {
    fn eq(&self, other: &Permit) -> bool {
        self.digest == other.digest && self.written == other.written
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

#[cfg(test)]
mod tests;
