//! Every configuration key there is and how it is treated: the one table that the model obeys and the documentation
//! repeats (operations.md §§3–11). Immutable.

/// The map in which a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The file itself.
    Top,
    /// `authorization { … }`
    Authorization,
    /// An entry of `users [ … ]`.
    User,
    /// `accounts { NAME { … } }`
    Account,
    /// `limits { … }` of an account.
    Limits,
    /// `tls { … }`
    Tls,
    /// An entry of `certs [ … ]` in it.
    TlsCert,
    /// `cluster { … }`
    Cluster,
    /// `authorization { … }` of a cluster.
    ClusterAuthorization,
    /// `permissions { … }` of a cluster.
    ClusterPermissions,
    /// `import` and `export` of a cluster's permissions.
    ClusterSubjects,
    /// `gateway { … }`
    Gateway,
    /// `authorization { … }` of a gateway.
    GatewayAuthorization,
    /// An entry of a gateway's `exports [ … ]`.
    GatewayExport,
    /// An entry of a gateway's `imports [ … ]`.
    GatewayImport,
    /// `leafnodes { … }`
    Leafnodes,
    /// `websocket { … }`
    Websocket,
    /// `permissions { … }` of users and accounts.
    Permissions,
    /// `publish` and `subscribe` of these.
    PermissionSubjects,
    /// `allow_responses { … }` of these.
    Responses,
    /// `auth_callout { … }`
    AuthCallout,
    /// An entry of an account's `exports [ … ]`.
    Export,
    /// An entry of an account's `imports [ … ]`.
    Import,
    /// `stream` and `service` of such an entry.
    Shared,
    /// A destination in `mappings { … }`.
    Mapping,
    /// `msg_trace { … }` of an account.
    MsgTrace,
    /// `resolver { … }`
    Resolver,
    /// An entry of a gateway's `gateways [ … ]`.
    RemoteGateway,
    /// An entry of `remotes [ … ]` in `leafnodes`.
    RemoteLeaf,
}

/// What happens when a key is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Does what it does in nats-server.
    Supported,
    /// Ours; nats-server does not know it.
    Ours,
    /// The server does not start: without it a door would stand open, or messages would go elsewhere.
    Refused(&'static str),
    /// Asks for something we do not offer and nobody is hurt by: one warning.
    Warned(&'static str),
    /// Shares the fate of the section it stands in.
    Within,
}

/// A key, its other names, and how it is treated.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands.
    pub scope: Scope,
    /// All names, lower case; the first is the one we use.
    pub names: &'static [&'static str],
    /// What happens.
    pub treatment: Treatment,
}

use Scope::{
    Account, AuthCallout, Authorization, Cluster, ClusterAuthorization, ClusterPermissions, ClusterSubjects, Export,
    Gateway, GatewayAuthorization, GatewayExport, GatewayImport, Import, Leafnodes, Limits, Mapping, MsgTrace,
    PermissionSubjects, Permissions, RemoteGateway, RemoteLeaf, Resolver, Responses, Shared, Tls, TlsCert, Top, User,
    Websocket,
};
use Treatment::{Ours, Refused, Supported, Warned, Within};

const NO_WEAK_CIPHERS: &str = "weak cipher suites are not offered";
const NO_STORE: &str = "certificate stores are Windows's: name files";
const NO_CALLOUT: &str = "auth callout is not supported yet";
const NO_RESOLVERS: &str = "accounts by URL or from a directory are not supported yet: list them in resolver_preload";
const NO_PROXIES: &str = "proxies in front of clients are not supported yet";
const NO_JETSTREAM: &str = "JetStream is not offered";
const NO_LEAFNODES: &str = "leaf nodes are not offered";
const NO_WEBSOCKET: &str = "WebSocket is not offered";
const NO_SYSLOG: &str = "syslog is not offered; log lines go to standard error or to log_file";
const NO_PROFILING: &str = "profiling over HTTP is not offered";
const NO_OCSP: &str = "OCSP is not offered";
const NO_REPORTS: &str = "how often failed dials are logged cannot be changed";

/// How a whole section fares, where its keys are [`Within`].
pub const fn section(scope: Scope) -> Treatment {
    match scope {
        AuthCallout => Refused(NO_CALLOUT),
        Leafnodes | RemoteLeaf => Warned(NO_LEAFNODES),
        Websocket => Warned(NO_WEBSOCKET),
        Tls | TlsCert | Top | Authorization | User | Account | Limits | Resolver => Supported,
        Export | Import | Shared | Mapping | MsgTrace => Supported,
        Permissions | PermissionSubjects | Responses => Supported,
        Cluster | ClusterAuthorization | ClusterPermissions | ClusterSubjects => Supported,
        Gateway | GatewayAuthorization | RemoteGateway => Supported,
        GatewayExport | GatewayImport => Ours,
    }
}

const fn key(scope: Scope, treatment: Treatment, names: &'static [&'static str]) -> Key {
    Key { scope, names, treatment }
}

/// The table.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key(Top, Supported, &["listen"]),
    key(Top, Supported, &["host", "net"]),
    key(Top, Supported, &["port"]),
    key(Top, Supported, &["client_advertise"]),
    key(Top, Supported, &["server_name"]),
    key(Top, Supported, &["server_tags"]),
    key(Top, Supported, &["server_metadata"]),
    key(Top, Supported, &["debug"]),
    key(Top, Supported, &["trace"]),
    key(Top, Supported, &["trace_verbose"]),
    key(Top, Supported, &["logtime"]),
    key(Top, Supported, &["logtime_utc"]),
    key(Top, Supported, &["log_file", "logfile"]),
    key(Top, Supported, &["log_size_limit", "logfile_size_limit"]),
    key(Top, Supported, &["log_max_num", "logfile_max_num"]),
    key(Top, Supported, &["max_traced_msg_len"]),
    key(Top, Supported, &["pid_file", "pidfile"]),
    key(Top, Supported, &["ports_file_dir"]),
    key(Top, Supported, &["http"]),
    key(Top, Supported, &["http_port", "monitor_port"]),
    key(Top, Supported, &["http_base_path"]),
    key(Top, Supported, &["max_control_line"]),
    key(Top, Supported, &["max_payload"]),
    key(Top, Supported, &["max_pending"]),
    key(Top, Supported, &["max_connections", "max_conn"]),
    key(Top, Supported, &["max_subscriptions", "max_subs"]),
    key(Top, Supported, &["max_sub_tokens", "max_subscription_tokens"]),
    key(Top, Supported, &["max_closed_clients"]),
    key(Top, Supported, &["ping_interval"]),
    key(Top, Supported, &["ping_max"]),
    key(Top, Supported, &["write_deadline"]),
    key(Top, Supported, &["write_timeout"]),
    key(Top, Supported, &["no_fast_producer_stall"]),
    key(Top, Supported, &["lame_duck_duration"]),
    key(Top, Supported, &["lame_duck_grace_period"]),
    key(Top, Supported, &["no_header_support"]),
    key(Top, Supported, &["authorization"]),
    key(Top, Supported, &["cluster"]),
    key(Top, Supported, &["gateway"]),
    key(Top, Supported, &["no_auth_user"]),
    key(Top, Supported, &["accounts"]),
    key(Top, Supported, &["system_account", "system"]),
    key(Top, Supported, &["no_system_account", "no_system", "no_sys_acc"]),

    key(Top, Ours, &["shards"]),
    key(Top, Ours, &["cpus"]),
    key(Top, Ours, &["idle"]),
    key(Top, Ours, &["io_memory"]),
    key(Top, Ours, &["max_pending_total"]),
    key(Top, Ours, &["memory_limit"]),
    key(Top, Ours, &["max_subscription_bytes"]),
    key(Top, Ours, &["shutdown_grace"]),
    key(Top, Ours, &["log_format"]),
    key(Top, Ours, &["strict"]),
    key(Top, Ours, &["strict_headers"]),
    key(Top, Ours, &["routes"]),

    key(Top, Supported, &["tls"]),
    key(Top, Supported, &["https"]),
    key(Top, Supported, &["https_port"]),
    key(Top, Refused(NO_PROXIES), &["proxy_protocol"]),
    key(Top, Refused(NO_PROXIES), &["proxies"]),
    key(Top, Supported, &["mappings", "maps"]),
    key(Top, Supported, &["operator", "operators", "root", "roots", "root_operator", "root_operators"]),
    key(Top, Supported, &["resolver", "account_resolver", "accounts_resolver"]),
    key(Top, Supported, &["resolver_preload"]),
    key(Top, Refused(NO_RESOLVERS), &["resolver_tls"]),
    key(Top, Supported, &["resolver_pinned_accounts"]),
    key(Top, Supported, &["trusted_keys", "trusted"]),
    key(Top, Supported, &["default_sentinel"]),

    key(Top, Warned(NO_LEAFNODES), &["leafnodes", "leaf"]),
    key(Top, Warned(NO_WEBSOCKET), &["websocket", "ws"]),
    key(Top, Warned("MQTT is not offered"), &["mqtt"]),
    key(Top, Warned(NO_JETSTREAM), &["jetstream"]),
    key(Top, Warned(NO_JETSTREAM), &["store_dir", "storedir"]),
    key(Top, Warned(NO_JETSTREAM), &["default_js_domain"]),
    key(Top, Warned(NO_SYSLOG), &["syslog"]),
    key(Top, Warned(NO_SYSLOG), &["remote_syslog"]),
    key(Top, Warned("tracing only headers is not offered; trace shows the whole protocol"), &["trace_headers"]),
    key(Top, Warned(NO_PROFILING), &["prof_port"]),
    key(Top, Warned(NO_PROFILING), &["prof_block_rate"]),
    key(Top, Warned(NO_OCSP), &["ocsp"]),
    key(Top, Warned(NO_OCSP), &["ocsp_cache"]),
    key(Top, Supported, &["allow_non_tls"]),
    key(Top, Warned("there is no cache of this kind to switch off"), &["disable_sublist_cache", "no_sublist_cache"]),
    key(Top, Warned("there are no feature flags"), &["feature_flags"]),
    key(Top, Warned(NO_REPORTS), &["connect_error_reports"]),
    key(Top, Warned(NO_REPORTS), &["reconnect_error_reports"]),

    key(Authorization, Supported, &["user", "username"]),
    key(Authorization, Supported, &["password", "pass"]),
    key(Authorization, Supported, &["token"]),
    key(Authorization, Supported, &["timeout"]),
    key(Authorization, Supported, &["users"]),
    key(Authorization, Supported, &["default_permissions", "default_permission", "permissions"]),
    key(Authorization, Refused(NO_CALLOUT), &["auth_callout", "auth_hook"]),
    key(Authorization, Refused(NO_PROXIES), &["proxy_required"]),

    key(User, Supported, &["user", "username"]),
    key(User, Supported, &["password", "pass"]),
    key(User, Supported, &["nkey"]),
    key(User, Supported, &["permissions", "permission", "authorization"]),
    key(User, Supported, &["allowed_connection_types", "connection_types", "clients"]),
    key(User, Refused(NO_PROXIES), &["proxy_required"]),

    key(Account, Supported, &["users"]),
    key(Account, Supported, &["limits"]),
    key(Account, Supported, &["nkey"]),
    key(Account, Supported, &["default_permissions"]),
    key(Account, Supported, &["exports"]),
    key(Account, Supported, &["imports"]),
    key(Account, Supported, &["mappings", "maps"]),
    key(Account, Supported, &["msg_trace", "trace_dest"]),
    key(Account, Warned(NO_JETSTREAM), &["jetstream"]),

    key(Limits, Supported, &["max_connections", "max_conn"]),
    key(Limits, Supported, &["max_subscriptions", "max_subs"]),
    key(Limits, Supported, &["max_payload", "max_pay"]),
    key(Limits, Warned(NO_LEAFNODES), &["max_leafnodes", "max_leafs"]),

    key(Tls, Supported, &["cert_file"]),
    key(Tls, Supported, &["key_file"]),
    key(Tls, Supported, &["ca_file"]),
    key(Tls, Supported, &["certs", "certificates"]),
    key(Tls, Supported, &["verify"]),
    key(Tls, Supported, &["verify_and_map"]),
    key(Tls, Supported, &["verify_cert_and_check_known_urls"]),
    key(Tls, Supported, &["insecure"]),
    key(Tls, Supported, &["timeout"]),
    key(Tls, Supported, &["cipher_suites"]),
    key(Tls, Supported, &["curve_preferences"]),
    key(Tls, Supported, &["min_version"]),
    key(Tls, Supported, &["pinned_certs"]),
    key(Tls, Supported, &["connection_rate_limit"]),
    key(Tls, Supported, &["handshake_first", "first", "immediate"]),
    key(Tls, Refused(NO_WEAK_CIPHERS), &["allow_insecure_cipher_suites"]),
    key(Tls, Refused(NO_OCSP), &["ocsp_peer"]),
    key(Tls, Refused(NO_STORE), &["cert_store"]),
    key(Tls, Refused(NO_STORE), &["cert_match"]),
    key(Tls, Refused(NO_STORE), &["cert_match_by"]),
    key(Tls, Refused(NO_STORE), &["cert_match_skip_invalid"]),
    key(Tls, Refused(NO_STORE), &["ca_certs_match"]),
    key(TlsCert, Supported, &["cert_file"]),
    key(TlsCert, Supported, &["key_file"]),

    key(Cluster, Supported, &["name"]),
    key(Cluster, Supported, &["listen"]),
    key(Cluster, Supported, &["host", "net"]),
    key(Cluster, Supported, &["port"]),
    key(Cluster, Supported, &["advertise", "cluster_advertise"]),
    key(Cluster, Supported, &["no_advertise"]),
    key(Cluster, Supported, &["authorization"]),
    key(Cluster, Supported, &["permissions"]),
    key(Cluster, Supported, &["routes"]),
    key(Cluster, Supported, &["connect_retries"]),
    key(Cluster, Supported, &["connect_backoff"]),
    key(Cluster, Supported, &["ping_interval"]),
    key(Cluster, Supported, &["ping_max"]),
    key(Cluster, Supported, &["write_timeout"]),
    key(Cluster, Ours, &["peer_timeout"]),
    key(Cluster, Ours, &["mesh_readiness"]),
    key(Cluster, Supported, &["tls"]),
    key(Cluster, Warned("without effect, two servers share one connection for everything"), &["pool_size"]),
    key(Cluster, Warned("without effect, all accounts share the one connection between two servers"), &["accounts"]),
    key(Cluster, Warned("without effect, routes are not compressed"), &["compression"]),
    key(Cluster, Warned("without effect, a peer that takes nothing in is given up after peer_timeout"), &["write_deadline"]),

    key(ClusterAuthorization, Supported, &["user", "username"]),
    key(ClusterAuthorization, Supported, &["password", "pass"]),
    key(ClusterAuthorization, Supported, &["timeout"]),
    key(ClusterAuthorization, Supported, &["permissions", "default_permissions", "default_permission"]),
    key(ClusterAuthorization, Refused("Cluster authorization does not support tokens"), &["token"]),
    key(ClusterAuthorization, Refused("Cluster authorization does not allow multiple users"), &["users"]),
    key(ClusterAuthorization, Refused(NO_CALLOUT), &["auth_callout", "auth_hook"]),
    key(ClusterAuthorization, Refused(NO_PROXIES), &["proxy_required"]),

    key(ClusterPermissions, Supported, &["import", "publish", "pub"]),
    key(ClusterPermissions, Supported, &["export", "subscribe", "sub"]),
    key(ClusterPermissions, Refused("Cluster permissions do not support dynamic responses"), &["allow_responses", "publish_allow_responses"]),

    key(ClusterSubjects, Supported, &["allow"]),
    key(ClusterSubjects, Supported, &["deny"]),

    key(Gateway, Supported, &["name"]),
    key(Gateway, Supported, &["listen"]),
    key(Gateway, Supported, &["host", "net"]),
    key(Gateway, Supported, &["port"]),
    key(Gateway, Supported, &["advertise"]),
    key(Gateway, Supported, &["authorization"]),
    key(Gateway, Supported, &["connect_retries"]),
    key(Gateway, Supported, &["connect_backoff"]),
    key(Gateway, Supported, &["reject_unknown_cluster", "reject_unknown"]),
    key(Gateway, Supported, &["gateways"]),
    key(Gateway, Supported, &["write_timeout"]),
    key(Gateway, Ours, &["interest"]),
    key(Gateway, Ours, &["account_interest"]),
    key(Gateway, Ours, &["no_interest_max"]),
    key(Gateway, Ours, &["peer_timeout"]),
    key(Gateway, Ours, &["exports"]),
    key(Gateway, Ours, &["imports"]),
    key(Gateway, Ours, &["reply_window"]),
    key(Gateway, Ours, &["reply_max"]),
    key(Gateway, Supported, &["tls"]),
    key(Gateway, Warned("without effect, a peer that takes nothing in is given up after peer_timeout"), &["write_deadline"]),

    key(GatewayExport, Ours, &["subject"]),
    key(GatewayExport, Ours, &["to"]),
    key(GatewayExport, Refused("an export says where messages go: write to"), &["from"]),
    key(GatewayExport, Ours, &["account"]),
    key(GatewayExport, Ours, &["deny"]),

    key(GatewayImport, Ours, &["subject"]),
    key(GatewayImport, Ours, &["from"]),
    key(GatewayImport, Refused("an import says where messages come from: write from"), &["to"]),
    key(GatewayImport, Ours, &["account"]),
    key(GatewayImport, Ours, &["deny"]),

    key(GatewayAuthorization, Supported, &["user", "username"]),
    key(GatewayAuthorization, Supported, &["password", "pass"]),
    key(GatewayAuthorization, Supported, &["timeout"]),
    key(GatewayAuthorization, Refused("Gateway authorization does not support tokens"), &["token"]),
    key(GatewayAuthorization, Refused("Gateway authorization does not allow multiple users"), &["users"]),
    key(GatewayAuthorization, Refused(NO_CALLOUT), &["auth_callout", "auth_hook"]),
    key(GatewayAuthorization, Refused(NO_PROXIES), &["proxy_required"]),

    key(Leafnodes, Within, &["listen"]), key(Leafnodes, Within, &["host", "net"]), key(Leafnodes, Within, &["port"]),
    key(Leafnodes, Within, &["authorization"]), key(Leafnodes, Within, &["tls"]),
    key(Leafnodes, Within, &["leafnode_advertise", "advertise"]), key(Leafnodes, Within, &["no_advertise"]),
    key(Leafnodes, Within, &["min_version", "minimum_version"]), key(Leafnodes, Within, &["compression"]),
    key(Leafnodes, Within, &["isolate_leafnode_interest", "isolate"]), key(Leafnodes, Within, &["write_deadline"]),
    key(Leafnodes, Within, &["write_timeout"]), key(Leafnodes, Within, &["dial_timeout"]),
    key(Leafnodes, Within, &["reconnect", "reconnect_delay", "reconnect_interval"]),
    key(Leafnodes, Within, &["remotes"]),

    key(Websocket, Within, &["listen"]), key(Websocket, Within, &["host", "net"]), key(Websocket, Within, &["port"]),
    key(Websocket, Within, &["advertise"]), key(Websocket, Within, &["tls"]), key(Websocket, Within, &["no_tls"]),
    key(Websocket, Within, &["same_origin"]), key(Websocket, Within, &["allowed_origins", "allowed_origin", "allow_origins", "allow_origin", "origins", "origin"]),
    key(Websocket, Within, &["handshake_timeout"]), key(Websocket, Within, &["compression", "compress"]),
    key(Websocket, Within, &["authorization", "authentication"]), key(Websocket, Within, &["no_auth_user"]),
    key(Websocket, Within, &["jwt_cookie"]), key(Websocket, Within, &["user_cookie"]),
    key(Websocket, Within, &["pass_cookie"]), key(Websocket, Within, &["token_cookie"]),
    key(Websocket, Within, &["headers"]), key(Websocket, Within, &["ping_interval"]),

    key(Permissions, Supported, &["publish", "pub", "import"]),
    key(Permissions, Supported, &["subscribe", "sub", "export"]),
    key(Permissions, Supported, &["allow_responses", "publish_allow_responses"]),

    key(PermissionSubjects, Supported, &["allow"]),
    key(PermissionSubjects, Supported, &["deny"]),

    key(Responses, Supported, &["max", "max_msgs", "max_messages", "max_responses"]),
    key(Responses, Supported, &["expires", "expiration", "ttl"]),

    key(AuthCallout, Within, &["issuer"]), key(AuthCallout, Within, &["auth_users", "users"]),
    key(AuthCallout, Within, &["account", "acc"]), key(AuthCallout, Within, &["xkey", "key"]),
    key(AuthCallout, Within, &["allowed_accounts"]),

    key(Export, Supported, &["stream"]),
    key(Export, Supported, &["service"]),
    key(Export, Supported, &["accounts"]),
    key(Export, Supported, &["account_token_position"]),
    key(Export, Supported, &["allow_trace"]),
    key(Export, Supported, &["response", "response_type"]),
    key(Export, Supported, &["threshold", "response_threshold", "response_max_time", "response_time"]),
    key(Export, Warned("the latency of services is not measured"), &["latency"]),

    key(Import, Supported, &["stream"]),
    key(Import, Supported, &["service"]),
    key(Import, Supported, &["prefix"]),
    key(Import, Supported, &["to"]),
    key(Import, Supported, &["share"]),
    key(Import, Supported, &["allow_trace"]),

    key(Shared, Supported, &["account"]),
    key(Shared, Supported, &["subject"]),

    key(MsgTrace, Supported, &["dest"]), key(MsgTrace, Supported, &["sampling"]),

    key(Mapping, Supported, &["destination", "dest"]), key(Mapping, Supported, &["weight"]),
    key(Mapping, Supported, &["cluster"]),

    key(Resolver, Supported, &["type"]),
    key(Resolver, Refused(NO_RESOLVERS), &["dir"]),
    key(Resolver, Refused(NO_RESOLVERS), &["limit"]),
    key(Resolver, Refused(NO_RESOLVERS), &["ttl"]),
    key(Resolver, Refused(NO_RESOLVERS), &["interval"]),
    key(Resolver, Refused(NO_RESOLVERS), &["allow_delete"]),
    key(Resolver, Refused(NO_RESOLVERS), &["hard_delete"]),
    key(Resolver, Refused(NO_RESOLVERS), &["timeout"]),

    key(RemoteGateway, Supported, &["name"]),
    key(RemoteGateway, Supported, &["url"]),
    key(RemoteGateway, Supported, &["urls"]),
    key(RemoteGateway, Ours, &["host"]),
    key(RemoteGateway, Ours, &["port"]),
    key(RemoteGateway, Supported, &["tls"]),

    key(RemoteLeaf, Within, &["urls", "url"]), key(RemoteLeaf, Within, &["account", "local"]),
    key(RemoteLeaf, Within, &["credentials", "creds"]), key(RemoteLeaf, Within, &["nkey", "seed"]),
    key(RemoteLeaf, Within, &["tls"]), key(RemoteLeaf, Within, &["hub"]),
    key(RemoteLeaf, Within, &["no_randomize", "dont_randomize"]),
    key(RemoteLeaf, Within, &["deny_imports", "deny_import"]),
    key(RemoteLeaf, Within, &["deny_exports", "deny_export"]), key(RemoteLeaf, Within, &["compression"]),
    key(RemoteLeaf, Within, &["first_info_timeout"]), key(RemoteLeaf, Within, &["dial_timeout"]),
    key(RemoteLeaf, Within, &["disabled"]), key(RemoteLeaf, Within, &["isolate_leafnode_interest", "isolate"]),
    key(RemoteLeaf, Within, &["request_isolation"]),
    key(RemoteLeaf, Within, &["ws_compression", "ws_compress", "websocket_compress", "websocket_compression"]),
    key(RemoteLeaf, Within, &["ws_no_masking", "websocket_no_masking"]),
    key(RemoteLeaf, Within, &["ignore_discovered_servers"]), key(RemoteLeaf, Within, &["proxy"]),
    key(RemoteLeaf, Within, &["jetstream_cluster_migrate", "js_cluster_migrate"]),
];

/// The key of this name, whatever its case and alias.
pub fn find(scope: Scope, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.scope == scope && k.names.iter().any(|n| n.eq_ignore_ascii_case(name)))
}

/// The known name that a misspelt one most likely means, if any is near.
pub fn nearest(scope: Scope, name: &str) -> Option<&'static str> {
    // Longer than any name and twice that: no need to measure.
    if name.len() > 64 {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let near = (name.len() / 3).clamp(1, 3);
    let names = KEYS.iter().filter(|k| k.scope == scope).flat_map(|k| k.names);
    let names = names.filter(|n| n.len().abs_diff(name.len()) <= near);
    names.map(|n| (distance(&name, n), *n)).filter(|(d, _)| *d <= near).min().map(|(_, n)| n)
}

/// How many letters to insert, drop, replace, or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_in_their_scope_and_lower_case() {
        for (i, k) in KEYS.iter().enumerate() {
            for n in k.names {
                assert_eq!(*n, n.to_ascii_lowercase());
                let first = KEYS.iter().position(|o| o.scope == k.scope && o.names.contains(n));
                assert_eq!(first, Some(i), "{n} stands twice");
            }
        }
    }

    #[test]
    fn a_misspelt_key_finds_its_neighbour_and_nonsense_none() {
        assert_eq!(nearest(Top, "max_payloda"), Some("max_payload"));
        assert_eq!(nearest(Top, "Prot"), Some("port"));
        assert_eq!(nearest(User, "pasword"), Some("password"));
        assert_eq!(nearest(Top, "bogus"), None);
        assert_eq!(find(Top, "MAX_CONN").unwrap().names[0], "max_connections");
    }
}
