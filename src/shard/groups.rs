//! The queue groups of a message on its way, and who is to serve them.

use crate::base::{FarId, PeerId};

/// Who is to serve a queue group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A client of the shard that hears it.
    Clients,
    /// A server behind its route.
    Peer(PeerId),
    /// A cluster behind its gateway.
    Far(FarId),
}

/// The groups a message is for, as [`Batch::message`] wants them: one after the other, whose member is to get it in two
/// bytes, the name's length in four, the name.
#[derive(Debug, Default)]
pub struct Groups(Vec<u8>);

impl Groups {
    /// Adds a group.
    pub fn push(&mut self, whose: Whose, name: &[u8]) {
        self.0.extend_from_slice(&match whose {
            Whose::Clients => [0, 0],
            Whose::Peer(p) => [1, p.0],
            Whose::Far(f) => [2, f.0],
        });
        self.0.extend_from_slice(&(name.len() as u32).to_le_bytes());
        self.0.extend_from_slice(name);
    }

    /// Forgets all names.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, for [`picks`].
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What [`Groups`] says: whose member, and the group.
pub fn picks(bytes: &[u8]) -> impl Iterator<Item = (Whose, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (&[kind, number], more) = rest.split_first_chunk::<2>()?;
        let (len, more) = more.split_first_chunk::<4>()?;
        let (name, more) = more.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        rest = more;
        let whose = match kind {
            0 => Whose::Clients,
            1 => Whose::Peer(PeerId(number)),
            _ => Whose::Far(FarId(number)),
        };
        Some((whose, name))
    })
}
