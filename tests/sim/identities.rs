//! Who is where by his token: seeded scripts of clients with right, wrong, expired, revoked and replayed credentials against
//! one shard, while the wall clock is set forwards and backwards and reloads revoke. Nobody is in an account that his
//! credentials do not give him, nobody stays past his second, and whoever may come in does.
//!
//! What is right is reckoned here from how a token was made, not from what the shard makes of it.

#[path = "../support/keys.rs"]
#[allow(dead_code)]
mod keys;

use keys::Key;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use turnpike::base::{Cid, ConnId, Now, Rng, Time, MILLISECOND, SECOND};
use turnpike::policy::trust::{Charter, Trust};
use turnpike::policy::{Account, Auth, Found, Proof, Settings, Signed};
use turnpike::shard::{Act, Answer, Ask, Identity, Opening, Order, Setup, Shard};
use turnpike::wire::jwt;
use turnpike::wire::nkey::Kind;

const SEEDS: u64 = 10;
const STEPS: usize = 120;
/// Accounts that there are; one more signs tokens and is unknown.
const ACCOUNTS: u8 = 3;
/// The wall clock at the beginning, seconds since 1970.
const START_S: i64 = 1_700_000_000;
/// However often the clock is set, it is not set so far.
const YEAR_S: i64 = 365 * 86_400;
/// However the clock is set, what goes by it is looked at so often.
const LOOK_NS: u64 = SECOND + 10 * MILLISECOND;

/// A client, as it was made and as it is.
struct Guest {
    conn: ConnId,
    user: u8,
    account: u8,
    /// Its credentials are right, whatever the time.
    right: bool,
    issued: i64,
    expires: i64,
    /// Since when, on the monotonic clock, it should have been cut.
    doomed: Option<u64>,
    /// It was to be let in when it was looked at.
    welcome: bool,
    heard: String,
    closed: bool,
}

struct World {
    rng: Rng,
    shard: Shard,
    mono: u64,
    /// How far the wall clock is from the start and the monotonic one, nanoseconds.
    set_ns: i64,
    guests: Vec<Guest>,
    /// Signatures of nonces said before, by user.
    used: BTreeMap<u8, String>,
    /// Account and user, or none for all → up to that second.
    revoked: BTreeMap<(u8, Option<u8>), i64>,
    proofs: Vec<(ConnId, u32, Proof)>,
    met: BTreeSet<&'static str>,
}

fn operator() -> Key {
    Key::new(Kind::Operator, 1)
}

fn account(n: u8) -> Key {
    Key::new(Kind::Account, 10 + n)
}

fn user(n: u8) -> Key {
    Key::new(Kind::User, 50 + n)
}

fn auth(revoked: &BTreeMap<(u8, Option<u8>), i64>) -> Auth {
    let mut trust = Trust { keys: [operator().public()].into(), ..Trust::default() };
    let mut auth = Auth { required: true, announced: true, ..Auth::open() };
    for n in 0..ACCOUNTS {
        let key = account(n).public();
        let of = revoked.iter().filter(|((a, _), _)| *a == n);
        let revocations: BTreeMap<String, i64> =
            of.map(|((_, u), at)| (u.map_or("*".into(), |u| user(u).public()), *at)).collect();
        let limits = json!({"subs": -1, "payload": -1, "conn": -1, "imports": -1, "exports": -1});
        let token = operator().token(&json!({"iss": operator().public(), "sub": key,
            "nats": {"type": "account", "version": 2, "limits": limits, "revocations": revocations}}));
        let read = jwt::read::<jwt::Account>(&token).expect("an account's token");
        auth.accounts.push(Account::named(&key));
        trust.charters.insert(key, Charter::of(&read, auth.accounts.len() - 1, &trust));
    }
    auth.trust = Some(Arc::new(trust));
    auth
}

fn settings(revoked: &BTreeMap<(u8, Option<u8>), i64>) -> Arc<Settings> {
    let mut settings = Settings { auth: auth(revoked), ..Settings::default() };
    // Here nobody is cut for another reason than his credentials.
    settings.timers.auth_timeout = std::time::Duration::from_secs(3600);
    Arc::new(settings)
}

impl World {
    fn new(seed: u64) -> World {
        let usual = Setup::single(settings(&BTreeMap::new()), Arc::new(Identity::default()));
        let shard = Shard::new(Setup { seed, turn_deliveries_max: 1000, ..usual });
        World {
            rng: Rng::new(seed),
            shard,
            mono: SECOND,
            set_ns: 0,
            guests: Vec::new(),
            used: BTreeMap::new(),
            revoked: BTreeMap::new(),
            proofs: Vec::new(),
            met: BTreeSet::new(),
        }
    }

    fn wall_ns(&self) -> u64 {
        (START_S as u64 * SECOND).saturating_add(self.mono).saturating_add_signed(self.set_ns)
    }

    fn now_s(&self) -> i64 {
        (self.wall_ns() / SECOND) as i64
    }

    /// One turn; what it says is kept with whom it is said to.
    fn turn(
        &mut self,
        orders: Vec<Order>,
        says: &[(ConnId, String)],
        opens: Option<Opening>,
    ) -> (Option<ConnId>, Vec<Answer>) {
        let now = Now { mono: Time(self.mono), wall_ns: self.wall_ns() };
        let mut turn = self.shard.begin(now).sockets();
        turn.time();
        let opened = opens.map(|o| turn.open(o));
        says.iter().for_each(|(conn, text)| turn.bytes(*conn, text.as_bytes()));
        orders.into_iter().for_each(|order| turn.order(order));
        let Ok(mut flush) = turn.end().sockets() else { panic!("there is no ring") };
        let mut heard: BTreeMap<u64, String> = BTreeMap::new();
        while let Some(conn) = flush.dirty() {
            loop {
                let bytes = flush.pending(conn).to_vec();
                if bytes.is_empty() {
                    break;
                }
                heard.entry(conn.to_bits()).or_default().push_str(&String::from_utf8_lossy(&bytes));
                flush.wrote(conn, bytes.len());
            }
        }
        let mut answers = Vec::new();
        while let Some(act) = flush.act() {
            match act {
                Act::Verify { conn, look, proof, .. } => self.proofs.push((conn, look, proof)),
                Act::Finish(conn) | Act::Close(conn) => {
                    self.guests.iter_mut().filter(|g| g.conn == conn).for_each(|g| g.closed = true);
                }
                Act::Answer { answer, .. } => answers.push(answer),
                _ => {}
            }
        }
        let opened_heard = opened.and_then(|o| heard.remove(&o.to_bits()));
        for guest in &mut self.guests {
            guest.heard.extend(heard.remove(&guest.conn.to_bits()));
        }
        if let (Some(conn), Some(text)) = (opened, opened_heard) {
            self.greet(conn, &text);
        }
        (opened, answers)
    }

    /// Somebody was given a nonce and presents something.
    fn greet(&mut self, conn: ConnId, info: &str) {
        let json: serde_json::Value = serde_json::from_str(&info[5..]).expect("INFO");
        let nonce = json["nonce"].as_str().expect("a nonce").to_owned();
        let (user_n, account_n, now) =
            (self.rng.below(4) as u8, self.rng.below(u64::from(ACCOUNTS) + 1) as u8, self.now_s());
        let issued = now - self.rng.below(100) as i64;
        let expires = if self.rng.one_in(2) { now - 3 + self.rng.below(10) as i64 } else { 0 };
        let early = self.rng.one_in(8);
        // Claimed: the account that the token is of; signed: by whom it really is.
        let signed_by = if self.rng.one_in(6) { self.rng.below(u64::from(ACCOUNTS) + 1) as u8 } else { account_n };
        let claims = json!({"iss": account(account_n).public(), "sub": user(user_n).public(), "iat": issued, "exp": expires,
            "nbf": if early { now + 50 * YEAR_S } else { 0 },
            "nats": {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}});
        let token = account(signed_by).token(&claims);
        let good = user(user_n).sign(&nonce);
        let (sig, signed) = match self.rng.below(6) {
            0 => (self.used.get(&user_n).cloned().unwrap_or_default(), false),
            1 => (user((user_n + 1) % 4).sign(&nonce), false),
            2 if self.rng.one_in(2) => (String::new(), false),
            _ => (good.clone(), true),
        };
        self.used.insert(user_n, good);
        let right = signed && signed_by == account_n && account_n < ACCOUNTS && !early;
        let welcome = right && (expires == 0 || expires >= now) && !self.is_revoked(account_n, user_n, issued);
        let (heard, closed, doomed) = (String::new(), false, None);
        self.guests.push(Guest {
            conn,
            user: user_n,
            account: account_n,
            right,
            issued,
            expires,
            doomed,
            welcome,
            heard,
            closed,
        });
        let connect = json!({"verbose": false, "pedantic": false, "protocol": 1, "jwt": token, "sig": sig});
        self.turn(vec![], &[(conn, format!("CONNECT {connect}\r\nPING\r\n"))], None);
    }

    fn is_revoked(&self, account: u8, user: u8, issued: i64) -> bool {
        [Some(user), None].iter().filter_map(|u| self.revoked.get(&(account, *u))).any(|at| *at >= issued)
    }

    fn step(&mut self) {
        self.mono += self.rng.below(400) * MILLISECOND;
        match self.rng.below(12) {
            0 => {
                // Somebody sets the clock.
                let by = [3, 60, 3600, 86_400][self.rng.below(4) as usize] * SECOND as i64;
                self.set_ns += if self.rng.one_in(2) { by } else { -by };
                self.met.insert("the clock was set");
                self.turn(vec![], &[], None);
            }
            1 => {
                let which = (
                    self.rng.below(u64::from(ACCOUNTS)) as u8,
                    Some(self.rng.below(4) as u8).filter(|_| !self.rng.one_in(3)),
                );
                let at = self.now_s() - self.rng.below(60) as i64;
                // As the libraries have it: what is revoked stays so.
                let second = self.revoked.entry(which).or_insert(at);
                *second = at.max(*second);
                // Who is being looked at is looked at once more; what is found of the first look counts for nothing.
                let order = Order::Settings(settings(&self.revoked));
                self.turn(vec![order], &[], None);
            }
            2..=5 => {
                let n = self.guests.len() as u64;
                let nonce = std::array::from_fn(|i| (self.rng.next_u64() >> i) as u8);
                let opening = Opening {
                    cid: Cid(n + 1),
                    ip: "10.0.0.1".into(),
                    port: 1,
                    over_limit: false,
                    privacy: Default::default(),
                    nonce,
                };
                self.turn(vec![], &[], Some(opening));
            }
            6..=9 if !self.proofs.is_empty() => {
                let (conn, look, proof) = self.proofs.remove(0);
                let Proof::Signatures(all) = proof else { panic!("no hours, no passwords") };
                let found = Found::plainly(!all.is_empty() && all.iter().all(Signed::holds));
                self.turn(vec![Order::Verified { conn, look, found }], &[], None);
            }
            _ => drop(self.turn(vec![], &[], None)),
        }
    }

    /// What holds after every step.
    fn check(&mut self) {
        let (now_s, mono) = (self.now_s(), self.mono);
        let revoked = self.revoked.clone();
        let is_revoked = |g: &Guest| {
            [Some(g.user), None].iter().filter_map(|u| revoked.get(&(g.account, *u))).any(|at| *at >= g.issued)
        };
        let rows = self.rows();
        for guest in &mut self.guests {
            let over = guest.expires != 0 && guest.expires <= now_s;
            guest.doomed = if over { guest.doomed.or(Some(mono)) } else { None };
            let inside = rows.get(&guest.conn.to_bits()).filter(|_| !guest.closed);
            let Some((account_name, user_name)) = inside else { continue };
            if account_name == "$G" {
                continue; // not let in yet
            }
            assert!(guest.right, "user {} is in {account_name} and has no right to be", guest.user);
            assert_eq!(*account_name, account(guest.account).public(), "another account than the token's");
            assert_eq!(*user_name, user(guest.user).public());
            assert!(!is_revoked(guest), "user {} is void and still here", guest.user);
            assert!(
                guest.doomed.is_none_or(|since| mono < since + LOOK_NS),
                "user {} stays past his second",
                guest.user
            );
        }
        for guest in self.guests.iter().filter(|g| g.closed) {
            for text in ["User Authentication Expired", "User Authentication Revoked", "Authorization Violation"] {
                if guest.heard.contains(text) {
                    self.met.insert(text);
                }
            }
            assert!(!guest.heard.contains("Expired") || guest.expires != 0, "cut for a time that nobody has set");
            assert!(!guest.heard.contains("Revoked") || is_revoked(guest), "cut for what nobody has revoked");
        }
    }

    /// Connections that are in an account: account and user.
    fn rows(&mut self) -> BTreeMap<u64, (String, String)> {
        let ask = Ask::Connections { from: 0, max: u32::MAX, subs: false };
        let (_, answers) = self.turn(vec![Order::Report { ticket: 1, ask }], &[], None);
        let mut found = BTreeMap::new();
        for answer in answers {
            let Answer::Connections { rows, .. } = answer else { continue };
            for row in rows {
                let Some(guest) = self.guests.get(row.cid as usize - 1) else { continue };
                let entered = row.user.clone().unwrap_or_default();
                let place = if entered.is_empty() { "$G".into() } else { row.account.clone() };
                found.insert(guest.conn.to_bits(), (place, entered));
            }
        }
        found
    }
}

#[test]
fn nobody_is_where_his_credentials_do_not_lead() {
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
            world.check();
        }
        // Whoever was welcome and has no end is still here, and nobody else was ever let in.
        while !world.proofs.is_empty() {
            let (conn, look, proof) = world.proofs.remove(0);
            let Proof::Signatures(all) = proof else { panic!("no hours, no passwords") };
            let found = Found::plainly(all.iter().all(Signed::holds));
            world.turn(vec![Order::Verified { conn, look, found }], &[], None);
        }
        let rows = world.rows();
        for guest in &world.guests {
            let lasting = guest.expires == 0 && !world.is_revoked(guest.account, guest.user, guest.issued);
            let here = rows.get(&guest.conn.to_bits()).is_some_and(|(place, _)| place != "$G") && !guest.closed;
            // Who has an end may be here yet, or was cut before the clock was set back.
            let may = guest.welcome && (lasting || guest.expires > world.now_s());
            assert!(may || !here, "seed {seed}: user {} is still here: {}", guest.user, guest.heard);
            assert!(
                here || !(guest.welcome && lasting),
                "seed {seed}: user {} is not here: {}",
                guest.user,
                guest.heard
            );
            if here {
                assert!(guest.heard.contains("PONG"), "seed {seed}: {}", guest.heard);
                *met.entry("here").or_default() += 1;
            }
        }
        world.met.iter().for_each(|what| *met.entry(what).or_default() += 1);
    }
    for what in [
        "here",
        "the clock was set",
        "User Authentication Expired",
        "User Authentication Revoked",
        "Authorization Violation",
    ] {
        assert!(met.contains_key(what), "never met: {what}; met: {met:?}");
    }
}
