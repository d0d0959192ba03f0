//! What a server says as it starts, and what it hides.

use crate::support::process::{monitoring, until};
use crate::support::raw::Raw;
use crate::{server, turnpike, Folder, Running, AT_ONCE};
use std::fs;

/// The arguments of a process as everybody sees them.
fn seen(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).expect("the process has gone");
    String::from_utf8_lossy(&bytes).split_terminator('\0').map(String::from).collect()
}

#[test]
fn lines_look_as_launchers_expect_them() {
    let mut server = server("", &[]);
    let pid = server.pid();
    assert_eq!(server.terminate(), Some(0));
    let output = server.output();
    let lines: Vec<&str> = output.lines().collect();
    for line in &lines {
        // [pid] YYYY/MM/DD HH:MM:SS.uuuuuu [LVL] text
        let rest = line.strip_prefix(&format!("[{pid}] ")).unwrap_or_else(|| panic!("no pid: {line}"));
        let shape: String = rest[..26].chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000/00/00 00:00:00.000000", "{line}");
        assert!(["INF", "WRN"].iter().any(|level| rest[26..].starts_with(&format!(" [{level}] "))), "{line}");
    }
    let at = |text: &str| lines.iter().position(|l| l.ends_with(text)).unwrap_or_else(|| panic!("{text}: {output}"));
    let listening = at(&format!("Listening for client connections on {}", server.clients()));
    let order = [at("Starting turnpike"), listening, at("Server is ready"), at("Initiating Shutdown...")];
    assert!(order.is_sorted() && at("Server Exiting..") == lines.len() - 1, "{output}");
}

#[test]
fn secrets_of_the_command_line_are_hidden() {
    let asked = [
        (&["--user", "somebody", "--pass", "s3cret"][..], &["somebody", "s3cret"][..]),
        (&["-user=somebody", "--pass=s3cret"], &["somebody", "s3cret"]),
        (&["--auth", "t0ken"], &["t0ken"]),
        (&["-auth=t0ken"], &["t0ken"]),
    ];
    for (args, secrets) in asked {
        let server = server("", args);
        let hide = |arg: &&str| secrets.iter().fold(arg.to_string(), |a, s| a.replace(s, &"x".repeat(s.len())));
        let hidden: Vec<String> = args.iter().map(hide).collect();
        // Only they: the others are as they were given.
        let expected = [vec!["--shards".to_string(), "2".to_string()], hidden].concat();
        let seen = seen(server.pid());
        assert!(seen.ends_with(&expected), "{seen:?}");
        assert!(secrets.iter().all(|secret| !seen.concat().contains(secret)), "{seen:?}");
        // And the server knows them.
        let client = Raw::connect(server.clients());
        assert_eq!(client.greeting()["auth_required"], true);
    }
}

/// The doors of servers, in the log and in `/varz`.
#[test]
fn doors_of_servers_that_ask_nobody_are_warned_about() {
    let login = ", authorization { user: u, password: p }";
    for (host, login, warned) in [("0.0.0.0", "", true), ("127.0.0.1", "", false), ("0.0.0.0", login, false)] {
        for (door, conf) in [
            ("routes", format!("cluster {{ name: c, listen: \"{host}:-1\"{login} }}")),
            ("gateways", format!("gateway {{ name: c, listen: \"{host}:-1\"{login} }}")),
        ] {
            let server = server(&conf, &[]);
            let text = format!("{door} need no credentials on host {host}");
            let varz = monitoring(server.monitor(), "/varz");
            let warnings = varz["turnpike"]["warnings"].as_array().expect("a list").clone();
            let shown = warnings.iter().filter(|w| w.as_str().is_some_and(|w| w.contains(&text))).count();
            let said = server.output();
            let logged = said.lines().filter(|l| l.contains("[WRN]") && l.contains(&text)).count();
            assert_eq!((shown, logged), (usize::from(warned), usize::from(warned)), "{conf}: {said}");
        }
    }
}

#[test]
fn a_listener_open_to_everybody_is_warned_about_once() {
    let folder = Folder::new();
    let guarded = "accounts { A { users [ { user: a, password: b } ] } }\nno_auth_user: a\n";
    let asked = [
        ("0.0.0.0", "", true),
        ("::", "", true),
        ("127.0.0.1", "", false),
        ("localhost", "", false),
        ("0.0.0.0", "authorization { token: abc }\n", false),
        ("0.0.0.0", "authorization { user: a, password: b }\n", false),
        // Somebody has thought about who may come in.
        ("0.0.0.0", guarded, false),
    ];
    for (i, (host, conf, warned)) in asked.into_iter().enumerate() {
        let log = folder.path(&format!("log{i}"));
        let conf = folder.write("server.conf", conf);
        let mut start = turnpike(&["-a", host, "-p", "-1", "--shards", "1", "-l", &log, "-c", &conf]);
        let _running = Running(start.spawn().expect("cannot start it"));
        let said = until("a server that is ready", AT_ONCE, || {
            fs::read_to_string(&log).ok().filter(|text| text.contains("Server is ready"))
        });
        let lines: Vec<&str> = said.lines().filter(|l| l.contains("no user and no token")).collect();
        assert_eq!(lines.len(), usize::from(warned), "{host} {conf}: {said}");
        for line in lines {
            assert!(line.contains("[WRN] ") && line.contains("-a 127.0.0.1") && line.contains("--pass"), "{line}");
        }
    }
}
