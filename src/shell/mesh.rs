//! Drives the mesh, and beside it the gateways: their listeners, dials, and connections until they are registered, on one
//! thread that is pinned to no core. A registered connection's socket goes to its shard; from then on machine and shard
//! speak by mail. Connections have numbers of their own, and each machine passes over those that are the other's.

mod dial;
mod gateways;
mod sockets;

use self::dial::dial;
use self::sockets::{Happened, Sockets};
use super::clock::Clock;
use super::log::Log;
use super::rings::{Door, Mail};
use super::tls::{Secured, Settled};
use super::verify::{Check, Verifier};
use crate::base::{Cid, Level, ShardId, Time};
use crate::conn::{GatewayTidings, Tidings};
use crate::gateways::Gateways;
use crate::mesh::{Act, Dial, Mesh, Report, Setup, Unreached};
use crate::policy::{Borders, Cluster, Found, Proof, RemoteGateway};
use crate::shard::Order;
use crossbeam_channel::{unbounded, Receiver, Sender};
use rustix::event::{eventfd, EventfdFlags};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// INFO lines and handed-over connections that may wait for the mesh; more are dropped, for a peer that sends so many
/// means harm. All else that is sent here is bounded by the number of routes.
const WAITING_MAX: usize = 1024;

/// Takes what the mesh knows, and why the server should not be sent clients (empty: it may).
type Reply = Box<dyn FnOnce(Report, Vec<String>) + Send>;

/// Takes what the gateways' machine knows.
type GatewayReply = Box<dyn FnOnce(crate::gateways::Report) + Send>;

/// Takes what is still awaited; empty: nothing.
type Gathered = Box<dyn FnOnce(Vec<String>) + Send>;

/// What the mesh is told by others.
enum Note {
    Tidings(ShardId, Tidings),
    GatewayTidings(ShardId, GatewayTidings),
    HandedOver(TcpStream, Cid, Vec<u8>),
    Dialed(Dial, std::io::Result<Secured>),
    GatewayDialed(crate::gateways::Dial, std::io::Result<Secured>),
    /// Who dialed us shows who he is, a gateway or a route.
    Came(Secured, SocketAddr, bool),
    Verified(Cid, bool),
    Reload(Box<Cluster>),
    Urls(Vec<String>),
    ReloadGateways(Vec<RemoteGateway>),
    Borders(Box<Borders>),
    Accounts(Vec<String>),
    LameDuck,
    Leave,
    Report(Reply),
    Gather(Duration, Gathered),
    GatewayReport(GatewayReply),
    Stop,
}

/// How other threads reach the mesh.
#[derive(Clone, Debug)]
pub struct MeshDoor {
    notes: Sender<Note>,
    bell: Arc<OwnedFd>,
    waiting: Arc<AtomicUsize>,
}

impl MeshDoor {
    fn send(&self, note: Note) {
        // The mesh has ended when nobody listens any more.
        if self.notes.send(note).is_ok() {
            let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
        }
    }

    /// Is there room for one more of what anybody can send?
    fn admit(&self) -> bool {
        let room = self.waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX;
        if !room {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        room
    }

    /// A shard tells about a route.
    pub fn tidings(&self, shard: ShardId, tidings: Tidings) {
        if !matches!(tidings, Tidings::Info { .. }) || self.admit() {
            self.send(Note::Tidings(shard, tidings));
        }
    }

    /// A shard tells about a link to another cluster.
    pub fn gateway_tidings(&self, shard: ShardId, tidings: GatewayTidings) {
        if !matches!(tidings, GatewayTidings::Info { .. }) || self.admit() {
            self.send(Note::GatewayTidings(shard, tidings));
        }
    }

    /// A connection of the client port is a route; `said` is all that it has said. Closed where too many wait.
    pub fn hand_over(&self, stream: TcpStream, cid: Cid, said: Vec<u8>) {
        if self.admit() {
            self.send(Note::HandedOver(stream, cid, said));
        }
    }

    /// The configuration of the cluster has changed. The shards are told before.
    pub fn reload(&self, cluster: Cluster) {
        self.send(Note::Reload(Box::new(cluster)));
    }

    /// Clients find this server there from now on, `host:port`.
    pub fn set_urls(&self, own: Vec<String>) {
        self.send(Note::Urls(own));
    }

    /// The configured list of gateways has changed.
    pub fn reload_gateways(&self, remotes: Vec<RemoteGateway>) {
        self.send(Note::ReloadGateways(remotes));
    }

    /// The rules of what crosses between clusters have changed.
    pub fn set_borders(&self, borders: Borders) {
        self.send(Note::Borders(Box::new(borders)));
    }

    /// The server has these accounts now, by their places.
    pub fn set_accounts(&self, accounts: Vec<String>) {
        self.send(Note::Accounts(accounts));
    }

    /// Asks what the gateways' machine knows; as [`MeshDoor::report`]. Dropped where there is none.
    pub fn gateway_report(&self, reply: impl FnOnce(crate::gateways::Report) + Send + 'static) {
        self.send(Note::GatewayReport(Box::new(reply)));
    }

    /// The server is going to stop: peers and clients are told.
    pub fn lame_duck(&self) {
        self.send(Note::LameDuck);
    }

    /// The server ends: no more routes begin, those there are go on to their end.
    pub fn leave(&self) {
        self.send(Note::Leave);
    }

    /// Has `reply` called when nothing is awaited any more ([`Mesh::awaited`]), and at the latest after `patience`, with
    /// what still is; as [`MeshDoor::report`]. One at a time.
    pub fn gather(&self, patience: Duration, reply: impl FnOnce(Vec<String>) + Send + 'static) {
        self.send(Note::Gather(patience, Box::new(reply)));
    }

    /// Asks what the mesh knows. `reply` is called on its thread and must not wait; it is dropped where the mesh has
    /// ended.
    pub fn report(&self, reply: impl FnOnce(Report, Vec<String>) + Send + 'static) {
        self.send(Note::Report(Box::new(reply)));
    }
}

/// The place where letters to a mesh wait that has not begun.
pub struct Letterbox {
    notes: Receiver<Note>,
    bell: Arc<OwnedFd>,
    waiting: Arc<AtomicUsize>,
}

/// A door, and what is behind it.
///
/// # Errors
/// When the system has no more descriptors.
pub fn door() -> std::io::Result<(MeshDoor, Letterbox)> {
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (send, notes) = unbounded();
    let waiting = Arc::new(AtomicUsize::new(0));
    let door = MeshDoor { notes: send, bell: bell.clone(), waiting: waiting.clone() };
    Ok((door, Letterbox { notes, bell, waiting }))
}

/// What a mesh works with.
pub struct Surroundings {
    /// The shards.
    pub doors: Vec<Door>,
    /// The route listener; none where routes come in on the client port.
    pub listener: Option<TcpListener>,
    /// The gateways' machine and its listener; none where there are no gateways.
    pub gateways: Option<(crate::gateways::Setup, TcpListener)>,
    /// How routes and links to other clusters speak TLS.
    pub tls: Settled,
    /// The numbers of connections, shared with the client listener.
    pub numbers: Arc<AtomicU64>,
    /// Compares passwords.
    pub verifier: Verifier,
    /// Log lines.
    pub log: Log,
    /// Client addresses of this server, `host:port`.
    pub client_urls: Vec<String>,
}

/// The running mesh.
pub struct Running {
    door: MeshDoor,
    thread: JoinHandle<()>,
}

impl Running {
    /// The way to it.
    pub fn door(&self) -> &MeshDoor {
        &self.door
    }

    /// Ends it: it dials and accepts no more.
    pub fn stop(self) {
        self.door.send(Note::Stop);
        let _ = self.thread.join();
    }
}

/// Begins to dial and to accept routes.
///
/// # Errors
/// When the system has no more threads or descriptors.
pub fn start(setup: Setup, door: MeshDoor, letters: Letterbox, mut around: Surroundings) -> std::io::Result<Running> {
    let clock = Clock::new();
    let gateways = around.gateways.take().map(|(setup, listener)| (Gateways::new(setup, clock.now()), listener));
    let (gateways, gateway_listener) = gateways.unzip();
    let sockets = Sockets::new(&letters.bell, around.listener.as_ref(), gateway_listener.as_ref())?;
    let mut mesh = Mesh::new(setup, clock.now());
    mesh.urls(around.client_urls.clone());
    mesh.gateway_url(gateways.as_ref().map(Gateways::url).unwrap_or_default());
    let driver = Driver {
        mesh,
        gateways,
        gateway_listener,
        sockets,
        letters,
        around,
        clock,
        door: door.clone(),
        leaving: false,
        gathering: None,
    };
    let thread = std::thread::Builder::new().name("turnpike-mesh".into()).spawn(move || driver.run())?;
    Ok(Running { door, thread })
}

struct Driver {
    mesh: Mesh,
    gateways: Option<Gateways>,
    gateway_listener: Option<TcpListener>,
    sockets: Sockets,
    letters: Letterbox,
    around: Surroundings,
    clock: Clock,
    door: MeshDoor,
    /// No more routes begin.
    leaving: bool,
    /// Who waits for the routes, and until when at the latest.
    gathering: Option<(Time, Gathered)>,
}

impl Driver {
    fn run(mut self) {
        loop {
            self.time();
            self.act();
            let now = self.clock.now().mono;
            let gateways = self.gateways.as_ref().and_then(Gateways::next_at);
            let gathered = self.gathering.as_ref().map(|(until, _)| *until);
            let next = [self.mesh.next_at(), gateways, gathered].into_iter().flatten().min();
            let patience = next.map(|at| at.since(now));
            for happened in self.sockets.wait(patience) {
                self.time();
                self.happened(happened);
                self.act();
            }
            while let Ok(note) = self.letters.notes.try_recv() {
                self.time();
                if !self.note(note) {
                    return;
                }
                self.act();
            }
        }
    }

    fn time(&mut self) {
        let now = self.clock.now();
        self.mesh.time(now);
        self.gateways.iter_mut().for_each(|g| g.time(now));
        let Some((until, _)) = &self.gathering else { return };
        let awaited = self.mesh.awaited();
        if awaited.is_empty() || *until <= now.mono {
            if let Some((_, reply)) = self.gathering.take() {
                reply(awaited);
            }
        }
    }

    fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Incoming => {
                let Some(listener) = &self.around.listener else { return };
                // One at a time: the rest is still there at the next look.
                if let Ok((stream, from)) = listener.accept() {
                    self.knocks(stream, from, false);
                }
            }
            Happened::IncomingGateway => self.gateway_comes_in(),
            Happened::Bytes(link, bytes) => {
                self.mesh.bytes(link, &bytes);
                self.gateways.iter_mut().for_each(|g| g.bytes(link, &bytes));
            }
            Happened::Lost(link, why) => {
                self.mesh.lost(link, &why);
                self.gateways.iter_mut().for_each(|g| g.lost(link, &why));
            }
        }
    }

    /// Somebody has dialed us: with TLS a machine hears of him when he has shown who he is.
    fn knocks(&mut self, stream: TcpStream, from: SocketAddr, gateway: bool) {
        let tls = &self.around.tls;
        let between = if gateway { &tls.gateways } else { &tls.routes };
        let (door, says) = (self.door.clone(), between.clone());
        between.accept(stream, move |found| match found {
            Ok(secured) => door.send(Note::Came(secured, from, gateway)),
            Err(why) => {
                let kind = if gateway { "gateway" } else { "route" };
                says.failed(&format!("{from} - {kind}"), &why);
            }
        });
    }

    fn admit(&mut self, secured: Secured, from: SocketAddr, gateway: bool) {
        let link = Cid(self.around.numbers.fetch_add(1, Ordering::Relaxed));
        let (ip, port) = (from.ip().to_canonical().to_string(), from.port());
        match self.sockets.add(link, secured.stream, secured.tls.map(|(session, _)| session)) {
            Ok(()) => match self.gateways.as_mut().filter(|_| gateway) {
                Some(gateways) => gateways.accepted(link, &ip, port),
                None => self.mesh.accepted(link, &ip, port),
            },
            Err(e) if gateway => {
                self.around.log.line(Level::Error, format!("cannot take in a gateway from {from}: {e}"));
            }
            Err(e) => self.around.log.line(Level::Error, format!("cannot take in a route from {from}: {e}")),
        }
        self.early(link);
    }

    /// What a private connection has said with the end of its handshake.
    fn early(&mut self, link: Cid) {
        if let Some(happened) = self.sockets.early(link) {
            self.happened(happened);
        }
    }

    /// False: the mesh is to end.
    fn note(&mut self, note: Note) -> bool {
        let counted = matches!(
            note,
            Note::Tidings(_, Tidings::Info { .. })
                | Note::GatewayTidings(_, GatewayTidings::Info { .. })
                | Note::HandedOver(..)
        );
        if counted {
            self.letters.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        match note {
            Note::Tidings(shard, tidings) => self.mesh.tidings(shard, tidings),
            Note::Came(..) if self.leaving => {}
            Note::Came(secured, from, gateway) => self.admit(secured, from, gateway),
            Note::HandedOver(..) if self.leaving => {}
            Note::HandedOver(stream, link, said) => {
                let Ok(from) = stream.peer_addr() else { return true };
                if self.sockets.add(link, stream, None).is_ok() {
                    let ip = from.ip().to_canonical().to_string();
                    self.mesh.handed_over(link, &ip, from.port(), said);
                }
            }
            Note::Dialed(dial, outcome) => self.dialed(dial, outcome),
            Note::Verified(link, matches) => {
                self.mesh.verified(link, matches);
                self.gateways.iter_mut().for_each(|g| g.verified(link, matches));
            }
            Note::Reload(cluster) => self.mesh.reload(*cluster),
            Note::Urls(own) => self.mesh.urls(own),
            Note::LameDuck => self.mesh.lame_duck(),
            Note::Leave => {
                self.leaving = true;
                // Closed with it: who dials now goes elsewhere.
                (self.around.listener, self.gateway_listener) = (None, None);
            }
            Note::Report(reply) => {
                let others = self.gateways.iter().flat_map(Gateways::unready);
                reply(self.mesh.report(), self.mesh.unready().into_iter().chain(others).collect());
            }
            Note::Gather(patience, reply) => {
                self.gathering = Some((self.clock.now().mono.plus(patience), reply));
            }
            Note::Stop => return false,
            note => self.gateway_note(note),
        }
        true
    }

    fn dialed(&mut self, dial: Dial, outcome: std::io::Result<Secured>) {
        let connected = self.connected(outcome);
        let link = connected.as_ref().ok().map(|(link, ..)| *link);
        self.mesh.dialed(dial, connected.map_err(unreached));
        link.into_iter().for_each(|link| self.early(link));
    }

    /// Takes in a connection that was dialed: its number, and the other end's address and port.
    fn connected(&mut self, outcome: std::io::Result<Secured>) -> std::io::Result<(Cid, String, u16)> {
        let Secured { stream, tls } = outcome?;
        let at = stream.peer_addr()?;
        let link = Cid(self.around.numbers.fetch_add(1, Ordering::Relaxed));
        self.sockets.add(link, stream, tls.map(|(session, _)| session))?;
        Ok((link, at.ip().to_canonical().to_string(), at.port()))
    }

    fn act(&mut self) {
        while let Some(act) = self.mesh.poll() {
            match act {
                Act::Dial { .. } if self.leaving => {}
                Act::Give { link, .. } if self.leaving => self.sockets.close(link),
                Act::Dial { dial: number, host, port } => {
                    let door = self.door.clone();
                    let done = move |outcome| door.send(Note::Dialed(number, outcome));
                    dial(host, port, None, self.around.tls.routes.clone(), done);
                }
                Act::Write { link, bytes } => self.sockets.write(link, &bytes),
                Act::Close { link } => self.sockets.close(link),
                Act::Give { link, shard, route } => {
                    let door = self.around.doors[shard.index()].clone();
                    self.sockets.give(link, move |socket| door.send(Mail::Route(socket, *route)));
                }
                Act::Tell { shard, instruction } => {
                    self.around.doors[shard.index()].send(Mail::Order(Order::Instruct(instruction)));
                }
                Act::Verify { link, ip, proof } => self.verify(link, ip, proof),
                Act::ClientUrls { urls, ldm } => {
                    let urls: Arc<[String]> = urls.into();
                    for door in &self.around.doors {
                        door.send(Mail::Order(Order::ClientUrls { urls: urls.clone(), ldm }));
                    }
                }
                Act::News(news) => self.gateways.iter_mut().for_each(|g| g.route_news(news.clone())),
                Act::ClusterName(name) => {
                    self.around.log.line(Level::Info, format!("Cluster name is {name}"));
                    for door in &self.around.doors {
                        door.send(Mail::Order(Order::ClusterName(name.as_str().into())));
                    }
                }
                Act::Log { level, text } => self.around.log.line(level, text),
            }
        }
        self.act_for_gateways();
    }

    fn verify(&self, link: Cid, ip: String, proof: Proof) {
        let door = self.door.clone();
        let reply: Box<dyn FnOnce(Found) + Send> = Box::new(move |found| door.send(Note::Verified(link, found.holds)));
        let check = Check { ticket: link.0, ip, proof, reply };
        // Too many wait already: refused, as a wrong password is.
        if let Err(check) = self.around.verifier.submit(check) {
            (check.reply)(Found::plainly(false));
        }
    }
}

/// What went wrong with a dial. Whoever refuses is there; so is who resets.
fn unreached(e: std::io::Error) -> Unreached {
    use std::io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    Unreached { silent: matches!(e.kind(), HostUnreachable | NetworkUnreachable | TimedOut), why: e.to_string() }
}
