//! What comes to the wrong door, or is dialed and is no server of this cluster: told what to do, logged on both sides
//! where there are two, at a bounded rate, and of no consequence to anybody else.

use crate::support::cluster::{await_connected, await_log, free_port, local, routes, Client};
use crate::support::process::until;
use crate::support::raw::{Next, Raw, PATIENCE};
use crate::support::server::{shard_args, Server, Start, Which};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

fn start(conf: &str) -> Server {
    let which = Which::under_test();
    Server::start(&which, conf, &shard_args(&which, 2))
}

/// A server called `name` with a route port of its own, that dials these.
fn member(name: &str, port: u16, dials: &[u16], more: &str) -> Server {
    start(&format!(
        "server_name: {name}\ncluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: {}\n{more} }}\n",
        routes(dials)
    ))
}

/// Connects from 127.0.0.`host`: what is told of one host and one cause is told once a minute.
fn connect(host: u8, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).expect("bind");
    socket.connect(&to.into()).expect("connect");
    socket.into()
}

/// Writes `bytes` to `at`; all that comes back until the other side ends the connection.
fn answer(host: u8, at: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(host, at);
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.write_all(bytes).expect("write");
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(e) => panic!("not ended: {e}; {:?}", String::from_utf8_lossy(&all)),
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// The lines of a server's log that contain `what`.
fn logged(server: &Server, what: &str) -> usize {
    server.output().lines().filter(|l| l.contains(what)).count()
}

const WRONG: [(&[u8], &str, &str); 5] = [
    (
        b"CONNECT {\"lang\":\"go\",\"verbose\":false}\r\nPING\r\n",
        "-ERR 'attempted to connect to route port'",
        "is a client, and this is the cluster port: clients connect to the client port",
    ),
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "-ERR 'Unknown Protocol Operation'", "another protocol (GET / HTTP/1.1"),
    (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "-ERR 'Unknown Protocol Operation'",
        "another protocol (\\x16\\x03",
    ),
    (b"\x00\xff\xfe\r\n\r\n", "-ERR 'Unknown Protocol Operation'", "another protocol (\\x00\\xff"),
    (
        b"CONNECT {\"gateway\":\"east\"}\r\n",
        "-ERR 'Rejecting connection from gateway \"east\" on the Route port'",
        "is a gateway, and this is the cluster port",
    ),
];

#[test]
fn the_cluster_port_takes_only_routes() {
    let ports = [free_port(), free_port()];
    let (a, b) = (member("a", ports[0], &[], ""), member("b", ports[1], &ports[..1], ""));
    await_connected(&[&a, &b]);
    for (host, (bytes, told, says)) in (10..).zip(WRONG) {
        let answer = answer(host, local(ports[0]), bytes);
        assert!(answer.contains(told), "{answer:?} does not contain {told:?}");
        await_log(&a, says);
        let before = a.output().lines().count();
        for _ in 0..200 {
            let mut stream = connect(host, local(ports[0]));
            stream.write_all(bytes).expect("write");
        }
        // All of them have been seen: one that comes later is answered.
        assert!(self::answer(host, local(ports[0]), bytes).contains(told));
        let more = a.output().lines().count() - before;
        assert!(more <= 4, "{more} lines for 201 of the same kind\n{}", a.output());
    }
    await_connected(&[&a, &b]);
    assert_eq!(logged(&a, "ended:"), 0, "{}", a.output());
}

#[test]
fn silence_on_the_cluster_port_ends_with_a_word() {
    let port = free_port();
    let a = member("a", port, &[], "authorization { user: r, password: s, timeout: 0.3 }");
    assert!(answer(1, local(port), b"").contains("-ERR 'Authentication Timeout'"));
    let wrong = b"CONNECT {\"cluster\":\"c\",\"user\":\"r\",\"pass\":\"x\"}\r\n";
    assert!(answer(1, local(port), wrong).contains("-ERR 'Authorization Violation'"));
    await_log(&a, "presented a wrong user");
    assert!(!a.output().contains("pass\":\"x") && !a.output().contains("password: s"));
}

#[test]
fn a_route_to_a_client_port_is_told_where_routes_go() {
    let port = free_port();
    let b = member("b", port, &[], "");
    let a = member("a", free_port(), &[b.clients().port()], "");
    await_log(&a, &format!("routes to this server go to port {port}"));
    await_log(&b, &format!("routes to this server go to port {port}"));
    assert_few_lines(&a, "routes to this server go to port");
    assert_few_lines(&b, "routes to this server go to port");
}

#[test]
fn a_server_without_routes_refuses_one() {
    let b = start("server_name: b\n");
    let port = free_port();
    let which = Which::under_test();
    let conf = format!("listen: {port}\nroutes:\n  - nats://127.0.0.1:{}\n", b.clients().port());
    let a = Server::from(Start::new(&which, &conf, &shard_args(&which, 1)).verbatim());
    await_log(&a, "this server takes no routes: it has no cluster in its configuration");
    await_log(&b, "this server takes no routes: it has no cluster in its configuration");
    assert_few_lines(&b, "takes no routes");
}

/// However often the other side tries, over seconds: the first time is told, the rest is counted.
fn assert_few_lines(server: &Server, what: &str) {
    thread::sleep(Duration::from_secs(3));
    let n = logged(server, what);
    assert!((1..=4).contains(&n), "{n} lines say {what:?}\n{}", server.output());
}

#[test]
fn what_is_dialed_speaks_another_protocol() {
    let said: [(&'static [u8], &str); 4] = [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "speaks another protocol (HTTP/1.1 400"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "speaks another protocol (SSH-2.0"),
        (b"INFO not json\r\n", "speaks another protocol (INFO not json"),
        (b"", "said no INFO within 2 s"),
    ];
    let mut ports = Vec::new();
    for (bytes, _) in said {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        ports.push(listener.local_addr().expect("address").port());
        thread::spawn(move || {
            let mut held = Vec::new();
            for mut stream in listener.incoming().flatten() {
                // Whoever dialed may have gone.
                let _ = stream.write_all(bytes);
                held.push(stream);
            }
        });
    }
    let port = free_port();
    let a = member("a", port, &ports, "");
    for ((_, says), port) in said.iter().zip(&ports) {
        await_log(&a, says);
        assert!(logged(&a, &format!("127.0.0.1:{port}")) >= 1, "{}", a.output());
    }
    let b = member("b", free_port(), &[port], "");
    await_connected(&[&a, &b]);
}

#[test]
fn clusters_of_two_names() {
    let port = free_port();
    let a = start(&format!("server_name: a\ncluster {{ name: east, listen: \"127.0.0.1:{port}\" }}\n"));
    let dials = routes(&[port]);
    let own = free_port();
    let conf = format!("server_name: b\ncluster {{ name: west, listen: \"127.0.0.1:{own}\", routes: {dials} }}\n");
    let b = start(&conf);
    for (server, theirs, ours) in [(&a, "west", "east"), (&b, "east", "west")] {
        until("both names in the log", PATIENCE, || {
            let output = server.output();
            let line = output.lines().find(|l| l.contains(&format!("\"{theirs}\"")) && l.contains("does not match"))?;
            line.contains(&format!("\"{ours}\"")).then_some(())
        });
    }
    assert_few_lines(&a, "does not match");
}

#[test]
fn wrong_credentials() {
    let port = free_port();
    let guard = "authorization { user: r, password: right }";
    // A user that clients need not name is of no use to routes.
    let conf = format!(
        "server_name: a\nauthorization {{ users: [{{ user: u, password: p }}] }}\nno_auth_user: u\n\
         cluster {{ name: c, listen: \"127.0.0.1:{port}\", {guard} }}\n"
    );
    let a = start(&conf);
    let own = free_port();
    let b = member("b", own, &[port], "");
    await_log(&a, "presented a wrong user (\"\") or password");
    await_log(&b, "Authorization Violation");
    let other = start(&format!(
        "server_name: d\ncluster {{ name: c, listen: \"127.0.0.1:{}\", routes: [\"nats://r:wrong@127.0.0.1:{port}\"] }}\n",
        free_port()
    ));
    await_log(&other, "Authorization Violation");
    for server in [&a, &b, &other] {
        for secret in ["wrong@", ":wrong", "right"] {
            assert!(!server.output().contains(secret), "{}", server.output());
        }
    }
    let fits = start(&format!(
        "server_name: f\ncluster {{ name: c, listen: \"127.0.0.1:{}\", routes: [\"nats://r:right@127.0.0.1:{port}\"] }}\n",
        free_port()
    ));
    await_connected(&[&a, &fits]);
}

#[test]
fn two_servers_of_one_name() {
    let port = free_port();
    let a = member("same", port, &[], "");
    let b = member("same", free_port(), &[port], "");
    // Who dials finds it out, and who is dialed is told.
    await_log(&b, "another server with our name \"same\"");
    await_log(&a, "server name \"same\"");
    assert_few_lines(&b, "our name \"same\"");
    assert_few_lines(&a, "server name \"same\"");
}

#[test]
fn a_client_port_takes_no_route_by_mistake_nor_harms_clients() {
    let a = start("server_name: a\n");
    let mut client = Client::of(&a);
    client.say("SUB x 1\r\n");
    let mut raw = Raw::connect(a.clients());
    raw.write(b"CONNECT {\"route\":true,\"cluster\":\"c\"}\r\n");
    let mut told = String::new();
    while let Next::Frame(f) = raw.next(PATIENCE) {
        told.push_str(&String::from_utf8_lossy(&f));
    }
    assert!(told.contains("-ERR 'this server takes no routes: it has no cluster in its configuration'"), "{told}");
    assert_eq!(client.say("PUB x 1\r\na\r\n"), ["MSG x 1 1\r\na\r\n"]);
}
