//! Questions about and edits of a header block, `NATS/1.0…\r\nKey: value\r\n…\r\n` (client-protocol.md §9). Pure
//! functions; called where a message is published or delivered. The server routes blocks without looking into them,
//! so none of these may expect a block to be well formed.

use memchr::memmem;

/// Length of what [`no_responders`] writes for this subject (client-protocol.md §10).
pub fn no_responders_len(subject: &[u8]) -> usize {
    NO_RESPONDERS.len() + subject.len() + END.len()
}

/// Appends the header block of the 503 that tells a requester that nobody heard its message on `subject`
/// (client-protocol.md §10).
pub fn no_responders(subject: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(NO_RESPONDERS);
    into.extend_from_slice(subject);
    into.extend_from_slice(END);
}

/// Does a block begin as that of such a 503?
pub fn is_no_responders(block: &[u8]) -> bool {
    block.starts_with(NO_RESPONDERS)
}

const VERSION: &[u8] = b"NATS/1.0";
const NO_RESPONDERS: &[u8] = b"NATS/1.0 503\r\nNats-Subject: ";
const END: &[u8] = b"\r\n\r\n";

/// Does the block begin with the line `NATS/1.0`, with or without a status, and end with an empty line? Of the lines
/// between them nothing is asked: those are the clients' affair.
#[inline]
pub fn well_formed(block: &[u8]) -> bool {
    let Some(rest) = block.strip_prefix(VERSION) else { return false };
    block.ends_with(END) && (rest.starts_with(b"\r\n") || is_status_line(block))
}

/// Is the first line the version with a status? White space alone after the version counts for nothing.
fn is_status_line(block: &[u8]) -> bool {
    let Some(end) = memchr::memchr2(b'\r', b'\n', block) else { return false };
    let (line, rest) = block.split_at(end);
    let blank = line.strip_prefix(VERSION).is_some_and(|l| l.iter().all(|c| matches!(c, b' ' | b'\t')));
    rest.starts_with(b"\r\n") && (blank || status(line).is_some())
}

/// The status of a block that has one: `NATS/1.0 503`, with or without a description after it.
pub fn status(block: &[u8]) -> Option<u16> {
    let (code, after) = block.strip_prefix(b"NATS/1.0 ")?.trim_ascii_start().split_first_chunk::<3>()?;
    if after.first().is_some_and(|b| !b.is_ascii_whitespace()) {
        return None;
    }
    code.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + u16::from(d - b'0')))
}

/// The value of the first header with exactly this name, without the white space around it. Lines end with CRLF only.
pub fn get<'b>(block: &'b [u8], key: &[u8]) -> Option<&'b [u8]> {
    let mut starts = memmem::find_iter(block, b"\r\n").map(|at| at + 2);
    let mut start = starts.next()?;
    for next in starts {
        let line = &block[start..next - 2];
        if let Some(value) = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(b":")) {
            return Some(value.trim_ascii());
        }
        start = next;
    }
    None
}

/// Appends `block` without any header named `key`; how many lines were left out for it.
///
/// A header that only a trusted server may set has to be gone for every reader, however lenient: any case, white space
/// or control characters around the name, lines ended by a lone CR or LF, in the place of the first line, after the
/// blank line, behind a fold. The folded lines that follow a removed one go with it. Everything else stays, byte for
/// byte. (`scenarios.md`, advisory 24.)
pub fn strip(block: &[u8], key: &[u8], into: &mut Vec<u8>) -> usize {
    let mut removed = 0;
    let mut in_removed = false;
    let mut last_ending = 0;
    for line in Lines(block) {
        in_removed = names(line.text, key) || (in_removed && is_fold(line.text));
        if !in_removed {
            // Where a line between them is gone, a lone CR before an empty line with a lone LF would become one end.
            if removed > 0 && line.text.is_empty() && line.ending == b"\n" && into.ends_with(b"\r") {
                into.push(b'\n');
            }
            into.extend_from_slice(line.text);
            into.extend_from_slice(line.ending);
            last_ending = line.ending.len();
            continue;
        }
        removed += 1;
        // To a reader that knows only CRLF, a lone CR or LF is a part of the line before; it goes, and the line keeps
        // the end it has for that reader.
        // Unless that end, behind the CR of an empty line, would make one line of two.
        let merges = line.ending == b"\n" && into.len() >= 2 && into[into.len() - 2] == b'\r';
        if last_ending == 1 && !line.ending.is_empty() && !merges {
            into.pop();
            into.extend_from_slice(line.ending);
            last_ending = line.ending.len();
        }
    }
    removed
}

/// Appends `block`, which may be empty, with this as the last of its headers and the only one of its name.
pub fn set(block: &[u8], key: &[u8], value: &[u8], into: &mut Vec<u8>) {
    let mut others = Vec::new();
    strip(block, key, &mut others);
    if others.is_empty() {
        others = [VERSION, END].concat();
    }
    // Before the empty line, where readers stop; where none is, at the end.
    let at = memmem::find(&others, END).map_or(others.len(), |at| at + 2);
    into.extend_from_slice(&others[..at]);
    for part in [key, b": ", value, b"\r\n"] {
        into.extend_from_slice(part);
    }
    into.extend_from_slice(if at < others.len() { &others[at..] } else { b"\r\n" });
}

/// Could a reader take this line for a header of that name?
fn names(line: &[u8], key: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else { return false };
    let name = String::from_utf8_lossy(&line[..colon]);
    name.trim_matches(|c: char| c.is_whitespace() || c.is_control()).as_bytes().eq_ignore_ascii_case(key)
}

/// Does the line continue the value of the one before?
fn is_fold(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// A line of a block and what ends it: CRLF, a lone CR or LF, or nothing at the end of the block.
struct Line<'b> {
    text: &'b [u8],
    ending: &'b [u8],
}

/// The lines of a block, by the most lenient reading.
struct Lines<'b>(&'b [u8]);

impl<'b> Iterator for Lines<'b> {
    type Item = Line<'b>;

    fn next(&mut self) -> Option<Line<'b>> {
        if self.0.is_empty() {
            return None;
        }
        let at = memchr::memchr2(b'\r', b'\n', self.0).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(at);
        let ending = if rest.starts_with(b"\r\n") { 2 } else { rest.len().min(1) };
        let (ending, rest) = rest.split_at(ending);
        self.0 = rest;
        Some(Line { text, ending })
    }
}

#[cfg(test)]
mod tests;
