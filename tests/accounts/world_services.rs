//! Services made up at random, over shards without sockets: every request is heard by whom a plain definition of exports
//! and imports says, under the names that it says, and by nobody else (I24); each that asks gets one answer.

use super::driven::{Driven, Heard};
use super::worlds::{enter, matches, pick, sent, settings};
use turnpike::base::{ConnId, Rng};
use turnpike::policy::Settings;

const ACCOUNTS: usize = 5;
const PATTERNS: [&str; 6] = ["a", "a.*", "*.b", "*.*", "a.>", "b.*.>"];
const SUBJECTS: [&str; 8] = ["a", "a.b", "b.a", "a.a.b", "b.a.b", "x.a.b", "x.b.a", "y"];
const ASKED: [&str; 8] = ["a", "a.*", "*.b", "x.>", "a.b", "*.*", "b.a", "x.a.*"];

/// An import as the oracle sees it.
struct Import {
    by: usize,
    from: usize,
    theirs: &'static str,
    turned: bool,
}

impl Import {
    fn ours(&self) -> String {
        if self.turned {
            format!("x.{}", self.theirs)
        } else {
            self.theirs.into()
        }
    }

    /// What a request to this subject is called there.
    fn there(&self, subject: &str) -> Option<String> {
        let plain = if self.turned { subject.strip_prefix("x.")? } else { subject };
        matches(self.theirs, plain).then(|| plain.into())
    }
}

/// A configuration and its imports. Only from accounts behind the own one, so that nothing leads back.
fn made_up(rng: &mut Rng) -> (String, Vec<Import>) {
    let (mut imports, mut conf) = (Vec::<Import>::new(), String::from("accounts: {\n"));
    let mut exported: Vec<Vec<String>> = vec![Vec::new(); ACCOUNTS];
    for by in 0..ACCOUNTS {
        for _ in 0..rng.below(3) {
            let from = by + 1 + rng.below(ACCOUNTS as u64) as usize;
            let import = Import { by, from, theirs: pick(rng, &PATTERNS), turned: rng.one_in(2) };
            let taken = |i: &Import| i.by == by && i.ours() == import.ours();
            if from < ACCOUNTS && !imports.iter().any(taken) {
                exported[from].push(import.theirs.into());
                imports.push(import);
            }
        }
    }
    for (by, exports) in exported.iter().enumerate() {
        let own = imports.iter().filter(|i| i.by == by);
        let own: Vec<_> = own
            .map(|i| format!("{{service: {{account: A{}, subject: \"{}\"}}, to: \"{}\"}}", i.from, i.theirs, i.ours()))
            .collect();
        let exports: Vec<_> = exports.iter().map(|p| format!("{{service: \"{p}\"}}")).collect();
        conf += &format!(
            "A{by}: {{users: [{{user: u{by}, password: p}}], exports: [{}], imports: [{}]}},\n",
            exports.join(", "),
            own.join(", ")
        );
    }
    (conf + "}\n", imports)
}

/// Where a request comes to be published, and under what names: as often as there are ways.
fn ways(imports: &[Import], account: usize, subject: &str) -> Vec<(usize, String)> {
    let mut all = vec![(account, subject.to_owned())];
    for i in imports.iter().filter(|i| i.by == account) {
        if let Some(there) = i.there(subject) {
            all.extend(ways(imports, i.from, &there));
        }
    }
    all
}

/// Subject and reply of the messages that a connection was sent.
fn messages(heard: &[Heard], at: (usize, ConnId)) -> Vec<(String, String)> {
    let text = sent(heard, at);
    let words = text.lines().filter_map(|l| Some(l.strip_prefix("MSG ")?.split(' ').collect::<Vec<_>>()));
    let mut all: Vec<_> = words.map(|w| (w[0].into(), if w.len() > 3 { w[2].into() } else { String::new() })).collect();
    all.sort();
    all
}

fn world(rng: &mut Rng, settings: Settings, imports: &[Import], conf: &str) {
    let shards = 1 + rng.below(3) as usize;
    let mut driven = Driven::new(shards as u8, settings);
    let mut listeners = Vec::new();
    for _ in 0..8 {
        let (account, asks) = (rng.below(ACCOUNTS as u64) as usize, pick(rng, &ASKED));
        listeners.push((account, asks, enter(&mut driven, rng, shards, account, &format!("SUB {asks} 1\r\n"))));
    }
    for _ in 0..10 {
        let (account, subject) = (rng.below(ACCOUNTS as u64) as usize, pick(rng, &SUBJECTS));
        driven.heard = Some(Vec::new());
        let asker = enter(&mut driven, rng, shards, account, &format!("SUB inbox 1\r\nPUB {subject} inbox 1\r\nx\r\n"));
        let heard = driven.heard.take().unwrap();
        let all = ways(imports, account, subject);
        let mut requests = Vec::new();
        for (there, asks, at) in &listeners {
            let given = all.iter().filter(|(a, s)| a == there && matches(asks, s)).map(|(_, s)| s.clone());
            let mut expected: Vec<String> = given.collect();
            expected.sort();
            let got = messages(&heard, *at);
            let subjects: Vec<String> = got.iter().map(|(s, _)| s.clone()).collect();
            assert_eq!(subjects, expected, "{subject} of A{account}, A{there} asks for {asks} in\n{conf}");
            // In his own account a message is what it was.
            assert!(got.iter().all(|(_, r)| (*r == "inbox") == (*there == account)), "{got:?} in\n{conf}");
            requests.extend(got.into_iter().filter(|(_, r)| r != "inbox").map(|(_, r)| (*at, r)));
        }
        let Some(((shard, conn), reply)) = requests.first() else { continue };
        for expected in [1, 0] {
            driven.heard = Some(Vec::new());
            driven.say(*shard, *conn, format!("PUB {reply} 1\r\ny\r\n").as_bytes());
            let heard = driven.heard.take().unwrap();
            assert_eq!(messages(&heard, asker).len(), expected, "{subject} of A{account} in\n{conf}");
            let others = listeners.iter().filter(|(_, _, at)| *at != asker);
            assert!(others.into_iter().all(|(_, _, at)| messages(&heard, *at).is_empty()), "in\n{conf}");
        }
    }
}

#[test]
fn every_request_is_heard_where_it_was_agreed_and_answered_once() {
    let tried = std::env::var("TURNPIKE_SEEDS").map_or(300, |n| n.parse().unwrap());
    let mut tested = 0;
    for seed in 0..tried {
        let mut rng = Rng::new(seed);
        let (conf, imports) = made_up(&mut rng);
        let Some(settings) = settings(&conf) else { panic!("refused:\n{conf}") };
        tested += u64::from(imports.len() > 2);
        world(&mut rng, settings, &imports, &conf);
    }
    assert!(tested * 5 > tried, "{tested} of {tried} had many imports");
}
