//! TLS: who shows which certificate ([`files`]), handshakes on threads that move no messages ([`handshakes`]), and what is
//! said afterwards, record by record ([`session`]). The shards below know only that a connection is private, and whose
//! certificate was shown.

pub mod files;
mod gate;
mod handshakes;
mod names;
mod session;

pub use files::Acceptor;
pub use gate::Gate;
pub use handshakes::{Handshakes, How, Job, Secured, Wait};
pub use session::{Sealed, Session};
