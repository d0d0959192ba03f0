//! The grammar, row by row (operations.md §2).
