//! Who the server is, and the part of INFO that says so to everybody.

use crate::policy::Settings;
use crate::wire::gateway::ReplyPrefix;
use crate::wire::hello::{PreparedInfo, ServerInfo};
use crate::{NATS_VERSION, TURNPIKE_VERSION};

/// Who the server is, as it tells its clients.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Unique in the world: `N` and 55 more base-32 letters.
    pub server_id: String,
    /// As configured, else the id.
    pub server_name: String,
    /// The host of INFO.
    pub host: String,
    /// The port of INFO.
    pub port: u16,
}

impl Identity {
    /// What stands before the replies of requests that leave a cluster of this name (cluster-protocol.md §4.9).
    pub(super) fn reply_prefix(&self, cluster: &str) -> ReplyPrefix {
        ReplyPrefix::new(cluster, &self.server_id)
    }

    /// The part of INFO that is the same for everybody.
    pub(super) fn greeting(&self, settings: &Settings, cluster: Option<&str>) -> PreparedInfo {
        PreparedInfo::new(&ServerInfo {
            server_id: &self.server_id,
            server_name: &self.server_name,
            version: NATS_VERSION,
            turnpike: TURNPIKE_VERSION,
            git_commit: None,
            go: "",
            host: &self.host,
            port: self.port,
            headers: settings.headers,
            tls_required: settings.tls.as_ref().is_some_and(|t| !t.optional),
            tls_verify: settings.tls.as_ref().is_some_and(|t| t.verify),
            tls_available: settings.tls.as_ref().is_some_and(|t| t.optional),
            cluster,
            takes_routes: settings.cluster.as_ref().is_some_and(|c| c.listen.is_none()),
        })
    }
}
