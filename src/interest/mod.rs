//! Floor 2: who wants what.
