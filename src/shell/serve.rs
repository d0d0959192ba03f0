//! A running server: what it does when it is signalled, and how it ends (operations.md §14). Made by the boot.

use super::address::{advertised, client_urls};
use super::clock::Clock;
use super::files::{Files, PortsFile};
use super::listen::{Listening, Load};
use super::log::Log;
use super::mesh;
use super::monitor::{Facts, Monitor};
use super::refusal::Refusal;
use super::reload::{self, Loader};
use super::reminders::{open_doors, Reminders};
use super::rings::{Door, Mail};
use super::scarcity::{Found, Scarcity};
use super::signal::{Signal, Signals};
use super::system::{SystemDoor, Word};
use super::tls::Settled;
use super::watchdog::{Due, Watchdog};
use crate::base::{Level, ShardId};
use crate::policy::Settings;
use crate::shard::{Identity, Order};
use crossbeam_channel::{Receiver, RecvError, RecvTimeoutError};
use glommio::ExecutorJoinHandle;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the boot thread waits for while the server runs.
pub(super) enum Event {
    Signal(Signal),
    /// A shard has no connections any more.
    Drained,
    /// A shard of a lame duck has no clients any more.
    Vacant,
    /// A shard has found that so many bytes are taken, too many, and begun to shed.
    Scarce(ShardId, u64),
    /// A shard never began.
    Failed(std::io::Error),
    /// Somebody asks what a reload would do.
    Preview(tokio::sync::oneshot::Sender<serde_json::Value>),
    /// An operator in the system account asks for a reload, and waits for what becomes of it.
    Reload(tokio::sync::oneshot::Sender<Result<(), String>>),
}

/// Beyond the grace time of a shutdown, for peers to read what they were told.
const LAST_WORDS: Duration = Duration::from_millis(750);

/// What helps where the system gives no event queue.
pub(super) const EPOLL_REMEDY: &str = "epoll needs descriptors (LimitNOFILE=, fs.file-max) and a seccomp profile that \
                                       allows it (SystemCallFilter=@io-event)";

/// For what comes after the grace time, when nobody asks the shards how they are any more.
const PARTING: Duration = Duration::from_secs(10);

/// How long the system account may take to be told.
const FAREWELL: Duration = Duration::from_millis(200);

pub(super) type Executors = Vec<ExecutorJoinHandle<()>>;

/// A running server.
pub(super) struct Server {
    pub settings: Arc<Settings>,
    /// Reads the configuration again; None: there is no file.
    pub load: Option<Loader>,
    pub log: Log,
    pub events: Receiver<Event>,
    /// None: no clients are let in any more.
    pub listening: Option<Listening>,
    pub doors: Vec<Door>,
    pub executors: Executors,
    pub monitor: Option<Monitor>,
    pub facts: Arc<Facts>,
    pub system: SystemDoor,
    pub mesh: Option<mesh::Running>,
    /// Who speaks TLS, and how.
    pub tls: Settled,
    pub lame_duck: Option<LameDuck>,
    pub reminders: Reminders,
    pub scarcity: Scarcity,
    /// None: nobody watches.
    pub watchdog: Option<Watchdog>,
    pub _signals: Signals,
    pub ports_file: Option<PortsFile>,
    /// What they say.
    pub files: Files,
    /// How many clients there are, and may be.
    pub clients: Arc<Load>,
}

/// How far the leaving of a lame duck has come.
pub(super) struct LameDuck {
    /// When clients begin to be ended; None: they have.
    grace_ends: Option<Instant>,
    /// Shards that still have clients.
    occupied: usize,
}

impl Server {
    /// Until the end. The exit code.
    pub(super) fn serve(mut self) -> i32 {
        loop {
            match self.next_event() {
                Ok(Event::Signal(s)) => {
                    self.log.line(Level::Info, format!("Trapped \"{}\" signal", s.name()));
                    match s {
                        Signal::Interrupt | Signal::Terminate => return self.flush_and_end(),
                        Signal::User1 => self.log.reopen(),
                        Signal::Hangup => drop(self.reload()),
                        Signal::User2 => self.become_lame_duck(),
                    }
                }
                Ok(Event::Drained) => {}
                Ok(Event::Reload(done)) => {
                    self.log.line(Level::Info, "A reload is asked for in the system account".into());
                    let reloaded = self.reload();
                    // Who asked may have given up.
                    let _ = done.send(reloaded);
                }
                Ok(Event::Preview(done)) => {
                    // Who asked may have given up.
                    let _ = done.send(reload::preview(&self.settings, self.load.as_ref()));
                }
                Ok(Event::Vacant) => {
                    if self.lame_duck.as_mut().is_some_and(LameDuck::one_shard_less) {
                        return self.flush_and_end();
                    }
                }
                Ok(Event::Scarce(shard, used)) => {
                    let found = self.scarcity.told(used, Instant::now());
                    self.shed(found, Some(shard));
                }
                Ok(Event::Failed(e)) => {
                    self.log.line(
                        Level::Fatal,
                        Refusal::new(format!("a shard cannot begin: {e}"), EPOLL_REMEDY).to_string(),
                    );
                    self.shut_down(0);
                    return Refusal::EXIT_CODE;
                }
                Err(RecvTimeoutError::Timeout) => self.time(),
                Err(RecvTimeoutError::Disconnected) => return self.flush_and_end(),
            }
        }
    }

    /// What has become due: a reminder, a look at the memory, or the end of the lame duck's grace time.
    fn time(&mut self) {
        let now = Instant::now();
        self.reminders.due(now).iter().for_each(|line| self.log.line(Level::Warn, line.clone()));
        let found = self.scarcity.look(now);
        self.shed(found, None);
        if self.grace_ends().is_some_and(|at| at <= now) {
            self.send_clients_away();
        }
        self.watch_shards(now);
    }

    /// Tells systemd that the server lives, if all its shards do.
    fn watch_shards(&mut self, now: Instant) {
        match self.watchdog.as_mut().map(|dog| dog.due(now)) {
            None | Some(Due::Nothing) => {}
            Some(Due::Alive(beats)) => {
                // Who does not listen will act upon it.
                let _ = sd_notify::notify(&[NotifyState::Watchdog]);
                self.doors.iter().zip(beats).for_each(|(door, beat)| door.send(Mail::Beat(beat)));
            }
            Some(Due::Late(late)) => {
                let late: Vec<String> = late.iter().map(usize::to_string).collect();
                let text =
                    format!("shards that take no turn: {}: the watchdog is not told that we live", late.join(", "));
                self.log.line(Level::Error, text);
            }
        }
    }

    /// Tells the log and the shards what was found about the memory, all but the one that has told us.
    fn shed(&self, found: Found, knows: Option<ShardId>) {
        match found {
            Found::Calm => {}
            Found::Scarce(line) => {
                line.into_iter().for_each(|line| self.log.line(Level::Error, line));
                let others = (0..).zip(&self.doors).filter(|(i, _)| Some(ShardId(*i)) != knows).map(|(_, door)| door);
                // A shard that is behind is told at the next look.
                others.filter(|d| d.has_room()).for_each(|d| d.send(Mail::Order(Order::Scarce(true))));
            }
            Found::Over(line) => {
                self.log.line(Level::Info, line);
                self.doors.iter().for_each(|d| d.send(Mail::Order(Order::Scarce(false))));
            }
        }
    }

    fn grace_ends(&self) -> Option<Instant> {
        self.lame_duck.as_ref().and_then(|d| d.grace_ends)
    }

    /// What happens next; `Timeout`: something is due.
    fn next_event(&self) -> Result<Event, RecvTimeoutError> {
        let watchdog = self.watchdog.as_ref().map(Watchdog::next);
        let all = self.grace_ends().into_iter().chain(self.reminders.next()).chain(self.scarcity.next());
        match all.chain(watchdog).min() {
            Some(at) => self.events.recv_deadline(at),
            None => self.events.recv().map_err(|RecvError| RecvTimeoutError::Disconnected),
        }
    }

    /// Takes over what has changed in the configuration.
    ///
    /// # Errors
    /// Why not, as the log has it.
    fn reload(&mut self) -> Result<(), String> {
        let no_threads = |e| vec![format!("no threads for TLS handshakes: {e}")];
        let read = reload::reload(&self.settings, self.load.as_ref());
        match read.and_then(|r| self.tls.prepare(&r.fresh).map(|()| r).map_err(no_threads)) {
            Ok(reloaded) => {
                reloaded.notices.iter().for_each(|w| self.log.line(Level::Warn, w.clone()));
                // Whom INFO tells of TLS is waited for: it begins before that is said, and ends after.
                let clear = reloaded.settings.tls.is_none();
                if clear {
                    self.tell_of_tls(&reloaded.settings);
                }
                // Before anybody is dialed anew.
                self.tls.change(reloaded.fresh);
                if let (Some(mesh), Some(gateway)) = (&self.mesh, &reloaded.settings.gateway) {
                    let accounts = &reloaded.settings.auth.accounts;
                    mesh.door().set_accounts(accounts.iter().map(|a| a.name.clone()).collect());
                    mesh.door().reload_gateways(gateway.remotes.clone());
                    mesh.door().set_borders(gateway.borders.clone());
                }
                let settings = Arc::new(reloaded.settings.clone());
                self.doors.iter().for_each(|d| d.send(Mail::Order(Order::Settings(settings.clone()))));
                self.move_clients(&reloaded.settings);
                if let (Some(mesh), Some(cluster)) = (&self.mesh, &reloaded.settings.cluster) {
                    // Routes that it makes anew go by what the shards have just been told.
                    mesh.door().reload(cluster.clone());
                }
                self.limit_clients(reloaded.settings.limits.max_connections);
                if let Some(log) = reloaded.log {
                    self.log.change(log);
                }
                self.write_files(&reloaded.settings);
                if !clear {
                    self.tell_of_tls(&reloaded.settings);
                }
                reloaded.applied.iter().for_each(|what| self.log.line(Level::Info, format!("Reloaded: {what}")));
                let open = self.reminders.change(open_doors(&reloaded.settings, self.files.clients), Instant::now());
                // Those of the routes are among the configuration's warnings.
                let unsaid = open.into_iter().filter(|w| !reloaded.settings.warnings.contains(w));
                unsaid.for_each(|w| self.log.line(Level::Warn, w));
                self.settings = Arc::new(reloaded.settings);
                self.facts.loads.reloaded(self.settings.clone(), Clock::new().now().wall_ns);
                self.log.line(Level::Info, format!("Reloaded server configuration ({})", self.settings.digest));
                Ok(())
            }
            Err(why) => {
                let lines = why.iter().map(|w| format!("Failed to reload server configuration: {w}"));
                lines.for_each(|line| self.log.line(Level::Error, line));
                Err(why.join("; "))
            }
        }
    }

    /// Tells the shards how clients are made private from now on.
    fn tell_of_tls(&self, new: &Settings) {
        let (tls, auth_timeout) = (new.tls.clone().map(Arc::new), new.timers.auth_timeout);
        let order = || Order::Tls { tls: tls.clone(), auth_timeout };
        self.doors.iter().for_each(|d| d.send(Mail::Order(order())));
    }

    /// Clients are told from now on that they find this server where the new settings say.
    fn move_clients(&self, new: &Settings) {
        if new.client_advertise == self.settings.client_advertise {
            return;
        }
        let at = self.files.clients;
        let (host, port) = advertised(new, at.port());
        let (server_id, server_name) = (self.facts.server_id.clone(), self.facts.server_name.clone());
        let identity = Arc::new(Identity { server_id, server_name, host, port });
        // Before their next INFO, which the mesh has them say.
        self.doors.iter().for_each(|d| d.send(Mail::Order(Order::Identity(identity.clone()))));
        if let Some(mesh) = &self.mesh {
            mesh.door().set_urls(client_urls(new, at));
        }
    }

    /// So many clients there may be from now on.
    fn limit_clients(&self, max: usize) {
        for (door, n) in self.doors.iter().zip(self.clients.limit(max)).filter(|(_, n)| *n > 0) {
            door.send(Mail::Order(Order::Surplus(n)));
        }
    }

    /// The pid file and the ports file, where they are to be elsewhere from now on.
    fn write_files(&mut self, new: &Settings) {
        // The URLs of clients say whether TLS is spoken.
        let said = |s: &Settings| (s.pid_file.clone(), s.ports_file_dir.clone(), s.tls.as_ref().map(|t| t.optional));
        if said(new) == said(&self.settings) {
            return;
        }
        remove(self.ports_file.take(), &self.log);
        match self.files.write(new, &self.log) {
            Ok(written) => self.ports_file = written,
            Err(why) => self.log.line(Level::Error, why.to_string()),
        }
    }

    /// Lets no more clients in and tells those that are here, and the peers, that the server is going.
    fn become_lame_duck(&mut self) {
        if self.lame_duck.is_some() {
            return;
        }
        self.log.line(Level::Info, "Entering lame duck mode, stop accepting new clients".into());
        self.system.say(Word::LameDuck);
        if let Some(listening) = self.listening.take() {
            listening.stop();
        }
        let grace_ends = Instant::now().checked_add(self.settings.timers.lame_duck_grace_period);
        self.lame_duck = Some(LameDuck { grace_ends, occupied: self.doors.len() });
        match &self.mesh {
            Some(mesh) => mesh.door().lame_duck(),
            None => {
                let urls: Arc<[String]> = Arc::from([]);
                let order = || Order::ClientUrls { urls: urls.clone(), ldm: true };
                self.doors.iter().for_each(|d| d.send(Mail::Order(order())));
            }
        }
    }

    fn send_clients_away(&mut self) {
        let Some(duck) = &mut self.lame_duck else { return };
        duck.grace_ends = None;
        self.log.line(Level::Info, "Closing existing clients".into());
        let timers = &self.settings.timers;
        let over = timers.lame_duck_duration.saturating_sub(timers.lame_duck_grace_period);
        let over_ns = u64::try_from(over.as_nanos()).unwrap_or(u64::MAX);
        self.doors.iter().for_each(|d| d.send(Mail::Order(Order::SendAway { over_ns })));
    }

    /// Writes what waits, within the grace time, and ends. The exit code.
    fn flush_and_end(self) -> i32 {
        let shards = self.doors.len();
        self.shut_down(shards);
        0
    }

    /// Has the system account told that the server ends, while there is a shard to tell it.
    fn say_farewell(&self) {
        if self.monitor.is_none() || self.settings.auth.system.is_none() {
            return;
        }
        let (done, told) = crossbeam_channel::bounded(1);
        if self.system.say(Word::Shutdown(done)) {
            let _ = told.recv_timeout(FAREWELL);
        }
    }

    /// Waits until so many shards have written what waits, at most the grace time, and ends.
    fn shut_down(self, mut waiting: usize) {
        self.log.line(Level::Info, "Initiating Shutdown...".into());
        let patience = self.settings.timers.shutdown_grace + LAST_WORDS + PARTING;
        let patience = NotifyState::WatchdogUsec(u32::try_from(patience.as_micros()).unwrap_or(u32::MAX));
        let words = [NotifyState::Stopping, NotifyState::Watchdog, patience];
        let _ = sd_notify::notify(if self.watchdog.is_some() { &words } else { &words[..1] });
        self.say_farewell();
        if let Some(listening) = self.listening {
            listening.stop();
        }
        if let Some(mesh) = &self.mesh {
            // Peers whose routes end now would dial again at once.
            mesh.door().leave();
        }
        self.doors.iter().for_each(|d| d.send(Mail::Order(Order::Drain)));
        // The shards keep to the grace time; what is added is for last words to be read.
        let end = Instant::now() + self.settings.timers.shutdown_grace + LAST_WORDS;
        while waiting > 0 {
            match self.events.recv_deadline(end) {
                Ok(Event::Drained) => waiting -= 1,
                // Without this shard there is no server, and it would never answer.
                Ok(Event::Failed(_)) => break,
                // Asked again: no more patience.
                Ok(Event::Signal(Signal::Interrupt)) => break,
                Ok(Event::Signal(_) | Event::Vacant | Event::Scarce(..) | Event::Reload(_) | Event::Preview(_)) => {}
                Err(_) => {
                    self.log.line(
                        Level::Warn,
                        format!("{waiting} shards still had data to write when the grace time ended"),
                    );
                    break;
                }
            }
        }
        if let Some(mesh) = self.mesh {
            mesh.stop();
        }
        if let Some(monitor) = self.monitor {
            monitor.stop();
        }
        self.doors.iter().for_each(|d| d.send(Mail::Stop));
        for executor in self.executors {
            // glommio's word for a panic, which has been reported where it happened.
            let _ = executor.join();
        }
        remove(self.ports_file, &self.log);
        self.log.line(Level::Info, "Server Exiting..".into());
        self.log.flush();
    }
}

/// Nobody is to find the server there any more.
fn remove(ports_file: Option<PortsFile>, log: &Log) {
    if let Some(Err(e)) = ports_file.map(PortsFile::remove) {
        log.line(Level::Error, format!("cannot remove the ports file: {e}"));
    }
}

impl LameDuck {
    /// One more shard has no clients. True: none has.
    fn one_shard_less(&mut self) -> bool {
        self.occupied = self.occupied.saturating_sub(1);
        self.occupied == 0
    }
}
