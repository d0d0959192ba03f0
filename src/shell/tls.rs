//! TLS: who shows which certificate ([`files`], all that is configured in [`settled`]), handshakes on threads that move no
//! messages ([`handshakes`]), for clients ([`gate`]) and between servers ([`between`]), and what is said afterwards, record
//! by record ([`session`]). The shards below know only that a connection is private, and whose certificate was shown.

mod between;
mod files;
mod gate;
mod handshakes;
mod names;
mod session;
mod settled;

pub use between::Between;
pub use files::{Acceptor, Dialer};
pub use gate::{Gate, Way};
pub use handshakes::{How, Job, Secured, Threads, Wait};
pub use session::{Sealed, Session};
pub use settled::{check, Fresh, Settled, Shown};
