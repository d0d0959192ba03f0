//! Rules of borders: told to turnpikes alone, before a link is used and anew when they change; what does not fit is named
//! with its lines on both sides, and what comes malformed ends whatever it came over.

use super::handshake::{east, Bench, CONNECT};
use super::world::{gateway, World};
use crate::base::{PeerId, Rng};
use crate::conn::{RouteNews, TheirRules};
use crate::gateways::{Cause, Kind};
use crate::interest::border::{digest, Rule, RulePlace};
use crate::policy::{Borders, Gateway};
use crate::wire::gateway::{write_border, BorderEntry, BorderPart};

/// Rules, one a line: subject, the cluster it is about or nothing, and `!` before the subject of a denial. They stand on
/// the lines from `from` on.
fn rules(from: u32, all: &[&str]) -> Option<Vec<Rule>> {
    let rule = |(line, text): (u32, &&str)| {
        let (subject, cluster) = text.split_once(' ').unwrap_or((text, ""));
        Rule {
            subject: subject.trim_start_matches('!').as_bytes().into(),
            cluster: Some(cluster.into()).filter(|_| !cluster.is_empty()),
            account: None,
            deny: subject.starts_with('!'),
            place: RulePlace { file: 0, line },
        }
    };
    Some((from..).zip(all).map(rule).collect())
}

fn borders(exports: Option<Vec<Rule>>, imports: Option<Vec<Rule>>) -> Borders {
    Borders { exports, imports, ..Borders::default() }
}

fn exports(all: &[&str]) -> Borders {
    borders(rules(1, all), None)
}

fn imports(all: &[&str]) -> Borders {
    borders(None, rules(1, all))
}

fn with(gateway: Gateway, borders: Borders) -> Gateway {
    Gateway { borders, ..gateway }
}

fn kinds(world: &World, node: usize) -> Vec<Kind> {
    world.nodes[node].machine.report().troubles.iter().map(|t| t.kind).collect()
}

fn text(world: &World, node: usize, kind: Kind) -> String {
    let report = world.nodes[node].machine.report();
    let of = report.troubles.iter().find(|t| t.kind == kind);
    of.map(|t| t.text.clone()).unwrap_or_else(|| panic!("no {kind:?}: {:#?}", world.nodes[node].log))
}

fn set(world: &mut World, node: usize, borders: &Borders) {
    world.machine(node).set_borders(borders);
    world.tick(node);
}

/// Does a node know that the cluster it sends to lets a subject in? None: it knows of no imports there.
fn lets_in(world: &World, node: usize, subject: &str) -> Option<bool> {
    let us = world.nodes[node].cluster.as_str();
    let known = world.nodes[node].theirs.values().map(|t| t.imports.as_ref().map(|i| &i.wall));
    let verdicts: Vec<Option<bool>> =
        known.map(|wall| wall.map(|w| w.judge(0, subject.as_bytes()).of(w.class(us)).crosses())).collect();
    assert_eq!(verdicts.len(), 1, "there is one outbound link");
    verdicts[0]
}

#[test]
fn both_sides_know_each_others_rules_before_the_link_is_used_and_when_they_change() {
    for seed in 0..20 {
        let mut world = World::new();
        let mut rng = Rng::new(seed);
        world.start(0, "E", with(gateway("east", &[("west", 1)]), exports(&["public.> west"])));
        world.start(1, "W", with(gateway("west", &[]), imports(&["public.> east"])));
        world.run(20, &mut rng);
        world.assert_converged();
        assert_eq!((lets_in(&world, 0, "public.x"), lets_in(&world, 0, "private.x")), (Some(true), Some(false)));
        assert_eq!(lets_in(&world, 1, "public.x"), None, "east imports everything");
        let [ours, theirs] = [0, 1].map(|node| world.nodes[node].machine.report());
        assert_eq!(ours.border, theirs.remotes[0].border);
        assert_eq!(theirs.border, ours.remotes[0].border);
        assert_eq!((theirs.border.unwrap().imports, ours.border.unwrap().imports), (Some(1), None));
        assert_eq!(ours.remotes[0].enforces, Some(true));

        set(&mut world, 1, &imports(&["public.> east", "private.x east"]));
        world.run(1, &mut rng);
        assert_eq!(lets_in(&world, 0, "private.x"), Some(true));
        set(&mut world, 1, &Borders::default());
        world.run(1, &mut rng);
        assert_eq!((lets_in(&world, 0, "private.x"), lets_in(&world, 0, "q")), (None, None));
        set(&mut world, 1, &imports(&[]));
        world.run(1, &mut rng);
        assert_eq!(lets_in(&world, 0, "public.x"), Some(false), "a block without entries lets nothing in");
        set(&mut world, 0, &Borders::default());
        world.run(10, &mut rng);
        let [ours, theirs] = [0, 1].map(|node| world.nodes[node].machine.report());
        assert_eq!((ours.border, &theirs.remotes[0].border), (None, &None));
        let ended = |node: usize| world.said(node, "ended");
        assert_eq!((ended(0), ended(1)), (0, 0), "no link was dropped for it");
    }
}

#[test]
fn rules_that_change_while_hands_are_shaken_are_known_as_they_are() {
    for seed in 0..60 {
        let mut world = World::new();
        let mut rng = Rng::new(seed);
        let first = if seed % 2 == 0 { imports(&["a"]) } else { Borders::default() };
        world.start(0, "E", with(gateway("east", &[("west", 1)]), exports(&["a"])));
        world.start(1, "W", with(gateway("west", &[]), first));
        // Somewhere in the first handshakes.
        for _ in 0..rng.below(25) {
            match world.events() {
                events if events.is_empty() => drop(world.advance(world.now.plus_ns(2_000_000_000))),
                events => world.happen(events[rng.below(events.len() as u64) as usize]),
            }
        }
        let last = if seed % 4 < 2 { imports(&["b"]) } else { Borders::default() };
        set(&mut world, 1, &last);
        set(&mut world, 0, &exports(&["b"]));
        world.run(30, &mut rng);
        world.assert_converged();
        let want = last.imports.is_some().then_some(true);
        assert_eq!(lets_in(&world, 0, "b"), want, "seed {seed}: {:#?}", world.nodes[0].log);
        let reports = [0, 1].map(|node| world.nodes[node].machine.report());
        assert_eq!(reports[0].border, reports[1].remotes[0].border, "seed {seed}");
        assert_eq!(reports[1].border, reports[0].remotes[0].border, "seed {seed}");
        assert_eq!(world.said(0, "ended") + world.said(1, "ended"), 0, "seed {seed}");
    }
}

#[test]
fn very_many_rules_are_told_in_many_lines() {
    let subjects: Vec<String> = (0..20_000).map(|n| format!("some.rather.long.subject.of.{n}.>")).collect();
    let all: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let mut world = World::new();
    world.start(0, "E", with(gateway("east", &[("west", 1)]), exports(&all)));
    world.start(1, "W", with(gateway("west", &[]), imports(&all)));
    world.run(20, &mut Rng::new(5));
    world.assert_converged();
    assert_eq!(lets_in(&world, 0, "some.rather.long.subject.of.19999.x"), Some(true));
    assert_eq!(lets_in(&world, 0, "some.rather.long.subject.of.20000.x"), Some(false));
    assert!(world.nodes[1].rules_read > 10, "in many lines");
}

#[test]
fn what_does_not_fit_is_named_with_its_lines_on_both_sides() {
    let mut world = World::new();
    let mut rng = Rng::new(1);
    let ours = borders(rules(12, &["public.> west", "!public.x west", "shared.*"]), rules(30, &["back.> west"]));
    world.start(0, "E", with(gateway("east", &[("west", 1)]), ours));
    let theirs = borders(rules(7, &["answers.> east"]), rules(3, &["shared.a", "other.> east", "x north"]));
    world.start(1, "W", with(gateway("west", &[]), theirs));
    world.run(60, &mut rng);
    let all = [Kind::ExportUnheard, Kind::ImportUnmet, Kind::TheirExportUnheard, Kind::TheirImportUnmet];
    assert_eq!(kinds(&world, 0), all);
    assert_eq!(kinds(&world, 1)[..4], all);
    for (node, kind, want) in [
        (
            0,
            Kind::ExportUnheard,
            "\"west\" does not import what this cluster exports: exports line 12: \"public.>\" to \"west\"",
        ),
        (
            0,
            Kind::ImportUnmet,
            "\"west\" does not export what this cluster imports: imports line 30: \"back.>\" from \"west\"",
        ),
        (
            0,
            Kind::TheirExportUnheard,
            "\"west\" exports what this cluster does not import: its exports line 7: \"answers.>\" to \"east\"",
        ),
        (
            0,
            Kind::TheirImportUnmet,
            "\"west\" imports what this cluster does not export: its imports line 4: \"other.>\" from \"east\"",
        ),
        (
            1,
            Kind::ExportUnheard,
            "\"east\" does not import what this cluster exports: exports line 7: \"answers.>\" to \"east\"",
        ),
        (
            1,
            Kind::ImportUnmet,
            "\"east\" does not export what this cluster imports: imports line 4: \"other.>\" from \"east\"",
        ),
        (
            1,
            Kind::TheirExportUnheard,
            "\"east\" exports what this cluster does not import: its exports line 12: \"public.>\" to \"west\"",
        ),
        (
            1,
            Kind::TheirImportUnmet,
            "\"east\" imports what this cluster does not export: its imports line 30: \"back.>\" from \"west\"",
        ),
        (1, Kind::RuleAstray, "rules name clusters that nobody knows: imports line 5: \"x\" from \"north\""),
    ] {
        let found = text(&world, node, kind);
        assert!(found.ends_with(want), "{found}");
        assert!(world.said(node, want) >= 3, "again and again: {:#?}", world.nodes[node].log);
        assert!(world.nodes[node].machine.unready().is_empty(), "and it makes nobody unready");
        assert_eq!(world.nodes[node].machine.report().counters.troubles[&kind], 1);
    }
    set(&mut world, 1, &borders(rules(7, &["back.>"]), rules(3, &["public.a", "shared.a"])));
    world.run(10, &mut rng);
    world.assert_converged();
    assert_eq!(world.said(0, "over after"), 4);
    assert_eq!(world.said(1, "over after"), 5);
}

#[test]
fn of_many_lines_the_first_are_named() {
    let mut world = World::new();
    let all: Vec<String> = (0..1000).map(|n| format!("s{n}.{}", "x".repeat(300))).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    world.start(0, "E", with(gateway("east", &[("west", 1)]), exports(&all)));
    world.start(1, "W", with(gateway("west", &[]), imports(&["other"])));
    world.run(20, &mut Rng::new(1));
    let found = text(&world, 0, Kind::ExportUnheard);
    assert!(found.contains("line 5: \"s4.xxx") && !found.contains("line 6:"), "{found}");
    assert!(found.ends_with(", and 995 more") && found.len() < 1000, "{found}");
}

#[test]
fn a_cluster_may_be_heard_of_later_than_the_rules_about_it() {
    let mut world = World::new();
    let mut rng = Rng::new(1);
    world.start(0, "E", with(gateway("east", &[]), exports(&["a", "b west", "c west"])));
    world.run(10, &mut rng);
    assert_eq!(kinds(&world, 0), []);
    world.run(20, &mut rng);
    let found = text(&world, 0, Kind::RuleAstray);
    assert!(found.ends_with("exports line 2: \"b\" to \"west\", exports line 3: \"c\" to \"west\""), "{found}");
    world.start(1, "W", gateway("west", &[("east", 0)]));
    world.run(20, &mut rng);
    world.assert_converged();
}

#[test]
fn members_with_other_rules_are_named_with_the_lines() {
    let mut world = World::new();
    let mut rng = Rng::new(1);
    world.start(0, "E0", with(gateway("east", &[]), exports(&["a", "b"])));
    world.start(1, "E1", with(gateway("east", &[]), exports(&["b", "a"])));
    world.run(20, &mut rng);
    assert_eq!((kinds(&world, 0), kinds(&world, 1)), (vec![], vec![]), "the same in another order");
    set(&mut world, 1, &borders(rules(1, &["a", "c"]), rules(9, &["d"])));
    world.run(20, &mut rng);
    let found = [0, 1].map(|node| text(&world, node, Kind::MemberUnlike));
    let ours =
        "\"n1\" (E1) of this cluster has other rules than this one: it has not exports line 2: \"b\"; this server \
                has not its exports line 2: \"c\", its imports line 9: \"d\"";
    assert!(found[0].ends_with(ours), "{}", found[0]);
    let theirs =
        "\"n0\" (E0) of this cluster has other rules than this one: it has not exports line 2: \"c\", imports line \
                  9: \"d\"; this server has not its exports line 2: \"b\"";
    assert!(found[1].ends_with(theirs), "{}", found[1]);
    // A block without entries, and none, are not the same.
    set(&mut world, 1, &borders(rules(1, &["a", "b"]), rules(9, &[])));
    world.run(10, &mut rng);
    assert!(text(&world, 0, Kind::MemberUnlike).ends_with("this server has not its imports"));
    set(&mut world, 1, &Borders::default());
    world.run(10, &mut rng);
    assert!(text(&world, 0, Kind::MemberUnlike).ends_with("other rules than this one: it has none"));
    let found = text(&world, 1, Kind::MemberUnlike);
    assert!(
        found.ends_with("this server has none, and it has exports line 1: \"a\", exports line 2: \"b\""),
        "{found}"
    );
    set(&mut world, 1, &exports(&["a", "b"]));
    world.run(10, &mut rng);
    assert_eq!((kinds(&world, 0), kinds(&world, 1)), (vec![], vec![]));
    // Who comes later is told, too.
    world.start(2, "E2", with(gateway("east", &[]), exports(&["z"])));
    world.run(10, &mut rng);
    let found = text(&world, 2, Kind::MemberUnlike);
    assert!(found.ends_with("it has not exports line 1: \"z\"; this server has not its exports line 1: \"a\", its exports line 2: \"b\""), "{found}");
    assert!(world.nodes.iter().all(|n| n.left.is_empty()));
}

#[test]
fn a_member_that_cannot_hold_the_border_is_named_while_there_is_one() {
    let mut world = World::new();
    let mut rng = Rng::new(1);
    world.start(0, "E", with(gateway("east", &[]), exports(&["a"])));
    world.start_nats(1, "N", "east", true, &[]);
    world.run(20, &mut rng);
    assert_eq!(kinds(&world, 0), [Kind::MemberLax]);
    assert!(world.said(0, "server \"n1\" (N) of this cluster cannot hold its border") >= 2);
    set(&mut world, 0, &Borders::default());
    world.run(10, &mut rng);
    assert_eq!(kinds(&world, 0), []);
}

#[test]
fn nats_servers_of_other_clusters_are_never_told_and_that_they_hold_nothing_is_said_once() {
    for promising in [true, false] {
        let mut world = World::new();
        let mut rng = Rng::new(1);
        world.start(0, "E", with(gateway("east", &[("west", 1)]), exports(&["a west"])));
        world.start_nats(1, "N", "west", promising, &[("east", 0)]);
        world.run(60, &mut rng);
        // The scripted servers fail if they are told of rules.
        set(&mut world, 0, &exports(&["b west"]));
        world.run(60, &mut rng);
        assert_eq!(kinds(&world, 0), []);
        assert_eq!(world.said(0, "cluster \"west\" holds no border of its own"), 1);
        assert_eq!(world.nodes[0].machine.report().remotes[0].enforces, Some(false));
        assert_eq!(lets_in(&world, 0, "x"), None);
    }
}

#[test]
fn servers_of_another_cluster_with_different_rules_are_named() {
    let mut world = World::new();
    let mut rng = Rng::new(1);
    world.start(0, "E", gateway("east", &[("west", 1)]));
    world.start(1, "W1", with(gateway("west", &[]), imports(&["a"])));
    world.start(2, "W2", with(gateway("west", &[]), imports(&["a", "b"])));
    world.run(30, &mut rng);
    let found = text(&world, 0, Kind::ServersUnlike);
    assert!(found.contains("servers of cluster \"west\" have different rules: "), "{found}");
    assert!(found.contains("imports line 2: \"b\""), "{found}");
    set(&mut world, 2, &imports(&["a"]));
    world.run(10, &mut rng);
    world.assert_converged();
}

#[test]
fn servers_of_one_cluster_are_told_apart_from_an_older_turnpike() {
    let rules = with(east(), exports(&["a"]));
    let old = "INFO {\"server_id\":\"PEER\",\"server_name\":\"peer\",\"gateway\":\"west\",\"turnpike\":\"0.1.0\"}\r\n";
    let new = old.replace("\"turnpike\"", "\"borders\":true,\"turnpike\"");
    let mut bench = Bench::acceptor(rules.clone());
    bench.hear(CONNECT).hear(old);
    assert!(bench.given.len() == 1 && !bench.written.contains("border_rules"));
    let mut bench = Bench::acceptor(rules.clone());
    bench.hear(CONNECT).hear(&new);
    assert!(bench.given.len() == 1 && bench.written.starts_with("INFO ") && bench.written.contains("border_rules"));
    for (info, told) in [(old, false), (&new, true)] {
        let mut bench = Bench::dialer(rules.clone());
        bench.hear(info);
        assert!(!bench.written.contains("border_rules"), "only when the link is there");
        bench.written.clear();
        bench.hear("PONG\r\n");
        assert_eq!((bench.given.len(), bench.written.contains("border_rules")), (1, told));
    }
}

fn entry(subject: &str) -> BorderEntry {
    BorderEntry { subject: subject.into(), line: 1, ..BorderEntry::default() }
}

/// The lines that tell these imports, and the digest of them.
fn told(subjects: &[&str]) -> (Vec<String>, String) {
    let digest = digest(None, rules(1, subjects).as_deref()).to_string();
    let about = BorderPart { digest: digest.clone(), imports: true, ..BorderPart::default() };
    let lines = write_border("GWPEER", "west", &about, subjects.iter().map(|s| entry(s)).collect()).unwrap();
    (lines.into_iter().map(|l| String::from_utf8(l).unwrap()).collect(), digest)
}

fn hello(digest: &str) -> String {
    format!(
        "INFO {{\"server_id\":\"PEER\",\"server_name\":\"peer\",\"gateway\":\"west\",\"turnpike\":\"1\",\"borders\":true,\
         \"border\":\"{digest}\"}}\r\n"
    )
}

/// Two parts, the second of which is to be changed.
fn two_parts() -> (String, String, String) {
    let (lines, digest) = told(&["a", "b"]);
    let json = &lines[0];
    let at = json.find("\"entries\":").unwrap();
    let part = |n: u32, entries: &str| {
        format!(
            "{}\"entries\":[{entries}]}}}}\r\n",
            json[..at].replace("\"part\":1,\"parts\":1", &format!("\"part\":{n},\"parts\":2"))
        )
    };
    let entry = |s: &str| format!("{{\"subject\":\"{s}\",\"line\":1}}");
    (part(1, &entry("a")), part(2, &entry("b")), digest)
}

/// What is wrong with a second part, or comes in its place, and what the sender is told.
fn hostile() -> Vec<(String, &'static str)> {
    let (first, second, digest) = two_parts();
    let other = "0".repeat(32);
    let huge = "x".repeat(20_000);
    vec![
        (first, "border rules out of order: part 2 of 2 was due"),
        (second.replace("\"part\":2", "\"part\":3"), "border rules out of order: part 2 of 2 was due"),
        (second.replace("\"part\":2", "\"part\":-1"), "border rules out of order: part 2 of 2 was due"),
        (second.replace("\"parts\":2", "\"parts\":3"), "border rules out of order: part 2 of 2 was due"),
        (second.replace("\"imports\":true", "\"exports\":true"), "border rules out of order: part 2 of 2 was due"),
        (second.replace(&digest, &other), "border rules out of order: part 2 of 2 was due"),
        (second.replace("\"b\"", "\"c\""), "border rules that are not those of their digest"),
        (second.replace("\"b\"", "\"b..c\""), "a border rule with an invalid subject or name"),
        (second.replace("\"b\"", "\"\""), "a border rule with an invalid subject or name"),
        (second.replace("\"b\"", "\"b c\""), "a border rule with an invalid subject or name"),
        (second.replace("\"b\"", &format!("\"{huge}\"")), "a border rule with an invalid subject or name"),
        (
            second.replace("\"b\"", &format!("\"b\",\"account\":\"{huge}\"")),
            "a border rule with an invalid subject or name",
        ),
        (second.replace("\"b\"", "\"b\",\"export\":true"), "a border rule of a block that is not there"),
        (second.replace("\"line\":1", "\"line\":-1"), "a border rule on no line"),
        (second.replace("\"line\":1", "\"line\":4294967296"), "a border rule on no line"),
        (second.replace("{\"subject\":\"b\",\"line\":1}", ""), "an empty part of border rules"),
        (second.replace("\"gateway\":\"west\"", "\"gateway\":\"north\""), "border rules of another cluster"),
    ]
}

#[test]
fn an_acceptor_that_tells_its_rules_wrongly_is_left_and_told_why() {
    let (first, second, digest) = two_parts();
    let mut bench = Bench::dialer(east());
    bench.hear(&hello(&digest)).hear(&first).hear(&second);
    assert!(!bench.closed && bench.given.is_empty(), "{:?}", bench.log);
    bench.hear("RS+ $G foo\r\n");
    let wall = &bench.given[0].theirs.imports.as_ref().unwrap().wall;
    assert!(wall.judge(0, b"b").of(wall.class("east")).crosses() && !wall.is_open());
    assert_eq!(bench.given[0].rest, b"RS+ $G foo\r\n", "the rules are no business of the shard");
    for (line, says) in hostile() {
        let mut bench = Bench::dialer(east());
        bench.hear(&hello(&digest)).hear(&first).hear(&line);
        bench.refused(says, Cause::Border);
    }
    // Said to be there, and not told, or not told to their end.
    for said in ["PONG\r\n", "RS+ $G foo\r\n", "INFO {x\r\n"] {
        let mut bench = Bench::dialer(east());
        bench.hear(&hello(&digest)).hear(said);
        bench.refused("border rules were not told", Cause::Border);
        let mut bench = Bench::dialer(east());
        bench.hear(&hello(&digest)).hear(&first).hear(said);
        bench.refused("border rules were not told", Cause::Border);
    }
    // They may have gone since.
    let mut bench = Bench::dialer(east());
    bench.hear(&hello(&digest)).hear(&hello(""));
    assert!(bench.given.len() == 1 && bench.given[0].theirs == TheirRules::default(), "{:?}", bench.log);
    let mut bench = Bench::dialer(east());
    bench.hear(&hello("no digest"));
    bench.refused("Parser Error", Cause::Protocol);
}

#[test]
fn first_parts_are_judged_as_well() {
    let (first, _, digest) = two_parts();
    for (line, says) in [
        (first.replace(&digest, "x"), "border rules without a digest"),
        (first.replace("\"imports\":true", "\"imports\":false"), "border rules of no block"),
        (first.replace("\"parts\":2", "\"parts\":0"), "border rules in no part, or in too many"),
        (first.replace("\"parts\":2", "\"parts\":200001"), "border rules in no part, or in too many"),
        (first.replace("\"part\":1", "\"part\":2"), "border rules out of order: part 1 of 2 was due"),
    ] {
        let mut bench = Bench::dialer(east());
        bench.hear(&hello(&digest)).hear(&line);
        bench.refused(says, Cause::Border);
    }
    // Nobody begins with rules.
    let mut bench = Bench::dialer(east());
    bench.hear(&first);
    assert!(bench.closed && bench.given.is_empty());
    let mut bench = Bench::acceptor(east());
    bench.hear(CONNECT).hear(&first);
    assert!(bench.closed && bench.given.is_empty());
}

#[test]
fn rules_without_end_are_not_remembered() {
    let (first, _, digest) = two_parts();
    let at = first.find("\"entries\":").unwrap();
    let lot = vec!["{\"subject\":\"a\"}"; 3000].join(",");
    let mut bench = Bench::dialer(east());
    bench.hear(&hello(&digest));
    let mut part = 0;
    while !bench.closed && part < 40 {
        part += 1;
        let head = first[..at].replace("\"part\":1,\"parts\":2", &format!("\"part\":{part},\"parts\":200000"));
        bench.hear(&format!("{head}\"entries\":[{lot}]}}}}\r\n"));
    }
    assert_eq!(part, 34);
    bench.refused("more than 100000 border rules in one block", Cause::Border);
}

#[test]
fn a_link_or_a_route_over_which_rules_come_wrongly_is_ended() {
    let (first, second, digest) = two_parts();
    let json = |line: &str| line.strip_prefix("INFO ").unwrap().trim_end().as_bytes().to_vec();
    let mut lines = hostile();
    lines.push((hello("x"), "a border that is no digest"));
    lines.push((hello(&"0".repeat(32)), "a border without its rules"));
    for inbound in [true, false] {
        for (line, says) in &lines {
            let mut bench = if inbound { Bench::acceptor(east()) } else { Bench::dialer(east()) };
            if inbound {
                bench.hear(CONNECT);
            }
            bench.hear(&hello("")).hear("PONG\r\n");
            assert_eq!(bench.given.len(), 1);
            bench.informed(&json(&first));
            assert_eq!(bench.end(), None, "{:?}", bench.log);
            bench.informed(&json(line));
            assert_eq!(bench.end().as_deref(), Some(*says), "{line}");
            assert!(bench.log.iter().any(|(_, text)| text.contains("gateway connection: ") && text.contains(says)));
        }
        let mut bench = if inbound { Bench::acceptor(east()) } else { Bench::dialer(east()) };
        bench.hear(CONNECT);
        if !inbound {
            bench = Bench::dialer(east());
        }
        bench.hear(&hello("")).hear("PONG\r\n");
        [&first, &second].into_iter().for_each(|line| bench.informed(&json(line)));
        assert_eq!(bench.end(), None);
    }
    for (line, says) in &lines[..lines.len() - 2] {
        let mut world = World::new();
        world.start(0, "E", gateway("west", &[]));
        let member = |border: &str| RouteNews::Member {
            peer: PeerId(7),
            server_id: "M".into(),
            server_name: "m".into(),
            gateway_url: "10.0.0.9:7222".into(),
            reaches: Vec::new(),
            pools: false,
            borders: true,
            border: border.into(),
        };
        world.machine(0).route_news(member(&digest));
        for line in [&first, line] {
            world.machine(0).route_news(RouteNews::Gossip { peer: PeerId(7), json: json(line) });
        }
        world.tick(0);
        assert_eq!(world.nodes[0].left, [(7, (*says).to_owned())], "{line}");
        assert!(world.said(0, "server \"m\" (M) of this cluster sent ") == 1, "{:#?}", world.nodes[0].log);
        world.machine(0).route_news(member("no digest"));
        world.tick(0);
        assert_eq!(world.nodes[0].left.last(), Some(&(7, "a border that is no digest".to_owned())));
    }
}
