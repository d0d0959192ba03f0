//! Our own spelling of a configuration, TOML → [`Tree`]. The keys are those of the `.conf` spelling; variables and
//! includes are not (TOML has none).

use super::invalid::Invalid;
use super::source::utf8;
use super::tree::{invalid, Entry, Lines, Node, Table, Tree, Value};
use crate::base::limits::{CONF_MISTAKES_MAX, CONF_NESTING_MAX};
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Reads `text`, the contents of `path`. All syntax errors at once, up to [`CONF_MISTAKES_MAX`].
pub(super) fn read(path: &Path, text: Vec<u8>) -> Result<Tree, Vec<Invalid>> {
    let files = vec![path.display().to_string()];
    let text = utf8(&files, 0, text).map_err(|e| vec![e])?;
    let reader = Reader { lines: Lines::of(0, &text), files: &files };
    reader.refuse_long_dotted_keys(&text).map_err(|e| vec![e])?;
    let (table, mut errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        errors.sort_by_key(|e| e.span().map(|s| s.start));
        errors.truncate(CONF_MISTAKES_MAX);
        let wrong = |e: &toml::de::Error| {
            let at = reader.lines.at(e.span().map_or(0, |s| s.start.min(text.len())));
            invalid(&files, at, "", format!("Parse error on line {}: {}", at.line, e.message()))
        };
        return Err(errors.iter().map(wrong).collect());
    }
    let root = reader.table(table.into_inner(), 0).map_err(|e| vec![e])?;
    Ok(Tree { root, files })
}

struct Reader<'f> {
    lines: Lines,
    files: &'f [String],
}

impl Reader<'_> {
    /// A line of `a.a.a.…` makes as many maps inside one another as it has dots, and the TOML reader puts no bound on
    /// that; so a line outside any sense is refused before it is read.
    fn refuse_long_dotted_keys(&self, text: &str) -> Result<(), Invalid> {
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let mut run = 0;
            for (i, c) in line.bytes().enumerate() {
                match c {
                    b'.' => run += 1,
                    b' ' | b'\t' | b'"' | b'\'' | b'_' | b'-' => {}
                    c if c.is_ascii_alphanumeric() => {}
                    _ => run = 0,
                }
                if run > CONF_NESTING_MAX {
                    let text =
                        format!("more than {CONF_NESTING_MAX} dots in a row: keys may be nested at most that deep");
                    return Err(invalid(self.files, self.lines.at(offset + i), "", text));
                }
            }
            offset += line.len();
        }
        Ok(())
    }

    fn table(&self, table: DeTable<'_>, depth: usize) -> Result<Table, Invalid> {
        let mut out = Table::default();
        // The reader sorts by name; aliases of one key are settled by which stands later.
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let at = self.lines.at(key.span().start);
            let mut node = self.node(value, depth + 1)?;
            node.at = at;
            out.set(Entry { key: key.into_inner().into_owned(), node, used: false });
        }
        Ok(out)
    }

    fn node(&self, value: toml::Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Invalid> {
        let at = self.lines.at(value.span().start);
        let wrong = |text: &str| invalid(self.files, at, "", text);
        if depth > CONF_NESTING_MAX {
            return Err(wrong(&format!("maps and arrays may be nested at most {CONF_NESTING_MAX} deep")));
        }
        let value = match value.into_inner() {
            DeValue::String(s) => Value::String(s.into_owned()),
            DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
                .map(Value::Integer)
                .map_err(|_| wrong(&format!("integer '{}' is out of the range", n.as_str())))?,
            DeValue::Float(f) => match f.as_str().parse::<f64>() {
                Ok(f) if f.is_finite() => Value::Float(f),
                _ => return Err(wrong("a number must be finite")),
            },
            DeValue::Boolean(b) => Value::Bool(b),
            DeValue::Datetime(d) => Value::Datetime(d.to_string()),
            DeValue::Array(a) => {
                Value::Array(a.into_iter().map(|v| self.node(v, depth + 1)).collect::<Result<_, _>>()?)
            }
            DeValue::Table(t) => Value::Table(self.table(t, depth)?),
        };
        Ok(Node { value, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Tree, Vec<Invalid>> {
        read(Path::new("t.toml"), text.into())
    }

    #[test]
    fn values_and_places() {
        let tree = parse("port = 0x10\n[accounts.A]\nusers = [{ user = \"a\" }]\n").unwrap();
        let root = tree.root.entries();
        assert_eq!(root[0].node.value, Value::Integer(16));
        assert_eq!((root[1].key.as_str(), root[1].node.at.line), ("accounts", 2));
    }

    #[test]
    fn every_syntax_error_with_its_place() {
        let errors = parse("a = \nb = 1\nc = = 2\n").unwrap_err();
        let lines: Vec<_> = errors.iter().map(|e| e.line).collect();
        assert!(lines.contains(&1) && lines.contains(&3), "{errors:?}");
        assert!(errors[0].to_string().starts_with("t.toml:1:"), "{}", errors[0]);
    }

    #[test]
    fn depth_is_bounded_however_it_is_written() {
        for deep in
            ["a.".repeat(50_000) + "a = 1", "[".repeat(500), format!("a = {}1{}", "[".repeat(90), "]".repeat(90))]
        {
            assert!(parse(&deep).is_err());
        }
    }
}
