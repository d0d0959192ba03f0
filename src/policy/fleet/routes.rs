//! Routes: does each cluster become one, and do its members fit together?

use super::addresses::{Door, Finder, Whose};
use super::member::{clusters, find, Finding, Grade, Member};
use crate::policy::settings::{RouteLogin, RouteUrl};
use std::collections::{BTreeMap, BTreeSet};

/// Servers that are joined, directly or over others: a forest in which each tree is one group.
struct Groups(Vec<usize>);

impl Groups {
    fn root(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

pub(super) fn check(members: &[Member], found: &mut Vec<Finding>) {
    let finder = Finder::new(members, Door::Routes);
    let mut groups = Groups((0..members.len()).collect());
    let mut addresses: BTreeMap<(&str, u16), usize> = BTreeMap::new();
    let mut listed: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (i, m) in members.iter().enumerate() {
        let Some(cluster) = &m.settings.cluster else { continue };
        for (n, route) in cluster.routes.iter().enumerate() {
            // Who dial one address meet there, whoever that is.
            let meet = *addresses.entry((&route.host, route.port)).or_insert(i);
            if members[meet].cluster() == m.cluster() {
                groups.join(meet, i);
            }
            let at = || place(m, n);
            match finder.whose(&route.host, route.port) {
                Whose::One(to) => {
                    listed.insert((i, to));
                    groups.join(i, to);
                    leads(m, &members[to], route, at(), found);
                }
                Whose::Perhaps(all) => {
                    let own: Vec<usize> =
                        all.iter().copied().filter(|o| members[*o].cluster() == m.cluster()).collect();
                    own.iter().for_each(|o| groups.join(i, *o));
                    if own.is_empty() {
                        let text = format!(
                            "the route to {}:{} leads to no server of cluster {:?}: who listens on port {} is in \
                             another cluster",
                            route.host,
                            route.port,
                            m.cluster(),
                            route.port
                        );
                        find(found, Grade::Error, vec![at()], text);
                    }
                }
                Whose::Nobody => {
                    let text = format!(
                        "the route to {}:{} leads to none of these servers: correct it, or name that server's file too",
                        route.host, route.port
                    );
                    find(found, Grade::Warning, vec![at()], text);
                }
            }
        }
    }
    for (name, of) in clusters(members) {
        let in_it: Vec<usize> =
            (0..members.len()).filter(|i| of.iter().any(|m| std::ptr::eq(*m, &members[*i]))).collect();
        apart(name, &in_it, members, &mut groups, found);
        sides(name, &in_it, members, &listed, found);
        alike(name, &of, found);
    }
}

fn place(m: &Member, n: usize) -> String {
    m.place(&[&format!("cluster.routes[{n}]"), "cluster.routes", &format!("routes[{n}]"), "routes", "cluster"])
}

/// A route that is known to lead to a server: is it one of ours, and does it let us in?
fn leads(from: &Member, to: &Member, route: &RouteUrl, at: String, found: &mut Vec<Finding>) {
    let there = to.place(&["cluster.name", "cluster"]);
    if from.cluster() != to.cluster() && !from.cluster().is_empty() && !to.cluster().is_empty() {
        let text = format!(
            "this route of cluster {:?} leads to {:?} of cluster {:?}: both refuse it; clusters are joined by gateways",
            from.cluster(),
            to.name(),
            to.cluster()
        );
        return find(found, Grade::Error, vec![at, there], text);
    }
    let (Some(ours), Some(theirs)) = (&from.settings.cluster, &to.settings.cluster) else { return };
    let asks = to.place(&["cluster.authorization", "cluster"]);
    let login = route.login.as_ref().or(ours.login.as_ref());
    if !opens(login, theirs.login.as_ref()) {
        let text = format!("what this route presents, {:?} does not let in: make user and password equal", to.name());
        find(found, Grade::Error, vec![at, asks], text);
    }
}

/// Does what is presented open a door? A hash says nothing about it here.
pub(super) fn opens(presented: Option<&RouteLogin>, wanted: Option<&RouteLogin>) -> bool {
    let Some(wanted) = wanted else { return true };
    let Some(presented) = presented else { return false };
    let hashed = wanted.password.starts_with("$2") || presented.password.starts_with("$2");
    presented.user == wanted.user && (hashed || presented.password == wanted.password)
}

/// A cluster whose routes do not make it one.
fn apart(name: &str, of: &[usize], members: &[Member], groups: &mut Groups, found: &mut Vec<Finding>) {
    if name.is_empty() {
        return;
    }
    let mut parts: BTreeMap<usize, Vec<&Member>> = BTreeMap::new();
    for &i in of {
        parts.entry(groups.root(i)).or_default().push(&members[i]);
    }
    if parts.len() < 2 {
        return;
    }
    let named = |part: &Vec<&Member>| {
        let names: Vec<&str> = part.iter().take(4).map(|m| m.name()).collect();
        format!("{}{}", names.join(", "), if part.len() > 4 { ", ..." } else { "" })
    };
    let shown: Vec<String> = parts.values().take(4).map(named).collect();
    let more = if parts.len() > 4 { format!(" and {} more parts", parts.len() - 4) } else { String::new() };
    let places = parts.values().map(|part| part[0].place(&["cluster.routes", "routes", "cluster"])).collect();
    let text = format!(
        "cluster {name:?} falls apart: no route joins [{}]{more}: list a server of one part in the routes of the other",
        shown.join("] and [")
    );
    find(found, Grade::Error, places, text);
}

/// Routes that only one of their ends lists, or none.
fn sides(name: &str, of: &[usize], members: &[Member], listed: &BTreeSet<(usize, usize)>, found: &mut Vec<Finding>) {
    let (mut one, mut none, mut first) = (0, 0, None);
    for (n, &a) in of.iter().enumerate() {
        for &b in &of[n + 1..] {
            match (listed.contains(&(a, b)), listed.contains(&(b, a))) {
                (true, true) => {}
                (false, false) => none += 1,
                (ab, _) => {
                    one += 1;
                    first = first.or(Some(if ab { (a, b) } else { (b, a) }));
                }
            }
        }
    }
    let Some((from, to)) = first else { return };
    let places = [from, to].map(|i| members[i].place(&["cluster.routes", "routes", "cluster"])).to_vec();
    let text = format!(
        "cluster {name:?}: {one} routes stand on one side only (as {:?} to {:?}) and {none} on none; gossip makes them, \
         as long as one server of the list is up",
        members[from].name(),
        members[to].name()
    );
    find(found, Grade::Note, places, text);
}

/// What members of one cluster must have in common.
fn alike(name: &str, of: &[&Member], found: &mut Vec<Finding>) {
    let split = |what: &dyn Fn(&Member) -> String| -> Vec<(String, &Member)> {
        let mut kinds: BTreeMap<String, &Member> = BTreeMap::new();
        for m in of {
            kinds.entry(what(m)).or_insert(m);
        }
        kinds.into_iter().collect()
    };
    type Row<'a> = (&'a str, Grade, &'a [&'a str], &'a dyn Fn(&Member) -> String, &'a str);
    let rows: [Row<'_>; 5] = [
        (
            "max_payload",
            Grade::Warning,
            &["max_payload"],
            &|m| m.settings.limits.max_payload.to_string(),
            "what one lets in another does not take from its own clients",
        ),
        (
            "gateway",
            Grade::Error,
            &["gateway", "cluster"],
            &|m| if m.settings.gateway.is_some() { "with a gateway".into() } else { "without".into() },
            "a server without one is not reached from other clusters; add the block",
        ),
        (
            "the system account",
            Grade::Error,
            &["system_account", "accounts"],
            &|m| m.settings.auth.system.map_or("none".into(), |i| m.settings.auth.accounts[i].name.clone()),
            "they do not answer one another's requests",
        ),
        (
            "headers",
            Grade::Warning,
            &["no_header_support"],
            &|m| if m.settings.headers { "on".into() } else { "off".into() },
            "messages lose them on the way",
        ),
        (
            "no_advertise",
            Grade::Note,
            &["cluster.no_advertise", "cluster"],
            &|m| m.settings.cluster.as_ref().is_some_and(|c| c.no_advertise).to_string(),
            "clients learn only some of the servers",
        ),
    ];
    for (key, grade, paths, what, consequence) in rows {
        let kinds = split(what);
        if kinds.len() < 2 {
            continue;
        }
        let shown: Vec<String> = kinds.iter().map(|(kind, m)| format!("{kind} at {:?}", m.name())).collect();
        let places = kinds.iter().map(|(_, m)| m.place(paths)).collect();
        let text = format!("cluster {name:?}: {key} differs ({}): {consequence}", shown.join(", "));
        find(found, grade, places, text);
    }
}
