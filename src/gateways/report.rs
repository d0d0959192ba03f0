//! What the machine knows, for `/gatewayz`, `/varz` and readiness.

use super::book::Standing;
use super::border::Rules;
use super::core::Gateways;
use super::counters::Counters;
use super::trouble::Kind;
use crate::base::{Cid, FarId, ShardId, SECOND};
use crate::conn::Way;

/// A machine's account of itself.
#[derive(Clone, Debug)]
pub struct Report {
    /// The cluster's name.
    pub name: String,
    /// Where this cluster takes gateways, this server's own address first.
    pub urls: Vec<String>,
    /// How many outbound links there should be: one for each other cluster that is known and not given up.
    pub expected: usize,
    /// Registered links, by connection number, both ways.
    pub links: Vec<Link>,
    /// The other clusters.
    pub remotes: Vec<Remote>,
    /// Our rules; None: there are none.
    pub border: Option<Border>,
    /// What is amiss, for longer than a moment.
    pub troubles: Vec<Trouble>,
    /// Connections in handshake.
    pub handshakes: usize,
    /// Counts since the start.
    pub counters: Counters,
}

/// One registered link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its connection's number.
    pub rid: Cid,
    /// Outbound: the number shards call the cluster by; `None`: inbound.
    pub far: Option<FarId>,
    /// Who owns it.
    pub shard: ShardId,
    /// The other cluster.
    pub cluster: String,
    /// The id of the server at the other end.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `host:port`: as dialed, or of the socket.
    pub address: String,
    /// The cluster is in our list.
    pub configured: bool,
}

/// One other cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub name: String,
    /// It is in our list.
    pub configured: bool,
    /// What is being done about it.
    pub standing: Standing,
    /// Rounds of dials in a row that failed.
    pub failures: u32,
    /// What went wrong last; empty: nothing since it was last well.
    pub last_error: String,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// Servers of it that reach us.
    pub inbound: usize,
    /// Names of members of this cluster that reach it, as far as they say.
    pub reached_by: String,
    /// Does the server that we send to enforce rules, if it has any? None: there is none.
    pub enforces: Option<bool>,
    /// Its rules, as it tells them; None: it has none, or told none.
    pub border: Option<Border>,
}

/// What there is of a server's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Border {
    /// Their digest, hex.
    pub digest: String,
    /// How many exports; None: there is no such block.
    pub exports: Option<usize>,
    /// How many imports.
    pub imports: Option<usize>,
}

/// One address of another cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `host:port`
    pub address: String,
    /// It is in our list.
    pub configured: bool,
    /// Dials ever.
    pub attempts: u64,
    /// What went wrong there last; empty: nothing since it was last well.
    pub last_error: String,
}

/// What is amiss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Of which kind.
    pub kind: Kind,
    /// The cluster or the server's id.
    pub about: String,
    /// In words.
    pub text: String,
    /// For how long, seconds.
    pub seconds: u64,
}

impl Gateways {
    /// Everything known.
    pub fn report(&self) -> Report {
        let spokesmen = self.spokesmen();
        let enforces = |name: &str| {
            let mut outbound = self.linked.values().filter(|l| l.is_outbound() && l.cluster == name);
            outbound.next().map(|l| l.hello.borders)
        };
        let links = self.linked.iter().map(|(rid, l)| Link {
            rid: *rid,
            far: match l.way {
                Way::Out(far) => Some(far),
                Way::In => None,
            },
            shard: l.shard,
            cluster: l.cluster.clone(),
            id: l.hello.server_id.clone(),
            name: l.hello.server_name.clone(),
            address: l.address.clone(),
            configured: self.lists(&l.cluster),
        });
        let remotes = self.book.iter().map(|(name, e)| Remote {
            name: name.clone(),
            configured: e.configured,
            standing: e.standing,
            failures: e.failures,
            last_error: e.last_error.clone(),
            addresses: e.places.iter().map(address).collect(),
            inbound: self.linked.values().filter(|l| !l.is_outbound() && l.cluster == *name).count(),
            reached_by: self.members_that_reach(name),
            enforces: enforces(name),
            border: spokesmen.get(name.as_str()).and_then(|l| l.border.rules()).map(|r| border(r)),
        });
        let now = self.now.mono;
        let troubles = self.troubles.iter().map(|(kind, about, t)| Trouble {
            kind,
            about: about.into(),
            text: t.text.clone(),
            seconds: now.since(t.since) / SECOND,
        });
        Report {
            name: self.gateway.name.clone(),
            urls: self.own_urls.clone(),
            expected: self.book.iter().filter(|(_, e)| e.standing != Standing::GivenUp).count(),
            links: links.collect(),
            remotes: remotes.collect(),
            border: self.own.rules.as_deref().map(border),
            troubles: troubles.collect(),
            handshakes: self.pending.len(),
            counters: self.counters.clone(),
        }
    }

    /// What this server lacks to be sent clients for now; empty: nothing. Only what another member of this cluster has
    /// counts: a cluster that nobody reaches is no reason.
    pub fn unready(&self) -> Vec<String> {
        let unreached = |kind: Kind| matches!(kind, Kind::Unreached | Kind::NoWayBack);
        let lasting = self.troubles.iter().filter(|(kind, about, _)| {
            let known = self.book.get(about).is_some();
            unreached(*kind) && known && !self.members_that_reach(about).is_empty()
        });
        lasting.map(|(_, _, t)| t.text.clone()).collect()
    }
}

fn border(rules: &Rules) -> Border {
    let [exports, imports] = [&rules.exports, &rules.imports].map(|block| block.as_ref().map(|rules| rules.len()));
    Border { digest: rules.digest.to_string(), exports, imports }
}

fn address((address, place): (&String, &super::address::Place)) -> Address {
    Address {
        address: address.clone(),
        configured: place.configured,
        attempts: place.attempts,
        last_error: place.last_error.clone(),
    }
}
