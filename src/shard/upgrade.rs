//! How connections become private (client-protocol.md §20). The shard says when: INFO is written, then the socket is away
//! for a handshake, on a thread that moves no messages, and comes back with what is known of the peer, or not at all.

use super::core::{Act, Shard};
use super::due::Due;
use crate::base::ConnId;
use crate::conn::Stage;
use crate::policy::{Peer, Settings, Timers, Tls};
use std::sync::Arc;
use std::time::Duration;

impl Shard {
    /// INFO is written: the socket goes away for the handshake. Says whether there was one to be given away.
    pub(super) fn give_to_handshake(&mut self, id: ConnId) -> bool {
        let Some(client) = self.outbox.conns.get_mut(id) else { return false };
        let Stage::Upgrading { away } = &mut client.stage else { return false };
        if !std::mem::replace(away, true) {
            self.acts.push_back(Act::Upgrade(id));
        }
        true
    }

    /// The socket is back; None: it stays in the clear, as it may.
    pub(super) fn upgraded(&mut self, id: ConnId, peer: Option<Box<Peer>>) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        if !matches!(client.stage, Stage::Upgrading { .. }) {
            return;
        }
        client.stage = Stage::Greeted;
        client.peer = peer;
        self.await_connect(id);
        self.writable(id);
    }

    /// Who has to say who he is, has to within a time.
    pub(super) fn await_connect(&mut self, id: ConnId) {
        if self.outbox.conns.get(id).is_some_and(|c| c.rules.connect_first) {
            self.wheel.add(self.now.mono.plus(self.settings.timers.auth_timeout), Due::Auth(id));
        }
    }

    /// Handshakes from now on go otherwise; nobody who is here notices.
    pub(super) fn change_tls(&mut self, tls: Option<&Tls>, auth_timeout: Duration) {
        let mut settings = Settings::clone(&self.settings);
        settings.tls = tls.cloned();
        settings.timers = Timers { auth_timeout, ..settings.timers };
        self.settings = Arc::new(settings);
        self.outbox.diary.follow(&self.settings);
        self.greeting = self.identity.greeting(&self.settings, self.cluster_name.as_deref());
    }
}
