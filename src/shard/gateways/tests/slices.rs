//! What is done in slices, turn after turn: who has something left over is gone on with, and nobody else is looked at.

use super::*;
use crate::base::limits::{TELL_PENDING_MAX, TURN_TOLD_MAX};

#[test]
fn who_is_told_in_slices_waits_for_its_socket_and_once_it_knows_all_is_looked_at_no_more() {
    for is_link in [true, false] {
        let mut n = Node::new(1, GatewayInterest::Auto);
        for peer in 1..20 {
            n.link(0, Way::In, "north", true);
            n.route(0, peer, "OTHER");
        }
        n.turn(0, |_| ());
        assert_eq!(n.shards[0].untold, [], "all of them know all there is");
        // Five slices, each of which fills five eighths of what may wait for whoever is told.
        let (c, much) = (n.client(0), 5 * TURN_TOLD_MAX);
        let long = "x".repeat(TELL_PENDING_MAX * 5 / 8 / TURN_TOLD_MAX);
        n.says(0, c, &(0..much).map(|i| format!("SUB {long}.{i} {i}\r\n")).collect::<String>());
        n.out.clear();
        n.frozen = true;
        let conn = if is_link { n.link(0, Way::In, "west", true) } else { n.route(0, 0, "PEER") };
        for _ in 0..4 {
            n.turn(0, |_| ());
            assert_eq!(n.shards[0].untold, [conn], "and nobody else is looked at");
            assert!(!n.shards[0].peer_work, "the next turn waits for the socket");
        }
        let waits = n.shards[0].outbox.conns.get(conn).map_or(0, |c| c.out.pending());
        assert!((TELL_PENDING_MAX..2 * TELL_PENDING_MAX).contains(&waits), "{waits}");
        n.frozen = false;
        for _ in 0..4 {
            n.turn(0, |t| t.writable(conn));
        }
        assert_eq!(n.heard(0, conn).matches("RS+").count(), much);
        assert_eq!(n.shards[0].untold, []);
        // Who ends meanwhile is not gone on with either.
        n.frozen = true;
        let conn = if is_link { n.link(0, Way::In, "west", true) } else { n.route(0, 1, "PEER") };
        assert_eq!(n.shards[0].untold, [conn]);
        n.turn(0, |t| t.lost(conn, Lost::Eof));
        assert_eq!(n.shards[0].untold, []);
    }
}
