//! What a scenario decides about a cluster before the world begins to move.

use super::rogue::Mischief;
use turnpike::policy::{Borders, Gateway, GatewayInterest};

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
    /// How long bytes are under way between two clusters, nanoseconds; none is far away where this is empty.
    pub distances: Vec<((usize, usize), u64)>,
    /// The rules of each cluster's border, before and after they change; empty: there are none.
    pub rules: Vec<[Borders; 2]>,
    /// They have changed.
    pub reloaded: bool,
    /// Nothing but answers that are too late or too many is held back on receipt.
    pub only_answers: bool,
    /// What other clusters say of theirs is made ready seconds later.
    pub slow_rules: bool,
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
    /// It has permissions of routes, which allow all.
    pub rules: bool,
    /// It is not there at the beginning.
    pub late: bool,
    /// Whose server it is.
    pub kind: Kind,
    /// Its gateway to other clusters.
    pub gate: Option<Gate>,
}

/// What a server's gateway is like.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Clusters in its list, each with a server of it.
    pub lists: Vec<(String, usize)>,
    /// How its cluster wants to be sent messages.
    pub interest: GatewayInterest,
    /// Refused subjects of an account after which its whole interest is told.
    pub refused_max: usize,
    /// Further rounds of dials to a cluster that is not in the list.
    pub retries: u32,
    /// The address that it tells others instead of its own.
    pub advertise: Option<String>,
    /// A nats-server that knows only the old form of replies.
    pub old_replies: bool,
}

impl Default for Gate {
    fn default() -> Gate {
        let interest = GatewayInterest::Auto;
        let refused_max = Gateway::default().no_interest_max;
        Gate { lists: Vec::new(), interest, refused_max, retries: 0, advertise: None, old_replies: false }
    }
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

impl Kind {
    /// What a rogue is up to.
    pub fn mischief(&self) -> Option<&Mischief> {
        match self {
            Kind::Rogue(mischief) => Some(mischief),
            _ => None,
        }
    }
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
    /// The first's dials to the gateway of the second fail: refused, or lost on their way (`true`).
    Bar(usize, usize, bool),
    /// Nothing; but who has no way back to a cluster, and who is not reached back, must have said so.
    Named,
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
    /// All clusters are given their other rules.
    Reload,
    /// A server reads another login for routes.
    Login(usize),
    /// A server reads other permissions of routes, which say the same: its routes are made anew.
    Rules(usize),
    /// There is a user more, everywhere: nobody who is here notices.
    Users,
}

impl Cluster {
    /// The number of each server's cluster; all 0 where there is one.
    pub fn numbers(&self) -> Vec<usize> {
        let name = |m: &Member| m.gate.as_ref().and(m.cluster.clone());
        let mut names: Vec<Option<String>> = Vec::new();
        let number = |m: &Member| {
            let name = name(m);
            names.iter().position(|n| *n == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            })
        };
        self.members.iter().map(number).collect()
    }

    /// The rules of a server's cluster as they are now.
    pub fn borders(&self, at: usize) -> Borders {
        let rules = self.rules.get(self.numbers()[at]);
        rules.map(|r| r[usize::from(self.reloaded)].clone()).unwrap_or_default()
    }

    /// How far two clusters are apart.
    pub fn distance(&self, a: usize, b: usize) -> u64 {
        let pair = (a.min(b), a.max(b));
        self.distances.iter().find(|(of, _)| *of == pair).map_or(0, |(_, ns)| *ns)
    }

    /// Servers that all have the first in their list.
    pub fn star(shards: &[usize]) -> Cluster {
        let member = |(n, shards): (usize, &usize)| Member {
            shards: *shards,
            routes: if n == 0 { Vec::new() } else { vec![0] },
            cluster: Some("c1".into()),
            ..Member::default()
        };
        let members = shards.iter().enumerate().map(member).collect();
        let (lost, strangers, distances) = (Vec::new(), Vec::new(), Vec::new());
        let (rules, reloaded, slow_rules, only_answers) = (Vec::new(), false, false, false);
        let (window, named, dials) = (1 << 16, None, None);
        Cluster { members, window, lost, strangers, named, dials, distances, rules, reloaded, slow_rules, only_answers }
    }
}
