//! What is written, what becomes of it, and what is said where it is wrong. Recorded from nats-server 2.15.2 where not
//! said otherwise.

use crate::interest::permit::{Lists, Permissions, Responses};
use crate::policy::source::Text;
use crate::policy::{load, Auth, Invalid, Loaded};
use std::path::Path;

fn conf(text: &str) -> Result<Loaded, Vec<Invalid>> {
    load(Path::new("f.conf"), &mut Text(text))
}

fn auth(text: &str) -> Auth {
    conf(text).unwrap_or_else(|e| panic!("{text}: {e:#?}")).settings.auth
}

/// What the user of this name may do.
fn of(auth: &Auth, user: &str) -> Option<Permissions> {
    let at = auth.users.iter().position(|u| u.name == user).unwrap();
    let id = auth.permits.of_user(Some(at as u32))?;
    Some(auth.permits.get(id).unwrap().written().clone())
}

/// What a user may do of whom this is written.
fn may(permissions: &str) -> Permissions {
    let auth = auth(&format!("authorization {{users: [{{user: u, password: p, permissions: {permissions}}}]}}"));
    of(&auth, "u").unwrap()
}

/// `a|b q` as a list of what is allowed, `-` for none; a second one of what is denied.
fn lists(lists: &Lists) -> (String, String) {
    let words = |entries: &[crate::interest::permit::Entry]| {
        let word = |e: &crate::interest::permit::Entry| {
            let all = [&e.subject[..], b" ", &e.queue].concat();
            String::from_utf8(all).unwrap().trim_end().to_string()
        };
        entries.iter().map(word).collect::<Vec<_>>().join("|")
    };
    (lists.allow.as_deref().map_or("-".into(), words), words(&lists.deny))
}

#[test]
fn every_spelling_of_a_list() {
    for (text, allow, deny) in [
        ("a", "a", ""),
        ("[a, \"b.>\"]", "a|b.>", ""),
        ("{allow: a}", "a", ""),
        ("{Allow: [a, b], DENY: c}", "a|b", "c"),
        ("{deny: [c, d]}", "-", "c|d"),
        ("{}", "-", ""),
        ("[]", "-", ""),
        ("{allow: [], deny: x}", "-", "x"),
    ] {
        for name in ["publish", "pub", "import"] {
            let p = may(&format!("{{{name}: {text}}}"));
            assert_eq!(lists(&p.publish), (allow.into(), deny.into()), "{text}");
            assert_eq!(p.subscribe, Lists::default());
        }
        for name in ["subscribe", "sub", "export"] {
            let p = may(&format!("{{{name}: {text}}}"));
            assert_eq!(lists(&p.subscribe), (allow.into(), deny.into()), "{text}");
            assert_eq!(p.publish, Lists::default());
        }
    }
    let p = may("{subscribe: {allow: [\"a q\", \" b   q.* \"], deny: [\"c >\"]}}");
    assert_eq!(lists(&p.subscribe), ("a q|b q.*".into(), "c >".into()));
    assert_eq!(may("{}"), Permissions::default());
}

#[test]
fn answers() {
    let of = |text: &str| may(&format!("{{allow_responses: {text}}}")).responses;
    let with = |max, within_ns| Some(Responses { max, within_ns });
    let minute = 60_000_000_000;
    assert_eq!(of("true"), Some(Responses::DEFAULT));
    assert_eq!(of("false"), None);
    assert_eq!(of("{}"), with(Some(1), Some(2 * minute)));
    for max in ["max", "max_msgs", "max_messages", "max_responses"] {
        assert_eq!(of(&format!("{{{max}: 5}}")), with(Some(5), Some(2 * minute)));
    }
    for expires in ["expires", "expiration", "ttl"] {
        assert_eq!(of(&format!("{{max: -1, {expires}: \"1m\"}}")), with(None, Some(minute)));
    }
    assert_eq!(of("{max: 0, ttl: \"0s\"}"), Some(Responses::DEFAULT));
    assert_eq!(of("{max: 9999999999, ttl: \"-1s\"}"), with(Some(u32::MAX), None));
    // Whatever is first, all but answers and what is allowed in so many words is denied.
    for text in [
        "{allow_responses: true}",
        "{allow_responses: true, publish: {deny: z}}",
        "{publish: {deny: z}, publish_allow_responses: true}",
        "{publish: {allow: []}, allow_responses: true}",
    ] {
        assert_eq!(may(text).publish.allow, Some(vec![]), "{text}");
    }
    assert_eq!(lists(&may("{publish: a, allow_responses: true}").publish).0, "a");
}

#[test]
fn users_who_have_none_of_their_own_have_those_of_all_and_equal_ones_are_one() {
    let a = auth(
        "authorization {users: [{user: a, password: p}, {user: b, password: p, permission: {sub: z}}, \
         {user: c, password: p, authorization: {}}], default_permissions: {publish: x}}\n\
         accounts {A {default_permissions {publish: y}, users: [{user: d, password: p}, \
         {user: e, password: p, permissions: {pub: [x]}}]}, B {users: [{user: f, password: p}]}}",
    );
    let publish = |user| of(&a, user).map(|p| lists(&p.publish).0);
    assert_eq!(publish("a").as_deref(), Some("x"));
    assert_eq!(publish("b").as_deref(), Some("-"));
    assert_eq!(of(&a, "c"), Some(Permissions::default()));
    assert_eq!(publish("d").as_deref(), Some("y"));
    assert_eq!(publish("e").as_deref(), Some("x"));
    assert_eq!(publish("f"), None);
    assert_eq!(a.permits.len(), 4, "a and e have the same");
    let id = |name| a.permits.of_user(a.users.iter().position(|u| u.name == name).map(|i| i as u32));
    assert_eq!(id("a"), id("e"));
    assert_eq!(a.permits.of_user(None), None);
}

#[test]
fn mistakes_are_told_in_nats_servers_words_and_where_they_are() {
    for (text, column, expected) in [
        ("3", 4, "Expected permissions to be a map/struct, got an integer"),
        ("false", 4, "Expected permissions to be a map/struct, got a boolean"),
        ("[a]", 4, "Expected permissions to be a map/struct, got an array"),
        ("{bogus: 1}", 18, "unknown field \"bogus\""),
        ("{publish: 3}", 18, "Expected subject permissions to be a subject, or array of subjects, got an integer"),
        ("{publish: {bogus: a}}", 28, "unknown field \"bogus\""),
        ("{publish: {allow: {}}}", 28, "Expected subject permissions to be a subject, or array of subjects, got a map"),
        ("{publish: [a, 3 ]}", 31, "Subject in permissions array cannot be cast to string"),
        ("{publish: \"a..b\"}", 18, "subject \"a..b\" is not a valid subject"),
        ("{publish: \"a.>.b\"}", 18, "subject \"a.>.b\" is not a valid subject"),
        ("{subscribe: \"\"}", 18, "subject \"\" is not a valid subject"),
        ("{subscribe: [\"  \" ]}", 30, "subject \"  \" is not a valid subject"),
        ("{subscribe: [\"a..b q\" ]}", 30, "subject \"a..b\" is not a valid subject"),
        ("{subscribe: [x, \"a b c\" ]}", 33, "subject \"a b c\" is not a valid subject"),
        ("{subscribe: {deny: \"a q..x\"}}", 30, "queue \"q..x\" is not a valid queue"),
        ("{publish: {deny: [\"a q\" ]}}", 35, "subject \"a q\" is not a valid subject"),
        ("{allow_responses: 3}", 18, "error parsing response permissions, expected a boolean or a map"),
        ("{allow_responses: {ttl: 5}}", 36, "error parsing expires, not a duration string"),
        ("{allow_responses: {ttl: \"x\"}}", 36, "error parsing expires: time: invalid duration \"x\""),
        ("{allow_responses: {bogus: 5}}", 36, "unknown field \"bogus\""),
        ("{allow_responses: {max: 1.5}}", 36, "max: expected an integer, found a number with a fraction"),
        // There which of the two counts changes from one start to the next.
        ("{pub: a, publish: b}", 26, "publish stands here under one name and at f.conf:3 under another: keep one"),
    ] {
        let errors = conf(&format!("authorization {{\n users: [{{user: u, password: p,\n   permissions: {text}}}]}}"))
            .expect_err(text);
        assert_eq!(errors.len(), 1, "{text}: {errors:#?}");
        let e = &errors[0];
        assert_eq!((e.file.as_str(), e.line, e.column, e.text.as_str()), ("f.conf", 3, column, expected), "{text}");
    }
}

#[test]
fn permissions_that_would_hold_for_nobody_are_refused() {
    // nats-server lets everybody do everything here.
    for text in [
        "authorization {user: u, password: p, permissions: {publish: a}}",
        "authorization {token: t, default_permissions: {publish: a}}",
        "authorization {default_permission: {publish: a}}\naccounts {A {users: [{user: u, password: p}]}}",
    ] {
        let errors = conf(text).expect_err(text);
        assert!(errors.len() == 1 && errors[0].text.contains("would hold for nobody"), "{text}: {errors:#?}");
    }
    assert!(conf("authorization {default_permissions: {publish: a}}").is_ok());
    assert!(conf("accounts {A {default_permissions: {publish: a}}}").is_ok());
}

#[test]
fn what_is_most_likely_not_meant_is_warned_about() {
    let warnings = |permissions: &str| {
        let text =
            format!("authorization {{\n users: [{{user: u, password: \"$2a$11$xxx\", permissions: {permissions}}}]}}");
        conf(&text).unwrap().settings.warnings
    };
    assert_eq!(warnings("{publish: {allow: [a], deny: []}, subscribe: {deny: \"a q\"}}"), Vec::<String>::new());
    assert_eq!(
        warnings("{publish: []}"),
        ["f.conf:2: publish: an empty list of what is allowed allows everything: to deny all, deny \">\""]
    );
    assert_eq!(warnings("{publish: [], allow_responses: true}"), Vec::<String>::new());
    let inner = warnings("{subscribe: {deny: [\"secret*\"]}}");
    assert!(inner.len() == 1 && inner[0].contains("in \"secret*\" a wildcard within a token"), "{inner:?}");
    let many: Vec<String> = (0..100).map(|i| format!("\"a{i}*\"")).collect();
    assert!(warnings(&format!("{{publish: [{}]}}", many.join(", "))).len() <= 20);
}
