//! How a line looks: nats-server's `[pid] 2026/01/31 12:00:00.000000 [INF] text` or one JSON object per line
//! (operations.md §12). Used by the log's thread.

pub use crate::base::Level;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::Timestamp;
use serde::Serialize;

use crate::policy::settings;

/// nats-server's three letters, the colour of a terminal (an SGR number), and the word in JSON.
fn names(level: Level) -> (&'static str, u8, &'static str) {
    match level {
        Level::Fatal => ("FTL", 31, "fatal"),
        Level::Error => ("ERR", 31, "error"),
        Level::Warn => ("WRN", 93, "warn"),
        Level::Info => ("INF", 32, "info"),
        Level::Debug => ("DBG", 36, "debug"),
        Level::Trace => ("TRC", 33, "trace"),
    }
}

/// What all lines of one log have in common.
pub(super) struct Style {
    pid: u32,
    json: bool,
    time: bool,
    colour: bool,
    zone: TimeZone,
}

#[derive(Serialize)]
struct Json<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    level: &'static str,
    pid: u32,
    text: &'a str,
}

impl Style {
    pub(super) fn new(settings: &settings::Log, terminal: bool) -> Style {
        Style {
            pid: std::process::id(),
            json: settings.json,
            time: settings.time,
            colour: terminal && !settings.json,
            // Found once: from TZ or /etc/localtime, UTC where there is neither.
            zone: if settings.utc { TimeZone::UTC } else { TimeZone::system() },
        }
    }

    /// The whole line with its newline. Control characters in `text` (a client chooses its name) are escaped, so that
    /// one event is one line and no terminal obeys a peer.
    pub(super) fn line(&self, when: SystemTime, level: Level, text: &str) -> String {
        let when = Timestamp::try_from(when).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(self.zone.clone());
        let (letters, colour, word) = names(level);
        if self.json {
            let time = self.time.then(|| when.strftime("%Y-%m-%dT%H:%M:%S.%6f%:z").to_string());
            let mut line = serde_json::to_string(&Json { time, level: word, pid: self.pid, text })
                .unwrap_or_else(|e| format!("{{\"level\":\"error\",\"text\":\"a line is no JSON: {e}\"}}"));
            line.push('\n');
            return line;
        }
        let mut line = format!("[{}] ", self.pid);
        if self.time {
            line.push_str(&when.strftime("%Y/%m/%d %H:%M:%S.%6f ").to_string());
        }
        match self.colour {
            true => line.push_str(&format!("[\x1b[{colour}m{letters}\x1b[0m] ")),
            false => line.push_str(&format!("[{letters}] ")),
        }
        for c in text.chars() {
            match c {
                '\t' => line.push('\t'),
                c if c.is_control() => line.extend(c.escape_default()),
                c => line.push(c),
            }
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::settings::Settings;

    fn style(change: impl Fn(&mut settings::Log), terminal: bool) -> Style {
        let mut settings = Settings::default().log;
        settings.utc = true;
        change(&mut settings);
        Style { pid: 7, ..Style::new(&settings, terminal) }
    }

    fn when() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(1_769_860_800, 1_234_567)
    }

    #[test]
    fn nats_servers_format() {
        let line = style(|_| (), false).line(when(), Level::Info, "Server is ready");
        assert_eq!(line, "[7] 2026/01/31 12:00:00.001234 [INF] Server is ready\n");
        let line = style(|s| s.time = false, false).line(when(), Level::Trace, "x");
        assert_eq!(line, "[7] [TRC] x\n");
        let line = style(|s| s.time = false, true).line(when(), Level::Fatal, "x");
        assert_eq!(line, "[7] [\x1b[31mFTL\x1b[0m] x\n");
    }

    #[test]
    fn local_time_goes_by_the_zone() {
        let mut style = style(|_| (), false);
        style.zone = TimeZone::fixed(jiff::tz::offset(2));
        assert!(style.line(when(), Level::Warn, "x").contains("2026/01/31 14:00:00.001234 [WRN]"));
    }

    #[test]
    fn json_is_one_object_per_line() {
        let line = style(|s| s.json = true, true).line(when(), Level::Error, "a \"b\"\n");
        let expected = r#"{"time":"2026-01-31T12:00:00.001234+00:00","level":"error","pid":7,"text":"a \"b\"\n"}"#;
        assert_eq!(line, format!("{expected}\n"));
        let line = style(|s| (s.json, s.time) = (true, false), false).line(when(), Level::Debug, "x");
        assert_eq!(line, "{\"level\":\"debug\",\"pid\":7,\"text\":\"x\"}\n");
    }

    #[test]
    fn a_peer_cannot_forge_lines_or_command_the_terminal() {
        let line = style(|s| s.time = false, true).line(when(), Level::Info, "a\r\n[1] [FTL] b\x1b[2J\tc");
        assert_eq!(line, "[7] [\x1b[32mINF\x1b[0m] a\\r\\n[1] [FTL] b\\u{1b}[2J\tc\n");
    }
}
