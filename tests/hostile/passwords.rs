//! Passwords that are wrong, many at a time, where comparing one is slow on purpose.

use crate::bystander::Bystander;
use crate::server;
use crate::support::process::{monitoring, until};
use crate::support::raw::{Raw, PATIENCE};
use crate::texts;
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

#[test]
fn two_hundred_wrong_passwords_hold_nobody_up() {
    // Guesses get a tenth of a core: a cheap hash, for the sake of the time.
    let slow = bcrypt::hash("right", 4).expect("a hash");
    let conf = format!(
        "authorization {{ timeout: 20, users: [ {{ user: quick, password: q }}, {{ user: slow, password: \"{slow}\" }} ] }}"
    );
    for shards in [1, 4] {
        let server = server(shards, &conf);
        let bystander = Bystander::start(&server, "CONNECT {\"verbose\":false,\"user\":\"quick\",\"pass\":\"q\"}\r\n");
        bystander.await_more(20);
        let mut guessing: Vec<Raw> = (0..200).map(|_| Raw::connect(server.clients())).collect();
        for (i, raw) in guessing.iter_mut().enumerate() {
            // What follows a refused CONNECT is not carried out.
            let line = format!("CONNECT {{\"verbose\":false,\"user\":\"slow\",\"pass\":\"guess {i}\"}}\r\n");
            raw.write(format!("{line}PUB bystander.x 5\r\nwrong\r\nPING\r\n").as_bytes());
        }
        bystander.await_more(20);
        for mut raw in guessing {
            let (said, closed) = raw.until_pongs(1);
            assert!(closed && texts(&said) == ["-ERR 'Authorization Violation'\r\n"], "{said:?}");
        }
        let mut right = Raw::connect(server.clients());
        right.write(b"CONNECT {\"verbose\":false,\"user\":\"slow\",\"pass\":\"right\"}\r\n");
        assert_eq!(right.barrier(), [b"PONG\r\n".to_vec()]);
        drop(right);
        until("all are gone", PATIENCE, || (monitoring(server.monitor(), "/varz")["connections"] == 2).then_some(()));
        assert_eq!(server.output().matches("guess").count(), 0, "a password is in the log");
        bystander.finish();
    }
}

#[test]
fn a_client_that_leaves_while_its_password_is_checked_is_forgotten() {
    let slow = bcrypt::hash("right", 6).expect("a hash");
    let server = server(1, &format!("authorization {{ user: slow, password: \"{slow}\" }}"));
    for _ in 0..50 {
        let mut raw = Raw::connect(server.clients());
        raw.reset_at_end();
        raw.write(b"CONNECT {\"verbose\":false,\"user\":\"slow\",\"pass\":\"right\"}\r\nSUB a 1\r\n");
    }
    until("all are gone", PATIENCE, || {
        let varz = monitoring(server.monitor(), "/varz");
        (varz["connections"] == 0 && varz["subscriptions"] == 0).then_some(())
    });
}

#[test]
fn who_guesses_waits_for_each_refusal_and_fills_no_log() {
    let server = server(1, "authorization { user: u, password: p, timeout: 60 }");
    let bystander = Bystander::start(&server, "CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"p\"}\r\n");
    let began = Instant::now();
    let mut one = Raw::connect(server.clients());
    one.write(b"CONNECT {\"user\":\"u\",\"pass\":\"guess\"}\r\n");
    let (said, closed) = one.until_pongs(1);
    assert!(closed && texts(&said) == ["-ERR 'Authorization Violation'\r\n"], "{said:?}");
    assert!(began.elapsed() >= Duration::from_millis(250), "refused after {:?}", began.elapsed());
    let mut guessing: Vec<Raw> = (0..200).map(|_| Raw::connect(server.clients())).collect();
    guessing.iter_mut().for_each(|raw| raw.write(b"CONNECT {\"user\":\"u\",\"pass\":\"guess\"}\r\n"));
    for mut raw in guessing {
        let (said, closed) = raw.until_pongs(1);
        assert!(closed && texts(&said) == ["-ERR 'Authorization Violation'\r\n"], "{said:?}");
    }
    // Right ones never wait for what wrong ones did.
    let mut right = Raw::connect(server.clients());
    right.write(b"CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"p\"}\r\n");
    assert_eq!(right.barrier(), [b"PONG\r\n".to_vec()]);
    assert_eq!(monitoring(server.monitor(), "/varz")["turnpike"]["failed_logins"], 201);
    server.says("more authentication errors within a second");
    let lines = server.output().matches("authentication error - User \"u\"").count();
    // They were refused in two clumps, after a short pause and after a long one; how many seconds that takes depends on
    // the machine, and each may have its ten lines.
    let seconds = began.elapsed().as_secs() as usize + 1;
    assert!(lines <= 10 * (seconds + 1), "{lines} lines in {seconds} s");
    bystander.finish();
}

/// A connection from another address of this machine.
fn from_elsewhere(to: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).expect("an address of this machine");
    socket.set_linger(Some(Duration::ZERO)).expect("linger");
    socket.connect(&to.into()).ok()?;
    Some(socket.into())
}

#[test]
fn who_guesses_on_and_on_is_let_in_at_a_pace_and_nobody_else_waits() {
    let server = server(2, "authorization { user: u, password: p, timeout: 60 }");
    let own = || monitoring(server.monitor(), "/varz")["turnpike"].clone();
    let count = |what: &str| own()[what].as_u64().expect("a number");
    let guess = || {
        let mut stream = from_elsewhere(server.clients())?;
        stream.write_all(b"CONNECT {\"user\":\"u\",\"pass\":\"guess\"}\r\n").ok()?;
        Some(stream)
    };
    let mut guessing = VecDeque::new();
    until("connections of whoever guesses are refused", PATIENCE, || {
        for _ in 0..500 {
            guessing.push_back(guess());
            guessing.drain(..guessing.len().saturating_sub(1000));
        }
        (count("guessers_refused") > 0).then_some(())
    });
    assert!(count("failed_logins") > 100, "as many are judged as anybody may get wrong");
    server.says("clients are refused: too many wrong passwords come from 127.0.0.2");
    let mut right = Raw::connect(server.clients());
    right.write(b"CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"p\"}\r\n");
    assert_eq!(right.barrier(), [b"PONG\r\n".to_vec()], "another address does not wait");
    drop(guessing);
    // Nor does the same one, if he waits his turn.
    until("the right password from there", PATIENCE, || {
        let mut stream = from_elsewhere(server.clients())?;
        stream.write_all(b"CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"p\"}\r\nPING\r\n").ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let (mut said, mut chunk) = (Vec::new(), [0; 4096]);
        while !said.ends_with(b"PONG\r\n") {
            match stream.read(&mut chunk).ok()? {
                0 => return None,
                n => said.extend_from_slice(&chunk[..n]),
            }
        }
        Some(())
    });
}
