//! Accounts and users: messages of an account cross to servers that have it, and to no others.

use super::member::{clusters, find, Finding, Grade, Member};
use crate::policy::settings::{Account, Secret};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(members: &[Member], found: &mut Vec<Finding>) {
    let joined: Vec<&Member> =
        members.iter().filter(|m| m.settings.cluster.is_some() || m.settings.gateway.is_some()).collect();
    everywhere(&joined, found);
    alike(&joined, found);
    idle(members, found);
    for (name, all) in clusters(members) {
        users(name, &all, found);
    }
}

fn system(m: &Member) -> &str {
    m.settings.auth.system.map_or("", |i| &m.settings.auth.accounts[i].name)
}

/// Accounts that some servers have and others have not.
fn everywhere(members: &[&Member], found: &mut Vec<Finding>) {
    let mut having: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (i, m) in members.iter().enumerate() {
        for account in m.settings.auth.accounts.iter().filter(|a| a.name != system(m)) {
            having.entry(&account.name).or_default().insert(i);
        }
    }
    for (name, has) in having.iter().filter(|(_, has)| has.len() < members.len()) {
        let Some(lacks) = (0..members.len()).find(|i| !has.contains(i)).map(|i| members[i]) else { continue };
        let Some(first) = has.first().map(|i| members[*i]) else { continue };
        let path = format!("accounts.{}", name.to_lowercase());
        let text = format!(
            "account {name:?} is at {} of {} servers, not at {:?}: its messages do not reach the others",
            has.len(),
            members.len(),
            lacks.name()
        );
        find(found, Grade::Warning, vec![lacks.place(&["accounts"]), first.place(&[&path, "accounts"])], text);
    }
}

/// Accounts that are given other subjects, or other limits, at some servers than at others.
fn alike(members: &[&Member], found: &mut Vec<Finding>) {
    let mut known: BTreeMap<&str, (&Account, &Member)> = BTreeMap::new();
    let mut said = BTreeSet::new();
    for m in members {
        for account in m.settings.auth.accounts.iter().filter(|a| a.name != system(m)) {
            let (theirs, first) = *known.entry(&account.name).or_insert((account, m));
            let (here, there) = (imports(m, account), imports(first, theirs));
            let differs = match () {
                () if here != there => "imports".to_owned(),
                () if account.max_connections != theirs.max_connections => "max_connections".to_owned(),
                () if account.max_subscriptions != theirs.max_subscriptions => "max_subscriptions".to_owned(),
                () if account.max_payload != theirs.max_payload => "max_payload".to_owned(),
                () => continue,
            };
            if said.insert((&account.name, differs.clone())) {
                let path = format!("accounts.{}", account.name.to_lowercase());
                let within = format!("{path}.{differs}");
                let places = [m, &first].map(|m| m.place(&[&within, &path, "accounts"])).to_vec();
                let text = format!(
                    "account {:?}: {differs} at {:?} and at {:?} differ{}",
                    account.name,
                    m.name(),
                    first.name(),
                    only(&here, &there, m, first)
                );
                find(found, Grade::Warning, places, text);
            }
        }
    }
}

/// What one of two servers imports and the other does not, in words.
fn only(here: &BTreeSet<String>, there: &BTreeSet<String>, m: &Member, first: &Member) -> String {
    let alone = here.difference(there).next().map(|import| (import, m));
    match alone.or_else(|| there.difference(here).next().map(|import| (import, first))) {
        Some((import, at)) => format!(": only {:?} has {import}", at.name()),
        None => String::new(),
    }
}

/// What an account imports, in words.
fn imports(m: &Member, account: &Account) -> BTreeSet<String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let of = |index: u16| m.settings.auth.accounts.get(usize::from(index)).map_or("", |a| &a.name);
    let streams = account.shares.streams.iter().map(|s| ("stream", s.from, &s.names));
    let services = account.shares.services.iter().map(|s| ("service", s.to, &s.names));
    let all = streams.chain(services).map(|(kind, from, names)| {
        let (theirs, ours) = (text(names.their_pattern()), text(names.our_pattern()));
        format!("the {kind} \"{theirs}\" of {:?} as \"{ours}\"", of(from))
    });
    all.collect()
}

/// What is exported and imported at none of the servers that say so.
fn idle(members: &[Member], found: &mut Vec<Finding>) {
    let mut by: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (place, text) in members.iter().flat_map(|m| &m.places.idle) {
        by.entry(text).or_default().push(place.clone());
    }
    for (text, places) in by {
        find(found, Grade::Note, places, text.to_owned());
    }
}

/// A user who is somebody else at another server of his cluster.
fn users(name: &str, all: &[&Member], found: &mut Vec<Finding>) {
    let mut known: BTreeMap<&str, (&str, &Secret, &Member)> = BTreeMap::new();
    let mut said = BTreeSet::new();
    for m in all {
        let auth = &m.settings.auth;
        for user in &auth.users {
            let account = auth.accounts[user.account].name.as_str();
            let (there, secret, first) = known.entry(&user.name).or_insert((account, &user.password, m));
            let plain = |s: &Secret| matches!(s, Secret::Plain(_));
            let differs = match () {
                () if *there != account => {
                    format!("in account {account:?} at {:?} and in {there:?} at {:?}", m.name(), first.name())
                }
                () if plain(secret) && plain(&user.password) && **secret != user.password => {
                    format!("known by different passwords at {:?} and {:?}", m.name(), first.name())
                }
                () => continue,
            };
            if said.insert(user.name.clone()) {
                let paths =
                    [format!("accounts.{}", account.to_lowercase()), format!("accounts.{}", there.to_lowercase())];
                let places = vec![
                    m.place(&[&paths[0], "accounts", "authorization"]),
                    first.place(&[&paths[1], "accounts", "authorization"]),
                ];
                let text =
                    format!("cluster {name:?}: user {:?} is {differs}: a client that moves is not let in", user.name);
                find(found, Grade::Warning, places, text);
            }
        }
    }
}
