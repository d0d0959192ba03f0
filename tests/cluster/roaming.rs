//! async-nats clients that move between the nodes of a cluster: they know one address, learn the others, and go on
//! elsewhere when their node dies or is about to leave.

use crate::support::cluster::{free_port, routes, Cluster};
use crate::support::process::until;
use crate::support::server::{shard_args, Server, Start, Which};
use async_nats::{Client, ConnectOptions, Event, Subscriber};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver};
use tokio::sync::watch;

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three nodes whose lame ducks do not waste time.
fn cluster() -> Cluster {
    Cluster::with(&vec![Which::under_test(); 3], 2, "", "lame_duck_grace_period: \"1s\"\nlame_duck_duration: \"30s\"\n")
}

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// A connection and what happens to it.
struct Seat {
    client: Client,
    events: UnboundedReceiver<Event>,
}

impl Seat {
    /// At the first of these addresses that answers.
    async fn take(urls: Vec<String>) -> Seat {
        let (said, events) = unbounded_channel();
        let options = ConnectOptions::new()
            .reconnect_delay_callback(|_| Duration::from_millis(20))
            .request_timeout(Some(Duration::from_secs(2)))
            .retain_servers_order()
            .event_callback(move |event| {
                said.send(event).ok();
                async {}
            });
        let connecting = async {
            loop {
                // A node that is just going, or not yet there again.
                match options.clone().connect(urls.clone()).await {
                    Ok(client) => return client,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let client = in_time("a connection", connecting).await;
        Seat { client, events }
    }

    async fn await_event(&mut self, wanted: Event) {
        let hear = async { while self.events.recv().await.expect("an event") != wanted {} };
        in_time(&wanted.to_string(), hear).await;
    }

    /// Subscribes, and returns when the server knows it.
    async fn subscribe(&self, subject: &'static str) -> Subscriber {
        let subscriber = self.client.subscribe(subject).await.expect("subscribe");
        round_trip(&self.client).await;
        subscriber
    }

    /// The name of the server it sits at.
    fn at(&self) -> String {
        self.client.server_info().server_name
    }
}

/// All that was said before has been carried out.
async fn round_trip(client: &Client) {
    let work = async {
        loop {
            // A connection that is just being replaced loses what is said.
            let inbox = client.new_inbox();
            let mut echo = client.subscribe(inbox.clone()).await.expect("subscribe");
            client.publish(inbox, "".into()).await.expect("publish");
            if let Ok(Some(_)) = tokio::time::timeout(Duration::from_secs(1), echo.next()).await {
                return;
            }
        }
    };
    in_time("a round trip", work).await;
}

/// Publishes until the first message comes: interest has spread. Messages that come later than that are taken too.
async fn flows(from: &Client, to: &mut Subscriber, subject: &'static str) {
    let work = async {
        for n in 0u64.. {
            from.publish(subject, n.to_string().into()).await.expect("publish");
            if let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(50), to.next()).await {
                break;
            }
        }
    };
    in_time("messages flow", work).await;
    let end = format!("end {}", from.new_inbox());
    from.publish(subject, end.clone().into()).await.expect("publish");
    in_time("the last message", async { while to.next().await.expect("a message").payload != end {} }).await;
}

/// Who reaches `service` again from elsewhere: subscriptions are made anew by the client, and known to all.
fn moves(leave: impl Fn(&mut Server, &tokio::runtime::Runtime, &mut Seat)) {
    let mut c = cluster();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut seat = runtime.block_on(Seat::take(vec![c.nodes[0].url()]));
    // What it learned is in its pool.
    let learned = async {
        while seat.client.server_pool().await.expect("a pool").len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    runtime.block_on(in_time("three servers in the pool", learned));
    assert_eq!(seat.at(), "n0");
    let other = runtime.block_on(Seat::take(vec![c.nodes[2].url()]));
    let (mut here, mut there) =
        runtime.block_on(async { (seat.subscribe("here").await, other.subscribe("there").await) });
    runtime.block_on(async {
        flows(&other.client, &mut here, "here").await;
        flows(&seat.client, &mut there, "there").await;
    });
    leave(&mut c.nodes[0], &runtime, &mut seat);
    assert_ne!(seat.at(), "n0");
    runtime.block_on(async {
        flows(&other.client, &mut here, "here").await;
        flows(&seat.client, &mut there, "there").await;
    });
}

#[test]
fn a_client_whose_node_dies_goes_on_elsewhere() {
    moves(|node, runtime, seat| {
        node.kill();
        runtime.block_on(async {
            seat.await_event(Event::Disconnected).await;
            seat.await_event(Event::Connected).await;
        });
    });
}

#[test]
fn a_client_whose_node_is_a_lame_duck_goes_on_elsewhere() {
    moves(|node, runtime, seat| {
        let done =
            std::process::Command::new(node.which().path()).args(["--signal", &format!("ldm={}", node.pid())]).status();
        assert!(done.expect("cannot run the binary").success());
        runtime.block_on(async {
            seat.await_event(Event::LameDuckMode).await;
            seat.await_event(Event::Disconnected).await;
            seat.await_event(Event::Connected).await;
        });
        assert_eq!(node.ended(), Some(0));
    });
}

/// What the rolling restart is about.
#[derive(Default)]
struct Books {
    /// How often each attempt was served.
    served: Mutex<HashMap<String, u32>>,
    asked: AtomicU64,
    /// First attempts without an answer.
    retried: AtomicU64,
    /// All attempts without one: request, where, why.
    failures: Mutex<Vec<String>>,
    /// Second ones.
    lost: AtomicU64,
    moved: AtomicU64,
}

/// The other addresses first known to a client of a lame duck; all of them when there is none.
fn elsewhere(all: &[String], but: &Client) -> Vec<String> {
    let info = but.server_info();
    let own = format!("nats://{}:{}", info.host, info.port);
    let mut others: Vec<String> = all.iter().filter(|u| **u != own).cloned().collect();
    // Not everybody to the same one.
    if info.client_id.is_multiple_of(2) {
        others.reverse();
    }
    others
}

/// Serves until told to stop; leaves a lame duck in good order: first another seat, then the old one is drained.
async fn serve(all: Vec<String>, books: Arc<Books>, mut stop: watch::Receiver<bool>) {
    let mut seat = Seat::take(all.clone()).await;
    let mut drained: Vec<tokio::task::JoinHandle<()>> = Vec::new();
    let mut before: Option<tokio::sync::oneshot::Sender<()>> = None;
    loop {
        let mut work = seat.client.queue_subscribe("service", "workers".into()).await.expect("subscribe");
        round_trip(&seat.client).await;
        // The new seat serves before the old one is given up.
        if let Some(leave) = before.take() {
            leave.send(()).ok();
        }
        let (client, books_of_it) = (seat.client.clone(), books.clone());
        let (leave, mut left) = tokio::sync::oneshot::channel::<()>();
        drained.push(tokio::spawn(async move {
            let mut leaving = false;
            loop {
                let message = tokio::select! {
                    message = work.next() => message,
                    _ = &mut left, if !leaving => {
                        leaving = true;
                        work.drain().await.expect("drain");
                        continue;
                    }
                };
                let Some(message) = message else { break };
                let text = String::from_utf8(message.payload.to_vec()).expect("text");
                *books_of_it.served.lock().expect("the books").entry(text).or_default() += 1;
                client.publish(message.reply.expect("a reply subject"), message.payload).await.expect("publish");
            }
            client.drain().await.ok();
        }));
        let lame = tokio::select! {
            () = async { while seat.events.recv().await.expect("an event") != Event::LameDuckMode {} } => true,
            _ = stop.wait_for(|s| *s) => false,
        };
        if !lame {
            leave.send(()).ok();
            break;
        }
        books.moved.fetch_add(1, Ordering::Relaxed);
        seat = Seat::take(elsewhere(&all, &seat.client)).await;
        before = Some(leave);
    }
    for task in drained {
        in_time("a worker's end", task).await.expect("a worker was harmed");
    }
}

/// Asks one thing after the other; each again, once, when no answer comes.
async fn ask(id: usize, all: Vec<String>, books: Arc<Books>, stop: Arc<AtomicBool>) {
    let mut seat = Seat::take(all.clone()).await;
    // Nobody is owed an answer before those who serve have come.
    for knock in 0.. {
        if seat.client.request("service", format!("{id} knocks {knock}").into()).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut n = 0u64;
    while !stop.load(Ordering::Acquire) {
        while let Ok(event) = seat.events.try_recv() {
            if event == Event::LameDuckMode {
                books.moved.fetch_add(1, Ordering::Relaxed);
                let next = Seat::take(elsewhere(&all, &seat.client)).await;
                std::mem::replace(&mut seat, next).client.drain().await.ok();
            }
        }
        n += 1;
        books.asked.fetch_add(1, Ordering::Relaxed);
        let mut answered = false;
        for attempt in 1..=2 {
            let text = format!("{id} {n} {attempt}");
            match seat.client.request("service", text.clone().into()).await {
                Ok(reply) => {
                    assert_eq!(reply.payload, text, "another's answer");
                    answered = true;
                    break;
                }
                Err(why) => {
                    books.failures.lock().expect("the books").push(format!("{text} at {}: {why}", seat.at()));
                    books.retried.fetch_add(u64::from(attempt == 1), Ordering::Relaxed);
                }
            }
        }
        if !answered {
            books.lost.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// scenarios.md G21: three nodes are restarted one after the other as lame ducks under requests of clients that leave
/// when they are told: no request is lost that is asked twice at most, none is served twice.
#[test]
fn a_rolling_restart_loses_nothing() {
    in_turn(three_that_list_each_other(&Which::under_test()), Server::start_again);
}

/// docs/migrating.md: three nats-servers become turnpikes one after the other, under the same load, and go back again.
#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn mixed_a_cluster_moves_node_by_node_and_back() {
    let peers = std::env::var("TURNPIKE_PEERS").expect("TURNPIKE_PEERS names no nats-server: see scripts/mixed");
    let peer = Which::at(peers.split(',').next().expect("one").into());
    for (from, to) in [(peer.clone(), Which::under_test()), (Which::under_test(), peer)] {
        in_turn(three_that_list_each_other(&from), |node| node.start_again_as(&to, 2));
    }
}

/// Each node leaves as a lame duck and is followed by another, under requests; see above for what is demanded.
fn in_turn(mut c: Cluster, follow: impl Fn(&mut Server)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let urls: Vec<String> = c.nodes.iter().map(Server::url).collect();
    let (books, stop) = (Arc::new(Books::default()), Arc::new(AtomicBool::new(false)));
    let (end, ended) = watch::channel(false);
    // Each begins at another node.
    let turned = |by: usize| urls.iter().cycle().skip(by).take(3).cloned().collect::<Vec<_>>();
    let workers: Vec<_> = (0..3).map(|n| runtime.spawn(serve(turned(n), books.clone(), ended.clone()))).collect();
    let sees = |count: u64| {
        until("requests are answered", PATIENCE, || {
            let answered = books.served.lock().expect("the books").len() as u64;
            (answered >= count).then_some(answered)
        })
    };
    let askers: Vec<_> = (0..4).map(|n| runtime.spawn(ask(n, turned(n), books.clone(), stop.clone()))).collect();
    for at in 0..3 {
        let before = sees(1);
        sees(before + 200);
        c.nodes[at].signal("USR2");
        assert_eq!(c.nodes[at].ended(), Some(0), "{}", c.nodes[at].output());
        follow(&mut c.nodes[at]);
        c.await_whole();
    }
    let before = sees(1);
    sees(before + 200);
    stop.store(true, Ordering::Release);
    runtime.block_on(async {
        for task in askers {
            in_time("a requester's end", task).await.expect("a requester was harmed");
        }
        end.send(true).expect("workers");
        for task in workers {
            in_time("a worker's end", task).await.expect("a worker was harmed");
        }
    });
    let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let twice = books.served.lock().expect("the books").values().filter(|n| **n > 1).count();
    println!(
        "{} requests, {} asked again, {} lost, {twice} served twice, {} moves",
        count(&books.asked),
        count(&books.retried),
        count(&books.lost),
        count(&books.moved)
    );
    assert_eq!((count(&books.lost), twice), (0, 0), "{:?}", books.failures.lock().expect("the books"));
    assert!(count(&books.moved) >= 3);
}

/// As people run it: everybody lists everybody, so that whoever is restarted finds the others.
fn three_that_list_each_other(which: &Which) -> Cluster {
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let start = |n: usize| {
        let conf = format!(
            "server_name: n{n}\nlame_duck_grace_period: \"1s\"\nlame_duck_duration: \"30s\"\n\
             cluster {{ name: c, listen: \"127.0.0.1:{}\", routes: {} }}\n",
            ports[n],
            routes(&ports)
        );
        Server::from(Start::new(which, &conf, &shard_args(which, 2)))
    };
    let cluster = Cluster { nodes: (0..3).map(start).collect(), ports };
    cluster.await_whole();
    cluster
}
