//! The table of who owns which scenario, checked: every number is there once, and what it names exists.

#[path = "support/owners.rs"]
mod owners;

use owners::fault_of_one;

const TABLE: &str = include_str!("scenarios.txt");
/// Scenarios up to this one have an owner, or a reason why they have none yet.
const LAST: u32 = 79;

/// The lines of the table: number, owner.
fn rows() -> Vec<(u32, &'static str)> {
    let lines = TABLE.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
    let row = |l: &'static str| l.split_once(' ').and_then(|(n, owner)| Some((n.parse().ok()?, owner.trim())));
    lines.map(|l| row(l).unwrap_or_else(|| panic!("not a row: {l:?}"))).collect()
}

/// Why the owners of a scenario are none.
fn fault(owners: &str) -> Option<String> {
    match owners.strip_prefix("later:") {
        Some(reason) => reason.trim().is_empty().then(|| "no reason".into()),
        None => owners.split(", ").find_map(fault_of_one),
    }
}

#[test]
fn every_scenario_has_an_owner_that_exists() {
    let rows = rows();
    let numbers: Vec<u32> = rows.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, (1..=LAST).collect::<Vec<_>>(), "each number once, in order");
    let faults: Vec<String> = rows.iter().filter_map(|(n, owner)| Some(format!("{n}: {}", fault(owner)?))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn owners_that_are_none_are_noticed() {
    for owner in [
        "sim nothing",
        "tests/sim/main.rs nothing",
        "tests/nothing.rs sweep",
        "later:",
        "sweep",
        "sim routed, sim nothing",
        // Not a test.
        "tests/scenarios.rs fault",
    ] {
        assert!(fault(owner).is_some(), "{owner}");
    }
    for owner in [
        "sim routed",
        "sim routed, sim mixed",
        "tests/scenarios.rs owners_that_are_none_are_noticed",
        "later: gateways",
    ] {
        assert_eq!(fault(owner), None);
    }
}
