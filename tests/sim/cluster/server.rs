//! One server: which shards are its own, the rings between them, its mesh, and whether it is alive.

use super::super::case::Plan;
use super::super::node::RingSet;
use super::foreign::Foreign;
use super::lame::LameDuck;
use super::member::Member;
use turnpike::policy::Account;

/// See the file's head.
pub struct Server {
    /// The number of its first shard among all.
    pub first: usize,
    /// How many it has.
    pub shards: usize,
    /// Between them.
    pub rings: RingSet,
    /// None: a server without a cluster.
    pub mesh: Option<Box<Member>>,
    /// It is not one of ours.
    pub foreign: Option<Foreign>,
    /// It is going.
    pub lame: Option<LameDuck>,
    /// What its shards and its mesh said for the log, beyond debugging.
    pub log: Vec<(u64, String)>,
    /// It is there.
    pub up: bool,
    /// It stands still.
    pub paused: bool,
    /// It has died at least once.
    pub crashed: bool,
    /// How often it was started.
    pub lives: u64,
    /// All accounts that it has known since; empty: those it was started with.
    pub known: Vec<Account>,
}

impl Server {
    /// All servers of a run; those of a cluster begin without their mesh.
    pub fn all(plan: &Plan) -> Vec<Server> {
        let shards: Vec<usize> = match &plan.cluster {
            None => vec![plan.shards],
            Some(c) => c.members.iter().map(|m| m.shards).collect(),
        };
        let mut first = 0;
        let all = shards.into_iter().map(|shards| {
            let rings = RingSet::new(shards, plan.ring, plan.broken);
            first += shards;
            Server {
                first: first - shards,
                shards,
                rings,
                mesh: None,
                foreign: None,
                lame: None,
                log: Vec::new(),
                up: true,
                paused: false,
                crashed: false,
                lives: 0,
                known: Vec::new(),
            }
        });
        all.collect()
    }

    /// Its shards: the number among all, the server with the place there, and how many it has.
    pub fn places(&self, at: usize) -> impl Iterator<Item = (usize, (usize, usize), usize)> + use<> {
        let (first, shards) = (self.first, self.shards);
        (0..shards).map(move |local| (first + local, (at, local), shards))
    }

    /// Is this shard one of its own?
    pub fn owns(&self, shard: usize) -> bool {
        (self.first..self.first + self.shards).contains(&shard)
    }

    /// Does anything happen here?
    pub fn runs(&self) -> bool {
        self.up && !self.paused
    }

    /// Shards for which a letter of the mesh is ready.
    pub fn letters(&self) -> impl Iterator<Item = usize> + '_ {
        let ready = self.mesh.iter().flat_map(|m| m.letters());
        ready.map(|local| self.first + local)
    }
}
