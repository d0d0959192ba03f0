//! From settings to a running server and back: the order in which things are made, and unmade.

use super::clock::Clock;
use super::cores::{self, Machine, Plan, RING_DEPTH};
use super::drive::{Driver, Outlets};
use super::files::{self, Ports, PortsFile};
use super::identity;
use super::listen::{self, Listening, Load};
use super::log::Log;
use super::monitor::{self, Facts, Inbox, Monitor, Replies, ShardDoor};
use super::probe;
use super::refusal::Refusal;
use super::rings::{self, Door, Mail, Post};
use super::signal::{self, Signal};
use super::verify::{Check, Verifier};
use crate::base::{Level, Rng, ShardId};
use crate::policy::{Idle, Listen, Settings};
use crate::shard::{Identity, Order, Setup, Shard, TURN_DELIVERIES_MAX};
use crate::{NATS_VERSION, TURNPIKE_VERSION};
use crossbeam_channel::{unbounded, Receiver, Sender};
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server to be started, as the command line and the configuration say.
#[derive(Debug)]
pub struct Start {
    /// What it runs with.
    pub settings: Settings,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// What the operator should know about how the configuration is written.
    pub notices: Vec<String>,
    /// The base name of the program as called.
    pub program: String,
}

/// What the boot thread waits for while the server runs.
enum Event {
    Signal(Signal),
    Drained,
}

/// Beyond the grace time of a shutdown, for peers to read what they were told.
const LAST_WORDS: Duration = Duration::from_millis(750);

type Executors = Vec<ExecutorJoinHandle<std::io::Result<()>>>;

/// Runs the server until it is told to end. The exit code.
pub fn run(start: Start) -> i32 {
    match Server::start(start) {
        Ok(server) => server.serve(),
        Err((log, refusal)) => {
            match log {
                Some(log) => {
                    log.line(Level::Fatal, refusal.to_string());
                    log.flush();
                }
                #[allow(clippy::print_stderr, reason = "there is no log to write to")]
                None => eprintln!("turnpike: {refusal}"),
            }
            Refusal::EXIT_CODE
        }
    }
}

/// A running server.
struct Server {
    settings: Arc<Settings>,
    log: Log,
    events: Receiver<Event>,
    listening: Listening,
    doors: Vec<Door>,
    executors: Executors,
    monitor: Option<Monitor>,
    _signals: signal::Signals,
    ports_file: Option<PortsFile>,
}

type Failed = (Option<Log>, Refusal);

impl Server {
    fn start(start: Start) -> Result<Server, Failed> {
        let settings = Arc::new(start.settings.clone());
        let (log, _) = Log::start(&settings.log).map_err(|e| (None, Refusal::new(e.to_string(), "")))?;
        Server::start_with(&start, settings, &log).map_err(|refusal| (Some(log), refusal))
    }

    fn start_with(start: &Start, settings: Arc<Settings>, log: &Log) -> Result<Server, Refusal> {
        let key = identity::random().map_err(|e| Refusal::new(format!("no randomness: {e}"), ""))?;
        let server_id = identity::server_id(&key);
        let name = settings.server_name.clone().unwrap_or_else(|| server_id.clone());
        announce(log, start, &server_id, &name);
        let plan = cores::plan(&settings.cores, &Machine::read()?)?;
        probe::probe(settings.cores.io_memory)?;
        let socket = bind(&settings.listen, "client connections")?;
        let bound =
            socket.local_addr().map_err(|e| Refusal::new(format!("cannot read the listen address: {e}"), ""))?;
        let (host, port) = advertised(&settings, bound.port());
        let identity = Arc::new(Identity { server_id, server_name: name, host, port });

        let (tell, events) = unbounded();
        let heard = tell.clone();
        let signals = signal::listen(move |s| {
            // The server has ended when nobody listens any more.
            let _ = heard.send(Event::Signal(s));
        });
        let signals = signals.map_err(|e| Refusal::new(format!("cannot listen for signals: {e}"), ""))?;

        log.line(Level::Info, plan.why.clone());
        if let Some(w) = &plan.warning {
            log.line(Level::Warn, w.clone());
        }
        let load = Arc::new(Load::new(plan.cpus.len()));
        let (doors, executors, inbox) = start_shards(&plan, &settings, &identity, &key, log, &load, &tell)?;
        let log = log.clone();
        let facts = Arc::new(facts(&settings, &identity, &plan));
        let monitor = start_monitor(&facts, &doors, inbox, &log)?;
        log.line(
            Level::Info,
            format!("Listening for client connections on {}", display(&settings.listen.host, bound.port())),
        );
        let listening = listen::start(socket, doors.clone(), load, facts, log.clone());
        let listening = listening.map_err(|e| Refusal::new(format!("cannot accept clients: {e}"), ""))?;
        let ports_file = write_files(&settings, &start.program, bound, monitor.as_ref().map(Monitor::addr), &log)?;
        log.line(Level::Info, "Server is ready".into());
        // Not under systemd is not an error.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        Ok(Server { settings, log, events, listening, doors, executors, monitor, _signals: signals, ports_file })
    }

    fn serve(self) -> i32 {
        loop {
            match self.events.recv() {
                Ok(Event::Signal(s)) => {
                    self.log.line(Level::Info, format!("Trapped \"{}\" signal", s.name()));
                    match s {
                        Signal::Interrupt | Signal::Terminate => return self.shut_down(),
                        Signal::User1 => self.log.reopen(),
                        Signal::Hangup => {
                            let text = "Failed to reload server configuration: reload is not supported yet, restart the server";
                            self.log.line(Level::Error, text.into());
                        }
                        Signal::User2 => {
                            let text = "Lame duck mode is not supported yet; SIGTERM flushes and ends the server";
                            self.log.line(Level::Error, text.into());
                        }
                    }
                }
                Ok(Event::Drained) => {}
                Err(_) => return self.shut_down(),
            }
        }
    }

    /// Writes what waits, within the grace time, and ends.
    fn shut_down(self) -> i32 {
        self.log.line(Level::Info, "Initiating Shutdown...".into());
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        self.listening.stop();
        self.doors.iter().for_each(|d| d.send(Mail::Order(Order::Drain)));
        // The shards keep to the grace time; what is added is for last words to be read.
        let end = Instant::now() + self.settings.timers.shutdown_grace + LAST_WORDS;
        let mut waiting = self.doors.len();
        while waiting > 0 {
            match self.events.recv_deadline(end) {
                Ok(Event::Drained) => waiting -= 1,
                // Asked again: no more patience.
                Ok(Event::Signal(Signal::Interrupt)) => break,
                Ok(Event::Signal(_)) => {}
                Err(_) => {
                    self.log.line(
                        Level::Warn,
                        format!("{waiting} shards still had data to write when the grace time ended"),
                    );
                    break;
                }
            }
        }
        if let Some(monitor) = self.monitor {
            monitor.stop();
        }
        self.doors.iter().for_each(|d| d.send(Mail::Stop));
        for e in self.executors {
            if let Ok(Err(e)) = e.join() {
                self.log.line(Level::Error, format!("a shard ended with: {e}"));
            }
        }
        if let Some(Err(e)) = self.ports_file.map(PortsFile::remove) {
            self.log.line(Level::Error, format!("cannot remove the ports file: {e}"));
        }
        self.log.line(Level::Info, "Server Exiting..".into());
        self.log.flush();
        0
    }
}

/// The pid file and the ports file (operations.md §13).
fn write_files(
    settings: &Settings,
    program: &str,
    clients: SocketAddr,
    monitor: Option<SocketAddr>,
    log: &Log,
) -> Result<Option<PortsFile>, Refusal> {
    if let Some(path) = &settings.pid_file {
        files::write_pid_file(path)?;
    }
    let Some(dir) = &settings.ports_file_dir else { return Ok(None) };
    let monitoring = monitor.map(|m| files::urls("http", m)).unwrap_or_default();
    let ports = Ports { nats: files::urls("nats", clients), monitoring, cluster: Vec::new() };
    match PortsFile::write(dir, program, &ports) {
        Ok(file) => Ok(Some(file)),
        Err(e) => {
            log.line(Level::Error, format!("Error writing ports file to {}: {e}", dir.display()));
            Ok(None)
        }
    }
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

/// `host:port`, IPv6 in brackets.
pub(super) fn display(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Opens a listener.
///
/// # Errors
/// In nats-server's words (operations.md §1), with the remedy.
pub(super) fn bind(listen: &Listen, what: &str) -> Result<TcpListener, Refusal> {
    let port = listen.port.unwrap_or(0);
    let at = display(&listen.host, port);
    TcpListener::bind((listen.host.as_str(), port)).map_err(|e| {
        let remedy = match e.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "another process has this port: find it with `ss -ltnp 'sport = :{port}'`, or choose another with -p"
            ),
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE".into(),
            std::io::ErrorKind::AddrNotAvailable => {
                "no interface of this machine has that address: see `ip address`".into()
            }
            _ => format!("check the host for {what}"),
        };
        Refusal::new(format!("Error listening on port: {at}, {e}"), remedy)
    })
}

fn advertised(settings: &Settings, port: u16) -> (String, u16) {
    let Some(a) = &settings.client_advertise else { return (settings.listen.host.clone(), port) };
    match a.rsplit_once(':').and_then(|(h, p)| Some((h, p.parse().ok()?))) {
        Some((host, p)) => (host.trim_matches(['[', ']']).into(), p),
        None => (a.clone(), port),
    }
}

fn facts(settings: &Arc<Settings>, identity: &Identity, plan: &Plan) -> Facts {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = Machine::read().map(|m| m.affinity).unwrap_or_default();
    Facts {
        settings: settings.clone(),
        server_id: identity.server_id.clone(),
        server_name: identity.server_name.clone(),
        host: identity.host.clone(),
        port: identity.port,
        start_ns: Clock::new().now().wall_ns,
        cores,
        free_cpus: machine.into_iter().filter(|c| !plan.cpus.contains(&Some(*c))).collect(),
        pins: plan.cpus.clone(),
        accepted: AtomicU64::new(0),
        listening: AtomicBool::new(false),
    }
}

/// Monitoring over HTTP, if wanted.
fn start_monitor(facts: &Arc<Facts>, doors: &[Door], inbox: Inbox, log: &Log) -> Result<Option<Monitor>, Refusal> {
    let Some(listen) = &facts.settings.monitor else { return Ok(None) };
    let doors = doors.iter().cloned().map(|door| ShardDoor {
        send: Box::new(move |ticket, ask| door.send(Mail::Order(Order::Report { ticket, ask }))),
    });
    let at = display(&listen.host, listen.port.unwrap_or(0));
    let started = monitor::start(listen, facts.clone(), doors.collect(), inbox);
    let monitor = started.map_err(|e| {
        Refusal::new(format!("Can't start monitoring on port: {at}, {e}"), "choose another address with http or -m")
    })?;
    log.line(Level::Info, format!("Starting http monitor on {}", monitor.addr()));
    Ok(Some(monitor))
}

type Started = (Vec<Door>, Executors, Inbox);

fn start_shards(
    plan: &Plan,
    settings: &Arc<Settings>,
    identity: &Arc<Identity>,
    key: &[u8; 32],
    log: &Log,
    load: &Arc<Load>,
    tell: &Sender<Event>,
) -> Result<Started, Refusal> {
    let n = plan.cpus.len();
    let system =
        |e: std::io::Error| Refusal::new(format!("cannot connect the shards: {e}"), "raise LimitNOFILE (ulimit -n)");
    let (posts, doors) = rings::connect(n).map_err(system)?;
    let (verifier, _) = Verifier::start().map_err(system)?;
    let (replies, inbox) = monitor::replies(n);
    let clock = Clock::new();
    let mut seeds = Rng::new(key.iter().fold(0, |n, b| n << 8 ^ u64::from(*b) ^ n >> 57));
    let mut executors = Vec::new();
    for (i, post) in posts.into_iter().enumerate() {
        let setup = Setup {
            id: ShardId(i as u8),
            shards: n,
            seed: seeds.next_u64(),
            settings: settings.clone(),
            identity: identity.clone(),
            turn_deliveries_max: TURN_DELIVERIES_MAX,
        };
        let outlets = outlets(log, load, i, &verifier, &doors[i], &replies, tell);
        let idle = *settings.cores.idle.get(i).or(settings.cores.idle.first()).unwrap_or(&Idle::Park);
        executors.push(start_shard(setup, post, plan.cpus[i], settings.cores.io_memory, idle, clock, outlets)?);
    }
    Ok((doors, executors, inbox))
}

fn outlets(
    log: &Log,
    load: &Arc<Load>,
    shard: usize,
    verifier: &Verifier,
    door: &Door,
    replies: &Replies,
    tell: &Sender<Event>,
) -> Outlets {
    let (log, load, verifier, door) = (log.clone(), load.clone(), verifier.clone(), door.clone());
    let (replies, tell) = (replies.clone(), tell.clone());
    Outlets {
        log: Box::new(move |level, text| log.line(level, text)),
        closed: Box::new(move || load.gone(shard)),
        verify: Box::new(move |conn, hash, password| {
            let door = door.clone();
            let reply: Box<dyn FnOnce(bool) + Send> =
                Box::new(move |ok| door.send(Mail::Order(Order::Verified { conn, ok })));
            // Too many wait already: refused, as a wrong password is.
            let password = password.into_bytes();
            if let Err(check) = verifier.submit(Check { ticket: conn.to_bits(), hash, password, reply }) {
                (check.reply)(false);
            }
        }),
        answer: Box::new(move |shard, ticket, answer| replies.give(shard, ticket, answer)),
        drained: Box::new(move || {
            let _ = tell.send(Event::Drained);
        }),
    }
}

fn start_shard(
    setup: Setup,
    post: Post,
    cpu: Option<u16>,
    io_memory: usize,
    idle: Idle,
    clock: Clock,
    outlets: Outlets,
) -> Result<ExecutorJoinHandle<std::io::Result<()>>, Refusal> {
    let placement = cpu.map_or(Placement::Unbound, |c| Placement::Fixed(usize::from(c)));
    LocalExecutorBuilder::new(placement)
        .name(&format!("shard-{}", setup.id.0))
        .io_memory(io_memory)
        .ring_depth(RING_DEPTH)
        // The only other tasks of this executor are glommio's own; nothing here runs long without yielding.
        .preempt_timer(Duration::from_millis(100))
        .spawn(move || {
            let shards = setup.shards;
            Driver::new(Shard::new(setup), shards, post, clock, outlets).run(idle)
        })
        .map_err(|e| probe::explain(&e))
}
