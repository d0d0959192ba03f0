//! `turnpike plan`: how many connections clusters of given sizes have among themselves, against one big mesh. Arithmetic
//! alone: it asks no server.

use std::fmt::Write;

/// What `--help` prints.
pub const HELP: &str = "\
turnpike plan: how many connections servers have among themselves

Usage: turnpike plan SIZE [SIZE ...]
       turnpike plan MxN [MxN ...]

  SIZE  a cluster of so many servers            turnpike plan 3 3 5
  MxN   M clusters of N servers each            turnpike plan 20x50

Within a cluster every server has a route to every other: N(N-1)/2 connections for N servers. Between clusters every
server dials one server of each other cluster by gateway: messages leave on that connection, and as many come in on
those that others dialed. So of U servers in M clusters of N1, N2 ... servers

  gateways    N1(M-1) + N2(M-1) + ...           each is outbound at one end and inbound at the other
  routes      N1(N1-1)/2 + N2(N2-1)/2 + ...
  one mesh    U(U-1)/2                          what the same servers would need as one cluster

A server has its routes, M-1 outbound connections, and as many inbound ones as others happen to have dialed it: on
average as many as it has outbound where clusters are equal, and never more than all U-N servers elsewhere.
";

/// Servers in all that are reckoned with: beyond it numbers mean nothing, and do not overflow below it.
const SERVERS_MAX: u64 = 1_000_000;
/// Clusters that one line each is printed for; the rest is summed up.
const LINES_MAX: usize = 20;

/// What connections clusters of these sizes have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Servers of each cluster.
    pub sizes: Vec<u64>,
}

impl Plan {
    /// All servers.
    pub fn servers(&self) -> u64 {
        self.sizes.iter().sum()
    }

    /// Outbound gateway connections of all servers: Σ Nᵢ(M−1). As many are inbound: they are the same connections.
    pub fn outbound(&self) -> u64 {
        self.servers() * (self.sizes.len() as u64 - 1)
    }

    /// Inbound gateway connections of all servers, counted from the other end: each of the U−Nᵢ servers elsewhere dials
    /// one server of cluster i, Σ (U−Nᵢ).
    pub fn inbound(&self) -> u64 {
        self.sizes.iter().map(|n| self.servers() - n).sum()
    }

    /// Routes within the clusters: Σ Nᵢ(Nᵢ−1)/2.
    pub fn routes(&self) -> u64 {
        self.sizes.iter().map(|n| pairs(*n)).sum()
    }

    /// Routes of all servers as one cluster: U(U−1)/2.
    pub fn one_mesh(&self) -> u64 {
        pairs(self.servers())
    }

    /// The table.
    fn show(&self) -> String {
        let (servers, clusters) = (self.servers(), self.sizes.len());
        let others = clusters as u64 - 1;
        let mut out = format!("{servers} servers in {clusters} clusters\n\n");
        let _ = writeln!(
            out,
            "{:>9} {:>9} {:>9} {:>9} {:>9} {:>16}",
            "cluster", "servers", "routes", "outbound", "inbound", "each server has"
        );
        for (i, n) in self.sizes.iter().enumerate().take(LINES_MAX) {
            let (routes, outbound, inbound) = (pairs(*n), n * others, servers - n);
            let each = format!("{} + {others} + {:.1}", n - 1, inbound as f64 / *n as f64);
            let _ = writeln!(out, "{:>9} {n:>9} {routes:>9} {outbound:>9} {inbound:>9} {each:>16}", i + 1);
        }
        if clusters > LINES_MAX {
            let _ = writeln!(out, "{:>9} {} more", "...", clusters - LINES_MAX);
        }
        let (routes, outbound, inbound) = (self.routes(), self.outbound(), self.inbound());
        let _ = writeln!(out, "{:>9} {servers:>9} {routes:>9} {outbound:>9} {inbound:>9}\n", "all");
        let _ = writeln!(
            out,
            "connections with gateways  {:>12}  ({routes} routes, {outbound} gateways)",
            routes + outbound
        );
        let _ = writeln!(out, "connections as one mesh    {:>12}", self.one_mesh());
        out
    }
}

fn pairs(n: u64) -> u64 {
    n * n.saturating_sub(1) / 2
}

/// What the arguments ask for: text to print, or what is wrong with them.
///
/// # Errors
/// In words for people.
pub fn answer(args: &[String]) -> Result<String, String> {
    if args.iter().any(|a| matches!(a.as_str(), "-h" | "-help" | "--help")) {
        return Ok(HELP.into());
    }
    let plan = read(args)?;
    Ok(plan.show())
}

/// Reads sizes.
fn read(args: &[String]) -> Result<Plan, String> {
    let mut sizes = Vec::new();
    for arg in args {
        let wrong = || format!("{arg:?} is no size: write a number of servers, as 5, or clusters x servers, as 20x50");
        let (clusters, servers) = match arg.split_once(['x', 'X']) {
            Some((clusters, servers)) => (clusters.parse::<u64>().map_err(|_| wrong())?, servers),
            None => (1, arg.as_str()),
        };
        let servers: u64 = servers.parse().map_err(|_| wrong())?;
        if clusters == 0 || servers == 0 {
            return Err(wrong());
        }
        let all = sizes.iter().sum::<u64>() + clusters.saturating_mul(servers);
        if all > SERVERS_MAX {
            return Err(format!("more than {SERVERS_MAX} servers are not reckoned with"));
        }
        sizes.extend((0..clusters).map(|_| servers));
    }
    match sizes.is_empty() {
        true => {
            Err("name the sizes of the clusters, as in: turnpike plan 3 3 5 (turnpike plan --help tells more)".into())
        }
        false => Ok(Plan { sizes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(args: &str) -> Result<Plan, String> {
        read(&args.split(' ').map(String::from).collect::<Vec<_>>())
    }

    /// Every pair of servers, one by one.
    fn counted(sizes: &[u64]) -> (u64, u64, u64) {
        let servers: Vec<usize> = sizes.iter().enumerate().flat_map(|(c, n)| (0..*n).map(move |_| c)).collect();
        let (mut routes, mut gateways, mut mesh) = (0, 0, 0);
        for (i, a) in servers.iter().enumerate() {
            gateways += (0..sizes.len()).filter(|c| c != a).count() as u64;
            for b in &servers[i + 1..] {
                mesh += 1;
                routes += u64::from(a == b);
            }
        }
        (routes, gateways, mesh)
    }

    #[test]
    fn formulas_agree_with_counting() {
        for args in ["1", "3", "1 1", "2 3", "3x3", "1 2 3 4 5", "4x2 7", "20x5"] {
            let plan = plan(args).unwrap();
            let (routes, gateways, mesh) = counted(&plan.sizes);
            assert_eq!((plan.routes(), plan.outbound(), plan.one_mesh()), (routes, gateways, mesh), "{args}");
            assert_eq!(plan.inbound(), plan.outbound(), "{args}");
        }
        let big = plan("20x50").unwrap();
        assert_eq!((big.servers(), big.outbound(), big.routes(), big.one_mesh()), (1000, 19_000, 24_500, 499_500));
    }

    #[test]
    fn the_table_has_a_line_for_each_cluster_and_sums() {
        let text = answer(&["3".into(), "2X2".into()]).unwrap();
        let words = |needle: &str| -> Vec<String> {
            let line = text.lines().find(|l| l.trim_start().starts_with(needle)).unwrap_or_else(|| panic!("{text}"));
            line.split_whitespace().map(String::from).collect()
        };
        assert_eq!(words("1 ")[..5], ["1", "3", "3", "6", "4"]);
        assert_eq!(words("all")[1..], ["7", "5", "14", "14"]);
        assert_eq!(words("connections with")[3], "19");
        assert_eq!(words("connections as")[4], "21");
        assert!(answer(&["100x2".into()]).unwrap().contains("80 more"));
    }

    #[test]
    fn nonsense_is_refused_in_words_and_help_teaches() {
        for wrong in ["0", "x", "3x", "x3", "-1", "1.5", "0x5", "5x0", "99999999999999999999"] {
            assert!(plan(wrong).unwrap_err().contains("is no size"), "{wrong}");
        }
        for big in ["1000001", "1000000000x1000000000", "1000000 1"] {
            assert!(plan(big).unwrap_err().contains("more than 1000000"), "{big}");
        }
        assert!(answer(&[]).unwrap_err().contains("name the sizes"));
        assert!(answer(&["--help".into(), "x".into()]).unwrap().contains("N1(M-1)"));
    }
}
