//! A nats-server 2.15 towards a peer without a pool, as far as membership goes (cluster-protocol.md §§3.2, 3.7, 3.10): it registers a
//! peer on its first INFO, keeps the first connection and silently closes later ones, hands on newcomers, dials those it
//! hears of once, and configured ones after a second, for ever.

use super::world::ip;
use crate::base::Cid;
use std::collections::BTreeMap;

/// What it does.
pub(super) enum Do {
    Send(Cid, String),
    Close(Cid),
    /// Dial this host, after so many seconds.
    Dial(String, u64),
}

struct Conn {
    /// Whom it dialed.
    target: Option<String>,
    remote: Option<String>,
    heard: String,
}

pub(super) struct Nats {
    pub id: String,
    node: usize,
    lists: Vec<String>,
    conns: BTreeMap<Cid, Conn>,
    /// By server id.
    pub remotes: BTreeMap<String, Cid>,
    hosts: BTreeMap<String, String>,
}

fn field(line: &str, key: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(&line[5..]).unwrap();
    json[key].as_str().unwrap_or_default().to_string()
}

impl Nats {
    pub(super) fn new(node: usize, id: &str, lists: &[usize]) -> Nats {
        let lists = lists.iter().map(|n| ip(*n)).collect();
        let (conns, remotes, hosts) = Default::default();
        Nats { id: id.into(), node, lists, conns, remotes, hosts }
    }

    pub(super) fn start(&self) -> Vec<Do> {
        self.lists.iter().map(|host| Do::Dial(host.clone(), 0)).collect()
    }

    fn info(&self) -> String {
        let (id, n, host) = (&self.id, self.node, ip(self.node));
        format!(
            "INFO {{\"server_id\":\"{id}\",\"server_name\":\"n{n}\",\"host\":\"{host}\",\"port\":6222,\"headers\":true,\
             \"cluster\":\"c\",\"route_pool_size\":3}} \r\n"
        )
    }

    pub(super) fn accepted(&mut self, cid: Cid) -> Vec<Do> {
        self.conns.insert(cid, Conn { target: None, remote: None, heard: String::new() });
        vec![Do::Send(cid, self.info())]
    }

    pub(super) fn dialed(&mut self, host: &str, outcome: Option<Cid>) -> Vec<Do> {
        let Some(cid) = outcome else {
            return self.lists.iter().filter(|h| *h == host).map(|h| Do::Dial(h.clone(), 1)).collect();
        };
        self.conns.insert(cid, Conn { target: Some(host.into()), remote: None, heard: String::new() });
        vec![Do::Send(cid, format!("CONNECT {{\"name\":\"{}\",\"cluster\":\"c\",\"echo\":true}}\r\n", self.id))]
    }

    pub(super) fn lost(&mut self, cid: Cid) -> Vec<Do> {
        let Some(conn) = self.conns.remove(&cid) else { return Vec::new() };
        let was = conn.remote.as_ref().and_then(|id| self.remotes.remove(id));
        let host = conn.remote.as_ref().and_then(|id| self.hosts.get(id).cloned()).or(conn.target);
        let Some(host) = host else { return Vec::new() };
        let listed = self.lists.contains(&host);
        let redials = listed && !self.reaches(&host) || was.is_some();
        redials.then(|| Do::Dial(host, u64::from(listed))).into_iter().collect()
    }

    fn reaches(&self, host: &str) -> bool {
        self.remotes.keys().any(|id| self.hosts.get(id).is_some_and(|h| h == host))
    }

    pub(super) fn read(&mut self, cid: Cid, bytes: &[u8]) -> Vec<Do> {
        let mut out = Vec::new();
        let Some(conn) = self.conns.get_mut(&cid) else { return out };
        conn.heard.push_str(std::str::from_utf8(bytes).unwrap());
        while let Some(conn) = self.conns.get_mut(&cid) {
            let Some(end) = conn.heard.find('\n') else { break };
            let line: String = conn.heard.drain(..=end).collect();
            if line.starts_with("PING") {
                out.push(Do::Send(cid, "PONG\r\n".into()));
            } else if line.starts_with("INFO") {
                self.heard_info(cid, &line, &mut out);
            }
        }
        out
    }

    fn heard_info(&mut self, cid: Cid, line: &str, out: &mut Vec<Do>) {
        let (id, host) = (field(line, "server_id"), field(line, "host"));
        let Some(conn) = self.conns.get_mut(&cid) else { return };
        if conn.remote.is_some() {
            // Gossip, or news of the peer itself.
            if id != self.id && !self.remotes.contains_key(&id) && !self.lists.contains(&host) {
                out.push(Do::Dial(host, 0));
            }
            return;
        }
        if id == self.id || self.remotes.contains_key(&id) {
            self.conns.remove(&cid);
            return out.push(Do::Close(cid));
        }
        conn.remote = Some(id.clone());
        let dialed = conn.target.is_some();
        self.hosts.insert(id.clone(), host.clone());
        for other in self.remotes.values() {
            let gossip = line.trim_end().trim_end_matches('}').to_string();
            out.push(Do::Send(*other, format!("{gossip},\"ip\":\"nats-route://{host}:6222/\"}}\r\n")));
        }
        self.remotes.insert(id, cid);
        if dialed {
            out.push(Do::Send(cid, self.info()));
        }
        out.push(Do::Send(cid, "RS+ $G foo\r\n".into()));
    }
}
