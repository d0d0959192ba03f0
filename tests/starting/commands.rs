//! What the binary does besides being a server: `-t`, `-v`, `-h`, `--signal`.

use crate::support::process::until;
use crate::support::raw::Raw;
use crate::{run, server, turnpike, Folder, AT_ONCE};

#[test]
fn a_check_beside_a_running_server_binds_nothing() {
    let server = server("", &[]);
    let folder = Folder::new();
    let (clients, monitor) = (server.clients(), server.monitor());
    let conf = folder.write("same.conf", &format!("listen: \"{clients}\"\nhttp: \"{monitor}\"\n"));
    // The same file would not start: both ports are taken.
    run(&mut turnpike(&["-c", &conf])).refused_with(&["Error listening on port"]);
    for command in [&["-t", "-c", &conf], &["-c", &conf, "-t"], &["check", "--", &conf][..]] {
        let command: Vec<&str> = command.iter().copied().filter(|a| *a != "--").collect();
        let ended = run(&mut turnpike(&command));
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.err.contains(&format!("configuration file {conf} is valid (sha256:")), "{}", ended.err);
        assert_eq!(ended.out, "");
    }
    Raw::connect(server.clients()).barrier();
}

#[test]
fn version_and_help_go_to_standard_output() {
    for flag in ["-v", "--version", "version"] {
        let ended = run(&mut turnpike(&[flag]));
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        let version = format!(" v{} ", turnpike::NATS_VERSION);
        assert!(ended.out.starts_with("nats-server: v2.") && ended.out.contains(&version), "{}", ended.out);
        assert!(ended.out.contains(turnpike::TURNPIKE_VERSION) && ended.out.lines().count() == 1, "{}", ended.out);
    }
    for flag in ["-h", "--help", "help"] {
        let ended = run(&mut turnpike(&[flag]));
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        for flag in ["--config", "--port", "--signal", "--pass", "--shards"] {
            assert!(ended.out.contains(flag), "{flag} is not in the help: {}", ended.out);
        }
    }
}

#[test]
fn signals_go_to_the_process_of_a_pid_file() {
    // `stop` is SIGKILL: no exit code (operations.md §14).
    for (command, code) in [("term", Some(0)), ("quit", Some(0)), ("stop", None)] {
        let folder = Folder::new();
        let pid = folder.path("pid");
        let mut server = server("", &["-P", &pid]);
        let ended = run(&mut turnpike(&["--signal", &format!("{command}={pid}")]));
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), "", ""));
        assert_eq!(server.ended(), code, "{command}");
    }
}

#[test]
fn signals_that_the_server_survives() {
    let server = server("", &[]);
    for (command, name) in [("reload", "hangup"), ("reopen", "user defined signal 1")] {
        let ended = run(&mut turnpike(&["-sl", &format!("{command}={}", server.pid())]));
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), "", ""));
        let line = format!("Trapped \"{name}\" signal");
        until(&line, AT_ONCE, || server.output().contains(&line).then_some(()));
    }
    Raw::connect(server.clients()).barrier();
}

#[test]
fn signals_to_nobody() {
    run(&mut turnpike(&["--signal", "bogus=1"])).refused_with(&["unknown signal \"bogus\""]);
    run(&mut turnpike(&["--signal", "term=/no/such/pid"])).refused_with(&["invalid pid: /no/such/pid"]);
}
