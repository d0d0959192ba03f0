//! What borders let through (docs/borders.md), every rule asked one by one: nothing here is shared with the server. Rules
//! change at most once; around that moment a message may fare by either, and after it by the new ones alone.

use super::super::case::{Broken, Plan};
use super::super::cluster::plan::Kind;
use super::{matches, Msg, Oracle, Stand, Sub, Tick};
use std::collections::BTreeSet;
use turnpike::interest::border::Rule;
use turnpike::policy;

/// See the file's head.
#[derive(Debug, Default)]
pub struct Borders {
    /// The name of each cluster.
    names: Vec<String>,
    /// The rules of each, before and after they change; empty: there are none anywhere.
    rules: Vec<[policy::Borders; 2]>,
    /// The last moment of rest before they changed.
    began: Option<Tick>,
    /// The first at which all servers had taken that in.
    done: Option<Tick>,
    /// What others say of their rules is heard late, so that rest says nothing of it.
    slow: bool,
    /// By server: it knows no rules.
    lax: Vec<bool>,
    /// They tell rules that they do not hold, on purpose.
    liars: bool,
    rested: Tick,
}

/// Does one rule concern this cluster and account?
fn concerns(rule: &Rule, cluster: &str, account: &str) -> bool {
    let for_account = rule.account.as_deref().map_or(account != "$SYS", |name| name == account);
    for_account && rule.cluster.as_deref().is_none_or(|name| name == cluster)
}

fn text(rule: &Rule) -> String {
    String::from_utf8_lossy(&rule.subject).into_owned()
}

/// Does a block let only through what it names?
fn is_closed(block: &[Rule]) -> bool {
    block.is_empty() || block.iter().any(|r| !r.deny)
}

/// May a message cross?
fn admits(block: Option<&[Rule]>, cluster: &str, account: &str, subject: &str) -> bool {
    let Some(block) = block else { return true };
    let named =
        |deny| block.iter().any(|r| r.deny == deny && concerns(r, cluster, account) && matches(&text(r), subject));
    !named(true) && (named(false) || !is_closed(block))
}

/// What two patterns have in common.
fn common(a: &str, b: &str) -> Option<String> {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split('.').collect(), b.split('.').collect());
    let mut all: Vec<&str> = Vec::new();
    for at in 0.. {
        match (a.get(at), b.get(at)) {
            (None, None) => break,
            (Some(&">"), Some(_)) => {
                all.extend(&b[at..]);
                break;
            }
            (Some(_), Some(&">")) => {
                all.extend(&a[at..]);
                break;
            }
            (Some(x), Some(y)) if x == y || *y == "*" => all.push(x),
            (Some(&"*"), Some(y)) => all.push(y),
            _ => return None,
        }
    }
    Some(all.join("."))
}

/// Does a pattern match all that another matches?
fn covers(a: &str, b: &str) -> bool {
    common(a, b).is_some_and(|c| c == b)
}

/// The patterns that are announced of a wanted one.
fn parts(block: Option<&[Rule]>, cluster: &str, account: &str, pattern: &str) -> BTreeSet<String> {
    let Some(block) = block else { return [pattern.to_string()].into() };
    let rules = |deny| block.iter().filter(move |r| r.deny == deny && concerns(r, cluster, account));
    let parts: BTreeSet<String> = match is_closed(block) {
        true => rules(false).filter_map(|r| common(pattern, &text(r))).collect(),
        false => [pattern.to_string()].into(),
    };
    let within = |p: &str| parts.iter().any(|o| o != p && covers(o, p));
    let denied = |p: &str| rules(true).any(|r| covers(&text(r), p));
    parts.iter().filter(|p| !within(p) && !denied(p)).cloned().collect()
}

impl Borders {
    /// Those of a plan.
    pub fn new(plan: &Plan) -> Borders {
        let Some(cluster) = plan.cluster.as_ref().filter(|c| !c.rules.is_empty()) else { return Borders::default() };
        let numbers = cluster.numbers();
        let name = |n: usize| {
            let at = numbers.iter().position(|c| *c == n)?;
            cluster.members[at].cluster.clone()
        };
        let names = (0..cluster.rules.len()).map(|n| name(n).unwrap_or_default()).collect();
        let liars = plan.broken == Broken::TakesAll;
        let lax = cluster.members.iter().map(|m| m.kind != Kind::Turnpike).collect();
        Borders { names, rules: cluster.rules.clone(), slow: cluster.slow_rules, lax, liars, ..Borders::default() }
    }

    /// Are there any?
    pub fn stand(&self) -> bool {
        !self.rules.is_empty()
    }

    /// By which rules may a message fare that was sent then, and was where it was going then (None: nobody knows when)?
    fn phases(&self, sent: Tick, arrived: Option<Tick>) -> &'static [usize] {
        match (self.began, self.done) {
            (None, _) => &[0],
            (_, Some(done)) if sent > done => &[1],
            (Some(began), _) if arrived.is_some_and(|a| a < began) => &[0],
            _ => &[0, 1],
        }
    }

    fn now(&self) -> usize {
        usize::from(self.began.is_some())
    }

    fn name(&self, cluster: usize) -> &str {
        self.names.get(cluster).map_or("", String::as_str)
    }

    fn exports(&self, cluster: usize, phase: usize) -> Option<&[Rule]> {
        self.rules.get(cluster)?[phase].exports.as_deref()
    }

    fn imports(&self, cluster: usize, phase: usize) -> Option<&[Rule]> {
        self.rules.get(cluster)?[phase].imports.as_deref()
    }
}

impl Oracle {
    /// Other rules are about to hold.
    pub fn rules_change(&mut self) {
        self.borders.began.get_or_insert(self.borders.rested);
    }

    /// The world is at rest, and all servers have heard of that (`obeyed`).
    pub(super) fn note_rest(&mut self, now: Tick, obeyed: bool) {
        self.borders.rested = now;
        if self.borders.began.is_some() && obeyed {
            self.borders.done.get_or_insert(now);
        }
    }

    /// Since when interest was announced by the rules that hold for a message sent then.
    pub(super) fn announced_since(&self, live: Tick, sent: Tick) -> Tick {
        self.borders.done.filter(|d| sent > *d).map_or(live, |d| live.max(d - 1))
    }

    fn account_of(&self, conn: usize) -> String {
        if self.accounts {
            format!("ACC{}", self.conns[conn].account)
        } else {
            "$G".into()
        }
    }

    fn leaves(&self, m: &Msg, from: usize, to: usize, phase: usize) -> bool {
        let b = &self.borders;
        admits(b.exports(from, phase), b.name(to), &self.account_of(m.conn), &m.subject)
    }

    fn enters(&self, m: &Msg, from: usize, to: usize, phase: usize) -> bool {
        let b = &self.borders;
        admits(b.imports(to, phase), b.name(from), &self.account_of(m.conn), &m.subject)
    }

    /// Is a message's subject among what a subscription's cluster announces of it to another one?
    fn is_announced(&self, s: &Sub, m: &Msg, to: usize, phase: usize) -> bool {
        let (b, cluster) = (&self.borders, self.cluster(self.conns[s.conn].server));
        let all = parts(b.imports(cluster, phase), b.name(to), &self.account_of(s.conn), &s.pattern);
        all.iter().any(|p| matches(p, &m.subject))
    }

    /// May `server` believe that a subscription elsewhere wants a message? Of other rules it may not have heard yet.
    pub(super) fn may_be_announced(&self, s: &Sub, m: &Msg, server: usize) -> bool {
        !self.borders.stand() || (0..=self.borders.now()).any(|p| self.is_announced(s, m, self.cluster(server), p))
    }

    /// Did a server know all rules of another one as they were when a message was published?
    fn knew_rules(&self, m: &Msg, home: usize, there: usize) -> bool {
        let done = self.borders.done.filter(|_| !self.borders.slow);
        let done = || done.is_some_and(|d| self.paths.rested(home, there, d - 1, m.sent));
        !self.borders.lax[home] && (self.borders.began.is_none() || done())
    }

    /// May a message be sent to a subscription in another cluster and be held back only on receipt, because the rules there
    /// have changed and the publisher's server has not heard of it?
    pub(super) fn goes_in_vain(&self, s: &Sub, m: &Msg) -> bool {
        let (home, there) = (self.conns[m.conn].server, self.conns[s.conn].server);
        let (from, to) = (self.cluster(home), self.cluster(there));
        if !self.borders.stand() || from == to || self.knew_rules(m, home, there) {
            return false;
        }
        let phases = self.borders.phases(m.sent, None);
        phases.iter().any(|p| self.leaves(m, from, to, *p))
            && !phases.iter().all(|p| self.enters(m, from, to, *p))
            && (0..=self.borders.now()).any(|p| self.is_announced(s, m, from, p))
    }

    /// May a server send a message to a cluster that says what it lets in? It may if that has changed and it may not know.
    pub(super) fn may_be_sent(&self, m: usize, server: usize, to: usize, straight: bool) -> Result<(), String> {
        let (msg, from, cluster) = (&self.msgs[m], self.cluster(server), self.cluster(to));
        if !self.borders.stand() || straight || !self.knew_rules(msg, server, to) {
            return Ok(());
        }
        let phases = self.borders.phases(msg.sent, None);
        match phases.iter().any(|p| self.enters(msg, from, cluster, *p)) {
            true => Ok(()),
            false => Err("past what that cluster imports".into()),
        }
    }

    /// How a subscription stands towards a message, if it would stand so without borders.
    pub(super) fn through_borders(&self, s: &Sub, m: &Msg, stand: Stand) -> Stand {
        if !self.borders.stand() || stand == Stand::MustNot {
            return stand;
        }
        let (home, there) = (self.conns[m.conn].server, self.conns[s.conn].server);
        let (from, to) = (self.cluster(home), self.cluster(there));
        if from == to {
            return stand;
        }
        let arrived = m.accepted.and_then(|a| self.paths.arrival(home, there, m.sent, a));
        let phases = self.borders.phases(m.sent, arrived);
        let way = |from: usize, p: usize| self.leaves(m, from, to, p) && self.enters(m, from, to, p);
        let unsure = if stand == Stand::Must { Stand::May } else { stand };
        if let Some(asker) = self.answers_across(m) {
            if m.excess {
                return Stand::MustNot;
            }
            // It goes back by the door of its request, and on from there as any other message of that cluster.
            let asker = self.cluster(asker);
            let may = asker == to || phases.iter().any(|p| way(from, *p) || way(asker, *p));
            return match (may, phases) {
                (false, _) => Stand::MustNot,
                (true, [_]) => stand,
                (true, _) => unsure,
            };
        }
        let open = phases.iter().filter(|p| way(from, **p)).count();
        match open {
            0 => Stand::MustNot,
            n if n == phases.len() => stand,
            _ => unsure,
        }
    }

    /// May a server send a message to another cluster, past its own rules? `straight`: as the answer to a request.
    pub(super) fn may_leave(
        &self,
        m: usize,
        server: usize,
        to: usize,
        now: Tick,
        straight: bool,
    ) -> Result<(), String> {
        if !self.borders.stand() {
            return Ok(());
        }
        let (msg, from, to) = (&self.msgs[m], self.cluster(server), self.cluster(to));
        if straight {
            let asked = self.answers_across(msg).is_some_and(|a| self.cluster(a) == to);
            return if asked { Ok(()) } else { Err("as an answer to a cluster that did not ask".into()) };
        }
        let phases = self.borders.phases(msg.sent, Some(now));
        match phases.iter().any(|p| self.leaves(msg, from, to, *p)) {
            true => Ok(()),
            false => Err("past the exports of its cluster".into()),
        }
    }

    /// The same of somebody who is no honest server's cluster: nothing past the rules, and no answers.
    pub fn may_leave_for(&self, server: usize, to: &str, account: &str, subject: &str) -> Result<(), String> {
        let cluster = self.cluster(server);
        let may = |p: usize| admits(self.borders.exports(cluster, p), to, account, subject);
        match self.borders.stand() && !may(0) && !may(self.borders.now()) {
            true => Err(format!("I7: server {server} sends {subject:?} to {to:?}, past the exports of its cluster")),
            false => Ok(()),
        }
    }

    /// May a cluster announce this pattern to another one, if these are its imports?
    pub fn may_announce(&self, imports: Option<&[Rule]>, to: &str, account: &str, pattern: &str) -> bool {
        !self.borders.stand() || self.borders.liars || parts(imports, to, account, pattern).contains(pattern)
    }

    /// What a server's cluster should have announced to another one in an account: pattern and queue group.
    pub fn announced(&self, server: usize, to: &str, account: &str) -> BTreeSet<(String, String)> {
        let (cluster, b) = (self.cluster(server), &self.borders);
        let wants = |s: &&Sub| {
            let conn = &self.conns[s.conn];
            let lives = s.end_asked.is_none() && s.dead.is_none() && !conn.gone && conn.died.is_none();
            lives && self.cluster(conn.server) == cluster && self.account_of(s.conn) == account
        };
        let all = self.subs.iter().filter(wants).flat_map(|s| {
            let parts = parts(b.imports(cluster, b.now()), to, account, &s.pattern);
            parts.into_iter().map(|p| (p, s.queue.clone().unwrap_or_default()))
        });
        all.collect()
    }

    /// Would a message be held back on its way out of a server's cluster, from one that wants it, if no rules change? By the
    /// rules here; by those there.
    pub(super) fn is_held(&self, m: &Msg, server: usize, to: usize) -> (bool, bool) {
        if !self.borders.stand() || !self.is_wanted_by(m, server, to) {
            return (false, false);
        }
        let from = self.cluster(server);
        let here = !self.leaves(m, from, to, 0);
        (here, !here && !self.enters(m, from, to, 0))
    }

    /// Does a cluster announce interest in a message to a server's cluster, if no rules change?
    pub(super) fn is_wanted_by(&self, m: &Msg, server: usize, to: usize) -> bool {
        let there = |s: &&Sub| self.cluster(self.conns[s.conn].server) == to && self.fits(s, m);
        let told = |s: &Sub| !self.borders.stand() || self.is_announced(s, m, self.cluster(server), 0);
        self.subs.iter().filter(there).any(told)
    }

    /// Answers to other clusters that must have been dropped there, being too late or too many.
    pub fn too_much(&self) -> u64 {
        self.msgs.iter().filter(|m| m.excess && self.answers_across(m).is_some()).count() as u64
    }

    /// Messages of one cluster that another one should have held back as they came, if no rules change.
    pub fn kept_out(&self, from: usize, to: usize) -> u64 {
        if !self.borders.stand() {
            return 0;
        }
        let kept = |m: usize| {
            let msg = &self.msgs[m];
            let by = self.sent_by(m, to).filter(|by| self.cluster(*by) == from);
            let straight = self.answers_across(msg).is_some_and(|a| self.cluster(a) == to) && self.went_straight(m);
            by.is_some() && !straight && !self.enters(msg, from, to, 0)
        };
        (0..self.msgs.len()).filter(|m| kept(*m)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_patterns_have_in_common() {
        assert_eq!(common("a.*", "*.b"), Some("a.b".into()));
        assert_eq!(common(">", "a.*.c"), Some("a.*.c".into()));
        assert_eq!(common("a.>", "a"), None);
        assert_eq!(common("a.>", "*.b.>"), Some("a.b.>".into()));
        assert!(covers("a.>", "a.*.c") && !covers("a.*", "a.>") && covers("*", "a") && !covers("a", "*"));
    }
}
