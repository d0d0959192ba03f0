//! Where lines go: standard error, or a file that is rotated by size and can be opened anew (operations.md §12).
//! Owned by the log's thread.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Zoned;

use crate::policy::settings;

/// Standard error or a file, and what went wrong with it last.
pub(super) struct Target {
    sink: Sink,
    /// Why the last write failed; kept until it was told.
    failure: Option<io::Error>,
    /// Did the last write stop in the middle of a line?
    torn: bool,
}

enum Sink {
    Stderr,
    File(LogFile),
    #[cfg(test)]
    Test(Box<dyn Write + Send>),
}

struct LogFile {
    path: PathBuf,
    file: File,
    /// Bytes in the live file.
    size: u64,
    /// Rotate past this size; 0: never.
    size_limit: u64,
    /// Where the next rotation is due; further off after one that failed.
    due: u64,
    /// Files kept, the live one included; 0: all.
    max_files: usize,
}

impl Target {
    pub(super) fn open(settings: &settings::Log) -> io::Result<Target> {
        let sink = match &settings.file {
            None => Sink::Stderr,
            Some(path) => {
                let (file, size) = append_to(path)?;
                let size_limit = settings.size_limit;
                let max_files = settings.max_files;
                Sink::File(LogFile { path: path.clone(), file, size, size_limit, due: size_limit, max_files })
            }
        };
        Ok(Target { sink, failure: None, torn: false })
    }

    #[cfg(test)]
    pub(super) fn test(sink: Box<dyn Write + Send>) -> Target {
        Target { sink: Sink::Test(sink), failure: None, torn: false }
    }

    /// Do lines end on a terminal, where colours help?
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self.sink, Sink::Stderr) && io::stderr().is_terminal()
    }

    /// Writes one whole line, newline included. After a failure in the middle of a line the next begins on a new one.
    pub(super) fn write(&mut self, line: &[u8]) -> Result<(), ()> {
        let mut result = Ok(());
        if self.torn {
            result = self.put(b"\n").map(|()| self.torn = false);
        }
        match result.and_then(|()| self.put(line)) {
            Ok(()) => Ok(()),
            Err(e) => {
                self.failure = Some(e);
                Err(())
            }
        }
    }

    /// All of `bytes`, keeping count of what left.
    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let whole = bytes.len();
        while !bytes.is_empty() {
            let wrote = match &mut self.sink {
                Sink::Stderr => io::stderr().write(bytes),
                Sink::File(log) => log.file.write(bytes),
                #[cfg(test)]
                Sink::Test(sink) => sink.write(bytes),
            };
            match wrote {
                Ok(0) => {
                    self.torn |= bytes.len() < whole;
                    return Err(io::ErrorKind::WriteZero.into());
                }
                Ok(n) => {
                    bytes = &bytes[n..];
                    if let Sink::File(log) = &mut self.sink {
                        log.size += n as u64;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.torn |= bytes.len() < whole;
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    /// Why lines were lost, if the target was the reason.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    pub(super) fn forget_failure(&mut self) {
        self.failure = None;
    }

    /// Opens the file anew; `Ok(false)`: there is no file.
    pub(super) fn reopen(&mut self) -> io::Result<bool> {
        let Sink::File(log) = &mut self.sink else { return Ok(false) };
        (log.file, log.size) = append_to(&log.path)?;
        log.due = log.size_limit;
        Ok(true)
    }

    /// Rotates a file that has grown past its limit: the name of the backup, or why there is none.
    pub(super) fn rotate_if_due(&mut self) -> Option<io::Result<PathBuf>> {
        let Sink::File(log) = &mut self.sink else { return None };
        if log.size_limit == 0 || log.size <= log.due {
            return None;
        }
        let rotated = log.rotate();
        if rotated.is_err() {
            log.due = log.size.saturating_add(log.size_limit);
        }
        Some(rotated)
    }
}

impl LogFile {
    fn rotate(&mut self) -> io::Result<PathBuf> {
        let mut backup = self.path.clone().into_os_string();
        backup.push(Zoned::now().strftime(".%Y.%m.%d.%H.%M.%S.%9f").to_string());
        let backup = PathBuf::from(backup);
        std::fs::rename(&self.path, &backup)?;
        (self.file, self.size) = append_to(&self.path)?;
        self.due = self.size_limit;
        if self.max_files > 0 {
            let old = backups(&self.path)?;
            let surplus = (old.len() + 1).saturating_sub(self.max_files);
            for path in &old[..surplus.min(old.len())] {
                std::fs::remove_file(path)?;
            }
        }
        Ok(backup)
    }
}

/// The backups of a log file, oldest first: its name, then seven numbers. Anything else beside it stays.
fn backups(path: &Path) -> io::Result<Vec<PathBuf>> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let live = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(stamp) = name.strip_prefix(&live).and_then(|rest| rest.strip_prefix('.')) else { continue };
        let lengths: Vec<usize> = stamp.split('.').map(str::len).collect();
        if lengths == [4, 2, 2, 2, 2, 2, 9] && stamp.bytes().all(|b| b == b'.' || b.is_ascii_digit()) {
            found.push(dir.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// A log file to append to, mode 0640, and its size.
fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let open = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    let named = |e: io::Error| io::Error::new(e.kind(), format!("error opening file: open {}: {e}", path.display()));
    let file = open.map_err(named)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}
