//! How a client comes in: in the clear, or private. Made by the listener, read when it enters.

use crate::policy::Peer;

/// How a client comes in.
#[derive(Clone, Debug, Default)]
pub enum Privacy {
    /// In the clear, and so it stays.
    #[default]
    Plain,
    /// It is sent INFO in the clear; then TLS begins, if it must or wants to.
    Upgrade,
    /// More handshakes were asked for than may be: it is told so.
    Throttled,
    /// TLS came first.
    Secured(Box<Peer>),
}
