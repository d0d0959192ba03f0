//! What systemd is told, and gives: readiness, the watchdog, sockets that it opened (docs/checking.md).

use crate::support::process::until;
use crate::support::raw::Raw;
use crate::{server, turnpike, Ended, Folder, Running, AT_ONCE};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

/// What the server tells its manager.
struct Manager {
    socket: UnixDatagram,
    folder: Folder,
}

impl Manager {
    fn new() -> Manager {
        let folder = Folder::new();
        let socket = UnixDatagram::bind(folder.path("notify")).expect("a socket");
        socket.set_read_timeout(Some(AT_ONCE)).expect("a timeout");
        Manager { socket, folder }
    }

    /// The next word, of one or more lines.
    fn told(&self) -> String {
        let mut bytes = [0; 1024];
        let n = self.socket.recv(&mut bytes).expect("a word of the server");
        String::from_utf8_lossy(&bytes[..n]).into_owned()
    }
}

#[test]
fn the_watchdog_is_told_that_all_shards_turn() {
    let manager = Manager::new();
    let mut command = turnpike(&["-a", "127.0.0.1", "-p", "-1", "--shards", "2", "-l", &manager.folder.path("log")]);
    command.env("NOTIFY_SOCKET", manager.folder.path("notify")).env("WATCHDOG_USEC", "300000");
    let running = Running(command.spawn().expect("the server"));
    assert!(manager.told().contains("READY=1"));
    for _ in 0..3 {
        assert!(manager.told().contains("WATCHDOG=1"));
    }
    let pid = rustix::process::Pid::from_raw(running.0.id() as i32).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    until("the end", AT_ONCE, || manager.told().contains("STOPPING=1").then_some(()));
}

/// Passes `listener` to the server as systemd would: it is the shell's standard input, and the server's descriptor 3.
fn activated(listener: TcpListener, conf: &str, folder: &Folder) -> Command {
    let binary = turnpike(&[]).get_program().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\" 3<&0 </dev/null"]).arg(binary);
    command.args(["-c", &folder.write("server.conf", conf), "-l", &folder.path("log"), "--shards", "1"]);
    command.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
fn a_socket_that_systemd_opened_is_served() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let at = listener.local_addr().expect("an address");
    // Waits already.
    let early = TcpStream::connect(at).expect("a connection");
    let _running = Running(activated(listener, &format!("listen: \"{at}\"\n"), &folder).spawn().expect("the server"));
    Raw::connect(at).barrier();
    early.set_read_timeout(Some(AT_ONCE)).expect("a timeout");
    let mut info = [0; 5];
    std::io::Read::read_exact(&mut &early, &mut info).expect("a greeting");
    assert_eq!(&info, b"INFO ");
}

#[test]
fn a_socket_that_nobody_listens_on_is_refused() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let at = listener.local_addr().expect("an address");
    let ended = activated(listener, "listen: \"127.0.0.1:-1\"\n", &folder).output().expect("the server");
    let (out, err) = (String::new(), String::from_utf8_lossy(&ended.stderr).into_owned());
    let ended = Ended { code: ended.status.code(), out, err };
    ended.refused_with(&[&format!("systemd opened {at}, where nothing here listens"), "name the same addresses"]);
}

#[test]
fn a_reload_is_previewed_and_changes_the_digest() {
    let server = server("max_payload: 1MB\n", &[]);
    let ask = |args: &[&str]| {
        let url = format!("http://{}", server.monitor());
        let ended = crate::run(turnpike(&["reload", "--dry-run", "--server", &url]).args(args));
        (ended.code, ended.out + &ended.err)
    };
    let digest = || crate::support::process::monitoring(server.monitor(), "/varz")["config_digest"].clone();
    let (file, before) = (server.folder().join("server.conf"), digest());
    fs::write(&file, "max_pending: 2MB\n").expect("the file");
    let told = until("a preview", AT_ONCE, || Some(ask(&[])).filter(|(code, _)| *code != Some(2)));
    assert_eq!(told.0, Some(1), "{}", told.1);
    assert!(told.1.contains("refused: config reload not supported for max_pending"), "{}", told.1);
    fs::write(&file, "max_payload: 1MB\nauthorization { user: u, password: p }\n").expect("the file");
    // Asked less than a second ago: refused until then.
    let told = until("a preview", AT_ONCE, || Some(ask(&["--json"])).filter(|(code, _)| *code != Some(2)));
    assert!(told.0 == Some(0) && told.1.contains("\"reloads\": true"), "{}", told.1);
    assert_eq!(digest(), before);
    server.signal("HUP");
    let line = "Reloaded server configuration";
    until(line, AT_ONCE, || server.output().contains(line).then_some(()));
    assert_ne!(digest(), before);
}

/// A running server and its file, and a file that it does not run with.
#[test]
fn a_running_server_is_compared_with_its_file() {
    let server = server("http_base_path: /m\n", &[]);
    let conf = |more: &str| format!("http_base_path: /m\nhttp: \"{}\"\n{more}", server.monitor());
    let folder = Folder::new();
    let file = folder.write("other.conf", &conf("server_name: other\n"));
    let ended = crate::run(&mut turnpike(&["check", "--live", &file]));
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("at the address of \"other\" answers"), "{}", ended.err);
    let file = folder.write("changed.conf", &conf(""));
    let ended = crate::run(&mut turnpike(&["check", "--live", &file]));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("it runs with another configuration than this file"), "{}", ended.err);
}
