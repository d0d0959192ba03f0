//! What accounts' tokens export and import: who is given what, by which activation tokens (advisory 5), until when, and what
//! a reload changes. Every row holds for both servers, except those of docs/differences.md.

use super::support::keys::Key;
use super::support::server::Server;
use super::tokens::{account, accounts, conf, inside, now, over, users, with};
use super::{server, Caller, REFUSED};
use serde_json::{json, Value};
use turnpike::wire::nkey::Kind;

/// An account that exports, and one that imports.
pub struct Pair(pub u8);

impl Pair {
    pub fn from(&self) -> String {
        account(self.0).public()
    }

    pub fn to(&self) -> String {
        account(self.0 + 1).public()
    }

    /// A key that signs for the first one.
    fn signer(&self) -> Key {
        Key::new(Kind::Account, self.0)
    }

    pub fn import(&self, kind: &str, subject: &str, more: &Value) -> Value {
        let mut import = json!({"type": kind, "subject": subject, "account": self.from()});
        over(&mut import, more);
        json!([import])
    }

    /// A token that lets the second have something of the first, with this changed.
    pub fn activation(&self, kind: &str, subject: &str, issuer: &Key, more: &Value) -> String {
        let said = json!({"type": "activation", "version": 2, "kind": kind, "subject": subject});
        let mut claims =
            json!({"iss": issuer.public(), "sub": self.to(), "iat": now() - 10, "name": "act", "nats": said});
        over(&mut claims, more);
        issuer.token(&claims)
    }

    /// An import of `s.>` by a token of the first account for that, with this changed.
    fn by(&self, more: &Value) -> Value {
        self.with(self.activation("stream", "s.>", &account(self.0), more))
    }

    pub fn with(&self, token: String) -> Value {
        self.import("stream", "s.>", &json!({"token": token}))
    }

    pub fn tokens(&self, (exports, imports): (Value, Value)) -> [(u8, String); 2] {
        // An export that is no list is all that the token says.
        let exporter = if exports.is_array() { json!({"exports": exports}) } else { exports };
        let importer = if imports.is_array() { json!({"imports": imports}) } else { imports };
        [(self.0, json!({"nats": exporter})), (self.0 + 1, json!({"nats": importer}))]
            .map(|(n, claims)| (n, accounts(n, &claims)))
    }
}

pub fn enter(server: &Server, n: u8) -> Caller {
    Caller::new(server, with(users(1, &account(n), &json!({})), super::tokens::user(1)))
}

/// The subjects of the messages that a client was sent so far.
pub fn subjects(caller: &mut Caller) -> Vec<String> {
    let frames = caller.raw.barrier();
    let texts = frames.iter().map(|f| String::from_utf8_lossy(f).into_owned());
    let messages = texts.filter(|t| t.starts_with("MSG ") || t.starts_with("HMSG "));
    messages.map(|t| t.split(' ').nth(1).unwrap().to_owned()).collect()
}

/// What comes of a pair: who is not let in, what the importer hears of `s.x`, and which of its requests reaches the exporter.
pub fn outcome(server: &Server, pair: &Pair) -> String {
    let (mut to, mut from) = (enter(server, pair.0 + 1), enter(server, pair.0));
    match (from.outcome == REFUSED, to.outcome == REFUSED) {
        (true, _) => return "exporter void".into(),
        (_, true) => return "importer void".into(),
        _ => assert_eq!((&from.outcome, &to.outcome), (&inside(pair.0), &inside(pair.0 + 1))),
    }
    to.raw.write(b"SUB > 1\r\n");
    from.raw.write(b"SUB svc.> 1\r\nSUB svc 2\r\n");
    to.raw.barrier();
    from.raw.barrier();
    from.raw.write(format!("PUB s.x 1\r\nx\r\nPUB s.x.y 1\r\ny\r\nPUB s.{} 1\r\nz\r\n", pair.to()).as_bytes());
    from.raw.barrier();
    let mut heard: Vec<String> =
        subjects(&mut to).iter().map(|s| format!("hears {}", s.replace(&pair.to(), "ME"))).collect();
    to.raw.write(b"PUB svc.1 inbox 1\r\nx\r\nPUB my.svc inbox 1\r\nx\r\n");
    to.raw.barrier();
    heard.extend(subjects(&mut from).iter().filter(|s| s.starts_with("svc")).map(|s| format!("asks {s}")));
    if heard.is_empty() {
        "nothing".into()
    } else {
        heard.join(" ")
    }
}

type Row = (&'static str, fn(&Pair) -> (Value, Value), &'static str);

const GUARDED: &str = r#"[{"type": "stream", "subject": "s.>", "token_req": true}]"#;

fn guarded() -> Value {
    serde_json::from_str(GUARDED).unwrap()
}

fn revoked(key: &str, second: i64) -> Value {
    json!([{"type": "stream", "subject": "s.>", "token_req": true, "revocations": {key: second}}])
}

fn exports(kind: &str, subject: &str, more: &Value) -> Value {
    let mut export = json!({"type": kind, "subject": subject});
    over(&mut export, more);
    json!([export])
}

const ALL: &str = "hears s.x hears s.x.y hears s.ME";

/// Who may have what.
const RIGHTS: &[Row] = &[
    ("public", |p| (exports("stream", "s.>", &json!({})), p.import("stream", "s.>", &json!({}))), ALL),
    ("a part", |p| (exports("stream", "s.>", &json!({})), p.import("stream", "s.x", &json!({}))), "hears s.x"),
    ("more", |p| (exports("stream", "s.x", &json!({})), p.import("stream", "s.>", &json!({}))), "nothing"),
    ("not exported", |p| (json!([]), p.import("stream", "s.>", &json!({}))), "nothing"),
    (
        "a service as a stream",
        |p| (exports("service", "s.>", &json!({})), p.import("stream", "s.>", &json!({}))),
        "nothing",
    ),
    (
        "nobody's",
        |p| {
            (
                exports("stream", "s.>", &json!({})),
                p.import("stream", "s.>", &json!({"account": account(230).public()})),
            )
        },
        "nothing",
    ),
    (
        "for whom it names",
        |p| {
            (
                exports("stream", "s.*", &json!({"account_token_position": 2})),
                p.import("stream", &format!("s.{}", p.to()), &json!({})),
            )
        },
        "hears s.ME",
    ),
    (
        "for another",
        |p| (exports("stream", "s.*", &json!({"account_token_position": 2})), p.import("stream", "s.x", &json!({}))),
        "nothing",
    ),
    (
        "for all of them",
        |p| (exports("stream", "s.*", &json!({"account_token_position": 2})), p.import("stream", "s.*", &json!({}))),
        "nothing",
    ),
    ("service", |p| (exports("service", "svc.*", &json!({})), p.import("service", "svc.*", &json!({}))), "asks svc.1"),
    // Activation tokens.
    ("without a token", |p| (guarded(), p.import("stream", "s.>", &json!({}))), "nothing"),
    ("with one", |p| (guarded(), p.by(&json!({}))), ALL),
    ("for more", |p| (guarded(), p.with(p.activation("stream", ">", &account(p.0), &json!({})))), ALL),
    (
        "a part of it",
        |p| {
            (
                guarded(),
                p.import("stream", "s.x", &json!({"token": p.activation("stream", "s.>", &account(p.0), &json!({}))})),
            )
        },
        "hears s.x",
    ),
    ("for less", |p| (guarded(), p.with(p.activation("stream", "s.x", &account(p.0), &json!({})))), "importer void"),
    (
        "for a service",
        |p| (guarded(), p.with(p.activation("service", "s.>", &account(p.0), &json!({})))),
        "importer void",
    ),
    ("for nothing", |p| (guarded(), p.by(&json!({"nats": {"kind": null}}))), "importer void"),
    ("another's", |p| (guarded(), p.by(&json!({"sub": account(231).public()}))), "importer void"),
    (
        "the importer's own",
        |p| (guarded(), p.with(p.activation("stream", "s.>", &account(p.0 + 1), &json!({})))),
        "importer void",
    ),
    (
        "by a stranger",
        |p| {
            (
                guarded(),
                p.with(p.activation("stream", "s.>", &account(231), &json!({"nats": {"issuer_account": p.from()}}))),
            )
        },
        "nothing",
    ),
    (
        "in a stranger's name",
        |p| (guarded(), p.by(&json!({"nats": {"issuer_account": account(231).public()}}))),
        "nothing",
    ),
    (
        "by a signing key",
        |p| {
            (
                json!({"exports": guarded(), "signing_keys": [p.signer().public()]}),
                p.with(p.activation("stream", "s.>", &p.signer(), &json!({"nats": {"issuer_account": p.from()}}))),
            )
        },
        ALL,
    ),
    (
        "by a signing key alone",
        |p| {
            (
                json!({"exports": guarded(), "signing_keys": [p.signer().public()]}),
                p.with(p.activation("stream", "s.>", &p.signer(), &json!({}))),
            )
        },
        "importer void",
    ),
    ("a user's token", |p| (guarded(), p.with(users(1, &account(p.0), &json!({"sub": p.to()})))), "importer void"),
    (
        "with another signature",
        |p| {
            let token = p.activation("stream", "s.>", &account(p.0), &json!({}));
            let (said, _) = token.rsplit_once('.').unwrap();
            (guarded(), p.with(format!("{said}.{}", account(p.0 + 1).sign(said))))
        },
        "importer void",
    ),
    (
        "changed",
        |p| {
            let (good, other) = (
                p.activation("stream", "s.>", &account(p.0), &json!({})),
                p.activation("stream", ">", &account(p.0), &json!({})),
            );
            let (good, other): (Vec<&str>, Vec<&str>) = (good.split('.').collect(), other.split('.').collect());
            (guarded(), p.with(format!("{}.{}.{}", good[0], other[1], good[2])))
        },
        "importer void",
    ),
    ("no token at all", |p| (guarded(), p.with("eyJ.x".into())), "importer void"),
    ("over", |p| (guarded(), p.by(&json!({"exp": now() - 5}))), "nothing"),
    ("not yet", |p| (guarded(), p.by(&json!({"nbf": now() + 1000}))), "nothing"),
    ("long", |p| (guarded(), p.by(&json!({"exp": now() + 1000, "nbf": now() - 10}))), ALL),
    ("revoked after it was issued", |p| (revoked(&p.to(), now() - 5), p.by(&json!({}))), "nothing"),
    (
        "revoked in that second",
        |p| {
            let s = now() - 5;
            (revoked(&p.to(), s), p.by(&json!({"iat": s})))
        },
        "nothing",
    ),
    (
        "revoked before",
        |p| {
            let s = now() - 5;
            (revoked(&p.to(), s), p.by(&json!({"iat": s + 1})))
        },
        ALL,
    ),
    ("all revoked", |p| (revoked("*", now() - 5), p.by(&json!({}))), "nothing"),
    (
        "all revoked before",
        |p| {
            let s = now() - 5;
            (revoked("*", s), p.by(&json!({"iat": s + 1})))
        },
        ALL,
    ),
    ("another's revoked", |p| (revoked(&account(231).public(), now()), p.by(&json!({}))), ALL),
    ("over, where none is needed", |p| (exports("stream", "s.>", &json!({})), p.by(&json!({"exp": now() - 5}))), ALL),
    (
        "wrong, where none is needed",
        |p| (exports("stream", "s.>", &json!({})), p.by(&json!({"sub": account(231).public()}))),
        "importer void",
    ),
    (
        "a service without a token",
        |p| (exports("service", "svc.*", &json!({"token_req": true})), p.import("service", "svc.*", &json!({}))),
        "nothing",
    ),
    (
        "a service with one",
        |p| {
            (
                exports("service", "svc.*", &json!({"token_req": true})),
                p.import(
                    "service",
                    "svc.*",
                    &json!({"token": p.activation("service", "svc.*", &account(p.0), &json!({}))}),
                ),
            )
        },
        "asks svc.1",
    ),
    (
        "a service by one that is over",
        |p| {
            (
                exports("service", "svc.*", &json!({"token_req": true})),
                p.import(
                    "service",
                    "svc.*",
                    &json!({"token": p.activation("service", "svc.*", &account(p.0), &json!({"exp": now() - 5}))}),
                ),
            )
        },
        "nothing",
    ),
];

/// Names, and what makes a token void.
const WORDS: &[Row] = &[
    (
        "renamed",
        |p| (exports("stream", "s.*", &json!({})), p.import("stream", "s.*", &json!({"local_subject": "l.$1"}))),
        "hears l.x hears l.ME",
    ),
    (
        "in its place",
        |p| (exports("stream", "s.*", &json!({})), p.import("stream", "s.*", &json!({"local_subject": "l.*"}))),
        "hears l.x hears l.ME",
    ),
    (
        "prefixed",
        |p| (exports("stream", "s.*", &json!({})), p.import("stream", "s.*", &json!({"to": "pre"}))),
        "hears pre.s.x hears pre.s.ME",
    ),
    (
        "renamed and prefixed",
        |p| {
            (
                exports("stream", "s.*", &json!({})),
                p.import("stream", "s.*", &json!({"to": "pre", "local_subject": "l.*"})),
            )
        },
        "importer void",
    ),
    (
        "without its wildcard",
        |p| (exports("stream", "s.*", &json!({})), p.import("stream", "s.*", &json!({"local_subject": "l"}))),
        "importer void",
    ),
    (
        "with another's",
        |p| (exports("stream", "s.*", &json!({})), p.import("stream", "s.*", &json!({"local_subject": "l.$2"}))),
        "importer void",
    ),
    (
        "with it twice",
        |p| (exports("stream", "s.*", &json!({})), p.import("stream", "s.*", &json!({"local_subject": "l.$1.$1"}))),
        "importer void",
    ),
    (
        "open",
        |p| (exports("stream", "s.*", &json!({})), p.import("stream", "s.*", &json!({"local_subject": "l.>"}))),
        "importer void",
    ),
    (
        "service renamed",
        |p| (exports("service", "svc", &json!({})), p.import("service", "svc", &json!({"local_subject": "my.svc"}))),
        "asks svc",
    ),
    (
        "service renamed as once",
        |p| (exports("service", "svc", &json!({})), p.import("service", "my.svc", &json!({"to": "svc"}))),
        "asks svc",
    ),
    (
        "a stream that asks to be told who",
        |p| (exports("stream", "s.>", &json!({})), p.import("stream", "s.>", &json!({"share": true}))),
        "importer void",
    ),
    (
        "imports too many",
        |p| {
            (
                exports("stream", "s.>", &json!({})),
                json!({"imports": p.import("stream", "s.>", &json!({})), "limits": {"imports": 0}}),
            )
        },
        "importer void",
    ),
    (
        "imports as many",
        |p| {
            (
                exports("stream", "s.>", &json!({})),
                json!({"imports": p.import("stream", "s.>", &json!({})), "limits": {"imports": 1}}),
            )
        },
        ALL,
    ),
    (
        "exports too many",
        |p| {
            (
                json!({"exports": exports("stream", "s.>", &json!({})), "limits": {"exports": 0}}),
                p.import("stream", "s.>", &json!({})),
            )
        },
        "exporter void",
    ),
    (
        "wildcards are counted",
        |p| {
            (
                json!({"exports": exports("stream", "s.>", &json!({})), "limits": {"exports": 1, "wildcards": false}}),
                p.import("stream", "s.>", &json!({})),
            )
        },
        "exporter void",
    ),
    (
        "wildcards are allowed",
        |p| {
            (
                json!({"exports": exports("stream", "s.>", &json!({})), "limits": {"exports": 1, "wildcards": true}}),
                p.import("stream", "s.>", &json!({})),
            )
        },
        ALL,
    ),
    (
        "wildcards are not counted",
        |p| {
            (
                json!({"exports": exports("stream", "s.>", &json!({})), "limits": {"exports": -1, "wildcards": false}}),
                p.import("stream", "s.>", &json!({})),
            )
        },
        ALL,
    ),
    (
        "one export within another",
        |p| {
            (
                json!([{"type": "stream", "subject": "s.>"}, {"type": "stream", "subject": "s.x"}]),
                p.import("stream", "s.>", &json!({})),
            )
        },
        "exporter void",
    ),
    (
        "of two kinds",
        |p| {
            (
                json!([{"type": "stream", "subject": "s.>"}, {"type": "service", "subject": "s.x"}]),
                p.import("stream", "s.>", &json!({})),
            )
        },
        ALL,
    ),
    (
        "position of no wildcard",
        |p| (exports("stream", "s.*", &json!({"account_token_position": 1})), p.import("stream", "s.*", &json!({}))),
        "exporter void",
    ),
    (
        "position of nothing",
        |p| (exports("stream", "s.*", &json!({"account_token_position": 3})), p.import("stream", "s.*", &json!({}))),
        "exporter void",
    ),
    (
        "answers of a stream",
        |p| (exports("stream", "s.*", &json!({"response_type": "Stream"})), p.import("stream", "s.*", &json!({}))),
        "exporter void",
    ),
    (
        "answers of no kind",
        |p| (exports("service", "svc.*", &json!({"response_type": "x"})), p.import("service", "svc.*", &json!({}))),
        "exporter void",
    ),
    (
        "no time for an answer",
        |p| (exports("service", "svc.*", &json!({"response_threshold": -1})), p.import("service", "svc.*", &json!({}))),
        "exporter void",
    ),
    (
        "latency",
        |p| {
            (
                exports("service", "svc.*", &json!({"latency": {"sampling": 10, "results": "l"}})),
                p.import("service", "svc.*", &json!({})),
            )
        },
        "asks svc.1",
    ),
    ("no subject", |p| (exports("stream", "", &json!({})), p.import("stream", "s.*", &json!({}))), "exporter void"),
    (
        "an empty token",
        |p| (exports("stream", ">", &json!({})), p.import("stream", "s..x", &json!({}))),
        "importer void",
    ),
    (
        "an end in the middle",
        |p| (exports("stream", "a.>.b", &json!({})), p.import("stream", "s.*", &json!({}))),
        "nothing",
    ),
    (
        "null",
        |p| (exports("stream", "s.>", &json!({})), json!([null, p.import("stream", "s.>", &json!({}))[0]])),
        "importer void",
    ),
    (
        "two services in one place",
        |p| {
            (
                exports("service", "svc.>", &json!({})),
                json!([
                    p.import("service", "svc.1", &json!({"local_subject": "my.svc"}))[0],
                    p.import("service", "svc.2", &json!({"local_subject": "my.svc"}))[0]
                ]),
            )
        },
        "importer void",
    ),
    (
        "one service in two",
        |p| {
            (
                exports("service", "svc.>", &json!({})),
                json!([
                    p.import("service", "svc.1", &json!({"local_subject": "my.svc"}))[0],
                    p.import("service", "svc.1", &json!({"local_subject": "other"}))[0]
                ]),
            )
        },
        "asks svc.1",
    ),
    (
        "a stream twice",
        |p| {
            (
                exports("stream", "s.*", &json!({})),
                json!([
                    p.import("stream", "s.*", &json!({}))[0],
                    p.import("stream", "s.*", &json!({"local_subject": "l.*"}))[0]
                ]),
            )
        },
        "hears s.x hears s.ME",
    ),
    (
        "weights of more than all",
        |p| {
            (
                json!({"exports": exports("stream", "s.>", &json!({})), "mappings": {"a": [{"subject": "b", "weight": 60}, {"subject": "c", "weight": 60}]}}),
                p.import("stream", "s.>", &json!({})),
            )
        },
        "exporter void",
    ),
];

fn agree(rows: &[Row]) {
    let pairs: Vec<Pair> = (0..rows.len() as u8).map(|i| Pair(100 + 2 * i)).collect();
    let all: Vec<(u8, String)> = pairs.iter().zip(rows).flat_map(|(p, row)| p.tokens(row.1(p))).collect();
    let server = &server(&conf(&all));
    let rows: Vec<_> = pairs.iter().zip(rows).collect();
    // Whoever is refused waits: many at once.
    std::thread::scope(|threads| {
        for some in rows.chunks(6) {
            threads.spawn(move || {
                for (pair, (what, _, expected)) in some {
                    assert_eq!(outcome(server, pair), *expected, "{what}");
                }
            });
        }
    });
}

#[test]
fn tokens_open_what_they_name_to_whom_they_name_and_nothing_else() {
    agree(RIGHTS);
}

#[test]
fn what_tokens_share_goes_by_the_names_they_say_or_the_account_is_void() {
    agree(WORDS);
}
