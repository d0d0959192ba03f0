//! Who is let in and where, by what he presents: keys, users without credentials, kinds of connections, tokens of operators.
//!
//! `TURNPIKE_TEST_SERVER=/path/to/nats-server` asks the reference instead: every row holds for both.

#[path = "identities/agreed.rs"]
mod agreed;
#[path = "identities/changes.rs"]
mod changes;
#[path = "identities/keys.rs"]
mod keys;
#[path = "identities/official.rs"]
mod official;
mod support;
#[path = "identities/tokens.rs"]
mod tokens;

use serde_json::{json, Value};
use std::time::Duration;
use support::raw::{Next, Raw, PATIENCE};
use support::server::{shard_args, Server, Which};

/// A server with this configuration.
fn server(conf: &str) -> Server {
    let which = Which::under_test();
    Server::start(&which, conf, &shard_args(&which, 2))
}

/// A client that has said CONNECT and what became of it: `in ACCOUNT`, or the error it was closed with.
struct Caller {
    raw: Raw,
    outcome: String,
}

impl Caller {
    /// Connects and presents what `said` makes of the nonce.
    fn new(server: &Server, said: impl FnOnce(&str) -> Value) -> Caller {
        let mut raw = Raw::connect(server.clients());
        let nonce = raw.greeting()["nonce"].as_str().unwrap_or_default().to_owned();
        let mut connect = json!({"verbose": false, "pedantic": false, "protocol": 1});
        connect.as_object_mut().unwrap().extend(said(&nonce).as_object().unwrap().clone());
        raw.write(format!("CONNECT {connect}\r\nPING\r\n").as_bytes());
        let outcome = outcome(&mut raw);
        Caller { raw, outcome }
    }

    /// The next line, and whether the connection is closed then.
    fn hears(&mut self, patience: Duration) -> String {
        match self.raw.next(patience) {
            Next::Frame(frame) => String::from_utf8_lossy(&frame).trim_end().to_owned(),
            Next::Closed(_) => "closed".into(),
            Next::Silence(_) => "nothing".into(),
        }
    }
}

fn outcome(raw: &mut Raw) -> String {
    loop {
        let Next::Frame(frame) = raw.next(PATIENCE) else { return "closed".into() };
        let line = String::from_utf8_lossy(&frame).trim_end().to_owned();
        if line.starts_with("-ERR") {
            return line;
        }
        if let Some(account) =
            support::frames::info(&frame).and_then(|i| Some(i["remote_account"].as_str()?.to_owned()))
        {
            return format!("in {account}");
        }
    }
}

/// What becomes of somebody who presents this.
fn verdict(server: &Server, said: impl FnOnce(&str) -> Value) -> String {
    Caller::new(server, said).outcome
}

const REFUSED: &str = "-ERR 'Authorization Violation'";
