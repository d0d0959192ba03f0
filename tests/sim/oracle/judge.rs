//! The verdicts: each message, group and maximum against what was heard. Once, when the world is quiet.

use super::{Oracle, Stand, Tick};
use std::collections::BTreeMap;

impl Oracle {
    /// Judges everything once the world is quiet.
    pub fn judge(&mut self) -> Result<(), String> {
        for m in 0..self.msgs.len() {
            self.judge_message(m)?;
        }
        for s in 0..self.subs.len() {
            self.judge_maximum(s)?;
        }
        self.judge_answers()
    }

    fn judge_message(&mut self, m: usize) -> Result<(), String> {
        let msg = &self.msgs[m];
        let mut groups: BTreeMap<(bool, &str), Vec<(usize, Stand)>> = BTreeMap::new();
        let (mut owed, mut possible) = (false, false);
        for (i, s) in self.subs.iter().enumerate() {
            if !self.fits(s, msg) {
                // Only the receiver's server knows that.
                possible |= self.kept_back(s, msg) && self.conns[s.conn].server != self.conns[msg.conn].server;
                continue;
            }
            let stand = self.stand(s, msg);
            let got = s.has.contains_key(&m);
            owed |= stand == Stand::Must;
            possible |= stand != Stand::MustNot || self.haunts(s, msg) || self.goes_in_vain(s, msg);
            // A message that followed a member who had left may find one who came after it was accepted.
            let late = s.queue.is_some() && self.only_too_early(msg, s) && self.re_aimed(i, m);
            if got && stand == Stand::MustNot && !late {
                return Err(format!("I4: message {m} {msg:?} must not reach subscription {i} {}", s.brief()));
            }
            match &s.queue {
                Some(q) => {
                    groups.entry((self.is_asked_of(msg, self.conns[s.conn].account), q)).or_default().push((i, stand))
                }
                None if stand == Stand::Must && !got => {
                    return Err(format!("I3: message {m} {msg:?} never reached subscription {i} {}", s.brief()));
                }
                None => {}
            }
        }
        for ((_, name), members) in &groups {
            self.judge_group(m, name, members)?;
        }
        if msg.refused > 0 && (owed || msg.copies > 0) {
            return Err(format!("I10: a 503 although there was a receiver: message {m} {msg:?}"));
        }
        let owed = msg.inbox.is_some() && msg.accepted.is_some() && !self.is_taken_anyway();
        if owed && !possible && msg.refused == 0 {
            return Err(format!("I10: no 503 although nobody listened: message {m} {msg:?}"));
        }
        Ok(())
    }

    fn judge_group(&self, m: usize, name: &str, members: &[(usize, Stand)]) -> Result<(), String> {
        let msg = &self.msgs[m];
        let copies = members.iter().filter(|(i, _)| self.subs[*i].has.contains_key(&m)).count();
        let brief = || {
            let each: Vec<String> = members.iter().map(|(i, s)| format!("{s:?} {}", self.subs[*i].brief())).collect();
            format!("group {name}: {}", each.join(", "))
        };
        if copies > 1 {
            return Err(format!("I5: message {m} {msg:?} reached {copies} members of {}", brief()));
        }
        let took: Vec<usize> = members.iter().map(|m| m.0).filter(|i| self.subs[*i].has.contains_key(&m)).collect();
        let sure: Vec<usize> = members.iter().filter(|(_, s)| *s == Stand::Must).map(|(i, _)| *i).collect();
        if self.passed_over(m, &sure, &took) {
            return Err(format!("I5: message {m} {msg:?} went to another cluster, past {}", brief()));
        }
        if self.was_far(m, &sure, &took) {
            return Err(format!("I5: message {m} {msg:?} went further than it had to, to one of {}", brief()));
        }
        if members.iter().any(|(i, _)| self.loses(&self.subs[*i], msg) || self.goes_in_vain(&self.subs[*i], msg)) {
            return Ok(());
        }
        let shard = |i: &usize| self.conns[self.subs[*i].conn].shard;
        let of = |stand| members.iter().filter(move |(_, s)| *s == stand).map(|(i, _)| i);
        // A member that leaves costs one re-aim, and there is only one: members leaving on two other shards at a
        // time may cost the message.
        let sure: Vec<usize> = of(Stand::Must).map(shard).collect();
        let mut leaving: Vec<usize> = of(Stand::May).map(shard).filter(|s| !sure.contains(s)).collect();
        // That a member of another server may not be given it is known there only.
        let home = self.conns[msg.conn].server;
        let kept = |s: &super::Sub| s.queue.as_deref() == Some(name) && self.kept_back(s, msg);
        if self.subs.iter().any(|s| self.conns[s.conn].server != home && kept(s)) {
            return Ok(());
        }
        leaving.sort_unstable();
        leaving.dedup();
        // Aimed anew it may come after somebody else who was there when it was published has left too.
        let stays = of(Stand::Must).any(|i| self.subs[*i].end_asked.is_none());
        let reached = leaving.is_empty() || leaving.len() == 1 && stays;
        let promised = !sure.is_empty() && of(Stand::Doubtful).next().is_none() && reached;
        if promised && copies == 0 {
            return Err(format!("I5: message {m} {msg:?} reached nobody of {}", brief()));
        }
        Ok(())
    }

    fn judge_maximum(&self, s: usize) -> Result<(), String> {
        let sub = &self.subs[s];
        let Some(max) = sub.max else { return Ok(()) };
        let got = sub.got.len() as u64;
        // What came before the maximum was known may exceed it.
        let early = sub.got.iter().filter(|m| sub.max_live.is_none_or(|l| self.msgs[**m].sent < l)).count() as u64;
        if got > max.max(early) {
            return Err(format!("I11: {got} messages, at most {max}: subscription {s} {}", sub.brief()));
        }
        if sub.queue.is_some() {
            return Ok(());
        }
        let horizon = self.conns[sub.conn].horizon;
        let owed = self.msgs.iter().filter(|m| {
            if let Some((from, to)) = self.far(sub, m).filter(|_| self.fits(sub, m)) {
                let arrived = m.accepted.and_then(|a| self.paths.arrival(from, to, m.sent, a));
                let stays = |a: Tick| a < horizon && sub.end_asked.is_none_or(|e| a < e);
                let crosses = self.through_borders(sub, m, Stand::Must) == Stand::Must;
                return crosses && self.known(sub, m, from, to) && arrived.is_some_and(stays);
            }
            self.fits(sub, m)
                && self.comes_back(m).is_none()
                && sub.live.is_some_and(|l| l < m.sent)
                && m.accepted.is_some_and(|a| a < horizon && sub.end_asked.is_none_or(|e| a < e))
                && (m.conn != sub.conn || self.conns[sub.conn].echo)
        });
        let owed = (owed.count() as u64).min(max);
        if got < owed {
            return Err(format!("I11: {got} messages of {owed} owed: subscription {s} {}", sub.brief()));
        }
        Ok(())
    }

    /// Judges the spread over the members of each queue group, where nobody came or went: all members are equally
    /// likely, wherever they and the publishers are.
    pub fn judge_spread(&self) -> Result<(), String> {
        let mut groups: BTreeMap<(usize, &str), Vec<usize>> = BTreeMap::new();
        for s in &self.subs {
            if let Some(q) = &s.queue {
                groups.entry((self.conns[s.conn].account, q)).or_default().push(s.got.len());
            }
        }
        for (name, got) in groups {
            let all: usize = got.iter().sum();
            let fair = all / got.len();
            if all >= 60 * got.len() && got.iter().any(|n| *n < fair / 2 || *n > fair * 2) {
                return Err(format!("I5: group {name:?} is served unevenly: {got:?}"));
            }
        }
        Ok(())
    }
}
