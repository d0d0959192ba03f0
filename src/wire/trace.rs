//! What passes on a connection, in the words of nats-server's trace (operations.md §12). Used by the shard where the
//! operator asked to see the protocol, and never otherwise. Nothing here shows a credential.

use super::hello::redacted;
use super::quote::quote;
use super::{Op, Publish};

/// The lines that tell of an operation of the peer, as it was understood: words stand one blank apart. None for what
/// has no effect (`INFO`, `+OK`) or is an error of its own (`-ERR`). Of a payload at most `payload_max` bytes are shown.
pub fn heard(op: &Op<'_>, payload_max: usize, mut line: impl FnMut(String)) {
    let words = |words: &[&[u8]]| bracketed("<<-", words);
    line(match op {
        Op::Connect(json) => words(&[b"CONNECT", &redacted(json).unwrap_or_else(|| b"(not JSON)".to_vec())]),
        Op::Publish(Publish { subject, reply, header_text, size_text, .. }) => {
            let verb: &[u8] = if header_text.is_empty() { b"PUB" } else { b"HPUB" };
            words(&[verb, subject, reply, header_text, size_text])
        }
        Op::Subscribe { subject, queue, sid } => words(&[b"SUB", subject, queue, sid]),
        Op::Unsubscribe { sid, max: 0 } => words(&[b"UNSUB", sid]),
        Op::Unsubscribe { sid, max } => words(&[b"UNSUB", sid, max.to_string().as_bytes()]),
        Op::Ping => words(&[b"PING"]),
        Op::Pong => words(&[b"PONG"]),
        Op::Info(_) | Op::Ok | Op::PeerError(_) => return,
    });
    if let Op::Publish(p) = op {
        payload("<<-", p.payload, payload_max, line);
    }
}

/// The lines that tell of what is said to the peer: one protocol line, with its payload if it is a message. None for
/// `INFO`.
pub fn said(bytes: &[u8], payload_max: usize, mut line: impl FnMut(String)) {
    let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |nl| nl + 1);
    let (control, rest) = bytes.split_at(end);
    let control = control.trim_ascii_end();
    if let Some(text) = control.strip_prefix(b"-ERR '") {
        line(bracketed("->>", &[b"-ERR", text.strip_suffix(b"'").unwrap_or(text)]));
    } else if !control.starts_with(b"INFO") {
        line(bracketed("->>", &[control.strip_prefix(b"+").unwrap_or(control)]));
    }
    payload("->>", rest.strip_suffix(b"\r\n").unwrap_or(rest), payload_max, line);
}

/// The line that tells of the end of a subscription.
pub fn ended(sid: &[u8]) -> String {
    bracketed("<->", &[b"DELSUB", sid])
}

/// `<<- [PUB foo 5]`: the words that are not empty.
fn bracketed(way: &str, words: &[&[u8]]) -> String {
    let mut text = String::from(way);
    let mut before = " [";
    for word in words.iter().filter(|w| !w.is_empty()) {
        text.push_str(before);
        text.push_str(&String::from_utf8_lossy(word));
        before = " ";
    }
    text.push(']');
    text
}

/// `<<- MSG_PAYLOAD: ["hello"]`, unless it is empty.
fn payload(way: &str, bytes: &[u8], max: usize, mut line: impl FnMut(String)) {
    if bytes.is_empty() {
        return;
    }
    let shown = &bytes[..bytes.len().min(max)];
    let mut quoted = Vec::with_capacity(shown.len() + 5);
    quote(&mut quoted, shown);
    if shown.len() < bytes.len() {
        quoted.pop();
        quoted.extend_from_slice(b"...\"");
    }
    line(format!("{way} MSG_PAYLOAD: [{}]", String::from_utf8_lossy(&quoted)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Parser, Rules, Step};

    fn lines_of(input: &[u8], max: usize) -> Vec<String> {
        let rules = Rules { max_control_line: 4096, max_payload: 1 << 20, headers: true, connect_first: false };
        let (mut parser, mut lines, mut at) = (Parser::default(), Vec::new(), 0);
        while let Ok(Step::Op(op, used)) = parser.next(&input[at..], &rules) {
            heard(&op, max, |l| lines.push(l));
            at += used;
        }
        lines
    }

    #[test]
    fn what_a_client_says_is_shown_as_nats_server_shows_it() {
        // Recorded: nats-server 2.15.2 -DV.
        let input =
            b"SUB foo 1\r\nsub  foo   q  2\r\nUNSUB 1 5\r\nUNSUB 1\r\nPING\r\nPONG\r\n+OK\r\nINFO {}\r\n-ERR 'x'\r\n\
            PUB foo 5\r\nhello\r\nPUB foo re.ply 0\r\n\r\nPUB foo bar 5\r\nhe\"\\l\r\nPUB a 2\r\n\xff\x01\r\n\
            HPUB foo 18 21\r\nNATS/1.0\r\nA: b\r\n\r\n1\x002\r\n";
        let want = [
            "<<- [SUB foo 1]",
            "<<- [SUB foo q 2]",
            "<<- [UNSUB 1 5]",
            "<<- [UNSUB 1]",
            "<<- [PING]",
            "<<- [PONG]",
            "<<- [PUB foo 5]",
            r#"<<- MSG_PAYLOAD: ["hello"]"#,
            "<<- [PUB foo re.ply 0]",
            "<<- [PUB foo bar 5]",
            r#"<<- MSG_PAYLOAD: ["he\"\\l"]"#,
            "<<- [PUB a 2]",
            r#"<<- MSG_PAYLOAD: ["\xff\x01"]"#,
            "<<- [HPUB foo 18 21]",
            r#"<<- MSG_PAYLOAD: ["NATS/1.0\r\nA: b\r\n\r\n1\x002"]"#,
        ];
        assert_eq!(lines_of(input, usize::MAX), want);
    }

    #[test]
    fn what_a_client_hears_is_shown_as_nats_server_shows_it() {
        let show = |bytes: &[u8]| {
            let mut lines = Vec::new();
            said(bytes, 10, |l| lines.push(l));
            lines.join("\n")
        };
        assert_eq!(show(b"+OK\r\n"), "->> [OK]");
        assert_eq!(show(b"PONG\r\n"), "->> [PONG]");
        assert_eq!(show(b"INFO {\"a\":1} \r\n"), "");
        assert_eq!(show(b"-ERR 'Invalid Subject'\r\n"), "->> [-ERR Invalid Subject]");
        assert_eq!(show(b"MSG foo 1 re.ply 0\r\n\r\n"), "->> [MSG foo 1 re.ply 0]");
        assert_eq!(show(b"MSG a 1 3\r\na\r\n\r\n"), "->> [MSG a 1 3]\n->> MSG_PAYLOAD: [\"a\\r\\n\"]");
        let cut = "->> [MSG a 1 20]\n->> MSG_PAYLOAD: [\"0123456789...\"]";
        assert_eq!(show(b"MSG a 1 20\r\n01234567890123456789\r\n"), cut);
        assert_eq!(ended(b"7"), "<-> [DELSUB 7]");
    }

    #[test]
    fn no_credential_is_shown_however_it_is_written() {
        let secrets = [
            r#"{"user":"bob","pass":"hunter2","auth_token":"hunter2","name":"n"}"#,
            r#"{"PASS" : "hunter2","\u0070ass":"hunter2","pa\u017f\u017f":"hunter2"}"#,
            r#"{"pass": "h\"hunter2","verbose":false}"#,
            r#"{"password":"hunter2","x":{"pass":"hunter2"},"y":["hunter2"]}"#,
            r#"{"sig":"hunter2","jwt":"hunter2","nkey":"hunter2","proxy_sig":"hunter2"}"#,
            r#"{"pass":"hunter2""#,
            r#"{"user":"bob", "pass":hunter2}"#,
        ];
        for json in secrets {
            let lines = lines_of(format!("CONNECT {json}\r\n").as_bytes(), usize::MAX).join("\n");
            assert!(lines.starts_with("<<- [CONNECT ") && !lines.contains("hunter2"), "{json}: {lines}");
        }
        let shown = lines_of(b"CONNECT {\"verbose\":true, \"user\":\"bob\",\"pass\": \"p\",\"protocol\":1}\r\n", 9);
        assert_eq!(shown, [r#"<<- [CONNECT {"verbose":true, "user":"bob","pass": "[REDACTED]","protocol":1}]"#]);
        assert_eq!(lines_of(b"CONNECT null\r\n", 9), ["<<- [CONNECT null]"]);
    }
}
