//! Header blocks: what is read and what is taken out agrees with a plain reading of the lines; nothing else is touched.
//! The input is a header's name, a line feed, and a block.

use turnpike::wire::headers;

/// See the file's head.
pub fn check(input: &[u8]) {
    let mut parts = input.splitn(2, |b| *b == b'\n');
    let (key, block) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Some(code) = headers::status(block) {
        assert!(code <= 999 && block.starts_with(b"NATS/1.0 "));
    }
    assert_eq!(headers::get(block, key), plain_get(block, key));
    check_strip(block, key);
    check_no_responders(key);
}

/// Lines end with CRLF and the first is no header; what comes after the last CRLF is no line.
fn plain_lines(block: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut rest) = (Vec::new(), block);
    while let Some(at) = rest.windows(2).position(|w| w == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines
}

fn plain_get<'b>(block: &'b [u8], key: &[u8]) -> Option<&'b [u8]> {
    plain_lines(block).into_iter().skip(1).find_map(|l| {
        let rest = l.strip_prefix(key)?;
        Some(rest.strip_prefix(b":")?.trim_ascii())
    })
}

/// By the most lenient reading: any line, any case, whatever white space or control characters around the name.
fn lenient_names(line: &[u8]) -> Option<String> {
    let at = line.iter().position(|b| *b == b':')?;
    let name = String::from_utf8_lossy(&line[..at]);
    Some(name.trim_matches(|c: char| c.is_whitespace() || c.is_control()).to_ascii_lowercase())
}

fn check_strip(block: &[u8], key: &[u8]) {
    let name = String::from_utf8_lossy(key).to_ascii_lowercase();
    let is_named = |l: &[u8]| std::str::from_utf8(key).is_ok() && lenient_names(l).as_deref() == Some(&name);
    let mut left = b"before".to_vec();
    let removed = headers::strip(block, key, &mut left);
    let left = left.strip_prefix(b"before").expect("what stood there stays");
    assert!(left.len() <= block.len());
    let there = block.split(|b| b"\r\n".contains(b)).any(is_named);
    assert_eq!(removed > 0, there, "removed {removed} lines");
    assert!(!left.split(|b| b"\r\n".contains(b)).any(is_named), "still there in {}", left.escape_ascii());
    if removed == 0 {
        assert_eq!(left, block);
    }
    let mut again = Vec::new();
    assert_eq!(headers::strip(left, key, &mut again), 0);
    assert_eq!(again, left);
    // In a block whose lines everybody reads alike, every other line stays as it is and where it is.
    let lines = plain_lines(block);
    if lines.iter().any(|l| l.contains(&b'\r') || l.contains(&b'\n')) || !block.ends_with(b"\r\n") {
        return;
    }
    let (mut kept, mut gone) = (Vec::new(), false);
    for l in lines {
        gone = is_named(l) || (gone && matches!(l.first(), Some(b' ' | b'\t')));
        if !gone {
            kept.extend_from_slice(l);
            kept.extend_from_slice(b"\r\n");
        }
    }
    assert_eq!(left, kept);
}

fn check_no_responders(subject: &[u8]) {
    let mut block = Vec::new();
    headers::no_responders(subject, &mut block);
    assert_eq!(block.len(), headers::no_responders_len(subject));
    assert_eq!(headers::status(&block), Some(503));
    if !subject.ends_with(b"\r") {
        assert_eq!(headers::get(&block, b"Nats-Subject"), Some(subject.trim_ascii()));
    }
}
