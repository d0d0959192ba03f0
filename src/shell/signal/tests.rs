//! Signals heard and sent.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal as Unix;

use super::*;

/// Sends `argument` in a world where `pids` run; what was sent, or the refusal's text.
fn sent(argument: &str, pids: &[i32]) -> Result<Vec<(i32, Unix)>, String> {
    let mut sent = Vec::new();
    let running = || pids.to_vec();
    let mut kill = |pid, signal| {
        sent.push((pid, signal));
        if pid == 666 {
            Err(Errno::ESRCH)
        } else {
            Ok(())
        }
    };
    send_through(argument, &running, &mut kill).map_err(|r| r.to_string())?;
    Ok(sent)
}

#[test]
fn each_command_has_its_signal() {
    let table = [
        ("quit", Unix::SIGINT),
        ("term", Unix::SIGTERM),
        ("stop", Unix::SIGKILL),
        ("reopen", Unix::SIGUSR1),
        ("ldm", Unix::SIGUSR2),
        ("reload", Unix::SIGHUP),
    ];
    for (command, signal) in table {
        assert_eq!(sent(command, &[17]), Ok(vec![(17, signal)]));
        assert_eq!(sent(&format!("{command}=23"), &[17, 18]), Ok(vec![(23, signal)]));
    }
}

#[test]
fn refusals_say_what_nats_server_says() {
    assert_eq!(sent("bogus", &[17]), Err("unknown signal \"bogus\"".into()));
    assert_eq!(sent("reload", &[]), Err("no turnpike or nats-server processes running".into()));
    assert_eq!(sent("reload", &[1, 2]), Err("multiple turnpike or nats-server processes running:\n1\n2".into()));
    assert_eq!(sent("reload=666", &[]), Err("\nsignal \"reload\" 666: no such process".into()));
    for bad in ["reload=0", "reload=-1", "reload=/nonexistent/pid", "reload=99999999999"] {
        let text = format!("invalid pid: {}", bad.split_once('=').unwrap().1);
        assert_eq!(sent(bad, &[17]), Err(text), "{bad}");
    }
    assert_eq!(sent("reload=a*", &[17]), Err("invalid pid: a".into()));
}

#[test]
fn a_prefix_reaches_all_that_begin_with_it() {
    assert_eq!(sent("ldm=12*", &[12, 120, 312]).unwrap().len(), 2);
    assert_eq!(sent("ldm=*", &[12, 120, 312]).unwrap().len(), 3);
    assert!(sent("ldm=9*", &[12]).unwrap_err().starts_with("no turnpike"));
}

#[test]
fn a_pid_file_is_read_with_and_without_a_newline() {
    let dir = std::env::temp_dir().join(format!("turnpike-signal-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("pid");
    let argument = format!("reload={}", file.display());
    for (held, expected) in [("41", Ok(vec![(41, Unix::SIGHUP)])), ("41\n", Ok(vec![(41, Unix::SIGHUP)]))] {
        std::fs::write(&file, held).unwrap();
        assert_eq!(sent(&argument, &[]), expected);
    }
    for held in ["abc", "", "0", "-1"] {
        std::fs::write(&file, held).unwrap();
        assert_eq!(sent(&argument, &[]), Err(format!("invalid pid: {held}")));
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A process that is called like a server and waits for its end.
fn impostor(name: &str) -> (Child, std::path::PathBuf) {
    let dir = std::env::temp_dir().join(format!("turnpike-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let exe = dir.join(name);
    std::fs::copy("/bin/cat", &exe).unwrap();
    let mut child = Command::new(&exe).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // The kernel sets the name after spawn returned; one byte through it proves that it runs under its own.
    child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    (child, dir)
}

#[test]
fn a_running_server_is_found_by_either_name_and_a_dead_one_is_not() {
    for name in PROCESS_NAMES {
        let (mut child, dir) = impostor(name);
        let pid = i32::try_from(child.id()).unwrap();
        assert!(running().contains(&pid), "{name}");
        send(&format!("term={pid}")).unwrap();
        // Dead and not yet waited for: `waitid` with WNOWAIT leaves the zombie where it is.
        let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(nix::sys::wait::Id::Pid(Pid::from_raw(pid)), flags).unwrap();
        assert!(!running().contains(&pid), "{name}");
        child.wait().unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }
}

#[test]
fn heard_signals_arrive_by_name() {
    let (tx, rx) = crossbeam_channel::bounded(8);
    let signals = listen(move |s| tx.send(s).unwrap()).unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    let table = [
        (Unix::SIGINT, Signal::Interrupt, "interrupt"),
        (Unix::SIGTERM, Signal::Terminate, "terminated"),
        (Unix::SIGHUP, Signal::Hangup, "hangup"),
        (Unix::SIGUSR1, Signal::User1, "user defined signal 1"),
        (Unix::SIGUSR2, Signal::User2, "user defined signal 2"),
    ];
    for (unix, signal, name) in table {
        kill(Pid::from_raw(own), unix).unwrap();
        let heard = rx.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!((heard, heard.name()), (signal, name));
    }
    drop(signals);
    assert!(rx.recv_timeout(Duration::from_secs(10)).is_err(), "the thread ended and let go of its end");
}
