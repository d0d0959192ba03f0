//! The grammar, row by row (operations.md §2): what nats-server 2.15.2 made of each text, and what we make of it; then
//! what is ours alone: places, includes, limits.

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

/// Text, and what nats-server 2.15.2 reads: its tree, or `None` for a parse error.
#[rustfmt::skip]
const RECORDED: &[(&str, Option<&str>)] = &[
    ("a == 1", None),
    ("a := 1", None),
    ("a 1", Some("{a:1}")),
    ("a\n1", Some("{a:1}")),
    ("a =\n1", None),
    ("a:\n1", None),
    ("a\n\n1", Some("{a:1}")),
    ("a", None),
    ("a\n", None),
    ("a b c", None),
    ("a=1 b=2", None),
    ("a=1,b=2", Some("{a:1,b:2}")),
    ("a=1;b=2", Some("{a:1,b:2}")),
    ("a=1,,b=2", Some("{,b:2,a:1}")),
    (",a=1", Some("{,a:1}")),
    ("a=1,", Some("{a:1}")),
    ("a=1;\n", Some("{a:1}")),
    ("cluster{name:c}", Some("{cluster{name:\"c\"}")),
    ("cluster {name:c}", Some("{cluster:{name:\"c\"}}")),
    ("cluster{\nname:c\n}", Some("{cluster{:\"name:c\"}")),
    ("cluster:{name:c}", Some("{cluster:{name:\"c\"}}")),
    ("cluster={name:c}", Some("{cluster:{name:\"c\"}}")),
    ("cluster\n{name:c}", Some("{cluster:{name:\"c\"}}")),
    ("cluster=\n{name:c}", None),
    ("a {b=1 c=2}", None),
    ("a {b=1}", Some("{a:{b:1}}")),
    ("a {b=1,}", Some("{a:{b:1}}")),
    ("a {b=1;}", Some("{a:{b:1}}")),
    ("a {b=1},c=2", Some("{a:{b:1},c:2}")),
    ("a {b=1} c=2", None),
    ("a {b=1}c=2", None),
    ("{a=1}", Some("{a:1}")),
    ("{a:1,b:2}", Some("{a:1,b:2}")),
    ("{a=1} ", Some("{a:1}")),
    ("{a=1} x", None),
    ("{a=1}\nb=2", Some("{a:1,b:2}")),
    ("{\"a\":1,\"b\":[1,2]}", None),
    ("{\"a\":1,\"b\":[1,2 ]}", Some("{a:1,b:[1,2]}")),
    ("{\"a\":{\"b\":\"c\"}}", Some("{a:{b:\"c\"}}")),
    ("a=[1,2,3]", None),
    ("a=[1,2,3 ]", Some("{a:[1,2,3]}")),
    ("a=[1,2,3,]", Some("{a:[1,2,3]}")),
    ("a=[a,b]", Some("{a:[\"a\",\"b\"]}")),
    ("a=[a b]", None),
    ("a=['a' 'b']", None),
    ("a=[,]", None),
    ("a=[1,,2]", None),
    ("a=[]", Some("{a:[]}")),
    ("a=[ ]", Some("{a:[]}")),
    ("a=[\n1\n2\n]", Some("{a:[1,2]}")),
    ("a=[\n1\n\n2\n]", Some("{a:[1,2]}")),
    ("a=[1\n,2\n]", None),
    ("a=[1,\n2\n,\n]", None),
    ("a=[[1],[2]]", None),
    ("a=[[1 ],[2 ]]", Some("{a:[[1],[2]]}")),
    ("a=[{b=1},{b=2}]", Some("{a:[{b:1},{b:2}]}")),
    ("a=[{b=1}\n{b=2}]", Some("{a:[{b:1},{b:2}]}")),
    ("a=[{b=1} {b=2}]", None),
    ("a [ 1 ]", Some("{a:[1]}")),
    ("a[1 ]", None),
    ("a=[ # c\n1 # d\n]", Some("{a:[1]}")),
    ("a=[ // c\n1 // d\n]", Some("{a:[1]}")),
    ("a=foo#bar", Some("{a:\"foo#bar\"}")),
    ("a=foo #bar", Some("{a:\"foo\"}")),
    ("a=foo//bar", Some("{a:\"foo//bar\"}")),
    ("a=nats://h:1", Some("{a:\"nats://h:1\"}")),
    ("a=1#c", Some("{a:\"1#c\"}")),
    ("a=1 #c", Some("{a:1}")),
    ("a=1//c", Some("{a:\"1//c\"}")),
    ("a=true#c", Some("{a:\"true#c\"}")),
    ("a={#c\nb=1 //d\n}", Some("{a:{b:1}}")),
    ("#x\na=1", Some("{a:1}")),
    ("//x\na=1", Some("{a:1}")),
    ("/x\na=1", None),
    ("a= #x\n1", None),
    ("a=\"x\"#c", Some("{a:\"x\"}")),
    ("a=\"x\"y", None),
    ("a=\"x\" y", None),
    ("'a'=1", Some("{a:1}")),
    ("\"a b\"=1", Some("{a b:1}")),
    ("\"a b\" 1", Some("{a b:1}")),
    ("a b=1", Some("{a:\"b=1\"}")),
    ("a.b-c$*>=1", Some("{a.b-c$*>:1}")),
    ("a\\tb=1", Some("{a\\tb:1}")),
    ("a=b\\tc", Some("{a:\"b\\tc\"}")),
    ("a=b\\qc", None),
    ("a=\"b\\qc\"", None),
    ("a=\"\\x41\"", Some("{a:\"A\"}")),
    ("a=\"\\xZZ\"", None),
    ("a=\"\\\"\"", Some("{a:\"\\\"\"}")),
    ("a=\"x\ny\"", Some("{a:\"x\\ny\"}")),
    ("a='x\ny'", Some("{a:\"x\\ny\"}")),
    ("a='x\\ty'", Some("{a:\"x\\\\ty\"}")),
    ("a='it\\'s'", None),
    ("a=\"unterminated", None),
    ("a='unterminated", None),
    ("a=(\nfoo\nbar\n)\nb=1", Some("{a:\"\\nfoo\\nbar\\n\",b:1}")),
    ("a=(\n  foo\n  )\nb=1", None),
    ("a=( foo )", None),
    ("a=(\nfoo\n) b=1", None),
    ("a=(\nfoo (x)\n)\n", Some("{a:\"\\nfoo (x)\\n\"}")),
    ("a (\nx\n)\n", Some("{a:\"\\nx\\n\"}")),
    ("a=()", None),
    ("a=(x\n)\n", Some("{a:\"x\\n\"}")),
    ("a=TRUE", Some("{a:true}")),
    ("a=Yes", Some("{a:true}")),
    ("a=off", Some("{a:false}")),
    ("a='true'", Some("{a:\"true\"}")),
    ("a=truex", Some("{a:\"truex\"}")),
    ("a=yesno", Some("{a:\"yesno\"}")),
    ("a=12", Some("{a:12}")),
    ("a=-12", Some("{a:-12}")),
    ("a=+1", Some("{a:\"+1\"}")),
    ("a=007", Some("{a:7}")),
    ("a=1k", Some("{a:1000}")),
    ("a=1kb", Some("{a:1024}")),
    ("a=1KiB", Some("{a:1024}")),
    ("a=1Ki", Some("{a:1024}")),
    ("a=1m", Some("{a:1000000}")),
    ("a=64MB", Some("{a:67108864}")),
    ("a=1g", Some("{a:1000000000}")),
    ("a=1t", Some("{a:1000000000000}")),
    ("a=1p", Some("{a:1000000000000000}")),
    ("a=1e", Some("{a:1000000000000000000}")),
    ("a=1E", Some("{a:1000000000000000000}")),
    ("a=1eb", Some("{a:1152921504606846976}")),
    ("a=1.5k", None),
    ("a=1.5", Some("{a:1.5}")),
    ("a=.5", None),
    ("a=5.", None),
    ("a=-1.5", Some("{a:-1.5}")),
    ("a=1.5.6", Some("{a:\"1.5.6\"}")),
    ("a=1.2.3.4:5", Some("{a:\"1.2.3.4:5\"}")),
    ("a=127.0.0.1:4222", Some("{a:\"127.0.0.1:4222\"}")),
    ("a=:4222", Some("{a:\":4222\"}")),
    ("a=*:4222", Some("{a:\"*:4222\"}")),
    ("a=[::1]:4222", None),
    ("a=\"[::1]:4222\"", Some("{a:\"[::1]:4222\"}")),
    ("a=10s", Some("{a:\"10s\"}")),
    ("a=2m", Some("{a:2000000}")),
    ("a=1h", Some("{a:\"1h\"}")),
    ("a=2m30s", Some("{a:\"2m30s\"}")),
    ("a=100ms", Some("{a:\"100ms\"}")),
    ("a=1h30m", Some("{a:\"1h30m\"}")),
    ("a=-", None),
    ("a=-x", None),
    ("a=--1", None),
    ("a=2026-01-02T03:04:05Z", Some("{a:2026-01-02T03:04:05Z}")),
    ("a=2026-01-02", None),
    ("a=null", Some("{a:\"null\"}")),
    ("a=99999999999999999999", None),
    ("a=9223372036854775807", Some("{a:9223372036854775807}")),
    ("a=9223372036854775808", None),
    ("a=9223372036854775807k", Some("{a:-1000}")),
    ("a=12abc", Some("{a:\"12abc\"}")),
    ("a=1x", Some("{a:\"1x\"}")),
    ("a=1 2", None),
    ("a=1kx", Some("{a:\"1kx\"}")),
    ("a=1kbx", Some("{a:\"1kbx\"}")),
    ("a=64MBx", Some("{a:\"64MBx\"}")),
    ("a=$b", None),
    ("b=1\na=$b", Some("{a:1,b:1}")),
    ("b=1\na={b=2\nc=$b}", Some("{a:{b:2,c:2},b:1}")),
    ("b=1\na={c=$b}", Some("{a:{c:1},b:1}")),
    ("a={b=1}\nc=$b", None),
    ("a=$a", None),
    ("a=$HOME", Some("{a:\"/root\"}")),
    ("b=x\na=$b.y", None),
    ("b=x\na=\"$b\"", Some("{a:\"$b\",b:\"x\"}")),
    ("a=$2a$11$abc", Some("{a:\"$2a$11$abc\"}")),
    ("a=$2b$11$abc", None),
    ("a=$2a", None),
    ("a=$", None),
    ("a=$SYS", None),
    ("a=[$b]", None),
    ("b=1\na=[$b]", Some("{a:[1],b:1}")),
    ("b=1\na=[$b,$b]", Some("{a:[1,1],b:1}")),
    ("a=1\na=2", Some("{a:2}")),
    ("A=1\na=2", Some("{A:1,a:2}")),
    ("a={b=1}\na={c=2}", Some("{a:{c:2}}")),
    ("", Some("{}")),
    ("  \n", Some("{}")),
    ("# only", Some("{}")),
    ("include", None),
    ("include=1", Some("{include:1}")),
    ("include: 'x'", Some("{include:\"x\"}")),
    ("a=include", Some("{a:\"include\"}")),
    ("a=\u{1}", Some("{a:\"\\x01\"}")),
    ("\u{0}=1", None),
    ("a=\u{0}", Some("{a:\"\"}")),
    ("a=é", Some("{a:\"é\"}")),
    ("é=1", Some("{é:1}")),
    ("\u{feff}a=1", Some("{\u{feff}a:1}")),
    ("a=1\r\nb=2\r\n", Some("{a:1,b:2}")),
    ("a\r\n1\r\n", Some("{a:1}")),
    ("a=x\r\nb=y\r\n", Some("{a:\"x\",b:\"y\"}")),
    ("}", Some("{}")),
    ("a}", None),
    ("a={", None),
    ("a=[", None),
    ("a={b", None),
    ("a={b}", None),
    ("a={b\n}", Some("{b:{}}")),
    ("a={b=}", Some("{b:{}}")),
    ("a=", Some("{a:\"\"}")),
    ("=1", None),
    (":1", None),
    ("a=}", Some("{a:\"\"}")),
    ("a=]", None),
    ("[1]", None),
    ("a=1]", Some("{a:\"1]\"}")),
    ("a=x]", None),
    ("a=x}", Some("{a:\"x\"}")),
    ("a={b=x}", Some("{a:{b:\"x\"}}")),
    ("a={b=x}}", Some("{a:{b:\"x\"}}")),
    ("a = {b = [1 ]}", Some("{a:{b:[1]}}")),
    ("a=\"\"", Some("{a:\"\"}")),
    ("a=''", Some("{a:\"\"}")),
    ("''=1", Some("{:1}")),
    ("a=b:c", Some("{a:\"b:c\"}")),
    ("a=b=c", Some("{a:\"b=c\"}")),
    ("a:b:c", Some("{a:\"b:c\"}")),
    ("a=b{c", Some("{a:\"b{c\"}")),
    ("a=b[c", Some("{a:\"b[c\"}")),
    ("a=b(c", Some("{a:\"b(c\"}")),
    ("a=1{", Some("{a:\"1{\"}")),
    ("a=%", Some("{a:\"%\"}")),
    ("a=@x", Some("{a:\"@x\"}")),
    ("a=<x>", Some("{a:\"<x>\"}")),
    ("a b\nc d", Some("{a:\"b\",c:\"d\"}")),
    ("a  =  b  \n c = d", Some("{a:\"b\",c:\"d\"}")),
    ("a\tb", Some("{a:\"b\"}")),
    ("a\t=\tb\t", Some("{a:\"b\"}")),
    ("listen: 127.0.0.1:-1", Some("{listen:\"127.0.0.1:-1\"}")),
    ("a = 1 /* c */", None),
    ("a \"b\" c", None),
    ("a 'b'\nc 'd'", Some("{a:\"b\",c:\"d\"}")),
    ("a {b: 1 }\n c {d: 1}", Some("{a:{b:1},c:{d:1}}")),
    ("a: {b: 1 c}", None),
    ("a=true}", Some("{a:true}")),
    ("a=t", Some("{a:\"t\"}")),
    ("a=tru", Some("{a:\"tru\"}")),
    ("a=on1", Some("{a:\"on1\"}")),
    ("a=10 s", None),
    ("a=1_000", Some("{a:\"1_000\"}")),
    ("a=0x10", Some("{a:\"0x10\"}")),
    ("a=1e5", Some("{a:\"1e5\"}")),
    ("a=$b$c", None),
    ("a= 'x' # c\nb=1", Some("{a:\"x\",b:1}")),
    ("a=x ,b=y", Some("{a:\"x\",b:\"y\"}")),
    ("a=x;b=y", Some("{a:\"x\",b:\"y\"}")),
    ("a=[x;y]", None),
    ("a=['x';'y']", None),
    ("a=(\nx\n)", Some("{a:\"\\nx\\n)\"}")),
    ("a = {}", Some("{a:{}}")),
    ("a {}", Some("{a:{}}")),
    ("a {} b {}", None),
    ("a {}, b {}", Some("{a:{},b:{}}")),
    ("a={b={c={d=1}}}", Some("{a:{b:{c:{d:1}}}}")),
    ("a=[[]]", Some("{a:[[]]}")),
    ("a=[[a],[b]]", Some("{a:[[\"a\"],[\"b\"]]}")),
    ("a=[1,2]\nb=2", None),
    ("a=[1k,2k]", Some("{a:[1000,\"2k\"]}")),
    ("a=[true,false]", Some("{a:[true,false]}")),
    ("a=[1.5,2]", None),
    ("users=[{user:a,password:b},{user:c,password:$2a$11$x}]", Some("{users:[{password:\"b\",user:\"a\"},{password:\"$2a$11$x\",user:\"c\"}]}")),
    ("a='x'}", Some("{a:\"x\"}")),
    ("a=\"x\"]", None),
    ("b:$HOME/foo", None),
    ("a=foo/bar//baz", Some("{a:\"foo/bar//baz\"}")),
    ("a=x\\", None),
    ("a=x\\\ny", None),
    ("a=\\x41", Some("{a:\"A\"}")),
    ("a=\\\"x", Some("{a:\"\\\"x\"}")),
    ("a=\"\\t\\n\\r\\\\\"", Some("{a:\"\\t\\n\\r\\\\\"}")),
    ("a 'b' # c", Some("{a:\"b\"}")),
    ("a=[\n  'x', # one\n  'y'  // two\n]", Some("{a:[\"x\",\"y\"]}")),
    ("a {\n b = 1\n c : 2\n d 3\n}", Some("{a:{b:1,c:2,d:3}}")),
    ("a: { b: [ { c: 1 }, { c: 2 } ], d: x }", Some("{a:{b:[{c:1},{c:2}],d:\"x\"}}")),
    ("routes = [nats://a:1,nats://b:2]", Some("{routes:[\"nats://a:1\",\"nats://b:2\"]}")),
    ("a.b { c=1 }", Some("{a.b:{c:1}}")),
    ("a =1", Some("{a:1}")),
    ("a= 1", Some("{a:1}")),
    ("a :1", Some("{a:1}")),
    ("p=64MB\na=$p", Some("{a:67108864,p:67108864}")),
    ("l=['x','y']\na=$l", Some("{a:[\"x\",\"y\"],l:[\"x\",\"y\"]}")),
    ("m={x=1}\na=$m", Some("{a:{x:1},m:{x:1}}")),
    ("a=-5k", Some("{a:-5000}")),
    ("a=1KB,b=2MiB;c=3gi", Some("{a:1024,b:2097152,c:3221225472}")),
    ("a=FALSE\nb=No\nc=ON", Some("{a:false,b:false,c:true}")),
    ("a={\n# only\n}", Some("{a:{}}")),
    ("a=1.25,b=-0.5", Some("{a:1.25,b:-0.5}")),
    ("\ta\t=\t1\t\n", Some("{a:1}")),
    ("a = \"#x\" # y", Some("{a:\"#x\"}")),
    ("a=x#", Some("{a:\"x#\"}")),
    ("a=x//", Some("{a:\"x//\"}")),
    ("(\nx\n)=1", Some("{(:\"x\",):1}")),
    ("a=10S", Some("{a:\"10S\"}")),
    ("a=1H", Some("{a:\"1H\"}")),
    ("a=1TB", Some("{a:1099511627776}")),
    ("a=08", Some("{a:8}")),
    ("a=-007", Some("{a:-7}")),
    ("a=1.0", Some("{a:1.0}")),
    ("a=1ki ", Some("{a:1024}")),
    ("a=12:34", Some("{a:\"12:34\"}")),
    ("a=1-2", None),
    ("a=5,b=6 }", Some("{a:5,b:6}")),
    ("a{b=1}}\n", Some("{a{b:1}")),
    ("m {a:\nb}", Some("{m:{a:\"b\"}}")),
    ("m {a =\nb\n}", Some("{m:{a:\"b\"}}")),
    ("m {a:\n\n -1\n}", Some("{m:{a:-1}}")),
    ("m {a:\n-1k, b: 2}", Some("{m:{a:-1000,b:2}}")),
    ("{a:\nb}", None),
    ("- : 1", Some("{-:1}")),
    ("a: b\n - c", Some("{-:\"c\",a:\"b\"}")),
    ("a: b # c\n - d\n - e", Some("{-:\"e\",a:\"b\"}")),
    ("a: #c\n - d", Some("{-:\"d\",a:\"#c\"}")),
    ("m {a:\n#c\n - d}", Some("{m:{-:\"d\",a:\"#c\"}}")),
    ("m {a:\n//c\n - d}", Some("{m:{-:\"d\",a:\"//c\"}}")),
    ("a [\n - b\n]", None),
    ("a - b", None),
    ("a\n - b", None),
    ("a: - b", None),
    ("a:\n -b", None),
    ("a:\n -1", None),
    ("m {a:\n -b\n}", None),
    ("m {a:\n# c\n - b\n}", None),
];

/// Lists with dashes, which nats-server 2.15.2 refuses one and all with a parse error, and what we read.
#[rustfmt::skip]
const DASHES: &[(&str, &str)] = &[
    ("listen: 4222\nroutes:\n  - nats://192.168.1.101:4222 # Address of nats-server-2\n", "{listen:4222,routes:[\"nats://192.168.1.101:4222\"]}"),
    ("a:\n- b\n- c", "{a:[\"b\",\"c\"]}"),
    ("a =\n  - b\n", "{a:[\"b\"]}"),
    ("a :\n\t- b\n\t-\tc\n", "{a:[\"b\",\"c\"]}"),
    ("\"a\":\n - \"b c\"\n - 'd'\n", "{a:[\"b c\",\"d\"]}"),
    ("a:\r\n  - b\r\n  - c\r\nd: 1\r\n", "{a:[\"b\",\"c\"],d:1}"),
    ("a:   \n\n  - b\n\n  # two\n  - c\n\nd: 1\n", "{a:[\"b\",\"c\"],d:1}"),
    ("a:\n# one\n  // two\n - b # x\n - c // y\n - d#e\n", "{a:[\"b\",\"c\",\"d#e\"]}"),
    ("a:\n - b\n- c\n     - d\n", "{a:[\"b\",\"c\",\"d\"]}"),
    ("a:\n - 1\n - -2k\n - true\n - [x]\n - {y: 1}\n", "{a:[1,-2000,true,[\"x\"],{y:1}]}"),
    ("x=1\na:\n - $x\n", "{a:[1],x:1}"),
    ("a:\n - b\nc:\n - d", "{a:[\"b\"],c:[\"d\"]}"),
    ("cluster {\n port: -1\n routes:\n  - nats://a:1\n  - nats://b:2\n}\n", "{cluster:{port:-1,routes:[\"nats://a:1\",\"nats://b:2\"]}}"),
    ("m { a:\n - b }", "{m:{a:[\"b\"]}}"),
    ("m {\n a:\n\n  - b\n  # c\n  - d\n e: 1\n}", "{m:{a:[\"b\",\"d\"],e:1}}"),
    ("{a:\n - b\n}", "{a:[\"b\"]}"),
];

/// Entries that are pairs, and what comes of them.
#[rustfmt::skip]
const ITEMS: &[(&str, &str)] = &[
    ("a {\n - b: 1\n   c: x # y\n\n # z\n - b: 2\n}", "{a:[{b:1,c:\"x\"},{b:2}]}"),
    ("a:\n - b: 1\n   c: x\n - b: 2\nd: 3", "{a:[{b:1,c:\"x\"},{b:2}],d:3}"),
    ("a {\n # first\n - b = 1\n }\nc: 2", "{a:[{b:1}],c:2}"),
    ("m {\n a:\n  - b: 1\n c: 2\n}", "{m:{a:[{b:1}],c:2}}"),
    ("a {\n - b: 1\n   urls:\n    - x\n    - y\n   c: 3\n - b: 2 }", "{a:[{b:1,c:3,urls:[\"x\",\"y\"]},{b:2}]}"),
    ("a:\n - b: {\n c:\n  - 1\n  - 2\n}\n - b: 2", "{a:[{b:{c:[1,2]}},{b:2}]}"),
    ("a: {\n - b: 1\n - x\n}", "{a:[{b:1},\"x\"]}"),
    ("a:\n - nats://h:1\n - b: 1", "{a:[\"nats://h:1\",{b:1}]}"),
];
/// Such entries that are wrong.
#[rustfmt::skip]
const NO_ITEMS: &[&str] = &[
    "a {\n - b: 1\n c: 2\n}",
    "a {\n - b: 1, c: 2\n}",
    "a {\n - b: 1",
    "a:\n - b: 1 2\n",
];

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

/// Lines with dashes that are wrong for both.
#[rustfmt::skip]
const NO_DASHES: &[&str] = &[
    "a:\n - b c\n",
    "a:\n - b,\n - c\n",
    "m { a:\n - b, c: 1 }",
    "a:\n -\n - b\n",
    "a:\n - - b\n",
    "a:\n - # c\n",
    "a:\n - b\n]",
];

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

/// Where we read otherwise, and on purpose.
#[rustfmt::skip]
const OTHERWISE: &[(&str, Option<&str>)] = &[
    // A number may touch the bracket that ends its array (operations.md §2 allows it), and keeps its suffix.
    ("{\"a\":1,\"b\":[1,2]}", Some("{a:1,b:[1,2]}")),
    ("a=[1,2,3]", Some("{a:[1,2,3]}")),
    ("a=[[1],[2]]", Some("{a:[[1],[2]]}")),
    ("a=[1,2]\nb=2", Some("{a:[1,2],b:2}")),
    ("a=[1k,2k]", Some("{a:[1000,2000]}")),
    ("a=[1.5,2]", Some("{a:[1.5,2]}")),
    ("a=1]", None),
    // A block may end with the file.
    ("a=(\nx\n)", Some("{a:\"\\nx\\n\"}")),
    // A byte order mark is no part of the first key.
    ("\u{feff}a=1", Some("{a:1}")),
    // Slips that nats-server takes for keys or values no one meant.
    ("a=1,,b=2", None),
    (",a=1", None),
    ("cluster{name:c}", None),
    ("cluster{\nname:c\n}", None),
    ("a{b=1}}\n", None),
    ("(\nx\n)=1", None),
    ("a={b\n}", None),
    ("a={b=}", None),
    ("a=", None),
    ("a=}", None),
    ("a=\u{0}", None),
    // A comment is never a value.
    ("a: #c\n - d", None),
    ("m {a:\n#c\n - d}", None),
    ("m {a:\n//c\n - d}", None),
    // No number changes its sign.
    ("a=9223372036854775807k", None),
];

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
