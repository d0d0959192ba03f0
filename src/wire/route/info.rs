//! The INFO of a route (cluster-protocol.md §3.4): what a server says about itself to its peers, and what they pass on
//! about each other.

use serde::Serialize;

use super::connect::is_default;
use super::LINE_MAX;
use crate::wire::json::{folded, Flaw, Malformed, Reader, Want};

/// What an INFO on a route says; what it does not say is false, 0 or empty. Where a client port was dialed it is the
/// INFO for clients that is read here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RouteInfo {
    /// Unique id of this run of the server.
    pub server_id: String,
    /// Its name.
    pub server_name: String,
    /// The version of nats-server whose behaviour may be expected.
    pub version: String,
    /// What the server understands; 2 unless messages can be traced.
    pub proto: i64,
    /// Where it takes routes: the host.
    pub host: String,
    /// Where it takes routes: the port.
    pub port: u16,
    /// `nats-route://host:port/`: where the recipient of gossip dials.
    #[serde(skip_serializing_if = "is_default")]
    pub ip: String,
    /// Headers are understood.
    pub headers: bool,
    /// Peers must present credentials.
    #[serde(skip_serializing_if = "is_default")]
    pub auth_required: bool,
    /// Largest payload a client there can publish, bytes.
    pub max_payload: i64,
    /// Unused on routes.
    #[serde(skip_serializing_if = "is_default")]
    pub nonce: String,
    /// The cluster's name.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster: String,
    /// That name was made up (cluster-protocol.md §3.6).
    #[serde(skip_serializing_if = "is_default")]
    pub cluster_dynamic: bool,
    /// `host:port` of where it takes clients.
    #[serde(skip_serializing_if = "is_default")]
    pub connect_urls: Vec<String>,
    /// Lame duck: its clients shall go elsewhere (cluster-protocol.md §3.16).
    #[serde(skip_serializing_if = "is_default")]
    pub ldm: bool,
    /// Understands `LS+` and `LMSG`.
    #[serde(skip_serializing_if = "is_default")]
    pub lnoc: bool,
    /// Connections it wants per peer; 0: one, without pooling (cluster-protocol.md §3.8).
    #[serde(skip_serializing_if = "is_default")]
    pub route_pool_size: i64,
    /// Which of them this is.
    #[serde(skip_serializing_if = "is_default")]
    pub route_pool_idx: i64,
    /// This connection, or the one to be dialed, is for this account alone.
    #[serde(skip_serializing_if = "is_default")]
    pub route_account: String,
    /// An account gets a connection of its own by a reload.
    #[serde(skip_serializing_if = "is_default")]
    pub route_acc_add_reqid: String,
    /// Is this to be passed on? 0: as usual, 1: no, 2: in any case (cluster-protocol.md §3.10).
    #[serde(skip_serializing_if = "is_default")]
    pub gossip_mode: i64,
    /// Name of a gateway: this INFO is gossip about gateways (cluster-protocol.md §4.4).
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: String,
    /// What it asks for.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_cmd: i64,
    /// `host:port` of where the server takes gateways.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_url: String,
    /// How the connection may be compressed; none: not at all (cluster-protocol.md §3.11).
    #[serde(skip_serializing_if = "is_default")]
    pub compression: String,
    /// Interest it may tell us of; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<SubjectLists>,
    /// Interest it accepts from us; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<SubjectLists>,
    /// The number of a client's connection: this is the INFO of a client port.
    #[serde(skip_serializing_if = "is_default")]
    pub client_id: i64,
    /// Ours: the version of Turnpike; none: another server.
    #[serde(skip_serializing_if = "is_default")]
    pub turnpike: String,
    /// Ours: a client port that takes routes as well.
    #[serde(skip_serializing_if = "is_default")]
    pub takes_routes: bool,
    /// Ours: the servers it has routes to. Said to other Turnpikes only.
    #[serde(skip_serializing_if = "is_default")]
    pub reaches: Vec<Reached>,
    /// Ours: the recipient is in the sender's list of routes. Said with `reaches`.
    #[serde(skip_serializing_if = "is_default")]
    pub lists_you: bool,
    /// Ours: the other clusters it has an outbound gateway to. Said with `reaches`.
    #[serde(skip_serializing_if = "is_default")]
    pub reaches_clusters: Vec<String>,
    /// Ours: it has a gateway, and understands what is said of borders (docs/borders.md, "Both sides").
    #[serde(skip_serializing_if = "is_default")]
    pub borders: bool,
    /// Ours: the digest of its rules, hex; empty: it has none.
    #[serde(skip_serializing_if = "is_default")]
    pub border: String,
}

/// A server that another has a route to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// Its server id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it takes routes: `nats-route://host:port/`.
    pub url: String,
}

/// Subjects that may cross a route: denied ones never; without allowed ones, all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SubjectLists {
    /// Allowed patterns.
    #[serde(skip_serializing_if = "is_default")]
    pub allow: Vec<String>,
    /// Denied patterns.
    #[serde(skip_serializing_if = "is_default")]
    pub deny: Vec<String>,
}

impl RouteInfo {
    /// Reads the argument of an INFO, as lenient about keys as [`crate::wire::hello::Connect::update`].
    ///
    /// # Errors
    /// It is no JSON object, a field has another type than here, or the port is none.
    pub fn parse(json: &[u8]) -> Result<RouteInfo, Malformed> {
        let mut said = RouteInfo::default();
        Reader::new(json).document(|reader, key| said.read(reader, &folded(key)))?;
        Ok(said)
    }

    /// Reads the value of one field.
    fn read(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), Malformed> {
        match key {
            "port" => {
                let mut port = i64::from(self.port);
                let at = reader.at();
                reader.value(Want::Integer(&mut port))?;
                self.port = port.try_into().map_err(|_| Malformed { at, why: Flaw::Integer })?;
                Ok(())
            }
            "import" => SubjectLists::read(&mut self.import, reader),
            "export" => SubjectLists::read(&mut self.export, reader),
            "reaches" => {
                self.reaches.clear();
                reader.elements(|reader| {
                    let mut one = Reached::default();
                    reader.members(|reader, key| reader.value(one.place(&folded(key))))?;
                    self.reaches.push(one);
                    Ok(())
                })
            }
            key => reader.value(self.place(key)),
        }
    }

    fn place(&mut self, key: &str) -> Want<'_> {
        match key {
            "server_id" => Want::Text(&mut self.server_id),
            "server_name" => Want::Text(&mut self.server_name),
            "version" => Want::Text(&mut self.version),
            "proto" => Want::Integer(&mut self.proto),
            "host" => Want::Text(&mut self.host),
            "ip" => Want::Text(&mut self.ip),
            "headers" => Want::Bool(&mut self.headers),
            "auth_required" => Want::Bool(&mut self.auth_required),
            "max_payload" => Want::Integer(&mut self.max_payload),
            "nonce" => Want::Text(&mut self.nonce),
            "cluster" => Want::Text(&mut self.cluster),
            "cluster_dynamic" => Want::Bool(&mut self.cluster_dynamic),
            "connect_urls" => Want::Texts(&mut self.connect_urls),
            "ldm" => Want::Bool(&mut self.ldm),
            "lnoc" => Want::Bool(&mut self.lnoc),
            "route_pool_size" => Want::Integer(&mut self.route_pool_size),
            "route_pool_idx" => Want::Integer(&mut self.route_pool_idx),
            "route_account" => Want::Text(&mut self.route_account),
            "route_acc_add_reqid" => Want::Text(&mut self.route_acc_add_reqid),
            "gossip_mode" => Want::Integer(&mut self.gossip_mode),
            "gateway" => Want::Text(&mut self.gateway),
            "gateway_cmd" => Want::Integer(&mut self.gateway_cmd),
            "gateway_url" => Want::Text(&mut self.gateway_url),
            "compression" => Want::Text(&mut self.compression),
            "client_id" => Want::Integer(&mut self.client_id),
            "turnpike" => Want::Text(&mut self.turnpike),
            "takes_routes" => Want::Bool(&mut self.takes_routes),
            "lists_you" => Want::Bool(&mut self.lists_you),
            "reaches_clusters" => Want::Texts(&mut self.reaches_clusters),
            "borders" => Want::Bool(&mut self.borders),
            "border" => Want::Text(&mut self.border),
            _ => Want::Anything,
        }
    }

    /// Does it pool connections?
    pub fn pools(&self) -> bool {
        self.route_pool_size > 0
    }

    /// Appends `INFO {…} \r\n`, as a server says it about itself: with the space.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"INFO ");
        // Fails only for keys that are not strings and for types that refuse it; there are none.
        out.extend(serde_json::to_vec(self).expect("a struct of plain fields is JSON"));
        out.extend_from_slice(b" \r\n");
    }
}

impl Reached {
    fn place(&mut self, key: &str) -> Want<'_> {
        match key {
            "id" => Want::Text(&mut self.id),
            "name" => Want::Text(&mut self.name),
            "url" => Want::Text(&mut self.url),
            _ => Want::Anything,
        }
    }
}

impl SubjectLists {
    /// Reads `{"allow":[…],"deny":[…]}`; empty lists say nothing.
    fn read(into: &mut Option<SubjectLists>, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let mut lists = into.take().unwrap_or_default();
        reader.members(|reader, key| match folded(key).as_str() {
            "allow" => reader.value(Want::Texts(&mut lists.allow)),
            "deny" => reader.value(Want::Texts(&mut lists.deny)),
            _ => reader.value(Want::Anything),
        })?;
        *into = (!is_default(&lists)).then_some(lists);
        Ok(())
    }
}

/// The INFO of one peer, made into the line that tells another of it (cluster-protocol.md §3.10): with `ip` as the URL
/// to dial and `mode` as its `gossip_mode`, without `nonce`, and without `reaches`,
/// `lists_you`, `reaches_clusters`, `borders` and `border`, which are nobody else's word. All
/// other fields stay, also those unknown here. Without a space before the line's end. None: `json` is no JSON object, or
/// the line would be longer than [`LINE_MAX`].
pub fn gossip(json: &[u8], ip: &str, mode: i64) -> Option<Vec<u8>> {
    // Fails for types that refuse it; a text does not.
    let quoted = |text: &str| serde_json::to_string(text).expect("a text is JSON");
    let mut line = format!("INFO {{\"ip\":{}", quoted(ip)).into_bytes();
    if mode != 0 {
        line.extend_from_slice(format!(",\"gossip_mode\":{mode}").as_bytes());
    }
    let read = Reader::new(json).document(|reader, key| {
        let from = reader.at();
        reader.value(Want::Anything)?;
        if !matches!(
            folded(key).as_str(),
            "ip" | "gossip_mode" | "nonce" | "reaches" | "lists_you" | "reaches_clusters" | "borders" | "border"
        ) {
            line.push(b',');
            line.extend_from_slice(quoted(key).as_bytes());
            line.push(b':');
            // A byte below the space is white space between the parts of the value: no string holds one unescaped.
            line.extend(reader.read_since(from).iter().filter(|b| **b >= b' '));
        }
        Ok(())
    });
    line.push(b'}');
    (read.is_ok() && line.len() <= LINE_MAX).then(|| {
        line.extend_from_slice(b"\r\n");
        line
    })
}
