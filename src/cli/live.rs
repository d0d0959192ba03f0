//! `turnpike check --live`: asks the running servers of these configurations what they are and whom they reach, dials the
//! addresses that they dial, and says where what is differs from what should be.

use super::monitoring::Place;
use crate::policy::fleet::{Finding, Grade, Member};
use crate::policy::settings::Listen;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a dial may take.
const DIAL: Duration = Duration::from_secs(2);
/// Servers, or addresses, that are asked at a time.
const AT_A_TIME: usize = 16;

/// What one server says of itself.
struct Heard {
    varz: Value,
    /// Names of the servers it has routes to.
    routes: BTreeSet<String>,
    /// Clusters it has an outbound link to.
    links: BTreeSet<String>,
}

/// What the running servers do otherwise than their configurations say.
pub fn look(members: &[Member]) -> Vec<Finding> {
    let heard = at_once(members, ask);
    let mut found = Vec::new();
    let mut add = |grade, m: &Member, keys: &[&str], text: String| {
        found.push(Finding { grade, places: vec![m.places.find(keys)], text });
    };
    for (m, heard) in members.iter().zip(&heard) {
        match heard {
            Ok(heard) => itself(m, heard, &mut add),
            Err(why) => add(Grade::Error, m, &["http", "http_port", "monitor_port"], why.clone()),
        }
    }
    // Whom nobody has heard of may be called anything: only those that answer are missed by name.
    let there: Vec<(&Member, &Heard)> =
        members.iter().zip(&heard).filter_map(|(m, h)| Some((m, h.as_ref().ok()?))).collect();
    for (m, heard) in &there {
        reaches(m, heard, &there, &mut add);
    }
    for (m, key, at, why) in dials(members) {
        let text = format!("{at} cannot be dialed from this machine: {why}");
        add(Grade::Warning, m, &[key], text);
    }
    found.sort();
    found.dedup();
    found
}

/// Does the same for all, some at a time; the answers in order.
fn at_once<'a, T: Sync, A: Send + 'a>(all: &'a [T], does: impl Fn(&'a T) -> A + Sync) -> Vec<A> {
    let mut out = Vec::with_capacity(all.len());
    for part in all.chunks(AT_A_TIME) {
        std::thread::scope(|scope| {
            let running: Vec<_> = part.iter().map(|one| scope.spawn(|| does(one))).collect();
            for one in running {
                match one.join() {
                    Ok(answer) => out.push(answer),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
    }
    out
}

fn anywhere(listen: &Listen) -> bool {
    matches!(listen.host.as_str(), "0.0.0.0" | "::" | "")
}

/// `host:port`, as it is dialed.
fn at(host: &str, port: u16) -> String {
    let host = host.trim_matches(['[', ']']);
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Where its monitoring is asked.
fn place(m: &Member) -> Result<Place, String> {
    let s = &m.settings;
    let listen = s.monitor.as_ref().ok_or("it has no monitoring to ask: give it http: HOST:PORT")?;
    let port = listen.port.ok_or("the port of its monitoring is the system's choice: give http a port")?;
    let advertised = |text: &Option<String>| {
        let text = text.as_deref()?;
        let host = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(text, |(host, _)| host);
        Some(host.to_owned())
    };
    let listens = |listen: &Listen| (!anywhere(listen)).then(|| listen.host.clone());
    let host = listens(listen)
        .or_else(|| listens(&s.listen))
        .or_else(|| advertised(&s.client_advertise))
        .or_else(|| s.cluster.as_ref().and_then(|c| advertised(&c.advertise).or_else(|| listens(c.listen.as_ref()?))))
        .or_else(|| s.gateway.as_ref().and_then(|g| advertised(&g.advertise).or_else(|| listens(&g.listen))))
        .ok_or("where it runs is not written: give http: HOST:PORT, or client_advertise")?;
    let scheme = if s.https { "https" } else { "http" };
    Place::read(&format!("{scheme}://{}{}", at(&host, port), s.http_base_path))
}

/// Asks for a page. Over TLS the file's own authorities are believed, and those of this system.
fn page(m: &Member, place: &Place, path: &str) -> Result<Vec<u8>, String> {
    let ca = m.settings.tls.as_ref().filter(|_| m.settings.https).and_then(|tls| tls.ca_file.clone());
    match &ca {
        None => place.get(path),
        Some(_) => place.clone().believing(ca).get(path).or_else(|why| place.get(path).map_err(|_| why)),
    }
}

fn ask(m: &Member) -> Result<Heard, String> {
    let place = place(m)?;
    let get = |path: &str| -> Result<Value, String> {
        serde_json::from_slice(&page(m, &place, path)?)
            .map_err(|e| format!("{path} is no JSON ({e}): is this a NATS server?"))
    };
    let varz = get("/varz")?;
    let mut heard = Heard { varz, routes: BTreeSet::new(), links: BTreeSet::new() };
    if m.settings.cluster.is_some() {
        let routes = get("/routez")?;
        let rows = routes["routes"].as_array().into_iter().flatten();
        heard.routes = rows.filter_map(|r| r["remote_name"].as_str()).map(str::to_owned).collect();
    }
    if m.settings.gateway.is_some() {
        let links = get("/gatewayz")?;
        let all = links["outbound_gateways"].as_object().into_iter().flatten();
        heard.links = all.filter(|(_, link)| link["connection"].is_object()).map(|(name, _)| name.clone()).collect();
    }
    Ok(heard)
}

/// Is it the server, and does it run with this file?
fn itself(m: &Member, heard: &Heard, add: &mut impl FnMut(Grade, &Member, &[&str], String)) {
    let text = |key: &str| heard.varz[key].as_str().unwrap_or_default().to_owned();
    if let Some(name) = m.settings.server_name.as_deref().filter(|name| *name != text("server_name")) {
        let text = format!("at the address of {name:?} answers {:?}", text("server_name"));
        return add(Grade::Error, m, &["server_name", "name", "http"], text);
    }
    let digest = text("config_digest");
    if digest != m.settings.digest {
        let loaded = text("config_load_time");
        let text = format!("it runs with another configuration than this file, read at {loaded}: reload or restart it");
        add(Grade::Warning, m, &["server_name", "name"], text);
    }
}

/// Does it reach whom it should?
fn reaches(
    m: &Member,
    heard: &Heard,
    there: &[(&Member, &Heard)],
    add: &mut impl FnMut(Grade, &Member, &[&str], String),
) {
    let own = heard.varz["server_name"].as_str().unwrap_or_default();
    if m.settings.cluster.is_some() {
        let others = there.iter().filter(|(o, _)| o.settings.cluster.is_some() && o.cluster() == m.cluster());
        for (_, other) in others {
            let name = other.varz["server_name"].as_str().unwrap_or_default();
            if name != own && !heard.routes.contains(name) {
                // Both ends say so, each at its own file.
                let text = format!("{own:?} has no route to {name:?}: its /varz and log say why");
                add(Grade::Error, m, &["cluster.routes", "cluster"], text);
            }
        }
    }
    let Some(gateway) = &m.settings.gateway else { return };
    let listed = gateway.remotes.iter().map(|r| r.name.as_str());
    let fellow = there.iter().filter_map(|(o, _)| o.settings.gateway.as_ref().map(|g| g.name.as_str()));
    let expected: BTreeSet<&str> = listed.chain(fellow).filter(|name| *name != gateway.name).collect();
    for name in expected.into_iter().filter(|name| !heard.links.contains(*name)) {
        let text = format!("{own:?} has no outbound link to cluster {name:?}: its /gatewayz and log say why");
        add(Grade::Error, m, &["gateway.gateways", "gateway"], text);
    }
}

/// Addresses of routes and gateways that this machine cannot dial: who has them first, where they stand, why.
fn dials(members: &[Member]) -> Vec<(&Member, &'static str, String, String)> {
    let mut all: BTreeMap<String, (&Member, &'static str)> = BTreeMap::new();
    for m in members {
        let routes = m.settings.cluster.iter().flat_map(|c| &c.routes).map(|r| (at(&r.host, r.port), "cluster.routes"));
        let remotes = m.settings.gateway.iter().flat_map(|g| &g.remotes).flat_map(|r| &r.urls);
        let remotes = remotes.map(|u| (at(&u.host, u.port), "gateway.gateways"));
        for (at, key) in routes.chain(remotes) {
            all.entry(at).or_insert((m, key));
        }
    }
    let all: Vec<(String, (&Member, &'static str))> = all.into_iter().collect();
    let dialed = at_once(&all, |(at, _)| dial(at));
    let failed =
        all.iter().zip(dialed).filter_map(|((at, (m, key)), dialed)| Some((*m, *key, at.clone(), dialed.err()?)));
    failed.collect()
}

fn dial(at: &str) -> Result<(), String> {
    let mut why = "its name has no address".to_owned();
    for address in at.to_socket_addrs().map_err(|e| e.to_string())? {
        match TcpStream::connect_timeout(&address, DIAL) {
            Ok(_) => return Ok(()),
            Err(e) => why = e.to_string(),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{self, Source};
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::path::Path;

    struct One(String);

    impl Source for One {
        fn read(&mut self, _: &Path) -> std::io::Result<Vec<u8>> {
            Ok(self.0.clone().into_bytes())
        }

        fn env(&self, _: &str) -> Option<String> {
            None
        }
    }

    fn member(file: &str, text: &str) -> Member {
        let loaded = policy::load(Path::new(file), &mut One(text.into())).unwrap();
        Member { file: file.into(), settings: loaded.settings, places: loaded.places }
    }

    /// A server's monitoring that answers each path so, for ever; its port.
    fn monitoring(pages: impl Fn(&str) -> Value + Send + 'static) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let body = pages(&path).to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                // Who asks may be gone.
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        port
    }

    #[test]
    fn what_is_otherwise_is_said() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let pages = |name: &'static str, digest: String, routes: Value, link: Value| {
            move |path: &str| match path {
                "/varz" => serde_json::json!({"server_name": name, "config_digest": digest}),
                "/routez" => serde_json::json!({"routes": routes}),
                _ => serde_json::json!({"outbound_gateways": {"west": link}}),
            }
        };
        let conf = |name: &str, http: u16| {
            format!(
                "server_name: {name}\nhttp: \"127.0.0.1:{http}\"\ncluster {{ name: east, listen: \"127.0.0.1:-1\", \
                 routes: [\"nats://127.0.0.1:{closed}\"] }}\ngateway {{ name: east, listen: \"127.0.0.1:-1\", gateways: \
                 [{{name: west, urls: [\"nats://127.0.0.1:{closed}\"]}}] }}\n"
            )
        };
        let seen = serde_json::json!([{"remote_name": "b"}]);
        let linked = serde_json::json!({"connection": {}});
        // The digest is of a file that names its own port: so first the port, then the pages.
        let digest = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let known = digest.clone();
        let a = monitoring(move |path| pages("a", known.lock().unwrap().clone(), seen.clone(), linked.clone())(path));
        let b = monitoring(pages("b", "other".into(), serde_json::json!([]), Value::Null));
        let members =
            [member("a.conf", &conf("a", a)), member("b.conf", &conf("b", b)), member("c.conf", &conf("c", closed))];
        digest.lock().unwrap().clone_from(&members[0].settings.digest);
        let found: Vec<String> = look(&members).iter().map(ToString::to_string).collect();
        let said = |part: &str| found.iter().filter(|f| f.contains(part)).count();
        assert_eq!(said("b.conf:1: warning: it runs with another configuration"), 1, "{found:#?}");
        assert_eq!(said("\"b\" has no route to \"a\""), 1, "{found:#?}");
        assert_eq!(said("\"b\" has no outbound link to cluster \"west\""), 1, "{found:#?}");
        assert_eq!(said("c.conf:2: error: http://127.0.0.1"), 1, "{found:#?}");
        assert_eq!(said("cannot be dialed from this machine"), 1, "{found:#?}");
        assert_eq!((found.len(), said("a.conf")), (5, 1), "{found:#?}");
    }

    #[test]
    fn who_cannot_be_asked_is_told_what_to_write() {
        let why = |text: &str| place(&member("a.conf", text)).unwrap_err();
        assert!(why("port: 4222").contains("no monitoring"));
        assert!(why("http: \"127.0.0.1:-1\"").contains("give http a port"));
        assert!(why("http: 8222").contains("where it runs is not written"));
        let place =
            place(&member("a.conf", "http: 8222\nclient_advertise: \"h:4222\"\nhttp_base_path: \"/mon\"")).unwrap();
        assert_eq!(place, Place::read("http://h:8222/mon").unwrap());
    }
}
