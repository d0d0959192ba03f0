//! What is found between configurations, each with its file and line.

use super::*;
use crate::policy::{self, Source};
use std::path::Path;

struct File(String);

impl Source for File {
    fn read(&mut self, _: &Path) -> std::io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

fn fleet(files: &[(&str, &str)]) -> Vec<Member> {
    let members = files.iter().map(|(file, text)| {
        let loaded =
            policy::load(Path::new(file), &mut File((*text).into())).unwrap_or_else(|e| panic!("{file}: {e:?}"));
        Member { file: (*file).into(), settings: loaded.settings, places: loaded.places }
    });
    members.collect()
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    check(&fleet(files)).iter().map(Finding::to_string).collect()
}

/// A server of a cluster, at an address of its own.
fn member(n: u8, cluster: &str, routes: &[u8], more: &str) -> String {
    let routes: Vec<String> = routes.iter().map(|r| format!("\"nats://10.0.0.{r}:6222\"")).collect();
    format!(
        "server_name: n{n}\nlisten: 10.0.0.{n}:4222\ncluster {{\n name: {cluster}\n listen: 10.0.0.{n}:6222\n routes: [\n{}\n ]\n}}\n{more}",
        routes.join("\n")
    )
}

#[track_caller]
fn says(files: &[(&str, &str)], begins: &str, contains: &str) {
    let all = found(files);
    assert!(all.iter().any(|f| f.starts_with(begins) && f.contains(contains)), "{all:#?}");
}

#[test]
fn a_cluster_that_fits_has_nothing_to_find() {
    let files = [member(1, "c", &[2, 3], ""), member(2, "c", &[1, 3], ""), member(3, "c", &[1, 2], "")];
    let files = [("a", files[0].as_str()), ("b", &files[1]), ("c", &files[2])];
    assert_eq!(found(&files), Vec::<String>::new());
}

#[test]
fn names_and_addresses_that_clash() {
    let a = member(1, "c", &[2], "");
    let b = member(2, "c", &[1], "").replace("n2", "n1");
    says(&[("a", &a), ("b", &b)], "a:1: error: ", "2 servers are called \"n1\"");
    let b = member(2, "c", &[1], "").replace("10.0.0.2:4222", "10.0.0.1:4222");
    says(&[("a", &a), ("b", &b)], "b:2: error: ", "10.0.0.1:4222 is taken by \"a\" for clients");
    says(
        &[("a", "port: 4222\nhttp: 127.0.0.1:4222"), ("b", "port: 5")],
        "a:2: error: ",
        "for monitoring and for clients",
    );
}

#[test]
fn routes_that_leave_a_cluster_in_parts_or_lead_astray() {
    let (a, b, c) = (member(1, "c", &[2], ""), member(2, "c", &[], ""), member(3, "c", &[], ""));
    says(&[("a", &a), ("b", &b), ("c", &c)], "a:6: error: ", "falls apart: no route joins [n1, n2] and [n3]");
    says(&[("a", &a), ("b", &b)], "a:6: note: ", "1 routes stand on one side only");
    let other = member(2, "d", &[], "");
    says(&[("a", &a), ("b", &other)], "a:7: error: ", "leads to \"n2\" of cluster \"d\"");
    says(&[("a", &a), ("c", &c)], "a:7: warning: ", "leads to none of these servers");
}

#[test]
fn passwords_of_routes_have_to_open() {
    let login = "listen: 10.0.0.2:6222\n authorization { user: r, password: secret }";
    let (a, b) = (member(1, "c", &[2], ""), member(2, "c", &[], "").replace("listen: 10.0.0.2:6222", login));
    says(&[("a", &a), ("b", &b)], "a:7: error: ", "does not let in");
    let a = a.replace("nats://10", "nats://r:secret@10");
    assert!(!found(&[("a", &a), ("b", &b)]).iter().any(|f| f.contains("let in")));
    // Nothing that is found names a password.
    let a = a.replace("r:secret", "r:hunter2");
    let all = found(&[("a", &a), ("b", &b)]);
    assert!(
        all.iter().any(|f| f.contains("let in"))
            && !all.concat().contains("hunter2")
            && !all.concat().contains("secret")
    );
}

#[test]
fn gateways_that_do_not_find_one_another() {
    let gateway = |n: u8, name: &str, to: &[(&str, u8)], more: &str| {
        let to: Vec<_> =
            to.iter().map(|(c, at)| format!("  {{name: {c}, url: \"nats://10.0.0.{at}:7222\"}}")).collect();
        format!(
            "gateway {{\n name: {name}\n listen: 10.0.0.{n}:7222\n {more}\n gateways: [\n{}\n ]\n}}\n",
            to.join("\n")
        )
    };
    let east = member(1, "east", &[], &gateway(1, "east", &[("west", 2), ("north", 9)], ""));
    let west = member(2, "west", &[], &gateway(2, "west", &[], "reject_unknown_cluster: true"));
    let both = [("e", east.as_str()), ("w", west.as_str())];
    says(&both, "e:", "cluster \"north\" is none of these servers'");
    says(&both, "w:", "takes only clusters that it lists");
    let wrong = member(1, "east", &[], &gateway(1, "east", &[("west", 3)], ""));
    let south = member(3, "south", &[], &gateway(3, "south", &[], ""));
    says(&[("e", &wrong), ("w", &west), ("s", &south)], "e:", "is a door of cluster \"south\", not of \"west\"");
    let bare = member(4, "east", &[1], "");
    says(&[("e", &east), ("w", &west), ("x", &bare)], "e:", "cluster \"east\": gateway differs");
}

#[test]
fn borders_that_do_not_fit() {
    let border = |n: u8, name: &str, other: &str, at: u8, rules: &str| {
        let gateway = format!(
            "gateway {{\n name: {name}\n listen: 10.0.0.{n}:7222\n gateways: [{{name: {other}, url: \"nats://10.0.0.{at}:7222\"}}]\n{rules}\n}}\n"
        );
        member(n, name, &[], &gateway)
    };
    let east = border(1, "east", "west", 2, " exports: [\n  {subject: orders.>}\n ]");
    let west = border(2, "west", "east", 1, " imports: [\n  {subject: bills.>}\n ]");
    let both = [("e", east.as_str()), ("w", west.as_str())];
    says(&both, "e:15: warning: ", "cluster \"west\" does not import what this rule of exports");
    says(&both, "w:15: warning: ", "cluster \"east\" does not export what this rule of imports");
}

#[test]
fn accounts_and_users_that_differ() {
    let users = |password: &str| format!("accounts {{\n A {{ users: [{{user: u, password: {password}}}] }}\n}}\n");
    let (a, b) = (member(1, "c", &[2], &users("p")), member(2, "c", &[1], &users("q")));
    says(&[("a", &a), ("b", &b)], "b:", "user \"u\" is known by different passwords at \"n2\" and \"n1\"");
    let b = member(2, "c", &[1], "");
    says(&[("a", &a), ("b", &b)], "b: warning: ", "account \"A\" is at 1 of 2 servers, not at \"n2\"");
    let b = member(2, "c", &[1], "max_payload: 2MB\n");
    says(&[("a", &a), ("b", &b)], "a", "max_payload differs");
}

#[test]
fn what_accounts_share_and_how_much_they_may_differs() {
    let accounts = |of_b: &str| {
        let a = "A { exports: [\n{stream: \"a.>\"}\n{service: \"idle\"}\n] }";
        format!("accounts {{\n {a}\n B {{ {of_b} }}\n}}\n")
    };
    let import = accounts("imports: [{stream: {account: A, subject: \"a.>\"}, prefix: x}]");
    let (a, b) = (member(1, "c", &[2], &import), member(2, "c", &[1], &accounts("")));
    let both = [("a", a.as_str()), ("b", b.as_str())];
    says(
        &both,
        "b:15: warning: account \"B\": imports at \"n2\" and at \"n1\" differ",
        "the stream \"a.>\" of \"A\" as \"x.a.>\"",
    );
    says(&both, "a:13: note: ", "no account imports the service \"idle\" that account \"A\" exports");
    let b = member(2, "c", &[1], &import.replace("B {", "B { limits { max_payload: 9 }, "));
    says(&[("a", &a), ("b", &b)], "b:", "account \"B\": max_payload at");
}

#[test]
fn tls_on_one_side_only() {
    let tls = "tls { cert_file: c, key_file: k, ca_file: a, verify: true }";
    let with = |n: u8| member(n, "c", &[3 - n], "").replace(" routes:", &format!(" {tls}\n routes:"));
    let (a, b) = (with(1), member(2, "c", &[1], ""));
    says(&[("a", &a), ("b", &b)], "b:3: error: ", "routes speak TLS at \"n1\" and not at \"n2\"");
    assert!(!found(&[("a", &a), ("b", &with(2))]).iter().any(|f| f.contains("TLS")));
    let (a, b) = (member(1, "c", &[2], tls), member(2, "c", &[1], ""));
    says(&[("a", &a), ("b", &b)], "b:2: warning: ", "clients need TLS at \"n1\" and not at \"n2\"");
    let gateway = |n: u8, name: &str, other: &str, more: &str| {
        let url = format!("\"nats://10.0.0.{}:7222\"", 3 - n);
        let list = format!("gateways: [{{name: {other}, url: {url}}}]");
        member(n, name, &[], &format!("gateway {{\n name: {name}\n listen: 10.0.0.{n}:7222\n {list}\n {more}\n}}\n"))
    };
    let (east, west) = (gateway(1, "east", "west", tls), gateway(2, "west", "east", ""));
    let both = [("e", east.as_str()), ("w", west.as_str())];
    says(&both, "e:13: error: ", "is dialed with TLS and speaks none");
    says(&both, "w:13: error: ", "speaks TLS and is dialed without");
}

/// The figure is of the built server; here, where nothing is optimised much, it is enough that it is no quadratic matter.
#[test]
fn a_thousand_files_are_compared() {
    let texts: Vec<String> = (0..1000)
        .map(|n: u32| {
            let (cluster, at) = (n / 50, format!("10.{}.{}.1", n / 250, n % 250));
            format!(
                "server_name: n{n}\nlisten: {at}:4222\ncluster {{ name: c{cluster}, listen: {at}:6222, routes: [nats://10.{}.{}.1:6222] }}\n",
                cluster * 50 / 250,
                cluster * 50 % 250
            )
        })
        .collect();
    let files: Vec<(String, &String)> = texts.iter().enumerate().map(|(n, t)| (format!("f{n}"), t)).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(f, t)| (f.as_str(), t.as_str())).collect();
    let fleet = fleet(&files);
    let found = check(&fleet);
    assert!(found.iter().all(|f| f.grade == Grade::Note), "{:?}", found.first());
    assert!(draw(&fleet, Form::Text).ends_with("connections between servers: 24500 (24500 routes, 0 gateways)\n"));
}
