//! Permits against a reference that goes through their entries one by one.

use super::*;
use proptest::prelude::*;

fn entry(text: &str) -> Entry {
    let (subject, queue) = text.split_once(' ').unwrap_or((text, ""));
    Entry { subject: subject.as_bytes().into(), queue: queue.as_bytes().into() }
}

fn entries(all: &[&str]) -> Vec<Entry> {
    all.iter().map(|t| entry(t)).collect()
}

fn permit(allow: Option<&[&str]>, deny: &[&str]) -> Permit {
    let lists = Lists { allow: allow.map(entries), deny: entries(deny) };
    Permit::new(Permissions { publish: lists.clone(), subscribe: lists, responses: None })
}

/// `pattern queue`, or a pattern alone.
fn may(permit: &Permit, text: &str) -> bool {
    let (pattern, queue) = text.split_once(' ').unwrap_or((text, ""));
    permit.subscribe(pattern.as_bytes(), queue.as_bytes())
}

/// The tokens `a`, `b`, `*` in all patterns of up to three, with `>` last too.
fn patterns() -> Vec<String> {
    let mut out = Vec::new();
    let mut longer = vec![String::new()];
    for _ in 0..3 {
        let mut next = Vec::new();
        for head in &longer {
            for token in ["a", "b", "*"] {
                next.push(format!("{head}{token}"));
            }
            out.push(format!("{head}>"));
        }
        out.extend(next.iter().cloned());
        longer = next.iter().map(|s| format!("{s}.")).collect();
    }
    out
}

fn subjects() -> Vec<String> {
    patterns().into_iter().filter(|p| !p.contains(['*', '>'])).collect()
}

/// Token by token, with the wildcards of `s` as ordinary tokens, or (`whole`) as wildcards that have to be contained.
fn covered(p: &str, s: &str, whole: bool) -> bool {
    let (p, s): (Vec<&str>, Vec<&str>) = (p.split('.').collect(), s.split('.').collect());
    let open = p.last() == Some(&">");
    let fixed = p.len() - usize::from(open);
    let long_enough = if open { s.len() > fixed } else { s.len() == fixed };
    long_enough && (0..fixed).all(|i| p[i] == s[i] || p[i] == "*" && !(whole && s[i] == ">"))
}

/// What the documentation says, entry by entry.
struct Naive<'t> {
    allow: Option<&'t [Entry]>,
    deny: &'t [Entry],
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

impl Naive<'_> {
    fn publish(&self, subject: &str) -> bool {
        let any = |list: &[Entry]| list.iter().any(|e| covered(text(&e.subject), subject, false));
        self.allow.is_none_or(any) && !any(self.deny)
    }

    fn delivers(&self, subject: &str, queue: &str) -> bool {
        !self.deny.iter().any(|e| {
            let about = e.queue.is_empty() || !queue.is_empty() && covered(text(&e.queue), queue, true);
            about && covered(text(&e.subject), subject, false)
        })
    }

    fn subscribes(&self, pattern: &str, queue: &str) -> bool {
        let Some(allow) = self.allow else { return self.delivers(pattern, queue) };
        let near = allow.iter().filter(|e| covered(text(&e.subject), pattern, false));
        let whole = |e: &&Entry| covered(text(&e.subject), pattern, true);
        let about_groups = !queue.is_empty() && near.clone().any(|e| !e.queue.is_empty());
        let allowed = match about_groups {
            true => near.filter(|e| !e.queue.is_empty() && covered(text(&e.queue), queue, true)).any(|e| whole(&e)),
            false => near.filter(|e| e.queue.is_empty()).any(|e| whole(&e)),
        };
        allowed && self.delivers(pattern, queue)
    }
}

/// What a set of rules may not do whatever it says, for one set.
fn check(allow: Option<&[Entry]>, deny: &[Entry], queues: &[&str], (all, plain): (&[String], &[String])) {
    let naive = Naive { allow, deny };
    let lists = Lists { allow: allow.map(<[Entry]>::to_vec), deny: deny.to_vec() };
    let permit = Permit::new(Permissions { publish: lists.clone(), subscribe: lists, responses: None });
    for subject in plain {
        assert_eq!(permit.publish(subject.as_bytes()), naive.publish(subject), "{subject} {permit:?}");
        for queue in queues {
            let delivers = permit.deliver(subject.as_bytes(), queue.as_bytes());
            assert_eq!(delivers, naive.delivers(subject, queue), "{subject} {queue} {permit:?}");
        }
    }
    for pattern in all {
        for queue in queues {
            let may = permit.subscribe(pattern.as_bytes(), queue.as_bytes());
            assert_eq!(may, naive.subscribes(pattern, queue), "{pattern} {queue} {permit:?}");
            if !may || permit.guards(pattern.as_bytes()) {
                continue;
            }
            // Nobody looks at what it is given: then none of it may be denied, to any group.
            let got = plain.iter().filter(|s| covered(pattern, s, false));
            for subject in got {
                assert!(naive.delivers(subject, queue), "{subject} by {pattern} {queue} {permit:?}");
            }
        }
    }
}

#[test]
fn every_pair_of_patterns_is_judged_as_the_documentation_says() {
    let (all, plain) = (patterns(), subjects());
    for allow in &all {
        let allow = [entry(allow)];
        check(Some(&allow), &[], &["", "q"], (&all, &plain));
        for deny in &all {
            let deny = [entry(deny)];
            check(Some(&allow), &deny, &[""], (&all, &plain));
        }
    }
    for deny in &all {
        check(None, &[entry(deny)], &["", "q"], (&all, &plain));
        check(None, &[entry(&format!("{deny} q"))], &["", "q", "other"], (&all, &plain));
        check(Some(&[entry(&format!("{deny} q"))]), &[], &["", "q", "other"], (&all, &plain));
    }
}

fn lists_of(words: Vec<(usize, usize)>, all: &[String]) -> Vec<Entry> {
    let queues = ["", "", "q", "q.a", "q.*", ">"];
    words
        .into_iter()
        .map(|(p, q)| entry(format!("{} {}", all[p % all.len()], queues[q % queues.len()]).trim_end()))
        .collect()
}

proptest! {
    #[test]
    fn so_is_any_set_of_entries_with_queue_groups(
        allow in proptest::option::of(proptest::collection::vec((0..999_usize, 0..6_usize), 0..6)),
        deny in proptest::collection::vec((0..999_usize, 0..6_usize), 0..6),
    ) {
        let (all, plain) = (patterns(), subjects());
        let allow = allow.map(|words| lists_of(words, &all));
        let deny = lists_of(deny, &all);
        check(allow.as_deref(), &deny, &["", "q", "q.a", "q.b", "x"], (&all, &plain));
    }

    #[test]
    fn nobody_is_given_what_is_denied_to_all(
        deny in proptest::collection::vec(0..999_usize, 1..6), pattern in 0..999_usize, queue in 0..3_usize,
    ) {
        let (all, plain) = (patterns(), subjects());
        let deny = lists_of(deny.into_iter().map(|p| (p, 0)).collect(), &all);
        let lists = Lists { allow: None, deny: deny.clone() };
        let permit = Permit::new(Permissions { subscribe: lists, ..Permissions::default() });
        let (pattern, queue) = (&all[pattern % all.len()], ["", "q", "q.*"][queue].as_bytes());
        if permit.subscribe(pattern.as_bytes(), queue) {
            for subject in plain.iter().filter(|s| covered(pattern, s, false)) {
                let given = !permit.guards(pattern.as_bytes()) || permit.deliver(subject.as_bytes(), queue);
                let denied = deny.iter().any(|e| covered(text(&e.subject), subject, false));
                prop_assert!(!(given && denied), "{} by {}", subject, pattern);
            }
        }
    }
}

#[test]
fn queue_groups_as_nats_server_2_15_2_has_them() {
    // Each line recorded there.
    let p = permit(Some(&["foo v1", "foo v1.*", "bar", "baz", "baz z"]), &[]);
    for (text, want) in [
        ("foo", false),
        ("foo v1", true),
        ("foo v1.x", true),
        ("foo v2", false),
        ("bar any", true),
        ("baz", true),
        ("baz y", false),
        ("baz z", true),
    ] {
        assert_eq!(may(&p, text), want, "{text}");
    }
    let p = permit(None, &["foo", "foo q"]);
    assert!(["foo q", "foo q2", "foo"].iter().all(|t| !may(&p, t)));
    let p = permit(None, &["foo q"]);
    assert!(!may(&p, "foo q") && may(&p, "foo q2") && may(&p, "foo") && may(&p, "* q"));
    assert!(!p.deliver(b"foo", b"q") && p.deliver(b"foo", b"q2") && p.deliver(b"foo", b""));
    let p = permit(Some(&["foo.> v.>", "bar *"]), &[]);
    assert!(may(&p, "foo.a v.1.2") && !may(&p, "foo.a v") && may(&p, "bar q") && !may(&p, "bar a.b"));
    let p = permit(None, &["foo.*"]);
    assert!(!may(&p, "foo.>") && !may(&p, "foo.*") && may(&p, "*.a") && !may(&p, "foo.a q"));
    // Here alone we differ: it lets `foo.>` in, and with it `foo.a.b`.
    let p = permit(Some(&["foo.*"]), &[]);
    assert!(may(&p, "foo.>.b") == may(&p, "foo.a.b") && may(&permit(Some(&["*.*.b"]), &[]), "a.>.b"), "never valid");
    assert!(!may(&p, "foo.>") && may(&p, "foo.*") && may(&p, "foo.a") && !may(&p, "*.a") && !may(&p, "foo..a"));
}

#[test]
fn who_may_publish_to_nothing_and_who_to_everything() {
    assert!(permit(None, &[]).publish(b"any") && !permit(Some(&[]), &[]).publish(b"any"));
    let p = permit(Some(&["a.>"]), &["a.b"]);
    assert!(p.publish(b"a.c") && p.publish(b"a.*") && !p.publish(b"a.b") && !p.publish(b"q") && !p.publish(b"a..b"));
}
