//! What the command line decides. `cli` fills it in; the model lays it over the file.

use std::path::PathBuf;

/// What the command line says; it goes before the file, at the start and at every reload (operations.md §1).
/// `None`: not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `--addr`
    pub host: Option<String>,
    /// `--port`; −1 lets the system choose, 0 means the default.
    pub port: Option<i64>,
    /// `--name`
    pub server_name: Option<String>,
    /// `--client_advertise`
    pub client_advertise: Option<String>,
    /// `--http_port`
    pub http_port: Option<i64>,
    /// `--https_port`
    pub https_port: Option<i64>,
    /// `--pid`
    pub pid_file: Option<PathBuf>,
    /// `--ports_file_dir`
    pub ports_file_dir: Option<PathBuf>,
    /// `--log`
    pub log_file: Option<PathBuf>,
    /// `--log_size_limit`, bytes
    pub log_size_limit: Option<i64>,
    /// `--max_traced_msg_len`, bytes
    pub max_traced_msg_len: Option<i64>,
    /// `--logtime`
    pub logtime: Option<bool>,
    /// `--logtime_utc`
    pub logtime_utc: Option<bool>,
    /// `--debug`
    pub debug: Option<bool>,
    /// `--trace`
    pub trace: Option<bool>,
    /// `-VV`
    pub trace_verbose: Option<bool>,
    /// `--user`
    pub user: Option<Text>,
    /// `--pass`
    pub pass: Option<Text>,
    /// `--auth`
    pub token: Option<Text>,
    /// `--shards`: "auto" or a number
    pub shards: Option<String>,
    /// `--cpus`: "0-3,8"
    pub cpus: Option<String>,
    /// `--idle`: policies, comma separated
    pub idle: Option<String>,
    /// `--cluster`: where routes come in, as a URL; empty: there is no cluster
    pub cluster_listen: Option<Text>,
    /// `--cluster_name`
    pub cluster_name: Option<String>,
    /// `--cluster_advertise`
    pub cluster_advertise: Option<String>,
    /// `--no_advertise`
    pub no_advertise: Option<bool>,
    /// `--connect_retries`
    pub connect_retries: Option<i64>,
    /// `--routes`: URLs, comma separated
    pub routes: Option<Text>,
    /// `--tls` and what goes with it.
    pub tls: TlsFlags,
    /// Sentences for [`Settings::warnings`](super::Settings::warnings): services that flags asked for and that we do not offer.
    pub warnings: Vec<String>,
}

/// What the command line says of TLS for clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFlags {
    /// `--tls`
    pub tls: Option<bool>,
    /// `--tlsverify`
    pub verify: Option<bool>,
    /// `--tlscert`
    pub cert: Option<String>,
    /// `--tlskey`
    pub key: Option<String>,
    /// `--tlscacert`
    pub ca: Option<String>,
}

/// Text whose `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(pub String);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[REDACTED]")
    }
}
