//! The words of a line on a route.

/// What separates words on a route; a CR does too, so that none comes in with a name.
pub(super) fn is_separator(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\r')
}

/// The words of a line, taken from either end.
#[derive(Clone, Copy)]
pub(in crate::wire) struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    pub(in crate::wire) fn new(line: &'a [u8]) -> Words<'a> {
        Words(trimmed_start(trimmed_end(line)))
    }

    pub(in crate::wire) fn first(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr3(b' ', b'\t', b'\r', self.0).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = trimmed_start(rest);
        (!word.is_empty()).then_some(word)
    }

    pub(in crate::wire) fn last(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().rposition(|c| is_separator(*c)).map_or(0, |at| at + 1);
        let (rest, word) = self.0.split_at(start);
        self.0 = trimmed_end(rest);
        (!word.is_empty()).then_some(word)
    }

    /// What is left between the words taken.
    pub(in crate::wire) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(in crate::wire) fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

fn trimmed_start(mut line: &[u8]) -> &[u8] {
    while let [c, rest @ ..] = line {
        if !is_separator(*c) {
            break;
        }
        line = rest;
    }
    line
}

fn trimmed_end(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., c] = line {
        if !is_separator(*c) {
            break;
        }
        line = rest;
    }
    line
}
