//! Tests of what servers say to each other: every form, the captured exchanges of cluster-protocol.md §8, however they
//! are cut; refusals; and that what is written is read as it was meant.

use proptest::prelude::*;

use super::*;
use crate::wire::{Body, Fault, Message, Step};

mod json;
mod written;

const RULES: RouteRules = RouteRules { max_control_line: 100, max_payload: 1000, connect_first: false };

/// Everything said in a stream, in words, so that two ways of cutting it can be compared.
fn play(chunks: &[&[u8]], rules: &RouteRules) -> Vec<String> {
    let (mut parser, mut held, mut said) = (RouteParser::default(), Vec::new(), Vec::new());
    for c in chunks {
        held.extend_from_slice(c);
        loop {
            match parser.next(&held, rules) {
                Ok(Step::Op(op, used)) => {
                    said.push(told(&op));
                    held.drain(..used);
                }
                Ok(Step::More(used)) => {
                    held.drain(..used);
                    let most = rules.max_payload.saturating_add(rules.max_control_line + 4);
                    assert!(held.len() <= most, "keeps {} bytes", held.len());
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

/// An operation in words. Whether a message came in one piece for copying is not part of its meaning.
fn told(op: &RouteOp<'_>) -> String {
    let text = |b: &[u8]| b.escape_ascii().to_string();
    match op {
        RouteOp::Message(m) => {
            let sizes = [if m.header > 0 { m.header_text } else { b"" }, m.size_text];
            let sizes = sizes.iter().filter(|s| !s.is_empty()).copied().collect::<Vec<_>>().join(&b' ');
            assert!(m.tail.is_empty() || m.tail == [&sizes, b"\r\n".as_slice(), m.payload, b"\r\n"].concat());
            assert!(m.header <= m.payload.len());
            let (header, payload) = m.payload.split_at(m.header);
            let queues: Vec<_> = m.queues.iter().map(text).collect();
            let (account, subject, reply) = (text(m.account), text(m.subject), text(m.reply));
            format!("{account} {subject} >{reply} {queues:?} {} {}", text(header), text(payload))
        }
        RouteOp::Interest { account, subject, queue, weight } => {
            format!("+ {} {} {} {weight}", text(account), text(subject), text(queue))
        }
        RouteOp::NoInterest { account, subject, queue } => {
            format!("- {} {} {}", text(account), text(subject), text(queue))
        }
        RouteOp::Info(json) => format!("INFO {}", text(json)),
        RouteOp::Connect(json) => format!("CONNECT {}", text(json)),
        RouteOp::PeerError(why) => format!("-ERR {}", text(why)),
        other => format!("{other:?}"),
    }
}

fn check_cuts(stream: &[u8], rules: &RouteRules) -> Vec<String> {
    let whole = play(&[stream], rules);
    for cut in 0..=stream.len() {
        let (a, b) = stream.split_at(cut);
        assert_eq!(play(&[a, b], rules), whole, "cut at {cut} of {}", stream.escape_ascii());
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(play(&bytes, rules), whole, "byte by byte: {}", stream.escape_ascii());
    whole
}

/// What one line and payload say, cut anywhere, and spelled in other ways: lower case, more blanks, a bare line feed.
fn one(line: &str, payload: &str) -> String {
    let payload = if payload.is_empty() { String::new() } else { format!("{payload}\r\n") };
    let (verb, arg) = line.split_once(' ').unwrap_or((line, ""));
    let spellings = [
        format!("{line}\r\n{payload}"),
        format!("{line}\n{payload}"),
        format!("{} {arg}\r\n{payload}", verb.to_lowercase()),
        format!("{verb}\t {}  \r\n{payload}", arg.replace(' ', " \t ")),
    ];
    let said = spellings.map(|s| check_cuts(format!("{s}PONG\r\n").as_bytes(), &RULES));
    assert!(said.iter().all(|s| *s == said[0]), "{line}: {said:?}");
    assert!(said[0].len() == 2 && said[0][1] == "Pong", "{line}: {said:?}");
    said[0][0].clone()
}

#[test]
fn every_form_of_a_message() {
    // cluster-protocol.md §3.13
    assert_eq!(one("RMSG $G foo 5", "hello"), "$G foo > []  hello");
    assert_eq!(one("RMSG $G foo rep.ly 5", "hello"), "$G foo >rep.ly []  hello");
    assert_eq!(one("RMSG $G foo | q 5", "hello"), r#"$G foo > ["q"]  hello"#);
    assert_eq!(one("RMSG $G foo | q1 q2 q3 5", "hello"), r#"$G foo > ["q1", "q2", "q3"]  hello"#);
    assert_eq!(one("RMSG $G foo + r q 5", "hello"), r#"$G foo >r ["q"]  hello"#);
    assert_eq!(one("RMSG $G foo + r q1 q2 005", "hello"), r#"$G foo >r ["q1", "q2"]  hello"#);
    assert_eq!(one("HMSG $G foo 4 5", "hello"), "$G foo > [] hell o");
    assert_eq!(one("HMSG $G foo r 4 5", "hello"), "$G foo >r [] hell o");
    assert_eq!(one("HMSG $G foo | q 5 5", "hello"), r#"$G foo > ["q"] hello "#);
    assert_eq!(one("HMSG $G foo | q1 q2 1 5", "hello"), r#"$G foo > ["q1", "q2"] h ello"#);
    assert_eq!(one("HMSG $G foo + r q 4 5", "hello"), r#"$G foo >r ["q"] hell o"#);
    assert_eq!(one("HMSG $G foo + r q1 q2 4 5", "hello"), r#"$G foo >r ["q1", "q2"] hell o"#);
    assert_eq!(one("HMSG $G foo 0 5", "hello"), "$G foo > []  hello");
    assert_eq!(one("LMSG LC $G foo 4 5", "hello"), "$G foo > [] hell o");
    assert_eq!(one("LMSG LC $G foo rp 0 5", "hello"), "$G foo >rp []  hello");
    assert_eq!(one("LMSG LC $G foo | q1 q2 4 5", "hello"), r#"$G foo > ["q1", "q2"] hell o"#);
    assert_eq!(one("LMSG LC $G foo + r q 4 5", "hello"), r#"$G foo >r ["q"] hell o"#);
    // The count of words decides, not what they are.
    assert_eq!(one("RMSG $G foo | 5", "hello"), "$G foo >| []  hello");
    assert_eq!(one("RMSG $G foo + 5", "hello"), "$G foo >+ []  hello");
    assert_eq!(one("RMSG $G foo + r 5", "hello"), "$G foo >r []  hello");
    assert_eq!(one("RMSG $G foo + | + | 5", "hello"), r#"$G foo >| ["+", "|"]  hello"#);
    assert_eq!(one("HMSG $G foo + r 4 5", "hello"), "$G foo >r [] hell o");
    assert_eq!(one("RMSG 5 5 5 5", "hello"), "5 5 >5 []  hello");
    // A carriage return never comes in with a name.
    assert_eq!(check_cuts(b"RMSG $G foo\rr 5\r\nhello\r\n", &RULES), ["$G foo >r []  hello"]);
    assert_eq!(check_cuts(b"RMSG $G foo | q\rr 5\r\nhello\r\n", &RULES), [r#"$G foo > ["q", "r"]  hello"#]);
}

#[test]
fn every_form_of_interest() {
    // cluster-protocol.md §3.12
    assert_eq!(one("RS+ $G foo.>", ""), "+ $G foo.>  1");
    assert_eq!(one("RS+ $G bar q 2", ""), "+ $G bar q 2");
    assert_eq!(one("RS+ $G bar q 999999999", ""), "+ $G bar q 999999999");
    assert_eq!(one("RS- $G foo.>", ""), "- $G foo.> ");
    assert_eq!(one("RS- $G bar q", ""), "- $G bar q");
    // What is no weight is one member: nats-server 2.15.2.
    for weight in ["0", "-1", "x", "1000000000", "4294967297"] {
        assert_eq!(one(&format!("RS+ $G bar q {weight}"), ""), "+ $G bar q 1");
    }
    for line in ["A+ $G", "A- $G", "LS+ LC $G foo", "LS+ LC $G foo q 1", "LS- LC $G foo", "LS- $G foo", "A+ $G x y z"] {
        assert_eq!(one(line, ""), "Ignored", "{line}");
    }
}

/// The exchanges of cluster-protocol.md §8, as one side of the link says them.
const CAPTURES: [&[u8]; 7] = [
    // C1: who dials.
    b"CONNECT {\"echo\":true,\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"headers\":true,\"name\":\"NB\",\
      \"cluster\":\"c1\",\"lnoc\":true}\r\n\
      INFO {\"server_id\":\"NB\",\"server_name\":\"B\",\"proto\":2,\"host\":\"127.0.0.1\",\"port\":21102,\"headers\":true,\
      \"cluster\":\"c1\",\"connect_urls\":[\"127.0.0.1:21002\"],\"lnoc\":true} \r\n\
      PING\r\nPONG\r\nRMSG $G foo 5\r\nhello\r\nRMSG $G foo rep.ly 5\r\nhello\r\nRMSG $G bar | q 5\r\nqueue\r\n\
      RMSG $G bar + r.1 q 5\r\nqueue\r\nHMSG $G foo 18 20\r\nNATS/1.0\r\nK: v\r\n\r\nhi\r\n\
      HMSG $G bar + r.2 q 18 20\r\nNATS/1.0\r\nK: v\r\n\r\nhi\r\n",
    // C1: who is dialed.
    b"INFO {\"server_id\":\"NA\",\"server_name\":\"A\",\"proto\":2,\"cluster\":\"c1\",\"connect_urls\":\
      [\"127.0.0.1:21001\"],\"lnoc\":true} \r\n\
      RS+ $SYS $SYS.REQ.SERVER.PING.STATSZ\r\nRS+ $G bar q 2\r\nRS+ $G foo\r\nPONG\r\nPING\r\nRS+ $G bar q 1\r\n\
      RS- $G bar q\r\nRS- $G foo\r\n",
    // C2, one of the pool.
    b"CONNECT {\"echo\":true,\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"headers\":true,\"name\":\"NB\",\
      \"cluster\":\"c1\",\"lnoc\":true}\r\n\
      INFO {\"server_id\":\"NB\",\"compression\":\"off\",\"route_pool_size\":3,\"route_pool_idx\":1} \r\nPING\r\n",
    // C3: a connection for one account, given up.
    b"CONNECT {\"echo\":true,\"name\":\"NB\",\"cluster\":\"c1\"}\r\n\
      -ERR 'Not possible to have a dedicated route for account \"$SYS\" between those servers'\r\n",
    // C3: the connection that stays.
    b"CONNECT {}\r\nINFO {\"compression\":\"not supported\",\"lnoc\":true,\"lnocu\":true,\"route_pool_size\":3} \r\n\
      RS+ $SYS $SYS.REQ.SERVER.PING.STATSZ\r\nRS+ $G foo\r\nRS+ $G bar q 2\r\n",
    // C4: gossip.
    b"INFO {\"server_id\":\"NC\",\"server_name\":\"C\",\"port\":21203,\"ip\":\"nats-route://127.0.0.1:21203/\",\"cluster\":\
      \"c1\",\"compression\":\"off\",\"route_pool_size\":1,\"gossip_mode\":1}\r\n\
      INFO {\"server_id\":\"NC\",\"server_name\":\"C\",\"ip\":\"nats-route://127.0.0.1:21203/\",\"route_account\":\"$SYS\",\
      \"gossip_mode\":1}\r\n",
    // C6.
    b"CONNECT {\"name\":\"ME\",\"cluster\":\"c1\"}\r\n\
      INFO {\"server_id\":\"ME\",\"server_name\":\"me\",\"host\":\"127.0.0.1\",\"port\":21555}\r\n\
      RS+ $G loc\r\nRS+ $G foo\r\nRMSG $G foo 2\r\nhi\r\nRMSG $G jobs | w 2\r\nBB\r\nRMSG $G lq 2\r\nNO\r\n\
      RMSG $G deliver.in $JS.ACK.S.C.1.2.3.4.5@orig.subj 2\r\nhi\r\n\
      LMSG LC $G loc rp 18 20\r\nNATS/1.0\r\nK: v\r\n\r\nhi\r\nINFO {\"server_id\":\"ME\",\"ldm\":true,\"lnoc\":true} \r\n",
];

#[test]
fn captured_exchanges_are_read_alike_however_they_are_cut() {
    let rules = RouteRules { max_control_line: LINE_MAX, ..RULES };
    let said = CAPTURES.map(|stream| check_cuts(stream, &rules));
    assert_eq!(
        said[0][2..],
        [
            "Ping",
            "Pong",
            "$G foo > []  hello",
            "$G foo >rep.ly []  hello",
            r#"$G bar > ["q"]  queue"#,
            r#"$G bar >r.1 ["q"]  queue"#,
            r"$G foo > [] NATS/1.0\r\nK: v\r\n\r\n hi",
            r#"$G bar >r.2 ["q"] NATS/1.0\r\nK: v\r\n\r\n hi"#,
        ]
    );
    assert_eq!(
        said[1][1..],
        [
            "+ $SYS $SYS.REQ.SERVER.PING.STATSZ  1",
            "+ $G bar q 2",
            "+ $G foo  1",
            "Pong",
            "Ping",
            "+ $G bar q 1",
            "- $G bar q",
            "- $G foo ",
        ]
    );
    assert_eq!(said[2].len(), 3);
    assert!(said[3][1].starts_with("-ERR \\'Not possible to have a dedicated route"), "{}", said[3][1]);
    assert_eq!(said[4][2..], ["+ $SYS $SYS.REQ.SERVER.PING.STATSZ  1", "+ $G foo  1", "+ $G bar q 2"]);
    assert_eq!(said[5].len(), 2);
    assert_eq!(
        said[6][2..9],
        [
            "+ $G loc  1",
            "+ $G foo  1",
            "$G foo > []  hi",
            r#"$G jobs > ["w"]  BB"#,
            "$G lq > []  NO",
            "$G deliver.in >$JS.ACK.S.C.1.2.3.4.5@orig.subj []  hi",
            r"$G loc >rp [] NATS/1.0\r\nK: v\r\n\r\n hi",
        ]
    );
    assert_eq!(said[6].len(), 10);
}

#[test]
fn words_that_are_missing_too_many_or_no_numbers_are_malformed_however_they_are_cut() {
    let malformed: [&[u8]; 30] = [
        b"RS+ \r\n",
        b"RS+ $G\r\n",
        b"RS+ $G foo q\r\n",
        b"RS+ $G foo q 1 2\r\n",
        b"RS- $G\r\n",
        b"RS- $G foo q 1\r\n",
        b"RMSG \r\n",
        b"RMSG $G\r\n",
        b"RMSG $G foo\r\n",
        b"RMSG $G foo -1\r\n",
        b"RMSG $G foo x\r\n",
        b"RMSG $G foo bar baz 2\r\n",
        b"RMSG $G foo * q 2\r\n",
        b"RMSG $G foo || q 2\r\n",
        b"RMSG $G foo | q x\r\n",
        b"HMSG $G\r\n",
        b"HMSG $G foo 2\r\n",
        b"HMSG $G foo 3 2\r\n",
        b"HMSG $G foo x 2\r\n",
        b"HMSG $G foo r -1 2\r\n",
        b"HMSG $G foo a b 1 2\r\n",
        b"HMSG $G foo | q 3 2\r\n",
        b"LMSG LC $G foo 2\r\n",
        b"LMSG LC $G 1 2\r\n",
        b"LMSG LC $G foo x 2\r\n",
        b"LMSG LC $G foo 3 2\r\n",
        b"LMSG \r\n",
        b"RMSG $G foo 1.0\r\n",
        b"RMSG $G foo 0x1\r\n",
        b"RMSG $G foo +5\r\n",
    ];
    for stream in malformed {
        let end = check_cuts(stream, &RULES);
        assert_eq!(end, ["Malformed"], "{}", stream.escape_ascii());
        // Beyond the end of the line nothing is needed to see it.
        assert_eq!(check_cuts(&[stream, b"hi\r\nPING\r\n"].concat(), &RULES), ["Malformed"]);
    }
}

#[test]
fn what_no_peer_says_is_refused_at_the_byte_that_shows_it() {
    let unknown: [&[u8]; 26] = [
        b"Z",
        b"\r\n",
        b" PING\r\n",
        b"SUB foo 1\r\n",
        b"PUB foo 2\r\nhi\r\n",
        b"UNSUB 1\r\n",
        b"MSG foo 1 2\r\nhi\r\n",
        b"RS\r\n",
        b"RS*",
        b"RSUB ",
        b"RS+\r\n",
        b"RS-x",
        b"RMSG\r\n",
        b"RMSGX",
        b"HMSG\r\n",
        b"LMSG\r\n",
        b"LS+\r\n",
        b"LX",
        b"A\r\n",
        b"A*",
        b"A+\r\n",
        b"A-x",
        b"-ERR\r\n",
        b"-ERX",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
    ];
    for stream in unknown {
        assert_eq!(check_cuts(stream, &RULES), ["UnknownOperation"], "{}", stream.escape_ascii());
    }
    for bad in ["hi\n", "hix\r\n", "hi\rx", "hi\r\r\n"] {
        let stream = format!("RMSG $G foo 2\r\n{bad}");
        assert_eq!(check_cuts(stream.as_bytes(), &RULES), ["UnknownOperation"], "{bad:?}");
    }
    assert_eq!(Fault::UnknownOperation.text(), "Unknown Protocol Operation");
    assert_eq!(Fault::ControlLine.text(), "maximum control line exceeded");
    assert_eq!(Fault::InvalidSubscription.text(), "Invalid Subscription");
}

#[test]
fn sizes_at_numeric_edges_are_refused_or_waited_for() {
    let all = RouteRules { max_payload: usize::MAX, ..RULES };
    let fault = |line: String, rules: &RouteRules| check_cuts(line.as_bytes(), rules).last().cloned();
    for size in [
        "1000000000",
        "2147483647",
        "2147483648",
        "4294967296",
        "9223372036854775808",
        "99999999999999999999",
        "-1",
        "-0",
    ] {
        assert_eq!(fault(format!("RMSG $G foo {size}\r\n"), &all).unwrap(), "Malformed", "{size}");
        assert_eq!(fault(format!("HMSG $G foo 0 {size}\r\n"), &all).unwrap(), "Malformed", "{size}");
        assert_eq!(fault(format!("HMSG $G foo {size} 5\r\n"), &all).unwrap(), "Malformed", "{size}");
        assert_eq!(fault(format!("LMSG o $G foo {size} 5\r\n"), &all).unwrap(), "Malformed", "{size}");
    }
    for line in
        ["RMSG $G foo 1001\r\n", "HMSG $G foo 1 1001\r\n", "LMSG o $G foo 0 1001\r\n", "RMSG $G f 999999999\r\n"]
    {
        assert_eq!(fault(line.into(), &RULES).unwrap(), "Payload", "{line}");
    }
    // The largest size costs nothing before its bytes come.
    let mut parser = RouteParser::default();
    let stream = b"RMSG $G foo 999999999\r\nhello";
    assert!(matches!(parser.next(stream, &all), Ok(Step::More(5))));
    let rest = &stream[5..];
    assert_eq!(parser.need(), rest.len() - 5 + 999_999_999 + 1);
    assert!(matches!(parser.next(rest, &all), Ok(Step::More(0))));
    assert_eq!(one("RMSG $G foo 000000005", "hello"), "$G foo > []  hello");
    let exact = format!("RMSG $G foo 1000\r\n{}\r\n", "x".repeat(1000));
    assert_eq!(check_cuts(exact.as_bytes(), &RULES).len(), 1);
    assert_eq!(check_cuts(b"RMSG $G foo 0\r\n\r\nRMSG $G foo 0\r\n\r\n", &RULES).len(), 2);
}

#[test]
fn a_line_may_be_as_long_as_the_rules_say_and_no_byte_longer() {
    let subject = |len: usize| "s".repeat(len - "$G ".len());
    for verb in ["RS+", "RS-", "LS+", "A+", "INFO", "CONNECT", "-ERR", "rs+"] {
        let fits = format!("{verb}   $G {}\r\n", subject(100));
        assert_eq!(check_cuts(fits.as_bytes(), &RULES).len(), 1, "{verb}");
        let long = format!("{verb} $G {}\r\nPING\r\n", subject(101));
        assert_eq!(check_cuts(long.as_bytes(), &RULES), ["ControlLine"], "{verb}");
        let open = format!("{verb} $G {}", subject(102));
        assert_eq!(check_cuts(open.as_bytes(), &RULES), ["ControlLine"], "{verb}, without an end");
    }
    for (len, ops) in [(100, "> []  hi"), (101, "ControlLine")] {
        let line = format!("RMSG $G {} 2\r\nhi\r\n", subject(len - 2));
        let said = check_cuts(line.as_bytes(), &RULES);
        assert!(said.len() == 1 && said[0].ends_with(ops), "{len}: {said:?}");
    }
    // 4,000 queue groups in one line of 64 KiB.
    let queues: Vec<String> = (0..4000).map(|i| format!("queue-{i:08}")).collect();
    let line = format!("RMSG $G foo + reply {} 2\r\nhi\r\n", queues.join(" "));
    let wide = RouteRules { max_control_line: LINE_MAX, ..RULES };
    let Ok(Step::Op(RouteOp::Message(m), used)) = RouteParser::default().next(line.as_bytes(), &wide) else {
        panic!("no message")
    };
    assert_eq!((used, m.reply, m.tail), (line.len(), b"reply".as_slice(), b"2\r\nhi\r\n".as_slice()));
    assert!(m.queues.iter().eq(queues.iter().map(String::as_bytes)));
}

#[test]
fn before_connect_nothing_else_is_heard() {
    let rules = RouteRules { connect_first: true, ..RULES };
    for stream in
        [&b"P"[..], b"INFO {}\r\n", b"RMSG $G foo 2\r\nhi\r\n", b"RS+ $G foo\r\n", b"\r\n", b"Z", b"-ERR 'x'\r\n"]
    {
        assert_eq!(check_cuts(stream, &rules), ["Authorization"], "{}", stream.escape_ascii());
    }
    assert_eq!(check_cuts(b"connect {}\r\n", &rules), ["CONNECT {}"]);
    assert_eq!(check_cuts(b"CX", &rules), ["UnknownOperation"]);
}

#[test]
fn a_message_is_ready_to_leave_however_it_came() {
    let stream = b"RMSG $G foo r 5\r\nhello\r\nHMSG $G foo 02 5\r\nhello\r\nLMSG o $G foo 0 5\r\nhello\r\n";
    let mut parser = RouteParser::default();
    let mut tails = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        // The payload comes later than the line: the long way.
        let Ok(Step::More(used)) = parser.next(&stream[at..stream[at..].len().min(18) + at], &RULES) else { panic!() };
        at += used;
        let Ok(Step::Op(RouteOp::Message(m), used)) = parser.next(&stream[at..], &RULES) else { panic!() };
        at += used;
        assert!(!m.tail.is_empty());
        let mut unused = Body::default();
        let whole = m.message(&mut unused);
        assert_eq!((whole.reply, whole.payload()), (m.reply, m.payload));
        tails.push(m.tail);
    }
    assert_eq!(tails, [&b"5\r\nhello\r\n"[..], b"02 5\r\nhello\r\n", b"5\r\nhello\r\n"]);
    let Ok(Step::Op(RouteOp::Message(m), _)) = parser.next(b"HMSG $G foo 2  5\nhello\r\n", &RULES) else { panic!() };
    assert!(m.tail.is_empty());
    assert_eq!(m.message(&mut Body::default()).tail, b"2 5\r\nhello\r\n");
}

/// Pieces that are often next to each other on a route.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"RMSG ",
        b"HMSG ",
        b"LMSG ",
        b"RS+ ",
        b"RS- ",
        b"rmsg ",
        b"rs+\t",
        b"LS+ ",
        b"A- ",
        b"$G ",
        b"foo ",
        b"a.* ",
        b"| ",
        b"+ ",
        b"q ",
        b"r ",
        b"2",
        b" 2",
        b"1 2",
        b"\r\n",
        b"\r\nhi\r\n",
        b"\n",
        b" ",
        b"\t",
        b"\r",
        b"PING\r\n",
        b"INFO {}",
        b"\0",
    ];
    let piece = prop_oneof![
        8 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ];
    proptest::collection::vec(piece, 1..24).prop_map(|p| p.concat())
}

proptest! {
    #[test]
    fn any_bytes_cut_anywhere_say_the_same(
        stream in pieces(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
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
