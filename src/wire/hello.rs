//! The greeting: INFO as the server says it, CONNECT as clients say it (client-protocol.md §§3, 4, 19). No state;
//! called by a connection when it opens, when it says CONNECT, and when an INFO is due.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

use super::json::{folded, Reader, Want};
pub use super::json::{Flaw, Malformed};

/// What a client said in its CONNECTs so far (client-protocol.md §4). Its `Debug` hides what lets somebody in.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// `+OK` after each accepted command.
    pub verbose: bool,
    /// Check the subjects of publications.
    pub pedantic: bool,
    /// Deliver own publications to own subscriptions.
    pub echo: bool,
    /// The client understands headers.
    pub headers: bool,
    /// The client wants the 503.
    pub no_responders: bool,
    /// Said by some clients; without effect.
    pub tls_required: bool,
    /// Obsolete; true is refused after authentication.
    pub new_account: bool,
    /// 0 or 1; from 1 on the client takes an INFO at any time. Its range is checked after authentication.
    pub protocol: i64,
    /// User name.
    pub user: String,
    /// Password.
    pub pass: String,
    /// Token.
    pub auth_token: String,
    /// Public key of a user.
    pub nkey: String,
    /// Signature of the nonce.
    pub sig: String,
    /// A user's JWT.
    pub jwt: String,
    /// The client's own name; for monitoring only.
    pub name: String,
    /// The client library's language; for monitoring only.
    pub lang: String,
    /// The client library's version; for monitoring only.
    pub version: String,
    /// Obsolete; refused after authentication unless empty.
    pub account: String,
    /// Ours: this is no client but a route, for `route::RouteConnect` to read.
    pub route: bool,
}

impl Default for Connect {
    /// What holds before the first CONNECT.
    fn default() -> Connect {
        Connect {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            tls_required: false,
            new_account: false,
            protocol: 0,
            user: String::new(),
            pass: String::new(),
            auth_token: String::new(),
            nkey: String::new(),
            sig: String::new(),
            jwt: String::new(),
            name: String::new(),
            lang: String::new(),
            version: String::new(),
            account: String::new(),
            route: false,
        }
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &str| if secret.is_empty() { "" } else { "[REDACTED]" };
        f.debug_struct("Connect")
            .field("verbose", &self.verbose)
            .field("pedantic", &self.pedantic)
            .field("echo", &self.echo)
            .field("headers", &self.headers)
            .field("no_responders", &self.no_responders)
            .field("tls_required", &self.tls_required)
            .field("new_account", &self.new_account)
            .field("protocol", &self.protocol)
            .field("user", &self.user)
            .field("pass", &hidden(&self.pass))
            .field("auth_token", &hidden(&self.auth_token))
            .field("nkey", &self.nkey)
            .field("sig", &hidden(&self.sig))
            .field("jwt", &hidden(&self.jwt))
            .field("name", &self.name)
            .field("lang", &self.lang)
            .field("version", &self.version)
            .field("account", &self.account)
            .field("route", &self.route)
            .finish()
    }
}

impl Connect {
    /// Takes over what the argument of a CONNECT says; fields that are absent or `null` stay as they are.
    ///
    /// As Go's decoder does it: keys in any case, of repeated ones the last, unknown ones ignored, `null` for the
    /// whole document a no-op, bytes that are not UTF-8 replaced. Nesting beyond `JSON_DEPTH_MAX` is refused. After an
    /// error some fields may have been taken over; the connection ends then.
    pub fn update(&mut self, json: &[u8]) -> Result<(), Malformed> {
        Reader::new(json).document(|reader, key| reader.value(self.place(key)))
    }

    /// Where the value of this key goes. Fields that only servers use are checked for their type and forgotten.
    fn place(&mut self, key: &str) -> Want<'_> {
        match folded(key).as_str() {
            "verbose" => Want::Bool(&mut self.verbose),
            "pedantic" => Want::Bool(&mut self.pedantic),
            "echo" => Want::Bool(&mut self.echo),
            "headers" => Want::Bool(&mut self.headers),
            "no_responders" => Want::Bool(&mut self.no_responders),
            "tls_required" => Want::Bool(&mut self.tls_required),
            "new_account" => Want::Bool(&mut self.new_account),
            "protocol" => Want::Integer(&mut self.protocol),
            "user" => Want::Text(&mut self.user),
            "pass" => Want::Text(&mut self.pass),
            "auth_token" => Want::Text(&mut self.auth_token),
            "nkey" => Want::Text(&mut self.nkey),
            "sig" => Want::Text(&mut self.sig),
            "jwt" => Want::Text(&mut self.jwt),
            "name" => Want::Text(&mut self.name),
            "lang" => Want::Text(&mut self.lang),
            "version" => Want::Text(&mut self.version),
            "account" => Want::Text(&mut self.account),
            "route" => Want::Bool(&mut self.route),
            "proxy_sig" | "remote_account" => Want::AnyText,
            "import" | "export" => Want::Permission,
            _ => Want::Anything,
        }
    }
}

/// The argument of a CONNECT with `"[REDACTED]"` for every value that is not known to be harmless: a secret under a
/// misspelt key stays one. None if it is not JSON, where nothing says which part of it is a secret.
pub fn redacted(json: &[u8]) -> Option<Vec<u8>> {
    const SHOWN: [&str; 13] = [
        "verbose",
        "pedantic",
        "echo",
        "headers",
        "no_responders",
        "tls_required",
        "new_account",
        "protocol",
        "user",
        "name",
        "lang",
        "version",
        "account",
    ];
    let mut out = Vec::with_capacity(json.len());
    let mut copied = 0;
    let read = Reader::new(json).document(|reader, key| {
        let value = reader.span()?;
        if !SHOWN.contains(&folded(key).as_str()) {
            out.extend_from_slice(&json[copied..value.start]);
            out.extend_from_slice(b"\"[REDACTED]\"");
            copied = value.end;
        }
        Ok(())
    });
    read.ok()?;
    out.extend_from_slice(&json[copied..]);
    Some(out)
}

/// May a client say `INFO` with this argument? Any JSON object may pass, and `null`; it has no effect.
pub fn json_ok(bytes: &[u8]) -> bool {
    Reader::new(bytes).document(|reader, _| reader.value(Want::Anything)).is_ok()
}

/// What INFO says about the server, the same for every connection until a reload (client-protocol.md §3).
#[derive(Clone, Debug, Serialize)]
pub struct ServerInfo<'a> {
    /// Unique id of this run of the server.
    pub server_id: &'a str,
    /// Configured name, else the id.
    pub server_name: &'a str,
    /// The version of nats-server whose behaviour clients may expect.
    pub version: &'a str,
    /// Turnpike's own version.
    pub turnpike: &'a str,
    /// The commit that was built, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<&'a str>,
    /// Version of Go; typed clients want the key, so it is said even when empty.
    pub go: &'a str,
    /// Listen host, or the advertised one.
    pub host: &'a str,
    /// Listen port, or the advertised one.
    pub port: u16,
    /// Are headers supported?
    pub headers: bool,
    /// Clients must speak TLS.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    /// They must show a certificate.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_verify: bool,
    /// They may speak TLS.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_available: bool,
    /// Name of the cluster, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<&'a str>,
    /// Ours: routes are taken where clients are.
    #[serde(skip_serializing_if = "is_false")]
    pub takes_routes: bool,
}

/// [`ServerInfo`] as JSON, made once and copied into each INFO. One per shard.
#[derive(Clone, Debug)]
pub struct PreparedInfo {
    /// The members of the object, without its braces.
    members: Vec<u8>,
}

impl PreparedInfo {
    /// Prepares the constant part.
    pub fn new(server: &ServerInfo<'_>) -> PreparedInfo {
        /// Version of the protocol: 1 means that an INFO may come at any time.
        const PROTO: &[u8] = b",\"proto\":1";
        let mut members = members_of(server);
        members.extend_from_slice(PROTO);
        PreparedInfo { members }
    }
}

/// One INFO for one connection. All that is false, `None` or empty is not said (client-protocol.md §3).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Info<'a> {
    /// What is said about the server.
    #[serde(skip)]
    pub server: &'a PreparedInfo,
    /// Largest payload for this connection, bytes. An account's own limit counts only after authentication.
    pub max_payload: usize,
    /// The connection's number.
    pub client_id: u64,
    /// The peer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<&'a str>,
    /// What the client has to sign, where keys are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<&'a str>,
    /// `host:port` of this server, then of others; nothing while there are no others.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub connect_urls: &'a [String],
    /// Must clients present credentials? Where the anonymous are let in as a user, that is said only to who is in.
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    /// Lame duck: the client shall go elsewhere (§19).
    #[serde(skip_serializing_if = "is_false")]
    pub ldm: bool,
    /// This is the INFO after the first PONG (§19).
    #[serde(skip_serializing_if = "is_false")]
    pub connect_info: bool,
    /// The account entered; said after the first PONG.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_account: Option<&'a str>,
    /// The account entered is the system account; said after the first PONG.
    #[serde(skip_serializing_if = "is_false")]
    pub acc_is_sys: bool,
}

impl Info<'_> {
    /// Appends `INFO {…} \r\n`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"INFO {");
        out.extend_from_slice(&self.server.members);
        out.push(b',');
        out.extend_from_slice(&members_of(self));
        out.extend_from_slice(b"} \r\n");
    }
}

/// The JSON of a struct without its braces.
fn members_of(of: &impl Serialize) -> Vec<u8> {
    // Serialization fails only for keys that are not strings and for types that refuse it; a struct of ours has neither.
    let mut json = serde_json::to_vec(of).expect("a struct of plain fields is JSON");
    json.pop();
    json.remove(0);
    json
}

fn is_false(flag: &bool) -> bool {
    !flag
}
