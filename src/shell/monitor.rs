//! Monitoring: nats-server's endpoints with its names and types (operations.md §16), over HTTP and for what the server
//! answers in the system account (`shell::system`), from a thread of its own that is pinned to no shard's core. The boot starts it; it asks the shards by orders and merges what they answer.
//!
//! `serve` knows HTTP, `site` which path means what, `desk` how to ask shards; all the others are pure.

mod absent;
mod accounts;
mod connz;
mod desk;
mod explain;
mod facts;
mod gatewayz;
mod health;
mod index;
mod json;
mod loads;
mod metrics;
mod process;
mod query;
mod rate;
mod routez;
mod serve;
mod site;
mod subsz;
mod time;
pub mod varz;
mod wanted;

pub use desk::{replies, Inbox, Replies, ShardDoor};
pub use facts::Facts;
pub use loads::Loads;
pub use query::Query;
pub use rate::Rate;
pub use serve::CONNECTIONS_MAX;
pub use site::{now_ns, Site};
pub use time::stamp;

use super::inherited;
use super::tls::Shown;
use crate::policy::settings::Listen;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// What runs beside the HTTP listener, on the same thread.
pub type Beside = Box<dyn FnOnce(Arc<Site>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Running monitoring. Dropping it leaves it running.
#[derive(Debug)]
pub struct Monitor {
    /// None: nothing listens.
    addr: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Monitor {
    /// Where it listens, if it does.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// Closes the listener and every connection, and ends the thread.
    pub fn stop(self) {
        let _ = self.stop.send(());
        // A panic of that thread has already been reported by the panic hook.
        let _ = self.thread.join();
    }
}

/// Binds, where it is to listen, then answers on a thread named "admin", at most `connections` at a time. `doors` are in
/// order of shards, `inbox` is the other end of the [`Replies`] that the shards hold.
///
/// # Errors
/// The address cannot be resolved or bound, or the system gives no thread or event queue.
pub fn start(
    listen: Option<&Listen>,
    connections: usize,
    facts: Arc<Facts>,
    doors: Vec<ShardDoor>,
    inbox: Inbox,
    tls: Option<Shown>,
    beside: Option<Beside>,
) -> io::Result<Monitor> {
    let bound = listen.map(|listen| {
        let listener = match inherited::take(listen) {
            Some(socket) => socket,
            None => TcpListener::bind((listen.host.as_str(), listen.port.unwrap_or(0)))?,
        };
        listener.set_nonblocking(true)?;
        Ok::<_, io::Error>((listener.local_addr()?, listener))
    });
    let (addr, listener) = bound.transpose()?.unzip();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = {
        let _inside = runtime.enter();
        listener.map(tokio::net::TcpListener::from_std).transpose()?
    };
    let free_cpus = facts.free_cpus.clone();
    let site = Arc::new(site::Site {
        facts,
        desk: desk::Desk::new(doors),
        process: process::Process::new(),
        http_port: addr.map_or(0, |at| at.port()),
        requests: Mutex::default(),
    });
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("admin".into()).spawn(move || {
        keep_to(&free_cpus);
        let sorting = site.clone();
        runtime.spawn(async move { sorting.desk.sort_in(inbox).await });
        if let Some(beside) = beside {
            runtime.spawn(beside(site.clone()));
        }
        if let Some(listener) = listener {
            runtime.spawn(serve::serve(listener, connections, site, tls));
        }
        // An error means that the handle was dropped: then it runs as long as the process.
        if runtime.block_on(stopped).is_err() {
            runtime.block_on(std::future::pending::<()>());
        }
    })?;
    Ok(Monitor { addr, stop, thread })
}

/// Keeps this thread to these cores, so that a scrape takes nothing from a shard. Where the system forbids it the
/// thread runs anywhere: slower shards for a moment, not wrong ones.
fn keep_to(cpus: &[u16]) {
    let mut set = nix::sched::CpuSet::new();
    let known = cpus.iter().filter(|cpu| set.set(usize::from(**cpu)).is_ok()).count();
    if known > 0 {
        let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set);
    }
}
