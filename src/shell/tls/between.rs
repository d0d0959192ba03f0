//! TLS between servers: with the first byte, before any INFO, each side looking at the other's certificate
//! (cluster-protocol.md §1.3). Shared by the mesh's thread and the reload; asked once per connection.

use super::files::{Acceptor, Dialer};
use super::gate::Complaints;
use super::names::Known;
use super::{How, Job, Secured, Threads, Wait};
use crate::policy::{Cluster, Gateway, RouteLogin, RouteUrl, Tls};
use crate::shell::log::Log;
use rustls::pki_types::ServerName;
use std::collections::BTreeMap;
use std::net::{IpAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What holds for one kind of links; by default all are in the clear.
#[derive(Default)]
pub struct Ends {
    /// How those who dial us are let in; None: in the clear.
    acceptor: Option<Arc<Acceptor>>,
    /// How we dial; None: in the clear.
    dialer: Option<Arc<Dialer>>,
    /// Clusters that are dialed in another way.
    apart: BTreeMap<String, Arc<Dialer>>,
    /// Of the hosts configured the first that is a name: an address that was learned has none.
    name: Option<String>,
}

impl Ends {
    /// Of routes.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(super) fn of_routes(cluster: &Cluster) -> Result<Ends, String> {
        let Some(tls) = &cluster.tls else { return Ok(Ends::default()) };
        let hosts = hosts(&cluster.routes);
        let (name, known) = (name(&hosts), known(tls, hosts, cluster.login.as_ref()));
        let acceptor = Arc::new(Acceptor { known, ..Acceptor::new(tls)? });
        let dialer = Arc::new(Dialer::new(tls)?);
        Ok(Ends { acceptor: Some(acceptor), dialer: Some(dialer), apart: BTreeMap::new(), name })
    }

    /// Of links to other clusters.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(super) fn of_gateways(gateway: &Gateway) -> Result<Ends, String> {
        let hosts: Vec<String> = gateway.remotes.iter().flat_map(|r| hosts(&r.urls)).collect();
        let name = name(&hosts);
        let mut apart = BTreeMap::new();
        for remote in &gateway.remotes {
            if let Some(tls) = &remote.tls {
                apart.insert(remote.name.clone(), Arc::new(Dialer::new(tls)?));
            }
        }
        let (mut acceptor, mut dialer) = (None, None);
        if let Some(tls) = &gateway.tls {
            let known = known(tls, hosts, gateway.login.as_ref());
            acceptor = Some(Arc::new(Acceptor { known, ..Acceptor::new(tls)? }));
            dialer = Some(Arc::new(Dialer::new(tls)?));
        }
        Ok(Ends { acceptor, dialer, apart, name })
    }

    /// Does anybody speak TLS?
    pub(super) fn private(&self) -> bool {
        self.acceptor.is_some() || self.dialer.is_some() || !self.apart.is_empty()
    }
}

fn known(tls: &Tls, hosts: Vec<String>, login: Option<&RouteLogin>) -> Option<Known> {
    let hosts = if tls.known_urls { hosts } else { Vec::new() };
    tls.names_peers().then(|| Known { hosts, user: login.filter(|_| tls.map).map(|l| l.user.clone()) })
}

fn hosts(urls: &[RouteUrl]) -> Vec<String> {
    urls.iter().map(|u| u.host.to_ascii_lowercase()).collect()
}

fn name(hosts: &[String]) -> Option<String> {
    hosts.iter().find(|h| h.parse::<IpAddr>().is_err()).cloned()
}

/// See the file's head.
pub struct Between {
    handshakes: Arc<Threads>,
    ends: Mutex<Arc<Ends>>,
    complaints: Complaints,
}

impl Between {
    /// All are in the clear.
    pub(super) fn new(handshakes: Arc<Threads>, log: Log) -> Between {
        Between { handshakes, ends: Mutex::default(), complaints: Complaints::new(log) }
    }

    /// From now on these hold.
    pub(super) fn change(&self, ends: Ends) {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(ends);
    }

    fn ends(&self) -> Arc<Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Somebody has dialed us.
    pub fn accept(&self, stream: TcpStream, done: impl FnOnce(Result<Secured, String>) + Send + 'static) {
        let Some(acceptor) = self.ends().acceptor.clone() else { return done(Ok(Secured { stream, tls: None })) };
        let until = Instant::now() + acceptor.tls.timeout;
        let how = How::Accept(acceptor, Wait::Never);
        self.handshakes.begin(Job { stream, how, until, first: true, done: Box::new(done) });
    }

    /// We have dialed `host`, of this cluster if it is another.
    pub fn dial(
        &self,
        stream: TcpStream,
        host: &str,
        cluster: Option<&str>,
        done: impl FnOnce(Result<Secured, String>) + Send + 'static,
    ) {
        let ends = self.ends();
        let Some(dialer) = cluster.and_then(|c| ends.apart.get(c)).or(ends.dialer.as_ref()).cloned() else {
            return done(Ok(Secured { stream, tls: None }));
        };
        let host = if host.parse::<IpAddr>().is_ok() { ends.name.as_deref().unwrap_or(host) } else { host };
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            return done(Err(format!("{host} is no name that a certificate could bear")));
        };
        let until = Instant::now() + dialer.timeout;
        self.handshakes.begin(Job { stream, how: How::Dial(dialer, name), until, first: true, done: Box::new(done) });
    }

    /// A handshake with somebody who has dialed us has failed.
    pub fn failed(&self, whom: &str, why: &str) {
        self.complaints.say(&format!("{whom} - TLS handshake error: {why}"));
    }
}
