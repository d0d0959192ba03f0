//! What became of messages to other clusters, by cluster and account, on one shard. What a cluster had no interest in is
//! counted by nobody: it is what was published and neither sent nor dropped, so that it costs nothing on its way.

use super::barriers::Barriers;
use super::entries::Entries;
use super::report::FarTally;
use crate::base::limits::FARS_MAX;
use crate::base::{FarId, FarSet};
use crate::policy::walls::{Barrier, Side};

/// Why a message was not sent to a cluster that may have wanted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncrossed {
    /// There was no link.
    Down,
    /// Its queue group has a member nearer.
    Nearer,
    /// Too much waits for the link.
    Full,
    /// It fits into no line, or cannot stand in one.
    Unsayable,
    /// It answered a request of another cluster, and went straight back there.
    Straight,
    /// Our exports hold it back.
    Border,
    /// What that cluster lets in, as it says, does.
    TheirBorder,
}

impl Uncrossed {
    /// All of them, as monitoring names them.
    const ALL: [(Uncrossed, &'static str); 7] = [
        (Uncrossed::Down, "gateway_down"),
        (Uncrossed::Nearer, "served_nearer"),
        (Uncrossed::Full, "gateway_full"),
        (Uncrossed::Unsayable, "unsayable"),
        (Uncrossed::Straight, "answered_straight"),
        (Uncrossed::Border, "border"),
        (Uncrossed::TheirBorder, "their_border"),
    ];
}

/// Messages of one account for one cluster.
#[derive(Clone, Copy, Debug, Default)]
struct Crossing {
    /// What this shard's clients had published when the first link began.
    began: u64,
    /// The same when the last one ended; None: it is there.
    down_at: Option<u64>,
    sent: u64,
    /// What of that was sent before the link that is there now.
    sent_before: u64,
    drops: [u64; Uncrossed::ALL.len()],
}

#[derive(Debug)]
struct Cluster {
    name: Box<str>,
    far: Option<FarId>,
    accounts: Vec<Crossing>,
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct Crossings {
    clusters: Vec<Cluster>,
    /// Which of them a number stands for.
    by_far: Vec<u8>,
    /// What came the other way and was dropped.
    pub entries: Entries,
    /// What the border held back either way, by what holds it back.
    pub barriers: Barriers,
}

impl Crossings {
    /// A link to a cluster began; `published` is what clients of each account have by now.
    pub fn begin(&mut self, far: FarId, name: &str, published: &[u64]) {
        let fresh = || published.iter().map(|n| Crossing { began: *n, ..Crossing::default() }).collect();
        let at = self.clusters.iter().position(|c| *c.name == *name).unwrap_or_else(|| {
            let cluster = Cluster { name: name.into(), far: None, accounts: fresh() };
            let gone = self.clusters.iter().position(|c| c.far.is_none());
            match gone.filter(|_| self.clusters.len() >= FARS_MAX) {
                Some(at) => {
                    self.clusters[at] = cluster;
                    at
                }
                None => {
                    self.clusters.push(cluster);
                    self.clusters.len() - 1
                }
            }
        });
        self.by_far.resize(FARS_MAX, u8::MAX);
        self.by_far[far.index()] = at as u8;
        let cluster = &mut self.clusters[at];
        cluster.far = Some(far);
        for (c, n) in cluster.accounts.iter_mut().zip(published) {
            c.sent_before = c.sent;
            if let Some(at) = c.down_at.take() {
                c.drops[Uncrossed::Down as usize] += n - at;
            }
        }
    }

    /// There are so many accounts now; nobody has published anything in the new ones.
    pub fn grow(&mut self, accounts: usize) {
        for cluster in &mut self.clusters {
            let down_at = cluster.far.is_none().then_some(0);
            cluster.accounts.resize(accounts, Crossing { down_at, ..Crossing::default() });
        }
    }

    /// It ended.
    pub fn end(&mut self, far: FarId, published: &[u64]) {
        let Some(cluster) = self.clusters.iter_mut().find(|c| c.far == Some(far)) else { return };
        cluster.far = None;
        cluster.accounts.iter_mut().zip(published).for_each(|(c, n)| c.down_at = Some(*n));
    }

    fn at(&mut self, far: FarId, account: u16) -> Option<&mut Crossing> {
        let cluster = *self.by_far.get(far.index())?;
        self.clusters.get_mut(usize::from(cluster))?.accounts.get_mut(usize::from(account))
    }

    /// `n` messages were sent.
    pub fn sent(&mut self, far: FarId, account: u16, n: u64) {
        if let Some(c) = self.at(far, account) {
            c.sent += n;
        }
    }

    /// How many were sent on the link that is there now.
    pub fn sent_on_link(&self, far: FarId, account: u16) -> u64 {
        let cluster = self.by_far.get(far.index()).and_then(|at| self.clusters.get(usize::from(*at)));
        cluster.and_then(|c| c.accounts.get(usize::from(account))).map_or(0, |c| c.sent - c.sent_before)
    }

    /// One was not.
    pub fn dropped(&mut self, far: FarId, account: u16, why: Uncrossed) {
        if let Some(c) = self.at(far, account) {
            c.drops[why as usize] += 1;
        }
    }

    /// One was not sent to any of these because its queue groups are served nearer.
    #[cold]
    pub fn served_nearer(&mut self, fars: FarSet, account: u16) {
        fars.iter().for_each(|far| self.dropped(far, account, Uncrossed::Nearer));
    }

    /// One was held back from these.
    #[cold]
    pub fn held_back(&mut self, held: &[(FarId, Barrier)], account: u16) {
        for (far, barrier) in held {
            let theirs = matches!(barrier.side, Side::Theirs(_));
            self.dropped(*far, account, if theirs { Uncrossed::TheirBorder } else { Uncrossed::Border });
            self.barriers.held(*barrier);
        }
    }

    /// One went straight to the cluster whose request it answers, and so to none of these.
    #[cold]
    pub fn went_straight(&mut self, others: FarSet, account: u16) {
        others.iter().for_each(|far| self.dropped(far, account, Uncrossed::Straight));
    }

    /// All of it, for monitoring.
    pub fn report<'a>(&'a self, names: &'a [String], published: &'a [u64]) -> impl Iterator<Item = FarTally> + 'a {
        self.clusters.iter().flat_map(move |cluster| {
            cluster.accounts.iter().zip(names).zip(published).map(move |((c, account), published)| {
                let mut drops = c.drops;
                drops[Uncrossed::Down as usize] += c.down_at.map_or(0, |at| published - at);
                FarTally {
                    cluster: cluster.name.to_string(),
                    account: account.clone(),
                    published: published - c.began,
                    sent: c.sent,
                    drops: Uncrossed::ALL.iter().map(|(why, name)| (*name, drops[*why as usize])).collect(),
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_while_the_link_was_down_is_counted_as_that() {
        let mut c = Crossings::default();
        let names = ["$G".to_owned()];
        c.begin(FarId(3), "east", &[10]);
        c.sent(FarId(3), 0, 2);
        c.end(FarId(3), &[15]);
        let row = |c: &Crossings, n| c.report(&names, &[n]).next().map(|t| (t.published, t.sent, t.drops[0].1));
        assert_eq!(row(&c, 22), Some((12, 2, 7)));
        c.begin(FarId(4), "east", &[25]);
        c.sent(FarId(4), 0, 1);
        assert_eq!(row(&c, 30), Some((20, 3, 10)));
    }
}
