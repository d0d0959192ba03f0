//! Tests of header blocks.

use proptest::prelude::*;

use super::*;

const INFO: &[u8] = b"Nats-Request-Info";

fn stripped(block: &str) -> String {
    let mut out = Vec::new();
    strip(block.as_bytes(), INFO, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_503_names_its_subject() {
    let mut out = b"x".to_vec();
    no_responders(b"foo.bar", &mut out);
    assert_eq!(out, b"xNATS/1.0 503\r\nNats-Subject: foo.bar\r\n\r\n");
    assert_eq!(no_responders_len(b"foo.bar"), out.len() - 1);
    assert_eq!(no_responders_len(b""), 32);
    assert_eq!((status(&out[1..]), get(&out[1..], b"Nats-Subject")), (Some(503), Some(&b"foo.bar"[..])));
}

#[test]
fn a_status_is_three_digits_by_themselves() {
    for (block, expected) in [
        (&b"NATS/1.0 503\r\n\r\n"[..], Some(503)),
        (b"NATS/1.0 100 FlowControl Request\r\n\r\n", Some(100)),
        (b"NATS/1.0   408\r\n\r\n", Some(408)),
        (b"NATS/1.0 503", Some(503)),
        (b"NATS/1.0\r\n\r\n", None),
        (b"NATS/1.0\r\n503: x\r\n\r\n", None),
        (b"NATS/1.0 5031\r\n\r\n", None),
        (b"NATS/1.0 50\r\n\r\n", None),
        (b"NATS/1.0 +50\r\n\r\n", None),
        (b"NATS/1.1 503\r\n\r\n", None),
        (b"ABCD", None),
        (b"", None),
    ] {
        assert_eq!(status(block), expected, "{:?}", String::from_utf8_lossy(block));
    }
}

#[test]
fn get_is_exact_and_takes_the_first() {
    let block = b"NATS/1.0\r\nkey: 0\r\nXKey: 1\r\nKey : 2\r\nA: Key: 3\r\nKey: \t v w \r\nKey: 5\r\nE:\r\nlast: 6";
    assert_eq!(get(block, b"Key"), Some(&b"v w"[..]));
    assert_eq!(get(block, b"E"), Some(&b""[..]));
    assert_eq!(get(block, b"KEY"), None);
    assert_eq!(get(b"NATS/1.0\r\nA: 1\nKey: 2\r\n\r\n", b"Key"), None, "a lone LF ends no line");
    assert_eq!(get(block, b"last"), None, "a line that does not end is none");
    assert_eq!(get(b"Key: v\r\n\r\n", b"Key"), None, "the first line is the protocol's");
    assert_eq!(get(b"", b"Key"), None);
}

#[test]
fn strip_finds_every_disguise() {
    for disguise in [
        "Nats-Request-Info: x\r\n",
        "nats-request-INFO: x\r\n",
        "Nats-Request-Info:x\r\n",
        "Nats-Request-Info : x\r\n",
        "Nats-Request-Info\t:x\r\n",
        "\tNats-Request-Info: x\r\n",
        "\0Nats-Request-Info\x7f: x\r\n",
        "\u{a0}Nats-Request-Info: x\r\n",
        "Nats-Request-Info: x\r\n y: z\r\n\tw\r\n",
        "Nats-Request-Info:\r\n x\r\n",
        "Nats-Request-Info: a\r\nnats-request-info: b\r\n",
        "Nats-Request-Info: a\nNats-Request-Info: b\rNats-Request-Info: c\r\n",
    ] {
        let block = format!("NATS/1.0 200 ok\r\nA: 1\r\n{disguise}Z: 2\r\n\r\n");
        assert_eq!(stripped(&block), "NATS/1.0 200 ok\r\nA: 1\r\nZ: 2\r\n\r\n", "{disguise:?}");
        assert_eq!(stripped(&format!("NATS/1.0\r\n\r\n{disguise}")), "NATS/1.0\r\n\r\n", "{disguise:?} after the end");
        assert_eq!(stripped(&format!("{disguise}A: 1\r\n")), "A: 1\r\n", "{disguise:?} in front");
    }
}

#[test]
fn strip_keeps_the_end_that_the_line_before_has() {
    assert_eq!(stripped("NATS/1.0\r\nA: 1\rNats-Request-Info: x\r\n\r\n"), "NATS/1.0\r\nA: 1\r\n\r\n");
    assert_eq!(stripped("NATS/1.0\r\nA: 1\nNats-Request-Info: x\r\n\r\n"), "NATS/1.0\r\nA: 1\r\n\r\n");
    assert_eq!(stripped("NATS/1.0\r\nA: 1\rNats-Request-Info: x\n\n"), "NATS/1.0\r\nA: 1\n\n");
    assert_eq!(stripped("NATS/1.0\r\nA: 1\nNats-Request-Info: x"), "NATS/1.0\r\nA: 1\n");
}

#[test]
fn strip_leaves_the_rest_alone() {
    for block in [
        "",
        "ABCD",
        "NATS/1.0\r\n\r\n",
        "NATS/1.0\r\nX-Nats-Request-Info: 1\r\n\r\n",
        "NATS/1.0\r\nNats-Request-Info2: 1\r\n\r\n",
        "NATS/1.0\r\nA: Nats-Request-Info: 1\r\n\r\n",
        "NATS/1.0\r\nNats-Request-Info\r\n\r\n",
        "NATS/1.0\r\nA: 1\r\n folded\r\n\r\n",
        "NATS/1.0\r\nA: 1\nB: 2\rC: 3\n\r\r\n",
    ] {
        assert_eq!(stripped(block), block);
    }
}

#[test]
fn a_removed_line_never_makes_one_of_two_others() {
    let mut out = Vec::new();
    assert_eq!(strip(b"\r\rk:\n", b"k", &mut out), 1);
    assert_eq!(out, b"\r\r");
}

/// The lines that may stay, by a reading of the rules that shares no code with `strip`.
fn kept(block: &str) -> Vec<String> {
    let mut dropping = false;
    let mut lines = lines(block);
    lines.retain(|line| {
        let named = line.split_once(':').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("k"));
        dropping = named || (dropping && line.starts_with([' ', '\t']));
        !dropping
    });
    lines
}

fn lines(block: &str) -> Vec<String> {
    let text = block.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<String> = text.split('\n').map(String::from).collect();
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "k",
        "K",
        ":",
        " ",
        "\t",
        "\r\n",
        "\r",
        "\n",
        "a",
        "k: 1\r\n",
        "A: 1\r\n",
        "NATS/1.0\r\n",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn strip_drops_exactly_the_named_lines(pieces in prop::collection::vec(piece(), 0..16)) {
        let block = pieces.concat();
        let mut out = b"before".to_vec();
        let removed = strip(block.as_bytes(), b"k", &mut out);
        prop_assert!(out.starts_with(b"before"), "what stood there before stays");
        let out = String::from_utf8(out.split_off(6)).unwrap();
        prop_assert_eq!(lines(&out), kept(&block));
        prop_assert_eq!(removed, lines(&block).len() - kept(&block).len());
        prop_assert!(removed > 0 || out == block);
    }

    #[test]
    fn any_bytes_are_survived(block in prop::collection::vec(any::<u8>(), 0..200), key in prop::collection::vec(any::<u8>(), 0..3)) {
        let mut once = Vec::new();
        strip(&block, &key, &mut once);
        prop_assert!(once.len() <= block.len());
        let mut twice = Vec::new();
        prop_assert_eq!(strip(&once, &key, &mut twice), 0);
        prop_assert_eq!(&twice, &once);
        status(&block);
        if let Some(value) = get(&block, &key) {
            prop_assert!(block.windows(value.len().max(1)).any(|w| w == value) || value.is_empty());
        }
    }
}

#[test]
fn a_block_is_well_formed_by_its_first_line_and_its_end() {
    for (block, expected) in [
        (&b"NATS/1.0\r\n\r\n"[..], true),
        (b"NATS/1.0\r\nA: 1\r\n\r\n", true),
        (b"NATS/1.0 503\r\n\r\n", true),
        (b"NATS/1.0 503 No Responders\r\nA: 1\r\n\r\n", true),
        (b"NATS/1.0 \t\r\n\r\n", true),
        (b"NATS/1.0\r\nnothing asked of this\nline\r\n\r\n", true),
        (b"NATS/1.0\r\nA: 1\r\n", false),
        (b"NATS/1.0\n\n", false),
        (b"NATS/1.0\n\r\n\r\n", false),
        (b"NATS/1.0x\r\n\r\n", false),
        (b"NATS/1.0 x\r\n\r\n", false),
        (b"NATS/1.1\r\n\r\n", false),
        (b"nats/1.0\r\n\r\n", false),
        (b"NATS/1.0", false),
        (b"\r\n\r\n", false),
        (b"", false),
    ] {
        assert_eq!(well_formed(block), expected, "{:?}", String::from_utf8_lossy(block));
    }
}

proptest! {
    /// Sound blocks are taken, and no piece of one is taken for a whole one.
    #[test]
    fn torn_blocks_are_malformed(lines in prop::collection::vec("[A-Z][a-z]{0,4}: [ -~]{0,9}", 0..5)) {
        let mut block = b"NATS/1.0\r\n".to_vec();
        lines.iter().for_each(|l| block.extend_from_slice(format!("{l}\r\n").as_bytes()));
        block.extend_from_slice(b"\r\n");
        prop_assert!(well_formed(&block));
        for cut in 0..block.len() {
            prop_assert!(!well_formed(&block[..cut]), "the first {cut} bytes");
        }
    }
}

#[test]
fn a_header_is_set_once_and_last() {
    let table = [
        ("", "NATS/1.0\r\nK: v\r\n\r\n"),
        ("NATS/1.0\r\n\r\n", "NATS/1.0\r\nK: v\r\n\r\n"),
        ("NATS/1.0\r\nA: 1\r\n\r\n", "NATS/1.0\r\nA: 1\r\nK: v\r\n\r\n"),
        ("NATS/1.0\r\nk : other\r\nA: 1\r\nK:x\r\n\r\n", "NATS/1.0\r\nA: 1\r\nK: v\r\n\r\n"),
        ("NATS/1.0\r\nA: 1\r\n\r\nB: 2\r\n\r\n", "NATS/1.0\r\nA: 1\r\nK: v\r\n\r\nB: 2\r\n\r\n"),
    ];
    for (block, expected) in table {
        let mut out = Vec::new();
        set(block.as_bytes(), b"K", b"v", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{block:?}");
    }
}
