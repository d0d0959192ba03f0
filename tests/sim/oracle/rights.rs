//! What users may do, as the oracle sees it: who is told that he may not, and who is not given what is denied to him.

use super::{Conn, Msg, Oracle, Sub};
use crate::rights::User;

/// What the server has to say of a publication or subscription that it refuses.
pub(super) type Denial = (super::Tick, String);

impl Oracle {
    fn user(&self, conn: &Conn) -> Option<&User> {
        self.rights.get(conn.right?)
    }

    /// This connection is one of a user who may not do everything.
    pub fn restrict(&mut self, conn: usize, right: Option<usize>) {
        self.conns[conn].right = right;
    }

    /// A subscription was asked for: is it refused?
    pub(super) fn judge_sub(&mut self, s: usize) {
        let sub = &self.subs[s];
        let (conn, asked, queue) = (sub.conn, sub.asked, sub.queue.as_deref());
        if self.user(&self.conns[conn]).is_none_or(|u| u.subscribes(&sub.pattern, queue)) {
            return;
        }
        let group = queue.map_or(String::new(), |q| format!(" using queue \"{q}\""));
        let text = format!("Permissions Violation for Subscription to \"{}\"{group}", sub.pattern);
        self.conns[conn].denials.push_back((asked, text));
        let sub = &mut self.subs[s];
        (sub.refused, sub.end_asked, sub.dead) = (true, Some(asked), Some(asked));
        self.label("a subscription denied");
    }

    /// Something was published: is it refused?
    pub(super) fn judge_publication(&mut self, m: usize) {
        let msg = &self.msgs[m];
        let (conn, sent) = (msg.conn, msg.sent);
        if self.user(&self.conns[conn]).is_none_or(|u| u.publishes(&msg.subject)) {
            return;
        }
        let text = format!("Permissions Violation for Publish to \"{}\"", msg.subject);
        self.conns[conn].denials.push_back((sent, text));
        let msg = &mut self.msgs[m];
        (msg.denied, msg.inbox) = (true, None);
        self.label("a publication denied");
    }

    /// Was this subscription refused?
    pub fn is_refused(&self, s: usize) -> bool {
        self.subs[s].refused
    }

    /// Was this publication?
    pub fn is_denied(&self, m: usize) -> bool {
        self.msgs[m].denied
    }

    /// A client hears that it may not do something: it must be what it tried first of what it may not.
    pub fn denied(&mut self, conn: usize, text: &str) -> Result<(), String> {
        match self.conns[conn].denials.pop_front() {
            Some((_, wanted)) if wanted == text => Ok(()),
            other => Err(format!("hears -ERR '{text}' where {other:?} was due")),
        }
    }

    /// A PONG for a PING of this moment: all that was refused before has been told.
    pub(super) fn all_told(&self, conn: usize, asked: super::Tick) -> Result<(), String> {
        match self.conns[conn].denials.front().filter(|(t, _)| *t < asked) {
            Some(denial) => Err(format!("a PONG, and {denial:?} was not said before")),
            None => Ok(()),
        }
    }

    /// May this subscription be given the message at all?
    pub(super) fn is_allowed(&self, s: &Sub, m: &Msg) -> bool {
        let user = self.user(&self.conns[s.conn]);
        !s.refused && !m.denied && user.is_none_or(|u| u.has(&m.subject, s.queue.as_deref()))
    }

    /// Is it kept back from a subscription that would be given it else?
    pub(super) fn kept_back(&self, s: &Sub, m: &Msg) -> bool {
        !s.refused && !m.denied && self.fits_any(s, m) && !self.is_allowed(s, m)
    }
}
