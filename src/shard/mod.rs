//! Floor 5: everything one core knows.
