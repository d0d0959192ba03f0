//! Messages of a scripted nats-server to other clusters and from them, and answers that find their way back
//! (cluster-protocol.md §§4.8, 4.9, captures C8, C9 and C12).

use super::super::super::world::World;
use super::super::foreign::Said;
use super::super::plan::Version;
use super::traffic::{over_route, Letter};
use super::Nats;
use crate::oracle::matches;
use std::collections::BTreeSet;
use turnpike::base::SECOND;
use turnpike::wire::gateway::{name_hash, old_hash};

/// How long the way of an answer is known.
pub(super) const ANSWER_NS: u64 = 2 * SECOND;
/// How long other clusters may take to hear of new interest.
const RECENT_NS: u64 = 2 * SECOND;

/// A mapped reply taken apart.
pub(super) struct Mapped<'a> {
    cluster: &'a str,
    /// Which of its servers; None: the old form.
    server: Option<&'a str>,
    /// As the requester wrote it.
    pub reply: &'a str,
}

/// Takes a mapped reply apart; None: it is none.
pub(super) fn split(subject: &str) -> Option<Mapped<'_>> {
    let mut parts = subject.splitn(3, '.');
    match (parts.next()?, parts.next()?, parts.next()?) {
        ("$GR", cluster, reply) => Some(Mapped { cluster, server: None, reply }),
        ("_GR_", cluster, rest) => {
            let (server, reply) = rest.split_once('.')?;
            Some(Mapped { cluster, server: Some(server), reply })
        }
        _ => None,
    }
}

fn short(name: &str) -> String {
    String::from_utf8_lossy(&name_hash::<6>(name)).into_owned()
}

fn old(name: &str) -> String {
    String::from_utf8_lossy(&old_hash(name)).into_owned()
}

/// Was a mapped reply made by this cluster, or does it lead there?
fn is_of(mapped: &Mapped<'_>, cluster: &str) -> bool {
    match mapped.server {
        Some(_) => mapped.cluster == short(cluster),
        None => mapped.cluster == old(cluster),
    }
}

/// The number of the message that a body is.
fn number(body: &[u8]) -> usize {
    let digits: String = body.iter().take_while(|b| b.is_ascii_digit()).map(|b| *b as char).collect();
    digits.parse().unwrap_or(usize::MAX)
}

impl Nats {
    /// A client has begun to want something.
    pub(super) fn note_recent(&mut self, account: String, pattern: &str) {
        let now = self.now;
        if let Some(gates) = &mut self.gates {
            gates.recent.retain(|(at, ..)| at + RECENT_NS > now);
            gates.recent.push((now, account, pattern.into()));
        }
    }

    /// The reply of a message as other clusters are to see it: the new form, and the old one.
    fn reply_across(&self, letter: &Letter<'_>) -> (String, String) {
        let plain = (letter.reply.to_string(), letter.reply.to_string());
        let Some(gates) = self.gates.as_ref().filter(|_| !letter.reply.is_empty()) else { return plain };
        let new = |(at, account, pattern): &(u64, String, String)| {
            at + RECENT_NS > self.now && account == letter.account && matches(pattern, letter.reply)
        };
        if !gates.recent.iter().any(new) {
            return plain;
        }
        let (cluster, reply) = (&self.cluster, letter.reply);
        (format!("_GR_.{}.{}.{reply}", short(cluster), short(&self.id)), format!("$GR.{}.{reply}", old(cluster)))
    }

    /// A message goes to other clusters, the nearest first; each queue group to one of them. True: somebody gets it.
    pub(super) fn cross(&mut self, letter: &Letter<'_>, mut served: BTreeSet<String>) -> bool {
        let replies = self.reply_across(letter);
        let Some(gates) = &mut self.gates else { return false };
        let (old_replies, mut reached) = (gates.old_replies, false);
        let outbound = gates.links.iter().filter(|(_, g)| g.up && g.dialed.is_some());
        let mut order: Vec<(u64, usize)> = outbound.map(|(link, g)| (g.rtt, *link)).collect();
        order.sort_unstable();
        for (_, link) in order {
            let Some(gate) = gates.links.get_mut(&link) else { continue };
            let wants = gate.wants.get(letter.account);
            let plain = wants.map_or(!gate.iom, |w| w.plain(letter.subject, gate.iom));
            let groups = wants.map(|w| w.groups(letter.subject)).unwrap_or_default();
            let groups: Vec<String> = groups.difference(&served).cloned().collect();
            if !plain && groups.is_empty() {
                continue;
            }
            let reply = if gate.new_replies && !old_replies { &replies.0 } else { &replies.1 };
            gate.line.say(&over_route(&Letter { reply, ..*letter }, &groups));
            let (subject, iom) = (letter.subject.to_string(), gate.iom);
            gates.crossed.push((number(letter.body), gate.peer, subject, iom));
            served.extend(groups);
            reached = true;
        }
        reached
    }

    /// Is a client's message the answer to a request of another cluster? Then it goes there, and nowhere else.
    pub(super) fn answers_across(&mut self, from: usize, letter: &Letter<'_>) -> bool {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&from) else { return false };
        session.answers.retain(|_, (_, until)| *until > now);
        let Some((full, _)) = session.answers.get(letter.subject).cloned() else { return false };
        let Some(mapped) = split(&full) else { return false };
        let links = self.gates.iter_mut().flat_map(|g| g.links.values_mut());
        let way = links.filter(|g| g.up && g.dialed.as_ref().is_some_and(|c| is_of(&mapped, c)));
        if let Some(gate) = way.last() {
            gate.line.say(&over_route(&Letter { subject: &full, ..*letter }, &[]));
            let (peer, iom) = (gate.peer, gate.iom);
            if let Some(gates) = &mut self.gates {
                gates.crossed.push((number(letter.body), peer, full, iom));
            }
        }
        true
    }

    /// `RMSG` and `HMSG` of another cluster: for this one's clients and servers.
    pub(super) fn crossed_in(&mut self, w: &mut World, link: usize, said: &Said) {
        let (letter, queues) = match Letter::read(said) {
            Ok(read) => read,
            Err(why) => return self.complain(format!("{why}: {:?}", said.line)),
        };
        if split(letter.subject).is_some() {
            return self.answer_came(w, &letter, true);
        }
        self.spread(None, &letter, Some(&queues));
        let wide = self.gates.as_ref().map(|g| &g.wide);
        let wanted = wide.is_some_and(|all| {
            all.iter().any(|(a, p, q)| q.is_empty() && a == letter.account && matches(p, letter.subject))
        });
        if wanted {
            return;
        }
        // Plain, to a subject that was refused before it was published.
        let refused = self.refused_since(link, letter.account, letter.subject).filter(|_| queues.is_empty());
        let peer = self.gates.as_ref().and_then(|g| g.links.get(&link)).map_or(self.at, |g| g.peer);
        if refused.is_some_and(|since| w.oracle.knew(peer, self.at, since, number(letter.body))) {
            return self.complain(format!("what was refused is sent all the same: {:?}", said.line));
        }
        let now = w.oracle.mark();
        self.refuse(link, letter.account, letter.subject, now);
    }

    /// An answer to a request of this cluster.
    pub(super) fn answer_came(&mut self, w: &mut World, letter: &Letter<'_>, by_gateway: bool) {
        let Some(mapped) = split(letter.subject) else { return };
        if !is_of(&mapped, &self.cluster) {
            return self.complain(format!("an answer for another cluster: {}", letter.subject));
        }
        let other = mapped.server.filter(|s| by_gateway && *s != short(&self.id));
        if let Some((link, knows)) = other.and_then(|hash| self.member_of(hash, letter.account, mapped.reply)) {
            // Since 2.10 it is passed on only to who is known to want it.
            let passes = knows || self.version == Version::V29;
            w.oracle.label(if passes { "a nats-server passed an answer on" } else { "a nats-server lost an answer" });
            if let Some(conn) = self.conns.get_mut(&link).filter(|_| passes) {
                conn.line.say(&over_route(letter, &[]));
            }
            return;
        }
        let plain = Letter { subject: mapped.reply, ..*letter };
        let (_, served) = self.spread(None, &plain, None);
        self.cross(&plain, served);
    }

    /// The route to the member of this hash, and whether that wants this, as far as is known.
    fn member_of(&self, hash: &str, account: &str, subject: &str) -> Option<(usize, bool)> {
        let (_, remote) = self.remotes.iter().find(|(id, _)| short(id) == hash)?;
        let wants = remote.interest.keys().any(|(a, p, _)| a == account && matches(p, subject));
        Some((remote.link, wants))
    }

    /// The oracle hears of what went to other clusters.
    pub(super) fn account_for(&mut self, w: &mut World) {
        let crossed = self.gates.as_mut().map(|g| std::mem::take(&mut g.crossed)).unwrap_or_default();
        for (m, to, subject, iom) in crossed {
            if let Err(why) = w.oracle.across(m, self.at, to, iom, &subject, false) {
                w.fail(format!("I7: nats-server {} sends message {m} {why}: {subject:?}", self.at));
            }
        }
    }
}
