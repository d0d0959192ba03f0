//! The INFO of a gateway (cluster-protocol.md §4.3): what a server says about itself and its cluster to another cluster,
//! what is passed on about third ones, and the commands that open and close the list of an account's interest.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde::Serialize;

use super::BorderPart;
use crate::wire::json::{folded, Flaw, Malformed, Reader, Want};
use crate::wire::route::connect::is_default;

/// What an INFO with `gateway_cmd` is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// It tells of a third cluster: `gateway` and `gateway_urls` are its.
    Gossip = 1,
    /// The interest of the account follows (the payload is its name).
    AllSubsStart = 2,
    /// The interest of the account has been told; from now on only what was told is wanted.
    AllSubsComplete = 3,
    /// Ours: a part of the sender's rules follows in `border_rules`.
    Border = 4,
}

/// What an INFO on a gateway says; what it does not say is false, 0 or empty. Where another port was dialed it is that
/// port's INFO that is read here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GatewayInfo {
    /// Unique id of this run of the server; `GW` and the id in gossip over routes.
    pub server_id: String,
    /// Its name.
    pub server_name: String,
    /// The version of nats-server whose behaviour may be expected.
    pub version: String,
    /// What the server understands; 2 unless messages can be traced.
    pub proto: i64,
    /// Where it takes gateways: the host.
    pub host: String,
    /// Where it takes gateways: the port.
    pub port: u16,
    /// Credentials must be presented.
    #[serde(skip_serializing_if = "is_default")]
    pub auth_required: bool,
    /// Headers are understood.
    pub headers: bool,
    /// Largest payload a client there can publish, bytes.
    pub max_payload: i64,
    /// Never used here: a route's INFO has one, and no gateway's.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster: String,
    /// The number of a client's connection: this is the INFO of a client port.
    #[serde(skip_serializing_if = "is_default")]
    pub client_id: i64,
    /// The cluster of whoever says it; in gossip: the one that is described. None: this is no gateway port.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: String,
    /// `host:port` of all gateway listeners of that cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_urls: Vec<String>,
    /// That of the server itself.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_url: String,
    /// See [`Command`]; 0: none.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_cmd: i64,
    /// For the commands about an account: its name in base64.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_cmd_payload: String,
    /// Understands replies that begin with `_GR_.`; otherwise only the old form.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_nrp: bool,
    /// Promises to tell all its interest in all accounts, so that nothing is to be sent unasked.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_iom: bool,
    /// Ours: the version of Turnpike; none: another server.
    #[serde(skip_serializing_if = "is_default")]
    pub turnpike: String,
    /// Ours: why the sender has no link back to the hearer's cluster; empty: it has one, or does not say.
    #[serde(skip_serializing_if = "is_default")]
    pub no_way_back: String,
    /// Ours: it understands what is said of borders (docs/borders.md, "Both sides").
    #[serde(skip_serializing_if = "is_default")]
    pub borders: bool,
    /// Ours: the digest of the sender's rules, hex; empty: it has none.
    #[serde(skip_serializing_if = "is_default")]
    pub border: String,
    /// Ours: a part of them, with [`Command::Border`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub border_rules: Option<BorderPart>,
}

impl GatewayInfo {
    /// Reads the argument of an INFO, as lenient about keys as [`crate::wire::hello::Connect::update`].
    ///
    /// # Errors
    /// It is no JSON object, a field has another type than here, or the port is none.
    pub fn parse(json: &[u8]) -> Result<GatewayInfo, Malformed> {
        let mut said = GatewayInfo::default();
        Reader::new(json).document(|reader, key| match folded(key).as_str() {
            "port" => {
                let mut port = i64::from(said.port);
                let at = reader.at();
                reader.value(Want::Integer(&mut port))?;
                said.port = port.try_into().map_err(|_| Malformed { at, why: Flaw::Integer })?;
                Ok(())
            }
            "border_rules" => {
                said.border_rules = BorderPart::read(reader)?;
                Ok(())
            }
            key => reader.value(said.place(key)),
        })?;
        Ok(said)
    }

    fn place(&mut self, key: &str) -> Want<'_> {
        match key {
            "server_id" => Want::Text(&mut self.server_id),
            "server_name" => Want::Text(&mut self.server_name),
            "version" => Want::Text(&mut self.version),
            "proto" => Want::Integer(&mut self.proto),
            "host" => Want::Text(&mut self.host),
            "auth_required" => Want::Bool(&mut self.auth_required),
            "headers" => Want::Bool(&mut self.headers),
            "max_payload" => Want::Integer(&mut self.max_payload),
            "cluster" => Want::Text(&mut self.cluster),
            "client_id" => Want::Integer(&mut self.client_id),
            "gateway" => Want::Text(&mut self.gateway),
            "gateway_urls" => Want::Texts(&mut self.gateway_urls),
            "gateway_url" => Want::Text(&mut self.gateway_url),
            "gateway_cmd" => Want::Integer(&mut self.gateway_cmd),
            "gateway_cmd_payload" => Want::Text(&mut self.gateway_cmd_payload),
            "gateway_nrp" => Want::Bool(&mut self.gateway_nrp),
            "gateway_iom" => Want::Bool(&mut self.gateway_iom),
            "turnpike" => Want::Text(&mut self.turnpike),
            "borders" => Want::Bool(&mut self.borders),
            "border" => Want::Text(&mut self.border),
            "no_way_back" => Want::Text(&mut self.no_way_back),
            _ => Want::Anything,
        }
    }

    /// What it is for; None: it describes the sender, or asks for something unknown.
    pub fn command(&self) -> Option<Command> {
        match self.gateway_cmd {
            1 => Some(Command::Gossip),
            2 => Some(Command::AllSubsStart),
            3 => Some(Command::AllSubsComplete),
            4 => Some(Command::Border),
            _ => None,
        }
    }

    /// The account that a command is about; None: the payload is missing or no base64.
    pub fn account(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.gateway_cmd_payload).ok().filter(|name| !name.is_empty())
    }

    /// Appends `INFO {…}\r\n`, without the space that the INFO of a route has.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"INFO ");
        // Fails only for keys that are not strings and for types that refuse it; there are none.
        out.extend(serde_json::to_vec(self).expect("a struct of plain fields is JSON"));
        out.extend_from_slice(b"\r\n");
    }
}
