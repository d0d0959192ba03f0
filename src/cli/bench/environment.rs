//! Where a result was measured: machine, pins, versions, words. Written into every JSON result, so that two of them can be
//! compared, or not.

use serde::Serialize;
use std::fs;

/// Options whose value nobody else should read.
const SECRETS: [&str; 2] = ["--password", "--token"];

/// What a result depends on beside the server. What cannot be found out is missing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Environment {
    /// When the first run began (RFC 3339, UTC).
    pub time: String,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The processor's model.
    pub cpu: Option<String>,
    /// Its cores that are online.
    pub cores: Option<usize>,
    /// What governs the frequency of the generator's first core.
    pub governor: Option<String>,
    /// Runnable tasks, on average over 1, 5 and 15 minutes.
    pub load: Vec<f64>,
    /// Cores that the generator may use.
    pub generator_cpus: Option<String>,
    /// The processes of `--pid`.
    pub servers: Vec<Observed>,
    /// Where clients connected.
    pub addresses: Vec<String>,
    /// The words that started the bench, secrets left out.
    pub command: Vec<String>,
    /// The version of the generator.
    pub turnpike: &'static str,
}

/// A server's process.
#[derive(Clone, Debug, Serialize)]
pub struct Observed {
    /// Its number.
    pub pid: u32,
    /// Its program's name.
    pub name: Option<String>,
    /// Cores that it may use.
    pub cpus: Option<String>,
}

impl Environment {
    /// As it is now.
    pub fn now(pids: &[u32], addresses: Vec<String>, words: &[String]) -> Environment {
        let generator_cpus = status("self", "Cpus_allowed_list");
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let first = generator_cpus.as_deref().and_then(|list| list.split(['-', ',']).next()).unwrap_or("0");
        let cores = cpuinfo.lines().filter(|l| l.starts_with("processor")).count();
        Environment {
            time: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            kernel: word("/proc/sys/kernel/osrelease"),
            cpu: field(&cpuinfo, "model name").or_else(|| field(&cpuinfo, "CPU part")),
            cores: Some(cores).filter(|n| *n > 0),
            governor: word(&format!("/sys/devices/system/cpu/cpu{first}/cpufreq/scaling_governor")),
            load: word("/proc/loadavg")
                .iter()
                .flat_map(|l| l.split(' ').take(3))
                .filter_map(|n| n.parse().ok())
                .collect(),
            servers: pids.iter().map(|pid| Observed::new(*pid)).collect(),
            generator_cpus,
            addresses,
            command: masked(words),
            turnpike: crate::TURNPIKE_VERSION,
        }
    }
}

impl Observed {
    fn new(pid: u32) -> Observed {
        let of = |key| status(&pid.to_string(), key);
        Observed { pid, name: of("Name"), cpus: of("Cpus_allowed_list") }
    }
}

/// The content of a file that holds one line.
fn word(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn status(process: &str, key: &str) -> Option<String> {
    field(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, key)
}

/// The value behind `key` and a colon, in a file of `/proc`.
fn field(text: &str, key: &str) -> Option<String> {
    let behind = text.lines().find_map(|l| l.strip_prefix(key)?.trim_start().strip_prefix(':'))?;
    Some(behind.trim().to_owned())
}

/// The words without secrets, wherever they stand.
fn masked(words: &[String]) -> Vec<String> {
    let mut secret = false;
    let mask = |word: &String| {
        if std::mem::take(&mut secret) {
            return "***".to_owned();
        }
        secret = SECRETS.contains(&word.as_str());
        if let Some(option) = SECRETS.iter().find(|s| word.strip_prefix(**s).is_some_and(|rest| rest.starts_with('=')))
        {
            return format!("{option}=***");
        }
        match word.rsplit_once('@') {
            Some((_, host)) => format!("***@{host}"),
            None => word.clone(),
        }
    };
    words.iter().map(mask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out() {
        let words = "sub --user u --password p -s nats://u:p@h:1 --token=t --token t --size 16";
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let expected = "sub --user u --password *** -s ***@h:1 --token=*** --token *** --size 16";
        assert_eq!(masked(&words).join(" "), expected);
    }

    #[test]
    fn this_machine_is_described() {
        let pid = std::process::id();
        let now = Environment::now(&[pid], vec!["h:1".into()], &[]);
        assert!(now.kernel.is_some() && now.load.len() == 3 && now.time.ends_with('Z'), "{now:?}");
        assert_eq!(now.servers[0].cpus, now.generator_cpus);
        assert!(now.generator_cpus.is_some());
    }
}
