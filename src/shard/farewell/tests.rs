//! A lame duck's clients on one shard, millisecond by millisecond.

use crate::base::{Cid, ConnId, Now, Time, MILLISECOND, SECOND};
use crate::policy::Settings;
use crate::shard::{Act, Identity, Opening, Order, Setup, Shard, Sockets, Turn};
use std::sync::Arc;

const MINUTE: u64 = 60 * SECOND;

/// A shard with clients, and in which order their sockets were shut.
struct World {
    shard: Shard,
    now: u64,
    ended: Vec<ConnId>,
    vacant: usize,
}

impl World {
    fn new(clients: u64, seed: u64) -> World {
        let identity = Arc::new(Identity { server_id: "N".into(), server_name: "n".into(), ..Identity::default() });
        let settings = Arc::new(Settings::default());
        let setup = Setup { seed, turn_deliveries_max: 1000, ..Setup::single(settings, identity) };
        let mut world = World { shard: Shard::new(setup), now: SECOND, ended: Vec::new(), vacant: 0 };
        world.turn(|turn| {
            for n in 1..=clients {
                let id = turn.open(Opening {
                    cid: Cid(n),
                    ip: "127.0.0.1".into(),
                    port: 1,
                    over_limit: false,
                    privacy: Default::default(),
                    nonce: [0; 11],
                });
                turn.bytes(id, b"CONNECT {\"verbose\":false}\r\nPING\r\n");
            }
        });
        world
    }

    fn turn(&mut self, input: impl FnOnce(&mut Turn<'_, Sockets>)) {
        let now = Now { mono: Time(self.now), wall_ns: self.now };
        let mut turn = self.shard.begin(now).sockets();
        turn.time();
        input(&mut turn);
        let Ok(mut flush) = turn.end().sockets() else { panic!("there is no ring") };
        while let Some(conn) = flush.dirty() {
            while let n @ 1.. = flush.pending(conn).len() {
                flush.wrote(conn, n);
            }
        }
        while let Some(act) = flush.act() {
            match act {
                Act::Finish(conn) => self.ended.push(conn),
                Act::Vacant => self.vacant += 1,
                _ => {}
            }
        }
    }

    /// Millisecond by millisecond, for so long.
    fn wait(&mut self, ns: u64) {
        for _ in 0..ns / MILLISECOND {
            self.now += MILLISECOND;
            self.turn(|_| {});
        }
    }
}

#[test]
fn clients_go_one_by_one_in_random_order_within_the_time() {
    let orders: Vec<Vec<ConnId>> = (1..4)
        .map(|seed| {
            let mut world = World::new(50, seed);
            world.turn(|turn| turn.order(Order::SendAway { over_ns: 10 * SECOND }));
            assert_eq!(world.ended.len(), 1);
            // 200 ms apart at most, and not less than half of that.
            world.wait(SECOND);
            assert!((5..=11).contains(&world.ended.len()), "{}", world.ended.len());
            world.wait(9 * SECOND);
            assert_eq!(world.ended.len(), 50);
            // Their last words are given time to be read.
            world.wait(SECOND);
            assert_eq!(world.vacant, 1);
            world.ended
        })
        .collect();
    assert!(orders[0] != orders[1] && orders[1] != orders[2]);
}

#[test]
fn few_clients_are_a_second_apart_and_many_go_several_at_a_time() {
    let mut few = World::new(3, 1);
    few.turn(|turn| turn.order(Order::SendAway { over_ns: MINUTE }));
    few.wait(3 * SECOND);
    assert_eq!((few.ended.len(), few.vacant), (3, 1));
    let mut many = World::new(1000, 1);
    many.turn(|turn| turn.order(Order::SendAway { over_ns: 100 * MILLISECOND }));
    many.wait(50 * MILLISECOND);
    assert!((300..1000).contains(&many.ended.len()), "{}", many.ended.len());
    many.wait(60 * MILLISECOND);
    assert_eq!(many.ended.len(), 1000);
}

#[test]
fn who_goes_by_itself_is_not_waited_for() {
    let mut world = World::new(2, 1);
    world.turn(|turn| turn.order(Order::ClientUrls { urls: Arc::from([]), ldm: true }));
    assert_eq!(world.vacant, 0);
    let clients: Vec<ConnId> = world.shard.outbox.conns.iter().map(|(id, _)| id).collect();
    world.turn(|turn| clients.iter().for_each(|c| turn.lost(*c, crate::shard::Lost::Failed("read: gone".into()))));
    world.turn(|_| {});
    assert_eq!(world.vacant, 1);
}
