//! Questions that wait until those who may bring their answers know who asks (`shard::assurance`).

use super::*;

/// A nats-server that pools passes an answer on only to whom it has heard to want it: it is asked before the question
/// leaves, and what comes meanwhile waits for the next time.
#[test]
fn a_question_leaves_when_those_who_may_bring_its_answer_know_who_asks() {
    let mut n = Node::new(1, GatewayInterest::Auto);
    let (west, peer) = (n.out(0, 1, "west", true), n.route_that(0, 0, "PEER", true));
    n.says(0, west, &format!("{BEGINS}RS+ $G service\r\nRS+ $G plain\r\n{COMPLETE}"));
    n.says(0, peer, "PONG\r\nPONG\r\n"); // of the handshake, and of the first beat
    n.heard(0, peer);
    let a = n.client(0);
    let ask = |i| format!("PUB plain 0\r\n\r\nSUB in.{i} {i}\r\nPUB service in.{i} 0\r\n\r\n");
    n.says(0, a, &ask(1));
    assert_eq!(n.heard(0, peer), "RS+ $G in.1\r\nPING\r\n");
    assert_eq!(n.heard(0, west), "RMSG $G plain 0\r\n\r\n", "what came before needs not wait");
    n.says(0, a, &ask(2));
    assert_eq!((n.heard(0, peer).as_str(), n.heard(0, west).as_str()), ("RS+ $G in.2\r\n", ""));
    n.says(0, peer, "PONG\r\n");
    let mapped = |i| format!("RMSG $G service {}in.{i} 0\r\n\r\n", prefix());
    assert_eq!(n.heard(0, west), format!("{}RMSG $G plain 0\r\n\r\n", mapped(1)));
    assert_eq!(n.heard(0, peer), "PING\r\n");
    n.says(0, a, "PUB service in.2 0\r\n\r\n");
    n.says(0, peer, "PONG\r\n");
    assert_eq!(n.heard(0, west), mapped(2).repeat(2));
    n.says(0, a, "PUB service in.2 0\r\n\r\n");
    assert_eq!((n.heard(0, peer).as_str(), n.heard(0, west)), ("", mapped(2)), "it is known by now");
    // Who does not answer is not waited for, until it does; and nobody who is gone.
    n.says(0, a, &ask(3));
    assert_eq!(n.heard(0, west), "RMSG $G plain 0\r\n\r\n");
    n.later(SECOND / 5);
    n.turn(0, |_| ());
    assert_eq!(n.heard(0, west), mapped(3));
    n.says(0, a, "SUB in.4 4\r\nPUB service in.4 0\r\n\r\n");
    assert_eq!(n.heard(0, west), mapped(4));
    n.says(0, peer, "PONG\r\n");
    n.heard(0, peer);
    n.says(0, a, "SUB in.5 5\r\nPUB service in.5 0\r\n\r\n");
    assert_eq!((n.heard(0, peer).as_str(), n.heard(0, west).as_str()), ("RS+ $G in.5\r\nPING\r\n", ""));
    n.turn(0, |t| t.lost(peer, Lost::Eof));
    assert_eq!(n.heard(0, west), mapped(5));
}
