//! The command line, row by row (operations.md §§1, 14, 23).

use super::*;
use std::io;

/// One configuration named `f.conf` and nothing else.
struct Memory(&'static str);

impl Source for Memory {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new("f.conf") {
            return Ok(self.0.into());
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

fn run_on(file: &'static str, line: &str) -> Command {
    let args: Vec<String> =
        ["/usr/bin/turnpike"].into_iter().chain(line.split_whitespace()).map(String::from).collect();
    parse(&args, &mut Memory(file))
}

fn run(line: &str) -> Command {
    run_on("port: 4333", line)
}

fn served(command: Command) -> Serve {
    match command {
        Command::Serve(s) => *s,
        other => panic!("not a server: {other:?}"),
    }
}

fn printed(command: Command) -> (String, u8, bool) {
    match command {
        Command::Print { text, code, to_stderr } => (text, code, to_stderr),
        other => panic!("nothing printed: {other:?}"),
    }
}

#[test]
fn one_dash_or_two_apart_or_glued() {
    for line in
        ["-p 5000 -a 127.0.0.1", "--port=5000 --addr=127.0.0.1", "-port 5000 --net 127.0.0.1", "--p=5000 -a=127.0.0.1"]
    {
        let s = served(run(line)).settings;
        assert_eq!((s.listen.port, s.listen.host.as_str()), (Some(5000), "127.0.0.1"), "{line}");
    }
    assert_eq!(served(run("-p -1")).settings.listen.port, None);
    assert_eq!(served(run("-p 0")).settings.listen.port, Some(4222));
    assert_eq!(served(run("")).settings, policy::Settings::default());
}

#[test]
fn flags_go_before_the_file_wherever_they_stand() {
    assert_eq!(served(run("-c f.conf")).settings.listen.port, Some(4333));
    assert_eq!(served(run("-c f.conf -p 5000")).settings.listen.port, Some(5000));
    let s = served(run("--port 5000 --config f.conf"));
    assert_eq!(s.settings.listen.port, Some(5000));
    assert_eq!((s.config, s.program), (Some("f.conf".into()), "turnpike".to_string()));
}

#[test]
fn log_levels() {
    let log = |line: &str| {
        let l = served(run_on("debug: true", line)).settings.log;
        (l.debug, l.trace, l.trace_verbose)
    };
    assert_eq!(log(""), (false, false, false));
    assert_eq!(log("-c f.conf"), (true, false, false));
    assert_eq!(log("-c f.conf -D=false"), (false, false, false));
    assert_eq!(log("-DV"), (true, true, false));
    assert_eq!(log("-DVV"), (true, true, true));
    assert_eq!(log("-VV"), (false, true, true));
    assert_eq!(log("--trace"), (false, true, false));
    assert!(!served(run("-T=false --logtime_utc")).settings.log.time);
}

#[test]
fn version_and_help() {
    for line in ["-v", "--version", "version", "-c nosuch --version"] {
        let (text, code, to_stderr) = printed(run(line));
        assert!(text.contains(&format!(" v{NATS_VERSION} ")), "{text}");
        assert_eq!((code, to_stderr), (0, false));
    }
    let (text, code, to_stderr) = printed(run("--help"));
    assert_eq!((code, to_stderr), (0, false));
    for (names, _) in FLAGS.iter().filter(|(n, _)| !n[0].contains("tls")) {
        let shown = names.iter().any(|n| text.contains(&format!("-{n}")));
        assert!(shown, "--{} is not in the help", names[0]);
    }
}

#[test]
fn a_cluster_from_flags_alone() {
    for line in [
        "--cluster nats://u:p@127.0.0.1:-1 --routes nats://a:1,nats://b:2 --cluster_name c --cluster_advertise h:1 \
         --no_advertise --connect_retries 3",
        "-cluster_listen=u:p@127.0.0.1:-1 -routes=a:1,b:2, -cluster_name=c -cluster_advertise=h:1 -no_advertise=true \
         -connect_retries=3",
    ] {
        let s = served(run(line)).settings;
        assert_eq!(s.warnings, [""; 0], "{line}");
        let c = s.cluster.unwrap();
        assert_eq!(c.listen, Some(policy::Listen { host: "127.0.0.1".into(), port: None }));
        let login = c.login.unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("u", "p"));
        let routes: Vec<_> = c.routes.iter().map(|r| (r.host.as_str(), r.port)).collect();
        assert_eq!(routes, [("a", 1), ("b", 2)]);
        assert_eq!((c.name.as_deref(), c.advertise.as_deref()), (Some("c"), Some("h:1")));
        assert_eq!((c.no_advertise, c.connect_retries), (true, 3));
    }
}

#[test]
fn flags_go_before_the_cluster_of_the_file() {
    const FILE: &str =
        "cluster {name: f, listen: 127.0.0.1:1, authorization {user: u, password: p}, routes: [nats://f:1]}";
    let c = |line: &str| served(run_on(FILE, line)).settings.cluster;
    let with = |line: &str| c(line).unwrap();
    assert_eq!(with("-c f.conf").routes[0].host, "f");
    let routes = with("-c f.conf --routes nats://a:1").routes;
    assert_eq!((routes.len(), routes[0].host.as_str()), (1, "a"));
    // The file's guard is not taken away by silence.
    let moved = with("-c f.conf --cluster nats://127.0.0.1:2 --cluster_name g");
    assert_eq!((moved.listen.unwrap().port, moved.name.as_deref()), (Some(2), Some("g")));
    assert_eq!(moved.login.unwrap().user, "u");
    assert_eq!(with("-c f.conf --cluster nats://x:y@127.0.0.1:2").login.unwrap().user, "x");
    assert_eq!(c("-c f.conf --cluster="), None);
    // Routes on the client port, and others on the command line.
    let s = served(run_on("routes: [nats://f:1]", "-c f.conf -a 127.0.0.1 --routes nats://a:1,nats://b:1")).settings;
    assert_eq!(s.cluster.map(|c| (c.listen, c.routes.len())), Some((None, 2)));
}

#[test]
fn what_is_wrong_exits_with_1_and_one_line_first() {
    for (line, first) in [
        ("--bogus", "flag provided but not defined: -bogus"),
        ("-p", "flag needs an argument: -p"),
        ("-p x", "invalid value \"x\" for flag -p: parse error"),
        ("-D=maybe", "invalid boolean value \"maybe\" for -D: parse error"),
        ("---x", "bad flag syntax: ---x"),
        ("-=x", "bad flag syntax: -=x"),
        ("foo", "turnpike: unrecognized command: \"foo\""),
        ("-t -c f.conf foo", "turnpike: unrecognized command: \"foo\""),
        ("-- foo", "turnpike: unrecognized command: \"foo\""),
        ("-t", "turnpike: must specify [-c, --config] option to check configuration file syntax"),
        ("-c nosuch", "turnpike: open nosuch: no such file or directory"),
        ("-p 70000", "turnpike: port: 70000 is not a port: −1 (the system chooses) or 1 to 65535"),
        ("--https_port 8443", "turnpike: TLS cert and key required for HTTPS: add a tls block"),
        (
            "--routes nats://a:1",
            "turnpike: solicited routes require cluster capabilities, e.g. --cluster nats://0.0.0.0:6222, or listen in \
             the cluster block",
        ),
        (
            "--cluster 127.0.0.1:1 --routes nats://u:secret@a",
            "turnpike: --routes: expected nats://[user:password@]host:port, but it names no port",
        ),
        ("--cluster nats://u@h:1", "turnpike: --cluster: expected cluster password to be set"),
        (
            "--cluster nats://u:secret@h",
            "turnpike: --cluster: expected nats://[user:password@]host:port, but it names no port",
        ),
        ("--cluster h:1 --connect_retries -1", "turnpike: --connect_retries must be 0 or more"),
        ("--pass x", "turnpike: a password without a user would guard nothing: name the user too"),
        ("--shards 0", "turnpike: shards must be \"auto\" or a number from 1 to 128"),
    ] {
        let (text, code, to_stderr) = printed(run(line));
        assert_eq!(text.lines().next(), Some(first), "{line}");
        assert_eq!((code, to_stderr), (1, true), "{line}");
    }
}

#[test]
fn check_says_valid_or_everything_wrong() {
    let (text, code, to_stderr) = printed(run("-t -c f.conf"));
    assert!(text.starts_with("turnpike: configuration file f.conf is valid (sha256:"), "{text}");
    assert_eq!((code, to_stderr), (0, true));
    let (text, code, _) = printed(run_on("port: x\n\nbogus: 1\njetstream: true", "-t -c f.conf"));
    assert_eq!(code, 1);
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        ["turnpike: f.conf:1:1: port: expected an integer, found a string", "f.conf:3:1: unknown field \"bogus\"",]
    );
    let (text, code, _) = printed(run_on("jetstream: true", "check f.conf"));
    assert_eq!((text.lines().nth(1), code), (Some("f.conf: warning: jetstream: JetStream is not offered"), 0));
    let (text, code, _) = printed(run("check f.conf nosuch"));
    assert_eq!((text.lines().count(), code), (2, 1));
}

#[test]
fn a_deprecated_spelling_fails_the_check_and_starts_with_a_notice() {
    let text = "ping_interval: 2";
    let why = "f.conf:1:1: invalid use of field \"ping_interval\": ping_interval should be converted to a duration";
    assert_eq!(printed(run_on(text, "-t -c f.conf")), (format!("turnpike: {why}\n"), 1, true));
    let s = served(run_on(text, "-c f.conf"));
    assert_eq!(s.notices, [why]);
    assert_eq!(s.settings.timers.ping_interval.as_secs(), 2);
}

#[test]
fn services_not_offered_start_with_a_warning() {
    let s = served(run("-js -sd /x --profile 6060 --syslog --no_advertise")).settings;
    assert_eq!(s.warnings.len(), 5, "{:?}", s.warnings);
    assert!(served(run("-js=false --profile 0 --tls=false")).settings.warnings.is_empty());
}

#[test]
fn secrets_are_found_wherever_they_stand_and_never_shown() {
    let found = |line: &str| {
        let args: Vec<String> = format!("turnpike {line}").split(' ').map(String::from).collect();
        secrets(&args).into_iter().map(|(index, bytes)| args[index][bytes].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found("--user bob --pass=s3cret -p 4222"), ["bob", "s3cret"]);
    assert_eq!(found("-auth t0ken version"), ["t0ken"]);
    assert_eq!(found("--routes nats://a:b@h:1,h:2,nats://c:d@h:3"), ["a:b", "c:d"]);
    assert_eq!(found("--cluster=nats://a:p@ss@h:1"), ["a:p@ss"]);
    assert_eq!(found("--cluster nats://h:1 --routes=@h,nats://@h"), [""; 0]);
    assert_eq!(found("--pass s3cret --nonsense"), [""; 0]);
    let s = served(run("--user bob --pass=s3cret"));
    assert!(!format!("{s:?}").contains("s3cret"));
    assert_eq!(s.settings.auth.users[0].name, "bob");
    let s = served(run("-auth t0ken"));
    assert!(s.settings.auth.token.is_some() && s.settings.auth.required);
    let s = served(run("--cluster nats://u:s3cret@127.0.0.1:1 --routes=h:1,nats://u:s3cret@h:2"));
    assert!(!format!("{s:?}").contains("s3cret"));
}

#[test]
fn signals() {
    let sent = |line: &str| match run(line) {
        Command::Signal { argument, .. } => argument,
        other => panic!("{other:?}"),
    };
    assert_eq!(sent("--signal ldm=123"), "ldm=123");
    assert_eq!(sent("-sl reload"), "reload");
    assert_eq!(sent("--signal=quit=12*"), "quit=12*");
    // Which signals there are, the shell knows; it refuses the others.
    assert_eq!(sent("--signal bogus"), "bogus");
}

#[test]
fn cores() {
    let c = served(run("--shards 4 --cpus 0-3 --idle park,poll,spin:20us,park")).settings.cores;
    assert_eq!((c.shards, c.cpus, c.idle.len()), (Some(4), Some(vec![0, 1, 2, 3]), 4));
    assert_eq!(printed(run("--shards 3 --idle park,poll")).1, 1);
}

#[test]
fn the_machine_reads_no_more_than_it_must() {
    assert_eq!(Machine.read(Path::new("/dev/zero")).unwrap().len(), crate::base::limits::CONF_FILE_BYTES_MAX + 1);
    let wrong = |path: &str| match parse(&["turnpike", "-c", path].map(String::from), &mut Machine) {
        Command::Print { text, .. } => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(wrong("/dev/zero"), "turnpike: /dev/zero is larger than 8388608 bytes\n");
    assert_eq!(wrong("/"), "turnpike: open /: is a directory\n");
}

#[test]
fn a_plan_is_printed_and_asks_no_server() {
    let (text, code, to_stderr) = printed(run("plan 3 3"));
    assert!(text.starts_with("6 servers in 2 clusters") && code == 0 && !to_stderr, "{text}");
    assert!(printed(run("plan --help")).0.contains("Usage: turnpike plan SIZE"));
    let (text, code, to_stderr) = printed(run("plan x"));
    assert!(text.starts_with("turnpike: plan: \"x\" is no size") && code == 1 && to_stderr, "{text}");
}
