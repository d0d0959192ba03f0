//! What clients are told of the other servers (cluster-protocol.md §3.16): one INFO per change, their own server's
//! address first, nothing where the operator wants nothing told.

use crate::support::cluster::{await_connected, free_port, routes};
use crate::support::raw::{Next, Raw, PATIENCE};
use crate::support::server::{shard_args, Server, Start, Which};
use serde_json::Value;

/// A member that lists the server at the port `first`; `inside` is added to its cluster block.
fn member(n: usize, port: u16, first: u16, inside: &str) -> Server {
    let conf = format!(
        "server_name: n{n}\nlame_duck_grace_period: \"500ms\"\nlame_duck_duration: \"30s\"\n\
         cluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: {}\n{inside} }}\n",
        routes(&[first])
    );
    let which = Which::under_test();
    Server::from(Start::new(&which, &conf, &shard_args(&which, 2)))
}

/// A client that speaks this version of the protocol, and has been told what every client is told after its first PING.
fn client(server: &Server, protocol: u8) -> Raw {
    let mut raw = Raw::connect(server.clients());
    raw.write(format!("CONNECT {{\"verbose\":false,\"protocol\":{protocol}}}\r\n").as_bytes());
    raw.barrier();
    if protocol > 0 {
        info(&mut raw);
    }
    raw
}

/// The next INFO.
fn info(client: &mut Raw) -> Value {
    loop {
        match client.next(PATIENCE) {
            Next::Frame(f) if f.starts_with(b"INFO ") => return serde_json::from_slice(&f[5..]).expect("JSON"),
            Next::Frame(f) => assert_eq!(f, b"PING\r\n"),
            other => panic!("instead of INFO: {other:?}"),
        }
    }
}

/// The addresses in the next INFO: the first as it stands, the others sorted.
fn told(client: &mut Raw) -> Vec<String> {
    urls(&info(client))
}

fn urls(info: &Value) -> Vec<String> {
    let all = info["connect_urls"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<String> = all.iter().map(|u| u.as_str().expect("text").to_string()).collect();
    if all.len() > 1 {
        all[1..].sort();
    }
    all
}

/// The addresses of these servers, as a client of the first is told them.
fn of(servers: &[&Server]) -> Vec<String> {
    let mut all: Vec<String> = servers.iter().map(|s| s.clients().to_string()).collect();
    all[1..].sort();
    all
}

#[test]
fn one_info_for_each_change() {
    let ports = [free_port(), free_port(), free_port()];
    let a = member(0, ports[0], ports[0], "");
    let (mut old, mut new) = (client(&a, 0), Raw::connect(a.clients()));
    assert_eq!(urls(new.greeting()), Vec::<String>::new(), "alone");
    new.write(b"CONNECT {\"verbose\":false,\"protocol\":1}\r\n");
    new.barrier();
    assert_eq!(told(&mut new), Vec::<String>::new(), "alone");
    // Each line reads the next INFO: one too many would be seen by the line after it.
    let mut b = member(1, ports[1], ports[0], "");
    assert_eq!(told(&mut new), of(&[&a, &b]));
    let mut c = member(2, ports[2], ports[0], "");
    assert_eq!(told(&mut new), of(&[&a, &b, &c]));
    assert_eq!(urls(Raw::connect(a.clients()).greeting()), of(&[&a, &b, &c]), "newcomers are told at once");
    c.kill();
    assert_eq!(told(&mut new), of(&[&a, &b]));
    c.start_again();
    assert_eq!(told(&mut new), of(&[&a, &b, &c]));
    // A lame duck is no longer named before it has gone, and names only the others.
    await_connected(&[&b, &c]);
    let mut left = client(&b, 1);
    b.signal("USR2");
    assert_eq!(told(&mut new), of(&[&a, &c]));
    let farewell = info(&mut left);
    assert_eq!(farewell["ldm"], true);
    let mut others = urls(&farewell);
    others.sort();
    let mut expected = of(&[&a, &c]);
    expected.sort();
    assert_eq!(others, expected);
    assert_eq!(b.ended(), Some(0));
    c.kill();
    assert_eq!(told(&mut new), of(&[&a]), "nobody else is left, and what clients keep of them is void");
    assert_eq!(new.barrier().len(), 1, "nothing but the PONG");
    assert_eq!(old.barrier().len(), 1, "who does not understand it is told nothing");
}

#[test]
fn nothing_where_nothing_is_to_be_told() {
    let ports = [free_port(), free_port(), free_port()];
    let a = member(0, ports[0], ports[0], "");
    let b = member(1, ports[1], ports[0], "no_advertise: true");
    let c = member(2, ports[2], ports[0], "");
    await_connected(&[&a, &b, &c]);
    assert_eq!(urls(Raw::connect(b.clients()).greeting()), Vec::<String>::new());
    assert_eq!(urls(Raw::connect(a.clients()).greeting()), of(&[&a, &c]));
    assert_eq!(urls(Raw::connect(c.clients()).greeting()), of(&[&c, &a]));
}
