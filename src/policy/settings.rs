//! Validated settings: what the server runs with. Shared by all shards, immutable; a reload makes new ones.
//!
//! Both spellings of a configuration (TOML and nats-server's `.conf`) and the command line end here, through one
//! validator. Sizes are bytes, times are [`Duration`]s.

use super::permits::Permits;
use super::rewrites::Rewrites;
use super::shares::Shares;
use super::tls::Tls;
use super::tracing::TraceRule;
use super::trust::Trust;
use crate::base::limits::STRANGER_BYTES_MIN;
use crate::interest::border::Rule;
use crate::wire::nkey::PublicKey;
use crate::wire::subject;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The account of everybody who names none.
pub const GLOBAL: &str = "$G";
/// The system account, unless another is named.
pub const SYSTEM: &str = "$SYS";

/// Everything an operator can decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The server's name; `None`: the server id takes its place.
    pub server_name: Option<String>,
    /// Where clients connect.
    pub listen: Listen,
    /// `host[:port]` told to clients instead of the listen address.
    pub client_advertise: Option<String>,
    /// How clients are served with TLS; `None`: they are not.
    pub tls: Option<Tls>,
    /// HTTP monitoring, if wanted.
    pub monitor: Option<Listen>,
    /// It is served over TLS, with the certificate that clients are shown (`https`).
    pub https: bool,
    /// Path prefix of all monitoring endpoints; "/" for none.
    pub http_base_path: String,
    /// How the machine's cores are used.
    pub cores: Cores,
    /// Limits of connections and messages.
    pub limits: Limits,
    /// Periods and time limits.
    pub timers: Timers,
    /// Accounts and who may enter them.
    pub auth: Auth,
    /// The cluster this server is a member of; `None`: it stands alone and takes no routes.
    pub cluster: Option<Cluster>,
    /// The links of this server's cluster to others; `None`: it has none.
    pub gateway: Option<Gateway>,
    /// Does the server offer headers? (`no_header_support` negated)
    pub headers: bool,
    /// Are messages refused whose header block is malformed? Else they are delivered as they came, with a warning.
    pub strict_headers: bool,
    /// Instead of pausing a publisher whose every destination is congested, drop for those destinations
    /// (`no_fast_producer_stall`).
    pub no_fast_producer_stall: bool,
    /// Where log lines go and which.
    pub log: Log,
    /// The process id is written here.
    pub pid_file: Option<PathBuf>,
    /// The ports file is written into this directory.
    pub ports_file_dir: Option<PathBuf>,
    /// `key:value` tags of this server.
    pub server_tags: Vec<String>,
    /// Free metadata of this server.
    pub server_metadata: Vec<(String, String)>,
    /// Services of nats-server that were asked for and that we do not offer, one sentence each; shown at start, by
    /// `-t` and in `/varz`.
    pub warnings: Vec<String>,
    /// `sha256:<hex>` of the parsed configuration; empty without a file.
    pub digest: String,
}

impl Settings {
    /// The cluster's name, as far as it is configured; empty: it is not.
    pub fn cluster_name(&self) -> &str {
        let of_gateway = self.gateway.as_ref().map(|g| g.name.as_str());
        of_gateway.or_else(|| self.cluster.as_ref().and_then(|c| c.name.as_deref())).unwrap_or_default()
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Host name or address as written; "0.0.0.0" for all.
    pub host: String,
    /// The port; `None` lets the system choose (written −1).
    pub port: Option<u16>,
}

/// Membership in a cluster (operations.md §8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name, equal on all members; `None`: one is made up, and given up for another's (cluster-protocol.md §3.6).
    pub name: Option<String>,
    /// Where routes come in; `None`: on the client port (top-level `routes` without a `cluster` block).
    pub listen: Option<Listen>,
    /// `host[:port]` told to peers instead of the listen address.
    pub advertise: Option<String>,
    /// Keep this server's client addresses from other servers' clients, and theirs from ours.
    pub no_advertise: bool,
    /// What peers must present, and what we present to peers learned by gossip; `None`: anybody is let in.
    pub login: Option<RouteLogin>,
    /// How routes speak TLS, those that come in and those that are dialed; `None`: they do not.
    pub tls: Option<Tls>,
    /// From accept to a valid CONNECT.
    pub auth_timeout: Duration,
    /// Bytes that a peer may send before it is known, where it has to be.
    pub stranger_bytes_max: usize,
    /// Peers to dial at start, for ever.
    pub routes: Vec<RouteUrl>,
    /// Further attempts to reach a peer learned by gossip.
    pub connect_retries: u32,
    /// Between pings to a peer.
    pub ping_interval: Duration,
    /// A peer that is silent, or takes nothing in, for so long is given up (ours: `peer_timeout`).
    pub peer_timeout: Duration,
    /// What is told to peers and accepted from them; `None`: everything.
    pub permissions: Option<RoutePermissions>,
    /// Does a missing route that another live member has make the server "not ready" (ours: `mesh_readiness`)?
    pub unready_without_mesh: bool,
}

/// User and password of routes.
#[derive(Clone, PartialEq, Eq)]
pub struct RouteLogin {
    /// The user.
    pub user: String,
    /// The password, plain or a bcrypt hash.
    pub password: String,
}

impl std::fmt::Debug for RouteLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RouteLogin {{ user: {:?}, password: […] }}", self.user)
    }
}

/// One entry of `routes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteUrl {
    /// Host name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What the URL says we are; `None`: [`Cluster::login`] is used.
    pub login: Option<RouteLogin>,
}

/// Subjects that may cross a route (cluster-protocol.md §3.17).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutePermissions {
    /// Local interest that peers are told of.
    pub import: SubjectRules,
    /// Remote interest that is accepted.
    pub export: SubjectRules,
}

/// Allowed and denied subjects; deny wins, an empty `allow` allows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectRules {
    /// Allowed patterns.
    pub allow: Vec<String>,
    /// Denied patterns.
    pub deny: Vec<String>,
}

impl SubjectRules {
    /// May interest in `pattern` cross? All it can match must be allowed and none of it denied as a whole.
    pub fn allows(&self, pattern: &[u8]) -> bool {
        let covers = |p: &String| subject::contains(p.as_bytes(), pattern);
        (self.allow.is_empty() || self.allow.iter().any(covers)) && !self.deny.iter().any(covers)
    }
}

/// The links of a cluster to others (operations.md §9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The cluster's name, which is the gateway's.
    pub name: String,
    /// Where other clusters come in.
    pub listen: Listen,
    /// `host[:port]` told to others instead of the listen address.
    pub advertise: Option<String>,
    /// What others must present, and what we present where a URL has no login; `None`: anybody is let in.
    pub login: Option<RouteLogin>,
    /// How links speak TLS, those that come in and those that are dialed; `None`: they do not.
    pub tls: Option<Tls>,
    /// From accept to a valid CONNECT.
    pub auth_timeout: Duration,
    /// Bytes that somebody may send before it is known who he is, where that has to be.
    pub stranger_bytes_max: usize,
    /// Clusters to dial, for ever, each name once; our own may be among them.
    pub remotes: Vec<RemoteGateway>,
    /// Further rounds of attempts to reach a cluster that is not in the list.
    pub connect_retries: u32,
    /// Only clusters in the list are let in and dialed.
    pub reject_unknown: bool,
    /// How this cluster wants to be sent messages (ours: `interest`).
    pub interest: GatewayInterest,
    /// The same for accounts by name (ours: `account_interest`).
    pub account_interest: Vec<(String, GatewayInterest)>,
    /// Refused subjects of an account after which its whole interest is told instead (ours: `no_interest_max`).
    pub no_interest_max: usize,
    /// Between pings on a link.
    pub ping_interval: Duration,
    /// A link that is silent, or takes nothing in, for so long is given up (ours: `peer_timeout`).
    pub peer_timeout: Duration,
    /// What may cross (ours).
    pub borders: Borders,
}

/// What may leave for other clusters and what may enter (docs/borders.md).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Borders {
    /// What may leave (`exports`), in the order written; `None`: everything.
    pub exports: Option<Vec<Rule>>,
    /// What may enter (`imports`); `None`: everything.
    pub imports: Option<Vec<Rule>>,
    /// How long after a request its answers may cross back (`reply_window`).
    pub reply_window: Duration,
    /// How many of them (`reply_max`); `None`: any number.
    pub reply_max: Option<u32>,
}

/// One cluster in the list of gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteGateway {
    /// Its name.
    pub name: String,
    /// Where its servers take gateways: one of them is enough.
    pub urls: Vec<RouteUrl>,
    /// How it is dialed, where that is another way than [`Gateway::tls`].
    pub tls: Option<Tls>,
    /// How many entries of the list bear that name; more than one is a mistake.
    pub entries: u32,
}

/// How a cluster wants to be sent messages (cluster-protocol.md §4.7). The receiving side decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatewayInterest {
    /// As nats-server does today: only what was asked for, from the start.
    #[default]
    Auto,
    /// Everything, until we refuse it.
    Optimistic,
    /// Only what was asked for, from the start, in so many words.
    InterestOnly,
}

impl Gateway {
    /// Is interest-only promised to everybody who connects (`gateway_iom`)? A promise is for all accounts.
    pub fn promises(&self) -> bool {
        let optimistic = |mode: &GatewayInterest| *mode == GatewayInterest::Optimistic;
        !optimistic(&self.interest) && !self.account_interest.iter().any(|(_, mode)| optimistic(mode))
    }

    /// How this account is to be sent messages.
    pub fn interest_of(&self, account: &str) -> GatewayInterest {
        let named = self.account_interest.iter().find(|(name, _)| name == account);
        named.map_or(self.interest, |(_, mode)| *mode)
    }
}

/// How the machine's cores are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Number of shards; `None` is "auto": one per core that affinity, cgroup and locked memory allow.
    pub shards: Option<u16>,
    /// The cores to use, in order of shards; `None`: those of the inherited affinity.
    pub cpus: Option<Vec<u16>>,
    /// What a shard does when there is nothing to do; one entry for all, or one per shard.
    pub idle: Vec<Idle>,
    /// Memory that each shard's executor registers with the kernel for I/O, in bytes (counts against `RLIMIT_MEMLOCK`).
    pub io_memory: usize,
}

/// What a shard does when there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Sleep at once in the kernel; costs a wake-up (some microseconds) per burst.
    Park,
    /// Look for work for this long before sleeping.
    Spin(Duration),
    /// Never sleep: the lowest latency for a whole core.
    Poll,
}

/// Limits of connections and messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload with headers of one message, bytes.
    pub max_payload: usize,
    /// Longest argument of one control line, bytes.
    pub max_control_line: usize,
    /// Most bytes waiting for one connection before it is cut.
    pub max_pending: usize,
    /// Most bytes waiting for all clients together; `None`: a quarter of the memory. On each shard at least twice `max_pending`.
    pub max_pending_total: Option<usize>,
    /// Bytes of memory at which the server sheds: no more clients, no more subscriptions, those for whom the most waits
    /// are cut; `None`: nine tenths of the control group's limit, if there is one; 0: never.
    pub memory_limit: Option<usize>,
    /// Most client connections at a time; 0: none.
    pub max_connections: usize,
    /// Most subscriptions of one connection; 0: no limit.
    pub max_subscriptions: usize,
    /// Most tokens in a subscription's subject; 0: no limit.
    pub max_sub_tokens: usize,
    /// How many closed connections monitoring remembers.
    pub max_closed_clients: usize,
    /// Most bytes that one connection's subscriptions may take (a subject bomb's ceiling).
    pub max_subscription_bytes: usize,
    /// Most patterns, with queue groups, that one peer may want. No configuration says it; tests make it small.
    pub max_peer_interest: u64,
}

/// Periods and time limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Between pings.
    pub ping_interval: Duration,
    /// Pings outstanding before a connection is stale.
    pub ping_max: u32,
    /// A destination that takes no byte for this long is cut.
    pub write_deadline: Duration,
    /// From accept to a valid CONNECT, where authentication is required.
    pub auth_timeout: Duration,
    /// Whole length of a lame duck.
    pub lame_duck_duration: Duration,
    /// Lame duck: before the first client is closed.
    pub lame_duck_grace_period: Duration,
    /// On SIGINT and SIGTERM: longest wait for queued data to leave.
    pub shutdown_grace: Duration,
}

/// Accounts and who may enter them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Auth {
    /// All accounts, also those that have gone. `accounts[0]` is always `$G`, `accounts[1]` the system account if there is one.
    pub accounts: Vec<Account>,
    /// Index of the system account in `accounts`.
    pub system: Option<usize>,
    /// All users of all accounts, names unique among those with a password and among those with a key.
    pub users: Vec<User>,
    /// One token for all, instead of users.
    pub token: Option<Secret>,
    /// Anonymous connections become this user (index in `users`).
    pub no_auth_user: Option<usize>,
    /// Must a connection present credentials? False also where only the system account has users and no
    /// `authorization` block stands: then the anonymous enter `$G` (client-protocol.md §15).
    pub required: bool,
    /// INFO says `auth_required` (also in the case above, as nats-server does).
    pub announced: bool,
    /// The client's certificate says which of them he is (`verify_and_map`).
    pub by_certificate: bool,
    /// What users may do.
    pub permits: Arc<Permits>,
    /// Whom operators trust, where they say who may enter instead of a list of users.
    pub trust: Option<Arc<Trust>>,
}

/// An account: a world of subjects of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its name, `$G` for the global one.
    pub name: String,
    /// Most connections; `None`: no limit.
    pub max_connections: Option<usize>,
    /// Most subscriptions per connection; `None`: no limit.
    pub max_subscriptions: Option<usize>,
    /// Largest payload; `None`: the server's.
    pub max_payload: Option<usize>,
    /// What it is given of other accounts' subjects.
    pub shares: Arc<Shares>,
    /// What its clients' subjects become (`mappings`).
    pub rewrites: Arc<Rewrites>,
    /// Where is told of messages with a `traceparent` header (`msg_trace`).
    pub tracing: Option<TraceRule>,
    /// A reload has taken it away, and its name keeps its place (`lasting`).
    pub gone: bool,
}

/// Somebody who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user name; of who is known by a key, the key as text.
    pub name: String,
    /// The public half of a key: who has the other half signs what the server says, and needs no password.
    pub key: Option<PublicKey>,
    /// The password; empty, and good for nothing, of who is known by a key.
    pub password: Secret,
    /// Index in [`Auth::accounts`].
    pub account: usize,
    /// From where (`allowed_connection_types`).
    pub kinds: ConnectionKinds,
}

impl User {
    /// A user who may come over any kind of connection.
    pub fn named(name: &str, password: Secret, account: usize) -> User {
        User { name: name.into(), key: None, password, account, kinds: ConnectionKinds::default() }
    }

    /// A user who is known by a key.
    pub fn keyed(key: PublicKey, account: usize) -> User {
        User { key: Some(key), ..User::named(&key.to_string(), Secret::Plain(String::new()), account) }
    }
}

/// Kinds of connections, in nats-server's words (operations.md §4). Of them there is one here: plain TCP, with TLS or
/// without, `STANDARD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionKinds {
    /// May a client come in as clients do here?
    pub standard: bool,
}

impl Default for ConnectionKinds {
    /// Nothing is restricted.
    fn default() -> ConnectionKinds {
        ConnectionKinds { standard: true }
    }
}

impl ConnectionKinds {
    /// Every word there is.
    pub const WORDS: [&str; 7] = ["STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS", "IN_PROCESS"];

    /// Those that are named, in any case; an empty list restricts nothing.
    pub fn of<'w>(words: impl IntoIterator<Item = &'w str>) -> ConnectionKinds {
        let mut words = words.into_iter().peekable();
        let all = words.peek().is_none();
        ConnectionKinds { standard: all || words.any(|w| w.eq_ignore_ascii_case("STANDARD")) }
    }
}

/// A password or token as configured. Its `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Written in the clear.
    Plain(String),
    /// A bcrypt hash (`$2a$`, `$2b$`, `$2x$`, `$2y$`).
    Bcrypt(String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Where log lines go and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A file instead of standard error.
    pub file: Option<PathBuf>,
    /// DBG lines.
    pub debug: bool,
    /// TRC lines: the protocol as it passes.
    pub trace: bool,
    /// TRC lines of the system account too.
    pub trace_verbose: bool,
    /// Date and time on each line.
    pub time: bool,
    /// In UTC instead of local time.
    pub utc: bool,
    /// One JSON object per line instead of nats-server's format.
    pub json: bool,
    /// Rotate a file past this size; 0: never.
    pub size_limit: u64,
    /// Files kept when rotating, the live one included; 0: all.
    pub max_files: usize,
    /// Longest message shown by trace; 0: all of it.
    pub max_traced_msg_len: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            server_name: None,
            listen: Listen { host: "0.0.0.0".into(), port: Some(4222) },
            client_advertise: None,
            tls: None,
            monitor: None,
            https: false,
            http_base_path: "/".into(),
            cores: Cores { shards: None, cpus: None, idle: vec![Idle::Park], io_memory: 512 << 10 },
            limits: Limits::default(),
            timers: Timers::default(),
            auth: Auth::open(),
            cluster: None,
            gateway: None,
            headers: true,
            strict_headers: false,
            no_fast_producer_stall: false,
            log: Log {
                file: None,
                debug: false,
                trace: false,
                trace_verbose: false,
                time: true,
                utc: false,
                json: false,
                size_limit: 0,
                max_files: 0,
                max_traced_msg_len: 0,
            },
            pid_file: None,
            ports_file_dir: None,
            server_tags: Vec::new(),
            server_metadata: Vec::new(),
            warnings: Vec::new(),
            digest: String::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_payload: 1 << 20,
            max_control_line: 4096,
            max_pending: 64 << 20,
            max_pending_total: None,
            memory_limit: None,
            max_connections: 65536,
            max_subscriptions: 0,
            max_sub_tokens: 0,
            max_closed_clients: 10_000,
            max_subscription_bytes: 256 << 20,
            max_peer_interest: crate::base::limits::PEER_INTEREST_MAX,
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Timers {
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            write_deadline: Duration::from_secs(10),
            auth_timeout: Duration::from_secs(2),
            lame_duck_duration: Duration::from_secs(120),
            lame_duck_grace_period: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Bytes that somebody may send before it is known who he is, where that has to be.
    pub fn stranger_bytes_max(&self) -> usize {
        self.max_control_line.max(STRANGER_BYTES_MIN)
    }
}

impl Default for Cluster {
    /// Routes on the client port, from and to anybody; no peer is known.
    fn default() -> Self {
        Cluster {
            name: None,
            listen: None,
            advertise: None,
            no_advertise: false,
            login: None,
            tls: None,
            auth_timeout: Duration::from_secs(2),
            stranger_bytes_max: STRANGER_BYTES_MIN,
            routes: Vec::new(),
            connect_retries: 0,
            ping_interval: Duration::from_secs(1),
            peer_timeout: Duration::from_secs(5),
            permissions: None,
            unready_without_mesh: true,
        }
    }
}

impl Account {
    /// An account without limits.
    pub fn named(name: &str) -> Account {
        Account { name: name.into(), ..Account::default() }
    }
}

impl Auth {
    /// Is anybody asked who he is?
    pub fn is_guarded(&self) -> bool {
        !self.users.is_empty() || self.token.is_some() || self.trust.is_some()
    }

    /// Everybody enters `$G`; the system account exists and has no users.
    pub fn open() -> Auth {
        Auth { accounts: vec![Account::named("$G"), Account::named("$SYS")], system: Some(1), ..Auth::default() }
    }
}
