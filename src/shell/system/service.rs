//! The service itself: what it listens to, answers and tells. See the folder's head; `run` gives it a connection.

use super::event::{self, Account};
use super::line::{message, Incoming};
use super::request::{endpoint, retain, Asked, Identity, Options};
use super::statsz::{statsz, Gathered};
use super::traces::{self, Added, Traces, Whole};
use crate::shard::traced::Part;
use crate::shard::{Answer, Ask, Happening, Order, SystemQuestion};
use crate::shell::identity;
use crate::shell::monitor::{now_ns, stamp, Query, Site};
use crate::shell::rings::{Door, Mail};
use crate::NATS_VERSION;
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, Semaphore};
use tokio::time::sleep;

/// Changes of the number of connections are told together for so long.
const TOGETHER: Duration = Duration::from_millis(100);
/// A server of which nothing was heard for so long is none any more.
const FORGOTTEN: Duration = Duration::from_secs(150);
/// Who asked on behalf of an ordinary account hears answers for so long.
const ANSWERS_COME: Duration = Duration::from_secs(10);
/// Most of those at a time; the oldest is given up for a new one.
const QUESTIONS_MAX: usize = 1024;
/// Requests answered at a time; others wait their turn.
const AT_A_TIME: usize = 8;
/// All shards have said what they know of a traced message after so long; else it is told without.
const PARTS_COME: Duration = Duration::from_millis(500);

/// Asks for a reload; what becomes of it comes back.
pub type Reload = Box<dyn Fn(oneshot::Sender<Result<(), String>>) + Send + Sync>;

/// What the service remembers.
#[derive(Default)]
struct State {
    /// Other servers, and when they were last heard.
    servers: BTreeMap<String, Instant>,
    /// Who awaits answers of other servers, by number.
    questions: BTreeMap<u64, (u16, Box<[u8]>, Instant)>,
    next_question: u64,
    /// Accounts whose connections have changed.
    changed: BTreeSet<String>,
    /// Traced messages of which not all is known yet.
    traces: Traces,
    /// Told once the connection has said all that was said before.
    flushed: Vec<crossbeam_channel::Sender<()>>,
    /// The server is: no connection follows this one.
    ending: bool,
}

/// See the file's head.
pub struct Service {
    site: Arc<Site>,
    doors: Vec<Door>,
    reload: Reload,
    cluster: String,
    out: Mutex<mpsc::Sender<Vec<u8>>>,
    seq: AtomicU64,
    inbox: String,
    state: Mutex<State>,
    slots: Semaphore,
}

/// Something that no other is called.
fn unique() -> String {
    // Without random bytes no server has started.
    let bytes: [u8; 11] = identity::random().unwrap_or_default();
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Service {
    /// One that says what it has to say through `out`.
    pub fn new(
        site: Arc<Site>,
        doors: Vec<Door>,
        reload: Reload,
        cluster: String,
        out: mpsc::Sender<Vec<u8>>,
    ) -> Service {
        Service {
            site,
            doors,
            reload,
            cluster,
            out: Mutex::new(out),
            seq: AtomicU64::new(0),
            inbox: format!("_INBOX.{}", unique()),
            state: Mutex::default(),
            slots: Semaphore::new(AT_A_TIME),
        }
    }

    /// The shard that has its connection.
    pub fn door(&self) -> Option<&Door> {
        self.doors.first()
    }

    /// It has another connection from here on.
    pub fn speak_through(&self, out: mpsc::Sender<Vec<u8>>) {
        *self.out.lock().unwrap_or_else(PoisonError::into_inner) = out;
    }

    /// The server ends: nothing follows. Says so once all has been told.
    pub fn end(&self, done: crossbeam_channel::Sender<()>) {
        let mut state = self.state();
        (state.ending, _) = (true, state.flushed.push(done));
        drop(state);
        self.send(b"PING\r\n".to_vec());
    }

    /// See [`Service::end`].
    pub fn is_ending(&self) -> bool {
        self.state().ending
    }

    /// All that was said before has been taken in.
    pub fn is_flushed(&self) {
        self.state().flushed.drain(..).for_each(|done| {
            // Who waited may have given up.
            let _ = done.send(());
        });
    }

    /// Servers of which nothing is heard any more are none.
    pub fn forget_the_silent(&self) {
        self.state().servers.retain(|_, heard| heard.elapsed() < FORGOTTEN);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> &str {
        &self.site.facts.server_id
    }

    /// What it listens to.
    pub fn subscriptions(&self) -> String {
        let id = self.id();
        let subjects = [
            "$SYS.REQ.SERVER.PING".to_owned(),
            "$SYS.REQ.SERVER.PING.*".into(),
            format!("$SYS.REQ.SERVER.{id}.*"),
            "$SYS.REQ.ACCOUNT.*.*".into(),
            "$SYS.DEBUG.SUBSCRIBERS".into(),
            "$SYS.SERVER.*.STATSZ".into(),
            "$SYS.SERVER.*.SHUTDOWN".into(),
            format!("{}.*", self.inbox),
        ];
        (1..).zip(subjects).map(|(sid, subject)| format!("SUB {subject} {sid}\r\n")).collect()
    }

    /// Writes to the connection; False: too much waits for it.
    pub fn send(&self, bytes: Vec<u8>) -> bool {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).try_send(bytes).is_ok()
    }

    fn publish(&self, subject: &str, value: &Value) {
        self.send(message(subject, "", "", value.to_string().as_bytes()));
    }

    /// The server, as each answer and event names it.
    fn server(&self) -> Value {
        let facts = &self.site.facts;
        let mut server = json!({
            "name": facts.server_name,
            "host": facts.told().0,
            "id": facts.server_id,
            "ver": NATS_VERSION,
            "jetstream": false,
            "flags": 0,
            "seq": self.seq.fetch_add(1, Relaxed) + 1,
            "time": stamp(now_ns()),
        });
        if !self.cluster.is_empty() {
            server["cluster"] = json!(self.cluster);
        }
        let live = facts.loads.in_force(&facts.settings);
        if !live.server_tags.is_empty() {
            server["tags"] = json!(live.server_tags);
        }
        if !live.server_metadata.is_empty() {
            server["metadata"] = json!(live.server_metadata);
        }
        server
    }

    /// A message came.
    pub fn hear(self: &Arc<Self>, m: Incoming) {
        let other = m.subject.strip_prefix("$SYS.SERVER.").and_then(|s| s.rsplit_once('.'));
        if let Some((id, what)) = other {
            return self.heard_of(id, what);
        }
        if let Some(number) = m.subject.strip_prefix(&self.inbox) {
            return self.answered(number, m.payload);
        }
        // Nor does nats-server obey an order that nobody awaits the answer of.
        let Some(asked) = Asked::read(&m.subject, self.id()).filter(|_| !m.reply.is_empty()) else { return };
        let service = self.clone();
        tokio::spawn(async move {
            // Never closed.
            let _slot = service.slots.acquire().await;
            if let Some(answer) = service.answer(asked, &m).await {
                service.send(message(&m.reply, "", "", answer.to_string().as_bytes()));
            }
        });
    }

    /// Another server says how it is, or that it goes.
    fn heard_of(self: &Arc<Self>, id: &str, what: &str) {
        if id == self.id() {
            return;
        }
        if what == "SHUTDOWN" {
            self.state().servers.remove(id);
            return;
        }
        if self.state().servers.insert(id.into(), Instant::now()).is_none() {
            // A new one is to know of us before our next beat.
            let service = self.clone();
            tokio::spawn(async move { service.announce().await });
        }
    }

    /// The answer to a request; None: silence.
    async fn answer(&self, asked: Asked, m: &Incoming) -> Option<Value> {
        let options = Options::read(&m.payload);
        let facts = &self.site.facts;
        let live = facts.loads.in_force(&facts.settings);
        let (host, _) = facts.told();
        let me = Identity { name: &facts.server_name, host: &host, cluster: &self.cluster, tags: &live.server_tags };
        let mut options = match options {
            Ok(options) if asked != Asked::Subscribers => options,
            Ok(_) | Err(_) if asked == Asked::Subscribers => {
                return self.subscribers(&m.payload).await.map(|n| json!(n));
            }
            Ok(_) => return None,
            Err(text) => return Some(self.refusal(400, &text)),
        };
        if !options.mean(me) {
            return None;
        }
        let what = match asked {
            Asked::Server(what) => match what.as_str() {
                "IDZ" => return Some(json!({"name": me.name, "host": me.host, "id": self.id()})),
                "STATSZ" => {
                    let statsz = self.statsz().await?;
                    return Some(json!({"server": self.server(), "statsz": statsz}));
                }
                "RELOAD" | "KICK" | "LDM" if m.subject.starts_with("$SYS.REQ.SERVER.PING") => return None,
                "RELOAD" => return Some(self.reloaded().await),
                "KICK" => return Some(self.part(options.cid(), true).await),
                "LDM" => return Some(self.part(options.cid(), false).await),
                _ => what,
            },
            Asked::Accounts(what) => what,
            Asked::Account(account, what) if what == "CONNS" => {
                let tallies = self.site.tallies().await.ok()?;
                let count = Account::of(&tallies, &account);
                return Some(event::account(&account, &count, &self.server(), &unique(), now_ns()));
            }
            Asked::Account(_, what) if what == "JSZ" => return Some(self.refusal(500, "jetstream not enabled")),
            Asked::Account(account, what) => {
                options.confine(&what, &account);
                what
            }
            Asked::Subscribers => return None,
        };
        Some(match self.data(&what, &options).await {
            // Who has none of the accounts that are asked for is silent.
            Ok(data) if m.subject.ends_with(".PING.STATZ") && data["account_statz"] == json!([]) => return None,
            Ok(data) => json!({"server": self.server(), "data": data}),
            Err(text) => self.refusal(500, &text),
        })
    }

    fn refusal(&self, code: u16, text: &str) -> Value {
        json!({"server": self.server(), "data": null, "error": {"code": code, "description": text}})
    }

    /// What an endpoint says.
    async fn data(&self, what: &str, options: &Options) -> Result<Value, String> {
        let endpoint = endpoint(what).ok_or_else(|| format!("{what} is not offered by this server"))?;
        let mut query = options.query(what)?;
        let filter = options.filter_subject();
        if what == "CONNZ" && !filter.is_empty() {
            query = query.with("subs", "detail");
        }
        let (status, mut data) = self.site.json(endpoint, &query).await?;
        match what {
            "HEALTHZ" => data["status_code"] = json!(status),
            "INFO" => data = data["account_detail"].take(),
            "STATZ" => retain(&mut data["account_statz"], |row| {
                let wanted = options.accounts();
                wanted.is_empty() || wanted.iter().any(|name| row["acc"] == **name)
            }),
            "CONNZ" if !filter.is_empty() => {
                retain(&mut data["connections"], |row| {
                    let subs = row["subscriptions_list_detail"].as_array().into_iter().flatten();
                    let mut wants = subs.filter_map(|s| s["subject"].as_str());
                    wants.any(|s| crate::wire::subject::contains(filter.as_bytes(), s.as_bytes()))
                });
                data["num_connections"] = json!(data["connections"].as_array().map_or(0, Vec::len));
            }
            _ => {}
        }
        Ok(data)
    }

    async fn statsz(&self) -> Option<Value> {
        let (tallies, routes, gateways, look) = self.site.vitals().await.ok()?;
        let active = self.state().servers.len() + 1;
        let facts = &*self.site.facts;
        let gathered = Gathered { facts, look: &look, tallies: &tallies, routes: &routes, gateways: &gateways, active };
        Some(statsz(&gathered))
    }

    /// Says how the server is.
    pub async fn announce(&self) {
        if let Some(statsz) = self.statsz().await {
            let body = json!({"server": self.server(), "statsz": statsz});
            self.publish(&format!("$SYS.SERVER.{}.STATSZ", self.id()), &body);
        }
    }

    /// The server goes, or is about to.
    pub fn farewell(&self, what: &str) {
        self.publish(&format!("$SYS.SERVER.{}.{what}", self.id()), &self.server());
    }

    /// Something happened to a connection.
    pub fn tell(&self, h: &Happening) {
        let (subject, body) = event::happening(h, &self.server(), &unique(), now_ns());
        self.publish(&subject, &body);
    }

    /// An account has more or fewer connections, which is told together with what else happens in a moment.
    pub fn number_changed(self: &Arc<Self>, account: String) {
        let mut state = self.state();
        let begins = state.changed.is_empty();
        state.changed.insert(account);
        drop(state);
        if begins {
            let service = self.clone();
            tokio::spawn(async move {
                sleep(TOGETHER).await;
                let changed = std::mem::take(&mut service.state().changed);
                service.tell_of_accounts(Some(changed)).await;
            });
        }
    }

    /// Tells the connections of these accounts, or of all that have some.
    pub async fn tell_of_accounts(&self, which: Option<BTreeSet<String>>) {
        let Ok(tallies) = self.site.tallies().await else { return };
        let live = self.site.facts.live();
        let all = live.auth.present().map(|(_, a)| a.name.as_str());
        for name in all.filter(|name| *name != "$G" && which.as_ref().is_none_or(|w| w.contains(*name))) {
            let count = Account::of(&tallies, name);
            if count.conns == 0 && which.is_none() {
                continue;
            }
            let body = event::account(name, &count, &self.server(), &unique(), now_ns());
            self.publish(&format!("$SYS.ACCOUNT.{name}.SERVER.CONNS"), &body);
            self.publish(&format!("$SYS.SERVER.ACCOUNT.{name}.CONNS"), &body);
        }
    }

    async fn reloaded(&self) -> Value {
        let (say, done) = oneshot::channel();
        (self.reload)(say);
        match done.await {
            Ok(Ok(())) => json!({"server": self.server()}),
            Ok(Err(why)) => self.refusal(500, &why),
            Err(_) => self.refusal(500, "the server is ending"),
        }
    }

    /// Ends a client, or tells it to go elsewhere.
    async fn part(&self, cid: u64, ends: bool) -> Value {
        let answers = self.site.desk.ask_all(&Ask::Part { cid, ends }).await.unwrap_or_default();
        match answers.iter().any(|a| matches!(a, Answer::Parted(true))) {
            true => json!({"server": self.server()}),
            false => self.refusal(500, "no such client or leafnode id"),
        }
    }

    /// How many of this server's subscriptions a message to `subject [queue]` would reach.
    async fn subscribers(&self, payload: &[u8]) -> Option<u64> {
        let text = std::str::from_utf8(payload).ok()?;
        let mut words = text.split_ascii_whitespace();
        let (subject, queue) = (words.next()?, words.next());
        let pairs = [("subs", "true"), ("test", subject), ("limit", "1000000")];
        let query = Query::of(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec());
        let (_, data) = self.site.json("/subsz", &query).await.ok()?;
        let subs = data["subscriptions_list"].as_array().into_iter().flatten();
        Some(subs.filter(|s| queue.is_none_or(|q| s["qgroup"] == *q)).count() as u64)
    }

    /// A client of an ordinary account asks for what is his: this server answers, and the others are asked.
    pub fn asked(self: &Arc<Self>, question: SystemQuestion) {
        let SystemQuestion { account, name, what, reply, payload } = question;
        let mut state = self.state();
        state.questions.retain(|_, (_, _, at)| at.elapsed() < ANSWERS_COME);
        if state.questions.len() >= QUESTIONS_MAX {
            state.questions.pop_first();
        }
        let number = state.next_question;
        state.next_question += 1;
        state.questions.insert(number, (account, reply.clone(), Instant::now()));
        drop(state);
        let subject = format!("$SYS.REQ.ACCOUNT.{name}.{what}");
        self.send(message(&subject, &format!("{}.{number}", self.inbox), "", &payload));
        let service = self.clone();
        tokio::spawn(async move {
            let _slot = service.slots.acquire().await;
            let m = Incoming { subject, payload: payload.into_vec(), ..Incoming::default() };
            if let Some(answer) = service.answer(Asked::Account(name, what.into()), &m).await {
                service.pass_on(account, reply, answer.to_string().into_bytes());
            }
        });
    }

    /// Another server's answer to such a question.
    fn answered(&self, number: &str, payload: Vec<u8>) {
        let number = number.trim_start_matches('.').parse();
        let found = number.ok().and_then(|n: u64| self.state().questions.get(&n).cloned());
        if let Some((account, reply, _)) = found {
            self.pass_on(account, reply, payload);
        }
    }

    /// A shard says what it knows of a traced message.
    pub fn traced(self: &Arc<Self>, part: Part) {
        let id = part.id;
        let added = self.state().traces.add(part);
        match added {
            Added::Complete(whole) => self.tell_of_trace(&whole),
            Added::First => {
                let service = self.clone();
                tokio::spawn(async move {
                    sleep(PARTS_COME).await;
                    let whole = service.state().traces.give_up(id);
                    if let Some(whole) = whole {
                        service.tell_of_trace(&whole);
                    }
                });
            }
            Added::Another => {}
            Added::Refused => drop(self.site.facts.events_lost.fetch_add(1, Relaxed)),
        }
    }

    fn tell_of_trace(&self, whole: &Whole) {
        let Some(entry) = &whole.entry else { return };
        let event = traces::event(whole, self.server(), &self.site.facts.live().auth.accounts);
        let (account, dest, payload) = (entry.told, entry.dest.clone(), event.to_string().into_bytes());
        match self.doors.first().filter(|door| door.has_room()) {
            Some(door) => door.send(Mail::Order(Order::Told { account, dest, header: b"", payload: payload.into() })),
            None => drop(self.site.facts.events_lost.fetch_add(1, Relaxed)),
        }
    }

    fn pass_on(&self, account: u16, reply: Box<[u8]>, payload: Vec<u8>) {
        // A shard that is behind with its mail is told nothing that can be asked again.
        if let Some(door) = self.doors.first().filter(|door| door.has_room()) {
            door.send(Mail::Order(Order::Tell { account, reply, payload: payload.into() }));
        }
    }
}
