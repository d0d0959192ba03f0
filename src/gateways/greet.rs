//! How hands are shaken, on both sides (cluster-protocol.md §§4.2, 4.5). Runs when a link sent something, or when the
//! comparison of a password is done.

use super::border::first_told;
use super::core::{Act, Gateways, ANSWER_WAIT_NS};
use super::counters::Cause;
use super::link::{Ending, Pending, Stage};
use crate::base::limits::{PEER_TEXT_BYTES_MAX, SHOWN_BYTES_MAX};
use crate::base::Cid;
use crate::policy::login::same;
use crate::policy::{secret, Proof, RouteLogin, Secret};
use crate::wire::address::shown;
use crate::wire::gateway::{Command, GatewayConnect, GatewayInfo, GatewayRefusal};
use crate::wire::greeting::{self, Heard, Verb};
use crate::wire::Fault;

impl Gateways {
    /// Understands what a link sent, line by line, for as long as it reads.
    pub(super) fn hear(&mut self, rid: Cid) {
        while let Some(link) = self.pending.get_mut(&rid).filter(|l| l.reads()) {
            match greeting::first(&link.heard) {
                Heard::Partial => return,
                Heard::Line(line) => {
                    let (verb, rest, length) = (line.verb, line.rest.to_vec(), line.length);
                    if verb == Verb::Info && self.told_in_handshake(rid, &rest, length) {
                        continue;
                    }
                    let Some(link) = self.pending.get_mut(&rid) else { return };
                    // What follows our proposal belongs to the link; only the PONG was asked for here.
                    let links =
                        matches!(link.stage, Stage::Proposed { .. }) && matches!(verb, Verb::Info | Verb::Routed);
                    if !links {
                        link.heard.drain(..length);
                    }
                    self.step(rid, verb, &rest);
                }
                Heard::Unknown => {
                    let shown = link.heard[..link.heard.len().min(SHOWN_BYTES_MAX)].escape_ascii().to_string();
                    let (says, cause) = match link.dialed {
                        Some(_) => ("", Cause::Foreign),
                        None => (Fault::UnknownOperation.text(), Cause::Protocol),
                    };
                    self.end(rid, Ending::told(cause, says, format!("speaks another protocol ({shown})")));
                }
                Heard::TooLong => {
                    let fault = Fault::ControlLine.text();
                    self.end(rid, Ending::told(Cause::Protocol, fault, "sent a line longer than 64 KiB"));
                }
            }
        }
    }

    /// Who has to say who he is may say only so much before: of what is in one piece with CONNECT, that line alone counts.
    pub(super) fn measure_stranger(&mut self, rid: Cid) {
        let most = self.gateway.stranger_bytes_max;
        let Some(link) = self.pending.get(&rid).filter(|l| l.dialed.is_none() && self.gateway.asks().is_some()) else {
            return;
        };
        let said = match &link.stage {
            Stage::Greeted => memchr::memchr(b'\n', &link.heard).map_or(link.heard.len(), |end| end + 1),
            Stage::Verifying { .. } => link.sent,
            _ => return,
        };
        if said > most {
            let why = format!("sent more than {most} bytes before it was known");
            self.end(rid, Ending::told(Cause::Protocol, Fault::ControlLine.text(), why));
        }
    }

    /// One line, by stage.
    fn step(&mut self, rid: Cid, verb: Verb, rest: &[u8]) {
        let Some(link) = self.pending.get(&rid) else { return };
        let known = self.gateway.asks().is_none() || !matches!(link.stage, Stage::Greeted);
        match (&link.stage, verb) {
            (_, Verb::Ping) if known => self.acts.push_back(Act::Write { link: rid, bytes: b"PONG\r\n".to_vec() }),
            (_, Verb::Ok) if known => {}
            (_, Verb::Err) => {
                let text = shown(String::from_utf8_lossy(rest).trim_matches('\''));
                self.end(rid, Ending::silent(Cause::Refused, format!("refused us: {text}")));
            }
            (Stage::Greeted, Verb::Connect) => self.asked_in(rid, rest),
            (Stage::Admitted { cluster }, Verb::Info) => self.introduced(rid, cluster.clone(), rest),
            (Stage::Knocking, Verb::Info) => self.reached(rid, rest),
            (Stage::Proposed { .. }, Verb::Info) => self.welcomed(rid, Some(rest)),
            (Stage::Proposed { .. }, Verb::Routed | Verb::Pong) => self.welcomed(rid, None),
            (Stage::Greeted | Stage::Admitted { .. } | Stage::Knocking, Verb::Pong) if known => {}
            (Stage::Greeted, _) => {
                let says = Fault::Authorization.text();
                self.end(rid, Ending::told(Cause::Protocol, says, "did not begin with CONNECT"));
            }
            (Stage::Admitted { .. }, Verb::Routed) => {
                let why = "sent interest or messages before its INFO";
                self.end(rid, Ending::told(Cause::Protocol, Fault::InterestFromDialer.text(), why));
            }
            _ => self.end(rid, Ending::told(Cause::Protocol, Fault::Malformed.text(), "said something out of turn")),
        }
    }

    /// Accepted: CONNECT.
    fn asked_in(&mut self, rid: Cid, json: &[u8]) {
        let Ok(connect) = GatewayConnect::parse(json) else {
            return self.end(rid, Ending::told(Cause::Protocol, Fault::Malformed.text(), "sent a malformed CONNECT"));
        };
        if connect.gateway.is_empty() {
            let why =
                "is a client or a route, and this is the gateway port: clients connect to the client port, routes \
                       to the cluster port";
            return self.end(rid, Ending::told(Cause::NoGateway, GatewayRefusal::NoGateway.to_string(), why));
        }
        match self.gateway.asks().cloned() {
            None => self.named_cluster(rid, &connect),
            // Both are compared whatever the first says, so that the time tells nothing.
            Some(login) => match (secret(login.password), same(&login.user, &connect.user)) {
                (Secret::Bcrypt(hash), known) => {
                    let password = connect.pass.clone();
                    let ip = self.pending.get(&rid).map(|link| link.ip.clone()).unwrap_or_default();
                    self.stage(rid, Stage::Verifying { connect, known });
                    self.acts.push_back(Act::Verify { link: rid, ip, proof: Proof::Password { hash, password } });
                }
                (Secret::Plain(password), known) => {
                    let fits = same(&password, &connect.pass) & known;
                    self.credentials_checked(rid, &connect, fits);
                }
            },
        }
    }

    /// The answer to [`Act::Verify`].
    pub(super) fn password_compared(&mut self, rid: Cid, matches: bool) {
        let Some(link) = self.pending.get_mut(&rid) else { return };
        let Stage::Verifying { connect, known } = &link.stage else { return };
        let (connect, fits) = (connect.clone(), *known && matches);
        link.stage = Stage::Greeted;
        self.credentials_checked(rid, &connect, fits);
        self.hear(rid);
    }

    fn credentials_checked(&mut self, rid: Cid, connect: &GatewayConnect, fits: bool) {
        if fits {
            return self.named_cluster(rid, connect);
        }
        let (cluster, user) = (shown(&connect.gateway), shown(&connect.user));
        let why = format!("of cluster \"{cluster}\" presented a wrong user (\"{user}\") or password");
        self.end(rid, Ending::told(Cause::Credentials, Fault::Authorization.text(), why));
    }

    fn named_cluster(&mut self, rid: Cid, connect: &GatewayConnect) {
        let name = &connect.gateway;
        if !nameable(name) {
            let why = "names a cluster as nobody can be called";
            return self.end(rid, Ending::told(Cause::Protocol, Fault::Malformed.text(), why));
        }
        if *name == self.gateway.name {
            let says = GatewayRefusal::OwnCluster(name).to_string();
            let why = "calls itself this cluster: two clusters bear one name, or a member has a gateway to its own";
            return self.end(rid, Ending::told(Cause::OwnCluster, says, why));
        }
        if !self.welcome(name) {
            // The name in it is ours, as the other end knows us.
            let says = GatewayRefusal::Unknown(&self.gateway.name).to_string();
            let why = format!(
                "of cluster \"{}\" is refused: it is not in the list of gateways, and reject_unknown_cluster is set",
                shown(name)
            );
            return self.end(rid, Ending::told(Cause::Unknown, says, why));
        }
        let cluster = name.clone();
        self.stage(rid, Stage::Admitted { cluster });
    }

    /// Accepted: the INFO that registers.
    fn introduced(&mut self, rid: Cid, cluster: String, json: &[u8]) {
        let hello = read(json).filter(|h| !h.server_id.is_empty() && h.gateway_cmd == 0);
        let Some(hello) = hello else {
            return self.end(rid, Ending::told(Cause::Protocol, Fault::Malformed.text(), "sent a malformed INFO"));
        };
        if hello.gateway != cluster {
            let says = GatewayRefusal::Other { ours: &self.gateway.name, wanted: &cluster, found: &hello.gateway };
            let why = format!("calls its cluster \"{}\", and then \"{}\"", shown(&cluster), shown(&hello.gateway));
            return self.end(rid, Ending::told(Cause::OtherCluster, says.to_string(), why));
        }
        if let Err(ending) = self.check_names(&hello) {
            return self.end(rid, ending);
        }
        let Some(border) = first_told(&hello, self.now.mono) else {
            return self.end(rid, Ending::told(Cause::Protocol, Fault::Malformed.text(), "sent a malformed INFO"));
        };
        if let Some(pending) = self.pending.remove(&rid) {
            self.register(rid, Pending { border, ..pending }, hello, cluster);
        }
    }

    /// Dialed: what answers, by its first INFO.
    fn reached(&mut self, rid: Cid, json: &[u8]) {
        let Some(dialed) = self.pending.get(&rid).and_then(|l| l.dialed.clone()) else { return };
        let Some(hello) = read(json).filter(|h| h.border_rules.is_none()) else {
            let shown = json[..json.len().min(SHOWN_BYTES_MAX)].escape_ascii();
            return self.end(rid, Ending::silent(Cause::Foreign, format!("speaks another protocol (INFO {shown})")));
        };
        if hello.gateway.is_empty() {
            let port = match (hello.client_id, hello.cluster.is_empty()) {
                (1.., _) => "a client port",
                (_, false) => "a route port",
                _ => "no gateway port",
            };
            let says = GatewayRefusal::WrongPort { wanted: &dialed.cluster }.to_string();
            let why = format!("is {port}: gateways connect to the gateway port (7222 by custom)");
            return self.end(rid, Ending::told(Cause::Foreign, says, why));
        }
        if hello.gateway != dialed.cluster {
            let (ours, wanted, found) = (&self.gateway.name, &dialed.cluster, &hello.gateway);
            let says = GatewayRefusal::Other { ours, wanted, found }.to_string();
            let itself = hello.server_id == self.identity.server_id;
            let (cause, whose) = match (itself, found == ours) {
                (true, _) => (Cause::Itself, ", which is this server itself"),
                (false, true) => (Cause::OtherCluster, ", which is ours"),
                _ => (Cause::OtherCluster, ""),
            };
            let why = format!("is not the cluster it was dialed as: it is cluster \"{}\"{whose}", shown(found));
            return self.end(rid, Ending::told(cause, says, why));
        }
        if hello.server_id.is_empty() {
            return self.end(rid, Ending::silent(Cause::Foreign, "is no NATS server: its INFO has no server_id"));
        }
        if let Err(ending) = self.check_names(&hello) {
            return self.end(rid, ending);
        }
        let Some(border) = first_told(&hello, self.now.mono) else {
            return self.end(rid, Ending::told(Cause::Protocol, Fault::Malformed.text(), "sent a malformed INFO"));
        };
        self.propose(rid, &dialed.cluster, &dialed.address);
        if let Some(link) = self.pending.get_mut(&rid) {
            (link.border, link.told) = (border, self.told);
        }
        self.stage(rid, Stage::Proposed { hello: Box::new(hello) });
    }

    /// May that server be linked to, beside the members of this cluster?
    fn check_names(&self, hello: &GatewayInfo) -> Result<(), Ending> {
        if hello.server_id == self.identity.server_id {
            return Err(Ending::silent(Cause::Itself, "is this server itself"));
        }
        let name = &hello.server_name;
        let member = self.members.values().any(|m| m.server_name == *name);
        if *name == self.identity.server_name || member {
            let says = GatewayRefusal::ServerName(name).to_string();
            let (name, id) = (shown(name), shown(&hello.server_id));
            let why = format!("goes by the name of a server of this cluster, \"{name}\" (id {id}): give each its own");
            return Err(Ending::told(Cause::ServerName, says, why));
        }
        Ok(())
    }

    /// Says CONNECT, INFO, and a PING whose answer tells that both were taken in.
    fn propose(&mut self, rid: Cid, cluster: &str, address: &str) {
        let place = self.book.get(cluster).and_then(|e| e.places.get(address));
        let login = place.and_then(|p| p.login.clone()).or_else(|| self.login(cluster));
        let login = login.unwrap_or(RouteLogin { user: String::new(), password: String::new() });
        let connect = GatewayConnect {
            user: login.user,
            pass: login.password,
            name: self.identity.server_id.clone(),
            gateway: self.gateway.name.clone(),
            ..GatewayConnect::default()
        };
        let mut bytes = Vec::new();
        connect.write(&mut bytes);
        bytes.extend(self.info_line(String::new()));
        bytes.extend_from_slice(b"PING\r\n");
        self.acts.push_back(Act::Write { link: rid, bytes });
        if let Some(link) = self.pending.get_mut(&rid) {
            link.deadline = self.now.mono.plus_ns(ANSWER_WAIT_NS);
        }
    }

    /// What is presented where the address has no login of its own: that of another address of the cluster in our list,
    /// else ours, unless only its hash is known here.
    fn login(&self, cluster: &str) -> Option<RouteLogin> {
        let of_cluster = self.book.get(cluster).and_then(|e| e.places.values().find_map(|p| p.login.clone()));
        let plain = |login: &RouteLogin| matches!(secret(login.password.clone()), Secret::Plain(_));
        of_cluster.or_else(|| self.gateway.login.clone().filter(plain))
    }

    fn stage(&mut self, rid: Cid, stage: Stage) {
        if let Some(link) = self.pending.get_mut(&rid) {
            link.stage = stage;
        }
    }

    /// Dialed: the acceptor answered behind our INFO; the argument of that, if it is an INFO too.
    fn welcomed(&mut self, rid: Cid, answer: Option<&[u8]>) {
        let dialed = self.pending.get(&rid).and_then(|l| l.dialed.as_ref());
        if dialed.is_some_and(|d| !self.welcome(&d.cluster)) {
            return self.end(rid, Ending::silent(Cause::Given, "is not in the list of gateways any more"));
        }
        if let Err(ending) = self.check_told(rid, answer) {
            return self.end(rid, ending);
        }
        let Some(mut pending) = self.pending.remove(&rid) else { return };
        if let Stage::Proposed { hello } = std::mem::replace(&mut pending.stage, Stage::Knocking) {
            let cluster = hello.gateway.clone();
            self.register(rid, pending, *hello, cluster);
        }
    }
}

/// Can a cluster be called so?
pub(super) fn nameable(name: &str) -> bool {
    let fine = |c: char| !c.is_whitespace() && !c.is_control();
    !name.is_empty() && name.len() <= PEER_TEXT_BYTES_MAX && name.chars().all(fine)
}

/// Reads an INFO's argument. `None`: it is none, or its texts are longer than anybody's.
pub(super) fn read(json: &[u8]) -> Option<GatewayInfo> {
    let info = GatewayInfo::parse(json).ok()?;
    let texts = [&info.server_id, &info.server_name, &info.gateway, &info.gateway_url, &info.turnpike];
    let rules = info.command() == Some(Command::Border);
    if rules != info.border_rules.is_some() {
        return None;
    }
    texts.iter().all(|text| text.len() <= PEER_TEXT_BYTES_MAX).then_some(info)
}
