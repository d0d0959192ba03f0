//! Whole runs against a relay of a few lines, and the command line.

use super::{args::address, *};
use clap::CommandFactory;
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{mpsc, Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// Who listens to a subject, and whether as a member of a queue group.
type Interest = Arc<Mutex<HashMap<String, Vec<(Arc<TcpStream>, bool)>>>>;

/// What a relay does to the messages of each publisher.
#[derive(Clone, Default)]
enum Mischief {
    #[default]
    None,
    /// Drops each so many-th.
    Drop(u64),
    /// Delivers each so many-th twice.
    Twice(u64),
    /// Delivers each so many-th behind the next one.
    Late(u64),
    /// Before this message it does nothing for so long; tells how long that was.
    Stall(u64, Duration, mpsc::Sender<Duration>),
}

/// A server that speaks as much NATS as the bench needs.
fn relay(mischief: Mischief) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let interest = Interest::default();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, interest, mischief) = (Arc::new(stream.unwrap()), interest.clone(), mischief.clone());
            // small writes must not wait for the client's acknowledgement
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || {
                serve(&stream, &interest, &mischief);
                let mut interest = interest.lock().unwrap();
                interest.values_mut().for_each(|l| l.retain(|(to, _)| !Arc::ptr_eq(to, &stream)));
            });
        }
    });
    address
}

/// Ends when the client does; then no reads and writes are of interest to anybody.
fn serve(stream: &Arc<TcpStream>, interest: &Interest, mischief: &Mischief) -> Option<()> {
    (&**stream).write_all(b"INFO {\"version\":\"relay\",\"max_payload\":1024}\r\n").ok()?;
    let mut lines = BufReader::new(&**stream);
    let (mut line, mut count, mut late) = (String::new(), 0, Vec::new());
    while lines.read_line(&mut line).ok()? > 0 {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[0] {
            // our own PING must be answered too, or this client would be stale
            "PING" => (&**stream).write_all(b"PONG\r\nPING\r\n").ok()?,
            "SUB" => {
                let listener = (stream.clone(), fields.len() == 4);
                interest.lock().unwrap().entry(fields[1].into()).or_default().push(listener);
            }
            "PUB" => {
                let size: usize = fields.last()?.parse().ok()?;
                let mut payload = vec![0; size + 2];
                lines.read_exact(&mut payload).ok()?;
                count += 1;
                let message = [format!("MSG {} 1 {size}\r\n", fields[1]).as_bytes(), &payload].concat();
                let messages = match mischief {
                    Mischief::Drop(n) if count % n == 0 => Vec::new(),
                    Mischief::Twice(n) if count % n == 0 => message.repeat(2),
                    Mischief::Late(n) if count % n == 0 => {
                        late = message;
                        Vec::new()
                    }
                    Mischief::Stall(n, time, told) if count == *n => {
                        let begun = Instant::now();
                        thread::sleep(*time);
                        let _ = told.send(begun.elapsed());
                        message
                    }
                    _ => [message, std::mem::take(&mut late)].concat(),
                };
                let wildcard = fields[1].rsplit_once('.').map(|(head, _)| format!("{head}.*"))?;
                let mut interest = interest.lock().unwrap();
                for subject in [fields[1], &wildcard] {
                    let Some(listeners) = interest.get_mut(subject) else { continue };
                    let (turn, mut i) = (count as usize % listeners.len().max(1), 0);
                    // whoever cannot be written to has gone
                    listeners.retain(|(to, member)| {
                        i += 1;
                        (*member && turn != i - 1) || (&**to).write_all(&messages).is_ok()
                    });
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
    run(&cli, &[]).map(|outcome| match outcome {
        Outcome::Report(report) => report.json(),
        Outcome::Sweep(sweep) => sweep.json(),
    })
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
        ("sub --check --size 16", 500),
        ("fan --subscribers 3 --check", 1500),
        ("pairs --pairs 3 --check", 500),
        ("queue --members 3", 500),
        ("queue --members 3 --check", 500),
        ("sub --rate 50000", 500),
        ("sub --rate 20000 --size 16 --arrivals poisson --sleep", 500),
        ("fan --subscribers 3 --rate 50000 --arrivals burst:7", 1500),
        ("pairs --pairs 3 --rate 50000", 500),
        ("queue --members 3 --rate 50000", 500),
        ("request --rate 10000", 500),
        ("conns --connections 7 --rate 50000", 500),
        ("churn --rate 20000 --subscriptions 5", 500),
    ];
    for (row, received) in rows {
        let report = bench(&relay(Mischief::None), &format!("--messages 500 {row}")).unwrap();
        assert_eq!((&report["messages"], &report["lost"]), (&received.into(), &0.into()), "{row}: {report}");
        assert_eq!(report["server"]["nats"], "relay");
        let looked = row.contains("--check") || row.contains("--rate");
        assert_eq!(report.get("reordered").is_some(), looked || row.starts_with("request") || row.starts_with("conns"));
        for what in ["duplicates", "reordered", "foreign"] {
            assert_eq!(report.get(what).unwrap_or(&0.into()), &0, "{row}: {report}");
        }
        for quantile in
            report.get("latency_us").iter().flat_map(|q| ["p50", "p90", "p99", "p99_9", "p99_99"].map(|p| &q[p]))
        {
            assert!(quantile.as_f64().unwrap() > 0.0, "{row}: {report}");
        }
    }
}

#[test]
fn changes_of_interest_are_confirmed_beside_the_messages() {
    let report = bench(&relay(Mischief::None), "churn --rate 2000 --messages 1000 --subscriptions 5").unwrap();
    assert!(
        report["changes"].as_u64().unwrap() > 5 && report["changes_per_second"].as_f64().unwrap() > 0.0,
        "{report}"
    );
    assert_eq!(report["changes"].as_u64().unwrap() % 5, 0);
}

#[test]
fn losses_duplicates_and_disorder_are_counted_apart() {
    for row in ["sub --rate 20000 --patience 0.3", "sub --check --patience 0.3 --in-flight 40000"] {
        let run = |mischief| bench(&relay(mischief), &format!("{row} --messages 3000 --warm-up 0.001")).unwrap();
        let figures = |r: &serde_json::Value| ["lost", "duplicates", "reordered"].map(|k| r[k].as_u64().unwrap());
        let found = figures(&run(Mischief::Twice(1000)));
        assert!(found[0] == 0 && found[1] >= 3 && found[2] == 0, "{row}: {found:?}");
        let found = figures(&run(Mischief::Late(1000)));
        assert!(found[0] <= 1 && found[1] == 0 && found[2] >= 2, "{row}: {found:?}");
    }
    let lossy = bench(&relay(Mischief::Drop(1000)), "sub --rate 20000 --patience 0.3 --messages 3000").unwrap();
    let sent = lossy["messages"].as_u64().unwrap() + lossy["lost"].as_u64().unwrap();
    assert!(lossy["lost"].as_u64().unwrap() >= 3 && sent >= 3000 && lossy["duplicates"] == 0, "{lossy}");
}

/// The longest that the closed loop can be fooled by: half of this.
const STALL: Duration = Duration::from_millis(500);

#[test]
fn a_stall_shows_in_an_open_loop_and_hides_in_a_closed_one() {
    let run = |row: &str| {
        let (told, stalls) = mpsc::channel();
        let report = bench(&relay(Mischief::Stall(1500, STALL, told)), row).unwrap();
        (report, stalls.recv().unwrap().as_secs_f64() * 1e6)
    };
    // a tenth of the messages fall into the stall
    let (open, stall) = run("sub --rate 1000 --arrivals poisson --messages 5000");
    let found = open["latency_us"]["p99_9"].as_f64().unwrap();
    assert!(found >= stall * 0.8, "the stall took {stall} µs, p99.9 is {found}: {open}");
    // here one of five thousand does
    let (closed, stall) = run("request --messages 5000");
    let found = closed["round_trip_us"]["p99_9"].as_f64().unwrap();
    assert!(found < stall * 0.5, "the stall took {stall} µs, p99.9 is {found}: {closed}");
    assert!(closed["round_trip_us"]["max"].as_f64().unwrap() >= stall * 0.8, "{closed}");
}

#[test]
fn a_run_by_time_ends_and_has_round_trips_and_cpu() {
    let pid = std::process::id();
    let report = bench(&relay(Mischief::None), &format!("request --seconds 0.05 --pid {pid}")).unwrap();
    let seconds = report["seconds"].as_f64().unwrap();
    assert!((0.04..5.0).contains(&seconds), "{report}");
    let quantile = |q: &str| report["round_trip_us"][q].as_f64().unwrap();
    assert!(0.0 < quantile("p50") && quantile("p50") <= quantile("p99") && quantile("p99") <= quantile("max"));
    assert!(report["server_busy"].is_number() && report["server_cpu_ns_per_message"].is_number());
}

#[test]
fn lost_messages_are_counted() {
    // with few messages under way this relay is far from the 50,000th when the warm-up is over
    let report =
        bench(&relay(Mischief::Drop(50_000)), "sub --patience 0.2 --messages 60000 --size 1 --in-flight 200").unwrap();
    assert_eq!((&report["messages"], &report["lost"]), (&59_999.into(), &1.into()), "{report}");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert!(matches!(bench(&gone, "sub"), Err(Fault::Unreachable { .. })));
    assert!(matches!(bench(&relay(Mischief::None), "sub --size 1025"), Err(Fault::Asked(_))));
    for row in [
        "idle",
        "sub --rate 10 --size 15",
        "sub --check --size 15",
        "sub --sleep",
        "fan --arrivals poisson",
        "sub --knee 1ms",
    ] {
        assert!(matches!(bench(&relay(Mischief::None), row), Err(Fault::Asked(_))), "{row}");
    }
    assert!(matches!(bench(&relay(Mischief::Drop(1)), "sub --patience 0.05"), Err(Fault::LostInWarmUp(_))));
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

/// What the command prints and its exit code, or why it prints nothing.
fn command(args: &str) -> Result<(String, u8), (String, u8)> {
    let words: Vec<String> = format!("bench {args}").split_whitespace().map(str::to_owned).collect();
    outcome(&Cli::try_parse_from(&words).unwrap(), &words)
}

/// A folder that goes when the test does.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("turnpike-bench-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn repeats_have_a_median_and_a_spread() {
    for row in ["sub --rate 20000", "fan --subscribers 2", "request"] {
        let report = bench(&relay(Mischief::None), &format!("{row} --messages 300 --repeats 3")).unwrap();
        assert_eq!(report["runs"].as_array().unwrap().len(), 3, "{report}");
        let spread = |q| report["spread"]["messages_per_second"][q].as_f64().unwrap();
        assert!(0.0 < spread("least") && spread("least") <= spread("median") && spread("median") <= spread("most"));
        assert_eq!(report["messages_per_second"].as_f64(), Some(spread("median")), "{report}");
        assert!(report["environment"]["kernel"].is_string() && report["lost"] == 0, "{report}");
    }
}

#[test]
fn results_are_written_and_compared() {
    let folder = Folder::new("files");
    let [old, new, picture, log] = ["old.json", "new.json", "p.svg", "l.hlog"].map(|name| folder.file(name));
    let address = relay(Mischief::None);
    // what is late here is this machine, which is not the question
    let row =
        format!("sub -s {address} --warm-up 0.02 --rate 5000 --messages 300 --repeats 2 --svg {picture} --hdr {log}");
    let (told, _) = command(&format!("{row} --json")).unwrap();
    let (picture, log) = (std::fs::read_to_string(&picture).unwrap(), std::fs::read_to_string(&log).unwrap());
    assert_eq!((picture.matches("<polyline").count(), log.matches("Tag=sub-").count()), (2, 2), "{log}");
    std::fs::write(&old, &told).unwrap();
    let compare = |more: &str| command(&format!("compare {old} {new} --anyway {more}"));
    assert_eq!(compare("").unwrap_err().1, 2, "there is no new result");
    std::fs::write(&new, &told).unwrap();
    let drawn = folder.file("c.svg");
    let (table, code) = compare(&format!("--svg {drawn}")).unwrap();
    assert!(code == 0 && table.contains("nothing is worse"), "{table}");
    assert_eq!(std::fs::read_to_string(drawn).unwrap().matches("<polyline").count(), 4);
    std::fs::write(&new, told.replace("\"lost\":0", "\"lost\":1")).unwrap();
    let (table, code) = compare("").unwrap();
    assert!(code == 1 && table.contains("WORSE"), "{table}");
    std::fs::write(&new, told.replace("5000 messages/s", "6000 messages/s")).unwrap();
    assert_eq!(compare("").unwrap_err().1, 2);
    let none =
        command(&format!("sub -s {address} --warm-up 0.02 --messages 10 --svg {drawn}", drawn = folder.file("n.svg")));
    assert!(none.unwrap_err().0.contains("no latencies"));
}

#[test]
fn a_sweep_without_a_rate_that_holds_says_so() {
    let address = relay(Mischief::None);
    let row = format!("sub -s {address} --warm-up 0.02 --sweep --rate 500 --seconds 0.1 --knee 1us");
    let (table, code) = command(&row).unwrap();
    assert!(code == 1 && table.contains("no rate held"), "{table}");
    let (json, _) = command(&format!("{row} --json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["steps"].as_array().unwrap().len(), json["knee_per_second"].is_null()), (2, true), "{json}");
}

#[test]
fn a_server_that_takes_nothing_any_more_ends_the_run() {
    let (told, _stalls) = mpsc::channel();
    let address = relay(Mischief::Stall(1, Duration::from_secs(600), told));
    // more than the sockets of a loopback connection hold
    let run = bench(&address, "sub --size 1000 --rate 100000 --messages 30000 --patience 0.2");
    assert!(matches!(run, Err(Fault::Silent(_))), "{run:?}");
}

#[test]
fn the_exit_code_tells_losses_from_results() {
    let row = |mischief| format!("sub -s {} --warm-up 0.001 --patience 0.2 --messages 500", relay(mischief));
    assert_eq!(command(&row(Mischief::None)).unwrap().1, 0);
    let lossy = format!("{} --rate 20000", row(Mischief::Drop(400)));
    assert_eq!(command(&lossy).map(|r| r.1), Ok(1));
}

#[test]
fn memory_rows_weigh_a_process() {
    let pid = std::process::id();
    for row in ["idle --connections 4", "subs --subscriptions 3000"] {
        let report = bench(&relay(Mischief::None), &format!("{row} --pid {pid}")).unwrap();
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
        "sub --rate 0",
        "sub --rate 10 --arrivals sometimes",
        "pub --rate 10",
        "sub --repeats 0",
    ] {
        assert!(Cli::try_parse_from(format!("bench {bad}").split_whitespace()).is_err(), "{bad}");
    }
    assert_eq!(address("nats://[::1]:4222").unwrap(), "[::1]:4222");
}
