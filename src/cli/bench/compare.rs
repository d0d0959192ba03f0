//! Is the new result worse than the old one? Reads two JSON files of this command, or of `scripts/bench-peers`, and judges
//! every figure that both have. Used by [`super`] for `compare`.

use super::{
    plot::Curve,
    report::exact,
    series::{self, Spread},
};
use serde::Serialize;
use serde_json::{json, Value};
use std::{collections::BTreeMap, fmt, path::Path};

/// Figures of which more is better, by their last name or, in front of a dot, by their group.
const MORE: [&str; 4] = ["messages_per_second", "payload_bytes_per_second", "changes_per_second", "knee_per_second"];
/// Figures of which less is better.
const LESS: [&str; 9] = [
    "server_cpu_ns_per_message",
    "server_cpu_ns_per_change",
    "latency_us",
    "latency_from_sent_us",
    "round_trip_us",
    "changes_confirmed_us",
    "bytes_each",
    "average_bytes_each",
    "spread_seconds",
];
/// Figures that count what must not happen: any more of it is worse, whatever the tolerance.
const NEVER: [&str; 3] = ["lost", "duplicates", "reordered"];

/// What a figure says about the new result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Beyond the spread and the tolerance.
    Better,
    /// Beyond the spread and the tolerance.
    Worse,
    /// Neither.
    WithinSpread,
    /// Shown and not judged: the longest of all is one message.
    NotJudged,
}

/// A figure of both results.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The row, with the server's name before it where there are several.
    pub row: String,
    /// The figure's name.
    pub figure: String,
    /// In the old result.
    pub a: Spread,
    /// In the new result.
    pub b: Spread,
    /// New over old median; none where the old one is zero.
    pub ratio: Option<f64>,
    /// What it says.
    pub verdict: Verdict,
}

/// The whole comparison.
#[derive(Debug)]
pub struct Comparison {
    /// Every figure that both have.
    pub lines: Vec<Line>,
    /// What the reader should know besides.
    pub notes: Vec<String>,
}

/// A result as it was read.
pub struct Side {
    name: String,
    environment: Value,
    /// The runs of each row.
    rows: BTreeMap<String, Vec<Value>>,
}

impl Side {
    /// Reads a file; says why it cannot.
    pub fn read(path: &Path) -> Result<Side, String> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| format!("{name}: {e}"))?;
        Side::new(name, json)
    }

    fn new(name: String, json: Value) -> Result<Side, String> {
        let mut rows = BTreeMap::new();
        let environment = json["environment"].clone();
        if let Some(row) = json["row"].as_str() {
            let runs = match json["runs"].as_array() {
                Some(runs) => runs.iter().map(|run| with_words(run, &json)).collect(),
                None => vec![json.clone()],
            };
            rows.insert(row.to_owned(), runs);
        } else if let Some(servers) = json["runs"].as_object() {
            for (server, measured) in servers {
                for (row, runs) in measured.as_object().into_iter().flatten() {
                    let runs: Vec<Value> = runs.as_array().cloned().unwrap_or_default();
                    if !runs.is_empty() {
                        rows.insert(format!("{server} {row}"), runs);
                    }
                }
            }
        }
        match rows.is_empty() {
            true => Err(format!("{name} is no result of turnpike bench or scripts/bench-peers")),
            false => Ok(Side { name, environment, rows }),
        }
    }

    /// The latencies of all runs, for a picture.
    pub fn curves(&self) -> Vec<Curve> {
        let several = self.rows.len() > 1;
        let of = |row: &String, run: &Value| {
            let points: Vec<[f64; 2]> = serde_json::from_value(run["curve_us"].clone()).unwrap_or_default();
            let group = if several { format!("{}: {row}", self.name) } else { self.name.clone() };
            Curve { group, points }
        };
        self.rows.iter().flat_map(|(row, runs)| runs.iter().map(move |run| of(row, run))).collect()
    }
}

/// A run of several, with the words that stand once above all.
fn with_words(run: &Value, all: &Value) -> Value {
    let mut run = run.clone();
    for key in ["row", "what"] {
        run[key] = all[key].clone();
    }
    run
}

/// Compares two results, or says why that would mean nothing.
pub fn compare(a: &Side, b: &Side, tolerance: f64, anyway: bool) -> Result<Comparison, String> {
    let mut notes = Vec::new();
    for key in ["cpu", "kernel", "governor", "cores"] {
        let (old, new) = (&a.environment[key], &b.environment[key]);
        if old != new {
            if key == "cpu" && !anyway {
                return Err(format!("measured on different processors: {old} and {new} (--anyway compares them)"));
            }
            notes.push(format!("{key}: {old} and {new}"));
        }
    }
    let mut lines = Vec::new();
    for (row, old) in &a.rows {
        let Some(new) = b.rows.get(row) else { continue };
        if let Some(run) = old.iter().chain(new).find(|run| run["valid"] == false).filter(|_| !anyway) {
            return Err(format!("{row}: a run is invalid: {} (--anyway compares it)", run["invalid_because"]));
        }
        let words = |runs: &[Value]| runs.first().map(|r| r["what"].clone());
        if words(old) != words(new) {
            let what = |runs: &[Value]| words(runs).unwrap_or_default().to_string();
            return Err(format!("{row} is not the same on both sides: {} and {}", what(old), what(new)));
        }
        let (old, new) = (figures(row, old), figures(row, new));
        for (figure, a) in old {
            let Some(b) = new.get(&figure).copied() else { continue };
            if let Some(verdict) = judge(&figure, a, b, tolerance) {
                let ratio = (a.median != 0.0).then(|| b.median / a.median);
                lines.push(Line { row: row.clone(), figure, a, b, ratio, verdict });
            }
        }
    }
    for (one, other) in [(a, b), (b, a)] {
        let missing: Vec<&str> = one.rows.keys().filter(|r| !other.rows.contains_key(*r)).map(String::as_str).collect();
        if !missing.is_empty() {
            notes.push(format!("only in {}: {}", one.name, missing.join(", ")));
        }
    }
    match lines.is_empty() {
        true => Err(format!("{} and {} have no row in common", a.name, b.name)),
        false => Ok(Comparison { lines, notes }),
    }
}

/// The figures of a row. What is a length of the run elsewhere is the figure itself where interest spreads.
fn figures(row: &str, runs: &[Value]) -> BTreeMap<String, Spread> {
    let mut figures = series::spread(runs);
    if row.ends_with("spread") {
        if let Some(seconds) = figures.remove("seconds") {
            figures.insert("spread_seconds".into(), seconds);
        }
    }
    figures
}

/// What `b` says against `a`; none for a figure that is neither good nor bad.
fn judge(figure: &str, a: Spread, b: Spread, tolerance: f64) -> Option<Verdict> {
    let group = figure.split('.').next().unwrap_or(figure);
    if NEVER.contains(&group) {
        return Some(match b.most.total_cmp(&a.most) {
            std::cmp::Ordering::Greater => Verdict::Worse,
            std::cmp::Ordering::Less => Verdict::Better,
            std::cmp::Ordering::Equal => Verdict::WithinSpread,
        });
    }
    let more = MORE.contains(&group);
    if !more && !LESS.contains(&group) {
        return None;
    }
    if figure.ends_with(".max") {
        return Some(Verdict::NotJudged);
    }
    let (above, below) = (b.least > a.most, b.most < a.least);
    let far = (b.median - a.median).abs() > a.median.abs() * tolerance;
    Some(match (far, above, below) {
        (true, true, _) if more => Verdict::Better,
        (true, true, _) => Verdict::Worse,
        (true, _, true) if more => Verdict::Worse,
        (true, _, true) => Verdict::Better,
        _ => Verdict::WithinSpread,
    })
}

impl Comparison {
    /// Figures that are worse.
    pub fn worse(&self) -> usize {
        self.lines.iter().filter(|l| l.verdict == Verdict::Worse).count()
    }

    /// One JSON object.
    pub fn json(&self) -> Value {
        json!({ "figures": self.lines, "notes": self.notes, "worse": self.worse() })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Better => "better",
            Verdict::Worse => "WORSE",
            Verdict::WithinSpread => "within the spread",
            Verdict::NotJudged => "",
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |s: &Spread| format!("{} ({}–{})", exact(s.median), exact(s.least), exact(s.most));
        let mut row = "";
        for line in &self.lines {
            if line.row != row {
                row = &line.row;
                writeln!(f, "{row}\n  {:30} {:>36} {:>36} {:>7}", "median (least–most)", "old", "new", "new/old")?;
            }
            let ratio = line.ratio.map_or_else(|| "–".into(), |r| format!("{r:.3}"));
            writeln!(
                f,
                "  {:30} {:>36} {:>36} {ratio:>7}  {}",
                line.figure,
                shown(&line.a),
                shown(&line.b),
                line.verdict
            )?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))?;
        match self.worse() {
            0 => writeln!(f, "nothing is worse"),
            n => writeln!(f, "worse beyond spread and tolerance: {n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(cpu: &str, what: &str, rates: &[f64], p99: &[f64], lost: u64) -> Side {
        let runs: Vec<Value> = rates
            .iter()
            .zip(p99)
            .map(|(r, p)| json!({ "messages_per_second": r, "lost": lost, "latency_us": { "p99": p, "max": p * 9.0 }, "seconds": 2 }))
            .collect();
        let json = json!({ "row": "sub", "what": what, "environment": { "cpu": cpu }, "runs": runs });
        Side::new(cpu.into(), json).unwrap()
    }

    fn verdicts(a: &Side, b: &Side) -> BTreeMap<String, Verdict> {
        let compared = compare(a, b, 0.05, false).unwrap();
        compared.lines.into_iter().map(|l| (l.figure, l.verdict)).collect()
    }

    #[test]
    fn figures_are_judged_beyond_spread_and_tolerance() {
        let old = side("c", "w", &[100.0, 110.0, 105.0], &[50.0, 60.0, 55.0], 0);
        let same = verdicts(&old, &old);
        assert_eq!(same["messages_per_second"], Verdict::WithinSpread);
        assert_eq!(same["latency_us.max"], Verdict::NotJudged);
        assert!(!same.contains_key("seconds"), "a length is neither good nor bad");
        let worse = verdicts(&old, &side("c", "w", &[80.0, 85.0, 90.0], &[70.0, 80.0, 75.0], 1));
        assert_eq!((worse["messages_per_second"], worse["latency_us.p99"]), (Verdict::Worse, Verdict::Worse));
        assert_eq!(worse["lost"], Verdict::Worse);
        let better = verdicts(&old, &side("c", "w", &[120.0, 130.0, 125.0], &[20.0, 30.0, 25.0], 0));
        assert_eq!((better["messages_per_second"], better["latency_us.p99"]), (Verdict::Better, Verdict::Better));
        let wide = verdicts(&old, &side("c", "w", &[10.0, 120.0, 20.0], &[50.0, 90.0, 80.0], 0));
        assert_eq!(
            (wide["messages_per_second"], wide["latency_us.p99"]),
            (Verdict::WithinSpread, Verdict::WithinSpread)
        );
        let little = verdicts(&old, &side("c", "w", &[109.9, 110.5, 110.2], &[60.0, 60.0, 60.0], 0));
        assert_eq!(little["messages_per_second"], Verdict::WithinSpread, "no more than the tolerance");
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let old = side("c", "w", &[1.0], &[1.0], 0);
        assert!(
            compare(&old, &side("other", "w", &[1.0], &[1.0], 0), 0.05, false).is_err_and(|e| e.contains("processors"))
        );
        assert!(compare(&old, &side("other", "w", &[1.0], &[1.0], 0), 0.05, true).is_ok_and(|c| c.notes.len() == 1));
        assert!(
            compare(&old, &side("c", "x", &[1.0], &[1.0], 0), 0.05, true).is_err_and(|e| e.contains("not the same"))
        );
        let invalid = json!({ "row": "sub", "what": "w", "valid": false, "environment": { "cpu": "c" } });
        assert!(
            compare(&old, &Side::new("i".into(), invalid).unwrap(), 0.05, false).is_err_and(|e| e.contains("invalid"))
        );
        let other = Side::new("o".into(), json!({ "row": "pub", "environment": { "cpu": "c" } })).unwrap();
        assert!(compare(&old, &other, 0.05, false).is_err_and(|e| e.contains("in common")));
        assert!(Side::new("n".into(), json!({ "rows": 1 })).is_err());
        assert!(Side::read(Path::new("/nowhere/a.json")).is_err());
    }

    #[test]
    fn files_of_several_servers_are_compared_server_by_server() {
        let peers = |cpu_ns: f64| {
            let run =
                json!({ "row": "sub", "what": "w", "server_cpu_ns_per_message": cpu_ns, "curve_us": [[0.0, 1.0]] });
            let runs = json!({ "turnpike": { "sub-16": [run, run] }, "nats-server": { "sub-16": [] } });
            Side::new("p".into(), json!({ "environment": { "cpu": "c" }, "runs": runs })).unwrap()
        };
        let compared = compare(&peers(100.0), &peers(120.0), 0.05, false).unwrap();
        assert_eq!((compared.lines.len(), compared.worse(), compared.lines[0].row.as_str()), (1, 1, "turnpike sub-16"));
        assert!(compared.to_string().contains("WORSE") && compared.json()["worse"] == 1);
        assert_eq!(peers(1.0).curves().len(), 2);
    }
}
