//! Counts what a server sends, without reading a message twice.
//!
//! Lives in every connection of the load generator ([`super::link`]). A bench receives the same shape of message
//! over and over: the scan remembers the length of the last header and frame, and takes every following frame of
//! that shape in one stride; anything else is read as a line (client-protocol.md, "MSG" and "HMSG").

use super::fault::Fault;

/// A line longer than this is not the NATS protocol (the largest INFO lines are a few KiB).
const LONGEST_LINE: usize = 1 << 20;

/// Who wants to see the messages and not only their number. With `()` a scan is as if nobody could.
pub trait Heed {
    /// How many bytes of each payload it wants to see.
    const HEAD: usize;
    /// A read has brought something; its messages follow.
    fn arrived(&mut self);
    /// A message has come whole; this is the beginning of its payload, [`Heed::HEAD`] bytes or all there are.
    fn message(&mut self, head: &[u8]);
}

impl Heed for () {
    const HEAD: usize = 0;
    fn arrived(&mut self) {}
    fn message(&mut self, _: &[u8]) {}
}

/// What has come in on one connection so far.
#[derive(Default)]
pub struct Scan {
    /// Whole messages.
    pub messages: u64,
    /// PINGs that are not answered yet.
    pub pings: u32,
    /// PONGs.
    pub pongs: u64,
    /// The text of the last `-ERR`.
    pub error: Option<String>,
    /// Bytes of the current message's payload (with its line end) that are still to come.
    skip: usize,
    /// The beginning of the current message's payload, of a message that somebody wants to see…
    head: Vec<u8>,
    /// …and how much of it is still to come; none where nobody does.
    head_due: Option<usize>,
    /// The beginning of a line whose end has not come yet.
    cut: Vec<u8>,
    shape: Option<Shape>,
}

/// The last message's outline.
struct Shape {
    /// Length of the line, with its end.
    header: usize,
    /// Length of line and payload, with both ends.
    frame: usize,
    /// ` size\r\n`, the end of the line.
    tail: Vec<u8>,
}

impl Scan {
    /// Takes the next bytes of the stream, cut anywhere.
    pub fn feed<H: Heed>(&mut self, bytes: &[u8], heed: &mut H) -> Result<(), Fault> {
        let mut at = self.skip.min(bytes.len());
        if self.skip > 0 {
            self.skip -= at;
            self.messages += u64::from(self.skip == 0);
            if H::HEAD > 0 {
                self.continued(&bytes[..at], heed);
            }
        }
        if !self.cut.is_empty() {
            let Some(end) = memchr::memchr(b'\n', &bytes[at..]) else { return self.keep(&bytes[at..]) };
            self.keep(&bytes[at..=at + end])?;
            at += end + 1;
            let line = std::mem::take(&mut self.cut);
            at = self.line(&line, bytes, at, heed)?;
        }
        while at < bytes.len() {
            at = self.stride(bytes, at, heed);
            let Some(end) = memchr::memchr(b'\n', &bytes[at..]) else { return self.keep(&bytes[at..]) };
            let next = at + end + 1;
            at = self.line(&bytes[at..next], bytes, next, heed)?;
        }
        Ok(())
    }

    /// Takes frames of the remembered shape, says where the first other thing begins.
    fn stride<H: Heed>(&mut self, bytes: &[u8], mut at: usize, heed: &mut H) -> usize {
        let Some(shape) = &self.shape else { return at };
        let tail = shape.header - shape.tail.len();
        let head = shape.header..shape.header + H::HEAD.min(shape.frame - shape.header - 2);
        while let Some(frame) = bytes.get(at..at + shape.frame) {
            let same =
                frame[..4] == *b"MSG " && frame[tail..shape.header] == shape.tail[..] && frame.ends_with(b"\r\n");
            if !same {
                break;
            }
            self.messages += 1;
            if H::HEAD > 0 {
                heed.message(&frame[head.clone()]);
            }
            at += shape.frame;
        }
        at
    }

    /// Takes a whole line, which `bytes` follow from `at` on. Says where the next line begins.
    fn line<H: Heed>(&mut self, line: &[u8], bytes: &[u8], at: usize, heed: &mut H) -> Result<usize, Fault> {
        let text = line.trim_ascii_end();
        if text.starts_with(b"MSG ") || text.starts_with(b"HMSG ") {
            let space = memchr::memrchr(b' ', text).unwrap_or(0);
            let size = std::str::from_utf8(&text[space + 1..]).ok().and_then(|s| s.parse::<usize>().ok());
            let body = size.ok_or_else(|| Fault::garbled(line))?.saturating_add(2);
            let here = body.min(bytes.len() - at);
            self.skip = body - here;
            self.messages += u64::from(self.skip == 0);
            if text.starts_with(b"MSG ") {
                self.remember(line, space, body);
                if H::HEAD > 0 {
                    self.head.clear();
                    self.head_due = Some(H::HEAD.min(body - 2));
                    self.continued(&bytes[at..at + here], heed);
                }
            }
            return Ok(at + here);
        }
        match text {
            b"PING" => self.pings += 1,
            b"PONG" => self.pongs += 1,
            b"+OK" => {}
            _ if text.starts_with(b"INFO ") => {}
            _ if text.starts_with(b"-ERR") => {
                self.error = Some(String::from_utf8_lossy(text[4..].trim_ascii()).into_owned());
            }
            _ => return Err(Fault::garbled(line)),
        }
        Ok(at)
    }

    /// More of the current payload has come: shows its beginning once the message is whole.
    fn continued<H: Heed>(&mut self, part: &[u8], heed: &mut H) {
        let Some(due) = &mut self.head_due else { return };
        let here = part.len().min(*due);
        *due -= here;
        self.head.extend_from_slice(&part[..here]);
        if self.skip == 0 {
            self.head_due = None;
            heed.message(&self.head);
        }
    }

    fn remember(&mut self, line: &[u8], space: usize, body: usize) {
        let frame = line.len().saturating_add(body);
        if self.shape.as_ref().is_some_and(|s| s.header == line.len() && s.frame == frame) {
            return;
        }
        self.shape = Some(Shape { header: line.len(), frame, tail: line[space..].to_vec() });
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), Fault> {
        if self.cut.len() + part.len() > LONGEST_LINE {
            return Err(Fault::garbled(&self.cut));
        }
        self.cut.extend_from_slice(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"MSG a 1 2\r\nhi\r\nMSG a 1 2\r\nMS\r\nPING\r\nMSG a 1 re 12\r\nMSG a 1 2\r\nx\r\n\
        HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\nMSG a 1 0\r\n\r\nPONG\r\n+OK\r\nINFO {}\r\n-ERR 'Slow'\r\nMSG b 1 2\r\nyo\r\n";

    fn fed(chunks: impl Iterator<Item = &'static [u8]>) -> Scan {
        let mut scan = Scan::default();
        chunks.for_each(|c| scan.feed(c, &mut ()).unwrap());
        scan
    }

    #[test]
    fn counts_the_same_wherever_the_stream_is_cut() {
        for first in 0..STREAM.len() {
            for second in first..STREAM.len() {
                let scan = fed([&STREAM[..first], &STREAM[first..second], &STREAM[second..]].into_iter());
                assert_eq!((scan.messages, scan.pings, scan.pongs), (6, 1, 1), "cut at {first} and {second}");
                assert_eq!(scan.error.as_deref(), Some("'Slow'"));
            }
        }
        assert_eq!(fed(STREAM.chunks(1)).messages, 6);
    }

    /// Remembers what it is shown.
    #[derive(Default)]
    struct Shown(Vec<String>);

    impl Heed for Shown {
        const HEAD: usize = 3;
        fn arrived(&mut self) {}
        fn message(&mut self, head: &[u8]) {
            self.0.push(String::from_utf8(head.to_vec()).unwrap());
        }
    }

    #[test]
    fn shows_the_beginning_of_every_payload_wherever_the_stream_is_cut() {
        const STREAM: &[u8] =
            b"MSG a 1 2\r\nhi\r\nMSG a 1 2\r\nho\r\nMSG a 1 5\r\n12345\r\nHMSG a 1 12 14\r\nNATS/1.0\r\n\r\n\
            hi\r\nMSG a 1 0\r\n\r\nMSG a 1 5\r\nabcde\r\nMSG a 1 5\r\nABCDE\r\n";
        for first in 0..STREAM.len() {
            for second in first..STREAM.len() {
                let (mut scan, mut shown) = (Scan::default(), Shown::default());
                for part in [&STREAM[..first], &STREAM[first..second], &STREAM[second..]] {
                    scan.feed(part, &mut shown).unwrap();
                }
                assert_eq!(shown.0, ["hi", "ho", "123", "", "abc", "ABC"], "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn strides_over_equal_frames_and_stops_at_another() {
        let mut stream = b"MSG bench 1 3\r\nabc\r\n".repeat(1000);
        stream.extend_from_slice(b"MSG bench 1 4\r\nabcd\r\n");
        let mut scan = Scan::default();
        scan.feed(&stream, &mut ()).unwrap();
        assert_eq!(scan.messages, 1001);
    }

    #[test]
    fn refuses_what_is_not_the_protocol() {
        for bad in ["HTTP/1.1 400 Bad Request\r\n", "MSG a 1 x\r\n", "MSG \r\n", "MSG a 1 99999999999999999999\r\n"] {
            assert!(Scan::default().feed(bad.as_bytes(), &mut ()).is_err(), "{bad:?}");
        }
        let mut scan = Scan::default();
        let endless = vec![b'x'; LONGEST_LINE / 2 + 1];
        scan.feed(&endless, &mut ()).unwrap();
        assert!(scan.feed(&endless, &mut ()).is_err());
    }
}
