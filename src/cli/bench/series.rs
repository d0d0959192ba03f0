//! Several runs of one row: median, least and most of each figure. Used by [`super::report`] and [`super::compare`].

use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Figures that count what must not happen: of several runs the sum is told, not the median.
const COUNTS: [&str; 5] = ["lost", "duplicates", "reordered", "foreign", "held_back"];

/// A figure over several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the runs have less.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of these values; none without any.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Spread { median: (low + high) / 2.0, least, most })
    }
}

/// Every figure of the runs by its name; figures within an object are named `object.figure`.
pub fn spread(runs: &[Value]) -> BTreeMap<String, Spread> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in runs {
        leaves("", run, &mut |name, value| values.entry(name).or_default().push(value));
    }
    values.into_iter().filter_map(|(name, values)| Some((name, Spread::of(values)?))).collect()
}

fn leaves(name: &str, value: &Value, see: &mut impl FnMut(String, f64)) {
    match value {
        Value::Object(inner) => {
            let dot = if name.is_empty() { "" } else { "." };
            inner.iter().for_each(|(key, value)| leaves(&format!("{name}{dot}{key}"), value, see));
        }
        Value::Number(number) => see(name.to_owned(), number.as_f64().unwrap_or(f64::NAN)),
        _ => {}
    }
}

/// One object of the same form as each run: medians and, of what must not happen, sums. It is valid if all are. Of several
/// runs, lists have no median and are left out.
pub fn merged(runs: &[Value]) -> Value {
    let Some(first) = runs.first() else { return Value::Null };
    match first {
        _ if runs.len() == 1 => first.clone(),
        Value::Object(object) => {
            let mut all: Map<String, Value> = Map::new();
            for key in runs.iter().filter_map(Value::as_object).flat_map(Map::keys) {
                let values: Vec<Value> = runs.iter().filter_map(|r| r.get(key).cloned()).collect();
                let sum: u64 = values.iter().filter_map(Value::as_u64).sum();
                let value = if COUNTS.contains(&key.as_str()) { sum.into() } else { merged(&values) };
                if !value.is_null() && !all.contains_key(key) {
                    all.insert(key.clone(), value);
                }
            }
            debug_assert!(object.keys().all(|k| all.contains_key(k) || object[k].is_array() || object[k].is_null()));
            Value::Object(all)
        }
        Value::Number(_) => {
            let median = Spread::of(runs.iter().filter_map(Value::as_f64).collect()).map(|s| s.median);
            // what was counted stays a whole number where it is one
            match median.filter(|m| first.is_u64() && m.fract() == 0.0 && *m >= 0.0) {
                Some(whole) => (whole as u64).into(),
                None => median.into(),
            }
        }
        Value::Bool(_) => runs.iter().all(|r| r.as_bool() == Some(true)).into(),
        Value::String(_) => first.clone(),
        Value::Array(_) | Value::Null => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn medians_sums_and_verdicts() {
        let run = |n: u64, lost: u64, valid: bool, p99: f64| json!({ "messages": n, "lost": lost, "valid": valid, "latency": { "p99": p99 }, "curve": [1] });
        let runs = [run(10, 1, true, 3.5), run(30, 2, true, 1.5), run(20, 0, false, 2.5)];
        let all = json!({ "messages": 20, "lost": 3, "valid": false, "latency": { "p99": 2.5 } });
        assert_eq!(merged(&runs), all);
        assert_eq!(merged(&runs[..1]), runs[0], "a single run is told as it is");
        let spread = spread(&runs);
        assert_eq!(spread["latency.p99"], Spread { median: 2.5, least: 1.5, most: 3.5 });
        assert_eq!(spread["lost"], Spread { median: 1.0, least: 0.0, most: 2.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0]), Some(Spread { median: 2.5, least: 1.0, most: 4.0 }));
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn a_figure_that_only_some_runs_have_is_kept() {
        let runs = [json!({ "a": 1 }), json!({ "a": 2, "why": "late", "b": 3.0 })];
        assert_eq!(merged(&runs), json!({ "a": 1.5, "why": "late", "b": 3.0 }));
    }
}
