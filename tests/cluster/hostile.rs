//! Bad input on the route port, before and after a route is made: a clear end of that connection, and nothing else.

use crate::cluster;
use crate::support::cluster::{connections, local, Client, Cluster};
use crate::support::process::{descriptors, resident, until};
use crate::support::raw::PATIENCE;
use crate::support::server::Server;
use std::io::{Read, Write};
use std::net::TcpStream;

/// What a route of the cluster's name says first.
fn hello(name: &str) -> Vec<u8> {
    let connect = format!("CONNECT {{\"echo\":true,\"headers\":true,\"name\":\"{name}\",\"cluster\":\"c\"}}\r\n");
    let info = format!(
        "INFO {{\"server_id\":\"{name}\",\"server_name\":\"{name}\",\"proto\":2,\"host\":\"127.0.0.1\",\"port\":1,\
         \"headers\":true,\"cluster\":\"c\"}} \r\nPING\r\n"
    );
    [connect, info].concat().into_bytes()
}

/// A connection to the route port.
struct Route {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Route {
    fn open(port: u16) -> Route {
        let stream = TcpStream::connect(local(port)).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        Route { stream, heard: Vec::new() }
    }

    /// A registered route.
    fn made(port: u16, name: &str) -> Route {
        let mut route = Route::open(port);
        route.write(&hello(name));
        route.until(b"PONG\r\n");
        route
    }

    /// What the server no longer takes is of no consequence.
    fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn until(&mut self, what: &[u8]) {
        let mut chunk = [0; 65536];
        while !self.heard.windows(what.len()).any(|w| w == what) {
            let n = self.stream.read(&mut chunk).expect("an answer");
            assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&self.heard));
            self.heard.extend_from_slice(&chunk[..n]);
        }
    }

    /// All that it said up to the end.
    fn last_words(mut self) -> String {
        match self.stream.read_to_end(&mut self.heard) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(e) => panic!("not ended: {e}; {:?}", String::from_utf8_lossy(&self.heard)),
        }
        String::from_utf8_lossy(&self.heard).into_owned()
    }
}

/// Messages pass between the members, and each member keeps the one connection to the other it had.
fn unharmed(c: &Cluster) {
    c.await_whole();
    for server in &c.nodes {
        let log = server.output();
        assert!(!log.lines().any(|l| l.contains("route to \"n") && l.contains(" ended")), "{log}");
    }
    let pids: Vec<u32> = c.nodes.iter().map(Server::pid).collect();
    assert_eq!(connections(&pids), 1);
}

#[test]
fn before_a_route_is_made() {
    let c = cluster(2, 2);
    let long = [b"CONNECT {".to_vec(), vec![b' '; 70 << 10]].concat();
    let (info, connect) = ("INFO {\"server_id\":\"x\",\"cluster\":\"c\"}\r\n", "CONNECT {\"cluster\":\"c\"}\r\n");
    let cases: [(Vec<u8>, &str); 8] = [
        (b"RS+ $G foo\r\n".to_vec(), "Authorization Violation"),
        (b"RMSG $G foo 2\r\nhi\r\n".to_vec(), "Authorization Violation"),
        (info.as_bytes().to_vec(), "Authorization Violation"),
        (format!("{connect}{connect}").into_bytes(), "Parser Error"),
        (b"CONNECT nothing\r\n".to_vec(), "Parser Error"),
        (format!("{connect}INFO {{]\r\n").into_bytes(), "Parser Error"),
        (long, "maximum control line exceeded"),
        ((0..=255).collect(), "Unknown Protocol Operation"),
    ];
    for (bytes, says) in cases {
        let mut route = Route::open(c.ports[0]);
        route.write(&bytes);
        let heard = route.last_words();
        assert!(heard.contains(&format!("-ERR '{says}'")), "{}: {heard}", bytes[..bytes.len().min(60)].escape_ascii());
    }
    unharmed(&c);
}

#[test]
fn on_a_route() {
    let c = cluster(2, 2);
    let giant = [b"RS+ $G ".to_vec(), vec![b'x'; 70 << 10], b"\r\n".to_vec()].concat();
    let cases: [(&[u8], &str); 14] = [
        (b"RMSG $G foo 99999999999999999999\r\n", "-ERR '"),
        (b"RMSG $G foo 999999999\r\n", "-ERR 'Maximum Payload Violation'"),
        (b"RMSG $G foo 4294967296\r\n", "-ERR '"),
        (b"RMSG $G foo -1\r\n", "-ERR 'Parser Error'"),
        (b"RMSG $G foo 2\r\nhixx", "-ERR 'Unknown Protocol Operation'"),
        (b"RMSG $G\r\n", "-ERR 'Parser Error'"),
        (b"HMSG $G foo 9 2\r\n", "-ERR 'Parser Error'"),
        (b"HMSG $G foo 18446744073709551616 2\r\n", "-ERR 'Parser Error'"),
        (b"RS+ $G foo q\r\n", "-ERR 'Parser Error'"),
        (b"RS+ $G foo q 0\r\nRS+ $G a..b\r\n", "-ERR 'Invalid Subscription'"),
        (b"RS- $G foo q 1\r\n", "-ERR 'Parser Error'"),
        (b"\x00\x01\x02garbage", "-ERR 'Unknown Protocol Operation'"),
        (b"GET / HTTP/1.1\r\n", "-ERR 'Unknown Protocol Operation'"),
        (&giant, "-ERR 'maximum control line exceeded'"),
    ];
    for (n, (bytes, says)) in cases.into_iter().enumerate() {
        let mut route = Route::made(c.ports[0], &format!("BAD{n}"));
        route.write(bytes);
        let heard = route.last_words();
        assert!(heard.contains(says), "{}: {heard}", bytes[..bytes.len().min(60)].escape_ascii());
    }
    unharmed(&c);
}

/// What is odd and may be ignored is.
#[test]
fn greeted_twice_and_accounts_nobody_has() {
    let c = cluster(2, 2);
    let mut route = Route::made(c.ports[0], "ODD");
    let mut lines = hello("ODD");
    for n in 0..20_000 {
        lines.extend_from_slice(format!("RS+ STRANGE{n} foo\r\nRMSG STRANGE{n} foo 2\r\nhi\r\n").as_bytes());
    }
    route.heard.clear();
    route.write(&lines);
    route.until(b"PONG\r\n");
    route.heard.clear();
    route.write(b"RS+ $G odd\r\nPING\r\n");
    route.until(b"PONG\r\n");
    Client::of(&c.nodes[0]).say("PUB odd 2\r\nhi\r\n");
    route.until(b"RMSG $G odd 2\r\nhi\r\n");
    c.nodes[0].says("that is not configured here");
    let told = c.nodes[0].output().matches("that is not configured here").count();
    assert_eq!(told, 1, "{}", c.nodes[0].output());
    unharmed(&c);
}

#[test]
fn a_thousand_half_open_connections() {
    let c = cluster(2, 2);
    let server = &c.nodes[0];
    let before = (descriptors(server.pid()), resident(server.pid()));
    let held: Vec<TcpStream> = (0..1000)
        .map(|n| {
            let mut stream = TcpStream::connect(local(c.ports[0])).expect("connect");
            // A third says nothing, a third begins, a third stops before its INFO.
            let _ = match n % 3 {
                0 => Ok(()),
                1 => stream.write_all(b"CONNECT {\"clus"),
                _ => stream.write_all(b"CONNECT {\"cluster\":\"c\"}\r\n"),
            };
            stream
        })
        .collect();
    let mut real = Route::made(c.ports[0], "REAL");
    real.write(b"RS+ $G real\r\nPING\r\n");
    real.until(b"PONG\r\n");
    drop(held);
    drop(real);
    until("descriptors come back", PATIENCE, || (descriptors(server.pid()) <= before.0 + 2).then_some(()));
    let grown = resident(server.pid()).saturating_sub(before.1);
    assert!(grown < 32 << 20, "{grown} bytes more than before");
    unharmed(&c);
}

/// A peer that claims much and sends little costs what it sent; and what it wanted is forgotten with it.
#[test]
fn interest_and_claims_leave_nothing_behind() {
    let c = cluster(2, 2);
    let server = &c.nodes[0];
    let flood = |name: &str| {
        let mut route = Route::made(c.ports[0], name);
        for chunk in 0..20 {
            let lines: String = (0..5_000).map(|n| format!("RS+ $G flood.{chunk}.{n}\r\n")).collect();
            route.write(lines.as_bytes());
        }
        route.heard.clear();
        route.write(b"PING\r\n");
        route.until(b"PONG\r\n");
        route.write(b"RMSG $G foo 60000000\r\nabc");
    };
    let mut asking = Client::of(server);
    asking.say("SUB inbox 1\r\n");
    let forgotten = |asking: &mut Client| {
        until("nobody wants it any more", PATIENCE, || {
            asking.say("PUB flood.19.4999 inbox 0\r\n\r\n").iter().any(|m| m.contains(" 503")).then_some(())
        });
    };
    // The allocator keeps what the first flood took; the next ones find it there.
    flood("FLOOD0");
    forgotten(&mut asking);
    let before = resident(server.pid());
    for n in 1..4 {
        flood(&format!("FLOOD{n}"));
        forgotten(&mut asking);
    }
    let grown = || resident(server.pid()).saturating_sub(before);
    until("less than 48 MiB more after three further floods", PATIENCE, || (grown() < 48 << 20).then_some(()));
    unharmed(&c);
}
