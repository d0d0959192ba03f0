//! How the server joins its cluster and others: the listeners of routes and of gateways, what peers, other clusters and
//! clients are told of its addresses, the mesh and the gateways' machine.

use super::address::{bind, client_urls, display, reachable};
use super::log::Log;
use super::mesh::{self, Letterbox, MeshDoor, Surroundings};
use super::refusal::Refusal;
use super::rings::Door;
use super::tls::Settled;
use super::verify::Verifier;
use crate::base::Level;
use crate::gateways;
use crate::mesh::{Identity, Setup};
use crate::policy::{Cluster, Gateway, Settings};
use crate::shard;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

/// A cluster that is about to be joined.
pub struct Joining {
    cluster: Cluster,
    listener: Option<TcpListener>,
    /// Where routes come in, the client listener's where they have none of their own; None: nowhere.
    at: Option<SocketAddr>,
    gateway: Option<(Gateway, TcpListener)>,
    door: MeshDoor,
    letters: Letterbox,
}

impl Joining {
    /// Opens the listeners of routes and gateways; None without a cluster and without gateways.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn prepare(settings: &Settings, clients: SocketAddr) -> Result<Option<Joining>, Refusal> {
        // A single server with gateways is a cluster of one, which takes no routes.
        let alone = |g: &Gateway| Cluster { name: Some(g.name.clone()), ..Cluster::default() };
        let cluster = settings.cluster.clone().or_else(|| settings.gateway.as_ref().map(alone));
        let Some(cluster) = cluster else { return Ok(None) };
        let listener = cluster.listen.as_ref().map(bind).transpose()?;
        let gateway = settings.gateway.as_ref().map(|g| Ok((g.clone(), bind(&g.listen)?))).transpose()?;
        let read = |e: std::io::Error| Refusal::new(format!("cannot prepare the cluster: {e}"), "raise LimitNOFILE");
        let at = listener.as_ref().map_or(Ok(clients), TcpListener::local_addr).map_err(read)?;
        let at = settings.cluster.is_some().then_some(at);
        let (door, letters) = mesh::door().map_err(read)?;
        Ok(Some(Joining { cluster, listener, at, gateway, door, letters }))
    }

    /// Do routes come in on a port of their own?
    pub fn has_listener(&self) -> bool {
        self.listener.is_some()
    }

    /// Where routes come in, and the port of gateways; 0 without.
    pub fn ports(&self) -> (Option<SocketAddr>, u16) {
        let gateways = self.gateway.as_ref().and_then(|(_, listener)| listener.local_addr().ok());
        (self.at, gateways.map_or(0, |at| at.port()))
    }

    /// The way to the mesh, which has not begun yet.
    pub fn door(&self) -> MeshDoor {
        self.door.clone()
    }

    /// Begins to dial and to accept routes.
    ///
    /// # Errors
    /// The system has no more threads or descriptors.
    pub fn start(self, with: Neighbours<'_>) -> Result<mesh::Running, Refusal> {
        let gateways = self.gateway.map(|(gateway, listener)| gateways_of(gateway, listener, &with)).transpose()?;
        let Neighbours { settings, identity, doors, clients, tls, numbers, verifier, seed, log } = with;
        let listen = self.cluster.listen.as_ref().unwrap_or(&settings.listen);
        let (host, port) = (listen.host.clone(), self.at.map_or(0, |at| at.port()));
        if self.listener.is_some() {
            log.line(Level::Info, format!("Listening for route connections on {}", display(&host, port)));
        }
        let identity = Identity {
            server_id: identity.server_id.clone(),
            server_name: identity.server_name.clone(),
            host,
            port,
            max_payload: settings.limits.max_payload,
            headers: settings.headers,
        };
        let setup = Setup { shards: doors.len(), seed, cluster: self.cluster, identity };
        let around = Surroundings {
            doors,
            listener: self.listener,
            gateways,
            tls,
            numbers,
            verifier,
            log: log.clone(),
            client_urls: client_urls(settings, clients),
        };
        mesh::start(setup, self.door, self.letters, around)
            .map_err(|e| Refusal::new(format!("cannot start the cluster: {e}"), "raise LimitNOFILE and TasksMax"))
    }
}

/// What the gateways' machine is made from, and its listener.
fn gateways_of(
    gateway: Gateway,
    listener: TcpListener,
    with: &Neighbours<'_>,
) -> Result<(gateways::Setup, TcpListener), Refusal> {
    let read = |e: std::io::Error| Refusal::new(format!("cannot prepare the gateways: {e}"), "raise LimitNOFILE");
    let at = listener.local_addr().map_err(read)?;
    with.log.line(
        Level::Info,
        format!(
            "Gateway name is {}, listening for gateways connections on {}",
            gateway.name,
            display(&gateway.listen.host, at.port())
        ),
    );
    let identity = gateways::Identity {
        server_id: with.identity.server_id.clone(),
        server_name: with.identity.server_name.clone(),
        host: reachable(&gateway.listen, at),
        port: at.port(),
        max_payload: with.settings.limits.max_payload,
        headers: with.settings.headers,
    };
    // Another seed than the mesh's, for other choices.
    let seed = with.seed.rotate_left(32);
    let auth = &with.settings.auth;
    let accounts = auth.accounts.iter().map(|a| a.name.clone()).collect();
    let (shards, system) = (with.doors.len(), auth.system);
    Ok((gateways::Setup { shards, seed, gateway, identity, accounts, system }, listener))
}

/// What a mesh needs of the rest of the server.
pub struct Neighbours<'a> {
    /// What the operator decided.
    pub settings: &'a Settings,
    /// Who the server is.
    pub identity: &'a shard::Identity,
    /// The shards.
    pub doors: Vec<Door>,
    /// Where clients come in.
    pub clients: SocketAddr,
    /// How routes and links to other clusters speak TLS.
    pub tls: Settled,
    /// The numbers of connections.
    pub numbers: Arc<AtomicU64>,
    /// Compares passwords.
    pub verifier: Verifier,
    /// Decides the mesh's choices.
    pub seed: u64,
    /// Log lines.
    pub log: &'a Log,
}
