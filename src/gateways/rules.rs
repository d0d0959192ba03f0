//! How turnpikes tell each other the rules of their borders (docs/borders.md, "Both sides"): over both ways of a gateway
//! when it is registered, to members when they come, and anew to all when rules change. Nobody else is told: who
//! understands says `borders` in its INFO.

use super::border::Rules;
use super::core::{Act, Gateways};
use super::counters::Cause;
use super::greet::read;
use super::link::{Ending, Linked, Stage};
use crate::base::{Cid, Level, PeerId, ShardId};
use crate::conn::{GatewayInstruction, TheirImports, TheirRules};
use crate::interest::border::{Rule, Wall};
use crate::policy::walls::Walls;
use crate::policy::Borders;
use crate::wire::address::shown;
use crate::wire::gateway::GatewayInfo;
use std::sync::Arc;

impl Gateways {
    /// This server's rules are these from now on: its shards hear of it, all turnpikes that are linked, and all that are
    /// members.
    pub fn set_borders(&mut self, borders: &Borders) {
        if self.gateway.borders == *borders {
            return;
        }
        self.gateway.borders = borders.clone();
        let others = self.take_borders();
        self.give_walls(others);
        if others {
            let members: Vec<PeerId> = self.members.iter().filter(|(_, m)| m.borders).map(|(peer, _)| *peer).collect();
            members.into_iter().for_each(|peer| self.tell_member_rules(peer));
        }
        self.changed();
    }

    /// The server has these accounts from now on, by their places: more than before. Rules that name one of the new ones
    /// hold for it.
    pub fn set_accounts(&mut self, accounts: Vec<String>) {
        let known = std::mem::replace(&mut self.own.accounts, accounts).len();
        let new = self.own.accounts.get(known..).unwrap_or_default().to_vec();
        let named = |r: &Rule| r.account.as_ref().is_some_and(|a| new.iter().any(|name| **name == **a));
        let borders = &self.gateway.borders;
        if borders.exports.iter().chain(&borders.imports).flatten().any(named) {
            self.give_walls(false);
        }
        let imports = |l: &Linked| l.border.rules().and_then(|r| r.imports.clone());
        let concerned = |l: &Linked| l.is_outbound() && imports(l).is_some_and(|rules| rules.iter().any(named));
        let links: Vec<Cid> = self.linked.iter().filter(|(_, l)| concerned(l)).map(|(rid, _)| *rid).collect();
        for link in links {
            let Some(linked) = self.linked.get(&link) else { continue };
            let (shard, theirs) = (linked.shard, self.their_rules(linked));
            self.acts.push_back(Act::Tell { shard, instruction: GatewayInstruction::TheirRules { link, theirs } });
        }
    }

    /// Shards hear of this server's rules, and, if they are `others` than before, turnpikes that are linked.
    fn give_walls(&mut self, others: bool) {
        let accounts: Vec<&str> = self.own.accounts.iter().map(String::as_str).collect();
        let (us, borders) = (self.gateway.name.as_str().into(), self.gateway.borders.clone());
        let walls = Arc::new(Walls::new(us, borders, (&accounts, self.own.system), self.own.seed));
        for shard in (0..self.load.len()).map(|s| ShardId(s as u8)) {
            let tells = |l: &Linked| others && l.hello.borders && l.shard == shard;
            let links: Vec<Cid> = self.linked.iter().filter(|(_, l)| tells(l)).map(|(rid, _)| *rid).collect();
            let lines = links.into_iter().map(|rid| (rid, self.rules_for(rid))).collect();
            let instruction = GatewayInstruction::OurRules { walls: walls.clone(), lines };
            self.acts.push_back(Act::Tell { shard, instruction });
        }
    }

    /// Makes what is said of the configured rules. True: it is not what was said before.
    pub(super) fn take_borders(&mut self) -> bool {
        let borders = &self.gateway.borders;
        let rules = Rules::new(borders.exports.as_deref(), borders.imports.as_deref());
        if self.own.rules.as_deref() == rules.as_ref() {
            return false;
        }
        let before = self.own.said();
        self.own.lines.clear();
        self.own.clusters.clear();
        if let Some(rules) = &rules {
            let all = rules.exports.iter().chain(&rules.imports).flat_map(|block| block.iter());
            self.own.clusters.extend(all.filter_map(|r| r.cluster.clone()));
            self.own.clusters.sort_unstable();
            self.own.clusters.dedup();
            match rules.lines(&self.identity.server_id, &self.gateway.name) {
                Some(lines) => self.own.lines = lines,
                None => {
                    let text =
                        "gateway: exports or imports have a name that is longer than other servers read: they are \
                                not told of any of the rules";
                    self.log(Level::Error, text.into());
                }
            }
        }
        (self.own.rules, self.own.since) = (rules.map(Arc::new), self.now.mono);
        // Whoever is in handshake was told of other rules.
        self.told += 1;
        let said = self.own.said();
        if said != before {
            self.acts.push_back(Act::Border(said));
        }
        true
    }

    /// For a link: the rules, and behind them the INFO that has their digest, or none.
    fn rules_for(&mut self, link: Cid) -> Vec<u8> {
        let mut lines = self.own.lines.concat();
        lines.extend(self.about_us(link));
        lines
    }

    pub(super) fn tell_member_rules(&mut self, peer: PeerId) {
        let lines = self.own.lines.iter().map(|line| Act::Members { to: Some(peer), line: line.clone() });
        self.acts.extend(lines);
    }

    /// A line that came behind our proposal: a part of the acceptor's rules? Then it is taken, and true.
    pub(super) fn told_in_handshake(&mut self, rid: Cid, json: &[u8], length: usize) -> bool {
        let Some(pending) = self.pending.get_mut(&rid) else { return false };
        let Stage::Proposed { hello } = &pending.stage else { return false };
        if !hello.borders {
            return false;
        }
        let Some(GatewayInfo { gateway, border_rules: Some(part), .. }) = read(json) else { return false };
        pending.heard.drain(..length);
        let taken = match gateway == hello.gateway {
            true => pending.border.take(part, self.now.mono),
            false => Err("border rules of another cluster".into()),
        };
        match taken {
            // Many rules take their time.
            Ok(false) => pending.deadline = self.now.mono.plus_ns(super::core::ANSWER_WAIT_NS),
            Ok(true) => {
                pending.deadline = self.now.mono.plus_ns(super::core::ANSWER_WAIT_NS);
                let digest = pending.border.told_digest();
                pending.border.says(&digest, self.now.mono);
            }
            Err(why) => self.end(rid, Ending::told(Cause::Border, why.clone(), format!("sent {why}"))),
        }
        true
    }

    /// The acceptor answered behind our proposal: has it told the rules that it says it has? `answer` is an INFO's argument,
    /// if it is one: rules may have gone meanwhile.
    pub(super) fn check_told(&self, rid: Cid, answer: Option<&[u8]>) -> Result<(), Ending> {
        let Some(pending) = self.pending.get(&rid) else { return Ok(()) };
        let gone = || {
            let info = answer.and_then(read);
            info.is_some_and(|i| i.gateway_cmd == 0 && i.border.is_empty())
        };
        let border = &pending.border;
        if border.is_coming() || border.digest.is_some() && border.rules().is_none() && !gone() {
            let says = "border rules were not told";
            return Err(Ending::told(Cause::Border, says, "says that it has border rules, and does not tell them"));
        }
        Ok(())
    }

    /// A turnpike at the other end of a link says something of its rules. None: it is at an end.
    pub(super) fn link_tells_rules(&mut self, link: Cid, info: &mut GatewayInfo) -> Option<()> {
        let now = self.now.mono;
        let linked = self.linked.get_mut(&link)?;
        let before = linked.border.rules().cloned();
        let told = match info.border_rules.take() {
            Some(_) if info.gateway != linked.cluster => Err("border rules of another cluster".into()),
            Some(part) => linked.border.take(part, now).map(|whole| {
                if whole {
                    let digest = linked.border.told_digest();
                    linked.border.says(&digest, now);
                }
            }),
            None if !linked.border.says(&info.border, now) => Err("a border that is no digest".into()),
            None if linked.border.digest.is_some() && linked.border.rules().is_none() => {
                Err("a border without its rules".into())
            }
            None => Ok(()),
        };
        if let Err(why) = told {
            let text = format!("gateway connection: {} sent {why}", linked.shown());
            let who = linked.address.clone();
            self.fail(Cause::Border, &who, text);
            self.end_link(link, &why, &format!("it sent {why}"));
            return None;
        }
        if self.linked.get(&link)?.border.rules() != before.as_ref() {
            self.rules_changed(link);
        }
        Some(())
    }

    /// The other end of a link has other rules.
    fn rules_changed(&mut self, link: Cid) {
        self.share(link);
        let Some(linked) = self.linked.get(&link) else { return };
        if linked.is_outbound() {
            let (shard, theirs) = (linked.shard, self.their_rules(linked));
            self.acts.push_back(Act::Tell { shard, instruction: GatewayInstruction::TheirRules { link, theirs } });
        }
        self.changed();
    }

    /// Servers of one cluster have the same rules: they are kept once.
    pub(super) fn share(&mut self, link: Cid) {
        let Some(linked) = self.linked.get(&link) else { return };
        let Some(rules) = linked.border.rules() else { return };
        let others = self.linked.iter().filter(|(rid, l)| **rid != link && l.cluster == linked.cluster);
        let same = others.filter_map(|(_, l)| l.border.rules()).find(|r| **r == *rules).cloned();
        if let (Some(same), Some(linked)) = (same, self.linked.get_mut(&link)) {
            linked.border.keep(same);
        }
    }

    /// So have members of this one.
    fn share_with_members(&mut self, peer: PeerId) {
        let Some(rules) = self.members.get(&peer).and_then(|m| m.border.rules()) else { return };
        let others = self.members.iter().filter(|(id, _)| **id != peer).filter_map(|(_, m)| m.border.rules());
        let same = self.own.rules.iter().chain(others).find(|r| **r == *rules).cloned();
        if let (Some(same), Some(member)) = (same, self.members.get_mut(&peer)) {
            member.border.keep(same);
        }
    }

    /// What the cluster at the other end lets in, made for our accounts.
    pub(super) fn their_rules(&self, linked: &Linked) -> TheirRules {
        let Some(rules) = linked.border.rules() else { return TheirRules::default() };
        let accounts: Vec<&str> = self.own.accounts.iter().map(String::as_str).collect();
        let imports = rules.imports.clone().map(|rules| {
            let wall = Wall::new(Some(&rules), &accounts, self.own.system, self.own.seed);
            Arc::new(TheirImports { wall, rules })
        });
        TheirRules { digest: Some(rules.digest), imports }
    }

    /// A member says something of its rules.
    pub(super) fn member_tells_rules(&mut self, peer: PeerId, info: GatewayInfo) {
        let now = self.now.mono;
        let Some(member) = self.members.get_mut(&peer).filter(|m| m.borders) else { return };
        let Some(part) = info.border_rules else { return };
        let taken = match info.gateway == self.gateway.name {
            true => member.border.take(part, now),
            false => Err("border rules of another cluster".into()),
        };
        match taken {
            Ok(false) => return,
            Ok(true) => self.share_with_members(peer),
            Err(why) => self.leave_member(peer, &why),
        }
        self.changed();
    }

    /// A member said what cannot be understood: its route is ended.
    pub(super) fn leave_member(&mut self, peer: PeerId, why: &str) {
        let Some(member) = self.members.get(&peer) else { return };
        let (who, text) = (member.server_id.clone(), format!("server {} of this cluster sent {why}", member.shown()));
        self.fail(Cause::Border, &who, text);
        self.acts.push_back(Act::EndMember { peer, says: why.into(), why: format!("it sent {}", shown(why)) });
    }

    /// What is said first over a link that is registered, if the other end understands it.
    pub(super) fn first_rules(&self, hello: &GatewayInfo) -> Vec<u8> {
        if hello.borders {
            self.own.lines.concat()
        } else {
            Vec::new()
        }
    }
}
