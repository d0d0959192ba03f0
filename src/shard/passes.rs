//! Who may stay (client-protocol.md §15): tokens end at their second, accounts too, and a reload changes who is let in and
//! what he may do. Who is affected is cut, in nats-server's words; nobody else notices.

use super::core::{Act, Shard};
use super::due::Due;
use super::expiries::{accounts_end, shares_change, Expiries};
use crate::base::{ConnId, SECOND};
use crate::conn::{Close, Stage};
use crate::policy::login::{Caller, Directory, Verdict};
use crate::policy::settings::{Auth, Secret};
use crate::policy::{token, Pass, Permits, Proof, Refusal, Settings};
use crate::wire::hello::Connect;
use crate::wire::{nkey, Fault};
use std::sync::Arc;

/// The wall clock may be set: what goes by it is looked at so often.
const LOOK_NS: u64 = SECOND;

impl Shard {
    /// Somebody has come in with a token: is there an end to it?
    pub(super) fn watch_expiry(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get(id) else { return };
        if let Some(at) = client.pass.as_deref().and_then(Pass::ends_ns) {
            self.expiries.ends.insert((at, client.cid), id);
            if at <= self.now.wall_ns {
                self.end_passes();
            }
        }
        if !self.expiries.watched {
            self.share_by_clock();
        }
        self.watch_expiries();
    }

    /// The timer of [`Shard::watch_expiries`].
    pub(super) fn expiry_due(&mut self) {
        self.expiries.watched = false;
        self.end_passes();
        self.end_accounts();
        self.share_by_clock();
        self.watch_expiries();
    }

    /// Looks again when the next one's time is over, or the clock may have been set.
    fn watch_expiries(&mut self) {
        let first = self.expiries.ends.first_key_value().map(|((at, _), _)| *at);
        let next = first.into_iter().chain(self.shares_change_ns()).min();
        let Expiries { accounts, shares, watched, .. } = self.expiries;
        if (accounts || shares || next.is_some()) && !watched {
            self.expiries.watched = true;
            let wait = next.map_or(LOOK_NS, |at| at.saturating_sub(self.now.wall_ns).min(LOOK_NS));
            self.wheel.add(self.now.mono.plus_ns(wait), Due::Expiry);
        }
    }

    /// Cuts whose time is over.
    fn end_passes(&mut self) {
        while let Some(entry) = self.expiries.ends.first_entry().filter(|e| e.key().0 <= self.now.wall_ns) {
            let ((at, _), id) = entry.remove_entry();
            let pass = self.outbox.conns.get(id).filter(|c| c.lives()).and_then(|c| c.pass.as_deref());
            if pass.and_then(Pass::ends_ns) == Some(at) {
                self.close(id, Close::Fault(Fault::Expired));
            }
        }
    }

    /// The same of accounts: all who are in them.
    fn end_accounts(&mut self) {
        let Some(trust) = self.settings.auth.trust.as_ref().filter(|_| self.expiries.accounts) else { return };
        let now_s = self.now_s();
        let over = trust.charters.values().filter(|c| c.has_expired(now_s)).map(|c| c.account as u16);
        let over: Vec<u16> = over.filter(|a| self.worlds[usize::from(*a)].ledger.connections > 0).collect();
        if over.is_empty() {
            return;
        }
        for id in self.clients_of(|c| over.contains(&c.account)) {
            self.close(id, Close::Fault(Fault::AccountExpired));
        }
    }

    /// The time, seconds since 1970.
    pub(super) fn now_s(&self) -> i64 {
        i64::try_from(self.now.wall_ns / SECOND).unwrap_or(i64::MAX)
    }

    fn clients_of(&self, which: impl Fn(&crate::conn::Client) -> bool) -> Vec<ConnId> {
        let all = self.outbox.conns.iter().filter(|(_, c)| c.is_client() && c.lives() && c.joined && which(c));
        all.map(|(id, _)| id).collect()
    }

    /// Other settings hold from now on: for those who are here, too.
    pub(super) fn change_settings(&mut self, settings: &Arc<Settings>) {
        let tls = self.settings.tls.clone();
        let before = self.follow(Settings { tls, ..Settings::clone(settings) });
        self.outbox.skip_congested = settings.no_fast_producer_stall;
        self.greeting = self.identity.greeting(&self.settings, self.cluster_name.as_deref());
        let everybody = self.outbox.conns.iter().filter(|(_, c)| c.is_client() && !c.service).map(|(id, _)| id);
        for id in everybody.collect::<Vec<_>>() {
            self.limit(id);
        }
        if before.auth != settings.auth {
            self.change_auth(&settings.auth, &before);
        }
    }

    /// Others may enter, or do other things.
    fn change_auth(&mut self, auth: &Auth, before: &Settings) {
        self.directory = Directory::new(&self.settings.auth, self.rng.next_u64());
        let permits = Permits::clone(&auth.permits).adopting(&mut self.outbox.permits);
        let had = std::mem::replace(&mut self.outbox.permits, permits);
        for id in self.clients_of(|_| true) {
            let stays = match self.outbox.conns.get(id).is_some_and(|c| c.pass.is_some()) {
                true => self.weigh_again(id, &before.auth),
                false => self.ask_again(id, &before.auth),
            };
            match stays {
                Ok(()) => {
                    self.change_rights(id, &had);
                    self.follow_rewrites(id);
                    // His token may say something else.
                    self.limit(id);
                    self.watch_expiry(id);
                }
                Err(why) => self.close(id, why),
            }
        }
        self.limit_accounts(&before.auth.accounts);
        self.weigh_entrants();
        self.leave_accounts(&before.auth.accounts);
        self.expiries.accounts = accounts_end(&self.settings.auth);
        self.expiries.shares = shares_change(&self.settings.auth);
        self.watch_expiries();
    }

    /// Who is being looked at is looked at by what held before: he asks once more.
    fn weigh_entrants(&mut self) {
        let looked_at = |c: &crate::conn::Client| matches!(c.stage, Stage::Verifying(_));
        let entrants = self.outbox.conns.iter().filter(|(_, c)| looked_at(c)).map(|(id, _)| id);
        for id in entrants.collect::<Vec<_>>() {
            if let Some(client) = self.outbox.conns.get_mut(id) {
                client.stage = Stage::Greeted;
            }
            self.acts.push_back(Act::Resume(id));
            self.weigh(id);
            self.wait(id);
        }
    }

    /// May somebody with a token stay? What it gives him may be something else now.
    fn weigh_again(&mut self, id: ConnId, before: &Auth) -> Result<(), Close> {
        let refused = Close::Fault(Fault::Authorization);
        let (Some(trust), now_s) = (self.settings.auth.trust.clone(), self.now_s()) else { return Err(refused) };
        let Some(client) = self.outbox.conns.get_mut(id) else { return Ok(()) };
        let (Some(had), Some(said)) = (client.pass.as_deref(), client.said.as_deref()) else { return Err(refused) };
        if let Some(charter) = trust.charters.get(&had.account_key) {
            if charter.has_expired(now_s) {
                return Err(Close::Fault(Fault::AccountExpired));
            }
            if charter.has_revoked(&had.user, had.issued_at) {
                return Err(Close::Fault(Fault::Revoked));
            }
            let signer = |auth: &Auth| {
                let trust = auth.trust.as_ref()?;
                trust.charters.get(&had.account_key)?.signers.get(&had.issuer).cloned()
            };
            let (was, is) = (signer(before), charter.signers.get(&had.issuer).cloned());
            if had.by_signing_key && was != is {
                return Err(Close::Withdrawn { reason: "Authentication Failure" });
            }
        }
        let caller = Caller { nonce: "", ip: &client.ip, peer: client.peer.as_deref(), now_s };
        let mut pass = token::again(&trust, &said.jwt, &caller).map_err(|_: Refusal| refused)?;
        pass.hours_end_ns = had.hours_end_ns;
        client.pass = Some(pass);
        Ok(())
    }

    /// May somebody without a token stay?
    fn ask_again(&mut self, id: ConnId, before: &Auth) -> Result<(), Close> {
        let now_s = self.now_s();
        let Some(client) = self.outbox.conns.get_mut(id) else { return Ok(()) };
        let silent = Connect::default();
        let said = client.said.as_deref().unwrap_or(&silent);
        let (auth, refused) = (&self.settings.auth, Close::Fault(Fault::Authorization));
        if let Some(was) = client.user.and_then(|u| before.users.get(u as usize)) {
            let found = self.directory.find(&was.name, was.key.is_some()).map(|i| (i, &auth.users[i]));
            let Some((place, is)) = found.filter(|(_, is)| is.account == usize::from(client.account)) else {
                return Err(Close::Withdrawn { reason: "Client Closed" });
            };
            client.user = Some(place as u32);
            let lent = auth.by_certificate || said.user.is_empty() && said.nkey.is_empty();
            return match &is.password {
                _ if !is.kinds.standard => Err(refused),
                _ if was.password == is.password || lent => Ok(()),
                Secret::Plain(text) => crate::policy::login::same(text, &said.pass).then_some(()).ok_or(refused),
                Secret::Bcrypt(hash) => {
                    let proof = Proof::Password { hash: hash.clone(), password: said.pass.clone() };
                    self.look_at(id, proof);
                    Ok(())
                }
            };
        }
        let nonce = nkey::nonce(&client.nonce);
        let caller = Caller { nonce: &nonce, ip: &client.ip, peer: client.peer.as_deref(), now_s };
        match self.directory.decide(auth, said, &caller) {
            Verdict::Enter { account, user } if account == usize::from(client.account) => {
                client.user = user.map(|u| u as u32);
                Ok(())
            }
            // A token that is hashed, and the same or another.
            Verdict::Check { user: None, .. } if before.token.is_some() && before.token == auth.token => Ok(()),
            Verdict::Check { user: None, proof, .. } if auth.token.is_some() => {
                self.look_at(id, proof);
                Ok(())
            }
            _ => Err(refused),
        }
    }

    /// What somebody presented was looked at once more, by what is configured now.
    pub(super) fn rechecked(&mut self, id: ConnId, holds: bool) {
        let Some(client) = self.outbox.conns.get(id) else { return };
        if !holds && client.lives() {
            self.close(id, Close::Fault(Fault::Authorization));
        }
    }
}
