//! What a scenario decides about a cluster before the world begins to move.

use super::rogue::Mischief;

/// The servers of a run.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// In order; a route names another by its place.
    pub members: Vec<Member>,
    /// Bytes that each direction of a route holds.
    pub window: usize,
    /// Servers that stay dead when everything else is healed.
    pub lost: Vec<usize>,
    /// Pairs that stay apart, for they refuse each other.
    pub strangers: Vec<(usize, usize)>,
    /// When these are healed, both must have said that they miss each other.
    pub named: Option<(usize, usize)>,
    /// Most dials between two servers, both ways together.
    pub dials: Option<usize>,
}

/// One server.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// Its shards.
    pub shards: usize,
    /// Whom it has in its list of routes.
    pub routes: Vec<usize>,
    /// Its server id, if it is not to be told by its place.
    pub id: Option<String>,
    /// The same for its name.
    pub name: Option<String>,
    /// The cluster's name; None: one is made up.
    pub cluster: Option<String>,
    /// User and password that it asks for, and presents.
    pub login: Option<(String, String)>,
    /// It is not there at the beginning.
    pub late: bool,
    /// Whose server it is.
    pub kind: Kind,
}

/// Whose server a member is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    #[default]
    Turnpike,
    /// A scripted nats-server; it has one shard, in name.
    Nats(Version),
    /// Somebody who keeps no rule; it has no shard.
    Rogue(Mischief),
}

/// A generation of nats-server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 2.9
    V29,
    /// 2.15
    V215,
}

/// What happens to servers or between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bytes of the first no longer reach the second; neither is told.
    Block(usize, usize),
    /// Bytes of the first wait on their way to the second, for less than a time after which anybody gives up.
    Stall(usize, usize),
    /// They go on.
    Flow(usize, usize),
    /// Both directions are blocked.
    Cut(usize, usize),
    /// All is well again between them.
    Heal(usize, usize),
    /// A server dies. `true`: its sockets say so.
    Kill(usize, bool),
    /// It comes back, under a new id.
    Start(usize),
    /// It stands still; its system goes on taking bytes in.
    Pause(usize),
    /// It goes on.
    Resume(usize),
    /// It is to go: its clients are told, and after a while sent away.
    LameDuck(usize),
    /// Memory is scarce everywhere, or no longer.
    Scarce(bool),
}

impl Cluster {
    /// Servers that all have the first in their list.
    pub fn star(shards: &[usize]) -> Cluster {
        let member = |(n, shards): (usize, &usize)| Member {
            shards: *shards,
            routes: if n == 0 { Vec::new() } else { vec![0] },
            cluster: Some("c1".into()),
            ..Member::default()
        };
        let members = shards.iter().enumerate().map(member).collect();
        Cluster { members, window: 1 << 16, lost: Vec::new(), strangers: Vec::new(), named: None, dials: None }
    }
}
