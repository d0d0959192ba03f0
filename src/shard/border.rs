//! The border on this shard (docs/borders.md): what comes from other clusters and may not enter, answers that may because
//! they were asked for, and what is done when the rules change. Rules on the way out stand in the verdicts.

use super::batch::{Address, Origin};
use super::core::Shard;
use super::due::Due;
use super::ledger::Drop;
use super::peers::At;
use crate::base::{Cid, ConnId, FarId, ShardId, Slot};
use crate::conn::{GatewayLink, Memo, Telling, Told, WAY_KNOWN_NS};
use crate::interest::border::Class;
use crate::interest::{Cursor, Place};
use crate::policy::walls::{Barrier, Side, Walls};
use crate::wire::gateway::{as_from, is_mapped, split, write_account, write_interest, ReplyPrefix};
use crate::wire::Message;
use std::sync::Arc;

impl Shard {
    /// May the message with this verdict, which came over link `id`, enter? If not, that is counted.
    pub(super) fn may_enter(&mut self, id: ConnId, account: u16, key: Slot) -> bool {
        let Some(class) = self.link_class(id) else { return false };
        let Some(barrier) = self.verdicts.entry(key, class, &self.walls) else { return true };
        // The next one in the same words is not to pass for one that was let in.
        if let Some(client) = self.outbox.conns.get_mut(id) {
            client.memo = Memo::NOTHING;
        }
        self.kept_out(id, account, barrier);
        false
    }

    fn link_class(&self, id: ConnId) -> Option<Class> {
        Some(self.outbox.conns.get(id)?.gateway.as_deref()?.cut.class())
    }

    #[cold]
    fn kept_out(&mut self, id: ConnId, account: u16, barrier: Barrier) {
        self.dropped_on_entry(id, account, Drop::Border, 1);
        self.outbox.crossings.barriers.held(barrier);
    }

    /// A request with this reply leaves for a cluster: its answers may come back, if they need to be allowed to.
    pub(super) fn grant(&mut self, account: u16, far: FarId, reply: &[u8]) {
        let (Some(class), Some(cluster)) = (self.gates.entry(far), self.gates.hash(far)) else { return };
        if self.imports_admit(class, account, reply) {
            return;
        }
        let until = self.now.mono.plus_ns(self.walls.window_ns());
        self.grants.grant((account, reply), cluster, until, self.walls.borders.reply_max.unwrap_or(u32::MAX));
        if !std::mem::replace(&mut self.grants.awaited, true) {
            self.wheel.add(until, Due::Grants);
        }
    }

    /// Forgets requests that can be answered no longer.
    pub(super) fn forget_grants(&mut self) {
        let next = self.grants.forget(self.now.mono);
        self.grants.awaited = next.is_some();
        if let Some(at) = next {
            self.wheel.add(at, Due::Grants);
        }
    }

    /// An answer for this server came over link `id`; `reply` is its subject as it was asked for. It is let in if it may
    /// enter as any message, and else by the shard that knows what was asked for.
    pub(super) fn answer_enters(
        &mut self,
        (id, publisher): (ConnId, ConnId),
        account: u16,
        m: &Message<'_>,
        reply: &[u8],
        origin: Origin,
    ) {
        // A member that is none of ours does not say which cluster answers: any that has a link will do.
        let may = match origin {
            Origin::Gateway => !self.is_shut_to(id, account, reply),
            _ => self.gates.live.iter().any(|far| self.admits_from(far, account, reply)),
        };
        if self.walls.imports.is_open() || may {
            return self.deliver_answer((id, publisher), account, &Message { subject: reply, ..*m });
        }
        // From here on the subject says which cluster answers.
        let named = self.named_answer(id, account, m, reply);
        let m = Message { subject: named.as_deref().unwrap_or(m.subject), ..*m };
        self.ask_for_answer(account, publisher, &m);
    }

    /// The same of one that a member of ours has passed on and that names the cluster which answers.
    pub(super) fn answer_named(
        &mut self,
        (id, publisher): (ConnId, ConnId),
        account: u16,
        m: &Message<'_>,
        reply: &[u8],
    ) {
        if self.walls.imports.is_open() {
            return self.deliver_answer((id, publisher), account, &Message { subject: reply, ..*m });
        }
        self.ask_for_answer(account, publisher, m);
    }

    /// Sends an answer that says which cluster it comes from to whoever knows what that was asked.
    fn ask_for_answer(&mut self, account: u16, publisher: ConnId, m: &Message<'_>) {
        let shard = self.asked_on(self.gates.origin(m.subject), self.id);
        self.straight(Place::Shard(shard), account, publisher, m);
    }

    /// The subject of an answer that came over link `id` and may not enter as any message, with the cluster that it came
    /// from in the place of ours; None: as it is.
    pub(super) fn named_answer(&self, id: ConnId, account: u16, m: &Message<'_>, reply: &[u8]) -> Option<Vec<u8>> {
        let link = self.outbox.conns.get(id)?.gateway.as_deref()?;
        let shut = !self.walls.imports.is_open() && self.is_shut_to(id, account, reply);
        // The old form has no place for both; here only the cluster counts.
        let anew = || ReplyPrefix::new(&link.intro.cluster, "").before(reply, true);
        shut.then(|| as_from(m.subject, &link.intro.cluster).unwrap_or_else(anew))
    }

    /// A subject that goes over link `conn` and names a cluster which answers, for those who do not know that: with the name
    /// of ours. None: as it is.
    pub(super) fn as_others_know_it(&self, conn: ConnId, subject: &[u8]) -> Option<Vec<u8>> {
        let route = self.outbox.conns.get(conn)?.route.as_deref()?;
        let gateway = self.settings.gateway.as_ref().filter(|_| !route.intro.turnpike)?;
        as_from(subject, &gateway.name)
    }

    /// May a message to this subject not enter over link `id`?
    fn is_shut_to(&self, id: ConnId, account: u16, subject: &[u8]) -> bool {
        !self.link_class(id).is_some_and(|class| self.imports_admit(class, account, subject))
    }

    /// May a message to this subject enter from a cluster?
    fn admits_from(&self, far: FarId, account: u16, subject: &[u8]) -> bool {
        self.gates.entry(far).is_some_and(|class| self.imports_admit(class, account, subject))
    }

    fn imports_admit(&self, class: Class, account: u16, subject: &[u8]) -> bool {
        self.walls.imports.judge(usize::from(account), subject).of(class).crosses()
    }

    /// A request came over link `id` whose reply may not leave: as it is given to those who answer it, so that their answers
    /// find their way back all the same. None: as it is.
    pub(super) fn reply_within(&self, id: ConnId, account: u16, reply: &[u8]) -> Option<Vec<u8>> {
        let exports = &self.walls.exports;
        if exports.is_open() || reply.is_empty() || is_mapped(reply) {
            return None;
        }
        let intro = &self.outbox.conns.get(id)?.gateway.as_deref()?.intro;
        let judged = exports.judge(usize::from(account), reply).of(exports.class(&intro.cluster));
        (!judged.crosses()).then(|| ReplyPrefix::new(&intro.cluster, &intro.server_id).before(reply, intro.new_replies))
    }

    /// The shard that most likely knows what a cluster was asked: the one with the link to it. Where nobody knows which
    /// cluster it is, all are asked from `home` on.
    fn asked_on(&self, far: Option<FarId>, home: ShardId) -> ShardId {
        match far.and_then(|far| self.gates.place(far)) {
            Some(At::Here(_)) => self.id,
            Some(At::There(shard)) => shard,
            None => home,
        }
    }

    /// An answer reaches a shard that may know whether it was asked for. If this one does not, the next is asked: links move
    /// from one to another, and what was asked over them does not.
    pub(super) fn answer_judged(&mut self, to: Address, m: &Message<'_>) {
        let Some(mapped) = split(m.subject) else { return };
        let (account, far) = (to.account, self.gates.origin(m.subject));
        let cluster = (!self.reply_prefix.is_of_cluster(&mapped)).then_some(mapped.cluster);
        if self.grants.take((account, mapped.reply), cluster, self.now.mono) {
            return self.deliver_answer(
                (ConnId::NONE, ConnId::NONE),
                account,
                &Message { subject: mapped.reply, ..*m },
            );
        }
        let next = ShardId((self.id.0 + 1) % self.batches.len() as u8);
        if next != self.asked_on(far, to.home) {
            self.groups.clear();
            return self.put(next, Address { straight: Some(Place::Shard(next)), ..to }, m, &mut None);
        }
        self.kept_out(ConnId::NONE, account, Barrier { side: Side::Imports, rule: None });
    }

    /// Where there is a border on either side, answers find their way for longer.
    pub(super) fn know_ways_back(&mut self) {
        self.outbox.hashing = self.sids;
        let borders = self.walls.stand() || self.gates.any_imports();
        self.outbox.answered_within_ns = if borders { self.walls.window_ns().max(WAY_KNOWN_NS) } else { WAY_KNOWN_NS };
    }

    /// Other rules hold from now on, and these links are told so: in one step, so that nobody sends by rules that do not hold
    /// yet, or hears of interest before the rules that let it cross.
    pub(super) fn rebuild_walls(&mut self, walls: Arc<Walls>, lines: &[(Cid, Vec<u8>)]) {
        self.tell_wide_ends(true);
        for (link, lines) in lines {
            if let Some(conn) = self.gateway_links.get(link).copied() {
                self.outbox.say(conn, |out| out.extend_from_slice(lines));
            }
        }
        self.outbox.crossings.barriers.rules_changed(&self.walls.borders, &walls.borders);
        self.walls = walls;
        self.know_ways_back();
        self.gates.renew(&self.walls);
        self.verdicts.forget_all();
        let links: Vec<ConnId> = self.inbounds().collect();
        for conn in links {
            self.tell_anew(conn);
        }
        self.peer_work = true;
    }

    /// Begins to tell another cluster what it may send by other rules: refusals are taken back, what was told is told again.
    fn tell_anew(&mut self, conn: ConnId) {
        let imports = self.walls.imports.clone();
        let mut lines = Vec::new();
        let Some(link) = self.outbox.conns.get_mut(conn).and_then(|c| c.gateway.as_deref_mut()) else { return };
        let GatewayLink { intro, told, queues, due, cut, .. } = link;
        cut.renew(imports, &intro.cluster);
        *queues = Some(Telling::default());
        for (at, told) in told.iter_mut().enumerate() {
            let name = self.settings.auth.accounts[at].name.as_bytes();
            match told {
                Told::Nothing | Told::Due => {}
                Told::Refused => {
                    let _ = write_account(&mut lines, name, true);
                    *told = Told::Nothing;
                }
                Told::Subjects(subjects) => {
                    for subject in subjects.iter() {
                        let _ = write_interest(&mut lines, name, subject, b"");
                    }
                    *told = Told::Nothing;
                }
                Told::Telling(_) => *told = Told::Due,
                Told::Retelling(_) => *told = Told::Retelling(Cursor::default()),
                Told::Whole => {
                    *told = Told::Retelling(Cursor::default());
                    due.push_back(at as u16);
                }
            }
        }
        if !lines.is_empty() {
            self.outbox.say(conn, |out| out.extend_from_slice(&lines));
        }
        if !self.untold.contains(&conn) {
            self.untold.push(conn);
        }
    }
}
