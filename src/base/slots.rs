//! A table whose keys stay valid until their entry is removed, and never name a later entry of the same place.

/// A key of a [`Slots`]: a place and the generation that lived there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    place: u32,
    born: u32,
}

impl Slot {
    /// Names nothing in any table.
    pub const NONE: Slot = Slot { place: u32::MAX, born: 0 };

    /// The place, dense from 0: for cursors and indexes beside the table.
    pub fn place(self) -> u32 {
        self.place
    }

    /// The key as one number, for those who carry it through a kernel interface.
    pub fn to_bits(self) -> u64 {
        u64::from(self.born) << 32 | u64::from(self.place)
    }

    /// The inverse of [`Slot::to_bits`].
    pub fn from_bits(bits: u64) -> Slot {
        Slot { place: bits as u32, born: (bits >> 32) as u32 }
    }
}

/// Entries in places that are reused last-freed first. Deterministic: the same calls give the same keys.
#[derive(Debug)]
pub struct Slots<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    /// Every key ever handed out for a place that no longer exists is of this generation or an earlier one.
    past: u32,
}

/// In this order: whoever looks up a key needs the beginning of what it names next.
#[derive(Debug)]
#[repr(C)]
struct Place<T> {
    /// The generation that lives here, or lived last.
    born: u32,
    entry: Option<T>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { places: Vec::new(), free: Vec::new(), past: 0 }
    }
}

impl<T> Slots<T> {
    /// Adds an entry.
    pub fn insert(&mut self, value: T) -> Slot {
        match self.free.pop() {
            Some(place) => {
                let p = &mut self.places[place as usize];
                p.born = p.born.wrapping_add(1);
                p.entry = Some(value);
                Slot { place, born: p.born }
            }
            None => {
                let place = self.places.len() as u32;
                self.places.push(Place { born: self.past + 1, entry: Some(value) });
                Slot { place, born: self.past + 1 }
            }
        }
    }

    /// The entry of `key`, if it still lives.
    #[inline]
    pub fn get(&self, key: Slot) -> Option<&T> {
        match self.places.get(key.place as usize) {
            Some(p) if p.born == key.born => p.entry.as_ref(),
            _ => None,
        }
    }

    /// The entry of `key`, if it still lives.
    #[inline]
    pub fn get_mut(&mut self, key: Slot) -> Option<&mut T> {
        match self.places.get_mut(key.place as usize) {
            Some(p) if p.born == key.born => p.entry.as_mut(),
            _ => None,
        }
    }

    /// Takes the entry of `key` out.
    pub fn remove(&mut self, key: Slot) -> Option<T> {
        let p = self.places.get_mut(key.place as usize).filter(|p| p.born == key.born)?;
        let value = p.entry.take()?;
        self.free.push(key.place);
        // An emptied table gives its memory back.
        if self.free.len() == self.places.len() && self.places.capacity() > 1024 {
            self.past = self.places.iter().map(|p| p.born).max().unwrap_or(self.past);
            self.places = Vec::new();
            self.free = Vec::new();
        }
        Some(value)
    }

    /// The live entry at `place`, whatever its generation.
    pub fn at(&self, place: u32) -> Option<(Slot, &T)> {
        let p = self.places.get(place as usize)?;
        p.entry.as_ref().map(|v| (Slot { place, born: p.born }, v))
    }

    /// As [`Slots::at`], to be changed.
    pub fn at_mut(&mut self, place: u32) -> Option<&mut T> {
        self.places.get_mut(place as usize)?.entry.as_mut()
    }

    /// One more than the highest place ever in use: where a walk with [`Slots::at`] ends.
    pub fn places(&self) -> u32 {
        self.places.len() as u32
    }

    /// Live entries in order of place.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        self.places
            .iter()
            .enumerate()
            .filter_map(|(i, p)| p.entry.as_ref().map(|v| (Slot { place: i as u32, born: p.born }, v)))
    }

    /// How many live.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Is nobody here?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_key_never_names_a_later_entry() {
        let mut s = Slots::default();
        let a = s.insert("a");
        assert_eq!(s.remove(a), Some("a"));
        let b = s.insert("b");
        assert_eq!(a.place(), b.place());
        assert!(s.get(a).is_none());
        assert_eq!(s.get(b), Some(&"b"));
        assert_eq!(Slot::from_bits(b.to_bits()), b);
    }

    #[test]
    fn old_keys_stay_dead_after_the_table_gave_its_memory_back() {
        let mut s = Slots::default();
        let old: Vec<Slot> = (0..2000).map(|i| s.insert(i)).collect();
        for k in &old {
            s.remove(*k);
        }
        assert_eq!(s.places(), 0);
        let new: Vec<Slot> = (0..2000).map(|i| s.insert(i)).collect();
        let stale = old.iter().filter(|k| s.get(**k).is_some()).count();
        assert!(new.iter().all(|k| s.get(*k).is_some()));
        assert_eq!(stale, 0);
    }
}
