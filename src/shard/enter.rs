//! How clients come in: the greeting, CONNECT, the password check that is done elsewhere, the first PONG
//! (client-protocol.md §§2–4, 15, 19).

use super::core::{Act, Opening, Shard};
use super::due::Due;
use super::privacy::Privacy;
use super::repeats::Repeat;
use super::report::Happened;
use super::strangers::TooMany;
use crate::base::limits::TURN_INFORMED_MAX;
use crate::base::{ConnId, Level};
use crate::conn::{Client, Close, Entry, Memo, Stage};
use crate::policy::login::{designation, Caller, Verdict};
use crate::policy::{Found, Proof};
use crate::wire::hello::Info;
use crate::wire::{nkey, Fault, Rules};
use std::sync::Arc;

impl Shard {
    /// A connection was accepted: greet it.
    pub(super) fn enter(&mut self, o: Opening) -> ConnId {
        let limits = &self.settings.limits;
        let nonce = nkey::nonce(&o.nonce);
        let peer = if let Privacy::Secured(peer) = o.privacy.clone() { Some(peer) } else { None };
        let caller = Caller { nonce: &nonce, ip: &o.ip, peer: peer.as_deref(), now_s: self.now_s() };
        let anonymous = self.directory.anonymous(&self.settings.auth, &caller);
        let rules = Rules {
            max_control_line: limits.max_control_line,
            max_payload: limits.max_payload,
            headers: false,
            connect_first: anonymous.is_none(),
        };
        let mut client = Client::new(o.cid, &o.ip, o.port, rules, self.now);
        client.placed = !o.over_limit;
        client.max_subs = Some(limits.max_subscriptions).filter(|max| *max > 0);
        client.nonce = o.nonce;
        client.peer = peer;
        // Where TLS has come or gone meanwhile, what INFO says holds.
        let upgrades = matches!(o.privacy, Privacy::Upgrade) && self.settings.tls.is_some();
        if upgrades {
            client.stage = Stage::Upgrading { away: false };
        }
        let id = self.outbox.conns.insert(client);
        if let Some(client) = self.outbox.conns.get(id) {
            self.outbox.diary.about(client, Level::Debug, || "Client connection created".into());
        }
        match anonymous {
            // Every operation works at once, as whoever the anonymous are.
            Some((account, user)) => {
                self.join_account(id, Entry { account: account as u16, user: user.map(|u| u as u32), pass: None });
            }
            None => {
                if !upgrades {
                    self.await_connect(id);
                }
                if let Some(too_many) = self.strangers.came(id, o.cid, &o.ip) {
                    self.make_room(&too_many);
                }
            }
        }
        self.send_info(id, false);
        self.arm_ping(id, false);
        if o.over_limit {
            self.close(id, Close::Fault(Fault::Connections));
        } else if matches!(o.privacy, Privacy::Throttled) {
            self.close(id, Close::Fault(Fault::Throttled));
        } else if self.draining {
            self.close(id, Close::Shutdown);
        }
        id
    }

    pub(super) fn send_info(&mut self, id: ConnId, after_first_pong: bool) {
        let Some(client) = self.outbox.conns.get(id) else { return };
        let (cid, ip, payload, inside) = (client.cid.0, client.ip.clone(), client.rules.max_payload, client.connected);
        let account = usize::from(client.account);
        // Said once, before it is needed.
        let nonce = (!inside && self.directory.asks_for_signatures()).then(|| nkey::nonce(&client.nonce));
        let (urls, ldm) = (Arc::clone(&self.client_urls), self.lame);
        let (greeting, auth) = (&self.greeting, &self.settings.auth);
        let name = auth.accounts.get(account).map(|a| a.name.as_str());
        self.outbox.say(id, |out| {
            let info = Info {
                server: greeting,
                max_payload: payload,
                client_id: cid,
                client_ip: Some(&ip),
                nonce: nonce.as_deref(),
                connect_urls: &urls,
                // As nats-server has it, which lets the anonymous in without asking and asks for more afterwards.
                auth_required: auth.announced || (inside && auth.no_auth_user.is_some()),
                ldm,
                connect_info: after_first_pong,
                remote_account: name.filter(|_| after_first_pong),
                acc_is_sys: after_first_pong && auth.system == Some(account),
            };
            info.write(out);
        });
    }

    /// `CONNECT`, the first or a further one.
    pub(super) fn connect(&mut self, id: ConnId, json: &[u8]) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        let mut said = client.said.take().unwrap_or_default();
        let read = said.update(json);
        let said = client.said.insert(said);
        if read.is_err() {
            return self.close(id, Close::Fault(Fault::Malformed));
        }
        if said.route {
            return self.leave(id, json);
        }
        // A further CONNECT begins anew: what was subscribed is gone (client-protocol.md §2.9).
        if client.connected {
            self.end_subscriptions(id);
        }
        self.weigh(id);
    }

    /// May it enter with what it has said?
    pub(super) fn weigh(&mut self, id: ConnId) {
        let now_s = self.now_s();
        let Some(client) = self.outbox.conns.get(id) else { return };
        let Some(said) = client.said.as_deref() else { return };
        let nonce = nkey::nonce(&client.nonce);
        let caller = Caller { nonce: &nonce, ip: &client.ip, peer: client.peer.as_deref(), now_s };
        match self.directory.decide(&self.settings.auth, said, &caller) {
            Verdict::Enter { account, user } => {
                self.admit(id, Entry { account: account as u16, user: user.map(|u| u as u32), pass: None });
            }
            Verdict::Check { proof, account, user } => {
                let entry = Entry { account: account as u16, user: user.map(|u| u as u32), pass: None };
                self.look_into(id, entry, proof);
            }
            Verdict::CheckToken { proof, pass } => {
                let entry = Entry { account: pass.account as u16, user: None, pass: Some(pass) };
                self.look_into(id, entry, proof);
            }
            Verdict::Refuse(why) => {
                self.log_about(id, Level::Debug, || format!("refused: {why}"));
                self.acts.push_back(Act::Pause(id));
                self.refuse(id);
            }
        }
    }

    /// Has what is presented looked at; nothing is read on meanwhile.
    fn look_into(&mut self, id: ConnId, entry: Entry, proof: Proof) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.stage = Stage::Verifying(Box::new(entry));
        self.acts.push_back(Act::Pause(id));
        self.look_at(id, proof);
    }

    /// Has something looked at; of several that are, the last counts.
    pub(super) fn look_at(&mut self, id: ConnId, proof: Proof) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.looks += 1;
        self.acts.push_back(Act::Verify { conn: id, look: client.looks, ip: client.ip.to_string(), proof });
    }

    /// The credentials are wrong, which is said after a pause: whoever guesses is to take his time (scenarios.md §3.1).
    fn refuse(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.stage = Stage::Refused;
        let failed = self.strangers.failed(&client.ip, self.now.mono);
        if failed.many {
            self.acts.push_back(Act::Guesses { ip: client.ip.to_string() });
        }
        self.outbox.ledger.failed_logins += 1;
        self.wheel.add(self.now.mono.plus_ns(failed.pause_ns), Due::Refused(id));
    }

    /// Ends the oldest of too many connections that have not said who they are.
    #[cold]
    fn make_room(&mut self, too_many: &TooMany) {
        self.outbox.ledger.strangers_dropped += 1;
        if self.may_say(Repeat::Stranger) {
            if let Some(client) = self.outbox.conns.get(too_many.conn) {
                let whose = if too_many.of_source { "from its address" } else { "on this shard" };
                let text =
                    || format!("dropped: more than {} connections {whose} have not said who they are", too_many.max);
                self.outbox.diary.about(client, Level::Error, text);
            }
        }
        let refused = self.outbox.conns.get(too_many.conn).is_some_and(|c| matches!(c.stage, Stage::Refused));
        self.close(too_many.conn, Close::Fault(if refused { Fault::Authorization } else { Fault::AuthTimeout }));
    }

    /// A connection says that it is a route. Where routes come in on this port the mesh takes it over, and decides; else
    /// both sides are told where routes are taken.
    #[cold]
    fn leave(&mut self, id: ConnId, json: &[u8]) {
        let says = match &self.settings.cluster {
            Some(c) if c.listen.is_none() => {
                let Some(client) = self.outbox.conns.get_mut(id) else { return };
                client.stage = Stage::Leaving([b"CONNECT ", json, b"\r\n"].concat());
                return self.leaving.push(id);
            }
            Some(c) => {
                let port = c.listen.as_ref().and_then(|l| l.port).map_or("its own".into(), |p| p.to_string());
                format!("this is a client port: routes to this server go to port {port}")
            }
            None => "this server takes no routes: it has no cluster in its configuration".into(),
        };
        let why = format!("a route came to the client port; it was told: {says}");
        self.close(id, Close::Route { says, why });
    }

    /// Gives away the connections that are routes, with all they have said; those that have not been written to yet wait.
    pub(super) fn hand_over(&mut self) {
        for id in std::mem::take(&mut self.leaving) {
            let Some(client) = self.outbox.conns.get(id) else { continue };
            if client.out.pending() > 0 && client.lives() {
                self.leaving.push(id);
                continue;
            }
            let Stage::Leaving(line) = &client.stage else { continue };
            let said = [line.as_slice(), &client.tail].concat();
            self.abandon_subscriptions(id);
            self.leave_account(id);
            let Some(mut client) = self.outbox.conns.remove(id) else { continue };
            if std::mem::take(&mut client.placed) {
                self.acts.push_back(Act::Left);
            }
            self.outbox.forget_waiting(client.waiting_bytes);
            self.strangers.left(client.cid, &client.ip);
            self.acts.push_back(Act::HandOver { conn: id, cid: client.cid, said });
        }
    }

    /// What was presented proved right, or wrong.
    pub(super) fn verified(&mut self, id: ConnId, look: u32, found: Found) {
        let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.looks == look) else { return };
        if !matches!(client.stage, Stage::Verifying(_)) {
            return self.rechecked(id, found.holds);
        }
        let Stage::Verifying(mut entry) = std::mem::replace(&mut client.stage, Stage::Greeted) else { return };
        if !found.holds {
            return self.refuse(id);
        }
        if let Some(pass) = &mut entry.pass {
            pass.hours_end_ns = found.ends_ns;
        }
        self.acts.push_back(Act::Resume(id));
        self.admit(id, *entry);
        self.watch_expiry(id);
        self.wait(id);
    }

    /// The credentials are good: what CONNECT said takes effect, in nats-server's order of checks (§4).
    fn admit(&mut self, id: ConnId, entry: Entry) {
        let has_headers = self.settings.headers;
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        let Some(said) = client.said.as_deref() else { return };
        if designation(said).is_err() {
            return self.close(id, Close::Fault(Fault::Authorization));
        }
        if !(0..=1).contains(&said.protocol) {
            return self.close(id, Close::Fault(Fault::ClientProtocol));
        }
        let headers = said.headers && has_headers;
        if said.no_responders && !headers {
            return self.close(id, Close::Fault(Fault::NoRespondersNeedsHeaders));
        }
        let first = !client.connected;
        client.verbose = said.verbose;
        client.pedantic = said.pedantic;
        client.echo = said.echo;
        client.headers = headers;
        client.no_responders = said.no_responders;
        client.async_info = said.protocol >= 1;
        client.connected = true;
        if first {
            client.health.connected(self.now.mono, client.since);
        }
        client.stage = Stage::Open;
        client.rules.headers = headers;
        if std::mem::take(&mut client.rules.connect_first) {
            self.strangers.left(client.cid, &client.ip);
        }
        self.join_account(id, entry);
        self.limit(id);
        if self.outbox.conns.get(id).is_some_and(|c| self.is_over(c.account)) {
            return self.close(id, Close::Fault(Fault::AccountConnections));
        }
        if first {
            self.arm_ping(id, true);
            self.tell_of(id, Happened::Connect, None);
        }
        self.ok(id);
    }

    /// The least of what the server, the account and the token allow.
    pub(super) fn limit(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        let (limits, account) = (&self.settings.limits, &self.settings.auth.accounts[usize::from(client.account)]);
        let pass = client.pass.as_deref();
        let own = [account.max_payload, pass.and_then(|p| p.max_payload)].into_iter().flatten().min();
        client.rules.max_control_line = limits.max_control_line;
        client.rules.max_payload = own.unwrap_or(usize::MAX).min(limits.max_payload);
        let all = Some(limits.max_subscriptions).filter(|max| *max > 0);
        client.max_subs =
            [all, account.max_subscriptions, pass.and_then(|p| p.max_subscriptions)].into_iter().flatten().min();
    }

    /// Counts a connection to an account, and no longer to the one it was in.
    fn join_account(&mut self, id: ConnId, entry: Entry) {
        self.leave_account(id);
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.account = entry.account;
        client.user = entry.user;
        client.pass = entry.pass;
        let permit = self.permit_of(id);
        let rights = self.rights_by(permit);
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.rights = rights;
        client.maps = !self.settings.auth.accounts[usize::from(client.account)].rewrites.is_empty();
        client.joined = true;
        client.memo = Memo::NOTHING;
        let account = client.account;
        let ledger = &mut self.worlds[usize::from(account)].ledger;
        ledger.connections += 1;
        ledger.total_connections += 1;
        self.await_thinning(account, id);
        self.tell_of(id, Happened::Number, None);
        self.state_connections(account);
    }

    /// The connection no longer counts to its account; what passed over it stays there.
    pub(super) fn leave_account(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id).filter(|c| c.joined) else { return };
        client.joined = false;
        let account = client.account;
        let passed = client.counts.since(&client.booked);
        client.booked = client.counts;
        let ledger = &mut self.worlds[usize::from(account)].ledger;
        ledger.connections -= 1;
        ledger.passed.add(&passed);
        self.tell_of(id, Happened::Number, None);
        self.state_connections(account);
    }

    /// `PING`: answered, and the first one after CONNECT followed by an INFO that says where the client is (§19.1).
    pub(super) fn ping(&mut self, id: ConnId) {
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        client.health.pinging_at = self.now.mono;
        let inform = client.connected && !client.informed;
        client.informed |= inform;
        let inform = inform && client.async_info;
        self.outbox.say(id, |out| out.extend_from_slice(b"PONG\r\n"));
        if inform {
            self.send_info(id, true);
        }
    }

    /// Goes on telling clients of the cluster's addresses, a slice per turn: those that take INFO at any time and have
    /// had their first PONG (cluster-protocol.md §3.16).
    pub(super) fn inform_clients(&mut self) {
        let Some(from) = self.informing else { return };
        let places = self.outbox.conns.places();
        let end = from.saturating_add(TURN_INFORMED_MAX).min(places);
        for place in from..end {
            let Some((id, client)) = self.outbox.conns.at(place) else { continue };
            if client.is_client() && client.lives() && client.informed && client.async_info {
                self.send_info(id, false);
            }
        }
        self.informing = (end < places).then_some(end);
    }
}
