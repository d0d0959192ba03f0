//! Tests of the parser: a stream says the same however it is cut, sizes at their edges, refusals at the first byte.

use super::*;
use proptest::prelude::*;

const RULES: Rules = Rules { max_control_line: 64, max_payload: 1000, headers: true, connect_first: false };

/// Everything said about a stream, in words, so that two ways of cutting it can be compared.
fn play(chunks: &[&[u8]], rules: &Rules) -> Vec<String> {
    let (mut parser, mut held, mut said) = (Parser::default(), Vec::new(), Vec::new());
    for c in chunks {
        held.extend_from_slice(c);
        loop {
            let before = parser;
            let next = parser.next(&held, rules);
            // The shorter way says the same or nothing.
            let quick = before.publication(&held, rules);
            assert!(quick.is_none() || matches!(next, Ok(Step::Op(..))), "{quick:?}, but {next:?}");
            match next {
                Ok(Step::Op(op, used)) => {
                    if let Some((m, len)) = quick {
                        let Op::Publish(p) = op else { panic!("{op:?} is no publication") };
                        let whole = [p.size_text, b"\r\n", p.payload, b"\r\n"].concat();
                        assert_eq!((m.subject, m.reply, m.header, m.size), (p.subject, p.reply, 0, p.payload.len()));
                        assert_eq!((m.tail, len), (&whole[..], used));
                    }
                    said.push(format!("{op:?}"));
                    held.drain(..used);
                }
                Ok(Step::More(used)) => {
                    held.drain(..used);
                    assert!(held.len() <= rules.max_control_line + rules.max_payload + 4, "keeps {} bytes", held.len());
                    break;
                }
                Err(f) => {
                    said.push(format!("{f:?}"));
                    return said;
                }
            }
        }
    }
    said
}

fn check_cuts(stream: &[u8], rules: &Rules) {
    let whole = play(&[stream], rules);
    for cut in 0..=stream.len() {
        let (a, b) = stream.split_at(cut);
        assert_eq!(play(&[a, b], rules), whole, "cut at {cut} of {:?}", String::from_utf8_lossy(stream));
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(play(&bytes, rules), whole, "byte by byte: {:?}", String::from_utf8_lossy(stream));
}

#[test]
fn every_cut_of_every_form_says_the_same() {
    let streams: [&[u8]; 30] = [
        b"PUB foo 2\r\nhi\r\nPUB foo bar 0002\r\nhi\r\nPING\r\n",
        b"pub\tfoo\t2\r\nhi\r\nPiNg\nPINGxyz abc\r\nSUB   foo   1  \r\n",
        b"SUB foo 1\nPUB foo 2\nhi\r\nUNSUB 1 2\r\nUNSUB 1\r\nUNSUB 1 xx\r\n",
        b"HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHPUB foo re 0 2\r\nhi\r\n",
        b"CONNECT{}\r\nCONNECT {\"a\":1}\nINFO {}\r\n+OKzzz\r\n-ERR 'x'\r\n",
        b"PUB foo 6\r\n\x00\r\n\xffPI\r\nPING\r\n",
        b"PUB foo 2\r\nhi\nPING\r\n",
        b"PUB foo 2\r\nhello\r\n",
        b"PUB foo -1\r\n",
        b"PUB foo 1234567890\r\n",
        b"PUB foo 123456789\r\n",
        b"PUB\r\n",
        b"PUB \r\n",
        b"PUB foo\r\n",
        b"PUB foo bar 2 3\r\n",
        b"PUBS foo 2\r\nok\r\n",
        b"SUB foo\r\n",
        b"SUB foo q 1 2\r\n",
        b"UNSUB 1 2 3\r\n",
        b"SUB a\rb q 1\r\n",
        b"PUB a\rb 1\r\nx\r\n",
        b"\r\n",
        b" PING\r\n",
        b"ZZZ",
        b"-ERR\r\n",
        b"MSG foo 1 2\r\nhi\r\n",
        b"SUB aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1\r\nPING\r\n",
        b"SUB aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1\r\nPING\r\n",
        b"SUB                                                                               foo 1\r\nPING\r\n",
        b"PUB a 0\r\n\r\nPUB b  0\r\n\r\nPUB  c 0\r\n\r\nPUB d 0 \r\n\r\nPUB e\x01 0\r\n\r\nPUB \x80\xff 0\r\n\r\n",
    ];
    for s in streams {
        check_cuts(s, &RULES);
        check_cuts(s, &Rules { headers: false, ..RULES });
        check_cuts(s, &Rules { connect_first: true, ..RULES });
    }
}

#[test]
fn sizes_at_numeric_edges_are_refused_or_exact() {
    for (text, want) in [
        ("0", Some(0)),
        ("000000007", Some(7)),
        ("999999999", Some(999_999_999)),
        ("1000000000", None),
        ("2147483647", None),
        ("2147483648", None),
        ("4294967296", None),
        ("9223372036854775808", None),
        ("99999999999999999999", None),
        ("-1", None),
        ("+5", None),
        ("0x10", None),
        ("1.0", None),
        ("", None),
    ] {
        assert_eq!(number(text.as_bytes()), want, "{text}");
    }
}

#[test]
fn an_operation_that_is_refused_is_refused_at_the_first_byte_that_shows_it() {
    let fault = |s: &[u8]| play(&[s], &RULES).last().cloned().unwrap();
    assert_eq!(fault(b"Z"), "UnknownOperation");
    assert_eq!(fault(b"PX"), "UnknownOperation");
    assert_eq!(fault(b"PUB foo 123456789\r\n"), "Payload");
    assert_eq!(fault(b"PUB foo 1\r\nxy"), "UnknownOperation");
    assert_eq!(fault(&[b"SUB ", [b'a'; 65].as_slice()].concat()), "ControlLine");
    assert_eq!(play(&[b"P"], &Rules { connect_first: true, ..RULES }), ["Authorization"]);
    assert!(play(&[b"c"], &Rules { connect_first: true, ..RULES }).is_empty());
}

proptest! {
    #[test]
    fn any_bytes_cut_anywhere_say_the_same(
        stream in proptest::collection::vec(
            prop_oneof![
                Just(b"PUB ".to_vec()), Just(b"SUB ".to_vec()), Just(b"HPUB ".to_vec()), Just(b"UNSUB ".to_vec()),
                Just(b"PING".to_vec()), Just(b"\r\n".to_vec()), Just(b"\n".to_vec()), Just(b" ".to_vec()),
                Just(b"\t".to_vec()), Just(b"foo".to_vec()), Just(b"a.*".to_vec()), Just(b"2".to_vec()),
                Just(b"12".to_vec()), Just(b"CONNECT {}".to_vec()), Just(b"hi\r\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 1..4),
            ],
            1..24,
        ),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let stream = stream.concat();
        let mut at: Vec<usize> = cuts.iter().map(|i| i.index(stream.len() + 1)).collect();
        at.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for a in at {
            chunks.push(&stream[from..a]);
            from = a;
        }
        chunks.push(&stream[from..]);
        prop_assert_eq!(play(&chunks, &RULES), play(&[&stream], &RULES));
    }
}
