//! Registration: one outbound link per cluster, any number of inbound ones; and all ends.

use super::book::STABLE_NS;
use super::border::Told;
use super::core::{Act, Gateways};
use super::counters::Cause;
use super::link::{Ending, Linked, Pending, Stage};
use crate::base::limits::{HANDSHAKES_MAX, INBOUNDS_MAX};
use crate::base::{Cid, Level, ShardId, Time};
use crate::conn::{GatewayInstruction, GatewayIntroduction, TheirRules, Way, ORDERED_LINKS};
use crate::wire::address::{join_address, shown};
use crate::wire::fault::write_fatal;
use crate::wire::gateway::GatewayInfo;
use crate::wire::traced::TRACING_PROTO;

impl Gateways {
    /// Registers a link that is already out of the table.
    pub(super) fn register(&mut self, rid: Cid, mut pending: Pending, hello: GatewayInfo, cluster: String) {
        let Some(way) = self.way(&pending) else {
            self.pending.insert(rid, pending);
            let why = "is one link too many";
            return self.end(rid, Ending::told(Cause::Full, "maximum gateways exceeded", why));
        };
        let first = self.first_words(way, rid, &pending, &hello, &cluster);
        let shard = if way.is_outbound() && self.members_pool() { ORDERED_LINKS } else { self.idlest() };
        self.load[shard.index()] += 1;
        let address = match &pending.dialed {
            Some(dialed) => dialed.address.clone(),
            None => join_address(&pending.ip, pending.port),
        };
        let border = std::mem::replace(&mut pending.border, Told::nothing(self.now.mono));
        let promise = if way == Way::In { self.gateway.promises() } else { hello.gateway_iom };
        let (since, told_no_way_back) = (self.now.mono, false);
        let (ip, ending, proved) = (pending.ip.clone(), false, false);
        let linked = Linked {
            way,
            cluster: cluster.clone(),
            hello: hello.clone(),
            address,
            ip,
            shard,
            since,
            ending,
            proved,
            told_no_way_back,
            border,
        };
        let theirs = if way.is_outbound() { self.their_rules(&linked) } else { TheirRules::default() };
        let intro = GatewayIntroduction {
            link: rid,
            way,
            cluster: cluster.clone().into(),
            server_id: hello.server_id.clone().into(),
            server_name: hello.server_name.clone().into(),
            ip: pending.ip.clone().into(),
            port: pending.port,
            configured: self.lists(&cluster),
            headers: hello.headers && self.identity.headers,
            interest_only: promise,
            new_replies: hello.gateway_nrp,
            traces: hello.proto >= TRACING_PROTO,
            turnpike: !hello.turnpike.is_empty(),
            theirs,
            start_ns: pending.since.wall_ns,
            first,
            rest: std::mem::take(&mut pending.heard),
        };
        self.acts.push_back(Act::Give { link: rid, shard, intro: Box::new(intro) });
        let direction = if way == Way::In { "inbound" } else { "outbound" };
        // Of links that end at once it has been said that they come.
        let flaps = way == Way::In && self.notices.hushed(Cause::ShortLived, &linked.ip);
        let level = if flaps { Level::Debug } else { Level::Info };
        self.log(level, format!("{direction} gateway to {} registered (rid:{})", linked.shown(), rid.0));
        self.linked.insert(rid, linked);
        self.share(rid);
        if way == Way::In {
            self.dial_due();
        } else {
            self.linked_out(rid);
        }
        self.changed();
    }

    /// What is said first on a link that is being registered, which is noted.
    fn first_words(&mut self, way: Way, rid: Cid, pending: &Pending, hello: &GatewayInfo, cluster: &str) -> Vec<u8> {
        let mut first = self.first_rules(hello);
        if way == Way::In {
            self.meet(pending, hello, cluster, &mut first);
            return first;
        }
        if hello.borders && pending.told != self.told {
            first.extend(self.info_line(String::new()));
        }
        self.counters.outbound += 1;
        self.book.linked(cluster, rid);
        first
    }

    /// Which way messages go on a link to be registered; None: there are too many.
    fn way(&mut self, pending: &Pending) -> Option<Way> {
        match pending.dialed {
            Some(_) => self.fars.take().map(Way::Out),
            None => {
                let inbound = self.linked.values().filter(|l| !l.is_outbound()).count();
                (inbound < INBOUNDS_MAX).then_some(Way::In)
            }
        }
    }

    /// The shard with the fewest links.
    fn idlest(&self) -> ShardId {
        let least = (0..self.load.len()).min_by_key(|s| self.load[*s]).unwrap_or(0);
        ShardId(least as u8)
    }

    /// Is there a member whose route and our outbound links must be on one shard?
    fn members_pool(&self) -> bool {
        self.members.values().any(|m| m.pools)
    }

    /// The first of those members came: outbound links that are elsewhere are dialed anew.
    pub(super) fn order_outbound(&mut self) {
        let elsewhere = |l: &Linked| l.is_outbound() && l.shard != ORDERED_LINKS;
        let links: Vec<Cid> = self.linked.iter().filter(|(_, l)| elsewhere(l)).map(|(rid, _)| *rid).collect();
        for rid in links {
            self.end_link(rid, "", "it moves to the shard of the route to a nats-server that came");
        }
    }

    /// Has the shard end a link.
    pub(super) fn end_link(&mut self, link: Cid, says: &str, why: &str) {
        let Some(linked) = self.linked.get_mut(&link).filter(|l| !l.ending) else { return };
        linked.ending = true;
        let instruction = GatewayInstruction::End { link, says: says.into(), why: why.into() };
        let shard = linked.shard;
        self.acts.push_back(Act::Tell { shard, instruction });
    }

    /// A link ended.
    pub(super) fn ended(&mut self, link: Cid, why: &str) {
        let Some(linked) = self.linked.remove(&link) else { return };
        self.load[linked.shard.index()] -= 1;
        let lasted = self.now.mono.since(linked.since);
        let direction = if linked.is_outbound() { "outbound" } else { "inbound" };
        let text = format!("{direction} gateway to {} ended: {}", linked.shown(), shown(why));
        if linked.is_outbound() || lasted >= STABLE_NS {
            self.log(Level::Info, text);
        } else {
            self.fail(Cause::ShortLived, &linked.ip, text);
        }
        if let Way::Out(far) = linked.way {
            self.fars.ended(far);
            self.book.unlinked(&linked.cluster, why, lasted, self.now.mono, &mut self.rng);
            self.tell_reaches();
        }
        self.changed();
    }

    /// An attempt to reach a cluster failed, with or without a connection.
    pub(super) fn dial_failed(&mut self, cluster: &str, why: &str) {
        let reaches_us = self.linked.values().any(|l| !l.is_outbound() && l.cluster == cluster);
        let wanted = reaches_us || self.members.values().any(|m| m.reaches.iter().any(|c| c == cluster));
        let retries = self.gateway.connect_retries;
        self.book.failed(cluster, why, self.now.mono, &mut self.rng, retries, wanted);
        self.changed();
    }

    /// Ends a link in handshake; of a number that is none, nothing.
    pub(super) fn end(&mut self, rid: Cid, ending: Ending) {
        let Some(pending) = self.pending.remove(&rid) else { return };
        if !ending.says.is_empty() {
            let mut bytes = Vec::new();
            write_fatal(&mut bytes, &ending.says);
            self.acts.push_back(Act::Write { link: rid, bytes });
        }
        self.acts.push_back(Act::Close { link: rid });
        let who = pending.dialed.as_ref().map_or(&pending.ip, |d| &d.address).clone();
        self.fail(ending.cause, &who, format!("gateway connection: {} {}", pending.shown(), ending.why));
        if let Some(dialed) = &pending.dialed {
            self.dial_failed(&dialed.cluster, &ending.why);
        }
    }

    /// After a change of the list: outbound links to clusters that may not be reached any more.
    pub(super) fn end_unwanted(&mut self) {
        let unwanted: Vec<Cid> =
            self.linked.iter().filter(|(_, l)| !self.welcome(&l.cluster)).map(|(rid, _)| *rid).collect();
        for rid in unwanted {
            self.end_link(rid, "", "the cluster is not in the list of gateways any more");
        }
    }

    /// Room for one more connection in handshake: the oldest goes.
    pub(super) fn make_room(&mut self) {
        let accepted = || self.pending.iter().filter(|(_, l)| l.dialed.is_none());
        if accepted().count() < HANDSHAKES_MAX {
            return;
        }
        // Numbers grow: the first is the oldest.
        if let Some(oldest) = accepted().next().map(|(rid, _)| *rid) {
            let why = "gave way: too many connections to the gateway port at a time";
            self.end(oldest, Ending::silent(Cause::Crowded, why));
        }
    }

    /// Links whose time is over.
    pub(super) fn expire(&mut self) {
        let now = self.now.mono;
        let over: Vec<Cid> = self.pending.iter().filter(|(_, l)| l.deadline <= now).map(|(rid, _)| *rid).collect();
        for rid in over {
            let Some(pending) = self.pending.get(&rid) else { continue };
            let ending = match &pending.stage {
                Stage::Greeted | Stage::Verifying { .. } | Stage::Admitted { .. } => {
                    Ending::told(Cause::Timeout, "Authentication Timeout", "said too little in too long a time")
                }
                Stage::Knocking => Ending::silent(Cause::Timeout, "said no INFO within 2 s"),
                Stage::Proposed { .. } => Ending::silent(Cause::Timeout, "did not answer CONNECT and INFO within 5 s"),
            };
            self.end(rid, ending);
        }
    }

    /// Outbound links that have lasted.
    pub(super) fn prove(&mut self) {
        let now = self.now.mono;
        for linked in self.linked.values_mut().filter(|l| l.is_outbound() && !l.proved) {
            if proof_at(linked) <= now {
                linked.proved = true;
                self.book.proved(&linked.cluster);
            }
        }
    }

    /// When [`Gateways::prove`] has something to do.
    pub(super) fn next_proof(&self) -> Option<Time> {
        self.linked.values().filter(|l| l.is_outbound() && !l.proved).map(proof_at).min()
    }
}

fn proof_at(linked: &Linked) -> Time {
    linked.since.plus_ns(STABLE_NS)
}
