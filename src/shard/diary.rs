//! What a shard has to say to the log since the last turn: facts, and, where the operator asked for it, the protocol as
//! it passes. Lines wait here for the end of the turn, in the order of what they tell of; the shell takes them as
//! [`Act::Log`](super::Act::Log). Whoever tells of a message asks [`Diary::traces`] first: that is all it costs a
//! message that nobody wants to see.

use crate::base::limits::TRACED_BYTES_MAX;
use crate::base::Level;
use crate::conn::Client;
use crate::policy::Settings;
use crate::wire::{trace, Op};
use std::collections::VecDeque;
use std::sync::Arc;

/// See the file's head.
#[derive(Debug)]
pub struct Diary {
    settings: Arc<Settings>,
    traces: bool,
    lines: VecDeque<(Level, String)>,
    /// Text of the trace lines among them, bytes.
    traced_bytes: usize,
    /// Trace lines dropped, and not yet told of.
    untold: u64,
}

impl Diary {
    /// Other settings hold from now on.
    pub fn follow(&mut self, settings: &Arc<Settings>) {
        self.traces = settings.log.trace;
        self.settings = Arc::clone(settings);
    }

    /// Empty; what it takes is decided by `settings`.
    pub fn new(settings: Arc<Settings>) -> Diary {
        Diary { traces: settings.log.trace, settings, lines: VecDeque::new(), traced_bytes: 0, untold: 0 }
    }

    /// Is the protocol wanted?
    #[inline]
    pub fn traces(&self) -> bool {
        self.traces
    }

    /// A fact, if lines of its level are wanted. The protocol has ways of its own.
    pub fn line(&mut self, level: Level, text: impl FnOnce() -> String) {
        if level != Level::Debug || self.settings.log.debug {
            self.lines.push_back((level, text()));
        }
    }

    /// A fact about a connection.
    pub fn about(&mut self, client: &Client, level: Level, text: impl FnOnce() -> String) {
        if client.service && level == Level::Debug {
            return;
        }
        let settings = Arc::clone(&self.settings);
        self.line(level, || format!("{} - {}", label(&settings, client), text()));
    }

    /// A connection said this.
    #[cold]
    pub fn heard(&mut self, client: &Client, op: &Op<'_>) {
        trace::heard(op, self.payload_max(), |text| self.trace(client, &text));
    }

    /// A connection is told this: one protocol line, with its payload if it has one.
    #[cold]
    pub fn said(&mut self, client: &Client, bytes: &[u8]) {
        trace::said(bytes, self.payload_max(), |text| self.trace(client, &text));
    }

    /// A subscription of a connection has ended.
    #[cold]
    pub fn ended(&mut self, client: &Client, sid: &[u8]) {
        self.trace(client, &trace::ended(sid));
    }

    /// The next line. After the last, how many were dropped.
    pub fn next(&mut self) -> Option<(Level, String)> {
        if let Some(line) = self.lines.pop_front() {
            return Some(line);
        }
        self.traced_bytes = 0;
        match std::mem::take(&mut self.untold) {
            0 => None,
            n => Some((Level::Warn, format!("{n} trace lines dropped: more in one turn than a shard may log"))),
        }
    }

    fn payload_max(&self) -> usize {
        match self.settings.log.max_traced_msg_len {
            0 => usize::MAX,
            n => n,
        }
    }

    fn trace(&mut self, client: &Client, text: &str) {
        // The server's talk with itself; nor does nats-server show its own.
        if client.service {
            return;
        }
        if self.traced_bytes >= TRACED_BYTES_MAX {
            self.untold += 1;
            return;
        }
        let line = format!("{} - {text}", label(&self.settings, client));
        self.traced_bytes += line.len();
        self.lines.push_back((Level::Trace, line));
    }
}

/// A connection in the log (operations.md §12).
fn label(settings: &Settings, client: &Client) -> String {
    let account = settings.auth.accounts.get(usize::from(client.account));
    client.label(account.map_or("", |a| &a.name))
}

#[cfg(test)]
mod tests {
    use crate::base::{Cid, Level, Now, Time};
    use crate::policy::Settings;
    use crate::shard::{Act, Identity, Opening, Setup, Shard};
    use std::sync::Arc;

    /// What a shard with these settings logs in the turn in which one client says this.
    fn lines(settings: Settings, says: &[u8]) -> Vec<(Level, String)> {
        let (settings, identity) = (Arc::new(settings), Arc::new(Identity::default()));
        let mut shard = Shard::new(Setup::single(settings, identity));
        let mut turn = shard.begin(Now { mono: Time(1), wall_ns: 1 }).sockets();
        let conn = turn.open(Opening {
            cid: Cid(1),
            ip: "::1".into(),
            port: 2,
            over_limit: false,
            privacy: Default::default(),
            nonce: [0; 11],
        });
        turn.bytes(conn, says);
        let Ok(mut flush) = turn.end().sockets() else { panic!("no ring is full") };
        let acts = std::iter::from_fn(|| flush.act());
        acts.filter_map(|act| match act {
            Act::Log { level, text } => Some((level, text)),
            _ => None,
        })
        .collect()
    }

    fn settings(debug: bool, trace: bool) -> Settings {
        let mut settings = Settings::default();
        (settings.log.debug, settings.log.trace) = (debug, trace);
        settings
    }

    const TALK: &[u8] = b"CONNECT {\"verbose\":false,\"pass\":\"p\",\"name\":\"n\"}\r\nSUB a 1\r\nUNSUB 1 1\r\n\
        PUB a 2\r\nhi\r\nPING\r\nCONNECT {\"pass\":p}\r\n";

    #[test]
    fn the_protocol_is_told_in_the_order_in_which_it_passed() {
        let told: Vec<String> = lines(settings(true, true), TALK).into_iter().map(|(_, text)| text).collect();
        let head = r#"[::1]:2 - cid:1 - "n" - "#;
        let told: Vec<&str> = told.iter().map(|l| l.strip_prefix(head).unwrap_or(l)).collect();
        let want = [
            "[::1]:2 - cid:1 - Client connection created",
            r#"[::1]:2 - cid:1 - <<- [CONNECT {"verbose":false,"pass":"[REDACTED]","name":"n"}]"#,
            "<<- [SUB a 1]",
            "<<- [UNSUB 1 1]",
            "<<- [PUB a 2]",
            r#"<<- MSG_PAYLOAD: ["hi"]"#,
            "->> [MSG a 1 2]",
            r#"->> MSG_PAYLOAD: ["hi"]"#,
            "Auto-unsubscribe limit of 1 reached for sid '1'",
            "<-> [DELSUB 1]",
            "<<- [PING]",
            "->> [PONG]",
            "<<- [CONNECT (not JSON)]",
            "->> [-ERR Parser Error]",
            "Parser Error",
            "Client connection closed: Protocol Violation",
        ];
        assert_eq!(told, want);
    }

    #[test]
    fn only_what_is_wanted_is_told() {
        let levels = |debug, trace| -> Vec<Level> {
            let mut levels: Vec<Level> = lines(settings(debug, trace), TALK).into_iter().map(|(l, _)| l).collect();
            levels.dedup();
            levels
        };
        assert_eq!(levels(false, false), [Level::Error]);
        assert_eq!(levels(true, false), [Level::Debug, Level::Error, Level::Debug]);
        assert_eq!(levels(false, true), [Level::Trace, Level::Error]);
    }

    #[test]
    fn a_flood_of_trace_lines_is_bounded_and_its_loss_is_told() {
        let says = b"SUB a 1\r\nPING\r\n".repeat(super::TRACED_BYTES_MAX / 32);
        let told = lines(settings(false, true), &says);
        let bytes: usize = told.iter().map(|(_, text)| text.len()).sum();
        assert!(bytes < super::TRACED_BYTES_MAX + 4096, "{bytes}");
        let (level, last) = told.last().expect("lines");
        // Each pair of operations has four lines: two that are said, +OK and PONG.
        let dropped = says.len() / 15 * 4 - (told.len() - 1);
        let want = format!("{dropped} trace lines dropped: more in one turn than a shard may log");
        assert_eq!((*level, last), (Level::Warn, &want));
    }
}
