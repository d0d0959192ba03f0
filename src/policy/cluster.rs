//! `cluster`, the top-level `routes` and what the command line says of both, from the tree to [`Cluster`]
//! (operations.md §8). Called by the model, once per configuration.

use super::access::{secret, timeout};
use super::address::{address, advertisable, host, Port};
use super::doors::open_to_routes;
use super::keys::Scope;
use super::overrides::Overrides;
use super::quantity::show_duration;
use super::reading::Notes;
use super::route_url;
use super::settings::{Auth, Cluster, Listen, RouteLogin, RoutePermissions, RouteUrl, Secret, SubjectRules};
use super::tls_block::{self, Side};
use super::tree::{At, Node, Value};
use crate::base::limits::ROUTE_PING_INTERVAL_MAX;
use crate::wire::subject;
use std::time::Duration;

/// Pings that a peer may owe: with a ping each second the five seconds of [`Cluster::default`].
const PINGS_OWED: u32 = 4;

/// What was read, before it is known to fit together.
#[derive(Default)]
pub(super) struct ClusterDraft {
    cluster: Cluster,
    host: String,
    port: Port,
    user: Option<Written<String>>,
    password: Option<Written<String>>,
    /// Of the block, or of the command line alone.
    routes: Option<Written<Vec<RouteUrl>>>,
    /// At the top of the file.
    top_routes: Option<Written<Vec<RouteUrl>>>,
    ping_interval: Option<Duration>,
    ping_max: Option<u32>,
    peer_timeout: Option<Written<Duration>>,
    auth_timeout: Option<Duration>,
    name_at: At,
    advertise_at: At,
    /// `--cluster ""`
    switched_off: bool,
}

/// Something and where it stands.
#[derive(Clone, Copy)]
struct Written<T> {
    it: T,
    at: At,
}

impl ClusterDraft {
    /// Reads one key of the top scope. Not ours: false.
    pub(super) fn read(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        match key {
            "cluster" => {
                let Some(table) = notes.table(key, node) else { return true };
                notes.walk(Scope::Cluster, table, |notes, key, node| {
                    let known = self.listener(notes, key, node) || self.peers(notes, key, node);
                    debug_assert!(known, "{key} is in the table of keys but nobody reads it");
                });
            }
            "routes" => self.top_routes = routes(notes, key, node).filter(|r| !r.it.is_empty()),
            _ => return false,
        }
        true
    }

    /// Where routes come in, and from whom.
    fn listener(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        let (cluster, at) = (&mut self.cluster, node.at);
        match key {
            "name" => {
                cluster.name = notes.text(key, node).filter(|s| !s.is_empty());
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
                cluster.advertise = notes.text(key, node).filter(|s| !s.is_empty());
                self.advertise_at = at;
            }
            "no_advertise" => cluster.no_advertise = notes.boolean(key, node).unwrap_or_default(),
            "authorization" => self.authorization(notes, node),
            "permissions" => cluster.permissions = permissions(notes, key, node),
            "tls" => cluster.tls = tls_block::tls(notes, node, Side::Servers),
            _ => return false,
        }
        true
    }

    /// Whom to dial, and how long to believe in them.
    fn peers(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        match key {
            "routes" => self.routes = routes(notes, key, node).filter(|r| !r.it.is_empty()),
            "connect_retries" => {
                self.cluster.connect_retries = notes.limit(key, node, i64::from(i32::MAX)).unwrap_or(0) as u32;
            }
            // Who dials in vain always waits longer each time: there is nothing to choose.
            "connect_backoff" => drop(notes.boolean(key, node)),
            "ping_interval" => self.ping_interval = ping_interval(notes, key, node),
            "ping_max" => self.ping_max = notes.limit(key, node, i64::from(i32::MAX)).map(|n| n as u32),
            "peer_timeout" => {
                self.peer_timeout = notes.duration(key, node).map(|it| Written { it, at: node.at });
            }
            "mesh_readiness" => match notes.text(key, node).as_deref() {
                Some("fail") => self.cluster.unready_without_mesh = true,
                Some("warn") => self.cluster.unready_without_mesh = false,
                Some(_) => notes.wrong(node.at, key, "mesh_readiness must be \"fail\" or \"warn\""),
                None => {}
            },
            "write_timeout" => match notes.text(key, node).as_deref() {
                Some("default" | "retry") | None => {}
                Some("close") => {
                    notes.warn("write_timeout: close is not offered, a route stays while it takes anything in".into());
                }
                Some(_) => notes.wrong(node.at, key, "write_timeout must be 'default', 'close' or 'retry'"),
            },
            _ => return false,
        }
        true
    }

    fn authorization(&mut self, notes: &mut Notes<'_>, node: &Node) {
        let Some(table) = notes.table("authorization", node) else { return };
        let written = |notes: &mut Notes<'_>, key: &str, n: &Node| {
            notes.text(key, n).filter(|s| !s.is_empty()).map(|it| Written { it, at: n.at })
        };
        notes.walk(Scope::ClusterAuthorization, table, |notes, key, n| match key {
            "user" => self.user = written(notes, key, n),
            "password" => self.password = written(notes, key, n),
            "timeout" => {
                self.auth_timeout = timeout(notes, key, n);
                self.cluster.auth_timeout = self.auth_timeout.unwrap_or(self.cluster.auth_timeout);
            }
            _ => {
                notes.deprecated(n.at, key, "the permissions of a cluster stand beside its authorization, not in it");
                self.cluster.permissions = permissions(notes, key, n);
            }
        });
    }

    /// The command line goes before the file.
    pub(super) fn overlay(&mut self, notes: &mut Notes<'_>, over: &Overrides) {
        let (cluster, nowhere) = (&mut self.cluster, At::default());
        let given = |text: &Option<String>| text.clone().map(|t| Some(t).filter(|t| !t.is_empty()));
        if let Some(name) = given(&over.cluster_name) {
            (cluster.name, self.name_at) = (name, nowhere);
        }
        if let Some(address) = given(&over.cluster_advertise) {
            (cluster.advertise, self.advertise_at) = (address, nowhere);
        }
        cluster.no_advertise = over.no_advertise.unwrap_or(cluster.no_advertise);
        match over.connect_retries.map(u32::try_from) {
            Some(Ok(n)) => cluster.connect_retries = n,
            Some(Err(_)) => notes.wrong(nowhere, "connect_retries", "--connect_retries must be 0 or more"),
            None => {}
        }
        if let Some(url) = &over.cluster_listen {
            self.listen_at(notes, &url.0);
        }
        if let Some(urls) = &over.routes {
            let mut list = Vec::new();
            for url in urls.0.split(',').map(str::trim).filter(|u| !u.is_empty()) {
                if route_url::says_tls(url) {
                    notes.private_urls.push(("cluster", nowhere));
                }
                match route_url::route(url) {
                    Ok(route) => list.push(route),
                    Err(why) => notes.wrong(nowhere, "routes", format!("--routes: {why}")),
                }
            }
            // They take the place of the file's, wherever those stand.
            let place = if self.top_routes.is_some() { &mut self.top_routes } else { &mut self.routes };
            match place {
                Some(routes) => routes.it = list,
                None => *place = Some(Written { it: list, at: nowhere }),
            }
        }
    }

    /// `--cluster URL`. A user and password in it go before the file's; without them the file's guard stays.
    fn listen_at(&mut self, notes: &mut Notes<'_>, url: &str) {
        let at = At::default();
        self.switched_off = url.is_empty();
        if self.switched_off {
            return;
        }
        match route_url::parts(url) {
            Ok(parts) => {
                (self.host, self.port) = (parts.host, Port { number: parts.port, at });
                if let Some(RouteLogin { user, password }) = parts.login {
                    if password.is_empty() {
                        notes.wrong(at, "cluster", "--cluster: expected cluster password to be set");
                    }
                    self.user = Some(Written { it: user, at });
                    self.password = Some(Written { it: password, at });
                }
            }
            Err(why) => notes.wrong(at, "cluster", format!("--cluster: {why}")),
        }
    }

    /// Fits everything together. `clients` is where clients connect, `auth` what they must know.
    pub(super) fn finish(mut self, notes: &mut Notes<'_>, clients: &Listen, auth: &Auth) -> Option<Cluster> {
        if self.switched_off {
            return None;
        }
        self.check_names(notes);
        self.liveness(notes);
        self.take_login(notes);
        let on_client_port = self.top_routes.is_some();
        let routes_at = self.take_routes(notes);
        if self.port.number != 0 {
            let port = self.port.checked(notes, "port");
            self.cluster.listen = Some(Listen { host: host(&self.host), port });
        } else if !on_client_port {
            if !self.cluster.routes.is_empty() {
                let text = "solicited routes require cluster capabilities, e.g. --cluster nats://0.0.0.0:6222, or \
                            listen in the cluster block";
                notes.wrong(routes_at, "routes", text);
            } else if self.cluster != Cluster::default() {
                notes.warn("cluster: it has no listen or port and no routes, so this server stands alone".into());
            }
            return None;
        }
        let mut cluster = self.cluster;
        if cluster.tls.is_none() {
            notes.check_private_urls("cluster");
        }
        if let Some(tls) = &cluster.tls {
            cluster.auth_timeout = self.auth_timeout.unwrap_or(tls.timeout + Duration::from_secs(1));
        }
        if let (None, true) = (&cluster.listen, cluster.tls.is_some()) {
            let text = "routes on the client port speak no TLS of their own: give cluster a port (listen)";
            notes.wrong(routes_at, "tls", text);
        }
        tls_block::fit_login(notes, "cluster", cluster.tls.as_ref(), cluster.login.as_ref());
        if cluster.listen.is_none() {
            check_shared_port(notes, routes_at, cluster.login.as_ref(), auth);
        }
        if let Some(text) = open_to_routes(&cluster, clients) {
            notes.warn(text);
        }
        Some(cluster)
    }

    fn check_names(&self, notes: &mut Notes<'_>) {
        let cluster = &self.cluster;
        if cluster.name.as_ref().is_some_and(|n| n.chars().any(|c| c.is_whitespace() || c.is_control())) {
            notes.wrong(self.name_at, "name", "cluster name cannot contain spaces");
        }
        if cluster.advertise.as_ref().is_some_and(|a| !advertisable(a)) {
            notes.wrong(self.advertise_at, "advertise", "advertise of a cluster must be host or host:port");
        }
    }

    /// How often a peer is pinged, and how long it may be silent: as long as the pings last that it may owe, unless
    /// that time is given.
    fn liveness(&mut self, notes: &mut Notes<'_>) {
        let cluster = &mut self.cluster;
        cluster.ping_interval = self.ping_interval.unwrap_or(cluster.ping_interval);
        let Some(Written { it, at }) = self.peer_timeout else {
            let owed = self.ping_max.unwrap_or(PINGS_OWED);
            cluster.peer_timeout = cluster.ping_interval.saturating_mul(owed.saturating_add(1));
            return;
        };
        cluster.peer_timeout = it;
        if it <= cluster.ping_interval {
            let interval = show_duration(cluster.ping_interval);
            let text = format!("peer_timeout must be longer than the cluster's ping_interval, which is {interval}");
            notes.wrong(at, "peer_timeout", text);
        }
    }

    fn take_login(&mut self, notes: &mut Notes<'_>) {
        let password = self.password.take();
        let Some(user) = self.user.take() else {
            if let Some(password) = password {
                let text = "a password without a user would guard nothing: name the user too";
                notes.wrong(password.at, "password", text);
            }
            return;
        };
        let password = password.map_or(String::new(), |p| p.it);
        if password.is_empty() {
            notes.warn(format!("cluster: user \"{}\" has no password", user.it.escape_debug()));
        } else if matches!(secret(password.clone()), Secret::Bcrypt(_)) {
            notes.warn(
                "cluster: from a bcrypt hash nobody can tell the password, so peers without one in their route's URL \
                 will refuse this server; write it in the clear where such peers are"
                    .into(),
            );
        }
        self.cluster.login = Some(RouteLogin { user: user.it, password });
    }

    /// The routes, and where they stand.
    fn take_routes(&mut self, notes: &mut Notes<'_>) -> At {
        let routes = match (self.routes.take(), self.top_routes.take()) {
            (Some(a), Some(b)) => {
                let order = |r: &Written<_>| (r.at.file, r.at.line);
                let (first, second) = if order(&a) < order(&b) { (a, b) } else { (b, a) };
                let text = format!(
                    "routes stand at the top and in cluster (lines {} and {}): write them in one place",
                    first.at.line, second.at.line
                );
                notes.wrong(second.at, "routes", text);
                second
            }
            (Some(routes), None) | (None, Some(routes)) => routes,
            (None, None) => return At::default(),
        };
        self.cluster.routes = routes.it;
        routes.at
    }
}

/// Where routes come in on the client port, what admits a client must not admit a route: a route sees every account.
fn check_shared_port(notes: &mut Notes<'_>, at: At, login: Option<&RouteLogin>, auth: &Auth) {
    let guarded = auth.is_guarded();
    match login {
        None if guarded => {
            let remedy = if notes.toml() {
                "[cluster.authorization]\nuser = \"route\"\npassword = \"a password\""
            } else {
                "cluster {\n  authorization { user: route, password: \"a password\" }\n}"
            };
            let text = format!(
                "clients must say who they are, and routes come in on the same port, where a client's credentials \
                 never admit a route: give the routes their own, the same on every server of the cluster:\n{remedy}"
            );
            notes.wrong(at, "routes", text);
        }
        Some(login) if auth.users.iter().any(|u| u.name == login.user) => {
            let text = format!(
                "user \"{}\" is a client, and a client's credentials never admit a route: give the routes a user of \
                 their own in the authorization of cluster",
                login.user.escape_debug()
            );
            notes.wrong(at, "routes", text);
        }
        _ => {}
    }
}

/// A list of URLs, each once.
fn routes(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<Written<Vec<RouteUrl>>> {
    let Value::Array(list) = &node.value else {
        notes.wrong(node.at, key, format!("{key}: expected a list of URLs, found {}", node.value.kind()));
        return None;
    };
    let mut out = Vec::new();
    for n in list {
        let Some(text) = notes.text(key, n) else { continue };
        if route_url::says_tls(&text) {
            notes.private_urls.push(("cluster", n.at));
        }
        match route_url::route(&text) {
            Ok(route) if out.contains(&route) => notes.deprecated(n.at, key, "Duplicate route entry detected"),
            Ok(route) => out.push(route),
            Err(why) => notes.wrong(n.at, key, format!("error parsing route url: {why}")),
        }
    }
    Some(Written { it: out, at: node.at })
}

fn ping_interval(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<Duration> {
    let interval = notes.duration(key, node)?;
    if interval > ROUTE_PING_INTERVAL_MAX {
        notes.deprecated(node.at, key, "Cluster 'ping_interval' will reset to 30s which is the max for routes");
    }
    Some(interval.min(ROUTE_PING_INTERVAL_MAX))
}

/// Nothing where everything may pass.
fn permissions(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<RoutePermissions> {
    let mut out = RoutePermissions::default();
    let table = notes.table(key, node)?;
    notes.walk(Scope::ClusterPermissions, table, |notes, key, n| match key {
        "import" => out.import = rules(notes, key, n),
        _ => out.export = rules(notes, key, n),
    });
    Some(out).filter(|p| *p != RoutePermissions::default())
}

/// A subject or a list of them, which are allowed, or `{allow, deny}` with one or several each.
fn rules(notes: &mut Notes<'_>, key: &str, node: &Node) -> SubjectRules {
    let Value::Table(table) = &node.value else {
        return SubjectRules { allow: subjects(notes, key, node), deny: Vec::new() };
    };
    let mut out = SubjectRules::default();
    notes.walk(Scope::ClusterSubjects, table, |notes, key, n| match key {
        "allow" => out.allow = subjects(notes, key, n),
        _ => out.deny = subjects(notes, key, n),
    });
    out
}

fn subjects(notes: &mut Notes<'_>, key: &str, node: &Node) -> Vec<String> {
    let list = match &node.value {
        Value::Array(list) => list.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut out = Vec::new();
    for n in list {
        let Some(text) = notes.text(key, n) else { continue };
        let clean = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if clean && subject::valid_subscription(text.as_bytes()) {
            out.push(text);
        } else {
            notes.wrong(n.at, key, format!("subject \"{}\" is not a valid subject", text.escape_debug()));
        }
    }
    out
}
