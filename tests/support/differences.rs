//! The allow-list of differences from nats-server, read from `docs/differences.md`, the one place where they stand.

/// The document itself: what is not in it is not allowed.
const DOCUMENT: &str = include_str!("../../docs/differences.md");

/// One accepted difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What the tests call it.
    pub name: String,
    /// What nats-server does: the text in backticks.
    pub peer: String,
    /// What turnpike does: the text in backticks.
    pub turnpike: String,
    /// Why.
    pub reason: String,
}

/// All accepted differences, in the document's order.
pub fn all() -> Vec<Difference> {
    let rows = DOCUMENT.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| name "));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, peer, turnpike, reason] = cells[..] else { panic!("docs/differences.md: not four cells: {line}") };
        let code = |cell: &str| cell.trim_matches('`').to_string();
        Difference { name: name.into(), peer: code(peer), turnpike: code(turnpike), reason: reason.into() }
    })
    .collect()
}

/// The difference called `name`. Panics when the document does not have it.
pub fn named(name: &str) -> Difference {
    let found = all().into_iter().find(|d| d.name == name);
    found.unwrap_or_else(|| panic!("docs/differences.md does not list {name:?}"))
}

/// The line turnpike sends where nats-server closes without a word.
pub fn malformed() -> Vec<u8> {
    format!("{}\r\n", named("malformed").turnpike).into_bytes()
}

/// Takes out of nats-server's frames what it sends twice and turnpike once (`pedantic-once`).
pub fn pedantic_once(frames: &mut Vec<Vec<u8>>) {
    let twice = format!("{}\r\n", named("pedantic-once").peer).into_bytes();
    frames.dedup_by(|a, b| a == b && *a == twice);
}

/// INFO as both sides must agree on it: keys of `info-keys` gone, values of `info-identity` masked.
pub fn masked_info(info: &serde_json::Value) -> serde_json::Value {
    let (optional, identity) = (named("info-keys"), named("info-identity"));
    let mut object = info.as_object().cloned().unwrap_or_default();
    object.retain(|key, _| !optional.peer.split(' ').chain(optional.turnpike.split(' ')).any(|k| k == key));
    for key in identity.peer.split(' ') {
        if let Some(value) = object.get_mut(key) {
            *value = "masked".into();
        }
    }
    object.into()
}
