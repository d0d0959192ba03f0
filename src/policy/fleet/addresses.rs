//! Who listens where: addresses that two doors would share, and whose door an address is.

use super::member::{advertised, anywhere, find, same_host, Finding, Grade, Member};
use crate::policy::settings::Listen;
use std::collections::BTreeMap;

/// A door for other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// For routes.
    Routes,
    /// For other clusters.
    Gateways,
}

/// Every door of a server: what it is for, where it is written, where it is.
fn doors(m: &Member) -> Vec<(&'static str, String, &Listen)> {
    let s = &m.settings;
    let mut doors = vec![("clients", m.place(&["listen", "port", "host"]), &s.listen)];
    if let Some(listen) = s.cluster.as_ref().and_then(|c| c.listen.as_ref()) {
        doors.push(("routes", m.place(&["cluster.listen", "cluster.port", "cluster"]), listen));
    }
    if let Some(gateway) = &s.gateway {
        doors.push(("gateways", m.place(&["gateway.listen", "gateway.port", "gateway"]), &gateway.listen));
    }
    if let Some(listen) = &s.monitor {
        doors.push(("monitoring", m.place(&["http", "http_port", "monitor_port"]), listen));
    }
    doors
}

/// Two doors at one address: the second one does not open.
pub(super) fn check(members: &[Member], found: &mut Vec<Finding>) {
    let mut taken: BTreeMap<(String, u16), (&str, String, &str)> = BTreeMap::new();
    for m in members {
        let doors = doors(m);
        for (i, (what, at, listen)) in doors.iter().enumerate() {
            let Some(port) = listen.port else { continue };
            let clash = doors[..i].iter().find(|(_, _, other)| {
                let overlap = anywhere(listen) || anywhere(other) || same_host(&listen.host, &other.host);
                other.port == Some(port) && overlap
            });
            if let Some((other, there, _)) = clash {
                let text = format!("port {port} is for {what} and for {other}: give one of them another port");
                find(found, Grade::Error, vec![at.clone(), there.clone()], text);
                continue;
            }
            // On all addresses of which machine is not written.
            if anywhere(listen) {
                continue;
            }
            let host = if same_host(&listen.host, "localhost") { "localhost" } else { &listen.host };
            match taken.get(&(host.to_lowercase(), port)) {
                Some((whose, there, for_what)) if *whose != m.file => {
                    let text =
                        format!("{host}:{port} is taken by {whose:?} for {for_what}: two servers cannot share it");
                    find(found, Grade::Error, vec![at.clone(), there.clone()], text);
                }
                _ => drop(taken.insert((host.to_lowercase(), port), (&m.file, at.clone(), what))),
            }
        }
    }
}

/// Whose door an address may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// This server's.
    One(usize),
    /// One of these servers', which listen on all addresses of machines whose names are not written.
    Perhaps(Vec<usize>),
    /// Nobody's.
    Nobody,
}

/// Finds doors by their addresses.
pub(super) struct Finder<'a> {
    members: &'a [Member],
    by_port: BTreeMap<u16, Vec<usize>>,
    door: Door,
}

impl<'a> Finder<'a> {
    pub(super) fn new(members: &'a [Member], door: Door) -> Finder<'a> {
        let mut by_port: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (i, m) in members.iter().enumerate() {
            let (listen, advertise) = listens(m, door);
            let port = listen.and_then(|l| l.port);
            let told = advertise.and_then(|text| advertised(text, port).1);
            let mut ports: Vec<u16> = port.into_iter().chain(told).collect();
            ports.dedup();
            ports.into_iter().for_each(|p| by_port.entry(p).or_default().push(i));
        }
        Finder { members, by_port, door }
    }

    pub(super) fn whose(&self, host: &str, port: u16) -> Whose {
        let mut perhaps = Vec::new();
        for &i in self.by_port.get(&port).into_iter().flatten() {
            let m = &self.members[i];
            let (listen, advertise) = listens(m, self.door);
            let told = advertise.map(|text| advertised(text, listen.and_then(|l| l.port)));
            if told.is_some_and(|(h, p)| same_host(&h, host) && p == Some(port)) {
                return Whose::One(i);
            }
            let Some(listen) = listen.filter(|l| l.port == Some(port)) else { continue };
            if !anywhere(listen) {
                if same_host(&listen.host, host) {
                    return Whose::One(i);
                }
                continue;
            }
            if named(m).any(|name| same_host(&name, host)) {
                return Whose::One(i);
            }
            perhaps.push(i);
        }
        match perhaps.is_empty() {
            true => Whose::Nobody,
            false => Whose::Perhaps(perhaps),
        }
    }
}

fn listens(m: &Member, door: Door) -> (Option<&Listen>, Option<&str>) {
    let s = &m.settings;
    match door {
        Door::Routes => match &s.cluster {
            Some(c) => (Some(c.listen.as_ref().unwrap_or(&s.listen)), c.advertise.as_deref()),
            None => (None, None),
        },
        Door::Gateways => {
            (s.gateway.as_ref().map(|g| &g.listen), s.gateway.as_ref().and_then(|g| g.advertise.as_deref()))
        }
    }
}

/// By what names the machine of a server may be known.
fn named(m: &Member) -> impl Iterator<Item = String> + '_ {
    let told = m.settings.client_advertise.as_deref().map(|text| advertised(text, None).0);
    let stem = m.file.rsplit('/').next().and_then(|f| f.split('.').next()).map(str::to_owned);
    let folder = m.file.rsplit('/').nth(1).map(str::to_owned);
    m.settings.server_name.clone().into_iter().chain(told).chain(stem).chain(folder)
}
