//! Files by which others find the running server: the pid file and the ports file (operations.md §13). Written by the
//! boot, the ports file once the listeners are up; the ports file is removed at a clean shutdown, the pid file never.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::log::{Level, Log};
use super::Refusal;
use crate::policy::Settings;

/// Writes our process id, bare and without a newline, mode 0600.
///
/// # Errors
/// The file cannot be written: `Could not write pidfile: …`, which ends the start (operations.md §1).
pub fn write_pid_file(path: &Path) -> Result<(), Refusal> {
    write(path, std::process::id().to_string().as_bytes(), 0o600).map_err(|e| {
        Refusal::new(
            format!("Could not write pidfile: open {}: {e}", path.display()),
            "make its directory, writable for the user turnpike runs as, or change pid_file",
        )
    })
}

/// Where the server listens, and what it was started as: what its files say.
#[derive(Debug)]
pub struct Files {
    /// The name that it was started by.
    pub program: String,
    /// Where clients come in.
    pub clients: SocketAddr,
    /// Where monitoring is asked, if it is.
    pub monitor: Option<SocketAddr>,
    /// Where routes come in, if they do.
    pub cluster: Option<SocketAddr>,
}

impl Files {
    /// Writes the pid file and the ports file, as far as they are wanted; a ports file that cannot be written is told.
    ///
    /// # Errors
    /// The pid file cannot be written.
    pub fn write(&self, settings: &Settings, log: &Log) -> Result<Option<PortsFile>, Refusal> {
        if let Some(path) = &settings.pid_file {
            write_pid_file(path)?;
        }
        let Some(dir) = &settings.ports_file_dir else { return Ok(None) };
        let monitoring = self.monitor.map(|m| urls(if settings.https { "https" } else { "http" }, m));
        let cluster = self.cluster.map(|c| urls("nats", c)).unwrap_or_default();
        let scheme = if settings.tls.as_ref().is_some_and(|t| !t.optional) { "tls" } else { "nats" };
        let ports = Ports { nats: urls(scheme, self.clients), monitoring: monitoring.unwrap_or_default(), cluster };
        match PortsFile::write(dir, &self.program, &ports) {
            Ok(file) => Ok(Some(file)),
            Err(e) => {
                let remedy = "make the directory, writable for the user turnpike runs as, or change ports_file_dir";
                log.line(Level::Error, format!("{e} — {remedy}"));
                Ok(None)
            }
        }
    }
}

/// What the ports file tells: URLs by kind of listener, empty kinds left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ports {
    /// Where clients connect: `nats://…`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nats: Vec<String>,
    /// HTTP monitoring: `http://…`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub monitoring: Vec<String>,
    /// Where routes connect: `nats://…`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cluster: Vec<String>,
}

/// The URLs of a listener: its address, or that of every interface when it listens on all. A listener on `0.0.0.0`
/// takes IPv4 only, one on `[::]` both.
pub fn urls(scheme: &str, listening: SocketAddr) -> Vec<String> {
    let url = |ip: IpAddr| format!("{scheme}://{}", SocketAddr::new(ip, listening.port()));
    interfaces(listening).into_iter().map(url).collect()
}

/// Where a listener can be dialed; see [`urls`].
pub fn interfaces(listening: SocketAddr) -> Vec<IpAddr> {
    if !listening.ip().is_unspecified() {
        return vec![listening.ip()];
    }
    let mut found: Vec<IpAddr> =
        interface_addresses().into_iter().filter(|ip| ip.is_ipv4() || listening.is_ipv6()).collect();
    found.sort_unstable();
    found.dedup();
    match found.is_empty() {
        // Where the kernel does not say, the loopback is always there.
        true if listening.is_ipv4() => vec![IpAddr::from([127, 0, 0, 1])],
        true => vec![IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1u16])],
        false => found,
    }
}

fn interface_addresses() -> Vec<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .collect()
}

/// The ports file on disk.
#[derive(Debug)]
pub struct PortsFile {
    path: PathBuf,
}

impl PortsFile {
    /// Writes `<dir>/<program>_<pid>.ports`, `program` being the last part of `argv0`: launchers that start us as
    /// nats-server look for that name. Whole at once, since they poll for it.
    ///
    /// # Errors
    /// The directory cannot be written; an error in the log, not the end of the start (operations.md §1).
    pub fn write(dir: &Path, argv0: &str, ports: &Ports) -> io::Result<PortsFile> {
        let program = Path::new(argv0).file_name().map_or("turnpike".into(), |name| name.to_string_lossy());
        let name = format!("{program}_{}.ports", std::process::id());
        let (path, unfinished) = (dir.join(&name), dir.join(format!(".{name}.new")));
        let json = serde_json::to_vec(ports).map_err(io::Error::other)?;
        let written = write(&unfinished, &json, 0o644).and_then(|()| fs::rename(&unfinished, &path));
        if let Err(e) = written {
            // It may never have been made.
            let _ = fs::remove_file(&unfinished);
            let text = format!("Error writing ports file ({}): {e}", path.display());
            return Err(io::Error::new(e.kind(), text));
        }
        Ok(PortsFile { path })
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, at a clean shutdown.
    ///
    /// # Errors
    /// Somebody else removed it, or the directory can no longer be written.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("turnpike-files-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn the_pid_file_holds_the_number_and_no_newline() {
        let dir = dir("pid");
        let path = dir.join("pid");
        for _ in 0..2 {
            write_pid_file(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
            // An earlier life may have left a longer one.
            fs::write(&path, "123456789012").unwrap();
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refusal = write_pid_file(&dir.join("none/pid")).unwrap_err();
        assert!(refusal.what.starts_with("Could not write pidfile: open "), "{refusal}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_ports_file_is_named_after_argv0_and_goes() {
        let dir = dir("ports");
        let ports = Ports {
            nats: vec!["nats://127.0.0.1:4222".into()],
            monitoring: vec!["http://127.0.0.1:8222".into()],
            cluster: Vec::new(),
        };
        let file = PortsFile::write(&dir, "/opt/bin/nats-server", &ports).unwrap();
        assert_eq!(file.path(), dir.join(format!("nats-server_{}.ports", std::process::id())));
        let expected = r#"{"nats":["nats://127.0.0.1:4222"],"monitoring":["http://127.0.0.1:8222"]}"#;
        assert_eq!(fs::read_to_string(file.path()).unwrap(), expected);
        file.remove().unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        let error = PortsFile::write(&dir.join("none"), "turnpike", &ports).unwrap_err().to_string();
        assert!(error.starts_with("Error writing ports file ("), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_wildcard_lists_every_interface() {
        assert_eq!(urls("nats", "10.0.0.1:4222".parse().unwrap()), ["nats://10.0.0.1:4222"]);
        assert_eq!(urls("http", "[::1]:8222".parse().unwrap()), ["http://[::1]:8222"]);
        let all = urls("nats", "0.0.0.0:4222".parse().unwrap());
        assert!(all.contains(&"nats://127.0.0.1:4222".to_string()), "{all:?}");
        assert!(all.iter().all(|u| !u.contains('[') && !u.contains("0.0.0.0")), "{all:?}");
        assert!(urls("nats", "[::]:4222".parse().unwrap()).contains(&"nats://127.0.0.1:4222".to_string()));
    }
}
