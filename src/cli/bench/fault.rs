//! What can go wrong in a bench run, in words for the person who started it. Used by every file of the bench.

use std::{fmt, io, path::PathBuf, time::Duration};

/// Why a run has no result.
#[derive(Debug)]
pub enum Fault {
    /// The server cannot be reached at `address`.
    Unreachable {
        /// As given.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The server answers, but not with what NATS would say.
    Garbled(String),
    /// The server closed the connection; what it said last, if anything.
    Closed(Option<String>),
    /// The server said nothing for this long, though it owes an answer.
    Silent(Duration),
    /// Messages were lost before the measurement began.
    LostInWarmUp(u64),
    /// A file of `/proc` cannot be read or understood.
    Process {
        /// The server's process.
        pid: u32,
        /// What the system says.
        source: io::Error,
    },
    /// The run asks for something impossible.
    Asked(String),
    /// A result cannot be written.
    File {
        /// Where to.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Any other failure of a socket.
    Io(io::Error),
}

impl Fault {
    /// The server sent `line` where a protocol line was due.
    pub fn garbled(line: &[u8]) -> Fault {
        Fault::Garbled(String::from_utf8_lossy(&line[..line.len().min(80)]).trim_end().to_owned())
    }
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Fault {
        Fault::Io(e)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unreachable { address, source } => write!(f, "cannot reach {address:?}: {source}"),
            Fault::Garbled(line) => write!(f, "the server does not speak NATS: {line:?}"),
            Fault::Closed(Some(last)) => write!(f, "the server closed the connection: {last}"),
            Fault::Closed(None) => write!(f, "the server closed the connection without a word"),
            Fault::Silent(time) => {
                write!(f, "the server neither takes nor answers anything for {:.1} s", time.as_secs_f64())
            }
            Fault::LostInWarmUp(n) => write!(f, "{n} messages were lost in the warm-up"),
            Fault::Process { pid, source } => write!(f, "cannot observe process {pid}: {source}"),
            Fault::Asked(what) => f.write_str(what),
            Fault::File { path, source } => write!(f, "cannot write {}: {source}", path.display()),
            Fault::Io(e) => write!(f, "{e}"),
        }
    }
}
