//! What servers say about themselves and each other (cluster-protocol.md §§3.4, 3.10), as the mesh uses it: who it is,
//! where to dial it, what may be shown of it. No state; the words themselves are `wire::route`'s.

use crate::base::limits::PEER_TEXT_BYTES_MAX;
use crate::wire::address::{join_address, split_address};
use crate::wire::route::{gossip, RouteInfo};

/// An INFO as read, and its JSON, to be handed on with what we do not know in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Hello {
    pub info: RouteInfo,
    json: Vec<u8>,
}

impl Hello {
    /// Reads an INFO's argument. `None`: it is none, or its texts are longer than anybody's.
    pub(super) fn read(json: &[u8]) -> Option<Hello> {
        let info = RouteInfo::parse(json).ok()?;
        let texts = [&info.server_id, &info.server_name, &info.cluster, &info.border];
        let short = texts.iter().all(|text| text.len() <= PEER_TEXT_BYTES_MAX);
        short.then(|| Hello { info, json: json.to_vec() })
    }

    /// Is it one of us, who say more than nats-server does?
    pub(super) fn is_turnpike(&self) -> bool {
        !self.info.turnpike.is_empty()
    }

    /// `host:port` to dial, `ip` first; `None` if it names none. `seen` is the address it spoke from, which stands in for
    /// a host that only means "all interfaces".
    pub(super) fn address(&self, seen: &str) -> Option<String> {
        let info = &self.info;
        let host = if matches!(info.host.as_str(), "" | "0.0.0.0" | "::") { seen } else { &info.host };
        dialable(&info.ip).or_else(|| dialable(&join_address(host, info.port)))
    }

    /// The INFO line by which others are told of this server (§3.10). An INFO must not name another cluster: if it was
    /// said before that server took our cluster's name, only what we know of it is handed on.
    pub(super) fn handed_on(&self, address: &str, cluster: &str, mode: i64) -> Option<Vec<u8>> {
        if self.info.cluster.is_empty() || self.info.cluster == cluster {
            return gossip(&self.json, &route_url(address), mode);
        }
        let (nonce, reaches) = (String::new(), Vec::new());
        let (ip, cluster) = (route_url(address), cluster.to_string());
        let (cluster_dynamic, lists_you, gossip_mode) = (false, false, mode);
        let known = self.info.clone();
        let reaches_clusters = Vec::new();
        let info = RouteInfo {
            ip,
            cluster,
            cluster_dynamic,
            nonce,
            reaches,
            gossip_mode,
            lists_you,
            reaches_clusters,
            ..known
        };
        let mut line = Vec::new();
        info.write(&mut line);
        Some(line)
    }
}

/// `nats-route://host:port/`
pub(super) fn route_url(address: &str) -> String {
    format!("nats-route://{address}/")
}

/// `host:port` of a URL or an address, in one spelling; `None` if it cannot be dialed.
pub(super) fn dialable(url: &str) -> Option<String> {
    let address = url.strip_prefix("nats-route://").unwrap_or(url).trim_end_matches('/');
    split_address(address).map(|(host, port)| join_address(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_from_ip_then_host_then_the_socket() {
        let hello = |json: &str| Hello::read(json.as_bytes()).unwrap();
        let with_ip = hello(r#"{"ip":"nats-route://10.0.0.1:7/","host":"x","port":8}"#);
        assert_eq!(with_ip.address("1.1.1.1").as_deref(), Some("10.0.0.1:7"));
        assert_eq!(hello(r#"{"host":"x","port":8}"#).address("1.1.1.1").as_deref(), Some("x:8"));
        assert_eq!(hello(r#"{"host":"0.0.0.0","port":8}"#).address("1.1.1.1").as_deref(), Some("1.1.1.1:8"));
        assert_eq!(hello(r#"{"host":"::","port":8}"#).address("fe80::1").as_deref(), Some("[fe80::1]:8"));
        assert_eq!(hello(r#"{"host":"x","port":0}"#).address("1.1.1.1"), None);
        assert_eq!(hello(r#"{"ip":"nats-route://a b:7/"}"#).address(""), None);
    }

    #[test]
    fn what_is_handed_on_names_no_foreign_cluster_and_keeps_unknown_fields() {
        let hello =
            Hello::read(br#"{"server_id":"N","nonce":"x","cluster":"c","later":{"a":1},"gossip_mode":1}"#).unwrap();
        let line = String::from_utf8(hello.handed_on("1.2.3.4:5", "c", 2).unwrap()).unwrap();
        assert!(line.contains("\"later\":{\"a\":1}") && line.contains("\"gossip_mode\":2") && !line.contains("nonce"));
        assert!(line.contains("nats-route://1.2.3.4:5/"));
        let line = String::from_utf8(hello.handed_on("1.2.3.4:5", "new", 0).unwrap()).unwrap();
        assert!(line.contains("\"cluster\":\"new\"") && !line.contains("gossip_mode") && !line.contains("nonce"));
    }
}
