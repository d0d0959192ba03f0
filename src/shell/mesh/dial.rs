//! One attempt to reach a peer, on a thread of its own: names are looked up by the system's resolver, which waits.

use crate::shell::tls::{Between, Secured};
use std::io::{Error, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// How long one address has to answer (cluster-protocol.md §5).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Tries the addresses of `host`, of this cluster if it is another, in turn, shakes hands where TLS is spoken, and says
/// how it went.
pub(super) fn dial(
    host: String,
    port: u16,
    cluster: Option<String>,
    tls: Arc<Between>,
    done: impl FnOnce(std::io::Result<Secured>) + Send + 'static,
) {
    let attempt = std::thread::Builder::new().name("turnpike-dial".into());
    let outcome = Arc::new(std::sync::Mutex::new(Some(done)));
    let report = outcome.clone();
    let tell = move |result| {
        if let Some(done) = report.lock().ok().and_then(|mut d| d.take()) {
            done(result);
        }
    };
    let spawned = attempt.spawn({
        let tell = tell.clone();
        move || match connect(&host, port) {
            Ok(stream) => tls.dial(stream, &host, cluster.as_deref(), move |found| {
                tell(found.map_err(|why| Error::other(format!("TLS handshake error: {why}"))));
            }),
            Err(e) => tell(Err(e)),
        }
    });
    if let Err(e) = spawned {
        tell(Err(e));
    }
}

fn connect(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let mut last = Error::new(ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}
