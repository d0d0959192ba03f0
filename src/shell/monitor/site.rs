//! The endpoints: which path means what, what it asks the shards, what it answers. One per monitor; `serve` brings the
//! requests.

use super::desk::{Desk, Silent, PATIENCE};
use super::facts::Facts;
use super::json::pretty;
use super::metrics::wants_protobuf;
use super::process::Process;
use super::query::{unescape, Query, Subs};
use super::wanted::Wanted;
use super::{absent, accounts, connz, explain, gatewayz, health, index, metrics, routez, subsz, varz};
use crate::base::limits::{SCRAPED_CONNECTIONS_MAX, SCRAPED_SUBSCRIPTIONS_MAX};
use crate::conn::Telling;
use crate::mesh::Report;
use crate::shard::report::{GatewayReport, RouteRow, Tally};
use crate::shard::{Answer, Ask};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// See the file's head.
pub struct Site {
    /// Who the server is.
    pub facts: Arc<Facts>,
    /// The way to the shards.
    pub desk: Desk,
    /// The way to the kernel.
    pub process: Process,
    /// The port that answers.
    pub http_port: u16,
    /// Requests by endpoint.
    pub requests: Mutex<BTreeMap<&'static str, u64>>,
}

/// What a request is answered with.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// What the body is.
    pub kind: Kind,
    /// The body.
    pub body: Vec<u8>,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Numbers; the only kind that pages of other origins may read.
    Json,
    /// The index.
    Html,
    /// An error's text.
    Text,
    /// Metrics in OpenMetrics text.
    Metrics,
    /// Metrics in Prometheus's own format.
    Protobuf,
    /// A redirection to this path.
    Elsewhere(&'static str),
}

impl Reply {
    fn json(body: Vec<u8>) -> Reply {
        Reply { status: 200, kind: Kind::Json, body }
    }

    fn text(status: u16, text: String) -> Reply {
        Reply { status, kind: Kind::Text, body: text.into_bytes() }
    }

    fn not_found() -> Reply {
        Reply::text(404, "404 page not found\n".into())
    }
}

/// Why a request has no answer.
enum Refused {
    /// The asker's fault, in the words of the 400.
    Request(String),
    /// A shard's.
    Shard(Silent),
    /// The mesh does not answer.
    Mesh,
}

impl From<String> for Refused {
    fn from(text: String) -> Refused {
        Refused::Request(text)
    }
}

impl From<Silent> for Refused {
    fn from(silent: Silent) -> Refused {
        Refused::Shard(silent)
    }
}

/// Every endpoint, as it is named in the statistics of requests.
pub const ENDPOINTS: [&str; 16] = [
    "/",
    "/varz",
    "/connz",
    "/subsz",
    "/subscriptionsz",
    "/accountz",
    "/accstatz",
    "/routez",
    "/gatewayz",
    "/explain",
    "/metrics",
    "/reloadz",
    "/leafz",
    "/jsz",
    "/raftz",
    "/healthz",
];

impl Site {
    /// Answers `path?query`, the path as it came; `accept` is what the asker says it takes.
    pub async fn answer(&self, path: &str, query: Option<&str>, accept: &str) -> Reply {
        let Some(path) = unescape(path, false) else { return Reply::text(400, "400 Bad Request".into()) };
        let Some(endpoint) = self.endpoint(&path) else {
            // A path written differently (`//varz`) is sent to how it should be, as Go's server does.
            return match self.endpoint(&clean(&path)) {
                Some(endpoint) => Reply { status: 307, kind: Kind::Elsewhere(endpoint), body: Vec::new() },
                None => Reply::not_found(),
            };
        };
        *self.requests().entry(if endpoint == "/subscriptionsz" { "/subsz" } else { endpoint }).or_default() += 1;
        let answer = match endpoint {
            "/metrics" => self.metrics(now_ns(), wants_protobuf(accept)).await,
            _ => self.page(endpoint, &Query::parse(query)).await,
        };
        match answer {
            Ok(reply) => reply,
            Err(Refused::Request(text)) => Reply::text(400, text),
            Err(Refused::Shard(silent)) => Reply::text(503, silent.to_string()),
            Err(Refused::Mesh) => Reply::text(503, "the mesh does not answer".into()),
        }
    }

    /// The same for a request of the system account: the JSON of an endpoint.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn json(&self, endpoint: &str, q: &Query) -> Result<(u16, Value), String> {
        let reply = match self.page(endpoint, q).await {
            Ok(reply) => reply,
            Err(Refused::Request(text)) => return Err(text),
            Err(Refused::Shard(silent)) => return Err(silent.to_string()),
            Err(Refused::Mesh) => return Err("the mesh does not answer".into()),
        };
        let value = serde_json::from_slice(&reply.body).map_err(|e| format!("{endpoint}: {e}"))?;
        Ok((reply.status, value))
    }

    /// What STATSZ rests on: tallies of all shards, routes, links to other clusters, and a look at the server.
    ///
    /// # Errors
    /// Who does not answer.
    pub async fn vitals(&self) -> Result<(Vec<Tally>, Vec<RouteRow>, Vec<GatewayReport>, varz::Look), String> {
        let said = |silent: Silent| silent.to_string();
        let look = self.look(now_ns()).await.map_err(|_| "the server's machines do not answer".to_owned())?;
        let gateways = match look.gateways.is_some() {
            true => self.gateway_reports().await.map_err(said)?,
            false => Vec::new(),
        };
        Ok((self.tallies().await.map_err(said)?, self.routes().await.map_err(said)?, gateways, look))
    }

    /// The prefix of all paths, without a slash at its end.
    pub fn base(&self) -> &str {
        self.facts.settings.http_base_path.trim_end_matches('/')
    }

    /// Which endpoint a path names. With a base the index is the base itself.
    fn endpoint(&self, path: &str) -> Option<&'static str> {
        let base = self.base();
        let rest = path.strip_prefix(base)?;
        let rest = match rest {
            "" if !base.is_empty() => "/",
            "/" if !base.is_empty() => return None,
            rest => rest,
        };
        ENDPOINTS.into_iter().find(|e| *e == rest)
    }

    fn requests(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn page(&self, endpoint: &str, q: &Query) -> Result<Reply, Refused> {
        let (facts, now_ns) = (&*self.facts, now_ns());
        Ok(Reply::json(match endpoint {
            "/" => return Ok(Reply { status: 200, kind: Kind::Html, body: index::index(self.base()).into_bytes() }),
            "/varz" => self.varz(now_ns).await?,
            "/connz" => self.connz(now_ns, q).await?,
            "/subsz" | "/subscriptionsz" => self.subsz(now_ns, q).await?,
            "/accountz" => {
                let (live, tallies) = (facts.live(), self.tallies().await?);
                pretty(&accounts::accountz((facts, &live.auth), now_ns, q.text("acc"), &tallies)?)
            }
            "/accstatz" => {
                let unused = q.boolean("unused")?;
                let (live, tallies) = (facts.live(), self.tallies().await?);
                pretty(&accounts::accstatz((facts, &live.auth), now_ns, unused, &tallies))
            }
            "/routez" => self.routez(now_ns, q).await?,
            "/gatewayz" => self.gatewayz(now_ns, q).await?,
            "/explain" => self.explain(q).await?,
            "/reloadz" => self.reloadz().await?,
            "/metrics" => return self.metrics(now_ns, false).await,
            "/leafz" => absent::leafz(facts, now_ns, q)?,
            "/jsz" => absent::jsz(facts, now_ns, q)?,
            "/healthz" => {
                // A mesh that does not answer tells of no gap.
                let gaps = self.mesh().await.ok().flatten().map(|(_, gaps)| gaps).unwrap_or_default();
                let live = facts.loads.in_force(&facts.settings);
                let fails = live.cluster.as_ref().is_some_and(|c| c.unready_without_mesh);
                let (status, body) = health::health(facts.listening.load(Relaxed), &health::Mesh { gaps, fails }, q)?;
                return Ok(Reply { status, kind: Kind::Json, body });
            }
            "/raftz" => return Ok(Reply::text(404, "No Raft nodes registered".into())),
            _ => return Ok(Reply::not_found()),
        }))
    }

    /// The counters of all shards.
    ///
    /// # Errors
    /// A shard that does not answer.
    pub async fn tallies(&self) -> Result<Vec<Tally>, Silent> {
        let answers =
            self.desk.ask_counting(|from| Ask::Tally { from, max: SCRAPED_CONNECTIONS_MAX }).await?.into_iter();
        Ok(answers.map(|a| if let Answer::Tally(tally) = a { *tally } else { Tally::default() }).collect())
    }

    /// What the mesh knows, and what the server lacks; None: there is no cluster.
    async fn mesh(&self) -> Result<Option<(Report, Vec<String>)>, Refused> {
        let Some(door) = &self.facts.mesh else { return Ok(None) };
        let (reply, answer) = tokio::sync::oneshot::channel();
        // Whoever asked may have given up.
        door.report(move |report, gaps| drop(reply.send((report, gaps))));
        let answered = tokio::time::timeout(PATIENCE, answer).await;
        answered.ok().and_then(Result::ok).map(Some).ok_or(Refused::Mesh)
    }

    /// All routes, shard by shard.
    async fn routes(&self) -> Result<Vec<RouteRow>, Silent> {
        let answers = self.desk.ask_all(&Ask::Routes).await?.into_iter();
        Ok(answers.flat_map(|a| if let Answer::Routes(rows) = a { rows } else { Vec::new() }).collect())
    }

    async fn routez(&self, now_ns: u64, q: &Query) -> Result<Vec<u8>, Refused> {
        let subs = q.subs()?;
        let mut gather = routez::Gather { routes: self.routes().await?, ..routez::Gather::default() };
        if subs != Subs::No {
            let ask = |from: Telling| Ask::PeerInterest { from, max: SCRAPED_SUBSCRIPTIONS_MAX };
            self.desk.ask_slices(ask, |answer| take_wanted(answer, &mut gather.wanted)).await?;
        }
        let mesh = self.mesh().await?;
        let live = self.facts.loads.in_force(&self.facts.settings);
        let report = mesh.as_ref().map(|(report, _)| report);
        Ok(pretty(&gather.page((&self.facts, &live), report, subs, now_ns)))
    }

    /// What the gateways' machine knows; None: there is none.
    async fn gateways(&self) -> Result<Option<crate::gateways::Report>, Refused> {
        let Some(door) = self.facts.mesh.as_ref().filter(|_| self.facts.settings.gateway.is_some()) else {
            return Ok(None);
        };
        let (reply, answer) = tokio::sync::oneshot::channel();
        // Whoever asked may have given up.
        door.gateway_report(move |report| drop(reply.send(report)));
        let answered = tokio::time::timeout(PATIENCE, answer).await;
        answered.ok().and_then(Result::ok).map(Some).ok_or(Refused::Mesh)
    }

    /// What the shards know of links to other clusters, in order of shards.
    async fn gateway_reports(&self) -> Result<Vec<GatewayReport>, Silent> {
        let answers =
            self.desk.ask_counting(|from| Ask::Gateways { from, max: SCRAPED_CONNECTIONS_MAX }).await?.into_iter();
        Ok(answers.filter_map(|a| if let Answer::Gateways(report) = a { Some(*report) } else { None }).collect())
    }

    async fn gatewayz(&self, now_ns: u64, q: &Query) -> Result<Vec<u8>, Refused> {
        let request = gatewayz::Request::read(q)?;
        let mut gather = gatewayz::Gather::default();
        self.gateway_reports().await?.into_iter().for_each(|report| gather.take(report));
        if request.wants_subs() {
            let ask =
                |from: Telling| Ask::FarInterest { from, max: SCRAPED_SUBSCRIPTIONS_MAX, account: request.account() };
            self.desk.ask_slices(ask, |answer| take_wanted(answer, &mut gather.wanted)).await?;
        }
        let report = self.gateways().await?;
        Ok(pretty(&gather.page(&self.facts, report.as_ref(), &request, now_ns)))
    }

    /// Would a message cross, and why?
    /// What a reload would do.
    async fn reloadz(&self) -> Result<Vec<u8>, Refused> {
        let answer = self.facts.loads.preview()?;
        let said = tokio::time::timeout(PATIENCE, answer).await;
        let said = said.map_err(|_| "the server is busy: ask again".to_owned())?;
        Ok(pretty(&said.map_err(|_| "the server is ending".to_owned())?))
    }

    async fn explain(&self, q: &Query) -> Result<Vec<u8>, Refused> {
        let question = explain::asked(q).question(&self.facts.settings)?;
        // All shards know the same; the first answers.
        let answer = self.desk.ask_all(&Ask::Explain(question)).await?.into_iter().next();
        match answer {
            Some(Answer::Explained(explanation)) => Ok(pretty(&*explanation)),
            _ => Err(Refused::Request("no shard answers".into())),
        }
    }

    /// What is known of the server as a whole.
    async fn look(&self, now_ns: u64) -> Result<varz::Look, Refused> {
        Ok(varz::Look {
            mesh: self.mesh().await?.map(|(report, _)| report),
            gateways: self.gateways().await?,
            now_ns,
            mem_bytes: self.process.resident_bytes(),
            cpu_percent: self.process.cpu_percent(),
            http_port: self.http_port,
            accepts_per_second: self.facts.accepts.per_second(),
            requests: self.requests().clone(),
        })
    }

    async fn varz(&self, now_ns: u64) -> Result<Vec<u8>, Refused> {
        let (tallies, look) = (self.tallies().await?, self.look(now_ns).await?);
        Ok(pretty(&varz::varz(&self.facts, &look, &tallies)))
    }

    async fn metrics(&self, now_ns: u64, protobuf: bool) -> Result<Reply, Refused> {
        let (tallies, routes, look) = (self.tallies().await?, self.routes().await?, self.look(now_ns).await?);
        let gateways = if look.gateways.is_some() { self.gateway_reports().await? } else { Vec::new() };
        let (facts, look) = (&*self.facts, &look);
        let gathered = metrics::Gathered { facts, look, tallies: &tallies, routes: &routes, gateways: &gateways };
        if protobuf {
            return Ok(Reply { status: 200, kind: Kind::Protobuf, body: metrics::binary(&gathered) });
        }
        Ok(match metrics::metrics(&gathered) {
            Ok(page) => Reply { status: 200, kind: Kind::Metrics, body: page.into_bytes() },
            Err(why) => Reply::text(500, format!("metrics: {why}\n")),
        })
    }

    async fn connz(&self, now_ns: u64, q: &Query) -> Result<Vec<u8>, Refused> {
        let request = connz::Request::read(q)?;
        let (open, closed) = (request.wants_open(), request.wants_closed());
        let account = request.account().map(str::to_owned);
        let lost = request.lost(&self.facts);
        let mut gather = connz::Gather::new(request, now_ns);
        if lost {
            return Ok(pretty(&gather.nowhere()));
        }
        // First the open ones: who ends in between is then told twice rather than not at all.
        if open {
            let ask = |from| Ask::Connections { from, max: SCRAPED_CONNECTIONS_MAX, subs: false };
            self.desk.ask_slices(ask, |answer| connections(answer, &mut gather)).await?;
        }
        if closed {
            let ask = |from| Ask::Closed { from, max: SCRAPED_CONNECTIONS_MAX };
            self.desk.ask_slices(ask, |answer| connections(answer, &mut gather)).await?;
        }
        gather.settle();
        if gather.wants_subs() {
            // Not along with the connections: one of them may have a million, and that would be one turn.
            let ask = |from| Ask::Subscriptions {
                from,
                max: SCRAPED_SUBSCRIPTIONS_MAX,
                account: account.clone(),
                test: None,
            };
            let take = |answer| match answer {
                Answer::Subscriptions { rows, next } => {
                    rows.into_iter().for_each(|row| gather.take_sub(row));
                    next.filter(|_| gather.wants_subs())
                }
                _ => None,
            };
            self.desk.ask_slices(ask, take).await?;
        }
        Ok(pretty(&gather.page(&self.facts)))
    }

    async fn subsz(&self, now_ns: u64, q: &Query) -> Result<Vec<u8>, Refused> {
        let request = subsz::Request::read(q)?;
        let mut gather = subsz::Gather::new(request.clone());
        if request.subs {
            let subsz::Request { account, test, .. } = request;
            let ask = |from| Ask::Subscriptions {
                from,
                max: SCRAPED_SUBSCRIPTIONS_MAX,
                account: account.clone(),
                test: test.clone(),
            };
            let take = |answer| match answer {
                Answer::Subscriptions { rows, next } => {
                    rows.into_iter().for_each(|row| gather.take(row));
                    next
                }
                _ => None,
            };
            self.desk.ask_slices(ask, take).await?;
        }
        let tallies = self.tallies().await?;
        Ok(pretty(&gather.page(&self.facts, now_ns, &tallies)))
    }
}

fn take_wanted(answer: Answer, wanted: &mut Wanted) -> Option<Telling> {
    let Answer::Wanted { rows, next } = answer else { return None };
    rows.into_iter().for_each(|row| wanted.take(row));
    next
}

fn connections(answer: Answer, gather: &mut connz::Gather) -> Option<u32> {
    match answer {
        Answer::Connections { rows, next } | Answer::Closed { rows, next } => {
            rows.into_iter().for_each(|row| gather.take(row));
            next
        }
        _ => None,
    }
}

/// A path without empty, `.` and `..` steps; a slash at the end stays.
fn clean(path: &str) -> String {
    let mut steps = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    let end = if path.ends_with('/') && !steps.is_empty() { "/" } else { "" };
    format!("/{}{end}", steps.join("/"))
}

/// Wall-clock time in nanoseconds since 1970.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn paths_are_cleaned() {
        for (path, cleaned) in
            [("//varz", "/varz"), ("/a/../varz", "/varz"), ("/./varz", "/varz"), ("/varz/", "/varz/"), ("/../", "/")]
        {
            assert_eq!(clean(path), cleaned);
        }
    }
}
