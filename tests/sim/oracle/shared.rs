//! What accounts share, as the oracle sees it: under which names a message exists in which account, and which answers come
//! back to who asked a service.

use super::super::shared::{Import, Kind};
use super::{matches, Msg, Oracle, Sub};
use std::collections::BTreeMap;

/// What answers to requests that went to another account are published to.
const ANSWERS: &str = "_R_.";
/// The header that says who asks.
const ASKER: &str = "Nats-Request-Info: ";

impl Oracle {
    fn account(&self, m: &Msg) -> usize {
        self.conns[m.conn].account
    }

    fn import(&self, kind: Kind, from: usize, by: usize) -> Option<&Import> {
        self.shared.imports.iter().find(|i| i.kind == kind && i.from == from && i.by == by)
    }

    /// The request of another account that a message answers.
    pub(super) fn comes_back(&self, m: &Msg) -> Option<&Msg> {
        let asked = &self.msgs[m.because?];
        (m.subject.starts_with(ANSWERS) && self.account(asked) != self.account(m)).then_some(asked)
    }

    /// What a message is called in an account; None: it is not there.
    pub(super) fn called(&self, m: &Msg, account: usize) -> Option<String> {
        let home = self.account(m);
        let subject = self.shared.renamed(home, &m.subject);
        if account == home {
            return Some(subject.into());
        }
        if let Some(asked) = self.comes_back(m).filter(|asked| self.account(asked) == account) {
            return Some(asked.reply.clone());
        }
        let heard = self.import(Kind::Stream, home, account).and_then(|i| i.here(subject));
        let asked = || self.import(Kind::Service, account, home).and_then(|i| i.there(subject));
        heard.or_else(|| asked().map(|s| self.shared.renamed(account, &s).into()))
    }

    /// Was it asked of a service of the account? Members of a group there are given it besides those who hear it else, who are
    /// one group whatever their accounts, as at nats-server.
    pub(super) fn is_asked_of(&self, m: &Msg, account: usize) -> bool {
        self.import(Kind::Service, account, self.account(m)).is_some()
    }

    /// Has a message come to a subscription as it should: subject, reply, header?
    pub(super) fn is_as_sent(&self, m: usize, s: usize, heard: (&str, &str, &[u8])) -> Result<(), String> {
        let (subject, reply, head) = heard;
        let (msg, sub) = (&self.msgs[m], &self.subs[s]);
        let conn = &self.conns[sub.conn];
        let what = || format!("message {m} {msg:?} at subscription {s} {}", sub.brief());
        let called = self.called(msg, conn.account);
        if called.as_deref().is_some_and(|name| name != subject) {
            return Err(format!("I12: another subject, {subject}: {}", what()));
        }
        let kept = if msg.headed && conn.headers { super::header(m) } else { Vec::new() };
        if !self.is_asked_of(msg, conn.account) {
            return match (reply == msg.reply, head == kept) {
                (true, true) => Ok(()),
                (false, _) => Err(format!("I12: another reply, {reply}: {}", what())),
                _ => Err(format!("I12: header altered: {}", what())),
            };
        }
        if reply.starts_with(ANSWERS) == msg.reply.is_empty() {
            return Err(format!("I12: a request with the reply {reply}: {}", what()));
        }
        let text = String::from_utf8_lossy(head).into_owned();
        let (said, rest): (Vec<&str>, Vec<&str>) = text.split_inclusive("\r\n").partition(|l| l.starts_with(ASKER));
        let asker = format!("\"acc\":\"ACC{}\"", self.account(msg));
        let is_said = said.len() == 1 && said[0].contains(&asker);
        let rest = Some(rest.concat()).filter(|r| r != "NATS/1.0\r\n\r\n").unwrap_or_default();
        if is_said != conn.headers || rest.as_bytes() != kept {
            return Err(format!("I12: a request with the header {text:?}: {}", what()));
        }
        Ok(())
    }

    /// The names of the accounts that a message is published in.
    pub fn accounts_of(&self, m: usize) -> Vec<String> {
        let Some((_, own)) = self.home(m) else { return Vec::new() };
        let msg = &self.msgs[m];
        let asked = self.comes_back(msg).map(|asked| self.account(asked));
        let of = |i: &&Import| i.kind == Kind::Service && i.by == self.account(msg);
        let asks = self.shared.imports.iter().filter(of).map(|i| i.from);
        std::iter::once(own).chain(asked.into_iter().chain(asks).map(|n| format!("ACC{n}"))).collect()
    }

    /// Is a message the answer of a service, which is published anew in this account by the server that had asked?
    pub(super) fn hands_back(&self, m: usize, server: usize, account: &str) -> bool {
        let asked = self.comes_back(&self.msgs[m]).map(|asked| &self.conns[asked.conn]);
        asked.is_some_and(|c| c.server == server && format!("ACC{}", c.account) == account)
    }

    /// Notes what became of a message on its way to a subscription.
    pub(super) fn note_way(&mut self, m: usize, s: usize) {
        let (msg, sub) = (&self.msgs[m], &self.subs[s]);
        let (home, there) = (self.account(msg), self.conns[sub.conn].account);
        let label = match (self.comes_back(msg).is_some(), home == there) {
            (true, false) => "a service's answer came back",
            (false, false) if self.import(Kind::Stream, home, there).is_some() => {
                "a stream was heard in another account"
            }
            (false, false) => "a service was asked",
            _ if self.shared.renamed(home, &msg.subject) != msg.subject => "a subject became another",
            _ => return,
        };
        self.label(label);
    }

    /// Of the answers to a request of a service one comes back, the first.
    pub(super) fn judge_answers(&self) -> Result<(), String> {
        let mut asked: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (a, msg) in self.msgs.iter().enumerate().filter(|(_, m)| self.comes_back(m).is_some()) {
            asked.entry(msg.because.unwrap_or(a)).or_default().push(a);
        }
        for (r, answers) in asked {
            let request = &self.msgs[r];
            let account = self.account(request);
            let hears = |s: &Sub| self.conns[s.conn].account == account && matches(&s.pattern, &request.reply);
            for (i, s) in self.subs.iter().enumerate().filter(|(_, s)| hears(s)) {
                let got = answers.iter().filter(|a| s.has.contains_key(a)).count();
                let surely = |a: &usize| self.msgs[*a].accepted.is_some_and(|at| at < self.conns[s.conn].horizon);
                let waits = request.inbox == Some(i) && s.end_asked.is_none() && !self.conns[s.conn].passed_over;
                if got > 1 || got == 0 && waits && answers.iter().any(surely) {
                    let (n, brief) = (answers.len(), s.brief());
                    return Err(format!("I10: {got} of {n} answers to message {r} {request:?} came to {i} {brief}"));
                }
            }
        }
        Ok(())
    }
}
