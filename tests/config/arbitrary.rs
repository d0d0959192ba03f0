//! Arbitrary bytes as configurations: any outcome is fine as long as it is one, soon, and the same each time.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

/// Any outcome is fine as long as it is one: settings, or mistakes that say something and have a place.
fn judge(name: &str, text: &[u8]) {
    let one = load_as(name, text);
    if let Err(errors) = &one {
        assert!(!errors.is_empty());
        for e in errors {
            assert!(!e.text.is_empty() && (e.file.is_empty() || e.line > 0), "{e:?}");
        }
    }
    assert_eq!(one, load_as(name, text), "the same bytes, the same verdict");
}

fn seeds() -> Vec<Vec<u8>> {
    let examples = ["accounts.conf", "accounts.toml", "cluster.conf", "cluster.toml", "turnpike.toml"]
        .map(|n| example(n).into_bytes());
    let recorded = recorded::RECORDED.iter().map(|(t, _)| t.as_bytes().to_vec());
    examples.into_iter().chain([stated(false).into_bytes(), stated(true).into_bytes()]).chain(recorded).collect()
}

/// Bytes that mean something in either grammar.
const SPICE: &[u8] = b"{}[]()=:,;\"'\\#/$.-\n\r\t \0\xff019kmTe+";

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0u8..4, prop::sample::select(SPICE), 1usize..40);
    (prop::sample::select(seeds()), prop::collection::vec(change, 1..8)).prop_map(|(mut text, changes)| {
        for (at, what, byte, run) in changes {
            let at = at.index(text.len() + 1);
            match what {
                0 => text.insert(at, byte),
                1 if at < text.len() => text[at] = byte,
                2 => drop(text.drain(at..text.len().min(at + run))),
                _ => {
                    let piece = text[at..text.len().min(at + run)].to_vec();
                    text.splice(at..at, piece);
                }
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn bytes(text in prop::collection::vec(any::<u8>(), 0..400)) {
        judge("f.conf", &text);
        judge("f.toml", &text);
    }

    #[test]
    fn spice(text in prop::collection::vec(prop::sample::select(SPICE), 0..200)) {
        judge("f.conf", &text);
        judge("f.toml", &text);
    }

    #[test]
    fn slips(text in mutated()) {
        judge("f.conf", &text);
        judge("f.toml", &text);
    }
}

/// What this thread has had of a core, however many others wanted it too.
fn cpu_time() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    Duration::from_nanos(spent.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds"))
}

#[test]
fn a_quarter_mebibyte_of_anything_is_read_at_once() {
    let fill = |piece: &str| piece.repeat((1 << 18) / piece.len());
    for piece in [
        "a",
        "{",
        "[",
        "a{",
        "a {",
        "a=[",
        "(",
        "\n)",
        "'",
        "\"",
        "\\",
        "#",
        "//",
        "$a ",
        "a=1\n",
        "a.",
        "a.b=1\n",
        "[a]\n",
        "[[a]]\n",
        "a=$HOME\n",
        "include a\n",
        "a={b=1},",
        "\u{e9}",
        "a=(\n",
        "x=[1,",
        "\"\"\"",
        "a=1,",
        "-",
        "1",
        "}",
        "]",
    ] {
        let text = fill(piece);
        for name in ["f.conf", "f.toml"] {
            let before = cpu_time();
            judge(name, text.as_bytes());
            // Twice, unoptimised; what grows with the square takes minutes.
            let spent = cpu_time() - before;
            assert!(spent < Duration::from_secs(20), "{piece:?} in {name}: {spent:?}");
        }
    }
    let many: String = (0..20_000).map(|i| format!("key{i} = {i}\n")).collect();
    let before = cpu_time();
    judge("f.conf", many.as_bytes());
    judge("f.toml", many.as_bytes());
    let spent = cpu_time() - before;
    assert!(spent < Duration::from_secs(20), "{spent:?}");
}
