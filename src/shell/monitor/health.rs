//! `/healthz`: may clients come? (operations.md §16.9). Pure. Compact JSON, unlike the other endpoints.

use super::query::Query;
use serde_json::json;

/// Members that this server does not reach although others do.
#[derive(Debug, Default)]
pub struct Mesh {
    /// Each in words.
    pub gaps: Vec<String>,
    /// Do they make the server unready (`mesh_readiness`)?
    pub fails: bool,
}

/// Status code and body.
///
/// # Errors
/// The text of the 400 for a parameter that cannot be read.
pub fn health(listening: bool, mesh: &Mesh, q: &Query) -> Result<(u16, Vec<u8>), String> {
    for name in ["js-enabled", "js-enabled-only", "js-server-only", "js-meta-only"] {
        q.boolean(name)?;
    }
    let details = q.boolean("details")?;
    let bad = |what: &str, checked: &str| format!("\"{what}\" must not be empty when checking {checked} health");
    let (account, stream, consumer) = (q.text("account"), q.text("stream"), q.text("consumer"));
    let (status, kind, error) = match () {
        () if !listening => (500, "CONNECTION", "failed to be ready for connections after 1ms: server".to_owned()),
        () if account.is_empty() && !stream.is_empty() => (400, "BAD_REQUEST", bad("account", "stream")),
        () if stream.is_empty() && !consumer.is_empty() => (400, "BAD_REQUEST", bad("stream", "consumer")),
        // Alive it is.
        () if mesh.gaps.is_empty() || q.boolean("js-enabled-only")? => {
            return Ok((200, br#"{"status":"ok"}"#.to_vec()))
        }
        () if !mesh.fails => {
            let text = format!("{{\"status\":\"ok\",\"warning\":{}}}", json!(mesh.gaps.join("; ")));
            return Ok((200, text.into_bytes()));
        }
        () => (503, "CONNECTION", mesh.gaps.join("; ")),
    };
    // Keys in nats-server's order; `json!` would sort them.
    let rest = match details {
        true => format!("\"errors\":{}", errors(kind, &error)),
        false => format!("\"error\":{}", json!(error)),
    };
    let word = if status == 503 { "unavailable" } else { "error" };
    Ok((status, format!("{{\"status\":\"{word}\",{rest}}}").into_bytes()))
}

fn errors(kind: &str, error: &str) -> String {
    format!("[{{\"type\":{},\"error\":{}}}]", json!(kind), json!(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(listening: bool, raw: &str) -> (u16, String) {
        let (status, body) = health(listening, &Mesh::default(), &Query::parse(Some(raw))).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    #[test]
    fn a_gap_in_the_mesh_is_told_and_fails_where_that_is_wanted() {
        let ask = |fails, raw: &str| {
            let (status, body) =
                health(true, &Mesh { gaps: vec!["no \"b\"".into()], fails }, &Query::parse(Some(raw))).unwrap();
            (status, String::from_utf8(body).unwrap())
        };
        let unready = r#"{"status":"unavailable","error":"no \"b\""}"#;
        assert_eq!(ask(true, ""), (503, unready.to_owned()));
        assert_eq!(ask(true, "js-server-only=true"), (503, unready.to_owned()));
        let detailed = r#"{"status":"unavailable","errors":[{"type":"CONNECTION","error":"no \"b\""}]}"#;
        assert_eq!(ask(true, "details=1"), (503, detailed.to_owned()));
        assert_eq!(ask(true, "js-enabled-only=true"), (200, r#"{"status":"ok"}"#.to_owned()));
        assert_eq!(ask(false, ""), (200, r#"{"status":"ok","warning":"no \"b\""}"#.to_owned()));
    }

    #[test]
    fn says_what_nats_server_says() {
        let ok = (200, r#"{"status":"ok"}"#.to_owned());
        for raw in ["", "js-server-only=true", "js-enabled-only=true", "details=1", "account=A", "js-enabled=true"] {
            assert_eq!(ask(true, raw), ok);
        }
        let closed = r#"{"status":"error","error":"failed to be ready for connections after 1ms: server"}"#;
        assert_eq!(ask(false, ""), (500, closed.to_owned()));
        let detailed = r#"{"status":"error","errors":[{"type":"CONNECTION","error":"failed to be ready for connections after 1ms: server"}]}"#;
        assert_eq!(ask(false, "details=1"), (500, detailed.to_owned()));
        let stream = r#"{"status":"error","error":"\"account\" must not be empty when checking stream health"}"#;
        assert_eq!(ask(true, "stream=x"), (400, stream.to_owned()));
        let consumer = r#"{"status":"error","error":"\"stream\" must not be empty when checking consumer health"}"#;
        assert_eq!(ask(true, "consumer=x"), (400, consumer.to_owned()));
        assert!(health(true, &Mesh::default(), &Query::parse(Some("details=zz"))).unwrap_err().contains("'details'"));
    }
}
