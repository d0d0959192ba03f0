//! A server of a fleet, what is found about it, and what all who look for something need.

use crate::base::limits::FLEET_PLACES_MAX;
use crate::policy::places::Places;
use crate::policy::settings::{Listen, Settings};
use std::collections::BTreeMap;
use std::fmt;

/// One server.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its configuration, as named.
    pub file: String,
    /// What it runs with.
    pub settings: Settings,
    /// Where that is written.
    pub places: Places,
}

impl Member {
    /// What people call it: its name, or the file.
    pub fn name(&self) -> &str {
        self.settings.server_name.as_deref().unwrap_or(&self.file)
    }

    /// The cluster it is in; empty: none that is named.
    pub fn cluster(&self) -> &str {
        self.settings.cluster_name()
    }

    /// `file:line` of the first of these keys that is written.
    pub(super) fn place(&self, paths: &[&str]) -> String {
        self.places.find(paths)
    }
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// It does not work as written.
    Error,
    /// It works, and likely not as meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Grade::Error => "error",
            Grade::Warning => "warning",
            Grade::Note => "note",
        })
    }
}

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How grave.
    pub grade: Grade,
    /// Where: `file:line`, the first being the one to change.
    pub places: Vec<String>,
    /// What, and the remedy.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, others) = self.places.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        write!(f, "{first}: {}: {}", self.grade, self.text)?;
        match others {
            [] => Ok(()),
            others => write!(f, " (see {})", others.join(", ")),
        }
    }
}

/// Clusters by name, each with its servers.
pub(super) fn clusters(members: &[Member]) -> BTreeMap<&str, Vec<&Member>> {
    let mut of: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
    for member in members.iter().filter(|m| m.settings.cluster.is_some() || m.settings.gateway.is_some()) {
        of.entry(member.cluster()).or_default().push(member);
    }
    of
}

/// A finding; of many places the first few are named.
pub(super) fn find(found: &mut Vec<Finding>, grade: Grade, mut places: Vec<String>, text: String) {
    let more = places.len().saturating_sub(FLEET_PLACES_MAX);
    places.truncate(FLEET_PLACES_MAX);
    if more > 0 {
        places.push(format!("{more} more"));
    }
    found.push(Finding { grade, places, text });
}

/// The host that an advertised `host[:port]` names, and the port.
pub(super) fn advertised(text: &str, port: Option<u16>) -> (String, Option<u16>) {
    match text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?))) {
        Some((host, port)) => (host.trim_matches(['[', ']']).to_lowercase(), Some(port)),
        None => (text.trim_matches(['[', ']']).to_lowercase(), port),
    }
}

/// Does it listen on all addresses of its machine?
pub(super) fn anywhere(listen: &Listen) -> bool {
    matches!(listen.host.as_str(), "0.0.0.0" | "::" | "")
}

/// Do two names mean one host, as far as names tell?
pub(super) fn same_host(a: &str, b: &str) -> bool {
    let local = |h: &str| matches!(h, "localhost" | "127.0.0.1" | "::1");
    a.eq_ignore_ascii_case(b) || (local(a) && local(b))
}
