//! A configuration read anew while the server runs (operations.md §15): all of it is taken over, or nothing.

use super::log::{Log, Prepared};
use super::tls::Fresh;
use crate::policy::reload::{changes, Changes};
use crate::policy::{Invalid, Loaded, Settings};
use serde_json::{json, Value};

/// Reads the configuration as it was read at the start.
pub type Loader = Box<dyn Fn() -> Result<Loaded, Vec<Invalid>> + Send>;

/// A configuration that can be taken over.
pub(super) struct Reloaded {
    pub settings: Settings,
    /// What its files say of TLS.
    pub fresh: Fresh,
    /// Where lines go from now on; None: it stays as it is.
    pub log: Option<Prepared>,
    /// What has changed, in nats-server's words.
    pub applied: Vec<&'static str>,
    /// Deprecated spellings, warnings.
    pub notices: Vec<String>,
}

/// Reads the configuration and compares it with what the server runs with.
///
/// # Errors
/// Why it cannot be taken over: what is wrong in it and where, or each changed key that needs a restart.
pub(super) fn reload(old: &Settings, load: Option<&Loader>) -> Result<Reloaded, Vec<String>> {
    let Some(load) = load else {
        return Err(vec!["can only reload config when a file is provided using -c or --config".into()]);
    };
    let Loaded { mut settings, deprecations, .. } = load().map_err(|all| words(&all))?;
    settings.auth.keep_places(&old.auth.accounts).map_err(|why| vec![why])?;
    let Changes { live, restart } = changes(old, &settings);
    if !restart.is_empty() {
        let refused = restart.iter().map(|key| format!("config reload not supported for {key}: restart the server"));
        return Err(refused.collect());
    }
    let fresh = Fresh::read(&settings).map_err(|why| vec![why])?;
    let log = match settings.log == old.log {
        true => None,
        false => Some(Log::prepare(&settings.log).map_err(|why| vec![why.to_string()])?),
    };
    let applied = live.into_iter().map(|key| if key == "cluster.routes" { "cluster routes" } else { key }).collect();
    let notices = words(&deprecations).into_iter().chain(settings.warnings.iter().cloned()).collect();
    Ok(Reloaded { settings, fresh, log, applied, notices })
}

/// What [`reload`] would take over, or why it would refuse, for people who ask first.
pub(super) fn preview(old: &Settings, load: Option<&Loader>) -> Value {
    match reload(old, load) {
        Ok(r) => json!({
            "reloads": true, "digest": r.settings.digest, "applied": r.applied, "refused": [], "notices": r.notices,
        }),
        Err(why) => json!({"reloads": false, "applied": [], "refused": why, "notices": []}),
    }
}

fn words(all: &[Invalid]) -> Vec<String> {
    all.iter().map(Invalid::to_string).collect()
}
