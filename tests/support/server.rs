//! Server processes for tests: started on ports the system chooses, found through the ports file, killed on drop.
//!
//! Both binaries are started alike, which is itself a test of operations.md §§1, 13 and 23.

use super::process::until;
use super::raw::{Raw, PATIENCE};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take from `exec` to its ports file.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a server may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Lines of a server's output shown when its test fails.
const TOLD: usize = 20;

/// Which server stands on the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// A turnpike binary.
    Turnpike(PathBuf),
    /// A nats-server binary.
    Peer(PathBuf),
}

impl Which {
    /// The server under test: `TURNPIKE_TEST_SERVER` when set, else the binary of this crate.
    pub fn under_test() -> Which {
        match std::env::var_os("TURNPIKE_TEST_SERVER") {
            Some(path) => Which::at(PathBuf::from(path)),
            None => Which::Turnpike(PathBuf::from(env!("CARGO_BIN_EXE_turnpike"))),
        }
    }

    /// Tells the kind of a binary by its name: nats-server is called so, anything else is taken for turnpike.
    pub fn at(path: PathBuf) -> Which {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("nats-server") {
            Which::Peer(path)
        } else {
            Which::Turnpike(path)
        }
    }

    /// The path of the binary.
    pub fn path(&self) -> &Path {
        match self {
            Which::Turnpike(path) | Which::Peer(path) => path,
        }
    }

    /// Whether the bytes expected are those of turnpike.
    pub fn is_turnpike(&self) -> bool {
        matches!(self, Which::Turnpike(_))
    }
}

/// How many shards a test gives the server: `TURNPIKE_TEST_SHARDS` when set, else `wanted`. None for nats-server.
pub fn shard_args(which: &Which, wanted: usize) -> Vec<String> {
    if !which.is_turnpike() {
        return Vec::new();
    }
    let shards = match std::env::var("TURNPIKE_TEST_SHARDS") {
        Ok(text) => text.parse().expect("TURNPIKE_TEST_SHARDS is not a number"),
        Err(_) => wanted,
    };
    vec!["--shards".into(), shards.to_string()]
}

/// One running server. Dropping it kills the process and removes its folder.
pub struct Server {
    start: Start,
    folder: PathBuf,
    child: Child,
    clients: SocketAddr,
    monitor: Option<SocketAddr>,
}

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Start {
    which: Which,
    under: Under,
    /// The name of the configuration file, which says how it is written.
    file: &'static str,
    conf: String,
    args: Vec<String>,
    /// Clients are to come in where the configuration says, not at a port the system chooses.
    verbatim: bool,
    /// Where clients and monitoring come in.
    host: IpAddr,
}

impl Start {
    /// With a configuration in nats-server's grammar and further arguments.
    pub fn new(which: &Which, conf: &str, args: &[String]) -> Start {
        Start {
            which: which.clone(),
            under: Under::default(),
            file: "server.conf",
            conf: conf.into(),
            args: args.to_vec(),
            verbatim: false,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// With a configuration in TOML.
    pub fn toml(mut self) -> Start {
        self.file = "server.toml";
        self
    }

    /// Listening where the configuration says.
    pub fn verbatim(mut self) -> Start {
        self.verbatim = true;
        self
    }

    /// In another network namespace, a file of `/proc/PID/ns`; clients come in at `host` there.
    pub fn inside(mut self, namespace: PathBuf, host: IpAddr) -> Start {
        (self.under.namespace, self.host) = (Some(namespace), host);
        self
    }
}

impl Server {
    /// Starts `which` with the configuration `conf` (nats-server's grammar) and further arguments.
    ///
    /// Panics with the server's own output when it ends or says nothing within 20 s.
    pub fn start(which: &Which, conf: &str, args: &[String]) -> Server {
        Server::start_under(which, &Under::default(), conf, args)
    }

    /// As [`Server::start`], with less than a process has by default.
    pub fn start_under(which: &Which, under: &Under, conf: &str, args: &[String]) -> Server {
        Server::from(Start { under: under.clone(), ..Start::new(which, conf, args) })
    }

    /// As [`Server::start`], as `start` says.
    pub fn from(start: Start) -> Server {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("server-{}-{n}", std::process::id()));
        fs::create_dir_all(&folder).expect("cannot make the server's folder");
        fs::write(folder.join(start.file), &start.conf).expect("cannot write the configuration");
        if let Some(id) = start.under.user {
            std::os::unix::fs::chown(&folder, Some(id), Some(id)).expect("cannot give the folder away");
        }
        let child = spawn(&start, &folder, None);
        let clients = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server { start, folder, child, clients, monitor: None };
        server.find_ports();
        server
    }

    /// Where clients connect.
    pub fn clients(&self) -> SocketAddr {
        self.clients
    }

    /// Where monitoring answers. Panics when the ports file does not tell.
    pub fn monitor(&self) -> SocketAddr {
        self.monitor.unwrap_or_else(|| panic!("the ports file tells of no monitoring\n{}", self.output()))
    }

    /// The address as clients write it.
    pub fn url(&self) -> String {
        format!("nats://{}", self.clients)
    }

    /// Which server this is.
    pub fn which(&self) -> &Which {
        &self.start.which
    }

    /// Its id, as it tells clients.
    pub fn id(&self) -> String {
        let raw = Raw::connect(self.clients);
        raw.greeting()["server_id"].as_str().expect("an id").to_string()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process without a word (SIGKILL) and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().expect("cannot wait for the server");
    }

    /// Starts a killed server again on the port it had.
    pub fn start_again(&mut self) {
        fs::remove_file(self.ports_file()).ok();
        self.child = spawn(&self.start, &self.folder, Some(self.clients.port()));
        self.find_ports();
    }

    /// The same with another binary, as one moves from one server to the other: its configuration, and its port for clients.
    pub fn start_again_as(&mut self, which: &Which, shards: usize) {
        (self.start.which, self.start.args) = (which.clone(), shard_args(which, shards));
        self.start_again();
    }

    /// Sends a signal, named as `kill(1)` does: `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("cannot run kill").success(), "no process to send SIG{name} to");
    }

    /// Gives the server another configuration and waits until it has taken it over.
    pub fn reload(&self, conf: &str) {
        let times = || self.output().matches("Reloaded server configuration").count();
        let before = times();
        fs::write(self.folder.join("server.conf"), conf).expect("cannot write");
        self.signal("HUP");
        until("a reload that is done", PATIENCE, || (times() > before).then_some(()));
    }

    /// Waits for the end of the process. Its exit code; `None` when a signal ended it. Panics after a minute.
    pub fn ended(&mut self) -> Option<i32> {
        let end = Instant::now() + STOP_LIMIT;
        loop {
            match self.child.try_wait().expect("cannot wait for the server") {
                Some(status) => return status.code(),
                None if Instant::now() > end => panic!("the server does not end\n{}", self.output()),
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Ends the server with SIGTERM and returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.ended()
    }

    /// The folder that holds its configuration and the files it writes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the process has written to its standard output and error.
    pub fn output(&self) -> String {
        let bytes = fs::read(self.folder.join("output")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the process has written this: what it does may be seen before what it says of it.
    pub fn says(&self, text: &str) {
        until(text, PATIENCE, || self.output().contains(text).then_some(()));
    }

    fn ports_file(&self) -> PathBuf {
        let exe = self.start.which.path().file_name().expect("a binary has a name").to_string_lossy();
        self.folder.join(format!("{exe}_{}.ports", self.child.id()))
    }

    /// Reads the ports file as soon as it is whole (operations.md §13).
    fn find_ports(&mut self) {
        let file = self.ports_file();
        let end = Instant::now() + START_LIMIT;
        loop {
            if let Some((clients, monitor)) = read_ports(&file, self.start.host) {
                self.clients = clients;
                self.monitor = monitor;
                return;
            }
            if let Some(status) = self.child.try_wait().expect("cannot wait for the server") {
                panic!("{} ended at its start: {status}\n{}", self.start.which.path().display(), self.output());
            }
            if Instant::now() > end {
                panic!("no ports file {} within {START_LIMIT:?}\n{}", file.display(), self.output());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            let output = self.output();
            let from = output.lines().count().saturating_sub(TOLD);
            let last: Vec<&str> = output.lines().skip(from).collect();
            eprintln!("--- the end of what {} said ---\n{}", self.start.which.path().display(), last.join("\n"));
        }
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// What a server is started with less of. Nothing less by default.
#[derive(Clone, Debug, Default)]
pub struct Under {
    /// Limits as `prlimit(1)` writes them: `--nofile=128:128`.
    pub limits: Vec<String>,
    /// The id of the user, and of the group, it runs as.
    pub user: Option<u32>,
    /// A network namespace other than the caller's.
    pub namespace: Option<PathBuf>,
    /// The folder of a control group.
    pub group: Option<PathBuf>,
    /// What its environment has besides.
    pub env: Vec<(&'static str, String)>,
}

impl Under {
    /// These limits.
    pub fn limits(limits: &[&str]) -> Under {
        Under { limits: limits.iter().map(|l| l.to_string()).collect(), ..Under::default() }
    }

    /// The command that runs `binary` so. It becomes the process: the id of the child is that of the server.
    pub fn command(&self, binary: &Path) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(namespace) = &self.namespace {
            let mut net = OsString::from("--net=");
            net.push(namespace);
            words.extend(["nsenter".into(), net]);
        }
        if let Some(group) = &self.group {
            // It moves itself before it becomes the server, which reads its limits at its start.
            words.extend(["sh", "-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""].map(OsString::from));
            words.push(group.into());
        }
        if !self.limits.is_empty() {
            words.push("prlimit".into());
            words.extend(self.limits.iter().map(OsString::from));
        }
        words.push(binary.into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(self.env.iter().cloned());
        if let Some(id) = self.user {
            command.uid(id).gid(id);
        }
        command
    }
}

fn spawn(start: &Start, folder: &Path, port: Option<u16>) -> Child {
    // What an earlier process has said stays.
    let output = fs::OpenOptions::new().create(true).append(true).open(folder.join("output"));
    let output = output.expect("cannot make the output file");
    let both = output.try_clone().expect("cannot share the output file");
    let binary = start.which.path();
    let mut command = start.under.command(binary);
    if !start.verbatim {
        let port = port.map_or("-1".to_string(), |p| p.to_string());
        command.args(["-a", &start.host.to_string(), "-p", &port]);
    }
    command.args(["-m", "-1", "--ports_file_dir"]).arg(folder);
    command.arg("-c").arg(folder.join(start.file)).args(&start.args);
    command.stdin(Stdio::null()).stdout(output).stderr(both);
    match command.spawn() {
        Ok(child) => child,
        Err(e) if e.kind() == io::ErrorKind::NotFound => panic!("no such binary: {}", binary.display()),
        Err(e) => panic!("cannot start {}: {e}", binary.display()),
    }
}

/// The client and monitoring addresses in a ports file; `None` while it is missing or half written.
fn read_ports(file: &Path, host: IpAddr) -> Option<(SocketAddr, Option<SocketAddr>)> {
    let text = fs::read_to_string(file).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    // A server that listens everywhere tells all its addresses.
    let address = |key: &str| {
        let all = json[key].as_array()?.iter().filter_map(|url| url.as_str()?.split("://").nth(1)?.parse().ok());
        let all: Vec<SocketAddr> = all.collect();
        all.iter().find(|a| a.ip() == host).or(all.first()).copied()
    };
    Some((address("nats")?, address("monitoring")))
}
