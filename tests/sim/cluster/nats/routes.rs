//! Membership: what a nats-server says and hears until a route is registered, whom it dials again, and gossip
//! (cluster-protocol.md §§3.2–3.10).

use super::super::super::world::World;
use super::super::member::ip;
use super::super::plan::Version;
use super::{place_of, text, Nats, Purpose, Remote};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use turnpike::base::{MILLISECOND, SECOND};

const NO_SYSTEM_ROUTE: &str =
    "-ERR 'Not possible to have a dedicated route for account \"$SYS\" between those servers'\r\n";

impl Nats {
    pub(super) fn connect(&self) -> String {
        let mut connect = json!({
            "echo": true, "verbose": false, "pedantic": false, "tls_required": false, "headers": true,
            "name": self.id, "cluster": self.cluster, "lnoc": true,
        });
        if let Some((user, password)) = &self.login {
            (connect["user"], connect["pass"]) = (json!(user), json!(password));
        }
        format!("CONNECT {connect}\r\n")
    }

    /// Its INFO: to whom has sent `theirs` (the dialer's answer), or as the greeting of an acceptor.
    pub(super) fn info(&self, theirs: Option<&Value>, mode: i64) -> String {
        let (at, new) = (self.at, self.version == Version::V215);
        let mut info = json!({
            "server_id": self.id, "server_name": self.name, "go": "go1.19.4", "host": ip(at), "port": 6222,
            "headers": true, "max_payload": 1_048_576, "cluster": self.cluster, "lnoc": true, "nonce": "bm9uY2U",
            "connect_urls": [format!("{}:4222", ip(at))], "version": if new { "2.15.0" } else { "2.9.10" },
            "proto": if new { 3 } else { 2 }, "git_commit": "0000000",
        });
        if let Some(url) = self.own_gateway_url() {
            info["gateway_url"] = json!(url);
        }
        if self.login.is_some() {
            info["auth_required"] = json!(true);
        }
        if new {
            (info["lnocu"], info["route_pool_size"]) = (json!(true), json!(3));
            info["compression"] = json!(match theirs {
                None => "accept",
                Some(theirs) if text(theirs, "compression").is_empty() => "not supported",
                Some(_) => "off",
            });
            if mode != 0 {
                info["gossip_mode"] = json!(mode);
            }
        }
        format!("INFO {info} \r\n")
    }

    /// Accepted: CONNECT.
    pub(super) fn asked_in(&mut self, w: &World, link: usize, rest: &str) {
        let connect: Value = match serde_json::from_str(rest) {
            Ok(connect) => connect,
            Err(e) => return self.complain(format!("CONNECT with {e}: {rest}")),
        };
        let strange = ["lang", "gateway"].iter().find(|key| !text(&connect, key).is_empty());
        if let Some(key) = strange {
            return self.complain(format!("CONNECT with {key}: {rest}"));
        }
        if text(&connect, "cluster") != self.cluster {
            let says = format!(
                "-ERR 'Rejecting connection, cluster name \"{}\" does not match \"{}\"'\r\n",
                text(&connect, "cluster"),
                self.cluster
            );
            self.say(link, &says);
            return self.close(link);
        }
        let login = self.login.as_ref();
        if login.is_some_and(|(user, pass)| text(&connect, "user") != user || text(&connect, "pass") != pass) {
            if !w.struck {
                self.complain(format!("wrong credentials: {rest}"));
            }
            self.say(link, "-ERR 'Authorization Violation'\r\n");
            return self.close(link);
        }
        if let Some(conn) = self.conns.get_mut(&link) {
            conn.connected = true;
        }
    }

    /// INFO, the first or a further one.
    pub(super) fn informed(&mut self, w: &mut World, link: usize, info: &Value) {
        let Some(conn) = self.conns.get(&link) else { return };
        if !text(info, "cluster").is_empty() && text(info, "cluster") != self.cluster {
            return self.complain(format!("INFO of another cluster: {info}"));
        }
        if let Some(remote) = conn.remote.clone() {
            if !text(info, "gateway").is_empty() {
                return self.member_told(w, info);
            }
            if remote == text(info, "server_id") {
                if info["ldm"] == json!(true) {
                    w.oracle.label("a nats-server heard of a lame duck");
                }
                return;
            }
            return self.named(w, link, info);
        }
        for word in ["route_pool_size", "compression", "lnocu", "route_account"] {
            let own = self.complaint.is_none() && info["turnpike"].is_string() && !info[word].is_null();
            if own {
                return self.complain(format!("we advertise {word}: {info}"));
            }
        }
        let (dialed, peer) = (conn.dialed, conn.peer);
        if dialed.is_some_and(|d| d.system) {
            // C3: a peer without a pool has no connection for one account.
            if info["route_pool_size"].is_null() {
                w.oracle.label("a dial for $SYS was answered");
                self.say(link, NO_SYSTEM_ROUTE);
            }
            return self.close(link);
        }
        let id = text(info, "server_id").to_string();
        let itself = id == self.id || (dialed.is_none() && text(info, "server_name") == self.name);
        if let Some(survivor) = self.remotes.get_mut(&id) {
            // The first is kept; silently (§3.7).
            survivor.retry = true;
            survivor.explicit |= dialed.is_some_and(|d| d.explicit);
            w.oracle.label("a nats-server closed a second connection");
            return self.close(link);
        }
        if itself {
            return self.close(link);
        }
        self.register(w, link, peer, info, dialed);
    }

    fn register(&mut self, w: &mut World, link: usize, place: usize, info: &Value, dialed: Option<Purpose>) {
        let id = text(info, "server_id").to_string();
        w.note(|| format!("nats-server {} registers {id} on link {link}", self.at));
        if let Some(conn) = self.conns.get_mut(&link) {
            conn.remote = Some(id.clone());
        }
        let explicit = dialed.is_some_and(|d| d.explicit);
        self.gossip(link, place, info, dialed);
        let remote =
            Remote { link, place, info: info.clone(), interest: BTreeMap::new(), explicit, retry: dialed.is_some() };
        self.remotes.insert(id, remote);
        if dialed.is_some() && self.version == Version::V215 {
            let own = self.info(Some(info), dialed.map_or(0, |d| d.mode));
            self.say(link, &own);
        }
        let mut lines = String::new();
        for what in ["PING.STATSZ", "PING.VARZ", "ACCOUNT.*.CONNZ"] {
            lines += &format!("RS+ $SYS $SYS.REQ.SERVER.{what}\r\n");
        }
        for ((account, pattern, queue), n) in self.wanted() {
            lines += &match queue.as_str() {
                "" => format!("RS+ {account} {pattern}\r\n"),
                queue => format!("RS+ {account} {pattern} {queue} {n}\r\n"),
            };
        }
        self.say(link, &lines);
        self.members_changed(Some(link));
    }

    /// Makes a newcomer known to the others (§3.10, C4).
    fn gossip(&mut self, link: usize, place: usize, info: &Value, dialed: Option<Purpose>) {
        let new = self.version == Version::V215;
        let by_gossip = dialed.is_some_and(|d| !d.explicit && d.mode != 2);
        if new && (info["gossip_mode"] == json!(1) || by_gossip) {
            return;
        }
        let mut said = info.clone();
        let Some(fields) = said.as_object_mut() else { return };
        fields.remove("nonce");
        fields.insert("ip".into(), json!(format!("nats-route://{}:6222/", ip(place))));
        if !new {
            // It writes anew what it has read, and knows no more fields than these.
            let known = |key: &str| {
                !["turnpike", "gossip_mode", "route_pool_size", "compression", "lnocu", "reaches", "lists_you"]
                    .contains(&key)
            };
            fields.retain(|key, _| known(key));
        }
        let others: Vec<(usize, bool)> = self.remotes.values().map(|r| (r.link, r.explicit)).collect();
        for (other, explicit) in others.into_iter().filter(|(l, _)| *l != link) {
            let mode = match dialed {
                None if explicit => 2,
                Some(d) if d.explicit => 2,
                None => 1,
                Some(_) => 0,
            };
            if new {
                said["gossip_mode"] = json!(mode);
            }
            self.say(other, &format!("INFO {said}\r\n"));
        }
    }

    /// A peer names another server.
    fn named(&mut self, w: &mut World, link: usize, info: &Value) {
        let id = text(info, "server_id");
        let named = place_of(text(info, "ip"), w.servers.len());
        let Some(place) = named else { return self.complain(format!("gossip without an address: {info}")) };
        if info["turnpike"].is_string() && !info["nonce"].is_null() {
            return self.complain(format!("gossip with a nonce: {info}"));
        }
        w.oracle.label("a nats-server was told of a member");
        let listed = self.lists.contains(&place);
        if id == self.id || self.remotes.contains_key(id) || listed || place == self.at {
            return;
        }
        let mode = info["gossip_mode"].as_i64().unwrap_or(0);
        let no_pool = self.conns.get(&link).and_then(|c| c.remote.as_ref()).and_then(|id| self.remotes.get(id));
        let no_pool = no_pool.is_some_and(|r| r.info["route_pool_size"].is_null());
        self.redial(place, Purpose { explicit: false, system: false, mode }, w.now);
        if self.version == Version::V215 && no_pool {
            self.redial(place, Purpose { explicit: false, system: true, mode }, w.now);
        }
    }

    /// A connection has ended: `theirs`, or by its own closing.
    pub(super) fn lost(&mut self, link: usize, now: u64, theirs: bool) {
        let Some(conn) = self.conns.remove(&link) else { return };
        let system = conn.dialed.is_some_and(|d| d.system);
        let was = conn.remote.as_ref().and_then(|id| self.remotes.remove(id));
        self.tell_clusters();
        self.members_changed(None);
        let reached = self.remotes.values().any(|r| r.place == conn.peer);
        let listed = self.lists.contains(&conn.peer);
        let what = |explicit, system| Purpose { explicit, system, mode: 0 };
        let soon = now + self.rng.below(100) * MILLISECOND;
        match was {
            Some(remote) if remote.explicit || listed => {
                self.redial(remote.place, what(true, false), soon + SECOND);
            }
            Some(remote) => {
                // 2.15 looks for a peer without a pool even if it was the one that was dialed (§3.9).
                if remote.retry || self.version == Version::V215 {
                    self.redial(remote.place, what(false, false), soon);
                }
                if self.version == Version::V215 {
                    self.redial(remote.place, what(false, true), soon);
                }
            }
            None if system && theirs && listed => self.redial(conn.peer, what(true, true), soon + SECOND),
            None if conn.dialed.is_some_and(|d| d.explicit) && !system && !reached => {
                self.redial(conn.peer, what(true, false), now + SECOND);
            }
            None => {}
        }
    }
}
