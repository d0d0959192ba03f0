//! Tests of what gateways say: the vectors of cluster-protocol.md §2, the captured exchanges of §8, however they are cut;
//! refusals; and that what is written is read as it was meant.

use super::*;
use crate::wire::{Body, Fault, Message, Step};

const RULES: GatewayRules = GatewayRules { max_control_line: 1000, max_payload: 1000, hears: Hears::Interest };

fn told(op: &GatewayOp<'_>) -> String {
    let text = |b: &[u8]| b.escape_ascii().to_string();
    match op {
        GatewayOp::Message(m) => {
            let queues: Vec<_> = m.queues.iter().map(text).collect();
            format!("{} {} >{} {queues:?} {}", text(m.account), text(m.subject), text(m.reply), text(m.payload))
        }
        GatewayOp::Interest { account, subject, queue } => {
            format!("+ {} {} {}", text(account), text(subject), text(queue))
        }
        GatewayOp::NoInterest { account, subject, queue } => {
            format!("- {} {} {}", text(account), text(subject), text(queue))
        }
        GatewayOp::Account { account, wanted } => format!("A{} {}", if *wanted { '+' } else { '-' }, text(account)),
        GatewayOp::Info(json) => format!("info {:?}", GatewayInfo::parse(json).unwrap().command()),
        GatewayOp::Connect(json) => format!("connect {}", GatewayConnect::parse(json).unwrap().gateway),
        GatewayOp::PeerError(text) => format!("-ERR {}", text.escape_ascii()),
        op => format!("{op:?}"),
    }
}

fn play(chunks: &[&[u8]], rules: &GatewayRules) -> Vec<String> {
    let (mut parser, mut held, mut said) = (GatewayParser::default(), Vec::new(), Vec::new());
    for chunk in chunks {
        held.extend_from_slice(chunk);
        loop {
            match parser.next(&held, rules) {
                Ok(Step::Op(op, used)) => {
                    said.push(told(&op));
                    held.drain(..used);
                }
                Ok(Step::More(used)) => {
                    held.drain(..used);
                    break;
                }
                Err(f) => {
                    said.push(format!("{f:?}"));
                    return said;
                }
            }
        }
    }
    said
}

/// The same whole and cut at every byte.
fn hear(text: &str, hears: Hears) -> Vec<String> {
    let rules = GatewayRules { hears, ..RULES };
    let whole = play(&[text.as_bytes()], &rules);
    for cut in 0..text.len() {
        let (a, b) = text.as_bytes().split_at(cut);
        assert_eq!(play(&[a, b], &rules), whole, "cut at {cut}");
    }
    whole
}

#[test]
fn hashes_are_those_of_the_reference() {
    let fake = format!("N{}FAK", "FAKE".repeat(13));
    for (name, six, eight, old) in [
        ("east", "jXch21", "jXch21xU", "6bdb"),
        ("west", "uhQWFp", "uhQWFpvW", "76a7"),
        ("c1", "MynGTX", "MynGTXiX", "d0f6"),
        ("A", "NUmM6c", "NUmM6cRx", "559a"),
    ] {
        let (h6, h8): (Hash6, Hash8) = (name_hash(name), name_hash(name));
        assert_eq!((h6.as_slice(), h8.as_slice()), (six.as_bytes(), eight.as_bytes()), "{name}");
        assert_eq!(old_hash(name).as_slice(), old.as_bytes(), "{name}");
    }
    assert_eq!(fake.len(), 56);
    assert_eq!(&name_hash::<6>(&fake), b"UDWqd3");
}

#[test]
fn replies_are_mapped_and_taken_apart_again() {
    let prefix = ReplyPrefix::new("west", "some-id");
    let mapped = prefix.before(b"_INBOX.abc.1", true);
    assert_eq!(mapped.len(), REPLY_PREFIX_BYTES + 12);
    assert!(mapped.starts_with(b"_GR_.uhQWFp.") && is_mapped(&mapped));
    let server = name_hash::<6>("some-id");
    let parts = Mapped { cluster: b"uhQWFp", server: Some(&server), reply: b"_INBOX.abc.1" };
    assert_eq!(split(&mapped), Some(parts));
    let old = Mapped { cluster: b"76a7", server: None, reply: b"r" };
    assert_eq!(prefix.before(b"r", false), b"$GR.76a7.r");
    assert_eq!(split(b"$GR.76a7.r"), Some(old));
    let (own, other) = (ReplyPrefix::new("west", "some-id"), ReplyPrefix::new("west", "other-id"));
    for mapped in [parts, old] {
        assert!(own.is_of_cluster(&mapped) && other.is_of_cluster(&mapped));
        assert!(!ReplyPrefix::new("east", "some-id").is_of_cluster(&mapped));
    }
    assert!(own.is_server(&server) && !other.is_server(&server));
    for broken in [
        "_GR_",
        "_GR_.",
        "_GR_.uhQWFp",
        "_GR_.uhQWFp.",
        "_GR_.uhQWFp.123456",
        "_GR_.uhQWFp.123456.",
        "_GR_.uhQ.Fp.123456.r",
        "_GR_.uhQWFp.12345.r",
        "$GR.",
        "$GR.76a7",
        "$GR.76a7.",
        "$GR.7.a7.r",
        "_INBOX.x",
        "",
        "_GR",
        "GR.76a7.r",
    ] {
        assert_eq!(split(broken.as_bytes()), None, "{broken}");
    }
    assert!(!is_mapped(b"_GRX.a.b.c") && !is_mapped(b"_INBOX.x") && is_mapped(b"$GR.x"));
}

#[test]
fn the_accepting_side_as_captured() {
    let said = hear(
        "RS+ ACC bar q 1\r\nINFO {\"server_id\":\"\",\"port\":0,\"gateway\":\"east\",\"gateway_cmd\":2,\
         \"gateway_cmd_payload\":\"QUND\"}\r\nRS+ ACC foo\r\nINFO {\"gateway\":\"east\",\"gateway_cmd\":3,\
         \"gateway_cmd_payload\":\"QUND\"}\r\nRS- ACC baz.*\r\nRS- ACC bar q\r\nA- ACC\r\na+ \t ACC \r\nPING\r\nPONG\r\n\
         -ERR 'x'\r\n",
        Hears::Interest,
    );
    let info = ["info Some(AllSubsStart)", "info Some(AllSubsComplete)"];
    let want = [
        "+ ACC bar q",
        info[0],
        "+ ACC foo ",
        info[1],
        "- ACC baz.* ",
        "- ACC bar q",
        "A- ACC",
        "A+ ACC",
        "Ping",
        "Pong",
        "-ERR \\'x\\'",
    ];
    assert_eq!(said, want);
}

#[test]
fn the_dialing_side_as_captured() {
    let said = hear(
        "CONNECT {\"echo\":false,\"verbose\":false,\"name\":\"NB\",\"cluster\":\"\",\"gateway\":\"west\"}\r\nRMSG ACC foo 5\r\n\
         hello\r\nRMSG ACC bar | q 5\r\nqueue\r\nHMSG ACC qs + _GR_.jXch21.bg1uoR._INBOX.x.2 q 18 20\r\n\
         NATS/1.0\r\nK: v\r\n\r\nhi\r\n",
        Hears::Messages,
    );
    let want = [
        "connect west",
        "ACC foo > [] hello",
        "ACC bar > [\"q\"] queue",
        "ACC qs >_GR_.jXch21.bg1uoR._INBOX.x.2 [\"q\"] NATS/1.0\\r\\nK: v\\r\\n\\r\\nhi",
    ];
    assert_eq!(said, want);
}

#[test]
fn each_side_has_its_own_words_and_leaf_nodes_none() {
    for text in ["RS+ A b\r\n", "rs- A b\r\n", "A+ A\r\n", "A- A\r\n", "RS+ A b q 1\r\n"] {
        assert_eq!(hear(text, Hears::Messages), ["InterestFromDialer"], "{text}");
    }
    for text in ["RMSG A b 2\r\nhi\r\n", "HMSG A b 12 12\r\nNATS/1.0\r\n\r\n\r\n", "rmsg \tA b 2\r\nhi\r\n"] {
        assert_eq!(hear(text, Hears::Interest), ["MessageFromAcceptor"], "{text}");
    }
    for hears in [Hears::Interest, Hears::Messages] {
        for text in ["LMSG l A b 0 2\r\nhi\r\n", "LS+ l A b\r\n", "LS- A b\r\n", "SUB a 1\r\n", "A* x\r\n"] {
            assert_eq!(hear(text, hears), ["UnknownOperation"], "{text}");
        }
    }
    for text in
        ["RS+ A\r\n", "RS+ A b q\r\n", "RS+ A b q 1 2\r\n", "RS- A\r\n", "RS- A b q 1\r\n", "A+ \t\r\n", "A- a b\r\n"]
    {
        assert_eq!(hear(text, Hears::Interest), ["Malformed"], "{text}");
    }
    let long = format!("RS+ A {}\r\n", "x".repeat(2000));
    assert_eq!(play(&[long.as_bytes()], &RULES), ["ControlLine"]);
}

#[test]
fn what_is_written_is_read() {
    let mut out = Vec::new();
    write_interest(&mut out, b"A", b"foo", b"").unwrap();
    write_interest(&mut out, b"A", b"foo", b"q").unwrap();
    write_no_interest(&mut out, b"A", b"foo", b"q").unwrap();
    write_account(&mut out, b"A", true).unwrap();
    write_account(&mut out, b"A", false).unwrap();
    write_command(&mut out, "east", Command::AllSubsStart, b"$G").unwrap();
    assert_eq!(write_account(&mut out, b"a b", true), Err(Unsayable::Name));
    assert_eq!(write_interest(&mut out, b"a b", b"x", b""), Err(Unsayable::Name));
    assert_eq!(write_command(&mut out, "east", Command::AllSubsStart, &[b'x'; LINE_MAX]), Err(Unsayable::Line));
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("RS+ A foo q 1\r\n") && text.contains("\"gateway_cmd_payload\":\"JEc=\""), "{text}");
    let want = ["+ A foo ", "+ A foo q", "- A foo q", "A+ A", "A- A", "info Some(AllSubsStart)"];
    assert_eq!(hear(&text, Hears::Interest), want);
    let (mut names, mut out) = (Vec::new(), Vec::new());
    write_names(&mut names, b"A", b"s").unwrap();
    let message = Message { subject: b"s", reply: b"r", header: 0, size: 2, tail: b"2\r\nhi\r\n" };
    write_message(&mut out, &names, [b"q".as_slice()], &message, true).unwrap();
    assert_eq!(hear(std::str::from_utf8(&out).unwrap(), Hears::Messages), ["A s >r [\"q\"] hi"]);
    let mut body = Body::default();
    let GatewayOp::Message(m) = once(&out) else { panic!() };
    assert_eq!(m.message(&mut body).tail, b"2\r\nhi\r\n");
}

fn once(bytes: &[u8]) -> GatewayOp<'_> {
    let rules = GatewayRules { hears: Hears::Messages, ..RULES };
    match GatewayParser::default().next(bytes, &rules) {
        Ok(Step::Op(op, _)) => op,
        _ => panic!("no operation"),
    }
}

#[test]
fn an_info_is_read_as_it_is_written_and_a_command_names_its_account() {
    let info = GatewayInfo {
        server_id: "NA".into(),
        server_name: "A".into(),
        port: 7222,
        host: "h".into(),
        headers: true,
        gateway: "east".into(),
        gateway_urls: vec!["a:1".into(), "b:2".into()],
        gateway_url: "a:1".into(),
        gateway_nrp: true,
        gateway_iom: true,
        ..GatewayInfo::default()
    };
    let mut line = Vec::new();
    info.write(&mut line);
    let json = line.strip_prefix(b"INFO ").unwrap().strip_suffix(b"}\r\n").unwrap();
    assert_eq!(GatewayInfo::parse(&[json, b",\"gateway_later\":{}}"].concat()), Ok(info.clone()));
    assert_eq!((info.command(), info.account()), (None, None));
    let mut line = Vec::new();
    write_command(&mut line, "east", Command::AllSubsComplete, b"ACC").unwrap();
    let want = "INFO {\"server_id\":\"\",\"server_name\":\"\",\"version\":\"\",\"proto\":0,\"host\":\"\",\"port\":0,\
                \"headers\":false,\"max_payload\":0,\"gateway\":\"east\",\"gateway_cmd\":3,\"gateway_cmd_payload\":\"QUND\"}\r\n";
    assert_eq!(String::from_utf8_lossy(&line), want);
    let read = GatewayInfo::parse(&line[5..line.len() - 2]).unwrap();
    assert_eq!((read.command(), read.account()), (Some(Command::AllSubsComplete), Some(b"ACC".to_vec())));
    for (payload, account) in
        [("", None), ("x", None), ("JEc=", Some(b"$G".to_vec())), ("JFNZUw==", Some(b"$SYS".to_vec()))]
    {
        let info = GatewayInfo { gateway_cmd_payload: payload.into(), ..GatewayInfo::default() };
        assert_eq!(info.account(), account, "{payload}");
    }
    for wrong in ["[]", "{\"port\":70000}", "{\"gateway_cmd\":\"1\"}", "{\"gateway_urls\":[1]}", "{"] {
        assert!(GatewayInfo::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn a_connect_is_what_nats_server_says_and_hides_its_password() {
    let connect = GatewayConnect { name: "NB".into(), gateway: "west".into(), ..GatewayConnect::default() };
    let mut line = Vec::new();
    connect.write(&mut line);
    let want = "CONNECT {\"echo\":false,\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"headers\":false,\
                \"name\":\"NB\",\"cluster\":\"\",\"gateway\":\"west\"}\r\n";
    assert_eq!(String::from_utf8_lossy(&line), want);
    let guarded = GatewayConnect { user: "u".into(), pass: "secret".into(), ..connect };
    assert!(!format!("{guarded:?}").contains("secret"));
    let mut line = Vec::new();
    guarded.write(&mut line);
    assert_eq!(GatewayConnect::parse(&line[8..]), Ok(guarded));
}

#[test]
fn refusals_say_what_nats_server_says() {
    for (refusal, text) in [
        (GatewayRefusal::NoGateway, "attempted to connect to gateway port"),
        (GatewayRefusal::Unknown("east"), "Connection to gateway \"east\" rejected"),
        (GatewayRefusal::WrongPort { wanted: "east" }, "Attempt to connect to gateway \"east\" using wrong port"),
        (
            GatewayRefusal::Other { ours: "west", wanted: "east", found: "zzz" },
            "Connection from \"west\" rejected, wanted to connect to \"east\", this is \"zzz\"",
        ),
    ] {
        assert_eq!(refusal.to_string(), text);
    }
    assert_eq!(Fault::InterestFromDialer.text(), "the dialing side of a gateway sends no RS+, RS-, A+ or A-");
}
