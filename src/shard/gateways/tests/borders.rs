//! The border (docs/borders.md), byte for byte.

use super::{short, Node, BEGINS, COMPLETE};
use crate::base::{Cid, ConnId, FarId, ShardId, SECOND};
use crate::conn::{GatewayInstruction, TheirImports, TheirRules, Way, ORDERED_LINKS};
use crate::interest::border::{digest, Rule, Wall};
use crate::policy::walls::Walls;
use crate::policy::{Borders, GatewayInterest, Settings};
use crate::shard::report::Question;
use crate::shard::{Answer, Ask, Order};
use crate::wire::gateway::ReplyPrefix;
use std::sync::Arc;

const NO_EXPORT: &str = "no entry of exports admits it";
const NO_IMPORT: &str = "no entry of imports admits it";

/// Rules from words: `subject`, `!subject` (denied), `subject@cluster`, `subject/account`.
pub(super) fn rules(words: &[&str]) -> Option<Vec<Rule>> {
    let rule = |word: &&str| {
        let (deny, word) = word.strip_prefix('!').map_or((false, *word), |w| (true, w));
        let (word, account) = word.split_once('/').map_or((word, None), |(w, a)| (w, Some(a.into())));
        let (subject, cluster) = word.split_once('@').map_or((word, None), |(s, c)| (s, Some(c.into())));
        Rule { subject: subject.as_bytes().into(), cluster, account, deny, place: Default::default() }
    };
    Some(words.iter().map(rule).collect())
}

fn with(shards: usize, interest: GatewayInterest, borders: &Borders) -> Node {
    Node::with(shards, interest, |s| s.gateway.as_mut().expect("a gateway").borders = borders.clone())
}

fn importing(words: &[&str]) -> Borders {
    Borders { imports: rules(words), ..Borders::default() }
}

fn exporting(words: &[&str]) -> Borders {
    Borders { exports: rules(words), ..Borders::default() }
}

impl Node {
    fn reload(&mut self, borders: Borders) {
        let mut settings = Settings::default();
        settings.gateway.get_or_insert_default().borders = borders;
        let walls = Arc::new(Walls::of(&settings, 1));
        for shard in 0..self.shards.len() {
            let instruction = GatewayInstruction::OurRules { walls: walls.clone(), lines: Vec::new() };
            self.turn(shard, |t| t.order(Order::InstructGateway(instruction)));
        }
        for shard in 0..self.shards.len() {
            self.turn(shard, |_| ());
        }
    }

    /// So many seconds pass in which these links are alive.
    fn pass(&mut self, seconds: usize, links: &[(usize, ConnId)]) {
        for _ in 0..seconds {
            self.later(SECOND);
            for (shard, conn) in links {
                self.says(*shard, *conn, "PONG\r\n");
                let heard = self.heard(*shard, *conn);
                assert!(!heard.contains("ERR"), "{heard}");
            }
        }
    }

    /// Messages not sent to other clusters for this reason.
    fn drops(&mut self, reason: &str) -> u64 {
        for shard in 0..self.shards.len() {
            self.turn(shard, |t| t.order(Order::Report { ticket: 0, ask: Ask::GATEWAYS }));
        }
        let tallies = std::mem::take(&mut self.answers).into_iter().flat_map(|answer| match answer {
            Answer::Gateways(report) => report.tallies,
            _ => panic!("another answer"),
        });
        tallies.flat_map(|t| t.drops).filter(|d| d.0 == reason).map(|d| d.1).sum()
    }

    /// Messages that a border held back: on the way out by cluster, on the way in, by rule.
    fn held_back(&mut self) -> (u64, u64, Vec<(String, u64)>) {
        for shard in 0..self.shards.len() {
            self.turn(shard, |t| t.order(Order::Report { ticket: 0, ask: Ask::GATEWAYS }));
        }
        let (mut out, mut entries, mut by) = (0, 0, std::collections::BTreeMap::new());
        for answer in std::mem::take(&mut self.answers) {
            let Answer::Gateways(report) = answer else { panic!("another answer") };
            let border = |drops: &[(&str, u64)]| drops.iter().filter(|d| d.0 == "border").map(|d| d.1).sum::<u64>();
            out += report.tallies.iter().map(|t| border(&t.drops)).sum::<u64>();
            entries += report.entries.iter().filter(|e| e.reason == "border").map(|e| e.n).sum::<u64>();
            report.barriers.into_iter().for_each(|t| *by.entry(t.by).or_default() += t.n);
        }
        (out, entries, by.into_iter().collect())
    }
}

#[test]
fn only_what_is_exported_leaves_and_what_is_held_back_is_counted_by_rule() {
    for shards in [1, 2] {
        let mut n = with(shards, GatewayInterest::Auto, &exporting(&["public.>", "!public.secret.>", "mine@north"]));
        let a = n.client(0);
        let (west, north) = (n.out(shards - 1, 3, "west", true), n.out(shards - 1, 4, "north", false));
        n.says(shards - 1, west, &format!("{BEGINS}RS+ $G >\r\n{COMPLETE}"));
        for subject in ["public.a", "public.a", "public.secret.b", "public.secret.b", "mine", "other", "other"] {
            n.says(0, a, &format!("PUB {subject} 1\r\nx\r\n"));
        }
        let public = "RMSG $G public.a 1\r\nx\r\n".repeat(2);
        assert_eq!(n.heard(shards - 1, west), public);
        assert_eq!(n.heard(shards - 1, north), format!("{public}RMSG $G mine 1\r\nx\r\n"));
        // Two for each that no rule admits, one (mine) for west alone, and the denied ones.
        let denied = "exports line 0: deny \"public.secret.>\"".to_owned();
        assert_eq!(n.held_back(), (9, 0, vec![(denied, 4), (NO_EXPORT.into(), 5)]));
    }
}

#[test]
fn a_queue_pick_passes_over_clusters_that_the_message_may_not_enter() {
    let mut n = with(2, GatewayInterest::Auto, &exporting(&["jobs@north"]));
    let a = n.client(0);
    let (west, north) = (n.out(1, 3, "west", true), n.out(1, 4, "north", true));
    n.says(1, west, "PONG\r\nRS+ $G jobs q 1\r\n");
    n.later(50);
    n.says(1, north, "PONG\r\nRS+ $G jobs q 1\r\n");
    n.says(0, a, "PUB jobs 1\r\nx\r\n");
    assert_eq!((n.heard(1, west), n.heard(1, north)), (String::new(), "RMSG $G jobs | q 1\r\nx\r\n".into()));
    assert_eq!(n.held_back(), (1, 0, vec![(NO_EXPORT.into(), 1)]));
    // A member here takes it, as ever.
    n.says(0, a, "SUB jobs q 7\r\nPUB jobs 1\r\ny\r\n");
    assert_eq!((n.heard(0, a), n.heard(1, north)), ("MSG jobs 7 1\r\ny\r\n".into(), String::new()));
}

#[test]
fn a_requester_behind_a_border_learns_at_once_that_nobody_may_hear_it() {
    let mut n = with(1, GatewayInterest::Auto, &exporting(&["public"]));
    let (a, west) = (n.client(0), n.out(0, 3, "west", true));
    n.says(0, west, &format!("{BEGINS}RS+ $G svc\r\n{COMPLETE}"));
    n.says(0, a, "SUB in 1\r\nPUB svc in 0\r\n\r\n");
    assert!(n.heard(0, a).contains("NATS/1.0 503"));
}

#[test]
fn only_what_is_imported_enters_and_the_sender_is_told_what_is_not_wanted() {
    for shards in [1, 2] {
        let mut n = with(shards, GatewayInterest::Optimistic, &importing(&["public.>@west", "!public.x"]));
        let a = n.client(0);
        n.says(0, a, "SUB > 1\r\n");
        let (i, s) = (n.link(shards - 1, Way::In, "west", false), n.link(shards - 1, Way::In, "south", false));
        n.heard(shards - 1, i);
        n.heard(shards - 1, s);
        let all =
            "RMSG $G public.a 1\r\na\r\nRMSG $G other 1\r\nb\r\nRMSG $G other 1\r\nb\r\nRMSG $G public.x 1\r\nc\r\n\
                   RMSG $G public.x 1\r\nc\r\nRMSG $G public.a 1\r\nd\r\nRMSG $G public.a 1\r\nd\r\n";
        n.says(shards - 1, i, all);
        assert_eq!(n.heard(0, a), "MSG public.a 1 1\r\na\r\nMSG public.a 1 1\r\nd\r\nMSG public.a 1 1\r\nd\r\n");
        assert_eq!(short(&n.heard(shards - 1, i)), ["RS- $G other", "RS- $G public.x"]);
        n.says(shards - 1, s, all);
        assert_eq!((n.heard(0, a), short(&n.heard(shards - 1, s))), (String::new(), vec!["A- $G".into()]));
        let denied = "imports line 0: deny \"public.x\"".to_owned();
        assert_eq!(n.held_back(), (0, 11, vec![(denied, 4), (NO_IMPORT.into(), 7)]));
    }
}

#[test]
fn nothing_passes_in_the_words_of_what_was_let_in() {
    // The same line again and again is not judged anew: only as long as it may.
    let mut n = with(1, GatewayInterest::Auto, &importing(&["public"]));
    let (a, i) = (n.client(0), n.link(0, Way::In, "west", true));
    n.says(0, a, "SUB > 1\r\n");
    n.says(0, i, &"RMSG $G public 1\r\na\r\n".repeat(3));
    assert_eq!(n.heard(0, a), "MSG public 1 1\r\na\r\n".repeat(3));
    n.reload(importing(&["!public"]));
    n.says(0, i, &"RMSG $G public 1\r\na\r\n".repeat(3));
    assert_eq!(n.heard(0, a), "");
    n.reload(Borders::default());
    n.says(0, i, &"RMSG $G public 1\r\na\r\n".repeat(3));
    assert_eq!(n.heard(0, a), "MSG public 1 1\r\na\r\n".repeat(3));
}

#[test]
fn what_is_announced_is_what_is_wanted_and_may_enter() {
    let mut n = with(1, GatewayInterest::Auto, &importing(&["public.>", "mine.*", "!public.x"]));
    let (a, b) = (n.client(0), n.client(0));
    n.says(0, a, "SUB > 1\r\nSUB public.a 2\r\nSUB other 3\r\nSUB public.x 4\r\nSUB *.b q 5\r\n");
    let i = n.link(0, Way::In, "west", true);
    let mut told = short(&n.heard(0, i));
    told.sort();
    let wanted = ["RS+ $G mine.*", "RS+ $G mine.b q 1", "RS+ $G public.>", "RS+ $G public.a", "RS+ $G public.b q 1"];
    assert_eq!(told.iter().filter(|l| l.starts_with("RS")).collect::<Vec<_>>(), wanted.iter().collect::<Vec<_>>());
    // Two that have a part in common: it is there until both are gone.
    n.says(0, b, "SUB public.> 1\r\n");
    n.says(0, a, "UNSUB 1\r\n");
    assert_eq!(short(&n.heard(0, i)), ["RS- $G mine.*"]);
    n.says(0, a, "SUB > 1\r\n");
    n.says(0, b, "UNSUB 1\r\n");
    assert_eq!(short(&n.heard(0, i)), ["RS+ $G mine.*"]);
    n.says(0, a, "UNSUB 1\r\nUNSUB 5\r\nUNSUB 3\r\n");
    let mut told = short(&n.heard(0, i));
    told.sort();
    assert_eq!(told, ["RS- $G mine.*", "RS- $G mine.b q", "RS- $G public.>", "RS- $G public.b q"]);
}

#[test]
fn what_two_patterns_have_in_common_is_told_once() {
    let subjects: Vec<String> = (0..20).map(|n| format!("x{n}.y")).collect();
    let words: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let mut n = with(1, GatewayInterest::Auto, &importing(&words));
    let a = n.client(0);
    let subs: String = words.iter().enumerate().map(|(i, s)| format!("SUB {s} {i}\r\nSUB {s} q q{i}\r\n")).collect();
    n.says(0, a, &format!("{subs}SUB *.y all\r\nSUB *.y q qall\r\nSUB x1.* one\r\n"));
    let i = n.link(0, Way::In, "west", true);
    let mut told = short(&n.heard(0, i));
    told.retain(|l| l.starts_with("RS"));
    told.sort();
    let mut wanted: Vec<String> =
        words.iter().flat_map(|s| [format!("RS+ $G {s}"), format!("RS+ $G {s} q 1")]).collect();
    wanted.sort();
    assert_eq!(told, wanted);
}

#[test]
fn other_rules_are_told_without_dropping_the_link() {
    let mut n = with(1, GatewayInterest::Auto, &importing(&["public.>", "old"]));
    let a = n.client(0);
    n.says(0, a, "SUB > 1\r\nSUB old q 2\r\nSUB public.a 3\r\nSUB new 4\r\n");
    let i = n.link(0, Way::In, "west", true);
    n.heard(0, i);
    n.reload(importing(&["public.*", "new"]));
    let told = short(&n.heard(0, i));
    let (mut more, mut less): (Vec<_>, Vec<_>) = told.iter().map(String::as_str).partition(|l| l.starts_with("RS+"));
    more.sort();
    less.sort();
    more.dedup();
    assert_eq!(more, ["RS+ $G new", "RS+ $G public.*", "RS+ $G public.a"]);
    assert_eq!(less, ["RS- $G old", "RS- $G old q", "RS- $G public.>"], "and no more commands");
    n.reload(Borders::default());
    let told = short(&n.heard(0, i));
    assert!(told.contains(&"RS+ $G >".into()) && told.contains(&"RS- $G public.*".into()), "{told:?}");
    n.says(0, a, "UNSUB 1\r\nUNSUB 3\r\n");
    assert_eq!(short(&n.heard(0, i)), ["RS- $G >", "RS- $G public.a"]);
    // Optimistic: what was refused is open again.
    let mut n = with(1, GatewayInterest::Optimistic, &importing(&["a"]));
    let (a, i) = (n.client(0), n.link(0, Way::In, "west", false));
    n.says(0, a, "SUB > 1\r\n");
    n.says(0, i, "RMSG $G b 1\r\nx\r\n");
    assert_eq!(short(&n.heard(0, i)), ["RS- $G b"]);
    n.reload(importing(&["b"]));
    assert_eq!(short(&n.heard(0, i)), ["RS+ $G b"]);
    n.says(0, i, "RMSG $G b 1\r\nx\r\nRMSG $G a 1\r\nx\r\n");
    assert_eq!((n.heard(0, a), short(&n.heard(0, i))), ("MSG b 1 1\r\nx\r\n".into(), vec!["RS- $G a".into()]));
}

#[test]
fn answers_to_what_was_asked_enter_and_nothing_else_through_that_door() {
    for inbound in [ORDERED_LINKS.index(), 1] {
        let borders = Borders { reply_max: Some(2), ..importing(&["nothing"]) };
        let mut n = with(2, GatewayInterest::Auto, &borders);
        let (a, west) = (n.client(1), n.out(ORDERED_LINKS.index(), 3, "west", true));
        let (i, s) = (n.link(inbound, Way::In, "west", true), n.link(inbound, Way::In, "south", true));
        n.says(0, west, &format!("{BEGINS}RS+ $G svc\r\n{COMPLETE}"));
        n.says(1, a, "SUB in.* 1\r\nSUB private 2\r\n");
        n.pass(5, &[(0, west), (inbound, i), (inbound, s)]);
        n.says(1, a, "PUB svc in.1 1\r\nx\r\n");
        let prefix = ReplyPrefix::new("east", "N");
        let back = String::from_utf8(prefix.before(b"in.1", true)).unwrap();
        assert_eq!(n.heard(0, west), format!("RMSG $G svc {back} 1\r\nx\r\n"), "mapped, however old the interest is");
        let answer = |subject: &str| format!("RMSG $G {subject} 1\r\nr\r\n");
        let private = String::from_utf8(prefix.before(b"private", true)).unwrap();
        n.says(inbound, i, &answer(&private));
        n.says(inbound, i, &answer("in.1"));
        n.says(inbound, s, &answer(&back));
        let heard = n.heard(1, a);
        assert_eq!(heard.replace("PING\r\n", ""), "", "not asked for, not by that door, not of that cluster");
        n.says(inbound, i, &answer(&back).repeat(3));
        assert_eq!(n.heard(1, a), "MSG in.1 1 1\r\nr\r\n".repeat(2), "reply_max");
        n.says(1, a, "PUB svc in.2 1\r\nx\r\n");
        let back = back.replace("in.1", "in.2");
        n.pass(30, &[(0, west), (inbound, i), (inbound, s)]);
        n.heard(1, a);
        n.says(inbound, i, &answer(&back));
        assert_eq!(n.heard(1, a), "", "reply_window");
        assert_eq!(n.shards[ORDERED_LINKS.index()].grants.held(), 0);
    }
}

#[test]
fn an_answer_leaves_through_any_border_for_as_long_as_its_window_lasts() {
    let mut n = with(1, GatewayInterest::Auto, &exporting(&["nothing"]));
    let (a, west, i) = (n.client(0), n.out(0, 3, "west", true), n.link(0, Way::In, "west", true));
    n.says(0, a, "SUB svc 1\r\n");
    let back = String::from_utf8(ReplyPrefix::new("west", "W").before(b"in.1", true)).unwrap();
    n.says(0, i, &format!("RMSG $G svc {back} 1\r\nx\r\n"));
    assert_eq!(n.heard(0, a), "MSG svc 1 in.1 1\r\nx\r\n");
    n.pass(29, &[(0, west), (0, i)]);
    n.heard(0, a);
    n.says(0, a, "PUB in.1 1\r\nr\r\nPUB in.2 1\r\nr\r\n");
    assert_eq!(n.heard(0, west), format!("RMSG $G {back} 1\r\nr\r\n"));
    n.pass(2, &[(0, west), (0, i)]);
    n.says(0, a, "PUB in.1 1\r\nr\r\n");
    assert_eq!(n.heard(0, west), "");
}

#[test]
fn entries_without_account_do_not_touch_the_system_account() {
    let borders = Borders { exports: rules(&["nothing"]), ..importing(&["nothing"]) };
    let mut n = with(1, GatewayInterest::Auto, &borders);
    let i = n.link(0, Way::In, "west", true);
    let west = n.out(0, 3, "west", true);
    n.says(0, west, "RS+ $SYS a\r\nRS+ $G a\r\n");
    n.says(0, i, "RMSG $SYS a 1\r\nx\r\nRMSG $G a 1\r\nx\r\n");
    assert_eq!(n.held_back(), (0, 1, vec![(NO_IMPORT.into(), 1)]));
    assert_eq!(n.shards[0].gates.place(FarId(3)).is_some(), ShardId(0) == ORDERED_LINKS);
}

#[test]
fn whether_a_message_would_cross_is_told_in_words() {
    let borders = Borders { exports: rules(&["public.>", "!public.x@west"]), ..importing(&["in.*@west"]) };
    let mut n = with(2, GatewayInterest::Auto, &borders);
    let (a, west) = (n.client(1), n.out(0, 3, "west", true));
    n.says(0, west, &format!("{BEGINS}RS+ $G public.>\r\nRS+ $G jobs q 1\r\n{COMPLETE}"));
    n.says(1, a, "SUB in.> 1\r\n");
    let mut ask = |account: &str, subject: &str, cluster: &str, enters| {
        let question = Question { account: account.into(), subject: subject.into(), cluster: cluster.into(), enters };
        n.turn(1, |t| t.order(Order::Report { ticket: 0, ask: Ask::Explain(question) }));
        match n.answers.pop() {
            Some(Answer::Explained(e)) => (e.crosses, e.words),
            _ => panic!("another answer"),
        }
    };
    for (subject, cluster, enters, crosses, says) in [
        ("public.a", "west", false, true, "exports line 0: \"public.>\" admits it; the link is up (shard 0"),
        ("public.a", "west", false, true, "west is sent it plain (mode interest-only)"),
        (
            "public.x",
            "west",
            false,
            false,
            "from east to west: exports line 0: deny \"public.x\" to \"west\" denies it",
        ),
        ("private", "west", false, false, "no entry of exports admits it; nobody in west wants it"),
        ("public.a", "north", false, false, "this server has no link to a cluster \"north\" now"),
        ("a b", "west", false, false, "no message can have this subject"),
        (
            "in.1",
            "west",
            true,
            true,
            "\"in.1\" in account $G would cross from west to east: imports line 0: \"in.*\" from",
        ),
        ("in.1", "north", true, false, "no entry of imports admits it"),
        ("in", "west", true, false, "no entry of imports admits it; nobody in this cluster wants it"),
    ] {
        let (would, words) = ask("$G", subject, cluster, enters);
        assert!(would == crosses && words.contains(says), "{subject} {cluster}: {would}, {words}");
    }
    assert!(ask("X", "a", "west", false).1.contains("there is no account \"X\""));
}

#[test]
fn a_client_of_the_system_account_may_ask_by_a_request() {
    let mut n = Node::with(2, GatewayInterest::Auto, |s| {
        s.gateway.as_mut().expect("a gateway").borders = exporting(&["public.>"]);
        s.auth.system = Some(0);
    });
    let a = n.client(1);
    n.out(0, 3, "west", true);
    n.says(1, a, "SUB in 1\r\n");
    let mut ask = |payload: &str| {
        n.says(1, a, &format!("PUB $SYS.REQ.SERVER.N.EXPLAIN in {}\r\n{payload}\r\n", payload.len()));
        let heard = n.heard(1, a);
        let json = heard.split("\r\n").nth(1).unwrap_or_else(|| panic!("{payload}: {heard}")).to_owned();
        serde_json::from_str::<serde_json::Value>(&json).expect("JSON")
    };
    let answer = ask("{\"subject\":\"private\",\"to\":\"west\"}");
    assert_eq!((&answer["server"]["id"], &answer["data"]["crosses"]), (&"N".into(), &false.into()), "{answer}");
    for (wrong, says) in [
        ("", "name a subject"),
        ("{", "not understood"),
        ("{\"subject\":\"a\",\"too\":\"b\"}", "unknown field `too`"),
        ("{\"subject\":\"a\"}", "name the other cluster"),
        ("{\"subject\":\"a\",\"from\":\"b\",\"to\":\"c\"}", "both name other clusters"),
    ] {
        let answer = ask(wrong);
        assert!(answer["error"]["description"].as_str().is_some_and(|d| d.contains(says)), "{wrong}: {answer}");
    }
    // Another server's question is not ours.
    n.says(1, a, "PUB $SYS.REQ.SERVER.M.EXPLAIN in 0\r\n\r\n");
    assert!(n.heard(1, a).contains("503"));
}

#[test]
fn what_was_asked_is_known_wherever_the_links_are() {
    // Asked over a link of any shard; the answer comes in on any; and the link may have moved meanwhile.
    for (out, inbound, moves) in [(0, 1, None), (1, 0, None), (1, 1, None), (2, 0, Some(1)), (1, 2, Some(0))] {
        let mut n = with(3, GatewayInterest::Auto, &importing(&["nothing"]));
        let a = n.client(2);
        let west = n.out(out, 3, "west", true);
        let i = n.link(inbound, Way::In, "west", true);
        n.says(out, west, &format!("{BEGINS}RS+ $G svc\r\n{COMPLETE}"));
        n.says(2, a, "SUB in.* 1\r\nPUB svc in.1 1\r\nx\r\n");
        let back = String::from_utf8(ReplyPrefix::new("east", "N").before(b"in.1", true)).unwrap();
        n.says(out, west, "PONG\r\n");
        assert!(n.heard(out, west).contains(&back));
        if let Some(to) = moves {
            n.turn(out, |t| t.lost(west, crate::shard::Lost::Eof));
            n.out(to, 4, "west", true);
        }
        n.says(inbound, i, &format!("RMSG $G {back} 1\r\nr\r\n"));
        for shard in [0, 1, 2, 0, 1, 2] {
            n.turn(shard, |_| ());
        }
        assert_eq!(n.heard(2, a), "MSG in.1 1 1\r\nr\r\n", "{out} {inbound} {moves:?}");
        n.says(inbound, i, &format!("RMSG $G {} 1\r\nr\r\n", back.replace("in.1", "in.2")));
        for shard in [0, 1, 2, 0, 1, 2] {
            n.turn(shard, |_| ());
        }
        assert_eq!(n.heard(2, a), "");
        assert_eq!(n.held_back().2, [(NO_IMPORT.to_owned(), 1)]);
    }
}

#[test]
fn the_answer_to_a_request_that_came_in_leaves_although_its_reply_may_not() {
    let mut n = with(1, GatewayInterest::Auto, &exporting(&["public"]));
    let (a, west, i) = (n.client(0), n.out(0, 3, "west", true), n.link(0, Way::In, "west", true));
    n.says(0, west, &format!("{BEGINS}RS+ $G in.*\r\nRS+ $G public\r\n{COMPLETE}"));
    n.says(0, a, "SUB svc 1\r\n");
    n.says(0, i, "RMSG $G svc in.1 1\r\nx\r\nRMSG $G svc public 1\r\nx\r\n");
    assert_eq!(n.heard(0, a), "MSG svc 1 in.1 1\r\nx\r\nMSG svc 1 public 1\r\nx\r\n");
    n.says(0, a, "PUB in.1 1\r\nr\r\nPUB in.2 1\r\nr\r\nPUB public 1\r\nr\r\n");
    let heard = n.heard(0, west);
    let told: Vec<&str> = heard.lines().filter(|l| l.starts_with("RMSG")).collect();
    assert_eq!(told.len(), 2, "{heard}");
    assert!(told[0].starts_with("RMSG $G _GR_.") && told[0].ends_with(".in.1 1"), "{heard}");
    assert_eq!(told[1], "RMSG $G public 1");
}

#[test]
fn a_member_is_told_which_cluster_answers_and_only_that_one_may() {
    let mut n = with(2, GatewayInterest::Auto, &importing(&["news.>"]));
    let a = n.client(0);
    let (west, south) = (n.out(0, 3, "west", true), n.link(1, Way::In, "south", true));
    let (ours, peer) = (n.route(1, 0, "NB"), n.route_that(0, 1, "NC", true));
    n.says(0, west, &format!("{BEGINS}RS+ $G svc\r\n{COMPLETE}PONG\r\n"));
    n.says(0, a, "SUB in.* 1\r\nSUB news.* 2\r\nPUB svc in.1 1\r\nx\r\n");
    let of = |cluster: &str, server: &str, reply: &str| {
        String::from_utf8(ReplyPrefix::new(cluster, server).before(reply.as_bytes(), true)).unwrap()
    };
    // For a member of ours with the name of the cluster that answers, for others as it came.
    for (to, named, as_it_is) in [("NB", "south", "east"), ("NC", "east", "east")] {
        let (shard, conn) = if to == "NB" { (1, ours) } else { (0, peer) };
        n.heard(shard, conn);
        for reply in ["in.5", "news.x"] {
            n.says(1, south, &format!("RMSG $G {} 1\r\nr\r\n", of("east", to, reply)));
        }
        n.turn(0, |_| ());
        let heard = n.heard(shard, conn);
        let told: Vec<&str> = heard.lines().filter(|l| l.starts_with("RMSG")).collect();
        let expected = [of(named, to, "in.5"), of(as_it_is, to, "news.x")].map(|s| format!("RMSG $G {s} 1"));
        assert_eq!(told, expected);
    }
    // And the other way round.
    n.heard(0, a);
    let answer = |cluster: &str, reply: &str| format!("RMSG $G {} 1\r\nr\r\n", of(cluster, "N", reply));
    n.says(1, ours, &(answer("south", "in.1") + &answer("west", "in.2") + &answer("north", "in.1")));
    n.turn(0, |_| ());
    assert_eq!(n.heard(0, a).replace("PING\r\n", ""), "", "that cluster was not asked, or not that");
    n.says(1, ours, &answer("west", "in.1"));
    for shard in [0, 1, 0] {
        n.turn(shard, |_| ());
    }
    assert_eq!(n.heard(0, a), "MSG in.1 1 1\r\nr\r\n");
}

/// The rules of another cluster as its line says them, and as the machine makes them ready.
fn theirs(words: &[&str]) -> (String, TheirRules) {
    let entries = rules(words).unwrap_or_default();
    let digest = digest(None, Some(&entries));
    let wall = Wall::new(Some(&entries), &["$G"], None, 1);
    let imports = Some(Arc::new(TheirImports { wall, rules: entries.into() }));
    let line = format!("INFO {{\"gateway\":\"west\",\"borders\":true,\"border\":\"{digest}\"}}\r\n");
    (line, TheirRules { digest: Some(digest), imports })
}

impl Node {
    fn ready(&mut self, shard: usize, theirs: TheirRules) {
        let instruction = GatewayInstruction::TheirRules { link: Cid(self.numbers), theirs };
        self.turn(shard, |t| t.order(Order::InstructGateway(instruction)));
    }
}

#[test]
fn what_another_cluster_does_not_let_in_is_not_sent_there_and_counted_by_its_rule() {
    for (shards, link) in [(1, 0), (2, 0), (2, 1)] {
        let mut n = Node::new(shards, GatewayInterest::Auto);
        (_, n.theirs) = theirs(&["jobs.>", "!jobs.x@east"]);
        let (a, west) = (n.client(shards - 1), n.out(link, 3, "west", true));
        n.says(link, west, &format!("{BEGINS}RS+ $G >\r\n{COMPLETE}"));
        let say = |subject: &str| format!("PUB {subject} 1\r\nx\r\n");
        n.says(shards - 1, a, &(say("jobs.a") + &say("jobs.x") + &say("jobs.x") + &say("other")));
        assert_eq!(n.heard(link, west), "RMSG $G jobs.a 1\r\nx\r\n");
        let denied = "imports of \"west\" line 0: deny \"jobs.x\" from \"east\"".to_owned();
        let unnamed = "no entry of imports of \"west\" admits it".to_owned();
        let by = vec![(denied.clone(), 2), (unnamed, 1)];
        assert_eq!(n.held_back(), (0, 0, by.clone()), "ours holds nothing back");
        assert_eq!(n.drops("their_border"), 3);
        // What a rule that stays has held back stays its own, from link to link.
        n.turn(link, |t| t.lost(west, crate::shard::Lost::Eof));
        assert_eq!(n.held_back().2, by);
        (_, n.theirs) = theirs(&["!other", "!jobs.x@east"]);
        let west = n.out(link, 4, "west", true);
        n.says(link, west, &format!("{BEGINS}RS+ $G >\r\n{COMPLETE}"));
        n.says(shards - 1, a, &(say("jobs.x") + &say("b")));
        assert_eq!(n.heard(link, west), "RMSG $G b 1\r\nx\r\n");
        assert_eq!(n.held_back().2[0], (denied, 3));
    }
}

#[test]
fn a_queue_pick_passes_over_clusters_that_do_not_let_the_message_in() {
    let mut n = Node::new(2, GatewayInterest::Auto);
    let a = n.client(0);
    let north = n.out(1, 4, "north", true);
    n.later(50);
    n.says(1, north, "PONG\r\nRS+ $G jobs.* q 1\r\n");
    let west = n.out(1, 3, "west", true);
    n.says(1, west, "PONG\r\nRS+ $G jobs.* q 1\r\n");
    n.says(0, a, "PUB jobs.x 1\r\nx\r\n");
    assert_eq!((n.heard(1, west), n.heard(1, north)), ("RMSG $G jobs.x | q 1\r\nx\r\n".into(), String::new()));
    let (line, ready) = theirs(&["!jobs.x"]);
    n.says(1, west, &line);
    n.ready(1, ready);
    n.says(0, a, "PUB jobs.x 1\r\nx\r\nPUB jobs.y 1\r\nx\r\n");
    assert_eq!(n.heard(1, west), "RMSG $G jobs.y | q 1\r\nx\r\n");
    assert_eq!(n.heard(1, north), "RMSG $G jobs.x | q 1\r\nx\r\n");
}

#[test]
fn rules_that_are_on_their_way_hold_nothing_back_that_was_wanted_behind_them() {
    for (shards, link) in [(1, 0), (2, 0), (2, 1)] {
        let mut n = Node::new(shards, GatewayInterest::Auto);
        let (a, west) = (n.client(0), n.out(link, 3, "west", true));
        let (old, old_ready) = theirs(&["a"]);
        n.says(link, west, &old);
        n.ready(link, old_ready.clone());
        n.says(link, west, &format!("{BEGINS}RS+ $G a\r\n{COMPLETE}"));
        let told = |n: &mut Node, subject: &str| {
            n.says(0, a, &format!("PUB {subject} 1\r\nx\r\n"));
            !n.heard(link, west).is_empty()
        };
        assert!(told(&mut n, "a"));
        // Others come, and what they let in; the machine has not made them ready yet.
        let (new, new_ready) = theirs(&["b"]);
        n.says(link, west, &format!("{new}RS+ $G b\r\n"));
        assert!(told(&mut n, "b"), "it was wanted behind the rules that let it in");
        assert!(told(&mut n, "a"), "too much, and never too little");
        // Something else is made ready, late.
        n.ready(link, old_ready.clone());
        assert!(told(&mut n, "b"));
        n.ready(link, new_ready);
        assert!(told(&mut n, "b") && !told(&mut n, "a"));
        // And back, and gone.
        n.says(link, west, &old);
        n.ready(link, old_ready);
        assert!(told(&mut n, "a") && !told(&mut n, "b"));
        n.says(link, west, "INFO {\"gateway\":\"west\",\"borders\":true}\r\n");
        assert!(told(&mut n, "b"));
        n.ready(link, TheirRules::default());
        assert!(told(&mut n, "a") && told(&mut n, "b"));
        // What others say of third clusters is no word about rules.
        let (third, _) = theirs(&["c"]);
        n.says(link, west, &third.replace("west", "north").replace("\"borders\"", "\"gateway_cmd\":1,\"borders\""));
        assert!(told(&mut n, "a"));
    }
}

#[test]
fn our_rules_are_said_before_what_they_let_in_is_wanted() {
    let mut n = with(1, GatewayInterest::Auto, &importing(&["a"]));
    let (a, i) = (n.client(0), n.link(0, Way::In, "west", true));
    n.says(0, a, "SUB > 1\r\n");
    n.heard(0, i);
    let mut settings = Settings::default();
    settings.gateway.get_or_insert_default().borders = importing(&["b"]);
    let (walls, lines) = (Arc::new(Walls::of(&settings, 1)), vec![(Cid(n.numbers), b"INFO {}\r\n".to_vec())]);
    let instruction = GatewayInstruction::OurRules { walls, lines };
    n.turn(0, |t| t.order(Order::InstructGateway(instruction)));
    assert_eq!(n.heard(0, i), "INFO {}\r\nRS+ $G b\r\nRS- $G a\r\n");
    n.says(0, i, "RMSG $G b 1\r\nx\r\n");
    assert_eq!(n.heard(0, a), "MSG b 1 1\r\nx\r\n");
}
