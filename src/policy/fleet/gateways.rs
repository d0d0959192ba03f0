//! Gateways: do the clusters find one another, and let one another in?

use super::addresses::{Door, Finder, Whose};
use super::member::{clusters, find, Finding, Grade, Member};
use super::routes::opens;
use crate::policy::settings::{Gateway, RemoteGateway};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(members: &[Member], found: &mut Vec<Finding>) {
    let finder = Finder::new(members, Door::Gateways);
    let known: BTreeSet<&str> =
        members.iter().filter_map(|m| Some(m.settings.gateway.as_ref()?.name.as_str())).collect();
    for m in members {
        let Some(gateway) = &m.settings.gateway else { continue };
        for (n, remote) in gateway.remotes.iter().enumerate().filter(|(_, r)| r.name != gateway.name) {
            if !known.contains(remote.name.as_str()) {
                let text = format!(
                    "cluster {:?} is none of these servers': correct the name, or name the files of its servers too",
                    remote.name
                );
                find(found, Grade::Warning, vec![place(m, n)], text);
                continue;
            }
            urls(m, gateway, (n, remote), &finder, members, found);
        }
    }
    let of = clusters(members);
    for (name, all) in &of {
        same_remotes(name, all, found);
    }
    one_sided(&of, found);
}

fn place(m: &Member, n: usize) -> String {
    m.place(&[&format!("gateway.gateways[{n}]"), "gateway.gateways", "gateway"])
}

fn urls(
    m: &Member,
    gateway: &Gateway,
    (n, remote): (usize, &RemoteGateway),
    finder: &Finder<'_>,
    members: &[Member],
    found: &mut Vec<Finding>,
) {
    for url in &remote.urls {
        let is_there = |i: &usize| members[*i].cluster() == remote.name;
        let (all, certain) = match finder.whose(&url.host, url.port) {
            Whose::One(i) => (vec![i], true),
            Whose::Perhaps(all) => (all, false),
            Whose::Nobody => {
                let text = format!(
                    "no server of cluster {:?} takes gateways at {}:{}: correct the address, or name that server's file",
                    remote.name, url.host, url.port
                );
                find(found, Grade::Warning, vec![place(m, n)], text);
                continue;
            }
        };
        let Some(&to) = all.iter().find(|i| is_there(i)) else {
            let other = &members[all[0]];
            let text = format!(
                "{}:{} is a door of cluster {:?}, not of {:?}: the link is refused",
                url.host,
                url.port,
                other.cluster(),
                remote.name
            );
            find(found, Grade::Error, vec![place(m, n), other.place(&["gateway.name", "gateway"])], text);
            continue;
        };
        let Some(theirs) = members[to].settings.gateway.as_ref().filter(|_| certain) else { continue };
        if !opens(url.login.as_ref().or(gateway.login.as_ref()), theirs.login.as_ref()) {
            let text = format!(
                "what is presented to cluster {:?} it does not let in: make user and password equal",
                remote.name
            );
            find(
                found,
                Grade::Error,
                vec![place(m, n), members[to].place(&["gateway.authorization", "gateway"])],
                text,
            );
        }
    }
}

/// Servers of one cluster that list other clusters than their neighbours.
fn same_remotes(name: &str, all: &[&Member], found: &mut Vec<Finding>) {
    let mut kinds: BTreeMap<Vec<&str>, &Member> = BTreeMap::new();
    for m in all {
        let Some(gateway) = &m.settings.gateway else { continue };
        let mut names: Vec<&str> = gateway.remotes.iter().map(|r| r.name.as_str()).filter(|n| *n != name).collect();
        names.sort_unstable();
        kinds.entry(names).or_insert(m);
    }
    if kinds.len() < 2 {
        return;
    }
    let shown: Vec<String> =
        kinds.iter().map(|(names, m)| format!("{:?} lists [{}]", m.name(), names.join(", "))).collect();
    let places = kinds.values().map(|m| m.place(&["gateway.gateways", "gateway"])).collect();
    let text =
        format!("cluster {name:?}: its servers list different clusters ({}): make the lists equal", shown.join("; "));
    find(found, Grade::Warning, places, text);
}

/// Clusters that list one another on one side only: where the other takes only whom it lists, nobody gets through.
fn one_sided(of: &BTreeMap<&str, Vec<&Member>>, found: &mut Vec<Finding>) {
    for (name, all) in of {
        let lists = |m: &Member, whom: &str| {
            m.settings.gateway.as_ref().is_some_and(|g| g.remotes.iter().any(|r| r.name == whom))
        };
        for (other, others) in of.iter().filter(|(other, _)| *other != name) {
            let Some(from) = all.iter().find(|m| lists(m, other)) else { continue };
            let deaf = others
                .iter()
                .find(|m| m.settings.gateway.as_ref().is_some_and(|g| g.reject_unknown) && !lists(m, name));
            if let Some(deaf) = deaf {
                let text = format!(
                    "cluster {other:?} takes only clusters that it lists (reject_unknown_cluster), and {name:?} is none \
                     of them: list it there"
                );
                let places =
                    vec![deaf.place(&["gateway.gateways", "gateway"]), from.place(&["gateway.gateways", "gateway"])];
                find(found, Grade::Error, places, text);
            } else if !others.iter().any(|m| lists(m, name)) {
                let text =
                    format!("cluster {name:?} lists {other:?} and not the other way round: gossip makes up for it");
                let places = vec![
                    others[0].place(&["gateway.gateways", "gateway"]),
                    from.place(&["gateway.gateways", "gateway"]),
                ];
                find(found, Grade::Note, places, text);
            }
        }
    }
}
