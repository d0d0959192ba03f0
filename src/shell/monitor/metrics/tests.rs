//! The page's form, its names, and the list of them in the docs.

use super::*;

/// The list in the docs.
const DOCS: &str = include_str!("../../../../docs/monitoring.md");

/// A page of one gauge and one counter.
fn page(labels: Labels, value: f64, n: u64) -> String {
    let mut sheet = Sheet::default();
    sheet.gauge("waiting_bytes", "What waits", [(labels.clone(), value)]);
    sheet.counter("things", "Things ever", [(labels, n)]);
    sheet.counter("nothing", "Not there", []);
    let mut registry = Registry::with_prefix("turnpike");
    registry.register_collector(Box::new(sheet));
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    page
}

#[test]
fn a_page_is_openmetrics_text() {
    let labels = vec![("by", "a \"b\" \\ c\nd".to_owned())];
    let expected = "# HELP turnpike_waiting_bytes What waits\n\
                    # TYPE turnpike_waiting_bytes gauge\n\
                    # UNIT turnpike_waiting_bytes bytes\n\
                    turnpike_waiting_bytes{by=\"a \\\"b\\\" \\\\ c\\nd\"} 0.5\n\
                    # HELP turnpike_things Things ever\n\
                    # TYPE turnpike_things counter\n\
                    turnpike_things_total{by=\"a \\\"b\\\" \\\\ c\\nd\"} 18446744073709551615\n\
                    # EOF\n";
    assert_eq!(page(labels, 0.5, u64::MAX), expected);
}

#[test]
fn the_text_shows_a_histogram_in_few_buckets() {
    let meter = crate::shell::meter::Meter::default();
    for ns in [500, 2_000, 3_000, 2_000_000_000] {
        meter.stayed(crate::shell::meter::Hop::Queued, ns);
    }
    let mut sheet = Sheet::default();
    sheet.histogram("hop_seconds", "Hops", [(Vec::new(), meter.spread(crate::shell::meter::Hop::Queued))]);
    let mut registry = Registry::with_prefix("turnpike");
    registry.register_collector(Box::new(sheet));
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    let has = |line: &str| assert!(page.lines().any(|l| l.starts_with(line)), "{line}: {page}");
    has("# TYPE turnpike_hop_seconds histogram");
    has("turnpike_hop_seconds_sum 2.0000055");
    has("turnpike_hop_seconds_count 4");
    has("turnpike_hop_seconds_bucket{le=\"9.5367431640625e-7\"} 1");
    has("turnpike_hop_seconds_bucket{le=\"0.000003814697265625\"} 3");
    has("turnpike_hop_seconds_bucket{le=\"1.0\"} 3");
    has("turnpike_hop_seconds_bucket{le=\"+Inf\"} 4");
    assert!(page.lines().count() < 20, "{page}");
}

/// The names that stand in this module's files, as Prometheus shows them.
fn written() -> Vec<String> {
    let files = [
        include_str!("server.rs"),
        include_str!("shards.rs"),
        include_str!("accounts.rs"),
        include_str!("routes.rs"),
        include_str!("gateways.rs"),
    ];
    let mut names = Vec::new();
    for text in files {
        for (kind, end) in [("counter", "_total"), ("seconds", "_total"), ("gauge", ""), ("histogram", "")] {
            let call = format!("sheet.{kind}(");
            let named = |call: &str| format!("turnpike_{}{end}", call.split('"').nth(1).unwrap());
            names.extend(text.split(&call).skip(1).map(named));
        }
    }
    names.sort();
    names
}

#[test]
fn the_docs_list_every_metric_and_no_other() {
    let mut listed: Vec<_> = DOCS.lines().filter_map(|l| l.strip_prefix("| `turnpike_")?.split('`').next()).collect();
    listed.sort_unstable();
    let listed: Vec<_> = listed.into_iter().map(|name| format!("turnpike_{name}")).collect();
    assert!(listed.len() > 50);
    assert_eq!(listed, written());
}

#[test]
fn names_are_as_prometheus_wants_them() {
    for name in written() {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        for wrong in ["_count", "_sum", "_bucket", "_info_total", "_ms", "_ns", "milliseconds", "kib", "__"] {
            assert!(!name.ends_with(wrong), "{name}");
        }
    }
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let text = include_str!("../../../../configs/grafana.json");
    let dashboard: serde_json::Value = serde_json::from_str(text).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().filter_map(|p| p["targets"].as_array()).flatten();
    let asked: Vec<&str> = targets.map(|t| t["expr"].as_str().unwrap()).collect();
    let there = written();
    let mut seen = 0;
    for name in asked.iter().flat_map(|e| e.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')) {
        if name.starts_with("turnpike_") {
            let of = name.trim_end_matches("_bucket");
            assert!(there.iter().any(|n| n == of), "{name}");
            seen += 1;
        }
    }
    assert!(asked.len() > 30 && seen >= asked.len(), "{seen} names in {} questions", asked.len());
}
