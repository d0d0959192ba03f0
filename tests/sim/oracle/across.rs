//! Several clusters: which servers each has, what may be sent from one to another, and how answers come back.

use super::super::case::{Cluster, Plan};
use super::{Msg, Oracle, Sub, Tick};
use std::collections::{BTreeMap, BTreeSet};

/// See the file's head.
#[derive(Debug, Default)]
pub struct Clusters {
    /// The cluster of each server; empty: there is one.
    of: Vec<usize>,
    /// Somebody is sent what he has not asked for.
    optimistic: bool,
    /// Somebody knows only the old form of replies, which names a cluster and no server: wherever in the requester's
    /// cluster an answer comes in, it is a publication of that server (cluster-protocol.md §4.9).
    old_replies: bool,
    plan: Option<Cluster>,
    /// Messages, with the server at which they came in from another cluster.
    came: BTreeSet<(usize, usize)>,
    /// Messages, with the clusters they were sent to: by which server, and whether in a long line, of which there may be
    /// several.
    sent: BTreeMap<(usize, usize), (usize, bool)>,
    /// Answers that went straight back to whoever had asked.
    straight: BTreeSet<usize>,
}

/// What became of one account's messages on their way from one server to another cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crossed {
    /// Published there, or answers that went on from there.
    pub published: u64,
    /// Sent to that cluster.
    pub sent: u64,
    /// Answers that went straight to another one.
    pub straight: u64,
    /// Not sent, for nobody wants them.
    pub suppressed: u64,
    /// Wanted there, and held back by the own rules.
    pub held: u64,
    /// Let out by those, and held back by what that cluster says it lets in.
    pub held_there: u64,
}

impl Clusters {
    /// Those of a plan.
    pub fn new(plan: &Plan, servers: usize) -> Clusters {
        let of = plan.cluster.as_ref().map_or(vec![0; servers], |c| c.numbers());
        let gates = plan.cluster.iter().flat_map(|c| &c.members).filter_map(|m| m.gate.as_ref());
        let rogues = plan.cluster.iter().flat_map(|c| &c.members).filter_map(|m| m.kind.mischief());
        let promises_nothing = rogues.into_iter().any(|m| m.gateway.is_some());
        let optimistic = gates.clone().any(|g| g.interest == turnpike::policy::GatewayInterest::Optimistic);
        let optimistic = optimistic || promises_nothing;
        let old_replies = gates.clone().any(|g| g.old_replies);
        Clusters { of, optimistic, old_replies, plan: plan.cluster.clone(), ..Clusters::default() }
    }

    /// Is there more than one?
    pub fn are_several(&self) -> bool {
        self.of.iter().any(|c| *c > 0)
    }
}

impl Oracle {
    pub(super) fn cluster(&self, server: usize) -> usize {
        self.clusters.of.get(server).copied().unwrap_or_default()
    }

    /// Are two servers in different clusters?
    pub fn foreign(&self, a: usize, b: usize) -> bool {
        self.cluster(a) != self.cluster(b)
    }

    /// The requester's server of a message that answers a request of another cluster. Such an answer goes straight back
    /// there and is a publication of that server (cluster-protocol.md §4.9): whoever else wants it gets it from there.
    pub(super) fn answers_across(&self, msg: &Msg) -> Option<usize> {
        let asked = &self.msgs[msg.because?];
        let (asker, home) = (self.conns[asked.conn].server, self.conns[msg.conn].server);
        self.foreign(asker, home).then_some(asker)
    }

    /// Is a message an answer that this server publishes, for the request came from there?
    fn publishes_answer(&self, m: usize, server: usize) -> bool {
        let asker = self.answers_across(&self.msgs[m]);
        let old = self.clusters.old_replies && self.clusters.came.contains(&(m, server));
        asker == Some(server) || old && asker.is_some_and(|a| !self.foreign(a, server))
    }

    /// Does an answer surely find its way although the interest in it may be on its way still?
    pub(super) fn straight_is_sure(&self) -> bool {
        !self.clusters.old_replies
    }

    /// Does a message come to a subscription by a way of its own, if at all?
    pub(super) fn wanders(&self, m: usize, s: usize) -> bool {
        self.strays(&self.subs[s], &self.msgs[m])
    }

    /// The same.
    pub(super) fn strays(&self, s: &Sub, msg: &Msg) -> bool {
        let asker = msg.because.map(|b| self.msgs[b].conn);
        let far = self.answers_across(msg).is_some() && asker != Some(s.conn);
        // An answer of a service is published there, and comes from there by a way of its own.
        let of_service = self.comes_back(msg).is_some() && self.conns[s.conn].account != self.conns[msg.conn].account;
        far || of_service
    }

    /// May a request go unanswered without a 503, because other clusters are sent what they did not ask for?
    pub(super) fn is_taken_anyway(&self) -> bool {
        self.clusters.optimistic && self.clusters.are_several()
    }

    /// May a server send a message over a route? If not, how it was that it should not have.
    pub fn over_route(&mut self, m: usize, server: usize, account: &str) -> Result<(), String> {
        let home = self.conns[self.msgs[m].conn].server;
        let came = self.clusters.came.contains(&(m, server));
        if home == server || came || self.publishes_answer(m, server) || self.hands_back(m, server, account) {
            return Ok(());
        }
        Err(format!("on, which was published at server {home}"))
    }

    /// A server sends a message to another cluster, by way of a server of it: may it?
    pub fn across(
        &mut self,
        m: usize,
        server: usize,
        to: usize,
        interest_only: bool,
        subject: &str,
        long: bool,
    ) -> Result<(), String> {
        let home = self.conns[self.msgs[m].conn].server;
        let cluster = self.cluster(to);
        if !self.foreign(server, to) {
            return Err("to the own cluster".into());
        }
        if home != server && !self.publishes_answer(m, server) {
            return Err(format!("to another cluster, which was published at server {home}"));
        }
        let straight = subject.starts_with("_GR_.") || subject.starts_with("$GR.");
        let now = self.now();
        self.may_leave(m, server, to, now, straight)?;
        self.may_be_sent(m, server, to, straight)?;
        if interest_only && !straight && !self.is_wanted(m, server, to) {
            return Err("where nobody wants it".into());
        }
        self.label(if straight { "an answer went straight back" } else { "a message went to another cluster" });
        self.clusters.came.insert((m, to));
        if straight {
            self.clusters.straight.insert(m);
        }
        match self.clusters.sent.insert((m, cluster), (server, long)) {
            None => Ok(()),
            Some((_, before)) if before && long => Ok(()),
            Some(_) => Err("twice to one cluster".into()),
        }
    }

    /// Did the server `at`, when message `m` was published, know what was told to it from server `by` at `since`?
    pub fn knew(&self, at: usize, by: usize, since: Tick, m: usize) -> bool {
        self.msgs.get(m).is_some_and(|msg| self.paths.rested(at, by, since, msg.sent))
    }

    /// Which server sent a message to a cluster.
    pub(super) fn sent_by(&self, m: usize, cluster: usize) -> Option<usize> {
        self.clusters.sent.get(&(m, cluster)).map(|(by, _)| *by)
    }

    /// Did an answer go straight back?
    pub(super) fn went_straight(&self, m: usize) -> bool {
        self.clusters.straight.contains(&m)
    }

    /// Does anybody in the cluster of `to` want a message, as far as `from` may believe?
    fn is_wanted(&self, m: usize, from: usize, to: usize) -> bool {
        let msg = &self.msgs[m];
        self.subs.iter().filter(|s| self.fits(s, msg)).any(|s| {
            let conn = &self.conns[s.conn];
            let ended = s.dead.or(conn.died);
            let over = |e: u64| e < msg.sent && self.paths.rested(from, conn.server, e, msg.sent);
            !self.foreign(conn.server, to) && !ended.is_some_and(over) && self.may_be_announced(s, msg, from)
        })
    }

    /// What a server should have counted of one account's messages for another cluster, where all that is wanted was known
    /// before the first of them and no answer was late.
    pub fn crossed(&self, server: usize, cluster: usize, account: &str) -> Crossed {
        let mut all = Crossed::default();
        for m in 0..self.msgs.len() {
            let Some((home, _)) = self.home(m).filter(|(_, name)| name == account) else { continue };
            let msg = &self.msgs[m];
            let straight = self.clusters.straight.contains(&m);
            let asker = self.answers_across(msg).filter(|_| straight);
            let sent = self.clusters.sent.get(&(m, cluster)).is_some_and(|(by, _)| *by == server);
            all.sent += u64::from(sent);
            let (own, goes_on) = (home == server, asker == Some(server));
            all.published += u64::from(own || goes_on);
            let other = own && asker.is_some_and(|a| self.cluster(a) != cluster);
            all.straight += u64::from(other);
            let published = own && !straight || goes_on;
            all.suppressed += u64::from(published && !self.is_wanted_by(msg, server, cluster));
            let (here, there) = self.is_held(msg, server, cluster);
            all.held += u64::from(published && here);
            all.held_there += u64::from(published && there);
        }
        all
    }

    /// Of the members of a group that a message was sure to reach: was one much nearer than the one that it reached?
    pub(super) fn was_far(&self, m: usize, sure: &[usize], took: &[usize]) -> bool {
        let home = self.cluster(self.conns[self.msgs[m].conn].server);
        let Some(plan) = self.clusters.plan.as_ref().filter(|c| !c.distances.is_empty()) else { return false };
        let distance = |s: &usize| plan.distance(home, self.cluster(self.conns[self.subs[*s].conn].server));
        let nearest = sure.iter().map(distance).min().unwrap_or(u64::MAX / 2);
        let known = took.iter().filter(|t| sure.contains(t)).map(distance);
        self.answers_across(&self.msgs[m]).is_none() && known.max().is_some_and(|d| d > 2 * nearest)
    }

    /// Of the members of a group that a message may reach: is one of the publisher's own cluster sure to, and was it
    /// another cluster's that did?
    pub(super) fn passed_over(&self, m: usize, sure: &[usize], took: &[usize]) -> bool {
        let home = self.conns[self.msgs[m].conn].server;
        let near = |s: &usize| !self.foreign(home, self.conns[self.subs[*s].conn].server);
        self.answers_across(&self.msgs[m]).is_none() && sure.iter().any(near) && !took.iter().all(near)
    }
}
