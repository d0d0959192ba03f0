//! The server's own connection in the system account, as a client sees it: bytes ⇄ messages. One per connection; the
//! shard at its other end is of this process, so what comes is well formed, and what is not ends the connection.

use memchr::memmem;

/// Longest line that begins a message.
const LINE_MAX: usize = 64 << 10;

/// A message that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    /// Its subject.
    pub subject: String,
    /// Where its answer is awaited; empty: nowhere.
    pub reply: String,
    /// Its headers, as they came.
    pub headers: Vec<u8>,
    /// What it says.
    pub payload: Vec<u8>,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Word {
    /// A message.
    Message(Incoming),
    /// To be answered with a PONG.
    Ping,
    /// All that was said before has been read.
    Pong,
    /// INFO, `-ERR`, `+OK`.
    Other,
}

/// Bytes that came and are not done with.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
}

/// The other end does not speak the protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Garbled;

impl Reader {
    /// More came.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next word, if it is whole.
    ///
    /// # Errors
    /// What came is none.
    pub fn next(&mut self) -> Result<Option<Word>, Garbled> {
        let Some(end) = memmem::find(&self.bytes, b"\r\n") else {
            return if self.bytes.len() > LINE_MAX { Err(Garbled) } else { Ok(None) };
        };
        let line = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let (word, taken) = match verb {
            "PING" => (Word::Ping, end + 2),
            "PONG" => (Word::Pong, end + 2),
            "MSG" | "HMSG" => {
                let (message, header, size) = head(rest, verb == "HMSG").ok_or(Garbled)?;
                let body = end + 2;
                if self.bytes.len() < body + size + 2 {
                    return Ok(None);
                }
                let payload = &self.bytes[body..body + size];
                let (headers, payload) = payload.split_at_checked(header).ok_or(Garbled)?;
                let (headers, payload) = (headers.to_vec(), payload.to_vec());
                (Word::Message(Incoming { headers, payload, ..message }), body + size + 2)
            }
            _ => (Word::Other, end + 2),
        };
        self.bytes.drain(..taken);
        Ok(Some(word))
    }
}

/// `subject sid [reply] [header] size`.
fn head(text: &str, has_header: bool) -> Option<(Incoming, usize, usize)> {
    let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
    let size = words.pop()?.parse().ok()?;
    let header = if has_header { words.pop()?.parse().ok()? } else { 0 };
    let (subject, reply) = match words[..] {
        [subject, _] => (subject, ""),
        [subject, _, reply] => (subject, reply),
        _ => return None,
    };
    Some((Incoming { subject: subject.into(), reply: reply.into(), ..Incoming::default() }, header, size))
}

/// A message to be sent; `headers` is a whole block, or empty.
pub fn message(subject: &str, reply: &str, headers: &str, payload: &[u8]) -> Vec<u8> {
    let space = if reply.is_empty() { "" } else { " " };
    let head = match headers.is_empty() {
        true => format!("PUB {subject}{space}{reply} {}\r\n", payload.len()),
        false => {
            format!("HPUB {subject}{space}{reply} {} {}\r\n{headers}", headers.len(), headers.len() + payload.len())
        }
    };
    [head.as_bytes(), payload, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_however_they_come() {
        let all = b"INFO {}\r\nMSG a.b 1 r 2\r\nhi\r\nHMSG c 2 5 7\r\nh\r\n\r\nxy\r\nPING\r\nPONG\r\n";
        let mut reader = Reader::default();
        let mut words = Vec::new();
        for byte in all {
            reader.add(&[*byte]);
            words.extend(reader.next().unwrap());
        }
        let plain =
            Incoming { subject: "a.b".into(), reply: "r".into(), payload: b"hi".to_vec(), ..Incoming::default() };
        let headed = Incoming {
            subject: "c".into(),
            headers: b"h\r\n\r\n".to_vec(),
            payload: b"xy".to_vec(),
            ..Incoming::default()
        };
        let expected = [Word::Other, Word::Message(plain), Word::Message(headed), Word::Ping, Word::Pong];
        assert_eq!(words, expected);
    }

    #[test]
    fn what_is_no_message_ends_it() {
        for bad in ["MSG a\r\n", "MSG a 1 x\r\n", "HMSG a 1 9 2\r\nab\r\n"] {
            let mut reader = Reader::default();
            reader.add(bad.as_bytes());
            assert_eq!(reader.next(), Err(Garbled), "{bad}");
        }
    }

    #[test]
    fn messages_are_written_with_and_without_headers() {
        assert_eq!(message("a", "", "", b"x"), b"PUB a 1\r\nx\r\n");
        assert_eq!(message("a", "r", "H\r\n\r\n", b"x"), b"HPUB a r 5 6\r\nH\r\n\r\nx\r\n");
    }
}
