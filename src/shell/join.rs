//! How the server joins its cluster: the route listener, what peers and clients are told of its addresses, the mesh.

use super::address::{bind, client_urls, display};
use super::log::Log;
use super::mesh::{self, Letterbox, MeshDoor, Surroundings};
use super::refusal::Refusal;
use super::rings::Door;
use super::verify::Verifier;
use crate::base::Level;
use crate::mesh::{Identity, Setup};
use crate::policy::{Cluster, Settings};
use crate::shard;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

/// A cluster that is about to be joined.
pub struct Joining {
    cluster: Cluster,
    listener: Option<TcpListener>,
    /// Where routes come in; the client listener's where they have none of their own.
    pub at: SocketAddr,
    door: MeshDoor,
    letters: Letterbox,
}

impl Joining {
    /// Opens the route listener; None without a cluster.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn prepare(settings: &Settings, clients: SocketAddr) -> Result<Option<Joining>, Refusal> {
        let Some(cluster) = settings.cluster.clone() else { return Ok(None) };
        let listener = cluster.listen.as_ref().map(bind).transpose()?;
        let read = |e: std::io::Error| Refusal::new(format!("cannot prepare the cluster: {e}"), "raise LimitNOFILE");
        let at = listener.as_ref().map_or(Ok(clients), TcpListener::local_addr).map_err(read)?;
        let (door, letters) = mesh::door().map_err(read)?;
        Ok(Some(Joining { cluster, listener, at, door, letters }))
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
        let Neighbours { settings, identity, doors, clients, numbers, verifier, seed, log } = with;
        let listen = self.cluster.listen.as_ref().unwrap_or(&settings.listen);
        let (host, port) = (listen.host.clone(), self.at.port());
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
            numbers,
            verifier,
            log: log.clone(),
            client_urls: client_urls(settings, clients),
        };
        mesh::start(setup, self.door, self.letters, around)
            .map_err(|e| Refusal::new(format!("cannot start the cluster: {e}"), "raise LimitNOFILE and TasksMax"))
    }
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
    /// The numbers of connections.
    pub numbers: Arc<AtomicU64>,
    /// Compares passwords.
    pub verifier: Verifier,
    /// Decides the mesh's choices.
    pub seed: u64,
    /// Log lines.
    pub log: &'a Log,
}
