//! Lists as lines with dashes: ours. nats-server takes such a dash for the sign of a number without digits, for a key
//! whose value then does not end, or ends before it, so that no text means something to both (docs/configuration.md).

use super::{Parsed, Parser};
use crate::policy::tree::{Node, Table, Value};

impl Parser<'_, '_> {
    /// Lines of `- value`, or of `- key: value` and further pairs below it. A comment may follow a value and stand between
    /// the lines. How far they are indented does not matter, but that the pairs of an entry are further in than its dash.
    pub(super) fn dashes(&mut self) -> Parsed<Value> {
        let mut elements = Vec::new();
        loop {
            elements.push(self.dashed()?);
            let end = self.pos;
            self.skip_gaps();
            if !self.at_dash() || self.column() <= self.outer_dash {
                self.pos = end;
                return Ok(Value::Array(elements));
            }
        }
    }

    /// The same as all that stands between braces, for which `[` and `]` would be meant.
    pub(super) fn braced_dashes(&mut self) -> Parsed<Value> {
        let list = self.dashes()?;
        self.skip_gaps();
        match self.peek() {
            Some(b'}') => Ok(list),
            _ => {
                let text = format!("expected '- ' or the '}}' that ends the list, but got {}", self.found());
                Err(self.wrong(self.pos, &text))
            }
        }
    }

    /// One entry, from its dash to the end of its last line.
    fn dashed(&mut self) -> Parsed<Node> {
        let at = self.at(self.pos);
        if self.at_item() {
            return Ok(Node { value: self.nested(Self::item)?, at });
        }
        self.pos += 1;
        self.skip_blanks();
        let node = self.value()?;
        self.ends_line()?;
        Ok(node)
    }

    /// The pairs of an entry, behind its dash.
    fn item(&mut self) -> Parsed<Value> {
        let column = self.at(self.pos - 1).column;
        let outer = std::mem::replace(&mut self.outer_dash, column);
        self.skip_blanks();
        self.scopes.push(Table::default());
        loop {
            self.entry()?;
            self.ends_line()?;
            let end = self.pos;
            self.skip_gaps();
            let over = matches!(self.peek(), None | Some(b'}')) || self.at_dash() || self.column() <= column;
            if over {
                self.pos = end;
                break;
            }
        }
        self.outer_dash = outer;
        Ok(Value::Table(self.scopes.pop().unwrap_or_default()))
    }

    fn ends_line(&mut self) -> Parsed<()> {
        self.skip_blanks();
        if matches!(self.peek(), None | Some(b'\n' | b'}')) || self.at_comment() {
            return Ok(());
        }
        let text = format!("expected the line to end after an entry of a list, but got {}", self.found());
        Err(self.wrong(self.pos, &text))
    }

    fn column(&self) -> u32 {
        self.at(self.pos).column
    }

    /// The dash of a list's entry; with anything else behind it, it is the sign of a number.
    pub(super) fn at_dash(&self) -> bool {
        let behind = self.bytes.get(self.pos + 1);
        self.peek() == Some(b'-') && matches!(behind, None | Some(b' ' | b'\t' | b'\r' | b'\n'))
    }

    /// A dash, a key, its sign, and a value on the same line: what nats-server reads in no place. Without a blank after
    /// the sign, or without a value, it would take the dash for a key.
    pub(super) fn at_item(&self) -> bool {
        let blank = |c: &u8| matches!(c, b' ' | b'\t' | b'\r');
        let skip = |b: &'_ [u8]| b.iter().take_while(|c| blank(c)).count();
        if !self.at_dash() {
            return false;
        }
        let rest = &self.bytes[self.pos + 1..];
        let rest = &rest[skip(rest)..];
        let key = rest.iter().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-')).count();
        let sign = &rest[key..];
        let Some((b':' | b'=', behind)) = sign[skip(sign)..].split_first() else { return false };
        let value = &behind[skip(behind)..];
        let begins =
            !matches!(value.first(), None | Some(b'\n' | b'#' | b',' | b';' | b'}')) && !value.starts_with(b"//");
        key > 0 && value.len() < behind.len() && begins
    }
}
