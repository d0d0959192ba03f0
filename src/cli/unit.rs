//! `turnpike unit`: a systemd unit for one configuration on this machine. The text is that of `configs/turnpike.service`,
//! which explains itself, with what the configuration and the machine decide filled in.

use crate::cli::check::problems;
use crate::cli::flags::Machine as Files;
use crate::policy::{self, Listen, Settings};
use crate::shell::cores::{locked_bytes_per_shard, plan, Machine};
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// What `--help` prints.
pub const HELP: &str = "\
turnpike unit: a systemd unit for this configuration on this machine

Usage: turnpike unit -c FILE [--binary PATH] [--user USER]
       turnpike unit -c FILE --socket

  -c, --config FILE  the configuration; it has to be valid
  --binary PATH      the program (default: this one)
  --user USER        whom it runs as, and the group (default: turnpike)
  --socket           the socket unit instead: systemd holds the sockets of clients, routes, gateways and monitoring, so
                     that who comes while the server is restarted waits; write it to turnpike.socket beside the other

Write it to /etc/systemd/system/turnpike.service, then: systemctl daemon-reload; systemctl enable --now turnpike
Cores are those that the shards are pinned to here, locked memory and file descriptors what they and max_connections
take, the time to stop that of a lame duck and some more. Places that the server writes to are opened to it, all others
closed.
";

const TEMPLATE: &str = include_str!("../../configs/turnpike.service");

const SOCKETS: &str = include_str!("../../configs/turnpike.socket");

/// Locked memory beyond that of the shards, bytes: what the start tries out and gives back.
const MEMLOCK_SPARE: u64 = 16 << 20;
/// Descriptors beside those of clients, which are three quarters of all where there are routes and gateways.
const NOFILE_SPARE: u64 = 4096;
/// Never fewer.
const NOFILE_MIN: u64 = 65_536;
/// Beyond the length of a lame duck.
const STOP_SPARE: Duration = Duration::from_secs(30);
/// Folders that the template gives the server already.
const GIVEN: [&str; 2] = ["/var/log/turnpike", "/run/turnpike"];

/// What stands in a unit beside the configuration.
struct Place {
    config: PathBuf,
    binary: PathBuf,
    user: String,
}

/// Runs `turnpike unit WORDS`.
pub fn main(words: &[String]) -> ExitCode {
    match answer(words) {
        Ok(text) => {
            #[allow(clippy::print_stdout, reason = "this is the command's answer")]
            {
                print!("{text}");
            }
            ExitCode::SUCCESS
        }
        Err(why) => {
            #[allow(clippy::print_stderr, reason = "whoever called us looks here")]
            {
                eprintln!("turnpike: unit: {}", why.trim_end());
            }
            ExitCode::FAILURE
        }
    }
}

fn answer(words: &[String]) -> Result<String, String> {
    let (mut config, mut binary, mut user, mut wants_sockets) = (None, None, "turnpike".to_owned(), false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value =
            || words.next().cloned().ok_or_else(|| format!("{word} needs a value (turnpike unit --help tells more)"));
        match word.as_str() {
            "-h" | "-help" | "--help" => return Ok(HELP.into()),
            "-c" | "--config" => config = Some(PathBuf::from(value()?)),
            "--binary" => binary = Some(PathBuf::from(value()?)),
            "--user" => user = value()?,
            "--socket" => wants_sockets = true,
            other => return Err(format!("unknown word {other:?} (turnpike unit --help tells more)")),
        }
    }
    let config = config.ok_or("name the configuration: turnpike unit -c FILE")?;
    let loaded = policy::load(&config, &mut Files).map_err(|e| problems("turnpike", &e))?;
    if wants_sockets {
        return sockets(&loaded.settings, &config);
    }
    let absolute = |path: PathBuf| std::path::absolute(&path).map_err(|e| format!("{}: {e}", path.display()));
    let binary = match binary {
        Some(path) => path,
        None => {
            std::env::current_exe().map_err(|e| format!("where this program is, is not known ({e}): give --binary"))?
        }
    };
    let place = Place { config: absolute(config)?, binary: absolute(binary)?, user };
    plain(&place)?;
    let machine = Machine::read().map_err(|e| e.to_string())?;
    let pins = plan(&loaded.settings.cores, &machine).map_err(|e| e.to_string())?.cpus;
    Ok(unit(&loaded.settings, &place, &pins, machine.page_bytes))
}

/// What systemd would read as something else than a word.
fn plain(place: &Place) -> Result<(), String> {
    let odd = |text: &str| {
        text.is_empty()
            || text.contains(|c: char| {
                c.is_whitespace() || c.is_control() || matches!(c, '%' | '$' | '"' | '\'' | '\\' | ';')
            })
    };
    let all = [place.config.to_string_lossy(), place.binary.to_string_lossy(), place.user.as_str().into()];
    match all.iter().find(|text| odd(text)) {
        Some(text) => Err(format!("{text:?} cannot stand in a unit: use a name without spaces and signs")),
        None => Ok(()),
    }
}

/// The socket unit: an address for each listener, as the server looks for them when it starts.
fn sockets(settings: &Settings, config: &Path) -> Result<String, String> {
    let routes = settings.cluster.as_ref().and_then(|c| c.listen.as_ref());
    let gateways = settings.gateway.as_ref().map(|g| &g.listen);
    let all = [Some(&settings.listen), routes, gateways, settings.monitor.as_ref()];
    let mut streams = Vec::new();
    for listen in all.into_iter().flatten() {
        let stream = format!("ListenStream={}\n", address(listen)?);
        if !streams.contains(&stream) {
            streams.push(stream);
        }
    }
    let mut out = format!("# Written by `turnpike unit --socket` for {}.\n", config.display());
    out.push_str("# systemctl enable --now turnpike.socket; the service finds its sockets by their addresses.\n\n");
    let body = SOCKETS.find("[Unit]").map_or(SOCKETS, |at| &SOCKETS[at..]);
    for line in body.lines() {
        match line.starts_with("ListenStream=") {
            true => streams.iter().for_each(|stream| out.push_str(stream)),
            false => out.push_str(&format!("{line}\n")),
        }
    }
    Ok(out)
}

/// As `ListenStream=` names it: a port for all addresses, else an address; systemd resolves no names.
fn address(listen: &Listen) -> Result<String, String> {
    let host = listen.host.as_str();
    let port = listen.port.ok_or_else(|| format!("the port of {host} is the system's choice: give it a number"))?;
    if matches!(host, "" | "0.0.0.0" | "::") {
        return Ok(port.to_string());
    }
    let found = (host, port).to_socket_addrs().ok().and_then(|mut all| all.next());
    found.map(|at| at.to_string()).ok_or_else(|| format!("{host} has no address on this machine: write the address"))
}

fn unit(settings: &Settings, place: &Place, pins: &[Option<u16>], page_bytes: u64) -> String {
    let mut cores: Vec<u16> = pins.iter().flatten().copied().collect();
    cores.sort_unstable();
    cores.dedup();
    let locked = locked_bytes_per_shard(settings.cores.io_memory, page_bytes) * pins.len() as u64 + MEMLOCK_SPARE;
    let clients = settings.limits.max_connections as u64;
    let nofile = (clients + clients / 3 + NOFILE_SPARE).max(NOFILE_MIN);
    let stop = (settings.timers.lame_duck_duration.max(settings.timers.shutdown_grace) + STOP_SPARE).as_secs();
    let list = cores.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let mut out = format!("# Written by `turnpike unit` for {}; each setting says why.\n\n", place.config.display());
    let body = TEMPLATE.find("[Unit]").map_or(TEMPLATE, |at| &TEMPLATE[at..]);
    for line in body.lines() {
        let key = line.split_once('=').map_or("", |(key, _)| key);
        let line = match key {
            "ExecStart" => format!("ExecStart={} -c {}", place.binary.display(), place.config.display()),
            "TimeoutStopSec" => format!("TimeoutStopSec={stop}"),
            "User" | "Group" => format!("{key}={}", place.user),
            "CPUAffinity" if list.is_empty() => continue,
            "CPUAffinity" => format!("CPUAffinity={list}\nAllowedCPUs={list}"),
            "LimitMEMLOCK" => format!("LimitMEMLOCK={}M", locked.div_ceil(1 << 20)),
            "LimitNOFILE" => format!("LimitNOFILE={nofile}"),
            "RuntimeDirectory" => format!("{line}{}", writes(settings)),
            _ => line.to_owned(),
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// Folders that the server writes to and that nothing else opens to it.
fn writes(settings: &Settings) -> String {
    let folder = |path: &Path| path.parent().map(Path::to_path_buf);
    let all = [
        settings.log.file.as_deref().and_then(folder),
        settings.pid_file.as_deref().and_then(folder),
        settings.ports_file_dir.clone(),
    ];
    let mut all: Vec<PathBuf> = all.into_iter().flatten().filter(|p| p.is_absolute()).collect();
    all.sort();
    all.dedup();
    let more = all.iter().filter(|path| !GIVEN.iter().any(|given| path.starts_with(given)));
    more.map(|path| format!("\nReadWritePaths={}", path.display())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn sample() -> String {
        let mut settings = Settings::default();
        settings.limits.max_connections = 300_000;
        settings.log.file = Some("/srv/nats/log/turnpike.log".into());
        settings.pid_file = Some("/run/turnpike/pid".into());
        let place = Place { config: "/etc/tp.toml".into(), binary: "/bin/true".into(), user: "nats".into() };
        unit(&settings, &place, &[Some(2), Some(3)], 4096)
    }

    #[test]
    fn the_configuration_decides() {
        let text = sample();
        let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line}: {text}");
        has("ExecStart=/bin/true -c /etc/tp.toml");
        has("CPUAffinity=2,3");
        has("AllowedCPUs=2,3");
        has("LimitNOFILE=404096");
        has("LimitMEMLOCK=20M");
        has("TimeoutStopSec=150");
        has("User=nats");
        has("ReadWritePaths=/srv/nats/log");
        assert!(!text.contains("ReadWritePaths=/run") && text.contains("Type=notify"));
    }

    #[test]
    fn sockets_are_those_that_the_server_opens() {
        let listen = |host: &str, port| Listen { host: host.into(), port };
        let mut settings = Settings { monitor: Some(listen("127.0.0.1", Some(8222))), ..Settings::default() };
        settings.listen = listen("0.0.0.0", Some(4223));
        let text = sockets(&settings, Path::new("a.conf")).unwrap();
        let streams: Vec<&str> = text.lines().filter(|l| l.starts_with("ListenStream=")).collect();
        assert_eq!(streams, ["ListenStream=4223", "ListenStream=127.0.0.1:8222"], "{text}");
        assert!(text.contains("[Install]\nWantedBy=sockets.target") && text.contains("Backlog=4096"));
        assert_eq!(address(&listen("::1", Some(1))).unwrap(), "[::1]:1");
        assert!(address(&listen("127.0.0.1", None)).unwrap_err().contains("give it a number"));
    }

    #[test]
    fn what_is_no_word_is_refused() {
        let place = Place { config: "/etc/a b".into(), binary: "/bin/true".into(), user: "nats".into() };
        assert!(plain(&place).unwrap_err().contains("cannot stand in a unit"));
        assert!(answer(&[]).unwrap_err().contains("name the configuration"));
        assert!(answer(&["--help".into()]).unwrap().contains("--binary"));
    }

    /// Where there is no systemd there is nothing to ask.
    #[test]
    fn systemd_takes_it_and_finds_it_closed() {
        let folder = std::env::temp_dir().join(format!("turnpike-unit-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("turnpike.service");
        std::fs::write(&file, sample()).unwrap();
        let ask = |words: &[&str]| Command::new("systemd-analyze").args(words).arg(&file).output();
        if let Ok(said) = ask(&["verify", "--man=no"]) {
            let text = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(!text.contains("turnpike.service"), "{text}");
            // Of 100: 96 is a service without any of it.
            let said = ask(&["security", "--offline=true", "--threshold=20", "--no-pager"]).unwrap();
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
