//! What the users of a configuration may do. Part of the settings, shared by all shards, immutable; a reload makes new
//! ones, which all shards are given.

use crate::base::Map;
use crate::interest::permit::{Permissions, Permit};
use std::num::NonZeroU32;
use std::sync::Arc;

/// What users may do: the one part of [`Auth`](super::Auth) that changes while a server runs.
#[derive(Debug, Default, PartialEq)]
pub struct Permits {
    /// Each different one once, in the order of the users who have them.
    list: Vec<Arc<Permit>>,
    /// By index in [`Auth::users`](super::Auth::users).
    of_user: Vec<Option<PermitId>>,
}

/// Which of the [`Permits`] of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PermitId(NonZeroU32);

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
        let of_user = of_user.collect();
        Permits { list, of_user }
    }

    /// What the user with this index in [`Auth::users`](super::Auth::users) may do; None: everything, as those may who are no users.
    pub fn of_user(&self, user: Option<u32>) -> Option<PermitId> {
        self.of_user.get(user? as usize).copied().flatten()
    }

    /// A permit of this configuration.
    pub fn get(&self, id: PermitId) -> Option<&Permit> {
        self.shared(id).map(Arc::as_ref)
    }

    /// The same, to be kept where it is not known which configuration it is of.
    pub fn shared(&self, id: PermitId) -> Option<&Arc<Permit>> {
        self.list.get(id.0.get() as usize - 1)
    }

    /// The permit that says what a subscription is given, if that is only a part of what its pattern says. `permit`: its
    /// client's.
    pub fn guard(&self, permit: Option<PermitId>, pattern: &[u8]) -> Option<&Arc<Permit>> {
        self.shared(permit?).filter(|p| p.guards(pattern))
    }

    /// How many different ones there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// May everybody do everything?
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
