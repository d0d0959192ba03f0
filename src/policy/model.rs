//! The one model of a configuration: a tree and the command line → [`Settings`], or all that is wrong with them.
//! Checks that nats-server makes only at a start are made here too, so what `-t` accepts will start.

use super::access::Access;
use super::address::{address, advertisable, host, Port};
use super::cluster::ClusterDraft;
use super::cores;
use super::doors;
use super::gateway::GatewayDraft;
use super::invalid::Invalid;
use super::keys::Scope;
use super::operator;
use super::overrides::Overrides;
use super::places::Places;
use super::quantity::show_duration;
use super::reading::Notes;
use super::settings::{Listen, Settings};
use super::tls_block::{self as tls, Side};
use super::tree::{At, Node, Tree, Value};
use crate::base::limits::MEMORY_LIMIT_MIN;
use std::time::Duration;

/// Smallest lame duck (operations.md §3).
const LAME_DUCK_MIN: Duration = Duration::from_secs(30);
/// Payloads beyond this are warned about (operations.md §3).
const PAYLOAD_HIGH: usize = 8 << 20;
/// Least and most memory a shard may register for I/O, bytes.
const IO_MEMORY: std::ops::RangeInclusive<usize> = 64 << 10..=1 << 30;

/// A configuration that will start.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What the server runs with.
    pub settings: Settings,
    /// What is allowed but should be written otherwise. `-t` fails on these, a start goes on (operations.md §1).
    pub deprecations: Vec<Invalid>,
    /// Every file read, the includes too.
    pub files: Vec<String>,
    /// Where what is written.
    pub places: Places,
}

struct Draft {
    settings: Settings,
    host: String,
    port: Port,
    monitor_host: String,
    monitor_port: Port,
    /// The same over TLS: one of the two.
    private_monitor: Port,
    access: Access,
    cluster: ClusterDraft,
    gateway: GatewayDraft,
    /// Where keys stand that must fit to others.
    payload_at: At,
    grace_at: At,
    idle_at: At,
    name_at: At,
    advertise_at: At,
    /// `allow_non_tls` stands here, and is true.
    optional_at: Option<At>,
    /// `strict: true` stands here.
    strict_at: Option<At>,
}

/// The whole way. A tree without keys is the default configuration.
pub(super) fn settings(tree: &Tree, over: &Overrides, files: operator::Files) -> Result<Loaded, Vec<Invalid>> {
    let mut notes = Notes::new(&tree.files);
    let mut draft = Draft::new();
    draft.access.operators.files = files;
    notes.walk(Scope::Top, &tree.root, |notes, key, node| draft.read(notes, key, node));
    draft.overlay(&mut notes, over);
    let mut settings = draft.finish(&mut notes);
    let errors = notes.take_errors();
    if !errors.is_empty() {
        return Err(errors);
    }
    settings.warnings = notes.warnings;
    settings.warnings.extend(over.warnings.iter().cloned());
    let mut places = Places::default();
    places.idle = notes.idle;
    Ok(Loaded { settings, deprecations: notes.deprecations, files: Vec::new(), places })
}

impl Draft {
    fn new() -> Draft {
        Draft {
            settings: Settings::default(),
            host: String::new(),
            port: Port::default(),
            monitor_host: String::new(),
            monitor_port: Port::default(),
            private_monitor: Port::default(),
            access: Access::default(),
            cluster: ClusterDraft::default(),
            gateway: GatewayDraft::default(),
            payload_at: At::default(),
            grace_at: At::default(),
            idle_at: At::default(),
            name_at: At::default(),
            advertise_at: At::default(),
            optional_at: None,
            strict_at: None,
        }
    }

    fn read(&mut self, notes: &mut Notes<'_>, key: &'static str, node: &Node) {
        let known = self.access.read(notes, key, node)
            || self.cluster.read(notes, key, node)
            || self.gateway.read(notes, key, node)
            || self.network(notes, key, node)
            || self.logging(notes, key, node)
            || self.limits(notes, key, node)
            || self.timers(notes, key, node)
            || self.cores(notes, key, node)
            || self.identity(notes, key, node);
        debug_assert!(known, "{key} is in the table of keys but nobody reads it");
    }

    fn network(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        let at = node.at;
        match key {
            "listen" => {
                if let Some((host, number)) = address(notes, key, node) {
                    (self.host, self.port) = (host, Port { number, at });
                }
            }
            "host" => self.host = notes.text(key, node).unwrap_or_default(),
            "port" => self.port = Port { number: notes.integer(key, node).unwrap_or_default(), at },
            "http" => {
                if let Some((host, number)) = address(notes, key, node) {
                    (self.monitor_host, self.monitor_port) = (host, Port { number, at });
                }
            }
            "https" => {
                if let Some((host, number)) = address(notes, key, node) {
                    (self.monitor_host, self.private_monitor) = (host, Port { number, at });
                }
            }
            "https_port" => {
                self.private_monitor = Port { number: notes.integer(key, node).unwrap_or_default(), at };
            }
            "http_port" => self.monitor_port = Port { number: notes.integer(key, node).unwrap_or_default(), at },
            "http_base_path" => {
                if let Some(path) = notes.text(key, node) {
                    self.settings.http_base_path = clean_path(&path);
                }
            }
            "client_advertise" => {
                self.settings.client_advertise = notes.text(key, node).filter(|s| !s.is_empty());
                self.advertise_at = at;
            }
            "tls" => self.settings.tls = tls::tls(notes, node, Side::Clients),
            "allow_non_tls" => self.optional_at = notes.boolean(key, node).unwrap_or_default().then_some(at),
            "no_header_support" => self.settings.headers = !notes.boolean(key, node).unwrap_or_default(),
            "strict_headers" => self.settings.strict_headers = notes.boolean(key, node).unwrap_or_default(),
            "no_fast_producer_stall" => {
                self.settings.no_fast_producer_stall = notes.boolean(key, node).unwrap_or_default();
            }
            _ => return false,
        }
        true
    }

    fn identity(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        match key {
            "server_name" => {
                self.settings.server_name = notes.text(key, node).filter(|s| !s.is_empty());
                self.name_at = node.at;
            }
            "server_tags" => {
                // Trimmed, lower case, each once: as nats-server shows them.
                let tags = &mut self.settings.server_tags;
                tags.clear();
                for tag in notes.texts(key, node).unwrap_or_default() {
                    let tag = tag.trim().to_lowercase();
                    if !tag.is_empty() && !tags.contains(&tag) {
                        tags.push(tag);
                    }
                }
            }
            "server_metadata" => {
                let Some(table) = notes.table(key, node) else { return true };
                let pairs = table.entries().iter().filter(|e| !e.used);
                self.settings.server_metadata =
                    pairs.filter_map(|e| Some((e.key.clone(), notes.text(key, &e.node)?))).collect();
            }
            "strict" => self.strict_at = notes.boolean(key, node).unwrap_or_default().then_some(node.at),
            "pid_file" => self.settings.pid_file = path(notes, key, node),
            "ports_file_dir" => self.settings.ports_file_dir = path(notes, key, node),
            _ => return false,
        }
        true
    }

    fn logging(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        let log = &mut self.settings.log;
        let not_negative = |n: i64| u64::try_from(n).unwrap_or(0);
        match key {
            "debug" => log.debug = notes.boolean(key, node).unwrap_or_default(),
            "trace" => log.trace = notes.boolean(key, node).unwrap_or_default(),
            "trace_verbose" => {
                log.trace_verbose = notes.boolean(key, node).unwrap_or_default();
                log.trace = log.trace_verbose;
            }
            "logtime" => log.time = notes.boolean(key, node).unwrap_or_default(),
            "logtime_utc" => log.utc = notes.boolean(key, node).unwrap_or_default(),
            "log_file" => log.file = path(notes, key, node),
            "log_size_limit" => log.size_limit = not_negative(notes.size(key, node).unwrap_or_default()),
            "log_max_num" => log.max_files = not_negative(notes.integer(key, node).unwrap_or_default()) as usize,
            "max_traced_msg_len" => {
                log.max_traced_msg_len = not_negative(notes.size(key, node).unwrap_or_default()) as usize;
            }
            "log_format" => match notes.text(key, node).as_deref() {
                Some("text") => log.json = false,
                Some("json") => log.json = true,
                Some(_) => notes.wrong(node.at, key, "log_format must be \"text\" or \"json\""),
                None => {}
            },
            _ => return false,
        }
        true
    }

    fn limits(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        const I32: i64 = i32::MAX as i64;
        let limits = &mut self.settings.limits;
        let into = |place: &mut usize, value: Option<usize>| *place = value.unwrap_or(*place);
        match key {
            "max_payload" => {
                into(&mut limits.max_payload, notes.limit(key, node, I32));
                self.payload_at = node.at;
            }
            "max_control_line" => into(&mut limits.max_control_line, notes.limit(key, node, I32)),
            "max_pending" => into(&mut limits.max_pending, notes.limit(key, node, i64::MAX)),
            "max_pending_total" => match &node.value {
                Value::String(s) if s == "auto" => limits.max_pending_total = None,
                _ => limits.max_pending_total = notes.limit(key, node, i64::MAX),
            },
            "memory_limit" => match &node.value {
                Value::String(s) if s == "auto" => limits.memory_limit = None,
                _ => match notes.size(key, node) {
                    Some(0) => limits.memory_limit = Some(0),
                    Some(n) if n < MEMORY_LIMIT_MIN as i64 => {
                        let least = MEMORY_LIMIT_MIN >> 20;
                        notes.wrong(node.at, key, format!("{key} must be at least {least}MB, or 0 for no limit"));
                    }
                    n => limits.memory_limit = n.and_then(|n| usize::try_from(n).ok()),
                },
            },
            "max_closed_clients" => into(&mut limits.max_closed_clients, notes.limit(key, node, I32)),
            "max_subscription_bytes" => into(&mut limits.max_subscription_bytes, notes.limit(key, node, i64::MAX)),
            // 0 or less: nobody may connect (operations.md §22.2).
            "max_connections" => {
                limits.max_connections = usize::try_from(notes.size(key, node).unwrap_or_default()).unwrap_or(0);
            }
            "max_subscriptions" => {
                limits.max_subscriptions = usize::try_from(notes.size(key, node).unwrap_or_default()).unwrap_or(0);
            }
            "max_sub_tokens" => match notes.integer(key, node) {
                Some(n @ 1..=255) => limits.max_sub_tokens = n as usize,
                Some(256..) => notes.wrong(node.at, key, format!("{key} value is too big, 255 is the most")),
                Some(_) => notes.wrong(node.at, key, format!("{key} value can not be negative or 0")),
                None => {}
            },
            _ => return false,
        }
        true
    }

    fn timers(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        let timers = &mut self.settings.timers;
        let into = |place: &mut Duration, value: Option<Duration>| *place = value.unwrap_or(*place);
        match key {
            "ping_interval" => into(&mut timers.ping_interval, notes.duration(key, node)),
            "write_deadline" => into(&mut timers.write_deadline, notes.duration(key, node)),
            "shutdown_grace" => into(&mut timers.shutdown_grace, notes.duration(key, node)),
            "ping_max" => {
                if let Some(n) = notes.limit(key, node, i64::from(i32::MAX)) {
                    timers.ping_max = n as u32;
                }
            }
            "lame_duck_duration" => {
                let Some(ns) = notes.duration_text(key, node) else { return true };
                let lasts = Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
                if lasts < LAME_DUCK_MIN {
                    let text = format!("invalid {key} of {}, minimum is 30 seconds", show_duration(lasts));
                    notes.wrong(node.at, key, text);
                } else {
                    timers.lame_duck_duration = lasts;
                }
            }
            "lame_duck_grace_period" => {
                self.grace_at = node.at;
                match notes.duration_text(key, node).map(u64::try_from) {
                    Some(Ok(ns)) => timers.lame_duck_grace_period = Duration::from_nanos(ns),
                    Some(Err(_)) => notes.wrong(node.at, key, format!("invalid {key}, needs to be positive")),
                    None => {}
                }
            }
            "write_timeout" => match notes.text(key, node).as_deref() {
                Some("default" | "close") | None => {}
                Some("retry") => notes.warn("write_timeout: retry is not offered, connections are closed".into()),
                Some(_) => notes.wrong(node.at, key, "write_timeout must be 'default', 'close' or 'retry'"),
            },
            _ => return false,
        }
        true
    }

    fn cores(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) -> bool {
        let settings = &mut self.settings.cores;
        let mut keep = |result: Result<(), String>| {
            if let Err(why) = result {
                notes.wrong(node.at, key, why);
            }
        };
        match (key, &node.value) {
            ("shards", Value::Integer(n)) => keep(cores::shards(&n.to_string()).map(|s| settings.shards = s)),
            ("shards", Value::String(s)) => keep(cores::shards(s).map(|s| settings.shards = s)),
            ("shards", _) => keep(cores::shards("").map(|_| ())),
            ("cpus", Value::Array(list)) => {
                let number = |n: &Node| match n.value {
                    Value::Integer(i) => i.to_string(),
                    _ => String::new(),
                };
                let text = list.iter().map(number).collect::<Vec<_>>().join(",");
                keep(cores::cpus(&text).map(|c| settings.cpus = c));
            }
            ("cpus", Value::Integer(n)) => keep(cores::cpus(&n.to_string()).map(|c| settings.cpus = c)),
            ("cpus", Value::String(s)) => keep(cores::cpus(s).map(|c| settings.cpus = c)),
            ("cpus", _) => keep(cores::cpus("").map(|_| ())),
            ("idle", _) => {
                self.idle_at = node.at;
                let Some(policies) = notes.texts(key, node) else { return true };
                match policies.iter().map(|p| cores::idle(p)).collect::<Result<Vec<_>, _>>() {
                    Ok(list) if !list.is_empty() => settings.idle = list,
                    Ok(_) => notes.wrong(node.at, key, "idle must name at least one policy"),
                    Err(why) => notes.wrong(node.at, key, why),
                }
            }
            ("io_memory", _) => match notes.limit(key, node, *IO_MEMORY.end() as i64) {
                Some(n) if !IO_MEMORY.contains(&n) => {
                    notes.wrong(node.at, key, format!("io_memory must be at least {} bytes", IO_MEMORY.start()));
                }
                n => settings.io_memory = n.unwrap_or(settings.io_memory),
            },
            _ => return false,
        }
        true
    }

    /// The command line goes before the file.
    fn overlay(&mut self, notes: &mut Notes<'_>, over: &Overrides) {
        fn put<T: Clone>(place: &mut T, value: &Option<T>) {
            if let Some(v) = value {
                *place = v.clone();
            }
        }
        let (s, nowhere) = (&mut self.settings, At::default());
        put(&mut self.host, &over.host);
        put(&mut self.port, &over.port.map(|number| Port { number, at: nowhere }));
        put(&mut self.private_monitor, &over.https_port.map(|number| Port { number, at: nowhere }));
        put(&mut self.monitor_port, &over.http_port.map(|number| Port { number, at: nowhere }));
        if over.server_name.is_some() {
            s.server_name = over.server_name.clone().filter(|n| !n.is_empty());
            self.name_at = nowhere;
        }
        if over.client_advertise.is_some() {
            s.client_advertise = over.client_advertise.clone().filter(|n| !n.is_empty());
            self.advertise_at = nowhere;
        }
        let named = |p: &Option<std::path::PathBuf>| p.clone().map(|p| (!p.as_os_str().is_empty()).then_some(p));
        put(&mut s.pid_file, &named(&over.pid_file));
        put(&mut s.ports_file_dir, &named(&over.ports_file_dir));
        put(&mut s.log.file, &named(&over.log_file));
        put(&mut s.log.size_limit, &over.log_size_limit.map(|n| u64::try_from(n).unwrap_or(0)));
        put(&mut s.log.max_traced_msg_len, &over.max_traced_msg_len.map(|n| usize::try_from(n).unwrap_or(0)));
        put(&mut s.log.time, &over.logtime);
        put(&mut s.log.utc, &over.logtime_utc);
        put(&mut s.log.debug, &over.debug);
        put(&mut s.log.trace, &over.trace);
        put(&mut s.log.trace_verbose, &over.trace_verbose);
        tls::overlay(notes, &mut s.tls, over);
        self.access.overlay(over);
        self.cluster.overlay(notes, over);
        let flag = |text: &str| Node { value: Value::String(text.into()), at: nowhere };
        for (key, text) in [("shards", &over.shards), ("cpus", &over.cpus)] {
            if let Some(text) = text {
                self.cores(notes, key, &flag(text));
            }
        }
        if let Some(text) = &over.idle {
            let policies = text.split(',').map(flag).collect();
            self.cores(notes, "idle", &Node { value: Value::Array(policies), at: nowhere });
        }
    }

    /// What must fit together.
    fn finish(mut self, notes: &mut Notes<'_>) -> Settings {
        self.addresses(notes);
        let s = &mut self.settings;
        let too_big = s.limits.max_payload > s.limits.max_pending;
        if too_big {
            let text = format!(
                "max_payload ({}) cannot be higher than max_pending ({})",
                s.limits.max_payload, s.limits.max_pending
            );
            notes.wrong(self.payload_at, "max_payload", text);
        } else if s.limits.max_payload > PAYLOAD_HIGH {
            notes.warn(
                "Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance".into(),
            );
        }
        let (grace, whole) = (s.timers.lame_duck_grace_period, s.timers.lame_duck_duration);
        if grace >= whole {
            let text = format!(
                "lame duck grace period ({}) should be strictly lower than lame duck duration ({})",
                show_duration(grace),
                show_duration(whole)
            );
            notes.wrong(self.grace_at, "lame_duck_grace_period", text);
        }
        if s.server_name.as_ref().is_some_and(|n| n.chars().any(|c| c.is_whitespace() || c.is_control())) {
            notes.wrong(self.name_at, "server_name", "server name cannot contain spaces");
        }
        if s.client_advertise.as_ref().is_some_and(|a| !advertisable(a)) {
            notes.wrong(self.advertise_at, "client_advertise", "client_advertise must be host or host:port");
        }
        let shards = s.cores.shards.map(usize::from).or(s.cores.cpus.as_ref().map(Vec::len));
        let policies = s.cores.idle.len();
        if policies > 1 && shards.is_some_and(|n| n != policies) {
            let text = format!(
                "idle names {policies} policies for {} shards: name one, or one per shard",
                shards.unwrap_or(0)
            );
            notes.wrong(self.idle_at, "idle", text);
        }
        let handshake = s.tls.as_ref().map(|t| t.timeout);
        // As in nats-server: whoever needs long for one needs longer for both.
        s.timers.auth_timeout =
            self.access.timeout.or(handshake.map(|t| t + Duration::from_secs(1))).unwrap_or(s.timers.auth_timeout);
        self.access.mapped = s.tls.as_ref().is_some_and(|t| t.map);
        s.auth = self.access.finish(notes);
        s.cluster = self.cluster.finish(notes, &s.listen, &s.auth);
        s.gateway = self.gateway.finish(notes, s.cluster.as_mut(), &s.auth);
        tls::fit(notes, s, self.optional_at);
        let early = s.limits.stranger_bytes_max();
        s.cluster.iter_mut().for_each(|c| c.stranger_bytes_max = early);
        s.gateway.iter_mut().for_each(|g| g.stranger_bytes_max = early);
        if let Some(at) = self.strict_at {
            doors::open(s).into_iter().for_each(|text| notes.wrong(at, "strict", format!("strict: {text}")));
        }
        self.settings
    }

    fn addresses(&mut self, notes: &mut Notes<'_>) {
        let listen = host(&self.host);
        if self.port.number != 0 {
            self.settings.listen.port = self.port.checked(notes, "port");
        }
        self.settings.listen.host.clone_from(&listen);
        let https = self.private_monitor.number != 0;
        if https && self.monitor_port.number != 0 {
            let text = "can't specify both HTTP and HTTPS ports for monitoring: choose http or https";
            notes.wrong(self.private_monitor.at, "https_port", text);
        }
        if https && self.settings.tls.is_none() {
            notes.wrong(self.private_monitor.at, "https_port", "TLS cert and key required for HTTPS: add a tls block");
        }
        self.settings.https = https;
        let (wanted, key) =
            if https { (&self.private_monitor, "https_port") } else { (&self.monitor_port, "http_port") };
        if wanted.number != 0 {
            let port = wanted.checked(notes, key);
            let host = if self.monitor_host.is_empty() { listen } else { host(&self.monitor_host) };
            self.settings.monitor = Some(Listen { host, port });
        }
    }
}

fn path(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<std::path::PathBuf> {
    notes.text(key, node).filter(|s| !s.is_empty()).map(Into::into)
}

/// One leading slash, none at the end, no empty, `.` or `..` parts.
fn clean_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            p => parts.push(p),
        }
    }
    format!("/{}", parts.join("/"))
}
