//! Where the files of a configuration come from, and their bytes as text. Both readers (`conf`, `file`) and the door
//! (`load`) read through here; the shell and tests say what stands behind a [`Source`].

use super::invalid::Invalid;
use super::tree::{invalid, Lines};
use std::io;
use std::path::Path;

/// Where files and environment come from; this floor reads neither by itself.
pub trait Source {
    /// The contents of a file. May stop one byte past [`CONF_FILE_BYTES_MAX`](crate::base::limits::CONF_FILE_BYTES_MAX).
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>>;
    /// An environment variable, if it is set and UTF-8.
    fn env(&self, name: &str) -> Option<String>;
}

/// The text of the one file there is, whatever it is called.
#[cfg(test)]
pub(super) struct Text<'t>(pub &'t str);

#[cfg(test)]
impl Source for Text<'_> {
    fn read(&mut self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.into())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

/// The contents of a file, or why not, in the words of operations.md §1.
pub(super) fn opened(source: &mut dyn Source, path: &Path) -> Result<Vec<u8>, String> {
    source.read(path).map_err(|e| {
        let why = match e.kind() {
            io::ErrorKind::NotFound => "no such file or directory".into(),
            io::ErrorKind::PermissionDenied => "permission denied".into(),
            io::ErrorKind::IsADirectory => "is a directory".into(),
            _ => e.to_string(),
        };
        format!("open {}: {why}", path.display())
    })
}

/// A file's bytes as text, or where they stop being text.
pub(super) fn utf8(files: &[String], file: u16, bytes: Vec<u8>) -> Result<String, Invalid> {
    String::from_utf8(bytes).map_err(|e| {
        let good = e.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&e.as_bytes()[..good]).into_owned();
        let at = Lines::of(file, &text).at(good);
        invalid(files, at, "", format!("Parse error on line {}: the file is not UTF-8", at.line))
    })
}
