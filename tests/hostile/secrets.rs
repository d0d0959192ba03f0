//! Secrets planted wherever one can stand, and looked for wherever one could show.

use crate::support::cluster::{free_port, local};
use crate::support::process::{page, until};
use crate::support::raw::{Raw, PATIENCE};
use crate::support::server::{shard_args, Server, Start, Which};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

/// Stands in every secret.
const MARK: &str = "s3cr3t";

/// Says this to a door of servers, and what it answered.
fn say(door: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(door).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.write_all(text.as_bytes()).expect("write");
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    String::from_utf8_lossy(&heard).into_owned()
}

/// All that can be read of a server from outside.
pub fn seen(server: &Server) -> String {
    let mut all = server.output();
    for path in [
        "/",
        "/varz",
        "/connz?auth=1&subs=detail&state=all",
        "/connz?state=closed&auth=1",
        "/subsz?subs=1",
        "/routez?subs=detail",
        "/gatewayz?accs=1",
        "/accountz",
        "/accountz?acc=A",
        "/accstatz?unused=1",
        "/leafz",
        "/jsz",
        "/healthz",
        "/metrics",
        "/debug/vars",
        "/explain?account=A&subject=a&cluster=west",
    ] {
        let text = page(server.monitor(), path).unwrap_or_else(|e| e.to_string());
        all.push_str(&text);
    }
    let cmdline = fs::read(format!("/proc/{}/cmdline", server.pid())).expect("the process has gone");
    all.push_str(&String::from_utf8_lossy(&cmdline));
    for entry in fs::read_dir(server.folder()).expect("the server's folder").flatten() {
        let path = entry.path();
        if path.is_file() && !path.to_string_lossy().contains("server.conf") {
            all.push_str(&String::from_utf8_lossy(&fs::read(&path).expect("a file")));
        }
    }
    all
}

#[test]
fn no_planted_secret_is_seen_anywhere() {
    let (routes, gates, nobody) = (free_port(), free_port(), free_port());
    let hash = bcrypt::hash(format!("{MARK}-hashed"), 4).expect("a hash");
    let conf = format!(
        "debug: true\ntrace: true\ntrace_verbose: true\n\
         accounts {{ A {{ users: [ {{ user: plain, password: \"{MARK}-plain\" }}, {{ user: hashed, password: \"{hash}\" }} ] }}\n\
           SYS {{ users: [ {{ user: s, password: \"{MARK}-sys\" }} ] }} }}\nsystem_account: SYS\n\
         cluster {{ name: c, listen: \"127.0.0.1:{routes}\"\n\
           authorization {{ user: r, password: \"{MARK}-routes\" }}\n\
           routes: [ \"nats://r:{MARK}-url@127.0.0.1:{nobody}\" ] }}\n\
         gateway {{ name: c, listen: \"127.0.0.1:{gates}\", authorization {{ user: g, password: \"{MARK}-gateways\" }}\n\
           gateways: [ {{ name: west, url: \"nats://g:{MARK}-far@127.0.0.1:{nobody}\" }} ] }}\n"
    );
    let which = Which::under_test();
    let mut args = shard_args(&which, 2);
    args.extend(["--routes".into(), format!("nats://r:{MARK}-flag@127.0.0.1:{nobody}")]);
    let server = Server::from(Start::new(&which, &conf, &args));
    // Right ones, wrong ones, and fields that nobody knows.
    let connects = [
        format!("\"user\":\"plain\",\"pass\":\"{MARK}-plain\""),
        format!("\"user\":\"hashed\",\"pass\":\"{MARK}-hashed\""),
        format!("\"user\":\"plain\",\"pass\":\"{MARK}-wrong\""),
        format!("\"user\":\"hashed\",\"pass\":\"{MARK}-wrong\""),
        format!("\"auth_token\":\"{MARK}-token\""),
        format!("\"user\":\"plain\",\"pass\":\"{MARK}-plain\",\"password\":\"{MARK}\",\"seed\":\"{MARK}\",\"tls_key\":[\"{MARK}\"]"),
        format!("\"jwt\":\"{MARK}\",\"sig\":\"{MARK}\",\"proxy_sig\":\"{MARK}\""),
        format!("\"user\":\"plain\",\"pass\":\"{MARK}\",}} {MARK}"),
    ];
    let (mut kept, mut heard) = (Vec::new(), String::new());
    for (i, connect) in connects.iter().enumerate() {
        let mut raw = Raw::connect(server.clients());
        raw.write(format!("CONNECT {{\"verbose\":false,{connect}}}\r\nPING\r\n").as_bytes());
        let closed = raw.until_pongs(1).1;
        assert_eq!(closed, !matches!(i, 0 | 1 | 5), "{connect}");
        kept.push(raw);
    }
    for (door, name) in [(local(routes), "\"cluster\":\"c\""), (local(gates), "\"gateway\":\"west\"")] {
        for user in ["r", "g", "x"] {
            for pass in ["routes", "gateways", "wrong"] {
                let connect = format!("CONNECT {{\"user\":\"{user}\",\"pass\":\"{MARK}-{pass}\",{name}}}\r\n");
                heard +=
                    &say(door, &format!("{connect}INFO {{\"server_id\":\"X\",\"pass\":\"{MARK}\"}}\r\nINFO {{]\r\n"));
            }
        }
        heard += &say(door, &format!("CONNECT {{\"pass\":\"{MARK}\",\r\n"));
    }
    until("both dials have failed", PATIENCE, || {
        let said = server.output();
        (said.contains("cannot reach route") && said.contains("cannot reach gateway")).then_some(())
    });
    server.signal("HUP");
    until("the reload has been told", PATIENCE, || server.output().contains("eload").then_some(()));
    let seen = seen(&server) + &heard;
    let lines: Vec<&str> = seen.lines().filter(|l| l.contains(MARK) || l.contains(&hash)).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
    // What could have shown them was looked at.
    for shown in ["[CONNECT {", "\"authorized_user\": \"plain\"", "turnpike_", "shards", "presented a wrong user"] {
        assert!(seen.contains(shown), "{shown}: {seen}");
    }
    drop(kept);
}

/// What the program says with these words, and how it ends.
fn run(args: &[&str]) -> (String, bool) {
    let out = std::process::Command::new(Which::under_test().path()).args(args).output().expect("a run");
    (String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned(), out.status.success())
}

/// A file that goes when this goes.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        fs::write(&path, text).expect("write");
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a name")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// Configurations that are refused on a line with a secret, or for it.
fn refused() -> Vec<String> {
    let mut all: Vec<String> = [
        "authorization { user: u, password: \"WORD\", nothing: 1 }",
        "authorization { user: u, password: [\"WORD\"] }",
        "authorization { user: u, password: {a: \"WORD\"} }",
        "authorization { user: u, password: \"WORD }",
        "authorization { user: u, password: 'WORD }",
        "authorization { user: u, password: \"WORD\" \"WORD\" }",
        "authorization { user: u, password: \"WORD\\q\" }",
        "authorization { user: u, password: (WORD",
        "authorization { user: u, pass word: \"WORD\" }",
        "authorization { user: u, password: \"WORD\" ]",
        "authorization { token: { a: \"WORD\" } }",
        "authorization { token: [WORD] }",
        "authorization { token: WORD, user: u, password: WORD }",
        "authorization { users: [ { user: u, password: \"WORD\" }, { user: u, password: \"WORD\" } ] }",
        "authorization { users: [ { user: u, password: \"WORD\", permissions: WORD } ] }",
        "authorization { users: [ { password: \"WORD\" } ] }",
        "authorization { users: [ { nkey: \"SUWORD\" } ] }",
        "authorization { users: [ { nkey: UAWORD, password: \"WORD\" } ] }",
        "accounts { A { users: [ { user: u, password: \"WORD\", nothing: 1 } ] } }",
        "accounts { A { nkey: \"SAWORD\" } }",
        "resolver: MEMORY\nresolver_preload { AWORD: \"WORD\" }",
        "default_sentinel: \"WORD\"",
        "cluster { listen: \"127.0.0.1:-1\", routes: [ \"nats://u:WORD@:x\" ] }",
        "cluster { listen: \"127.0.0.1:-1\", routes: [ \"nats://u:WORD@h:1\", \"nats//u:WORD@h:1\" ] }",
        "cluster { listen: \"127.0.0.1:-1\", routes: \"nats://u:WORD@h:1\" }",
        "cluster { listen: \"127.0.0.1:-1\", routes: [ \"tls://u:WORD@h:1\" ] }",
        "cluster { listen: \"127.0.0.1:-1\", authorization { password: \"WORD\" } }",
        "cluster { listen: \"127.0.0.1:-1\", authorization { user: r, password: \"WORD\", token: \"WORD\" } }",
        "gateway { name: g, listen: \"127.0.0.1:-1\", gateways: [ { name: w, url: \"nats://u:WORD@h:99999\" } ] }",
        "gateway { name: g, listen: \"127.0.0.1:-1\", gateways: [ { name: w, url: \"nats://u:WORD@h:1\", x: 1 } ] }",
        "gateway { name: g, listen: \"127.0.0.1:-1\", authorization { password: \"WORD\" } }",
        "tls { cert_file: \"/no/such\", key_file: \"/no/such\" }\nauthorization { token: WORD } }",
    ]
    .map(|conf| format!("{conf}\n"))
    .into();
    all.push(format!("authorization {{ user: u, password: {} }}\n", "WORD ".repeat(3)));
    all
}

/// A configuration that is refused is told of without what it hides.
#[test]
fn no_refusal_of_a_configuration_tells_a_secret() {
    let toml = [
        "[authorization]\nuser = \"u\"\npassword = \"WORD\" x\n",
        "[authorization]\nuser = \"u\"\npassword = \"WORD\n",
        "[authorization]\nuser = \"u\"\npassword = WORD\n",
        "[authorization]\nuser = \"u\"\npassword = [\"WORD\"]\n",
        "authorization = {user = \"u\", password = \"WORD\", nothing = 1}\n",
        "authorization = {user = \"u\", password = \"WORD\"\nnothing = 1}}\n",
        "[authorization]\ntoken = \"WORD\"\ntoken = \"WORD\"\n",
    ];
    let all = refused().into_iter().map(|c| ("conf", c)).chain(toml.map(|c| ("toml", c.to_owned())));
    for (i, (kind, conf)) in all.enumerate() {
        let file = File::new(&format!("refused{i}.{kind}"), &conf.replace("WORD", MARK));
        for (said, fine) in [run(&["-c", file.path(), "-t"]), run(&["migrate", file.path()])] {
            assert!(!fine && said.contains("refused") && !said.contains(MARK), "{conf}: {said}");
        }
    }
    let word = format!("nats://u:{MARK}@");
    for args in [
        &["--user", "u", "--pass", MARK, "--nothing"][..],
        &["--user", "u", "--pass", MARK, "extra"],
        &["--auth", MARK, "--port", "x"],
        &["--cluster", &word],
        &["--cluster", "nats://127.0.0.1:-1", "--routes", &word],
    ] {
        let (said, fine) = run(&[args, &["-a", "127.0.0.1", "-p", "-1"]].concat());
        assert!(!fine && !said.is_empty() && !said.contains(MARK), "{args:?}: {said}");
    }
}

/// What the commands say of a configuration and of a server that are in order, and of two that do not fit.
#[test]
fn no_command_tells_a_secret() {
    let conf = |n: u8, word: &str| {
        let (own, other) = (7000 + u16::from(n), 7003 - u16::from(n));
        File::new(
            &format!("fine{n}.conf"),
            &format!(
                "server_name: s{n}\nlisten: \"127.0.0.1:{}\"\naccounts {{ A {{ users: [ {{ user: u, password: \"{word}-user\" }} ] }} }}
                 cluster {{ name: c, listen: \"127.0.0.1:{own}\", authorization {{ user: r, password: \"{word}-route\" }}
                   routes: [ \"nats://r:{word}-url@127.0.0.1:{other}\" ] }}
                 gateway {{ name: c, listen: \"127.0.0.1:{}\", authorization {{ user: g, password: \"{word}-gateway\" }}
                   gateways: [ {{ name: west, url: \"nats://g:{word}-far@127.0.0.1:7999\" }} ] }}\n",
                own - 100,
                own + 100
            ),
        )
    };
    let (one, two) = (conf(1, &format!("{MARK}1")), conf(2, &format!("{MARK}2")));
    let mut running = fs::read_to_string(&one.0).expect("read");
    for own in [6901, 7001, 7101] {
        running = running.replace(&format!("127.0.0.1:{own}\""), "127.0.0.1:-1\"");
    }
    let server = crate::server(1, &running);
    let monitor = format!("http://{}", server.monitor());
    let (one, two) = (one.path(), two.path());
    for (args, expected) in [
        (&["-t", "-c", one][..], "is valid"),
        (&["-t", "-c", two, "--against", &monitor], "is valid"),
        (&["check", one, two], "presents"),
        (&["check", "--json", one, two], "presents"),
        (&["check", "--draw", "text", one, two], "s1"),
        (&["check", "--draw", "mermaid", one, two], "s1"),
        (&["check", "--draw", "svg", one, two], "s1"),
        (&["doctor", "-c", one], "kernel"),
        (&["doctor", "-c", one, "--json"], "kernel"),
        (&["unit", "-c", one], "ExecStart"),
        (&["unit", "-c", one, "--socket"], "ListenStream"),
        (&["reload", "--dry-run", "--server", &monitor], "would"),
        (&["explain", "x", "--to", "west", "--account", "A", "--server", &monitor], "west"),
    ] {
        let (said, _) = run(args);
        assert!(said.contains(expected) && !said.contains(MARK), "{args:?}: {said}");
    }
}
