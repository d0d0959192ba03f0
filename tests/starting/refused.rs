//! Starts that are refused: exit code 1, at once, with what is wrong and the line that fixes it.

use crate::support::differences::named;
use crate::{run, turnpike, Folder};
use std::net::TcpListener;

/// As many characters as a name has at most between two dots, and one more: no resolver need be asked.
const NO_HOST: &str = "a234567890b234567890c234567890d234567890e234567890f234567890g234";

#[test]
fn a_taken_port() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = taken.local_addr().expect("address").port().to_string();
    let ended = run(&mut turnpike(&["-a", "127.0.0.1", "-p", &port]));
    let (what, remedy) =
        (format!("[FTL] Error listening on port: 127.0.0.1:{port}, "), format!("ss -ltnp 'sport = :{port}'"));
    ended.refused_with(&[&what, &remedy]);
    let ended = run(&mut turnpike(&["-a", "127.0.0.1", "-p", "-1", "-m", &port]));
    ended.refused_with(&[
        &format!("[FTL] Can't start monitoring on port: 127.0.0.1:{port}, "),
        "choose another address with http or -m",
    ]);
}

#[test]
fn a_host_that_is_not_ours() {
    // TEST-NET-1 (RFC 5737) is nobody's.
    let ended = run(&mut turnpike(&["-a", "192.0.2.1", "-p", "-1"]));
    ended.refused_with(&["[FTL] Error listening on port: 192.0.2.1:", "see `ip address`"]);
    let ended = run(&mut turnpike(&["-a", NO_HOST, "-p", "-1"]));
    ended.refused_with(&["[FTL] Error listening on port: a234567890", "give an address, or a name that resolves"]);
}

#[test]
fn files_that_cannot_be_written() {
    let folder = Folder::new();
    let missing = folder.path("none/file");
    let start = |flag: &str| run(&mut turnpike(&["-a", "127.0.0.1", "-p", "-1", "--shards", "1", flag, &missing]));
    start("-P").refused_with(&[
        &format!("[FTL] Could not write pidfile: open {missing}: No such file or directory"),
        "make its directory",
        "change pid_file",
    ]);
    start("-l").refused_with(&[
        &format!("error opening file: open {missing}: No such file or directory"),
        "make its directory",
        "change log_file (-l)",
    ]);
}

#[test]
fn a_refusal_is_said_in_the_log_file_and_to_whoever_started_us() {
    let folder = Folder::new();
    let log = folder.path("log");
    let ended = run(&mut turnpike(&["-a", "192.0.2.1", "-p", "-1", "-l", &log]));
    let name = crate::Which::under_test();
    let name = name.path().file_name().expect("a binary has a name").to_string_lossy().into_owned();
    ended.refused_with(&[&format!("{name}: Error listening on port: 192.0.2.1:"), "see `ip address`"]);
    let logged = std::fs::read_to_string(log).expect("the log");
    assert!(logged.contains("[FTL] Error listening on port: 192.0.2.1:"), "{logged}");
}

#[test]
fn cores_that_do_not_exist() {
    let ended = run(&mut turnpike(&["-a", "127.0.0.1", "-p", "-1", "--cpus", "0,1019-1020"]));
    ended.refused_with(&["[FTL] cpus: 1019-1020 do not exist; this machine has 0", "give cpus = \"0"]);
}

#[test]
fn a_configuration_that_is_wrong_is_named_with_line_and_column() {
    let folder = Folder::new();
    let broken = folder.write("broken.conf", "port: -1\nauthorization {\n  user: \"a\n");
    let unknown = folder.write("unknown.conf", "port: -1\n  prot: 4222\n");
    let range = folder.write("range.toml", "port = -1\nmax_payload = \"9 gnus\"\n");
    for more in [&[][..], &["-t"]] {
        let check = |file: &str| run(turnpike(&["-c", file]).args(more));
        check(&broken).refused_with(&[&format!("{broken}:"), "Parse error"]);
        check(&unknown).refused_with(&[&format!("{unknown}:2:3: "), "prot"]);
        check(&range).refused_with(&[&format!("{range}:2:"), "max_payload"]);
    }
    let missing = folder.path("missing.conf");
    run(&mut turnpike(&["-c", &missing])).refused_with(&[&missing, "no such file"]);
}

#[test]
fn flags_that_are_wrong() {
    run(&mut turnpike(&["--nonsense"])).refused_with(&["flag provided but not defined: -nonsense", "Usage:"]);
    run(&mut turnpike(&["-p", "many"])).refused_with(&["many"]);
    run(&mut turnpike(&["serve"])).refused_with(&["unrecognized command: \"serve\""]);
}

/// docs/differences.md: nats-server would dial it in the clear.
#[test]
fn a_url_that_wants_tls_in_a_section_without() {
    let (folder, refusal) = (Folder::new(), named("tls-url").turnpike);
    let file = folder.write("f.conf", "cluster { name: c, port: -1, routes: [\"tls://127.0.0.1:6222\"] }\n");
    run(&mut turnpike(&["-t", "-c", &file])).refused_with(&[&refusal, "f.conf:1"]);
}
