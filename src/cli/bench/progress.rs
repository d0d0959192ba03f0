//! How far a run is, on standard error: for a person at a terminal, or for whoever asks with `--progress`. Used by the
//! rows that send, through [`super::meter`].

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

/// From one line to the next, in nanoseconds.
const EVERY: u64 = 500_000_000;

/// Tells how far it is.
pub struct Progress {
    on: bool,
    /// Lines overwrite each other.
    terminal: bool,
    /// What runs, in words.
    title: String,
    /// How long it measures; none where it counts messages.
    length: Option<Duration>,
    next: u64,
}

impl Progress {
    /// Of the run called `title`. Says nothing unless standard error is a terminal or it is `wanted`.
    pub fn new(title: String, length: Option<Duration>, wanted: bool) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        Progress { on: wanted || terminal, terminal, title, length, next: 0 }
    }

    /// Of a run that nobody watches.
    #[cfg(test)]
    pub fn silent() -> Progress {
        Progress { on: false, terminal: false, title: String::new(), length: None, next: 0 }
    }

    /// It has measured for `so_far` nanoseconds, and counted so many messages.
    pub fn tick(&mut self, so_far: u64, messages: impl FnOnce() -> u64) {
        if self.on && so_far >= self.next {
            self.next = so_far + EVERY;
            let line = line(&self.title, self.length, so_far, messages());
            // progress that cannot be shown spoils no measurement
            let _ = match self.terminal {
                true => write!(std::io::stderr(), "\r{line}\x1b[K"),
                false => writeln!(std::io::stderr(), "{line}"),
            };
        }
    }

    /// The run is over: nothing of the line stays.
    pub fn end(&mut self) {
        if self.on && self.terminal && self.next > 0 {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(title: &str, length: Option<Duration>, so_far: u64, messages: u64) -> String {
    let left = length.map_or_else(String::new, |length| {
        let left = length.as_secs_f64() - so_far as f64 / 1e9;
        format!(", {:.1} s left", left.max(0.0))
    });
    if so_far == 0 {
        return format!("{title}: warming up{left}");
    }
    format!("{title}: {messages} messages, {:.0} a second{left}", messages as f64 * 1e9 / so_far as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let length = Some(Duration::from_secs(2));
        assert_eq!(line("sub 1/3", length, 0, 0), "sub 1/3: warming up, 2.0 s left");
        assert_eq!(line("sub", length, 500_000_000, 100), "sub: 100 messages, 200 a second, 1.5 s left");
        assert_eq!(line("sub", None, 1_000_000_000, 7), "sub: 7 messages, 7 a second");
        Progress::silent().tick(u64::MAX, || 1);
    }
}
