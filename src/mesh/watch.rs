//! Who is missing: members that another live member has a route to and this server has not. Such a gap loses messages
//! (one hop is all a message makes), so it is said soon, and again while it lasts; and so is its end.

use super::core::Mesh;
use super::gap::{Gatewayless, Missing};
use crate::base::limits::{GAP_LINES_MAX, GAP_NAMES_MAX};
use crate::base::{Level, SECOND};
use crate::wire::address::shown;
use std::collections::BTreeMap;

/// A gap that closes by itself within this time is not worth a word: members notice an end at different times.
const PATIENCE_NS: u64 = 3 * SECOND;
/// Pauses between the lines about one gap; the last one repeats.
const AGAIN_NS: [u64; 3] = [10 * SECOND, 30 * SECOND, 60 * SECOND];

impl Mesh {
    /// Looks who is missing, and speaks of those whose time has come.
    pub(super) fn review(&mut self) {
        self.wake_orphans();
        let mut seen = self.reached_by_others();
        let gone: Vec<String> = self.missing.keys().filter(|id| !seen.contains_key(*id)).cloned().collect();
        let (mut lines, mut others) = (Vec::new(), Vec::new());
        for (name, text) in gone.into_iter().filter_map(|id| self.found(&id)) {
            match lines.len() < GAP_LINES_MAX {
                true => lines.push(text),
                false => others.push(name),
            }
        }
        lines.extend(together("the gap is over for", &others));
        lines.into_iter().for_each(|text| self.log(Level::Info, text));
        let now = self.now.mono;
        while let Some((id, (name, address, via))) = seen.pop_first() {
            let missing = self.missing.entry(id).or_insert_with(|| {
                let say_at = now.plus_ns(PATIENCE_NS);
                Missing { name, address, via: Vec::new(), since: now, say_at, said: 0 }
            });
            missing.via = via;
        }
        self.speak();
        self.speak_of_gateways();
        let gateways = self.gatewayless.as_ref().map(|g| g.say_at);
        self.review_at = self.missing.values().map(|m| m.say_at).chain(gateways).min();
    }

    /// By id: name, address, and who reaches it; without those we reach, and without whom a peer of ours replaced.
    fn reached_by_others(&self) -> BTreeMap<String, (String, String, Vec<String>)> {
        let mut out: BTreeMap<String, (String, String, Vec<String>)> = BTreeMap::new();
        for (_, peer) in self.peers.iter().filter(|(_, p)| !p.ending) {
            for (id, named) in peer.reaches.iter().filter(|(_, n)| !n.doubtful) {
                let replaced = || self.peers.iter().any(|(_, p)| p.address == named.address);
                if *id == self.identity.server_id || self.peers.find(id).is_some() || replaced() {
                    continue;
                }
                let blank = || (named.name.clone(), named.address.clone(), Vec::new());
                out.entry(id.clone()).or_insert_with(blank).2.push(peer.shown());
            }
        }
        out
    }

    /// A gap is closed, or nobody reaches that member any more: its name, and what is to be said.
    fn found(&mut self, id: &str) -> Option<(String, String)> {
        let missing = self.missing.remove(id).filter(Missing::lasting)?;
        let how = match self.peers.find(id) {
            Some(_) => "is there",
            None => "is missed no longer: nobody else has one either",
        };
        let seconds = self.now.mono.since(missing.since) / SECOND;
        let (name, address) = (shown(&missing.name), &missing.address);
        let text = format!("the route to \"{name}\" ({address}) {how}, after {seconds} s");
        Some((name, text))
    }

    fn speak(&mut self) {
        let now = self.now.mono;
        let (mut lines, mut others) = (Vec::new(), Vec::new());
        for (id, missing) in self.missing.iter_mut().filter(|(_, m)| m.say_at <= now) {
            let entry = self.book.of(id).next().map(|(_, e)| e).or_else(|| self.book.get(&missing.address));
            let error = entry.map(|e| e.last_error.as_str()).filter(|e| !e.is_empty()).unwrap_or("not reached yet");
            let (name, via) = (shown(&missing.name), missing.via.join(", "));
            match lines.len() < GAP_LINES_MAX {
                true => lines.push(format!(
                    "no route to \"{name}\" ({}) for {} s, though {via} has one: {error}",
                    missing.address,
                    now.since(missing.since) / SECOND,
                )),
                false => others.push(name),
            }
            missing.say_at = now.plus_ns(AGAIN_NS[missing.said.min(AGAIN_NS.len() - 1)]);
            self.counters.missing += u64::from(missing.said == 0);
            missing.said += 1;
        }
        lines.extend(together("no route, though others have one, to", &others));
        lines.into_iter().for_each(|text| self.log(Level::Error, text));
    }

    /// Members of this cluster have gateways and this server has none: what its clients say stays in the cluster.
    fn speak_of_gateways(&mut self) {
        let with = self.peers.iter().filter(|(_, p)| !p.ending && !p.hello.info.gateway_url.is_empty());
        let with: Vec<String> = with.map(|(_, p)| p.shown()).collect();
        let now = self.now.mono;
        if !self.gateway_url.is_empty() || with.is_empty() {
            if let Some(g) = self.gatewayless.take().filter(|g| g.said > 0) {
                let seconds = now.since(g.since) / SECOND;
                self.log(Level::Info, format!("no member has a gateway any more, after {seconds} s"));
            }
            return;
        }
        let blank = || Gatewayless { since: now, say_at: now.plus_ns(PATIENCE_NS), said: 0 };
        let g = self.gatewayless.get_or_insert_with(blank);
        if g.say_at > now {
            return;
        }
        g.say_at = now.plus_ns(AGAIN_NS[g.said.min(AGAIN_NS.len() - 1)]);
        g.said += 1;
        let text = format!(
            "this server has no gateway, though {} of its cluster has one: its clients are cut off from all other \
             clusters; give it a gateway section too",
            with.join(", ")
        );
        self.log(Level::Error, text);
    }
}

/// One line about members that there are too many of for a line each: a peer can name hundreds.
fn together(what: &str, names: &[String]) -> Option<String> {
    let some: Vec<String> = names.iter().take(GAP_NAMES_MAX).map(|name| format!("\"{name}\"")).collect();
    let rest = names.len().saturating_sub(some.len());
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    (!names.is_empty()).then(|| format!("{what} {} further members: {}{rest}", names.len(), some.join(", ")))
}
