//! What may cross between clusters (docs/borders.md): the example as it is shipped, and clusters of nats-servers, which know
//! nothing of it. What holds in every case is the simulator's matter.

use crate::support::cluster::{free_port, Client, WHOLE};
use crate::support::process::until;
use crate::support::server::{shard_args, Server, Start, Which};
use crate::support::supercluster::{entries, gatewayz, SuperCluster, Wish};
use crate::turnpike_is_tested;
use std::path::Path;
use std::time::Duration;

/// What comes after something that must come has come too, if it comes at all.
const SOON: Duration = Duration::from_millis(200);

/// One of the shipped examples with other addresses and ports: of its clients, of its gateway, of its plain member, of the
/// other gateway.
fn example(name: &str, [clients, gateway, member, other]: [u16; 4]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name);
    let text = std::fs::read_to_string(file).expect("an example");
    let (own, far) =
        if name.contains("-a.") { ("192.168.1.101", "192.168.2.100") } else { ("192.168.2.101", "192.168.1.100") };
    let changes = [
        ("port: 4222".into(), format!("port: {clients}")),
        ("listen: 6222".into(), format!("listen: \"127.0.0.1:{gateway}\"")),
        ("port: 6222".into(), format!("port: {other}")),
        (format!("nats://{own}:4222"), format!("nats://127.0.0.1:{member}")),
        (far.into(), "127.0.0.1".into()),
    ];
    changes.into_iter().fold(text, |text, (before, after): (String, String)| {
        assert!(text.contains(&before), "{name} has no {before:?}");
        text.replace(&before, &after)
    })
}

/// Publishes again and again until it has come; nothing else may come meanwhile.
fn await_crossing(from: &mut Client, to: &mut Client, subject: &str) {
    until("a message that crosses", WHOLE, || {
        from.say(&format!("PUB {subject} 1\r\nw\r\n"));
        let came = to.try_next(Duration::from_millis(100))?;
        assert!(came.starts_with(&format!("MSG {subject} ")), "{came:?} instead of {subject}");
        Some(())
    });
    // More of them may be under way.
    from.say(&format!("PUB {subject} 4\r\nlast\r\n"));
    while !to.next().ends_with("\r\nlast\r\n") {}
}

#[test]
fn the_example_of_the_documentation() {
    if !turnpike_is_tested() {
        return;
    }
    let which = Which::under_test();
    let port: Vec<u16> = (0..6).map(|_| free_port()).collect();
    let start = |conf: String| Server::from(Start::new(&which, &conf, &shard_args(&which, 1)).verbatim());
    let plain = |n: usize, gw: usize| start(format!("port: {}\nroutes:\n  - nats://127.0.0.1:{}\n", port[n], port[gw]));
    let (member_a, member_b) = (plain(0, 2), plain(1, 4));
    let gw_a = start(example("borders-a.conf", [port[2], port[3], port[0], port[5]]));
    let gw_b = start(example("borders-b.conf", [port[4], port[5], port[1], port[3]]));
    let (mut a, mut b) = (Client::of(&gw_a), Client::of(&gw_b));
    let (mut near_a, mut near_b) = (Client::of(&member_a), Client::of(&member_b));
    for client in [&mut a, &mut b, &mut near_a, &mut near_b] {
        client.say("SUB *.* 1\r\n");
    }
    // Each cluster is one.
    let mut speaker = Client::of(&gw_a);
    await_crossing(&mut speaker, &mut near_a, "private.ready");
    await_crossing(&mut speaker, &mut near_b, "public.ready");
    let quiet = |client: &mut Client, subject: &str| {
        while let Some(came) = client.try_next(SOON) {
            assert!(came.starts_with(&format!("MSG {subject}")), "{came:?}");
        }
    };
    quiet(&mut a, "p");
    quiet(&mut near_a, "public.ready");
    quiet(&mut b, "public.ready");
    // From A to B.
    speaker.say("PUB private.hello 1\r\n1\r\nPUB public.hello 1\r\n2\r\n");
    for client in [&mut b, &mut near_b] {
        assert_eq!(client.next(), "MSG public.hello 1 1\r\n2\r\n");
    }
    for client in [&mut a, &mut near_a] {
        assert_eq!(client.next(), "MSG private.hello 1 1\r\n1\r\n");
        assert_eq!(client.next(), "MSG public.hello 1 1\r\n2\r\n");
    }
    // And back, where nothing is said of a border.
    let mut speaker = Client::of(&gw_b);
    await_crossing(&mut speaker, &mut near_a, "private.ready");
    quiet(&mut a, "private.ready");
    quiet(&mut near_b, "private.ready");
    quiet(&mut b, "private.ready");
    speaker.say("PUB private.hello 1\r\n3\r\nPUB public.hello 1\r\n4\r\n");
    for client in [&mut a, &mut near_a, &mut b, &mut near_b] {
        assert_eq!(client.next(), "MSG private.hello 1 1\r\n3\r\n");
        assert_eq!(client.next(), "MSG public.hello 1 1\r\n4\r\n");
        assert_eq!(client.try_next(SOON), None);
    }
    // Requests in both directions are answered, although nobody exports or imports an inbox. A plain member's clients hear
    // other clusters and are not heard there: it has no gateway, and says so.
    answered(&mut Client::of(&gw_a), &mut Client::of(&gw_b), "public.ask", SOON, true);
    answered(&mut Client::of(&gw_b), &mut Client::of(&gw_a), "private.ask", SOON, false);
}

/// Somebody asks until he is answered, from elsewhere; then once more, the answer coming after so long. Whether what he did not
/// ask for comes too is for the rules to say (`open`).
fn answered(asking: &mut Client, answering: &mut Client, subject: &str, after: Duration, open: bool) {
    answering.say(&format!("SUB {subject} 7\r\n"));
    asking.say("SUB _INBOX.x.* 8\r\n");
    let respond = |answering: &mut Client, patience: Duration| {
        let question = answering.try_next(patience)?;
        let line = question.lines().next().unwrap_or_default().to_string();
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((words[0], words[1], words[2]), ("MSG", subject, "7"), "{question:?}");
        Some(words[3].to_string())
    };
    let reply = until("a request that crosses", WHOLE, || {
        asking.say(&format!("PUB {subject} _INBOX.x.1 1\r\n?\r\n"));
        respond(answering, Duration::from_millis(100))
    });
    assert_eq!(reply, "_INBOX.x.1", "nobody sees how a reply is addressed on its way");
    while respond(answering, SOON).is_some() {}
    while asking.try_next(SOON).is_some() {}
    asking.say(&format!("PUB {subject} _INBOX.x.2 1\r\n?\r\n"));
    assert_eq!(respond(answering, WHOLE).as_deref(), Some("_INBOX.x.2"));
    std::thread::sleep(after);
    answering.say("PUB _INBOX.x.2 1\r\n!\r\nPUB _INBOX.x.9 1\r\n!\r\n");
    assert_eq!(asking.next(), "MSG _INBOX.x.2 8 1\r\n!\r\n");
    let other = asking.try_next(SOON);
    assert_eq!(other.is_some(), open, "an answer to nothing: {other:?}");
}

/// One cluster by itself, with these rules in its gateway block.
fn lone_conf(cluster: &str, port: u16, list: &str, rules: &str) -> String {
    let gateway = format!("gateway {{ name: {cluster}, listen: \"127.0.0.1:{port}\", gateways: {list}\n{rules}\n}}");
    format!("server_name: {cluster}0\n{gateway}\n")
}

fn lone(cluster: &str, port: u16, list: &str, rules: &str) -> Server {
    let which = Which::under_test();
    Server::from(Start::new(&which, &lone_conf(cluster, port, list, rules), &shard_args(&which, 2)))
}

/// How many messages a server has not sent to a cluster for this reason.
fn not_sent(server: &Server, cluster: &str, reason: &str) -> u64 {
    let page = gatewayz(server);
    let remotes = page["turnpike"]["remotes"].as_array().cloned().unwrap_or_default();
    let of = remotes.iter().filter(|r| r["name"] == cluster).flat_map(|r| r["messages"].as_array().cloned());
    of.flatten().filter_map(|m| m["drops"][reason].as_u64()).sum()
}

/// How many messages of other clusters a server has dropped for this reason as they came.
fn dropped_on_entry(server: &Server, reason: &str) -> u64 {
    let page = gatewayz(server);
    let remotes = page["turnpike"]["remotes"].as_array().cloned().unwrap_or_default();
    let of = remotes.iter().flat_map(|r| r["dropped_on_entry"].as_array().cloned());
    of.flatten().filter_map(|m| m["drops"][reason].as_u64()).sum()
}

#[test]
fn a_group_passes_over_clusters_that_do_not_let_the_message_in() {
    if !turnpike_is_tested() {
        return;
    }
    let [a, b, c] = [free_port(), free_port(), free_port()];
    let list = entries(&[("A", &[a])]);
    let denies = |subject: &str| format!("imports: [{{subject: \"{subject}\", deny: true}}]");
    let near = lone("A", a, "[]", "");
    let (one, other) = (lone("B", b, &list, &denies("jobs.b")), lone("C", c, &list, &denies("jobs.c")));
    let (mut in_b, mut in_c, mut speaker) = (Client::of(&one), Client::of(&other), Client::of(&near));
    // Whichever of them is nearer: its denial is a hole in what it announces.
    in_b.say("SUB jobs.* q 1\r\n");
    in_c.say("SUB jobs.* q 1\r\n");
    await_crossing(&mut speaker, &mut in_c, "jobs.b");
    await_crossing(&mut speaker, &mut in_b, "jobs.c");
    let before = [not_sent(&near, "B", "their_border"), not_sent(&near, "C", "their_border")];
    const MANY: u64 = 100;
    for n in 0..MANY {
        speaker.say(&format!("PUB jobs.b 3\r\n{n:03}\r\nPUB jobs.c 3\r\n{n:03}\r\n"));
    }
    for n in 0..MANY {
        assert_eq!(in_c.next(), format!("MSG jobs.b 1 3\r\n{n:03}\r\n"));
        assert_eq!(in_b.next(), format!("MSG jobs.c 1 3\r\n{n:03}\r\n"));
    }
    // Counted here, by the rule there, and not there once more.
    let counted = [not_sent(&near, "B", "their_border"), not_sent(&near, "C", "their_border")];
    assert_eq!(counted, before.map(|n| n + MANY));
    assert_eq!([dropped_on_entry(&one, "border"), dropped_on_entry(&other, "border")], [0, 0]);
    let held = gatewayz(&near)["turnpike"]["crossing"]["held_back"].clone();
    let by = |cluster: &str| format!("imports of \"{cluster}\" line 3: deny \"jobs.{}\"", cluster.to_lowercase());
    for (cluster, n) in [("B", counted[0]), ("C", counted[1])] {
        let is = |h: &&serde_json::Value| h["by"] == by(cluster) && h["messages"] == n;
        assert!(held.as_array().is_some_and(|all| all.iter().any(|h| is(&h))), "{cluster} {n}: {held}");
    }
}

#[test]
fn answers_come_back_in_their_window_and_no_more_than_may() {
    if !turnpike_is_tested() {
        return;
    }
    let [a, b] = [free_port(), free_port()];
    let rules = |window: &str| format!("imports: [ask]\nreply_window: \"{window}\"\nreply_max: 2");
    let near = lone("A", a, "[]", &rules("300ms"));
    let far = lone("B", b, &entries(&[("A", &[a])]), "imports: [ask]");
    let (mut asking, mut answering) = (Client::of(&near), Client::of(&far));
    asking.say("SUB _INBOX.x.* 8\r\n");
    answering.say("SUB ask 7\r\n");
    until("a request that crosses", WHOLE, || {
        asking.say("PUB ask _INBOX.x.0 1\r\n?\r\n");
        answering.try_next(Duration::from_millis(100))
    });
    while answering.try_next(SOON).is_some() {}
    while asking.try_next(SOON).is_some() {}
    let ask = |asking: &mut Client, answering: &mut Client, n: u32| {
        asking.say(&format!("PUB ask _INBOX.x.{n} 1\r\n?\r\n"));
        assert_eq!(answering.next(), format!("MSG ask 7 _INBOX.x.{n} 1\r\n?\r\n"));
    };
    let crossing = || gatewayz(&near)["turnpike"]["crossing"].clone();
    let held = || {
        let all = crossing()["held_back"].as_array().cloned().unwrap_or_default();
        let of = all.iter().filter(|h| h["by"] == "no entry of imports admits it");
        of.filter_map(|h| h["messages"].as_u64()).sum::<u64>()
    };
    // When nobody waits for an answer any more, one is late.
    ask(&mut asking, &mut answering, 1);
    until("the window is over", WHOLE, || (crossing()["replies_awaited"] == 0).then_some(()));
    assert_eq!(held(), 0);
    answering.say("PUB _INBOX.x.1 4\r\nlate\r\n");
    until("the late answer is counted", WHOLE, || (held() == 1).then_some(()));
    // In time as many come as may.
    near.reload(&lone_conf("A", a, "[]", &rules("10m")));
    until("the other rules hold", WHOLE, || (crossing()["reply_window_ms"] == 600_000).then_some(()));
    ask(&mut asking, &mut answering, 2);
    answering.say("PUB _INBOX.x.2 1\r\n1\r\nPUB _INBOX.x.2 1\r\n2\r\nPUB _INBOX.x.2 1\r\n3\r\n");
    assert_eq!(asking.next(), "MSG _INBOX.x.2 8 1\r\n1\r\n");
    assert_eq!(asking.next(), "MSG _INBOX.x.2 8 1\r\n2\r\n");
    until("the third answer is counted", WHOLE, || (held() == 2).then_some(()));
    assert_eq!(asking.try_next(SOON), None);
}

/// A cluster with a border and one of nats-servers: ours is enforced, alone.
pub fn beside_peers(peer: &Which) {
    let rules = "exports: [{subject: \"public.>\"}, {subject: \"ask.>\"}]\nimports: [{subject: \"news.>\"}, {subject: \"service.>\"}]";
    let ours = Which::under_test();
    let s: SuperCluster =
        Wish::of(vec![vec![ours.clone(), ours], vec![peer.clone(), peer.clone()]]).ours(rules).begin();
    let (home, there) = (&s.clusters[0], &s.clusters[1]);
    let mut ears: Vec<Client> = s.all().into_iter().map(Client::of).collect();
    for ear in &mut ears {
        ear.say("SUB > 1\r\n");
    }
    for (at, from) in s.all().into_iter().enumerate() {
        let (mut speaker, out) = (Client::of(from), at < 2);
        let (open, shut) = if out { ("public.a", "secret.a") } else { ("news.a", "public.a") };
        for (to, ear) in ears.iter_mut().enumerate() {
            await_crossing_among(&mut speaker, ear, if (to < 2) == out { shut } else { open });
        }
        for ear in &mut ears {
            while ear.try_next(SOON).is_some() {}
        }
        speaker.say(&format!("PUB {shut} 1\r\n1\r\nPUB {open} 1\r\n2\r\n"));
        for (to, ear) in ears.iter_mut().enumerate() {
            if (to < 2) == out {
                assert_eq!(ear.next(), format!("MSG {shut} 1 1\r\n1\r\n"));
            }
            assert_eq!(ear.next(), format!("MSG {open} 1 1\r\n2\r\n"), "from {at} to {to}");
        }
    }
    drop(ears);
    // From us to them: they know the way of an answer for two seconds.
    let after = Duration::from_millis(500);
    answered(&mut Client::of(&home[0]), &mut Client::of(&there[1]), "ask.them", after, false);
    answered(&mut Client::of(&home[1]), &mut Client::of(&there[0]), "ask.others", after, false);
    // From them to us: we know it for as long as our rules say.
    let after = Duration::from_secs(3);
    answered(&mut Client::of(&there[0]), &mut Client::of(&home[1]), "service.a", after, false);
    answered(&mut Client::of(&there[1]), &mut Client::of(&home[0]), "service.b", after, false);
}

/// The same as [`await_crossing`], while others speak too.
fn await_crossing_among(from: &mut Client, to: &mut Client, subject: &str) {
    until("a message that crosses", WHOLE, || {
        from.say(&format!("PUB {subject} 1\r\nw\r\n"));
        to.try_next(Duration::from_millis(100)).filter(|came| came.starts_with(&format!("MSG {subject} "))).map(drop)
    });
}
