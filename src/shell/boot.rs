//! From settings to a running server: the order in which things are made.

use super::address::{advertised, bind, display};
use super::clock::Clock;
use super::cores::{self, Machine, Plan, RING_DEPTH};
use super::descriptors;
use super::drive::{Driver, Outlets};
use super::files::{Files, PortsFile};
use super::identity;
use super::inherited;
use super::join::{Joining, Neighbours};
use super::listen::{self, Inside, Load};
use super::log::Log;
use super::memory;
use super::mesh::{MeshDoor, Running};
use super::meter::Meter;
use super::monitor::{self, Beside, Facts, Inbox, Loads, Monitor, Rate, Replies, ShardDoor};
use super::probe;
use super::refusal::Refusal;
use super::reload::Loader;
use super::reminders::{open_doors, Reminders};
use super::rings::{self, Door, Mail, Post};
use super::scarcity::{Gauge, Scarcity};
use super::serve::{Event, Executors, Server, EPOLL_REMEDY};
use super::signal;
use super::system::{self, SystemDoor, Word};
use super::tls::{Fresh, Gate, Settled, Shown};
use super::verify::{Check, Verifier};
use super::watchdog::Watchdog;
use crate::base::{Level, Rng, ShardId};
use crate::policy::{Found, Idle, Settings};
use crate::shard::{Identity, Order, Setup, Shard};
use crate::{NATS_VERSION, TURNPIKE_VERSION};
use crossbeam_channel::{unbounded, Receiver, Sender};
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long clients wait for the routes of a server that starts: less than they give a server for its first words.
const GATHER_MAX: Duration = Duration::from_millis(1500);

/// How long clients wait for the service of the system account, which takes milliseconds on a machine that is not at its
/// end.
const SERVICE_MAX: Duration = Duration::from_secs(5);

/// A server to be started, as the command line and the configuration say.
pub struct Start {
    /// What it runs with.
    pub settings: Settings,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Reads it again.
    pub load: Loader,
    /// What the operator should know about how the configuration is written.
    pub notices: Vec<String>,
    /// The base name of the program as called.
    pub program: String,
}

/// Runs the server until it is told to end. The exit code.
pub fn run(start: Start) -> i32 {
    memory::prepare();
    let (program, in_file) = (start.program.clone(), start.settings.log.file.is_some());
    match Server::start(start) {
        Ok(server) => server.serve(),
        Err((log, refusal)) => {
            if let Some(log) = &log {
                log.line(Level::Fatal, refusal.to_string());
                log.flush();
            }
            if log.is_none() || in_file {
                #[allow(clippy::print_stderr, reason = "whoever started us looks here, not into a file")]
                {
                    eprintln!("{program}: {refusal}");
                }
            }
            Refusal::EXIT_CODE
        }
    }
}

type Failed = (Option<Log>, Refusal);

impl Server {
    fn start(start: Start) -> Result<Server, Failed> {
        let settings = Arc::new(start.settings.clone());
        let remedy = "make its directory, writable for the user turnpike runs as, or change log_file (-l)";
        let (log, _) = Log::start(&settings.log).map_err(|e| (None, Refusal::new(e.to_string(), remedy)))?;
        Server::start_with(start, settings, &log).map_err(|refusal| (Some(log), refusal))
    }

    fn start_with(start: Start, settings: Arc<Settings>, log: &Log) -> Result<Server, Refusal> {
        let (key, server_id, name) = who(&settings, &start, log)?;
        let plan = cores::plan(&settings.cores, &Machine::read()?)?;
        let shares = descriptors::shares(plan.cpus.len(), settings.cluster.is_some(), settings.gateway.is_some())?;
        probe::probe(settings.cores.io_memory)?;
        let (socket, bound) = bind_here(&settings)?;
        let joining = Joining::prepare(&settings, bound)?;
        let identity = identity(&settings, bound, server_id, name);

        let (tell, events, signals) = heed_signals()?;
        say_plan(&plan, log);
        let (load, numbers) = (Arc::new(Load::new(plan.cpus.len(), &settings.limits)), Arc::new(AtomicU64::new(1)));
        let (tls, verifier) = (privacy(&settings, log)?, Verifier::start().map_err(no_room)?);
        let (mut seeds, (system, words)) = (Rng::new(identity::seed(&key)), system::door());
        let outlets = Outward::new((log, &system, &load), &verifier, joining.as_ref(), &tls, &tell);
        let scarcity = Scarcity::new(settings.limits.memory_limit, Instant::now());
        let (doors, executors, inbox) = start_shards(&plan, &settings, &identity, &mut seeds, &outlets, &scarcity)?;
        let ports @ (cluster_at, _) = joining.as_ref().map_or((None, 0), Joining::ports);
        let routes_apart = joining.as_ref().is_some_and(Joining::has_listener);
        let neighbours = Neighbours {
            settings: &settings,
            identity: &identity,
            doors: doors.clone(),
            clients: bound,
            tls: tls.clone(),
            numbers: numbers.clone(),
            verifier,
            seed: seeds.next_u64(),
            log,
        };
        let mesh = joining.map(|joining| joining.start(neighbours)).transpose()?;
        let known = (&scarcity, &system, &tell, &outlets.meters[..]);
        let facts = Arc::new(facts(&settings, &identity, &plan, mesh.as_ref(), (bound, ports), known));
        let (service, stands) = settings.auth.system.map(|_| service(&settings, &doors, (words, tell), log)).unzip();
        let monitor = start_monitor(&facts, shares.monitoring, &doors, inbox, tls.monitor.clone(), (service, log))?;
        stands.iter().for_each(|stands| until_service_stands(stands, log));
        gather(mesh.as_ref().filter(|_| routes_apart), log);
        let reminders = say_where(&settings, bound, log);
        let inside = Inside {
            doors: doors.clone(),
            load: load.clone(),
            numbers,
            facts: facts.clone(),
            tls: tls.clients.clone(),
            log: log.clone(),
        };
        let listening = listen::start(socket, shares.clients, inside).map_err(cannot_accept)?;
        gather(mesh.as_ref().filter(|_| !routes_apart), log);
        let (files, ports_file) = write_files(start.program, (bound, monitor.as_ref(), cluster_at), &settings, log)?;
        say_ready(log);
        Ok(Server {
            settings,
            load: start.config.is_some().then_some(start.load),
            log: log.clone(),
            events,
            listening: Some(listening),
            doors,
            executors,
            monitor,
            facts,
            system,
            mesh,
            tls,
            lame_duck: None,
            reminders,
            watchdog: Watchdog::new(sd_notify::watchdog_enabled(), plan.cpus.len(), Instant::now()),
            scarcity,
            _signals: signals,
            ports_file,
            files,
            clients: load,
        })
    }
}

/// Who this run of the server is: random bytes, the id made of them, the name; the log is told.
fn who(settings: &Settings, start: &Start, log: &Log) -> Result<([u8; 32], String, String), Refusal> {
    let key = identity::random().map_err(|e| Refusal::new(format!("no randomness: {e}"), ""))?;
    let server_id = identity::server_id(&key);
    let name = settings.server_name.clone().unwrap_or_else(|| server_id.clone());
    announce(log, start, &server_id, &name);
    Ok((key, server_id, name))
}

fn identity(settings: &Settings, bound: SocketAddr, server_id: String, server_name: String) -> Arc<Identity> {
    let (host, port) = advertised(settings, bound.port());
    Arc::new(Identity { server_id, server_name, host, port })
}

/// Gives the routes a moment before clients come in: to whom nobody answers here may be answered by the next server, as
/// he was before this one was restarted. Those who come meanwhile wait in the kernel's queue; with routes on the client
/// port they are let in, and it is readiness that waits. Where nobody is dialed, or all refuse, there is nothing to wait
/// for.
fn gather(mesh: Option<&Running>, log: &Log) {
    let Some(mesh) = mesh else { return };
    let (say, gathered) = crossbeam_channel::bounded(1);
    mesh.door().gather(GATHER_MAX, move |awaited| {
        let _ = say.send(awaited);
    });
    // A mesh that has ended has nothing to be waited for.
    let awaited = gathered.recv().unwrap_or_default();
    if !awaited.is_empty() {
        let (shown, more) = (awaited.iter().take(5).cloned().collect::<Vec<_>>().join(", "), awaited.len() > 5);
        let more = if more { " and others" } else { "" };
        let text = format!("clients are let in before all routes are up: waited {GATHER_MAX:?} for {shown}{more}");
        log.line(Level::Warn, text);
    }
}

fn say_plan(plan: &Plan, log: &Log) {
    log.line(Level::Info, plan.why.clone());
    plan.warning.iter().for_each(|w| log.line(Level::Warn, w.clone()));
}

fn say_ready(log: &Log) {
    log.line(Level::Info, "Server is ready".into());
    // Not under systemd is not an error.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

/// Who speaks TLS, and how.
fn privacy(settings: &Settings, log: &Log) -> Result<Settled, Refusal> {
    let remedy = "name PEM files in tls that this user may read";
    let fresh = Fresh::read(settings).map_err(|why| Refusal::new(why, remedy))?;
    Settled::new(fresh, log).map_err(|e| Refusal::new(format!("no threads for TLS handshakes: {e}"), ""))
}

/// The socket for clients, and its address.
fn bind_here(settings: &Settings) -> Result<(TcpListener, SocketAddr), Refusal> {
    inherited::adopt()?;
    let socket = bind(&settings.listen)?;
    let at = socket.local_addr().map_err(|e| Refusal::new(format!("cannot read the listen address: {e}"), ""))?;
    Ok((socket, at))
}

/// What the boot thread hears, and how it is told; signals are the first to.
fn heed_signals() -> Result<(Sender<Event>, Receiver<Event>, signal::Signals), Refusal> {
    let (tell, events) = unbounded();
    let heard = tell.clone();
    let signals = signal::listen(move |s| {
        // The server has ended when nobody listens any more.
        let _ = heard.send(Event::Signal(s));
    });
    let signals = signals.map_err(|e| Refusal::new(format!("cannot listen for signals: {e}"), ""))?;
    Ok((tell, events, signals))
}

/// Where clients, monitoring and routes come in.
type Addresses<'a> = (SocketAddr, Option<&'a Monitor>, Option<SocketAddr>);

fn write_files(
    program: String,
    (clients, monitor, cluster): Addresses<'_>,
    settings: &Settings,
    log: &Log,
) -> Result<(Files, Option<PortsFile>), Refusal> {
    let files = Files { program, clients, monitor: monitor.and_then(Monitor::addr), cluster };
    let written = files.write(settings, log)?;
    Ok((files, written))
}

fn cannot_accept(e: std::io::Error) -> Refusal {
    Refusal::new(format!("cannot accept clients: {e}"), "")
}

fn announce(log: &Log, start: &Start, server_id: &str, name: &str) {
    let say = |text: String| log.line(Level::Info, text);
    say("Starting turnpike".into());
    say(format!("  Version:  {NATS_VERSION} (turnpike {TURNPIKE_VERSION})"));
    say(format!("  Name:     {name}"));
    say(format!("  ID:       {server_id}"));
    if let Some(file) = &start.config {
        say(format!("Using configuration file: {} ({})", file.display(), start.settings.digest));
    }
    start.notices.iter().chain(&start.settings.warnings).for_each(|w| log.line(Level::Warn, w.clone()));
}

/// Says where clients come in and which doors stand open; the latter is what the operator is reminded of later.
fn say_where(settings: &Settings, bound: SocketAddr, log: &Log) -> Reminders {
    let at = display(&settings.listen.host, bound.port());
    log.line(Level::Info, format!("Listening for client connections on {at}"));
    if let Some(tls) = &settings.tls {
        let must = if tls.optional { "offered to" } else { "required for" };
        log.line(Level::Info, format!("TLS {must} client connections"));
    }
    let open = open_doors(settings, bound);
    // Those of the routes are among the configuration's warnings.
    open.iter().filter(|w| !settings.warnings.contains(w)).for_each(|w| log.line(Level::Warn, w.clone()));
    Reminders::new(open, Instant::now())
}

fn facts(
    settings: &Arc<Settings>,
    identity: &Identity,
    plan: &Plan,
    mesh: Option<&Running>,
    (bound, (cluster_at, gateway_port)): (SocketAddr, (Option<SocketAddr>, u16)),
    (scarcity, system, tell, meters): (&Scarcity, &SystemDoor, &Sender<Event>, &[Arc<Meter>]),
) -> Facts {
    let tell = tell.clone();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = Machine::read().map(|m| m.affinity).unwrap_or_default();
    Facts {
        settings: settings.clone(),
        server_id: identity.server_id.clone(),
        server_name: identity.server_name.clone(),
        port: bound.port(),
        start_ns: Clock::new().now().wall_ns,
        cores,
        free_cpus: machine.into_iter().filter(|c| !plan.cpus.contains(&Some(*c))).collect(),
        pins: plan.cpus.clone(),
        accepted: AtomicU64::new(0),
        guessers_refused: AtomicU64::new(0),
        accepts: Rate::default(),
        listening: AtomicBool::new(false),
        pressure: scarcity.pressure().clone(),
        mesh: mesh.map(|m| m.door().clone()),
        cluster_port: cluster_at.map_or(0, |at| at.port()),
        gateway_port,
        events_lost: system.lost(),
        meters: meters.to_vec(),
        loads: Loads::with(Box::new(move |done| drop(tell.send(Event::Preview(done))))),
    }
}

/// What the server answers and tells in its system account, and what says when it does.
fn service(
    settings: &Settings,
    doors: &[Door],
    (words, tell): (system::Words, Sender<Event>),
    log: &Log,
) -> (Beside, Receiver<()>) {
    // The service never waits for who listens: there may be nobody any more.
    let (stands, stood) = unbounded();
    let service = system::beside(system::Parts {
        doors: doors.to_vec(),
        words,
        reload: Box::new(move |done| drop(tell.send(Event::Reload(done)))),
        cluster: settings.cluster_name().to_owned(),
        log: log.clone(),
        stands,
    });
    (service, stood)
}

/// Whoever comes in finds the system account answered: a request that nobody hears is refused at once (503), and a ready
/// server would seem to have no service.
fn until_service_stands(stands: &Receiver<()>, log: &Log) {
    if stands.recv_timeout(SERVICE_MAX).is_err() {
        let text = format!("clients are let in before the system account's service is up: waited {SERVICE_MAX:?}");
        log.line(Level::Warn, text);
    }
}

/// Monitoring, over HTTP if wanted, and the service of the system account, if there is one.
fn start_monitor(
    facts: &Arc<Facts>,
    connections: usize,
    doors: &[Door],
    inbox: Inbox,
    tls: Option<Shown>,
    (service, log): (Option<Beside>, &Log),
) -> Result<Option<Monitor>, Refusal> {
    let listen = facts.settings.monitor.as_ref();
    if listen.is_none() && service.is_none() {
        inherited::none_is_left()?;
        return Ok(None);
    }
    let doors = doors.iter().cloned().map(|door| ShardDoor {
        send: Box::new(move |ticket, ask| {
            let room = door.has_room();
            if room {
                door.send(Mail::Order(Order::Report { ticket, ask }));
            }
            room
        }),
    });
    let scheme = if tls.is_some() { "https" } else { "http" };
    let at = listen.map(|l| display(&l.host, l.port.unwrap_or(0))).unwrap_or_default();
    let started = monitor::start(listen, connections, facts.clone(), doors.collect(), inbox, tls, service);
    let monitor = started.map_err(|e| match listen {
        Some(_) => {
            Refusal::new(format!("Can't start monitoring on port: {at}, {e}"), "choose another address with http or -m")
        }
        None => Refusal::new(format!("cannot serve the system account: {e}"), EPOLL_REMEDY),
    })?;
    if let Some(at) = monitor.addr() {
        log.line(Level::Info, format!("Starting {scheme} monitor on {at}"));
    }
    // All doors but that of clients, which was the first, are open now.
    inherited::none_is_left()?;
    Ok(Some(monitor))
}

type Started = (Vec<Door>, Executors, Inbox);

fn no_room(e: std::io::Error) -> Refusal {
    Refusal::new(format!("cannot connect the shards: {e}"), "raise LimitNOFILE (ulimit -n)")
}

fn start_shards(
    plan: &Plan,
    settings: &Arc<Settings>,
    identity: &Arc<Identity>,
    seeds: &mut Rng,
    outward: &Outward,
    scarcity: &Scarcity,
) -> Result<Started, Refusal> {
    let n = plan.cpus.len();
    let (posts, doors) = rings::connect(n).map_err(no_room)?;
    let mut settings = Settings::clone(settings);
    settings.limits.max_pending_total = settings.limits.max_pending_total.or_else(memory::for_waiting);
    let settings = Arc::new(settings);
    let (replies, inbox) = monitor::replies(n);
    let clock = Clock::new();
    let mut executors = Vec::new();
    for (i, post) in posts.into_iter().enumerate() {
        let setup = Setup {
            id: ShardId(i as u8),
            shards: n,
            seed: seeds.next_u64(),
            turn_deliveries_max: scarcity.turn_deliveries_max(n),
            ..Setup::single(settings.clone(), identity.clone())
        };
        let outlets = outward.outlets(i, &doors[i], &replies);
        let idle = *settings.cores.idle.get(i).or(settings.cores.idle.first()).unwrap_or(&Idle::Park);
        let seat = Seat { cpu: plan.cpus[i], io_memory: settings.cores.io_memory, idle, gauge: scarcity.gauge(n) };
        executors.push(start_shard(setup, seat, post, clock, outlets)?);
    }
    Ok((doors, executors, inbox))
}

/// What all shards speak to beside their sockets and one another.
struct Outward {
    log: Log,
    load: Arc<Load>,
    verifier: Verifier,
    mesh: Option<MeshDoor>,
    gate: Arc<Gate>,
    system: SystemDoor,
    tell: Sender<Event>,
    meters: Vec<Arc<Meter>>,
}

impl Outward {
    fn new(
        (log, system, load): (&Log, &SystemDoor, &Arc<Load>),
        verifier: &Verifier,
        joining: Option<&Joining>,
        tls: &Settled,
        tell: &Sender<Event>,
    ) -> Outward {
        Outward {
            log: log.clone(),
            system: system.clone(),
            load: load.clone(),
            verifier: verifier.clone(),
            mesh: joining.map(Joining::door),
            gate: tls.clients.clone(),
            tell: tell.clone(),
            meters: (0..load.shards()).map(|_| Arc::default()).collect(),
        }
    }

    fn outlets(&self, shard: usize, door: &Door, replies: &Replies) -> Outlets {
        let (log, load, verifier, door) = (self.log.clone(), self.load.clone(), self.verifier.clone(), door.clone());
        let [places, guessers] = [(); 2].map(|()| load.clone());
        let (replies, gate, returns) = (replies.clone(), self.gate.clone(), door.clone());
        let [asked, happened, traced] = [(); 3].map(|()| self.system.clone());
        let [tell, vacant, scarce, failed] = [(); 4].map(|()| self.tell.clone());
        let (mesh, entrance, gateways) = (self.mesh.clone(), self.mesh.clone(), self.mesh.clone());
        Outlets {
            log: Box::new(move |level, text| log.line(level, text)),
            left: Box::new(move || places.left(shard)),
            guesses: Box::new(move |ip| guessers.guesses(ip)),
            closed: Box::new(move || load.gone(shard)),
            verify: Box::new(move |(conn, look), ip, proof| {
                let door = door.clone();
                let reply: Box<dyn FnOnce(Found) + Send> =
                    Box::new(move |found| door.send(Mail::Order(Order::Verified { conn, look, found })));
                // Too many wait already: refused, as a wrong password is.
                if let Err(check) = verifier.submit(Check { ticket: conn.to_bits(), ip, proof, reply }) {
                    (check.reply)(Found::plainly(false));
                }
            }),
            upgrade: Box::new(move |conn, stream| {
                let door = returns.clone();
                gate.upgrade(stream, Box::new(move |found| door.send(Mail::Upgraded(conn, found))));
            }),
            tidings: Box::new(move |shard, tidings| {
                if let Some(mesh) = &mesh {
                    mesh.tidings(shard, tidings);
                }
            }),
            gateway_tidings: Box::new(move |shard, tidings| {
                if let Some(mesh) = &gateways {
                    mesh.gateway_tidings(shard, tidings);
                }
            }),
            hand_over: Box::new(move |stream, cid, said| {
                if let Some(mesh) = &entrance {
                    mesh.hand_over(stream, cid, said);
                }
            }),
            answer: Box::new(move |shard, ticket, answer| replies.give(shard, ticket, answer)),
            asked: Box::new(move |question| {
                asked.say(Word::Asked(question));
            }),
            happened: Box::new(move |happening| {
                happened.say(Word::Happened(happening));
            }),
            traced: Box::new(move |part| {
                traced.say(Word::Traced(part));
            }),
            drained: Box::new(move || {
                let _ = tell.send(Event::Drained);
            }),
            vacant: Box::new(move || {
                let _ = vacant.send(Event::Vacant);
            }),
            scarce: Box::new(move |shard, used| {
                let _ = scarce.send(Event::Scarce(shard, used));
            }),
            meter: self.meters[shard].clone(),
            failed: Box::new(move |e| {
                let _ = failed.send(Event::Failed(e));
            }),
        }
    }
}

/// Where and how a shard runs.
struct Seat {
    cpu: Option<u16>,
    io_memory: usize,
    idle: Idle,
    gauge: Option<Gauge>,
}

fn start_shard(
    setup: Setup,
    seat: Seat,
    post: Post,
    clock: Clock,
    outlets: Outlets,
) -> Result<ExecutorJoinHandle<()>, Refusal> {
    let Seat { cpu, io_memory, idle, gauge } = seat;
    let placement = cpu.map_or(Placement::Unbound, |c| Placement::Fixed(usize::from(c)));
    LocalExecutorBuilder::new(placement)
        .name(&format!("shard-{}", setup.id.0))
        .io_memory(io_memory)
        .ring_depth(RING_DEPTH)
        // Nobody is preempted: the driver is the only task and never yields.
        .preempt_timer(Duration::from_millis(100))
        .spawn(move || async move {
            let shards = setup.shards;
            Driver::new(Shard::new(setup), shards, post, clock, outlets, gauge).run(idle);
        })
        .map_err(|e| probe::explain(&e))
}
