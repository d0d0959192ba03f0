//! One connection as the protocol sees it (client-protocol.md §2): a client's, or, with
//! [`Client::route`] or [`Client::gateway`], another server's.
//! Lives on exactly one shard, in its table of connections; whoever handles an operation of this connection works on it.
//!
//! ```text
//!            CONNECT                  answer of the password check
//! Greeted ───────────────▶ Open ◀──────────────────────────────────── Verifying
//!    │  └─ bcrypt password ──────────────────────────────────────────────▲  │
//!    └────────────┬──────────┴───────────── any end ───────────────────────┘
//!                 ▼
//!              Closing ── all written ──▶ Lingering ── peer gone, or time up ──▶ (removed)
//! ```
//!
//! Where TLS begins after INFO a client is `Upgrading` before it is `Greeted`: INFO is written, then its socket is away
//! for the handshake.

use super::{Close, Health, OutBuf, Spares};
use crate::base::limits::SHORT_REST_MAX;
use crate::base::{same, Cid, ShardSet, Slot, Time};
use crate::policy::{Pass, Peer};
use crate::wire::hello::Connect;
use crate::wire::nkey::NONCE_BYTES;
use crate::wire::{quote, Message, Parser, Rules};
use hashbrown::HashTable;

/// Where a connection stands; see the file's head.
#[derive(Debug)]
pub enum Stage {
    /// INFO is being written; when it is, the socket is `away` for a handshake, and nothing is read or written here.
    Upgrading {
        /// It has gone.
        away: bool,
    },
    /// INFO is sent. Without authentication every operation works from here on.
    Greeted,
    /// Somebody is comparing a bcrypt hash; nothing is read on meanwhile.
    Verifying(Box<Entry>),
    /// It presented a wrong password, and is not told so at once; nothing is read on meanwhile.
    Refused,
    /// CONNECT was accepted.
    Open,
    /// It said that it is a route, with this CONNECT line, where routes come in on the client port: it leaves the shard as
    /// soon as what was said to it is written.
    Leaving(Vec<u8>),
    /// What waits is being written; nothing that comes is looked at any more.
    Closing(Close),
    /// All is written and the sending side shut; what still comes is thrown away, so that the peer reads our last
    /// words instead of a reset.
    Lingering(Close),
}

/// Where a connection goes once its password proves right.
#[derive(Debug)]
pub struct Entry {
    /// Index of the account.
    pub account: u16,
    /// Index of the user; None for a token.
    pub user: Option<u32>,
    /// What a user's JWT gave.
    pub pass: Option<Box<Pass>>,
}

/// What passed over a connection. "In" is from the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Messages from the client.
    pub in_msgs: u64,
    /// Their header and payload bytes.
    pub in_bytes: u64,
    /// Messages queued for the client.
    pub out_msgs: u64,
    /// Their header and payload bytes.
    pub out_bytes: u64,
    /// How often it was paused for slow receivers.
    pub stalls: u64,
}

impl Counts {
    /// What passed since `before`.
    pub fn since(&self, before: &Counts) -> Counts {
        Counts {
            in_msgs: self.in_msgs - before.in_msgs,
            in_bytes: self.in_bytes - before.in_bytes,
            out_msgs: self.out_msgs - before.out_msgs,
            out_bytes: self.out_bytes - before.out_bytes,
            stalls: self.stalls - before.stalls,
        }
    }

    /// Adds what passed elsewhere.
    pub fn add(&mut self, more: &Counts) {
        self.in_msgs += more.in_msgs;
        self.in_bytes += more.in_bytes;
        self.out_msgs += more.out_msgs;
        self.out_bytes += more.out_bytes;
        self.stalls += more.stalls;
    }
}

/// Where the last message of this connection went: how its line began, and the verdict reached then, which is good as
/// long as its key still names an entry.
#[derive(Debug)]
pub struct Memo {
    /// `PUB <subject> `, or `RMSG <account> <subject> `.
    pub line: Vec<u8>,
    /// Where in it the subject begins.
    subject_at: usize,
    /// The verdict's key.
    pub verdict: Slot,
}

impl Memo {
    /// Nothing is remembered.
    pub const NOTHING: Memo = Memo { line: Vec::new(), subject_at: 0, verdict: Slot::NONE };

    /// The subject; empty: nothing is remembered.
    #[inline]
    pub fn subject(&self) -> &[u8] {
        self.line.get(self.subject_at..).and_then(|s| s.split_last()).map_or(&[], |(_, subject)| subject)
    }

    /// Remembers a message to `subject`, in whose line `before` stands before it.
    pub fn remember(&mut self, before: &[&[u8]], subject: &[u8], verdict: Slot) {
        self.line.clear();
        before.iter().for_each(|part| self.line.extend_from_slice(part));
        self.subject_at = self.line.len();
        self.line.extend_from_slice(subject);
        self.line.push(b' ');
        self.verdict = verdict;
    }
}

/// What of a client its publication is delivered by.
#[derive(Clone, Copy, Debug)]
pub struct Publisher {
    /// The account.
    pub account: u16,
    /// More is to be done about its publications than to deliver them: it is verbose or pedantic and hears of them, they may
    /// be answers to another cluster, or it is yet to be seen whether it has the right to them.
    pub talks: bool,
    /// Nothing that it sent last waits for anybody.
    pub calm: bool,
    /// Where its last message went, if that had the same subject.
    pub verdict: Slot,
    /// Its subject may become another.
    pub maps: bool,
    /// The verdict on its subject where that was looked for before; it does not say that it may be published.
    pub found: Slot,
}

/// See the file's head.
#[derive(Debug)]
pub struct Client {
    /// What goes out.
    pub out: OutBuf,
    /// What passed.
    pub counts: Counts,
    /// Bytes waiting for it, as far as they are counted to those of all.
    pub waiting_bytes: usize,
    /// What of it is in the books of accounts it has left.
    pub booked: Counts,
    /// Is it in the shard's list of connections with something to write?
    pub dirty: bool,
    /// The last of the shard's stretches that it was found to be a receiver of.
    pub stretch: u32,
    /// The socket takes no more for now.
    pub blocked: bool,
    /// `headers` in effect.
    pub headers: bool,
    /// `echo` in effect.
    pub echo: bool,
    /// `verbose` in effect.
    pub verbose: bool,
    /// `pedantic` in effect.
    pub pedantic: bool,
    /// Its account has mappings: what it publishes may become something else.
    pub maps: bool,
    /// `no_responders` in effect.
    pub no_responders: bool,
    /// Takes INFO at any time (`protocol` ≥ 1).
    pub async_info: bool,
    /// It is the server's own and answers for it in the system account: no listing, limit or count knows of it.
    pub service: bool,
    /// It has one of the places that `max_connections` limits: who is refused has none, and who ends gives it back.
    pub placed: bool,
    /// It has sent malformed headers, of which the log is told once.
    pub malforms: bool,
    /// A CONNECT has been accepted.
    pub connected: bool,
    /// The INFO that follows the first PONG is sent.
    pub informed: bool,
    /// Paused until its receivers drain; see `shard::pace`.
    pub paused: bool,
    /// The peer has shut its sending side; to be ended when what it said is done with.
    pub eof: bool,
    /// It waits in the shard's queue of connections with bytes left over.
    pub waiting: bool,
    /// Index of its account.
    pub account: u16,
    /// It is counted to its account.
    pub joined: bool,
    /// Index of its user.
    pub user: Option<u32>,
    /// Where the last message went.
    pub memo: Memo,
    /// The place in the stream.
    pub parser: Parser,
    /// What may be said now.
    pub rules: Rules,
    /// Bytes that are not an operation yet, or not done with.
    pub tail: Vec<u8>,
    /// Where it stands.
    pub stage: Stage,
    /// Bytes that it sent before it was known who it is, where that has to be.
    pub sent_early: usize,
    /// Its subscriptions, found by sid.
    pub subs: HashTable<Slot>,
    /// Bytes that its subscriptions take.
    pub sub_bytes: usize,
    /// Most subscriptions it may have; None: no limit.
    pub max_subs: Option<usize>,
    /// Shards on which every receiver of its last message was congested.
    pub pressed: ShardSet,
    /// Shards with a congested route that its messages go over.
    pub route_pressed: ShardSet,
    /// Shards that its last message went to.
    pub reached: ShardSet,
    /// When bytes were last taken by the socket, or began to wait.
    pub progress_at: Time,
    /// A write-deadline timer runs.
    pub deadline_set: bool,
    /// Is the peer there?
    pub health: Health,
    /// Public number.
    pub cid: Cid,
    /// The peer's address.
    pub ip: Box<str>,
    /// The peer's port.
    pub port: u16,
    /// Wall-clock time of the accept, nanoseconds since 1970.
    pub start_ns: u64,
    /// Monotonic time of the accept.
    pub since: Time,
    /// What makes it a route to another server; None: a client.
    pub route: Option<Box<super::Route>>,
    /// What makes it a link to another cluster.
    pub gateway: Option<Box<super::GatewayLink>>,
    /// What it may do, and what not; None: it may do everything.
    pub rights: Option<Box<super::Rights>>,
    /// Requests from other clusters that it may answer.
    pub answers: Option<Box<super::Answers>>,
    /// What a user's JWT gave it.
    pub pass: Option<Box<Pass>>,
    /// How it is secured; None: it is in the clear.
    pub peer: Option<Box<Peer>>,
    /// How often what it presents was given away to be looked at.
    pub looks: u32,
    /// What it was given to sign, as random as it came.
    pub nonce: [u8; NONCE_BYTES],
    /// All that its CONNECTs said; a further one only changes what it names. Nothing before the first.
    pub said: Option<Box<Connect>>,
}

impl Client {
    /// A connection just accepted. `rules` are those before CONNECT.
    pub fn new(cid: Cid, ip: &str, port: u16, rules: Rules, now: crate::base::Now) -> Client {
        Client {
            out: OutBuf::default(),
            counts: Counts::default(),
            waiting_bytes: 0,
            booked: Counts::default(),
            dirty: false,
            stretch: 0,
            blocked: false,
            headers: false,
            // What a client that never says CONNECT gets (client-protocol.md §4, column "default").
            echo: true,
            verbose: true,
            pedantic: true,
            maps: false,
            no_responders: false,
            async_info: false,
            service: false,
            placed: false,
            malforms: false,
            connected: false,
            informed: false,
            paused: false,
            eof: false,
            waiting: false,
            account: 0,
            joined: false,
            user: None,
            memo: Memo::NOTHING,
            parser: Parser::default(),
            rules,
            tail: Vec::new(),
            stage: Stage::Greeted,
            sent_early: 0,
            subs: HashTable::new(),
            sub_bytes: 0,
            max_subs: None,
            pressed: ShardSet::EMPTY,
            route_pressed: ShardSet::EMPTY,
            reached: ShardSet::EMPTY,
            progress_at: now.mono,
            deadline_set: false,
            health: Health::default(),
            cid,
            ip: ip.into(),
            port,
            start_ns: now.wall_ns,
            since: now.mono,
            route: None,
            gateway: None,
            rights: None,
            answers: None,
            pass: None,
            peer: None,
            looks: 0,
            nonce: [0; NONCE_BYTES],
            said: None,
        }
    }

    /// Counts a message that the client publishes, and says what is known of its way.
    #[inline]
    pub fn publishes(&mut self, m: &Message<'_>, now: Time) -> Publisher {
        self.counts.in_msgs += 1;
        self.counts.in_bytes += m.size as u64;
        self.health.active_at = now;
        // Only what it may publish is remembered.
        let (verdict, judged) = match same(self.memo.subject(), m.subject) {
            true => (self.memo.verdict, true),
            false => (Slot::NONE, self.rights.is_none() && !self.maps),
        };
        Publisher {
            account: self.account,
            talks: self.verbose | self.pedantic | self.answers.is_some() | !judged,
            calm: self.pressed.is_empty(),
            verdict,
            maps: self.maps,
            found: Slot::NONE,
        }
    }

    /// May what follows the last message be carried out as that was, if it begins alike? Not where publications are
    /// answered, or a receiver is waited for, or an operation has begun already.
    #[inline]
    pub fn may_repeat(&self) -> bool {
        let (talks, begun) = match (&self.route, &self.gateway) {
            (Some(route), _) => (false, route.parser.has_begun()),
            (None, Some(gateway)) => (false, gateway.parser.has_begun()),
            (None, None) => (self.verbose || self.pedantic || self.answers.is_some(), self.parser.has_begun()),
        };
        self.ready()
            && !self.memo.line.is_empty()
            && !talks
            && !begun
            && self.pressed.is_empty()
            && self.route_pressed.is_empty()
    }

    /// Is it a client's, and no other server's?
    #[inline]
    pub fn is_client(&self) -> bool {
        self.route.is_none() && self.gateway.is_none()
    }

    /// The pulse of another server; None: it is a client's.
    pub fn pulse(&mut self) -> Option<&mut super::Pulse> {
        match (&mut self.route, &mut self.gateway) {
            (Some(route), _) => Some(&mut route.pulse),
            (None, Some(gateway)) => Some(&mut gateway.pulse),
            (None, None) => None,
        }
    }

    /// Are operations of this connection still carried out?
    pub fn lives(&self) -> bool {
        !matches!(self.stage, Stage::Closing(_) | Stage::Lingering(_))
    }

    /// The next bytes that may be written to it, contiguous.
    pub fn writable(&self) -> &[u8] {
        let bytes = self.out.next();
        match self.gateway.as_deref().and_then(|g| g.hold).filter(|_| self.lives()) {
            Some(hold) => &bytes[..bytes.len().min(hold.room)],
            None => bytes,
        }
    }

    /// What may be written behind [`Client::writable`], in order.
    pub fn writable_behind(&self) -> impl Iterator<Item = &[u8]> {
        let held = self.gateway.as_deref().is_some_and(|g| g.hold.is_some()) && self.lives();
        (!held).then(|| self.out.behind()).into_iter().flatten()
    }

    /// Bytes that must have come before the next operation can be whole; 0: unknown.
    pub fn need(&self) -> usize {
        match (&self.route, &self.gateway) {
            (Some(route), _) => route.parser.need(),
            (None, Some(gateway)) => gateway.parser.need(),
            (None, None) => self.parser.need(),
        }
    }

    /// Keeps bytes behind what is left over already. A short rest has a buffer of its size; a long one takes a chunk.
    pub fn keep_behind(&mut self, data: &[u8], spares: &mut Spares) {
        let whole = self.tail.len() + data.len();
        if self.tail.capacity() < whole {
            let mut larger = if whole > SHORT_REST_MAX { spares.take() } else { Vec::with_capacity(whole) };
            larger.extend_from_slice(&self.tail);
            give_back(std::mem::replace(&mut self.tail, larger), spares);
        }
        self.tail.extend_from_slice(data);
    }

    /// Is the next operation to be carried out: [`Client::lives`], and not [`Client::held`]?
    #[inline]
    pub fn ready(&self) -> bool {
        !self.paused && matches!(self.stage, Stage::Greeted | Stage::Open)
    }

    /// Are all receivers of its last message congested, or a route that it feeds?
    pub fn must_wait(&self) -> bool {
        let everywhere = !self.reached.is_empty() && self.reached.0 & !self.pressed.0 == 0;
        everywhere || !self.route_pressed.is_empty()
    }

    /// Is something due once all that waits for it is written?
    pub fn has_plans(&self) -> bool {
        matches!(self.stage, Stage::Upgrading { .. } | Stage::Closing(_) | Stage::Lingering(_))
    }

    /// Must what comes wait?
    pub fn held(&self) -> bool {
        self.paused || matches!(self.stage, Stage::Verifying(_) | Stage::Refused | Stage::Leaving(_))
    }

    /// Has it yet to say who it is, where that has to be?
    pub fn is_stranger(&self) -> bool {
        self.rules.connect_first && matches!(self.stage, Stage::Greeted)
    }

    /// The prefix of its log lines (operations.md §12). `account` is the name of the one it is in; it is said together
    /// with the user, or that there was a token.
    pub fn label(&self, account: &str) -> String {
        let ip = if self.ip.contains(':') { format!("[{}]", self.ip) } else { self.ip.to_string() };
        if let Some(route) = &self.route {
            return format!("{ip}:{} - rid:{} - {}", self.port, self.cid.0, quoted(&route.intro.server_name));
        }
        if let Some(link) = &self.gateway {
            return format!("{ip}:{} - gid:{} - {}", self.port, self.cid.0, quoted(&link.intro.server_name));
        }
        let mut label = format!("{ip}:{} - cid:{}", self.port, self.cid.0);
        let Some(said) = self.said.as_deref().filter(|_| self.connected) else { return label };
        let version = if said.version.is_empty() { String::new() } else { format!("v{}", said.version) };
        let program = [version.as_str(), &said.lang, &said.name];
        let program: Vec<&str> = program.into_iter().filter(|part| !part.is_empty()).collect();
        if !program.is_empty() {
            label.push_str(&format!(" - {}", quoted(&program.join(":"))));
        }
        if !said.nkey.is_empty() && said.user.is_empty() {
            label.push_str(&format!(" - {}", quoted(&format!("{account}/nkey:{}", said.nkey))));
        } else if !said.user.is_empty() {
            label.push_str(&format!(" - {}", quoted(&format!("{account}/user:{}", said.user))));
        } else if !said.auth_token.is_empty() {
            label.push_str(&format!(" - {}", quoted(&format!("{account}/token"))));
        }
        label
    }
}

/// Gives back the buffer of a rest: a short one's is not worth a place among the chunks, where it would be filled with
/// messages and grow, copy by copy, time and again.
pub fn give_back(rest: Vec<u8>, spares: &mut Spares) {
    if rest.capacity() > SHORT_REST_MAX {
        spares.put(rest);
    }
}

fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote(&mut out, text.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Now;

    #[test]
    fn the_log_names_a_connection_as_nats_server_does() {
        let label = |connected, json: &str| {
            let rules = Rules { max_control_line: 1, max_payload: 1, headers: false, connect_first: false };
            let mut client = Client::new(Cid(7), "::1", 80, rules, Now::default());
            client.connected = connected;
            client.said.insert(Box::default()).update(json.as_bytes()).unwrap();
            client.label("$G")
        };
        // Recorded: nats-server 2.15.2 -DV.
        let full = r#"{"version":"1","lang":"x","name":"n","user":"bob","pass":"p"}"#;
        assert_eq!(label(true, full), r#"[::1]:80 - cid:7 - "v1:x:n" - "$G/user:bob""#);
        assert_eq!(label(true, r#"{"auth_token":"t"}"#), r#"[::1]:80 - cid:7 - "$G/token""#);
        assert_eq!(label(false, full), "[::1]:80 - cid:7");
        assert_eq!(label(true, "{}"), "[::1]:80 - cid:7");
        assert_eq!(label(true, r#"{"lang":"go"}"#), r#"[::1]:80 - cid:7 - "go""#);
        assert_eq!(label(true, r#"{"version":"1","name":"n"}"#), r#"[::1]:80 - cid:7 - "v1:n""#);
        assert_eq!(label(true, r#"{"name":"a\"b\n"}"#), r#"[::1]:80 - cid:7 - "a\"b\n""#);
    }
}
