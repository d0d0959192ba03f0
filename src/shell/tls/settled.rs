//! All that a configuration says of TLS, as it is used: read at the start, by `-t` and at each reload, all of it or nothing.

use super::between::{Between, Ends};
use super::{Acceptor, Gate, Handshakes};
use crate::policy::{Settings, Tls};
use crate::shell::log::Log;
use rustls::ServerConfig;
use std::sync::{Arc, Mutex, PoisonError};

/// What the files say now.
pub struct Fresh {
    clients: Option<Acceptor>,
    monitor: Option<Arc<ServerConfig>>,
    routes: Option<Ends>,
    gateways: Option<Ends>,
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
            routes: settings.cluster.as_ref().map(Ends::of_routes).transpose()?.flatten(),
            gateways: settings.gateway.as_ref().map(Ends::of_gateways).transpose()?.flatten(),
        })
    }
}

/// How monitoring is served, if over TLS.
pub type Shown = Arc<Mutex<Arc<ServerConfig>>>;

/// Who speaks TLS, and how; cheap to clone.
#[derive(Clone, Default)]
pub struct Settled {
    /// Clients.
    pub clients: Option<Arc<Gate>>,
    /// Monitoring.
    pub monitor: Option<Shown>,
    /// Routes.
    pub routes: Option<Arc<Between>>,
    /// Links to other clusters.
    pub gateways: Option<Arc<Between>>,
}

impl Settled {
    /// Starts the threads that are needed.
    ///
    /// # Errors
    /// There are no threads or descriptors left.
    pub fn new(fresh: Fresh, log: &Log) -> std::io::Result<Settled> {
        let Fresh { clients, monitor, routes, gateways } = fresh;
        let monitor = monitor.map(|config| Arc::new(Mutex::new(config)));
        let gate = |a| Ok::<_, std::io::Error>(Arc::new(Gate::new(a, Handshakes::of_clients()?, log.clone())));
        let clients = clients.map(gate).transpose()?;
        if routes.is_none() && gateways.is_none() {
            return Ok(Settled { clients, monitor, ..Settled::default() });
        }
        let handshakes = Handshakes::of_servers()?;
        let between = |ends| Arc::new(Between::new(ends, handshakes.clone(), log.clone()));
        Ok(Settled { clients, monitor, routes: routes.map(between), gateways: gateways.map(between) })
    }

    /// Takes over what was read anew.
    pub fn change(&self, fresh: Fresh) {
        if let (Some(gate), Some(acceptor)) = (&self.clients, fresh.clients) {
            gate.change(acceptor);
        }
        if let (Some(shown), Some(config)) = (&self.monitor, fresh.monitor) {
            *shown.lock().unwrap_or_else(PoisonError::into_inner) = config;
        }
        for (between, ends) in [(&self.routes, fresh.routes), (&self.gateways, fresh.gateways)] {
            if let (Some(between), Some(ends)) = (between, ends) {
                between.change(ends);
            }
        }
    }
}

/// Are the files good?
///
/// # Errors
/// What is wrong with which of them.
pub fn check(settings: &Settings) -> Result<(), String> {
    Fresh::read(settings).map(drop)
}
