//! What monitoring says of gateways, as nats-server says it.

use crate::support::cluster::Client;
use crate::support::process::{monitoring, page, until};
use crate::support::raw::PATIENCE;
use crate::support::server::Server;
use crate::support::supercluster::{name, Wish};
use crate::turnpike_is_tested;
use serde_json::Value;
use std::collections::BTreeSet;

/// Patterns: more than are told in one turn.
const PATTERNS: usize = 1000;

#[test]
fn what_the_other_clusters_want_is_listed_by_account() {
    let s = Wish::sizes(&[1, 2]).shards(3).start();
    let at = &s.clusters[0][0];
    let (mut all, mut clients) = (BTreeSet::new(), Vec::new());
    for (n, server) in s.clusters[1].iter().enumerate() {
        let mut client = Client::of(server);
        let subjects: Vec<String> = (0..PATTERNS).map(|i| format!("of.{n}.{i}.*")).collect();
        for (sid, subject) in subjects.into_iter().enumerate() {
            client.raw.write(format!("SUB {subject} {sid}\r\n").as_bytes());
            all.insert((subject, String::new()));
        }
        client.say("SUB both a\r\nSUB both g b\r\nSUB both h c\r\n");
        clients.push(client);
    }
    all.extend(["", "g", "h"].map(|group| ("both".to_owned(), group.to_owned())));
    let link = |page: &Value| page["outbound_gateways"][name(1)].clone();
    let of = |page: &Value| {
        let accounts = link(page)["accounts"].as_array().cloned().unwrap_or_default();
        accounts.into_iter().find(|a| a["name"] == "$G").unwrap_or_default()
    };
    let detail = until("all is told", PATIENCE, || {
        let page = monitoring(at.monitor(), "/gatewayz?accs=1&subs=detail");
        (of(&page)["num_subs"] == all.len()).then_some(page)
    });
    assert_eq!(of(&detail)["num_queue_subs"], 2);
    let rows = of(&detail)["subscriptions_list_detail"].as_array().cloned().expect("a list");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed = rows.iter().map(|row| (text(&row["subject"]), text(&row["qgroup"])));
    assert_eq!(listed.collect::<BTreeSet<_>>(), all);
    assert_eq!(rows.len(), all.len(), "each once");
    let cid = &link(&detail)["connection"]["cid"];
    for row in rows {
        assert_eq!((&row["cid"], &row["sid"], &row["msgs"]), (cid, &"".into(), &0.into()), "{row}");
        assert!(row.get("account").is_none(), "it stands above");
    }
    let page = monitoring(at.monitor(), "/gatewayz?acc_name=$G&subs=1");
    let accounts = link(&page)["accounts"].as_array().cloned().unwrap_or_default();
    assert_eq!(accounts.len(), 1);
    let mut subjects: Vec<&str> =
        accounts[0]["subscriptions_list"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    let mut wanted: Vec<&str> = all.iter().map(|(subject, _)| subject.as_str()).collect();
    subjects.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(subjects, wanted);
    let inbound = &page["inbound_gateways"][name(1)][0]["accounts"][0];
    assert!(inbound.get("subscriptions_list").is_none(), "who sends to us wants nothing");
    assert!(of(&monitoring(at.monitor(), "/gatewayz?accs=1")).get("subscriptions_list").is_none());
}

/// Messages and bytes, in and out: of all, and of clients.
fn passed(server: &Server) -> [u64; 8] {
    let varz = monitoring(server.monitor(), "/varz");
    let keys = ["in_msgs", "in_bytes", "out_msgs", "out_bytes"];
    let clients = ["in_client_msgs", "in_client_bytes", "out_client_msgs", "out_client_bytes"];
    let mut all = [0; 8];
    for (n, key) in keys.into_iter().chain(clients).enumerate() {
        all[n] = varz[key].as_u64().expect("a number");
    }
    all
}

#[test]
fn what_passes_by_gateway_or_route_is_not_counted_as_that_of_clients() {
    let s = Wish::sizes(&[1, 2]).start();
    let from = &s.clusters[0][0];
    let to = s.reached(from, 1).expect("a link");
    // One that the gateway leads to, and one behind a route.
    let ends = [&s.clusters[1][to], &s.clusters[1][1 - to]];
    let mut subscribers = ends.map(Client::of);
    for client in &mut subscribers {
        client.say("SUB four 1\r\n");
        client.known_at(&[from]);
    }
    let mut publisher = Client::of(from);
    let all = [from, ends[0], ends[1]];
    // A nats-server counts a connection's when it has read all that came. Servers tell of themselves every now and then, which
    // is counted, too: where that came in between there is another try.
    let wanted = [[4, 12, 4, 12], [4, 12, 8, 24], [4, 12, 4, 12]];
    until("nothing else is counted", PATIENCE, || {
        let before = all.map(passed);
        for _ in 0..4 {
            publisher.say("PUB four 3\r\nabc\r\n");
        }
        for client in &mut subscribers {
            for _ in 0..4 {
                assert_eq!(client.next(), "MSG four 1 3\r\nabc\r\n");
            }
        }
        let gone = |n: usize| {
            let now = passed(all[n]);
            [0, 1, 2, 3, 4, 5, 6, 7].map(|i| now[i] - before[n][i])
        };
        let at_least = |n: usize| gone(n).iter().zip(wanted[n]).all(|(is, wanted)| *is >= wanted);
        until("all is counted", PATIENCE, || [0, 1, 2].map(at_least).iter().all(|all| *all).then_some(()));
        let is = [0, 1, 2].map(gone);
        assert_eq!(is[0][4..], [4, 12, 0, 0], "the publisher's");
        assert_eq!(is[1][4..], [0, 0, 4, 12], "the one that the gateway leads to");
        assert_eq!(is[2][4..], [0, 0, 4, 12], "the one behind a route");
        let exact = is.iter().zip(wanted).all(|(is, wanted)| is[..4] == wanted);
        (exact || !from.which().is_turnpike()).then_some(())
    });
}

/// A sample of `/metrics`: its value, whatever labels it has beside these.
fn sample(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let of = |line: &&str| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
        rest.is_some_and(|rest| labels.iter().all(|(key, value)| rest.contains(&format!("{key}=\"{value}\""))))
    };
    page.lines().find(of).and_then(|line| line.rsplit(' ').next()?.parse().ok())
}

#[test]
fn metrics_tell_what_the_other_pages_tell_and_what_the_border_held_back() {
    if !turnpike_is_tested() {
        return;
    }
    // Each of them exports what the other does not import, and wants what the other does not export.
    let exports = "exports: [ { subject: \"public.>\" }, { subject: \"unheard.>\" } ]";
    let imports = "imports: [ { subject: \">\" }, { subject: \"unheard.>\", deny: true } ]";
    let rules = &format!("{exports}, {imports}");
    let s = Wish::sizes(&[1, 1]).ours(rules).begin();
    let (from, to) = (&s.clusters[0][0], &s.clusters[1][0]);
    let mut subscriber = Client::of(to);
    subscriber.say("SUB > 1\r\n");
    let mut publisher = Client::of(from);
    until("a message crosses", PATIENCE, || {
        publisher.say("PUB public.ready 0\r\n\r\n");
        subscriber.try_next(std::time::Duration::from_millis(50))
    });
    publisher.say("PUB private.one 1\r\n1\r\nPUB private.two 1\r\n2\r\n");
    let by = ("by", "no entry of exports admits it");
    let told = until("two are held back, and the rules that do not fit are named", PATIENCE, || {
        let told = page(from.monitor(), "/metrics").expect("a page");
        let held = sample(&told, "turnpike_border_held_messages_total", &[by]);
        let unfit =
            sample(&told, "turnpike_gateway_trouble_seconds", &[("kind", "export_not_imported"), ("about", "B")]);
        (held == Some(2.0) && unfit.is_some()).then_some(told)
    });
    let varz = monitoring(from.monitor(), "/varz");
    let both = [
        ("turnpike_received_messages_total", "client", "in_client_msgs"),
        ("turnpike_received_bytes_total", "client", "in_client_bytes"),
    ];
    for (metric, kind, key) in both {
        let shards = (0..2).map(|n: u8| sample(&told, metric, &[("shard", &n.to_string()), ("kind", kind)]));
        assert_eq!(shards.sum::<Option<f64>>(), varz[key].as_f64(), "{metric}");
    }
    // The servers speak to each other over the system account.
    let sent =
        |account| sample(&told, "turnpike_cluster_sent_messages_total", &[("cluster", "B"), ("account", account)]);
    let all = sample(&told, "turnpike_gateway_sent_messages_total", &[("cluster", "B"), ("direction", "out")]);
    assert_eq!(sent("$G").map(|n| n + sent("$SYS").unwrap_or(0.0)), all);
    assert!(sent("$G") >= Some(1.0));
    let mode = [("cluster", "B"), ("direction", "out"), ("account", "$G"), ("mode", "interest-only")];
    assert_eq!(sample(&told, "turnpike_gateway_interest_mode", &mode), Some(1.0));
    assert_eq!(sample(&told, "turnpike_border_rules", &[("block", "exports")]), Some(2.0));
    assert_eq!(sample(&told, "turnpike_gateways_expected", &[]), Some(1.0));
    assert!(told.ends_with("# EOF\n"));
}
