//! How shards, CPUs and idle policies are written: `"auto"`, `"0-3,8"`, `"spin:50us"`. Used by the model for both the
//! file and the command line.

use super::quantity;
use super::settings::Idle;
use crate::base::limits::{CPU_MAX, SHARDS_MAX, SPIN_MAX};
use std::time::Duration;

/// How long `spin` looks for work when no time is given.
pub const SPIN_DEFAULT: Duration = Duration::from_micros(50);

/// `auto` (`None`) or a number.
///
/// # Errors
/// A sentence saying what is allowed.
pub fn shards(text: &str) -> Result<Option<u16>, String> {
    match text.trim().parse::<u16>() {
        _ if text.trim() == "auto" => Ok(None),
        Ok(n) if (1..=SHARDS_MAX).contains(&usize::from(n)) => Ok(Some(n)),
        _ => Err(format!("shards must be \"auto\" or a number from 1 to {SHARDS_MAX}")),
    }
}

/// A list of CPUs and ranges, in the order given: `0-3,8`; `auto` (`None`) takes those the process may use.
///
/// # Errors
/// A sentence saying what is allowed.
pub fn cpus(text: &str) -> Result<Option<Vec<u16>>, String> {
    if text.trim() == "auto" {
        return Ok(None);
    }
    let mut out: Vec<u16> = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |s: &str| s.trim().parse::<u16>().ok().filter(|n| *n <= CPU_MAX);
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Err(format!("cpus must be \"auto\" or numbers and ranges from 0 to {CPU_MAX}, as \"0-3,8\""));
        };
        if first > last {
            return Err(format!("cpus: the range {first}-{last} runs backwards"));
        }
        for cpu in first..=last {
            if out.contains(&cpu) {
                return Err(format!("cpus: {cpu} is named twice"));
            }
            out.push(cpu);
        }
    }
    Ok(Some(out))
}

/// One idle policy: `park`, `poll`, `spin`, `spin:50us`.
///
/// # Errors
/// A sentence saying what is allowed.
pub fn idle(text: &str) -> Result<Idle, String> {
    let text = text.trim();
    let (name, time) = text.split_once(':').map_or((text, None), |(n, t)| (n, Some(t)));
    match (name, time) {
        ("park", None) => Ok(Idle::Park),
        ("poll", None) => Ok(Idle::Poll),
        ("spin", None) => Ok(Idle::Spin(SPIN_DEFAULT)),
        ("spin", Some(time)) => {
            let time = quantity::duration_ns(time).ok().and_then(|ns| u64::try_from(ns).ok()).map(Duration::from_nanos);
            let ok = time.filter(|t| (Duration::from_micros(1)..=SPIN_MAX).contains(t));
            ok.map(Idle::Spin)
                .ok_or_else(|| format!("idle: a spin takes from 1us to {}", quantity::show_duration(SPIN_MAX)))
        }
        _ => Err("idle must be \"park\", \"poll\", \"spin\" or \"spin:TIME\" such as \"spin:50us\"".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_and_what_is_not() {
        assert_eq!(shards("auto"), Ok(None));
        assert_eq!(shards("128"), Ok(Some(128)));
        assert!(shards("0").is_err() && shards("129").is_err() && shards("many").is_err());
        assert_eq!(cpus("0-3, 8"), Ok(Some(vec![0, 1, 2, 3, 8])));
        assert_eq!(cpus("5"), Ok(Some(vec![5])));
        assert_eq!(cpus("auto"), Ok(None));
        for bad in ["", "3-1", "1,1", "0-70000", "a", "-1", "0-"] {
            assert!(cpus(bad).is_err(), "{bad}");
        }
        assert_eq!(idle("spin:20us"), Ok(Idle::Spin(Duration::from_micros(20))));
        assert_eq!(idle("spin"), Ok(Idle::Spin(SPIN_DEFAULT)));
        assert!(idle("spin:1s").is_err() && idle("sleep").is_err() && idle("park:1us").is_err());
    }
}
