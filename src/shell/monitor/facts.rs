//! What monitoring knows without asking a shard. One per process, shared; made by the boot, kept current by whoever
//! accepts connections.

use super::json::Nothing;
use super::loads::Loads;
use super::rate::Rate;
use crate::policy::Settings;
use crate::shell::address::advertised;
use crate::shell::mesh::MeshDoor;
use crate::shell::meter::Meter;
use crate::shell::scarcity::Pressure;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::Arc;

/// See the file's head.
#[derive(Debug)]
pub struct Facts {
    /// What the operator decided.
    pub settings: Arc<Settings>,
    /// Unique in the world.
    pub server_id: String,
    /// As configured, else the id.
    pub server_name: String,
    /// The port that clients come in at.
    pub port: u16,
    /// Started at, nanoseconds since 1970.
    pub start_ns: u64,
    /// Cores this process may run on.
    pub cores: usize,
    /// One entry per shard: the core it is pinned to.
    pub pins: Vec<Option<u16>>,
    /// Cores that no shard is pinned to, for the thread that answers; empty: it runs wherever the kernel likes.
    pub free_cpus: Vec<u16>,
    /// Connections refused because too many wrong passwords came from their address.
    pub guessers_refused: AtomicU64,
    /// Client connections accepted since the start.
    pub accepted: AtomicU64,
    /// Client connections taken from the listener, also those for which there was no descriptor left.
    pub accepts: Rate,
    /// Are clients let in? False before the listener is up, in a lame duck and at the end.
    pub listening: AtomicBool,
    /// How short of memory the server is.
    pub pressure: Arc<Pressure>,
    /// The way to the mesh, if the server is in a cluster.
    pub mesh: Option<MeshDoor>,
    /// Where routes come in; 0 without a cluster.
    pub cluster_port: u16,
    /// Where gateways come in; 0 without.
    pub gateway_port: u16,
    /// What was to be told in the system account, or asked of it, and found no room.
    pub events_lost: Arc<AtomicU64>,
    /// What the shards do with their time, in order of shards.
    pub meters: Vec<Arc<Meter>>,
    /// When the configuration was read, and what a reload would do.
    pub loads: Loads,
}

impl Facts {
    /// Host and port that INFO tells clients.
    pub fn told(&self) -> (String, u16) {
        advertised(&self.loads.in_force(&self.settings), self.port)
    }

    /// The name of the system account, if there is one.
    pub fn system_account(&self) -> Option<&str> {
        let auth = &self.settings.auth;
        auth.accounts.get(auth.system?).map(|a| a.name.as_str())
    }

    /// The settings in force.
    pub fn live(&self) -> Arc<Settings> {
        self.loads.in_force(&self.settings)
    }

    /// Is there an account of this name?
    pub fn has_account(&self, name: &str) -> bool {
        self.live().auth.present().any(|(_, a)| a.name == name)
    }
}

/// A count per kind of connection.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ByKind {
    /// Of clients.
    pub clients: u64,
    /// Of routes.
    pub routes: u64,
    /// Of gateways.
    pub gateways: u64,
    /// Of leaf nodes.
    pub leafs: u64,
}

/// A section of a service that is not in use.
pub const UNUSED: Nothing = Nothing {};
