//! A client of the simulated world: carries out its steps in real bytes over its pipes, tells the oracle what it
//! asks for and what it hears, and notices what no innocent client may see.

mod ending;

use super::case::{Actor, End, Reads, Step};
use super::cluster::member::ip;
use super::pipes::{Link, Read, Way};
use super::speech::{Ear, Heard};
use super::world::World;
use turnpike::base::MILLISECOND;

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not connected yet.
    Fresh,
    /// Connected.
    On,
    /// Has shut its sending side and reads on.
    Leaving,
    /// Over.
    Gone,
}

/// See the file's head.
pub struct Client {
    id: usize,
    actor: Actor,
    stage: Stage,
    /// Index of its connection in the world's links.
    link: usize,
    /// Index of its connection in the oracle.
    pub conn: usize,
    shard: usize,
    ear: Ear,
    out: Vec<u8>,
    at: usize,
    /// The oracle's numbers of the subscriptions of this connection, and their sids.
    subs: Vec<(usize, u64)>,
    inbox: Option<usize>,
    next_sid: u64,
    requests: u64,
    syncs: u64,
    syncing: bool,
    /// When it last said SUB.
    subscribed_at: u64,
    /// When it began to wait for the PONG that it waits for, and the longest that it has waited.
    asked_at: u64,
    pub patience: u64,
    wake_at: Option<u64>,
    oks: u64,
    oks_owed: u64,
    /// Messages received over this connection.
    pub received: u64,
    /// PINGs of the server.
    pings: u64,
    /// The server ended the connection without being asked to.
    pub cut: bool,
    /// It asked to be told of changes of the cluster.
    informed: bool,
    /// Its server has told it to go, and where to.
    elsewhere: Option<Vec<usize>>,
    /// Patterns and groups to be subscribed again on another server.
    kept: Vec<(String, Option<String>)>,
    /// What it was asked and does not answer at once: the reply, the message, how often it has.
    questions: Vec<(String, usize, u64)>,
}

impl Client {
    /// Somebody who has not connected yet.
    pub fn new(id: usize, actor: Actor) -> Client {
        Client {
            id,
            shard: actor.shard,
            stage: if actor.absent { Stage::Gone } else { Stage::Fresh },
            actor,
            link: usize::MAX,
            conn: usize::MAX,
            ear: Ear::default(),
            out: Vec::new(),
            at: 0,
            subs: Vec::new(),
            inbox: None,
            next_sid: 1,
            requests: 0,
            syncs: 0,
            subscribed_at: 0,
            syncing: false,
            asked_at: 0,
            patience: 0,
            wake_at: None,
            oks: 0,
            oks_owed: 0,
            received: 0,
            pings: 0,
            cut: false,
            informed: false,
            elsewhere: None,
            kept: Vec::new(),
            questions: Vec::new(),
        }
    }

    /// Has it done all it wanted, and said it?
    pub fn finished(&self) -> bool {
        match self.stage {
            Stage::Gone => true,
            Stage::Fresh => false,
            // Who does not read does not learn that nobody listens to him any more.
            Stage::On if self.actor.hostile && self.out.len() > self.actor.talk => true,
            Stage::On => self.at == self.actor.steps.len() && !self.syncing && self.said(),
            Stage::Leaving => self.actor.reads == Reads::Never,
        }
    }

    /// Is nothing left to send? Somebody whose server does not read (any more) may be left with bytes.
    fn said(&self) -> bool {
        self.out.is_empty() || self.actor.hostile
    }

    /// Is its connection open for both sides?
    pub fn on(&self) -> bool {
        self.stage == Stage::On
    }

    /// Is it innocent and well?
    pub fn decent(&self) -> bool {
        self.on() && !self.actor.hostile && self.actor.reads != Reads::Never
    }

    /// The connection in the world's links, as long as there is one; its cid is one more.
    pub fn link(&self) -> usize {
        self.link
    }

    /// Has the server pinged it as often as it must?
    pub fn check_pings(&self) -> Result<(), String> {
        match self.actor.pings.filter(|n| self.on() && *n != self.pings) {
            Some(n) => Err(format!("client {} got {} PINGs, should have got {n}", self.id, self.pings)),
            None => Ok(()),
        }
    }

    /// Gives it more to do.
    pub fn also(&mut self, step: Step) {
        self.actor.steps.push(step);
    }

    /// The shard of its connection.
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// When a sleep ends.
    pub fn wakes_at(&self) -> Option<u64> {
        self.wake_at
    }

    /// For people.
    pub fn brief(&self) -> String {
        let next = self.actor.steps.get(self.at);
        format!(
            "client {} on shard {} {:?} at step {} {next:?}, {} bytes to say, waits for PONG: {}",
            self.id,
            self.shard,
            self.stage,
            self.at,
            self.out.len(),
            self.syncing
        )
    }

    /// Can it do something now?
    pub fn runnable(&self, w: &World) -> bool {
        match self.stage {
            Stage::Gone => false,
            Stage::Fresh => self.can_step(w),
            Stage::On | Stage::Leaving => {
                let link = &w.links[self.link];
                let reads = self.actor.reads != Reads::Never && link.readable(Way::Down);
                let sends = !self.out.is_empty() && link.room(Way::Up) > 0 && !link.cut;
                reads || sends || (self.stage == Stage::On && self.can_step(w))
            }
        }
    }

    fn can_step(&self, w: &World) -> bool {
        if self.out.len() > self.actor.talk || self.syncing || self.wake_at.is_some_and(|t| t > w.now) {
            return false;
        }
        match self.actor.steps.get(self.at) {
            None => self.stage == Stage::Fresh,
            Some(Step::Await { actor, syncs }) => match w.clients.get(*actor) {
                // Somebody in the middle of acting has not passed it yet.
                Some(other) => other.as_ref().is_some_and(|c| c.syncs >= *syncs || c.stage == Stage::Gone),
                None => true,
            },
            Some(Step::Meshed) => w.whole,
            // Ends come after everything was said.
            Some(Step::Quit(_) | Step::Reconnect { .. }) => self.out.is_empty() || self.stage == Stage::Fresh,
            Some(_) => true,
        }
    }

    /// Does something: reads, writes, goes a step further, in this order and each by chance.
    pub fn act(&mut self, w: &mut World) {
        if self.stage == Stage::Fresh {
            self.connect(w);
            return;
        }
        if self.actor.reads != Reads::Never && !w.rng.one_in(8) {
            self.read(w);
        }
        if self.stage == Stage::On && self.can_step(w) {
            self.wake_at = None;
            let step = self.actor.steps[self.at].clone();
            self.at += 1;
            self.step(w, step);
        }
        if matches!(self.stage, Stage::On | Stage::Leaving) && !w.rng.one_in(8) {
            let most = if w.rng.one_in(4) { 1 + w.rng.below(40) as usize } else { usize::MAX };
            let n = w.links[self.link].write(Way::Up, &self.out, most);
            self.out.drain(..n);
        }
    }

    fn connect(&mut self, w: &mut World) {
        if w.draining.is_some() {
            self.stage = Stage::Gone;
            return;
        }
        self.link = w.links.len();
        w.links.push(Link::new(self.actor.window));
        self.shard %= w.case.plan.shards;
        let (server, link) = (w.server_at(self.shard), self.link);
        if !w.servers[server].up || w.servers[server].lame.is_some() {
            w.links.pop();
            self.stage = Stage::Gone;
            return;
        }
        match (w.nodes[self.shard].as_mut(), w.servers[server].foreign.as_mut()) {
            (Some(node), _) => node.accept(link),
            (None, Some(foreign)) => foreign.accept_client(link),
            (None, None) => {
                // The shard is in its turn; the connection is made a moment later.
                w.links.pop();
                return;
            }
        }
        self.conn = w.oracle.open(self.shard, self.actor.account, self.actor.echo, self.actor.headers);
        w.oracle.restrict(self.conn, self.actor.right);
        if self.actor.passed_over {
            w.oracle.may_be_passed_over(self.conn);
        }
        self.stage = Stage::On;
        self.ear = Ear::default();
        self.subs.clear();
        (self.oks, self.oks_owed, self.received, self.syncing) = (0, 0, 0, false);
        self.greet(w);
        self.inbox = None;
        if self.actor.headers && self.actor.steps.iter().any(|s| matches!(s, Step::Request(_))) {
            self.subscribe(w, &format!("_INBOX.{}.*", self.conn), None, None);
            self.inbox = self.subs.last().map(|s| s.0);
        }
        for (pattern, queue) in std::mem::take(&mut self.kept) {
            self.subscribe(w, &pattern, queue.as_deref(), None);
        }
        self.ping(w);
    }

    fn greet(&mut self, w: &mut World) {
        let Actor { verbose, echo, headers, account, .. } = self.actor;
        self.informed = w.rng.one_in(2);
        let who = match w.case.plan.accounts {
            0 => String::new(),
            n => {
                let right = self.actor.right.map_or(String::new(), |r| format!("r{r}"));
                format!(",\"user\":\"user{0}{right}\",\"pass\":\"secret{0}\"", account % n)
            }
        };
        let connect = format!(
            "CONNECT {{\"verbose\":{verbose},\"pedantic\":false,\"echo\":{echo},\"headers\":{headers},\
             \"no_responders\":{headers},\"protocol\":{}{who}}}\r\n",
            u8::from(self.informed)
        );
        self.say(w, connect.as_bytes());
        self.owe_ok();
    }

    fn say(&mut self, w: &mut World, bytes: &[u8]) {
        w.note(|| format!("client {} says {:?}", self.id, String::from_utf8_lossy(bytes)));
        self.out.extend_from_slice(bytes);
    }

    fn owe_ok(&mut self) {
        self.oks_owed += u64::from(self.actor.verbose);
    }

    fn ping(&mut self, w: &mut World) {
        w.oracle.ping(self.conn);
        self.say(w, b"PING\r\n");
    }

    fn subscribe(&mut self, w: &mut World, pattern: &str, queue: Option<&str>, max: Option<u64>) {
        // A sid whose end is confirmed may be used again.
        let free = self.subs.iter().find(|(number, sid)| w.oracle.may_reuse(self.conn, *number, *sid));
        let sid = match free.filter(|_| w.rng.one_in(2)) {
            Some((_, sid)) => *sid,
            None => {
                self.next_sid += 1;
                self.next_sid
            }
        };
        let number = w.oracle.sub(self.conn, sid, pattern, queue, max);
        self.subs.push((number, sid));
        self.subscribed_at = w.now;
        let words = queue.map(|q| format!("{q} ")).unwrap_or_default();
        self.say(w, format!("SUB {pattern} {words}{sid}\r\n").as_bytes());
        if !w.oracle.is_refused(number) {
            self.owe_ok();
        }
        if let Some(max) = max {
            self.say(w, format!("UNSUB {sid} {max}\r\n").as_bytes());
            self.owe_ok();
        }
    }

    fn publish(&mut self, w: &mut World, subject: &str, reply: &str, size: usize) -> usize {
        let inbox = if reply.is_empty() { None } else { self.inbox };
        let m = w.oracle.publish(self.conn, subject, reply, size, inbox);
        let bytes = w.oracle.spell(m);
        self.say(w, &bytes);
        if !w.oracle.is_denied(m) {
            self.owe_ok();
        }
        m
    }

    fn step(&mut self, w: &mut World, step: Step) {
        match step {
            Step::Sub { pattern, queue, max } => self.subscribe(w, &pattern, queue.as_deref(), max),
            Step::Unsub(n) => {
                // The inbox stays.
                let first = usize::from(self.inbox.is_some());
                if let Some((number, sid)) = self.subs.get(first + n).copied() {
                    if !w.oracle.names(self.conn, sid, number) {
                        return;
                    }
                    w.oracle.unsub(number);
                    self.say(w, format!("UNSUB {sid}\r\n").as_bytes());
                    self.owe_ok();
                }
            }
            Step::Pub { subject, size } => drop(self.publish(w, &subject, "", size)),
            Step::Request(subject) => {
                self.requests += 1;
                let reply = format!("_INBOX.{}.{}", self.conn, self.requests);
                self.publish(w, &subject, &reply, 8);
            }
            Step::Ping => self.ping(w),
            Step::Sync => {
                self.ping(w);
                (self.syncing, self.asked_at) = (true, w.now);
            }
            Step::Await { .. } => {}
            Step::Again => {
                for (number, _) in &self.subs {
                    w.oracle.unsub(*number);
                }
                self.greet(w);
                if self.inbox.is_some() {
                    self.subs.clear();
                    self.subscribe(w, &format!("_INBOX.{}.*", self.conn), None, None);
                    self.inbox = self.subs.last().map(|s| s.0);
                }
            }
            Step::Sleep(ms) => self.wake_at = Some(w.now + ms * MILLISECOND),
            Step::Fault(fault) => w.faults.push_back(fault),
            Step::Answer { times, most, late } => {
                for at in (0..self.questions.len()).flat_map(|at| (0..times).map(move |_| at)) {
                    self.questions[at].2 += 1;
                    let (reply, asked, n) = self.questions[at].clone();
                    let answer = self.publish(w, &reply, "", 12);
                    w.oracle.answers(answer, asked);
                    w.oracle.is_too_much(answer, late || n > most);
                }
            }
            Step::Meshed => {}
            Step::Stall => w.links[self.link].down.stalled = true,
            Step::Heal => w.links[self.link].down.stalled = false,
            Step::Quit(end) => self.end(w, end),
            Step::Reconnect { end, shard } => {
                let end = if end == End::Fin { End::Rst } else { end };
                self.end(w, end);
                self.shard = shard;
                self.stage = Stage::Fresh;
            }
            Step::Say(bytes) => self.say(w, &bytes),
        }
    }

    /// Ends the connection at once, whatever it still had to say.
    pub fn leave(&mut self, w: &mut World) {
        if matches!(self.stage, Stage::On | Stage::Leaving) {
            self.out.clear();
            self.end(w, End::Rst);
        }
    }

    fn end(&mut self, w: &mut World, end: End) {
        w.oracle.ended(self.conn);
        w.note(|| format!("client {} ends: {end:?}", self.id));
        let link = &mut w.links[self.link];
        self.stage = Stage::Gone;
        match end {
            End::Fin => {
                link.shut(Way::Up);
                self.stage = Stage::Leaving;
            }
            End::Rst => link.reset(),
            End::Cut => link.cut = true,
        }
    }

    fn read(&mut self, w: &mut World) {
        let most = match self.actor.reads {
            Reads::Eager => usize::MAX,
            Reads::Slow { most, one_in } if w.rng.one_in(one_in) => most,
            Reads::Slow { .. } | Reads::Never => return,
        };
        let mut bytes = Vec::new();
        match w.links[self.link].read(Way::Down, most, &mut bytes) {
            Read::Empty => return,
            Read::Some(_) => self.ear.hear(&bytes),
            end @ (Read::End | Read::Reset) => return self.ended(w, end == Read::Reset),
        }
        loop {
            match self.ear.next() {
                Ok(None) => return,
                Ok(Some(heard)) => {
                    w.note(|| match &heard {
                        Heard::Info(_) => format!("client {} hears INFO", self.id),
                        _ => format!("client {} hears {heard:?}", self.id),
                    });
                    if let Err(why) = self.hear(w, heard) {
                        return w.fail(format!("client {}: {why}", self.id));
                    }
                }
                Err(why) => return w.fail(format!("I18: client {} hears {why}", self.id)),
            }
        }
    }

    fn hear(&mut self, w: &mut World, heard: Heard) -> Result<(), String> {
        match heard {
            Heard::Info(json) => {
                let read: Result<serde_json::Value, _> = serde_json::from_slice(&json);
                let info = read.map_err(|e| format!("INFO with {e}"))?;
                self.read_info(w, &info)
            }
            Heard::Ping => {
                self.pings += 1;
                if self.stage == Stage::On {
                    self.out.extend_from_slice(b"PONG\r\n");
                }
                w.oracle.label("server's PING answered");
                Ok(())
            }
            Heard::Pong => {
                if self.actor.hostile {
                    return Ok(());
                }
                w.oracle.pong(self.conn)?;
                let all = w.oracle.unanswered(self.conn) == 0;
                if all && self.actor.verbose && !self.actor.responds && self.oks != self.oks_owed && self.syncing {
                    return Err(format!("{} of {} +OK before a PONG", self.oks, self.oks_owed));
                }
                if self.syncing && all {
                    self.syncing = false;
                    self.patience = self.patience.max(w.now - self.asked_at);
                    self.syncs += 1;
                }
                Ok(())
            }
            Heard::Ok => {
                self.oks += 1;
                Ok(())
            }
            Heard::Err(_) if self.actor.hostile => {
                w.oracle.label("-ERR for a hostile client");
                Ok(())
            }
            Heard::Err(text) if text == "maximum subscriptions exceeded" => self.refused(w),
            Heard::Err(text) if text.starts_with("Permissions Violation for ") => w.oracle.denied(self.conn, &text),
            Heard::Err(text) => Err(format!("I13: an innocent client hears -ERR '{text}'")),
            Heard::Msg { subject, sid, reply, header, payload } => {
                if self.actor.hostile {
                    return Ok(());
                }
                let Some(asked) = w.oracle.heard(self.conn, sid, &subject, &reply, &header, &payload)? else {
                    return Ok(());
                };
                self.received += 1;
                self.questions.extend((!reply.is_empty()).then(|| (reply.clone(), asked, 0)));
                if self.actor.responds && !reply.is_empty() && self.stage == Stage::On {
                    let answer = self.publish(w, &reply, "", 12);
                    w.oracle.answers(answer, asked);
                }
                Ok(())
            }
        }
    }

    /// A subscription was refused, the last one: a client that may be refused waits for each.
    fn refused(&mut self, w: &mut World) -> Result<(), String> {
        let (Some((number, _)), true) = (self.subs.pop(), w.scarce || self.subscribed_at <= w.scarce_until) else {
            return Err("I13: a subscription was refused, and memory is not scarce".into());
        };
        self.oks_owed -= u64::from(self.actor.verbose);
        w.oracle.unsub(number);
        w.oracle.label("a subscription refused for want of memory");
        Ok(())
    }

    /// INFO names where clients may go: never to a server that is about to go.
    fn read_info(&mut self, w: &World, info: &serde_json::Value) -> Result<(), String> {
        let urls = info["connect_urls"].as_array().into_iter().flatten().filter_map(|u| u.as_str());
        let host = |url: &str| url.split(':').next().map(String::from).unwrap_or_default();
        let named: Vec<usize> = urls.filter_map(|url| (0..w.servers.len()).find(|at| ip(*at) == host(url))).collect();
        if let Some(at) = named.iter().find(|at| !w.takes_clients(**at)) {
            return Err(format!("scenario 58: is sent to server {at}, which is about to go"));
        }
        if info["ldm"] == serde_json::Value::Bool(true) {
            self.elsewhere = Some(named);
        }
        Ok(())
    }
}
