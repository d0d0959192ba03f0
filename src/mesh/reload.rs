//! What a reload of the configuration changes in a mesh that runs (operations.md §15). Only who is affected notices: a
//! peer that called us with another login than is asked for now is ended, as nats-server does; where what may cross has
//! changed all routes are made anew, for each end has told the other by the old rules what it wants.

use super::core::Mesh;
use super::counters::Cause;
use super::link::Ending;
use crate::base::{Cid, Level, PeerId};
use crate::policy::login::same;
use crate::policy::{secret, Cluster, RouteLogin, Secret};
use crate::wire::Fault;

impl Mesh {
    /// Takes over the configuration of the cluster, whose name and listener are the same. The shards have it already: a
    /// route that begins from now on goes by it.
    pub fn reload(&mut self, cluster: Cluster) {
        let told = self.info();
        let before = std::mem::replace(&mut self.cluster, cluster);
        self.take_list();
        if self.info() != told {
            self.tell_peers_about_us();
        }
        self.tell_clients();
        if before.asks() != self.cluster.asks() {
            self.ask_again();
        }
        if before.permissions != self.cluster.permissions {
            self.begin_anew();
        }
        self.changed();
        self.dial_due();
    }

    /// Takes the list of routes. They stay; those no longer listed count as learned. Who refused us may not with what we
    /// present now.
    fn take_list(&mut self) {
        self.book.configure(&self.cluster.routes, self.now.mono);
        self.book.wake_all(self.now.mono);
        let listed: Vec<_> =
            self.peers.iter().map(|(id, p)| (id, self.lists(&p.hello.info.server_id, &p.address))).collect();
        for (id, configured) in listed {
            if let Some(peer) = self.peers.get_mut(id) {
                peer.configured = configured;
            }
        }
    }

    /// Others are let in from now on. Whom we called has let us in by his own rules, and we stay until they change.
    fn ask_again(&mut self) {
        let weighed = self.links.iter().filter(|(_, l)| l.presented.is_some()).map(|(rid, _)| *rid);
        for rid in weighed.collect::<Vec<Cid>>() {
            self.end(rid, Ending::silent(Cause::Given, "was let in, or not yet, by a login that has changed"));
        }
        let Some(RouteLogin { user, password }) = self.cluster.asks().cloned() else { return };
        let password = secret(password);
        let judged = self.peers.iter().filter_map(|(id, peer)| {
            let presented = peer.presented.as_ref()?;
            let known = same(&user, &presented.user);
            match &password {
                Secret::Plain(password) => (!(same(password, &presented.password) & known)).then_some((id, true)),
                // Compared as at the door, when it comes again.
                Secret::Bcrypt(_) => Some((id, !known)),
            }
        });
        for (peer, wrong) in judged.collect::<Vec<(PeerId, bool)>>() {
            match wrong {
                true => {
                    let why = "it presented another login than the cluster has now";
                    self.end_route(peer, Fault::Authorization.text(), why, false);
                }
                false => self.end_route(peer, "", "it has to present the login that the cluster has now", true),
            }
        }
    }

    /// What is told over routes, or let in, has changed.
    fn begin_anew(&mut self) {
        let peers: Vec<PeerId> = self.peers.iter().filter(|(_, p)| !p.ending).map(|(id, _)| id).collect();
        if !peers.is_empty() {
            self.log(Level::Info, format!("cluster.permissions changed: {} routes are made anew", peers.len()));
        }
        peers.into_iter().for_each(|id| self.end_route(id, "", "the permissions of routes changed", true));
    }
}
