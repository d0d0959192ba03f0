//! What may be said before it is known who says it.

use super::handshake::{guarded, info, open, Bench, CONNECT};

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
