//! Which bit of the sets in a table of interest stands for which cluster: its column. A cluster that takes back all it
//! wanted at once is given another one when it next wants something; what stands in the old one means nothing from then on
//! and is taken out later. So taking back costs the same however much it was, and what follows need not wait for it.

use crate::base::limits::FARS_MAX;
use crate::base::{FarId, FarSet};

/// A column that means nothing any more.
#[derive(Debug)]
struct Stale {
    column: FarId,
    /// Whose it was.
    far: FarId,
    /// What still stands in it.
    left: u64,
}

/// See the file's head. One per table.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// By cluster; as long as the highest number that has one.
    of: Vec<Option<FarId>>,
    /// Those that stand for a cluster, or are stale.
    used: FarSet,
    stale: Vec<Stale>,
    /// Clusters whose column is another than their own number.
    moved: FarSet,
}

impl Columns {
    /// The cluster's column; None: it wants nothing.
    pub(super) fn get(&self, far: FarId) -> Option<FarId> {
        self.of.get(far.index()).copied().flatten()
    }

    /// The cluster's column, a new one if it has none. None: all are in use, by stale ones too.
    pub(super) fn take(&mut self, far: FarId) -> Option<FarId> {
        if let Some(column) = self.get(far) {
            return Some(column);
        }
        let free = !self.used.0;
        let own = FarSet(free).contains(far);
        let column = if own { far } else { FarId(u8::try_from(free.trailing_zeros()).ok()?) };
        if column.index() >= FARS_MAX {
            return None;
        }
        if self.of.len() <= far.index() {
            self.of.resize(far.index() + 1, None);
        }
        self.of[far.index()] = Some(column);
        self.used.insert(column);
        if !own {
            self.moved.insert(far);
        }
        Some(column)
    }

    /// The cluster has a column no more; `left` things still stand in it.
    pub(super) fn leave(&mut self, far: FarId, left: u64) {
        let Some(column) = self.of.get_mut(far.index()).and_then(Option::take) else { return };
        self.moved.remove(far);
        match left {
            0 => self.used.remove(column),
            _ => self.stale.push(Stale { column, far, left }),
        }
    }

    /// All that are stale.
    pub(super) fn stale(&self) -> FarSet {
        let mut all = FarSet::EMPTY;
        self.stale.iter().for_each(|s| all.insert(s.column));
        all
    }

    /// What still stands in stale columns of this cluster.
    pub(super) fn left(&self, far: FarId) -> u64 {
        self.stale.iter().filter(|s| s.far == far).map(|s| s.left).sum()
    }

    /// So much of a stale column has been taken out. Whose it was.
    pub(super) fn taken_out(&mut self, column: FarId, n: u64) -> Option<FarId> {
        let stale = self.stale.iter_mut().find(|s| s.column == column)?;
        stale.left = stale.left.saturating_sub(n);
        Some(stale.far)
    }

    /// Nothing stands in these stale columns any more.
    pub(super) fn free(&mut self, columns: FarSet) {
        self.stale.retain(|s| !columns.contains(s.column));
        self.used = FarSet(self.used.0 & !columns.0);
    }

    /// The columns of these clusters.
    pub(super) fn of(&self, fars: FarSet) -> FarSet {
        if self.stale.is_empty() && self.moved.is_empty() {
            return fars; // what stands for nobody is empty
        }
        let mut columns = FarSet::EMPTY;
        fars.iter().filter_map(|far| self.get(far)).for_each(|c| columns.insert(c));
        columns
    }

    /// Which of the clusters `of` these columns stand for.
    pub(super) fn fars(&self, columns: FarSet, of: FarSet) -> FarSet {
        if self.moved.is_empty() {
            return FarSet(columns.0 & of.0);
        }
        let mut fars = FarSet::EMPTY;
        of.iter().filter(|far| self.get(*far).is_some_and(|c| columns.contains(c))).for_each(|far| fars.insert(far));
        fars
    }
}
