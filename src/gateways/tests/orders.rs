//! Every line of a handshake in every order, against the machine written down once more as a table.

use super::handshake::{east, info, Bench, CONNECT};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    First,
    Second,
    Registered,
    Dead,
}

fn alphabet() -> [(&'static str, String); 14] {
    [
        ("CONNECT ok", CONNECT.into()),
        ("CONNECT no gateway", "CONNECT {\"name\":\"x\"}\r\n".into()),
        ("CONNECT garbage", "CONNECT {x\r\n".into()),
        ("INFO ok", info("PEER", "peer", "west")),
        ("INFO other", info("PEER", "peer", "zzz")),
        ("INFO garbage", "INFO {x\r\n".into()),
        ("PING", "PING\r\n".into()),
        ("PONG", "PONG\r\n".into()),
        ("RS+", "RS+ $G foo\r\n".into()),
        ("A+", "A+ $G\r\n".into()),
        ("RMSG", "RMSG $G foo 2\r\nhi\r\n".into()),
        ("-ERR", "-ERR 'x'\r\n".into()),
        ("SUB", "SUB foo 1\r\n".into()),
        ("garbage", "\u{1}\u{2}\r\n".into()),
    ]
}

fn expected(dialer: bool, state: Expected, line: &str) -> Expected {
    use Expected::*;
    match (dialer, state, line) {
        (_, Registered | Dead, _) => state,
        (_, _, "PING") => state,
        (false, _, "PONG") | (true, First, "PONG") => state,
        (false, First, "CONNECT ok") => Second,
        (false, Second, "INFO ok") => Registered,
        (true, First, "INFO ok") => Second,
        (true, Second, "PONG" | "RS+" | "A+" | "RMSG" | "INFO ok" | "INFO other" | "INFO garbage") => Registered,
        _ => Dead,
    }
}

/// scenarios.md §5.2, 63: all sequences of four lines, on both sides.
#[test]
fn every_line_in_every_order_has_one_meaning() {
    let lines = alphabet();
    for dialer in [false, true] {
        for n in 0..lines.len().pow(4) {
            let picks: Vec<usize> = (0..4).map(|i| n / lines.len().pow(i) % lines.len()).collect();
            let mut bench = if dialer { Bench::dialer(east()) } else { Bench::acceptor(east()) };
            let mut state = Expected::First;
            for pick in &picks {
                let (name, bytes) = &lines[*pick];
                // Every other sequence arrives in two pieces.
                let (a, b) = bytes.split_at(if n % 2 == 0 { bytes.len() } else { bytes.len() / 2 });
                let before = state;
                state = expected(dialer, state, name);
                bench.written.clear();
                bench.hear(a);
                bench.hear(b);
                let got = (bench.given.len(), bench.closed);
                let want = (usize::from(state == Expected::Registered), state == Expected::Dead);
                let names = || picks.iter().map(|p| lines[*p].0).collect::<Vec<_>>();
                assert_eq!(got, want, "dialer {dialer}, {:?}: {:?}", names(), bench.log);
                let alive = matches!(before, Expected::First | Expected::Second);
                assert_eq!(bench.written == "PONG\r\n", *name == "PING" && alive, "{:?}", names());
            }
        }
    }
}
