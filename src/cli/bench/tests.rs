//! Whole runs against a relay of a few lines, and the command line.

use super::*;
use clap::CommandFactory;
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

type Interest = Arc<Mutex<HashMap<String, Vec<Arc<TcpStream>>>>>;

/// A server that speaks as much NATS as the bench needs and drops every `drop`th message (0: none).
fn relay(drop: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let interest = Interest::default();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, interest) = (Arc::new(stream.unwrap()), interest.clone());
            // small writes must not wait for the client's acknowledgement
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || serve(&stream, &interest, drop));
        }
    });
    address
}

/// Ends when the client does; then no reads and writes are of interest to anybody.
fn serve(stream: &Arc<TcpStream>, interest: &Interest, drop: u64) -> Option<()> {
    (&**stream).write_all(b"INFO {\"version\":\"relay\",\"max_payload\":1024}\r\n").ok()?;
    let mut lines = BufReader::new(&**stream);
    let (mut line, mut count) = (String::new(), 0);
    while lines.read_line(&mut line).ok()? > 0 {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[0] {
            // our own PING must be answered too, or this client would be stale
            "PING" => (&**stream).write_all(b"PONG\r\nPING\r\n").ok()?,
            "SUB" => interest.lock().unwrap().entry(fields[1].into()).or_default().push(stream.clone()),
            "PUB" => {
                let size: usize = fields.last()?.parse().ok()?;
                let mut payload = vec![0; size + 2];
                lines.read_exact(&mut payload).ok()?;
                count += 1;
                let wildcard = fields[1].rsplit_once('.').map(|(head, _)| format!("{head}.*"))?;
                let interest = interest.lock().unwrap();
                for to in [fields[1], &wildcard].iter().filter_map(|s| interest.get(*s)).flatten() {
                    if drop == 0 || count % drop != 0 {
                        let head = format!("MSG {} 1 {size}\r\n", fields[1]);
                        (&**to).write_all(&[head.as_bytes(), &payload].concat()).ok()?;
                    }
                }
            }
            _ => {}
        }
        line.clear();
    }
    Some(())
}

fn bench(address: &str, args: &str) -> Result<serde_json::Value, Fault> {
    let fixed = format!("bench -s {address} --warm-up 0.02 {args}");
    let cli = Cli::try_parse_from(fixed.split_whitespace()).unwrap();
    run(&cli).map(|report| serde_json::json!(report))
}

#[test]
fn every_row_counts_what_was_received() {
    let rows = [
        ("pub --size 16", 500),
        ("sub", 500),
        ("sub --size 0 --in-flight 1", 500),
        ("fan --subscribers 3", 1500),
        ("pairs --pairs 3", 500),
        ("subjects --subjects 20", 500),
        ("request", 500),
        ("conns --connections 7", 500),
    ];
    for (row, received) in rows {
        let report = bench(&relay(0), &format!("--messages 500 {row}")).unwrap();
        assert_eq!((&report["messages"], &report["lost"]), (&received.into(), &0.into()), "{row}: {report}");
        assert_eq!(report["server"]["nats"], "relay");
    }
}

#[test]
fn a_run_by_time_ends_and_has_round_trips_and_cpu() {
    let pid = std::process::id();
    let report = bench(&relay(0), &format!("request --seconds 0.05 --pid {pid}")).unwrap();
    let seconds = report["seconds"].as_f64().unwrap();
    assert!((0.04..5.0).contains(&seconds), "{report}");
    let quantile = |q: &str| report["round_trip_us"][q].as_f64().unwrap();
    assert!(0.0 < quantile("p50") && quantile("p50") <= quantile("p99") && quantile("p99") <= quantile("max"));
    assert!(report["server_busy"].is_number() && report["server_cpu_ns_per_message"].is_number());
}

#[test]
fn lost_messages_are_counted() {
    // with few messages under way this relay is far from the 50,000th when the warm-up is over
    let report = bench(&relay(50_000), "sub --patience 0.2 --messages 60000 --size 1 --in-flight 200").unwrap();
    assert_eq!((&report["messages"], &report["lost"]), (&59_999.into(), &1.into()), "{report}");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert!(matches!(bench(&gone, "sub"), Err(Fault::Unreachable { .. })));
    assert!(matches!(bench(&relay(0), "sub --size 1025"), Err(Fault::Asked(_))));
    assert!(matches!(bench(&relay(0), "idle"), Err(Fault::Asked(_))));
    assert!(matches!(bench(&relay(1), "sub --patience 0.05"), Err(Fault::LostInWarmUp(_))));
    let greets = |text: &'static [u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || listener.accept().unwrap().0.write_all(text));
        address
    };
    assert!(matches!(bench(&greets(b"SSH-2.0\r\n"), "sub"), Err(Fault::Garbled(_))));
    let full = bench(&greets(b"-ERR 'maximum connections exceeded'\r\n"), "sub");
    assert!(matches!(full, Err(Fault::Closed(Some(said))) if said.contains("maximum")));
}

#[test]
fn memory_rows_weigh_a_process() {
    let pid = std::process::id();
    for row in ["idle --connections 4", "subs --subscriptions 3000"] {
        let report = bench(&relay(0), &format!("{row} --pid {pid}")).unwrap();
        assert!(report["resident_bytes"][2].as_u64().unwrap() > 0 && report["bytes_each"].is_number(), "{report}");
    }
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
    for bad in [
        "",
        "sub --size -1",
        "sub -s nowhere",
        "sub -s :1",
        "fan --subscribers 0",
        "sub --seconds 0",
        "idle --connections 1",
    ] {
        assert!(Cli::try_parse_from(format!("bench {bad}").split_whitespace()).is_err(), "{bad}");
    }
    assert_eq!(address("nats://[::1]:4222").unwrap(), "[::1]:4222");
}
