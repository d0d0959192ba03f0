//! Every line of a handshake in every order, against the machine written down once more as a table.

use super::handshake::{dialing, guarded, info, open, Bench, CONNECT};

/// What each line of the alphabet does, by stage: the machine once more, as a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    First,
    Second,
    /// Dialed: a client port that takes routes was asked for one.
    Asked,
    /// Dialed: one that does not was asked where they are taken.
    Lost,
    Registered,
    /// Accepted for one account: nothing is read any more.
    Ignored,
    Dead,
}

fn alphabet() -> Vec<(&'static str, String)> {
    let connect = |more: &str| CONNECT.replace("\"echo\"", &format!("{more},\"echo\""));
    vec![
        ("CONNECT ok", CONNECT.into()),
        ("CONNECT known", connect("\"user\":\"u\",\"pass\":\"p\"")),
        ("CONNECT wrong", connect("\"user\":\"u\",\"pass\":\"x\"")),
        ("CONNECT other cluster", CONNECT.replace("c1", "zzz")),
        ("CONNECT client", connect("\"lang\":\"go\"")),
        ("CONNECT gateway", connect("\"gateway\":\"g\"")),
        ("CONNECT garbage", "CONNECT {x\r\n".into()),
        ("INFO ok", info("PEER", "")),
        // What a 2.15 says: a pool and compression, which nobody here answers.
        ("INFO pool", info("PEER", ",\"route_pool_size\":3,\"compression\":\"accept\",\"lnocu\":true")),
        ("INFO account", info("PEER", ",\"route_account\":\"$SYS\"")),
        ("INFO other cluster", info("PEER", ",\"cluster\":\"zzz\"")),
        ("INFO client port", info("PEER", ",\"client_id\":7")),
        ("INFO client port of ours", info("PEER", ",\"client_id\":7,\"turnpike\":\"1\"")),
        ("INFO takes routes", info("PEER", ",\"client_id\":7,\"turnpike\":\"1\",\"takes_routes\":true")),
        ("INFO gateway", info("PEER", ",\"gateway\":\"g\"")),
        ("INFO own id", info("ME", "")),
        ("INFO nobody", "INFO {}\r\n".into()),
        ("INFO garbage", "INFO {x\r\n".into()),
        ("PING", "PING\r\n".into()),
        ("PONG", "PONG\r\n".into()),
        ("+OK", "+OK\r\n".into()),
        ("RS+", "RS+ $G foo\r\n".into()),
        ("RMSG", "RMSG $G foo 2\r\nhi\r\n".into()),
        ("-ERR", "-ERR 'x'\r\n".into()),
        ("SUB", "SUB foo 1\r\n".into()),
        ("garbage", "\u{1}\u{2}\r\n".into()),
    ]
}

/// Which side we are on, and whether those who come have to say who they are.
#[derive(Clone, Copy, Debug)]
struct Side {
    dialer: bool,
    guarded: bool,
}

const SIDES: [Side; 3] = [
    Side { dialer: false, guarded: false },
    Side { dialer: false, guarded: true },
    Side { dialer: true, guarded: false },
];

fn expected(side: Side, state: Expected, line: &str) -> Expected {
    use Expected::*;
    let Side { dialer, guarded } = side;
    let speaks = line.starts_with("INFO") || matches!(line, "PONG" | "RS+" | "RMSG");
    match (dialer, state, line) {
        (_, Registered | Ignored | Dead, _) => state,
        (false, First, "CONNECT known") => Second,
        // Who has to say who he is says nothing else before.
        (false, First, _) if guarded => Dead,
        (false, First, "CONNECT ok" | "CONNECT wrong") => Second,
        (_, _, "PING" | "+OK") => state,
        (false, _, "PONG") => state,
        // A gateway or a client port is not looked for in the INFO of who has said CONNECT as a route.
        (false, Second, "INFO ok" | "INFO pool" | "INFO gateway") => Registered,
        (false, Second, "INFO client port" | "INFO client port of ours" | "INFO takes routes") => Registered,
        (false, Second, "INFO account") => Ignored,
        (true, First, "INFO ok" | "INFO pool" | "INFO account") => Second,
        (true, First, "INFO takes routes") => Asked,
        (true, First, "INFO client port of ours") => Lost,
        (true, First | Asked | Lost, "PONG") => state,
        (true, Asked, "INFO ok" | "INFO pool" | "INFO account" | "INFO gateway") => Second,
        (true, Asked | Lost, "INFO client port" | "INFO client port of ours" | "INFO takes routes") => state,
        // Behind our own INFO the acceptor speaks as a route.
        (true, Second, _) if speaks => Registered,
        _ => Dead,
    }
}

/// scenarios.md §5.2, 63: all sequences of up to four lines, on both sides, whole and torn. What follows the end of a
/// handshake changes nothing, whatever it is, and is played in part only.
#[test]
fn every_line_in_every_order_has_one_meaning() {
    let lines = alphabet();
    for side in SIDES {
        for torn in [false, true] {
            let mut begun: Vec<Vec<usize>> = vec![Vec::new()];
            for _ in 0..4 {
                let further =
                    begun.iter().flat_map(|b| (0..lines.len()).map(move |pick| [b.as_slice(), &[pick]].concat()));
                let all: Vec<Vec<usize>> = further.collect();
                let over = |picks: &Vec<usize>| play(&lines, side, torn, picks);
                let (ended, open): (Vec<_>, Vec<_>) = all.into_iter().partition(over);
                // Of those that are over, some go on all the same.
                begun = open.into_iter().chain(ended.into_iter().step_by(17)).collect();
            }
        }
    }
}

/// Plays a sequence; true: the handshake is over.
fn play(lines: &[(&'static str, String)], side: Side, torn: bool, picks: &[usize]) -> bool {
    let mut bench = match side {
        Side { dialer: true, .. } => Bench::dialer(dialing()),
        Side { guarded: true, .. } => Bench::acceptor(guarded("p")),
        Side { .. } => Bench::acceptor(open()),
    };
    let mut state = Expected::First;
    for pick in picks {
        let (name, bytes) = &lines[*pick];
        let (a, b) = bytes.split_at(if torn { bytes.len() / 2 } else { bytes.len() });
        let before = state;
        state = expected(side, state, name);
        bench.written.clear();
        bench.hear(a);
        bench.hear(b);
        let got = (bench.given.len(), bench.closed);
        let want = (usize::from(state == Expected::Registered), state == Expected::Dead);
        let names = || picks.iter().map(|p| lines[*p].0).collect::<Vec<_>>();
        assert_eq!(got, want, "{side:?}, torn {torn}, {:?}: {:?}", names(), bench.log);
        let alive = !matches!(before, Expected::Registered | Expected::Ignored | Expected::Dead);
        let answered = *name == "PING" && alive && state != Expected::Dead;
        assert_eq!(bench.written == "PONG\r\n", answered, "{:?}", names());
    }
    assert!(bench.log.len() <= 2, "{:?}", bench.log);
    matches!(state, Expected::Registered | Expected::Ignored | Expected::Dead)
}
