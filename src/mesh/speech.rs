//! What servers say to each other before and about membership: the JSON of a route's INFO and CONNECT
//! (cluster-protocol.md §§3.3, 3.4), ours and theirs. No state; called by `greet` and `gossip`.

use crate::base::limits::{PEER_REACHES_MAX, PEER_TEXT_BYTES_MAX, PEER_URLS_MAX};
use serde_json::{Map, Value};

/// A member that the sender of an INFO has a route to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    pub id: String,
    pub name: String,
    /// `host:port` of its route listener.
    pub address: String,
}

/// A route's INFO as read (cluster-protocol.md §3.4). What is absent or of another type is empty, zero or false.
#[derive(Clone, Debug, Default)]
pub(super) struct Hello {
    pub id: String,
    pub name: String,
    pub host: String,
    pub port: u16,
    /// `nats-route://host:port/`: where to dial.
    pub ip: String,
    pub cluster: String,
    pub cluster_dynamic: bool,
    pub auth_required: bool,
    pub headers: bool,
    /// It is one of us, which says more than nats-server does.
    pub turnpike: bool,
    pub connect_urls: Vec<String>,
    pub ldm: bool,
    pub gossip_mode: u8,
    /// The connection is for one account (§3.8).
    pub route_account: String,
    /// Part of the handshake of §3.8, which is not ours.
    pub account_request: bool,
    /// Gateway gossip (§4.4) or a gateway's own INFO.
    pub gateway: String,
    /// It is the greeting of a client port.
    pub for_clients: bool,
    /// A client port that takes routes too (ours).
    pub takes_routes: bool,
    /// We are in the sender's list of routes (ours).
    pub lists: Option<bool>,
    /// Whom the sender has routes to (ours); `None`: it does not say.
    pub reaches: Option<Vec<Reach>>,
    /// It named more than [`PEER_REACHES_MAX`].
    pub reaches_cut: bool,
    /// All of it, to be handed on.
    raw: Map<String, Value>,
}

impl Hello {
    /// Reads an INFO's argument. `None`: no JSON object.
    pub(super) fn read(json: &[u8]) -> Option<Hello> {
        let raw = object(json)?;
        let text = |key: &str| text(&raw, key);
        let flag = |key: &str| raw.get(key).and_then(Value::as_bool);
        let number = |key: &str| raw.get(key).and_then(Value::as_u64);
        let reaches = raw.get("reaches").and_then(Value::as_array);
        Some(Hello {
            id: text("server_id"),
            name: text("server_name"),
            host: text("host"),
            port: number("port").and_then(|p| u16::try_from(p).ok()).unwrap_or(0),
            ip: text("ip"),
            cluster: text("cluster"),
            cluster_dynamic: flag("cluster_dynamic").unwrap_or(false),
            auth_required: flag("auth_required").unwrap_or(false),
            headers: flag("headers").unwrap_or(false),
            turnpike: raw.contains_key("turnpike"),
            connect_urls: texts(raw.get("connect_urls")),
            ldm: flag("ldm").unwrap_or(false),
            gossip_mode: number("gossip_mode").map_or(0, |n| n.min(2) as u8),
            route_account: text("route_account"),
            account_request: raw.contains_key("route_acc_add_reqid"),
            gateway: text("gateway"),
            for_clients: raw.contains_key("client_id"),
            takes_routes: flag("takes_routes").unwrap_or(false),
            lists: flag("lists_you"),
            reaches: reaches.map(|all| all.iter().take(PEER_REACHES_MAX).filter_map(reach).collect()),
            reaches_cut: reaches.is_some_and(|all| all.len() > PEER_REACHES_MAX),
            raw,
        })
    }

    /// `host:port` to dial, `ip` first; `None` if it names none. `seen` is the address it spoke from, which stands in for
    /// a host that only means "all interfaces".
    pub(super) fn address(&self, seen: &str) -> Option<String> {
        let ip = self.ip.strip_prefix("nats-route://").unwrap_or(&self.ip).trim_end_matches('/');
        if let Some((host, port)) = split_address(ip) {
            return Some(join_address(host, port));
        }
        let host = if matches!(self.host.as_str(), "" | "0.0.0.0" | "::") { seen } else { &self.host };
        (self.port > 0 && !host.is_empty()).then(|| join_address(host, self.port))
    }

    /// The INFO line by which others are told of this server (§3.10): `ip` filled, `nonce` and what only concerns us
    /// taken out, the cluster's present name.
    pub(super) fn handed_on(&self, address: &str, cluster: &str, mode: u8) -> Vec<u8> {
        let mut raw = self.raw.clone();
        for key in ["nonce", "reaches", "lists_you", "gossip_mode"] {
            raw.remove(key);
        }
        raw.insert("ip".into(), format!("nats-route://{address}/").into());
        raw.insert("cluster".into(), cluster.into());
        if mode > 0 {
            raw.insert("gossip_mode".into(), mode.into());
        }
        line("INFO", &raw)
    }
}

/// A route's CONNECT as read (cluster-protocol.md §3.3).
#[derive(Clone, Default)]
pub(super) struct Connect {
    pub cluster: String,
    pub cluster_dynamic: bool,
    pub user: String,
    pub pass: String,
    /// A client's library.
    pub lang: String,
    pub gateway: String,
}

impl Connect {
    /// Reads a CONNECT's argument. `None`: no JSON object.
    pub(super) fn read(json: &[u8]) -> Option<Connect> {
        let raw = object(json)?;
        let whole = |key: &str| raw.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        Some(Connect {
            cluster: text(&raw, "cluster"),
            cluster_dynamic: raw.get("cluster_dynamic").and_then(Value::as_bool).unwrap_or(false),
            user: whole("user"),
            pass: whole("pass"),
            lang: text(&raw, "lang"),
            gateway: text(&raw, "gateway"),
        })
    }
}

/// `VERB {json} \r\n`
pub(super) fn line(verb: &str, object: &Map<String, Value>) -> Vec<u8> {
    // A map with text for keys is always JSON.
    let json = serde_json::to_string(object).unwrap_or_default();
    format!("{verb} {json} \r\n").into_bytes()
}

/// Splits `host:port`, `[v6]:port`; the host without brackets.
pub(super) fn split_address(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let fine = !host.is_empty()
        && host.len() <= PEER_TEXT_BYTES_MAX
        && host.chars().all(|c| c.is_alphanumeric() || "-._:%".contains(c));
    let port = port.parse().ok().filter(|p| *p > 0)?;
    fine.then_some((host, port))
}

/// The inverse of [`split_address`].
pub(super) fn join_address(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Text from outside as it may stand in a log or in an `-ERR`: no control characters, no quotes that end the text, not
/// too long.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .take(PEER_TEXT_BYTES_MAX)
        .flat_map(|c| if c.is_control() || c == '\'' { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

fn object(json: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_str(&String::from_utf8_lossy(json)) {
        Ok(Value::Object(map)) => Some(map),
        _ => None,
    }
}

fn text(raw: &Map<String, Value>, key: &str) -> String {
    raw.get(key).and_then(Value::as_str).map(clipped).unwrap_or_default()
}

fn clipped(text: &str) -> String {
    text.chars().take(PEER_TEXT_BYTES_MAX).collect()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let all = value.and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).take(PEER_URLS_MAX).map(clipped).collect()
}

fn reach(value: &Value) -> Option<Reach> {
    let raw = value.as_object()?;
    let reach = Reach { id: text(raw, "id"), name: text(raw, "name"), address: text(raw, "url") };
    (!reach.id.is_empty() && split_address(&reach.address).is_some()).then_some(reach)
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
        let hello = Hello::read(br#"{"server_id":"N","nonce":"x","cluster":"old","later":{"a":1},"gossip_mode":1}"#);
        let line = hello.unwrap().handed_on("1.2.3.4:5", "c", 2);
        let json: Value = serde_json::from_slice(line.strip_prefix(b"INFO ").unwrap()).unwrap();
        assert_eq!(json["cluster"], "c");
        assert_eq!(json["later"]["a"], 1);
        assert_eq!(json["gossip_mode"], 2);
        assert_eq!(json["ip"], "nats-route://1.2.3.4:5/");
        assert!(json.get("nonce").is_none());
    }

    #[test]
    fn shown_text_ends_no_line_and_no_quote() {
        assert_eq!(shown("a'\r\nb\u{0}"), "a\\'\\r\\nb\\u{0}");
        assert_eq!(shown(&"x".repeat(1000)).len(), PEER_TEXT_BYTES_MAX);
    }
}
