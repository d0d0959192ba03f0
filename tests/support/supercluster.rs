//! Super-clusters of real processes: clusters of any mixture of turnpikes and nats-servers, joined by gateways whose ports
//! are known before the servers run.

use super::cluster::{await_connected, free_port, routes, WHOLE};
use super::process::{try_monitoring, until};
use super::server::{shard_args, Server, Start, Which};
use serde_json::Value;

/// What is to be started. Every cluster but the first lists the first server of the first, and nobody else: one address is
/// enough to find all.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Who stands where: the servers of each cluster.
    pub who: Vec<Vec<Which>>,
    /// Shards of each turnpike.
    pub shards: usize,
    /// Added to the gateway block of turnpikes alone.
    pub ours: String,
    /// Added to everybody's gateway block.
    pub inside: String,
    /// Added to everybody's configuration.
    pub beside: String,
    /// Which clusters each cluster lists, by number.
    pub lists: Vec<Vec<usize>>,
}

impl Wish {
    /// These servers.
    pub fn of(who: Vec<Vec<Which>>) -> Wish {
        let lists = (0..who.len()).map(|c| if c == 0 { Vec::new() } else { vec![0] }).collect();
        let (ours, inside, beside) = (String::new(), String::new(), String::new());
        Wish { who, shards: 2, ours, inside, beside, lists }
    }

    /// Clusters of the server under test, of so many nodes each.
    pub fn sizes(sizes: &[usize]) -> Wish {
        Wish::of(sizes.iter().map(|n| vec![Which::under_test(); *n]).collect())
    }

    /// With so many shards each.
    pub fn shards(mut self, shards: usize) -> Wish {
        self.shards = shards;
        self
    }

    /// With a line for the gateway block of turnpikes alone.
    pub fn ours(mut self, line: &str) -> Wish {
        self.ours = line.into();
        self
    }

    /// With these lists, by number of cluster.
    pub fn lists(mut self, lists: &[&[usize]]) -> Wish {
        self.lists = lists.iter().map(|l| l.to_vec()).collect();
        self
    }

    /// Starts all, and waits until messages pass between any two.
    pub fn start(self) -> SuperCluster {
        let s = self.begin();
        s.await_whole();
        s
    }

    /// Starts all.
    pub fn begin(self) -> SuperCluster {
        let ports = |who: &[Vec<Which>]| -> Vec<Vec<u16>> {
            who.iter().map(|c| c.iter().map(|_| free_port()).collect()).collect()
        };
        let (gateways, routes) = (ports(&self.who), ports(&self.who));
        let mut s = SuperCluster { clusters: Vec::new(), gateways, routes, wish: self };
        for c in 0..s.wish.who.len() {
            let nodes = (0..s.wish.who[c].len()).map(|n| Server::from(s.plan(c, n)));
            let nodes = nodes.collect();
            s.clusters.push(nodes);
        }
        s
    }
}

/// What a cluster is called.
pub fn name(cluster: usize) -> String {
    char::from(b'A' + cluster as u8).to_string()
}

/// Entries of `gateways`: of each cluster the addresses given.
pub fn entries(of: &[(&str, &[u16])]) -> String {
    let entry = |(name, ports): &(&str, &[u16])| {
        let urls: Vec<String> = ports.iter().map(|p| format!("\"nats://127.0.0.1:{p}\"")).collect();
        format!("{{ name: {name}, urls: [{}] }}", urls.join(", "))
    };
    format!("[{}]", of.iter().map(entry).collect::<Vec<_>>().join(", "))
}

/// Running clusters.
pub struct SuperCluster {
    /// The servers of each.
    pub clusters: Vec<Vec<Server>>,
    /// Where each takes gateways.
    pub gateways: Vec<Vec<u16>>,
    /// Where each takes routes.
    pub routes: Vec<Vec<u16>>,
    wish: Wish,
}

impl SuperCluster {
    /// How one of them is started.
    pub fn plan(&self, c: usize, n: usize) -> Start {
        let which = &self.wish.who[c][n];
        Start::new(which, &self.conf(c, n), &shard_args(which, self.wish.shards))
    }

    /// The configuration of one of them.
    pub fn conf(&self, c: usize, n: usize) -> String {
        let which = &self.wish.who[c][n];
        let called: Vec<String> = self.wish.lists[c].iter().map(|other| name(*other)).collect();
        let listed = self.wish.lists[c].iter().zip(&called);
        let listed: Vec<(&str, &[u16])> =
            listed.map(|(o, called)| (called.as_str(), &self.gateways[*o][..1])).collect();
        self.conf_with(c, n, &entries(&listed), if which.is_turnpike() { &self.wish.ours } else { "" })
    }

    /// The same with another list of gateways, and more in the gateway block.
    pub fn conf_with(&self, c: usize, n: usize, list: &str, more: &str) -> String {
        let (called, inside, beside) = (name(c), &self.wish.inside, &self.wish.beside);
        // A single server needs no cluster.
        let cluster = match self.wish.who[c].len() {
            1 => String::new(),
            _ => format!(
                "cluster {{ name: {called}, listen: \"127.0.0.1:{}\", routes: {} }}\n",
                self.routes[c][n],
                routes(&self.routes[c][..1])
            ),
        };
        format!(
            "server_name: {called}{n}\n{beside}\n{cluster}gateway {{ name: {called}, listen: \"127.0.0.1:{}\"\n{inside}\n\
             {more}\ngateways: {list} }}\n",
            self.gateways[c][n]
        )
    }

    /// All servers, cluster by cluster.
    pub fn all(&self) -> Vec<&Server> {
        self.clusters.iter().flatten().collect()
    }

    /// All servers but this one.
    pub fn others(&self, c: usize, n: usize) -> Vec<&Server> {
        let all = self
            .clusters
            .iter()
            .enumerate()
            .flat_map(|(c, nodes)| nodes.iter().enumerate().map(move |(n, s)| (c, n, s)));
        all.filter(|(oc, on, _)| (*oc, *on) != (c, n)).map(|(.., s)| s).collect()
    }

    /// Waits until every server has an outbound link to each other cluster and messages pass between any two.
    pub fn await_whole(&self) {
        self.await_linked();
        await_connected(&self.all());
    }

    /// Waits until every server has an outbound link to each other cluster.
    pub fn await_linked(&self) {
        let wanted = self.clusters.len() - 1;
        for server in self.all() {
            until("an outbound link to each other cluster", WHOLE, || (linked(server).len() == wanted).then_some(()));
        }
    }

    /// To which server of cluster `to` messages of this server go.
    pub fn reached(&self, from: &Server, to: usize) -> Option<usize> {
        let id = linked(from).into_iter().find(|(cluster, _)| *cluster == name(to))?.1;
        self.clusters[to].iter().position(|s| s.id() == id)
    }
}

/// What `/gatewayz` says; nothing where the server does not answer.
pub fn gatewayz(server: &Server) -> Value {
    try_monitoring(server.monitor(), "/gatewayz?accs=1").unwrap_or_default()
}

/// The clusters a server has an outbound link to, each with the id of the server at the other end.
pub fn linked(server: &Server) -> Vec<(String, String)> {
    let page = gatewayz(server);
    let remotes = page["outbound_gateways"].as_object().cloned().unwrap_or_default().into_iter();
    remotes.filter_map(|(name, r)| Some((name, r["connection"]["name"].as_str()?.to_string()))).collect()
}

/// How many inbound links a server has.
pub fn inbound(server: &Server) -> usize {
    let page = gatewayz(server);
    let remotes = page["inbound_gateways"].as_object().cloned().unwrap_or_default();
    remotes.values().filter_map(|r| Some(r.as_array()?.len())).sum()
}
