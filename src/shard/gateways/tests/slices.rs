//! What is done in slices, turn after turn: who has something left over is gone on with, and nobody else is looked at.

use super::*;
use crate::base::limits::{DELIVERY_BYTES, TELL_PENDING_MAX, TURN_DELIVERIES_MAX, TURN_FORGOTTEN_MAX, TURN_TOLD_MAX};
use crate::interest::far::Mode;

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

/// One turn of one shard, with nothing new.
fn one_turn(n: &mut Node, shard: usize) {
    let mut turn = n.shards[shard].begin(n.now).sockets();
    turn.time();
    let mut flush = turn.end();
    while flush.heard().is_some() {}
}

#[test]
fn an_account_refused_with_a_hundred_thousand_entries_is_taken_out_in_slices() {
    const MANY: usize = 100_000;
    let mut n = Node::new(2, GatewayInterest::Auto);
    let (c, west) = (n.client(1), n.out(0, 3, "west", true));
    let command =
        |cmd| format!("INFO {{\"gateway\":\"west\",\"gateway_cmd\":{cmd},\"gateway_cmd_payload\":\"JEc=\"}}\r\n");
    let all: String = (0..MANY).map(|i| format!("RS+ $G a.{i}\r\n")).collect();
    n.says(0, west, &format!("{}{all}{}", command(2), command(3)));
    n.says(1, c, "PUB a.7 1\r\nx\r\n");
    assert_eq!(short(&n.heard(0, west)), ["RMSG $G a.7 1", "x"]);
    // Refused whole: by this turn nothing is wanted, and nearly all of it still stands there.
    let mut turn = n.shards[0].begin(n.now).sockets();
    turn.bytes(west, b"A- $G\r\n");
    let told = turn.end().batch(ShardId(1)).expect("the other shard is told");
    let mut turn = n.shards[1].begin(n.now);
    turn.batch(ShardId(0), told);
    let _ = turn.sockets().end();
    let left = |n: &Node, shard: usize| n.shards[shard].worlds[0].fars.outdated(FarId(3)) as usize;
    let interest = |n: &Node| n.shards[0].outbox.conns.get(west).and_then(|c| c.gateway.as_deref()).map(|l| l.interest);
    for shard in [0, 1] {
        assert_eq!(left(&n, shard), MANY);
        assert_eq!(n.shards[shard].worlds[0].fars.held(FarId(3)).mode, Mode::Refused);
    }
    // A few slices later it is wanted again, in part: both shards know it at once.
    let mut turns = 0;
    while left(&n, 0) > 0 || left(&n, 1) > 0 {
        for shard in [0, 1] {
            let before = left(&n, shard);
            one_turn(&mut n, shard);
            assert!(before - left(&n, shard) <= TURN_FORGOTTEN_MAX, "turn {turns} of shard {shard}");
        }
        turns += 1;
        if turns == 3 {
            let again = format!("A+ $G\r\n{}RS+ $G a.8\r\nRS+ $G b\r\nRS- $G b\r\n{}", command(2), command(3));
            let mut turn = n.shards[0].begin(n.now).sockets();
            turn.bytes(west, again.as_bytes());
            let told = turn.end().batch(ShardId(1)).expect("the other shard is told");
            let mut turn = n.shards[1].begin(n.now);
            turn.batch(ShardId(0), told);
            let _ = turn.sockets().end();
            assert!(left(&n, 0) > MANY / 2 && left(&n, 1) > MANY / 2);
            assert_eq!(interest(&n), Some(left(&n, 0) as u64 + 1), "what still takes room counts");
            // A client of this shard asks, then one of the other.
            let mut turn = n.shards[1].begin(n.now).sockets();
            turn.bytes(c, b"PUB a.7 1\r\nx\r\nPUB a.8 1\r\ny\r\nPUB b 1\r\nz\r\n");
            let told = turn.end().batch(ShardId(0)).expect("one of them crosses");
            let mut turn = n.shards[0].begin(n.now);
            turn.batch(ShardId(1), told);
            let Ok(flush) = turn.sockets().end().sockets() else { panic!("nothing is full here") };
            assert_eq!(short(&String::from_utf8_lossy(flush.pending(west))), ["RMSG $G a.8 1", "y"]);
        }
    }
    assert!(turns > MANY / TURN_FORGOTTEN_MAX, "{turns}");
    assert_eq!(interest(&n), Some(1));
    n.turn(0, |t| t.lost(west, Lost::Eof));
    let forgotten = n.tidings.iter().filter(|t| matches!(t, GatewayTidings::Forgotten { far: FarId(3) })).count();
    assert_eq!(forgotten, 2, "each shard says so");
}

#[test]
fn a_turn_of_large_messages_makes_the_shard_grow_by_no_more_than_is_stated() {
    const SIZE: usize = 64 << 10;
    const RECEIVERS: usize = 20;
    // The message that exceeds it is delivered whole.
    let most = TURN_DELIVERIES_MAX as usize * DELIVERY_BYTES + RECEIVERS * (SIZE + 64);
    for from in ["a client", "a route", "a gateway", "another shard"] {
        let mut n = Node::new(2, GatewayInterest::Auto);
        for _ in 0..RECEIVERS {
            let c = n.client(0);
            n.says(0, c, "SUB a 1\r\n");
        }
        let (conn, line) = match from {
            "a client" => (n.client(0), "PUB a"),
            "a route" => (n.route(0, 1, "PEER"), "RMSG $G a"),
            "a gateway" => (n.link(0, Way::In, "west", true), "RMSG $G a"),
            _ => (n.client(1), "PUB a"),
        };
        n.turn(0, |_| ());
        let data = format!("{line} {SIZE}\r\n{}\r\n", "x".repeat(SIZE)).repeat(200);
        let mut batches = Vec::new();
        if from == "another shard" {
            let mut data = Some(data.as_bytes());
            for _ in 0..200 {
                let mut turn = n.shards[1].begin(n.now).sockets();
                turn.time();
                data.take().into_iter().for_each(|data| turn.bytes(conn, data));
                batches.extend(turn.end().batch(ShardId(0)));
            }
        }
        let pending = |n: &Node| n.shards[0].outbox.conns.iter().map(|(_, c)| c.out.pending()).sum::<usize>();
        let before = pending(&n);
        let mut turn = n.shards[0].begin(n.now);
        batches.into_iter().for_each(|batch| turn.batch(ShardId(1), batch));
        let mut turn = turn.sockets();
        if from != "another shard" {
            turn.bytes(conn, data.as_bytes());
        }
        let _ = turn.end();
        let grown = pending(&n) - before;
        assert!((most / 2..=most).contains(&grown), "{from}: {grown}, {most} may be");
        one_turn(&mut n, 0);
        assert!(pending(&n) - before > grown, "{from}: the next turn goes on");
    }
}
