//! What must, may and must not arrive where publisher and subscriber are on different servers: a PONG speaks of one
//! server only, so what others knew is told by the moments of rest (`cluster::paths`).

use super::{Msg, Oracle, Stand, Sub};

impl Oracle {
    /// The servers of a message's publisher and of a subscription, if they are two.
    pub(super) fn far(&self, s: &Sub, m: &Msg) -> Option<(usize, usize)> {
        let (from, to) = (self.conns[m.conn].server, self.conns[s.conn].server);
        (from != to).then_some((from, to))
    }

    /// The same for a subscription on another server than the publisher's.
    pub(super) fn stand_far(&self, s: &Sub, m: &Msg, from: usize, to: usize) -> Stand {
        let over = s.dead.is_some_and(|d| d < m.sent);
        let died = self.conns[s.conn].died.is_some_and(|d| self.paths.rested(from, to, d, m.sent));
        if over || died {
            return Stand::MustNot;
        }
        let Some(accepted) = m.accepted else { return Stand::May };
        let before = accepted < s.asked && self.paths.rested(from, to, accepted, s.asked);
        if before || self.paths.apart(from, to, m.sent, accepted) {
            return Stand::MustNot;
        }
        let Some(arrived) = self.paths.arrival(from, to, m.sent, accepted) else { return Stand::May };
        if arrived > self.conns[s.conn].horizon {
            return Stand::Doubtful;
        }
        let stays = s.end_asked.is_none_or(|e| arrived < e);
        if self.known(s, m, from, to) && stays && s.max.is_none() && !self.conns[s.conn].passed_over {
            Stand::Must
        } else {
            Stand::May
        }
    }

    /// Did the publisher's server know of a subscription elsewhere when the message was published?
    pub(super) fn known(&self, s: &Sub, m: &Msg, from: usize, to: usize) -> bool {
        let Some(accepted) = m.accepted else { return false };
        let told = |s: &Sub| {
            s.live.is_some_and(|l| self.paths.known(from, to, self.announced_since(l, m.sent), m.sent, accepted))
        };
        // Who answers a message knows what its sender had said before it: interest goes before messages.
        let answers = m.because.is_some_and(|b| {
            let asked = &self.msgs[b];
            let straight = self.straight_is_sure() || !self.foreign(from, to);
            straight
                && asked.conn == s.conn
                && s.asked < asked.sent
                && self.paths.known(from, to, 0, asked.sent, accepted)
        });
        told(s) || answers || self.handed_over(s, m, &told)
    }

    /// Is a subscription one of several in turn to one pattern on one server, each there before the last one ended? Then
    /// the interest of that server never ended, and a route says nothing of it (cluster-protocol.md §3.12).
    pub(super) fn handed_over(&self, s: &Sub, m: &Msg, told: &impl Fn(&Sub) -> bool) -> bool {
        if s.queue.is_some() || s.live.is_none_or(|l| l >= m.sent) {
            return false;
        }
        let (server, account) = (self.conns[s.conn].server, self.conns[s.conn].account);
        let same = |o: &&Sub| {
            let conn = &self.conns[o.conn];
            let steady = o.max.is_none() && !conn.gone && o.live.is_some();
            steady && o.queue.is_none() && o.pattern == s.pattern && (conn.server, conn.account) == (server, account)
        };
        let chain: Vec<&Sub> = self.subs.iter().filter(same).collect();
        let mut reached: Vec<&Sub> = chain.iter().copied().filter(|o| told(o)).collect();
        let mut at = 0;
        while let Some(link) = reached.get(at).copied() {
            if link.end_asked.is_none_or(|e| s.live.is_some_and(|l| l < e)) {
                return true;
            }
            let next = |o: &&&Sub| {
                let overlaps = link.end_asked.is_none_or(|e| o.live.is_some_and(|l| l < e));
                overlaps && !reached.iter().any(|r| std::ptr::eq(*r, **o))
            };
            let more: Vec<&Sub> = chain.iter().filter(next).copied().collect();
            reached.extend(more);
            at += 1;
        }
        false
    }

    /// May the publisher's server still believe in a subscription elsewhere that has ended?
    pub(super) fn haunts(&self, s: &Sub, m: &Msg) -> bool {
        let Some((from, to)) = self.far(s, m) else { return false };
        let ended = s.dead.or(self.conns[s.conn].died);
        ended.is_some_and(|e| e < m.sent && !self.paths.rested(from, to, e, m.sent))
            && m.accepted.is_none_or(|a| !self.paths.apart(from, to, m.sent, a))
    }

    /// May a queue message be lost with this member of another server: it leaves, or the way there is disturbed?
    pub(super) fn loses(&self, s: &Sub, m: &Msg) -> bool {
        let Some((from, to)) = self.far(s, m) else { return false };
        let unsure = self.stand(s, m) != Stand::MustNot;
        let undisturbed = m.accepted.is_some_and(|a| self.paths.arrival(from, to, m.sent, a).is_some());
        let leaves = s.end_asked.is_some() || s.max.is_some() || self.conns[s.conn].gone;
        self.haunts(s, m) || (unsure && (!undisturbed || leaves))
    }
}
