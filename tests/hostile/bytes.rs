//! Bytes that are no protocol, and numbers at their edges.

use crate::bystander::Bystander;
use crate::support::process::until;
use crate::support::raw::{Next, Raw, PATIENCE};
use crate::{server, texts, MALFORMED};

const TOO_LARGE: &str = "-ERR 'Maximum Payload Violation'\r\n";
const UNKNOWN: &str = "-ERR 'Unknown Protocol Operation'\r\n";
const QUIET: &str = "CONNECT {\"verbose\":false,\"headers\":true}\r\n";

/// What becomes of a size (client-protocol.md §1, "Numbers"; the default `max_payload` is 1 MiB).
const SIZES: &[(&str, &str)] = &[
    ("-1", MALFORMED),
    ("-0", MALFORMED),
    ("+5", MALFORMED),
    ("0x10", MALFORMED),
    ("1e3", MALFORMED),
    ("5.0", MALFORMED),
    ("NaN", MALFORMED),
    ("\u{665}", MALFORMED),
    ("0000000000", MALFORMED),
    ("2147483647", MALFORMED),
    ("2147483648", MALFORMED),
    ("2147483649", MALFORMED),
    ("4294967295", MALFORMED),
    ("4294967296", MALFORMED),
    ("4294967301", MALFORMED),
    ("9223372036854775807", MALFORMED),
    ("9223372036854775808", MALFORMED),
    ("18446744073709551616", MALFORMED),
    ("18446744073709551621", MALFORMED),
    ("99999999999999999999", MALFORMED),
    ("1048577", TOO_LARGE),
    ("999999999", TOO_LARGE),
];

/// All that a server says to `bytes`, INFO aside, with the bytes cut at `cuts`.
fn said(raw: &mut Raw, pieces: &[&[u8]]) -> (Vec<String>, bool) {
    for piece in pieces {
        raw.write(piece);
        raw.await_read();
    }
    let (frames, closed) = raw.until_pongs(1);
    (texts(&frames), closed)
}

#[test]
fn sizes_at_every_edge_are_refused_wherever_the_line_is_cut() {
    let server = server(1, "");
    let bystander = Bystander::start(&server, QUIET);
    for (size, expected) in SIZES {
        for line in [format!("PUB a {size}\r\n"), format!("PUB a b {size}\r\n"), format!("HPUB a 12 {size}\r\n")] {
            let bytes = [QUIET.as_bytes(), line.as_bytes()].concat();
            // At every byte of the number, and around it.
            let number = bytes.len() - size.len() - 2;
            for cut in (number - 1..bytes.len()).chain([bytes.len()]) {
                let mut raw = Raw::connect(server.clients());
                raw.reset_at_end();
                let (answer, closed) = said(&mut raw, &[&bytes[..cut], &bytes[cut..]]);
                assert!(closed && answer == [*expected], "{line:?} cut at {cut}: {answer:?}, closed: {closed}");
            }
        }
    }
    bystander.finish();
}

#[test]
fn sizes_of_headers_are_refused_where_they_are_none() {
    let server = server(1, "");
    for (size, _) in SIZES.iter().filter(|(_, e)| *e == MALFORMED).chain(&[("6", ""), ("999999999", "")]) {
        let mut raw = Raw::connect(server.clients());
        raw.reset_at_end();
        let (answer, closed) = said(&mut raw, &[QUIET.as_bytes(), format!("HPUB a {size} 5\r\n").as_bytes()]);
        assert!(closed && answer == [MALFORMED], "{size}: {answer:?}, closed: {closed}");
    }
}

#[test]
fn the_largest_payload_passes_and_one_byte_more_does_not() {
    for shards in [1, 4] {
        let server = server(shards, "max_payload: 100000");
        let (mut from, mut to) = (Raw::connect(server.clients()), Raw::connect(server.clients()));
        to.write([QUIET, "SUB a 1\r\n"].concat().as_bytes());
        to.barrier();
        let payload = "x".repeat(100_000);
        from.write(format!("{QUIET}PUB a 100000\r\n{payload}\r\nPUB a 0\r\n\r\n").as_bytes());
        assert_eq!(to.next(PATIENCE), Next::Frame(format!("MSG a 1 100000\r\n{payload}\r\n").into_bytes()));
        assert_eq!(to.next(PATIENCE), Next::Frame(b"MSG a 1 0\r\n\r\n".to_vec()));
        // Refused by its line: the payload need not come.
        let (answer, closed) = said(&mut from, &[b"PUB a 100001\r\n"]);
        assert!(closed && answer == [TOO_LARGE], "{answer:?}");
        assert_eq!(to.barrier(), [b"PONG\r\n".to_vec()]);
    }
}

#[test]
fn a_payload_that_does_not_end_where_it_said_is_refused() {
    let server = server(1, "");
    for wrong in ["PUB a 5\r\nhello world\r\n", "PUB a 5\r\nhello\n", "PUB a 0\r\nx\r\n", "HPUB a 0 2\r\nhello\r\n"] {
        let mut raw = Raw::connect(server.clients());
        let (answer, closed) = said(&mut raw, &[QUIET.as_bytes(), wrong.as_bytes()]);
        assert!(closed && answer == [UNKNOWN], "{wrong:?}: {answer:?}");
    }
}

#[test]
fn tls_and_http_on_the_client_port_are_told_what_they_are_not() {
    let server = server(1, "");
    let bystander = Bystander::start(&server, QUIET);
    // A TLS 1.3 ClientHello's first bytes: handshake record, version, length, client_hello, random.
    let hello = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[0xa5; 501]].concat();
    // An SSL 2 one, as scanners send it.
    let old: &[u8] = b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80";
    // "GE" and "HE", "OP", "DE" are no verb's beginning; "P" is one's until its next letter.
    let http = [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\n\r\n",
        "PUT / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n",
    ];
    let others: [&[u8]; 4] = [b"\x00", b"\r\n", b"*1\r\n$4\r\nPING\r\n", b"SSH-2.0-OpenSSH_9.6\r\n"];
    let all = http.iter().map(|h| h.as_bytes()).chain(others).chain([&hello[..], old]);
    for bytes in all {
        let mut raw = Raw::connect(server.clients());
        let (answer, closed) = said(&mut raw, &[bytes]);
        assert!(closed && answer == [UNKNOWN], "{:?}: {answer:?}", String::from_utf8_lossy(bytes));
    }
    bystander.finish();
}

/// Numbers that look random and are the same every time (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// Words of the protocol, to get deeper than its first byte.
const WORDS: &[&[u8]] = &[
    b"PUB ",
    b"HPUB ",
    b"SUB ",
    b"UNSUB ",
    b"CONNECT {",
    b"PING",
    b"PONG",
    b"+OK",
    b"INFO {",
    b"a.b",
    b"*",
    b">",
    b" 5",
    b" 0",
    b"\r\n",
    b"\n",
    b" ",
    b"\t",
    b"}",
    b"\"headers\":true",
    b"NATS/1.0\r\n\r\n",
    b"hello",
    b"\x00",
    b"\xff\xfe",
];

#[test]
fn garbage_ends_its_own_connection_at_most() {
    for shards in [1, 4] {
        let server = server(shards, "");
        let bystander = Bystander::start(&server, QUIET);
        let mut noise = Noise(7);
        let mut ended = 0;
        for round in 0..300 {
            let mut bytes = match round % 3 {
                0 => Vec::new(),
                _ => QUIET.as_bytes().to_vec(),
            };
            for _ in 0..noise.next() % 40 {
                let length = noise.next() as usize % 60;
                match noise.next() % 3 {
                    0 => bytes.extend(noise.bytes(length)),
                    _ => bytes.extend(WORDS[noise.next() as usize % WORDS.len()]),
                }
            }
            let mut raw = Raw::connect(server.clients());
            raw.write(&bytes);
            raw.finish();
            let end = loop {
                match raw.next(PATIENCE) {
                    Next::Frame(_) => {}
                    other => break other,
                }
            };
            assert!(matches!(end, Next::Closed(_)), "round {round} is still open: {end:?}");
            ended += 1;
        }
        assert_eq!(ended, 300);
        bystander.finish();
        assert!(!server.output().contains("panicked"), "{}", server.output());
    }
}

/// Malformed headers: delivered as nats-server does, and named; or refused, where the operator says so.
#[test]
fn malformed_headers_are_named_and_refused_on_demand() {
    const BLOCKS: [&str; 4] = ["NATS/1.0\r\nA: 1\r\n", "NATS/2.0\r\n\r\n", "NATS/1.0\n\n", "A: 1\r\n\r\n"];
    for strict in [false, true] {
        let server = server(1, &format!("strict_headers: {strict}"));
        let bystander = Bystander::start(&server, QUIET);
        let mut raw = Raw::connect(server.clients());
        raw.write(format!("{QUIET}SUB h 1\r\n").as_bytes());
        raw.barrier();
        let publish = |block: &str| format!("HPUB h {0} {0}\r\n{block}\r\n", block.len());
        for block in BLOCKS {
            raw.write(publish(block).as_bytes());
            let expected = match strict {
                false => format!("HMSG h 1 {0} {0}\r\n{block}\r\n", block.len()),
                true => "-ERR 'Permissions Violation for Publish to \"h\", malformed headers'\r\n".to_string(),
            };
            assert_eq!(texts(&raw.barrier())[0], expected, "{block:?}, strict_headers: {strict}");
        }
        // The connection goes on, and what is sound passes.
        let sound = "NATS/1.0\r\nA: 1\r\n\r\n";
        raw.write(publish(sound).as_bytes());
        assert_eq!(texts(&raw.barrier())[0], format!("HMSG h 1 {0} {0}\r\n{sound}\r\n", sound.len()));
        // Once for this connection, however many it sends.
        let named = || server.output().matches("Malformed headers in a message to \"h\"").count();
        until("it is named in the log", PATIENCE, || (named() > 0).then_some(()));
        assert_eq!(named(), 1, "{}", server.output());
        bystander.finish();
    }
}
