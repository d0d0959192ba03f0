//! How many file descriptors this process may have, and who gets them: the one table. The boot asks before it starts
//! anything, so that a flood of clients finds the server's own, the shards' and monitoring's taken care of.

use nix::sys::resource::{getrlimit, setrlimit, Resource};

use super::monitor::CONNECTIONS_MAX;
use super::Refusal;
use crate::base::limits::{DIALS_MAX, FARS_MAX, HANDSHAKES_MAX, PEERS_MAX};

/// Opened once per server: the log file anew, while the old one is still open (1), the two ends that a signal's handler
/// writes to and its thread reads (2), the listeners of clients and of monitoring (2), the bell of the thread that
/// accepts and a client it refuses (2), the event queue of monitoring, its second handle and its bell (3), event queue and bell of each of the threads that shake
/// hands for TLS (6).
const SERVER: u64 = 1 + 2 + 2 + 2 + 3 + 6;
/// Opened for a moment: what `/varz` reads of `/proc`, the pid file, the ports file, what the resolver of names and the
/// list of interfaces open, and room for what nobody counts.
const MOMENTARY: u64 = 8;
/// Opened by each shard: the bell of its mail, the socket driver's epoll and its timer, the executor's three rings and
/// their bell.
const SHARD: u64 = 1 + 2 + 3 + 1;
/// Opened by a member of a cluster: the route listener, the event queue of the mesh, its bell and that one's second handle.
const CLUSTER: u64 = 1 + 1 + 2;
/// Routes, handshakes and dials get one of so many descriptors …
const ROUTES_SHARE: u64 = 8;
/// … but never fewer than these, nor more than there can be at a time.
const ROUTES_MIN: u64 = 8;
const ROUTES_MAX: u64 = (PEERS_MAX + HANDSHAKES_MAX + DIALS_MAX) as u64;
/// Opened by a server with gateways: their listener, and what the mesh has that drives them.
const GATEWAYS: u64 = 1 + CLUSTER;
/// Links to other clusters get as many as routes do, at the most for one to each other cluster and some in return.
const LINKS_MAX: u64 = (4 * FARS_MAX + HANDSHAKES_MAX + DIALS_MAX) as u64;
/// Monitoring gets one of so many descriptors …
const MONITORING_SHARE: u64 = 16;
/// … but never fewer than these connections, nor more than it serves at a time.
const MONITORING_MIN: u64 = 4;

/// Who may open how many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Clients.
    pub clients: u64,
    /// Requests to monitoring at a time.
    pub monitoring: usize,
}

/// Deals out what this process may open, after raising its soft limit to the hard one, as nats-server does. Where that
/// is forbidden the soft one stays.
///
/// # Errors
/// There is not one left for clients.
pub fn shares(shards: usize, clustered: bool, gateways: bool) -> Result<Shares, Refusal> {
    let limit = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() => hard,
        Ok((soft, _)) => soft,
        Err(_) => u64::MAX,
    };
    deal(limit, open_already(), shards, clustered, gateways)
}

/// Descriptors that whoever started us left open, and the log's; the three of every process where `/proc` does not tell.
fn open_already() -> u64 {
    // One of those found is the folder itself.
    std::fs::read_dir("/proc/self/fd").map_or(3, |open| (open.count() as u64).saturating_sub(1))
}

fn deal(limit: u64, open: u64, shards: usize, clustered: bool, gateways: bool) -> Result<Shares, Refusal> {
    let monitoring = (limit / MONITORING_SHARE).clamp(MONITORING_MIN, CONNECTIONS_MAX as u64);
    let cluster = match clustered {
        true => CLUSTER + (limit / ROUTES_SHARE).clamp(ROUTES_MIN, ROUTES_MAX),
        false => 0,
    };
    let gateways = match gateways {
        true => GATEWAYS + (limit / ROUTES_SHARE).clamp(ROUTES_MIN, LINKS_MAX),
        false => 0,
    };
    let cluster = cluster + gateways;
    let own = open + SERVER + MOMENTARY + SHARD * shards as u64 + monitoring + cluster;
    let clients = limit.saturating_sub(own);
    if clients == 0 {
        let what = format!(
            "too few file descriptors: {own} are needed for {shards} shards, monitoring, routes and the server itself, and one \
             for each client, RLIMIT_NOFILE is {limit}"
        );
        let remedy =
            "set LimitNOFILE=800000 in the systemd unit, or `ulimit -n 65536` in the shell that starts turnpike";
        return Err(Refusal::new(what, remedy));
    }
    Ok(Shares { clients, monitoring: monitoring as usize })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_get_is_what_the_others_leave() {
        let least = 3 + SERVER + MOMENTARY;
        let dealt = |limit, shards| deal(limit, 3, shards, false, false).map(|s| (s.clients, s.monitoring));
        assert_eq!(dealt(65_536, 8), Ok((65_536 - least - 8 * SHARD - 64, CONNECTIONS_MAX)));
        assert_eq!(dealt(128, 4), Ok((128 - least - 4 * SHARD - 8, 8)));
        assert_eq!(dealt(u64::MAX, 1), Ok((u64::MAX - least - SHARD - 64, CONNECTIONS_MAX)));
        let member = |limit| deal(limit, 3, 4, true, false).map(|s| (s.clients, s.monitoring));
        assert_eq!(member(65_536), Ok((65_536 - least - 4 * SHARD - 64 - CLUSTER - ROUTES_MAX, CONNECTIONS_MAX)));
        assert_eq!(member(128), Ok((128 - least - 4 * SHARD - 8 - CLUSTER - 16, 8)));
        assert_eq!(dealt(least + SHARD + MONITORING_MIN + 1, 1), Ok((1, 4)));
    }

    #[test]
    fn no_descriptor_for_clients_is_refused_with_the_line_that_fixes_it() {
        let refusal = deal(64, 3, 8, false, false).unwrap_err().to_string();
        assert!(refusal.starts_with("too few file descriptors: 87 are needed for 8 shards"), "{refusal}");
        assert!(refusal.contains("RLIMIT_NOFILE is 64 — set LimitNOFILE="), "{refusal}");
        assert!(deal(0, 3, 1, false, false).is_err());
        let alone = deal(65_536, 3, 4, true, false).unwrap().clients;
        assert_eq!(deal(65_536, 3, 4, true, true).unwrap().clients, alone - GATEWAYS - LINKS_MAX);
    }
}
