//! The CONNECT of a gateway (cluster-protocol.md §4.2): what whoever dialed says about itself.

use std::fmt;

use serde::Serialize;

use crate::wire::json::{folded, Malformed, Reader, Want};
use crate::wire::route::connect::is_default;

/// What the dialing side says in its CONNECT; what it does not say is false or empty. Its `Debug` hides the password.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct GatewayConnect {
    /// Never used.
    pub echo: bool,
    /// Asks for `+OK`; never used.
    pub verbose: bool,
    /// Never used.
    pub pedantic: bool,
    /// User name.
    #[serde(skip_serializing_if = "is_default")]
    pub user: String,
    /// Password.
    #[serde(skip_serializing_if = "is_default")]
    pub pass: String,
    /// Without effect.
    pub tls_required: bool,
    /// What INFO says counts.
    pub headers: bool,
    /// The server id; that of INFO counts.
    pub name: String,
    /// Always empty on gateways; written because nats-server does.
    pub cluster: String,
    /// The dialing server's cluster; none: this is no gateway.
    pub gateway: String,
}

impl GatewayConnect {
    /// Reads the argument of a CONNECT, as lenient about keys as [`crate::wire::hello::Connect::update`].
    ///
    /// # Errors
    /// It is no JSON object, or a field has another type than here.
    pub fn parse(json: &[u8]) -> Result<GatewayConnect, Malformed> {
        let mut said = GatewayConnect::default();
        Reader::new(json).document(|reader, key| reader.value(said.place(key)))?;
        Ok(said)
    }

    fn place(&mut self, key: &str) -> Want<'_> {
        match folded(key).as_str() {
            "echo" => Want::Bool(&mut self.echo),
            "verbose" => Want::Bool(&mut self.verbose),
            "pedantic" => Want::Bool(&mut self.pedantic),
            "user" => Want::Text(&mut self.user),
            "pass" => Want::Text(&mut self.pass),
            "tls_required" => Want::Bool(&mut self.tls_required),
            "headers" => Want::Bool(&mut self.headers),
            "name" => Want::Text(&mut self.name),
            "cluster" => Want::Text(&mut self.cluster),
            "gateway" => Want::Text(&mut self.gateway),
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

impl fmt::Debug for GatewayConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pass = if self.pass.is_empty() { "" } else { "[REDACTED]" };
        f.debug_struct("GatewayConnect")
            .field("user", &self.user)
            .field("pass", &pass)
            .field("headers", &self.headers)
            .field("name", &self.name)
            .field("cluster", &self.cluster)
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}
