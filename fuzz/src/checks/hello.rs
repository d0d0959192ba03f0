//! CONNECT and INFO: what is JSON and how deep is decided as serde_json and a count of brackets decide it, what a known
//! field says as it reads them; any text leaves in an INFO as it came. The input is the argument of a CONNECT.

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::Deserializer as _;
use serde_json::Value;
use turnpike::base::limits::JSON_DEPTH_MAX;
use turnpike::wire::hello::{json_ok, Connect, Info, PreparedInfo, ServerInfo};

/// See the file's head.
pub fn check(json: &[u8]) {
    let mut said = Connect::default();
    let outcome = said.update(json);
    if outcome.is_ok() {
        let once = said.clone();
        assert_eq!(said.update(json), Ok(()));
        assert_eq!(said, once, "said twice");
        assert!(json_ok(json));
    }
    let is_json = serde_json::from_slice::<IgnoredAny>(json).is_ok();
    let first = json.iter().find(|b| !b" \t\r\n".contains(b));
    assert_eq!(json_ok(json), is_json && matches!(first, Some(b'{' | b'n')) && depth(json) <= JSON_DEPTH_MAX);
    if let Some(members) = members(json).filter(|_| json_ok(json)) {
        match expected(&members) {
            Some(Ok(e)) => assert_eq!((outcome, &said), (Ok(()), &e)),
            Some(Err(())) => assert!(outcome.is_err(), "a field of another type was taken"),
            None => {}
        }
    }
    check_info(&String::from_utf8_lossy(json));
}

fn depth(json: &[u8]) -> usize {
    let (mut now, mut max, mut quoted, mut escaped) = (0usize, 0, false, false);
    for b in json {
        match (quoted, b) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b'{' | b'[') => now += 1,
            (false, b'}' | b']') => now = now.saturating_sub(1),
            _ => {}
        }
        max = max.max(now);
    }
    max
}

/// The members in order, repeated keys too; None where serde_json is stricter than Go, or for `null`.
fn members(json: &[u8]) -> Option<Vec<(String, Value)>> {
    struct All;
    impl<'de> Visitor<'de> for All {
        type Value = Vec<(String, Value)>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(member) = map.next_entry()? {
                all.push(member);
            }
            Ok(all)
        }
    }
    serde_json::Deserializer::from_slice(json).deserialize_map(All).ok()
}

/// What a CONNECT with these members says, or that it is refused; None where this reading is too coarse to tell.
fn expected(members: &[(String, Value)]) -> Option<Result<Connect, ()>> {
    let mut c = Connect::default();
    for (key, value) in members {
        let key: String = key
            .chars()
            .map(|c| match c {
                'ſ' => 's',
                '\u{212a}' => 'k',
                c => c.to_ascii_lowercase(),
            })
            .collect();
        let mut forgotten = String::new();
        let place: Result<&mut bool, &mut String> = match key.as_str() {
            "verbose" => Ok(&mut c.verbose),
            "pedantic" => Ok(&mut c.pedantic),
            "echo" => Ok(&mut c.echo),
            "headers" => Ok(&mut c.headers),
            "no_responders" => Ok(&mut c.no_responders),
            "tls_required" => Ok(&mut c.tls_required),
            "new_account" => Ok(&mut c.new_account),
            "route" => Ok(&mut c.route),
            "user" => Err(&mut c.user),
            "pass" => Err(&mut c.pass),
            "auth_token" => Err(&mut c.auth_token),
            "nkey" => Err(&mut c.nkey),
            "sig" => Err(&mut c.sig),
            "jwt" => Err(&mut c.jwt),
            "name" => Err(&mut c.name),
            "lang" => Err(&mut c.lang),
            "version" => Err(&mut c.version),
            "account" => Err(&mut c.account),
            "proxy_sig" | "remote_account" => Err(&mut forgotten),
            "protocol" => {
                match value.as_i64() {
                    Some(n) => c.protocol = n,
                    None if value.is_null() => {}
                    // "-0" and numbers too large become floats in a Value.
                    None if value.is_number() => return None,
                    None => return Some(Err(())),
                }
                continue;
            }
            "import" | "export" => return None,
            _ => continue,
        };
        match (place, value) {
            (_, Value::Null) => {}
            (Ok(place), Value::Bool(b)) => *place = *b,
            (Err(place), Value::String(s)) => place.clone_from(s),
            _ => return Some(Err(())),
        }
    }
    Some(Ok(c))
}

/// One line, whose JSON says what was put in.
fn check_info(text: &str) {
    let server = ServerInfo {
        server_id: "N",
        server_name: text,
        version: text,
        turnpike: "0",
        git_commit: Some(text),
        go: "",
        host: text,
        port: 1,
        headers: true,
        tls_required: false,
        tls_verify: false,
        tls_available: false,
        cluster: Some(text),
        takes_routes: true,
    };
    let server = PreparedInfo::new(&server);
    let urls = [text.to_string()];
    let info = Info {
        server: &server,
        max_payload: 1,
        client_id: 2,
        client_ip: Some(text),
        nonce: Some(text),
        connect_urls: &urls,
        auth_required: true,
        ldm: true,
        connect_info: true,
        remote_account: Some(text),
        acc_is_sys: true,
    };
    let mut line = Vec::new();
    info.write(&mut line);
    let json = line.strip_prefix(b"INFO ").and_then(|l| l.strip_suffix(b" \r\n")).expect("an INFO line");
    assert!(json.iter().all(|b| *b >= b' '), "a control byte in {}", json.escape_ascii());
    assert!(json_ok(json));
    let read: Value = serde_json::from_slice(json).expect("INFO is JSON");
    for key in ["server_name", "version", "git_commit", "host", "cluster", "client_ip", "nonce", "remote_account"] {
        assert_eq!(read[key], text, "{key}");
    }
    assert_eq!(read["connect_urls"][0], text);
}
