//! What the users of a configuration may do. Part of the settings, shared by all shards, immutable; a reload makes new
//! ones, which all shards are given. What tokens give each shard adds to its own copy.

use crate::base::{Map, Set};
use crate::interest::permit::{Permissions, Permit};
use std::num::NonZeroU32;
use std::sync::Arc;

/// Numbers from here on are of what tokens give.
const ISSUED: u32 = 1 << 31;
/// So many of those are kept before it is asked whether they are used.
const ISSUED_SPARE: usize = 64;

/// What users may do: of [`Auth`](super::Auth) what changes most often while a server runs.
#[derive(Clone, Debug, Default)]
pub struct Permits {
    /// Each different one once, in the order of the users who have them.
    list: Arc<Vec<Arc<Permit>>>,
    /// By index in [`Auth::users`](super::Auth::users).
    of_user: Arc<Vec<Option<PermitId>>>,
    /// What tokens give; a number is never given twice, as verdicts remember them.
    issued: Map<PermitId, Arc<Permit>>,
    /// Their numbers by what is written.
    numbers: Map<Permissions, PermitId>,
    /// How many there have been.
    count: u32,
    /// How many may be there before it is looked which are used.
    look_at: usize,
}

impl PartialEq for Permits {
    /// By what is configured.
    fn eq(&self, other: &Permits) -> bool {
        self.list == other.list && self.of_user == other.of_user
    }
}

/// Which of the [`Permits`] of a configuration, or of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PermitId(NonZeroU32);

impl PermitId {
    /// A permit that there never is: who has it may do nothing.
    pub const NOTHING: PermitId = PermitId(NonZeroU32::MAX);
}

impl Permits {
    /// Of what is written for each user in order; None: he may do everything.
    pub fn new(written: impl IntoIterator<Item = Option<Permissions>>) -> Permits {
        let mut known: Map<Permissions, PermitId> = Map::default();
        let mut list: Vec<Arc<Permit>> = Vec::new();
        let of_user = written.into_iter().map(|written| {
            let written = written?;
            if let Some(id) = known.get(&written) {
                return Some(*id);
            }
            list.push(Arc::new(Permit::new(written.clone())));
            let id = PermitId(NonZeroU32::new(list.len() as u32)?);
            known.insert(written, id);
            Some(id)
        });
        let of_user = Arc::new(of_user.collect());
        Permits { list: Arc::new(list), of_user, ..Permits::default() }
    }

    /// What the user with this index in [`Auth::users`](super::Auth::users) may do; None: everything, as those may who are no users.
    pub fn of_user(&self, user: Option<u32>) -> Option<PermitId> {
        self.of_user.get(user? as usize).copied().flatten()
    }

    /// A permit of this configuration or shard.
    pub fn get(&self, id: PermitId) -> Option<&Permit> {
        self.shared(id).map(Arc::as_ref)
    }

    /// The same, to be kept where it is not known which configuration it is of.
    pub fn shared(&self, id: PermitId) -> Option<&Arc<Permit>> {
        match id.0.get() {
            ISSUED.. => self.issued.get(&id),
            n => self.list.get(n as usize - 1),
        }
    }

    /// The permit that says what a subscription is given, if that is only a part of what its pattern says. `permit`: its
    /// client's.
    pub fn guard(&self, permit: Option<PermitId>, pattern: &[u8]) -> Option<&Arc<Permit>> {
        self.shared(permit?).filter(|p| p.guards(pattern))
    }

    /// The permit that a token gives: the same for all who are given the same. None: all numbers are used up.
    pub fn issue(&mut self, written: &Permissions) -> Option<PermitId> {
        if let Some(id) = self.numbers.get(written) {
            return Some(*id);
        }
        let id = PermitId(NonZeroU32::new(ISSUED.checked_add(self.count)?)?);
        if id == PermitId::NOTHING {
            return None;
        }
        self.count += 1;
        self.issued.insert(id, Arc::new(Permit::new(written.clone())));
        self.numbers.insert(written.clone(), id);
        Some(id)
    }

    /// Are there so many by now that it should be looked which of them are used?
    pub fn is_crowded(&self) -> bool {
        self.issued.len() > self.look_at.max(ISSUED_SPARE)
    }

    /// Forgets those of what tokens gave that nobody has any more.
    pub fn keep(&mut self, used: &Set<PermitId>) {
        self.issued.retain(|id, _| used.contains(id));
        self.numbers.retain(|_, id| used.contains(id));
        self.look_at = 2 * self.issued.len() + used.len() / 8;
    }

    /// These, with what tokens have given by others, which go on for as long as they are looked up.
    #[must_use]
    pub fn adopting(mut self, others: &mut Permits) -> Permits {
        self.issued = others.issued.clone();
        self.numbers = std::mem::take(&mut others.numbers);
        (self.count, self.look_at) = (others.count, others.look_at);
        self
    }

    /// How many different ones are configured.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// May everybody do everything who stands in the configuration?
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interest::permit::Lists;

    fn deny(subject: &str) -> Permissions {
        let entry = crate::interest::permit::Entry { subject: subject.as_bytes().into(), queue: Box::default() };
        Permissions { publish: Lists { allow: None, deny: vec![entry] }, ..Permissions::default() }
    }

    #[test]
    fn who_is_given_the_same_has_the_same_and_what_nobody_has_is_forgotten() {
        let mut permits = Permits::new([Some(deny("a"))]);
        let (a, b) = (permits.issue(&deny("a")).unwrap(), permits.issue(&deny("b")).unwrap());
        assert_eq!(permits.issue(&deny("a")), Some(a));
        assert!(a != b && Some(a) != permits.of_user(Some(0)));
        assert!(permits.get(b).is_some_and(|p| p.publish(b"a") && !p.publish(b"b")));
        for n in 0..100 {
            permits.issue(&deny(&n.to_string()));
        }
        assert!(permits.is_crowded());
        permits.keep(&Set::from_iter([b]));
        assert!(permits.get(a).is_none() && permits.get(b).is_some() && !permits.is_crowded());
        assert!(permits.issue(&deny("a")).unwrap() > b, "no number is given twice");
        let others = Permits::new([]).adopting(&mut permits);
        assert!(others.get(b).is_some() && permits.get(b).is_some());
    }
}
