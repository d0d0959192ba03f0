//! More connections than there are file descriptors, and more than the operator allows.

use crate::bystander::Bystander;
use crate::server;
use crate::support::process::{descriptors, monitoring, until};
use crate::support::raw::{Raw, PATIENCE};
use crate::support::server::{shard_args, Server, Under, Which};
use std::io::Read;
use std::net::TcpStream;

const QUIET: &str = "CONNECT {\"verbose\":false}\r\n";
const REFUSAL: &str = "-ERR 'maximum connections exceeded'\r\n";
const FILES: usize = 128;
/// Descriptors that must stay free for monitoring, logs and peers.
const RESERVED: usize = 16;

/// Connects; what is said at once, up to the end of the first line or of the connection.
pub fn first_line(server: &Server) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.clients()).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    let (mut line, mut chunk) = (Vec::new(), [0; 4096]);
    while !line.ends_with(b"\n") {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => line.extend_from_slice(&chunk[..n]),
            Err(e) => panic!("neither a line nor the end: {e}; {:?}", String::from_utf8_lossy(&line)),
        }
    }
    (stream, String::from_utf8_lossy(&line).into_owned())
}

#[test]
fn a_flood_where_files_are_few_is_refused_with_a_word() {
    for shards in [1, 4] {
        let which = Which::under_test();
        let limit = format!("--nofile={FILES}:{FILES}");
        let server = Server::start_under(&which, &Under::limits(&[&limit]), "", &shard_args(&which, shards));
        let bystander = Bystander::start(&server, QUIET);
        let (mut admitted, mut refused) = (Vec::new(), Vec::new());
        for _ in 0..500 {
            let (stream, line) = first_line(&server);
            match line.starts_with("INFO {") {
                true => admitted.push(stream),
                false => {
                    assert_eq!(line, REFUSAL);
                    refused.push(stream);
                }
            }
        }
        assert!(admitted.len() >= 20, "only {} were admitted on {shards} shards", admitted.len());
        assert_eq!(admitted.len() + refused.len(), 500);
        // Refused is closed, not left hanging.
        for mut stream in refused.drain(..) {
            assert_eq!(stream.read(&mut [0; 64]).expect("the end"), 0);
        }
        let used = descriptors(server.pid());
        assert!(used + RESERVED <= FILES, "{used} descriptors of {FILES} are in use on {shards} shards");
        let varz = monitoring(server.monitor(), "/varz");
        assert_eq!(varz["connections"], admitted.len() + 2);
        server.says("raise LimitNOFILE");
        let told = server.output().matches("maximum connections exceeded").count();
        assert!((1..=30).contains(&told), "{told} lines of log for 500 connections\n{}", server.output());
        bystander.await_more(10);
        drop(admitted);
        let (stream, _) = until("clients are accepted again", PATIENCE, || {
            Some(first_line(&server)).filter(|(_, line)| line.starts_with("INFO {"))
        });
        drop(stream);
        bystander.finish();
    }
}

#[test]
fn more_clients_than_allowed_are_told_so() {
    let server = server(4, "max_connections: 10");
    let bystander = Bystander::start(&server, QUIET);
    let mut admitted: Vec<Raw> = (0..8).map(|_| Raw::connect(server.clients())).collect();
    for raw in &mut admitted {
        raw.write(QUIET.as_bytes());
        assert_eq!(raw.barrier(), [b"PONG\r\n".to_vec()]);
    }
    for _ in 0..100 {
        let mut raw = Raw::connect(server.clients());
        let (said, closed) = raw.until_pongs(1);
        assert!(closed && said == [REFUSAL.as_bytes().to_vec()], "{said:?}");
    }
    drop(admitted);
    until("clients are accepted again", PATIENCE, || {
        let mut raw = Raw::connect(server.clients());
        raw.write(b"PING\r\n");
        let (_, closed) = raw.until_pongs(1);
        (!closed).then_some(())
    });
    bystander.finish();
}

#[test]
fn the_oldest_of_too_many_who_do_not_say_who_they_are_make_room() {
    for shards in [1, 4] {
        let server = server(shards, "authorization { user: u, password: p, timeout: 600 }");
        let login = "CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"p\"}\r\n";
        let bystander = Bystander::start(&server, login);
        let mut silent: Vec<Raw> = (0..300)
            .map(|_| {
                let mut raw = Raw::connect(server.clients());
                raw.write(b"CONNECT {\"user\":");
                raw
            })
            .collect();
        let mut newest = silent.pop().expect("the newest");
        for raw in &mut silent[..30] {
            let (said, closed) = raw.until_pongs(1);
            assert!(closed && crate::texts(&said) == ["-ERR 'Authentication Timeout'\r\n"], "{said:?}");
        }
        newest.write(b"\"u\",\"pass\":\"p\",\"verbose\":false}\r\n");
        assert_eq!(newest.barrier(), [b"PONG\r\n".to_vec()]);
        let varz = monitoring(server.monitor(), "/varz");
        // The bystander's two and the newest have said it; 256 may be there besides.
        assert_eq!(varz["turnpike"]["strangers_dropped"], 300 - 256, "{}", varz["turnpike"]);
        until("those are gone", PATIENCE, || {
            (monitoring(server.monitor(), "/varz")["connections"] == 256 - 1 + 3).then_some(())
        });
        server.says("connections from its address have not said who they are");
        bystander.await_more(10);
        bystander.finish();
    }
}
