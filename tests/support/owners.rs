//! Tests that a table names, as `file test` or `sim scenario`: do they exist?

use std::path::Path;

/// The simulator's own list of its scenarios.
const SIMULATED: &str = include_str!("../sim/scenarios.rs");

/// Why one owner is none.
pub fn fault_of_one(owner: &str) -> Option<String> {
    let Some((place, name)) = owner.split_once(' ') else { return Some(format!("no name in {owner:?}")) };
    if place == "sim" {
        return (!SIMULATED.contains(&format!("(\"{name}\", "))).then(|| format!("no scenario {name}"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    let Ok(text) = std::fs::read_to_string(path) else { return Some(format!("no file {place}")) };
    let parts: Vec<&str> = text.split(&format!("fn {name}(")).collect();
    // Between the attribute and the function there is nothing but other attributes and comments.
    let is_test =
        |before: &str| before.rsplit_once("#[test]").is_some_and(|(_, between)| !between.contains(['{', '}']));
    let found = parts.len() > 1 && parts[..parts.len() - 1].iter().any(|before| is_test(before));
    (!found).then(|| format!("no test {name} in {place}"))
}
