//! `tls { … }`, from the tree to [`Tls`] (operations.md §7). Called by whoever reads a section with such a block.

use super::access::timeout;
use super::keys::Scope;
use super::overrides::Overrides;
use super::quantity;
use super::reading::Notes;
use super::settings::{RouteLogin, Settings};
use super::tls::{CertFiles, First, Tls, ALWAYS, CIPHERS, CURVES};
use super::tree::{At, Node, Value};
use std::time::Duration;

/// How long `handshake_first: auto` waits for a client to begin.
const AUTO: Duration = Duration::from_millis(50);

/// Whose block it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Clients are served.
    Clients,
    /// Servers are served and dialed.
    Servers,
    /// Servers are dialed.
    Dialed,
}

/// Reads a block. None: it is none, or an empty one, which is said.
pub(super) fn tls(notes: &mut Notes<'_>, node: &Node, side: Side) -> Option<Tls> {
    let table = notes.table("tls", node)?;
    let mut draft = Draft { tls: Tls::new(notes.place(node.at)), cert: None, key: None, side };
    let before = notes.mistakes();
    notes.walk(Scope::Tls, table, |notes, key, n| draft.read(notes, key, n));
    draft.finish(notes, node.at, notes.mistakes() == before)
}

/// `--tls` and what goes with it, over what the file says.
pub(super) fn overlay(notes: &mut Notes<'_>, tls: &mut Option<Tls>, over: &Overrides) {
    let said = &over.tls;
    if said.tls == Some(false) {
        *tls = None;
    }
    let wanted = said.tls == Some(true) || said.verify == Some(true);
    let files = [&said.cert, &said.key, &said.ca];
    if !wanted && files.iter().all(|f| f.is_none()) {
        return;
    }
    if !wanted && tls.is_none() {
        return notes.wrong(At::default(), "tls", "--tlscert, --tlskey and --tlscacert mean nothing without --tls");
    }
    let it = tls.get_or_insert_with(|| Tls::new("the command line".into()));
    match (&said.cert, &said.key) {
        (Some(cert), Some(key)) => it.certs = vec![CertFiles { cert: cert.clone(), key: key.clone() }],
        (None, None) if !it.certs.is_empty() => {}
        _ => notes.wrong(At::default(), "tls", "TLS needs a certificate and its key: give --tlscert and --tlskey"),
    }
    it.ca_file = said.ca.clone().or(it.ca_file.take());
    it.verify |= said.verify == Some(true);
}

struct Draft {
    tls: Tls,
    cert: Option<String>,
    key: Option<String>,
    side: Side,
}

impl Draft {
    fn read(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) {
        let tls = &mut self.tls;
        let flag = |notes: &mut Notes<'_>| notes.boolean(key, node).unwrap_or_default();
        match key {
            "cert_file" => self.cert = notes.text(key, node).filter(|s| !s.is_empty()),
            "key_file" => self.key = notes.text(key, node).filter(|s| !s.is_empty()),
            "ca_file" => tls.ca_file = notes.text(key, node).filter(|s| !s.is_empty()),
            "certs" => self.certs(notes, key, node),
            "verify" => tls.verify = flag(notes),
            "verify_and_map" => {
                tls.map = flag(notes);
                tls.verify |= tls.map;
            }
            "verify_cert_and_check_known_urls" => {
                tls.known_urls = flag(notes);
                tls.verify |= tls.known_urls;
                if tls.known_urls && self.side == Side::Clients {
                    let text = format!("{key} is for cluster and gateway: clients have no URLs that are known");
                    notes.wrong(node.at, key, text);
                }
            }
            "insecure" => {
                tls.insecure = flag(notes);
                if tls.insecure && self.side != Side::Clients {
                    let place = &tls.place;
                    notes.warn(format!("{place}: insecure: whoever answers where servers are dialed is believed to be one; use it for trials only"));
                }
            }
            "timeout" => tls.timeout = timeout(notes, key, node).unwrap_or(tls.timeout),
            "cipher_suites" => tls.ciphers = ciphers(notes, key, node),
            "curve_preferences" => tls.curves = curves(notes, key, node),
            "min_version" => match notes.text(key, node).as_deref() {
                Some("1.2") | None => {}
                Some("1.3") => tls.newest_only = true,
                Some(other) => {
                    let text = format!("{key} \"{}\" is not offered: \"1.2\" or \"1.3\"", other.escape_debug());
                    notes.wrong(node.at, key, text);
                }
            },
            "pinned_certs" => tls.pinned = pinned(notes, key, node),
            "connection_rate_limit" => {
                tls.rate = notes.count(key, node, i64::from(u32::MAX)).map(|n| n as u32);
            }
            _ => self.first(notes, key, node),
        }
    }

    /// `handshake_first`: a switch, `auto`, or how long to wait.
    fn first(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) {
        let text = match &node.value {
            Value::String(s) => s.to_ascii_lowercase(),
            _ => notes.boolean(key, node).unwrap_or_default().to_string(),
        };
        self.tls.first = match text.as_str() {
            "true" | "on" => First::Tls,
            "false" | "off" => First::Info,
            "auto" | "auto_fallback" => First::Wait(AUTO),
            other => match quantity::duration_ns(other).map(u64::try_from) {
                Ok(Ok(ns)) if ns > 0 => First::Wait(Duration::from_nanos(ns)),
                _ => {
                    let text = format!("field \"{key}\" must be a boolean, \"auto\", or a duration such as \"300ms\"");
                    return notes.wrong(node.at, key, text);
                }
            },
        };
        if self.tls.first != First::Info && self.side != Side::Clients {
            notes.wrong(node.at, key, format!("{key} is for clients: between servers TLS always comes first"));
        }
    }

    fn certs(&mut self, notes: &mut Notes<'_>, key: &str, node: &Node) {
        let Value::Array(list) = &node.value else {
            return notes.wrong(node.at, key, format!("{key}: expected a list of maps, found {}", node.value.kind()));
        };
        for entry in list {
            let Some(table) = notes.table(key, entry) else { continue };
            let (mut cert, mut private) = (None, None);
            notes.walk(Scope::TlsCert, table, |notes, key, n| match key {
                "cert_file" => cert = notes.text(key, n),
                _ => private = notes.text(key, n),
            });
            match (cert, private) {
                (Some(cert), Some(key)) => self.tls.certs.push(CertFiles { cert, key }),
                _ => notes.wrong(
                    entry.at,
                    key,
                    "error parsing certificates config: both 'cert_file' and 'key_file' are required",
                ),
            }
        }
    }

    fn finish(mut self, notes: &mut Notes<'_>, at: At, sound: bool) -> Option<Tls> {
        let mut wrong = |text: &str| notes.wrong(at, "tls", text);
        match (self.cert.take(), self.key.take()) {
            (Some(_), None) => wrong("missing 'key_file' in TLS configuration"),
            (None, Some(_)) => wrong("missing 'cert_file' in TLS configuration"),
            (Some(_), Some(_)) if !self.tls.certs.is_empty() => {
                wrong("error parsing tls config, cannot combine 'cert_file' option with 'certs' option");
            }
            (Some(cert), Some(key)) => self.tls.certs.push(CertFiles { cert, key }),
            (None, None) if self.tls.certs.is_empty() && sound && self.side != Side::Dialed => {
                wrong("a tls block needs a certificate to show: give cert_file and key_file");
            }
            (None, None) => {}
        }
        // Those who dial are asked for a certificate, as in nats-server; the other way TLS always does.
        self.tls.verify |= self.side == Side::Servers;
        if !self.tls.pinned.is_empty() && !self.tls.verify && self.side == Side::Clients {
            wrong("pinned_certs lets nobody in unless clients are asked for a certificate: add verify: true");
        }
        Some(self.tls)
    }
}

fn ciphers(notes: &mut Notes<'_>, key: &str, node: &Node) -> Option<Vec<&'static str>> {
    let names = notes.texts(key, node)?;
    if names.is_empty() {
        notes.wrong(node.at, key, "error parsing tls config, 'cipher_suites' cannot be empty");
    }
    let mut chosen = Vec::new();
    for name in &names {
        match CIPHERS.iter().find(|c| *c == name) {
            Some(known) => chosen.push(*known),
            None if ALWAYS.contains(&name.as_str()) => {}
            None => {
                let text = format!(
                    "cipher suite \"{}\" is unknown, or too weak to be offered; there are {}",
                    name.escape_debug(),
                    CIPHERS.join(", ")
                );
                notes.wrong(node.at, key, text);
            }
        }
    }
    Some(chosen)
}

fn curves(notes: &mut Notes<'_>, key: &str, node: &Node) -> Vec<&'static str> {
    let mut chosen = Vec::new();
    for name in notes.texts(key, node).unwrap_or_default() {
        match CURVES.iter().find(|c| **c == name) {
            Some(known) => chosen.push(*known),
            None => {
                let text = format!("curve \"{}\" is not offered; there are {}", name.escape_debug(), CURVES.join(", "));
                notes.wrong(node.at, key, text);
            }
        }
    }
    chosen
}

fn pinned(notes: &mut Notes<'_>, key: &str, node: &Node) -> Vec<[u8; 32]> {
    let mut all = Vec::new();
    for text in notes.texts(key, node).unwrap_or_default() {
        match digest(&text) {
            Some(digest) => all.push(digest),
            None => {
                let text = format!(
                    "error parsing 'pinned_certs' config: key {} does not look like hex encoded sha256 of DER encoded \
                     public key",
                    text.escape_debug()
                );
                notes.wrong(node.at, key, text);
            }
        }
    }
    all
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
    }
    // from_str_radix takes a sign.
    hex.bytes().all(|b| b.is_ascii_hexdigit()).then_some(out)
}

/// Where a certificate says who a server is, no password is asked for: then it must be known who that should be.
pub(super) fn fit_login(notes: &mut Notes<'_>, section: &str, tls: Option<&Tls>, login: Option<&RouteLogin>) {
    if tls.is_some_and(|t| t.map && !t.known_urls) && login.is_none() {
        let text = format!(
            "verify_and_map in {section}: the name that certificates must bear is the user in its authorization, and \
             there is none"
        );
        notes.wrong(At::default(), section, text);
    }
}

/// What must fit together once all is read.
pub(super) fn fit(notes: &mut Notes<'_>, settings: &mut Settings, optional: Option<At>) {
    let Some(tls) = &mut settings.tls else {
        // As before there was a block: it allows what is so anyway.
        return;
    };
    tls.optional = optional.is_some();
    if let (Some(at), true) = (optional, tls.first != First::Info) {
        let text =
            "allow_non_tls and handshake_first contradict each other: who may stay without TLS is sent INFO first";
        notes.wrong(at, "allow_non_tls", text);
    }
    if settings.cluster.as_ref().is_some_and(|c| c.listen.is_none()) {
        let text = "routes on the client port cannot be served beside tls: give cluster a port of its own (listen)";
        notes.wrong(At::default(), "cluster", text);
    }
}
