//! Requests of the system account that this server answers itself: `$SYS.REQ.SERVER.<id>.EXPLAIN`, ours, for the server
//! that the client is connected to (docs/borders.md, "Asking why"). The answer has the form that nats-server gives its own:
//! `server`, and `data` or `error` (operations.md §17).

use super::core::Shard;
use super::report::Asked;
use crate::base::ConnId;
use crate::wire::Message;
use serde_json::json;

const REQUESTS: &[u8] = b"$SYS.REQ.SERVER.";

impl Shard {
    /// Answers what a client of the system account asks of this server. False: it is no such question.
    #[cold]
    pub(super) fn answers_for_server(&mut self, account: u16, m: &Message<'_>) -> bool {
        if self.settings.auth.system != Some(usize::from(account)) || m.reply.is_empty() {
            return false;
        }
        let asked = m.subject.strip_prefix(REQUESTS).and_then(|s| s.strip_prefix(self.identity.server_id.as_bytes()));
        if asked != Some(b".EXPLAIN") {
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
        let server = json!({"id": self.identity.server_id, "name": self.identity.server_name});
        let answer = match answer {
            Ok(data) => json!({"server": server, "data": data}),
            Err(description) => json!({"server": server, "error": {"code": 400, "description": description}}),
        };
        self.answer_request(account, m.reply, answer.to_string().as_bytes());
        true
    }

    fn answer_request(&mut self, account: u16, reply: &[u8], payload: &[u8]) {
        let tail = [payload.len().to_string().as_bytes(), b"\r\n", payload, b"\r\n"].concat();
        let answer = Message { subject: reply, reply: b"", header: 0, size: payload.len(), tail: &tail };
        self.outbox.next_message();
        self.deliver_answer((ConnId::NONE, ConnId::NONE), account, &answer);
    }
}
