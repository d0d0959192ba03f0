//! What a service is told of whoever asks it: the value of `Nats-Request-Info`, with nats-server's keys in its order.

use super::stamp::stamp;
use serde::Serialize;

/// See the file's head.
#[derive(Clone, Debug)]
pub struct RequestInfo<'a> {
    /// The account of the client.
    pub account: &'a str,
    /// The account that passed the request on, if that is another.
    pub service: Option<&'a str>,
    /// How long the client's answer to a ping takes, nanoseconds, if that is known.
    pub rtt_ns: Option<u64>,
    /// The rest, if it may be told.
    pub sharer: Option<Sharer<'a>>,
}

/// What only services are told that are trusted with it (`share`).
#[derive(Clone, Debug, Default)]
pub struct Sharer<'a> {
    /// When the client came, nanoseconds since 1970.
    pub start_ns: u64,
    /// Its address.
    pub host: &'a str,
    /// Its number.
    pub id: u64,
    /// Its user.
    pub user: &'a str,
    /// What it calls itself.
    pub name: &'a str,
    /// The language of its library.
    pub lang: &'a str,
    /// The version of its library.
    pub version: &'a str,
    /// The name of its server.
    pub server: &'a str,
    /// The name of its cluster.
    pub cluster: &'a str,
    /// Other clusters, the nearest first.
    pub others: Vec<&'a str>,
}

#[derive(Serialize)]
struct Json<'a> {
    #[serde(skip_serializing_if = "String::is_empty")]
    start: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    acc: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    svc: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    lang: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    ver: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    server: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    cluster: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alts: Vec<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_type: &'a str,
}

impl RequestInfo<'_> {
    /// As it stands in the header.
    pub fn to_json(&self) -> Vec<u8> {
        let shared = self.sharer.is_some();
        let said = self.sharer.clone().unwrap_or_default();
        let json = Json {
            start: if shared { stamp(said.start_ns) } else { String::new() },
            host: said.host,
            id: shared.then_some(said.id),
            acc: self.account,
            svc: self.service,
            user: said.user,
            name: said.name,
            lang: said.lang,
            ver: said.version,
            rtt: self.rtt_ns,
            server: said.server,
            cluster: said.cluster,
            alts: said.others,
            kind: if shared { "Client" } else { "" },
            client_type: if shared { "nats" } else { "" },
        };
        serde_json::to_vec(&json).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_shared_unless_it_is_said() {
        let mut info = RequestInfo { account: "B", service: None, rtt_ns: Some(5), sharer: None };
        assert_eq!(info.to_json(), br#"{"acc":"B","rtt":5}"#);
        info.service = Some("C");
        info.rtt_ns = None;
        assert_eq!(info.to_json(), br#"{"acc":"B","svc":"C"}"#);
    }

    #[test]
    fn names_stay_within_their_line() {
        let sharer = Sharer { name: "a\r\nX: \"y\"", host: "::1", id: 7, server: "n1", ..Sharer::default() };
        let info = RequestInfo { account: "B", service: None, rtt_ns: None, sharer: Some(sharer) };
        let json = String::from_utf8(info.to_json()).unwrap();
        let expected = r#"{"start":"1970-01-01T00:00:00Z","host":"::1","id":7,"acc":"B","name":"a\r\nX: \"y\"","server":"n1","kind":"Client","client_type":"nats"}"#;
        assert_eq!(json, expected);
    }
}
