//! What may be said before it is known who says it.

use super::handshake::{guarded, info, open, Bench, CONNECT};
use crate::base::Cid;
use crate::mesh::Cause;

/// Where peers have to say who they are, one line is all that they may say before, however it comes.
#[test]
fn who_has_to_say_who_he_is_may_say_little_else() {
    let connect = |length: usize| {
        let line = CONNECT.replace("\"name\"", "\"user\":\"u\",\"pass\":\"p\",\"x\":\"\",\"name\"");
        line.replace("\"x\":\"\"", &format!("\"x\":\"{}\"", "y".repeat(length - line.len())))
    };
    let too_long = "-ERR 'maximum control line exceeded'\r\n";
    for piece in [1, 100, 5000] {
        for (length, passes) in [(4096, true), (4097, false)] {
            let mut bench = Bench::acceptor(guarded("p"));
            for part in connect(length).as_bytes().chunks(piece) {
                bench.hear(std::str::from_utf8(part).unwrap());
            }
            assert_eq!(
                (bench.closed, bench.written.as_str()),
                (!passes, if passes { "" } else { too_long }),
                "{piece}"
            );
        }
    }
    // What follows is not known to be anybody's while the hash is compared.
    for (more, passes) in [(info("PEER", ""), true), ("x".repeat(4000), false)] {
        let mut bench = Bench::acceptor(guarded("$2b$04$abc"));
        bench.hear(&(connect(200) + &more));
        assert_eq!(bench.closed, !passes, "{:?}", bench.log);
    }
    // With what is known behind CONNECT nothing is wrong, and where nobody is asked there is only the longest line.
    let mut known = Bench::acceptor(guarded("p"));
    known.hear(&(connect(200) + &info("PEER", &format!(",\"x\":\"{}\"", "y".repeat(9000)))));
    assert_eq!(known.given.len(), 1);
    let mut unasked = Bench::acceptor(open());
    unasked.hear(&connect(9000));
    assert!(!unasked.closed);
}

/// What a password costs to compare is not paid for those who present none.
#[test]
fn whoever_presents_nothing_where_somebody_was_refused_has_no_hash_compared() {
    let mut bench = Bench::acceptor(guarded("$2b$04$abc"));
    bench.hear(CONNECT);
    bench.compared(false);
    assert!(bench.closed);
    bench.written.clear();
    bench.accept(Cid(10));
    bench.hear_on(Cid(10), CONNECT).after(500);
    assert_eq!(bench.written, "-ERR 'Authorization Violation'\r\n");
    bench.written.clear();
    bench.accept(Cid(11));
    bench.hear_on(Cid(11), &CONNECT.replace("\"name\"", "\"user\":\"u\",\"pass\":\"p\",\"name\"")).after(500);
    assert!(bench.written.starts_with("INFO {") && bench.written.lines().count() == 1, "{}", bench.written);
}

/// A nats-server whose route ended calls without a login, a thousand times a second, and takes our INFO for a route.
#[test]
fn who_calls_from_where_somebody_was_refused_waits_for_the_first_word() {
    let refusal = "-ERR 'Authorization Violation'\r\n";
    let mut bench = Bench::acceptor(guarded("p"));
    bench.hear(CONNECT);
    assert_eq!(bench.written, refusal);
    let mut call = |link: u64, said: &str| {
        bench.written.clear();
        bench.accept(Cid(link));
        bench.hear_on(Cid(link), said).after(499);
        assert_eq!(bench.written, "", "{link} waits");
        bench.after(1);
        (std::mem::take(&mut bench.written), bench.given.len())
    };
    // Who is wrong again is not told who we are.
    assert_eq!(call(10, CONNECT), (refusal.into(), 0));
    let right = CONNECT.replace("\"name\"", "\"user\":\"u\",\"pass\":\"p\",\"name\"");
    let (greeting, routes) = call(11, &(right + &info("PEER", "")));
    assert!(greeting.starts_with("INFO {") && greeting.lines().count() == 1 && routes == 1, "{greeting}");
    // Who has a route learns that from our INFO, and calls no more.
    let (greeting, _) = call(12, CONNECT);
    assert!(greeting.starts_with("INFO {") && greeting.ends_with(refusal), "{greeting}");
    let (greeting, _) = call(13, "");
    assert!(greeting.starts_with("INFO {") && greeting.lines().count() == 1, "{greeting}");
    assert_eq!(bench.failed(Cause::Credentials), 3);
    bench.after(2000);
    bench.written.clear();
    bench.accept(Cid(14));
    assert!(bench.written.starts_with("INFO {"), "it is forgotten");
}
