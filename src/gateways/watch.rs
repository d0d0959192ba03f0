//! What is amiss: found anew at each look, from what there is; said by the table of troubles. Each of these would lose
//! messages in silence.

use super::book::{Entry, Standing};
use super::core::Gateways;
use super::trouble::{Found, Kind, Line};
use crate::base::{Level, SECOND};
use crate::wire::address::{join_address, shown, split_address};

/// A cluster that we reach has so long to reach us before its silence is amiss; it too waits before it dials.
const BACK_NS: u64 = 7 * SECOND;
/// Routes of another cluster have so long to form before a server that is none of its members is one too many.
const TWINS_NS: u64 = 27 * SECOND;

impl Gateways {
    /// Looks what is amiss, and speaks of what has lasted.
    pub(super) fn review(&mut self) {
        let mut found = Found::new();
        self.clusters_not_reached(&mut found);
        self.not_reached_back(&mut found);
        self.members_amiss(&mut found);
        self.twins(&mut found);
        self.borders_amiss(&mut found);
        for (name, entry) in self.book.iter().filter(|(_, e)| e.entries > 1) {
            let text = format!(
                "{} entries of gateways are named \"{}\": their addresses are taken together; give each cluster a name \
                 of its own",
                entry.entries,
                shown(name)
            );
            found.insert((Kind::DoubleEntry, name.clone()), (self.started, text));
        }
        for line in self.troubles.review(found, self.now.mono) {
            match line {
                Line::Lasts(kind, text, first) => {
                    *self.counters.troubles.entry(kind).or_default() += u64::from(first);
                    self.log(Level::Error, text);
                }
                Line::Over(text) => self.log(Level::Info, text),
            }
        }
        self.tell_ways_back();
        self.review_at = self.troubles.next_at();
    }

    fn clusters_not_reached(&self, found: &mut Found) {
        for (name, entry) in self.book.iter().filter(|(_, e)| !matches!(e.standing, Standing::Linked(_))) {
            let since = self.linked.values().filter(|l| !l.is_outbound() && l.cluster == *name).map(|l| l.since).min();
            let error = self.why_not(entry);
            let word = shown(name);
            if let Some(since) = since {
                let text = format!("cluster \"{word}\" reaches this server, which has no way back to it: {error}");
                found.insert((Kind::NoWayBack, name.clone()), (since.max(entry.without_since), text));
                continue;
            }
            let members = self.members_that_reach(name);
            if !entry.configured && members.is_empty() {
                continue;
            }
            let though = if members.is_empty() { String::new() } else { format!(", though {members} reaches it") };
            let text = format!("cluster \"{word}\" is not reached{though}: {error}");
            found.insert((Kind::Unreached, name.clone()), (entry.without_since, text));
        }
    }

    fn why_not(&self, entry: &Entry) -> String {
        match (entry.last_error.is_empty(), entry.places.is_empty()) {
            (false, _) => shown(&entry.last_error),
            (true, true) => "it names no address".into(),
            (true, false) => "not tried yet".into(),
        }
    }

    /// For people; empty: nobody.
    pub(super) fn members_that_reach(&self, cluster: &str) -> String {
        let members = self.members.values().filter(|m| m.reaches.iter().any(|c| c == cluster));
        members.map(|m| m.shown()).collect::<Vec<_>>().join(", ")
    }

    fn not_reached_back(&self, found: &mut Found) {
        for linked in self.linked.values().filter(|l| l.is_outbound()) {
            let name = &linked.cluster;
            let word = shown(name);
            let own = self.own_urls.join(", ");
            if !linked.hello.no_way_back.is_empty() {
                let says = shown(&linked.hello.no_way_back);
                let text = format!(
                    "cluster \"{word}\" has no way back to this one, which it is told is at {own}; {} says: {says}",
                    linked.shown()
                );
                found.insert((Kind::NotReachedBack, name.clone()), (linked.since, text));
                continue;
            }
            // Where there are other members, its links may all lead to these.
            let alone = self.members.is_empty();
            if alone && !self.linked.values().any(|l| !l.is_outbound() && l.cluster == *name) {
                let text = format!(
                    "no server of cluster \"{word}\" has a gateway to this one, and nothing comes from there: can it \
                     reach {own}?"
                );
                found.insert((Kind::NotReachedBack, name.clone()), (linked.since.plus_ns(BACK_NS), text));
            }
        }
    }

    fn members_amiss(&self, found: &mut Found) {
        for member in self.members.values() {
            let (name, word) = (shown(&self.gateway.name), member.shown());
            if member.gateway_url.is_empty() {
                let text = format!(
                    "server {word} of this cluster has no gateway: its clients are cut off from all other clusters; give \
                     it a gateway named \"{name}\""
                );
                found.insert((Kind::MemberWithout, member.server_id.clone()), (member.since, text));
            }
            if let Some(since) = member.misnamed {
                let text = format!(
                    "server {word} of this cluster takes \"{name}\" for another cluster: the name of its gateway differs \
                     from ours"
                );
                found.insert((Kind::MemberMisnamed, member.server_id.clone()), (since, text));
            }
        }
    }

    /// A server that reaches us and is none of those that make up the cluster of its name, as that cluster itself says.
    fn twins(&self, found: &mut Found) {
        let same = |url: &str| split_address(url).map(|(h, p)| join_address(h, p));
        for out in self.linked.values().filter(|l| l.is_outbound() && !l.hello.gateway_urls.is_empty()) {
            let known: Vec<String> = out.hello.gateway_urls.iter().filter_map(|u| same(u)).collect();
            for other in self.linked.values().filter(|l| !l.is_outbound() && l.cluster == out.cluster) {
                let Some(url) = same(&other.hello.gateway_url).filter(|u| !known.contains(u)) else { continue };
                let text = format!(
                    "two clusters call themselves \"{}\", or one is torn apart: {} at {url} is none of the servers that {} \
                     names",
                    shown(&out.cluster),
                    other.shown(),
                    out.shown(),
                );
                let since = out.since.max(other.since).plus_ns(TWINS_NS);
                found.entry((Kind::Twins, out.cluster.clone())).or_insert((since, text));
            }
        }
    }
}
