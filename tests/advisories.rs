//! The table of nats-server's published advisories, checked: each is there once, with the tests of its class, or with the
//! reason why there is nothing to test.

#[path = "support/owners.rs"]
mod owners;

use owners::fault_of_one;
use std::collections::BTreeSet;

const TABLE: &str = include_str!("advisories.txt");
/// So many are known (scenarios.md §1).
const LAST: u32 = 44;

/// The lines of the table: number, identifier, what proves its class.
fn rows() -> Vec<(u32, &'static str, &'static str)> {
    let lines = TABLE.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
    let row = |l: &'static str| {
        let (number, rest) = l.split_once(' ')?;
        let (id, proof) = rest.split_once(' ')?;
        Some((number.parse().ok()?, id, proof.trim()))
    };
    lines.map(|l| row(l).unwrap_or_else(|| panic!("not a row: {l:?}"))).collect()
}

/// What is wrong with a proof.
fn fault(proof: &str) -> Option<String> {
    for word in ["later:", "not applicable:"] {
        if let Some(reason) = proof.strip_prefix(word) {
            return (reason.split_whitespace().count() < 2).then(|| format!("no reason behind {word}"));
        }
    }
    proof.split(", ").find_map(fault_of_one)
}

#[test]
fn every_advisory_is_tested_by_class_or_says_why_not() {
    let rows = rows();
    let numbers: Vec<u32> = rows.iter().map(|(n, ..)| *n).collect();
    assert_eq!(numbers, (1..=LAST).collect::<Vec<_>>(), "each number once, in order");
    let ids: BTreeSet<&str> = rows.iter().map(|(_, id, _)| *id).collect();
    assert_eq!(ids.len(), rows.len(), "each advisory once");
    for (n, id, _) in &rows {
        assert!(id.starts_with("CVE-20") || id.starts_with("GHSA-"), "{n}: {id}");
    }
    let faults: Vec<String> = rows.iter().filter_map(|(n, _, proof)| Some(format!("{n}: {}", fault(proof)?))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn proofs_that_are_none_are_noticed() {
    for proof in ["later:", "later: soon", "not applicable: ", "sim nothing", "tests/advisories.rs fault", "nothing"] {
        assert!(fault(proof).is_some(), "{proof}");
    }
    for proof in [
        "later: nkeys and JWT",
        "not applicable: nothing is inflated",
        "sim rights, tests/advisories.rs proofs_that_are_none_are_noticed",
    ] {
        assert_eq!(fault(proof), None);
    }
}
