//! The gateway of a scripted nats-server: whom it dials, what it says and hears until a link is registered, and gossip
//! (cluster-protocol.md §§4.2–4.5, captures C7 and C11). What both ends tell each other afterwards stands in `interest`.
//!
//! It *promises* to tell all its interest, as all do since 2.9.0, or it is one that does not (C10).

use super::super::super::pipes::Way;
use super::super::super::world::World;
use super::super::foreign::{Line, Said, DIAL_NS};
use super::super::member::{ip, GATEWAY_PORT};
use super::super::plan::{Cluster, Version};
use super::interest::{Told, Wants};
use super::{place_of, text, Key, Nats, PINGS_MAX, PING_NS};
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use turnpike::base::{MILLISECOND, SECOND};
use turnpike::policy::GatewayInterest;

/// See the file's head.
pub(super) struct Gates {
    /// It promises interest-only to everybody.
    pub promising: bool,
    /// Refused subjects of an account after which it tells its whole interest.
    pub refused_max: usize,
    /// It knows only the old form of replies.
    pub old_replies: bool,
    /// The other clusters, by name.
    seeks: BTreeMap<String, Seek>,
    pub links: BTreeMap<usize, Gate>,
    /// What its cluster wants, as inbound links were told.
    pub wide: BTreeSet<Key>,
    /// What its clients have begun to want lately: when, account, pattern.
    pub recent: Vec<(u64, String, String)>,
    /// Messages that it sent to other clusters in this act: number, place, subject, whether only what is wanted.
    pub crossed: Vec<(usize, usize, String, bool)>,
    /// Where its cluster takes gateways, as inbound links were told.
    told_urls: Vec<String>,
}

/// Another cluster.
#[derive(Default)]
struct Seek {
    /// In the list, with these servers.
    listed: BTreeSet<usize>,
    /// Where its servers are.
    places: BTreeSet<usize>,
    /// When it is to be dialed.
    due: Option<u64>,
    /// Still to be tried in this round.
    round: Vec<usize>,
    /// An attempt that nobody answers ends with this.
    failing: bool,
}

/// A connection to or from another cluster.
pub(super) struct Gate {
    pub line: Line,
    pub peer: usize,
    /// It dialed: this cluster.
    pub dialed: Option<String>,
    /// The cluster that the other end says it is of; empty: it has not said so.
    pub cluster: String,
    /// Hands are shaken.
    pub up: bool,
    ping_at: u64,
    asked_at: u64,
    unanswered: u32,
    /// The last round trip; 0: not measured.
    pub rtt: u64,
    /// Outbound: the other end promises interest-only.
    pub iom: bool,
    /// Outbound: the other end understands the new form of replies.
    pub new_replies: bool,
    /// Outbound: what it wants, by account.
    pub wants: BTreeMap<String, Wants>,
    /// Inbound: what it was told, by account.
    pub told: BTreeMap<String, Told>,
}

impl Gates {
    /// At its beginning; None: it has no gateway.
    pub(super) fn new(cluster: &Cluster, at: usize, now: u64) -> Option<Gates> {
        let gate = cluster.members[at].gate.as_ref()?;
        let mut seeks: BTreeMap<String, Seek> = BTreeMap::new();
        for (name, place) in gate.lists.iter().filter(|(name, _)| Some(name) != cluster.members[at].cluster.as_ref()) {
            let seek = seeks.entry(name.clone()).or_default();
            (seek.due, _) = (Some(now + SECOND), seek.listed.insert(*place));
            seek.places.insert(*place);
        }
        Some(Gates {
            promising: gate.interest != GatewayInterest::Optimistic,
            refused_max: gate.refused_max,
            old_replies: gate.old_replies,
            seeks,
            links: BTreeMap::new(),
            wide: BTreeSet::new(),
            recent: Vec::new(),
            crossed: Vec::new(),
            told_urls: Vec::new(),
        })
    }

    /// Can it do something now?
    pub(super) fn runnable(&self, w: &World) -> bool {
        self.links.values().any(|g| g.line.wants(w))
    }

    /// When something is due by itself.
    pub(super) fn next_at(&self) -> Option<u64> {
        let pings = self.links.values().map(|g| g.ping_at);
        self.seeks.values().filter_map(|s| s.due).chain(pings).min()
    }

    /// Registered links, and whether it sends on them.
    pub(super) fn registered(&self) -> Vec<(usize, bool)> {
        self.links.iter().filter(|(_, g)| g.up).map(|(l, g)| (*l, g.dialed.is_some())).collect()
    }

    fn outbound(&self, cluster: &str) -> bool {
        self.links.values().any(|g| g.dialed.as_deref() == Some(cluster))
    }

    fn reaches(&self) -> Vec<String> {
        self.links.values().filter(|g| g.up).filter_map(|g| g.dialed.clone()).collect()
    }

    fn inbounds(&self) -> Vec<usize> {
        self.links.iter().filter(|(_, g)| g.up && g.dialed.is_none()).map(|(l, _)| *l).collect()
    }

    pub(super) fn say(&mut self, link: usize, text: &str) {
        if let Some(gate) = self.links.get_mut(&link) {
            gate.line.say(text.as_bytes());
        }
    }

    /// Addresses of a cluster, as it tells others.
    fn urls(&self, cluster: &str) -> Vec<String> {
        self.seeks.get(cluster).into_iter().flat_map(|s| &s.places).map(|p| url(*p)).collect()
    }

    /// A cluster is said to be at these places; `only`: by its own word, so that what was learned before goes.
    fn learn(&mut self, cluster: &str, places: BTreeSet<usize>, only: bool, now: u64) {
        let reached = self.outbound(cluster);
        let known = self.seeks.contains_key(cluster);
        if places.is_empty() && !known {
            return;
        }
        let seek = self.seeks.entry(cluster.into()).or_default();
        if only {
            seek.places.clone_from(&seek.listed);
        }
        seek.places.extend(places);
        if !reached && !known {
            seek.due = Some(now);
        }
    }
}

fn url(at: usize) -> String {
    format!("{}:{GATEWAY_PORT}", ip(at))
}

fn places(info: &Value, servers: usize) -> BTreeSet<usize> {
    let urls = info["gateway_urls"].as_array().into_iter().flatten().filter_map(|u| u.as_str());
    urls.filter_map(|u| place_of(u, servers)).collect()
}

impl Nats {
    /// Somebody connects to its gateway.
    pub fn accept_gateway(&mut self, link: usize, peer: usize, now: u64) {
        self.add_gate(link, Way::Down, peer, None, now);
        let info = self.gateway_info();
        self.say_gate(link, &info);
    }

    fn add_gate(&mut self, link: usize, writes: Way, peer: usize, dialed: Option<String>, now: u64) {
        let ping_at = now + SECOND + self.rng.below(200) * MILLISECOND;
        let gate = Gate {
            line: Line::new(link, writes),
            peer,
            dialed,
            cluster: String::new(),
            up: false,
            ping_at,
            asked_at: 0,
            unanswered: 0,
            rtt: 0,
            iom: false,
            new_replies: false,
            wants: BTreeMap::new(),
            told: BTreeMap::new(),
        };
        if let Some(gates) = &mut self.gates {
            gates.links.insert(link, gate);
        }
    }

    pub(super) fn say_gate(&mut self, link: usize, text: &str) {
        if let Some(gates) = &mut self.gates {
            gates.say(link, text);
        }
    }

    /// Where its cluster takes gateways: itself, and the members that say so.
    fn gateway_urls(&self) -> Vec<String> {
        let members = self.remotes.values().map(|r| text(&r.info, "gateway_url").to_string());
        let mut all: Vec<String> = members.filter(|u| !u.is_empty()).chain([url(self.at)]).collect();
        all.sort();
        all.dedup();
        all
    }

    fn gateway_info(&self) -> String {
        let new = self.version == Version::V215;
        let mut info = json!({
            "server_id": self.id, "server_name": self.name, "go": "go1.19.4", "host": ip(self.at),
            "port": GATEWAY_PORT, "headers": true, "max_payload": 1_048_576, "gateway": self.cluster,
            "gateway_urls": self.gateway_urls(), "gateway_url": url(self.at), "proto": if new { 3 } else { 0 },
            "version": if new { "2.15.0" } else { "2.9.10" },
        });
        let gates = self.gates.as_ref();
        if gates.is_some_and(|g| g.promising) {
            info["gateway_iom"] = json!(true);
        }
        if gates.is_some_and(|g| !g.old_replies) {
            info["gateway_nrp"] = json!(true);
        }
        format!("INFO {info}\r\n")
    }

    /// What a route's INFO says of its gateway.
    pub(super) fn own_gateway_url(&self) -> Option<String> {
        self.gates.as_ref().map(|_| url(self.at))
    }

    /// Dials what is due.
    pub(super) fn dial_clusters(&mut self, w: &mut World) {
        let due: Vec<String> = {
            let Some(gates) = &self.gates else { return };
            gates.seeks.iter().filter(|(_, s)| s.due.is_some_and(|d| d <= w.now)).map(|(n, _)| n.clone()).collect()
        };
        for cluster in due {
            self.dial_cluster(w, &cluster);
        }
    }

    fn dial_cluster(&mut self, w: &mut World, cluster: &str) {
        let Some(gates) = &mut self.gates else { return };
        let reached = gates.outbound(cluster);
        let reaches_us = gates.links.values().any(|g| g.up && g.dialed.is_none() && g.cluster == cluster);
        let Some(seek) = gates.seeks.get_mut(cluster) else { return };
        seek.due = None;
        if reached {
            return;
        }
        if !std::mem::take(&mut seek.failing) {
            if seek.round.is_empty() {
                seek.round = seek.places.iter().copied().collect();
                for i in (1..seek.round.len()).rev() {
                    seek.round.swap(i, self.rng.below(i as u64 + 1) as usize);
                }
            }
            let Some(to) = seek.round.pop() else { return };
            if let Some(link) = w.foreign_dials_gateway(self.at, to) {
                return self.add_gate(link, Way::Up, to, Some(cluster.into()), w.now);
            }
            // Not answered, for a second; or refused at once.
            if w.apart(self.at, to) || w.barred.get(&(self.at, to)) == Some(&true) {
                (seek.failing, seek.due) = (true, Some(w.now + DIAL_NS));
                return;
            }
        }
        // The next address; behind the last one a pause. Who is in no list is forgotten then, unless it reaches us: then
        // a real one goes on without any pause.
        let pause = if reaches_us && seek.listed.is_empty() { 20 * MILLISECOND } else { SECOND };
        seek.due = Some(if seek.round.is_empty() { w.now + pause } else { w.now });
        if seek.round.is_empty() && seek.listed.is_empty() && !reaches_us {
            gates.seeks.remove(cluster);
        }
    }

    /// Hears all links to and from other clusters.
    pub(super) fn hear_clusters(&mut self, w: &mut World) {
        let links: Vec<usize> = self.gates.iter().flat_map(|g| g.links.keys().copied()).collect();
        for link in links {
            let Some(gate) = self.gates.as_mut().and_then(|g| g.links.get_mut(&link)) else { continue };
            let (end, writes) = (gate.line.read(w), gate.line.writes);
            while let Some(gate) = self.gates.as_mut().and_then(|g| g.links.get_mut(&link)) {
                let Some(said) = Some(gate).filter(|g| !g.line.closing).and_then(|g| g.line.next()) else { break };
                w.note(|| format!("nats-server {} gateway {link} hears {:?} {}", self.at, said.line, said.body.len()));
                self.heard_across(w, link, &said);
            }
            if end.is_some() {
                w.links[link].closed_by(writes);
                self.gate_lost(link, w.now);
            }
        }
    }

    /// One operation of another cluster.
    fn heard_across(&mut self, w: &mut World, link: usize, said: &Said) {
        let Some(gate) = self.gates.as_mut().and_then(|g| g.links.get_mut(&link)) else { return };
        let (verb, rest) = said.line.split_once(' ').unwrap_or((&said.line, ""));
        let (accepted, up) = (gate.dialed.is_none(), gate.up);
        let first = accepted && gate.cluster.is_empty();
        match verb {
            "CONNECT" if first => self.gate_asked_in(link, rest),
            "PING" => gate.line.say(b"PONG\r\n"),
            _ if first => self.complain(format!("a gateway begins with {:?}", said.line)),
            "PONG" => {
                (gate.unanswered, gate.rtt) = (0, if gate.asked_at > 0 { (w.now - gate.asked_at).max(1) } else { 0 });
            }
            "INFO" => match serde_json::from_str(rest.trim()) {
                Ok(info) => self.gate_informed(w, link, &info),
                Err(e) => self.complain(format!("INFO with {e}: {rest}")),
            },
            "RS+" | "RS-" if up && !accepted => self.wanted_there(link, &said.words()),
            "A+" | "A-" if up && !accepted => self.account_there(link, &said.words()),
            "RMSG" | "HMSG" if up && accepted => self.crossed_in(w, link, said),
            "-ERR" => {
                w.oracle.label("-ERR for a nats-server");
                let ours = w.is_ours(gate.peer);
                gate.line.closing = true;
                if ours && !w.struck {
                    self.complain(format!("another cluster says -ERR {rest}, and nothing has gone wrong"));
                }
            }
            _ => self.complain(format!("another cluster says {:?}, accepted: {accepted}, up: {up}", said.line)),
        }
    }

    /// Accepted: CONNECT.
    fn gate_asked_in(&mut self, link: usize, rest: &str) {
        let connect: Value = match serde_json::from_str(rest) {
            Ok(connect) => connect,
            Err(e) => return self.complain(format!("CONNECT with {e}: {rest}")),
        };
        let cluster = text(&connect, "gateway").to_string();
        if cluster.is_empty() || cluster == self.cluster || !text(&connect, "lang").is_empty() {
            return self.complain(format!("CONNECT of no other cluster: {rest}"));
        }
        if let Some(gate) = self.gates.as_mut().and_then(|g| g.links.get_mut(&link)) {
            gate.cluster = cluster;
        }
    }

    /// INFO, the first or a further one.
    fn gate_informed(&mut self, w: &mut World, link: usize, info: &Value) {
        let Some(gate) = self.gates.as_ref().and_then(|g| g.links.get(&link)) else { return };
        let (peer, cluster, command) = (gate.peer, text(info, "gateway").to_string(), info["gateway_cmd"].as_i64());
        match (gate.dialed.clone(), gate.up, command.unwrap_or(0)) {
            (None, false, 0) if cluster == gate.cluster && !text(info, "server_id").is_empty() => {
                self.gate_came(w, link, info);
            }
            // What a dialer says later means nothing (§4.3).
            (None, true, _) => {}
            (Some(wanted), false, 0) if cluster == wanted => self.gate_reached(w, link, info),
            (Some(wanted), false, 0) if cluster.is_empty() || !w.is_ours(peer) || w.struck => {
                let says = format!("-ERR 'Connection rejected, wanted to connect to \"{wanted}\"'\r\n");
                self.say_gate(link, &says);
                if let Some(gate) = self.gates.as_mut().and_then(|g| g.links.get_mut(&link)) {
                    gate.line.closing = true;
                }
            }
            (Some(_), true, 0) => {
                let named = places(info, w.servers.len());
                self.learned(w, &cluster, named, true);
                self.tell_members(None, &cluster);
            }
            (Some(_), true, 1) => {
                w.oracle.label("a nats-server heard of a third cluster");
                let named = places(info, w.servers.len());
                if named.is_empty() {
                    return self.complain(format!("gossip without addresses: {info}"));
                }
                self.learned(w, &cluster, named, false);
            }
            (Some(wanted), true, 2 | 3) if cluster == wanted => self.commanded(link, info),
            _ => self.complain(format!("an INFO that has no place here: {info}")),
        }
    }

    fn learned(&mut self, w: &World, cluster: &str, places: BTreeSet<usize>, only: bool) {
        let own = self.cluster == cluster;
        if let Some(gates) = self.gates.as_mut().filter(|_| !own) {
            gates.learn(cluster, places, only, w.now);
        }
    }

    /// Accepted: the INFO that registers. It is told of queue groups, of other clusters, and of all else if so promised.
    fn gate_came(&mut self, w: &World, link: usize, info: &Value) {
        let cluster = text(info, "gateway").to_string();
        self.learned(w, &cluster, places(info, w.servers.len()), false);
        let lines = self.begin_to_tell(link);
        let Some(gates) = &mut self.gates else { return };
        if let Some(gate) = gates.links.get_mut(&link) {
            gate.up = true;
        }
        gates.say(link, &lines.queues);
        let others: Vec<String> = gates.seeks.keys().filter(|name| **name != cluster).cloned().collect();
        for other in others {
            let urls = gates.urls(&other);
            let gossip = json!({
                "server_id": self.id, "server_name": "", "gateway": other, "gateway_urls": urls, "gateway_cmd": 1,
            });
            gates.say(link, &format!("INFO {gossip}\r\n"));
        }
        gates.say(link, &lines.whole);
    }

    /// Dialed: the right cluster answers.
    fn gate_reached(&mut self, w: &mut World, link: usize, info: &Value) {
        let connect = json!({
            "echo": false, "verbose": false, "pedantic": false, "tls_required": false, "headers": false,
            "name": self.id, "cluster": "", "gateway": self.cluster,
        });
        let says = format!("CONNECT {connect}\r\n{}", self.gateway_info());
        let cluster = text(info, "gateway").to_string();
        let Some(gates) = &mut self.gates else { return };
        gates.say(link, &says);
        if let Some(gate) = gates.links.get_mut(&link) {
            (gate.up, gate.cluster) = (true, cluster.clone());
            gate.iom = info["gateway_iom"] == json!(true);
            gate.new_replies = info["gateway_nrp"] == json!(true);
        }
        self.learned(w, &cluster, places(info, w.servers.len()), true);
        self.tell_members(None, &cluster);
    }

    /// Tells members, or one of them, where a cluster is that it reaches.
    fn tell_members(&mut self, to: Option<usize>, cluster: &str) {
        let Some(gates) = &self.gates else { return };
        let urls = gates.urls(cluster);
        let said = json!({
            "server_id": format!("GW{}", self.id), "server_name": self.name, "gateway": cluster, "gateway_urls": urls,
            "gateway_cmd": 1,
        });
        let links: Vec<usize> = self.remotes.values().map(|r| r.link).filter(|l| to.is_none_or(|t| t == *l)).collect();
        links.into_iter().for_each(|link| self.say(link, &format!("INFO {said}\r\n")));
    }

    /// A route was registered, or is over: members are told of clusters, and clusters of members.
    pub(super) fn members_changed(&mut self, came: Option<usize>) {
        let Some(gates) = &self.gates else { return };
        if let Some(link) = came {
            let reached = gates.reaches();
            reached.iter().for_each(|cluster| self.tell_members(Some(link), cluster));
        }
        let (urls, info) = (self.gateway_urls(), self.gateway_info());
        let Some(gates) = &mut self.gates else { return };
        if gates.told_urls != urls {
            gates.told_urls = urls;
            gates.inbounds().into_iter().for_each(|link| gates.say(link, &info));
        }
    }

    /// A member tells of another cluster.
    pub(super) fn member_told(&mut self, w: &mut World, info: &Value) {
        if !text(info, "server_id").starts_with("GW") || info["gateway_cmd"] != json!(1) {
            return self.complain(format!("gossip about gateways of another form: {info}"));
        }
        w.oracle.label("a nats-server was told of a cluster by a member");
        let named = places(info, w.servers.len());
        self.learned(w, text(info, "gateway"), named, false);
    }

    /// A link is over; an outbound one is dialed again.
    fn gate_lost(&mut self, link: usize, now: u64) {
        let Some(gates) = &mut self.gates else { return };
        let Some(Gate { dialed: Some(cluster), .. }) = gates.links.remove(&link) else { return };
        let soon = now + self.rng.below(100) * MILLISECOND;
        if let Some(seek) = gates.seeks.get_mut(&cluster) {
            seek.round.clear();
            seek.due = Some(if seek.listed.is_empty() { soon } else { soon + SECOND });
        }
    }

    /// Pings are due, or somebody has answered none.
    pub(super) fn beat_across(&mut self, now: u64) {
        let gates = self.gates.iter_mut().flat_map(|g| g.links.values_mut());
        for gate in gates.filter(|g| g.ping_at <= now) {
            gate.ping_at = now + PING_NS;
            if gate.unanswered > PINGS_MAX {
                gate.line.say(b"-ERR 'Stale Connection'\r\n");
                gate.line.closing = true;
                continue;
            }
            // Who says CONNECT is not pinged before it has.
            if gate.up {
                (gate.unanswered, gate.asked_at) = (gate.unanswered + 1, now);
                gate.line.say(b"PING\r\n");
            }
        }
    }

    /// Writes what there is room for.
    pub(super) fn write_across(&mut self, w: &mut World) {
        let mut over = Vec::new();
        for (link, gate) in self.gates.iter_mut().flat_map(|g| g.links.iter_mut()) {
            over.extend(gate.line.write(w).then_some(*link));
        }
        over.into_iter().for_each(|link| self.gate_lost(link, w.now));
    }
}
