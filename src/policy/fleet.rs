//! Configurations of many servers read together: what does not fit between them (docs/checking.md). Pure: `cli` reads
//! the files. Each is valid by itself; what is found here would start, and then not do what was meant.

mod accounts;
mod addresses;
mod borders;
mod draw;
mod gateways;
mod member;
mod routes;
mod tls;

pub use draw::{draw, Form};
pub use member::{Finding, Grade, Member};

use member::find;
use std::collections::BTreeMap;

/// All that does not fit between these servers, the gravest first.
pub fn check(members: &[Member]) -> Vec<Finding> {
    let mut found = Vec::new();
    names(members, &mut found);
    addresses::check(members, &mut found);
    routes::check(members, &mut found);
    gateways::check(members, &mut found);
    borders::check(members, &mut found);
    accounts::check(members, &mut found);
    tls::check(members, &mut found);
    found.sort();
    found.dedup();
    found
}

/// Two servers of one name are one to the tools, and to each other an intruder.
fn names(members: &[Member], found: &mut Vec<Finding>) {
    let mut by: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
    for member in members {
        if let Some(name) = &member.settings.server_name {
            by.entry(name).or_default().push(member);
        }
    }
    for (name, same) in by.into_iter().filter(|(_, same)| same.len() > 1) {
        let places = same.iter().map(|m| m.place(&["server_name", "name"])).collect();
        find(
            found,
            Grade::Error,
            places,
            format!("{} servers are called {name:?}: give each a name of its own", same.len()),
        );
    }
}

#[cfg(test)]
mod tests;
