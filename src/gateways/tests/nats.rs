//! A nats-server as far as gateways go (cluster-protocol.md §4, captures C7, C10 and C11): it waits for INFO before it
//! says anything, tells of clusters it knows, dials back those it does not, and redials without mercy. `promising` is one
//! of today, which tells all interest from the start; else an optimistic one.

use super::world::{address, ip};
use crate::base::Cid;
use crate::wire::gateway::GatewayInfo;
use std::collections::{BTreeMap, BTreeSet};

/// What it does.
pub(super) enum Do {
    Send(Cid, String),
    Close(Cid),
    /// Dial this host as this cluster, after so many milliseconds.
    Dial(String, String, u64),
}

struct Conn {
    /// The cluster and host it dialed.
    target: Option<(String, String)>,
    remote: Option<String>,
    connected: bool,
    heard: String,
}

pub(super) struct Nats {
    pub id: String,
    node: usize,
    cluster: String,
    promising: bool,
    configured: BTreeMap<String, BTreeSet<String>>,
    /// Addresses by cluster.
    pub known: BTreeMap<String, BTreeSet<String>>,
    conns: BTreeMap<Cid, Conn>,
    pub outbound: BTreeMap<String, Cid>,
    pub inbound: BTreeMap<Cid, String>,
    pub urls: BTreeSet<String>,
    pub errors: Vec<String>,
}

impl Nats {
    pub(super) fn new(node: usize, id: &str, cluster: &str, promising: bool, lists: &[(&str, usize)]) -> Nats {
        let mut configured: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, node) in lists {
            configured.entry((*name).into()).or_default().insert(address(*node));
        }
        Nats {
            id: id.into(),
            node,
            cluster: cluster.into(),
            promising,
            known: configured.clone(),
            configured,
            conns: BTreeMap::new(),
            outbound: BTreeMap::new(),
            inbound: BTreeMap::new(),
            urls: BTreeSet::from([address(node)]),
            errors: Vec::new(),
        }
    }

    pub(super) fn start(&self) -> Vec<Do> {
        self.configured.keys().filter_map(|name| self.dial(name, 1000)).collect()
    }

    fn dial(&self, name: &str, ms: u64) -> Option<Do> {
        // Some address, another one each time.
        let all: Vec<&String> = self.known.get(name)?.iter().collect();
        let host = all.get(self.conns.len() % all.len().max(1))?.split(':').next()?;
        Some(Do::Dial(name.into(), host.into(), ms))
    }

    fn info(&self) -> String {
        let urls: Vec<String> = self.urls.iter().map(|u| format!("\"{u}\"")).collect();
        format!(
            "INFO {{\"server_id\":\"{}\",\"server_name\":\"n{}\",\"proto\":3,\"host\":\"{}\",\"port\":7222,\"headers\":true,\
             \"gateway\":\"{}\",\"gateway_urls\":[{}],\"gateway_url\":\"{}\",\"gateway_nrp\":true{}}}\r\n",
            self.id,
            self.node,
            ip(self.node),
            self.cluster,
            urls.join(","),
            address(self.node),
            if self.promising { ",\"gateway_iom\":true" } else { "" },
        )
    }

    pub(super) fn accepted(&mut self, cid: Cid) -> Vec<Do> {
        self.conns.insert(cid, Conn { target: None, remote: None, connected: false, heard: String::new() });
        vec![Do::Send(cid, self.info())]
    }

    pub(super) fn dialed(&mut self, cluster: &str, host: &str, outcome: Option<Cid>) -> Vec<Do> {
        let target = (cluster.to_string(), host.to_string());
        match outcome {
            Some(cid) => {
                let conn = Conn { target: Some(target), remote: None, connected: false, heard: String::new() };
                self.conns.insert(cid, conn);
                Vec::new()
            }
            None => self.again(cluster),
        }
    }

    fn again(&mut self, cluster: &str) -> Vec<Do> {
        let back = self.inbound.values().any(|c| c == cluster);
        if self.outbound.contains_key(cluster) || !self.configured.contains_key(cluster) && !back {
            return Vec::new();
        }
        self.dial(cluster, 1000).into_iter().collect()
    }

    pub(super) fn lost(&mut self, cid: Cid) -> Vec<Do> {
        self.inbound.remove(&cid);
        let Some(conn) = self.conns.remove(&cid) else { return Vec::new() };
        let Some((cluster, _)) = conn.target else { return Vec::new() };
        if self.outbound.get(&cluster) == Some(&cid) {
            self.outbound.remove(&cluster);
        }
        self.again(&cluster)
    }

    /// The others of its cluster changed.
    pub(super) fn members(&mut self, urls: BTreeSet<String>) -> Vec<Do> {
        self.urls = urls;
        self.inbound.keys().map(|cid| Do::Send(*cid, self.info())).collect()
    }

    pub(super) fn read(&mut self, cid: Cid, bytes: &[u8]) -> Vec<Do> {
        let mut out = Vec::new();
        let Some(conn) = self.conns.get_mut(&cid) else { return out };
        conn.heard.push_str(std::str::from_utf8(bytes).unwrap());
        assert!(!bytes.windows(12).any(|w| w == b"border_rules"), "rules are for turnpikes");
        while let Some(conn) = self.conns.get_mut(&cid) {
            let Some(end) = conn.heard.find('\n') else { break };
            let line: String = conn.heard.drain(..=end).collect();
            let line = line.trim_end();
            if line == "PING" {
                out.push(Do::Send(cid, "PONG\r\n".into()));
            } else if let Some(json) = line.strip_prefix("INFO ") {
                let info = GatewayInfo::parse(json.as_bytes()).unwrap();
                self.heard_info(cid, info, &mut out);
            } else if line.starts_with("CONNECT ") {
                conn.connected = true;
            } else if line.starts_with("-ERR") {
                self.errors.push(line.into());
                self.conns.get_mut(&cid).into_iter().for_each(|c| c.heard.clear());
                out.push(Do::Close(cid));
                out.extend(self.lost(cid));
                return out;
            } else if conn.target.is_none()
                && (line.starts_with("RS") || line.starts_with("A+") || line.starts_with("A-"))
            {
                panic!("a nats-server does not survive {line} from a dialer");
            }
        }
        out
    }

    fn heard_info(&mut self, cid: Cid, info: GatewayInfo, out: &mut Vec<Do>) {
        let own = self.proposal();
        let Some(conn) = self.conns.get_mut(&cid) else { return };
        match (conn.target.clone(), conn.remote.is_some()) {
            (Some((wanted, _)), false) => {
                if info.gateway != wanted {
                    out.push(Do::Send(cid, "-ERR 'Connection rejected'\r\n".into()));
                    out.push(Do::Close(cid));
                    return out.extend(self.lost(cid));
                }
                conn.remote = Some(info.server_id.clone());
                self.outbound.insert(wanted.clone(), cid);
                self.known.entry(wanted).or_default().extend(info.gateway_urls.iter().cloned());
                out.push(Do::Send(cid, own));
                out.push(Do::Send(cid, "PING\r\nRMSG $G foo 2\r\nhi\r\n".into()));
            }
            (Some(_), true) if info.gateway_cmd == 1 => self.learn(&info, out),
            (Some((wanted, _)), true) if info.gateway_cmd == 0 => {
                self.known.entry(wanted).or_default().extend(info.gateway_urls.iter().cloned());
            }
            (None, false) => {
                assert!(conn.connected, "INFO before CONNECT");
                conn.remote = Some(info.server_id.clone());
                self.inbound.insert(cid, info.gateway.clone());
                out.push(Do::Send(cid, "RS+ $G bar q 1\r\n".into()));
                for (name, urls) in self.known.iter().filter(|(n, _)| **n != info.gateway) {
                    let urls: Vec<String> = urls.iter().map(|u| format!("\"{u}\"")).collect();
                    let (id, urls) = (&self.id, urls.join(","));
                    out.push(Do::Send(
                        cid,
                        format!(
                            "INFO {{\"server_id\":\"{id}\",\"server_name\":\"\",\"gateway\":\"{name}\",\
                             \"gateway_urls\":[{urls}],\"gateway_cmd\":1}}\r\n"
                        ),
                    ));
                }
                if self.promising {
                    let command = |n| {
                        format!("INFO {{\"server_id\":\"\",\"gateway\":\"{}\",\"gateway_cmd\":{n},\"gateway_cmd_payload\":\"JEc=\"}}\r\n", self.cluster)
                    };
                    out.push(Do::Send(cid, format!("{}RS+ $G foo\r\n{}", command(2), command(3))));
                }
                self.learn(&info, out);
            }
            _ => {}
        }
    }

    fn proposal(&self) -> String {
        format!(
            "CONNECT {{\"echo\":false,\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"headers\":false,\
             \"name\":\"{}\",\"cluster\":\"\",\"gateway\":\"{}\"}}\r\n{}",
            self.id,
            self.cluster,
            self.info()
        )
    }

    fn learn(&mut self, info: &GatewayInfo, out: &mut Vec<Do>) {
        if info.gateway == self.cluster || info.gateway_urls.is_empty() {
            return;
        }
        let new = !self.known.contains_key(&info.gateway);
        self.known.entry(info.gateway.clone()).or_default().extend(info.gateway_urls.iter().cloned());
        if new {
            out.extend(self.dial(&info.gateway.clone(), 0));
        }
    }

    /// What it tells its own members of a cluster it reaches.
    pub(super) fn gossip(&self) -> Vec<String> {
        let lines = self.outbound.keys().filter_map(|name| {
            let urls: Vec<String> = self.known.get(name)?.iter().map(|u| format!("\"{u}\"")).collect();
            let (id, urls) = (&self.id, urls.join(","));
            Some(format!(
                "{{\"server_id\":\"GW{id}\",\"gateway\":\"{name}\",\"gateway_urls\":[{urls}],\"gateway_cmd\":1}}"
            ))
        });
        lines.collect()
    }

    /// A member told it of a cluster.
    pub(super) fn member_told(&mut self, json: &[u8]) -> Vec<Do> {
        let mut out = Vec::new();
        let info = GatewayInfo::parse(json).unwrap();
        assert_eq!(info.border_rules, None, "rules are for turnpikes");
        assert!(info.server_id.starts_with("GW"), "taken for gossip about a member");
        self.learn(&info, &mut out);
        out
    }
}
