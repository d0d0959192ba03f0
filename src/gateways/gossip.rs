//! What clusters tell each other about clusters and their servers, and what the members of this one do (cluster-protocol.md
//! §4.4). A newcomer is told of all clusters known here, so that one address of one cluster is enough to find all; members
//! are told of every cluster that is reached.

use super::border::Told;
use super::core::{Act, Gateways, Member};
use super::counters::Cause;
use super::greet::{nameable, read};
use super::link::{Linked, Pending};
use super::trouble::Kind;
use crate::base::limits::PEER_TEXT_BYTES_MAX;
use crate::base::{Cid, Level, PeerId};
use crate::conn::{GatewayInstruction, RouteNews};
use crate::wire::address::{join_address, shown, split_address};
use crate::wire::gateway::{Command, GatewayInfo, GatewayRefusal, LINE_MAX};
use crate::wire::traced::TRACING_PROTO;
use crate::wire::Fault;
use crate::{NATS_VERSION, TURNPIKE_VERSION};

/// Bytes of addresses in one line: the rest of the line is shorter than the other quarter.
const URLS_BYTES: usize = LINE_MAX / 4 * 3;

impl Gateways {
    /// Where this server takes gateways, as others are told: `host:port`.
    pub fn url(&self) -> String {
        let (host, port) = self.advertised();
        join_address(&host, port)
    }

    fn advertised(&self) -> (String, u16) {
        let own = (self.identity.host.clone(), self.identity.port);
        let Some(text) = self.gateway.advertise.as_deref() else { return own };
        match split_address(text) {
            Some((host, port)) => (host.into(), port),
            None => (text.trim_matches(['[', ']']).into(), own.1),
        }
    }

    /// Our INFO, the same for both roles (§6.2 item 2). `no_way_back` is for turnpikes only.
    pub(super) fn info_line(&self, no_way_back: String) -> Vec<u8> {
        let (host, port) = self.advertised();
        let info = GatewayInfo {
            server_id: self.identity.server_id.clone(),
            server_name: self.identity.server_name.clone(),
            version: NATS_VERSION.into(),
            proto: TRACING_PROTO,
            host,
            port,
            auth_required: self.gateway.login.is_some(),
            headers: self.identity.headers,
            max_payload: self.identity.max_payload as i64,
            gateway: self.gateway.name.clone(),
            gateway_urls: fitting(&self.own_urls),
            gateway_url: self.url(),
            gateway_nrp: true,
            gateway_iom: self.gateway.promises(),
            turnpike: TURNPIKE_VERSION.into(),
            no_way_back,
            borders: true,
            border: self.own.said(),
            ..GatewayInfo::default()
        };
        let mut line = Vec::new();
        info.write(&mut line);
        line
    }

    /// The line that tells of a cluster: to another one, or to members. None: nothing is known of where it is.
    fn gossip_line(&self, cluster: &str, to_members: bool) -> Option<Vec<u8>> {
        let urls = fitting(&self.book.get(cluster)?.urls());
        let id = &self.identity.server_id;
        let (server_id, server_name) = match to_members {
            // So that it is not taken for a word about a member.
            true => (format!("GW{id}"), self.identity.server_name.clone()),
            false => (id.clone(), String::new()),
        };
        let (gateway, gateway_cmd) = (cluster.to_string(), Command::Gossip as i64);
        let info =
            GatewayInfo { server_id, server_name, gateway, gateway_urls: urls, gateway_cmd, ..GatewayInfo::default() };
        let mut line = Vec::new();
        info.write(&mut line);
        (!info.gateway_urls.is_empty()).then_some(line)
    }

    /// An inbound link is about to be registered: it is told what changed about us since it came, and of all other clusters;
    /// its own is dialed back.
    pub(super) fn meet(&mut self, pending: &Pending, hello: &GatewayInfo, cluster: &str, first: &mut Vec<u8>) {
        self.counters.inbound += 1;
        let others = self
            .book
            .iter()
            .filter(|(name, e)| name.as_str() != cluster && e.standing != super::book::Standing::GivenUp);
        if pending.told != self.told {
            first.extend(self.info_line(String::new()));
        }
        others.filter_map(|(name, _)| self.gossip_line(name, false)).for_each(|line| first.extend(line));
        let urls = dialable(hello, &pending.ip);
        self.heard_of(cluster, &urls, || pending.shown());
    }

    /// An outbound link was registered: members hear of it, and its word on where its servers are counts.
    pub(super) fn linked_out(&mut self, rid: Cid) {
        let Some(linked) = self.linked.get(&rid) else { return };
        let (cluster, urls) = (linked.cluster.clone(), linked.hello.gateway_urls.clone());
        self.book.replace(&cluster, &urls, self.now.mono);
        self.tell_members(None, &cluster);
        self.tell_reaches();
    }

    fn tell_members(&mut self, to: Option<PeerId>, cluster: &str) {
        if self.members.is_empty() {
            return;
        }
        if let Some(line) = self.gossip_line(cluster, true) {
            self.acts.push_back(Act::Members { to, line });
        }
    }

    /// Tells the mesh whom we reach, if that changed.
    pub(super) fn tell_reaches(&mut self) {
        let mut reaches: Vec<String> =
            self.linked.values().filter(|l| l.is_outbound()).map(|l| l.cluster.clone()).collect();
        reaches.sort();
        if reaches != self.reaches {
            self.reaches.clone_from(&reaches);
            self.acts.push_back(Act::Reaches(reaches));
        }
    }

    /// A cluster is said, by `teller`, to be there. True: something about it was new.
    fn heard_of(&mut self, cluster: &str, urls: &[String], teller: impl FnOnce() -> String) -> bool {
        if cluster == self.gateway.name || !nameable(cluster) || !self.welcome(cluster) {
            return false;
        }
        let learned = self.book.learn(cluster, urls, self.now.mono);
        if learned.overlooked > 0 {
            self.counters.overlooked += learned.overlooked;
            if !std::mem::replace(&mut self.overlooked_said, true) {
                let text =
                    "more clusters, or addresses of one, are named than are remembered: the others are overlooked";
                self.log(Level::Warn, text.into());
            }
        }
        if learned.stranger {
            // Once: everybody who knows it tells of it, and again whenever a server of it comes or goes.
            self.log(Level::Debug, format!("{} tells of cluster \"{}\"", teller(), shown(cluster)));
        }
        if learned.news {
            self.changed();
        }
        learned.news
    }

    /// An INFO came over a registered link that is no command about an account.
    pub(super) fn informed(&mut self, link: Cid, json: &[u8]) {
        let Some(linked) = self.linked.get(&link) else { return };
        let (outbound, borders) = (linked.is_outbound(), linked.hello.borders);
        if !outbound && !borders {
            // What a dialer says after its first INFO means nothing (§4.3); a turnpike speaks of its rules.
            return;
        }
        let (cluster, words) = (linked.cluster.clone(), linked.shown());
        let Some(mut info) = read(json) else {
            return self.end_link(link, Fault::Malformed.text(), "it sent a malformed INFO");
        };
        let of_rules = match info.command() {
            Some(Command::Border) => true,
            None => info.gateway == cluster,
            _ => false,
        };
        if borders && of_rules && self.link_tells_rules(link, &mut info).is_none() || !outbound {
            return;
        }
        match info.command() {
            Some(Command::Gossip) if info.gateway == self.gateway.name => {}
            Some(Command::Gossip) => {
                if self.heard_of(&info.gateway, &info.gateway_urls, || words) {
                    self.dial_due();
                }
            }
            Some(_) => {}
            None if info.gateway != cluster => {
                let (ours, wanted, found) = (&self.gateway.name, &cluster, &info.gateway);
                let says = GatewayRefusal::Other { ours, wanted, found }.to_string();
                self.fail(Cause::OtherCluster, &words, format!("{words} calls its cluster \"{}\" now", shown(found)));
                self.end_link(link, &says, "it calls its cluster otherwise now");
            }
            None => self.link_informed(link, info),
        }
    }

    /// News of the cluster an outbound link leads to.
    fn link_informed(&mut self, link: Cid, info: GatewayInfo) {
        let Some(linked) = self.linked.get_mut(&link) else { return };
        let cluster = linked.cluster.clone();
        linked.hello.no_way_back = info.no_way_back.chars().take(PEER_TEXT_BYTES_MAX).collect();
        linked.hello.gateway_urls.clone_from(&info.gateway_urls);
        if self.book.replace(&cluster, &info.gateway_urls, self.now.mono).news {
            self.tell_members(None, &cluster);
        }
        self.changed();
    }

    /// The mesh tells about members.
    pub(super) fn members_changed(&mut self, news: RouteNews) {
        match news {
            RouteNews::Member { peer, server_id, server_name, gateway_url, reaches, pools, borders, border: said } => {
                let (known, now) = (self.members.remove(&peer), self.now.mono);
                let new = known.is_none();
                let untold = borders && known.as_ref().is_none_or(|m| !m.borders);
                let since = known.as_ref().map_or(now, |m| m.since);
                let misnamed = known.as_ref().and_then(|m| m.misnamed);
                let mut border = known.map_or_else(|| Told::nothing(now), |m| m.border);
                let fine = border.says(&said, now);
                self.member_reaches(&reaches);
                let member =
                    Member { server_id, server_name, gateway_url, reaches, pools, since, misnamed, borders, border };
                self.members.insert(peer, member);
                if pools {
                    self.order_outbound();
                }
                if new {
                    for cluster in self.reaches.clone() {
                        self.tell_members(Some(peer), &cluster);
                    }
                }
                match (fine, untold) {
                    (false, _) => self.leave_member(peer, "a border that is no digest"),
                    (true, true) => self.tell_member_rules(peer),
                    (true, false) => {}
                }
            }
            RouteNews::Gone { peer } => drop(self.members.remove(&peer)),
            RouteNews::Gossip { peer, json } => self.member_tells(peer, &json),
        }
        self.own_urls_changed();
        self.changed();
    }

    /// A member says which clusters it reaches: none of them is beyond hope.
    fn member_reaches(&mut self, reaches: &[String]) {
        for cluster in reaches {
            if self.welcome(cluster) {
                self.book.revive(cluster, self.now.mono);
            }
        }
    }

    /// A member tells of another cluster.
    fn member_tells(&mut self, peer: PeerId, json: &[u8]) {
        let Some(info) = read(json) else {
            if self.members.get(&peer).is_some_and(|m| m.borders) {
                self.leave_member(peer, "a malformed INFO");
            }
            return;
        };
        match info.command() {
            Some(Command::Gossip) => {}
            Some(Command::Border) => return self.member_tells_rules(peer, info),
            _ => return,
        }
        if info.gateway == self.gateway.name {
            let now = self.now.mono;
            if let Some(member) = self.members.get_mut(&peer) {
                member.misnamed.get_or_insert(now);
            }
            return;
        }
        let teller = self.members.get(&peer).map(|m| (m.server_name.clone(), m.server_id.clone()));
        let words = || {
            let (name, id) = teller.unwrap_or_default();
            format!("member \"{}\" ({})", shown(&name), shown(&id))
        };
        if self.heard_of(&info.gateway, &info.gateway_urls, words) {
            self.dial_due();
        }
    }

    /// If where this cluster takes gateways changed, all who send to it hear of it.
    fn own_urls_changed(&mut self) {
        let own = self.url();
        let addresses = self.members.values().filter_map(|m| split_address(&m.gateway_url));
        let mut others: Vec<String> = addresses.map(|(h, p)| join_address(h, p)).filter(|u| *u != own).collect();
        others.sort();
        others.dedup();
        let urls: Vec<String> = std::iter::once(own).chain(others).collect();
        if urls == self.own_urls {
            return;
        }
        self.own_urls = urls;
        self.told += 1;
        let inbound: Vec<Cid> = self.linked.iter().filter(|(_, l)| !l.is_outbound()).map(|(rid, _)| *rid).collect();
        inbound.into_iter().for_each(|rid| self.tell_about_us(rid));
    }

    /// Tells the other end of a link about this cluster.
    pub(super) fn tell_about_us(&mut self, link: Cid) {
        let Some(shard) = self.linked.get(&link).map(|l| l.shard) else { return };
        let line = self.about_us(link);
        self.acts.push_back(Act::Tell { shard, instruction: GatewayInstruction::Say { link, line } });
    }

    /// The line of it.
    pub(super) fn about_us(&mut self, link: Cid) -> Vec<u8> {
        let Some(linked) = self.linked.get(&link) else { return Vec::new() };
        let trouble = self.troubles.lasts(Kind::NoWayBack, &linked.cluster).filter(|_| is_turnpike(linked));
        let no_way_back = trouble.map(|t| t.text.clone()).unwrap_or_default();
        let told = !no_way_back.is_empty();
        let line = self.info_line(no_way_back);
        if let Some(linked) = self.linked.get_mut(&link) {
            linked.told_no_way_back = told;
        }
        line
    }

    /// Turnpikes hear of it when we begin and cease to have no way back to their cluster.
    pub(super) fn tell_ways_back(&mut self) {
        let lacks = |l: &Linked| self.troubles.lasts(Kind::NoWayBack, &l.cluster).is_some();
        let inbound = self.linked.iter().filter(|(_, l)| !l.is_outbound() && is_turnpike(l));
        let untold: Vec<Cid> = inbound.filter(|(_, l)| lacks(l) != l.told_no_way_back).map(|(rid, _)| *rid).collect();
        untold.into_iter().for_each(|rid| self.tell_about_us(rid));
    }
}

fn is_turnpike(linked: &Linked) -> bool {
    !linked.hello.turnpike.is_empty()
}

/// As many addresses as a line takes, the first of them first.
fn fitting(urls: &[String]) -> Vec<String> {
    let mut room = URLS_BYTES;
    let fits = urls.iter().take_while(|url| {
        let cost = url.len() + 3;
        room = room.saturating_sub(cost);
        room > 0
    });
    fits.cloned().collect()
}

/// Where the servers of a cluster take gateways, as one of them says it; `seen` stands in for a host that only means
/// "all interfaces".
fn dialable(hello: &GatewayInfo, seen: &str) -> Vec<String> {
    let all = hello.gateway_urls.iter().chain([&hello.gateway_url]);
    let addresses = all.filter_map(|url| split_address(url));
    addresses
        .map(|(host, port)| join_address(if matches!(host, "0.0.0.0" | "::") { seen } else { host }, port))
        .collect()
}
