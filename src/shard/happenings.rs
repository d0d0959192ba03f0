//! What the system account is told of connections: that one came, went, or presented something wrong (operations.md §18).
//! The shard says what happened, and only where somebody listens; the words are found by the shell, which publishes them.

use super::core::{Act, Shard};
use super::report::{Happened, Happening};
use crate::base::ConnId;
use crate::conn::Close;
use crate::wire::Fault;

impl Shard {
    /// A client ends: tells who listens.
    #[cold]
    pub(super) fn tell_of_end(&mut self, id: ConnId, why: &Close) {
        let Some(client) = self.outbox.conns.get(id) else { return };
        let refused = matches!(why, Close::Fault(Fault::Authorization));
        // Who never said a word was nobody's client.
        if !client.is_client() || !(client.joined || client.connected || refused) {
            return;
        }
        if refused {
            self.tell_of(id, Happened::AuthError, Some(why.reason()));
        }
        self.tell_of(id, Happened::Disconnect, Some(why.reason()));
    }

    /// This happened to a client, for that reason: tells who listens.
    #[cold]
    pub(super) fn tell_of(&mut self, id: ConnId, what: Happened, reason: Option<&'static str>) {
        let Some(system) = self.settings.auth.system else { return };
        let Some(client) = self.outbox.conns.get(id).filter(|c| !c.service) else { return };
        let account = &self.settings.auth.accounts[usize::from(client.account)].name;
        let subject = match what {
            Happened::Connect => format!("$SYS.ACCOUNT.{account}.CONNECT"),
            Happened::Disconnect => format!("$SYS.ACCOUNT.{account}.DISCONNECT"),
            Happened::Number => format!("$SYS.ACCOUNT.{account}.SERVER.CONNS"),
            Happened::AuthError => format!("$SYS.SERVER.{}.CLIENT.AUTH.ERR", self.identity.server_id),
        };
        if !self.is_wanted(system as u16, subject.as_bytes()) {
            return;
        }
        let Some(client) = self.outbox.conns.get(id) else { return };
        let mut row = self.row(client, false);
        // Who was refused has said who he is, too.
        if let Some(said) = client.said.as_deref().filter(|_| !client.connected) {
            row.user = row.user.or_else(|| Some(said.user.clone()));
            (row.name, row.lang, row.version) = (said.name.clone(), said.lang.clone(), said.version.clone());
        }
        // No ping was answered yet: so long the greeting took.
        row.rtt_ns = row.rtt_ns.or(Some(self.now.wall_ns.saturating_sub(row.start_ns)));
        (row.reason, row.stop_ns) = (reason, reason.map(|_| self.now.wall_ns));
        self.acts.push_back(Act::Happened(Box::new(Happening { what, row })));
    }

    /// Would a message with this subject go anywhere? No message is counted for the look.
    pub(super) fn is_wanted(&mut self, account: u16, subject: &[u8]) -> bool {
        let key = self.verdicts.find(account, subject).unwrap_or_else(|| self.match_subject(account, subject));
        self.verdicts.get(key).is_some_and(|v| v.fanout() > 0)
    }
}
