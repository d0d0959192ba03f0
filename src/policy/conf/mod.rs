//! nats-server's configuration grammar (operations.md §2): text → [`Tree`]. Files and environment come through a
//! [`Source`], so this floor does no I/O. One reader lives while one configuration is loaded.

mod parser;
mod scalar;
#[cfg(test)]
mod tests;

use super::invalid::Invalid;
use super::source::{opened, utf8, Source};
use super::tree::{invalid, At, Table, Tree};
use crate::base::limits::{CONF_BYTES_MAX, CONF_FILES_MAX, CONF_FILE_BYTES_MAX, CONF_INCLUDE_DEPTH_MAX};
use parser::Parser;
use std::path::{Path, PathBuf};

/// What all files of one configuration share.
struct Shared<'s> {
    source: &'s mut dyn Source,
    files: Vec<String>,
    /// Files being read, outermost first.
    open: Vec<PathBuf>,
    /// Environment variables being read as values, outermost first.
    environment: Vec<String>,
    copied_bytes: usize,
    read_bytes: usize,
}

/// Reads `text`, the contents of `path`, and all it includes.
pub(super) fn read(path: &Path, text: Vec<u8>, source: &mut dyn Source) -> Result<Tree, Invalid> {
    let mut shared =
        Shared { source, files: Vec::new(), open: Vec::new(), environment: Vec::new(), copied_bytes: 0, read_bytes: 0 };
    let root = shared.file(path, text)?;
    Ok(Tree { root, files: shared.files })
}

impl Shared<'_> {
    fn file(&mut self, path: &Path, text: Vec<u8>) -> Result<Table, Invalid> {
        let number = self.files.len() as u16; // `include` keeps it below CONF_FILES_MAX
        self.read_bytes += text.len();
        self.files.push(path.display().to_string());
        let text = utf8(&self.files, number, text)?;
        self.open.push(path.to_path_buf());
        let mut scopes = Vec::new();
        let root = Parser::new(self, &mut scopes, number, &text).document();
        self.open.pop();
        root
    }

    /// The keys of an included file; its path is relative to the including one's folder.
    fn include(&mut self, name: &str, at: At) -> Result<Table, Invalid> {
        let includer = self.open.last().cloned().unwrap_or_default();
        let path = includer.parent().map_or_else(|| PathBuf::from(name), |d| d.join(name));
        if let Some(i) = self.open.iter().position(|p| *p == path) {
            let circle: Vec<_> = self.open[i..].iter().chain([&path]).map(|p| p.display().to_string()).collect();
            return Err(invalid(&self.files, at, "include", format!("include cycle: {}", circle.join(" → "))));
        }
        if self.open.len() >= CONF_INCLUDE_DEPTH_MAX {
            let text = format!("files may include one another at most {CONF_INCLUDE_DEPTH_MAX} deep");
            return Err(invalid(&self.files, at, "include", text));
        }
        let bytes = opened(self.source, &path).map_err(|why| {
            invalid(&self.files, at, "include", format!("error parsing include file '{name}', {why}"))
        })?;
        if bytes.len() > CONF_FILE_BYTES_MAX {
            let text = format!("error parsing include file '{name}': it is larger than {CONF_FILE_BYTES_MAX} bytes");
            return Err(invalid(&self.files, at, "include", text));
        }
        if self.files.len() == CONF_FILES_MAX || self.read_bytes + bytes.len() > CONF_BYTES_MAX {
            let text = format!("a configuration has at most {CONF_FILES_MAX} files and {CONF_BYTES_MAX} bytes in all");
            return Err(invalid(&self.files, at, "include", text));
        }
        self.file(&path, bytes)
    }
}
