//! Names of things: shards, connections, peers. Newtypes, so that one cannot be mistaken for another.

use super::Slot;

/// One shard of this server, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u8);

impl ShardId {
    /// As an index into tables with one entry per shard.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(pub u128);

impl ShardSet {
    /// No shard.
    pub const EMPTY: ShardSet = ShardSet(0);

    /// The set of `s` alone.
    pub fn of(s: ShardId) -> ShardSet {
        ShardSet(1 << s.0)
    }

    /// Adds `s`.
    pub fn insert(&mut self, s: ShardId) {
        self.0 |= 1 << s.0;
    }

    /// Removes `s`.
    pub fn remove(&mut self, s: ShardId) {
        self.0 &= !(1 << s.0);
    }

    /// Is `s` in the set?
    pub fn contains(self, s: ShardId) -> bool {
        self.0 & (1 << s.0) != 0
    }

    /// Has the set no member?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members in order.
    pub fn iter(self) -> impl Iterator<Item = ShardId> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            if bits == 0 {
                return None;
            }
            let s = bits.trailing_zeros();
            bits &= bits - 1;
            Some(ShardId(s as u8))
        })
    }
}

/// A connection within its shard; never names a later connection that took the same slot.
pub type ConnId = Slot;

/// A connection's public number, as clients and monitoring see it: unique in the process, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid(pub u64);

/// Another server of the cluster, while there is a route to it. Given anew with every route; a number is used again only
/// after every shard has forgotten what it stood for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u8);

impl PeerId {
    /// As an index into tables with one entry per peer.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerSet(pub u128);

impl PeerSet {
    /// No peer.
    pub const EMPTY: PeerSet = PeerSet(0);

    /// Adds `p`.
    pub fn insert(&mut self, p: PeerId) {
        self.0 |= 1 << p.0;
    }

    /// Removes `p`.
    pub fn remove(&mut self, p: PeerId) {
        self.0 &= !(1 << p.0);
    }

    /// Is `p` in the set?
    pub fn contains(self, p: PeerId) -> bool {
        self.0 & (1 << p.0) != 0
    }

    /// Has the set no member?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members in order.
    pub fn iter(self) -> impl Iterator<Item = PeerId> {
        ShardSet(self.0).iter().map(|s| PeerId(s.0))
    }
}

/// Another cluster, while there is a link on which messages are sent to it. Given anew with every such link; a number is
/// used again only after every shard has forgotten what it stood for. Below [`FARS_MAX`](super::limits::FARS_MAX).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FarId(pub u8);

impl FarId {
    /// As an index into tables with one entry per cluster.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of other clusters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FarSet(pub u128);

impl FarSet {
    /// No cluster.
    pub const EMPTY: FarSet = FarSet(0);

    /// Adds `f`.
    pub fn insert(&mut self, f: FarId) {
        self.0 |= 1 << f.0;
    }

    /// Removes `f`.
    pub fn remove(&mut self, f: FarId) {
        self.0 &= !(1 << f.0);
    }

    /// Is `f` in the set?
    pub fn contains(self, f: FarId) -> bool {
        self.0 & (1 << f.0) != 0
    }

    /// Has the set no member?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members in order.
    pub fn iter(self) -> impl Iterator<Item = FarId> {
        ShardSet(self.0).iter().map(|s| FarId(s.0))
    }
}
