//! The structure of a `.conf` text: entries, maps, arrays, quoted strings, blocks, includes. Called by the door of
//! this folder, once per file and once per environment variable used as a value.

mod dashes;

use super::scalar::{classify, Bare};
use super::Shared;
use crate::base::limits::{CONF_COPIED_BYTES_MAX, CONF_NESTING_MAX};
use crate::policy::invalid::Invalid;
use crate::policy::tree::{invalid, At, Entry, Lines, Node, Table, Value};

type Parsed<T> = Result<T, Invalid>;

pub(super) struct Parser<'p, 's> {
    shared: &'p mut Shared<'s>,
    /// The maps being filled, innermost last: where variables are looked up.
    scopes: &'p mut Vec<Table>,
    file: u16,
    text: &'p str,
    bytes: &'p [u8],
    pos: usize,
    lines: Lines,
    depth: usize,
    /// Column of the dash of the list's entry that is being read; 0: none is.
    outer_dash: u32,
}

/// Where a list of entries ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    File,
    Brace,
}

impl<'p, 's> Parser<'p, 's> {
    pub(super) fn new(shared: &'p mut Shared<'s>, scopes: &'p mut Vec<Table>, file: u16, text: &'p str) -> Self {
        let lines = Lines::of(file, text);
        Parser { shared, scopes, file, text, bytes: text.as_bytes(), pos: 0, lines, depth: 0, outer_dash: 0 }
    }

    /// A whole file. All of it may stand in one pair of braces, as JSON does; and one closing brace too many at the
    /// very end is overlooked, as nats-server does.
    pub(super) fn document(mut self) -> Parsed<Table> {
        self.scopes.push(Table::default());
        if self.text.starts_with('\u{feff}') {
            self.pos = '\u{feff}'.len_utf8();
        }
        self.skip_gaps();
        if self.peek() == Some(b'{') {
            self.pos += 1;
            self.entries(End::Brace)?;
            self.pos += 1;
            self.after_entry(End::File)?;
        }
        self.entries(End::File)?;
        if self.peek() == Some(b'}') {
            let stray = self.pos;
            self.pos += 1;
            self.skip_gaps();
            if self.peek().is_some() {
                return Err(self.wrong(stray, "unexpected '}'"));
            }
        }
        Ok(self.scopes.pop().unwrap_or_default())
    }

    /// An environment variable's text as the value it stands for; nothing at all is the empty string.
    pub(super) fn lone_value(mut self) -> Parsed<Node> {
        self.skip_blanks();
        if self.peek().is_none() {
            return Ok(Node { value: Value::String(String::new()), at: self.at(self.pos) });
        }
        let node = self.value()?;
        self.skip_gaps();
        match self.peek() {
            None => Ok(node),
            Some(_) => Err(self.wrong(self.pos, "expected the end of the value")),
        }
    }

    /// Entries into the innermost scope, up to the end (which is not consumed).
    fn entries(&mut self, end: End) -> Parsed<()> {
        loop {
            self.skip_gaps();
            match self.peek() {
                None if end == End::Brace => {
                    return Err(self.wrong(self.pos, "unexpected EOF processing map, '}' is missing"))
                }
                None | Some(b'}') => return Ok(()),
                Some(_) => {
                    self.entry()?;
                    self.after_entry(end)?;
                }
            }
        }
    }

    /// After an entry: a line's end, a comment, ',' or ';', or the end of the map.
    fn after_entry(&mut self, end: End) -> Parsed<()> {
        self.skip_blanks();
        match self.peek() {
            Some(b',' | b';') => self.pos += 1,
            None | Some(b'\n' | b'}') => {}
            Some(_) if self.at_comment() => {}
            Some(_) => {
                let what = if end == End::File {
                    "expected the value to end with a new line, comment or EOF"
                } else {
                    "expected a map value terminator ',' or a map terminator '}'"
                };
                return Err(self.wrong(self.pos, &format!("{what}, but got {}", self.found())));
            }
        }
        Ok(())
    }

    fn entry(&mut self) -> Parsed<()> {
        let start = self.pos;
        let (key, quoted) = self.key()?;
        let mut dashes = false;
        let spaced = self.skip_blanks();
        if key == "include" && !quoted && spaced && !matches!(self.peek(), Some(b'=' | b':' | b'\n') | None) {
            return self.include(start);
        }
        match self.peek() {
            Some(b'=' | b':') => {
                self.pos += 1;
                self.skip_blanks();
                if matches!(self.peek(), None | Some(b'\n')) {
                    dashes = self.next_line(&key)?;
                }
            }
            Some(b'{' | b'[' | b'(' | b'"' | b'\'') => {}
            _ if spaced || self.peek() == Some(b'\n') => {
                self.skip_whitespace();
            }
            _ => {}
        }
        if self.peek().is_none() {
            return Err(self.wrong(start, &format!("the key \"{key}\" has no value")));
        }
        let value = if dashes { self.dashes()? } else { self.value()?.value };
        let node = Node { value, at: self.at(start) };
        if let Some(scope) = self.scopes.last_mut() {
            scope.set(Entry { key, node, used: false });
        }
        Ok(())
    }

    /// After `key:` at the end of a line, on to where its value stands: is that a list with dashes? Outside of maps
    /// nothing else may stand there. Inside of maps any value may, as in nats-server, where even `#c` would be text and
    /// no comment: so there no comment is passed over.
    fn next_line(&mut self, key: &str) -> Parsed<bool> {
        let end = self.pos;
        if self.depth == 0 {
            self.skip_gaps();
        } else {
            self.skip_whitespace();
        }
        let dashes = self.at_dash();
        if !dashes && (self.depth == 0 || self.peek().is_none()) {
            self.pos = end;
            return Err(self.wrong(end, &format!("expected a value for \"{key}\" but found {}", self.found())));
        }
        Ok(dashes)
    }

    fn key(&mut self) -> Parsed<(String, bool)> {
        let start = self.pos;
        if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            self.pos += 1;
            let Some(n) = memchr::memchr(quote, &self.bytes[self.pos..]) else {
                return Err(self.wrong(start, "unexpected EOF, the key's quote is not closed"));
            };
            let key = self.text[self.pos..self.pos + n].to_string();
            self.pos += n + 1;
            return Ok((key, true));
        }
        while let Some(c) = self.peek() {
            match c {
                b' ' | b'\t' | b'\r' | b'\n' | b'=' | b':' => break,
                b'{' if self.pos > start => {
                    return Err(self.wrong(start, "a bare key may not touch '{': put a space before it"));
                }
                b'{' | b'}' | b'[' | b']' | b'(' | b')' | b',' | b';' if self.pos == start => {
                    return Err(self.wrong(start, &format!("expected a key, but got {}", self.found())));
                }
                b'}' => return Err(self.wrong(start, "expected a value for the key, but got '}'")),
                b'/' if self.pos == start => return Err(self.wrong(start, "a bare key may not begin with '/'")),
                0 => return Err(self.wrong(self.pos, "a NUL byte")),
                _ => self.pos += 1,
            }
        }
        if self.pos == start {
            return Err(self.wrong(start, &format!("unexpected key separator {}", self.found())));
        }
        Ok((self.text[start..self.pos].to_string(), false))
    }

    fn include(&mut self, start: usize) -> Parsed<()> {
        let at = self.at(start);
        let name = match self.peek() {
            Some(b'"') => self.double_quoted()?,
            Some(b'\'') => self.single_quoted()?,
            _ => self.bare_text()?.0,
        };
        let table = self.shared.include(&name, at)?;
        if let Some(scope) = self.scopes.last_mut() {
            table.into_entries().into_iter().for_each(|e| scope.set(e));
        }
        Ok(())
    }

    fn value(&mut self) -> Parsed<Node> {
        let start = self.pos;
        if self.at_comment() {
            return Err(self.wrong(start, "expected a value but found a comment"));
        }
        let value = match self.peek() {
            Some(b'{') => self.nested(Self::map)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Value::String(self.double_quoted()?),
            Some(b'\'') => Value::String(self.single_quoted()?),
            Some(b'(') => Value::String(self.block()?),
            None | Some(b',' | b';' | b']' | b'}' | b'\n') => {
                return Err(self.wrong(start, &format!("expected a value but found {}", self.found())))
            }
            Some(_) => self.bare()?,
        };
        Ok(Node { value, at: self.at(start) })
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        if self.depth == CONF_NESTING_MAX {
            return Err(self.wrong(self.pos, &format!("maps and arrays may be nested at most {CONF_NESTING_MAX} deep")));
        }
        self.depth += 1;
        self.pos += 1;
        let value = inner(self);
        self.depth -= 1;
        value
    }

    fn map(&mut self) -> Parsed<Value> {
        let outer_dash = std::mem::take(&mut self.outer_dash);
        self.skip_gaps();
        let value = if self.at_item() {
            self.braced_dashes()?
        } else {
            self.scopes.push(Table::default());
            self.entries(End::Brace)?;
            Value::Table(self.scopes.pop().unwrap_or_default())
        };
        self.pos += 1;
        self.outer_dash = outer_dash;
        Ok(value)
    }

    /// Elements, each ended by ',' or a new line. A number may touch the ']', which nats-server does not allow.
    fn array(&mut self) -> Parsed<Value> {
        let mut elements = Vec::new();
        loop {
            self.skip_gaps();
            match self.peek() {
                None => return Err(self.wrong(self.pos, "unexpected EOF processing array, ']' is missing")),
                Some(b']') => break,
                Some(b',') => return Err(self.wrong(self.pos, "unexpected array value terminator ','")),
                Some(_) => elements.push(self.value()?),
            }
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.pos += 1,
                Some(b']' | b'\n') | None => {}
                Some(_) if self.at_comment() => {}
                Some(_) => {
                    let text = format!(
                        "expected an array value terminator ',' or an array terminator ']', but got {}",
                        self.found()
                    );
                    return Err(self.wrong(self.pos, &text));
                }
            }
        }
        self.pos += 1;
        Ok(Value::Array(elements))
    }

    fn double_quoted(&mut self) -> Parsed<String> {
        let start = self.pos;
        self.pos += 1;
        let mut out = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.wrong(start, "unexpected EOF, the string's quote is not closed")),
                Some(b'"') => break,
                Some(b'\\') => out.push(self.escape()?),
                Some(c) => {
                    out.push(c);
                    self.pos += 1;
                }
            }
        }
        self.pos += 1;
        String::from_utf8(out).map_err(|_| self.wrong(start, "the string's escapes do not make UTF-8"))
    }

    fn single_quoted(&mut self) -> Parsed<String> {
        let start = self.pos;
        self.pos += 1;
        let Some(n) = memchr::memchr(b'\'', &self.bytes[self.pos..]) else {
            return Err(self.wrong(start, "unexpected EOF, the string's quote is not closed"));
        };
        let out = self.text[self.pos..self.pos + n].to_string();
        self.pos += n + 1;
        Ok(out)
    }

    /// `(`, raw lines, `)` at the start of a line of its own.
    fn block(&mut self) -> Parsed<String> {
        let start = self.pos;
        self.pos += 1;
        let body = self.pos;
        let ends = |rest: &[u8]| matches!(rest, b"" | b"\r") || rest.starts_with(b"\n") || rest.starts_with(b"\r\n");
        for i in memchr::memmem::find_iter(&self.bytes[body..], b"\n)") {
            if ends(&self.bytes[body + i + 2..]) {
                self.pos = body + i + 2;
                return Ok(self.text[body..=body + i].to_string());
            }
        }
        Err(self.wrong(start, "unexpected EOF processing block: it ends with ')' alone on a line"))
    }

    /// One of `\t \n \r \" \\ \xHH`; the cursor stands on the backslash.
    fn escape(&mut self) -> Parsed<u8> {
        let start = self.pos;
        self.pos += 2;
        Ok(match self.bytes.get(start + 1) {
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b'"') => b'"',
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let hex = self.bytes.get(start + 2..start + 4).and_then(|h| {
                    let digit = |b: u8| char::from(b).to_digit(16);
                    Some((digit(h[0])? * 16 + digit(h[1])?) as u8)
                });
                self.pos += 2;
                hex.ok_or_else(|| self.wrong(start, "expected two hexadecimal digits after '\\x'"))?
            }
            _ => {
                let text = "invalid escape character; only \\xHH, \\t, \\n, \\r, \\\" and \\\\ are allowed";
                return Err(self.wrong(start, text));
            }
        })
    }

    /// The text of an unquoted value, and whether it held escapes.
    fn bare_text(&mut self) -> Parsed<(String, bool)> {
        let start = self.pos;
        let (mut out, mut escaped) = (Vec::new(), false);
        while let Some(c) = self.peek() {
            match c {
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | b']' | b'}' => break,
                0 => return Err(self.wrong(self.pos, "a NUL byte")),
                b'\\' => {
                    out.push(self.escape()?);
                    escaped = true;
                }
                _ => {
                    out.push(c);
                    self.pos += 1;
                }
            }
        }
        let text = String::from_utf8(out).map_err(|_| self.wrong(start, "the string's escapes do not make UTF-8"))?;
        Ok((text, escaped))
    }

    fn bare(&mut self) -> Parsed<Value> {
        let start = self.pos;
        let (text, escaped) = self.bare_text()?;
        if escaped {
            return Ok(Value::String(text));
        }
        match classify(text) {
            Ok(Bare::Value(v)) => Ok(v),
            Ok(Bare::Variable(name)) => self.variable(&name, start),
            Err(why) => Err(self.wrong(start, &why)),
        }
    }

    /// Looked up in the keys already read, innermost map first, then in the environment.
    fn variable(&mut self, name: &str, start: usize) -> Parsed<Value> {
        let at = self.at(start);
        if let Some(entry) = self.scopes.iter_mut().rev().find_map(|t| t.get_mut(name)) {
            entry.used = true;
            self.shared.copied_bytes += entry.node.value.weight();
            if self.shared.copied_bytes > CONF_COPIED_BYTES_MAX {
                let text = format!("references to variables copy more than {CONF_COPIED_BYTES_MAX} bytes");
                return Err(invalid(&self.shared.files, at, name, text));
            }
            return Ok(entry.node.value.clone());
        }
        let fail = |p: &Self, why: String| {
            let text = format!("variable reference for '{name}' on line {} {why}", at.line);
            invalid(&p.shared.files, at, name, text)
        };
        if self.shared.environment.iter().any(|n| n == name) {
            return Err(fail(self, "could not be parsed: it refers to itself, variable reference cycle".into()));
        }
        let Some(text) = self.shared.source.env(name) else {
            return Err(fail(self, "can not be found".into()));
        };
        self.shared.copied_bytes += text.len();
        if self.shared.copied_bytes > CONF_COPIED_BYTES_MAX {
            return Err(fail(self, format!("makes references copy more than {CONF_COPIED_BYTES_MAX} bytes")));
        }
        self.shared.environment.push(name.to_string());
        let (file, depth) = (self.file, self.depth);
        let mut inner = Parser::new(self.shared, self.scopes, file, &text);
        inner.depth = depth;
        let value = inner.lone_value();
        self.shared.environment.pop();
        let mut node = value.map_err(|e| fail(self, format!("could not be parsed: {}", e.text)))?;
        relocate(&mut node, at);
        Ok(node.value)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    fn at_comment(&self) -> bool {
        self.bytes[self.pos..].starts_with(b"#") || self.bytes[self.pos..].starts_with(b"//")
    }

    /// Blanks of one line. Were there any?
    fn skip_blanks(&mut self) -> bool {
        let start = self.pos;
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.pos += 1;
        }
        self.pos > start
    }

    /// Blanks and line ends.
    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.pos += 1;
        }
    }

    /// Blanks, line ends and comments.
    fn skip_gaps(&mut self) {
        loop {
            self.skip_whitespace();
            if !self.at_comment() {
                return;
            }
            self.pos = memchr::memchr(b'\n', &self.bytes[self.pos..]).map_or(self.bytes.len(), |n| self.pos + n);
        }
    }

    fn found(&self) -> String {
        match self.text.get(self.pos..).and_then(|t| t.chars().next()) {
            None => "the end of the file".into(),
            Some('\n') => "a new line".into(),
            Some(c) => format!("'{}'", c.escape_debug()),
        }
    }

    fn at(&self, offset: usize) -> At {
        self.lines.at(offset)
    }

    fn wrong(&self, offset: usize, what: &str) -> Invalid {
        let at = self.at(offset);
        invalid(&self.shared.files, at, "", format!("Parse error on line {}: {what}", at.line))
    }
}

/// A value from the environment stands where its variable was written.
fn relocate(node: &mut Node, at: At) {
    node.at = at;
    match &mut node.value {
        Value::Array(a) => a.iter_mut().for_each(|n| relocate(n, at)),
        Value::Table(t) => t.nodes_mut().for_each(|n| relocate(n, at)),
        _ => {}
    }
}
