//! Listeners that others can reach and that ask nobody who they are: warned about at the start and hourly, refused where
//! the operator wants that (scenarios.md §3.1).

use super::address::is_loopback;
use super::settings::{Cluster, Gateway, Listen, RouteLogin, Settings};
use super::tls::Tls;

/// Each such listener in words, with what is to be done about it. Empty where all is guarded or on this machine only.
pub fn open(settings: &Settings) -> Vec<String> {
    let routes = settings.cluster.as_ref().and_then(|c| open_to_routes(c, &settings.listen));
    let gateways = settings.gateway.as_ref().and_then(open_to_gateways);
    open_to_clients(settings).into_iter().chain(routes).chain(gateways).collect()
}

fn open_to_clients(settings: &Settings) -> Option<String> {
    let guarded = settings.auth.is_guarded();
    (!guarded && !is_loopback(&settings.listen)).then(|| {
        let Listen { host, port } = &settings.listen;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let at = port.map_or_else(|| host.clone(), |p| format!("{host}:{p}"));
        format!(
            "Whoever reaches {at} may read and publish everything: no user and no token is configured — add \
             authorization (or --user and --pass), or listen on this machine only with -a 127.0.0.1"
        )
    })
}

impl Cluster {
    /// What a peer is asked for; `None`: nothing, or a certificate that says who it is.
    pub fn asks(&self) -> Option<&RouteLogin> {
        self.login.as_ref().filter(|_| !self.tls.as_ref().is_some_and(Tls::names_peers))
    }
}

impl Gateway {
    /// What another cluster is asked for; `None`: nothing, or a certificate that says who it is.
    pub fn asks(&self) -> Option<&RouteLogin> {
        self.login.as_ref().filter(|_| !self.tls.as_ref().is_some_and(Tls::names_peers))
    }
}

/// Are servers asked for a certificate? With TLS they always are; it takes an authority to have one.
fn guards(tls: Option<&Tls>) -> bool {
    tls.is_some_and(|t| t.ca_file.is_some())
}

/// The same of routes; `clients` is where they come in without a listener of their own.
pub(super) fn open_to_routes(cluster: &Cluster, clients: &Listen) -> Option<String> {
    let door = cluster.listen.as_ref().unwrap_or(clients);
    (cluster.login.is_none() && !guards(cluster.tls.as_ref()) && !is_loopback(door)).then(|| {
        format!(
            "routes need no credentials on host {}: whoever reaches it reads and writes every subject of every \
             account; set user and password in the authorization of cluster, or tls, or listen on 127.0.0.1",
            door.host
        )
    })
}

/// The same of gateways.
pub(super) fn open_to_gateways(gateway: &Gateway) -> Option<String> {
    (gateway.login.is_none() && !guards(gateway.tls.as_ref()) && !is_loopback(&gateway.listen)).then(|| {
        format!(
            "gateways need no credentials on host {}: whoever reaches it reads and writes every subject of every \
             account; set user and password in the authorization of gateway, or tls, or listen on 127.0.0.1",
            gateway.listen.host
        )
    })
}
