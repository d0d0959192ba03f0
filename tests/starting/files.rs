//! The files a server writes: pid, ports, log (operations.md §§12, 13).

use crate::support::process::until;
use crate::support::raw::Raw;
use crate::{server, Folder, AT_ONCE};
use serde_json::{json, Value};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

#[test]
fn the_pid_file_is_a_bare_number_and_stays() {
    let folder = Folder::new();
    let path = folder.path("pid");
    let mut server = server("", &["--pid", &path]);
    assert_eq!(fs::read_to_string(&path).expect("the pid file"), server.pid().to_string());
    assert_eq!(fs::metadata(&path).expect("the pid file").permissions().mode() & 0o777, 0o600);
    assert_eq!(server.terminate(), Some(0));
    assert!(fs::exists(&path).expect("its folder"));
}

#[test]
fn the_ports_file_tells_where_we_listen_and_goes() {
    let mut server = server("", &[]);
    let ports: Vec<PathBuf> = fs::read_dir(server.folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "ports"))
        .collect();
    let [path] = &ports[..] else { panic!("not one ports file: {ports:?}") };
    assert!(path.to_str().is_some_and(|p| p.ends_with(&format!("turnpike_{}.ports", server.pid()))), "{path:?}");
    let told: Value = serde_json::from_str(&fs::read_to_string(path).expect("the ports file")).expect("JSON");
    let (clients, monitor) = (server.clients(), server.monitor());
    assert_eq!(told, json!({ "nats": [format!("nats://{clients}")], "monitoring": [format!("http://{monitor}")] }));
    assert_eq!(server.terminate(), Some(0));
    assert!(!fs::exists(path).expect("its folder"));
}

#[test]
fn a_moved_log_is_opened_anew() {
    let folder = Folder::new();
    let (live, old) = (folder.path("log"), folder.path("log.1"));
    let mut server = server("", &["-l", &live]);
    assert_eq!(fs::metadata(&live).expect("the log").permissions().mode() & 0o777, 0o640);
    fs::rename(&live, &old).expect("the log can be moved");
    server.signal("USR1");
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    until("the new log", AT_ONCE, || read(&live).contains("[INF] File log re-opened").then_some(()));
    assert_eq!(server.terminate(), Some(0));
    assert!(read(&old).contains("Server is ready") && !read(&old).contains("Server Exiting.."), "{}", read(&old));
    assert!(read(&live).contains("Server Exiting..") && !read(&live).contains("Server is ready"), "{}", read(&live));
}

#[test]
fn a_ports_file_that_cannot_be_written_is_an_error_and_no_end() {
    let folder = Folder::new();
    let dir = folder.path("none");
    let log = folder.path("log");
    let args = ["-a", "127.0.0.1", "-p", "-1", "--shards", "1", "-l", &log, "--ports_file_dir", &dir];
    let _running = crate::Running(crate::turnpike(&args).spawn().expect("cannot start it"));
    let said = until("a server that is ready", AT_ONCE, || {
        fs::read_to_string(&log).ok().filter(|text| text.contains("Server is ready"))
    });
    let line = said.lines().find(|l| l.contains("[ERR] ")).expect("an error");
    assert!(line.contains(&format!("Error writing ports file ({dir}/")), "{line}");
    assert!(line.contains("make the directory") && line.contains("ports_file_dir"), "{line}");
}

#[test]
fn lines_of_a_json_log_are_json() {
    let mut server = server("log_format: json\nlogtime_utc: true\ndebug: true\n", &[]);
    let mut client = Raw::connect(server.clients());
    client.write(b"CONNECT {\"verbose\":false,\"name\":\"a \\\"b\\\" \\u0007\"}\r\nnonsense\r\n");
    while !client.is_closed() {
        client.next(AT_ONCE);
    }
    let pid = server.pid();
    assert_eq!(server.terminate(), Some(0));
    let mut texts = Vec::new();
    for line in server.output().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(line["pid"], pid);
        assert!(line["time"].as_str().is_some_and(|t| t.ends_with("+00:00")), "{line}");
        assert!(["info", "warn", "error", "debug"].contains(&line["level"].as_str().expect("a level")), "{line}");
        texts.push(line["text"].as_str().expect("a text").to_string());
    }
    for text in ["Starting turnpike", "Server is ready", "Trapped \"terminated\" signal", "Server Exiting.."] {
        assert!(texts.iter().any(|t| t == text), "{text:?} is not in {texts:?}");
    }
}
