//! One address of another cluster, and what came of dialing it. Kept by the book.

use crate::policy::RouteLogin;

/// See the file's head.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub host: String,
    pub port: u16,
    /// It is in our configuration; else it was learned.
    pub configured: bool,
    pub login: Option<RouteLogin>,
    /// Dials ever.
    pub attempts: u64,
    /// What went wrong last; empty: nothing since it was last well.
    pub last_error: String,
}

impl Place {
    pub(super) fn new(host: &str, port: u16) -> Place {
        Place { host: host.into(), port, configured: false, login: None, attempts: 0, last_error: String::new() }
    }
}
