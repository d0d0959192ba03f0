//! nats-server's command line (operations.md §§1, 23) and ours: arguments → what to do. Called by `main` once; sends no
//! signal, opens no socket, prints nothing: the shell does.

use super::check::{problems, Answer};
use crate::base::limits::CONF_FILE_BYTES_MAX;
use crate::policy::{self, Invalid, Loaded, Overrides, Source, Text};
use crate::{NATS_VERSION, TURNPIKE_VERSION};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The help text; `{program}` stands for the name it was called by.
pub(super) const USAGE: &str = include_str!("usage.txt");

const HELP_TLS: &str = "\
TLS for clients:
        --tls                      Clients must speak TLS; needs --tlscert and --tlskey
        --tlscert FILE             Certificate of this server, with those between it and its authority (PEM)
        --tlskey FILE              Its private key (PEM)
        --tlsverify                Clients must show a certificate; needs --tlscacert
        --tlscacert FILE           Authorities whose certificates are believed (PEM)
Everything else about TLS stands in the configuration: docs/security.md.
";

/// What a command line asks for.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Be the server.
    Serve(Box<Serve>),
    /// Say something and exit.
    Print {
        /// Whole lines, the last one ended.
        text: String,
        /// Exit code.
        code: u8,
        /// On standard error instead of standard output.
        to_stderr: bool,
    },
    /// Say what a running server would do otherwise with these settings, and exit.
    Compare {
        /// Lines for standard error before that.
        text: String,
        /// The settings.
        settings: Box<policy::Settings>,
        /// Where the monitoring of the server is.
        against: String,
    },
    /// Signal a running server and exit.
    Signal {
        /// The base name of the program as called.
        program: String,
        /// `cmd`, `cmd=pid`, `cmd=prefix*` or `cmd=file` (operations.md §14), as written.
        argument: String,
    },
}

/// A server to be started.
#[derive(Debug, PartialEq)]
pub struct Serve {
    /// What it runs with.
    pub settings: policy::Settings,
    /// The configuration file, to be loaded again at a reload by [`policy::load_with`] …
    pub config: Option<PathBuf>,
    /// … together with these.
    pub overrides: Overrides,
    /// Lines for standard error before the start: deprecated spellings.
    pub notices: Vec<String>,
    /// The base name of the program as called.
    pub program: String,
}

/// Files and environment of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Source for Machine {
    fn read(&mut self, path: &Path) -> std::io::Result<Vec<u8>> {
        use std::io::Read;
        let mut bytes = Vec::new();
        // One byte more than allowed shows that there is more; and a device has no end.
        std::fs::File::open(path)?.take(CONF_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Bool,
    Number,
    Text,
}

/// Every flag: its names, the first being the one matched below, and what it takes.
pub(super) const FLAGS: &[(&[&str], Kind)] = &[
    (&["help", "h"], Kind::Bool),
    (&["version", "v"], Kind::Bool),
    (&["help_tls"], Kind::Bool),
    (&["t"], Kind::Bool),
    (&["config", "c"], Kind::Text),
    (&["against"], Kind::Text),
    (&["signal", "sl"], Kind::Text),
    (&["addr", "a", "net"], Kind::Text),
    (&["port", "p"], Kind::Number),
    (&["name", "n", "server_name"], Kind::Text),
    (&["client_advertise"], Kind::Text),
    (&["http_port", "m"], Kind::Number),
    (&["pid", "P"], Kind::Text),
    (&["ports_file_dir"], Kind::Text),
    (&["log", "l"], Kind::Text),
    (&["logtime", "T"], Kind::Bool),
    (&["logtime_utc"], Kind::Bool),
    (&["debug", "D"], Kind::Bool),
    (&["trace", "V"], Kind::Bool),
    (&["VV"], Kind::Bool),
    (&["DV"], Kind::Bool),
    (&["DVV"], Kind::Bool),
    (&["log_size_limit"], Kind::Number),
    (&["max_traced_msg_len"], Kind::Number),
    (&["user"], Kind::Text),
    (&["pass"], Kind::Text),
    (&["auth"], Kind::Text),
    (&["shards"], Kind::Text),
    (&["cpus"], Kind::Text),
    (&["idle"], Kind::Text),
    (&["https_port", "ms"], Kind::Number),
    (&["tls"], Kind::Bool),
    (&["tlsverify"], Kind::Bool),
    (&["tlscert"], Kind::Text),
    (&["tlskey"], Kind::Text),
    (&["tlscacert"], Kind::Text),
    (&["cluster", "cluster_listen"], Kind::Text),
    (&["cluster_name"], Kind::Text),
    (&["cluster_advertise"], Kind::Text),
    (&["routes"], Kind::Text),
    (&["no_advertise"], Kind::Bool),
    (&["connect_retries"], Kind::Number),
    (&["jetstream", "js"], Kind::Bool),
    (&["store_dir", "sd"], Kind::Text),
    (&["profile"], Kind::Number),
    (&["syslog", "s"], Kind::Bool),
    (&["remote_syslog", "r"], Kind::Text),
];

/// A flag's value as given.
enum Given {
    Bool(bool),
    Number(i64),
    Text(String),
}

/// What the arguments said, before anything is loaded.
#[derive(Default)]
struct Said {
    over: Overrides,
    config: Option<PathBuf>,
    signal: Option<String>,
    check: bool,
    against: Option<String>,
    help: bool,
    help_tls: bool,
    version: bool,
    /// See [`secrets`].
    secrets: Vec<(usize, Range<usize>)>,
}

/// Where secrets stand in a command line, to be overwritten: the index of the argument and a range of its bytes. None
/// in a line that is no command line.
pub fn secrets(args: &[String]) -> Vec<(usize, Range<usize>)> {
    flags(args).map(|(said, _)| said.secrets).unwrap_or_default()
}

/// The secret parts of the value of `flag`, which begins at byte `from` of `arg`: all of a credential; of addresses,
/// commas between them, what stands before the `@`.
fn secret_parts(flag: &str, arg: &str, from: usize) -> Vec<Range<usize>> {
    match flag {
        "user" | "pass" | "auth" => std::iter::once(from..arg.len()).collect(),
        "cluster" | "routes" => {
            let (mut parts, mut at) = (Vec::new(), from);
            for address in arg[from..].split(',') {
                let begins = address.find("://").map_or(0, |scheme| scheme + 3);
                let ends = address.rfind('@').filter(|ends| begins < *ends);
                parts.extend(ends.map(|ends| at + begins..at + ends));
                at += address.len() + 1;
            }
            parts
        }
        _ => Vec::new(),
    }
}

/// Reads a command line; `args[0]` is the program.
pub fn parse(args: &[String], source: &mut dyn Source) -> Command {
    let program = args.first().map_or("turnpike", String::as_str);
    let program = Path::new(program).file_name().and_then(|n| n.to_str()).unwrap_or("turnpike").to_string();
    let (mut said, rest) = match flags(args) {
        Ok(x) => x,
        // nats-server exits with 0 here; a start that did not happen is no success.
        Err(why) => return complain(format!("{why}\n\n{}", usage(&program))),
    };
    let version = format!("nats-server: v{NATS_VERSION} (turnpike v{TURNPIKE_VERSION})\n");
    let first = args.get(rest).map(|w| w.to_ascii_lowercase());
    let say = |text: String| Command::Print { text, code: 0, to_stderr: false };
    if said.version {
        return say(version);
    } else if said.help {
        return say(usage(&program));
    } else if said.help_tls {
        return say(HELP_TLS.into());
    }
    match first.as_deref() {
        None => {}
        Some("version") => return say(version),
        Some("help") => return say(usage(&program)),
        Some("check") => return check(&program, &args[rest + 1..], &Overrides::default(), source),
        Some("plan") => {
            return match super::plan::answer(&args[rest + 1..]) {
                Ok(text) => say(text),
                Err(why) => complain(format!("{program}: plan: {why}\n")),
            }
        }
        Some(_) => return complain(format!("{program}: unrecognized command: {:?}\n", args[rest])),
    }
    if let Some(argument) = said.signal {
        return Command::Signal { program, argument };
    }
    match said.config.take() {
        Some(path) if said.check && said.against.is_some() => {
            compare(&program, &path, said.against.unwrap_or_default(), &said.over, source)
        }
        _ if said.against.is_some() => complain(format!(
            "{program}: --against goes with -t and -c: turnpike -t -c FILE --against http://HOST:PORT\n"
        )),
        Some(path) if said.check => check(&program, &[path.display().to_string()], &said.over, source),
        None if said.check => {
            complain(format!("{program}: must specify [-c, --config] option to check configuration file syntax\n"))
        }
        config => serve(program, config, said, source),
    }
}

fn serve(program: String, config: Option<PathBuf>, said: Said, source: &mut dyn Source) -> Command {
    match policy::load_with(config.as_deref(), &said.over, source) {
        Ok(Loaded { settings, deprecations, .. }) => Command::Serve(Box::new(Serve {
            settings,
            config,
            overrides: said.over,
            notices: deprecations.iter().map(Invalid::to_string).collect(),
            program,
        })),
        Err(errors) => complain(problems(&program, &errors)),
    }
}

fn check(program: &str, words: &[String], over: &Overrides, source: &mut dyn Source) -> Command {
    let Answer { text, code, to_stderr } = super::check::answer(program, words, over, source);
    Command::Print { text, code, to_stderr }
}

/// `-t --against`: the file has to be valid.
fn compare(program: &str, path: &Path, against: String, over: &Overrides, source: &mut dyn Source) -> Command {
    match check(program, &[path.display().to_string()], over, source) {
        Command::Print { text, code: 0, .. } => match policy::load_with(Some(path), over, source) {
            Ok(loaded) => Command::Compare { text, settings: Box::new(loaded.settings), against },
            Err(errors) => complain(problems(program, &errors)),
        },
        refused => refused,
    }
}

fn complain(text: String) -> Command {
    Command::Print { text, code: 1, to_stderr: true }
}

fn usage(program: &str) -> String {
    USAGE.replace("{program}", program)
}

/// The flags up to the first argument that is none, whose index is returned; the manners of Go's `flag` package.
fn flags(args: &[String]) -> Result<(Said, usize), String> {
    let mut said = Said::default();
    let mut i = 1;
    while let Some(arg) = args.get(i) {
        let Some(body) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else { break };
        if body.is_empty() {
            // "--" ends the flags, "-" is no flag.
            return Ok((said, if arg == "--" { i + 1 } else { i }));
        }
        let (name, value) = body.split_once('=').map_or((body, None), |(n, v)| (n, Some(v.to_string())));
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("bad flag syntax: {arg}"));
        }
        let Some((names, kind)) = FLAGS.iter().find(|(names, _)| names.contains(&name)) else {
            return Err(format!("flag provided but not defined: -{name}"));
        };
        let mut from = arg.len() - value.as_ref().map_or(0, String::len);
        let value = match value {
            None if *kind != Kind::Bool => {
                i += 1;
                from = 0;
                Some(args.get(i).cloned().ok_or_else(|| format!("flag needs an argument: -{name}"))?)
            }
            value => value,
        };
        let given = interpret(*kind, name, value)?;
        said.secrets.extend(secret_parts(names[0], &args[i], from).into_iter().map(|bytes| (i, bytes)));
        said.take(names[0], name, given);
        i += 1;
    }
    Ok((said, i))
}

fn interpret(kind: Kind, name: &str, value: Option<String>) -> Result<Given, String> {
    Ok(match (kind, value) {
        (Kind::Text, v) => Given::Text(v.unwrap_or_default()),
        (Kind::Bool, None) => Given::Bool(true),
        (Kind::Bool, Some(v)) => match v.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Given::Bool(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Given::Bool(false),
            _ => return Err(format!("invalid boolean value {v:?} for -{name}: parse error")),
        },
        (Kind::Number, v) => {
            let v = v.unwrap_or_default();
            Given::Number(v.parse().map_err(|_| format!("invalid value {v:?} for flag -{name}: parse error"))?)
        }
    })
}

impl Said {
    /// Takes one flag; `flag` is its first name, `name` the one that was used.
    fn take(&mut self, flag: &str, name: &str, given: Given) {
        match given {
            Given::Bool(b) => self.take_bool(flag, name, b),
            Given::Number(n) => self.take_number(flag, name, n),
            Given::Text(t) => self.take_text(flag, name, t),
        }
    }

    fn take_bool(&mut self, flag: &str, name: &str, b: bool) {
        let over = &mut self.over;
        match flag {
            "help" => self.help = b,
            "version" => self.version = b,
            "help_tls" => self.help_tls = b,
            "t" => self.check = b,
            "logtime" => over.logtime = Some(b),
            "logtime_utc" => over.logtime_utc = Some(b),
            "debug" => over.debug = Some(b),
            "trace" => over.trace = Some(b),
            "VV" => (over.trace, over.trace_verbose) = (Some(b), Some(b)),
            "DV" => (over.debug, over.trace) = (Some(b), Some(b)),
            "DVV" => (over.debug, over.trace, over.trace_verbose) = (Some(b), Some(b), Some(b)),
            "tls" => over.tls.tls = Some(b),
            "tlsverify" => over.tls.verify = Some(b),
            "jetstream" if b => self.warn(name, "JetStream is not offered"),
            "syslog" if b => self.warn(name, "syslog is not offered"),
            "no_advertise" => over.no_advertise = Some(b),
            _ => {}
        }
    }

    fn take_number(&mut self, flag: &str, name: &str, n: i64) {
        let over = &mut self.over;
        match flag {
            "port" => over.port = Some(n),
            "http_port" => over.http_port = Some(n),
            "log_size_limit" => over.log_size_limit = Some(n),
            "max_traced_msg_len" => over.max_traced_msg_len = Some(n),
            "https_port" => over.https_port = Some(n),
            "profile" if n != 0 => self.warn(name, "profiling over HTTP is not offered"),
            "connect_retries" => over.connect_retries = Some(n),
            _ => {}
        }
    }

    fn take_text(&mut self, flag: &str, name: &str, text: String) {
        let over = &mut self.over;
        match flag {
            "config" => self.config = (!text.is_empty()).then(|| text.into()),
            "against" => self.against = Some(text),
            "signal" => self.signal = (!text.is_empty()).then_some(text),
            "addr" => over.host = Some(text),
            "name" => over.server_name = Some(text),
            "client_advertise" => over.client_advertise = Some(text),
            "pid" => over.pid_file = Some(text.into()),
            "ports_file_dir" => over.ports_file_dir = Some(text.into()),
            "log" => over.log_file = Some(text.into()),
            "user" => over.user = Some(Text(text)),
            "pass" => over.pass = Some(Text(text)),
            "auth" => over.token = Some(Text(text)),
            "shards" => over.shards = Some(text),
            "cpus" => over.cpus = Some(text),
            "idle" => over.idle = Some(text),
            "cluster" => over.cluster_listen = Some(Text(text)),
            "cluster_name" => over.cluster_name = Some(text),
            "cluster_advertise" => over.cluster_advertise = Some(text),
            _ if text.is_empty() => {}
            "routes" => over.routes = Some(Text(text)),
            "tlscert" => over.tls.cert = Some(text),
            "tlskey" => over.tls.key = Some(text),
            "tlscacert" => over.tls.ca = Some(text),
            "store_dir" => self.warn(name, "JetStream is not offered"),
            "remote_syslog" => self.warn(name, "syslog is not offered"),
            _ => {}
        }
    }

    fn warn(&mut self, name: &str, why: &str) {
        self.over.warnings.push(format!("--{name}: {why}"));
    }
}

#[cfg(test)]
mod tests;
