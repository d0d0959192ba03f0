//! Who may ask the server what, and hear what it says of itself (scenarios.md §1, row 15): each subject of the system account by
//! each role. Nobody outside of it is answered anything but what is his own account's, however he asks.

use super::support::cluster::Client;
use super::support::process::until;
use super::support::raw::PATIENCE;
use super::support::server::{shard_args, Server};
use super::{asker, both, user};

const CONF: &str = "authorization { users: [ {user: g, password: p} ] }\naccounts {\n A { users: [ {user: a, password: p} ] }\n \
                    B { users: [ {user: b, password: p} ] }\n SYS { users: [ {user: s, password: p} ] }\n}\nsystem_account: SYS\n";

/// What is asked of a server, or of all.
const SERVER: &[&str] = &[
    "STATSZ", "VARZ", "CONNZ", "SUBSZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "JSZ", "HEALTHZ", "IDZ", "PROFILEZ",
    "EXPLAIN", "RELOAD", "KICK", "LDM",
];
/// Of an account.
const ACCOUNT: &[&str] = &["CONNZ", "SUBSZ", "LEAFZ", "INFO", "JSZ", "CONNS", "STATZ"];

/// The only requests that ordinary accounts are answered.
const OWN: [&str; 4] =
    ["$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.STATZ", "$SYS.REQ.USER.INFO"];

fn subjects(id: &str) -> Vec<String> {
    let of = |whom: &str, what: &[&str]| what.iter().map(|w| format!("$SYS.REQ.{whom}.{w}")).collect::<Vec<_>>();
    let servers = ["SERVER.PING".to_owned(), format!("SERVER.{id}")];
    let accounts = ["A", "B", "SYS", "$G", "PING"].map(|a| format!("ACCOUNT.{a}"));
    let mut all: Vec<String> = servers.iter().flat_map(|s| of(s, SERVER)).collect();
    all.extend(accounts.iter().flat_map(|a| of(a, ACCOUNT)));
    all.extend(["$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "$SYS.DEBUG.SUBSCRIBERS"].map(String::from));
    all.extend(["LOOKUP", "UPDATE", "PACK", "LIST", "DELETE"].map(|w| format!("$SYS.REQ.CLAIMS.{w}")));
    all
}

/// Asks with bodies that name others, and gives back all that is answered.
fn asked(client: &mut Client, subject: &str) -> Vec<String> {
    let mut all = Vec::new();
    for body in ["", r#"{"acc":"B","account":"B","accounts":["B","SYS"],"auth":true,"cid":1,"state":2}"#] {
        client.raw.write(format!("PUB {subject} in.1 {}\r\n{body}\r\n", body.len()).as_bytes());
        all.push(client.next());
    }
    all
}

#[test]
fn each_subject_of_the_system_account_is_for_whom_it_is() {
    for which in both() {
        let server = Server::start(&which, CONF, &shard_args(&which, 2));
        let id = server.id();
        let mut other = user(&server, "b");
        other.say("SUB planted.by.b 1\r\n");
        for name in ["a", "g"] {
            let mut client = asker(&server, name);
            for subject in subjects(&id) {
                for answer in asked(&mut client, &subject) {
                    match OWN.contains(&subject.as_str()) {
                        false => assert!(answer.contains("NATS/1.0 503"), "{name} {subject}: {answer}"),
                        true => {
                            let foreign = ["planted.by.b", "\"name\":\"b\"", "\"name\":\"s\"", "\"B\"", "\"SYS\""];
                            let seen = foreign.iter().find(|text| answer.contains(**text));
                            assert!(
                                seen.is_none() || answer.contains("\"error\""),
                                "{name} {subject}: {seen:?} in {answer}"
                            );
                        }
                    }
                }
            }
        }
        // Nothing of it has been done.
        other.say("");
        let mut system = asker(&server, "s");
        assert!(super::ask(&mut system, "$SYS.REQ.SERVER.PING", "")["statsz"].is_object());
        assert!(!server.output().contains("Reloaded"), "{}", server.output());
    }
}

#[test]
fn what_the_server_tells_is_heard_in_the_system_account_alone_and_nobody_tells_it_in_its_name() {
    for which in both() {
        let server = Server::start(&which, CONF, &shard_args(&which, 2));
        let id = server.id();
        let mut ears: Vec<Client> = ["a", "b", "g"].map(|name| user(&server, name)).into();
        ears.iter_mut().for_each(|ear| drop(ear.say("SUB > 1\r\nSUB $SYS.> 2\r\n")));
        let mut system = user(&server, "s");
        system.say("SUB $SYS.ACCOUNT.> 1\r\nSUB $SYS.SERVER.*.SHUTDOWN 2\r\nSUB $SYS._INBOX.> 3\r\n");
        let told = [format!("$SYS.SERVER.{id}.SHUTDOWN"), "$SYS.ACCOUNT.A.CONNECT".into(), "$SYS._INBOX.x".into()];
        let said: String = told.iter().map(|subject| format!("PUB {subject} 4\r\nlies\r\n")).collect();
        // Whoever says it tells his own account.
        let heard = ears[0].say(&said);
        assert_eq!(heard.len(), 6, "{heard:?}");
        drop(user(&server, "a"));
        until("an event of a connection", PATIENCE, || system.next().contains("DISCONNECT").then_some(()));
        for ear in &mut ears {
            assert!(ear.say("").is_empty());
        }
        assert!(system.say("").iter().all(|frame| !frame.contains("lies")));
    }
}
