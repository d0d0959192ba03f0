//! Addresses: opening the one that the operator named, and telling others of it.

use super::files;
use super::inherited;
use super::refusal::Refusal;
use crate::policy::{Listen, Settings};
use std::net::{SocketAddr, TcpListener};

/// `host:port`, IPv6 in brackets.
pub fn display(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Opens a listener, or takes the one that systemd has opened.
///
/// # Errors
/// In nats-server's words (operations.md §1), with the remedy.
pub fn bind(listen: &Listen) -> Result<TcpListener, Refusal> {
    let port = listen.port.unwrap_or(0);
    let at = display(&listen.host, port);
    if let Some(socket) = inherited::take(listen) {
        return Ok(socket);
    }
    TcpListener::bind((listen.host.as_str(), port)).map_err(|e| {
        let remedy = match e.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "another process has this port: find it with `ss -ltnp 'sport = :{port}'`, or choose another with -p"
            ),
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE".into(),
            std::io::ErrorKind::AddrNotAvailable => {
                "no interface of this machine has that address: see `ip address`".into()
            }
            // No error of the system: the name was not found.
            _ if e.raw_os_error().is_none() => {
                "give an address, or a name that resolves on this machine, with -a or host".into()
            }
            _ => "give another address with -a or host, another port with -p".into(),
        };
        Refusal::new(format!("Error listening on port: {at}, {e}"), remedy)
    })
}

/// What INFO tells clients: the advertised address, else the one listened on, its port as it was bound.
pub fn advertised(settings: &Settings, port: u16) -> (String, u16) {
    let Some(a) = &settings.client_advertise else { return (settings.listen.host.clone(), port) };
    match a.rsplit_once(':').and_then(|(h, p)| Some((h, p.parse().ok()?))) {
        Some((host, p)) => (host.trim_matches(['[', ']']).into(), p),
        None => (a.clone(), port),
    }
}

/// Where others can dial a listener: as it is written, or the first address of this machine that is not its own loop,
/// where it listens on all (cluster-protocol.md §4.1).
pub fn reachable(listen: &Listen, bound: SocketAddr) -> String {
    if !bound.ip().is_unspecified() {
        return listen.host.clone();
    }
    let all = files::interfaces(bound);
    let outward = all.iter().find(|ip| !ip.is_loopback()).or(all.first());
    outward.map_or_else(|| listen.host.clone(), ToString::to_string)
}

/// Where clients find this server, as other servers tell theirs: the advertised address, or all addresses listened on.
pub fn client_urls(settings: &Settings, bound: SocketAddr) -> Vec<String> {
    if settings.client_advertise.is_some() {
        let (host, port) = advertised(settings, bound.port());
        return vec![display(&host, port)];
    }
    if !bound.ip().is_unspecified() {
        return vec![display(&settings.listen.host, bound.port())];
    }
    let urls = files::urls("nats", bound);
    urls.iter().map(|u| u.trim_start_matches("nats://").to_owned()).collect()
}
