//! How hands are shaken, on both sides (cluster-protocol.md §§3.2–3.6). Runs when a link sent something, or when the
//! comparison of a password is done.

use super::core::{Act, Mesh, ANSWER_WAIT_NS};
use super::counters::Cause;
use super::link::{Ending, Stage};
use super::names::Match;
use super::speech::{route_url, Hello};
use crate::base::limits::SHOWN_BYTES_MAX;
use crate::base::{Cid, Level};
use crate::policy::login::same;
use crate::policy::{secret, Proof, RouteLogin, Secret};
use crate::wire::address::{join_address, shown};
use crate::wire::greeting::{self, Heard, Verb};
use crate::wire::route::{Refusal, RouteConnect, RouteInfo};
use crate::wire::traced::TRACING_PROTO;
use crate::wire::Fault;
use crate::{NATS_VERSION, TURNPIKE_VERSION};

/// How nats-server says that it wanted a connection for one account only (§3.9).
const NO_ACCOUNT_ROUTE: &str = "Not possible to have a dedicated route for account";
/// How long a connection for one account is left alone (§3.9: the peer closes it).
const IGNORED_NS: u64 = 60 * crate::base::SECOND;

impl Mesh {
    /// Understands what a link sent, line by line, for as long as it reads.
    pub(super) fn hear(&mut self, rid: Cid) {
        while let Some(link) = self.links.get_mut(&rid).filter(|l| l.reads()) {
            match greeting::first(&link.heard) {
                Heard::Partial => return,
                Heard::Line(line) => {
                    let (verb, rest, length) = (line.verb, line.rest.to_vec(), line.length);
                    // What follows our proposal belongs to the route; only the PONG was asked for here.
                    let routes =
                        matches!(link.stage, Stage::Proposed { .. }) && matches!(verb, Verb::Info | Verb::Routed);
                    if !routes {
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
        let most = self.cluster.stranger_bytes_max;
        let Some(link) = self.links.get(&rid).filter(|l| l.dialed.is_none() && self.cluster.asks().is_some()) else {
            return;
        };
        let said = match &link.stage {
            Stage::Greeted | Stage::Held => memchr::memchr(b'\n', &link.heard).map_or(link.heard.len(), |end| end + 1),
            Stage::Verifying { .. } => link.sent,
            _ => return,
        };
        if said > most {
            let why = format!("sent more than {most} bytes before it was known");
            self.end(rid, Ending::told(Cause::Protocol, Fault::ControlLine.text(), why));
        }
    }

    /// The wait of a link that was held is over. Who says already that he has to be refused is, without having heard our
    /// INFO; but a nats-server that we have a route to learns from it that there is one, and calls no more.
    pub(super) fn greet(&mut self, rid: Cid) {
        let Some(link) = self.links.get(&rid) else { return };
        let said = match greeting::first(&link.heard) {
            Heard::Line(line) if line.verb == Verb::Connect => RouteConnect::parse(line.rest).ok(),
            _ => None,
        };
        let stranger = |c: &RouteConnect| c.lang.is_empty() && self.peers.find(&c.name).is_none() && self.is_wrong(c);
        if let Some(connect) = said.filter(stranger) {
            return self.credentials_checked(rid, &connect, false);
        }
        let (info, until) = (self.info_line(0), self.now.mono.plus(self.cluster.auth_timeout));
        self.write(rid, info);
        if let Some(link) = self.links.get_mut(&rid) {
            (link.stage, link.deadline) = (Stage::Greeted, until);
        }
        self.hear(rid);
    }

    /// Is it known without work that this login is not the one that is asked for?
    fn is_wrong(&self, connect: &RouteConnect) -> bool {
        self.cluster.asks().is_some_and(|login| match secret(login.password.clone()) {
            Secret::Plain(password) => !(same(&password, &connect.pass) & same(&login.user, &connect.user)),
            // To say who it is not tells nobody anything.
            Secret::Bcrypt(_) => connect.user.is_empty() && !login.user.is_empty(),
        })
    }

    /// One line, by stage.
    fn step(&mut self, rid: Cid, verb: Verb, rest: &[u8]) {
        let Some(link) = self.links.get(&rid) else { return };
        let known = self.cluster.asks().is_none() || !matches!(link.stage, Stage::Greeted);
        match (&link.stage, verb) {
            (_, Verb::Ping) if known => self.write(rid, b"PONG\r\n".to_vec()),
            (_, Verb::Ok) if known => {}
            (_, Verb::Err) => {
                let text = shown(String::from_utf8_lossy(rest).trim_matches('\''));
                // nats-server dials once more for each account that has routes of its own, and learns from our INFO that
                // we keep none (§3.9).
                let expected = link.dialed.is_none() && text.starts_with(NO_ACCOUNT_ROUTE);
                let cause = if expected { Cause::Account } else { Cause::Refused };
                self.end(rid, Ending::silent(cause, format!("refused us: {text}")));
            }
            (Stage::Greeted, Verb::Connect) => self.asked_in(rid, rest),
            (Stage::Admitted, Verb::Info) => self.introduced(rid, rest),
            (Stage::Knocking, Verb::Info) => self.reached(rid, rest),
            (Stage::Asked { .. }, Verb::Info) => self.route_reached(rid, rest),
            (Stage::Proposed { .. }, Verb::Info | Verb::Routed | Verb::Pong) => self.welcomed(rid, verb == Verb::Pong),
            (Stage::Greeted | Stage::Admitted | Stage::Knocking | Stage::Asked { .. }, Verb::Pong) if known => {}
            (Stage::Greeted, _) => {
                let says = Fault::Authorization.text();
                self.end(rid, Ending::told(Cause::Protocol, says, "did not begin with CONNECT"));
            }
            _ => self.end(rid, Ending::told(Cause::Protocol, Fault::Malformed.text(), "said something out of turn")),
        }
    }

    /// Accepted: CONNECT. In the order of the checks of §3.5.
    fn asked_in(&mut self, rid: Cid, json: &[u8]) {
        let Ok(connect) = RouteConnect::parse(json) else {
            return self.end(rid, Ending::told(Cause::Protocol, Fault::Malformed.text(), "sent a malformed CONNECT"));
        };
        if !connect.lang.is_empty() {
            let why = "is a client, and this is the cluster port: clients connect to the client port";
            return self.end(rid, Ending::told(Cause::Client, Refusal::Client.to_string(), why));
        }
        if !connect.gateway.is_empty() {
            let says = Refusal::Gateway(&connect.gateway).to_string();
            return self.end(rid, Ending::told(Cause::Gateway, says, "is a gateway, and this is the cluster port"));
        }
        if let Some(link) = self.links.get_mut(&rid) {
            link.presented = Some(RouteLogin { user: connect.user.clone(), password: connect.pass.clone() });
        }
        match self.cluster.asks().cloned() {
            None => self.named_cluster(rid, &connect),
            // Both are compared whatever the first says, so that the time tells nothing.
            Some(login) => match (secret(login.password), same(&login.user, &connect.user)) {
                (Secret::Bcrypt(hash), known) => {
                    let password = connect.pass.clone();
                    let ip = self.links.get(&rid).map(|link| link.ip.clone()).unwrap_or_default();
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
        let Some(link) = self.links.get_mut(&rid) else { return };
        let Stage::Verifying { connect, known } = &link.stage else { return };
        let (connect, fits) = (connect.clone(), *known && matches);
        link.stage = Stage::Greeted;
        self.credentials_checked(rid, &connect, fits);
        self.hear(rid);
    }

    fn credentials_checked(&mut self, rid: Cid, connect: &RouteConnect, fits: bool) {
        if fits {
            return self.named_cluster(rid, connect);
        }
        if let Some(link) = self.links.get(&rid) {
            self.refused.note(&link.ip, self.now.mono);
        }
        let why = format!("presented a wrong user (\"{}\") or password", shown(&connect.user));
        self.end(rid, Ending::told(Cause::Credentials, Fault::Authorization.text(), why));
    }

    fn named_cluster(&mut self, rid: Cid, connect: &RouteConnect) {
        match self.name.compare(&connect.cluster, connect.cluster_dynamic) {
            Match::Same => {}
            Match::WeYield => self.adopt(&connect.cluster, connect.cluster_dynamic, Some(rid)),
            Match::TheyYield | Match::Clash => return self.end(rid, self.other_cluster(&connect.cluster)),
        }
        if let Some(link) = self.links.get_mut(&rid) {
            link.stage = Stage::Admitted;
        }
    }

    /// Accepted: the INFO that registers.
    fn introduced(&mut self, rid: Cid, json: &[u8]) {
        let Some(hello) = Hello::read(json).filter(|h| !h.info.server_id.is_empty()) else {
            return self.end(rid, Ending::told(Cause::Protocol, Fault::Malformed.text(), "sent a malformed INFO"));
        };
        if !hello.info.route_account.is_empty() {
            let until = self.now.mono.plus_ns(IGNORED_NS);
            if let Some(link) = self.links.get_mut(&rid) {
                (link.stage, link.deadline) = (Stage::Ignored, until);
                link.heard = Vec::new();
            }
            return;
        }
        if let Err(ending) = self.check(rid, &hello) {
            return self.end(rid, ending);
        }
        match self.name.compare(&hello.info.cluster, hello.info.cluster_dynamic) {
            _ if hello.info.cluster.is_empty() => {}
            Match::Same => {}
            Match::WeYield => self.adopt(&hello.info.cluster, hello.info.cluster_dynamic, Some(rid)),
            Match::TheyYield | Match::Clash => return self.end(rid, self.other_cluster(&hello.info.cluster)),
        }
        self.meet(rid, hello);
    }

    /// Dialed: what answers, by its first INFO.
    fn reached(&mut self, rid: Cid, json: &[u8]) {
        let Some(hello) = Hello::read(json) else {
            let shown = json[..json.len().min(SHOWN_BYTES_MAX)].escape_ascii();
            let why = format!("speaks another protocol (INFO {shown})");
            return self.end(rid, Ending::silent(Cause::Foreign, why));
        };
        if hello.info.server_id == self.identity.server_id {
            return self.end(rid, Ending::silent(Cause::Itself, "is this server itself"));
        }
        if hello.info.client_id != 0 && !hello.info.takes_routes && !hello.info.turnpike.is_empty() {
            return self.ask_where(rid);
        }
        if hello.info.client_id != 0 && !hello.info.takes_routes {
            let why = "is a client port: routes connect to the cluster port (6222 by custom)";
            return self.end(rid, Ending::silent(Cause::Foreign, why));
        }
        if !hello.info.gateway.is_empty() {
            let why = "is a gateway port: routes connect to the cluster port (6222 by custom)";
            return self.end(rid, Ending::silent(Cause::Foreign, why));
        }
        if hello.info.server_id.is_empty() {
            return self.end(rid, Ending::silent(Cause::Foreign, "is no NATS server: its INFO has no server_id"));
        }
        if self.taken(rid, &hello) {
            return;
        }
        if hello.info.client_id != 0 {
            self.propose(rid, &hello, true);
            self.stage(rid, Stage::Asked { id: hello.info.server_id });
        } else if self.agreed(rid, &hello) {
            self.propose(rid, &hello, false);
            self.stage(rid, Stage::Proposed { hello });
        }
    }

    /// Dialed the client port of one of us that takes no routes there: its refusal names the place, and stands in its log
    /// too. It is told nothing that it need not know.
    fn ask_where(&mut self, rid: Cid) {
        self.write(rid, b"CONNECT {\"route\":true}\r\n".to_vec());
        if let Some(link) = self.links.get_mut(&rid) {
            link.deadline = self.now.mono.plus_ns(ANSWER_WAIT_NS);
            // Nobody is courted.
            link.stage = Stage::Asked { id: String::new() };
        }
    }

    /// Dialed a client port that takes routes: the route's own INFO.
    fn route_reached(&mut self, rid: Cid, json: &[u8]) {
        let expected = self.links.get(&rid).and_then(|l| l.courts().map(String::from)).unwrap_or_default();
        match Hello::read(json) {
            Some(hello) if hello.info.client_id != 0 => {}
            // Of a port that takes none nothing but its refusal is expected.
            Some(hello) if !expected.is_empty() && hello.info.server_id == expected => {
                if self.agreed(rid, &hello) {
                    self.stage(rid, Stage::Proposed { hello });
                }
            }
            _ => self.end(rid, Ending::silent(Cause::Foreign, "answered with the INFO of another server")),
        }
    }

    /// Is there a route to that server, or about to be? Then nothing is said, and the address is settled.
    fn taken(&mut self, rid: Cid, hello: &Hello) -> bool {
        let taken = self.peers.find(&hello.info.server_id).is_some() || self.courting(&hello.info.server_id).is_some();
        if taken {
            self.know(rid, hello);
            self.end(
                rid,
                Ending::silent(Cause::Duplicate, format!("leads to \"{}\" too", shown(&hello.info.server_name))),
            );
        }
        taken
    }

    /// Dialed: do the names allow a route? If not, it is ended.
    fn agreed(&mut self, rid: Cid, hello: &Hello) -> bool {
        self.know(rid, hello);
        if let Err(ending) = self.check(rid, hello) {
            self.end(rid, ending);
            return false;
        }
        match self.name.compare(&hello.info.cluster, hello.info.cluster_dynamic) {
            _ if hello.info.cluster.is_empty() => {}
            Match::Same | Match::TheyYield => {}
            Match::WeYield => self.adopt(&hello.info.cluster, hello.info.cluster_dynamic, Some(rid)),
            Match::Clash => {
                self.end(rid, self.other_cluster(&hello.info.cluster));
                return false;
            }
        }
        true
    }

    /// May that server be a member beside this one?
    fn check(&self, rid: Cid, hello: &Hello) -> Result<(), Ending> {
        if hello.info.server_id == self.identity.server_id {
            return Err(Ending::silent(Cause::Itself, "is this server itself"));
        }
        if hello.info.server_name == self.identity.server_name {
            let from = self.links.get(&rid).map(|l| l.shown()).unwrap_or_default();
            let name = shown(&hello.info.server_name);
            let says = format!(
                "Rejecting connection, server name \"{name}\" is used by server {} too",
                self.identity.server_id
            );
            let why =
                format!("is another server with our name \"{name}\" (id {} at {from})", shown(&hello.info.server_id));
            return Err(Ending::told(Cause::ServerName, says, why));
        }
        Ok(())
    }

    fn other_cluster(&self, theirs: &str) -> Ending {
        let says = Refusal::Cluster { theirs, ours: &self.name.name }.to_string();
        Ending::told(Cause::ClusterName, says.clone(), says)
    }

    /// Takes another name for the cluster: every route and every other link begins anew under it (§3.6).
    pub(super) fn adopt(&mut self, name: &str, dynamic: bool, keep: Option<Cid>) {
        let renamed = self.name.name != name;
        (self.name.name, self.name.dynamic) = (name.into(), dynamic);
        if !renamed {
            return;
        }
        self.acts.push_back(Act::ClusterName(name.into()));
        self.log(Level::Info, format!("the cluster's name is now \"{}\"", shown(name)));
        for link in self.links.keys().copied().filter(|l| Some(*l) != keep).collect::<Vec<_>>() {
            self.end(link, Ending::silent(Cause::Given, "the cluster's name changed"));
        }
        for peer in self.peers.iter().map(|(id, _)| id).collect::<Vec<_>>() {
            self.end_route(peer, "", "the cluster's name changed", true);
        }
    }

    /// Says CONNECT, INFO, and a PING whose answer tells that both were taken in.
    fn propose(&mut self, rid: Cid, hello: &Hello, on_client_port: bool) {
        let Some(address) = self.links.get(&rid).and_then(|l| l.dialed.clone()) else { return };
        let entry = self.book.get(&address);
        let mode = entry.map_or(0, |e| e.mode);
        let login = entry.and_then(|e| e.login.clone()).or_else(|| self.login().filter(|_| hello.info.auth_required));
        let login = login.unwrap_or(RouteLogin { user: String::new(), password: String::new() });
        let connect = RouteConnect {
            echo: true,
            headers: self.identity.headers,
            name: self.identity.server_id.clone(),
            cluster: self.name.name.clone(),
            cluster_dynamic: self.name.dynamic,
            user: login.user,
            pass: login.password,
            route: on_client_port,
            ..RouteConnect::default()
        };
        let mut bytes = Vec::new();
        connect.write(&mut bytes);
        bytes.extend(self.info_line(mode));
        bytes.extend_from_slice(b"PING\r\n");
        self.write(rid, bytes);
        if let Some(link) = self.links.get_mut(&rid) {
            link.deadline = self.now.mono.plus_ns(ANSWER_WAIT_NS);
        }
    }

    /// What is presented to peers that no URL has a login for: ours, unless only its hash is known here; then one that
    /// a configured URL has.
    fn login(&self) -> Option<RouteLogin> {
        let plain = |login: &RouteLogin| matches!(secret(login.password.clone()), Secret::Plain(_));
        let ours = self.cluster.login.clone().filter(plain);
        ours.or_else(|| self.cluster.routes.iter().find_map(|route| route.login.clone()))
    }

    /// Our INFO (§6.1 item 1), the same for both roles.
    pub(super) fn info(&self) -> RouteInfo {
        let advertised = self.advertised();
        let ip = advertised.as_ref().map(|(host, port)| route_url(&join_address(host, *port)));
        let (host, port) = advertised.unwrap_or((self.identity.host.clone(), self.identity.port));
        RouteInfo {
            server_id: self.identity.server_id.clone(),
            server_name: self.identity.server_name.clone(),
            version: NATS_VERSION.into(),
            turnpike: TURNPIKE_VERSION.into(),
            proto: TRACING_PROTO,
            host,
            port,
            ip: ip.unwrap_or_default(),
            headers: self.identity.headers,
            max_payload: self.identity.max_payload as i64,
            auth_required: self.cluster.login.is_some(),
            cluster: self.name.name.clone(),
            cluster_dynamic: self.name.dynamic,
            connect_urls: if self.cluster.no_advertise { Vec::new() } else { self.own_urls.clone() },
            ldm: self.ldm,
            gateway_url: self.gateway_url.clone(),
            borders: !self.gateway_url.is_empty(),
            border: self.border.clone(),
            ..RouteInfo::default()
        }
    }

    /// The INFO line that opens a link.
    pub(super) fn info_line(&mut self, mode: i64) -> Vec<u8> {
        // Nobody signs the nonce on a route, but a nats-server's INFO has one too.
        let nonce = format!("{:016x}", self.rng.next_u64());
        let mut line = Vec::new();
        RouteInfo { nonce, gossip_mode: mode, ..self.info() }.write(&mut line);
        line
    }

    /// The book learns who lives at the address of a dial.
    fn know(&mut self, rid: Cid, hello: &Hello) {
        let address = self.links.get(&rid).and_then(|l| l.dialed.clone());
        if let Some(entry) = address.and_then(|a| self.book.get_mut(&a)) {
            (entry.id, entry.name) = (hello.info.server_id.clone(), hello.info.server_name.clone());
        }
    }

    fn stage(&mut self, rid: Cid, stage: Stage) {
        if let Some(link) = self.links.get_mut(&rid) {
            link.stage = stage;
        }
    }

    pub(super) fn write(&mut self, rid: Cid, bytes: Vec<u8>) {
        self.acts.push_back(Act::Write { link: rid, bytes });
    }

    /// Dialed: the acceptor answered behind our INFO.
    fn welcomed(&mut self, rid: Cid, ponged: bool) {
        let Some(mut link) = self.links.remove(&rid) else { return };
        link.ponged = ponged;
        if let Stage::Proposed { hello } = std::mem::replace(&mut link.stage, Stage::Ignored) {
            self.register(rid, link, hello);
        }
    }
}
