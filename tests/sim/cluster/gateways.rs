//! The machine of a server's gateways in its surroundings: the part that `shell/mesh/gateways.rs` plays in production.
//! Its connections, dials and letters are kept with those of the mesh, which the same thread drives.

use super::super::case::{Broken, Plan};
use super::super::node::settings;
use super::super::world::World;
use super::member::{fits, ip, moment, server_id, Attempt, Dialing, Letter, Member, GATEWAY_PORT};
use super::plan::Cluster;
use std::collections::{BTreeMap, VecDeque};
use turnpike::base::{Cid, ShardId, MILLISECOND, SECOND};
use turnpike::conn::{GatewayInstruction, GatewayTidings, TheirRules};
use turnpike::gateways::{Act, Dial, Gateways, Identity, Setup};
use turnpike::policy::{Borders, Gateway, RemoteGateway, RouteUrl, Settings};
use turnpike::shard::Order;

/// See the file's head.
pub struct Gates {
    /// The machine under test.
    pub machine: Gateways,
    /// When each host was dialed.
    pub dialed: BTreeMap<String, Vec<u64>>,
    /// What shards pass on of other clusters' words, and when it is heard, where that takes long.
    late: VecDeque<(u64, ShardId, GatewayTidings)>,
}

/// So long it takes.
const LATE_NS: u64 = 4 * SECOND;

/// What the operator of a server has decided about its gateway.
pub fn gateway(cluster: &Cluster, at: usize) -> Option<Gateway> {
    let member = &cluster.members[at];
    let gate = member.gate.as_ref()?;
    let mut remotes: Vec<RemoteGateway> = Vec::new();
    for (name, server) in &gate.lists {
        let url = RouteUrl { host: ip(*server), port: GATEWAY_PORT, login: None };
        match remotes.iter_mut().find(|r| r.name == *name) {
            Some(remote) => remote.urls.push(url),
            None => remotes.push(RemoteGateway { name: name.clone(), urls: vec![url], entries: 1, tls: None }),
        }
    }
    Some(Gateway {
        name: member.cluster.clone().unwrap_or_default(),
        remotes,
        interest: gate.interest,
        no_interest_max: gate.refused_max,
        connect_retries: gate.retries,
        advertise: gate.advertise.clone(),
        borders: cluster.borders(at),
        ..Gateway::default()
    })
}

impl Gates {
    /// The machine of member `at` in its n-th life; None: it has no gateway.
    pub fn new(plan: &Plan, at: usize, life: u64, seed: u64, now: u64) -> Option<Gates> {
        let cluster = plan.cluster.as_ref()?;
        let member = &cluster.members[at];
        let identity = Identity {
            server_id: server_id(cluster, at, life),
            server_name: member.name.clone().unwrap_or_else(|| format!("n{at}")),
            host: ip(at),
            port: GATEWAY_PORT,
            max_payload: 1 << 20,
            headers: true,
        };
        let Settings { gateway, auth, .. } = settings(plan, at);
        let mut gateway = gateway?;
        // Broken on purpose: they are told all the same.
        if plan.broken == Broken::TakesAll {
            gateway.borders = cluster.borders(at);
        }
        let accounts = auth.accounts.into_iter().map(|a| a.name).collect();
        let (shards, seed, system) = (member.shards, seed.rotate_left(32), auth.system);
        let setup = Setup { shards, seed, gateway, identity, accounts, system };
        Some(Gates { machine: Gateways::new(setup, moment(now)), dialed: BTreeMap::new(), late: VecDeque::new() })
    }
}

impl Member {
    /// Other rules hold at the border: what a server is told at a reload.
    pub(super) fn set_borders(&mut self, now: u64, borders: &Borders) {
        self.with(now, |_| ());
        if let Some(gates) = &mut self.gates {
            gates.machine.set_borders(borders);
        }
        self.plan_ahead();
    }

    /// A shard says something of a link to another cluster.
    pub(super) fn gateway_tidings(&mut self, w: &World, shard: ShardId, tidings: GatewayTidings) {
        let slow = w.case.plan.cluster.as_ref().is_some_and(|c| c.slow_rules && c.reloaded);
        let Some(gates) = &mut self.gates else { return };
        match tidings {
            GatewayTidings::Info { .. } if slow => gates.late.push_back((w.now + LATE_NS, shard, tidings)),
            other => gates.machine.tidings(shard, other),
        }
    }

    /// What was heard late is heard now.
    pub(super) fn hear_late(&mut self, now: u64) {
        let Some(gates) = &mut self.gates else { return };
        let due = gates.late.partition_point(|(at, ..)| *at <= now);
        for (_, shard, tidings) in gates.late.drain(..due) {
            gates.machine.tidings(shard, tidings);
        }
    }

    /// When there is something of the kind.
    pub(super) fn late_at(&self) -> Option<u64> {
        self.gates.as_ref()?.late.front().map(|(at, ..)| *at)
    }

    /// The outcome of a dial to another cluster.
    pub(super) fn gateway_dialed(&mut self, dial: Dial, outcome: Result<(Cid, String, u16), String>) {
        if let Some(gates) = &mut self.gates {
            gates.machine.dialed(dial, outcome);
        }
    }

    /// Does what the machine asks for; true: there was something.
    pub(super) fn carry_out_for_gateways(&mut self, w: &mut World) -> bool {
        let mut some = false;
        let deaf = w.case.plan.broken == Broken::DeafToRules;
        while let Some(act) = self.gates.as_mut().and_then(|g| g.machine.poll()) {
            some = true;
            match act {
                Act::Dial { dial, host, .. } => self.dial_gateway(w, dial, host),
                Act::Write { link, bytes } => self.say(w, link, &bytes),
                Act::Close { link } => self.close(link),
                Act::Give { link, shard, mut intro } => {
                    if deaf {
                        intro.theirs = TheirRules::default();
                    }
                    if let Some(hand) = self.hands.get_mut(&link) {
                        hand.given = true;
                        self.out[shard.index()].push_back(Letter::Gateway(link, intro));
                    }
                }
                // Broken on purpose.
                Act::Tell { instruction: GatewayInstruction::TheirRules { .. }, .. } if deaf => {}
                Act::Tell { shard, instruction } => {
                    self.out[shard.index()].push_back(Letter::Order(Order::InstructGateway(instruction)));
                }
                Act::Verify { link, proof, .. } => {
                    if let Some(gates) = &mut self.gates {
                        gates.machine.verified(link, fits(&proof));
                    }
                }
                Act::Members { to, line } => self.mesh.say_about_gateways(to, &line),
                Act::Reaches(clusters) => self.mesh.reaches_clusters(clusters),
                Act::Border(digest) => self.mesh.border(digest),
                Act::EndMember { peer, says, why } => self.mesh.end_for_border(peer, &says, &why),
                Act::Log { level, text } => self.note_log(w, level, text),
            }
        }
        some
    }

    fn dial_gateway(&mut self, w: &mut World, dial: Dial, host: String) {
        let target = (0..w.servers.len()).find(|n| ip(*n) == host);
        let barred = target.and_then(|t| w.barred.get(&(self.at, t)).copied());
        let lost = match target {
            Some(t) => barred == Some(true) || w.apart(self.at, t) || w.servers[t].paused && w.rng.one_in(2),
            // Nobody lives there; that it is so is found out or not.
            None => w.rng.one_in(2),
        };
        let wait = if lost { SECOND } else { w.rng.below(3 * MILLISECOND) };
        if let Some(gates) = &mut self.gates {
            gates.dialed.entry(host).or_default().push(w.now);
        }
        let barred = barred.map(|lost| if lost { "timed out" } else { "connection refused" });
        self.dials.push(Dialing { attempt: Attempt::Gateway(dial), target, due: w.now + wait, barred });
    }
}
