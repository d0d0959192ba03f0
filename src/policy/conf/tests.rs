//! The grammar, row by row (operations.md §2): what nats-server 2.15.2 made of each text, and what we make of it; then
//! what is ours alone: places, includes, limits.

mod rows;

use self::rows::{DASHES, ITEMS, NO_DASHES, NO_ITEMS, OTHERWISE, RECORDED};
use super::*;
use crate::base::limits::CONF_NESTING_MAX;
use crate::policy::tree::Value;
use std::collections::BTreeMap;
use std::io;

#[derive(Default)]
struct Memory {
    files: BTreeMap<PathBuf, String>,
    environment: BTreeMap<String, String>,
}

impl Source for Memory {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).map(|t| t.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn env(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }
}

fn memory(files: &[(&str, &str)], environment: &[(&str, &str)]) -> Memory {
    Memory {
        files: files.iter().map(|(n, t)| (n.into(), t.to_string())).collect(),
        environment: environment.iter().map(|(n, t)| (n.to_string(), t.to_string())).collect(),
    }
}

fn parse(text: &str, source: &mut Memory) -> Result<Tree, Invalid> {
    read(Path::new("f.conf"), text.as_bytes().to_vec(), source)
}

/// A tree in one line, keys sorted.
fn show(value: &Value) -> String {
    match value {
        Value::String(s) => {
            let mut out = String::from("\"");
            for c in s.chars() {
                match c {
                    '"' | '\\' => out.extend(['\\', c]),
                    '\n' => out += "\\n",
                    '\r' => out += "\\r",
                    '\t' => out += "\\t",
                    c if (c as u32) < 32 => out += &format!("\\x{:02x}", c as u32),
                    c => out.push(c),
                }
            }
            out + "\""
        }
        Value::Integer(n) => n.to_string(),
        Value::Float(f) => format!("{f:?}"),
        Value::Bool(b) => b.to_string(),
        Value::Datetime(d) => d.clone(),
        Value::Array(a) => format!("[{}]", a.iter().map(|n| show(&n.value)).collect::<Vec<_>>().join(",")),
        Value::Table(t) => {
            let mut keys: Vec<_> = t.entries().iter().map(|e| format!("{}:{}", e.key, show(&e.node.value))).collect();
            keys.sort();
            format!("{{{}}}", keys.join(","))
        }
    }
}

fn shown(text: &str) -> Result<String, Invalid> {
    parse(text, &mut memory(&[], &[("HOME", "/root")])).map(|t| show(&Value::Table(t.root)))
}

#[test]
fn entries_of_several_lines() {
    for (text, expected) in ITEMS {
        assert_eq!(shown(text).as_deref(), Ok(*expected), "{text:?}");
    }
    for text in NO_ITEMS {
        assert!(shown(text).is_err(), "{text:?} is {:?}", shown(text));
    }
    // What nats-server reads it reads as before: a dash can be a key.
    for text in ["a {\n - b\n}", "a {\n - : x\n}", "a {\n - b:\n}", "a {\n - b: # c\n}"] {
        assert!(!shown(text).is_ok_and(|s| s.contains('[')), "{text:?} is {:?}", shown(text));
    }
}

#[test]
fn lists_with_dashes_where_nats_server_sees_an_error() {
    for (text, expected) in DASHES {
        assert_eq!(shown(text).as_deref(), Ok(*expected), "{text:?}");
    }
    for text in NO_DASHES {
        assert!(shown(text).is_err(), "{text:?} is {:?}", shown(text));
    }
    let error = parse("a:\n  - b\n  - c d\n", &mut memory(&[], &[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f.conf:3:7: Parse error on line 3: expected the line to end after an entry of a list, but got 'd'"
    );
}

#[test]
fn reads_what_nats_server_reads() {
    let mut wrong = Vec::new();
    for (text, expected) in RECORDED.iter().filter(|(t, _)| !OTHERWISE.iter().any(|(o, _)| o == t)) {
        let ours = shown(text);
        if ours.as_deref().ok() != *expected {
            wrong.push(format!("{text:?}: nats-server {expected:?}, ours {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn reads_otherwise_only_where_that_is_meant() {
    for (text, expected) in OTHERWISE {
        assert_eq!(shown(text).as_deref().ok(), *expected, "{text:?}");
        let recorded = RECORDED.iter().find(|(t, _)| t == text).expect("recorded");
        assert_ne!(recorded.1, *expected, "{text:?} is no difference any more");
    }
}

#[test]
fn errors_name_the_place() {
    for (text, line, column) in
        [("a = 1\n  b = [1 2]", 2, 10), ("a {\n b = 1", 2, 7), ("x: 'a\n\nb", 1, 4), ("a = 1 2", 1, 7)]
    {
        let e = shown(text).unwrap_err();
        assert_eq!((e.file.as_str(), e.line, e.column), ("f.conf", line, column), "{text:?}: {e}");
        assert!(e.text.starts_with(&format!("Parse error on line {line}: ")), "{e}");
    }
    let mut m = memory(&[], &[]);
    let e = read(Path::new("f.conf"), b"a = 1\nb = \xff".to_vec(), &mut m).unwrap_err();
    assert_eq!(e.to_string(), "f.conf:2:5: Parse error on line 2: the file is not UTF-8");
}

#[test]
fn variables_come_from_blocks_and_then_from_the_environment() {
    let environment = [
        ("PORT", "4333"),
        ("SIZE", "64MB"),
        ("LIST", "[a, b]"),
        ("NONE", ""),
        ("BAD", "a b"),
        ("OUTER", "$PORT"),
        ("LOOP", "$LOOP"),
    ];
    let mut m = memory(&[], &environment);
    let mut value = |text: &str| parse(text, &mut m).map(|t| show(&Value::Table(t.root))).map_err(|e| e.to_string());
    assert_eq!(value("a = $PORT").unwrap(), "{a:4333}");
    assert_eq!(value("a = $SIZE").unwrap(), "{a:67108864}");
    assert_eq!(value("a = $LIST").unwrap(), "{a:[\"a\",\"b\"]}");
    assert_eq!(value("a = $NONE").unwrap(), "{a:\"\"}");
    assert_eq!(value("a = $OUTER").unwrap(), "{a:4333}");
    assert_eq!(value("PORT = 1\na { b = $PORT }").unwrap(), "{PORT:1,a:{b:1}}");
    assert!(value("a = $BAD").unwrap_err().contains("variable reference for 'BAD' on line 1 could not be parsed"));
    assert!(value("a = $LOOP").unwrap_err().contains("variable reference cycle"));
    assert_eq!(
        value("\na = $GONE").unwrap_err(),
        "f.conf:2:5: variable reference for 'GONE' on line 2 can not be found"
    );
}

#[test]
fn a_variable_is_marked_used() {
    let tree = parse("x = 1\ny = 2\na { b = $x }", &mut memory(&[], &[])).unwrap();
    let used: Vec<_> = tree.root.entries().iter().map(|e| (e.key.as_str(), e.used)).collect();
    assert_eq!(used, [("x", true), ("y", false), ("a", false)]);
}

#[test]
fn includes_are_relative_to_the_file_they_stand_in() {
    let files = [
        ("conf/a.conf", "x = 1\ninclude sub/b.conf; y = $z\nm { include 'c.conf' }"),
        ("conf/sub/b.conf", "z = 2\ninclude \"d.conf\""),
        ("conf/sub/d.conf", "d = 4"),
        ("conf/c.conf", "x = 9"),
    ];
    let mut m = memory(&files, &[]);
    let text = m.files[Path::new("conf/a.conf")].clone();
    let tree = read(Path::new("conf/a.conf"), text.into_bytes(), &mut m).unwrap();
    assert_eq!(tree.files, ["conf/a.conf", "conf/sub/b.conf", "conf/sub/d.conf", "conf/c.conf"]);
    assert_eq!(show(&Value::Table(tree.root)), "{d:4,m:{x:9},x:1,y:2,z:2}");
}

#[test]
fn includes_that_cannot_be() {
    let deep: Vec<(String, String)> = (0..20).map(|i| (format!("{i}"), format!("include '{}'", i + 1))).collect();
    let mut files: Vec<(&str, &str)> = deep.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    files.extend([("b.conf", "include f.conf"), ("f.conf", "include b.conf"), ("bad.conf", "a = 1\nb = [")]);
    let mut m = memory(&files, &[]);
    let mut wrong = |text: &str| parse(text, &mut m).unwrap_err().to_string();
    assert_eq!(wrong("include 'f.conf'"), "f.conf:1:1: include cycle: f.conf → f.conf");
    assert_eq!(wrong("include b.conf"), "b.conf:1:1: include cycle: f.conf → b.conf → f.conf");
    assert_eq!(wrong("\n include x"), "f.conf:2:2: error parsing include file 'x', open x: no such file or directory");
    assert_eq!(wrong("include '0'"), "14:1:1: files may include one another at most 16 deep");
    assert!(wrong("include bad.conf").starts_with("bad.conf:2:6: Parse error on line 2: "));
}

#[test]
fn limits_hold() {
    let nested = |n: usize| format!("{}{}", "a {\n".repeat(n), "}\n".repeat(n));
    assert!(shown(&nested(CONF_NESTING_MAX)).is_ok());
    assert_eq!(shown(&nested(CONF_NESTING_MAX + 1)).unwrap_err().line, 65);
    assert!(shown(&"a=[".repeat(1_000_000)).is_err());
    let mut m = memory(&[("x", "a = 1")], &[]);
    assert_eq!(parse(&"include x\n".repeat(CONF_FILES_MAX), &mut m).unwrap_err().line, CONF_FILES_MAX as u32);
    // Ten references in each of twenty lines would be 10^20 values.
    let bomb: String = (1..20).map(|i| format!("v{i} = [{}]\n", vec![format!("$v{}", i - 1); 10].join(", "))).collect();
    let e = shown(&format!("v0 = x\n{bomb}")).unwrap_err();
    assert!(e.text.contains("references to variables copy more than"), "{e}");
}

#[test]
fn the_digest_is_that_of_the_meaning() {
    let digest = |text: &str| parse(text, &mut memory(&[], &[])).unwrap().digest();
    let one = digest("port: 4222\nhost: 'h'");
    assert!(one.starts_with("sha256:") && one.len() == 7 + 64);
    assert_eq!(one, digest("# c\nhost = \"h\"   // d\n\n{}port 4222;".replace("{}", "").as_str()));
    assert_ne!(one, digest("port: 4223\nhost: 'h'"));
    assert_ne!(digest("a: '1'"), digest("a: 1"));
    assert_ne!(digest("a: [x, y]"), digest("a: ['x, y']"));
}
