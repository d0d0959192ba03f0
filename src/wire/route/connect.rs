//! The CONNECT of a route (cluster-protocol.md §3.3): what whoever dialed says about itself.

use std::fmt;

use serde::Serialize;

use crate::wire::json::{folded, Malformed, Reader, Want};

/// What a peer says in its CONNECT; what it does not say is false or empty. Its `Debug` hides the password.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct RouteConnect {
    /// A message may come back on this connection, if its queue group has no member there any more.
    pub echo: bool,
    /// Asks for `+OK`; never used.
    pub verbose: bool,
    /// Never used.
    pub pedantic: bool,
    /// Without effect.
    pub tls_required: bool,
    /// Headers are understood; what INFO says counts.
    pub headers: bool,
    /// The server id; that of INFO counts.
    pub name: String,
    /// The cluster's name; none matches no cluster.
    pub cluster: String,
    /// The cluster's name was made up (cluster-protocol.md §3.6).
    #[serde(skip_serializing_if = "is_default")]
    pub cluster_dynamic: bool,
    /// User name.
    #[serde(skip_serializing_if = "is_default")]
    pub user: String,
    /// Password.
    #[serde(skip_serializing_if = "is_default")]
    pub pass: String,
    /// Only clients have a language.
    #[serde(skip_serializing_if = "is_default")]
    pub lang: String,
    /// Only gateways name theirs.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: String,
    /// Ours: this is a route. Needed on a port that takes clients and routes, where nothing is guessed from what is
    /// missing.
    #[serde(skip_serializing_if = "is_default")]
    pub route: bool,
}

pub(in crate::wire) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl RouteConnect {
    /// Reads the argument of a CONNECT, as lenient about keys as [`crate::wire::hello::Connect::update`].
    ///
    /// # Errors
    /// It is no JSON object, or a field has another type than here.
    pub fn parse(json: &[u8]) -> Result<RouteConnect, Malformed> {
        let mut said = RouteConnect::default();
        Reader::new(json).document(|reader, key| reader.value(said.place(key)))?;
        Ok(said)
    }

    fn place(&mut self, key: &str) -> Want<'_> {
        match folded(key).as_str() {
            "echo" => Want::Bool(&mut self.echo),
            "verbose" => Want::Bool(&mut self.verbose),
            "pedantic" => Want::Bool(&mut self.pedantic),
            "tls_required" => Want::Bool(&mut self.tls_required),
            "headers" => Want::Bool(&mut self.headers),
            "name" => Want::Text(&mut self.name),
            "cluster" => Want::Text(&mut self.cluster),
            "cluster_dynamic" => Want::Bool(&mut self.cluster_dynamic),
            "user" => Want::Text(&mut self.user),
            "pass" => Want::Text(&mut self.pass),
            "lang" => Want::Text(&mut self.lang),
            "gateway" => Want::Text(&mut self.gateway),
            "route" => Want::Bool(&mut self.route),
            _ => Want::Anything,
        }
    }

    /// Appends `CONNECT {…}\r\n`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"CONNECT ");
        // Fails only for keys that are not strings and for types that refuse it; there are none.
        out.extend(serde_json::to_vec(self).expect("a struct of plain fields is JSON"));
        out.extend_from_slice(b"\r\n");
    }
}

impl fmt::Debug for RouteConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pass = if self.pass.is_empty() { "" } else { "[REDACTED]" };
        f.debug_struct("RouteConnect")
            .field("echo", &self.echo)
            .field("verbose", &self.verbose)
            .field("pedantic", &self.pedantic)
            .field("tls_required", &self.tls_required)
            .field("headers", &self.headers)
            .field("name", &self.name)
            .field("cluster", &self.cluster)
            .field("cluster_dynamic", &self.cluster_dynamic)
            .field("user", &self.user)
            .field("pass", &pass)
            .field("lang", &self.lang)
            .field("gateway", &self.gateway)
            .field("route", &self.route)
            .finish()
    }
}
