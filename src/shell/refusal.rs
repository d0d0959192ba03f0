//! Why the server does not start, in words an operator can act on. Made by [`super::cores`], [`super::probe`],
//! [`super::files`] and whoever else boots the server; the boot logs it as one fatal line and exits with
//! [`Refusal::EXIT_CODE`].

use std::fmt;

/// A start that was refused: what is wrong, and the line that puts it right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, with the figures found.
    pub what: String,
    /// What to do about it, ready to be typed; empty when `what` says it all.
    pub remedy: String,
}

impl Refusal {
    /// The exit code of a start that was refused (operations.md §1, "Start failures").
    pub const EXIT_CODE: i32 = 1;

    /// A refusal with its remedy.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Refusal {
        Refusal { what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, " — {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
