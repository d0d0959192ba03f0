//! A strict JSON reader with the semantics of Go's `encoding/json`, on which clients and servers have come to rely
//! (client-protocol.md §4). Lives on the stack of one call; used for what clients and peers say about themselves.
//!
//! serde_json differs from Go where it matters here: it refuses invalid UTF-8, lone surrogates and repeated keys, and
//! knows no case-insensitive keys.

use std::fmt;

/// Deepest nesting of arrays and objects. Go stops at 10,000; nothing a client says in good faith comes near this
/// limit, and below it recursion cannot exhaust the stack.
pub const DEPTH_MAX: usize = 128;

/// Why a JSON document was refused. Never holds any of the document, which may contain secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset of the byte where it was noticed.
    pub at: usize,
    /// What is wrong.
    pub why: Flaw,
}

/// What is wrong with a JSON document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Not JSON, or something follows the document.
    Syntax,
    /// The document or a known field has another type than it must have.
    Type,
    /// An integer outside of i64, or with a fraction or an exponent.
    Integer,
    /// Nested deeper than [`DEPTH_MAX`].
    Depth,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Flaw::Syntax => write!(f, "invalid JSON at byte {}", self.at),
            Flaw::Type => write!(f, "wrong JSON type at byte {}", self.at),
            Flaw::Integer => write!(f, "not a 64-bit integer at byte {}", self.at),
            Flaw::Depth => write!(f, "JSON nested deeper than {DEPTH_MAX} at byte {}", self.at),
        }
    }
}

impl std::error::Error for Malformed {}

/// Where the value being read shall go.
pub(super) enum Want<'a> {
    /// Nowhere; any type will do.
    Anything,
    /// A bool.
    Bool(&'a mut bool),
    /// An integer.
    Integer(&'a mut i64),
    /// A string.
    Text(&'a mut String),
    /// A string whose value is of no interest.
    AnyText,
    /// An array of strings.
    Texts(&'a mut Vec<String>),
    /// An array of strings whose values are of no interest.
    AnyTexts,
    /// An object whose `allow` and `deny` are arrays of strings; its values are of no interest.
    Permission,
}

/// Reads one document.
pub(super) struct Reader<'j> {
    json: &'j [u8],
    at: usize,
    depth: usize,
}

impl<'j> Reader<'j> {
    pub(super) fn new(json: &'j [u8]) -> Reader<'j> {
        Reader { json, at: 0, depth: 0 }
    }

    /// Reads a whole document that must be `null` or an object; `member` reads each value, given its unquoted key.
    pub(super) fn document(
        &mut self,
        member: impl FnMut(&mut Self, &str) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.members(member)?;
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.flaw(Flaw::Syntax)),
        }
    }

    /// Reads an object, or `null`; `member` reads each value, given its unquoted key.
    pub(super) fn members(
        &mut self,
        member: impl FnMut(&mut Self, &str) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'{') => self.object(member),
            Some(b'n') => self.word("null"),
            Some(_) => Err(self.flaw(Flaw::Type)),
            None => Err(self.flaw(Flaw::Syntax)),
        }
    }

    /// Reads an array, or `null`; `element` reads each value.
    pub(super) fn elements(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'[') => self.array(element),
            Some(b'n') => self.word("null"),
            Some(_) => Err(self.flaw(Flaw::Type)),
            None => Err(self.flaw(Flaw::Syntax)),
        }
    }

    /// Offset of the next byte to be read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The text read since the reader was `at` that offset.
    pub(super) fn read_since(&self, at: usize) -> &'j [u8] {
        self.json.get(at..self.at).unwrap_or_default()
    }

    /// Reads one value into its place; `null` leaves the place as it was.
    pub(super) fn value(&mut self, want: Want<'_>) -> Result<(), Malformed> {
        let first = self.peek().ok_or(self.flaw(Flaw::Syntax))?;
        match (first, want) {
            (b'n', _) => self.word("null"),
            (b'{', Want::Anything) => self.object(|r, _| r.value(Want::Anything)),
            (b'{', Want::Permission) => self.object(|r, key| match folded(key).as_str() {
                "allow" | "deny" => r.value(Want::AnyTexts),
                _ => r.value(Want::Anything),
            }),
            (b'[', Want::Anything) => self.array(|r| r.value(Want::Anything)),
            (b'[', Want::AnyTexts) => self.array(|r| r.value(Want::AnyText)),
            (b'[', Want::Texts(place)) => {
                place.clear();
                self.array(|r| {
                    let mut text = String::new();
                    r.value(Want::Text(&mut text))?;
                    place.push(text);
                    Ok(())
                })
            }
            (b'"', Want::Anything | Want::AnyText) => self.string(&mut String::new()),
            (b'"', Want::Text(place)) => {
                place.clear();
                self.string(place)
            }
            (b't', Want::Anything) => self.word("true"),
            (b'f', Want::Anything) => self.word("false"),
            (b't', Want::Bool(place)) => {
                *place = true;
                self.word("true")
            }
            (b'f', Want::Bool(place)) => {
                *place = false;
                self.word("false")
            }
            (b'-' | b'0'..=b'9', Want::Anything) => self.number().map(|_| ()),
            (b'-' | b'0'..=b'9', Want::Integer(place)) => {
                let start = self.at;
                let digits = self.number()?;
                *place = digits.parse().map_err(|_| Malformed { at: start, why: Flaw::Integer })?;
                Ok(())
            }
            (b'{' | b'[' | b'"' | b't' | b'f' | b'-' | b'0'..=b'9', _) => Err(self.flaw(Flaw::Type)),
            _ => Err(self.flaw(Flaw::Syntax)),
        }
    }

    fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.descend()?;
        let mut key = String::new();
        let mut more = self.peek() != Some(b'}');
        while more {
            if self.peek() != Some(b'"') {
                return Err(self.flaw(Flaw::Syntax));
            }
            key.clear();
            self.string(&mut key)?;
            self.peek();
            self.take(b':')?;
            member(self, &key)?;
            more = self.comma();
        }
        self.ascend(b'}')
    }

    fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.descend()?;
        let mut more = self.peek() != Some(b']');
        while more {
            element(self)?;
            more = self.comma();
        }
        self.ascend(b']')
    }

    /// Steps over the bracket that opens.
    fn descend(&mut self) -> Result<(), Malformed> {
        if self.depth == DEPTH_MAX {
            return Err(self.flaw(Flaw::Depth));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Steps over the bracket that closes.
    fn ascend(&mut self, close: u8) -> Result<(), Malformed> {
        self.take(close)?;
        self.depth -= 1;
        Ok(())
    }

    /// Steps over a comma, if one is next.
    fn comma(&mut self) -> bool {
        let found = self.peek() == Some(b',');
        self.at += usize::from(found);
        found
    }

    /// Steps over white space; the byte after it.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.json.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.json.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.json.get(self.at) != Some(&byte) {
            return Err(self.flaw(Flaw::Syntax));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Malformed> {
        word.bytes().try_for_each(|byte| self.take(byte))
    }

    fn flaw(&self, why: Flaw) -> Malformed {
        Malformed { at: self.at, why }
    }

    /// Reads a number by JSON's grammar; its text.
    fn number(&mut self) -> Result<&'j str, Malformed> {
        let start = self.at;
        self.at += usize::from(self.json.get(self.at) == Some(&b'-'));
        if self.json.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.json.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.json.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.json.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        std::str::from_utf8(&self.json[start..self.at]).map_err(|_| self.flaw(Flaw::Syntax))
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.json.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.flaw(Flaw::Syntax));
        }
        Ok(())
    }

    /// Reads a string and appends its meaning.
    fn string(&mut self, into: &mut String) -> Result<(), Malformed> {
        self.take(b'"')?;
        loop {
            let start = self.at;
            while self.json.get(self.at).is_some_and(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)) {
                self.at += 1;
            }
            append_replacing(&self.json[start..self.at], into);
            match self.json.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.escape(into)?,
                _ => return Err(self.flaw(Flaw::Syntax)),
            }
        }
        self.take(b'"')
    }

    fn escape(&mut self, into: &mut String) -> Result<(), Malformed> {
        let meaning = match self.json.get(self.at + 1) {
            Some(b'u') => {
                let unit = self.unit().ok_or(self.flaw(Flaw::Syntax))?;
                into.push(self.character(unit));
                return Ok(());
            }
            Some(&c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => return Err(self.flaw(Flaw::Syntax)),
        };
        into.push(meaning);
        self.at += 2;
        Ok(())
    }

    /// Reads `\uXXXX`; moves on only if it stands here.
    fn unit(&mut self) -> Option<u16> {
        let digits = self.json.get(self.at..self.at + 6)?.strip_prefix(b"\\u")?;
        let unit = digits.iter().try_fold(0, |n, d| Some(n << 4 | char::from(*d).to_digit(16)? as u16))?;
        self.at += 6;
        Some(unit)
    }

    /// The character that begins with this UTF-16 unit: the second half of a pair is read too; a lone half gives
    /// U+FFFD, and what follows it is left to be read for itself.
    fn character(&mut self, unit: u16) -> char {
        let before = self.at;
        if let Some(c) = char::from_u32(u32::from(unit)) {
            return c;
        }
        if let Some(second) = self.unit() {
            if let Some(Ok(c)) = char::decode_utf16([unit, second]).next() {
                return c;
            }
            self.at = before;
        }
        char::REPLACEMENT_CHARACTER
    }
}

/// Appends text; each byte that is not part of valid UTF-8 becomes one U+FFFD.
fn append_replacing(bytes: &[u8], into: &mut String) {
    for chunk in bytes.utf8_chunks() {
        into.push_str(chunk.valid());
        into.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

/// A key as it is compared: ASCII in lower case, and the two other characters that Unicode folds onto ASCII letters
/// (U+017F onto s, U+212A onto k). Every field of the protocol has an ASCII name in lower case, and no two of them
/// fold alike, so an exact match needs no precedence.
pub(super) fn folded(key: &str) -> String {
    key.chars()
        .map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}
