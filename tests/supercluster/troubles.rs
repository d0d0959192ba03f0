//! What is amiss between clusters is named: in the log, on both sides where there are two, and in `/gatewayz` while it lasts.
//! And lists that change while servers run.

use crate::support::cluster::{await_log, free_port, routes, WHOLE};
use crate::support::process::until;
use crate::support::raw::PATIENCE;
use crate::support::server::{shard_args, Server, Start, Which};
use crate::support::supercluster::{entries, gatewayz, linked, Wish};
use crate::turnpike_is_tested;

/// A cluster of one server.
fn alone(cluster: &str, server_name: &str, port: u16, list: &str, more: &str) -> Server {
    let which = Which::under_test();
    let conf = conf(cluster, server_name, port, list, more);
    Server::from(Start::new(&which, &conf, &shard_args(&which, 2)))
}

fn conf(cluster: &str, server_name: &str, port: u16, list: &str, more: &str) -> String {
    format!(
        "server_name: {server_name}\ngateway {{ name: {cluster}, listen: \"127.0.0.1:{port}\"\n{more}\ngateways: {list} }}\n"
    )
}

/// Waits until `/gatewayz` tells of a trouble of this kind about this.
fn await_trouble(server: &Server, kind: &str, about: &str) {
    // Twins are told apart from servers whose routes are not yet made after half a minute.
    until(&format!("/gatewayz tells of {kind} about {about}"), PATIENCE, || {
        let page = gatewayz(server);
        let troubles = page["turnpike"]["troubles"].as_array().cloned().unwrap_or_default();
        troubles.iter().any(|t| t["kind"] == kind && t["about"] == about).then_some(())
    });
}

fn await_no_trouble(server: &Server) {
    until("nothing is amiss", WHOLE, || {
        gatewayz(server)["turnpike"]["troubles"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
}

/// Runs a test of words where they are ours.
macro_rules! of_turnpikes {
    ($($(#[$more:meta])* fn $name:ident() $body:block)*) => {
        $(#[test]
        $(#[$more])*
        fn $name() {
            if turnpike_is_tested() {
                $body
            }
        })*
    };
}

of_turnpikes! {
    fn a_cluster_that_is_not_the_one_dialed() {
        let (a, b) = (free_port(), free_port());
        let other = alone("B", "b0", b, "[]", "");
        let server = alone("A", "a0", a, &entries(&[("Z", &[b])]), "");
        await_log(&server, "is not the cluster it was dialed as: it is cluster \"B\"");
        await_log(&other, "wanted to connect to \"Z\", this is \"B\"");
        await_trouble(&server, "unreached", "Z");
    }

    fn a_cluster_that_is_not_in_the_list() {
        let (a, b) = (free_port(), free_port());
        let strict = alone("A", "a0", a, "[]", "reject_unknown_cluster: true");
        let server = alone("B", "b0", b, &entries(&[("A", &[a])]), "");
        await_log(&strict, "of cluster \"B\" is refused: it is not in the list of gateways");
        await_log(&server, "refused us: Connection to gateway \"A\" rejected");
        await_trouble(&server, "unreached", "A");
        assert!(linked(&strict).is_empty() && linked(&server).is_empty());
    }

    fn a_wrong_password() {
        let (a, b) = (free_port(), free_port());
        let strict = alone("A", "a0", a, "[]", "authorization { user: g, password: right }");
        let server = alone("B", "b0", b, &entries(&[("A", &[a])]), "authorization { user: g, password: wrong }");
        await_log(&strict, "of cluster \"B\" presented a wrong user (\"g\") or password");
        await_log(&server, "Authorization Violation");
        await_trouble(&server, "unreached", "A");
    }

    fn a_port_of_clients() {
        let (a, b) = (free_port(), free_port());
        let other = alone("B", "b0", b, "[]", "");
        let server = alone("A", "a0", a, &entries(&[("B", &[other.clients().port()])]), "");
        await_log(&server, "is a client port: gateways connect to the gateway port");
        await_trouble(&server, "unreached", "B");
    }

    #[ignore = "long: scripts/faults"]
    fn a_server_that_tells_a_wrong_address() {
        let (a, b, nobody) = (free_port(), free_port(), free_port());
        let server = alone("A", "a0", a, "[]", "");
        let other = alone("B", "b0", b, &entries(&[("A", &[a])]), &format!("advertise: \"127.0.0.1:{nobody}\""));
        await_log(&server, "cluster \"B\" reaches this server, which has no way back to it");
        await_log(&other, "cluster \"A\" has no way back to this one");
        await_trouble(&server, "no_way_back", "B");
        await_trouble(&other, "not_reached_back", "A");
    }

    fn two_entries_of_one_name() {
        let (a, b) = (free_port(), free_port());
        let other = alone("B", "b0", b, "[]", "");
        let server = alone("A", "a0", a, &entries(&[("B", &[b]), ("B", &[b])]), "");
        await_log(&server, "2 entries of gateways are named \"B\"");
        await_trouble(&server, "double_entry", "B");
        until("it is reached all the same", WHOLE, || (linked(&server).len() == 1).then_some(()));
        await_no_trouble(&other);
    }

    #[ignore = "long: scripts/faults"]
    fn two_clusters_of_one_name() {
        let (a, b, twin) = (free_port(), free_port(), free_port());
        let server = alone("A", "a0", a, &entries(&[("B", &[b])]), "");
        let _others = [alone("B", "b0", b, "[]", ""), alone("B", "b1", twin, &entries(&[("A", &[a])]), "")];
        await_trouble(&server, "two_clusters_of_one_name", "B");
        await_log(&server, "two clusters call themselves \"B\"");
    }

    /// It learns of the other clusters and has no way to them; both sides say so.
    fn a_member_without_a_gateway() {
        let (a, b) = ([free_port(), free_port()], free_port());
        let which = Which::under_test();
        let cluster = |n: usize| {
            format!("cluster {{ name: A, listen: \"127.0.0.1:{}\", routes: {} }}\n", a[n], routes(&a[..1]))
        };
        let gate = free_port();
        let with = format!("{}{}", conf("A", "a0", gate, "[]", ""), cluster(0));
        let with = Server::from(Start::new(&which, &with, &shard_args(&which, 2)));
        let without = format!("server_name: a1\n{}", cluster(1));
        let without = Server::from(Start::new(&which, &without, &shard_args(&which, 2)));
        let _other = alone("B", "b0", b, &entries(&[("A", &[gate])]), "");
        await_log(&with, "of this cluster has no gateway: its clients are cut off from all other clusters");
        await_log(&without, "this server has no gateway, though \"a0\"");
        await_trouble(&with, "member_without_gateway", &without.id());
    }

    /// Oneself in the list is normal, and so is a cluster that lists nobody.
    fn nothing_where_nothing_is_amiss() {
        let s = Wish::sizes(&[1, 1]).lists(&[&[0, 1], &[]]).start();
        s.all().into_iter().for_each(await_no_trouble);
        assert!(s.all().iter().all(|server| !server.output().contains("[ERR]")));
    }

    fn a_reload_adds_and_removes_clusters() {
        let (a, b) = (free_port(), free_port());
        let strict = "reject_unknown_cluster: true";
        let none = conf("A", "a0", a, "[]", strict);
        let listed = conf("A", "a0", a, &entries(&[("B", &[b])]), strict);
        let server = alone("A", "a0", a, "[]", strict);
        let other = alone("B", "b0", b, &entries(&[("A", &[a])]), "");
        await_trouble(&other, "unreached", "A");
        for _ in 0..2 {
            server.reload(&listed);
            for (at, to) in [(&server, "B"), (&other, "A")] {
                until("an added cluster is reached", WHOLE, || linked(at).iter().any(|l| l.0 == to).then_some(()));
                await_no_trouble(at);
            }
            server.reload(&none);
            for at in [&server, &other] {
                until("a removed cluster has no link", WHOLE, || linked(at).is_empty().then_some(()));
            }
            await_trouble(&other, "unreached", "A");
        }
    }
}
