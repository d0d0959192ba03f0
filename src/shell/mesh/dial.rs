//! One attempt to reach a peer, on a thread of its own: names are looked up by the system's resolver, which waits.

use std::io::{Error, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long one address has to answer (cluster-protocol.md §5).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Tries the addresses of `host` in turn, and says how it went.
pub(super) fn dial(host: String, port: u16, done: impl FnOnce(std::io::Result<TcpStream>) + Send + 'static) {
    let attempt = std::thread::Builder::new().name("turnpike-dial".into());
    let outcome = std::sync::Arc::new(std::sync::Mutex::new(Some(done)));
    let report = outcome.clone();
    let tell = move |result| {
        if let Some(done) = report.lock().ok().and_then(|mut d| d.take()) {
            done(result);
        }
    };
    let spawned = attempt.spawn({
        let tell = tell.clone();
        move || tell(connect(&host, port))
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
