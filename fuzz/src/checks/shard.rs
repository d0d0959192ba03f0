//! Arbitrary bytes, in arbitrary pieces, from several connections into one or two shards, among time, stuck sockets,
//! ends and orders. Nothing panics; the same input gives the same output; what waits for anybody stays below its limit;
//! what is written can be read; when everybody has gone nothing is left.
//!
//! The first byte says how the shards are. From there on a byte 0xFF and the one behind it are an event (see
//! [`Play::event`]), everything else is what the client whose turn it is says; an event ends the piece.

use super::house::{Event, House};
use turnpike::base::{Time, MILLISECOND, SECOND};
use turnpike::policy::settings::{Account, Secret, User};
use turnpike::policy::{Found, Settings};
use turnpike::shard::{Answer, Ask, Lost, Order};

/// Connections that may be open at a time.
const CLIENTS: usize = 6;
const MAX_PENDING: usize = 16 << 10;

/// See the file's head.
pub fn check(data: &[u8]) {
    let once = play(data);
    assert!(once == play(data), "the same input, another output");
}

/// Plays the input and returns everything that was written, by client.
fn play(data: &[u8]) -> Vec<Vec<u8>> {
    let (frame, rest) = data.split_first().unwrap_or((&0, &[]));
    let shards = 1 + usize::from(frame & 1);
    let mut play = Play {
        house: House::new(
            shards,
            if frame & 2 > 0 { 1 } else { 8 },
            if frame & 16 > 0 { 2 } else { 1000 },
            settings(*frame),
        ),
        shards,
        places: [None; CLIENTS],
        speaker: 0,
    };
    let mut at = 0;
    while at < rest.len() {
        let end = rest[at..].iter().position(|b| *b == 0xff).map_or(rest.len(), |n| at + n);
        play.speak(&rest[at..end]);
        play.event(rest.get(end + 1).copied().unwrap_or_default());
        play.judge();
        at = end + 2;
    }
    play.end()
}

fn settings(frame: u8) -> Settings {
    let mut s = Settings::default();
    s.limits.max_payload = 2 << 10;
    s.limits.max_pending = MAX_PENDING;
    s.limits.max_closed_clients = 4;
    s.limits.max_subscription_bytes = 64 << 10;
    s.no_fast_producer_stall = frame & 4 > 0;
    if frame & 8 > 0 {
        s.auth.required = true;
        s.auth.announced = true;
        for (name, password) in [("a", Secret::Plain("a".into())), ("b", Secret::Bcrypt("$2a$04$b".into()))] {
            s.auth.accounts.push(Account { max_connections: Some(3), ..Account::named(name) });
            s.auth.users.push(User::named(name, password, s.auth.accounts.len() - 1));
        }
    }
    s
}

struct Play {
    house: House,
    shards: usize,
    /// Who is on each place.
    places: [Option<usize>; CLIENTS],
    speaker: usize,
}

impl Play {
    /// The client on the speaker's place; one that was closed makes room for the next.
    fn client(&mut self) -> usize {
        let place = self.speaker;
        match self.places[place].filter(|c| self.house.clients[*c].conn.is_some()) {
            Some(c) => c,
            None => {
                let c = self.house.open(place % self.shards);
                self.places[place] = Some(c);
                c
            }
        }
    }

    fn speak(&mut self, piece: &[u8]) {
        if !piece.is_empty() {
            let c = self.client();
            self.house.say(c, piece);
        }
    }

    /// 0–5: this place speaks now. 8, 9: this shard has a turn. 16–18: time passes. 19–21: the speaker's socket is
    /// stuck, takes a byte at a time, takes all. 22, 23: it ends. 24–31: orders. All others: nothing.
    fn event(&mut self, what: u8) {
        match what {
            0..=5 => self.speaker = usize::from(what),
            8 | 9 => self.house.turn(usize::from(what - 8) % self.shards, None),
            16 => self.pass(3 * MILLISECOND),
            17 => self.pass(3 * SECOND),
            18 => self.pass(200 * SECOND),
            19..=21 => {
                let c = self.client();
                self.house.clients[c].takes = [0, 1, usize::MAX][usize::from(what - 19)];
                self.house.turn(self.speaker % self.shards, Some(Event::Writable(c)));
            }
            22 | 23 => {
                let c = self.client();
                let why = if what == 22 { Lost::Eof } else { Lost::Failed("read: reset".into()) };
                self.house.turn(self.speaker % self.shards, Some(Event::Lost(c, why)));
            }
            24 | 25 => self.verified(what == 24),
            26 => self.order(Order::Drain),
            27 => self.ask(Ask::Closed { from: 0, max: 9 }),
            28 => self.ask(Ask::Subscriptions { from: 0, max: 99, account: None, test: Some(b"a.b".to_vec()) }),
            29 => self.ask(Ask::Connections { from: 0, max: 2, subs: true }),
            _ => {}
        }
    }

    fn pass(&mut self, ns: u64) {
        self.house.ns += ns;
        self.house.settle();
    }

    fn verified(&mut self, ok: bool) {
        if let Some((shard, conn, look)) = self.house.verifying.pop() {
            self.house.turn(shard, Some(Event::Order(Order::Verified { conn, look, found: Found::plainly(ok) })));
        }
    }

    fn order(&mut self, order: Order) {
        (0..self.shards).for_each(|s| self.house.turn(s, Some(Event::Order(order.clone()))));
    }

    fn ask(&mut self, ask: Ask) {
        self.order(Order::Report { ticket: 1, ask });
    }

    fn judge(&mut self) {
        self.ask(Ask::Connections { from: 0, max: u32::MAX, subs: false });
        for answer in std::mem::take(&mut self.house.answers) {
            let Answer::Connections { rows, .. } = answer else { continue };
            for row in rows {
                assert!(row.pending_bytes <= MAX_PENDING as u64, "{} bytes wait for {}", row.pending_bytes, row.cid);
            }
        }
    }

    /// Everybody leaves, and time passes until nothing is to come.
    fn end(mut self) -> Vec<Vec<u8>> {
        self.house.settle();
        for c in 0..self.house.clients.len() {
            let why = Lost::Failed("read: reset".into());
            self.house.turn(self.house.clients[c].shard, Some(Event::Lost(c, why)));
        }
        self.house.settle();
        for _ in 0..10_000 {
            let Some(at) = self.house.next_at() else { break };
            self.house.ns = self.house.ns.max(at.0);
            self.house.settle();
        }
        assert_eq!(self.house.next_at(), None::<Time>, "timers are left");
        self.ask(Ask::TALLY);
        for answer in std::mem::take(&mut self.house.answers) {
            let Answer::Tally(t) = answer else { continue };
            assert_eq!((t.connections, t.subscriptions), (0, 0), "somebody is left");
            assert!(t.accounts.iter().all(|a| (a.connections, a.subscriptions) == (0, 0)), "in an account");
            let sum = t.accounts.iter().map(|a| a.out_msgs).sum::<u64>();
            assert_eq!(sum, t.out_msgs);
        }
        assert!(self.house.clients.iter().all(|c| c.conn.is_none()), "a socket is left");
        self.house.clients.into_iter().map(|c| readable(c.read)).collect()
    }
}

/// Whole operations of a server, one after the other; only the last may be cut off.
fn readable(read: Vec<u8>) -> Vec<u8> {
    let mut rest = read.as_slice();
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let line = &rest[..=end];
        assert!(line.ends_with(b"\r\n"), "{}", line.escape_ascii());
        let words: Vec<&[u8]> = line[..end - 1].split(|b| *b == b' ').collect();
        let payload = match (words[0], words.len()) {
            (b"MSG", 4 | 5) | (b"HMSG", 5 | 6) => {
                let size = std::str::from_utf8(words[words.len() - 1]).expect("a number");
                size.parse::<usize>().expect("a number") + 2
            }
            (b"PING" | b"PONG" | b"+OK", 1) | (b"-ERR" | b"INFO", 2..) => 0,
            _ => panic!("the server says {}", line.escape_ascii()),
        };
        let Some(next) = rest.get(end + 1 + payload..) else { break };
        assert!(payload == 0 || rest[..end + 1 + payload].ends_with(b"\r\n"));
        rest = next;
    }
    read
}
