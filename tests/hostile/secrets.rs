//! Secrets planted wherever one can stand, and looked for wherever one could show.

use crate::support::cluster::{free_port, local};
use crate::support::process::{page, until};
use crate::support::raw::{Raw, PATIENCE};
use crate::support::server::{shard_args, Server, Start, Which};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

/// Stands in every secret.
const MARK: &str = "s3cr3t";

/// Says this to a door of servers, and hears it out.
fn say(door: SocketAddr, text: &str) {
    let mut stream = TcpStream::connect(door).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.write_all(text.as_bytes()).expect("write");
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// All that can be read of a server from outside.
fn seen(server: &Server) -> String {
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
    let mut kept = Vec::new();
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
                say(door, &format!("{connect}INFO {{\"server_id\":\"X\",\"pass\":\"{MARK}\"}}\r\nINFO {{]\r\n"));
            }
        }
        say(door, &format!("CONNECT {{\"pass\":\"{MARK}\",\r\n"));
    }
    until("both dials have failed", PATIENCE, || {
        let said = server.output();
        (said.contains("cannot reach route") && said.contains("cannot reach gateway")).then_some(())
    });
    server.signal("HUP");
    until("the reload has been told", PATIENCE, || server.output().contains("eload").then_some(()));
    let seen = seen(&server);
    let lines: Vec<&str> = seen.lines().filter(|l| l.contains(MARK) || l.contains(&hash)).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
    // What could have shown them was looked at.
    for shown in ["[CONNECT {", "\"authorized_user\": \"plain\"", "turnpike_", "shards", "presented a wrong user"] {
        assert!(seen.contains(shown), "{shown}: {seen}");
    }
    drop(kept);
}

/// A configuration that is refused is told of without what it hides.
#[test]
fn no_refusal_of_a_configuration_tells_a_secret() {
    let which = Which::under_test();
    for conf in [
        format!("authorization {{ user: u, password: \"{MARK}\", nothing: 1 }}"),
        format!("authorization {{ user: u, password: [\"{MARK}\"] }}"),
        format!("authorization {{ token: {{ a: \"{MARK}\" }} }}"),
        format!("authorization {{ users: [ {{ user: u, password: \"{MARK}\" }}, {{ user: u, password: \"{MARK}\" }} ] }}"),
        format!("cluster {{ listen: \"127.0.0.1:-1\", routes: [ \"nats://u:{MARK}@:x\" ] }}"),
        format!("cluster {{ listen: \"127.0.0.1:-1\", authorization {{ password: \"{MARK}\" }} }}"),
        format!("gateway {{ name: g, listen: \"127.0.0.1:-1\", gateways: [ {{ name: w, url: \"nats://u:{MARK}@h:99999\" }} ] }}"),
        format!("gateway {{ name: g, listen: \"127.0.0.1:-1\", authorization {{ password: \"{MARK}\" }} }}"),
    ] {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("refused-{}.conf", std::process::id()));
        fs::write(&file, &conf).expect("write");
        let out = std::process::Command::new(which.path()).arg("-c").arg(&file).arg("-t").output().expect("a run");
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!out.status.success() && !said.contains(MARK), "{conf}: {said}");
        fs::remove_file(&file).expect("remove");
    }
}
