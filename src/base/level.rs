//! How grave a log line is.

/// In nats-server's words (operations.md §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// FTL: the server cannot go on.
    Fatal,
    /// ERR.
    Error,
    /// WRN.
    Warn,
    /// INF.
    Info,
    /// DBG.
    Debug,
    /// TRC: the protocol as it passes.
    Trace,
}
