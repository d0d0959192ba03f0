//! What a new configuration changes: what a running server can take over, and what needs a restart. Called by the shell
//! when it is told to reload (operations.md §15); pure.

use super::settings::{Auth, Borders, Cluster, Cores, Gateway, Limits, Log, Settings, Timers};
use super::tls::Tls;

/// The keys that differ between two settings, by their names in a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// A running server can take these over.
    pub live: Vec<&'static str>,
    /// These need a restart; as long as there is one, nothing is taken over.
    pub restart: Vec<&'static str>,
}

/// How the new settings, whose accounts have kept their places, differ from those the server runs with. What a configuration only says about itself (its digest
/// and its warnings) counts for nothing.
pub fn changes(old: &Settings, new: &Settings) -> Changes {
    let mut changes = Changes::default();
    // Taken apart, so that whoever adds a setting is asked here what becomes of it.
    let Settings {
        server_name,
        listen,
        client_advertise,
        tls,
        monitor,
        https,
        http_base_path,
        cores,
        limits,
        timers,
        auth,
        cluster,
        gateway,
        headers,
        strict_headers,
        no_fast_producer_stall,
        log,
        pid_file,
        ports_file_dir,
        server_tags,
        server_metadata,
        warnings: _,
        digest: _,
    } = old;
    changes.restart("server_name", *server_name != new.server_name);
    changes.restart("listen", *listen != new.listen);
    changes.live("client_advertise", *client_advertise != new.client_advertise);
    // Its files may say something else each time.
    changes.live("tls", tls.is_some() || new.tls.is_some());
    changes.restart("http", *monitor != new.monitor);
    changes.restart("https", *https != new.https);
    changes.restart("http_base_path", *http_base_path != new.http_base_path);
    changes.cores(cores, &new.cores);
    changes.limits(limits, &new.limits);
    // With TLS it follows the time for a handshake, and changes with it.
    let timers = Timers {
        auth_timeout: if new.tls.is_some() { new.timers.auth_timeout } else { timers.auth_timeout },
        ..timers.clone()
    };
    changes.timers(&timers, &new.timers);
    changes.auth(auth, &new.auth);
    match (cluster, &new.cluster) {
        (Some(old), Some(new)) => changes.cluster(old, new),
        (old, new) => changes.restart("cluster", old.is_some() != new.is_some()),
    }
    match (gateway, &new.gateway) {
        (Some(old), Some(new)) => changes.gateway(old, new),
        (old, new) => changes.restart("gateway", old.is_some() != new.is_some()),
    }
    changes.restart("no_header_support", *headers != new.headers);
    changes.restart("strict_headers", *strict_headers != new.strict_headers);
    changes.live("no_fast_producer_stall", *no_fast_producer_stall != new.no_fast_producer_stall);
    changes.log(log, &new.log);
    changes.live("pid_file", *pid_file != new.pid_file);
    changes.live("ports_file_dir", *ports_file_dir != new.ports_file_dir);
    changes.live("server_tags", *server_tags != new.server_tags);
    changes.live("server_metadata", *server_metadata != new.server_metadata);
    changes
}

impl Changes {
    fn live(&mut self, key: &'static str, differs: bool) {
        if differs {
            self.live.push(key);
        }
    }

    fn restart(&mut self, key: &'static str, differs: bool) {
        if differs {
            self.restart.push(key);
        }
    }

    /// TLS between clusters: its files may say something else each time.
    fn between(&mut self, key: &'static str, old: &Option<Tls>, new: &Option<Tls>) {
        match (old, new) {
            // Whether a password is asked for beside the certificate stays as it is.
            (Some(old), Some(new)) if old.names_peers() == new.names_peers() => self.live.push(key),
            (old, new) => self.restart(key, old.is_some() || new.is_some()),
        }
    }

    fn cores(&mut self, old: &Cores, new: &Cores) {
        let Cores { shards, cpus, idle, io_memory } = old;
        self.restart("shards", *shards != new.shards);
        self.restart("cpus", *cpus != new.cpus);
        self.restart("idle", *idle != new.idle);
        self.restart("io_memory", *io_memory != new.io_memory);
    }

    fn limits(&mut self, old: &Limits, new: &Limits) {
        let Limits {
            max_payload,
            max_control_line,
            max_pending,
            max_pending_total,
            memory_limit,
            max_connections,
            max_subscriptions,
            max_sub_tokens,
            max_closed_clients,
            max_subscription_bytes,
            max_peer_interest: _,
        } = old;
        self.live("max_payload", *max_payload != new.max_payload);
        self.live("max_control_line", *max_control_line != new.max_control_line);
        self.restart("max_pending", *max_pending != new.max_pending);
        self.restart("max_pending_total", *max_pending_total != new.max_pending_total);
        self.restart("memory_limit", *memory_limit != new.memory_limit);
        self.live("max_connections", *max_connections != new.max_connections);
        self.restart("max_subscriptions", *max_subscriptions != new.max_subscriptions);
        self.restart("max_sub_tokens", *max_sub_tokens != new.max_sub_tokens);
        self.restart("max_closed_clients", *max_closed_clients != new.max_closed_clients);
        self.restart("max_subscription_bytes", *max_subscription_bytes != new.max_subscription_bytes);
    }

    fn timers(&mut self, old: &Timers, new: &Timers) {
        let Timers {
            ping_interval,
            ping_max,
            write_deadline,
            auth_timeout,
            lame_duck_duration,
            lame_duck_grace_period,
            shutdown_grace,
        } = old;
        self.live("ping_interval", *ping_interval != new.ping_interval);
        self.live("ping_max", *ping_max != new.ping_max);
        self.live("write_deadline", *write_deadline != new.write_deadline);
        self.live("authorization.timeout", *auth_timeout != new.auth_timeout);
        self.restart("lame_duck_duration", *lame_duck_duration != new.lame_duck_duration);
        self.restart("lame_duck_grace_period", *lame_duck_grace_period != new.lame_duck_grace_period);
        self.restart("shutdown_grace", *shutdown_grace != new.shutdown_grace);
    }

    fn auth(&mut self, old: &Auth, new: &Auth) {
        let Auth { accounts, system, users, token, no_auth_user, required, announced, by_certificate, permits, trust } =
            old;
        let lent = |auth: &Auth, user: &Option<usize>| user.map(|u| auth.users[u].name.clone());
        self.restart("system_account", *system != new.system);
        self.restart("no_auth_user", lent(old, no_auth_user) != lent(new, &new.no_auth_user));
        self.restart("operator", trust.is_some() != new.trust.is_some());
        let same_users = *users == new.users
            && *token == new.token
            && (*required, *announced, *by_certificate) == (new.required, new.announced, new.by_certificate)
            && *permits == new.permits;
        // In nats-server's words.
        if !same_users {
            self.live.push("authorization users");
        }
        if *accounts != new.accounts || *trust != new.trust {
            self.live.push("accounts");
        }
    }

    fn cluster(&mut self, old: &Cluster, new: &Cluster) {
        let Cluster {
            name,
            listen,
            advertise,
            no_advertise,
            login,
            tls,
            auth_timeout,
            stranger_bytes_max: _,
            routes,
            connect_retries,
            ping_interval,
            peer_timeout,
            permissions,
            unready_without_mesh,
        } = old;
        // In another order they are the same peers.
        let same = routes.len() == new.routes.len() && routes.iter().all(|r| new.routes.contains(r));
        if !same {
            self.live.push("cluster.routes");
        }
        self.live("cluster.tls", tls.is_some() || new.tls.is_some());
        self.restart("cluster.name", *name != new.name);
        self.restart("cluster.listen", *listen != new.listen);
        self.live("cluster.advertise", *advertise != new.advertise);
        self.live("cluster.no_advertise", *no_advertise != new.no_advertise);
        self.live("cluster.authorization", *login != new.login);
        self.live("cluster.authorization.timeout", *auth_timeout != new.auth_timeout);
        self.live("cluster.connect_retries", *connect_retries != new.connect_retries);
        self.live("cluster.ping_interval", *ping_interval != new.ping_interval);
        self.live("cluster.peer_timeout", *peer_timeout != new.peer_timeout);
        self.live("cluster.permissions", *permissions != new.permissions);
        self.live("cluster.mesh_readiness", *unready_without_mesh != new.unready_without_mesh);
    }

    fn gateway(&mut self, old: &Gateway, new: &Gateway) {
        let Gateway {
            name,
            listen,
            advertise,
            login,
            tls,
            auth_timeout,
            stranger_bytes_max: _,
            remotes,
            connect_retries,
            reject_unknown,
            interest,
            account_interest,
            no_interest_max,
            ping_interval: _,
            peer_timeout,
            borders,
        } = old;
        self.borders(borders, &new.borders);
        // In another order they are the same clusters.
        let same = remotes.len() == new.remotes.len() && remotes.iter().all(|r| new.remotes.contains(r));
        if !same {
            self.live.push("gateway.gateways");
        }
        self.between("gateway.tls", tls, &new.tls);
        self.restart("gateway.name", *name != new.name);
        self.restart("gateway.listen", *listen != new.listen);
        self.restart("gateway.advertise", *advertise != new.advertise);
        self.restart("gateway.authorization", *login != new.login);
        self.restart("gateway.authorization.timeout", *auth_timeout != new.auth_timeout);
        self.restart("gateway.connect_retries", *connect_retries != new.connect_retries);
        self.restart("gateway.reject_unknown_cluster", *reject_unknown != new.reject_unknown);
        self.restart("gateway.interest", *interest != new.interest);
        self.restart("gateway.account_interest", *account_interest != new.account_interest);
        self.restart("gateway.no_interest_max", *no_interest_max != new.no_interest_max);
        self.restart("gateway.peer_timeout", *peer_timeout != new.peer_timeout);
    }

    /// Rules that moved to other lines are others: they are named by their lines.
    fn borders(&mut self, old: &Borders, new: &Borders) {
        let Borders { exports, imports, reply_window, reply_max } = old;
        for (key, differs) in [
            ("gateway.exports", *exports != new.exports),
            ("gateway.imports", *imports != new.imports),
            ("gateway.reply_window", *reply_window != new.reply_window),
            ("gateway.reply_max", *reply_max != new.reply_max),
        ] {
            if differs {
                self.live.push(key);
            }
        }
    }

    fn log(&mut self, old: &Log, new: &Log) {
        let Log { file, debug, trace, trace_verbose, time, utc, json, size_limit, max_files, max_traced_msg_len } = old;
        self.live("log_file", *file != new.file);
        self.live("debug", *debug != new.debug);
        self.live("trace", *trace != new.trace);
        self.live("trace_verbose", *trace_verbose != new.trace_verbose);
        self.live("logtime", *time != new.time);
        self.live("logtime_utc", *utc != new.utc);
        self.live("log_format", *json != new.json);
        self.restart("log_size_limit", *size_limit != new.size_limit);
        self.restart("log_max_num", *max_files != new.max_files);
        self.live("max_traced_msg_len", *max_traced_msg_len != new.max_traced_msg_len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load;
    use crate::policy::source::Text;
    use std::path::Path;

    fn between(old: &str, new: &str) -> (Vec<&'static str>, Vec<&'static str>) {
        let settings = |text| load(Path::new("f.conf"), &mut Text(text)).unwrap_or_else(|e| panic!("{e:#?}")).settings;
        let (old, mut new) = (settings(old), settings(new));
        new.auth.keep_places(&old.auth.accounts).unwrap();
        let Changes { live, restart } = changes(&old, &new);
        (live, restart)
    }

    const CLUSTER: &str = "cluster {listen: \"127.0.0.1:1\", routes: [nats://a:1, nats://b:1]}";

    #[test]
    fn routes_may_come_and_go() {
        for new in ["routes: [nats://a:1]", "routes: [nats://a:1, nats://c:1]", "no_advertise: false"] {
            let new = format!("cluster {{listen: \"127.0.0.1:1\", {new}}}");
            assert_eq!(between(CLUSTER, &new), (vec!["cluster.routes"], vec![]), "{new}");
        }
        assert_eq!(between("routes: [nats://a:1]", "routes: [nats://b:1]"), (vec!["cluster.routes"], vec![]));
    }

    #[test]
    fn all_of_a_cluster_but_its_name_and_place_changes_while_the_server_runs() {
        let new = CLUSTER.replace(
            '}',
            ", advertise: h, no_advertise: true, authorization {user: u, password: p, timeout: 1}, connect_retries: 3,
             ping_interval: 9, peer_timeout: \"10s\", permissions {import: a}, mesh_readiness: warn}",
        );
        let (live, restart) = between(CLUSTER, &new);
        assert_eq!((live.len(), restart), (9, vec![]), "{live:?}");
        assert_eq!(between("", "client_advertise: h"), (vec!["client_advertise"], vec![]));
    }

    #[test]
    fn clusters_may_come_and_go_and_the_rest_of_a_gateway_needs_a_restart() {
        let gateway = |more: &str| format!("gateway {{name: a, listen: \"127.0.0.1:1\", {more}}}");
        let (b, c) = ("{name: b, url: b:1}", "{name: c, urls: [c:1, c:2]}");
        let both = gateway(&format!("gateways: [{b}, {c}]"));
        assert_eq!(between(&both, &gateway(&format!("gateways: [{c}, {b}]"))), (vec![], vec![]));
        for new in
            [format!("gateways: [{b}]"), "gateways: []".into(), format!("gateways: [{b}, {{name: c, url: c:1}}]")]
        {
            assert_eq!(between(&both, &gateway(&new)), (vec!["gateway.gateways"], vec![]), "{new}");
        }
        let rest = "connect_retries: 1, reject_unknown: true, interest: optimistic, account_interest {A: auto}, \
                    no_interest_max: 1, peer_timeout: \"2s\", advertise: h, authorization {user: u, password: p, timeout: 1}";
        let restart = between(&gateway("x_: 1").replace("x_: 1", ""), &gateway(rest)).1;
        assert_eq!(restart.len(), 9, "{restart:?}");
        assert_eq!(between(&both, ""), (vec![], vec!["gateway"]));
    }

    #[test]
    fn borders_change_while_the_server_runs() {
        let gateway = |more: &str| format!("gateway {{name: a, listen: \"127.0.0.1:1\", {more}}}");
        let old = gateway("exports: [{subject: a, to: b}], reply_max: 1");
        assert_eq!(between(&old, &old), (vec![], vec![]));
        for (new, keys) in [
            ("exports: [{subject: a, to: b, deny: true}], reply_max: 1", vec!["gateway.exports"]),
            ("reply_max: 1", vec!["gateway.exports"]),
            ("exports: [{subject: a, to: b}], imports: [], reply_max: 1", vec!["gateway.imports"]),
            ("exports: [{subject: a, to: b}], reply_window: \"1s\"", vec!["gateway.reply_window", "gateway.reply_max"]),
        ] {
            assert_eq!(between(&old, &gateway(new)), (keys, vec![]), "{new}");
        }
    }

    #[test]
    fn what_users_may_do_changes_while_the_server_runs() {
        let users = |all: &str| format!("authorization {{users: [{all}]}}");
        let (open, may) = ("{user: a, password: p}", "{user: a, password: p, permissions: {publish: x}}");
        let b = "{user: b, password: p}";
        let live = (vec!["authorization users"], vec![]);
        assert_eq!(between(&users(open), &users(may)), live);
        assert_eq!(between(&users(may), &users(open)), live);
        assert_eq!(between(&users(&format!("{may}, {b}")), &users(&format!("{open}, {b}"))), live);
        let other = "{user: a, password: p, permissions: {publish: [x], subscribe: {}}}";
        assert_eq!(between(&users(may), &users(other)), (vec![], vec![]), "the same in other words");
        let default = format!("authorization {{users: [{open}], default_permissions: {{publish: x}}}}");
        assert_eq!(between(&users(may), &default), (vec![], vec![]));
    }

    #[test]
    fn users_and_accounts_come_and_go_while_the_server_runs() {
        let accounts = |all: &str| format!("accounts {{ A {{ users: [{all}] }} }}");
        let a = accounts("{user: a, password: p}");
        let live = (vec!["authorization users"], vec![]);
        assert_eq!(between(&a, &accounts("{user: a, password: p}, {user: b, password: p}")), live);
        assert_eq!(between(&a, &accounts("{user: a, password: q}")), live);
        for more in
            ["limits {max_conn: 1}", "exports: [{stream: s}], imports: [{stream: {account: A, subject: s}, to: t}]"]
        {
            assert_eq!(between(&a, &a.replace("users", &format!("{more}, users"))), (vec!["accounts"], vec![]));
        }
        let both = (vec!["authorization users", "accounts"], vec![]);
        for other in [a.replace('A', "B"), a.replace("accounts {", "accounts { B {users: [{user: b, password: p}]}, ")]
        {
            assert_eq!(between(&a, &other), both, "{other}");
        }
        assert_eq!(between(&a, &a.replace("accounts {", "accounts { B {}, ")), (vec!["accounts"], vec![]));
        assert_eq!(between(&a, &format!("{a}\nsystem_account: A")).1, ["system_account"]);
        assert_eq!(between(&a, &format!("{a}\nno_auth_user: a")).1, ["no_auth_user"]);
    }

    #[test]
    fn other_words_for_the_same_are_no_change() {
        let same = "# other words\ncluster {port: 1, host: 127.0.0.1, routes: [b:1, a:1]}\nsyslog: true";
        assert_eq!(between(CLUSTER, same), (vec![], vec![]));
    }

    #[test]
    fn the_rest_needs_a_restart_and_is_named() {
        let new =
            "cluster {listen: \"127.0.0.1:1\", name: c, routes: [nats://a:1], peer_timeout: \"9s\"}\nport: 5000\n\
                   shards: 1\nmax_payload: 1KB\nping_max: 9\ntrace: true\nauthorization {token: t, timeout: 1}";
        let limits = ["max_payload", "ping_max", "authorization.timeout", "authorization users"];
        let live = [&limits[..], &["cluster.routes", "cluster.peer_timeout", "trace"]].concat();
        assert_eq!(between(CLUSTER, new), (live, vec!["listen", "shards", "cluster.name"]));
        assert_eq!(between(CLUSTER, ""), (vec![], vec!["cluster"]));
        assert_eq!(between("", CLUSTER), (vec![], vec!["cluster"]));
        // Where routes come in is another matter than which there are.
        assert_eq!(between("routes: [nats://a:1, nats://b:1]", CLUSTER), (vec![], vec!["cluster.listen"]));
    }
}
