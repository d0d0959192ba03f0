//! Whatever is published, in whatever spelling, is delivered as it was meant and can be read: the same bytes of
//! subject, reply, header and payload, sizes that are right, one line per line. Over one shard and over two, to
//! receivers with and without headers.
//!
//! The input is records between 0xFF bytes, each up to four fields between 0xFE bytes: subject, reply, header, payload.

use super::house::House;
use turnpike::policy::Settings;
use turnpike::shard::TURN_DELIVERIES_MAX;
use turnpike::wire::subject::has_empty_token;

/// A message as it is meant.
struct Meant<'a> {
    subject: Vec<u8>,
    reply: Vec<u8>,
    header: &'a [u8],
    payload: Vec<u8>,
    /// Leading zeros of its sizes, a CR in front of the LF, tabs for spaces.
    zeros: bool,
    bare: bool,
    tabs: bool,
}

/// See the file's head.
pub fn check(data: &[u8]) {
    let meant: Vec<Meant<'_>> = data.split(|b| *b == 0xff).filter_map(read).collect();
    let mut settings = Settings::default();
    settings.limits.max_control_line = 16 << 10;
    let mut house = House::new(2, 8, TURN_DELIVERIES_MAX, settings);
    let readers: Vec<usize> = [(0, true), (0, false), (1, true), (1, false)]
        .into_iter()
        .map(|(shard, headers)| {
            let c = house.open(shard);
            let hello =
                format!("CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":{headers}}}\r\nSUB > s\r\n");
            house.say(c, hello.as_bytes());
            c
        })
        .collect();
    let publisher = house.open(0);
    house.say(publisher, b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n");
    house.settle();
    house.clients.iter_mut().for_each(|c| c.read.clear());
    for m in &meant {
        house.say(publisher, &m.published());
    }
    house.settle();
    let own = &house.clients[publisher];
    assert!(own.conn.is_some() && own.read.is_empty(), "the publisher is told {}", own.read.escape_ascii());
    let heard: Vec<&Meant<'_>> = meant.iter().filter(|m| !has_empty_token(&m.subject)).collect();
    for (i, reader) in readers.into_iter().enumerate() {
        let with_headers = i % 2 == 0;
        let expected: Vec<u8> = heard.iter().flat_map(|m| m.delivered(with_headers)).collect();
        let read = &house.clients[reader].read;
        assert!(*read == expected, "{} instead of {}", read.escape_ascii(), expected.escape_ascii());
    }
}

/// A record as a message; None where it has no subject that can be said, or one that is reserved.
fn read(record: &[u8]) -> Option<Meant<'_>> {
    let mut fields = record.split(|b| *b == 0xfe);
    let mut field = || fields.next().unwrap_or_default();
    let word = |f: &[u8]| -> Vec<u8> { f.iter().copied().filter(|b| !b" \t\r\n".contains(b)).collect() };
    let (subject, reply, header, payload) = (word(field()), word(field()), field(), field());
    let reserved = |w: &[u8]| [b"_R".as_slice(), b"_G", b"$J", b"$N"].iter().any(|r| w.starts_with(r));
    if subject.is_empty() || reserved(&subject) || reserved(&reply) {
        return None;
    }
    let style = payload.first().copied().unwrap_or_default();
    // Large enough to cross between shards as a shared allocation.
    let payload = if payload.ends_with(b"*") { payload.repeat(20_000 / payload.len()) } else { payload.to_vec() };
    Some(Meant { subject, reply, header, payload, zeros: style & 1 > 0, bare: style & 2 > 0, tabs: style & 4 > 0 })
}

impl Meant<'_> {
    fn size(&self, n: usize) -> String {
        format!("{}{n}", if self.zeros { "00" } else { "" })
    }

    /// In the publisher's spelling.
    fn published(&self) -> Vec<u8> {
        let blank: &[u8] = if self.tabs { b"\t " } else { b" " };
        let verb: &[u8] = match (self.header.is_empty(), self.zeros) {
            (true, _) => b"PUB",
            (false, true) => b"hPub",
            (false, false) => b"HPUB",
        };
        let (header, all) = (self.size(self.header.len()), self.size(self.header.len() + self.payload.len()));
        let mut words: Vec<&[u8]> = vec![verb, &self.subject];
        words.extend((!self.reply.is_empty()).then_some(self.reply.as_slice()));
        words.extend((!self.header.is_empty()).then_some(header.as_bytes()));
        words.push(all.as_bytes());
        let end: &[u8] = if self.bare { b"\n" } else { b"\r\n" };
        [&words.join(blank), end, self.header, &self.payload, b"\r\n"].concat()
    }

    /// As a receiver is to read it. Sizes are repeated as the publisher wrote them (client-protocol.md §6).
    fn delivered(&self, with_headers: bool) -> Vec<u8> {
        let header = if with_headers { self.header } else { b"" };
        let (verb, own): (&[u8], _) = if header.is_empty() { (b"MSG", None) } else { (b"HMSG", Some(header.len())) };
        let stripped = header.len() < self.header.len();
        let size = match stripped {
            true => self.payload.len().to_string(),
            false => self.size(header.len() + self.payload.len()),
        };
        let own = own.map(|n| self.size(n));
        let mut words: Vec<&[u8]> = vec![verb, &self.subject, b"s"];
        words.extend((!self.reply.is_empty()).then_some(self.reply.as_slice()));
        words.extend(own.as_ref().map(|n| n.as_bytes()));
        words.push(size.as_bytes());
        [&words.join(b" ".as_slice()), b"\r\n".as_slice(), header, &self.payload, b"\r\n"].concat()
    }
}
