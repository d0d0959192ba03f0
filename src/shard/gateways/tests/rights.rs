//! What users may do (client-protocol.md §16), whichever way a message comes: from a client of the same shard, of another
//! one, over a route, from another cluster.

use super::Node;
use super::{settings, Settings};
use crate::base::{Cid, ConnId, SECOND};
use crate::conn::Way;
use crate::policy::{load, Auth, GatewayInterest, Source};
use crate::shard::{Answer, Ask, Lost, Opening, Order};
use std::path::Path;
use std::sync::Arc;

struct Text(String);

impl Source for Text {
    fn read(&mut self, _: &Path) -> std::io::Result<Vec<u8>> {
        Ok(self.0.clone().into())
    }
    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

/// User `u`, who may do this, and `all`, who may do everything.
/// What holds where these are the permissions.
fn with(permissions: &str) -> Arc<Settings> {
    Arc::new(Settings { auth: auth(permissions), ..settings(GatewayInterest::Auto) })
}

fn auth(permissions: &str) -> Auth {
    let may = if permissions.is_empty() { String::new() } else { format!(", permissions: {permissions}") };
    let text = format!("authorization {{users: [{{user: u, password: p{may}}}, {{user: all, password: p}}]}}");
    let loaded = load(Path::new("f.conf"), &mut Text(text.clone()));
    loaded.unwrap_or_else(|e| panic!("{text}: {e:#?}")).settings.auth
}

fn node(shards: usize, permissions: &str) -> Node {
    Node::with(shards, GatewayInterest::Auto, |s| s.auth = auth(permissions))
}

impl Node {
    fn user_with(&mut self, shard: usize, user: &str, more: &str) -> ConnId {
        let conn = self.turn(shard, |t| {
            t.open(Opening {
                cid: Cid(5),
                ip: "::1".into(),
                port: 9,
                over_limit: false,
                privacy: Default::default(),
                nonce: [0; 11],
            })
        });
        let json = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"user\":\"{user}\",\"pass\":\"p\"{more}}}"
        );
        self.says(shard, conn, &format!("{json}\r\n"));
        self.heard(shard, conn);
        conn
    }

    pub(super) fn user(&mut self, shard: usize, user: &str) -> ConnId {
        self.user_with(shard, user, "")
    }

    fn may_now(&mut self, permissions: &str) {
        let other = with(permissions);
        for shard in 0..self.shards.len() {
            self.turn(shard, |t| t.order(Order::Settings(other.clone())));
        }
    }

    /// Says something and hears what comes of it.
    fn asks(&mut self, shard: usize, conn: ConnId, text: &str) -> String {
        self.says(shard, conn, &text.replace('\n', "\r\n"));
        self.heard(shard, conn).replace("PING\r\n", "").replace("\r\n", "|")
    }

    /// How many messages all shards have dropped for this reason.
    fn dropped(&mut self, reason: &str) -> u64 {
        let mut sum = 0;
        for shard in 0..self.shards.len() {
            self.turn(shard, |t| t.order(Order::Report { ticket: 0, ask: Ask::TALLY }));
            for answer in std::mem::take(&mut self.answers) {
                let Answer::Tally(tally) = answer else { panic!("another answer") };
                sum += tally.drops.iter().filter(|(name, _)| *name == reason).map(|(_, n)| n).sum::<u64>();
            }
        }
        sum
    }
}

fn no(subject: &str) -> String {
    format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'|")
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum From {
    Same,
    Other,
    Route,
    Gateway,
}

const ALL: [From; 4] = [From::Same, From::Other, From::Route, From::Gateway];

/// A node of two shards, user `u` on the first, and whoever publishes from each place.
struct Ways {
    n: Node,
    u: ConnId,
    same: ConnId,
    other: ConnId,
    route: ConnId,
    gateway: ConnId,
}

impl Ways {
    fn new(permissions: &str, connect: &str) -> Ways {
        let mut n = node(2, permissions);
        let u = n.user_with(0, "u", connect);
        let (same, other) = (n.user(0, "all"), n.user(1, "all"));
        let (route, gateway) = (n.route(1, 3, "B"), n.link(1, Way::In, "west", true));
        Ways { n, u, same, other, route, gateway }
    }

    /// A message of one byte, with a reply or none, comes from there; `queues` are named by another server.
    fn publish(&mut self, from: From, subject: &str, reply: &str, queues: &[&str]) {
        let gap = if reply.is_empty() { "" } else { " " };
        let client = format!("PUB {subject}{gap}{reply} 1\r\nx\r\n");
        let plus = if reply.is_empty() { String::new() } else { format!(" + {reply}") };
        let routed = match (queues.is_empty(), reply.is_empty()) {
            (true, true) => format!("RMSG $G {subject} 1\r\nx\r\n"),
            (true, false) => format!("RMSG $G {subject} {reply} 1\r\nx\r\n"),
            (false, true) => format!("RMSG $G {subject} | {} 1\r\nx\r\n", queues.join(" ")),
            (false, false) => format!("RMSG $G {subject}{plus} {} 1\r\nx\r\n", queues.join(" ")),
        };
        let (shard, conn, text) = match from {
            From::Same => (0, self.same, client),
            From::Other => (1, self.other, client),
            From::Route => (1, self.route, routed),
            From::Gateway => (1, self.gateway, routed),
        };
        self.n.says(shard, conn, &text);
    }

    fn hears(&mut self) -> String {
        self.n.heard(0, self.u).replace("\r\n", "|")
    }
}

#[test]
fn what_is_denied_is_not_delivered_whichever_way_it_comes() {
    let plain = "{subscribe: {deny: [foo.a, \"bar.a q\", \"foo.b.>\"]}}";
    // Subscription, subject, groups that another server names, what is heard.
    for (sub, subject, queues, heard) in [
        ("foo.*", "foo.a", &[][..], false),
        ("foo.*", "foo.c", &[], true),
        ("foo.* q", "foo.a", &["q"], false),
        ("foo.* q", "foo.c", &["q"], true),
        ("foo.>", "foo.b.c", &[], false),
        ("foo.> q", "foo.b.c.d", &["q"], false),
        ("foo.>", "foo.b", &[], true),
        (">", "foo.a", &[], false),
        ("*.a", "foo.a", &[], false),
        ("*.a", "bar.a", &[], true),
        ("bar.* q", "bar.a", &["q"], false),
        ("bar.* other", "bar.a", &["other"], true),
        ("bar.*", "bar.a", &[], true),
        ("foo.c", "foo.c", &[], true),
    ] {
        for from in ALL {
            let mut w = Ways::new(plain, "");
            assert_eq!(w.n.asks(0, w.u, &format!("SUB {sub} 1\nPING\n")), "PONG|", "{sub}");
            // Twice, the second time by what is remembered; then in one go.
            w.publish(from, subject, "", queues);
            w.publish(from, subject, "", queues);
            let want = if heard { format!("MSG {subject} 1 1|x|").repeat(2) } else { String::new() };
            assert_eq!(w.hears(), want, "{sub} {subject} {from:?}");
            let lost = w.n.dropped("delivery_denied");
            let others = w.n.dropped("no_interest") + w.n.dropped("receiver_left") + w.n.dropped("queue_member_left");
            assert_eq!((lost, others), (if heard { 0 } else { 2 }, 0), "{sub} {subject} {from:?}");
        }
    }
}

#[test]
fn a_run_of_messages_is_kept_back_as_a_single_one_is() {
    for from in ALL {
        let mut w = Ways::new("{subscribe: {deny: foo.a}}", "");
        w.n.says(0, w.u, "SUB foo.* 1\r\n");
        w.publish(from, "foo.a", "", &[]);
        let (conn, shard, line) = match from {
            From::Same => (w.same, 0, "PUB foo.a 1\r\nx\r\n"),
            From::Other => (w.other, 1, "PUB foo.a 1\r\nx\r\n"),
            From::Route => (w.route, 1, "RMSG $G foo.a 1\r\nx\r\n"),
            From::Gateway => (w.gateway, 1, "RMSG $G foo.a 1\r\nx\r\n"),
        };
        w.n.says(shard, conn, &line.repeat(10));
        assert_eq!((w.hears().as_str(), w.n.dropped("delivery_denied")), ("", 11), "{from:?}");
    }
}

#[test]
fn a_queue_message_goes_to_a_member_that_may_have_it() {
    let mut n = node(2, "{subscribe: {deny: foo.a}}");
    let (u, all, publisher) = (n.user(0, "u"), n.user(0, "all"), n.user(0, "all"));
    n.says(0, u, "SUB foo.* q 1\r\nSUB foo.* q 2\r\nSUB foo.* q 3\r\n");
    n.says(0, all, "SUB foo.> q 9\r\n");
    for _ in 0..40 {
        n.says(0, publisher, "PUB foo.a 1\r\nx\r\n");
    }
    assert_eq!(n.heard(0, u), "");
    assert_eq!(n.heard(0, all).matches("MSG").count(), 40);
    // And where that one is on another shard.
    let far = n.user(1, "all");
    n.says(0, all, "UNSUB 9\r\n");
    n.says(1, far, "SUB foo.* q 7\r\n");
    for _ in 0..40 {
        n.says(0, publisher, "PUB foo.a 1\r\nx\r\n");
    }
    assert_eq!((n.heard(0, u).as_str(), n.heard(1, far).matches("MSG").count()), ("", 40));
}

#[test]
fn publications_are_judged_once_and_what_is_denied_reaches_nobody() {
    let mut n = node(1, "{publish: {allow: [\"a.>\", x], deny: a.b}}");
    let (u, all) = (n.user(0, "u"), n.user(0, "all"));
    n.says(0, all, "SUB > 1\r\n");
    assert_eq!(n.asks(0, u, "PUB a.c 1\nx\nPUB a.c 1\nx\nPUB a.c 1\nx\n"), "");
    assert_eq!(n.heard(0, all).matches("MSG a.c").count(), 3);
    assert_eq!(
        n.asks(0, u, "PUB a.b 1\nx\nPUB a.b r 1\nx\nHPUB q 12 13\nNATS/1.0\n\nx\n"),
        no("a.b") + &no("a.b") + &no("q")
    );
    // One between others that are allowed, however alike.
    assert_eq!(n.asks(0, u, "PUB x 1\nx\nPUB x 1\nx\nPUB xy 1\nx\nPUB x 1\nx\n"), no("xy"));
    assert_eq!(n.asks(0, u, "PUB a..b 1\nx\nPUB a.* 1\nx\nPUB \"q\x01 1\nx\n"), no("a..b") + &no("\\\"q\\x01"));
    let heard = n.heard(0, all);
    assert_eq!(
        (heard.matches("MSG x ").count(), heard.matches("MSG a.* ").count(), heard.matches("MSG").count()),
        (3, 1, 4)
    );
    assert_eq!(n.dropped("publish_denied"), 6);
    // Whoever may do everything is not asked; nor does a denial of one stand in the way of another.
    assert_eq!(n.asks(0, all, "PUB q 1\nx\n"), "MSG q 1 1|x|");
}

#[test]
fn checks_come_in_nats_servers_order() {
    let mut n = node(1, "{publish: {allow: [\"a.>\", \"_GR_.>\"]}, subscribe: [x, \"y q\"]}");
    let v = n.user_with(0, "u", ",\"verbose\":true,\"pedantic\":true");
    assert_eq!(n.asks(0, v, "PUB a.b 1\nx\nPUB b 1\nx\nPUB a.b 1\nx\n"), format!("+OK|{}+OK|", no("b")));
    let reply = "-ERR 'Permissions Violation for Publish with Reply of \"_R_.x\"'|";
    assert_eq!(n.asks(0, v, "PUB a.c _R_.x 1\nx\nPUB b _R_.x 1\nx\n"), format!("{reply}{}", no("b")));
    assert_eq!(n.asks(0, v, "PUB _GR_.abcdef.x 1\nx\n"), no("_GR_.abcdef.x"));
    let pedantic = "-ERR 'Invalid Publish Subject'|";
    assert_eq!(n.asks(0, v, "PUB b.* 1\nx\nPUB a.* 1\nx\n"), format!("{pedantic}{}{pedantic}+OK|", no("b.*")));
    let sub = |text: &str| format!("-ERR 'Permissions Violation for Subscription to {text}'|");
    assert_eq!(n.asks(0, v, "SUB x..y 1\nSUB x 1\nSUB z 1\n"), sub("\"x..y\"") + "+OK|" + &sub("\"z\""));
    assert_eq!(
        n.asks(0, v, "SUB y 2\nSUB y p 3\nSUB y q 4\n"),
        sub("\"y\"") + &sub("\"y\" using queue \"p\"") + "+OK|"
    );
    assert_eq!(n.asks(0, v, "SUB x _sys_ 5\n"), sub("\"x\" using queue \"_sys_\""));
}

#[test]
fn who_is_asked_may_answer_whichever_way_the_question_came() {
    for from in ALL {
        for (sub, queues) in [("req", &[][..]), ("req q", &["q"])] {
            let mut w = Ways::new("{allow_responses: {max: 2, ttl: \"5s\"}}", "");
            w.n.says(0, w.u, &format!("SUB {sub} 1\r\n"));
            w.n.says(0, w.same, "SUB in.> 1\r\n");
            assert_eq!(w.n.asks(0, w.u, "PUB in.1 1\na\n"), no("in.1"), "nobody asked");
            w.publish(from, "req", "in.1", queues);
            assert_eq!(w.hears(), "MSG req 1 in.1 1|x|", "{from:?}");
            assert_eq!(
                w.n.asks(0, w.u, "PUB in.2 1\na\nPUB in.1 1\na\nPUB in.1 1\nb\nPUB in.1 1\nc\n"),
                no("in.2") + &no("in.1")
            );
            assert_eq!(w.n.heard(0, w.same).replace("\r\n", "|"), "MSG in.1 1 1|a|MSG in.1 1 1|b|", "{from:?}");
            w.publish(from, "req", "in.3", queues);
            w.n.later(6 * SECOND);
            assert_eq!(w.n.asks(0, w.u, "PUB in.3 1\na\n"), format!("MSG req 1 in.3 1|x|{}", no("in.3")), "too late");
        }
    }
}

#[test]
fn who_was_not_given_the_question_may_not_answer() {
    let mut n = node(1, "{publish: req, allow_responses: true}");
    // It hears nothing of its own.
    let u = n.user_with(0, "u", ",\"echo\":false");
    n.says(0, u, "SUB req 1\r\nSUB none 2\r\n");
    assert_eq!(n.asks(0, u, "PUB req in.1 1\nx\nPUB in.1 1\nx\n"), no("in.1"));
    // What is allowed anyway uses up nothing.
    let all = n.user(0, "all");
    n.says(0, all, "PUB req req 1\r\nx\r\n");
    assert_eq!(n.asks(0, u, "PUB req 1\nx\nPUB req 1\nx\n"), "MSG req 1 req 1|x|");
}

#[test]
fn other_permissions_take_what_they_no_longer_allow_and_leave_the_rest() {
    let mut n = node(2, "{subscribe: [\"a.>\", b], publish: [x, y]}");
    let (u, all) = (n.user(0, "u"), n.user(1, "all"));
    n.says(1, all, "SUB x 7\r\n");
    n.says(0, u, "SUB a.1 1\r\nSUB a.2 q 2\r\nSUB b 3\r\nSUB a.> 4\r\nSUB a.5 5\r\nPUB y 1\r\nx\r\nPUB x 1\r\nx\r\n");
    assert_eq!(n.heard(1, all), "MSG x 7 1\r\nx\r\n");
    n.may_now("{subscribe: {allow: [b, \"a.>\"], deny: [a.1, \"a.2 q\"]}, publish: [x]}");
    let gone =
        |what: &str, sid: &str| format!("-ERR 'Permissions Violation for Subscription to {what} (sid \"{sid}\")'|");
    let lost = gone("\"a.1\"", "1") + &gone("\"a.2\" using queue \"q\"", "2");
    assert_eq!(n.heard(0, u).replace("\r\n", "|"), lost);
    assert_eq!(n.asks(0, u, "PUB x 1\nx\nPUB y 1\ny\nPUB x 1\nx\n"), no("y"));
    assert_eq!(n.heard(1, all).matches("MSG x").count(), 2);
    n.says(1, all, "PUB a.1 1\r\nx\r\nPUB a.2 1\r\nx\r\nPUB a.3 1\r\nx\r\n");
    assert_eq!(n.heard(0, u).replace("\r\n", "|"), "MSG a.2 4 1|x|MSG a.3 4 1|x|");
    // The interest of a subscription that was taken is gone everywhere.
    n.may_now("{subscribe: none}");
    assert_eq!(n.heard(0, u).matches("-ERR").count(), 3);
    n.says(1, all, "PUB a.3 1\r\nx\r\n");
    assert_eq!((n.heard(0, u).as_str(), n.heard(1, all).as_str()), ("", ""));
    n.may_now("");
    assert_eq!(n.asks(0, u, "SUB a.1 1\nPUB a.1 1\nx\n"), "MSG a.1 1 1|x|");
    n.may_now("{publish: {deny: a.1}}");
    assert_eq!(n.asks(0, u, "PUB a.1 1\nx\n"), no("a.1"));
}

#[test]
fn a_reload_that_says_the_same_takes_nothing_from_who_was_asked() {
    let mut n = node(1, "{allow_responses: true}");
    let (u, all) = (n.user(0, "u"), n.user(0, "all"));
    n.says(0, u, "SUB req 1\r\n");
    n.says(0, all, "SUB in.> 1\r\nPUB req in.1 1\r\nx\r\n");
    n.heard(0, u);
    n.may_now("{allow_responses: {max: 1}}");
    assert_eq!(n.asks(0, u, "PUB in.1 1\na\n"), "");
    n.says(0, all, "PUB req in.2 1\r\nx\r\n");
    n.heard(0, u);
    n.may_now("{allow_responses: {max: 9}}");
    assert_eq!(n.asks(0, u, "PUB in.2 1\na\n"), no("in.2"), "other permissions");
}

#[test]
fn who_may_not_have_it_is_no_receiver_on_whichever_shard_he_is() {
    for (sub, denies) in [("foo.*", "foo.a"), ("foo.* q", "foo.a"), ("foo.* q", "\"foo.a q\"")] {
        let mut n = node(3, &format!("{{subscribe: {{deny: {denies}}}}}"));
        for shard in 0..3 {
            let u = n.user(shard, "u");
            n.says(shard, u, &format!("SUB {sub} 1\r\n"));
        }
        let asks = n.user(2, "all");
        let nobody = "HMSG in.1 9 37 37|NATS/1.0 503|Nats-Subject: foo.a|||";
        assert_eq!(n.asks(2, asks, "SUB in.* 9\nPUB foo.a in.1 1\nx\n"), nobody, "{sub}");
        // Once for each who would have it else; a group's message is one.
        let kept = if sub == "foo.*" { 3 } else { 1 };
        assert_eq!((n.dropped("delivery_denied"), n.dropped("no_interest")), (kept, 0), "{sub}");
        let all = n.user(1, "all");
        n.says(1, all, &format!("SUB {sub} 1\r\n"));
        assert_eq!(n.asks(2, asks, "PUB foo.a in.1 1\nx\n"), "", "{sub}");
        assert_eq!(n.heard(1, all), "MSG foo.a 1 in.1 1\r\nx\r\n");
    }
}

#[test]
fn a_queue_message_is_never_aimed_at_who_may_not_have_it() {
    let mut n = node(4, "{subscribe: {deny: foo.a}}");
    let denied: Vec<ConnId> = (0..3).map(|shard| n.user(shard, "u")).collect();
    for (shard, u) in denied.iter().enumerate() {
        n.says(shard, *u, "SUB foo.> q 1\r\nSUB *.a q 2\r\n");
    }
    let all = n.user(3, "all");
    n.says(3, all, "SUB foo.* q 9\r\n");
    let publisher = n.user(0, "all");
    for i in 0..60 {
        n.says(0, publisher, &format!("PUB foo.a 2\r\n{i:02}\r\n"));
    }
    let want: String = (0..60).map(|i| format!("MSG foo.a 9 2\r\n{i:02}\r\n")).collect();
    assert_eq!(n.heard(3, all), want);
    assert_eq!(n.dropped("delivery_denied") + n.dropped("queue_member_left"), 0);
    // What is not denied is shared out.
    for _ in 0..60 {
        n.says(0, publisher, "PUB foo.b 1\r\nx\r\n");
    }
    let heard: Vec<usize> = (0..3).map(|s| n.heard(s, denied[s]).matches("MSG foo.b").count()).collect();
    assert!(heard.iter().all(|n| *n > 0), "{heard:?}");
    assert_eq!(heard.iter().sum::<usize>() + n.heard(3, all).matches("MSG").count(), 60);
}

#[test]
fn every_shard_learns_of_other_permissions() {
    let mut n = node(2, "{subscribe: {deny: foo.a}}");
    let (u, all) = (n.user(0, "u"), n.user(1, "all"));
    n.says(0, u, "SUB foo.* 1\r\nSUB foo.* q 2\r\nSUB foo.> q 3\r\n");
    n.says(1, all, "SUB in.* 9\r\n");
    let nobody = |s: &str| format!("HMSG in.1 9 37 37|NATS/1.0 503|Nats-Subject: {s}|||");
    let ask = |n: &mut Node, subject: &str, copies: usize| {
        let heard = n.asks(1, all, &format!("PUB {subject} in.1 1\nx\n"));
        assert_eq!(heard, if copies == 0 { nobody(subject) } else { String::new() }, "{subject}");
        assert_eq!(n.heard(0, u).matches(&format!("MSG {subject}")).count(), copies, "{subject}");
    };
    // One plain copy, and one of the group.
    ask(&mut n, "foo.a", 0);
    ask(&mut n, "foo.b", 2);
    for (permissions, a, b) in [
        ("{subscribe: {deny: foo.b}}", 2, 0),
        ("{subscribe: {deny: \"foo.b q\"}}", 2, 1),
        ("{subscribe: {deny: \"foo.b q\"}, allow_responses: true}", 2, 1),
        ("", 2, 2),
        ("{subscribe: {deny: [foo.a, foo.b]}}", 0, 0),
        ("{publish: x}", 2, 2),
        ("{subscribe: {deny: [foo.a, foo.b]}}", 0, 0),
    ] {
        n.may_now(permissions);
        ask(&mut n, "foo.a", a);
        ask(&mut n, "foo.b", b);
    }
    // Nothing is left of it under any of these.
    n.says(0, u, "UNSUB 1\r\nUNSUB 2\r\nUNSUB 3\r\n");
    assert!(n.shards.iter().all(|s| s.wants_nothing(0, b"foo.c")));
}

#[test]
fn what_a_client_left_behind_ends_under_the_permissions_it_had() {
    let mut n = node(2, "{subscribe: {deny: foo.1.a}}");
    let (u, all) = (n.user(0, "u"), n.user(1, "all"));
    let subs: String = (0..1000).map(|i| format!("SUB foo.{i}.* {i}\r\nSUB foo.{i}.* q q{i}\r\n")).collect();
    n.says(0, u, &subs);
    let other = with("{subscribe: {deny: foo.2.a}}");
    n.turn(0, |t| {
        t.lost(u, Lost::Failed("read: gone".into()));
        t.order(Order::Settings(other));
    });
    n.turn(1, |_| ());
    n.says(1, all, "PUB foo.999.b 1\r\nx\r\n");
    assert_eq!(n.dropped("no_interest"), 1);
    assert!(n.shards.iter().all(|s| s.wants_nothing(0, b"foo.1.b") && s.wants_nothing(0, b"foo.2.b")));
}

impl crate::shard::Shard {
    /// Is this subject in nobody's way, however it is permitted?
    fn wants_nothing(&self, account: usize, subject: &[u8]) -> bool {
        let mut found = false;
        self.worlds[account].replica.matches(subject, |_| found = true);
        !found
    }
}
