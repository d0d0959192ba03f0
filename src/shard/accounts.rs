//! Accounts that come and go by a reload (docs/accounts.md). They are known by their places, and a place is a name's for as
//! long as the server runs (`policy::lasting`): so tables only grow, and what peers want of an account that has gone is
//! still taken down, for nobody says it again when it comes back.
//!
//! Shards hear of a reload at different times. Whoever knows new names states them before anything else of them, and who
//! hears that passes it on: so no ring ever brings a place that is not known. Until its own reload a shard has such accounts
//! as ones that have gone.

use super::asked::REPLY;
use super::core::{Shard, World};
use super::table::ANSWERS;
use crate::base::ConnId;
use crate::conn::{Close, GatewayLink, Standing, Told, Way};
use crate::interest::border::Rule;
use crate::policy::settings::Account;
use crate::policy::walls::Walls;
use crate::policy::{GatewayInterest, Settings};
use std::sync::Arc;

impl Shard {
    /// Another configuration is to hold: its accounts are known from now on, and it knows all that are known here.
    pub(super) fn meet_accounts(&mut self, settings: &mut Settings) {
        let accounts = &mut settings.auth.accounts;
        if accounts.len() > self.worlds.len() {
            self.know_accounts(&accounts.iter().map(|a| a.name.as_str().into()).collect());
        }
        let later = &self.settings.auth.accounts[accounts.len()..];
        accounts.extend(later.iter().map(|a| Account::gone(&a.name)));
    }

    /// There are accounts of these names.
    pub(super) fn know_accounts(&mut self, names: &Arc<[Box<str>]>) {
        let new = names.get(self.worlds.len()..).unwrap_or_default();
        if new.is_empty() {
            return;
        }
        for batch in self.peer_batches() {
            batch.accounts(names);
        }
        let mut settings = Settings::clone(&self.settings);
        settings.auth.accounts.extend(new.iter().map(|name| Account::gone(name)));
        self.settings = Arc::new(settings);
        self.outbox.diary.follow(&self.settings);
        for _ in new {
            let (seed, far_seed) = (self.rng.next_u64(), self.rng.next_u64());
            self.worlds.push(World::new(seed, far_seed, self.batches.len()));
        }
        self.services.grow(self.worlds.len());
        self.outbox.crossings.grow(self.worlds.len());
        let servers = self.outbox.conns.iter().filter(|(_, c)| c.lives() && (c.route.is_some() || c.gateway.is_some()));
        let servers: Vec<ConnId> = servers.map(|(id, _)| id).collect();
        for id in &servers {
            self.grow_link(*id, new);
        }
        self.raise_walls(new);
        for id in servers {
            self.hear_late(id, new);
        }
    }

    /// The other end of an inbound link has to be told how messages of the new accounts are wanted.
    fn grow_link(&mut self, id: ConnId, new: &[Box<str>]) {
        let (accounts, since_ns) = (self.worlds.len(), self.now.wall_ns);
        let Some(link) = self.outbox.conns.get_mut(id).and_then(|c| c.gateway.as_deref_mut()) else { return };
        link.grow(accounts);
        let (promised, inbound) = (link.intro.interest_only, link.intro.way == Way::In);
        let (told, Some(gateway)) = (link.is_being_told(), &self.settings.gateway) else { return };
        for (name, at) in new.iter().zip(accounts - new.len()..) {
            let refused = link.strangers.remove(name.as_bytes());
            if !inbound {
                continue;
            }
            if promised || gateway.interest_of(name) != GatewayInterest::Optimistic {
                link.told[at] = Told::Due;
                link.due.push_back(at as u16);
                link.standing[at] = Standing { since_ns, why: "it came by a reload" };
            } else if refused {
                link.told[at] = Told::Refused;
            }
        }
        if !told && link.is_being_told() {
            self.untold.push(id);
            self.peer_work = true;
        }
    }

    /// Rules of the border may name an account that has come: they hold before anything of it crosses.
    fn raise_walls(&mut self, new: &[Box<str>]) {
        let named = |r: &Rule| r.account.as_deref().is_some_and(|a| new.iter().any(|name| **name == *a));
        let borders = &self.walls.borders;
        if !borders.exports.iter().chain(&borders.imports).flatten().any(named) {
            return;
        }
        let auth = &self.settings.auth;
        let names: Vec<&str> = auth.accounts.iter().map(|a| a.name.as_str()).collect();
        let walls = Walls::new(self.walls.us.clone(), borders.clone(), (&names, auth.system), self.sids.0);
        self.rebuild_walls(Arc::new(walls), &[]);
    }

    /// What the other end of a link has told of these accounts before they came.
    fn hear_late(&mut self, id: ConnId, new: &[Box<str>]) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        let lost = client.route.as_deref().is_some_and(|r| r.foreign.is_lost())
            || client.gateway.as_deref().is_some_and(|l| l.foreign.is_lost());
        if lost {
            let why = "accounts come of which it has told more than is remembered: it has to tell all anew".into();
            return self.close(id, Close::Route { says: String::new(), why });
        }
        for name in new {
            self.hear_peer_late(id, name.as_bytes());
            self.hear_cluster_late(id, name.as_bytes());
        }
    }

    fn hear_peer_late(&mut self, id: ConnId, name: &[u8]) {
        let Some(route) = self.outbox.conns.get_mut(id).and_then(|c| c.route.as_deref_mut()) else { return };
        for ((pattern, queue), n) in route.foreign.take(name) {
            self.peer_wants(id, name, &pattern, &queue, n);
        }
    }

    fn hear_cluster_late(&mut self, id: ConnId, name: &[u8]) {
        let Some(link) = self.outbox.conns.get_mut(id).and_then(|c| c.gateway.as_deref_mut()) else { return };
        let Some(far) = GatewayLink::far(link) else { return };
        let Some(late) = link.foreign.take(name) else { return };
        late.say(far, |said| self.told_by_cluster(id, name, said, "it had told so before the account came"));
    }

    /// Accounts that have gone: nobody hears answers of their services any more. Their clients have been cut.
    pub(super) fn leave_accounts(&mut self, before: &[Account]) {
        let accounts = &self.settings.auth.accounts;
        let went = |(at, was): (usize, &Account)| (accounts[at].gone && !was.gone).then_some(at);
        for at in before.iter().enumerate().filter_map(went).collect::<Vec<_>>() {
            let Some(first) = self.services.heard[at].take() else { continue };
            let pattern = [REPLY, &first, b".>"].concat();
            let news = self.worlds[at].replica.remove(&pattern, b"", None, ANSWERS);
            self.interest_changed(at as u16, &pattern, b"", None, news);
        }
    }
}
