//! All that a configuration says of TLS, as it is used: read at the start, by `-t` and at each reload, all of it or nothing.

use super::between::{Between, Ends};
use super::{Acceptor, Gate, Threads};
use crate::policy::{Settings, Tls};
use crate::shell::log::Log;
use rustls::ServerConfig;
use std::sync::{Arc, Mutex, PoisonError};

/// What the files say now.
pub struct Fresh {
    clients: Option<Acceptor>,
    monitor: Option<Arc<ServerConfig>>,
    routes: Ends,
    gateways: Ends,
}

impl Fresh {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with which file, for the operator.
    pub fn read(settings: &Settings) -> Result<Fresh, String> {
        // Whoever looks at monitoring is not asked for a certificate.
        let shown = |tls: &Tls| Acceptor::new(&Tls { verify: false, ..tls.clone() }).map(|a| a.config);
        Ok(Fresh {
            clients: settings.tls.as_ref().map(Acceptor::new).transpose()?,
            monitor: settings.tls.as_ref().filter(|_| settings.https).map(shown).transpose()?,
            routes: settings.cluster.as_ref().map(Ends::of_routes).transpose()?.unwrap_or_default(),
            gateways: settings.gateway.as_ref().map(Ends::of_gateways).transpose()?.unwrap_or_default(),
        })
    }
}

/// How monitoring is served, if over TLS.
pub type Shown = Arc<Mutex<Arc<ServerConfig>>>;

/// Who speaks TLS, and how; cheap to clone.
#[derive(Clone)]
pub struct Settled {
    /// Clients.
    pub clients: Arc<Gate>,
    /// Monitoring.
    pub monitor: Option<Shown>,
    /// Routes.
    pub routes: Arc<Between>,
    /// Links to other clusters.
    pub gateways: Arc<Between>,
    /// Shake hands with servers.
    servers: Arc<Threads>,
}

impl Settled {
    /// Starts the threads that are needed.
    ///
    /// # Errors
    /// There are no threads or descriptors left.
    pub fn new(fresh: Fresh, log: &Log) -> std::io::Result<Settled> {
        let servers = Arc::new(Threads::of_servers());
        let between = || Arc::new(Between::new(servers.clone(), log.clone()));
        let settled = Settled {
            clients: Arc::new(Gate::new(Threads::of_clients(), log.clone())),
            monitor: fresh.monitor.clone().map(|config| Arc::new(Mutex::new(config))),
            routes: between(),
            gateways: between(),
            servers: servers.clone(),
        };
        settled.prepare(&fresh)?;
        settled.change(fresh);
        Ok(settled)
    }

    /// Starts the threads that this needs and that do not run yet: TLS may come with a reload.
    ///
    /// # Errors
    /// There are no threads or descriptors left.
    pub fn prepare(&self, fresh: &Fresh) -> std::io::Result<()> {
        if fresh.clients.is_some() {
            self.clients.need()?;
        }
        if fresh.routes.private() || fresh.gateways.private() {
            self.servers.need()?;
        }
        Ok(())
    }

    /// Takes over what was read anew, for which all is prepared.
    pub fn change(&self, fresh: Fresh) {
        self.clients.change(fresh.clients);
        if let (Some(shown), Some(config)) = (&self.monitor, fresh.monitor) {
            *shown.lock().unwrap_or_else(PoisonError::into_inner) = config;
        }
        self.routes.change(fresh.routes);
        self.gateways.change(fresh.gateways);
    }
}

/// Are the files good?
///
/// # Errors
/// What is wrong with which of them.
pub fn check(settings: &Settings) -> Result<(), String> {
    Fresh::read(settings).map(drop)
}
