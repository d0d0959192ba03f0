//! Makes scripts from a seed: all verbs, queue groups, headers, wildcards, limits, odd spelling, and bad input at the
//! end of one connection.
//!
//! Two conventions let the outputs be compared: a payload begins with `p<connection>.<number>.`, so that whose message
//! it is shows; and the sid of a queue subscription begins with `q<group>x`, so that a pick shows its group.

use crate::script::{Script, Step, Turn};
use turnpike::base::Rng;

/// What of a script was decided once for all its steps.
struct Maker {
    rng: Rng,
    connections: usize,
    /// Connections write at the same time; then no subscription has a max, for who gets the last one is chance.
    together: bool,
    /// Which connections asked for headers.
    headers: Vec<bool>,
    published: u32,
}

/// The script of this seed.
pub fn script(seed: u64) -> Script {
    let mut rng = Rng::new(seed);
    let connections = 2 + rng.below(4) as usize;
    let together = rng.one_in(2);
    let headers = vec![false; connections];
    let mut maker = Maker { rng, connections, together, headers, published: 0 };
    let preludes: Vec<Vec<u8>> = (0..connections).map(|conn| maker.prelude(conn)).collect();
    let mut steps = Vec::new();
    for _ in 0..10 + maker.rng.below(25) {
        steps.push(maker.step());
    }
    if maker.rng.one_in(2) {
        let conn = maker.conn();
        let bytes = maker.bad_end(conn);
        steps.push(Step::Last(conn, bytes));
    }
    Script { preludes, steps }
}

impl Maker {
    fn conn(&mut self) -> usize {
        self.rng.below(self.connections as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.below(from.len() as u64) as usize]
    }

    fn prelude(&mut self, conn: usize) -> Vec<u8> {
        if self.rng.one_in(8) {
            return Vec::new();
        }
        self.connect(conn)
    }

    /// A CONNECT that is accepted, with any mixture of the fields that change anything.
    fn connect(&mut self, conn: usize) -> Vec<u8> {
        let mut fields = Vec::new();
        for (key, truth) in [("verbose", 4), ("pedantic", 4), ("echo", 2)] {
            if !self.rng.one_in(5) {
                let on = self.rng.one_in(truth) || (key == "echo" && self.rng.one_in(2));
                fields.push(format!("\"{}\":{on}", self.cased(key)));
            }
        }
        if !self.rng.one_in(4) {
            let no_responders = !self.rng.one_in(4);
            self.headers[conn] = true;
            fields.push(format!("\"headers\":true,\"no_responders\":{no_responders}"));
        }
        if self.rng.one_in(2) {
            fields.push(format!("\"protocol\":{}", self.rng.below(2)));
        }
        for extra in ["\"name\":\"x\\u00e9\"", "\"lang\":null", "\"zzz\":[1,{\"a\":2}]", "\"user\":\"nobody\""] {
            if self.rng.one_in(6) {
                fields.push(extra.to_string());
            }
        }
        let space = self.pick(&[" ", "", "  "]);
        let verb = self.cased("CONNECT");
        let end = self.line_end();
        format!("{verb}{space}{{{}}}{end}", fields.join(",")).into_bytes()
    }

    fn step(&mut self) -> Step {
        if self.together && self.rng.one_in(3) {
            let mut turns = Vec::new();
            for conn in 0..self.connections {
                if self.rng.one_in(2) {
                    continue;
                }
                let mut bytes = Vec::new();
                for _ in 0..1 + self.rng.below(5) {
                    bytes.extend(self.publish(conn));
                }
                turns.push(Turn { conn, bytes, pings: 0 });
            }
            return Step::Write(turns);
        }
        let conn = self.conn();
        let (mut bytes, mut pings) = (Vec::new(), 0);
        for _ in 0..1 + self.rng.below(4) {
            let (command, ping) = self.command(conn);
            bytes.extend(command);
            pings += usize::from(ping);
        }
        Step::Write(vec![Turn { conn, bytes, pings }])
    }

    /// One accepted command, and whether it is a PING.
    fn command(&mut self, conn: usize) -> (Vec<u8>, bool) {
        match self.rng.below(40) {
            0..=8 => (self.subscribe(), false),
            9..=12 => (self.queue_subscribe(), false),
            13..=16 => (self.unsubscribe(), false),
            17..=33 => (self.publish(conn), false),
            34..=36 => (self.line(&["PING"]), true),
            37 => (self.line(&["PONG"]), false),
            38 => {
                let ignored = self.pick(&["+OK\r\n", "+OKAY then\n", "INFO {}\r\n", "INFO {\"a\":1}\n"]);
                (ignored.as_bytes().to_vec(), false)
            }
            _ => (self.connect(conn), false),
        }
    }

    fn subscribe(&mut self) -> Vec<u8> {
        let subject = self.pattern();
        let sid = format!("s{}", self.rng.below(8));
        self.line(&["SUB", &subject, &sid])
    }

    fn queue_subscribe(&mut self) -> Vec<u8> {
        let subject = self.pattern();
        let group = self.rng.below(2);
        let sid = format!("q{group}x{}", self.rng.below(3));
        self.line(&["SUB", &subject, &format!("group.{group}"), &sid])
    }

    fn unsubscribe(&mut self) -> Vec<u8> {
        if self.rng.one_in(4) {
            let sid = format!("q{}x{}", self.rng.below(2), self.rng.below(3));
            return self.line(&["UNSUB", &sid]);
        }
        let sid = format!("s{}", self.rng.below(9));
        if self.together || self.rng.one_in(3) {
            return self.line(&["UNSUB", &sid]);
        }
        let max = self.pick(&["1", "2", "3", "5", "0", "007", "x", "-1", "1234567890"]);
        self.line(&["UNSUB", &sid, max])
    }

    fn publish(&mut self, conn: usize) -> Vec<u8> {
        self.published += 1;
        let subject = self.subject();
        let mut payload = format!("p{conn}.{}.", self.published).into_bytes();
        payload.extend((0..self.rng.below(12)).map(|i| b"\r\n\0PING x"[i as usize % 9]));
        let reply = match self.rng.below(3) {
            0 => String::new(),
            _ => self.subject(),
        };
        let mut words = vec![subject];
        if !reply.is_empty() {
            words.push(reply);
        }
        let headers = self.pick(&["NATS/1.0\r\n\r\n", "NATS/1.0\r\nA: b\r\n\r\n", "", "ABC"]);
        let zeros = self.pick(&["", "", "", "0", "000"]);
        // HPUB where headers were not asked for ends the connection; now and then that is seen too.
        let hpub = if self.headers[conn] { self.rng.one_in(3) } else { self.rng.one_in(100) };
        let verb = if !hpub {
            "PUB"
        } else {
            words.push(format!("{zeros}{}", headers.len()));
            payload.splice(0..0, headers.bytes());
            "HPUB"
        };
        words.push(format!("{zeros}{}", payload.len()));
        let words: Vec<&str> = [verb].into_iter().chain(words.iter().map(String::as_str)).collect();
        let mut bytes = self.line(&words);
        bytes.extend(payload);
        bytes.extend(b"\r\n");
        bytes
    }

    /// A control line, spelled in one of the many ways that mean the same.
    fn line(&mut self, words: &[&str]) -> Vec<u8> {
        let mut text = self.cased(words[0]);
        for word in &words[1..] {
            text.push_str(self.pick(&[" ", " ", " ", "  ", "\t", " \t "]));
            text.push_str(word);
        }
        if words.len() > 1 {
            text.push_str(self.pick(&["", "", "", " ", "\t "]));
        }
        text.push_str(self.line_end());
        text.into_bytes()
    }

    fn line_end(&mut self) -> &'static str {
        self.pick(&["\r\n", "\r\n", "\r\n", "\n"])
    }

    fn cased(&mut self, word: &str) -> String {
        match self.rng.below(6) {
            0 => word.to_ascii_lowercase(),
            1 => word
                .chars()
                .map(|c| if self.rng.one_in(2) { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
                .collect(),
            _ => word.to_string(),
        }
    }

    /// What is subscribed to: often a wildcard, seldom malformed.
    fn pattern(&mut self) -> String {
        match self.rng.below(20) {
            0 => self.pick(&[">", "*", "*.*", "_INBOX.>", "a.b.c.d.e", "$SYS.>"]).to_string(),
            1 => self.pick(&["a..b", ".a", "a.", ">.a", "a.>.b", "."]).to_string(),
            _ => self.tokens(&["a", "a", "a", "b", "b", "*", "*", "c", "é", "a*"], true),
        }
    }

    /// What is published to: seldom with wildcards, malformed or reserved.
    fn subject(&mut self) -> String {
        match self.rng.below(20) {
            0 => self.pick(&["a.*", ">", "a.>", "*", "a..b", ".a", "a.", "a*"]).to_string(),
            1 => self.pick(&["_R_.x", "$JS.ACK.a", "_GR_.a.b", "$NRG.a", "$SYS.a", "_GR_.", "$NRG."]).to_string(),
            _ => self.tokens(&["a", "a", "a", "a", "b", "b", "b", "c", "é", "a*"], false),
        }
    }

    fn tokens(&mut self, words: &[&str], rest: bool) -> String {
        let count = [1, 1, 2, 2, 3][self.rng.below(5) as usize];
        let mut tokens: Vec<&str> = (0..count).map(|_| self.pick(words)).collect();
        if rest && self.rng.one_in(4) {
            tokens.push(">");
        }
        tokens.join(".")
    }

    /// Commands of which some bytes are changed, or something known to be bad after good ones.
    fn bad_end(&mut self, conn: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..1 + self.rng.below(4) {
            bytes.extend(self.command(conn).0);
        }
        if self.rng.one_in(3) {
            let bad = self.pick(&[
                "PUB a -1\r\n",
                "PUB a 5\r\nhi\r\n",
                "SUB a\r\n",
                "UNSUB\r\n",
                "CONNECT {\"verbose\":1}\r\n",
                "-ERR 'x'\r\n",
                "HPUB a 9 4\r\n",
                "CONNECT {\"protocol\":3}\r\n",
                "INFO {\r\n",
                "\r\n",
                "PUB a 999999999\r\n",
                "A+ a\r\n",
                "SUB a b c d\r\n",
                "CONNECT []\r\n",
                "CONNECT {\"account\":\"x\"}\r\n",
                "CONNECT {\"headers\":false,\"no_responders\":true}\r\n",
            ]);
            bytes.extend(bad.bytes());
            return bytes;
        }
        for _ in 0..1 + self.rng.below(3) {
            bytes.extend(bytes.is_empty().then_some(b'x'));
            let at = self.rng.below(bytes.len() as u64) as usize;
            match self.rng.below(4) {
                0 => bytes[at] = self.rng.below(256) as u8,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b" \r\n\t0-.*>'{}"[self.rng.below(12) as usize]),
                _ => bytes.truncate(at + 1),
            }
        }
        bytes
    }
}
