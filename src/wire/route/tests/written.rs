//! Tests of what is written: read again it is what was meant, no name breaks out of its place, no line is too long.

use super::*;

const WIDE: RouteRules = RouteRules { max_control_line: LINE_MAX, max_payload: 1 << 20, connect_first: false };

/// A message as all its deliveries share it.
fn message<'a>(reply: &'a [u8], header: usize, size: usize, tail: &'a [u8]) -> Message<'a> {
    Message { subject: b"foo", reply, header, size, tail }
}

fn names(account: &[u8], subject: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_names(&mut out, account, subject).unwrap();
    out
}

fn written(queues: &[&[u8]], m: &Message<'_>, headers: bool) -> String {
    let mut out = b"before".to_vec();
    write_message(&mut out, &names(b"$G", m.subject), queues.iter().copied(), m, headers).unwrap();
    String::from_utf8(out.split_off(6)).unwrap()
}

#[test]
fn messages_leave_in_every_form() {
    let plain = message(b"", 0, 2, b"2\r\nhi\r\n");
    let asked = message(b"r.1", 0, 2, b"2\r\nhi\r\n");
    assert_eq!(written(&[], &plain, true), "RMSG $G foo 2\r\nhi\r\n");
    assert_eq!(written(&[], &asked, true), "RMSG $G foo r.1 2\r\nhi\r\n");
    assert_eq!(written(&[b"q"], &plain, true), "RMSG $G foo | q 2\r\nhi\r\n");
    assert_eq!(written(&[b"q1", b"q2"], &asked, true), "RMSG $G foo + r.1 q1 q2 2\r\nhi\r\n");
    let tail = b"018 20\r\nNATS/1.0\r\nK: v\r\n\r\nhi\r\n";
    let plain = message(b"", 18, 20, tail);
    let asked = message(b"r.1", 18, 20, tail);
    let all = std::str::from_utf8(tail).unwrap();
    assert_eq!(written(&[], &plain, true), format!("HMSG $G foo {all}"));
    assert_eq!(written(&[], &asked, true), format!("HMSG $G foo r.1 {all}"));
    assert_eq!(written(&[b"q"], &plain, true), format!("HMSG $G foo | q {all}"));
    assert_eq!(written(&[b"q"], &asked, true), format!("HMSG $G foo + r.1 q {all}"));
    // To a peer without headers (cluster-protocol.md §3.4, C6).
    assert_eq!(written(&[], &plain, false), "RMSG $G foo 2\r\nhi\r\n");
    assert_eq!(written(&[b"q"], &asked, false), "RMSG $G foo + r.1 q 2\r\nhi\r\n");
    assert_eq!(written(&[], &message(b"", 2, 2, b"2 2\r\nhh\r\n"), false), "RMSG $G foo 0\r\n\r\n");
}

#[test]
fn interest_leaves_in_every_form() {
    let mut out = Vec::new();
    write_interest(&mut out, b"$G", b"foo.>", b"", 7).unwrap();
    write_interest(&mut out, b"$G", b"bar", b"q", 2).unwrap();
    write_interest(&mut out, b"$G", b"bar", b"q", u32::MAX).unwrap();
    write_interest(&mut out, b"$G", b"bar", b"q", 0).unwrap();
    write_no_interest(&mut out, b"$G", b"bar", b"q").unwrap();
    write_no_interest(&mut out, b"$G", b"foo.>", b"").unwrap();
    let want =
        "RS+ $G foo.>\r\nRS+ $G bar q 2\r\nRS+ $G bar q 999999999\r\nRS- $G bar q\r\nRS- $G bar q\r\nRS- $G foo.>\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), want);
}

#[test]
fn no_name_breaks_out_of_its_place() {
    let m = message(b"r", 0, 2, b"2\r\nhi\r\n");
    for at in 0..20 {
        for bad in [b' ', b'\t', b'\r', b'\n', 0] {
            let mut name = vec![b'a'; 20];
            name[at] = bad;
            assert!(!sayable(&name));
            // The same with a legal control beside it.
            name[(at + 1) % 20] = 1;
            assert!(!sayable(&name));
            let mut out = b"x".to_vec();
            assert_eq!(write_names(&mut out, &name, b"foo"), Err(Unsayable::Name));
            assert_eq!(write_names(&mut out, b"$G", &name), Err(Unsayable::Name));
            for [account, subject, queue] in [[&name[..], b"s", b"q"], [b"a", &name, b"q"], [b"a", b"s", &name]] {
                assert_eq!(write_interest(&mut out, account, subject, queue, 1), Err(Unsayable::Name));
                assert_eq!(write_no_interest(&mut out, account, subject, queue), Err(Unsayable::Name));
            }
            let m = message(&name, 0, 2, m.tail);
            let names = names(b"$G", b"foo");
            assert_eq!(write_message(&mut out, &names, [], &m, true), Err(Unsayable::Name));
            let queues = [b"q".as_slice(), &name];
            assert_eq!(
                write_message(&mut out, &names, queues, &message(b"", 0, 2, m.tail), true),
                Err(Unsayable::Name)
            );
            assert_eq!(out, b"x", "what cannot be said is not begun");
        }
    }
    for good in [&b"a"[..], b"\x01", b"\x1f\x7f\x80\xff\x0b\x0c\x0e\x1b", b"$SYS.REQ.*.>", "é.ü".as_bytes()] {
        assert!(sayable(good), "{}", good.escape_ascii());
    }
    let mut out = Vec::new();
    assert!(!sayable(b""));
    assert_eq!(write_interest(&mut out, b"", b"foo", b"", 1), Err(Unsayable::Name));
    assert_eq!(write_message(&mut out, &names(b"$G", b"foo"), [b"".as_slice()], &m, true), Err(Unsayable::Name));
    assert_eq!(out, b"");
}

#[test]
fn no_line_is_longer_than_a_peer_allows() {
    let mut out = Vec::new();
    let subject = vec![b's'; LINE_MAX - "RS+ $G ".len()];
    assert_eq!(write_interest(&mut out, b"$G", &subject, b"", 1), Ok(()));
    assert_eq!(out.len(), LINE_MAX + 2);
    out.clear();
    assert_eq!(write_interest(&mut out, b"$GG", &subject, b"", 1), Err(Unsayable::Line));
    assert_eq!(write_no_interest(&mut out, b"$G", &subject, b"q"), Err(Unsayable::Line));
    assert_eq!(out, b"");
    for m in [message(b"", 0, 2, b"2\r\nhi\r\n"), message(b"reply", 18, 20, b"18 20\r\nNATS/1.0\r\nK: v\r\n\r\nhi\r\n")]
    {
        let names = names(b"$G", b"foo");
        // Exactly what is said to fit does.
        let name = vec![b'q'; queue_room(&names, &m) - 1];
        write_message(&mut out, &names, [name.as_slice()], &m, true).unwrap();
        assert_eq!(memchr::memchr(b'\n', &out), Some(LINE_MAX + 1));
        assert_eq!(play(&[&out], &WIDE).len(), 1);
        out.clear();
        let queues = [&name[..name.len() - 1], b"q"];
        assert_eq!(write_message(&mut out, &names, queues, &m, true), Err(Unsayable::Line));
        assert_eq!(out, b"");
    }
}

/// Names as they come from anywhere.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-z.*>$|+0-9]{1,12}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_it_was_meant(
        account in name(), subject in name(), reply in prop_oneof![Just(Vec::new()), name()],
        queues in proptest::collection::vec(name(), 0..4), weight in 0u32..2_000_000_000,
        header in 0usize..20, body in proptest::collection::vec(any::<u8>(), 0..40), headers: bool,
    ) {
        let all = [&b"h".repeat(header)[..], &body].concat();
        let sizes = if header > 0 { format!("{header} {}", all.len()) } else { all.len().to_string() };
        let tail = [sizes.as_bytes(), b"\r\n", &all, b"\r\n"].concat();
        let m = Message { subject: &subject, reply: &reply, header, size: all.len(), tail: &tail };
        let queue = queues.first().map(Vec::as_slice).unwrap_or_default();
        let (mut out, mut want) = (Vec::new(), Vec::new());
        if write_interest(&mut out, &account, &subject, queue, weight).is_ok() {
            let weight = if queue.is_empty() { 1 } else { weight.min(WEIGHT_MAX) };
            want.push(match weight {
                0 => told(&RouteOp::NoInterest { account: &account, subject: &subject, queue }),
                _ => told(&RouteOp::Interest { account: &account, subject: &subject, queue, weight }),
            });
        }
        if write_no_interest(&mut out, &account, &subject, queue).is_ok() {
            want.push(told(&RouteOp::NoInterest { account: &account, subject: &subject, queue }));
        }
        let mut names = Vec::new();
        if write_names(&mut names, &account, &subject).is_ok()
            && write_message(&mut out, &names, queues.iter().map(Vec::as_slice), &m, headers).is_ok()
        {
            let text = |b: &[u8]| b.escape_ascii().to_string();
            let queues: Vec<_> = queues.iter().map(|q| text(q)).collect();
            let said_header = if headers { &all[..header] } else { b"" };
            want.push(format!(
                "{} {} >{} {queues:?} {} {}", text(&account), text(&subject), text(&reply), text(said_header), text(&body),
            ));
        }
        prop_assert_eq!(play(&[&out], &WIDE), want, "{}", out.escape_ascii());
    }
}
