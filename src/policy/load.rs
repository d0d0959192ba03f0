//! From a path and a command line to [`Settings`]: the one way in for a start, for `-t` and for a reload, so that what
//! is found valid will start. Called by the shell and by `cli`.

use super::invalid::Invalid;
use super::model;
use super::tree::{invalid, At, Lines, Tree};
use super::{conf, file, Settings};
use std::io;
use std::path::{Path, PathBuf};

/// Largest configuration file, in bytes.
pub const FILE_BYTES_MAX: usize = 8 << 20;

/// Where files and environment come from; this floor reads neither by itself.
pub trait Source {
    /// The contents of a file. May stop one byte past [`FILE_BYTES_MAX`].
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>>;
    /// An environment variable, if it is set and UTF-8.
    fn env(&self, name: &str) -> Option<String>;
}

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
    /// Sentences for [`Settings::warnings`]: services that flags asked for and that we do not offer.
    pub warnings: Vec<String>,
}

/// Text whose `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(pub String);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// A configuration that will start.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What the server runs with.
    pub settings: Settings,
    /// What is allowed but should be written otherwise. `-t` fails on these, a start goes on (operations.md §1).
    pub deprecations: Vec<Invalid>,
    /// Every file read, the includes too.
    pub files: Vec<String>,
}

/// Loads the file `path` alone.
///
/// # Errors
/// All mistakes in it at once; a syntax error in a `.conf` alone.
pub fn load(path: &Path, source: &mut dyn Source) -> Result<Loaded, Vec<Invalid>> {
    load_with(Some(path), &Overrides::default(), source)
}

/// Loads the file, if any, with the command line before it. A name that ends in `.toml` is TOML, any other is
/// nats-server's grammar.
///
/// # Errors
/// All mistakes at once; a syntax error in a `.conf` alone.
pub fn load_with(path: Option<&Path>, over: &Overrides, source: &mut dyn Source) -> Result<Loaded, Vec<Invalid>> {
    let Some(path) = path else { return model::settings(&Tree::default(), over) };
    let tree = read(path, source)?;
    let mut loaded = model::settings(&tree, over)?;
    loaded.settings.digest = tree.digest();
    if tree.root.entries().is_empty() {
        loaded.deprecations.push(invalid(&tree.files, At::default(), "", "config has no values or is empty"));
    }
    loaded.files = tree.files;
    Ok(loaded)
}

fn read(path: &Path, source: &mut dyn Source) -> Result<Tree, Vec<Invalid>> {
    let bytes = opened(source, path).map_err(|why| vec![Invalid::nowhere("", why)])?;
    if bytes.len() > FILE_BYTES_MAX {
        let text = format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display());
        return Err(vec![Invalid::nowhere("", text)]);
    }
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")) {
        file::read(path, bytes)
    } else {
        conf::read(path, bytes, source).map_err(|e| vec![e])
    }
}

/// The contents of a file, or why not, in the words of operations.md §1.
pub(super) fn opened(source: &mut dyn Source, path: &Path) -> Result<Vec<u8>, String> {
    source.read(path).map_err(|e| {
        let why = match e.kind() {
            io::ErrorKind::NotFound => "no such file or directory".into(),
            io::ErrorKind::PermissionDenied => "permission denied".into(),
            io::ErrorKind::IsADirectory => "is a directory".into(),
            _ => e.to_string(),
        };
        format!("open {}: {why}", path.display())
    })
}

/// A file's bytes as text, or where they stop being text.
pub(super) fn utf8(files: &[String], file: u16, bytes: Vec<u8>) -> Result<String, Invalid> {
    String::from_utf8(bytes).map_err(|e| {
        let good = e.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&e.as_bytes()[..good]).into_owned();
        let at = Lines::of(file, &text).at(good);
        invalid(files, at, "", format!("Parse error on line {}: the file is not UTF-8", at.line))
    })
}
