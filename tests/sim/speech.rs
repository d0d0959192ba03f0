//! What a server says to a client, parsed from bytes in any pieces. Written for the simulator alone, so that it shares
//! no mistake with the server's own parser and writer.

/// One thing said by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// `INFO`.
    Info(Vec<u8>),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`.
    Ok,
    /// `-ERR`, with its text.
    Err(String),
    /// `MSG` and `HMSG`.
    Msg {
        /// Subject.
        subject: String,
        /// The subscription.
        sid: u64,
        /// Where answers go; empty: nowhere.
        reply: String,
        /// The header block; empty for `MSG`.
        header: Vec<u8>,
        /// The payload without header.
        payload: Vec<u8>,
    },
}

/// The place in the stream.
#[derive(Debug, Default)]
pub struct Ear {
    bytes: Vec<u8>,
    at: usize,
}

impl Ear {
    /// Adds bytes as they came.
    pub fn hear(&mut self, bytes: &[u8]) {
        if self.at > 4096 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Is a part of something unfinished waiting?
    pub fn in_the_middle(&self) -> bool {
        self.at < self.bytes.len()
    }

    /// The next whole thing said; `Err` for what no server may say.
    pub fn next(&mut self) -> Result<Option<Heard>, String> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
        let line = String::from_utf8(rest[..end].to_vec()).map_err(|_| "a line that is not text".to_string())?;
        let body = &rest[end + 2..];
        let (verb, args) = line.split_once(' ').unwrap_or((&line, ""));
        let (heard, extra) = match verb {
            "PING" => (Heard::Ping, 0),
            "PONG" => (Heard::Pong, 0),
            "+OK" => (Heard::Ok, 0),
            "INFO" => (Heard::Info(args.as_bytes().to_vec()), 0),
            "-ERR" => (Heard::Err(args.trim_matches('\'').to_string()), 0),
            "MSG" | "HMSG" => match message(verb == "HMSG", args, body)? {
                Some(m) => m,
                None => return Ok(None),
            },
            _ => return Err(format!("an unknown line {line:?}")),
        };
        self.at += end + 2 + extra;
        Ok(Some(heard))
    }
}

/// A message whose line has the arguments `args`, if its body is complete, and the bytes that the body takes.
fn message(headed: bool, args: &str, body: &[u8]) -> Result<Option<(Heard, usize)>, String> {
    let words: Vec<&str> = args.split(' ').collect();
    let sizes = if headed { 2 } else { 1 };
    if words.len() < 2 + sizes || words.len() > 3 + sizes {
        return Err(format!("a message line with {} words: {args:?}", words.len()));
    }
    let number = |w: &str| w.parse::<usize>().map_err(|_| format!("a size {w:?} in {args:?}"));
    let total = number(words[words.len() - 1])?;
    let head = if headed { number(words[words.len() - 2])? } else { 0 };
    if head > total {
        return Err(format!("a header longer than its message: {args:?}"));
    }
    if body.len() < total + 2 {
        return Ok(None);
    }
    if &body[total..total + 2] != b"\r\n" {
        return Err(format!("a message that does not end where its size says: {args:?}"));
    }
    let heard = Heard::Msg {
        subject: words[0].to_string(),
        sid: words[1].parse().map_err(|_| format!("a sid {:?}", words[1]))?,
        reply: if words.len() == 3 + sizes { words[2].to_string() } else { String::new() },
        header: body[..head].to_vec(),
        payload: body[head..total].to_vec(),
    };
    Ok(Some((heard, total + 2)))
}

#[test]
fn messages_are_heard_in_any_pieces() {
    let said = b"INFO {} \r\nMSG a.b 7 3\r\nabc\r\nHMSG a 8 _r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n-ERR 'x y'\r\nPONG\r\n";
    for cut in 0..said.len() {
        let mut ear = Ear::default();
        let mut got = Vec::new();
        for part in [&said[..cut], &said[cut..]] {
            ear.hear(part);
            while let Some(h) = ear.next().unwrap() {
                got.push(h);
            }
        }
        assert_eq!(got.len(), 5);
        assert!(!ear.in_the_middle());
        assert_eq!(got[3], Heard::Err("x y".into()));
        assert!(matches!(&got[2], Heard::Msg { sid: 8, reply, header, payload, .. }
            if reply == "_r" && header.len() == 12 && payload == b"hi"));
    }
    let mut ear = Ear::default();
    ear.hear(b"MSG a 1 3\r\nabcd\r\n");
    assert!(ear.next().is_err());
}
