//! Sorting, filtering and paging of connections.

use super::*;
use crate::base::SECOND;
use crate::policy::Settings;
use crate::shell::monitor::Loads;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::Arc;

const NOW: u64 = 100 * SECOND;

fn facts() -> Facts {
    Facts {
        settings: Arc::new(Settings::default()),
        server_id: "ID".into(),
        server_name: "NAME".into(),
        port: 4222,
        start_ns: 0,
        cores: 1,
        pins: vec![None],
        free_cpus: Vec::new(),
        accepted: AtomicU64::new(0),
        guessers_refused: AtomicU64::new(0),
        accepts: crate::shell::monitor::Rate::default(),
        listening: AtomicBool::new(true),
        pressure: Arc::default(),
        mesh: None,
        cluster_port: 0,
        gateway_port: 0,
        events_lost: Arc::default(),
        meters: Vec::new(),
        loads: Loads::default(),
    }
}

fn row(cid: u64) -> ConnRow {
    ConnRow { cid, account: "$G".into(), start_ns: cid * SECOND, last_activity_ns: cid * SECOND, ..ConnRow::default() }
}

fn ended(cid: u64, stop: u64, reason: &'static str) -> ConnRow {
    ConnRow { stop_ns: Some(stop * SECOND), reason: Some(reason), ..row(cid) }
}

fn read(raw: &str) -> Result<Request, String> {
    Request::read(&Query::parse(Some(raw)))
}

fn ask(raw: &str, rows: Vec<ConnRow>) -> Connz {
    let mut gather = Gather::new(read(raw).unwrap(), NOW);
    rows.into_iter().for_each(|row| gather.take(row));
    gather.settle();
    gather.page(&facts())
}

fn cids(answer: &Connz) -> Vec<u64> {
    answer.connections.iter().flatten().map(|c| c.cid).collect()
}

#[test]
fn bad_parameters_are_named() {
    for (raw, text) in [
        ("sort=stop", "sort by stop only valid on closed connections"),
        ("sort=reason&state=all", "sort by reason only valid on closed connections"),
        ("sort=zzz", "invalid sorting option: zzz"),
        ("state=zz", "Error decoding state for zz"),
        ("sort=zzz&limit=x", "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax"),
    ] {
        assert_eq!(read(raw).unwrap_err(), text, "{raw}");
    }
}

#[test]
fn every_sort_has_its_direction() {
    let a = ConnRow { out_msgs: 5, in_bytes: 1, pending_bytes: 2, rtt_ns: Some(9), ..row(1) };
    let b = ConnRow { out_msgs: 9, in_msgs: 2, out_bytes: 7, last_activity_ns: 50 * SECOND, ..row(2) };
    let c = ConnRow { subscriptions: 3, in_bytes: 8, rtt_ns: Some(10), ..row(3) };
    for (sort, expected) in [
        ("", [1, 2, 3]),
        ("cid", [1, 2, 3]),
        ("start", [1, 2, 3]),
        ("subs", [3, 1, 2]),
        ("pending", [1, 2, 3]),
        ("msgs_to", [2, 1, 3]),
        ("msgs_from", [2, 1, 3]),
        ("bytes_to", [2, 1, 3]),
        ("bytes_from", [3, 1, 2]),
        ("last", [2, 3, 1]),
        ("idle", [1, 3, 2]),
        ("uptime", [3, 2, 1]),
        ("rtt", [3, 1, 2]),
    ] {
        let rows = vec![c.clone(), a.clone(), b.clone()];
        assert_eq!(cids(&ask(&format!("sort={sort}"), rows)), expected, "{sort}");
    }
    let gone = || vec![ended(1, 50, "Write Error"), ended(2, 70, "Client Closed"), ended(3, 60, "Client Closed")];
    assert_eq!(cids(&ask("state=closed&sort=stop", gone())), [2, 3, 1]);
    assert_eq!(cids(&ask("state=closed&sort=reason", gone())), [2, 3, 1]);
}

#[test]
fn total_counts_before_user_and_cid_but_after_account() {
    let of = |cid, account: &str, user: &str| ConnRow { account: account.into(), user: Some(user.into()), ..row(cid) };
    let rows = || vec![of(1, "$G", "a"), of(2, "$SYS", "b"), of(3, "$G", "b")];
    let by_user = ask("user=b", rows());
    assert_eq!((cids(&by_user), by_user.total), (vec![2, 3], 3));
    let by_account = ask("acc=$G", rows());
    assert_eq!((cids(&by_account), by_account.total), (vec![1, 3], 2));
    let by_cid = ask("cid=3&limit=50", rows());
    assert_eq!((cids(&by_cid), by_cid.total, by_cid.limit), (vec![3], 3, 1));
    assert_eq!(cids(&ask("mqtt_client=x", rows())), [0; 0]);
    assert_eq!(ask("mqtt_client=x", rows()).total, 3);
}

#[test]
fn pages_of_many_hold_only_what_can_be_shown() {
    let mut gather = Gather::new(read("sort=msgs_to&offset=2&limit=2").unwrap(), NOW);
    for cid in 1..=5000 {
        gather.take(ConnRow { out_msgs: cid % 4999, ..row(cid) });
        assert!(gather.kept.len() <= LIMIT);
    }
    gather.settle();
    let page = gather.page(&facts());
    assert_eq!((cids(&page), page.total, page.num_connections, page.offset), (vec![4996, 4995], 5000, 2, 2));
    let beyond = ask("offset=99", vec![row(1)]);
    assert_eq!((beyond.num_connections, beyond.total), (0, 1));
    assert!(beyond.connections.is_some());
}

#[test]
fn who_ends_in_between_is_told_once_as_ended() {
    let answer = ask("state=all", vec![row(1), row(2), ended(1, 90, "Client Closed"), ended(3, 91, "Write Error")]);
    assert_eq!((cids(&answer), answer.total), (vec![1, 2, 3], 3));
    let first = &answer.connections.as_ref().unwrap()[0];
    assert_eq!((first.reason, first.uptime.as_str()), (Some("Client Closed"), "1m29s"));
}

#[test]
fn accounts_and_users_show_only_on_demand() {
    let rows = || vec![ConnRow { account: "A".into(), user: Some("u".into()), ..row(1) }, row(2), ConnRow::default()];
    let silent = ask("", rows()).connections.unwrap();
    assert!(silent.iter().all(|c| c.account.is_none() && c.authorized_user.is_none() && c.name_tag.is_none()));
    let told = ask("auth=1", rows()).connections.unwrap();
    let shown =
        |n: usize| (told[n].authorized_user.as_deref(), told[n].account.as_deref(), told[n].name_tag.as_deref());
    assert_eq!(shown(0), (None, None, None));
    assert_eq!(shown(1), (Some("u"), Some("A"), Some("A")));
    assert_eq!(shown(2), (None, None, Some("$G")));
}

#[test]
fn an_unknown_account_has_no_list() {
    let request = read("acc=NOPE&offset=1").unwrap();
    assert!(request.lost(&facts()));
    let answer = Gather::new(request, NOW).nowhere();
    assert_eq!((answer.server_id.as_str(), answer.connections.is_none(), answer.offset), ("", true, 1));
}

#[test]
fn subscriptions_are_told_for_the_page_only_and_no_longer_than_needed() {
    let mut gather = Gather::new(read("subs=1&offset=1&limit=2&state=all").unwrap(), NOW);
    let with_subs = |row: ConnRow| ConnRow { subscriptions: 2, ..row };
    for row in [with_subs(row(1)), with_subs(row(2)), with_subs(ended(3, 90, "Client Closed")), with_subs(row(4))] {
        gather.take(row);
    }
    gather.settle();
    let sub = |cid, subject: &str| SubRow { cid, subject: subject.into(), ..SubRow::default() };
    for (cid, subject) in [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (2, "e")] {
        assert!(gather.wants_subs());
        gather.take_sub(sub(cid, subject));
    }
    assert!(!gather.wants_subs());
    let answer = gather.page(&facts());
    let told: Vec<_> = answer.connections.iter().flatten().map(|c| (c.cid, c.subscriptions_list.join(" "))).collect();
    assert_eq!(told, [(2, "b e".to_owned()), (3, String::new())]);
}
