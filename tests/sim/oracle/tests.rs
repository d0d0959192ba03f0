//! The judge judged: matching by definition, and the plainest case of each verdict.

use super::{matches, payload, Oracle};

#[test]
fn patterns_match_by_definition() {
    for (p, s, want) in [
        ("a.b", "a.b", true),
        ("a.*", "a.b", true),
        ("a.>", "a.b.c", true),
        ("a.>", "a", false),
        ("*", "a.b", false),
        ("a.*.c", "a.b.d", false),
    ] {
        assert_eq!(matches(p, s), want, "{p} {s}");
    }
}

#[test]
fn a_confirmed_subscription_must_hear_and_an_ended_one_must_not() {
    let mut o = Oracle::default();
    let (a, b) = (o.open(0, 0, true, true), o.open(1, 0, true, true));
    let s = o.sub(a, 1, "x", None, None);
    o.ping(a);
    o.pong(a).unwrap();
    let m = o.publish(b, "x", "", 10, None);
    o.ping(b);
    o.pong(b).unwrap();
    o.ping(a);
    o.pong(a).unwrap();
    assert!(o.judge().unwrap_err().starts_with("I3"));
    let (head, body) = (o.header(m), payload(m, 10));
    assert_eq!(o.heard(a, 1, "x", "", &head, &body), Ok(Some(m)));
    assert_eq!(o.judge(), Ok(()));
    assert!(o.heard(a, 1, "x", "", &head, &body).unwrap_err().starts_with("I1"));
    o.unsub(s);
    o.ping(a);
    o.pong(a).unwrap();
    let late = o.publish(b, "x", "", 10, None);
    assert!(o.heard(a, 1, "x", "", &[], &payload(late, 10)).unwrap_err().starts_with("I4"));
}
