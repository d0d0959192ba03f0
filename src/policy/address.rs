//! Hosts and ports as configurations write them: `4222`, `"host:4222"`, `"[::1]:4222"`. Called by the model for the
//! listeners of clients, routes and monitoring.

use super::reading::Notes;
use super::settings::Listen;
use super::tree::{At, Node, Value};
use std::net::{IpAddr, Ipv6Addr};

/// A port as written: −1 lets the system choose, 0 means the default.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Port {
    pub(super) number: i64,
    pub(super) at: At,
}

impl Port {
    /// The number as a listener takes it: `None` leaves the choice to the system. Not for 0.
    pub(super) fn checked(self, notes: &mut Notes<'_>, key: &str) -> Option<u16> {
        if self.number == -1 {
            return None;
        }
        let port = u16::try_from(self.number).ok();
        if port.is_none() {
            let text = format!("{key}: {} is not a port: −1 (the system chooses) or 1 to 65535", self.number);
            notes.wrong(self.at, key, text);
        }
        port
    }
}

/// The host to listen on: all of them unless one is named.
pub(super) fn host(written: &str) -> String {
    match written {
        "" | "*" => "0.0.0.0".into(),
        host => host.into(),
    }
}

/// Can only this machine reach it?
pub(super) fn is_loopback(listen: &Listen) -> bool {
    listen.host.eq_ignore_ascii_case("localhost") || listen.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// A port, or "host:port" with an IPv6 host in brackets.
pub(super) fn address(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<(String, i64)> {
    let text = match &node.value {
        Value::Integer(port) => return Some((String::new(), *port)),
        _ => notes.text(key, node)?,
    };
    let Some((host, port)) = split_address(&text) else {
        notes.wrong(node.at, key, format!("could not parse address string {text:?}"));
        return None;
    };
    match port.parse::<i64>() {
        Ok(port) => Some((host.to_string(), port)),
        Err(_) => {
            notes.wrong(node.at, key, format!("could not parse port {port:?}"));
            None
        }
    }
}

fn split_address(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once("]:");
    }
    text.split_once(':').filter(|(_, port)| !port.contains(':'))
}

/// Is this `host` or `host:port`?
pub(super) fn advertisable(text: &str) -> bool {
    let clean = !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '"');
    let parts = split_address(text);
    clean
        && match parts {
            Some((_, port)) => port.parse::<u16>().is_ok(),
            None => !text.contains(':') || text.parse::<Ipv6Addr>().is_ok(),
        }
}
