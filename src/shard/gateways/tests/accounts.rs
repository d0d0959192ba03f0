//! Accounts that come and go by a reload, of which shards hear one after the other, and links before them.

use super::borders::rules;
use super::{short, Node};
use crate::base::limits::FOREIGN_ACCOUNTS_MAX;
use crate::base::ConnId;
use crate::conn::{GatewayTidings, Way};
use crate::policy::settings::{Account, Secret, User};
use crate::policy::{Auth, GatewayInterest, Permits, Settings};
use crate::shard::{Answer, Ask, Order};
use std::sync::Arc;

/// Accounts by their places, those in small letters have gone; of each other one there is a user, `u` and its name.
fn auth(names: &[&str]) -> Auth {
    let mut auth = Auth { required: true, announced: true, ..Auth::open() };
    for name in names {
        let here = name.to_uppercase() == **name;
        let place = auth.accounts.len();
        auth.accounts.push(if here { Account::named(name) } else { Account::gone(&name.to_uppercase()) });
        if here {
            auth.users.push(User::named(&format!("u{name}"), Secret::Plain("p".into()), place));
        }
    }
    auth.permits = Arc::new(Permits::new(vec![None; auth.users.len()]));
    auth
}

fn node(shards: usize, interest: GatewayInterest) -> Node {
    Node::with(shards, interest, |s| s.auth = auth(&["A"]))
}

impl Node {
    /// One shard hears of a reload.
    fn has_accounts(&mut self, shard: usize, interest: GatewayInterest, names: &[&str]) {
        let settings = Arc::new(Settings { auth: auth(names), ..super::settings(interest) });
        self.turn(shard, |t| t.order(Order::Settings(settings)));
    }
}

const AUTO: GatewayInterest = GatewayInterest::Auto;

#[test]
fn shards_hear_of_an_account_one_after_the_other() {
    let mut n = node(3, AUTO);
    let r = n.route(0, 0, "PEER");
    n.says(0, r, "RS+ B far\r\nRS+ B gone\r\nRS+ B jobs q 2\r\nRS- B gone\r\n");
    n.heard(0, r);
    // The last of them alone; then one that says more than the others know of; then all the rest.
    n.has_accounts(2, AUTO, &["A", "B"]);
    let b2 = n.user(2, "uB");
    n.says(2, b2, "SUB x 1\r\nSUB jobs q 2\r\n");
    assert_eq!(n.heard(0, r), "RS+ B x\r\nRS+ B jobs q 1\r\n");
    n.says(2, b2, "PUB far 1\r\n1\r\nPUB gone 1\r\n2\r\n");
    assert_eq!(n.heard(0, r), "RMSG B far 1\r\n1\r\n", "what it had told before");
    n.says(0, r, "RMSG B x 1\r\n3\r\n");
    assert_eq!(n.heard(2, b2), "MSG x 1 1\r\n3\r\n");
    n.has_accounts(1, AUTO, &["A", "B", "C"]);
    let b1 = n.user(1, "uB");
    n.says(1, b1, "PUB x 1\r\n4\r\n");
    assert_eq!(n.heard(2, b2), "MSG x 1 1\r\n4\r\n");
    // This one is told by what the others have forgotten meanwhile.
    n.has_accounts(0, AUTO, &["A", "B"]);
    let b0 = n.user(0, "uB");
    n.says(0, b0, "PUB x 1\r\n5\r\n");
    assert_eq!(n.heard(2, b2), "MSG x 1 1\r\n5\r\n");
    for shard in [0, 2] {
        n.has_accounts(shard, AUTO, &["A", "B", "C"]);
    }
    let [c0, c2] = [0, 2].map(|shard| n.user(shard, "uC"));
    n.says(0, c0, "SUB x 1\r\n");
    n.says(2, c2, "PUB x 1\r\n6\r\n");
    assert_eq!((n.heard(0, c0), n.heard(2, b2)), ("MSG x 1 1\r\n6\r\n".into(), "".into()));
}

/// The lines that a peer is told, in no order.
fn told(n: &mut Node, shard: usize, conn: ConnId) -> Vec<String> {
    let mut lines: Vec<String> = n.heard(shard, conn).split_terminator("\r\n").map(String::from).collect();
    lines.sort();
    lines
}

#[test]
fn what_was_wanted_ends_with_an_account_and_what_others_want_does_not() {
    let mut n = node(2, AUTO);
    let r = n.route(0, 0, "PEER");
    (0..2).for_each(|shard| n.has_accounts(shard, AUTO, &["A", "B"]));
    n.says(0, r, "RS+ B far\r\n");
    let (a, b) = (n.user(0, "uA"), n.user(1, "uB"));
    n.says(0, a, "SUB x 1\r\n");
    n.says(1, b, "SUB x 1\r\nSUB y 2\r\n");
    n.heard(0, r);
    (0..2).for_each(|shard| n.has_accounts(shard, AUTO, &["A", "b"]));
    n.later(1);
    n.turn(0, |_| ());
    assert_eq!(n.heard(1, b), "", "closed without a word");
    assert_eq!(told(&mut n, 0, r), ["RS- B x", "RS- B y"]);
    // It goes on to say what it wants of it.
    n.says(0, r, "RS+ B farther\r\nRMSG B x 1\r\nx\r\nRMSG A x 1\r\nx\r\n");
    assert_eq!(n.heard(0, a), "MSG x 1 1\r\nx\r\n");
    n.turn(0, |t| t.order(Order::Report { ticket: 0, ask: Ask::TALLY }));
    let Some(Answer::Tally(tally)) = n.answers.pop() else { panic!("another answer") };
    assert!(tally.accounts.iter().all(|a| a.account != "B"));
    (0..2).for_each(|shard| n.has_accounts(shard, AUTO, &["A", "B"]));
    let b = n.user(1, "uB");
    n.says(1, b, "PUB far 1\r\n1\r\nPUB farther 1\r\n2\r\nPUB x 1\r\n3\r\n");
    assert_eq!(n.heard(0, r), "RMSG B far 1\r\n1\r\nRMSG B farther 1\r\n2\r\n");
}

const BEGINS: &str = "INFO {\"gateway\":\"west\",\"gateway_cmd\":2,\"gateway_cmd_payload\":\"Qg==\"}\r\n";
const COMPLETE: &str = "INFO {\"gateway\":\"west\",\"gateway_cmd\":3,\"gateway_cmd_payload\":\"Qg==\"}\r\n";

#[test]
fn what_a_cluster_said_of_an_account_counts_when_it_comes() {
    for promised in [true, false] {
        let mut n = node(2, AUTO);
        let (west, north) = (n.out(0, 3, "west", promised), n.out(1, 4, "north", promised));
        n.says(0, west, &format!("{BEGINS}RS+ B foo\r\nRS+ B bar\r\n{COMPLETE}RS- B bar\r\n"));
        n.says(1, north, "A- B\r\n");
        n.has_accounts(1, AUTO, &["A", "B"]);
        let b = n.user(1, "uB");
        n.says(1, b, "PUB foo 1\r\n1\r\nPUB bar 1\r\n2\r\n");
        assert_eq!((n.heard(0, west), n.heard(1, north)), ("RMSG B foo 1\r\n1\r\n".into(), "".into()));
        // And what it says from then on.
        n.says(0, west, "RS- B foo\r\nRS+ B bar\r\n");
        n.says(1, b, "PUB foo 1\r\n1\r\nPUB bar 1\r\n2\r\n");
        assert_eq!(n.heard(0, west), "RMSG B bar 1\r\n2\r\n");
    }
}

#[test]
fn another_cluster_is_told_that_an_account_has_come() {
    let mut n = node(2, AUTO);
    let i = n.link(0, Way::In, "west", true);
    n.heard(0, i);
    n.says(0, i, "RMSG B x 1\r\nx\r\n");
    assert_eq!(short(&n.heard(0, i)), ["A- B"]);
    n.has_accounts(1, AUTO, &["A", "B"]);
    assert_eq!(short(&n.heard(0, i)), ["begins", "complete"]);
    let b = n.user(1, "uB");
    n.says(1, b, "SUB x 1\r\n");
    assert_eq!(short(&n.heard(0, i)), ["RS+ B x"]);
    n.says(0, i, "RMSG B x 1\r\nx\r\n");
    assert_eq!(n.heard(1, b), "MSG x 1 1\r\nx\r\n");
    n.has_accounts(1, AUTO, &["A", "b"]);
    assert_eq!(short(&n.heard(0, i)), ["RS- B x"]);
    // Whoever sends unasked hears of it when somebody wants something.
    let mut n = node(1, GatewayInterest::Optimistic);
    let i = n.link(0, Way::In, "west", false);
    n.says(0, i, "RMSG B x 1\r\nx\r\n");
    n.has_accounts(0, GatewayInterest::Optimistic, &["A", "B"]);
    assert_eq!(short(&n.heard(0, i)), ["A- B"]);
    let b = n.user(0, "uB");
    n.says(0, b, "SUB x 1\r\n");
    assert_eq!(short(&n.heard(0, i)), ["A+ B"]);
}

#[test]
fn a_link_that_has_told_more_than_is_kept_begins_anew() {
    let mut n = node(2, AUTO);
    let (west, r) = (n.out(0, 3, "west", true), n.route(1, 0, "PEER"));
    let names = |verb: &str| (0..=FOREIGN_ACCOUNTS_MAX).map(|i| format!("{verb} X{i} x\r\n")).collect::<String>();
    n.says(0, west, &names("RS+"));
    n.says(1, r, &names("RS+"));
    let ended = |n: &Node| n.tidings.iter().filter(|t| matches!(t, GatewayTidings::Ended { .. })).count();
    n.has_accounts(0, AUTO, &["A"]);
    assert_eq!((ended(&n), n.shards[1].servers_here), (0, 1));
    n.has_accounts(0, AUTO, &["A", "B"]);
    assert_eq!(ended(&n), 1);
    n.later(crate::base::SECOND);
    n.turn(1, |_| ());
    assert_eq!(n.shards[1].servers_here, 0);
}

#[test]
fn rules_of_the_border_that_name_an_account_hold_when_it_comes() {
    let mut n = Node::with(2, AUTO, |s| {
        s.auth = auth(&["A"]);
        let borders = s.gateway.as_mut().map(|g| &mut g.borders).expect("a gateway");
        (borders.exports, borders.imports) = (rules(&["x.>", "!x.secret/B"]), rules(&["in", "own/B"]));
    });
    let (west, i) = (n.out(0, 3, "west", false), n.link(0, Way::In, "west", true));
    n.heard(0, i);
    n.has_accounts(1, AUTO, &["A", "B"]);
    let b = n.user(1, "uB");
    n.says(1, b, "PUB x.secret 1\r\n1\r\nPUB x.1 1\r\n2\r\nSUB own 1\r\nSUB other 2\r\nSUB in 3\r\n");
    assert_eq!(n.heard(0, west), "RMSG B x.1 1\r\n2\r\n");
    let told = short(&n.heard(0, i));
    let wants: Vec<&str> = told.iter().filter(|l| l.starts_with("RS+")).map(String::as_str).collect();
    assert_eq!(wants, ["RS+ B own", "RS+ B in"]);
    n.says(0, i, "RMSG B own 1\r\n3\r\nRMSG B other 1\r\n4\r\nRMSG B in 1\r\n5\r\n");
    assert_eq!(n.heard(1, b), "MSG own 1 1\r\n3\r\nMSG in 3 1\r\n5\r\n");
}
