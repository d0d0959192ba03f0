//! TLS between servers: one side alone makes no connection private, it makes none. Certificates are on other machines and
//! not looked at here.

use super::member::{clusters, find, Finding, Grade, Member};
use crate::policy::tls::Tls;
use std::collections::BTreeMap;

pub(super) fn check(members: &[Member], found: &mut Vec<Finding>) {
    let of = clusters(members);
    for (name, all) in &of {
        routes(name, all, found);
        clients(name, all, found);
    }
    for m in members {
        gateways(m, &of, found);
    }
}

/// Two of which one speaks TLS and the other does not.
fn split<'a>(all: &[&'a Member], speaks: impl Fn(&Member) -> bool) -> Option<(&'a Member, &'a Member)> {
    let with = all.iter().find(|m| speaks(m))?;
    let without = all.iter().find(|m| !speaks(m))?;
    Some((with, without))
}

fn routes(name: &str, all: &[&Member], found: &mut Vec<Finding>) {
    let members: Vec<&Member> = all.iter().copied().filter(|m| m.settings.cluster.is_some()).collect();
    let tls = |m: &Member| m.settings.cluster.as_ref().is_some_and(|c| c.tls.is_some());
    if let Some((with, without)) = split(&members, tls) {
        let text = format!(
            "cluster {name:?}: routes speak TLS at {:?} and not at {:?}: no route stands between them until both do",
            with.name(),
            without.name()
        );
        find(found, Grade::Error, vec![without.place(&["cluster"]), with.place(&["cluster.tls", "cluster"])], text);
    }
    let of = |m: &Member| m.settings.cluster.as_ref().and_then(|c| c.tls.clone());
    let asks = members.iter().find(|m| of(m).is_some_and(|t| t.verify));
    let bare = members.iter().find(|m| of(m).is_some_and(|t| t.certs.is_empty()));
    if let (Some(asks), Some(bare)) = (asks, bare) {
        let places = vec![bare.place(&["cluster.tls", "cluster"]), asks.place(&["cluster.tls", "cluster"])];
        let text = format!(
            "cluster {name:?}: {:?} asks for a certificate (verify) and {:?} has none to show: give it cert_file and \
             key_file",
            asks.name(),
            bare.name()
        );
        find(found, Grade::Error, places, text);
    }
}

/// A client that is told of another server of the cluster goes there as it came here.
fn clients(name: &str, all: &[&Member], found: &mut Vec<Finding>) {
    let private = |m: &Member| m.settings.tls.as_ref().is_some_and(|t| !t.optional);
    let asking = |m: &Member| m.settings.tls.as_ref().is_some_and(|t| t.verify);
    let needed = split(all, private).map(|pair| ("clients need TLS", pair));
    let asked = || split(all, asking).map(|pair| ("clients are asked for a certificate", pair));
    if let Some((what, (with, without))) = needed.or_else(asked) {
        let text = format!(
            "cluster {name:?}: {what} at {:?} and not at {:?}: a client that moves may not be let in",
            with.name(),
            without.name()
        );
        find(found, Grade::Warning, vec![without.place(&["tls", "listen", "port"]), with.place(&["tls"])], text);
    }
}

fn gateways(m: &Member, of: &BTreeMap<&str, Vec<&Member>>, found: &mut Vec<Finding>) {
    let Some(gateway) = &m.settings.gateway else { return };
    for (n, remote) in gateway.remotes.iter().enumerate().filter(|(_, r)| r.name != gateway.name) {
        let ours = remote.tls.as_ref().or(gateway.tls.as_ref());
        let there = of.get(remote.name.as_str()).into_iter().flatten();
        let wrong =
            there.filter_map(|other| Some((other, between(ours, other.settings.gateway.as_ref()?.tls.as_ref())?)));
        if let Some((other, why)) = wrong.into_iter().next() {
            let text = format!("cluster {:?}, server {:?}: {why}: no link stands", remote.name, other.name());
            let here = m.place(&[&format!("gateway.gateways[{n}]"), "gateway.gateways", "gateway"]);
            find(found, Grade::Error, vec![here, other.place(&["gateway.tls", "gateway"])], text);
        }
    }
}

/// What keeps a dialer from an acceptor.
fn between(ours: Option<&Tls>, theirs: Option<&Tls>) -> Option<&'static str> {
    match (ours, theirs) {
        (None, None) => None,
        (None, Some(_)) => Some("its gateway speaks TLS and is dialed without"),
        (Some(_), None) => Some("its gateway is dialed with TLS and speaks none"),
        (Some(ours), Some(theirs)) => {
            (theirs.verify && ours.certs.is_empty()).then_some("it asks for a certificate, and there is none to show")
        }
    }
}
