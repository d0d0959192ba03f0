//! Answers that find their way back to another cluster (cluster-protocol.md §4.9). A requester's interest travels on
//! another connection than his request and may come later: so a request that leaves the cluster soon after somebody here
//! began to want its reply names in it our cluster and server. Whoever answers it answers under the plain reply, and his
//! server sends the answer straight back.

use super::asked::is_answer;
use super::batch::{Address, Origin};
use super::core::Shard;
use super::due::Due;
use super::ledger::Drop;
use super::outbox::weight;
use super::peers::At;
use super::verdict::Gate;
use crate::base::{ConnId, ShardSet};
use crate::conn::WayBack;
use crate::interest::Place;
use crate::wire::gateway::{is_mapped, split, write_names, Routed};
use crate::wire::Message;

/// What a client here is given of a message from another server: the reply as its requester wrote it, and apart from that
/// the way for answers, if it has one.
pub(super) fn way_back<'m>(origin: Origin, m: &Message<'m>) -> (Option<WayBack>, Message<'m>) {
    if origin == Origin::Client || !is_mapped(m.reply) {
        return (None, *m);
    }
    match WayBack::of(m.reply) {
        Some((way, reply)) => (Some(way), Message { reply, ..*m }),
        None => (None, *m),
    }
}

impl Shard {
    /// A client of this server has begun to want something.
    pub(super) fn note_recent(&mut self, account: u16, pattern: &[u8]) {
        if self.settings.gateway.is_some() {
            let now = self.now.mono;
            let recent = &mut self.worlds[usize::from(account)].recent;
            recent.add(pattern, now);
            if let Some(at) = recent.ends_at().filter(|_| !recent.awaited) {
                recent.awaited = true;
                self.wheel.add(at, Due::Recent(account));
            }
        }
    }

    /// What was new is no longer: it is forgotten, whether or not anybody asks for it again.
    pub(super) fn forget_recent(&mut self, account: u16) {
        let now = self.now.mono;
        let Some(world) = self.worlds.get_mut(usize::from(account)) else { return };
        world.recent.forget(now);
        world.recent.awaited = world.recent.ends_at().is_some();
        if let Some(at) = world.recent.ends_at() {
            self.wheel.add(at, Due::Recent(account));
        }
    }

    /// Clients that were given their first request of another cluster in this turn: there is a time to forget it.
    pub(super) fn plan_to_forget(&mut self) {
        while let Some(id) = self.outbox.answerers.pop() {
            self.forget_answers(id);
        }
    }

    /// Requests of other clusters whose answers are late by now are forgotten, whether or not the client says anything.
    pub(super) fn forget_answers(&mut self, id: ConnId) {
        let now = self.now.mono;
        let Some(client) = self.outbox.conns.get_mut(id) else { return };
        match client.answers.as_mut().and_then(|a| a.ends_at(now)) {
            Some(at) => self.wheel.add(at, Due::Answers(id)),
            None => client.answers = None,
        }
    }

    /// Is this publication of a client the answer to a request of another cluster? Then it goes there, and nowhere else.
    #[cold]
    pub(super) fn answers_other_cluster(&mut self, id: ConnId, account: u16, m: &Message<'_>) -> bool {
        let now = self.now.mono;
        let Some(client) = self.outbox.conns.get_mut(id) else { return false };
        let Some(answers) = client.answers.as_deref_mut() else { return false };
        let way = answers.way(m.subject, now);
        let Some(back) = way.map(|w| w.back(m.subject)) else { return false };
        // Without a link to that cluster it goes where it is wanted, as any other message.
        let Some(far) = self.gates.origin(&back) else { return false };
        let mut others = self.gates.live;
        others.remove(far);
        self.outbox.crossings.went_straight(others, account);
        self.outbox.next_message();
        self.straight(Place::Far(far), account, id, &Message { subject: &back, ..*m });
        if self.outbox.crowd.jammed() {
            self.pace(id, ShardSet::EMPTY);
        }
        true
    }

    /// Sends a message to whoever is behind this link, and to nobody else.
    pub(super) fn straight(&mut self, place: Place, account: u16, publisher: ConnId, m: &Message<'_>) {
        let to = Address { plain: false, straight: Some(place), ..self.published(account, publisher) };
        let at = match place {
            Place::Shard(shard) if shard != self.id => Some(At::There(shard)),
            place => self.link_to(place),
        };
        match at {
            Some(At::There(shard)) => {
                self.groups.clear();
                self.put(shard, to, m, &mut None);
            }
            _ => self.straight_from_here(place, to, m),
        }
    }

    /// The same on the shard that the link is on.
    pub(super) fn straight_from_here(&mut self, place: Place, to: Address, m: &Message<'_>) {
        if let Place::Shard(_) = place {
            return self.answer_judged(to, m);
        }
        let Some(At::Here(conn)) = self.link_to(place) else {
            // Whoever asked by way of a member that is gone is gone with it, as far as this answer is concerned.
            let why = if matches!(place, Place::Peer(_)) { Drop::ReplyExpired } else { Drop::GatewayDown };
            return self.outbox.ledger.dropped(why, 1);
        };
        let plain = self.as_others_know_it(conn, m.subject);
        let m = &Message { subject: plain.as_deref().unwrap_or(m.subject), ..*m };
        let mut names = Vec::new();
        let name = &self.settings.auth.accounts[usize::from(to.account)].name;
        let _ = write_names(&mut names, name.as_bytes(), m.subject);
        match place {
            Place::Far(far) => {
                let reply = self.reply_across(to.account, conn, m);
                let m = Message { reply: reply.as_deref().unwrap_or(m.reply), ..*m };
                let fate = self.outbox.deliver_over_link(conn, &names, &m, true, std::iter::empty());
                self.outbox.crossed(&Gate { far, conn }, to.account, fate);
            }
            _ => {
                self.outbox.deliver_over_link(conn, &names, m, true, std::iter::empty());
            }
        }
    }

    /// The reply as another cluster is to see it; None: as it is. Where there is a border every answer finds its way back
    /// like this, and only those to what was asked.
    pub(super) fn reply_across(&mut self, account: u16, conn: ConnId, m: &Message<'_>) -> Option<Vec<u8>> {
        if m.reply.is_empty() {
            return None;
        }
        let recent = self.worlds[usize::from(account)].recent.covers(m.reply, self.now.mono);
        let link = self.outbox.conns.get(conn)?.gateway.as_deref()?;
        let (new_replies, far) = (link.intro.new_replies, link.far()?);
        if !recent && !self.walls.stand() && !self.gates.has_imports(far) {
            return None;
        }
        if recent {
            self.hold_until_known(conn);
        }
        self.grant(account, far, m.reply);
        Some(self.reply_prefix.before(m.reply, new_replies))
    }

    /// An answer came from another server, under a subject that says whose request it answers.
    #[cold]
    pub(super) fn answer_came(&mut self, id: ConnId, account: u16, r: &Routed<'_>, origin: Origin) {
        let mut body = std::mem::take(&mut self.body);
        let m = r.message(&mut body);
        let publisher = if origin == Origin::Gateway { id } else { ConnId::NONE };
        self.outbox.next_message();
        let member = self.outbox.conns.get(id).and_then(|c| c.route.as_deref()).is_some_and(|r| r.intro.turnpike);
        match split(m.subject) {
            // One inside another nobody sends who means well, and no client is to see any.
            Some(mapped) if self.reply_prefix.is_of_cluster(&mapped) && !is_mapped(mapped.reply) => {
                let other = mapped.server.filter(|s| !self.reply_prefix.is_server(s));
                match other.filter(|_| origin == Origin::Gateway).and_then(|s| self.peers.by_hash(s)) {
                    Some(peer) => {
                        let named = self.named_answer(id, account, &m, mapped.reply);
                        let m = Message { subject: named.as_deref().unwrap_or(m.subject), ..m };
                        self.straight(Place::Peer(peer), account, publisher, &m);
                    }
                    // A member of ours has judged it.
                    None if member => {
                        self.deliver_answer((id, publisher), account, &Message { subject: mapped.reply, ..m })
                    }
                    None => self.answer_enters((id, publisher), account, &m, mapped.reply, origin),
                }
            }
            // One of ours says which cluster answers, for only we know whether that one was asked.
            Some(mapped) if member && mapped.server.is_some_and(|s| self.reply_prefix.is_server(s)) => {
                self.answer_named((id, publisher), account, &m, mapped.reply);
            }
            _ => self.dropped_on_entry(id, account, Drop::ForeignReply, 1),
        }
        self.pace_entry(id, origin);
        self.budget = self.budget.saturating_sub(weight(&m));
        self.body = body;
    }

    /// An answer under its plain subject: as if it had been published here.
    pub(super) fn deliver_answer(&mut self, (id, publisher): (ConnId, ConnId), account: u16, m: &Message<'_>) {
        let key = self.verdict(account, m.subject);
        self.count_denied(key);
        let mut queued = self.deliver_plain(key, m, Origin::Client);
        let mut to = self.published(account, publisher);
        match is_answer(m.subject) {
            true => to.origin = Origin::Gateway,
            false => self.worlds[usize::from(account)].ledger.answers += 1,
        }
        let mut shards = ShardSet::EMPTY;
        if self.verdicts.get(key).is_some_and(|v| v.leaves()) {
            let (more, reached) = self.spread_further(key, to, m);
            queued += more;
            shards = reached;
        }
        if is_answer(m.subject) {
            queued += self.hear_if_answer(key, account, m);
        }
        if queued == 0 && shards.is_empty() {
            self.dropped_on_entry(id, account, Drop::ReplyExpired, 1);
        }
    }
}
