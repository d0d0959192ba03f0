//! Accounts and users: messages of an account cross to servers that have it, and to no others.

use super::member::{clusters, find, Finding, Grade, Member};
use crate::policy::settings::Secret;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(members: &[Member], found: &mut Vec<Finding>) {
    let joined: Vec<&Member> =
        members.iter().filter(|m| m.settings.cluster.is_some() || m.settings.gateway.is_some()).collect();
    everywhere(&joined, found);
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
