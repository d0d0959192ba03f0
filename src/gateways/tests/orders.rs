//! Every line of a handshake in every order, against the machine written down once more as a table.

use super::handshake::{east, guarded, info, Bench, CONNECT};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    First,
    Second,
    Registered,
    Dead,
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

fn alphabet() -> Vec<(&'static str, String)> {
    let connect = |more: &str| CONNECT.replace("\"name\"", &format!("{more},\"name\""));
    let more = |more: &str| info("PEER", "peer", "west").replace("\"headers\"", &format!("{more},\"headers\""));
    vec![
        ("CONNECT ok", CONNECT.into()),
        ("CONNECT known", connect("\"user\":\"u\",\"pass\":\"p\"")),
        ("CONNECT wrong", connect("\"user\":\"u\",\"pass\":\"x\"")),
        ("CONNECT own cluster", CONNECT.replace("west", "east")),
        ("CONNECT no gateway", "CONNECT {\"name\":\"x\"}\r\n".into()),
        ("CONNECT garbage", "CONNECT {x\r\n".into()),
        ("INFO ok", info("PEER", "peer", "west")),
        ("INFO other", info("PEER", "peer", "zzz")),
        ("INFO own id", info("ME", "peer", "west")),
        ("INFO own name", info("PEER", "n0", "west")),
        ("INFO command", more("\"gateway_cmd\":1,\"gateway_cmd_payload\":\"JEc=\"")),
        ("INFO client port", "INFO {\"server_id\":\"PEER\",\"client_id\":7}\r\n".into()),
        ("INFO nobody", "INFO {}\r\n".into()),
        ("INFO types", "INFO {\"server_id\":1,\"gateway\":[],\"port\":\"x\"}\r\n".into()),
        ("INFO garbage", "INFO {x\r\n".into()),
        ("PING", "PING\r\n".into()),
        ("PONG", "PONG\r\n".into()),
        ("+OK", "+OK\r\n".into()),
        ("RS+", "RS+ $G foo\r\n".into()),
        ("A+", "A+ $G\r\n".into()),
        ("RMSG", "RMSG $G foo 2\r\nhi\r\n".into()),
        ("-ERR", "-ERR 'x'\r\n".into()),
        ("SUB", "SUB foo 1\r\n".into()),
        ("garbage", "\u{1}\u{2}\r\n".into()),
    ]
}

fn expected(side: Side, state: Expected, line: &str) -> Expected {
    use Expected::*;
    let speaks = line.starts_with("INFO") || matches!(line, "PONG" | "RS+" | "A+" | "RMSG");
    match (side.dialer, state, line) {
        (_, Registered | Dead, _) => state,
        (false, First, "CONNECT known") => Second,
        // Who has to say who he is says nothing else before.
        (false, First, _) if side.guarded => Dead,
        (false, First, "CONNECT ok" | "CONNECT wrong") => Second,
        (_, _, "PING" | "+OK") => state,
        (false, _, "PONG") | (true, First, "PONG") => state,
        (false, Second, "INFO ok") => Registered,
        // A command without a link is none; what it stands in says who answers.
        (true, First, "INFO ok" | "INFO command") => Second,
        // Behind our own INFO the acceptor speaks as the other end of the link.
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
                let (ended, open): (Vec<_>, Vec<_>) = all.into_iter().partition(|p| play(&lines, side, torn, p));
                begun = open.into_iter().chain(ended.into_iter().step_by(17)).collect();
            }
        }
    }
}

/// Plays a sequence; true: the handshake is over.
fn play(lines: &[(&'static str, String)], side: Side, torn: bool, picks: &[usize]) -> bool {
    let mut bench = match side {
        Side { dialer: true, .. } => Bench::dialer(east()),
        Side { guarded: true, .. } => Bench::acceptor(guarded("p")),
        Side { .. } => Bench::acceptor(east()),
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
        let alive = !matches!(before, Expected::Registered | Expected::Dead);
        let answered = *name == "PING" && alive && state != Expected::Dead;
        assert_eq!(bench.written == "PONG\r\n", answered, "{:?}", names());
    }
    matches!(state, Expected::Registered | Expected::Dead)
}
