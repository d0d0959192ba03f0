//! Agreements made up at random, over shards without sockets: everybody is given what a plain definition of exports and
//! imports says, and nobody anything else (I24). `TURNPIKE_SEEDS` says how many are tried.

use super::driven::{Driven, Heard};
use std::io;
use std::path::Path;
use turnpike::base::{ConnId, Rng};
use turnpike::policy::{load, Settings, Source};

const ACCOUNTS: usize = 4;
const PATTERNS: [&str; 7] = ["a", "a.*", "*.b", "a.>", "*.*", "b.*.>", ">"];
const SUBJECTS: [&str; 8] = ["a", "a.b", "b.a", "a.a.b", "b.a.b", "b.b", "p.a.b", "x.b.a"];
const ASKED: [&str; 9] = [">", "p.>", "p.a.*", "x.*.a", "x.>", "*", "*.*", "a.b", "*.b.*"];

/// An import as the oracle sees it.
struct Import {
    by: usize,
    from: usize,
    pattern: &'static str,
    name: Name,
}

#[derive(Clone, Copy)]
enum Name {
    Same,
    /// With `p.` before it.
    Prefixed,
    /// `x.$2.$1`
    Turned,
}

impl Name {
    fn of(self, subject: &str) -> String {
        match self {
            Name::Same => subject.into(),
            Name::Prefixed => format!("p.{subject}"),
            Name::Turned => {
                let tokens: Vec<&str> = subject.split('.').collect();
                format!("x.{}.{}", tokens[1], tokens[0])
            }
        }
    }
}

/// The plain definition of client-protocol.md §7.
pub(super) fn matches(pattern: &str, subject: &str) -> bool {
    let (p, s): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), subject.split('.').collect());
    let open = p.last() == Some(&">");
    let fixed = p.len() - usize::from(open);
    let long_enough = if open { s.len() > fixed } else { s.len() == fixed };
    long_enough && (0..fixed).all(|i| p[i] == s[i] || p[i] == "*")
}

pub(super) fn pick<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.below(all.len() as u64) as usize]
}

/// A configuration and its imports; not every one is valid.
fn made_up(rng: &mut Rng) -> (String, Vec<Import>) {
    let (mut imports, mut conf) = (Vec::new(), String::from("accounts: {\n"));
    let exported: Vec<Vec<&str>> = (0..ACCOUNTS).map(|_| (0..2).map(|_| pick(rng, &PATTERNS)).collect()).collect();
    for (by, exports) in exported.iter().enumerate() {
        let (mut said, mut own) = (Vec::new(), Vec::new());
        for _ in 0..rng.below(3) {
            let from = rng.below(ACCOUNTS as u64) as usize;
            let pattern = pick(rng, &exported[from]);
            let name = match rng.below(3) {
                0 => Name::Same,
                2 if pattern == "*.*" => Name::Turned,
                _ => Name::Prefixed,
            };
            let named = match name {
                Name::Same => "",
                Name::Prefixed => ", prefix: p",
                Name::Turned => ", to: \"x.$2.$1\"",
            };
            said.push(format!("{{stream: {{account: A{from}, subject: \"{pattern}\"}}{named}}}"));
            own.push(Import { by, from, pattern, name });
        }
        let exports: Vec<_> = exports.iter().map(|p| format!("{{stream: \"{p}\"}}")).collect();
        conf += &format!(
            "A{by}: {{users: [{{user: u{by}, password: p}}], exports: [{}], imports: [{}]}},\n",
            exports.join(", "),
            said.join(", ")
        );
        imports.extend(own);
    }
    (conf + "}\n", imports)
}

struct Text<'c>(&'c str);

impl Source for Text<'_> {
    fn read(&mut self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.into())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

pub(super) fn settings(conf: &str) -> Option<Settings> {
    load(Path::new("f.conf"), &mut Text(conf)).ok().map(|l| l.settings)
}

struct Listener {
    account: usize,
    asks: &'static str,
    at: (usize, ConnId),
}

/// A client of an account enters on one of the shards and says this; where he is.
pub(super) fn enter(driven: &mut Driven, rng: &mut Rng, shards: usize, account: usize, says: &str) -> (usize, ConnId) {
    let shard = rng.below(shards as u64) as usize;
    (shard, driven.entrant(shard, &format!(",\"user\":\"u{account}\",\"pass\":\"p\""), says))
}

/// What a connection was sent.
pub(super) fn sent(heard: &[Heard], at: (usize, ConnId)) -> String {
    let bytes = heard.iter().filter(|(shard, conn, _)| (*shard, *conn) == at).flat_map(|(_, _, b)| b.clone());
    String::from_utf8(bytes.collect()).unwrap()
}

/// The subjects of the messages that a connection was sent.
fn subjects(heard: &[Heard], at: (usize, ConnId)) -> Vec<String> {
    let text = sent(heard, at);
    let mut all: Vec<_> =
        text.lines().filter_map(|l| Some(l.strip_prefix("MSG ")?.split(' ').next()?.to_owned())).collect();
    all.sort();
    all
}

fn world(rng: &mut Rng, settings: Settings, imports: &[Import], conf: &str) {
    let shards = 1 + rng.below(3) as usize;
    let mut driven = Driven::new(shards as u8, settings);
    let mut listeners = Vec::new();
    for _ in 0..8 {
        let (account, asks) = (rng.below(ACCOUNTS as u64) as usize, pick(rng, &ASKED));
        let at = enter(&mut driven, rng, shards, account, &format!("SUB {asks} 1\r\nSUB {asks} 2\r\nUNSUB 2\r\n"));
        listeners.push(Listener { account, asks, at });
    }
    for _ in 0..12 {
        let (account, subject) = (rng.below(ACCOUNTS as u64) as usize, pick(rng, &SUBJECTS));
        driven.heard = Some(Vec::new());
        enter(&mut driven, rng, shards, account, &format!("PUB {subject} 1\r\nx\r\n"));
        let heard = driven.heard.take().unwrap();
        for l in &listeners {
            let own = (l.account == account).then(|| subject.to_owned());
            let given = imports.iter().filter(|i| i.by == l.account && i.from == account);
            let given = given.filter(|i| matches(i.pattern, subject)).map(|i| i.name.of(subject));
            let mut expected: Vec<String> = own.into_iter().chain(given).filter(|s| matches(l.asks, s)).collect();
            expected.sort();
            let got = subjects(&heard, l.at);
            assert_eq!(got, expected, "{subject} of A{account}, {} asks for {} in\n{conf}", l.account, l.asks);
        }
    }
}

#[test]
fn everybody_is_given_what_was_agreed_and_nothing_else() {
    let tried = std::env::var("TURNPIKE_SEEDS").map_or(300, |n| n.parse().unwrap());
    let mut accepted = 0;
    for seed in 0..tried {
        let mut rng = Rng::new(seed);
        let (conf, imports) = made_up(&mut rng);
        let Some(settings) = settings(&conf) else { continue };
        accepted += u64::from(!imports.is_empty());
        world(&mut rng, settings, &imports, &conf);
    }
    assert!(accepted * 4 > tried, "{accepted} of {tried} were valid");
}
