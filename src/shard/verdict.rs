//! Where messages of one subject go: decided once per account and subject, remembered until anything it rests on
//! changes. One table per shard; connections keep the key of their last verdict ([`crate::conn::Memo`]).
//!
//! A verdict whose key still names an entry is right: whoever changes interest calls [`Verdicts::changed`] in the same
//! step, and that removes every entry the change could touch.

use super::gates::Gates;
use super::origin::Origin;
use super::peers::At;
use super::table::{is_own, may_have, rewritten, services, shown, Chosen, ANSWERS};
pub use super::table::{Sub, Table};
use crate::base::limits::{HEADS_BYTES_MAX, TARGETS_MAX, VERDICTS_MAX, VERDICT_PERMITS_MAX};
use crate::base::{same, ConnId, FarId, FarSet, PeerId, PeerSet, Rng, Seeded, ShardSet, Slot, Slots};
use crate::interest::border::Class;
use crate::interest::{Guarded, Place};
use crate::policy::walls::{Barrier, Side, Walls};
use crate::policy::PermitId;
use crate::wire::route::write_names;
use crate::wire::subject;
use std::hash::{BuildHasher, Hasher};

/// One receiver.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The connection.
    pub conn: ConnId,
    /// Its subscription.
    pub sub: Slot,
    /// Its `MSG <subject> <sid> ` in `Verdict::words`.
    at: u32,
    len: u32,
}

/// One queue group.
#[derive(Debug, Default)]
pub struct Group {
    /// Its name.
    pub name: Box<[u8]>,
    /// Members on this shard.
    pub local: Vec<Target>,
    /// Members among this server's clients from whom it is kept back; they count as none otherwise.
    pub denied: u32,
    /// Some of those here may answer because they were given the message.
    pub answering: bool,
    /// Members elsewhere: clients of other shards first, then other servers.
    pub remote: Vec<(Place, u32)>,
    /// Members among this server's clients.
    pub here: u64,
    /// Members in this cluster.
    pub total: u64,
    /// The nearest other cluster that has some: it is asked where this one has none (cluster-protocol.md §4.8).
    pub far: Option<FarId>,
}

/// Whom a group's message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The member at this place of [`Group::local`].
    Local(usize),
    /// Some member there.
    Remote(Place),
}

impl Group {
    fn new(name: &[u8]) -> Group {
        Group { name: name.into(), ..Group::default() }
    }

    fn add(&mut self, place: Place, n: u32) {
        match self.remote.iter_mut().find(|(p, _)| *p == place) {
            Some(r) => r.1 += n,
            None => self.remote.push((place, n)),
        }
    }

    fn count(&mut self) {
        let far = |p: &Place| matches!(p, Place::Peer(_));
        self.remote.sort_by_key(|(p, _)| far(p));
        let sum = |all: &[(Place, u32)]| all.iter().map(|(_, n)| u64::from(*n)).sum::<u64>();
        let nearer = self.remote.partition_point(|(p, _)| !far(p));
        self.here = self.local.len() as u64 + sum(&self.remote[..nearer]);
        self.total = self.here + sum(&self.remote[nearer..]);
    }

    /// A member, all equally likely: of the whole cluster, or of this server only (what came over a route goes no
    /// further: cluster-protocol.md §3.14). None if there is none.
    pub fn pick(&self, rng: &mut Rng, here_only: bool) -> Option<Pick> {
        let all = if here_only { self.here } else { self.total };
        if all == 0 {
            return None;
        }
        let n = rng.below(all);
        match n.checked_sub(self.local.len() as u64) {
            None => Some(Pick::Local(n as usize)),
            Some(beyond) => place(self.remote.iter(), beyond).map(Pick::Remote),
        }
    }

    /// A place with members that is not this shard, weighted by how many it has; None if there is none. Peers that are
    /// `served` have the message already: told of it again they would give it to their plain receivers twice
    /// (cluster-protocol.md §3.13).
    pub fn pick_elsewhere(&self, rng: &mut Rng, here_only: bool, served: PeerSet) -> Option<Place> {
        let open = self.remote.iter().filter(|(place, _)| match place {
            Place::Shard(_) => true,
            Place::Peer(peer) => !here_only && !served.contains(*peer),
            Place::Far(_) => false,
        });
        let all = open.clone().map(|(_, n)| u64::from(*n)).sum();
        place(open, if all == 0 { return None } else { rng.below(all) })
    }
}

/// Where the `n`-th member is of those at these places.
fn place<'a>(mut places: impl Iterator<Item = &'a (Place, u32)>, mut n: u64) -> Option<Place> {
    places.find_map(|(place, members)| match n.checked_sub(u64::from(*members)) {
        None => Some(*place),
        Some(rest) => {
            n = rest;
            None
        }
    })
}

/// A peer whose route this shard owns and whose clients want the subject.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The peer.
    pub peer: PeerId,
    /// Its route.
    pub conn: ConnId,
}

/// A cluster whose link this shard owns and that is sent the subject.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// The cluster.
    pub far: FarId,
    /// The link.
    pub conn: ConnId,
}

/// Where messages of one subject go. In this order, because what every message needs is then in one line of the cache, and the
/// subject in one with the first receiver's head: many subjects in turn find none of it there.
#[derive(Debug)]
#[repr(C)]
pub struct Verdict {
    /// The subject, and behind it `MSG <subject> <sid> ` of each target.
    words: Vec<u8>,
    /// Plain receivers on this shard.
    pub plain: Vec<Target>,
    subject_len: u32,
    /// Index of the account.
    pub account: u16,
    leaves: bool,
    /// It is a request to another account, or an answer to one of its requests.
    beyond: bool,
    /// Plain receivers on this shard who may answer because they were given the message (`allow_responses`).
    pub answering: Vec<Target>,
    /// Plain receivers on this server from whom it is kept back: their permissions deny the subject.
    pub denied: u32,
    /// Permits that are known to allow to publish it.
    publishers: Vec<PermitId>,
    /// Other shards whose clients are plain receivers.
    pub clients: ShardSet,
    /// Those, and other shards with routes to peers that have some.
    pub near: ShardSet,
    /// Those, and other shards with links to clusters that are sent plain messages.
    pub remote: ShardSet,
    /// Peers with plain receivers whose routes are on this shard.
    pub links: Vec<Link>,
    /// Peers with plain receivers.
    pub peers: PeerSet,
    /// Other clusters that are sent plain messages, and whose links are on this shard.
    pub gates: Vec<Gate>,
    /// Other clusters that are sent plain messages.
    pub fars: FarSet,
    /// Other clusters that would be sent a message for one of the groups, were it not served nearer.
    pub nearer: FarSet,
    /// Other clusters that want it, and what holds it back from them.
    pub held: Vec<(FarId, Barrier)>,
    /// What was asked about messages that come from other clusters: may they enter, by what our imports know those as?
    entries: Vec<(Class, Option<Barrier>)>,
    /// Queue groups, one message for each.
    pub groups: Vec<Group>,
    /// The shard itself waits for its messages: they are answers to requests.
    pub answers: bool,
    /// The imported services that its messages are requests to, by their places.
    pub services: Vec<u16>,
    /// What its subject becomes where a client of the account publishes it; None: it stays.
    pub rewritten: Option<Box<[Chosen]>>,
    /// What all lines of its messages to peers have in common ([`write_names`]); empty where no other server wants it.
    pub names: Vec<u8>,
}

impl Verdict {
    /// Whose verdict it is.
    #[inline]
    pub fn subject(&self) -> &[u8] {
        &self.words[..self.subject_len as usize]
    }

    /// `MSG <subject> <sid> ` of a target.
    #[inline]
    pub fn head(&self, t: &Target) -> &[u8] {
        &self.words[t.at as usize..(t.at + t.len) as usize]
    }

    /// The same for a message that is delivered under another subject than it was matched with.
    #[cold]
    pub fn head_for(&self, t: &Target, subject: &[u8]) -> Vec<u8> {
        let shown = &self.head(t)[b"MSG ".len()..];
        let end = memchr::memchr(b' ', shown).unwrap_or(shown.len());
        [b"MSG ", subject, &shown[end..]].concat()
    }

    /// `shown`: under which subject he is given it, if that is another.
    fn target(&mut self, sub: Slot, who: &Sub, shown: Option<&[u8]>) -> Target {
        let at = self.words.len() as u32;
        self.words.extend_from_slice(b"MSG ");
        match shown {
            None => self.words.extend_from_within(..self.subject_len as usize),
            Some(subject) => self.words.extend_from_slice(subject),
        }
        for part in [b" ".as_slice(), &who.sid, b" "] {
            self.words.extend_from_slice(part);
        }
        Target { conn: who.conn, sub, at, len: self.words.len() as u32 - at }
    }

    /// Receivers in all, a remote shard counting as one.
    pub fn fanout(&self) -> u64 {
        (self.plain.len() + self.answering.len() + self.links.len() + self.gates.len() + self.groups.len()) as u64
            + u64::from(self.remote.0.count_ones())
            + u64::from(self.answers)
            + self.services.len() as u64
    }

    /// Does a message leave the plain receivers of this shard?
    #[inline]
    pub fn leaves(&self) -> bool {
        self.leaves
    }

    /// Does it concern other accounts?
    #[inline]
    pub fn goes_beyond(&self) -> bool {
        self.beyond
    }

    /// Does nobody in this cluster want the subject plain?
    pub fn is_unwanted_here(&self) -> bool {
        // What is kept back may not be some day, and nobody would ask for it again then. Of what others send nothing is a
        // request to a service: it was one where it was published.
        let nobody = self.plain.is_empty() && self.answering.is_empty() && self.denied == 0 && !self.answers;
        nobody && self.clients.is_empty() && self.peers.is_empty()
    }

    /// Are there no other plain receivers here than those in `plain`, no other accounts, and nobody from whom it is kept back?
    pub fn is_unguarded(&self) -> bool {
        !self.is_guarded() && !self.beyond
    }

    /// Are there plain receivers here who may answer because they were given it, or some from whom it is kept back?
    #[inline]
    pub fn is_guarded(&self) -> bool {
        !self.answering.is_empty() || self.denied > 0
    }

    /// The other shards with plain receivers of what came from there, or with links that it may go to.
    pub fn shards(&self, origin: Origin) -> ShardSet {
        match origin {
            Origin::Client => self.remote,
            Origin::Gateway => self.near,
            Origin::Route => self.clients,
        }
    }

    fn targets(&self) -> usize {
        self.plain.len()
            + self.answering.len()
            + self.links.len()
            + self.gates.len()
            + self.groups.iter().map(|g| g.local.len() + 1).sum::<usize>()
    }
}

impl Verdict {
    fn new(account: u16, name: &str, subject: &[u8], table: &Table<'_>) -> Verdict {
        let Table { replica, peers, .. } = *table;
        let mut v = Verdict {
            words: subject.to_vec(),
            plain: Vec::new(),
            subject_len: subject.len() as u32,
            account,
            leaves: false,
            beyond: false,
            answering: Vec::new(),
            denied: 0,
            publishers: Vec::new(),
            clients: ShardSet::EMPTY,
            near: ShardSet::EMPTY,
            remote: ShardSet::EMPTY,
            links: Vec::new(),
            peers: PeerSet::EMPTY,
            gates: Vec::new(),
            fars: FarSet::EMPTY,
            nearer: FarSet::EMPTY,
            held: Vec::new(),
            entries: Vec::new(),
            groups: Vec::new(),
            answers: false,
            services: services(account, subject, table),
            rewritten: rewritten(account, subject, table),
            names: Vec::new(),
        };
        let mut far = PeerSet::EMPTY;
        replica.matches(subject, |want| {
            v.clients.0 |= want.remote.0;
            far.0 |= want.peers.0;
            want.plain.iter().for_each(|s| v.add_receiver(*s, table));
            want.guarded().iter().for_each(|g| v.add_guarded(g, table));
            for q in want.queues() {
                let at = v.group(&q.name);
                q.local.iter().for_each(|s| v.add_member(at, *s, table));
                q.guarded().iter().for_each(|g| v.add_guarded_members(at, g, table));
                q.remote.iter().filter(|(p, _)| peers.has(*p)).for_each(|(p, n)| v.groups[at].add(*p, *n));
            }
        });
        v.groups.iter_mut().for_each(Group::count);
        v.near = v.clients;
        v.peers = PeerSet(far.0 & peers.live.0);
        for peer in v.peers.iter() {
            match peers.place(peer) {
                Some(At::Here(conn)) => v.links.push(Link { peer, conn }),
                Some(At::There(shard)) => v.near.insert(shard),
                None => {}
            }
        }
        v.remote = v.near;
        let crosses = !table.gates.live.is_empty() && v.cross(table);
        if crosses || !v.peers.is_empty() || v.groups.iter().any(|g| g.here < g.total) {
            // What cannot be said to a peer is left out there: names stays empty.
            let _ = write_names(&mut v.names, name.as_bytes(), subject);
        }
        v.beyond = v.answers || !v.services.is_empty();
        v.leaves = !v.groups.is_empty() || !v.remote.is_empty() || !v.links.is_empty() || !v.gates.is_empty();
        // Not to leave has to be counted.
        v.leaves |= !v.held.is_empty() || !v.is_unguarded();
        v
    }

    fn add_receiver(&mut self, sub: Slot, table: &Table<'_>) {
        self.answers |= sub == ANSWERS;
        let Some(who) = table.subs.get(sub) else { return };
        let answers = who.may_answer(table.permits);
        if is_own(who, self.account, table) {
            let t = self.target(sub, who, None);
            if answers { &mut self.answering } else { &mut self.plain }.push(t);
            return;
        }
        let shown = shown(who, self.account, self.subject(), table);
        // Under several names it stands in the replica several times.
        let again = shown.len() > 1 && self.plain.iter().chain(&self.answering).any(|t| t.sub == sub);
        for subject in shown.iter().filter(|_| !again) {
            if !may_have(who, subject, b"", table) {
                self.denied += 1;
                continue;
            }
            let t = self.target(sub, who, Some(subject));
            if answers { &mut self.answering } else { &mut self.plain }.push(t);
        }
    }

    /// Those who are given only a part: of this subject all or nothing.
    fn add_guarded(&mut self, all: &Guarded, table: &Table<'_>) {
        if !all.permit.deliver(self.subject(), b"") {
            self.denied += all.members();
            return;
        }
        all.local.iter().for_each(|s| self.add_receiver(*s, table));
        all.remote.iter().for_each(|(shard, _)| self.clients.insert(*shard));
    }

    fn add_member(&mut self, group: usize, sub: Slot, table: &Table<'_>) {
        let Some(who) = table.subs.get(sub) else { return };
        let answers = who.may_answer(table.permits);
        self.groups[group].answering |= answers;
        if is_own(who, self.account, table) {
            let t = self.target(sub, who, None);
            return self.groups[group].local.push(t);
        }
        let shown = shown(who, self.account, self.subject(), table);
        let again = shown.len() > 1 && self.groups[group].local.iter().any(|t| t.sub == sub);
        for subject in shown.iter().filter(|_| !again) {
            if !may_have(who, subject, &self.groups[group].name, table) {
                self.groups[group].denied += 1;
                continue;
            }
            let t = self.target(sub, who, Some(subject));
            self.groups[group].local.push(t);
        }
    }

    fn add_guarded_members(&mut self, group: usize, all: &Guarded, table: &Table<'_>) {
        if !all.permit.deliver(self.subject(), &self.groups[group].name) {
            self.groups[group].denied += all.members();
            return;
        }
        all.local.iter().for_each(|s| self.add_member(group, *s, table));
        all.remote.iter().for_each(|(shard, n)| self.groups[group].add(Place::Shard(*shard), *n));
    }

    /// Where among the groups this one is, which is added if it is new.
    fn group(&mut self, name: &[u8]) -> usize {
        self.groups.iter().position(|g| *g.name == *name).unwrap_or_else(|| {
            self.groups.push(Group::new(name));
            self.groups.len() - 1
        })
    }

    /// Adds the other clusters. A message goes to all that want it plain; for a queue group that this cluster has no member
    /// of, to the nearest that has one. True: there are such clusters.
    fn cross(&mut self, table: &Table<'_>) -> bool {
        let Gates { live, promised, .. } = *table.gates;
        let mut asked: Vec<(usize, FarSet)> = Vec::new();
        let subject = self.subject().to_vec();
        let plain = table.fars.matches(&subject, live, promised, |name, fars| {
            let at = self.group(name);
            match asked.iter_mut().find(|(i, _)| *i == at) {
                Some((_, set)) => set.0 |= fars.0,
                None => asked.push((at, fars)),
            }
        });
        let wanted = asked.iter().fold(plain.0, |all, (_, fars)| all | fars.0);
        self.held = table.gates.shut(table.walls, self.account, self.subject(), FarSet(wanted));
        let mut shut = FarSet::EMPTY;
        self.held.iter().for_each(|(far, _)| shut.insert(*far));
        let open = !shut.0;
        let plain = FarSet(plain.0 & open);
        self.fars = plain;
        let (mut chosen, mut named) = (plain, FarSet::EMPTY);
        for (at, fars) in asked {
            let (g, fars) = (&mut self.groups[at], FarSet(fars.0 & open));
            g.far = table.gates.nearest(fars);
            named.0 |= fars.0;
            if let Some(far) = g.far.filter(|_| g.total == 0) {
                chosen.insert(far);
            }
        }
        self.nearer = FarSet(named.0 & !chosen.0);
        for far in plain.iter() {
            match table.gates.place(far) {
                Some(At::Here(conn)) => self.gates.push(Gate { far, conn }),
                Some(At::There(shard)) => self.remote.insert(shard),
                None => {}
            }
        }
        !plain.is_empty() || !named.is_empty()
    }
}

/// See the file's head.
#[derive(Debug)]
pub struct Verdicts {
    entries: Slots<Verdict>,
    /// By account and subject, as hashed with `hasher`.
    index: hashbrown::HashTable<Slot>,
    hasher: Seeded,
    targets: usize,
    heads_bytes: usize,
}

impl Verdicts {
    /// Empty.
    pub fn new(seed: u64) -> Verdicts {
        let hasher = Seeded(seed);
        Verdicts { entries: Slots::default(), index: Default::default(), hasher, targets: 0, heads_bytes: 0 }
    }

    /// The verdict of a key, if it is still right.
    #[inline]
    pub fn get(&self, key: Slot) -> Option<&Verdict> {
        self.entries.get(key)
    }

    /// May a message of this verdict enter from a cluster that our imports know as `class`? None: it may. Asked of a key
    /// that names nothing, it may not.
    pub fn entry(&mut self, key: Slot, class: Class, walls: &Walls) -> Option<Barrier> {
        let Some(v) = self.entries.get_mut(key) else { return Some(Barrier { side: Side::Imports, rule: None }) };
        if let Some((_, barrier)) = v.entries.iter().find(|(c, _)| *c == class) {
            return *barrier;
        }
        let judged = walls.imports.judge(usize::from(v.account), v.subject());
        let barrier = Barrier::of(Side::Imports, judged.of(class));
        v.entries.push((class, barrier));
        barrier
    }

    /// Is this permit known to allow to publish the subject of a verdict?
    pub fn allows(&self, key: Slot, permit: PermitId) -> bool {
        self.entries.get(key).is_some_and(|v| v.publishers.contains(&permit))
    }

    /// This permit allows to publish the subject of a verdict.
    pub fn allow(&mut self, key: Slot, permit: PermitId) {
        if let Some(v) = self.entries.get_mut(key).filter(|v| v.publishers.len() < VERDICT_PERMITS_MAX) {
            v.publishers.push(permit);
        }
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// By what a subject of an account is found.
    pub fn hash(&self, account: u16, subject: &[u8]) -> u64 {
        hash_of(self.hasher, account, subject)
    }

    /// The key of a verdict reached before.
    pub fn find(&self, account: u16, subject: &[u8]) -> Option<Slot> {
        self.find_hashed(self.hash(account, subject), account, subject)
    }

    /// The same where the hash is known.
    #[inline]
    pub fn find_hashed(&self, hash: u64, account: u16, subject: &[u8]) -> Option<Slot> {
        let is = |k: &Slot| self.entries.get(*k).is_some_and(|v| v.account == account && same(v.subject(), subject));
        self.index.find(hash, is).copied()
    }

    /// The key of a verdict that has this hash, or seems to: which it is has not been looked at.
    #[inline]
    pub fn likely(&self, hash: u64) -> Slot {
        self.index.find(hash, |_| true).copied().unwrap_or(Slot::NONE)
    }

    /// Looks at what a message needs of a verdict, so that it lies in the cache. What it says means nothing.
    #[inline]
    pub fn touch(&self, key: Slot) -> u32 {
        let Some(v) = self.entries.get(key) else { return 0 };
        u32::from(v.words.first().copied().unwrap_or(0)) ^ v.plain.first().map_or(0, |t| t.len)
    }

    /// Reaches a verdict and remembers it.
    pub fn reach(&mut self, (account, name): (u16, &str), subject: &[u8], table: &Table<'_>) -> Slot {
        let v = Verdict::new(account, name, subject, table);
        let heads_bytes = self.heads_bytes + v.words.len();
        if self.entries.len() >= VERDICTS_MAX
            || self.targets + v.targets() > TARGETS_MAX
            || heads_bytes > HEADS_BYTES_MAX
        {
            self.forget_all();
        }
        self.heads_bytes += v.words.len();
        let hash = self.hash(account, subject);
        self.targets += v.targets();
        let key = self.entries.insert(v);
        let (entries, hasher) = (&self.entries, self.hasher);
        self.index.insert_unique(hash, key, |k| entries.get(*k).map_or(0, |v| hash_of(hasher, v.account, v.subject())));
        key
    }

    /// Interest in `pattern` of an account has changed.
    pub fn changed(&mut self, account: u16, pattern: &[u8]) {
        if !subject::is_literal(pattern) {
            self.forget_all();
            return;
        }
        let hash = self.hash(account, pattern);
        let entries = &self.entries;
        let is = |k: &Slot| entries.get(*k).is_some_and(|v| v.account == account && *v.subject() == *pattern);
        if let Ok(found) = self.index.find_entry(hash, is) {
            let (key, _) = found.remove();
            if let Some(v) = self.entries.remove(key) {
                self.targets -= v.targets();
                self.heads_bytes -= v.words.len();
            }
        }
    }

    /// Everything may have changed.
    pub fn forget_all(&mut self) {
        let keys: Vec<Slot> = self.index.drain().collect();
        for k in keys {
            self.entries.remove(k);
        }
        self.targets = 0;
        self.heads_bytes = 0;
    }
}

fn hash_of(hasher: Seeded, account: u16, subject: &[u8]) -> u64 {
    let mut h = hasher.build_hasher();
    h.write_u32(u32::from(account));
    h.write(subject);
    h.finish()
}
