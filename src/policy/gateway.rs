//! `gateway`, from the tree to [`Gateway`] (operations.md §9). Called by the model, once per configuration.

use super::access::{secret, timeout};
use super::address::{address, advertisable, host, Port};
use super::border::BorderDraft;
use super::doors::open_to_gateways;
use super::keys::Scope;
use super::quantity::show_duration;
use super::reading::Notes;
use super::route_url;
use super::settings::{
    Auth, Borders, Cluster, Gateway, GatewayInterest, Listen, RemoteGateway, RouteLogin, RouteUrl, Secret,
};
use super::tls_block::{self, Side};
use super::tree::{At, Node, Value};
use crate::base::limits::{FARS_MAX, GATEWAY_PEER_TIMEOUT_MIN, STRANGER_BYTES_MIN};
use std::time::Duration;

/// Pings that fit into `peer_timeout`: a lost one is no end. Who dies just behind a ping is out when the next one, a look
/// between two and `peer_timeout` are over: with so many that is less than 10 s for the default of 8 s.
const PINGS: u32 = 6;

/// What was read, before it is known to fit together.
#[derive(Default)]
pub(super) struct GatewayDraft {
    gateway: Gateway,
    borders: BorderDraft,
    /// Where the block stands; none: there is none.
    at: Option<At>,
    host: String,
    port: Port,
    user: Option<(String, At)>,
    password: Option<(String, At)>,
    name_at: At,
    advertise_at: At,
    auth_timeout: Option<Duration>,
}

impl GatewayDraft {
    /// Reads one key of the top scope. Not ours: false.
    pub(super) fn read(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        if key != "gateway" {
            return false;
        }
        let Some(table) = notes.table(key, node) else { return true };
        self.at = (!table.entries().is_empty()).then_some(node.at);
        notes.walk(Scope::Gateway, table, |notes, key, node| {
            let known =
                self.listener(notes, key, node) || self.links(notes, key, node) || self.borders.read(notes, key, node);
            debug_assert!(known, "{key} is in the table of keys but nobody reads it");
        });
        true
    }

    /// Where other clusters come in.
    fn listener(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        let (gateway, at) = (&mut self.gateway, node.at);
        match key {
            "name" => {
                gateway.name = notes.text(key, node).unwrap_or_default();
                self.name_at = at;
            }
            "listen" => {
                if let Some((host, number)) = address(notes, key, node) {
                    (self.host, self.port) = (host, Port { number, at });
                }
            }
            "host" => self.host = notes.text(key, node).unwrap_or_default(),
            "port" => self.port = Port { number: notes.integer(key, node).unwrap_or_default(), at },
            "advertise" => {
                gateway.advertise = notes.text(key, node).filter(|s| !s.is_empty());
                self.advertise_at = at;
            }
            "authorization" => self.authorization(notes, node),
            "tls" => gateway.tls = tls_block::tls(notes, node, Side::Servers),
            "reject_unknown_cluster" => gateway.reject_unknown = notes.boolean(key, node).unwrap_or_default(),
            _ => return false,
        }
        true
    }

    /// Whom to dial, how long to believe in them, and what is sent.
    fn links(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        let gateway = &mut self.gateway;
        match key {
            "gateways" => gateway.remotes = remotes(notes, key, node),
            "connect_retries" => {
                gateway.connect_retries = notes.limit(key, node, i64::from(i32::MAX)).unwrap_or(0) as u32;
            }
            // Who dials in vain always waits longer each time: there is nothing to choose.
            "connect_backoff" => drop(notes.boolean(key, node)),
            "peer_timeout" => {
                let Some(timeout) = notes.duration(key, node) else { return true };
                if timeout < GATEWAY_PEER_TIMEOUT_MIN {
                    let least = show_duration(GATEWAY_PEER_TIMEOUT_MIN);
                    notes.wrong(node.at, key, format!("peer_timeout of a gateway must be at least {least}"));
                }
                (gateway.peer_timeout, gateway.ping_interval) = (timeout, timeout / PINGS);
            }
            "interest" => gateway.interest = interest(notes, key, node).unwrap_or_default(),
            "account_interest" => {
                let Some(table) = notes.table(key, node) else { return true };
                for entry in table.entries().iter().filter(|e| !e.used) {
                    if let Some(mode) = interest(notes, key, &entry.node) {
                        gateway.account_interest.push((entry.key.clone(), mode));
                    }
                }
            }
            "no_interest_max" => {
                gateway.no_interest_max = notes.limit(key, node, 1_000_000).unwrap_or(gateway.no_interest_max);
            }
            "write_timeout" => match notes.text(key, node).as_deref() {
                Some("default" | "retry") | None => {}
                Some("close") => {
                    notes
                        .warn("write_timeout: close is not offered, a gateway stays while it takes anything in".into());
                }
                Some(_) => notes.wrong(node.at, key, "write_timeout must be 'default', 'close' or 'retry'"),
            },
            _ => return false,
        }
        true
    }

    fn authorization(&mut self, notes: &mut Notes<'_>, node: &Node) {
        let Some(table) = notes.table("authorization", node) else { return };
        notes.walk(Scope::GatewayAuthorization, table, |notes, key, n| match key {
            "user" => self.user = notes.text(key, n).filter(|s| !s.is_empty()).map(|it| (it, n.at)),
            "password" => self.password = notes.text(key, n).filter(|s| !s.is_empty()).map(|it| (it, n.at)),
            _ => {
                self.auth_timeout = timeout(notes, key, n);
                self.gateway.auth_timeout = self.auth_timeout.unwrap_or(self.gateway.auth_timeout);
            }
        });
    }

    /// Fits everything together; the cluster takes the gateway's name.
    pub(super) fn finish(
        mut self,
        notes: &mut Notes<'_>,
        cluster: Option<&mut Cluster>,
        auth: &Auth,
    ) -> Option<Gateway> {
        let at = self.at?;
        self.gateway.borders = std::mem::take(&mut self.borders).finish(notes, &self.gateway.name, auth);
        if self.port.number == 0 && self.user.is_none() && self.password.is_none() && self.gateway == Gateway::default()
        {
            // It says nothing.
            return None;
        }
        self.check_names(notes, at, cluster);
        self.take_login(notes);
        if self.port.number == 0 {
            let text = format!(
                "gateway \"{}\" has no port specified (listen, or port; select -1 for random port)",
                self.gateway.name.escape_debug()
            );
            notes.wrong(at, "gateway", text);
        } else {
            let port = self.port.checked(notes, "port");
            self.gateway.listen = Listen { host: host(&self.host), port };
        }
        let mut gateway = self.gateway;
        match &gateway.tls {
            None => notes.check_private_urls("gateway"),
            Some(tls) => gateway.auth_timeout = self.auth_timeout.unwrap_or(tls.timeout + Duration::from_secs(1)),
        }
        tls_block::fit_login(notes, "gateway", gateway.tls.as_ref(), gateway.login.as_ref());
        open_to_gateways(&gateway).into_iter().for_each(|text| notes.warn(text));
        for remote in gateway.remotes.iter().filter(|r| r.entries > 1) {
            notes.warn(format!(
                "gateways: {} entries are named \"{}\": their addresses are taken together; give each cluster a name of \
                 its own",
                remote.entries,
                remote.name.escape_debug()
            ));
        }
        Some(gateway)
    }

    fn check_names(&self, notes: &mut Notes<'_>, at: At, cluster: Option<&mut Cluster>) {
        let gateway = &self.gateway;
        if gateway.name.is_empty() {
            notes.wrong(at, "gateway", "gateway has no name: set it to the cluster's, the same on all its servers");
        } else if !nameable(&gateway.name) {
            notes.wrong(self.name_at, "name", "gateway name cannot contain spaces");
        }
        if gateway.advertise.as_ref().is_some_and(|a| !advertisable(a)) {
            notes.wrong(self.advertise_at, "advertise", "advertise of a gateway must be host or host:port");
        }
        let Some(cluster) = cluster else { return };
        match &cluster.name {
            Some(name) if *name != gateway.name => {
                let text = format!(
                    "cluster name \"{}\" conflicts with gateway name \"{}\": they are one name",
                    name.escape_debug(),
                    gateway.name.escape_debug()
                );
                notes.wrong(self.name_at, "name", text);
            }
            Some(_) => {}
            None => cluster.name = Some(gateway.name.clone()),
        }
    }

    fn take_login(&mut self, notes: &mut Notes<'_>) {
        let password = self.password.take();
        let Some((user, _)) = self.user.take() else {
            if let Some((_, at)) = password {
                notes.wrong(at, "password", "a password without a user would guard nothing: name the user too");
            }
            return;
        };
        let password = password.map_or(String::new(), |(p, _)| p);
        if password.is_empty() {
            notes.warn(format!("gateway: user \"{}\" has no password", user.escape_debug()));
        } else if matches!(secret(password.clone()), Secret::Bcrypt(_)) {
            notes.warn(
                "gateway: from a bcrypt hash nobody can tell the password, so clusters without one in their URL will \
                 refuse this server; write it in the clear where such clusters are"
                    .into(),
            );
        }
        self.gateway.login = Some(RouteLogin { user, password });
    }
}

fn nameable(name: &str) -> bool {
    !name.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn interest(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<GatewayInterest> {
    match notes.text(key, node)?.as_str() {
        "auto" => Some(GatewayInterest::Auto),
        "optimistic" => Some(GatewayInterest::Optimistic),
        "interest-only" => Some(GatewayInterest::InterestOnly),
        _ => {
            notes.wrong(node.at, key, format!("{key} must be \"auto\", \"optimistic\" or \"interest-only\""));
            None
        }
    }
}

/// A list of clusters. Two entries of one name become one.
fn remotes(notes: &mut Notes<'_>, key: &str, node: &Node) -> Vec<RemoteGateway> {
    let Value::Array(list) = &node.value else {
        notes.wrong(node.at, key, format!("{key}: expected a list of clusters, found {}", node.value.kind()));
        return Vec::new();
    };
    let mut out: Vec<RemoteGateway> = Vec::new();
    for n in list {
        let Some(found) = remote(notes, n) else { continue };
        match out.iter_mut().find(|r| r.name == found.name) {
            Some(same) => {
                same.entries += 1;
                same.tls = same.tls.take().or(found.tls);
                same.urls.extend(found.urls.into_iter().filter(|u| !same.urls.contains(u)).collect::<Vec<_>>());
            }
            None => out.push(found),
        }
    }
    if out.len() > FARS_MAX {
        notes.wrong(node.at, key, format!("{} clusters are too many, {FARS_MAX} is the most", out.len()));
    }
    out
}

fn remote(notes: &mut Notes<'_>, node: &Node) -> Option<RemoteGateway> {
    let table = notes.table("gateways", node)?;
    let mut remote = RemoteGateway { name: String::new(), urls: Vec::new(), entries: 1, tls: None };
    let (mut host, mut port, mut named_at) = (None, None, node.at);
    let (before, private) = (notes.mistakes(), notes.private_urls.len());
    notes.walk(Scope::RemoteGateway, table, |notes, key, n| match key {
        "name" => {
            remote.name = notes.text(key, n).unwrap_or_default();
            named_at = n.at;
        }
        "host" => host = notes.text(key, n).map(|text| (text, n.at)),
        "port" => port = notes.integer(key, n),
        "tls" => remote.tls = tls_block::tls(notes, n, Side::Dialed),
        _ => remote.urls.extend(urls(notes, key, n)),
    });
    if remote.tls.is_some() {
        notes.private_urls.truncate(private);
    }
    match (host, port) {
        (Some((host, _)), Some(port)) => match u16::try_from(port) {
            Ok(port @ 1..) if !host.is_empty() && nameable(&host) => {
                remote.urls.push(RouteUrl { host, port, login: None });
            }
            _ => notes.wrong(node.at, "port", format!("{port} is not a port from 1 to 65535, or the host is no host")),
        },
        (None, None) => {}
        _ => notes.wrong(node.at, "host", "a gateway's host and port stand together; or write url"),
    }
    if remote.name.is_empty() {
        notes.wrong(node.at, "gateways", "a gateway in the list has no name");
    } else if !nameable(&remote.name) {
        notes.wrong(named_at, "name", "gateway name cannot contain spaces");
    } else if remote.urls.is_empty() && notes.mistakes() == before {
        notes.wrong(node.at, "gateways", format!("gateway \"{}\" has no URL", remote.name.escape_debug()));
    }
    Some(remote)
}

fn urls(notes: &mut Notes<'_>, key: &str, node: &Node) -> Vec<RouteUrl> {
    let list = match &node.value {
        Value::Array(list) => list.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut out = Vec::new();
    for n in list {
        let Some(text) = notes.text(key, n) else { continue };
        if route_url::says_tls(&text) {
            notes.private_urls.push(("gateway", n.at));
        }
        match route_url::route(&text) {
            Ok(url) if out.contains(&url) => {}
            Ok(url) => out.push(url),
            Err(why) => notes.wrong(n.at, key, format!("error parsing gateway url: {why}")),
        }
    }
    out
}

impl Default for Gateway {
    fn default() -> Self {
        let peer_timeout = Duration::from_secs(8);
        Gateway {
            name: String::new(),
            listen: Listen { host: host(""), port: None },
            advertise: None,
            login: None,
            tls: None,
            auth_timeout: Duration::from_secs(2),
            stranger_bytes_max: STRANGER_BYTES_MIN,
            remotes: Vec::new(),
            connect_retries: 0,
            reject_unknown: false,
            interest: GatewayInterest::Auto,
            account_interest: Vec::new(),
            no_interest_max: 1000,
            ping_interval: peer_timeout / PINGS,
            peer_timeout,
            borders: Borders::default(),
        }
    }
}
