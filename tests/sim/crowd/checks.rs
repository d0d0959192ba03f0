//! What must hold of a crowd that is left in peace: the connections are those of `turnpike plan`, nobody misses anything,
//! nobody dialed more than it takes, and whoever wants something gets it from everywhere.

use super::client::Client;
use super::traffic::{client_of, say, ALL, OWN};
use super::wires::Use;
use super::world::{World, ACCOUNTS};
use std::collections::BTreeSet;
use turnpike::base::limits::HANDSHAKES_MAX;
use turnpike::base::SECOND;
use turnpike::cli::plan::Plan;

/// All must be joined after so long.
const WHOLE_NS: u64 = 30 * SECOND;
/// Then nothing more happens for so long: second connections are gone by then, links have lasted, troubles would be said.
const PEACE_NS: u64 = 15 * SECOND;

/// What is said at both ends when more than `HANDSHAKES_MAX` connections come at a time, and in sum afterwards.
const CROWDED: [&str; 2] = ["gave way: too many connections", "left: the peer closed it"];

/// How it came together.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Connections as planned.
    pub plan: Plan,
    /// From the start until all were there, nanoseconds.
    pub took_ns: u64,
    /// Dials of routes.
    pub route_dials: u64,
    /// Dials of gateways.
    pub gateway_dials: u64,
    /// The most inbound links of one server.
    pub inbound_max: usize,
    /// Connections that were turned away, for too many came to one server at a time; they come again.
    pub crowded: u64,
    /// Bytes that servers said to each other about who is where, and that they are there.
    pub bytes: u64,
}

/// Open connections of this kind.
fn open(w: &World, what: Use) -> u64 {
    w.wires.iter().filter(|x| x.what == what && x.is_open()).count() as u64
}

/// Lets the servers find each other.
pub fn found(w: &mut World) -> Result<Founding, String> {
    let plan = Plan { sizes: vec![w.shape.servers as u64; w.shape.clusters] };
    let begun = w.now;
    let whole = |w: &mut World| {
        let at_peace = |w: &World| w.servers.iter().flatten().all(|s| s.handshakes() == 0);
        open(w, Use::Route) == plan.routes() && open(w, Use::Gateway) == plan.outbound() && at_peace(w)
    };
    while w.wrong.is_none() && !whole(w) {
        if w.now - begun > WHOLE_NS {
            let is = (open(w, Use::Route), open(w, Use::Gateway));
            let should = (plan.routes(), plan.outbound());
            let complaints: Vec<&String> = w.servers.iter().flatten().flat_map(|s| &s.complaints).take(5).collect();
            return Err(format!("I15: routes and gateways are {is:?}, should be {should:?}; {complaints:?}"));
        }
        w.run_for(SECOND / 10);
    }
    let took_ns = w.now - begun;
    let bytes = w.meter.routes.bytes + w.meter.gateways.bytes;
    w.run_for(PEACE_NS);
    w.wrong.clone().map_or(Ok(()), Err)?;
    if !whole(w) {
        return Err("I8: connections came and went after all were there".into());
    }
    let mut founding = Founding { plan, took_ns, route_dials: 0, gateway_dials: 0, inbound_max: 0, crowded: 0, bytes };
    complete(w, &mut founding)?;
    Ok(founding)
}

/// Every server has its routes and links, and knows of nothing that is amiss (I8, I15, I20).
fn complete(w: &mut World, f: &mut Founding) -> Result<(), String> {
    let (mut inbound, mut outbound, mut routes) = (0, 0, 0);
    for at in 0..w.servers.len() {
        let (clusters, servers) = (w.shape.clusters, w.shape.servers);
        let s = w.server(at);
        let (mesh, gates) = (s.mesh.report(), s.gates.report());
        let out: BTreeSet<&str> = gates.links.iter().filter(|l| l.far.is_some()).map(|l| l.cluster.as_str()).collect();
        let (here, there) = (gates.links.iter().filter(|l| l.far.is_none()).count(), gates.links.len());
        let ways = there - here;
        if mesh.routes.len() != servers - 1 || ways != clusters - 1 || out.len() != ways || gates.expected != ways {
            let (routes, expected) = (mesh.routes.len(), gates.expected);
            return Err(format!("I8: server {at} has {routes} routes, {ways} links to {out:?}, expects {expected}"));
        }
        let unready: Vec<String> = s.mesh.unready().into_iter().chain(s.gates.unready()).collect();
        // Where all hear of one server of a cluster first they all dial it, and some have to come again.
        let crowd = |text: &&String| CROWDED.iter().any(|words| text.contains(words));
        f.crowded += s.complaints.iter().filter(crowd).count() as u64;
        let said: Vec<&String> = s.complaints.iter().filter(|c| !crowd(c)).collect();
        if !mesh.missing.is_empty() || !gates.troubles.is_empty() || !unready.is_empty() || !said.is_empty() {
            let (missing, troubles) = (mesh.missing, gates.troubles);
            return Err(format!("I15: server {at} misses {missing:?}, {troubles:?}, {unready:?}; says {said:?}"));
        }
        let hasty = |times: &Vec<u64>| times.windows(2).any(|t| t[1] - t[0] < SECOND);
        if let Some((to, times)) = s.gateway_dials.iter().find(|(_, times)| hasty(times)) {
            return Err(format!("I20: server {at} dials the gateway of {to} at {times:?}"));
        }
        f.route_dials += s.route_dials.values().map(|n| u64::from(*n)).sum::<u64>();
        f.gateway_dials += s.gateway_dials.values().map(|times| times.len() as u64).sum::<u64>();
        f.inbound_max = f.inbound_max.max(here);
        (inbound, outbound, routes) =
            (inbound + here as u64, outbound + ways as u64, routes + mesh.routes.len() as u64);
    }
    let plan = &f.plan;
    if (outbound, inbound, routes) != (plan.outbound(), plan.inbound(), 2 * plan.routes()) {
        return Err(format!("I8: {outbound} outbound, {inbound} inbound, {routes} ends of routes: {plan:?}"));
    }
    if f.crowded > 0 && w.shape.all() <= HANDSHAKES_MAX {
        return Err(format!("I15: {} connections were turned away", f.crowded));
    }
    if f.route_dials > 2 * plan.routes() || f.gateway_dials > 2 * plan.outbound() {
        let (r, g) = (f.route_dials, f.gateway_dials);
        return Err(format!("I20: {r} dials for {} routes, {g} for {} gateways", plan.routes(), plan.outbound()));
    }
    Ok(())
}

/// A client in each account on every server, with its subscriptions.
pub fn settle_in(w: &mut World) -> Result<(), String> {
    for server in 0..w.shape.all() {
        for account in 0..ACCOUNTS.len() {
            let client = w.join(Client::of(server, account));
            let subs = format!("SUB {OWN}.{server} 1\r\nSUB {ALL} 2\r\nSUB jobs workers 3\r\nPING\r\n");
            say(w, client, &subs);
        }
    }
    w.settle();
    let silent = w.clients.iter().position(|c| c.pongs < 2);
    silent.map_or(Ok(()), |c| Err(format!("I13: client {c} gets no answer")))
}

/// Everybody publishes to what all want, and one server of each cluster to what each alone wants: all of it arrives, once.
pub fn reach_everywhere(w: &mut World) -> Result<(), String> {
    let all = w.shape.all();
    let before: Vec<[u64; 16]> = w.clients.iter().map(|c| c.heard).collect();
    for account in 0..ACCOUNTS.len() {
        for server in 0..all {
            let client = client_of(server, account);
            let mut text = format!("PUB {ALL} 1\r\nx\r\n");
            if server % w.shape.servers == w.cluster_of(server) % w.shape.servers {
                (0..all).for_each(|to| text += &format!("PUB {OWN}.{to} 1\r\nx\r\n"));
            }
            say(w, client, &text);
            if server % 50 == 49 {
                w.settle();
            }
        }
        w.settle();
    }
    for (c, client) in w.clients.iter().enumerate() {
        let of_all = client.heard[2] - before[c][2];
        let own = client.heard[1] - before[c][1];
        if (of_all, own) != (all as u64, w.shape.clusters as u64) {
            let should = (all, w.shape.clusters);
            return Err(format!("I1, I3: client {c} hears {of_all} and {own} messages, not {should:?}"));
        }
    }
    w.wrong.clone().map_or(Ok(()), Err)
}
