//! The numbers of clusters that we send to. One per machine. A number is given anew with each outbound link, and only
//! after every shard has forgotten what it stood for.

use crate::base::limits::FARS_MAX;
use crate::base::{FarId, ShardId, ShardSet};

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    linked: bool,
    taken: bool,
    /// Shards that hold nothing of it any more.
    forgotten: ShardSet,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Fars {
    places: Vec<Place>,
    shards: usize,
}

impl Fars {
    pub(super) fn new(shards: usize) -> Fars {
        Fars { places: vec![Place::default(); FARS_MAX], shards }
    }

    /// A number for a new link; `None`: all are taken.
    pub(super) fn take(&mut self) -> Option<FarId> {
        let at = self.places.iter().position(|p| !p.taken)?;
        self.places[at] = Place { linked: true, taken: true, forgotten: ShardSet::EMPTY };
        Some(FarId(at as u8))
    }

    /// Its link ended.
    pub(super) fn ended(&mut self, far: FarId) {
        if let Some(place) = self.places.get_mut(far.index()) {
            place.linked = false;
        }
        self.release(far);
    }

    /// A shard holds nothing of it any more. This may be heard before the end itself: shards speak independently.
    pub(super) fn forgotten(&mut self, far: FarId, shard: ShardId) {
        if let Some(place) = self.places.get_mut(far.index()).filter(|p| p.taken) {
            place.forgotten.insert(shard);
        }
        self.release(far);
    }

    fn release(&mut self, far: FarId) {
        let shards = self.shards;
        if let Some(place) = self.places.get_mut(far.index()) {
            place.taken = place.linked || place.taken && place.forgotten.iter().count() < shards;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_again_only_when_all_have_forgotten_it() {
        let mut fars = Fars::new(2);
        let all: Vec<FarId> = (0..FARS_MAX).map(|_| fars.take().unwrap()).collect();
        assert_eq!(fars.take(), None);
        fars.forgotten(all[5], ShardId(1));
        fars.ended(all[5]);
        assert_eq!(fars.take(), None, "one shard still knows it");
        fars.forgotten(all[5], ShardId(0));
        assert_eq!(fars.take(), Some(all[5]));
        fars.ended(all[5]);
        assert_eq!(fars.take(), None, "what was said before counts no more");
    }
}
