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

/// Takes the pedantic error for a PUB that never became whole out of the frames of a connection that ended by it
/// (`pedantic-unfinished`): the last frame, or the last before the error that ended the connection.
pub fn pedantic_unfinished(frames: &mut Vec<Vec<u8>>) {
    let said = format!("{}\r\n", named("pedantic-unfinished").peer).into_bytes();
    let last = frames.len().saturating_sub(1);
    if frames.last() == Some(&said) {
        frames.pop();
    } else if last > 0 && frames[last].starts_with(b"-ERR ") && frames[last - 1] == said {
        frames.remove(last - 1);
    }
}

/// Whether `bytes` hold a carriage return that is not right before a newline (`stray-cr`).
pub fn stray_cr(bytes: &[u8]) -> bool {
    named("stray-cr");
    bytes.iter().enumerate().any(|(i, &b)| b == b'\r' && bytes.get(i + 1) != Some(&b'\n'))
}

/// Whether `bytes` hold a verb followed by blanks and a bare newline (`newline-argument`).
pub fn newline_argument(bytes: &[u8]) -> bool {
    named("newline-argument");
    let verbs = ["PUB", "HPUB", "SUB", "UNSUB"];
    bytes.split(|&b| b == b'\n').any(|line| {
        let word = line.trim_ascii().to_ascii_uppercase();
        (line.ends_with(b" ") || line.ends_with(b"\t")) && verbs.iter().any(|verb| word == verb.as_bytes())
    })
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
