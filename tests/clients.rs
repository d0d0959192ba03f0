//! What programs do with async-nats, the Rust client, against a real process with one shard and with four.
//!
//! `TURNPIKE_TEST_SERVER` replaces the binary under test, `TURNPIKE_TEST_SHARDS` the number of shards.

mod support;

use async_nats::{Client, ConnectOptions, Event, HeaderMap, RequestErrorKind, Subscriber};
use futures_util::{stream, StreamExt};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use support::server::{shard_args, Server, Which};
use tokio::sync::mpsc;

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The default limit of a payload (client-protocol.md §13).
const MAX_PAYLOAD: usize = 1024 * 1024;

/// Each behaviour as two tests: one shard and four.
macro_rules! on_one_and_four_shards {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn one_shard() {
                super::in_time(super::$name(super::serve(1))).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn four_shards() {
                super::in_time(super::$name(super::serve(4))).await;
            }
        })*
    };
}

on_one_and_four_shards!(
    publish_and_subscribe,
    wildcards,
    queue_groups,
    requests_and_replies,
    headers,
    no_responders,
    unsubscribe_after,
    drain_subscription,
    drain_client,
    reconnect,
    large_payloads,
    many_publishers,
    permissions,
);

fn serve(shards: usize) -> Server {
    let which = Which::under_test();
    Server::start(&which, CONF, &shard_args(&which, shards))
}

/// Who says nothing about himself may do everything.
const CONF: &str = r#"no_auth_user: all
authorization { users: [
  {user: all, password: p}
  {user: service, password: p, permissions: {subscribe: {allow: ["work.>", "work.* team", "_INBOX.>"], deny: "work.secret"},
    publish: {allow: ["log.>", "_INBOX.>"], deny: "log.secret"}, allow_responses: {max: 1, expires: "1m"}}}
] }
"#;

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

async fn connect(server: &Server) -> Client {
    async_nats::connect(server.url()).await.expect("connect")
}

/// Subscribes and returns when the server knows it.
async fn subscribe(client: &Client, subject: &str) -> Subscriber {
    let subscriber = client.subscribe(subject.to_string()).await.expect("subscribe");
    client.flush().await.expect("flush");
    in_step(client).await;
    subscriber
}

/// A round trip to the server: `flush` of this client ends when the bytes are written, this when they are processed.
async fn in_step(client: &Client) {
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await.expect("subscribe");
    client.publish(inbox, "".into()).await.expect("publish");
    echo.next().await.expect("the echo");
    echo.unsubscribe().await.expect("unsubscribe");
}

async fn take(subscriber: &mut Subscriber, n: usize) -> Vec<String> {
    let messages: Vec<_> = subscriber.by_ref().take(n).collect().await;
    messages.into_iter().map(|m| String::from_utf8(m.payload.to_vec()).expect("text")).collect()
}

async fn publish_and_subscribe(server: Server) {
    let (one, two) = (connect(&server).await, connect(&server).await);
    let mut here = subscribe(&one, "greet").await;
    let mut there = subscribe(&two, "greet").await;
    let wanted: Vec<String> = (0..500).map(|i| format!("hello {i}")).collect();
    for text in &wanted {
        one.publish("greet", text.clone().into()).await.expect("publish");
    }
    assert_eq!(take(&mut here, 500).await, wanted);
    assert_eq!(take(&mut there, 500).await, wanted);
}

async fn wildcards(server: Server) {
    let (one, two) = (connect(&server).await, connect(&server).await);
    let mut star = subscribe(&one, "a.*.c").await;
    let mut rest = subscribe(&one, "a.>").await;
    for subject in ["a.b.c", "a", "a.b", "a.x.c", "b.b.c", "a.b.c.d"] {
        two.publish(subject, subject.into()).await.expect("publish");
    }
    assert_eq!(take(&mut star, 2).await, ["a.b.c", "a.x.c"]);
    assert_eq!(take(&mut rest, 4).await, ["a.b.c", "a.b", "a.x.c", "a.b.c.d"]);
}

/// Messages over two members, each at least 35 of 100 (client-protocol.md §8), wherever the members are. Four hundred
/// of them, so that a fair server fails this once in a thousand million runs.
async fn queue_groups(server: Server) {
    let publisher = connect(&server).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut members = Vec::new();
    for member in 0..2 {
        let client = connect(&server).await;
        let mut work = client.queue_subscribe("work", "workers".into()).await.expect("subscribe");
        in_step(&client).await;
        let tell = tell.clone();
        tokio::spawn(async move {
            while let Some(message) = work.next().await {
                tell.send((member, message.payload)).ok();
            }
        });
        members.push(client);
    }
    let mut all = subscribe(&publisher, "work").await;
    for i in 0..400 {
        publisher.publish("work", i.to_string().into()).await.expect("publish");
    }
    let (mut counts, mut seen) = ([0, 0], Vec::new());
    for _ in 0..400 {
        let (member, payload) = told.recv().await.expect("a message");
        counts[member] += 1;
        seen.push(String::from_utf8(payload.to_vec()).expect("text").parse::<u32>().expect("a number"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..400).collect::<Vec<u32>>());
    assert!(counts.iter().all(|&n| n >= 4 * 35), "spread {counts:?}");
    assert_eq!(take(&mut all, 400).await.len(), 400);
    in_step(&publisher).await;
    for member in &members {
        in_step(member).await;
    }
    assert!(told.try_recv().is_err(), "a message reached the group twice");
}

async fn requests_and_replies(server: Server) {
    let (asker, answerer) = (connect(&server).await, connect(&server).await);
    let mut questions = subscribe(&answerer, "double.*").await;
    let service = tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            let n: u32 = String::from_utf8_lossy(&question.payload).parse().expect("a number");
            let reply = question.reply.expect("a reply subject");
            answerer.publish(reply, (n * 2).to_string().into()).await.expect("publish");
        }
    });
    let answers = stream::iter(0..200u32).map(|n| {
        let asker = asker.clone();
        async move {
            let answer = asker.request(format!("double.{n}"), n.to_string().into()).await.expect("an answer");
            assert_eq!(answer.payload, (n * 2).to_string());
        }
    });
    answers.buffer_unordered(20).collect::<Vec<()>>().await;
    service.abort();
}

async fn headers(server: Server) {
    let (one, two) = (connect(&server).await, connect(&server).await);
    let mut subscriber = subscribe(&two, "h").await;
    let mut headers = HeaderMap::new();
    headers.insert("Trace", "7f");
    headers.append("Many", "first");
    headers.append("Many", "second: with a colon");
    one.publish_with_headers("h", headers.clone(), "body".into()).await.expect("publish");
    one.publish_with_headers("h", headers.clone(), "".into()).await.expect("publish");
    for body in ["body", ""] {
        let message = subscriber.next().await.expect("a message");
        assert_eq!(message.headers.as_ref(), Some(&headers));
        assert_eq!(message.payload, body);
    }
}

/// A user who may do little: the client library tells of each denial as an event, and keeps the connection.
async fn permissions(server: Server) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let options = ConnectOptions::with_user_and_password("service".into(), "p".into()).event_callback(move |event| {
        let tell = tell.clone();
        async move {
            if let Event::ServerError(error) = event {
                tell.send(error.to_string()).ok();
            }
        }
    });
    let service = options.connect(server.url()).await.expect("connect");
    let all = connect(&server).await;
    let mut log = subscribe(&all, "log.>").await;
    let mut work = subscribe(&service, "work.>").await;
    // Allowed, denied, allowed: the order shows that nothing else came.
    for subject in ["log.a", "log.secret", "elsewhere", "log.b"] {
        service.publish(subject, subject.into()).await.expect("publish");
    }
    assert_eq!(take(&mut log, 2).await, ["log.a", "log.b"]);
    for subject in ["log.secret", "elsewhere"] {
        let event = told.recv().await.expect("an event").to_lowercase();
        assert!(event.contains(&format!("permissions violation for publish to \"{subject}\"")), "{event}");
    }
    for subject in ["work.a", "work.secret", "work.b"] {
        all.publish(subject, subject.into()).await.expect("publish");
    }
    assert_eq!(take(&mut work, 2).await, ["work.a", "work.b"]);
    let _refused = service.subscribe("other").await.expect("subscribe");
    let _refused = service.queue_subscribe("work.x", "others".into()).await.expect("subscribe");
    in_step(&service).await;
    let event = told.recv().await.expect("an event").to_lowercase();
    assert!(event.contains("permissions violation for subscription to \"other\""), "{event}");
    let event = told.recv().await.expect("an event").to_lowercase();
    assert!(event.contains("to \"work.x\" using queue \"others\""), "{event}");
    // Whoever asks gets his answer, under a subject that the service may not publish to else.
    let mut answers = subscribe(&all, "answers.*").await;
    all.publish_with_reply("work.q", "answers.1", "?".into()).await.expect("publish");
    work.next().await.expect("the question");
    for text in ["first", "second"] {
        service.publish("answers.1", text.into()).await.expect("publish");
    }
    in_step(&service).await;
    all.publish("answers.2", "last".into()).await.expect("publish");
    assert_eq!(take(&mut answers, 2).await, ["first", "last"]);
    let event = told.recv().await.expect("an event").to_lowercase();
    assert!(event.contains("permissions violation for publish to \"answers.1\""), "{event}");
}

async fn no_responders(server: Server) {
    let client = connect(&server).await;
    let error = client.request("nobody.home", "?".into()).await.expect_err("nobody can have answered");
    assert_eq!(error.kind(), RequestErrorKind::NoResponders);
}

async fn unsubscribe_after(server: Server) {
    let (one, two) = (connect(&server).await, connect(&server).await);
    let mut subscriber = one.subscribe("few").await.expect("subscribe");
    subscriber.unsubscribe_after(3).await.expect("unsubscribe");
    in_step(&one).await;
    for i in 0..10 {
        two.publish("few", i.to_string().into()).await.expect("publish");
    }
    let got: Vec<_> = subscriber.collect().await;
    assert_eq!(got.len(), 3);
}

/// What was sent before the drain arrives, then the subscription ends.
async fn drain_subscription(server: Server) {
    let (one, two) = (connect(&server).await, connect(&server).await);
    let mut subscriber = subscribe(&one, "drain").await;
    for i in 0..200 {
        two.publish("drain", i.to_string().into()).await.expect("publish");
    }
    in_step(&two).await;
    subscriber.drain().await.expect("drain");
    let got: Vec<_> = subscriber.collect().await;
    assert_eq!(got.len(), 200);
}

/// A drained client has sent what it published, delivers what came, and is closed.
async fn drain_client(server: Server) {
    let (events, mut happened) = mpsc::unbounded_channel();
    let options = ConnectOptions::new().event_callback(move |event| {
        let events = events.clone();
        async move {
            events.send(event).ok();
        }
    });
    let one = options.connect(server.url()).await.expect("connect");
    let two = connect(&server).await;
    let subscriber = subscribe(&one, "in").await;
    let mut out = subscribe(&two, "out").await;
    for i in 0..100 {
        two.publish("in", i.to_string().into()).await.expect("publish");
        one.publish("out", i.to_string().into()).await.expect("publish");
    }
    in_step(&two).await;
    one.drain().await.expect("drain");
    assert_eq!(subscriber.collect::<Vec<_>>().await.len(), 100);
    assert_eq!(take(&mut out, 100).await.len(), 100);
    while happened.recv().await.expect("an event") != Event::Closed {}
}

/// The server dies without a word and comes back on its port: the client finds it and its subscriptions live on.
async fn reconnect(mut server: Server) {
    let (events, mut happened) = mpsc::unbounded_channel();
    let options = ConnectOptions::new().reconnect_delay_callback(|_| Duration::from_millis(20));
    let options = options.event_callback(move |event| {
        let events = events.clone();
        async move {
            events.send(event).ok();
        }
    });
    let client = options.connect(server.url()).await.expect("connect");
    let mut subscriber = subscribe(&client, "still").await;
    assert_eq!(happened.recv().await, Some(Event::Connected));
    server.kill();
    while happened.recv().await.expect("an event") != Event::Disconnected {}
    server.start_again();
    while happened.recv().await.expect("an event") != Event::Connected {}
    in_step(&client).await;
    let other = connect(&server).await;
    other.publish("still", "there".into()).await.expect("publish");
    assert_eq!(take(&mut subscriber, 1).await, ["there"]);
}

/// Every size near the limit and some below arrives whole; the limit itself is told by the server.
async fn large_payloads(server: Server) {
    let (one, two) = (connect(&server).await, connect(&server).await);
    assert_eq!(one.server_info().max_payload, MAX_PAYLOAD);
    let mut subscriber = subscribe(&two, "large").await;
    for size in [65_535, 65_536, 500_000, MAX_PAYLOAD - 1, MAX_PAYLOAD] {
        let payload: Vec<u8> = (0..size).map(|i| (i * 31 % 251) as u8).collect();
        one.publish("large", payload.clone().into()).await.expect("publish");
        let message = subscriber.next().await.expect("a message");
        assert!(message.payload == payload, "{size} bytes came changed");
    }
    let mut headers = HeaderMap::new();
    headers.insert("K", "v");
    let payload = vec![b'x'; MAX_PAYLOAD - 100];
    one.publish_with_headers("large", headers, payload.clone().into()).await.expect("publish");
    let message = subscriber.next().await.expect("a message");
    assert!(message.payload == payload && message.headers.is_some());
}

/// Each publisher's messages keep their order at every subscriber, whichever shards they sit on.
async fn many_publishers(server: Server) {
    let server = Arc::new(server);
    let mut readers = Vec::new();
    for _ in 0..4 {
        let client = connect(&server).await;
        let mut subscriber = subscribe(&client, "many.*").await;
        readers.push(tokio::spawn(async move {
            let mut next = [0u32; 4];
            for _ in 0..4 * 250 {
                let message = subscriber.next().await.expect("a message");
                let from: usize = message.subject.rsplit('.').next().expect("a word").parse().expect("a number");
                assert_eq!(message.payload, next[from].to_string());
                next[from] += 1;
            }
            drop(client);
        }));
    }
    let writers = (0..4).map(|from| {
        let server = server.clone();
        tokio::spawn(async move {
            let client = connect(&server).await;
            for i in 0..250 {
                client.publish(format!("many.{from}"), i.to_string().into()).await.expect("publish");
            }
            in_step(&client).await;
        })
    });
    for task in writers.collect::<Vec<_>>().into_iter().chain(readers) {
        task.await.expect("a task failed");
    }
}

/// A file of what the official libraries made (scripts/credentials).
fn official(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/identities/official").join(name)
}

/// A server with a configuration from there.
fn serve_official(conf: &str) -> Server {
    let which = Which::under_test();
    let conf = std::fs::read_to_string(official(conf)).expect("a configuration");
    Server::start(&which, &conf, &shard_args(&which, 2))
}

async fn is_let_in(options: ConnectOptions, server: &Server) {
    let client = options.connect(server.url()).await.expect("it is let in");
    let mut sub = client.subscribe("who").await.unwrap();
    client.publish("who", "me".into()).await.unwrap();
    assert_eq!(sub.next().await.unwrap().payload, "me");
}

async fn is_refused(options: ConnectOptions, server: &Server) {
    let refused = options.connect(server.url()).await.expect_err("it is let in");
    assert_eq!(refused.kind(), async_nats::ConnectErrorKind::AuthorizationViolation, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials() {
    in_time(async {
        let server = serve_official("operator.conf");
        let file = |name: &str| ConnectOptions::with_credentials_file(official(name));
        for name in ["plain.creds", "signed.creds"] {
            is_let_in(file(name).await.unwrap(), &server).await;
        }
        for name in ["revoked.creds", "expired.creds", "foreign.creds"] {
            is_refused(file(name).await.unwrap(), &server).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys() {
    in_time(async {
        let server = serve_official("keys.conf");
        let seed = |name: &str| std::fs::read_to_string(official(name)).unwrap().trim().to_owned();
        is_let_in(ConnectOptions::with_nkey(seed("key.seed")), &server).await;
        is_refused(ConnectOptions::with_nkey(seed("stranger.seed")), &server).await;
    })
    .await;
}

/// With a certificate shown, without one, and with TLS before a word is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() {
    use support::tls::Authority;
    in_time(async {
        let ca = Authority::new();
        let alice = ca.issue("alice", &[]);
        let which = Which::under_test();
        let serve = |more: &str| {
            let conf = format!("tls {{ {}, {more} }}", ca.server());
            Server::start(&which, &conf, &shard_args(&which, 2))
        };
        let believes = || ConnectOptions::new().add_root_certificates(ca.file().into()).require_tls(true);
        let shows = || believes().add_client_certificate(alice.cert.clone(), alice.key.clone());
        let plain = serve("timeout: 5");
        is_let_in(believes(), &plain).await;
        ConnectOptions::new().connect(plain.url()).await.expect_err("an authority nobody knows is believed");
        let mutual = serve(&format!("verify: true, ca_file: \"{}\"", ca.file()));
        is_let_in(shows(), &mutual).await;
        believes().connect(mutual.url()).await.expect_err("nothing is shown, and it is let in");
        is_let_in(believes().tls_first(), &serve("handshake_first: true")).await;
    })
    .await;
}
