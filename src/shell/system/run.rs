//! Runs the service: its connection to the first shard, made anew when it is cut; what it is told; its clock.

use super::door::{Word, Words};
use super::line::{Reader, Word as Said};
use super::service::{Reload, Service};
use crate::base::{Cid, Level};
use crate::shard::Happened;
use crate::shell::log::Log;
use crate::shell::monitor::Beside;
use crate::shell::rings::{Door, Mail};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// First STATSZ after a start, doubling up to [`STATSZ_EVERY`].
const STATSZ_FIRST: Duration = Duration::from_millis(250);
/// How often the server says how it is.
const STATSZ_EVERY: Duration = Duration::from_secs(10);
/// How often the connections of accounts that have some are told.
const ACCOUNTS_EVERY: u32 = 3;
/// What may wait to be written before requests are answered no more.
const UNWRITTEN_MAX: usize = 1024;
/// A connection that was cut is made anew after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// What the service is made from.
pub struct Parts {
    /// The shards; the first has the service's connection.
    pub doors: Vec<Door>,
    /// What shards and boot say.
    pub words: Words,
    /// Reads the configuration again; answers why not, line by line.
    pub reload: Reload,
    /// The cluster's name; empty: there is none.
    pub cluster: String,
    /// For what goes wrong.
    pub log: Log,
    /// Told once what the service listens to is known to every shard: who comes in after that is answered.
    pub stands: crossbeam_channel::Sender<()>,
}

/// The service, to run beside monitoring.
pub fn beside(parts: Parts) -> Beside {
    Box::new(move |site| {
        Box::pin(async move {
            let Parts { doors, words, reload, cluster, log, stands } = parts;
            let (first, out) = mpsc::channel(UNWRITTEN_MAX);
            let service = Arc::new(Service::new(site, doors, reload, cluster, first));
            tokio::spawn(listen(service.clone(), words));
            tokio::spawn(heartbeat(service.clone()));
            let mut out = Some(out);
            loop {
                let ended = converse(&service, out.take(), &stands).await;
                if service.is_ending() {
                    return;
                }
                if let Err(e) = ended {
                    log.line(Level::Warn, format!("the system account's service begins anew: {e}"));
                }
                sleep(AGAIN).await;
            }
        })
    })
}

/// One connection, until it ends.
async fn converse(
    service: &Arc<Service>,
    out: Option<mpsc::Receiver<Vec<u8>>>,
    stands: &crossbeam_channel::Sender<()>,
) -> std::io::Result<()> {
    let (here, there) = std::os::unix::net::UnixStream::pair()?;
    here.set_nonblocking(true)?;
    let here = Arc::new(UnixStream::from_std(here)?);
    let Some(door) = service.door() else { return Ok(()) };
    // Nobody is told of it: it takes no number from clients.
    door.send(Mail::Service(TcpStream::from(OwnedFd::from(there)), Cid(0)));
    let mut out = out.unwrap_or_else(|| {
        let (sender, out) = mpsc::channel(UNWRITTEN_MAX);
        service.speak_through(sender);
        out
    });
    let begin = service.subscriptions() + "PING\r\n";
    let writer = here.clone();
    let writing = tokio::spawn(async move {
        if write(&writer, begin.as_bytes()).await.is_err() {
            return;
        }
        while let Some(bytes) = out.recv().await {
            if write(&writer, &bytes).await.is_err() {
                return;
            }
        }
    });
    let ended = read(service, &here, stands).await;
    writing.abort();
    ended
}

async fn write(to: &UnixStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

async fn read(
    service: &Arc<Service>,
    from: &UnixStream,
    stands: &crossbeam_channel::Sender<()>,
) -> std::io::Result<()> {
    let mut reader = Reader::default();
    let mut begins = true;
    let mut buffer = vec![0; 64 << 10];
    loop {
        from.readable().await?;
        let n = match from.try_read(&mut buffer) {
            Ok(0) => return Err(std::io::Error::other("its connection was closed")),
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(e) => return Err(e),
        };
        reader.add(&buffer[..n]);
        while let Some(word) = reader.next().map_err(|_| std::io::Error::other("it was told no message"))? {
            match word {
                Said::Ping => drop(service.send(b"PONG\r\n".to_vec())),
                // The one that follows the subscriptions. Nobody waits any more after the first connection.
                Said::Pong if std::mem::take(&mut begins) => drop(stands.send(())),
                Said::Pong => service.is_flushed(),
                Said::Message(message) => service.hear(message),
                Said::Other => {}
            }
        }
    }
}

/// What shards and the boot thread say.
async fn listen(service: Arc<Service>, mut words: Words) {
    while let Some(word) = words.receiver.recv().await {
        match word {
            Word::Happened(h) if h.what == Happened::Number => service.number_changed(h.row.account),
            Word::Happened(h) => service.tell(&h),
            Word::Asked(question) => service.asked(*question),
            Word::Traced(part) => service.traced(*part),
            Word::LameDuck => service.farewell("LAMEDUCK"),
            Word::Shutdown(done) => {
                service.farewell("SHUTDOWN");
                service.end(done);
            }
        }
    }
}

/// Says how the server is, again and again.
async fn heartbeat(service: Arc<Service>) {
    let mut pause = STATSZ_FIRST;
    let mut beats = 0;
    loop {
        sleep(pause).await;
        pause = (pause * 2).min(STATSZ_EVERY);
        beats += 1;
        service.forget_the_silent();
        service.announce().await;
        if pause == STATSZ_EVERY && beats % ACCOUNTS_EVERY == 0 {
            service.tell_of_accounts(None).await;
        }
    }
}
