//! Replays the corpus of every fuzz target, and seeded mutations of it: what libFuzzer found once stays found, without
//! libFuzzer. The checks are those of `fuzz/`.

#[path = "../fuzz/src/checks/mod.rs"]
mod checks;

use std::path::Path;
use turnpike::base::Rng;

/// Mutations of each target's corpus …
const MUTATIONS: usize = 3000;
/// … and of those whose inputs are whole conversations, which cost a hundred times more.
const CONVERSATIONS: usize = 300;

fn replay(target: &str) {
    let check = checks::TARGETS.iter().find(|(name, _)| *name == target).expect("a target").1;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} has hardly any files", folder.display());
    let inputs: Vec<Vec<u8>> = files.iter().map(|f| std::fs::read(f).unwrap()).collect();
    for (file, input) in files.iter().zip(&inputs) {
        run(check, input, &file.display().to_string());
    }
    let mut rng = Rng::new(checks::seed_of(target.as_bytes()));
    for i in 0..if matches!(target, "accounts" | "shard") { CONVERSATIONS } else { MUTATIONS } {
        let input = mutated(&inputs, &mut rng);
        run(check, &input, &format!("mutation {i}: {}", input.escape_ascii()));
    }
}

/// Says which input it was, beside what the check itself says.
fn run(check: fn(&[u8]), input: &[u8], what: &str) {
    if std::panic::catch_unwind(|| check(input)).is_err() {
        panic!("{what}");
    }
}

/// An input with some bytes changed, taken out, doubled, or replaced by a piece of another.
fn mutated(inputs: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = inputs[rng.below(inputs.len() as u64) as usize].clone();
    for _ in 0..1 + rng.below(4) {
        let other = &inputs[rng.below(inputs.len() as u64) as usize];
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        let end = (at + rng.below(16) as usize).min(bytes.len());
        let from = rng.below(other.len() as u64 + 1) as usize;
        let to = (from + rng.below(32) as usize).min(other.len());
        let piece: Vec<u8> = match rng.below(5) {
            0 => vec![rng.next_u64() as u8],
            1 => Vec::new(),
            2 => bytes[at..end].repeat(2),
            3 => vec![b" \t\r\n.*>{}\"\\0$"[rng.below(13) as usize]],
            _ => other[from..to].to_vec(),
        };
        bytes.splice(at..end, piece);
    }
    bytes
}

#[test]
fn every_target_has_a_corpus_and_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut there: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    there.sort();
    assert_eq!(there, checks::TARGETS.map(|(name, _)| name));
    let names = [
        "accounts",
        "client_parser",
        "config",
        "gateway_handshake",
        "gateway_parser",
        "handshake",
        "headers",
        "hello",
        "identity",
        "interest",
        "permissions",
        "route_parser",
        "shard",
        "writer",
    ];
    assert_eq!(there, names);
}

#[test]
fn accounts() {
    replay("accounts");
}

#[test]
fn client_parser() {
    replay("client_parser");
}

#[test]
fn config() {
    replay("config");
}

#[test]
fn gateway_handshake() {
    replay("gateway_handshake");
}

#[test]
fn gateway_parser() {
    replay("gateway_parser");
}

#[test]
fn handshake() {
    replay("handshake");
}

#[test]
fn headers() {
    replay("headers");
}

#[test]
fn hello() {
    replay("hello");
}

#[test]
fn identity() {
    replay("identity");
}

#[test]
fn interest() {
    replay("interest");
}

#[test]
fn permissions() {
    replay("permissions");
}

#[test]
fn route_parser() {
    replay("route_parser");
}

#[test]
fn shard() {
    replay("shard");
}

#[test]
fn writer() {
    replay("writer");
}
