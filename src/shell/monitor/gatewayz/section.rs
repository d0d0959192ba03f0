//! The section `gateway` of `/varz` (operations.md §16.1).

use crate::gateways::Report;
use crate::policy::settings::{Gateway, RemoteGateway};
use crate::shell::monitor::facts::Facts;
use crate::shell::monitor::json::{is_false, Float};
use crate::wire::address::join_address;
use serde::Serialize;

/// The gateway; all absent: there is none.
#[derive(Debug, Default, Serialize)]
pub struct Section<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_timeout: Option<Float>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_timeout: Option<Float>,
    #[serde(skip_serializing_if = "is_false")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    advertise: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_retries: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gateways: Vec<Listed<'a>>,
    #[serde(skip_serializing_if = "is_false")]
    reject_unknown: bool,
}

/// One cluster of the list.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
}

/// Builds it. What the machine lists is newer than the settings, which are those of the start but for TLS.
pub fn section<'a>(facts: &'a Facts, report: Option<&'a Report>) -> Section<'a> {
    let Some(g) = &facts.settings.gateway else { return Section::default() };
    let live = facts.loads.in_force(&facts.settings);
    let tls = live.gateway.as_ref().and_then(|g| g.tls.as_ref());
    Section {
        name: Some(&g.name),
        host: Some(&g.listen.host),
        port: Some(facts.gateway_port),
        auth_timeout: Some(Float(g.auth_timeout.as_secs_f64())),
        tls_timeout: Some(Float(tls.map_or(2.0, |t| t.timeout.as_secs_f64()))),
        tls_required: tls.is_some(),
        tls_verify: tls.is_some(),
        advertise: g.advertise.as_deref(),
        connect_retries: Some(g.connect_retries).filter(|n| *n > 0),
        gateways: listed(g, report),
        reject_unknown: g.reject_unknown,
    }
}

fn listed<'a>(g: &'a Gateway, report: Option<&'a Report>) -> Vec<Listed<'a>> {
    let urls = |r: &RemoteGateway| r.urls.iter().map(|u| join_address(&u.host, u.port)).collect();
    let written = g.remotes.iter().map(|r| Listed { name: &r.name, urls: urls(r) });
    let Some(report) = report else { return written.collect() };
    // Of this cluster itself the machine keeps no entry.
    let own = written.filter(|l| l.name == g.name);
    let remotes = report.remotes.iter().filter(|r| r.configured).map(|r| Listed {
        name: &r.name,
        urls: r.addresses.iter().filter(|a| a.configured).map(|a| a.address.clone()).collect(),
    });
    own.chain(remotes).collect()
}
