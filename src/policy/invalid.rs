//! A mistake of the operator: what is wrong and where it is written. Made by the configuration readers and the
//! validator, shown by the server at start, by `-t`, and by a reload that is refused.

use std::fmt;

/// One thing wrong in a configuration. `Display` is `F:line:column: text`, the shape nats-server's users know
/// (operations.md §2 "Error shapes").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The file as the operator named it; empty when no file is to blame (a flag, a file that cannot be opened).
    pub file: String,
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// Column in bytes, from 1; 0 together with `line`.
    pub column: u32,
    /// The key that is wrong, as written; empty for syntax.
    pub key: String,
    /// What is wrong, and the remedy where there is one. Never holds a secret.
    pub text: String,
}

impl Invalid {
    /// A mistake that no place in a file stands for.
    pub fn nowhere(key: &str, text: impl Into<String>) -> Invalid {
        Invalid { file: String::new(), line: 0, column: 0, key: key.into(), text: text.into() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.is_empty(), self.line) {
            (true, _) => f.write_str(&self.text),
            (false, 0) => write!(f, "{}: {}", self.file, self.text),
            (false, _) => write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.text),
        }
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_as_much_of_the_place_as_there_is() {
        let mut i = Invalid { file: "f".into(), line: 3, column: 1, key: "k".into(), text: "bad".into() };
        assert_eq!(i.to_string(), "f:3:1: bad");
        i.line = 0;
        assert_eq!(i.to_string(), "f: bad");
        assert_eq!(Invalid::nowhere("k", "bad").to_string(), "bad");
    }
}
