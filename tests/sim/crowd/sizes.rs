//! How much every server of a crowd knows of what is wanted, as monitoring tells it.

use super::world::{World, ACCOUNTS};
use turnpike::conn::Telling;
use turnpike::shard::report::SubRow;
use turnpike::shard::{Answer, Ask};

/// Patterns that one answer looks at.
const SLICE: u32 = 4096;

/// Entries of one account on one server: a pattern, or a pattern with a queue group, that somebody wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Subscriptions of its own clients.
    pub local: u64,
    /// Told by the other servers of the cluster.
    pub routes: u64,
    /// Told by other clusters.
    pub gateways: u64,
}

impl Entries {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.local + self.routes + self.gateways
    }
}

/// By account: what is wanted plain, and by queue groups.
pub type Sizes = [[Entries; 2]; ACCOUNTS.len()];

/// What one server knows.
pub fn sizes(w: &mut World, at: usize) -> Sizes {
    let mut sizes = Sizes::default();
    let mut note = |rows: &[SubRow], which: fn(&mut Entries) -> &mut u64| {
        for row in rows {
            let account = ACCOUNTS.iter().position(|a| *a == row.account);
            if let Some(account) = account {
                *which(&mut sizes[account][usize::from(row.queue.is_some())]) += 1;
            }
        }
    };
    let ask = |from| Ask::Subscriptions { from, max: SLICE, account: None, test: None };
    let mut next = Some(0);
    while let Some(from) = next {
        let answer = w.with(at, |s, w| s.ask(w, ask(from)));
        let Answer::Subscriptions { rows, next: rest } = answer else { break };
        note(&rows, |e| &mut e.local);
        next = rest;
    }
    type Asks = (fn(Telling) -> Ask, fn(&mut Entries) -> &mut u64);
    let asks: [Asks; 2] = [
        (|from| Ask::PeerInterest { from, max: SLICE }, |e| &mut e.routes),
        (|from| Ask::FarInterest { from, max: SLICE, account: None }, |e| &mut e.gateways),
    ];
    for (ask, which) in asks {
        let mut next = Some(Telling::default());
        while let Some(from) = next {
            let Answer::Wanted { rows, next: rest } = w.with(at, |s, w| s.ask(w, ask(from))) else { break };
            note(&rows, which);
            next = rest;
        }
    }
    sizes
}

/// Subjects that other clusters have refused, as all servers of a crowd remember them, by account.
pub fn refused(w: &mut World) -> [u64; ACCOUNTS.len()] {
    let mut refused = [0; ACCOUNTS.len()];
    for at in 0..w.shape.all() {
        let Answer::Gateways(report) = w.with(at, |s, w| s.ask(w, Ask::GATEWAYS)) else { continue };
        for row in report.links.iter().filter(|l| l.outbound).flat_map(|l| &l.accounts) {
            if let Some(account) = ACCOUNTS.iter().position(|a| *a == row.account) {
                refused[account] += row.refused;
            }
        }
    }
    refused
}
