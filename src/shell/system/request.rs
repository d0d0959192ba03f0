//! What a request of the system account asks (operations.md §17): subject and body to an endpoint of monitoring and its
//! parameters. Pure.

use crate::shell::monitor::Query;
use serde_json::{Map, Value};

/// To whom a request is addressed, and what it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `$SYS.REQ.SERVER.…`: of the server as a whole.
    Server(String),
    /// `$SYS.REQ.ACCOUNT.<acc>.…`: of one account.
    Account(String, String),
    /// `$SYS.REQ.ACCOUNT.PING.…`: of all accounts.
    Accounts(String),
    /// `$SYS.DEBUG.SUBSCRIBERS`.
    Subscribers,
}

impl Asked {
    /// Reads the subject of a request to the server with this id. None: it is none of those that are answered.
    pub fn read(subject: &str, server_id: &str) -> Option<Asked> {
        if subject == "$SYS.DEBUG.SUBSCRIBERS" {
            return Some(Asked::Subscribers);
        }
        let rest = subject.strip_prefix("$SYS.REQ.")?;
        if let Some(of) = rest.strip_prefix("SERVER.") {
            if of == "PING" {
                return Some(Asked::Server("STATSZ".into()));
            }
            let (whom, what) = of.split_once('.')?;
            return (whom == "PING" || whom == server_id).then(|| Asked::Server(what.into()));
        }
        let (account, what) = rest.strip_prefix("ACCOUNT.")?.rsplit_once('.')?;
        Some(match account {
            "PING" => Asked::Accounts(what.into()),
            account => Asked::Account(account.into(), what.into()),
        })
    }
}

/// The body of a request: filters and options.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(Map<String, Value>);

/// What a server is known by to the filters of a request.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where clients come in.
    pub host: &'a str,
    /// Its cluster; empty: none.
    pub cluster: &'a str,
    /// `server_tags`.
    pub tags: &'a [String],
}

impl Options {
    /// Reads a body; an empty one asks for nothing in particular.
    ///
    /// # Errors
    /// Why it is no JSON object.
    pub fn read(body: &[u8]) -> Result<Options, String> {
        if body.trim_ascii().is_empty() {
            return Ok(Options::default());
        }
        match serde_json::from_slice(body).map_err(|e| format!("the request is no JSON: {e}"))? {
            Value::Object(map) => Ok(Options(map)),
            Value::Null => Ok(Options::default()),
            _ => Err("the request is no JSON object".into()),
        }
    }

    /// Does the request mean this server? One that it does not mean is silent.
    pub fn mean(&self, server: Identity<'_>) -> bool {
        let exact = self.0.get("exact_match").and_then(Value::as_bool).unwrap_or(false);
        let fits = |key: &str, is: &str| match self.text(key) {
            "" => true,
            wanted if exact => wanted == is,
            wanted => is.contains(wanted),
        };
        let tags = self.0.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
        let has = |tag: &Value| server.tags.iter().any(|t| tag.as_str().is_some_and(|w| w.eq_ignore_ascii_case(t)));
        // No server of ours is in a JetStream domain.
        fits("server_name", server.name)
            && fits("cluster", server.cluster)
            && fits("host", server.host)
            && self.text("domain").is_empty()
            && tags.iter().all(has)
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The subject that connections must want.
    pub fn filter_subject(&self) -> &str {
        self.text("filter_subject")
    }

    /// The number of a connection.
    pub fn cid(&self) -> u64 {
        self.0.get("cid").and_then(Value::as_u64).unwrap_or(0)
    }

    /// The accounts that are asked for; empty: all.
    pub fn accounts(&self) -> Vec<String> {
        let named = self.0.get("accounts").and_then(Value::as_array).into_iter().flatten();
        named.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Asks for this account alone, whatever was asked.
    pub fn confine(&mut self, what: &str, account: &str) {
        let key = match what {
            "CONNZ" => "acc",
            "STATZ" => return drop(self.0.insert("accounts".into(), Value::Array(vec![account.into()]))),
            "SUBSZ" => {
                self.0.insert("subscriptions".into(), true.into());
                "account"
            }
            _ => "account",
        };
        self.0.insert(key.into(), account.into());
    }

    /// As the parameters of the endpoint that answers `what`.
    ///
    /// # Errors
    /// An option of the wrong type.
    pub fn query(&self, what: &str) -> Result<Query, String> {
        let mut pairs = Vec::new();
        for (key, name) in names(what) {
            let Some(value) = self.0.get(*key) else { continue };
            let text = match value {
                Value::Null => continue,
                Value::String(s) => s.clone(),
                Value::Bool(b) => b.to_string(),
                Value::Number(n) if *key == "state" => state(n.as_i64())?.into(),
                Value::Number(n) => n.to_string(),
                Value::Array(_) | Value::Object(_) => return Err(format!("{key} is neither text nor number")),
            };
            pairs.push(((*name).to_owned(), text));
        }
        if self.0.get("subscriptions_detail").and_then(Value::as_bool).unwrap_or(false) {
            pairs.insert(0, ("subs".into(), "detail".into()));
        }
        Ok(Query::of(pairs))
    }
}

/// The states of connections have numbers here, and words over HTTP.
fn state(number: Option<i64>) -> Result<&'static str, String> {
    match number {
        Some(0) => Ok("open"),
        Some(1) => Ok("closed"),
        Some(2) => Ok("all"),
        _ => Err("state is 0 (open), 1 (closed) or 2 (all)".into()),
    }
}

/// The options of a request, and the parameters they are over HTTP.
fn names(what: &str) -> &'static [(&'static str, &'static str)] {
    match what {
        "CONNZ" => &[
            ("sort", "sort"),
            ("auth", "auth"),
            ("subscriptions", "subs"),
            ("offset", "offset"),
            ("limit", "limit"),
            ("cid", "cid"),
            ("mqtt_client", "mqtt_client"),
            ("state", "state"),
            ("user", "user"),
            ("acc", "acc"),
        ],
        "SUBSZ" => {
            &[("subscriptions", "subs"), ("account", "acc"), ("test", "test"), ("offset", "offset"), ("limit", "limit")]
        }
        "ROUTEZ" => &[("subscriptions", "subs")],
        "GATEWAYZ" => {
            &[("name", "gw_name"), ("accounts", "accs"), ("account_name", "acc_name"), ("subscriptions", "subs")]
        }
        "LEAFZ" => &[("subscriptions", "subs"), ("account", "acc")],
        "ACCOUNTZ" | "INFO" => &[("account", "acc")],
        "STATZ" => &[("include_unused", "unused")],
        "HEALTHZ" => &[
            ("js-enabled-only", "js-enabled-only"),
            ("js-server-only", "js-server-only"),
            ("account", "account"),
            ("stream", "stream"),
            ("consumer", "consumer"),
            ("details", "details"),
        ],
        "EXPLAIN" => &[("subject", "subject"), ("account", "acc"), ("from", "from"), ("to", "to")],
        _ => &[],
    }
}

/// The endpoint that answers `what`; None: there is none, and the request is refused.
pub fn endpoint(what: &str) -> Option<&'static str> {
    Some(match what {
        "VARZ" => "/varz",
        "CONNZ" => "/connz",
        "SUBSZ" => "/subsz",
        "ROUTEZ" => "/routez",
        "GATEWAYZ" => "/gatewayz",
        "LEAFZ" => "/leafz",
        "ACCOUNTZ" | "INFO" => "/accountz",
        "STATZ" => "/accstatz",
        "JSZ" => "/jsz",
        "HEALTHZ" => "/healthz",
        "EXPLAIN" => "/explain",
        _ => return None,
    })
}

/// Only these rows of a list are wanted.
pub fn retain(list: &mut Value, keep: impl Fn(&Value) -> bool) {
    if let Some(rows) = list.as_array_mut() {
        rows.retain(keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_read() {
        let read = |s: &str| Asked::read(s, "NID");
        let server = |what: &str| Some(Asked::Server(what.into()));
        assert_eq!(read("$SYS.REQ.SERVER.PING"), server("STATSZ"));
        assert_eq!(read("$SYS.REQ.SERVER.PING.VARZ"), server("VARZ"));
        assert_eq!(read("$SYS.REQ.SERVER.NID.KICK"), server("KICK"));
        assert_eq!(read("$SYS.REQ.SERVER.OTHER.VARZ"), None);
        assert_eq!(read("$SYS.REQ.ACCOUNT.PING.STATZ"), Some(Asked::Accounts("STATZ".into())));
        assert_eq!(read("$SYS.REQ.ACCOUNT.a.b.INFO"), Some(Asked::Account("a.b".into(), "INFO".into())));
        assert_eq!(read("$SYS.DEBUG.SUBSCRIBERS"), Some(Asked::Subscribers));
        assert_eq!(read("$SYS.REQ.ACCOUNT"), None);
    }

    #[test]
    fn options_become_parameters() {
        let options = Options::read(br#"{"state":2,"auth":true,"limit":7,"acc":"A","subscriptions_detail":true}"#);
        let query = options.unwrap().query("CONNZ").unwrap();
        assert_eq!((query.text("state"), query.text("auth"), query.text("acc")), ("all", "true", "A"));
        assert_eq!((query.int("limit"), query.text("subs")), (Ok(7), "detail"));
        assert!(Options::read(b"[]").is_err() && Options::read(b"{").is_err());
        assert!(Options::read(br#"{"state":7}"#).unwrap().query("CONNZ").is_err());
        assert!(Options::read(br#"{"limit":[1]}"#).unwrap().query("CONNZ").is_err());
    }

    #[test]
    fn a_server_that_is_not_meant_is_found() {
        let tags = ["ssd".to_owned()];
        let me = Identity { name: "east-1", host: "10.0.0.1", cluster: "east", tags: &tags };
        let means = |body: &str| Options::read(body.as_bytes()).unwrap().mean(me);
        assert!(means("") && means("{}") && means(r#"{"server_name":"east"}"#) && means(r#"{"tags":["SSD"]}"#));
        assert!(!means(r#"{"server_name":"east","exact_match":true}"#) && !means(r#"{"cluster":"west"}"#));
        assert!(!means(r#"{"tags":["ssd","hdd"]}"#) && !means(r#"{"domain":"d"}"#) && !means(r#"{"host":"11."}"#));
    }
}
