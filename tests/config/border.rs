//! Borders as operators write them: the beginner's text, the other spellings, and what is said about what cannot be or is
//! hardly meant.

use super::{load_as, settings, wrong};
use std::time::{Duration, Instant};
use turnpike::interest::border::{Rule, RulePlace};
use turnpike::policy::Borders;

fn conf(inner: &str) -> String {
    format!(
        "accounts: [ORDERS]\ngateway {{\n name: east, listen: \"127.0.0.1:1\", authorization {{user: u, password: p}}\n\
         {inner}\n}}"
    )
}

fn borders(name: &str, text: &str) -> Borders {
    settings(name, text).gateway.unwrap_or_else(|| panic!("no gateway: {text}")).borders
}

fn warnings(inner: &str) -> Vec<String> {
    settings("f.conf", &conf(inner)).warnings
}

/// subject, cluster, account, deny, line
type Short<'a> = (&'a str, Option<&'a str>, Option<&'a str>, bool, u32);

fn rule((subject, cluster, account, deny, line): Short<'_>) -> Rule {
    let place = RulePlace { file: 0, line };
    let name = |n: Option<&str>| n.map(Box::from);
    Rule { subject: subject.as_bytes().into(), cluster: name(cluster), account: name(account), deny, place }
}

fn rules(all: &[Short<'_>]) -> Option<Vec<Rule>> {
    Some(all.iter().map(|r| rule(*r)).collect())
}

const BEGINNERS: &str = r#"port: 4222 # Standard NATS port for clients
gateway {
  name: "cluster-A"
  listen: 6222 # Port for gateway-to-gateway communication
  gateways {
    # Explicitly define the gateway server in cluster-B
    - host: "192.168.2.100" # IP of gw-b
      port: 6222         # Gateway listen port on gw-b
      name: "cluster-B"
  }
  exports {
    - subject: "public.>"
  }
}
# This server can also act as a regular NATS server for local clients
routes:
  - nats://192.168.1.100:4222 # Route to a server within cluster-A
"#;

#[test]
fn the_beginners_text_loads_as_written() {
    let a = settings("a.conf", BEGINNERS);
    let gateway = a.gateway.unwrap();
    assert_eq!(gateway.borders.exports, rules(&[("public.>", None, None, false, 12)]));
    assert_eq!(gateway.borders.imports, None);
    assert_eq!((gateway.listen.port, gateway.remotes[0].name.as_str()), (Some(6222), "cluster-B"));
    assert_eq!(a.cluster.unwrap().routes.len(), 1);

    let other = "exports {\n    - subject: \"public.>\"\n  }";
    let imports = "imports {\n    - subject: \"public.>\"\n      from: \"cluster-B\"\n  }";
    let b = borders("b.conf", &BEGINNERS.replace(other, imports));
    assert_eq!((b.exports, b.imports), (None, rules(&[("public.>", Some("cluster-B"), None, false, 12)])));
}

#[test]
fn a_dash_opens_an_item_and_what_follows_belongs_to_it() {
    let expected = |exports: &[Short<'_>]| {
        let imports = rules(&[("b", None, None, false, 0)]);
        Borders { exports: rules(exports), imports, ..Borders::default() }
    };
    let without_lines = |mut b: Borders| {
        b.exports.iter_mut().chain(&mut b.imports).flatten().for_each(|r| r.place.line = 0);
        b
    };
    let all =
        [("a.>", Some("west"), None, false, 0), ("a.b", None, Some("ORDERS"), true, 0), ("c", None, None, false, 0)];
    for inner in [
        // Within braces, with comments and blank lines.
        "exports {\n  # one\n  - subject: a.>\n    # its cluster\n    to: west\n\n  - subject: a.b # two\n    account: ORDERS\n    deny: true\n  - subject: c\n}\n\
         imports { - subject: b }",
        // As the value of a key; one that is not indented deeper ends it.
        "  exports:\n    - subject: a.>\n      to: west\n    - deny: yes\n      subject: a.b\n      account: ORDERS\n    - subject: c\n  imports:\n  - subject: b\n",
        // Lists, strings among them.
        "exports: [{subject: a.>, to: west}, {subject: \"a.b\", account: ORDERS, deny: true}, \"c\"]\nimports: [b]",
        "exports = [\n {subject: a.>\n to: west}\n {subject: a.b, account: ORDERS, deny: true}\n c\n]\nimports:\n - b",
    ] {
        assert_eq!(without_lines(borders("f.conf", &conf(inner))), expected(&all), "{inner}");
    }
    let toml = "accounts.ORDERS.users = []\n[gateway]\nname = \"east\"\nlisten = \"127.0.0.1:1\"\nimports = [\"b\"]\n\
        [[gateway.exports]]\nsubject = \"a.>\"\nto = \"west\"\n[[gateway.exports]]\nsubject = \"a.b\"\n\
        account = \"ORDERS\"\ndeny = true\n[[gateway.exports]]\nsubject = \"c\"\n";
    assert_eq!(without_lines(borders("f.toml", toml)), expected(&all));
    assert_eq!(borders("f.toml", toml).exports.unwrap()[1].place.line, 9);
}

#[test]
fn no_block_an_empty_one_and_replies() {
    assert_eq!(borders("f.conf", &conf("")), Borders::default());
    assert_eq!((Borders::default().reply_window, Borders::default().reply_max), (Duration::from_secs(30), None));
    for empty in ["exports {}", "exports: []", "exports {\n # nothing\n}"] {
        assert_eq!(borders("f.conf", &conf(empty)).exports, Some(vec![]), "{empty}");
        let said = ["f.conf:4: exports is empty, so nothing leaves: leave the key out if everything may"];
        assert_eq!(warnings(empty), said, "{empty}");
    }
    let replies = borders("f.conf", &conf("reply_window: \"2m\", reply_max: 7"));
    assert_eq!((replies.reply_window, replies.reply_max), (Duration::from_secs(120), Some(7)));
    assert_eq!(borders("f.conf", &conf("reply_max: 0")).reply_max, None);
}

#[test]
fn what_cannot_be_is_told_where_it_stands() {
    let at = |inner: &str| wrong(&conf(inner));
    for (subject, why) in [
        ("\"\"", "invalid subject \"\": it is empty: \">\" stands for all"),
        ("\"a b\"", "invalid subject \"a b\": it has blanks: no message has such a subject"),
        ("a.>.b", "invalid subject \"a.>.b\": > stands for all that follows and may only be last: write * for one token"),
        ("a..b", "invalid subject \"a..b\": it begins or ends with a dot, or has two in a row: take the dot out, or put a token or * beside it"),
        ("\".a\"", "invalid subject \".a\": it begins or ends with a dot, or has two in a row: take the dot out, or put a token or * beside it"),
        ("[a, b]", "subject: one entry has one subject: write an entry for each"),
        ("7", "subject: expected a string, found an integer"),
    ] {
        assert_eq!(at(&format!("exports {{\n  - to: west\n    subject: {subject}\n}}")), [format!("f.conf:6:5: {why}")]);
    }
    let long = format!("exports: [{{subject: {}}}]", "a".repeat((16 << 10) + 1));
    assert_eq!(at(&long), ["f.conf:4:12: subject is longer than 16384 bytes"]);
    for (inner, said) in [
        ("exports: [{to: west}]", "f.conf:4:11: an entry of exports has no subject: write one, \">\" stands for all"),
        ("exports: [{}]", "f.conf:4:11: an entry of exports has no subject: write one, \">\" stands for all"),
        ("imports: [{subject: a, form: west}]", "f.conf:4:24: unknown field \"form\", did you mean \"from\"?"),
        ("imports: [{subject: a, to: west}]", "f.conf:4:24: to: an import says where messages come from: write from"),
        ("imports: [{subject: a, to: []}]", "f.conf:4:24: to: an import says where messages come from: write from"),
        ("exports: [{subject: a, from: west}]", "f.conf:4:24: from: an export says where messages go: write to"),
        (
            "exports: [{subject: a, to: east}]",
            "f.conf:4:24: to names this cluster itself: name another, or leave to out for all",
        ),
        (
            "imports: [{subject: a, from: east}]",
            "f.conf:4:24: from names this cluster itself: name another, or leave from out for all",
        ),
        ("exports: [{subject: a, to: \"\"}]", "f.conf:4:24: to is empty: write a name, or leave to out"),
        ("exports: [{subject: a, to: \"a b\"}]", "f.conf:4:24: to: the name of a cluster has no blanks"),
        ("exports: [{subject: a, account: NONE}]", "f.conf:4:24: account \"NONE\" does not exist: add it to accounts"),
        ("exports: [{subject: a, deny: maybe}]", "f.conf:4:24: deny: expected a boolean, found a string"),
        ("exports: [7]", "f.conf:4:11: exports: expected an entry such as {subject: \"public.>\"}, found an integer"),
        (
            "exports: a",
            "f.conf:4:1: exports: expected a list of entries such as [{subject: \"public.>\"}], found a string",
        ),
        (
            "exports {subject: a}",
            "f.conf:4:1: exports: expected a list of entries such as [{subject: \"public.>\"}], found a map",
        ),
        (
            "exports {\n - a.b\n}",
            "f.conf:4:1: exports: an entry within braces begins with a key: write - subject: \"...\", or the list in [ ]",
        ),
        ("reply_window: \"25h\"", "f.conf:4:1: reply_window is too long, 24h is the most"),
        ("reply_window: \"-1s\"", "f.conf:4:1: reply_window must be at least 1ms"),
        ("reply_max: -1", "f.conf:4:1: reply_max must not be negative"),
        ("reply_max: many", "f.conf:4:1: reply_max: expected an integer, found a string"),
    ] {
        assert_eq!(at(inner), [said], "{inner}");
    }
    for top in ["exports { - subject: a }", "imports: []", "cluster {listen: \"127.0.0.1:1\", exports: [a]}"] {
        let key = if top.contains("imports") { "imports" } else { "exports" };
        let said = wrong(top);
        let text = format!("unknown field \"{key}\": what crosses between clusters is said in gateway");
        assert!(said.len() == 1 && said[0].ends_with(&text), "{said:?}");
    }
    // All at once.
    assert_eq!(at("exports: [{subject: a..b}, {to: west}]\nimports: [{subject: c, to: x}]").len(), 3);
}

#[test]
fn what_is_hardly_meant_is_warned_about_and_not_without_end() {
    let said = warnings(
        "exports {\n - subject: a.>\n - subject: a.b\n   to: west\n - subject: a.>\n - subject: x.>\n   deny: true\n - subject: x.y\n - \
         subject: \"foo*\"\n}",
    );
    let expected = [
        "f.conf:6: exports: \"a.b\" is within \"a.>\" at f.conf:5: it changes nothing, take it out",
        "f.conf:8: exports: \"a.>\" says the same as \"a.>\" at f.conf:5: it changes nothing, take it out",
        "f.conf:11: exports: \"x.y\" admits only what is denied by \"x.>\" at f.conf:9: it changes nothing, take it out",
        "f.conf:12: exports: in \"foo*\" a wildcard within a token is an ordinary character: * and > mean something only as whole tokens",
    ];
    assert_eq!(said, expected);
    let many: String = (0..50).map(|i| format!(" - subject: a.b{i}\n")).collect();
    let said = warnings(&format!("imports {{\n - subject: a.*\n{many}}}"));
    assert_eq!(said.len(), 11);
    assert_eq!(said[10], "imports: and 40 more entries of this kind");
    // Clusters may be learned later; nothing is said of one that is not in the list. The system account is apart.
    assert_eq!(warnings("exports: [{subject: a, to: nowhere}, {subject: >}, {subject: >, account: '$SYS'}]").len(), 1);
}

#[test]
fn a_hundred_thousand_rules_load_and_one_more_does_not() {
    let list = |n: usize| (0..n).map(|i| format!(" - subject: s.{i}.>\n   to: c{}\n", i % 500)).collect::<String>();
    let text = conf(&format!("exports {{\n{}}}", list(100_000)));
    let begun = Instant::now();
    let loaded = load_as("f.conf", text).unwrap();
    eprintln!("100,000 rules loaded in {:?}", begun.elapsed());
    assert_eq!(loaded.settings.gateway.unwrap().borders.exports.unwrap().len(), 100_000);
    let text = conf(&format!("exports {{\n{}}}", list(100_001)));
    assert_eq!(wrong(&text), ["f.conf:4:1: exports: 100001 entries are too many, 100000 is the most"]);
}
