//! Requests to the server itself (operations.md §17). What a shard knows it answers at once: who the asker is
//! (`$SYS.REQ.USER.INFO`, in every account) and, ours, why a message would cross (`$SYS.REQ.SERVER.<id>.EXPLAIN`,
//! docs/borders.md). All else is answered by the server's own connection in the system account, a client of this broker as
//! any other (`shell/system`): so requests and answers go over routes and gateways as messages do. Answers have
//! nats-server's form: `server`, and `data` or `error`.

use super::core::{Act, Shard};
use super::report::{Asked, SystemQuestion};
use crate::base::{Cid, ConnId};
use crate::conn::{Client, Stage};
use crate::interest::permit::{Lists, Permissions};
use crate::wire::{tail, Message, Rules};
use serde_json::{json, Map, Value};

/// What requests to servers begin with (operations.md §17).
pub(super) const REQUESTS: &[u8] = b"$SYS.REQ.";

/// What clients of ordinary accounts may ask of all servers, of their own account; and what the system account calls it.
const IMPORTED: [(&[u8], &str); 3] =
    [(b"SERVER.PING.CONNZ", "CONNZ"), (b"ACCOUNT.PING.CONNZ", "CONNZ"), (b"ACCOUNT.PING.STATZ", "STATZ")];

impl Shard {
    /// The server's own connection comes in: a member of the system account from the first byte on, in no count and no
    /// listing, with no limit.
    pub(super) fn enter_service(&mut self, cid: Cid) -> ConnId {
        let rules = Rules {
            max_control_line: self.settings.limits.max_control_line,
            max_payload: usize::MAX,
            headers: true,
            connect_first: false,
        };
        let mut client = Client::new(cid, "127.0.0.1", 0, rules, self.now);
        client.service = true;
        client.account = self.settings.auth.system.unwrap_or(0) as u16;
        (client.verbose, client.pedantic, client.echo) = (false, false, false);
        (client.headers, client.connected, client.informed) = (true, true, true);
        client.stage = Stage::Open;
        self.servers_here += 1;
        let id = self.outbox.conns.insert(client);
        self.arm_ping(id, true);
        id
    }

    /// Answers what a client asks of this server, or hands it on. False: it is no such question.
    #[cold]
    pub(super) fn answers_for_server(&mut self, id: ConnId, account: u16, m: &Message<'_>) -> bool {
        let Some(system) = self.settings.auth.system else { return false };
        if self.outbox.conns.get(id).is_some_and(|c| c.service) {
            // What nobody wants of what the server says is no message that was lost.
            return !self.is_wanted(account, m.subject);
        }
        let Some(asked) = m.subject.strip_prefix(REQUESTS).filter(|_| !m.reply.is_empty()) else { return false };
        if asked == b"USER.INFO" {
            let info = self.user_info(id);
            let answer = json!({"server": self.server(), "data": info});
            self.answer_request(account, m.reply, answer.to_string().as_bytes());
            return true;
        }
        if system != usize::from(account) {
            let imported = IMPORTED.iter().find(|(subject, _)| *subject == asked);
            imported.inspect(|(_, what)| self.hand_question_on(account, what, m));
            return imported.is_some();
        }
        let own = asked.strip_prefix(b"SERVER.").and_then(|s| s.strip_prefix(self.identity.server_id.as_bytes()));
        if own != Some(b".EXPLAIN") {
            return false;
        }
        let payload = &m.payload()[m.header..];
        let asked = match payload.is_empty() {
            true => Ok(Asked::default()),
            false => {
                serde_json::from_slice::<Asked>(payload).map_err(|e| format!("the request is not understood: {e}"))
            }
        };
        let answer = asked.and_then(|a| a.question(&self.settings)).map(|q| self.explain(&q));
        let answer = match answer {
            Ok(data) => json!({"server": self.server(), "data": data}),
            Err(description) => json!({"server": self.server(), "error": {"code": 400, "description": description}}),
        };
        self.answer_request(account, m.reply, answer.to_string().as_bytes());
        true
    }

    fn hand_question_on(&mut self, account: u16, what: &'static str, m: &Message<'_>) {
        let name = self.settings.auth.accounts[usize::from(account)].name.clone();
        let (reply, payload) = (m.reply.into(), m.payload()[m.header..].into());
        self.acts.push_back(Act::Asked(Box::new(SystemQuestion { account, name, what, reply, payload })));
    }

    fn server(&self) -> Value {
        let (settings, identity) = (&self.settings, &self.identity);
        let mut server = json!({
            "name": identity.server_name,
            "host": identity.host,
            "id": identity.server_id,
            "ver": crate::NATS_VERSION,
            "jetstream": false,
            "flags": 0,
            "seq": 0,
        });
        if !settings.cluster_name().is_empty() {
            server["cluster"] = json!(settings.cluster_name());
        }
        if !settings.server_tags.is_empty() {
            server["tags"] = json!(settings.server_tags);
        }
        server
    }

    /// Who a client is and what he may do, as he may know it himself.
    fn user_info(&self, id: ConnId) -> Value {
        let Some(client) = self.outbox.conns.get(id) else { return Value::Null };
        let row = self.row(client, false);
        let mut info =
            json!({"user": row.user.unwrap_or_default(), "account": row.account, "account_name": row.account});
        let permit = client.rights.as_deref().and_then(|r| self.outbox.permits.get(r.permit));
        if let Some(permit) = permit {
            info["permissions"] = permissions(permit.written());
        }
        if let Some(ends_ns) = client.pass.as_deref().and_then(|p| p.ends_ns()) {
            info["expires"] = json!(ends_ns.saturating_sub(self.now.wall_ns));
        }
        info
    }

    /// Ends the client with this number, or tells it to go elsewhere. False: it is not on this shard.
    pub(super) fn part(&mut self, cid: u64, ends: bool) -> bool {
        let here = |c: &Client| c.cid.0 == cid && c.lives() && c.is_client() && !c.service;
        let Some(id) = self.outbox.conns.iter().find(|(_, c)| here(c)).map(|(id, _)| id) else { return false };
        match ends {
            true => self.close(id, crate::conn::Close::Kicked),
            false => {
                let lame = std::mem::replace(&mut self.lame, true);
                self.send_info(id, false);
                self.lame = lame;
            }
        }
        true
    }

    /// Publishes what is told of a traced message in the account that is told.
    pub(super) fn tell_of_trace(&mut self, account: u16, dest: &[u8], header: &[u8], payload: &[u8]) {
        if header.is_empty() {
            return self.answer_request(account, dest, payload);
        }
        let tail = tail(header, payload);
        let (header, size) = (header.len(), header.len() + payload.len());
        let told = Message { subject: dest, reply: b"", header, size, tail: &tail };
        self.outbox.next_message();
        self.deliver_answer((ConnId::NONE, ConnId::NONE), account, &told);
    }

    pub(super) fn answer_request(&mut self, account: u16, reply: &[u8], payload: &[u8]) {
        let tail = [payload.len().to_string().as_bytes(), b"\r\n", payload, b"\r\n"].concat();
        let answer = Message { subject: reply, reply: b"", header: 0, size: payload.len(), tail: &tail };
        self.outbox.next_message();
        self.deliver_answer((ConnId::NONE, ConnId::NONE), account, &answer);
    }
}

/// Permissions as nats-server tells them.
fn permissions(written: &Permissions) -> Value {
    let mut out = Map::new();
    for (name, lists) in [("publish", &written.publish), ("subscribe", &written.subscribe)] {
        out.insert(name.into(), Value::Object(side(lists)));
    }
    if let Some(responses) = &written.responses {
        let ttl = responses.within_ns.map_or(-1, |ns| i64::try_from(ns).unwrap_or(i64::MAX));
        out.insert("responses".into(), json!({"max": responses.max.map_or(-1, i64::from), "ttl": ttl}));
    }
    Value::Object(out)
}

fn side(lists: &Lists) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, entries) in [("allow", lists.allow.as_deref().unwrap_or_default()), ("deny", &lists.deny)] {
        let line = |e: &crate::interest::permit::Entry| {
            let text = [&e.subject[..], b" ", &e.queue[..]].concat();
            String::from_utf8_lossy(text.trim_ascii_end()).into_owned()
        };
        if !entries.is_empty() {
            out.insert(name.into(), entries.iter().map(line).collect());
        }
    }
    out
}
