//! Every form of login, with the right proof and a wrong one, on a server that logs all it can: what was presented is in
//! nothing that the server says, to whomever.

use super::secrets::seen;
use crate::support::keys::Key;
use crate::support::process::until;
use crate::support::raw::{Raw, PATIENCE};
use crate::support::server::{shard_args, Server, Which};
use crate::support::tls::{mail, Authority, Private};
use serde_json::{json, Value};
use std::fs;
use turnpike::wire::nkey::Kind;

/// What somebody in the system account may ask; `ID` is the server, `A` an account.
const ASKED: &[&str] = &[
    "SERVER.PING",
    "SERVER.PING.CONNZ",
    "SERVER.PING.VARZ",
    "SERVER.PING.SUBSZ",
    "SERVER.PING.ROUTEZ",
    "SERVER.PING.GATEWAYZ",
    "SERVER.PING.ACCOUNTZ",
    "SERVER.PING.STATSZ",
    "SERVER.PING.IDZ",
    "SERVER.PING.HEALTHZ",
    "SERVER.ID.CONNZ",
    "ACCOUNT.A.CONNZ",
    "ACCOUNT.A.SUBSZ",
    "ACCOUNT.A.INFO",
    "ACCOUNT.PING.CONNZ",
    "ACCOUNT.PING.STATZ",
    "USER.INFO",
];

/// A server, and what was presented to it and must not come out again.
struct Guarded {
    server: Server,
    planted: Vec<String>,
    /// Whoever was let in.
    inside: Vec<Raw>,
    /// All that they heard.
    heard: String,
}

impl Guarded {
    fn new(conf: &str) -> Guarded {
        let which = Which::under_test();
        let conf = format!("debug: true\ntrace: true\ntrace_verbose: true\n{conf}");
        let server = Server::start(&which, &conf, &shard_args(&which, 2));
        Guarded { server, planted: Vec::new(), inside: Vec::new(), heard: String::new() }
    }

    /// Somebody presents what `said` makes of the nonce; is he let in? Whoever is hears `tr.>`, in the system account
    /// all there is.
    fn presents(&mut self, enters: bool, said: impl FnOnce(&str) -> Value) {
        let mut raw = Raw::connect(self.server.clients());
        let nonce = raw.greeting()["nonce"].as_str().unwrap_or_default().to_owned();
        let mut connect = said(&nonce);
        self.plant(&connect, enters);
        connect
            .as_object_mut()
            .expect("an object")
            .extend([("verbose".into(), json!(false)), ("headers".into(), json!(true))]);
        raw.write(format!("CONNECT {connect}\r\nSUB tr.> 1\r\nSUB $SYS.> 2\r\nPING\r\n").as_bytes());
        let (frames, closed) = raw.until_pongs(1);
        assert_eq!(closed, !enters, "{connect}");
        self.hears(&frames);
        if enters {
            self.inside.push(raw);
        }
    }

    /// Passwords and signatures, and tokens that are enough without one, or were good for nothing.
    fn plant(&mut self, said: &Value, enters: bool) {
        let texts = ["pass", "auth_token", "sig"].map(|key| said[key].as_str());
        let token = said["jwt"].as_str().filter(|_| !enters || said["sig"].is_null());
        let signature = token.and_then(|t| t.rsplit('.').next());
        self.planted.extend(texts.into_iter().chain([signature]).flatten().map(String::from));
    }

    fn hears(&mut self, frames: &[Vec<u8>]) {
        frames.iter().for_each(|f| self.heard.push_str(&String::from_utf8_lossy(f)));
    }

    /// The `n`-th who was let in says this.
    fn says(&mut self, n: usize, lines: &str) {
        self.inside[n].write(format!("{lines}PING\r\n").as_bytes());
        let (frames, closed) = self.inside[n].until_pongs(1);
        assert!(!closed, "{lines}");
        self.hears(&frames);
    }

    /// The last who was let in, in the system account, asks for all there is.
    fn is_asked_for_everything(&mut self, account: &str) {
        let (last, id) = (self.inside.len() - 1, self.server.id());
        let payload = r#"{"auth":true,"subscriptions":true,"subscriptions_detail":true,"state":2,"account":"A"}"#;
        let ask = |what: &&str| {
            let subject = what.replace("ID", &id).replace(".A.", &format!(".{account}."));
            format!("PUB $SYS.REQ.{subject} tr.answer {}\r\n{payload}\r\n", payload.len())
        };
        self.says(last, &ASKED.iter().map(ask).collect::<String>());
        let conns = |g: &Guarded| g.heard.matches("\"connections\":[").count() >= 2;
        until("the answers", PATIENCE, || {
            self.says(last, "");
            conns(self).then_some(())
        });
    }

    /// All is said that could show it, and nothing that was presented is anywhere.
    fn tells_nothing(mut self, shown: &[&str]) {
        self.server.signal("HUP");
        until("the reload has been told", PATIENCE, || self.server.output().contains("eload").then_some(()));
        let shown = [shown, &["[CONNECT {", "turnpike_"]].concat();
        let mut all = String::new();
        until(&format!("{shown:?}"), PATIENCE, || {
            (0..self.inside.len()).for_each(|n| self.says(n, ""));
            all = seen(&self.server) + &self.heard;
            shown.iter().all(|text| all.contains(text)).then_some(())
        });
        assert!(self.planted.len() > 1 && self.planted.iter().all(|word| word.len() > 7), "{:?}", self.planted);
        for word in &self.planted {
            let lines: Vec<&str> = all.lines().filter(|l| l.contains(word.as_str())).collect();
            assert!(lines.is_empty(), "{word}: {}", lines.join("\n"));
        }
    }
}

/// Publishes with a reply, traced on the way.
fn traced(subject: &str) -> String {
    let header = "NATS/1.0\r\nNats-Trace-Dest: tr.1\r\n\r\n";
    format!("HPUB {subject} tr.reply {} {}\r\n{header}hi\r\n", header.len(), header.len() + 2)
}

fn password(user: &str, word: &str) -> Value {
    json!({"user": user, "pass": format!("s3cr3t-{word}")})
}

#[test]
fn passwords_and_keys_are_told_to_nobody() {
    let hash = bcrypt::hash("s3cr3t-hashed", 4).expect("a hash");
    let [known, other] = [1, 2].map(|n| Key::new(Kind::User, n));
    let mut g = Guarded::new(&format!(
        "accounts {{ A {{ users: [ {{ user: plain, password: s3cr3t-plain }}, {{ user: hashed, password: \"{hash}\" }},
             {{ nkey: {} }} ], exports: [ {{ service: \"sv.>\" }} ], mappings: {{ \"m.1\": \"sv.1\" }} }}
           B {{ users: [ {{ user: asks, password: s3cr3t-asks }} ]
             imports: [ {{ service: {{ account: A, subject: \"sv.>\" }}, share: true }} ] }}
           SYS {{ users: [ {{ user: sys, password: s3cr3t-sys }} ] }} }}\nsystem_account: SYS\n",
        known.public()
    ));
    g.planted.push(hash);
    for user in ["plain", "hashed", "asks", "sys"] {
        g.presents(false, |_| password(user, "wrong"));
        g.presents(true, |_| password(user, user));
    }
    // The key is known, the signature is another's; the system account's client stays the last.
    g.presents(false, |nonce| json!({"nkey": known.public(), "sig": other.sign(nonce)}));
    g.presents(true, |nonce| json!({"nkey": known.public(), "sig": known.sign(nonce)}));
    let sys = g.inside.remove(3);
    g.inside.push(sys);
    g.says(3, "SUB sv.> 3\r\n");
    for n in [0, 1, 2] {
        g.says(n, &(traced("m.1") + &traced("sv.1") + &traced("nobody")));
    }
    g.says(3, "");
    g.is_asked_for_everything("A");
    g.tells_nothing(&[
        "\"authorized_user\": \"hashed",
        "Nats-Request-Info",
        "\"events\":[",
        ".CLIENT.AUTH.ERR",
        "client_connect",
    ]);
}

#[test]
fn tokens_are_told_to_nobody_who_could_use_them() {
    let [known, other] = [1, 2].map(|n| Key::new(Kind::User, n));
    let [account, system, stranger] = [3, 4, 5].map(|n| Key::new(Kind::Account, n));
    let operator = Key::new(Kind::Operator, 6);
    let signed = |by: &Key, sub: &Key, nats: Value| {
        by.token(&json!({"iss": by.public(), "sub": sub.public(), "iat": 1_700_000_000, "name": "n", "nats": nats}))
    };
    let limits = json!({"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1});
    let claims = json!({"type": "account", "version": 2, "limits": limits});
    let users = |by: &Key, sub: &Key, bearer: bool| {
        let nats = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "bearer_token": bearer});
        signed(by, sub, nats)
    };
    let foreign = users(&stranger, &other, true);
    let mut g = Guarded::new(&format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{\n{}: {}\n{}: {}\n}}\n",
        signed(&operator, &operator, json!({"type": "operator", "version": 2})),
        system.public(),
        account.public(),
        signed(&operator, &account, claims.clone()),
        system.public(),
        signed(&operator, &system, claims),
    ));
    let token = users(&account, &known, false);
    g.presents(true, |nonce| json!({"jwt": token, "sig": known.sign(nonce)}));
    g.presents(false, |nonce| json!({"jwt": users(&account, &other, false), "sig": known.sign(nonce)}));
    g.presents(true, |_| json!({"jwt": users(&account, &other, true)}));
    g.presents(false, |_| json!({"jwt": format!("{token}AAAAAAAA")}));
    g.presents(true, |_| json!({"jwt": users(&system, &other, true)}));
    g.presents(false, |_| json!({"jwt": foreign}));
    for n in [0, 1] {
        g.says(n, &traced("nobody"));
    }
    g.is_asked_for_everything(&account.public());
    g.tells_nothing(&["\"events\":[", ".CLIENT.AUTH.ERR", "client_connect", &known.public()]);
}

/// A word for all, and one beside a certificate; and the key of the server's own.
#[test]
fn a_word_for_all_and_one_beside_a_certificate_are_told_to_nobody() {
    let mut g = Guarded::new("authorization { token: s3cr3t-token }\n");
    g.presents(true, |_| json!({"auth_token": "s3cr3t-token"}));
    g.presents(false, |_| json!({"auth_token": "s3cr3t-wrong"}));
    g.says(0, &traced("nobody"));
    g.tells_nothing(&["\"events\":["]);

    let ca = Authority::new();
    let shown = ca.issue_with("client", &["localhost"], |p| p.subject_alt_names.push(mail("a@b.example")));
    let mut g = Guarded::new(&format!(
        "tls {{ {}, ca_file: \"{}\", verify_and_map: true }}
         authorization {{ users: [ {{ user: \"a@b.example\", password: s3cr3t-mapped }} ] }}\n",
        ca.server(),
        ca.file()
    ));
    let key = fs::read_to_string(&shown.key).expect("a key");
    g.planted.extend(["s3cr3t-mapped".into(), "s3cr3t-wrong".into(), key.lines().nth(1).expect("a key").into()]);
    let said = ["mapped", "wrong"].map(|word| {
        let mut private = Private::connect(g.server.clients(), &ca.client(Some(&shown))).expect("a handshake");
        private.write(format!("CONNECT {{\"pass\":\"s3cr3t-{word}\"}}\r\nPING\r\n").as_bytes());
        let first = private.next().expect("an answer");
        (private, String::from_utf8_lossy(&first).into_owned())
    });
    assert!(said[0].1.starts_with("+OK") && said[1].1.starts_with("-ERR"), "{} {}", said[0].1, said[1].1);
    g.tells_nothing(&["\"tls_version\"", "\"authorized_user\": \"a@b"]);
}
